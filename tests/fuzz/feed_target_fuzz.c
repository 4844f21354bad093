/* Targets of the event feed: whatever comes, numbers are in their range or it is refused. */
#include <string.h>

#include "base/contract.h"
#include "server/feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str target = str_make((const char *)data, size);
    uint64_t since = 7;
    uint64_t wait_s = 7;
    struct errinfo ei = {0};
    bool is_target = feed_is_target(target);
    enum err err = feed_parse(target, &since, &wait_s, &ei);
    if (err == OK) {
        ASSERT(wait_s <= FEED_WAIT_S_MAX);
        bool has_query = size > 0 && memchr(data, '?', size) != NULL;
        ASSERT(IMPLIES(is_target && !has_query, since == 0));
    } else {
        ASSERT(since == 7 && wait_s == 7); /* untouched on failure */
        ASSERT(ei.code == err);
    }
    return 0;
}
