/* `holdfast account init`: the first record of an account whose processes a service manager starts. It
 * goes to the coordinator, before any of them serves. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct account_start {
    const char *name;
    struct str regions;                          /* as given: exactly one */
    const char *level;                           /* "" = the usual one */
    uint64_t max_staleness_ops, max_staleness_s; /* 0 = the usual ones */
    const char *coordinator, *secret_file;
    bool prints_json;
};
enum err account_init_run(const struct account_start *s, struct errinfo *ei) MUST_CHECK;
