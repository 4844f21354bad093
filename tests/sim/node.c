/* A region's machine and process: see node.h. */
#include <stdio.h>

#include "account/region_int.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/history.h"
#include "sim/ledger.h"
#include "sim/nemesis.h"
#include "sim/net.h"
#include "sim/node_int.h"

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

struct part_view *node_part_view(struct node *n, pid p)
{
    struct partition *part = repl_find(n->r->repl, p);
    return part != NULL ? repl_part_view(part) : NULL;
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
    node_drop_mail(n);
    mem_free(n->mail);
    disk_done(&n->disk);
    engine_close(n->engine);
    mem_free(n);
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
        .keep_writing = n->w->cfg.keep_writing,
        .drop_rows_max = n->w->cfg.drop_rows_max,
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
    node_reload_catalog(n, 0);
    region_check(n->r);
    coordinator_watch(w, n->id);
    net_node_up(w, n->id);
    node_add_mail(n, (struct mail){.kind = MAIL_TICK});
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
    node_drop_mail(n);
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
        node_add_mail(n, (struct mail){.kind = MAIL_TICK});
        disk_resume(&n->disk);
        node_plan_run(n);
    }
}

/* ---- disk faults ---- */

void node_disk_slow(struct node *n, unsigned factor)
{
    trace(n->w, "disk-slow", n->id, factor, 0, 0);
    if (factor == 1) {
        disk_hurry(&n->disk); /* also what it is writing: that could take minutes more */
    }
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

usec node_disk_owes(const struct node *n)
{
    return disk_owes(&n->disk);
}

bool node_disk_was_bad(const struct node *n)
{
    return n->disk.was_bad;
}

size_t node_archive_count(const struct node *n)
{
    return n->disk.archives;
}
