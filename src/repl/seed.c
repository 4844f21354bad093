/* A copy of all data of a partition: for a region that is new, or away for longer than the log was
 * kept. What is there already is compared by checksums, only what differs is sent.
 *
 *   reader                                      writer
 *   TAIL: in our history, below what is trimmed
 *                       <---------------------- SEED_AT(place S, epoch table): copy from there
 *   own log deleted (the writer's history has all of it), then in one batch: log ends at S,
 *   marked as a copy under way
 *   TAIL(S) --------------------------------->  matched: entries after S stream as usual
 *   SEED_GET(range, a checksum per document) -> one snapshot at place T:
 *                       <---------------------- SEED_DOCS: which of them are right, the others whole
 *   ... range by range, in key order, until the end
 *   SEED_DONE --------------------------------> may be counted as complete again
 *
 * The log moves on while ranges are copied. Keys below the cursor are copied: entries are applied to
 * them as always. A key from the cursor on that an entry touches is right from that moment: the entry
 * replaces whatever is there, the key is remembered as touched, and the range that comes later leaves
 * it alone. A range is put in once our log has reached its snapshot (T); every difference between T
 * and our tail then lies in touched keys.
 *
 * Only a reader that has nothing to lose is copied over: a suffix that the writer lacks goes the way
 * of conflict.c first. A copy under way is marked in the partition's meta; the cursor is not: after a
 * restart checksums find what is there already. When a failover takes back the place S itself, what
 * was received of its log is sent like any suffix, and the copy begins anew. */
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum {
    SEED_PARALLEL_MAX = 4,      /* partitions that ask at a time */
    SEED_SUMS_LOCAL_MAX = 1024, /* documents compared by one request */
    SEED_PURGE_MAX = 8192,      /* log entries deleted in one batch */
    SEED_SCAN_MAX = 4096,       /* documents looked at for one answer */
    SUM_SLOTS = 2 * MSG_SUMS_MAX,
    SEED_RETRY_FACTOR = 4,
    TOUCHED_PRUNE_MIN = 4096,
    HOLD_SIZE_MAX = ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8),
};

struct seed_key {
    struct str key;
    uint64_t sum;
};

/* A sum and the place it has in the question, for finding it. */
struct seed_sum {
    bool is_used;
    uint64_t sum;
    size_t idx;
};

struct seed {
    struct partition *part;
    bool is_on;       /* the log ends at or after S: the copy is under way, also in storage */
    bool is_jump_due; /* told where to copy from, not there yet */
    struct place at;
    size_t row_count;
    struct epoch_row rows[MSG_EPOCHS_MAX];

    enum engine_space space; /* the cursor: keys below it are copied */
    char cursor[ENGINE_KEY_SIZE_MAX];
    size_t cursor_size;
    uint64_t request; /* number of the last range asked for */
    usec sent_us;     /* 0 = no answer is awaited */
    struct arena arena;
    size_t key_count; /* what is here in the range asked for */
    struct seed_key *keys;
    struct buf held; /* an answer that waits until our tail reaches its snapshot */
    lsn held_lsn;

    struct map touched; /* (space, key) from the cursor on that entries have decided about */
    size_t touched_max; /* pruned above this */
    struct map uniques; /* unique keys given to someone since the process has been copying */
    uint64_t copied, kept;
    usec began_us;
    struct list link; /* in repl.seed_list */
};

/* ---- life ---- */

static struct seed *seed_new(struct partition *p)
{
    struct seed *s = MEM_NEW(struct seed);
    arena_init(&s->arena);
    buf_init(&s->held, MSG_FRAME_SIZE_MAX);
    map_init(&s->touched);
    map_init(&s->uniques);
    s->touched_max = TOUCHED_PRUNE_MIN;
    s->began_us = p->repl->io.now(p->repl->io.ctx);
    list_init(&s->link);
    list_push_back(&p->repl->seed_list, &s->link);
    p->seed = s;
    s->part = p;
    return s;
}

void seed_free(struct partition *p)
{
    struct seed *s = p->seed;
    if (s == NULL) {
        return;
    }
    p->repl->seed_count -= s->is_on;
    list_remove(&s->link);
    arena_done(&s->arena);
    buf_done(&s->held);
    map_done(&s->touched);
    map_done(&s->uniques);
    mem_free(s);
    p->seed = NULL;
}

static void set_on(struct partition *p)
{
    p->repl->seed_count += !p->seed->is_on;
    p->seed->is_on = true;
    part_set_flags(p);
}

void seed_load(struct partition *p)
{
    (void)seed_new(p);
    set_on(p);
}

bool seed_is_on(const struct partition *p)
{
    return p->seed != NULL && p->seed->is_on;
}

static void forget_request(struct seed *s)
{
    s->sent_us = 0;
    s->key_count = 0;
    s->keys = NULL;
    arena_reset(&s->arena);
    buf_clear(&s->held);
}

/* Another writer or generation: what the one before has said or promised counts no more. */
void seed_forget(struct partition *p)
{
    if (p->seed == NULL) {
        return;
    }
    if (!p->seed->is_on) {
        seed_free(p);
        return;
    }
    p->seed->is_jump_due = false;
    forget_request(p->seed);
}

/* From the first key again; only while nothing of the partition is on its way to storage. */
void seed_restart(struct partition *p)
{
    struct seed *s = p->seed;
    forget_request(s);
    s->space = SPACE_ITEM;
    s->cursor_size = 0;
    map_clear(&s->touched);
    map_clear(&s->uniques);
}

/* ---- reader: keys that entries decide about meanwhile ---- */

bool seed_is_ahead(const struct partition *p, enum engine_space space, struct str key)
{
    const struct seed *s = p->seed;
    if (!seed_is_on(p) || space < s->space) {
        return false;
    }
    return space > s->space || str_cmp(key, str_make(s->cursor, s->cursor_size)) >= 0;
}

static bool is_touched(const struct seed *s, enum engine_space space, struct str key)
{
    char hold[PART_KEY_SIZE_MAX];
    return s->touched.count > 0 && map_get(&s->touched, part_key(hold, space, key)) != NULL;
}

void seed_note_uniques(struct partition *p, const struct engine_version *v)
{
    for (size_t i = 0; seed_is_on(p) && i < v->unique_count; i++) {
        (void)map_put(&p->seed->uniques, v->uniques[i], &p->repl->mark);
    }
}

/* A version left here from before the copy loses its unique keys only where nobody else has been
 * given them since: their rows are that document's. */
static enum err still_its_own(struct partition *p, struct str key, struct engine_version *v,
                              struct str kept[ENGINE_UNIQUE_MAX], struct errinfo *ei)
{
    size_t n = 0;
    struct buf owner;
    buf_init(&owner, ENGINE_KEY_SIZE_MAX);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < v->unique_count; i++) {
        if (map_get(&p->seed->uniques, v->uniques[i]) != NULL) {
            continue;
        }
        buf_clear(&owner);
        e = engine_unique_get(p->repl->engine, NULL, p->pid, v->uniques[i], &owner, ei);
        if (e == OK && str_eq(buf_str(&owner), key)) {
            kept[n++] = v->uniques[i];
        } else if (e == ERR_NOT_FOUND) {
            e = OK;
        }
    }
    buf_done(&owner);
    v->uniques = kept;
    v->unique_count = n;
    return e;
}

/* The version in storage of a key that no entry has touched since the copy began; lsn 0 = none.
 * `hold` and `uniques` own what it points into. */
static enum err stale_version(struct partition *p, enum engine_space space, struct str key,
                              struct buf *hold, struct str uniques[ENGINE_UNIQUE_MAX],
                              struct engine_version *ret, struct errinfo *ei)
{
    struct engine_doc doc = {0};
    buf_clear(hold);
    enum err e = engine_get(p->repl->engine, NULL, p->pid, space, key, /* want_text= */ false, hold,
                            &doc, ei);
    if (e == ERR_NOT_FOUND) {
        *ret = (struct engine_version){0};
        return OK;
    }
    if (e == OK) {
        *ret = doc.version;
        e = still_its_own(p, key, ret, uniques, ei);
    }
    return e;
}

/* Before the first entry on a key that is not copied yet is applied: what is there goes. Counters
 * follow. Later entries on it replace what their history says. true: it was the first. */
bool seed_touch(struct partition *p, enum engine_space space, struct str key)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    if (is_touched(s, space, key)) {
        return false;
    }
    char hold[PART_KEY_SIZE_MAX];
    (void)map_put(&s->touched, part_key(hold, space, key), &R->mark);
    seed_drop_stale(p, space, key);
    return true;
}

void seed_drop_stale(struct partition *p, enum engine_space space, struct str key)
{
    struct errinfo ei = {0};
    struct engine_version old = {0};
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct buf doc;
    buf_init(&doc, HOLD_SIZE_MAX);
    enum err e = stale_version(p, space, key, &doc, uniques, &old, &ei);
    if (e != OK) {
        part_corrupt(p, "document", &ei);
    } else if (old.lsn != 0) {
        engine_batch_delete(repl_batch(p->repl), p->pid, space, key, &old);
        part_count_doc(p, space, &old, NULL);
    }
    buf_done(&doc);
}

static void prune_touched(struct partition *p)
{
    struct seed *s = p->seed;
    if (s->touched.count < s->touched_max) {
        return;
    }
    for (struct map_entry *e = map_first(&s->touched); e != NULL;) {
        struct map_entry *next = map_next(e);
        struct str k = map_key(e);
        if (!seed_is_ahead(p, (enum engine_space)(unsigned char)k.p[0],
                           str_make(k.p + 1, k.n - 1))) {
            (void)map_remove(&s->touched, k);
        }
        e = next;
    }
    s->touched_max =
        s->touched.count * 2 < TOUCHED_PRUNE_MIN ? TOUCHED_PRUNE_MIN : s->touched.count * 2;
}

/* ---- reader: the jump ---- */

void seed_on_at(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || !apply_is_from_writer(R, from, m) || p->div.state != DIV_NONE ||
        p->is_corrupt || !place_same(m->durable, p->tail) || m->place.ord <= p->tail.ord ||
        m->row_count == 0 || m->rows[m->row_count - 1].epoch != m->place.epoch ||
        m->rows[m->row_count - 1].first_lsn > m->place.lsn) {
        return;
    }
    if (p->seed == NULL) {
        (void)seed_new(p);
        repl_event(R, EVENT_SEED,
                   "partition=%llu what=\"full copy begins\" at_lsn=%llu had_lsn=%llu",
                   (unsigned long long)p->pid, (unsigned long long)m->place.lsn,
                   (unsigned long long)p->tail.lsn);
    }
    struct seed *s = p->seed;
    s->is_jump_due = true;
    s->at = m->place;
    s->row_count = m->row_count;
    memcpy(s->rows, m->rows, m->row_count * sizeof(m->rows[0]));
    seed_step(p);
}

/* Deletes a slice of the log: all of it is in the writer's history, and below what it keeps. True
 * when nothing is left. */
static bool purge_log(struct partition *p)
{
    struct repl *R = p->repl;
    if (p->first_lsn == 0) {
        return true;
    }
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, p->first_lsn);
    struct engine_row row;
    struct errinfo ei = {0};
    enum err e = OK;
    size_t n = 0;
    p->first_lsn = 0;
    while (e == OK && engine_iter_next(it, &row)) {
        struct entry head = {0};
        size_t total = 0;
        if (n == SEED_PURGE_MAX) {
            p->first_lsn = row.lsn;
            break;
        }
        e = entry_peek(row.entry, &head, &total, &ei);
        engine_batch_log_delete(repl_batch(R), p->pid, row.lsn);
        p->trim = (struct place){head.epoch, head.lsn, head.ord, head.chain};
        part_log_shrunk(p, row.entry.n);
        part_touch(p);
        n++;
    }
    KEEP_FIRST(e, engine_iter_err(it, &ei));
    engine_iter_free(it);
    if (e != OK) {
        part_corrupt(p, "log", &ei);
        return false;
    }
    if (n > 0) {
        ring_clear(p);
    }
    return p->first_lsn == 0;
}

static void clear_dirty(struct partition *p)
{
    for (struct map_entry *e = map_first(&p->dirty); e != NULL;) {
        struct map_entry *next = map_next(e);
        struct str k = map_key(e);
        apply_forget_dirty(p, (enum engine_space)(unsigned char)k.p[0], str_make(k.p + 1, k.n - 1));
        e = next;
    }
}

/* The log ends at `at` from here on, with an epoch table that says how the history came there. */
static void set_log_end(struct partition *p, struct place at, const struct epoch_row *rows,
                        size_t n)
{
    struct repl *R = p->repl;
    R->total_ord = R->total_ord - p->tail.ord + at.ord;
    p->tail = at;
    p->trim = at;
    p->first_lsn = 0;
    part_log_shrunk(p, p->log_size);
    mem_free(p->rows);
    p->rows = MEM_NEW_ARRAY(struct epoch_row, n + 1);
    p->row_cap = n + 1;
    p->row_count = n;
    if (n > 0) {
        memcpy(p->rows, rows, n * sizeof(rows[0]));
    }
    p->ack_sent_lsn = 0;
    p->matched = 0;
    p->tail_sent_us = 0;
    if (list_is_empty(&p->unmatched)) {
        list_push_back(&R->unmatched, &p->unmatched);
    }
    (void)repl_batch(R);
    part_touch(p);
}

static void jump(struct partition *p)
{
    struct seed *s = p->seed;
    s->is_jump_due = false;
    if (s->at.ord <= p->tail.ord) {
        seed_forget(p); /* entries came meanwhile: not so far behind after all */
        return;
    }
    set_on(p);
    seed_restart(p);
    clear_dirty(p);
    buf_clear(&p->held_docs);
    set_log_end(p, s->at, s->rows, s->row_count);
    repl_submit(p->repl);
}

/* A failover took back the place that the log here begins at, and no entry of the lost history is
 * left: the copy begins anew, from nothing but what the documents are. */
static void reset(struct partition *p)
{
    seed_restart(p);
    clear_dirty(p);
    set_log_end(p, (struct place){0}, NULL, 0);
    p->durable = p->tail;
    p->commit_lsn = 0;
    p->all_lsn = 0;
    repl_submit(p->repl);
}

/* The writer's history and ours part below S. What we were sent of the lost one goes to it like any
 * suffix, then all begins anew. */
void seed_on_branch(struct partition *p)
{
    if (p->seed == NULL) {
        (void)seed_new(p);
    }
    p->seed->is_jump_due = false;
    set_on(p);
    repl_event(p->repl, EVENT_SEED,
               "partition=%llu what=\"the place of the copy was lost in a failover\" at_lsn=%llu",
               (unsigned long long)p->pid, (unsigned long long)p->trim.lsn);
    if (p->tail.lsn > p->trim.lsn) {
        conflict_begin(p, p->trim);
    } else if (p->inflight_count == 0 && list_is_empty(&p->touched) && p->tail.lsn != 0) {
        reset(p);
    } else {
        p->tail_sent_us = 0; /* asked again */
    }
}

bool seed_ask(struct partition *p)
{
    if (!seed_is_on(p) || p->tail.lsn != 0) {
        return false;
    }
    struct msg m = {.type = MSG_SEED_ASK, .generation = p->repl->mode.generation, .pid = p->pid};
    repl_send(p->repl, p->repl->mode.writer, &m);
    return true;
}

/* ---- reader: ranges ---- */

static uint64_t doc_sum(struct str key, const struct engine_doc *d)
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

/* Documents here from the cursor on that no entry has touched, and where the range of them ends.
 * false: storage failed. */
static bool look_here(struct partition *p, struct str *ret_to, bool *ret_is_end)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    struct str from = str_make(s->cursor, s->cursor_size);
    struct engine_iter *it = engine_scan(R->engine, NULL, p->pid, s->space, from, STR_NONE);
    struct engine_row row;
    size_t size = 0;
    arena_reset(&s->arena);
    s->keys = ARENA_NEW_ARRAY(&s->arena, struct seed_key, SEED_SUMS_LOCAL_MAX);
    s->key_count = 0;
    *ret_is_end = true;
    while (engine_iter_next(it, &row)) {
        if (s->key_count == SEED_SUMS_LOCAL_MAX || size >= SEED_SIZE_MAX) {
            *ret_to = arena_str(&s->arena, row.key);
            *ret_is_end = false;
            break;
        }
        size += row.doc.text.n;
        if (!is_touched(s, s->space, row.key)) {
            s->keys[s->key_count++] =
                (struct seed_key){arena_str(&s->arena, row.key), doc_sum(row.key, &row.doc)};
        }
    }
    struct errinfo ei = {0};
    enum err e = engine_iter_err(it, &ei);
    engine_iter_free(it);
    if (e != OK) {
        part_corrupt(p, "document", &ei);
    }
    return e == OK;
}

static void ask_range(struct partition *p)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    struct str to = STR_NONE;
    bool is_end = false;
    forget_request(s);
    if (!look_here(p, &to, &is_end)) {
        return;
    }
    uint64_t *sums = ARENA_NEW_ARRAY(&s->arena, uint64_t, s->key_count + 1);
    for (size_t i = 0; i < s->key_count; i++) {
        sums[i] = s->keys[i].sum;
    }
    struct msg m = {.type = MSG_SEED_GET,
                    .generation = R->mode.generation,
                    .pid = p->pid,
                    .t = ++s->request,
                    .space = s->space,
                    .from = str_make(s->cursor, s->cursor_size),
                    .to = to,
                    .is_end = is_end,
                    .sum_count = s->key_count,
                    .sums = sums};
    s->sent_us = R->io.now(R->io.ctx);
    repl_send(R, R->mode.writer, &m);
}

static void send_done(struct partition *p)
{
    struct msg m = {.type = MSG_SEED_DONE, .generation = p->repl->mode.generation, .pid = p->pid};
    repl_send(p->repl, p->repl->mode.writer, &m);
}

void seed_tell(struct partition *p)
{
    if (!seed_is_on(p) && p->tail.lsn != 0) {
        send_done(p);
    }
}

/* Everything is as the log says. Readable once the last of it is in storage. */
static void finish(struct partition *p)
{
    struct repl *R = p->repl;
    const struct seed *s = p->seed;
    repl_event(R, EVENT_SEED,
               "partition=%llu what=\"full copy complete\" copied=%llu kept=%llu took_ms=%llu",
               (unsigned long long)p->pid, (unsigned long long)s->copied,
               (unsigned long long)s->kept,
               (unsigned long long)((R->io.now(R->io.ctx) - s->began_us) / 1000));
    seed_free(p);
    (void)repl_batch(R);
    part_touch(p);
    p->dirty_ticket = R->next_ticket;
    part_set_flags(p);
    send_done(p);
}

static void advance(struct partition *p, const struct msg *m)
{
    struct seed *s = p->seed;
    forget_request(s);
    if (!m->is_end) {
        memcpy(s->cursor, m->to.p, m->to.n);
        s->cursor_size = m->to.n;
        prune_touched(p);
    } else if (s->space + 1 < SPACE_COUNT) {
        s->space = (enum engine_space)(s->space + 1);
        s->cursor_size = 0;
        prune_touched(p);
    } else {
        finish(p);
        return;
    }
    ask_range(p);
}

static void install(struct partition *p, const struct msg *m)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    for (size_t i = 0; i < s->key_count; i++) {
        const struct seed_key *k = &s->keys[i];
        bool is_in = m->is_end || str_cmp(k->key, m->to) < 0;
        bool is_kept = is_in && (m->kept.p[i / 8] & (1 << (i % 8))) != 0;
        s->kept += is_kept;
        if (is_in && !is_kept && !is_touched(s, s->space, k->key)) {
            seed_drop_stale(p, s->space, k->key);
        }
    }
    for (size_t i = 0; i < m->doc_count; i++) {
        const struct msg_doc *d = &m->docs[i];
        if (is_touched(s, s->space, d->key.key)) {
            continue;
        }
        engine_batch_put(repl_batch(R), p->pid, s->space, d->key.key, &d->doc, NULL);
        seed_note_uniques(p, &d->doc.version);
        part_count_doc(p, s->space, NULL, &d->doc);
        if (s->space == SPACE_ITEM) {
            ttl_note(p, d->doc.version.expire_at);
        }
        R->stats.seeded_size += d->doc.text.n;
    }
    R->stats.seeded += m->doc_count;
    s->copied += m->doc_count;
    (void)repl_batch(R);
    part_touch(p);
    advance(p, m);
    if (R->batch != NULL && engine_batch_size(R->batch) >= BATCH_SIZE_FLUSH) {
        repl_submit(R);
    }
}

/* Is it the answer to what we asked, and does it say something about all of it? */
static bool is_answer(const struct seed *s, const struct msg *m)
{
    bool is_forward = m->is_end || (m->to.n > 0 && m->to.n <= sizeof(s->cursor) &&
                                    str_cmp(m->to, str_make(s->cursor, s->cursor_size)) > 0);
    if (s->sent_us == 0 || m->t != s->request || m->space != s->space || !is_forward ||
        m->kept.n != (s->key_count + 7) / 8) {
        return false;
    }
    for (size_t i = 0; i < m->doc_count; i++) {
        struct str key = m->docs[i].key.key;
        if (!m->docs[i].is_present || m->docs[i].key.space != s->space ||
            str_cmp(key, str_make(s->cursor, s->cursor_size)) < 0 ||
            (!m->is_end && str_cmp(key, m->to) >= 0) ||
            (i > 0 && str_cmp(key, m->docs[i - 1].key.key) <= 0)) {
            return false;
        }
    }
    return true;
}

void seed_on_docs(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || !apply_is_from_writer(R, from, m) || !apply_is_matched(p) || !seed_is_on(p) ||
        p->div.state != DIV_NONE || p->seed->held.n > 0 || !is_answer(p->seed, m)) {
        return;
    }
    struct seed *s = p->seed;
    if (p->tail.lsn >= m->place.lsn) {
        install(p, m);
        return;
    }
    msg_frame_begin(&s->held, from, R->self);
    msg_encode(&s->held, m);
    s->held_lsn = m->place.lsn;
}

static void install_held(struct partition *p)
{
    struct seed *s = p->seed;
    if (s->held.n == 0 || p->tail.lsn < s->held_lsn) {
        return;
    }
    struct msg_reader r;
    struct msg m = {0};
    struct errinfo ei = {0};
    struct arena a;
    struct buf frame = s->held; /* asking on needs the place of the answer */
    buf_init(&s->held, MSG_FRAME_SIZE_MAX);
    arena_init(&a);
    enum err e = msg_frame_open(buf_str(&frame), &r, &ei);
    if (e == OK) {
        e = msg_next(&r, &a, &m, &ei);
    }
    ASSERT(e == OK); /* we encoded it */
    ASSERT(m.type == MSG_SEED_DOCS);
    install(p, &m);
    arena_done(&a);
    buf_done(&frame);
}

void seed_step(struct partition *p)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    if (s == NULL || R->mode.kind != REPL_READER || p->div.state != DIV_NONE || p->is_corrupt) {
        return;
    }
    if (s->is_jump_due) {
        if (p->inflight_count == 0 && list_is_empty(&p->touched) && purge_log(p) &&
            list_is_empty(&p->touched)) {
            jump(p);
        }
        return;
    }
    if (!s->is_on || !apply_is_matched(p)) {
        return;
    }
    if (s->held.n > 0) {
        install_held(p);
    } else if (s->sent_us == 0 || R->io.now(R->io.ctx) - s->sent_us >=
                                      R->timers.retry_ms * UINT64_C(1000) * SEED_RETRY_FACTOR) {
        ask_range(p);
    }
}

void seed_tick(struct repl *R)
{
    size_t asking = 0;
    LIST_FOR_SAFE(l, &R->seed_list) {
        struct seed *s = LIST_ENTRY(l, struct seed, link);
        bool waits = s->is_on && !s->is_jump_due && apply_is_matched(s->part);
        if (!waits || asking++ < SEED_PARALLEL_MAX) {
            seed_step(s->part);
        }
    }
}

/* ---- writer ---- */

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
    if (p->durable.lsn == 0) {
        return;
    }
    size_t n = p->row_count;
    while (n > 0 && p->rows[n - 1].first_lsn > p->durable.lsn) {
        n--; /* an epoch whose first entry is not in storage yet */
    }
    size_t count = n < MSG_EPOCHS_MAX ? n : MSG_EPOCHS_MAX;
    struct msg m = {.type = MSG_SEED_AT,
                    .generation = R->mode.generation,
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

static enum err compare_range(struct partition *p, struct engine_snap *snap, const struct msg *m,
                              struct msg *out, struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct seed_sum *sums = ARENA_NEW_ARRAY(&R->arena, struct seed_sum, SUM_SLOTS);
    for (size_t i = 0; i < m->sum_count; i++) {
        *find_sum(sums, m->sums[i]) = (struct seed_sum){true, m->sums[i], i};
    }
    size_t kept_size = (m->sum_count + 7) / 8;
    char *kept = (char *)arena_alloc(&R->arena, kept_size + 1);
    memset(kept, 0, kept_size + 1);
    struct msg_doc *docs = ARENA_NEW_ARRAY(&R->arena, struct msg_doc, MSG_SEED_DOCS_MAX);
    struct engine_iter *it =
        engine_scan(R->engine, snap, p->pid, m->space, m->from, m->is_end ? STR_NONE : m->to);
    struct engine_row row;
    size_t size = 0, looked = 0;
    out->to = m->to;
    out->is_end = m->is_end;
    while (engine_iter_next(it, &row)) {
        if (size >= SEED_SIZE_MAX || out->doc_count == MSG_SEED_DOCS_MAX ||
            looked++ == SEED_SCAN_MAX) {
            out->to = arena_str(&R->arena, row.key);
            out->is_end = false;
            break;
        }
        const struct seed_sum *same = find_sum(sums, doc_sum(row.key, &row.doc));
        if (same->is_used) {
            kept[same->idx / 8] = (char)(kept[same->idx / 8] | (1 << (same->idx % 8)));
            continue;
        }
        docs[out->doc_count++] = keep_row(&R->arena, m->space, &row);
        size += row.doc.text.n + row.key.n;
    }
    out->docs = docs;
    out->kept = str_make(kept, kept_size);
    enum err e = engine_iter_err(it, ei);
    engine_iter_free(it);
    return e;
}

void seed_on_get(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!ship_is_for_me(R, m) || p == NULL || p->is_corrupt) {
        return;
    }
    note_copying(ship_progress(p, R->peer_by_id[from]));
    arena_reset(&R->arena);
    struct engine_snap *snap = engine_snap_get(R->engine);
    struct engine_part_meta meta = {0};
    struct errinfo ei = {0};
    struct buf hold;
    buf_init(&hold, HOLD_SIZE_MAX);
    struct msg out = {.type = MSG_SEED_DOCS,
                      .generation = R->mode.generation,
                      .pid = p->pid,
                      .t = m->t,
                      .space = m->space};
    enum err e = engine_part_meta_get(R->engine, snap, p->pid, &hold, &meta, &ei);
    if (e == OK) {
        out.place = (struct place){meta.tail_epoch, meta.tail_lsn, meta.tail_ord, meta.tail_chain};
        e = compare_range(p, snap, m, &out, &ei);
    }
    engine_snap_release(R->engine, snap);
    buf_done(&hold);
    if (e == OK) {
        repl_send(R, from, &out);
    } else if (e != ERR_NOT_FOUND) { /* the meta of a new partition is not stored yet */
        part_corrupt(p, "document", &ei);
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
    ship_stuck(ship_progress(p, R->peer_by_id[from]), (struct place){0});
}

void seed_on_done(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (ship_is_for_me(R, m) && p != NULL) {
        struct progress *g = ship_progress(p, R->peer_by_id[from]);
        /* Said with every tail: one that was sent before we asked for a copy says nothing. */
        if (g->state == PROG_STREAM) {
            list_remove(&g->copying);
        }
    }
}
