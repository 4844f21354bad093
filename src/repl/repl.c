/* The replication machine: partitions, peers, frames in and out, and the round of a flush.
 *
 *   events  -> repl_on_* , repl_order        change memory, fill the batch and the peers' frames
 *   flush   -> acknowledgements, appends, commit notices; batch to storage; one frame per peer
 *
 * Nothing leaves before the flush, so that one round of events costs one batch and one frame per
 * peer, however many writes it had. */
#include "repl/repl.h"

#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum {
    HOLD_SIZE_MAX = ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8),
    OUT_KEEP_SIZE = 1 << 20,
};

static struct str pid_key(const pid *p)
{
    return str_make(p, sizeof(*p));
}

/* ---- partitions ---- */

bool repl_is_dropped(const struct repl *R, pid p)
{
    return map_get(&R->dropped, pid_key(&p)) != NULL;
}

static struct partition *part_new(struct repl *R, pid id)
{
    ASSERT(R->part_count < PARTITIONS_MAX);
    struct partition *p = MEM_NEW(struct partition);
    p->repl = R;
    p->pid = id;
    p->view.pid = id;
    p->mode = &R->mode;
    p->slot = modes_slot(R, id);
    if (p->slot != NULL) {
        p->mode = &p->slot->mode;
        p->slot->part = p;
        p->reign_max = p->mode->generation;
        p->own_loss = p->mode->own_loss;
    }
    ov_init(&p->overlay);
    list_init(&p->link);
    list_init(&p->waiters);
    list_init(&p->applied_waiters);
    list_init(&p->commit_waiters);
    list_init(&p->touched);
    list_init(&p->ack_due);
    list_init(&p->commit_due);
    list_init(&p->trim_link);
    list_init(&p->fetch_link);
    list_init(&p->ttl_link);
    list_init(&p->unmatched);
    list_init(&p->behind);
    map_init(&p->dirty);
    buf_init(&p->held_docs, MSG_FRAME_SIZE_MAX);
    list_push_back(&R->parts, &p->link);
    R->part_count++;
    R->parts_made++;
    R->parts_top = id > R->parts_top ? id : R->parts_top;
    (void)map_put(&R->part_map, pid_key(&p->pid), p);
    (void)map_remove(&R->dropped, pid_key(&p->pid));
    if (drop_is_pending(R, id)) {
        R->io.fatal(R->io.ctx, ERR_UNAVAILABLE, "a partition came back while it was being removed");
    }
    for (size_t i = 0; i < R->peer_count; i++) {
        (void)ship_progress(p, R->peers[i]);
    }
    return p;
}

struct partition *repl_find(const struct repl *R, pid id)
{
    return (struct partition *)map_get(&R->part_map, pid_key(&id));
}

struct partition *repl_part(struct repl *R, pid id)
{
    struct partition *p = repl_find(R, id);
    if (p != NULL) {
        return p;
    }
    p = part_new(R, id);
    part_touch(p);
    (void)repl_batch(R);
    part_set_flags(p);
    ship_part_new(p);
    if (p->mode->kind == REPL_WRITER && !p->mode->is_holding) {
        modes_open_epoch(p);
    } else if (p->mode->kind == REPL_READER) {
        list_push_back(&R->unmatched, &p->unmatched);
    }
    if (p->mode->kind != REPL_WRITER) {
        list_push_back(&R->behind, &p->behind);
    }
    part_publish(p);
    return p;
}

static void part_unlink(struct partition *p)
{
    list_remove(&p->touched);
    list_remove(&p->ack_due);
    list_remove(&p->commit_due);
    list_remove(&p->trim_link);
    list_remove(&p->fetch_link);
    list_remove(&p->ttl_link);
    list_remove(&p->unmatched);
    list_remove(&p->behind);
}

/* Frees what a partition holds; its view stays until the end. */
static void part_empty(struct partition *p)
{
    seed_free(p);
    ov_done(p);
    ring_clear(p);
    map_done(&p->dirty);
    map_init(&p->dirty);
    buf_done(&p->held_docs);
    buf_init(&p->held_docs, MSG_FRAME_SIZE_MAX);
    latest_free(p->div.latest);
    p->div.latest = NULL;
    mem_free(p->rows);
    p->rows = NULL;
    p->row_count = 0;
    p->row_cap = 0;
}

void repl_drop_part(struct repl *R, pid id)
{
    struct partition *p = repl_find(R, id);
    if (p == NULL) {
        return;
    }
    repl_submit(R); /* what was ordered goes to storage before the caller removes it there */
    conflict_part_gone(p);
    ASSERT(list_is_empty(&p->waiters) && list_is_empty(&p->applied_waiters) &&
           list_is_empty(&p->commit_waiters));
    p->is_dropped = true;
    if (p->div.state != DIV_NONE) {
        R->diverged_count--;
        diverge_move(&p->div, DIV_NONE);
    }
    R->dirty_count -= p->dirty.count;
    R->corrupt_count -= p->is_corrupt;
    R->total_ord -= p->tail.ord;
    part_log_shrunk(p, p->log_size);
    part_count_none(p);
    R->part_count--;
    ship_part_gone(p);
    part_unlink(p);
    part_empty(p);
    if (p->slot != NULL) {
        p->slot->part = NULL;
        p->slot = NULL;
        p->mode = &R->mode;
    }
    (void)map_remove(&R->part_map, pid_key(&p->pid));
    (void)map_put(&R->dropped, pid_key(&p->pid), &R->mark);
    part_set_flags(p);
    drop_begin(R, p->pid);
}

struct part_view *repl_part_view(struct partition *p)
{
    return &p->view;
}

pid repl_part_id(const struct partition *p)
{
    return p->pid;
}

struct place repl_tail(const struct partition *p)
{
    return p->tail;
}

struct place repl_durable(const struct partition *p)
{
    return p->durable;
}

size_t repl_part_count(const struct repl *R)
{
    return R->part_count;
}

uint64_t repl_parts_made(const struct repl *R)
{
    return R->parts_made;
}

pid repl_parts_top(const struct repl *R)
{
    return R->parts_top;
}

struct partition *repl_next_part(const struct repl *R, const struct partition *prev)
{
    struct list *l = prev != NULL ? prev->link.next : R->parts.next;
    for (; l != &R->parts; l = l->next) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        if (!p->is_dropped) {
            return p;
        }
    }
    return NULL;
}

/* ---- life ---- */

static enum err load_parts(struct repl *R, struct errinfo *ei)
{
    struct engine_iter *it = engine_scan_partitions(R->engine, NULL);
    struct engine_row row;
    enum err e = OK;
    while (e == OK && engine_iter_next(it, &row)) {
        if (R->part_count == PARTITIONS_MAX) {
            e = err_set(ei, ERR_LIMIT, "more than %d partitions", PARTITIONS_MAX);
            break;
        }
        e = part_load(part_new(R, row.pid), &row.meta, ei);
    }
    KEEP_FIRST(e, engine_iter_err(it, ei));
    engine_iter_free(it);
    return e;
}

enum err repl_new(struct engine *engine, region_id self, uint64_t incarnation,
                  const struct repl_timers *timers, const struct repl_io *io, struct repl **ret,
                  struct errinfo *ei)
{
    ASSERT(self >= 1 && self <= REGION_ID_MAX);
    struct repl *R = MEM_NEW(struct repl);
    R->engine = engine;
    R->self = self;
    R->incarnation = incarnation;
    /* Far from the numbers of other processes: their answers must not be taken for ours. */
    R->seed_request = str_hash(str_make(&incarnation, sizeof(incarnation)), 0) >> 1;
    R->timers = *timers;
    R->io = *io;
    R->next_ticket = 1;
    R->archive_ticket = 1;
    R->sealed = engine_generation(engine);
    map_init(&R->part_map);
    map_init(&R->dropped);
    struct list *heads[] = {&R->parts,      &R->touched,   &R->inflight,   &R->inflight_free,
                            &R->ring_lru,   &R->ack_due,   &R->commit_due, &R->trim_list,
                            &R->fetch_list, &R->ttl_list,  &R->unmatched,  &R->pending_lost,
                            &R->behind,     &R->seed_list, &R->slots,      &R->drops};
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++) {
        list_init(heads[i]);
    }
    arena_init(&R->arena);
    arena_init(&R->encode_arena);
    arena_init(&R->msg_arena);
    arena_init(&R->entry_arena);
    buf_init(&R->scratch, ENGINE_ENTRY_SIZE_MAX);
    for (size_t i = 0; i < BATCH_OPS_MAX; i++) {
        buf_init(&R->holds[i], HOLD_SIZE_MAX);
    }
    enum err e = drop_finish(engine, ei);
    if (e == OK) {
        e = load_parts(R, ei);
    }
    if (e == OK && repl_find(R, 0) == NULL) {
        (void)repl_part(R, 0);
    }
    if (e != OK) {
        repl_free(R);
        return e;
    }
    *ret = R;
    return OK;
}

void repl_free(struct repl *R)
{
    if (R == NULL) {
        return;
    }
    conflict_drop_waits(R);
    engine_batch_free(R->batch);
    LIST_FOR_SAFE(l, &R->parts) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        part_unlink(p);
        part_empty(p);
        map_done(&p->dirty);
        buf_done(&p->held_docs);
        ship_part_free(p);
        mem_free(p);
    }
    struct list *all[] = {&R->inflight, &R->inflight_free};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++) {
        struct list *l;
        while ((l = list_pop_front(all[i])) != NULL) {
            struct inflight *f = LIST_ENTRY(l, struct inflight, link);
            mem_free(f->rows);
            mem_free(f);
        }
    }
    for (size_t i = 0; i < R->peer_count; i++) {
        buf_done(&R->peers[i]->out);
        mem_free(R->peers[i]);
    }
    for (struct list *l; (l = list_pop_front(&R->slots)) != NULL;) {
        mem_free(LIST_ENTRY(l, struct slot, link));
    }
    ov_pool_done(R);
    map_done(&R->part_map);
    map_done(&R->dropped);
    drop_free(R);
    arena_done(&R->arena);
    arena_done(&R->encode_arena);
    arena_done(&R->msg_arena);
    arena_done(&R->entry_arena);
    buf_done(&R->scratch);
    for (size_t i = 0; i < BATCH_OPS_MAX; i++) {
        buf_done(&R->holds[i]);
    }
    mem_free(R);
}

/* ---- waits ---- */

lsn repl_acked(const struct partition *p)
{
    return p->acked;
}

void repl_wait_acked(struct partition *p, struct wait_node *n, lsn need)
{
    ASSERT(need <= p->tail.lsn);
    wait_add(&p->waiters, n, need);
    quorum_update(p);
}

void repl_wait_applied(struct partition *p, struct wait_node *n, lsn need)
{
    wait_add(&p->applied_waiters, n, need);
}

void repl_wait_committed(struct partition *p, struct wait_node *n, lsn need)
{
    wait_add(&p->commit_waiters, n, need);
}

/* ---- frames ---- */

void repl_add_peer(struct repl *R, region_id id)
{
    ASSERT(id >= 1 && id <= REGION_ID_MAX && id != R->self);
    if (R->peer_by_id[id] != NULL || R->peer_count == ARRAY_COUNT(R->peers)) {
        return;
    }
    struct peer *peer = MEM_NEW(struct peer);
    peer->id = id;
    peer->slot = R->peer_count;
    buf_init(&peer->out, MSG_FRAME_SIZE_MAX);
    list_init(&peer->ready);
    list_init(&peer->inflight);
    list_init(&peer->copying);
    list_init(&peer->feeds);
    R->peers[R->peer_count++] = peer;
    R->peer_by_id[id] = peer;
    LIST_FOR(l, &R->parts) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        if (!p->is_dropped) {
            (void)ship_progress(p, peer);
        }
    }
}

static void send_frame(struct repl *R, struct peer *peer)
{
    if (peer->out.n <= MSG_FRAME_HEADER_SIZE) {
        return;
    }
    R->stats.frames_sent++;
    R->stats.bytes_shipped += peer->out.n;
    R->io.send(R->io.ctx, peer->id, buf_str(&peer->out));
    if (peer->out.cap > OUT_KEEP_SIZE) {
        buf_done(&peer->out);
        buf_init(&peer->out, MSG_FRAME_SIZE_MAX);
    } else {
        buf_clear(&peer->out);
    }
}

void repl_send(struct repl *R, region_id to, const struct msg *m)
{
    struct peer *peer = R->peer_by_id[to];
    if (peer == NULL || !peer->is_up) {
        return; /* best effort: whoever needs an answer asks again */
    }
    size_t size = msg_size_max(m);
    if (peer->out.n + size > MSG_FRAME_SIZE_MAX) {
        send_frame(R, peer);
    }
    if (peer->out.n == 0) {
        msg_frame_begin(&peer->out, R->self, to);
    }
    msg_encode(&peer->out, m);
}

bool repl_link_is_up(const struct repl *R, region_id id)
{
    return R->peer_by_id[id] != NULL && R->peer_by_id[id]->is_up;
}

void repl_on_link(struct repl *R, region_id id, bool is_up)
{
    if (id == R->self || id < 1 || id > REGION_ID_MAX) {
        return;
    }
    repl_add_peer(R, id);
    struct peer *peer = R->peer_by_id[id];
    if (peer == NULL) {
        return;
    }
    buf_clear(&peer->out);
    peer->is_up = is_up;
    ship_peer_reset(R, peer);
    if (!is_up) {
        return;
    }
    struct msg hello = {.type = MSG_HELLO,
                        .generation = R->mode.generation,
                        .incarnation = R->incarnation,
                        .epoch = R->mode.epoch};
    repl_send(R, id, &hello);
    ship_peer_up(R, peer);
    LIST_FOR(l, &R->unmatched) {
        struct partition *p = LIST_ENTRY(l, struct partition, unmatched);
        p->tail_sent_us = p->mode->writer == id ? 0 : p->tail_sent_us;
    }
}

static void on_hello(struct repl *R, struct peer *peer, const struct msg *m)
{
    if (peer->incarnation != 0 && peer->incarnation != m->incarnation) {
        /* Another process: what it received and did not store is gone, and its store may be
         * another one. */
        LIST_FOR(l, &R->parts) {
            struct partition *p = LIST_ENTRY(l, struct partition, link);
            if (!p->is_dropped) {
                ship_progress(p, peer)->acked = 0;
                ship_progress(p, peer)->acked_ord = 0;
                ship_progress(p, peer)->is_known = false;
                list_remove(&ship_progress(p, peer)->copying);
            }
        }
        ship_peer_reset(R, peer);
        ship_peer_up(R, peer);
    }
    peer->incarnation = m->incarnation;
}

static void on_message(struct repl *R, struct peer *peer, const struct msg *m)
{
    switch (m->type) {
    case MSG_HELLO:
        on_hello(R, peer, m);
        R->io.message(R->io.ctx, peer->id, m);
        return;
    case MSG_PROBE:
        apply_on_probe(R, peer->id, m);
        return;
    case MSG_TAIL:
        ship_on_tail(R, peer->id, m);
        return;
    case MSG_BRANCH:
        apply_on_branch(R, peer->id, m);
        return;
    case MSG_APPEND:
        apply_on_append(R, peer->id, m);
        return;
    case MSG_ACK:
        ship_on_ack(R, peer->id, m);
        return;
    case MSG_COMMIT:
        apply_on_commit(R, peer->id, m);
        return;
    case MSG_LOST:
    case MSG_LOST_LATEST:
        conflict_on_lost(R, peer->id, m);
        return;
    case MSG_LOST_ACK:
    case MSG_LOST_KEPT:
        conflict_on_lost_ack(R, peer->id, m);
        return;
    case MSG_FETCH:
        ship_on_fetch(R, peer->id, m);
        return;
    case MSG_DOCS:
        apply_on_docs(R, peer->id, m);
        return;
    case MSG_PULL:
        pull_on_pull(R, peer->id, m);
        return;
    case MSG_PULLED:
        pull_on_pulled(R, peer->id, m);
        return;
    case MSG_SEED_AT:
        seed_on_at(R, peer->id, m);
        return;
    case MSG_SEED_ASK:
        seed_on_ask(R, peer->id, m);
        return;
    case MSG_SEED_GET:
        seed_on_get(R, peer->id, m);
        return;
    case MSG_SEED_DOCS:
    case MSG_SEED_PIECE:
        seed_on_docs(R, peer->id, m);
        return;
    case MSG_SEED_FEED:
        seed_on_feed(R, peer->id, m);
        return;
    case MSG_SEED_GOT:
        seed_on_got(R, peer->id, m);
        return;
    case MSG_SEED_DONE:
        seed_on_done(R, peer->id, m);
        return;
    case MSG_PING:
    case MSG_PONG:
    case MSG_VOUCH:
    case MSG_VOUCHED:
    case MSG_TRANSFER_END:
        R->io.message(R->io.ctx, peer->id, m);
        return;
    case MSG_TYPE_COUNT:
        break;
    }
    UNREACHABLE();
}

void repl_on_frame(struct repl *R, region_id from, struct str frame)
{
    struct msg_reader r;
    struct errinfo ei = {0};
    if (from < 1 || from > REGION_ID_MAX || from == R->self ||
        msg_frame_open(frame, &r, &ei) != OK || r.from != from || r.to != R->self) {
        R->stats.frames_bad++;
        return;
    }
    repl_add_peer(R, from);
    struct peer *peer = R->peer_by_id[from];
    if (peer == NULL) {
        return;
    }
    for (;;) {
        arena_reset(&R->msg_arena);
        struct msg m;
        enum err e = msg_next(&r, &R->msg_arena, &m, &ei);
        if (e != OK) {
            R->stats.frames_bad += e != ERR_NOT_FOUND;
            return;
        }
        contract_trace("message", (unsigned)m.type, (unsigned)R->mode.kind);
        on_message(R, peer, &m);
    }
}

/* ---- rounds ---- */

void repl_on_archived(struct repl *R, uint64_t ticket, enum err err)
{
    conflict_on_archived(R, ticket, err);
}

void repl_flush(struct repl *R)
{
    ship_send(R);
    seed_feed_step(R);
    repl_submit(R);
    apply_send_acks(R);
    quorum_announce(R, /* everything= */ false);
    for (size_t i = 0; i < R->peer_count; i++) {
        send_frame(R, R->peers[i]);
    }
}

void repl_on_tick(struct repl *R)
{
    usec now = R->io.now(R->io.ctx);
    if (now >= R->commit_us) {
        R->commit_us = now + R->timers.commit_ms * UINT64_C(1000);
        quorum_announce(R, /* everything= */ true);
    }
    trim_tick(R);
    ttl_tick(R);
    ship_tick(R);
    seed_feed_tick(R);
    apply_tick(R);
    repair_tick(R);
    drop_tick(R);
    quota_tick(R);
}

/* ---- figures ---- */

uint64_t repl_total_ord(const struct repl *R)
{
    return R->total_ord;
}

uint64_t repl_seed_count(const struct repl *R)
{
    return R->seed_count;
}

uint64_t repl_log_size(const struct repl *R)
{
    return R->log_size;
}

uint64_t repl_dirty_count(const struct repl *R)
{
    return R->dirty_count;
}

uint64_t repl_diverged_count(const struct repl *R)
{
    return R->diverged_count;
}

void repl_stats(const struct repl *R, struct repl_stats *ret)
{
    *ret = R->stats;
    ret->ring_size = R->ring_size;
    ret->overlay_count = R->overlay_count;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        ret->log_entries += p->tail.ord - p->trim.ord;
    }
    ret->pending_batches = 0;
    LIST_FOR(l, &R->inflight) {
        ret->pending_batches++;
    }
}

static void check_part(const struct partition *p)
{
    ASSERT(p->durable.lsn <= p->tail.lsn);
    ASSERT(p->durable.ord <= p->tail.ord);
    ASSERT((p->tail.lsn == 0) == (p->tail.ord == 0));
    ASSERT((p->tail.lsn == 0) == (p->row_count == 0));
    ASSERT(p->trim.lsn <= p->tail.lsn);
    ASSERT(IMPLIES(p->row_count > 0, p->rows[p->row_count - 1].epoch == p->tail.epoch));
    for (size_t i = 1; i < p->row_count; i++) {
        ASSERT(p->rows[i].epoch > p->rows[i - 1].epoch);
        ASSERT(p->rows[i].first_lsn > p->rows[i].prev_lsn);
        ASSERT(p->rows[i].prev_epoch == p->rows[i - 1].epoch);
    }
    ASSERT(IMPLIES(p->ring.count > 0, ring_at(p, p->ring.count - 1)->place.lsn <= p->tail.lsn));
    ASSERT(IMPLIES(p->mode->kind == REPL_WRITER, p->acked <= p->tail.lsn));
    ASSERT(IMPLIES(p->mode->kind == REPL_WRITER,
                   p->tail.lsn < p->mode->lsn_limit || BUG(BUG_LSN_REUSED)));
    ASSERT(p->slot != NULL ? p->mode == &p->slot->mode && p->slot->part == p
                           : p->mode == &p->repl->mode);
}

void repl_check(const struct repl *R)
{
    size_t dirty = 0, diverged = 0, count = 0, seeding = 0;
    uint64_t ord = 0, log_size = 0, item_size = 0, conflict_size = 0;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        check_part(p);
        dirty += p->dirty.count;
        diverged += p->div.state != DIV_NONE;
        seeding += seed_is_on(p);
        ord += p->tail.ord;
        log_size += p->log_size;
        item_size += p->item_size;
        conflict_size += p->conflict_size;
        count++;
    }
    ASSERT(seeding == R->seed_count);
    ASSERT(R->seed_active <= seeding && R->seed_active <= R->seed_asked);
    ASSERT(log_size == R->log_size);
    ASSERT(item_size == R->item_size);
    ASSERT(conflict_size == R->conflict_size);
    ASSERT(dirty == R->dirty_count);
    ASSERT(diverged == R->diverged_count);
    ASSERT(count == R->part_count);
    ASSERT(ord == R->total_ord);
    ASSERT(IMPLIES(R->batch == NULL, list_is_empty(&R->touched)));
}
