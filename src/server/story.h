/* What happens to the account, as the front sees it: told from one account record to the next, into the
 * event feed and the webhook. The front does not depend on any region, so this survives them. */
#pragma once

#include <stdbool.h>

#include "account/record.h"
#include "server/feed.h"
#include "server/webhook.h"

enum { STORY_RECENT_MS = 300000 }; /* a front that starts tells of epochs this young (again) */

struct story {
    bool is_known;
    epoch epoch;
    enum consistency level;
    size_t region_count;
    struct {
        region_id id;
        enum region_state state;
        char name[RECORD_NAME_MAX];
    } regions[REGIONS_MAX];
};

/* webhook may be NULL. */
void story_note(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook);
