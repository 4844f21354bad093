/* Transactional batch and bulk through the whole protocol layer. */
#include "base/contract.h"
#include "base/mem.h"
#include "served.h"

static void batch(const char *pk, const char *body)
{
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", "true");
    fake_header(f, "x-ms-documentdb-partitionkey", pk);
    fake_send(f, "POST", DOCS, body);
}

static void bulk(const char *range, const char *body)
{
    fake_header(f, "x-ms-cosmos-is-batch-request", "True");
    fake_header(f, "x-ms-cosmos-batch-atomic", "false");
    fake_header(f, "x-ms-cosmos-batch-continue-on-error", "true");
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", range);
    fake_send(f, "POST", DOCS, body);
}

/* The status codes of the results, "201,424". */
static void expect_results(int status, const char *codes)
{
    struct buf got;
    t_checkf(f->answer.status == status, "status %d: " STR_FMT, f->answer.status,
             STR_ARG(f->answer.body));
    t_check(f->doc && f->doc->type == JSON_ARRAY);
    buf_init(&got, 4096);
    for (size_t i = 0; i < f->doc->count; i++) {
        uint64_t code = 0;
        t_check(json_get_u64(f->doc->items[i], STR("statusCode"), &code));
        t_check(json_get(f->doc->items[i], STR("requestCharge")) != NULL);
        buf_printf(&got, "%s%d", i > 0 ? "," : "", (int)code);
    }
    t_eq_str(buf_str(&got), str_of(codes));
    buf_done(&got);
}

static int read_status(const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof(path), DOCS "/%s", id);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "GET", path, NULL);
    return f->answer.status;
}

T_TEST("a batch does all its operations in order")
{
    served_begin_container();
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\",\"n\":1}},"
          "{\"operationType\":\"Upsert\",\"resourceBody\":{\"id\":\"2\",\"pk\":\"a\"}},"
          "{\"operationType\":\"Replace\",\"id\":\"1\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\","
          "\"n\":2}},"
          "{\"operationType\":\"Patch\",\"id\":\"1\",\"resourceBody\":{\"operations\":[{\"op\":"
          "\"incr\","
          "\"path\":\"/n\",\"value\":5}],\"condition\":\"from c where c.n = 2\"}},"
          "{\"operationType\":\"Read\",\"id\":\"1\"},"
          "{\"operationType\":\"Delete\",\"id\":\"2\"}]");
    expect_results(200, "201,201,200,200,200,204");
    const struct json *read = json_get(f->doc->items[4], STR("resourceBody"));
    uint64_t n = 0;
    t_check(json_get_u64(read, STR("n"), &n));
    t_eq_u64(n, 7);
    struct str etag = STR("");
    t_check(json_get_str(f->doc->items[0], STR("eTag"), &etag));
    t_check(str_starts(etag, STR("\"")));
    t_check(json_get(f->doc->items[5], STR("resourceBody")) == NULL);
    t_check(fake_answer_header(f, "x-ms-session-token").n > 0);
    t_eq_int(read_status("2"), 404);
    served_end();
}

T_TEST("a batch in which one operation fails does nothing")
{
    served_begin_container();
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}},"
          "{\"operationType\":\"Delete\",\"id\":\"nope\"},"
          "{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"2\",\"pk\":\"a\"}}]");
    expect_results(207, "424,404,424");
    t_eq_int(read_status("1"), 404);
    served_end();
}

T_TEST("creating an id twice in one batch is a conflict")
{
    served_begin_container();
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}},"
          "{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}}]");
    expect_results(207, "424,409");
    served_end();
}

T_TEST("etags and conditions count inside a batch")
{
    served_begin_container();
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}}]");
    batch("[\"a\"]", "[{\"operationType\":\"Replace\",\"id\":\"1\",\"ifMatch\":\"\\\"other\\\"\","
                     "\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}}]");
    expect_results(207, "412");
    batch("[\"a\"]", "[{\"operationType\":\"Patch\",\"id\":\"1\",\"resourceBody\":{\"operations\":["
                     "{\"op\":\"set\","
                     "\"path\":\"/n\",\"value\":5}],\"condition\":\"from c where c.n = 2\"}}]");
    expect_results(207, "412");
    served_end();
}

T_TEST("bodies that are no batch are 400")
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "[1]",
        "[{\"operationType\":\"Dance\"}]",
        "[{\"operationType\":\"Create\"}]",
        "[{\"operationType\":\"Read\"}]",
        ("[{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"b\\\"]\","
         "\"resourceBody\":{\"id\":\"1\",\"pk\":\"b\"}}]")};
    served_begin_container();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%s", bad[i]);
        batch("[\"a\"]", bad[i]);
        t_checkf(f->answer.status == 400, "%d", f->answer.status);
    }
    served_end();
}

static struct str creates(size_t n, const char *pk_member)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < n; i++) {
        buf_printf(
            &b, "%s{\"operationType\":\"Create\"%s,\"resourceBody\":{\"id\":\"%zu\",\"pk\":\"a\"}}",
            i > 0 ? "," : "", pk_member, i);
    }
    buf_add_char(&b, ']');
    size_t size = 0;
    char *p = buf_take(&b, &size);
    return str_make(p, size);
}

T_TEST("a batch has at most a hundred operations")
{
    served_begin_container();
    struct str body = creates(BATCH_OPS_MAX, "");
    batch("[\"a\"]", body.p);
    t_eq_int(f->answer.status, 200);
    mem_free((char *)(uintptr_t)body.p);
    body = creates(BATCH_OPS_MAX + 1, "");
    batch("[\"a\"]", body.p);
    t_check(f->answer.status == 400 || f->answer.status == 413);
    mem_free((char *)(uintptr_t)body.p);
    served_end();
}

T_TEST("bulk operations succeed and fail one by one, in the order given")
{
    served_begin_container();
    bulk("0", "[{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"1\",\"pk\":\"a\"}},"
              "{\"operationType\":\"Delete\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"nope\"},"
              "{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"b\\\"]\",\"resourceBody\":{"
              "\"id\":\"1\",\"pk\":\"b\"}},"
              "{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"x\\\"]\",\"resourceBody\":{"
              "\"id\":\"2\",\"pk\":\"b\"}},"
              "{\"operationType\":\"Read\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"1\"}]");
    expect_results(207, "201,404,201,400,200");
    uint64_t sub = 0;
    t_check(json_get_u64(f->doc->items[3], STR("subStatusCode"), &sub));
    t_eq_u64(sub, 1001);
    t_eq_int(read_status("1"), 200);
    served_end();
}

T_TEST("bulk to a range that is not there is 410 so that clients look again")
{
    served_begin_container();
    bulk("7", "[{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"1\",\"pk\":\"a\"}}]");
    expect(410, 1002);
    served_end();
}

T_TEST("a region that does not write says so for the whole batch, and per operation in bulk")
{
    served_begin_container();
    f->write_err = ERR_NOT_WRITER;
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}}]");
    expect(403, 3);
    served_end();
}

T_TEST("a bulk of which nothing can be queued answers every operation with 429")
{
    served_begin_container();
    f->is_write_queue_full = true;
    bulk("0", "[{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"1\",\"pk\":\"a\"}},"
              "{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"2\",\"pk\":\"a\"}}]");
    expect_results(207, "429,429");
    t_check(json_get(f->doc->items[0], STR("retryAfterMilliseconds")) != NULL);
    served_end();
}

/* An upsert of the item `id` with about `n` bytes. */
static void put_big(const char *id, size_t n)
{
    char *body = mem_alloc(n + 128);
    int head = snprintf(body, 128, "{\"id\":\"%s\",\"pk\":\"a\",\"s\":\"", id);
    memset(body + head, 'x', n);
    memcpy(body + (size_t)head + n, "\"}", 3);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    fake_send(f, "POST", DOCS, body);
    expect(201, 0);
    mem_free(body);
}

T_TEST("reads in one request are bounded: a batch fails, bulk tells the client to ask again")
{
    served_begin_container();
    for (int i = 0; i < 3; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "%d", i);
        put_big(id, 3 << 19); /* three of 1.5 MiB pass 4 MiB */
    }
    batch("[\"a\"]",
          "[{\"operationType\":\"Read\",\"id\":\"0\"},{\"operationType\":\"Read\",\"id\":\"1\"},"
          "{\"operationType\":\"Read\",\"id\":\"2\"}]");
    expect_results(207, "424,424,413");
    bulk("0", "[{\"operationType\":\"Read\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"0\"},"
              "{\"operationType\":\"Read\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"1\"},"
              "{\"operationType\":\"Read\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"2\"}]");
    expect_results(207, "200,200,413");
    uint64_t sub = 0;
    t_check(json_get_u64(f->doc->items[2], STR("subStatusCode"), &sub));
    t_eq_u64(sub, 3402);
    served_end();
}

T_TEST("a batch has at most 2 MiB")
{
    served_begin_container();
    char *body = mem_alloc(3 << 20);
    memset(body, ' ', 3 << 20);
    body[0] = '[';
    body[(2 << 20) + 1] = ']';
    body[(2 << 20) + 2] = '\0';
    batch("[\"a\"]", body);
    expect(413, 0);
    mem_free(body);
    served_end();
}

T_TEST("bulk that is told to stop at a failure leaves the rest out")
{
    served_begin_container();
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", "false");
    fake_header(f, "x-ms-cosmos-batch-continue-on-error", "False");
    fake_send(f, "POST", DOCS,
              "[{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"1\",\"pk\":\"a\"}},"
              "{\"operationType\":\"Delete\",\"partitionKey\":\"[\\\"a\\\"]\",\"id\":\"nope\"},"
              "{\"operationType\":\"Create\",\"partitionKey\":\"[\\\"a\\\"]\",\"resourceBody\":{"
              "\"id\":\"2\",\"pk\":\"a\"}}]");
    expect_results(207, "201,404,424");
    t_eq_int(read_status("1"), 200);
    t_eq_int(read_status("2"), 404);
    served_end();
}

T_TEST("patches in a batch are checked like single ones")
{
    served_begin_container();
    batch("[\"a\"]",
          "[{\"operationType\":\"Create\",\"resourceBody\":{\"id\":\"1\",\"pk\":\"a\"}}]");
    batch("[\"a\"]", "[{\"operationType\":\"Patch\",\"id\":\"1\",\"resourceBody\":{\"operations\":["
                     "{\"op\":\"set\","
                     "\"path\":\"/_ts\",\"value\":5}]}}]");
    t_eq_int(f->answer.status, 400);
    served_end();
}

T_MAIN()
