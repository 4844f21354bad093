/* The conflict feed: writes that a failover could not keep in place (geo-semantics 9.6).
 *
 * Records live in SPACE_CONFLICT of the item's own partition, in the item's logical partition; the id,
 * and with it the key, is made of (partition, epoch, lsn, operation), so that a suffix sent twice makes
 * each record once. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "cosmos/feed.h"
#include "cosmos/items.h"
#include "cosmos/query/query.h"
#include "repl/entry.h"
#include "json/edit.h"

enum {
    CONTENT_SIZE_MAX = ENGINE_DOC_SIZE_MAX - (16 << 10) /* the other members need less than that */
};

static struct account_snap *account_of(struct cosmos_service *s)
{
    return s->account; /* core thread: the only one that replaces it */
}

/* The lost version as a JSON string. Escaping may make a document of almost 2 MiB too long for a record;
 * it is put in as it is then, under another name: a lost write is never left out. */
static void add_content(struct json_out *o, const struct entry_op *lop)
{
    struct str text = lop->is_delete ? STR("") : lop->doc.text;
    struct buf escaped;
    buf_init(&escaped, CONTENT_SIZE_MAX);
    json_write_string(&escaped, text);
    json_out_key(o, "content");
    if (buf_ok(&escaped)) {
        json_out_raw(o, buf_str(&escaped));
    } else {
        json_out_str(o, STR(""));
        json_out_key(o, "x_content");
        json_out_raw(o, text);
    }
    buf_done(&escaped);
}

/* Epoch that an lsn belongs to: blocks of lsns follow each other as the epochs do. 0: too old to be in
 * the record. */
static epoch epoch_of_lsn(const struct account_record *rec, lsn at)
{
    for (size_t i = rec->epoch_count; i-- > 0;) {
        if (at >= rec->epochs[i].start_lsn) {
            return rec->epochs[i].epoch;
        }
    }
    return 0;
}

/* The item's number. A lost delete carries none: as it was lost, the item is usually still here. */
static bool item_number(struct cosmos_service *s, pid p, const struct entry_op *lop, uint64_t *ret)
{
    if (!lop->is_delete) {
        *ret = lop->doc.rid;
        return true;
    }
    struct engine_doc doc = {0};
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    enum err e = engine_get(s->engine, NULL, p, SPACE_ITEM, lop->key, /* want_text= */ false, &hold,
                            &doc, NULL);
    buf_done(&hold);
    *ret = doc.rid;
    return e == OK;
}

/* An operation of an entry that a failover cut off, and the place of the record about it. */
struct lost_op {
    pid pid;
    const struct entry *entry;
    const struct entry_op *op;
    struct conflict_note note;
    const struct write_place *place;
};

/* What the record says beyond the protocol's own members: where the write came from. */
static void add_origin(struct json_out *o, const struct account_record *rec,
                       const struct lost_op *l)
{
    const struct entry *lost = l->entry;
    const struct entry_op *lop = l->op;
    const struct record_region *region = rec ? record_region_const(rec, l->note.from) : NULL;
    json_out_member_u64(o, "conflict_lsn", lost->lsn);
    json_out_member_cstr(o, "x_origin", "failover");
    json_out_member_cstr(o, "x_region", region ? region->name : "");
    json_out_member_u64(o, "x_epoch", lost->epoch);
    json_out_member_u64(o, "x_lsn", lost->lsn);
    json_out_member_bool(o, "x_acknowledged", l->note.was_acknowledged);
    if (l->note.is_applied) {
        json_out_member_bool(o, "x_applied", true);
    }
    json_out_member_u64(o, "x_batch", lost->op_count > 1 ? lost->lsn : 0);
    struct write_place base = {.lsn = lop->old.lsn, .op_idx = lop->old.op_idx};
    base.epoch = rec && base.lsn != 0 ? epoch_of_lsn(rec, base.lsn) : 0;
    if (base.epoch != 0) {
        struct buf etag;
        buf_init(&etag, 64);
        etag_write(&base, &etag);
        json_out_member_str(o, "x_baseEtag", buf_str(&etag));
        buf_done(&etag);
    }
    json_out_member_bool(o, "x_expired",
                         !lop->is_delete && lop->doc.version.expire_at != 0 &&
                             lop->doc.version.expire_at <= l->place->ts);
}

/* The record as clients read it. `own_id` is its id, `item_id` that of the lost item. */
static void write_record(struct cosmos_service *s, const struct container *c,
                         const struct lost_op *l, struct str own_id, struct str item_id,
                         uint64_t own_number, struct buf *out)
{
    const struct account_snap *acc = account_of(s);
    uint64_t number = 0;
    struct buf rid;
    struct buf item_rid;
    struct buf self;
    buf_init(&rid, 64);
    buf_init(&item_rid, 64);
    buf_init(&self, 256);
    rid_add_child(&rid, c->db, c->number, RID_CONFLICT, own_number);
    if (item_number(s, l->pid, l->op, &number)) {
        rid_add_child(&item_rid, c->db, c->number, RID_ITEM, number);
    }
    buf_printf(&self, "dbs/" STR_FMT "/colls/" STR_FMT "/conflicts/" STR_FMT "/",
               STR_ARG(c->db_rid), STR_ARG(c->rid), STR_ARG(buf_str(&rid)));
    struct json_out o;
    json_out_init(&o, out);
    json_out_object(&o);
    json_out_member_str(&o, "id", own_id);
    json_out_member_cstr(&o, "operationType",
                         l->op->is_delete      ? "delete"
                         : l->op->old.lsn == 0 ? "create"
                                               : "replace");
    json_out_member_cstr(&o, "resourceType", "document");
    json_out_member_str(&o, "resourceId", buf_str(&item_rid));
    add_content(&o, l->op);
    json_out_member_str(&o, "x_itemId", item_id);
    add_origin(&o, acc ? &acc->rec : NULL, l);
    buf_add_char(out, ',');
    struct system_props props = {.rid = buf_str(&rid), .self = buf_str(&self), .extra = STR("")};
    system_props_write(&props, l->place, out);
    buf_add_char(out, '}');
    buf_done(&rid);
    buf_done(&item_rid);
    buf_done(&self);
}

bool cosmos_conflict_build(struct cosmos_service *s, pid p, const struct entry *lost, size_t op_idx,
                           const struct conflict_note *note, const struct write_place *place,
                           struct buf *out_key, struct buf *out_text, uint64_t *ret_rid)
{
    ASSERT(op_idx < lost->op_count);
    struct lost_op l = {
        .pid = p, .entry = lost, .op = &lost->ops[op_idx], .note = *note, .place = place};
    const struct container *c = s->catalog ? catalog_by_pid(s->catalog, p) : NULL;
    if (!c || l.op->space != SPACE_ITEM) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct pk pk;
    struct str item_id;
    bool is_fine = key_split(l.op->key, c->path_count, &pk, &item_id, &a);
    if (is_fine) {
        struct str id = arena_printf(&a, "%016" PRIx64 "-%" PRIu64 "-%" PRIu64 "-%zu", p,
                                     lost->epoch, lost->lsn, op_idx);
        *ret_rid = rid_number(place->lsn, place->op_idx, (unsigned)(p - c->first_pid));
        key_item(&pk, c->path_count, id, out_key);
        write_record(s, c, &l, id, item_id, *ret_rid, out_text);
        is_fine = buf_ok(out_text) && buf_ok(out_key);
    }
    arena_done(&a);
    return is_fine;
}

/* A lost version as the next one of the item that is there: its number stays, etag and _ts are new. */
bool cosmos_conflict_apply(struct cosmos_service *s, pid p, const struct entry_op *lost,
                           const struct engine_doc *now, const struct write_place *place,
                           struct buf *out_text)
{
    const struct container *c = s->catalog ? catalog_by_pid(s->catalog, p) : NULL;
    struct arena a;
    const struct json *doc = NULL;
    arena_init(&a);
    bool is_fine = c && !lost->is_delete &&
                   json_parse(&a, lost->doc.text, NULL, &doc, NULL) == OK &&
                   doc->type == JSON_OBJECT;
    if (is_fine) {
        struct buf base;
        buf_init(&base, ENGINE_DOC_SIZE_MAX);
        bool has_members = json_text_without(&base, doc, system_keys, system_key_count) > 0;
        item_text_write(c, buf_str(&base), has_members, now->rid, place, out_text);
        is_fine = buf_ok(&base) && buf_ok(out_text);
        buf_done(&base);
    }
    arena_done(&a);
    return is_fine;
}

/* ---- list and query ---- */

void conflicts_feed(struct op *op)
{
    struct errinfo ei = {0};
    struct feed *f = ARENA_NEW(&op->req->arena, struct feed);
    f->feed_key = "Conflicts";
    enum err err = feed_over_container(op, f, SPACE_CONFLICT, &ei);
    if (err == OK && str_eq(op->req->method, STR("POST"))) {
        err = feed_compile_body(op, f, &ei);
    } else if (err == OK) {
        f->is_feed = true;
        err = query_compile(&op->req->arena, STR("SELECT * FROM c"), NULL, NULL, &f->query, &ei);
    }
    if (err != OK) {
        feed_fail(op, f, err, &ei);
        return;
    }
    feed_run(op, f);
}

/* ---- one record ---- */

struct conflict_op {
    struct write_user user;
    struct region_write w;
    struct write_op wop;
    struct str id;
    struct str text;
    bool is_found;
};

static void delete_prepare(struct region_write *w, size_t i, const struct write_place *place,
                           const struct engine_doc *current, struct write_plan *ret)
{
    UNUSED(i);
    UNUSED(place);
    struct conflict_op *c = CONTAINER_OF(w, struct conflict_op, w);
    c->is_found = current != NULL;
    *ret = (struct write_plan){.action = current ? WRITE_DELETE : WRITE_REJECT};
}

static void delete_done(struct region_write *w)
{
    struct conflict_op *c = CONTAINER_OF(w, struct conflict_op, w);
    struct op *op = c->user.op;
    struct errinfo ei = {0};
    op->token_lsn = w->err == OK ? w->lsn : 0;
    if (w->err == OK) {
        op_charge_write(op, 100, 0);
        op_answer(op, 204, NULL);
    } else if (w->err == ERR_PRECONDITION) {
        op_fail_with(op, 404, 0, "Entity with the specified id does not exist in the system.");
    } else {
        err_set(&ei, w->err, "%s", err_text(w->err));
        op_fail(op, &ei);
    }
}

static enum err find(struct op *op, struct conflict_op *c, size_t ordinal, struct str key,
                     struct errinfo *ei)
{
    struct engine_doc doc;
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_KEY_SIZE_MAX);
    enum err err = engine_get(op->service->engine, NULL, op->coll->parts[ordinal]->pid,
                              SPACE_CONFLICT, key, true, &hold, &doc, ei);
    if (err == OK) {
        c->is_found = true;
        c->text = arena_str(&op->req->arena, doc.text);
    }
    buf_done(&hold);
    return err == OK || err == ERR_NOT_FOUND
               ? OK
               : op_note_unreadable(op, op->coll->parts[ordinal]->pid, ei);
}

/* Without a partition key every record is looked at: rare, and the feed is small. */
static enum err find_everywhere(struct op *op, struct conflict_op *c, struct errinfo *ei)
{
    for (size_t i = 0; i < op->coll->part_count && !c->is_found; i++) {
        struct engine_row row;
        struct engine_iter *it = engine_scan(op->service->engine, NULL, op->coll->parts[i]->pid,
                                             SPACE_CONFLICT, STR(""), STR(""));
        while (!c->is_found && engine_iter_next(it, &row)) {
            struct pk pk;
            struct str id;
            if (key_split(row.key, op->coll->path_count, &pk, &id, &op->req->arena) &&
                str_eq(id, c->id)) {
                c->is_found = true;
                c->text = arena_str(&op->req->arena, row.doc.text);
            }
        }
        enum err err = engine_iter_err(it, ei);
        engine_iter_free(it);
        if (err != OK) {
            return op_note_unreadable(op, op->coll->parts[i]->pid, ei);
        }
    }
    return OK;
}

static void read_run(struct op *op)
{
    struct conflict_op *c = op->state;
    struct errinfo ei = {0};
    struct item_op it = {.coll = op->coll, .pk = op->pk, .id = c->id};
    enum err err;
    if (op->has_pk) {
        item_op_key(&op->req->arena, &it);
        err = find(op, c, it.ordinal, it.key, &ei);
    } else {
        err = find_everywhere(op, c, &ei);
    }
    if (err == OK && !op_is_readable(op, 0, op->coll->part_count)) {
        err = err_set(&ei, ERR_UNAVAILABLE, "this range cannot be read here now");
    } else if (err == OK && op_check_lease(op) != OK) {
        err = err_set(&ei, op_check_lease(op), "this region holds no lease now");
    }
    if (err != OK) {
        op_fail(op, &ei);
    } else if (!c->is_found) {
        op_fail_with(op, 404, 0, "Entity with the specified id does not exist in the system.");
    } else {
        op_charge_read(op, c->text.n);
        op_header(op, STR("etag"), etag_of_text(&op->req->arena, c->text));
        op_answer_str(op, 200, c->text);
    }
}

void conflicts_item(struct op *op, struct str id)
{
    struct errinfo ei = {0};
    struct arena *a = &op->req->arena;
    bool is_delete = str_eq(op->req->method, STR("DELETE"));
    struct conflict_op *c = ARENA_NEW(a, struct conflict_op);
    c->id = id;
    enum err err = op_read_pk(op, is_delete, false, &ei);
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    if (!is_delete && !str_eq(op->req->method, STR("GET"))) {
        op_fail_with(op, 405, 0, "a conflict record can be read and deleted");
        return;
    }
    op->state = c;
    if (!is_delete) {
        op_gate(op, 0, op->coll->part_count, read_run);
        return;
    }
    struct item_op it = {.coll = op->coll, .pk = op->pk, .id = id};
    item_op_key(a, &it);
    c->user = (struct write_user){delete_done, op};
    c->wop = (struct write_op){.space = SPACE_CONFLICT, .key = it.key};
    c->w = (struct region_write){.pid = op->coll->parts[it.ordinal]->pid,
                                 .op_count = 1,
                                 .ops = &c->wop,
                                 .prepare = delete_prepare,
                                 .user = &c->user};
    op->token_ordinal = it.ordinal;
    submit_write(op, &c->w);
}
