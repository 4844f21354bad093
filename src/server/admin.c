/* What operator endpoints share. See admin.h. */
#include "server/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "cosmos/target.h"

const char *admin_event_name(enum region_event_kind k)
{
    static const char *const names[] = {
        [EVENT_ROLE] = "role",
        [EVENT_FAILOVER] = "failover",
        [EVENT_LEASE_LOST] = "lease_lost",
        [EVENT_REGION_STATE] = "region_state",
        [EVENT_DIVERGED] = "diverged",
        [EVENT_FEED_SENT] = "feed_sent",
        [EVENT_REJOINED] = "rejoined",
        [EVENT_STALE_GENERATION] = "stale_generation",
        [EVENT_CORRUPT] = "corrupt",
        [EVENT_LSN_BLOCK] = "lsn_block",
        [EVENT_DISK_SLOW] = "disk_slow",
        [EVENT_CLOCK_DRIFT] = "clock_drift",
        [EVENT_HELD_BACK] = "held_back",
        [EVENT_LEVEL] = "level",
        [EVENT_THROTTLED] = "throttled",
        [EVENT_PARTITION] = "partition",
        [EVENT_VOUCHED] = "vouched",
        [EVENT_SEED] = "seed",
        [EVENT_FEED_FULL] = "feed_full",
    };
    size_t i = (size_t)k;
    return i < ARRAY_COUNT(names) && names[i] ? names[i] : "event";
}

void admin_event(struct feed *f, const struct region_event *ev)
{
    if (f) {
        feed_add(f, clock_wall_ms(), admin_event_name(ev->kind), ev->rule, ev->text);
    }
    bool is_bad = ev->kind == EVENT_CORRUPT || ev->kind == EVENT_STALE_GENERATION;
    enum log_level level = is_bad ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO;
    if (LOG_IS_ON(level)) {
        char fields[sizeof(ev->text) + 24];
        (void)snprintf(fields, sizeof(fields), "rule=%u %s", ev->rule, ev->text);
        log_write_fields(level, "region", admin_event_name(ev->kind), fields);
    }
}

void admin_respond(struct http_req *req, int status, struct buf *body, const char *content_type)
{
    if (!buf_ok(body)) {
        struct errinfo ei = {0};
        err_set(&ei, ERR_LIMIT, "the answer is longer than %zu bytes", body->max);
        admin_respond_error_as(req, 500, &ei);
        return;
    }
    struct http_response res = {.status = status, .body = body};
    http_response_header(&res, STR("content-type"), str_of(content_type));
    http_response_header(&res, STR("cache-control"), STR("no-store"));
    http_respond(req, &res);
}

void admin_respond_error(struct http_req *req, const struct errinfo *ei)
{
    admin_respond_error_as(req, err_http_status(ei->code), ei);
}

void admin_respond_error_as(struct http_req *req, int status, const struct errinfo *ei)
{
    struct buf body;
    struct json_out o;
    buf_init(&body, 4096);
    json_out_init(&o, &body);
    json_out_object(&o);
    json_out_member_cstr(&o, "code", err_name(ei->code));
    json_out_member_cstr(&o, "message", ei->message[0] ? ei->message : err_text(ei->code));
    if (ei->hint[0]) {
        json_out_member_cstr(&o, "hint", ei->hint);
    }
    json_out_object_end(&o);
    admin_respond(req, status, &body, "application/json");
    buf_done(&body);
}

enum err admin_check(const struct cosmos_auth *auth, struct http_req *req, int64_t clock_ahead_ms,
                     bool *ret_is_read_only, struct errinfo *ei)
{
    struct str path = req->target;
    struct str query;
    struct target target;
    (void)str_split(req->target, '?', &path, &query);
    TRY(target_parse(&req->arena, path, &target, ei));
    int64_t now_ms = cosmos_auth_clock(req, clock_wall_ms(), clock_ahead_ms);
    return cosmos_auth_check_target(auth, req, &target, now_ms, ret_is_read_only, ei);
}

static bool under(const struct http_req *req, struct str prefix)
{
    return str_starts(req->target, prefix);
}

bool admin_is_ours(const struct http_req *req)
{
    return under(req, STR("/health/")) || str_eq(req->target, STR("/metrics")) ||
           admin_needs_key(req);
}

bool admin_needs_key(const struct http_req *req)
{
    return under(req, STR("/_holdfast/")) || feed_is_target(req->target);
}
