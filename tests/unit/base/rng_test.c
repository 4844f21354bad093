/* Random numbers: the sequence is pinned (seeds in bug reports must replay), bounds hold. */
#include "base/rng.h"

#include <string.h>

#include "lib/t.h"

T_TEST("the sequence of a seed never changes")
{
    struct rng r;
    rng_init(&r, 1);
    uint64_t got[4];
    for (unsigned i = 0; i < 4; i++) {
        got[i] = rng_u64(&r);
    }
    /* From the reference implementation of xoshiro256** 1.0 seeded by splitmix64(1). */
    t_eq_u64(got[0], UINT64_C(0xb3f2af6d0fc710c5));
    t_eq_u64(got[1], UINT64_C(0x853b559647364cea));
    t_eq_u64(got[2], UINT64_C(0x92f89756082a4514));
    t_eq_u64(got[3], UINT64_C(0x642e1c7bc266a3a7));
}

T_TEST("bounded numbers stay in bounds, reach both ends and are even")
{
    struct rng r;
    unsigned seen[10] = {0};
    rng_init(&r, t_seed());
    for (int i = 0; i < 100000; i++) {
        seen[rng_below(&r, 10)]++;
        uint64_t v = rng_range(&r, 5, 7);
        t_check(v >= 5 && v <= 7);
    }
    for (int i = 0; i < 10; i++) {
        t_checkf(seen[i] > 9000 && seen[i] < 11000, "%d: %u", i, seen[i]);
    }
    t_eq_u64(rng_below(&r, 1), 0);
    t_eq_u64(rng_range(&r, 9, 9), 9);
    (void)rng_range(&r, 0, UINT64_MAX); /* must not divide by zero */
    for (int i = 0; i < 100; i++) {
        t_check(rng_below(&r, UINT64_C(1) << 63) < UINT64_C(1) << 63);
    }
}

T_TEST("chances of none and all are certain")
{
    struct rng r;
    rng_init(&r, t_seed());
    for (int i = 0; i < 1000; i++) {
        t_check(!rng_chance(&r, 0, 3));
        t_check(rng_chance(&r, 3, 3));
    }
}

T_TEST("bytes from the system differ between two calls")
{
    unsigned char a[32];
    unsigned char b[32];
    rng_os_bytes(a, sizeof(a));
    rng_os_bytes(b, sizeof(b));
    t_check(memcmp(a, b, sizeof(a)) != 0);
    rng_os_bytes(a, 0);
}

T_MAIN()
