/* Text-level edits. The tree does not keep the bytes of keys, but they lie between the previous
 * value and this one, whose places are known:
 *
 *     {"a" : 1 ,  "b\u0041": [2, 3] }
 *          |---- scanned ----|
 *            ^ end of value   ^ value->src
 *
 * Where a client's text is compact already, runs of members are copied in one piece. */
#include "json/edit.h"

#include "base/contract.h"
#include "json/json_int.h"

static bool is_named(struct str key, const struct str *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(key, keys[i])) {
            return true;
        }
    }
    return false;
}

/* The key's text, quotes included. `p` is the end of the value before it or the opening brace's
 * end; only blanks and a comma come first. The text has been parsed, so it is well formed. */
static struct str key_text(const char *p, const struct json_member *m)
{
    const char *value = m->value->src.p;
    while (*p != '"') {
        ASSERT(p < value && (*p == ',' || json_is_blank(*p)));
        p++;
    }
    const char *end = p + 1;
    if (m->key.p == end) {
        end += m->key.n; /* no escapes: the key points into the text */
    } else {
        while (*end != '"') {
            end += *end == '\\' ? 2 : 1;
            ASSERT(end < value);
        }
    }
    end++;
    ASSERT(end < value);
    return (struct str){p, (size_t)(end - p)};
}

/* A stretch of source that is compact and goes out as it is. */
struct run {
    const char *from; /* NULL = none */
    const char *end;
    size_t written;
};

static void flush(struct buf *out, struct run *r)
{
    if (r->from) {
        buf_add(out, r->from, (size_t)(r->end - r->from));
    }
    r->from = NULL;
}

static void keep_member(struct buf *out, struct run *r, struct str key, struct str value)
{
    bool is_tight = value.p == key.p + key.n + 1;
    bool is_next = r->from && key.p == r->end + 1;
    if (!is_next || !is_tight) {
        flush(out, r);
        if (r->written > 0) {
            buf_add_char(out, ',');
        }
        if (is_tight) {
            r->from = key.p;
        } else {
            buf_add_str(out, key);
            buf_add_char(out, ':');
            r->from = value.p;
        }
    }
    r->end = value.p + value.n;
    r->written++;
}

static size_t without_in_source(struct buf *out, const struct json *object, const struct str *keys,
                                size_t n)
{
    struct run run = {0};
    const char *p = object->src.p + 1;
    const char *end = object->src.p + object->src.n;
    for (size_t i = 0; i < object->count; i++) {
        const struct json_member *m = &object->members[i];
        struct str value = m->value->src;
        ASSERT(value.n > 0);
        ASSERT(value.p > p && value.p + value.n < end);
        if (!is_named(m->key, keys, n)) {
            keep_member(out, &run, key_text(p, m), value);
        }
        p = value.p + value.n;
    }
    flush(out, &run);
    return run.written;
}

size_t json_text_without(struct buf *out, const struct json *object, const struct str *keys,
                         size_t n)
{
    ASSERT(object->type == JSON_OBJECT);
    buf_add_char(out, '{');
    if (object->src.n > 0) {
        return without_in_source(out, object, keys, n);
    }
    size_t written = 0;
    for (size_t i = 0; i < object->count; i++) {
        const struct json_member *m = &object->members[i];
        if (m->value->type == JSON_UNDEFINED || is_named(m->key, keys, n)) {
            continue;
        }
        if (written > 0) {
            buf_add_char(out, ',');
        }
        json_write_string(out, m->key);
        buf_add_char(out, ':');
        json_write(out, m->value);
        written++;
    }
    return written;
}
