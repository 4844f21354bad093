/* Items: single operations. See items.h. */
#include "cosmos/items.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/crypto.h"
#include "cosmos/query/query.h"
#include "json/edit.h"

const struct str system_keys[] = {{"_rid", 4},          {"_self", 5}, {"_etag", 5},
                                  {"_attachments", 12}, {"_ts", 3},   {"_lsn", 4}};
const size_t system_key_count = ARRAY_COUNT(system_keys);

/* ---- etags and system properties ---- */

static void add_etag(const struct write_place *place, struct buf *out)
{
    buf_add_hex_text(out, place->epoch, 8);
    buf_add_char(out, '-');
    buf_add_hex_text(out, place->op_idx, 4);
    buf_add_char(out, '-');
    buf_add_hex_text(out, place->lsn, 12);
}

void etag_write(const struct write_place *place, struct buf *out)
{
    buf_add_char(out, '"');
    add_etag(place, out);
    buf_add_char(out, '"');
}

void system_props_write(const struct system_props *p, const struct write_place *place,
                        struct buf *out)
{
    buf_add_cstr(out, "\"_rid\":\"");
    buf_add_str(out, p->rid);
    buf_add_cstr(out, "\",\"_self\":\"");
    buf_add_str(out, p->self);
    buf_add_cstr(out, "\",\"_etag\":\"\\\"");
    add_etag(place, out);
    buf_add_cstr(out, "\\\"\"");
    buf_add_str(out, p->extra);
    buf_add_cstr(out, ",\"_ts\":");
    buf_add_u64_text(out, place->ts);
}

static struct str bare(struct str etag)
{
    etag = str_trim(etag);
    if (str_starts(etag, STR("W/"))) {
        etag = str_slice(etag, 2, etag.n);
    }
    if (etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"') {
        etag = str_slice(etag, 1, etag.n - 2);
    }
    return etag;
}

bool etag_matches(struct str condition, struct str etag)
{
    return str_eq(bare(condition), STR("*")) || str_eq(bare(condition), bare(etag));
}

struct str etag_of_text(struct arena *a, struct str text)
{
    /* System members are the last ones, so the last `"_etag":` is ours. */
    struct str marker = STR("\"_etag\":\"\\\"");
    for (size_t at = text.n > marker.n ? text.n - marker.n : 0; at > 0; at--) {
        if (text.p[at] == '"' && str_starts(str_slice(text, at, text.n), marker)) {
            struct str rest = str_slice(text, at + marker.n, text.n);
            ptrdiff_t end = str_find_char(rest, '\\');
            return arena_printf(a, "\"" STR_FMT "\"",
                                STR_ARG(str_slice(rest, 0, end < 0 ? 0 : (size_t)end)));
        }
    }
    return STR("");
}

/* ---- on the HTTP thread: from document to operation ---- */

void item_op_key(struct arena *a, struct item_op *op)
{
    struct buf key;
    struct buf epk;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    buf_init(&epk, EPK_SIZE_MAX);
    epk_of(&op->pk, &epk);
    op->ordinal = container_ordinal(op->coll, buf_str(&epk));
    key_item(&op->pk, op->coll->path_count, op->id, &key);
    op->key = arena_str(a, buf_str(&key));
    buf_done(&epk);
    buf_done(&key);
}

/* A unique key as the engine keeps it: digest of (which key, logical partition, values). Values may be
 * long; the digest stands for them. A missing value counts as a value. */
static struct str unique_digest(struct arena *a, const struct item_op *op, size_t which,
                                const struct json *doc)
{
    const struct unique_set *set = &op->coll->uniques[which];
    struct buf b;
    buf_init(&b, (UNIQUE_PATHS_MAX + 1) * (size_t)HTTP_BODY_SIZE_MAX); /* paths may overlap */
    buf_add_u8(&b, (uint8_t)which);
    struct buf prefix;
    buf_init(&prefix, ENGINE_KEY_SIZE_MAX);
    key_prefix(&op->pk, op->coll->path_count, &prefix);
    buf_add_lstr(&b, buf_str(&prefix));
    buf_done(&prefix);
    for (size_t i = 0; i < set->count; i++) {
        const struct json *v = json_path_eval(doc, &set->paths[i]);
        if (!v || v->type == JSON_NULL) {
            buf_add_u8(&b, 0);
        } else if (v->type == JSON_NUMBER) {
            buf_add_u8(&b, 'n'); /* 1 and 1.0 are one value */
            json_write_number(&b, v->number);
        } else if (v->type == JSON_STRING) {
            buf_add_u8(&b, 's');
            buf_add_lstr(&b, v->text);
        } else {
            buf_add_u8(&b, 'j');
            json_write(&b, v);
        }
        buf_add_u8(&b, 0);
    }
    char *digest = arena_alloc(a, CRYPTO_SHA256_SIZE + 1);
    digest[0] = (char)which;
    ASSERT(buf_ok(&b));
    crypto_sha256(buf_str(&b), (uint8_t *)digest + 1);
    buf_done(&b);
    return str_make(digest, CRYPTO_SHA256_SIZE + 1);
}

static enum err read_ttl(struct item_op *op, const struct json *doc, struct errinfo *ei)
{
    const struct json *ttl = json_get(doc, STR("ttl"));
    op->has_ttl = false;
    if (!ttl || ttl->type == JSON_NULL) {
        return OK;
    }
    if (!json_is_integer(ttl, &op->ttl) || (op->ttl < 1 && op->ttl != -1) || op->ttl > INT32_MAX) {
        return err_set(ei, ERR_INVALID,
                       "The input ttl '" STR_FMT
                       "' is invalid. Ensure to provide a nonzero positive integer or -1.",
                       STR_ARG(str_slice(ttl->src, 0, 40)));
    }
    op->has_ttl = true;
    return OK;
}

enum err item_op_document(struct arena *a, struct item_op *op, const struct json *doc,
                          const struct pk *given, struct errinfo *ei)
{
    if (doc->type != JSON_OBJECT) {
        return err_set(ei, ERR_INVALID, "the item must be a JSON object");
    }
    struct str id = STR("");
    if (!json_get_str(doc, STR("id"), &id)) {
        return err_set(
            ei, ERR_INVALID,
            "The input content is invalid because the required properties - 'id; ' - are missing");
    }
    TRY(op_check_id(id, true, ei));
    if ((op->kind == ITEM_REPLACE || op->kind == ITEM_PATCH) && op->id.p && !str_eq(op->id, id)) {
        return err_set(ei, ERR_INVALID, "the id in the body is not the id of the item");
    }
    op->id = id;
    TRY(pk_extract(doc, op->coll->paths, op->coll->path_count, &op->pk, ei));
    if (given && given->count > 0 && !pk_eq(given, &op->pk)) {
        op->substatus = 1001;
        return err_set(
            ei, ERR_INVALID,
            "PartitionKey extracted from document doesn't match the one specified in the header");
    }
    TRY(read_ttl(op, doc, ei));
    item_op_key(a, op);
    op->unique_count = op->coll->unique_count;
    for (size_t i = 0; i < op->coll->unique_count; i++) {
        op->uniques[i] = unique_digest(a, op, i, doc);
    }
    struct buf text;
    buf_init(&text, (ITEM_SIZE_MAX) + (1 << 20));
    op->base_has_members = json_text_without(&text, doc, system_keys, system_key_count) > 0;
    bool is_small = buf_ok(&text) && text.n <= ITEM_SIZE_MAX;
    op->base = is_small ? arena_str(a, buf_str(&text)) : STR("");
    buf_done(&text);
    return is_small ? OK
                    : err_set(ei, ERR_LIMIT, "Request size is too large: an item may have %d bytes",
                              ITEM_SIZE_MAX);
}

/* ---- on the core thread: the decision ---- */

static void refuse(struct item_op *op, struct write_plan *ret, int status, const char *why)
{
    op->status = status;
    op->why = why;
    ret->action = WRITE_REJECT;
}

static bool conditions_hold(struct item_op *op, const struct engine_doc *current, struct arena *a,
                            struct write_plan *ret)
{
    struct str etag = current ? etag_of_text(a, current->text) : STR("");
    if (op->if_match.n > 0 && current && !etag_matches(op->if_match, etag)) {
        refuse(op, ret, 412, "One of the specified pre-condition is not met");
        return false;
    }
    if (op->if_none_match.n > 0 && current && etag_matches(op->if_none_match, etag)) {
        bool is_create = op->kind == ITEM_CREATE;
        refuse(op, ret,
               is_create               ? 409
               : op->kind == ITEM_READ ? 304
                                       : 412,
               is_create ? "Entity with the specified id already exists in the system."
                         : "One of the specified pre-condition is not met");
        return false;
    }
    return true;
}

static uint64_t expiry(const struct item_op *op, const struct write_place *place)
{
    if (!op->coll->has_ttl) {
        return 0;
    }
    int64_t ttl = op->has_ttl ? op->ttl : op->coll->ttl;
    return ttl > 0 ? place->ts + (uint64_t)ttl : 0;
}

void item_text_write(const struct container *coll, struct str base, bool base_has_members,
                     uint64_t number, const struct write_place *place, struct buf *out)
{
    struct buf rid;
    struct buf self;
    buf_init(&rid, 64);
    buf_init(&self, 256);
    rid_add_child(&rid, coll->db, coll->number, RID_ITEM, number);
    buf_reserve(&self, coll->db_rid.n + coll->rid.n + rid.n + 20);
    buf_add_cstr(&self, "dbs/");
    buf_add_str(&self, coll->db_rid);
    buf_add_cstr(&self, "/colls/");
    buf_add_str(&self, coll->rid);
    buf_add_cstr(&self, "/docs/");
    buf_add_str(&self, buf_str(&rid));
    buf_add_char(&self, '/');
    buf_reserve(out, base.n + 320);
    buf_add_str(out, base);
    if (base_has_members) {
        buf_add_char(out, ',');
    }
    struct system_props props = {.rid = buf_str(&rid),
                                 .self = buf_str(&self),
                                 .extra = STR(",\"_attachments\":\"attachments/\"")};
    system_props_write(&props, place, out);
    buf_add_char(out, '}');
    buf_done(&rid);
    buf_done(&self);
}

static void plan_put(struct item_op *op, struct arena *a, const struct write_place *place,
                     const struct engine_doc *current, struct write_plan *ret)
{
    uint64_t number =
        current ? current->rid : rid_number(place->lsn, place->op_idx, (unsigned)op->ordinal);
    struct buf text;
    buf_init(&text, ENGINE_DOC_SIZE_MAX);
    item_text_write(op->coll, op->base, op->base_has_members, number, place, &text);
    ASSERT(buf_ok(&text));
    op->text = arena_str(a, buf_str(&text));
    op->size = op->text.n;
    struct buf etag;
    buf_init(&etag, 64);
    etag_write(place, &etag);
    op->etag = arena_str(a, buf_str(&etag));
    buf_done(&etag);
    buf_done(&text);
    *ret = (struct write_plan){.action = WRITE_PUT,
                               .text = op->text,
                               .rid = number,
                               .expire_at = expiry(op, place),
                               .unique_count = op->unique_count,
                               .uniques = op->uniques};
}

/* Reads the present document, applies the patch and makes the operation a replacement by the result. */
static bool apply_patch(struct item_op *op, struct arena *a, const struct write_place *place,
                        const struct engine_doc *current, struct write_plan *ret)
{
    struct errinfo ei = {0};
    const struct json *doc = NULL;
    const struct json *changed = NULL;
    bool is_true = true;
    struct str text = arena_str(a, current->text);
    enum err err = OK;
    if (op->condition) {
        err = query_condition(op->condition, text, (int64_t)place->ts * 10000000, &is_true, &ei);
    }
    if (err == OK && !is_true) {
        refuse(op, ret, 412, "One of the specified pre-condition is not met");
        return false;
    }
    if (err == OK) {
        err = json_parse(a, text, NULL, &doc, &ei);
    }
    if (err == OK) {
        err = json_patch_apply(a, doc, op->patch, &changed, &ei);
    }
    if (err == OK) {
        struct pk pk = op->pk;
        err = item_op_document(a, op, changed, &pk, &ei);
    }
    if (err != OK) {
        (void)snprintf(op->why_text, sizeof(op->why_text), "%.190s", ei.message);
        refuse(op, ret, err_http_status(err), op->why_text);
        return false;
    }
    return true;
}

void item_prepare(struct region_write *w, size_t i, const struct write_place *place,
                  const struct engine_doc *current, struct write_plan *ret)
{
    struct item_write *iw = CONTAINER_OF(w, struct item_write, w);
    struct item_op *op = iw->ops[i];
    struct arena *a = &iw->user.op->req->arena;
    *ret = (struct write_plan){.action = WRITE_REJECT};
    bool needs_current = op->kind == ITEM_REPLACE || op->kind == ITEM_DELETE ||
                         op->kind == ITEM_PATCH || op->kind == ITEM_READ;
    if (needs_current && !current) {
        refuse(op, ret, 404, "Entity with the specified id does not exist in the system.");
        return;
    }
    if (!conditions_hold(op, current, a, ret)) {
        return;
    }
    if (iw->answer_left && (op->kind == ITEM_READ || op->kind == ITEM_PATCH)) {
        if (current->text.n > *iw->answer_left) {
            /* In bulk, clients send it again. */
            op->substatus = w->op_count == 1 ? 3402 : 0;
            refuse(op, ret, 413, "The answer would grow too large");
            return;
        }
        *iw->answer_left -= current->text.n;
    }
    switch (op->kind) {
    case ITEM_CREATE:
        if (current) {
            refuse(op, ret, 409, "Entity with the specified id already exists in the system.");
            return;
        }
        op->status = 201;
        plan_put(op, a, place, NULL, ret);
        return;
    case ITEM_UPSERT:
        op->status = current ? 200 : 201;
        plan_put(op, a, place, current, ret);
        return;
    case ITEM_PATCH:
        if (!apply_patch(op, a, place, current, ret)) {
            return;
        }
        op->status = 200;
        plan_put(op, a, place, current, ret);
        return;
    case ITEM_REPLACE:
        op->status = 200;
        plan_put(op, a, place, current, ret);
        return;
    case ITEM_DELETE:
        op->status = 204;
        op->text = STR("");
        ret->action = WRITE_DELETE;
        return;
    case ITEM_READ:
        op->status = 200;
        op->text = arena_str(a, current->text);
        op->etag = etag_of_text(a, op->text);
        op->size = op->text.n;
        ret->action = WRITE_NONE;
        return;
    }
}

/* ---- submitting ---- */

void item_write_failed(const struct region_write *w, const struct item_op *op, int *ret_status,
                       int *ret_substatus, const char **ret_message)
{
    *ret_status = err_http_status(w->err);
    *ret_substatus = err_substatus(w->err);
    *ret_message = err_text(w->err);
    if (w->err == ERR_PRECONDITION) {
        *ret_status = op->status;
        *ret_substatus = op->substatus;
        *ret_message = op->why ? op->why : "precondition failed";
    } else if (w->err == ERR_EXISTS) {
        *ret_message = "Unique index constraint violation.";
    } else if (w->err == ERR_NOT_WRITER) {
        *ret_message =
            "The requested operation cannot be performed at this region: it does not take writes";
    } else if (w->err == ERR_UNKNOWN_OUTCOME) {
        *ret_message = "The outcome of the write is not known: it may have been applied";
    } else if (w->err == ERR_UNAVAILABLE) {
        *ret_message = "Writes are not available now; nothing was applied";
    }
}

struct item_write *item_write_new(struct op *op, struct item_op **ops, size_t n,
                                  void (*done)(struct region_write *w))
{
    struct arena *a = &op->req->arena;
    struct item_write *iw = ARENA_NEW(a, struct item_write);
    iw->user = (struct write_user){done, op};
    iw->ops = ops;
    iw->w.pid = ops[0]->coll->parts[ops[0]->ordinal]->pid;
    iw->w.op_count = n;
    iw->w.ops = ARENA_NEW_ARRAY(a, struct write_op, n);
    for (size_t i = 0; i < n; i++) {
        iw->w.ops[i].space = SPACE_ITEM;
        iw->w.ops[i].key = ops[i]->key;
    }
    iw->w.prepare = item_prepare;
    iw->w.user = &iw->user;
    return iw;
}

void submit_write(struct op *op, struct region_write *w)
{
    if (!op->service->backend.write(op->service->backend.ctx, w)) {
        w->err = ERR_BUSY;
        struct write_user *u = w->user;
        u->done(w);
    }
}

static void single_done(struct region_write *w)
{
    struct item_write *iw = CONTAINER_OF(w, struct item_write, w);
    struct op *op = iw->user.op;
    struct item_op *it = iw->ops[0];
    op->token_ordinal = it->ordinal;
    op->token_lsn = w->err == OK ? w->lsn : 0;
    if (w->err != OK) {
        int status;
        int substatus;
        const char *message;
        item_write_failed(w, it, &status, &substatus, &message);
        op_fail_with(op, status, substatus, "%s", message);
        return;
    }
    op_charge_write(op, it->size, it->unique_count);
    if (it->etag.n > 0) {
        op_header(op, STR("etag"), it->etag);
    }
    bool is_minimal = str_eq_nocase(http_header(op->req, STR("prefer")), STR("return=minimal"));
    if (it->status == 204) {
        op_answer(op, 204, NULL);
    } else if (is_minimal) {
        op_answer(op, it->status, NULL);
    } else {
        op_answer_str(op, it->status, it->text);
    }
}

static void submit_single(struct op *op, struct item_op *it)
{
    struct item_op **ops = ARENA_NEW(&op->req->arena, struct item_op *);
    ops[0] = it;
    struct item_write *iw = item_write_new(op, ops, 1, single_done);
    submit_write(op, &iw->w);
}

static struct item_op *new_item(struct op *op, enum item_kind kind)
{
    struct item_op *it = ARENA_NEW(&op->req->arena, struct item_op);
    it->kind = kind;
    it->coll = op->coll;
    it->if_match = http_header(op->req, STR("if-match"));
    it->if_none_match = kind == ITEM_DELETE ? STR("") : http_header(op->req, STR("if-none-match"));
    return it;
}

void items_create(struct op *op)
{
    struct errinfo ei = {0};
    bool is_upsert = op_flag(op, STR("x-ms-documentdb-is-upsert"));
    struct item_op *it = new_item(op, is_upsert ? ITEM_UPSERT : ITEM_CREATE);
    const struct json *doc = NULL;
    enum err err = op_read_pk(op, true, false, &ei);
    if (err == OK) {
        err = op_body(op, &doc, &ei);
    }
    if (err == OK) {
        err = item_op_document(&op->req->arena, it, doc, &op->pk, &ei);
    }
    if (err != OK) {
        op_fail_with(op, err_http_status(err), it->substatus, "%s", ei.message);
        return;
    }
    submit_single(op, it);
}

/* ---- point reads ---- */

struct point_read {
    struct item_op *it;
    struct str text, etag;
    bool is_found;
};

static void read_answer(struct op *op, enum err err)
{
    struct point_read *r = op->state;
    struct errinfo ei = {0};
    if (err != OK) {
        err_set(&ei, err, "the read could not be confirmed at the asked consistency level");
        op_fail(op, &ei);
    } else if (!r->is_found) {
        op_fail_with(op, 404, 0, "Entity with the specified id does not exist in the system.");
    } else {
        op_charge_read(op, r->text.n);
        op_header(op, STR("etag"), r->etag);
        if (r->it->if_none_match.n > 0 && etag_matches(r->it->if_none_match, r->etag)) {
            op_answer(op, 304, NULL);
        } else {
            op_answer_str(op, 200, r->text);
        }
    }
}

static void read_now(struct op *op)
{
    struct point_read *r = op->state;
    struct cosmos_service *s = op->service;
    pid p = op->coll->parts[r->it->ordinal]->pid;
    struct errinfo ei = {0};
    struct engine_doc doc;
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + (64 << 10));
    struct engine_snap *snap = op_is_strong(op) ? engine_snap_get(s->engine) : NULL;
    enum err err = engine_get(s->engine, snap, p, SPACE_ITEM, r->it->key, true, &hold, &doc, &ei);
    lsn need = 0;
    if (err == OK &&
        (doc.version.expire_at == 0 || doc.version.expire_at > (uint64_t)op_now_s(op))) {
        r->is_found = true;
        r->text = arena_str(&op->req->arena, doc.text);
        r->etag = etag_of_text(&op->req->arena, r->text);
        need = doc.version.lsn;
        op->token_lsn = doc.version.lsn;
    } else if (err == OK || err == ERR_NOT_FOUND) {
        /* Absence may come from a delete that is not safe yet: everything here must be. */
        struct engine_part_meta meta;
        struct buf extra;
        buf_init(&extra, 1 << 20);
        if (snap && engine_part_meta_get(s->engine, snap, p, &extra, &meta, NULL) == OK) {
            need = meta.tail_lsn;
        }
        buf_done(&extra);
        err = OK;
    }
    if (snap) {
        engine_snap_release(s->engine, snap);
    }
    buf_done(&hold);
    if (err != OK) {
        (void)op_note_unreadable(op, p, &ei);
        op_fail(op, &ei);
        return;
    }
    op->token_ordinal = r->it->ordinal;
    op_confirm(op, r->it->ordinal, need, read_answer);
}

static void item_read(struct op *op, struct item_op *it)
{
    struct point_read *r = ARENA_NEW(&op->req->arena, struct point_read);
    r->it = it;
    op->state = r;
    op_gate(op, it->ordinal, it->ordinal + 1, read_now);
}

/* ---- by id ---- */

enum err item_op_patch(struct arena *a, struct item_op *it, const struct json *body,
                       struct errinfo *ei)
{
    struct json_patch *patch = ARENA_NEW(a, struct json_patch);
    TRY(json_patch_parse(a, body, patch, ei));
    it->patch = patch;
    size_t which = 0;
    for (size_t i = 0; i < system_key_count; i++) {
        if (json_patch_touches(patch, &system_keys[i], 1, &which)) {
            return err_set(ei, ERR_INVALID, "operation %zu: system properties cannot be patched",
                           which + 1);
        }
    }
    struct str id = STR("id");
    if (json_patch_touches(patch, &id, 1, &which)) {
        return err_set(ei, ERR_INVALID, "operation %zu: the id cannot be patched", which + 1);
    }
    for (size_t i = 0; i < it->coll->path_count; i++) {
        if (json_patch_touches(patch, it->coll->paths[i].keys, it->coll->paths[i].count, &which)) {
            return err_set(ei, ERR_INVALID, "operation %zu: the partition key cannot be patched",
                           which + 1);
        }
    }
    if (patch->has_condition) {
        struct query *q = NULL;
        enum err err = query_compile_condition(a, patch->condition, NULL, &q, ei);
        if (err != OK) {
            ei->code = ERR_INVALID;
            return ERR_INVALID;
        }
        it->condition = q;
    }
    return OK;
}

void items_item(struct op *op, struct str id)
{
    struct errinfo ei = {0};
    struct str method = op->req->method;
    bool is_get = str_eq(method, STR("GET"));
    enum item_kind kind = is_get                         ? ITEM_READ
                          : str_eq(method, STR("PUT"))   ? ITEM_REPLACE
                          : str_eq(method, STR("PATCH")) ? ITEM_PATCH
                                                         : ITEM_DELETE;
    if (!is_get && kind == ITEM_DELETE && !str_eq(method, STR("DELETE"))) {
        op_fail_with(op, 405, 0, "the method is not allowed on an item");
        return;
    }
    struct item_op *it = new_item(op, kind);
    const struct json *body = NULL;
    enum err err = op_read_pk(op, true, false, &ei);
    if (err == OK) {
        it->id = id;
        it->pk = op->pk;
        err = op_check_id(id, true, &ei);
    }
    if (err == OK && (kind == ITEM_REPLACE || kind == ITEM_PATCH)) {
        err = op_body(op, &body, &ei);
    }
    if (err == OK && kind == ITEM_REPLACE) {
        err = item_op_document(&op->req->arena, it, body, &op->pk, &ei);
    } else if (err == OK) {
        item_op_key(&op->req->arena, it);
        if (kind == ITEM_PATCH) {
            err = item_op_patch(&op->req->arena, it, body, &ei);
        }
    }
    if (err != OK) {
        op_fail_with(op, err_http_status(err), it->substatus, "%s", ei.message);
    } else if (is_get) {
        item_read(op, it);
    } else {
        submit_single(op, it);
    }
}
