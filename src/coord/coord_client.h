/* Client side of the coordinator: one interface, drivers behind it (builtin over HTTP; etcd
 * later). On a loop's thread. */
#pragma once

#include "coord/coord.h"
#include "net/loop.h"

struct coord_client;

struct coord_events {
    void *ctx;
    /* A key below the watched prefix changed; in revision order, nothing skipped that still
     * matters (intermediate values of one key may be). After (re)connecting, the present value of
     * every key is reported first, then `synced`. */
    void (*changed)(void *ctx, const struct coord_kv *kv);
    void (*synced)(void *ctx);
    void (*lost)(void *ctx); /* contact lost; `synced` comes when it is back */
};

/* urls: one or more "http://host:port", tried in turn. secret: shared, sent as a bearer token. */
struct coord_client *coord_client_new(struct loop *loop, const char *urls, struct str secret);
/* Calls in flight end with ERR_CLOSED (outcome unknown); watches end silently. */
void coord_client_free(struct coord_client *c);
void coord_client_watch(struct coord_client *c, struct str prefix, const struct coord_events *ev);
/* Linearizable. The result's pointers are valid during the callback. timeout_ms never 0: within it a
 * call that certainly reached no coordinator is tried again, at the next url.
 * Errors: ERR_TIMEOUT, ERR_NETWORK, ERR_UNKNOWN_OUTCOME, ERR_CLOSED: the transaction may or may not
 * have been done (done later too, while it is on its way). Every other error: certainly not done:
 * ERR_UNAVAILABLE (no coordinator reached in time), ERR_BUSY, ERR_DISK_FULL, ERR_INVALID, ERR_LIMIT,
 * ERR_UNAUTHORIZED. */
void coord_client_txn(struct coord_client *c, const struct coord_txn *txn, unsigned timeout_ms,
                      void (*done)(void *ctx, const struct coord_txn_result *res), void *ctx);
void coord_client_read(struct coord_client *c, struct str prefix, unsigned timeout_ms,
                       void (*done)(void *ctx, enum err err, const struct coord_kv *kvs, size_t n),
                       void *ctx);
/* Blocking forms for command-line tools. */
enum err coord_read_blocking(const char *urls, struct str secret, struct str prefix,
                             struct arena *a, struct coord_kv **ret, size_t *ret_n,
                             struct errinfo *ei) MUST_CHECK;
enum err coord_txn_blocking(const char *urls, struct str secret, const struct coord_txn *txn,
                            struct arena *a, struct coord_txn_result *ret,
                            struct errinfo *ei) MUST_CHECK;
