/* The write-ahead log of the driver: groups of records, on the disk before RocksDB gets them. RocksDB's
 * own log is off. Private to this folder.
 *
 * Why not RocksDB's: its log grows with each write, so that each sync waits for the file system's
 * journal as well. Here a group overwrites blocks that the file already has, in one write that goes
 * past the page cache (O_DIRECT where the file system has it) and returns when it is durable
 * (O_DSYNC): nothing but data is written, and no acknowledged byte is ever written again before all
 * of its segment is in RocksDB's files.
 *
 *   journal/0   segment 7   groups 900..1411      RocksDB's files have them: may be used again
 *   journal/1   segment 8   groups 1412..1780     replayed at a start
 *   journal/2   segment 9   groups 1781..         being written; says: from 8 on is needed
 *
 * Writing goes on in a new segment when one is full. The driver then has RocksDB write its memtables to
 * files and calls rocks_journal_settle(): the next segment says that the older ones are not needed, and
 * only when that is durable are their files used again. Replaying more than needed does no harm:
 * records are puts and deletes of whole rows, and the end of the journal is always replayed.
 *
 * Threads: one at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    JOURNAL_SEGMENT_SIZE_MIN = 256 << 10,
    JOURNAL_SEGMENT_SIZE_MAX = 32 << 20,
    JOURNAL_FILL_SIZE = 1 << 20, /* a new file gets its blocks in steps of this, or all at once */
};

struct journal;

struct journal_report {
    uint64_t segments, groups; /* to replay */
    bool is_torn;              /* the last group did not get whole onto the disk and is left out */
    uint64_t torn_segment, torn_at;
};

/* Checks all of what is needed in the folder, which exists. segment_size is brought into the
 * bounds above. ERR_CORRUPT naming the file, when anything is missing or damaged that was on the disk
 * once; damage to exactly the last group cannot be told from a torn end. ERR_IO. */
enum err rocks_journal_open(const char *dir, uint64_t segment_size, struct journal **ret,
                            struct journal_report *ret_report, struct errinfo *ei) MUST_CHECK;
void rocks_journal_close(struct journal *j); /* NULL accepted */

/* `batch`: a RocksDB write batch, valid during the call. */
typedef enum err rocks_journal_replay_fn(void *ctx, struct str batch, struct errinfo *ei);
enum err rocks_journal_replay(struct journal *j, rocks_journal_replay_fn *fn, void *ctx,
                              struct errinfo *ei) MUST_CHECK;
/* Once, after all of it was replayed and is in RocksDB's files: begins a segment to write to. */
enum err rocks_journal_begin(struct journal *j, struct errinfo *ei) MUST_CHECK;

/* Writes `count` records as one group; *ret_batch, as given to replay, is valid until the next call.
 * After an error nothing may be written any more (the outcome is unknown). ERR_LIMIT comes before
 * anything was done. */
enum err rocks_journal_write(struct journal *j, const struct str *spans, size_t span_count,
                             uint32_t count, struct str *ret_batch, struct errinfo *ei) MUST_CHECK;
/* Segment being written. */
uint64_t rocks_journal_segment(const struct journal *j);
/* Oldest segment that is not known to be in RocksDB's files as a whole. */
uint64_t rocks_journal_unsettled(const struct journal *j);
/* All groups of segments below `segment` are in RocksDB's files. */
void rocks_journal_settle(struct journal *j, uint64_t segment);
