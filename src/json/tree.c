/* Looking into trees, and making them. Constants are static: a scalar without a number or text of
 * its own costs nothing. */
#include "json/json_int.h"

#include "base/contract.h"

#define EXACT_MAX (INT64_C(1) << 53) /* integers up to here are exact as doubles */

const struct json *json_get(const struct json *v, struct str key)
{
    if (!v || v->type != JSON_OBJECT) {
        return NULL;
    }
    for (size_t i = 0; i < v->count; i++) {
        struct str k = v->members[i].key;
        if (k.n == key.n && (key.n == 0 || memcmp(k.p, key.p, key.n) == 0)) {
            return v->members[i].value;
        }
    }
    return NULL;
}

const struct json *json_get_path(const struct json *v, const struct str *keys, size_t n)
{
    for (size_t i = 0; i < n && v; i++) {
        v = json_get(v, keys[i]);
    }
    return v;
}

bool json_get_str(const struct json *v, struct str key, struct str *ret)
{
    const struct json *m = json_get(v, key);
    if (!m || m->type != JSON_STRING) {
        return false;
    }
    *ret = m->text;
    return true;
}

struct str json_text(const struct json *v, const char *key)
{
    struct str s = STR("");
    (void)json_get_str(v, str_of(key), &s);
    return s;
}

bool json_get_u64(const struct json *v, struct str key, uint64_t *ret)
{
    bool negative = false;
    uint64_t magnitude = 0;
    if (!json_exact_integer(json_get(v, key), &negative, &magnitude)) {
        return false;
    }
    if (negative && magnitude != 0) {
        return false;
    }
    *ret = magnitude;
    return true;
}

bool json_get_bool(const struct json *v, struct str key, bool *ret)
{
    const struct json *m = json_get(v, key);
    if (!m || m->type != JSON_BOOL) {
        return false;
    }
    *ret = m->boolean;
    return true;
}

bool json_is_integer(const struct json *v, int64_t *ret)
{
    bool negative = false;
    uint64_t magnitude = 0;
    if (!json_exact_integer(v, &negative, &magnitude)) {
        return false;
    }
    const uint64_t min_magnitude = (uint64_t)INT64_MAX + 1;
    if (magnitude > (uint64_t)INT64_MAX + negative) {
        return false;
    }
    if (!negative) {
        *ret = (int64_t)magnitude;
    } else {
        *ret = magnitude == min_magnitude ? INT64_MIN : -(int64_t)magnitude;
    }
    return true;
}

/* ---- constructors ---- */

const struct json *json_undefined(void)
{
    static const struct json v = {.type = JSON_UNDEFINED};
    return &v;
}

const struct json *json_null(void)
{
    static const struct json v = {.type = JSON_NULL};
    return &v;
}

const struct json *json_bool(bool b)
{
    static const struct json no = {.type = JSON_BOOL, .boolean = false};
    static const struct json yes = {.type = JSON_BOOL, .boolean = true};
    return b ? &yes : &no;
}

const struct json *json_number(struct arena *a, double d)
{
    struct json *v = ARENA_NEW(a, struct json);
    v->type = JSON_NUMBER;
    v->number = d;
    return v;
}

/* An integer that a double cannot hold carries its digits in `src`, as if it had been parsed. */
const struct json *json_integer(struct arena *a, int64_t i)
{
    struct json *v = ARENA_NEW(a, struct json);
    v->type = JSON_NUMBER;
    v->number = (double)i;
    if (i > EXACT_MAX || i < -EXACT_MAX) {
        v->src = arena_printf(a, "%lld", (long long)i);
    }
    return v;
}

const struct json *json_string(struct arena *a, struct str decoded)
{
    struct json *v = ARENA_NEW(a, struct json);
    v->type = JSON_STRING;
    v->text = decoded;
    return v;
}

const struct json *json_array(struct arena *a, const struct json *const *items, size_t n)
{
    struct json *v = ARENA_NEW(a, struct json);
    v->type = JSON_ARRAY;
    v->count = n;
    v->items = items;
    return v;
}

const struct json *json_object(struct arena *a, const struct json_member *members, size_t n)
{
    struct json *v = ARENA_NEW(a, struct json);
    v->type = JSON_OBJECT;
    v->count = n;
    v->members = members;
    return v;
}
