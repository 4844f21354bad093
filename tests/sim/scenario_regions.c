/* Stories of members: regions are added, removed, added back, copied, put in another order. */
#include "sim/scenario_int.h"

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

bool add_region(struct world *w, region_id id)
{
    bool is_done = try_for(w, nemesis_add, id);
    if (!is_done) {
        world_fail(w, "regions", "region %u cannot be added", id);
    }
    return is_done;
}

/* Variants: the new region, its source, or nobody stops on the way; with and without room for log. */
void region_added(struct world *w, unsigned variant)
{
    region_id id = (region_id)w->cfg.region_count;
    pass(w, 1500); /* enough that the log is trimmed */
    if (!add_region(w, id)) {
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

void region_removed(struct world *w, unsigned variant)
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
void region_back(struct world *w, unsigned variant)
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
void log_over_budget(struct world *w, unsigned variant)
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

void regions_ordered(struct world *w, unsigned variant)
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
