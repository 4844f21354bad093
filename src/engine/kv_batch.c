/* Encoding and decoding of write batches; the format is described in kv.h. */
#include "engine/kv.h"

#include "base/contract.h"

/* Tags of RocksDB's write batch records. */
enum {
    TAG_DELETE = 0x00,
    TAG_PUT = 0x01,
    TAG_TABLE_DELETE = 0x04,
    TAG_TABLE_PUT = 0x05,
    VARINT_SIZE_MAX = 5,
};

void kv_batch_init(struct kv_batch *b)
{
    buf_init(&b->ops, KV_BATCH_SIZE_MAX);
    b->count = 0;
}

void kv_batch_done(struct kv_batch *b)
{
    buf_done(&b->ops);
    b->count = 0;
}

static size_t varint_put(char *p, uint32_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (char)(unsigned char)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (char)(unsigned char)v;
    return n;
}

/* Tag, table and key in one go: one call into the buffer for what is a dozen bytes and a key. */
static void head_put(struct kv_batch *b, bool is_delete, enum kv_table t, struct str key)
{
    ASSERT(key.n > 0 && key.n <= KV_KEY_SIZE_MAX);
    char head[2 + VARINT_SIZE_MAX];
    size_t n = 0;
    if (t == KV_MAIN) {
        head[n++] = is_delete ? TAG_DELETE : TAG_PUT;
    } else {
        head[n++] = is_delete ? TAG_TABLE_DELETE : TAG_TABLE_PUT;
        head[n++] = (char)t;
    }
    n += varint_put(head + n, (uint32_t)key.n);
    buf_add(&b->ops, head, n);
    buf_add_str(&b->ops, key);
    b->count++;
}

void kv_batch_put(struct kv_batch *b, enum kv_table t, struct str key, struct str head,
                  struct str body)
{
    ASSERT(head.n + body.n <= KV_BATCH_SIZE_MAX);
    buf_reserve(&b->ops, key.n + head.n + body.n + 2 + 2 * (size_t)VARINT_SIZE_MAX);
    head_put(b, /* is_delete= */ false, t, key);
    char size[VARINT_SIZE_MAX];
    buf_add(&b->ops, size, varint_put(size, (uint32_t)(head.n + body.n)));
    buf_add_str(&b->ops, head);
    buf_add_str(&b->ops, body);
}

void kv_batch_delete(struct kv_batch *b, enum kv_table t, struct str key)
{
    head_put(b, /* is_delete= */ true, t, key);
}

static uint32_t rd_varint(struct rd *r)
{
    uint32_t v = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_SIZE_MAX; shift += 7) {
        uint8_t c = rd_u8(r);
        if (r->bad || (shift == 28 && c > 0x0f)) {
            break;
        }
        v |= (uint32_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            return v;
        }
    }
    r->bad = true;
    return 0;
}

bool kv_op_next(struct rd *r, struct kv_op *ret)
{
    if (r->n == 0 || r->bad) {
        return false;
    }
    uint8_t tag = rd_u8(r);
    uint32_t table = tag == TAG_TABLE_DELETE || tag == TAG_TABLE_PUT ? rd_varint(r) : KV_MAIN;
    if (tag == 0x02 || tag == 0x03 || tag > TAG_TABLE_PUT || table >= KV_TABLE_COUNT) {
        r->bad = true;
        return false;
    }
    struct kv_op op = {
        .is_delete = tag == TAG_DELETE || tag == TAG_TABLE_DELETE,
        .table = (enum kv_table)table,
    };
    op.key = rd_bytes(r, rd_varint(r));
    if (!op.is_delete) {
        op.value = rd_bytes(r, rd_varint(r));
    }
    if (r->bad) {
        return false;
    }
    *ret = op;
    return true;
}
