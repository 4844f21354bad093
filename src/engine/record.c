/* Keys and records; see record.h and doc/format/engine.md. One encoder and one decoder per kind;
 * what a decoder accepts, the encoder would have written byte for byte. */
#include "engine/record.h"

#include <string.h>

#include "base/contract.h"
#include "base/crc.h"

/* ---- keys ---- */

static void key_u8(struct record_key *k, unsigned v)
{
    ASSERT(k->n + 1 <= sizeof(k->p));
    k->p[k->n++] = (char)(unsigned char)v;
}

static void key_u16(struct record_key *k, uint16_t v)
{
    key_u8(k, v >> 8);
    key_u8(k, v & 0xff);
}

static void key_u64(struct record_key *k, uint64_t v)
{
    ASSERT(k->n + 8 <= sizeof(k->p));
    uint64_t be = __builtin_bswap64(v);
    memcpy(k->p + k->n, &be, sizeof(be));
    k->n += sizeof(be);
}

static void key_bytes(struct record_key *k, struct str s)
{
    ASSERT(s.n <= ENGINE_KEY_SIZE_MAX);
    ASSERT(k->n + s.n <= sizeof(k->p));
    if (s.n > 0) {
        memcpy(k->p + k->n, s.p, s.n);
    }
    k->n += s.n;
}

void record_key_begin(struct record_key *k, int prefix, pid p)
{
    k->n = 0;
    if (prefix != RECORD_NO_PREFIX) {
        key_u8(k, (unsigned)prefix);
    }
    key_u64(k, p);
}

void record_key_after(struct record_key *k)
{
    while (k->n > 0 && (unsigned char)k->p[k->n - 1] == 0xff) {
        k->n--;
    }
    if (k->n > 0) {
        k->p[k->n - 1] = (char)((unsigned char)k->p[k->n - 1] + 1);
    }
}

void record_key_kv(struct record_key *k, struct str name)
{
    ASSERT(name.n > 0 && name.n <= ENGINE_KV_NAME_MAX);
    k->n = 0;
    key_u8(k, PREFIX_KV);
    key_bytes(k, name);
}

void record_key_meta(struct record_key *k, pid p)
{
    record_key_begin(k, PREFIX_META, p);
}

void record_key_drop(struct record_key *k, pid p)
{
    record_key_begin(k, PREFIX_DROP, p);
}

static void key_in_space(struct record_key *k, int prefix, pid p, enum engine_space space,
                         struct str key)
{
    ASSERT((unsigned)space < SPACE_COUNT);
    record_key_begin(k, prefix, p);
    key_u8(k, (unsigned)space);
    key_bytes(k, key);
}

void record_key_dirty(struct record_key *k, pid p, enum engine_space space, struct str key)
{
    key_in_space(k, PREFIX_DIRTY, p, space, key);
}

void record_key_doc(struct record_key *k, pid p, enum engine_space space, struct str key)
{
    key_in_space(k, PREFIX_DOC, p, space, key);
}

void record_key_log(struct record_key *k, pid p, lsn at)
{
    record_key_begin(k, RECORD_NO_PREFIX, p);
    key_u64(k, at);
}

void record_key_change(struct record_key *k, pid p, lsn at, uint16_t op_idx)
{
    record_key_begin(k, PREFIX_CHANGE, p);
    key_u64(k, at);
    key_u16(k, op_idx);
}

void record_key_expiry(struct record_key *k, pid p, uint64_t expire_at, struct str key)
{
    record_key_begin(k, PREFIX_EXPIRY, p);
    key_u64(k, expire_at);
    key_bytes(k, key);
}

void record_key_unique(struct record_key *k, pid p, struct str unique)
{
    record_key_begin(k, PREFIX_UNIQUE, p);
    key_bytes(k, unique);
}

static bool parse_rest(struct rd *r, struct record_key_parts *ret)
{
    ret->key = rd_bytes(r, r->n);
    return !r->bad && ret->key.n > 0 && ret->key.n <= ENGINE_KEY_SIZE_MAX;
}

static bool parse_main(struct rd *r, struct record_key_parts *ret)
{
    uint8_t prefix = rd_u8(r);
    if (prefix == PREFIX_KV) {
        ret->prefix = PREFIX_KV;
        return parse_rest(r, ret) && ret->key.n <= ENGINE_KV_NAME_MAX;
    }
    ret->pid = rd_u64_be(r);
    if (prefix == PREFIX_META || prefix == PREFIX_DROP) {
        ret->prefix = prefix == PREFIX_META ? PREFIX_META : PREFIX_DROP;
        return !r->bad && r->n == 0;
    }
    if (prefix != PREFIX_DIRTY && prefix != PREFIX_DOC) {
        return false;
    }
    ret->prefix = prefix == PREFIX_DOC ? PREFIX_DOC : PREFIX_DIRTY;
    uint8_t space = rd_u8(r);
    ret->space = (enum engine_space)space;
    return space < SPACE_COUNT && parse_rest(r, ret);
}

static bool parse_index(struct rd *r, struct record_key_parts *ret)
{
    uint8_t prefix = rd_u8(r);
    ret->pid = rd_u64_be(r);
    switch (prefix) {
    case PREFIX_CHANGE:
        ret->prefix = PREFIX_CHANGE;
        ret->lsn = rd_u64_be(r);
        ret->op_idx = (uint16_t)(rd_u8(r) << 8);
        ret->op_idx = (uint16_t)(ret->op_idx | rd_u8(r));
        return !r->bad && r->n == 0;
    case PREFIX_EXPIRY:
        ret->prefix = PREFIX_EXPIRY;
        ret->expire_at = rd_u64_be(r);
        return parse_rest(r, ret);
    case PREFIX_UNIQUE:
        ret->prefix = PREFIX_UNIQUE;
        return parse_rest(r, ret);
    default:
        return false;
    }
}

bool record_key_parse(enum kv_table t, struct str row_key, struct record_key_parts *ret)
{
    *ret = (struct record_key_parts){0};
    struct rd r = rd_of(row_key);
    switch (t) {
    case KV_MAIN:
        return parse_main(&r, ret);
    case KV_INDEX:
        return parse_index(&r, ret);
    case KV_LOG:
        ret->pid = rd_u64_be(&r);
        ret->lsn = rd_u64_be(&r);
        return !r.bad && r.n == 0;
    case KV_TABLE_COUNT:
        break;
    }
    return false;
}

/* ---- documents ----
 *
 *    0 u8  magic            16 u64 lsn           64 u32 origin
 *    1 u8  version          24 u64 epoch         68 u16 unique count
 *    2 u16 op_idx           32 u64 rid           70 u16 size of the uniques
 *    4 u32 head crc         40 u64 ts            72 uniques: u16 size, bytes
 *    8 u32 text crc         48 u64 hlc              text
 *   12 u32 text size        56 u64 expire_at
 *
 * Two checksums, so that a reader who needs only the header need not touch the text. */
enum { DOC_HEAD_CRC_AT = 4, DOC_UNIQUES_SIZE_AT = 70 };

static uint32_t doc_head_crc(struct str row_key, const char *head, size_t head_size)
{
    uint32_t crc = crc32c(0, row_key.p, row_key.n);
    crc = crc32c(crc, head, DOC_HEAD_CRC_AT);
    return crc32c(crc, head + DOC_HEAD_CRC_AT + 4, head_size - DOC_HEAD_CRC_AT - 4);
}

static void put_u32_at(char *p, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++) {
        p[i] = (char)(unsigned char)(v >> (8 * i));
    }
}

void record_doc_encode(struct str row_key, const struct engine_doc *doc, struct buf *out)
{
    const struct engine_version *v = &doc->version;
    ASSERT(v->lsn != 0 && v->lsn <= LSN_MAX);
    ASSERT(v->unique_count <= ENGINE_UNIQUE_MAX);
    ASSERT(doc->text.n <= ENGINE_DOC_SIZE_MAX);
    size_t uniques_size = 0;
    for (size_t i = 0; i < v->unique_count; i++) {
        ASSERT(v->uniques[i].n > 0 && v->uniques[i].n <= ENGINE_KEY_SIZE_MAX);
        uniques_size += 2 + v->uniques[i].n;
    }
    STATIC_ASSERT(RECORD_DOC_UNIQUES_SIZE_MAX <= UINT16_MAX, "the size of uniques fits its field");
    size_t at = out->n;
    buf_add_u8(out, MAGIC_DOC);
    buf_add_u8(out, RECORD_VERSION);
    buf_add_u16(out, v->op_idx);
    buf_add_u32(out, 0); /* head crc: below */
    buf_add_u32(out, crc32c(0, doc->text.p, doc->text.n));
    buf_add_u32(out, (uint32_t)doc->text.n);
    buf_add_u64(out, v->lsn);
    buf_add_u64(out, doc->epoch);
    buf_add_u64(out, doc->rid);
    buf_add_u64(out, doc->ts);
    buf_add_u64(out, doc->hlc);
    buf_add_u64(out, v->expire_at);
    buf_add_u32(out, doc->origin);
    buf_add_u16(out, (uint16_t)v->unique_count);
    buf_add_u16(out, (uint16_t)uniques_size);
    for (size_t i = 0; i < v->unique_count; i++) {
        buf_add_u16(out, (uint16_t)v->uniques[i].n);
        buf_add_str(out, v->uniques[i]);
    }
    if (buf_ok(out)) {
        ASSERT(out->n - at == RECORD_DOC_HEADER_SIZE + uniques_size);
        char *head = out->p + at;
        put_u32_at(head + DOC_HEAD_CRC_AT, doc_head_crc(row_key, head, out->n - at));
    }
}

size_t record_doc_head_size(struct str record)
{
    ASSERT(record.n >= RECORD_DOC_HEADER_SIZE);
    struct rd r = rd_of(str_slice(record, DOC_UNIQUES_SIZE_AT, 2));
    return RECORD_DOC_HEADER_SIZE + (size_t)rd_u16(&r);
}

static enum err bad(const char **ret_why, const char *why)
{
    *ret_why = why;
    return ERR_CORRUPT;
}

static enum err check_start(struct rd *r, enum record_magic magic, const char **ret_why)
{
    if (rd_u8(r) != magic || r->bad) {
        return bad(ret_why, "bad magic byte");
    }
    uint8_t version = rd_u8(r);
    if (version > RECORD_VERSION) {
        *ret_why = "record of a newer version";
        return ERR_FORMAT_NEWER;
    }
    return version == RECORD_VERSION && !r->bad ? OK : bad(ret_why, "bad version byte");
}

static bool decode_uniques(struct rd *r, size_t size, size_t count,
                           struct str uniques[ENGINE_UNIQUE_MAX])
{
    struct rd u = rd_of(rd_bytes(r, size));
    for (size_t i = 0; i < count; i++) {
        uniques[i] = rd_bytes(&u, rd_u16(&u));
        if (u.bad || uniques[i].n == 0 || uniques[i].n > ENGINE_KEY_SIZE_MAX) {
            return false;
        }
    }
    return !r->bad && u.n == 0;
}

enum err record_doc_decode(struct str row_key, struct str record, bool want_text,
                           struct str uniques[ENGINE_UNIQUE_MAX], struct engine_doc *ret,
                           const char **ret_why)
{
    struct rd r = rd_of(record);
    TRY(check_start(&r, MAGIC_DOC, ret_why));
    struct engine_doc doc = {0};
    doc.version.op_idx = rd_u16(&r);
    uint32_t head_crc = rd_u32(&r);
    uint32_t text_crc = rd_u32(&r);
    uint32_t text_size = rd_u32(&r);
    doc.version.lsn = rd_u64(&r);
    doc.epoch = rd_u64(&r);
    doc.rid = rd_u64(&r);
    doc.ts = rd_u64(&r);
    doc.hlc = rd_u64(&r);
    doc.version.expire_at = rd_u64(&r);
    doc.origin = rd_u32(&r);
    size_t unique_count = rd_u16(&r);
    size_t uniques_size = rd_u16(&r);
    if (r.bad || uniques_size > r.n) {
        return bad(ret_why, "shorter than its header");
    }
    size_t head_size = RECORD_DOC_HEADER_SIZE + uniques_size;
    if (doc_head_crc(row_key, record.p, head_size) != head_crc) {
        return bad(ret_why, "header checksum does not match");
    }
    if (unique_count > ENGINE_UNIQUE_MAX ||
        !decode_uniques(&r, uniques_size, unique_count, uniques)) {
        return bad(ret_why, "unique keys do not parse");
    }
    if (r.n != text_size || text_size > ENGINE_DOC_SIZE_MAX) {
        return bad(ret_why, "text size does not match");
    }
    if (doc.version.lsn == 0 || doc.version.lsn > LSN_MAX) {
        return bad(ret_why, "lsn out of range");
    }
    if (want_text) {
        if (crc32c(0, r.p, r.n) != text_crc) {
            return bad(ret_why, "text checksum does not match");
        }
        doc.text = str_make(r.p, r.n);
    }
    doc.version.unique_count = unique_count;
    doc.version.uniques = uniques;
    doc.version.doc_size = text_size;
    *ret = doc;
    return OK;
}

/* ---- small records ---- */

static uint32_t small_crc(enum record_magic magic, struct str row_key, struct str payload)
{
    const char start[2] = {(char)magic, RECORD_VERSION};
    uint32_t crc = crc32c(0, row_key.p, row_key.n);
    crc = crc32c(crc, start, sizeof(start));
    return crc32c(crc, payload.p, payload.n);
}

void record_small_encode(enum record_magic magic, struct str row_key, struct str payload,
                         struct buf *out)
{
    buf_add_u8(out, (uint8_t)magic);
    buf_add_u8(out, RECORD_VERSION);
    buf_add_u32(out, small_crc(magic, row_key, payload));
    buf_add_str(out, payload);
}

enum err record_small_decode(enum record_magic magic, struct str row_key, struct str record,
                             struct str *ret_payload, const char **ret_why)
{
    struct rd r = rd_of(record);
    TRY(check_start(&r, magic, ret_why));
    uint32_t crc = rd_u32(&r);
    if (r.bad) {
        return bad(ret_why, "shorter than its header");
    }
    struct str payload = str_make(r.p, r.n);
    if (small_crc(magic, row_key, payload) != crc) {
        return bad(ret_why, "checksum does not match");
    }
    *ret_payload = payload;
    return OK;
}

void record_meta_encode(struct str row_key, const struct engine_part_meta *meta, struct buf *out)
{
    ASSERT(meta->extra.n <= RECORD_META_EXTRA_MAX);
    size_t at = out->n;
    buf_add_u8(out, MAGIC_META);
    buf_add_u8(out, RECORD_VERSION);
    buf_add_u32(out, 0); /* crc: below */
    buf_add_u64(out, meta->tail_epoch);
    buf_add_u64(out, meta->tail_lsn);
    buf_add_u64(out, meta->tail_ord);
    buf_add_u64(out, meta->tail_chain);
    buf_add_u64(out, meta->first_lsn);
    buf_add_u64(out, meta->trim_lsn);
    buf_add_u64(out, meta->trim_epoch);
    buf_add_u64(out, meta->item_count);
    buf_add_u64(out, meta->item_size);
    buf_add_u64(out, meta->conflict_count);
    buf_add_lstr(out, meta->extra);
    if (buf_ok(out)) {
        struct str payload = str_make(out->p + at + RECORD_SMALL_HEADER_SIZE,
                                      out->n - at - RECORD_SMALL_HEADER_SIZE);
        put_u32_at(out->p + at + 2, small_crc(MAGIC_META, row_key, payload));
    }
}

enum err record_meta_decode(struct str row_key, struct str record, struct engine_part_meta *ret,
                            const char **ret_why)
{
    struct str payload;
    TRY(record_small_decode(MAGIC_META, row_key, record, &payload, ret_why));
    struct rd r = rd_of(payload);
    struct engine_part_meta m = {0};
    m.tail_epoch = rd_u64(&r);
    m.tail_lsn = rd_u64(&r);
    m.tail_ord = rd_u64(&r);
    m.tail_chain = rd_u64(&r);
    m.first_lsn = rd_u64(&r);
    m.trim_lsn = rd_u64(&r);
    m.trim_epoch = rd_u64(&r);
    m.item_count = rd_u64(&r);
    m.item_size = rd_u64(&r);
    m.conflict_count = rd_u64(&r);
    m.extra = rd_lstr(&r, RECORD_META_EXTRA_MAX);
    if (r.bad || r.n != 0) {
        return bad(ret_why, "does not parse");
    }
    *ret = m;
    return OK;
}

void record_log_head(char ret[RECORD_LOG_HEADER_SIZE])
{
    ret[0] = (char)MAGIC_LOG;
    ret[1] = RECORD_VERSION;
}

enum err record_log_decode(struct str record, struct str *ret_entry, const char **ret_why)
{
    struct rd r = rd_of(record);
    TRY(check_start(&r, MAGIC_LOG, ret_why));
    *ret_entry = str_make(r.p, r.n);
    return OK;
}
