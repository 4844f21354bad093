/* Large groups in order of keys: the same records, what is done to one key in the order it was given. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine_int.h"
#include "lib/t.h"

enum { KEYS = 200, SPANS = 7 };

static struct engine_sort scratch;
static struct kv_batch batches[SPANS];

static struct str key_of(uint64_t i)
{
    static char hold[8];
    (void)snprintf(hold, sizeof(hold), "k%03u", (unsigned)i);
    return str_make(hold, 4);
}

/* Puts carry their number as the value; the log table is filled in order. */
static void fill(struct rng *r, size_t count)
{
    for (size_t i = 0; i < SPANS; i++) {
        kv_batch_init(&batches[i]);
    }
    for (size_t n = 0; n < count; n++) {
        struct kv_batch *b = &batches[n * SPANS / count];
        enum kv_table t = (enum kv_table)rng_below(r, KV_TABLE_COUNT);
        uint64_t value = n;
        if (t == KV_LOG) {
            kv_batch_put(b, t, key_of(n * KEYS / count), str_make(&value, sizeof(value)), STR_NONE);
        } else if (rng_chance(r, 1, 3)) {
            kv_batch_delete(b, t, key_of(rng_below(r, KEYS)));
        } else {
            kv_batch_put(b, t, key_of(rng_below(r, KEYS)), STR("v"),
                         str_make(&value, sizeof(value)));
        }
    }
}

static void empty(void)
{
    for (size_t i = 0; i < SPANS; i++) {
        kv_batch_done(&batches[i]);
    }
}

static size_t spans_of(struct str *ret)
{
    for (size_t i = 0; i < SPANS; i++) {
        ret[i] = buf_str(&batches[i].ops);
    }
    return SPANS;
}

/* All records of the spans, with those of one key only when `key` is given. */
static size_t list(const struct str *spans, size_t n, const struct kv_op *only, struct kv_op *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct rd r = rd_of(spans[i]);
        struct kv_op op;
        while (kv_op_next(&r, &op)) {
            if (only == NULL || (op.table == only->table && str_eq(op.key, only->key))) {
                ret[count++] = op;
            }
        }
        t_check(!r.bad && r.n == 0);
    }
    return count;
}

static void check_same(const struct kv_op *a, const struct kv_op *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        t_check(a[i].is_delete == b[i].is_delete && a[i].table == b[i].table);
        t_eq_str(a[i].key, b[i].key);
        t_eq_str(a[i].value, b[i].value);
    }
}

T_TEST("a large group is in order of keys, and each key sees what it saw")
{
    struct rng r;
    rng_init(&r, t_seed());
    enum { COUNT = 3 * ENGINE_SORT_MIN };
    struct kv_op *before = MEM_NEW_ARRAY(struct kv_op, COUNT);
    struct kv_op *after = MEM_NEW_ARRAY(struct kv_op, COUNT);
    for (int round = 0; round < 3; round++) {
        fill(&r, COUNT);
        struct str spans[SPANS];
        size_t n = spans_of(spans);
        const struct str *sorted = engine_sort(&scratch, spans, &n, COUNT);
        t_check(sorted != spans);
        t_check(n <= COUNT);
        t_eq_u64(list(sorted, n, NULL, after), COUNT);
        for (size_t i = 1; i < COUNT; i++) {
            t_check(after[i].table > after[i - 1].table ||
                    (after[i].table == after[i - 1].table &&
                     str_cmp(after[i].key, after[i - 1].key) >= 0));
        }
        for (uint64_t k = 0; k < KEYS * (uint64_t)KV_TABLE_COUNT; k++) {
            struct kv_op only = {.table = (enum kv_table)(k / KEYS), .key = key_of(k % KEYS)};
            size_t count = list(spans, SPANS, &only, before);
            t_eq_u64(list(sorted, n, &only, after), count);
            check_same(before, after, count);
        }
        empty();
    }
    mem_free(before);
    mem_free(after);
    engine_sort_done(&scratch);
}

T_TEST("a group that is small, in order or no group at all is left as it is")
{
    struct rng r;
    rng_init(&r, 1);
    struct str spans[SPANS];
    fill(&r, ENGINE_SORT_MIN - 1);
    size_t n = spans_of(spans);
    t_check(engine_sort(&scratch, spans, &n, ENGINE_SORT_MIN - 1) == spans);
    empty();
    fill(&r, ENGINE_SORT_MIN);
    n = spans_of(spans);
    t_check(engine_sort(&scratch, spans, &n, ENGINE_SORT_MIN) != spans);
    n = spans_of(spans);
    spans[3].n--; /* cut */
    t_check(engine_sort(&scratch, spans, &n, ENGINE_SORT_MIN) == spans);
    n = spans_of(spans);
    t_check(engine_sort(&scratch, spans, &n, ENGINE_SORT_MIN + 1) == spans); /* one too few */
    t_eq_u64(n, SPANS);
    empty();
    kv_batch_init(&batches[0]);
    for (size_t i = 0; i < ENGINE_SORT_MIN; i++) {
        kv_batch_put(&batches[0], KV_LOG, key_of(i * KEYS / ENGINE_SORT_MIN), STR("x"), STR_NONE);
        kv_batch_put(&batches[0], KV_MAIN, STR("same"), STR("x"), STR_NONE);
    }
    spans[0] = buf_str(&batches[0].ops);
    n = 1;
    t_check(engine_sort(&scratch, spans, &n, 2 * (size_t)ENGINE_SORT_MIN) == spans);
    kv_batch_done(&batches[0]);
    engine_sort_done(&scratch);
}

/* The same through the engine: entries that replace each other's versions in one group. */
T_TEST("versions that replace each other within a large group leave one row of each kind")
{
    struct engine_opts opts = {.driver = STR("mem")};
    struct engine *e = NULL;
    t_ok(engine_open(&opts, &e, NULL));
    enum { BATCHES = 8, PUTS = ENGINE_SORT_MIN / 4 };
    struct engine_batch *group[BATCHES];
    enum err each[BATCHES];
    struct engine_version last[KEYS] = {0};
    struct rng r;
    rng_init(&r, t_seed());
    lsn at = 0;
    for (size_t i = 0; i < BATCHES; i++) {
        group[i] = engine_batch_new(e);
        for (size_t n = 0; n < PUTS; n++) {
            size_t k = rng_below(&r, KEYS);
            struct engine_doc d = {
                .version = {.lsn = ++at, .expire_at = 1 + rng_below(&r, 3), .doc_size = 2},
                .epoch = 1,
                .rid = k + 1,
                .origin = 1,
                .text = STR("{}")};
            engine_batch_put(group[i], 1, SPACE_ITEM, key_of(k), &d, &last[k]);
            last[k] = d.version;
        }
        struct engine_part_meta meta = {.item_count = KEYS, .item_size = UINT64_C(2) * KEYS};
        engine_batch_meta(group[i], 1, &meta);
    }
    t_ok(engine_apply(e, group, BATCHES, true, each, NULL));
    size_t rows = 0;
    struct engine_row row;
    struct engine_iter *it = engine_scan_changes(e, NULL, 1, 0, 0);
    while (engine_iter_next(it, &row)) {
        rows++;
    }
    engine_iter_free(it);
    it = engine_scan_expiry(e, NULL, 1, UINT64_MAX);
    while (engine_iter_next(it, &row)) {
        rows++;
    }
    engine_iter_free(it);
    t_eq_u64(rows, UINT64_C(2) * KEYS);
    for (size_t i = 0; i < BATCHES; i++) {
        engine_batch_free(group[i]);
    }
    engine_close(e);
}

T_MAIN()
