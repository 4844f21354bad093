/* What happened during one repeat of a drill, as the report draws it: writes acknowledged per 10 ms,
 * who wrote, how far the others were behind, and events. Plain memory with limits; what does not fit
 * is counted in `dropped`. All times are CLOCK_BOOTTIME; `start` is their zero. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "base/types.h"

enum {
    TIMELINE_BUCKET_MS = 10,
    TIMELINE_BUCKETS_MAX = 90000, /* 15 minutes */
    TIMELINE_SAMPLES_MAX = 40000,
    TIMELINE_EVENTS_MAX = 400,
    TIMELINE_WRITERS_MAX = 2000,
    TIMELINE_REGIONS_MAX = 32,
};

enum timeline_kind {
    TIMELINE_DRILL,   /* the drill itself did it: fault, healing */
    TIMELINE_ACCOUNT, /* the account's document changed */
    TIMELINE_REGION,  /* a region's own event feed */
};

struct timeline_event {
    int64_t at_ms; /* since the start */
    enum timeline_kind kind;
    uint32_t rule; /* 0 = none */
    char who[64];  /* region; empty = the drill or the account */
    char text[240];
};

struct timeline_sample { /* of the writer's status */
    int64_t at_ms;
    unsigned region;
    uint64_t lag_operations, lag_ms;
};

struct timeline_span { /* the account's document names this region as writer from here on */
    int64_t at_ms;
    int region; /* -1 = nobody may write */
};

struct timeline {
    usec start_us;
    int64_t start_wall_ms;
    int64_t fault_ms, healed_ms, back_ms, end_ms; /* since the start; -1 = never */
    size_t region_count;
    char regions[TIMELINE_REGIONS_MAX][64];
    uint16_t *acks; /* owned; per bucket */
    size_t bucket_count;
    struct timeline_sample *samples; /* owned */
    size_t sample_count;
    struct timeline_event *events; /* owned; by time once timeline_sort was called */
    size_t event_count;
    struct timeline_span *writers; /* owned */
    size_t writer_count;
    uint64_t dropped;
};

struct timeline *timeline_new(usec start_us, int64_t start_wall_ms);
void timeline_free(struct timeline *t); /* NULL accepted */
int64_t timeline_ms(const struct timeline *t, usec at_us);
/* Index of a region; -1: no name, or one region too many. */
int timeline_region(struct timeline *t, const char *name);
void timeline_ack(struct timeline *t, usec at_us);
/* Says it only when it changed. name "" = nobody. */
void timeline_writer(struct timeline *t, usec at_us, const char *name);
void timeline_lag(struct timeline *t, usec at_us, const char *region, uint64_t operations,
                  uint64_t lag_ms);
void timeline_event(struct timeline *t, int64_t at_ms, enum timeline_kind kind, const char *who,
                    uint32_t rule, struct str text);
/* The longest time from the fault on without an acknowledgement that ends with one; false: none. */
bool timeline_longest_gap(const struct timeline *t, int64_t *ret_from_ms, int64_t *ret_to_ms);
void timeline_sort(struct timeline *t); /* events by time; equal ones as they were told */
