/* Query plans for SDKs that send one query per partition range and merge the rows themselves.
 *
 * The forms, and the rewritten texts, are those that the SDKs' own baselines show:
 *   nothing special, or one logical partition  everything empty: the client sends the original
 *   ORDER BY      SELECT c._rid, [{"item": key}, ...] AS orderByItems, ... AS payload
 *   aggregates    {"item": ...} around each; AVG as sum and count, MIN and MAX with a count
 *   GROUP BY      SELECT [{"item": key}, ...] AS groupByItems, ... AS payload
 *   OFFSET LIMIT  OFFSET 0 LIMIT o+l, where a range's first rows are enough
 * What a client could not merge is refused, as the real service does. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum { REWRITTEN_SIZE_MAX = 4 << 20 };

struct plan {
    const struct query *q;
    const struct query_select *s;
    const struct query_plan_opts *opts;
    struct errinfo *ei;
    bool is_empty; /* the client sends the original */
    bool is_distinct_ordered;
    struct str rid_alias; /* whose _rid orders ties */
};

static const char *const agg_plan_names[AGG_KIND_COUNT] = {
    [AGG_COUNT] = "Count",       [AGG_SUM] = "Sum",         [AGG_AVG] = "Average",
    [AGG_MIN] = "Min",           [AGG_MAX] = "Max",         [AGG_COUNTIF] = "CountIf",
    [AGG_MAKELIST] = "MakeList", [AGG_MAKESET] = "MakeSet",
};

static enum err refuse(struct plan *p, const char *what)
{
    return query_fail(p->ei, ERR_SYNTAX, p->q->text, 0, 0, "SC3100", "%s", what);
}

/* ---- checks ---- */

static bool has_aggregate(const struct query_expr *e)
{
    if (e->node == NODE_AGG) {
        return true;
    }
    for (size_t i = 0; i < e->arg_count; i++) {
        if (has_aggregate(e->args[i])) {
            return true;
        }
    }
    return false;
}

/* Aggregates only bare: clients know how to add up COUNT(1), not COUNT(1) + 1. */
static enum err check_aggregates(struct plan *p)
{
    for (size_t i = 0; i < p->s->item_count; i++) {
        const struct query_expr *e = p->s->items[i].expr;
        if (e->node != NODE_AGG && has_aggregate(e)) {
            return refuse(p, "Compositions of aggregates and other expressions are not allowed.");
        }
    }
    if (p->s->is_aggregated && p->s->order_count > 0) {
        return refuse(p,
                      "ORDER BY together with GROUP BY or aggregates cannot run across partitions "
                      "on the client.");
    }
    return OK;
}

static bool lists_feature(struct str features, struct str name)
{
    while (features.n > 0) {
        struct str one = STR_NONE;
        struct str rest = STR_NONE;
        (void)str_split(features, ',', &one, &rest);
        if (str_eq_nocase(str_trim(one), name)) {
            return true;
        }
        features = rest;
    }
    return false;
}

static enum err need(struct plan *p, bool is_used, const char *feature)
{
    if (!is_used || p->opts->features.n == 0 || lists_feature(p->opts->features, str_of(feature))) {
        return OK;
    }
    return query_fail(
        p->ei, ERR_SYNTAX, p->q->text, 0, 0, "SC3101",
        "Query contains 1 or more unsupported features. Upgrade your SDK to a version "
        "that does support the requested features: Query contained %s, which the "
        "calling client does not support.",
        feature);
}

static enum err check_features(struct plan *p)
{
    const struct query_select *s = p->s;
    bool is_list = s->agg_count > 0 && !s->is_value;
    bool has_countif = false;
    bool has_collection = false;
    for (size_t i = 0; i < s->agg_count; i++) {
        has_countif |= s->aggs[i].kind == AGG_COUNTIF;
        has_collection |= s->aggs[i].kind == AGG_MAKELIST || s->aggs[i].kind == AGG_MAKESET;
    }
    TRY(need(p, s->agg_count > 0 && s->is_value, "Aggregate"));
    TRY(need(p, is_list && s->group_count == 0, "NonValueAggregate"));
    TRY(need(p, is_list && s->agg_count > 1, "MultipleAggregates"));
    TRY(need(p, s->group_count > 0, "GroupBy"));
    TRY(need(p, s->is_distinct, "Distinct"));
    TRY(need(p, s->order_count > 0, "OrderBy"));
    TRY(need(p, s->order_count > 1, "MultipleOrderBy"));
    TRY(need(p, s->offset.expr != NULL, "OffsetAndLimit"));
    TRY(need(p, s->top.expr != NULL, "Top"));
    TRY(need(p, has_countif, "CountIf"));
    return need(p, has_collection, "ListAndSetAggregate");
}

static enum err check_sources(struct plan *p)
{
    const struct query_select *s = p->s;
    if (s->from_count == 0) {
        return OK;
    }
    const struct query_from *first = &s->from[0];
    if (first->select != NULL && p->q->info.class == QUERY_WHOLE && !s->is_aggregated &&
        !s->is_distinct) {
        return refuse(p,
                      "A subquery in FROM with ORDER BY, DISTINCT, GROUP BY, TOP or OFFSET LIMIT "
                      "cannot run across partitions on the client.");
    }
    for (const struct query_select *in = first->select; in != NULL;) {
        if (in->is_aggregated || in->is_distinct || in->order_count > 0 || in->top.expr != NULL ||
            in->offset.expr != NULL) {
            return refuse(p, "A subquery in FROM with ORDER BY, DISTINCT, GROUP BY, TOP or OFFSET "
                             "LIMIT cannot run across partitions on the client.");
        }
        in = in->from_count > 0 ? in->from[0].select : NULL;
    }
    p->rid_alias = first->alias;
    if (first->select == NULL && first->slot != QUERY_SLOT_DOC) {
        const struct query_expr *base = first->path;
        while (base->node != NODE_NAME) {
            base = base->args[0];
        }
        p->rid_alias = base->name;
    }
    bool is_nameless = first->alias.n == 0;
    bool is_hidden = first->slot != QUERY_SLOT_DOC && str_eq(p->rid_alias, first->alias);
    if (s->order_count > 0 && (is_nameless || (is_hidden && first->select == NULL))) {
        return refuse(p,
                      "ORDER BY over this FROM clause cannot run across partitions on the client: "
                      "give the source an alias of its own.");
    }
    return OK;
}

/* Every part of the row is a sort key: equal rows come together. */
static bool is_covered(const struct query_select *s)
{
    if (s->order_count == 0 || s->is_star) {
        return false;
    }
    for (size_t i = 0; i < s->item_count; i++) {
        bool is_key = false;
        for (size_t k = 0; k < s->order_count; k++) {
            is_key |= query_expr_equal(s->items[i].expr, s->order[k].expr);
        }
        if (!is_key) {
            return false;
        }
    }
    return true;
}

static bool is_one_partition(const struct plan *p)
{
    const struct json *pins[QUERY_PK_PATHS_MAX];
    size_t n = p->opts->pk_path_count;
    return p->opts->has_partition_key ||
           (n > 0 && query_pinned_keys(p->q, p->opts->pk_paths, n, pins) == n);
}

/* ---- rewriting ---- */

static void put_agg(struct buf *out, const struct query_expr *e)
{
    struct buf arg;
    buf_init(&arg, REWRITTEN_SIZE_MAX);
    query_print_expr(&arg, e->args[0]);
    int n = (int)arg.n;
    const char *a = arg.n > 0 ? arg.p : "";
    const char *name = query_agg_name(e->agg);
    if (e->agg == AGG_AVG) {
        buf_printf(out, "{\"item\": {\"sum\": SUM(%.*s), \"count\": COUNT(%.*s)}}", n, a, n, a);
    } else if (e->agg == AGG_MIN || e->agg == AGG_MAX) {
        buf_printf(out,
                   "{\"item\": %s(%.*s), \"item2\": {\"%s\": %s(%.*s), \"count\": COUNT(%.*s)}}",
                   name, n, a, e->agg == AGG_MIN ? "min" : "max", name, n, a, n, a);
    } else {
        buf_printf(out, "{\"item\": %s(%.*s)}", name, n, a);
    }
    out->overflow |= !buf_ok(&arg);
    buf_done(&arg);
}

/* The row as one expression. */
static void put_payload(struct buf *out, const struct query_select *s)
{
    if (s->is_star) {
        buf_add_str(out, s->from[0].alias);
        return;
    }
    if (s->is_value) {
        const struct query_expr *e = s->items[0].expr;
        if (e->node == NODE_AGG) {
            buf_add_char(out, '[');
            put_agg(out, e);
            buf_add_char(out, ']');
        } else {
            query_print_expr(out, e);
        }
        return;
    }
    buf_add_char(out, '{');
    for (size_t i = 0; i < s->item_count; i++) {
        buf_add_cstr(out, i > 0 ? ", " : "");
        json_write_string(out, s->items[i].name);
        buf_add_cstr(out, ": ");
        if (s->items[i].expr->node == NODE_AGG) {
            put_agg(out, s->items[i].expr);
        } else {
            query_print_expr(out, s->items[i].expr);
        }
    }
    buf_add_char(out, '}');
}

static void put_where(struct buf *out, const struct query_select *s)
{
    if (s->where != NULL) {
        buf_add_cstr(out, "\nWHERE ");
        query_print_expr(out, s->where);
    }
}

static void put_order_where(struct buf *out, const struct query_select *s)
{
    static const char filter[] = "({documentdb-formattableorderbyquery-filter})";
    buf_add_cstr(out, "\nWHERE ");
    buf_add_cstr(out, s->is_value ? "(" : "");
    if (s->where != NULL) {
        buf_add_char(out, '(');
        query_print_expr(out, s->where);
        buf_printf(out, " AND %s)", filter);
    } else {
        buf_add_cstr(out, filter);
    }
    if (s->is_value) { /* rows without a value take no place in a page */
        buf_add_cstr(out, " AND IS_DEFINED(");
        query_print_expr(out, s->items[0].expr);
        buf_add_cstr(out, "))");
    }
}

static void put_items_of(struct buf *out, const char *name, struct query_expr *const *keys,
                         size_t n)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        buf_add_cstr(out, i > 0 ? ", {\"item\": " : "{\"item\": ");
        query_print_expr(out, keys[i]);
        buf_add_char(out, '}');
    }
    buf_printf(out, "] AS %s, ", name);
}

/* FROM x IN c.items has no name for the document: FROM c JOIN x IN c.items has. */
static void put_order_from(struct buf *out, const struct plan *p)
{
    const struct query_from *first = &p->s->from[0];
    if (first->slot == QUERY_SLOT_DOC || first->select != NULL) {
        query_print_from(out, p->s);
        return;
    }
    struct buf from;
    buf_init(&from, REWRITTEN_SIZE_MAX);
    query_print_from(&from, p->s);
    buf_printf(out, "\nFROM " STR_FMT "\nJOIN ", STR_ARG(p->rid_alias));
    buf_add_str(out, str_slice(buf_str(&from), strlen("\nFROM "), from.n));
    out->overflow |= !buf_ok(&from);
    buf_done(&from);
}

static void put_limit(struct buf *out, const struct query_select *s)
{
    if (s->offset.expr != NULL) {
        uint64_t n = s->offset.n + s->limit.n;
        buf_printf(out, "\nOFFSET 0 LIMIT %llu", (unsigned long long)n);
    }
}

static void rewrite_order(struct buf *out, const struct plan *p)
{
    const struct query_select *s = p->s;
    buf_add_cstr(out, s->is_distinct ? "SELECT DISTINCT " : "SELECT ");
    if (s->top.expr != NULL && !s->is_distinct) {
        buf_printf(out, "TOP %llu ", (unsigned long long)s->top.n);
    }
    buf_printf(out, STR_FMT "._rid, ", STR_ARG(p->rid_alias));
    struct query_expr *keys[QUERY_ORDER_KEYS_MAX];
    for (size_t i = 0; i < s->order_count; i++) {
        keys[i] = s->order[i].expr;
    }
    put_items_of(out, "orderByItems", keys, s->order_count);
    put_payload(out, s);
    buf_add_cstr(out, " AS payload");
    put_order_from(out, p);
    put_order_where(out, s);
    query_print_order(out, s);
    if (!s->is_distinct) { /* else the client needs more rows than it returns */
        put_limit(out, s);
    }
}

static void rewrite_aggregate(struct buf *out, const struct query_select *s)
{
    buf_add_cstr(out, "SELECT ");
    if (s->group_count > 0) {
        put_items_of(out, "groupByItems", s->group, s->group_count);
    }
    bool is_bare = s->is_value && s->group_count == 0;
    buf_add_cstr(out, is_bare ? "VALUE " : "");
    put_payload(out, s);
    buf_add_cstr(out, is_bare ? "" : " AS payload");
    query_print_from(out, s);
    put_where(out, s);
    query_print_group(out, s);
}

/* OFFSET LIMIT over rows in any order. */
static void rewrite_limit(struct buf *out, const struct query_select *s)
{
    struct query_select copy = *s;
    copy.offset.expr = NULL;
    copy.limit.expr = NULL;
    query_print_select(out, &copy);
    if (!s->is_distinct) {
        put_limit(out, s);
    }
}

static void rewrite(struct buf *out, const struct plan *p)
{
    const struct query_select *s = p->s;
    if (p->is_empty) {
        return;
    }
    if (s->is_aggregated) {
        rewrite_aggregate(out, s);
    } else if (s->order_count > 0) {
        rewrite_order(out, p);
    } else if (s->offset.expr != NULL) {
        rewrite_limit(out, s);
    }
}

/* ---- the answer ---- */

static void out_count(struct json_out *o, const char *key, const struct query_count *c,
                      bool is_empty)
{
    json_out_key(o, key);
    if (c->expr != NULL && !is_empty) {
        json_out_u64(o, c->n);
    } else {
        json_out_null(o);
    }
}

static void out_exprs(struct json_out *o, const char *key, const struct plan *p, bool is_group)
{
    const struct query_select *s = p->s;
    size_t n = is_group ? s->group_count : s->order_count;
    json_out_key(o, key);
    json_out_array(o);
    for (size_t i = 0; i < n && !p->is_empty; i++) {
        struct buf text;
        buf_init(&text, REWRITTEN_SIZE_MAX);
        query_print_expr(&text, is_group ? s->group[i] : s->order[i].expr);
        json_out_str(o, buf_str(&text));
        o->buf->overflow |= !buf_ok(&text);
        buf_done(&text);
    }
    json_out_array_end(o);
}

static void out_aggregates(struct json_out *o, const struct plan *p)
{
    const struct query_select *s = p->s;
    bool has_list = s->is_aggregated && !s->is_value && !p->is_empty;
    json_out_key(o, "groupByAliases");
    json_out_array(o);
    for (size_t i = 0; has_list && i < s->item_count; i++) {
        json_out_str(o, s->items[i].name);
    }
    json_out_array_end(o);
    json_out_key(o, "aggregates");
    json_out_array(o);
    if (s->is_value && s->items[0].expr->node == NODE_AGG && !p->is_empty) {
        json_out_cstr(o, agg_plan_names[s->items[0].expr->agg]);
    }
    json_out_array_end(o);
    json_out_key(o, "groupByAliasToAggregateType");
    json_out_object(o);
    for (size_t i = 0; has_list && i < s->item_count; i++) {
        json_out_key_str(o, s->items[i].name);
        if (s->items[i].expr->node == NODE_AGG) {
            json_out_cstr(o, agg_plan_names[s->items[i].expr->agg]);
        } else {
            json_out_null(o);
        }
    }
    json_out_object_end(o);
}

static void out_info(struct json_out *o, const struct plan *p, struct str rewritten)
{
    const struct query_select *s = p->s;
    const char *distinct = !s->is_distinct || p->is_empty ? "None"
                           : p->is_distinct_ordered       ? "Ordered"
                                                          : "Unordered";
    json_out_object(o);
    json_out_member_cstr(o, "distinctType", distinct);
    out_count(o, "top", &s->top, p->is_empty);
    out_count(o, "offset", &s->offset, p->is_empty);
    out_count(o, "limit", &s->limit, p->is_empty);
    json_out_key(o, "orderBy");
    json_out_array(o);
    for (size_t i = 0; i < s->order_count && !p->is_empty; i++) {
        json_out_cstr(o, s->order[i].is_desc ? "Descending" : "Ascending");
    }
    json_out_array_end(o);
    out_exprs(o, "orderByExpressions", p, /* is_group: */ false);
    out_exprs(o, "groupByExpressions", p, /* is_group: */ true);
    out_aggregates(o, p);
    json_out_member_str(o, "rewrittenQuery", rewritten);
    json_out_member_bool(o, "hasSelectValue", s->is_value);
    json_out_member_bool(o, "hasNonStreamingOrderBy", false);
    json_out_key(o, "dCountInfo");
    json_out_null(o);
    json_out_object_end(o);
}

/* Without documents, one range is asked, whichever it is: else each would return the row. */
static struct str ranges_of(const struct query *q, const struct query_plan_opts *opts)
{
    if (!q->has_container) {
        return STR("[{\"min\":\"\",\"max\":\"\",\"isMinInclusive\":true,"
                   "\"isMaxInclusive\":true}]");
    }
    if (opts->ranges_json.n > 0) {
        return opts->ranges_json;
    }
    return STR("[{\"min\":\"\",\"max\":\"FF\",\"isMinInclusive\":true,"
               "\"isMaxInclusive\":false}]");
}

enum err query_plan(const struct query *q, const struct query_plan_opts *opts, struct buf *out,
                    struct errinfo *ei)
{
    const struct query_select *s = q->select;
    struct plan p = {.q = q, .s = s, .opts = opts, .ei = ei};
    TRY(check_features(&p));
    bool merges = s->is_aggregated || s->is_distinct;
    p.is_empty = !q->has_container || (!merges && is_one_partition(&p));
    if (!p.is_empty) {
        TRY(check_aggregates(&p));
        TRY(check_sources(&p));
    }
    p.is_distinct_ordered = is_covered(s);

    struct buf rewritten;
    buf_init(&rewritten, REWRITTEN_SIZE_MAX);
    rewrite(&rewritten, &p);
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_u64(&o, "partitionedQueryExecutionInfoVersion", 2);
    json_out_key(&o, "queryInfo");
    out_info(&o, &p, buf_str(&rewritten));
    json_out_key(&o, "queryRanges");
    json_out_raw(&o, ranges_of(q, opts));
    json_out_object_end(&o);
    bool is_complete = buf_ok(&rewritten) && buf_ok(out);
    buf_done(&rewritten);
    if (!is_complete) {
        return err_set(ei, ERR_LIMIT, "the query plan is too long");
    }
    return OK;
}
