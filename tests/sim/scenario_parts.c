/* Stories of single partitions: doc/design/0007-partition-failover.md. */
#include "sim/coordinator.h"
#include "sim/scenario_int.h"

/* Who writes partition 1 by the coordinator's record; false: the coordinator is away. */
static bool part_reign(struct world *w, struct record_reign *ret)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    bool is_known = coordinator_record(w, &a, rec, &rev);
    if (is_known) {
        record_reign(rec, 1, ret);
    }
    arena_done(&a);
    return is_known;
}

/* 0 = nobody does now, or the coordinator is away. */
static region_id part_writer(struct world *w)
{
    struct record_reign reign;
    return part_reign(w, &reign) && reign.phase == PHASE_OPEN ? reign.writer : 0;
}

/* Waits until partition 1 is written by `want`, or by another region than `not`; 0 = any. */
static region_id await_part_writer(struct world *w, region_id want, region_id not, unsigned max_ms)
{
    for (unsigned ms = 0; ms < max_ms && !w->has_failed; ms += 50) {
        region_id now = part_writer(w);
        if (now != 0 && (want == 0 || now == want) && now != not ) {
            return now;
        }
        pass(w, 50);
    }
    world_fail(w, "scenario", "partition 1 is written by region %u after %u ms", part_writer(w),
               max_ms);
    return 0;
}

/* Data of one partition cannot be read at the writer: another region writes it, with all the others
 * staying where they are, and it comes back once it was copied anew. In half of the stories somebody
 * dies on the way. */
void partition_unusable(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    engine_spoil(node_engine(w->nodes[a]), 1);
    region_id b = await_part_writer(w, 0, a, 5000);
    if (b != 0 && writer(w) != a) {
        world_fail(w, "scenario", "the account's writer has changed as well");
    }
    if (variant % 2 == 1 && b != 0) {
        region_id victim = variant % 4 == 1 ? b : a;
        supervise(w, victim, lease_ms(w) * 3, variant / 4 % 2 == 1);
        nemesis_crash(w, victim);
        engine_spoil(node_engine(w->nodes[victim]), 0);
        pass(w, lease_ms(w) * 4);
        return;
    }
    (void)await_part_writer(w, a, 0, 20000);
    if (engine_spoiled(node_engine(w->nodes[a])) != 0) {
        world_fail(w, "scenario", "the partition came back without having been copied anew");
    }
}

/* Data of one partition cannot be read in a region that only reads it: it is copied anew there, and nothing
 * else changes. In half of the stories somebody dies on the way: in a quarter the writer. */
void partition_reader(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    engine_spoil(node_engine(w->nodes[b]), 1);
    if (variant % 2 == 1) {
        pass(w, 20 * (usec)variant);
        region_id victim = variant % 4 == 1 ? b : a;
        supervise(w, victim, lease_ms(w) * 3, variant / 4 % 2 == 1);
        nemesis_crash(w, victim);
        pass(w, lease_ms(w) * 4);
        engine_spoil(node_engine(w->nodes[b]), 0); /* where nobody reads it, it is not found */
        return;
    }
    for (unsigned i = 0; i < 400 && engine_spoiled(node_engine(w->nodes[b])) != 0; i++) {
        pass(w, 50);
    }
    if (engine_spoiled(node_engine(w->nodes[b])) != 0) {
        world_fail(w, "scenario", "region %u has not copied the partition anew", b);
    }
    if (writer(w) != a || await_part_writer(w, a, 0, 1000) != a) {
        world_fail(w, "scenario", "a writer has changed");
    }
}

/* The region that is to take a partition whose data cannot be read finds that it cannot read them either,
 * before it has claimed: a third one gets it. Variants: how long it has for that. */
void partition_passed_on(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    engine_spoil(node_engine(w->nodes[a]), 1);
    struct record_reign reign = {0};
    for (unsigned i = 0; i < 5000 && !w->has_failed; i++) {
        if (part_reign(w, &reign) && reign.phase == PHASE_PROMOTING) {
            break;
        }
        pass(w, 1);
    }
    region_id b = reign.writer;
    if (reign.phase != PHASE_PROMOTING || b == a) {
        world_fail(w, "scenario", "nobody was chosen for the partition");
        return;
    }
    engine_spoil(node_engine(w->nodes[b]), 1);
    nemesis_cut(w, b, 1, CUT_OUT, true); /* its claim does not come through */
    pass(w, 100 + 50 * (usec)variant);
    nemesis_cut(w, b, 1, CUT_OUT, false);
    pass(w, lease_ms(w) * 4);
    engine_spoil(node_engine(w->nodes[b]), 0);
    pass(w, lease_ms(w) * 4);
}

/* Nor can any other region read it. Who wrote it last comes back with what its disk has after all, at any
 * level, and everything that was acknowledged is there. Variants: the level, and who is the account's writer. */
void partition_nobody(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    region_id b = 0;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        nemesis_cut(w, id, 1, CUT_OUT, id != a); /* nobody claims before it knows */
    }
    engine_spoil(node_engine(w->nodes[a]), 1);
    struct record_reign reign = {0};
    for (unsigned i = 0; i < 5000 && b == 0 && !w->has_failed; i++) {
        b = part_reign(w, &reign) && reign.phase == PHASE_PROMOTING ? reign.writer : 0;
        pass(w, b == 0);
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        engine_spoil(node_engine(w->nodes[id]), 1);
        region_part_unreadable(node_region(w->nodes[id]), 1,
                               &(struct errinfo){.message = "read by the scenario"});
        nemesis_cut(w, id, 1, CUT_OUT, false);
    }
    pass(w, 50 * (usec)(variant % 4));
    supervise(w, a, lease_ms(w) * 3, variant % 2 == 1);
    nemesis_crash(w, a);
    engine_spoil(node_engine(w->nodes[a]), 0);
    if (await_part_writer(w, 0, 0, 30000) == 0) {
        return;
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        engine_spoil(node_engine(w->nodes[id]), 0);
    }
    pass(w, lease_ms(w) * 4);
}

/* Frames of a partition's former writer arrive when another region writes it: they were held up on the way,
 * while nothing of the new writer gets to where they go. Variants: how much later, and whether the new
 * writer's frames are held up at all. */
void partition_old_frames(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    nemesis_cut(w, b, 1u << a, CUT_BOTH, true); /* the next writer does not have them */
    net_clog(w, a, c, true);
    pass(w, 200);
    (void)nemesis_partition(w, 1, b, true);
    for (unsigned i = 0; i < 4000 && part_writer(w) != b && !w->has_failed; i++) {
        pass(w, 1);
    }
    net_clog(w, b, c, variant % 2 == 0);
    pass(w, (usec)(variant / 2) * 5);
    net_clog(w, a, c, false);
    pass(w, 300);
    net_clog(w, b, c, false);
    nemesis_cut(w, b, 1u << a, CUT_BOTH, false);
    pass(w, lease_ms(w) * 5);
}

/* One partition goes round, given away by force or gracefully, faster and slower, and its writers write. */
void partition_often(struct world *w, unsigned variant)
{
    pass(w, 1000);
    for (unsigned i = 0; i < 8 && !w->has_failed; i++) {
        region_id to = 1 + (i + variant) % (region_id)w->cfg.region_count;
        (void)nemesis_partition(w, 1, to,
                                (variant + i) % 3 != 0); /* refused while one is under way */
        pass(w, 300 + 100 * (usec)variant);
    }
    (void)nemesis_partition(w, 1, 0, false); /* so is this */
    pass(w, lease_ms(w) * 3);
}

/* An operator gives a partition to another region while its writer stands still, is cut off, or dies
 * right then: nobody else may acknowledge before the new one does. */
void partition_moved(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    region_id b = (region_id)(a % w->cfg.region_count + 1);
    bool is_forced = variant % 2 == 0;
    switch (variant / 2 % 4) {
    case 0:
        node_pause(w->nodes[a], lease_ms(w) * MS * 2);
        break;
    case 1:
        nemesis_cut(w, a, 1, CUT_BOTH, true);
        break;
    case 2:
        clog_out(w, a, true);
        pass(w, 300);
        break;
    default:
        break;
    }
    (void)nemesis_partition(w, 1, b, is_forced);
    if (variant / 2 % 4 == 3) {
        supervise(w, a, 500, false);
        nemesis_crash(w, a);
    }
    pass(w, lease_ms(w) * 3);
    nemesis_cut(w, a, 1, CUT_BOTH, false);
    clog_out(w, a, false);
    if (variant >= 8) { /* the new writer goes as well, and then the account's */
        supervise(w, b, lease_ms(w) * 4, variant % 2 == 1);
        nemesis_crash(w, b);
        pass(w, lease_ms(w) * 2);
        region_id c = writer(w);
        if (c != 0) {
            supervise(w, c, lease_ms(w) * 2, true);
            nemesis_crash(w, c);
        }
    }
    pass(w, lease_ms(w) * 6);
}

/* An operator moves a partition and the account away from a writer that hears of neither: what it still
 * acknowledges is lost twice over, and the partition's row, with the loss in it, goes at once. */
void partition_forgotten(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    nemesis_cut(w, a, 1, CUT_BOTH, true);
    pass(w, 1 + variant % 4);
    (void)nemesis_partition(w, 1, b, true);
    pass(w, 1 + variant % 8);
    (void)nemesis_offline(w, a, true);
    pass(w, lease_ms(w) * 4);
    nemesis_cut(w, a, 1, CUT_BOTH, false);
    pass(w, lease_ms(w) * 2);
}

static void cut_from_joiner(struct world *w, region_id id, bool is_cut)
{
    nemesis_cut(w, id, 1u | 1u << w->cfg.region_count, CUT_BOTH, is_cut);
}

static void await_role(struct world *w, region_id id, enum region_role role, unsigned max_ms)
{
    for (unsigned i = 0; i < max_ms * 10 && !w->has_failed; i++) {
        struct region *r = node_region(w->nodes[id]);
        if (r != NULL && region_role(r) == role) {
            return;
        }
        world_run(w, w->now + MS / 10, NULL);
    }
}

/* A region joins for which the log was not kept, and the others cannot reach the coordinator any more: it
 * alone can take the account over, and the partition, whose log the others have trimmed. Variants: a new
 * region, which the partition's writer cannot reach; one that comes back to be copied, whom it loses in the
 * moment of an admission that it does not hear of; when, and how long it all lasts. */
void partition_joiner(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id c = (region_id)w->cfg.region_count;
    region_id b = other_than(w, a, c);
    (void)nemesis_partition(w, 1, b, true);
    if (a == 0 || a == c || await_part_writer(w, b, 0, 5000) == 0) {
        return;
    }
    if (variant % 2 == 0) {
        pass(w, 2500); /* the log is trimmed */
        nemesis_cut(w, c, 1u << b, CUT_BOTH, true);
        if (!add_region(w, c)) {
            return;
        }
        await_role(w, c, ROLE_READER, 4000); /* without a planted fault it does not come to that */
    } else {
        supervise(w, c, 0, true);
        nemesis_crash(w, c);
        if (!await_trimmed(w, c)) {
            return;
        }
        restart_now(w, c);
        supervise(w, c, 300, true);
        await_role(w, c, ROLE_RECOVERING, 5000);
        pass(w, 200 + 50 * (usec)(variant / 2));
        nemesis_cut(w, b, 1, CUT_IN, true); /* its heartbeats go on */
        await_role(w, c, ROLE_READER, 15000);
    }
    cut_from_joiner(w, a, true);
    cut_from_joiner(w, b, true);
    pass(w, lease_ms(w) * (3 + variant / 4));
    cut_from_joiner(w, a, false);
    cut_from_joiner(w, b, false);
    nemesis_cut(w, c, 1u << b, CUT_BOTH, false);
    pass(w, lease_ms(w) * 5);
}
