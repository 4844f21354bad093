/* A diverged suffix: entries that this region has and the present writer's history has not.
 *
 *   reader                                   writer
 *   BRANCH(place) known, own batches durable
 *   LOST(entries), archive ----------------> one conflict record per operation, as an ordinary
 *                 <---------------- LOST_ACK  entry, answered when that is acknowledged
 *   ... until the end of the suffix
 *   one batch: cut the log, delete what the suffix touched, mark those keys dirty
 *   replication goes on from the branch; FETCH what is still dirty
 *
 * Nothing is cut before all of it is in the feed and in the archive. A crash anywhere repeats from
 * the start; conflict records carry (partition, epoch, lsn, operation) in their key, so the writer
 * recognises a repeat. Another writer meanwhile means another branch: start over. */
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

/* A list of bits, the lowest of a byte first. */
struct bits {
    struct buf bytes;
    size_t count;
};

static void bits_add(struct bits *b, bool is_set)
{
    if (b->count % 8 == 0) {
        buf_add_u8(&b->bytes, 0);
    }
    if (is_set && buf_ok(&b->bytes)) {
        b->bytes.p[b->count / 8] =
            (char)((unsigned char)b->bytes.p[b->count / 8] | 1u << (b->count % 8));
    }
    b->count++;
}

static bool bits_get(struct str bytes, size_t i, bool beyond)
{
    return i / 8 < bytes.n ? ((unsigned char)bytes.p[i / 8] >> (i % 8) & 1) != 0 : beyond;
}

enum { LOST_WAITS_MAX = 1024, CONFLICT_TEXT_SIZE_MAX = ENGINE_DOC_SIZE_MAX };

/* ---- reader ---- */

void conflict_begin(struct partition *p, struct place branch)
{
    struct repl *R = p->repl;
    ASSERT(p->div.state == DIV_NONE);
    ASSERT(branch.lsn < p->tail.lsn);
    p->div.branch = branch;
    diverge_move(&p->div, DIV_WAIT);
    R->diverged_count++;
    if (list_is_empty(&p->fetch_link)) {
        list_push_back(&R->fetch_list, &p->fetch_link);
    }
    part_set_flags(p);
    conflict_step(p);
}

void conflict_reset(struct partition *p)
{
    if (p->div.state == DIV_WAIT || p->div.state == DIV_SEND) {
        diverge_move(&p->div, DIV_NONE);
        ASSERT(p->repl->diverged_count > 0);
        p->repl->diverged_count--;
    }
}

/* One more entry of the batch: a bit per operation, set where nothing later in the suffix is on its item. */
static enum err add_latest(struct partition *p, struct str bytes, struct bits *b,
                           struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct entry e;
    if (p->div.latest == NULL) {
        return OK;
    }
    arena_reset(&R->entry_arena);
    TRY(entry_decode(&R->entry_arena, bytes, &e, ei));
    for (size_t i = 0; i < e.op_count; i++) {
        bits_add(b, latest_is(p->div.latest, &e, i));
    }
    return OK;
}

static void send_lost(struct partition *p)
{
    struct repl *R = p->repl;
    struct diverge *d = &p->div;
    arena_reset(&R->arena);
    struct msg m = {.type = d->latest != NULL ? MSG_LOST_LATEST : MSG_LOST,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .commit_lsn = p->commit_lsn,
                    .entries = ARENA_NEW_ARRAY(&R->arena, struct str, MSG_ENTRIES_MAX)};
    struct buf all;
    struct bits latest = {0};
    buf_init(&all, LOST_SIZE_MAX + ENGINE_ENTRY_SIZE_MAX);
    buf_init(&latest.bytes, MSG_ENTRIES_MAX * ENTRY_OPS_MAX / 8);
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, d->next_lsn);
    struct engine_row row;
    struct entry head = {0};
    struct errinfo ei = {0};
    enum err e = OK;
    bool more = false;
    while (e == OK && engine_iter_next(it, &row)) {
        if (m.entry_count == MSG_ENTRIES_MAX || all.n >= LOST_SIZE_MAX) {
            more = true;
            break;
        }
        size_t total = 0;
        e = entry_peek(row.entry, &head, &total, &ei);
        KEEP_FIRST(e, add_latest(p, row.entry, &latest, &ei));
        m.entries[m.entry_count++] = arena_str(&R->arena, row.entry);
        buf_add_str(&all, row.entry);
    }
    KEEP_FIRST(e, engine_iter_err(it, &ei));
    engine_iter_free(it);
    if (e == OK && (m.entry_count == 0 || (!more && head.lsn != p->tail.lsn))) {
        e = err_set(&ei, ERR_CORRUPT, "suffix above lsn %llu does not reach the tail",
                    (unsigned long long)d->branch.lsn);
    }
    if (e != OK) {
        p->is_log_bad = true; /* never cut what could not be saved */
        part_corrupt(p, "log", &ei);
    } else {
        ASSERT(buf_ok(&all));
        d->batch_end = (struct place){head.epoch, head.lsn, head.ord, head.chain};
        d->is_last = !more;
        d->sent_us = R->io.now(R->io.ctx);
        m.kept = buf_str(&latest.bytes);
        repl_send(R, p->mode->writer, &m);
        R->stats.lost_sent += m.entry_count;
        if (d->archive_ticket == 0) {
            d->archive_ticket = R->archive_ticket++;
            R->io.archive(R->io.ctx, p->pid, buf_str(&all), d->archive_ticket);
        }
    }
    buf_done(&all);
    buf_done(&latest.bytes);
}

/* Deletes the document as found in storage: whatever version the suffix left. A trial only reads what
 * that takes. */
static enum err undo_key(struct partition *p, const struct entry_op *op, bool is_trial,
                         struct buf *hold, struct errinfo *ei)
{
    struct repl *R = p->repl;
    if (p->is_wiping) {
        return OK; /* all go */
    }
    if (seed_is_on(p)) {
        if (!is_trial) {
            (void)seed_touch(p, op->space, op->key); /* the copy brings what is right */
        }
        return OK;
    }
    if (part_is_dirty(p, op->space, op->key)) {
        return OK; /* done for a later operation already */
    }
    struct engine_doc doc = {0};
    buf_clear(hold);
    enum err e = engine_get(R->engine, NULL, p->pid, op->space, op->key, /* want_text= */ false,
                            hold, &doc, ei);
    if (e != OK && e != ERR_NOT_FOUND) {
        return e;
    }
    if (is_trial) {
        return OK;
    }
    if (e == OK) {
        engine_batch_delete(repl_batch(R), p->pid, op->space, op->key, &doc.version);
        part_count_doc(p, op->space, &doc.version, NULL);
    }
    engine_batch_dirty(repl_batch(R), p->pid, op->space, op->key, true);
    part_mark_dirty(p, op->space, op->key);
    return OK;
}

/* The suffix leaves the log, and its documents leave storage. A trial changes nothing: when it fails,
 * nothing has been done. */
static enum err undo_suffix(struct partition *p, bool is_trial, struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8));
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, p->div.branch.lsn + 1);
    struct engine_row row;
    enum err e = OK;
    while (e == OK && engine_iter_next(it, &row)) {
        struct entry lost;
        arena_reset(&R->entry_arena);
        e = entry_decode(&R->entry_arena, row.entry, &lost, ei);
        for (size_t i = 0; e == OK && i < lost.op_count; i++) {
            e = undo_key(p, &lost.ops[i], is_trial, &hold, ei);
        }
        if (e == OK && !is_trial) {
            engine_batch_log_delete(repl_batch(R), p->pid, row.lsn);
            part_log_shrunk(p, row.entry.n);
        }
    }
    KEEP_FIRST(e, engine_iter_err(it, ei));
    engine_iter_free(it);
    buf_done(&hold);
    return e;
}

static enum err cut_entries(struct partition *p, struct errinfo *ei)
{
    if (seed_is_on(p)) {
        seed_restart(p, p->div.branch.lsn);
    }
    enum err e = undo_suffix(p, /* is_trial= */ false, ei);
    if (seed_is_on(p)) {
        seed_restart(p, p->div.branch.lsn);
    }
    return e;
}

static void cut(struct partition *p)
{
    struct repl *R = p->repl;
    struct diverge *d = &p->div;
    ASSERT(place_same(p->tail, p->durable));
    ASSERT(p->inflight_count == 0);
    ASSERT(p->overlay.count == 0);
    repl_submit(R); /* the cut starts a batch of its own */
    struct errinfo ei = {0};
    if (cut_entries(p, &ei) != OK) {
        part_corrupt(p, "suffix", &ei);
        R->io.fatal(R->io.ctx, ERR_CORRUPT, "a diverged suffix was read, and then could not be");
        return;
    }
    ASSERT(p->tail.ord >= d->branch.ord && R->total_ord >= p->tail.ord - d->branch.ord);
    R->total_ord -= p->tail.ord - d->branch.ord;
    part_rows_cut(p, d->branch);
    p->tail = d->branch;
    p->durable = d->branch;
    if (p->first_lsn > d->branch.lsn) {
        p->first_lsn = 0;
    }
    p->ack_sent_lsn = 0;
    p->all_lsn = p->all_lsn > d->branch.lsn ? d->branch.lsn : p->all_lsn;
    ring_clear(p);
    (void)repl_batch(R);
    part_touch(p);
    diverge_move(d, DIV_CUT);
    d->is_last = true;
    latest_free(d->latest);
    d->latest = NULL;
    R->stats.lost_recorded += d->recorded;
    R->stats.lost_archived += d->archived;
    repl_event(R, EVENT_FEED_SENT,
               "partition=%llu branch_epoch=%llu branch_lsn=%llu entries=%llu recorded=%llu "
               "archived_only=%llu",
               (unsigned long long)p->pid, (unsigned long long)d->branch.epoch,
               (unsigned long long)d->branch.lsn, (unsigned long long)d->entries,
               (unsigned long long)d->recorded, (unsigned long long)d->archived);
    repl_submit(R);
}

static void start_sending(struct partition *p)
{
    struct repl *R = p->repl;
    struct diverge *d = &p->div;
    struct errinfo ei = {0};
    struct place branch = {0};
    enum err e = part_place_at(p, d->branch.lsn, &branch, &ei);
    if (e == OK && branch.epoch != d->branch.epoch) {
        e = err_set(&ei, ERR_CORRUPT, "branch lsn %llu is of epoch %llu, not %llu",
                    (unsigned long long)branch.lsn, (unsigned long long)branch.epoch,
                    (unsigned long long)d->branch.epoch);
    }
    if (e == OK &&
        (p->mode->diverged == DIVERGED_FEED_LATEST || p->mode->diverged == DIVERGED_LWW)) {
        e = latest_new(p, branch.lsn + 1, &d->latest, &ei);
    }
    if (e != OK) {
        p->is_log_bad = true;
        part_corrupt(p, "branch point", &ei);
        return;
    }
    d->branch = branch;
    d->entries = p->tail.ord - branch.ord;
    d->next_lsn = branch.lsn + 1;
    diverge_move(d, DIV_SEND);
    repl_event(R, EVENT_DIVERGED, "partition=%llu branch_epoch=%llu branch_lsn=%llu entries=%llu",
               (unsigned long long)p->pid, (unsigned long long)branch.epoch,
               (unsigned long long)branch.lsn, (unsigned long long)d->entries);
    if (BUG(BUG_TRIM_BEFORE_SENT)) {
        cut(p);
        return;
    }
    send_lost(p);
}

/* The suffix is safe. Where it cannot be undone, all documents go if the partition may be copied anew; else
 * it stays as it is, and its region goes on with the others. */
static void finish_sending(struct partition *p)
{
    struct errinfo ei = {0};
    if (!p->is_corrupt && undo_suffix(p, /* is_trial= */ true, &ei) == OK) {
        cut(p);
        return;
    }
    if (!p->is_corrupt) {
        part_corrupt(p, "suffix", &ei);
    }
    if (repair_is_possible(p)) {
        repair_begin(p);
        cut(p);
    }
}

void conflict_step(struct partition *p)
{
    struct repl *R = p->repl;
    struct diverge *d = &p->div;
    if (p->is_corrupt && !repair_is_possible(p)) {
        return;
    }
    switch (d->state) {
    case DIV_NONE:
    case DIV_CUT:
        return;
    case DIV_WAIT:
        if (p->inflight_count == 0 && list_is_empty(&p->touched)) {
            start_sending(p);
        }
        return;
    case DIV_SEND:
        if (d->is_acked && d->is_archived) {
            d->is_acked = false;
            d->is_archived = false;
            d->archive_ticket = 0;
            if (d->is_last) {
                finish_sending(p);
            } else {
                d->next_lsn = d->batch_end.lsn + 1;
                send_lost(p);
            }
        } else if (!d->is_acked &&
                   R->io.now(R->io.ctx) - d->sent_us >= R->timers.retry_ms * UINT64_C(2000)) {
            send_lost(p);
        }
        return;
    }
    UNREACHABLE();
}

void conflict_on_lost_ack(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || p->mode->kind != REPL_READER || from != p->mode->writer ||
        m->generation != p->mode->generation || p->div.state != DIV_SEND ||
        !place_same(m->place, p->div.batch_end)) {
        return;
    }
    if (m->type == MSG_LOST_KEPT && !p->div.is_acked) {
        p->div.recorded += m->recorded;
        p->div.archived += m->archived;
    }
    p->div.is_acked = true;
    conflict_step(p);
}

void conflict_on_archived(struct repl *R, uint64_t ticket, enum err err)
{
    if (err != OK) { /* also when the suffix is of no interest any more: the disk has failed */
        R->io.fatal(R->io.ctx, err, "a diverged suffix cannot be archived");
        return;
    }
    LIST_FOR(l, &R->fetch_list) {
        struct partition *p = LIST_ENTRY(l, struct partition, fetch_link);
        if (p->div.state != DIV_SEND || p->div.archive_ticket != ticket) {
            continue;
        }
        p->div.is_archived = true;
        conflict_step(p);
        return;
    }
}

void conflict_fetch(struct partition *p)
{
    struct repl *R = p->repl;
    if (p->dirty.count == 0 || p->div.state != DIV_NONE || p->matched != p->mode->generation ||
        p->mode->kind != REPL_READER || p->held_docs.n > 0) {
        return;
    }
    arena_reset(&R->entry_arena);
    struct msg_key *keys = ARENA_NEW_ARRAY(&R->entry_arena, struct msg_key, MSG_KEYS_MAX);
    size_t n = 0;
    for (struct map_entry *e = map_first(&p->dirty); e != NULL && n < MSG_KEYS_MAX;
         e = map_next(e)) {
        struct str k = map_key(e);
        keys[n++] =
            (struct msg_key){(enum engine_space)(unsigned char)k.p[0], str_make(k.p + 1, k.n - 1)};
    }
    struct msg m = {.type = MSG_FETCH,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .key_count = n,
                    .keys = keys};
    p->fetch_sent_us = R->io.now(R->io.ctx);
    repl_send(R, p->mode->writer, &m);
}

/* ---- writer: conflict records ---- */

/* What became of the entries of one message. */
struct handed {
    struct place upto; /* the last of them */
    uint64_t recorded,
        archived; /* operations in the feed, and those that only the sender's archive has */
};

struct lost_wait {
    struct list link; /* in repl.pending_lost */
    struct partition *part;
    region_id from;
    struct handed handed;
    lsn need;
};

/* Twice: a program from before LOST_KEPT skips that. Others take the first, and find the second old. */
static void send_lost_ack(struct repl *R, region_id to, pid id, const struct handed *h)
{
    struct msg m = {.type = MSG_LOST_KEPT,
                    .generation = repl_mode_of(R, id)->generation,
                    .pid = id,
                    .place = h->upto,
                    .recorded = h->recorded,
                    .archived = h->archived};
    repl_send(R, to, &m);
    m.type = MSG_LOST_ACK;
    repl_send(R, to, &m);
}

static void lost_wait_free(struct repl *R, struct lost_wait *w)
{
    list_remove(&w->link);
    ASSERT(R->pending_lost_count > 0);
    R->pending_lost_count--;
    mem_free(w);
}

/* Records are safe when those have them who must have every write, less the regions that are
 * diverged in this partition themselves: they cannot take entries before their own suffix is
 * acknowledged, and two of them would wait for each other for ever. */
void conflict_check_waits(struct partition *p)
{
    struct repl *R = p->repl;
    if (R->pending_lost_count == 0) {
        return;
    }
    uint64_t mask = quorum_ack_mask(R, p);
    for (size_t i = 0; i < p->progress_count; i++) {
        if (p->progress[i]->state == PROG_DIVERGED) {
            mask &= ~(UINT64_C(1) << R->peers[i]->id);
        }
    }
    lsn safe = quorum_min(p, mask, p->durable.lsn);
    LIST_FOR_SAFE(l, &R->pending_lost) {
        struct lost_wait *w = LIST_ENTRY(l, struct lost_wait, link);
        if (w->part == p && w->need <= safe) {
            send_lost_ack(R, w->from, p->pid, &w->handed);
            lost_wait_free(R, w);
        }
    }
}

void conflict_drop_waits(struct repl *R)
{
    while (!list_is_empty(&R->pending_lost)) {
        struct lost_wait *w = LIST_ENTRY(R->pending_lost.next, struct lost_wait, link);
        lost_wait_free(R, w);
    }
}

void conflict_part_gone(struct partition *p)
{
    LIST_FOR_SAFE(l, &p->repl->pending_lost) {
        struct lost_wait *w = LIST_ENTRY(l, struct lost_wait, link);
        if (w->part == p) {
            lost_wait_free(p->repl, w);
        }
    }
}

/* Entries of conflict records say in their vector which entry was lost: (region, epoch) and
 * (region, lsn). */
enum { LOST_EPOCH, LOST_LSN, LOST_PLACE_COUNT };

void entry_set_lost_place(struct entry *e, const struct lost_place *about)
{
    if (about->from == 0) {
        return;
    }
    e->vector_count = LOST_PLACE_COUNT;
    e->vector[LOST_EPOCH].region = about->from;
    e->vector[LOST_EPOCH].count = about->epoch;
    e->vector[LOST_LSN].region = about->from;
    e->vector[LOST_LSN].count = about->lsn;
}

/* Conflict records of one lost entry, being collected. */
struct records {
    struct partition *p;
    struct arena a; /* keys and texts until the entry is written */
    struct entry_op *ops;
    size_t count, size;
    struct write_place place;
    struct lost_place about; /* the lost entry that all of them are about */
    lsn need;                /* highest lsn that holds a record of this message */
    struct handed handed;
    struct str latest; /* bit per operation of the message; those beyond it count as set */
    size_t bit;        /* of the entry's first operation */
    bool is_full;      /* the feed, when the entry came */
};

static void records_place(struct records *r)
{
    struct repl *R = r->p->repl;
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    r->place = (struct write_place){
        .pid = r->p->pid,
        .epoch = r->p->mode->epoch,
        .lsn = r->p->tail.lsn + 1,
        .hlc = repl_next_hlc(R, wall_ms),
        .ts = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0,
        .origin = R->self,
        .token_version = r->p->mode->token_version,
    };
}

static enum err records_write(struct records *r)
{
    if (r->count == 0) {
        return OK;
    }
    if (r->place.lsn >= r->p->mode->lsn_limit) {
        return ERR_UNAVAILABLE;
    }
    struct entry e = {.kind = ENTRY_WRITE,
                      .reason = REASON_CONFLICT,
                      .lsn = r->place.lsn,
                      .hlc = r->place.hlc,
                      .ts = r->place.ts,
                      .op_count = r->count,
                      .ops = r->ops};
    entry_set_lost_place(&e, &r->about);
    part_write(r->p, &e);
    r->need = e.lsn;
    r->p->repl->stats.conflict_records += r->count;
    r->count = 0;
    r->size = 0;
    arena_reset(&r->a);
    r->ops = ARENA_NEW_ARRAY(&r->a, struct entry_op, BATCH_OPS_MAX);
    records_place(r);
    return OK;
}

/* The record's present version; lsn 0 = there is none. */
static enum err record_find(struct records *r, struct str key, struct engine_version *ret)
{
    struct repl *R = r->p->repl;
    *ret = (struct engine_version){0};
    for (size_t i = 0; i < r->count; i++) {
        if (str_eq(r->ops[i].key, key)) {
            *ret = r->ops[i].doc.version;
            return OK;
        }
    }
    const struct ov_node *n = ov_find(r->p, SPACE_CONFLICT, key, ov_hash(SPACE_CONFLICT, key));
    if (n != NULL) {
        if (!n->is_absent) {
            *ret = n->doc.version;
        }
        return OK;
    }
    struct engine_doc doc = {0};
    struct errinfo ei = {0};
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    enum err e = engine_get(R->engine, NULL, r->p->pid, SPACE_CONFLICT, key, /* want_text= */ false,
                            &hold, &doc, &ei);
    if (e == OK) {
        *ret = doc.version;
        ret->uniques = NULL;
        ret->unique_count = 0;
    } else if (e == ERR_NOT_FOUND) {
        e = OK;
    } else {
        part_corrupt(r->p, "conflict record", &ei);
    }
    buf_done(&hold);
    return e;
}

/* By the account's setting. Conflict records that were lost are for the feed whatever it says: they were
 * there. */
static bool is_for_feed(const struct records *r, size_t op)
{
    switch (r->p->mode->diverged) {
    case DIVERGED_FEED:
    case DIVERGED_LWW:
        return true;
    case DIVERGED_FEED_LATEST:
        return bits_get(r->latest, r->bit + op, /* beyond= */ true);
    case DIVERGED_ARCHIVE:
    case DIVERGED_COUNT:
        break;
    }
    return false;
}

/* The lost version may be the item from now on: that entry has its record. */
static enum err records_apply(struct records *r, const struct entry *lost, size_t i,
                              const struct conflict_note *note, struct str key, bool *ret_is_put)
{
    if (r->p->mode->diverged != DIVERGED_LWW || !bits_get(r->latest, r->bit + i, false)) {
        return OK;
    }
    struct lww_req req = {.lost = lost, .note = *note, .about = r->about, .key = key};
    lsn at = 0;
    enum err e = lww_put(r->p, &req, &at);
    if (e == OK) {
        r->need = at;
        r->p->repl->stats.conflict_records++;
        records_place(r);
        *ret_is_put = true;
    }
    return e == ERR_PRECONDITION ? OK : e;
}

static enum err records_add(struct records *r, const struct entry *lost, size_t i,
                            const struct conflict_note *note, struct buf *key, struct buf *text)
{
    struct repl *R = r->p->repl;
    const struct entry_op *op = &lost->ops[i];
    uint64_t rid = op->doc.rid;
    bool is_write = op->space == SPACE_ITEM;
    if (is_write && !is_for_feed(r, i)) {
        r->handed.archived++;
        return OK;
    }
    buf_clear(key);
    buf_clear(text);
    r->place.op_idx = (uint16_t)r->count;
    if (op->space == SPACE_CONFLICT) {
        /* A conflict record that was itself lost may be the only trace of an older suffix, which
         * its region has cut meanwhile: it is put again as it was. Consuming one is undone. */
        if (op->is_delete) {
            return OK;
        }
        buf_add_str(key, op->key);
        buf_add_str(text, op->doc.text);
    } else if (!R->io.conflict_build(R->io.ctx, r->p->pid, lost, i, note, &r->place, key, text,
                                     &rid)) {
        r->handed.archived += is_write;
        return OK;
    }
    if (!buf_ok(key) || !buf_ok(text) || key->n == 0) {
        r->handed.archived += is_write;
        return OK;
    }
    struct engine_version old;
    struct str k = BUG(BUG_FEED_KEY_BY_ITEM) ? lost->ops[i].key : buf_str(key);
    TRY(record_find(r, k, &old));
    if (old.lsn != 0 && !BUG(BUG_FEED_KEY_BY_ITEM)) {
        r->need = old.lsn > r->need ? old.lsn : r->need;
        r->handed.recorded += is_write;
        return OK; /* a repeat */
    }
    if (is_write && r->is_full) {
        r->handed.archived++;
        return OK;
    }
    r->handed.recorded += is_write;
    bool is_put = false;
    if (is_write) {
        TRY(records_apply(r, lost, i, note, k, &is_put));
    }
    if (is_put) {
        return OK;
    }
    r->size += k.n + text->n + ENTRY_OP_OVERHEAD_MAX;
    r->ops[r->count++] = (struct entry_op){
        .space = SPACE_CONFLICT,
        .key = arena_str(&r->a, k),
        .doc = {.version = {.lsn = r->place.lsn, .op_idx = r->place.op_idx, .doc_size = text->n},
                .epoch = r->place.epoch,
                .rid = rid,
                .ts = r->place.ts,
                .hlc = r->place.hlc,
                .origin = R->self,
                .text = arena_str(&r->a, buf_str(text))},
        .old = old,
    };
    if (r->count == BATCH_OPS_MAX || r->size >= CONFLICT_ENTRY_SIZE_MAX) {
        return records_write(r);
    }
    return OK;
}

/* Which entry is this about? A lost entry itself, or what a lost conflict entry was about. false:
 * nothing to record. */
static bool records_begin(struct records *r, const struct entry *lost, region_id from)
{
    r->about = (struct lost_place){from, lost->epoch, lost->lsn};
    if (lost->reason == REASON_TTL) {
        return false; /* decided again here */
    }
    if (lost->reason == REASON_CONFLICT && lost->vector_count == LOST_PLACE_COUNT) {
        r->about.from = lost->vector[LOST_EPOCH].region;
        r->about.epoch = lost->vector[LOST_EPOCH].count;
        r->about.lsn = lost->vector[LOST_LSN].count;
        /* Its region became writer before it had cut it: it is not lost after all. */
        return !part_history_has(r->p, r->about.epoch, r->about.lsn);
    }
    return true;
}

static enum err record_all(struct records *r, const struct msg *m, region_id from)
{
    struct repl *R = r->p->repl;
    struct buf key, text;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    buf_init(&text, CONFLICT_TEXT_SIZE_MAX);
    enum err ret = OK;
    size_t op_count = 0; /* of the entry before */
    r->latest = m->kept;
    for (size_t i = 0; ret == OK && i < m->entry_count; i++) {
        struct entry lost;
        struct errinfo ei = {0};
        arena_reset(&R->entry_arena);
        ret = entry_decode(&R->entry_arena, m->entries[i], &lost, &ei);
        if (ret != OK) {
            repl_event(R, EVENT_CORRUPT,
                       "partition=%llu what=\"lost entry of region %u\" error=\"%s\"",
                       (unsigned long long)r->p->pid, from, ei.message);
            break;
        }
        r->handed.upto = (struct place){lost.epoch, lost.lsn, lost.ord, lost.chain};
        r->bit += op_count;
        op_count = lost.op_count;
        if (!records_begin(r, &lost, from)) {
            continue;
        }
        r->is_full = quota_is_full(R);
        struct conflict_note note = {.from = from,
                                     .was_acknowledged =
                                         r->p->pid != 0 && (lost.epoch < r->p->mode->strong_since ||
                                                            lost.lsn <= m->commit_lsn)};
        for (size_t op = 0; ret == OK && op < lost.op_count; op++) {
            ret = records_add(r, &lost, op, &note, &key, &text);
        }
        KEEP_FIRST(ret, records_write(r));
    }
    buf_done(&key);
    buf_done(&text);
    return ret;
}

/* Of a partition whose container is unknown here: the sender's archive is all that can be had. */
static enum err count_archived(struct repl *R, const struct msg *m, struct handed *h)
{
    for (size_t i = 0; i < m->entry_count; i++) {
        struct entry lost;
        arena_reset(&R->entry_arena);
        TRY(entry_decode(&R->entry_arena, m->entries[i], &lost, NULL));
        h->upto = (struct place){lost.epoch, lost.lsn, lost.ord, lost.chain};
        for (size_t k = 0; lost.reason != REASON_TTL && k < lost.op_count; k++) {
            h->archived += lost.ops[k].space == SPACE_ITEM;
        }
    }
    return OK;
}

void conflict_on_lost(struct repl *R, region_id from, const struct msg *m)
{
    const struct repl_mode *mode = repl_mode_of(R, m->pid);
    if (mode->kind != REPL_WRITER || mode->is_holding || m->generation != mode->generation ||
        m->entry_count == 0 || R->pending_lost_count >= LOST_WAITS_MAX) {
        return; /* it sends again */
    }
    R->stats.lost_received += m->entry_count;
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL) {
        struct handed h = {0};
        if (count_archived(R, m, &h) == OK) {
            send_lost_ack(R, from, m->pid, &h);
        }
        return;
    }
    if (p->tail.epoch != p->mode->epoch || p->tail.lsn + 1 >= p->mode->lsn_limit) {
        return;
    }
    struct records r = {.p = p};
    arena_init(&r.a);
    r.ops = ARENA_NEW_ARRAY(&r.a, struct entry_op, BATCH_OPS_MAX);
    records_place(&r);
    enum err e = record_all(&r, m, from);
    arena_done(&r.a);
    if (e != OK) {
        return;
    }
    if (r.need == 0) {
        send_lost_ack(R, from, p->pid, &r.handed);
        return;
    }
    struct lost_wait *w = MEM_NEW(struct lost_wait);
    list_init(&w->link);
    w->need = r.need;
    w->part = p;
    w->from = from;
    w->handed = r.handed;
    list_push_back(&R->pending_lost, &w->link);
    R->pending_lost_count++;
    conflict_check_waits(p);
}
