/* Operator endpoints of a process, beside the data plane:
 *
 *   GET  /health/live      200 while the process runs
 *   GET  /health/ready     200 when it serves reads, else 503
 *   GET  /health/write     200 when it serves writes, else 503
 *   GET  /metrics          Prometheus text
 *   GET  /_holdfast/...    JSON; signed like a data request (master key, resource type "holdfast")
 *   GET  /events           see feed.h; signed likewise
 *   POST /_holdfast/...    account operations (front only)
 *
 * Health and metrics carry no data of the account and need no key. */
#pragma once

#include <stdbool.h>

#include "account/region.h"
#include "base/buf.h"
#include "cosmos/auth.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "server/feed.h"
#include "json/json.h"

/* An event of the region core: into the feed (NULL: it has ended), and the log. */
void admin_event(struct feed *f, const struct region_event *ev);
const char *admin_event_name(enum region_event_kind k);

/* Answers with JSON text; `body` is taken over. */
void admin_respond(struct http_req *req, int status, struct buf *body, const char *content_type);
/* {"code":..,"message":..,"hint":..} with the status of ei->code. */
void admin_respond_error(struct http_req *req, const struct errinfo *ei);
void admin_respond_error_as(struct http_req *req, int status, const struct errinfo *ei);

/* Key and signature of an operator request; its query string is not signed. */
enum err admin_check(const struct cosmos_auth *auth, struct http_req *req, int64_t clock_ahead_ms,
                     bool *ret_is_read_only, struct errinfo *ei) MUST_CHECK;

bool admin_is_ours(const struct http_req *req);
/* True when the path needs a signature. */
bool admin_needs_key(const struct http_req *req);
