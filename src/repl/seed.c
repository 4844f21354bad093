/* A copy of all data of a partition: for a region that is new, or away for longer than the log was
 * kept. What is there already is compared by checksums, only what differs is sent.
 *
 *   reader                                      writer
 *   TAIL: in our history, below what is trimmed
 *                       <---------------------- SEED_AT(place S, epoch table): copy from there
 *   own log deleted (the writer's history has all of it), then in one batch: log ends at S,
 *   marked as a copy under way
 *   TAIL(S) --------------------------------->  matched: entries after S stream as usual
 *   SEED_FEED(range, a checksum per document)
 *   SEED_FEED(the range after it) ----------->  piece by piece, in key order, each of one snapshot at
 *                       <---------------------- its place T: SEED_PIECE: which are right, the others whole
 *   SEED_GOT(piece) ------------------------->  the window opens
 *   ... until the end
 *   SEED_DONE --------------------------------> may be counted as complete again
 *
 * Several ranges are asked for ahead (seed_ranges.c), and the writer sends pieces of them for as long as
 * its window is open (seed_feed.c): a long link is filled without waiting for each answer.
 *
 * The log moves on while ranges are copied. Keys below the cursor are copied: entries are applied to
 * them as always. A key from the cursor on that an entry touches is right from that moment: the entry
 * replaces whatever is there, the key is remembered as touched, and the piece that comes later leaves
 * it alone. The cursor moves only when a piece is put in, so that asking ahead changes nothing about
 * this. A piece is put in once our log has reached its snapshot (T); every difference between T and our
 * tail then lies in touched keys.
 *
 * Only a reader that has nothing to lose is copied over: a suffix that the writer lacks goes the way
 * of conflict.c first. A copy under way is marked in the partition's meta; the cursor is not: after a
 * restart checksums find what is there already. When a failover takes back the place S itself, what
 * was received of its log is sent like any suffix, and the copy begins anew. */
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/seed_int.h"

enum {
    SEED_PURGE_MAX = 8192, /* log entries deleted in one batch */
    TOUCHED_PRUNE_MIN = 4096,
};

/* ---- life ---- */

static struct seed *seed_new(struct partition *p)
{
    struct seed *s = MEM_NEW(struct seed);
    list_init(&s->questions);
    list_init(&s->held);
    map_init(&s->touched);
    map_init(&s->uniques);
    s->touched_max = TOUCHED_PRUNE_MIN;
    s->base = p->tail.lsn;
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
    seed_ranges_forget(p);
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
    if (p->tail.lsn == 0 && p->pid != 0) {
        p->is_corrupt = true; /* rows may be left of what is to be copied anew: see repair.c */
        p->is_wiping = true;
        p->has_stale_rows = true;
        p->repl->corrupt_count++;
    }
}

bool seed_is_on(const struct partition *p)
{
    return p->seed != NULL && p->seed->is_on;
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
    p->seed->is_single = false;
    seed_ranges_forget(p);
}

/* From the first key again, with a log that ends at `at`; only while nothing of the partition is on its
 * way to storage. */
void seed_restart(struct partition *p, lsn at)
{
    struct seed *s = p->seed;
    s->base = at;
    seed_ranges_forget(p);
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

bool seed_is_touched(const struct seed *s, enum engine_space space, struct str key)
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

static bool is_among(const struct engine_version *v, struct str unique)
{
    for (size_t i = 0; v != NULL && i < v->unique_count; i++) {
        if (str_eq(v->uniques[i], unique)) {
            return true;
        }
    }
    return false;
}

/* A version left here from before the copy loses its unique keys only where nobody else has been
 * given them since: their rows are that document's. Those that `now` has (NULL: it goes) are not named
 * either: their rows are written again, whosever they are. */
static enum err still_its_own(struct partition *p, struct str key, struct engine_version *v,
                              const struct engine_version *now, struct str kept[ENGINE_UNIQUE_MAX],
                              struct errinfo *ei)
{
    size_t n = 0;
    struct buf owner;
    buf_init(&owner, ENGINE_KEY_SIZE_MAX);
    enum err e = OK;
    for (size_t i = 0; e == OK && i < v->unique_count; i++) {
        if (map_get(&p->seed->uniques, v->uniques[i]) != NULL || is_among(now, v->uniques[i])) {
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
 * `hold` owns what it points into. */
static enum err stale_version(struct partition *p, enum engine_space space, struct str key,
                              struct buf *hold, struct engine_version *ret, struct errinfo *ei)
{
    struct engine_doc doc = {0};
    buf_clear(hold);
    enum err e = engine_get(p->repl->engine, NULL, p->pid, space, key, /* want_text= */ false, hold,
                            &doc, ei);
    *ret = e == OK ? doc.version : (struct engine_version){0};
    return e == ERR_NOT_FOUND ? OK : e;
}

/* Before the first entry on a key that is not copied yet is applied: what is there goes. Counters
 * follow. Later entries on it replace what their history says. true: it was the first. */
bool seed_touch(struct partition *p, enum engine_space space, struct str key)
{
    struct repl *R = p->repl;
    struct seed *s = p->seed;
    if (seed_is_touched(s, space, key)) {
        return false;
    }
    char hold[PART_KEY_SIZE_MAX];
    (void)map_put(&s->touched, part_key(hold, space, key), &R->mark);
    seed_drop_stale(p, space, key);
    return true;
}

/* What replaces a row that cannot be read leaves index rows behind. The mark is stored with that:
 * nobody would find them after a restart. */
static void lose_rows(struct partition *p, const struct errinfo *ei)
{
    p->has_stale_rows = true;
    (void)repl_batch(p->repl);
    part_touch(p);
    part_corrupt(p, "document", ei);
}

void seed_replace(struct partition *p, enum engine_space space, struct str key,
                  const struct engine_version *old, const struct engine_doc *now)
{
    struct errinfo ei = {0};
    struct engine_version was = old != NULL ? *old : (struct engine_version){0};
    struct str uniques[ENGINE_UNIQUE_MAX];
    if (still_its_own(p, key, &was, now != NULL ? &now->version : NULL, uniques, &ei) != OK) {
        lose_rows(p, &ei);
        return;
    }
    struct engine_batch *b = repl_batch(p->repl);
    if (now != NULL) {
        engine_batch_put(b, p->pid, space, key, now, &was);
        seed_note_uniques(p, &now->version);
    } else {
        engine_batch_delete(b, p->pid, space, key, &was);
    }
    part_count_doc(p, space, &was, now);
    part_touch(p);
}

void seed_drop_stale(struct partition *p, enum engine_space space, struct str key)
{
    struct errinfo ei = {0};
    struct engine_version old = {0};
    struct buf hold;
    buf_init(&hold, SEED_HOLD_SIZE_MAX);
    if (stale_version(p, space, key, &hold, &old, &ei) != OK) {
        lose_rows(p, &ei);
    } else if (old.lsn != 0) {
        seed_replace(p, space, key, &old, NULL);
    }
    buf_done(&hold);
}

void seed_prune_touched(struct partition *p)
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
    if (p != NULL && apply_is_from_writer(R, from, m) && repair_on_at(p, m)) {
        return;
    }
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
    apply_unmatch(p);
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
    seed_restart(p, s->at.lsn);
    clear_dirty(p);
    buf_clear(&p->held_docs);
    set_log_end(p, s->at, s->rows, s->row_count);
    repl_submit(p->repl);
}

/* A failover took back the place that the log here begins at, and no entry of the lost history is
 * left: the copy begins anew, from nothing but what the documents are. */
static void reset(struct partition *p)
{
    seed_restart(p, 0);
    clear_dirty(p);
    set_log_end(p, (struct place){0}, NULL, 0);
    p->durable = p->tail;
    p->commit_lsn = 0;
    p->all_lsn = 0;
    repl_submit(p->repl);
}

void seed_refill(struct partition *p)
{
    if (p->seed == NULL) {
        (void)seed_new(p);
    }
    p->seed->is_jump_due = false;
    set_on(p);
    seed_restart(p, p->tail.lsn);
    clear_dirty(p);
    buf_clear(&p->held_docs);
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
    struct msg m = {.type = MSG_SEED_ASK, .generation = p->mode->generation, .pid = p->pid};
    repl_send(p->repl, p->mode->writer, &m);
    return true;
}

void seed_tell(struct partition *p)
{
    if (!seed_is_on(p) && p->tail.lsn != 0) {
        struct msg m = {.type = MSG_SEED_DONE, .generation = p->mode->generation, .pid = p->pid};
        repl_send(p->repl, p->mode->writer, &m);
    }
}

/* Everything is as the log says. Readable once the last of it is in storage. */
void seed_finish(struct partition *p)
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
    seed_tell(p);
}

void seed_step(struct partition *p)
{
    struct seed *s = p->seed;
    if (s == NULL || p->mode->kind != REPL_READER || p->div.state != DIV_NONE || p->is_corrupt ||
        p->is_wiping) {
        return;
    }
    if (s->is_jump_due) {
        if (p->inflight_count == 0 && list_is_empty(&p->touched) && purge_log(p) &&
            list_is_empty(&p->touched)) {
            jump(p);
        }
    } else if (s->is_on && apply_is_matched(p)) {
        seed_ranges_step(p);
    }
}

void seed_tick(struct repl *R)
{
    LIST_FOR_SAFE(l, &R->seed_list) {
        seed_step(LIST_ENTRY(l, struct seed, link)->part);
    }
}
