/* The ordered key-value store below the document level: three tables of (key -> value), ordered by
 * memcmp, written in atomic groups, read from consistent points. Private to src/engine: engine.c
 * turns documents into rows, a driver (mem/, rocksdb/) keeps the rows.
 *
 * Ownership and threads: a driver's `write` may be called from any thread (the engine sees to it
 * that groups come one at a time per partition); everything else from any thread. A reader sees a
 * whole group or nothing of it, and with `sync` only after it is durable.
 *
 * Errors: drivers report what went wrong with the medium (ERR_IO, ERR_DISK_FULL, ERR_CORRUPT,
 * ERR_IN_USE); the engine adds the place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Numbers are stored in write-ahead logs: never reuse one. */
enum kv_table {
    KV_MAIN = 0,  /* named values, metas, marks, documents: point-read, overwritten */
    KV_LOG = 1,   /* log entries: written once in order, read rarely, deleted from the front */
    KV_INDEX = 2, /* change, expiry and unique rows: tiny, short-lived */
    KV_TABLE_COUNT,
};

enum {
    KV_KEY_SIZE_MAX = 4096 + 32,
    KV_BATCH_SIZE_MAX = 256 << 20, /* over it the batch is refused with ERR_LIMIT when applied */
};

/* ---- batches ----
 * Puts and deletes as bytes, in order, in the record format of a RocksDB write batch, so that the
 * RocksDB driver hands a group over without touching the records:
 *
 *   put, table 0      0x01            varint key_size key  varint value_size value
 *   put, table t      0x05 varint t   varint key_size key  varint value_size value
 *   delete, table 0   0x00            varint key_size key
 *   delete, table t   0x04 varint t   varint key_size key
 */
struct kv_batch {
    struct buf ops;
    uint32_t count;
};

void kv_batch_init(struct kv_batch *b);
void kv_batch_done(struct kv_batch *b);
/* The value is head followed by body, so that a document's text is copied once. */
void kv_batch_put(struct kv_batch *b, enum kv_table t, struct str key, struct str head,
                  struct str body);
void kv_batch_delete(struct kv_batch *b, enum kv_table t, struct str key);

struct kv_op {
    bool is_delete;
    enum kv_table table;
    struct str key;
    struct str value;
};
/* Takes the next record off `r`: false at the end or when the bytes make no sense (r->bad). */
bool kv_op_next(struct rd *r, struct kv_op *ret);

/* ---- the driver ---- */
struct kv;      /* an open store */
struct kv_snap; /* a consistent point */
struct kv_iter;

struct kv_opts {
    struct str dir;
    struct str journal_dir; /* for a write-ahead log of the driver's own */
    unsigned format;        /* of what is there (dir.h) */
    size_t cache_size;
    size_t write_buffer_size;
};

/* A value that stays valid until unpin. */
struct kv_pin {
    struct str value;
    void *handle;
};

struct kv_range {
    enum kv_table table;
    struct str from; /* inclusive; empty = from the start */
    struct str to;   /* exclusive; empty = to the end */
    bool is_backward;
    bool no_cache; /* a full sweep: must not push useful blocks out of the cache */
};

struct kv_stats {
    uint64_t disk_size, disk_free, memory_size;
};

struct kv_driver {
    const char *name;
    unsigned features; /* enum engine_feature */
    bool needs_dir;
    MUST_CHECK enum err (*open)(const struct kv_opts *opts, struct kv **ret, struct errinfo *ei);
    void (*close)(struct kv *kv);
    /* Applies the records of all spans in order, as one step; `count` is their number. Without `sync`
     * it need not be durable. With no records and `sync`: makes durable what was written before. */
    MUST_CHECK enum err (*write)(struct kv *kv, const struct str *spans, size_t span_count,
                                 uint32_t count, bool sync, struct errinfo *ei);
    /* ERR_NOT_FOUND without a message; snap NULL = latest. */
    MUST_CHECK enum err (*get)(struct kv *kv, struct kv_snap *snap, enum kv_table t, struct str key,
                               struct kv_pin *ret, struct errinfo *ei);
    void (*unpin)(struct kv *kv, struct kv_pin *pin);
    struct kv_snap *(*snap_get)(struct kv *kv);
    void (*snap_release)(struct kv *kv, struct kv_snap *snap);
    /* The range's bounds are copied. An iterator stays at the point it was made at. */
    struct kv_iter *(*iter_new)(struct kv *kv, struct kv_snap *snap, const struct kv_range *range);
    /* What it points into is valid until the next call on the iterator. */
    bool (*iter_next)(struct kv_iter *it, struct str *ret_key, struct str *ret_value);
    enum err (*iter_err)(const struct kv_iter *it, struct errinfo *ei);
    void (*iter_free)(struct kv_iter *it);
    void (*stats)(struct kv *kv, struct kv_stats *ret);
};

extern const struct kv_driver kv_mem;
extern const struct kv_driver kv_rocksdb;
