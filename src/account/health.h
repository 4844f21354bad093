/* Health that is not death: a disk that got slow, losses of the writer that come too often, a clock
 * that runs away from its peers'. Pure bookkeeping, told the time by its caller; decide.c asks it.
 *
 *   slow disk    one batch at a time is timed from hand-over to durable; when it is done, the last one that is
 *                out, since nobody may hand over another before that is durable. Slow is a disk on which
 *                batches take longer than `slow_commit_ms`, since the first of them was handed over,
 *                until a hundred in a row were faster (p99) or nothing slow was seen for half as long
 *                again (one hiccup on an idle account is no slow disk)
 *   clock        each heartbeat carries its sender's wall clock. What is seen of it is late by the
 *                way it took, never early: the largest of the last differences is the nearest to
 *                the truth
 *   losses       when the last failover without a confirmed stop was: another one waits */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/types.h"

enum {
    DISK_FAST_RUN = 100,
    CLOCK_SAMPLES = 8,
    CLOCK_SAMPLES_MIN = 4,    /* below: nothing is known of that clock */
    CLOCK_DRIFT_MAX_MS = 500, /* alarm above; ends below four fifths of it */
};

struct disk_health {
    bool has_probe;
    uint64_t probe;                   /* ticket of the batch that is timed */
    usec probe_us;                    /* since it was handed over, or since it is timed */
    uint64_t last;                    /* newest ticket that was handed over */
    usec slow_since_us, slow_last_us; /* 0 = not slow */
    unsigned fast_run;
};

void disk_health_submit(struct disk_health *d, uint64_t ticket, usec now);
/* Batches up to `ticket` are durable. */
void disk_health_done(struct disk_health *d, uint64_t ticket, usec now, unsigned slow_commit_ms);
/* Since when the disk has been slow, that is since the first slow batch was handed over; 0 = it is not.
 * Call it every now and then: a batch that is still out counts, too. */
usec disk_health_slow_since(struct disk_health *d, usec now, unsigned slow_commit_ms);
/* A batch that is being written has taken that long already: nobody knows yet how slow it will be. */
bool disk_health_waits(const struct disk_health *d, usec now, usec longer_than_us);
/* Something slow in the last `within_ms`: no disk to hand anything over to. With a short time: it is slow
 * at this moment, whatever it was before. */
bool disk_health_was_slow(const struct disk_health *d, usec now, unsigned within_ms);

struct clock_watch {                  /* of one peer */
    int64_t offset_ms[CLOCK_SAMPLES]; /* its wall clock minus ours */
    size_t count;
};
void clock_watch_note(struct clock_watch *c, int64_t theirs_ms, int64_t ours_ms);
bool clock_watch_offset(const struct clock_watch *c, int64_t *ret_ms);
/* How far our clock is ahead of the median of its peers'; with an even number of them the middle one
 * that is nearer to us, so that one wrong clock of two raises no alarm at the right ones. n = 0: 0. */
int64_t clock_ahead_ms(int64_t *offsets_ms, size_t n); /* sorts them */
