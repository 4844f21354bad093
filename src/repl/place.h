/* Places in a partition's log. Lsns are given out in blocks: each epoch begins a new one. */
#pragma once

#include <stdbool.h>

#include "base/types.h"

enum { LSN_BLOCK = 1000000 }; /* lsns per epoch at first, and per extension */

/* (epoch, lsn) names one entry for ever: an epoch has one writer process and an lsn is given out
 * once. `ord` counts entries, `chain` sums up all content up to here: two logs with the same place
 * and chain are the same log. The zero place is "before the first entry". */
struct place {
    epoch epoch;
    lsn lsn;
    uint64_t ord;
    uint64_t chain;
};

static inline bool place_same(struct place a, struct place b)
{
    return a.epoch == b.epoch && a.lsn == b.lsn;
}

/* One row of a partition's epoch table: where the epoch's entries begin in this history, and which
 * entry they follow (the branch point). */
struct epoch_row {
    epoch epoch;
    lsn first_lsn;
    epoch prev_epoch;
    lsn prev_lsn;
};

/* An epoch as the account's record remembers it, and what it is to one partition. */
struct repl_opening {
    epoch epoch;
    lsn start_lsn;     /* the lowest that was given out in it; all of earlier epochs are below */
    bool is_elsewhere; /* it was opened for another partition alone */
    bool has_prev;     /* the entry is known that its first one in this partition follows: */
    epoch prev_epoch;
    lsn prev_lsn;
};
