/* Change feed, latest version: every live item once, at its last change, in log order of its range.
 *
 * The continuation is the place of the last row, `"<lsn>"`: a number, since clients' programs calculate with it
 * (doc/design/0003-protocol.md). A new epoch starts above every lsn given out before, so a place in a lost suffix
 * still lies below everything that came after. One in an epoch that is not in this history at all, since another
 * one followed the writer before it, goes on from where they parted (repl_resume), or anew where nobody remembers
 * that. So consumers may see items again after a failover and never miss one. A transaction is never split over
 * pages. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "cosmos/feed.h"

enum { CHANGES_DEFAULT = 100, CHANGES_MAX = 1000, SCANNED_MAX = 50000 };

struct changes {
    struct feed f;
    lsn after;
    uint32_t after_op;
    bool from_now;
    uint64_t since_s;
    size_t item_max;
    int status;
};

static enum err read_place(struct op *op, struct changes *c, struct errinfo *ei)
{
    struct str etag = http_header(op->req, STR("if-none-match"));
    struct str since = http_header(op->req, STR("if-modified-since"));
    if (etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"') {
        etag = str_slice(etag, 1, etag.n - 2);
    }
    c->after_op = UINT32_MAX; /* the whole entry `after` was seen */
    if (str_eq(etag, STR("*"))) {
        c->from_now = true;
        return OK;
    }
    if (etag.n > 0) {
        struct str at = etag;
        struct str op_text = STR("");
        uint64_t number = 0;
        bool has_op = str_split(etag, '.', &at, &op_text);
        if (!str_to_u64(at, &c->after) || c->after > LSN_MAX ||
            (has_op && (!str_to_u64(op_text, &number) || number > UINT32_MAX))) {
            return err_set(ei, ERR_INVALID,
                           "the change feed continuation in If-None-Match is not one of ours");
        }
        c->after_op = has_op ? (uint32_t)number : UINT32_MAX;
        return OK;
    }
    int64_t ms = 0;
    if (since.n > 0 && clock_parse_rfc1123(since.p, since.n, &ms) != 0) {
        return err_set(ei, ERR_INVALID, "If-Modified-Since is not an RFC 1123 date");
    }
    c->since_s = ms > 0 ? (uint64_t)(ms / 1000) : 0;
    return OK;
}

static void answer(struct op *op, enum err err)
{
    struct changes *c = op->state;
    struct errinfo ei = {0};
    if (err != OK) {
        err_set(&ei, err, "the read could not be confirmed at the asked consistency level");
        buf_done(&c->f.body);
        op_fail(op, &ei);
        return;
    }
    struct buf body = c->f.body;
    op_header(op, STR("etag"), arena_printf(&op->req->arena, "\"%" PRIu64 "\"", c->after));
    op_answer(op, c->status, c->status == 304 ? NULL : &body);
    buf_done(&body);
}

/* `{...}` -> `{...,"_lsn":N}` */
static void add_row(struct buf *out, struct str text, lsn at)
{
    ASSERT(text.n > 2 && text.p[text.n - 1] == '}');
    buf_add(out, text.p, text.n - 1);
    buf_printf(out, ",\"_lsn\":%" PRIu64 "}", at);
}

static enum err collect(struct op *op, struct changes *c, struct engine_snap *snap, lsn tail,
                        size_t *ret_rows, struct errinfo *ei)
{
    struct cosmos_service *s = op->service;
    pid p = c->f.pids[c->f.first];
    struct engine_iter *it = engine_scan_changes(s->engine, snap, p, c->after, c->after_op);
    struct engine_row row;
    struct buf hold;
    size_t rows = 0;
    size_t scanned = 0;
    lsn last = c->after;
    enum err err = OK;
    bool is_full = false;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + (64 << 10));
    while (err == OK && engine_iter_next(it, &row)) {
        bool is_new_entry = row.lsn != last;
        if (is_new_entry &&
            (rows >= c->item_max || c->f.body.n > PAGE_SIZE_MAX || scanned >= SCANNED_MAX)) {
            is_full = true;
            break;
        }
        last = row.lsn;
        scanned++;
        bool is_in =
            str_cmp(row.key, c->f.from) >= 0 && (c->f.to.n == 0 || str_cmp(row.key, c->f.to) < 0);
        struct engine_doc doc;
        if (!is_in) {
            continue;
        }
        err = engine_get(s->engine, snap, p, SPACE_ITEM, row.key, true, &hold, &doc, ei);
        if (err != OK) {
            break; /* the index names a document that is not there: never skipped silently */
        }
        bool is_expired =
            doc.version.expire_at != 0 && doc.version.expire_at <= (uint64_t)op_now_s(op);
        if (is_expired || doc.ts < c->since_s) {
            continue;
        }
        if (rows++ > 0) {
            buf_add_char(&c->f.body, ',');
        }
        add_row(&c->f.body, doc.text, row.lsn);
    }
    KEEP_FIRST(err, engine_iter_err(it, ei));
    engine_iter_free(it);
    buf_done(&hold);
    /* Everything up to the tail was seen when the scan came to its end. */
    c->after = is_full ? last : tail > last ? tail : last;
    *ret_rows = rows;
    return err;
}

static void run(struct op *op)
{
    struct changes *c = op->state;
    struct cosmos_service *s = op->service;
    struct errinfo ei = {0};
    struct engine_part_meta meta = {0};
    struct buf extra;
    size_t rows = 0;
    buf_init(&extra, 1 << 20);
    buf_init(&c->f.body, 64 << 20);
    struct engine_snap *snap = engine_snap_get(s->engine);
    enum err err = engine_part_meta_get(s->engine, snap, c->f.pids[c->f.first], &extra, &meta, &ei);
    if (err == ERR_NOT_FOUND) { /* nothing was ever written there */
        err = OK;
    }
    lsn tail = meta.tail_lsn;
    buf_add_cstr(&c->f.body, "{\"_rid\":\"");
    buf_add_str(&c->f.body, c->f.rid);
    buf_add_cstr(&c->f.body, "\",\"Documents\":[");
    if (err == OK && c->from_now) {
        c->after = tail;
    } else if (err == OK) {
        lsn asked = c->after;
        err = op_resume(op, c->f.pids[c->f.first], meta.extra, asked, &c->after, &ei);
        c->after_op = c->after == asked ? c->after_op : UINT32_MAX;
    }
    if (err == OK && !c->from_now) {
        err = collect(op, c, snap, tail, &rows, &ei);
    }
    engine_snap_release(s->engine, snap);
    buf_done(&extra);
    if (err != OK) {
        (void)op_note_unreadable(op, c->f.pids[c->f.first], &ei);
        buf_done(&c->f.body);
        op_fail(op, &ei);
        return;
    }
    buf_printf(&c->f.body, "],\"_count\":%zu}", rows);
    c->status = rows > 0 ? 200 : 304;
    op->charge = 2.0 + (double)c->f.body.n / 4096.0;
    op_header(op, STR("x-ms-item-count"), arena_printf(&op->req->arena, "%zu", rows));
    op->token_lsn = tail;
    op_confirm(op, c->f.first, tail, answer);
}

void feed_changes(struct op *op)
{
    struct errinfo ei = {0};
    struct changes *c = ARENA_NEW(&op->req->arena, struct changes);
    if (!str_eq_nocase(http_header(op->req, STR("a-im")), STR("incremental feed"))) {
        op_fail_with(op, 400, 0,
                     "only the latest-version change feed (A-IM: Incremental Feed) is implemented");
        return;
    }
    enum err err = feed_over_container(op, &c->f, SPACE_ITEM, &ei);
    if (err == OK) {
        err = read_place(op, c, &ei);
    }
    if (err == OK && c->f.end - c->f.first != 1) {
        err = err_set(&ei, ERR_INVALID,
                      "a change feed request names one partition key range or partition key");
    }
    if (err != OK) {
        feed_fail(op, &c->f, err, &ei);
        return;
    }
    size_t asked = op_page_size(op);
    c->item_max = asked == 0 ? CHANGES_DEFAULT : asked > CHANGES_MAX ? CHANGES_MAX : asked;
    op->state = c;
    op_gate(op, c->f.first, c->f.end, run);
}
