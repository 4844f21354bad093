/* Pages: drives the scan, counts rows and bytes, makes continuation tokens. One function per class
 * of query; see query.h for what each promises.
 *
 * STREAM remembers the position of the last document that is done. A document that makes several
 * rows (JOIN) may end a page in its middle: then the token also says how many of its rows are out,
 * and the next page makes them again without returning them. */
#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum { BYTES_PER_STEP = 1024 }; /* of documents read, for looking at the clock */

struct page {
    const struct query *q;
    const struct query_source *source;
    const struct query_page_opts *opts;
    query_row_fn on_row;
    void *row_ctx;
    struct query_eval ev;
    struct errinfo ei;      /* of the evaluation: a time-out may turn into a short page */
    struct arena arena;     /* slots and the incoming cursor */
    struct arena doc_arena; /* the current document */
    struct query_run *run;
    uint64_t item_max;
    size_t size_max;
    size_t token_max;
    struct query_cursor in; /* kind 0: first page */
    struct query_page count;
    struct buf row;      /* text of the row being written */
    uint64_t row_in_doc; /* rows the current document made so far */
    uint64_t offset_left;
    uint64_t limit_left;
    bool is_end;   /* LIMIT reached: no token */
    bool has_more; /* a row was left for the next page */
    /* STREAM */
    uint64_t skip_rows; /* of the current document: returned by the page before */
    uint64_t done_rows; /* of the document in which the page ended */
    bool has_position;
    uint32_t ordinal;
    struct buf position; /* of the last document done */
    /* SORT */
    struct query_sort sort;
    struct query_row resume; /* the last row returned */
    bool has_resume;
    /* WHOLE */
    uint64_t seen;
};

/* ---- rows ---- */

static bool is_full(const struct page *p, size_t next_size)
{
    if (p->count.row_count == 0) {
        return false;
    }
    return p->count.row_count >= p->item_max || p->count.row_size + next_size > p->size_max;
}

static enum err put_text(struct page *p, struct str text, struct errinfo *ei)
{
    TRY(p->on_row(p->row_ctx, text, ei));
    p->count.row_count++;
    p->count.row_size += text.n;
    return OK;
}

/* Text of a row in p->row. */
static bool write_row(struct page *p, const struct json *row)
{
    buf_clear(&p->row);
    json_write(&p->row, row);
    if (!buf_ok(&p->row)) {
        (void)query_eval_fail(&p->ev, ERR_LIMIT, "A row is longer than %zu bytes.", p->row.max);
        return false;
    }
    return true;
}

/* ---- documents ---- */

static enum err next_doc(struct page *p, struct query_doc *ret, bool *ret_has, struct errinfo *ei)
{
    TRY(p->source->next(p->source->ctx, ret, ret_has, ei));
    if (*ret_has) {
        ASSERT(ret->position.n <= QUERY_POSITION_SIZE_MAX);
    }
    return OK;
}

/* What is stored was checked when it came in: if it is no JSON now, it is damaged. */
static enum err parse_doc(struct arena *a, struct str text, const struct json **ret,
                          struct errinfo *ei)
{
    struct errinfo why = {0};
    if (json_parse(a, text, NULL, ret, &why) != OK) {
        return err_set(ei, ERR_CORRUPT, "a document is not JSON: %.200s", why.message);
    }
    return OK;
}

/* Counts it, and parses it when the query looks into it. */
static enum err open_doc(struct page *p, const struct query_doc *doc, const struct json **ret,
                         struct errinfo *ei)
{
    p->count.doc_count++;
    p->count.doc_size += doc->text.n;
    p->ev.steps += doc->text.n / BYTES_PER_STEP;
    p->ev.rid = doc->rid;
    p->ev.ordinal = doc->ordinal;
    p->row_in_doc = 0;
    *ret = json_null();
    if (p->q->uses_doc) {
        arena_reset(&p->doc_arena);
        TRY(parse_doc(&p->doc_arena, doc->text, ret, ei));
    }
    return OK;
}

/* ---- life ---- */

static uint64_t scoped_hash(const struct query *q, uint64_t scope)
{
    uint64_t both[2] = {q->info.hash, scope};
    return str_hash(str_make(both, sizeof(both)), 0);
}

static bool fits_class(const struct query *q, const struct query_cursor *c)
{
    switch (q->info.class) {
    case QUERY_STREAM:
        return c->kind == QTOKEN_STREAM || c->kind == QTOKEN_STREAM_LONG;
    case QUERY_SORT:
        return c->kind == QTOKEN_SKIP ||
               (c->kind == QTOKEN_SORT && c->key_count == q->select->order_count);
    case QUERY_WHOLE:
    default:
        return c->kind == QTOKEN_SKIP;
    }
}

static enum err read_token(struct page *p, struct errinfo *ei)
{
    if (p->opts->continuation.n == 0) {
        return OK;
    }
    struct query_cursor c;
    TRY(query_cursor_decode(p->opts->continuation, &p->arena, &c, ei));
    if (c.hash != scoped_hash(p->q, p->opts->scope) || !fits_class(p->q, &c)) {
        return err_set(ei, ERR_INVALID,
                       "invalid continuation token: it belongs to another query, other parameters "
                       "or another scope");
    }
    p->in = c;
    p->ev.static_ticks = c.static_ticks;
    p->offset_left = c.offset_left;
    p->limit_left = c.limit_left;
    return OK;
}

static size_t or_default(size_t v, size_t def)
{
    return v > 0 ? v : def;
}

static void page_init(struct page *p, const struct query *q, const struct query_source *source,
                      const struct query_page_opts *opts, query_row_fn on_row, void *row_ctx)
{
    *p =
        (struct page){.q = q, .source = source, .opts = opts, .on_row = on_row, .row_ctx = row_ctx};
    arena_init(&p->arena);
    arena_init(&p->doc_arena);
    query_eval_init(&p->ev, q, &p->arena, &p->ei);
    p->ev.memory_max = or_default(opts->memory_max, QUERY_MEMORY_DEFAULT);
    p->ev.is_expired = opts->is_expired;
    p->ev.expired_ctx = opts->expired_ctx;
    p->ev.now_ticks = opts->now_ticks;
    p->ev.static_ticks = opts->now_ticks;
    p->ev.random ^= (uint64_t)opts->now_ticks;
    p->item_max = opts->item_max <= 0 ? QUERY_ITEMS_DEFAULT : (uint64_t)opts->item_max;
    p->item_max = p->item_max < QUERY_ITEMS_MAX ? p->item_max : QUERY_ITEMS_MAX;
    p->size_max = or_default(opts->size_max, QUERY_PAGE_SIZE_DEFAULT);
    p->token_max = or_default(opts->token_size_max, QUERY_TOKEN_SIZE_DEFAULT);
    p->token_max = p->token_max > QUERY_TOKEN_SIZE_MIN ? p->token_max : QUERY_TOKEN_SIZE_MIN;
    buf_init(&p->row, p->ev.memory_max);
    buf_init(&p->position, QUERY_POSITION_SIZE_MAX);
    p->limit_left = UINT64_MAX;
    if (q->select->top.expr != NULL) {
        p->limit_left = q->select->top.n;
    }
    if (q->select->offset.expr != NULL) {
        p->offset_left = q->select->offset.n;
        p->limit_left = q->select->limit.n;
    }
}

static void page_done(struct page *p)
{
    query_run_free(p->run);
    if (p->sort.ev != NULL) {
        query_sort_done(&p->sort);
    }
    query_eval_done(&p->ev);
    buf_done(&p->row);
    buf_done(&p->position);
    arena_done(&p->doc_arena);
    arena_done(&p->arena);
}

/* The evaluation's failure becomes the page's. */
static enum err take_failure(const struct page *p, struct errinfo *ei)
{
    if (ei != NULL && ei->code == OK && p->ev.err != OK) {
        *ei = p->ei;
    }
    return p->ev.err;
}

static struct query_cursor new_cursor(const struct page *p, enum query_token_kind kind)
{
    return (struct query_cursor){
        .kind = kind,
        .hash = scoped_hash(p->q, p->opts->scope),
        .static_ticks = p->ev.static_ticks,
        .skip = p->in.skip + p->count.row_count,
        .offset_left = p->offset_left,
        .limit_left = p->limit_left,
    };
}

/* ---- STREAM ---- */

/* A row in scan order; its text is made only when it is returned. */
static enum query_flow stream_row(struct page *p, const struct json *row, struct str text)
{
    uint64_t idx = p->row_in_doc++;
    if (idx < p->skip_rows) {
        return FLOW_MORE;
    }
    if (p->offset_left > 0) {
        p->offset_left--;
        return FLOW_MORE;
    }
    if (row != NULL && !write_row(p, row)) {
        return FLOW_STOP;
    }
    struct str out = row != NULL ? buf_str(&p->row) : text;
    if (is_full(p, out.n)) {
        p->has_more = true;
        p->done_rows = idx;
        return FLOW_STOP;
    }
    p->ev.err = put_text(p, out, &p->ei);
    p->limit_left -= p->limit_left != UINT64_MAX;
    p->is_end = p->limit_left == 0;
    return p->ev.err != OK || p->is_end ? FLOW_STOP : FLOW_MORE;
}

static enum query_flow stream_emit(void *ctx, const struct json *row)
{
    return stream_row((struct page *)ctx, row, STR_NONE);
}

/* Continues after a document whose position did not fit the token. When it is gone, the page
 * begins with the last one before it: a row may come twice, none is lost. */
static enum err seek_long(struct page *p, struct errinfo *ei)
{
    const struct query_source *s = p->source;
    const struct query_cursor *c = &p->in;
    struct query_doc doc;
    bool has = false;
    TRY(s->seek(s->ctx, c->ordinal, c->position, ei));
    for (;;) {
        TRY(next_doc(p, &doc, &has, ei));
        if (!has || doc.ordinal != c->ordinal || !str_starts(doc.position, c->position)) {
            break;
        }
        if (str_hash(doc.position, 0) == c->position_hash) {
            buf_clear(&p->position);
            buf_add_str(&p->position, doc.position);
            return OK;
        }
    }
    TRY(s->seek(s->ctx, c->ordinal, c->position, ei));
    buf_clear(&p->position);
    buf_add_str(&p->position, c->position);
    for (uint32_t i = 1; i < c->position_count; i++) {
        TRY(next_doc(p, &doc, &has, ei));
        if (!has || doc.ordinal != c->ordinal || !str_starts(doc.position, c->position)) {
            return s->seek(s->ctx, c->ordinal, buf_str(&p->position), ei);
        }
        buf_clear(&p->position);
        buf_add_str(&p->position, doc.position);
    }
    return OK;
}

static enum err stream_seek(struct page *p, struct errinfo *ei)
{
    const struct query_cursor *c = &p->in;
    if (c->kind == 0 || !c->has_position) {
        return OK;
    }
    p->has_position = true;
    p->ordinal = c->ordinal;
    if (c->kind == QTOKEN_STREAM_LONG) {
        return seek_long(p, ei);
    }
    buf_add_str(&p->position, c->position);
    return p->source->seek(p->source->ctx, c->ordinal, c->position, ei);
}

/* Documents behind the prefix up to and including the last one done. */
static enum err count_from_prefix(struct page *p, struct query_cursor *c, struct errinfo *ei)
{
    const struct query_source *s = p->source;
    TRY(s->seek(s->ctx, p->ordinal, c->position, ei));
    for (;;) {
        struct query_doc doc;
        bool has = false;
        TRY(next_doc(p, &doc, &has, ei));
        if (!has || doc.ordinal != p->ordinal || str_cmp(doc.position, buf_str(&p->position)) > 0 ||
            c->position_count == UINT32_MAX) {
            break;
        }
        c->position_count++;
    }
    c->position_count += c->position_count == 0; /* it went away meanwhile */
    return OK;
}

static enum err stream_token(struct page *p, uint64_t rid, struct buf *ret_token,
                             struct errinfo *ei)
{
    struct query_cursor c = new_cursor(p, QTOKEN_STREAM);
    c.has_position = p->has_position;
    c.ordinal = p->ordinal;
    c.position = buf_str(&p->position);
    c.skip_rows = p->has_more ? p->done_rows : 0;
    c.skip_rid = c.skip_rows > 0 ? rid : 0;
    if (query_cursor_encode(&c, p->token_max, ret_token)) {
        return OK;
    }
    c.kind = QTOKEN_STREAM_LONG;
    c.position_hash = str_hash(c.position, 0);
    c.position = str_slice(c.position, 0, QUERY_CURSOR_PREFIX_MAX);
    TRY(count_from_prefix(p, &c, ei));
    bool fits = query_cursor_encode(&c, p->token_max, ret_token);
    ASSERT(fits);
    return OK;
}

/* One document; *ret_rid is for the token when the page ends in it. */
static enum err stream_doc(struct page *p, const struct query_doc *doc, struct errinfo *ei)
{
    const struct json *tree = NULL;
    TRY(open_doc(p, doc, &tree, ei));
    bool is_cut = p->in.skip_rid == doc->rid;
    p->skip_rows = is_cut ? p->in.skip_rows : 0;
    p->in.skip_rows = is_cut ? 0 : p->in.skip_rows; /* once */
    if (p->q->info.is_verbatim) {
        (void)stream_row(p, NULL, doc->text);
    } else {
        (void)query_run_doc(p->run, tree);
    }
    bool has_progress = p->count.row_count > 0 || p->count.doc_count > 1;
    if (p->ev.err == ERR_TIMEOUT && has_progress) {
        p->ev.err = OK;
        p->has_more = true;
        p->done_rows = p->row_in_doc > p->skip_rows ? p->row_in_doc : p->skip_rows;
    }
    TRY(take_failure(p, ei));
    if (!p->has_more) {
        p->has_position = true;
        p->ordinal = doc->ordinal;
        buf_clear(&p->position);
        buf_add_str(&p->position, doc->position);
    }
    return OK;
}

static bool is_out_of_budget(const struct page *p)
{
    const struct query_page_opts *o = p->opts;
    if (p->count.doc_count == 0) {
        return false; /* every page gets somewhere */
    }
    return (o->doc_max > 0 && p->count.doc_count >= o->doc_max) ||
           (o->is_expired != NULL && o->is_expired(o->expired_ctx));
}

static enum err run_stream(struct page *p, struct buf *ret_token, struct errinfo *ei)
{
    if (p->limit_left == 0) {
        return OK;
    }
    struct query_run_hooks hooks = {.emit = stream_emit, .ctx = p};
    p->run = query_run_new(&p->ev, p->q, &hooks);
    TRY(stream_seek(p, ei));
    for (;;) {
        struct query_doc doc;
        bool has = false;
        TRY(next_doc(p, &doc, &has, ei));
        if (!has) {
            return OK;
        }
        if (is_full(p, 0) || is_out_of_budget(p)) {
            return stream_token(p, 0, ret_token, ei);
        }
        uint64_t rid = doc.rid;
        TRY(stream_doc(p, &doc, ei));
        if (p->is_end) {
            return OK;
        }
        if (p->has_more) {
            return stream_token(p, rid, ret_token, ei);
        }
    }
}

/* ---- SORT ---- */

/* A row of the outermost select, slots bound: into the sort, unless returned before. */
static enum query_flow sort_row(void *ctx)
{
    struct page *p = (struct page *)ctx;
    struct query_eval *ev = &p->ev;
    const struct query_select *s = p->q->select;
    const struct json *keys[QUERY_ORDER_KEYS_MAX];
    for (size_t i = 0; i < s->order_count; i++) {
        keys[i] = query_eval_expr(ev, s->order[i].expr);
    }
    struct query_row row = {
        .keys = keys, .ordinal = ev->ordinal, .rid = ev->rid, .row_idx = p->row_in_doc++};
    if (p->has_resume && query_sort_cmp(&p->sort, &row, &p->resume) <= 0) {
        return FLOW_MORE;
    }
    if (!query_sort_wants(&p->sort, &row)) {
        p->sort.has_dropped = true;
        return ev->err == OK ? FLOW_MORE : FLOW_STOP;
    }
    const struct json *value = query_run_project(ev, s);
    if (value->type == JSON_UNDEFINED) {
        return ev->err == OK ? FLOW_MORE : FLOW_STOP;
    }
    if (!write_row(p, value)) {
        return FLOW_STOP;
    }
    row.text = buf_str(&p->row);
    return query_sort_add(&p->sort, &row) ? FLOW_MORE : FLOW_STOP;
}

static enum err sort_token(struct page *p, const struct query_row *last, struct buf *ret_token,
                           struct errinfo *ei)
{
    struct query_cursor c = new_cursor(p, QTOKEN_SORT);
    c.ordinal = last->ordinal;
    c.rid = last->rid;
    c.row_idx = last->row_idx;
    c.keys = last->keys;
    c.key_count = p->sort.key_count;
    if (query_cursor_encode(&c, p->token_max, ret_token)) {
        return OK;
    }
    c.kind = QTOKEN_SKIP; /* sort values too long: count rows instead */
    c.key_count = 0;
    if (!query_cursor_encode(&c, p->token_max, ret_token)) {
        return err_set(ei, ERR_INTERNAL, "a continuation of %zu bytes does not fit", p->token_max);
    }
    return OK;
}

/* All documents through the run; the classes SORT and WHOLE. */
static enum err run_all(struct page *p, struct errinfo *ei)
{
    enum query_flow flow = FLOW_MORE;
    while (flow == FLOW_MORE && p->q->has_container) {
        struct query_doc doc;
        bool has = false;
        TRY(next_doc(p, &doc, &has, ei));
        if (!has) {
            break;
        }
        const struct json *tree = NULL;
        TRY(open_doc(p, &doc, &tree, ei));
        flow = query_run_doc(p->run, tree);
        TRY(take_failure(p, ei));
    }
    return OK;
}

static enum err run_sort(struct page *p, struct buf *ret_token, struct errinfo *ei)
{
    if (p->limit_left == 0) {
        return OK;
    }
    struct query_run_hooks hooks = {.order = sort_row, .ctx = p};
    p->run = query_run_new(&p->ev, p->q, &hooks);
    query_sort_init(&p->sort, &p->ev, p->q->select);
    uint64_t before = p->offset_left; /* best rows that are not returned */
    if (p->in.kind == QTOKEN_SORT) {
        p->has_resume = true;
        p->resume = (struct query_row){.keys = p->in.keys,
                                       .ordinal = p->in.ordinal,
                                       .rid = p->in.rid,
                                       .row_idx = p->in.row_idx};
    } else if (p->in.kind == QTOKEN_SKIP) {
        before = p->q->select->offset.n + p->in.skip;
    }
    uint64_t wanted = p->limit_left < p->item_max ? p->limit_left : p->item_max;
    p->sort.row_max = (size_t)(before + wanted);
    p->sort.size_max = before == 0 ? p->size_max : 0;
    TRY(run_all(p, ei));
    query_sort_finish(&p->sort);

    p->offset_left = 0;
    const struct query_row *last = NULL;
    size_t i = (size_t)(before < p->sort.count ? before : p->sort.count);
    for (; i < p->sort.count && !is_full(p, p->sort.rows[i]->text.n); i++) {
        last = p->sort.rows[i];
        TRY(put_text(p, last->text, ei));
        p->limit_left -= p->limit_left != UINT64_MAX;
    }
    bool has_more = i < p->sort.count || p->sort.has_dropped;
    if (last == NULL || !has_more || p->limit_left == 0) {
        return OK;
    }
    return sort_token(p, last, ret_token, ei);
}

/* ---- WHOLE ---- */

static enum query_flow whole_emit(void *ctx, const struct json *row)
{
    struct page *p = (struct page *)ctx;
    if (p->has_more) {
        return FLOW_STOP;
    }
    if (p->seen++ < p->in.skip) {
        return FLOW_MORE;
    }
    if (!write_row(p, row)) {
        return FLOW_STOP;
    }
    if (is_full(p, p->row.n)) {
        p->has_more = true;
        return FLOW_STOP;
    }
    p->ev.err = put_text(p, buf_str(&p->row), &p->ei);
    return p->ev.err == OK ? FLOW_MORE : FLOW_STOP;
}

static enum err run_whole(struct page *p, struct buf *ret_token, struct errinfo *ei)
{
    struct query_run_hooks hooks = {.emit = whole_emit, .ctx = p};
    p->run = query_run_new(&p->ev, p->q, &hooks);
    TRY(run_all(p, ei));
    (void)query_run_finish(p->run);
    TRY(take_failure(p, ei));
    if (!p->has_more) {
        return OK;
    }
    struct query_cursor c = new_cursor(p, QTOKEN_SKIP);
    bool fits = query_cursor_encode(&c, p->token_max, ret_token);
    ASSERT(fits);
    return OK;
}

enum err query_page_run(const struct query *q, const struct query_source *source,
                        const struct query_page_opts *opts, query_row_fn on_row, void *row_ctx,
                        struct query_page *ret_page, struct buf *ret_token, struct errinfo *ei)
{
    ASSERT(!q->is_condition);
    struct page p;
    page_init(&p, q, source, opts, on_row, row_ctx);
    buf_clear(ret_token);
    enum err ret = OK;
    TRY_GOTO(read_token(&p, ei), out);
    if (q->info.class == QUERY_STREAM) {
        TRY_GOTO(run_stream(&p, ret_token, ei), out);
    } else if (q->info.class == QUERY_SORT) {
        TRY_GOTO(run_sort(&p, ret_token, ei), out);
    } else {
        TRY_GOTO(run_whole(&p, ret_token, ei), out);
    }
    *ret_page = p.count;
out:
    page_done(&p);
    return ret;
}

/* ---- conditions ---- */

static enum query_flow note_row(void *ctx, const struct json *row)
{
    (void)row;
    *(bool *)ctx = true;
    return FLOW_STOP;
}

enum err query_condition(const struct query *q, struct str doc_text, int64_t now_ticks, bool *ret,
                         struct errinfo *ei)
{
    ASSERT(q->is_condition);
    struct arena arena;
    arena_init(&arena);
    struct query_eval ev;
    query_eval_init(&ev, q, &arena, ei);
    ev.now_ticks = now_ticks;
    ev.static_ticks = now_ticks;
    const struct json *doc = NULL;
    bool holds = false;
    enum err err = parse_doc(&arena, doc_text, &doc, ei);
    if (err == OK) {
        ev.slots[QUERY_SLOT_DOC] = doc;
        query_run_nested(&ev, q->select, note_row, &holds);
        err = ev.err;
    }
    if (err == OK) {
        *ret = holds;
    }
    query_eval_done(&ev);
    arena_done(&arena);
    return err;
}
