#include "server/server_admin.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"

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
        is_fine = role == ROLE_WRITER && clock_boot_us() < atomic_load(&region_view(s->region)->fresh_until_us);
    }
    struct str text = arena_printf(&req->arena, "{\"status\":\"%s\",\"role\":\"%s\"}\n",
                                   is_fine ? "ok" : "not ready", region_role_name(role));
    answer(req, is_fine ? 200 : 503, text);
}

static void gauge(struct buf *b, const char *name, const char *type, const char *help, uint64_t value)
{
    buf_printf(b, "# HELP holdfast_%s %s\n# TYPE holdfast_%s %s\nholdfast_%s %" PRIu64 "\n", name, help, name,
               type, name, value);
}

static void metrics(const struct server_admin *s, struct http_req *req)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    if (s->region) {
        region_metrics(s->region, &b);
    }
    struct engine_stats es = {0};
    engine_stats_get(s->engine, &es);
    gauge(&b, "engine_disk_bytes", "gauge", "Bytes the store uses on disk.", es.disk_size);
    gauge(&b, "engine_disk_free_bytes", "gauge", "Bytes free on the store's disk.", es.disk_free);
    gauge(&b, "engine_memory_bytes", "gauge", "Bytes the store holds in memory.", es.memory_size);
    gauge(&b, "engine_syncs_total", "counter", "Syncs of the store's log.", es.syncs);
    gauge(&b, "engine_batches_total", "counter", "Batches applied.", es.batches);
    gauge(&b, "engine_written_bytes_total", "counter", "Bytes applied.", es.bytes_written);
    if (s->http) {
        struct http_server_stats hs = {0};
        http_server_stats_get(s->http, &hs);
        gauge(&b, "http_connections", "gauge", "Open client connections.", hs.connections);
        gauge(&b, "http_requests_total", "counter", "Requests received.", hs.requests);
        gauge(&b, "http_refused_total", "counter", "Requests refused by the HTTP layer.", hs.refused);
        gauge(&b, "http_received_bytes_total", "counter", "Body bytes received.", hs.bytes_in);
        gauge(&b, "http_sent_bytes_total", "counter", "Body bytes sent.", hs.bytes_out);
    }
    admin_respond(req, 200, &b, "text/plain; version=0.0.4");
    buf_done(&b);
}

static void events(const struct server_admin *s, struct http_req *req)
{
    struct str base = STR("/_holdfast/events/");
    uint64_t since = 0;
    if (str_starts(req->target, base)) {
        (void)str_to_u64(str_slice(req->target, base.n, req->target.n), &since); /* no number: from the start */
    }
    struct buf body;
    struct json_out o;
    buf_init(&body, 1 << 20);
    json_out_init(&o, &body);
    admin_events_json(s->events, since, &o);
    admin_respond(req, 200, &body, "application/json");
    buf_done(&body);
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
    } else if (cosmos_auth_check(s->auth, req, clock_wall_ms(), &is_read_only, &ei) == OK) {
        if (str_eq(req->target, STR("/_holdfast/status"))) {
            struct buf body;
            buf_init(&body, 8 << 20);
            region_status_json(s->region, &body);
            admin_respond(req, 200, &body, "application/json");
            buf_done(&body);
            return;
        }
        if (str_starts(req->target, STR("/_holdfast/events"))) {
            events(s, req);
            return;
        }
        if (str_eq(req->target, STR("/_holdfast/process"))) {
            answer(req, 200, arena_printf(&req->arena, "{\"pid\":%d}\n", (int)getpid()));
            return;
        }
        err_set(&ei, ERR_NOT_FOUND, "no such operator endpoint");
    }
    admin_respond_error(req, &ei);
}
