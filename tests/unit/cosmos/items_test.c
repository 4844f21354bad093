/* Items through the whole protocol layer, over the memory engine (lib/fake_core.h). */
#include "base/contract.h"
#include "base/mem.h"
#include "served.h"

static void send_pk(const char *method, const char *target, const char *pk, const char *body)
{
    fake_header(f, "x-ms-documentdb-partitionkey", pk);
    fake_send(f, method, target, body);
}

static char *header_copy(const char *name)
{
    struct str v = fake_answer_header(f, name);
    t_checkf(v.n > 0, "no header %s", name);
    char *copy = mem_zalloc(v.n + 1);
    memcpy(copy, v.p, v.n);
    return copy;
}

/* Each kind of read meets the damage: it is reported each time, and the client hears 503 and no key. */
T_TEST("what a read finds damaged is told to the core, and the client asks elsewhere")
{
    static const struct {
        const char *method, *target, *header, *body;
    } reads[] = {
        {"GET", DOCS "/1", NULL, ""},
        {"GET", DOCS, NULL, ""},
        {"GET", DOCS, "a-im", ""},
        {"POST", DOCS, "x-ms-documentdb-isquery", "{\"query\":\"SELECT * FROM c\"}"},
        {"GET", "/dbs/db/colls/c/conflicts", NULL, ""},
        {"GET", "/dbs/db/colls/c/conflicts/1", NULL, ""},
    };
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(201, 0);
    pid p = fake_last_part(f);
    engine_spoil(f->engine, p);
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        f->unreadable = 0;
        if (reads[i].header != NULL) {
            bool is_feed = strcmp(reads[i].header, "a-im") == 0;
            fake_header(f, reads[i].header, is_feed ? "Incremental feed" : "true");
        }
        send_pk(reads[i].method, reads[i].target, "[\"a\"]", reads[i].body);
        expect(503, 0);
        t_checkf(f->unreadable == p && f->unreadable_count == i + 1, "read %zu was not told", i);
        t_eq_i64(str_find(f->answer.body, STR("spoiled")), -1);
    }
    engine_spoil(f->engine, 0);
    send_pk("GET", DOCS "/1", "[\"a\"]", "");
    expect(200, 0);
    served_end();
}

T_TEST("a created item is stored verbatim with system properties behind")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]",
            "{ \"id\" : \"1\", \"pk\":\"a\", \"n\":12345678901234567890, \"f\":1.50, "
            "\"s\":\"\\u00e9\" }");
    expect(201, 0);
    t_contains(f->answer.body, "{\"id\":\"1\",\"pk\":\"a\",\"n\":12345678901234567890,\"f\":1.50,"
                               "\"s\":\"\\u00e9\",\"_rid\":\"");
    t_eq_lit(fake_answer_str(f, "_attachments"), "attachments/");
    uint64_t ts = 0;
    t_check(json_get_u64(f->doc, STR("_ts"), &ts));
    t_check(ts > 1600000000);
    t_eq_str(fake_answer_str(f, "_etag"), fake_answer_header(f, "etag"));
    t_check(str_starts(fake_answer_str(f, "_etag"), STR("\"")));
    struct str self = fake_answer_str(f, "_self");
    t_check(str_starts(self, STR("dbs/")));
    t_check(str_ends(self, STR("/")));
    served_end();
}

T_TEST("what was created can be read, and the answer has the headers clients need")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    char *etag = header_copy("etag");
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(200, 0);
    t_eq_str(fake_answer_header(f, "etag"), str_of(etag));
    static const char *const names[] = {"x-ms-activity-id",      "x-ms-request-charge",
                                        "x-ms-session-token",    "x-ms-content-path",
                                        "x-ms-alt-content-path", "lsn"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        t_checkf(fake_answer_header(f, names[i]).n > 0, "no header %s", names[i]);
    }
    t_eq_lit(fake_answer_header(f, "x-ms-alt-content-path"), "dbs/db/colls/c");
    t_eq_u64(fake_answer_header(f, "x-ms-content-path").n, 12); /* 8 bytes in base64 */
    mem_free(etag);
    served_end();
}

T_TEST("client's system properties are overwritten")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]",
            "{\"id\":\"1\",\"_rid\":\"x\",\"_self\":\"x\",\"_etag\":\"x\",\"_ts\":1,\"_"
            "attachments\":\"x\",\"_lsn\":4,\"pk\":\"a\"}");
    expect(201, 0);
    t_check(!str_eq(fake_answer_str(f, "_rid"), STR("x")));
    t_check(json_get(f->doc, STR("_lsn")) == NULL);
    served_end();
}

T_TEST("creating an existing item is 409 and changes nothing")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":1}");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":2}");
    expect(409, 0);
    t_check(fake_answer_header(f, "x-ms-session-token").n > 0);
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    t_contains(f->answer.body, "\"v\":1");
    send_pk("POST", DOCS, "[\"b\"]", "{\"id\":\"1\",\"pk\":\"b\",\"v\":2}");
    expect(201, 0);
    served_end();
}

T_TEST("upsert creates, then replaces and keeps the rid")
{
    served_begin_container();
    fake_header(f, "x-ms-documentdb-is-upsert", "True");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":1}");
    expect(201, 0);
    char rid[64];
    (void)snprintf(rid, sizeof(rid), STR_FMT, STR_ARG(fake_answer_str(f, "_rid")));
    fake_header(f, "x-ms-documentdb-is-upsert", "true");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":2}");
    expect(200, 0);
    t_eq_str(fake_answer_str(f, "_rid"), str_of(rid));
    t_contains(f->answer.body, "\"v\":2");
    served_end();
}

T_TEST("replace needs the item, gives a new etag and keeps the rid")
{
    served_begin_container();
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(404, 0);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":1}");
    char *etag = header_copy("etag");
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":2}");
    expect(200, 0);
    t_check(!str_eq(fake_answer_header(f, "etag"), str_of(etag)));
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\"}");
    expect(400, 0);
    mem_free(etag);
    served_end();
}

T_TEST("delete removes; reading or deleting again is 404")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    char rid[64];
    (void)snprintf(rid, sizeof(rid), STR_FMT, STR_ARG(fake_answer_str(f, "_rid")));
    send_pk("DELETE", DOCS "/1", "[\"a\"]", NULL);
    expect(204, 0);
    t_eq_u64(f->answer.body.n, 0);
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(404, 0);
    t_eq_lit(fake_answer_str(f, "code"), "NotFound");
    send_pk("DELETE", DOCS "/1", "[\"a\"]", NULL);
    expect(404, 0);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    t_check(!str_eq(fake_answer_str(f, "_rid"), str_of(rid)));
    served_end();
}

T_TEST("conditions on etags")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    char *first = header_copy("etag");
    fake_header(f, "if-match", first);
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":1}");
    expect(200, 0);
    fake_header(f, "if-match", first);
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":2}");
    expect(412, 0);
    fake_header(f, "if-match", first);
    send_pk("DELETE", DOCS "/1", "[\"a\"]", NULL);
    expect(412, 0);
    fake_header(f, "if-match", "*");
    send_pk("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":3}");
    expect(200, 0);
    char *last = header_copy("etag");
    fake_header(f, "if-none-match", last);
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(304, 0);
    t_eq_u64(f->answer.body.n, 0);
    fake_header(f, "if-none-match", first);
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(200, 0);
    mem_free(first);
    mem_free(last);
    served_end();
}

T_TEST("the partition key of the header must be that of the body")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"b\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(400, 1001);
    send_pk("POST", DOCS, "[1]", "{\"id\":\"1\",\"pk\":\"1\"}");
    expect(400, 1001);
    send_pk("POST", DOCS, "[{}]", "{\"id\":\"1\"}");
    expect(201, 0);
    send_pk("POST", DOCS, "[null]", "{\"id\":\"1\",\"pk\":null}");
    expect(201, 0);
    send_pk("GET", DOCS "/1", "[{}]", NULL);
    expect(200, 0);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":[1]}");
    expect(400, 0);
    served_end();
}

T_TEST("a point operation without a partition key is 400")
{
    served_begin_container();
    fake_send(f, "GET", DOCS "/1", NULL);
    expect(400, 0);
    fake_send(f, "DELETE", DOCS "/1", NULL);
    expect(400, 0);
    send_pk("GET", DOCS "/1", "[\"a\",\"b\"]", NULL);
    expect(400, 0);
    send_pk("GET", DOCS "/1", "not json", NULL);
    expect(400, 0);
    served_end();
}

T_TEST("bodies that are no item are 400")
{
    static const char *const bad[] = {"",
                                      "x",
                                      "[]",
                                      "1",
                                      "{\"pk\":\"a\"}",
                                      "{\"id\":1,\"pk\":\"a\"}",
                                      "{\"id\":\"\",\"pk\":\"a\"}",
                                      "{\"id\":\"a/b\",\"pk\":\"a\"}",
                                      "{\"id\":\"a#b\",\"pk\":\"a\"}",
                                      "{\"id\":\"a\\\\b\",\"pk\":\"a\"}",
                                      "{\"id\":\"1\",\"id\":\"2\",\"pk\":\"a\"}"};
    served_begin_container();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%s", bad[i]);
        send_pk("POST", DOCS, "[\"a\"]", bad[i]);
        expect(400, 0);
        t_eq_lit(fake_answer_str(f, "code"), "BadRequest");
    }
    served_end();
}

T_TEST("ids may hold anything but slashes and hashes")
{
    static const struct {
        const char *json, *path;
    } ids[] = {{"a?b=c", "a?b=c"},   {" x ", "%20x%20"},
               {"a%20b", "a%2520b"}, {"\xe2\x82\xac", "%E2%82%AC"},
               {"tab\\t", "tab%09"}, {"\\r\\n", "%0D%0A"}};
    served_begin_container();
    for (size_t i = 0; i < ARRAY_COUNT(ids); i++) {
        char body[128];
        char path[128];
        t_note("%s", ids[i].json);
        (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",\"pk\":\"a\"}", ids[i].json);
        (void)snprintf(path, sizeof(path), DOCS "/%s", ids[i].path);
        send_pk("POST", DOCS, "[\"a\"]", body);
        expect(201, 0);
        send_pk("GET", path, "[\"a\"]", NULL);
        expect(200, 0);
    }
    served_end();
}

T_TEST("an id has at most 1023 bytes")
{
    served_begin_container();
    char body[2048];
    char id[1100];
    memset(id, 'i', sizeof(id));
    (void)snprintf(body, sizeof(body), "{\"pk\":\"a\",\"id\":\"%.*s\"}", 1023, id);
    send_pk("POST", DOCS, "[\"a\"]", body);
    expect(201, 0);
    (void)snprintf(body, sizeof(body), "{\"pk\":\"a\",\"id\":\"%.*s\"}", 1024, id);
    send_pk("POST", DOCS, "[\"a\"]", body);
    expect(400, 0);
    served_end();
}

/* An item of exactly `size` bytes. */
static char *sized_item(const char *id, size_t size)
{
    char *body = mem_alloc(size + 1);
    int head = snprintf(body, 64, "{\"id\":\"%s\",\"pk\":\"a\",\"s\":\"", id);
    memset(body + head, 'x', size - (size_t)head - 2);
    memcpy(body + size - 2, "\"}", 3);
    return body;
}

T_TEST("an item has at most 2 MiB")
{
    served_begin_container();
    char *fits = sized_item("1", ITEM_SIZE_MAX);
    char *over = sized_item("2", ITEM_SIZE_MAX + 2);
    send_pk("POST", DOCS, "[\"a\"]", fits);
    expect(201, 0);
    send_pk("POST", DOCS, "[\"a\"]", over);
    expect(413, 0);
    t_eq_lit(fake_answer_str(f, "code"), "RequestEntityTooLarge");
    mem_free(fits);
    mem_free(over);
    served_end();
}

T_TEST("patches change parts of an item")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]",
            "{\"id\":\"1\",\"pk\":\"a\",\"n\":1,\"l\":[1,2],\"o\":{\"x\":1}}");
    send_pk(
        "PATCH", DOCS "/1", "[\"a\"]",
        "[{\"op\":\"set\",\"path\":\"/s\",\"value\":\"new\"},{\"op\":\"incr\",\"path\":\"/"
        "n\",\"value\":2},"
        "{\"op\":\"add\",\"path\":\"/l/-\",\"value\":3},{\"op\":\"remove\",\"path\":\"/o/x\"}]");
    expect(200, 0);
    t_contains(f->answer.body, "\"n\":3");
    t_contains(f->answer.body, "[1,2,3]");
    t_contains(f->answer.body, "\"o\":{}");
    t_contains(f->answer.body, "\"s\":\"new\"");
    t_eq_str(fake_answer_str(f, "_etag"), fake_answer_header(f, "etag"));
    served_end();
}

T_TEST("a patch is done only if its condition holds")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"n\":1}");
    send_pk("PATCH", DOCS "/1", "[\"a\"]",
            "{\"operations\":[{\"op\":\"set\",\"path\":\"/n\",\"value\":2}],\"condition\":\"from c "
            "where c.n = 5\"}");
    expect(412, 0);
    send_pk("PATCH", DOCS "/1", "[\"a\"]",
            "{\"operations\":[{\"op\":\"set\",\"path\":\"/n\",\"value\":2}],\"condition\":\"from c "
            "where c.n = 1\"}");
    expect(200, 0);
    send_pk("PATCH", DOCS "/1", "[\"a\"]",
            "{\"operations\":[{\"op\":\"set\",\"path\":\"/n\",\"value\":2}],\"condition\":\"from c "
            "where\"}");
    expect(400, 0);
    served_end();
}

T_TEST("patches that cannot be done are 400 and change nothing")
{
    static const char *const bad[] = {
        "[{\"op\":\"remove\",\"path\":\"/missing\"}]",
        "[{\"op\":\"replace\",\"path\":\"/missing\",\"value\":1}]",
        "[{\"op\":\"set\",\"path\":\"/id\",\"value\":\"2\"}]",
        "[{\"op\":\"set\",\"path\":\"/pk\",\"value\":\"b\"}]",
        "[{\"op\":\"set\",\"path\":\"/_ts\",\"value\":1}]",
        "[{\"op\":\"incr\",\"path\":\"/s\",\"value\":1}]",
        "[{\"op\":\"nonsense\",\"path\":\"/n\",\"value\":1}]",
        "[]",
        "{}",
        "[{\"op\":\"set\",\"path\":\"/n\",\"value\":9},{\"op\":\"remove\",\"path\":\"/missing\"}]",
    };
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"n\":1,\"s\":\"t\"}");
    char *etag = header_copy("etag");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%s", bad[i]);
        send_pk("PATCH", DOCS "/1", "[\"a\"]", bad[i]);
        expect(400, 0);
    }
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    t_eq_str(fake_answer_header(f, "etag"), str_of(etag));
    send_pk("PATCH", DOCS "/2", "[\"a\"]", "[{\"op\":\"set\",\"path\":\"/n\",\"value\":9}]");
    expect(404, 0);
    mem_free(etag);
    served_end();
}

T_TEST("expired items are gone at once and their id is free")
{
    served_begin_with("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":-1}");
    f->ahead_s = -100;
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"ttl\":50}");
    expect(201, 0);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\"}");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"3\",\"pk\":\"a\",\"ttl\":-1}");
    f->ahead_s = 0;
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(404, 0);
    send_pk("GET", DOCS "/2", "[\"a\"]", NULL);
    expect(200, 0);
    send_pk("GET", DOCS "/3", "[\"a\"]", NULL);
    expect(200, 0);
    send_pk("GET", DOCS, "[\"a\"]", NULL);
    t_eq_lit(fake_answer_header(f, "x-ms-item-count"), "2");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(201, 0);
    served_end();
}

T_TEST(
    "an item's ttl counts only where the container has one, and must be a positive integer or -1")
{
    served_begin_container();
    f->ahead_s = -100;
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"ttl\":5}");
    f->ahead_s = 0;
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(200, 0);
    static const char *const bad[] = {"0", "-2", "\"5\"", "1.5", "true"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char body[96];
        (void)snprintf(body, sizeof(body), "{\"id\":\"x\",\"pk\":\"a\",\"ttl\":%s}", bad[i]);
        send_pk("POST", DOCS, "[\"a\"]", body);
        expect(400, 0);
    }
    served_end();
}

T_TEST("a container's default ttl applies to items without one")
{
    served_begin_with("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":50}");
    f->ahead_s = -100;
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\",\"ttl\":1000}");
    f->ahead_s = 0;
    send_pk("GET", DOCS "/1", "[\"a\"]", NULL);
    expect(404, 0);
    send_pk("GET", DOCS "/2", "[\"a\"]", NULL);
    expect(200, 0);
    served_end();
}

T_TEST("unique keys hold within one logical partition, for every kind of write")
{
    served_begin_with("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},"
                      "\"uniqueKeyPolicy\":{\"uniqueKeys\":[{\"paths\":[\"/mail\",\"/o/n\"]}]}}");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":1}}");
    expect(201, 0);
    send_pk("POST", DOCS, "[\"a\"]",
            "{\"id\":\"2\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":1.0}}");
    expect(409, 0);
    send_pk("POST", DOCS, "[\"b\"]", "{\"id\":\"2\",\"pk\":\"b\",\"mail\":\"m\",\"o\":{\"n\":1}}");
    expect(201, 0);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\",\"mail\":\"m\"}");
    expect(201, 0);
    send_pk("POST", DOCS, "[\"a\"]",
            "{\"id\":\"3\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":null}}");
    expect(409, 0); /* a missing value counts as null */
    send_pk("PUT", DOCS "/2", "[\"a\"]",
            "{\"id\":\"2\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":1}}");
    expect(409, 0);
    send_pk("PATCH", DOCS "/2", "[\"a\"]",
            "[{\"op\":\"set\",\"path\":\"/o\",\"value\":{\"n\":1}}]");
    expect(409, 0);
    send_pk("PUT", DOCS "/1", "[\"a\"]",
            "{\"id\":\"1\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":1},\"v\":2}");
    expect(200, 0);
    send_pk("DELETE", DOCS "/1", "[\"a\"]", NULL);
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"4\",\"pk\":\"a\",\"mail\":\"m\",\"o\":{\"n\":1}}");
    expect(201, 0);
    served_end();
}

T_TEST("hierarchical keys name the item on point operations")
{
    served_begin_with("{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/t\",\"/"
                      "u\"],\"kind\":\"MultiHash\",\"version\":2}}");
    send_pk("POST", DOCS, "[\"t1\",\"u1\"]", "{\"id\":\"1\",\"t\":\"t1\",\"u\":\"u1\"}");
    expect(201, 0);
    send_pk("GET", DOCS "/1", "[\"t1\",\"u1\"]", NULL);
    expect(200, 0);
    send_pk("GET", DOCS "/1", "[\"t1\"]", NULL);
    expect(400, 0);
    send_pk("GET", DOCS "/1", "[\"t1\",\"u2\"]", NULL);
    expect(404, 0);
    send_pk("GET", DOCS, "[\"t1\"]", NULL);
    expect(200, 0);
    t_eq_lit(fake_answer_header(f, "x-ms-item-count"), "1");
    send_pk("GET", DOCS, "[\"t2\"]", NULL);
    t_eq_lit(fake_answer_header(f, "x-ms-item-count"), "0");
    served_end();
}

T_TEST("minimal answers have no body")
{
    served_begin_container();
    fake_header(f, "prefer", "return=minimal");
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(201, 0);
    t_eq_u64(f->answer.body.n, 0);
    t_check(fake_answer_header(f, "etag").n > 0);
    served_end();
}

T_TEST("items of a container or database that is not there are 404 with its substatus")
{
    served_begin_container();
    send_pk("GET", "/dbs/db/colls/nope/docs/1", "[\"a\"]", NULL);
    expect(404, 1003);
    send_pk("POST", "/dbs/nope/colls/c/docs", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(404, 1003);
    served_end();
}

T_TEST("rid-based paths lead to the same item")
{
    served_begin_container();
    send_pk("POST", DOCS, "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\"}");
    expect(201, 0);
    char self[256];
    (void)snprintf(self, sizeof(self), "/" STR_FMT, STR_ARG(fake_answer_str(f, "_self")));
    char *docs = strstr(self, "/docs/");
    t_check(docs != NULL);
    docs[6] = '1';
    docs[7] = '\0';
    send_pk("GET", self, "[\"a\"]", NULL);
    expect(200, 0);
    t_eq_lit(fake_answer_str(f, "id"), "1");
    served_end();
}

T_MAIN()
