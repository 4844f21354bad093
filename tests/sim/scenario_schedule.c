/* Every schedule of faults and operators' orders up to a depth: all sequences of the steps below that make
 * sense (nobody starts what runs, heals what is whole), shortest first. Where random runs draw many faults
 * and may miss a short sequence, this leaves none out; what it does not enumerate is the time between two
 * steps, which the seed draws: mostly a few milliseconds, within the procedure that the step before set off.
 *
 * east (1) writes at first, west (2) is the next by priority, north (3) the last. */
#include "sim/coordinator.h"
#include "sim/scenario_int.h"

enum step {
    STEP_WAIT, /* long enough for a lease to end and another region to take over */
    STEP_CRASH_EAST,
    STEP_CRASH_WEST,
    STEP_CRASH_NORTH,
    STEP_START, /* all that are down */
    STEP_PAUSE_EAST,
    STEP_PAUSE_WEST,
    STEP_ISOLATE_EAST,
    STEP_CUT_EAST_COORDINATOR,
    STEP_CUT_WEST_COORDINATOR,
    STEP_CUT_EAST_WEST,
    STEP_HEAL, /* all cuts */
    STEP_CRASH_COORDINATOR,
    STEP_FAILOVER_TO_WEST,
    STEP_FAILOVER_TO_EAST,
    STEP_OFFLINE_EAST,
    STEP_ONLINE_EAST,
    STEP_PARTITION_TO_WEST,
    STEP_PARTITION_RETURNS,
    STEP_COUNT,
};

struct hands { /* what the steps so far have done */
    uint32_t down, paused;
    bool is_cut, is_offline, is_failed_over, is_moved;
};

static uint32_t bit(region_id id)
{
    return 1u << id;
}

static bool may_follow(const struct hands *h, size_t depth, enum step last, enum step next)
{
    switch (next) {
    case STEP_WAIT:
    case STEP_CRASH_COORDINATOR:
        return depth == 0 ? next != STEP_WAIT : last != next;
    case STEP_CRASH_EAST:
        return (h->down & bit(1)) == 0;
    case STEP_CRASH_WEST:
        return (h->down & bit(2)) == 0;
    case STEP_CRASH_NORTH:
        return (h->down & bit(3)) == 0;
    case STEP_START:
        return h->down != 0;
    case STEP_PAUSE_EAST:
        return ((h->down | h->paused) & bit(1)) == 0;
    case STEP_PAUSE_WEST:
        return ((h->down | h->paused) & bit(2)) == 0;
    case STEP_ISOLATE_EAST:
    case STEP_CUT_EAST_COORDINATOR:
    case STEP_CUT_WEST_COORDINATOR:
    case STEP_CUT_EAST_WEST:
        return !h->is_cut;
    case STEP_HEAL:
        return h->is_cut;
    case STEP_FAILOVER_TO_WEST:
        return !h->is_failed_over;
    case STEP_FAILOVER_TO_EAST:
        return h->is_failed_over || h->is_offline || (h->down & bit(1)) != 0;
    case STEP_OFFLINE_EAST:
        return !h->is_offline;
    case STEP_ONLINE_EAST:
        return h->is_offline || (h->down & bit(1)) != 0;
    case STEP_PARTITION_TO_WEST:
        return !h->is_moved;
    case STEP_PARTITION_RETURNS:
        return h->is_moved;
    case STEP_COUNT:
        break;
    }
    UNREACHABLE();
}

static void note(struct hands *h, enum step s)
{
    h->paused = s == STEP_WAIT ? 0 : h->paused; /* pauses are shorter */
    switch (s) {
    case STEP_CRASH_EAST:
    case STEP_CRASH_WEST:
    case STEP_CRASH_NORTH:
        h->down |= bit((region_id)(1 + s - STEP_CRASH_EAST));
        break;
    case STEP_START:
        h->down = 0;
        break;
    case STEP_PAUSE_EAST:
    case STEP_PAUSE_WEST:
        h->paused |= bit((region_id)(1 + s - STEP_PAUSE_EAST));
        break;
    case STEP_ISOLATE_EAST:
    case STEP_CUT_EAST_COORDINATOR:
    case STEP_CUT_WEST_COORDINATOR:
    case STEP_CUT_EAST_WEST:
    case STEP_HEAL:
        h->is_cut = s != STEP_HEAL;
        break;
    case STEP_FAILOVER_TO_WEST:
    case STEP_FAILOVER_TO_EAST:
        h->is_failed_over = s == STEP_FAILOVER_TO_WEST;
        break;
    case STEP_OFFLINE_EAST:
    case STEP_ONLINE_EAST:
        h->is_offline = s == STEP_OFFLINE_EAST;
        break;
    case STEP_PARTITION_TO_WEST:
    case STEP_PARTITION_RETURNS:
        h->is_moved = s == STEP_PARTITION_TO_WEST;
        break;
    case STEP_WAIT:
    case STEP_CRASH_COORDINATOR:
    case STEP_COUNT:
        break;
    }
}

struct walk {
    size_t length;        /* of the sequences that are counted */
    unsigned left;        /* to be passed over; the one after is wanted */
    enum step *ret_steps; /* NULL: all are counted */
    unsigned count;
};

/* true: the wanted one is in ret_steps. */
static bool walk_from(struct walk *k, const struct hands *h, size_t depth, enum step last)
{
    if (depth == k->length) {
        k->count++;
        return k->ret_steps != NULL && k->left-- == 0;
    }
    for (unsigned s = 0; s < STEP_COUNT; s++) {
        if (!may_follow(h, depth, last, (enum step)s)) {
            continue;
        }
        struct hands after = *h;
        note(&after, (enum step)s);
        if (k->ret_steps != NULL) {
            k->ret_steps[depth] = (enum step)s;
        }
        if (walk_from(k, &after, depth + 1, (enum step)s)) {
            return true;
        }
    }
    return false;
}

static unsigned count_of(size_t length)
{
    struct walk k = {.length = length};
    (void)walk_from(&k, &(struct hands){0}, 0, STEP_COUNT);
    return k.count;
}

unsigned schedule_count(unsigned depth)
{
    unsigned n = 0;
    for (size_t length = 1; length <= depth; length++) {
        n += count_of(length);
    }
    return n;
}

/* Returns the length. */
static size_t schedule_nth(unsigned n, enum step ret[SCHEDULE_DEPTH_MAX])
{
    for (size_t length = 1; length <= SCHEDULE_DEPTH_MAX; length++) {
        unsigned count = count_of(length);
        if (n < count) {
            struct walk k = {.length = length, .left = n, .ret_steps = ret};
            (void)walk_from(&k, &(struct hands){0}, 0, STEP_COUNT);
            return length;
        }
        n -= count;
    }
    return 0; /* there is no such schedule */
}

static void cut(struct world *w, region_id id, uint32_t mask, bool is_cut)
{
    nemesis_cut(w, id, mask, CUT_BOTH, is_cut);
}

static void do_step(struct world *w, enum step s)
{
    switch (s) {
    case STEP_WAIT:
        pass(w, lease_ms(w) * 8 / 5);
        break;
    case STEP_CRASH_EAST:
    case STEP_CRASH_WEST:
    case STEP_CRASH_NORTH: {
        region_id id = (region_id)(1 + s - STEP_CRASH_EAST);
        supervise(w, id, 0, false);
        nemesis_crash(w, id);
        break;
    }
    case STEP_START:
        for (region_id id = 1; id <= w->cfg.region_count; id++) {
            restart_now(w, id);
        }
        break;
    case STEP_PAUSE_EAST:
    case STEP_PAUSE_WEST:
        node_pause(w->nodes[1 + s - STEP_PAUSE_EAST], lease_ms(w) * MS * 3 / 2);
        break;
    case STEP_ISOLATE_EAST:
        cut(w, 1, ~0u, true);
        break;
    case STEP_CUT_EAST_COORDINATOR:
        cut(w, 1, 1, true);
        break;
    case STEP_CUT_WEST_COORDINATOR:
        cut(w, 2, 1, true);
        break;
    case STEP_CUT_EAST_WEST:
        cut(w, 1, bit(2), true);
        break;
    case STEP_HEAL:
        cut(w, 1, ~0u, false);
        cut(w, 2, 1, false);
        break;
    case STEP_CRASH_COORDINATOR:
        coordinator_crash(w, lease_ms(w) * MS / 2);
        break;
    case STEP_FAILOVER_TO_WEST:
    case STEP_FAILOVER_TO_EAST:
        (void)nemesis_failover(w, s == STEP_FAILOVER_TO_WEST ? 2 : 1);
        break;
    case STEP_OFFLINE_EAST:
        (void)nemesis_offline(w, 1, true);
        break;
    case STEP_ONLINE_EAST:
        (void)nemesis_online(w, 1);
        break;
    case STEP_PARTITION_TO_WEST:
        (void)nemesis_partition(w, 1, 2, true);
        break;
    case STEP_PARTITION_RETURNS:
        (void)nemesis_partition(w, 1, 0, false);
        break;
    case STEP_COUNT:
        UNREACHABLE();
    }
}

void every_schedule(struct world *w, unsigned variant)
{
    enum step steps[SCHEDULE_DEPTH_MAX];
    size_t n = schedule_nth(variant, steps);
    struct rng r;
    rng_init(&r, w->cfg.seed * 31 + variant);
    pass(w, 1500);
    for (size_t i = 0; i < n; i++) {
        trace(w, "step", 0, i, steps[i], 0);
        do_step(w, steps[i]);
        world_run(w, w->now + rng_range(&r, 200, rng_chance(&r, 2, 3) ? 10000 : 200000), NULL);
    }
}
