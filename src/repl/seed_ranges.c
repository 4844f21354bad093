/* The reader's side of a copy: ranges are asked for ahead of the cursor, in key order, and the pieces
 * that come are put in one after the other (seed.c says why that is right).
 *
 * A piece belongs to the first range not yet copied and begins at the cursor, or it is dropped. So
 * whatever is lost or comes twice on the way shows as silence, and after a while everything from the
 * cursor on is asked for again. Links break while answers are on their way, and those to an earlier copy
 * may come then: no two questions have the same number. Nor does a piece count whose snapshot lacks
 * entries that our log had before it was remembered what entries touch (a writer sends what it has not
 * stored yet).
 *
 * A writer of an older program skips SEED_FEED. When the first one stays unanswered, SEED_GET asks for
 * one range at a time, which older programs answer. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "repl/seed_int.h"

enum {
    SUMS_LOCAL_MAX = 1024,               /* documents compared by one question */
    SUMS_SIZE_MAX = 1 << 20,             /* same, their texts */
    HELD_SIZE_MAX = 2 * SEED_WINDOW_MAX, /* pieces that wait; more are dropped */
    ASK_TURN_MAX = 2,                    /* questions per step: each reads what is here */
    ROW_COST = 256,                      /* of a document's rows in a batch, beside key and text */
    RETRY_FACTOR = 4,
    PARALLEL_MAX = 4, /* partitions that ask at a time */
    SINGLE_MAX = 64,  /* ranges asked for one at a time before pieces are tried again */
};
STATIC_ASSERT((int)SUMS_LOCAL_MAX <= (int)MSG_SUMS_MAX, "a question fits into its message");

/* ---- what was asked ---- */

static void drop_question(struct partition *p, struct seed_question *q)
{
    ASSERT(p->seed->question_count > 0);
    ASSERT(p->repl->seed_asked > 0);
    p->seed->question_count--;
    p->repl->seed_asked--;
    p->repl->seed_active -= p->seed->question_count == 0;
    list_remove(&q->link);
    arena_done(&q->arena);
    mem_free(q);
}

static struct seed_question *first_question(const struct seed *s)
{
    return list_is_empty(&s->questions) ? NULL
                                        : LIST_ENTRY(s->questions.next, struct seed_question, link);
}

static void drop_held(struct seed *s, struct seed_held *h)
{
    ASSERT(s->held_size >= h->frame.n);
    s->held_size -= h->frame.n;
    list_remove(&h->link);
    buf_done(&h->frame);
    mem_free(h);
}

void seed_ranges_forget(struct partition *p)
{
    struct seed *s = p->seed;
    LIST_FOR_SAFE(l, &s->questions) {
        drop_question(p, LIST_ENTRY(l, struct seed_question, link));
    }
    LIST_FOR_SAFE(l, &s->held) {
        drop_held(s, LIST_ENTRY(l, struct seed_held, link));
    }
}

/* From the cursor on again. */
static void ask_anew(struct partition *p)
{
    struct seed *s = p->seed;
    seed_ranges_forget(p);
    s->look_space = s->space;
    memcpy(s->look, s->cursor, s->cursor_size);
    s->look_size = s->cursor_size;
    s->is_asked_all = false;
    s->is_first = true;
    memset(s->got, 0, sizeof(s->got));
}

/* ---- asking ---- */

static struct seed_key keep_key(struct arena *a, const struct engine_row *row)
{
    struct seed_key k = {arena_str(a, row->key), seed_doc_sum(row->key, &row->doc),
                         row->doc.version};
    struct str *u = NULL;
    if (k.version.unique_count > 0) {
        u = ARENA_NEW_ARRAY(a, struct str, k.version.unique_count);
    }
    for (size_t i = 0; i < k.version.unique_count; i++) {
        u[i] = arena_str(a, row->doc.version.uniques[i]);
    }
    k.version.uniques = u;
    return k;
}

/* Documents here from `look` on that no entry has touched, and where the range of them ends. false:
 * storage failed. */
static bool look_here(struct partition *p, struct seed_question *q)
{
    struct repl *R = p->repl;
    const struct seed *s = p->seed;
    size_t most = R->timers.copy_docs_max != 0 ? R->timers.copy_docs_max : SUMS_LOCAL_MAX;
    struct engine_iter *it = engine_scan_sweep(R->engine, NULL, p->pid, q->space,
                                               str_make(s->look, s->look_size), STR_NONE);
    struct engine_row row;
    size_t size = 0, cap = 0;
    q->is_end = true;
    while (engine_iter_next(it, &row)) {
        if (q->key_count >= most || size >= SUMS_SIZE_MAX) {
            q->to = arena_str(&q->arena, row.key);
            q->is_end = false;
            break;
        }
        size += row.doc.text.n;
        if (seed_is_touched(s, q->space, row.key)) {
            continue;
        }
        if (cap == 0) {
            cap = most < SUMS_LOCAL_MAX ? most : SUMS_LOCAL_MAX;
            q->keys = ARENA_NEW_ARRAY(&q->arena, struct seed_key, cap);
        }
        ASSERT(q->key_count < cap);
        q->keys[q->key_count++] = keep_key(&q->arena, &row);
    }
    struct errinfo ei = {0};
    enum err e = engine_iter_err(it, &ei);
    engine_iter_free(it);
    if (e != OK) {
        part_corrupt(p, "document", &ei);
    }
    return e == OK;
}

static void send_question(struct partition *p, struct seed_question *q)
{
    struct seed *s = p->seed;
    struct repl *R = p->repl;
    uint64_t *sums = ARENA_NEW_ARRAY(&q->arena, uint64_t, q->key_count + 1);
    for (size_t i = 0; i < q->key_count; i++) {
        sums[i] = q->keys[i].sum;
    }
    struct msg m = {.type = s->is_single ? MSG_SEED_GET : MSG_SEED_FEED,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .t = q->t,
                    .space = q->space,
                    .from = str_make(s->look, s->look_size),
                    .to = q->to,
                    .is_end = q->is_end,
                    .is_first = s->is_first,
                    .sum_count = q->key_count,
                    .sums = sums};
    repl_send(R, p->mode->writer, &m);
    s->is_first = false;
}

static bool ask_next(struct partition *p)
{
    struct seed *s = p->seed;
    size_t most = s->is_single || p->repl->seed_asked >= SEED_AHEAD_MAX ? 1 : SEED_QUESTIONS_MAX;
    if (s->is_asked_all || s->question_count >= most) {
        return false;
    }
    if (s->question_count == 0) {
        s->heard_us = p->repl->io.now(p->repl->io.ctx);
    }
    struct seed_question *q = MEM_NEW(struct seed_question);
    list_init(&q->link);
    list_push_back(&s->questions, &q->link);
    p->repl->seed_active += s->question_count == 0;
    s->question_count++;
    p->repl->seed_asked++;
    arena_init(&q->arena);
    q->t = ++p->repl->seed_request;
    s->request = q->t;
    q->space = s->look_space;
    if (!look_here(p, q)) {
        seed_ranges_forget(p);
        return false;
    }
    send_question(p, q);
    if (!q->is_end) {
        memcpy(s->look, q->to.p, q->to.n);
        s->look_size = q->to.n;
    } else {
        s->look_size = 0;
        s->is_asked_all = s->look_space + 1 == SPACE_COUNT;
        s->look_space = (enum engine_space)(s->look_space + !s->is_asked_all);
    }
    return true;
}

static void ask_ahead(struct partition *p)
{
    for (size_t i = 0; i < ASK_TURN_MAX && !p->is_corrupt && ask_next(p); i++) {
        /* one after the other */
    }
}

/* ---- putting in ---- */

/* Is it the next piece of what we asked, and does it say something about all of it? */
static bool is_next(const struct seed *s, const struct msg *m)
{
    const struct seed_question *q = first_question(s);
    struct str cursor = str_make(s->cursor, s->cursor_size);
    if (q == NULL || m->t != q->t || m->place.lsn < s->base || m->space != q->space ||
        q->space != s->space || m->kept.n != (q->key_count + 7) / 8 ||
        (m->type == MSG_SEED_PIECE && !str_eq(m->from, cursor))) {
        return false;
    }
    bool is_forward = m->is_end ? q->is_end
                                : m->to.n > 0 && m->to.n <= sizeof(s->cursor) &&
                                      str_cmp(m->to, cursor) > 0 &&
                                      (q->is_end || str_cmp(m->to, q->to) <= 0);
    for (size_t i = 0; is_forward && i < m->doc_count; i++) {
        struct str key = m->docs[i].key.key;
        is_forward = m->docs[i].is_present && m->docs[i].key.space == q->space &&
                     str_cmp(key, cursor) >= 0 && (m->is_end || str_cmp(key, m->to) < 0) &&
                     (i == 0 || str_cmp(key, m->docs[i - 1].key.key) > 0);
    }
    return is_forward;
}

/* What is here below `end` (empty: all that the question has) and not right goes. */
static void drop_differing(struct partition *p, struct seed_question *q, const struct msg *m,
                           struct str end)
{
    struct seed *s = p->seed;
    for (; q->next_key < q->key_count && !p->is_corrupt; q->next_key++) {
        size_t i = q->next_key;
        const struct seed_key *k = &q->keys[i];
        if (end.n > 0 && str_cmp(k->key, end) >= 0) {
            return;
        }
        bool is_kept = (m->kept.p[i / 8] & (1 << (i % 8))) != 0;
        s->kept += is_kept;
        if (!is_kept && !seed_is_touched(s, q->space, k->key)) {
            seed_replace(p, q->space, k->key, &k->version, NULL);
        }
    }
}

/* The version here of a key that drop_differing has come to. What was read for the question still is
 * in storage, unless an entry has touched it. */
static const struct engine_version *version_here(struct seed_question *q, struct str key)
{
    if (q->next_key == q->key_count || !str_eq(q->keys[q->next_key].key, key)) {
        return NULL;
    }
    return &q->keys[q->next_key++].version;
}

/* About what the documents of a piece take in a batch. */
static size_t rows_size(const struct msg *m)
{
    size_t size = 0;
    for (size_t i = 0; i < m->doc_count; i++) {
        size += ROW_COST + 2 * m->docs[i].key.key.n + m->docs[i].doc.text.n;
    }
    return size;
}

static void put_docs(struct partition *p, struct seed_question *q, const struct msg *m)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    engine_batch_reserve(repl_batch(R), rows_size(m));
    for (size_t i = 0; i < m->doc_count && !p->is_corrupt; i++) {
        const struct msg_doc *d = &m->docs[i];
        drop_differing(p, q, m, d->key.key);
        const struct engine_version *old = version_here(q, d->key.key);
        if (seed_is_touched(s, s->space, d->key.key)) {
            continue;
        }
        seed_replace(p, s->space, d->key.key, old, &d->doc);
        if (s->space == SPACE_ITEM) {
            ttl_note(p, d->doc.version.expire_at);
        }
        R->stats.seeded_size += d->doc.text.n;
    }
    drop_differing(p, q, m, m->is_end ? STR_NONE : m->to);
    R->stats.seeded += m->doc_count;
    s->copied += m->doc_count;
    (void)repl_batch(R);
    part_touch(p);
}

/* A piece is confirmed once it is in storage: the writer's window bounds what a slow disk has before it. */
static void confirm(struct partition *p)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    if (s->got[0].ticket == 0 || R->done_ticket < s->got[0].ticket) {
        return;
    }
    struct msg got = {.type = MSG_SEED_GOT,
                      .generation = p->mode->generation,
                      .pid = p->pid,
                      .t = s->got[0].t,
                      .sent = s->got[0].sent};
    s->got[0] = s->got[1];
    s->got[1].ticket = 0;
    repl_send(R, p->mode->writer, &got);
}

/* The cursor moves behind the piece. */
static void advance(struct partition *p, struct seed_question *q, const struct msg *m)
{
    struct seed *s = p->seed;
    bool is_done = m->is_end || (!q->is_end && str_eq(m->to, q->to));
    if (!m->is_end) {
        memcpy(s->cursor, m->to.p, m->to.n);
        s->cursor_size = m->to.n;
    } else {
        s->cursor_size = 0;
        if (s->space + 1 == SPACE_COUNT) {
            seed_finish(p);
            return;
        }
        s->space = (enum engine_space)(s->space + 1);
    }
    seed_prune_touched(p);
    if (is_done) {
        drop_question(p, q);
    } else if (s->is_single) {
        ask_anew(p); /* nothing more comes to this one */
    }
    if (s->is_single && ++s->single_count == SINGLE_MAX) {
        s->is_single = false;
        ask_anew(p);
    }
}

/* true: it was the next piece and is in the batch. */
static bool put_in(struct partition *p, const struct msg *m)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    if (p->is_corrupt || !is_next(s, m)) {
        return false;
    }
    struct seed_question *q = first_question(s);
    ASSERT(q != NULL);
    s->heard_us = R->io.now(R->io.ctx);
    put_docs(p, q, m);
    if (p->is_corrupt) {
        return false; /* all of it is copied anew: see repair.c */
    }
    if (m->type == MSG_SEED_PIECE) {
        struct seed_got *got = &s->got[s->got[0].ticket != 0];
        *got = (struct seed_got){.ticket = R->next_ticket, .t = m->t, .sent = m->sent};
    }
    advance(p, q, m);
    if (R->batch != NULL && engine_batch_size(R->batch) >= BATCH_SIZE_FLUSH) {
        repl_submit(R);
    }
    return true;
}

static bool is_due(const struct partition *p, lsn at)
{
    return p->tail.lsn >= at;
}

static void hold(struct partition *p, const struct msg *m)
{
    struct seed *s = p->seed;
    if (s->held_size >= HELD_SIZE_MAX) {
        return;
    }
    struct seed_held *h = MEM_NEW(struct seed_held);
    list_init(&h->link);
    list_push_back(&s->held, &h->link);
    buf_init(&h->frame, MSG_FRAME_SIZE_MAX);
    msg_frame_begin(&h->frame, p->mode->writer, p->repl->self);
    msg_encode(&h->frame, m);
    h->lsn = m->place.lsn;
    s->held_size += h->frame.n;
}

void seed_on_docs(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || !apply_is_from_writer(R, from, m) || !apply_is_matched(p) || !seed_is_on(p) ||
        p->div.state != DIV_NONE) {
        return;
    }
    struct seed *s = p->seed;
    const struct seed_question *q = first_question(s);
    bool is_piece = m->type == MSG_SEED_PIECE;
    if (q == NULL || m->t < q->t || m->t > s->request || is_piece == s->is_single) {
        return; /* an answer to what was given up */
    }
    confirm(p);
    R->feeder = is_piece ? p->mode->generation : R->feeder;
    if (!list_is_empty(&s->held) || !is_due(p, m->place.lsn)) {
        hold(p, m);
    } else if (put_in(p, m) && p->seed != NULL) {
        ask_ahead(p);
    }
}

/* The first piece that waits, once it is due. false: none, or not yet. */
static bool put_held(struct partition *p)
{
    struct seed *s = p->seed;
    if (list_is_empty(&s->held)) {
        return false;
    }
    struct seed_held *h = LIST_ENTRY(s->held.next, struct seed_held, link);
    if (!is_due(p, h->lsn)) {
        return false;
    }
    struct buf frame = h->frame; /* putting in may forget what waits */
    s->held_size -= frame.n;
    list_remove(&h->link);
    mem_free(h);
    struct msg_reader r;
    struct msg m = {0};
    struct errinfo ei = {0};
    struct arena a;
    arena_init(&a);
    enum err e = msg_frame_open(buf_str(&frame), &r, &ei);
    if (e == OK) {
        e = msg_next(&r, &a, &m, &ei);
    }
    ASSERT(e == OK); /* we encoded it */
    ASSERT(m.type == MSG_SEED_DOCS || m.type == MSG_SEED_PIECE);
    (void)put_in(p, &m); /* one that does not follow is dropped */
    arena_done(&a);
    buf_done(&frame);
    return true;
}

void seed_ranges_step(struct partition *p)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    confirm(p);
    while (put_held(p)) {
        if (p->seed == NULL || p->is_corrupt) {
            return;
        }
    }
    usec silent = R->io.now(R->io.ctx) - s->heard_us;
    bool is_lost =
        list_is_empty(&s->held) && silent >= R->timers.retry_ms * UINT64_C(1000) * RETRY_FACTOR;
    if (s->question_count > 0 && is_lost) {
        s->is_single = R->feeder != p->mode->generation && !s->is_single;
        s->single_count = 0;
        seed_ranges_forget(p);
        list_remove(&s->link); /* others first */
        list_push_back(&R->seed_list, &s->link);
    }
    if (s->question_count > 0) {
        ask_ahead(p);
    } else if (R->seed_active < PARALLEL_MAX) {
        ask_anew(p);
        ask_ahead(p);
    }
}
