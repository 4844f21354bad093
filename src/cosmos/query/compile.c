/* From text and parameters to a query: limits, parameters, parse, bind, hash. */
#include <stdlib.h>

#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/query/query_int.h"

static size_t cut(size_t v, size_t max)
{
    return v > 0 && v < max ? v : max;
}

static struct query_limits effective_limits(const struct query_limits *l)
{
    struct query_limits none = {0};
    l = l != NULL ? l : &none;
    return (struct query_limits){
        .text_size_max = cut(l->text_size_max, QUERY_TEXT_SIZE_MAX),
        .depth_max = (int)cut(l->depth_max > 0 ? (size_t)l->depth_max : 0, QUERY_DEPTH_MAX),
        .joins_max = (int)cut(l->joins_max > 0 ? (size_t)l->joins_max : 0, QUERY_JOINS_MAX),
        .nodes_max = cut(l->nodes_max, QUERY_NODES_MAX),
    };
}

static int param_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct query_param *)a)->name, ((const struct query_param *)b)->name);
}

static enum err fail_params(struct errinfo *ei, const char *what)
{
    return query_fail(ei, ERR_SYNTAX, STR_NONE, 0, 0, "SC2047", "The parameters are invalid: %s.",
                      what);
}

/* [{"name":"@x","value":...}] sorted by name. A value that is missing is undefined. */
static enum err read_params(struct arena *a, const struct json *params, struct query_param **ret,
                            size_t *ret_count, struct errinfo *ei)
{
    if (params == NULL || params->type == JSON_NULL) {
        return OK;
    }
    if (params->type != JSON_ARRAY || params->count > QUERY_PARAMS_MAX) {
        return fail_params(ei, "not an array, or too many");
    }
    struct query_param *list = ARENA_NEW_ARRAY(a, struct query_param, params->count + 1);
    for (size_t i = 0; i < params->count; i++) {
        const struct json *p = params->items[i];
        const struct json *value = json_get(p, STR("value"));
        if (!json_get_str(p, STR("name"), &list[i].name) || list[i].name.n < 2 ||
            list[i].name.n > QUERY_PARAM_NAME_MAX || list[i].name.p[0] != '@') {
            return fail_params(ei, "each needs a name that begins with '@'");
        }
        list[i].value = value != NULL ? value : json_undefined();
    }
    qsort(list, params->count, sizeof(*list), param_cmp);
    for (size_t i = 1; i < params->count; i++) {
        if (str_eq(list[i - 1].name, list[i].name)) {
            return fail_params(ei, "a name is there twice");
        }
    }
    *ret = list;
    *ret_count = params->count;
    return OK;
}

/* Tokens carry it: stable across machines and versions of this code. */
static uint64_t hash_query(struct str text, const struct query_param *params, size_t n)
{
    uint64_t hash = str_hash(text, 0);
    struct buf b;
    buf_init(&b, JSON_TEXT_SIZE_MAX);
    for (size_t i = 0; i < n; i++) {
        buf_clear(&b);
        query_value_key(&b, params[i].value);
        hash = str_hash(params[i].name, hash);
        hash = str_hash(buf_str(&b), hash);
    }
    buf_done(&b);
    return hash;
}

static enum err compile(struct arena *a, struct str text, const struct json *params,
                        const struct query_limits *limits, bool is_condition, struct query **ret,
                        struct errinfo *ei)
{
    struct query_limits lim = effective_limits(limits);
    if (text.n > lim.text_size_max) {
        return query_fail(ei, ERR_SYNTAX, STR_NONE, 0, 0, "SC3020",
                          "The query text exceeds the maximum of %zu bytes.", lim.text_size_max);
    }
    if (!codec_utf8_valid(text)) {
        return query_fail(ei, ERR_SYNTAX, STR_NONE, 0, 0, "SC1000", "The query text is not UTF-8.");
    }
    struct query *q = ARENA_NEW(a, struct query);
    q->arena = a;
    q->text = arena_str(a, text);
    q->is_condition = is_condition;
    struct query_param *list = NULL;
    size_t count = 0;
    TRY(read_params(a, params, &list, &count, ei));
    struct query_parser p = {
        .arena = a,
        .lexer = {.arena = a, .text = q->text, .ei = ei},
        .limits = lim,
        .params = list,
        .param_count = count,
        .ei = ei,
    };
    TRY(query_parse(&p, is_condition, &q->select));
    q->info.hash = hash_query(q->text, list, count);
    TRY(query_bind(q, ei));
    *ret = q;
    return OK;
}

enum err query_compile(struct arena *a, struct str text, const struct json *params,
                       const struct query_limits *limits, struct query **ret, struct errinfo *ei)
{
    return compile(a, text, params, limits, /* is_condition: */ false, ret, ei);
}

enum err query_compile_condition(struct arena *a, struct str text,
                                 const struct query_limits *limits, struct query **ret,
                                 struct errinfo *ei)
{
    return compile(a, text, NULL, limits, /* is_condition: */ true, ret, ei);
}

struct query_info query_info(const struct query *q)
{
    return q->info;
}
