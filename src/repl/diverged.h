/* What becomes of writes that a failover could not keep: the account's setting `divergedWrites`
 * (geo-semantics 9.6; doc/design/0002-core.md, "What becomes of a suffix"). Whatever it is, the region that
 * accepted them archives them before its log is cut. */
#pragma once

#include <stdbool.h>

#include "base/str.h"

enum diverged_writes {
    DIVERGED_FEED,        /* a conflict record per operation, in order */
    DIVERGED_FEED_LATEST, /* ... of the last lost version of each item of a suffix */
    DIVERGED_LWW,         /* ... and the later of the lost and the present version is the item */
    DIVERGED_ARCHIVE,     /* none: the archive is all there is */
    DIVERGED_COUNT,
};
extern const char *const diverged_names[DIVERGED_COUNT];

const char *diverged_name(enum diverged_writes d); /* "feed-latest" */
