/* Stories of levels: changes while running, and what a level holds when a region is behind. The run's
 * level says which of two stories is told: see scenario_configure. */
#include "sim/scenario_int.h"

static enum consistency other_level(const struct world *w)
{
    return w->cfg.level == CONSISTENCY_STRONG ? CONSISTENCY_SESSION : CONSISTENCY_STRONG;
}

/* A region lacks what was acknowledged without it when the level is asked to become Strong; variants:
 * for how long it does, and who is lost meanwhile. */
void level_up(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
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
void level_down(struct world *w, unsigned variant)
{
    region_id a = begin(w);
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

/* At Strong writes wait for a region that is slow to store. When the level becomes BoundedStaleness they wait
 * no longer, and the region still has the read lease of before: it may not lack more than K of them. */
void level_bounded(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    node_disk_slow(w->nodes[b], (unsigned)((300 + 100 * (usec)variant) * MS / w->cfg.sync_us));
    pass(w, 200 + 50 * (usec)variant);
    (void)nemesis_level(w, CONSISTENCY_BOUNDED_STALENESS); /* the run shows what came of it */
    pass(w, lease_ms(w) * 2);
    node_disk_slow(w->nodes[b], 1);
    pass(w, lease_ms(w) * 3);
}

void level_often(struct world *w, unsigned variant)
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
void bounded_lag(struct world *w, unsigned variant)
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
