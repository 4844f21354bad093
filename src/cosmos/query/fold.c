/* Constant expressions are evaluated once, when the query is compiled: their value is put beside
 * the tree, which stays as it was written for printing. Long IN lists of constants are sorted. */
#include <stdlib.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum {
    FOLD_MEMORY_MAX = 1 << 20,
    IN_SORTED_MIN = 8, /* constants from which a search beats comparing with each */
};

static int compare_values(const void *a, const void *b)
{
    return json_cmp(*(const struct json *const *)a, *(const struct json *const *)b);
}

/* x IN (many constants): they are sorted once and searched per row. */
static void sort_constants(struct arena *a, struct query_expr *e)
{
    size_t n = e->arg_count - 1;
    if (n < IN_SORTED_MIN) {
        return;
    }
    for (size_t i = 1; i <= n; i++) {
        const struct json *v = e->args[i]->value;
        if (v == NULL || (!query_value_is_simple(v) && v->type != JSON_UNDEFINED)) {
            return;
        }
    }
    e->sorted = ARENA_NEW_ARRAY(a, const struct json *, n);
    for (size_t i = 1; i <= n; i++) {
        if (e->args[i]->value->type != JSON_UNDEFINED) {
            e->sorted[e->sorted_count++] = e->args[i]->value;
        }
    }
    qsort(e->sorted, e->sorted_count, sizeof(const struct json *), compare_values);
}

static void fold_select(struct query_eval *ev, struct query_select *s);

static bool may_fold(const struct query_expr *e)
{
    if (e->node == NODE_NAME || e->node == NODE_AGG || e->select != NULL || e->slot >= 0 ||
        (e->fn != NULL && (e->fn->flags & FN_IMPURE) != 0)) {
        return false;
    }
    for (size_t i = 0; i < e->arg_count; i++) {
        if (e->args[i]->value == NULL) {
            return false;
        }
    }
    return true;
}

static void fold_expr(struct query_eval *ev, struct query_expr *e)
{
    for (size_t i = 0; i < e->arg_count; i++) {
        fold_expr(ev, e->args[i]);
    }
    if (e->select != NULL) {
        fold_select(ev, e->select);
    }
    if (e->value == NULL && may_fold(e)) {
        const struct json *v = query_eval_expr(ev, e);
        /* What fails here is left to fail, or not to be reached, at run time. */
        e->value = ev->err == OK ? v : NULL;
        ev->err = OK;
    }
    if (e->node == NODE_IN && e->value == NULL) {
        sort_constants(ev->arena, e);
    }
}

static void fold_select(struct query_eval *ev, struct query_select *s)
{
    for (size_t i = 0; i < s->from_count; i++) {
        if (s->from[i].select != NULL) {
            fold_select(ev, s->from[i].select);
        }
    }
    if (s->where != NULL) {
        fold_expr(ev, s->where);
    }
    for (size_t i = 0; i < s->group_count; i++) {
        fold_expr(ev, s->group[i]);
    }
    for (size_t i = 0; i < s->item_count; i++) {
        fold_expr(ev, s->items[i].expr); /* aggregates' arguments are below these */
    }
    for (size_t i = 0; i < s->order_count; i++) {
        fold_expr(ev, s->order[i].expr);
    }
}

void query_fold(struct query *q)
{
    struct query_eval ev;
    query_eval_init(&ev, q, q->arena, NULL);
    ev.memory_max = q->arena->used_size + FOLD_MEMORY_MAX;
    fold_select(&ev, q->select);
    query_eval_done(&ev);
}
