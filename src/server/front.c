/* The front. See front.h.
 *
 * HTTP threads hand every request to the loop; there it is answered, forwarded, or held in a list
 * that is looked at again whenever the record changes. Everything but the hand-over is on the loop's
 * thread. */
#include "server/front.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "account/record.h"
#include "account/region.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord/coord_client.h"
#include "cosmos/account_doc.h"
#include "cosmos/auth.h"
#include "cosmos/errors.h"
#include "manage/manage.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/sockets.h"
#include "server/admin.h"
#include "server/feed.h"
#include "server/front_admin.h"
#include "server/notify.h"
#include "server/secret_file.h"
#include "server/story.h"
#include "server/webhook.h"
#include "json/json.h"

enum {
    FORWARD_TIMEOUT_MS = 60000, /* as long as a client waits by default */
    CONNECT_TIMEOUT_MS = 500,
    HELD_PERIOD_MS = 50,
    STOP_GRACE_MS = 500, /* for what is being forwarded when the front is to end */
    STOP_PERIOD_MS = 10,
    DETOURS_MAX = 4096, /* a power of two */
};

/* Of its listener; the others are called after their regions, which cannot have this name. */
static const char global_name[] = "*";

struct front_req {
    struct front *front;
    struct http_req *http;
    struct list link; /* in front.held while held */
    usec deadline_us;
    bool is_write;
    bool is_on_global;   /* else a stand-in for `region` */
    size_t region;       /* index into front.regions */
    region_id target;    /* being asked now */
    uint64_t place;      /* hash of container and partition key; 0 = not looked at */
    uint64_t tried_mask; /* regions that were asked since it was last held */
    /* A held request is looked at again when the world has changed since (struct front.changes), at
     * `again_us` when a region refused it (which may know less of the record than we do), and at its
     * deadline. */
    uint64_t seen_changes;
    usec again_us;
};

/* A partition key whose writes another region took than the account's writer. */
struct detour {
    uint64_t place;
    region_id region; /* 0 = none */
};

struct front {
    const struct front_opts *opts;
    struct loop *loop;
    struct coord_client *coord;
    struct http_client *client;
    struct http_server *http;
    struct http_metrics *http_metrics; /* counted by HTTP threads */
    struct front_record rec;
    struct cosmos_auth *auth;
    struct feed *feed;
    struct story story;
    struct webhook *webhook;            /* NULL = none */
    uint64_t changes;                   /* of the record, and of regions that we stand in for */
    struct detour detours[DETOURS_MAX]; /* by place; the newest of those that meet in one stays */
    size_t open_count; /* requests that have no answer yet: held or being forwarded */
    struct list held;
    size_t held_count;
    struct loop_timer *held_timer, *stop_timer;
    struct secret_file *webhook_secret_file, *token_file; /* NULL: they stay as they are */
    char token[FILES_SECRET_SIZE];                        /* newest of that file */
    struct loop_timer *watchdog;                          /* NULL = nobody watches */
    size_t region_count; /* those of the options, and those added since */
    struct front_region regions[FRONT_REGIONS_MAX];
    bool is_standing_in[FRONT_REGIONS_MAX];
    struct loop_fd *control;
    char control_line[256];
    size_t control_n;
    int control_new_fd; /* came with the line that is being read; -1 = none */
    uint64_t forwarded, retried, unknown, stood_in, held_total, held_expired, refused_full;
    char prefix[RECORD_NAME_MAX + 64];
    char endpoint[256]; /* our own, as management answers name it */
    struct manage_opts manage;
    bool is_synced, is_ready;
    usec lost_us;            /* since when it is not synced; 0 = it never was */
    atomic_bool is_stopping; /* read by HTTP threads, too */
    usec stopping_until_us;
};

/* ---- answers ---- */

static void finish(struct front_req *r)
{
    ASSERT(r->front->open_count > 0 && list_is_empty(&r->link));
    r->front->open_count--;
    mem_free(r);
}

static void answer_error(struct front_req *r, enum err err, const char *message)
{
    struct errinfo ei = {0};
    err_set(&ei, err, "%s", message);
    cosmos_respond_error(r->http, &ei);
    finish(r);
}

static void answer_account(struct front_req *r)
{
    struct buf body;
    buf_init(&body, 1 << 20);
    const char *region = r->is_on_global ? NULL : r->front->regions[r->region].name;
    cosmos_account_document(&r->front->rec.record, region, &body);
    admin_respond(r->http, 200, &body, "application/json");
    buf_done(&body);
    finish(r);
}

static void hold(struct front_req *r)
{
    struct front *f = r->front;
    if (atomic_load(&f->is_stopping)) {
        answer_error(r, ERR_UNAVAILABLE, "the front is stopping; nothing was applied");
        return;
    }
    r->seen_changes = f->changes;
    r->again_us = r->tried_mask != 0 ? loop_now(f->loop) + (usec)HELD_PERIOD_MS * 1000 : UINT64_MAX;
    list_push_back(&f->held, &r->link);
    f->held_count++;
    f->held_total++;
}

static struct front_req *unhold(struct front *f, struct list *link)
{
    list_remove(link);
    f->held_count--;
    return LIST_ENTRY(link, struct front_req, link);
}

/* ---- forwarding ---- */

/* Some partition is written there although the account's writer is another region. Which one a request
 * is for, only regions know: the account's writer is asked first, and says "not me" for the others'.
 * Who took it in the end is remembered by container and partition key and asked first from then on; a
 * region that has become the wrong one says so, which costs one more detour. */
static bool writes_partitions(const struct account_record *rec, region_id id)
{
    for (size_t i = 0; i < rec->override_count; i++) {
        if (rec->overrides[i].writer == id && rec->overrides[i].phase != PHASE_PROMOTING) {
            return true;
        }
    }
    return false;
}

static bool can_serve(const struct account_record *rec, const struct record_region *reg,
                      bool is_write)
{
    bool is_writer = reg->id == rec->writer;
    if (is_write) {
        return (is_writer && rec->phase != PHASE_PROMOTING && reg->state == REGION_ONLINE_WRITE) ||
               writes_partitions(rec, reg->id);
    }
    return reg->state == REGION_ONLINE_WRITE || reg->state == REGION_ONLINE_READ;
}

/* Its address is ours now: forwarding there would come back to us. */
static bool is_away(const struct front *f, const struct record_region *reg)
{
    for (size_t i = 0; i < f->region_count; i++) {
        if (f->is_standing_in[i] && strcmp(f->regions[i].name, reg->name) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t place_of(const struct http_req *req)
{
    /* "/dbs/D/colls/C": names are compared as they were sent, a request spelt otherwise learns anew. */
    struct str container = req->target;
    size_t slashes = 0;
    for (size_t i = 0; i < container.n; i++) {
        slashes += container.p[i] == '/' ? 1U : 0U;
        if (slashes == 5) {
            container.n = i;
        }
    }
    uint64_t h =
        str_hash(http_header(req, STR("x-ms-documentdb-partitionkey")), str_hash(container, 0));
    return h != 0 ? h : 1;
}

static struct detour *detour_of(struct front_req *r)
{
    r->place = r->place != 0 ? r->place : place_of(r->http);
    return &r->front->detours[r->place % DETOURS_MAX];
}

/* The region that took the last write to the same place, when that was not the account's writer. */
static region_id known_detour(struct front_req *r)
{
    if (!r->is_write || r->front->rec.record.override_count == 0) {
        return 0;
    }
    const struct detour *d = detour_of(r);
    return d->place == r->place ? d->region : 0;
}

static void note_detour(struct front_req *r, bool is_refused)
{
    const struct account_record *rec = &r->front->rec.record;
    if (!r->is_write || rec->override_count == 0) {
        return;
    }
    struct detour *d = detour_of(r);
    if (!is_refused && r->target != rec->writer) {
        *d = (struct detour){r->place, r->target};
    } else if (d->place == r->place && d->region == r->target) {
        *d = (struct detour){0};
    }
}

/* Who is known to write the request's partition, else the account's writer when it can, else the first
 * region by priority that was not tried yet. */
static const struct record_region *choose(struct front_req *r)
{
    region_id known = known_detour(r);
    const struct account_record *rec = &r->front->rec.record;
    const struct record_region *best = NULL;
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *reg = &rec->regions[i];
        bool is_tried = ((r->tried_mask >> reg->id) & 1) != 0;
        if (is_tried || !can_serve(rec, reg, r->is_write) || is_away(r->front, reg)) {
            continue;
        }
        if (reg->id == known) {
            return reg;
        }
        if (!best || reg->id == rec->writer) {
            best = reg;
        }
    }
    return best;
}

static void serve(struct front_req *r);
static void serve_held(struct front *f);

static bool is_hop_header(struct str name)
{
    static const char *const hop[] = {
        "connection", "host",    "content-length", "transfer-encoding",
        "keep-alive", "upgrade", "expect"};
    for (size_t i = 0; i < ARRAY_COUNT(hop); i++) {
        if (str_eq_nocase(name, str_of(hop[i]))) {
            return true;
        }
    }
    return false;
}

static struct str substatus_of(const struct http_client_result *res)
{
    for (size_t i = 0; i < res->header_count; i++) {
        if (str_eq_nocase(res->headers[i].name, STR("x-ms-substatus"))) {
            return res->headers[i].value;
        }
    }
    return STR("");
}

/* Answers by which a region says "not me": worth asking again once the record has changed. */
static bool says_not_me(const struct http_client_result *res)
{
    struct str sub = substatus_of(res);
    return res->status == 403 && (str_eq(sub, STR("3")) || str_eq(sub, STR("1008")));
}

/* "Your session has seen more than I have": another region may have it. */
static bool says_behind(const struct http_client_result *res)
{
    return res->status == 404 && str_eq(substatus_of(res), STR("1002"));
}

static void on_forwarded(void *ctx, const struct http_client_result *res)
{
    struct front_req *r = ctx;
    struct front *f = r->front;
    bool may_ask_again = r->is_on_global && loop_now(f->loop) < r->deadline_us;
    r->tried_mask |= UINT64_C(1) << r->target;
    if (res->err == OK) {
        note_detour(r, says_not_me(res));
    }
    bool asks_again =
        may_ask_again && (says_not_me(res) || (says_behind(res) && choose(r) != NULL));
    if (res->err == OK && !asks_again) {
        struct http_response out = {.status = res->status, .body_copy = res->body};
        for (size_t i = 0; i < res->header_count && out.header_count < HTTP_RESPONSE_HEADERS_MAX;
             i++) {
            if (!is_hop_header(res->headers[i].name) &&
                !str_eq_nocase(res->headers[i].name, STR("date"))) {
                http_response_header(&out, res->headers[i].name, res->headers[i].value);
            }
        }
        http_respond(r->http, &out);
        f->forwarded++;
        finish(r);
        return;
    }
    if (res->err != OK && res->was_sent && r->is_write) {
        /* It may have been applied: never say that it was not. */
        f->unknown++;
        answer_error(r, ERR_UNKNOWN_OUTCOME, "the write region was lost before it answered");
        return;
    }
    if (atomic_load(&f->is_stopping)) {
        answer_error(r, ERR_UNAVAILABLE, "the front is stopping; nothing was applied");
        return;
    }
    f->retried++;
    LOG_DEBUG("front", "forward_failed", "region=%u error=%s status=%d", r->target,
              err_name(res->err), res->status);
    serve(r);
}

static void forward(struct front_req *r, const struct record_region *reg)
{
    struct http_header headers[HTTP_HEADER_COUNT_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->http->header_count; i++) {
        if (!is_hop_header(r->http->headers[i].name)) {
            headers[n++] = r->http->headers[i];
        }
    }
    struct str base = str_of(reg->endpoint);
    if (base.n > 0 && base.p[base.n - 1] == '/') {
        base.n--;
    }
    struct str url =
        arena_printf(&r->http->arena, STR_FMT STR_FMT, STR_ARG(base), STR_ARG(r->http->target));
    struct http_client_req req = {
        .method = arena_cstr(&r->http->arena, r->http->method),
        .url = arena_cstr(&r->http->arena, url),
        .headers = headers,
        .header_count = n,
        .body = r->http->body,
        .timeout_ms = FORWARD_TIMEOUT_MS,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .ca_file = r->front->opts->tls_ca,
    };
    r->target = reg->id;
    (void)http_client_start(r->front->client, &req, on_forwarded, r);
}

static void serve_global(struct front_req *r)
{
    struct front *f = r->front;
    const struct record_region *reg = choose(r);
    if (reg) {
        forward(r, reg);
    } else if (loop_now(f->loop) < r->deadline_us) {
        hold(r);
    } else {
        f->held_expired++;
        answer_error(r, ERR_UNAVAILABLE,
                     "no region can serve this request now; nothing was applied");
    }
}

/* The region's own server is away. While the record still calls it online a failover (or its return)
 * is near: hold, so that the client learns "not here" together with where to go. When the server is
 * back meanwhile, it answers what came to its address. */
static void serve_stand_in(struct front_req *r)
{
    struct front *f = r->front;
    const struct account_record *rec = &f->rec.record;
    const struct record_region *reg =
        record_region_by_name(&f->rec.record, str_of(f->regions[r->region].name));
    if (reg && !f->is_standing_in[r->region] && ((r->tried_mask >> reg->id) & 1) == 0) {
        forward(r, reg);
        return;
    }
    bool is_writer = reg && (rec->writer == reg->id || writes_partitions(rec, reg->id));
    bool is_listed = reg && can_serve(rec, reg, false);
    bool is_settled = r->is_write ? !is_writer && rec->phase == PHASE_OPEN : !is_listed;
    bool is_late = loop_now(f->loop) >= r->deadline_us;
    if (!is_settled && !is_late) {
        hold(r);
        return;
    }
    f->stood_in++;
    if (!is_settled) {
        f->held_expired++;
        answer_error(r, ERR_UNAVAILABLE, "this region does not answer now; nothing was applied");
    } else if (r->is_write) {
        answer_error(r, ERR_NOT_WRITER,
                     "this region does not take writes now; nothing was applied");
    } else {
        answer_error(r, ERR_REGION_GONE, "this region is not part of the account now");
    }
}

/* What a front answers itself is no data: the account document, and that a region is away. Data
 * requests to the global endpoint are authenticated by the region that serves them. */
static bool is_admitted(struct front_req *r)
{
    struct errinfo ei = {0};
    bool is_own_answer =
        str_eq(r->http->target, STR("/")) || r->http->target.n == 0 || !r->is_on_global;
    if (is_own_answer &&
        cosmos_auth_check_account(r->front->auth, r->http, clock_wall_ms(), &ei) != OK) {
        cosmos_respond_error(r->http, &ei);
        finish(r);
        return false;
    }
    return true;
}

static void serve(struct front_req *r)
{
    struct front *f = r->front;
    if (!f->rec.is_known) { /* just started: the coordinator is about to say */
        if (loop_now(f->loop) < r->deadline_us) {
            hold(r);
        } else {
            answer_error(
                r, ERR_UNAVAILABLE,
                f->rec.is_behind
                    ? "this version of the front cannot read the account record; nothing was "
                      "applied"
                    : "the account is not known here yet; nothing was applied");
        }
    } else if (!is_admitted(r)) {
        return;
    } else if (str_eq(r->http->target, STR("/")) && !r->is_write) {
        answer_account(r);
    } else if (r->is_on_global) {
        serve_global(r);
    } else {
        serve_stand_in(r);
    }
}

static void serve_held(struct front *f)
{
    usec now = loop_now(f->loop);
    struct list again;
    list_init(&again);
    LIST_FOR_SAFE(l, &f->held) {
        const struct front_req *r = LIST_ENTRY(l, struct front_req, link);
        if (r->seen_changes != f->changes || now >= r->again_us || now >= r->deadline_us) {
            (void)unhold(f, l);
            list_push_back(&again, l);
        }
    }
    for (struct list *l = list_pop_front(&again); l; l = list_pop_front(&again)) {
        struct front_req *r = LIST_ENTRY(l, struct front_req, link);
        r->tried_mask = 0;
        serve(r);
    }
}

/* The files of secrets have been changed: what was signed or let in with the former ones is so no more. */
static void take_secrets(struct front *f)
{
    char secret[FILES_SECRET_SIZE];
    size_t n = 0;
    if (secret_file_take(f->webhook_secret_file, secret, &n)) {
        webhook_set_secret(f->webhook, str_make(secret, n));
        explicit_bzero(secret, sizeof(secret));
    }
    if (secret_file_take(f->token_file, f->token, &n)) {
        f->manage.token = str_make(f->token, n);
    }
}

static void on_held_timer(void *ctx)
{
    struct front *f = ctx;
    serve_held(f);
    take_secrets(f);
    if (story_is_behind(&f->story)) {
        story_tick(&f->story, &f->rec.record, clock_wall_ms(), f->feed, f->webhook);
    }
}

/* ---- requests ---- */

static bool is_write_request(const struct http_req *req)
{
    if (str_eq(req->method, STR("GET")) || str_eq(req->method, STR("HEAD"))) {
        return false;
    }
    if (!str_eq(req->method, STR("POST"))) {
        return true;
    }
    static const char *const reading[] = {"x-ms-documentdb-isquery", "x-ms-documentdb-query",
                                          "x-ms-cosmos-is-query-plan-request"};
    for (size_t i = 0; i < ARRAY_COUNT(reading); i++) {
        if (str_eq_nocase(http_header(req, str_of(reading[i])), STR("true"))) {
            return false;
        }
    }
    return !str_starts(http_header(req, STR("content-type")), STR("application/query+json"));
}

static void answer_admin(struct front *f, struct http_req *req)
{
    unsigned stale_ms = f->opts->stale_ms > 0 ? f->opts->stale_ms : FRONT_STALE_MS;
    struct front_status status = {.is_ready = f->is_ready,
                                  .is_synced = f->is_synced,
                                  .is_stale = !f->is_synced && loop_now(f->loop) - f->lost_us >=
                                                                   (usec)stale_ms * 1000,
                                  .forwarded = f->forwarded,
                                  .retried = f->retried,
                                  .unknown = f->unknown,
                                  .stood_in = f->stood_in,
                                  .open = f->open_count,
                                  .held = f->held_count,
                                  .held_total = f->held_total,
                                  .held_expired = f->held_expired,
                                  .refused_full = f->refused_full,
                                  .region_count = f->region_count,
                                  .http_metrics = f->http_metrics,
                                  .http = f->http,
                                  .feed = f->feed,
                                  .has_webhook = f->webhook != NULL};
    webhook_stats(f->webhook, &status.webhook);
    for (size_t i = 0; i < f->region_count; i++) {
        status.regions[i].name = f->regions[i].name;
        status.regions[i].is_away = f->is_standing_in[i];
    }
    front_admin(req, &f->rec, f->auth, f->coord, f->loop, &status);
}

/* Of an account: its document, or something that a region has to answer. */
static void serve_first(struct front_req *r)
{
    struct front *f = r->front;
    list_init(&r->link);
    f->open_count++;
    r->is_write = is_write_request(r->http);
    r->deadline_us = r->http->received_us +
                     (usec)(f->opts->hold_ms > 0 ? f->opts->hold_ms : FRONT_HOLD_MS) * 1000;
    if (f->open_count > (f->opts->requests_max > 0 ? f->opts->requests_max : FRONT_REQUESTS_MAX)) {
        f->refused_full++;
        answer_error(r, ERR_UNAVAILABLE, "too many requests wait already; nothing was applied");
        return;
    }
    if (atomic_load(&f->is_stopping)) {
        answer_error(r, ERR_UNAVAILABLE, "the front is stopping; nothing was applied");
        return;
    }
    serve(r);
}

/* A region's operator endpoints tell of its own process. Ours in their place would make one that is away
 * look ready, and our events and metrics look like its own. */
static void refuse_admin(struct http_req *req, const char *region)
{
    struct errinfo ei = {0};
    err_set(&ei, ERR_UNAVAILABLE, "the server of region %s is away", region);
    admin_respond_error(req, &ei);
}

static void on_loop_request(void *ctx)
{
    struct front_req *r = ctx;
    struct front *f = r->front;
    r->is_on_global = true;
    for (size_t i = 0; i < f->region_count; i++) {
        if (strcmp(r->http->listener, f->regions[i].name) == 0) {
            r->is_on_global = false;
            r->region = i;
        }
    }
    bool is_admin = admin_is_ours(r->http);
    if (is_admin && r->is_on_global) {
        answer_admin(f, r->http);
    } else if (is_admin) {
        refuse_admin(r->http, f->regions[r->region].name);
    } else if (manage_is_ours(r->http) && r->is_on_global) {
        manage_request(&f->manage, r->http);
    } else {
        serve_first(r);
        return;
    }
    mem_free(r);
}

static void on_request(void *ctx, struct http_req *req)
{
    struct front *f = ctx;
    struct front_req *r = MEM_NEW(struct front_req);
    r->front = f;
    r->http = req;
    bool is_stopping = atomic_load(&f->is_stopping); /* the loop may have run for the last time */
    if (is_stopping || !loop_post(f->loop, on_loop_request, r)) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_UNAVAILABLE, "%s; nothing was applied",
                is_stopping ? "the front is stopping" : "too many requests wait already");
        cosmos_respond_error(req, &ei);
        mem_free(r);
    }
}

static void on_answered(void *ctx, const struct http_req *req, int status)
{
    struct front *f = ctx;
    http_metrics_answered(f->http_metrics, req, status);
}

/* ---- standing in ---- */

static void tell(struct front *f, const char *event, const char *region)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "region=%s", region);
    feed_add(f->feed, clock_wall_ms(), event, 0, text);
}

static void set_stand_in(struct front *f, struct str name, bool is_down)
{
    for (size_t i = 0; i < f->region_count && !atomic_load(&f->is_stopping); i++) {
        const char *region = f->regions[i].name;
        if (!str_eq(name, str_of(region)) || f->is_standing_in[i] == is_down) {
            continue;
        }
        f->is_standing_in[i] = is_down;
        struct errinfo ei = {0};
        if (!is_down) {
            http_server_unlisten(f->http, region);
        } else if (http_server_listen(f->http, f->regions[i].fd, region, &ei) != OK) {
            LOG_ERROR("front", "cannot_stand_in", "region=%s error=%s", region, ei.message);
            f->is_standing_in[i] = false;
        }
        f->changes++;
        LOG_INFO("front", is_down ? "standing_in" : "stepping_back", "region=%s", region);
        tell(f, is_down ? "standing_in" : "stepping_back", region);
        serve_held(f);
    }
}

/* A region of the account that joins while we run; its listening socket came with the line. */
static void add_region(struct front *f, struct str name)
{
    int fd = f->control_new_fd;
    f->control_new_fd = -1;
    bool is_known = false;
    for (size_t i = 0; i < f->region_count; i++) {
        is_known = is_known || str_eq(name, str_of(f->regions[i].name));
    }
    struct front_region *r = &f->regions[f->region_count];
    if (is_known || fd < 0 || f->region_count == FRONT_REGIONS_MAX || name.n >= sizeof(r->name)) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    *r = (struct front_region){.fd = fd};
    memcpy(r->name, name.p, name.n);
    f->region_count++;
}

static ssize_t read_control(struct front *f)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {f->control_line + f->control_n, sizeof(f->control_line) - f->control_n};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(f->opts->control_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    for (struct cmsghdr *h = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL; h; h = CMSG_NXTHDR(&msg, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
            if (f->control_new_fd >= 0) {
                close(f->control_new_fd);
            }
            memcpy(&f->control_new_fd, CMSG_DATA(h), sizeof(int));
        }
    }
    return n;
}

/* Lines: "down NAME", "up NAME", "add NAME" (always with a socket: lines before it may come together
 * with it, no other one that has one can). */
static void on_control(void *ctx)
{
    struct front *f = ctx;
    for (;;) {
        ssize_t n = read_control(f);
        if (n <= 0) {
            break;
        }
        f->control_n += (size_t)n;
        struct str rest = str_make(f->control_line, f->control_n);
        struct str line;
        struct str tail;
        while (str_split(rest, '\n', &line, &tail)) {
            struct str verb = STR_NONE;
            struct str name = STR_NONE;
            if (str_split(line, ' ', &verb, &name) && str_eq(verb, STR("add"))) {
                add_region(f, name);
            } else if (name.n > 0) {
                set_stand_in(f, name, str_eq(verb, STR("down")));
            }
            rest = tail;
        }
        memmove(f->control_line, rest.p, rest.n);
        f->control_n =
            rest.n == sizeof(f->control_line) ? 0 : rest.n; /* a line cannot be that long */
    }
}

/* ---- the record ---- */

/* Ready means that a write sent to the global endpoint would be taken. */
static void say_when_ready(struct front *f)
{
    bool is_open =
        f->rec.is_known && f->rec.record.phase == PHASE_OPEN && f->rec.record.writer != 0;
    if (f->is_synced && is_open && !f->is_ready) {
        f->is_ready = true;
        notify_send("READY=1");
        LOG_INFO("front", "ready", "account=%s", f->rec.record.name);
    }
}

static void coord_changed(void *ctx, const struct coord_kv *kv)
{
    struct front *f = ctx;
    char key[sizeof(f->prefix) + 16];
    (void)snprintf(key, sizeof(key), "%sbeat/", f->prefix);
    uint64_t id = 0;
    if (!kv->is_deleted && str_starts(kv->key, str_of(key)) &&
        str_to_u64(str_slice(kv->key, strlen(key), kv->key.n), &id) && id >= 1 &&
        id <= REGION_ID_MAX) {
        story_beat(&f->story, (region_id)id, kv->value);
    }
    (void)snprintf(key, sizeof(key), "%srecord", f->prefix);
    if (!str_eq(kv->key, str_of(key)) || kv->is_deleted) {
        return;
    }
    struct errinfo ei = {0};
    if (front_record_set(&f->rec, kv, &ei) != OK) {
        LOG_ERROR("front", "bad_record", "error=\"%s\"", ei.message);
        feed_add(f->feed, clock_wall_ms(), "bad_record", 0, ei.message);
        return;
    }
    const char *keys[4] = {f->rec.record.key[0], f->rec.record.key[1], f->rec.record.key[2],
                           f->rec.record.key[3]};
    cosmos_auth_free(f->auth);
    f->auth = cosmos_auth_new(keys);
    f->changes++;
    story_note(&f->story, &f->rec.record, clock_wall_ms(), f->feed, f->webhook);
    serve_held(f);
    say_when_ready(f);
}

static void coord_synced(void *ctx)
{
    struct front *f = ctx;
    if (!f->is_synced) {
        feed_add(f->feed, clock_wall_ms(), "coordinator_found", 0, "");
    }
    f->is_synced = true;
    if (!f->rec.is_known) {
        LOG_WARN("front", "no_account", "account=%s hint=\"%s\"", f->opts->account,
                 "made by `holdfast account init`");
    }
    say_when_ready(f);
}

static void coord_lost(void *ctx)
{
    struct front *f = ctx;
    f->lost_us = f->is_synced ? loop_now(f->loop) : f->lost_us;
    f->is_synced = false;
    feed_add(f->feed, clock_wall_ms(), "coordinator_lost", 0,
             "serving=\"the last known document\"");
    /* The last document stays: a wrong writer entry costs a client one 403/3, none at all stops it. Where
     * there is another front, whoever sends clients to the global endpoint hears soon that we are not ready. */
    LOG_WARN("front", "coordinator_lost", "serving=%s", "the last known account document");
}

/* ---- life ---- */

static void on_stop_timer(void *ctx)
{
    struct front *f = ctx;
    if (f->open_count == 0 || loop_now(f->loop) >= f->stopping_until_us) {
        loop_stop(f->loop);
    }
}

static void on_hangup(void *ctx, int signum)
{
    UNUSED(signum);
    struct front *f = ctx;
    http_server_reread_cert(f->http);
    coord_client_reread(f->coord);
    secret_file_reread(f->webhook_secret_file);
    secret_file_reread(f->token_file);
}

/* No new work, what is held is refused, what is being forwarded gets a little time. */
static void on_end_signal(void *ctx, int signum)
{
    struct front *f = ctx;
    LOG_INFO("front", "stopping", "signal=%d open=%zu", signum, f->open_count);
    notify_send("STOPPING=1");
    if (atomic_exchange(&f->is_stopping, true)) {
        loop_stop(f->loop); /* asked twice: do not wait */
        return;
    }
    http_server_unlisten(f->http, global_name);
    for (size_t i = 0; i < f->region_count; i++) {
        if (f->is_standing_in[i]) {
            http_server_unlisten(f->http, f->regions[i].name);
        }
    }
    while (!list_is_empty(&f->held)) {
        answer_error(unhold(f, f->held.next), ERR_UNAVAILABLE,
                     "the front is stopping; nothing was applied");
    }
    f->stopping_until_us = loop_now(f->loop) + (usec)STOP_GRACE_MS * 1000;
    loop_timer_set(f->stop_timer, 1, STOP_PERIOD_MS);
}

static void on_last_post(void *ctx)
{
    loop_stop(ctx);
}

static void front_stop(struct front *f)
{
    /* Requests that were handed over before HTTP threads saw is_stopping: each gets its 503. */
    if (loop_post(f->loop, on_last_post, f->loop)) {
        loop_run(f->loop);
    }
    http_client_free(f->client); /* ends what is being forwarded: 408 or 503, each truthful */
    coord_client_free(f->coord); /* likewise changes of the account */
    front_record_release(&f->rec);
    feed_free(f->feed);
    webhook_free(f->webhook);
    secret_file_free(f->webhook_secret_file);
    secret_file_free(f->token_file);
    explicit_bzero(f->token, sizeof(f->token));
    http_server_free(f->http, STOP_GRACE_MS);
    loop_timer_free(f->held_timer);
    loop_timer_free(f->stop_timer);
    loop_timer_free(f->watchdog);
    loop_fd_free(f->control);
}

static const struct account_record *known_record(void *ctx)
{
    const struct front *f = ctx;
    return f->rec.is_known ? &f->rec.record : NULL;
}

static void open_management(struct front *f)
{
    if (f->opts->endpoint && f->opts->endpoint[0]) {
        (void)snprintf(f->endpoint, sizeof(f->endpoint), "%s", f->opts->endpoint);
    } else {
        (void)snprintf(f->endpoint, sizeof(f->endpoint), "http://127.0.0.1:%u/",
                       sockets_port(f->opts->global_fd));
    }
    f->manage = (struct manage_opts){.token = f->opts->management_token,
                                     .own_endpoint = f->endpoint,
                                     .can_host = f->opts->control_fd >= 0,
                                     .known = known_record,
                                     .ctx = f};
}

static enum err follow_secrets(struct front *f, struct errinfo *ei)
{
    const struct front_opts *o = f->opts;
    struct secret_file_opts hook = {"webhook", o->webhook_secret_file, o->webhook_secret,
                                    WEBHOOK_SECRET_SIZE_MIN};
    struct secret_file_opts token = {"management_token", o->management_token_file,
                                     o->management_token, MANAGE_TOKEN_SIZE_MIN};
    if (o->webhook != NULL && hook.path != NULL) {
        TRY(secret_file_new(&hook, &f->webhook_secret_file, ei));
    }
    return token.path != NULL ? secret_file_new(&token, &f->token_file, ei) : OK;
}

static enum err front_start(struct front *f, struct errinfo *ei)
{
    open_management(f);
    struct http_server_opts ho = {
        .threads = f->opts->http_threads,
        .tls_cert = f->opts->tls_cert,
        .tls_key = f->opts->tls_key,
        .handler = on_request,
        .refuse = cosmos_refuse,
        .answered = on_answered,
        .ctx = f,
    };
    TRY(http_server_new(&ho, &f->http, ei));
    TRY(http_server_listen(f->http, f->opts->global_fd, global_name, ei));
    f->client = http_client_new(f->loop);
    f->coord = coord_client_new(f->loop, f->opts->coordinator, f->opts->secrets);
    if (f->opts->secret_file != NULL) {
        TRY(coord_client_follow(f->coord, f->opts->secret_file, ei));
    }
    f->manage.coord = f->coord;
    if (f->opts->webhook) {
        TRY(webhook_new(f->loop, f->opts->webhook, f->opts->webhook_secret, &f->webhook, ei));
    }
    TRY(follow_secrets(f, ei));
    struct coord_events ev = {
        .ctx = f, .changed = coord_changed, .synced = coord_synced, .lost = coord_lost};
    coord_client_watch(f->coord, str_of(f->prefix), &ev);
    f->held_timer = loop_timer_new(f->loop, on_held_timer, f);
    loop_timer_set(f->held_timer, HELD_PERIOD_MS, HELD_PERIOD_MS);
    f->stop_timer = loop_timer_new(f->loop, on_stop_timer, f);
    f->watchdog = notify_watchdog_start(f->loop);
    if (f->opts->control_fd >= 0) {
        int flags = fcntl(f->opts->control_fd, F_GETFL);
        if (flags < 0 || fcntl(f->opts->control_fd, F_SETFL, flags | O_NONBLOCK) != 0) {
            return err_set(ei, ERR_IO, "bad control socket: errno %d", errno);
        }
        f->control = loop_fd_new(f->loop, f->opts->control_fd, on_control, f);
    }
    loop_on_signal(f->loop, SIGTERM, on_end_signal, f);
    loop_on_signal(f->loop, SIGINT, on_end_signal, f);
    loop_on_signal(f->loop, SIGHUP, on_hangup, f);
    return OK;
}

enum err front_run(const struct front_opts *opts, struct errinfo *ei)
{
    struct front *f = MEM_NEW(struct front);
    f->opts = opts;
    f->loop = loop_new();
    list_init(&f->held);
    f->control_new_fd = -1;
    f->region_count = opts->region_count;
    memcpy(f->regions, opts->regions, sizeof(f->regions));
    f->http_metrics = http_metrics_new();
    f->feed = feed_new(f->loop, "front");
    front_record_init(&f->rec);
    (void)snprintf(f->prefix, sizeof(f->prefix), COORD_PREFIX "%s/", opts->account);
    enum err err = front_start(f, ei);
    if (err == OK) {
        loop_run(f->loop);
    }
    atomic_store(&f->is_stopping, true); /* a start that failed half-way may listen already */
    front_stop(f);
    cosmos_auth_free(f->auth);
    front_record_done(&f->rec);
    http_metrics_free(f->http_metrics);
    loop_free(f->loop);
    mem_free(f);
    return err;
}
