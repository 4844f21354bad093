/* Log entries as bytes: doc/format/entry.md.
 *
 *    0  magic  "HFEN"          4  version, kind, reason, flags (one byte each)
 *    8  total size             12 crc32c of everything but this field
 *   16  chain                  24 epoch, generation, lsn, ord, prev epoch, prev lsn, hlc, ts
 *   88  origin                 92 vector count, op count (two bytes each)
 *   96  version vector         then the operations
 *
 * The chain is a hash over the entry's bytes (without crc and chain) seeded with the chain of the
 * entry before: equal chains at equal places mean equal logs. */
#include "repl/entry.h"

#include <string.h>

#include "base/contract.h"
#include "base/crc.h"

enum {
    ENTRY_MAGIC = 0x4e454648, /* "HFEN" */
    AT_SIZE = 8,
    AT_CRC = 12,
    AT_CHAIN = 16,
    AT_REST = 24,
    OP_DELETE = 1,
    OP_HAS_OLD = 2,
};

static void put_at_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

static void put_at_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

static uint32_t entry_crc(struct str bytes)
{
    uint32_t crc = crc32c(0, bytes.p, AT_CRC);
    return crc32c(crc, bytes.p + AT_CHAIN, bytes.n - AT_CHAIN);
}

uint64_t entry_chain(struct str bytes, uint64_t prev_chain)
{
    ASSERT(bytes.n >= ENTRY_HEADER_SIZE);
    uint64_t seed = str_hash(str_make(bytes.p, AT_CRC), prev_chain);
    return str_hash(str_make(bytes.p + AT_REST, bytes.n - AT_REST), seed);
}

/* ---- encoding ---- */

static void put_uniques(struct buf *out, const struct engine_version *v)
{
    ASSERT(v->unique_count <= ENGINE_UNIQUE_MAX);
    for (size_t i = 0; i < v->unique_count; i++) {
        buf_add_lstr(out, v->uniques[i]);
    }
}

static void put_op(struct buf *out, const struct entry_op *op)
{
    bool has_old = op->old.lsn != 0;
    ASSERT(op->key.n > 0 && op->key.n <= ENGINE_KEY_SIZE_MAX);
    ASSERT(op->space < SPACE_COUNT);
    buf_add_u8(out, (uint8_t)((op->is_delete ? OP_DELETE : 0) | (has_old ? OP_HAS_OLD : 0)));
    buf_add_u8(out, (uint8_t)op->space);
    buf_add_u8(out, (uint8_t)(op->is_delete ? 0 : op->doc.version.unique_count));
    buf_add_u8(out, (uint8_t)(has_old ? op->old.unique_count : 0));
    buf_add_lstr(out, op->key);
    if (!op->is_delete) {
        ASSERT(op->doc.text.n <= ENGINE_DOC_SIZE_MAX);
        buf_add_u64(out, op->doc.rid);
        buf_add_u64(out, op->doc.version.expire_at);
        put_uniques(out, &op->doc.version);
        buf_add_lstr(out, op->doc.text);
    }
    if (has_old) {
        buf_add_u64(out, op->old.lsn);
        buf_add_u16(out, op->old.op_idx);
        buf_add_u64(out, op->old.expire_at);
        buf_add_u32(out, (uint32_t)op->old.doc_size);
        put_uniques(out, &op->old);
    }
}

void entry_encode(struct entry *e, uint64_t prev_chain, struct buf *out)
{
    ASSERT(e->kind == ENTRY_WRITE || e->kind == ENTRY_EPOCH);
    ASSERT(e->lsn > e->prev_lsn);
    ASSERT(e->lsn <= LSN_MAX);
    ASSERT(e->epoch >= e->prev_epoch && e->epoch > 0);
    ASSERT(e->vector_count <= ENTRY_VECTOR_MAX && e->op_count <= ENTRY_OPS_MAX);
    ASSERT((e->kind == ENTRY_EPOCH) == (e->op_count == 0));
    size_t begin = out->n;
    buf_add_u32(out, ENTRY_MAGIC);
    buf_add_u8(out, ENTRY_VERSION);
    buf_add_u8(out, (uint8_t)e->kind);
    buf_add_u8(out, (uint8_t)e->reason);
    buf_add_u8(out, 0);
    buf_add_u32(out, 0); /* size */
    buf_add_u32(out, 0); /* crc */
    buf_add_u64(out, 0); /* chain */
    buf_add_u64(out, e->epoch);
    buf_add_u64(out, e->generation);
    buf_add_u64(out, e->lsn);
    buf_add_u64(out, e->ord);
    buf_add_u64(out, e->prev_epoch);
    buf_add_u64(out, e->prev_lsn);
    buf_add_u64(out, e->hlc);
    buf_add_u64(out, e->ts);
    buf_add_u32(out, e->origin);
    buf_add_u16(out, (uint16_t)e->vector_count);
    buf_add_u16(out, (uint16_t)e->op_count);
    for (size_t i = 0; i < e->vector_count; i++) {
        buf_add_u32(out, e->vector[i].region);
        buf_add_u64(out, e->vector[i].count);
    }
    for (size_t i = 0; i < e->op_count; i++) {
        put_op(out, &e->ops[i]);
    }
    ASSERT(buf_ok(out));
    size_t size = out->n - begin;
    ASSERT(size >= ENTRY_HEADER_SIZE && size <= ENGINE_ENTRY_SIZE_MAX);
    char *p = out->p + begin;
    put_at_u32(p + AT_SIZE, (uint32_t)size);
    e->chain = entry_chain(str_make(p, size), prev_chain);
    put_at_u64(p + AT_CHAIN, e->chain);
    put_at_u32(p + AT_CRC, entry_crc(str_make(p, size)));
}

/* ---- decoding ---- */

static enum err bad(struct errinfo *ei, const char *what)
{
    return err_set(ei, ERR_CORRUPT, "log entry: %s", what);
}

static enum err get_header(struct rd *r, struct entry *e, size_t *ret_total, uint32_t *ret_crc,
                           struct errinfo *ei)
{
    uint32_t magic = rd_u32(r);
    uint8_t version = rd_u8(r);
    e->kind = (enum entry_kind)rd_u8(r);
    e->reason = (enum entry_reason)rd_u8(r);
    uint8_t flags = rd_u8(r);
    uint32_t total = rd_u32(r);
    *ret_crc = rd_u32(r);
    e->chain = rd_u64(r);
    e->epoch = rd_u64(r);
    e->generation = rd_u64(r);
    e->lsn = rd_u64(r);
    e->ord = rd_u64(r);
    e->prev_epoch = rd_u64(r);
    e->prev_lsn = rd_u64(r);
    e->hlc = rd_u64(r);
    e->ts = rd_u64(r);
    e->origin = rd_u32(r);
    e->vector_count = rd_u16(r);
    e->op_count = rd_u16(r);
    if (r->bad || magic != ENTRY_MAGIC) {
        return bad(ei, "no magic or too short");
    }
    if (version > ENTRY_VERSION || flags != 0) {
        return err_set(ei, ERR_FORMAT_NEWER, "log entry of version %u", version);
    }
    if (version == 0 || (e->kind != ENTRY_WRITE && e->kind != ENTRY_EPOCH) ||
        e->reason > REASON_PURGE) {
        return bad(ei, "unknown version, kind or reason");
    }
    if (total < ENTRY_HEADER_SIZE || total > ENGINE_ENTRY_SIZE_MAX) {
        return bad(ei, "size out of range");
    }
    if (e->lsn > LSN_MAX || e->lsn <= e->prev_lsn || e->epoch == 0 || e->epoch < e->prev_epoch ||
        e->ord == 0 || (e->prev_lsn == 0) != (e->ord == 1) ||
        (e->prev_lsn == 0) != (e->prev_epoch == 0)) {
        return bad(ei, "place out of order");
    }
    if (e->vector_count > ENTRY_VECTOR_MAX || e->op_count > ENTRY_OPS_MAX ||
        (e->kind == ENTRY_EPOCH) != (e->op_count == 0)) {
        return bad(ei, "counts out of range");
    }
    *ret_total = total;
    return OK;
}

enum err entry_peek(struct str bytes, struct entry *ret_header, size_t *ret_total,
                    struct errinfo *ei)
{
    struct rd r = rd_of(bytes);
    struct entry e = {0};
    uint32_t crc = 0;
    size_t total = 0;
    TRY(get_header(&r, &e, &total, &crc, ei));
    *ret_header = e;
    *ret_total = total;
    return OK;
}

static void get_uniques(struct rd *r, struct arena *a, size_t n, struct engine_version *v)
{
    if (n == 0 || n > ENGINE_UNIQUE_MAX) {
        r->bad = r->bad || n != 0;
        return;
    }
    struct str *u = ARENA_NEW_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++) {
        u[i] = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
        r->bad = r->bad || u[i].n == 0;
    }
    v->uniques = u;
    v->unique_count = n;
}

static bool get_op(struct rd *r, struct arena *a, const struct entry *e, size_t idx,
                   struct entry_op *op)
{
    uint8_t flags = rd_u8(r);
    uint8_t space = rd_u8(r);
    size_t uniques = rd_u8(r);
    size_t old_uniques = rd_u8(r);
    op->is_delete = (flags & OP_DELETE) != 0;
    op->space = (enum engine_space)space;
    op->key = rd_lstr(r, ENGINE_KEY_SIZE_MAX);
    if ((flags & ~(OP_DELETE | OP_HAS_OLD)) != 0 || space >= SPACE_COUNT || op->key.n == 0 ||
        (op->is_delete && uniques != 0) || ((flags & OP_HAS_OLD) == 0 && old_uniques != 0)) {
        return false;
    }
    if (!op->is_delete) {
        op->doc.rid = rd_u64(r);
        op->doc.version.expire_at = rd_u64(r);
        get_uniques(r, a, uniques, &op->doc.version);
        op->doc.text = rd_lstr(r, ENGINE_DOC_SIZE_MAX);
        op->doc.version.lsn = e->lsn;
        op->doc.version.op_idx = (uint16_t)idx;
        op->doc.version.doc_size = op->doc.text.n;
        op->doc.epoch = e->epoch;
        op->doc.ts = e->ts;
        op->doc.hlc = e->hlc;
        op->doc.origin = e->origin;
    }
    if ((flags & OP_HAS_OLD) != 0) {
        op->old.lsn = rd_u64(r);
        op->old.op_idx = rd_u16(r);
        op->old.expire_at = rd_u64(r);
        op->old.doc_size = rd_u32(r);
        get_uniques(r, a, old_uniques, &op->old);
        /* The same entry may replace its own earlier operation. */
        bool is_before = op->old.lsn < e->lsn || (op->old.lsn == e->lsn && op->old.op_idx < idx);
        if (op->old.lsn == 0 || !is_before || op->old.doc_size > ENGINE_DOC_SIZE_MAX) {
            return false;
        }
    }
    return !r->bad;
}

static enum err decode(struct arena *a, struct str bytes, bool check_crc, struct entry *ret,
                       struct errinfo *ei)
{
    struct rd r = rd_of(bytes);
    struct entry e = {0};
    uint32_t crc = 0;
    size_t total = 0;
    TRY(get_header(&r, &e, &total, &crc, ei));
    if (total != bytes.n) {
        return bad(ei, "size does not match");
    }
    if (check_crc && entry_crc(bytes) != crc) {
        return bad(ei, "checksum does not match");
    }
    for (size_t i = 0; i < e.vector_count; i++) {
        e.vector[i].region = rd_u32(&r);
        e.vector[i].count = rd_u64(&r);
    }
    if (e.op_count > 0) {
        e.ops = ARENA_NEW_ARRAY(a, struct entry_op, e.op_count);
    }
    for (size_t i = 0; i < e.op_count; i++) {
        if (!get_op(&r, a, &e, i, &e.ops[i])) {
            return bad(ei, "operation is malformed");
        }
    }
    if (r.bad || r.n != 0) {
        return bad(ei, "operations do not fill the entry");
    }
    *ret = e;
    return OK;
}

enum err entry_decode(struct arena *a, struct str bytes, struct entry *ret, struct errinfo *ei)
{
    return decode(a, bytes, /* check_crc= */ true, ret, ei);
}

enum err entry_decode_trusted(struct arena *a, struct str bytes, struct entry *ret,
                              struct errinfo *ei)
{
    return decode(a, bytes, /* check_crc= */ false, ret, ei);
}
