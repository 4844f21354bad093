/* `holdfast up`: a whole account on this machine as real processes.
 *
 * Directory layout (doc/format/directory.md):
 *   FORMAT            "holdfast-data 1"
 *   LOCK              held while in use
 *   account.json      what tools need: endpoint, key, regions (mode 0600)
 *   tls/              authority and certificate, with --tls (mode 0600)
 *   run/              configuration written for the processes, logs, and coordinator.secret, which
 *                     operators change (coord/secret.h): it goes over account.json
 *   coordinator/      the coordinator's durable file
 *   management.token  opens the management interface (mode 0600)
 *   regions/NAME/     one region's store and its archive of diverged writes
 *   accounts/NAME/    another account that is hosted here (server/hosting.h): a directory like this */
#pragma once

#include <stdbool.h>

#include "account/record.h"
#include "account/region.h"
#include "base/buf.h"
#include "base/err.h"

#define UP_DIR_DEFAULT "./holdfast-data"

enum {
    UP_REGIONS_MAX = REGIONS_MAX, /* at a time; the record's limit */
    UP_NAMES_MAX = REGION_ID_MAX, /* ever: a region that left keeps its directory and port */
    UP_PROXY_REGIONS_MAX = 7,     /* their links are one option of the proxy's configuration */
    UP_KEY_BYTES = 64,
    UP_HOST_SUFFIX_MAX = 100,
    UP_PORT_MAX = 65000, /* of the global endpoint: the regions' come behind it */
};

struct up_opts {
    const char *dir;
    unsigned port;       /* global endpoint; regions get the next ones */
    const char *account; /* account name */
    size_t region_count;
    char regions[UP_REGIONS_MAX][RECORD_NAME_MAX]; /* in priority order */
    enum consistency level;
    uint64_t max_staleness_ops, max_staleness_s; /* BoundedStaleness; 0 = the usual ones */
    bool rejects_lost_sessions;
    enum keep_writing keep_writing; /* without the coordinator */
    bool has_level;                 /* given, rather than defaulted */
    bool has_regions;
    bool has_account;
    bool has_engine;
    const char *key;        /* base64 primary key; NULL = kept or made */
    const char *ready_file; /* NULL = none */
    const char *engine;     /* "rocksdb" or "mem" */
    const char *profile;    /* "lan" or "wan" */
    const char *peer_tls;   /* as link_security_parse takes it */
    bool auto_failover;
    bool has_fault_proxy; /* links between processes go through a proxy that drills can cut */
    bool is_quiet;        /* no summary */
    const char *management_token; /* NULL = kept or made */
    unsigned coordinator_port;    /* use the one that runs there; 0 = start one */
    const char *secret_file;      /* ... with this secret */
    unsigned watchdog_ms; /* a frozen server's address is taken over after this; 0 = never */
    unsigned kill_ms;     /* ... and it is killed after this; 0 = never */
    const char *webhook, *webhook_secret_file; /* NULL = none */
    const char *log_level;
    uint64_t log_budget_size; /* as the server's option */
    bool has_tls; /* https; with a certificate of a local authority unless one is given */
    const char
        *host_suffix; /* endpoints are ACCOUNT.SUFFIX, ACCOUNT-REGION.SUFFIX; NULL = 127.0.0.1 */
    const char *tls_cert, *tls_key, *tls_ca; /* PEM files; NULL = made here; the system's */
    uint64_t disk_reserve_size; /* a region with less free space takes no writes; 0 = never */
    unsigned slow_commit_ms, slow_for_ms, failover_hold_ms; /* as the server's options */
};

/* Runs until SIGTERM or SIGINT. */
enum err up_run(const struct up_opts *opts, struct errinfo *ei) MUST_CHECK;
/* What an account tells its servers, and the `up` of an account that it hosts, alike: lines of a
 * configuration. */
void up_conf_servers(const struct up_opts *opts, struct buf *b);
/* The public key of the well-known emulator, for tests and samples on loopback. */
extern const char up_well_known_key[];
