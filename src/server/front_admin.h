/* The front's operator endpoints:
 *
 *   GET  /_holdfast/account                   the record without secrets
 *   POST /_holdfast/account/failover          {"region":"west"}: graceful change of write region
 *   POST /_holdfast/account/offline           {"region":"east","force":false,"to":""}
 *   POST /_holdfast/account/online            {"region":"east"}
 *   POST /_holdfast/account/consistency       {"level":"BoundedStaleness","maxStalenessOperations":N,
 *                                              "maxStalenessSeconds":N}: the last two may be absent
 *   GET  /_holdfast/account/keys
 *   POST /_holdfast/account/keys/regenerate   {"key":"primary"|"secondary"|"primaryReadonly"|"secondaryReadonly"}
 *
 *   GET  /events?since=N&wait=S               failovers, states of regions (feed.h)
 *
 * Operations answer 202 when the account record has been changed, planned again when another change came
 * between; what follows is seen in GET
 * account. Loop thread. */
#pragma once

#include <stdbool.h>

#include "account/record.h"
#include "base/arena.h"
#include "coord/coord_client.h"
#include "cosmos/auth.h"
#include "net/http_server.h"
#include "server/feed.h"
#include "server/front.h"
#include "server/http_metrics.h"
#include "server/webhook.h"

struct front_record {
    struct arena arena;
    struct account_record record;
    coord_rev rev;
    bool is_known;
    bool is_behind;      /* the newest one cannot be read here, as when a newer version wrote it */
    struct list changes; /* made, and answered once they are seen here */
    struct list unsaid;  /* not made: a region has not said yet whether it could read the outcome */
};
void front_record_init(struct front_record *r);
void front_record_done(struct front_record *r);
/* Answers the changes that wait, whether they are seen or not. While there is an HTTP server. */
void front_record_release(struct front_record *r);
enum err front_record_set(struct front_record *r, const struct coord_kv *kv,
                          struct errinfo *ei) MUST_CHECK;

struct front_status {
    bool is_ready, is_synced;
    bool is_stale; /* has not heard of the coordinator for long: another front is to be preferred */
    size_t region_count;
    struct {
        const char *name;
        bool is_away; /* the front stands in for it */
    } regions[FRONT_REGIONS_MAX];
    const struct http_metrics *http_metrics;
    const struct http_server *http;
    struct feed *feed;
    bool has_webhook;
    struct webhook_stats webhook;
    uint64_t forwarded, retried, unknown, stood_in, open, held, held_total, held_expired,
        refused_full;
};
void front_admin(struct http_req *req, struct front_record *rec, struct cosmos_auth *auth,
                 struct coord_client *coord, struct loop *loop, const struct front_status *status);
