/* Client writes and waiting reads.
 *
 *   region_write -> ordered at once, or held, or refused
 *   acknowledged by the quorum -> done list -> lease checked again -> answered in the flush
 *
 * The three answers never mix: refused (NOT_WRITER, UNAVAILABLE, BUSY) means no entry was ordered;
 * once one was, the answer is OK or UNKNOWN_OUTCOME. */
#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"

/* ---- answering ---- */

static void forget(struct region *r, struct region_write *w)
{
    wait_remove(&w->node);
    list_remove(&w->link);
    if (w->size > 0) {
        ASSERT(r->pending_size >= w->size && r->pending_count > 0);
        r->pending_size -= w->size;
        r->pending_count--;
        w->size = 0;
    }
}

static void finish(struct region *r, struct region_write *w, enum err err)
{
    forget(r, w);
    w->err = err;
    list_push_back(&r->done, &w->link);
}

/* What a write whose acknowledgement cannot come is told. */
static enum err unfinished(const struct region_write *w)
{
    if (!w->is_ordered) {
        return ERR_NOT_WRITER; /* its decision rested on something that is not certain */
    }
    return BUG(BUG_503_ON_UNKNOWN) ? ERR_UNAVAILABLE : ERR_UNKNOWN_OUTCOME;
}

static bool needs_lease(const struct region_write *w)
{
    return w->err == OK || w->err == ERR_PRECONDITION || w->err == ERR_EXISTS;
}

/* The lease under which the partition is written here. */
static bool lease_holds(const struct region *r, pid p)
{
    const struct part_ctl *c = r->part_ctl_count > 0 ? parts_ctl(r, p) : NULL;
    return c != NULL ? parts_lease_is_fresh(r, c) : region_lease_is_fresh(r);
}

void write_flush(struct region *r)
{
    struct list *l;
    while ((l = list_pop_front(&r->done)) != NULL) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        /* The second check (geo-semantics R2): the process may have slept since the first. */
        if (needs_lease(w) && !lease_holds(r, w->pid) && !BUG(BUG_LEASE_ON_ENTRY_ONLY)) {
            w->err = unfinished(w);
        }
        r->writes_ok += w->err == OK;
        r->writes_unknown += w->err == ERR_UNKNOWN_OUTCOME;
        r->writes_rejected += w->err == ERR_PRECONDITION || w->err == ERR_EXISTS;
        r->writes_refused +=
            w->err == ERR_NOT_WRITER || w->err == ERR_UNAVAILABLE || w->err == ERR_BUSY;
        r->writes_throttled += w->err == ERR_STALENESS_LIMIT;
        r->io.reply(r->io.ctx, w);
    }
    while ((l = list_pop_front(&r->waits_done)) != NULL) {
        struct region_wait *w = LIST_ENTRY(l, struct region_wait, link);
        r->io.wait_done(r->io.ctx, w);
    }
}

/* ---- ordering ---- */

static void prepare_adapter(void *ctx, size_t op_idx, const struct write_place *place,
                            const struct engine_doc *current, struct write_plan *ret)
{
    struct region_write *w = (struct region_write *)ctx;
    w->prepare(w, op_idx, place, current, ret);
}

static void order(struct region *r, struct region_write *w)
{
    struct partition *p = repl_find(r->repl, w->pid);
    if (p == NULL) {
        finish(r, w, ERR_UNAVAILABLE);
        return;
    }
    struct order_req req = {.op_count = w->op_count,
                            .ops = w->ops,
                            .reason = w->reason,
                            .prepare = prepare_adapter,
                            .ctx = w};
    struct order_res res;
    enum err e = repl_order(r->repl, p, &req, &res);
    w->failed_op = res.failed_op;
    w->conflicting_unique = res.conflicting_unique;
    if (e != OK && e != ERR_PRECONDITION && e != ERR_EXISTS) {
        finish(r, w, e);
        return;
    }
    w->lsn = res.lsn;
    w->epoch = res.lsn != 0 ? res.epoch : 0;
    w->token_version = r->rec->token_version;
    w->is_ordered = res.lsn != 0;
    w->verdict = e;
    w->generation = repl_part_mode(r->repl, w->pid)->generation;
    w->size = WRITE_OVERHEAD_SIZE + res.size;
    r->pending_size += w->size;
    r->pending_count++;
    list_push_back(&r->pending, &w->link);
    if (w->deadline_us < r->next_deadline_us) {
        r->next_deadline_us = w->deadline_us;
    }
    repl_wait_acked(p, &w->node, res.need);
}

/* Orders it, unless regions are so far behind that it has to wait or is refused. */
static void admit(struct region *r, struct region_write *w)
{
    bool is_first = w->throttle_until_us == 0;
    enum throttle_verdict v = throttle_check(r, w);
    contract_trace("throttle", (unsigned)v, w->throttle.is_by_ops);
    if (v == THROTTLE_GO) {
        order(r, w);
    } else if (v == THROTTLE_REFUSE || r->delayed_count >= HELD_MAX) {
        throttle_tell(r, w);
        finish(r, w, ERR_STALENESS_LIMIT);
    } else if (region_now(r) >= w->deadline_us) {
        finish(r, w, ERR_UNAVAILABLE); /* as a held one: the bound is not reached */
    } else {
        r->writes_delayed += is_first;
        list_push_back(&r->delayed, &w->link);
        r->delayed_count++;
    }
}

static bool is_held(const struct region *r, pid p)
{
    const struct part_ctl *c = r->part_ctl_count > 0 ? parts_ctl(r, p) : NULL;
    return c != NULL ? c->role == PROLE_HOLDING
                     : r->role == ROLE_HOLDING && !BUG(BUG_TRANSFER_BOTH);
}

static enum err refusal(const struct region *r, pid p)
{
    const struct part_ctl *c = r->part_ctl_count > 0 ? parts_ctl(r, p) : NULL;
    bool is_writer =
        c != NULL ? c->role == PROLE_WRITER
                  : r->role == ROLE_WRITER || (BUG(BUG_TRANSFER_BOTH) && r->role == ROLE_HOLDING);
    if (!is_writer || (!lease_holds(r, p) && !(c == NULL && r->role == ROLE_HOLDING))) {
        return ERR_NOT_WRITER;
    }
    return r->pending_size >= r->cfg.pending_size_max ? ERR_BUSY : OK;
}

void region_write(struct region *r, struct region_write *w)
{
    ASSERT(w->op_count >= 1 && w->op_count <= BATCH_OPS_MAX);
    ASSERT(w->prepare != NULL);
    usec now = region_now(r);
    w->err = OK;
    w->verdict = OK;
    w->failed_op = 0;
    w->conflicting_unique = STR_NONE;
    w->lsn = 0;
    w->epoch = 0;
    w->token_version = 0;
    w->size = 0;
    w->is_ordered = false;
    w->accepted_us = now;
    w->throttle_until_us = 0;
    w->throttle = (struct write_throttle){0};
    w->generation = 0;
    wait_node_init(&w->node);
    list_init(&w->link);
    if (w->deadline_us == 0) {
        w->deadline_us = now + ms(r->cfg.timers.write_timeout_ms);
    }
    if (is_held(r, w->pid)) {
        if (r->held_count >= HELD_MAX) {
            finish(r, w, ERR_UNAVAILABLE);
            return;
        }
        r->held_count++;
        list_push_back(&r->held, &w->link);
        return;
    }
    enum err e = refusal(r, w->pid);
    if (e != OK) {
        finish(r, w, e);
        return;
    }
    admit(r, w);
}

void write_on_acked(void *ctx, struct wait_node *n)
{
    struct region *r = (struct region *)ctx;
    struct region_write *w = CONTAINER_OF(n, struct region_write, node);
    finish(r, w, w->verdict);
}

/* ---- held writes ---- */

static void take_all(struct list *from, struct list *to)
{
    struct list *l;
    while ((l = list_pop_front(from)) != NULL) {
        list_push_back(to, l);
    }
}

void write_hold_delayed(struct region *r)
{
    take_all(&r->delayed, &r->held);
    r->held_count += r->delayed_count;
    r->delayed_count = 0;
}

void write_release_held(struct region *r, enum err err)
{
    struct list taken;
    list_init(&taken);
    take_all(&r->held, &taken);
    take_all(&r->delayed, &taken);
    r->held_count = 0;
    r->delayed_count = 0;
    struct list *l;
    while ((l = list_pop_front(&taken)) != NULL) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (is_held(r, w->pid)) {
            list_push_back(&r->held, &w->link);
            r->held_count++;
            continue;
        }
        enum err e = err != OK && parts_ctl(r, w->pid) == NULL ? err : refusal(r, w->pid);
        if (e != OK) {
            finish(r, w, e);
        } else {
            admit(r, w);
        }
    }
}

void write_recheck_held(struct region *r)
{
    if (r->held_count > 0 || r->delayed_count > 0) {
        write_release_held(r, OK);
    }
}

void write_end_pending(struct region *r)
{
    LIST_FOR_SAFE(l, &r->pending) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (!repl_has_part_mode(r->repl, w->pid)) {
            finish(r, w, unfinished(w));
        }
    }
}

void write_end_part(struct region *r, pid p)
{
    LIST_FOR_SAFE(l, &r->pending) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (w->pid == p) {
            finish(r, w, unfinished(w));
        }
    }
}

/* UINT64_MAX: of any partition without a row. */
bool write_has_pending(const struct region *r, pid p)
{
    LIST_FOR(l, &r->pending) {
        const struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (w->pid == p || (p == UINT64_MAX && !repl_has_part_mode(r->repl, w->pid))) {
            return true;
        }
    }
    return false;
}

/* ---- reads that wait ---- */

static void finish_wait(struct region *r, struct region_wait *w, enum err err)
{
    wait_remove(&w->node);
    list_remove(&w->link);
    if (w->is_counted) {
        ASSERT(r->wait_count > 0);
        r->wait_count--;
        w->is_counted = false;
    }
    w->err = err;
    list_push_back(&r->waits_done, &w->link);
}

static enum err missed(const struct region_wait *w)
{
    return w->kind == WAIT_APPLIED ? ERR_SESSION_BEHIND : ERR_UNAVAILABLE;
}

/* The token's version against the partition's: >0 the token is superseded, <0 we are behind. */
static int version_cmp(const struct part_view *view, const struct region_wait *w)
{
    if (w->kind != WAIT_APPLIED || w->token_version == 0) {
        return 0;
    }
    uint64_t mine = atomic_load_explicit(&view->token_version, memory_order_relaxed);
    uint64_t base = atomic_load_explicit(&view->token_base, memory_order_relaxed);
    return base > w->token_version ? 1 : mine < w->token_version ? -1 : 0;
}

static void queue_wait(struct region *r, struct region_wait *w)
{
    struct partition *p = repl_find(r->repl, w->pid);
    if (p == NULL) {
        finish_wait(r, w, missed(w));
        return;
    }
    const struct part_view *v = repl_part_view(p);
    int version = version_cmp(v, w);
    if (version > 0 || (w->kind == WAIT_APPLIED && BUG(BUG_SESSION_WAIT_SKIPPED))) {
        finish_wait(r, w, OK);
        return;
    }
    if (version < 0) {
        return; /* looked at again with the next record */
    }
    if (w->kind == WAIT_APPLIED) {
        if (repl_durable(p).lsn >= w->lsn) {
            finish_wait(r, w, OK);
        } else {
            repl_wait_applied(p, &w->node, w->lsn);
        }
    } else if (atomic_load_explicit(&v->commit_lsn, memory_order_relaxed) >= w->lsn) {
        finish_wait(r, w, OK);
    } else {
        repl_wait_committed(p, &w->node, w->lsn);
    }
}

void region_wait(struct region *r, struct region_wait *w)
{
    wait_node_init(&w->node);
    list_init(&w->link);
    w->err = OK;
    w->is_counted = false;
    if (r->wait_count >= WAITS_MAX) {
        finish_wait(r, w, missed(w));
        return;
    }
    w->is_counted = true;
    r->wait_count++;
    list_push_back(&r->waits, &w->link);
    if (w->deadline_us < r->next_deadline_us) {
        r->next_deadline_us = w->deadline_us;
    }
    queue_wait(r, w);
}

void write_on_applied(void *ctx, struct wait_node *n)
{
    struct region *r = (struct region *)ctx;
    struct region_wait *w = CONTAINER_OF(n, struct region_wait, node);
    finish_wait(r, w, OK);
}

void write_on_committed(void *ctx, struct wait_node *n)
{
    write_on_applied(ctx, n);
}

void write_recheck_waits(struct region *r)
{
    LIST_FOR_SAFE(l, &r->waits) {
        struct region_wait *w = LIST_ENTRY(l, struct region_wait, link);
        if (w->kind == WAIT_APPLIED && w->token_version != 0) {
            wait_remove(&w->node);
            queue_wait(r, w);
        }
    }
}

/* Returns how many. */
static size_t end_unordered(struct region *r, struct list *from, pid p)
{
    size_t count = 0;
    LIST_FOR_SAFE(l, from) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (w->pid == p) {
            finish(r, w, unfinished(w));
            count++;
        }
    }
    return count;
}

void write_drop_part(struct region *r, pid p)
{
    LIST_FOR_SAFE(l, &r->pending) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (w->pid == p) {
            finish(r, w, unfinished(w));
        }
    }
    r->held_count -= end_unordered(r, &r->held, p);
    r->delayed_count -= end_unordered(r, &r->delayed, p);
    LIST_FOR_SAFE(l, &r->waits) {
        struct region_wait *w = LIST_ENTRY(l, struct region_wait, link);
        if (w->pid == p) {
            finish_wait(r, w, missed(w));
        }
    }
}

/* ---- deadlines ---- */

static usec earlier(usec a, usec b)
{
    return a < b ? a : b;
}

void write_tick(struct region *r)
{
    usec now = region_now(r);
    LIST_FOR_SAFE(l, &r->held) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (now - w->accepted_us >= ms(r->cfg.timers.hold_ms) || now >= w->deadline_us) {
            r->held_count--;
            finish(r, w, ERR_UNAVAILABLE);
        }
    }
    if (r->delayed_count > 0) {
        write_release_held(r, OK); /* those that still have to wait go back */
    }
    if (now < r->next_deadline_us) {
        return;
    }
    usec next = UINT64_MAX;
    LIST_FOR_SAFE(l, &r->pending) {
        struct region_write *w = LIST_ENTRY(l, struct region_write, link);
        if (now >= w->deadline_us) {
            finish(r, w, w->is_ordered ? unfinished(w) : ERR_UNAVAILABLE);
        } else {
            next = earlier(next, w->deadline_us);
        }
    }
    LIST_FOR_SAFE(l, &r->waits) {
        struct region_wait *w = LIST_ENTRY(l, struct region_wait, link);
        if (now >= w->deadline_us) {
            finish_wait(r, w, missed(w));
        } else {
            next = earlier(next, w->deadline_us);
        }
    }
    r->next_deadline_us = next;
}
