/* Byte strings. Everything here is plain memory work; a NULL pointer is allowed with length 0. */
#include "base/str.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (c != 0) {
        return c < 0 ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0) {
        return 0;
    }
    if (s.n < needle.n) {
        return -1;
    }
    const char *at = (const char *)memmem(s.p, s.n, needle.p, needle.n);
    return at != NULL ? at - s.p : -1;
}

ptrdiff_t str_find_char(struct str s, char c)
{
    const char *at = s.n > 0 ? (const char *)memchr(s.p, c, s.n) : NULL;
    return at != NULL ? at - s.p : -1;
}

struct str str_slice(struct str s, size_t from, size_t n)
{
    if (from >= s.n) {
        return (struct str){s.p != NULL ? s.p + s.n : NULL, 0};
    }
    size_t rest = s.n - from;
    return (struct str){s.p + from, n < rest ? n : rest};
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool str_split(struct str s, char sep, struct str *ret_head, struct str *ret_tail)
{
    ptrdiff_t at = str_find_char(s, sep);
    if (at < 0) {
        *ret_head = s;
        return false;
    }
    *ret_head = (struct str){s.p, (size_t)at};
    *ret_tail = (struct str){s.p + at + 1, s.n - (size_t)at - 1};
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) {
            return false;
        }
    }
    *ret = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool is_negative = s.n > 0 && s.p[0] == '-';
    uint64_t v = 0;
    if (!str_to_u64(is_negative ? str_slice(s, 1, s.n) : s, &v)) {
        return false;
    }
    uint64_t most = is_negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (v > most) {
        return false;
    }
    /* Through the unsigned: -INT64_MIN does not exist. */
    *ret = is_negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    volatile unsigned diff = 0; /* volatile: no early way out may be invented */
    for (size_t i = 0; i < a.n; i++) {
        diff |= (unsigned)(uint8_t)a.p[i] ^ (unsigned)(uint8_t)b.p[i];
    }
    return diff == 0;
}

uint64_t str_hash(struct str s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.n > 0 ? s.p : "", s.n, seed);
}

unsigned str_distance(struct str a, struct str b)
{
    if (a.n >= STR_DISTANCE_MAX || b.n >= STR_DISTANCE_MAX) {
        return STR_DISTANCE_MAX;
    }
    /* Optimal string alignment with the last three rows of the matrix. */
    unsigned rows[3][STR_DISTANCE_MAX + 1];
    unsigned *before = rows[0];
    unsigned *last = rows[1];
    unsigned *now = rows[2];
    for (size_t j = 0; j <= b.n; j++) {
        before[j] = 0;
        last[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.n; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = last[j - 1] + (lower(a.p[i - 1]) != lower(b.p[j - 1]) ? 1 : 0);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            bool is_swap = i > 1 && j > 1 && lower(a.p[i - 1]) == lower(b.p[j - 2]) &&
                           lower(a.p[i - 2]) == lower(b.p[j - 1]);
            now[j] = is_swap && before[j - 2] + 1 < best ? before[j - 2] + 1 : best;
        }
        unsigned *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b.n];
}
