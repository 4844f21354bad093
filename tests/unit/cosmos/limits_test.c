/* What a client may send at most, at its edges; and what comes back always: a JSON object. */
#include "base/codec.h"
#include "base/contract.h"
#include "base/crc.h"
#include "base/mem.h"
#include "cosmos/epk.h"
#include "cosmos/target.h"
#include "unit/cosmos/served.h"

static void begin_with(const char *coll)
{
    served_begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    send_expect("POST", "/dbs/db/colls", coll, 201);
}

static void begin(void)
{
    begin_with("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
}

static char *repeat(const char *what, size_t n)
{
    struct buf b;
    buf_init(&b, n * strlen(what) + 1);
    for (size_t i = 0; i < n; i++) {
        buf_add_cstr(&b, what);
    }
    return buf_take(&b, NULL);
}

/* Creates, reads, lists and deletes an item of this key and id; the status of the creation. */
static int round_trip(const char *pk, const char *id)
{
    struct buf body;
    struct buf header;
    struct buf path;
    buf_init(&body, 1 << 20);
    buf_init(&header, 1 << 20);
    buf_init(&path, 1 << 20);
    buf_printf(&body, "{\"id\":\"%s\",\"pk\":\"%s\"}", id, pk);
    buf_printf(&header, "[\"%s\"]", pk);
    buf_printf(&path, DOCS "/%s", id);
    buf_add_u8(&body, 0);
    buf_add_u8(&header, 0);
    buf_add_u8(&path, 0);
    fake_header(f, "x-ms-documentdb-partitionkey", header.p);
    fake_send(f, "POST", DOCS, body.p);
    int status = f->answer.status;
    if (status == 201) {
        fake_header(f, "x-ms-documentdb-partitionkey", header.p);
        send_expect("GET", path.p, NULL, 200);
        fake_header(f, "x-ms-documentdb-partitionkey", header.p);
        fake_header(f, "x-ms-max-item-count", "1");
        send_expect("GET", DOCS, NULL, 200);
        t_eq_u64(feed_count("Documents"), 1);
        fake_header(f, "x-ms-documentdb-partitionkey", header.p);
        send_expect("DELETE", path.p, NULL, 204);
    }
    buf_done(&body);
    buf_done(&header);
    buf_done(&path);
    return status;
}

T_TEST("the longest keys and ids work, longer ones are refused")
{
    begin();
    char *id = repeat("i", ITEM_ID_SIZE_MAX);
    char *id_over = repeat("i", ITEM_ID_SIZE_MAX + 1);
    char *pk = repeat("p", PK_VALUE_SIZE_MAX);
    char *pk_over = repeat("p", PK_VALUE_SIZE_MAX + 1);
    char *zeros = repeat("\\u0000", (PK_KEY_SIZE_MAX - 19) / 2);
    char *zeros_over = repeat("\\u0000", PK_VALUE_SIZE_MAX);
    t_eq_int(round_trip(pk, id), 201);
    t_eq_int(round_trip(zeros, id), 201);
    t_eq_int(round_trip(pk, id_over), 400);
    t_eq_int(round_trip(pk_over, id), 400);
    t_eq_int(round_trip(zeros_over, id), 400);
    mem_free(id);
    mem_free(id_over);
    mem_free(pk);
    mem_free(pk_over);
    mem_free(zeros);
    mem_free(zeros_over);
    served_end();
}

T_TEST("two long components of a hierarchical key are refused, not stored")
{
    begin_with(
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/a\",\"/b\"],\"kind\":\"MultiHash\"}}");
    char *part = repeat("p", PK_VALUE_SIZE_MAX);
    struct buf body;
    struct buf header;
    buf_init(&body, 1 << 20);
    buf_init(&header, 1 << 20);
    buf_printf(&body, "{\"id\":\"1\",\"a\":\"%s\",\"b\":\"%s\"}", part, part);
    buf_printf(&header, "[\"%s\",\"%s\"]", part, part);
    buf_add_u8(&header, 0);
    fake_header(f, "x-ms-documentdb-partitionkey", header.p);
    fake_send_str(f, "POST", DOCS, buf_str(&body));
    expect(400, 0);
    fake_header(f, "x-ms-documentdb-partitionkey", header.p);
    send_expect("GET", DOCS "/1", NULL, 400);
    fake_header(f, "x-ms-documentdb-partitionkey", header.p);
    send_expect("GET", DOCS, NULL, 400);
    /* Bulk names no key in the header: it is taken from the document. */
    struct buf bulk;
    buf_init(&bulk, 1 << 20);
    buf_printf(&bulk, "[{\"operationType\":\"Create\",\"resourceBody\":" STR_FMT "}]",
               STR_ARG(buf_str(&body)));
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", "false");
    fake_send_str(f, "POST", DOCS, buf_str(&bulk));
    expect(207, 0);
    t_contains(f->answer.body, "\"statusCode\":400");
    buf_done(&bulk);
    buf_done(&body);
    buf_done(&header);
    mem_free(part);
    served_end();
}

/* A query that names an item by a key nobody can have finds nothing. */
T_TEST("a query for an impossible key or id finds nothing")
{
    begin();
    char *pk = repeat("p", PK_VALUE_SIZE_MAX + 1);
    char *id = repeat("i", 5000);
    struct buf body;
    buf_init(&body, 1 << 20);
    buf_printf(&body, "{\"query\":\"SELECT * FROM c WHERE c.pk = '%s' AND c.id = '%s'\"}", pk, id);
    buf_add_u8(&body, 0);
    query_send(DOCS, body.p);
    expect(200, 0);
    t_eq_u64(feed_count("Documents"), 0);
    buf_clear(&body);
    buf_printf(&body, "{\"query\":\"SELECT * FROM c WHERE c.pk = 'a' AND c.id = '%s'\"}", id);
    buf_add_u8(&body, 0);
    query_send(DOCS, body.p);
    expect(200, 0);
    t_eq_u64(feed_count("Documents"), 0);
    buf_done(&body);
    mem_free(pk);
    mem_free(id);
    served_end();
}

/* ---- continuations ---- */

/* A token of the stream kind whose position has `n` bytes; the rest as in `token`. */
static void forge(struct str token, size_t n, struct buf *out)
{
    enum { HEAD = 43, FLAG_AND_ORDINAL = 5 }; /* see query/token.c */
    struct buf raw;
    struct buf made;
    buf_init(&raw, 64 << 10);
    buf_init(&made, 64 << 10);
    t_check(codec_unbase64(&raw, token));
    t_check(raw.n > HEAD + FLAG_AND_ORDINAL);
    buf_add(&made, raw.p, HEAD);
    buf_add_u8(&made, 1);
    buf_add_u32(&made, 0);
    char *position = repeat("\x20", n);
    buf_add_lstr(&made, str_make(position, n));
    mem_free(position);
    buf_add_u64(&made, 0);
    buf_add_u64(&made, 0);
    buf_add_u32(&made, crc32c(0, made.p, made.n));
    codec_base64(out, buf_str(&made));
    buf_add_u8(out, 0);
    buf_done(&raw);
    buf_done(&made);
}

T_TEST("a forged continuation finds something or is refused, whatever its position")
{
    static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 20000};
    begin();
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", DOCS, "{\"id\":\"1\",\"pk\":\"a\"}", 201);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", DOCS, "{\"id\":\"2\",\"pk\":\"a\"}", 201);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct buf token;
        t_note("%zu", sizes[i]);
        fake_header(f, "x-ms-max-item-count", "1");
        send_expect("GET", DOCS, NULL, 200);
        struct str good = fake_answer_header(f, "x-ms-continuation");
        t_check(good.n > 0);
        buf_init(&token, 64 << 10);
        forge(good, sizes[i], &token);
        fake_header(f, "x-ms-continuation", token.p);
        fake_send(f, "GET", DOCS, NULL);
        expect(sizes[i] < ENGINE_KEY_SIZE_MAX ? 200 : 400, 0);
        buf_done(&token);
    }
    served_end();
}

T_TEST("continuations that are none are 400")
{
    static const char *const bad[] = {"x", "AAAA", "%00", "\"\"", "{}", "QQEAAAAAAAAAAAAA"};
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%s", bad[i]);
        fake_header(f, "x-ms-continuation", bad[i]);
        send_expect("GET", DOCS, NULL, 400);
    }
    served_end();
}

/* ---- headers and paths ---- */

T_TEST("odd header values are ignored or refused, never a crash")
{
    static const struct {
        const char *name, *value;
        int status;
    } cases[] = {
        {"x-ms-max-item-count", "-1", 200},
        {"x-ms-max-item-count", "0", 200},
        {"x-ms-max-item-count", "99999999999999999999", 200},
        {"x-ms-max-item-count", "many", 200},
        {"x-ms-session-token", "", 200},
        {"x-ms-session-token", "0:1#0", 200},
        {"x-ms-session-token", "nonsense", 400},
        {"x-ms-session-token", "0:1#5#x=1", 400},
        {"x-ms-consistency-level", "Eventual", 200},
        {"x-ms-consistency-level", "session", 200},
        {"x-ms-consistency-level", "Strong", 400},
        {"x-ms-consistency-level", "BoundedStaleness", 400},
        {"x-ms-consistency-level", "Perfect", 400},
        {"x-ms-documentdb-partitionkey", "", 200},
        {"x-ms-documentdb-partitionkey", "[\"a\",\"b\"]", 400},
        {"x-ms-documentdb-partitionkey", "[[1]]", 400},
        {"x-ms-documentdb-partitionkeyrangeid", "0", 200},
        {"x-ms-start-epk", "zz", 400},
        {"x-ms-end-epk", "0", 400},
        {"x-ms-start-epk", "FF", 200},
        {"x-ms-documentdb-responsecontinuationtokenlimitinkb", "-1", 200},
        {"x-ms-documentdb-responsecontinuationtokenlimitinkb", "99999999999", 200},
        {"x-ms-activity-id", "not a uuid, but short", 200},
    };
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        t_note("%s: %s", cases[i].name, cases[i].value);
        fake_header(f, cases[i].name, cases[i].value);
        send_expect("GET", DOCS, NULL, cases[i].status);
    }
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "1");
    fake_send(f, "GET", DOCS, NULL);
    expect(410, 1002);
    fake_header(f, "x-ms-documentdb-partitionkeyrangeid", "first");
    fake_send(f, "GET", DOCS, NULL);
    expect(410, 1002);
    served_end();
}

T_TEST("long session headers are read up to their limit")
{
    begin();
    char *ranges = repeat("7:1#5,", 10000); /* 60 kB */
    char *text = mem_zalloc(strlen(ranges) + 16);
    (void)snprintf(text, strlen(ranges) + 16, "%s0:1#1", ranges);
    fake_header(f, "x-ms-session-token", text);
    send_expect("GET", DOCS, NULL, 200);
    mem_free(ranges);
    mem_free(text);
    text = repeat("7:1#5,", 11000); /* over 64 KiB */
    fake_header(f, "x-ms-session-token", text);
    send_expect("GET", DOCS, NULL, 400);
    mem_free(text);
    served_end();
}

T_TEST("wrong paths and methods get a JSON object and the right status")
{
    static const struct {
        const char *method, *target;
        int status;
    } cases[] = {
        {"GET", "/nonsense", 404},
        {"GET", "/dbs/db/nonsense", 404},
        {"GET", "/dbs/db/colls/c/nonsense", 404},
        {"GET", "/dbs/db/colls/c/schemas", 404},
        {"GET", "/dbs/db/colls/c/docs/a/attachments", 404},
        {"GET", "/dbs/db/colls/c/docs/a/b/c/d", 404},
        {"GET", "/dbs/db/colls/c/pkranges/0", 404},
        {"GET", "/media/x", 404},
        {"GET", "/offers/a/b", 404},
        {"GET", "/dbs/db/users/u/nonsense", 404},
        {"GET", "/1/2/3/4/5/6/7/8/9/10/11", 404},
        {"GET", "/dbs/%zz", 400},
        {"GET", "/dbs/%ff", 400},
        {"DELETE", "/dbs", 405},
        {"PUT", "/dbs/db", 405},
        {"POST", "/dbs/db", 405},
        {"PATCH", "/dbs/db/colls/c", 405},
        {"POST", "/dbs/db/colls/c", 405},
        {"PUT", "/dbs/db/colls", 405},
        {"PUT", "/dbs/db/colls/c/docs", 405},
        {"DELETE", "/dbs/db/colls/c/docs", 405},
        {"POST", "/dbs/db/colls/c/docs/1", 405},
        {"PUT", "/dbs/db/colls/c/conflicts/1", 405},
        {"POST", "/dbs/db/users/u", 405},
        {"DELETE", "/dbs/db/users", 405},
        {"POST", "/offers", 405},
        {"POST", "/", 405},
        {"DELETE", "/", 405},
    };
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        t_note("%s %s", cases[i].method, cases[i].target);
        fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
        send_expect(cases[i].method, cases[i].target, "{\"id\":\"x\"}", cases[i].status);
    }
    char *path = repeat("a", TARGET_SIZE_MAX + 1);
    path[0] = '/';
    send_expect("GET", path, NULL, 400);
    mem_free(path);
    served_end();
}

T_TEST("a name in a path may be too long for any resource: refused, whatever is done with it")
{
    static const char *const before[] = {"/dbs/",
                                         "/dbs/db/colls/",
                                         "/dbs/db/users/",
                                         "/dbs/db/users/u/permissions/",
                                         "/dbs/db/colls/c/docs/",
                                         "/dbs/db/colls/c/conflicts/",
                                         "/dbs/db/colls/c/sprocs/",
                                         "/offers/"};
    static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE"};
    static const size_t sizes[] = {256, ITEM_ID_SIZE_MAX, ITEM_ID_SIZE_MAX + 1, 4096, 8100};
    begin();
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\"}", 201);
    for (size_t i = 0; i < ARRAY_COUNT(before) * ARRAY_COUNT(methods) * ARRAY_COUNT(sizes); i++) {
        size_t n = sizes[i % ARRAY_COUNT(sizes)];
        const char *method = methods[i / ARRAY_COUNT(sizes) % ARRAY_COUNT(methods)];
        const char *start = before[i / ARRAY_COUNT(sizes) / ARRAY_COUNT(methods)];
        char *name = repeat("n", n);
        char path[8300];
        t_note("%s %s %zu", method, start, n);
        (void)snprintf(path, sizeof(path), "%s%s", start, name);
        fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
        fake_send(f, method, path, "{\"id\":\"x\",\"pk\":\"a\",\"body\":\"\"}");
        t_checkf(f->answer.status >= 400 && f->answer.status < 500, "%d", f->answer.status);
        t_check(n <= ITEM_ID_SIZE_MAX || f->answer.status == 400);
        mem_free(name);
    }
    served_end();
}

T_TEST("no header makes a read-only key write")
{
    static const char *const flags[] = {
        "x-ms-documentdb-isquery",           "x-ms-documentdb-query",
        "x-ms-cosmos-is-query-plan-request", "x-ms-cosmos-is-batch-request",
        "x-ms-documentdb-is-upsert",         "x-ms-documentdb-query-enablecrosspartition"};
    static const struct {
        const char *method, *target, *body;
    } writes[] = {
        {"POST", "/dbs", "{\"id\":\"new\"}"},
        {"POST", "/dbs/db/colls", "{\"id\":\"new\",\"partitionKey\":{\"paths\":[\"/pk\"]}}"},
        {"POST", "/dbs/db/users", "{\"id\":\"new\"}"},
        {"POST", "/dbs/db/colls/c/sprocs", "{\"id\":\"new\",\"body\":\"\"}"},
        {"POST", DOCS, "{\"id\":\"new\",\"pk\":\"a\"}"},
        {"POST", DOCS,
         "[{\"operationType\":\"Delete\",\"id\":\"1\",\"partitionKey\":\"[\\\"a\\\"]\"}]"},
        {"PUT", DOCS "/1", "{\"id\":\"1\",\"pk\":\"a\",\"v\":2}"},
        {"PATCH", DOCS "/1", "[{\"op\":\"set\",\"path\":\"/v\",\"value\":2}]"},
        {"DELETE", DOCS "/1", ""},
        {"DELETE", "/dbs/db/colls/c", ""},
        {"DELETE", "/dbs/db", ""},
        {"POST", "/dbs/db/colls/c/operations/partitionkeydelete", ""},
    };
    begin();
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", DOCS, "{\"id\":\"1\",\"pk\":\"a\"}", 201);
    f->key = str_of(f->rec.key[2]);
    lsn before = f->next_lsn;
    for (size_t i = 0; i < ARRAY_COUNT(writes); i++) {
        for (unsigned set = 0; set < 1U << ARRAY_COUNT(flags); set++) {
            for (size_t k = 0; k < ARRAY_COUNT(flags); k++) {
                if ((set >> k & 1) != 0) {
                    fake_header(f, flags[k], "true");
                }
            }
            fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
            fake_send(f, writes[i].method, writes[i].target, writes[i].body);
            t_checkf(f->next_lsn == before, "%s %s, headers %x", writes[i].method, writes[i].target,
                     set);
            t_check(f->answer.status != 201 && f->answer.status != 204);
        }
    }
    served_end();
}

T_TEST("slashes may be doubled and trail")
{
    begin();
    send_expect("GET", "//dbs//db//colls/c/docs/", NULL, 200);
    send_expect("GET", "//", NULL, 200);
    t_check(json_get(f->doc, STR("writableLocations")) != NULL);
    served_end();
}

T_TEST("every answer has an activity id, the client's own when it gave one")
{
    begin();
    fake_header(f, "x-ms-activity-id", "3f2504e0-4f89-41d3-9a0c-0305e82c3301");
    send_expect("GET", DOCS, NULL, 200);
    t_eq_lit(fake_answer_header(f, "x-ms-activity-id"), "3f2504e0-4f89-41d3-9a0c-0305e82c3301");
    send_expect("GET", "/nonsense", NULL, 404);
    t_eq_u64(fake_answer_header(f, "x-ms-activity-id").n, 36);
    t_check(fake_answer_header(f, "x-ms-request-charge").n > 0);
    t_eq_lit(fake_answer_header(f, "content-type"), "application/json");
    served_end();
}

T_MAIN()
