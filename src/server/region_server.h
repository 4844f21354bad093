/* `holdfast server`: one region of one account as a process.
 *
 * Wiring only: an event loop (the core thread) that owns the region core, links to peers and the
 * coordinator client; HTTP threads that run the protocol layer; one commit thread. See
 * ARCHITECTURE.md for who calls whom. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/region.h"
#include "base/err.h"
#include "base/str.h"
#include "coord/secret.h"
#include "net/link.h"

enum { SERVER_PEERS_MAX = 64 /* ids of regions, also of those that left */ };

/* "west" -> "127.0.0.1:4000": reach that peer here instead of at its own address. */
struct peer_overrides {
    size_t count;
    struct {
        char region[64];
        char addr[128];
    } items[SERVER_PEERS_MAX];
};

struct region_server_opts {
    const char *account;
    const char *region;
    const char *dir;
    const char *engine;                  /* "rocksdb" or "mem" */
    const char *profile;                 /* "lan" or "wan" */
    const char *coordinator;             /* urls */
    const struct coord_secrets *secrets; /* of the coordinator */
    const char *secret_file;             /* where they come from; NULL: they stay */
    unsigned http_threads;
    const char *tls_cert, *tls_key; /* PEM files; "" = plain HTTP */
    /* Where clients and other regions reach this one, for the record; "" = as it is there. */
    const char *endpoint, *peer_address;
    /* With less free space than this, writes are refused with 503 and a writer hands over; the rest
     * is for what must still be written: entries of peers, compactions. 0 = never. */
    uint64_t disk_reserve_size;
    uint64_t log_budget_size;   /* log kept for regions that lack it; 0 = a fifth of the disk */
    bool rejects_lost_sessions; /* 404/1002 to session tokens that name what a failover cut off */
    enum keep_writing keep_writing;                         /* without the coordinator */
    unsigned slow_commit_ms, slow_for_ms, failover_hold_ms; /* 0 = the profile's */
    uint64_t archive_keep_ms;                               /* 0 = for ever */
    /* POST /_holdfast/fault makes the disk slow or full, for drills. Refused unless http_fd listens on
     * loopback. */
    bool has_drill_faults;
    enum link_security peer_security;
    int http_fd;
    int peer_fd;
    struct peer_overrides overrides;
    /* With drill faults: reads them again, for a region that joined since. NULL: they never change.
     * False, with *ret untouched: they cannot be read. On the loop's thread. */
    bool (*overrides_again)(void *ctx, struct peer_overrides *ret);
    void *overrides_ctx;
};

/* Runs until SIGTERM or SIGINT. */
enum err region_server_run(const struct region_server_opts *opts, struct errinfo *ei) MUST_CHECK;
