/* A partition that could not be read here, and that another region writes: its documents are deleted, with
 * all that is made of them, and copied from the writer. Its log stays.
 *
 *   corrupt --matched, and the writer has in storage all that it has sent-----> wiping --> copy (seed.c)
 *           --has a suffix: sent to the conflict feed, archived, cut (conflict.c)--^
 *
 * The writer is asked as by who has nothing (SEED_ASK): it answers with a place in its storage that is no
 * lower than anything it has sent here. Entries come before they are durable there, and a writer that ends
 * would lose those whose documents were deleted here.
 *
 * Nothing is deleted before that, nor while the writer cannot be asked for the copy. A log that cannot be
 * read may hide a suffix: then nothing is done, and an operator decides (the region can be removed and
 * added again). The log stays, since others may need it: a region that was away all the time may take the
 * partition over, and what it lacks then comes from a log, or goes to the conflict feed from one. The marks
 * of a copy under way and of rows that are not right go with the first deletion, so that a crash in
 * between is found when the partition is loaded. Only a partition with a row is wiped: a region that lacks
 * one of the others could be chosen as the account's writer all the same. The region asks for a row
 * (src/account/parts_repair.c). Metadata has none: the catalog would be empty.
 *
 * A partition that is being copied anyway is wiped whether it has a row or not: it does not count
 * as complete until the copy's end. */
#include "base/contract.h"
#include "repl/repl_int.h"

enum { WIPE_SLICE_MAX = 1000 };

void repair_begin(struct partition *p)
{
    ASSERT(p->is_corrupt && p->pid != 0);
    repl_event(p->repl, EVENT_CORRUPT, "partition=%llu what=\"to be copied anew\" had_lsn=%llu",
               (unsigned long long)p->pid, (unsigned long long)p->tail.lsn);
    p->is_wiping = true;
    p->has_stale_rows = true; /* until the last slice */
    seed_refill(p);
}

static bool can_be_wiped(const struct partition *p)
{
    return p->is_corrupt && !p->is_wiping && !p->is_log_bad && p->pid != 0 &&
           p->mode->kind == REPL_READER && !p->mode->is_taking;
}

bool repair_is_possible(const struct partition *p)
{
    bool has_row = p->slot != NULL && p->repl->may_repair;
    return can_be_wiped(p) && (has_row || seed_is_on(p));
}

static bool is_ready(const struct partition *p)
{
    return apply_is_matched(p) && p->div.state == DIV_NONE &&
           repl_link_is_up(p->repl, p->mode->writer);
}

/* Asked again, too, when entries came after the answer. */
static void ask(struct partition *p)
{
    struct repl *R = p->repl;
    usec now = R->io.now(R->io.ctx);
    if (p->tail_sent_us != 0 && now - p->tail_sent_us < R->timers.retry_ms * UINT64_C(1000)) {
        return;
    }
    p->tail_sent_us = now;
    struct msg m = {.type = MSG_SEED_ASK, .generation = p->mode->generation, .pid = p->pid};
    repl_send(R, p->mode->writer, &m);
}

bool repair_on_at(struct partition *p, const struct msg *m)
{
    bool has_all = apply_is_matched(p) && m->place.lsn >= p->tail.lsn;
    if (!repair_is_possible(p) || p->div.state != DIV_NONE ||
        (!has_all && !place_same(m->durable, p->tail))) {
        return false;
    }
    repair_begin(p);
    return true;
}

bool repl_needs_row(const struct partition *p)
{
    return p->slot == NULL && p->repl->may_repair && can_be_wiped(p) && is_ready(p);
}

/* Nothing is left in storage either, which is what the copy begins with. */
static void end_wiping(struct partition *p)
{
    p->is_wiping = false;
    p->is_corrupt = false;
    p->repl->corrupt_count--;
    apply_unmatch(p); /* entries have not been taken meanwhile */
    part_set_flags(p);
}

static void wipe_slice(struct partition *p)
{
    struct repl *R = p->repl;
    if (p->inflight_count != 0 || !list_is_empty(&p->touched)) {
        return; /* the slice before is not in storage yet */
    }
    if (!p->has_stale_rows) {
        end_wiping(p);
        return;
    }
    struct errinfo ei = {0};
    bool more = false;
    enum err e =
        engine_batch_clear_docs(repl_batch(R), R->engine, p->pid, WIPE_SLICE_MAX, &more, &ei);
    if (e != OK) {
        p->is_log_bad = true; /* not even the keys can be listed */
        p->is_wiping = false;
        part_corrupt(p, "keys", &ei);
        return;
    }
    part_count_none(p);
    p->has_stale_rows = more;
    part_touch(p);
    repl_submit(R);
}

void repair_tick(struct repl *R)
{
    if (R->corrupt_count == 0) {
        return;
    }
    for (struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (repair_is_possible(p) && is_ready(p)) {
            ask(p);
        }
        if (p->is_wiping && !part_is_nobodys(p)) {
            wipe_slice(p);
        }
    }
}
