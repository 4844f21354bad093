/* Damage of a partition in a region that does not write it, whole regions, scripted. */
#include <stdio.h>

#include "account/region_int.h"
#include "lib/t.h"
#include "repl/repl_int.h"
#include "world.h"

static enum err automatic(struct account_record *rec, void *ctx)
{
    (void)ctx; /* nothing to say */
    return account_plan_partition_auto(rec, true, NULL);
}

static void damage(struct world *w, region_id id, pid p)
{
    engine_spoil(world_engine(w, id), p);
    region_part_unreadable(world_region(w, id), p, &(struct errinfo){.message = "by the test"});
}

static bool is_readable(struct world *w, region_id id, pid p)
{
    return (atomic_load(&region_part(world_region(w, id), p)->flags) & PART_READABLE) != 0;
}

/* Until it may be read there again; the record has a row meanwhile, which changes nothing else. */
static void until_repaired(struct world *w, region_id id, const struct account_record *before)
{
    bool had_row = false;
    for (unsigned i = 0; i < 4000 && !is_readable(w, id, 1); i++) {
        world_run(w, 5);
        const struct record_override *o = record_override(world_record(w), 1);
        if (o != NULL) {
            had_row = true;
            t_eq_u64(o->writer, before->writer);
            t_eq_u64(o->generation, before->generation);
            t_eq_u64(o->epoch, before->epoch);
        }
    }
    t_check(is_readable(w, id, 1));
    t_check(had_row);
    t_eq_u64(engine_spoiled(world_engine(w, id)), 0);
}

static void put_some(struct world *w, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char key[8] = {(char)('a' + i), 0};
        t_err(world_answer(w, world_put(w, 1, 1, key, "{}")), OK);
    }
}

static void repair(enum consistency level, size_t regions)
{
    struct world *w = world_new(regions, level);
    world_plan(w, automatic, NULL);
    put_some(w, 8);
    world_run(w, 500);
    struct account_record before = *world_record(w);
    damage(w, 2, 1);
    t_check(!is_readable(w, 2, 1));
    until_repaired(w, 2, &before);
    t_check(world_get(w, 2, 1, "h") != NULL);
    put_some(w, 1);
    world_run(w, 1000);
    t_eq_u64(world_record(w)->override_count, 0);
    t_eq_u64(world_record(w)->generation, before.generation);
    t_eq_u64(world_record(w)->token_version, before.token_version);
    t_eq_int(region_role(world_region(w, 1)), ROLE_WRITER);
    t_err(world_answer(w, world_put(w, 1, 1, "z", "{}")), OK);
    world_run(w, 500);
    t_check(world_get(w, 2, 1, "z") != NULL);
    world_check_same(w);
    world_free(w);
}

T_TEST("a reader's damaged partition is copied anew, and its row goes")
{
    repair(CONSISTENCY_SESSION, 2);
    repair(CONSISTENCY_SESSION, 3);
    repair(CONSISTENCY_STRONG, 3);
}

static void stays(struct world *w)
{
    put_some(w, 2);
    world_run(w, 300);
    damage(w, 2, 1);
    world_run(w, 5000);
    t_check(!is_readable(w, 2, 1));
    t_check(world_has_event(w, 2, EVENT_CORRUPT));
    t_eq_u64(world_record(w)->override_count, 0);
    t_check(world_get(w, 1, 1, "b") != NULL);
    world_free(w);
}

T_TEST("it is only reported while the automatic is off")
{
    stays(world_new(3, CONSISTENCY_SESSION));
}

/* The copy would hold up all writes of the partition. */
T_TEST("it is only reported at Strong with two regions")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_plan(w, automatic, NULL);
    stays(w);
}

T_TEST("damaged metadata is never deleted")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    t_err(world_answer(w, world_put(w, 1, 0, "a", "{}")), OK);
    world_run(w, 300);
    damage(w, 2, 0);
    world_run(w, 3000);
    engine_spoil(world_engine(w, 2), 0);
    t_check(world_get(w, 2, 0, "a") != NULL);
    t_eq_u64(world_record(w)->override_count, 0);
    t_check(!repl_is_whole(world_region(w, 2)->repl));
    world_free(w);
}

/* What it lacks others have: its writes go on until they have all of it. */
T_TEST("a writer that cannot read its metadata hands over and does not get the role back")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    put_some(w, 8);
    t_err(world_answer(w, world_put(w, 1, 0, "a", "{}")), OK);
    damage(w, 1, 0);
    t_err(world_answer(w, world_put(w, 1, 1, "still", "{}")), OK);
    world_until_role(w, 2, ROLE_WRITER);
    const struct account_record *rec = world_record(w);
    t_check(!rec->epochs[rec->epoch_count - 1].opened.is_lossy);
    t_check(world_get(w, 2, 1, "still") != NULL);
    world_stop(w, 2, /* confirm= */ true);
    world_run(w, 20000);
    t_eq_u64(world_record(w)->writer, 2);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_WRITER);
    world_free(w);
}

/* East wrote it; west was chosen, and finds that it cannot read it either; nor can north. East comes back
 * with what its disk has after all: with it everything that was ever acknowledged. */
static void old_holder(enum consistency level)
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    if (level != CONSISTENCY_SESSION) {
        world_level(w, &(struct level_request){.level = level});
        world_run(w, 3000);
        t_eq_int(world_record(w)->level, level);
    }
    world_plan(w, automatic, NULL);
    put_some(w, 8);
    world_run(w, 500);
    world_cut_coord(w, 2, true);
    damage(w, 1, 1);
    for (unsigned i = 0; i < 200 && world_record(w)->override_count == 0; i++) {
        world_run(w, 5);
    }
    damage(w, 2, 1);
    damage(w, 3, 1);
    world_cut_coord(w, 2, false);
    world_run(w, 1000);
    const struct record_override *o = record_override(world_record(w), 1);
    t_check(o != NULL);
    t_eq_int(o->phase, PHASE_PROMOTING);
    t_eq_u64(o->holder, 1);
    world_stop(w, 1, /* confirm= */ true);
    world_until_state(w, 1, REGION_OFFLINE);
    engine_spoil(world_engine(w, 1), 0);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    for (unsigned i = 0; i < 6000 && !(is_readable(w, 2, 1) && is_readable(w, 3, 1)); i++) {
        world_run(w, 5);
    }
    t_check(world_get(w, 2, 1, "h") != NULL);
    t_check(is_readable(w, 3, 1));
    t_eq_u64(world_conflicts(w, 2, 1), 0);
    world_check_same(w);
    world_free(w);
}

T_TEST("who wrote a partition last comes back while nobody can take it")
{
    old_holder(CONSISTENCY_SESSION);
    old_holder(CONSISTENCY_BOUNDED_STALENESS);
    old_holder(CONSISTENCY_STRONG);
}

static enum err move_to_north(struct account_record *rec, void *ctx)
{
    (void)ctx;
    return account_plan_partition_failover(rec, 1, STR("north"), /* force= */ false, NULL, NULL);
}

/* East was taken offline while the partition went to north. Neither north nor west can use it, and nobody
 * but east can give them what they lack. */
static void old_giver(enum consistency level)
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_level(w, &(struct level_request){.level = level});
    world_run(w, 3000);
    t_eq_int(world_record(w)->level, level);
    put_some(w, 8);
    world_run(w, 500);
    damage(w, 2, 1);
    damage(w, 3, 1);
    world_plan(w, move_to_north, NULL);
    world_offline(w, "east");
    world_run(w, 2000);
    const struct record_override *o = record_override(world_record(w), 1);
    t_check(o != NULL);
    t_eq_int(o->phase, PHASE_TRANSFER);
    t_eq_u64(o->holder, 1);
    t_check(world_record(w)->writer != 1);
    world_online(w, "east");
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_plan(w, automatic, NULL);
    for (unsigned i = 0; i < 6000 && !(is_readable(w, 2, 1) && is_readable(w, 3, 1)); i++) {
        world_run(w, 5);
    }
    t_check(world_get(w, 2, 1, "h") != NULL);
    t_check(world_get(w, 3, 1, "h") != NULL);
    world_check_same(w);
    world_free(w);
}

T_TEST("who was giving a partition away comes back while the other region cannot take it")
{
    old_giver(CONSISTENCY_BOUNDED_STALENESS);
    old_giver(CONSISTENCY_STRONG);
}

/* Nor is anything deleted that nobody else has. */
T_TEST("nothing is deleted while the writer says that it cannot read the partition either")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    put_some(w, 2);
    world_run(w, 300);
    damage(w, 2, 1);
    damage(w, 1, 1);
    world_run(w, 3000);
    engine_spoil(world_engine(w, 1), 0);
    engine_spoil(world_engine(w, 2), 0);
    t_check(world_get(w, 1, 1, "a") != NULL);
    t_check(world_get(w, 2, 1, "a") != NULL);
    world_free(w);
}

/* Entries are shipped before they are durable at the writer, which ends and has lost one of them. */
T_TEST("nothing is deleted before the writer has all of it in storage")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    put_some(w, 2);
    world_run(w, 300);
    world_hold_commits(w, 1, true);
    (void)world_put(w, 1, 1, "shown", "{}");
    world_run(w, 100);
    t_check(world_get(w, 2, 1, "shown") != NULL);
    damage(w, 2, 1);
    world_run(w, 1500);
    t_check(repl_has_docs(repl_find(world_region(w, 2)->repl, 1)));
    world_stop(w, 1, /* confirm= */ true);
    world_hold_commits(w, 1, false);
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    for (unsigned i = 0; i < 4000 && !is_readable(w, 2, 1); i++) {
        world_run(w, 5);
    }
    t_check(is_readable(w, 2, 1));
    t_check(world_get(w, 1, 1, "shown") == NULL);
    t_eq_u64(world_conflicts(w, 1, 1), 1);
    world_run(w, 2000);
    world_check_same(w);
    world_free(w);
}

static void put_many(struct world *w, const char *prefix, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%s%03u", prefix, i);
        t_err(world_answer(w, world_put(w, 1, 1, key, "{}")), OK);
    }
}

/* West was away for longer than the log is kept. What it had, and what the copy has brought, is deleted. */
T_TEST("a copy that meets damage begins anew and counts nothing twice")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    w->copy_docs_max = 3;
    put_many(w, "k", 60);
    world_run(w, 300);
    world_stop(w, 2, /* confirm= */ true);
    world_stop(w, 1, /* confirm= */ false); /* its log has a budget now */
    w->log_size_max = 4000;
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    put_many(w, "new", 140);
    world_run(w, 8000);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_RECOVERING);
    const struct partition *p = repl_find(world_region(w, 2)->repl, 1);
    while (!seed_is_on(p)) {
        world_run(w, 5);
    }
    world_run(w, 20);
    t_check(seed_is_on(p) && p->item_count > 0);
    damage(w, 2, 1);
    world_until_state(w, 2, REGION_ONLINE_READ);
    t_eq_u64(engine_spoiled(world_engine(w, 2)), 0);
    world_run(w, 300);
    t_eq_u64(p->item_count, 200);
    world_check_same(w);
    world_free(w);
}

/* The writer dies for good when the copy has just begun: the region takes the account over all the same,
 * and waits for what it lacks. */
T_TEST("a region that is being repaired takes the account over without the partition")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    w->copy_docs_max = 1;
    world_stop(w, 1, /* confirm= */ false);
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    put_some(w, 8);
    world_run(w, 300);
    damage(w, 2, 1);
    for (unsigned i = 0; i < 4000 && repl_has_docs(repl_find(world_region(w, 2)->repl, 1)); i++) {
        world_run(w, 5);
    }
    t_check(!repl_has_docs(repl_find(world_region(w, 2)->repl, 1)));
    world_cut_peers(w, 2, true);
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_WRITER);
    t_check(!is_readable(w, 2, 1));
    t_check(world_get(w, 2, 1, "h") == NULL);
    t_eq_u64(world_record(w)->override_count, 1);
    world_cut_peers(w, 2, false);
    world_start(w, 1);
    for (unsigned i = 0; i < 8000 && !is_readable(w, 2, 1); i++) {
        world_run(w, 5);
    }
    t_check(world_get(w, 2, 1, "h") != NULL);
    world_run(w, 2000);
    world_check_same(w);
    world_free(w);
}

T_MAIN()
