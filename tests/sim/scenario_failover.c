/* Stories of writers: killed, paused, cut off, taken out; graceful changes; readers that are evicted;
 * regions that come back with a suffix. */
#include "sim/coordinator.h"
#include "sim/ledger.h"
#include "sim/scenario_int.h"

void pause_writer(struct world *w, unsigned variant)
{
    static const unsigned tenths[] = {8, 13, 60};
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    struct trap t = trap_of(variant / 3, false, lease_ms(w) * tenths[variant % 3] / 10);
    node_set_trap(w->nodes[a], &t);
    pass(w, lease_ms(w) * 8);
}

void cut_writer(struct world *w, unsigned variant)
{
    static const struct {
        uint32_t mask;
        enum cut_direction direction;
    } cuts[] = {{1, CUT_BOTH}, {1, CUT_OUT},    {1, CUT_IN},    {~1u, CUT_BOTH}, {~1u, CUT_OUT},
                {~1u, CUT_IN}, {~0u, CUT_BOTH}, {~0u, CUT_OUT}, {~0u, CUT_IN}};
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    unsigned i = variant % ARRAY_COUNT(cuts);
    nemesis_cut(w, a, cuts[i].mask, cuts[i].direction, true);
    pass(w, lease_ms(w) * (variant < ARRAY_COUNT(cuts) ? 6 : 1));
    nemesis_cut(w, a, cuts[i].mask, cuts[i].direction, false);
    pass(w, lease_ms(w) * 4);
}

void kill_unreplicated(struct world *w, unsigned variant)
{
    pass(w, 1500);
    (void)kill_with_suffix(w, variant % 2 == 0 ? lease_ms(w) * 4 : 200, variant < 2);
    pass(w, lease_ms(w) * 8);
}

void quick_restart(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    supervise(w, a, 20 + 150 * variant, variant % 2 == 1);
    nemesis_crash(w, a);
    pass(w, lease_ms(w) * 5);
}

void double_fault(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    supervise(w, a, lease_ms(w) * 6, variant % 2 == 1);
    nemesis_crash(w, a);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (id != a) {
            struct trap t = trap_of(variant / 2, true, 0);
            t.role_mask = 1u << ROLE_PROMOTING;
            supervise(w, id, 500 + lease_ms(w) * (id % 3), id % 2 == 0);
            node_set_trap(w->nodes[id], &t);
        }
    }
    pass(w, lease_ms(w) * 15);
}

void coordinator_in_wait(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    if (variant % 2 == 0) {
        nemesis_cut(w, a, ~0u, CUT_BOTH, true);
    } else {
        nemesis_crash(w, a);
    }
    pass(w, lease_ms(w) * (2 + variant) / 10);
    coordinator_crash(w, 200 * MS);
    pass(w, lease_ms(w) * 12 / 10);
    coordinator_crash(w, 200 * MS);
    pass(w, lease_ms(w) * 4);
    nemesis_cut(w, a, ~0u, CUT_BOTH, false);
    pass(w, lease_ms(w) * 4);
}

static size_t acknowledged_since(const struct world *w, usec from)
{
    size_t n = 0;
    for (size_t i = 0; i < w->ledger->count; i++) {
        const struct op *op = w->ledger->ops[i];
        n += op_is_write(op->kind) && op->outcome == OUT_OK && op->arrived_at >= from;
    }
    return n;
}

/* Some write that begins now is acknowledged, or none is, whatever is tried for two leases. */
static void expect_writes(struct world *w, bool are_wanted)
{
    usec from = w->now;
    pass(w, lease_ms(w) * 2);
    size_t n = acknowledged_since(w, from);
    if (!w->has_failed && (n > 0) != are_wanted) {
        world_fail(w, "liveness", "%zu writes acknowledged without the coordinator", n);
    }
}

/* The coordinator is away. Variants: that is all; and then the writer loses a region, a region stands
 * still, a region restarts, the writer stands still, dies, or stays cut off when the others hear again. In
 * the last two they only seem not to hear, and take over as soon as their requests get through. */
void coordinator_away(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    unsigned story = (variant + 9) % 10; /* the most telling one first */
    bool is_one_way = story >= 8;
    if (is_one_way) {
        nemesis_cut(w, a, 1, CUT_BOTH, true);
        nemesis_cut(w, b, 1, CUT_OUT, true);
        nemesis_cut(w, c, 1, CUT_OUT, true);
    } else if (story % 2 == 0) {
        coordinator_crash(w, lease_ms(w) * 9 * MS);
    } else {
        coordinator_pause(w, lease_ms(w) * 9 * MS);
    }
    if (story == 9) {
        /* They have vouched, and do not wait any more. */
        pass(w, lease_ms(w) * 7 / 10 + (usec)variant * 7);
    } else {
        pass(w, lease_ms(w) * 3 / 2 + (usec)variant * 37);
        expect_writes(w, true);
    }
    switch (story / 2) {
    case 0:
        break;
    case 1:
        if (story % 2 == 0) {
            nemesis_cut(w, a, 1u << b, CUT_BOTH, true);
        } else {
            node_pause(w->nodes[c], lease_ms(w) * 4 * MS);
        }
        pass(w, lease_ms(w) * 3 / 2);
        expect_writes(w, false);
        nemesis_cut(w, a, 1u << b, CUT_BOTH, false);
        pass(w, lease_ms(w));
        expect_writes(w, true);
        break;
    case 2:
        supervise(w, b, 100, story % 2 == 0);
        nemesis_crash(w, b);
        pass(w, lease_ms(w) * 2);
        expect_writes(w, false); /* a new process knows nothing that it could vouch for */
        break;
    case 3:
        if (story % 2 == 0) {
            node_pause(w->nodes[a], lease_ms(w) * 3 * MS / 2);
        } else {
            nemesis_cut(w, a, 1, CUT_BOTH, true);
            pass(w, lease_ms(w) * 8);
            if (wait_role(w, ROLE_WRITER, a, lease_ms(w) * 4) == 0) {
                world_fail(w, "liveness",
                           "nobody took over from a writer that alone hears nothing");
            }
        }
        break;
    case 4:
        nemesis_cut(w, b, 1, CUT_OUT, false);
        nemesis_cut(w, c, 1, CUT_OUT, false);
        if (wait_role(w, ROLE_WRITER, a, lease_ms(w) * 4) == 0) {
            world_fail(w, "liveness", "nobody took over");
        }
        break;
    default:
        UNREACHABLE();
    }
    pass(w, lease_ms(w) * 8);
    nemesis_cut(w, a, 1, CUT_BOTH, false);
    pass(w, lease_ms(w) * 4);
}

void transfer_crash(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    /* Variants: source or target, crash or pause, at each kind of step. */
    region_id victim = variant % 2 == 0 ? a : b;
    bool is_crash = variant / 2 % 2 == 0;
    struct trap t = trap_of(variant / 4, is_crash, lease_ms(w) * 2);
    t.role_mask = (1u << ROLE_HOLDING) | (1u << ROLE_TAKING);
    supervise(w, victim, 700, variant % 3 == 0);
    node_set_trap(w->nodes[victim], &t);
    (void)nemesis_failover(w, b); /* the run shows what came of it */
    pass(w, lease_ms(w) * 9);
    (void)nemesis_failover(w, a);
    pass(w, lease_ms(w) * 4);
}

void transfer_often(struct world *w, unsigned variant)
{
    pass(w, 1000);
    for (unsigned i = 0; i < 12 && !w->has_failed; i++) {
        (void)nemesis_failover(w, 1 + (i + variant) % (region_id)w->cfg.region_count);
        pass(w, 300 + 50 * variant);
    }
    pass(w, lease_ms(w) * 3);
}

/* The target hears where the log ends when the source is about to call the change off: both ask a coordinator
 * that is slow, and in half of the variants restarts with both requests on their way. */
void transfer_twice(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    net_clog(w, a, b, true);
    (void)nemesis_failover(w, b);
    w->coord_slow = 40;
    pass(w, w->cfg.timers.transfer_ms - 60 + 8 * (usec)(variant / 2));
    net_clog(w, a, b, false);
    if (variant % 2 == 1) {
        pass(w, 60);
        coordinator_crash(w, 50 * MS);
    }
    pass(w, lease_ms(w));
    w->coord_slow = 0;
    pass(w, lease_ms(w) * 4);
}

void rejoin_crash(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = kill_with_suffix(w, 0, true);
    if (a == 0) {
        return;
    }
    pass(w, lease_ms(w) * 4);
    struct trap t = trap_of(variant, true, 0);
    t.role_mask = 1u << ROLE_RECOVERING;
    supervise(w, a, 500, variant % 2 == 0);
    restart_now(w, a);
    node_set_trap(w->nodes[a], &t);
    pass(w, lease_ms(w) * 10);
}

void rejoin_writer_crash(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = kill_with_suffix(w, 0, true);
    if (a == 0) {
        return;
    }
    region_id b = wait_role(w, ROLE_WRITER, a, lease_ms(w) * 5);
    supervise(w, a, 500, false);
    restart_now(w, a);
    pass(w, 5 + 10 * (variant / 8));
    if (b != 0) {
        struct trap t = trap_of(variant % 8, true, 0);
        supervise(w, b, lease_ms(w) * 5, variant % 2 == 0);
        if (variant % 3 == 0) {
            clog_out(w, b, true); /* the conflict records it has taken reach nobody */
        }
        node_set_trap(w->nodes[b], &t);
    }
    pass(w, lease_ms(w) * 4);
    if (b != 0) {
        nemesis_crash(w, b);
        clog_out(w, b, false);
    }
    pass(w, lease_ms(w) * 10);
}

void failover_chain(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id gone[2] = {0};
    for (unsigned i = 0; i < 2; i++) {
        gone[i] = kill_with_suffix(w, 0, true);
        pass(w, lease_ms(w) * 3);
    }
    /* Everybody comes back, in one order or the other. */
    for (unsigned i = 0; i < 2; i++) {
        region_id id = gone[(i + variant) % 2];
        if (id != 0) {
            restart_now(w, id);
            pass(w, variant < 2 ? 300 : lease_ms(w) * 4);
        }
    }
    pass(w, lease_ms(w) * 10);
}

void all_restart(struct world *w, unsigned variant)
{
    pass(w, 1500);
    size_t n = w->cfg.region_count;
    for (region_id id = 1; id <= n; id++) {
        supervise(w, id, 0, variant % 2 == 0);
        nemesis_crash(w, 1 + (id + variant) % (region_id)n);
        pass(w, (usec)(variant / 6) * 300);
    }
    for (region_id id = 1; id <= n; id++) {
        restart_now(w, 1 + (id * (variant % 2 == 0 ? 1 : 2) + variant) % (region_id)n);
        pass(w, 1000);
    }
    for (region_id id = 1; id <= n; id++) {
        restart_now(w, id);
    }
    pass(w, lease_ms(w) * 6);
}

void evict_reader(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    switch (variant % 4) {
    case 0: /* the reader hears the coordinator, not the writer */
        nemesis_cut(w, b, 1u << a, CUT_BOTH, true);
        break;
    case 1:
        nemesis_cut(w, b, 1u << a, CUT_IN, true);
        break;
    case 2:
        node_pause(w->nodes[b], lease_ms(w) * 3 * MS);
        break;
    default: /* the reader hears the writer, not the coordinator */
        nemesis_cut(w, b, 1, CUT_BOTH, true);
        break;
    }
    pass(w, lease_ms(w) * (variant < 4 ? 5 : 1));
    if (variant >= 8 && c != 0) {
        nemesis_crash(w, a); /* the next writer has to know of the leases of this one */
    }
    pass(w, lease_ms(w) * 2);
    nemesis_cut(w, b, ~0u, CUT_BOTH, false);
    pass(w, lease_ms(w) * 5);
}

/* Clients go on reading where nobody can be told that the region is out: its read lease must end
 * before anything is acknowledged without it. */
void evict_by_operator(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    switch (variant % 3) {
    case 0:
        nemesis_cut(w, b, ~0u, CUT_BOTH, true);
        break;
    case 1:
        nemesis_cut(w, b, 1u | 1u << a, CUT_IN, true);
        break;
    default:
        nemesis_cut(w, b, 1, CUT_BOTH, true);
        break;
    }
    pass(w, (usec)30 * (variant / 3));
    (void)nemesis_offline(w, b, true); /* the run shows what came of it */
    pass(w, lease_ms(w) * 3);
    nemesis_cut(w, b, ~0u, CUT_BOTH, false);
    (void)nemesis_online(w, b);
    pass(w, lease_ms(w) * 3);
}

void forced_offline(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    if (variant % 3 == 1) {
        node_pause(w->nodes[a], lease_ms(w) * 4 * MS);
    } else if (variant % 3 == 2) {
        nemesis_cut(w, a, ~0u, CUT_BOTH, true);
    }
    pass(w, 100);
    (void)nemesis_offline(w, a, true); /* the run shows what came of it */
    pass(w, lease_ms(w) * 5);
    nemesis_cut(w, a, ~0u, CUT_BOTH, false);
    if (variant >= 3) {
        region_id b = writer(w);
        (void)nemesis_offline(w, b, true);
        pass(w, lease_ms(w) * 3);
    }
    (void)nemesis_online(w, a);
    pass(w, lease_ms(w) * 5);
}

/* The writer goes on alone, and is gone when the others come back: nobody takes over before an operator
 * accepts what that loses. In the end the writer comes back, too, and hands in what only it had. */
void loss_accepted(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id b = variant >= 24 ? kill_with_suffix(w, 0, variant % 2 == 0) : 0;
    region_id a = wait_role(w, ROLE_WRITER, b, lease_ms(w) * 8);
    if (a == 0) {
        return;
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 0, variant % 2 == 0);
    }
    if (b == 0) {
        b = other_than(w, a, 0);
        nemesis_crash(w, b);
    }
    region_id c = other_than(w, a, b);
    pass(w, (usec)(variant / 6) * 200);
    nemesis_crash(w, c);
    pass(w, lease_ms(w) * 4);
    if (variant % 3 == 0) {
        nemesis_cut(w, a, ~0u, CUT_BOTH, true);
    } else {
        nemesis_crash(w, a);
    }
    if (nemesis_offline_losing(w, a)) {
        world_fail(w, "accepted-loss", "a loss was accepted with nobody there who could write");
        return;
    }
    restart_now(w, b);
    if (variant % 4 < 2) {
        restart_now(w, c);
    }
    pass(w, lease_ms(w) * 4);
    if (nemesis_offline(w, a, false)) {
        world_fail(w, "accepted-loss", "an operator was not asked to accept a loss");
        return;
    }
    if (!nemesis_offline_losing(w, a)) {
        world_fail(w, "accepted-loss", "region %u cannot be taken out", a);
        return;
    }
    if (variant % 3 == 2) { /* who was chosen dies on the way; the other one or itself goes on */
        pass(w, 5);
        region_id chosen = nemesis_writer(w);
        if (chosen != 0 && node_is_up(w->nodes[chosen])) {
            nemesis_crash(w, chosen);
        }
        restart_now(w, b);
        restart_now(w, c);
    }
    region_id now = wait_role(w, ROLE_WRITER, a, lease_ms(w) * 8);
    if (now == 0) {
        world_fail(w, "accepted-loss", "nobody writes although the loss was accepted");
        return;
    }
    for (pid p = 1; p < SIM_PARTS_MAX; p++) { /* containers may be among what was lost */
        bool is_lost = w->part_states[p] == PART_OPEN && !node_has_part(w->nodes[now], p);
        w->part_states[p] = is_lost ? PART_BURNT : w->part_states[p];
    }
    pass(w, lease_ms(w) * (1 + variant % 5));
    nemesis_cut(w, a, ~0u, CUT_BOTH, false);
    restart_now(w, a);
    (void)nemesis_online(w, a);
    pass(w, lease_ms(w) * 4);
}

void bad_disk(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    region_id id = variant % 2 == 0 ? a : b;
    supervise(w, id, 500, variant % 4 < 2);
    switch (variant / 4 % 3) {
    case 0:
        node_disk_fail_next(w->nodes[id]);
        break;
    case 1:
        node_disk_set_full(w->nodes[id], true);
        break;
    default:
        node_disk_slow(w->nodes[id], 100);
        break;
    }
    pass(w, lease_ms(w) * 4);
    node_disk_heal(w->nodes[id]);
    pass(w, lease_ms(w) * 4);
}

void old_frames(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    /* What the old writer sent arrives when another one writes. */
    clog_out(w, a, true);
    pass(w, 300);
    if (variant % 2 == 0) {
        nemesis_cut(w, a, 1, CUT_BOTH, true);
    } else {
        node_pause(w->nodes[a], lease_ms(w) * 3 * MS);
    }
    (void)wait_role(w, ROLE_WRITER, a, lease_ms(w) * 5);
    pass(w, (usec)(variant / 2) * 100);
    clog_out(w, a, false);
    pass(w, lease_ms(w));
    nemesis_cut(w, a, 1, CUT_BOTH, false);
    pass(w, lease_ms(w) * 5);
}

void drained(struct world *w, unsigned variant)
{
    pass(w, 1500);
    for (unsigned i = 0; i < 3; i++) {
        region_id a = writer(w);
        if (a == 0) {
            return;
        }
        supervise(w, a, 300, variant % 2 == 0);
        node_post_drain(w->nodes[a]);
        pass(w, 20 + 300 * variant);
        if (node_is_up(w->nodes[a])) {
            node_stop(w->nodes[a], STOP_DRAINED);
        }
        pass(w, lease_ms(w) * 4);
    }
}

/* The writer is cut off while its wall clock goes back (or forth): its lease ends all the same. */
void wall_clock(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    node_wall_jump(w->nodes[a], variant % 2 == 0 ? -60000 : 60000);
    nemesis_cut(w, a, variant / 2 % 2 == 0 ? 1 : ~0u, CUT_BOTH, true);
    pass(w, lease_ms(w) * 4);
    nemesis_cut(w, a, ~0u, CUT_BOTH, false);
    pass(w, lease_ms(w) * 3);
}

void lonely_flap(struct world *w, unsigned variant)
{
    pass(w, 1500);
    for (unsigned i = 0; i < 8 && !w->has_failed; i++) {
        region_id a = writer(w);
        if (a == 0) {
            return;
        }
        nemesis_cut(w, a, ~0u, CUT_BOTH, true);
        pass(w, lease_ms(w) * (5 + variant * 4) / 10);
        nemesis_cut(w, a, ~0u, CUT_BOTH, false);
        pass(w, lease_ms(w) * (5 + variant * 2) / 10);
    }
    pass(w, lease_ms(w) * 4);
}
