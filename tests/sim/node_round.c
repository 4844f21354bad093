/* A process handles its mail in rounds: see node.h. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/node_int.h"

enum { MAIL_MAX = 1 << 18, TICK_US = 10000 };

static void mail_done(struct mail *m)
{
    if (m->arena != NULL) {
        arena_done(m->arena);
        mem_free(m->arena);
    }
}

void node_drop_mail(struct node *n)
{
    for (size_t i = 0; i < n->mail_count; i++) {
        mail_done(&n->mail[i]);
    }
    n->mail_count = 0;
}

/* ---- rounds ---- */

static void run_round(struct world *w, void *ctx, uint64_t life);

void node_add_mail(struct node *n, struct mail m)
{
    if (!n->is_up) {
        mail_done(&m);
        return;
    }
    ASSERT(n->mail_count < MAIL_MAX);
    if (n->mail_count == n->mail_cap) {
        n->mail_cap = n->mail_cap > 0 ? n->mail_cap * 2 : 64;
        n->mail = mem_realloc(n->mail, n->mail_cap * sizeof(struct mail));
    }
    n->mail[n->mail_count++] = m;
    node_plan_run(n);
}

void node_plan_run(struct node *n)
{
    if (n->is_up && !n->is_run_planned && n->paused_until == 0 && n->mail_count > 0) {
        n->is_run_planned = true;
        /* Threads wake when they wake: what comes meanwhile is one round. */
        world_at(n->w, node_out_time(n) + rng_below(&n->w->rng, 60), run_round, n, n->life);
    }
}

static void handle(struct node *n, const struct mail *m)
{
    switch (m->kind) {
    case MAIL_TICK:
        region_on_tick(n->r);
        break;
    case MAIL_COMMIT:
        region_on_commit(n->r, m->a, m->err);
        break;
    case MAIL_TXN:
        region_on_txn(n->r, m->a, &m->txn);
        break;
    case MAIL_KV:
        region_on_kv(n->r, &m->kv);
        break;
    case MAIL_COORD:
        region_on_coord(n->r, m->a != 0);
        break;
    case MAIL_LINK:
        region_on_link(n->r, (region_id)m->a, m->b != 0);
        break;
    case MAIL_FRAME:
        region_on_frame(n->r, (region_id)m->a, m->bytes);
        break;
    case MAIL_ARCHIVED:
        region_on_archived(n->r, m->a, m->err);
        break;
    case MAIL_CALL:
        m->fn(n, m->ctx);
        break;
    case MAIL_DRAIN:
        region_drain(n->r);
        break;
    }
}

/* After a call into the core: the pause that fell into it becomes the process's pause, a crash
 * that fell into it ends the process. false: the round ends here. */
static bool settle(struct node *n)
{
    if (n->is_cut_off || n->has_fatal) {
        node_stop(n, n->is_cut_off ? STOP_CRASH : STOP_FATAL);
        return false;
    }
    if (n->skew > 0) {
        usec d = n->skew;
        n->skew = 0;
        node_pause(n, d);
        return false;
    }
    return !n->w->has_failed;
}

static void plan_tick(struct node *n);

static void flush_round(struct node *n)
{
    n->round_at = n->w->now;
    node_drop_partitions(n);
    region_flush(n->r);
    if (settle(n) && n->r != NULL) {
        region_check(n->r);
        check_follow(n->w, n);
        plan_tick(n);
    }
    n->round_at = 0;
}

static void trap_before(struct node *n, const struct mail *m)
{
    if (m->kind == MAIL_COMMIT) {
        node_trap_point(n, IO_COMMITTED);
    } else if (m->kind == MAIL_TXN) {
        node_trap_point(n, IO_TXN_DONE);
    }
}

static void run_round(struct world *w, void *ctx, uint64_t life)
{
    struct node *n = ctx;
    if (life != n->life || !n->is_up) {
        return;
    }
    n->is_run_planned = false;
    if (n->paused_until != 0) {
        return;
    }
    size_t todo = n->mail_count;
    size_t done = 0;
    bool goes_on = true;
    while (done < todo && goes_on) {
        trap_before(n, &n->mail[done]);
        goes_on = settle(n);
        if (!goes_on) {
            break;
        }
        struct mail m = n->mail[done];
        n->mail[done].arena = NULL; /* taken */
        n->mail[done].kind = MAIL_TICK;
        done++;
        n->round_at = w->now;
        bool is_disk_error = (m.kind == MAIL_COMMIT || m.kind == MAIL_ARCHIVED) &&
                             (m.err == ERR_IO || m.err == ERR_DISK_FULL);
        handle(n, &m);
        mail_done(&m);
        n->round_at = 0;
        if (is_disk_error && n->is_up && !n->has_fatal && !n->is_cut_off) {
            world_fail(w, "fatal", "region %u goes on after a failed sync", n->id);
        }
        goes_on = settle(n);
    }
    if (life != n->life || !n->is_up) {
        return; /* stopped: the mail is gone already */
    }
    memmove(n->mail, n->mail + done, (n->mail_count - done) * sizeof(struct mail));
    n->mail_count -= done;
    if (goes_on) {
        flush_round(n);
    }
    if (n->is_up) {
        node_plan_run(n);
    }
}

static void tick(struct world *w, void *ctx, uint64_t at)
{
    UNUSED(w);
    struct node *n = ctx;
    if (n->is_up && n->tick_at == at) {
        n->tick_at = 0;
        node_add_mail(n, (struct mail){.kind = MAIL_TICK});
    }
}

static void plan_tick(struct node *n)
{
    usec now = n->w->now;
    usec next = now + TICK_US;
    usec want = region_next_tick(n->r);
    usec boot = node_boot_us(n);
    if (want <= boot) {
        next = now + 100;
    } else if (want - boot < TICK_US) {
        usec d = (want - boot) * 1000000 / (usec)(1000000 + n->ppm) + 1;
        next = now + d;
    }
    if (n->tick_at == 0 || n->tick_at > next) {
        n->tick_at = next;
        world_at(n->w, next, tick, n, next);
    }
}

/* ---- mail from the world ---- */

static struct mail mail_with_arena(enum mail_kind kind)
{
    struct mail m = {.kind = kind, .arena = mem_alloc(sizeof(struct arena))};
    arena_init(m.arena);
    return m;
}

void node_post_frame(struct node *n, region_id from, struct str frame)
{
    struct mail m = mail_with_arena(MAIL_FRAME);
    m.a = from;
    m.bytes = arena_str(m.arena, frame);
    node_add_mail(n, m);
}

void node_post_link(struct node *n, region_id peer, bool is_up)
{
    node_add_mail(n, (struct mail){.kind = MAIL_LINK, .a = peer, .b = is_up});
}

static struct coord_kv copy_kv(struct arena *a, const struct coord_kv *kv)
{
    return (struct coord_kv){.key = arena_str(a, kv->key),
                             .value = arena_str(a, kv->value),
                             .rev = kv->rev,
                             .is_deleted = kv->is_deleted};
}

void node_post_kv(struct node *n, const struct coord_kv *kv)
{
    struct mail m = mail_with_arena(MAIL_KV);
    m.kv = copy_kv(m.arena, kv);
    node_add_mail(n, m);
}

void node_post_coord(struct node *n, bool is_synced)
{
    trace(n->w, "coord", n->id, is_synced, 0, 0);
    node_add_mail(n, (struct mail){.kind = MAIL_COORD, .a = is_synced});
}

void node_post_txn_result(struct node *n, uint64_t life, uint64_t ticket,
                          const struct coord_txn_result *res)
{
    if (life != n->life) {
        return;
    }
    struct mail m = mail_with_arena(MAIL_TXN);
    m.a = ticket;
    m.txn = *res;
    if (res->kv_count > 0) {
        struct coord_kv *kvs = ARENA_NEW_ARRAY(m.arena, struct coord_kv, res->kv_count);
        for (size_t i = 0; i < res->kv_count; i++) {
            kvs[i] = copy_kv(m.arena, &res->kvs[i]);
        }
        m.txn.kvs = kvs;
    }
    node_add_mail(n, m);
}

void node_post_commit(struct node *n, uint64_t ticket, enum err err)
{
    node_add_mail(n, (struct mail){.kind = MAIL_COMMIT, .a = ticket, .err = err});
}

void node_post_archived(struct node *n, uint64_t ticket, enum err err)
{
    node_add_mail(n, (struct mail){.kind = MAIL_ARCHIVED, .a = ticket, .err = err});
}

void node_post_call(struct node *n, node_call_fn *fn, void *ctx)
{
    node_add_mail(n, (struct mail){.kind = MAIL_CALL, .fn = fn, .ctx = ctx});
}

void node_post_drain(struct node *n)
{
    node_add_mail(n, (struct mail){.kind = MAIL_DRAIN});
}
