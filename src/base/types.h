/* Scalars with meaning, shared by every layer. */
#pragma once

#include <stdint.h>

typedef uint64_t lsn;        /* position in a partition's log; 0 = before the first entry; < 2^44 */
typedef uint64_t pid;        /* physical partition; 0 = the account's metadata partition */
typedef uint64_t epoch;      /* reign of one writer; 0 = none; grows by one */
typedef uint64_t generation; /* lease generation of the account's writer; 0 = none */
typedef uint32_t region_id;  /* 1..63, given once, never reused; 0 = none */
typedef uint64_t usec;       /* microseconds on a monotonic clock that counts suspended time */

enum {
    REGION_ID_MAX = 63,
    REGIONS_MAX = 32,
    BATCH_OPS_MAX = 100,
};
#define LSN_MAX ((UINT64_C(1) << 44) - 1)
