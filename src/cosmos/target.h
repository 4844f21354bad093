/* A request target taken apart: `/dbs/db1/colls/c1/docs/a?b` -> segments, decoded once.
 *
 * There are no query strings in this protocol: after `/docs/` everything is the item's id, `?`
 * included. `//` and a trailing `/` are tolerated. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { TARGET_SEGMENTS_MAX = 10, TARGET_SIZE_MAX = 8192 };

struct target {
    size_t count;
    struct str seg[TARGET_SEGMENTS_MAX]; /* percent-decoded */
    struct str raw;                      /* as received, without slashes at the ends */
    struct str decoded;                  /* the segments joined by '/' */
};
enum err target_parse(struct arena *a, struct str raw, struct target *ret,
                      struct errinfo *ei) MUST_CHECK;
