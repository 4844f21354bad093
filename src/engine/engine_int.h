/* Inside of the engine, shared by the files of this folder. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "engine/dir.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/record.h"
#include "engine/test_disk.h"

/* Names under which the engine keeps its own values; engine_batch_kv refuses the prefix. */
#define ENGINE_KV_RESERVED   "engine."
#define ENGINE_KV_GENERATION "engine.generation"
#define ENGINE_KV_FENCES     "engine.fences"

/* Highest generations under which single partitions were written. */
struct engine_fences {
    size_t count;
    struct engine_fence_row {
        pid pid;
        generation generation;
    } rows[ENGINE_FENCES_MAX];
};

/* Scratch of engine_sort. */
struct engine_sort {
    struct engine_sort_record *records; /* owned */
    struct str *spans;                  /* owned */
    size_t cap;                         /* of both */
};

struct engine {
    const struct kv_driver *driver;
    struct kv *kv;          /* owned */
    struct engine_dir *dir; /* owned; NULL for drivers without one */
    struct test_disk test_disk;

    _Atomic generation generation; /* highest durable one; written by the applying thread only */
    struct engine_fences fences;   /* durable ones; written by the applying thread only */
    pthread_mutex_t fence_lock;    /* innermost; guards `fences` against its readers */
    _Atomic unsigned handles;      /* snapshots and iterators alive; 0 at close */
    _Atomic pid spoiled;           /* see engine_spoil */
    atomic_flag is_applying;       /* engine_apply is not reentrant: one commit thread */

    _Atomic bool has_failed;      /* latched by the first failed write: nothing is written after */
    pthread_mutex_t failure_lock; /* innermost; guards `failure` until has_failed is set */
    struct errinfo failure;

    /* Scratch of the applying thread, kept between calls. */
    struct str *spans; /* owned */
    size_t span_cap;
    struct engine_meta_ref *metas; /* owned */
    size_t meta_cap;
    struct engine_sort sort;

    _Atomic uint64_t syncs, batches, bytes_written, reads;
};

/* A meta in a batch, kept apart from the other records: of one group only the last meta of each
 * partition is written. */
struct engine_meta_ref {
    pid pid;
    size_t order;      /* position in the group */
    size_t begin, end; /* of the record in `metas.ops` */
    const struct engine_batch *batch;
    bool is_drop; /* deletes it, with the partition */
};

struct engine_batch {
    struct kv_batch ops;
    struct kv_batch metas;
    struct engine_meta_ref *meta_refs; /* owned; one per record in `metas` */
    size_t meta_count, meta_cap;
    size_t entry_count; /* of the log, added */
    bool has_guard;
    generation guard;
    struct engine_fences *fences; /* owned; NULL = none */
    struct buf scratch;           /* record heads */
};

enum { ENGINE_SORT_MIN = 1024 }; /* records; a smaller group is left as it is */
/* The `count` records of the spans in an order that is cheap to write and means the same; spans of it, in
 * *span_count, valid until the next call, or the given ones. */
const struct str *engine_sort(struct engine_sort *s, const struct str *spans, size_t *span_count,
                              size_t count);
void engine_sort_done(struct engine_sort *s);

struct engine_snap {
    struct kv_snap *kv; /* owned */
};

/* Writes a group, unless an earlier one failed; latches its failure. */
enum err engine_write(struct engine *e, const struct str *spans, size_t span_count, uint32_t count,
                      bool sync, struct errinfo *ei) MUST_CHECK;

/* Row access with the place added to errors; *pin must be given back with engine_unpin. */
enum err engine_pin(struct engine *e, struct kv_snap *snap, enum kv_table t,
                    const struct record_key *key, struct kv_pin *pin,
                    struct errinfo *ei) MUST_CHECK;
void engine_unpin(struct engine *e, struct kv_pin *pin);
enum err engine_check_spoiled(const struct engine *e, pid p, struct errinfo *ei) MUST_CHECK;
static inline struct kv_snap *engine_snap_kv(const struct engine_snap *snap)
{
    return snap != NULL ? snap->kv : NULL;
}

/* "partition 3 space item key 61:62" for messages; keys are shown escaped and cut. */
enum { ENGINE_PLACE_SIZE = 240 };
void engine_place(char ret[ENGINE_PLACE_SIZE], enum kv_table t, struct str row_key);
/* Sets ERR_CORRUPT (or what `code` is) naming the row. */
enum err engine_bad_row(struct errinfo *ei, enum err code, enum kv_table t, struct str row_key,
                        const char *why);
