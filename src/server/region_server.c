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
#include <unistd.h>

#include "account/region.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "coord/coord_client.h"
#include "cosmos/errors.h"
#include "cosmos/service.h"
#include "engine/commit.h"
#include "engine/engine.h"
#include "net/http_server.h"
#include "net/link.h"
#include "net/loop.h"
#include "server/admin.h"
#include "server/archive.h"
#include "server/confirm.h"
#include "server/http_metrics.h"
#include "server/notify.h"
#include "server/server_admin.h"
#include "server/steps.h"
#include "json/json.h"

enum {
    TICK_MS_MAX = 10,
    STOP_GRACE_MS = 1500,       /* this region alone: to hand over */
    STOP_GRACE_WRITES_MS = 300, /* for the answers of writes on their way */
    DRAIN_POLL_MS = 10,
    SPACE_PERIOD_MS = 250,
    LOG_OPS_MIN = 1000, /* a region that lacks fewer entries is not what fills the log */
    LOG_DISK_PART = 5,
    SUBMIT_MAX = 4096, /* writes and waits taken from the HTTP threads in one round */
};

struct peer {
    struct server *server;
    region_id id;
    char addr[128];
    struct link_client *client;
    struct link *out; /* our outgoing link while it is up */
};

/* Ready batches of durable tickets, posted from the commit thread. */
struct durable {
    struct server *server;
    size_t count;
    struct committer_done each[];
};

struct txn_wait {
    struct server *server;
    uint64_t ticket;
    bool is_change; /* of the record */
};

struct server {
    const struct region_server_opts *opts;
    struct peer_overrides overrides; /* as last read */
    struct loop *loop;
    struct coord_client *coord;
    struct engine *engine;
    struct committer *committer;
    struct archiver *archiver;
    struct region *region; /* NULL until the record names us */
    struct cosmos_service *cosmos;
    struct cosmos_auth *auth;
    struct http_server *http;
    struct http_metrics *http_metrics; /* counted by HTTP threads */
    atomic_ulong writes_open; /* submitted by HTTP threads and not yet answered by the core */
    uint64_t waits[2][2];     /* kind, 0 = in time */
    struct link_server *link_server;
    struct peer peers[SERVER_PEERS_MAX];
    size_t peer_count;
    struct link_client *gone[SERVER_PEERS_MAX]; /* of regions that left, to be freed by the timer */
    size_t gone_count;
    struct loop_timer *gone_timer;
    struct map seen; /* key -> struct kept_kv, until the core exists */
    struct feed *feed;
    struct loop_timer *tick, *watchdog, *drain_poll, *space;
    region_id self;
    uint64_t incarnation;
    char prefix[RECORD_NAME_MAX + 64];
    bool is_disk_low; /* free space is below the reserve */
    bool has_left_for_space;
    size_t unlooked_size; /* bytes written since the free space was looked at */
    bool is_synced, is_ready, is_ending, is_whole_account_ending, is_refusing;
    usec ending_until_us;
    struct errinfo failure;
};

struct kept_kv {
    char *value;
    size_t n;
    coord_rev rev;
};

/* ---- what the core asks for ---- */

static usec io_now(void *ctx)
{
    UNUSED(ctx);
    return clock_boot_us();
}

static int64_t io_wall_ms(void *ctx)
{
    UNUSED(ctx);
    return clock_wall_ms();
}

static void io_fatal(void *ctx, enum err err, const char *why)
{
    UNUSED(ctx);
    /* What this process believes about its disk is wrong now: nothing may be answered any more. */
    LOG_ERROR("server", "fatal", "error=%s why=%s", err_name(err), why);
    _exit(err_exit_code(err));
}

static void io_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct server *s = ctx;
    s->unlooked_size += engine_batch_size(b);
    if (s->space && s->unlooked_size > s->opts->disk_reserve_size / 8) {
        s->unlooked_size = 0;
        loop_timer_set(s->space, 1, SPACE_PERIOD_MS); /* much was written: look at once */
    }
    if (committer_submit(s->committer, b, ticket) != OK) {
        /* The core bounds what it has in flight far below this queue: the disk has stopped. */
        io_fatal(s, ERR_IO, "the commit queue is full: the disk does not keep up at all");
    }
}

static void durable_arrived(void *ctx)
{
    struct durable *d = ctx;
    steps_at_durable(region_role(d->server->region));
    for (size_t i = 0; i < d->count; i++) {
        region_on_commit(d->server->region, d->each[i].ticket, d->each[i].err);
    }
    mem_free(d);
}

/* With many writes on their way the core's data is best kept in one processor's cache and its rounds
 * large: they are the loop's thread's. With few, switching to it costs more than that. */
static bool is_crowded(const struct server *s)
{
    enum { CROWD = 12 };
    return atomic_load_explicit(&s->writes_open, memory_order_relaxed) > CROWD;
}

/* On the thread that did the group. */
static void on_durable(void *ctx, const struct committer_done *done, size_t n,
                       const struct errinfo *ei)
{
    struct server *s = ctx;
    if (ei->code != OK) {
        LOG_ERROR("server", "storage_failed", "error=%s message=%s", err_name(ei->code),
                  ei->message);
    }
    struct durable *d = mem_alloc(sizeof(*d) + n * sizeof(d->each[0]));
    d->server = s;
    d->count = n;
    memcpy(d->each, done, n * sizeof(d->each[0]));
    bool is_posted = is_crowded(s) || committer_has_queue(s->committer)
                         ? loop_post(s->loop, durable_arrived, d)
                         : loop_enter(s->loop, durable_arrived, d);
    ASSERT(is_posted); /* far fewer groups in flight than the loop's queue holds */
}

/* On the same thread. */
static void on_settled(void *ctx)
{
    struct server *s = ctx;
    if (is_crowded(s)) {
        loop_wake(s->loop); /* what was left before it became crowded */
    } else {
        loop_help(s->loop);
    }
}

static struct peer *peer_by_id(struct server *s, region_id id)
{
    for (size_t i = 0; i < s->peer_count; i++) {
        if (s->peers[i].id == id) {
            return &s->peers[i];
        }
    }
    return NULL;
}

static void io_send(void *ctx, region_id to, struct str frame)
{
    struct peer *p = peer_by_id(ctx, to);
    if (p && p->out && !link_send(p->out, frame)) {
        LOG_DEBUG("server", "frame_dropped", "peer=%u bytes=%zu", to, frame.n);
    }
    steps_at_send(frame);
}

static void on_txn_done(void *ctx, const struct coord_txn_result *res)
{
    struct txn_wait *w = ctx;
    if (w->is_change) {
        steps_at_answer();
    }
    region_on_txn(w->server->region, w->ticket, res);
    mem_free(w);
}

static void io_txn(void *ctx, const struct coord_txn *t, uint64_t ticket)
{
    struct server *s = ctx;
    struct txn_wait *w = MEM_NEW(struct txn_wait);
    w->server = s;
    w->ticket = ticket;
    w->is_change = steps_at_txn(s->region ? region_role(s->region) : ROLE_STARTING, t);
    const struct region_timers *timers =
        strcmp(s->opts->profile, "wan") == 0 ? &region_timers_wan : &region_timers_lan;
    coord_client_txn(s->coord, t, timers->coord_timeout_ms, on_txn_done, w);
}

static void io_reply(void *ctx, struct region_write *w)
{
    struct server *s = ctx;
    cosmos_write_done(s->cosmos, w);
    atomic_fetch_sub_explicit(&s->writes_open, 1, memory_order_relaxed);
}

static void io_wait_done(void *ctx, struct region_wait *w)
{
    struct server *s = ctx;
    s->waits[w->kind == WAIT_COMMIT][w->err != OK]++;
    cosmos_wait_done(s->cosmos, w);
}

static void io_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct server *s = ctx;
    archiver_save(s->archiver, p, entries, ticket);
}

static void on_archived(void *ctx, uint64_t ticket, enum err err)
{
    struct server *s = ctx;
    region_on_archived(s->region, ticket, err);
}

static void io_event(void *ctx, const struct region_event *ev)
{
    struct server *s = ctx;
    admin_event(s->feed, ev);
    steps_at_event(ev);
}

static void sync_peers(struct server *s);

static void set_auth(struct server *s, const struct account_record *rec)
{
    const char *keys[4] = {rec->key[0], rec->key[1], rec->key[2], rec->key[3]};
    cosmos_auth_free(s->auth);
    s->auth = cosmos_auth_new(keys);
}

static void io_published(void *ctx)
{
    struct server *s = ctx;
    if (!s->region || !region_record(s->region)) {
        return;
    }
    cosmos_set_record(s->cosmos, region_record(s->region));
    set_auth(s, region_record(s->region));
    /* Only where the crowd that comes back is the one that this disk has answered. */
    committer_gather(s->committer,
                     region_role(s->region) == ROLE_WRITER &&
                         record_write_level(region_record(s->region)) != CONSISTENCY_STRONG);
    sync_peers(s);
    /* Recovering and offline servers answer for themselves, too: 403/1008. */
    enum region_role role = region_role(s->region);
    if (!s->is_ready && role != ROLE_STARTING) {
        s->is_ready = true;
        notify_send("READY=1");
        LOG_INFO("server", "ready", "role=%s", region_role_name(role));
    }
}

static void io_metadata_applied(void *ctx, lsn upto)
{
    struct server *s = ctx;
    cosmos_metadata_applied(s->cosmos, upto);
}

static bool io_conflict_build(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                              region_id from, bool was_acknowledged,
                              const struct write_place *place, struct buf *out_key,
                              struct buf *out_text, uint64_t *ret_rid)
{
    struct server *s = ctx;
    return cosmos_conflict_build(s->cosmos, p, lost, op_idx, from, was_acknowledged, place, out_key,
                                 out_text, ret_rid);
}

/* ---- from the HTTP threads ---- */

struct submit {
    struct server *server;
    struct region_write *write;
    struct region_wait *wait;
};

static void submit_arrived(void *ctx)
{
    struct submit *sub = ctx;
    struct server *s = sub->server;
    if (sub->write && s->is_disk_low && region_role(s->region) == ROLE_WRITER) {
        sub->write->err = ERR_DISK_FULL; /* certainly not applied */
        io_reply(s, sub->write);
    } else if (sub->write) {
        region_write(sub->server->region, sub->write);
    } else {
        region_wait(sub->server->region, sub->wait);
    }
    mem_free(sub);
}

static bool submit_post(struct server *s, struct region_write *write, struct region_wait *wait)
{
    struct submit *sub = mem_alloc(sizeof(*sub));
    *sub = (struct submit){s, write, wait};
    bool is_posted = false;
    if (is_crowded(s)) {
        is_posted = loop_post(s->loop, submit_arrived, sub);
    } else if (write && committer_is_busy(s->committer)) {
        /* What is ordered now would not be written any sooner: it is left to whoever does the present
         * group, who then orders all that came meanwhile in one round. */
        is_posted = loop_leave(s->loop, submit_arrived, sub);
        if (!committer_is_busy(s->committer)) {
            loop_help(s->loop); /* it has settled meanwhile, perhaps without seeing ours */
        }
    } else {
        is_posted = loop_enter(s->loop, submit_arrived, sub);
    }
    if (!is_posted) {
        mem_free(sub);
    }
    return is_posted;
}

/* Set while this thread is on its way to committer_help(). */
static _Thread_local bool will_help;

static bool backend_write(void *ctx, struct region_write *w)
{
    struct server *s = ctx;
    /* A thread that serves one busy client, whose write is the only one: nobody waits for it but that
     * client, so it may as well wait for the disk. */
    bool is_alone = atomic_fetch_add_explicit(&s->writes_open, 1, memory_order_relaxed) == 0 &&
                    http_thread_is_alone();
    will_help = is_alone;
    bool is_posted = submit_post(s, w, NULL);
    will_help = false;
    if (!is_posted) {
        atomic_fetch_sub_explicit(&s->writes_open, 1, memory_order_relaxed);
    } else if (is_alone) {
        committer_help(s->committer);
    }
    return is_posted;
}

static bool backend_wait(void *ctx, struct region_wait *w)
{
    return submit_post(ctx, NULL, w);
}

struct unreadable {
    struct server *server;
    pid pid;
    struct errinfo ei;
};

static void unreadable_arrived(void *ctx)
{
    struct unreadable *u = ctx;
    region_part_unreadable(u->server->region, u->pid, &u->ei);
    mem_free(u);
}

static void backend_unreadable(void *ctx, pid p, const struct errinfo *ei)
{
    struct server *s = ctx;
    struct unreadable *u = mem_alloc(sizeof(*u));
    *u = (struct unreadable){s, p, *ei};
    if (!loop_post(s->loop, unreadable_arrived, u)) {
        mem_free(u);
    }
}

struct admin_call {
    struct server *server;
    struct http_req *req;
};

static void admin_arrived(void *ctx)
{
    struct admin_call *call = ctx;
    struct server *s = call->server;
    const struct server_admin admin = {.region = s->region,
                                       .engine = s->engine,
                                       .committer = s->committer,
                                       .http = s->http,
                                       .http_metrics = s->http_metrics,
                                       .waits = s->waits,
                                       .cosmos = s->cosmos,
                                       .is_disk_low = s->is_disk_low,
                                       .has_drill_faults = s->opts->has_drill_faults,
                                       .disk_reserve_size = s->opts->disk_reserve_size,
                                       .auth = s->auth,
                                       .feed = s->feed};
    server_admin_handle(&admin, call->req);
    mem_free(call);
}

static void on_request(void *ctx, struct http_req *req)
{
    struct server *s = ctx;
    if (!admin_is_ours(req)) {
        cosmos_handle(s->cosmos, req);
        return;
    }
    struct admin_call *call = mem_alloc(sizeof(*call));
    *call = (struct admin_call){s, req};
    if (!loop_post(s->loop, admin_arrived, call)) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_BUSY, "too many requests wait already");
        admin_respond_error(req, &ei);
        mem_free(call);
    }
}

static void on_answered(void *ctx, const struct http_req *req, int status)
{
    struct server *s = ctx;
    http_metrics_answered(s->http_metrics, req, status);
}

/* ---- peers ---- */

static bool parse_hello(struct str hello, struct str account, region_id *ret)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    uint64_t id = 0;
    struct str name = STR_NONE;
    bool is_fine = json_parse(&a, hello, NULL, &doc, NULL) == OK &&
                   json_get_str(doc, STR("account"), &name) && str_eq(name, account) &&
                   json_get_u64(doc, STR("region"), &id) && id > 0 && id <= REGION_ID_MAX;
    arena_done(&a);
    *ret = (region_id)id;
    return is_fine;
}

static bool in_up(void *ctx, struct link *l, struct str hello)
{
    struct server *s = ctx;
    region_id id = 0;
    if (!parse_hello(hello, str_of(s->opts->account), &id) || id == s->self) {
        LOG_WARN("server", "peer_refused", "reason=%s", "not a region of this account");
        return false;
    }
    link_set_user(l, (void *)(uintptr_t)id);
    return true;
}

static void in_frame(void *ctx, struct link *l, struct str payload)
{
    struct server *s = ctx;
    region_on_frame(s->region, (region_id)(uintptr_t)link_user(l), payload);
}

static void in_down(void *ctx, struct link *l)
{
    UNUSED(ctx);
    UNUSED(l);
}

static bool out_up(void *ctx, struct link *l, struct str hello)
{
    struct peer *p = ctx;
    region_id id = 0;
    if (!parse_hello(hello, str_of(p->server->opts->account), &id) || id != p->id) {
        LOG_WARN("server", "peer_refused", "peer=%u reason=%s", p->id,
                 "another region answers at its address");
        return false;
    }
    p->out = l;
    region_on_link(p->server->region, p->id, true);
    return true;
}

static void out_frame(void *ctx, struct link *l, struct str payload)
{
    /* Links are used one way: each side answers on its own outgoing one. */
    UNUSED(ctx);
    UNUSED(l);
    UNUSED(payload);
}

static void out_down(void *ctx, struct link *l)
{
    struct peer *p = ctx;
    if (p->out != l) {
        return; /* of a client that was given up */
    }
    p->out = NULL;
    region_on_link(p->server->region, p->id, false);
}

static void hello_text(const struct server *s, char *ret, size_t size)
{
    (void)snprintf(ret, size, "{\"account\":\"%s\",\"region\":%u,\"incarnation\":%" PRIu64 "}",
                   s->opts->account, s->self, s->incarnation);
}

static const char *override_of(const struct server *s, const struct record_region *r)
{
    for (size_t i = 0; i < s->overrides.count; i++) {
        if (str_eq_nocase(str_of(s->overrides.items[i].region), str_of(r->name))) {
            return s->overrides.items[i].addr;
        }
    }
    return NULL;
}

/* A region that joined while we ran has its link in the configuration before it has an address in the
 * record: the supervisor writes them in this order. */
static const char *peer_addr(struct server *s, const struct record_region *r)
{
    const char *found = override_of(s, r);
    if (found == NULL && s->opts->overrides_again != NULL &&
        s->opts->overrides_again(s->opts->overrides_ctx, &s->overrides)) {
        found = override_of(s, r);
    }
    return found != NULL ? found : r->peer_addr;
}

/* Not at once: that a link goes down must not be told from inside the core. */
static void free_gone(void *ctx)
{
    struct server *s = ctx;
    while (s->gone_count > 0) {
        link_client_free(s->gone[--s->gone_count]);
    }
}

static void sync_peers(struct server *s)
{
    const struct account_record *rec = region_record(s->region);
    for (size_t i = 0; i < s->peer_count; i++) {
        struct peer *p = &s->peers[i];
        bool has_room = s->gone_count < ARRAY_COUNT(s->gone);
        if (p->client && has_room &&
            !record_region_const(rec, p->id)) { /* it has left the account */
            s->gone[s->gone_count++] = p->client;
            p->client = NULL;
            loop_timer_set(s->gone_timer, 1, 0);
        }
    }
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *r = &rec->regions[i];
        if (r->id == s->self || !r->peer_addr[0]) {
            continue;
        }
        struct peer *p = peer_by_id(s, r->id);
        const char *addr = peer_addr(s, r);
        if (!p) {
            ASSERT(s->peer_count < SERVER_PEERS_MAX);
            p = &s->peers[s->peer_count++];
            p->server = s;
            p->id = r->id;
        }
        if (!p->client) {
            struct link_events ev = {.ctx = p, .up = out_up, .frame = out_frame, .down = out_down};
            char hello[256];
            hello_text(s, hello, sizeof(hello));
            p->client = link_client_new(s->loop, addr, str_of(rec->peer_secret),
                                        s->opts->peer_security, str_of(hello), &ev);
        } else if (strcmp(p->addr, addr) != 0) {
            link_client_set_addr(p->client, addr);
        }
        (void)snprintf(p->addr, sizeof(p->addr), "%s", addr);
    }
}

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
    struct cosmos_backend backend = {
        .ctx = s, .write = backend_write, .wait = backend_wait, .unreadable = backend_unreadable};
    struct cosmos_service_opts co = {
        .region = s->region,
        .engine = s->engine,
        .backend = backend,
        .region_name = str_of(s->opts->region),
        .rejects_lost_sessions = s->opts->rejects_lost_sessions,
    };
    TRY(cosmos_service_new(&co, &s->cosmos, ei));
    cosmos_set_record(s->cosmos, rec);
    set_auth(s, rec);
    TRY(cosmos_catalog_load(s->cosmos, ei));
    char dir[4096];
    (void)snprintf(dir, sizeof(dir), "%s/archive", s->opts->dir);
    TRY(files_mkdirs(dir, ei));
    s->archiver = archiver_new(s->loop, dir, s->self, on_archived, s);
    struct link_events ev = {.ctx = s, .up = in_up, .frame = in_frame, .down = in_down};
    char hello[256];
    hello_text(s, hello, sizeof(hello));
    s->link_server = link_server_new(s->loop, s->opts->peer_fd, str_of(rec->peer_secret),
                                     s->opts->peer_security, str_of(hello), &ev);
    struct http_server_opts ho = {
        .threads = s->opts->http_threads,
        .tls_cert = s->opts->tls_cert,
        .tls_key = s->opts->tls_key,
        .handler = on_request,
        .refuse = cosmos_refuse,
        .answered = on_answered,
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
    static const struct region_io io = {
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
    struct region_io with_ctx = io;
    with_ctx.ctx = s;
    s->self = me->id;
    struct region_cfg cfg = {
        .account = str_of(s->opts->account),
        .self = me->id,
        .incarnation = s->incarnation,
        .timers = strcmp(s->opts->profile, "wan") == 0 ? region_timers_wan : region_timers_lan,
        .seed = s->incarnation,
    };
    cfg.log_size_max = log_budget(s);
    cfg.log_ops_min = LOG_OPS_MIN;
    cfg.timers.slow_commit_ms = set_or(s->opts->slow_commit_ms, cfg.timers.slow_commit_ms);
    cfg.timers.slow_for_ms = set_or(s->opts->slow_for_ms, cfg.timers.slow_for_ms);
    cfg.timers.failover_hold_ms = set_or(s->opts->failover_hold_ms, cfg.timers.failover_hold_ms);
    (void)snprintf(cfg.name, sizeof(cfg.name), "%s", me->name);
    (void)snprintf(cfg.endpoint, sizeof(cfg.endpoint), "%s", me->endpoint);
    (void)snprintf(cfg.peer_addr, sizeof(cfg.peer_addr), "%s", me->peer_addr);
    TRY(region_new(&cfg, &with_ctx, s->engine, &s->region, &s->failure));
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

/* Called when the watch is complete and whenever the record changes before the core exists. */
static void try_begin(struct server *s)
{
    char key[sizeof(s->prefix) + 16];
    (void)snprintf(key, sizeof(key), "%srecord", s->prefix);
    struct kept_kv *k = map_get(&s->seen, str_of(key));
    if (!k || s->region || !s->is_synced) {
        return;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    enum err err = record_decode(&a, str_make(k->value, k->n), rec, &s->failure);
    if (err == OK) {
        const struct record_region *me = record_region_by_name(rec, str_of(s->opts->region));
        if (!me) {
            LOG_WARN("server", "not_in_account", "region=%s account=%s", s->opts->region,
                     s->opts->account);
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
    if (!will_help) {
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
        .engine = s->engine, .done = on_durable, .settled = on_settled, .ctx = s};
    s->committer = committer_new(&cc);
    s->coord = coord_client_new(s->loop, o->coordinator, o->secret);
    struct coord_events ev = {
        .ctx = s, .changed = coord_changed, .synced = coord_synced, .lost = coord_lost};
    coord_client_watch(s->coord, str_of(s->prefix), &ev);
    s->tick = loop_timer_new(s->loop, on_tick, s);
    s->gone_timer = loop_timer_new(s->loop, free_gone, s);
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
    free_gone(s);
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
