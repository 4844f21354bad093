/* Evaluator: a tree walk over values of the JSON tree. Constants are read from the node, bindings
 * from slots; everything else is made in the arena of the current row.
 *
 * It never fails half-way: the first failure (memory, time, a regular expression that does not end)
 * is recorded, every result after it is undefined, and the loops above stop when they ask
 * query_eval_step(). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum { STEPS_PER_LOOK = 1024 }; /* at the clock */

/* ---- context ---- */

void query_eval_init(struct query_eval *ev, const struct query *q, struct arena *slots_arena,
                     struct errinfo *ei)
{
    *ev = (struct query_eval){
        .arena = slots_arena,
        .text = q->text,
        .ei = ei,
        .memory_max = QUERY_MEMORY_DEFAULT,
        .random = q->info.hash,
        .look_at = STEPS_PER_LOOK,
    };
    size_t n = (size_t)q->slot_count;
    ev->slots = ARENA_NEW_ARRAY(slots_arena, const struct json *, n > 0 ? n : 1);
    for (size_t i = 0; i < n; i++) {
        ev->slots[i] = json_undefined();
    }
}

void query_eval_done(struct query_eval *ev)
{
    for (size_t i = 0; i < QUERY_REGEX_CACHE; i++) {
        query_regex_free(ev->regexes[i]);
        ev->regexes[i] = NULL;
    }
}

const struct json *query_eval_fail(struct query_eval *ev, enum err code, const char *fmt, ...)
{
    if (ev->err == OK) {
        char message[256];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(message, sizeof(message), fmt, ap); /* cut when too long */
        va_end(ap);
        ev->err = query_fail(ev->ei, code, ev->text, 0, 0, "SC3025", "%s", message);
    }
    return json_undefined();
}

bool query_eval_step(struct query_eval *ev)
{
    ev->steps++;
    if (ev->err != OK) {
        return false;
    }
    if (ev->steps < ev->look_at || ev->is_expired == NULL) {
        return true;
    }
    ev->look_at = ev->steps + STEPS_PER_LOOK;
    if (ev->is_expired(ev->expired_ctx)) {
        (void)query_eval_fail(ev, ERR_TIMEOUT, "The query took too long.");
        return false;
    }
    return true;
}

void *query_eval_alloc(struct query_eval *ev, size_t n)
{
    if (n > ev->memory_max || ev->arena->used_size > ev->memory_max - n) {
        (void)query_eval_fail(ev, ERR_LIMIT, "Evaluating one row needs more than %zu bytes.",
                              ev->memory_max);
        return NULL;
    }
    return arena_alloc(ev->arena, n);
}

bool query_eval_keep(struct query_eval *ev, size_t n)
{
    ev->mem_used += n;
    if (ev->mem_used <= ev->memory_max) {
        return true;
    }
    (void)query_eval_fail(ev, ERR_LIMIT,
                          "The query needs more than %zu bytes for sorting, grouping or DISTINCT: "
                          "restrict it with a filter, a partition key or TOP.",
                          ev->memory_max);
    return false;
}

const struct json *query_number(struct query_eval *ev, double d)
{
    return isfinite(d) ? json_number(ev->arena, d) : json_undefined();
}

const struct json *query_string(struct query_eval *ev, struct str s)
{
    return json_string(ev->arena, s);
}

bool query_to_int(const struct json *v, int64_t *ret)
{
    if (v->type != JSON_NUMBER || v->number != trunc(v->number) || fabs(v->number) > 9.2e18) {
        return false;
    }
    *ret = (int64_t)v->number;
    return true;
}

/* ---- operators ---- */

/* As JavaScript does it: towards zero, then the low 32 bits. */
static int32_t to_int32(double d)
{
    if (!isfinite(d)) {
        return 0;
    }
    double low = fmod(trunc(d), 4294967296.0);
    int64_t bits = (int64_t)low;
    return (int32_t)(uint32_t)(bits & 0xffffffff);
}

static bool is_ordered_type(enum json_type t)
{
    return t == JSON_NULL || t == JSON_BOOL || t == JSON_NUMBER || t == JSON_STRING;
}

const struct json *query_compare(enum query_op op, const struct json *a, const struct json *b)
{
    if (a->type == JSON_UNDEFINED || b->type == JSON_UNDEFINED) {
        return json_undefined();
    }
    if (op == OP_EQ || op == OP_NE) {
        return json_bool(json_eq(a, b) == (op == OP_EQ));
    }
    if (a->type != b->type || !is_ordered_type(a->type)) {
        return json_undefined();
    }
    int c = json_cmp(a, b);
    return json_bool(op == OP_LT ? c < 0 : op == OP_LE ? c <= 0 : op == OP_GT ? c > 0 : c >= 0);
}

static const struct json *eval_arithmetic(struct query_eval *ev, enum query_op op,
                                          const struct json *a, const struct json *b)
{
    if (a->type != JSON_NUMBER || b->type != JSON_NUMBER) {
        return json_undefined();
    }
    double x = a->number;
    double y = b->number;
    uint32_t ux = (uint32_t)to_int32(x);
    uint32_t uy = (uint32_t)to_int32(y);
    switch ((int)op) {
    case OP_ADD:
        return query_number(ev, x + y);
    case OP_SUB:
        return query_number(ev, x - y);
    case OP_MUL:
        return query_number(ev, x * y);
    case OP_DIV:
        return query_number(ev, x / y);
    case OP_MOD:
        return query_number(ev, fmod(x, y));
    case OP_BITAND:
        return query_number(ev, (int32_t)(ux & uy));
    case OP_BITOR:
        return query_number(ev, (int32_t)(ux | uy));
    case OP_BITXOR:
        return query_number(ev, (int32_t)(ux ^ uy));
    case OP_SHL:
        return query_number(ev, (int32_t)(ux << (uy & 31)));
    case OP_SHR:
        return query_number(ev, (int32_t)ux >> (uy & 31));
    case OP_USHR:
        return query_number(ev, ux >> (uy & 31));
    default:
        UNREACHABLE();
    }
}

static const struct json *eval_binary(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *a = query_eval_expr(ev, e->args[0]);
    const struct json *b = query_eval_expr(ev, e->args[1]);
    return e->op <= OP_GE ? query_compare(e->op, a, b) : eval_arithmetic(ev, e->op, a, b);
}

static const struct json *eval_unary(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = query_eval_expr(ev, e->args[0]);
    if (e->op == OP_NOT) {
        return v->type == JSON_BOOL ? json_bool(!v->boolean) : json_undefined();
    }
    if (v->type != JSON_NUMBER) {
        return json_undefined();
    }
    if (e->op == OP_BITNOT) {
        return query_number(ev, ~to_int32(v->number));
    }
    return e->op == OP_NEG ? query_number(ev, -v->number) : v;
}

/* AND: false wins over everything, undefined over true. OR: the mirror image. */
static const struct json *eval_logic(struct query_eval *ev, const struct query_expr *e)
{
    bool decisive = e->node == NODE_OR;
    bool has_other = false;
    for (size_t i = 0; i < e->arg_count; i++) {
        const struct json *v = query_eval_expr(ev, e->args[i]);
        if (v->type != JSON_BOOL) {
            has_other = true;
        } else if (v->boolean == decisive) {
            return v;
        }
    }
    return has_other ? json_undefined() : json_bool(!decisive);
}

static bool is_high_surrogate(struct str s)
{
    return s.n >= 3 && (unsigned char)s.p[s.n - 3] == 0xed && (unsigned char)s.p[s.n - 2] >= 0xa0 &&
           (unsigned char)s.p[s.n - 2] < 0xb0;
}

static bool is_low_surrogate(struct str s)
{
    return s.n >= 3 && (unsigned char)s.p[0] == 0xed && (unsigned char)s.p[1] >= 0xb0;
}

/* The code point of two surrogates in WTF-8 as four bytes. */
static void join_surrogates(char *high, struct str low)
{
    uint32_t h = ((uint32_t)((unsigned char)high[1] & 0x0f) << 6) | ((unsigned char)high[2] & 0x3f);
    uint32_t l =
        ((uint32_t)((unsigned char)low.p[1] & 0x0f) << 6) | ((unsigned char)low.p[2] & 0x3f);
    uint32_t c = 0x10000 + (h << 10) + l;
    high[0] = (char)(0xf0 | (c >> 18));
    high[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    high[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    high[3] = (char)(0x80 | (c & 0x3f));
}

const struct json *query_concat(struct query_eval *ev, const struct json *const *args, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        if (args[i]->type != JSON_STRING) {
            return json_undefined();
        }
        size += args[i]->text.n;
    }
    char *out = (char *)query_eval_alloc(ev, size + 1);
    if (out == NULL) {
        return json_undefined();
    }
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        struct str s = args[i]->text;
        if (is_low_surrogate(s) && is_high_surrogate(str_make(out, at))) {
            join_surrogates(out + at - 3, s);
            at++;
            s = str_slice(s, 3, s.n);
        }
        if (s.n > 0) {
            memcpy(out + at, s.p, s.n);
        }
        at += s.n;
    }
    return query_string(ev, str_make(out, at));
}

/* ---- constructors and access ---- */

/* Values of all operands, in the arena; NULL when there is no memory. */
static const struct json **eval_args(struct query_eval *ev, const struct query_expr *e)
{
    size_t n = e->arg_count;
    const struct json **v =
        (const struct json **)query_eval_alloc(ev, (n > 0 ? n : 1) * sizeof(const struct json *));
    for (size_t i = 0; v != NULL && i < n; i++) {
        v[i] = query_eval_expr(ev, e->args[i]);
    }
    return v;
}

static const struct json *eval_array(struct query_eval *ev, const struct query_expr *e)
{
    const struct json **v = eval_args(ev, e);
    if (v == NULL) {
        return json_undefined();
    }
    size_t n = 0;
    for (size_t i = 0; i < e->arg_count; i++) {
        if (v[i]->type != JSON_UNDEFINED) {
            v[n++] = v[i];
        }
    }
    return json_array(ev->arena, v, n);
}

/* Undefined members are left out; a key written twice has its last value. */
const struct json *query_make_object(struct query_eval *ev, const struct str *keys,
                                     const struct json *const *values, size_t n, bool may_repeat)
{
    struct json_member *m =
        (struct json_member *)query_eval_alloc(ev, (n > 0 ? n : 1) * sizeof(struct json_member));
    if (m == NULL) {
        return json_undefined();
    }
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i]->type == JSON_UNDEFINED) {
            continue;
        }
        size_t at = may_repeat ? 0 : count;
        while (at < count && !str_eq(m[at].key, keys[i])) {
            at++;
        }
        m[at] = (struct json_member){keys[i], values[i]};
        count += at == count;
    }
    return json_object(ev->arena, m, count);
}

static const struct json *eval_object(struct query_eval *ev, const struct query_expr *e)
{
    const struct json **v = eval_args(ev, e);
    if (v == NULL) {
        return json_undefined();
    }
    return query_make_object(ev, e->keys, v, e->arg_count, e->has_repeats);
}

static const struct json *eval_prop(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = json_get(query_eval_expr(ev, e->args[0]), e->name);
    return v != NULL ? v : json_undefined();
}

static const struct json *eval_index(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *base = query_eval_expr(ev, e->args[0]);
    const struct json *index = query_eval_expr(ev, e->args[1]);
    if (base->type == JSON_OBJECT && index->type == JSON_STRING) {
        const struct json *v = json_get(base, index->text);
        return v != NULL ? v : json_undefined();
    }
    int64_t i = 0;
    if (base->type == JSON_ARRAY && query_to_int(index, &i) && i >= 0 && (size_t)i < base->count) {
        return base->items[i];
    }
    return json_undefined();
}

/* ---- predicates ---- */

static bool find_sorted(const struct query_expr *e, const struct json *v)
{
    size_t lo = 0;
    size_t hi = e->sorted_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = json_cmp(e->sorted[mid], v);
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

static const struct json *eval_in(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = query_eval_expr(ev, e->args[0]);
    if (v->type == JSON_UNDEFINED) {
        return v;
    }
    bool is_in = false;
    if (e->sorted != NULL) {
        is_in = find_sorted(e, v);
    } else {
        for (size_t i = 1; i < e->arg_count && !is_in; i++) {
            is_in = json_eq(v, query_eval_expr(ev, e->args[i]));
        }
    }
    return json_bool(is_in != e->is_negated);
}

static const struct json *eval_between(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = query_eval_expr(ev, e->args[0]);
    const struct json *low = query_compare(OP_GE, v, query_eval_expr(ev, e->args[1]));
    const struct json *high = query_compare(OP_LE, v, query_eval_expr(ev, e->args[2]));
    bool is_false =
        (low->type == JSON_BOOL && !low->boolean) || (high->type == JSON_BOOL && !high->boolean);
    if (is_false) {
        return json_bool(e->is_negated);
    }
    if (low->type != JSON_BOOL || high->type != JSON_BOOL) {
        return json_undefined();
    }
    return json_bool(!e->is_negated);
}

/* First character as a code point; the text is valid. */
static uint32_t first_char(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n == 0) {
        return 0;
    }
    if (p[0] < 0x80 || s.n == 1) {
        return p[0];
    }
    if (p[0] < 0xe0 || s.n == 2) {
        return ((uint32_t)(p[0] & 0x1f) << 6) | (p[1] & 0x3f);
    }
    if (p[0] < 0xf0 || s.n == 3) {
        return ((uint32_t)(p[0] & 0x0f) << 12) | ((uint32_t)(p[1] & 0x3f) << 6) | (p[2] & 0x3f);
    }
    return ((uint32_t)(p[0] & 0x07) << 18) | ((uint32_t)(p[1] & 0x3f) << 12) |
           ((uint32_t)(p[2] & 0x3f) << 6) | (p[3] & 0x3f);
}

static const struct json *eval_like(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = query_eval_expr(ev, e->args[0]);
    const struct json *pattern = query_eval_expr(ev, e->args[1]);
    if (v->type != JSON_STRING || pattern->type != JSON_STRING) {
        return json_undefined();
    }
    return json_bool(query_like(v->text, pattern->text, first_char(e->name)) != e->is_negated);
}

/* ---- subqueries ---- */

struct collector {
    struct query_eval *ev;
    const struct json **items;
    size_t count;
    const struct json *last;
};

static enum query_flow collect_all(void *ctx, const struct json *row)
{
    struct collector *c = (struct collector *)ctx;
    if (query_eval_alloc(c->ev, sizeof(const struct json *)) ==
        NULL) { /* keeps the arena's limit in sight */
        return FLOW_STOP;
    }
    c->items = (const struct json **)query_list_grow(c->ev->arena, c->items, c->count,
                                                     sizeof(const struct json *));
    c->items[c->count++] = row;
    return FLOW_MORE;
}

static enum query_flow collect_last(void *ctx, const struct json *row)
{
    struct collector *c = (struct collector *)ctx;
    c->last = row;
    c->count++;
    return FLOW_MORE;
}

static enum query_flow collect_first(void *ctx, const struct json *row)
{
    (void)collect_last(ctx, row);
    return FLOW_STOP;
}

static enum query_flow collect_one(void *ctx, const struct json *row)
{
    (void)collect_last(ctx, row);
    return ((struct collector *)ctx)->count > 1 ? FLOW_STOP : FLOW_MORE;
}

/* ALL(select): the filter holds for every row of the source. */
static const struct json *eval_all(struct query_eval *ev, const struct query_expr *e)
{
    struct query_expr negated = {
        .node = NODE_UNARY, .op = OP_NOT, .slot = -1, .arg_count = 1, .args = &e->select->where};
    struct query_select copy = *e->select;
    copy.where = &negated;
    struct collector c = {.ev = ev};
    if (e->select->where != NULL) {
        query_run_nested(ev, &copy, collect_first, &c);
    }
    return json_bool(c.count == 0);
}

static const struct json *eval_subquery(struct query_eval *ev, const struct query_expr *e)
{
    struct collector c = {.ev = ev, .last = json_undefined()};
    switch ((int)e->node) {
    case NODE_SCALAR:
        query_run_nested(ev, e->select, collect_one, &c);
        if (c.count > 1) {
            return query_eval_fail(ev, ERR_SYNTAX,
                                   "The cardinality of a scalar subquery result set "
                                   "cannot be greater than one.");
        }
        return c.last;
    case NODE_EXISTS:
        query_run_nested(ev, e->select, collect_first, &c);
        return json_bool(c.count > 0);
    case NODE_FIRST:
        query_run_nested(ev, e->select, collect_first, &c);
        return c.last;
    case NODE_LAST:
        query_run_nested(ev, e->select, collect_last, &c);
        return c.last;
    case NODE_ALL:
        return eval_all(ev, e);
    case NODE_COLLECT:
        query_run_nested(ev, e->select, collect_all, &c);
        return json_array(ev->arena, c.items, c.count);
    default:
        UNREACHABLE();
    }
}

/* ---- the walk ---- */

static const struct json *eval_call(struct query_eval *ev, const struct query_expr *e)
{
    const struct json **v = eval_args(ev, e);
    if (v == NULL) {
        return json_undefined();
    }
    if ((e->fn->flags & FN_TAKES_UNDEFINED) == 0) {
        for (size_t i = 0; i < e->arg_count; i++) {
            if (v[i]->type == JSON_UNDEFINED) {
                return v[i];
            }
        }
    }
    return e->fn->call(ev, v, e->arg_count);
}

static const struct json *eval_coalesce(struct query_eval *ev, const struct query_expr *e)
{
    const struct json *v = json_undefined();
    for (size_t i = 0; i < e->arg_count && v->type == JSON_UNDEFINED; i++) {
        v = query_eval_expr(ev, e->args[i]);
    }
    return v;
}

const struct json *query_eval_expr(struct query_eval *ev, const struct query_expr *e)
{
    if (e->value != NULL) {
        return e->value;
    }
    if (e->slot >= 0) {
        return ev->slots[e->slot];
    }
    if (ev->err != OK) {
        return json_undefined();
    }
    switch (e->node) {
    case NODE_PROP:
        return eval_prop(ev, e);
    case NODE_INDEX:
        return eval_index(ev, e);
    case NODE_ARRAY:
        return eval_array(ev, e);
    case NODE_OBJECT:
        return eval_object(ev, e);
    case NODE_UNARY:
        return eval_unary(ev, e);
    case NODE_BINARY:
        return eval_binary(ev, e);
    case NODE_AND:
    case NODE_OR:
        return eval_logic(ev, e);
    case NODE_CONCAT: {
        const struct json **v = eval_args(ev, e);
        return v != NULL ? query_concat(ev, v, e->arg_count) : json_undefined();
    }
    case NODE_COALESCE:
        return eval_coalesce(ev, e);
    case NODE_COND: {
        bool is_true = query_eval_true(ev, e->args[0]);
        return query_eval_expr(ev, e->args[is_true ? 1 : 2]);
    }
    case NODE_IN:
        return eval_in(ev, e);
    case NODE_BETWEEN:
        return eval_between(ev, e);
    case NODE_LIKE:
        return eval_like(ev, e);
    case NODE_CALL:
        return eval_call(ev, e);
    case NODE_SCALAR:
    case NODE_EXISTS:
    case NODE_ALL:
    case NODE_FIRST:
    case NODE_LAST:
    case NODE_COLLECT:
        return eval_subquery(ev, e);
    case NODE_CONST:
    case NODE_PARAM:
    case NODE_NAME:
    case NODE_AGG:
    default:
        UNREACHABLE(); /* these have a value or a slot */
    }
}

bool query_eval_true(struct query_eval *ev, const struct query_expr *e)
{
    if (e == NULL) {
        return true;
    }
    const struct json *v = query_eval_expr(ev, e);
    return v->type == JSON_BOOL && v->boolean;
}
