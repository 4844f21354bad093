/* `holdfast account create | list | delete`: all accounts of a running `up`, through its management
 * interface (doc/management.md). The token is read from the directory's management.token. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct account_manage {
    const char *dir;                             /* of `up` */
    const char *name;                            /* create, delete */
    struct str regions;                          /* create: "east,west" as given */
    const char *level;                           /* create; "" = the usual one */
    uint64_t max_staleness_ops, max_staleness_s; /* create; 0 = the usual ones */
    bool prints_json;
    uint64_t wait_ms; /* until it is done; 0 = do not wait */
};
enum err account_manage_create(const struct account_manage *m, struct errinfo *ei) MUST_CHECK;
enum err account_manage_list(const struct account_manage *m, struct errinfo *ei) MUST_CHECK;
enum err account_manage_delete(const struct account_manage *m, struct errinfo *ei) MUST_CHECK;
