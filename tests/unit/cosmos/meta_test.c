/* Databases, containers, users, permissions, scripts, offers, ranges: over the memory engine. */
#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/rid.h"
#include "unit/cosmos/served.h"

#define COLLS "/dbs/db/colls"
#define COLL  "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}"

static void begin(void)
{
    served_begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
}

static void begin_coll(void)
{
    begin();
    send_expect("POST", COLLS, COLL, 201);
}

static size_t rid_size(struct str text, uint8_t *ret_fifth)
{
    struct buf raw;
    char plain[64];
    t_check(text.n < sizeof(plain));
    for (size_t i = 0; i < text.n; i++) {
        plain[i] = text.p[i] == '-' ? '/' : text.p[i];
    }
    buf_init(&raw, 64);
    t_check(codec_unbase64(&raw, str_make(plain, text.n)));
    size_t n = raw.n;
    *ret_fifth = n > 4 ? (uint8_t)raw.p[4] : 0;
    buf_done(&raw);
    return n;
}

/* ---- damage ---- */

T_TEST("damaged metadata is told to the core, and the client asks elsewhere")
{
    static const char *const targets[] = {"/dbs/db/users/u", "/dbs/db/users", "/dbs",
                                          "/dbs/db/users/u/permissions", "/offers/abcd"};
    begin_coll();
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\"}", 201);
    engine_spoil(f->engine, ENGINE_SPOIL_METADATA);
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
        send_expect("GET", targets[i], NULL, 503);
        t_checkf(f->unreadable_count == i + 1, "%s was not told", targets[i]);
    }
    engine_spoil(f->engine, 0);
    send_expect("GET", "/dbs/db/users/u", NULL, 200);
    served_end();
}

/* Else a container that was made meanwhile would not exist, and one that was removed would. */
T_TEST("nothing is answered from a catalog that could not be read again")
{
    begin_coll();
    engine_spoil(f->engine, ENGINE_SPOIL_METADATA);
    cosmos_metadata_applied(f->cosmos, 1);
    t_eq_u64(f->unreadable_count, 1);
    t_eq_u64(f->unreadable, 0);
    send_expect("GET", COLLS "/c", NULL, 503);
    send_expect("GET", COLLS "/c/docs", NULL, 503);
    engine_spoil(f->engine, 0);
    cosmos_metadata_applied(f->cosmos, 1);
    send_expect("GET", COLLS "/c", NULL, 200);
    served_end();
}

/* ---- databases ---- */

T_TEST("a database has what clients read, and is read, listed, queried and deleted")
{
    uint8_t fifth = 0;
    begin();
    t_eq_lit(fake_answer_str(f, "id"), "db");
    t_eq_lit(fake_answer_str(f, "_colls"), "colls/");
    t_eq_lit(fake_answer_str(f, "_users"), "users/");
    t_eq_u64(rid_size(fake_answer_str(f, "_rid"), &fifth), 4);
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    t_eq_str(fake_answer_str(f, "_self"), arena_printf(&f->arena, "dbs/%s/", rid.text));
    t_eq_str(fake_answer_str(f, "_etag"), fake_answer_header(f, "etag"));
    struct kept made = keep(f->answer.body);
    send_expect("GET", "/dbs/db", NULL, 200);
    t_eq_str(f->answer.body, str_of(made.text));
    send_expect("POST", "/dbs", "{\"id\":\"other\"}", 201);
    send_expect("GET", "/dbs", NULL, 200);
    t_eq_u64(feed_count("Databases"), 2);
    query_send("/dbs", "{\"query\":\"SELECT * FROM root r WHERE "
                       "r.id=@id\",\"parameters\":[{\"name\":\"@id\",\"value\":\"db\"}]}");
    expect(200, 0);
    t_eq_u64(feed_count("Databases"), 1);
    send_expect("DELETE", "/dbs/db", NULL, 204);
    t_eq_u64(f->answer.body.n, 0);
    send_expect("GET", "/dbs/db", NULL, 404);
    send_expect("DELETE", "/dbs/db", NULL, 404);
    served_end();
}

T_TEST("names are unique and checked")
{
    static const char *const bad[] = {"a/b", "a\\\\b", "a#b", "a?b", "a ", ""};
    begin();
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 409);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char body[64];
        t_note("%s", bad[i]);
        (void)snprintf(body, sizeof(body), "{\"id\":\"%s\"}", bad[i]);
        send_expect("POST", "/dbs", body, 400);
    }
    char body[400];
    char id[300];
    memset(id, 'n', sizeof(id));
    (void)snprintf(body, sizeof(body), "{\"id\":\"%.*s\"}", 255, id);
    send_expect("POST", "/dbs", body, 201);
    (void)snprintf(body, sizeof(body), "{\"id\":\"%.*s\"}", 256, id);
    send_expect("POST", "/dbs", body, 400);
    static const char *const no_names[] = {
        "", "[]", "1", "{}", "{\"id\":1}", "{\"id\":null}", "{\"id\":\"x\"", "null"};
    for (size_t i = 0; i < ARRAY_COUNT(no_names); i++) {
        t_note("%s", no_names[i]);
        send_expect("POST", "/dbs", no_names[i], 400);
    }
    served_end();
}

T_TEST("a database made again has another rid and none of the old containers")
{
    begin_coll();
    send_expect("GET", "/dbs/db", NULL, 200);
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    send_expect("DELETE", "/dbs/db", NULL, 204);
    send_expect("GET", COLLS "/c", NULL, 404);
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    t_check(!str_eq(fake_answer_str(f, "_rid"), str_of(rid.text)));
    send_expect("GET", COLLS "/c", NULL, 404);
    send_expect("GET", COLLS, NULL, 200);
    t_eq_u64(feed_count("DocumentCollections"), 0);
    send_expect("GET", "/offers", NULL, 200);
    t_eq_u64(feed_count("Offers"), 0);
    served_end();
}

T_TEST("a database with more containers than fit into one write is gone with all of them")
{
    begin();
    for (int i = 0; i < 60; i++) {
        char body[128];
        (void)snprintf(body, sizeof(body),
                       "{\"id\":\"c%d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", i);
        send_expect("POST", COLLS, body, 201);
    }
    send_expect("DELETE", "/dbs/db", NULL, 204);
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    send_expect("GET", COLLS, NULL, 200);
    t_eq_u64(feed_count("DocumentCollections"), 0);
    send_expect("GET", COLLS "/c59", NULL, 404);
    served_end();
}

/* ---- containers ---- */

T_TEST("a container has what clients read, under its name and under its rids")
{
    uint8_t fifth = 0;
    begin();
    send_expect("GET", "/dbs/db", NULL, 200);
    struct kept db_rid = keep(fake_answer_str(f, "_rid"));
    send_expect("POST", COLLS, COLL, 201);
    struct kept made = keep(f->answer.body);
    t_eq_u64(rid_size(fake_answer_str(f, "_rid"), &fifth), 8);
    t_check((fifth & 0x80) != 0);
    static const char *const members[] = {"_docs",      "docs/",     "_sprocs", "sprocs/",
                                          "_triggers",  "triggers/", "_udfs",   "udfs/",
                                          "_conflicts", "conflicts/"};
    for (size_t i = 0; i < ARRAY_COUNT(members); i += 2) {
        t_eq_str(fake_answer_str(f, members[i]), str_of(members[i + 1]));
    }
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    struct kept self = keep(fake_answer_str(f, "_self"));
    t_eq_str(str_of(self.text), arena_printf(&f->arena, "dbs/%s/colls/%s/", db_rid.text, rid.text));
    send_expect("GET", COLLS "/c", NULL, 200);
    t_eq_str(f->answer.body, str_of(made.text));
    t_eq_str(fake_answer_header(f, "x-ms-content-path"), str_of(db_rid.text));
    t_eq_lit(fake_answer_header(f, "x-ms-alt-content-path"), "dbs/db");
    t_check(str_starts(fake_answer_header(f, "x-ms-session-token"), STR("0:1#")));
    char path[sizeof(self.text) + 8];
    (void)snprintf(path, sizeof(path), "/%s", self.text);
    send_expect("GET", path, NULL, 200);
    t_eq_str(f->answer.body, str_of(made.text));
    (void)snprintf(path, sizeof(path), "/dbs/%s", db_rid.text);
    send_expect("GET", path, NULL, 200);
    t_eq_lit(fake_answer_str(f, "id"), "db");
    send_expect("DELETE", path, NULL, 204);
    send_expect("GET", "/dbs/db", NULL, 404);
    served_end();
}

T_TEST("what the server keeps in a definition for itself is shown nowhere")
{
    static const char body[] =
        "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"_holdfast\":{\"pids\":[1,1]},"
        "\"note\":\",\\\"_holdfast\\\":{}\"}";
    begin();
    send_expect("POST", COLLS, body, 201);
    t_check(json_get(f->doc, STR("_holdfast")) == NULL);
    send_expect("GET", COLLS "/c", NULL, 200);
    t_check(json_get(f->doc, STR("_holdfast")) == NULL);
    t_eq_lit(fake_answer_str(f, "note"), ",\"_holdfast\":{}");
    send_expect("GET", COLLS, NULL, 200);
    const struct json *one = json_get(f->doc, STR("DocumentCollections"))->items[0];
    t_check(json_get(one, STR("_holdfast")) == NULL);
    query_send(COLLS, "{\"query\":\"SELECT * FROM c WHERE c.id = 'c'\"}");
    expect(200, 0);
    t_eq_u64(feed_count("DocumentCollections"), 1);
    one = json_get(f->doc, STR("DocumentCollections"))->items[0];
    t_check(json_get(one, STR("_holdfast")) == NULL);
    query_send(COLLS, "{\"query\":\"SELECT VALUE c._holdfast FROM c\"}");
    t_eq_u64(feed_count("DocumentCollections"), 0);
    served_end();
}

T_TEST("a container is replaced, keeps its items and its rid, and is deleted")
{
    begin_coll();
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    struct kept etag = keep(fake_answer_header(f, "etag"));
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", COLLS "/c/docs", "{\"id\":\"1\",\"pk\":\"a\"}", 201);
    send_expect("PUT", COLLS "/c",
                "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":60}", 200);
    t_eq_str(fake_answer_str(f, "_rid"), str_of(rid.text));
    t_check(!str_eq(fake_answer_header(f, "etag"), str_of(etag.text)));
    fake_header(f, "if-match", etag.text);
    send_expect("PUT", COLLS "/c", COLL, 412);
    send_expect("PUT", COLLS "/c", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/other\"]}}", 400);
    send_expect("PUT", COLLS "/c", "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 400);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("GET", COLLS "/c/docs/1", NULL, 200);
    send_expect("DELETE", COLLS "/c", NULL, 204);
    send_expect("GET", COLLS "/c", NULL, 404);
    send_expect("PUT", COLLS "/c", COLL, 404);
    send_expect("POST", COLLS, COLL, 201);
    t_check(!str_eq(fake_answer_str(f, "_rid"), str_of(rid.text)));
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("GET", COLLS "/c/docs/1", NULL, 404);
    served_end();
}

T_TEST("a client that means an older container of the name is told so")
{
    begin_coll();
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    fake_header(f, "x-ms-cosmos-intended-collection-rid", rid.text);
    send_expect("GET", COLLS "/c", NULL, 200);
    send_expect("DELETE", COLLS "/c", NULL, 204);
    send_expect("POST", COLLS, COLL, 201);
    fake_header(f, "x-ms-cosmos-intended-collection-rid", rid.text);
    fake_send(f, "GET", COLLS "/c", NULL);
    expect(400, 1024);
    served_end();
}

/* The write is decided while another request has changed the names under it: played by a hook that
 * runs between the look-up of the names and the decision. */
static void delete_database(struct fake *fake)
{
    fake->on_write = NULL;
    fake_nested(fake, "DELETE", "/dbs/db", NULL);
}

static void make_database_anew(struct fake *fake)
{
    delete_database(fake);
    fake_nested(fake, "POST", "/dbs", "{\"id\":\"db\"}");
}

static void make_container_anew(struct fake *fake)
{
    fake->on_write = NULL;
    fake_nested(fake, "DELETE", COLLS "/c", NULL);
    fake_nested(fake, "POST", COLLS, "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/other\"]}}");
}

T_TEST("nothing is made in a parent that goes away meanwhile")
{
    begin();
    f->on_write = delete_database;
    send_expect("POST", COLLS, COLL, 404);
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    f->on_write = make_database_anew;
    send_expect("POST", COLLS, COLL, 404);
    f->on_write = delete_database;
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\"}", 404);
    served_end();
}

T_TEST("a definition never reaches another container of the same name")
{
    begin_coll();
    f->on_write = make_container_anew;
    send_expect("PUT", COLLS "/c",
                "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]},\"defaultTtl\":60}", 404);
    send_expect("GET", COLLS "/c", NULL, 200);
    t_contains(f->answer.body, "\"/other\"");
    t_check(json_get(f->doc, STR("defaultTtl")) == NULL);
    f->on_write = make_container_anew;
    send_expect("DELETE", COLLS "/c", NULL, 404);
    send_expect("GET", COLLS "/c", NULL, 200);
    f->on_write = make_container_anew;
    send_expect("POST", COLLS "/c/sprocs", "{\"id\":\"s\",\"body\":\"x\"}", 404);
    served_end();
}

/* ---- users and permissions ---- */

T_TEST("users and permissions are made, read, changed, listed and deleted")
{
    uint8_t fifth = 0xff;
    begin_coll();
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\"}", 201);
    t_eq_u64(rid_size(fake_answer_str(f, "_rid"), &fifth), 8);
    t_eq_u64(fifth & 0x80, 0);
    t_eq_lit(fake_answer_str(f, "_permissions"), "permissions/");
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\"}", 409);
    fake_header(f, "x-ms-documentdb-is-upsert", "true");
    send_expect("POST", "/dbs/db/users", "{\"id\":\"u\",\"more\":1}", 200);
    t_eq_str(fake_answer_str(f, "_rid"), str_of(rid.text));
    send_expect("GET", "/dbs/db/users/u", NULL, 200);
    t_contains(f->answer.body, "\"more\":1");
    send_expect("GET", "/dbs/db/users", NULL, 200);
    t_eq_u64(feed_count("Users"), 1);
    static const char permission[] =
        "{\"id\":\"p\",\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"}";
    send_expect("POST", "/dbs/db/users/u/permissions", permission, 201);
    t_eq_u64(rid_size(fake_answer_str(f, "_rid"), &fifth), 16);
    send_expect("POST", "/dbs/db/users/u/permissions", "{\"id\":\"q\",\"permissionMode\":\"Read\"}",
                400);
    send_expect("POST", "/dbs/db/users/nobody/permissions", permission, 404);
    send_expect("PUT", "/dbs/db/users/u/permissions/p",
                "{\"id\":\"p\",\"permissionMode\":\"All\",\"resource\":\"dbs/db/colls/c\"}", 200);
    send_expect("PUT", "/dbs/db/users/u/permissions/p",
                "{\"id\":\"other\",\"permissionMode\":\"All\",\"resource\":\"dbs/db/colls/c\"}",
                400);
    send_expect("GET", "/dbs/db/users/u/permissions", NULL, 200);
    t_eq_u64(feed_count("Permissions"), 1);
    send_expect("DELETE", "/dbs/db/users/u/permissions/p", NULL, 204);
    send_expect("GET", "/dbs/db/users/u/permissions/p", NULL, 404);
    send_expect("DELETE", "/dbs/db/users/u", NULL, 204);
    send_expect("GET", "/dbs/db/users/u", NULL, 404);
    send_expect("DELETE", "/dbs/db/users/u", NULL, 404);
    served_end();
}

/* ---- scripts ---- */

T_TEST("scripts are kept as resources, and executing one is refused clearly")
{
    static const struct {
        const char *feed, *key, *body;
    } kinds[] = {
        {"sprocs", "StoredProcedures", "{\"id\":\"s\",\"body\":\"function () {}\"}"},
        {"triggers", "Triggers",
         "{\"id\":\"s\",\"body\":\"function () "
         "{}\",\"triggerType\":\"Pre\",\"triggerOperation\":\"All\"}"},
        {"udfs", "UserDefinedFunctions", "{\"id\":\"s\",\"body\":\"function () {}\"}"},
    };
    static const unsigned nibbles[] = {RID_SPROC, RID_TRIGGER, RID_UDF};
    begin_coll();
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char feed[64];
        char one[80];
        struct rid rid;
        t_note("%s", kinds[i].feed);
        (void)snprintf(feed, sizeof(feed), COLLS "/c/%s", kinds[i].feed);
        (void)snprintf(one, sizeof(one), "%s/s", feed);
        send_expect("POST", feed, kinds[i].body, 201);
        t_check(rid_parse(fake_answer_str(f, "_rid"), &rid));
        t_eq_int((int)rid.kind, (int)nibbles[i]);
        send_expect("POST", feed, kinds[i].body, 409);
        send_expect("POST", feed, "{\"id\":\"t\"}", 400);
        send_expect("GET", one, NULL, 200);
        t_eq_lit(fake_answer_str(f, "body"), "function () {}");
        send_expect("PUT", one, kinds[i].body, 200);
        send_expect("GET", feed, NULL, 200);
        t_eq_u64(feed_count(kinds[i].key), 1);
        query_send(feed, "{\"query\":\"SELECT * FROM c WHERE c.id = 's'\"}");
        t_eq_u64(feed_count(kinds[i].key), 1);
    }
    send_expect("POST", COLLS "/c/sprocs/s", "[]", 501);
    send_expect("POST", COLLS "/c/udfs/s", "[]", 405);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char one[80];
        (void)snprintf(one, sizeof(one), COLLS "/c/%s/s", kinds[i].feed);
        send_expect("DELETE", one, NULL, 204);
        send_expect("GET", one, NULL, 404);
    }
    served_end();
}

/* ---- offers ---- */

/* Answers with the only offer of the resource, as clients look for it; its id. */
static struct kept offer_of(const char *self)
{
    char body[400];
    struct str id = STR("");
    (void)snprintf(body, sizeof(body),
                   "{\"query\":\"SELECT * from root where root.resource = \\\"%s\\\"\"}", self);
    query_send("/offers", body);
    expect(200, 0);
    t_eq_u64(feed_count("Offers"), 1);
    const struct json *offer = json_get(f->doc, STR("Offers"))->items[0];
    t_check(json_get_str(offer, STR("id"), &id));
    return keep(id);
}

static uint64_t throughput_now(void)
{
    uint64_t n = 0;
    t_check(json_get_u64(json_get(f->doc, STR("content")), STR("offerThroughput"), &n));
    return n;
}

T_TEST("every container has its offer, found by its self link, read by id and replaced")
{
    begin();
    fake_header(f, "x-ms-offer-throughput", "500");
    send_expect("POST", COLLS, COLL, 201);
    struct kept one = keep(fake_answer_str(f, "_self"));
    struct kept rid = keep(fake_answer_str(f, "_rid"));
    send_expect("POST", COLLS, "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    struct kept two = keep(fake_answer_str(f, "_self"));
    struct kept first = offer_of(one.text);
    struct kept second = offer_of(two.text);
    t_check(strcmp(first.text, second.text) != 0);
    char path[sizeof(first.text) + 16];
    (void)snprintf(path, sizeof(path), "/offers/%s", first.text);
    send_expect("GET", path, NULL, 200);
    t_eq_u64(throughput_now(), 500);
    t_eq_lit(fake_answer_str(f, "offerVersion"), "V2");
    t_eq_str(fake_answer_str(f, "resource"), str_of(one.text));
    t_eq_str(fake_answer_str(f, "offerResourceId"), str_of(rid.text));
    t_eq_str(fake_answer_str(f, "_rid"), str_of(first.text));
    send_expect("PUT", path, "{\"content\":{\"offerThroughput\":700},\"resource\":\"dbs/x/\"}",
                200);
    t_eq_u64(throughput_now(), 700);
    send_expect("GET", path, NULL,
                200); /* found again, though the body named neither id nor resource */
    t_eq_u64(throughput_now(), 700);
    t_eq_str(fake_answer_str(f, "resource"), str_of(one.text));
    static const char *const bad[] = {
        "[]",
        "{}",
        "{\"content\":{}}",
        "{\"content\":{\"offerThroughput\":399}}",
        "{\"content\":{\"offerThroughput\":450.5}}",
        "{\"content\":{\"offerThroughput\":\"500\"}}",
        "{\"content\":{\"offerAutopilotSettings\":{\"maxThroughput\":1}}}",
        "{\"id\":\"zzzz\",\"content\":{\"offerThroughput\":700}}"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%s", bad[i]);
        send_expect("PUT", path, bad[i], 400);
    }
    send_expect("DELETE", path, NULL, 405);
    send_expect("GET", "/offers/none", NULL, 404);
    send_expect("GET", "/offers", NULL, 200);
    t_eq_u64(feed_count("Offers"), 2);
    send_expect("DELETE", COLLS "/c", NULL, 204);
    send_expect("GET", path, NULL, 404);
    served_end();
}

T_TEST("autoscale settings and the throughput of a database are kept in offers")
{
    served_begin();
    fake_header(f, "x-ms-offer-throughput", "600");
    send_expect("POST", "/dbs", "{\"id\":\"db\"}", 201);
    struct kept db = keep(fake_answer_str(f, "_self"));
    struct kept id = offer_of(db.text);
    char path[sizeof(id.text) + 16];
    (void)snprintf(path, sizeof(path), "/offers/%s", id.text);
    send_expect("GET", path, NULL, 200);
    t_eq_u64(throughput_now(), 600);
    send_expect("POST", COLLS, COLL, 201); /* shares the database's: no offer of its own */
    fake_header(f, "x-ms-cosmos-offer-autopilot-settings", "{\"maxThroughput\":4000}");
    send_expect("POST", COLLS, "{\"id\":\"d\",\"partitionKey\":{\"paths\":[\"/pk\"]}}", 201);
    struct kept coll = keep(fake_answer_str(f, "_self"));
    id = offer_of(coll.text);
    (void)snprintf(path, sizeof(path), "/offers/%s", id.text);
    send_expect("GET", path, NULL, 200);
    uint64_t most = 0;
    const struct json *content = json_get(f->doc, STR("content"));
    t_check(json_get_u64(json_get(content, STR("offerAutopilotSettings")), STR("maxThroughput"),
                         &most));
    t_eq_u64(most, 4000);
    send_expect("GET", "/offers", NULL, 200);
    t_eq_u64(feed_count("Offers"), 2);
    send_expect("DELETE", "/dbs/db", NULL, 204);
    send_expect("GET", "/offers", NULL, 200);
    t_eq_u64(feed_count("Offers"), 0);
    served_end();
}

T_TEST("throughput that makes no sense is 400")
{
    static const struct {
        const char *manual, *automatic;
    } bad[] = {{"many", NULL},
               {"-1", NULL},
               {"399", NULL},
               {"450", NULL},
               {"1000100", NULL},
               {NULL, "{"},
               {NULL, "{}"},
               {NULL, "[]"},
               {NULL, "{\"maxThroughput\":999}"},
               {NULL, "{\"maxThroughput\":1500}"},
               {"400", "{\"maxThroughput\":4000}"}};
    served_begin();
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_note("%zu", i);
        if (bad[i].manual) {
            fake_header(f, "x-ms-offer-throughput", bad[i].manual);
        }
        if (bad[i].automatic) {
            fake_header(f, "x-ms-cosmos-offer-autopilot-settings", bad[i].automatic);
        }
        send_expect("POST", "/dbs", "{\"id\":\"db\"}", 400);
    }
    served_end();
}

/* ---- ranges ---- */

T_TEST("a container has one range per started 10,000 RU/s, without gaps")
{
    static const struct {
        const char *throughput;
        size_t count;
    } cases[] = {{"400", 1}, {"10000", 1}, {"10100", 2}, {"25000", 3}, {"1000000", 100}};
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        fake_header(f, "x-ms-offer-throughput", cases[i].throughput);
        send_expect("POST", COLLS, COLL, 201);
        send_expect("GET", COLLS "/c/pkranges", NULL, 200);
        t_eq_u64(feed_count("PartitionKeyRanges"), cases[i].count);
        const struct json *ranges = json_get(f->doc, STR("PartitionKeyRanges"));
        struct str at = STR("");
        for (size_t k = 0; k < ranges->count; k++) {
            struct str from = STR("?");
            struct str id = STR("");
            struct rid rid;
            struct str rid_text = STR("");
            t_check(json_get_str(ranges->items[k], STR("minInclusive"), &from));
            t_eq_str(from, at);
            t_check(json_get_str(ranges->items[k], STR("maxExclusive"), &at));
            t_check(json_get_str(ranges->items[k], STR("id"), &id));
            t_eq_str(id, arena_printf(&f->arena, "%zu", k));
            t_check(json_get_str(ranges->items[k], STR("_rid"), &rid_text));
            t_check(rid_parse(rid_text, &rid));
            t_eq_int((int)rid.kind, RID_RANGE);
        }
        t_eq_lit(at, "FF");
        send_expect("DELETE", COLLS "/c", NULL, 204);
    }
    served_end();
}

T_TEST("ranges read as a change feed end with 304 and the same etag")
{
    begin_coll();
    fake_header(f, "a-im", "Incremental Feed");
    send_expect("GET", COLLS "/c/pkranges", NULL, 200);
    struct kept etag = keep(fake_answer_header(f, "etag"));
    t_check(etag.text[0] != '\0');
    fake_header(f, "A-IM", "Incremental feed");
    fake_header(f, "if-none-match", etag.text);
    send_expect("GET", COLLS "/c/pkranges", NULL, 304);
    t_eq_str(fake_answer_header(f, "etag"), str_of(etag.text));
    t_eq_u64(f->answer.body.n, 0);
    send_expect("POST", COLLS "/c/pkranges", "{}", 405);
    served_end();
}

T_TEST("the quota is told when asked for")
{
    begin_coll();
    send_expect("GET", COLLS "/c", NULL, 200);
    t_check(fake_answer_header(f, "x-ms-resource-usage").n == 0);
    fake_header(f, "x-ms-documentdb-partitionkey", "[\"a\"]");
    send_expect("POST", COLLS "/c/docs", "{\"id\":\"1\",\"pk\":\"a\"}", 201);
    fake_header(f, "x-ms-documentdb-populatequotainfo", "true");
    send_expect("GET", COLLS "/c", NULL, 200);
    t_contains(fake_answer_header(f, "x-ms-resource-usage"), "documentsCount=1;");
    t_contains(fake_answer_header(f, "x-ms-resource-quota"), "collectionSize=10485760;");
    served_end();
}

/* ---- where it may be read and written ---- */

T_TEST("a region that does not write answers 403/3 to every change of metadata")
{
    static const struct {
        const char *method, *target;
    } writes[] = {{"POST", "/dbs"},     {"DELETE", "/dbs/db"},     {"POST", COLLS},
                  {"PUT", COLLS "/c"},  {"DELETE", COLLS "/c"},    {"POST", "/dbs/db/users"},
                  {"PUT", "/offers/x"}, {"POST", COLLS "/c/udfs"}, {"DELETE", COLLS "/c/sprocs/s"}};
    begin_coll();
    atomic_store(&f->view->role, ROLE_READER);
    for (size_t i = 0; i < ARRAY_COUNT(writes); i++) {
        t_note("%s %s", writes[i].method, writes[i].target);
        fake_send(f, writes[i].method, writes[i].target, COLL);
        expect(403, 3);
    }
    send_expect("GET", COLLS "/c", NULL, 200);
    query_send("/dbs", "{\"query\":\"SELECT * FROM c\"}");
    expect(200, 0);
    served_end();
}

T_TEST("a region that may not serve answers no metadata either, only the account document")
{
    static const char *const reads[] = {"/dbs",     "/dbs/db",           COLLS,
                                        COLLS "/c", COLLS "/c/pkranges", "/offers"};
    begin_coll();
    struct part_view *metadata = f->metadata;
    atomic_store(&metadata->flags, 0);
    for (size_t i = 0; i < ARRAY_COUNT(reads); i++) {
        t_note("%s", reads[i]);
        atomic_store(&f->view->role, ROLE_OFFLINE);
        fake_send(f, "GET", reads[i], NULL);
        expect(403, 1008);
        atomic_store(&f->view->role, ROLE_READER);
        fake_send(f, "GET", reads[i], NULL);
        expect(503, 0);
    }
    send_expect("GET", "/", NULL, 200);
    served_end();
}

T_MAIN()
