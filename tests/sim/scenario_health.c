/* Stories of machines that are not well and not dead: slow disks, deaf readers, links that flap. */
#include "sim/scenario_int.h"

/* Syncs of about `sync_ms` from now on. */
static void slow_down(struct world *w, region_id id, usec sync_ms)
{
    node_disk_slow(w->nodes[id], (unsigned)(sync_ms * MS / w->cfg.sync_us + 1));
}

/* Every disk is sound again, and the account has had time to see it. */
static void heal_disks(struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        node_disk_heal(w->nodes[id]);
    }
    pass(w, lease_ms(w) * 4);
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

/* Links from the writer to the regions that might take over break the moment it hands over: to the one that
 * it hands over to, or to all. */
static void cut_during_hand_over(struct world *w, region_id a, bool is_all)
{
    region_id holding = wait_role(w, ROLE_HOLDING, 0, 5000);
    const struct region *r = holding == a ? node_region(w->nodes[a]) : NULL;
    if (r != NULL && region_record(r) != NULL) {
        uint32_t mask = is_all ? ~1u : 1u << region_record(r)->transfer_to;
        nemesis_cut(w, a, mask, CUT_BOTH, true);
    }
}

/* While the writer hands over and its disk owes what was accepted, everybody stops; it is back first, alone, and
 * whatever was acknowledged because others had it is not here. */
static void stop_during_hand_over(struct world *w, region_id a, usec later_ms)
{
    (void)wait_role(w, ROLE_HOLDING, 0, 5000);
    pass(w, w->cfg.timers.beat_ms + later_ms);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 0, true);
        nemesis_crash(w, id);
    }
    node_disk_heal(w->nodes[a]);
    restart_now(w, a);
    pass(w, lease_ms(w) * 2);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        restart_now(w, id);
    }
    pass(w, lease_ms(w) * 4);
}

/* How long the role may take to leave a slow disk: until it counts as slow, and once the time of a hand-over
 * that comes to nothing where links break. Nothing in it depends on how slow the disk is. */
static usec slow_limit_ms(const struct world *w, bool has_cuts)
{
    const struct region_timers *t = &w->cfg.timers;
    usec limit = t->slow_for_ms + 2 * t->slow_commit_ms + t->hold_ms + 4 * lease_ms(w);
    return limit + (has_cuts ? t->transfer_ms + lease_ms(w) * 4 : 0);
}

/* Variants: bearably slow; every disk is; slower than any hand-over could wait for; one hiccup; the link to the
 * region that is to take over breaks, so that the next one does; all links break, so that the role is given up;
 * all processes stop. */
void slow_disk(struct world *w, unsigned variant)
{
    enum { BEARABLE, EVERYWHERE, STUCK, HICCUP, CUT_ONE, CUT_ALL, STOP_ALL, KINDS };
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    unsigned kind = variant % KINDS;
    epoch before = epoch_of(w);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (id == a || kind == EVERYWHERE) {
            slow_down(w, id, kind >= STUCK && kind != HICCUP ? 20000 : 300);
        }
    }
    if (kind == HICCUP) {
        pass(w, (usec)w->cfg.timers.slow_commit_ms * 3 / 2);
        node_disk_heal(w->nodes[a]);
        pass(w, (usec)w->cfg.timers.slow_for_ms * 3);
        if (epoch_of(w) != before) {
            world_fail(w, "health", "one slow commit moved the writer");
        }
    } else if (kind == EVERYWHERE) {
        pass(w, (usec)w->cfg.timers.slow_for_ms * 10); /* who lost the role is spared for so long */
        if (epoch_of(w) > before + 1) { /* the flags of the others may come late once */
            world_fail(w, "health", "slow disks everywhere moved the writer again and again");
        }
    } else if (kind == STOP_ALL) {
        stop_during_hand_over(w, a, variant / KINDS * 4);
    } else {
        usec since = w->now;
        bool has_cuts = kind == CUT_ONE || kind == CUT_ALL;
        if (has_cuts) {
            cut_during_hand_over(w, a, kind == CUT_ALL);
        }
        region_id b = wait_role(w, ROLE_WRITER, a, 25000);
        if (b == 0) {
            world_fail(w, "health", "a slow disk kept the writer's role");
        } else if (w->now - since > slow_limit_ms(w, has_cuts) * MS) {
            world_fail(w, "health", "a slow disk kept the writer's role for %llu ms",
                       (unsigned long long)((w->now - since) / MS));
        }
        nemesis_cut(w, a, ~1u, CUT_BOTH, false);
    }
    heal_disks(w);
}

/* NULL: the region does not write, or does not run. */
static const struct account_record *record_of_writer(const struct world *w, region_id a)
{
    const struct region *r = node_region(w->nodes[a]);
    const struct account_record *rec = r != NULL ? region_record(r) : NULL;
    return rec != NULL && rec->writer == a ? rec : NULL;
}

/* Disks are drawn: one that is bearable most of the time may take seconds for once, and one that is slow shows
 * it when there is something to store. So what each of them owed when the region left says whether it had to. */
static bool had_reason(const struct world *w, region_id b, usec worst)
{
    usec limit = w->cfg.timers.slow_commit_ms * MS;
    bool is_alone = true;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        is_alone = is_alone && (id == b || node_disk_owes(w->nodes[id]) <= limit / 2 + 20 * MS);
    }
    return is_alone && worst > limit - 20 * MS; /* the writer counts from when it sent it */
}

/* A region of the quorum stores what it gets too slowly, or never, and says that it is well. Variants:
 * one does; both others do, so that it is no use to leave one behind; the writer does as well; bearably. */
void slow_peer(struct world *w, unsigned variant)
{
    region_id a = begin(w);
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
    usec worst = 0;
    bool is_in = true;
    for (usec i = 0; i < slow_ms * 2 + lease_ms(w); i++) {
        pass(w, 1);
        usec owes = node_disk_owes(w->nodes[b]);
        worst = owes > worst ? owes : worst;
        const struct account_record *rec = record_of_writer(w, a);
        if (is_in && rec != NULL && (rec->q_mask & record_mask(b)) == 0) {
            is_in = false;
            if (!is_strong || !had_reason(w, b, worst)) {
                world_fail(w, "health", "a slow region left the strong quorum");
            }
        }
    }
    if (is_in && is_lonely && is_strong && record_of_writer(w, a) != NULL) {
        world_fail(w, "health", "a slow region holds up the strong quorum");
    }
    heal_disks(w);
}

/* A reader that the writer hears and cannot reach: at Strong writes would wait for it, and at every level
 * changes of metadata. It has to go, also as the last reader; so has one that is reached and not heard. */
void deaf_reader(struct world *w, unsigned variant)
{
    region_id a = begin(w);
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

void flap_hold(struct world *w, unsigned variant)
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
        hold -= hold / 20; /* the clock of whoever counts may be 5 % fast */
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
