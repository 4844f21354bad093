/* One region's process. See region_server.h.
 *
 *   HTTP threads --(enter: write, wait)--> loop: region core --(batch)--> commit thread
 *        ^                                   |  ^   |  ^                       |
 *        +------(http_respond)---------------+  +---|--+--(enter: durable)-----+
 *                                                   +--> peers, coordinator (same loop)
 *
 * The core is used by one thread at a time, whichever is in the loop (loop_enter): with few requests
 * on their way the HTTP thread orders a write itself and the commit thread answers it; a lone client's
 * write is ordered, made durable and answered on its HTTP thread without any switch. The busier the
 * server, the more of it falls to the loop's thread, in larger rounds.
 *
 * Start: the coordinator must show the account record (it names our region id) before the core can
 * exist; until then only health answers. What the watch reports before that is kept and fed in. */
#include "server/region_server.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cosmos/errors.h"
#include "server/confirm.h"
#include "server/notify.h"
#include "server/region_server_int.h"
#include "server/steps.h"

enum {
    TICK_MS_MAX = 10,
    STOP_GRACE_MS = 1500,       /* this region alone: to hand over */
    STOP_GRACE_WRITES_MS = 300, /* for the answers of writes on their way */
    DRAIN_POLL_MS = 10,
    LOG_OPS_MIN = 1000, /* a region that lacks fewer entries is not what fills the log */
    LOG_DISK_PART = 5,
};

/* ---- start ---- */

static void feed_kept(struct server *s)
{
    for (struct map_entry *e = map_first(&s->seen); e; e = map_next(e)) {
        struct kept_kv *k = map_value(e);
        struct coord_kv kv = {.key = map_key(e), .value = str_make(k->value, k->n), .rev = k->rev};
        region_on_kv(s->region, &kv);
        mem_free(k->value);
        mem_free(k);
    }
    map_clear(&s->seen);
}

static void keep(struct server *s, const struct coord_kv *kv)
{
    struct kept_kv *k = NULL;
    if (!kv->is_deleted) {
        k = MEM_NEW(struct kept_kv);
        k->value = mem_dup(kv->value.p, kv->value.n);
        k->n = kv->value.n;
        k->rev = kv->rev;
    }
    struct kept_kv *old = k ? map_put(&s->seen, kv->key, k) : map_remove(&s->seen, kv->key);
    if (old) {
        mem_free(old->value);
        mem_free(old);
    }
}

static enum err begin_services(struct server *s, const struct account_record *rec)
{
    struct errinfo *ei = &s->failure;
    struct cosmos_service_opts co = {
        .region = s->region,
        .engine = s->engine,
        .backend = server_backend(s),
        .region_name = str_of(s->opts->region),
        .rejects_lost_sessions = s->opts->rejects_lost_sessions,
    };
    TRY(cosmos_service_new(&co, &s->cosmos, ei));
    cosmos_set_record(s->cosmos, rec);
    server_set_auth(s, rec);
    TRY(cosmos_catalog_load(s->cosmos, ei));
    char dir[4096];
    (void)snprintf(dir, sizeof(dir), "%s/archive", s->opts->dir);
    TRY(files_mkdirs(dir, ei));
    s->archiver =
        archiver_new(s->loop, dir, s->self, s->opts->archive_keep_ms, server_on_archived, s);
    server_accept_peers(s, rec);
    struct http_server_opts ho = {
        .threads = s->opts->http_threads,
        .tls_cert = s->opts->tls_cert,
        .tls_key = s->opts->tls_key,
        .handler = server_on_request,
        .refuse = cosmos_refuse,
        .answered = server_on_answered,
        .ctx = s,
    };
    TRY(http_server_new(&ho, &s->http, ei));
    return http_server_listen(s->http, s->opts->http_fd, s->opts->region, ei);
}

static unsigned set_or(unsigned given, unsigned otherwise)
{
    return given > 0 ? given : otherwise;
}

static uint64_t log_budget(const struct server *s)
{
    struct statvfs v;
    if (s->opts->log_budget_size > 0) {
        return s->opts->log_budget_size;
    }
    return statvfs(s->opts->dir, &v) == 0 ? (uint64_t)v.f_blocks * v.f_frsize / LOG_DISK_PART : 0;
}

static enum err begin(struct server *s, const struct account_record *rec,
                      const struct record_region *me)
{
    struct region_io io;
    server_io(s, &io);
    s->self = me->id;
    struct region_cfg cfg = {
        .account = str_of(s->opts->account),
        .self = me->id,
        .incarnation = s->incarnation,
        .timers = strcmp(s->opts->profile, "wan") == 0 ? region_timers_wan : region_timers_lan,
        .seed = s->incarnation,
    };
    cfg.keep_writing = s->opts->keep_writing;
    cfg.log_size_max = log_budget(s);
    cfg.log_ops_min = LOG_OPS_MIN;
    cfg.timers.slow_commit_ms = set_or(s->opts->slow_commit_ms, cfg.timers.slow_commit_ms);
    cfg.timers.slow_for_ms = set_or(s->opts->slow_for_ms, cfg.timers.slow_for_ms);
    cfg.timers.failover_hold_ms = set_or(s->opts->failover_hold_ms, cfg.timers.failover_hold_ms);
    (void)snprintf(cfg.name, sizeof(cfg.name), "%s", me->name);
    (void)snprintf(cfg.endpoint, sizeof(cfg.endpoint), "%s",
                   s->opts->endpoint[0] ? s->opts->endpoint : me->endpoint);
    (void)snprintf(cfg.peer_addr, sizeof(cfg.peer_addr), "%s",
                   s->opts->peer_address[0] ? s->opts->peer_address : me->peer_addr);
    TRY(region_new(&cfg, &io, s->engine, &s->region, &s->failure));
    TRY(begin_services(s, rec));
    feed_kept(s);
    region_on_coord(s->region, true);
    region_flush(s->region);
    return OK;
}

static void fail(struct server *s)
{
    loop_stop(s->loop);
}

/* Once, not at each change of somebody's heartbeat. */
static void log_waiting(struct server *s, const char *what, const char *hint)
{
    if (s->waits_for == NULL || strcmp(s->waits_for, what) != 0) {
        s->waits_for = what;
        LOG_WARN("server", what, "region=%s account=%s hint=\"%s\"", s->opts->region,
                 s->opts->account, hint);
    }
}

/* Called when the watch is complete and whenever the record changes before the core exists. */
static void try_begin(struct server *s)
{
    char key[sizeof(s->prefix) + 16];
    (void)snprintf(key, sizeof(key), "%srecord", s->prefix);
    struct kept_kv *k = map_get(&s->seen, str_of(key));
    if (s->region || !s->is_synced) {
        return;
    }
    if (!k) {
        log_waiting(s, "no_account", "made by `holdfast account init`");
        return;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    enum err err = record_decode(&a, str_make(k->value, k->n), rec, &s->failure);
    if (err == OK) {
        const struct record_region *me = record_region_by_name(rec, str_of(s->opts->region));
        if (!me) {
            log_waiting(s, "not_in_account", "added by `holdfast account regions add`");
        } else {
            err = begin(s, rec, me);
        }
    }
    arena_done(&a);
    if (err != OK) {
        fail(s);
    }
}

static void coord_changed(void *ctx, const struct coord_kv *kv)
{
    struct server *s = ctx;
    if (s->region) {
        region_on_kv(s->region, kv);
    } else {
        keep(s, kv);
        try_begin(s);
    }
}

static void coord_synced(void *ctx)
{
    struct server *s = ctx;
    s->is_synced = true;
    if (s->region) {
        region_on_coord(s->region, true);
    } else {
        try_begin(s);
    }
}

static void coord_lost(void *ctx)
{
    struct server *s = ctx;
    s->is_synced = false;
    if (s->region) {
        region_on_coord(s->region, false);
    }
}

/* ---- time ---- */

static void on_tick(void *ctx)
{
    struct server *s = ctx;
    steps_at_tick();
    if (s->region) {
        region_on_tick(s->region);
        cosmos_tick(s->cosmos);
    }
}

static void on_round_end(void *ctx)
{
    struct server *s = ctx;
    if (s->region) {
        region_flush(s->region);
    }
    if (!server_will_help()) {
        committer_wake(s->committer);
    }
}

/* What is left is for what must be written whatever clients do. A quarter of the reserve more has to
 * be free before writes are taken again, so that the answer does not change with every compaction. */
static void on_space(void *ctx)
{
    struct server *s = ctx;
    uint64_t reserve = s->opts->disk_reserve_size;
    struct engine_stats stats = {0};
    engine_stats_get(s->engine, &stats);
    s->unlooked_size = 0;
    bool is_low = stats.disk_free < (s->is_disk_low ? reserve + reserve / 4 : reserve);
    if (is_low != s->is_disk_low) {
        s->is_disk_low = is_low;
        s->has_left_for_space = false;
        LOG_AT(is_low ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "server",
               is_low ? "disk_low" : "disk_enough",
               "free=%" PRIu64 " reserve=%" PRIu64 " writes=%s", stats.disk_free, reserve,
               is_low ? "refused" : "taken");
    }
    if (s->region) {
        region_set_disk_low(s->region, is_low);
    }
    bool is_writer = s->region && region_role(s->region) == ROLE_WRITER;
    if (is_low && is_writer && !s->has_left_for_space) {
        /* Once for each time it runs low: where all regions share one disk they would hand over for
         * ever. Without another region to take over this does nothing. */
        s->has_left_for_space = true;
        region_drain(s->region);
    }
}

static void on_drain_poll(void *ctx)
{
    struct server *s = ctx;
    bool is_handed_over = s->is_whole_account_ending || region_role(s->region) != ROLE_WRITER;
    if (is_handed_over && !s->is_refusing) {
        s->is_refusing = true;
        cosmos_stopping(s->cosmos); /* what comes from now on gets 503 */
    }
    bool is_done = is_handed_over && atomic_load(&s->writes_open) == 0;
    if (is_done || loop_now(s->loop) >= s->ending_until_us) {
        loop_stop(s->loop);
    }
}

static void on_hangup(void *ctx, int signum)
{
    UNUSED(signum);
    struct server *s = ctx;
    if (s->http) {
        http_server_reread_cert(s->http);
    }
    coord_client_reread(s->coord);
}

static void on_end_signal(void *ctx, int signum)
{
    struct server *s = ctx;
    LOG_INFO("server", "stopping", "signal=%d open_writes=%lu", signum,
             atomic_load(&s->writes_open));
    if (s->is_ending || !s->region) {
        loop_stop(s->loop); /* asked twice, or nothing to take care of */
        return;
    }
    s->is_ending = true;
    /* SIGTERM stops this region alone: a writer hands over first. SIGINT stops the whole account:
     * there is nobody to hand over to. */
    s->is_whole_account_ending = signum == SIGINT;
    unsigned grace_ms = s->is_whole_account_ending ? STOP_GRACE_WRITES_MS : STOP_GRACE_MS;
    s->ending_until_us = loop_now(s->loop) + (usec)grace_ms * 1000;
    if (!s->is_whole_account_ending) {
        region_drain(s->region);
    }
    loop_timer_set(s->drain_poll, 1, DRAIN_POLL_MS);
}

/* ---- life ---- */

static enum err server_start(struct server *s, struct errinfo *ei)
{
    const struct region_server_opts *o = s->opts;
    char dir[4096];
    (void)snprintf(dir, sizeof(dir), "%s/store", o->dir);
    TRY(files_mkdirs(o->dir, ei));
    struct engine_opts eo = {.driver = str_of(o->engine), .dir = str_of(dir)};
    TRY(engine_open(&eo, &s->engine, ei));
    TRY(confirm_note(o->dir, o->region, s->incarnation, ei));
    struct committer_cfg cc = {
        .engine = s->engine, .done = server_on_durable, .settled = server_on_settled, .ctx = s};
    s->committer = committer_new(&cc);
    s->coord = coord_client_new(s->loop, o->coordinator, o->secrets);
    if (o->secret_file != NULL) {
        TRY(coord_client_follow(s->coord, o->secret_file, ei));
    }
    struct coord_events ev = {
        .ctx = s, .changed = coord_changed, .synced = coord_synced, .lost = coord_lost};
    coord_client_watch(s->coord, str_of(s->prefix), &ev);
    s->tick = loop_timer_new(s->loop, on_tick, s);
    s->gone_timer = loop_timer_new(s->loop, server_free_gone, s);
    loop_timer_set(s->tick, TICK_MS_MAX, TICK_MS_MAX);
    s->drain_poll = loop_timer_new(s->loop, on_drain_poll, s);
    if (o->disk_reserve_size > 0 && strcmp(o->engine, "mem") != 0) {
        s->space = loop_timer_new(s->loop, on_space, s);
        loop_timer_set(s->space, 1, SPACE_PERIOD_MS);
    }
    loop_on_idle(s->loop, on_round_end, s);
    s->watchdog = notify_watchdog_start(s->loop);
    loop_on_signal(s->loop, SIGTERM, on_end_signal, s);
    loop_on_signal(s->loop, SIGINT, on_end_signal, s);
    loop_on_signal(s->loop, SIGHUP, on_hangup, s);
    return OK;
}

static void server_stop(struct server *s)
{
    /* Answers first (503 on what is still open), then everything below. */
    notify_send("STOPPING=1");
    if (s->cosmos) {
        cosmos_stopping(s->cosmos);
    }
    feed_free(s->feed); /* who waits gets what there is */
    s->feed = NULL;
    http_server_free(s->http, 100); /* writes without an answer get 408 */
    for (size_t i = 0; i < s->peer_count; i++) {
        link_client_free(s->peers[i].client);
    }
    server_free_gone(s);
    link_server_free(s->link_server);
    if (s->coord) {
        coord_client_free(s->coord);
    }
    loop_timer_free(s->tick);
    loop_timer_free(s->gone_timer);
    loop_timer_free(s->drain_poll);
    loop_timer_free(s->space);
    if (s->watchdog) {
        loop_timer_free(s->watchdog);
    }
    committer_free(s->committer); /* what was handed over becomes durable */
    archiver_free(s->archiver);
    cosmos_service_free(s->cosmos);
    cosmos_auth_free(s->auth);
    region_free(s->region);
    engine_close(s->engine);
}

static uint64_t own_incarnation(void)
{
    const char *given =
        getenv("HOLDFAST_INCARNATION"); /* NOLINT(concurrency-mt-unsafe): start-up */
    uint64_t id = 0;
    if (!given || !str_to_u64(str_of(given), &id) || id == 0) {
        rng_os_bytes(&id, sizeof(id));
        id = (id & UINT64_C(0x1fffffffffffff)) | 1;
    }
    return id;
}

enum err region_server_run(const struct region_server_opts *opts, struct errinfo *ei)
{
    struct server *s = MEM_NEW(struct server);
    s->opts = opts;
    s->overrides = opts->overrides;
    s->loop = loop_new();
    s->incarnation = own_incarnation();
    map_init(&s->seen);
    s->http_metrics = http_metrics_new();
    char process[RECORD_NAME_MAX + 16];
    (void)snprintf(process, sizeof(process), "server/%s", opts->region);
    s->feed = feed_new(s->loop, process);
    (void)snprintf(s->prefix, sizeof(s->prefix), COORD_PREFIX "%s/", opts->account);
    enum err err = server_start(s, ei);
    if (err == OK) {
        loop_run(s->loop);
        err = s->failure.code;
        if (err != OK && ei) {
            *ei = s->failure;
        }
        server_stop(s);
    } else {
        feed_free(s->feed);
        committer_free(s->committer);
        engine_close(s->engine);
    }
    map_done(&s->seen);
    http_metrics_free(s->http_metrics);
    loop_free(s->loop);
    mem_free(s);
    return err;
}
