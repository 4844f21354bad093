/* Feeds and queries over documents: one executor (cosmos/query) over scans of the engine. A plain feed
 * is the query `SELECT * FROM c`. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "cosmos/feed.h"
#include "cosmos/items.h"
#include "cosmos/query/query.h"
#include "cosmos/service_int.h"

enum { DOCS_PER_PAGE_MAX = 20000, PAGE_TIME_MS = 2000, POINTS_MAX = 1000 };

/* ---- scanning ---- */

struct scan {
    struct op *op;
    struct feed *f;
    struct engine *engine;
    struct engine_snap *snap;
    struct engine_iter *it; /* NULL before the first partition */
    size_t ordinal;         /* of `it` */
    size_t point_at;        /* next of f->points */
    struct buf hold;        /* the document that was looked up */
    uint64_t now_s;
};

static bool is_expired(const struct scan *s, const struct engine_doc *doc)
{
    return doc->version.expire_at != 0 && doc->version.expire_at <= s->now_s;
}

static void give(const struct scan *s, const struct engine_doc *doc, size_t ordinal, struct str key,
                 struct query_doc *ret)
{
    *ret = (struct query_doc){.text = s->f->shown ? s->f->shown(s->op, doc->text) : doc->text,
                              .rid = doc->rid,
                              .ordinal = (uint32_t)ordinal,
                              .position = key};
}

static void scan_open(struct scan *s, size_t ordinal, struct str above)
{
    struct buf from;
    buf_init(&from, ENGINE_KEY_SIZE_MAX);
    /* The first key above `above`: itself with a zero byte behind it. */
    if (above.n > 0 && str_cmp(above, s->f->from) >= 0) {
        buf_add_str(&from, above);
        buf_add_u8(&from, 0);
    } else {
        buf_add_str(&from, s->f->from);
    }
    if (s->it) {
        engine_iter_free(s->it);
    }
    s->ordinal = ordinal;
    s->it =
        engine_scan(s->engine, s->snap, s->f->pids[ordinal], s->f->space, buf_str(&from), s->f->to);
    buf_done(&from);
}

static enum err points_next(struct scan *s, struct query_doc *ret, bool *ret_has,
                            struct errinfo *ei)
{
    while (s->point_at < s->f->point_count) {
        const struct feed_point *p = &s->f->points[s->point_at++];
        struct engine_doc doc;
        enum err err = engine_get(s->engine, s->snap, s->f->pids[p->ordinal], s->f->space, p->key,
                                  /* want_text= */ true, &s->hold, &doc, ei);
        if (err == OK && !is_expired(s, &doc)) {
            give(s, &doc, p->ordinal, p->key, ret);
            *ret_has = true;
            return OK;
        }
        if (err != OK && err != ERR_NOT_FOUND) {
            return op_note_unreadable(s->op, s->f->pids[p->ordinal], ei);
        }
    }
    return OK;
}

static enum err scan_next(void *ctx, struct query_doc *ret, bool *ret_has, struct errinfo *ei)
{
    struct scan *s = ctx;
    struct engine_row row;
    *ret_has = false;
    if (s->f->points) {
        return points_next(s, ret, ret_has, ei);
    }
    if (!s->it && s->f->first < s->f->end) {
        scan_open(s, s->f->first, STR(""));
    }
    while (s->it) {
        if (engine_iter_next(s->it, &row)) {
            if (is_expired(s, &row.doc)) {
                continue;
            }
            give(s, &row.doc, s->ordinal, row.key, ret);
            *ret_has = true;
            return OK;
        }
        if (engine_iter_err(s->it, ei) != OK) {
            return op_note_unreadable(s->op, s->f->pids[s->ordinal], ei);
        }
        if (s->ordinal + 1 >= s->f->end) {
            return OK;
        }
        scan_open(s, s->ordinal + 1, STR(""));
    }
    return OK;
}

static void points_seek(struct scan *s, size_t ordinal, struct str position)
{
    const struct feed_point *p = s->f->points;
    s->point_at = 0;
    while (s->point_at < s->f->point_count &&
           (p[s->point_at].ordinal < ordinal ||
            (p[s->point_at].ordinal == ordinal && str_cmp(p[s->point_at].key, position) <= 0))) {
        s->point_at++;
    }
}

static enum err scan_seek(void *ctx, uint32_t ordinal, struct str position, struct errinfo *ei)
{
    struct scan *s = ctx;
    size_t at = ordinal < s->f->first ? s->f->first : ordinal;
    if (position.n >= ENGINE_KEY_SIZE_MAX) { /* a zero byte goes behind it; ours are shorter */
        return err_set(ei, ERR_INVALID, "the continuation does not belong to this feed");
    }
    if (s->f->points) {
        points_seek(s, ordinal, position);
        return OK;
    }
    if (at >= s->f->end) {
        return err_set(ei, ERR_INVALID, "the continuation does not belong to this feed");
    }
    scan_open(s, at, ordinal < s->f->first ? STR("") : position);
    return OK;
}

/* ---- running ---- */

struct rows {
    struct buf *body;
    size_t count;
};

static enum err on_row(void *ctx, struct str text, struct errinfo *ei)
{
    UNUSED(ei);
    struct rows *r = ctx;
    if (r->count++ > 0) {
        buf_add_char(r->body, ',');
    }
    buf_add_str(r->body, text);
    return OK;
}

static bool is_late(void *ctx)
{
    return clock_boot_us() > *(const usec *)ctx;
}

static void add_metrics(struct op *op, const struct query_page *page, usec took_us)
{
    if (!op_flag(op, STR("x-ms-documentdb-populatequerymetrics"))) {
        return;
    }
    double ms = (double)took_us / 1000.0;
    op_header(op, STR("x-ms-documentdb-query-metrics"),
              arena_printf(
                  &op->req->arena,
                  "totalExecutionTimeInMs=%.2f;queryCompileTimeInMs=0.01;"
                  "queryLogicalPlanBuildTimeInMs=0.01;"
                  "queryPhysicalPlanBuildTimeInMs=0.01;queryOptimizationTimeInMs=0.00;"
                  "VMExecutionTimeInMs=%.2f;"
                  "indexLookupTimeInMs=0.00;instructionCount=0;documentLoadTimeInMs=%.2f;"
                  "systemFunctionExecuteTimeInMs=0.00;userFunctionExecuteTimeInMs=0.00;"
                  "retrievedDocumentCount=%" PRIu64 ";retrievedDocumentSize=%" PRIu64
                  ";outputDocumentCount=%" PRIu64 ";outputDocumentSize=%" PRIu64
                  ";writeOutputTimeInMs=0.00;indexUtilizationRatio=%.2f",
                  ms, ms, ms, page->doc_count, page->doc_size, page->row_count, page->row_size,
                  page->doc_count > 0 ? (double)page->row_count / (double)page->doc_count : 1.0));
}

static void confirmed(struct op *op, enum err err)
{
    struct feed *f = op->state;
    struct errinfo ei = {0};
    if (err != OK) {
        err_set(&ei, err, "the read could not be confirmed at the asked consistency level");
        buf_done(&f->body);
        op_fail(op, &ei);
        return;
    }
    /* The body leaves the arena-allocated feed before the request, and with it the feed, ends. */
    struct buf body = f->body;
    op_answer(op, 200, &body);
    buf_done(&body);
}

static void confirm_next(struct op *op, enum err err)
{
    struct feed *f = op->state;
    if (op->coll && !op_is_readable(op, f->first, f->end)) {
        err = ERR_UNAVAILABLE;
    }
    while (op->coll && op_is_strong(op) && err == OK && f->confirm_at < f->end) {
        size_t at = f->confirm_at++;
        if (f->needs[at - f->first] > 0) {
            op_confirm(op, at, f->needs[at - f->first], confirm_next);
            return;
        }
    }
    confirmed(op, err == OK && op->coll ? op_check_lease(op) : err);
}

static void note_tails(struct op *op, struct feed *f, struct engine_snap *snap)
{
    for (size_t i = f->first; i < f->end; i++) {
        struct engine_part_meta meta;
        struct buf extra;
        buf_init(&extra, 1 << 20);
        if (engine_part_meta_get(op->service->engine, snap, f->pids[i], &extra, &meta, NULL) ==
            OK) {
            f->needs[i - f->first] = meta.tail_lsn;
            if (i == f->first) {
                op->token_lsn = meta.tail_lsn;
            }
        }
        buf_done(&extra);
    }
}

static void run(struct op *op)
{
    struct feed *f = op->state;
    struct cosmos_service *s = op->service;
    struct errinfo ei = {0};
    usec start = clock_boot_us();
    usec until = start + PAGE_TIME_MS * UINT64_C(1000);
    struct scan scan = {.f = f,
                        .op = op,
                        .engine = s->engine,
                        .snap = engine_snap_get(s->engine),
                        .now_s = (uint64_t)op_now_s(op)};
    buf_init(&scan.hold, ENGINE_DOC_SIZE_MAX + (64 << 10));
    struct query_source source = {.ctx = &scan, .next = scan_next, .seek = scan_seek};
    struct query_page_opts opts = {
        .item_max = (int64_t)op_page_size(op),
        .size_max = PAGE_SIZE_MAX,
        .doc_max = DOCS_PER_PAGE_MAX,
        .now_ticks = clock_wall_ms() * 10000,
        .continuation = http_header(op->req, STR("x-ms-continuation")),
        .scope = f->scope,
        .is_expired = is_late,
        .expired_ctx = &until,
    };
    uint64_t kb = 0;
    if (str_to_u64(http_header(op->req, STR("x-ms-documentdb-responsecontinuationtokenlimitinkb")),
                   &kb) &&
        kb > 0) {
        opts.token_size_max = (size_t)(kb > 16 ? 16 : kb) * 1024;
    }
    if (f->is_feed) {
        opts.item_max = opts.item_max > 0 ? opts.item_max : QUERY_ITEMS_DEFAULT;
    }
    struct buf token;
    struct query_page page = {0};
    buf_init(&token, 64 << 10);
    buf_init(&f->body, 64 << 20);
    buf_add_cstr(&f->body, "{\"_rid\":\"");
    buf_add_str(&f->body, f->rid);
    buf_printf(&f->body, "\",\"%s\":[", f->feed_key);
    struct rows rows = {.body = &f->body};
    f->needs = ARENA_NEW_ARRAY(&op->req->arena, lsn, f->end - f->first + 1);
    note_tails(op, f, scan.snap);
    enum err err = query_page_run(f->query, &source, &opts, on_row, &rows, &page, &token, &ei);
    engine_iter_free(scan.it);
    buf_done(&scan.hold);
    engine_snap_release(s->engine, scan.snap);
    if (err != OK) {
        int status = err == ERR_UNSUPPORTED ? 400 : err_http_status(err);
        buf_done(&token);
        buf_done(&f->body);
        op_fail_with(op, status, 0, "%s", ei.message);
        return;
    }
    buf_printf(&f->body, "],\"_count\":%zu}", rows.count);
    op_header(op, STR("x-ms-item-count"), arena_printf(&op->req->arena, "%zu", rows.count));
    if (token.n > 0) {
        op_header(op, STR("x-ms-continuation"), arena_str(&op->req->arena, buf_str(&token)));
    }
    struct query_info info = query_info(f->query);
    if (info.is_ordered) {
        op_header(op, STR("x-ms-cosmos-query-execution-info"),
                  info.is_rid_descending
                      ? STR("{\"reverseRidEnabled\":false,\"reverseIndexScan\":true}")
                      : STR("{\"reverseRidEnabled\":false,\"reverseIndexScan\":false}"));
    }
    buf_done(&token);
    op->charge = 2.2 + (double)page.doc_size / 10240.0 + (double)page.row_size / 2048.0;
    add_metrics(op, &page, clock_boot_us() - start);
    f->confirm_at = f->first;
    confirm_next(op, OK);
}

void feed_run(struct op *op, struct feed *f)
{
    op->state = f;
    if (op->coll) {
        op_gate(op, f->first, f->end, run);
    } else {
        run(op);
    }
}

/* ---- what a request on a container covers ---- */

enum err feed_over_container(struct op *op, struct feed *f, enum engine_space space,
                             struct errinfo *ei)
{
    struct arena *a = &op->req->arena;
    struct container *c = op->coll;
    f->space = space;
    f->rid = c->rid;
    f->first = 0;
    f->end = c->part_count;
    f->scope = str_hash(c->rid, (uint64_t)space);
    pid *pids = ARENA_NEW_ARRAY(a, pid, c->part_count);
    for (size_t i = 0; i < c->part_count; i++) {
        pids[i] = c->parts[i]->pid;
    }
    f->pids = pids;
    TRY(op_read_pk(op, false, true, ei));
    struct str range = http_header(op->req, STR("x-ms-documentdb-partitionkeyrangeid"));
    struct buf from;
    struct buf to;
    buf_init(&from, ENGINE_KEY_SIZE_MAX);
    buf_init(&to, ENGINE_KEY_SIZE_MAX);
    enum err err = OK;
    if (op->has_pk) {
        struct buf epk;
        buf_init(&epk, EPK_SIZE_MAX);
        key_prefix(&op->pk, c->path_count, &from);
        key_after(buf_str(&from), &to);
        epk_of(&op->pk, &epk);
        f->first = container_ordinal(c, buf_str(&epk));
        f->end = f->first + 1;
        buf_done(&epk);
    } else if (range.n > 0) {
        uint64_t ordinal = 0;
        if (!str_to_u64(range, &ordinal) || ordinal >= c->part_count) {
            buf_done(&from);
            buf_done(&to);
            f->is_range_gone = true;
            return err_set(ei, ERR_INVALID, "the partition key range does not exist");
        }
        f->first = (size_t)ordinal;
        f->end = f->first + 1;
    }
    struct str start_epk = http_header(op->req, STR("x-ms-start-epk"));
    struct str end_epk = http_header(op->req, STR("x-ms-end-epk"));
    if (!op->has_pk && (start_epk.n > 0 || end_epk.n > 0)) {
        err = epk_parse(start_epk, &from, ei);
        if (err == OK && end_epk.n > 0) {
            err = epk_parse(end_epk, &to, ei);
        }
    }
    f->from = arena_str(a, buf_str(&from));
    f->to = arena_str(a, buf_str(&to));
    f->scope = str_hash(f->from, f->scope ^ (uint64_t)f->first);
    buf_done(&from);
    buf_done(&to);
    return err;
}

static enum err compile_star(struct op *op, struct feed *f, struct errinfo *ei)
{
    f->is_feed = true;
    return query_compile(&op->req->arena, STR("SELECT * FROM c"), NULL, NULL, &f->query, ei);
}

enum err feed_compile_body(struct op *op, struct feed *f, struct errinfo *ei)
{
    const struct json *body = NULL;
    struct str text = STR("");
    TRY(op_body(op, &body, ei));
    if (!json_get_str(body, STR("query"), &text)) {
        return err_set(ei, ERR_INVALID, "the body of a query needs a string 'query'");
    }
    return query_compile(&op->req->arena, text, json_get(body, STR("parameters")), NULL, &f->query,
                         ei);
}

void feed_fail(struct op *op, const struct feed *f, enum err err, const struct errinfo *ei)
{
    if (f->is_range_gone) {
        op_fail_with(op, 410, 1002, "%s", ei->message);
    } else if (err == ERR_UNSUPPORTED || err == ERR_SYNTAX || err == ERR_LIMIT) {
        op_fail_with(op, 400, 0, "%s", ei->message);
    } else {
        op_fail(op, ei);
    }
}

void feed_docs(struct op *op)
{
    struct errinfo ei = {0};
    struct feed *f = ARENA_NEW(&op->req->arena, struct feed);
    f->feed_key = "Documents";
    enum err err = feed_over_container(op, f, SPACE_ITEM, &ei);
    if (err == OK) {
        err = compile_star(op, f, &ei);
    }
    if (err != OK) {
        feed_fail(op, f, err, &ei);
        return;
    }
    feed_run(op, f);
}

static int point_cmp(const void *a, const void *b)
{
    const struct feed_point *x = a;
    const struct feed_point *y = b;
    return x->ordinal != y->ordinal ? (x->ordinal < y->ordinal ? -1 : 1) : str_cmp(x->key, y->key);
}

static bool is_covered(const struct feed *f, const struct feed_point *p)
{
    return p->ordinal >= f->first && p->ordinal < f->end && str_cmp(p->key, f->from) >= 0 &&
           (f->to.n == 0 || str_cmp(p->key, f->to) < 0);
}

/* A filter that names single items, as SDKs do to read many at once: they are looked up. */
static bool narrow_to_points(struct op *op, struct feed *f)
{
    struct arena *a = &op->req->arena;
    struct container *c = op->coll;
    struct query_point *found = ARENA_NEW_ARRAY(a, struct query_point, POINTS_MAX);
    size_t found_count = 0;
    if (!query_pinned_points(f->query, c->path_texts, c->path_count, POINTS_MAX, found,
                             &found_count)) {
        return false;
    }
    struct feed_point *points = ARENA_NEW_ARRAY(a, struct feed_point, found_count + 1);
    size_t n = 0;
    for (size_t i = 0; i < found_count; i++) {
        struct item_op it = {.coll = c, .id = found[i].id};
        if (it.id.n > ITEM_ID_SIZE_MAX ||
            pk_of_values(found[i].keys, c->path_count, &it.pk, NULL) != OK) {
            continue; /* no item can have such a name */
        }
        item_op_key(a, &it);
        points[n] = (struct feed_point){it.ordinal, it.key};
        n += is_covered(f, &points[n]) ? 1 : 0;
    }
    qsort(points, n, sizeof(points[0]), point_cmp);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || point_cmp(&points[kept - 1], &points[i]) != 0) {
            points[kept++] = points[i];
        }
    }
    f->points = points;
    f->point_count = kept;
    if (kept > 0) {
        f->first = points[0].ordinal;
        f->end = points[kept - 1].ordinal + 1;
    }
    return true;
}

/* A filter that pins the whole partition key needs only that logical partition. */
static void narrow_to_key(struct op *op, struct feed *f)
{
    const struct json *values[QUERY_PK_PATHS_MAX];
    struct container *c = op->coll;
    struct item_op any = {.coll = c, .id = STR("")};
    if (op->has_pk || f->from.n > 0 || f->to.n > 0 ||
        query_pinned_keys(f->query, c->path_texts, c->path_count, values) != c->path_count ||
        pk_of_values(values, c->path_count, &any.pk, NULL) != OK) {
        return;
    }
    item_op_key(&op->req->arena, &any);
    if (any.ordinal >= f->first && any.ordinal < f->end) {
        struct buf to;
        buf_init(&to, ENGINE_KEY_SIZE_MAX);
        key_after(any.key, &to);
        f->first = any.ordinal;
        f->end = any.ordinal + 1;
        f->from = any.key;
        f->to = arena_str(&op->req->arena, buf_str(&to));
        buf_done(&to);
    }
}

void feed_query(struct op *op)
{
    struct errinfo ei = {0};
    struct feed *f = ARENA_NEW(&op->req->arena, struct feed);
    f->feed_key = "Documents";
    enum err err = feed_over_container(op, f, SPACE_ITEM, &ei);
    if (err == OK) {
        err = feed_compile_body(op, f, &ei);
    }
    if (err != OK) {
        feed_fail(op, f, err, &ei);
        return;
    }
    if (!narrow_to_points(op, f)) {
        narrow_to_key(op, f);
    }
    feed_run(op, f);
}

void feed_plan(struct op *op)
{
    struct errinfo ei = {0};
    struct feed f = {0};
    struct buf body;
    buf_init(&body, 1 << 20);
    enum err err = op_read_pk(op, false, true, &ei);
    if (err == OK) {
        err = feed_compile_body(op, &f, &ei);
    }
    if (err == OK) {
        struct query_plan_opts opts = {
            .pk_paths = op->coll->path_texts,
            .pk_path_count = op->coll->path_count,
            .has_partition_key = op->has_pk && op->pk.count == op->coll->path_count,
            .features = http_header(op->req, STR("x-ms-cosmos-supported-query-features")),
        };
        err = query_plan(f.query, &opts, &body, &ei);
    }
    op->charge = 0;
    if (err != OK) {
        feed_fail(op, &f, err, &ei);
    } else {
        op_answer(op, 200, &body);
    }
    buf_done(&body);
}
