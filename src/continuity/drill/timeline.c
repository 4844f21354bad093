#include "continuity/drill/timeline.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

struct timeline *timeline_new(usec start_us, int64_t start_wall_ms)
{
    struct timeline *t = MEM_NEW(struct timeline);
    t->start_us = start_us;
    t->start_wall_ms = start_wall_ms;
    t->fault_ms = t->healed_ms = t->back_ms = t->end_ms = -1;
    return t;
}

void timeline_free(struct timeline *t)
{
    if (t) {
        mem_free(t->acks);
        mem_free(t->samples);
        mem_free(t->events);
        mem_free(t->writers);
        mem_free(t);
    }
}

int64_t timeline_ms(const struct timeline *t, usec at_us)
{
    return ((int64_t)at_us - (int64_t)t->start_us) / 1000;
}

int timeline_region(struct timeline *t, const char *name)
{
    for (size_t i = 0; i < t->region_count; i++) {
        if (strcmp(t->regions[i], name) == 0) {
            return (int)i;
        }
    }
    if (name[0] == '\0' || t->region_count == TIMELINE_REGIONS_MAX) {
        return -1;
    }
    (void)snprintf(t->regions[t->region_count], sizeof(t->regions[0]), "%s", name);
    return (int)t->region_count++;
}

/* Room for one more of `n` rows of `size`; NULL when there are `max`. Grows by doubling, so that the
 * owner needs no capacity of its own. */
static void *grow(void *rows, size_t n, size_t max, size_t size)
{
    if (n == max) {
        return NULL;
    }
    return (n & (n - 1)) == 0 ? mem_realloc(rows, (n == 0 ? 1 : n * 2) * size) : rows;
}

void timeline_ack(struct timeline *t, usec at_us)
{
    int64_t ms = timeline_ms(t, at_us);
    if (ms < 0 || ms / TIMELINE_BUCKET_MS >= TIMELINE_BUCKETS_MAX) {
        t->dropped++;
        return;
    }
    size_t bucket = (size_t)(ms / TIMELINE_BUCKET_MS);
    while (t->bucket_count <= bucket) {
        t->acks = grow(t->acks, t->bucket_count, TIMELINE_BUCKETS_MAX, sizeof(t->acks[0]));
        ASSERT(t->acks != NULL); /* the bucket is below the maximum */
        t->acks[t->bucket_count++] = 0;
    }
    if (t->acks[bucket] < UINT16_MAX) {
        t->acks[bucket]++;
    }
}

void timeline_writer(struct timeline *t, usec at_us, const char *name)
{
    int region = timeline_region(t, name);
    if (t->writer_count > 0 && t->writers[t->writer_count - 1].region == region) {
        return;
    }
    void *rows = grow(t->writers, t->writer_count, TIMELINE_WRITERS_MAX, sizeof(t->writers[0]));
    if (!rows) {
        t->dropped++;
        return;
    }
    t->writers = rows;
    t->writers[t->writer_count++] = (struct timeline_span){timeline_ms(t, at_us), region};
}

void timeline_lag(struct timeline *t, usec at_us, const char *region, uint64_t operations,
                  uint64_t lag_ms)
{
    int idx = timeline_region(t, region);
    void *rows = grow(t->samples, t->sample_count, TIMELINE_SAMPLES_MAX, sizeof(t->samples[0]));
    if (!rows || idx < 0) {
        t->dropped++;
        t->samples = rows ? rows : t->samples;
        return;
    }
    t->samples = rows;
    t->samples[t->sample_count++] =
        (struct timeline_sample){timeline_ms(t, at_us), (unsigned)idx, operations, lag_ms};
}

void timeline_event(struct timeline *t, int64_t at_ms, enum timeline_kind kind, const char *who,
                    uint32_t rule, struct str text)
{
    void *rows = grow(t->events, t->event_count, TIMELINE_EVENTS_MAX, sizeof(t->events[0]));
    if (!rows) {
        t->dropped++;
        return;
    }
    t->events = rows;
    struct timeline_event *e = &t->events[t->event_count++];
    *e = (struct timeline_event){.at_ms = at_ms, .kind = kind, .rule = rule};
    (void)snprintf(e->who, sizeof(e->who), "%s", who);
    (void)snprintf(e->text, sizeof(e->text), STR_FMT, STR_ARG(str_slice(text, 0, sizeof(e->text))));
}

bool timeline_longest_gap(const struct timeline *t, int64_t *ret_from_ms, int64_t *ret_to_ms)
{
    if (t->fault_ms < 0) {
        return false;
    }
    size_t start = (size_t)(t->fault_ms / TIMELINE_BUCKET_MS);
    size_t longest = 0;
    for (size_t i = start; i < t->bucket_count; i++) {
        if (t->acks[i] == 0) {
            continue;
        }
        if (i - start > longest) {
            longest = i - start;
            *ret_from_ms = (int64_t)start * TIMELINE_BUCKET_MS;
            *ret_to_ms = (int64_t)i * TIMELINE_BUCKET_MS;
        }
        start = i + 1;
    }
    return longest > 0;
}

void timeline_sort(struct timeline *t)
{
    for (size_t i = 1; i < t->event_count; i++) { /* nearly sorted, a few hundred: insertion */
        struct timeline_event e = t->events[i];
        size_t k = i;
        for (; k > 0 && t->events[k - 1].at_ms > e.at_ms; k--) {
            t->events[k] = t->events[k - 1];
        }
        t->events[k] = e;
    }
}
