/* Removal of a whole partition in slices, so that neither memory nor one sync depends on its size.
 *
 *   1. one synced write: meta deleted, drop mark put   (from here on the partition is gone)
 *   2. slices: every row of the partition, by range
 *   3. one synced write: drop mark deleted
 *
 * A crash in between leaves rows below a drop mark, which engine_verify accepts and the next call
 * removes. Slices are synced, too: that every group is on the disk before the next is written is
 * what lets recovery tell a torn end of the log from damage. No range delete: RocksDB 7.8 keeps those as tombstones that slow every later read. */
#include "base/contract.h"
#include "engine/engine_int.h"

enum {
    SLICE_ROWS_MAX = 1000,
    SLICE_SIZE_MAX = 1 << 20,
};

static enum err write_own(struct engine *e, struct kv_batch *b, bool sync, struct errinfo *ei)
{
    ASSERT(buf_ok(&b->ops));
    struct str span = buf_str(&b->ops);
    enum err ret = engine_write(e, &span, 1, b->count, sync, ei);
    buf_clear(&b->ops);
    b->count = 0;
    return ret;
}

static enum err drop_range(struct engine *e, enum kv_table t, int prefix, pid p,
                           struct kv_batch *slice, struct errinfo *ei)
{
    struct record_key lo;
    struct record_key hi;
    record_key_begin(&lo, prefix, p);
    record_key_begin(&hi, prefix, p);
    record_key_after(&hi);
    struct kv_range range = {
        .table = t,
        .from = record_key_str(&lo),
        .to = record_key_str(&hi),
        .no_cache = true,
    };
    struct kv_iter *it = e->driver->iter_new(e->kv, NULL, &range);
    struct str key;
    struct str value;
    enum err ret = OK;
    while (ret == OK && e->driver->iter_next(it, &key, &value)) {
        kv_batch_delete(slice, t, key);
        if (slice->count >= SLICE_ROWS_MAX || slice->ops.n >= SLICE_SIZE_MAX) {
            ret = write_own(e, slice, /* sync= */ true, ei);
        }
    }
    KEEP_FIRST(ret, e->driver->iter_err(it, ei));
    e->driver->iter_free(it);
    return ret;
}

/* Everything of a partition but its meta. */
static const struct {
    enum kv_table table;
    int prefix;
} ranges[] = {
    {KV_MAIN, PREFIX_DIRTY},   {KV_MAIN, PREFIX_DOC},     {KV_LOG, RECORD_NO_PREFIX},
    {KV_INDEX, PREFIX_CHANGE}, {KV_INDEX, PREFIX_EXPIRY}, {KV_INDEX, PREFIX_UNIQUE},
};

enum err engine_batch_clear(struct engine_batch *b, struct engine *e, pid p, size_t max,
                            bool *ret_more, struct errinfo *ei)
{
    size_t n = 0;
    enum err ret = OK;
    for (size_t i = 0; i < ARRAY_COUNT(ranges) && ret == OK && n < max; i++) {
        struct record_key lo;
        struct record_key hi;
        record_key_begin(&lo, ranges[i].prefix, p);
        record_key_begin(&hi, ranges[i].prefix, p);
        record_key_after(&hi);
        struct kv_range range = {.table = ranges[i].table,
                                 .from = record_key_str(&lo),
                                 .to = record_key_str(&hi),
                                 .no_cache = true};
        struct kv_iter *it = e->driver->iter_new(e->kv, NULL, &range);
        struct str key;
        struct str value;
        while (n < max && e->driver->iter_next(it, &key, &value)) {
            kv_batch_delete(&b->ops, ranges[i].table, key);
            n++;
        }
        ret = e->driver->iter_err(it, ei);
        e->driver->iter_free(it);
    }
    *ret_more = n == max;
    if (ret == OK && n < max && e->spoiled == p) {
        e->spoiled = 0;
    }
    return ret;
}

enum err engine_drop_partition(struct engine *e, pid p, struct errinfo *ei)
{
    struct record_key mark_key;
    struct record_key meta_key;
    struct buf mark;
    struct kv_batch slice;
    record_key_drop(&mark_key, p);
    record_key_meta(&meta_key, p);
    buf_init(&mark, 64);
    kv_batch_init(&slice);
    record_small_encode(MAGIC_MARK, record_key_str(&mark_key), STR_NONE, &mark);
    kv_batch_put(&slice, KV_MAIN, record_key_str(&mark_key), buf_str(&mark), STR_NONE);
    kv_batch_delete(&slice, KV_MAIN, record_key_str(&meta_key));
    enum err ret = write_own(e, &slice, /* sync= */ true, ei);
    for (size_t i = 0; i < ARRAY_COUNT(ranges) && ret == OK; i++) {
        ret = drop_range(e, ranges[i].table, ranges[i].prefix, p, &slice, ei);
    }
    if (ret == OK) {
        kv_batch_delete(&slice, KV_MAIN, record_key_str(&mark_key));
        ret = write_own(e, &slice, /* sync= */ true, ei);
    }
    kv_batch_done(&slice);
    buf_done(&mark);
    return ret;
}
