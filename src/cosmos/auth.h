/* Master-key authentication: HMAC-SHA256 over verb, resource type, link and date
 * (doc/design/0003-protocol.md has the forms that clients sign). A set of keys is immutable and may
 * be used by any thread; keys are compared in constant time and never logged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/http_server.h"

enum { AUTH_SKEW_MAX_S = 15 * 60 };

struct cosmos_auth;
/* base64 keys: primary, secondary, read-only primary, read-only secondary; NULL or "" = none. */
struct cosmos_auth *cosmos_auth_new(const char *const keys[4]);
void cosmos_auth_free(struct cosmos_auth *a);
/* ERR_UNAUTHORIZED (401): missing or wrong signature. ERR_FORBIDDEN (403): the date is off by more
 * than 15 minutes. */
enum err cosmos_auth_check(const struct cosmos_auth *a, struct http_req *req, int64_t wall_ms,
                           bool *ret_is_read_only, struct errinfo *ei) MUST_CHECK;
