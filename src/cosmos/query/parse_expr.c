/* Expressions, by precedence climbing. From weak to strong:
 *
 *   ?:   ??   OR   AND   NOT   |   ^   &   = !=   < <= > >= IN BETWEEN LIKE   << >> >>>
 *   + - ||   * / %   unary - + ~ NOT   . []
 *
 * Chains of AND, OR, ?? and || become one node with many operands: programs write thousands of
 * them, and the depth of the tree is what the evaluator's stack pays for. */
#include <stdlib.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum precedence {
    PREC_NONE,
    PREC_BITOR,
    PREC_BITXOR,
    PREC_BITAND,
    PREC_EQUAL,
    PREC_RELATION,
    PREC_SHIFT,
    PREC_ADD,
    PREC_MUL,
};

static const struct {
    enum query_tok tok;
    enum precedence prec;
    enum query_op op;
} binary_ops[] = {
    {TOK_PIPE, PREC_BITOR, OP_BITOR},  {TOK_CARET, PREC_BITXOR, OP_BITXOR},
    {TOK_AMP, PREC_BITAND, OP_BITAND}, {TOK_EQ, PREC_EQUAL, OP_EQ},
    {TOK_NE, PREC_EQUAL, OP_NE},       {TOK_LT, PREC_RELATION, OP_LT},
    {TOK_LE, PREC_RELATION, OP_LE},    {TOK_GT, PREC_RELATION, OP_GT},
    {TOK_GE, PREC_RELATION, OP_GE},    {TOK_SHL, PREC_SHIFT, OP_SHL},
    {TOK_SHR, PREC_SHIFT, OP_SHR},     {TOK_USHR, PREC_SHIFT, OP_USHR},
    {TOK_PLUS, PREC_ADD, OP_ADD},      {TOK_MINUS, PREC_ADD, OP_SUB},
    {TOK_CONCAT, PREC_ADD, OP_NONE},   {TOK_STAR, PREC_MUL, OP_MUL},
    {TOK_SLASH, PREC_MUL, OP_DIV},     {TOK_PERCENT, PREC_MUL, OP_MOD},
};

struct expr_list {
    struct query_expr **items;
    size_t count;
};

static void list_add(struct query_parser *p, struct expr_list *l, struct query_expr *e)
{
    l->items = (struct query_expr **)query_list_grow(p->arena, l->items, l->count,
                                                     sizeof(struct query_expr *));
    l->items[l->count++] = e;
}

static enum err node_of(struct query_parser *p, enum query_node node, const struct expr_list *l,
                        struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, node, l->items[0]->start, &e));
    TRY(query_expr_args(p, e, l->items, l->count));
    e->end = l->items[l->count - 1]->end;
    *ret = e;
    return OK;
}

/* expr { , expr } */
static enum err parse_list(struct query_parser *p, struct expr_list *l)
{
    for (;;) {
        struct query_expr *e = NULL;
        TRY(query_parse_expr(p, &e));
        list_add(p, l, e);
        if (p->tok.kind != TOK_COMMA) {
            return OK;
        }
        TRY(query_parse_advance(p));
    }
}

/* ---- primary ---- */

static int param_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct query_param *)a)->name, ((const struct query_param *)b)->name);
}

static enum err parse_param(struct query_parser *p, struct query_expr *e)
{
    struct query_param key = {.name = p->tok.text};
    const struct query_param *found = NULL;
    if (p->param_count > 0) {
        found = (const struct query_param *)bsearch(&key, p->params, p->param_count, sizeof(key),
                                                    param_cmp);
    }
    if (found == NULL) {
        int shown = p->tok.text.n > 64 ? 64 : (int)p->tok.text.n;
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, p->tok.start, p->tok.end, "SC2048",
                          "The parameter '%.*s' is not specified.", shown, p->tok.text.p);
    }
    e->node = NODE_PARAM;
    e->name = p->tok.text;
    e->value = found->value;
    return OK;
}

enum err query_parse_literal(struct query_parser *p, struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_CONST, p->tok.start, &e));
    enum query_tok kind = p->tok.kind;
    if (kind == TOK_NUMBER) {
        e->name = p->tok.text;
        e->value = json_number(p->arena, p->tok.number);
    } else if (kind == TOK_STRING) {
        e->value = json_string(p->arena, p->tok.value);
    } else if (kind == TOK_PARAM) {
        TRY(parse_param(p, e));
    } else if (kind == KW_TRUE || kind == KW_FALSE) {
        e->value = json_bool(kind == KW_TRUE);
    } else if (kind == KW_NULL) {
        e->value = json_null();
    } else if (kind == KW_UNDEFINED) {
        e->value = json_undefined();
    } else if (kind == TOK_FILTER) {
        e->value = json_bool(true);
        e->is_filter = true;
    } else {
        return query_parse_unexpected(p);
    }
    *ret = e;
    return query_parse_advance(p);
}

static enum err parse_array(struct query_parser *p, struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_ARRAY, p->tok.start, &e));
    TRY(query_parse_advance(p));
    struct expr_list l = {0};
    if (p->tok.kind != TOK_RBRACKET) {
        TRY(parse_list(p, &l));
    }
    TRY(query_expr_args(p, e, l.items, l.count));
    e->end = p->tok.end;
    *ret = e;
    return query_parse_expect(p, TOK_RBRACKET);
}

/* { "key": expr, key: expr } */
static enum err parse_object(struct query_parser *p, struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_OBJECT, p->tok.start, &e));
    TRY(query_parse_advance(p));
    struct expr_list l = {0};
    while (p->tok.kind != TOK_RBRACE) {
        if (l.count > 0) {
            TRY(query_parse_expect(p, TOK_COMMA));
        }
        if (p->tok.kind != TOK_STRING && !query_tok_is_word(p->tok.kind)) {
            return query_parse_unexpected(p);
        }
        e->keys = (struct str *)query_list_grow(p->arena, e->keys, l.count, sizeof(*e->keys));
        e->keys[l.count] = p->tok.kind == TOK_STRING ? p->tok.value : p->tok.text;
        TRY(query_parse_advance(p));
        TRY(query_parse_expect(p, TOK_COLON));
        struct query_expr *value = NULL;
        TRY(query_parse_expr(p, &value));
        list_add(p, &l, value);
    }
    e->has_repeats = query_has_repeats(p->arena, e->keys, l.count);
    TRY(query_expr_args(p, e, l.items, l.count));
    e->end = p->tok.end;
    *ret = e;
    return query_parse_advance(p);
}

static enum err check_arg_count(struct query_parser *p, const struct query_expr *e, struct str name,
                                size_t min, size_t max)
{
    if (e->arg_count >= min && e->arg_count <= max) {
        return OK;
    }
    if (min == max) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, e->start, e->end, "SC2050",
                          "The " STR_FMT " function requires %zu argument(s).", STR_ARG(name), min);
    }
    if (max >= QUERY_ARGS_ANY) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, e->start, e->end, "SC2050",
                          "The " STR_FMT " function requires at least %zu argument(s).",
                          STR_ARG(name), min);
    }
    return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, e->start, e->end, "SC2050",
                      "The " STR_FMT " function requires %zu to %zu argument(s).", STR_ARG(name),
                      min, max);
}

/* Pattern and modifiers that are constants: a bad one is reported now, not row by row. */
static enum err check_regex(struct query_parser *p, const struct query_expr *e)
{
    const struct json *pattern = e->args[1]->value;
    const struct json *modifiers = e->arg_count > 2 ? e->args[2]->value : NULL;
    if (!str_eq(str_of(e->fn->name), STR("REGEXMATCH")) || pattern == NULL ||
        pattern->type != JSON_STRING || (e->arg_count > 2 && modifiers == NULL)) {
        return OK;
    }
    struct str mods =
        modifiers != NULL && modifiers->type == JSON_STRING ? modifiers->text : STR_NONE;
    struct str problem = STR_NONE;
    struct query_regex *r = query_regex_new(pattern->text, mods, &problem);
    if (r == NULL) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, e->start, e->end, "SC2200",
                          "The regular expression is invalid: " STR_FMT ".", STR_ARG(problem));
    }
    query_regex_free(r);
    return OK;
}

static enum err parse_call(struct query_parser *p, struct query_expr **ret)
{
    struct query_token name = p->tok;
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_CALL, name.start, &e));
    TRY(query_parse_advance(p));
    TRY(query_parse_advance(p)); /* the parenthesis */
    struct expr_list l = {0};
    if (p->tok.kind != TOK_RPAREN) {
        TRY(parse_list(p, &l));
    }
    TRY(query_expr_args(p, e, l.items, l.count));
    e->end = p->tok.end;
    e->name = name.text;
    TRY(query_parse_expect(p, TOK_RPAREN));
    *ret = e;
    if (query_agg_find(name.text, &e->agg)) {
        e->node = NODE_AGG;
        return check_arg_count(p, e, str_of(query_agg_name(e->agg)), 1, 1);
    }
    e->fn = query_fn_find(name.text);
    int shown = name.text.n > 64 ? 64 : (int)name.text.n;
    if (e->fn == NULL && query_fn_is_planned(name.text)) {
        return query_fail(p->ei, ERR_UNSUPPORTED, p->lexer.text, name.start, name.end, "SC2005",
                          "The built-in function '%.*s' is not implemented.", shown, name.text.p);
    }
    if (e->fn == NULL) {
        return query_fail(p->ei, ERR_SYNTAX, p->lexer.text, name.start, name.end, "SC2005",
                          "'%.*s' is not a recognized built-in function name.", shown, name.text.p);
    }
    TRY(check_arg_count(p, e, str_of(e->fn->name), e->fn->arg_min, e->fn->arg_max));
    return e->arg_count >= 2 ? check_regex(p, e) : OK;
}

/* Whether `tok` ( SELECT follows. */
static bool is_subquery_call(const struct query_parser *p)
{
    struct query_parser ahead = *p; /* only the lexer moves */
    ahead.lexer.ei = NULL;
    ahead.ei = NULL;
    return query_parse_advance(&ahead) == OK && ahead.tok.kind == TOK_LPAREN &&
           query_parse_advance(&ahead) == OK && ahead.tok.kind == KW_SELECT;
}

static enum err parse_subquery(struct query_parser *p, enum query_node node, uint32_t start,
                               struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, node, start, &e));
    TRY(query_parse_select(p, &e->select));
    e->end = p->tok.end;
    *ret = e;
    return query_parse_expect(p, TOK_RPAREN);
}

/* Keyword ( select ) */
static enum err parse_keyword_subquery(struct query_parser *p, enum query_node node,
                                       struct query_expr **ret)
{
    uint32_t start = p->tok.start;
    TRY(query_parse_advance(p));
    TRY(query_parse_expect(p, TOK_LPAREN));
    return parse_subquery(p, node, start, ret);
}

static enum err parse_udf(struct query_parser *p)
{
    struct query_token udf = p->tok;
    TRY(query_parse_advance(p));
    TRY(query_parse_expect(p, TOK_DOT));
    if (!query_tok_is_word(p->tok.kind)) {
        return query_parse_unexpected(p);
    }
    int shown = p->tok.text.n > 64 ? 64 : (int)p->tok.text.n;
    return query_fail(p->ei, ERR_UNSUPPORTED, p->lexer.text, udf.start, p->tok.end, "SC2006",
                      "User-defined functions are not implemented: 'udf.%.*s'.", shown,
                      p->tok.text.p);
}

static enum err parse_name(struct query_parser *p, struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_NAME, p->tok.start, &e));
    e->name = p->tok.text;
    *ret = e;
    return query_parse_advance(p);
}

static enum err parse_paren(struct query_parser *p, struct query_expr **ret)
{
    uint32_t start = p->tok.start;
    TRY(query_parse_advance(p));
    if (p->tok.kind == KW_SELECT) {
        return parse_subquery(p, NODE_SCALAR, start, ret);
    }
    TRY(query_parse_expr(p, ret));
    return query_parse_expect(p, TOK_RPAREN);
}

static enum err parse_primary(struct query_parser *p, struct query_expr **ret)
{
    switch ((int)p->tok.kind) {
    case TOK_LPAREN:
        return parse_paren(p, ret);
    case TOK_LBRACKET:
        return parse_array(p, ret);
    case TOK_LBRACE:
        return parse_object(p, ret);
    case KW_EXISTS:
        return parse_keyword_subquery(p, NODE_EXISTS, ret);
    case KW_ARRAY:
        return parse_keyword_subquery(p, NODE_COLLECT, ret);
    case KW_UDF:
        return parse_udf(p);
    case KW_ALL:
    case KW_FIRST:
    case KW_LAST:
        if (is_subquery_call(p)) {
            enum query_node node = p->tok.kind == KW_ALL     ? NODE_ALL
                                   : p->tok.kind == KW_FIRST ? NODE_FIRST
                                                             : NODE_LAST;
            return parse_keyword_subquery(p, node, ret);
        }
        break;
    default:
        break;
    }
    if (query_parse_next_is(p, TOK_LPAREN) && query_tok_is_word(p->tok.kind)) {
        if (query_tok_is_name(p->tok.kind)) {
            return parse_call(p, ret);
        }
        return query_parse_unexpected(p);
    }
    return query_tok_is_name(p->tok.kind) ? parse_name(p, ret) : query_parse_literal(p, ret);
}

/* primary { .name | [expr] } */
static enum err parse_postfix(struct query_parser *p, struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(parse_primary(p, &e));
    ASSERT(e != NULL);
    while (p->tok.kind == TOK_DOT || p->tok.kind == TOK_LBRACKET) {
        struct query_expr *base = e;
        bool is_bracket = p->tok.kind == TOK_LBRACKET;
        TRY(query_parse_advance(p));
        if (!is_bracket) {
            if (!query_tok_is_word(p->tok.kind)) {
                return query_parse_unexpected(p);
            }
            TRY(query_expr_new(p, NODE_PROP, base->start, &e));
            e->name = p->tok.text;
            TRY(query_expr_args(p, e, &base, 1));
            TRY(query_parse_advance(p));
            continue;
        }
        struct query_expr *index = NULL;
        TRY(query_parse_expr(p, &index));
        bool is_name = index->node == NODE_CONST && index->value->type == JSON_STRING;
        TRY(query_expr_new(p, is_name ? NODE_PROP : NODE_INDEX, base->start, &e));
        if (is_name) {
            e->name = index->value->text;
            e->is_bracket = true;
            TRY(query_expr_args(p, e, &base, 1));
        } else {
            TRY(query_expr_args(p, e, (struct query_expr *[]){base, index}, 2));
        }
        e->end = p->tok.end;
        TRY(query_parse_expect(p, TOK_RBRACKET));
    }
    *ret = e;
    return OK;
}

static enum query_op unary_op(enum query_tok t)
{
    if (t == TOK_MINUS) {
        return OP_NEG;
    }
    if (t == TOK_PLUS) {
        return OP_POS;
    }
    if (t == TOK_TILDE) {
        return OP_BITNOT;
    }
    return t == KW_NOT ? OP_NOT : OP_NONE;
}

static enum err parse_unary(struct query_parser *p, struct query_expr **ret)
{
    enum query_op op = unary_op(p->tok.kind);
    if (op == OP_NONE) {
        return parse_postfix(p, ret);
    }
    TRY(query_parse_enter(p));
    uint32_t start = p->tok.start;
    TRY(query_parse_advance(p));
    struct query_expr *arg = NULL;
    TRY(parse_unary(p, &arg));
    p->depth--;
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_UNARY, start, &e));
    e->op = op;
    e->end = arg->end;
    TRY(query_expr_args(p, e, &arg, 1));
    *ret = e;
    return OK;
}

/* ---- binary ---- */

static enum err parse_binary(struct query_parser *p, enum precedence min, struct query_expr **ret);

static size_t char_count(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

/* [NOT] IN (...), [NOT] BETWEEN a AND b, [NOT] LIKE x [ESCAPE 'c'] after `left`. */
static enum err parse_predicate(struct query_parser *p, struct query_expr *left,
                                struct query_expr **ret)
{
    bool is_negated = p->tok.kind == KW_NOT;
    if (is_negated) {
        TRY(query_parse_advance(p));
    }
    enum query_tok kind = p->tok.kind;
    struct expr_list l = {0};
    struct query_expr *x = NULL;
    struct str escape = STR_NONE;
    enum query_node node = NODE_IN;
    list_add(p, &l, left);
    TRY(query_parse_advance(p));
    if (kind == KW_IN) {
        TRY(query_parse_expect(p, TOK_LPAREN));
        TRY(parse_list(p, &l));
        TRY(query_parse_expect(p, TOK_RPAREN));
    } else if (kind == KW_BETWEEN) {
        node = NODE_BETWEEN;
        TRY(parse_binary(p, PREC_RELATION + 1, &x));
        list_add(p, &l, x);
        TRY(query_parse_expect(p, KW_AND));
        TRY(parse_binary(p, PREC_RELATION + 1, &x));
        list_add(p, &l, x);
    } else {
        ASSERT(kind == KW_LIKE);
        node = NODE_LIKE;
        TRY(parse_binary(p, PREC_RELATION + 1, &x));
        list_add(p, &l, x);
        if (p->tok.kind == KW_ESCAPE) {
            TRY(query_parse_advance(p));
            if (p->tok.kind != TOK_STRING || char_count(p->tok.value) != 1) {
                return query_parse_unexpected(p);
            }
            escape = p->tok.value;
            TRY(query_parse_advance(p));
        }
    }
    TRY(node_of(p, node, &l, ret));
    (*ret)->is_negated = is_negated;
    (*ret)->name = escape;
    return OK;
}

/* IN, BETWEEN or LIKE is here, perhaps after NOT. */
static bool is_predicate(const struct query_parser *p)
{
    enum query_tok t = p->tok.kind;
    return t == KW_IN || t == KW_BETWEEN || t == KW_LIKE ||
           (t == KW_NOT && (query_parse_next_is(p, KW_IN) || query_parse_next_is(p, KW_BETWEEN) ||
                            query_parse_next_is(p, KW_LIKE)));
}

/* left || x || y ... */
static enum err parse_concat(struct query_parser *p, struct query_expr *left,
                             struct query_expr **ret)
{
    struct expr_list l = {0};
    list_add(p, &l, left);
    while (p->tok.kind == TOK_CONCAT) {
        struct query_expr *right = NULL;
        TRY(query_parse_advance(p));
        TRY(parse_binary(p, PREC_MUL, &right));
        list_add(p, &l, right);
    }
    return node_of(p, NODE_CONCAT, &l, ret);
}

static enum err parse_binary(struct query_parser *p, enum precedence min, struct query_expr **ret)
{
    struct query_expr *left = NULL;
    TRY(parse_unary(p, &left));
    for (;;) {
        if (min <= PREC_RELATION && is_predicate(p)) {
            TRY(parse_predicate(p, left, &left));
            continue;
        }
        size_t i = 0;
        while (i < ARRAY_COUNT(binary_ops) && binary_ops[i].tok != p->tok.kind) {
            i++;
        }
        if (i == ARRAY_COUNT(binary_ops) || binary_ops[i].prec < min) {
            break;
        }
        if (p->tok.kind == TOK_CONCAT) {
            TRY(parse_concat(p, left, &left));
            continue;
        }
        TRY(query_parse_advance(p));
        struct expr_list l = {0};
        struct query_expr *right = NULL;
        TRY(parse_binary(p, binary_ops[i].prec + 1, &right));
        list_add(p, &l, left);
        list_add(p, &l, right);
        TRY(node_of(p, NODE_BINARY, &l, &left));
        left->op = binary_ops[i].op;
    }
    *ret = left;
    return OK;
}

static enum err parse_not(struct query_parser *p, struct query_expr **ret)
{
    if (p->tok.kind != KW_NOT) {
        return parse_binary(p, PREC_BITOR, ret);
    }
    TRY(query_parse_enter(p));
    uint32_t start = p->tok.start;
    TRY(query_parse_advance(p));
    struct query_expr *arg = NULL;
    TRY(parse_not(p, &arg));
    p->depth--;
    struct query_expr *e = NULL;
    TRY(query_expr_new(p, NODE_UNARY, start, &e));
    e->op = OP_NOT;
    e->end = arg->end;
    TRY(query_expr_args(p, e, &arg, 1));
    *ret = e;
    return OK;
}

/* x { sep x }: one node with all operands. */
static enum err parse_chain(struct query_parser *p, enum query_tok sep, enum query_node node,
                            enum err (*operand)(struct query_parser *, struct query_expr **),
                            struct query_expr **ret)
{
    struct query_expr *e = NULL;
    TRY(operand(p, &e));
    if (p->tok.kind == sep) {
        struct expr_list l = {0};
        list_add(p, &l, e);
        while (p->tok.kind == sep) {
            TRY(query_parse_advance(p));
            TRY(operand(p, &e));
            list_add(p, &l, e);
        }
        TRY(node_of(p, node, &l, &e));
    }
    *ret = e;
    return OK;
}

static enum err parse_and(struct query_parser *p, struct query_expr **ret)
{
    return parse_chain(p, KW_AND, NODE_AND, parse_not, ret);
}

static enum err parse_or(struct query_parser *p, struct query_expr **ret)
{
    return parse_chain(p, KW_OR, NODE_OR, parse_and, ret);
}

enum err query_parse_expr(struct query_parser *p, struct query_expr **ret)
{
    TRY(query_parse_enter(p));
    struct query_expr *e = NULL;
    TRY(parse_chain(p, TOK_COALESCE, NODE_COALESCE, parse_or, &e));
    if (p->tok.kind == TOK_QUESTION) {
        struct expr_list l = {0};
        list_add(p, &l, e);
        TRY(query_parse_advance(p));
        TRY(query_parse_expr(p, &e));
        list_add(p, &l, e);
        TRY(query_parse_expect(p, TOK_COLON));
        TRY(query_parse_expr(p, &e));
        list_add(p, &l, e);
        TRY(node_of(p, NODE_COND, &l, &e));
    }
    p->depth--;
    *ret = e;
    return OK;
}
