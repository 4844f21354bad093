/* Inside of `holdfast server`: the files region_server*.c. Everything runs on the loop's thread, or on
 * one that is in the loop (loop_enter), unless it says otherwise. */
#pragma once

#include <stdatomic.h>

#include "account/region.h"
#include "base/clock.h"
#include "base/map.h"
#include "coord/coord_client.h"
#include "cosmos/service.h"
#include "engine/commit.h"
#include "engine/engine.h"
#include "net/http_server.h"
#include "net/link.h"
#include "net/loop.h"
#include "server/admin.h"
#include "server/archive.h"
#include "server/http_metrics.h"
#include "server/region_server.h"

enum { SPACE_PERIOD_MS = 250 /* between looks at the free space */ };

struct peer {
    struct server *server;
    region_id id;
    char addr[128];
    struct link_client *client;
    struct link *out; /* our outgoing link while it is up */
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
    const char
        *waits_for; /* what the core cannot begin without, as it was logged; NULL = nothing */
    usec ending_until_us;
    struct errinfo failure;
};

struct kept_kv {
    char *value;
    size_t n;
    coord_rev rev;
};

/* ---- region_server_io.c ---- */
/* What the core asks for. */
void server_io(struct server *s, struct region_io *ret);
void server_reply(void *ctx, struct region_write *w);
void server_set_auth(struct server *s, const struct account_record *rec);
void server_on_archived(void *ctx, uint64_t ticket, enum err err);
/* Of the committer, on the thread that did the group. */
void server_on_durable(void *ctx, const struct committer_done *done, size_t n,
                       const struct errinfo *ei);
void server_on_settled(void *ctx);
/* Any thread. */
bool server_is_crowded(const struct server *s);

/* ---- region_server_http.c ---- */
/* On HTTP threads: requests, and what cosmos hands to the core for them. */
void server_on_request(void *ctx, struct http_req *req);
void server_on_answered(void *ctx, const struct http_req *req, int status);
struct cosmos_backend server_backend(struct server *s);
/* This thread is on its way to committer_help(). */
bool server_will_help(void);

/* ---- region_server_peers.c ---- */
void server_accept_peers(struct server *s, const struct account_record *rec);
/* Links are those to the regions of the record. */
void server_sync_peers(struct server *s);
/* Timer callback: frees links to regions that left. */
void server_free_gone(void *ctx);
struct peer *server_peer(struct server *s, region_id id); /* NULL: none */
