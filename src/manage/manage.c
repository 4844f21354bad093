/* The management interface over HTTP. See manage.h. */
#include "manage/manage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "manage/decide.h"
#include "manage/doc.h"
#include "json/json.h"

enum {
    COORD_TIMEOUT_MS = 2000,
    ATTEMPTS_MAX = 5, /* lost races: then somebody changes the account all the time */
    HOST_SIZE_MAX = 255,
};

struct manage_req {
    const struct manage_opts *opts;
    struct http_req *http;
    struct manage_call call;
    struct manage_world world;
    struct manage_answer answer; /* while its transaction is under way */
    unsigned attempt;
};

bool manage_is_ours(const struct http_req *req)
{
    return manage_target_is_ours(req->target);
}

/* ---- answers ---- */

/* Where the client reached us; what it sends is put into headers, so only what a host name has. */
static struct str base_url(struct http_req *req, const struct manage_opts *opts)
{
    struct str own = str_of(opts->own_endpoint);
    struct str host = http_header(req, STR("host"));
    bool is_fine = host.n > 0 && host.n <= HOST_SIZE_MAX;
    for (size_t i = 0; i < host.n && is_fine; i++) {
        char c = host.p[i];
        is_fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
    }
    if (is_fine) {
        const char *scheme = str_starts(own, STR("https://")) ? "https" : "http";
        return arena_printf(&req->arena, "%s://" STR_FMT, scheme, STR_ARG(host));
    }
    return own.n > 0 && own.p[own.n - 1] == '/' ? str_slice(own, 0, own.n - 1) : own;
}

static void respond(struct http_req *req, struct http_response *res, struct buf *body)
{
    uint64_t id[2];
    char id_text[40];
    rng_os_bytes(id, sizeof(id));
    (void)snprintf(id_text, sizeof(id_text), "%016" PRIx64 "%016" PRIx64, id[0], id[1]);
    http_response_header(res, STR("x-ms-request-id"), str_of(id_text));
    http_response_header(res, STR("cache-control"), STR("no-store"));
    if (body->n > 0) {
        http_response_header(res, STR("content-type"), STR("application/json; charset=utf-8"));
        res->body = body;
    }
    http_respond(req, res);
    buf_done(body);
}

static void respond_error(struct http_req *req, const struct errinfo *ei)
{
    struct http_response res = {.status = manage_http_status(ei->code)};
    struct buf body;
    buf_init(&body, 16 << 10);
    if (!str_eq(req->method, STR("HEAD"))) {
        manage_doc_error(ei, &body);
    }
    if (res.status == 401) {
        http_response_header(&res, STR("www-authenticate"), STR("Bearer"));
    }
    respond(req, &res, &body);
}

/* As a part of a path, which it was before it was decoded. */
static struct str escaped(struct arena *a, struct str s)
{
    struct buf b;
    buf_init(&b, (size_t)3 * MANAGE_NAME_SIZE_MAX);
    codec_percent_encode(&b, s);
    ASSERT(buf_ok(&b));
    struct str ret = arena_str(a, buf_str(&b));
    buf_done(&b);
    return ret;
}

static void follow_headers(struct manage_req *r, struct http_response *res)
{
    struct http_req *req = r->http;
    const struct manage_target *t = &r->call.target;
    struct str subscription = escaped(&req->arena, t->subscription);
    struct str group = escaped(&req->arena, t->group);
    struct str base = base_url(req, r->opts);
    struct buf id;
    STATIC_ASSERT((int)MANAGE_OP_ID_SIZE_MAX <= (int)MANAGE_NAME_SIZE_MAX,
                  "it becomes a part of a path");
    buf_init(&id, MANAGE_OP_ID_SIZE_MAX);
    manage_op_id(&r->answer.op, &id);
    ASSERT(buf_ok(&id));
    struct str status = arena_printf(&req->arena,
                                     STR_FMT "/subscriptions/" STR_FMT
                                             "/providers/Microsoft.DocumentDB/locations/global/"
                                             "operationsStatus/" STR_FMT "?api-version=2025-10-15",
                                     STR_ARG(base), STR_ARG(subscription), STR_ARG(buf_str(&id)));
    struct str result = arena_printf(
        &req->arena,
        STR_FMT "/subscriptions/" STR_FMT "/resourceGroups/" STR_FMT
                "/providers/Microsoft.DocumentDB/databaseAccounts/%s/operationResults/" STR_FMT
                "?api-version=2025-10-15",
        STR_ARG(base), STR_ARG(subscription), STR_ARG(group), r->answer.op.account,
        STR_ARG(buf_str(&id)));
    http_response_header(res, STR("azure-asyncoperation"), status);
    http_response_header(res, STR("location"), result);
    buf_done(&id);
}

static void finish(struct manage_req *r)
{
    struct http_response res = {.status = r->answer.status};
    char seconds[16];
    if (r->answer.has_op) {
        follow_headers(r, &res);
    }
    if (r->answer.is_running) {
        (void)snprintf(seconds, sizeof(seconds), "%d", MANAGE_RETRY_AFTER_S);
        http_response_header(&res, STR("retry-after"), str_of(seconds));
    }
    respond(r->http, &res, &r->answer.body);
    mem_free(r);
}

static void finish_error(struct manage_req *r, const struct errinfo *ei)
{
    respond_error(r->http, ei);
    mem_free(r);
}

/* ---- changes ---- */

static void start(struct manage_req *r);

static void on_changed(void *ctx, const struct coord_txn_result *res)
{
    struct manage_req *r = ctx;
    struct errinfo ei = {0};
    if (res->err == OK && res->succeeded) {
        LOG_INFO("manage", "changed", "account=%s method=" STR_FMT " action=" STR_FMT,
                 r->answer.op.account, STR_ARG(r->call.method), STR_ARG(r->call.target.action));
        finish(r);
        return;
    }
    buf_done(&r->answer.body);
    if (res->err == OK && r->attempt < ATTEMPTS_MAX) {
        start(r); /* somebody was faster: decide again */
        return;
    }
    if (res->err == OK) {
        err_set(&ei, ERR_CONFLICTING_OPERATION, "the account changed at the same moment");
        err_hint(&ei, "try again");
    } else {
        err_set(&ei, ERR_UNKNOWN_OUTCOME,
                "the coordinator did not answer: the change may have been made");
        err_hint(&ei, "look at the account before trying again");
    }
    finish_error(r, &ei);
}

static void decide(struct manage_req *r)
{
    struct errinfo ei = {0};
    enum err err = manage_decide(&r->http->arena, &r->call, &r->world, &r->answer, &ei);
    if (err != OK) {
        finish_error(r, &ei);
    } else if (r->answer.txn != NULL) {
        coord_client_txn(r->opts->coord, r->answer.txn, COORD_TIMEOUT_MS, on_changed, r);
    } else {
        finish(r);
    }
}

/* Reads of our own account go on while the coordinator is away, from what is known. Of the others we
 * know nothing, not even that they are there. */
static bool use_known(struct manage_req *r)
{
    const struct account_record *rec = r->opts->known ? r->opts->known(r->opts->ctx) : NULL;
    if (rec == NULL || !manage_is_about_one(&r->call, str_of(rec->name))) {
        return false;
    }
    struct arena *a = &r->http->arena;
    struct account_record *copy = ARENA_NEW(a, struct account_record);
    record_copy(a, rec, copy);
    r->world.count = 1;
    r->world.accounts[0] = (struct manage_account){
        .name = str_of(copy->name), .rec = copy, .endpoint = str_of(r->opts->own_endpoint)};
    return true;
}

static void on_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct manage_req *r = ctx;
    struct errinfo ei = {0};
    if (err != OK && err != ERR_CLOSED && use_known(r)) {
        decide(r);
        return;
    }
    if (err != OK) {
        err_set(&ei, ERR_UNAVAILABLE, "the coordinator does not answer; nothing was changed");
    } else if (manage_world_make(&r->http->arena, kvs, n, r->opts->own_endpoint, &r->world, &ei) ==
               OK) {
        decide(r);
        return;
    }
    finish_error(r, &ei);
}

static void start(struct manage_req *r)
{
    r->attempt++;
    coord_client_read(r->opts->coord, STR(MANAGE_PREFIX), COORD_TIMEOUT_MS, on_read, r);
}

/* ---- requests ---- */

static enum err check_token(const struct manage_opts *opts, const struct http_req *req,
                            struct errinfo *ei)
{
    struct str scheme = STR_NONE;
    struct str token = STR_NONE;
    if (opts->token.n < MANAGE_TOKEN_SIZE_MIN) {
        return err_set(ei, ERR_FORBIDDEN, "the management interface is not open here");
    }
    if (str_split(str_trim(http_header(req, STR("authorization"))), ' ', &scheme, &token) &&
        str_eq_nocase(scheme, STR("Bearer")) && str_eq_secret(str_trim(token), opts->token)) {
        return OK;
    }
    enum err e = err_set(ei, ERR_UNAUTHORIZED, "the bearer token is missing or wrong");
    err_hint(ei, "it is in the file management.token of the data directory");
    return e;
}

void manage_request(const struct manage_opts *opts, struct http_req *req)
{
    struct errinfo ei = {0};
    struct manage_call call = {
        .method = req->method, .wall_ms = clock_wall_ms(), .can_host = opts->can_host};
    enum err err = check_token(opts, req, &ei);
    if (err == OK) {
        err = manage_target_parse(&req->arena, req->target, &call.target, &ei);
    }
    if (err == OK && req->body.n > 0) {
        err = json_parse(&req->arena, req->body, NULL, &call.body, &ei);
        if (err != OK) {
            ei.code = ERR_INVALID; /* 400, and says where */
        }
    }
    if (err != OK) {
        respond_error(req, &ei);
        return;
    }
    struct manage_req *r = MEM_NEW(struct manage_req);
    r->opts = opts;
    r->http = req;
    r->call = call;
    start(r);
}
