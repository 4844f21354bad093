#include "cosmos/auth.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "lib/t.h"

/* Requests are signed here as clients do it, from the rules of the protocol, not with the code under
 * test. */

static const char key_primary[] = "cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=";
static const char key_secondary[] = "c2Vjb25kYXJ5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=";
static const char key_read[] = "cmVhZC1vbmx5IGtleSBvZiB0aGUgYWNjb3VudCEhISE=";
static const char key_other[] = "bm90IGEga2V5IG9mIHRoaXMgYWNjb3VudCBhdCBhbGw=";
static const char date_text[] = "Sat, 21 Nov 2026 07:11:17 GMT";

static struct http_req req;
static struct http_header headers[4];
static struct cosmos_auth *auth;

static int64_t date_ms(void)
{
    int64_t ms = 0;
    t_eq_int(clock_parse_rfc1123(date_text, sizeof(date_text) - 1, &ms), 0);
    return ms;
}

static void begin(void)
{
    const char *keys[4] = {key_primary, key_secondary, key_read, ""};
    auth = cosmos_auth_new(keys);
    memset(&req, 0, sizeof(req));
    arena_init(&req.arena);
    req.headers = headers;
}

static void end(void)
{
    cosmos_auth_free(auth);
    auth = NULL;
    arena_done(&req.arena);
}

static struct str signature(const char *key, const char *text)
{
    struct buf raw;
    struct buf sig;
    uint8_t mac[CRYPTO_SHA256_SIZE];
    buf_init(&raw, 128);
    buf_init(&sig, 128);
    t_check(codec_unbase64(&raw, str_of(key)));
    struct crypto_hmac *h = crypto_hmac_new(buf_str(&raw));
    crypto_hmac_sign(h, str_of(text), mac);
    crypto_hmac_free(h);
    codec_base64(&sig, str_make(mac, sizeof(mac)));
    struct str ret = arena_str(&req.arena, buf_str(&sig));
    buf_done(&raw);
    buf_done(&sig);
    return ret;
}

/* The request `method target`, signed with `key` over the given type and link. */
static enum err check(const char *key, const char *method, const char *target, const char *type,
                      const char *link, bool *ret_is_read_only, struct errinfo *ei)
{
    struct str text = arena_printf(&req.arena, "%s\n%s\n%s\nsat, 21 nov 2026 07:11:17 gmt\n\n",
                                   method, type, link);
    struct str plain = arena_printf(&req.arena, "type=master&ver=1.0&sig=" STR_FMT,
                                    STR_ARG(signature(key, arena_cstr(&req.arena, text))));
    struct buf header;
    buf_init(&header, 512);
    codec_percent_encode(&header, plain);
    headers[0] =
        (struct http_header){STR("Authorization"), arena_str(&req.arena, buf_str(&header))};
    headers[1] = (struct http_header){STR("x-ms-date"), str_of(date_text)};
    buf_done(&header);
    req.header_count = 2;
    char upper[16] = "";
    struct str lower = str_of(method);
    for (size_t i = 0; i < lower.n && i < sizeof(upper) - 1; i++) {
        upper[i] = (char)(lower.p[i] - ('a' - 'A'));
    }
    req.method = arena_str(&req.arena, str_of(upper));
    req.target = str_of(target);
    *ret_is_read_only = false;
    return cosmos_auth_check(auth, &req, date_ms() + 1000, ret_is_read_only, ei);
}

static void accepts(const char *method, const char *target, const char *type, const char *link)
{
    bool is_read_only;
    struct errinfo ei = {0};
    t_ok_info(check(key_primary, method, target, type, link, &is_read_only, &ei), &ei);
    t_check(!is_read_only);
}

T_TEST("every form that clients sign is accepted")
{
    static const struct {
        const char *method, *target, *type, *link;
    } forms[] = {
        {"get", "/", "", ""},
        {"get", "/dbs", "dbs", ""},
        {"post", "/dbs/", "dbs", ""},
        {"get", "//dbs/db1/colls/c1/docs/", "docs", "dbs/db1/colls/c1"},
        {"get", "/dbs/db1/colls/c1/docs/i1", "docs", "dbs/db1/colls/c1/docs/i1"},
        {"put", "/dbs/Db1/colls/C1/docs/i%201", "docs", "dbs/Db1/colls/C1/docs/i 1"},
        {"put", "/dbs/Db1/colls/C1/docs/i%201", "docs", "dbs/Db1/colls/C1/docs/i%201"},
        {"get", "/dbs/d/colls/c/docs/a?b", "docs", "dbs/d/colls/c/docs/a?b"},
        {"get", "/offers", "offers", ""},
        {"get", "/offers/AbCd", "offers", "abcd"},
        {"post", "/dbs/db1/colls/c1/sprocs/s1", "sprocs", "dbs/db1/colls/c1/sprocs/s1"},
        {"post", "/dbs/db1/colls/c1/operations/partitionkeydelete", "colls", "dbs/db1/colls/c1"},
        {"get", "/dbs/db1/colls/c1/conflicts/x/conflicts", "users", "dbs/db1/colls/c1/conflicts/x"},
        {"get", "/dbs/AbC=/colls/XyZ=/docs", "docs", "xyz="},
        {"get", "/dbs/AbC=/colls/XyZ=", "colls", "xyz="},
    };
    begin();
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++) {
        t_note("%s %s", forms[i].method, forms[i].target);
        accepts(forms[i].method, forms[i].target, forms[i].type, forms[i].link);
    }
    end();
}

T_TEST("each of the account's keys is accepted and says whether it may write")
{
    begin();
    bool is_read_only;
    t_ok(check(key_secondary, "get", "/dbs", "dbs", "", &is_read_only, NULL));
    t_check(!is_read_only);
    t_ok(check(key_read, "get", "/dbs", "dbs", "", &is_read_only, NULL));
    t_check(is_read_only);
    struct errinfo ei = {0};
    t_err(check(key_other, "get", "/dbs", "dbs", "", &is_read_only, &ei), ERR_UNAUTHORIZED);
    t_contains(str_of(ei.message), "key");
    end();
}

T_TEST("a signature is good for its verb, type and link only")
{
    begin();
    bool is_read_only;
    t_err(check(key_primary, "get", "/dbs/d", "dbs", "dbs/e", &is_read_only, NULL),
          ERR_UNAUTHORIZED);
    t_err(check(key_primary, "get", "/dbs/d", "colls", "dbs/d", &is_read_only, NULL),
          ERR_UNAUTHORIZED);
    t_ok(check(key_primary, "get", "/dbs/d", "dbs", "dbs/d", &is_read_only, NULL));
    req.method = STR("DELETE");
    t_err(cosmos_auth_check(auth, &req, date_ms(), &is_read_only, NULL), ERR_UNAUTHORIZED);
    end();
}

T_TEST("a date that is off by more than fifteen minutes is forbidden")
{
    begin();
    bool is_read_only;
    t_ok(check(key_primary, "get", "/dbs", "dbs", "", &is_read_only, NULL));
    t_ok(cosmos_auth_check(auth, &req, date_ms() + 900000, &is_read_only, NULL));
    t_ok(cosmos_auth_check(auth, &req, date_ms() - 900000, &is_read_only, NULL));
    t_err(cosmos_auth_check(auth, &req, date_ms() + 901000, &is_read_only, NULL), ERR_FORBIDDEN);
    t_err(cosmos_auth_check(auth, &req, date_ms() - 901000, &is_read_only, NULL), ERR_FORBIDDEN);
    end();
}

T_TEST("a region whose clock jumped goes by the clock that is nearer to the request")
{
    enum { HOUR_MS = 3600000 };
    begin();
    int64_t real = date_ms();
    headers[0] = (struct http_header){STR("x-ms-date"), STR("Sat, 21 Nov 2026 07:11:17 GMT")};
    req.header_count = 1;
    t_eq_i64(cosmos_auth_clock(&req, real + HOUR_MS, HOUR_MS), real); /* ours is wrong */
    t_eq_i64(cosmos_auth_clock(&req, real - HOUR_MS, -HOUR_MS), real);
    t_eq_i64(cosmos_auth_clock(&req, real + 5, HOUR_MS), real + 5);       /* the others' are */
    t_eq_i64(cosmos_auth_clock(&req, real + HOUR_MS, 0), real + HOUR_MS); /* none is, we think */
    headers[0].value = STR("yesterday");
    t_eq_i64(cosmos_auth_clock(&req, real + HOUR_MS, HOUR_MS), real + HOUR_MS);
    req.header_count = 0;
    t_eq_i64(cosmos_auth_clock(&req, real + HOUR_MS, HOUR_MS), real + HOUR_MS);
    end();
}

T_TEST("the date header may stand in for x-ms-date")
{
    begin();
    bool is_read_only;
    t_ok(check(key_primary, "get", "/dbs", "dbs", "", &is_read_only, NULL));
    headers[1].name = STR("Date");
    t_ok(cosmos_auth_check(auth, &req, date_ms(), &is_read_only, NULL));
    req.header_count = 1;
    t_err(cosmos_auth_check(auth, &req, date_ms(), &is_read_only, NULL), ERR_UNAUTHORIZED);
    end();
}

T_TEST("other authorization headers are refused with a reason")
{
    static const char *const bad[] = {
        "",
        "x",
        "%zz",
        "type%3Dmaster",
        "type%3Dmaster%26ver%3D2.0%26sig%3DAAAA",
        "type%3Dmaster%26ver%3D1.0%26sig%3DAAAA",
        "type%3Dresource%26ver%3D1%26sig%3DAAAA",
        "type=aad&ver=1.0&sig=ey",
    };
    begin();
    headers[1] = (struct http_header){STR("x-ms-date"), str_of(date_text)};
    req.header_count = 2;
    req.method = STR("GET");
    req.target = STR("/dbs");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        bool is_read_only;
        struct errinfo ei = {0};
        headers[0] = (struct http_header){STR("authorization"), str_of(bad[i])};
        t_err(cosmos_auth_check(auth, &req, date_ms(), &is_read_only, &ei), ERR_UNAUTHORIZED);
        t_check(ei.message[0] != '\0');
    }
    end();
}

static enum err check_token(const char *claims, const char *behind, struct errinfo *ei)
{
    struct buf token;
    struct buf header;
    struct str got;
    buf_init(&token, AUTH_TOKEN_SIZE_MAX);
    buf_init(&header, (size_t)4 * AUTH_TOKEN_SIZE_MAX);
    cosmos_auth_make_token(auth, str_of(claims), &token);
    buf_add_cstr(&token, behind);
    codec_percent_encode(&header, buf_str(&token));
    headers[0] =
        (struct http_header){STR("authorization"), arena_str(&req.arena, buf_str(&header))};
    req.header_count = 1;
    buf_done(&token);
    buf_done(&header);
    t_check(cosmos_auth_is_token(&req));
    enum err err = cosmos_auth_token(auth, &req, date_ms(), &got, ei);
    if (err == OK) {
        t_eq_lit(got, "Y2xhaW1z");
    }
    return err;
}

T_TEST("resource tokens are good until they expire and cannot be changed")
{
    begin();
    struct errinfo ei = {0};
    t_ok_info(check_token("1795245078;Y2xhaW1z", "", &ei), &ei);
    t_err(check_token("1795245077;Y2xhaW1z", "", NULL), ERR_FORBIDDEN);
    t_err(check_token("1795245078;Y2xhaW1z", "x", NULL), ERR_UNAUTHORIZED);
    t_err(check_token("1795245078", "", NULL), ERR_UNAUTHORIZED);
    t_err(check_token("soon;Y2xhaW1z", "", NULL), ERR_UNAUTHORIZED);
    end();
}

T_TEST("the account document may be read with a key or a token")
{
    begin();
    bool is_read_only;
    t_ok(check(key_read, "get", "/", "", "", &is_read_only, NULL));
    t_ok(cosmos_auth_check_account(auth, &req, date_ms(), NULL));
    t_ok(check_token("1795245078;Y2xhaW1z", "", NULL));
    t_ok(cosmos_auth_check_account(auth, &req, date_ms(), NULL));
    req.header_count = 0;
    t_err(cosmos_auth_check_account(auth, &req, date_ms(), NULL), ERR_UNAUTHORIZED);
    end();
}

T_MAIN()
