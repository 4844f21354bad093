/* Prometheus text, version 0.0.4. Names are holdfast_*, durations are seconds, counters end in
 * _total; label values come from fixed lists or from names of the account, so that the number of
 * series is bounded. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/buf.h"

struct coord_client;

#define METRIC_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum metric_kind {
    METRIC_GAUGE,
    METRIC_COUNTER,
    METRIC_SUMMARY,
    METRIC_HISTOGRAM,
};

/* Once for each name, before its rows. */
void metric_head(struct buf *b, const char *name, enum metric_kind kind, const char *help);
/* label NULL: none. */
void metric_row(struct buf *b, const char *name, const char *label, const char *label_value,
                uint64_t value);
void metric_row_seconds(struct buf *b, const char *name, const char *label, const char *label_value,
                        uint64_t value_us);
/* Head and one row without label. */
void metric_u64(struct buf *b, const char *name, enum metric_kind kind, const char *help,
                uint64_t value);

/* Version, memory and open descriptors of this process. */
void metric_process(struct buf *b);
/* How far this process is with a change of the coordinator's secret. NULL: no client yet. */
void metric_secrets(struct buf *b, const struct coord_client *coord);

/* Latencies. Any thread may add. */
enum { METRIC_BUCKET_COUNT = 16 };
struct metric_histogram {
    atomic_ulong buckets[METRIC_BUCKET_COUNT + 1]; /* of its own, not cumulative; last: above all */
    atomic_ulong sum_us;
};
void metric_histogram_add(struct metric_histogram *h, uint64_t took_us);
/* The rows; the head is the caller's. */
void metric_histogram_rows(struct buf *b, const char *name, const char *label,
                           const char *label_value, const struct metric_histogram *h);
