/* Pages and continuation tokens: budgets, long keys, changes between pages, limits of memory and
 * time, and tokens that are not ours. */
#include "query_lab.h"

#include "base/codec.h"
#include "base/contract.h"
#include "base/rng.h"
#include "cosmos/query/query_int.h"

static struct query_doc docs[LAB_DOCS_MAX];

struct bench {
    struct arena arena;
    struct lab_source source;
    struct query *q;
    struct errinfo ei;
    struct query_page page;
    struct buf token;
    struct lab_rows rows; /* of the last page */
};

static void bench_init(struct bench *b)
{
    *b = (struct bench){.source.docs = docs};
    arena_init(&b->arena);
    buf_init(&b->token, 64 << 10);
    buf_init(&b->rows.text, LAB_TEXT_MAX);
}

static void bench_done(struct bench *b)
{
    buf_done(&b->rows.text);
    buf_done(&b->token);
    arena_done(&b->arena);
}

static void compile(struct bench *b, const char *text)
{
    b->ei = (struct errinfo){0};
    t_ok_info(query_compile(&b->arena, str_of(text), NULL, NULL, &b->q, &b->ei), &b->ei);
}

/* `n` documents {"id":"i","v":i%7,"s":"..."}, five to a partition. */
static void make_docs(struct bench *b, size_t n, size_t s_size)
{
    char *filler = (char *)arena_alloc(&b->arena, s_size + 1);
    memset(filler, 'x', s_size);
    for (size_t i = 0; i < n; i++) {
        docs[i] = (struct query_doc){
            .text = arena_printf(&b->arena, "{\"id\":\"%zu\",\"v\":%zu,\"s\":\"%.*s%zu\"}", i,
                                 i % 7, (int)s_size, filler, i),
            .rid = i + 1,
            .ordinal = (uint32_t)(i / 5),
            .position = arena_printf(&b->arena, "key%05zu", i),
        };
    }
    b->source.count = n;
}

/* One page from b->token; the next token is left there. */
static enum err next_page(struct bench *b, struct query_page_opts opts)
{
    struct buf next;
    buf_init(&next, 64 << 10);
    struct query_source source = {.ctx = &b->source, .next = lab_next, .seek = lab_seek};
    b->source.at = 0;
    buf_clear(&b->rows.text);
    b->rows.rows = 0;
    b->ei = (struct errinfo){0};
    b->page = (struct query_page){0};
    opts.continuation = buf_str(&b->token);
    enum err ret = query_page_run(b->q, &source, &opts, lab_row, &b->rows, &b->page, &next, &b->ei);
    buf_add_cstr(&b->rows.text, b->rows.rows > 0 ? "]" : "[]");
    if (ret == OK) {
        buf_clear(&b->token);
        buf_add_str(&b->token, buf_str(&next));
    }
    buf_done(&next);
    return ret;
}

T_TEST("a page without matches ends at the document budget and goes on")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 10, 1);
    compile(&b, "SELECT VALUE c.id FROM c WHERE c.id = '9'");
    size_t pages = 0;
    size_t found = 0;
    do {
        t_ok_info(next_page(&b, (struct query_page_opts){.doc_max = 3}), &b.ei);
        t_check(b.page.doc_count <= 3);
        found += b.rows.rows;
        pages++;
    } while (b.token.n > 0);
    t_eq_u64(pages, 4);
    t_eq_u64(found, 1);
    bench_done(&b);
}

T_TEST("a full page at the end of the documents has no continuation")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 4, 1);
    compile(&b, "SELECT VALUE c.id FROM c");
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 2}));
    t_check(b.token.n > 0);
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 2}));
    t_eq_u64(b.token.n, 0);
    t_eq_lit(buf_str(&b.rows.text), "[\"2\",\"3\"]");
    bench_done(&b);
}

T_TEST("item counts: default, server decides, and the cap")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 1500, 1);
    compile(&b, "SELECT VALUE c.id FROM c");
    static const struct {
        int64_t asked;
        size_t want;
    } cases[] = {{0, 100},     {-1, 100},    {1, 1},           {999, 999},
                 {1000, 1000}, {1001, 1000}, {INT64_MAX, 1000}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        buf_clear(&b.token);
        t_ok(next_page(&b, (struct query_page_opts){.item_max = cases[i].asked}));
        t_eq_u64(b.rows.rows, cases[i].want);
    }
    bench_done(&b);
}

T_TEST("pages end by size, with one row at least, for every class of query")
{
    static const char *const queries[] = {
        "SELECT * FROM c",
        "SELECT VALUE c.s FROM c WHERE true",
        "SELECT * FROM c ORDER BY c.v DESC, c.id",
        "SELECT DISTINCT VALUE c.s FROM c",
        "SELECT VALUE c.s FROM c ORDER BY c.s OFFSET 2 LIMIT 30",
    };
    struct bench b;
    bench_init(&b);
    make_docs(&b, 40, 1000);
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        compile(&b, queries[i]);
        struct lab_rows all;
        t_ok(lab_run(b.q, &b.source, (struct query_page_opts){.item_max = 1000}, &all, &b.ei));
        static const size_t sizes[] = {1, 2500, 10500};
        for (size_t k = 0; k < ARRAY_COUNT(sizes); k++) {
            struct lab_rows r;
            t_ok(
                lab_run(b.q, &b.source, (struct query_page_opts){.size_max = sizes[k]}, &r, &b.ei));
            t_eq_str(buf_str(&r.text), buf_str(&all.text));
            t_check(r.pages >= 3);
            buf_done(&r.text);
        }
        buf_clear(&b.token);
        t_ok(next_page(&b, (struct query_page_opts){.size_max = 2500}));
        t_check(b.page.row_size <= 2500);
        buf_done(&all.text);
    }
    bench_done(&b);
}

T_TEST("documents that go or come between pages do not disturb the others")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 10, 1);
    compile(&b, "SELECT VALUE c.id FROM c");
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 4})); /* 0 1 2 3 */
    for (size_t i = 3; i < 9; i++) { /* the last one returned is gone */
        docs[i] = docs[i + 1];
    }
    b.source.count = 9;
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 4}));
    t_eq_lit(buf_str(&b.rows.text), "[\"4\",\"5\",\"6\",\"7\"]");
    for (size_t i = 9; i > 1; i--) { /* a new one before the position */
        docs[i] = docs[i - 1];
    }
    docs[1].text = STR("{\"id\":\"new\"}");
    docs[1].position = STR("key00000a");
    docs[1].rid = 77;
    b.source.count = 10;
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 4}));
    t_eq_lit(buf_str(&b.rows.text), "[\"8\",\"9\"]");
    bench_done(&b);
}

/* Keys of 3 KiB share all but their last bytes: the token holds a prefix and a hash. */
static void make_long_keys(struct bench *b, size_t n)
{
    make_docs(b, n, 1);
    char *prefix = (char *)arena_alloc(&b->arena, 3001);
    memset(prefix, 'p', 3000);
    for (size_t i = 0; i < n; i++) {
        docs[i].ordinal = 1;
        docs[i].position = arena_printf(&b->arena, "%.*s%05zu", i % 3 == 0 ? 3 : 3000, prefix, i);
    }
    for (size_t i = 0; i < n; i++) { /* in key order */
        for (size_t k = i + 1; k < n; k++) {
            if (str_cmp(docs[k].position, docs[i].position) < 0) {
                struct query_doc d = docs[i];
                docs[i] = docs[k];
                docs[k] = d;
            }
        }
    }
}

T_TEST("keys too long for a token are continued by prefix and hash")
{
    struct bench b;
    bench_init(&b);
    make_long_keys(&b, 30);
    compile(&b, "SELECT VALUE c.id FROM c");
    struct lab_rows all;
    t_ok(lab_run(b.q, &b.source, (struct query_page_opts){.item_max = 1000}, &all, &b.ei));
    static const size_t limits[] = {0, 512, 8192};
    for (size_t k = 0; k < ARRAY_COUNT(limits); k++) {
        for (int64_t size = 1; size < 5; size++) {
            struct lab_rows r;
            struct query_page_opts opts = {.item_max = size, .token_size_max = limits[k]};
            t_ok_info(lab_run(b.q, &b.source, opts, &r, &b.ei), &b.ei);
            t_eq_str(buf_str(&r.text), buf_str(&all.text));
            buf_done(&r.text);
        }
    }
    buf_done(&all.text);
    bench_done(&b);
}

T_TEST("with a long key the last document may go: none of the others is lost")
{
    struct bench b;
    bench_init(&b);
    make_long_keys(&b, 30);
    compile(&b, "SELECT VALUE c.id FROM c");
    for (size_t last = 0; last < 29; last++) {
        make_long_keys(&b, 30);
        buf_clear(&b.token);
        t_ok(next_page(&b, (struct query_page_opts){.item_max = (int64_t)last + 1}));
        struct str next_id = docs[last + 1].text;
        for (size_t i = last; i < 29; i++) {
            docs[i] = docs[i + 1];
        }
        b.source.count = 29;
        t_ok_info(next_page(&b, (struct query_page_opts){.item_max = 2}), &b.ei);
        const struct json *v = NULL;
        struct str id = STR_NONE;
        t_ok(json_parse(&b.arena, next_id, NULL, &v, NULL));
        t_check(json_get_str(v, STR("id"), &id));
        /* It is there, perhaps after one that comes a second time. */
        t_contains(buf_str(&b.rows.text), arena_cstr(&b.arena, id));
    }
    bench_done(&b);
}

T_TEST("long sort values fall back to counting rows")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 25, 900);
    static const char *const queries[] = {
        "SELECT VALUE c.id FROM c ORDER BY c.s",
        "SELECT VALUE c.id FROM c ORDER BY c.s DESC OFFSET 3 LIMIT 17",
        "SELECT TOP 20 VALUE c.id FROM c ORDER BY c.v, c.s",
    };
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        compile(&b, queries[i]);
        struct lab_rows all;
        t_ok(lab_run(b.q, &b.source, (struct query_page_opts){.item_max = 1000}, &all, &b.ei));
        static const size_t limits[] = {0, 4096};
        for (size_t k = 0; k < ARRAY_COUNT(limits); k++) {
            struct lab_rows r;
            struct query_page_opts opts = {.item_max = 4, .token_size_max = limits[k]};
            t_ok_info(lab_run(b.q, &b.source, opts, &r, &b.ei), &b.ei);
            t_eq_str(buf_str(&r.text), buf_str(&all.text));
            t_check(r.pages >= 5);
            buf_done(&r.text);
        }
        buf_done(&all.text);
    }
    bench_done(&b);
}

T_TEST("ORDER BY keeps a page, not the rows")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 1500, 2000);
    compile(&b, "SELECT * FROM c ORDER BY c.v, c.id");
    struct query_page_opts opts = {.item_max = 10, .memory_max = 64 << 10};
    t_ok_info(next_page(&b, opts), &b.ei);
    t_eq_u64(b.rows.rows, 10);
    t_ok_info(next_page(&b, opts), &b.ei);
    t_eq_u64(b.rows.rows, 10);
    t_eq_u64(b.page.doc_count, 1500);
    bench_done(&b);
}

T_TEST("what does not fit in memory is an error with advice")
{
    static const char *const queries[] = {
        "SELECT DISTINCT VALUE c.s FROM c",
        "SELECT VALUE MAKELIST(c.s) FROM c",
        "SELECT c.s, COUNT(1) AS n FROM c GROUP BY c.s",
        "SELECT * FROM c ORDER BY c.v OFFSET 1000 LIMIT 10",
        "SELECT VALUE s FROM (SELECT VALUE c.s FROM c ORDER BY c.id) s",
    };
    struct bench b;
    bench_init(&b);
    make_docs(&b, 1500, 500);
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        compile(&b, queries[i]);
        buf_clear(&b.token);
        t_err(next_page(&b, (struct query_page_opts){.memory_max = 50 << 10, .item_max = 1000}),
              ERR_LIMIT);
        t_contains(str_of(b.ei.message), "restrict it with a filter");
    }
    compile(&b, "SELECT VALUE CONCAT(c.s, c.s, c.s, c.s) FROM c");
    t_err(next_page(&b, (struct query_page_opts){.memory_max = 1000}), ERR_LIMIT);
    t_contains(str_of(b.ei.message), "Evaluating one row");
    bench_done(&b);
}

struct stopwatch {
    unsigned looks;
    unsigned after;
};

static bool is_late(void *ctx)
{
    struct stopwatch *w = (struct stopwatch *)ctx;
    return ++w->looks > w->after;
}

T_TEST("time: a stream gives what it has, other queries an error")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 1500, 1);
    compile(&b, "SELECT VALUE c.id FROM c WHERE c.v = 1");
    struct stopwatch w = {.after = 5};
    struct query_page_opts opts = {.is_expired = is_late, .expired_ctx = &w};
    t_ok_info(next_page(&b, opts), &b.ei);
    t_check(b.token.n > 0);
    t_eq_u64(b.page.doc_count, 6);
    compile(&b, "SELECT VALUE COUNT(1) FROM c");
    buf_clear(&b.token);
    w = (struct stopwatch){.after = 0};
    t_err(next_page(&b, opts), ERR_TIMEOUT);
    bench_done(&b);
}

/* 40^5 rows from one document: the page ends in the middle and the next one gets further. */
T_TEST("a join that explodes is cut by time and continued inside the document")
{
    struct bench b;
    bench_init(&b);
    char text[512] = "[{\"id\":\"x\",\"a\":[0";
    for (int i = 1; i < 40; i++) {
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%d", i);
    }
    (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "]}]");
    b.source.count = lab_docs(&b.arena, text, 0, docs);
    compile(&b, "SELECT VALUE [p, q] FROM c JOIN p IN c.a JOIN q IN c.a JOIN r IN c.a JOIN s IN "
                "c.a JOIN t IN "
                "c.a WHERE r = 39 AND s = 39 AND t = 39");
    struct stopwatch w = {.after = 200};
    struct query_page_opts opts = {.is_expired = is_late, .expired_ctx = &w, .item_max = 1000};
    t_ok_info(next_page(&b, opts), &b.ei);
    size_t first = b.rows.rows;
    t_check(first > 0 && first < 1000);
    t_check(b.token.n > 0);
    w = (struct stopwatch){.after = 100000};
    opts.item_max = 1;
    t_ok_info(next_page(&b, opts), &b.ei);
    struct str want = arena_printf(&b.arena, "[[%zu,%zu]]", first / 40, first % 40);
    t_eq_str(buf_str(&b.rows.text), want);
    compile(&b, "SELECT VALUE 1 FROM c JOIN p IN c.a JOIN q IN c.a JOIN r IN c.a JOIN s IN c.a "
                "JOIN t IN c.a "
                "WHERE t = 40");
    buf_clear(&b.token);
    w = (struct stopwatch){.after = 5};
    t_err(next_page(&b, opts), ERR_TIMEOUT); /* no row, no progress */
    bench_done(&b);
}

T_TEST("a join needs the memory of one row")
{
    struct bench b;
    bench_init(&b);
    b.source.count = lab_docs(&b.arena, "[{\"a\":[1,2,3,4,5,6,7,8,9,10]}]", 0, docs);
    compile(
        &b,
        "SELECT VALUE COUNT(p || q) FROM c JOIN p IN c.a JOIN q IN c.a JOIN r IN c.a JOIN s IN c.a "
        "WHERE LENGTH(CONCAT(ToString(p), ToString(q), 'xxxxxxxxxxxxxxxxxxxxxx')) > 5");
    t_ok_info(next_page(&b, (struct query_page_opts){.memory_max = 20 << 10}), &b.ei);
    compile(&b, "SELECT VALUE COUNT(1) FROM c JOIN p IN c.a JOIN q IN c.a JOIN (SELECT VALUE r + 1 "
                "FROM r IN "
                "c.a) r JOIN s IN c.a");
    t_ok_info(next_page(&b, (struct query_page_opts){.memory_max = 20 << 10}), &b.ei);
    t_eq_lit(buf_str(&b.rows.text), "[10000]");
    bench_done(&b);
}

T_TEST("documents are not parsed when nothing looks into them, and copied as they are")
{
    struct bench b;
    bench_init(&b);
    docs[0] = (struct query_doc){.text = STR("{ \"a\" : 1.50 }"), .position = STR("a")};
    docs[1] = (struct query_doc){.text = STR("broken"), .position = STR("b")};
    b.source.count = 2;
    compile(&b, "SELECT * FROM c");
    t_ok(next_page(&b, (struct query_page_opts){0}));
    t_eq_lit(buf_str(&b.rows.text), "[{ \"a\" : 1.50 },broken]");
    compile(&b, "SELECT TOP 1 VALUE c FROM c");
    t_ok(next_page(&b, (struct query_page_opts){0}));
    t_eq_lit(buf_str(&b.rows.text), "[{ \"a\" : 1.50 }]");
    compile(&b, "SELECT VALUE COUNT(1) FROM c");
    t_ok(next_page(&b, (struct query_page_opts){0}));
    t_eq_lit(buf_str(&b.rows.text), "[2]");
    compile(&b, "SELECT * FROM c WHERE c.a > 0");
    t_err(next_page(&b, (struct query_page_opts){0}), ERR_CORRUPT);
    bench_done(&b);
}

static enum err refuse_row(void *ctx, struct str text, struct errinfo *ei)
{
    (void)ctx;
    (void)text;
    return err_set(ei, ERR_CLOSED, "the client went away");
}

T_TEST("an error of the receiver ends the page")
{
    static const char *const queries[] = {"SELECT * FROM c", "SELECT * FROM c ORDER BY c.v",
                                          "SELECT DISTINCT VALUE c.v FROM c",
                                          "SELECT VALUE COUNT(1) FROM c"};
    struct bench b;
    bench_init(&b);
    make_docs(&b, 5, 1);
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        compile(&b, queries[i]);
        struct query_source source = {.ctx = &b.source, .next = lab_next, .seek = lab_seek};
        struct query_page_opts opts = {0};
        struct errinfo ei = {0};
        b.source.at = 0;
        t_err(query_page_run(b.q, &source, &opts, refuse_row, NULL, &b.page, &b.token, &ei),
              ERR_CLOSED);
        t_eq_cstr(ei.message, "the client went away");
    }
    bench_done(&b);
}

T_TEST("the static clock is that of the first page")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 2, 1);
    compile(&b, "SELECT VALUE [GetCurrentTimestampStatic(), GetCurrentTimestamp()] FROM c");
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 1, .now_ticks = 10000}));
    t_eq_lit(buf_str(&b.rows.text), "[[1,1]]");
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 1, .now_ticks = 30000}));
    t_eq_lit(buf_str(&b.rows.text), "[[1,3]]");
    bench_done(&b);
}

/* ---- tokens ---- */

T_TEST("a token that was changed in any place is refused")
{
    static const char *const queries[] = {"SELECT VALUE c.id FROM c",
                                          "SELECT VALUE c.id FROM c ORDER BY c.v, c.s",
                                          "SELECT DISTINCT VALUE c.id FROM c"};
    struct bench b;
    bench_init(&b);
    make_docs(&b, 9, 1);
    for (size_t k = 0; k < ARRAY_COUNT(queries); k++) {
        compile(&b, queries[k]);
        buf_clear(&b.token);
        t_ok(next_page(&b, (struct query_page_opts){.item_max = 3}));
        struct str good = arena_str(&b.arena, buf_str(&b.token));
        t_check(good.n > 0);
        struct buf bytes;
        buf_init(&bytes, 4096);
        t_check(codec_unbase64(&bytes, good));
        for (size_t i = 0; i < bytes.n; i++) {
            bytes.p[i] ^= 0x10;
            buf_clear(&b.token);
            codec_base64(&b.token, buf_str(&bytes));
            t_err(next_page(&b, (struct query_page_opts){.item_max = 3}), ERR_INVALID);
            t_contains(str_of(b.ei.message), "continuation token");
            bytes.p[i] ^= 0x10;
        }
        size_t digits = good.n; /* padding is not needed */
        while (good.p[digits - 1] == '=') {
            digits--;
        }
        for (size_t i = 1; i < digits; i++) {
            buf_clear(&b.token);
            buf_add_str(&b.token, str_slice(good, 0, i));
            t_err(next_page(&b, (struct query_page_opts){.item_max = 3}), ERR_INVALID);
        }
        buf_done(&bytes);
    }
    bench_done(&b);
}

T_TEST("garbage and tokens of another query, parameter or scope are refused")
{
    struct bench b;
    bench_init(&b);
    make_docs(&b, 9, 1);
    compile(&b, "SELECT VALUE c.id FROM c");
    static const char *const garbage[] = {"x",         "====", "-RID:~abc#RT:1#TRC:2",
                                          "{\"a\":1}", "UQEB", "null"};
    for (size_t i = 0; i < ARRAY_COUNT(garbage); i++) {
        buf_clear(&b.token);
        buf_add_cstr(&b.token, garbage[i]);
        t_err(next_page(&b, (struct query_page_opts){0}), ERR_INVALID);
    }
    buf_clear(&b.token);
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 3, .scope = 1}));
    t_err(next_page(&b, (struct query_page_opts){.item_max = 3, .scope = 2}), ERR_INVALID);
    compile(&b, "SELECT VALUE c.id FROM c ");
    t_err(next_page(&b, (struct query_page_opts){.item_max = 3, .scope = 1}), ERR_INVALID);
    const struct json *params = NULL;
    t_ok(json_parse(&b.arena, STR("[{\"name\":\"@p\",\"value\":1}]"), NULL, &params, NULL));
    t_ok(query_compile(&b.arena, STR("SELECT VALUE c.id FROM c"), params, NULL, &b.q, NULL));
    t_err(next_page(&b, (struct query_page_opts){.item_max = 3, .scope = 1}), ERR_INVALID);
    compile(&b, "SELECT VALUE c.id FROM c");
    t_ok(next_page(&b, (struct query_page_opts){.item_max = 3, .scope = 1}));
    t_eq_lit(buf_str(&b.rows.text), "[\"3\",\"4\",\"5\"]");
    bench_done(&b);
}

/* Node N+1 reads the tokens of node N: their text is pinned, one per kind. */
T_TEST("tokens of version 1 stay what they are")
{
    struct arena a;
    struct buf all;
    arena_init(&a);
    buf_init(&all, 8192);
    const struct json *keys[] = {json_string(&a, STR("x\ny")), json_undefined(),
                                 json_number(&a, -2.5)};
    const struct query_cursor cursors[] = {
        {.kind = QTOKEN_STREAM,
         .has_position = true,
         .ordinal = 3,
         .position = STR("key\x01"),
         .skip_rows = 2,
         .skip_rid = 9},
        {.kind = QTOKEN_STREAM_LONG,
         .has_position = true,
         .position = STR("prefix"),
         .position_hash = 77,
         .position_count = 5},
        {.kind = QTOKEN_SORT, .ordinal = 1, .rid = 44, .row_idx = 2, .keys = keys, .key_count = 3},
        {.kind = QTOKEN_SKIP, .skip = 1000},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cursors); i++) {
        struct query_cursor c = cursors[i];
        struct query_cursor back = {0};
        struct buf text;
        buf_init(&text, 4096);
        c.hash = UINT64_C(0x0123456789abcdef);
        c.static_ticks = 15779342456789123;
        c.limit_left = UINT64_MAX;
        t_check(query_cursor_encode(&c, 1024, &text));
        t_ok(query_cursor_decode(buf_str(&text), &a, &back, NULL));
        t_eq_u64(back.hash, c.hash);
        t_eq_u64(back.skip, c.skip);
        t_eq_u64(back.skip_rid, c.skip_rid);
        t_eq_u64(back.position_count, c.position_count);
        t_eq_u64(back.rid, c.rid);
        t_eq_str(back.position, c.position);
        for (size_t k = 0; k < c.key_count; k++) {
            t_check(json_eq(back.keys[k], c.keys[k]));
        }
        buf_add_str(&all, buf_str(&text));
        buf_add_char(&all, '\n');
        buf_done(&text);
    }
    t_golden("query_token_v1.txt", buf_str(&all));
    buf_done(&all);
    arena_done(&a);
}

/* ---- against a model ---- */

struct model {
    struct rng rng;
    struct buf text;
};

static const char *const model_values[] = {"1", "2", "'1'", "null", "true", "c.a", "c.b", "c.zz"};

/* 0 false, 1 true, 2 undefined */
static int model_compare(const char *op, const struct json *x, const struct json *y)
{
    if (x == NULL || y == NULL) {
        return 2;
    }
    bool same = json_eq(x, y);
    if (strcmp(op, "=") == 0) {
        return same;
    }
    if (strcmp(op, "!=") == 0) {
        return !same;
    }
    if (x->type != y->type) {
        return 2;
    }
    int c = json_cmp(x, y);
    return op[0] == '<' ? c < 0 : c > 0;
}

static const struct json *model_value(struct model *m, struct arena *a, const struct json *d)
{
    const char *v = model_values[rng_below(&m->rng, ARRAY_COUNT(model_values))];
    buf_add_cstr(&m->text, v);
    if (v[0] == 'c') {
        return json_get(d, str_of(v + 2));
    }
    const struct json *parsed = NULL;
    t_ok(json_parse(a, v[0] == '\'' ? STR("\"1\"") : str_of(v), NULL, &parsed, NULL));
    return parsed;
}

/* A random condition: written to m->text, its value for document d returned. */
static int model_condition(struct model *m, struct arena *a, const struct json *d, int depth)
{
    static const char *const ops[] = {"=", "!=", "<", ">"};
    uint64_t kind = depth > 0 ? rng_below(&m->rng, 4) : 3;
    if (kind == 3) {
        const struct json *x = model_value(m, a, d);
        const char *op = ops[rng_below(&m->rng, ARRAY_COUNT(ops))];
        buf_printf(&m->text, " %s ", op);
        return model_compare(op, x, model_value(m, a, d));
    }
    buf_add_cstr(&m->text, kind == 2 ? "(NOT " : "(");
    int x = model_condition(m, a, d, depth - 1);
    if (kind == 2) {
        buf_add_char(&m->text, ')');
        return x == 2 ? 2 : !x;
    }
    buf_add_cstr(&m->text, kind == 0 ? " AND " : " OR ");
    int y = model_condition(m, a, d, depth - 1);
    buf_add_char(&m->text, ')');
    int decisive = kind == 0 ? 0 : 1;
    if (x == decisive || y == decisive) {
        return decisive;
    }
    return x == 2 || y == 2 ? 2 : !decisive;
}

T_TEST("random conditions agree with a model, as filters and as patch conditions")
{
    static const char *const texts[] = {"{\"a\":1,\"b\":\"1\"}", "{\"a\":null}",
                                        "{\"a\":2,\"b\":2}", "{\"b\":true}", "{}"};
    struct bench b;
    bench_init(&b);
    for (uint64_t i = 0; i < 400; i++) {
        for (size_t k = 0; k < ARRAY_COUNT(texts); k++) {
            struct model m;
            const struct json *d = NULL;
            arena_reset(&b.arena);
            rng_init(&m.rng, t_seed() * 1000 + i);
            buf_init(&m.text, 64 << 10);
            t_ok(json_parse(&b.arena, str_of(texts[k]), NULL, &d, NULL));
            buf_add_cstr(&m.text, "FROM c WHERE ");
            int want = model_condition(&m, &b.arena, d, 4);
            struct query *condition = NULL;
            bool holds = false;
            t_ok(query_compile_condition(&b.arena, buf_str(&m.text), NULL, &condition, NULL));
            t_ok(query_condition(condition, str_of(texts[k]), 0, &holds, NULL));
            t_checkf(holds == (want == 1), STR_FMT " on %s", STR_ARG(buf_str(&m.text)), texts[k]);
            struct str select =
                arena_printf(&b.arena, "SELECT * " STR_FMT, STR_ARG(buf_str(&m.text)));
            compile(&b, arena_cstr(&b.arena, select));
            docs[0] = (struct query_doc){.text = str_of(texts[k]), .position = STR("k")};
            b.source.count = 1;
            buf_clear(&b.token);
            t_ok(next_page(&b, (struct query_page_opts){0}));
            t_checkf(b.rows.rows == (want == 1), STR_FMT " on %s", STR_ARG(buf_str(&m.text)),
                     texts[k]);
            buf_done(&m.text);
        }
    }
    bench_done(&b);
}

T_MAIN()
