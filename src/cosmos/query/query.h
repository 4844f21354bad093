/* The Cosmos DB for NoSQL query language: compile once, run page by page.
 *
 *   struct query *q;
 *   TRY(query_compile(&arena, text, params, NULL, &q, ei));          // 400 on any error
 *   query_info(q), query_pinned_id(q), query_pinned_keys(q, ...)     // where to send it
 *   TRY(query_page_run(q, &source, &opts, on_row, ctx, &page, &token, ei));
 *   ... the client comes back with `token` in opts.continuation, perhaps at another region.
 *
 * The caller owns scanning: it gives documents through `struct query_source` in a stable order
 * (partition ordinal, then key) and may restrict them (one logical partition, one range). This
 * module knows no storage, no clock and keeps nothing between pages: a continuation token holds
 * all that is needed, so it survives restarts and works at any region that has the documents.
 *
 * Ways of running, see enum query_class:
 *   STREAM   rows come in scan order; a page reads only what it returns;
 *   SORT     ORDER BY: each page scans everything once and keeps one page of best rows;
 *   WHOLE    aggregates, GROUP BY, DISTINCT: each page computes the whole answer under a memory
 *            limit and skips what was returned before.
 *
 * Semantics worth knowing: values are those of JSON plus `undefined`; `=` and `!=` between values
 * of different types are false and true, as programs in the field expect (`c.x != null`), the
 * ordering comparisons are undefined; AND, OR and NOT are three-valued; a row is kept only when
 * the filter is exactly true. Order across types is that of enum json_type. Ties of ORDER BY are
 * broken by ordinal, then rid (descending if any key is), then position inside the document.
 *
 * Not implemented, and refused with a message that says so: user-defined functions, spatial,
 * vector and full text functions, ORDER BY RANK.
 *
 * Ownership: a query lives in the arena it was compiled into, which must outlive its use; it is
 * immutable and may be used by several threads at once, each with its own page run.
 *
 * Errors: messages of compile errors are the JSON text that the real service puts into its error
 * body: {"errors":[{"severity":"Error","location":{"start":7,"end":8},"code":"SC1001",
 * "message":"Syntax error, incorrect syntax near 'x'."}]}, offsets in UTF-16 units. ERR_SYNTAX,
 * ERR_INVALID (token) and, from this module only, also ERR_UNSUPPORTED are to be answered with
 * status 400. ERR_LIMIT (a query needs too much memory) is 413, or 400 from query_compile. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "json/json.h"

struct query;

enum {
    QUERY_TEXT_SIZE_MAX = 256 << 10,
    QUERY_DEPTH_MAX = 160,    /* nesting of expressions and subqueries */
    QUERY_JOINS_MAX = 5,      /* in one FROM clause */
    QUERY_NODES_MAX = 200000, /* expressions in one query */
    QUERY_SLOTS_MAX = 1024,   /* bindings, group keys and aggregates in one query */
    QUERY_PARAMS_MAX = 4096,
    QUERY_PARAM_NAME_MAX = 256,
    QUERY_ORDER_KEYS_MAX = 16,
    QUERY_GROUP_KEYS_MAX = 32,
    QUERY_PK_PATHS_MAX = 3,
    QUERY_POSITION_SIZE_MAX = 4096, /* of a source's position */
    QUERY_ITEMS_DEFAULT = 100,
    QUERY_ITEMS_MAX = 1000,
    QUERY_PAGE_SIZE_DEFAULT = 4 << 20,
    QUERY_TOKEN_SIZE_DEFAULT = 1024,
    QUERY_TOKEN_SIZE_MIN = 512,
    QUERY_MEMORY_DEFAULT = 64 << 20,
};

/* 0 in a field means the maximum above; larger values are cut to it. */
struct query_limits {
    size_t text_size_max;
    int depth_max;
    int joins_max;
    size_t nodes_max;
};

/* ---- compile ---- */

/* `params` is the request's JSON array of {"name":"@x","value":...}, or NULL; it must live as long
 * as the query. */
enum err query_compile(struct arena *a, struct str text, const struct json *params,
                       const struct query_limits *limits, struct query **ret,
                       struct errinfo *ei) MUST_CHECK;

/* The condition of a patch: `from c where c.x = 1`. Only for query_condition(). */
enum err query_compile_condition(struct arena *a, struct str text,
                                 const struct query_limits *limits, struct query **ret,
                                 struct errinfo *ei) MUST_CHECK;

/* ---- analysis ---- */

enum query_class {
    QUERY_STREAM,
    QUERY_SORT,
    QUERY_WHOLE,
};

struct query_info {
    enum query_class class;
    bool is_ordered;    /* outermost ORDER BY */
    bool is_aggregated; /* aggregate functions or GROUP BY, outermost or in FROM (SELECT ...) */
    bool is_distinct;
    bool has_top_or_limit;
    bool has_from;    /* false: the answer does not depend on documents; nothing is scanned */
    bool is_verbatim; /* SELECT * without filter and order: documents are copied unparsed */
    /* For the header x-ms-cosmos-query-execution-info, so that all SDKs agree how ties go:
     * {"reverseRidEnabled":false,"reverseIndexScan":<this>}. */
    bool is_rid_descending;
    uint64_t hash; /* of text and parameters */
};
struct query_info query_info(const struct query *q);

/* The filter can only hold for documents whose id is this string. */
bool query_pinned_id(const struct query *q, struct str *ret);

/* Constants to which the filter pins the container's partition key, as far as the leading paths
 * go: returns how many of `paths` ("/a/b", "/\"x y\"") are pinned by equalities that are joined by
 * AND at the top, and their values. Equal to n: one logical partition. */
size_t query_pinned_keys(const struct query *q, const struct str *paths, size_t n,
                         const struct json *ret_values[QUERY_PK_PATHS_MAX]);

/* Single items: the filter can only hold for items with one of these ids and partition keys, as
 * in `c.id = 'a' AND c.pk = 1`, `c.pk = 1 AND c.id IN ('a', 'b')`, or several such alternatives
 * joined by OR, which is how SDKs read many items at once. False when it is not so, or there are
 * more than `max`. An item may be named twice; the filter must still be applied. */
struct query_point {
    struct str id;
    const struct json *keys[QUERY_PK_PATHS_MAX]; /* one per path */
};
bool query_pinned_points(const struct query *q, const struct str *paths, size_t n, size_t max,
                         struct query_point *ret, size_t *ret_count);

/* ---- running ---- */

struct query_doc {
    struct str text;     /* the item as JSON, system properties included */
    uint64_t rid;        /* item number; breaks ties of ORDER BY */
    uint32_t ordinal;    /* of the partition; never falls during a scan; stable between pages */
    struct str position; /* opaque, grows bytewise within a partition, e.g. the engine key */
};

/* Both return OK or an error of the storage, which ends the page with that error. What a document
 * points to stays valid until the next call. */
struct query_source {
    void *ctx;
    /* *ret_has false: no more documents; *ret_doc untouched. */
    enum err (*next)(void *ctx, struct query_doc *ret_doc, bool *ret_has, struct errinfo *ei);
    /* The next document is the first of partition `ordinal` whose position is above `position`
     * (empty: the first of the partition), or of a later partition. */
    enum err (*seek)(void *ctx, uint32_t ordinal, struct str position, struct errinfo *ei);
};

struct query_page_opts {
    int64_t item_max;        /* rows of the page; <= 0: the default; capped */
    size_t size_max;         /* bytes of rows; 0 = default. One row is always returned */
    uint64_t doc_max;        /* documents read in one page of a STREAM query; 0 = no limit */
    size_t token_size_max;   /* bytes of the continuation; 0 = default; at least the minimum */
    size_t memory_max;       /* of SORT and WHOLE, and of one row's evaluation; 0 = default */
    int64_t now_ticks;       /* 100 ns since 1970, for the clock functions */
    struct str continuation; /* n == 0: first page */
    uint64_t scope;          /* what the query runs on (container, partition key): a token of
                                another scope is refused */
    /* Asked now and then; true ends the page: a STREAM page with what it has and a continuation,
     * others with ERR_TIMEOUT. NULL = never. */
    bool (*is_expired)(void *ctx);
    void *expired_ctx;
};

struct query_page {
    uint64_t row_count;
    uint64_t row_size;  /* bytes of all rows */
    uint64_t doc_count; /* documents read */
    uint64_t doc_size;
};

/* One element of the answer; the text dies after the call. An error ends the page. */
typedef enum err (*query_row_fn)(void *ctx, struct str json_text, struct errinfo *ei);

/* `ret_token` is cleared first; empty afterwards means that this was the last page. An empty page
 * with a token is normal. ERR_INVALID: the continuation is garbage or of another query. */
enum err query_page_run(const struct query *q, const struct query_source *source,
                        const struct query_page_opts *opts, query_row_fn on_row, void *row_ctx,
                        struct query_page *ret_page, struct buf *ret_token,
                        struct errinfo *ei) MUST_CHECK;

/* Whether the condition is true for one document. */
enum err query_condition(const struct query *q, struct str doc_text, int64_t now_ticks, bool *ret,
                         struct errinfo *ei) MUST_CHECK;

/* ---- query plan (for SDKs that merge on their side) ---- */

struct query_plan_opts {
    const struct str *pk_paths; /* of the container */
    size_t pk_path_count;
    bool has_partition_key; /* the request names one logical partition */
    /* Value of x-ms-cosmos-supported-query-features; empty = everything. */
    struct str features;
    /* JSON array for "queryRanges", made by the caller from query_pinned_keys(); empty = the whole
     * range of keys. */
    struct str ranges_json;
};

/* Appends the plan's JSON to `out`. 400 when the form cannot be merged by a client or needs a
 * feature that the client does not have. */
enum err query_plan(const struct query *q, const struct query_plan_opts *opts, struct buf *out,
                    struct errinfo *ei) MUST_CHECK;
