/* Trees and values to text.
 *
 * A value that was parsed is copied as it was written, blanks inside included. What a program made
 * is written compactly. A member or element that is JSON_UNDEFINED is left out, as in the query
 * language's constructors; a number that is not finite becomes null, as in ECMAScript. */
#include "json/json_int.h"

#include <math.h>

#include "base/contract.h"

/* ---- strings ---- */

static void add_u_escape(struct buf *out, uint32_t c)
{
    static const char hex[] = "0123456789abcdef";
    const char text[6] = {'\\',       'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15],
                          hex[c & 15]};
    buf_add(out, text, sizeof(text));
}

static void add_escaped_ascii(struct buf *out, char c)
{
    char letter;
    switch (c) {
    case '"':
    case '\\':
        letter = c;
        break;
    case '\b':
        letter = 'b';
        break;
    case '\f':
        letter = 'f';
        break;
    case '\n':
        letter = 'n';
        break;
    case '\r':
        letter = 'r';
        break;
    case '\t':
        letter = 't';
        break;
    default:
        add_u_escape(out, (unsigned char)c);
        return;
    }
    const char text[2] = {'\\', letter};
    buf_add(out, text, sizeof(text));
}

/* A surrogate in WTF-8 is the sequence ED A0..BF xx. Returns its code, 0 when p is none. */
static uint32_t surrogate_at(const char *p, const char *end)
{
    if (end - p < 3) {
        return 0;
    }
    const unsigned char *b = (const unsigned char *)p;
    if (b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || (b[2] & 0xc0U) != 0x80U) {
        return 0;
    }
    return 0xd000U | (b[1] & 0x3fU) << 6 | (b[2] & 0x3fU);
}

/* Bytes that are not UTF-8 (a program's text from outside) become U+FFFD: the output is always
 * valid JSON, and reads back as valid text. */
void json_write_string(struct buf *out, struct str decoded)
{
    buf_add_char(out, '"');
    if (decoded.n == 0) {
        buf_add_char(out, '"');
        return;
    }
    const char *p = decoded.p;
    const char *end = p + decoded.n;
    const char *run = p; /* start of what is copied as it is */
    while (p < end) {
        p = json_scan_plain(p, end);
        if (p == end) {
            break;
        }
        bool is_ascii = (unsigned char)*p < 0x80;
        size_t n = is_ascii ? 0 : json_utf8_len(p, end);
        if (n > 0) {
            p += n;
            continue;
        }
        buf_add(out, run, (size_t)(p - run));
        uint32_t surrogate = is_ascii ? 0 : surrogate_at(p, end);
        if (is_ascii) {
            add_escaped_ascii(out, *p);
        } else {
            add_u_escape(out, surrogate ? surrogate : 0xfffd);
        }
        p += surrogate ? 3 : 1;
        run = p;
    }
    buf_add(out, run, (size_t)(end - run));
    buf_add_char(out, '"');
}

void json_write_number(struct buf *out, double d)
{
    if (!isfinite(d)) {
        buf_add_cstr(out, "null");
        return;
    }
    char text[JSON_NUMBER_SIZE_MAX];
    size_t n = json_format_number(d, text);
    buf_add(out, text, n);
}

/* ---- trees ---- */

static void write_array(struct buf *out, const struct json *v)
{
    bool need_comma = false;
    buf_add_char(out, '[');
    for (size_t i = 0; i < v->count; i++) {
        if (v->items[i]->type == JSON_UNDEFINED) {
            continue;
        }
        if (need_comma) {
            buf_add_char(out, ',');
        }
        json_write(out, v->items[i]);
        need_comma = true;
    }
    buf_add_char(out, ']');
}

static void write_object(struct buf *out, const struct json *v)
{
    bool need_comma = false;
    buf_add_char(out, '{');
    for (size_t i = 0; i < v->count; i++) {
        const struct json_member *m = &v->members[i];
        if (m->value->type == JSON_UNDEFINED) {
            continue;
        }
        if (need_comma) {
            buf_add_char(out, ',');
        }
        json_write_string(out, m->key);
        buf_add_char(out, ':');
        json_write(out, m->value);
        need_comma = true;
    }
    buf_add_char(out, '}');
}

void json_write(struct buf *out, const struct json *v)
{
    if (v->src.n > 0) {
        buf_add_str(out, v->src);
        return;
    }
    switch (v->type) {
    case JSON_UNDEFINED:
        return;
    case JSON_NULL:
        buf_add_cstr(out, "null");
        return;
    case JSON_BOOL:
        buf_add_cstr(out, v->boolean ? "true" : "false");
        return;
    case JSON_NUMBER:
        json_write_number(out, v->number);
        return;
    case JSON_STRING:
        json_write_string(out, v->text);
        return;
    case JSON_ARRAY:
        write_array(out, v);
        return;
    case JSON_OBJECT:
        write_object(out, v);
        return;
    }
    UNREACHABLE();
}

/* ---- writer without a tree ---- */

void json_out_init(struct json_out *o, struct buf *buf)
{
    *o = (struct json_out){.buf = buf, .need_comma = false};
}

static void before_value(struct json_out *o)
{
    if (o->need_comma) {
        buf_add_char(o->buf, ',');
    }
    o->need_comma = true;
}

static void open_with(struct json_out *o, char c)
{
    before_value(o);
    buf_add_char(o->buf, c);
    o->need_comma = false;
}

static void close_with(struct json_out *o, char c)
{
    buf_add_char(o->buf, c);
    o->need_comma = true;
}

void json_out_object(struct json_out *o)
{
    open_with(o, '{');
}

void json_out_object_end(struct json_out *o)
{
    close_with(o, '}');
}

void json_out_array(struct json_out *o)
{
    open_with(o, '[');
}

void json_out_array_end(struct json_out *o)
{
    close_with(o, ']');
}

void json_out_key(struct json_out *o, const char *key)
{
    json_out_key_str(o, str_of(key));
}

void json_out_key_str(struct json_out *o, struct str key)
{
    before_value(o);
    json_write_string(o->buf, key);
    buf_add_char(o->buf, ':');
    o->need_comma = false;
}

void json_out_str(struct json_out *o, struct str s)
{
    before_value(o);
    json_write_string(o->buf, s);
}

void json_out_cstr(struct json_out *o, const char *s)
{
    json_out_str(o, str_of(s));
}

void json_out_u64(struct json_out *o, uint64_t v)
{
    before_value(o);
    buf_add_u64_text(o->buf, v);
}

void json_out_i64(struct json_out *o, int64_t v)
{
    before_value(o);
    if (v < 0) {
        buf_add_char(o->buf, '-');
    }
    buf_add_u64_text(o->buf, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void json_out_double(struct json_out *o, double v)
{
    before_value(o);
    json_write_number(o->buf, v);
}

void json_out_bool(struct json_out *o, bool v)
{
    before_value(o);
    buf_add_cstr(o->buf, v ? "true" : "false");
}

void json_out_null(struct json_out *o)
{
    before_value(o);
    buf_add_cstr(o->buf, "null");
}

void json_out_raw(struct json_out *o, struct str json_text)
{
    before_value(o);
    buf_add_str(o->buf, json_text);
}

void json_out_member_str(struct json_out *o, const char *key, struct str v)
{
    json_out_key(o, key);
    json_out_str(o, v);
}

void json_out_member_cstr(struct json_out *o, const char *key, const char *v)
{
    json_out_key(o, key);
    json_out_cstr(o, v);
}

void json_out_member_u64(struct json_out *o, const char *key, uint64_t v)
{
    json_out_key(o, key);
    json_out_u64(o, v);
}

void json_out_member_i64(struct json_out *o, const char *key, int64_t v)
{
    json_out_key(o, key);
    json_out_i64(o, v);
}

void json_out_member_bool(struct json_out *o, const char *key, bool v)
{
    json_out_key(o, key);
    json_out_bool(o, v);
}
