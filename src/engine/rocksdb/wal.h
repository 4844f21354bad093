/* Looks at RocksDB's write-ahead logs before RocksDB does. Private to this folder.
 *
 * Recovery has to tell two things apart that look alike: the last group, torn because power failed
 * while it was written (never acknowledged: drop it), and damage to groups that were acknowledged
 * (refuse to open). RocksDB's modes either drop whatever follows any damage without a word, or
 * refuse both. We know more: each group is one record and is on the disk before the next one is
 * written. So a damaged place with a whole record behind it was acknowledged; with none behind it,
 * it is taken for a torn end. (Damage to exactly the last group cannot be told from that.) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct rocks_wal_report {
    uint64_t files, records; /* records: groups whose start is whole */
    bool is_torn; /* the newest log ends in a torn group: at `torn_at` in file `torn_file` */
    uint64_t torn_file, torn_at;
};

/* ERR_CORRUPT naming file and offset; ERR_IO. */
enum err rocks_wal_check(const char *dir, struct rocks_wal_report *ret,
                         struct errinfo *ei) MUST_CHECK;
