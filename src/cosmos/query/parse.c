/* Recursive descent for the clauses of a SELECT; expressions are in parse_expr.c. The grammar is
 * that of the SDKs (sql.g4), a little wider: keywords are allowed as names after a dot and AS. */
#include <math.h>
#include <stdlib.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum {
    LIST_START = 8,
    COUNT_MAX = INT32_MAX, /* of TOP, OFFSET, LIMIT: clients hold them in 32 bits */
};

/* ---- helpers shared with parse_expr.c ---- */

enum err query_parse_unexpected(struct query_parser *p)
{
    const struct query_token *t = &p->tok;
    if (t->kind == TOK_END) {
        size_t n = p->lexer.text.n;
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, n > 0 ? n - 1 : 0, n, "SC1001",
                          "Syntax error, unexpected end of the query.");
    }
    int shown = t->text.n > 64 ? 64 : (int)t->text.n;
    return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, t->start, t->end, "SC1001",
                      "Syntax error, incorrect syntax near '%.*s'.", shown, t->text.p);
}

enum err query_parse_advance(struct query_parser *p)
{
    return query_lex(&p->lexer, &p->tok);
}

enum err query_parse_expect(struct query_parser *p, enum query_tok kind)
{
    if (p->tok.kind != kind) {
        return query_parse_unexpected(p);
    }
    return query_parse_advance(p);
}

enum err query_parse_enter(struct query_parser *p)
{
    p->depth++;
    if (p->depth > p->limits.depth_max) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC3022",
                          "The query exceeds the maximum nesting of %d.", p->limits.depth_max);
    }
    return OK;
}

enum err query_expr_new(struct query_parser *p, enum query_node node, uint32_t start,
                        struct query_expr **ret)
{
    p->node_count++;
    if (p->node_count > p->limits.nodes_max) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC3023",
                          "The query exceeds the maximum of %zu expressions.", p->limits.nodes_max);
    }
    struct query_expr *e = ARENA_NEW(p->arena, struct query_expr);
    e->node = node;
    e->slot = -1;
    e->start = start;
    e->end = p->tok.end;
    e->depth = 1;
    *ret = e;
    return OK;
}

enum err query_expr_args(struct query_parser *p, struct query_expr *e, struct query_expr **args,
                         size_t n)
{
    e->args = ARENA_NEW_ARRAY(p->arena, struct query_expr *, n > 0 ? n : 1);
    e->arg_count = n;
    for (size_t i = 0; i < n; i++) {
        e->args[i] = args[i];
        if (args[i]->depth >= e->depth) {
            e->depth = args[i]->depth + 1;
        }
        if (args[i]->start < e->start) {
            e->start = args[i]->start;
        }
    }
    if (e->depth > p->limits.depth_max) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, e->start, p->tok.end, "SC3022",
                          "The query exceeds the maximum nesting of %d.", p->limits.depth_max);
    }
    return OK;
}

void *query_list_grow(struct arena *a, void *items, size_t count, size_t size)
{
    bool is_full = count == 0 || (count >= LIST_START && (count & (count - 1)) == 0);
    if (!is_full) {
        return items;
    }
    size_t cap = count < LIST_START ? LIST_START : count * 2;
    char *grown = (char *)arena_zalloc(a, cap * size);
    if (count > 0) {
        memcpy(grown, items, count * size);
    }
    return grown;
}

static int compare_keys(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

bool query_has_repeats(struct arena *a, const struct str *keys, size_t n)
{
    if (n < 2) {
        return false;
    }
    struct str *sorted = ARENA_NEW_ARRAY(a, struct str, n);
    memcpy(sorted, keys, n * sizeof(*keys));
    qsort(sorted, n, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < n; i++) {
        if (str_eq(sorted[i - 1], sorted[i])) {
            return true;
        }
    }
    return false;
}

bool query_parse_next_is(const struct query_parser *p, enum query_tok kind)
{
    struct query_lexer ahead = p->lexer;
    struct query_token t;
    ahead.ei = NULL; /* a lexical error is reported when we get there */
    return query_lex(&ahead, &t) == OK && t.kind == kind;
}

/* ---- clauses ---- */

/* Number or parameter of TOP, OFFSET and LIMIT. */
static enum err parse_count(struct query_parser *p, const char *what, struct query_count *ret)
{
    if (p->tok.kind != TOK_NUMBER && p->tok.kind != TOK_PARAM) {
        return query_parse_unexpected(p);
    }
    struct query_count c = {0};
    TRY(query_parse_literal(p, &c.expr));
    const struct json *v = c.expr->value;
    double d = v != NULL && v->type == JSON_NUMBER ? v->number : -1;
    if (d < 0 || d != floor(d)) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, c.expr->start, c.expr->end, "SC2061",
                          "The %s count value must be a non-negative integer.", what);
    }
    if (d > COUNT_MAX) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, c.expr->start, c.expr->end, "SC2062",
                          "The %s count value exceeds the maximum allowed value.", what);
    }
    c.n = (uint64_t)d;
    *ret = c;
    return OK;
}

/* Key of a select item without AS: its last name, if it ends in one. */
static struct str derived_name(const struct query_expr *e)
{
    return e->node == NODE_NAME || e->node == NODE_PROP ? e->name : STR_NONE;
}

static enum err parse_items(struct query_parser *p, struct query_select *s)
{
    unsigned unnamed = 0;
    for (;;) {
        struct query_item item = {0};
        TRY(query_parse_expr(p, &item.expr));
        if (p->tok.kind == KW_AS) {
            TRY(query_parse_advance(p));
            if (!query_tok_is_word(p->tok.kind) && p->tok.kind != TOK_STRING) {
                return query_parse_unexpected(p);
            }
            item.alias = p->tok.kind == TOK_STRING ? p->tok.value : p->tok.text;
            TRY(query_parse_advance(p));
        } else if (query_tok_is_name(p->tok.kind)) {
            item.alias = p->tok.text;
            TRY(query_parse_advance(p));
        }
        item.name = item.alias.n > 0 ? item.alias : derived_name(item.expr);
        if (item.name.p == NULL) {
            unnamed++;
            item.name = arena_printf(p->arena, "$%u", unnamed);
        }
        s->items = query_list_grow(p->arena, s->items, s->item_count, sizeof(*s->items));
        s->items[s->item_count++] = item;
        if (p->tok.kind != TOK_COMMA) {
            break;
        }
        TRY(query_parse_advance(p));
    }
    s->names = ARENA_NEW_ARRAY(p->arena, struct str, s->item_count);
    for (size_t i = 0; i < s->item_count; i++) {
        s->names[i] = s->items[i].name;
    }
    s->has_repeats = query_has_repeats(p->arena, s->names, s->item_count);
    return OK;
}

static enum err parse_select_clause(struct query_parser *p, struct query_select *s)
{
    TRY(query_parse_expect(p, KW_SELECT));
    if (p->tok.kind == KW_DISTINCT) {
        s->is_distinct = true;
        TRY(query_parse_advance(p));
    }
    if (p->tok.kind == KW_TOP) {
        TRY(query_parse_advance(p));
        TRY(parse_count(p, "TOP", &s->top));
    }
    if (p->tok.kind == TOK_STAR) {
        s->is_star = true;
        return query_parse_advance(p);
    }
    if (p->tok.kind == KW_VALUE) {
        s->is_value = true;
        TRY(query_parse_advance(p));
        s->items = ARENA_NEW(p->arena, struct query_item);
        s->item_count = 1;
        return query_parse_expr(p, &s->items[0].expr);
    }
    return parse_items(p, s);
}

/* name { .name | [string] | [number] } as an expression. */
static enum err parse_from_path(struct query_parser *p, struct query_expr **ret)
{
    if (!query_tok_is_name(p->tok.kind)) {
        return query_parse_unexpected(p);
    }
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_NAME, p->tok.start, &e));
    e->name = p->tok.text;
    TRY(query_parse_advance(p));
    while (p->tok.kind == TOK_DOT || p->tok.kind == TOK_LBRACKET) {
        bool is_bracket = p->tok.kind == TOK_LBRACKET;
        struct query_expr *base = e;
        TRY(query_parse_advance(p));
        if (is_bracket && p->tok.kind == TOK_NUMBER) {
            struct query_expr *index = NULL;
            TRY(query_parse_literal(p, &index));
            TRY(query_expr_new(p, NODE_INDEX, base->start, &e));
            TRY(query_expr_args(p, e, (struct query_expr *[]){base, index}, 2));
        } else {
            if (is_bracket ? p->tok.kind != TOK_STRING : !query_tok_is_word(p->tok.kind)) {
                return query_parse_unexpected(p);
            }
            TRY(query_expr_new(p, NODE_PROP, base->start, &e));
            e->name = is_bracket ? p->tok.value : p->tok.text;
            e->is_bracket = is_bracket;
            TRY(query_expr_args(p, e, &base, 1));
            TRY(query_parse_advance(p));
        }
        if (is_bracket) {
            e->end = p->tok.end;
            TRY(query_parse_expect(p, TOK_RBRACKET));
        }
    }
    *ret = e;
    return OK;
}

static enum err parse_source(struct query_parser *p, struct query_from *ret)
{
    struct query_from f = {.slot = -1, .start = p->tok.start};
    if (query_tok_is_name(p->tok.kind) && query_parse_next_is(p, KW_IN)) {
        f.is_iterator = true;
        f.alias = p->tok.text;
        f.has_alias = true;
        TRY(query_parse_advance(p));
        TRY(query_parse_advance(p));
    }
    if (p->tok.kind == TOK_LPAREN) {
        TRY(query_parse_advance(p));
        TRY(query_parse_select(p, &f.select));
        TRY(query_parse_expect(p, TOK_RPAREN));
    } else {
        TRY(parse_from_path(p, &f.path));
    }
    if (!f.is_iterator) {
        if (p->tok.kind == KW_AS) {
            TRY(query_parse_advance(p));
            if (!query_tok_is_word(p->tok.kind)) {
                return query_parse_unexpected(p);
            }
        }
        if (query_tok_is_name(p->tok.kind)) {
            f.alias = p->tok.text;
            f.has_alias = true;
            TRY(query_parse_advance(p));
        } else if (f.path != NULL) {
            f.alias = derived_name(f.path);
        }
    }
    f.end = p->tok.start;
    *ret = f;
    return OK;
}

static enum err parse_from(struct query_parser *p, struct query_select *s)
{
    TRY(query_parse_advance(p));
    for (;;) {
        struct query_from f;
        TRY(parse_source(p, &f));
        s->from = query_list_grow(p->arena, s->from, s->from_count, sizeof(*s->from));
        s->from[s->from_count++] = f;
        if (p->tok.kind != KW_JOIN) {
            return OK;
        }
        if (s->from_count > (size_t)p->limits.joins_max) {
            return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC2090",
                              "The query exceeds the maximum of %d joins.", p->limits.joins_max);
        }
        TRY(query_parse_advance(p));
    }
}

static enum err parse_group_by(struct query_parser *p, struct query_select *s)
{
    TRY(query_parse_advance(p));
    TRY(query_parse_expect(p, KW_BY));
    for (;;) {
        if (s->group_count == QUERY_GROUP_KEYS_MAX) {
            return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC2100",
                              "The GROUP BY clause exceeds the maximum of %d expressions.",
                              QUERY_GROUP_KEYS_MAX);
        }
        s->group = query_list_grow(p->arena, s->group, s->group_count, sizeof(struct query_expr *));
        TRY(query_parse_expr(p, &s->group[s->group_count]));
        s->group_count++;
        if (p->tok.kind != TOK_COMMA) {
            return OK;
        }
        TRY(query_parse_advance(p));
    }
}

static enum err parse_order_by(struct query_parser *p, struct query_select *s)
{
    TRY(query_parse_advance(p));
    TRY(query_parse_expect(p, KW_BY));
    if (p->tok.kind == KW_RANK && !query_parse_next_is(p, TOK_DOT) &&
        !query_parse_next_is(p, TOK_LBRACKET)) {
        return query_fail(p->ei, ERR_UNSUPPORTED, p->lexer.text, p->tok.start, p->tok.end, "SC2300",
                          "'ORDER BY RANK' is not implemented.");
    }
    for (;;) {
        if (s->order_count == QUERY_ORDER_KEYS_MAX) {
            return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC2110",
                              "The ORDER BY clause exceeds the maximum of %d expressions.",
                              QUERY_ORDER_KEYS_MAX);
        }
        struct query_order o = {0};
        TRY(query_parse_expr(p, &o.expr));
        if (p->tok.kind == KW_ASC || p->tok.kind == KW_DESC) {
            o.is_explicit = true;
            o.is_desc = p->tok.kind == KW_DESC;
            TRY(query_parse_advance(p));
        }
        s->order = query_list_grow(p->arena, s->order, s->order_count, sizeof(*s->order));
        s->order[s->order_count++] = o;
        if (p->tok.kind != TOK_COMMA) {
            return OK;
        }
        TRY(query_parse_advance(p));
    }
}

/* What follows the select list. */
static enum err parse_clauses(struct query_parser *p, struct query_select *s)
{
    if (p->tok.kind == KW_FROM) {
        TRY(parse_from(p, s));
    }
    if (p->tok.kind == KW_WHERE) {
        TRY(query_parse_advance(p));
        TRY(query_parse_expr(p, &s->where));
    }
    if (p->tok.kind == KW_GROUP) {
        TRY(parse_group_by(p, s));
    }
    if (p->tok.kind == KW_ORDER) {
        TRY(parse_order_by(p, s));
    }
    if (p->tok.kind == KW_OFFSET) {
        if (s->top.expr != NULL) {
            return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC2063",
                              "'TOP' and 'OFFSET LIMIT' cannot be used together.");
        }
        TRY(query_parse_advance(p));
        TRY(parse_count(p, "OFFSET", &s->offset));
        TRY(query_parse_expect(p, KW_LIMIT));
        TRY(parse_count(p, "LIMIT", &s->limit));
    }
    return OK;
}

static enum err check_star(struct query_parser *p, const struct query_select *s)
{
    if (!s->is_star) {
        return OK;
    }
    if (p->tok.kind != TOK_END && p->tok.kind != TOK_RPAREN) {
        return query_parse_unexpected(p); /* a word in the wrong place explains more */
    }
    const char *code = NULL;
    const char *message = NULL;
    if (s->from_count == 0) {
        code = "SC2039";
        message = "'SELECT *' is not valid without a FROM clause.";
    } else if (s->from_count > 1) {
        code = "SC2040";
        message = "'SELECT *' is only valid with a single input set.";
    } else if (s->group_count > 0) {
        code = "SC2041";
        message = "'SELECT *' is not allowed with GROUP BY.";
    } else {
        return OK;
    }
    return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, s->start, s->end, code, "%s", message);
}

enum err query_parse_select(struct query_parser *p, struct query_select **ret)
{
    TRY(query_parse_enter(p));
    struct query_select *s = ARENA_NEW(p->arena, struct query_select);
    s->start = p->tok.start;
    s->group_slot = -1;
    TRY(parse_select_clause(p, s));
    TRY(parse_clauses(p, s));
    s->end = p->tok.start;
    TRY(check_star(p, s));
    p->depth--;
    *ret = s;
    return OK;
}

/* `FROM c WHERE ...` */
static enum err parse_condition(struct query_parser *p, struct query_select **ret)
{
    struct query_select *s = ARENA_NEW(p->arena, struct query_select);
    s->start = p->tok.start;
    s->group_slot = -1;
    s->is_star = true;
    if (p->tok.kind != KW_FROM) {
        return query_parse_unexpected(p);
    }
    TRY(parse_from(p, s));
    if (p->tok.kind == KW_WHERE) {
        TRY(query_parse_advance(p));
        TRY(query_parse_expr(p, &s->where));
    }
    s->end = p->tok.start;
    TRY(check_star(p, s));
    *ret = s;
    return OK;
}

enum err query_parse(struct query_parser *p, bool is_condition, struct query_select **ret)
{
    TRY(query_parse_advance(p));
    struct query_select *s = NULL;
    if (is_condition) {
        TRY(parse_condition(p, &s));
    } else {
        TRY(query_parse_select(p, &s));
    }
    if (p->tok.kind != TOK_END) {
        return query_parse_unexpected(p);
    }
    *ret = s;
    return OK;
}
