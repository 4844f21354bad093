/* Stories of containers that are removed or made: partition 1's data and its row have to go with it, in
 * whatever state they are, and nothing goes without its removal having come to stay. */
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/history.h"
#include "sim/scenario_int.h"

static const pid MOVED = 1;

/* Waits until the partition is in that state, for at most so long. */
static bool await_state(struct world *w, pid p, enum part_state state, unsigned max_ms)
{
    for (unsigned ms = 0; ms < max_ms && !w->has_failed && w->part_states[p] != state; ms += 10) {
        pass(w, 10);
    }
    return w->part_states[p] == state;
}

/* Asks for the removal again and again, as an operator does, until it is certain. */
static void remove_for_certain(struct world *w, pid p)
{
    for (unsigned tries = 0; tries < 40 && !w->has_failed; tries++) {
        enum part_state now = w->part_states[p];
        region_id to = nemesis_writer(w);
        if (to != 0 && (now == PART_OPEN || now == PART_DOUBT)) {
            container_remove(w, p, to);
        }
        if (await_state(w, p, PART_GONE, 500)) {
            return;
        }
    }
    world_fail(w, "scenario", "the container of partition %llu cannot be removed",
               (unsigned long long)p);
}

/* A failover has taken back what a removal of unknown outcome had begun. */
static void expect_there(struct world *w, pid p)
{
    region_id id = writer(w);
    if (id != 0 && !node_has_part(w->nodes[id], p)) {
        world_fail(w, "scenario", "the removal of partition %llu survived, which nobody else had",
                   (unsigned long long)p);
    }
}

static struct record_reign reign_of(struct world *w, pid p)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    struct record_reign reign = {0};
    if (coordinator_record(w, &a, rec, &rev)) {
        record_reign(rec, p, &reign);
    }
    arena_done(&a);
    return reign;
}

/* Has it begun to take the moved partition over? */
static bool has_claimed(struct world *w, region_id id)
{
    struct record_reign reign = reign_of(w, MOVED);
    return reign.writer == id && reign.incarnation == node_incarnation(w->nodes[id]);
}

/* Gives the partition to `to`, and waits until it writes it; or, with `phase`, until the row is in it. */
static void move(struct world *w, region_id to, bool force, enum account_phase phase)
{
    if (!nemesis_partition(w, MOVED, to, force)) {
        world_fail(w, "scenario", "the operator was refused");
    }
    for (unsigned ms = 0; ms < 5000 && !w->has_failed; ms++) {
        struct record_reign now = reign_of(w, MOVED);
        if (now.phase == phase && (phase != PHASE_OPEN || now.writer == to)) {
            return;
        }
        pass(w, 1);
    }
}

/* Somebody stops right after the removal was sent: nobody, the partition's writer, the account's, a third. */
static void strike(struct world *w, unsigned which, region_id a, region_id b)
{
    region_id victims[] = {0, b, a, other_than(w, a, b)};
    region_id victim = victims[which % ARRAY_COUNT(victims)];
    if (victim != 0) {
        supervise(w, victim, lease_ms(w) * (1 + which % 3), which % 2 == 0);
        nemesis_crash(w, victim);
    }
}

/* The container goes while its partition's row is in each phase, and somebody stops right then. */
void container_removed(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    switch (variant / 4 % 4) {
    case 0:
        move(w, b, true, PHASE_OPEN);
        break;
    case 1:
        move(w, b, true, PHASE_PROMOTING);
        break;
    case 2:
        move(w, b, false, PHASE_TRANSFER);
        break;
    default: /* on its way back */
        move(w, b, true, PHASE_OPEN);
        pass(w, 500);
        (void)nemesis_partition(w, MOVED, 0, false);
        break;
    }
    pass(w, (usec)variant / 16 * 3);
    container_remove(w, MOVED, a);
    pass(w, (usec)variant / 16 * 2);
    strike(w, variant % 4, a, b);
    remove_for_certain(w, MOVED);
    pass(w, lease_ms(w) * 5);
}

/* An operator gives away a partition that is yet to be: he is refused. A row of it went after five seconds, and
 * when its container came in that instant, nobody could ever write it. */
void container_unborn(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    pid p = 1;
    while (p < SIM_PARTS_MAX && w->part_states[p] != PART_FREE) {
        p++;
    }
    if (a == 0 || p == SIM_PARTS_MAX) {
        return;
    }
    if (nemesis_partition(w, p, b, variant % 2 == 0)) {
        world_fail(w, "scenario", "a partition that is yet to be was given away");
    }
    pass(w, 4930 + 10 * (usec)variant);
    (void)container_make(w, a);
    (void)await_state(w, p, PART_OPEN, 5000);
    pass(w, lease_ms(w) * 5);
}

/* Or one whose container is gone: the row does not stay, also where the account's writer has been started
 * since and does not remember the removal. */
void partition_gone(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    pid p = a != 0 ? container_make(w, a) : 0;
    if (p == 0) {
        return;
    }
    (void)await_state(w, p, PART_OPEN, 5000);
    remove_for_certain(w, p);
    pass(w, 500 + 100 * (usec)variant);
    if (variant % 2 == 1) {
        supervise(w, a, 300, true);
        nemesis_crash(w, a);
        pass(w, lease_ms(w) * 4);
    }
    if (!nemesis_partition(w, p, writer(w) == b ? a : b, true)) {
        world_fail(w, "scenario", "the operator was refused");
        return;
    }
    bool is_there = true;
    for (unsigned i = 0; i < 200 && is_there && !w->has_failed; i++) {
        pass(w, 100);
        struct region *r = node_region(w->nodes[writer(w)]);
        is_there = r == NULL || record_override(region_record(r), p) != NULL;
    }
    if (is_there) {
        world_fail(w, "scenario", "the row of a partition that is nowhere stays");
    }
}

/* What is left of a removed partition goes in slices; processes die at each step of that. */
void container_drop_crash(struct world *w, unsigned variant)
{
    static const unsigned kinds[] = {IO_COMMIT, IO_COMMITTED};
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    if (variant % 3 != 0) {
        move(w, b, true, PHASE_OPEN);
        pass(w, 300);
    }
    container_remove(w, MOVED, a);
    if (!await_state(w, MOVED, PART_GONE, 5000)) {
        world_fail(w, "scenario", "the removal was not acknowledged");
    }
    struct trap t = {.kinds = kinds[variant % 2], .countdown = 1 + variant / 2, .is_crash = true};
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (variant % 4 < 2 || id == b) {
            supervise(w, id, 300 + 200 * id, true);
            node_set_trap(w->nodes[id], &t);
        }
    }
    pass(w, lease_ms(w) * 8);
}

/* A removal that only the account's writer has is lost with it: the container and what was written into it
 * are there as before, also where another region writes the partition. In other stories the writer
 * is back in time. Then the container is removed for certain. */
void container_removal_lost(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    if (variant % 2 == 1) {
        move(w, b, true, PHASE_OPEN);
        pass(w, 300);
    }
    bool is_lost = variant / 2 % 2 == 0;
    supervise(w, a, is_lost ? lease_ms(w) * 4 : 10, is_lost);
    clog_out(w, a, true);
    container_remove(w, MOVED, a);
    pass(w, 100 + 100 * (usec)(variant / 4));
    nemesis_crash(w, a);
    clog_out(w, a, false);
    pass(w, lease_ms(w) * 2);
    if (is_lost && wait_role(w, ROLE_WRITER, a, 5000) != 0) {
        expect_there(w, MOVED);
    }
    pass(w, lease_ms(w) * 4);
    remove_for_certain(w, MOVED);
    pass(w, lease_ms(w) * 3);
}

/* The making of a container that only the account's writer has is lost with it: nothing of the partition stays,
 * also where an operator has given it a row already. */
void container_making_lost(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    supervise(w, a, lease_ms(w) * 4, true);
    clog_out(w, a, true);
    pid made = container_make(w, a);
    pass(w, 300);
    if (variant % 2 == 1) {
        (void)nemesis_partition(w, made, b, true);
        pass(w, 50 * (usec)(variant / 2));
    }
    nemesis_crash(w, a);
    clog_out(w, a, false);
    pass(w, lease_ms(w) * 8);
    region_id now = writer(w);
    if (now != 0 && node_has_part(w->nodes[now], made)) {
        world_fail(w, "scenario", "the container survived, which nobody else had");
    }
}

/* A region that is away when the container goes finds its data, and perhaps its own row, when it is back. */
void container_gone_away(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    if (variant % 3 != 0) {
        move(w, variant % 3 == 1 ? b : c, true, PHASE_OPEN);
        pass(w, 400);
    }
    switch (variant / 3 % 4) {
    case 0:
        nemesis_cut(w, b, UINT32_MAX, CUT_BOTH, true);
        break;
    case 1:
        node_pause(w->nodes[b], lease_ms(w) * 6 * MS);
        break;
    case 2:
        supervise(w, b, lease_ms(w) * 6, variant % 2 == 0);
        nemesis_crash(w, b);
        break;
    default:
        (void)nemesis_offline(w, b, false);
        break;
    }
    pass(w, (usec)variant / 12 * 50);
    remove_for_certain(w, MOVED);
    pass(w, lease_ms(w) * 3);
    nemesis_cut(w, b, UINT32_MAX, CUT_BOTH, false);
    node_resume(w->nodes[b]);
    (void)nemesis_online(w, b);
    pass(w, lease_ms(w) * 6);
}

/* A region that was to write the partition is taken out before it could, and the container goes. What the account's
 * writer had told it of the partition before comes when the record has no row any more, and before the
 * metadata: nobody may follow it. Variants: when the frames were held up, and whether the region restarts. */
void container_old_frames(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    net_clog(w, a, c, true);
    if (variant % 2 == 0) { /* it asks where its logs part */
        supervise(w, c, 20, false);
        nemesis_crash(w, c);
    }
    pass(w, 100 + 300 * (usec)(variant / 4));
    (void)nemesis_partition(w, MOVED, c, true);
    for (unsigned ms = 0; ms < 2000 && !has_claimed(w, c); ms++) {
        pass(w, 1);
    }
    pass(w, 20); /* its storage knows, too */
    (void)nemesis_offline(w, c, true);
    pass(w, 800);
    (void)nemesis_online(w, c);
    pass(w, 300);
    remove_for_certain(w, MOVED);
    pass(w, 500);
    if (variant / 2 % 2 == 1) {
        nemesis_crash(w, c);
        pass(w, 500);
        restart_now(w, c);
        pass(w, 300);
    }
    net_clog(w, a, c, false);
    pass(w, lease_ms(w) * 4);
    struct region *r = node_region(w->nodes[c]);
    if (r != NULL && region_role(r) == ROLE_FENCED) {
        world_fail(w, "gone", "region %u was fenced off by what is left of a removed partition", c);
    }
}

/* The container goes while a region that joins copies its partition, which another region may write. */
void container_gone_copying(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    region_id newcomer = (region_id)w->cfg.region_count;
    region_id b = other_than(w, a, newcomer);
    if (variant % 2 == 1) {
        move(w, b, true, PHASE_OPEN);
        pass(w, 300);
    }
    (void)nemesis_add(w, newcomer);
    pass(w, 20 * (usec)(variant / 2));
    container_remove(w, MOVED, a);
    pass(w, 500);
    remove_for_certain(w, MOVED);
    pass(w, lease_ms(w) * 4);
}

/* Containers come and go, and move, all the time, while the account's writer changes. */
void container_often(struct world *w, unsigned variant)
{
    pass(w, 1000);
    for (unsigned i = 0; i < 14 && !w->has_failed; i++) {
        region_id to = 1 + (i + variant) % (region_id)w->cfg.region_count;
        pid p = 1 + (i / 2 + variant) % 4;
        region_id now = nemesis_writer(w);
        if (w->part_states[p] == PART_OPEN) {
            (void)nemesis_partition(w, p, to, i % 3 != 0); /* refused while one is under way */
        }
        if (i % 4 == 1 && now != 0) {
            (void)container_make(w, now);
        } else if (i % 4 == 3 && now != 0 &&
                   (w->part_states[p] == PART_OPEN || w->part_states[p] == PART_DOUBT)) {
            pass(w, (usec)variant * 3);
            container_remove(w, p, now);
        }
        if (i % 5 == 4) {
            (void)nemesis_failover(w, to); /* same */
        }
        pass(w, 100 + 60 * (usec)variant);
    }
    pass(w, lease_ms(w) * 3);
}
