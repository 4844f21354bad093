/* `holdfast front`: answers for the global endpoint, and stands in for regional addresses whose
 * server is gone (geo-semantics C1-C7). It holds no data: it knows the account record, forwards what
 * comes to the global endpoint to a region that can serve it, and tells clients of a lost region
 * where they stand: 403/3 for writes, 403/1008 for reads, always in JSON.
 *
 * A request that finds no region able to serve it is held (up to FRONT_HOLD_MS) rather than refused
 * while a failover is on its way: the client sees a slow answer instead of an error. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

enum {
    FRONT_REGIONS_MAX = REGION_ID_MAX, /* those that left are answered for, too */
    FRONT_HOLD_MS = 2500,
    /* Held or being forwarded; more are refused with 503 at once. Below HTTP_CONNECTIONS_MAX, or the
     * next client would wait for a connection instead of getting an answer. */
    FRONT_REQUESTS_MAX = 3000,
    /* Silence of the coordinator after which the front asks not to be sent clients (geo-semantics F29). */
    FRONT_STALE_MS = 6000,
};

struct front_region {
    char name[64];
    int fd; /* the region's own listening socket */
};

struct front_opts {
    const char *account;
    const char *coordinator;
    const struct coord_secrets *secrets; /* of the coordinator */
    const char *secret_file;             /* where they come from; NULL: they stay */
    const char *webhook;                 /* URL; NULL = none */
    struct str webhook_secret;           /* empty = not signed */
    struct str
        management_token; /* opens the management interface (loopback only); empty = closed */
    const char *webhook_secret_file,
        *management_token_file; /* where they come from; NULL: they stay */
    unsigned http_threads;
    const char *endpoint; /* URL of the global endpoint; "" = by its socket */
    const char *tls_cert,
        *tls_key;          /* PEM files: a certificate for all endpoints; "" = plain HTTP */
    const char *tls_ca;    /* authority behind the regions' certificates; "" = the system's */
    unsigned hold_ms;      /* 0 = FRONT_HOLD_MS */
    unsigned requests_max; /* 0 = FRONT_REQUESTS_MAX */
    unsigned stale_ms;     /* 0 = FRONT_STALE_MS */
    int global_fd;
    int control_fd; /* "down NAME" and "up NAME" lines from the supervisor; -1 = none */
    size_t region_count;
    struct front_region regions[FRONT_REGIONS_MAX];
};

/* Runs until SIGTERM or SIGINT. */
enum err front_run(const struct front_opts *opts, struct errinfo *ei) MUST_CHECK;
