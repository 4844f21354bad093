#include "bench/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/contract.h"
#include "base/mem.h"

enum { MANTISSA_BITS = 6, POOL_SIZE = 1 << 20 };

uint64_t sample_now_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Below 64 exact, above it the leading 7 bits of the value. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 1U << MANTISSA_BITS) {
        return (size_t)ns;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - MANTISSA_BITS;
    size_t idx =
        ((size_t)(shift + 1) << MANTISSA_BITS) + (size_t)((ns >> shift) - (1U << MANTISSA_BITS));
    return idx < SAMPLE_BUCKETS ? idx : SAMPLE_BUCKETS - 1;
}

static uint64_t bucket_edge(size_t idx)
{
    if (idx < 1U << MANTISSA_BITS) {
        return idx;
    }
    unsigned shift = (unsigned)(idx >> MANTISSA_BITS) - 1;
    uint64_t lead = (idx & ((1U << MANTISSA_BITS) - 1)) + (1U << MANTISSA_BITS);
    return ((lead + 1) << shift) - 1;
}

void sample_add(struct sample *s, uint64_t ns)
{
    s->count++;
    s->buckets[bucket_of(ns)]++;
    s->max_ns = ns > s->max_ns ? ns : s->max_ns;
}

void sample_merge(struct sample *to, const struct sample *from)
{
    to->count += from->count;
    to->errors += from->errors;
    to->max_ns = from->max_ns > to->max_ns ? from->max_ns : to->max_ns;
    for (size_t i = 0; i < SAMPLE_BUCKETS; i++) {
        to->buckets[i] += from->buckets[i];
    }
}

uint64_t sample_percentile(const struct sample *s, uint64_t ppm)
{
    uint64_t need = (s->count * ppm + 999999) / 1000000;
    uint64_t seen = 0;
    for (size_t i = 0; i < SAMPLE_BUCKETS && s->count > 0; i++) {
        seen += s->buckets[i];
        if (seen >= need) {
            uint64_t edge = bucket_edge(i);
            return edge < s->max_ns ? edge : s->max_ns;
        }
    }
    return 0;
}

static double cpu_seconds(void)
{
    struct rusage u = {0};
    (void)getrusage(RUSAGE_SELF, &u); /* cannot fail for ourselves */
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void sample_print(const struct sample *s, double seconds)
{
    double count = s->count > 0 ? (double)s->count : 1;
    printf("{\"count\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"seconds\":%.3f,\"rate\":%.1f,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f,\"cpu_us\":%.2f}",
           s->count, s->errors, seconds, (double)s->count / seconds,
           (double)sample_percentile(s, 500000) / 1e3, (double)sample_percentile(s, 990000) / 1e3,
           (double)sample_percentile(s, 999000) / 1e3, (double)s->max_ns / 1e3,
           cpu_seconds() * 1e6 / count);
}

/* By hand: snprintf would be a good part of what a request costs here. */
static void put_number(char *p, size_t digits, uint64_t number)
{
    for (size_t i = digits; i > 0; i--) {
        p[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
}

size_t item_id(char ret[ITEM_ID_SIZE], const char *prefix, uint64_t number)
{
    enum { DIGITS = 10 };
    size_t n = strlen(prefix);
    ASSERT(n + 1 + DIGITS < ITEM_ID_SIZE);
    memcpy(ret, prefix, n);
    ret[n] = '-';
    put_number(ret + n + 1, DIGITS, number);
    ret[n + 1 + DIGITS] = '\0';
    return n + 1 + DIGITS;
}

void item_maker_init(struct item_maker *m, uint64_t seed)
{
    rng_init(&m->rng, seed);
    m->pool = mem_alloc(POOL_SIZE + ITEM_SIZE);
    for (size_t i = 0; i < POOL_SIZE + ITEM_SIZE; i += 16) {
        uint64_t bits = rng_u64(&m->rng);
        for (size_t k = 0; k < 16; k++) {
            m->pool[i + k] = (char)('a' + ((bits >> (4 * k)) & 15));
        }
    }
}

void item_maker_done(struct item_maker *m)
{
    mem_free(m->pool);
}

static char *append(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

void item_make(struct item_maker *m, const char *id, char ret[ITEM_SIZE])
{
    static const char a[] = "{\"id\":\"";
    static const char b[] = "\",\"pk\":\"";
    static const char c[] = "\",\"kind\":\"bench\",\"n\":1";
    static const char d[] = ",\"text\":\"";
    uint64_t at = rng_u64(&m->rng);
    size_t id_n = strlen(id);
    char *p = append(ret, a, sizeof(a) - 1);
    p = append(p, id, id_n);
    p = append(p, b, sizeof(b) - 1);
    p = append(p, id, id_n);
    p = append(p, c, sizeof(c) - 1);
    put_number(p, 7, at >> 32);
    p = append(p + 7, d, sizeof(d) - 1);
    ASSERT(p < ret + ITEM_SIZE / 2);
    size_t left = (size_t)(ret + ITEM_SIZE - 2 - p);
    p = append(p, m->pool + (at & (POOL_SIZE - 1)), left);
    (void)append(p, "\"}", 2);
}
