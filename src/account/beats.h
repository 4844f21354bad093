/* What the regions' heartbeats say, for whoever plans a change of the account record.
 *
 * The coordinator keeps the last heartbeat of a region that is away, until it restarts itself: what is
 * said here may be old. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/record.h"
#include "base/str.h"
#include "coord/coord.h"
#include "json/json.h"

struct account_beat {
    bool is_said;      /* there is a heartbeat */
    unsigned reads;    /* newest record format; 0 = it has not said anything */
    bool could_open;   /* what the region has is all that there was at some time */
    uint64_t ord;      /* entries in its logs, and that were */
    unsigned lease_ms; /* of the region's timers; 0 = it does not say */
    int64_t wall_ms;   /* when, by its own clock; 0 = it does not say */
};

struct account_beats {
    struct account_beat of[REGION_ID_MAX + 1]; /* by region id */
};

/* From the keys of an account as the coordinator has them; others are passed over. */
void beats_read(struct account_beats *b, struct str account, const struct coord_kv *kvs, size_t n);
/* The newest record format that the process reads whose heartbeat this is. */
unsigned beat_reads(const struct json *beat);
/* See account_beat.could_open. */
bool beat_could_open(const struct json *beat);
