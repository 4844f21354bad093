/* The first record of an account that has no `up`: its processes are started by a service manager, and
 * wait for the record. One region, which becomes the writer once its server runs; further ones are added
 * as to any account. Addresses are reported by the servers (`endpoint`, `peer-address`). */
#pragma once

#include "account/record.h"
#include "base/err.h"

enum { CREATE_KEY_SIZE = 96 };

struct coord_secrets;
struct create_opts {
    const char *account, *region;
    const char *coordinator;             /* urls */
    const struct coord_secrets *secrets; /* of the coordinator */
    enum consistency level;
    uint64_t max_staleness_ops, max_staleness_s; /* BoundedStaleness; 0 = the usual ones */
};
/* Makes keys and the peer secret. Blocks, for some seconds at most. ERR_EXISTS (the coordinator knows an
 * account of that name), ERR_UNAVAILABLE, ERR_UNAUTHORIZED, ERR_INVALID (bounds),
 * ERR_UNKNOWN_OUTCOME (ask again: it exists, or does not). */
enum err create_account(const struct create_opts *o, char ret_key[CREATE_KEY_SIZE],
                        struct errinfo *ei) MUST_CHECK;
