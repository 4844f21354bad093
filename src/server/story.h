/* What happens to the account, as the front sees it: told from one account record to the next, into the
 * event feed and the webhook. The front does not depend on any region, so this survives them. */
#pragma once

#include <stdbool.h>

#include "account/beats.h"
#include "account/record.h"
#include "server/feed.h"
#include "server/webhook.h"

enum {
    STORY_RECENT_MS = 300000, /* a front that starts tells of epochs this young (again) */
    /* Partitions move by themselves, perhaps all at once: so many are told of one by one in that time,
     * of the others how many there were, that often. */
    STORY_PARTS_MAX = 10,
    STORY_PARTS_MS = 60000,
    STORY_SUM_MS = 10000,
};

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
    /* Partitions that another region writes than the account's. */
    size_t part_count;
    struct {
        pid pid;
        region_id at;
        epoch epoch;
    } parts[RECORD_OVERRIDES_MAX];
    int64_t parts_since_ms; /* of the present STORY_PARTS_MS */
    unsigned parts_told;    /* in it, one by one */
    struct {
        uint64_t moved, returned, lossy;
        int64_t since_ms;
    } untold;                                 /* changes of writers of partitions */
    struct beat_said said[REGION_ID_MAX + 1]; /* by region id */
};

/* A heartbeat: what a writer says of others is kept for the time when one of them takes over. */
void story_beat(struct story *s, region_id id, struct str beat);
/* webhook may be NULL. */
void story_note(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook);
/* Now and then, with the record that was told of last: sums up what was too much to tell one by one. */
void story_tick(struct story *s, const struct account_record *rec, int64_t wall_ms,
                struct feed *feed, struct webhook *webhook);
static inline bool story_is_behind(const struct story *s)
{
    return s->untold.moved + s->untold.returned > 0;
}
