/* Resource tokens: made by permissions, used in place of a key. */
#include "cosmos/permit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/mem.h"
#include "lib/fake_core.h"
#include "lib/t.h"

#define USERS "/dbs/db/users"
#define DOCS  "/dbs/db/colls/c/docs"

static struct fake *f;
static struct str master;
static char token[AUTH_TOKEN_SIZE_MAX];

static void must(int status)
{
    t_checkf(f->answer.status == status, "status %d: " STR_FMT, f->answer.status,
             STR_ARG(str_slice(f->answer.body, 0, 400)));
}

static void begin(void)
{
    f = fake_new(&(struct fake_opts){.level = CONSISTENCY_SESSION});
    master = f->key;
    fake_send(f, "POST", "/dbs", "{\"id\":\"db\"}");
    fake_send(f, "POST", "/dbs/db/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    fake_send(f, "POST", "/dbs/db/colls",
              "{\"id\":\"other\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    must(201);
    for (int i = 0; i < 2; i++) {
        fake_header(f, "x-ms-documentdb-partitionkey", i ? "[\"b\"]" : "[\"a\"]");
        fake_send(f, "POST", DOCS,
                  i ? "{\"id\":\"1\",\"pk\":\"b\"}" : "{\"id\":\"1\",\"pk\":\"a\"}");
        must(201);
    }
    fake_send(f, "POST", USERS, "{\"id\":\"u\"}");
    must(201);
}

static void end(void)
{
    fake_free(f);
    f = NULL;
}

static void keep_token(void)
{
    (void)snprintf(token, sizeof(token), STR_FMT, STR_ARG(fake_answer_str(f, "_token")));
    t_check(strncmp(token, "type=resource&ver=1&sig=", 24) == 0);
}

/* A permission with these members; its token is kept. */
static void permit(const char *id, const char *members)
{
    char body[512];
    (void)snprintf(body, sizeof(body), "{\"id\":\"%s\",%s}", id, members);
    fake_send(f, "POST", USERS "/u/permissions", body);
    must(201);
    keep_token();
}

static void send(const char *method, const char *target, const char *pk, const char *body)
{
    struct buf header;
    buf_init(&header, (size_t)4 * AUTH_TOKEN_SIZE_MAX);
    codec_percent_encode(&header, str_of(token));
    char *text = buf_take(&header, NULL);
    f->key = STR("");
    fake_header(f, "authorization", text);
    mem_free(text);
    if (pk) {
        fake_header(f, "x-ms-documentdb-partitionkey", pk);
    }
    fake_send(f, method, target, body);
    f->key = master;
}

T_TEST("a token for reading reads its container and nothing else")
{
    begin();
    permit("p", "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"");
    send("GET", "/", NULL, NULL);
    must(200);
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(200);
    send("GET", "/dbs/db/colls/c", NULL, NULL);
    must(200);
    send("GET", "/dbs/db/colls/c/pkranges", NULL, NULL);
    must(200);
    fake_header(f, "x-ms-documentdb-isquery", "true");
    send("POST", DOCS, NULL, "{\"query\":\"SELECT * FROM c\"}");
    must(200);
    send("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\"}");
    must(403);
    send("DELETE", DOCS "/1", "[\"a\"]", NULL);
    must(403);
    static const char *const others[] = {"/dbs",
                                         "/dbs/db",
                                         "/dbs/db/colls",
                                         "/dbs/db/colls/other",
                                         "/dbs/db/colls/other/docs",
                                         "/offers",
                                         "/dbs/db/users",
                                         "/dbs/db/users/u/permissions/p",
                                         "/dbs/nope/colls/c"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        send("GET", others[i], NULL, NULL);
        t_checkf(f->answer.status == 401, "%s: %d", others[i], f->answer.status);
    }
    end();
}

T_TEST("a token for everything writes, but not the container itself")
{
    begin();
    permit("p", "\"permissionMode\":\"all\",\"resource\":\"/dbs/db/colls/c/\"");
    send("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"a\"}");
    must(201);
    send("DELETE", DOCS "/1", "[\"a\"]", NULL);
    must(204);
    send("DELETE", "/dbs/db/colls/c", NULL, NULL);
    must(403);
    send("PUT", "/dbs/db/colls/c", NULL, "{\"id\":\"c\"}");
    must(403);
    end();
}

T_TEST("a token may be for one partition key")
{
    begin();
    permit("p", "\"permissionMode\":\"All\",\"resource\":\"dbs/db/colls/"
                "c\",\"resourcePartitionKey\":[\"a\"]");
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(200);
    send("GET", DOCS "/1", "[\"b\"]", NULL);
    must(403);
    send("GET", DOCS, NULL, NULL);
    must(403);
    send("GET", DOCS, "[\"a\"]", NULL);
    must(200);
    t_eq_lit(fake_answer_header(f, "x-ms-item-count"), "1");
    send("POST", DOCS, "[\"b\"]", "{\"id\":\"2\",\"pk\":\"b\"}");
    must(403);
    send("POST", DOCS, "[\"a\"]", "{\"id\":\"2\",\"pk\":\"b\"}");
    must(400);
    fake_header(f, "x-ms-cosmos-is-batch-request", "true");
    fake_header(f, "x-ms-cosmos-batch-atomic", "false");
    send("POST", DOCS, "[\"a\"]",
         "[{\"operationType\":\"Read\",\"partitionKey\":\"[\\\"b\\\"]\",\"id\":\"1\"}]");
    t_check(f->answer.status == 207);
    t_contains(f->answer.body, "\"statusCode\":400");
    end();
}

T_TEST("a token may be for one item")
{
    begin();
    permit("p", "\"permissionMode\":\"All\",\"resource\":\"dbs/db/colls/c/docs/1\"");
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(200);
    send("GET", DOCS "/11", "[\"a\"]", NULL);
    must(401);
    send("GET", DOCS, NULL, NULL);
    must(401);
    send("PUT", DOCS "/1", "[\"a\"]", "{\"id\":\"1\",\"pk\":\"a\",\"v\":1}");
    must(200);
    end();
}

T_TEST("forged, cut and foreign tokens are 401")
{
    begin();
    permit("p", "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"");
    size_t n = strlen(token);
    for (size_t i = 24; i < n; i += 3) {
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        send("GET", DOCS "/1", "[\"a\"]", NULL);
        /* The last bits of the signature's base64 mean nothing. */
        t_checkf(f->answer.status == 401 || i == 66, "changed at %zu: %d", i, f->answer.status);
        token[i] = kept;
    }
    token[n - 5] = '\0';
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(401);
    end();
}

T_TEST("a token ends with its time, and with the key that signed it")
{
    begin();
    fake_header(f, "x-ms-documentdb-expiry-seconds", "1");
    permit("p", "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"");
    char *expiry = strchr(token, ';') + 1;
    uint64_t until = strtoull(expiry, NULL, 10);
    t_check(until > 1600000000);
    fake_header(f, "x-ms-documentdb-expiry-seconds", "86401");
    fake_send(f, "POST", USERS "/u/permissions",
              "{\"id\":\"q\",\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"}");
    must(400);
    fake_send(f, "GET", USERS "/u/permissions/p", NULL);
    must(200);
    keep_token();
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(200);
    (void)snprintf(f->rec.key[0], sizeof(f->rec.key[0]), "%s",
                   "bm90IGEga2V5IG9mIHRoaXMgYWNjb3VudCBhdCBhbGw=");
    fake_publish_record(f);
    send("GET", DOCS "/1", "[\"a\"]", NULL);
    must(401);
    end();
}

T_TEST("a container made anew is not opened by the old one's token")
{
    begin();
    permit("p", "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\"");
    fake_send(f, "DELETE", "/dbs/db/colls/c", NULL);
    must(204);
    fake_send(f, "GET", USERS "/u/permissions/p", NULL);
    must(200);
    t_check(json_get(f->doc, STR("_token")) == NULL);
    fake_send(f, "POST", "/dbs/db/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    must(201);
    send("GET", DOCS, NULL, NULL);
    must(401);
    end();
}

T_TEST("tokens come with every answer about a permission and are not stored")
{
    begin();
    permit("p", "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/c\",\"_token\":\"mine\"");
    fake_send(f, "GET", USERS "/u/permissions", NULL);
    must(200);
    const struct json *list = json_get(f->doc, STR("Permissions"));
    struct str text = STR("");
    t_check(list && list->count == 1 && json_get_str(list->items[0], STR("_token"), &text));
    t_check(str_starts(text, STR("type=resource&ver=1&sig=")));
    fake_send(f, "PUT", USERS "/u/permissions/p",
              "{\"id\":\"p\",\"permissionMode\":\"All\",\"resource\":\"dbs/db/colls/c\"}");
    must(200);
    keep_token();
    send("DELETE", DOCS "/1", "[\"a\"]", NULL);
    must(204);
    end();
}

T_TEST("permissions that name no container of the database are refused")
{
    static const char *const bad[] = {
        "\"permissionMode\":\"Read\",\"resource\":\"dbs/db\"",
        "\"permissionMode\":\"Read\",\"resource\":\"\"",
        "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/nope\"",
        "\"permissionMode\":\"Read\",\"resource\":\"dbs/db2/colls/c\"",
        "\"permissionMode\":\"Write\",\"resource\":\"dbs/db/colls/c\"",
        "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/"
        "c\",\"resourcePartitionKey\":[\"a\",\"b\"]",
        "\"permissionMode\":\"Read\",\"resource\":\"dbs/db/colls/"
        "c\",\"resourcePartitionKey\":\"a\"",
        "\"permissionMode\":\"Read\"",
    };
    begin();
    fake_send(f, "POST", "/dbs", "{\"id\":\"db2\"}");
    fake_send(f, "POST", "/dbs/db2/colls", "{\"id\":\"c\",\"partitionKey\":{\"paths\":[\"/pk\"]}}");
    must(201);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"id\":\"p\",%s}", bad[i]);
        t_note("%s", bad[i]);
        fake_send(f, "POST", USERS "/u/permissions", body);
        must(400);
    }
    end();
}

T_MAIN()
