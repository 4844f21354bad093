/* Delete by partition key: all items that a logical partition holds when the request arrives.
 *
 * Slices of at most one write's operations: keys are read on the worker thread, deletes decided in log
 * order. An item written after the request began is kept. Not one transaction: what was deleted when a
 * slice fails stays deleted, and the client is told of the failure and may repeat the request. */
#include <string.h>

#include "base/contract.h"
#include "cosmos/items.h"

struct purge {
    struct write_user user; /* first */
    struct region_write w;
    struct write_op ops[BATCH_OPS_MAX];
    struct op *op;
    struct str from, to; /* engine keys */
    pid pid;
    lsn upto; /* versions above it are kept */
    lsn top;
    size_t count; /* deleted so far */
};

static void purge_prepare(struct region_write *w, size_t i, const struct write_place *place,
                          const struct engine_doc *current, struct write_plan *ret)
{
    struct purge *p = CONTAINER_OF(w, struct purge, w);
    UNUSED(i);
    UNUSED(place);
    bool is_old = current && current->version.lsn <= p->upto;
    *ret = (struct write_plan){.action = is_old ? WRITE_DELETE : WRITE_NONE};
}

static void purge_slice(struct op *op, enum err err);

static void purge_done(struct region_write *w)
{
    struct purge *p = CONTAINER_OF(w, struct purge, w);
    struct errinfo ei = {0};
    if (w->err != OK) {
        err_set(&ei, w->err, "%s; %zu items were deleted", err_text(w->err), p->count);
        op_fail(p->op, &ei);
        return;
    }
    p->count += w->op_count;
    p->top = w->lsn > p->top ? w->lsn : p->top;
    op_later(p->op, purge_slice);
}

/* Keys of the next slice; the place to go on from is the key after the last one. */
static enum err read_slice(struct op *op, struct purge *p, struct errinfo *ei)
{
    struct engine_row row;
    struct engine_iter *it =
        engine_scan(op->service->engine, NULL, p->pid, SPACE_ITEM, p->from, p->to);
    size_t n = 0;
    while (n < BATCH_OPS_MAX && engine_iter_next(it, &row)) {
        if (row.doc.version.lsn <= p->upto) {
            p->ops[n++] =
                (struct write_op){.space = SPACE_ITEM, .key = arena_str(&op->req->arena, row.key)};
        }
    }
    enum err err = engine_iter_err(it, ei);
    engine_iter_free(it);
    if (n > 0) {
        p->from = arena_printf(&op->req->arena, STR_FMT "%c", STR_ARG(p->ops[n - 1].key), '\0');
    }
    p->w.op_count = n;
    return err;
}

static void purge_slice(struct op *op, enum err err)
{
    struct purge *p = op->state;
    struct errinfo ei = {0};
    UNUSED(err);
    if (read_slice(op, p, &ei) != OK) {
        op_fail(op, &ei);
        return;
    }
    if (p->w.op_count == 0) {
        op->charge = 5.0 + (double)p->count;
        op->token_lsn = p->top;
        op_answer(op, 200, NULL);
        return;
    }
    struct region_write fresh = {.pid = p->pid,
                                 .op_count = p->w.op_count,
                                 .ops = p->ops,
                                 .prepare = purge_prepare,
                                 .reason = REASON_PURGE,
                                 .user = &p->user};
    p->w = fresh;
    submit_write(op, &p->w);
}

void items_purge(struct op *op)
{
    struct errinfo ei = {0};
    struct arena *a = &op->req->arena;
    if (!str_eq(op->req->method, STR("POST"))) {
        op_fail_with(op, 405, 0, "deleting by partition key is a POST");
        return;
    }
    if (op_read_pk(op, true, false, &ei) != OK) {
        op_fail(op, &ei);
        return;
    }
    struct purge *p = ARENA_NEW(a, struct purge);
    struct buf key;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    struct item_op any = {.coll = op->coll, .pk = op->pk, .id = STR("")};
    item_op_key(a, &any); /* the range that has the key */
    p->user = (struct write_user){purge_done, op};
    p->op = op;
    p->from = any.key;
    key_after(any.key, &key);
    p->to = arena_str(a, buf_str(&key));
    buf_done(&key);
    p->pid = op->coll->parts[any.ordinal]->pid;
    p->upto = atomic_load(&op->coll->parts[any.ordinal]->applied_lsn);
    op->token_ordinal = any.ordinal;
    op->state = p;
    op_later(op, purge_slice);
}
