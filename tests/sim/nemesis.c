/* Faults, supervisor and operators of the simulated world: see nemesis.h.
 *
 * Which kinds of fault a run has at all is drawn with its configuration (a different subset per
 * seed finds more than everything at once). Each fault gets its own end. */
#include "sim/nemesis.h"

#include "account/region_int.h"
#include "base/contract.h"
#include "base/mem.h"
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/cover.h"
#include "sim/net.h"

struct nemesis {
    struct supervision supervision[SIM_REGIONS_MAX + 1];
};

static const usec SECOND = 1000000;

struct nemesis *nemesis_new(struct world *w)
{
    UNUSED(w);
    return MEM_NEW(struct nemesis);
}

void nemesis_free(struct nemesis *m)
{
    mem_free(m);
}

static usec draw_range(struct world *w, usec lo, usec hi)
{
    return rng_range(&w->nemesis_rng, lo, hi);
}

static region_id draw_region(struct world *w)
{
    return (region_id)(1 + rng_below(&w->nemesis_rng, w->cfg.region_count));
}

static bool is_dead(const struct world *w, region_id id)
{
    return (w->dead_mask & (1u << id)) != 0;
}

/* ---- supervisor ---- */

static void restart(struct world *w, void *ctx, uint64_t life)
{
    struct node *n = ctx;
    if (!node_is_up(n) && node_life(n) == life && !is_dead(w, node_id(n))) {
        node_start(n);
    }
}

struct confirmation {
    region_id id;
    uint64_t incarnation;
    unsigned tries;
};

static void confirm(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct confirmation *c = ctx;
    bool is_done = coordinator_put_stopped(w, c->id, c->incarnation);
    trace(w, "stopped", c->id, c->incarnation, is_done, 0);
    if (is_done || ++c->tries > 20) {
        mem_free(c);
        return;
    }
    world_at_owned(w, w->now + 200000, confirm, c, 0);
}

void nemesis_supervise(struct world *w, region_id id, const struct supervision *s)
{
    w->nemesis->supervision[id] = *s;
}

void nemesis_process_ended(struct world *w, struct node *n, uint64_t incarnation)
{
    struct supervision s = w->nemesis->supervision[node_id(n)];
    if (!s.is_scripted) {
        s.restarts = true;
        s.restart_us = draw_percent(&w->nemesis_rng, 50) ? draw_range(w, 50000, SECOND)
                                                         : draw_range(w, SECOND, 9 * SECOND);
        s.confirms_stop = draw_percent(&w->nemesis_rng, 50);
        s.confirm_us = draw_range(w, 1000, 500000);
        if (draw_percent(&w->nemesis_rng, 15)) {
            s.confirm_us = draw_range(w, SECOND, 10 * SECOND); /* long after the restart */
        }
    }
    if (w->is_safety_over) {
        s.restart_us = 200000;
    }
    if (s.confirms_stop) {
        struct confirmation *c = MEM_NEW(struct confirmation);
        *c = (struct confirmation){.id = node_id(n), .incarnation = incarnation};
        world_at_owned(w, w->now + s.confirm_us, confirm, c, 0);
    }
    if (s.restarts) {
        world_after(w, s.restart_us, restart, n, node_life(n));
    }
}

/* ---- hands ---- */

void nemesis_cut(struct world *w, region_id id, uint32_t mask, enum cut_direction d, bool is_cut)
{
    for (unsigned to = 0; to <= w->cfg.region_count; to++) {
        if ((mask & (1u << to)) == 0 || to == id) {
            continue;
        }
        if (d != CUT_IN) {
            net_block(w, id, to, is_cut);
        }
        if (d != CUT_OUT) {
            net_block(w, to, id, is_cut);
        }
        if (to == 0) {
            coordinator_path_changed(w, id);
        }
    }
}

void nemesis_cut_clients(struct world *w, region_id id, bool is_cut)
{
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        client_cut(w->clients[i], id, is_cut);
    }
}

void nemesis_crash(struct world *w, region_id id)
{
    if (node_is_up(w->nodes[id])) {
        node_stop(w->nodes[id], STOP_CRASH);
    }
}

/* ---- operators ---- */

/* The regions in another order: this one first, or second behind the writer. */
static enum err plan_order(struct account_record *rec, region_id id, int64_t wall_ms)
{
    struct str names[REGIONS_MAX];
    size_t n = 0;
    const struct record_region *writer = record_region_const(rec, rec->writer);
    bool keeps_writer = writer != NULL && wall_ms % 2 == 0;
    if (keeps_writer) {
        names[n++] = str_of(writer->name);
    }
    if (id != rec->writer || !keeps_writer) {
        names[n++] = str_of(node_region_name(id));
    }
    for (size_t i = rec->region_count; i-- > 0;) {
        const struct record_region *g = &rec->regions[i];
        if (g->id != id && !(keeps_writer && g->id == rec->writer)) {
            names[n++] = str_of(g->name);
        }
    }
    return account_plan_priorities(rec, names, n, wall_ms, NULL);
}

static enum err plan_level(const struct world *w, struct account_record *rec, unsigned level)
{
    struct level_request q = {.level = (enum consistency)level};
    if (q.level == CONSISTENCY_BOUNDED_STALENESS) {
        q.max_staleness_ops = w->cfg.staleness_ops;
        q.max_staleness_s = w->cfg.staleness_s;
    }
    return account_plan_consistency(rec, &q, NULL);
}

/* An operator's change of the account record: read, planned by the caller, put. */
struct edit {
    struct arena arena;
    struct account_record *rec;
    coord_rev rev;
};

/* false: the coordinator does not answer; nothing to end. */
static bool edit_begin(struct world *w, struct edit *e)
{
    arena_init(&e->arena);
    e->rec = ARENA_NEW(&e->arena, struct account_record);
    e->rev = 0;
    bool is_there = coordinator_record(w, &e->arena, e->rec, &e->rev);
    if (!is_there) {
        arena_done(&e->arena);
    }
    return is_there;
}

/* `err`: of the plan. true: the record is as planned. */
static bool edit_end(struct world *w, struct edit *e, enum plan plan, enum err err)
{
    bool is_done = err == OK && coordinator_put_record(w, e->rec, e->rev);
    cover_note(is_done ? "plan-done" : "plan-refused", plan);
    arena_done(&e->arena);
    return is_done;
}

/* `id`: the region, or the level. */
static bool operate(struct world *w, enum plan plan, region_id id)
{
    struct edit e;
    if (!edit_begin(w, &e)) {
        return false;
    }
    struct str name = plan != PLAN_LEVEL ? str_of(node_region_name(id)) : STR_NONE;
    int64_t wall_ms = INT64_C(1700000000000) + (int64_t)(w->now / 1000);
    enum err err = ERR_INTERNAL;
    struct account_beats beats;
    struct offline_request offline = {0};
    switch (plan) {
    case PLAN_FAILOVER:
        err = account_plan_failover(e.rec, name, wall_ms, NULL);
        break;
    case PLAN_OFFLINE:
    case PLAN_OFFLINE_FORCED:
        offline.accepts_loss = plan == PLAN_OFFLINE_FORCED;
        err = account_plan_offline(e.rec, name, &offline, wall_ms, NULL);
        break;
    case PLAN_OFFLINE_LOSING:
        coordinator_beats(w, &e.arena, &beats);
        offline = (struct offline_request){.accepts_loss = true, .beats = &beats};
        err = account_plan_offline(e.rec, name, &offline, wall_ms, NULL);
        w->has_accepted_loss = w->has_accepted_loss || err == OK;
        break;
    case PLAN_ONLINE:
        err = account_plan_online(e.rec, name, wall_ms, NULL);
        break;
    case PLAN_LEVEL:
        err = plan_level(w, e.rec, id);
        break;
    case PLAN_ADD:
        err = account_plan_add(e.rec, name, -1, wall_ms, NULL);
        break;
    case PLAN_REMOVE:
    case PLAN_REMOVE_FORCED:
        err = account_plan_remove(e.rec, name, plan == PLAN_REMOVE_FORCED, wall_ms, NULL);
        break;
    case PLAN_PREFER:
        err = plan_order(e.rec, id, wall_ms);
        break;
    case PLAN_PARTITION: /* nemesis_partition */
    case PLAN_PARTITION_FORCED:
    case PLAN_PARTITION_RETURN:
    case PLAN_DIVERGED:       /* nemesis_diverged */
    case PLAN_CONTAINER_MAKE: /* a client's write, see do_container */
    case PLAN_CONTAINER_REMOVE:
    case PLAN_COUNT:
        break;
    }
    bool is_done = edit_end(w, &e, plan, err);
    trace(w, "operator", id, (uint64_t)plan, (uint64_t)err, is_done);
    return is_done;
}

/* A region for a partition; 0: back to the account's writer. */
bool nemesis_partition(struct world *w, pid p, region_id to, bool force)
{
    struct edit e;
    if (!edit_begin(w, &e)) {
        return false;
    }
    struct account_beats beats;
    coordinator_beats(w, &e.arena, &beats);
    struct str name = to != 0 ? str_of(node_region_name(to)) : STR_NONE;
    enum err err = to == 0 ? account_plan_partition_return(e.rec, p, &beats, NULL)
                           : account_plan_partition_failover(e.rec, p, name, force, &beats, NULL);
    enum plan plan = to == 0 ? PLAN_PARTITION_RETURN
                     : force ? PLAN_PARTITION_FORCED
                             : PLAN_PARTITION;
    bool is_done = edit_end(w, &e, plan, err);
    trace(w, "partition", to, p, (uint64_t)err, is_done);
    return is_done;
}

bool nemesis_diverged(struct world *w, enum diverged_writes value, uint64_t feed_quota)
{
    struct edit e;
    if (!edit_begin(w, &e)) {
        return false;
    }
    enum err err = account_plan_diverged(e.rec, str_of(diverged_name(value)), feed_quota, NULL);
    bool is_done = edit_end(w, &e, PLAN_DIVERGED, err);
    w->diverged_mask |= is_done ? 1u << value : 0;
    w->had_quota = w->had_quota || (is_done && feed_quota != 0);
    trace(w, "diverged", (unsigned)value, feed_quota, (uint64_t)err, is_done);
    return is_done;
}

bool nemesis_failover(struct world *w, region_id to)
{
    return operate(w, PLAN_FAILOVER, to);
}

bool nemesis_offline(struct world *w, region_id id, bool force)
{
    return operate(w, force ? PLAN_OFFLINE_FORCED : PLAN_OFFLINE, id);
}

bool nemesis_offline_losing(struct world *w, region_id id)
{
    return operate(w, PLAN_OFFLINE_LOSING, id);
}

bool nemesis_online(struct world *w, region_id id)
{
    return operate(w, PLAN_ONLINE, id);
}

bool nemesis_level(struct world *w, enum consistency level)
{
    return operate(w, PLAN_LEVEL, (region_id)level);
}

bool nemesis_add(struct world *w, region_id id)
{
    return operate(w, PLAN_ADD, id);
}

bool nemesis_remove(struct world *w, region_id id, bool force)
{
    return operate(w, force ? PLAN_REMOVE_FORCED : PLAN_REMOVE, id);
}

bool nemesis_prefer(struct world *w, region_id id)
{
    return operate(w, PLAN_PREFER, id);
}

/* Copies that are damaged one after the other in every region lose what only they had: the account's writer
 * may be damaged at any time, another region while all are whole as far as the record says. */
static bool may_spoil(struct world *w, region_id id)
{
    if (engine_spoiled(node_engine(w->nodes[id])) != 0) {
        return false;
    }
    if (nemesis_writer(w) == id) {
        return true;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    bool is_whole = coordinator_record(w, &a, rec, &rev) && rec->override_count == 0;
    for (size_t i = 0; is_whole && i < rec->region_count; i++) {
        enum region_state s = rec->regions[i].state;
        is_whole = (s == REGION_ONLINE_READ || s == REGION_ONLINE_WRITE) &&
                   engine_spoiled(node_engine(w->nodes[rec->regions[i].id])) == 0;
    }
    arena_done(&a);
    return is_whole;
}

region_id nemesis_writer(struct world *w)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    region_id id = coordinator_record(w, &a, rec, &rev) ? rec->writer : 0;
    arena_done(&a);
    return id;
}

/* ---- random faults ---- */

struct undo {
    enum fault fault;
    region_id id;
    uint32_t mask;
    enum cut_direction direction;
};

/* Places of the mask (bit 0: the coordinator) and the others; CUT_OUT: nothing leaves the mask. */
static void split(struct world *w, uint32_t mask, enum cut_direction d, bool is_cut)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if ((mask & (1u << id)) != 0) {
            nemesis_cut(w, id, ~mask, d, is_cut);
        } else if ((mask & 1) != 0) {
            nemesis_cut(w, id, 1, d == CUT_OUT ? CUT_IN : d == CUT_IN ? CUT_OUT : d, is_cut);
        }
    }
}

static void undo(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct undo u = *(struct undo *)ctx;
    mem_free(ctx);
    struct node *n = w->nodes[u.id];
    if (w->is_safety_over) {
        return; /* healed already; what is kept broken stays so */
    }
    switch (u.fault) {
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_COORD:
        nemesis_cut(w, u.id, u.mask, u.direction, false);
        break;
    case FAULT_ISOLATE:
        nemesis_cut(w, u.id, UINT32_MAX, CUT_BOTH, false);
        nemesis_cut_clients(w, u.id, false);
        break;
    case FAULT_CLOG:
        for (region_id k = 1; k <= w->cfg.region_count; k++) {
            if (k != u.id && (u.mask & (1u << k)) != 0) {
                net_clog(w, u.id, k, false);
            }
        }
        break;
    case FAULT_SPLIT:
        split(w, u.mask, u.direction, false);
        break;
    case FAULT_COORD_SLOW:
        w->coord_slow = 0;
        break;
    case FAULT_DISK_SLOW:
        node_disk_slow(n, 1);
        break;
    case FAULT_DISK_FULL:
        node_disk_set_full(n, false);
        break;
    case FAULT_CRASH:
    case FAULT_NODE_RESTART:
    case FAULT_PAUSE:
    case FAULT_MID_PAUSE:
    case FAULT_LINK_BREAK:
    case FAULT_LATE_FRAMES:
    case FAULT_DISK_FAIL:
    case FAULT_WALL_JUMP:
    case FAULT_DRIFT:
    case FAULT_COORD_CRASH:
    case FAULT_COORD_PAUSE:
    case FAULT_GRACEFUL:
    case FAULT_FORCED:
    case FAULT_DRAIN:
    case FAULT_LEVEL:
    case FAULT_REGIONS:
    case FAULT_CLOG_MANY:
    case FAULT_CORRUPT:
    case FAULT_TWICE:
    case FAULT_CLIENT:
    case FAULT_PARTITION:
    case FAULT_SPOIL:
    case FAULT_CONTAINER:
    case FAULT_COUNT:
        break;
    }
}

static void undo_later(struct world *w, usec delay, struct undo u)
{
    struct undo *p = MEM_NEW(struct undo);
    *p = u;
    world_at_owned(w, w->now + delay, undo, p, 0);
}

/* Around the lease: shorter, about as long, much longer. */
static usec draw_outage(struct world *w)
{
    usec lease = (usec)w->cfg.timers.lease_ms * 1000;
    switch (rng_below(&w->nemesis_rng, 4)) {
    case 0:
        return draw_range(w, 10000, lease / 2);
    case 1:
        return draw_range(w, lease * 3 / 4, lease * 5 / 4);
    case 2:
        return draw_range(w, lease, lease * 4);
    default:
        return draw_range(w, lease * 2, lease * 10);
    }
}

static void do_cut(struct world *w, enum fault f, region_id id)
{
    struct undo u = {.fault = f, .id = id};
    u.mask = (uint32_t)rng_below(&w->nemesis_rng, 1u << (w->cfg.region_count + 1)) & ~(1u << id);
    if (f == FAULT_CUT_COORD) {
        u.mask = 1;
    }
    u.direction = CUT_BOTH;
    if (f == FAULT_CUT_ONE_WAY || (f == FAULT_CUT_COORD && draw_percent(&w->nemesis_rng, 40))) {
        u.direction = draw_percent(&w->nemesis_rng, 50) ? CUT_OUT : CUT_IN;
    }
    nemesis_cut(w, id, u.mask, u.direction, true);
    undo_later(w, draw_outage(w), u);
}

static void do_isolate(struct world *w, region_id id)
{
    nemesis_cut(w, id, UINT32_MAX, CUT_BOTH, true);
    if (draw_percent(&w->nemesis_rng, 50)) {
        nemesis_cut_clients(w, id, true);
    }
    undo_later(w, draw_outage(w), (struct undo){.fault = FAULT_ISOLATE, .id = id});
}

static void do_clog(struct world *w, region_id id)
{
    struct undo u = {.fault = FAULT_CLOG, .id = id};
    u.mask = (uint32_t)rng_below(&w->nemesis_rng, 1u << (w->cfg.region_count + 1));
    for (region_id k = 1; k <= w->cfg.region_count; k++) {
        if (k != id && (u.mask & (1u << k)) != 0) {
            net_clog(w, id, k, true);
        }
    }
    undo_later(w, draw_outage(w), u);
}

static void do_split(struct world *w)
{
    struct undo u = {.fault = FAULT_SPLIT, .id = 1};
    u.mask = (uint32_t)rng_below(&w->nemesis_rng, 1u << (w->cfg.region_count + 1));
    u.direction = draw_percent(&w->nemesis_rng, 60)   ? CUT_BOTH
                  : draw_percent(&w->nemesis_rng, 50) ? CUT_OUT
                                                      : CUT_IN;
    split(w, u.mask, u.direction, true);
    undo_later(w, draw_outage(w), u);
}

static void do_clog_many(struct world *w)
{
    unsigned percent = (unsigned)draw_range(w, 20, 100);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        for (region_id k = 1; k <= w->cfg.region_count; k++) {
            if (k != id && draw_percent(&w->nemesis_rng, percent)) {
                net_clog(w, id, k, true);
                undo_later(w, draw_outage(w),
                           (struct undo){.fault = FAULT_CLOG, .id = id, .mask = 1u << k});
            }
        }
    }
}

static void do_client(struct world *w)
{
    struct client *c = w->clients[rng_below(&w->nemesis_rng, w->cfg.client_count)];
    switch (rng_below(&w->nemesis_rng, 4)) {
    case 0:
        client_cancel(c);
        break;
    case 1:
        client_restart(c, /* keeps_tokens= */ true);
        break;
    case 2:
        client_restart(c, /* keeps_tokens= */ false);
        break;
    default:
        client_move(c, draw_region(w));
        break;
    }
}

static void do_mid_pause(struct world *w, region_id id)
{
    struct trap t = {
        .kinds = 1u << rng_below(&w->nemesis_rng, 8),
        .countdown = (unsigned)draw_range(w, 1, 20),
        .is_crash = world_has_fault(w, FAULT_CRASH) && draw_percent(&w->nemesis_rng, 30),
        .pause_us = draw_outage(w),
    };
    if (draw_percent(&w->nemesis_rng, 30)) {
        t.role_mask = (1u << ROLE_PROMOTING) | (1u << ROLE_HOLDING) | (1u << ROLE_TAKING) |
                      (1u << ROLE_RECOVERING);
    }
    node_set_trap(w->nodes[id], &t);
}

static void do_wall_jump(struct world *w, region_id id)
{
    int64_t ms = (int64_t)draw_range(w, 0, 7200000) - 3600000;
    if (draw_percent(&w->nemesis_rng, 50)) {
        ms /= 1000;
    }
    node_wall_jump(w->nodes[id], ms);
}

static void do_operator(struct world *w, enum fault f, region_id id)
{
    if (f == FAULT_DRAIN) {
        if (node_is_up(w->nodes[id])) {
            node_post_drain(w->nodes[id]);
        }
    } else if (f == FAULT_LEVEL) {
        (void)nemesis_level(w, (enum consistency)rng_below(&w->nemesis_rng, CONSISTENCY_COUNT));
    } else if (f == FAULT_GRACEFUL) {
        (void)nemesis_failover(w, id); /* may be refused: that is an answer too */
    } else if (draw_percent(&w->nemesis_rng, 50)) {
        (void)nemesis_offline(w, id, draw_percent(&w->nemesis_rng, 50)); /* same */
    } else {
        (void)nemesis_online(w, id); /* same */
    }
}

/* Operators change the set of regions. A machine that is out of the account may get an empty disk. */
static void do_regions(struct world *w)
{
    region_id id = draw_region(w);
    bool is_member = (w->member_mask & (1u << id)) != 0;
    struct node *n = w->nodes[id];
    if (is_member && draw_percent(&w->nemesis_rng, 25)) {
        (void)nemesis_prefer(w, id); /* each may be refused: that is an answer too */
    } else if (is_member) {
        (void)nemesis_remove(w, id, draw_percent(&w->nemesis_rng, 60));
    } else {
        if (draw_percent(&w->nemesis_rng, 30)) {
            nemesis_crash(w, id);
            node_wipe(n);
        }
        (void)nemesis_add(w, id);
    }
}

static pid draw_open_part(struct world *w)
{
    pid p = (pid)rng_range(&w->nemesis_rng, 1, SIM_PARTS_MAX - 1);
    for (unsigned i = 0; i < SIM_PARTS_MAX && w->part_states[p] != PART_OPEN; i++) {
        p = p % (SIM_PARTS_MAX - 1) + 1;
    }
    return w->part_states[p] == PART_OPEN ? p : 0;
}

/* A partition that has a row; 0: none has. */
static pid draw_moved_part(struct world *w)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    pid p = 0;
    if (coordinator_record(w, &a, rec, &rev) && rec->override_count > 0) {
        p = rec->overrides[rng_below(&w->nemesis_rng, rec->override_count)].pid;
    }
    arena_done(&a);
    return p;
}

/* A container is made, or one is removed: every other time one whose partition is written elsewhere. */
static void do_container(struct world *w)
{
    region_id to = nemesis_writer(w);
    to = to == 0 || draw_percent(&w->nemesis_rng, 5) ? draw_region(w) : to;
    if (draw_percent(&w->nemesis_rng, 35)) {
        (void)container_make(w, to);
        return;
    }
    pid p = draw_percent(&w->nemesis_rng, 50) ? draw_moved_part(w) : draw_open_part(w);
    if (p != 0 && (w->part_states[p] == PART_OPEN || w->part_states[p] == PART_DOUBT)) {
        container_remove(w, p, to);
    }
}

/* Operators remove again what may or may not be removed. */
static void end_doubts(struct world *w)
{
    region_id to = nemesis_writer(w);
    for (pid p = 1; w->wants_doubt_over && to != 0 && p < SIM_PARTS_MAX; p++) {
        if (w->part_states[p] == PART_DOUBT) {
            container_remove(w, p, to);
        }
    }
}

static void do_partition(struct world *w, region_id id)
{
    pid p = draw_open_part(w);
    if (world_has_fault(w, FAULT_CONTAINER) && draw_percent(&w->nemesis_rng, 15)) {
        p = (pid)rng_range(&w->nemesis_rng, 1, SIM_PARTS_MAX - 1); /* also one that is gone */
    }
    if (p != 0) {
        region_id to = draw_percent(&w->nemesis_rng, 25) ? 0 : id;
        (void)nemesis_partition(w, p, to, draw_percent(&w->nemesis_rng, 50)); /* may be refused */
    }
}

static void do_fault(struct world *w, enum fault f)
{
    region_id id = draw_region(w);
    if (draw_percent(&w->nemesis_rng, 50)) {
        region_id writer = nemesis_writer(w); /* faults at the writer say most */
        id = writer != 0 ? writer : id;
    }
    struct node *n = w->nodes[id];
    trace_text(w, "fault", id, fault_name(f));
    if (f != FAULT_LATE_FRAMES && f != FAULT_CORRUPT && f != FAULT_TWICE && f != FAULT_DRIFT) {
        /* Those are noted where they happen. */
        cover_note("fault", f);
    }
    switch (f) {
    case FAULT_CRASH:
        nemesis_crash(w, id);
        break;
    case FAULT_NODE_RESTART:
        nemesis_crash(w, id);
        node_reboot_clock(n);
        break;
    case FAULT_PAUSE:
        node_pause(n, draw_percent(&w->nemesis_rng, 5) ? draw_range(w, 20 * SECOND, 120 * SECOND)
                                                       : draw_outage(w));
        break;
    case FAULT_MID_PAUSE:
        do_mid_pause(w, id);
        break;
    case FAULT_CUT:
    case FAULT_CUT_ONE_WAY:
    case FAULT_CUT_COORD:
        do_cut(w, f, id);
        break;
    case FAULT_ISOLATE:
        do_isolate(w, id);
        break;
    case FAULT_CLOG:
        do_clog(w, id);
        break;
    case FAULT_LINK_BREAK: {
        region_id to = draw_region(w);
        if (to != id) {
            net_break(w, id, to);
        }
        break;
    }
    case FAULT_DISK_SLOW:
        node_disk_slow(n, (unsigned)draw_range(w, 10, 100));
        undo_later(w, draw_outage(w), (struct undo){.fault = f, .id = id});
        break;
    case FAULT_DISK_FAIL:
        node_disk_fail_next(n);
        break;
    case FAULT_DISK_FULL:
        node_disk_set_full(n, true);
        undo_later(w, draw_outage(w), (struct undo){.fault = f, .id = id});
        break;
    case FAULT_WALL_JUMP:
        do_wall_jump(w, id);
        break;
    case FAULT_COORD_CRASH:
        coordinator_crash(w, draw_outage(w) / 2);
        break;
    case FAULT_COORD_PAUSE:
        coordinator_pause(w, draw_outage(w) / 2);
        break;
    case FAULT_GRACEFUL:
    case FAULT_FORCED:
    case FAULT_DRAIN:
    case FAULT_LEVEL:
        do_operator(w, f, id);
        break;
    case FAULT_REGIONS:
        do_regions(w);
        break;
    case FAULT_PARTITION:
        do_partition(w, draw_region(w));
        break;
    case FAULT_SPOIL:
        if (may_spoil(w, id)) {
            engine_spoil(node_engine(n), draw_open_part(w));
        }
        break;
    case FAULT_CONTAINER:
        do_container(w);
        break;
    case FAULT_SPLIT:
        do_split(w);
        break;
    case FAULT_CLOG_MANY:
        do_clog_many(w);
        break;
    case FAULT_COORD_SLOW:
        w->coord_slow = (unsigned)draw_range(w, 5, 100);
        undo_later(w, draw_outage(w), (struct undo){.fault = f, .id = id});
        break;
    case FAULT_CLIENT:
        do_client(w);
        break;
    case FAULT_CORRUPT: /* the network draws by itself */
    case FAULT_TWICE:
    case FAULT_DRIFT:       /* set with the configuration */
    case FAULT_LATE_FRAMES: /* the network looks at the mask */
    case FAULT_COUNT:
        break;
    }
}

static void next_fault(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    UNUSED(arg);
    if (w->is_safety_over) {
        return;
    }
    enum fault f = (enum fault)rng_below(&w->nemesis_rng, FAULT_COUNT);
    for (unsigned i = 0; i < FAULT_COUNT && !world_has_fault(w, f); i++) {
        f = (f + 1) % FAULT_COUNT;
    }
    if (world_has_fault(w, f)) {
        do_fault(w, f);
    }
    world_after(w, draw_around(&w->nemesis_rng, w->cfg.fault_gap_us) + 1000, next_fault, NULL, 0);
}

void nemesis_start(struct world *w)
{
    if (world_has_fault(w, FAULT_DRIFT)) {
        cover_note("fault", FAULT_DRIFT);
    }
    world_after(w, draw_around(&w->nemesis_rng, w->cfg.fault_gap_us), next_fault, NULL, 0);
}

/* ---- healing ---- */

/* Would the others get on without `id`? It must not be the one that has a partition; only where automatic
 * failover may act, and when one of the others either writes already or may be promoted. */
static bool is_expendable(struct world *w, region_id id)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    bool is_ok = coordinator_record(w, &a, rec, &rev) && rec->auto_failover &&
                 rec->region_count >= 2 && !record_overrides_name(rec, id) &&
                 !coordinator_may_hear(w, id); /* it could take the heir offline, and be gone */
    bool has_heir = false;
    for (size_t i = 0; is_ok && i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        struct region *r = node_region(w->nodes[g->id]);
        if (g->id == id || r == NULL) {
            continue;
        }
        bool in_q = (rec->q_mask & record_mask(g->id)) != 0;
        bool can_write = (region_role(r) == ROLE_WRITER || region_role(r) == ROLE_READER) &&
                         repl_could_open(r->repl);
        has_heir |= can_write && (in_q || rec->level != CONSISTENCY_STRONG) &&
                    (g->state == REGION_ONLINE_READ || g->state == REGION_ONLINE_WRITE);
    }
    arena_done(&a);
    return is_ok && has_heir;
}

static void keep_dead(struct world *w, region_id id)
{
    w->dead_mask = 1u << id;
    trace(w, "kept-dead", id, 0, 0, 0);
    if (draw_percent(&w->nemesis_rng, 50)) {
        nemesis_crash(w, id);
    } else {
        nemesis_cut(w, id, UINT32_MAX, CUT_BOTH, true);
        nemesis_cut_clients(w, id, true);
    }
}

/* Operators bring back what operators took away. */
static void bring_online(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    UNUSED(arg);
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    if (coordinator_record(w, &a, rec, &rev)) {
        for (size_t i = 0; i < rec->region_count; i++) {
            const struct record_region *g = &rec->regions[i];
            if (g->is_forced_offline && !is_dead(w, g->id)) {
                (void)nemesis_online(w, g->id); /* tried again below */
            }
            if (w->wants_all_back && g->state == REGION_SEEDING && is_dead(w, g->id)) {
                (void)nemesis_remove(w, g->id, true); /* called off: no other can join meanwhile */
            }
        }
        for (size_t i = 0; i < rec->override_count; i++) {
            if (rec->overrides[i].is_pinned) {
                (void)nemesis_partition(w, rec->overrides[i].pid, 0, false); /* same */
            }
        }
    }
    arena_done(&a);
    end_doubts(w);
    for (region_id id = 1; w->wants_all_back && id <= w->cfg.region_count; id++) {
        if ((w->member_mask & (1u << id)) == 0 && !is_dead(w, id)) {
            (void)nemesis_add(w, id); /* one after the other */
        }
    }
    world_after(w, 500000, bring_online, NULL, 0);
}

void nemesis_heal(struct world *w, bool may_keep_dead)
{
    w->is_safety_over = true;
    w->coord_slow = 0;
    trace(w, "heal", 0, 0, 0, 0);
    net_heal(w);
    coordinator_heal(w);
    region_id victim = draw_region(w);
    bool keeps = may_keep_dead && draw_percent(&w->nemesis_rng, 25) && is_expendable(w, victim);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        struct node *n = w->nodes[id];
        node_set_trap(n, &(struct trap){0});
        node_disk_heal(n);
        if (engine_spoiled(node_engine(n)) != 0) {
            engine_spoil(node_engine(n), 0); /* it was the disk's fault, not the data's */
            nemesis_crash(w, id);
        }
        nemesis_supervise(w, id, &(struct supervision){0});
        node_resume(n);
        if (keeps && id == victim) {
            continue;
        }
        if (!node_is_up(n)) {
            world_after(w, draw_range(w, 1000, SECOND), restart, n, node_life(n));
        }
    }
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        client_heal(w->clients[i]);
    }
    w->wants_all_back = w->cfg.scenario != NULL || draw_percent(&w->nemesis_rng, 60);
    w->wants_doubt_over = w->cfg.scenario != NULL || draw_percent(&w->nemesis_rng, 60);
    if (keeps) {
        keep_dead(w, victim);
    }
    world_after(w, 500000, bring_online, NULL, 0);
}
