/* What every load generator here shares: time, latencies, the items, and the line of JSON that it
 * prints at the end for tests/bench/run. One thread at a time per struct. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"

enum {
    ITEM_SIZE = 1024,  /* of the whole JSON text of one item */
    ITEM_ID_SIZE = 32, /* with the terminating NUL */
    CONNECTIONS_MAX = 512,
};

uint64_t sample_now_ns(void);

/* Latencies in buckets of 1.6 % width. */
enum { SAMPLE_BUCKETS = 64 * 60 };
struct sample {
    uint64_t count, errors;
    uint64_t max_ns;
    uint32_t buckets[SAMPLE_BUCKETS];
};
void sample_add(struct sample *s, uint64_t ns);
void sample_merge(struct sample *to, const struct sample *from);
/* Upper edge of the bucket that holds the p-th of a million; 0 without samples. */
uint64_t sample_percentile(const struct sample *s, uint64_t ppm);
/* {"count":..,"errors":..,"seconds":..,"rate":..,"p50_us":..,"p99_us":..,"p999_us":..,"max_us":..,
 * "cpu_us":..}: cpu_us is what this process itself used per request. No line break. */
void sample_print(const struct sample *s, double seconds);

/* Ids of one run. Existing ones, 0 <= n < what was filled in: "fill-0000000042". New ones:
 * PREFIX-0000000042. The length is the same for every number of one prefix. */
size_t item_id(char ret[ITEM_ID_SIZE], const char *prefix, uint64_t number);

/* Documents of exactly ITEM_SIZE bytes, compressible about two to one, different each time. */
struct item_maker {
    struct rng rng;
    char *pool;
};
void item_maker_init(struct item_maker *m, uint64_t seed);
void item_maker_done(struct item_maker *m);
void item_make(struct item_maker *m, const char *id, char ret[ITEM_SIZE]);
