/* A region server's operator endpoints:
 *
 *   GET /_holdfast/status          role, epoch, lag per region, what would be lost now
 *   GET /_holdfast/events/SINCE    the story so far: role changes, failovers, diverged suffixes
 *   GET /metrics, /health/...      see admin.h
 *
 * Loop thread. */
#pragma once

#include "account/region.h"
#include "cosmos/auth.h"
#include "engine/commit.h"
#include "net/http_server.h"
#include "server/admin.h"

struct server_admin {
    struct region *region; /* NULL until the record names this region */
    struct engine *engine;
    struct committer *committer;
    struct http_server *http;
    struct cosmos_auth *auth; /* NULL until the record is known */
    const struct admin_events *events;
};
void server_admin_handle(const struct server_admin *s, struct http_req *req);
