/* One run of the simulator: see run.h.
 *
 *   bootstrap   regions start, a writer opens, the containers are created; no faults
 *   safety      clients work, faults happen; nothing wrong may be answered
 *   liveness    faults end (or one region stays dead and the rest must do): every operation ends,
 *               every partition can be written, every region read, all regions become equal, within
 *               a bounded time
 *   judgement   the checkers that need the end of the story */
#include "sim/run.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/coordinator.h"
#include "sim/history.h"
#include "sim/ledger.h"
#include "sim/nemesis.h"
#include "sim/net.h"
#include "sim/node.h"
#include "sim/scenario.h"

static const usec SECOND = 1000000;
enum { BOOTSTRAP_S = 20, QUIET_S = 15, LIVENESS_LAN_S = 60, LIVENESS_WAN_S = 180, SLOW_REST = 10 };

static struct world *signal_world; /* for the report of an abort */

/* ---- configuration ---- */

static enum consistency draw_consistency(struct rng *r)
{
    uint64_t d = rng_below(r, 100);
    return d < 42   ? CONSISTENCY_STRONG
           : d < 82 ? CONSISTENCY_SESSION
           : d < 92 ? CONSISTENCY_EVENTUAL
                    : CONSISTENCY_CONSISTENT_PREFIX;
}

static size_t draw_region_count(struct rng *r)
{
    uint64_t d = rng_below(r, 100);
    return d < 25 ? 2 : d < 75 ? 3 : d < 88 ? 4 : 5;
}

static uint32_t draw_faults(struct rng *r)
{
    uint32_t mask = 0;
    unsigned percent = (unsigned)rng_range(r, 10, 80);
    for (unsigned f = 0; f < FAULT_CONTAINER; f++) { /* that one: see draw_containers */
        mask |= draw_percent(r, percent) ? 1u << f : 0;
    }
    return draw_percent(r, 4) ? 0 : mask;
}

static void draw_timers(struct rng *r, struct sim_cfg *c)
{
    c->is_wan = draw_percent(r, 12);
    c->timers = c->is_wan ? region_timers_wan : region_timers_lan;
    static const unsigned retain_ms[] = {500, 2000, 60000};
    c->timers.retain_ms = retain_ms[rng_below(r, ARRAY_COUNT(retain_ms))];
    c->timers.ttl_purge_ms = draw_percent(r, 50) ? 1000 : 200;
}

static void draw_network(struct rng *r, struct sim_cfg *c)
{
    if (c->is_wan) {
        c->net_delay_us = rng_range(r, 5000, 60000);
        c->coord_delay_us = rng_range(r, 1000, 40000);
    } else {
        c->net_delay_us = rng_range(r, 50, draw_percent(r, 70) ? 1000 : 15000);
        c->coord_delay_us = rng_range(r, 50, draw_percent(r, 70) ? 1000 : 15000);
    }
    c->net_jitter_us = c->net_delay_us / 2 + rng_below(r, 500);
    c->sync_us = rng_range(r, 100, draw_percent(r, 70) ? 2000 : 10000);
}

/* One run in eight begins at BoundedStaleness, one in four changes its level all the time. */
static void draw_levels(struct rng *r, struct sim_cfg *c)
{
    static const uint64_t ops[] = {1, 3, 10, 30, 100};
    c->staleness_ops = ops[rng_below(r, ARRAY_COUNT(ops))];
    c->staleness_s = draw_percent(r, 80) ? STALENESS_S_MIN : 20;
    if (draw_percent(r, 12)) {
        c->level = CONSISTENCY_BOUNDED_STALENESS;
    }
    c->fault_mask &= ~(1u << FAULT_LEVEL);
    c->fault_mask |= draw_percent(r, 25) ? 1u << FAULT_LEVEL : 0;
    c->fault_mask &= ~(1u << FAULT_PARTITION);
    c->fault_mask |= draw_percent(r, 40) ? 1u << FAULT_PARTITION : 0;
    c->fault_mask &= ~(1u << FAULT_SPOIL);
    c->partition_failover = draw_percent(r, 40);
    c->fault_mask |= c->partition_failover && draw_percent(r, 70) ? 1u << FAULT_SPOIL : 0;
}

/* One run in four does something else with what a failover could not keep than to record it all. */
static void draw_diverged(struct rng *r, struct sim_cfg *c)
{
    uint64_t d = rng_below(r, 100);
    c->diverged = d < 8    ? DIVERGED_FEED_LATEST
                  : d < 16 ? DIVERGED_ARCHIVE
                  : d < 30 ? DIVERGED_LWW
                           : DIVERGED_FEED;
    c->feed_quota = draw_percent(r, 12) ? rng_range(r, 1, 600) : 0;
}

/* One run in four removes containers, most of these beside partitions that move. */
static void draw_containers(struct rng *r, struct sim_cfg *c)
{
    bool has_removals = draw_percent(r, 25);
    bool has_moves = draw_percent(r, 70);
    c->fault_mask |= has_removals ? 1u << FAULT_CONTAINER : 0;
    c->fault_mask |= has_removals && has_moves ? 1u << FAULT_PARTITION : 0;
    c->drop_rows_max = draw_percent(r, 40) ? 0 : (unsigned)rng_range(r, 1, 20);
}

void run_configure(const struct run_options *o, struct sim_cfg *c)
{
    struct rng r;
    rng_init(&r, o->seed * 7919 + 13);
    *c = (struct sim_cfg){.seed = o->seed, .scenario = o->scenario, .variant = o->variant};
    c->level = draw_consistency(&r);
    c->region_count = draw_region_count(&r);
    c->part_count = (size_t)rng_range(&r, 1, SIM_PARTS_WANTED_MAX);
    c->client_count = (size_t)rng_range(&r, 2, SIM_CLIENTS_MAX);
    c->auto_failover = draw_percent(&r, 88);
    c->fault_mask = draw_faults(&r);
    draw_timers(&r, c);
    draw_network(&r, c);
    c->safety_us = rng_range(&r, 8, draw_percent(&r, 80) ? 30 : 90) * SECOND;
    c->fault_gap_us = rng_range(&r, 100000, 3 * SECOND);
    c->think_us = rng_range(&r, 5000, 150000);
    for (size_t i = 1; i <= SIM_REGIONS_MAX; i++) {
        int drift = (int)rng_range(&r, 0, 100000) - 50000;
        c->drift_ppm[i] = (c->fault_mask & (1u << FAULT_DRIFT)) != 0 ? drift : drift / 1000;
    }
    /* Drawn last: runs of earlier seeds keep the rest of their configuration. */
    if (draw_percent(&r, 30)) {
        c->timers.slow_commit_ms = 60;
        c->timers.slow_for_ms = 300;
    }
    c->timers.failover_hold_ms = draw_percent(&r, 50) ? 1 : c->is_wan ? 20000 : 5000;
    draw_levels(&r, c);
    c->log_size_max = draw_percent(&r, 50) ? 0 : rng_range(&r, 3000, 60000);
    static const unsigned ppm[] = {100, 1000, 10000, 100000, 300000};
    c->corrupt_ppm = ppm[rng_below(&r, ARRAY_COUNT(ppm) - 1)];
    c->twice_ppm = ppm[rng_below(&r, ARRAY_COUNT(ppm))];
    c->first_count = c->region_count;
    bool has_regions = (c->fault_mask & o->fault_mask & (1u << FAULT_REGIONS)) != 0;
    if (has_regions && o->scenario == NULL && draw_percent(&r, 50)) {
        if (c->region_count < SIM_REGIONS_MAX && draw_percent(&r, 50)) {
            c->region_count++;
        } else {
            c->first_count--;
        }
    }
    c->copy_docs_max = draw_percent(&r, 40) ? 0 : (unsigned)rng_range(&r, 1, 5);
    c->keep_writing = draw_percent(&r, 50) ? KEEP_WRITING_YES : KEEP_WRITING_AUTO;
    draw_containers(&r, c);
    draw_diverged(&r, c);
    if (o->level >= 0) {
        c->level = (enum consistency)o->level;
    }
    c->fault_mask &= o->fault_mask;
    if (o->scenario != NULL) {
        scenario_configure(c);
    }
}

void run_describe(const struct sim_cfg *c, char ret[512])
{
    int n = snprintf(ret, 512,
                     "seed=%llu level=%s regions=%zu partitions=%zu clients=%zu auto=%d %s "
                     "safety_s=%llu faults=",
                     (unsigned long long)c->seed, consistency_name(c->level), c->region_count,
                     c->part_count, c->client_count, c->auto_failover, c->is_wan ? "wan" : "lan",
                     (unsigned long long)(c->safety_us / SECOND));
    for (unsigned f = 0; f < FAULT_COUNT && n > 0 && n < 500; f++) {
        if ((c->fault_mask & (1u << f)) != 0) {
            n += snprintf(ret + n, (size_t)(512 - n), "%s,", fault_name((enum fault)f));
        }
    }
}

/* ---- building and tearing down ---- */

static bool put_first_record(struct world *w)
{
    struct account_record *rec = MEM_NEW(struct account_record);
    account_init(rec, "sim", w->cfg.level);
    rec->auto_failover = w->cfg.auto_failover;
    rec->max_staleness_ops = w->cfg.staleness_ops;
    rec->max_staleness_s = w->cfg.staleness_s;
    rec->partition_failover = w->cfg.partition_failover;
    rec->diverged_writes = w->cfg.diverged;
    rec->feed_quota = w->cfg.feed_quota;
    w->diverged_mask = 1u << w->cfg.diverged;
    w->had_quota = w->cfg.feed_quota != 0;
    bool is_ok = true;
    for (region_id id = 1; id <= w->cfg.first_count && is_ok; id++) {
        char endpoint[64];
        char peer[64];
        (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u/", 8000 + id);
        (void)snprintf(peer, sizeof(peer), "127.0.0.1:%u", 9000 + id);
        is_ok = account_add_region(rec, node_region_name(id), endpoint, peer,
                                   INT64_C(1700000000000), NULL) == OK;
    }
    is_ok = is_ok && coordinator_put_record(w, rec, 0);
    mem_free(rec);
    return is_ok;
}

static struct world *build(const struct sim_cfg *cfg)
{
    struct world *w = world_new(cfg);
    w->ledger = ledger_new();
    w->history = history_new();
    w->net = net_new(w);
    w->coord = coordinator_new(w);
    w->nemesis = nemesis_new(w);
    for (region_id id = 1; id <= cfg->region_count; id++) {
        w->nodes[id] = node_new(w, id);
    }
    for (size_t i = 0; i < cfg->client_count; i++) {
        w->clients[i] = client_new(w, (unsigned)i);
    }
    for (pid p = 1; p <= cfg->part_count; p++) {
        region_id home = (region_id)(1 + p % cfg->region_count);
        w->feed_readers[w->feed_reader_count++] = feed_reader_new(w, p, home);
    }
    if (!put_first_record(w)) {
        world_fail(w, "start", "the first record could not be put");
    }
    return w;
}

static void tear_down(struct world *w)
{
    for (size_t i = 0; i < w->feed_reader_count; i++) {
        feed_reader_free(w->feed_readers[i]);
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        node_free(w->nodes[id]);
    }
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        client_free(w->clients[i]);
    }
    nemesis_free(w->nemesis);
    coordinator_free(w->coord);
    net_free(w->net);
    history_free(w->history);
    ledger_free(w->ledger);
    world_free(w);
}

/* ---- phases ---- */

static void bootstrap(struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count && !w->has_failed; id++) {
        node_start(w->nodes[id]);
    }
    bootstrap_start(w);
    world_run(w, w->now + BOOTSTRAP_S * SECOND, bootstrap_is_done);
    if (!w->has_failed && !w->is_bootstrapped) {
        world_fail(w, "liveness", "no writer opened within %d s of the first start", BOOTSTRAP_S);
    }
    for (size_t i = 0; i < w->feed_reader_count; i++) {
        feed_reader_start(w->feed_readers[i]);
    }
}

static bool clients_are_idle(struct world *w)
{
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        if (!client_is_idle(w->clients[i])) {
            return false;
        }
    }
    return true;
}

static void safety(struct world *w)
{
    if (w->cfg.scenario != NULL) {
        scenario_run(w);
    } else {
        nemesis_start(w);
    }
    world_run(w, w->now + w->cfg.safety_us, NULL);
}

/* Asks again and again until the regions are equal and quiet; with `probes`, until client 0 has
 * written and read everywhere as well. */
static bool settle(struct world *w, bool probes, usec limit)
{
    char why[256] = "";
    while (!w->has_failed && w->now < limit) {
        world_run(w, w->now + SECOND / 5, NULL);
        if (probes && !(client_has_probed(w->clients[0]) && client_is_idle(w->clients[0]))) {
            continue;
        }
        if (check_is_converged(w, why)) {
            return true;
        }
    }
    if (!w->has_failed) {
        bool has_probed = !probes || client_has_probed(w->clients[0]);
        (void)check_is_converged(w, why); /* for the message */
        world_fail(w, "liveness", "not settled %s: %s%s",
                   probes ? "after writing again" : "by themselves after healing",
                   has_probed ? "" : "writes or reads do not succeed; ", why);
    }
    return false;
}

static void liveness(struct world *w)
{
    nemesis_heal(w, w->cfg.scenario == NULL);
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        client_stop(w->clients[i]);
    }
    usec bound = (w->cfg.is_wan ? LIVENESS_WAN_S : LIVENESS_LAN_S) * SECOND;
    bound +=
        (usec)w->cfg.timers.slow_for_ms * SLOW_REST * SECOND / 1000; /* for one left out as slow */
    world_run(w, w->now + QUIET_S * SECOND, clients_are_idle);
    /* First without any help: what is under way must end although nobody writes. */
    if (!w->has_failed && settle(w, /* probes= */ false, w->now + bound)) {
        client_probe(w->clients[0]);
        (void)settle(w, /* probes= */ true, w->now + bound); /* says why by itself */
    }
}

static void judgement(struct world *w)
{
    for (size_t i = 0; i < w->feed_reader_count && !w->has_failed; i++) {
        feed_reader_finish(w->feed_readers[i]);
    }
    if (!w->has_failed) {
        check_final(w);
    }
}

/* ---- report ---- */

static void count_ops(const struct world *w, struct run_result *ret)
{
    ret->ops = w->ledger->count;
    for (size_t i = 0; i < w->ledger->count; i++) {
        const struct op *op = w->ledger->ops[i];
        bool is_write = op_is_write(op->kind);
        ret->acknowledged += is_write && op->outcome == OUT_OK;
        ret->reads += !is_write && op->outcome == OUT_OK;
        ret->unknown += op->outcome == OUT_UNKNOWN || op->outcome == OUT_PENDING;
    }
}

static void print_repeat(const struct sim_cfg *c)
{
    (void)fprintf(stderr, "# repeat: ./test sim --seed %llu", (unsigned long long)c->seed);
    if (c->scenario != NULL) {
        (void)fprintf(stderr, " --scenario %s --variant %u --level %s", c->scenario, c->variant,
                      consistency_name(c->level));
    }
    (void)fprintf(stderr, "\n");
}

static void print_status(const struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        struct region *r = node_region(w->nodes[id]);
        struct buf text;
        buf_init(&text, 1 << 20);
        if (r != NULL) {
            region_status_json(r, &text);
        }
        (void)fprintf(stderr, "# region %u: " STR_FMT "\n", id, STR_ARG(buf_str(&text)));
        buf_done(&text);
    }
}

static void report_failure(const struct world *w, const struct run_options *o)
{
    char text[512];
    run_describe(&w->cfg, text);
    (void)fprintf(stderr, "# ---- last events ----\n");
    trace_print(w, o->print_last);
    print_status(w);
    (void)fprintf(stderr, "# %s\n# FAILED %s: %s\n", text, w->failed_check, w->failure);
    print_repeat(&w->cfg);
}

void run_report_abort(void)
{
    const struct world *w = signal_world;
    if (w != NULL) {
        trace_print(w, 60);
        char text[512];
        run_describe(&w->cfg, text);
        (void)fprintf(stderr, "# %s\n# ABORTED at %.6f\n", text, (double)w->now / 1e6);
        print_repeat(&w->cfg);
    }
}

void run_one(const struct run_options *o, struct run_result *ret)
{
    struct sim_cfg cfg;
    run_configure(o, &cfg);
    *ret = (struct run_result){0};
    cover_into(ret->cover);
    struct world *w = build(&cfg);
    w->is_verbose = o->is_verbose;
    signal_world = w;
    if (!w->has_failed) {
        bootstrap(w);
    }
    if (!w->has_failed) {
        safety(w);
    }
    if (!w->has_failed) {
        liveness(w);
    }
    if (!w->has_failed) {
        judgement(w);
    }
    if (!w->has_failed && o->wants_teeth && cfg.level == CONSISTENCY_SESSION &&
        !w->has_level_changed) {
        ret->linear_violations = check_linear_violations(w);
        ret->bounded_violations = check_bounded_violations(w);
    }
    if (w->has_failed && o->print_last > 0) {
        report_failure(w, o);
    }
    ret->has_failed = w->has_failed;
    memcpy(ret->check, w->failed_check, sizeof(ret->check));
    memcpy(ret->failure, w->failure, sizeof(ret->failure));
    ret->trace_hash = w->trace_hash;
    ret->events = w->event_count;
    ret->virtual_us = w->now;
    ret->lost = w->feed_count;
    ret->session_violations = w->session_violations;
    count_ops(w, ret);
    cover_into(NULL);
    signal_world = NULL;
    tear_down(w);
}
