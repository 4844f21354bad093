/* What other threads may read of a partition, without locks. */
#pragma once

#include <stdatomic.h>

#include "base/types.h"

enum part_flags {
    PART_READABLE = 1, /* documents may be served here */
    PART_WRITABLE = 2,
    PART_WHOLE = 4,    /* no lost suffix, nothing to be fetched; also where nothing is served yet */
    PART_APART = 8,    /* it has a writer of its own: leases are those of `fresh_until_us` below */
    PART_WRITTEN = 16, /* ... which is this region; writes may be held just now */
};

struct part_view { /* one per partition, never freed before region_free */
    pid pid;
    _Atomic unsigned flags;
    _Atomic uint64_t applied_lsn; /* durable and visible here */
    _Atomic uint64_t commit_lsn;  /* cannot be lost (Strong: durable in every region of Q) */
    /* Session tokens: version of the data here. It is raised with the record's only once the log
     * has reached the lossy epoch that raised it: an older token is accepted without comparison. */
    _Atomic uint64_t token_version;
    /* Lowest version whose lsns still mean the same here: what was lost, was lost before. A change of
     * the set of regions raises the version, not this. */
    _Atomic uint64_t token_base;
    _Atomic uint64_t epoch;
    _Atomic uint64_t generation;     /* of the reign that the partition is under */
    _Atomic uint64_t fresh_until_us; /* PART_APART: writer's or read lease, on CLOCK_BOOTTIME */
    _Atomic uint64_t item_count, item_size;
};
