/* Values beyond what json.h offers: text that ignores how the source was laid out, a canonical byte
 * key for sets and groups, and copies that outlive the document. */
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "cosmos/query/query_int.h"

bool query_value_is_simple(const struct json *v)
{
    return v->type == JSON_NULL || v->type == JSON_BOOL || v->type == JSON_NUMBER ||
           v->type == JSON_STRING;
}

/* ---- text ---- */

void query_value_write_plain(struct buf *out, const struct json *v)
{
    switch (v->type) {
    case JSON_NUMBER:
        json_write_number(out, v->number);
        break;
    case JSON_STRING:
        json_write_string(out, v->text);
        break;
    case JSON_ARRAY:
        buf_add_char(out, '[');
        for (size_t i = 0; i < v->count; i++) {
            buf_add_cstr(out, i > 0 ? "," : "");
            query_value_write_plain(out, v->items[i]);
        }
        buf_add_char(out, ']');
        break;
    case JSON_OBJECT:
        buf_add_char(out, '{');
        for (size_t i = 0; i < v->count; i++) {
            buf_add_cstr(out, i > 0 ? "," : "");
            json_write_string(out, v->members[i].key);
            buf_add_char(out, ':');
            query_value_write_plain(out, v->members[i].value);
        }
        buf_add_char(out, '}');
        break;
    case JSON_UNDEFINED:
    case JSON_NULL:
    case JSON_BOOL:
    default:
        json_write(out, v);
        break;
    }
}

/* ---- canonical key ---- */

static int member_cmp(const void *a, const void *b)
{
    return str_cmp((*(const struct json_member *const *)a)->key,
                   (*(const struct json_member *const *)b)->key);
}

static void object_key(struct buf *out, const struct json *v)
{
    const struct json_member **sorted = MEM_NEW_ARRAY(const struct json_member *, v->count + 1);
    for (size_t i = 0; i < v->count; i++) {
        sorted[i] = &v->members[i];
    }
    qsort(sorted, v->count, sizeof(const struct json_member *), member_cmp);
    for (size_t i = 0; i < v->count; i++) {
        buf_add_lstr(out, sorted[i]->key);
        query_value_key(out, sorted[i]->value);
    }
    mem_free(sorted);
}

void query_value_key(struct buf *out, const struct json *v)
{
    buf_add_u8(out, (uint8_t)v->type);
    switch (v->type) {
    case JSON_BOOL:
        buf_add_u8(out, v->boolean);
        break;
    case JSON_NUMBER: {
        double d = v->number + 0.0; /* -0 is 0 */
        uint64_t bits = 0;
        memcpy(&bits, &d, sizeof(bits));
        buf_add_u64(out, bits);
        break;
    }
    case JSON_STRING:
        buf_add_lstr(out, v->text);
        break;
    case JSON_ARRAY:
        buf_add_u64(out, v->count);
        for (size_t i = 0; i < v->count; i++) {
            query_value_key(out, v->items[i]);
        }
        break;
    case JSON_OBJECT:
        buf_add_u64(out, v->count);
        object_key(out, v);
        break;
    case JSON_UNDEFINED:
    case JSON_NULL:
    default:
        break;
    }
}

/* ---- copies ---- */

/* One block, laid out depth first:
 *
 *   [struct json][its array of items or members][strings] [child][...]...
 *
 * Every part is rounded up to 16 bytes. */
enum { CLONE_ALIGN = 16 };

static size_t padded(size_t n)
{
    return (n + CLONE_ALIGN - 1) & ~(size_t)(CLONE_ALIGN - 1);
}

static size_t clone_size(const struct json *v)
{
    size_t n = padded(sizeof(*v));
    if (v->type == JSON_NUMBER) {
        n += padded(v->src.n); /* as it was written */
    } else if (v->type == JSON_STRING) {
        n += padded(v->text.n);
    } else if (v->type == JSON_ARRAY) {
        n += padded(v->count * sizeof(const struct json *));
        for (size_t i = 0; i < v->count; i++) {
            n += clone_size(v->items[i]);
        }
    } else if (v->type == JSON_OBJECT) {
        n += padded(v->count * sizeof(v->members[0]));
        for (size_t i = 0; i < v->count; i++) {
            n += padded(v->members[i].key.n) + clone_size(v->members[i].value);
        }
    }
    return n;
}

static void *take(char **at, size_t n)
{
    void *p = *at;
    *at += padded(n);
    return p;
}

static struct str take_str(char **at, struct str s)
{
    char *p = (char *)take(at, s.n);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return str_make(p, s.n);
}

static const struct json *clone_into(char **at, const struct json *v)
{
    struct json *c = (struct json *)take(at, sizeof(*c));
    *c = *v;
    c->src = STR_NONE;
    if (v->type == JSON_NUMBER) {
        c->src = take_str(at, v->src);
    } else if (v->type == JSON_STRING) {
        c->text = take_str(at, v->text);
    } else if (v->type == JSON_ARRAY) {
        const struct json **items =
            (const struct json **)take(at, v->count * sizeof(const struct json *));
        for (size_t i = 0; i < v->count; i++) {
            items[i] = clone_into(at, v->items[i]);
        }
        c->items = items;
    } else if (v->type == JSON_OBJECT) {
        struct json_member *members = (struct json_member *)take(at, v->count * sizeof(*members));
        for (size_t i = 0; i < v->count; i++) {
            members[i].key = take_str(at, v->members[i].key);
            members[i].value = clone_into(at, v->members[i].value);
        }
        c->members = members;
    }
    return c;
}

size_t query_value_size(const struct json *v)
{
    return clone_size(v);
}

const struct json *query_value_clone_at(char **at, const struct json *v)
{
    return clone_into(at, v);
}

const struct json *query_value_clone(const struct json *v, size_t *ret_size)
{
    size_t n = clone_size(v);
    char *block = (char *)mem_alloc(n);
    char *at = block;
    const struct json *c = clone_into(&at, v);
    ASSERT(at == block + n);
    *ret_size = n;
    return c;
}

void query_value_free(const struct json *clone)
{
    union {
        const void *in;
        void *out;
    } cast = {.in = clone}; /* clones are ours, const only for their readers */
    mem_free(cast.out);
}

/* ---- sets ---- */

enum { SET_ENTRY_SIZE = 96 }; /* what one value costs, about */

void query_set_init(struct query_set *s, struct query_eval *ev)
{
    map_init(&s->map);
    buf_init(&s->key, ev->memory_max);
    s->is_open = true;
}

void query_set_done(struct query_set *s)
{
    if (s->is_open) {
        map_done(&s->map);
        buf_done(&s->key);
        s->is_open = false;
    }
}

bool query_set_add(struct query_set *s, struct query_eval *ev, const struct json *v)
{
    ASSERT(s->is_open);
    buf_clear(&s->key);
    query_value_key(&s->key, v);
    if (!buf_ok(&s->key)) {
        (void)query_eval_fail(ev, ERR_LIMIT, "A value is too large for DISTINCT.");
        return false;
    }
    uint64_t hash[2] = {str_hash(buf_str(&s->key), 1), str_hash(buf_str(&s->key), 2)};
    struct str key = str_make(hash, sizeof(hash));
    if (map_get(&s->map, key) != NULL || !query_eval_keep(ev, SET_ENTRY_SIZE)) {
        return false;
    }
    (void)map_put(&s->map, key, s); /* any pointer that is not NULL */
    return true;
}
