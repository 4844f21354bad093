/* Words of the setting. See diverged.h. */
#include "repl/diverged.h"

#include "base/contract.h"

const char *const diverged_names[DIVERGED_COUNT] = {
    [DIVERGED_FEED] = "feed",
    [DIVERGED_FEED_LATEST] = "feed-latest",
    [DIVERGED_LWW] = "lww",
    [DIVERGED_ARCHIVE] = "archive",
};

const char *diverged_name(enum diverged_writes d)
{
    ASSERT((unsigned)d < DIVERGED_COUNT);
    return diverged_names[d];
}
