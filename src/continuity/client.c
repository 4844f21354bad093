/* Signed requests of our own tools. See client.h. */
#include "continuity/client.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/mem.h"

/* cosmos-protocol: an even number of segments names a resource (its type is the last but one), an odd
 * number a feed of the resource before it. */
static void type_and_link(struct str path, struct str *ret_type, struct str *ret_link)
{
    struct str rest = str_slice(path, 1, path.n); /* without the leading slash */
    size_t segments = rest.n > 0 ? 1 : 0;
    size_t last = 0;   /* start of the last segment */
    size_t before = 0; /* start of the one before */
    for (size_t i = 0; i < rest.n; i++) {
        if (rest.p[i] == '/') {
            segments++;
            before = last;
            last = i + 1;
        }
    }
    if (segments == 0) {
        *ret_type = STR("");
        *ret_link = STR("");
    } else if (segments % 2 == 0) {
        *ret_type = str_slice(rest, before, last - 1 - before);
        *ret_link = rest;
    } else {
        *ret_type = str_slice(rest, last, rest.n);
        *ret_link = last > 0 ? str_slice(rest, 0, last - 1) : STR("");
    }
}

struct client_signer {
    struct crypto_hmac *hmac;
};

struct client_signer *client_signer_new(const char *key_base64, struct errinfo *ei)
{
    struct buf key;
    buf_init(&key, 256);
    struct client_signer *s = NULL;
    if (key_base64[0] && codec_unbase64(&key, str_of(key_base64)) && buf_ok(&key)) {
        s = MEM_NEW(struct client_signer);
        s->hmac = crypto_hmac_new(buf_str(&key));
    } else {
        err_set(ei, ERR_INVALID, "the key is not base64");
        err_hint(ei, "`holdfast account keys` prints the keys of an account");
    }
    buf_done_secret(&key);
    return s;
}

void client_signer_free(struct client_signer *s)
{
    if (s) {
        crypto_hmac_free(s->hmac);
        mem_free(s);
    }
}

static void add_lower(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        buf_add_char(b, (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] + 32 : s.p[i]));
    }
    buf_add_char(b, '\n');
}

struct str client_sign(const struct client_signer *s, struct arena *a, const char *method,
                       struct str path, const char *date)
{
    struct str type;
    struct str link;
    type_and_link(path, &type, &link);
    struct buf text;
    struct buf escaped;
    buf_init(&text, 64 << 10);
    buf_init(&escaped, 1024);
    add_lower(&text, str_of(method));
    add_lower(&text, type);
    buf_add_str(&text, link);
    buf_add_char(&text, '\n');
    add_lower(&text, str_of(date));
    buf_add_char(&text, '\n');
    uint8_t mac[CRYPTO_SHA256_SIZE];
    crypto_hmac_sign(s->hmac, buf_str(&text), mac);
    buf_clear(&text);
    buf_add_cstr(&text, "type=master&ver=1.0&sig=");
    codec_base64(&text, str_make(mac, sizeof(mac)));
    codec_percent_encode(&escaped, buf_str(&text));
    struct str ret = arena_str(a, buf_str(&escaped));
    buf_done(&escaped);
    buf_done(&text);
    return ret;
}

static const char *build_url(struct arena *a, const char *base, struct str path, const char *query)
{
    struct str b = str_of(base);
    if (b.n > 0 && b.p[b.n - 1] == '/') {
        b.n--;
    }
    struct buf url;
    buf_init(&url, 64 << 10);
    buf_add_str(&url, b);
    for (struct str rest = path; rest.n > 0;) { /* slashes stay, segments are escaped */
        rest = str_slice(rest, 1, rest.n);
        ptrdiff_t at = str_find_char(rest, '/');
        size_t n = at < 0 ? rest.n : (size_t)at;
        buf_add_char(&url, '/');
        codec_percent_encode(&url, str_slice(rest, 0, n));
        rest = str_slice(rest, n, rest.n);
    }
    if (query != NULL) {
        buf_add_char(&url, '?');
        buf_add_cstr(&url, query);
    }
    ASSERT(buf_ok(&url));
    const char *ret = arena_cstr(a, buf_str(&url));
    buf_done(&url);
    return ret;
}

enum err client_call(const struct client_account *acc, const struct client_request *req,
                     struct arena *a, int *ret_status, struct str *ret_headers,
                     const struct json **ret_doc, struct errinfo *ei)
{
    ASSERT(req->header_count + 3 <= CLIENT_HEADERS_MAX);
    char date[CLOCK_RFC1123_SIZE];
    clock_format_rfc1123(clock_wall_ms(), date);
    struct http_header headers[CLIENT_HEADERS_MAX];
    size_t n = 0;
    struct client_signer *signer = client_signer_new(acc->key, ei);
    if (!signer) {
        return ERR_INVALID;
    }
    struct str authorization = client_sign(signer, a, req->method, str_of(req->path), date);
    client_signer_free(signer);
    headers[n++] = (struct http_header){STR("x-ms-date"), str_of(date)};
    headers[n++] = (struct http_header){STR("authorization"), authorization};
    headers[n++] = (struct http_header){STR("x-ms-version"), STR("2020-07-15")};
    for (size_t i = 0; i < req->header_count; i++) {
        headers[n++] = req->headers[i];
    }
    struct http_client_req call = {
        .method = req->method,
        .url = build_url(a, req->base, str_of(req->path), req->query),
        .headers = headers,
        .header_count = n,
        .body = req->body,
        .timeout_ms = CLIENT_TIMEOUT_MS,
        .ca_file = acc->ca,
    };
    struct buf head;
    struct buf body;
    buf_init(&head, 256 << 10);
    buf_init(&body, 16 << 20);
    enum err err = http_client_run(&call, ret_status, &head, &body, ei);
    *ret_doc = NULL;
    if (err == OK) {
        struct json_limits limits = {.text_size_max = 16 << 20};
        struct str text = arena_str(a, buf_str(&body));
        if (ret_headers) {
            *ret_headers = arena_str(a, buf_str(&head));
        }
        if (str_trim(text).n > 0) {
            err = json_parse(a, text, &limits, ret_doc, ei);
        }
    } else {
        err_hint(ei, "is the account running? (`holdfast up`)");
    }
    buf_done(&head);
    buf_done(&body);
    return err;
}

struct str client_header(struct str headers, struct str name)
{
    struct str line;
    struct str rest = headers;
    while (rest.n > 0) {
        (void)str_split(rest, '\n', &line, &rest);
        struct str key;
        struct str value;
        if (str_split(line, ':', &key, &value) && str_eq_nocase(str_trim(key), name)) {
            return str_trim(value);
        }
        if (line.p == rest.p) {
            break; /* the last line had no end */
        }
    }
    return STR("");
}

static enum err err_of_status(int status)
{
    static const struct {
        int status;
        enum err err;
    } known[] = {
        {401, ERR_UNAUTHORIZED},    {403, ERR_FORBIDDEN}, {404, ERR_NOT_FOUND},
        {408, ERR_UNKNOWN_OUTCOME}, {409, ERR_EXISTS},    {412, ERR_CONFLICTING_OPERATION},
        {413, ERR_LIMIT},           {429, ERR_BUSY},      {501, ERR_UNSUPPORTED},
        {503, ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (known[i].status == status) {
            return known[i].err;
        }
    }
    return status >= 500 ? ERR_INTERNAL : ERR_INVALID;
}

enum err client_answer_err(int status, const struct json *doc, struct errinfo *ei)
{
    if (status < 400) {
        return OK;
    }
    struct str code = STR("");
    struct str message = STR("");
    struct str hint = STR("");
    (void)json_get_str(doc, STR("code"), &code);
    (void)json_get_str(doc, STR("message"), &message);
    (void)json_get_str(doc, STR("hint"), &hint);
    enum err err = err_of_status(status);
    err_set(ei, err, STR_FMT " (" STR_FMT ", HTTP %d)", STR_ARG(message), STR_ARG(code), status);
    if (hint.n > 0) {
        err_hint(ei, STR_FMT, STR_ARG(hint));
    } else if (status == 401) {
        err_hint(ei, "the key is not one of this account's: check --key, HOLDFAST_KEY, or --dir");
    }
    return err;
}

enum err client_get(const struct client_account *acc, struct arena *a, const char *base,
                    const char *path, const struct json **ret, struct errinfo *ei)
{
    struct client_request req = {.method = "GET", .base = base, .path = path};
    int status = 0;
    TRY(client_call(acc, &req, a, &status, NULL, ret, ei));
    return client_answer_err(status, *ret, ei);
}

enum err client_account_find(const char *dir, const char *endpoint, const char *key, const char *ca,
                             struct client_account *ret, struct errinfo *ei)
{
    memset(ret, 0, sizeof(*ret));
    if (strlen(endpoint) >= sizeof(ret->endpoint) || strlen(key) >= sizeof(ret->key)) {
        return err_set(ei, ERR_INVALID, "the endpoint or the key is too long");
    }
    if (strlen(ca) >= sizeof(ret->ca)) {
        return err_set(ei, ERR_INVALID, "the path of the authority's file is too long");
    }
    if (endpoint[0] && key[0]) {
        (void)snprintf(ret->endpoint, sizeof(ret->endpoint), "%s", endpoint);
        (void)snprintf(ret->key, sizeof(ret->key), "%s", key);
        (void)snprintf(ret->ca, sizeof(ret->ca), "%s", ca);
        return OK;
    }
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/account.json", dir);
    struct buf text;
    struct arena arena;
    buf_init(&text, 1 << 20);
    arena_init(&arena);
    const struct json *doc = NULL;
    struct errinfo why = {0};
    enum err err = files_read(path, &text, &why);
    if (err == OK && json_parse(&arena, buf_str(&text), NULL, &doc, &why) != OK) {
        err = err_set(ei, ERR_CORRUPT, "%s is damaged: %s", path, why.message);
        err_hint(ei, "give --endpoint and --key instead");
    } else if (err != OK && endpoint[0]) {
        err = err_set(ei, ERR_USAGE, "no key for %s", endpoint);
        err_hint(ei, "give --key as well, or set HOLDFAST_KEY");
    } else if (err != OK && err != ERR_NOT_FOUND) {
        err = err_set(ei, ERR_IO, "the account's key cannot be read: %s", why.message);
        err_hint(ei, "its `holdfast up` belongs to another user: be that one, or give --endpoint "
                     "and --key");
    } else if (err != OK) {
        err = err_set(ei, ERR_NOT_FOUND, "no running account found: %s", why.message);
        err_hint(ei,
                 "start one with `holdfast up`, or name it with --dir, or --endpoint and --key");
    }
    struct {
        const char *name;
        char *to;
        size_t size;
    } fields[] = {
        {"account", ret->account, sizeof(ret->account)},
        {"endpoint", ret->endpoint, sizeof(ret->endpoint)},
        {"key", ret->key, sizeof(ret->key)},
        {"ca", ret->ca, sizeof(ret->ca)},
        {"faultProxy", ret->fault_proxy, sizeof(ret->fault_proxy)},
    };
    for (size_t i = 0; err == OK && i < ARRAY_COUNT(fields); i++) {
        struct str s = STR_NONE;
        if (json_get_str(doc, str_of(fields[i].name), &s) && s.n < fields[i].size) {
            memcpy(fields[i].to, s.p, s.n);
        }
    }
    if (err == OK) {
        (void)json_get_u64(doc, STR("supervisorPid"), &ret->supervisor); /* absent: 0 */
    }
    if (err == OK && endpoint[0]) {
        (void)snprintf(ret->endpoint, sizeof(ret->endpoint), "%s", endpoint);
    }
    if (err == OK && ca[0]) {
        (void)snprintf(ret->ca, sizeof(ret->ca), "%s", ca);
    }
    if (err == OK && key[0]) {
        (void)snprintf(ret->key, sizeof(ret->key), "%s", key);
    }
    if (err == OK && (!ret->endpoint[0] || !ret->key[0])) {
        err = err_set(ei, ERR_CONFIG, "%s lacks the endpoint or the key", path);
        err_hint(ei, "give --endpoint and --key instead");
    }
    arena_done(&arena);
    buf_done(&text);
    return err;
}
