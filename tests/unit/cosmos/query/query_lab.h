/* What the query tests share: a source of documents in memory, and a run of a query over all of
 * its pages. Included by each test program; everything is static. */
#pragma once

#include <stdio.h>

#include "base/mem.h"
#include "cosmos/query/query.h"
#include "lib/t.h"
#include "json/json.h"

enum {
    LAB_DOCS_MAX = 2000,
    LAB_TEXT_MAX = 64 << 20,
    LAB_NOW_MS = 1577934245, /* 2020-01-02T03:04:05 */
};

struct lab_source {
    const struct query_doc *docs; /* by ordinal, then position */
    size_t count;
    size_t at;
    size_t reads;
    size_t seeks;
};

static inline enum err lab_next(void *ctx, struct query_doc *ret, bool *ret_has, struct errinfo *ei)
{
    (void)ei;
    struct lab_source *s = (struct lab_source *)ctx;
    *ret_has = s->at < s->count;
    if (*ret_has) {
        *ret = s->docs[s->at++];
        s->reads++;
    }
    return OK;
}

static inline enum err lab_seek(void *ctx, uint32_t ordinal, struct str position,
                                struct errinfo *ei)
{
    (void)ei;
    struct lab_source *s = (struct lab_source *)ctx;
    s->seeks++;
    for (s->at = 0; s->at < s->count; s->at++) {
        const struct query_doc *d = &s->docs[s->at];
        if (d->ordinal > ordinal ||
            (d->ordinal == ordinal && (position.n == 0 || str_cmp(d->position, position) > 0))) {
            break;
        }
    }
    return OK;
}

/* Documents from a JSON array, all in one partition unless `per_partition` > 0. */
static inline size_t lab_docs(struct arena *a, const char *array, size_t per_partition,
                              struct query_doc *docs)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    t_ok_info(json_parse(a, str_of(array), NULL, &v, &ei), &ei);
    t_check(v->count <= LAB_DOCS_MAX);
    for (size_t i = 0; i < v->count; i++) {
        docs[i] = (struct query_doc){
            .text = v->items[i]->src,
            .rid = 1000 + i,
            .ordinal = per_partition > 0 ? (uint32_t)(i / per_partition) : 0,
            .position = arena_printf(a, "k%06zu", i),
        };
    }
    return v->count;
}

struct lab_rows {
    struct buf text; /* the rows of all pages as one JSON array */
    size_t rows;
    size_t pages;
};

static inline enum err lab_row(void *ctx, struct str text, struct errinfo *ei)
{
    (void)ei;
    struct lab_rows *r = (struct lab_rows *)ctx;
    buf_add_char(&r->text, r->rows > 0 ? ',' : '[');
    buf_add_str(&r->text, text);
    r->rows++;
    return OK;
}

/* All pages; the text of the rows is left in r->text, which the caller owns. */
static inline enum err lab_run(const struct query *q, struct lab_source *s,
                               struct query_page_opts opts, struct lab_rows *r, struct errinfo *ei)
{
    struct buf token;
    struct buf next;
    buf_init(&token, 64 << 10);
    buf_init(&next, 64 << 10);
    buf_init(&r->text, LAB_TEXT_MAX);
    r->rows = 0;
    r->pages = 0;
    enum err ret = OK;
    for (;;) {
        struct query_source source = {.ctx = s, .next = lab_next, .seek = lab_seek};
        struct query_page page = {0};
        s->at = 0;
        opts.continuation = buf_str(&token);
        opts.now_ticks = INT64_C(15779342456789123) + (int64_t)r->pages;
        size_t before = r->rows;
        ret = query_page_run(q, &source, &opts, lab_row, r, &page, &next, ei);
        r->pages++;
        if (ret != OK) {
            break;
        }
        t_eq_u64(page.row_count, r->rows - before);
        if (next.n == 0) {
            break;
        }
        t_check(next.n <=
                (opts.token_size_max > 0 ? opts.token_size_max : QUERY_TOKEN_SIZE_DEFAULT));
        t_checkf(r->pages < 20000, "the pages do not end");
        buf_clear(&token);
        buf_add_str(&token, buf_str(&next));
    }
    buf_add_cstr(&r->text, r->rows > 0 ? "]" : "[]");
    buf_done(&token);
    buf_done(&next);
    return ret;
}

/* Two JSON texts with equal values, the order of members included. */
static inline bool lab_same(struct arena *a, struct str got, struct str want)
{
    const struct json *g = NULL;
    const struct json *w = NULL;
    if (json_parse(a, got, NULL, &g, NULL) != OK || json_parse(a, want, NULL, &w, NULL) != OK) {
        return false;
    }
    return json_eq(g, w);
}
