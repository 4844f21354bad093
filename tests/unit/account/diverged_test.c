/* The account's setting `divergedWrites`: in the record, and what it makes of a suffix that comes back.
 * Random schedules of the same are tests/sim, scenario diverged-writes. */
#include <stdio.h>

#include "account/region_int.h"
#include "records.h"
#include "world.h"

T_TEST("the record is of format 5 only while lost writes do not simply go to the feed")
{
    struct account_record r = three_regions("west");
    struct errinfo ei = {0};
    t_eq_u64(record_format(&r), 1);
    t_ok(account_plan_diverged(&r, STR("Feed-Latest"), 0, NULL));
    t_eq_int(r.diverged_writes, DIVERGED_FEED_LATEST);
    t_eq_u64(record_format(&r), 5);
    t_eq_int(through_text(&r).diverged_writes, DIVERGED_FEED_LATEST);
    t_ok(account_plan_diverged(&r, STR("archive"), 1 << 20, NULL));
    t_golden("record-v5.json", encode(&r));
    t_eq_u64(through_text(&r).feed_quota, 1 << 20);
    t_ok(account_plan_diverged(&r, STR("feed"), FEED_QUOTA_MAX, NULL));
    t_eq_u64(through_text(&r).feed_quota, FEED_QUOTA_MAX);
    t_eq_u64(record_format(&r), 5); /* the quota is another one */
    t_ok(account_plan_diverged(&r, STR("feed"), 0, NULL));
    t_eq_u64(record_format(&r), 1);
    says(account_plan_diverged(&r, STR("feed"), FEED_QUOTA_MAX + 1, &ei), ERR_INVALID, &ei,
         "quota");
    t_ok(account_plan_diverged(&r, STR("lww"), 0, NULL));
    t_eq_int(through_text(&r).diverged_writes, DIVERGED_LWW);
    says(account_plan_diverged(&r, STR(""), 0, &ei), ERR_INVALID, &ei, "feed, feed-latest");
}

T_TEST("a record with an unknown setting, or a damaged one, is refused")
{
    static const struct {
        const char *member;
        enum err want;
    } cases[] = {
        {"{\"writes\":\"archive\",\"feed_quota\":0}", OK},
        {"{\"writes\":\"heap\",\"feed_quota\":0}", ERR_FORMAT_NEWER},
        {"{\"writes\":\"archive\",\"feed_quota\":0,\"more\":1}", ERR_FORMAT_NEWER},
        {"{\"writes\":\"archive\"}", ERR_CORRUPT},
        {"{\"writes\":\"archive\",\"feed_quota\":1125899906842625}", ERR_CORRUPT},
        {"[]", ERR_CORRUPT},
    };
    struct account_record r = three_regions("west");
    struct str text = encode(&r);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct account_record back;
        struct str with = arena_printf(&arena, STR_FMT ",\"diverged\":%s}",
                                       STR_ARG(str_slice(text, 0, text.n - 1)), cases[i].member);
        enum err got = record_decode(&arena, with, &back, NULL);
        t_checkf(got == cases[i].want, "%s gives %s", cases[i].member, err_name(got));
    }
}

static enum err set(struct account_record *rec, void *value)
{
    return account_plan_diverged(rec, str_of((const char *)value), 0, NULL);
}

/* Region 1 goes with 41 writes of 15 items that nobody else has, ten of which were there before, and comes
 * back. `at_end`: set only when it is away. */
static struct world *lose(const char *value, bool at_end)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%s", value);
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    for (unsigned i = 0; i < 10; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i);
        t_err(world_answer(w, world_put(w, 1, 1, key, "{\"v\":1}")), OK);
    }
    world_run(w, 300);
    if (!at_end) {
        world_plan(w, set, text);
        world_run(w, 300);
    }
    world_cut_peers(w, 1, true);
    for (unsigned i = 0; i < 40; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i % 15);
        t_err(world_answer(w, world_put(w, 1, 1, key, "{\"lost\":1}")), OK);
    }
    t_err(world_answer(w, world_delete(w, 1, 1, "k1")), OK);
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_WRITER);
    if (at_end) {
        world_plan(w, set, text);
        world_run(w, 300);
    }
    world_cut_peers(w, 1, false);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    return w;
}

static void kept(struct world *w, uint64_t recorded, uint64_t archived)
{
    struct repl_stats s;
    repl_stats(world_region(w, 1)->repl, &s);
    t_eq_u64(s.lost_recorded, recorded);
    t_eq_u64(s.lost_archived, archived);
    for (region_id id = 1; id <= 3; id++) {
        t_eq_u64(world_conflicts(w, id, 1), recorded);
    }
    t_check(world_archived(w, 1) > 0);
    t_eq_cstr(world_get(w, 1, 1, "k1"), "{\"v\":1}");
    t_check(world_get(w, 1, 1, "k12") == NULL);
    world_check_same(w);
}

T_TEST("feed: each lost write has a record; what the region says of it adds up")
{
    struct world *w = lose("feed", false);
    kept(w, 41, 0);
    world_free(w);
}

T_TEST("feed-latest: the last lost version of each item has a record, a deletion as well")
{
    for (int at_end = 0; at_end <= 1; at_end++) {
        struct world *w = lose("feed-latest", at_end != 0);
        kept(w, 15, 26);
        t_check(w->sent[MSG_LOST] == 0 && w->sent[MSG_LOST_LATEST] > 0);
        world_free(w);
    }
}

T_TEST("archive: no lost write has a record, all are in the region's archive")
{
    for (int at_end = 0; at_end <= 1; at_end++) {
        struct world *w = lose("archive", at_end != 0);
        kept(w, 0, 41);
        world_free(w);
    }
}

static const char *record_text(struct world *w, region_id id, const char *key)
{
    struct buf hold;
    struct engine_doc doc;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    enum err e = engine_get(world_engine(w, id), NULL, 1, SPACE_CONFLICT, str_of(key), true, &hold,
                            &doc, NULL);
    const char *text = e == OK ? arena_cstr(&arena, doc.text) : NULL;
    buf_done(&hold);
    return text;
}

/* The record of the only lost write of the item; its entry was the one at `at` of the epoch. */
static const char *record_of(struct world *w, epoch e, lsn at)
{
    return record_text(
        w, 1,
        arena_cstr(&arena, arena_printf(&arena, "x/1/%llu/%llu/0", (unsigned long long)e,
                                        (unsigned long long)at)));
}

struct lost {
    epoch epoch;
    lsn lsn;
};

static struct lost lose_one(struct world *w, const char *key, const char *text)
{
    struct world_write *x =
        text != NULL ? world_put(w, 1, 1, key, text) : world_delete(w, 1, 1, key);
    t_err(world_answer(w, x), OK);
    return (struct lost){x->w.epoch, x->w.lsn};
}

static uint64_t applied_by(struct world *w, region_id id)
{
    struct repl_stats s;
    repl_stats(world_region(w, id)->repl, &s);
    return s.lost_applied;
}

T_TEST("lww: the later version is the item, what it replaced is in the feed; nothing else is put")
{
    char value[] = "lww";
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    static const char *const keys[] = {"same", "older", "newer", "gone", "deleted"};
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        t_err(world_answer(w, world_put(w, 1, 1, keys[i], "{\"v\":1}")), OK);
    }
    world_plan(w, set, value);
    world_run(w, 300);
    world_cut_peers(w, 1, true);
    struct lost same1 = lose_one(w, "same", "{\"v\":2}");
    struct lost same2 = lose_one(w, "same", "{\"v\":3}");
    struct lost older = lose_one(w, "older", "{\"v\":4}");
    struct lost gone = lose_one(w, "gone", "{\"v\":5}");
    struct lost deleted = lose_one(w, "deleted", NULL);
    struct lost made = lose_one(w, "made", "{\"v\":6}");
    world_cut_coord(w, 1, true);
    world_until_role(w, 2, ROLE_WRITER);
    t_err(world_answer(w, world_put(w, 2, 1, "older", "{\"v\":7}")),
          OK); /* later than what was lost */
    t_err(world_answer(w, world_delete(w, 2, 1, "gone")), OK);
    world_cut_coord(w, 1, false);
    world_cut_peers(w, 1, false);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    for (region_id id = 1; id <= 3; id++) {
        t_eq_cstr(world_get(w, id, 1, "same"), "{\"v\":3}");
        t_eq_cstr(world_get(w, id, 1, "older"), "{\"v\":7}");
        t_eq_cstr(world_get(w, id, 1, "newer"), "{\"v\":1}");
        t_check(world_get(w, id, 1, "gone") == NULL && world_get(w, id, 1, "made") == NULL);
        t_eq_cstr(world_get(w, id, 1, "deleted"), "{\"v\":1}");
        t_eq_u64(world_conflicts(w, id, 1), 6);
    }
    t_eq_u64(applied_by(w, 2), 1);
    /* Its record shows what was replaced; the others are about what was lost. */
    t_eq_cstr(record_of(w, same2.epoch, same2.lsn), "{\"from\":1,\"ack\":1}{\"v\":1}");
    const struct lost rest[] = {same1, older, gone, deleted, made};
    for (size_t i = 0; i < ARRAY_COUNT(rest); i++) {
        t_eq_cstr(record_of(w, rest[i].epoch, rest[i].lsn), "{\"from\":1,\"ack\":1}");
    }
    world_check_same(w);
    world_free(w);
}

T_TEST("lww: a lost version later than the new writer's replaces it; at Strong nothing is put")
{
    for (int is_strong = 0; is_strong <= 1; is_strong++) {
        char value[] = "lww";
        struct world *w = world_new(3, is_strong ? CONSISTENCY_STRONG : CONSISTENCY_SESSION);
        t_err(world_answer(w, world_put(w, 1, 1, "k", "{\"v\":1}")), OK);
        world_plan(w, set, value);
        world_run(w, 300);
        world_set_clock(w, 1, 3600000); /* whatever the new writer does is earlier */
        world_cut_peers(w, 1, true);
        struct world_write *x = world_put(w, 1, 1, "k", "{\"v\":2}");
        world_run(w, 100);
        t_check(x->is_done == !is_strong);
        world_cut_coord(w, 1, true);
        world_until_role(w, 2, ROLE_WRITER);
        t_err(world_answer(w, world_put(w, 2, 1, "k", "{\"v\":3}")), OK);
        world_cut_coord(w, 1, false);
        world_cut_peers(w, 1, false);
        world_until_state(w, 1, REGION_ONLINE_READ);
        world_run(w, 500);
        t_eq_cstr(world_get(w, 1, 1, "k"), is_strong ? "{\"v\":3}" : "{\"v\":2}");
        t_eq_u64(world_conflicts(w, 1, 1), 1);
        t_eq_u64(applied_by(w, 2), !is_strong);
        world_check_same(w);
        world_free(w);
    }
}

static enum err set_quota(struct account_record *rec, void *quota)
{
    return account_plan_diverged(rec, STR("feed"), *(const uint64_t *)quota, NULL);
}

/* Region 1 goes with these many writes of items of its own, comes back, and writes again. */
static void lose_some(struct world *w, unsigned count, const char *prefix)
{
    region_id other = 2;
    world_cut_peers(w, 1, true);
    for (unsigned i = 0; i < count; i++) {
        char key[24];
        (void)snprintf(key, sizeof(key), "%s%u", prefix, i);
        t_err(world_answer(w, world_put(w, 1, 1, key, "{\"lost\":1}")), OK);
    }
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, other, ROLE_WRITER);
    world_cut_peers(w, 1, false);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_failover(w, "east");
    world_until_role(w, 1, ROLE_WRITER);
    world_run(w, 500);
}

static uint64_t archived_of(struct world *w)
{
    struct repl_stats s;
    repl_stats(world_region(w, 1)->repl, &s);
    return s.lost_archived;
}

static void delete_one_record(struct world *w)
{
    struct engine_iter *it =
        engine_scan(world_engine(w, 1), NULL, 1, SPACE_CONFLICT, STR_NONE, STR_NONE);
    struct engine_row row;
    t_check(engine_iter_next(it, &row));
    struct str key = arena_str(&arena, row.key);
    engine_iter_free(it);
    t_err(world_answer(w, world_delete_record(w, 1, 1, arena_cstr(&arena, key))), OK);
    world_run(w, 300);
}

T_TEST(
    "quota: what comes when the feed is full is archived only; a record that is deleted makes room")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    struct repl *r = world_region(w, 1)->repl;
    t_eq_u64(repl_feed_quota(r), 1 << 30);
    lose_some(w, 2, "a");
    r = world_region(w, 1)->repl;
    uint64_t one = repl_feed_size(r) / 2;
    t_check(one > 0);
    t_eq_u64(world_conflicts(w, 1, 1), 2);
    /* Room for a third record, and with that it is full. */
    uint64_t quota = 3 * one;
    world_plan(w, set_quota, &quota);
    lose_some(w, 3, "b");
    r = world_region(w, 1)->repl;
    t_eq_u64(repl_feed_quota(r), quota);
    t_eq_u64(repl_feed_size(r), 3 * one); /* summed up at the start, and counted along */
    t_eq_u64(world_conflicts(w, 1, 1), 3);
    t_eq_u64(archived_of(w), 2);
    t_check(world_has_event(w, 2, EVENT_FEED_FULL) || world_has_event(w, 1, EVENT_FEED_FULL));
    delete_one_record(w);
    t_eq_u64(repl_feed_size(r), 2 * one);
    lose_some(w, 2, "c");
    t_eq_u64(world_conflicts(w, 1, 1), 3);
    t_eq_u64(world_conflicts(w, 2, 1), 3);
    t_eq_u64(repl_feed_size(world_region(w, 2)->repl), 3 * one);
    t_eq_u64(archived_of(w), 1);
    world_check_same(w);
    world_free(w);
}

T_TEST("a region of an older program, which skips what it does not know, hands in all the same")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    w->unknown_type = MSG_LOST_LATEST;
    lose_some(w, 3, "a");
    t_eq_u64(w->sent[MSG_LOST_KEPT], 0);
    t_eq_u64(world_conflicts(w, 1, 1), 3);
    t_eq_u64(world_conflicts(w, 2, 1), 3);
    world_check_same(w);
    world_free(w);
}

/* The new writer, which took over the suffix of region 1, is lost with the records of it. */
T_TEST("archive: records that were in the feed before go there again when they are lost")
{
    struct world *w = lose("feed", false);
    world_cut_peers(w, 2, true);
    struct repl_stats s;
    t_eq_u64(world_conflicts(w, 2, 1), 41);
    char value[] = "archive";
    world_plan(w, set, value);
    world_run(w, 300);
    world_stop(w, 2, /* confirm= */ true);
    world_until_role(w, 1, ROLE_WRITER);
    world_cut_peers(w, 2, false);
    world_start(w, 2);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 500);
    t_eq_u64(world_conflicts(w, 1, 1), 41);
    repl_stats(world_region(w, 2)->repl, &s);
    t_eq_u64(s.lost_archived, 0);
    world_check_same(w);
    world_free(w);
}

T_MAIN()
