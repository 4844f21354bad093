/* Records of the built-in coordinator (doc/format/coordinator.md is normative). */
#include "coord/builtin/record.h"

#include "base/contract.h"
#include "base/crc.h"

#define RECORD_MAGIC UINT32_C(0x52434648)         /* "HFCR" */
#define FILE_MAGIC   UINT64_C(0x0044524f4f434648) /* "HFCOORD" 00 */

enum {
    CRC_OFFSET = 12,
    OP_DELETE = 1,
    OP_SIZE_MIN = 1 + 4 + 4, /* of a transaction's; a snapshot's is larger */
};

static void encode_payload(struct buf *out, const struct coord_record *r)
{
    buf_add_u64(out, r->rev);
    buf_add_u64(out, r->rev_limit);
    buf_add_u32(out, (uint32_t)r->op_count);
    for (size_t i = 0; i < r->op_count; i++) {
        const struct coord_record_op *op = &r->ops[i];
        if (r->type == COORD_RECORD_TXN) {
            buf_add_u8(out, op->is_delete ? OP_DELETE : 0);
        } else {
            ASSERT(!op->is_delete);
            buf_add_u64(out, op->rev);
        }
        buf_add_lstr(out, op->key);
        buf_add_lstr(out, op->value);
    }
}

void coord_record_encode(struct buf *out, const struct coord_record *r)
{
    struct buf payload;
    buf_init(&payload, COORD_RECORD_SIZE_MAX);
    encode_payload(&payload, r);
    ASSERT(buf_ok(&payload)); /* the store's limits keep it below */
    struct buf header;
    buf_init(&header, COORD_RECORD_HEADER_SIZE);
    buf_add_u32(&header, RECORD_MAGIC);
    buf_add_u8(&header, COORD_RECORD_VERSION);
    buf_add_u8(&header, (uint8_t)r->type);
    buf_add_u16(&header, 0);
    buf_add_u32(&header, (uint32_t)payload.n);
    buf_add_u32(&header, crc32c(crc32c(0, header.p, CRC_OFFSET), payload.p, payload.n));
    buf_add_str(out, buf_str(&header));
    buf_add_str(out, buf_str(&payload));
    buf_done(&header);
    buf_done(&payload);
}

enum err coord_record_size(struct str in, size_t *ret_size, struct errinfo *ei)
{
    struct rd r = rd_of(in);
    uint32_t magic = rd_u32(&r);
    (void)rd_u32(&r); /* version, type and zero: the decoder's business */
    uint32_t size = rd_u32(&r);
    (void)rd_u32(&r); /* checksum */
    if (r.bad) {
        return err_set(ei, ERR_CORRUPT, "record header cut after %zu bytes", in.n);
    }
    if (magic != RECORD_MAGIC) {
        return err_set(ei, ERR_CORRUPT, "bad record magic %08x", magic);
    }
    if (size > COORD_RECORD_SIZE_MAX) {
        return err_set(ei, ERR_CORRUPT, "record of %u bytes, at most %d", size,
                       COORD_RECORD_SIZE_MAX);
    }
    *ret_size = COORD_RECORD_HEADER_SIZE + (size_t)size;
    return OK;
}

static bool read_op(struct rd *r, enum coord_record_type type, coord_rev rev,
                    struct coord_record_op *ret)
{
    uint8_t flags = 0;
    ret->rev = rev;
    if (type == COORD_RECORD_TXN) {
        flags = rd_u8(r);
    } else {
        ret->rev = rd_u64(r);
    }
    ret->is_delete = flags == OP_DELETE;
    ret->key = rd_lstr(r, COORD_KEY_SIZE_MAX);
    ret->value = rd_lstr(r, COORD_VALUE_SIZE_MAX);
    return !r->bad && flags <= OP_DELETE && ret->key.n > 0 && ret->rev > 0 && ret->rev <= rev &&
           IMPLIES(ret->is_delete, ret->value.n == 0);
}

static enum err decode_payload(struct arena *a, struct str payload, struct coord_record *ret,
                               struct errinfo *ei)
{
    struct rd r = rd_of(payload);
    ret->rev = rd_u64(&r);
    ret->rev_limit = rd_u64(&r);
    ret->op_count = rd_u32(&r);
    if (r.bad || ret->rev >= ret->rev_limit || ret->op_count > r.n / OP_SIZE_MIN) {
        /* A fresh store's snapshot has revision 0 and nothing reserved. */
        bool is_fresh = !r.bad && ret->rev == 0 && ret->rev_limit == 0 && ret->op_count == 0;
        if (!is_fresh) {
            return err_set(ei, ERR_CORRUPT, "record with rev %lu, limit %lu, %zu changes",
                           (unsigned long)ret->rev, (unsigned long)ret->rev_limit, ret->op_count);
        }
    }
    ret->ops = ARENA_NEW_ARRAY(a, struct coord_record_op, ret->op_count + 1);
    for (size_t i = 0; i < ret->op_count; i++) {
        if (!read_op(&r, ret->type, ret->rev, &ret->ops[i])) {
            return err_set(ei, ERR_CORRUPT, "change %zu of a record is malformed", i);
        }
    }
    if (r.n != 0) {
        return err_set(ei, ERR_CORRUPT, "%zu bytes after the last change of a record", r.n);
    }
    return OK;
}

enum err coord_record_decode(struct arena *a, struct str in, struct coord_record *ret,
                             struct errinfo *ei)
{
    size_t size = 0;
    TRY(coord_record_size(in, &size, ei));
    if (size != in.n) {
        return err_set(ei, ERR_CORRUPT, "record of %zu bytes in %zu", size, in.n);
    }
    struct rd r = rd_of(in);
    (void)rd_u32(&r); /* magic: checked */
    uint8_t version = rd_u8(&r);
    uint8_t type = rd_u8(&r);
    uint16_t zero = rd_u16(&r);
    (void)rd_u32(&r); /* size: checked */
    uint32_t crc = rd_u32(&r);
    struct str payload = rd_bytes(&r, r.n);
    if (crc32c(crc32c(0, in.p, CRC_OFFSET), payload.p, payload.n) != crc) {
        return err_set(ei, ERR_CORRUPT, "bad record checksum");
    }
    /* Only after the checksum: a damaged version byte is damage, not a newer format. */
    if (version > COORD_RECORD_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "record format %u, this program knows %d", version,
                       COORD_RECORD_VERSION);
    }
    if (version == 0 || zero != 0 || (type != COORD_RECORD_TXN && type != COORD_RECORD_SNAPSHOT)) {
        return err_set(ei, ERR_CORRUPT, "record of version %u, type %u", version, type);
    }
    struct coord_record got = {.type = (enum coord_record_type)type};
    TRY(decode_payload(a, payload, &got, ei));
    *ret = got;
    return OK;
}

void coord_file_header_encode(struct buf *out)
{
    struct buf b;
    buf_init(&b, COORD_FILE_HEADER_SIZE);
    buf_add_u64(&b, FILE_MAGIC);
    buf_add_u32(&b, COORD_FILE_VERSION);
    buf_add_u32(&b, crc32c(0, b.p, b.n));
    buf_add_str(out, buf_str(&b));
    buf_done(&b);
}

enum err coord_file_header_decode(struct str in, struct errinfo *ei)
{
    struct rd r = rd_of(in);
    uint64_t magic = rd_u64(&r);
    uint32_t version = rd_u32(&r);
    uint32_t crc = rd_u32(&r);
    if (r.bad || magic != FILE_MAGIC || crc32c(0, in.p, CRC_OFFSET) != crc) {
        return err_set(ei, ERR_CORRUPT, "not a coordinator file, or its header is damaged");
    }
    if (version > COORD_FILE_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "coordinator file format %u, this program knows %d",
                       version, COORD_FILE_VERSION);
    }
    return OK;
}
