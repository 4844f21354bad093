/* Regions added, removed and ordered: what is refused and how it is said, what a record keeps, and a
 * copy of all data between real cores. Faults on the way are tests/sim. */
#include <stdio.h>

#include "account/region.h"
#include "base/contract.h"
#include "lib/t.h"
#include "records.h"
#include "world.h"

static struct account_record open_account(void)
{
    return three_regions("West US");
}

T_TEST("a region joins with the next id, last in order, and raises the token version")
{
    struct account_record r = open_account();
    t_ok(account_plan_add(&r, STR("south"), -1, 11, NULL));
    const struct record_region *g = &r.regions[3];
    t_eq_u64(g->id, 4);
    t_eq_int(g->state, REGION_SEEDING);
    t_eq_u64(g->priority, 3);
    t_eq_u64(r.token_version, 1);
    t_eq_u64(r.q_mask & record_mask(4), 0);
    char why[256];
    t_check(record_check(&r, why));
    struct account_record back = through_text(&r);
    t_eq_u64(back.token_version, 1);
    t_eq_u64(back.epochs[0].token_version, 0); /* the epoch was opened before */
}

T_TEST("an addition is refused with a sentence")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    says(account_plan_add(&r, STR("westus"), -1, 1, &ei), ERR_INVALID, &ei,
         "in the account already");
    says(account_plan_add(&r, STR(""), -1, 1, &ei), ERR_INVALID, &ei, "name");
    says(account_plan_add(&r, STR("a/b"), -1, 1, &ei), ERR_INVALID, &ei, "letters");
    says(account_plan_add(&r, STR(" "), -1, 1, &ei), ERR_INVALID, &ei, "letters");
    says(account_plan_add(&r, STR("south"), 0, 1, &ei), ERR_INVALID, &ei, "write region");
    char name[RECORD_NAME_MAX + 1];
    memset(name, 'a', RECORD_NAME_MAX);
    struct account_record longest = r;
    t_ok(account_plan_add(&longest, str_make(name, RECORD_NAME_MAX - 1), -1, 1, NULL));
    t_err(account_plan_add(&r, str_make(name, RECORD_NAME_MAX), -1, 1, NULL), ERR_INVALID);
    struct account_record moving = r;
    t_ok(account_plan_failover(&moving, STR("north"), 1, NULL));
    says(account_plan_add(&moving, STR("south"), -1, 1, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "change of the write region");
    struct account_record joining = r;
    t_ok(account_plan_add(&joining, STR("south"), 1, 1, NULL));
    t_eq_cstr(joining.regions[1].name, "south");
    says(account_plan_add(&joining, STR("center"), -1, 1, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "region south is being added");
}

/* A region that joined is online, so that the next one may. */
static enum err add_at_once(struct account_record *r, const char *name, struct errinfo *ei)
{
    TRY(account_plan_add(r, str_of(name), -1, 1, ei));
    record_set_state(r, record_region_by_name(r, str_of(name))->id, REGION_ONLINE_READ, 2);
    return OK;
}

T_TEST("32 regions at a time and 63 names ever, not one more; names that were there come back")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    char name[16];
    char why[256];
    for (unsigned i = 4; i <= REGIONS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "r%u", i);
        t_ok(add_at_once(&r, name, &ei));
    }
    t_check(record_check(&r, why));
    says(add_at_once(&r, "one-more", &ei), ERR_LIMIT, &ei, "32 at a time, 63 names ever");
    for (unsigned i = REGIONS_MAX + 1; i <= REGION_ID_MAX; i++) {
        (void)snprintf(name, sizeof(name), "r%u", i - 1);
        record_remove_region(&r, i - 1);
        (void)snprintf(name, sizeof(name), "r%u", i);
        t_ok(add_at_once(&r, name, &ei));
    }
    t_check(record_check(&r, why));
    t_eq_u64(record_region_by_name(&r, STR("r63"))->id, REGION_ID_MAX);
    record_remove_region(&r, REGION_ID_MAX);
    says(add_at_once(&r, "one-more", &ei), ERR_LIMIT, &ei, "32 at a time, 63 names ever");
    t_ok(add_at_once(&r, "r40", &ei));
    t_eq_u64(record_region_by_name(&r, STR("r40"))->id, 40);
    (void)through_text(&r);
}

T_TEST("an account is made with 32 regions, not with 33")
{
    struct account_record r;
    struct errinfo ei = {0};
    char name[16];
    account_init(&r, "shop", CONSISTENCY_SESSION);
    for (unsigned i = 1; i <= REGIONS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "r%u", i);
        t_ok(account_add_region(&r, name, "http://h/", "h:1", 5, &ei));
    }
    says(account_add_region(&r, "one-more", "http://h/", "h:1", 5, &ei), ERR_LIMIT, &ei,
         "32 at a time, 63 names ever");
}

T_TEST("a removal drains first, and what must not go is refused")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    says(account_plan_remove(&r, STR("east"), true, 1, &ei), ERR_INVALID, &ei,
         "takes the account's");
    says(account_plan_remove(&r, STR("center"), true, 1, &ei), ERR_INVALID, &ei, "no region");
    struct account_record out = r;
    record_set_state(&out, 2, REGION_OFFLINE, 1);
    says(account_plan_remove(&out, STR("north"), false, 1, &ei), ERR_PRECONDITION, &ei,
         "region West US is OFFLINE");
    out.regions[1].unsent_ops = 12;
    says(account_plan_remove(&out, STR("West US"), false, 1, &ei), ERR_PRECONDITION, &ei,
         "about 12 acknowledged operations");
    t_ok(account_plan_remove(&out, STR("West US"), true, 1, NULL));
    t_eq_int(out.regions[1].state, REGION_DRAINING);
    t_eq_u64(out.token_version, 1);
    t_ok(account_plan_remove(&out, STR("West US"), false, 1, NULL)); /* as asked for */
    t_eq_u64(out.token_version, 1);
    says(account_plan_remove(&out, STR("north"), false, 1, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "being removed");
    struct account_record one = r;
    record_remove_region(&one, 2);
    record_remove_region(&one, 3);
    says(account_plan_remove(&one, STR("east"), true, 1, &ei), ERR_INVALID, &ei, "the last one");
}

T_TEST("taking a region offline goes before any other operation")
{
    struct account_record r = open_account();
    t_ok(account_plan_add(&r, STR("south"), -1, 1, NULL));
    t_ok(account_plan_offline(&r, STR("north"), &(struct offline_request){0}, 2, NULL));
    t_ok(account_plan_offline(&r, STR("east"), &(struct offline_request){0}, 2,
                              NULL)); /* the writer */
    t_eq_int(r.phase, PHASE_PROMOTING);
    t_eq_u64(r.writer, 2);
    struct account_record moving = open_account();
    t_ok(account_plan_failover(&moving, STR("north"), 1, NULL));
    t_ok(account_plan_offline(&moving, STR("north"), &(struct offline_request){0}, 2, NULL));
    t_eq_int(moving.phase, PHASE_PROMOTING);
    char why[256];
    t_check(record_check(&r, why) && record_check(&moving, why));
}

T_TEST("a region that was removed comes back under its old id")
{
    struct account_record r = open_account();
    record_remove_region(&r, 2);
    t_eq_u64(r.former_count, 1);
    t_eq_u64(r.regions[1].priority, 1);
    struct account_record back = through_text(&r);
    t_golden("record-v3.json", encode(&back));
    t_ok(account_plan_add(&back, STR("other"), -1, 1, NULL));
    t_eq_u64(back.regions[2].id, 4); /* not the former one's */
    record_set_state(&back, 4, REGION_ONLINE_READ, 1);
    t_ok(account_plan_add(&back, STR("WESTUS"), 1, 1, NULL));
    t_eq_u64(back.regions[1].id, 2);
    t_eq_u64(back.former_count, 0);
    t_eq_u64(back.token_version, 2);
}

T_TEST("another order of the regions; another first one is a change of the write region")
{
    struct account_record r = open_account();
    struct errinfo ei = {0};
    const struct str same[] = {STR("east"), STR("north"), STR("west us")};
    t_ok(account_plan_priorities(&r, same, 3, 1, NULL));
    t_eq_cstr(r.regions[1].name, "north");
    t_eq_int(r.phase, PHASE_OPEN);
    t_eq_u64(r.token_version, 0);
    const struct str other[] = {STR("West US"), STR("east"), STR("north")};
    says(account_plan_priorities(&r, other, 2, 1, &ei), ERR_INVALID, &ei, "all 3 regions");
    const struct str twice[] = {STR("east"), STR("east"), STR("north")};
    says(account_plan_priorities(&r, twice, 3, 1, &ei), ERR_INVALID, &ei, "named twice");
    struct account_record out = r;
    record_set_state(&out, 3, REGION_OFFLINE, 1);
    says(account_plan_priorities(&out, other, 3, 1, &ei), ERR_PRECONDITION, &ei,
         "region north is OFFLINE");
    t_ok(account_plan_priorities(&r, other, 3, 1, NULL));
    t_eq_int(r.phase, PHASE_TRANSFER);
    t_eq_u64(r.transfer_to, 2);
    says(account_plan_priorities(&r, same, 3, 1, &ei), ERR_CONFLICTING_OPERATION, &ei,
         "is running");
}

T_TEST("what a region could not send is kept, also where no region ever left")
{
    struct account_record r = open_account();
    r.regions[2].unsent_ops = 7;
    struct account_record back = through_text(&r);
    t_eq_u64(back.regions[2].unsent_ops, 7);
    t_eq_u64(record_format(&back), 3);
}

T_TEST("a record about regions that is damaged is refused")
{
    struct account_record r = open_account();
    record_remove_region(&r, 2);
    r.regions[1].needs_full_copy = true;
    r.regions[1].unsent_ops = 5;
    struct account_record back = through_text(&r);
    t_check(back.regions[1].needs_full_copy);
    t_eq_u64(back.regions[1].unsent_ops, 5);
    static const char *const bad[][2] = {
        {"\"former\":[[2", "\"former\":[[9"},
        {"\"former\":[[2,\"West US\"", "\"former\":[[2,\"north\""},
        {"\"former\":[[2", "\"former\":[[3"},
        {"\"needs_full_copy\":[3", "\"needs_full_copy\":[2"},
        {"\"unsent_ops\":[[3", "\"unsent_ops\":[[2"},
        {"\"token_versions\":[0", "\"token_versions\":[1"},
        {"\"token_versions\":[0", "\"token_versions\":[0,0"},
        {"\"topology\":{", "\"topology\":{\"new\":1,"},
    };
    struct buf text;
    buf_init(&text, 1 << 20);
    record_encode(&r, &text);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        ptrdiff_t at = str_find(buf_str(&text), str_of(bad[i][0]));
        t_checkf(at >= 0, "looking for %s", bad[i][0]);
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_add(&b, text.p, (size_t)at);
        buf_add_cstr(&b, bad[i][1]);
        size_t rest = (size_t)at + strlen(bad[i][0]);
        buf_add(&b, text.p + rest, text.n - rest);
        struct account_record got;
        t_checkf(record_decode(&arena, buf_str(&b), &got, NULL) != OK, "%s was read", bad[i][1]);
        buf_done(&b);
    }
    buf_done(&text);
}

/* ---- between cores ---- */

static enum err add(struct account_record *rec, void *name)
{
    return account_plan_add(rec, str_of((const char *)name), -1, 1, NULL);
}

static enum err drop(struct account_record *rec, void *name)
{
    return account_plan_remove(rec, str_of((const char *)name), true, 1, NULL);
}

static void fill(struct world *w, region_id at, const char *prefix, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "%s%03u", prefix, i);
        t_err(world_answer(w, world_put(w, at, 1, key, "{\"v\":1}")), OK);
    }
}

static bool is_gone(struct world *w, const char *name)
{
    struct account_record copy = *world_record(w);
    return record_region_by_name(&copy, str_of(name)) == NULL;
}

static void until_gone(struct world *w, const char *name)
{
    for (unsigned i = 0; i < 1000 && !is_gone(w, name); i++) {
        world_run(w, 10);
    }
    t_check(is_gone(w, name));
}

T_TEST("a new region gets all data and is shown only then")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, "k", 40);
    region_id id = world_machine(w);
    static char name[] = "south";
    world_plan(w, add, name);
    world_run(w, 300);
    t_eq_int(record_region_const(world_record(w), id)->state, REGION_SEEDING);
    world_start(w, id);
    world_until_state(w, id, REGION_ONLINE_READ);
    t_eq_cstr(world_get(w, id, 1, "k007"), "{\"v\":1}");
    fill(w, 1, "later", 3);
    world_run(w, 300);
    world_check_same(w);
    world_free(w);
}

T_TEST("a region whose log was trimmed away copies only what differs, its suffix first")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, "k", 60);
    world_run(w, 300);
    world_cut_peers(w, 1, true);
    fill(w, 1, "only-here", 3); /* acknowledged by region 1 alone */
    world_stop(w, 1, true);
    world_until_role(w, 2, ROLE_WRITER);
    world_stop(w, 2, false); /* its log has a budget now */
    w->log_size_max = 4000;
    world_start(w, 2);
    world_until_role(w, 2, ROLE_WRITER);
    fill(w, 2, "new", 60);
    world_run(w, 8000);
    t_check(record_region_const(world_record(w), 1)->needs_full_copy);
    world_cut_peers(w, 1, false);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    t_check(world_has_event(w, 1, EVENT_SEED));
    t_check(!record_region_const(world_record(w), 1)->needs_full_copy);
    t_eq_u64(world_conflicts(w, 2, 1), 3);
    t_check(world_get(w, 1, 1, "only-here000") == NULL);
    world_run(w, 300);
    world_check_same(w);
    world_free(w);
}

T_TEST("without automatic failover the log's budget ends what is kept for a dead reader")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, "k", 10);
    world_run(w, 300);
    world_no_auto(w);
    world_stop(w, 2, false);
    world_stop(w, 1, false); /* its log has a budget now */
    w->log_size_max = 4000;
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    world_run(w, 8000);
    t_eq_int(record_region_const(world_record(w), 2)->state,
             REGION_ONLINE_READ); /* nobody's affair */
    fill(w, 1, "new", 140);
    world_run(w, 8000);
    t_check(record_region_const(world_record(w), 2)->needs_full_copy);
    t_eq_int(record_region_const(world_record(w), 2)->state, REGION_OFFLINE);
    world_start(w, 2);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 300);
    world_check_same(w);
    world_free(w);
}

/* A copy of 200 documents, of which the region has 60, and 60 more are written meanwhile. */
static void copy_all(struct world *w)
{
    fill(w, 1, "k", 60);
    world_run(w, 300);
    world_stop(w, 2, true);
    world_stop(w, 1, false); /* its log has a budget now */
    w->log_size_max = 4000;
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    fill(w, 1, "new", 140);
    world_run(w, 8000);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_RECOVERING);
    fill(w, 1, "k", 30);
    fill(w, 1, "later", 30);
    world_until_state(w, 2, REGION_ONLINE_READ);
    t_check(world_has_event(w, 2, EVENT_SEED));
    world_run(w, 300);
    world_check_same(w);
}

T_TEST("a copy asks for ranges ahead and comes in pieces of them")
{
    /* Three documents a piece, and three sums a question: more than twenty of either. */
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    w->copy_docs_max = 3;
    copy_all(w);
    t_check(w->sent[MSG_SEED_FEED] >= 20);
    t_check(w->sent[MSG_SEED_PIECE] >= 40);
    t_check(w->sent[MSG_SEED_PIECE] > w->sent[MSG_SEED_FEED]);
    t_check(w->sent[MSG_SEED_GOT] <= w->sent[MSG_SEED_PIECE]);
    t_eq_u64(w->sent[MSG_SEED_GET], 0);
    world_free(w);
}

T_TEST("a writer of an older program is asked for one range at a time")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    w->copy_docs_max = 3;
    w->unknown_type = MSG_SEED_FEED;
    copy_all(w);
    t_check(w->sent[MSG_SEED_GET] >= 40);
    t_check(w->sent[MSG_SEED_DOCS] >= 40);
    t_eq_u64(w->sent[MSG_SEED_PIECE], 0);
    world_free(w);
}

T_TEST("a copy in one piece, as large as it may be")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    copy_all(w);
    t_check(w->sent[MSG_SEED_PIECE] > 0);
    world_free(w);
}

static size_t log_count(struct world *w, region_id id)
{
    struct engine_iter *it = engine_scan_log(world_engine(w, id), NULL, 1, 1);
    struct engine_row row;
    size_t n = 0;
    while (engine_iter_next(it, &row)) {
        n++;
    }
    t_ok(engine_iter_err(it, NULL));
    engine_iter_free(it);
    return n;
}

T_TEST("the log is trimmed as fast as it was written, not a slice a second")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    for (unsigned i = 0; i < 3000; i += 100) {
        struct world_write *writes[100];
        for (unsigned k = 0; k < 100; k++) {
            char key[32];
            (void)snprintf(key, sizeof(key), "k%04u", i + k);
            writes[k] = world_put(w, 1, 1, key, "{}");
        }
        for (unsigned k = 0; k < 100; k++) {
            t_err(world_answer(w, writes[k]), OK);
        }
    }
    t_check(log_count(w, 1) >= 3000);
    world_run(w, 62000); /* the newest is older than it is kept, by less than two seconds */
    t_check(log_count(w, 1) < 10);
    t_check(log_count(w, 2) < 10);
    world_free(w);
}

T_TEST("a region that leaves is gone once it knows, and comes back with its data")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    fill(w, 1, "k", 10);
    static char name[] = "north";
    t_eq_cstr(record_region_const(world_record(w), 3)->name, name);
    world_plan(w, drop, name);
    world_run(w, 50);
    until_gone(w, name);
    t_eq_int(region_role(world_region(w, 3)), ROLE_OFFLINE);
    fill(w, 1, "without", 5);
    world_plan(w, add, name);
    world_until_state(w, 3, REGION_ONLINE_READ);
    t_eq_cstr(world_get(w, 3, 1, "without004"), "{\"v\":1}");
    t_eq_u64(world_record(w)->token_version, 2);
    fill(w, 1, "again", 2);
    world_check_same(w);
    world_free(w);
}

/* North has shown a write that never became durable at the writer, and is gone when that one starts again. */
T_TEST("a writer that starts again after a region has left counts as one that lost something")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    static char name[] = "north";
    fill(w, 1, "k", 3);
    world_no_auto(w);
    world_run(w, 300);
    world_cut_peers(w, 2, true);
    world_hold_commits(w, 1, true);
    (void)world_put(w, 1, 1, "shown", "{}");
    world_run(w, 50);
    t_check(world_get(w, 3, 1, "shown") != NULL);
    world_plan(w, drop, name);
    until_gone(w, name);
    uint64_t before = world_record(w)->token_version;
    world_stop(w, 1, /* confirm= */ true);
    world_hold_commits(w, 1, false);
    world_cut_peers(w, 2, false);
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    t_check(world_get(w, 1, 1, "shown") == NULL);
    t_eq_u64(world_record(w)->token_version, before + 1);
    world_free(w);
}

T_MAIN()
