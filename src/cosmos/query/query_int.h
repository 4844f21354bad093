/* Inside of the query language: tokens, syntax tree, evaluation. For this folder only.
 *
 *   text -> lex.c -> parse.c, parse_expr.c -> struct query_select (tree)
 *        -> bind.c, bind_group.c: names become slots, aggregates are found, literals folded
 *        -> run.c: a select as a push pipeline over eval.c
 *        -> page.c: pages and tokens over the outermost select
 *        -> plan.c, print.c: rewriting for clients that merge themselves
 *
 * Slots: every FROM binding, GROUP BY key and aggregate of a query, nested selects included, has
 * its own number. The evaluator keeps one array of values by slot; there is no recursion in the
 * language, so that one array is enough. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/map.h"
#include "cosmos/query/query.h"

/* ---- tokens ---- */

#define QUERY_KEYWORDS(X)                                                                          \
    X(KW_ALL, "all", false)                                                                        \
    X(KW_AND, "and", true)                                                                         \
    X(KW_ARRAY, "array", true)                                                                     \
    X(KW_AS, "as", true)                                                                           \
    X(KW_ASC, "asc", true)                                                                         \
    X(KW_BETWEEN, "between", true)                                                                 \
    X(KW_BY, "by", true)                                                                           \
    X(KW_DESC, "desc", true)                                                                       \
    X(KW_DISTINCT, "distinct", true)                                                               \
    X(KW_ESCAPE, "escape", true)                                                                   \
    X(KW_EXISTS, "exists", true)                                                                   \
    X(KW_FALSE, "false", true)                                                                     \
    X(KW_FIRST, "first", false)                                                                    \
    X(KW_FROM, "from", true)                                                                       \
    X(KW_GROUP, "group", true)                                                                     \
    X(KW_IN, "in", true)                                                                           \
    X(KW_JOIN, "join", true)                                                                       \
    X(KW_LAST, "last", false)                                                                      \
    X(KW_LIKE, "like", true)                                                                       \
    X(KW_LIMIT, "limit", true)                                                                     \
    X(KW_NOT, "not", true)                                                                         \
    X(KW_NULL, "null", true)                                                                       \
    X(KW_OFFSET, "offset", true)                                                                   \
    X(KW_OR, "or", true)                                                                           \
    X(KW_ORDER, "order", true)                                                                     \
    X(KW_RANK, "rank", false)                                                                      \
    X(KW_SELECT, "select", true)                                                                   \
    X(KW_TOP, "top", true)                                                                         \
    X(KW_TRUE, "true", true)                                                                       \
    X(KW_UDF, "udf", true)                                                                         \
    X(KW_UNDEFINED, "undefined", true)                                                             \
    X(KW_VALUE, "value", true)                                                                     \
    X(KW_WHERE, "where", true)

enum query_tok {
    TOK_END,
    TOK_NAME,
    TOK_STRING,
    TOK_NUMBER,
    TOK_PARAM,  /* name with its @ */
    TOK_FILTER, /* {documentdb-formattableorderbyquery-filter}: stands for true */
    TOK_DOT,
    TOK_COMMA,
    TOK_COLON,
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_LBRACE,
    TOK_RBRACE,
    TOK_QUESTION,
    TOK_COALESCE,
    TOK_EQ,
    TOK_NE,
    TOK_LT,
    TOK_LE,
    TOK_GT,
    TOK_GE,
    TOK_PLUS,
    TOK_MINUS,
    TOK_STAR,
    TOK_SLASH,
    TOK_PERCENT,
    TOK_AMP,
    TOK_PIPE,
    TOK_CARET,
    TOK_TILDE,
    TOK_CONCAT,
    TOK_SHL,
    TOK_SHR,
    TOK_USHR,
#define X(name, text, reserved) name,
    QUERY_KEYWORDS(X)
#undef X
};

struct query_token {
    enum query_tok kind;
    uint32_t start, end; /* bytes of the query text */
    struct str text;     /* as written */
    struct str value;    /* TOK_STRING: decoded */
    double number;       /* TOK_NUMBER */
};

struct query_lexer {
    struct arena *arena; /* decoded strings */
    struct str text;
    size_t at;
    struct errinfo *ei;
};

enum err query_lex(struct query_lexer *l, struct query_token *ret) MUST_CHECK;
/* Names that may be used where a name is expected: not reserved, or after a dot or AS. */
bool query_tok_is_word(enum query_tok t); /* name or any keyword */
bool query_tok_is_name(enum query_tok t); /* name or a keyword that is not reserved */

/* Fills ei with the JSON error text of the real service. `start`, `end` in bytes of `text`;
 * no location when end == 0. Returns `code`. */
enum err query_fail(struct errinfo *ei, enum err code, struct str text, size_t start, size_t end,
                    const char *sc_code, const char *fmt, ...) PRINTF_LIKE(7, 8);

/* ---- syntax tree ---- */

enum query_node {
    NODE_CONST,    /* value; name = text as written for numbers */
    NODE_PARAM,    /* value, name with @ */
    NODE_NAME,     /* name of a FROM binding */
    NODE_PROP,     /* args[0].name */
    NODE_INDEX,    /* args[0][args[1]] */
    NODE_ARRAY,    /* args */
    NODE_OBJECT,   /* keys, args */
    NODE_UNARY,    /* op */
    NODE_BINARY,   /* op */
    NODE_AND,      /* args, two or more */
    NODE_OR,       /* args, two or more */
    NODE_CONCAT,   /* args, two or more: || */
    NODE_COALESCE, /* args, two or more: ?? */
    NODE_COND,     /* args[0] ? args[1] : args[2] */
    NODE_IN,       /* args[0] in args[1...], is_negated */
    NODE_BETWEEN,  /* args[0] between args[1] and args[2], is_negated */
    NODE_LIKE,     /* args[0] like args[1] escape name, is_negated */
    NODE_CALL,     /* fn(args) */
    NODE_AGG,      /* agg(args[0]) */
    NODE_SCALAR,   /* (select) */
    NODE_EXISTS,   /* EXISTS(select) */
    NODE_ALL,      /* ALL(select) */
    NODE_FIRST,    /* FIRST(select) */
    NODE_LAST,     /* LAST(select) */
    NODE_COLLECT,  /* ARRAY(select) */
};

enum query_op {
    OP_NONE,
    OP_NOT,
    OP_NEG,
    OP_POS,
    OP_BITNOT,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_BITAND,
    OP_BITOR,
    OP_BITXOR,
    OP_SHL,
    OP_SHR,
    OP_USHR,
};

enum query_agg_kind {
    AGG_COUNT,
    AGG_SUM,
    AGG_AVG,
    AGG_MIN,
    AGG_MAX,
    AGG_COUNTIF,
    AGG_MAKELIST,
    AGG_MAKESET,
    AGG_KIND_COUNT,
};

struct query_fn;
struct query_select;

struct query_expr {
    enum query_node node;
    enum query_op op;
    enum query_agg_kind agg;
    bool is_negated;
    bool is_bracket; /* NODE_PROP written ["x"] */
    bool is_filter;  /* NODE_CONST: the placeholder */
    int slot;        /* >= 0: the value is there (binding, group key, aggregate) */
    uint32_t start, end;
    int depth; /* 1 + the deepest operand */
    size_t arg_count;
    struct query_expr **args;
    struct str name;
    struct str *keys;         /* NODE_OBJECT */
    bool has_repeats;         /* a key is there twice */
    const struct json *value; /* constants, and whatever was folded to one */
    const struct query_fn *fn;
    struct query_select *select;
    const struct json **sorted; /* NODE_IN over many constants of simple type, in json_cmp order */
    size_t sorted_count;
};

struct query_from {
    struct str alias;        /* n == 0: none, cannot be named */
    bool has_alias;          /* written, not derived */
    bool is_iterator;        /* alias IN ...: one row per element */
    bool is_container;       /* the path's first name is the container itself */
    struct query_expr *path; /* NULL: select */
    struct query_select *select;
    int slot;
    uint32_t start, end;
};

struct query_item {
    struct query_expr *expr;
    struct str alias; /* n == 0: none written */
    struct str name;  /* key in the row */
};

struct query_order {
    struct query_expr *expr;
    bool is_desc;
    bool is_explicit; /* ASC or DESC was written */
};

struct query_agg {
    enum query_agg_kind kind;
    struct query_expr *arg;
    int slot;
};

struct query_count {
    struct query_expr *expr; /* NULL: absent */
    uint64_t n;
};

struct query_select {
    struct query_select *outer;
    bool is_distinct;
    bool is_distinct_free; /* rows are distinct anyway: no set needed */
    bool is_star;
    bool is_value;
    bool is_aggregated; /* aggregates or GROUP BY */
    bool is_root;       /* outermost, or first source of a root select: fed by the scan */
    struct query_count top, offset, limit;
    struct query_item *items; /* VALUE: one */
    size_t item_count;
    struct str *names; /* of the items: keys of a row */
    bool has_repeats;  /* a name is there twice */
    struct query_from *from;
    size_t from_count;
    struct query_expr *where;
    struct query_expr **group; /* evaluated per row; their slots: group_slot + i */
    size_t group_count;
    int group_slot;
    struct query_order *order;
    size_t order_count;
    struct query_agg *aggs;
    size_t agg_count;
    size_t agg_cap;
    size_t visible; /* binder: sources that names may refer to now */
    uint32_t start, end;
};

struct query {
    struct arena *arena;
    struct str text;
    struct query_select *select;
    int slot_count;
    struct query_info info;
    bool is_condition;
    bool uses_doc; /* some expression looks into the documents */
    bool has_container;
};

/* ---- parse and bind ---- */

struct query_param {
    struct str name; /* with @ */
    const struct json *value;
};

struct query_parser {
    struct arena *arena;
    struct query_lexer lexer;
    struct query_token tok; /* current */
    struct query_limits limits;
    const struct query_param *params; /* by name */
    size_t param_count;
    struct errinfo *ei;
    size_t node_count;
    int depth; /* of recursion */
};

enum err query_parse(struct query_parser *p, bool is_condition,
                     struct query_select **ret) MUST_CHECK;
enum err query_parse_select(struct query_parser *p, struct query_select **ret) MUST_CHECK;
enum err query_parse_expr(struct query_parser *p, struct query_expr **ret) MUST_CHECK;
enum err query_parse_literal(struct query_parser *p, struct query_expr **ret) MUST_CHECK;
enum err query_parse_advance(struct query_parser *p) MUST_CHECK;
enum err query_parse_expect(struct query_parser *p, enum query_tok kind) MUST_CHECK;
enum err query_parse_unexpected(struct query_parser *p);       /* error at the current token */
enum err query_parse_enter(struct query_parser *p) MUST_CHECK; /* recursion; undo with p->depth-- */
/* A growing array in an arena: returns where it is now, with room for one more element. */
void *query_list_grow(struct arena *a, void *items, size_t count, size_t size);
/* Whether the token after the current one is of this kind. */
bool query_parse_next_is(const struct query_parser *p, enum query_tok kind);
bool query_has_repeats(struct arena *a, const struct str *keys, size_t n);
enum err query_expr_new(struct query_parser *p, enum query_node node, uint32_t start,
                        struct query_expr **ret) MUST_CHECK;
enum err query_expr_args(struct query_parser *p, struct query_expr *e, struct query_expr **args,
                         size_t n) MUST_CHECK; /* copies, sets the depth */

enum err query_bind(struct query *q, struct errinfo *ei) MUST_CHECK;
/* Group keys of an aggregated select: finds them in its list, refuses what is neither a key nor
 * inside an aggregate. */
enum err query_bind_groups(struct query *q, struct query_select *s, struct errinfo *ei) MUST_CHECK;
enum err query_slot_new(struct query *q, struct errinfo *ei, int *ret) MUST_CHECK;
bool query_expr_equal(const struct query_expr *a, const struct query_expr *b); /* after binding */
enum { QUERY_SLOT_DOC = 0 };      /* the document itself */
void query_fold(struct query *q); /* constant expressions get their value */

/* ---- print ---- */

void query_print_expr(struct buf *out, const struct query_expr *e);
void query_print_from(struct buf *out, const struct query_select *s);  /* with the line break */
void query_print_group(struct buf *out, const struct query_select *s); /* same */
void query_print_order(struct buf *out, const struct query_select *s); /* same */
void query_print_select(struct buf *out, const struct query_select *s);

/* ---- functions ---- */

struct query_eval;
typedef const struct json *(*query_fn_call)(struct query_eval *ev, const struct json *const *args,
                                            size_t n);
enum query_fn_flags {
    FN_TAKES_UNDEFINED = 1 << 0, /* else: any undefined argument gives undefined */
    FN_IMPURE = 1 << 1,          /* not folded at compile time: clock, random numbers, document */
};
enum { QUERY_ARGS_ANY = 1 << 20 };
struct query_fn {
    const char *name; /* upper case, as printed */
    size_t arg_min, arg_max;
    query_fn_call call;
    unsigned flags;
};
extern const struct query_fn query_fns_type[], query_fns_math[], query_fns_string[],
    query_fns_text[], query_fns_array[], query_fns_date[];
const struct query_fn *query_fn_find(struct str name); /* any case; NULL = unknown */
bool query_fn_is_planned(struct str name);             /* known to the language, not to us */
bool query_agg_find(struct str name, enum query_agg_kind *ret);
const char *query_agg_name(enum query_agg_kind k);

/* ---- values ---- */

/* Compact text from the tree; json_write() copies the source, blanks and all. */
void query_value_write_plain(struct buf *out, const struct json *v);
/* Bytes that are equal exactly when two values are equal (undefined included). */
void query_value_key(struct buf *out, const struct json *v);
/* Deep copy in one heap block, freed by query_value_free(). *ret_size for accounting. */
const struct json *query_value_clone(const struct json *v, size_t *ret_size);
void query_value_free(const struct json *clone); /* NULL accepted */
/* The same into a block of the caller, 16-byte aligned: its size, and filling it. */
size_t query_value_size(const struct json *v);
const struct json *query_value_clone_at(char **at, const struct json *v);
bool query_value_is_simple(const struct json *v); /* null, bool, number, string */

/* ---- evaluation ---- */

enum { QUERY_REGEX_CACHE = 8 };
struct query_regex; /* compiled pattern */

struct query_eval {
    struct arena *arena;       /* results of the current row */
    const struct json **slots; /* never NULL elements; undefined when unset */
    struct str text;           /* of the query, for run-time errors */
    struct errinfo *ei;
    enum err err;      /* first failure; evaluation gives undefined from then on */
    size_t memory_max; /* of one arena, and of mem_used */
    size_t mem_used;   /* rows, groups and sets kept */
    uint64_t steps;    /* of work */
    uint64_t look_at;  /* steps at which to look at the clock again */
    bool (*is_expired)(void *ctx);
    void *expired_ctx;
    int64_t now_ticks;    /* of this page */
    int64_t static_ticks; /* of the first page */
    uint64_t rid;         /* of the current document */
    uint32_t ordinal;
    uint64_t random;
    struct query_regex *regexes[QUERY_REGEX_CACHE];
    size_t regex_next;
};

void query_eval_init(struct query_eval *ev, const struct query *q, struct arena *slots_arena,
                     struct errinfo *ei);
void query_eval_done(struct query_eval *ev);
const struct json *query_eval_expr(struct query_eval *ev,
                                   const struct query_expr *e);          /* never NULL */
bool query_eval_true(struct query_eval *ev, const struct query_expr *e); /* NULL e: true */
/* Records the first failure and returns undefined. */
const struct json *query_eval_fail(struct query_eval *ev, enum err code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/* One unit of work; false when the evaluation must stop (failure or time). */
bool query_eval_step(struct query_eval *ev);
/* Memory of the row arena, or NULL with a failure when the row needs too much. */
void *query_eval_alloc(struct query_eval *ev, size_t n);
/* Accounts for kept memory; false with a failure when it is too much. */
bool query_eval_keep(struct query_eval *ev, size_t n);
const struct json *query_compare(enum query_op op, const struct json *a, const struct json *b);
bool query_like(struct str s, struct str pattern, uint32_t escape); /* escape 0 = none */

/* Results of functions. */
const struct json *query_number(struct query_eval *ev, double d); /* NaN, inf: undefined */
const struct json *query_string(struct query_eval *ev, struct str s);
const struct json *query_concat(struct query_eval *ev, const struct json *const *args, size_t n);
const struct json *query_make_object(struct query_eval *ev, const struct str *keys,
                                     const struct json *const *values, size_t n, bool may_repeat);
bool query_to_int(const struct json *v, int64_t *ret); /* a number that is an integer in range */

struct query_regex *query_regex_new(struct str pattern, struct str modifiers,
                                    struct str *ret_problem);
void query_regex_free(struct query_regex *r);

/* ---- sets of values ---- */

/* Remembers values by a 128-bit hash of their key: small, and good enough for what a query removes
 * from its own answer. */
struct query_set {
    struct map map;
    struct buf key;
    bool is_open;
};
void query_set_init(struct query_set *s, struct query_eval *ev);
void query_set_done(struct query_set *s);
/* True when v was not there yet. False also on failure. */
bool query_set_add(struct query_set *s, struct query_eval *ev, const struct json *v);

/* ---- aggregates ---- */

struct query_agg_state {
    uint64_t count;
    double sum;
    bool is_bad;             /* result is undefined */
    const struct json *best; /* owned clone */
    size_t best_size;
    const struct json **list; /* owned clones */
    size_t list_count, list_cap;
    struct query_set set; /* of MAKESET */
};
void query_agg_add(struct query_eval *ev, const struct query_agg *a, struct query_agg_state *st);
const struct json *query_agg_result(struct query_eval *ev, const struct query_agg *a,
                                    const struct query_agg_state *st);
void query_agg_done(struct query_agg_state *st);

/* ---- running a select ---- */

enum query_flow {
    FLOW_MORE,
    FLOW_STOP, /* no more rows wanted, or ev->err is set */
};
typedef enum query_flow (*query_emit)(void *ctx, const struct json *row);

/* A select in expressions and in JOIN: runs over the current slots. Rows live in ev->arena. */
void query_run_nested(struct query_eval *ev, const struct query_select *s, query_emit emit,
                      void *emit_ctx);

/* The outermost select: fed document by document. Rows go to `emit`, which gives them as the select
 * list makes them. `order`, for QUERY_SORT, gets every row instead, unprojected, with the slots
 * bound. OFFSET, LIMIT and TOP of the outermost select are applied here only for QUERY_WHOLE. */
struct query_run;
struct query_run_hooks {
    query_emit emit;
    enum query_flow (*order)(void *ctx);
    void *ctx;
};
struct query_run *query_run_new(struct query_eval *ev, const struct query *q,
                                const struct query_run_hooks *hooks);
void query_run_free(struct query_run *r);
/* FLOW_STOP: no more documents are wanted; query_run_finish() is called all the same. */
enum query_flow query_run_doc(struct query_run *r, const struct json *doc);
/* After the last document: groups and sorted rows come now. */
enum query_flow query_run_finish(struct query_run *r);
/* The row as the select list makes it; undefined when there is none. */
const struct json *query_run_project(struct query_eval *ev, const struct query_select *s);

/* ---- sorting ---- */

struct query_row {
    const struct json **keys; /* clones, inside the row's block */
    const struct json *value; /* clone; or NULL and text */
    struct str text;          /* projected JSON */
    uint32_t ordinal;
    uint64_t rid;
    uint64_t row_idx; /* within the document */
    size_t size;      /* of everything, for accounting */
};

struct query_sort {
    struct query_eval *ev;
    const struct query_order *order;
    size_t key_count;
    bool is_rid_descending;
    size_t row_max;          /* keep the best so many; 0 = all */
    size_t size_max;         /* keep rows while the better ones fill less; 0 = no limit */
    struct query_row **rows; /* a heap with the worst on top while filling */
    size_t count, cap;
    size_t text_size; /* of all rows' text */
    bool has_dropped; /* rows were left out */
};
void query_sort_init(struct query_sort *s, struct query_eval *ev, const struct query_select *sel);
void query_sort_done(struct query_sort *s);
int query_sort_cmp(const struct query_sort *s, const struct query_row *a,
                   const struct query_row *b);
/* Whether a row with these keys would be kept. */
bool query_sort_wants(const struct query_sort *s, const struct query_row *row);
/* Copies everything. False on failure (memory). */
bool query_sort_add(struct query_sort *s, const struct query_row *row);
void query_sort_finish(struct query_sort *s); /* rows in order from now on */

/* ---- continuation tokens ---- */

enum query_token_kind {
    QTOKEN_STREAM = 1,
    QTOKEN_STREAM_LONG = 2, /* position too long: prefix, hash and count */
    QTOKEN_SORT = 3,
    QTOKEN_SKIP = 4, /* number of rows returned before */
};

struct query_cursor {
    enum query_token_kind kind;
    uint64_t hash; /* of query and scope */
    int64_t static_ticks;
    uint64_t offset_left;
    uint64_t limit_left; /* UINT64_MAX = none */
    /* stream: everything up to here is done, and skip_rows rows of document skip_rid after it */
    bool has_position;
    uint32_t ordinal;
    struct str position;     /* LONG: a prefix */
    uint64_t position_hash;  /* LONG */
    uint32_t position_count; /* LONG: documents from the prefix up to and including the last */
    uint64_t skip_rows;
    uint64_t skip_rid;
    /* sort: the last row returned */
    uint64_t rid;
    uint64_t row_idx;
    const struct json **keys;
    size_t key_count;
    /* sort and skip: rows returned before */
    uint64_t skip;
};
enum { QUERY_CURSOR_PREFIX_MAX = 256 }; /* of a LONG position: fits the smallest token */
/* False: does not fit (nothing usable in out). */
bool query_cursor_encode(const struct query_cursor *c, size_t size_max, struct buf *out);
enum err query_cursor_decode(struct str token, struct arena *a, struct query_cursor *ret,
                             struct errinfo *ei) MUST_CHECK;
