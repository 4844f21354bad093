/* The reader's side of replication: entries of the present writer are checked and stored, and
 * acknowledged once they are durable.
 *
 * A partition is "matched" under a generation once the writer has confirmed that our tail is in its
 * history. Before that nothing it says about positions (commit, all) is believed: lsns of a
 * diverged suffix could lie below a newer commit_lsn by accident. */
#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "repl/repl_int.h"

enum {
    NACK_PAUSE_US = 20 * 1000,
    FETCH_FACTOR = 2,
    RESERVE_ENTRIES_MIN = 32,
    ENTRY_ROWS_COST = 256
};

bool part_is_nobodys(const struct partition *p)
{
    return p->reign_max > p->mode->generation;
}

bool apply_is_from_writer(const struct repl *R, region_id from, const struct msg *m)
{
    const struct repl_mode *mode = repl_mode_of(R, m->pid);
    if (mode->kind != REPL_READER) {
        return false;
    }
    if (BUG(BUG_NO_GENERATION_GUARD) || (mode != &R->mode && BUG(BUG_PART_NO_GENERATION))) {
        return true;
    }
    const struct partition *p = repl_find(R, m->pid);
    return from == mode->writer && m->generation == mode->generation &&
           (p == NULL || !part_is_nobodys(p));
}

/* ---- dirty marks ---- */

struct str part_key(char hold[PART_KEY_SIZE_MAX], enum engine_space space, struct str key)
{
    ASSERT(key.n <= ENGINE_KEY_SIZE_MAX);
    hold[0] = (char)space;
    memcpy(hold + 1, key.p, key.n);
    return str_make(hold, key.n + 1);
}

bool part_is_dirty(const struct partition *p, enum engine_space space, struct str key)
{
    if (p->dirty.count == 0) {
        return false;
    }
    char hold[PART_KEY_SIZE_MAX];
    return map_get(&p->dirty, part_key(hold, space, key)) != NULL;
}

void part_mark_dirty(struct partition *p, enum engine_space space, struct str key)
{
    char hold[PART_KEY_SIZE_MAX];
    if (map_put(&p->dirty, part_key(hold, space, key), &p->repl->mark) == NULL) {
        p->repl->dirty_count++;
    }
    if (list_is_empty(&p->fetch_link)) {
        list_push_back(&p->repl->fetch_list, &p->fetch_link);
    }
}

void apply_forget_dirty(struct partition *p, enum engine_space space, struct str key)
{
    struct repl *R = p->repl;
    char hold[PART_KEY_SIZE_MAX];
    engine_batch_dirty(repl_batch(R), p->pid, space, key, false); /* the map may own `key` */
    void *was = map_remove(&p->dirty, part_key(hold, space, key));
    ASSERT(was != NULL);
    ASSERT(R->dirty_count > 0);
    R->dirty_count--;
    part_touch(p);
    p->dirty_ticket = R->next_ticket;
}

/* ---- where our log ends ---- */

void apply_send_tail(struct partition *p, bool is_nack)
{
    struct repl *R = p->repl;
    if (seed_ask(p)) {
        p->tail_sent_us = R->io.now(R->io.ctx);
        return;
    }
    size_t n = p->row_count < MSG_EPOCHS_MAX ? p->row_count : MSG_EPOCHS_MAX;
    struct msg m = {
        .type = MSG_TAIL,
        .generation = p->mode->generation,
        .pid = p->pid,
        .place = p->tail,
        .durable = p->durable,
        .is_nack = is_nack,
        .row_count = n,
        .rows = p->rows + (p->row_count - n),
    };
    p->tail_sent_us = R->io.now(R->io.ctx);
    repl_send(R, p->mode->writer, &m);
    seed_tell(p);
}

void apply_on_probe(struct repl *R, region_id from, const struct msg *m)
{
    if (!apply_is_from_writer(R, from, m)) {
        return;
    }
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL && map_get(&R->dropped, str_make(&m->pid, sizeof(m->pid))) == NULL &&
        R->part_count < PARTITIONS_MAX) {
        p = repl_part(R, m->pid);
    }
    if (p != NULL && !p->is_wiping) {
        apply_send_tail(p, /* is_nack= */ false);
    }
}

static void set_matched(struct partition *p)
{
    struct repl *R = p->repl;
    p->matched = p->mode->generation;
    p->was_matched = true;
    part_set_flags(p);
    list_remove(&p->unmatched);
    p->fetch_sent_us = 0;
    part_publish(p); /* of the token version more may be shown */
    if (list_is_empty(&p->ack_due)) {
        list_push_back(&R->ack_due, &p->ack_due);
    }
    seed_step(p);
}

bool apply_is_matched(const struct partition *p)
{
    return p->matched == p->mode->generation && p->matched != 0;
}

void apply_unmatch(struct partition *p)
{
    p->matched = 0;
    p->tail_sent_us = 0;
    p->ack_sent_lsn = 0;
    if (p->mode->kind == REPL_READER && list_is_empty(&p->unmatched)) {
        list_push_back(&p->repl->unmatched, &p->unmatched);
    } else if (p->mode->kind != REPL_READER) {
        list_remove(&p->unmatched);
    }
}

/* The writer lacks the whole partition. That is believed only once our metadata is the writer's:
 * else it may be a partition that was dropped there, or one that we know before it does. */
static bool metadata_is_current(const struct repl *R)
{
    const struct partition *p = repl_find(R, 0);
    return p != NULL && apply_is_matched(p) && !seed_is_on(p) &&
           p->commit_lsn >= p->mode->start_lsn && p->durable.lsn >= p->commit_lsn;
}

void apply_on_branch(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!apply_is_from_writer(R, from, m) || p == NULL || p->div.state != DIV_NONE ||
        p->is_wiping) {
        return;
    }
    if (apply_is_matched(p)) {
        /* The answer to an older tail of ours (asked twice): entries of this writer came in
         * between, and what is before our end now is no branch. */
        return;
    }
    if (!place_same(m->durable, p->tail)) {
        return; /* an answer to an older tail: entries have been added or cut since */
    }
    if (m->is_unknown && p->tail.lsn != 0 && (p->pid == 0 || !metadata_is_current(R))) {
        return; /* asked again by the tick */
    }
    struct place branch = {0};
    if (!m->is_unknown) {
        branch = m->place;
    }
    if (place_same(branch, p->tail)) {
        set_matched(p);
    } else if (branch.lsn < p->trim.lsn && (!m->is_unknown || seed_is_on(p))) {
        seed_on_branch(p); /* our log does not begin there any more, or never did */
    } else if (branch.lsn < p->tail.lsn && part_history_has(p, branch.epoch, branch.lsn)) {
        conflict_begin(p, branch);
    } else {
        p->tail_sent_us = 0; /* no such place in our history: ask again */
    }
}

/* ---- positions ---- */

static void set_commit(struct partition *p, lsn commit, lsn all)
{
    struct repl *R = p->repl;
    if (commit > p->commit_lsn) {
        p->commit_lsn = commit;
        atomic_store_explicit(&p->view.commit_lsn, commit, memory_order_release);
        struct wait_node *n;
        while ((n = wait_pop(&p->commit_waiters, commit)) != NULL) {
            R->io.committed(R->io.ctx, n);
        }
    }
    if (all > p->durable.lsn) {
        all = p->durable.lsn;
    }
    if (all > p->all_lsn) {
        p->all_lsn = all;
        if (list_is_empty(&p->trim_link)) {
            list_push_back(&R->trim_list, &p->trim_link);
        }
    }
}

void apply_on_commit(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (apply_is_from_writer(R, from, m) && p != NULL && apply_is_matched(p)) {
        set_commit(p, m->commit_lsn, m->all_lsn);
    }
}

void apply_send_acks(struct repl *R)
{
    struct list *l;
    while ((l = list_pop_front(&R->ack_due)) != NULL) {
        struct partition *p = LIST_ENTRY(l, struct partition, ack_due);
        struct place at = BUG(BUG_ACK_BEFORE_PEER_SYNC) ? p->tail : p->durable;
        if (p->mode->kind != REPL_READER || !apply_is_matched(p) || p->div.state != DIV_NONE ||
            at.lsn == p->ack_sent_lsn) {
            continue;
        }
        p->ack_sent_lsn = at.lsn;
        struct msg m = {
            .type = MSG_ACK, .generation = p->mode->generation, .pid = p->pid, .place = at};
        repl_send(R, p->mode->writer, &m);
    }
}

/* ---- entries ---- */

enum err apply_entry(struct partition *p, struct str bytes, struct errinfo *ei)
{
    struct repl *R = p->repl;
    struct entry head = {0};
    size_t total = 0;
    TRY(entry_peek(bytes, &head, &total, ei));
    if (head.lsn <= p->tail.lsn) {
        return part_history_has(p, head.epoch, head.lsn) ? OK : ERR_NOT_FOUND;
    }
    if (head.prev_epoch != p->tail.epoch || head.prev_lsn != p->tail.lsn) {
        return ERR_NOT_FOUND;
    }
    arena_reset(&R->entry_arena);
    struct entry e;
    TRY(entry_decode(&R->entry_arena, bytes, &e, ei));
    if (e.ord != p->tail.ord + 1 || entry_chain(bytes, p->tail.chain) != e.chain) {
        return err_set(ei, ERR_CORRUPT, "partition %llu: chain broken at lsn %llu",
                       (unsigned long long)p->pid, (unsigned long long)e.lsn);
    }
    part_append(p, &e, bytes, NULL);
    R->stats.entries_applied++;
    return OK;
}

static void nack(struct partition *p)
{
    struct repl *R = p->repl;
    usec now = R->io.now(R->io.ctx);
    if (p->tail_sent_us == 0 || now - p->tail_sent_us >= NACK_PAUSE_US) {
        R->stats.nacks++;
        apply_send_tail(p, /* is_nack= */ true);
    }
}

/* The writer's first entries can be here before the record that opened its epoch, since the claim
 * before it has the same generation. They say nothing yet: whether the epoch took writes back, and so
 * the token version that its data must be shown with, stands in that record. When it is seen, all tails
 * are told again and the writer goes on from there. */
static bool is_ahead_of_record(const struct partition *p, struct str bytes)
{
    struct entry head = {0};
    size_t total = 0;
    return entry_peek(bytes, &head, &total, NULL) == OK && head.epoch > p->mode->record_epoch;
}

/* Room for all entries of a message in the batch that is being built: about what they, their documents
 * and the rows of those take. Few fit anyway. */
static void reserve(struct repl *R, const struct msg *m)
{
    if (R->batch == NULL || m->entry_count < RESERVE_ENTRIES_MIN) {
        return;
    }
    size_t size = 0;
    for (size_t i = 0; i < m->entry_count; i++) {
        size += ENTRY_ROWS_COST + 2 * m->entries[i].n;
    }
    engine_batch_reserve(R->batch, size);
}

void apply_on_append(struct repl *R, region_id from, const struct msg *m)
{
    if (!apply_is_from_writer(R, from, m) || m->entry_count == 0) {
        return;
    }
    struct partition *p = repl_find(R, m->pid);
    if (p == NULL || p->div.state != DIV_NONE || p->is_wiping) {
        return; /* the writer probes first; it will ask again */
    }
    struct entry last = {0};
    for (size_t i = 0; i < m->entry_count; i++) {
        struct errinfo ei = {0};
        size_t total = 0;
        if (is_ahead_of_record(p, m->entries[i])) {
            return;
        }
        enum err e = apply_entry(p, m->entries[i], &ei);
        if (i == 0) {
            reserve(R, m);
        }
        if (e == OK) {
            e = entry_peek(m->entries[i], &last, &total, &ei);
        }
        if (e == ERR_NOT_FOUND) {
            nack(p);
            return;
        }
        if (e != OK) {
            repl_event(R, EVENT_CORRUPT,
                       "partition=%llu what=\"entry from region %u\" error=\"%s\"",
                       (unsigned long long)p->pid, from, ei.message);
            nack(p);
            return;
        }
    }
    if (last.lsn == p->tail.lsn) {
        if (!apply_is_matched(p)) {
            set_matched(p);
        }
        set_commit(p, m->commit_lsn, m->all_lsn);
    }
    if (BUG(BUG_ACK_BEFORE_PEER_SYNC) && list_is_empty(&p->ack_due)) {
        list_push_back(&R->ack_due, &p->ack_due);
    }
    apply_held_docs(p);
    if (p->seed != NULL) {
        seed_step(p);
    }
}

/* ---- fetched documents ---- */

static void apply_docs(struct partition *p, const struct msg *m)
{
    struct repl *R = p->repl;
    for (size_t i = 0; i < m->doc_count; i++) {
        const struct msg_doc *d = &m->docs[i];
        if (!part_is_dirty(p, d->key.space, d->key.key)) {
            continue; /* an entry has decided about it meanwhile */
        }
        apply_forget_dirty(p, d->key.space, d->key.key);
        if (!d->is_present) {
            continue;
        }
        engine_batch_put(repl_batch(R), p->pid, d->key.space, d->key.key, &d->doc, NULL);
        part_count_doc(p, d->key.space, NULL, &d->doc);
        if (d->key.space == SPACE_ITEM) {
            ttl_note(p, d->doc.version.expire_at);
        }
    }
    p->fetch_sent_us = 0;
    conflict_fetch(p);
}

/* The answer shows the writer's state after all entries up to its snapshot. It says something about
 * ours once our log has those entries too: then a key still marked was touched by none of them. */
void apply_on_docs(struct repl *R, region_id from, const struct msg *m)
{
    struct partition *p = repl_find(R, m->pid);
    if (!apply_is_from_writer(R, from, m) || p == NULL || p->div.state != DIV_NONE ||
        !apply_is_matched(p) || p->is_wiping) {
        return;
    }
    if (p->tail.lsn >= m->place.lsn) {
        apply_docs(p, m);
        return;
    }
    buf_clear(&p->held_docs);
    msg_frame_begin(&p->held_docs, from, R->self);
    msg_encode(&p->held_docs, m);
    p->held_docs_lsn = m->place.lsn;
}

void apply_held_docs(struct partition *p)
{
    struct repl *R = p->repl;
    if (p->held_docs.n == 0 || p->tail.lsn < p->held_docs_lsn) {
        return;
    }
    struct msg_reader r;
    struct msg m = {0};
    struct errinfo ei = {0};
    arena_reset(&R->arena);
    enum err e = msg_frame_open(buf_str(&p->held_docs), &r, &ei);
    if (e == OK) {
        e = msg_next(&r, &R->arena, &m, &ei);
    }
    ASSERT(e == OK); /* we encoded it */
    ASSERT(m.type == MSG_DOCS);
    apply_docs(p, &m);
    buf_done(&p->held_docs);
    buf_init(&p->held_docs, MSG_FRAME_SIZE_MAX);
}

void apply_tick(struct repl *R)
{
    usec now = R->io.now(R->io.ctx);
    usec retry = R->timers.retry_ms * UINT64_C(1000);
    LIST_FOR(l, &R->unmatched) {
        struct partition *p = LIST_ENTRY(l, struct partition, unmatched);
        if (p->div.state == DIV_NONE && !p->is_wiping && repl_link_is_up(R, p->mode->writer) &&
            (p->tail_sent_us == 0 || now - p->tail_sent_us >= retry)) {
            apply_send_tail(p, /* is_nack= */ false);
        }
    }
    seed_tick(R);
    LIST_FOR_SAFE(l, &R->fetch_list) {
        struct partition *p = LIST_ENTRY(l, struct partition, fetch_link);
        if (p->mode->kind != REPL_READER) {
            continue;
        }
        conflict_step(p);
        if (p->is_wiping) {
            continue;
        }
        apply_held_docs(p);
        if (p->div.state == DIV_NONE && p->dirty.count == 0) {
            list_remove(&p->fetch_link);
        } else if (p->fetch_sent_us == 0 || now - p->fetch_sent_us >= retry * FETCH_FACTOR) {
            conflict_fetch(p);
        }
    }
}
