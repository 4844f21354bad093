/* Decoders of the engine's records, keys and batches. The first byte chooses; the rest is the
 * record. Checksums are put right first (a fuzzer does not guess them), so that the parsing behind
 * them is reached. What is accepted must encode to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/contract.h"
#include "base/crc.h"
#include "base/mem.h"
#include "engine/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_u32(char *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

static void seal_doc(struct str key, char *p, size_t n)
{
    if (n < RECORD_DOC_HEADER_SIZE) {
        return;
    }
    size_t head = record_doc_head_size(str_make(p, n));
    if (head > n) {
        return;
    }
    put_u32(p + 8, crc32c(0, p + head, n - head));
    put_u32(p + 4, crc32c(crc32c(crc32c(0, key.p, key.n), p, 4), p + 8, head - 8));
}

static void seal_small(struct str key, char *p, size_t n)
{
    if (n >= RECORD_SMALL_HEADER_SIZE) {
        put_u32(p + 2, crc32c(crc32c(crc32c(0, key.p, key.n), p, 2), p + 6, n - 6));
    }
}

static void fuzz_doc(struct str key, struct str record)
{
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc doc;
    const char *why = NULL;
    enum err err = record_doc_decode(key, record, true, uniques, &doc, &why);
    ASSERT(err == OK || why != NULL);
    if (err != OK) {
        return;
    }
    ASSERT(doc.version.unique_count <= ENGINE_UNIQUE_MAX);
    ASSERT(doc.text.n == doc.version.doc_size);
    struct buf again;
    buf_init(&again, ENGINE_DOC_SIZE_MAX + RECORD_DOC_HEAD_SIZE_MAX);
    record_doc_encode(key, &doc, &again);
    buf_add_str(&again, doc.text);
    ASSERT(str_eq(buf_str(&again), record));
    buf_done(&again);
}

static void fuzz_meta(struct str key, struct str record)
{
    struct engine_part_meta meta;
    const char *why = NULL;
    if (record_meta_decode(key, record, &meta, &why) == OK) {
        struct buf again;
        buf_init(&again, RECORD_META_FIXED_SIZE + RECORD_META_EXTRA_MAX);
        record_meta_encode(key, &meta, &again);
        ASSERT(str_eq(buf_str(&again), record));
        buf_done(&again);
    }
}

static void fuzz_small(struct str key, struct str record)
{
    struct str payload = STR_NONE;
    const char *why = NULL;
    enum err err = record_log_decode(record, &payload, &why);
    ASSERT(IMPLIES(err == OK, payload.n + RECORD_LOG_HEADER_SIZE == record.n));
    err = record_small_decode(MAGIC_KV, key, record, &payload, &why);
    ASSERT(IMPLIES(err == OK, payload.n + RECORD_SMALL_HEADER_SIZE == record.n));
}

static void fuzz_key(struct str row_key)
{
    for (int t = 0; t < KV_TABLE_COUNT; t++) {
        struct record_key_parts k;
        struct record_key again = {.n = 0};
        if (!record_key_parse((enum kv_table)t, row_key, &k)) {
            continue;
        }
        if (t == KV_LOG) {
            record_key_log(&again, k.pid, k.lsn);
        } else if (t == KV_MAIN) {
            switch ((int)k.prefix) {
            case PREFIX_KV:
                record_key_kv(&again, k.key);
                break;
            case PREFIX_META:
                record_key_meta(&again, k.pid);
                break;
            case PREFIX_DROP:
                record_key_drop(&again, k.pid);
                break;
            case PREFIX_DIRTY:
                record_key_dirty(&again, k.pid, k.space, k.key);
                break;
            default:
                record_key_doc(&again, k.pid, k.space, k.key);
                break;
            }
        } else if (k.prefix == PREFIX_CHANGE) {
            record_key_change(&again, k.pid, k.lsn, k.op_idx);
        } else if (k.prefix == PREFIX_EXPIRY) {
            record_key_expiry(&again, k.pid, k.expire_at, k.key);
        } else {
            record_key_unique(&again, k.pid, k.key);
        }
        ASSERT(str_eq(record_key_str(&again), row_key));
    }
}

static void fuzz_batch(struct str ops)
{
    struct rd r = rd_of(ops);
    struct kv_op op;
    size_t used = 0;
    while (kv_op_next(&r, &op)) {
        ASSERT(op.table < KV_TABLE_COUNT);
        used += op.key.n + op.value.n + 2;
        ASSERT(used <= ops.n);
    }
    ASSERT(IMPLIES(!r.bad, r.n == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str key = {"\x10\0\0\0\0\0\0\0\1\0key", 13};
    if (size < 1) {
        return 0;
    }
    size_t n = size - 1;
    char *p = (char *)mem_alloc(n); /* exact size: the sanitizer sees overruns */
    memcpy(p, data + 1, n);
    switch (data[0] % 8) {
    case 0:
        seal_doc(key, p, n);
        fuzz_doc(key, str_make(p, n));
        break;
    case 1:
        fuzz_doc(key, str_make(p, n));
        break;
    case 2:
        seal_small(key, p, n);
        fuzz_meta(key, str_make(p, n));
        break;
    case 3:
        fuzz_meta(key, str_make(p, n));
        fuzz_small(key, str_make(p, n));
        break;
    case 4:
        fuzz_key(str_make(p, n));
        break;
    default:
        fuzz_batch(str_make(p, n));
        break;
    }
    mem_free(p);
    return 0;
}
