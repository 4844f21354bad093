/* Who writes each partition, as the account says it, and what follows from a change of that: epochs that
 * open, partitions that are sealed, behind or whole, the end of a transfer. See repl.h. */
#include "repl/repl.h"

#include <string.h>

#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

/* ---- partitions with a writer of their own ---- */

struct slot *modes_slot(const struct repl *R, pid id)
{
    LIST_FOR(l, &R->slots) {
        struct slot *s = LIST_ENTRY(l, struct slot, link);
        if (s->pid == id) {
            return s;
        }
    }
    return NULL;
}

const struct repl_mode *repl_mode_of(const struct repl *R, pid id)
{
    const struct slot *s = R->slot_count > 0 ? modes_slot(R, id) : NULL;
    return s != NULL ? &s->mode : &R->mode;
}

const struct repl_mode *repl_part_mode(const struct repl *R, pid p)
{
    return repl_mode_of(R, p);
}

bool repl_has_part_mode(const struct repl *R, pid p)
{
    return R->slot_count > 0 && modes_slot(R, p) != NULL;
}

void repl_each_part_mode(const struct repl *R, void (*fn)(void *ctx, pid p), void *ctx)
{
    LIST_FOR_SAFE(l, &R->slots) {
        fn(ctx, LIST_ENTRY(l, struct slot, link)->pid);
    }
}

/* ---- modes ---- */

void modes_open_epoch(struct partition *p)
{
    struct repl *R = p->repl;
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    struct entry e = {
        .kind = ENTRY_EPOCH,
        .reason = REASON_CLIENT,
        .lsn = p->mode->start_lsn,
        .hlc = repl_next_hlc(R, wall_ms),
        .ts = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0,
    };
    if (BUG(BUG_LSN_REUSED) && p->tail.lsn > 0) {
        e.lsn = p->tail.lsn + 1;
    }
    part_write(p, &e);
}

const struct repl_mode *repl_mode(const struct repl *R)
{
    return &R->mode;
}

/* A reader under a new writer or generation: nothing learned from the one before counts. */
static void forget_match(struct partition *p)
{
    apply_unmatch(p);
    p->fetch_sent_us = 0;
    buf_clear(&p->held_docs);
    conflict_reset(p);
    seed_forget(p);
    pull_forget(p);
}

/* Has it not reached its writer's epoch yet? */
static void find_behind(struct partition *p)
{
    list_remove(&p->behind);
    if (!p->is_dropped && p->mode->kind != REPL_WRITER && p->durable.lsn < p->mode->start_lsn) {
        list_push_back(&p->repl->behind, &p->behind);
    }
    part_publish(p);
}

uint64_t repl_token_version(const struct repl *R)
{
    uint64_t low = R->mode.token_version;
    LIST_FOR(l, &R->behind) {
        uint64_t version = part_token_version(LIST_ENTRY(l, struct partition, behind));
        low = version < low ? version : low;
    }
    return low;
}

static void leave_writer(struct partition *p)
{
    conflict_part_gone(p);
    ship_reset(p);
    list_remove(&p->commit_due);
}

static void enter_writer(struct partition *p, bool was_writer)
{
    p->acked = 0;
    p->was_matched = true;
    p->inherited = p->tail.lsn;
    p->announced_commit = 0;
    p->announced_all = 0;
    /* What a reader applied is not in the overlay: writes are decided on storage alone. */
    ASSERT(was_writer || p->is_dropped || place_same(p->tail, p->durable));
    ASSERT(p->is_dropped || (p->div.state == DIV_NONE && p->dirty.count == 0));
    ship_start(p);
}

static bool is_new_reign(const struct repl_mode *old, const struct repl_mode *m)
{
    ASSERT(IMPLIES(m->kind == REPL_WRITER, m->epoch > 0 && m->generation > 0 && m->start_lsn > 0));
    return old->kind != m->kind || old->generation != m->generation || old->epoch != m->epoch ||
           old->writer != m->writer ||
           (m->kind == REPL_READER && old->record_epoch != m->record_epoch);
}

/* The partition obeys another reign: what was promised or learned under the old one ends. */
static void change_reign(struct partition *p, const struct repl_mode *old)
{
    if (old->kind == REPL_WRITER) {
        leave_writer(p);
    }
    if (!p->is_dropped) {
        forget_match(p);
    }
    if (p->mode->kind == REPL_WRITER) {
        enter_writer(p, old->kind == REPL_WRITER);
    }
}

static void follow_mode(struct partition *p, const struct repl_mode *old, bool is_new)
{
    if (is_new) {
        change_reign(p, old);
    }
    if (p->mode->own_loss.epoch > p->own_loss.epoch) {
        p->own_loss = p->mode->own_loss;
    }
    if (is_new || old->start_lsn != p->mode->start_lsn ||
        old->token_version != p->mode->token_version || old->lossy_count != p->mode->lossy_count) {
        find_behind(p);
    }
    part_set_flags(p);
    if (p->mode->kind == REPL_WRITER && !is_new) {
        quorum_update(p);
    }
}

void repl_set_mode(struct repl *R, const struct repl_mode *m)
{
    struct repl_mode old = R->mode;
    bool is_new = is_new_reign(&old, m);
    if (is_new) {
        repl_submit(R); /* under the generation it was made in */
        R->pull_is_closed = false;
    }
    R->mode = *m;
    LIST_FOR(l, &R->parts) {
        struct partition *p = LIST_ENTRY(l, struct partition, link);
        if (p->slot == NULL) {
            follow_mode(p, &old, is_new);
        }
    }
}

bool repl_set_part_mode(struct repl *R, pid id, const struct repl_mode *m)
{
    struct repl_mode old = *repl_mode_of(R, id);
    struct slot *s = modes_slot(R, id);
    bool is_new = is_new_reign(&old, m);
    if (is_new || s == NULL) {
        repl_submit(R); /* under the fence it was made with */
    }
    if (s == NULL) {
        ASSERT(R->slot_count < SLOTS_MAX);
        s = MEM_NEW(struct slot);
        s->pid = id;
        list_init(&s->link);
        list_push_back(&R->slots, &s->link);
        R->slot_count++;
        s->part = repl_find(R, id);
    }
    s->mode = *m;
    s->pull_is_closed = s->pull_is_closed && !is_new;
    if (s->part != NULL) {
        s->part->slot = s;
        s->part->mode = &s->mode;
        s->part->reign_max =
            m->generation > s->part->reign_max ? m->generation : s->part->reign_max;
        follow_mode(s->part, &old, is_new);
    }
    return is_new;
}

bool repl_clear_part_mode(struct repl *R, pid id)
{
    struct slot *s = modes_slot(R, id);
    if (s == NULL) {
        return false;
    }
    repl_submit(R);
    struct repl_mode old = s->mode;
    struct partition *p = s->part;
    list_remove(&s->link);
    R->slot_count--;
    if (p != NULL) {
        p->slot = NULL;
        p->mode = &R->mode;
        follow_mode(p, &old, /* is_new= */ true);
    }
    mem_free(s);
    return true;
}

void repl_open_epoch_part(struct partition *p)
{
    ASSERT(p->mode->kind == REPL_WRITER && !p->mode->is_holding);
    ASSERT(p->tail.lsn < p->mode->start_lsn || BUG(BUG_LSN_REUSED));
    modes_open_epoch(p);
    quorum_update(p);
}

void repl_open_epoch(struct repl *R)
{
    for (struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        /* Opening the metadata can acknowledge a container: its partition comes to be open. */
        if (p->slot == NULL && p->tail.epoch != R->mode.epoch) {
            repl_open_epoch_part(p);
        }
    }
}

bool repl_is_quiet_part(const struct partition *p)
{
    return p->inflight_count == 0 && list_is_empty(&p->touched);
}

bool repl_is_quiet(const struct repl *R)
{
    if (R->slot_count == 0) {
        return R->batch == NULL && list_is_empty(&R->inflight);
    }
    /* Partitions with a writer of their own may never be quiet all at once. */
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot == NULL && !repl_is_quiet_part(p)) {
            return false;
        }
    }
    return true;
}

void repl_seal(struct repl *R)
{
    ASSERT(R->mode.kind == REPL_SEALED);
    repl_submit(R);
    (void)repl_batch(R);
    R->batch_is_seal = true;
    repl_submit(R);
}

void repl_seal_part(struct partition *p)
{
    ASSERT(p->mode->kind == REPL_SEALED && p->slot != NULL);
    (void)repl_batch(p->repl);
    part_touch(p); /* its meta is stored under the new fence */
    repl_submit(p->repl);
}

bool repl_is_sealed(const struct repl *R)
{
    return repl_is_quiet(R) && R->sealed >= R->mode.generation;
}

bool repl_is_sealed_part(const struct partition *p)
{
    return repl_is_quiet_part(p) && p->sealed >= p->mode->generation;
}

bool repl_is_corrupt(const struct partition *p)
{
    return p->is_corrupt;
}

void repl_report_corrupt(struct partition *p, const struct errinfo *ei)
{
    if (!p->is_corrupt) {
        part_corrupt(p, "read", ei);
    }
}

size_t repl_corrupt_count(const struct repl *R)
{
    return R->corrupt_count;
}

void repl_set_may_repair(struct repl *R, bool may)
{
    R->may_repair = may;
}

bool repl_is_sound(const struct partition *p)
{
    return p->dirty.count == 0 && p->div.state == DIV_NONE && !seed_is_on(p) && !p->is_corrupt &&
           !p->repl->is_stale;
}

bool repl_has_docs(const struct partition *p)
{
    return !seed_is_on(p) && !p->is_wiping;
}

/* Of all partitions that follow the region. A suffix counts as long as its cut has not begun. */
static bool has_all(const struct repl *R, bool may_have_suffix)
{
    if (R->is_stale) {
        return false;
    }
    bool has_counts = R->dirty_count > 0 || R->diverged_count > 0 || R->seed_count > 0;
    if (has_counts && R->slot_count == 0 && !may_have_suffix) {
        return false;
    }
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        /* One that cannot be read is given to another region once the account is open. */
        bool is_given_away = p->is_corrupt && !p->is_wiping && R->may_repair && p->pid != 0;
        bool is_cut = may_have_suffix ? p->div.state == DIV_CUT : p->div.state != DIV_NONE;
        bool lacks = p->dirty.count > 0 || is_cut || seed_is_on(p);
        if (p->slot == NULL && ((has_counts && lacks) || (p->is_corrupt && !is_given_away))) {
            return false;
        }
    }
    return true;
}

bool repl_is_whole(const struct repl *R)
{
    return has_all(R, /* may_have_suffix= */ false);
}

bool repl_could_open(const struct repl *R)
{
    return has_all(R, /* may_have_suffix= */ true);
}

bool repl_is_matched(const struct repl *R)
{
    LIST_FOR(l, &R->unmatched) {
        if (LIST_ENTRY(l, struct partition, unmatched)->slot == NULL) {
            return false;
        }
    }
    return true;
}

bool repl_is_settled(const struct repl *R, uint64_t online_mask)
{
    if (R->is_stale) {
        return false;
    }
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->mode->kind == REPL_READER) {
            if (p->matched != p->mode->generation || !repl_is_sound(p)) {
                return false;
            }
        } else if (p->mode->kind != REPL_WRITER) {
            return false;
        }
        for (size_t i = 0; p->mode->kind == REPL_WRITER && i < p->progress_count; i++) {
            const struct progress *g = p->progress[i];
            if ((online_mask & (UINT64_C(1) << R->peers[i]->id)) != 0 && !progress_follows(g)) {
                return false;
            }
        }
    }
    return true;
}

lsn repl_tail_max(const struct repl *R)
{
    lsn max = 0;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        max = p->tail.lsn > max ? p->tail.lsn : max;
    }
    return max;
}

void repl_set_masks(struct repl *R, uint64_t online_mask, uint64_t strong_mask)
{
    if (R->mode.online_mask == online_mask && R->mode.strong_mask == strong_mask) {
        return;
    }
    struct repl_mode m = R->mode;
    m.online_mask = online_mask;
    m.strong_mask = strong_mask;
    repl_set_mode(R, &m);
}

/* ---- transfer ---- */

void repl_send_transfer_end(struct repl *R, region_id to)
{
    ASSERT(R->mode.kind == REPL_WRITER);
    arena_reset(&R->arena);
    struct msg_tail *tails = ARENA_NEW_ARRAY(&R->arena, struct msg_tail, R->part_count + 1);
    size_t n = 0;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->slot == NULL) {
            tails[n++] = (struct msg_tail){p->pid, p->tail};
        }
    }
    struct msg m = {.type = MSG_TRANSFER_END,
                    .generation = R->mode.generation,
                    .tail_count = n,
                    .tails = tails};
    repl_send(R, to, &m);
}

void repl_send_transfer_end_part(struct partition *p, region_id to)
{
    ASSERT(p->mode->kind == REPL_WRITER && p->slot != NULL);
    struct msg_tail tail = {p->pid, p->tail};
    struct msg m = {.type = MSG_TRANSFER_END,
                    .generation = p->mode->generation,
                    .tail_count = 1,
                    .tails = &tail};
    repl_send(p->repl, to, &m);
}

bool repl_equals_part(const struct partition *p, const struct place *at)
{
    return repl_is_quiet_part(p) && place_same(p->durable, *at) && place_same(p->tail, *at) &&
           p->tail.ord == at->ord && p->tail.chain == at->chain;
}

bool repl_equals(const struct repl *R, const struct msg_tail *tails, size_t n)
{
    if (!repl_is_quiet(R)) {
        return false;
    }
    size_t with_entries = 0;
    for (size_t i = 0; i < n; i++) {
        const struct partition *p = repl_find(R, tails[i].pid);
        struct place at = tails[i].place;
        if (p != NULL && p->slot != NULL) {
            return false; /* not his to hand over, or not any more */
        }
        if (at.lsn == 0) {
            if (p != NULL && p->tail.lsn != 0) {
                return false;
            }
            continue;
        }
        if (BUG(BUG_TRANSFER_BOTH) && p != NULL && p->durable.lsn >= at.lsn) {
            with_entries++;
            continue;
        }
        if (p == NULL || !place_same(p->durable, at) || !place_same(p->tail, at) ||
            p->tail.ord != at.ord || p->tail.chain != at.chain) {
            return false;
        }
        with_entries++;
    }
    size_t mine = 0;
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        mine += p->slot == NULL && p->tail.lsn != 0;
    }
    return mine == with_entries;
}
