/* Type checks and conditionals: the functions that look at undefined instead of passing it on. */
#include <math.h>

#include "cosmos/query/query_int.h"

#define TYPE_CHECK(fn, condition)                                                                  \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)ev;                                                                                  \
        (void)n;                                                                                   \
        const struct json *v = args[0];                                                            \
        return json_bool(condition);                                                               \
    }

TYPE_CHECK(fn_is_array, v->type == JSON_ARRAY)
TYPE_CHECK(fn_is_bool, v->type == JSON_BOOL)
TYPE_CHECK(fn_is_defined, v->type != JSON_UNDEFINED)
TYPE_CHECK(fn_is_null, v->type == JSON_NULL)
TYPE_CHECK(fn_is_number, v->type == JSON_NUMBER)
TYPE_CHECK(fn_is_object, v->type == JSON_OBJECT)
TYPE_CHECK(fn_is_primitive, query_value_is_simple(v))
TYPE_CHECK(fn_is_string, v->type == JSON_STRING)
TYPE_CHECK(fn_is_finite, v->type == JSON_NUMBER && isfinite(v->number))

static const struct json *fn_is_integer(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    (void)ev;
    (void)n;
    int64_t i = 0;
    return json_bool(query_to_int(args[0], &i));
}

/* IIF(condition, when true, otherwise): anything but true is otherwise. */
static const struct json *fn_iif(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)ev;
    (void)n;
    return args[0]->type == JSON_BOOL && args[0]->boolean ? args[1] : args[2];
}

/* CHOOSE(n, first, second, ...): counted from 1. */
static const struct json *fn_choose(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)ev;
    int64_t i = 0;
    if (!query_to_int(args[0], &i) || i < 1 || (uint64_t)i >= n) {
        return json_undefined();
    }
    return args[i];
}

/* DOCUMENTID(c): the item number, unique in its physical partition. */
static const struct json *fn_documentid(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    (void)args;
    (void)n;
    return json_integer(ev->arena, (int64_t)(ev->rid & INT64_MAX));
}

const struct query_fn query_fns_type[] = {
    {"IS_ARRAY", 1, 1, fn_is_array, FN_TAKES_UNDEFINED},
    {"IS_BOOL", 1, 1, fn_is_bool, FN_TAKES_UNDEFINED},
    {"IS_DEFINED", 1, 1, fn_is_defined, FN_TAKES_UNDEFINED},
    {"IS_FINITE_NUMBER", 1, 1, fn_is_finite, FN_TAKES_UNDEFINED},
    {"IS_INTEGER", 1, 1, fn_is_integer, FN_TAKES_UNDEFINED},
    {"IS_NULL", 1, 1, fn_is_null, FN_TAKES_UNDEFINED},
    {"IS_NUMBER", 1, 1, fn_is_number, FN_TAKES_UNDEFINED},
    {"IS_OBJECT", 1, 1, fn_is_object, FN_TAKES_UNDEFINED},
    {"IS_PRIMITIVE", 1, 1, fn_is_primitive, FN_TAKES_UNDEFINED},
    {"IS_STRING", 1, 1, fn_is_string, FN_TAKES_UNDEFINED},
    {"IIF", 3, 3, fn_iif, FN_TAKES_UNDEFINED},
    {"CHOOSE", 2, QUERY_ARGS_ANY, fn_choose, FN_TAKES_UNDEFINED},
    {"DOCUMENTID", 1, 1, fn_documentid, FN_IMPURE},
    {0},
};
