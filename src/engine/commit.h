/* The commit thread: makes batches durable in groups. Whatever was submitted while one group was
 * on its way to the disk becomes the next group: one engine_apply, one sync, for all partitions.
 *
 *     core                             commit thread                       core
 *     committer_submit(batch, 7)
 *     committer_submit(batch, 8)
 *     committer_wake() --------------> takes all that is queued
 *                                      engine_apply + sync
 *                                      frees the batches
 *                                      done(ctx, {{7, OK}, {8, OK}}) ----> (as the callback sees fit)
 *
 * A thread with nothing else to do calls committer_help() in place of committer_wake(): where one
 * write at a time comes, it does the group itself, which saves two switches between threads.
 *
 * Order: groups and the tickets in them are in the order of submission. After a failed write every
 * later batch ends with the error, too; the process must stop (engine.h).
 *
 * Threads: submit from any one thread at a time; wake, help and stats from any; new and free from the
 * owner. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/types.h"
#include "engine/engine.h"

enum {
    COMMITTER_QUEUE_MAX = 65536,          /* batches waiting */
    COMMITTER_QUEUE_SIZE_MAX = 256 << 20, /* bytes waiting */
    COMMITTER_GROUP_SIZE_MAX = 4 << 20,   /* bytes in one write, but at least one batch */
    /* Of a gathering committer (committer_gather): */
    COMMITTER_GATHER_ENTRIES_MIN = 4, /* fewer are not worth waiting for */
    COMMITTER_GATHER_GROUP_US = 200,  /* nor is it when a group takes less than this */
    COMMITTER_GATHER_US_MAX = 1000,   /* longest wait; half a group's time where that is less */
    COMMITTER_HELP_US_MAX = 1000,     /* groups that take longer are left to the thread */
};

struct committer_done {
    uint64_t ticket;
    enum err
        err; /* OK, ERR_STALE_GENERATION, ERR_LIMIT; or the storage's failure: outcome unknown */
};
/* Runs on the thread that did the group, once per group, never two at a time; must not block: the next
 * group waits for it. `ei` says
 * why the storage failed (code OK otherwise). What it is given is valid during the call. */
typedef void committer_done_fn(void *ctx, const struct committer_done *done, size_t n,
                               const struct errinfo *ei);

struct committer_cfg {
    struct engine *engine; /* outlives the committer */
    committer_done_fn *done;
    /* After `done` of the last group that was taken, on the same thread, when the committer is no
     * longer busy: the place to look at what was put aside because it was. NULL: nothing. */
    void (*settled)(void *ctx);
    void *ctx;
    size_t queue_max;      /* 0 = COMMITTER_QUEUE_MAX */
    size_t queue_size_max; /* 0 = COMMITTER_QUEUE_SIZE_MAX */
    usec gather_us_max;    /* 0 = COMMITTER_GATHER_US_MAX */
};

struct committer;
struct committer *committer_new(const struct committer_cfg *cfg); /* starts the thread */
/* Finishes what is queued, then stops. NULL accepted. */
void committer_free(struct committer *c);
/* Takes the batch over; committer_wake() or committer_help() must follow, once for any number of
 * batches. ERR_BUSY when the queue is full: nothing happened, the batch is still the
 * caller's. */
enum err committer_submit(struct committer *c, struct engine_batch *b, uint64_t ticket) MUST_CHECK;
/* Sees to it that what is queued is done; nothing queued: does nothing. */
void committer_wake(struct committer *c);
/* The same, but does one group right here when none is being done and groups have lately been quick
 * (COMMITTER_HELP_US_MAX). The caller blocks for a write to the disk and its sync. True: it was done
 * here, and `done` was called. */
bool committer_help(struct committer *c);
/* Whether the thread may wait for the rest of the crowd (off at first). Clients that wait for their
 * answers come in turns: those of one group, and those that came while it was written. Left alone they
 * stay apart for ever, at a sync for each part. A gathering committer expects as many log entries as
 * those parts had together, and waits for them, after a group, for up to half the time that a group
 * takes. When they do not come it expects fewer from then on. Any thread. */
void committer_gather(struct committer *c, bool is_on);
/* Whether a group is on its way to the disk or its `done` runs. Once it said so, `settled` is going to
 * be called: whatever the caller did before asking is seen there. */
bool committer_is_busy(const struct committer *c);
/* Whether batches wait that no thread has taken yet. A hint: it may change at any moment. */
bool committer_has_queue(const struct committer *c);

struct committer_stats {
    uint64_t groups, batches, bytes;
    uint64_t group_batches_max;
    uint64_t sleeps; /* how often the thread slept */
    uint64_t gathered,
        missed;      /* waits for the crowd that ended because it was there; that did not */
    uint64_t helped; /* groups done by committer_help */
    uint64_t queued, queued_size; /* now */
    uint64_t apply_us_p50, apply_us_p99,
        apply_us_max; /* of engine_apply with its sync, since start */
};
void committer_stats_get(const struct committer *c, struct committer_stats *ret);
