/* One region's core: wires the role table, the coordinator and the replication machine together.
 *
 *   record, beats ---> role table ---> repl mode (who orders, who follows, under which generation)
 *   role, progress --> decisions ----> record changes by compare-and-set
 *   client writes ---> order ---> acknowledged by quorum ---> lease checked again ---> answered
 *
 * A role is only ever taken from a record that was seen; nothing is concluded from a transaction
 * whose outcome is unknown. */
#include "account/region.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/lease.h"

const struct region_timers region_timers_lan = {
    .beat_ms = 200,
    .lease_ms = 1200,
    .stop_margin_ms = 150,
    .wait_margin_ms = 50,
    .coord_timeout_ms = 300,
    .read_lease_ms = 1000,
    .hold_ms = 2000,
    .transfer_ms = 5000,
    .rejoin_stable_ms = 500,
    .lag_small_ms = 1000,
    .write_timeout_ms = 10000,
    .ttl_purge_ms = 1000,
    .retain_ms = 60000,
    .slow_commit_ms = 5000,
    .slow_for_ms = 10000,
    .failover_hold_ms = 5000,
};

const struct region_timers region_timers_wan = {
    .beat_ms = 500,
    .lease_ms = 6000,
    .stop_margin_ms = 1500,
    .wait_margin_ms = 500,
    .coord_timeout_ms = 1500,
    .read_lease_ms = 3000,
    .hold_ms = 2000,
    .transfer_ms = 10000,
    .rejoin_stable_ms = 10000,
    .lag_small_ms = 1000,
    .write_timeout_ms = 10000,
    .ttl_purge_ms = 1000,
    .retain_ms = 60000,
    .slow_commit_ms = 5000,
    .slow_for_ms = 10000,
    .failover_hold_ms = 600000,
};

bool region_timers_check(const struct region_timers *t, char ret_why[256])
{
    const unsigned all[] = {
        t->beat_ms,          t->lease_ms,       t->stop_margin_ms,   t->wait_margin_ms,
        t->coord_timeout_ms, t->read_lease_ms,  t->hold_ms,          t->transfer_ms,
        t->rejoin_stable_ms, t->lag_small_ms,   t->write_timeout_ms, t->ttl_purge_ms,
        t->retain_ms,        t->slow_commit_ms, t->slow_for_ms,      t->failover_hold_ms};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        if (all[i] == 0) {
            (void)snprintf(ret_why, 256, "every timer must be above 0");
            return false;
        }
    }
    uint64_t needed = (uint64_t)t->beat_ms + 2 * (uint64_t)t->coord_timeout_ms;
    if (t->lease_ms <= t->stop_margin_ms || needed >= t->lease_ms - t->stop_margin_ms) {
        (void)snprintf(
            ret_why, 256,
            "heartbeat %u ms + 2 x coordinator timeout %u ms must be below lease %u ms - "
            "stop margin %u ms",
            t->beat_ms, t->coord_timeout_ms, t->lease_ms, t->stop_margin_ms);
        return false;
    }
    if (t->read_lease_ms <= t->stop_margin_ms + t->beat_ms) {
        (void)snprintf(ret_why, 256,
                       "read lease %u ms must be above stop margin %u ms + heartbeat %u ms",
                       t->read_lease_ms, t->stop_margin_ms, t->beat_ms);
        return false;
    }
    return true;
}

void region_event(struct region *r, enum region_event_kind kind, uint32_t rule, const char *fmt,
                  ...)
{
    struct region_event ev = {.kind = kind, .rule = rule};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(ev.text, sizeof(ev.text), fmt, ap); /* cut when too long: for people */
    va_end(ap);
    contract_trace("event", (unsigned)kind, rule);
    r->io.event(r->io.ctx, &ev);
}

/* ---- what the replication machine asks for ---- */

static usec io_now(void *ctx)
{
    return region_now((const struct region *)ctx);
}

static int64_t io_wall_ms(void *ctx)
{
    struct region *r = (struct region *)ctx;
    return r->io.wall_ms(r->io.ctx);
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct region *r = (struct region *)ctx;
    disk_health_submit(&r->health.disk, ticket, region_now(r));
    r->io.commit(r->io.ctx, b, ticket);
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    struct region *r = (struct region *)ctx;
    r->io.send(r->io.ctx, to, frame);
}

static void io_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct region *r = (struct region *)ctx;
    r->io.archive(r->io.ctx, p, entries, ticket);
}

static void io_event(void *ctx, enum region_event_kind kind, const char *text)
{
    region_event((struct region *)ctx, kind, 0, "%s", text);
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    struct region *r = (struct region *)ctx;
    r->io.fatal(r->io.ctx, err, why);
}

static bool io_conflict_build(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                              const struct conflict_note *note, const struct write_place *place,
                              struct buf *out_key, struct buf *out_text, uint64_t *ret_rid)
{
    struct region *r = (struct region *)ctx;
    return r->io.conflict_build(r->io.ctx, p, lost, op_idx, note, place, out_key, out_text,
                                ret_rid);
}

static bool io_conflict_apply(void *ctx, pid p, const struct entry_op *lost,
                              const struct engine_doc *now, const struct write_place *place,
                              struct buf *out_text)
{
    struct region *r = (struct region *)ctx;
    return r->io.conflict_apply(r->io.ctx, p, lost, now, place, out_text);
}

static void io_metadata_applied(void *ctx, lsn upto)
{
    struct region *r = (struct region *)ctx;
    r->io.metadata_applied(r->io.ctx, upto);
}

static void io_epoch_reached(void *ctx)
{
    struct region *r = (struct region *)ctx;
    region_publish_view(r);
    write_recheck_waits(r);
}

static void io_stale(void *ctx)
{
    struct region *r = (struct region *)ctx;
    region_step(r, EV_STALE);
}

/* ---- messages that concern leases and hand-over ---- */

static void on_ping(struct region *r, region_id from, const struct msg *m)
{
    bool granted = r->rec != NULL && m->generation == record_generation_top(r->rec) &&
                   levels_may_lease(r, from);
    if (granted) {
        r->members[from].grant_us = region_now(r);
    }
    struct msg pong = {.type = MSG_PONG,
                       .generation = r->rec != NULL ? record_generation_top(r->rec) : 0,
                       .t = m->t,
                       .is_granted = granted};
    repl_send(r->repl, from, &pong);
}

static void on_pong(struct region *r, region_id from, const struct msg *m)
{
    struct member *peer = &r->members[from];
    usec now = region_now(r);
    if (m->t <= now && m->t > peer->answered_us) {
        peer->answered_us = m->t;
    }
    if (now - peer->pong_us > ms(r->cfg.timers.read_lease_ms)) {
        peer->answering_us = now;
    }
    peer->pong_us = now;
    /* Both sides know the same newest generation: they agree about who writes what. */
    if (r->rec == NULL || m->generation != record_generation_top(r->rec) || !m->is_granted ||
        (r->rec->q_mask & record_mask(r->cfg.self)) == 0 || m->t > region_now(r)) {
        return;
    }
    /* From when we asked, and less than the writer waits: clocks may run apart by a few percent. */
    usec until = lease_until(m->t, r->cfg.timers.read_lease_ms, r->cfg.timers.stop_margin_ms);
    if (r->part_ctl_count > 0 && until > r->part_read_until_us[from]) {
        r->part_read_until_us[from] = until;
        parts_publish(r);
    }
    bool has_opened = from == r->rec->writer && r->read_from_us != 0 && m->t >= r->read_from_us &&
                      !coordio_has_ended(r, from, r->rec->writer_incarnation);
    if (has_opened && (r->role == ROLE_READER || r->role == ROLE_TAKING) &&
        until > r->read_until_us) {
        r->read_until_us = until;
        region_publish_view(r);
    }
}

static void on_transfer_end(struct region *r, region_id from, const struct msg *m)
{
    if (r->rec == NULL || parts_on_transfer_end(r, from, m) || r->role != ROLE_TAKING ||
        from != r->rec->writer || m->generation != r->rec->generation ||
        r->take_generation == m->generation) {
        return;
    }
    arena_reset(&r->take_arena);
    r->take_tails = ARENA_NEW_ARRAY(&r->take_arena, struct msg_tail, m->tail_count + 1);
    memcpy(r->take_tails, m->tails, m->tail_count * sizeof(m->tails[0]));
    r->take_count = m->tail_count;
    r->take_generation = m->generation;
}

static void io_message(void *ctx, region_id from, const struct msg *m)
{
    struct region *r = (struct region *)ctx;
    if (m->type == MSG_PING) {
        on_ping(r, from, m);
    } else if (m->type == MSG_PONG) {
        on_pong(r, from, m);
    } else if (m->type == MSG_VOUCH) {
        vouch_on_ask(r, from, m);
    } else if (m->type == MSG_VOUCHED) {
        vouch_on_answer(r, from, m);
    } else if (m->type == MSG_TRANSFER_END) {
        on_transfer_end(r, from, m);
    }
}

/* ---- life ---- */

static enum err check_cfg(const struct region_cfg *cfg, struct errinfo *ei)
{
    char why[256];
    if (cfg->account.n == 0 || cfg->account.n >= RECORD_NAME_MAX) {
        return err_set(ei, ERR_CONFIG, "account name has %zu bytes", cfg->account.n);
    }
    if (cfg->self < 1 || cfg->self > REGION_ID_MAX || cfg->incarnation == 0) {
        return err_set(ei, ERR_CONFIG, "region id %u or incarnation is out of range", cfg->self);
    }
    if (!region_timers_check(&cfg->timers, why)) {
        return err_set(ei, ERR_CONFIG, "timers: %s", why);
    }
    return OK;
}

static void make_keys(struct region *r)
{
    (void)snprintf(r->key_prefix, sizeof(r->key_prefix), COORD_PREFIX "%s/", r->account);
    (void)snprintf(r->key_record, sizeof(r->key_record), COORD_PREFIX "%s/record", r->account);
    (void)snprintf(r->key_beat, sizeof(r->key_beat), COORD_PREFIX "%s/beat/%u", r->account,
                   r->cfg.self);
}

enum err region_new(const struct region_cfg *cfg, const struct region_io *io, struct engine *engine,
                    struct region **ret, struct errinfo *ei)
{
    TRY(check_cfg(cfg, ei));
    struct region *r = MEM_NEW(struct region);
    r->cfg = *cfg;
    memcpy(r->account, cfg->account.p, cfg->account.n);
    r->cfg.account = str_of(r->account);
    r->io = *io;
    r->engine = engine;
    r->role = ROLE_STARTING;
    r->role_since_us = region_now(r);
    r->next_ticket = 1;
    r->next_deadline_us = UINT64_MAX;
    if (r->cfg.pending_size_max == 0) {
        r->cfg.pending_size_max = PENDING_SIZE_DEFAULT;
    }
    rng_init(&r->rng, cfg->seed);
    arena_init(&r->rec_arena[0]);
    arena_init(&r->rec_arena[1]);
    arena_init(&r->take_arena);
    buf_init(&r->beat.value, COORD_VALUE_SIZE_MAX);
    buf_init(&r->change.value, COORD_VALUE_SIZE_MAX);
    struct list *heads[] = {&r->pending, &r->held,  &r->delayed,
                            &r->done,    &r->waits, &r->waits_done};
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        list_init(heads[i]);
    }
    make_keys(r);
    vouch_begin(r);
    struct repl_timers timers = {
        .retry_ms = cfg->timers.beat_ms < 250 ? 250 : cfg->timers.beat_ms,
        .commit_ms = cfg->timers.beat_ms,
        .ttl_purge_ms = cfg->timers.ttl_purge_ms,
        .retain_ms = cfg->timers.retain_ms,
        .copy_docs_max = cfg->copy_docs_max,
        .drop_rows_max = cfg->drop_rows_max,
        .log_size_max = cfg->log_size_max,
    };
    struct repl_io repl_io = {
        .ctx = r,
        .now = io_now,
        .wall_ms = io_wall_ms,
        .commit = io_commit,
        .send = io_send,
        .archive = io_archive,
        .event = io_event,
        .fatal = io_fatal,
        .conflict_build = io_conflict_build,
        .conflict_apply = io_conflict_apply,
        .stale = io_stale,
        .metadata_applied = io_metadata_applied,
        .epoch_reached = io_epoch_reached,
        .acked = write_on_acked,
        .applied = write_on_applied,
        .committed = write_on_committed,
        .message = io_message,
    };
    enum err e = fsm_check(region_fsm(), ei);
    KEEP_FIRST(e, fsm_check(parts_fsm(), ei));
    if (e == OK) {
        e = repl_new(engine, cfg->self, cfg->incarnation, &timers, &repl_io, &r->repl, ei);
    }
    if (e != OK) {
        region_free(r);
        return e;
    }
    region_publish_view(r);
    *ret = r;
    return OK;
}

void region_free(struct region *r)
{
    if (r == NULL) {
        return;
    }
    repl_free(r->repl);
    parts_free(r);
    arena_done(&r->rec_arena[0]);
    arena_done(&r->rec_arena[1]);
    arena_done(&r->take_arena);
    buf_done(&r->beat.value);
    if (r->change.value.p != NULL) {
        memset(r->change.value.p, 0, r->change.value.n); /* holds keys */
    }
    buf_done(&r->change.value);
    mem_free(r);
}

/* ---- looking at the record ---- */

const struct record_region *region_self(const struct region *r)
{
    return r->rec != NULL ? record_region_const(r->rec, r->cfg.self) : NULL;
}

const struct record_epoch *region_reign(const struct region *r)
{
    return r->rec != NULL && r->rec->epoch_count > 0 ? &r->rec->epochs[r->rec->epoch_count - 1]
                                                     : NULL;
}

enum region_role region_role(const struct region *r)
{
    return (enum region_role)r->role;
}

const struct account_record *region_record(const struct region *r)
{
    return r->rec;
}

struct region_view *region_view(struct region *r)
{
    return &r->view;
}

usec region_lease_until(const struct region *r)
{
    usec from = r->vouched_us > r->lease_from_us ? r->vouched_us : r->lease_from_us;
    return lease_until(from, r->cfg.timers.lease_ms, r->cfg.timers.stop_margin_ms);
}

bool region_lease_is_fresh(const struct region *r)
{
    usec now = region_now(r);
    if (BUG(BUG_WALL_CLOCK_LEASE)) {
        const struct record_epoch *reign = region_reign(r);
        int64_t since_ms = r->io.wall_ms(r->io.ctx) - (reign != NULL ? reign->opened.wall_ms : 0);
        now = r->role_since_us + (usec)(since_ms * 1000);
    }
    return region_acts_as_writer(r) && r->lease_from_us != 0 && now < region_lease_until(r);
}

void region_publish_view(struct region *r)
{
    struct region_view *v = &r->view;
    usec until = region_acts_as_writer(r) ? region_lease_until(r) : r->read_until_us;
    atomic_store_explicit(&v->fresh_until_us, until, memory_order_release);
    atomic_store_explicit(&v->role, (unsigned)r->role, memory_order_release);
    if (r->rec != NULL) {
        atomic_store_explicit(&v->generation, r->rec->generation, memory_order_relaxed);
        atomic_store_explicit(&v->token_version, repl_token_version(r->repl), memory_order_relaxed);
        atomic_store_explicit(&v->level, (unsigned)record_read_level(r->rec), memory_order_relaxed);
        atomic_store_explicit(&v->is_single_region, r->rec->region_count == 1,
                              memory_order_relaxed);
    }
}

/* ---- mode: what the replication machine must do in this role ---- */

static void set_regions(struct repl_mode *m, const struct account_record *rec)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        m->all_mask |= record_mask(g->id);
        m->copy_mask |= g->needs_full_copy ? record_mask(g->id) : 0;
    }
}

uint64_t region_strong_mask(const struct region *r)
{
    uint64_t mask = r->rec->q_mask | r->joining;
    usec now = region_now(r);
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (id != r->cfg.self && (mask & record_mask(id)) == 0 &&
            region_may_hold_lease(r, id, now)) {
            mask |= record_mask(id);
        }
    }
    return mask;
}

void region_update_masks(struct region *r)
{
    if (region_acts_as_writer(r)) {
        repl_set_masks(r->repl, record_online_mask(r->rec) | r->joining, region_strong_mask(r));
    }
    parts_update_masks(r);
}

/* Bounded staleness holds writes back, whether in force, about to be, or not yet left. Leaving it for
 * Strong, or coming from there, the stronger rule keeps it as well. */
static bool has_bounds(const struct account_record *rec)
{
    return rec->level == CONSISTENCY_BOUNDED_STALENESS ||
           (rec->is_level_changing && rec->level_to == CONSISTENCY_BOUNDED_STALENESS);
}

/* What was acknowledged before an operator accepted a loss may be missing, whatever the level was. */
static epoch strong_since(const struct account_record *rec)
{
    epoch since = rec->strong_since;
    for (size_t i = 0; i < rec->epoch_count; i++) {
        bool is_accepted = rec->epochs[i].opened.rule == RULE_CLAIM_ACCEPTED;
        since = is_accepted && rec->epochs[i].epoch > since ? rec->epochs[i].epoch : since;
    }
    return since;
}

void region_update_mode(struct region *r)
{
    const struct account_record *rec = r->rec;
    const struct record_epoch *reign = region_reign(r);
    ASSERT(rec != NULL);
    struct repl_mode m = {
        .kind = REPL_IDLE,
        .generation = rec->generation,
        .writer = rec->writer,
        .record_epoch = rec->epoch,
        .start_lsn = reign != NULL ? reign->start_lsn : 0,
        .is_strong = record_write_level(rec) == CONSISTENCY_STRONG,
        .strong_since = rec->level == CONSISTENCY_STRONG ? strong_since(rec) : UINT64_MAX,
        .online_mask = record_online_mask(rec) | r->joining,
        .token_version = members_token_version(r),
        .lsn_limit = rec->lsn_limit,
        .diverged = rec->diverged_writes,
        .feed_quota = rec->feed_quota,
    };
    set_regions(&m, rec);
    m.strong_mask = region_strong_mask(r);
    if (has_bounds(rec)) {
        m.staleness_ops = rec->max_staleness_ops;
        m.staleness_us = rec->max_staleness_s * UINT64_C(1000000);
    }
    STATIC_ASSERT(RECORD_EPOCHS_MAX < ARRAY_COUNT(m.lossy), "one per epoch, one of a row");
    for (size_t i = 0; i < rec->epoch_count; i++) {
        if (rec->epochs[i].opened.is_lossy) {
            m.lossy[m.lossy_count].epoch = rec->epochs[i].epoch;
            m.lossy[m.lossy_count++].version = rec->epochs[i].token_version;
        }
    }
    switch ((enum region_role)r->role) {
    case ROLE_STARTING:
    case ROLE_OFFLINE:
    case ROLE_FENCED:
    case ROLE_COUNT:
        break;
    case ROLE_RECOVERING:
        m.kind = REPL_READER;
        break;
    case ROLE_READER:
    case ROLE_TAKING:
        m.kind = REPL_READER;
        m.is_serving = true;
        break;
    case ROLE_PROMOTING:
        m.kind = REPL_SEALED;
        m.is_serving = true;
        break;
    case ROLE_WRITER:
    case ROLE_HOLDING:
        m.kind = REPL_WRITER;
        m.is_serving = true;
        m.is_holding = r->role == ROLE_HOLDING && !BUG(BUG_TRANSFER_BOTH);
        m.stored_by = r->role == ROLE_HOLDING && r->is_held_without_disk ? r->hold_to : 0;
        m.epoch = rec->epoch;
        break;
    }
    repl_set_may_repair(r->repl, rec->partition_failover);
    parts_prepare(r);
    repl_set_mode(r->repl, &m);
    parts_update(r, &m);
}

/* ---- actions of the role table; r->role is the new role already ---- */

/* Whatever the process was doing for its old role ends here. */
static void leave_promises(struct region *r)
{
    r->lease_from_us = 0;
    r->vouched_us = 0;
    r->is_vouched = false;
    r->lease_was_fresh = false;
    r->read_until_us = 0;
    memset(r->part_read_until_us, 0, sizeof(r->part_read_until_us));
    r->evicting = 0;
    r->joining = 0;
    r->is_pulling = false;
    r->is_opening = false;
    r->take_generation = 0;
    r->claim_ready_us = 0;
}

void act_fence(void *ctx, const void *event)
{
    UNUSED(event);
    struct region *r = (struct region *)ctx;
    r->stale_events++;
    region_event(r, EVENT_STALE_GENERATION, (uint32_t)r->rule,
                 "record_generation=%llu stored_generation=%llu acting_generation=%llu",
                 (unsigned long long)(r->rec != NULL ? r->rec->generation : 0),
                 (unsigned long long)engine_generation(r->engine),
                 (unsigned long long)repl_mode(r->repl)->generation);
    if (r->rec != NULL && r->rec->generation < engine_generation(r->engine)) {
        objection_raise(r, r->rec_rev, engine_generation(r->engine));
    }
    leave_promises(r);
    struct repl_mode m = {.kind = REPL_IDLE, .generation = repl_mode(r->repl)->generation};
    parts_prepare(r);
    repl_set_mode(r->repl, &m);
    parts_update(r, &m);
    write_end_pending(r);
    write_release_held(r, ERR_NOT_WRITER);
}

void act_stop(void *ctx, const void *event)
{
    UNUSED(event);
    struct region *r = (struct region *)ctx;
    leave_promises(r);
    region_update_mode(r);
    write_end_pending(r);
    write_release_held(r, ERR_NOT_WRITER);
}

void act_follow(void *ctx, const void *event)
{
    struct region *r = (struct region *)ctx;
    const struct repl_mode *m = repl_mode(r->repl);
    bool is_same = m->kind == REPL_READER && m->generation == r->rec->generation &&
                   m->writer == r->rec->writer;
    if (!is_same) {
        act_stop(r, event);
        return;
    }
    /* Same writer as before: a read lease stays, unless we were taken out of Q. */
    if ((r->rec->q_mask & record_mask(r->cfg.self)) == 0) {
        r->read_until_us = 0;
        memset(r->part_read_until_us, 0, sizeof(r->part_read_until_us));
    }
    r->take_generation = 0;
    region_update_mode(r);
}

void act_seal(void *ctx, const void *event)
{
    struct region *r = (struct region *)ctx;
    act_stop(r, event);
    repl_seal(r->repl);
    r->claim_us = region_now(r);
    r->pull_from_us = 0;
}

void act_open(void *ctx, const void *event)
{
    UNUSED(event);
    struct region *r = (struct region *)ctx;
    usec now = region_now(r);
    bool was_holding = repl_mode(r->repl)->kind == REPL_WRITER;
    r->vouched_us = 0;
    r->evicting = 0;
    r->joining = 0;
    r->is_opening = false;
    r->is_pulling = false;
    r->read_until_us = 0;
    r->take_generation = 0;
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        struct member *m = &r->members[id];
        m->lag_ok_since_us = 0;
        /* Writers before us may have given read leases up to now. Theirs was over, or they have
         * stopped: what they hold themselves does not count, but what we gave them for partitions
         * that we wrote before does. */
        if (!was_holding && id != r->cfg.self && id != r->claim_from) {
            m->grant_us = now;
        }
    }
    health_opened(r);
    region_update_mode(r);
    repl_open_epoch(r->repl);
    const struct record_epoch *reign = region_reign(r);
    ASSERT(reign != NULL);
    r->failovers++;
    r->last_failover.rule = (enum rule)reign->opened.rule;
    r->last_failover.at_us = now;
    r->last_failover.wall_ms = r->io.wall_ms(r->io.ctx);
    r->last_failover.detect_ms = reign->opened.detect_ms;
    r->last_failover.wait_ms = reign->opened.wait_ms;
    r->last_failover.promote_ms = reign->opened.promote_ms;
    r->last_failover.from = r->claim_from;
    r->last_failover.lost_estimate = reign->opened.is_lossy ? r->lost_estimate : 0;
    r->last_failover.lost_parts = r->lost_parts;
    r->last_failover.lost_parts.count *= reign->opened.is_lossy;
    char lost[BEAT_LOSS_TEXT_SIZE];
    region_event(r, EVENT_FAILOVER, reign->opened.rule,
                 "epoch=%llu generation=%llu from_region=%u to_region=%u detect_ms=%u wait_ms=%u "
                 "promote_ms=%u lost_operations_estimate=%llu%s reason=\"%s\"",
                 (unsigned long long)reign->epoch, (unsigned long long)reign->generation,
                 r->claim_from, r->cfg.self, reign->opened.detect_ms, reign->opened.wait_ms,
                 reign->opened.promote_ms, (unsigned long long)r->last_failover.lost_estimate,
                 beat_loss_text(&r->last_failover.lost_parts, lost), reign->opened.reason);
    write_release_held(r, OK);
}

void act_refresh(void *ctx, const void *event)
{
    UNUSED(event);
    struct region *r = (struct region *)ctx;
    region_update_mode(r);
}

void act_hold(void *ctx, const void *event)
{
    UNUSED(event);
    struct region *r = (struct region *)ctx;
    r->hold_since_us = region_now(r);
    bool is_ours = r->rec->transfer_deadline_wall_ms == r->proposed_until_ms;
    r->hold_rule = is_ours ? r->proposed_rule : (enum rule)0;
    r->hold_to = r->rec->transfer_to;
    r->is_held_without_disk = false;
    r->end_sent_us = 0;
    r->is_draining = false;
    region_update_mode(r);
    write_hold_delayed(r);
}

void act_take(void *ctx, const void *event)
{
    struct region *r = (struct region *)ctx;
    r->take_since_us = region_now(r);
    act_follow(r, event);
    r->take_generation = 0;
}

void region_step(struct region *r, enum region_event_no ev)
{
    int before = r->role;
    /* The row must be known to the actions' events: look it up first. */
    r->rule = fsm_find(region_fsm(), r->role, (int)ev, r, NULL)->no;
    const struct fsm_row *row = fsm_step(region_fsm(), &r->role, (int)ev, r, NULL);
    if (r->role != before) {
        r->role_since_us = region_now(r);
        region_event(r, EVENT_ROLE, (uint32_t)row->no, "from=%s to=%s generation=%llu why=\"%s\"",
                     region_role_name((enum region_role)before),
                     region_role_name((enum region_role)r->role),
                     (unsigned long long)(r->rec != NULL ? r->rec->generation : 0), row->text);
    }
    /* Also of the last row, which may have gone with its partition while writes of it waited. */
    if (r->part_ctl_count > 0 || (r->held_count > 0 && r->role != ROLE_HOLDING) ||
        (r->delayed_count > 0 && r->role != ROLE_WRITER)) {
        write_recheck_held(r);
    }
    region_publish_view(r);
    r->io.published(r->io.ctx);
}

/* ---- rounds ---- */

static void lease_tick(struct region *r)
{
    if (!region_acts_as_writer(r)) {
        return;
    }
    bool fresh = region_lease_is_fresh(r);
    if (r->lease_was_fresh && !fresh) {
        region_event(r, EVENT_LEASE_LOST, 0, "generation=%llu last_good_heartbeat_ms_ago=%llu",
                     (unsigned long long)r->rec->generation,
                     (unsigned long long)((region_now(r) - r->lease_from_us) / 1000));
    }
    r->lease_was_fresh = fresh;
    bool is_vouched =
        fresh && region_now(r) >= lease_until(r->lease_from_us, r->cfg.timers.lease_ms,
                                              r->cfg.timers.stop_margin_ms);
    if (is_vouched != r->is_vouched) {
        r->is_vouched = is_vouched;
        region_event(r, EVENT_VOUCHED, 0, "writing=%s coordinator_silent_ms=%llu",
                     is_vouched ? "\"on, with the consent of all regions\""
                     : fresh    ? "\"on, under a lease again\""
                                : "\"stopped\"",
                     (unsigned long long)((region_now(r) - r->lease_from_us) / 1000));
    }
}

static void ping_tick(struct region *r)
{
    usec now = region_now(r);
    if (r->rec == NULL || now < r->next_ping_us) {
        return;
    }
    r->next_ping_us = now + ms(r->cfg.timers.beat_ms);
    vouch_tick(r);
    struct msg m = {.type = MSG_PING, .generation = record_generation_top(r->rec), .t = now};
    if (region_acts_as_writer(r) || r->rec->override_count > 0) {
        /* So that a silent link is noticed from both ends. */
        for (size_t i = 0; i < r->rec->region_count; i++) {
            if (r->rec->regions[i].id != r->cfg.self) {
                repl_send(r->repl, r->rec->regions[i].id, &m);
            }
        }
    } else if (r->rec->writer != 0 && r->rec->writer != r->cfg.self) {
        repl_send(r->repl, r->rec->writer, &m);
    }
}

bool region_end_is_due(const struct region *r, usec now, usec *sent_us, unsigned *count)
{
    usec beat = ms(r->cfg.timers.beat_ms);
    usec wait = ms(END_RETRY_MS) << (*count < 16 ? *count : 16);
    wait = wait < beat ? wait : beat;
    if (*sent_us != 0 && now - *sent_us < wait) {
        return false;
    }
    *count = *sent_us == 0 ? 0 : *count + 1;
    *sent_us = now;
    return true;
}

/* What was accepted becomes durable here and is answered first: what still waits for a third region when the
 * other one takes over would end with an unknown outcome. But the hand-over needs only what the other region
 * has, and this disk may be the reason for it. If it answers nothing for a beat, what is durable there counts
 * as if it were here, where the level does not ask for both; and when half of the time is over for which writes
 * are held, nothing is waited for any more. */
static bool may_end(struct region *r, usec now)
{
    bool is_quiet = repl_is_quiet(r->repl);
    if ((is_quiet && !write_has_pending(r, UINT64_MAX)) || BUG(BUG_TRANSFER_BOTH)) {
        return true;
    }
    usec held = now - r->hold_since_us;
    if (!is_quiet && !r->is_held_without_disk && held >= ms(r->cfg.timers.beat_ms)) {
        r->is_held_without_disk = true;
        region_update_mode(r);
    }
    return r->is_held_without_disk &&
           (held >= ms(r->cfg.timers.hold_ms) / 2 || !write_has_pending(r, UINT64_MAX));
}

static void transfer_tick(struct region *r)
{
    usec now = region_now(r);
    if (r->role == ROLE_HOLDING && may_end(r, now) &&
        region_end_is_due(r, now, &r->end_sent_us, &r->end_count)) {
        repl_send_transfer_end(r->repl, r->rec->transfer_to);
    }
}

static void pull_tick(struct region *r)
{
    usec now = region_now(r);
    if (r->role != ROLE_PROMOTING || r->is_opening || !repl_is_sealed(r->repl)) {
        return;
    }
    if (r->pull_from_us == 0) {
        r->pull_from_us = now;
        r->pull_sent_us = 0;
    }
    if (r->pull_sent_us == 0 || now - r->pull_sent_us >= ms(PULL_RETRY_MS)) {
        r->pull_sent_us = now;
        repl_pull(r->repl, coordio_alive_mask(r));
    }
}

void region_on_tick(struct region *r)
{
    usec now = region_now(r);
    if (r->tick_us == 0 || now - r->tick_us > ms(TICK_GAP_MS)) {
        r->awake_since_us = now;
    }
    r->tick_us = now;
    lease_tick(r);
    health_tick(r);
    coordio_tick(r);
    objection_tick(r);
    ping_tick(r);
    transfer_tick(r);
    pull_tick(r);
    parts_tick(r);
    decide_tick(r);
    region_update_masks(r);
    repl_on_tick(r->repl);
    write_tick(r);
}

usec region_next_tick(const struct region *r)
{
    return region_now(r) + UINT64_C(10000);
}

void region_flush(struct region *r)
{
    transfer_tick(r);
    pull_tick(r);
    parts_tick(r);
    decide_tick(r);
    write_flush(r);
    repl_flush(r->repl);
    write_flush(r); /* a batch may have been answered inside */
}

void region_on_commit(struct region *r, uint64_t ticket, enum err err)
{
    disk_health_done(&r->health.disk, ticket, region_now(r), r->cfg.timers.slow_commit_ms);
    repl_on_commit(r->repl, ticket, err);
}

void region_on_link(struct region *r, region_id peer, bool is_up)
{
    repl_on_link(r->repl, peer, is_up);
}

void region_on_frame(struct region *r, region_id from, struct str frame)
{
    repl_on_frame(r->repl, from, frame);
}

void region_on_archived(struct region *r, uint64_t ticket, enum err err)
{
    repl_on_archived(r->repl, ticket, err);
}

struct part_view *region_part(struct region *r, pid p)
{
    return repl_part_view(repl_part(r->repl, p));
}

void region_drop_part(struct region *r, pid p)
{
    write_drop_part(r, p);
    repl_drop_part(r->repl, p);
}

void region_part_unreadable(struct region *r, pid p, const struct errinfo *ei)
{
    struct partition *part = repl_find(r->repl, p);
    if (part != NULL) {
        repl_report_corrupt(part, ei);
    }
}

void region_each_part(const struct region *r, void (*fn)(void *ctx, pid p), void *ctx)
{
    for (const struct partition *p = repl_next_part(r->repl, NULL); p != NULL;
         p = repl_next_part(r->repl, p)) {
        fn(ctx, repl_part_id(p));
    }
}

uint64_t region_parts_made(const struct region *r)
{
    return repl_parts_made(r->repl);
}

void region_drain(struct region *r)
{
    r->is_draining = true;
}

void region_check(const struct region *r)
{
    repl_check(r->repl);
    const struct repl_mode *m = repl_mode(r->repl);
    ASSERT(IMPLIES(r->rec == NULL, r->role == ROLE_STARTING || r->role == ROLE_FENCED));
    ASSERT(region_acts_as_writer(r) == (m->kind == REPL_WRITER));
    ASSERT((r->role == ROLE_PROMOTING) == (m->kind == REPL_SEALED));
    if (region_acts_as_writer(r)) {
        ASSERT(r->rec->writer == r->cfg.self);
        ASSERT(r->rec->writer_incarnation == r->cfg.incarnation);
        ASSERT(m->generation == r->rec->generation);
        ASSERT(m->epoch == r->rec->epoch);
    }
    parts_check(r);
    ASSERT(IMPLIES(!list_is_empty(&r->held), r->role == ROLE_HOLDING || r->part_ctl_count > 0));
    ASSERT(IMPLIES(!list_is_empty(&r->delayed), r->role == ROLE_WRITER || r->part_ctl_count > 0));
    ASSERT((r->delayed_count == 0) == list_is_empty(&r->delayed));
    ASSERT(IMPLIES(!list_is_empty(&r->pending), region_acts_as_writer(r) || parts_writes_any(r)));
    ASSERT(IMPLIES(r->lease_from_us != 0, region_acts_as_writer(r)));
    ASSERT((r->pending_count == 0) == list_is_empty(&r->pending));
}
