/* Client side of the coordinator: one interface, drivers behind it (builtin over HTTP; etcd
 * later). On a loop's thread. */
#pragma once

#include "coord/coord.h"
#include "coord/secret.h"
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

/* urls: one or more "http://host:port" or "https://...", tried in turn. secrets: one or two, copied.
 * A request presents the first; where that one is refused, the other (and the first again after a
 * while). Over https a secret is sent only to who proves that very one: nobody who has learned the
 * former secret gets the next one by it. */
struct coord_client *coord_client_new(struct loop *loop, const char *urls,
                                      const struct coord_secrets *secrets);
/* Follows the file that the secrets were read of, from now on; once at most. It is looked at now and
 * then, and at once when the coordinator has refused a secret. ERR_IO: no thread to be had. */
enum err coord_client_follow(struct coord_client *c, const char *secret_file,
                             struct errinfo *ei) MUST_CHECK;
void coord_client_reread(struct coord_client *c); /* soon, changed or not; any thread */
/* count: how many secrets it has now, 2 while they are being changed; change_count: how often the file
 * had others. Any thread. */
struct coord_client_secrets {
    uint64_t count, change_count;
};
struct coord_client_secrets coord_client_secrets_get(const struct coord_client *c);
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
enum err coord_read_blocking(const char *urls, const struct coord_secrets *secrets,
                             struct str prefix, struct arena *a, struct coord_kv **ret,
                             size_t *ret_n, struct errinfo *ei) MUST_CHECK;
enum err coord_txn_blocking(const char *urls, const struct coord_secrets *secrets,
                            const struct coord_txn *txn, struct arena *a,
                            struct coord_txn_result *ret, struct errinfo *ei) MUST_CHECK;
