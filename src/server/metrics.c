/* Prometheus text. See metrics.h. */
#include "server/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "coord/coord_client.h"

static const uint64_t bounds_us[METRIC_BUCKET_COUNT] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

void metric_head(struct buf *b, const char *name, enum metric_kind kind, const char *help)
{
    static const char *const kinds[] = {"gauge", "counter", "summary", "histogram"};
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kinds[kind]);
}

/* name{label="value"} and a blank. */
static void series(struct buf *b, const char *name, const char *label, const char *label_value)
{
    buf_add_cstr(b, name);
    if (label) {
        buf_printf(b, "{%s=\"", label);
        for (const char *p = label_value; *p; p++) {
            if (*p == '"' || *p == '\\') {
                buf_add_char(b, '\\');
            }
            buf_add_char(b, *p == '\n' ? ' ' : *p);
        }
        buf_add_cstr(b, "\"}");
    }
    buf_add_char(b, ' ');
}

void metric_row(struct buf *b, const char *name, const char *label, const char *label_value,
                uint64_t value)
{
    series(b, name, label, label_value);
    buf_printf(b, "%" PRIu64 "\n", value);
}

static void add_seconds(struct buf *b, uint64_t us)
{
    buf_printf(b, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

void metric_row_seconds(struct buf *b, const char *name, const char *label, const char *label_value,
                        uint64_t value_us)
{
    series(b, name, label, label_value);
    add_seconds(b, value_us);
    buf_add_char(b, '\n');
}

void metric_u64(struct buf *b, const char *name, enum metric_kind kind, const char *help,
                uint64_t value)
{
    metric_head(b, name, kind, help);
    metric_row(b, name, NULL, NULL, value);
}

static uint64_t open_descriptors(void)
{
    uint64_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    if (!d) {
        return 0;
    }
    for (;;) {
        const struct dirent *e =
            readdir(d); /* NOLINT(concurrency-mt-unsafe): the stream is ours alone */
        if (!e) {
            break;
        }
        count += e->d_name[0] != '.';
    }
    (void)closedir(d);
    return count > 0 ? count - 1 : 0; /* not the one of the look itself */
}

static uint64_t resident_bytes(void)
{
    struct buf text;
    uint64_t pages = 0;
    buf_init(&text, 256);
    if (files_read("/proc/self/statm", &text, NULL) == OK) {
        struct str first;
        struct str rest;
        struct str second;
        (void)str_split(buf_str(&text), ' ', &first, &rest);
        (void)str_split(rest, ' ', &second, &rest);
        (void)str_to_u64(second, &pages); /* 0 when it cannot be read */
    }
    buf_done(&text);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void metric_secrets(struct buf *b, const struct coord_client *coord)
{
    if (coord == NULL) {
        return;
    }
    struct coord_client_secrets s = coord_client_secrets_get(coord);
    metric_u64(b, "holdfast_coordinator_secrets", METRIC_GAUGE,
               "Secrets of the coordinator that this process has: 2 while they are being changed.",
               s.count);
    metric_u64(b, "holdfast_coordinator_secret_changes_total", METRIC_COUNTER,
               "Times that the secret's file had others.", s.change_count);
}

void metric_process(struct buf *b)
{
    metric_head(b, "holdfast_build_info", METRIC_GAUGE, "Always 1; the version is its label.");
    metric_row(b, "holdfast_build_info", "version", HF_VERSION, 1);
    metric_u64(b, "process_resident_memory_bytes", METRIC_GAUGE, "Resident memory.",
               resident_bytes());
    metric_u64(b, "process_open_fds", METRIC_GAUGE, "Open file descriptors.", open_descriptors());
}

void metric_histogram_add(struct metric_histogram *h, uint64_t took_us)
{
    size_t i = 0;
    while (i < METRIC_BUCKET_COUNT && took_us > bounds_us[i]) {
        i++;
    }
    atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, took_us, memory_order_relaxed);
}

void metric_histogram_rows(struct buf *b, const char *name, const char *label,
                           const char *label_value, const struct metric_histogram *h)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= METRIC_BUCKET_COUNT; i++) {
        count += atomic_load_explicit(&h->buckets[i], memory_order_relaxed);
        buf_printf(b, "%s_bucket{%s=\"%s\",le=\"", name, label, label_value);
        if (i < METRIC_BUCKET_COUNT) {
            add_seconds(b, bounds_us[i]);
        } else {
            buf_add_cstr(b, "+Inf");
        }
        buf_printf(b, "\"} %" PRIu64 "\n", count);
    }
    buf_printf(b, "%s_sum{%s=\"%s\"} ", name, label, label_value);
    add_seconds(b, atomic_load_explicit(&h->sum_us, memory_order_relaxed));
    buf_printf(b, "\n%s_count{%s=\"%s\"} %" PRIu64 "\n", name, label, label_value, count);
}
