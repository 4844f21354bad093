/* A region server's operator endpoints:
 *
 *   GET /_holdfast/status          role, epoch, lag per region, what would be lost now
 *   GET /events?since=N&wait=S     the story so far: role changes, failovers, diverged suffixes (feed.h)
 *   POST /_holdfast/fault          only with the option drill-faults: {"disk":"slow","delayMs":6000},
 *                                  {"disk":"full"} (half of the reserve is left), {"disk":"sound"};
 *                                  {"clock":{"aheadMs":3600000,"driftPpm":0}}: the wall clock of the process;
 *                                  {"standStill":"holding"}: see steps.h
 *   GET /metrics, /health/...      see admin.h
 *
 * Loop thread. */
#pragma once

#include "account/region.h"
#include "coord/coord_client.h"
#include "cosmos/auth.h"
#include "cosmos/service.h"
#include "engine/commit.h"
#include "net/http_server.h"
#include "server/admin.h"
#include "server/http_metrics.h"

struct server_admin {
    struct region *region; /* NULL until the record names this region */
    struct engine *engine;
    struct committer *committer;
    const struct http_server *http;
    const struct coord_client *coord;
    const struct http_metrics *http_metrics;
    bool is_disk_low;
    struct cosmos_service *cosmos; /* NULL before the region is there */
    uint64_t (*waits)[2];          /* [enum WAIT_*][0 = in time, 1 = not] */
    struct cosmos_auth *auth;      /* NULL until the record is known */
    bool has_drill_faults;
    uint64_t disk_reserve_size;
    struct feed *feed;
};
void server_admin_handle(const struct server_admin *s, struct http_req *req);
