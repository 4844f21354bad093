/* A region's machine and process: see node.h. */
#include "sim/node.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/disk.h"
#include "sim/history.h"
#include "sim/ledger.h"
#include "sim/nemesis.h"
#include "sim/net.h"

enum mail_kind {
    MAIL_TICK,
    MAIL_COMMIT,
    MAIL_TXN,
    MAIL_KV,
    MAIL_COORD,
    MAIL_LINK,
    MAIL_FRAME,
    MAIL_ARCHIVED,
    MAIL_CALL,
    MAIL_DRAIN,
};

struct mail {
    enum mail_kind kind;
    uint64_t a, b;
    enum err err;
    node_call_fn *fn;
    void *ctx;
    struct arena *arena; /* owned; what the rest points into; may be NULL */
    struct str bytes;
    struct coord_kv kv;
    struct coord_txn_result txn;
};

struct node {
    struct world *w;
    region_id id;
    struct engine *engine; /* owned; outlives processes */
    struct disk disk;

    /* clocks: boot = boot_value + (now - boot_base) * (1 + ppm / 1e6) */
    int ppm;
    usec boot_base, boot_value;
    int64_t wall_offset_ms;

    /* process */
    bool is_up;
    bool is_dying;   /* the core is being freed: its outputs go nowhere */
    bool is_cut_off; /* a crash trap fired in this call: outputs go nowhere */
    bool has_fatal;
    bool must_reload; /* metadata was applied: look for new partitions */
    uint64_t life, incarnation;
    struct region *r;
    struct region_io io;
    struct mail *mail; /* owned; queue */
    size_t mail_count, mail_cap;
    bool is_run_planned;
    usec paused_until; /* 0 = running */
    uint64_t pause_seq;
    usec round_at;   /* the present call into the core began */
    usec skew;       /* pauses inside it so far */
    usec busy_until; /* time goes on while the core works, a little with each look at the clock */
    unsigned clock_reads;
    usec tick_at;               /* planned; 0 = none */
    uint32_t parts;             /* bit per partition of its catalog */
    lsn made_at[SIM_PARTS_MAX]; /* in the metadata log */
    lsn gone_at[SIM_PARTS_MAX]; /* its container is gone since; 0 = it is not */
    uint32_t dropping; /* dropped by the core, its rows are removed when the disk is idle */
    struct list ops;   /* client operations inside the process */
    struct trap trap;
};

enum { MAIL_MAX = 1 << 18, TICK_US = 10000 };

static void run_round(struct world *w, void *ctx, uint64_t life);
static void plan_run(struct node *n);

const char *node_region_name(region_id id)
{
    static const char *const names[] = {"none", "east", "west", "north", "south", "center"};
    ASSERT(id < ARRAY_COUNT(names));
    return names[id];
}

/* ---- state ---- */

bool node_is_up(const struct node *n)
{
    return n->is_up;
}

bool node_is_paused(const struct node *n)
{
    return n->is_up && n->paused_until != 0;
}

uint64_t node_life(const struct node *n)
{
    return n->life;
}

uint64_t node_incarnation(const struct node *n)
{
    return n->incarnation;
}

struct region *node_region(const struct node *n)
{
    return n->is_up ? n->r : NULL;
}

struct engine *node_engine(const struct node *n)
{
    return n->engine;
}

bool node_has_part(const struct node *n, pid p)
{
    return (n->parts & (1u << p)) != 0;
}

bool node_may_write_part(struct node *n, pid p)
{
    /* A container counts when its making is acknowledged: what is written into one that a failover
     * takes back would have no place to be reported in. */
    return node_has_part(n, p) &&
           (p == 0 || n->made_at[p] <= atomic_load(&region_part(n->r, 0)->commit_lsn));
}

region_id node_id(const struct node *n)
{
    return n->id;
}

struct world *node_world(const struct node *n)
{
    return n->w;
}

usec node_out_time(const struct node *n)
{
    usec t = n->w->now + n->skew;
    return t > n->busy_until ? t : n->busy_until;
}

usec node_round_time(const struct node *n)
{
    return n->round_at != 0 ? n->round_at : n->w->now;
}

static usec clock_at(const struct node *n, usec t)
{
    usec d = t - n->boot_base;
    return n->boot_value + d + (usec)((int64_t)d * n->ppm / 1000000);
}

usec node_boot_us(const struct node *n)
{
    return clock_at(n, node_out_time(n));
}

int64_t node_wall_ms(const struct node *n)
{
    return INT64_C(1700000000000) + (int64_t)(node_out_time(n) / 1000) + n->wall_offset_ms;
}

static void rebase_clock(struct node *n, usec value)
{
    n->boot_value = value;
    n->boot_base = n->w->now;
}

void node_set_drift(struct node *n, int ppm)
{
    rebase_clock(n, node_boot_us(n));
    n->ppm = ppm;
    trace(n->w, "drift", n->id, (uint64_t)(int64_t)ppm, 0, 0);
}

void node_reboot_clock(struct node *n)
{
    ASSERT(!n->is_up);
    rebase_clock(n, 1000000 + rng_below(&n->w->rng, 60000000));
}

void node_wall_jump(struct node *n, int64_t ms)
{
    n->wall_offset_ms += ms;
    trace(n->w, "wall-jump", n->id, (uint64_t)ms, 0, 0);
}

struct node *node_new(struct world *w, region_id id)
{
    struct node *n = MEM_NEW(struct node);
    n->w = w;
    n->id = id;
    n->ppm = w->cfg.drift_ppm[id];
    rebase_clock(n, 5000000 + rng_below(&w->rng, UINT64_C(1000000000)));
    list_init(&n->ops);
    disk_init(&n->disk, n);
    struct errinfo ei = {0};
    struct engine_opts opts = {.driver = STR("mem")};
    if (engine_open(&opts, &n->engine, &ei) != OK) {
        world_fail(w, "engine", "open: %s", ei.message);
    }
    return n;
}

static void mail_done(struct mail *m)
{
    if (m->arena != NULL) {
        arena_done(m->arena);
        mem_free(m->arena);
    }
}

static void drop_mail(struct node *n)
{
    for (size_t i = 0; i < n->mail_count; i++) {
        mail_done(&n->mail[i]);
    }
    n->mail_count = 0;
}

void node_wipe(struct node *n)
{
    ASSERT(!n->is_up);
    struct errinfo ei = {0};
    struct engine_opts opts = {.driver = STR("mem")};
    engine_close(n->engine);
    if (engine_open(&opts, &n->engine, &ei) != OK) {
        world_fail(n->w, "engine", "open: %s", ei.message);
    }
    history_forget_node(n->w->history, n->id);
    n->w->wiped_mask |= 1u << n->id;
    trace(n->w, "wipe", n->id, 0, 0, 0);
}

void node_free(struct node *n)
{
    if (n == NULL) {
        return;
    }
    if (n->is_up) {
        n->is_dying = true;
        region_free(n->r);
    }
    drop_mail(n);
    mem_free(n->mail);
    disk_done(&n->disk);
    engine_close(n->engine);
    mem_free(n);
}

/* ---- traps ---- */

void node_set_trap(struct node *n, const struct trap *t)
{
    n->trap = *t;
}

bool node_has_trap(const struct node *n)
{
    return n->trap.kinds != 0;
}

/* Called at each point where a real process could be stopped. */
static void trap_point(struct node *n, enum io_kind kind)
{
    struct trap *t = &n->trap;
    if ((t->kinds & (unsigned)kind) == 0 || n->is_dying || n->r == NULL) {
        return;
    }
    if (t->role_mask != 0 && (t->role_mask & (1u << region_role(n->r))) == 0) {
        return;
    }
    if (t->countdown > 1) {
        t->countdown--;
        return;
    }
    struct trap fired = *t;
    *t = (struct trap){0};
    trace(n->w, fired.is_crash ? "trap-crash" : "trap-pause", n->id, (uint64_t)kind, fired.pause_us,
          0);
    if (fired.is_crash) {
        n->is_cut_off = true;
    } else {
        n->skew += fired.pause_us;
    }
}

static bool is_mute(const struct node *n)
{
    return n->is_dying || n->is_cut_off;
}

/* ---- what the core asks for ---- */

static usec io_now(void *ctx)
{
    struct node *n = ctx;
    trap_point(n, IO_NOW);
    n->busy_until = node_out_time(n) + (++n->clock_reads % 3 == 0 ? 1 : 0);
    return node_boot_us(n);
}

static int64_t io_wall_ms(void *ctx)
{
    return node_wall_ms(ctx);
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct node *n = ctx;
    trap_point(n, IO_COMMIT);
    if (is_mute(n)) {
        engine_batch_free(b);
        return;
    }
    trace(n->w, "commit", n->id, ticket, engine_batch_size(b), n->skew);
    disk_submit(&n->disk, b, ticket, node_out_time(n));
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    struct node *n = ctx;
    trap_point(n, IO_SEND);
    if (!is_mute(n)) {
        net_send(n->w, n->id, to, frame, node_out_time(n));
    }
}

static void io_txn(void *ctx, const struct coord_txn *t, uint64_t ticket)
{
    struct node *n = ctx;
    trap_point(n, IO_TXN);
    if (!is_mute(n)) {
        trace(n->w, "txn-send", n->id, ticket, t->put_count, n->skew);
        coordinator_txn(n->w, n->id, n->life, t, ticket, node_out_time(n),
                        (usec)n->w->cfg.timers.coord_timeout_ms * 1000);
    }
}

static void io_reply(void *ctx, struct region_write *write)
{
    struct node *n = ctx;
    trap_point(n, IO_REPLY);
    if (!is_mute(n)) {
        client_write_answered(n->w, n, write);
    }
}

static void io_wait_done(void *ctx, struct region_wait *wait)
{
    struct node *n = ctx;
    if (!is_mute(n)) {
        client_wait_answered(n->w, n, wait);
    }
}

static void io_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct node *n = ctx;
    trap_point(n, IO_ARCHIVE);
    if (!is_mute(n)) {
        trace(n->w, "archive", n->id, p, entries.n, ticket);
        disk_submit(&n->disk, NULL, ticket, node_out_time(n));
    }
}

static void io_event(void *ctx, const struct region_event *ev)
{
    struct node *n = ctx;
    if (!n->is_dying) {
        trace_text(n->w, "event", n->id, ev->text);
    }
}

static void io_published(void *ctx)
{
    UNUSED(ctx); /* clients read the record of the process they ask */
}

static void io_metadata_applied(void *ctx, lsn upto)
{
    struct node *n = ctx;
    UNUSED(upto);
    n->must_reload = true;
}

static bool io_conflict_build(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                              region_id from, bool was_acknowledged,
                              const struct write_place *place, struct buf *out_key,
                              struct buf *out_text, uint64_t *ret_rid)
{
    UNUSED(ctx);
    struct conflict_id id = {
        .pid = p, .epoch = lost->epoch, .lsn = lost->lsn, .op_idx = (unsigned)op_idx};
    char key[64];
    size_t n = conflict_key_format(key, &id);
    buf_add(out_key, key, n);
    uint64_t op_id = 0;
    if (!lost->ops[op_idx].is_delete) {
        (void)text_parse(lost->ops[op_idx].doc.text, &op_id);
    }
    /* Only what does not depend on who sends it when: a record that is built twice is the same. */
    UNUSED(from);
    UNUSED(place);
    buf_printf(out_text, "{\"lost\":%llu,\"ack\":%d}", (unsigned long long)op_id,
               was_acknowledged ? 1 : 0);
    *ret_rid = lost->lsn;
    return true;
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    struct node *n = ctx;
    if (is_mute(n)) {
        return;
    }
    trace_text(n->w, "fatal", n->id, why);
    bool has_bad_data = engine_spoiled(n->engine) != 0; /* a suffix there cannot be cut either */
    if (!n->disk.was_bad && !has_bad_data && err != ERR_STALE_GENERATION) {
        world_fail(n->w, "fatal", "region %u stops itself without a disk fault: %s %s", n->id,
                   err_name(err), why);
    }
    n->has_fatal = true;
}

static const struct region_io node_io = {
    .now = io_now,
    .wall_ms = io_wall_ms,
    .commit = io_commit,
    .send = io_send,
    .txn = io_txn,
    .reply = io_reply,
    .wait_done = io_wait_done,
    .archive = io_archive,
    .event = io_event,
    .published = io_published,
    .metadata_applied = io_metadata_applied,
    .conflict_build = io_conflict_build,
    .fatal = io_fatal,
};

/* ---- catalog: which partitions exist ---- */

/* Metadata documents "c/<pid>" name the partitions. */
static uint32_t read_catalog(struct node *n)
{
    uint32_t parts = 1; /* metadata */
    struct engine_iter *it = engine_scan(n->engine, NULL, 0, SPACE_ITEM, STR("c/"), STR("c0"));
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        uint64_t p = 0;
        if (str_to_u64(str_slice(row.key, 2, row.key.n), &p) && p < SIM_PARTS_MAX) {
            parts |= 1u << p;
            n->made_at[p] = row.doc.version.lsn;
        }
    }
    engine_iter_free(it);
    return parts;
}

static lsn metadata_tail(struct node *n)
{
    struct engine_part_meta m = {0};
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    bool is_there = engine_part_meta_get(n->engine, NULL, 0, &hold, &m, NULL) == OK;
    buf_done(&hold);
    return is_there ? m.tail_lsn : 0;
}

/* Partitions without a container: one that a crash left between the loss of the container and the
 * drop, or that the writer of a lost epoch had told us of. One that our metadata may not know yet
 * stays. */
static void find_orphans(struct node *n)
{
    lsn tail = metadata_tail(n);
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        struct engine_part_meta m;
        struct buf hold;
        buf_init(&hold, ENGINE_DOC_SIZE_MAX);
        bool is_there = engine_part_meta_get(n->engine, NULL, p, &hold, &m, NULL) == OK;
        buf_done(&hold);
        if (is_there && n->gone_at[p] == 0 && (n->parts & (1u << p)) == 0 &&
            !history_creates_after(n->w->history, p, tail)) {
            n->gone_at[p] = tail;
        }
    }
}

/* As the server does: new containers' partitions are made known to the core; those of containers
 * that are gone (their making was lost in a failover) are dropped, once that cannot be taken back. */
static void reload_catalog(struct node *n)
{
    uint32_t before = n->parts;
    n->parts = read_catalog(n) & ~n->dropping;
    n->must_reload = n->dropping != 0; /* a partition of that number waits */
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        uint32_t bit = 1u << p;
        if ((n->parts & bit) != 0) {
            n->gone_at[p] = 0;
            (void)region_part(n->r, p); /* its view is asked for again by readers */
        } else if ((before & bit) != 0) {
            n->gone_at[p] = metadata_tail(n);
        }
    }
    find_orphans(n);
}

static void drop_partitions(struct node *n)
{
    lsn commit = atomic_load(&region_part(n->r, 0)->commit_lsn);
    if ((atomic_load(&region_part(n->r, 0)->flags) & PART_WHOLE) == 0) {
        return; /* a definition may be missing for an instant */
    }
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        if (n->gone_at[p] != 0 && n->gone_at[p] <= commit) {
            trace(n->w, "drop", n->id, p, n->gone_at[p], commit);
            n->gone_at[p] = 0;
            region_drop_part(n->r, p);
            n->dropping |= 1u << p;
        }
    }
}

void node_disk_is_idle(struct node *n)
{
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        if ((n->dropping & (1u << p)) != 0) {
            struct errinfo ei = {0};
            if (engine_drop_partition(n->engine, p, &ei) != OK) {
                world_fail(n->w, "engine", "drop: %s", ei.message);
            }
            n->dropping &= ~(1u << p);
        }
    }
}

/* ---- rounds ---- */

static void add_mail(struct node *n, struct mail m)
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
    plan_run(n);
}

static void plan_run(struct node *n)
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
    if (n->must_reload) {
        reload_catalog(n);
    }
    drop_partitions(n);
    region_flush(n->r);
    if (n->dropping != 0 && n->disk.count == 0) {
        node_disk_is_idle(n);
    }
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
        trap_point(n, IO_COMMITTED);
    } else if (m->kind == MAIL_TXN) {
        trap_point(n, IO_TXN_DONE);
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
        plan_run(n);
    }
}

static void tick(struct world *w, void *ctx, uint64_t at)
{
    UNUSED(w);
    struct node *n = ctx;
    if (n->is_up && n->tick_at == at) {
        n->tick_at = 0;
        add_mail(n, (struct mail){.kind = MAIL_TICK});
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
    add_mail(n, m);
}

void node_post_link(struct node *n, region_id peer, bool is_up)
{
    add_mail(n, (struct mail){.kind = MAIL_LINK, .a = peer, .b = is_up});
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
    add_mail(n, m);
}

void node_post_coord(struct node *n, bool is_synced)
{
    trace(n->w, "coord", n->id, is_synced, 0, 0);
    add_mail(n, (struct mail){.kind = MAIL_COORD, .a = is_synced});
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
    add_mail(n, m);
}

void node_post_commit(struct node *n, uint64_t ticket, enum err err)
{
    add_mail(n, (struct mail){.kind = MAIL_COMMIT, .a = ticket, .err = err});
}

void node_post_archived(struct node *n, uint64_t ticket, enum err err)
{
    add_mail(n, (struct mail){.kind = MAIL_ARCHIVED, .a = ticket, .err = err});
}

void node_post_call(struct node *n, node_call_fn *fn, void *ctx)
{
    add_mail(n, (struct mail){.kind = MAIL_CALL, .fn = fn, .ctx = ctx});
}

void node_post_drain(struct node *n)
{
    add_mail(n, (struct mail){.kind = MAIL_DRAIN});
}

void node_track(struct node *n, struct op *op)
{
    list_push_back(&n->ops, &op->node_link);
}

/* ---- life ---- */

static bool fill_cfg(struct node *n, struct region_cfg *cfg)
{
    *cfg = (struct region_cfg){
        .account = STR("sim"),
        .self = n->id,
        .incarnation = n->incarnation,
        .timers = n->w->cfg.timers,
        .log_size_max = n->w->cfg.log_size_max,
        .copy_docs_max = n->w->cfg.copy_docs_max,
        .log_ops_min = 20,
        .seed = rng_u64(&n->w->rng),
    };
    int a = snprintf(cfg->name, sizeof(cfg->name), "%s", node_region_name(n->id));
    int b = snprintf(cfg->endpoint, sizeof(cfg->endpoint), "http://127.0.0.1:%u/", 8000 + n->id);
    int c = snprintf(cfg->peer_addr, sizeof(cfg->peer_addr), "127.0.0.1:%u", 9000 + n->id);
    return a > 0 && b > 0 && c > 0;
}

void node_start(struct node *n)
{
    ASSERT(!n->is_up);
    struct world *w = n->w;
    n->life++;
    n->incarnation = rng_u64(&w->rng) | 1;
    n->is_dying = false;
    n->is_cut_off = false;
    n->has_fatal = false;
    n->is_run_planned = false;
    n->paused_until = 0;
    n->skew = 0;
    n->tick_at = 0;
    n->trap = (struct trap){0};
    n->parts = 1; /* metadata */
    n->dropping = 0;
    trace(w, "start", n->id, n->life, n->incarnation, 0);
    struct region_cfg cfg;
    struct errinfo ei = {0};
    ASSERT(fill_cfg(n, &cfg));
    n->io = node_io;
    n->io.ctx = n;
    enum err err = region_new(&cfg, &n->io, n->engine, &n->r, &ei);
    if (err != OK) {
        n->r = NULL;
        world_fail(w, "start", "region %u does not start: %s %s", n->id, err_name(err), ei.message);
        return;
    }
    n->is_up = true;
    memset(n->gone_at, 0, sizeof(n->gone_at));
    reload_catalog(n);
    region_check(n->r);
    coordinator_watch(w, n->id);
    net_node_up(w, n->id);
    add_mail(n, (struct mail){.kind = MAIL_TICK});
}

void node_stop(struct node *n, enum stop_kind kind)
{
    ASSERT(n->is_up);
    struct world *w = n->w;
    trace(w, "stop", n->id, n->life, (uint64_t)kind, n->mail_count);
    n->is_dying = true;
    n->is_up = false;
    n->skew = 0;
    n->round_at = 0;
    n->paused_until = 0;
    n->pause_seq++;
    disk_crash(&n->disk);
    drop_mail(n);
    struct region *r = n->r;
    n->r = NULL;
    region_free(r);
    n->is_cut_off = false;
    n->has_fatal = false;
    coordinator_unwatch(w, n->id);
    n->life++; /* nothing that was on its way reaches the next process */
    net_node_down(w, n->id);
    for (struct list *l; (l = list_pop_front(&n->ops)) != NULL;) {
        client_process_ended(w, LIST_ENTRY(l, struct op, node_link));
    }
    nemesis_process_ended(w, n, n->incarnation);
}

/* ---- pauses ---- */

static void pause_over(struct world *w, void *ctx, uint64_t seq)
{
    UNUSED(w);
    struct node *n = ctx;
    if (n->pause_seq == seq) {
        node_resume(n);
    }
}

void node_pause(struct node *n, usec duration)
{
    if (!n->is_up || n->paused_until != 0) {
        return;
    }
    trace(n->w, "pause", n->id, duration, 0, 0);
    n->paused_until = n->w->now + duration;
    n->pause_seq++;
    world_at(n->w, n->paused_until, pause_over, n, n->pause_seq);
}

void node_resume(struct node *n)
{
    if (n->is_up && n->paused_until != 0) {
        trace(n->w, "resume", n->id, 0, 0, 0);
        n->paused_until = 0;
        n->pause_seq++;
        n->tick_at = 0;
        add_mail(n, (struct mail){.kind = MAIL_TICK});
        disk_resume(&n->disk);
        plan_run(n);
    }
}

/* ---- disk faults ---- */

void node_disk_slow(struct node *n, unsigned factor)
{
    trace(n->w, "disk-slow", n->id, factor, 0, 0);
    n->disk.slow_factor = factor;
}

void node_disk_fail_next(struct node *n)
{
    trace(n->w, "disk-fail", n->id, 0, 0, 0);
    n->disk.fails_next = true;
}

void node_disk_set_full(struct node *n, bool is_full)
{
    trace(n->w, "disk-full", n->id, is_full, 0, 0);
    n->disk.is_full = is_full;
}

void node_disk_heal(struct node *n)
{
    disk_hurry(&n->disk);
    n->disk.fails_next = false;
    n->disk.is_full = false;
}

bool node_disk_was_bad(const struct node *n)
{
    return n->disk.was_bad;
}

size_t node_archive_count(const struct node *n)
{
    return n->disk.archives;
}
