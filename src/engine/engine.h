/* Durable copies inside one region: the document-level interface of a storage engine.
 *
 * One engine instance holds one region's copy of one account: partitions with their documents,
 * indexes, logs and counters, and a few small named values. Callers ask for a feature flag, never
 * for a driver's name. Drivers: `rocksdb` (one durable copy, never called zone redundant) and
 * `mem` (simulation and tests; forgets everything when closed).
 *
 * Layout seen by callers, per partition:
 *   documents   (space, key) -> struct engine_doc      ordered by key bytes (memcmp)
 *   change index (lsn, op_idx) -> key                  one row per live document of SPACE_ITEM
 *   expiry index (expire_at, key)                      only those with expire_at != 0
 *   unique index (unique key bytes) -> key
 *   log          lsn -> entry bytes                    opaque to the engine
 *   dirty marks  key                                   documents whose state must be refetched
 *   meta         struct engine_part_meta
 *
 * The engine keeps the indexes itself from what is in a put or delete: the caller passes the
 * version that is replaced (`old`), so that a write never reads. Only SPACE_ITEM is indexed; in
 * SPACE_CONFLICT expire_at and uniques are stored with the document and that is all.
 *
 * Threads: batches are built by one thread at a time; engine_apply is called by one thread (the
 * commit thread); everything else may be called from any thread at any time. What a reader sees is
 * always durable when the last apply had `sync`, and always a batch boundary.
 *
 * Errors: ERR_CORRUPT names partition, space and key or lsn and is never served as data; after
 * ERR_IO or ERR_DISK_FULL from engine_apply the outcome of that batch is unknown: the process must
 * stop (a failed sync is never retried). The engine sees to it: after the first failed write every
 * later one fails with the same error; reads go on.
 *
 * On disk: doc/format/engine.md. For fault tests: HOLDFAST_TEST_DISK (test_disk.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

enum {
    ENGINE_KEY_SIZE_MAX = 4096,
    ENGINE_DOC_SIZE_MAX = (2 << 20) + (64 << 10), /* 2 MiB item plus system properties */
    ENGINE_ENTRY_SIZE_MAX = 8 << 20, /* a batch of at most 2 MiB of items, encoded, with room */
    ENGINE_UNIQUE_MAX = 10,          /* unique keys of one document */
    ENGINE_KV_NAME_MAX = 64,
    ENGINE_KV_VALUE_MAX = 1 << 20,
};

enum engine_space {
    SPACE_ITEM = 0,     /* documents of a container, or metadata resources in partition 0 */
    SPACE_CONFLICT = 1, /* conflict feed records */
    SPACE_COUNT,
};

/* Identity of one version, as needed to remove its index rows. lsn == 0: there is none. */
struct engine_version {
    lsn lsn;
    uint16_t op_idx;    /* position in its log entry */
    uint64_t expire_at; /* seconds since 1970; 0 = never */
    size_t unique_count;
    const struct str *uniques; /* unique index keys it holds */
    size_t doc_size;           /* bytes of its text, for the counters */
};

struct engine_doc {
    struct engine_version version;
    epoch epoch;      /* of the log entry that wrote it */
    uint64_t rid;     /* item number, see cosmos/rid.h */
    uint64_t ts;      /* _ts, seconds since 1970 */
    uint64_t hlc;     /* hybrid logical clock of the write: ms << 16 | logical */
    region_id origin; /* region that accepted it */
    struct str text;  /* document as JSON text, as returned to clients */
};

struct engine_part_meta {
    epoch tail_epoch;
    lsn tail_lsn;        /* last entry in the log; 0 = empty */
    uint64_t tail_ord;   /* number of entries since the partition began, up to the tail */
    uint64_t tail_chain; /* checksum chain over all entries up to the tail */
    lsn first_lsn;       /* first entry still in the log; 0 = log empty */
    lsn trim_lsn;        /* everything up to here was trimmed (0 = nothing) */
    epoch trim_epoch;
    uint64_t item_count, item_size; /* live documents of SPACE_ITEM, bytes of text */
    uint64_t conflict_count;
    struct str extra; /* opaque to the engine: the replication layer's epoch table etc. */
};

enum engine_feature {
    ENGINE_DURABLE = 1 << 0,
    ENGINE_ZONE_REDUNDANT = 1 << 1,
};

struct engine;
struct engine_batch;
struct engine_snap; /* a consistent point; cheap; must be released */
struct engine_iter;

/* ---- life cycle ---- */
enum { ENGINE_FENCES_MAX = 256 };

struct engine_opts {
    struct str driver;        /* "rocksdb" or "mem" */
    struct str dir;           /* rocksdb: created when absent; locked against other processes */
    size_t cache_size;        /* block cache bytes, 0 = default */
    size_t write_buffer_size; /* 0 = default */
};
enum err engine_open(const struct engine_opts *opts, struct engine **ret,
                     struct errinfo *ei) MUST_CHECK;
void engine_close(struct engine *e); /* NULL accepted; no iterators or snapshots may be left */
unsigned engine_features(const struct engine *e);

/* ---- batches: built by the core, applied whole or not at all ---- */
struct engine_batch *engine_batch_new(struct engine *e);
void engine_batch_free(struct engine_batch *b);
/* Room for that many more bytes at once. Without it the batch grows as it is filled. */
void engine_batch_reserve(struct engine_batch *b, size_t size);
size_t engine_batch_size(const struct engine_batch *b);        /* bytes, for limits */
size_t engine_batch_entry_count(const struct engine_batch *b); /* log entries in it */
bool engine_batch_is_empty(const struct engine_batch *b);
/* The batch may only be applied while the stored generation is not above `g`; applying it stores
 * `g`. Checked by the engine in the same atomic step: ERR_STALE_GENERATION, nothing applied. */
void engine_batch_guard(struct engine_batch *b, generation g);
/* The same for one partition that has a writer of its own: this batch, and every later one that writes
 * the partition's meta under a fence or guard that is lower, is refused when a higher fence is stored.
 * A fence is forgotten once a batch with a higher guard was applied, or one that drops the partition,
 * which passes every fence. At most ENGINE_FENCES_MAX. */
void engine_batch_fence(struct engine_batch *b, pid p, generation g);
void engine_batch_put(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                      const struct engine_doc *doc, const struct engine_version *old);
void engine_batch_delete(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                         const struct engine_version *old);
void engine_batch_log(struct engine_batch *b, pid p, lsn at, struct str entry);
void engine_batch_log_delete(struct engine_batch *b, pid p, lsn at); /* one entry: cut or trim */
void engine_batch_dirty(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                        bool is_dirty);
/* Replaces the partition's meta; creates the partition. Counters (item_count, item_size,
 * conflict_count) are kept by the caller. */
void engine_batch_meta(struct engine_batch *b, pid p, const struct engine_part_meta *meta);
/* Deletes up to `max` rows of the partition, all but its meta, whether they decode or not. *ret_more:
 * there are others, to be deleted once this batch was applied. Reads the store. */
enum err engine_batch_clear(struct engine_batch *b, struct engine *e, pid p, size_t max,
                            bool *ret_more, struct errinfo *ei) MUST_CHECK;
/* The same, but for its log. */
enum err engine_batch_clear_docs(struct engine_batch *b, struct engine *e, pid p, size_t max,
                                 bool *ret_more, struct errinfo *ei) MUST_CHECK;
/* The partition is gone from here on: its meta is deleted, and a mark says that its rows are left over.
 * They go by engine_batch_clear; with the last of them, engine_batch_drop_done takes the mark away. Every
 * batch that wrote to the partition must have been applied before the first clear. */
void engine_batch_drop(struct engine_batch *b, pid p);
void engine_batch_drop_done(struct engine_batch *b, pid p);
void engine_batch_kv(struct engine_batch *b, struct str name,
                     struct str value); /* empty = delete */

/* Applies n batches in order as one atomic step; `sync` makes it durable before returning. A
 * batch whose guard fails (ERR_STALE_GENERATION) or that grew over 256 MiB (ERR_LIMIT) is left out
 * and ret_each[i] says so; others are not affected. Of the metas of one partition in a group only
 * the last is written. The batches stay the caller's.
 * The return value is the storage's own failure (then all outcomes are unknown). */
enum err engine_apply(struct engine *e, struct engine_batch *const *batches, size_t n, bool sync,
                      enum err *ret_each, struct errinfo *ei) MUST_CHECK;
/* Removes everything of a partition in slices, as engine_apply does. Meta goes first, so that a crash
 * in between leaves only garbage that the next call removes. */
enum err engine_drop_partition(struct engine *e, pid p, struct errinfo *ei) MUST_CHECK;

/* ---- reads ---- */
struct engine_snap *engine_snap_get(struct engine *e);
void engine_snap_release(struct engine *e, struct engine_snap *s);

/* A document: ERR_NOT_FOUND, ERR_CORRUPT. `hold` owns the bytes that *ret points into. snap may be
 * NULL (latest). want_text false: only the header, text left empty. */
enum err engine_get(struct engine *e, struct engine_snap *snap, pid p, enum engine_space space,
                    struct str key, bool want_text, struct buf *hold, struct engine_doc *ret,
                    struct errinfo *ei) MUST_CHECK;
enum err engine_unique_get(struct engine *e, struct engine_snap *snap, pid p, struct str unique,
                           struct buf *ret_key, struct errinfo *ei) MUST_CHECK;
enum err engine_part_meta_get(struct engine *e, struct engine_snap *snap, pid p, struct buf *hold,
                              struct engine_part_meta *ret, struct errinfo *ei) MUST_CHECK;
enum err engine_kv_get(struct engine *e, struct str name, struct buf *ret,
                       struct errinfo *ei) MUST_CHECK;
enum err engine_log_get(struct engine *e, struct engine_snap *snap, pid p, lsn at, struct buf *ret,
                        struct errinfo *ei) MUST_CHECK;
generation engine_generation(struct engine *e);   /* highest stored; 0 = none */
generation engine_fence(struct engine *e, pid p); /* of this partition; 0 = none */
/* Is there one for which `is_it` holds? */
bool engine_fence_find(struct engine *e, bool (*is_it)(const void *ctx, pid p, generation g),
                       const void *ctx);

/* Iterators: positioned before the first row; engine_iter_next returns false at the end or on
 * error (see engine_iter_err). What a row points into is valid until the next call. Bounds are
 * half-open [from, to); to empty = no upper bound. */
struct engine_row {
    struct str key;               /* docs, changes, expiry, dirty: document key */
    struct engine_doc doc;        /* docs: the document */
    lsn lsn;                      /* log, changes */
    uint16_t op_idx;              /* changes */
    uint64_t expire_at;           /* expiry */
    struct str entry;             /* log: entry bytes */
    enum engine_space space;      /* dirty */
    pid pid;                      /* partitions */
    struct engine_part_meta meta; /* partitions */
};
struct engine_iter *engine_scan(struct engine *e, struct engine_snap *snap, pid p,
                                enum engine_space space, struct str from, struct str to);
struct engine_iter *engine_scan_back(struct engine *e, struct engine_snap *snap, pid p,
                                     enum engine_space space, struct str from, struct str to);
/* As engine_scan, for reading much of it once: does not push what others need out of the cache. */
struct engine_iter *engine_scan_sweep(struct engine *e, struct engine_snap *snap, pid p,
                                      enum engine_space space, struct str from, struct str to);
/* Change index strictly after (after_lsn, after_op): key, lsn, op_idx only. */
struct engine_iter *engine_scan_changes(struct engine *e, struct engine_snap *snap, pid p,
                                        lsn after_lsn, uint32_t after_op);
/* Expired up to and including `until` (seconds), oldest first. */
struct engine_iter *engine_scan_expiry(struct engine *e, struct engine_snap *snap, pid p,
                                       uint64_t until);
/* Log entries with lsn >= from, in order. */
struct engine_iter *engine_scan_log(struct engine *e, struct engine_snap *snap, pid p, lsn from);
struct engine_iter *engine_scan_dirty(struct engine *e, struct engine_snap *snap, pid p);
struct engine_iter *engine_scan_partitions(struct engine *e, struct engine_snap *snap);
/* Partitions whose rows are left over: pid only. */
struct engine_iter *engine_scan_drops(struct engine *e, struct engine_snap *snap);
bool engine_iter_next(struct engine_iter *it, struct engine_row *ret);
enum err engine_iter_err(const struct engine_iter *it, struct errinfo *ei);
void engine_iter_free(struct engine_iter *it);

/* ---- statistics, for metrics and limits ---- */
struct engine_stats {
    uint64_t disk_size, disk_free, memory_size, syncs, batches, bytes_written, reads;
};
void engine_stats_get(struct engine *e, struct engine_stats *ret);
/* For drills: from now on each sync takes slow_ms longer, and free_size bytes are left on the disk
 * (UINT64_MAX: as many as there really are). Any thread. */
void engine_disturb(struct engine *e, uint64_t slow_ms, uint64_t free_size);
/* For tests and drills: documents of this partition (0 = of none) cannot be read, ERR_CORRUPT, until
 * they have been cleared away (engine_batch_clear, engine_batch_clear_docs). */
#define ENGINE_SPOIL_METADATA UINT64_MAX /* stands for partition 0 */
void engine_spoil(struct engine *e, pid p);
pid engine_spoiled(const struct engine *e);
/* Reads everything and verifies every checksum and that indexes, uniques and counters agree with
 * the documents. For `holdfast inspect`, crash tests and drills. Calls `report` per finding. */
enum err engine_verify(struct engine *e, void (*report)(void *ctx, const char *finding), void *ctx,
                       uint64_t *ret_findings, struct errinfo *ei) MUST_CHECK;
