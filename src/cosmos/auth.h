/* Master-key authentication: HMAC-SHA256 over verb, resource type, link and date
 * (doc/design/0003-protocol.md has the forms that clients sign). A set of keys is immutable and may
 * be used by any thread; keys are compared in constant time and never logged. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/http_server.h"

enum { AUTH_SKEW_MAX_S = 15 * 60, AUTH_TOKEN_SIZE_MAX = 6 << 10 };

struct cosmos_auth;
/* base64 keys: primary, secondary, read-only primary, read-only secondary; NULL or "" = none. */
struct cosmos_auth *cosmos_auth_new(const char *const keys[4]);
void cosmos_auth_free(struct cosmos_auth *a);
/* The time to check a request by. Our wall clock is `ahead_ms` ahead of the other regions' (0 = as far as
 * we know it is right): one of the two is wrong, and a region whose clock jumped must not refuse every
 * client. It is the one that is nearer to the request's own date. */
int64_t cosmos_auth_clock(const struct http_req *req, int64_t wall_ms, int64_t ahead_ms);
/* ERR_UNAUTHORIZED (401): missing or wrong signature. ERR_FORBIDDEN (403): the date is off by more
 * than 15 minutes. */
enum err cosmos_auth_check(const struct cosmos_auth *a, struct http_req *req, int64_t wall_ms,
                           bool *ret_is_read_only, struct errinfo *ei) MUST_CHECK;
/* The same with the target already taken apart. */
struct target;
enum err cosmos_auth_check_target(const struct cosmos_auth *a, struct http_req *req,
                                  const struct target *target, int64_t wall_ms,
                                  bool *ret_is_read_only, struct errinfo *ei) MUST_CHECK;

/* ---- resource tokens (permit.h says what is in them) ---- */

/* The request carries one: it is to be checked by cosmos_auth_token instead. */
bool cosmos_auth_is_token(const struct http_req *req);
/* *ret_claims: what was signed, behind the expiry; in the request's arena. ERR_UNAUTHORIZED: not one
 * of ours. ERR_FORBIDDEN: expired. */
enum err cosmos_auth_token(const struct cosmos_auth *a, struct http_req *req, int64_t wall_ms,
                           struct str *ret_claims, struct errinfo *ei) MUST_CHECK;
/* `claims` is "<expiry in seconds>;<base64>". */
void cosmos_auth_make_token(const struct cosmos_auth *a, struct str claims, struct buf *out);
/* For the account document, which anyone may read who holds a key or a token. */
enum err cosmos_auth_check_account(const struct cosmos_auth *a, struct http_req *req,
                                   int64_t wall_ms, struct errinfo *ei) MUST_CHECK;
