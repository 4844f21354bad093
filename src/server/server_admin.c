/* Operator endpoints of a region server. See server_admin.h. */
#include "server/server_admin.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "net/link.h"
#include "server/metrics.h"
#include "server/steps.h"
#include "json/json.h"

static void answer(struct http_req *req, int status, struct str text)
{
    struct buf body;
    buf_init(&body, 1024);
    buf_add_str(&body, text);
    admin_respond(req, status, &body, "application/json");
    buf_done(&body);
}

static void health(const struct server_admin *s, struct http_req *req)
{
    enum region_role role = s->region ? region_role(s->region) : ROLE_STARTING;
    bool is_fine = str_eq(req->target, STR("/health/live"));
    if (str_eq(req->target, STR("/health/ready"))) {
        is_fine = role == ROLE_READER || role == ROLE_WRITER || role == ROLE_HOLDING ||
                  role == ROLE_TAKING || role == ROLE_PROMOTING;
    } else if (str_eq(req->target, STR("/health/write"))) {
        is_fine = role == ROLE_WRITER && !s->is_disk_low &&
                  clock_boot_us() < atomic_load(&region_view(s->region)->fresh_until_us);
    } else if (!is_fine) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_NOT_FOUND, "no such health endpoint");
        err_hint(&ei, "live, ready or write");
        admin_respond_error(req, &ei);
        return;
    }
    struct str text = arena_printf(&req->arena, "{\"status\":\"%s\",\"role\":\"%s\"}\n",
                                   is_fine ? "ok" : "not ready", region_role_name(role));
    answer(req, is_fine ? 200 : 503, text);
}

static void engine_metrics(struct engine *engine, struct buf *b)
{
    struct engine_stats s = {0};
    engine_stats_get(engine, &s);
    metric_u64(b, "holdfast_engine_disk_bytes", METRIC_GAUGE, "Bytes the store uses on disk.",
               s.disk_size);
    metric_u64(b, "holdfast_engine_disk_free_bytes", METRIC_GAUGE,
               "Bytes free on the store's disk.", s.disk_free);
    metric_u64(b, "holdfast_engine_memory_bytes", METRIC_GAUGE, "Bytes the store holds in memory.",
               s.memory_size);
    metric_u64(b, "holdfast_engine_syncs_total", METRIC_COUNTER, "Syncs of the store's log.",
               s.syncs);
    metric_u64(b, "holdfast_engine_batches_total", METRIC_COUNTER, "Batches applied.", s.batches);
    metric_u64(b, "holdfast_engine_written_bytes_total", METRIC_COUNTER, "Bytes applied.",
               s.bytes_written);
}

static void commit_metrics(const struct committer *committer, struct buf *b)
{
    struct committer_stats s = {0};
    committer_stats_get(committer, &s);
    metric_u64(b, "holdfast_commit_groups_total", METRIC_COUNTER,
               "Groups made durable, each with one sync; batches per group is the grouping.",
               s.groups);
    metric_u64(b, "holdfast_commit_batches_total", METRIC_COUNTER, "Batches in those groups.",
               s.batches);
    metric_u64(b, "holdfast_commit_written_bytes_total", METRIC_COUNTER, "Bytes in those groups.",
               s.bytes);
    metric_u64(b, "holdfast_commit_group_batches_max", METRIC_GAUGE,
               "Batches in the largest group.", s.group_batches_max);
    metric_u64(b, "holdfast_commit_queued", METRIC_GAUGE, "Batches waiting for the disk.",
               s.queued);
    metric_u64(b, "holdfast_commit_queued_bytes", METRIC_GAUGE, "Bytes waiting for the disk.",
               s.queued_size);
    static const char name[] = "holdfast_commit_seconds";
    metric_head(b, name, METRIC_SUMMARY,
                "Write and sync of one group, since the start of the process.");
    metric_row_seconds(b, name, "quantile", "0.5", s.apply_us_p50);
    metric_row_seconds(b, name, "quantile", "0.99", s.apply_us_p99);
    metric_row_seconds(b, name, "quantile", "1", s.apply_us_max);
    metric_row(b, "holdfast_commit_seconds_count", NULL, NULL, s.groups);
}

static void wait_metrics(uint64_t (*waits)[2], struct buf *b)
{
    static const char *const kinds[] = {"session", "commit"};
    static const char *const results[] = {"in_time", "too_late"};
    static const char name[] = "holdfast_read_waits_total";
    metric_head(
        b, name, METRIC_COUNTER,
        "Reads that waited for a session token to be reached here, or for a commit (Strong).");
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t result = 0; result < 2; result++) {
            buf_printf(b, "%s{kind=\"%s\",result=\"%s\"} %" PRIu64 "\n", name, kinds[kind],
                       results[result], waits[kind][result]);
        }
    }
}

static void session_metrics(struct cosmos_service *cosmos, struct buf *b)
{
    struct cosmos_counts c;
    cosmos_counts(cosmos, &c);
    metric_u64(b, "holdfast_session_losses_total", METRIC_COUNTER,
               "Requests whose session token named what a failover cut off.", c.sessions_lost);
    metric_u64(b, "holdfast_session_losses_refused_total", METRIC_COUNTER,
               "Of those, answered with 404/1002.", c.sessions_rejected);
}

static void link_metrics(struct buf *b)
{
    struct link_stats s;
    link_stats_get(&s);
    metric_u64(b, "holdfast_links_encrypted_total", METRIC_COUNTER,
               "Links between regions that came up with TLS.", s.encrypted_count);
    metric_u64(b, "holdfast_links_plain_total", METRIC_COUNTER,
               "Links between regions that came up without encryption.", s.plain_count);
    metric_u64(b, "holdfast_links_refused_total", METRIC_COUNTER,
               "Peers turned away because they speak TLS, or do not, against peer-tls.",
               s.refused_count);
    metric_u64(b, "holdfast_links_tls_failures_total", METRIC_COUNTER,
               "TLS handshakes and records on links that were wrong, those of a peer with another "
               "secret among them.",
               s.tls_failure_count);
    metric_u64(b, "holdfast_links_late_total", METRIC_COUNTER,
               "Links dropped because connection and proof took too long.", s.late_count);
}

enum { PARTITIONS_SIZE_MAX = 15 << 20 }; /* of an answer; our client reads 16 MiB */

static void metrics(const struct server_admin *s, struct http_req *req)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    metric_process(&b);
    metric_secrets(&b, s->coord);
    if (s->region) {
        region_metrics(s->region, &b);
        wait_metrics(s->waits, &b);
    }
    if (s->cosmos) {
        session_metrics(s->cosmos, &b);
    }
    engine_metrics(s->engine, &b);
    commit_metrics(s->committer, &b);
    link_metrics(&b);
    metric_u64(&b, "holdfast_disk_low", METRIC_GAUGE,
               "1 while writes are refused because the disk is almost full.", s->is_disk_low);
    http_metrics_write(s->http_metrics, s->http, &b);
    admin_respond(req, 200, &b, METRIC_CONTENT_TYPE);
    buf_done(&b);
}

static bool get_i64(const struct json *v, struct str key, int64_t max, int64_t *ret)
{
    const struct json *m = json_get(v, key);
    return m == NULL || (json_is_integer(m, ret) && *ret >= -max && *ret <= max);
}

static enum err disturb_clock(const struct json *clock, struct errinfo *ei)
{
    enum { AHEAD_MS_MAX = 86400000, DRIFT_PPM_MAX = 500000 };
    int64_t ahead_ms = 0;
    int64_t drift_ppm = 0;
    if (clock->type != JSON_OBJECT || !get_i64(clock, STR("aheadMs"), AHEAD_MS_MAX, &ahead_ms) ||
        !get_i64(clock, STR("driftPpm"), DRIFT_PPM_MAX, &drift_ppm)) {
        return err_set(ei, ERR_INVALID,
                       "clock has aheadMs from -%d to %d and driftPpm from -%d to %d", AHEAD_MS_MAX,
                       AHEAD_MS_MAX, DRIFT_PPM_MAX, DRIFT_PPM_MAX);
    }
    clock_disturb(ahead_ms, drift_ppm);
    return OK;
}

static enum err disturb(const struct server_admin *s, const struct http_req *req, struct arena *a,
                        struct errinfo *ei)
{
    enum { DELAY_MS_MAX = 600000 };
    const struct json *body = NULL;
    struct str disk = STR("");
    uint64_t delay_ms = 0;
    TRY(json_parse(a, req->body, NULL, &body, ei));
    struct str step = STR_NONE;
    if (json_get_str(body, STR("standStill"), &step)) {
        return steps_arm(step, ei);
    }
    uint64_t spoiled = 0;
    if (json_get_u64(body, STR("corruptPartition"), &spoiled)) {
        engine_spoil(s->engine, spoiled);
        return OK;
    }
    const struct json *clock = json_get(body, STR("clock"));
    if (clock != NULL) {
        return disturb_clock(clock, ei);
    }
    (void)json_get_str(body, STR("disk"), &disk);
    (void)json_get_u64(body, STR("delayMs"), &delay_ms);
    if (str_eq(disk, STR("sound"))) {
        engine_disturb(s->engine, 0, UINT64_MAX);
    } else if (str_eq(disk, STR("slow")) && delay_ms > 0 && delay_ms <= DELAY_MS_MAX) {
        engine_disturb(s->engine, delay_ms, UINT64_MAX);
    } else if (str_eq(disk, STR("full")) && s->disk_reserve_size > 0) {
        engine_disturb(s->engine, 0, s->disk_reserve_size / 2);
    } else if (str_eq(disk, STR("full"))) {
        return err_set(ei, ERR_PRECONDITION,
                       "this region keeps no disk reserve: nothing would happen "
                       "before the disk really is full");
    } else {
        return err_set(ei, ERR_INVALID, "disk is slow (with delayMs from 1 to %d), full or sound",
                       DELAY_MS_MAX);
    }
    return OK;
}

/* True when it answered. */
static bool post(const struct server_admin *s, struct http_req *req, bool is_read_only,
                 struct errinfo *ei)
{
    if (!str_eq(req->method, STR("POST")) || !s->has_drill_faults ||
        !str_eq(req->target, STR("/_holdfast/fault"))) {
        return false;
    }
    if (is_read_only) {
        (void)err_set(ei, ERR_FORBIDDEN, "this needs a read-write key");
    } else if (disturb(s, req, &req->arena, ei) == OK) {
        answer(req, 200, STR("{}"));
        return true;
    }
    admin_respond_error(req, ei);
    return true;
}

void server_admin_handle(const struct server_admin *s, struct http_req *req)
{
    struct errinfo ei = {0};
    bool is_read_only = false;
    if (str_starts(req->target, STR("/health/"))) {
        health(s, req);
        return;
    }
    if (str_eq(req->target, STR("/metrics"))) {
        metrics(s, req);
        return;
    }
    if (!s->auth || !s->region) {
        err_set(&ei, ERR_UNAVAILABLE, "the account is not known here yet");
    } else if (admin_check(s->auth, req, atomic_load(&region_view(s->region)->clock_ahead_ms),
                           &is_read_only, &ei) == OK) {
        if (post(s, req, is_read_only, &ei)) {
            return;
        }
        if (str_eq(req->target, STR("/_holdfast/status"))) {
            struct buf body;
            buf_init(&body, 8 << 20);
            region_status_json(s->region, &body);
            admin_respond(req, 200, &body, "application/json");
            buf_done(&body);
            return;
        }
        if (s->cosmos && str_eq(req->target, STR("/_holdfast/partitions"))) {
            struct buf body;
            buf_init(&body, PARTITIONS_SIZE_MAX);
            cosmos_partitions_json(s->cosmos, &body);
            admin_respond(req, 200, &body, "application/json");
            buf_done(&body);
            return;
        }
        if (feed_is_target(req->target)) {
            feed_serve(s->feed, req);
            return;
        }
        if (str_eq(req->target, STR("/_holdfast/process"))) {
            answer(req, 200, arena_printf(&req->arena, "{\"pid\":%d}\n", (int)getpid()));
            return;
        }
        err_set(&ei, ERR_NOT_FOUND, "no such operator endpoint");
        if (str_starts(req->target, STR("/_holdfast/account"))) {
            err_hint(&ei, "this is one region: the account is at the global endpoint");
        }
    }
    admin_respond_error(req, &ei);
}
