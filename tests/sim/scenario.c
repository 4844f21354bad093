/* The stories. Each lets the cluster work for a moment, strikes, and lets time pass; what must
 * hold is what holds in every run (checkers, liveness), and for some that losses were reported. */
#include "sim/scenario_int.h"

#include <stdio.h>

#include "base/contract.h"
#include "sim/coordinator.h"

/* ---- stories ---- */

static void pause_writer(struct world *w, unsigned variant)
{
    static const unsigned tenths[] = {8, 13, 60};
    pass(w, 1500);
    region_id a = writer(w);
    struct trap t = trap_of(variant / 3, false, lease_ms(w) * tenths[variant % 3] / 10);
    if (a != 0) {
        node_set_trap(w->nodes[a], &t);
    }
    pass(w, lease_ms(w) * 8);
}

static void cut_writer(struct world *w, unsigned variant)
{
    static const struct {
        uint32_t mask;
        enum cut_direction direction;
    } cuts[] = {{1, CUT_BOTH}, {1, CUT_OUT},    {1, CUT_IN},    {~1u, CUT_BOTH}, {~1u, CUT_OUT},
                {~1u, CUT_IN}, {~0u, CUT_BOTH}, {~0u, CUT_OUT}, {~0u, CUT_IN}};
    pass(w, 1500);
    region_id a = writer(w);
    if (a == 0) {
        return;
    }
    unsigned i = variant % ARRAY_COUNT(cuts);
    nemesis_cut(w, a, cuts[i].mask, cuts[i].direction, true);
    pass(w, lease_ms(w) * (variant < ARRAY_COUNT(cuts) ? 6 : 1));
    nemesis_cut(w, a, cuts[i].mask, cuts[i].direction, false);
    pass(w, lease_ms(w) * 4);
}

static void kill_unreplicated(struct world *w, unsigned variant)
{
    pass(w, 1500);
    (void)kill_with_suffix(w, variant % 2 == 0 ? lease_ms(w) * 4 : 200, variant < 2);
    pass(w, lease_ms(w) * 8);
}

static void quick_restart(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    if (a != 0) {
        supervise(w, a, 20 + 150 * variant, variant % 2 == 1);
        nemesis_crash(w, a);
    }
    pass(w, lease_ms(w) * 5);
}

static void double_fault(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void coordinator_in_wait(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void transfer_crash(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void transfer_often(struct world *w, unsigned variant)
{
    pass(w, 1000);
    for (unsigned i = 0; i < 12 && !w->has_failed; i++) {
        (void)nemesis_failover(w, 1 + (i + variant) % (region_id)w->cfg.region_count);
        pass(w, 300 + 50 * variant);
    }
    pass(w, lease_ms(w) * 3);
}

static void rejoin_crash(struct world *w, unsigned variant)
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

static void rejoin_writer_crash(struct world *w, unsigned variant)
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

static void failover_chain(struct world *w, unsigned variant)
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

static void all_restart(struct world *w, unsigned variant)
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

static void evict_reader(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
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
static void evict_by_operator(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void forced_offline(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void bad_disk(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id id = variant % 2 == 0 ? a : other_than(w, a, 0);
    if (id == 0) {
        return;
    }
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

static void old_frames(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

static void drained(struct world *w, unsigned variant)
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

static void lonely_flap(struct world *w, unsigned variant)
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

/* Syncs of about `sync_ms` from now on. */
static void slow_down(struct world *w, region_id id, usec sync_ms)
{
    node_disk_slow(w->nodes[id], (unsigned)(sync_ms * MS / w->cfg.sync_us + 1));
}

static epoch epoch_of(struct world *w)
{
    epoch newest = 0;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        struct region *r = node_region(w->nodes[id]);
        if (r != NULL && region_record(r) != NULL && region_record(r)->epoch > newest) {
            newest = region_record(r)->epoch;
        }
    }
    return newest;
}

static void slow_disk(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    if (a == 0) {
        return;
    }
    epoch before = epoch_of(w);
    bool is_everywhere = variant % 4 == 1;
    bool is_stuck = variant % 4 == 2; /* slower than any hand-over waits */
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (id == a || is_everywhere) {
            slow_down(w, id, is_stuck ? 20000 : 300);
        }
    }
    if (variant % 4 == 3) { /* one hiccup of an otherwise sound disk */
        pass(w, (usec)w->cfg.timers.slow_commit_ms * 3 / 2);
        node_disk_heal(w->nodes[a]);
        pass(w, (usec)w->cfg.timers.slow_for_ms * 3);
        if (epoch_of(w) != before) {
            world_fail(w, "health", "one slow commit moved the writer");
        }
    } else if (is_everywhere) {
        pass(w, (usec)w->cfg.timers.slow_for_ms * 10); /* who was given the role keeps it so long */
        if (epoch_of(w) > before + 1) { /* the flags of the others may come late once */
            world_fail(w, "health", "slow disks everywhere moved the writer again and again");
        }
    } else if (wait_role(w, ROLE_WRITER, a, is_stuck ? 25000 : 6000) == 0) {
        world_fail(w, "health", "a slow disk kept the writer's role");
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        node_disk_heal(w->nodes[id]);
    }
    pass(w, lease_ms(w) * 4);
}

/* A region of the quorum stores what it gets too slowly, or never, and says that it is well. Variants:
 * one does; both others do, so that it is no use to leave one behind; the writer does as well; bearably. */
static void slow_peer(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    bool is_lonely = variant % 4 == 0;
    bool is_strong = w->cfg.level == CONSISTENCY_STRONG;
    usec slow_ms = w->cfg.timers.slow_commit_ms;
    usec sync_ms = variant % 4 == 3 ? slow_ms / 40 /* one in a hundred takes ten times as long */
                   : is_lonely && variant / 4 % 2 == 0 ? 20 * slow_ms
                                                       : 5 * slow_ms;
    slow_down(w, b, sync_ms);
    if (variant % 4 == 1) {
        slow_down(w, other_than(w, a, b), sync_ms);
    } else if (variant % 4 == 2) {
        slow_down(w, a, sync_ms);
    }
    pass(w, slow_ms * 2 + lease_ms(w));
    struct region *r = node_region(w->nodes[a]);
    const struct account_record *rec = r != NULL ? region_record(r) : NULL;
    if (rec != NULL && rec->writer == a) {
        bool is_in = (rec->q_mask & record_mask(b)) != 0;
        if (is_in == (is_lonely && is_strong)) {
            world_fail(w, "health", "a slow region %s the strong quorum",
                       is_in ? "holds up" : "left");
        }
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        node_disk_heal(w->nodes[id]);
    }
    pass(w, lease_ms(w) * 4);
}

/* A reader that the writer hears and cannot reach: at Strong writes would wait for it, and at every level
 * changes of metadata. It has to go, also as the last reader; so has one that is reached and not heard. */
static void deaf_reader(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    if (variant % 4 >= 2) {
        nemesis_cut(w, other_than(w, a, b), ~0u, CUT_BOTH, true);
        pass(w, lease_ms(w) * 3);
    }
    /* One connection of the two, so that the other one lives on. */
    region_id from = variant % 2 == 0 ? a : b;
    net_clog(w, from, from == a ? b : a, true);
    pass(w, lease_ms(w) * 6);
    struct region *r = node_region(w->nodes[a]);
    const struct account_record *rec = r != NULL ? region_record(r) : NULL;
    const struct record_region *g = NULL;
    for (size_t i = 0; rec != NULL && rec->writer == a && i < rec->region_count; i++) {
        g = rec->regions[i].id == b ? &rec->regions[i] : g;
    }
    if (g != NULL && g->state == REGION_ONLINE_READ) {
        world_fail(w, "health", "a reader that %s the writer is online",
                   variant % 2 == 0 ? "does not hear" : "is not heard by");
    }
    net_heal(w);
    pass(w, lease_ms(w) * 4);
}

static void flap_hold(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    nemesis_cut(w, a, 1, CUT_BOTH, true);
    region_id b = a == 0 ? 0 : wait_role(w, ROLE_WRITER, a, lease_ms(w) * 4);
    usec opened = w->now;
    nemesis_cut(w, a, 1, CUT_BOTH, false);
    if (b == 0) {
        world_fail(w, "health", "nobody took over from a writer that was cut off");
        return;
    }
    pass(w, 500);
    if (variant % 2 == 0) {
        nemesis_cut(w, b, 1, CUT_BOTH, true); /* the links flap: the second time nobody hurries */
        usec hold = w->cfg.timers.failover_hold_ms * MS;
        region_id early = wait_role(w, ROLE_WRITER, b, (opened + hold - w->now) / MS - 100);
        region_id late = wait_role(w, ROLE_WRITER, b, lease_ms(w) * 4);
        nemesis_cut(w, b, 1, CUT_BOTH, false);
        if (early != 0 || late == 0) {
            world_fail(w, "health", "after a flap: early=%u late=%u", early, late);
        }
    } else {
        supervise(w, b, 2000, true); /* a confirmed stop is no flap */
        nemesis_crash(w, b);
        if (wait_role(w, ROLE_WRITER, b, 2000) == 0) {
            world_fail(w, "health", "a confirmed stop after a failover was not taken over at once");
        }
    }
    pass(w, lease_ms(w) * 4);
}

/* Levels. The run's level says which of two stories is told: see scenario_configure. */

static enum consistency other_level(const struct world *w)
{
    return w->cfg.level == CONSISTENCY_STRONG ? CONSISTENCY_SESSION : CONSISTENCY_STRONG;
}

/* A region lacks what was acknowledged without it when the level is asked to become Strong; variants:
 * for how long it does, and who is lost meanwhile. */
static void level_up(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    region_id c = other_than(w, a, b);
    if (variant % 4 == 0) { /* it is slow to store what it gets, and talks to the writer */
        node_disk_slow(w->nodes[b], 500);
    } else {
        net_clog(w, a, b, true);
    }
    pass(w, 300);
    (void)nemesis_level(w, CONSISTENCY_STRONG); /* the run shows what came of it */
    pass(w, 50 + variant / 4 * 250);
    switch (variant % 4) {
    case 0:
        pass(w, 300);
        break;
    case 1: /* the writer is lost, and nobody but the laggard can take over */
        supervise(w, a, lease_ms(w) * 6, true);
        nemesis_cut(w, c, ~0u, CUT_BOTH, true);
        pass(w, lease_ms(w) * 2);
        nemesis_crash(w, a);
        break;
    case 2: /* the writer is lost */
        supervise(w, a, lease_ms(w) * 4, variant / 4 % 2 == 0);
        nemesis_crash(w, a);
        break;
    default: /* the change is called off */
        (void)nemesis_level(w, w->cfg.level);
        pass(w, 100);
        break;
    }
    node_disk_slow(w->nodes[b], 1);
    net_clog(w, a, b, false);
    pass(w, lease_ms(w) * 4);
    nemesis_cut(w, c, ~0u, CUT_BOTH, false);
    pass(w, lease_ms(w) * 4);
}

/* A region that does not hear of it serves reads as before while the level becomes weaker. */
static void level_down(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    nemesis_cut(w, b, 1, variant % 2 == 0 ? CUT_BOTH : CUT_IN, true);
    (void)nemesis_level(w, variant % 3 == 2 ? CONSISTENCY_EVENTUAL : CONSISTENCY_SESSION);
    pass(w, (usec)30 * (variant / 2));
    net_clog(w, a, b, true);
    if (variant >= 6) {
        nemesis_crash(w, a); /* the next writer has to know of the leases of this one */
    }
    pass(w, lease_ms(w) * 3);
    net_clog(w, a, b, false);
    nemesis_cut(w, b, 1, CUT_BOTH, false);
    pass(w, lease_ms(w) * 4);
}

static void level_often(struct world *w, unsigned variant)
{
    pass(w, 1000);
    for (unsigned i = 0; i < 16 && !w->has_failed; i++) {
        (void)nemesis_level(w,
                            (enum consistency)((i * (2 + variant) + variant) % CONSISTENCY_COUNT));
        pass(w, 20 + 60 * (variant + i) % 400);
        if (i % 5 == 4) {
            (void)nemesis_failover(w, 1 + (i + variant) % (region_id)w->cfg.region_count);
        }
    }
    pass(w, lease_ms(w) * 4);
    (void)nemesis_level(w, other_level(w)); /* one is enough: whichever comes of it */
    pass(w, lease_ms(w) * 2);
}

/* A region falls behind at BoundedStaleness; variants: why, and whether the writer changes with it
 * behind, so that the new one begins a block of lsns. */
static void bounded_lag(struct world *w, unsigned variant)
{
    (void)nemesis_level(w, CONSISTENCY_BOUNDED_STALENESS); /* one of the two stories begins so */
    pass(w, 2000);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    switch (variant % 4) {
    case 0: /* it stores nothing for seconds, and talks to the writer */
        node_disk_slow(w->nodes[b], (unsigned)(4000000 / w->cfg.sync_us));
        pass(w, 1500);
        break;
    case 1:
        nemesis_cut(w, b, ~1u, CUT_BOTH, true);
        break;
    case 2:
        net_clog(w, a, b, true);
        break;
    default:
        nemesis_cut(w, b, ~0u, CUT_BOTH, true);
        break;
    }
    pass(w, lease_ms(w) * (variant < 4 ? 6 : 1));
    if (variant >= 8) {
        net_clog(w, c, b, true);
        (void)nemesis_failover(w, c); /* refused when the region was noticed */
        pass(w, 500);
        net_clog(w, c, b, false);
    } else if (variant >= 4) {
        supervise(w, a, lease_ms(w) * 4, true);
        nemesis_crash(w, a);
        pass(w, lease_ms(w) * 2);
    }
    net_clog(w, a, b, false);
    nemesis_cut(w, b, ~0u, CUT_BOTH, false);
    node_disk_slow(w->nodes[b], 1);
    pass(w, lease_ms(w) * 6);
}

/* Until the region is online again, or one that was taken out is gone. */
static bool wait_member(struct world *w, region_id id, bool is_member, usec ms)
{
    usec limit = w->now + ms * MS;
    while (!w->has_failed && w->now < limit) {
        struct region *r = node_region(w->nodes[id]);
        bool is_in = (w->member_mask & (1u << id)) != 0;
        if (!is_member && !is_in) {
            return true;
        }
        if (is_member && is_in && r != NULL && region_role(r) == ROLE_READER) {
            return true;
        }
        world_run(w, w->now + MS, NULL);
    }
    return false;
}

static void must_join(struct world *w, region_id id)
{
    if (!wait_member(w, id, true, 15000) && !w->has_failed) {
        world_fail(w, "regions", "region %u was added and is not online after 15 s", id);
    }
}

static void must_leave(struct world *w, region_id id)
{
    if (!wait_member(w, id, false, 10000) && !w->has_failed) {
        world_fail(w, "regions", "region %u was removed and is still there after 10 s", id);
    }
}

static bool try_for(struct world *w, bool (*operate)(struct world *w, region_id id), region_id id)
{
    for (unsigned i = 0; i < 200 && !w->has_failed; i++) {
        if (operate(w, id)) {
            return true;
        }
        pass(w, 25);
    }
    return false;
}

static bool remove_forced(struct world *w, region_id id)
{
    return nemesis_remove(w, id, true);
}

/* Variants: the new region, its source, or nobody stops on the way; with and without room for log. */
static void region_added(struct world *w, unsigned variant)
{
    region_id id = (region_id)w->cfg.region_count;
    pass(w, 1500); /* enough that the log is trimmed */
    if (!try_for(w, nemesis_add, id)) {
        world_fail(w, "regions", "region %u cannot be added", id);
        return;
    }
    struct trap t = trap_of(variant / 3, true, 0);
    if (variant % 3 == 1) {
        supervise(w, id, 300, true);
        node_set_trap(w->nodes[id], &t);
    } else if (variant % 3 == 2) {
        region_id a = writer(w);
        supervise(w, a, 300, true);
        t.countdown += 5 * (variant / 24);
        node_set_trap(w->nodes[a], &t);
    }
    must_join(w, id);
}

static void region_removed(struct world *w, unsigned variant)
{
    region_id a = writer(w);
    region_id id = other_than(w, a, 0);
    pass(w, 300);
    if (variant % 4 == 1) {
        nemesis_cut(w, id, UINT32_MAX, CUT_BOTH, true); /* it cannot know */
    } else if (variant % 4 == 2) {
        node_pause(w->nodes[id], lease_ms(w) * (1 + variant / 4) * MS / 2);
    } else if (variant % 4 == 3) {
        struct trap t = trap_of(variant / 4, true, 0);
        node_set_trap(w->nodes[a], &t);
    }
    if (!try_for(w, remove_forced, id)) {
        world_fail(w, "regions", "region %u cannot be removed", id);
        return;
    }
    must_leave(w, id);
    pass(w, 500);
    nemesis_cut(w, id, UINT32_MAX, CUT_BOTH, false);
}

/* A former writer with a suffix is taken out of the account, the log goes on without it, and it is
 * added back: its suffix comes into the feed, its data are brought up to date. Variants: how far the
 * log has gone meanwhile, and who stops on the way. */
static void region_back(struct world *w, unsigned variant)
{
    region_id a = kill_with_suffix(w, 0, true);
    if (a == 0 || wait_role(w, ROLE_WRITER, a, 5000) == 0) {
        return;
    }
    if (!try_for(w, remove_forced, a)) {
        world_fail(w, "regions", "region %u cannot be removed", a);
        return;
    }
    must_leave(w, a);
    pass(w, variant % 2 == 0 ? 200 : 2500);
    restart_now(w, a);
    supervise(w, a, 300, true);
    if (!try_for(w, nemesis_add, a)) {
        world_fail(w, "regions", "region %u cannot be added back", a);
        return;
    }
    struct trap t = trap_of(variant / 4, true, 0);
    if (variant / 2 % 2 == 1) {
        region_id b = writer(w);
        supervise(w, b, 300, true);
        node_set_trap(w->nodes[variant % 4 == 3 ? b : a], &t);
    }
    must_join(w, a);
}

/* Until the region that is away has to be copied. */
bool await_trimmed(struct world *w, region_id away)
{
    bool is_marked = false;
    for (unsigned i = 0; i < 100 && !is_marked && !w->has_failed; i++) {
        pass(w, 100);
        struct region *b = node_region(w->nodes[writer(w)]);
        const struct record_region *g =
            b != NULL ? record_region_const(region_record(b), away) : NULL;
        is_marked = g != NULL && g->needs_full_copy;
    }
    if (!is_marked && !w->has_failed) {
        world_fail(w, "regions", "the log is over its budget and region %u is not marked", away);
    }
    pass(w, 2500); /* the log is trimmed past it */
    return is_marked;
}

/* A region is away until the log kept for it is over its budget: it comes back by a copy, and what
 * only it has is sent first. */
static void log_over_budget(struct world *w, unsigned variant)
{
    region_id a = kill_with_suffix(w, 0, variant % 2 == 0);
    if (a == 0 || wait_role(w, ROLE_WRITER, a, 5000) == 0) {
        return;
    }
    if (!await_trimmed(w, a)) {
        return;
    }
    restart_now(w, a);
    supervise(w, a, 300, true);
    if (variant / 2 > 0) {
        struct trap t = trap_of(variant / 2, true, 0);
        supervise(w, writer(w), 300, true);
        node_set_trap(w->nodes[variant % 2 == 0 ? a : writer(w)], &t);
    }
    must_join(w, a);
}

static void regions_ordered(struct world *w, unsigned variant)
{
    for (region_id i = 0; i < 6 && !w->has_failed; i++) {
        pass(w, 200);
        (void)nemesis_prefer(w, 1 + (i + variant) % (region_id)w->cfg.region_count);
        region_id taking = variant >= 3 ? wait_role(w, ROLE_TAKING, 0, 200) : 0;
        if (taking != 0) {
            nemesis_crash(w, taking);
        }
    }
    pass(w, 2000);
}

/* ---- single partitions: doc/design/0007-partition-failover.md ---- */

/* Who writes partition 1 now, by the coordinator's record; 0 = nobody does, or the coordinator is away. */
static region_id part_writer(struct world *w)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    region_id id = 0;
    if (coordinator_record(w, &a, rec, &rev)) {
        struct record_reign reign;
        record_reign(rec, 1, &reign);
        id = reign.phase == PHASE_OPEN ? reign.writer : 0;
    }
    arena_done(&a);
    return id;
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
static void partition_unusable(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
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

/* An operator gives a partition to another region while its writer stands still, is cut off, or dies
 * right then: nobody else may acknowledge before the new one does. */
static void partition_moved(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = writer(w);
    region_id b = a != 0 ? (region_id)(a % w->cfg.region_count + 1) : 0;
    if (b == 0) {
        return;
    }
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

static const struct scenario scenarios[] = {
    {"level-up", "a level becomes Strong only when every region has what was acknowledged", 12, 3,
     false, level_up},
    {"level-down", "a level becomes weaker without stale reads where nobody was told", 12, 3, false,
     level_down},
    {"level-often", "levels change all the time, with writers", 8, 3, false, level_often},
    {"bounded-lag", "a region behind at BoundedStaleness holds writes up, not reads down", 12, 3,
     false, bounded_lag},

    {"pause-writer", "a writer paused across its lease at any step harms nothing", 72, 3, false,
     pause_writer},
    {"cut-writer", "a writer cut off in any direction harms nothing", 18, 3, false, cut_writer},
    {"kill-unreplicated", "what only a killed writer had comes into the conflict feed", 4, 3, true,
     kill_unreplicated},
    {"quick-restart", "a writer that restarts at once does not continue its epoch", 8, 3, false,
     quick_restart},
    {"double-fault", "the next writer may die at any step of its promotion", 48, 3, false,
     double_fault},
    {"coordinator-in-wait", "a coordinator that restarts during the lease wait shortens nothing", 8,
     3, false, coordinator_in_wait},
    {"transfer-crash", "source or target of a graceful change may stop at any step", 96, 3, false,
     transfer_crash},
    {"transfer-often", "graceful changes lose nothing, however fast they follow", 12, 3, false,
     transfer_often},
    {"rejoin-crash", "a returning writer may die at any step", 64, 3, true, rejoin_crash},
    {"rejoin-writer-crash", "the writer may die while another hands it a lost suffix", 48, 3, true,
     rejoin_writer_crash},
    {"failover-chain", "two writers die one after the other, both with a suffix", 4, 3, true,
     failover_chain},
    {"all-restart", "all regions stop and start in any order", 12, 3, false, all_restart},
    {"evict-reader", "a region leaves the strong quorum without stale reads", 12, 3, false,
     evict_reader},
    {"evict-reader-of-two", "the same with two regions", 8, 2, false, evict_reader},
    {"evict-by-operator", "a region taken out by an operator serves nothing stale", 12, 3, false,
     evict_by_operator},
    {"forced-offline", "an operator takes the writer offline, running, paused or cut off", 6, 3,
     false, forced_offline},
    {"bad-disk", "a disk that fails, is full or slow", 12, 3, false, bad_disk},
    {"old-frames", "frames of the old writer arrive when another one writes", 6, 3, false,
     old_frames},
    {"drained", "a drained region hands over before it stops", 6, 3, false, drained},
    {"lonely-flap", "the writer's links flap around the lease", 6, 3, false, lonely_flap},
    {"slow-disk", "a slow disk gives the writer's role away, once, and not for a hiccup", 8, 3,
     false, slow_disk},
    {"slow-peer", "a region that is slow to store leaves the strong quorum, when that helps", 8, 3,
     false, slow_peer},
    {"deaf-reader", "a reader that is cut off in one direction is taken offline", 12, 3, false,
     deaf_reader},
    {"region-added", "a region joins under load, whoever stops on the way", 72, 3, false,
     region_added},
    {"region-removed", "a region leaves without a stale read, whether it knows or not", 32, 3,
     false, region_removed},
    {"region-back", "a region that is added back brings what only it has", 64, 3, true,
     region_back},
    {"log-over-budget", "a full copy replaces nothing that was not sent", 32, 3, true,
     log_over_budget},
    {"regions-ordered", "another order of the regions loses nothing", 6, 3, false, regions_ordered},
    {"frames-twice", "frames that arrive once more, later, change nothing", 12, 3, false,
     frames_twice},
    {"coordinator-restored", "a coordinator restored from an old copy makes nobody write", 12, 3,
     false, coordinator_restored},
    {"coordinator-unknown", "nor does a region that cannot know that the copy is old", 8, 3, false,
     coordinator_unknown},
    {"unwhole-writer", "a writer that is not whole after a restart passes its role on", 6, 3, false,
     unwhole_writer},
    {"lsn-block", "a block of lsns that runs out stops writes until there is another", 8, 3, false,
     lsn_block},
    {"evict-called-off", "an eviction of unknown outcome is called off without stale reads", 8, 3,
     false, evict_called_off},
    {"promoted-stuck", "a new writer whose disk stands still passes the role on", 4, 3, false,
     promoted_stuck},
    {"rejoin-called-off", "a suffix that is being sent when the writer changes goes to the next",
     12, 3, true, rejoin_called_off},
    {"suffix-called-off", "a suffix that is still being stored when its finder dies is found again",
     8, 3, false, suffix_called_off},
    {"copy-lost", "a copy whose place was lost in a failover begins anew", 8, 3, false, copy_lost},
    {"copy-unreadable", "rows that a copy cannot read while it replaces them leave nothing behind",
     16, 3, false, copy_unreadable},
    {"partition-unusable", "one partition moves alone, and comes back repaired", 16, 3, false,
     partition_unusable},
    {"partition-moved", "one partition moves alone while its writer fails", 32, 3, false,
     partition_moved},
    {"flap-hold", "a second failover waits unless the stop is confirmed", 6, 3, false, flap_hold},
};

size_t scenario_count(void)
{
    return ARRAY_COUNT(scenarios);
}

const struct scenario *scenario_get(size_t i)
{
    ASSERT(i < ARRAY_COUNT(scenarios));
    return &scenarios[i];
}

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(scenarios); i++) {
        if (strcmp(scenarios[i].name, name) == 0) {
            return &scenarios[i];
        }
    }
    return NULL;
}

void scenario_configure(struct sim_cfg *c)
{
    const struct scenario *s = scenario_find(c->scenario);
    ASSERT(s != NULL);
    c->region_count = s->region_count;
    c->partition_failover = s->run == partition_unusable;
    c->first_count = s->region_count;
    c->log_size_max = 0;
    c->part_count = 2;
    c->client_count = 5;
    c->auto_failover = true;
    c->fault_mask = 0;
    c->is_wan = false;
    uint32_t retain_ms = c->timers.retain_ms;
    c->timers = region_timers_lan;
    c->timers.retain_ms = retain_ms;
    c->net_delay_us = c->net_delay_us % 2000 + 50;
    c->coord_delay_us = c->coord_delay_us % 2000 + 50;
    c->net_jitter_us = c->net_jitter_us % 1000;
    c->sync_us = c->sync_us % 3000 + 100;
    c->think_us = 20000;
    c->safety_us = 1000000;
    c->staleness_ops = 25;
    c->staleness_s = STALENESS_S_MIN;
    if (s->run == level_up) {
        /* Session, or in the other story BoundedStaleness, to Strong. */
        c->level = c->level == CONSISTENCY_STRONG ? CONSISTENCY_BOUNDED_STALENESS : c->level;
    } else if (s->run == bounded_lag) {
        c->auto_failover = c->level == CONSISTENCY_STRONG;
        c->level = CONSISTENCY_BOUNDED_STALENESS;
        c->think_us = c->auto_failover ? c->think_us : 60000;
    } else if (s->run == level_down && c->level == CONSISTENCY_SESSION) {
        c->level = CONSISTENCY_BOUNDED_STALENESS;
    }
    if (s->run == rejoin_called_off && c->variant >= 6) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = 400000;
        c->think_us = 300000;
    }
    if (s->run == region_added || s->run == copy_lost) {
        c->first_count--;
        c->timers.retain_ms = c->variant % 2 == 0 ? 100 : retain_ms;
    }
    if (s->run == region_back) {
        c->timers.retain_ms = 100;
        c->log_size_max = 4000;
    }
    if (s->run == log_over_budget || s->run == copy_unreadable) {
        c->timers.retain_ms = 100;
        c->log_size_max = 6000;
    }
    if ((s->run == log_over_budget || s->run == region_back) && c->variant % 8 >= 6) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = 400000;
    }
    if (s->run == slow_peer) {
        c->timers.slow_commit_ms = 500;
        c->timers.slow_for_ms = 1000;
    }
    if (s->run == slow_disk) {
        c->timers.slow_commit_ms = 100;
        c->timers.slow_for_ms = c->variant % 4 == 3 ? 4000 : 500; /* above what one sync can take */
    }
    if (s->run != flap_hold) {
        c->timers.failover_hold_ms = 1; /* the stories are about what follows from many of them */
    }
    if (s->run == promoted_stuck) {
        c->timers.slow_commit_ms = 500;
        c->timers.slow_for_ms = 1000;
    }
    if (s->run == frames_twice) {
        c->fault_mask = 1u << FAULT_TWICE;
        c->twice_ppm = 400000;
    }
    if (s->run == transfer_often) {
        /* What happens between the end of the old log and the compare-and-set matters here. */
        c->coord_delay_us = 15000;
        c->think_us = 150000;
    }
}

void scenario_run(struct world *w)
{
    const struct scenario *s = scenario_find(w->cfg.scenario);
    ASSERT(s != NULL);
    s->run(w, w->cfg.variant % s->variants);
}
