/* xoshiro256** 1.0 (Blackman and Vigna), seeded through splitmix64 so that seeds 0, 1, 2, ...
 * give unrelated sequences. Not for secrets: those come from rng_os_bytes(). */
#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/contract.h"

static uint64_t splitmix64(uint64_t *x)
{
    *x += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *x;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_init(struct rng *r, uint64_t seed)
{
    for (unsigned i = 0; i < ARRAY_COUNT(r->s); i++) {
        r->s[i] = splitmix64(&seed);
    }
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    ASSERT(n > 0);
    /* 2^64 mod n values at the bottom are rejected: what remains is a multiple of n. Each round
     * succeeds with probability over one half. */
    uint64_t reject_below = (0 - n) % n;
    uint64_t v;
    do {
        v = rng_u64(r);
    } while (v < reject_below);
    return v % n;
}

uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi)
{
    ASSERT(lo <= hi);
    if (lo == 0 && hi == UINT64_MAX) {
        return rng_u64(r);
    }
    return lo + rng_below(r, hi - lo + 1);
}

bool rng_chance(struct rng *r, uint32_t num, uint32_t den)
{
    ASSERT(den > 0);
    return rng_below(r, den) < num;
}

void rng_os_bytes(void *p, unsigned long n)
{
    unsigned char *at = (unsigned char *)p;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0) {
            ASSERT(errno == EINTR); /* the kernel has no random numbers: nothing is safe then */
            continue;
        }
        at += got;
        n -= (unsigned long)got;
    }
}
