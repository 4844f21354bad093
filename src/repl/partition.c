/* One partition's log and documents: tail, epoch table, counters, and what goes into a batch.
 *
 *      trim          all_lsn      commit        durable          tail
 *   ----|---------------|------------|-------------|---------------|
 *   gone   kept for peers             in storage      in batches and memory
 *
 * A change is made in memory at once (tail, overlay, counters) and handed to storage with the next
 * batch; what is promised to anyone is always `durable` or below. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum { EXTRA_SEEDING = 1, EXTRA_STALE_ROWS = 2 }; /* flags of the meta */
enum { ENTRY_SIZE_GUESS = 512 }; /* where the meta does not say how large the log is */
enum { EXTRA_VERSION = 3, EXTRA_VERSION_UNMARKED = 2 }; /* 3: EXTRA_STALE_ROWS is known */
enum { EXTRA_SIZE_MAX = 64 + EPOCH_ROWS_MAX * 32 };

void repl_event(struct repl *R, enum region_event_kind kind, const char *fmt, ...)
{
    char text[360];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap); /* cut when too long: for people */
    va_end(ap);
    R->io.event(R->io.ctx, kind, text);
}

void part_corrupt(struct partition *p, const char *what, const struct errinfo *ei)
{
    repl_event(p->repl, EVENT_CORRUPT, "partition=%llu what=\"%s\" error=\"%s\"",
               (unsigned long long)p->pid, what, ei->message);
    p->repl->corrupt_count += !p->is_corrupt;
    p->is_corrupt = true;
    part_set_flags(p);
}

/* ---- epoch table ---- */

lsn part_epoch_last(const struct partition *p, epoch e)
{
    for (size_t i = p->row_count; i-- > 0;) {
        if (p->rows[i].epoch != e) {
            continue;
        }
        return i + 1 == p->row_count ? p->tail.lsn : p->rows[i + 1].prev_lsn;
    }
    return 0;
}

bool part_history_has(const struct partition *p, epoch e, lsn at)
{
    if (at == 0) {
        return e == 0;
    }
    for (size_t i = p->row_count; i-- > 0;) {
        if (p->rows[i].epoch == e) {
            return at >= p->rows[i].first_lsn && at <= part_epoch_last(p, e);
        }
    }
    return false;
}

void part_rows_add(struct partition *p, const struct entry *e)
{
    if (p->row_count > 0 && p->rows[p->row_count - 1].epoch == e->epoch) {
        return;
    }
    ASSERT(p->row_count == 0 || p->rows[p->row_count - 1].epoch < e->epoch);
    if (p->row_count == EPOCH_ROWS_MAX) {
        /* A peer that far behind needs a full copy. */
        memmove(&p->rows[0], &p->rows[1], (EPOCH_ROWS_MAX - 1) * sizeof(p->rows[0]));
        p->row_count--;
    }
    if (p->row_count == p->row_cap) {
        p->row_cap = p->row_cap == 0 ? 4 : p->row_cap * 2;
        p->rows = (struct epoch_row *)mem_realloc(p->rows, p->row_cap * sizeof(p->rows[0]));
    }
    p->rows[p->row_count++] = (struct epoch_row){
        .epoch = e->epoch,
        .first_lsn = e->lsn,
        .prev_epoch = e->prev_epoch,
        .prev_lsn = e->prev_lsn,
    };
}

void part_rows_cut(struct partition *p, struct place at)
{
    while (p->row_count > 0 && p->rows[p->row_count - 1].first_lsn > at.lsn) {
        p->row_count--;
    }
}

/* ---- meta ---- */

static void extra_encode(const struct partition *p, struct buf *out)
{
    /* A program that knows no such mark must not take the rows for right. */
    buf_add_u8(out, p->has_stale_rows ? EXTRA_VERSION : EXTRA_VERSION_UNMARKED);
    buf_add_u64(out, p->trim.ord);
    buf_add_u64(out, p->trim.chain);
    buf_add_u64(out, p->repl->hlc);
    buf_add_u8(out,
               (seed_is_on(p) ? EXTRA_SEEDING : 0) | (p->has_stale_rows ? EXTRA_STALE_ROWS : 0));
    buf_add_u64(out, p->log_size);
    buf_add_u32(out, (uint32_t)p->row_count);
    for (size_t i = 0; i < p->row_count; i++) {
        buf_add_u64(out, p->rows[i].epoch);
        buf_add_u64(out, p->rows[i].first_lsn);
        buf_add_u64(out, p->rows[i].prev_epoch);
        buf_add_u64(out, p->rows[i].prev_lsn);
    }
}

enum err part_extra_open(struct part_extra *x, struct str extra, struct errinfo *ei)
{
    struct rd r = rd_of(extra);
    *x = (struct part_extra){.version = rd_u8(&r)};
    if (x->version > EXTRA_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "a partition's meta of version %u", x->version);
    }
    x->trim_ord = rd_u64(&r);
    x->trim_chain = rd_u64(&r);
    x->hlc = rd_u64(&r);
    x->flags = x->version >= 2 ? rd_u8(&r) : 0;
    x->log_size = x->version >= 2 ? rd_u64(&r) : 0;
    x->row_count = rd_u32(&r);
    if (r.bad || (x->flags & ~(EXTRA_SEEDING | EXTRA_STALE_ROWS)) != 0 || x->version == 0 ||
        x->row_count > EPOCH_ROWS_MAX || r.n != x->row_count * (size_t)32) {
        return err_set(ei, ERR_CORRUPT, "a partition's meta is malformed");
    }
    x->rows = r;
    return OK;
}

struct epoch_row part_extra_row(struct part_extra *x)
{
    struct epoch_row row = {.epoch = rd_u64(&x->rows)};
    row.first_lsn = rd_u64(&x->rows);
    row.prev_epoch = rd_u64(&x->rows);
    row.prev_lsn = rd_u64(&x->rows);
    return row;
}

static enum err extra_decode(struct partition *p, struct str extra, struct errinfo *ei)
{
    if (extra.n == 0 && p->tail.lsn == 0) {
        return OK;
    }
    struct part_extra x;
    enum err err = part_extra_open(&x, extra, NULL);
    if (err != OK) {
        return err_set(ei, err, "partition %llu: meta of version %u is %s",
                       (unsigned long long)p->pid, x.version,
                       err == ERR_FORMAT_NEWER ? "newer" : "malformed");
    }
    p->trim.ord = x.trim_ord;
    p->trim.chain = x.trim_chain;
    uint64_t entries = p->tail.ord > p->trim.ord ? p->tail.ord - p->trim.ord : 0;
    p->log_size = x.version >= 2 ? x.log_size : entries * ENTRY_SIZE_GUESS;
    p->repl->log_size += p->log_size;
    p->row_cap = x.row_count;
    p->row_count = x.row_count;
    p->rows = MEM_NEW_ARRAY(struct epoch_row, x.row_count + 1);
    for (uint32_t i = 0; i < x.row_count; i++) {
        p->rows[i] = part_extra_row(&x);
    }
    if (x.hlc > p->repl->hlc) {
        p->repl->hlc = x.hlc;
    }
    if ((x.flags & EXTRA_SEEDING) != 0) {
        seed_load(p);
    }
    if ((x.flags & EXTRA_STALE_ROWS) != 0) {
        p->has_stale_rows = true;
        p->repl->corrupt_count += !p->is_corrupt;
        p->is_corrupt = true;
    }
    return OK;
}

static enum err part_load_dirty(struct partition *p, struct errinfo *ei)
{
    struct engine_iter *it = engine_scan_dirty(p->repl->engine, NULL, p->pid);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        part_mark_dirty(p, row.space, row.key);
    }
    enum err e = engine_iter_err(it, ei);
    engine_iter_free(it);
    return e;
}

static enum err part_load_ttl(struct partition *p, struct errinfo *ei)
{
    struct engine_iter *it = engine_scan_expiry(p->repl->engine, NULL, p->pid, UINT64_MAX);
    struct engine_row row;
    if (engine_iter_next(it, &row)) {
        ttl_note(p, row.expire_at);
    }
    enum err e = engine_iter_err(it, ei);
    engine_iter_free(it);
    return e;
}

enum err part_load(struct partition *p, const struct engine_part_meta *m, struct errinfo *ei)
{
    p->tail = (struct place){m->tail_epoch, m->tail_lsn, m->tail_ord, m->tail_chain};
    p->durable = p->tail;
    p->trim = (struct place){m->trim_epoch, m->trim_lsn, 0, 0};
    p->first_lsn = m->first_lsn;
    p->item_count = m->item_count;
    p->item_size = m->item_size;
    p->conflict_count = m->conflict_count;
    p->repl->item_size += p->item_size;
    p->repl->total_ord += p->tail.ord;
    TRY(extra_decode(p, m->extra, ei));
    p->reign_max = engine_fence(p->repl->engine, p->pid); /* no row is known yet */
    TRY(part_load_dirty(p, ei));
    TRY(part_load_ttl(p, ei));
    TRY(quota_load(p, ei));
    /* The meta and the last entry were written together: anything else is a broken store. */
    struct place last = {0};
    if (p->tail.lsn != 0) {
        TRY(part_place_at(p, p->tail.lsn, &last, ei));
        if (last.epoch != p->tail.epoch || last.ord != p->tail.ord || last.chain != p->tail.chain) {
            return err_set(ei, ERR_CORRUPT, "partition %llu: meta and last log entry disagree",
                           (unsigned long long)p->pid);
        }
    }
    part_publish(p);
    return OK;
}

static void part_put_meta(struct partition *p, struct engine_batch *b)
{
    struct buf extra;
    buf_init(&extra, EXTRA_SIZE_MAX);
    extra_encode(p, &extra);
    ASSERT(buf_ok(&extra));
    struct engine_part_meta m = {
        .tail_epoch = p->tail.epoch,
        .tail_lsn = p->tail.lsn,
        .tail_ord = p->tail.ord,
        .tail_chain = p->tail.chain,
        .first_lsn = p->first_lsn,
        .trim_lsn = p->trim.lsn,
        .trim_epoch = p->trim.epoch,
        .item_count = p->item_count,
        .item_size = p->item_size,
        .conflict_count = p->conflict_count,
        .extra = buf_str(&extra),
    };
    engine_batch_meta(b, p->pid, &m);
    buf_done(&extra);
}

/* ---- batches ---- */

struct engine_batch *repl_batch(struct repl *R)
{
    if (R->batch == NULL) {
        R->batch = engine_batch_new(R->engine);
    }
    return R->batch;
}

void part_touch(struct partition *p)
{
    if (list_is_empty(&p->touched)) {
        list_push_back(&p->repl->touched, &p->touched);
    }
}

static struct inflight *inflight_new(struct repl *R)
{
    struct list *l = list_pop_front(&R->inflight_free);
    struct inflight *f =
        l != NULL ? LIST_ENTRY(l, struct inflight, link) : MEM_NEW(struct inflight);
    list_init(&f->link);
    f->count = 0;
    f->is_seal = false;
    return f;
}

static void inflight_add(struct inflight *f, struct partition *p)
{
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 4 : f->cap * 2;
        f->rows = (struct inflight_row *)mem_realloc(f->rows, f->cap * sizeof(f->rows[0]));
    }
    f->rows[f->count++] =
        (struct inflight_row){.part = p,
                              .place = p->tail,
                              .fence = p->slot != NULL ? p->mode->generation : 0,
                              .is_cut = p->div.state == DIV_CUT && p->div.is_last};
    p->inflight_count++;
}

void repl_submit(struct repl *R)
{
    if (R->batch == NULL) {
        ASSERT(list_is_empty(&R->touched));
        return;
    }
    struct inflight *f = inflight_new(R);
    struct list *l;
    while ((l = list_pop_front(&R->touched)) != NULL) {
        struct partition *p = LIST_ENTRY(l, struct partition, touched);
        part_put_meta(p, R->batch);
        if (p->slot != NULL && p->mode->generation != 0 && !BUG(BUG_NO_GENERATION_GUARD)) {
            engine_batch_fence(R->batch, p->pid, p->mode->generation);
        }
        inflight_add(f, p);
        if (p->div.state == DIV_CUT) {
            p->div.is_last = false; /* the cut is in this batch and in no later one */
        }
    }
    f->is_seal = R->batch_is_seal;
    f->generation = R->mode.generation;
    if (R->mode.generation != 0 && !BUG(BUG_NO_GENERATION_GUARD)) {
        engine_batch_guard(R->batch, R->mode.generation);
    }
    f->ticket = R->next_ticket++;
    list_push_back(&R->inflight, &f->link);
    struct engine_batch *b = R->batch;
    R->batch = NULL;
    R->batch_is_seal = false;
    R->stats.batches++;
    R->io.commit(R->io.ctx, b, f->ticket);
}

/* ---- appending ---- */

static uint64_t less(uint64_t from, uint64_t n)
{
    return from >= n ? from - n : 0;
}

static void add_size(struct partition *p, const struct entry_op *op, uint64_t old_size)
{
    bool is_item = op->space == SPACE_ITEM;
    uint64_t *size = is_item ? &p->item_size : &p->conflict_size;
    uint64_t *sum = is_item ? &p->repl->item_size : &p->repl->conflict_size;
    uint64_t rest = less(*size, old_size);
    uint64_t now = rest + (op->is_delete ? 0 : op->doc.text.n);
    ASSERT(*sum >= *size);
    *sum = *sum - *size + now;
    *size = now;
}

static void count_op(struct partition *p, const struct entry_op *op,
                     const struct engine_version *old)
{
    bool had = old->lsn != 0;
    add_size(p, op, had ? old->doc_size : 0);
    if (op->space == SPACE_CONFLICT) {
        if (!op->is_delete && !had) {
            p->conflict_count++;
        } else if (op->is_delete && had) {
            p->conflict_count = less(p->conflict_count, 1);
        }
        return;
    }
    if (!op->is_delete && !had) {
        p->item_count++;
    } else if (op->is_delete && had) {
        p->item_count = less(p->item_count, 1);
    }
}

void part_count_none(struct partition *p)
{
    ASSERT(p->repl->item_size >= p->item_size && p->repl->conflict_size >= p->conflict_size);
    p->repl->item_size -= p->item_size;
    p->repl->conflict_size -= p->conflict_size;
    p->item_count = 0;
    p->item_size = 0;
    p->conflict_count = 0;
    p->conflict_size = 0;
}

void part_count_doc(struct partition *p, enum engine_space space, const struct engine_version *old,
                    const struct engine_doc *doc)
{
    static const struct engine_version none;
    struct entry_op op = {.space = space, .is_delete = doc == NULL};
    if (doc != NULL) {
        op.doc.text.n = doc->text.n;
    }
    count_op(p, &op, old != NULL ? old : &none);
}

void part_log_shrunk(struct partition *p, uint64_t size)
{
    p->log_size = less(p->log_size, size);
    p->repl->log_size = less(p->repl->log_size, size);
}

static void append_op(struct partition *p, const struct entry *e, size_t i, struct ebuf *mem)
{
    struct engine_batch *b = p->repl->batch;
    const struct entry_op *op = &e->ops[i];
    struct engine_version old = op->old;
    if (part_is_dirty(p, op->space, op->key)) {
        /* The cut removed the document here, whatever the writer's entry replaces. */
        ASSERT(mem == NULL);
        old = (struct engine_version){0};
        apply_forget_dirty(p, op->space, op->key);
    } else if (seed_is_ahead(p, op->space, op->key) && seed_touch(p, op->space, op->key)) {
        old = (struct engine_version){0}; /* what was here, if anything, is gone by now */
    }
    if (!op->is_delete) {
        seed_note_uniques(p, &op->doc.version);
    }
    if (op->is_delete) {
        engine_batch_delete(b, p->pid, op->space, op->key, &old);
    } else {
        engine_batch_put(b, p->pid, op->space, op->key, &op->doc, &old);
        if (op->space == SPACE_ITEM) {
            ttl_note(p, op->doc.version.expire_at);
        }
    }
    count_op(p, op, &old);
    if (mem != NULL) {
        ov_put(p, e, op, (uint16_t)i, mem);
    }
}

void part_append(struct partition *p, const struct entry *e, struct str bytes, struct ebuf *mem)
{
    struct repl *R = p->repl;
    ASSERT(e->prev_epoch == p->tail.epoch && e->prev_lsn == p->tail.lsn);
    ASSERT(e->ord == p->tail.ord + 1);
    struct engine_batch *b = repl_batch(R);
    engine_batch_log(b, p->pid, e->lsn, bytes);
    p->log_size += bytes.n;
    R->log_size += bytes.n;
    for (size_t i = 0; i < e->op_count; i++) {
        append_op(p, e, i, mem);
    }
    part_rows_add(p, e);
    p->tail = (struct place){e->epoch, e->lsn, e->ord, e->chain};
    if (p->first_lsn == 0) {
        p->first_lsn = e->lsn;
    }
    if (e->hlc > R->hlc) {
        R->hlc = e->hlc;
    }
    R->total_ord++;
    part_touch(p);
    if (mem != NULL) {
        mem->place = p->tail;
        mem->prev_epoch = e->prev_epoch;
        mem->prev_lsn = e->prev_lsn;
        mem->ordered_us = R->io.now(R->io.ctx);
        ring_push(p, mem);
        ring_evict(R);
    }
    if (engine_batch_size(b) >= BATCH_SIZE_FLUSH) {
        repl_submit(R);
    }
}

uint64_t repl_next_hlc(const struct repl *R, int64_t wall_ms)
{
    uint64_t wall = wall_ms > 0 ? (uint64_t)wall_ms << 16 : 0;
    return wall > R->hlc ? wall : R->hlc + 1;
}

void part_write(struct partition *p, struct entry *e)
{
    struct repl *R = p->repl;
    ASSERT(p->mode->kind == REPL_WRITER);
    ASSERT(e->lsn > p->tail.lsn && e->lsn < p->mode->lsn_limit);
    ASSERT(p->dirty.count == 0 && p->div.state == DIV_NONE);
    e->epoch = p->mode->epoch;
    e->generation = p->mode->generation;
    e->ord = p->tail.ord + 1;
    e->prev_epoch = p->tail.epoch;
    e->prev_lsn = p->tail.lsn;
    e->origin = R->self;
    buf_clear(&R->scratch);
    entry_encode(e, p->tail.chain, &R->scratch);
    struct ebuf *mem = ebuf_new(buf_str(&R->scratch));
    struct entry mine;
    arena_reset(&R->encode_arena);
    enum err err =
        entry_decode_trusted(&R->encode_arena, str_make(mem->bytes, mem->n), &mine, NULL);
    ASSERT(err == OK);
    part_append(p, &mine, str_make(mem->bytes, mem->n), mem);
    ship_entry_added(p);
}

/* ---- durability ---- */

/* Is the epoch in the history that is in storage here? */
static bool has_reached(const struct partition *p, epoch e)
{
    for (size_t i = p->row_count; i-- > 0;) {
        if (p->rows[i].epoch == e) {
            return p->rows[i].first_lsn <= p->durable.lsn;
        }
    }
    return false;
}

/* Version of the last loss that is in this partition's history. An epoch that it was not part of,
 * because another region wrote it then, took nothing from it; and where none is found here, tokens are
 * compared by lsn, which is right, too: the lsns of a new epoch are above all of those before. */
static uint64_t token_base(const struct partition *p)
{
    const struct repl_mode *m = p->mode;
    uint64_t base = 0;
    for (size_t i = 0; i < m->lossy_count; i++) {
        base = has_reached(p, m->lossy[i].epoch) ? m->lossy[i].version : base;
    }
    bool is_own = p->own_loss.version > base && has_reached(p, p->own_loss.epoch);
    return is_own ? p->own_loss.version : base;
}

/* By what the record says of losses. It can be too low: a loss of the account took nothing from a
 * partition that another region wrote then. */
static uint64_t version_of_log(const struct partition *p)
{
    const struct repl_mode *m = p->mode;
    uint64_t version = m->token_version;
    for (size_t i = m->lossy_count; i-- > 0;) {
        if (m->lossy[i].epoch > p->durable.epoch) {
            version =
                m->lossy[i].version - 1; /* as before the first loss that is not seen here yet */
        }
    }
    bool is_ahead = p->own_loss.epoch > p->durable.epoch && p->own_loss.version <= version;
    return is_ahead ? p->own_loss.version - 1 : version;
}

/* It can be too high, too: the record has the last loss of a partition with a row, and none of one that
 * had a row. So a log that the writer has not matched yet, which may have what is lost, stays with
 * what was shown here, or after a start with what is in it. Never lower than shown before: the same log
 * was right under that version, and it has only come nearer to the writer's since. */
uint64_t part_token_version(const struct partition *p)
{
    const struct repl_mode *m = p->mode;
    uint64_t version = 0;
    if (m->kind == REPL_WRITER || p->durable.lsn >= m->start_lsn) {
        version = m->token_version;
    } else {
        version = apply_is_matched(p) ? version_of_log(p) : token_base(p);
    }
    return version > p->token_shown ? version : p->token_shown;
}

/* Version before place: a reader that sees the new place sees the version that goes with it. */
void part_publish(struct partition *p)
{
    p->token_shown = part_token_version(p);
    atomic_store_explicit(&p->view.token_version, p->token_shown, memory_order_release);
    atomic_store_explicit(&p->view.token_base, token_base(p), memory_order_release);
    atomic_store_explicit(&p->view.generation, p->mode->generation, memory_order_relaxed);
    atomic_store_explicit(&p->view.item_count, p->item_count, memory_order_relaxed);
    atomic_store_explicit(&p->view.item_size, p->item_size, memory_order_relaxed);
    atomic_store_explicit(&p->view.epoch, p->durable.epoch, memory_order_relaxed);
    atomic_store_explicit(&p->view.applied_lsn, p->durable.lsn, memory_order_release);
}

void part_durable_moved(struct partition *p)
{
    struct repl *R = p->repl;
    part_publish(p);
    ov_prune(p, p->durable.lsn);
    if (p->mode->kind == REPL_WRITER) {
        quorum_update(p);
    } else {
        if (p->mode->kind == REPL_READER && list_is_empty(&p->ack_due)) {
            list_push_back(&R->ack_due, &p->ack_due);
        }
        if (p->pid == 0 && !seed_is_on(p)) {
            R->io.metadata_applied(R->io.ctx, p->durable.lsn);
        }
    }
    if (!list_is_empty(&p->behind) && p->durable.lsn >= p->mode->start_lsn) {
        list_remove(&p->behind);
        R->io.epoch_reached(R->io.ctx);
    }
    struct wait_node *n;
    while ((n = wait_pop(&p->applied_waiters, p->durable.lsn)) != NULL) {
        R->io.applied(R->io.ctx, n);
    }
}

static void inflight_done(struct repl *R, struct inflight *f, enum err err)
{
    if (err == OK && f->generation > R->sealed) {
        R->sealed = f->generation;
    }
    for (size_t i = 0; i < f->count; i++) {
        struct inflight_row *row = &f->rows[i];
        struct partition *p = row->part;
        ASSERT(p->inflight_count > 0);
        p->inflight_count--;
        if (p->is_dropped || err != OK) {
            continue;
        }
        p->durable = row->place;
        p->sealed = row->fence > p->sealed ? row->fence : p->sealed;
        if (p->dirty_ticket != 0 && p->dirty_ticket <= f->ticket && p->dirty.count == 0) {
            p->dirty_ticket = 0;
            part_set_flags(p);
        }
        if (row->is_cut) {
            ASSERT(p->div.state == DIV_CUT);
            diverge_move(&p->div, DIV_NONE);
            ASSERT(R->diverged_count > 0);
            R->diverged_count--;
            p->tail_sent_us = 0; /* tell the writer at once */
            part_set_flags(p);
        }
        part_durable_moved(p);
    }
    R->done_ticket = f->ticket;
    list_push_back(&R->inflight_free, &f->link);
}

void repl_on_commit(struct repl *R, uint64_t ticket, enum err err)
{
    if (err != OK && err != ERR_STALE_GENERATION) {
        R->io.fatal(R->io.ctx, err, "storage failed: outcome of a batch is unknown");
        return;
    }
    /* One answer may stand for all batches before it. */
    while (!list_is_empty(&R->inflight)) {
        struct inflight *f = LIST_ENTRY(R->inflight.next, struct inflight, link);
        if (f->ticket > ticket) {
            break;
        }
        list_remove(&f->link);
        bool is_last = f->ticket == ticket;
        if (is_last && err == ERR_STALE_GENERATION) {
            R->is_stale = true;
        }
        inflight_done(R, f,
                      is_last || R->is_stale ? (R->is_stale ? ERR_STALE_GENERATION : err) : OK);
        if (is_last) {
            break;
        }
    }
    if (R->is_stale) {
        R->io.stale(R->io.ctx);
    }
    ring_evict(R);
}

enum err part_place_at(struct partition *p, lsn at, struct place *ret, struct errinfo *ei)
{
    if (at == 0) {
        *ret = (struct place){0};
        return OK;
    }
    if (at == p->trim.lsn) {
        *ret = p->trim;
        return OK;
    }
    struct buf b;
    buf_init(&b, ENGINE_ENTRY_SIZE_MAX);
    enum err e = engine_log_get(p->repl->engine, NULL, p->pid, at, &b, ei);
    struct entry head = {0};
    size_t total = 0;
    if (e == OK) {
        e = entry_peek(buf_str(&b), &head, &total, ei);
    }
    if (e == OK && head.lsn != at) {
        e = err_set(ei, ERR_CORRUPT, "partition %llu: log entry of lsn %llu found at %llu",
                    (unsigned long long)p->pid, (unsigned long long)head.lsn,
                    (unsigned long long)at);
    }
    buf_done(&b);
    if (e == OK) {
        *ret = (struct place){head.epoch, head.lsn, head.ord, head.chain};
    }
    return e;
}

/* After a start nothing tells which losses are in a log whose newest epoch is not the record's: rows of
 * partitions are gone with what they said, and what was shown before is forgotten. Until the writer has
 * matched it, an answer could look as if nothing were missing. */
static bool is_unproven(const struct partition *p)
{
    const struct repl_mode *m = p->mode;
    return m->kind != REPL_WRITER && !p->was_matched && p->durable.lsn != 0 &&
           p->durable.epoch != m->record_epoch && m->token_version > 0;
}

void part_set_flags(struct partition *p)
{
    const struct repl_mode *m = p->mode;
    unsigned flags = 0;
    bool is_sound = p->div.state == DIV_NONE && p->dirty.count == 0 && p->dirty_ticket == 0 &&
                    !p->is_corrupt && !seed_is_on(p);
    if (is_sound && !p->is_dropped) {
        flags |= PART_WHOLE;
    }
    if (m->is_serving && flags != 0 && !is_unproven(p)) {
        flags |= PART_READABLE;
        if (m->kind == REPL_WRITER && !m->is_holding) {
            flags |= PART_WRITABLE;
        }
    }
    if (p->slot != NULL) {
        flags |= PART_APART | (m->kind == REPL_WRITER ? (unsigned)PART_WRITTEN : 0);
    }
    atomic_store_explicit(&p->view.flags, flags, memory_order_release);
}

void repl_set_flags(struct repl *R)
{
    LIST_FOR(l, &R->parts) {
        part_set_flags(LIST_ENTRY(l, struct partition, link));
    }
}
