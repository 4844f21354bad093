/* The engine's contract, statement by statement, on each driver. Random sequences are in
 * model_test.c, damage in corrupt_test.c. */
#include "suite.h"

static struct buf hold(void)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    return b;
}

static void test_document_comes_back_as_put(void)
{
    struct engine *e = suite_open();
    struct str uniques[2] = {STR("name\0x"), STR("mail")};
    struct engine_doc doc = suite_doc(7, 3, "{\"id\":\"a\"}");
    doc.version.expire_at = 1800000000;
    doc.version.unique_count = 2;
    doc.version.uniques = uniques;
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_put(b, 5, SPACE_ITEM, STR("k\0ey"), &doc, NULL);
    t_check(!engine_batch_is_empty(b));
    t_ok(suite_apply(e, b));

    struct buf h = hold();
    struct engine_doc got;
    t_ok(engine_get(e, NULL, 5, SPACE_ITEM, STR("k\0ey"), true, &h, &got, NULL));
    t_eq_str(got.text, doc.text);
    t_eq_u64(got.version.lsn, 7);
    t_eq_u64(got.version.op_idx, 3);
    t_eq_u64(got.version.expire_at, 1800000000);
    t_eq_u64(got.version.doc_size, doc.text.n);
    t_eq_u64(got.version.unique_count, 2);
    t_eq_str(got.version.uniques[0], uniques[0]);
    t_eq_str(got.version.uniques[1], uniques[1]);
    t_eq_u64(got.epoch, 3);
    t_eq_u64(got.rid, 107);
    t_eq_u64(got.ts, doc.ts);
    t_eq_u64(got.hlc, doc.hlc);
    t_eq_u64(got.origin, 2);
    /* Header only: the size is known, the text is not given. */
    t_ok(engine_get(e, NULL, 5, SPACE_ITEM, STR("k\0ey"), false, &h, &got, NULL));
    t_eq_u64(got.text.n, 0);
    t_eq_u64(got.version.doc_size, doc.text.n);
    t_eq_str(got.version.uniques[1], uniques[1]);
    /* Other partition, space or key: not found. */
    t_err(engine_get(e, NULL, 6, SPACE_ITEM, STR("k\0ey"), true, &h, &got, NULL), ERR_NOT_FOUND);
    t_err(engine_get(e, NULL, 5, SPACE_CONFLICT, STR("k\0ey"), true, &h, &got, NULL),
          ERR_NOT_FOUND);
    t_err(engine_get(e, NULL, 5, SPACE_ITEM, STR("k"), true, &h, &got, NULL), ERR_NOT_FOUND);
    /* A reader's buffer that is too small is the reader's error. */
    struct buf small;
    buf_init(&small, 8);
    t_err(engine_get(e, NULL, 5, SPACE_ITEM, STR("k\0ey"), true, &small, &got, NULL), ERR_LIMIT);
    buf_done(&small);
    buf_done(&h);
    engine_close(e);
}

static void test_largest_document(void)
{
    struct engine *e = suite_open();
    char *text = (char *)mem_alloc(ENGINE_DOC_SIZE_MAX);
    memset(text, 'x', ENGINE_DOC_SIZE_MAX);
    char *key = (char *)mem_alloc(ENGINE_KEY_SIZE_MAX);
    memset(key, 0xff, ENGINE_KEY_SIZE_MAX); /* also the hardest key for upper bounds */
    struct str uniques[ENGINE_UNIQUE_MAX];
    char *unique_bytes = (char *)mem_alloc((size_t)ENGINE_UNIQUE_MAX * ENGINE_KEY_SIZE_MAX);
    for (size_t i = 0; i < ENGINE_UNIQUE_MAX; i++) {
        char *p = unique_bytes + i * ENGINE_KEY_SIZE_MAX;
        memset(p, (int)i, ENGINE_KEY_SIZE_MAX);
        uniques[i] = str_make(p, ENGINE_KEY_SIZE_MAX);
    }
    struct engine_doc doc = suite_doc(LSN_MAX, UINT16_MAX, "");
    doc.text = str_make(text, ENGINE_DOC_SIZE_MAX);
    doc.version.unique_count = ENGINE_UNIQUE_MAX;
    doc.version.uniques = uniques;
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_put(b, UINT64_MAX, SPACE_ITEM, str_make(key, ENGINE_KEY_SIZE_MAX), &doc, NULL);
    struct engine_part_meta meta = {.item_count = 1, .item_size = ENGINE_DOC_SIZE_MAX};
    engine_batch_meta(b, UINT64_MAX, &meta);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 0);
    struct engine_row row;
    struct engine_iter *it = engine_scan(e, NULL, UINT64_MAX, SPACE_ITEM, STR_NONE, STR_NONE);
    t_check(engine_iter_next(it, &row));
    t_check(str_eq(row.doc.text, doc.text));
    t_check(!engine_iter_next(it, &row));
    t_ok(engine_iter_err(it, NULL));
    engine_iter_free(it);
    mem_free(text);
    mem_free(key);
    mem_free(unique_bytes);
    engine_close(e);
}

/* Three versions of one document; afterwards only the rows of the last one are left. */
static void test_indexes_follow_the_version(void)
{
    struct engine *e = suite_open();
    struct str first[2] = {STR("u1"), STR("u2")};
    struct str second[2] = {STR("u2"), STR("u3")};
    struct engine_doc v1 = suite_doc(1, 0, "{\"v\":1}");
    v1.version.uniques = first;
    v1.version.unique_count = 2;
    v1.version.expire_at = 500;
    struct engine_doc v2 = suite_doc(2, 9, "{\"v\":22}");
    v2.version.uniques = second;
    v2.version.unique_count = 2;
    v2.version.expire_at = 700;
    struct engine_part_meta meta = {.item_count = 1, .item_size = v2.text.n};
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_put(b, 1, SPACE_ITEM, STR("k"), &v1, NULL);
    engine_batch_put(b, 1, SPACE_ITEM, STR("k"), &v2, &v1.version);
    engine_batch_meta(b, 1, &meta);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 0);

    struct buf key = hold();
    t_err(engine_unique_get(e, NULL, 1, STR("u1"), &key, NULL), ERR_NOT_FOUND);
    t_ok(engine_unique_get(e, NULL, 1, STR("u2"), &key, NULL));
    t_eq_lit(buf_str(&key), "k");
    t_ok(engine_unique_get(e, NULL, 1, STR("u3"), &key, NULL));
    struct engine_row row;
    struct engine_iter *it = engine_scan_changes(e, NULL, 1, 0, 0);
    t_check(engine_iter_next(it, &row));
    t_eq_u64(row.lsn, 2);
    t_eq_u64(row.op_idx, 9);
    t_eq_lit(row.key, "k");
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    it = engine_scan_expiry(e, NULL, 1, UINT64_MAX);
    t_check(engine_iter_next(it, &row));
    t_eq_u64(row.expire_at, 700);
    t_eq_lit(row.key, "k");
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);

    b = engine_batch_new(e);
    engine_batch_delete(b, 1, SPACE_ITEM, STR("k"), &v2.version);
    meta = (struct engine_part_meta){0};
    engine_batch_meta(b, 1, &meta);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 0);
    t_err(engine_unique_get(e, NULL, 1, STR("u3"), &key, NULL), ERR_NOT_FOUND);
    it = engine_scan_changes(e, NULL, 1, 0, 0);
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    buf_done(&key);
    engine_close(e);
}

static void expect_keys(struct engine_iter *it, const char *want)
{
    char got[64] = "";
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        size_t n = strlen(got);
        (void)snprintf(got + n, sizeof(got) - n, STR_FMT " ", STR_ARG(row.key));
    }
    t_ok(engine_iter_err(it, NULL));
    engine_iter_free(it);
    t_eq_cstr(got, want);
}

static void test_scans_are_half_open_and_ordered(void)
{
    struct engine *e = suite_open();
    static const char *const keys[] = {"d", "a", "c", "b", "bb"};
    struct engine_batch *b = engine_batch_new(e);
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct engine_doc doc = suite_doc(i + 1, 0, "{}");
        doc.version.expire_at = 10 * (i + 1);
        engine_batch_put(b, 1, SPACE_ITEM, str_of(keys[i]), &doc, NULL);
        engine_batch_put(b, 0, SPACE_ITEM, STR("x"), &doc, NULL);
        engine_batch_put(b, 2, SPACE_ITEM, STR("y"), &doc, NULL);
        engine_batch_put(b, 1, SPACE_CONFLICT, STR("z"), &doc, NULL);
    }
    t_ok(suite_apply(e, b));
    expect_keys(engine_scan(e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE), "a b bb c d ");
    expect_keys(engine_scan(e, NULL, 1, SPACE_ITEM, STR("b"), STR("c")), "b bb ");
    expect_keys(engine_scan(e, NULL, 1, SPACE_ITEM, STR("ba"), STR("d")), "bb c ");
    expect_keys(engine_scan(e, NULL, 1, SPACE_ITEM, STR("c"), STR("b")), "");
    expect_keys(engine_scan_sweep(e, NULL, 1, SPACE_ITEM, STR("ba"), STR_NONE), "bb c d ");
    expect_keys(engine_scan_back(e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE), "d c bb b a ");
    expect_keys(engine_scan_back(e, NULL, 1, SPACE_ITEM, STR("b"), STR("c")), "bb b ");
    expect_keys(engine_scan_back(e, NULL, 1, SPACE_ITEM, STR("bb"), STR_NONE), "d c bb ");
    expect_keys(engine_scan(e, NULL, 1, SPACE_CONFLICT, STR_NONE, STR_NONE), "z ");
    expect_keys(engine_scan_changes(e, NULL, 1, 0, UINT32_MAX), "d a c b bb ");
    expect_keys(engine_scan_changes(e, NULL, 1, 2, 0), "c b bb ");
    expect_keys(engine_scan_changes(e, NULL, 1, 4, UINT32_MAX), "bb ");
    expect_keys(engine_scan_changes(e, NULL, 1, 5, 0), "");
    expect_keys(engine_scan_expiry(e, NULL, 1, 30), "d a c ");
    expect_keys(engine_scan_expiry(e, NULL, 1, 9), "");
    engine_close(e);
}

static void test_log_is_kept_in_order_and_trimmed(void)
{
    struct engine *e = suite_open();
    struct engine_batch *b = engine_batch_new(e);
    for (lsn at = 1; at <= 300; at++) {
        char entry[32];
        int n = snprintf(entry, sizeof(entry), "entry %lu", at);
        engine_batch_log(b, 4, at, str_make(entry, (size_t)n));
    }
    engine_batch_log(b, 5, 1, STR("other"));
    t_ok(suite_apply(e, b));
    b = engine_batch_new(e);
    for (lsn at = 1; at <= 200; at++) {
        engine_batch_log_delete(b, 4, at);
    }
    engine_batch_log_delete(b, 4, 300);
    struct engine_part_meta m4 = {.tail_lsn = 299, .first_lsn = 201, .trim_lsn = 200};
    struct engine_part_meta m5 = {.tail_lsn = 1, .first_lsn = 1};
    engine_batch_meta(b, 4, &m4);
    engine_batch_meta(b, 5, &m5);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 0);
    struct buf entry = hold();
    t_err(engine_log_get(e, NULL, 4, 200, &entry, NULL), ERR_NOT_FOUND);
    t_ok(engine_log_get(e, NULL, 4, 256, &entry, NULL));
    t_eq_lit(buf_str(&entry), "entry 256");
    struct engine_iter *it = engine_scan_log(e, NULL, 4, 250);
    struct engine_row row;
    for (lsn at = 250; at < 300; at++) {
        t_check(engine_iter_next(it, &row));
        t_eq_u64(row.lsn, at);
    }
    t_eq_lit(row.entry, "entry 299");
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    buf_done(&entry);
    engine_close(e);
}

static void test_meta_and_partitions(void)
{
    struct engine *e = suite_open();
    struct buf h = hold();
    struct engine_part_meta got;
    t_err(engine_part_meta_get(e, NULL, 9, &h, &got, NULL), ERR_NOT_FOUND);
    struct engine_part_meta meta = {
        .tail_epoch = 1,
        .tail_lsn = 2,
        .tail_ord = 3,
        .tail_chain = 4,
        .first_lsn = 5,
        .trim_lsn = 6,
        .trim_epoch = 7,
        .item_count = 8,
        .item_size = 9,
        .conflict_count = 10,
        .extra = STR("epoch\0table"),
    };
    /* Three batches of one group change the same meta: the last one counts. */
    struct engine_batch *group[3];
    for (size_t i = 0; i < 3; i++) {
        group[i] = engine_batch_new(e);
        meta.tail_lsn = 100 + i;
        engine_batch_meta(group[i], 9, &meta);
        engine_batch_meta(group[i], 256 + i, &meta);
    }
    enum err each[3];
    t_ok(engine_apply(e, group, 3, true, each, NULL));
    for (size_t i = 0; i < 3; i++) {
        t_ok(each[i]);
        engine_batch_free(group[i]);
    }
    t_ok(engine_part_meta_get(e, NULL, 9, &h, &got, NULL));
    t_eq_u64(got.tail_epoch, 1);
    t_eq_u64(got.tail_lsn, 102);
    t_eq_u64(got.tail_ord, 3);
    t_eq_u64(got.tail_chain, 4);
    t_eq_u64(got.first_lsn, 5);
    t_eq_u64(got.trim_lsn, 6);
    t_eq_u64(got.trim_epoch, 7);
    t_eq_u64(got.item_count, 8);
    t_eq_u64(got.item_size, 9);
    t_eq_u64(got.conflict_count, 10);
    t_eq_str(got.extra, meta.extra);
    struct engine_iter *it = engine_scan_partitions(e, NULL);
    struct engine_row row;
    static const pid want[] = {9, 256, 257, 258};
    for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
        t_check(engine_iter_next(it, &row));
        t_eq_u64(row.pid, want[i]);
        t_eq_str(row.meta.extra, meta.extra);
    }
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    buf_done(&h);
    engine_close(e);
}

static void test_guard_keeps_old_generations_out(void)
{
    struct engine *e = suite_open();
    t_eq_u64(engine_generation(e), 0);
    /* 5, then 4 (stale within the same group), unguarded, then 7. */
    static const generation guards[] = {5, 4, 0, 7};
    struct engine_batch *group[4];
    for (size_t i = 0; i < 4; i++) {
        group[i] = engine_batch_new(e);
        char name[2] = {(char)('a' + i), '\0'};
        engine_batch_kv(group[i], str_of(name), STR("v"));
        engine_batch_meta(group[i], i, &(struct engine_part_meta){0});
        if (guards[i] != 0) {
            engine_batch_guard(group[i], guards[i]);
        }
    }
    enum err each[4];
    t_ok(engine_apply(e, group, 4, true, each, NULL));
    t_err(each[0], OK);
    t_err(each[1], ERR_STALE_GENERATION);
    t_err(each[2], OK);
    t_err(each[3], OK);
    t_eq_u64(engine_generation(e), 7);
    struct buf h = hold();
    struct engine_part_meta meta;
    t_ok(engine_kv_get(e, STR("a"), &h, NULL));
    t_err(engine_kv_get(e, STR("b"), &h, NULL), ERR_NOT_FOUND);
    t_err(engine_part_meta_get(e, NULL, 1, &h, &meta, NULL), ERR_NOT_FOUND);
    t_ok(engine_part_meta_get(e, NULL, 3, &h, &meta, NULL));
    for (size_t i = 0; i < 4; i++) {
        engine_batch_free(group[i]);
    }
    /* A guard without anything else stores the generation. */
    struct engine_batch *b = engine_batch_new(e);
    t_check(engine_batch_is_empty(b));
    engine_batch_guard(b, 8);
    t_check(!engine_batch_is_empty(b));
    t_ok(suite_apply(e, b));
    t_eq_u64(engine_generation(e), 8);
    b = engine_batch_new(e);
    engine_batch_guard(b, 7);
    t_err(suite_apply(e, b), ERR_STALE_GENERATION);
    b = engine_batch_new(e);
    engine_batch_guard(b, 8);
    t_ok(suite_apply(e, b));
    buf_done(&h);
    engine_close(e);
    if (suite_is_durable()) {
        e = suite_reopen();
        t_eq_u64(engine_generation(e), 8);
        engine_close(e);
    }
}

static enum err apply_fenced(struct engine *e, generation guard, pid p, generation fence)
{
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_meta(b, p, &(struct engine_part_meta){.item_count = fence});
    engine_batch_guard(b, guard);
    if (fence != 0) {
        engine_batch_fence(b, p, fence);
    }
    return suite_apply(e, b);
}

static bool is_fence_above_8(const void *ctx, pid p, generation g)
{
    UNUSED(ctx);
    return p == 4 && g > 8;
}

static void test_fence_of_one_partition(void)
{
    struct engine *e = suite_open();
    t_ok(apply_fenced(e, 5, 4, 0));
    t_ok(apply_fenced(e, 5, 4, 8));
    t_eq_u64(engine_fence(e, 4), 8);
    t_eq_u64(engine_fence(e, 3), 0);
    t_err(apply_fenced(e, 5, 4, 7), ERR_STALE_GENERATION);
    t_err(apply_fenced(e, 6, 4, 0), ERR_STALE_GENERATION); /* under the region's own generation */
    t_eq_u64(engine_generation(e), 5);                     /* nothing of it was applied */
    t_ok(apply_fenced(e, 6, 3, 0));                        /* another partition */
    t_ok(apply_fenced(e, 6, 4, 9));
    t_check(engine_fence_find(e, is_fence_above_8, NULL));
    if (suite_is_durable()) {
        engine_close(e);
        e = suite_reopen();
        t_eq_u64(engine_fence(e, 4), 9);
        t_err(apply_fenced(e, 6, 4, 0), ERR_STALE_GENERATION);
    }
    /* In one group: the fence that the first sets holds for the second. */
    struct engine_batch *group[2] = {engine_batch_new(e), engine_batch_new(e)};
    for (size_t i = 0; i < 2; i++) {
        engine_batch_meta(group[i], 4, &(struct engine_part_meta){0});
        engine_batch_guard(group[i], 6);
        engine_batch_fence(group[i], 4, 11 - i);
    }
    enum err each[2];
    t_ok(engine_apply(e, group, 2, true, each, NULL));
    t_err(each[0], OK);
    t_err(each[1], ERR_STALE_GENERATION);
    engine_batch_free(group[0]);
    engine_batch_free(group[1]);
    /* A drop passes, and forgets it; not when the batch is refused for another partition. */
    t_ok(apply_fenced(e, 6, 7, 9));
    for (int i = 0; i < 2; i++) {
        struct engine_batch *drop = engine_batch_new(e);
        engine_batch_guard(drop, 6);
        engine_batch_drop(drop, 7);
        if (i == 0) {
            engine_batch_meta(drop, 4, &(struct engine_part_meta){0});
        }
        t_err(suite_apply(e, drop), i == 0 ? ERR_STALE_GENERATION : OK);
        t_eq_u64(engine_fence(e, 7), i == 0 ? 9 : 0);
    }
    if (suite_is_durable()) {
        engine_close(e);
        e = suite_reopen();
        t_eq_u64(engine_fence(e, 7), 0);
        t_eq_u64(engine_fence(e, 4), 11);
    }
    /* Once the region's own generation is above, it does the same. */
    t_ok(apply_fenced(e, 12, 4, 0));
    t_eq_u64(engine_fence(e, 4), 0);
    t_check(!engine_fence_find(e, is_fence_above_8, NULL));
    engine_close(e);
}

/* In how many batches all of partition 4 that there is to clear goes. */
static size_t clear_slices(struct engine *e,
                           enum err (*clear)(struct engine_batch *b, struct engine *e, pid p,
                                             size_t max, bool *ret_more, struct errinfo *ei))
{
    size_t rounds = 0;
    for (bool more = true; more; rounds++) {
        struct engine_batch *b = engine_batch_new(e);
        t_ok(clear(b, e, 4, 7, &more, NULL));
        t_ok(suite_apply(e, b));
    }
    return rounds;
}

static void test_clear_takes_all_rows_of_one_partition(void)
{
    struct engine *e = suite_open();
    struct engine_batch *b = engine_batch_new(e);
    for (pid p = 4; p <= 5; p++) {
        for (size_t i = 0; i < 5; i++) {
            char key[2] = {(char)('a' + i), '\0'};
            struct engine_doc doc = {.version = {.lsn = i + 1, .expire_at = 9, .doc_size = 1},
                                     .text = STR("x")};
            engine_batch_put(b, p, SPACE_ITEM, str_of(key), &doc, NULL);
            engine_batch_log(b, p, i + 1, STR("entry"));
        }
        engine_batch_meta(b, p, &(struct engine_part_meta){.item_count = 5});
    }
    t_ok(suite_apply(e, b));
    struct buf h = hold();
    struct engine_doc got;
    engine_spoil(e, 4);
    t_err(engine_get(e, NULL, 4, SPACE_ITEM, STR("a"), true, &h, &got, NULL), ERR_CORRUPT);
    t_ok(engine_get(e, NULL, 5, SPACE_ITEM, STR("a"), true, &h, &got, NULL));
    t_eq_u64(clear_slices(e, engine_batch_clear_docs), 3); /* 5 documents, changes, expiry marks */
    t_eq_u64(engine_spoiled(e), 0);
    t_err(engine_get(e, NULL, 4, SPACE_ITEM, STR("a"), true, &h, &got, NULL), ERR_NOT_FOUND);
    t_ok(engine_log_get(e, NULL, 4, 3, &h, NULL));
    engine_spoil(e, 4);
    t_eq_u64(clear_slices(e, engine_batch_clear), 1); /* 5 entries */
    t_eq_u64(engine_spoiled(e), 0);
    t_err(engine_log_get(e, NULL, 4, 3, &h, NULL), ERR_NOT_FOUND);
    struct engine_part_meta meta;
    t_ok(engine_part_meta_get(e, NULL, 4, &h, &meta, NULL)); /* stays */
    t_ok(engine_get(e, NULL, 5, SPACE_ITEM, STR("e"), true, &h, &got, NULL));
    t_ok(engine_log_get(e, NULL, 5, 5, &h, NULL));
    buf_done(&h);
    engine_close(e);
}

static void test_snapshot_stays_what_it_was(void)
{
    struct engine *e = suite_open();
    struct engine_doc one = suite_doc(1, 0, "one");
    struct engine_doc two = suite_doc(2, 0, "two");
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_put(b, 1, SPACE_ITEM, STR("k"), &one, NULL);
    t_ok(suite_apply(e, b));
    struct engine_snap *snap = engine_snap_get(e);
    struct engine_iter *before = engine_scan(e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE);
    b = engine_batch_new(e);
    engine_batch_put(b, 1, SPACE_ITEM, STR("k"), &two, &one.version);
    engine_batch_put(b, 1, SPACE_ITEM, STR("l"), &two, NULL);
    t_ok(suite_apply(e, b));

    struct buf h = hold();
    struct engine_doc got;
    t_ok(engine_get(e, snap, 1, SPACE_ITEM, STR("k"), true, &h, &got, NULL));
    t_eq_lit(got.text, "one");
    t_ok(engine_get(e, NULL, 1, SPACE_ITEM, STR("k"), true, &h, &got, NULL));
    t_eq_lit(got.text, "two");
    t_err(engine_get(e, snap, 1, SPACE_ITEM, STR("l"), true, &h, &got, NULL), ERR_NOT_FOUND);
    expect_keys(engine_scan_changes(e, snap, 1, 0, 0), "k ");
    struct engine_iter *in_snap = engine_scan(e, snap, 1, SPACE_ITEM, STR_NONE, STR_NONE);
    engine_snap_release(e, snap); /* an iterator outlives the snapshot it was made from */
    struct engine_row row;
    t_check(engine_iter_next(in_snap, &row));
    t_eq_lit(row.doc.text, "one");
    t_check(!engine_iter_next(in_snap, &row));
    engine_iter_free(in_snap);
    /* An iterator without a snapshot stays where it was made, too. */
    t_check(engine_iter_next(before, &row));
    t_eq_lit(row.doc.text, "one");
    t_check(!engine_iter_next(before, &row));
    engine_iter_free(before);
    buf_done(&h);
    engine_close(e);
}

static void test_dirty_marks(void)
{
    struct engine *e = suite_open();
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_meta(b, 3, &(struct engine_part_meta){0});
    engine_batch_dirty(b, 3, SPACE_ITEM, STR("a"), true);
    engine_batch_dirty(b, 3, SPACE_ITEM, STR("b"), true);
    engine_batch_dirty(b, 3, SPACE_CONFLICT, STR("a"), true);
    t_ok(suite_apply(e, b));
    b = engine_batch_new(e);
    engine_batch_dirty(b, 3, SPACE_ITEM, STR("a"), false);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 0);
    struct engine_iter *it = engine_scan_dirty(e, NULL, 3);
    struct engine_row row;
    t_check(engine_iter_next(it, &row));
    t_eq_lit(row.key, "b");
    t_eq_int(row.space, SPACE_ITEM);
    t_check(engine_iter_next(it, &row));
    t_eq_lit(row.key, "a");
    t_eq_int(row.space, SPACE_CONFLICT);
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    engine_close(e);
}

static void test_named_values(void)
{
    struct engine *e = suite_open();
    struct buf v = hold();
    t_err(engine_kv_get(e, STR("n"), &v, NULL), ERR_NOT_FOUND);
    char *big = (char *)mem_zalloc(ENGINE_KV_VALUE_MAX);
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_kv(b, STR("n"), STR("v\0w"));
    engine_batch_kv(b, STR("big"), str_make(big, ENGINE_KV_VALUE_MAX));
    t_ok(suite_apply(e, b));
    t_ok(engine_kv_get(e, STR("n"), &v, NULL));
    t_eq_str(buf_str(&v), STR("v\0w"));
    t_ok(engine_kv_get(e, STR("big"), &v, NULL));
    t_eq_u64(v.n, ENGINE_KV_VALUE_MAX);
    b = engine_batch_new(e);
    engine_batch_kv(b, STR("n"), STR_NONE);
    t_ok(suite_apply(e, b));
    t_err(engine_kv_get(e, STR("n"), &v, NULL), ERR_NOT_FOUND);
    mem_free(big);
    buf_done(&v);
    engine_close(e);
}

static void fill_partition(struct engine *e, pid p, size_t n)
{
    struct engine_batch *b = engine_batch_new(e);
    for (size_t i = 0; i < n; i++) {
        char key[16];
        char unique[16];
        (void)snprintf(key, sizeof(key), "k%05zu", i);
        (void)snprintf(unique, sizeof(unique), "u%05zu", i);
        struct str u = str_of(unique);
        struct engine_doc doc = suite_doc(i + 1, 0, "{}");
        doc.version.unique_count = 1;
        doc.version.uniques = &u;
        doc.version.expire_at = 1 + i % 3;
        engine_batch_put(b, p, SPACE_ITEM, str_of(key), &doc, NULL);
        engine_batch_log(b, p, i + 1, STR("e"));
    }
    engine_batch_dirty(b, p, SPACE_ITEM, STR("d"), true);
    struct engine_part_meta meta = {
        .tail_lsn = n, .first_lsn = 1, .item_count = n, .item_size = 2 * n};
    engine_batch_meta(b, p, &meta);
    t_ok(suite_apply(e, b));
}

static void test_dropped_partition_is_gone_and_others_are_not(void)
{
    struct engine *e = suite_open();
    for (pid p = 1; p <= 3; p++) {
        fill_partition(e, p, 2500); /* several slices */
    }
    t_eq_u64(suite_verify(e), 0);
    t_ok(engine_drop_partition(e, 2, NULL));
    t_ok(engine_drop_partition(e, 2, NULL)); /* again: nothing to do */
    t_eq_u64(suite_verify(e), 0);
    expect_keys(engine_scan(e, NULL, 2, SPACE_ITEM, STR_NONE, STR_NONE), "");
    expect_keys(engine_scan_changes(e, NULL, 2, 0, 0), "");
    expect_keys(engine_scan_expiry(e, NULL, 2, UINT64_MAX), "");
    expect_keys(engine_scan_dirty(e, NULL, 2), "");
    struct engine_row row;
    struct engine_iter *it = engine_scan_log(e, NULL, 2, 0);
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    it = engine_scan_partitions(e, NULL);
    t_check(engine_iter_next(it, &row));
    t_eq_u64(row.pid, 1);
    t_check(engine_iter_next(it, &row));
    t_eq_u64(row.pid, 3);
    t_check(!engine_iter_next(it, &row));
    engine_iter_free(it);
    engine_close(e);
}

static void test_verify_finds_what_disagrees(void)
{
    struct engine *e = suite_open();
    fill_partition(e, 1, 3);
    struct buf h = hold();
    struct engine_doc doc;
    t_ok(engine_get(e, NULL, 1, SPACE_ITEM, STR("k00001"), true, &h, &doc, NULL));
    /* The document goes but its rows stay: change, expiry, unique; two counters. */
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_delete(b, 1, SPACE_ITEM, STR("k00001"), NULL);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 5);
    /* The rows go as well: only the counters are left to disagree. */
    b = engine_batch_new(e);
    engine_batch_delete(b, 1, SPACE_ITEM, STR("k00001"), &doc.version);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 2);
    /* Log: its end is missing, and a row below the start. */
    struct engine_part_meta meta = {
        .tail_lsn = 3, .first_lsn = 2, .trim_lsn = 2, .item_count = 2, .item_size = 4};
    b = engine_batch_new(e);
    engine_batch_meta(b, 1, &meta);
    engine_batch_log_delete(b, 1, 3);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 3); /* first_lsn, tail_lsn, first_lsn <= trim_lsn */
    /* Rows of a partition that has no meta. */
    b = engine_batch_new(e);
    engine_batch_log(b, 77, 1, STR("e"));
    engine_batch_dirty(b, 78, SPACE_ITEM, STR("k"), true);
    t_ok(suite_apply(e, b));
    t_eq_u64(suite_verify(e), 5);
    buf_done(&h);
    engine_close(e);
}

static void test_statistics_count(void)
{
    struct engine *e = suite_open();
    fill_partition(e, 1, 10);
    struct engine_stats s;
    engine_stats_get(e, &s);
    t_eq_u64(s.batches, 1);
    t_eq_u64(s.syncs, 1);
    t_check(s.bytes_written > 500);
    t_check(s.memory_size > 0);
    t_check((engine_features(e) & ENGINE_ZONE_REDUNDANT) == 0);
    t_eq_bool((engine_features(e) & ENGINE_DURABLE) != 0, suite_is_durable());
    if (suite_is_durable()) {
        t_check(s.disk_size > 0);
        t_check(s.disk_free > 0);
    }
    engine_close(e);
}

static void test_everything_survives_a_restart(void)
{
    if (!suite_is_durable()) {
        t_skip("forgets by design");
        return;
    }
    struct engine *e = suite_open();
    fill_partition(e, 1, 1000);
    engine_close(e);
    e = suite_reopen();
    t_eq_u64(suite_verify(e), 0);
    struct engine_iter *it = engine_scan(e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE);
    struct engine_row row;
    size_t n = 0;
    while (engine_iter_next(it, &row)) {
        n++;
    }
    engine_iter_free(it);
    t_eq_u64(n, 1000);
    engine_close(e);
}

static void test_unknown_driver(void)
{
    struct engine *e = NULL;
    struct errinfo ei = {0};
    struct engine_opts opts = {.driver = STR("punchcards")};
    t_err(engine_open(&opts, &e, &ei), ERR_CONFIG);
    t_check(e == NULL);
    engine_close(NULL);
}

static void close_with_snapshot(void *arg)
{
    UNUSED(arg);
    struct engine *e = suite_open();
    (void)engine_snap_get(e);
    engine_close(e);
}

static void test_close_asserts_that_nothing_is_left(void)
{
    suite_driver = "mem";
    t_check(t_aborts(close_with_snapshot, NULL));
}

static const struct suite_case cases[] = {
    {"a document comes back as put", test_document_comes_back_as_put},
    {"the largest document fits", test_largest_document},
    {"indexes follow the version", test_indexes_follow_the_version},
    {"scans are half-open and ordered", test_scans_are_half_open_and_ordered},
    {"the log is kept in order and trimmed", test_log_is_kept_in_order_and_trimmed},
    {"metas: the group's last counts", test_meta_and_partitions},
    {"the guard keeps old generations out", test_guard_keeps_old_generations_out},
    {"a fence keeps old generations out of one partition", test_fence_of_one_partition},
    {"all rows of one partition can be cleared away", test_clear_takes_all_rows_of_one_partition},
    {"a snapshot stays what it was", test_snapshot_stays_what_it_was},
    {"dirty marks", test_dirty_marks},
    {"named values", test_named_values},
    {"a dropped partition is gone, others are not",
     test_dropped_partition_is_gone_and_others_are_not},
    {"verify finds what disagrees", test_verify_finds_what_disagrees},
    {"statistics count", test_statistics_count},
    {"everything survives a restart", test_everything_survives_a_restart},
    {"an unknown driver is refused", test_unknown_driver},
    {"close asserts that nothing is left open", test_close_asserts_that_nothing_is_left},
};
SUITE_MAIN(cases)
