/* Who must have an entry before its write is answered (geo-semantics 3).
 *
 *   partition 0 (metadata)  every ONLINE region, at every level
 *   Strong                  every region of the strong mask: Q, a region about to join it, and one
 *                           just taken out whose read lease may still run
 *   all other levels        durable here; below BoundedStaleness, while a writer with a slow disk hands
 *                           over, also at the region that takes over
 *
 * Positions never move back: what was answered stays answered. */
#include "base/bug.h"
#include "base/contract.h"
#include "repl/repl_int.h"

lsn quorum_min(const struct partition *p, uint64_t mask, lsn own)
{
    const struct repl *R = p->repl;
    lsn low = (mask & (UINT64_C(1) << R->self)) != 0 ? own : UINT64_MAX;
    mask &= ~(UINT64_C(1) << R->self);
    for (size_t i = 0; i < R->peer_count; i++) {
        uint64_t bit = UINT64_C(1) << R->peers[i]->id;
        if ((mask & bit) == 0) {
            continue;
        }
        mask &= ~bit;
        lsn acked = i < p->progress_count ? p->progress[i]->acked : 0;
        low = acked < low ? acked : low;
    }
    return mask != 0 ? 0 : low; /* a region we do not even know has nothing */
}

uint64_t quorum_ack_mask(const struct repl *R, const struct partition *p)
{
    uint64_t self = UINT64_C(1) << R->self;
    uint64_t mask = self;
    if (p->pid == 0) {
        mask |= p->mode->online_mask;
    }
    if (p->mode->is_strong) {
        mask |= p->mode->strong_mask;
    }
    return mask;
}

static lsn higher(lsn a, lsn b)
{
    return a > b ? a : b;
}

static void release(struct partition *p)
{
    struct repl *R = p->repl;
    struct wait_node *n;
    while ((n = wait_pop(&p->waiters, p->acked)) != NULL) {
        R->io.acked(R->io.ctx, n);
    }
    while ((n = wait_pop(&p->commit_waiters, p->commit_lsn)) != NULL) {
        R->io.committed(R->io.ctx, n);
    }
    conflict_check_waits(p);
}

/* Whom the log waits for: a region that must copy everything anyway only while it follows, and while
 * that costs no more than as much again; but in any case one that is being admitted. The record may call it
 * online already, unseen here, and whatever it lacks when it becomes the writer has to be in our log. */
static uint64_t keep_mask(const struct partition *p)
{
    const struct repl *R = p->repl;
    uint64_t mask = p->mode->all_mask;
    bool is_over = R->timers.log_size_max != 0 && R->log_size / 2 > R->timers.log_size_max;
    for (size_t i = 0; p->mode->copy_mask != 0 && i < p->progress_count; i++) {
        const struct peer *peer = R->peers[i];
        uint64_t bit = UINT64_C(1) << peer->id;
        bool follows = peer->is_up && p->progress[i]->state == PROG_STREAM && !is_over;
        bool is_admitted = (p->mode->online_mask & bit) != 0;
        if ((p->mode->copy_mask & bit) != 0 && !follows && !is_admitted) {
            mask &= ~bit;
        }
    }
    return mask;
}

/* Whoever opens without having asked that region loses what only it has, and says so. At Strong and
 * BoundedStaleness it must not: one more copy has to be lost there before anything is. */
static lsn stored_elsewhere(const struct partition *p)
{
    const struct repl_mode *m = p->mode;
    bool may_count = m->stored_by != 0 && p->pid != 0 && !m->is_strong && m->staleness_ops == 0;
    return may_count ? quorum_min(p, UINT64_C(1) << m->stored_by, 0) : 0;
}

void quorum_update(struct partition *p)
{
    struct repl *R = p->repl;
    const struct repl_mode *mode = p->mode;
    if (mode->kind != REPL_WRITER || p->is_dropped) {
        return;
    }
    lsn own = p->durable.lsn;
    uint64_t self = UINT64_C(1) << R->self;
    lsn acked = quorum_min(p, quorum_ack_mask(R, p), higher(own, stored_elsewhere(p)));
    lsn commit =
        quorum_min(p, (mode->is_strong ? mode->strong_mask : mode->online_mask) | self, own);
    lsn all = quorum_min(p, keep_mask(p) | self, own);
    ASSERT(acked <= p->tail.lsn && commit <= p->tail.lsn && all <= p->tail.lsn);
    bool is_metadata_news = p->pid == 0 && acked > p->acked;
    p->acked = higher(p->acked, acked);
    p->commit_lsn = higher(p->commit_lsn, commit);
    p->all_lsn = higher(p->all_lsn, all);
    atomic_store_explicit(&p->view.commit_lsn, p->commit_lsn, memory_order_release);
    if (p->commit_lsn > p->announced_commit || p->all_lsn > p->announced_all) {
        if (list_is_empty(&p->commit_due)) {
            list_push_back(&R->commit_due, &p->commit_due);
        }
    }
    if (p->all_lsn > p->trim.lsn && list_is_empty(&p->trim_link)) {
        list_push_back(&R->trim_list, &p->trim_link);
    }
    if (is_metadata_news) {
        R->io.metadata_applied(R->io.ctx, p->acked);
    }
    release(p);
}

void quorum_tell(struct partition *p, region_id to)
{
    struct repl *R = p->repl;
    struct msg m = {.type = MSG_COMMIT,
                    .generation = p->mode->generation,
                    .pid = p->pid,
                    .commit_lsn = p->commit_lsn,
                    .all_lsn = p->all_lsn};
    repl_send(R, to, &m);
}

/* Strong: with every flush, since readers wait for it. Otherwise now and then, for trimming. */
void quorum_announce(struct repl *R, bool everything)
{
    if (!R->mode.is_strong && !everything) {
        return;
    }
    struct list *l;
    while ((l = list_pop_front(&R->commit_due)) != NULL) {
        struct partition *p = LIST_ENTRY(l, struct partition, commit_due);
        ASSERT(p->mode->kind == REPL_WRITER);
        for (size_t i = 0; i < p->progress_count; i++) {
            if (p->progress[i]->state == PROG_STREAM) {
                quorum_tell(p, R->peers[i]->id);
            }
        }
        p->announced_commit = p->commit_lsn;
        p->announced_all = p->all_lsn;
    }
}
