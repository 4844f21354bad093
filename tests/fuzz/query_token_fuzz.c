/* Any bytes as a continuation token: as they are, and with the framing and the checksum of a good
 * token around them, so that the fields behind get their share. */
#include "base/codec.h"
#include "base/contract.h"
#include "base/crc.h"
#include "cosmos/query/query_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err no_docs(void *ctx, struct query_doc *ret, bool *ret_has, struct errinfo *ei)
{
    (void)ctx;
    (void)ret;
    (void)ei;
    *ret_has = false;
    return OK;
}

static enum err any_seek(void *ctx, uint32_t ordinal, struct str position, struct errinfo *ei)
{
    (void)ctx;
    (void)ordinal;
    (void)ei;
    ASSERT(position.n <= QUERY_POSITION_SIZE_MAX);
    return OK;
}

static enum err any_row(void *ctx, struct str text, struct errinfo *ei)
{
    (void)ctx;
    (void)text;
    (void)ei;
    return OK;
}

static void resume(struct arena *a, const char *text, struct str token)
{
    struct query *q = NULL;
    struct buf next;
    struct query_page page;
    struct errinfo ei = {0};
    enum err err = query_compile(a, str_of(text), NULL, NULL, &q, NULL);
    ASSERT(err == OK);
    buf_init(&next, 64 << 10);
    struct query_source source = {.next = no_docs, .seek = any_seek};
    struct query_page_opts opts = {.continuation = token};
    err = query_page_run(q, &source, &opts, any_row, NULL, &page, &next, &ei);
    ASSERT(err == OK || err == ERR_INVALID || err == ERR_LIMIT);
    ASSERT((err == OK) == (ei.code == OK));
    buf_done(&next);
}

static void decode(struct arena *a, struct str token)
{
    struct query_cursor c = {0};
    if (query_cursor_decode(token, a, &c, NULL) == OK) {
        struct buf again;
        struct query_cursor same = {0};
        buf_init(&again, 128 << 10);
        ASSERT(query_cursor_encode(&c, 128 << 10, &again));
        ASSERT(query_cursor_decode(buf_str(&again), a, &same, NULL) == OK);
        ASSERT(same.kind == c.kind);
        ASSERT(same.skip == c.skip);
        ASSERT(same.key_count == c.key_count);
        ASSERT(str_eq(same.position, c.position));
        buf_done(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const queries[] = {"SELECT * FROM c",
                                          "SELECT * FROM c ORDER BY c.a, c.b DESC",
                                          "SELECT DISTINCT VALUE c.a FROM c"};
    struct arena a;
    struct buf framed;
    struct buf token;
    arena_init(&a);
    buf_init(&framed, 1 << 20);
    buf_init(&token, 2 << 20);
    buf_add_u8(&framed, 'Q');
    buf_add_u8(&framed, 1);
    buf_add(&framed, data, size);
    buf_add_u32(&framed, crc32c(0, framed.p, framed.n));
    if (buf_ok(&framed)) {
        codec_base64(&token, buf_str(&framed));
        decode(&a, buf_str(&token));
    }
    decode(&a, str_make(data, size));
    for (size_t i = 0; i < ARRAY_COUNT(queries); i++) {
        if (size > 0) {
            resume(&a, queries[i], str_make(data, size));
            resume(&a, queries[i], buf_str(&token));
        }
    }
    buf_done(&token);
    buf_done(&framed);
    arena_done(&a);
    return 0;
}
