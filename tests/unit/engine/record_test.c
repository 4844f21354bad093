/* Records and keys: golden bytes of version 1, what decoders refuse, and that the batch format
 * really is RocksDB's. */
#include <rocksdb/c.h>

#include "engine/record.h"
#include "suite.h"

static struct engine_doc sample_doc(struct str uniques[2])
{
    uniques[0] = STR("unique one");
    uniques[1] = STR("\0two");
    return (struct engine_doc){
        .version = {.lsn = 0x0102030405,
                    .op_idx = 0x0607,
                    .expire_at = 1893456000,
                    .unique_count = 2,
                    .uniques = uniques,
                    .doc_size = 17},
        .epoch = 0x1112131415161718,
        .rid = 0x2122232425262728,
        .ts = 1795000000,
        .hlc = 0x3132333435363738,
        .origin = 5,
        .text = STR("{\"id\":\"1\",\"n\":1}"),
    };
}

T_TEST("golden: a document")
{
    struct str uniques[2];
    struct engine_doc doc = sample_doc(uniques);
    struct record_key k;
    record_key_doc(&k, 258, SPACE_ITEM, STR("key"));
    struct buf out;
    buf_init(&out, 4096);
    record_doc_encode(record_key_str(&k), &doc, &out);
    t_eq_u64(record_doc_head_size(buf_str(&out)), out.n);
    buf_add_str(&out, doc.text);
    t_golden("engine_doc_v1.bin", buf_str(&out));

    struct str got_uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc got;
    const char *why = "";
    t_ok(record_doc_decode(record_key_str(&k), buf_str(&out), true, got_uniques, &got, &why));
    t_eq_u64(got.version.lsn, doc.version.lsn);
    t_eq_u64(got.version.op_idx, doc.version.op_idx);
    t_eq_u64(got.version.expire_at, doc.version.expire_at);
    t_eq_u64(got.epoch, doc.epoch);
    t_eq_u64(got.rid, doc.rid);
    t_eq_u64(got.ts, doc.ts);
    t_eq_u64(got.hlc, doc.hlc);
    t_eq_u64(got.origin, doc.origin);
    t_eq_str(got.text, doc.text);
    t_eq_str(got.version.uniques[1], uniques[1]);
    buf_done(&out);
}

T_TEST("golden: meta, named value, index row, mark, log entry")
{
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
        .extra = STR("extra"),
    };
    struct record_key k;
    struct buf out;
    buf_init(&out, 4096);
    record_key_meta(&k, 3);
    record_meta_encode(record_key_str(&k), &meta, &out);
    t_eq_u64(out.n, RECORD_META_FIXED_SIZE + 5);
    t_golden("engine_meta_v1.bin", buf_str(&out));
    buf_clear(&out);
    record_key_kv(&k, STR("name"));
    record_small_encode(MAGIC_KV, record_key_str(&k), STR("value"), &out);
    t_golden("engine_kv_v1.bin", buf_str(&out));
    buf_clear(&out);
    record_key_change(&k, 3, 77, 8);
    record_small_encode(MAGIC_KEY, record_key_str(&k), STR("document key"), &out);
    t_golden("engine_index_v1.bin", buf_str(&out));
    buf_clear(&out);
    record_key_expiry(&k, 3, 1893456000, STR("document key"));
    record_small_encode(MAGIC_MARK, record_key_str(&k), STR_NONE, &out);
    t_golden("engine_mark_v1.bin", buf_str(&out));
    buf_clear(&out);
    char head[RECORD_LOG_HEADER_SIZE];
    record_log_head(head);
    buf_add(&out, head, sizeof(head));
    buf_add_cstr(&out, "entry bytes");
    t_golden("engine_log_v1.bin", buf_str(&out));
    struct str entry;
    const char *why = "";
    t_ok(record_log_decode(buf_str(&out), &entry, &why));
    t_eq_lit(entry, "entry bytes");
    buf_done(&out);
}

/* All key forms, one after the other, each preceded by its length. */
T_TEST("golden: keys")
{
    struct buf out;
    struct record_key k;
    buf_init(&out, 4096);
    record_key_kv(&k, STR("name"));
    buf_add_lstr(&out, record_key_str(&k));
    record_key_meta(&k, 0x0102);
    buf_add_lstr(&out, record_key_str(&k));
    record_key_drop(&k, 0x0102);
    buf_add_lstr(&out, record_key_str(&k));
    record_key_dirty(&k, 0x0102, SPACE_CONFLICT, STR("key"));
    buf_add_lstr(&out, record_key_str(&k));
    record_key_doc(&k, 0x0102, SPACE_ITEM, STR("key"));
    buf_add_lstr(&out, record_key_str(&k));
    record_key_log(&k, 0x0102, 0x0304);
    buf_add_lstr(&out, record_key_str(&k));
    record_key_change(&k, 0x0102, 0x0304, 0x0506);
    buf_add_lstr(&out, record_key_str(&k));
    record_key_expiry(&k, 0x0102, 0x0304, STR("key"));
    buf_add_lstr(&out, record_key_str(&k));
    record_key_unique(&k, 0x0102, STR("unique"));
    buf_add_lstr(&out, record_key_str(&k));
    t_golden("engine_keys_v1.bin", buf_str(&out));
    buf_done(&out);
}

T_TEST("keys parse back, other bytes do not")
{
    struct record_key k;
    struct record_key_parts p;
    record_key_change(&k, 7, 0x0a0b, 0x0c0d);
    t_check(record_key_parse(KV_INDEX, record_key_str(&k), &p));
    t_eq_u64(p.pid, 7);
    t_eq_u64(p.lsn, 0x0a0b);
    t_eq_u64(p.op_idx, 0x0c0d);
    k.n--;
    t_check(!record_key_parse(KV_INDEX, record_key_str(&k), &p));
    record_key_doc(&k, 7, SPACE_CONFLICT, STR("key"));
    t_check(record_key_parse(KV_MAIN, record_key_str(&k), &p));
    t_eq_int(p.space, SPACE_CONFLICT);
    t_eq_lit(p.key, "key");
    k.p[9] = SPACE_COUNT;
    t_check(!record_key_parse(KV_MAIN, record_key_str(&k), &p));
    record_key_doc(&k, 7, SPACE_ITEM, STR_NONE); /* a bound, not a key */
    t_check(!record_key_parse(KV_MAIN, record_key_str(&k), &p));
    t_check(!record_key_parse(KV_MAIN, STR("\x7f"), &p));
    t_check(!record_key_parse(KV_INDEX, STR("\x09xxxxxxxxx"), &p));
    t_check(!record_key_parse(KV_LOG, STR("short"), &p));
    t_check(!record_key_parse(KV_MAIN, STR_NONE, &p));
}

T_TEST("the key after a prefix is above all that starts with it")
{
    struct record_key k;
    record_key_begin(&k, PREFIX_DOC, UINT64_MAX);
    record_key_after(&k);
    t_eq_u64(k.n, 1);
    t_eq_u64((unsigned char)k.p[0], PREFIX_DOC + 1);
    record_key_begin(&k, RECORD_NO_PREFIX, UINT64_MAX);
    record_key_after(&k);
    t_eq_u64(k.n, 0); /* the end of the table */
}

/* Every single bit of a document's record: never accepted. With another key: never accepted. */
T_TEST("a flipped bit anywhere in a record is found")
{
    struct str uniques[2];
    struct engine_doc doc = sample_doc(uniques);
    struct record_key k;
    record_key_doc(&k, 1, SPACE_ITEM, STR("key"));
    struct buf out;
    buf_init(&out, 4096);
    record_doc_encode(record_key_str(&k), &doc, &out);
    buf_add_str(&out, doc.text);
    struct str got_uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc got;
    const char *why = "";
    size_t head_size = record_doc_head_size(buf_str(&out));
    for (size_t bit = 0; bit < out.n * 8; bit++) {
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << (bit % 8)));
        enum err err =
            record_doc_decode(record_key_str(&k), buf_str(&out), true, got_uniques, &got, &why);
        t_checkf(err == ERR_CORRUPT || (err == ERR_FORMAT_NEWER && bit / 8 == 1), "bit %zu", bit);
        /* Without the text, the text may be damaged, the header may not. */
        err = record_doc_decode(record_key_str(&k), buf_str(&out), false, got_uniques, &got, &why);
        t_checkf((err == OK) == (bit / 8 >= head_size), "bit %zu", bit);
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << (bit % 8)));
    }
    for (size_t n = 0; n < out.n; n++) {
        t_err(record_doc_decode(record_key_str(&k), str_make(out.p, n), true, got_uniques, &got,
                                &why),
              ERR_CORRUPT);
    }
    struct record_key other;
    record_key_doc(&other, 1, SPACE_ITEM, STR("kez"));
    t_err(record_doc_decode(record_key_str(&other), buf_str(&out), true, got_uniques, &got, &why),
          ERR_CORRUPT);
    buf_clear(&out);
    record_key_kv(&k, STR("name"));
    record_small_encode(MAGIC_KV, record_key_str(&k), STR("value"), &out);
    for (size_t bit = 0; bit < out.n * 8; bit++) {
        struct str payload;
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << (bit % 8)));
        t_check(record_small_decode(MAGIC_KV, record_key_str(&k), buf_str(&out), &payload, &why) !=
                OK);
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << (bit % 8)));
    }
    buf_done(&out);
}

T_TEST("a record of a newer version says so")
{
    char record[80] = {(char)MAGIC_DOC, RECORD_VERSION + 1};
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc doc;
    struct str payload;
    const char *why = "";
    t_err(record_doc_decode(STR("k"), str_make(record, sizeof(record)), true, uniques, &doc, &why),
          ERR_FORMAT_NEWER);
    record[0] = (char)MAGIC_KV;
    t_err(record_small_decode(MAGIC_KV, STR("k"), str_make(record, sizeof(record)), &payload, &why),
          ERR_FORMAT_NEWER);
}

/* The RocksDB driver hands our bytes over as they are: they must be what RocksDB would write. */
T_TEST("batches are in RocksDB's own format")
{
    struct kv_batch b;
    kv_batch_init(&b);
    char big[70000];
    memset(big, 'v', sizeof(big));
    struct str big_value = str_make(big, sizeof(big));
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    kv_batch_put(&b, KV_MAIN, STR("key"), STR("he"), STR("ad"));
    rocksdb_writebatch_put(wb, "key", 3, "head", 4);
    kv_batch_put(&b, KV_MAIN, str_make(big, 200), big_value, STR_NONE);
    rocksdb_writebatch_put(wb, big, 200, big, sizeof(big));
    kv_batch_delete(&b, KV_MAIN, STR("gone"));
    rocksdb_writebatch_delete(wb, "gone", 4);
    size_t n = 0;
    const char *rep = rocksdb_writebatch_data(wb, &n);
    t_check(n > 12);
    struct rd count = rd_of(str_make(rep + 8, 4));
    t_eq_u64(rd_u32(&count), b.count);
    t_check(str_eq(buf_str(&b.ops), str_make(rep + 12, n - 12)));
    rocksdb_writebatch_destroy(wb);
    kv_batch_done(&b);
}

T_TEST("batches decode to what was put, broken ones do not")
{
    struct kv_batch b;
    kv_batch_init(&b);
    kv_batch_put(&b, KV_LOG, STR("a"), STR("x"), STR("y"));
    kv_batch_delete(&b, KV_INDEX, STR("b"));
    kv_batch_put(&b, KV_MAIN, STR("c"), STR_NONE, STR_NONE);
    struct rd r = rd_of(buf_str(&b.ops));
    struct kv_op op;
    t_check(kv_op_next(&r, &op));
    t_eq_int(op.table, KV_LOG);
    t_eq_lit(op.value, "xy");
    t_check(kv_op_next(&r, &op));
    t_check(op.is_delete);
    t_eq_int(op.table, KV_INDEX);
    t_check(kv_op_next(&r, &op));
    t_eq_u64(op.value.n, 0);
    t_check(!kv_op_next(&r, &op));
    t_check(!r.bad);
    static const struct str broken[] = {
        {"\x02", 1},
        {"\x06\x01\x01k", 4},
        {"\x05\x03\x01k\x01v", 6},
        {"\x01\x05k", 3},
        {"\x00\xff\xff\xff\xff\xff", 6},
        {"\x01\x01k\x7fv", 5},
    };
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        r = rd_of(broken[i]);
        t_check(!kv_op_next(&r, &op));
        t_check(r.bad);
    }
    kv_batch_done(&b);
}

T_MAIN()
