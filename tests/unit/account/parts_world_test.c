/* Partitions with a writer of their own, whole regions, scripted: stories that a random schedule has
 * found or could find. What the record can say of them is parts_test.c. */
#include <stdio.h>

#include "account/region_int.h"
#include "base/contract.h"
#include "lib/t.h"
#include "repl/repl_int.h"
#include "world.h"

static enum err force_to(struct account_record *rec, void *ctx)
{
    return account_plan_partition_failover(rec, 1, str_of((const char *)ctx), true, NULL, NULL);
}

/* The record has the region as partition 1's writer, under an epoch of the partition's own. */
static void until_part_writer(struct world *w, region_id id)
{
    for (unsigned i = 0; i < 6000; i++) {
        const struct record_override *o = record_override(world_record(w), 1);
        if (o != NULL && o->phase == PHASE_OPEN && o->writer == id && o->holder == id) {
            world_run(w, 20);
            return;
        }
        world_run(w, 5);
    }
    t_checkf(false, "region %u does not write partition 1", id);
}

static void force(struct world *w, region_id id)
{
    static char names[][8] = {"", "east", "west", "north", "south"};
    t_eq_cstr(record_region_const(world_record(w), id)->name, names[id]);
    world_plan(w, force_to, names[id]);
    until_part_writer(w, id);
}

static uint64_t shown(struct world *w, region_id id)
{
    return atomic_load(&region_part(world_region(w, id), 1)->token_version);
}

/* North writes partition 1 and is gone after the account's writer is; south reads. What the account
 * lost meanwhile took nothing from the partition. */
T_TEST("a partition's token version does not fall when a loss of the account is none of its own")
{
    struct world *w = world_new(4, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 3);
    t_err(world_answer(w, world_put(w, 3, 1, "b", "{}")), OK);
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_WRITER);
    world_run(w, 500);
    t_eq_u64(world_record(w)->token_version, 2);
    t_eq_u64(shown(w, 4), 2);
    world_cut_peers(w, 4, true);
    world_stop(w, 3, /* confirm= */ true);
    until_part_writer(w, 2);
    t_eq_u64(record_override(region_record(world_region(w, 4)), 1)->lossy_version, 3);
    t_eq_u64(shown(w, 4), 2);
    world_cut_peers(w, 4, false);
    world_run(w, 500);
    t_eq_u64(shown(w, 4), 3);
    world_free(w);
}

/* The record has a partition's last loss only: south cannot see from it that there was another one. */
T_TEST("a reader that lacks two losses of a partition shows the version before the first")
{
    struct world *w = world_new(4, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 200);
    t_eq_u64(shown(w, 4), 0);
    world_cut_peers(w, 4, true);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    force(w, 3);
    t_eq_u64(world_record(w)->token_version, 2);
    t_eq_u64(shown(w, 4), 0);
    world_stop(w, 4, /* confirm= */ true); /* nor does it know after a restart */
    world_start(w, 4);
    world_run(w, 200);
    t_check(region_part(world_region(w, 4), 1) != NULL);
    t_eq_u64(shown(w, 4), 0);
    world_cut_peers(w, 4, false);
    world_run(w, 1000);
    t_eq_u64(shown(w, 4), world_record(w)->token_version);
    world_free(w);
}

/* As at a start: all keys in their order, heartbeats before the record. */
static void tell_all(struct world *w, region_id id)
{
    const struct coord_kv *kvs = NULL;
    size_t count = coord_store_read(w->store, STR(COORD_PREFIX), &w->arena, &kvs);
    for (size_t i = 0; i < count; i++) {
        region_on_kv(world_region(w, id), &kvs[i]);
    }
}

/* South sees the row first in a record that has the loss already. By the account's reign, which the
 * partition leaves in that moment, it would be up to date. */
T_TEST("a loss that comes together with a partition's row is not shown before it is reached")
{
    struct world *w = world_new(4, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 200);
    world_cut_peers(w, 4, true);
    world_cut_coord(w, 4, true);
    force(w, 2);
    world_run(w, 500); /* the account's writer says that it knows */
    tell_all(w, 4);
    t_eq_u64(region_record(world_region(w, 4))->token_version, 1);
    t_eq_u64(shown(w, 4), 0);
    world_cut_peers(w, 4, false);
    world_cut_coord(w, 4, false);
    world_run(w, 1000);
    t_eq_u64(shown(w, 4), 1);
    world_free(w);
}

/* West takes the partition, then the account; the row goes, and what the record said of the loss with it. North
 * has seen the row, and stores the partition's new epoch only after the row has gone. */
T_TEST("a partition's loss is shown after its row has gone")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 300);
    world_cut_coord(w, 1, true);
    world_cut_peers(w, 1, true);
    world_hold_commits(w, 3, true);
    force(w, 2);
    t_eq_u64(shown(w, 3), 0);
    world_cut_peers(w, 3, true);
    world_offline(w, "east");
    world_until_role(w, 2, ROLE_WRITER);
    world_run(w, 100);
    t_eq_u64(region_record(world_region(w, 3))->override_count, 0);
    t_eq_u64(shown(w, 3), 0);
    world_hold_commits(w, 3, false);
    world_run(w, 20);
    t_eq_u64(repl_durable(repl_find(world_region(w, 3)->repl, 1)).epoch, 2);
    t_eq_u64(shown(w, 3), 1);
    world_cut_peers(w, 3, false);
    world_run(w, 1000);
    t_eq_u64(shown(w, 3), 2);
    world_free(w);
}

/* East comes back with a suffix whose document cannot be read. The suffix is safe, but not undone; that
 * is no reason to end: the other partitions go on, and a start with a better disk goes on with this. */
T_TEST("a suffix that cannot be undone stops its partition, not its region")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    (void)region_part(world_region(w, 1), 2);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    t_err(world_answer(w, world_put(w, 1, 2, "a", "{}")), OK);
    world_run(w, 300);
    world_cut_peers(w, 1, true);
    t_err(world_answer(w, world_put(w, 1, 1, "lost", "{}")), OK);
    world_stop(w, 1, /* confirm= */ true);
    world_cut_peers(w, 1, false);
    world_until_role(w, 2, ROLE_WRITER);
    world_start(w, 1);
    engine_spoil(world_engine(w, 1), 1);
    world_run(w, 2000);
    t_check(world_has_event(w, 1, EVENT_CORRUPT));
    t_eq_u64(world_conflicts(w, 2, 1), 1);
    t_eq_int(region_role(world_region(w, 1)), ROLE_RECOVERING);
    t_check((atomic_load(&region_part(world_region(w, 1), 1)->flags) & PART_READABLE) == 0);
    t_err(world_answer(w, world_put(w, 2, 2, "b", "{}")), OK);
    world_run(w, 500);
    t_check(world_get(w, 1, 2, "b") != NULL);
    engine_spoil(world_engine(w, 1), 0);
    world_stop(w, 1, /* confirm= */ true);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    t_check(world_get(w, 1, 1, "lost") == NULL);
    t_eq_u64(world_conflicts(w, 2, 1), 1);
    world_check_same(w);
    world_free(w);
}

/* East writes the account, west wrote partition 1. West takes the account from east, which cannot reach
 * the coordinator, and dies before it opens. East has all that was ever acknowledged, but for what west
 * may have acknowledged in partition 1 meanwhile. */
static void last_writer(struct world *w, bool drops)
{
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    world_stop(w, 3, /* confirm= */ true);
    world_until_state(w, 3, REGION_OFFLINE);
    world_run(w, 200);
    world_hold_commits(w, 2, true);
    world_hold_changes(w, 1, true); /* nor is the row taken out */
    world_cut_coord(w, 1, true);
    if (drops) {
        region_drop_part(world_region(w, 1), 1);
    }
    world_until_role(w, 2, ROLE_PROMOTING);
    world_stop(w, 2, /* confirm= */ true);
    world_cut_coord(w, 1, false);
    world_hold_changes(w, 1, false);
    world_until_role(w, 1, ROLE_RECOVERING);
}

T_TEST("at Strong a last writer waits for who may have acknowledged writes of a partition")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    last_writer(w, /* drops= */ false);
    world_run(w, 10000);
    t_eq_int(region_role(world_region(w, 1)), ROLE_RECOVERING);
    world_hold_commits(w, 2, false);
    world_start(w, 2);
    world_until_role(w, 2, ROLE_WRITER);
    world_free(w);
}

T_TEST("it waits for nobody who wrote a partition that is gone")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    last_writer(w, /* drops= */ true);
    world_until_role(w, 1, ROLE_WRITER);
    world_free(w);
}

/* Storage knows the generation of the partition's reign, which is above the account's. */
T_TEST("the container of a partition that was moved can be deleted")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 300);
    for (region_id id = 1; id <= 3; id++) {
        region_drop_part(world_region(w, id), 1);
    }
    world_run(w, 1000);
    t_eq_u64(world_record(w)->override_count, 0);
    t_eq_int(region_role(world_region(w, 1)), ROLE_WRITER);
    t_eq_int(region_role(world_region(w, 2)), ROLE_READER);
    t_eq_int(region_role(world_region(w, 3)), ROLE_READER);
    t_check(world_get(w, 2, 1, "b") == NULL);
    world_free(w);
}

/* West waits with a write for north, which is near the bound, and sees in the record that the row is gone
 * before its own metadata say why. */
T_TEST("a write that is delayed in a moved partition is refused when its container is deleted")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_level(w, &(struct level_request){CONSISTENCY_BOUNDED_STALENESS, 10, 60});
    world_run(w, 1000);
    t_eq_int(world_record(w)->level, CONSISTENCY_BOUNDED_STALENESS);
    force(w, 2);
    world_run(w, 500);
    world_hold_commits(w, 3, true);
    for (unsigned i = 0; i < 9; i++) {
        t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    }
    struct world_write *x = world_put(w, 2, 1, "late", "{}");
    region_drop_part(world_region(w, 1), 1);
    t_err(world_answer(w, x), ERR_NOT_WRITER);
    t_eq_int(region_role(world_region(w, 2)), ROLE_READER);
    world_hold_commits(w, 3, false);
    world_free(w);
}

static enum err ask_to(struct account_record *rec, void *ctx)
{
    return account_plan_partition_failover(rec, 1, str_of((const char *)ctx), false, NULL, NULL);
}

/* The others have not heard yet that it is gone, and storage knows the generation of its row, which went. */
T_TEST("a partition whose container was just deleted can be asked to move, and nothing comes of it")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 300);
    region_drop_part(world_region(w, 1), 1);
    world_run(w, 300);
    t_eq_u64(world_record(w)->override_count, 0);
    static char west[] = "west";
    world_plan(w, ask_to, west);
    t_eq_u64(world_record(w)->override_count, 1);
    world_run(w, 1000);
    t_eq_u64(world_record(w)->override_count, 0);
    t_eq_int(region_role(world_region(w, 2)), ROLE_READER);
    t_eq_int(region_role(world_region(w, 3)), ROLE_READER);
    region_drop_part(world_region(w, 2), 1);
    region_drop_part(world_region(w, 3), 1);
    world_run(w, 1000);
    t_eq_int(region_role(world_region(w, 2)), ROLE_READER);
    t_eq_int(region_role(world_region(w, 3)), ROLE_READER);
    world_free(w);
}

/* North was away when the container was deleted, and sees the record before the metadata. Until that, the
 * partition obeys the account's reign, whose generation is below what storage knows. */
T_TEST("a region that was away leaves the data of a deleted container alone")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    for (int i = 0; i < 10; i++) {
        t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    }
    world_run(w, 1000);
    world_cut_peers(w, 3, true);
    world_cut_coord(w, 3, true);
    region_drop_part(world_region(w, 1), 1);
    region_drop_part(world_region(w, 2), 1);
    world_run(w, 8000);
    t_eq_u64(world_record(w)->override_count, 0);
    world_cut_coord(w, 3, false);
    world_run(w, 70000); /* entries are old enough to be trimmed */
    t_eq_int(region_role(world_region(w, 3)), ROLE_RECOVERING);
    /* Nor does it follow what the account's writer had said before the partition was moved. */
    const struct repl *R = world_region(w, 3)->repl;
    struct msg old = {.pid = 1, .generation = world_record(w)->generation};
    t_check(!apply_is_from_writer(R, 1, &old));
    old.pid = 0;
    t_check(apply_is_from_writer(R, 1, &old));
    world_stop(w, 3, /* confirm= */ true);
    world_start(w, 3);
    world_run(w, 3000);
    R = world_region(w, 3)->repl;
    old.pid = 1;
    t_check(!apply_is_from_writer(R, 1, &old)); /* storage knows */
    region_drop_part(world_region(w, 3), 1);
    world_cut_peers(w, 3, false);
    world_until_state(w, 3, REGION_ONLINE_READ);
    world_free(w);
}

/* West has claimed it, and cannot store anything for a while. Epochs and generations grow together, and the account's have passed
 * the claim's generation then: an epoch of its own would not fit it. */
T_TEST("a claim of a partition that the account's epochs have overtaken is made once more")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 300);
    static char west[] = "west";
    world_plan(w, force_to, west);
    while (record_override(world_record(w), 1)->incarnation == 0) {
        world_run(w, 5);
    }
    world_hold_commits(w, 2, true);
    generation claimed = record_override(world_record(w), 1)->generation;
    for (int i = 0; record_epoch_top(world_record(w)) < claimed; i++) {
        region_id to = i % 2 == 0 ? 3 : 1;
        world_failover(w, to == 3 ? "north" : "east");
        world_until_role(w, to, ROLE_WRITER);
    }
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_PROMOTING);
    t_eq_u64(record_override(world_record(w), 1)->generation, claimed);
    world_hold_commits(w, 2, false);
    until_part_writer(w, 2);
    t_check(record_override(world_record(w), 1)->generation > claimed);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

/* The other way round: west has claimed the account, and partitions get epochs while it cannot store anything. */
T_TEST("a claim of the account that partitions' epochs have overtaken is made once more")
{
    struct world *w = world_new(4, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 300);
    force(w, 3);
    world_hold_commits(w, 2, true);
    world_offline(w, "east");
    while (world_record(w)->writer_incarnation == 0) {
        world_run(w, 5);
    }
    t_eq_u64(world_record(w)->writer, 2);
    generation claimed = world_record(w)->generation;
    while (record_epoch_top(world_record(w)) < claimed) {
        epoch before = record_override(world_record(w), 1)->epoch;
        world_stop(w, 3, /* confirm= */ true);
        world_start(w, 3);
        while (record_override(world_record(w), 1)->epoch == before) {
            world_run(w, 5);
        }
    }
    t_eq_int(world_record(w)->phase, PHASE_PROMOTING);
    t_eq_u64(world_record(w)->generation, claimed);
    world_hold_commits(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    t_check(world_record(w)->generation > claimed);
    t_err(world_answer(w, world_put(w, record_override(world_record(w), 1)->writer, 1, "b", "{}")),
          OK);
    world_online(w, "east");
    world_run(w, 3000);
    world_check_same(w);
    world_free(w);
}

static enum err automatic(struct account_record *rec, void *ctx)
{
    (void)ctx; /* nothing to say */
    return account_plan_partition_auto(rec, true, NULL);
}

/* West writes the partition and cannot reach the coordinator; east claims it. While the claim is on its
 * way east finds that it cannot read the partition. North, which has everything, is down just then. */
static struct world *claim_under_way(void)
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 500);
    world_cut_coord(w, 2, true);
    const struct txn_slot *change = &world_region(w, 1)->change;
    for (unsigned i = 0; i < 1000 && (change->ticket == 0 || change->rule != RULE_PART_CLAIM);
         i++) {
        world_run(w, 5);
    }
    world_hold_changes(w, 1, true);
    world_stop(w, 3, /* confirm= */ true);
    region_part_unreadable(world_region(w, 1), 1, &(struct errinfo){.message = "by the test"});
    return w;
}

static void let_claim(struct world *w)
{
    t_eq_u64(record_override(world_record(w), 1)->writer, 2);
    world_hold_changes(w, 1, false);
    world_run(w, 600);
    t_eq_u64(record_override(world_record(w), 1)->writer, 1);
}

static void until_north_has_it(struct world *w)
{
    world_start(w, 3);
    world_cut_peers(w, 1, false);
    until_part_writer(w, 3);
    world_cut_coord(w, 2, false);
    t_check(world_get(w, 3, 1, "b") != NULL);
    world_run(w, 3000);
    t_check(world_get(w, 1, 1, "b") != NULL);
    t_eq_u64(world_conflicts(w, 3, 1), 0);
    world_check_same(w);
    world_free(w);
}

/* So it opens it with all of its log, and gives it away. */
T_TEST("nothing is deleted while a claim may come through")
{
    struct world *w = claim_under_way();
    world_run(w, 100);
    t_check(world_get(w, 1, 1, "b") != NULL);
    let_claim(w);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_OPEN);
    t_check(world_get(w, 1, 1, "b") != NULL);
    until_north_has_it(w);
}

/* As if nothing held the deletion back: it has nothing to open with. */
T_TEST("a partition is not opened where it was deleted to be copied")
{
    struct world *w = claim_under_way();
    struct repl *repl = world_region(w, 1)->repl;
    struct repl_mode m = *repl_part_mode(repl, 1);
    m.is_taking = false;
    (void)repl_set_part_mode(repl, 1, &m);
    for (unsigned i = 0; i < 20 && world_get(w, 1, 1, "b") != NULL; i++) {
        world_run(w, 5);
    }
    t_check(world_get(w, 1, 1, "b") == NULL);
    world_cut_peers(w, 1, true); /* before it is copied */
    world_run(w, 20);
    let_claim(w);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_PROMOTING);
    until_north_has_it(w);
}

/* ---- the log stays where documents are copied anew ---- */

static void damage(struct world *w, region_id id)
{
    engine_spoil(world_engine(w, id), 1);
    region_part_unreadable(world_region(w, id), 1, &(struct errinfo){.message = "by the test"});
    world_run(w, 500);
    t_eq_u64(engine_spoiled(world_engine(w, id)), 0);
    t_check((atomic_load(&region_part(world_region(w, id), 1)->flags) & PART_READABLE) != 0);
}

/* Both that have all of the partition were damaged, one after the other; then one that was away all the time
 * takes it over, while the last writer is down. */
static struct world *both_repaired(void)
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "a", "{}")), OK);
    world_run(w, 500);
    world_stop(w, 3, /* confirm= */ true);
    world_until_state(w, 3, REGION_OFFLINE);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 300);
    damage(w, 1);
    force(w, 1);
    damage(w, 2);
    force(w, 2);
    world_no_auto(w);
    world_stop(w, 2, /* confirm= */ false);
    world_start(w, 3);
    return w;
}

T_TEST("what two damaged regions had is not lost when a third one takes the partition over")
{
    struct world *w = both_repaired();
    world_until_state(w, 3, REGION_ONLINE_READ);
    t_check(world_get(w, 3, 1, "b") == NULL);
    force(w, 3);
    t_check(world_get(w, 3, 1, "b") != NULL);
    world_start(w, 2);
    world_run(w, 3000);
    t_eq_u64(world_conflicts(w, 3, 1), 0);
    world_check_same(w);
    world_free(w);
}

T_TEST(
    "what two damaged regions had is in the feed when a third one takes the partition over alone")
{
    struct world *w = both_repaired();
    world_until_state(w, 3, REGION_ONLINE_READ);
    world_cut_peers(w, 1, true);
    force(w, 3);
    t_check(world_get(w, 3, 1, "b") == NULL);
    world_cut_peers(w, 1, false);
    world_run(w, 1000);
    t_eq_u64(world_conflicts(w, 3, 1), 1);
    world_start(w, 2);
    world_run(w, 3000);
    t_eq_u64(world_conflicts(w, 3, 1), 1);
    world_check_same(w);
    world_free(w);
}

/* A suffix in a region whose documents cannot be read. */
T_TEST("a damaged region's suffix is in the feed and is cut, before all is copied anew")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_plan(w, automatic, NULL);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "a", "{}")), OK);
    world_run(w, 500);
    world_cut_peers(w, 2, true);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    force(w, 3);
    t_err(world_answer(w, world_put(w, 3, 1, "c", "{}")), OK);
    engine_spoil(world_engine(w, 2), 1);
    region_part_unreadable(world_region(w, 2), 1, &(struct errinfo){.message = "by the test"});
    world_cut_peers(w, 2, false);
    world_run(w, 3000);
    t_eq_u64(world_conflicts(w, 3, 1), 1);
    t_check(world_get(w, 2, 1, "b") == NULL);
    t_check(world_get(w, 2, 1, "c") != NULL);
    world_check_same(w);
    world_free(w);
}

/* ---- admission ---- */

static enum err add_south(struct account_record *rec, void *ctx)
{
    UNUSED(ctx);
    return account_plan_add(rec, STR("south"), -1, 1, NULL);
}

/* It would be online, sound, and take the partition over with nothing of it. */
T_TEST("a new region is not admitted without a partition whose writer is away")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_no_auto(w);
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_run(w, 300);
    world_stop(w, 2, /* confirm= */ false);
    region_id id = world_machine(w);
    world_plan(w, add_south, NULL);
    world_start(w, id);
    world_run(w, 5000);
    t_eq_int(record_region_const(world_record(w), id)->state, REGION_SEEDING);
    t_check(world_has_event(w, 1, EVENT_PARTITION));
    world_start(w, 2);
    world_until_state(w, id, REGION_ONLINE_READ);
    t_check(world_get(w, id, 1, "b") != NULL);
    world_check_same(w);
    world_free(w);
}

static enum err must_copy(struct account_record *rec, void *ctx)
{
    record_region(rec, *(region_id *)ctx)->needs_full_copy = true;
    return OK;
}

/* Its copy of the partition may end below what the others have trimmed. */
T_TEST("a region whose log is not kept is not admitted while a partition's writer cannot reach it")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    force(w, 2);
    world_stop(w, 3, /* confirm= */ true);
    world_until_state(w, 3, REGION_OFFLINE);
    world_no_auto(w);
    region_id north = 3;
    world_plan(w, must_copy, &north);
    world_stop(w, 2, /* confirm= */ false);
    world_start(w, 3);
    world_run(w, 5000);
    t_check(record_region_const(world_record(w), 3)->needs_full_copy);
    world_start(w, 2);
    world_until_state(w, 3, REGION_ONLINE_READ);
    t_check(!record_region_const(world_record(w), 3)->needs_full_copy);
    world_check_same(w);
    world_free(w);
}

/* Another partition has a row, too: east's own. */
static enum err keep_second(struct account_record *rec, void *ctx)
{
    UNUSED(ctx);
    t_check(record_override_make(rec, 2) != NULL);
    return OK;
}

/* East was made the partition's writer, and cannot use what it has of it. */
T_TEST("a region whose log is not kept is admitted when it alone has all of a partition")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    for (region_id id = 1; id <= 2; id++) {
        (void)region_part(world_region(w, id), 2);
    }
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    force(w, 2);
    t_err(world_answer(w, world_put(w, 2, 1, "b", "{}")), OK);
    world_plan(w, keep_second, NULL);
    world_run(w, 300);
    region_part_unreadable(world_region(w, 1), 1, &(struct errinfo){.message = "by the test"});
    world_stop(w, 2, /* confirm= */ true);
    world_until_state(w, 2, REGION_OFFLINE);
    region_id west = 2;
    world_plan(w, must_copy, &west);
    static char east[] = "east";
    world_plan(w, force_to, east);
    world_run(w, 1000);
    t_eq_int(record_override(world_record(w), 1)->phase, PHASE_PROMOTING);
    world_start(w, 2);
    world_until_state(w, 2, REGION_ONLINE_READ);
    until_part_writer(w, 2);
    t_check(world_get(w, 2, 1, "b") != NULL);
    world_free(w);
}

T_MAIN()
