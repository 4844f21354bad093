/* Accounts that one `holdfast up` hosts besides the one it was started with.
 *
 * The management interface writes what is wanted as one value in the coordinator; the supervisor
 * sees it, gives the account its ports, and runs its processes (doc/design/0004-management.md):
 *
 *   holdfast/v1/hosted/<account>   the value below, durable
 *
 * The account's own record (account/record.h) is made by its processes, as for the first account;
 * from then on regions and level are what the record says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/record.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define HOSTED_PREFIX "holdfast/v1/hosted/"

enum {
    HOSTED_FORMAT = 1,
    HOSTED_ACCOUNTS_MAX = 16,
    HOSTED_REGIONS_MAX = REGIONS_MAX,
    HOSTED_PORT_STEP = 1 + REGION_ID_MAX, /* its global endpoint and one for each name ever */
    HOSTED_ACCOUNT_MIN = 3,               /* characters of a name */
    HOSTED_ACCOUNT_MAX = 44,
};

struct hosted {
    char account[RECORD_NAME_MAX];
    size_t region_count;
    char regions[HOSTED_REGIONS_MAX][RECORD_NAME_MAX]; /* in priority order */
    enum consistency level;
    uint64_t max_staleness_ops, max_staleness_s; /* BoundedStaleness only, else 0 */
    bool auto_failover;
    bool is_deleting; /* for good: its processes end, its data goes, then this value */
    unsigned port;    /* of the global endpoint; 0 = the supervisor has not given one yet */
    int64_t created_wall_ms;
};

void hosted_encode(const struct hosted *h, struct buf *out);
/* Checks everything. ERR_CORRUPT, ERR_FORMAT_NEWER. */
enum err hosted_decode(struct str text, struct hosted *ret, struct errinfo *ei) MUST_CHECK;

/* 3 to 44 lower-case letters, digits and hyphens, no hyphen first; ERR_INVALID with a sentence. */
enum err hosted_check_account(struct str name, struct errinfo *ei) MUST_CHECK;
/* "East US" as "eastus": the form in which names are kept and compared. ERR_INVALID. */
enum err hosted_region_name(struct str given, char ret[RECORD_NAME_MAX],
                            struct errinfo *ei) MUST_CHECK;
