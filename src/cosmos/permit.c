#include "cosmos/permit.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "json/json.h"

/* ---- from a permission to a token ---- */

static struct str member(const struct json *doc, const char *key)
{
    struct str s = STR("");
    (void)json_get_str(doc, str_of(key), &s);
    return s;
}

static bool is_all(const struct json *permission)
{
    return str_eq_nocase(member(permission, "permissionMode"), STR("all"));
}

static enum err read_pk(struct arena *a, const struct json *list, const struct container *c,
                        struct permit *ret, struct errinfo *ei)
{
    if (!list || list->type == JSON_NULL) {
        return OK;
    }
    struct buf text;
    buf_init(&text, 64 << 10);
    json_write(&text, list);
    struct str header = arena_str(a, buf_str(&text));
    buf_done(&text);
    TRY(pk_parse(a, header, &ret->pk, ei));
    if (c && ret->pk.count > c->path_count) {
        return err_set(ei, ERR_INVALID, "resourcePartitionKey has more components than the key");
    }
    ret->has_pk = true;
    return OK;
}

/* The next name of a link; false at its end. */
static bool next_name(struct str *rest, struct str *ret)
{
    struct str tail = STR("");
    (void)str_split(*rest, '/', ret, &tail);
    *rest = tail;
    return ret->n > 0;
}

/* What the permission names, by names or by rids: "dbs/d/colls/c", "dbs/d/colls/c/docs/i/". Links are
 * not percent-encoded. */
static enum err resolve(struct op *op, const struct json *permission, struct permit *ret,
                        const struct database **ret_db, struct errinfo *ei)
{
    struct str link = member(permission, "resource");
    struct str rest = str_starts(link, STR("/")) ? str_slice(link, 1, link.n) : link;
    struct str seg[4] = {STR(""), STR(""), STR(""), STR("")};
    bool is_shaped = true;
    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < ARRAY_COUNT(seg) && is_shaped; i++) {
        is_shaped = next_name(&rest, &seg[i]);
    }
    is_shaped = is_shaped && str_eq(seg[0], STR("dbs")) && str_eq(seg[2], STR("colls"));
    const struct database *db = is_shaped ? catalog_database(op->catalog, seg[1]) : NULL;
    const struct container *c = db ? catalog_container(op->catalog, db, seg[3]) : NULL;
    if (!c) {
        return err_set(ei, ERR_INVALID,
                       "the resource '" STR_FMT "' is not a container or below one",
                       STR_ARG(str_slice(link, 0, 200)));
    }
    *ret_db = db;
    ret->container = c->rid;
    ret->below = str_ends(rest, STR("/")) ? str_slice(rest, 0, rest.n - 1) : rest;
    ret->may_write = is_all(permission);
    return read_pk(&op->req->arena, json_get(permission, STR("resourcePartitionKey")), c, ret, ei);
}

static enum err read_seconds(const struct op *op, uint64_t *ret, struct errinfo *ei)
{
    struct str header = http_header(op->req, STR("x-ms-documentdb-expiry-seconds"));
    *ret = PERMIT_SECONDS_DEFAULT;
    if (header.n > 0 && (!str_to_u64(header, ret) || *ret < 1 || *ret > PERMIT_SECONDS_MAX)) {
        return err_set(ei, ERR_INVALID, "x-ms-documentdb-expiry-seconds must be 1 to %d",
                       PERMIT_SECONDS_MAX);
    }
    return OK;
}

enum err permit_check(struct op *op, const struct database *db, const struct json *permission,
                      struct errinfo *ei)
{
    struct str mode = member(permission, "permissionMode");
    struct permit permit;
    const struct database *found = NULL;
    uint64_t seconds = 0;
    if (!str_eq_nocase(mode, STR("all")) && !str_eq_nocase(mode, STR("read"))) {
        return err_set(ei, ERR_INVALID, "permissionMode must be Read or All");
    }
    TRY(read_seconds(op, &seconds, ei));
    TRY(resolve(op, permission, &permit, &found, ei));
    if (found->number != db->number) {
        return err_set(ei, ERR_INVALID, "the resource belongs to another database than the user");
    }
    return OK;
}

static void write_claims(const struct permit *p, struct buf *out)
{
    struct buf text;
    struct buf key;
    struct json_out o;
    buf_init(&text, 64 << 10);
    buf_init(&key, 64 << 10);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_member_str(&o, "c", p->container);
    json_out_member_str(&o, "b", p->below);
    json_out_member_bool(&o, "w", p->may_write);
    if (p->has_pk) {
        pk_json(&p->pk, &key);
        json_out_key(&o, "k");
        json_out_raw(&o, buf_str(&key));
    }
    json_out_object_end(&o);
    codec_base64(out, buf_str(&text));
    buf_done(&text);
    buf_done(&key);
}

struct str permit_shown(struct op *op, struct str stored)
{
    struct arena *a = &op->req->arena;
    const struct json *doc = NULL;
    const struct database *db = NULL;
    struct permit permit;
    uint64_t seconds = 0;
    struct str text = arena_str(a, stored);
    if (json_parse(a, text, NULL, &doc, NULL) != OK || resolve(op, doc, &permit, &db, NULL) != OK ||
        read_seconds(op, &seconds, NULL) != OK) {
        return text;
    }
    struct buf claims;
    struct buf token;
    buf_init(&claims, 64 << 10);
    buf_init(&token, 64 << 10);
    buf_printf(&claims, "%" PRIu64 ";", (uint64_t)op_now_s(op) + seconds);
    write_claims(&permit, &claims);
    cosmos_auth_make_token(op->account->auth, buf_str(&claims), &token);
    if (buf_ok(&claims) && buf_ok(&token) && token.n <= AUTH_TOKEN_SIZE_MAX) {
        text = arena_printf(a, STR_FMT ",\"_token\":\"" STR_FMT "\"}",
                            STR_ARG(str_slice(text, 0, text.n - 1)), STR_ARG(buf_str(&token)));
    }
    buf_done(&claims);
    buf_done(&token);
    return text;
}

/* ---- from a token to a decision ---- */

enum err permit_parse(struct arena *a, struct str claims, struct permit *ret, struct errinfo *ei)
{
    const struct json *doc = NULL;
    struct buf text;
    buf_init(&text, AUTH_TOKEN_SIZE_MAX);
    bool is_fine = codec_unbase64(&text, claims) && buf_ok(&text);
    struct str plain = arena_str(a, buf_str(&text));
    buf_done(&text);
    memset(ret, 0, sizeof(*ret));
    if (!is_fine || json_parse(a, plain, NULL, &doc, NULL) != OK || doc->type != JSON_OBJECT ||
        !json_get_bool(doc, STR("w"), &ret->may_write)) {
        return err_set(ei, ERR_UNAUTHORIZED, "the resource token is damaged");
    }
    ret->container = member(doc, "c");
    ret->below = member(doc, "b");
    return read_pk(a, json_get(doc, STR("k")), NULL, ret, ei);
}

static bool is_below(struct str path, struct str link)
{
    return str_starts(path, link) && (path.n == link.n || path.p[link.n] == '/');
}

static bool is_prefix_key(const struct pk *part, const struct pk *whole)
{
    struct pk cut = *whole;
    if (part->count > whole->count) {
        return false;
    }
    cut.count = part->count;
    return pk_eq(part, &cut);
}

static enum err key_allows(struct op *op, const struct permit *permit, struct errinfo *ei)
{
    struct pk given;
    struct str header = http_header(op->req, STR("x-ms-documentdb-partitionkey"));
    if (header.n == 0 || pk_parse(&op->req->arena, header, &given, NULL) != OK ||
        !is_prefix_key(&permit->pk, &given)) {
        return err_set(ei, ERR_FORBIDDEN,
                       "the resource token is for one partition key; name it in the request");
    }
    return OK;
}

enum err permit_allows(struct op *op, const struct permit *permit, bool is_write,
                       struct errinfo *ei)
{
    const struct target *t = &op->target;
    if (t->count == 0 && !is_write) {
        return OK; /* the account: any token will do */
    }
    bool is_shaped =
        t->count >= 4 && str_eq(t->seg[0], STR("dbs")) && str_eq(t->seg[2], STR("colls"));
    const struct database *db = is_shaped ? catalog_database(op->catalog, t->seg[1]) : NULL;
    const struct container *c = db ? catalog_container(op->catalog, db, t->seg[3]) : NULL;
    if (!c || !str_eq(c->rid, permit->container)) {
        return err_set(ei, ERR_UNAUTHORIZED, "the resource token is not for this resource");
    }
    bool is_get = str_eq(op->req->method, STR("GET"));
    bool is_definition =
        is_get && (t->count == 4 || (t->count == 5 && str_eq(t->seg[4], STR("pkranges"))));
    if (is_definition) {
        return OK; /* clients need the partition key's paths before anything else */
    }
    if (t->count == 4) {
        return err_set(ei, ERR_FORBIDDEN, "a resource token does not change the container itself");
    }
    if (is_write && !permit->may_write) {
        return err_set(ei, ERR_FORBIDDEN, "the resource token is for reading only");
    }
    size_t above = t->seg[0].n + t->seg[1].n + t->seg[2].n + t->seg[3].n + 4;
    if (permit->below.n > 0 &&
        !is_below(str_slice(t->decoded, above, t->decoded.n), permit->below)) {
        return err_set(ei, ERR_UNAUTHORIZED, "the resource token is not for this resource");
    }
    return permit->has_pk ? key_allows(op, permit, ei) : OK;
}
