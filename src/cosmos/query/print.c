/* The syntax tree as text, in the form in which the real service rewrites queries: operators in
 * parentheses, strings in double quotes, one clause per line. What is printed parses to the same
 * tree. */
#include <ctype.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

static void print_list(struct buf *out, struct query_expr *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            buf_add_cstr(out, ", ");
        }
        query_print_expr(out, items[i]);
    }
}

static const char *op_text(enum query_op op)
{
    static const char *const texts[] = {
        [OP_NOT] = "NOT ", [OP_NEG] = "-",   [OP_POS] = "+",    [OP_BITNOT] = "~", [OP_EQ] = "=",
        [OP_NE] = "!=",    [OP_LT] = "<",    [OP_LE] = "<=",    [OP_GT] = ">",     [OP_GE] = ">=",
        [OP_ADD] = "+",    [OP_SUB] = "-",   [OP_MUL] = "*",    [OP_DIV] = "/",    [OP_MOD] = "%",
        [OP_BITAND] = "&", [OP_BITOR] = "|", [OP_BITXOR] = "^", [OP_SHL] = "<<",   [OP_SHR] = ">>",
        [OP_USHR] = ">>>",
    };
    ASSERT(op > OP_NONE && op < ARRAY_COUNT(texts));
    return texts[op];
}

static void print_chain(struct buf *out, const struct query_expr *e, const char *sep)
{
    buf_add_char(out, '(');
    for (size_t i = 0; i < e->arg_count; i++) {
        if (i > 0) {
            buf_add_cstr(out, sep);
        }
        query_print_expr(out, e->args[i]);
    }
    buf_add_char(out, ')');
}

static void print_subquery(struct buf *out, const char *word, const struct query_expr *e)
{
    buf_add_cstr(out, word);
    buf_add_char(out, '(');
    query_print_select(out, e->select);
    buf_add_char(out, ')');
}

static void print_const(struct buf *out, const struct query_expr *e)
{
    if (e->is_filter) {
        buf_add_cstr(out, "{documentdb-formattableorderbyquery-filter}");
    } else if (e->value->type == JSON_UNDEFINED) {
        buf_add_cstr(out, "undefined");
    } else if (e->value->type == JSON_NUMBER) {
        buf_add_str(out, e->name);
    } else {
        json_write(out, e->value);
    }
}

static void print_predicate(struct buf *out, const struct query_expr *e)
{
    buf_add_char(out, '(');
    query_print_expr(out, e->args[0]);
    buf_add_cstr(out, e->is_negated ? " NOT" : "");
    if (e->node == NODE_IN) {
        buf_add_cstr(out, " IN (");
        print_list(out, e->args + 1, e->arg_count - 1);
        buf_add_char(out, ')');
    } else if (e->node == NODE_BETWEEN) {
        buf_add_cstr(out, " BETWEEN ");
        query_print_expr(out, e->args[1]);
        buf_add_cstr(out, " AND ");
        query_print_expr(out, e->args[2]);
    } else {
        buf_add_cstr(out, " LIKE ");
        query_print_expr(out, e->args[1]);
        if (e->name.n > 0) {
            buf_add_cstr(out, " ESCAPE ");
            json_write_string(out, e->name);
        }
    }
    buf_add_char(out, ')');
}

static void print_object(struct buf *out, const struct query_expr *e)
{
    buf_add_char(out, '{');
    for (size_t i = 0; i < e->arg_count; i++) {
        buf_add_cstr(out, i > 0 ? ", " : "");
        json_write_string(out, e->keys[i]);
        buf_add_cstr(out, ": ");
        query_print_expr(out, e->args[i]);
    }
    buf_add_char(out, '}');
}

/* What a dot or bracket follows; after a number the dot would become a part of it. */
static void print_base(struct buf *out, const struct query_expr *e)
{
    bool is_number = e->node == NODE_CONST && e->value->type == JSON_NUMBER;
    buf_add_cstr(out, is_number ? "(" : "");
    query_print_expr(out, e);
    buf_add_cstr(out, is_number ? ")" : "");
}

void query_print_expr(struct buf *out, const struct query_expr *e)
{
    switch (e->node) {
    case NODE_CONST:
        print_const(out, e);
        break;
    case NODE_PARAM:
    case NODE_NAME:
        buf_add_str(out, e->name);
        break;
    case NODE_PROP:
        print_base(out, e->args[0]);
        if (e->is_bracket) {
            buf_add_char(out, '[');
            json_write_string(out, e->name);
            buf_add_char(out, ']');
        } else {
            buf_add_char(out, '.');
            buf_add_str(out, e->name);
        }
        break;
    case NODE_INDEX:
        print_base(out, e->args[0]);
        buf_add_char(out, '[');
        query_print_expr(out, e->args[1]);
        buf_add_char(out, ']');
        break;
    case NODE_ARRAY:
        buf_add_char(out, '[');
        print_list(out, e->args, e->arg_count);
        buf_add_char(out, ']');
        break;
    case NODE_OBJECT:
        print_object(out, e);
        break;
    case NODE_UNARY:
        buf_add_char(out, '(');
        buf_add_cstr(out, op_text(e->op));
        query_print_expr(out, e->args[0]);
        buf_add_char(out, ')');
        break;
    case NODE_BINARY:
        buf_add_char(out, '(');
        query_print_expr(out, e->args[0]);
        buf_printf(out, " %s ", op_text(e->op));
        query_print_expr(out, e->args[1]);
        buf_add_char(out, ')');
        break;
    case NODE_AND:
        print_chain(out, e, " AND ");
        break;
    case NODE_OR:
        print_chain(out, e, " OR ");
        break;
    case NODE_CONCAT:
        print_chain(out, e, " || ");
        break;
    case NODE_COALESCE:
        print_chain(out, e, " ?? ");
        break;
    case NODE_COND:
        buf_add_char(out, '(');
        query_print_expr(out, e->args[0]);
        buf_add_cstr(out, " ? ");
        query_print_expr(out, e->args[1]);
        buf_add_cstr(out, " : ");
        query_print_expr(out, e->args[2]);
        buf_add_char(out, ')');
        break;
    case NODE_IN:
    case NODE_BETWEEN:
    case NODE_LIKE:
        print_predicate(out, e);
        break;
    case NODE_CALL:
    case NODE_AGG:
        buf_add_cstr(out, e->node == NODE_AGG ? query_agg_name(e->agg) : e->fn->name);
        buf_add_char(out, '(');
        print_list(out, e->args, e->arg_count);
        buf_add_char(out, ')');
        break;
    case NODE_SCALAR:
        print_subquery(out, "", e);
        break;
    case NODE_EXISTS:
        print_subquery(out, "EXISTS", e);
        break;
    case NODE_ALL:
        print_subquery(out, "ALL", e);
        break;
    case NODE_FIRST:
        print_subquery(out, "FIRST", e);
        break;
    case NODE_LAST:
        print_subquery(out, "LAST", e);
        break;
    case NODE_COLLECT:
        print_subquery(out, "ARRAY", e);
        break;
    default:
        UNREACHABLE();
    }
}

static void print_source(struct buf *out, const struct query_from *f)
{
    if (f->is_iterator) {
        buf_add_str(out, f->alias);
        buf_add_cstr(out, " IN ");
    }
    if (f->select != NULL) {
        buf_add_char(out, '(');
        query_print_select(out, f->select);
        buf_add_char(out, ')');
    } else {
        query_print_expr(out, f->path);
    }
    if (!f->is_iterator && f->has_alias) {
        buf_add_cstr(out, " AS ");
        buf_add_str(out, f->alias);
    }
}

void query_print_from(struct buf *out, const struct query_select *s)
{
    for (size_t i = 0; i < s->from_count; i++) {
        buf_add_cstr(out, i == 0 ? "\nFROM " : "\nJOIN ");
        print_source(out, &s->from[i]);
    }
}

/* An alias that was written as a string stays one. */
static void print_alias(struct buf *out, struct str alias)
{
    if (alias.n == 0) {
        return;
    }
    bool is_word = true;
    for (size_t i = 0; i < alias.n; i++) {
        unsigned char c = (unsigned char)alias.p[i];
        is_word &= c == '_' || c >= 0x80 || isalnum(c) != 0;
    }
    buf_add_cstr(out, " AS ");
    if (is_word && isdigit((unsigned char)alias.p[0]) == 0) {
        buf_add_str(out, alias);
    } else {
        json_write_string(out, alias);
    }
}

static void print_items(struct buf *out, const struct query_select *s)
{
    if (s->is_star) {
        buf_add_char(out, '*');
    }
    for (size_t i = 0; i < s->item_count; i++) {
        buf_add_cstr(out, i > 0 ? ", " : s->is_value ? "VALUE " : "");
        query_print_expr(out, s->items[i].expr);
        print_alias(out, s->items[i].alias);
    }
}

void query_print_order(struct buf *out, const struct query_select *s)
{
    for (size_t i = 0; i < s->order_count; i++) {
        buf_add_cstr(out, i == 0 ? "\nORDER BY " : ", ");
        query_print_expr(out, s->order[i].expr);
        if (s->order[i].is_explicit) {
            buf_add_cstr(out, s->order[i].is_desc ? " DESC" : " ASC");
        }
    }
}

void query_print_group(struct buf *out, const struct query_select *s)
{
    if (s->group_count > 0) {
        buf_add_cstr(out, "\nGROUP BY ");
        print_list(out, s->group, s->group_count);
    }
}

void query_print_select(struct buf *out, const struct query_select *s)
{
    buf_add_cstr(out, "SELECT ");
    buf_add_cstr(out, s->is_distinct ? "DISTINCT " : "");
    if (s->top.expr != NULL) {
        buf_printf(out, "TOP %llu ", (unsigned long long)s->top.n);
    }
    print_items(out, s);
    query_print_from(out, s);
    if (s->where != NULL) {
        buf_add_cstr(out, "\nWHERE ");
        query_print_expr(out, s->where);
    }
    query_print_group(out, s);
    query_print_order(out, s);
    if (s->offset.expr != NULL) {
        buf_printf(out, "\nOFFSET %llu LIMIT %llu", (unsigned long long)s->offset.n,
                   (unsigned long long)s->limit.n);
    }
}
