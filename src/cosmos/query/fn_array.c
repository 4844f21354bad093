/* Arrays, sets and objects. */
#include <stdlib.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

static bool all_arrays(const struct json *const *args, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (args[i]->type != JSON_ARRAY) {
            return false;
        }
    }
    return true;
}

static const struct json **new_list(struct query_eval *ev, size_t n)
{
    return (const struct json **)query_eval_alloc(ev,
                                                  (n > 0 ? n : 1) * sizeof(const struct json *));
}

static const struct json *fn_array_concat(struct query_eval *ev, const struct json *const *args,
                                          size_t n)
{
    size_t count = 0;
    if (!all_arrays(args, n)) {
        return json_undefined();
    }
    for (size_t i = 0; i < n; i++) {
        count += args[i]->count;
    }
    const struct json **items = new_list(ev, count);
    if (items == NULL) {
        return json_undefined();
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < args[i]->count; k++) {
            items[at++] = args[i]->items[k];
        }
    }
    return json_array(ev->arena, items, count);
}

/* Every member of `part` is in `whole` with an equal value. */
static bool is_part(const struct json *whole, const struct json *part)
{
    for (size_t i = 0; i < part->count; i++) {
        const struct json *v = json_get(whole, part->members[i].key);
        if (v == NULL || !json_eq(v, part->members[i].value)) {
            return false;
        }
    }
    return true;
}

static bool contains(const struct json *array, const struct json *v, bool is_partial)
{
    for (size_t i = 0; i < array->count; i++) {
        const struct json *item = array->items[i];
        bool by_parts = is_partial && v->type == JSON_OBJECT && item->type == JSON_OBJECT;
        if (by_parts ? is_part(item, v) : json_eq(item, v)) {
            return true;
        }
    }
    return false;
}

/* ARRAY_CONTAINS(array, value [, partial]) */
static const struct json *fn_array_contains(struct query_eval *ev, const struct json *const *args,
                                            size_t n)
{
    (void)ev;
    bool is_partial = n > 2 && args[2]->type == JSON_BOOL && args[2]->boolean;
    bool has_flag = n <= 2 || args[2]->type == JSON_BOOL || args[2]->type == JSON_UNDEFINED;
    if (args[0]->type != JSON_ARRAY || args[1]->type == JSON_UNDEFINED || !has_flag) {
        return json_undefined();
    }
    return json_bool(contains(args[0], args[1], is_partial));
}

static const struct json *fn_array_contains_any(struct query_eval *ev,
                                                const struct json *const *args, size_t n)
{
    (void)ev;
    if (args[0]->type != JSON_ARRAY) {
        return json_undefined();
    }
    for (size_t i = 1; i < n; i++) {
        if (args[i]->type != JSON_UNDEFINED &&
            contains(args[0], args[i], /* is_partial: */ false)) {
            return json_bool(true);
        }
    }
    return json_bool(false);
}

static const struct json *fn_array_contains_all(struct query_eval *ev,
                                                const struct json *const *args, size_t n)
{
    (void)ev;
    if (args[0]->type != JSON_ARRAY) {
        return json_undefined();
    }
    for (size_t i = 1; i < n; i++) {
        if (args[i]->type == JSON_UNDEFINED ||
            !contains(args[0], args[i], /* is_partial: */ false)) {
            return json_bool(false);
        }
    }
    return json_bool(true);
}

static const struct json *fn_array_length(struct query_eval *ev, const struct json *const *args,
                                          size_t n)
{
    return all_arrays(args, n) ? query_number(ev, (double)args[0]->count) : json_undefined();
}

/* ARRAY_SLICE(array, start [, count]): a negative start counts from the end. */
static const struct json *fn_array_slice(struct query_eval *ev, const struct json *const *args,
                                         size_t n)
{
    int64_t start = 0;
    int64_t count = INT64_MAX;
    if (args[0]->type != JSON_ARRAY || !query_to_int(args[1], &start) ||
        (n > 2 && !query_to_int(args[2], &count))) {
        return json_undefined();
    }
    int64_t size = (int64_t)args[0]->count;
    if (start < 0) {
        start = start < -size ? 0 : start + size;
    }
    if (start >= size || count <= 0) {
        return json_array(ev->arena, NULL, 0);
    }
    size_t left = (size_t)(size - start);
    return json_array(ev->arena, args[0]->items + start,
                      (uint64_t)count < left ? (size_t)count : left);
}

/* ---- sets ---- */

struct ranked {
    const struct json *value;
    size_t idx;
};

static int ranked_cmp(const void *a, const void *b)
{
    const struct ranked *x = (const struct ranked *)a;
    const struct ranked *y = (const struct ranked *)b;
    int c = json_cmp(x->value, y->value);
    return c != 0 ? c : (x->idx > y->idx) - (x->idx < y->idx);
}

static bool find_ranked(const struct ranked *sorted, size_t n, const struct json *v)
{
    size_t lo = 0;
    size_t hi = n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = json_cmp(sorted[mid].value, v);
        if (c == 0) {
            return true;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return false;
}

static struct ranked *sort_items(struct query_eval *ev, const struct json *const *items, size_t n)
{
    struct ranked *r = (struct ranked *)query_eval_alloc(ev, (n > 0 ? n : 1) * sizeof(*r));
    if (r == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct ranked){items[i], i};
    }
    qsort(r, n, sizeof(*r), ranked_cmp);
    return r;
}

/* The items without repetitions, first occurrences in their order. */
static const struct json *distinct(struct query_eval *ev, const struct json *const *items, size_t n)
{
    struct ranked *sorted = sort_items(ev, items, n);
    bool *is_repeat = (bool *)query_eval_alloc(ev, n + 1);
    const struct json **out = new_list(ev, n);
    if (sorted == NULL || is_repeat == NULL || out == NULL) {
        return json_undefined();
    }
    memset(is_repeat, 0, n + 1);
    for (size_t i = 1; i < n; i++) {
        is_repeat[sorted[i].idx] = json_eq(sorted[i - 1].value, sorted[i].value);
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_repeat[i]) {
            out[count++] = items[i];
        }
    }
    return json_array(ev->arena, out, count);
}

static const struct json *fn_setunion(struct query_eval *ev, const struct json *const *args,
                                      size_t n)
{
    const struct json *both = fn_array_concat(ev, args, n);
    return both->type == JSON_ARRAY ? distinct(ev, both->items, both->count) : both;
}

/* Items of the first that are (not) in the second, without repetitions. */
static const struct json *filter_set(struct query_eval *ev, const struct json *const *args,
                                     bool is_in)
{
    if (!all_arrays(args, 2)) {
        return json_undefined();
    }
    struct ranked *sorted = sort_items(ev, args[1]->items, args[1]->count);
    const struct json **kept = new_list(ev, args[0]->count);
    if (sorted == NULL || kept == NULL) {
        return json_undefined();
    }
    size_t count = 0;
    for (size_t i = 0; i < args[0]->count; i++) {
        if (find_ranked(sorted, args[1]->count, args[0]->items[i]) == is_in) {
            kept[count++] = args[0]->items[i];
        }
    }
    return distinct(ev, kept, count);
}

static const struct json *fn_setintersect(struct query_eval *ev, const struct json *const *args,
                                          size_t n)
{
    (void)n;
    return filter_set(ev, args, /* is_in: */ true);
}

static const struct json *fn_setdifference(struct query_eval *ev, const struct json *const *args,
                                           size_t n)
{
    (void)n;
    return filter_set(ev, args, /* is_in: */ false);
}

/* ---- objects ---- */

/* OBJECTTOARRAY(object [, key name, value name]) */
static const struct json *fn_objecttoarray(struct query_eval *ev, const struct json *const *args,
                                           size_t n)
{
    struct str keys[2] = {STR("k"), STR("v")};
    if (args[0]->type != JSON_OBJECT) {
        return json_undefined();
    }
    for (size_t i = 1; i < n; i++) {
        if (args[i]->type != JSON_STRING) {
            return json_undefined();
        }
        keys[i - 1] = args[i]->text;
    }
    const struct json **items = new_list(ev, args[0]->count);
    for (size_t i = 0; items != NULL && i < args[0]->count; i++) {
        const struct json *pair[2] = {query_string(ev, args[0]->members[i].key),
                                      args[0]->members[i].value};
        items[i] = query_make_object(ev, keys, pair, 2, /* may_repeat: */ true);
        if (items[i]->type == JSON_UNDEFINED) {
            return items[i];
        }
    }
    return items != NULL ? json_array(ev->arena, items, args[0]->count) : json_undefined();
}

const struct query_fn query_fns_array[] = {
    {"ARRAY_CONCAT", 2, QUERY_ARGS_ANY, fn_array_concat, 0},
    {"ARRAY_CONTAINS", 2, 3, fn_array_contains, FN_TAKES_UNDEFINED},
    {"ARRAY_CONTAINS_ALL", 2, QUERY_ARGS_ANY, fn_array_contains_all, FN_TAKES_UNDEFINED},
    {"ARRAY_CONTAINS_ANY", 2, QUERY_ARGS_ANY, fn_array_contains_any, FN_TAKES_UNDEFINED},
    {"ARRAY_LENGTH", 1, 1, fn_array_length, 0},
    {"ARRAY_SLICE", 2, 3, fn_array_slice, 0},
    {"OBJECTTOARRAY", 1, 3, fn_objecttoarray, 0},
    {"SETDIFFERENCE", 2, 2, fn_setdifference, 0},
    {"SETINTERSECT", 2, 2, fn_setintersect, 0},
    {"SETUNION", 2, 2, fn_setunion, 0},
    {0},
};
