#include "cosmos/epk.h"

#include <string.h>

#include "base/codec.h"
#include "base/contract.h"
#include "engine/engine.h"

/* ---- MurmurHash3 x64 128 ---- */

static uint64_t rotl(uint64_t x, int r)
{
    return x << r | x >> (64 - r);
}

static uint64_t mix(uint64_t k)
{
    k ^= k >> 33;
    k *= UINT64_C(0xff51afd7ed558ccd);
    k ^= k >> 33;
    k *= UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ k >> 33;
}

static void murmur3_128(struct str in, uint64_t *ret_h1, uint64_t *ret_h2)
{
    const uint64_t c1 = UINT64_C(0x87c37b91114253d5);
    const uint64_t c2 = UINT64_C(0x4cf5ad432745937f);
    uint64_t h1 = 0;
    uint64_t h2 = 0;
    struct rd r = rd_of(in);
    while (r.n >= 16) {
        uint64_t k1 = rd_u64(&r);
        uint64_t k2 = rd_u64(&r);
        h1 ^= rotl(k1 * c1, 31) * c2;
        h1 = (rotl(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= rotl(k2 * c2, 33) * c1;
        h2 = (rotl(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    uint64_t k1 = 0;
    uint64_t k2 = 0;
    for (size_t i = 0; i < r.n; i++) {
        uint64_t byte = (unsigned char)r.p[i];
        if (i < 8) {
            k1 |= byte << (8 * i);
        } else {
            k2 |= byte << (8 * (i - 8));
        }
    }
    if (r.n > 8) {
        h2 ^= rotl(k2 * c2, 33) * c1;
    }
    if (r.n > 0) {
        h1 ^= rotl(k1 * c1, 31) * c2;
    }
    h1 ^= in.n;
    h2 ^= in.n;
    h1 += h2;
    h2 += h1;
    h1 = mix(h1);
    h2 = mix(h2);
    h1 += h2;
    h2 += h1;
    *ret_h1 = h1;
    *ret_h2 = h2;
}

/* ---- values ---- */

static uint64_t double_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

static enum err value_from_json(const struct json *v, struct pk_value *ret, struct errinfo *ei)
{
    *ret = (struct pk_value){.type = PK_UNDEFINED};
    if (!v) {
        return OK;
    }
    switch (v->type) {
    case JSON_UNDEFINED:
        return OK;
    case JSON_NULL:
        ret->type = PK_NULL;
        return OK;
    case JSON_BOOL:
        ret->type = v->boolean ? PK_TRUE : PK_FALSE;
        return OK;
    case JSON_NUMBER:
        ret->type = PK_NUMBER;
        ret->number = v->number;
        return OK;
    case JSON_STRING:
        if (v->text.n > PK_VALUE_SIZE_MAX) {
            return err_set(ei, ERR_INVALID, "partition key value is longer than %d bytes",
                           PK_VALUE_SIZE_MAX);
        }
        ret->type = PK_STRING;
        ret->text = v->text;
        return OK;
    case JSON_OBJECT:
        if (v->count == 0) {
            return OK; /* `{}` stands for undefined */
        }
        break;
    case JSON_ARRAY:
        break;
    }
    return err_set(ei, ERR_INVALID,
                   "a partition key value must be a string, number, boolean or null");
}

/* What key_prefix() makes of it, with room for an id behind: no key of a client may be longer than
 * the engine takes. */
static enum err check_size(const struct pk *k, struct errinfo *ei)
{
    STATIC_ASSERT(PK_KEY_SIZE_MAX + ITEM_ID_SIZE_MAX < ENGINE_KEY_SIZE_MAX,
                  "a key fits, and one byte behind it");
    size_t size = k->count * EPK_COMPONENT_SIZE;
    for (size_t i = 0; i < k->count; i++) {
        const struct pk_value *v = &k->values[i];
        size += 1;
        if (v->type == PK_NUMBER) {
            size += sizeof(uint64_t);
        }
        for (size_t at = 0; v->type == PK_STRING && at < v->text.n; at++) {
            size += v->text.p[at] == '\0' ? 2 : 1;
        }
        size += v->type == PK_STRING ? 2 : 0;
    }
    return size <= PK_KEY_SIZE_MAX ? OK : err_set(ei, ERR_INVALID, "the partition key is too long");
}

enum err pk_parse(struct arena *a, struct str header, struct pk *ret, struct errinfo *ei)
{
    const struct json *doc = NULL;
    struct errinfo why = {0};
    memset(ret, 0, sizeof(*ret));
    if (json_parse(a, header, NULL, &doc, &why) != OK || doc->type != JSON_ARRAY) {
        return err_set(ei, ERR_INVALID, "the partition key header is not a JSON array%s%s",
                       why.message[0] ? ": " : "", why.message);
    }
    if (doc->count > PK_PATHS_MAX) {
        return err_set(ei, ERR_INVALID,
                       "the partition key header has %zu components, at most %d are allowed",
                       doc->count, PK_PATHS_MAX);
    }
    for (size_t i = 0; i < doc->count; i++) {
        TRY(value_from_json(doc->items[i], &ret->values[i], ei));
    }
    ret->count = doc->count > 0 ? doc->count : 1;
    return check_size(ret, ei);
}

enum err pk_extract(const struct json *doc, const struct json_path *paths, size_t n, struct pk *ret,
                    struct errinfo *ei)
{
    ASSERT(n <= PK_PATHS_MAX);
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < n; i++) {
        TRY(value_from_json(json_path_eval(doc, &paths[i]), &ret->values[i], ei));
    }
    ret->count = n;
    return check_size(ret, ei);
}

enum err pk_of_values(const struct json *const *values, size_t n, struct pk *ret,
                      struct errinfo *ei)
{
    ASSERT(n <= PK_PATHS_MAX);
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < n; i++) {
        TRY(value_from_json(values[i], &ret->values[i], ei));
    }
    ret->count = n;
    return check_size(ret, ei);
}

static bool value_eq(const struct pk_value *a, const struct pk_value *b)
{
    return a->type == b->type &&
           IMPLIES(a->type == PK_NUMBER, double_bits(a->number) == double_bits(b->number)) &&
           IMPLIES(a->type == PK_STRING, str_eq(a->text, b->text));
}

bool pk_eq(const struct pk *a, const struct pk *b)
{
    bool is_same = a->count == b->count;
    for (size_t i = 0; is_same && i < a->count; i++) {
        is_same = value_eq(&a->values[i], &b->values[i]);
    }
    return is_same;
}

void pk_json(const struct pk *k, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < k->count; i++) {
        static const char *const words[] = {"{}", "null", "false", "true"};
        const struct pk_value *v = &k->values[i];
        if (i > 0) {
            buf_add_char(out, ',');
        }
        if (v->type == PK_NUMBER) {
            json_write_number(out, v->number);
        } else if (v->type == PK_STRING) {
            json_write_string(out, v->text);
        } else {
            buf_add_cstr(out, words[v->type]);
        }
    }
    buf_add_char(out, ']');
}

/* ---- EPK ---- */

static void hash_value(const struct pk_value *v, struct buf *out)
{
    struct buf in;
    buf_init(&in, PK_VALUE_SIZE_MAX + 16);
    switch (v->type) {
    case PK_UNDEFINED:
        buf_add_u8(&in, 0);
        break;
    case PK_NULL:
        buf_add_u8(&in, 1);
        break;
    case PK_FALSE:
        buf_add_u8(&in, 2);
        break;
    case PK_TRUE:
        buf_add_u8(&in, 3);
        break;
    case PK_NUMBER:
        buf_add_u8(&in, 5);
        buf_add_u64(&in, double_bits(v->number));
        break;
    case PK_STRING:
        buf_add_u8(&in, 8);
        buf_add_str(&in, v->text);
        buf_add_u8(&in, 0xff);
        break;
    }
    ASSERT(buf_ok(&in));
    uint64_t h1;
    uint64_t h2;
    murmur3_128(buf_str(&in), &h1, &h2);
    buf_add_u64_be(out, h2 & (UINT64_MAX >> 2));
    buf_add_u64_be(out, h1);
    buf_done(&in);
}

void epk_of(const struct pk *k, struct buf *out)
{
    for (size_t i = 0; i < k->count; i++) {
        hash_value(&k->values[i], out);
    }
}

enum err epk_parse(struct str hex, struct buf *out, struct errinfo *ei)
{
    if (hex.n > 2 * ((size_t)EPK_SIZE_MAX + 1) || !codec_unhex(out, hex) || !buf_ok(out)) {
        return err_set(ei, ERR_INVALID, "bad effective partition key limit");
    }
    return OK;
}

/* ---- engine keys ---- */

/* Text bytes in memcmp order with an end that sorts before every continuation: 00 -> 00 ff, end 00 01. */
static void add_escaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_add_char(out, s.p[i]);
        if (s.p[i] == '\0') {
            buf_add_u8(out, 0xff);
        }
    }
    buf_add_u8(out, 0);
    buf_add_u8(out, 1);
}

static void add_value(struct buf *out, const struct pk_value *v)
{
    static const uint8_t tags[] = {0, 1, 2, 3, 5, 8};
    buf_add_u8(out, tags[v->type]);
    if (v->type == PK_NUMBER) {
        uint64_t bits = double_bits(v->number);
        buf_add_u64_be(out, bits >> 63 ? ~bits : bits | UINT64_C(1) << 63);
    } else if (v->type == PK_STRING) {
        add_escaped(out, v->text);
    }
}

void key_prefix(const struct pk *k, size_t path_count, struct buf *out)
{
    ASSERT(k->count <= path_count);
    epk_of(k, out);
    /* The values stand behind the hashes of all components: a partial key ends before them. */
    for (size_t i = 0; k->count == path_count && i < k->count; i++) {
        add_value(out, &k->values[i]);
    }
}

void key_item(const struct pk *k, size_t path_count, struct str id, struct buf *out)
{
    ASSERT(k->count == path_count);
    key_prefix(k, path_count, out);
    buf_add_str(out, id);
}

void key_after(struct str prefix, struct buf *out)
{
    size_t n = prefix.n;
    while (n > 0 && (unsigned char)prefix.p[n - 1] == 0xff) {
        n--;
    }
    buf_add(out, prefix.p, n);
    if (n > 0) {
        out->p[out->n - 1] = (char)((unsigned char)out->p[out->n - 1] + 1);
    }
}

static bool read_value(struct rd *r, struct pk_value *ret, struct arena *a)
{
    uint8_t tag = rd_u8(r);
    *ret = (struct pk_value){.type = PK_UNDEFINED};
    if (tag < 4) {
        ret->type = (enum pk_type)tag;
    } else if (tag == 5) {
        uint64_t bits = rd_u64_be(r);
        bits = bits >> 63 ? bits & ~(UINT64_C(1) << 63) : ~bits;
        ret->type = PK_NUMBER;
        memcpy(&ret->number, &bits, sizeof(bits));
    } else if (tag == 8) {
        char *text = arena_alloc(a, r->n + 1);
        size_t n = 0;
        for (;;) {
            uint8_t c = rd_u8(r);
            if (r->bad) {
                return false;
            }
            if (c == 0 && rd_u8(r) == 1) {
                break;
            }
            text[n++] = (char)c;
        }
        ret->type = PK_STRING;
        ret->text = str_make(text, n);
    } else {
        return false;
    }
    return !r->bad;
}

bool key_split(struct str key, size_t path_count, struct pk *ret_pk, struct str *ret_id,
               struct arena *a)
{
    struct rd r = rd_of(key);
    (void)rd_bytes(&r, path_count * EPK_COMPONENT_SIZE);
    memset(ret_pk, 0, sizeof(*ret_pk));
    for (size_t i = 0; i < path_count; i++) {
        if (r.bad || !read_value(&r, &ret_pk->values[i], a)) {
            return false;
        }
    }
    ret_pk->count = path_count;
    *ret_id = str_make(r.p, r.n);
    return !r.bad;
}
