/* Numbers: text to nearest double, double to shortest text, exact integers.
 *
 * Reading: up to 19 digits are gathered in an integer. Small integers and small powers of ten are
 * exact in double arithmetic (Clinger). Otherwise the product with a 128-bit power of ten gives an
 * interval that holds the true value; when both ends round to the same double, that is the answer.
 * The rest (about one in a million, and subnormals) goes to strtod, without a decimal point, so that
 * the locale does not matter.
 *
 * Writing: Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2020): shortest
 * digits, and of those the closest. The layout of the digits is that of ECMAScript's
 * Number::toString, which clients of a JSON store see everywhere else, but -0 keeps its sign. */
#include "json/json_int.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/contract.h"

STATIC_ASSERT(FLT_EVAL_METHOD == 0, "double arithmetic must round to double");
STATIC_ASSERT(DBL_MANT_DIG == 53, "IEEE 754 binary64");

__extension__ typedef unsigned __int128 u128;

enum {
    MANTISSA_DIGITS_MAX = 19, /* 10^19 - 1 fits in 64 bits */
    STRTOD_DIGITS_MAX = 800,  /* 767 decide any double; the rest can only break a tie */
    STRTOD_EXP_MAX = 9999,    /* beyond it every 800 digits are 0 or infinite anyway */
};
#define EXP10_MAX (INT64_C(1) << 40) /* more than any text is long: sums cannot overflow */
#define EXACT_MAX (UINT64_C(1) << 53)

/* floor(log2(10^e)) for |e| <= 1233. */
static int floor_log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

/* ---- scanning ---- */

struct digits {
    uint64_t mantissa;
    int count; /* significant digits taken */
    bool cut;
};

/* Takes digits at p; *ret_dropped counts those that did not fit. */
static const char *scan_digits(const char *p, const char *end, struct digits *d, int64_t *ret_taken,
                               int64_t *ret_dropped)
{
    const char *from = p;
    int64_t dropped = 0;
    for (; p < end && json_is_digit(*p); p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (d->count < MANTISSA_DIGITS_MAX) {
            d->mantissa = d->mantissa * 10 + digit;
            d->count += d->mantissa != 0;
        } else {
            d->cut |= digit != 0;
            dropped++;
        }
    }
    *ret_taken = p - from - dropped;
    *ret_dropped = dropped;
    return p;
}

static const char *no_number(const char *at, const char *why, const char **ret_why,
                             const char **ret_at)
{
    *ret_why = why;
    *ret_at = at;
    return NULL;
}

const char *json_number_scan(const char *p, const char *end, struct json_decimal *ret,
                             const char **ret_why, const char **ret_at)
{
    struct digits d = {0};
    int64_t exp10 = 0;
    int64_t taken = 0;
    int64_t dropped = 0;
    bool negative = p < end && *p == '-';
    if (negative) {
        p++;
    }
    const char *first = p;
    p = scan_digits(p, end, &d, &taken, &dropped);
    if (p == first) {
        return no_number(p, "expected a digit", ret_why, ret_at);
    }
    if (*first == '0' && p - first > 1) {
        return no_number(first, "number with a leading zero", ret_why, ret_at);
    }
    exp10 += dropped;
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        p = scan_digits(p, end, &d, &taken, &dropped);
        if (p == fraction) {
            return no_number(p, "expected a digit after the decimal point", ret_why, ret_at);
        }
        exp10 -= taken;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        bool is_negative_exp = p < end && *p == '-';
        if (p < end && (*p == '-' || *p == '+')) {
            p++;
        }
        const char *exponent = p;
        int64_t e = 0;
        for (; p < end && json_is_digit(*p); p++) {
            e = e < EXP10_MAX ? e * 10 + (*p - '0') : e;
        }
        if (p == exponent) {
            return no_number(p, "expected a digit in the exponent", ret_why, ret_at);
        }
        exp10 += is_negative_exp ? -e : e;
    }
    *ret = (struct json_decimal){d.mantissa, exp10, negative, d.cut};
    return p;
}

/* ---- text to double ---- */

/* Rounds p * 2^exp2 to nearest, ties to even. False when the result is no normal double. */
static bool round_normal(u128 p, int exp2, uint64_t *ret_bits)
{
    uint64_t hi = (uint64_t)(p >> 64);
    ASSERT(hi != 0);
    int msb = 127 - __builtin_clzll(hi);
    int drop = msb - 52;
    int e = exp2 + msb; /* the value lies in [2^e, 2^(e+1)) */
    uint64_t m = (uint64_t)(p >> drop);
    u128 rest = p & (((u128)1 << drop) - 1);
    u128 half = (u128)1 << (drop - 1);
    if (rest > half || (rest == half && (m & 1))) {
        m++;
    }
    if (m == EXACT_MAX) {
        m >>= 1;
        e++;
    }
    if (e < -1022 || e > 1023) {
        return false;
    }
    *ret_bits = (uint64_t)(e + 1023) << 52 | (m & (EXACT_MAX / 2 - 1));
    return true;
}

/* The interval method. False: not decided (rare), or not normal. */
static bool interval_double(const struct json_decimal *d, double *ret)
{
    if (d->exp10 < JSON_POW10_MIN || d->exp10 > JSON_POW10_MAX) {
        return false;
    }
    int k = (int)d->exp10;
    struct json_pow10 t = json_pow10[k - JSON_POW10_MIN];
    int shift = __builtin_clzll(d->mantissa);
    uint64_t w = d->mantissa << shift;
    /* low = floor(w * T / 2^64). The true product is below low + 2: less than one for the part
     * cut off here, and w * (10^k/2^x - T) / 2^64 < 1. Cut digits add at most T << shift. */
    u128 low = (u128)w * t.hi + (uint64_t)(((u128)w * t.lo) >> 64);
    u128 width = 2;
    if (d->cut) {
        width += ((u128)t.hi + 1) << shift;
    }
    u128 high = low + width;
    if (high < low) {
        return false;
    }
    int exp2 = floor_log2_pow10(k) - 127 + 64 - shift;
    uint64_t bits_low;
    uint64_t bits_high;
    if (!round_normal(low, exp2, &bits_low) || !round_normal(high, exp2, &bits_high) ||
        bits_low != bits_high) {
        return false;
    }
    memcpy(ret, &bits_low, sizeof(*ret));
    return true;
}

/* Any number whatever, by strtod on "digits e exponent". */
static double strtod_double(const struct json_decimal *d, struct str text)
{
    char copy[STRTOD_DIGITS_MAX + 32];
    size_t n = 0;
    bool is_cut = false;
    int64_t kept = 0;  /* significant digits in `copy` */
    int64_t total = 0; /* significant digits in the text */
    for (size_t i = 0; i < text.n && text.p[i] != 'e' && text.p[i] != 'E'; i++) {
        if (!json_is_digit(text.p[i]) || (total == 0 && text.p[i] == '0')) {
            continue;
        }
        total++;
        if (kept < STRTOD_DIGITS_MAX) {
            copy[n++] = text.p[i];
            kept++;
        } else {
            is_cut |= text.p[i] != '0';
        }
    }
    /* d->exp10 belongs to the first 19 digits; here `kept` of them are before the exponent. */
    int64_t mantissa_digits = total < MANTISSA_DIGITS_MAX ? total : MANTISSA_DIGITS_MAX;
    int64_t exp10 = d->exp10 - (kept - mantissa_digits);
    if (is_cut) {
        copy[n++] = '1'; /* stands for "and a bit more" */
        exp10--;
    }
    if (exp10 > STRTOD_EXP_MAX) {
        exp10 = STRTOD_EXP_MAX;
    } else if (exp10 < -STRTOD_EXP_MAX) {
        exp10 = -STRTOD_EXP_MAX;
    }
    int tail = snprintf(copy + n, sizeof(copy) - n, "e%d", (int)exp10);
    ASSERT(tail > 0 && (size_t)tail < sizeof(copy) - n);
    return strtod(copy, NULL);
}

bool json_decimal_to_double(const struct json_decimal *d, struct str text, double *ret)
{
    static const double exact_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double v = 0;
    if (d->mantissa == 0) {
        v = 0; /* no digit can have been cut: leading zeros are not counted */
    } else if (d->exp10 == 0 && !d->cut) {
        v = (double)d->mantissa;
    } else if (!d->cut && d->mantissa <= EXACT_MAX && d->exp10 >= -22 && d->exp10 <= 22) {
        v = (double)d->mantissa;
        v = d->exp10 < 0 ? v / exact_powers[-d->exp10] : v * exact_powers[d->exp10];
    } else if (!interval_double(d, &v)) {
        v = strtod_double(d, text);
        if (!isfinite(v)) {
            return false;
        }
    }
    *ret = d->negative ? -v : v;
    return true;
}

/* ---- exact integers ---- */

/* Digits without trailing zeros, times ten to some power: an integer below 2^64 has at most 20. */
static bool exact_integer_of_text(struct str text, bool *ret_negative, uint64_t *ret_magnitude)
{
    struct json_decimal d;
    const char *why = NULL;
    const char *at = NULL;
    const char *end = text.p + text.n;
    if (json_number_scan(text.p, end, &d, &why, &at) != end) {
        return false;
    }
    uint64_t m = d.mantissa;
    int64_t exp10 = d.exp10;
    if (d.cut) {
        /* 20 digits or more, not all of the rest zero: only a plain integer can still fit. */
        bool negative = text.p[0] == '-';
        struct str digits = str_slice(text, negative, text.n);
        if (!str_to_u64(digits, &m)) {
            return false;
        }
        *ret_negative = negative;
        *ret_magnitude = m;
        return true;
    }
    while (exp10 < 0 && m != 0 && m % 10 == 0) {
        m /= 10;
        exp10++;
    }
    if (m != 0 && exp10 < 0) {
        return false;
    }
    for (; m != 0 && exp10 > 0; exp10--) {
        if (__builtin_mul_overflow(m, (uint64_t)10, &m)) {
            return false;
        }
    }
    *ret_negative = d.negative;
    *ret_magnitude = m;
    return true;
}

bool json_exact_integer(const struct json *v, bool *ret_negative, uint64_t *ret_magnitude)
{
    if (!v || v->type != JSON_NUMBER) {
        return false;
    }
    if (v->src.n > 0) {
        return exact_integer_of_text(v->src, ret_negative, ret_magnitude);
    }
    double d = fabs(v->number);
    if (!(d < 0x1p64) || d != floor(d)) {
        return false;
    }
    *ret_negative = v->number < 0;
    *ret_magnitude = (uint64_t)d;
    return true;
}

/* ---- double to text ---- */

struct shortest {
    uint64_t digits; /* at most 17 of them */
    int exp10;
};

/* floor(g * c / 2^64) for a 128-bit g, with the lowest bit set when anything was cut off: such a
 * value compares with multiples of two as the exact one would. */
static uint64_t round_to_odd(uint64_t g_hi, uint64_t g_lo, uint64_t c)
{
    uint64_t x_hi = (uint64_t)(((u128)g_lo * c) >> 64);
    u128 y = (u128)g_hi * c + x_hi;
    return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* d > 0, finite. Names and constants as in the paper, scaled by four. */
static struct shortest shortest_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    uint64_t fraction = bits & (EXACT_MAX / 2 - 1);
    int biased = (int)(bits >> 52);
    uint64_t c = biased != 0 ? fraction | EXACT_MAX / 2 : fraction;
    int q = (biased != 0 ? biased : 1) - 1075;

    bool is_even = (c & 1) == 0;
    bool is_lower_closer = fraction == 0 && biased > 1; /* doubles are denser below 2^n */
    uint64_t cb = 4 * c;
    uint64_t cbl = cb - 2 + is_lower_closer;
    uint64_t cbr = cb + 2;

    int k = (q * 1262611 - (is_lower_closer ? 524031 : 0)) >> 22;
    int h = q + floor_log2_pow10(-k) + 1;
    ASSERT(h >= 1 && h <= 4);
    struct json_pow10 g = json_pow10[-k - JSON_POW10_MIN];
    if (-k < 0 || -k > 55) { /* the method wants the power rounded up; these rows are not exact */
        g.lo++;
        g.hi += g.lo == 0;
    }
    uint64_t vbl = round_to_odd(g.hi, g.lo, cbl << h);
    uint64_t vb = round_to_odd(g.hi, g.lo, cb << h);
    uint64_t vbr = round_to_odd(g.hi, g.lo, cbr << h);
    uint64_t lower = vbl + !is_even; /* the ends of the rounding interval belong to even doubles */
    uint64_t upper = vbr - !is_even;

    uint64_t s = vb / 4;
    if (s >= 10) {
        uint64_t sp = s / 10;
        bool is_down_inside = lower <= 40 * sp;
        bool is_up_inside = 40 * sp + 40 <= upper;
        if (is_down_inside != is_up_inside) {
            return (struct shortest){sp + is_up_inside, k + 1};
        }
    }
    bool is_down_inside = lower <= 4 * s;
    bool is_up_inside = 4 * s + 4 <= upper;
    if (is_down_inside != is_up_inside) {
        return (struct shortest){s + is_up_inside, k};
    }
    uint64_t middle = 4 * s + 2;
    bool is_rounded_up = vb > middle || (vb == middle && (s & 1) != 0);
    return (struct shortest){s + is_rounded_up, k};
}

/* Decimal digits of v at `out`, no terminator. Returns how many. */
static size_t put_digits(char *out, uint64_t v)
{
    char reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++) {
        out[i] = reversed[n - 1 - i];
    }
    return n;
}

static char *put_repeated(char *out, char c, int n)
{
    for (int i = 0; i < n; i++) {
        *out++ = c;
    }
    return out;
}

/* ECMAScript Number::toString: plain up to 21 digits before the point and six zeros after it. */
static char *put_layout(char *out, const char *digits, int n, int exp10)
{
    int point = n + exp10; /* where the decimal point goes, counted from the first digit */
    if (n <= point && point <= 21) {
        memcpy(out, digits, (size_t)n);
        return put_repeated(out + n, '0', point - n);
    }
    if (0 < point && point <= 21) {
        memcpy(out, digits, (size_t)point);
        out += point;
        *out++ = '.';
        memcpy(out, digits + point, (size_t)(n - point));
        return out + (n - point);
    }
    if (-6 < point && point <= 0) {
        *out++ = '0';
        *out++ = '.';
        out = put_repeated(out, '0', -point);
        memcpy(out, digits, (size_t)n);
        return out + n;
    }
    *out++ = digits[0];
    if (n > 1) {
        *out++ = '.';
        memcpy(out, digits + 1, (size_t)(n - 1));
        out += n - 1;
    }
    int e = point - 1;
    *out++ = 'e';
    *out++ = e < 0 ? '-' : '+';
    return out + put_digits(out, (uint64_t)(e < 0 ? -e : e));
}

size_t json_format_number(double d, char out[JSON_NUMBER_SIZE_MAX])
{
    ASSERT(isfinite(d));
    char *o = out;
    if (signbit(d)) {
        *o++ = '-';
        d = -d;
    }
    if (d < (double)EXACT_MAX && d == (double)(uint64_t)d) {
        o += put_digits(o, (uint64_t)d);
        return (size_t)(o - out);
    }
    struct shortest s = shortest_of(d);
    while (s.digits % 10 == 0) {
        s.digits /= 10;
        s.exp10++;
    }
    char digits[20];
    size_t n = put_digits(digits, s.digits);
    o = put_layout(o, digits, (int)n, s.exp10);
    ASSERT(o - out <= JSON_NUMBER_SIZE_MAX);
    return (size_t)(o - out);
}
