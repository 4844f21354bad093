/* Taking out the write region, and who is chosen instead: with everything, by accepting a loss, by name. */
#include <string.h>

#include "account/region_int.h"
#include "lib/t.h"
#include "records.h"
#include "world.h"

enum { NOW_MS = 1000000 };

/* Region 1 writes; 2 and 3 are what the tests make of them. */
static struct account_record sample(enum consistency level)
{
    struct account_record r = three_regions("west");
    r.level = level;
    return r;
}

static struct account_beats beats(uint64_t ord1, uint64_t ord2, uint64_t ord3)
{
    struct account_beats b = {0};
    uint64_t ords[] = {0, ord1, ord2, ord3};
    for (region_id id = 1; id <= 3; id++) {
        b.of[id] = (struct account_beat){.is_said = true,
                                         .could_open = true,
                                         .ord = ords[id],
                                         .lease_ms = 500,
                                         .wall_ms = NOW_MS - 100};
    }
    return b;
}

static enum err offline(struct account_record *r, const char *name, struct offline_request q,
                        struct errinfo *ei)
{
    *ei = (struct errinfo){0};
    return account_plan_offline(r, str_of(name), &q, NOW_MS, ei);
}

static void must_check(const struct account_record *r)
{
    char why[256];
    t_check(record_check(r, why));
}

T_TEST("without somebody who has everything it is refused, with who lacks how much")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct account_beats b = beats(100, 30, 60);
    struct errinfo ei;
    record_set_state(&r, 2, REGION_RECOVERING, 9);
    record_set_state(&r, 3, REGION_OFFLINE, 9);
    t_err(offline(&r, "east", (struct offline_request){.beats = &b}, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message, "region east is the only one with all acknowledged data: west is "
                          "RECOVERING and lacks about 70 operations, north is OFFLINE");
    t_check(strstr(ei.hint, "--force") != NULL);
    b.of[1].lags = (struct beat_lags){3, {{3, 7, 90, 99}, {2, 9, 40, 50}, {2, 7, 30, 99}}};
    t_err(offline(&r, "east", (struct offline_request){.beats = &b}, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message,
              "region east is the only one with all acknowledged data: west is "
              "RECOVERING and lacks about 70 operations (partition 9: 40), north is OFFLINE");
    t_eq_int(r.phase, PHASE_OPEN);
    b.of[2].wall_ms = NOW_MS - 2001; /* two leases and a second of clocks */
    t_err(offline(&r, "east", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei),
          ERR_PRECONDITION);
    t_check(strstr(ei.message, "west is not heard of") != NULL);
    t_check(strstr(ei.hint, "--force") == NULL); /* it would not help */
    b.of[2].wall_ms = NOW_MS - 2000;
    b.of[2].could_open = false;
    t_err(offline(&r, "east", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei),
          ERR_PRECONDITION);
    t_check(strstr(ei.message, "west is being copied to, or cleaned up") != NULL);
    t_err(offline(&r, "east", (struct offline_request){.accepts_loss = true}, &ei),
          ERR_PRECONDITION); /* nothing is known */
    must_check(&r);
}

T_TEST("the longest list of regions fits into the refusal")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct errinfo ei;
    for (size_t i = 0; r.region_count < REGIONS_MAX; i++) {
        struct record_region g = {.id = (region_id)(10 + i),
                                  .priority = (uint32_t)r.region_count,
                                  .state = REGION_SEEDING};
        memset(g.name, 'a' + (int)(i % 26), sizeof(g.name) - 1);
        r.next_region_id = g.id + 1;
        record_insert_region(&r, &g);
    }
    record_set_state(&r, 2, REGION_OFFLINE, 9);
    record_set_state(&r, 3, REGION_OFFLINE, 9);
    t_err(offline(&r, "east", (struct offline_request){0}, &ei), ERR_PRECONDITION);
    t_check(str_starts(str_of(ei.message), STR("region east is the only one")));
}

T_TEST("who accepts the loss gets the region that lacks least")
{
    struct account_record r = sample(CONSISTENCY_STRONG);
    struct account_beats b = beats(100, 30, 60);
    struct errinfo ei;
    record_set_state(&r, 2, REGION_RECOVERING, 9);
    record_set_state(&r, 3, REGION_RECOVERING, 9);
    t_ok(offline(&r, "east", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei));
    must_check(&r);
    t_eq_int(r.phase, PHASE_PROMOTING);
    t_eq_u64(r.writer, 3);
    t_eq_u64(r.writer_incarnation, 0);
    t_eq_u64(r.generation, 3);
    t_eq_u64(r.q_mask, 0); /* nobody has all of it: by that the region knows */
    t_eq_u64(r.regions[0].unsent_ops, 40);
    t_check(r.regions[0].is_forced_offline);
    /* It was the wrong one, or does not come: the next. */
    b.of[3].wall_ms = 1;
    t_ok(offline(&r, "north", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei));
    must_check(&r);
    t_eq_u64(r.writer, 2);
    t_eq_u64(r.generation, 4);
    /* The last writer is back after all, and lacks nothing. */
    t_ok(account_plan_online(&r, STR("east"), NOW_MS, NULL));
    record_set_state(&r, 1, REGION_RECOVERING, 9);
    t_ok(offline(&r, "west", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei));
    must_check(&r);
    t_eq_u64(r.writer, 1);
    t_eq_u64(r.q_mask, record_mask(1));
    t_eq_u64(r.regions[1].unsent_ops, 0);
}

T_TEST("a region that lacks nothing goes before one that does, whoever accepts what")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct account_beats b = beats(100, 90, 80);
    struct errinfo ei;
    record_set_state(&r, 2, REGION_RECOVERING, 9);
    t_ok(offline(&r, "east", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei));
    t_eq_u64(r.writer, 3); /* online */
    t_eq_u64(r.q_mask, record_mask(3));
    /* Unless it is away: then it is waited for only by those who accept no loss. */
    struct account_record with = sample(CONSISTENCY_SESSION);
    struct account_record without = with;
    record_set_state(&with, 2, REGION_RECOVERING, 9);
    record_set_state(&without, 2, REGION_RECOVERING, 9);
    b.of[3].is_said = false;
    t_ok(offline(&with, "east", (struct offline_request){.accepts_loss = true, .beats = &b}, &ei));
    t_eq_u64(with.writer, 2);
    t_ok(offline(&without, "east", (struct offline_request){.beats = &b}, &ei));
    t_eq_u64(without.writer, 3);
}

T_TEST("an online region whose documents are not all there is not made the writer")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct account_beats b = beats(100, 100, 90);
    struct errinfo ei;
    b.of[2].could_open = false;
    t_ok(offline(&r, "east", (struct offline_request){.beats = &b}, &ei));
    t_eq_u64(r.writer, 3);
    must_check(&r);
}

T_TEST("a region is named only by who accepts the loss")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct account_beats b = beats(100, 30, 60);
    struct errinfo ei;
    record_set_state(&r, 2, REGION_RECOVERING, 9);
    record_set_state(&r, 3, REGION_OFFLINE, 9);
    struct offline_request q = {.to = STR("west"), .beats = &b};
    t_err(offline(&r, "east", q, &ei), ERR_INVALID);
    q.accepts_loss = true;
    q.to = STR("nowhere");
    t_err(offline(&r, "east", q, &ei), ERR_INVALID);
    t_eq_cstr(ei.message, "no region 'nowhere' in account shop");
    q.to = STR("east");
    t_err(offline(&r, "east", q, &ei), ERR_INVALID);
    q.to = STR("north");
    t_err(offline(&r, "east", q, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message, "region north is OFFLINE: it cannot be the writer");
    q.to = STR("West");
    b.of[2].wall_ms = 1; /* clocks may be wrong: who names it knows */
    t_ok(offline(&r, "east", q, &ei));
    t_eq_u64(r.writer, 2);
}

static const char *read_beat(const char *text, struct account_beats *ret)
{
    struct coord_kv kv = {.key = STR(COORD_PREFIX "shop/beat/2"), .value = str_of(text), .rev = 5};
    beats_read(ret, STR("shop"), &kv, 1);
    return ret->of[2].is_said ? "said" : "unsaid";
}

T_TEST("what a heartbeat says, and what it does not")
{
    struct account_beats b;
    t_eq_cstr(read_beat("{\"could_open\":true,\"is_whole\":false,\"ord\":12,\"wall_ms\":99,"
                        "\"lease_ms\":400}",
                        &b),
              "said");
    t_check(b.of[2].could_open);
    t_eq_u64(b.of[2].ord, 12);
    t_eq_i64(b.of[2].wall_ms, 99);
    t_eq_u64(b.of[2].lease_ms, 400);
    t_eq_cstr(read_beat("{\"is_whole\":true}", &b), "said"); /* of programs before */
    t_check(b.of[2].could_open);
    t_eq_cstr(read_beat("{\"is_whole\":true,\"could_open\":false}", &b), "said");
    t_check(!b.of[2].could_open);
    t_eq_cstr(read_beat("{\"lease_ms\":18446744073709551615,\"wall_ms\":18446744073709551615}", &b),
              "said");
    t_check(!b.of[2].could_open);
    t_eq_i64(b.of[2].wall_ms, 0);
    t_eq_cstr(read_beat("[]", &b), "unsaid");
}

/* ---- with the machine ---- */

static enum err plan_losing(struct account_record *rec, void *ctx)
{
    struct world *w = ctx;
    struct account_beats b = beats(2, 1, 0);
    int64_t wall_ms = (int64_t)(w->now / 1000) + NOW_MS;
    b.of[2].wall_ms = wall_ms;
    b.of[3].is_said = false;
    struct offline_request q = {.accepts_loss = true, .beats = &b};
    return account_plan_offline(rec, STR("east"), &q, wall_ms, NULL);
}

T_TEST("a region that was away opens once the loss is accepted, and what was lost comes back as a "
       "conflict")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_until_role(w, 1, ROLE_WRITER);
    t_ok(world_answer(w, world_put(w, 1, 1, "both", "1")));
    world_stop(w, 2, /* confirm= */ true);
    world_until_state(w, 2, REGION_OFFLINE);
    t_ok(world_answer(w, world_put(w, 1, 1, "alone", "2")));
    world_stop(w, 1, /* confirm= */ true);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_RECOVERING);
    world_run(w, 20000);
    t_eq_int(region_role(world_region(w, 2)), ROLE_RECOVERING); /* it does not by itself */
    uint64_t version = world_record(w)->token_version;
    world_plan(w, plan_losing, w);
    world_until_role(w, 2, ROLE_WRITER);
    const struct account_record *rec = world_record(w);
    t_eq_u64(rec->epochs[rec->epoch_count - 1].opened.rule, RULE_CLAIM_ACCEPTED);
    t_check(rec->epochs[rec->epoch_count - 1].opened.is_lossy);
    t_check(rec->token_version > version);
    t_check((rec->q_mask & record_mask(2)) != 0);
    t_check(world_get(w, 2, 1, "alone") == NULL);
    t_ok(world_answer(w, world_put(w, 2, 1, "after", "3")));
    world_online(w, "east");
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    t_eq_u64(world_conflicts(w, 2, 1), 1);
    world_free(w);
}

T_TEST("whoever was chosen and restarts on the way still knows why")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_until_role(w, 1, ROLE_WRITER);
    world_stop(w, 2, /* confirm= */ true);
    world_until_state(w, 2, REGION_OFFLINE);
    t_ok(world_answer(w, world_put(w, 1, 1, "alone", "2")));
    world_stop(w, 1, /* confirm= */ true);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_RECOVERING);
    world_run(w, 2000);
    world_hold_commits(w, 2, true); /* it claims, and cannot seal */
    world_plan(w, plan_losing, w);
    world_until_role(w, 2, ROLE_PROMOTING);
    world_stop(w, 2, /* confirm= */ true);
    world_start(w, 2);
    world_hold_commits(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    const struct account_record *rec = world_record(w);
    t_eq_u64(rec->epochs[rec->epoch_count - 1].opened.rule, RULE_CLAIM_ACCEPTED);
    world_free(w);
}

T_TEST("what a taken-out writer's successor lacked is said by partition")
{
    struct account_record r = sample(CONSISTENCY_SESSION);
    struct account_record before = r;
    struct account_beats b = beats(100, 30, 60);
    struct errinfo ei;
    struct beat_lags lost;
    b.of[1].lags = (struct beat_lags){3, {{3, 7, 30, 99}, {2, 9, 40, 50}, {2, 7, 30, 99}}};
    account_offline_losses(&before, &r, &b, &lost);
    t_eq_u64(lost.count, 0); /* the same writer */
    t_ok(offline(&r, "east", (struct offline_request){.beats = &b}, &ei));
    t_eq_u64(r.writer, 2);
    account_offline_losses(&before, &r, &b, &lost);
    t_eq_u64(lost.count, 2);
    t_check(lost.of[0].pid == 9 && lost.of[0].ops == 40 && lost.of[1].pid == 7);
}

T_MAIN()
