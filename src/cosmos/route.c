/* From a request to its handler: the table of paths, and what all handlers read from a request. */
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/account_doc.h"
#include "cosmos/permit.h"
#include "cosmos/service_int.h"

enum { PAGE_ITEMS_MAX = 10000, NAME_SIZE_MAX = 255 };

/* ---- reading requests ---- */

bool op_flag(const struct op *op, struct str header)
{
    return str_eq_nocase(http_header(op->req, header), STR("true"));
}

bool op_is_query(const struct op *op)
{
    return op_flag(op, STR("x-ms-documentdb-isquery")) ||
           op_flag(op, STR("x-ms-documentdb-query")) ||
           str_starts(http_header(op->req, STR("content-type")), STR("application/query+json"));
}

enum err op_body(struct op *op, const struct json **ret, struct errinfo *ei)
{
    struct errinfo why = {0};
    struct json_limits limits = {.text_size_max = HTTP_BODY_SIZE_MAX};
    enum err err = json_parse(&op->req->arena, op->req->body, &limits, ret, &why);
    if (err != OK) {
        return err_set(ei, err == ERR_LIMIT ? ERR_LIMIT : ERR_INVALID,
                       "The request payload is invalid: %s", why.message);
    }
    return OK;
}

enum err op_read_pk(struct op *op, bool is_needed, bool allow_prefix, struct errinfo *ei)
{
    struct str header = http_header(op->req, STR("x-ms-documentdb-partitionkey"));
    size_t paths = op->coll->path_count;
    if (header.n == 0) {
        return is_needed ? err_set(ei, ERR_INVALID,
                                   "PartitionKey value must be supplied for this operation.")
                         : OK;
    }
    TRY(pk_parse(&op->req->arena, header, &op->pk, ei));
    if (op->pk.count > paths || (op->pk.count < paths && !allow_prefix)) {
        return err_set(ei, ERR_INVALID,
                       "the partition key in the header has %zu components, the container has %zu",
                       op->pk.count, paths);
    }
    op->has_pk = true;
    return OK;
}

enum err op_check_id(struct str id, bool is_item, struct errinfo *ei)
{
    size_t max = is_item ? ITEM_ID_SIZE_MAX : NAME_SIZE_MAX;
    if (id.n == 0 || id.n > max) {
        return err_set(ei, ERR_INVALID, "an id needs 1 to %zu bytes", max);
    }
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (c == '/' || c == '\\' || c == '#' || (!is_item && c == '?')) {
            return err_set(ei, ERR_INVALID, "The id contains an illegal character '%c'", c);
        }
    }
    if (!is_item && id.p[id.n - 1] == ' ') {
        return err_set(ei, ERR_INVALID, "a name may not end in a space");
    }
    return codec_utf8_valid(id) ? OK : err_set(ei, ERR_INVALID, "an id must be valid Unicode");
}

size_t op_page_size(const struct op *op)
{
    int64_t n = 0;
    if (!str_to_i64(http_header(op->req, STR("x-ms-max-item-count")), &n) || n <= 0) {
        return 0;
    }
    return n > PAGE_ITEMS_MAX ? PAGE_ITEMS_MAX : (size_t)n;
}

void op_charge_write(struct op *op, size_t bytes, size_t uniques)
{
    op->charge = 5.0 + (double)bytes / 1024.0 * 4.0 + (double)uniques;
}

void op_charge_read(struct op *op, size_t bytes)
{
    op->charge = bytes <= 1024 ? 1.0 : 1.0 + (double)(bytes - 1024) / 4096.0;
}

/* ---- dispatch below a container ---- */

static void docs(struct op *op)
{
    struct str method = op->req->method;
    if (str_eq(method, STR("GET"))) {
        if (http_header(op->req, STR("a-im")).n > 0) {
            feed_changes(op);
        } else {
            feed_docs(op);
        }
        return;
    }
    if (!str_eq(method, STR("POST"))) {
        op_fail_with(op, 405, 0, "items are created by POST and listed by GET");
        return;
    }
    if (op_flag(op, STR("x-ms-cosmos-is-query-plan-request"))) {
        feed_plan(op);
    } else if (op_is_query(op)) {
        feed_query(op);
    } else if (op_flag(op, STR("x-ms-cosmos-is-batch-request"))) {
        items_batch(op);
    } else {
        items_create(op);
    }
}

static struct str join_rest(struct op *op, size_t from)
{
    /* An item id may not contain '/', so there is one segment; more is a wrong path. */
    return from < op->target.count ? op->target.seg[from] : STR("");
}

static void scripts(struct op *op, enum meta_kind kind, struct str id)
{
    const struct database *db = catalog_database(op->catalog, op->coll->db_id);
    meta_children(op, kind, db, op->coll->number, op->coll->link, op->coll->rid, id);
}

static void below_container(struct op *op)
{
    const struct target *t = &op->target;
    struct str what = t->seg[4];
    struct str id = join_rest(op, 5);
    struct errinfo ei = {0};
    bool is_deep = t->count > 6;
    if (str_eq(what, STR("docs")) && !is_deep) {
        if (t->count == 5) {
            docs(op);
        } else {
            items_item(op, id);
        }
    } else if (str_eq(what, STR("pkranges")) && t->count == 5) {
        ranges_feed(op);
    } else if (str_eq(what, STR("conflicts")) && t->count == 5) {
        conflicts_feed(op);
    } else if (str_eq(what, STR("conflicts")) &&
               (t->count == 6 || (t->count == 7 && str_eq(t->seg[6], STR("conflicts"))))) {
        conflicts_item(op, id);
    } else if (str_eq(what, STR("sprocs")) && !is_deep) {
        scripts(op, META_SPROC, id);
    } else if (str_eq(what, STR("triggers")) && !is_deep) {
        scripts(op, META_TRIGGER, id);
    } else if (str_eq(what, STR("udfs")) && !is_deep) {
        scripts(op, META_UDF, id);
    } else if (str_eq(what, STR("operations")) && t->count == 6 &&
               str_eq(id, STR("partitionkeydelete"))) {
        items_purge(op);
    } else if (str_eq(what, STR("operations"))) {
        err_set(&ei, ERR_UNSUPPORTED, "container operation '" STR_FMT "' is not implemented",
                STR_ARG(str_slice(id, 0, 60)));
        op_fail(op, &ei);
    } else {
        op_fail_with(op, 404, 0, "no such resource path");
    }
}

/* ---- dispatch below a database ---- */

static const struct database *need_database(struct op *op)
{
    const struct database *db = catalog_database(op->catalog, op->target.seg[1]);
    if (!db) {
        op_fail_with(op, 404, op->target.count > 4 ? 1003 : 0,
                     "Resource Not Found: database '" STR_FMT "'",
                     STR_ARG(str_slice(op->target.seg[1], 0, 100)));
    }
    return db;
}

static void containers(struct op *op, const struct database *db)
{
    if (op->target.count == 3) {
        meta_containers(op, db);
        return;
    }
    op->coll = catalog_container(op->catalog, db, op->target.seg[3]);
    if (!op->coll) {
        op_fail_with(op, 404, op->target.count > 4 ? 1003 : 0,
                     "Resource Not Found: container '" STR_FMT "'",
                     STR_ARG(str_slice(op->target.seg[3], 0, 100)));
        return;
    }
    struct str intended = http_header(op->req, STR("x-ms-cosmos-intended-collection-rid"));
    if (intended.n > 0 && !str_eq(intended, op->coll->rid)) {
        op_fail_with(op, 400, 1024, "the container is not the intended one: it was created anew");
    } else if (op->target.count == 4) {
        meta_container(op);
    } else {
        below_container(op);
    }
}

/* A user's number, from its document. */
static enum err user_number(struct op *op, const struct database *db, uint32_t *ret,
                            struct str *ret_rid, struct errinfo *ei)
{
    struct buf key;
    struct buf hold;
    struct engine_doc doc;
    struct buf rid;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    buf_init(&rid, 64);
    meta_key(&key, META_USER, db->number, 0, op->target.seg[3]);
    enum err err =
        engine_get(op->service->engine, NULL, 0, SPACE_ITEM, buf_str(&key), false, &hold, &doc, ei);
    if (err == OK) {
        *ret = (uint32_t)doc.rid;
        rid_add_user(&rid, db->number, *ret);
        *ret_rid = arena_str(&op->req->arena, buf_str(&rid));
    }
    buf_done(&key);
    buf_done(&hold);
    buf_done(&rid);
    return err == OK || err == ERR_NOT_FOUND ? err : op_note_unreadable(op, 0, ei);
}

static void users(struct op *op, const struct database *db)
{
    const struct target *t = &op->target;
    uint32_t number = 0;
    struct str rid = STR("");
    struct errinfo ei = {0};
    enum err err = OK;
    if (t->count <= 4) {
        meta_children(op, META_USER, db, 0, STR(""), db->rid, t->count == 4 ? t->seg[3] : STR(""));
    } else if (t->count > 6 || !str_eq(t->seg[4], STR("permissions"))) {
        op_fail_with(op, 404, 0, "no such resource path");
    } else if ((err = user_number(op, db, &number, &rid, &ei)) != OK && err != ERR_NOT_FOUND) {
        op_fail(op, &ei);
    } else if (err == ERR_NOT_FOUND) {
        op_fail_with(op, 404, 0, "Resource Not Found: user '" STR_FMT "'",
                     STR_ARG(str_slice(t->seg[3], 0, 100)));
    } else {
        meta_children(op, META_PERMISSION, db, number, STR(""), rid,
                      t->count == 6 ? t->seg[5] : STR(""));
    }
}

/* Engine keys are made of names: longer than any can be, they are not even looked for. */
static bool has_long_name(const struct target *t)
{
    for (size_t i = 1; i < t->count; i += 2) {
        if (t->seg[i].n > ITEM_ID_SIZE_MAX) {
            return true;
        }
    }
    return false;
}

static void dispatch(struct op *op)
{
    const struct target *t = &op->target;
    if (has_long_name(t)) {
        op_fail_with(op, 400, 0, "an id needs 1 to %d bytes", ITEM_ID_SIZE_MAX);
        return;
    }
    if (t->count == 0 && !str_eq(op->req->method, STR("GET"))) {
        op_fail_with(op, 405, 0, "the account can be read here; it is changed by its operator");
        return;
    }
    if (t->count == 0) {
        struct buf body;
        buf_init(&body, 1 << 20);
        cosmos_account_document(&op->account->rec, op->service->region_name, &body);
        op_answer(op, 200, &body);
        buf_done(&body);
        return;
    }
    if (str_eq(t->seg[0], STR("offers")) && t->count <= 2) {
        meta_offers(op, t->count == 2 ? t->seg[1] : STR(""));
        return;
    }
    if (str_eq(t->seg[0], STR("addresses"))) {
        op_fail_with(op, 501, 0,
                     "direct mode is not implemented: configure the client for gateway mode");
        return;
    }
    if (!str_eq(t->seg[0], STR("dbs"))) {
        op_fail_with(op, 404, 0, "no such resource path");
        return;
    }
    if (t->count == 1) {
        meta_databases(op);
        return;
    }
    if (t->count == 2) {
        const struct database *found = catalog_database(op->catalog, t->seg[1]);
        meta_database(op, found ? found->id : t->seg[1]); /* the path may hold its rid */
        return;
    }
    const struct database *db = need_database(op);
    if (!db) {
        return;
    }
    if (str_eq(t->seg[2], STR("colls"))) {
        containers(op, db);
    } else if (str_eq(t->seg[2], STR("users"))) {
        users(op, db);
    } else {
        op_fail_with(op, 404, 0, "no such resource path");
    }
}

/* ---- entry ---- */

static enum err check_level(struct op *op, struct errinfo *ei)
{
    struct str header = http_header(op->req, STR("x-ms-consistency-level"));
    enum consistency account = record_read_level(&op->account->rec);
    op->level = account;
    if (header.n == 0) {
        return OK;
    }
    if (!consistency_parse(header, &op->level)) {
        return err_set(ei, ERR_INVALID, "unknown consistency level '" STR_FMT "'",
                       STR_ARG(str_slice(header, 0, 60)));
    }
    if (op->level > account) {
        return err_set(ei, ERR_INVALID,
                       "consistency level %s is stronger than the account's level %s",
                       consistency_name(op->level), consistency_name(account));
    }
    return OK;
}

/* Queries are POSTed to feeds, whose paths have an odd number of segments. The headers alone say
 * nothing: clients leave stray ones on every request, and a read-only key must not get by with them. */
static bool is_writing(const struct op *op)
{
    const struct target *t = &op->target;
    struct str method = op->req->method;
    bool is_feed = t->count % 2 == 1;
    bool is_docs = t->count == 5 && str_eq(t->seg[4], STR("docs"));
    bool is_plan = is_docs && op_flag(op, STR("x-ms-cosmos-is-query-plan-request"));
    bool is_query = is_feed && (op_is_query(op) || is_plan);
    return !str_eq(method, STR("GET")) && !(str_eq(method, STR("POST")) && is_query);
}

/* By a key of the account, or by a resource token. */
static enum err authenticate(struct op *op, struct errinfo *ei)
{
    const struct cosmos_auth *auth = op->account->auth;
    struct permit permit;
    struct str claims;
    int64_t now_ms = cosmos_auth_clock(op->req, clock_wall_ms(),
                                       atomic_load(&op->service->view->clock_ahead_ms));
    if (!cosmos_auth_is_token(op->req)) {
        return cosmos_auth_check_target(auth, op->req, &op->target, now_ms, &op->is_read_only, ei);
    }
    TRY(cosmos_auth_token(auth, op->req, now_ms, &claims, ei));
    TRY(permit_parse(&op->req->arena, claims, &permit, ei));
    return permit_allows(op, &permit, is_writing(op), ei);
}

void cosmos_handle(struct cosmos_service *s, struct http_req *req)
{
    struct errinfo ei = {0};
    struct op *op = ARENA_NEW(&req->arena, struct op);
    op->service = s;
    op->req = req;
    list_init(&op->link);
    pthread_mutex_lock(&s->lock);
    if (s->account && s->catalog) {
        op->account = s->account;
        atomic_fetch_add_explicit(&op->account->refs, 1, memory_order_relaxed);
        op->catalog = catalog_ref(s->catalog);
    }
    pthread_mutex_unlock(&s->lock);
    if (atomic_load(&s->is_catalog_old)) {
        err_set(&ei, ERR_UNAVAILABLE, "the metadata cannot be read here now; nothing was applied");
        op_fail(op, &ei);
        return;
    }
    if (!op->account || atomic_load(&s->is_stopping)) {
        err_set(&ei, ERR_UNAVAILABLE, "this server is %s; nothing was applied",
                op->account ? "stopping" : "starting");
        op_fail(op, &ei);
        return;
    }
    enum err err = target_parse(&req->arena, req->target, &op->target, &ei);
    if (err == OK) {
        err = authenticate(op, &ei);
    }
    if (err == OK) {
        err = check_level(op, &ei);
    }
    bool is_write = err == OK && is_writing(op);
    if (is_write && op->is_read_only) {
        err = err_set(&ei, ERR_FORBIDDEN, "a read-only key cannot be used for writes");
    }
    if (is_write && err == OK) {
        unsigned role = atomic_load(&s->view->role);
        bool writes_some = atomic_load(&s->view->writes_parts); /* which ones, the core knows */
        if (role != ROLE_WRITER && role != ROLE_HOLDING && !writes_some) {
            err = err_set(&ei, ERR_NOT_WRITER,
                          "The requested operation cannot be performed at this region: it does not "
                          "take writes");
        }
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    /* What is known here about names may be old or gone when the metadata may not be served. */
    if (op->target.count > 0 && !is_write) {
        err = op_check_readable(op, s->metadata, &ei);
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    op->session = str_trim(http_header(req, STR("x-ms-session-token")));
    dispatch(op);
}
