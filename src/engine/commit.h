/* The commit thread: makes batches durable in groups. Whatever was submitted while one group was
 * on its way to the disk becomes the next group: one engine_apply, one sync, for all partitions.
 *
 *     core thread                      commit thread                       loop of the core thread
 *     committer_submit(batch, 7) ----> takes all that is queued
 *     committer_submit(batch, 8)       engine_apply + sync
 *                                      frees the batches
 *                                      done(ctx, {{7, OK}, {8, OK}}) ----> (posted by the callback)
 *
 * Order: groups and the tickets in them are in the order of submission. After a failed write every
 * later batch ends with the error, too; the process must stop (engine.h).
 *
 * Threads: submit from any one thread at a time; stats from any; new and free from the owner. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/types.h"
#include "engine/engine.h"

enum {
    COMMITTER_QUEUE_MAX = 65536,          /* batches waiting */
    COMMITTER_QUEUE_SIZE_MAX = 256 << 20, /* bytes waiting */
    COMMITTER_GROUP_SIZE_MAX = 16 << 20,  /* bytes in one write, but at least one batch */
    COMMITTER_SPIN_US = 50,
};

struct committer_done {
    uint64_t ticket;
    enum err
        err; /* OK, ERR_STALE_GENERATION, ERR_LIMIT; or the storage's failure: outcome unknown */
};
/* Runs on the commit thread, once per group; must not block: the next group waits for it. `ei` says
 * why the storage failed (code OK otherwise). What it is given is valid during the call. */
typedef void committer_done_fn(void *ctx, const struct committer_done *done, size_t n,
                               const struct errinfo *ei);

struct committer_cfg {
    struct engine *engine; /* outlives the committer */
    committer_done_fn *done;
    void *ctx;
    size_t queue_max;      /* 0 = COMMITTER_QUEUE_MAX */
    size_t queue_size_max; /* 0 = COMMITTER_QUEUE_SIZE_MAX */
    /* How long the thread may spin for the next batch before it sleeps. A wake-up costs more than
     * that, but a spinning thread takes a core from somebody: it does so only while batches really
     * come that fast, and never on a machine with one core. 0 = COMMITTER_SPIN_US. */
    usec spin_us;
    bool no_spin;
};

struct committer;
struct committer *committer_new(const struct committer_cfg *cfg); /* starts the thread */
/* Finishes what is queued, then stops. NULL accepted. */
void committer_free(struct committer *c);
/* Takes the batch over. ERR_BUSY when the queue is full: nothing happened, the batch is still the
 * caller's. */
enum err committer_submit(struct committer *c, struct engine_batch *b, uint64_t ticket) MUST_CHECK;

struct committer_stats {
    uint64_t groups, batches, bytes;
    uint64_t group_batches_max;
    uint64_t sleeps, spins_hit;   /* how often the thread slept; found work by spinning */
    uint64_t queued, queued_size; /* now */
    uint64_t apply_us_p50, apply_us_p99,
        apply_us_max; /* of engine_apply with its sync, since start */
};
void committer_stats_get(const struct committer *c, struct committer_stats *ret);
