/* Aggregated selects. The list and ORDER BY of such a select are evaluated once per group, when
 * the row variables are gone: every subexpression that is a group key is pointed at the key's
 * slot, aggregates have theirs already, and any other use of a row variable is an error.
 * Also here: when two expressions are the same. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

/* ---- equality ---- */

static bool equal_args(const struct query_expr *a, const struct query_expr *b)
{
    if (a->arg_count != b->arg_count) {
        return false;
    }
    for (size_t i = 0; i < a->arg_count; i++) {
        if (!query_expr_equal(a->args[i], b->args[i])) {
            return false;
        }
    }
    return true;
}

bool query_expr_equal(const struct query_expr *a, const struct query_expr *b)
{
    if (a == b) {
        return true;
    }
    if (a->node != b->node || a->op != b->op || a->agg != b->agg || a->fn != b->fn ||
        a->is_negated != b->is_negated || a->select != b->select) {
        return false;
    }
    if (a->node == NODE_CONST || a->node == NODE_PARAM) {
        return json_eq(a->value, b->value);
    }
    if (a->node == NODE_NAME) {
        return a->slot == b->slot;
    }
    if ((a->node == NODE_PROP || a->node == NODE_LIKE) && !str_eq(a->name, b->name)) {
        return false;
    }
    for (size_t i = 0; a->node == NODE_OBJECT && i < a->arg_count && i < b->arg_count; i++) {
        if (!str_eq(a->keys[i], b->keys[i])) {
            return false;
        }
    }
    return equal_args(a, b);
}

/* ---- group keys ---- */

struct grouper {
    struct query *q;
    struct query_select *select;
    struct errinfo *ei;
};

static enum err group_select(struct grouper *g, struct query_select *s);

static bool is_row_slot(const struct query_select *s, int slot)
{
    for (size_t i = 0; i < s->from_count; i++) {
        if (s->from[i].slot == slot) {
            return true;
        }
    }
    return false;
}

static enum err fail_not_grouped(struct grouper *g, const struct query_expr *path)
{
    struct buf text;
    buf_init(&text, 200);
    query_print_expr(&text, path);
    struct str shown = buf_str(&text);
    enum err ret = query_fail(g->ei, ERR_SYNTAX, g->q->text, path->start, path->end, "SC2102",
                              "Property reference '%.*s' is invalid in the select list because it "
                              "is not contained in either an aggregate function or the GROUP BY "
                              "clause.",
                              (int)shown.n, shown.n > 0 ? shown.p : "");
    buf_done(&text);
    return ret;
}

/* `path` is the longest property path that e begins, for the message. */
static enum err group_expr(struct grouper *g, struct query_expr *e, const struct query_expr *path)
{
    const struct query_select *s = g->select;
    if (e->node == NODE_AGG && e->slot >= 0) {
        return OK;
    }
    for (size_t i = 0; i < s->group_count; i++) {
        if (e->node != NODE_CONST && query_expr_equal(e, s->group[i])) {
            e->slot = s->group_slot + (int)i;
            return OK;
        }
    }
    if (e->node == NODE_NAME) {
        return is_row_slot(s, e->slot) ? fail_not_grouped(g, path) : OK;
    }
    if (e->select != NULL) {
        return group_select(g, e->select);
    }
    for (size_t i = 0; i < e->arg_count; i++) {
        bool is_path = i == 0 && (e->node == NODE_PROP || e->node == NODE_INDEX);
        TRY(group_expr(g, e->args[i], is_path ? path : e->args[i]));
    }
    return OK;
}

/* A subquery in the list: whatever it takes from the row must be a group key too. */
static enum err group_select(struct grouper *g, struct query_select *s)
{
    for (size_t i = 0; i < s->from_count; i++) {
        if (s->from[i].path != NULL) {
            TRY(group_expr(g, s->from[i].path, s->from[i].path));
        } else {
            TRY(group_select(g, s->from[i].select));
        }
    }
    if (s->where != NULL) {
        TRY(group_expr(g, s->where, s->where));
    }
    for (size_t i = 0; i < s->group_count; i++) {
        TRY(group_expr(g, s->group[i], s->group[i]));
    }
    for (size_t i = 0; i < s->agg_count; i++) {
        TRY(group_expr(g, s->aggs[i].arg, s->aggs[i].arg));
    }
    for (size_t i = 0; i < s->item_count; i++) {
        TRY(group_expr(g, s->items[i].expr, s->items[i].expr));
    }
    for (size_t i = 0; i < s->order_count; i++) {
        TRY(group_expr(g, s->order[i].expr, s->order[i].expr));
    }
    return OK;
}

enum err query_bind_groups(struct query *q, struct query_select *s, struct errinfo *ei)
{
    for (size_t i = 0; i < s->group_count; i++) {
        int slot = -1;
        TRY(query_slot_new(q, ei, &slot));
        s->group_slot = i == 0 ? slot : s->group_slot;
        ASSERT(slot == s->group_slot + (int)i);
    }
    struct grouper g = {.q = q, .select = s, .ei = ei};
    for (size_t i = 0; i < s->item_count; i++) {
        TRY(group_expr(&g, s->items[i].expr, s->items[i].expr));
    }
    for (size_t i = 0; i < s->order_count; i++) {
        TRY(group_expr(&g, s->order[i].expr, s->order[i].expr));
    }
    return OK;
}
