/* A client's write becomes a log entry.
 *
 *   look up the current version of each document (overlay, else engine)
 *   -> ask the preparer, operation by operation, each seeing what the ones before decided
 *   -> check unique keys -> encode the entry once -> append (log, documents, indexes, tail)
 *
 * Nothing is changed before the last step, so every error means "not applied". A decision that
 * changes nothing (a rejected precondition, say) rests on versions that may not be acknowledged
 * yet; its answer waits for those (order_res.need), else a client could learn of a document that a
 * failover then takes away. */
#include <string.h>

#include "base/contract.h"
#include "repl/repl_int.h"

enum { ORDER_ROUNDS_MAX = 1 + BATCH_OPS_MAX * ENGINE_UNIQUE_MAX, KEEP_HOLD_SIZE = 256 << 10 };

struct order {
    struct repl *R;
    struct partition *p;
    const struct order_req *req;
    struct order_res *res;
    struct write_place place;
    uint64_t now_s;          /* what has expired, see repl_set_clock_ahead */
    struct current *current; /* per operation of the request, before the write */
    struct entry_op *ops;    /* planned so far */
    size_t op_count;
    size_t size;
    lsn seen;
    /* An expired document that holds a unique key this write wants. */
    struct msg_key expired;
};

/* ---- lookup ---- */

static enum err look_up(struct order *o, enum engine_space space, struct str key, struct buf *hold,
                        struct current *ret)
{
    struct partition *p = o->p;
    struct current c = {0};
    const struct ov_node *n = ov_find(p, space, key, ov_hash(space, key));
    if (n != NULL) {
        c.exists = !n->is_absent;
        c.seen = n->lsn;
        if (c.exists) {
            c.doc = n->doc;
        }
        *ret = c;
        return OK;
    }
    struct errinfo ei = {0};
    buf_clear(hold);
    enum err e = engine_get(o->R->engine, NULL, p->pid, space, key, /* want_text= */ true, hold,
                            &c.doc, &ei);
    if (e == OK) {
        c.exists = true;
        c.seen = c.doc.version.lsn;
    } else if (e == ERR_NOT_FOUND) {
        /* A delete that is durable here but not acknowledged everywhere leaves no version. */
        c.seen = o->p->mode->is_strong || p->pid == 0 ? p->tail.lsn : 0;
    } else {
        part_corrupt(p, "document", &ei);
        return e;
    }
    *ret = c;
    return OK;
}

static bool is_expired(const struct order *o, const struct engine_doc *d)
{
    return d->version.expire_at != 0 && d->version.expire_at <= o->now_s;
}

/* Latest planned operation of this write on the key, or NULL. */
static const struct entry_op *planned(const struct order *o, enum engine_space space,
                                      struct str key)
{
    for (size_t i = o->op_count; i-- > 0;) {
        if (o->ops[i].space == space && str_eq(o->ops[i].key, key)) {
            return &o->ops[i];
        }
    }
    return NULL;
}

/* What the preparer sees: NULL when absent or expired. */
static const struct engine_doc *visible(const struct order *o, size_t i)
{
    const struct entry_op *mine = planned(o, o->req->ops[i].space, o->req->ops[i].key);
    if (mine != NULL) {
        return mine->is_delete ? NULL : &mine->doc;
    }
    const struct current *c = &o->current[i];
    return c->exists && !is_expired(o, &c->doc) ? &c->doc : NULL;
}

/* The version whose index rows the new one replaces: also an expired one. */
static struct engine_version replaced(const struct order *o, size_t i)
{
    const struct entry_op *mine = planned(o, o->req->ops[i].space, o->req->ops[i].key);
    if (mine != NULL) {
        struct engine_version none = {0};
        return mine->is_delete ? none : mine->doc.version;
    }
    const struct current *c = &o->current[i];
    return c->exists ? c->doc.version : (struct engine_version){0};
}

/* ---- unique keys ---- */

/* Key of the document that holds `unique` now, before this write; empty = free. */
static enum err unique_owner(struct order *o, struct str unique, struct str *ret)
{
    const struct ov_node *n = ov_find(o->p, UNIQUE_SPACE, unique, ov_hash(UNIQUE_SPACE, unique));
    if (n != NULL) {
        *ret = n->is_absent ? STR_NONE : n->owner;
        o->seen = n->lsn > o->seen ? n->lsn : o->seen;
        return OK;
    }
    struct buf key;
    struct errinfo ei = {0};
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    enum err e = engine_unique_get(o->R->engine, NULL, o->p->pid, unique, &key, &ei);
    if (e == OK) {
        *ret = arena_str(&o->R->arena, buf_str(&key));
    } else if (e == ERR_NOT_FOUND) {
        *ret = STR_NONE;
        e = OK;
    } else {
        part_corrupt(o->p, "unique key", &ei);
    }
    buf_done(&key);
    return e;
}

static bool version_holds(const struct engine_version *v, struct str unique)
{
    for (size_t i = 0; i < v->unique_count; i++) {
        if (str_eq(v->uniques[i], unique)) {
            return true;
        }
    }
    return false;
}

/* OK, ERR_EXISTS, or ERR_NOT_FOUND with o->expired set: remove that document first. */
static enum err check_unique(struct order *o, struct str key, struct str unique)
{
    /* Operations of this write, newest first: they decide about the documents they touch. */
    for (size_t i = o->op_count; i-- > 0;) {
        const struct entry_op *op = &o->ops[i];
        if (op->space == SPACE_ITEM && !op->is_delete && !str_eq(op->key, key) &&
            planned(o, SPACE_ITEM, op->key) == op && version_holds(&op->doc.version, unique)) {
            return ERR_EXISTS;
        }
    }
    struct str owner = STR_NONE;
    TRY(unique_owner(o, unique, &owner));
    if (owner.n == 0 || str_eq(owner, key) || planned(o, SPACE_ITEM, owner) != NULL) {
        return OK; /* a document planned here was judged above by its new version */
    }
    struct current c;
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8));
    enum err e = look_up(o, SPACE_ITEM, owner, &hold, &c);
    if (e == OK && c.exists && version_holds(&c.doc.version, unique)) {
        o->seen = c.seen > o->seen ? c.seen : o->seen;
        if (is_expired(o, &c.doc)) {
            o->expired = (struct msg_key){SPACE_ITEM, owner};
            e = ERR_NOT_FOUND;
        } else {
            e = ERR_EXISTS;
        }
    }
    buf_done(&hold);
    return e;
}

/* ---- planning ---- */

static enum err check_limits(struct order *o, const struct write_op *op,
                             const struct write_plan *plan)
{
    if (plan->text.n > ENGINE_DOC_SIZE_MAX || plan->unique_count > ENGINE_UNIQUE_MAX) {
        return ERR_LIMIT;
    }
    o->size += ENTRY_OP_OVERHEAD_MAX + op->key.n + plan->text.n;
    for (size_t i = 0; i < plan->unique_count; i++) {
        if (plan->uniques[i].n == 0 || plan->uniques[i].n > ENGINE_KEY_SIZE_MAX) {
            return ERR_LIMIT;
        }
        o->size += 4 + plan->uniques[i].n;
    }
    return OK;
}

static enum err plan_put(struct order *o, size_t i, const struct write_plan *plan)
{
    const struct write_op *op = &o->req->ops[i];
    for (size_t u = 0; u < plan->unique_count; u++) {
        enum err e = op->space == SPACE_ITEM ? check_unique(o, op->key, plan->uniques[u]) : OK;
        if (e == ERR_EXISTS) {
            o->res->failed_op = i;
            o->res->conflicting_unique = plan->uniques[u];
        }
        if (e != OK) {
            return e;
        }
    }
    struct entry_op *e = &o->ops[o->op_count];
    *e = (struct entry_op){.space = op->space, .key = op->key, .old = replaced(o, i)};
    e->doc = (struct engine_doc){
        .version = {.lsn = o->place.lsn,
                    .op_idx = o->place.op_idx,
                    .expire_at = plan->expire_at,
                    .unique_count = plan->unique_count,
                    .uniques = plan->uniques,
                    .doc_size = plan->text.n},
        .epoch = o->place.epoch,
        .rid = plan->rid,
        .ts = o->place.ts,
        .hlc = o->place.hlc,
        .origin = o->place.origin,
        .text = plan->text,
    };
    o->op_count++;
    return OK;
}

static enum err plan_op(struct order *o, size_t i)
{
    const struct write_op *op = &o->req->ops[i];
    struct write_plan plan = {.action = WRITE_REJECT};
    o->place.op_idx = (uint16_t)o->op_count;
    o->req->prepare(o->req->ctx, i, &o->place, visible(o, i), &plan);
    switch (plan.action) {
    case WRITE_NONE:
        return OK;
    case WRITE_REJECT:
        o->res->failed_op = i;
        return ERR_PRECONDITION;
    case WRITE_PUT:
        TRY(check_limits(o, op, &plan));
        return plan_put(o, i, &plan);
    case WRITE_DELETE:
        o->size += ENTRY_OP_OVERHEAD_MAX + op->key.n;
        if (replaced(o, i).lsn == 0) {
            return OK; /* nothing is there: nothing to write */
        }
        o->ops[o->op_count] = (struct entry_op){
            .is_delete = true, .space = op->space, .key = op->key, .old = replaced(o, i)};
        o->op_count++;
        return OK;
    }
    UNREACHABLE();
}

/* ---- writing ---- */

static void size_of_old(struct order *o)
{
    for (size_t i = 0; i < o->op_count; i++) {
        const struct engine_version *v = &o->ops[i].old;
        for (size_t u = 0; u < v->unique_count; u++) {
            o->size += 4 + v->uniques[u].n;
        }
    }
}

static void write_entry(struct order *o)
{
    struct repl *R = o->R;
    struct entry e = {
        .kind = ENTRY_WRITE,
        .reason = o->req->reason,
        .lsn = o->place.lsn,
        .hlc = o->place.hlc,
        .ts = o->place.ts,
        .op_count = o->op_count,
        .ops = o->ops,
    };
    entry_set_lost_place(&e, &o->req->about);
    part_write(o->p, &e);
    R->stats.entries_ordered++;
    o->res->lsn = e.lsn;
    o->res->epoch = e.epoch;
    o->res->need = e.lsn;
    o->res->size = R->scratch.n;
}

static enum err order_once(struct order *o)
{
    struct repl *R = o->R;
    struct partition *p = o->p;
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    int64_t ahead_ms = R->clock_ahead_ms > 0 ? R->clock_ahead_ms : 0;
    o->now_s = wall_ms > ahead_ms ? (uint64_t)(wall_ms - ahead_ms) / 1000 : 0;
    o->place = (struct write_place){
        .pid = p->pid,
        .epoch = p->mode->epoch,
        .lsn = p->tail.lsn + 1,
        .hlc = repl_next_hlc(R, wall_ms),
        .ts = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0,
        .origin = R->self,
        .is_single_region = (p->mode->all_mask & (p->mode->all_mask - 1)) == 0,
        .token_version = p->mode->token_version,
    };
    if (o->place.lsn >= p->mode->lsn_limit) {
        return ERR_UNAVAILABLE;
    }
    o->op_count = 0;
    o->size = ENTRY_HEADER_SIZE;
    o->seen = 0;
    for (size_t i = 0; i < o->req->op_count; i++) {
        const struct write_op *op = &o->req->ops[i];
        if (op->key.n == 0 || op->key.n > ENGINE_KEY_SIZE_MAX) {
            return ERR_LIMIT;
        }
        struct current *c = &o->current[i];
        TRY(look_up(o, op->space, op->key, &R->holds[i], c));
        o->seen = c->seen > o->seen ? c->seen : o->seen;
        if (c->exists && c->doc.ts > o->place.ts) {
            o->place.ts = c->doc.ts;
        }
        if (c->exists && c->doc.hlc >= o->place.hlc) {
            o->place.hlc = c->doc.hlc + 1;
        }
    }
    o->res->need = o->seen;
    for (size_t i = 0; i < o->req->op_count; i++) {
        enum err e = plan_op(o, i);
        if (e != OK) {
            o->res->need = o->seen;
            return e;
        }
    }
    if (o->op_count == 0) {
        return OK;
    }
    size_of_old(o);
    if (o->size > ENGINE_ENTRY_SIZE_MAX) {
        return ERR_LIMIT;
    }
    write_entry(o);
    return OK;
}

enum err repl_order(struct repl *R, struct partition *p, const struct order_req *req,
                    struct order_res *res)
{
    ASSERT(p->mode->kind == REPL_WRITER);
    ASSERT(!p->is_dropped);
    ASSERT(req->op_count >= 1 && req->op_count <= BATCH_OPS_MAX);
    *res = (struct order_res){0};
    if (p->tail.epoch != p->mode->epoch || p->mode->is_holding || p->is_corrupt) {
        return ERR_UNAVAILABLE;
    }
    arena_reset(&R->arena);
    struct order o = {
        .R = R,
        .p = p,
        .req = req,
        .res = res,
        .current = ARENA_NEW_ARRAY(&R->arena, struct current, req->op_count),
        .ops = ARENA_NEW_ARRAY(&R->arena, struct entry_op, req->op_count),
    };
    enum err e = OK;
    for (size_t round = 0; round < ORDER_ROUNDS_MAX; round++) {
        o.expired = (struct msg_key){0};
        e = order_once(&o);
        if (e != ERR_NOT_FOUND || o.expired.key.n == 0) {
            break;
        }
        e = ttl_delete(p, &o.expired, 1);
        if (e != OK) {
            break;
        }
    }
    for (size_t i = 0; i < req->op_count; i++) {
        if (R->holds[i].cap > KEEP_HOLD_SIZE) {
            size_t max = R->holds[i].max;
            buf_done(&R->holds[i]);
            buf_init(&R->holds[i], max);
        }
    }
    return e;
}
