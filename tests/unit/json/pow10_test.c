/* Proves the table of powers of ten with plain long multiplication. */
#include "json/json_int.h"

#include "json_help.h"

enum { WORDS = 48 }; /* 1536 bits: 10^292 has 971, times 2^128 */

/* Little-endian words. */
struct big {
    uint32_t w[WORDS];
};

static void big_mul(struct big *b, uint32_t by, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < WORDS; i++) {
        carry += (uint64_t)b->w[i] * by;
        b->w[i] = (uint32_t)carry;
        carry >>= 32;
    }
    t_check(carry == 0);
}

static int big_cmp(const struct big *a, const struct big *b)
{
    for (size_t i = WORDS; i-- > 0;) {
        if (a->w[i] != b->w[i]) {
            return a->w[i] < b->w[i] ? -1 : 1;
        }
    }
    return 0;
}

/* (t + plus) * 2^shift */
static struct big big_of(struct json_pow10 t, uint32_t plus, int shift)
{
    struct big b = {
        {(uint32_t)t.lo, (uint32_t)(t.lo >> 32), (uint32_t)t.hi, (uint32_t)(t.hi >> 32)}};
    big_mul(&b, 1, plus);
    for (int i = 0; i < shift; i++) {
        big_mul(&b, 2, 0);
    }
    return b;
}

static struct big big_power(uint32_t base, int n)
{
    struct big b = {{1}};
    for (int i = 0; i < n; i++) {
        big_mul(&b, base, 0);
    }
    return b;
}

static int floor_log2(const struct big *b)
{
    for (int i = WORDS - 1; i >= 0; i--) {
        if (b->w[i] != 0) {
            return i * 32 + 31 - __builtin_clz(b->w[i]);
        }
    }
    return -1;
}

T_TEST("rows of positive powers hold the top 128 bits, rounded down")
{
    struct big power = {{1}};
    for (int k = 0; k <= JSON_POW10_MAX; k++) {
        struct json_pow10 t = json_pow10[k - JSON_POW10_MIN];
        t_check(t.hi >> 63 == 1);
        int x = floor_log2(&power) - 127;
        /* T * 2^x <= 10^k < (T + 1) * 2^x; for x < 0 the factor goes to the other side. */
        struct big scaled = power;
        for (int i = x; i < 0; i++) {
            big_mul(&scaled, 2, 0);
        }
        struct big low = big_of(t, 0, x > 0 ? x : 0);
        struct big high = big_of(t, 1, x > 0 ? x : 0);
        int c = big_cmp(&low, &scaled);
        t_checkf(k <= 55 ? c == 0 : c < 0, "10^%d", k);
        t_checkf(big_cmp(&scaled, &high) < 0, "10^%d", k);
        big_mul(&power, 10, 0);
    }
}

T_TEST("rows of negative powers hold the top 128 bits, rounded down")
{
    /* T * 2^x <= 10^-m < (T + 1) * 2^x, multiplied by 10^m * 2^-x. */
    struct big power = {{1}};
    for (int m = 1; m <= -JSON_POW10_MIN; m++) {
        big_mul(&power, 10, 0);
        struct json_pow10 t = json_pow10[-m - JSON_POW10_MIN];
        t_check(t.hi >> 63 == 1);
        int x = -(floor_log2(&power) + 1) - 127; /* floor(log2(10^-m)): 10^m is no power of two */
        struct big one = big_power(2, -x);
        struct big low = big_of(t, 0, 0);
        struct big high = big_of(t, 1, 0);
        for (int i = 0; i < m; i++) {
            big_mul(&low, 10, 0);
            big_mul(&high, 10, 0);
        }
        t_checkf(big_cmp(&low, &one) < 0 && big_cmp(&one, &high) < 0, "10^-%d", m);
    }
}

T_MAIN()
