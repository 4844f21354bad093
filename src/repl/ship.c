/* The writer's side of replication: one small machine per peer and partition.
 *
 *   UNKNOWN --TAIL in our history, at its end--> STREAM --window, acks--> ...
 *      ^    --TAIL above the last common entry-> DIVERGED --(cut) TAIL--> STREAM
 *      |    --TAIL in our history, below what is kept--> STUCK --(copy, seed.c) TAIL--> STREAM
 *      +-- link up, no answer, no progress, another process, NACK
 *
 * Whatever is lost on the way is found by asking again: nothing depends on one message. */
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum {
    SEND_TURN_SIZE_MAX = 4 << 20, /* entries per peer and flush */
    DIVERGED_PROBE_FACTOR = 4,
    COPYING_PROBE_FACTOR = 8,
};

struct progress *ship_progress(struct partition *p, struct peer *peer)
{
    while (p->progress_count <= peer->slot) {
        struct repl *R = p->repl;
        p->progress = (struct progress **)mem_realloc(p->progress, (p->progress_count + 1) *
                                                                       sizeof(struct progress *));
        struct progress *g = MEM_NEW(struct progress);
        g->part = p;
        g->peer = R->peers[p->progress_count];
        list_init(&g->ready);
        list_init(&g->inflight);
        list_init(&g->copying);
        p->progress[p->progress_count++] = g;
    }
    return p->progress[peer->slot];
}

static void forget_inflight(struct progress *g)
{
    ASSERT(g->peer->inflight_size >= g->inflight_size);
    g->peer->inflight_size -= g->inflight_size;
    g->inflight_size = 0;
    list_remove(&g->ready);
    list_remove(&g->inflight);
}

void ship_part_gone(struct partition *p)
{
    for (size_t i = 0; i < p->progress_count; i++) {
        forget_inflight(p->progress[i]);
        list_remove(&p->progress[i]->copying);
        seed_feed_free(p->progress[i]);
        progress_move(p->progress[i], PROG_UNKNOWN);
    }
}

void ship_part_free(struct partition *p)
{
    for (size_t i = 0; i < p->progress_count; i++) {
        seed_feed_free(p->progress[i]);
        mem_free(p->progress[i]);
    }
    mem_free(p->progress);
    p->progress = NULL;
    p->progress_count = 0;
}

static void probe(struct progress *g)
{
    struct repl *R = g->part->repl;
    progress_move(g, PROG_UNKNOWN);
    g->probed_us = R->io.now(R->io.ctx);
    forget_inflight(g);
    list_push_back(&g->peer->inflight, &g->inflight);
    struct msg m = {
        .type = MSG_PROBE, .generation = g->part->mode->generation, .pid = g->part->pid};
    repl_send(R, g->peer->id, &m);
    R->stats.probes++;
}

void ship_peer_reset(struct repl *R, struct peer *peer)
{
    LIST_FOR(l, &R->parts) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        if (!p->is_dropped) {
            struct progress *g = ship_progress(p, peer);
            forget_inflight(g);
            seed_feed_free(g);
            progress_move(g, PROG_UNKNOWN);
        }
    }
    ASSERT(peer->inflight_size == 0);
    ASSERT(peer->feed_size == 0);
}

void ship_peer_up(struct repl *R, struct peer *peer)
{
    if (!peer->is_up || (R->mode.kind != REPL_WRITER && R->slot_count == 0)) {
        return;
    }
    LIST_FOR(l, &R->parts) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        if (!p->is_dropped && p->mode->kind == REPL_WRITER) {
            probe(ship_progress(p, peer));
        }
    }
}

/* What the last reign knew is not proof under this one. */
void ship_start(struct partition *p)
{
    struct repl *R = p->repl;
    usec now = R->io.now(R->io.ctx);
    for (size_t i = 0; !p->is_dropped && i < R->peer_count; i++) {
        struct progress *g = ship_progress(p, R->peers[i]);
        bool keeps =
            BUG(BUG_BRANCH_FROM_CACHED_LAG) || (p->slot != NULL && BUG(BUG_PART_BRANCH_CACHED));
        g->acked = keeps ? g->acked : 0;
        g->acked_ord = 0;
        g->reach = 0;
        g->is_known = false;
        list_remove(&g->copying);
        g->lag_since_us = now;
        forget_inflight(g);
        seed_feed_free(g);
        progress_move(g, PROG_UNKNOWN);
        if (R->peers[i]->is_up) {
            probe(g);
        }
    }
}

void ship_reset(struct partition *p)
{
    for (size_t i = 0; !p->is_dropped && i < p->progress_count; i++) {
        forget_inflight(p->progress[i]);
        seed_feed_free(p->progress[i]);
        progress_move(p->progress[i], PROG_UNKNOWN);
    }
}

void ship_part_new(struct partition *p)
{
    struct repl *R = p->repl;
    for (size_t i = 0; i < R->peer_count; i++) {
        struct progress *g = ship_progress(p, R->peers[i]);
        if (p->mode->kind == REPL_WRITER && R->peers[i]->is_up) {
            probe(g);
        }
    }
}

static void make_ready(struct progress *g)
{
    if (list_is_empty(&g->ready)) {
        list_push_back(&g->peer->ready, &g->ready);
    }
}

void ship_entry_added(struct partition *p)
{
    usec now = p->repl->io.now(p->repl->io.ctx);
    for (size_t i = 0; i < p->progress_count; i++) {
        struct progress *g = p->progress[i];
        if (g->lag_since_us == 0) {
            g->lag_since_us = now;
        }
        if (g->state == PROG_STREAM && g->peer->is_up) {
            make_ready(g);
        }
    }
}

/* ---- answers of readers ---- */

bool ship_is_for_me(const struct repl *R, const struct msg *m)
{
    const struct repl_mode *mode = repl_mode_of(R, m->pid);
    return mode->kind == REPL_WRITER &&
           (m->generation == mode->generation || BUG(BUG_NO_GENERATION_GUARD) ||
            (mode != &R->mode && BUG(BUG_PART_NO_GENERATION)));
}

/* Last entry that the peer's log and ours have in common. false: it lies deeper than the peer's
 * message shows. */
static bool find_common(const struct partition *p, const struct msg *m, struct place *ret)
{
    *ret = (struct place){0};
    if (m->place.lsn == 0) {
        return true;
    }
    for (size_t i = m->row_count; i-- > 0;) {
        const struct epoch_row *row = &m->rows[i];
        lsn theirs = i + 1 == m->row_count ? m->place.lsn : m->rows[i + 1].prev_lsn;
        lsn ours = part_epoch_last(p, row->epoch);
        if (ours == 0) {
            continue;
        }
        lsn low = ours < theirs ? ours : theirs;
        if (part_history_has(p, row->epoch, low) && low >= row->first_lsn) {
            *ret = (struct place){.epoch = row->epoch, .lsn = low, .ord = 1};
            return true;
        }
    }
    return m->row_count < MSG_EPOCHS_MAX;
}

void ship_send_branch(struct repl *R, region_id to, pid id, struct place at, struct place tail,
                      bool is_unknown)
{
    struct msg m = {.type = MSG_BRANCH,
                    .generation = repl_mode_of(R, id)->generation,
                    .pid = id,
                    .place = at,
                    .durable = tail,
                    .is_unknown = is_unknown};
    repl_send(R, to, &m);
}

static void note_acked(struct progress *g, struct place durable)
{
    struct partition *p = g->part;
    g->is_known = true;
    if (durable.lsn > g->acked) {
        g->acked = durable.lsn;
        g->acked_ord = durable.ord;
        g->progress_us = p->repl->io.now(p->repl->io.ctx);
        g->peer->acked_us = g->progress_us;
    }
    if (g->acked >= p->tail.lsn) {
        g->lag_since_us = 0;
        return;
    }
    size_t idx = 0;
    const struct ebuf *next = ring_after(p, g->acked, &idx);
    if (next != NULL) {
        g->lag_since_us = next->ordered_us;
    }
}

static void set_sent(struct progress *g, struct place at)
{
    g->sent = at;
    g->reach = at.lsn > g->reach ? at.lsn : g->reach;
}

static void matched(struct progress *g, const struct msg *m)
{
    struct partition *p = g->part;
    struct repl *R = p->repl;
    progress_move(g, PROG_STREAM);
    set_sent(g, m->place);
    g->progress_us = R->io.now(R->io.ctx);
    forget_inflight(g);
    note_acked(g, m->durable);
    ship_send_branch(R, g->peer->id, p->pid, m->place, m->place, /* is_unknown= */ false);
    quorum_tell(p, g->peer->id); /* notices sent before it matched were lost on it */
    if (g->sent.lsn < p->tail.lsn) {
        make_ready(g);
    }
    if (g->acked < g->sent.lsn) {
        list_push_back(&g->peer->inflight, &g->inflight);
    }
    quorum_update(p);
}

static void wait_for_answer(struct progress *g)
{
    forget_inflight(g);
    list_push_back(&g->peer->inflight, &g->inflight);
    g->probed_us = g->part->repl->io.now(g->part->repl->io.ctx);
}

/* Its last 64 epochs are all unknown here: where the logs part cannot be said. */
static void stop(struct progress *g)
{
    wait_for_answer(g);
    if (g->state != PROG_STUCK) {
        repl_event(g->part->repl, EVENT_DIVERGED,
                   "partition=%llu region=%u what=\"no common entry within its last epochs\"",
                   (unsigned long long)g->part->pid, g->peer->id);
    }
    progress_move(g, PROG_STUCK);
}

void ship_stuck(struct progress *g, struct place tail)
{
    const struct partition *p = g->part;
    wait_for_answer(g);
    if (g->state != PROG_STUCK) {
        repl_event(p->repl, EVENT_SEED,
                   "partition=%llu region=%u what=\"told to copy\" its_lsn=%llu trimmed_to=%llu",
                   (unsigned long long)p->pid, g->peer->id, (unsigned long long)tail.lsn,
                   (unsigned long long)p->trim.lsn);
    }
    progress_move(g, PROG_STUCK);
    seed_send_at(g, tail);
}

void ship_on_tail(struct repl *R, region_id from, const struct msg *m)
{
    if (!ship_is_for_me(R, m)) {
        return;
    }
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL) {
        if (map_get(&R->dropped, str_make(&m->pid, sizeof(m->pid))) == NULL) {
            ship_send_branch(R, from, m->pid, (struct place){0}, m->place, /* is_unknown= */ true);
        }
        return;
    }
    if ((m->place.lsn == 0) != (m->row_count == 0)) {
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    if (m->durable.lsn < g->acked) {
        return; /* older than what the same process has acknowledged since: logs do not shrink */
    }
    R->stats.nacks += m->is_nack;
    struct place common;
    bool found = find_common(p, m, &common);
    if ((BUG(BUG_BRANCH_FROM_CACHED_LAG) || (p->slot != NULL && BUG(BUG_PART_BRANCH_CACHED))) &&
        g->acked > 0 && g->acked < common.lsn && part_history_has(p, common.epoch, g->acked)) {
        common.lsn = g->acked;
    }
    if (found && place_same(common, m->place) && m->place.lsn >= p->trim.lsn) {
        if (place_same(m->place, p->tail) && m->place.chain != p->tail.chain) {
            repl_event(R, EVENT_CORRUPT,
                       "partition=%llu what=\"log of region %u has another checksum\" lsn=%llu",
                       (unsigned long long)p->pid, from, (unsigned long long)m->place.lsn);
            return;
        }
        matched(g, m);
        return;
    }
    /* A suffix goes first, whatever was trimmed here: a copy must not replace what nobody else has. */
    if (!found || place_same(common, m->place) ||
        (BUG(BUG_COPY_OVER_SUFFIX) && common.lsn < p->trim.lsn)) {
        if (found) {
            ship_stuck(g, m->place);
        } else {
            stop(g);
        }
        return;
    }
    wait_for_answer(g);
    progress_move(g, PROG_DIVERGED);
    conflict_check_waits(p);
    ship_send_branch(R, from, p->pid, common, m->place, /* is_unknown= */ false);
}

void ship_on_ack(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL) {
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    if (g->state != PROG_STREAM || m->place.lsn > g->sent.lsn || m->place.lsn <= g->acked ||
        !part_history_has(p, m->place.epoch, m->place.lsn)) {
        return;
    }
    uint64_t before = g->sent.ord - g->acked_ord;
    note_acked(g, m->place);
    uint64_t after = g->sent.ord - g->acked_ord;
    /* Sizes are shared out evenly: only the window depends on them. */
    size_t left = after == 0 || before == 0 || after > before
                      ? 0
                      : (size_t)((uint64_t)g->inflight_size / before * after);
    g->peer->inflight_size -= g->inflight_size - left;
    g->inflight_size = left;
    if (g->acked >= g->sent.lsn) {
        list_remove(&g->inflight);
    }
    if (g->sent.lsn < p->tail.lsn) {
        make_ready(g);
    }
    quorum_update(p);
}

/* ---- sending ---- */

struct shipment {
    struct str *entries;
    size_t count, size;
    struct place last;
};

static bool window_is_open(const struct progress *g, const struct shipment *s)
{
    return g->peer->inflight_size + s->size < WINDOW_SIZE_MAX &&
           (g->sent.ord - g->acked_ord) + s->count < WINDOW_ENTRIES_MAX &&
           s->size < APPEND_SIZE_MAX && s->count < APPEND_ENTRIES_MAX;
}

static void take_from_ring(struct progress *g, size_t idx, struct shipment *s)
{
    const struct partition *p = g->part;
    for (; idx < p->ring.count && window_is_open(g, s); idx++) {
        struct ebuf *b = ring_at(p, idx);
        if (s->count > 0 && s->size + b->n > APPEND_SIZE_MAX) {
            return;
        }
        s->entries[s->count++] = str_make(b->bytes, b->n);
        s->size += b->n;
        s->last = b->place;
    }
}

static enum err take_from_log(struct progress *g, struct shipment *s, struct errinfo *ei)
{
    struct partition *p = g->part;
    struct repl *R = p->repl;
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, g->sent.lsn + 1);
    struct engine_row row;
    enum err e = OK;
    while (e == OK && window_is_open(g, s) && engine_iter_next(it, &row)) {
        struct entry head = {0};
        size_t total = 0;
        e = entry_peek(row.entry, &head, &total, ei);
        struct place before = s->count > 0 ? s->last : g->sent;
        if (e == OK && (head.prev_epoch != before.epoch || head.prev_lsn != before.lsn)) {
            e = err_set(ei, ERR_CORRUPT, "entry %llu does not follow %llu",
                        (unsigned long long)head.lsn, (unsigned long long)before.lsn);
        }
        if (e != OK || (s->count > 0 && s->size + row.entry.n > APPEND_SIZE_MAX)) {
            break;
        }
        s->entries[s->count++] = arena_str(&R->arena, row.entry);
        s->size += row.entry.n;
        s->last = (struct place){head.epoch, head.lsn, head.ord, head.chain};
    }
    if (e == OK) {
        e = engine_iter_err(it, ei);
    }
    engine_iter_free(it);
    return e;
}

/* One APPEND. Returns its size; 0: nothing to send now. */
static size_t send_some(struct progress *g)
{
    struct partition *p = g->part;
    struct repl *R = p->repl;
    arena_reset(&R->arena);
    struct shipment s = {
        .entries = ARENA_NEW_ARRAY(&R->arena, struct str, APPEND_ENTRIES_MAX),
        .last = g->sent,
    };
    size_t idx = 0;
    const struct ebuf *first = ring_after(p, g->sent.lsn, &idx);
    if (first != NULL && first->prev_epoch == g->sent.epoch && first->prev_lsn == g->sent.lsn) {
        take_from_ring(g, idx, &s);
    } else {
        struct errinfo ei = {0};
        enum err e = take_from_log(g, &s, &ei);
        if (e != OK) {
            part_corrupt(p, "log", &ei);
            progress_move(g, PROG_STUCK);
            return 0;
        }
    }
    if (s.count == 0) {
        return 0;
    }
    struct msg m = {.type = MSG_APPEND,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .commit_lsn = p->commit_lsn,
                    .all_lsn = p->all_lsn,
                    .entry_count = s.count,
                    .entries = s.entries};
    repl_send(R, g->peer->id, &m);
    if (list_is_empty(&g->inflight)) {
        g->progress_us = R->io.now(R->io.ctx);
        list_push_back(&g->peer->inflight, &g->inflight);
    }
    set_sent(g, s.last);
    g->inflight_size += s.size;
    g->peer->inflight_size += s.size;
    return s.size;
}

static void send_to(struct peer *peer)
{
    size_t size = 0;
    while (!list_is_empty(&peer->ready) && size < SEND_TURN_SIZE_MAX) {
        struct progress *g = LIST_ENTRY(list_pop_front(&peer->ready), struct progress, ready);
        if (g->state != PROG_STREAM || g->sent.lsn >= g->part->tail.lsn) {
            continue;
        }
        size_t n = send_some(g);
        size += n;
        if (n > 0 && g->sent.lsn < g->part->tail.lsn) {
            list_push_back(&peer->ready, &g->ready); /* the others first */
        }
        /* n == 0: the window is closed; an acknowledgement or the retry opens it. */
    }
}

void ship_send(struct repl *R)
{
    for (size_t i = 0; i < R->peer_count; i++) {
        if (R->peers[i]->is_up) {
            send_to(R->peers[i]);
        }
    }
}

void ship_tick(struct repl *R)
{
    usec now = R->io.now(R->io.ctx);
    if (now < R->retry_us) {
        return;
    }
    usec retry = R->timers.retry_ms * UINT64_C(1000);
    R->retry_us = now + retry / 4;
    for (size_t i = 0; i < R->peer_count; i++) {
        if (!R->peers[i]->is_up) {
            continue;
        }
        LIST_FOR_SAFE(l, &R->peers[i]->inflight) {
            struct progress *g = LIST_ENTRY(l, struct progress, inflight);
            usec since = g->state == PROG_STREAM ? g->progress_us : g->probed_us;
            usec wait = g->state == PROG_DIVERGED || g->state == PROG_STUCK
                            ? retry * DIVERGED_PROBE_FACTOR
                            : retry;
            /* A probe moves to the end of the list with a time later than `now`: met again, it is
             * not due. */
            if (since + wait <= now) {
                enum progress_state was = g->state;
                probe(g);
                if (was == PROG_STUCK) {
                    progress_move(g, was); /* told once */
                }
            }
        }
        LIST_FOR_SAFE(l, &R->peers[i]->copying) {
            struct progress *g = LIST_ENTRY(l, struct progress, copying);
            if (g->state == PROG_STREAM && g->copying_us + retry * COPYING_PROBE_FACTOR <= now) {
                g->copying_us = now;
                probe(g); /* its word that it is done may have been lost */
            }
        }
    }
}

void repl_lag(const struct repl *R, region_id id, struct repl_lag *ret)
{
    struct repl_lag lag = {.is_streaming = true, .has_acked = true, .has_metadata = true};
    const struct peer *peer = R->peer_by_id[id];
    if (peer == NULL) {
        *ret = (struct repl_lag){.ops = R->total_ord};
        return;
    }
    lag.acked_us = peer->acked_us;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot != NULL && p->mode->kind != REPL_WRITER) {
            continue; /* its writer knows */
        }
        const struct progress *g = p->progress[peer->slot];
        bool is_copying = !list_is_empty(&g->copying);
        lag.is_streaming = lag.is_streaming && progress_follows(g);
        lag.needs_copy = lag.needs_copy || g->state == PROG_STUCK || is_copying;
        lag.ops += p->tail.ord > g->acked_ord ? p->tail.ord - g->acked_ord : 0;
        if (g->lag_since_us != 0 && (lag.since_us == 0 || g->lag_since_us < lag.since_us)) {
            lag.since_us = g->lag_since_us;
        }
        if (g->acked < p->acked || g->acked < p->inherited) {
            lag.has_acked = false;
            lag.has_metadata = lag.has_metadata && p->pid != 0;
        }
    }
    *ret = lag;
}

/* Puts `x` in among the `n` largest, most first, of at most `max`. */
static size_t keep_largest(struct repl_part_lag *list, size_t n, size_t max, struct repl_part_lag x)
{
    size_t at = n;
    while (at > 0 && list[at - 1].ops < x.ops) {
        at--;
    }
    if (at == max) {
        return n;
    }
    n += n < max;
    memmove(&list[at + 1], &list[at], (n - at - 1) * sizeof(list[0]));
    list[at] = x;
    return n;
}

size_t repl_lags(const struct repl *R, uint64_t mask, struct repl_part_lag ret[REPL_LAGS_MAX])
{
    size_t regions = (size_t)__builtin_popcountll(mask);
    size_t each = regions == 0 || regions > REPL_LAGS_MAX ? 1 : REPL_LAGS_MAX / regions;
    size_t count = 0;
    for (size_t k = 0; k < R->peer_count && count + each <= REPL_LAGS_MAX; k++) {
        const struct peer *peer = R->peers[k];
        if ((mask >> peer->id & 1) == 0) {
            continue;
        }
        size_t n = 0;
        for (const struct partition *p = repl_next_part(R, NULL); p != NULL;
             p = repl_next_part(R, p)) {
            const struct progress *g = p->progress[peer->slot];
            if (p->mode->kind == REPL_WRITER && p->tail.ord > g->acked_ord) {
                n = keep_largest(&ret[count], n, each,
                                 (struct repl_part_lag){.region = peer->id,
                                                        .pid = p->pid,
                                                        .ops = p->tail.ord - g->acked_ord,
                                                        .ord = p->tail.ord});
            }
        }
        count += n;
    }
    return count;
}

bool repl_is_near(const struct partition *p, region_id id, usec lag_us)
{
    const struct repl *R = p->repl;
    const struct peer *peer = R->peer_by_id[id];
    if (peer == NULL || !peer->is_up || p->mode->kind != REPL_WRITER) {
        return false;
    }
    const struct progress *g = p->progress[peer->slot];
    return progress_follows(g) &&
           (g->lag_since_us == 0 || R->io.now(R->io.ctx) - g->lag_since_us < lag_us);
}

uint64_t repl_log_kept_for(const struct repl *R, region_id id)
{
    const struct peer *peer = R->peer_by_id[id];
    uint64_t sum = 0;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot != NULL && p->mode->kind != REPL_WRITER) {
            continue;
        }
        uint64_t count = p->tail.ord - p->trim.ord;
        uint64_t acked = peer != NULL ? p->progress[peer->slot]->acked_ord : 0;
        uint64_t lacks = p->tail.ord > acked ? p->tail.ord - acked : 0;
        if (count > 0) {
            sum += p->log_size / count * (lacks < count ? lacks : count);
        }
    }
    return sum;
}

/* ---- keys whose state a reader lost with its suffix ---- */

static enum err read_doc(struct repl *R, struct engine_snap *snap, pid id, struct msg_doc *d,
                         struct buf *hold, struct errinfo *ei)
{
    struct engine_doc doc = {0};
    buf_clear(hold);
    enum err e = engine_get(R->engine, snap, id, d->key.space, d->key.key, /* want_text= */ true,
                            hold, &doc, ei);
    if (e == ERR_NOT_FOUND) {
        return OK;
    }
    if (e != OK) {
        return e;
    }
    d->is_present = true;
    d->doc = doc;
    d->doc.text = arena_str(&R->arena, doc.text);
    struct str *u = ARENA_NEW_ARRAY(&R->arena, struct str, doc.version.unique_count + 1);
    for (size_t i = 0; i < doc.version.unique_count; i++) {
        u[i] = arena_str(&R->arena, doc.version.uniques[i]);
    }
    d->doc.version.uniques = u;
    return OK;
}

void ship_on_fetch(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL || m->key_count == 0) {
        return;
    }
    arena_reset(&R->arena);
    struct msg_doc *docs = ARENA_NEW_ARRAY(&R->arena, struct msg_doc, m->key_count);
    struct engine_snap *snap = engine_snap_get(R->engine);
    struct engine_part_meta meta = {0};
    struct errinfo ei = {0};
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8));
    enum err e = engine_part_meta_get(R->engine, snap, p->pid, &hold, &meta, &ei);
    size_t n = 0, size = 0;
    for (; e == OK && n < m->key_count && size < DOCS_SIZE_MAX; n++) {
        docs[n].key = m->keys[n];
        e = read_doc(R, snap, p->pid, &docs[n], &hold, &ei);
        size += docs[n].doc.text.n;
    }
    engine_snap_release(R->engine, snap);
    buf_done(&hold);
    if (e != OK) {
        if (e != ERR_NOT_FOUND) { /* the meta of a new partition is not stored yet */
            part_corrupt(p, "document", &ei);
        }
        return;
    }
    struct msg answer = {
        .type = MSG_DOCS,
        .generation = p->mode->generation,
        .pid = p->pid,
        .place = {meta.tail_epoch, meta.tail_lsn, meta.tail_ord, meta.tail_chain},
        .doc_count = n,
        .docs = docs,
    };
    R->stats.fetched += n;
    repl_send(R, from, &answer);
}
