/* Requests of our own tools: the signature against the published example and against what the server
 * checks, headers and errors of answers, where an account is found. */
#include "continuity/client.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "cosmos/auth.h"
#include "lib/t.h"

static struct arena arena;

static struct str sign(const char *key, const char *method, const char *path, const char *date)
{
    struct client_signer *s = client_signer_new(key, NULL);
    t_check(s != NULL);
    struct str ret = client_sign(s, &arena, method, str_of(path), date);
    client_signer_free(s);
    return ret;
}

/* From "Access control on Azure Cosmos DB resources"; there with %-escapes in lower case. */
T_TEST("the signature is that of the protocol's published example")
{
    arena_init(&arena);
    static const char key[] =
        "dsZQi3KtZmCv1ljt3VNWNm7sQUF1y5rJfC6kv5JiwvW0EndXdDku/dkKBp8/ufDToSxLzR4y+O/0H/t4bQtVNw==";
    static const char date[] = "Thu, 27 Apr 2017 00:51:12 GMT";
    static const char want[] =
        "type%3Dmaster%26ver%3D1.0%26sig%3Dc09PEVJrgp2uQRkr934kFbTqhByc7TVr3OHyqlu%2Bc%2Bc%3D";
    t_eq_str(sign(key, "GET", "/dbs/ToDoList", date), STR(want));
    t_eq_str(sign(key, "get", "/dbs/ToDoList", date), STR(want));
    t_check(!str_eq(sign(key, "GET", "/dbs/todolist", date), STR(want))); /* case of names counts */
    t_check(!str_eq(sign(key, "GET", "/dbs/ToDoList", "Thu, 27 Apr 2017 00:51:13 GMT"), STR(want)));
    arena_done(&arena);
}

T_TEST("the server accepts what the client signs, for every form of path")
{
    static const char key[] = "cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=";
    static const struct {
        const char *method, *path, *target;
    } forms[] = {
        {"GET", "/", "/"},
        {"GET", "/dbs", "/dbs"},
        {"POST", "/dbs", "/dbs"},
        {"GET", "/dbs/d", "/dbs/d"},
        {"POST", "/dbs/d/colls", "/dbs/d/colls"},
        {"POST", "/dbs/d/colls/c/docs", "/dbs/d/colls/c/docs"},
        {"GET", "/dbs/d/colls/c/docs/an item", "/dbs/d/colls/c/docs/an%20item"},
        {"PUT", "/dbs/d/colls/c/docs/a?b", "/dbs/d/colls/c/docs/a%3Fb"},
        {"GET", "/dbs/d/colls/c/docs/\xc3\xa4", "/dbs/d/colls/c/docs/%C3%A4"},
        {"GET", "/dbs/d/colls/c/conflicts", "/dbs/d/colls/c/conflicts"},
        {"GET", "/offers", "/offers"},
        {"GET", "/_holdfast/account", "/_holdfast/account"},
        {"POST", "/_holdfast/account/keys/regenerate", "/_holdfast/account/keys/regenerate"},
        {"GET", "/_holdfast/events/12", "/_holdfast/events/12"},
    };
    const char *keys[4] = {key, "", "", ""};
    struct cosmos_auth *auth = cosmos_auth_new(keys);
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char date[CLOCK_RFC1123_SIZE];
        struct errinfo ei = {0};
        bool is_read_only = true;
        int64_t now = clock_wall_ms();
        clock_format_rfc1123(now, date);
        arena_init(&arena);
        struct http_header headers[] = {
            {STR("authorization"), sign(key, forms[i].method, forms[i].path, date)},
            {STR("x-ms-date"), str_of(date)}};
        struct http_req req = {.method = str_of(forms[i].method),
                               .target = str_of(forms[i].target),
                               .headers = headers,
                               .header_count = 2};
        arena_init(&req.arena);
        enum err err = cosmos_auth_check(auth, &req, now, &is_read_only, &ei);
        t_checkf(err == OK, "%s %s: %s", forms[i].method, forms[i].path, ei.message);
        t_check(!is_read_only);
        arena_done(&req.arena);
        arena_done(&arena);
    }
    cosmos_auth_free(auth);
}

T_TEST("a key that is not base64, or empty, makes no signer")
{
    struct errinfo ei = {0};
    t_check(client_signer_new("not base64!", &ei) == NULL);
    t_eq_int(ei.code, ERR_INVALID);
    t_check(strstr(ei.message, "not base64!") == NULL); /* it may be one after all */
    t_check(client_signer_new("", NULL) == NULL);
    client_signer_free(NULL);
}

T_TEST("headers of an answer are found without case, blanks and line ends")
{
    struct str head = STR("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "x-ms-continuation:  a:b \r\nX-Empty:\r\nlast: one");
    t_eq_lit(client_header(head, STR("content-type")), "application/json");
    t_eq_lit(client_header(head, STR("X-MS-CONTINUATION")), "a:b");
    t_eq_lit(client_header(head, STR("x-empty")), "");
    t_eq_lit(client_header(head, STR("last")), "one");
    t_eq_lit(client_header(head, STR("x-ms")), "");
    t_eq_lit(client_header(head, STR("none")), "");
    t_eq_lit(client_header(STR(""), STR("a")), "");
    t_eq_lit(client_header(STR("\n\n"), STR("a")), "");
    t_eq_lit(client_header(STR("a:1\na:2\n"), STR("a")), "1");
}

static enum err answer(int status, const char *text, struct errinfo *ei)
{
    const struct json *doc = NULL;
    memset(ei, 0, sizeof(*ei));
    if (text) {
        t_ok(json_parse(&arena, str_of(text), NULL, &doc, NULL));
    }
    return client_answer_err(status, doc, ei);
}

T_TEST("an answer that is an error becomes ours, with its message and hint")
{
    struct errinfo ei;
    arena_init(&arena);
    t_ok(answer(200, NULL, &ei));
    t_ok(answer(304, NULL, &ei));
    t_err(answer(404, "{\"code\":\"NotFound\",\"message\":\"no such thing\"}", &ei), ERR_NOT_FOUND);
    t_eq_cstr(ei.message, "no such thing (NotFound, HTTP 404)");
    t_eq_cstr(ei.hint, "");
    t_err(answer(409, "{\"message\":\"m\",\"hint\":\"try --force\"}", &ei), ERR_EXISTS);
    t_eq_cstr(ei.hint, "try --force");
    t_err(answer(401, "{}", &ei), ERR_UNAUTHORIZED);
    t_contains(str_of(ei.hint), "HOLDFAST_KEY");
    t_err(answer(403, "{}", &ei), ERR_FORBIDDEN);
    t_err(answer(412, "{}", &ei), ERR_CONFLICTING_OPERATION);
    t_err(answer(408, "{}", &ei), ERR_UNKNOWN_OUTCOME);
    t_err(answer(429, "{}", &ei), ERR_BUSY);
    t_err(answer(503, "{}", &ei), ERR_UNAVAILABLE);
    t_err(answer(500, "{}", &ei), ERR_INTERNAL);
    t_err(answer(501, "{}", &ei), ERR_UNSUPPORTED);
    t_err(answer(400, NULL, &ei), ERR_INVALID); /* no body, or none of ours */
    t_contains(str_of(ei.message), "HTTP 400");
    t_err(answer(502, "[1]", &ei), ERR_INTERNAL);
    arena_done(&arena);
}

static const char *folder(const char *name, const char *account_json)
{
    static char dir[512];
    char path[600];
    (void)snprintf(dir, sizeof(dir), "%s/%s", t_tmp_dir(), name);
    (void)snprintf(path, sizeof(path), "%s/account.json", dir);
    t_ok(files_mkdirs(dir, NULL));
    t_ok(files_write_durable(path, str_of(account_json), 0600, NULL));
    return dir;
}

T_TEST("an account is found by its directory; endpoint and key given win over it")
{
    struct client_account a;
    const char *dir = folder(
        "whole", "{\"account\":\"shop\",\"endpoint\":\"http://127.0.0.1:1/\",\"key\":\"AAAA\","
                 "\"faultProxy\":\"127.0.0.1:9\",\"regions\":[]}");
    t_ok(client_account_find(dir, "", "", "", &a, NULL));
    t_eq_cstr(a.account, "shop");
    t_eq_cstr(a.endpoint, "http://127.0.0.1:1/");
    t_eq_cstr(a.key, "AAAA");
    t_eq_cstr(a.fault_proxy, "127.0.0.1:9");
    t_ok(client_account_find(dir, "http://h/", "", "", &a, NULL));
    t_eq_cstr(a.endpoint, "http://h/");
    t_eq_cstr(a.key, "AAAA");
    t_ok(client_account_find(dir, "", "BBBB", "", &a, NULL));
    t_eq_cstr(a.key, "BBBB");
    t_ok(client_account_find("/nowhere", "http://h/", "BBBB", "", &a,
                             NULL)); /* no directory needed */
    t_eq_cstr(a.account, "");
    t_ok(client_account_find(
        folder("no-proxy", "{\"endpoint\":\"e\",\"key\":\"k\",\"faultProxy\":null}"), "", "", "",
        &a, NULL));
    t_eq_cstr(a.fault_proxy, "");
}

T_TEST("what is too long for its place is refused, not cut")
{
    struct client_account a;
    struct errinfo ei = {0};
    char text[1000];
    char large[300];
    memset(large, 'A', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    t_err(client_account_find("/nowhere", "http://h/", large, "", &a, &ei), ERR_INVALID);
    t_check(strstr(ei.message, "AAAA") == NULL);
    t_err(client_account_find("/nowhere", large, "AAAA", "", &a, NULL), ERR_INVALID);
    (void)snprintf(text, sizeof(text), "{\"endpoint\":\"e\",\"key\":\"%s\"}", large);
    t_err(client_account_find(folder("large", text), "", "", "", &a, NULL), ERR_CONFIG);
}

T_MAIN()
