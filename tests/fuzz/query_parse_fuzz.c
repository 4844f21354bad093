/* Any text as a query. What compiles is printed, must compile again to the same print, and runs
 * over a few documents in pages; its plan is made, and a rewritten query must compile too. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    LOOKS_MAX = 50,
    PAGES_MAX = 20,
    DOC_COUNT = 3,
};

static const char *const texts[DOC_COUNT] = {
    "{\"id\":\"1\",\"n\":1,\"a\":[1,2,{\"b\":\"x\"}],\"s\":\"Hello\",\"o\":{\"p\":null,\"t\":1}}",
    "{\"id\":\"2\",\"n\":-2.5,\"a\":[],\"s\":\"\xc3\xa4\xf0\x9f\x98\x80\",\"c\":{\"c\":{\"c\":1}}}",
    "{\"id\":\"3\",\"n\":\"1\",\"a\":\"x\",\"s\":\"2020-01-02T03:04:05Z\",\"_rid\":\"r\"}",
};

struct feed {
    size_t at;
    unsigned looks;
};

static enum err feed_next(void *ctx, struct query_doc *ret, bool *ret_has, struct errinfo *ei)
{
    (void)ei;
    struct feed *f = (struct feed *)ctx;
    static const char *const keys[DOC_COUNT] = {"a", "b", "c"};
    *ret_has = f->at < DOC_COUNT;
    if (*ret_has) {
        *ret = (struct query_doc){
            .text = str_of(texts[f->at]), .rid = f->at, .position = str_of(keys[f->at])};
        f->at++;
    }
    return OK;
}

static enum err feed_seek(void *ctx, uint32_t ordinal, struct str position, struct errinfo *ei)
{
    (void)ordinal;
    (void)ei;
    ((struct feed *)ctx)->at = position.n > 0 ? (size_t)(position.p[0] - 'a') + 1 : 0;
    return OK;
}

static bool is_late(void *ctx)
{
    return ++((struct feed *)ctx)->looks > LOOKS_MAX;
}

static enum err check_row(void *ctx, struct str text, struct errinfo *ei)
{
    (void)ei;
    struct arena a;
    const struct json *v = NULL;
    arena_init(&a);
    /* Constructors nest documents deeper than a text may be: only then may a row be refused. */
    enum err err = json_parse(&a, text, NULL, &v, NULL);
    ASSERT(err == OK || err == ERR_LIMIT || text.n > 256);
    arena_done(&a);
    (*(size_t *)ctx)++;
    return OK;
}

static void run_pages(const struct query *q)
{
    struct buf token;
    struct buf next;
    size_t rows = 0;
    buf_init(&token, 64 << 10);
    buf_init(&next, 64 << 10);
    struct feed f = {0};
    struct query_source source = {.ctx = &f, .next = feed_next, .seek = feed_seek};
    for (int i = 0; i < PAGES_MAX; i++) {
        struct query_page_opts opts = {
            .item_max = 2,
            .memory_max = 1 << 20,
            .continuation = buf_str(&token),
            .is_expired = is_late,
            .expired_ctx = &f,
            .now_ticks = INT64_C(15779342456789123),
        };
        struct query_page page;
        struct errinfo ei = {0};
        f.at = 0;
        enum err err = query_page_run(q, &source, &opts, check_row, &rows, &page, &next, &ei);
        ASSERT((err == OK) == (ei.code == OK));
        ASSERT(err != ERR_INVALID);
        if (err != OK || next.n == 0) {
            break;
        }
        buf_clear(&token);
        buf_add_str(&token, buf_str(&next));
    }
    buf_done(&token);
    buf_done(&next);
}

static struct str print(struct arena *a, const struct query *q)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    query_print_select(&b, q->select);
    ASSERT(buf_ok(&b));
    struct str s = arena_str(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static void check_plan(struct arena *a, const struct query *q, const struct json *params)
{
    struct buf out;
    struct errinfo ei = {0};
    struct query_plan_opts opts = {0};
    buf_init(&out, 8 << 20);
    if (query_plan(q, &opts, &out, &ei) == OK) {
        const struct json *plan = NULL;
        struct str rewritten = STR_NONE;
        ASSERT(json_parse(a, arena_str(a, buf_str(&out)), NULL, &plan, NULL) == OK);
        ASSERT(json_get_str(json_get(plan, STR("queryInfo")), STR("rewrittenQuery"), &rewritten));
        struct query *again = NULL;
        if (rewritten.n > 0) {
            enum err err = query_compile(a, rewritten, params, NULL, &again, &ei);
            /* The rewriting is longer, and names each thing once more. */
            ASSERT(err == OK || rewritten.n > QUERY_TEXT_SIZE_MAX ||
                   str_find(str_of(ei.message), STR("exceeds")) >= 0);
        }
    }
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct query *q = NULL;
    struct errinfo ei = {0};
    const struct json *params = NULL;
    arena_init(&a);
    enum err err =
        json_parse(&a, STR("[{\"name\":\"@p\",\"value\":1},{\"name\":\"@q\",\"value\":\"x\"}]"),
                   NULL, &params, NULL);
    ASSERT(err == OK);
    err = query_compile(&a, str_make(data, size), params, NULL, &q, &ei);
    ASSERT((err == OK) == (ei.code == OK));
    ASSERT(err == OK || err == ERR_SYNTAX || err == ERR_UNSUPPORTED);
    if (err == OK) {
        struct query *again = NULL;
        struct str first = print(&a, q);
        err = query_compile(&a, first, params, NULL, &again, &ei);
        ASSERT(err == OK ||
               str_find(str_of(ei.message), STR("exceeds")) >= 0); /* more parentheses */
        if (err == OK) {
            ASSERT(str_eq(first, print(&a, again)));
            ASSERT(query_info(q).class == query_info(again).class);
        }
        run_pages(q);
        check_plan(&a, q, params);
        const struct json *values[QUERY_PK_PATHS_MAX];
        struct str paths[] = {STR("/n"), STR("/o/p")};
        (void)query_pinned_keys(q, paths, 2, values);
    }
    bool holds = false;
    if (query_compile_condition(&a, str_make(data, size), NULL, &q, NULL) == OK) {
        err = query_condition(q, str_of(texts[0]), 0, &holds, NULL);
        ASSERT(err != ERR_CORRUPT);
    }
    arena_done(&a);
    return 0;
}
