/* Continuation tokens: base64 of
 *
 *   u8 magic 'Q'  u8 version  u8 kind  u64 query hash  i64 static clock  u64 rows returned
 *   u64 offset left  u64 limit left
 *   STREAM       u8 has position  u32 ordinal  lstr position  u64 skip rows  u64 skip rid
 *   STREAM_LONG  the same, position being a prefix, then u64 hash  u32 count
 *   SORT         u32 ordinal  u64 rid  u64 row  u8 keys, each: u8 defined [lstr JSON]
 *   SKIP         nothing more
 *   u32 crc32c of everything before
 *
 * integers little-endian. Nothing in it refers to a process, a node or a region. */
#include "base/codec.h"
#include "base/contract.h"
#include "base/crc.h"
#include "cosmos/query/query_int.h"

enum {
    TOKEN_MAGIC = 'Q',
    TOKEN_VERSION = 1,
    TOKEN_TEXT_MAX = 64 << 10,
    CRC_SIZE = 4,
    HEAD_SIZE = 3,
};

/* ---- encode ---- */

static void put_keys(struct buf *b, const struct query_cursor *c)
{
    buf_add_u8(b, (uint8_t)c->key_count);
    for (size_t i = 0; i < c->key_count; i++) {
        bool is_defined = c->keys[i]->type != JSON_UNDEFINED;
        buf_add_u8(b, is_defined);
        if (is_defined) {
            struct buf text;
            buf_init(&text, b->max);
            json_write(&text, c->keys[i]);
            b->overflow |= !buf_ok(&text);
            buf_add_lstr(b, buf_str(&text));
            buf_done(&text);
        }
    }
}

bool query_cursor_encode(const struct query_cursor *c, size_t size_max, struct buf *out)
{
    ASSERT(c->key_count <= QUERY_ORDER_KEYS_MAX);
    struct buf b;
    buf_init(&b, size_max / 4 * 3);
    buf_add_u8(&b, TOKEN_MAGIC);
    buf_add_u8(&b, TOKEN_VERSION);
    buf_add_u8(&b, (uint8_t)c->kind);
    buf_add_u64(&b, c->hash);
    buf_add_u64(&b, (uint64_t)c->static_ticks);
    buf_add_u64(&b, c->skip);
    buf_add_u64(&b, c->offset_left);
    buf_add_u64(&b, c->limit_left);
    if (c->kind == QTOKEN_STREAM || c->kind == QTOKEN_STREAM_LONG) {
        buf_add_u8(&b, c->has_position);
        buf_add_u32(&b, c->ordinal);
        buf_add_lstr(&b, c->position);
        buf_add_u64(&b, c->skip_rows);
        buf_add_u64(&b, c->skip_rid);
    }
    if (c->kind == QTOKEN_STREAM_LONG) {
        buf_add_u64(&b, c->position_hash);
        buf_add_u32(&b, c->position_count);
    }
    if (c->kind == QTOKEN_SORT) {
        buf_add_u32(&b, c->ordinal);
        buf_add_u64(&b, c->rid);
        buf_add_u64(&b, c->row_idx);
        put_keys(&b, c);
    }
    buf_add_u32(&b, crc32c(0, b.p, b.n));
    bool fits = buf_ok(&b);
    if (fits) {
        buf_clear(out);
        codec_base64(out, buf_str(&b));
        fits = buf_ok(out) && out->n <= size_max;
    }
    buf_done(&b);
    return fits;
}

/* ---- decode ---- */

static bool get_keys(struct rd *r, struct arena *a, struct query_cursor *c)
{
    c->key_count = rd_u8(r);
    if (r->bad || c->key_count > QUERY_ORDER_KEYS_MAX) {
        return false;
    }
    c->keys = ARENA_NEW_ARRAY(a, const struct json *, c->key_count + 1);
    for (size_t i = 0; i < c->key_count; i++) {
        bool is_defined = rd_u8(r) != 0;
        c->keys[i] = json_undefined();
        if (is_defined) {
            struct str text = arena_str(a, rd_lstr(r, TOKEN_TEXT_MAX));
            if (r->bad || json_parse(a, text, NULL, &c->keys[i], NULL) != OK) {
                return false;
            }
        }
    }
    return !r->bad;
}

static bool get_position(struct rd *r, struct arena *a, struct query_cursor *c)
{
    c->has_position = rd_u8(r) != 0;
    c->ordinal = rd_u32(r);
    c->position = arena_str(a, rd_lstr(r, QUERY_POSITION_SIZE_MAX));
    c->skip_rows = rd_u64(r);
    c->skip_rid = rd_u64(r);
    if (c->kind == QTOKEN_STREAM_LONG) {
        c->position_hash = rd_u64(r);
        c->position_count = rd_u32(r);
        return !r->bad && c->has_position && c->position_count > 0;
    }
    return !r->bad;
}

static bool get_cursor(struct str bytes, struct arena *a, struct query_cursor *c)
{
    struct rd r = rd_of(bytes);
    (void)rd_bytes(&r, 2); /* magic and version: checked */
    c->kind = (enum query_token_kind)rd_u8(&r);
    c->hash = rd_u64(&r);
    c->static_ticks = (int64_t)rd_u64(&r);
    c->skip = rd_u64(&r);
    c->offset_left = rd_u64(&r);
    c->limit_left = rd_u64(&r);
    bool is_good = false;
    switch ((int)c->kind) {
    case QTOKEN_STREAM:
    case QTOKEN_STREAM_LONG:
        is_good = get_position(&r, a, c);
        break;
    case QTOKEN_SORT:
        c->ordinal = rd_u32(&r);
        c->rid = rd_u64(&r);
        c->row_idx = rd_u64(&r);
        is_good = get_keys(&r, a, c);
        break;
    case QTOKEN_SKIP:
        is_good = true;
        break;
    default:
        break;
    }
    return is_good && !r.bad && r.n == 0;
}

enum err query_cursor_decode(struct str token, struct arena *a, struct query_cursor *ret,
                             struct errinfo *ei)
{
    struct buf b;
    buf_init(&b, TOKEN_TEXT_MAX);
    const char *problem = NULL;
    struct query_cursor c = {0};
    if (token.n > TOKEN_TEXT_MAX || !codec_unbase64(&b, token) || !buf_ok(&b) ||
        b.n < HEAD_SIZE + CRC_SIZE || (unsigned char)b.p[0] != TOKEN_MAGIC) {
        problem = "it is not one of this service";
    } else if (b.p[1] != TOKEN_VERSION) {
        problem = "it is of another version";
    } else {
        struct rd end = rd_of(str_slice(buf_str(&b), b.n - CRC_SIZE, CRC_SIZE));
        struct str bytes = str_slice(buf_str(&b), 0, b.n - CRC_SIZE);
        if (rd_u32(&end) != crc32c(0, bytes.p, bytes.n) || !get_cursor(bytes, a, &c)) {
            problem = "it is damaged";
        }
    }
    buf_done(&b);
    if (problem != NULL) {
        return err_set(ei, ERR_INVALID, "invalid continuation token: %s", problem);
    }
    *ret = c;
    return OK;
}
