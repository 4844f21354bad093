/* divergedWrites = lww: the later of a lost version and the present one is the item, the other one is in the
 * conflict feed. Put by the writer in one entry: the item, and the record of the lost write, whose content is
 * what was replaced. That record is also how a repeat is recognised.
 *
 * Nothing is put unless it is clear that it should be; all else makes a record as under `feed`:
 *   - only the last version of the item in the suffix (LOST_LATEST), and only an acknowledged one;
 *   - never at Strong: a conditional write would take effect when its condition does not hold any more;
 *   - only where there is a present version: whether an absent item was deleted, and when, is not known;
 *   - no deletions: a lost one takes nothing away;
 *   - no part of a transaction, nothing that has expired or would break a unique key.
 * By `_ts`, then the hybrid clock. A version that was lost together with what it was based on is later than the
 * present one by that alone: both grow along a history. */
#include "base/contract.h"
#include "repl/repl_int.h"

struct lww {
    struct repl *R;
    struct partition *p;
    const struct lww_req *req;
    const struct entry_op *op; /* the lost one */
    struct engine_doc loser;   /* valid while the operations are planned */
    struct buf text, key, record;
};

static bool is_later(const struct entry_op *op, const struct engine_doc *now, uint64_t ts)
{
    bool is_expired = op->doc.version.expire_at != 0 && op->doc.version.expire_at <= ts;
    return now != NULL && !is_expired &&
           (op->doc.ts > now->ts || (op->doc.ts == now->ts && op->doc.hlc > now->hlc));
}

static bool plan_item(struct lww *l, const struct write_place *place,
                      const struct engine_doc *current, struct write_plan *ret)
{
    const struct engine_version *v = &l->op->doc.version;
    if (!is_later(l->op, current, place->ts)) {
        return false;
    }
    l->loser = *current;
    buf_clear(&l->text);
    if (!l->R->io.conflict_apply(l->R->io.ctx, l->p->pid, l->op, current, place, &l->text) ||
        !buf_ok(&l->text)) {
        return false;
    }
    *ret = (struct write_plan){
        .action = WRITE_PUT,
        .text = buf_str(&l->text),
        .rid = current->rid,
        .expire_at = v->expire_at == 0 ? 0 : place->ts + (v->expire_at - l->op->doc.ts),
        .unique_count = v->unique_count,
        .uniques = v->uniques,
    };
    return true;
}

/* The record of the lost write, with the version that it replaced as content. */
static bool plan_record(struct lww *l, const struct write_place *place,
                        const struct engine_doc *current, struct write_plan *ret)
{
    struct entry_op shown = *l->op;
    struct entry lost = *l->req->lost;
    struct conflict_note note = l->req->note;
    uint64_t rid = 0;
    shown.doc.text = l->loser.text;
    shown.doc.rid = l->loser.rid;
    shown.doc.version.expire_at = l->loser.version.expire_at;
    lost.ops = &shown;
    note.is_applied = true;
    buf_clear(&l->key);
    buf_clear(&l->record);
    if (current != NULL ||
        !l->R->io.conflict_build(l->R->io.ctx, l->p->pid, &lost, 0, &note, place, &l->key,
                                 &l->record, &rid) ||
        !buf_ok(&l->key) || !buf_ok(&l->record)) {
        return false;
    }
    *ret = (struct write_plan){.action = WRITE_PUT, .text = buf_str(&l->record), .rid = rid};
    return true;
}

static void prepare(void *ctx, size_t i, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    struct lww *l = (struct lww *)ctx;
    bool is_planned =
        i == 0 ? plan_item(l, place, current, ret) : plan_record(l, place, current, ret);
    if (!is_planned) {
        *ret = (struct write_plan){.action = WRITE_REJECT};
    }
}

enum err lww_put(struct partition *p, const struct lww_req *req, lsn *ret_at)
{
    struct repl *R = p->repl;
    const struct entry *lost = req->lost;
    if (lost->op_count != 1 || lost->reason != REASON_CLIENT || lost->ops[0].is_delete ||
        lost->ops[0].space != SPACE_ITEM || !req->note.was_acknowledged || p->mode->is_strong ||
        p->is_corrupt || p->pid == 0) {
        return ERR_PRECONDITION;
    }
    struct lww l = {.R = R, .p = p, .req = req, .op = &lost->ops[0]};
    struct write_op ops[] = {{SPACE_ITEM, l.op->key}, {SPACE_CONFLICT, req->key}};
    struct order_req order = {.op_count = ARRAY_COUNT(ops),
                              .ops = ops,
                              .reason = REASON_CONFLICT,
                              .prepare = prepare,
                              .ctx = &l,
                              .about = req->about};
    struct order_res res;
    buf_init(&l.text, ENGINE_DOC_SIZE_MAX);
    buf_init(&l.key, ENGINE_KEY_SIZE_MAX);
    buf_init(&l.record, ENGINE_DOC_SIZE_MAX);
    enum err e = repl_order(R, p, &order, &res);
    buf_done(&l.text);
    buf_done(&l.key);
    buf_done(&l.record);
    contract_trace("lww", e == OK, 0);
    if (e == OK) {
        ASSERT(res.lsn != 0);
        R->stats.lost_applied++;
        *ret_at = res.lsn;
    }
    return e == ERR_EXISTS || e == ERR_LIMIT ? ERR_PRECONDITION : e;
}
