/* Aggregates. Undefined arguments are not counted. SUM and AVG over anything that is no number are
 * undefined, MIN and MAX over arrays and objects too; SUM of nothing is 0, AVG, MIN and MAX of
 * nothing are undefined. */
#include <math.h>

#include "base/contract.h"
#include "base/mem.h"
#include "cosmos/query/query_int.h"

static void keep_best(struct query_eval *ev, const struct query_agg *a, struct query_agg_state *st,
                      const struct json *v)
{
    if (!query_value_is_simple(v)) {
        st->is_bad = true;
        return;
    }
    if (st->best != NULL) {
        int c = json_cmp(v, st->best);
        if (a->kind == AGG_MIN ? c >= 0 : c <= 0) {
            return;
        }
        ev->mem_used -= st->best_size;
        query_value_free(st->best);
        st->best = NULL;
    }
    size_t size = 0;
    st->best = query_value_clone(v, &size);
    st->best_size = size;
    (void)query_eval_keep(ev, size); /* a failure stops the run at its next step */
}

static void keep_item(struct query_eval *ev, struct query_agg_state *st, const struct json *v)
{
    if (!query_eval_keep(ev, query_value_size(v) + sizeof(const struct json *))) {
        return;
    }
    if (st->list_count == st->list_cap) {
        st->list_cap = st->list_cap > 0 ? st->list_cap * 2 : 8;
        st->list = (const struct json **)mem_realloc((void *)st->list,
                                                     st->list_cap * sizeof(const struct json *));
    }
    size_t size = 0;
    st->list[st->list_count++] = query_value_clone(v, &size);
}

void query_agg_add(struct query_eval *ev, const struct query_agg *a, struct query_agg_state *st)
{
    const struct json *v = query_eval_expr(ev, a->arg);
    if (v->type == JSON_UNDEFINED) {
        return;
    }
    switch (a->kind) {
    case AGG_COUNT:
        st->count++;
        break;
    case AGG_COUNTIF:
        st->count += v->type == JSON_BOOL && v->boolean;
        break;
    case AGG_SUM:
    case AGG_AVG:
        st->count++;
        st->is_bad |= v->type != JSON_NUMBER;
        st->sum += v->type == JSON_NUMBER ? v->number : 0;
        break;
    case AGG_MIN:
    case AGG_MAX:
        keep_best(ev, a, st, v);
        break;
    case AGG_MAKELIST:
        keep_item(ev, st, v);
        break;
    case AGG_MAKESET:
        if (!st->set.is_open) {
            query_set_init(&st->set, ev);
        }
        if (query_set_add(&st->set, ev, v)) {
            keep_item(ev, st, v);
        }
        break;
    case AGG_KIND_COUNT:
    default:
        UNREACHABLE();
    }
}

const struct json *query_agg_result(struct query_eval *ev, const struct query_agg *a,
                                    const struct query_agg_state *st)
{
    if (st->is_bad) {
        return json_undefined();
    }
    switch (a->kind) {
    case AGG_COUNT:
    case AGG_COUNTIF:
        return json_integer(ev->arena, (int64_t)st->count);
    case AGG_SUM:
        return query_number(ev, st->sum);
    case AGG_AVG:
        return st->count > 0 ? query_number(ev, st->sum / (double)st->count) : json_undefined();
    case AGG_MIN:
    case AGG_MAX:
        return st->best != NULL ? st->best : json_undefined();
    case AGG_MAKELIST:
    case AGG_MAKESET:
        return json_array(ev->arena, st->list, st->list_count);
    case AGG_KIND_COUNT:
    default:
        UNREACHABLE();
    }
}

void query_agg_done(struct query_agg_state *st)
{
    query_value_free(st->best);
    for (size_t i = 0; i < st->list_count; i++) {
        query_value_free(st->list[i]);
    }
    mem_free((void *)st->list);
    query_set_done(&st->set);
    *st = (struct query_agg_state){0};
}
