/* Removal of a whole partition in slices, so that neither memory nor one sync depends on its size.
 *
 *   1. one synced write: meta deleted, drop mark put (from here on the partition is gone), first slice
 *   2. slices: the rows of the partition, by range
 *   3. with the last of them: drop mark deleted
 *
 * A crash in between leaves rows below a drop mark, which engine_verify accepts and the next call
 * removes. Slices are synced, too: that every group is on the disk before the next is written is
 * what lets recovery tell a torn end of the log from damage. No range delete: RocksDB 7.8 keeps those
 * as tombstones that slow every later read. */
#include "base/contract.h"
#include "engine/engine_int.h"

enum { SLICE_ROWS_MAX = 1000 };

/* Everything of a partition but its meta; the log last. */
static const struct {
    enum kv_table table;
    int prefix;
} ranges[] = {
    {KV_MAIN, PREFIX_DIRTY},   {KV_MAIN, PREFIX_DOC},     {KV_INDEX, PREFIX_CHANGE},
    {KV_INDEX, PREFIX_EXPIRY}, {KV_INDEX, PREFIX_UNIQUE}, {KV_LOG, RECORD_NO_PREFIX},
};

static enum err clear(struct engine_batch *b, struct engine *e, pid p, size_t range_count,
                      size_t max, bool *ret_more, struct errinfo *ei)
{
    size_t n = 0;
    enum err ret = OK;
    for (size_t i = 0; i < range_count && ret == OK && n < max; i++) {
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

enum err engine_batch_clear(struct engine_batch *b, struct engine *e, pid p, size_t max,
                            bool *ret_more, struct errinfo *ei)
{
    return clear(b, e, p, ARRAY_COUNT(ranges), max, ret_more, ei);
}

enum err engine_batch_clear_docs(struct engine_batch *b, struct engine *e, pid p, size_t max,
                                 bool *ret_more, struct errinfo *ei)
{
    return clear(b, e, p, ARRAY_COUNT(ranges) - 1, max, ret_more, ei);
}

enum err engine_drop_partition(struct engine *e, pid p, struct errinfo *ei)
{
    bool more = true;
    enum err ret = OK;
    for (bool is_first = true; ret == OK && more; is_first = false) {
        struct engine_batch *b = engine_batch_new(e);
        enum err each = OK;
        if (is_first) {
            engine_batch_drop(b, p);
        }
        ret = engine_batch_clear(b, e, p, SLICE_ROWS_MAX, &more, ei);
        if (ret == OK && !more) {
            engine_batch_drop_done(b, p);
        }
        if (ret == OK) {
            ret = engine_apply(e, &b, 1, /* sync= */ true, &each, ei);
        }
        KEEP_FIRST(ret, each);
        engine_batch_free(b);
    }
    return ret;
}
