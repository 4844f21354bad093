/* Consistency levels of whole regions: changes while running, what writes wait for meanwhile, read
 * leases, and bounded staleness. Random schedules of the same are tests/sim. */
#include "account/region.h"

#include <stdio.h>

#include "lib/t.h"
#include "world.h"

static enum err put(struct world *w, region_id id, const char *key)
{
    return world_answer(w, world_put(w, id, 1, key, "{\"v\":1}"));
}

static void change_level(struct world *w, enum consistency to)
{
    world_level(w, &(struct level_request){.level = to});
}

static void change_bounds(struct world *w, uint64_t ops, uint64_t seconds)
{
    world_level(w, &(struct level_request){CONSISTENCY_BOUNDED_STALENESS, ops, seconds});
}

static enum consistency level_of(struct world *w)
{
    const struct account_record *rec = world_record(w);
    return rec->is_level_changing ? CONSISTENCY_COUNT : rec->level;
}

static void until_level(struct world *w, enum consistency level)
{
    for (unsigned i = 0; i < 600 && level_of(w) != level; i++) {
        world_run(w, 10);
    }
    t_eq_int(level_of(w), level);
    world_run(w, 50); /* everyone has seen it */
}

static bool may_read(struct world *w, region_id id)
{
    return atomic_load(&region_view(world_region(w, id))->fresh_until_us) > w->now;
}

static enum consistency asks_for(struct world *w, region_id id)
{
    return (enum consistency)atomic_load(&region_view(world_region(w, id))->level);
}

T_TEST("Session to Strong: in force only when every region has what was acknowledged before")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_hold_commits(w, 3, true);
    t_err(put(w, 1, "before"), OK); /* Session does not wait for 3 */
    change_level(w, CONSISTENCY_STRONG);
    world_run(w, 300);
    t_eq_int(level_of(w), CONSISTENCY_COUNT); /* changing */
    t_eq_int(asks_for(w, 1), CONSISTENCY_SESSION);
    struct world_write *x = world_put(w, 1, 1, "during", "{}");
    world_run(w, 300);
    t_check(!x->is_done); /* acknowledged as at Strong already */
    world_hold_commits(w, 3, false);
    t_err(world_answer(w, x), OK);
    until_level(w, CONSISTENCY_STRONG);
    t_eq_cstr(world_get(w, 3, 1, "before"), "{\"v\":1}");
    t_eq_int(asks_for(w, 2), CONSISTENCY_STRONG);
    world_run(w, 300);
    t_check(may_read(w, 2) && may_read(w, 3));
    t_eq_u64(world_record(w)->strong_since, 1);
    world_check_same(w);
    world_free(w);
}

T_TEST("a change to Strong outlives its writer and is finished by the next one")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 100);
    world_hold_commits(w, 3, true);
    t_err(put(w, 1, "b"), OK);
    change_level(w, CONSISTENCY_STRONG);
    world_run(w, 100);
    world_stop(w, 1, true);
    world_until_role(w, 2, ROLE_WRITER);
    t_check(world_get(w, 3, 1, "b") == NULL);
    /* The new writer did not acknowledge it itself; whoever did may have told a client. */
    world_run(w, 500);
    t_eq_int(level_of(w), CONSISTENCY_COUNT);
    world_hold_commits(w, 3, false);
    until_level(w, CONSISTENCY_STRONG);
    t_check(world_get(w, 3, 1, "b") != NULL);
    t_eq_u64(world_record(w)->strong_since, 2);
    t_err(put(w, 2, "c"), OK);
    world_free(w);
}

T_TEST("Strong to Session: writes wait for a region until it knows or its read lease is over")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_no_auto(w);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    t_check(may_read(w, 2));
    world_cut_coord(w, 2, true); /* it cannot learn of the change ... */
    change_level(w, CONSISTENCY_SESSION);
    world_run(w, 60);
    t_eq_int(level_of(w), CONSISTENCY_COUNT);
    t_eq_int(asks_for(w, 1), CONSISTENCY_SESSION); /* who knows promises less at once */
    t_eq_int(asks_for(w, 2), CONSISTENCY_STRONG);
    world_hold_commits(w, 2, true);
    struct world_write *x = world_put(w, 1, 1, "b", "{}");
    world_run(w, 300);
    t_check(may_read(w, 2));
    t_check(!x->is_done); /* region 2 would serve a strong read without it */
    until_level(w, CONSISTENCY_SESSION);
    t_check(!may_read(w, 2)); /* ... and is given no lease any more */
    t_err(world_answer(w, x), OK);
    world_free(w);
}

T_TEST("Strong to Session is in force at once when every region knows")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    usec from = w->now;
    change_level(w, CONSISTENCY_SESSION);
    until_level(w, CONSISTENCY_SESSION);
    t_checkf(w->now - from < 900000, "took %llu us", (unsigned long long)(w->now - from));
    world_hold_commits(w, 2, true);
    t_err(put(w, 1, "b"), OK);
    world_free(w);
}

T_TEST("a change that is called off leaves everything as it was")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(put(w, 1, "a"), OK);
    world_hold_commits(w, 2, true);
    t_err(put(w, 1, "b"), OK);
    change_level(w, CONSISTENCY_STRONG);
    struct world_write *x = world_put(w, 1, 1, "c", "{}");
    world_run(w, 200);
    change_level(w, CONSISTENCY_SESSION);
    world_run(w, 100);
    t_eq_int(level_of(w), CONSISTENCY_SESSION);
    t_err(world_answer(w, x), OK); /* durable here is enough again */
    world_free(w);
}

/* ---- Strong when regions are lost (geo-semantics 6.2) ---- */

/* How long the next write takes, from now on; 0: it has no good end. */
static usec stall(struct world *w, region_id writer)
{
    usec from = w->now;
    struct world_write *x = world_put(w, writer, 1, "s", "{}");
    return world_answer(w, x) == OK ? w->now - from : 0;
}

static void lose_reader(size_t regions, bool is_auto, bool is_confirmed, usec max_us)
{
    struct world *w = world_new(regions, CONSISTENCY_STRONG);
    if (!is_auto) {
        world_no_auto(w);
    }
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_stop(w, (region_id)regions, is_confirmed);
    usec took = stall(w, 1);
    t_checkf(took > 0 && took <= max_us, "%zu regions: took %llu us", regions,
             (unsigned long long)took);
    t_eq_int(record_region_const(world_record(w), (region_id)regions)->state, REGION_OFFLINE);
    t_check(stall(w, 1) < 100000);
    world_start(w, (region_id)regions);
    world_until_state(w, (region_id)regions, REGION_ONLINE_READ);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("Strong: a read region that dies stops writes for a read lease at most, a confirmed stop "
       "for less")
{
    lose_reader(3, true, false, 1500000);
    lose_reader(3, false, false, 1500000); /* a minority may leave Q by itself */
    lose_reader(4, false, false, 1500000);
    lose_reader(2, true, false, 1500000);
    lose_reader(3, true, true, 300000);
}

T_TEST("Strong: no more than a minority leaves Q without automatic failover")
{
    struct world *w = world_new(4, CONSISTENCY_STRONG);
    world_no_auto(w);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_stop(w, 4, true);
    t_check(stall(w, 1) > 0);
    t_eq_u64(world_record(w)->q_mask, record_mask(1) | record_mask(2) | record_mask(3));
    world_stop(w, 3, true);
    struct world_write *x = world_put(w, 1, 1, "b", "{}");
    world_run(w, 5000);
    t_check(!x->is_done); /* three of four is the least */
    world_start(w, 3);
    t_err(world_answer(w, x), OK);
    world_free(w);
}

T_TEST(
    "Strong, two regions, no automatic failover: writes stop until an operator takes the other out")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_no_auto(w);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_stop(w, 2, true);
    struct world_write *x = world_put(w, 1, 1, "b", "{}");
    world_run(w, 5000);
    t_check(!x->is_done);
    t_check(!record_is_degraded(world_record(w)));
    world_offline(w, "west");
    t_err(world_answer(w, x), OK);
    t_check(record_is_degraded(world_record(w)));
    t_err(put(w, 1, "c"), OK);
    world_start(w, 2);
    world_online(w, "west");
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 500);
    t_check(!record_is_degraded(world_record(w)));
    world_check_same(w);
    world_free(w);
}

T_TEST("Strong: a region that is cut from the writer alone holds writes up for a read lease")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_cut_peers(w, 3, true); /* it goes on beating */
    usec took = stall(w, 1);
    t_checkf(took > 0 && took <= 1500000, "took %llu us", (unsigned long long)took);
    t_check(!may_read(w, 3));
    world_cut_peers(w, 3, false);
    world_until_state(w, 3, REGION_ONLINE_READ);
    world_free(w);
}

/* The next one counts leases of others from when it opens, which may be any time after it was told what it
 * must have; the old one may not hear of that. */
T_TEST("Strong: who hands over gives no read lease once the next writer may open")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_hold_changes(w, 2, true);
    world_failover(w, "west");
    world_until_role(w, 1, ROLE_HOLDING);
    world_run(w, 100);
    t_check(may_read(w, 3)); /* by a lease from before */
    world_run(w, region_timers_lan.read_lease_ms);
    t_eq_int(region_role(world_region(w, 1)), ROLE_HOLDING);
    t_check(!may_read(w, 3));
    world_hold_changes(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    world_run(w, 500);
    t_check(may_read(w, 3));
    world_free(w);
}

static enum err move_to_west(struct account_record *rec, void *ctx)
{
    return account_plan_partition_failover(rec, 1, STR("west"), false, NULL, (struct errinfo *)ctx);
}

static bool may_read_part(struct world *w, region_id id)
{
    return atomic_load(&region_part(world_region(w, id), 1)->fresh_until_us) > w->now;
}

T_TEST("Strong: so who hands over one partition")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    t_err(put(w, 1, "a"), OK);
    world_run(w, 500);
    world_hold_changes(w, 2, true);
    world_plan(w, move_to_west, NULL);
    world_run(w, region_timers_lan.read_lease_ms);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_TRANSFER);
    t_check(!may_read_part(w, 3));
    world_hold_changes(w, 2, false);
    world_run(w, 1000);
    t_check(may_read_part(w, 3));
    world_free(w);
}

/* ---- bounded staleness ---- */

static struct world *bounded(size_t regions, uint64_t ops, uint64_t seconds)
{
    struct world *w = world_new(regions, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(put(w, 1, "first"), OK);
    change_bounds(w, ops, seconds);
    until_level(w, CONSISTENCY_BOUNDED_STALENESS);
    world_run(w, 500);
    return w;
}

T_TEST("bounded: writes go on until a region lacks K of them, then are refused")
{
    struct world *w = bounded(2, 10, 60);
    world_hold_commits(w, 2, true);
    char key[8];
    for (unsigned i = 0; i < 10; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        usec from = w->now;
        t_err(put(w, 1, key), OK);
        bool was_delayed = w->now - from > 9000;
        t_checkf(was_delayed == (i >= 8), "write %u took %llu us", i,
                 (unsigned long long)(w->now - from));
    }
    struct world_write *over = world_put(w, 1, 1, "over", "{}");
    t_err(world_answer(w, over), ERR_STALENESS_LIMIT);
    t_eq_u64(over->w.throttle.region, 2);
    t_eq_u64(over->w.throttle.ops, 10);
    t_check(over->w.throttle.is_by_ops);
    t_check(world_get(w, 1, 1, "over") == NULL); /* nothing was applied */
    /* Another partition has its own count. */
    (void)region_part(world_region(w, 1), 2);
    (void)region_part(world_region(w, 2), 2);
    t_err(world_answer(w, world_put(w, 1, 2, "other", "{}")), OK);
    world_hold_commits(w, 2, false);
    world_run(w, 300);
    t_err(put(w, 1, "again"), OK);
    world_run(w, 200);
    world_check_same(w);
    world_free(w);
}

T_TEST(
    "bounded: a write that is only delayed is not told at its deadline that the bound is reached")
{
    struct world *w = bounded(2, 10, 60);
    world_hold_commits(w, 2, true);
    for (unsigned i = 0; i < 9; i++) {
        t_err(put(w, 1, "k"), OK);
    }
    struct world_write *x = world_put(w, 1, 1, "late", "{}");
    t_eq_u64(x->w.throttle.ops, 9);
    x->w.deadline_us = w->now;
    t_err(world_answer(w, x), ERR_UNAVAILABLE);
    t_check(world_get(w, 1, 1, "late") == NULL);
    world_free(w);
}

T_TEST("bounded: K = 1 lets one write at a time be on its way")
{
    struct world *w = bounded(2, 1, 60);
    struct world_write *a = world_put(w, 1, 1, "a", "{}");
    struct world_write *b = world_put(w, 1, 1, "b", "{}");
    t_err(world_answer(w, b), ERR_STALENESS_LIMIT);
    t_err(world_answer(w, a), OK);
    world_run(w, 200);
    t_err(put(w, 1, "c"), OK);
    world_free(w);
}

T_TEST("bounded: writes are refused when the oldest missing entry is T old, reads end before")
{
    struct world *w = bounded(2, 1000000, 5);
    t_check(may_read(w, 2));
    world_hold_commits(w, 2, true);
    t_err(put(w, 1, "old"), OK);
    world_run(w, 3000);
    t_err(put(w, 1, "young"), OK);
    t_check(may_read(w, 2));
    world_run(w, 2100);
    struct world_write *x = world_put(w, 1, 1, "late", "{}");
    t_err(world_answer(w, x), ERR_STALENESS_LIMIT);
    t_check(!x->w.throttle.is_by_ops);
    t_check(!may_read(w, 2)); /* what it has is older than T: it must not say so */
    t_check(may_read(w, 1));
    world_hold_commits(w, 2, false);
    world_run(w, 600);
    t_check(may_read(w, 2));
    t_err(put(w, 1, "again"), OK);
    world_free(w);
}

T_TEST("bounded: the lag counts entries although a new epoch jumps over a block of lsns")
{
    struct world *w = bounded(3, 1000, 60);
    world_failover(w, "west");
    world_until_role(w, 2, ROLE_WRITER);
    world_hold_commits(w, 3, true);
    struct world_write *x = world_put(w, 2, 1, "a", "{}");
    t_err(world_answer(w, x), OK);
    t_check(x->w.lsn > 1000000);
    t_check(x->w.throttle.ops < 10);
    world_free(w);
}

T_TEST("bounded: a new writer lets a region read only when it has all that the old one wrote")
{
    struct world *w = bounded(3, 1000, 5);
    world_cut_peers(w, 3, true);
    t_err(put(w, 1, "old"), OK);
    world_run(w, 3000);
    world_failover(w, "west");
    world_until_role(w, 2, ROLE_WRITER);
    world_cut_peers(w, 3, false); /* it says where it is, and then stores nothing more */
    world_run(w, 5);
    world_hold_commits(w, 3, true);
    world_run(w, 2400); /* "old" is more than 5 s old, which nobody at the new writer can know */
    t_check(world_get(w, 3, 1, "old") == NULL);
    t_check(!may_read(w, 3));
    t_check(may_read(w, 1));
    world_hold_commits(w, 3, false);
    world_run(w, 500);
    t_check(may_read(w, 3));
    world_free(w);
}

static enum err force_first(struct account_record *rec, void *ctx)
{
    return account_plan_partition_failover(rec, 1, STR("west"), true, NULL, (struct errinfo *)ctx);
}

static enum err force_second(struct account_record *rec, void *ctx)
{
    return account_plan_partition_failover(rec, 2, STR("west"), true, NULL, (struct errinfo *)ctx);
}

/* West writes the second partition. */
static struct world *split(void)
{
    struct world *w = bounded(3, 1000, 60);
    for (region_id id = 1; id <= 3; id++) {
        (void)region_part(world_region(w, id), 2);
    }
    t_err(world_answer(w, world_put(w, 1, 2, "other", "{}")), OK);
    world_plan(w, force_second, NULL);
    world_run(w, 1000);
    t_eq_int(record_override(world_record(w), 2)->phase, PHASE_OPEN);
    return w;
}

/* Who is to write it gives leases for what it writes, and does not know yet what the others lack. */
T_TEST("bounded: a partition that is not open yet is not read under its next writer's lease")
{
    struct world *w = split();
    world_hold_changes(w, 2, true);
    world_plan(w, force_first, NULL);
    world_run(w, 2 * region_timers_lan.read_lease_ms);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_PROMOTING);
    t_check(!may_read_part(w, 3));
    world_cut_peers(w, 3, true);
    world_hold_changes(w, 2, false);
    world_run(w, 100);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_OPEN);
    t_check(!may_read_part(w, 3)); /* nor then by a lease from before */
    world_cut_peers(w, 3, false);
    world_run(w, 1000);
    t_check(may_read_part(w, 3));
    world_free(w);
}

T_TEST("bounded: nor is an account")
{
    struct world *w = split();
    world_hold_changes(w, 2, true);
    world_offline(w, "east");
    world_run(w, 2 * region_timers_lan.read_lease_ms);
    t_eq_int(world_record(w)->phase, PHASE_PROMOTING);
    t_check(!may_read(w, 3));
    world_hold_changes(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    world_run(w, 1000);
    t_check(may_read(w, 3));
    world_free(w);
}

T_TEST("bounded: with automatic failover a dead reader is taken offline and holds up nobody")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    t_err(put(w, 1, "first"), OK);
    change_bounds(w, 5, 5);
    until_level(w, CONSISTENCY_BOUNDED_STALENESS);
    world_run(w, 500);
    world_stop(w, 2, false);
    for (unsigned i = 0; i < 5; i++) {
        t_err(put(w, 1, "k"), OK);
    }
    t_err(put(w, 1, "k"), ERR_STALENESS_LIMIT);
    world_until_state(w, 2, REGION_OFFLINE);
    world_run(w, 1500); /* its read lease */
    for (unsigned i = 0; i < 20; i++) {
        t_err(put(w, 1, "k"), OK);
    }
    world_start(w, 2);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("bounded: delayed writes are held by a graceful change and refused by the old writer after")
{
    struct world *w = bounded(2, 10, 60);
    world_hold_commits(w, 2, true);
    for (unsigned i = 0; i < 9; i++) {
        t_err(put(w, 1, "k"), OK);
    }
    struct world_write *x = world_put(w, 1, 1, "k", "{}");
    world_run(w, 10);
    t_check(!x->is_done);
    world_failover(w, "west");
    world_run(w, 100);
    world_hold_commits(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    t_err(world_answer(w, x), ERR_NOT_WRITER);
    t_err(put(w, 2, "k"), OK);
    world_free(w);
}

T_TEST("a single region is never behind anybody")
{
    struct world *w = bounded(1, 1, 5);
    for (unsigned i = 0; i < 20; i++) {
        t_err(put(w, 1, "k"), OK);
    }
    change_level(w, CONSISTENCY_STRONG);
    until_level(w, CONSISTENCY_STRONG);
    t_err(put(w, 1, "k"), OK);
    change_level(w, CONSISTENCY_EVENTUAL);
    until_level(w, CONSISTENCY_EVENTUAL);
    t_err(put(w, 1, "k"), OK);
    world_free(w);
}

T_MAIN()
