/* What other threads may read of a partition, without locks. */
#pragma once

#include <stdatomic.h>

#include "base/types.h"

enum part_flags {
    PART_READABLE = 1, /* documents may be served here */
    PART_WRITABLE = 2,
};

struct part_view { /* one per partition, never freed before region_free */
    pid pid;
    _Atomic unsigned flags;
    _Atomic uint64_t applied_lsn; /* durable and visible here */
    _Atomic uint64_t commit_lsn;  /* cannot be lost (Strong: durable in every region of Q) */
    _Atomic uint64_t epoch;
    _Atomic uint64_t item_count, item_size;
};
