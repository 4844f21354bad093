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
