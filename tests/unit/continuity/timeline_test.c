/* What a drill's report is drawn from: buckets, spans, samples and their limits. */
#include "continuity/drill/timeline.h"

#include <stdio.h>
#include <string.h>

#include "lib/t.h"

static const usec MS = 1000;

T_TEST("acknowledgements are counted per 10 ms, gaps included, and late ones are dropped")
{
    struct timeline *t = timeline_new(1000 * MS, 5000);
    timeline_ack(t, 1000 * MS);
    timeline_ack(t, 1009 * MS);
    timeline_ack(t, 1010 * MS);
    timeline_ack(t, 1055 * MS);
    t_eq_u64(t->bucket_count, 6);
    static const unsigned want[] = {2, 1, 0, 0, 0, 1};
    for (size_t i = 0; i < 6; i++) {
        t_eq_u64(t->acks[i], want[i]);
    }
    timeline_ack(t, 990 * MS); /* before the start */
    timeline_ack(t, (1000 + (usec)TIMELINE_BUCKETS_MAX * TIMELINE_BUCKET_MS) * MS);
    t_eq_u64(t->dropped, 2);
    timeline_ack(t, (1000 + (usec)TIMELINE_BUCKETS_MAX * TIMELINE_BUCKET_MS - 1) * MS);
    t_eq_u64(t->bucket_count, TIMELINE_BUCKETS_MAX);
    t_eq_u64(t->dropped, 2);
    timeline_free(t);
}

T_TEST("the longest gap is after the fault, and ends with an acknowledgement")
{
    struct timeline *t = timeline_new(0, 0);
    int64_t from = -1, to = -1;
    timeline_ack(t, 5 * MS);
    timeline_ack(t, 400 * MS); /* a longer one before the fault */
    t_check(!timeline_longest_gap(t, &from, &to));
    t->fault_ms = 410;
    t_check(!timeline_longest_gap(t, &from, &to));
    timeline_ack(t, 425 * MS);
    timeline_ack(t, 735 * MS);
    timeline_ack(t, 745 * MS);
    t_check(timeline_longest_gap(t, &from, &to));
    t_eq_i64(from, 430);
    t_eq_i64(to, 730);
    timeline_free(t);
}

T_TEST("a writer is told once, nobody is somebody to tell about")
{
    struct timeline *t = timeline_new(0, 0);
    timeline_writer(t, 1 * MS, "east");
    timeline_writer(t, 2 * MS, "east");
    timeline_writer(t, 3 * MS, "");
    timeline_writer(t, 4 * MS, "west");
    t_eq_u64(t->writer_count, 3);
    t_eq_i64(t->writers[1].region, -1);
    t_eq_i64(t->writers[2].at_ms, 4);
    t_eq_cstr(t->regions[t->writers[2].region], "west");
    timeline_free(t);
}

T_TEST("events are sorted by time, equal ones stay in order, long texts are cut")
{
    struct timeline *t = timeline_new(0, 0);
    char text[1000];
    memset(text, 'x', sizeof(text));
    timeline_event(t, 30, TIMELINE_REGION, "west", 311, str_make(text, sizeof(text)));
    timeline_event(t, 10, TIMELINE_DRILL, "", 0, STR("a"));
    timeline_event(t, 30, TIMELINE_ACCOUNT, "", 0, STR("b"));
    timeline_sort(t);
    t_eq_cstr(t->events[0].text, "a");
    t_eq_u64(t->events[1].rule, 311);
    t_eq_u64(strlen(t->events[1].text), sizeof(t->events[1].text) - 1);
    t_eq_cstr(t->events[2].text, "b");
    timeline_free(t);
}

T_TEST("regions, samples, events and spans stop at their limits")
{
    struct timeline *t = timeline_new(0, 0);
    char name[32];
    for (int i = 0; i < TIMELINE_REGIONS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        t_eq_i64(timeline_region(t, name), i);
    }
    t_eq_i64(timeline_region(t, "one-more"), -1);
    t_eq_i64(timeline_region(t, ""), -1);
    timeline_lag(t, 0, "one-more", 1, 1);
    t_eq_u64(t->dropped, 1);
    for (size_t i = 0; i <= TIMELINE_SAMPLES_MAX; i++) {
        timeline_lag(t, i * MS, "r3", i, 2 * i);
    }
    t_eq_u64(t->sample_count, TIMELINE_SAMPLES_MAX);
    t_eq_u64(t->samples[TIMELINE_SAMPLES_MAX - 1].lag_ms, UINT64_C(2) * (TIMELINE_SAMPLES_MAX - 1));
    for (size_t i = 0; i <= TIMELINE_EVENTS_MAX; i++) {
        timeline_event(t, (int64_t)i, TIMELINE_DRILL, "", 0, STR("e"));
    }
    for (size_t i = 0; i <= TIMELINE_WRITERS_MAX; i++) {
        timeline_writer(t, i * MS, i % 2 == 0 ? "r1" : "r2");
    }
    t_eq_u64(t->event_count, TIMELINE_EVENTS_MAX);
    t_eq_u64(t->writer_count, TIMELINE_WRITERS_MAX);
    t_eq_u64(t->dropped, 4);
    timeline_free(t);
}

T_MAIN()
