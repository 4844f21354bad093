/* Deterministic random numbers (xoshiro256**). Same seed, same sequence, everywhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n);               /* 0..n-1, n > 0, unbiased */
uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi); /* inclusive */
bool rng_chance(struct rng *r, uint32_t num, uint32_t den);  /* true num times in den */

/* From the operating system: seeds, keys, activity ids. Aborts when the system has none. */
void rng_os_bytes(void *p, unsigned long n);
