/* The server's rule for reads, step by step, each step at a time of its own as on worker threads.
 *
 *   begin   the region serves reads here; at Strong and Bounded its lease is valid; the token is reached, else
 *           wait for it
 *   read    one snapshot: the data and the place (epoch, lsn) of the state it was read from
 *   settle  at Strong: wait until what was read is committed (the version's lsn when there is one,
 *           else the snapshot's: an absence is news as well)
 *   answer  everything is checked again: readable, lease, and that generation, epoch and token
 *           version are those of before (the log below the snapshot may have been cut meanwhile,
 *           and lsn of later epochs are higher than those of a suffix that is gone)
 *
 * What it does not do: hide expired documents (the simulator reads what is there). */
#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/history.h"

enum { READ_TRIES_MAX = 3, READ_DEADLINE_US = 3000000 };

static void step_read(struct node *n, void *ctx);
static void step_answer(struct node *n, void *ctx);

static void refuse(struct node *n, struct op *op, enum err err)
{
    ledger_answer(node_world(n), op, OUT_REFUSED, err);
}

struct later {
    struct node *n;
    struct op *op;
    node_call_fn *fn;
    uint64_t life;
};

static void later_fires(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(w);
    UNUSED(arg);
    struct later l = *(struct later *)ctx;
    mem_free(ctx);
    if (node_is_up(l.n) && node_life(l.n) == l.life) {
        node_post_call(l.n, l.fn, l.op);
    }
}

/* Another thread goes on a little later; a pause of the process may fall in between. */
static void later(struct node *n, struct op *op, node_call_fn *fn)
{
    struct world *w = node_world(n);
    if (draw_percent(&w->client_rng, 70)) {
        fn(n, op);
        return;
    }
    struct later *l = MEM_NEW(struct later);
    *l = (struct later){.n = n, .op = op, .fn = fn, .life = node_life(n)};
    world_at_owned(w, node_out_time(n) + rng_below(&w->client_rng, 2000), later_fires, l, 0);
}

static bool is_strong(const struct op *op)
{
    return op->level == CONSISTENCY_STRONG;
}

static bool needs_lease(const struct op *op)
{
    return op->level >= CONSISTENCY_BOUNDED_STALENESS;
}

/* No such container here, or no more: answered. */
static bool is_gone(struct node *n, struct op *op)
{
    if (node_has_part(n, op->pid)) {
        return false;
    }
    refuse(n, op, ERR_NOT_FOUND);
    return true;
}

/* false: answered with an error already. */
static bool may_serve(struct node *n, struct op *op, const struct part_view *view)
{
    if ((atomic_load(&view->flags) & PART_READABLE) == 0) {
        refuse(n, op, ERR_UNAVAILABLE);
        return false;
    }
    if (needs_lease(op) &&
        region_part_fresh_until(region_view(node_region(n)), view) <= node_boot_us(n)) {
        refuse(n, op, ERR_UNAVAILABLE);
        return false;
    }
    return true;
}

static void wait_for(struct node *n, struct op *op, int kind, lsn at, uint64_t version)
{
    op->wait = (struct region_wait){.pid = op->pid,
                                    .lsn = at,
                                    .token_version = version,
                                    .deadline_us = op->read_deadline,
                                    .user = op};
    op->wait.kind = kind == WAIT_COMMIT ? WAIT_COMMIT : WAIT_APPLIED;
    region_wait(node_region(n), &op->wait);
}

void reader_begin(struct node *n, void *ctx)
{
    struct op *op = ctx;
    if (is_gone(n, op)) {
        return;
    }
    if (op->read_deadline == 0) {
        op->read_deadline = node_boot_us(n) + READ_DEADLINE_US;
        enum consistency level = (enum consistency)atomic_load(&region_view(node_region(n))->level);
        op->level = op->has_asked_level ? op->level : level;
    }
    struct part_view *view = region_part(node_region(n), op->pid);
    if (!may_serve(n, op, view)) {
        return;
    }
    uint64_t version = atomic_load(&view->token_version);
    bool is_behind =
        op->token.version > version || (op->token.version >= atomic_load(&view->token_base) &&
                                        op->token.at.lsn > atomic_load(&view->applied_lsn));
    if (op->level >= CONSISTENCY_SESSION && is_behind) {
        op->read_step = 1;
        wait_for(n, op, WAIT_APPLIED, op->token.at.lsn, op->token.version);
        return;
    }
    later(n, op, step_read);
}

/* Reads key or logical partition, and the state's place, from one snapshot. */
static bool read_snapshot(struct node *n, struct op *op, lsn *ret_need)
{
    struct engine *e = node_engine(n);
    struct engine_snap *snap = engine_snap_get(e);
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    struct errinfo ei = {0};
    struct engine_part_meta m = {0};
    enum err err = engine_part_meta_get(e, snap, op->pid, &hold, &m, &ei);
    if (err == ERR_NOT_FOUND) {
        err = OK; /* nothing was ever written */
    }
    op->snapshot = (struct spot){m.tail_epoch, m.tail_lsn};
    *ret_need = m.tail_lsn;
    memset(op->values, 0, sizeof(op->values));
    if (err == OK && op->kind == OP_READ) {
        char key[OP_KEY_SIZE];
        size_t key_n = key_format(key, op->subs[0].key);
        struct engine_doc d;
        err = engine_get(e, snap, op->pid, SPACE_ITEM, str_make(key, key_n), true, &hold, &d, &ei);
        if (err == OK) {
            (void)text_parse(d.text, &op->values[op->subs[0].key]);
            *ret_need = d.version.lsn;
        } else if (err == ERR_NOT_FOUND) {
            err = OK;
        }
    } else if (err == OK) {
        struct str from = op->lp == 0 ? STR("a/") : STR("b/");
        struct str to = op->lp == 0 ? STR("a0") : STR("b0");
        struct engine_iter *it = engine_scan(e, snap, op->pid, SPACE_ITEM, from, to);
        struct engine_row row;
        while (engine_iter_next(it, &row)) {
            uint16_t key = 0;
            if (key_parse(row.key, &key)) {
                (void)text_parse(row.doc.text, &op->values[key]);
            }
        }
        err = engine_iter_err(it, &ei);
        engine_iter_free(it);
    }
    buf_done(&hold);
    engine_snap_release(e, snap);
    if (err != OK && engine_spoiled(e) == op->pid) {
        region_part_unreadable(node_region(n), op->pid, &ei);
        refuse(n, op, ERR_UNAVAILABLE);
        return false;
    }
    if (err != OK) {
        world_fail(node_world(n), "engine", "read in region %u: %s", node_id(n), ei.message);
        refuse(n, op, err);
        return false;
    }
    return true;
}

static void step_read(struct node *n, void *ctx)
{
    struct op *op = ctx;
    if (is_gone(n, op)) {
        return;
    }
    struct part_view *view = region_part(node_region(n), op->pid);
    op->read_version = atomic_load(&view->token_version);
    op->read_generation = atomic_load(&view->generation);
    op->read_epoch = atomic_load(&view->epoch);
    /* The flags again: between begin and here the partition may have become unreadable. */
    if (!may_serve(n, op, view)) {
        return;
    }
    lsn need = 0;
    if (!read_snapshot(n, op, &need)) {
        return;
    }
    if (is_strong(op) && need > atomic_load(&view->commit_lsn)) {
        op->read_step = 2;
        wait_for(n, op, WAIT_COMMIT, need, 0);
        return;
    }
    later(n, op, step_answer);
}

void reader_wait_done(struct node *n, struct op *op)
{
    if (op->wait.err != OK) {
        refuse(n, op, op->wait.err);
        return;
    }
    /* Never call the core from inside its callback. */
    node_post_call(n, op->read_step == 1 ? step_read : step_answer, op);
}

static void step_answer(struct node *n, void *ctx)
{
    struct op *op = ctx;
    if (is_gone(n, op)) {
        return;
    }
    struct part_view *view = region_part(node_region(n), op->pid);
    if (!may_serve(n, op, view)) {
        return;
    }
    bool has_changed = atomic_load(&view->token_version) != op->read_version ||
                       atomic_load(&view->generation) != op->read_generation ||
                       atomic_load(&view->epoch) != op->read_epoch;
    if (has_changed) {
        if (++op->read_tries > READ_TRIES_MAX) {
            refuse(n, op, ERR_UNAVAILABLE);
        } else {
            reader_begin(n, op);
        }
        return;
    }
    op->version = op->read_version;
    op->generation = op->read_generation;
    ledger_answer(node_world(n), op, OUT_OK, OK);
    check_read(node_world(n), op);
}
