/* The writer's side of a copy: where it begins, and the ranges that readers ask for.
 *
 * Per peer and partition a queue of questions. Pieces of them are sent in turns, while those that the
 * peer has not stored stay below the window: one per round of events. What is sent makes a round of its
 * own (the link has written it), so that sending goes on by itself until the window is full, with
 * everybody else's turn between two pieces; from one tick to the next there is an end to it, too. Each
 * piece is of one snapshot of its own. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "repl/seed_int.h"

enum {
    SCAN_MAX = 4096, /* documents looked at for one piece */
    SUM_SLOTS = 2 * MSG_SUMS_MAX,
    PIECE_COST = 1024, /* of a piece beside its documents: many empty ones fill the window, too */
    QUESTIONS_MAX = 2 * SEED_QUESTIONS_MAX,
    TICK_PIECES = 8, /* per peer and tick: 200 MB/s with ticks of 10 ms */
};

/* A sum and the place it has in the question, for finding it. */
struct seed_sum {
    bool is_used;
    uint64_t sum;
    size_t idx;
};

struct feed_question {
    struct list link; /* in seed_feed.questions, as received */
    struct arena arena;
    struct msg m; /* from: where the next piece begins. Texts and sums are in `arena` or `from` */
    char from[ENGINE_KEY_SIZE_MAX];
};

struct seed_feed {
    struct progress *g;
    struct list link; /* in peer.feeds while there are questions */
    struct list questions;
    size_t question_count;
    uint64_t first_t;   /* number of the first question since the peer began anew */
    uint64_t sent, got; /* bytes of pieces since then, and of those that are stored there */
};

uint64_t seed_doc_sum(struct str key, const struct engine_doc *d)
{
    const uint64_t v[] = {
        d->version.lsn, d->version.op_idx, d->version.expire_at, d->epoch, d->rid, d->ts,
        d->hlc,         d->origin};
    uint64_t h = str_hash(key, 1);
    h = str_hash(str_make(v, sizeof(v)), h);
    for (size_t i = 0; i < d->version.unique_count; i++) {
        h = str_hash(d->version.uniques[i], h);
    }
    return str_hash(d->text, h);
}

static void note_copying(struct progress *g)
{
    g->copying_us = g->part->repl->io.now(g->part->repl->io.ctx);
    if (list_is_empty(&g->copying)) {
        list_push_back(&g->peer->copying, &g->copying);
    }
}

void seed_send_at(struct progress *g, struct place tail)
{
    struct partition *p = g->part;
    struct repl *R = p->repl;
    /* A TAIL from before the copy may come once more and says what the peer has lost. From a place at or
     * above that the copy's own is not taken for an older one. */
    if (p->durable.lsn == 0 || p->durable.lsn < g->reach) {
        return; /* asked again */
    }
    size_t n = p->row_count;
    while (n > 0 && p->rows[n - 1].first_lsn > p->durable.lsn) {
        n--; /* an epoch whose first entry is not in storage yet */
    }
    size_t count = n < MSG_EPOCHS_MAX ? n : MSG_EPOCHS_MAX;
    struct msg m = {.type = MSG_SEED_AT,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .place = p->durable,
                    .durable = tail,
                    .row_count = count,
                    .rows = p->rows + (n - count)};
    note_copying(g);
    repl_send(R, g->peer->id, &m);
}

/* Open addressing in twice the room: where the sum is, or the free place where it would be. */
static struct seed_sum *find_sum(struct seed_sum *table, uint64_t sum)
{
    size_t at = (size_t)(sum ^ (sum >> 32)) % SUM_SLOTS;
    while (table[at].is_used && table[at].sum != sum) {
        at = (at + 1) % SUM_SLOTS;
    }
    return &table[at];
}

static struct msg_doc keep_row(struct arena *a, enum engine_space space,
                               const struct engine_row *row)
{
    struct msg_doc d = {
        .key = {space, arena_str(a, row->key)}, .is_present = true, .doc = row->doc};
    d.doc.text = arena_str(a, row->doc.text);
    struct str *u = ARENA_NEW_ARRAY(a, struct str, row->doc.version.unique_count + 1);
    for (size_t i = 0; i < row->doc.version.unique_count; i++) {
        u[i] = arena_str(a, row->doc.version.uniques[i]);
    }
    d.doc.version.uniques = u;
    return d;
}

/* `m` is the question, `out` the answer: up to `to` unless is_end. */
static enum err compare_range(struct partition *p, struct engine_snap *snap, const struct msg *m,
                              struct msg *out, size_t *ret_size, struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct seed_sum *sums = ARENA_NEW_ARRAY(&R->arena, struct seed_sum, SUM_SLOTS);
    for (size_t i = 0; i < m->sum_count; i++) {
        *find_sum(sums, m->sums[i]) = (struct seed_sum){true, m->sums[i], i};
    }
    size_t kept_size = (m->sum_count + 7) / 8;
    char *kept = (char *)arena_alloc(&R->arena, kept_size + 1);
    memset(kept, 0, kept_size + 1);
    size_t scan_max = R->timers.copy_docs_max != 0 ? R->timers.copy_docs_max : SCAN_MAX;
    struct msg_doc *docs = ARENA_NEW_ARRAY(&R->arena, struct msg_doc, SCAN_MAX);
    struct engine_iter *it =
        engine_scan_sweep(R->engine, snap, p->pid, m->space, m->from, m->is_end ? STR_NONE : m->to);
    struct engine_row row;
    size_t size = 0, looked = 0;
    out->to = m->to;
    out->is_end = m->is_end;
    while (engine_iter_next(it, &row)) {
        if (size >= SEED_SIZE_MAX || looked == scan_max) {
            out->to = arena_str(&R->arena, row.key);
            out->is_end = false;
            break;
        }
        looked++;
        const struct seed_sum *same = find_sum(sums, seed_doc_sum(row.key, &row.doc));
        if (same->is_used) {
            kept[same->idx / 8] = (char)(kept[same->idx / 8] | (1 << (same->idx % 8)));
            continue;
        }
        docs[out->doc_count++] = keep_row(&R->arena, m->space, &row);
        size += row.doc.text.n + row.key.n;
    }
    out->docs = docs;
    out->kept = str_make(kept, kept_size);
    *ret_size = size;
    enum err e = engine_iter_err(it, ei);
    engine_iter_free(it);
    return e;
}

/* The first piece of what the question still asks, in R->arena. ERR_NOT_FOUND: the partition's meta is
 * not stored yet. */
static enum err read_piece(struct partition *p, const struct msg *m, struct msg *out,
                           size_t *ret_size)
{
    struct repl *R = p->repl;
    arena_reset(&R->arena);
    struct engine_snap *snap = engine_snap_get(R->engine);
    struct engine_part_meta meta = {0};
    struct errinfo ei = {0};
    struct buf hold;
    buf_init(&hold, SEED_HOLD_SIZE_MAX);
    *out = (struct msg){.type = MSG_SEED_DOCS,
                        .generation = p->mode->generation,
                        .pid = p->pid,
                        .t = m->t,
                        .space = m->space};
    enum err e = engine_part_meta_get(R->engine, snap, p->pid, &hold, &meta, &ei);
    if (e == OK) {
        out->place = (struct place){meta.tail_epoch, meta.tail_lsn, meta.tail_ord, meta.tail_chain};
        e = compare_range(p, snap, m, out, ret_size, &ei);
    }
    engine_snap_release(R->engine, snap);
    buf_done(&hold);
    if (e != OK && e != ERR_NOT_FOUND) {
        part_corrupt(p, "document", &ei);
    }
    return e;
}

/* One answer and no more: from a program that does not know pieces. */
void seed_on_get(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL || p->is_corrupt) {
        return;
    }
    note_copying(ship_progress(p, R->peer_by_id[from]));
    struct msg out;
    size_t size = 0;
    if (read_piece(p, m, &out, &size) == OK) {
        repl_send(R, from, &out);
    }
}

/* ---- pieces ---- */

static void drop_question(struct seed_feed *f, struct feed_question *q)
{
    ASSERT(f->question_count > 0);
    f->question_count--;
    list_remove(&q->link);
    arena_done(&q->arena);
    mem_free(q);
    if (f->question_count == 0) {
        list_remove(&f->link);
    }
}

static void forget_questions(struct seed_feed *f)
{
    LIST_FOR_SAFE(l, &f->questions) {
        drop_question(f, LIST_ENTRY(l, struct feed_question, link));
    }
    ASSERT(f->sent >= f->got && f->g->peer->feed_size >= f->sent - f->got);
    f->g->peer->feed_size -= (size_t)(f->sent - f->got);
    f->sent = 0;
    f->got = 0;
}

void seed_feed_free(struct progress *g)
{
    if (g->feed != NULL) {
        forget_questions(g->feed);
        mem_free(g->feed);
        g->feed = NULL;
    }
}

/* false: nothing could be read, now or ever. */
static bool send_piece(struct seed_feed *f)
{
    struct partition *p = f->g->part;
    struct feed_question *q = LIST_ENTRY(f->questions.next, struct feed_question, link);
    struct msg out;
    size_t size = 0;
    if (p->is_corrupt || read_piece(p, &q->m, &out, &size) != OK) {
        return false;
    }
    f->sent += size + PIECE_COST;
    f->g->peer->feed_size += size + PIECE_COST;
    out.type = MSG_SEED_PIECE;
    out.from = q->m.from;
    out.sent = f->sent;
    repl_send(p->repl, f->g->peer->id, &out);
    if (out.is_end || (!q->m.is_end && str_eq(out.to, q->m.to))) {
        drop_question(f, q);
    } else {
        ASSERT(out.to.n > 0 && out.to.p != NULL); /* the key of a row */
        memcpy(q->from, out.to.p, out.to.n);
        q->m.from = str_make(q->from, out.to.n);
    }
    return true;
}

/* The next piece; of each partition in turn. */
static void feed(struct peer *peer)
{
    if (!peer->is_up || list_is_empty(&peer->feeds) || peer->feed_size >= SEED_WINDOW_MAX ||
        peer->feed_turn == TICK_PIECES) {
        return;
    }
    struct seed_feed *f = LIST_ENTRY(peer->feeds.next, struct seed_feed, link);
    list_remove(&f->link);
    list_push_back(&peer->feeds, &f->link);
    peer->feed_turn++;
    (void)send_piece(f); /* what cannot be read now is tried again */
}

static struct seed_feed *feed_of(struct progress *g)
{
    if (g->feed == NULL) {
        g->feed = MEM_NEW(struct seed_feed);
        g->feed->g = g;
        list_init(&g->feed->link);
        list_init(&g->feed->questions);
    }
    return g->feed;
}

static void add_question(struct seed_feed *f, const struct msg *m)
{
    struct feed_question *q = MEM_NEW(struct feed_question);
    list_init(&q->link);
    arena_init(&q->arena);
    memcpy(q->from, m->from.p, m->from.n);
    uint64_t *sums = ARENA_NEW_ARRAY(&q->arena, uint64_t, m->sum_count + 1);
    for (size_t i = 0; i < m->sum_count; i++) {
        sums[i] = m->sums[i];
    }
    q->m = (struct msg){.t = m->t,
                        .space = m->space,
                        .from = str_make(q->from, m->from.n),
                        .to = arena_str(&q->arena, m->to),
                        .is_end = m->is_end,
                        .sum_count = m->sum_count,
                        .sums = sums};
    list_push_back(&f->questions, &q->link);
    f->question_count++;
    if (list_is_empty(&f->link)) {
        list_push_back(&f->g->peer->feeds, &f->link);
    }
}

void seed_on_feed(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL || p->is_corrupt) {
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    struct seed_feed *f = feed_of(g);
    note_copying(g);
    if (m->is_first) {
        forget_questions(f);
        f->first_t = m->t;
    }
    if (m->t < f->first_t || f->question_count == QUESTIONS_MAX) {
        return; /* the reader notices that a range is missing */
    }
    add_question(f, m);
}

void seed_on_got(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL) {
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    struct seed_feed *f = g->feed;
    if (f == NULL || m->t < f->first_t || m->sent <= f->got || m->sent > f->sent) {
        return;
    }
    note_copying(g);
    ASSERT(g->peer->feed_size >= m->sent - f->got);
    g->peer->feed_size -= (size_t)(m->sent - f->got);
    f->got = m->sent;
}

void seed_feed_step(struct repl *R)
{
    for (size_t i = 0; i < R->peer_count; i++) {
        feed(R->peers[i]);
    }
}

void seed_feed_tick(struct repl *R)
{
    for (size_t i = 0; i < R->peer_count; i++) {
        R->peers[i]->feed_turn = 0;
    }
}

void seed_on_ask(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m)) {
        return;
    }
    if (p == NULL) {
        if (map_get(&R->dropped, str_make(&m->pid, sizeof(m->pid))) == NULL) {
            ship_send_branch(R, from, m->pid, (struct place){0}, (struct place){0},
                             /* is_unknown= */ true);
        }
        return;
    }
    struct progress *g = ship_progress(p, R->peer_by_id[from]);
    g->acked = 0; /* its log is gone, and the copy may begin below what it had */
    g->acked_ord = 0;
    ship_stuck(g, (struct place){0});
}

void seed_on_done(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (ship_is_for_me(R, m) && p != NULL) {
        struct progress *g = ship_progress(p, R->peer_by_id[from]);
        /* Said with every tail: one that was sent before we asked for a copy says nothing. */
        if (g->state == PROG_STREAM) {
            list_remove(&g->copying);
            seed_feed_free(g);
        }
    }
}
