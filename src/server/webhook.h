/* Tells another system of failovers: POST of a JSON object to a URL, off the path of everything else.
 *
 *   content-type: application/json
 *   x-holdfast-event: failover | reopened | region_state | partition_moved | partition_returned |
 *                     partitions_moved
 *   x-holdfast-delivery: shop/epoch/7             the same in every attempt, and after a restart
 *   x-holdfast-timestamp: 1767225600              seconds since 1970, of this attempt
 *   x-holdfast-signature: sha256=HEX              only with a secret: HMAC-SHA256 of
 *                                                 TIMESTAMP + "." + BODY
 *
 * Any 2xx answer is a delivery. Everything else is tried again after 1, 2, 4 ... 60 s (each up to a
 * quarter longer or shorter), until WEBHOOK_DEADLINE_S after the event; then it is dropped, counted and
 * logged. One at a time, in order. At most WEBHOOK_QUEUE_MAX wait; then the oldest is dropped. A
 * receiver may get one twice (its answer was lost, or the front was restarted) and tells them apart by
 * the delivery id. Redirects are not followed.
 *
 * Loop thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "net/http_client.h"
#include "net/loop.h"

enum {
    WEBHOOK_QUEUE_MAX = 64,
    WEBHOOK_TIMEOUT_MS = 5000,
    WEBHOOK_BACKOFF_FIRST_MS = 1000,
    WEBHOOK_BACKOFF_LAST_MS = 60000,
    WEBHOOK_DEADLINE_S = 900,
    WEBHOOK_SECRET_SIZE_MIN = 16,
};

struct webhook_stats {
    uint64_t delivered, failed_attempts, dropped, queued;
};

struct webhook;
/* secret empty: not signed. ERR_INVALID: no http or https URL, or a secret that is too short. */
enum err webhook_new(struct loop *loop, const char *url, struct str secret, struct webhook **ret,
                     struct errinfo *ei) MUST_CHECK;
void webhook_free(struct webhook *w); /* what waits is lost; NULL accepted */
/* Attempts are signed with it from now on; as webhook_new takes it, not empty. NULL accepted. */
void webhook_set_secret(struct webhook *w, struct str secret);
/* NULL accepted: does nothing. `event` is a literal, the others are copied. */
void webhook_send(struct webhook *w, const char *event, const char *delivery, struct str body);
void webhook_stats(const struct webhook *w, struct webhook_stats *ret); /* NULL accepted: zeroes */
/* What a receiver computes: "sha256=" and 64 hex digits. */
enum { WEBHOOK_SIGNATURE_SIZE = 7 + 64 + 1 };
struct crypto_hmac;
void webhook_sign(const struct crypto_hmac *h, const char *timestamp, struct str body,
                  char ret[WEBHOOK_SIGNATURE_SIZE]);
