/* Resource tokens: what a permission lets its holder do, signed by the account, valid for a while.
 *
 *   type=resource&ver=1&sig=<signature>;<expiry, seconds since 1970>;<claims>
 *
 * signature: base64 of an HMAC-SHA256 with one of the account's read-write keys over everything
 * behind it; claims: base64 of a JSON object (struct permit). Nothing is kept: a token is good until
 * it expires or the key that signed it is changed, and a new one is made whenever its permission is
 * read. A token names its container by rid, so it does not open another one of the same name. */
#pragma once

#include "cosmos/service_int.h"

enum { PERMIT_SECONDS_DEFAULT = 3600, PERMIT_SECONDS_MAX = 86400 };

struct permit {
    struct str container; /* rid */
    struct str below;     /* "docs/x" of the container's children; empty = the container whole */
    bool may_write;
    bool has_pk;
    struct pk pk; /* only this logical partition, or these below a prefix */
};

/* ERR_INVALID unless the permission names a container of `db` or something below one. Also checks
 * mode, partition key and the header that asks for an expiry. */
enum err permit_check(struct op *op, const struct database *db, const struct json *permission,
                      struct errinfo *ei) MUST_CHECK;
/* The stored permission as clients see it: with a fresh `_token`, or without one when what it names
 * is gone. In the request's arena. */
struct str permit_shown(struct op *op, struct str stored);
/* Reads the claims of a token whose signature was checked. */
enum err permit_parse(struct arena *a, struct str claims, struct permit *ret,
                      struct errinfo *ei) MUST_CHECK;
/* ERR_UNAUTHORIZED: the token is for something else. ERR_FORBIDDEN: it does not go as far. */
enum err permit_allows(struct op *op, const struct permit *permit, bool is_write,
                       struct errinfo *ei) MUST_CHECK;
