/* Binder: what each name means, where aggregates belong, how the query will be run.
 *
 * Scopes: a name is looked up among the FROM bindings written before it, then in the selects
 * around. The first name of the first source of a root select, when nothing of that name is
 * around, is the container, whatever it is called. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

struct binder {
    struct query *q;
    struct errinfo *ei;
    struct query_select *select; /* that the expression belongs to */
    bool may_aggregate;          /* in a select list or ORDER BY */
    bool in_aggregate;
};

static enum err bind_select(struct binder *b, struct query_select *s, struct query_select *outer,
                            bool is_root);
static enum err bind_expr(struct binder *b, struct query_expr *e);

enum err query_slot_new(struct query *q, struct errinfo *ei, int *ret)
{
    if (q->slot_count == QUERY_SLOTS_MAX) {
        return query_fail(ei, ERR_SYNTAX, q->text, 0, 0, "SC3024",
                          "The query exceeds the maximum of %d bindings and aggregates.",
                          QUERY_SLOTS_MAX);
    }
    *ret = q->slot_count++;
    return OK;
}

/* Slot of a name, or -1. */
static int find_name(const struct query_select *s, struct str name)
{
    for (; s != NULL; s = s->outer) {
        for (size_t i = s->visible; i > 0; i--) {
            const struct query_from *f = &s->from[i - 1];
            if (f->alias.n > 0 && str_eq(f->alias, name)) {
                return f->slot;
            }
        }
    }
    return -1;
}

static enum err fail_unresolved(struct binder *b, const struct query_expr *e)
{
    int shown = e->name.n > 64 ? 64 : (int)e->name.n;
    return query_fail(b->ei, ERR_SYNTAX, b->q->text, e->start, e->start + e->name.n, "SC2001",
                      "Identifier '%.*s' could not be resolved.", shown, e->name.p);
}

static enum err bind_name(struct binder *b, struct query_expr *e)
{
    int slot = find_name(b->select, e->name);
    if (slot < 0) {
        return fail_unresolved(b, e);
    }
    e->slot = slot;
    if (slot == QUERY_SLOT_DOC) {
        b->q->uses_doc = true;
    }
    return OK;
}

static enum err bind_aggregate(struct binder *b, struct query_expr *e)
{
    if (b->in_aggregate) {
        return query_fail(b->ei, ERR_SYNTAX, b->q->text, e->start, e->end, "SC2104",
                          "Cannot perform an aggregate function on an expression containing an "
                          "aggregate or a subquery.");
    }
    if (!b->may_aggregate) {
        return query_fail(b->ei, ERR_SYNTAX, b->q->text, e->start, e->end, "SC2101",
                          "Aggregate functions are only allowed in the select list and ORDER BY.");
    }
    b->in_aggregate = true;
    TRY(bind_expr(b, e->args[0]));
    b->in_aggregate = false;

    struct query_select *s = b->select;
    for (size_t i = 0; i < s->agg_count; i++) {
        if (s->aggs[i].kind == e->agg && query_expr_equal(s->aggs[i].arg, e->args[0])) {
            e->slot = s->aggs[i].slot;
            return OK;
        }
    }
    struct query_agg agg = {.kind = e->agg, .arg = e->args[0]};
    TRY(query_slot_new(b->q, b->ei, &agg.slot));
    s->aggs = (struct query_agg *)query_list_grow(b->q->arena, s->aggs, s->agg_count, sizeof(agg));
    s->aggs[s->agg_count++] = agg;
    s->is_aggregated = true;
    e->slot = agg.slot;
    return OK;
}

static enum err bind_expr(struct binder *b, struct query_expr *e)
{
    if (e->node == NODE_NAME) {
        return bind_name(b, e);
    }
    if (e->node == NODE_AGG) {
        return bind_aggregate(b, e);
    }
    if (e->select != NULL) {
        return bind_select(b, e->select, b->select, /* is_root: */ false);
    }
    for (size_t i = 0; i < e->arg_count; i++) {
        TRY(bind_expr(b, e->args[i]));
    }
    return OK;
}

static enum err check_alias(struct binder *b, const struct query_select *s, size_t idx)
{
    const struct query_from *f = &s->from[idx];
    for (size_t i = 0; i < idx; i++) {
        if (f->alias.n > 0 && str_eq(s->from[i].alias, f->alias)) {
            int shown = f->alias.n > 64 ? 64 : (int)f->alias.n;
            return query_fail(
                b->ei, ERR_SYNTAX, b->q->text, f->start, f->end, "SC2011",
                "The input alias '%.*s' is specified more than once in the FROM clause.", shown,
                f->alias.p);
        }
    }
    return OK;
}

static enum err bind_source(struct binder *b, struct query_select *s, size_t idx)
{
    struct query_from *f = &s->from[idx];
    bool may_scan = s->is_root && idx == 0;
    if (f->select != NULL) {
        TRY(bind_select(b, f->select, s, may_scan));
    } else {
        struct query_expr *base = f->path;
        while (base->node != NODE_NAME) {
            base = base->args[0];
        }
        int slot = find_name(s, base->name);
        if (slot < 0 && !may_scan) {
            return fail_unresolved(b, base);
        }
        f->is_container = slot < 0;
        base->slot = slot < 0 ? QUERY_SLOT_DOC : slot;
        b->q->has_container |= f->is_container;
        if (base->slot == QUERY_SLOT_DOC &&
            (f->path != base || f->is_iterator || !f->is_container)) {
            b->q->uses_doc = true;
        }
    }
    if (f->is_container && f->path->node == NODE_NAME && !f->is_iterator) {
        f->slot = QUERY_SLOT_DOC;
    } else {
        TRY(query_slot_new(b->q, b->ei, &f->slot));
    }
    TRY(check_alias(b, s, idx));
    s->visible = idx + 1;
    return OK;
}

/* SELECT DISTINCT c._rid, ... is what clients send for an ordered DISTINCT; they remove the
 * duplicates of the rest themselves. Rows with different rids are different. */
static bool has_rid(const struct query_select *s)
{
    if (s->from_count != 1 || s->from[0].slot != QUERY_SLOT_DOC || s->is_value ||
        s->is_aggregated) {
        return false;
    }
    for (size_t i = 0; i < s->item_count; i++) {
        const struct query_expr *e = s->items[i].expr;
        if (e->node == NODE_PROP && str_eq(e->name, STR("_rid")) && e->args[0]->node == NODE_NAME &&
            e->args[0]->slot == QUERY_SLOT_DOC) {
            return true;
        }
    }
    return false;
}

static enum err bind_select(struct binder *b, struct query_select *s, struct query_select *outer,
                            bool is_root)
{
    struct binder saved = *b;
    s->outer = outer;
    s->is_root = is_root;
    s->visible = 0;
    *b = (struct binder){.q = b->q, .ei = b->ei, .select = s};
    for (size_t i = 0; i < s->from_count; i++) {
        TRY(bind_source(b, s, i));
    }
    if (s->where != NULL) {
        TRY(bind_expr(b, s->where));
    }
    for (size_t i = 0; i < s->group_count; i++) {
        TRY(bind_expr(b, s->group[i]));
    }
    b->may_aggregate = true;
    for (size_t i = 0; i < s->item_count; i++) {
        TRY(bind_expr(b, s->items[i].expr));
    }
    for (size_t i = 0; i < s->order_count; i++) {
        TRY(bind_expr(b, s->order[i].expr));
    }
    if (s->group_count > 0) {
        s->is_aggregated = true;
    }
    if (s->is_star && s->from[0].slot == QUERY_SLOT_DOC) {
        b->q->uses_doc = true; /* query_bind takes it back when documents are copied */
    }
    if (s->is_star && s->is_aggregated) {
        return query_fail(b->ei, ERR_SYNTAX, b->q->text, s->start, s->end, "SC2041",
                          "'SELECT *' is not allowed with aggregate functions.");
    }
    if (s->is_aggregated) {
        TRY(query_bind_groups(b->q, s, b->ei));
    }
    s->is_distinct_free = s->is_distinct && has_rid(s);
    *b = saved;
    return OK;
}

/* ---- how to run it ---- */

static bool has_limit(const struct query_select *s)
{
    return s->top.expr != NULL || s->offset.expr != NULL;
}

static bool needs_set(const struct query_select *s)
{
    return s->is_distinct && !s->is_distinct_free;
}

/* Rows of FROM (SELECT ...) come as documents come. */
static bool is_streaming(const struct query_select *s)
{
    if (s->is_aggregated || needs_set(s) || s->order_count > 0 || has_limit(s)) {
        return false;
    }
    return s->from_count == 0 || s->from[0].select == NULL || is_streaming(s->from[0].select);
}

static bool is_verbatim(const struct query_select *s)
{
    bool is_plain = s->from_count == 1 && s->from[0].slot == QUERY_SLOT_DOC && s->where == NULL &&
                    s->order_count == 0 && !s->is_distinct && !s->is_aggregated;
    return is_plain && (s->is_star || (s->is_value && s->items[0].expr->node == NODE_NAME));
}

static void classify(struct query *q)
{
    const struct query_select *s = q->select;
    bool has_inner = s->from_count > 0 && s->from[0].select != NULL;
    struct query_info *info = &q->info;
    info->has_from = q->has_container;
    info->is_ordered = s->order_count > 0;
    info->is_distinct = s->is_distinct;
    info->has_top_or_limit = has_limit(s);
    info->is_aggregated = s->is_aggregated;
    for (const struct query_select *in = s; in->from_count > 0 && in->from[0].select != NULL;) {
        in = in->from[0].select;
        info->is_aggregated |= in->is_aggregated;
    }
    for (size_t i = 0; i < s->order_count; i++) {
        info->is_rid_descending |= s->order[i].is_desc;
    }
    bool is_whole = s->is_aggregated || needs_set(s) || !q->has_container ||
                    (has_inner && !is_streaming(s->from[0].select));
    info->class = is_whole ? QUERY_WHOLE : s->order_count > 0 ? QUERY_SORT : QUERY_STREAM;
    info->is_verbatim = q->has_container && !q->is_condition && is_verbatim(s);
    if (info->is_verbatim) {
        q->uses_doc = false;
    }
}

enum err query_bind(struct query *q, struct errinfo *ei)
{
    struct binder b = {.q = q, .ei = ei};
    q->slot_count = 1; /* QUERY_SLOT_DOC */
    TRY(bind_select(&b, q->select, NULL, /* is_root: */ true));
    classify(q);
    query_fold(q);
    return OK;
}
