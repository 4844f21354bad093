/* Transactional batch and bulk: one body of operations, answered one by one.
 *
 * A batch is one write: all or nothing, one logical partition. Bulk makes one write per operation, all
 * in flight at once; they succeed or fail one by one. Completions come on the core thread, or on the
 * submitting one when the core's queue is full; whoever counts `pending` down to 0 answers. */
#include <stdatomic.h>
#include <string.h>

#include "base/contract.h"
#include "cosmos/items.h"

struct batch {
    struct op *op;
    size_t count;
    _Atomic size_t pending; /* bulk: writes that are out, and 1 while they are being submitted */
    bool stops_at_failure;  /* bulk: one after the other, the rest is left out */
    size_t next;            /* bulk, stops_at_failure: the operation to do next */
    struct item_op **items;
    struct {
        int status, substatus;
        const char *message;
    } * results;
    bool is_atomic;
    _Atomic lsn top;
    size_t answer_left; /* core thread: see item_write */
};

static void add_result(struct json_out *o, struct batch *b, size_t i, double *charge)
{
    const struct item_op *it = b->items[i];
    int status = b->results[i].status;
    double cost = 1.0 + (double)it->size / 1024.0 * 5.0;
    *charge += cost;
    json_out_object(o);
    json_out_member_i64(o, "statusCode", status);
    if (b->results[i].substatus != 0) {
        json_out_member_i64(o, "subStatusCode", b->results[i].substatus);
    }
    json_out_key(o, "requestCharge");
    json_out_double(o, status == 424 ? 0 : cost);
    if (status == 429) {
        json_out_member_i64(o, "retryAfterMilliseconds",
                            b->op->throttled_ms > 0 ? b->op->throttled_ms : 20);
    }
    if (status < 300) {
        if (it->etag.n > 0) {
            json_out_member_str(o, "eTag", it->etag);
        }
        if (it->text.n > 0) {
            json_out_key(o, "resourceBody");
            json_out_raw(o, it->text);
        }
    } else if (b->results[i].message) {
        json_out_member_cstr(o, "message", b->results[i].message);
    }
    json_out_object_end(o);
}

static void batch_answer(struct batch *b)
{
    struct op *op = b->op;
    struct buf body;
    struct json_out o;
    bool has_failed = false;
    buf_init(&body, 64 << 20);
    json_out_init(&o, &body);
    json_out_array(&o);
    for (size_t i = 0; i < b->count; i++) {
        add_result(&o, b, i, &op->charge);
        has_failed = has_failed || b->results[i].status >= 300;
    }
    json_out_array_end(&o);
    op->token_ordinal = b->count > 0 ? b->items[0]->ordinal : 0;
    op->token_lsn = b->top;
    op_answer(op, has_failed ? 207 : 200, &body);
    buf_done(&body);
}

static void atomic_done(struct region_write *w)
{
    struct item_write *iw = CONTAINER_OF(w, struct item_write, w);
    struct batch *b = iw->owner;
    bool is_decided = w->err == OK || w->err == ERR_PRECONDITION || w->err == ERR_EXISTS;
    if (!is_decided) { /* says something about the region, not about an operation */
        int status;
        int substatus;
        const char *message;
        item_write_failed(w, b->items[0], &status, &substatus, &message);
        b->op->token_ordinal = b->items[0]->ordinal;
        op_fail_with(b->op, status, substatus, "%s", message);
        return;
    }
    b->top = w->lsn;
    for (size_t i = 0; i < b->count; i++) {
        b->results[i].status = w->err == OK ? b->items[i]->status : 424;
        b->results[i].substatus = 0;
    }
    if (w->err != OK) {
        ASSERT(w->failed_op < b->count);
        item_write_failed(w, b->items[w->failed_op], &b->results[w->failed_op].status,
                          &b->results[w->failed_op].substatus, &b->results[w->failed_op].message);
    }
    batch_answer(b);
}

static size_t bulk_note(struct region_write *w)
{
    struct item_write *iw = CONTAINER_OF(w, struct item_write, w);
    struct batch *b = iw->owner;
    size_t i = 0;
    while (b->items[i] != iw->ops[0]) {
        i++;
    }
    if (w->err != OK) {
        item_write_failed(w, iw->ops[0], &b->results[i].status, &b->results[i].substatus,
                          &b->results[i].message);
        return i;
    }
    b->results[i].status = iw->ops[0]->status;
    lsn top = atomic_load(&b->top);
    while (w->lsn > top && !atomic_compare_exchange_weak(&b->top, &top, w->lsn)) {
        /* top was reloaded */
    }
    return i;
}

/* After the last one the request, and `b` with it, is gone. */
static void bulk_leave(struct batch *b)
{
    if (atomic_fetch_sub(&b->pending, 1) == 1) {
        batch_answer(b);
    }
}

static void bulk_done(struct region_write *w)
{
    (void)bulk_note(w);
    bulk_leave(CONTAINER_OF(w, struct item_write, w)->owner);
}

static bool parse_kind(struct str s, enum item_kind *ret)
{
    static const struct {
        const char *name;
        enum item_kind kind;
    } kinds[] = {{"Create", ITEM_CREATE}, {"Upsert", ITEM_UPSERT}, {"Replace", ITEM_REPLACE},
                 {"Delete", ITEM_DELETE}, {"Patch", ITEM_PATCH},   {"Read", ITEM_READ}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        if (str_eq_nocase(s, str_of(kinds[i].name))) {
            *ret = kinds[i].kind;
            return true;
        }
    }
    return false;
}

static enum err parse_operation(struct op *op, const struct json *v, struct item_op *it,
                                struct errinfo *ei)
{
    struct arena *a = &op->req->arena;
    struct str kind = STR("");
    struct str pk_text = STR("");
    struct pk pk = op->pk;
    it->coll = op->coll;
    if (!json_get_str(v, STR("operationType"), &kind) || !parse_kind(kind, &it->kind)) {
        return err_set(ei, ERR_INVALID, "an operation has no known operationType");
    }
    (void)json_get_str(v, STR("id"), &it->id);
    (void)json_get_str(v, STR("ifMatch"), &it->if_match);
    (void)json_get_str(v, STR("ifNoneMatch"), &it->if_none_match);
    if (json_get_str(v, STR("partitionKey"), &pk_text)) {
        struct pk own;
        TRY(pk_parse(a, pk_text, &own, ei));
        if (op->has_pk && !pk_eq(&own, &op->pk)) {
            return err_set(ei, ERR_INVALID,
                           "all operations of a batch must name the same partition key");
        }
        pk = own;
    }
    const struct json *body = json_get(v, STR("resourceBody"));
    bool has_document =
        it->kind == ITEM_CREATE || it->kind == ITEM_UPSERT || it->kind == ITEM_REPLACE;
    if ((has_document || it->kind == ITEM_PATCH) && (!body || body->type == JSON_NULL)) {
        return err_set(ei, ERR_INVALID, "an operation has no resourceBody");
    }
    if (has_document) {
        return item_op_document(a, it, body, &pk, ei);
    }
    if (pk.count != op->coll->path_count) {
        return err_set(ei, ERR_INVALID, "an operation needs a full partition key");
    }
    TRY(op_check_id(it->id, true, ei));
    it->pk = pk;
    item_op_key(a, it);
    if (it->kind == ITEM_PATCH) {
        TRY(item_op_patch(a, it, body, ei));
    }
    return OK;
}

static enum err parse_all(struct op *op, const struct json *body, struct batch *b,
                          struct errinfo *ei)
{
    struct arena *a = &op->req->arena;
    if (body->type != JSON_ARRAY || body->count == 0) {
        return err_set(ei, ERR_INVALID, "the batch must be an array of operations");
    }
    if (body->count > BATCH_OPS_MAX) {
        return err_set(ei, ERR_INVALID, "a batch may have %d operations, this one has %zu",
                       BATCH_OPS_MAX, body->count);
    }
    b->count = body->count;
    b->items = ARENA_NEW_ARRAY(a, struct item_op *, b->count);
    b->results = arena_zalloc(a, sizeof(*b->results) * b->count);
    for (size_t i = 0; i < b->count; i++) {
        b->items[i] = ARENA_NEW(a, struct item_op);
        struct errinfo why = {0};
        enum err err = parse_operation(op, body->items[i], b->items[i], &why);
        if (err != OK && b->is_atomic) {
            return err_set(ei, err, "operation %zu: %s", i, why.message);
        }
        if (err != OK) { /* bulk: this one fails alone */
            b->results[i].status = err_http_status(err);
            b->results[i].substatus = b->items[i]->substatus;
            b->results[i].message = arena_cstr(a, str_of(why.message));
        }
    }
    return OK;
}

static void start_bulk(struct batch *b)
{
    struct op *op = b->op;
    struct item_write **writes = ARENA_NEW_ARRAY(&op->req->arena, struct item_write *, b->count);
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->results[i].status == 0) {
            writes[n] = item_write_new(op, &b->items[i], 1, bulk_done);
            writes[n]->answer_left = &b->answer_left;
            writes[n++]->owner = b;
        }
    }
    /* From the first submit on the arena belongs to the core thread. */
    atomic_store(&b->pending, n + 1);
    for (size_t i = 0; i < n; i++) {
        submit_write(op, &writes[i]->w);
    }
    bulk_leave(b);
}

static void ordered_done(struct region_write *w);

/* Bulk that stops at the first failure: the next operation is sent when the one before is known. */
static void ordered_next(struct op *op, enum err err)
{
    struct batch *b = op->state;
    UNUSED(err);
    bool has_failed = b->next > 0 && b->results[b->next - 1].status >= 300;
    if (!has_failed && b->next < b->count && b->results[b->next].status == 0) {
        struct item_write *iw = item_write_new(op, &b->items[b->next], 1, ordered_done);
        iw->owner = b;
        iw->answer_left = &b->answer_left;
        b->next++;
        submit_write(op, &iw->w);
        return;
    }
    if (!has_failed && b->next < b->count) { /* the next one was refused already */
        b->next++;
    }
    for (size_t i = b->next; i < b->count; i++) {
        b->results[i].status = 424;
        b->results[i].substatus = 0;
        b->results[i].message = NULL;
    }
    batch_answer(b);
}

static void ordered_done(struct region_write *w)
{
    (void)bulk_note(w);
    struct item_write *iw = CONTAINER_OF(w, struct item_write, w);
    op_later(iw->user.op, ordered_next);
}

/* Binary bodies (HybridRow) begin with a byte that no JSON text has. */
static bool is_binary(struct str body)
{
    return body.n > 0 && ((unsigned char)body.p[0] >= 0x7f || (unsigned char)body.p[0] < '\t');
}

void items_batch(struct op *op)
{
    struct errinfo ei = {0};
    struct batch *b = ARENA_NEW(&op->req->arena, struct batch);
    b->op = op;
    b->answer_left = PAGE_SIZE_MAX;
    b->is_atomic = op_flag(op, STR("x-ms-cosmos-batch-atomic"));
    const struct json *body = NULL;
    b->stops_at_failure =
        !b->is_atomic &&
        str_eq_nocase(http_header(op->req, STR("x-ms-cosmos-batch-continue-on-error")),
                      STR("false"));
    enum err err = is_binary(op->req->body)
                       ? err_set(&ei, ERR_UNSUPPORTED,
                                 "binary (HybridRow) batch bodies are not implemented; send JSON")
                       : OK;
    if (err == OK && b->is_atomic && op->req->body.n > ITEM_SIZE_MAX) {
        err = err_set(&ei, ERR_LIMIT, "Request size is too large: a batch may have %d bytes",
                      ITEM_SIZE_MAX);
    }
    struct str range = http_header(op->req, STR("x-ms-documentdb-partitionkeyrangeid"));
    uint64_t ordinal = 0;
    if (err == OK && range.n > 0 &&
        (!str_to_u64(range, &ordinal) || ordinal >= op->coll->part_count)) {
        op_fail_with(op, 410, 1002, "the partition key range does not exist");
        return;
    }
    if (err == OK) {
        err = op_read_pk(op, b->is_atomic, false, &ei);
    }
    if (err == OK) {
        err = op_body(op, &body, &ei);
    }
    if (err == OK) {
        err = parse_all(op, body, b, &ei);
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    if (b->is_atomic) {
        struct item_write *iw = item_write_new(op, b->items, b->count, atomic_done);
        iw->owner = b;
        iw->answer_left = &b->answer_left;
        submit_write(op, &iw->w);
    } else if (b->stops_at_failure) {
        op->state = b;
        ordered_next(op, OK);
    } else {
        start_bulk(b);
    }
}
