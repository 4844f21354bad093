/* What is left in storage of dropped partitions goes in slices, as ordinary batches.
 *
 *   repl_drop_part --> waits until all that was handed over before is in storage
 *                  --> one batch: meta deleted, drop mark put (the partition is gone), first slice
 *                  --> a slice a time, each after the one before is in storage; with the last: mark deleted
 *
 * A start finishes what it finds marked before anything else. Partition ids are made of lsns and not given
 * twice; one comes back only when a region that lacked the removal was made the writer. Should that
 * happen while its rows are going, the process ends, and its next start finishes. */
#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum { DROP_SLICE_MAX = 1000 };

struct drop {
    struct list link;
    pid pid;
    bool has_mark;
};

void drop_begin(struct repl *R, pid p)
{
    struct drop *d = MEM_NEW(struct drop);
    *d = (struct drop){.pid = p};
    list_push_back(&R->drops, &d->link);
    R->drop_ticket = R->next_ticket - 1;
}

bool drop_is_pending(const struct repl *R, pid p)
{
    LIST_FOR(l, &R->drops) {
        if (LIST_ENTRY(l, struct drop, link)->pid == p) {
            return true;
        }
    }
    return false;
}

enum err drop_finish(struct engine *e, struct errinfo *ei)
{
    enum err err = OK;
    bool is_over = BUG(BUG_DROP_UNFINISHED);
    while (err == OK && !is_over) {
        struct engine_iter *it = engine_scan_drops(e, NULL);
        struct engine_row row = {0};
        is_over = !engine_iter_next(it, &row);
        err = engine_iter_err(it, ei);
        engine_iter_free(it);
        if (err == OK && !is_over) {
            err = engine_drop_partition(e, row.pid, ei);
        }
    }
    return err;
}

static void forget(struct drop *d)
{
    list_remove(&d->link);
    mem_free(d);
}

void drop_tick(struct repl *R)
{
    if (list_is_empty(&R->drops) || R->done_ticket < R->drop_ticket || R->is_stale) {
        return;
    }
    struct drop *d = LIST_ENTRY(R->drops.next, struct drop, link);
    struct errinfo ei = {0};
    bool more = false;
    size_t slice_max = R->timers.drop_rows_max != 0 ? R->timers.drop_rows_max : DROP_SLICE_MAX;
    struct engine_batch *b = repl_batch(R);
    if (!d->has_mark) {
        engine_batch_drop(b, d->pid);
        d->has_mark = true;
    }
    enum err e = engine_batch_clear(b, R->engine, d->pid, slice_max, &more, &ei);
    if (e != OK) {
        repl_event(R, EVENT_CORRUPT, "partition=%llu what=\"left over\" error=\"%s\"",
                   (unsigned long long)d->pid, ei.message);
        forget(d); /* the mark stays: the next start tries again */
    } else if (!more) {
        engine_batch_drop_done(b, d->pid);
        forget(d);
    }
    repl_submit(R);
    R->drop_ticket = R->next_ticket - 1;
}

void drop_free(struct repl *R)
{
    while (!list_is_empty(&R->drops)) {
        forget(LIST_ENTRY(R->drops.next, struct drop, link));
    }
}
