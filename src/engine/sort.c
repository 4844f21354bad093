/* Puts the records of a large group in order of their keys, table by table. RocksDB's memtables are skip
 * lists: a key far from the one before is searched from the top, through nodes that are in no cache. In
 * order, each finds its place near the last one; the group is one step, so that only what is done to the
 * same key has an order of its own, and keeps it.
 *
 * A table whose records are in order as they come (the log; documents of a copy) is left as it is. Small
 * groups are not worth the look: what they would save is less than a sync. */
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine_int.h"

enum { RECORDS_KEPT = 32768 }; /* scratch for more is given back */

struct engine_sort_record {
    struct str key; /* empty where the table is in order */
    struct str bytes;
    size_t order;
    enum kv_table table;
};

static void reserve(struct engine_sort *s, size_t n)
{
    if (n > s->cap) {
        mem_free(s->records);
        mem_free(s->spans);
        s->cap = n;
        s->records = MEM_NEW_ARRAY(struct engine_sort_record, n);
        s->spans = MEM_NEW_ARRAY(struct str, n);
    }
}

void engine_sort_done(struct engine_sort *s)
{
    mem_free(s->records);
    mem_free(s->spans);
    *s = (struct engine_sort){0};
}

/* false: they are no records, which the driver will say. */
static bool take_apart(struct engine_sort *s, const struct str *spans, size_t span_count,
                       size_t count, bool ret_is_sorted[KV_TABLE_COUNT])
{
    struct str last[KV_TABLE_COUNT] = {0};
    size_t n = 0;
    for (size_t i = 0; i < span_count; i++) {
        struct rd r = rd_of(spans[i]);
        struct kv_op op;
        const char *begin = r.p;
        while (n < count && kv_op_next(&r, &op)) {
            s->records[n] = (struct engine_sort_record){
                op.key, str_make(begin, (size_t)(r.p - begin)), n, op.table};
            ret_is_sorted[op.table] =
                ret_is_sorted[op.table] && str_cmp(last[op.table], op.key) <= 0;
            last[op.table] = op.key;
            begin = r.p;
            n++;
        }
        if (r.bad || r.n > 0) {
            return false;
        }
    }
    return n == count;
}

static int record_cmp(const void *a, const void *b)
{
    const struct engine_sort_record *x = (const struct engine_sort_record *)a;
    const struct engine_sort_record *y = (const struct engine_sort_record *)b;
    int c = x->table < y->table ? -1 : x->table > y->table;
    c = c != 0 ? c : str_cmp(x->key, y->key);
    return c != 0 ? c : (x->order < y->order ? -1 : x->order > y->order);
}

const struct str *engine_sort(struct engine_sort *s, const struct str *spans, size_t *span_count,
                              size_t count)
{
    if (count < ENGINE_SORT_MIN) {
        return spans;
    }
    if (s->cap > RECORDS_KEPT && count <= RECORDS_KEPT) {
        engine_sort_done(s);
    }
    reserve(s, count);
    bool is_sorted[KV_TABLE_COUNT];
    bool is_all_sorted = true;
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        is_sorted[t] = true;
    }
    if (!take_apart(s, spans, *span_count, count, is_sorted)) {
        return spans;
    }
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        is_all_sorted = is_all_sorted && is_sorted[t];
    }
    if (is_all_sorted) {
        return spans;
    }
    for (size_t i = 0; i < count; i++) {
        if (is_sorted[s->records[i].table]) {
            s->records[i].key = STR_NONE;
        }
    }
    qsort(s->records, count, sizeof(s->records[0]), record_cmp);
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        struct str bytes = s->records[i].bytes;
        if (n > 0 && s->spans[n - 1].p + s->spans[n - 1].n == bytes.p) {
            s->spans[n - 1].n += bytes.n;
        } else {
            s->spans[n++] = bytes;
        }
    }
    *span_count = n;
    return s->spans;
}
