/* Operator endpoints of a process, beside the data plane:
 *
 *   GET  /health/live      200 while the process runs
 *   GET  /health/ready     200 when it serves reads, else 503
 *   GET  /health/write     200 when it serves writes, else 503
 *   GET  /metrics          Prometheus text
 *   GET  /_holdfast/...    JSON; signed like a data request (master key, resource type "holdfast")
 *   POST /_holdfast/...    account operations (front only)
 *
 * Health and metrics carry no data of the account and need no key. */
#pragma once

#include <stdbool.h>

#include "account/region.h"
#include "base/buf.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "json/json.h"

enum { ADMIN_EVENTS_MAX = 512 };

/* The last events of the story, for /_holdfast/events. One thread. */
struct admin_events {
    uint64_t next_seq; /* of the next event; 1 is the first ever */
    struct {
        int64_t wall_ms;
        struct region_event ev;
    } ring[ADMIN_EVENTS_MAX];
};
void admin_events_init(struct admin_events *e);
void admin_event(struct admin_events *e, const struct region_event *ev); /* also logs it */
void admin_events_json(const struct admin_events *e, uint64_t since, struct json_out *o);
const char *admin_event_name(enum region_event_kind k);

/* Answers with JSON text; `body` is taken over. */
void admin_respond(struct http_req *req, int status, struct buf *body, const char *content_type);
/* {"code":..,"message":..,"hint":..} with the status of ei->code. */
void admin_respond_error(struct http_req *req, const struct errinfo *ei);

bool admin_is_ours(const struct http_req *req);
/* True when the path needs a signature. */
bool admin_needs_key(const struct http_req *req);
