#include "cosmos/auth.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "cosmos/target.h"

enum { KEYS = 4, READ_ONLY_FROM = 2, SIGN_TEXT_MAX = TARGET_SIZE_MAX + 512 };

struct cosmos_auth {
    struct crypto_hmac *key[KEYS]; /* NULL = none */
};

struct cosmos_auth *cosmos_auth_new(const char *const keys[4])
{
    struct cosmos_auth *a = MEM_NEW(struct cosmos_auth);
    for (size_t i = 0; i < KEYS; i++) {
        struct buf raw;
        buf_init(&raw, 256);
        if (keys[i] && keys[i][0] && codec_unbase64(&raw, str_of(keys[i])) && raw.n > 0) {
            a->key[i] = crypto_hmac_new(buf_str(&raw));
        }
        buf_done_secret(&raw);
    }
    return a;
}

void cosmos_auth_free(struct cosmos_auth *a)
{
    for (size_t i = 0; a && i < KEYS; i++) {
        crypto_hmac_free(a->key[i]);
    }
    mem_free(a);
}

/* The fields of an authorization header: type=...&ver=...&sig=..., percent-encoded as a whole. */
struct fields {
    struct str type, version, signature; /* in the request's arena; empty = absent */
};

static struct fields read_fields(struct arena *a, struct str header)
{
    struct fields ret = {STR(""), STR(""), STR("")};
    struct buf text;
    buf_init(&text, AUTH_TOKEN_SIZE_MAX);
    bool is_fine = codec_percent_decode(&text, header) && buf_ok(&text);
    struct str rest = is_fine ? arena_str(a, buf_str(&text)) : STR("");
    buf_done(&text);
    while (rest.n > 0) {
        struct str field = rest;
        struct str tail = STR("");
        (void)str_split(rest, '&', &field, &tail);
        rest = tail;
        struct str name = field;
        struct str value = STR("");
        if (str_split(field, '=', &name, &value)) {
            ret.type = str_eq(name, STR("type")) ? value : ret.type;
            ret.version = str_eq(name, STR("ver")) ? value : ret.version;
            ret.signature = str_eq(name, STR("sig")) ? value : ret.signature;
        }
    }
    return ret;
}

static enum err read_header(struct http_req *req, struct buf *ret_sig, struct errinfo *ei)
{
    struct str header = http_header(req, STR("authorization"));
    if (header.n == 0) {
        return err_set(ei, ERR_UNAUTHORIZED,
                       "Required Header authorization is missing. Ensure a valid Authorization "
                       "token is passed.");
    }
    struct fields f = read_fields(&req->arena, header);
    if (f.type.n == 0 || f.version.n == 0 || f.signature.n == 0) {
        return err_set(ei, ERR_UNAUTHORIZED,
                       "The authorization header is malformed: type, ver and sig are needed");
    }
    if (!str_eq_nocase(f.type, STR("master"))) {
        err_set(ei, ERR_UNAUTHORIZED, "Authorization of type '" STR_FMT "' is not implemented",
                STR_ARG(str_slice(f.type, 0, 16)));
        err_hint(ei, "use a master key of the account");
        return ERR_UNAUTHORIZED;
    }
    if (!str_eq(f.version, STR("1.0"))) {
        return err_set(ei, ERR_UNAUTHORIZED, "Authorization version '" STR_FMT "' is not known",
                       STR_ARG(str_slice(f.version, 0, 16)));
    }
    if (!codec_unbase64(ret_sig, f.signature) || ret_sig->n != CRYPTO_SHA256_SIZE) {
        return err_set(ei, ERR_UNAUTHORIZED,
                       "The signature in the authorization header is not a base64 SHA-256");
    }
    return OK;
}

static struct str date_of(const struct http_req *req)
{
    struct str date = http_header(req, STR("x-ms-date"));
    return date.n > 0 ? date : http_header(req, STR("date"));
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

int64_t cosmos_auth_clock(const struct http_req *req, int64_t wall_ms, int64_t ahead_ms)
{
    struct str date = date_of(req);
    int64_t then = 0;
    bool is_date = date.n > 0 && clock_parse_rfc1123(date.p, date.n, &then) == 0;
    return is_date && distance(then, wall_ms - ahead_ms) < distance(then, wall_ms)
               ? wall_ms - ahead_ms
               : wall_ms;
}

static enum err check_date(struct str date, int64_t wall_ms, struct errinfo *ei)
{
    int64_t then = 0;
    if (date.n == 0 || clock_parse_rfc1123(date.p, date.n, &then) != 0) {
        return err_set(ei, ERR_UNAUTHORIZED,
                       "The date of the request (x-ms-date or date) is missing or not RFC 1123");
    }
    if (distance(then, wall_ms) > AUTH_SKEW_MAX_S * INT64_C(1000)) {
        char now[CLOCK_RFC1123_SIZE];
        clock_format_rfc1123(wall_ms, now);
        err_set(ei, ERR_FORBIDDEN,
                "The authorization token is not valid at the current time: token date " STR_FMT
                ", server time %s",
                STR_ARG(date), now);
        err_hint(ei, "check the clock of the client");
        return ERR_FORBIDDEN;
    }
    return OK;
}

struct attempt {
    const struct cosmos_auth *auth;
    struct str verb;
    struct str date;
    struct str signature;
    int matched; /* index of the key, or -1 */
};

static bool try_link(struct attempt *t, struct str type, struct str link, bool is_lower)
{
    if (t->matched >= 0) {
        return true;
    }
    struct buf text;
    buf_init(&text, SIGN_TEXT_MAX);
    buf_reserve(&text, t->verb.n + type.n + link.n + t->date.n + 5);
    buf_add_lower(&text, t->verb);
    buf_add_char(&text, '\n');
    buf_add_lower(&text, type);
    buf_add_char(&text, '\n');
    if (is_lower) {
        buf_add_lower(&text, link);
    } else {
        buf_add_str(&text, link);
    }
    buf_add_char(&text, '\n');
    buf_add_lower(&text, t->date);
    buf_add_cstr(&text, "\n\n");
    for (int i = 0; i < KEYS && buf_ok(&text) && t->matched < 0; i++) {
        uint8_t mac[CRYPTO_SHA256_SIZE];
        if (t->auth->key[i]) {
            crypto_hmac_sign(t->auth->key[i], buf_str(&text), mac);
            if (str_eq_secret(str_make(mac, sizeof(mac)), t->signature)) {
                t->matched = i;
            }
        }
    }
    buf_done(&text);
    return t->matched >= 0;
}

/* Start of the segment `back` places before the end (1 = the last). */
static size_t segment_start(struct str path, int back)
{
    size_t at = path.n;
    while (at > 0) {
        at--;
        if (path.p[at] == '/' && --back == 0) {
            return at + 1;
        }
    }
    return 0;
}

/* What a client may have signed for this path: an even number of segments is a resource (type: the
 * last but one), an odd one a feed of its parent (type: the last). */
static void try_path(struct attempt *t, struct str path, size_t count)
{
    if (count == 0) {
        (void)try_link(t, STR(""), STR(""), false);
        return;
    }
    size_t last = segment_start(path, 1);
    size_t before = segment_start(path, 2);
    struct str last_seg = str_slice(path, last, path.n);
    struct str parent = last > 0 ? str_slice(path, 0, last - 1) : STR("");
    if (count % 2 == 0) {
        struct str type = str_slice(path, before, last - 1 - before);
        (void)try_link(t, type, path, false);
        (void)try_link(t, type, last_seg, true); /* offers, and links made of rids */
        (void)try_link(t, type, path, true);
    } else {
        (void)try_link(t, last_seg, parent, false);
        size_t parent_last = segment_start(parent, 1);
        (void)try_link(t, last_seg, str_slice(parent, parent_last, parent.n), true);
        /* One SDK reads a conflict by `.../conflicts/x/conflicts` and signs it as a user. */
        if (str_eq(last_seg, STR("conflicts"))) {
            (void)try_link(t, STR("users"), parent, false);
        }
    }
    /* `.../operations/partitionkeydelete` is signed for the container. */
    if (str_eq(last_seg, STR("partitionkeydelete")) && before > 0) {
        (void)try_link(t, STR("colls"), str_slice(path, 0, before - 1), false);
    }
}

static enum err check_signature(const struct cosmos_auth *a, const struct http_req *req,
                                const struct target *target, struct str signature,
                                bool *ret_is_read_only, struct errinfo *ei)
{
    struct attempt t = {a, req->method, date_of(req), signature, -1};
    /* An execution is POSTed to a resource but signed like the resource: covered by even counts. */
    try_path(&t, target->decoded, target->count);
    try_path(&t, target->raw, target->count);
    if (t.matched < 0) {
        return err_set(
            ei, ERR_UNAUTHORIZED,
            "The input authorization token can't serve the request. The wrong key is being "
            "used or the expected payload is not built as per the protocol. Server used "
            "the following payload to sign: '" STR_FMT "', link '" STR_FMT "'",
            STR_ARG(req->method), STR_ARG(str_slice(target->decoded, 0, 200)));
    }
    *ret_is_read_only = t.matched >= READ_ONLY_FROM;
    return OK;
}

enum err cosmos_auth_check_target(const struct cosmos_auth *a, struct http_req *req,
                                  const struct target *target, int64_t wall_ms,
                                  bool *ret_is_read_only, struct errinfo *ei)
{
    struct buf signature;
    buf_init(&signature, 256);
    enum err err = read_header(req, &signature, ei);
    if (err == OK) {
        err = check_date(date_of(req), wall_ms, ei);
    }
    if (err == OK) {
        err = check_signature(a, req, target, buf_str(&signature), ret_is_read_only, ei);
    }
    buf_done(&signature);
    return err;
}

enum err cosmos_auth_check(const struct cosmos_auth *a, struct http_req *req, int64_t wall_ms,
                           bool *ret_is_read_only, struct errinfo *ei)
{
    struct target target;
    TRY(target_parse(&req->arena, req->target, &target, ei));
    return cosmos_auth_check_target(a, req, &target, wall_ms, ret_is_read_only, ei);
}

/* ---- resource tokens ---- */

/* Keeps these signatures apart from those of requests. */
static const struct str token_purpose = {"holdfast-resource-token\n", 24};

static void sign_claims(const struct crypto_hmac *key, struct str claims,
                        uint8_t ret[CRYPTO_SHA256_SIZE])
{
    struct buf text;
    buf_init(&text, 128 << 10);
    buf_add_str(&text, token_purpose);
    buf_add_str(&text, claims);
    ASSERT(buf_ok(&text));
    crypto_hmac_sign(key, buf_str(&text), ret);
    buf_done(&text);
}

void cosmos_auth_make_token(const struct cosmos_auth *a, struct str claims, struct buf *out)
{
    uint8_t mac[CRYPTO_SHA256_SIZE];
    const struct crypto_hmac *key = a->key[0] ? a->key[0] : a->key[1];
    if (!key) {
        return;
    }
    sign_claims(key, claims, mac);
    buf_add_cstr(out, "type=resource&ver=1&sig=");
    codec_base64(out, str_make(mac, sizeof(mac)));
    buf_add_char(out, ';');
    buf_add_str(out, claims);
}

bool cosmos_auth_is_token(const struct http_req *req)
{
    struct str header = http_header(req, STR("authorization"));
    return str_eq_nocase(str_slice(header, 0, 15), STR("type%3Dresource")) ||
           str_eq_nocase(str_slice(header, 0, 13), STR("type=resource"));
}

static bool is_signed_by_us(const struct cosmos_auth *a, struct str signature, struct str claims)
{
    bool is_ours = false;
    struct buf raw;
    buf_init(&raw, 64);
    if (codec_unbase64(&raw, signature) && raw.n == CRYPTO_SHA256_SIZE) {
        for (size_t i = 0; i < READ_ONLY_FROM; i++) {
            uint8_t mac[CRYPTO_SHA256_SIZE];
            if (a->key[i]) {
                sign_claims(a->key[i], claims, mac);
                is_ours = str_eq_secret(str_make(mac, sizeof(mac)), buf_str(&raw)) || is_ours;
            }
        }
    }
    buf_done(&raw);
    return is_ours;
}

enum err cosmos_auth_token(const struct cosmos_auth *a, struct http_req *req, int64_t wall_ms,
                           struct str *ret_claims, struct errinfo *ei)
{
    struct fields f = read_fields(&req->arena, http_header(req, STR("authorization")));
    struct str signature = STR("");
    struct str claims = STR("");
    struct str expiry = STR("");
    struct str body = STR("");
    uint64_t until = 0;
    if (!str_split(f.signature, ';', &signature, &claims) ||
        !str_split(claims, ';', &expiry, &body) || !str_to_u64(expiry, &until) ||
        !is_signed_by_us(a, signature, claims)) {
        return err_set(ei, ERR_UNAUTHORIZED, "The resource token is not one of this account");
    }
    if ((int64_t)until * 1000 <= wall_ms) {
        err_set(ei, ERR_FORBIDDEN, "The resource token has expired");
        err_hint(ei, "read its permission again for a new one");
        return ERR_FORBIDDEN;
    }
    *ret_claims = body;
    return OK;
}

enum err cosmos_auth_check_account(const struct cosmos_auth *a, struct http_req *req,
                                   int64_t wall_ms, struct errinfo *ei)
{
    bool is_read_only = false;
    struct str claims;
    return cosmos_auth_is_token(req) ? cosmos_auth_token(a, req, wall_ms, &claims, ei)
                                     : cosmos_auth_check(a, req, wall_ms, &is_read_only, ei);
}
