/* Numbers in both directions, against the C library. */
#include "base/contract.h"
#include "base/rng.h"
#include "json/json_int.h"

#include <math.h>
#include <stdio.h>

#include "json_help.h"

static bool read_number(struct str text, double *ret)
{
    struct json_decimal d;
    const char *why = NULL;
    const char *at = NULL;
    t_check(json_number_scan(text.p, text.p + text.n, &d, &why, &at) == text.p + text.n);
    return json_decimal_to_double(&d, text, ret);
}

static uint64_t bits_of(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof(bits));
    return bits;
}

static double of_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof(d));
    return d;
}

static struct str written(double d)
{
    static char text[JSON_NUMBER_SIZE_MAX];
    return str_make(text, json_format_number(d, text));
}

/* Digits of a text without leading and trailing zeros. */
static int significant_digits(struct str text)
{
    int count = 0;
    int zeros = 0;
    for (size_t i = 0; i < text.n && text.p[i] != 'e'; i++) {
        if (!json_is_digit(text.p[i]) || (count + zeros == 0 && text.p[i] == '0')) {
            continue;
        }
        if (text.p[i] == '0') {
            zeros++;
        } else {
            count += zeros + 1;
            zeros = 0;
        }
    }
    return count;
}

static void check_shortest(double d)
{
    struct str text = written(d);
    double back = 0;
    t_check(read_number(text, &back));
    t_checkf(bits_of(back) == bits_of(d), "%a is written " STR_FMT, d, STR_ARG(text));
    char digits[40];
    (void)snprintf(digits, sizeof(digits), STR_FMT, STR_ARG(text));
    t_checkf(bits_of(strtod(digits, NULL)) == bits_of(d), "%a, C library: %s", d, digits);
    int n = significant_digits(text);
    if (n > 1) {
        char shorter[40];
        (void)snprintf(shorter, sizeof(shorter), "%.*e", n - 2, d);
        t_checkf(strtod(shorter, NULL) != d, STR_FMT " could be %s", STR_ARG(text), shorter);
    }
}

T_TEST("100000 random doubles are written shortest and read back bit by bit")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 100000; i++) {
        double d = of_bits(rng_u64(&rng));
        if (isfinite(d)) {
            check_shortest(d);
        }
    }
}

T_TEST("every power of two and its neighbours are written shortest")
{
    for (uint64_t e = 0; e < 2047; e++) {
        check_shortest(of_bits(e << 52));
        check_shortest(of_bits((e << 52) + 1));
        if (e > 0) {
            check_shortest(of_bits((e << 52) - 1));
        }
    }
    for (uint64_t m = 1; m < 3000; m++) {
        check_shortest(of_bits(m)); /* subnormal */
    }
}

T_TEST("prices and counts are written as people write them")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 50000; i++) {
        int digits = (int)rng_below(&rng, 7);
        char text[40];
        (void)snprintf(text, sizeof(text), "%" PRIu64 ".%0*" PRIu64 "1", rng_below(&rng, 100000),
                       digits, digits ? rng_below(&rng, 10) : 0);
        t_eq_str(written(strtod(text, NULL)), str_of(text));
    }
}

T_TEST("the layout of written numbers")
{
    static const struct {
        double d;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {100, "100"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.5e300, "1.5e+300"},
        {0.000001, "0.000001"},
        {0.0000012345, "0.0000012345"},
        {1e-7, "1e-7"},
        {1.25e-10, "1.25e-10"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {-1.7976931348623157e308, "-1.7976931348623157e+308"},
        {9007199254740991, "9007199254740991"},
        {9007199254740992, "9007199254740992"},
        {9007199254740994, "9007199254740994"},
        {9223372036854775807.0, "9223372036854776000"},
        {2e-3, "0.002"},
        {9.5, "9.5"},
        {299792.458, "299792.458"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        t_eq_str(written(cases[i].d), str_of(cases[i].text));
    }
}

T_TEST("random decimal texts read as the C library reads them")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 100000; i++) {
        char text[120];
        int n = snprintf(text, sizeof(text), "%s%" PRIu64 ".%" PRIu64 "%" PRIu64 "e%d",
                         rng_chance(&rng, 1, 2) ? "-" : "", rng_u64(&rng) >> rng_below(&rng, 64),
                         rng_u64(&rng), rng_u64(&rng) >> rng_below(&rng, 64),
                         (int)rng_below(&rng, 700) - 350);
        double want = strtod(text, NULL);
        double got = 0;
        if (read_number(str_make(text, (size_t)n), &got)) {
            t_checkf(bits_of(got) == bits_of(want), "%s: %a, want %a", text, got, want);
        } else {
            t_checkf(isinf(want), "%s: refused, is %a", text, want);
        }
    }
}

/* A decimal text of the exact value half-way between d and the next double up. */
static size_t halfway_text(double d, char *out, size_t size)
{
    /* Exact in long double for the range used: one more bit than a double has. */
    long double middle = ((long double)d + (long double)nextafter(d, HUGE_VAL)) / 2;
    return (size_t)snprintf(out, size, "%.90Lf", middle);
}

T_TEST("half-way cases go to even, and one digit far out decides them")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 2000; i++) {
        double d = ldexp((double)(rng_u64(&rng) >> 11), (int)rng_below(&rng, 60) - 80);
        char text[200];
        size_t n = halfway_text(d, text, sizeof(text) - 4);
        double got = 0;
        t_check(read_number(str_make(text, n), &got));
        double even = bits_of(d) & 1 ? nextafter(d, HUGE_VAL) : d;
        t_checkf(bits_of(got) == bits_of(even), "%s", text);
        text[n++] = '1';
        t_check(read_number(str_make(text, n), &got));
        t_checkf(bits_of(got) == bits_of(nextafter(d, HUGE_VAL)), "%s", text);
    }
}

T_TEST("texts of many digits are read exactly, however many")
{
    /* 2^-1074 / 2 = 2.47...e-324 has 751 digits: at half it is zero, any digit more makes it one. */
    enum { N = 3000 };
    static char text[N + 16];
    int n = snprintf(text, sizeof(text), "%.1075f", 0x1p-1074);
    t_check(n > 1000 && n < N);
    double got = 1;
    t_check(read_number(str_make(text, (size_t)n), &got));
    t_eq_u64(bits_of(got), 1);
    memset(text, '0', sizeof(text));
    static const struct str middle = STR_INIT("9007199254740993."); /* between two doubles */
    memcpy(text, middle.p, middle.n);
    t_check(read_number(str_make(text, N), &got));
    t_eq_f64(got, 9007199254740992.0);
    text[N - 1] = '1';
    t_check(read_number(str_make(text, N), &got));
    t_eq_f64(got, 9007199254740994.0);
    /* A long row of digits and an exponent that takes it back. */
    memset(text, '0', sizeof(text));
    text[0] = '1';
    (void)snprintf(text + 2000, 8, "e-1999");
    t_check(read_number(str_make(text, 2006), &got));
    t_eq_f64(got, 1);
    memset(text, '0', sizeof(text));
    text[1] = '.';
    text[1999] = '5';
    (void)snprintf(text + 2000, 8, "e1998");
    t_check(read_number(str_make(text, 2005), &got));
    t_eq_f64(got, 5);
}

T_TEST("the edges of the double range")
{
    double got = 0;
    t_check(read_number(STR("1.7976931348623158e308"), &got)); /* rounds down to the largest */
    t_eq_f64(got, 1.7976931348623157e308);
    t_check(!read_number(STR("1.797693134862315808e308"), &got));
    t_check(!read_number(STR("1e309"), &got));
    t_check(!read_number(STR("-1e99999999999999999999999"), &got));
    t_check(read_number(STR("2.2250738585072011e-308"), &got)); /* largest subnormal */
    t_eq_u64(bits_of(got), (UINT64_C(1) << 52) - 1);
    t_check(read_number(STR("2.4703282292062328e-324"), &got));
    t_eq_u64(bits_of(got), 1);
    t_check(read_number(STR("2.4703282292062327e-324"), &got));
    t_eq_u64(bits_of(got), 0);
    t_check(read_number(STR("-1e-99999999999999999999999"), &got));
    t_eq_u64(bits_of(got), UINT64_C(1) << 63);
}

static void check_integer(const char *text, bool is_integer, bool negative, uint64_t magnitude)
{
    bool got_negative = false;
    uint64_t got = 0;
    const struct json *v = help_parse(str_of(text));
    t_checkf(json_exact_integer(v, &got_negative, &got) == is_integer, "%s", text);
    if (is_integer) {
        t_checkf(got == magnitude && got_negative == negative, "%s: %" PRIu64, text, got);
    }
}

T_TEST("integers are recognised exactly in any notation")
{
    check_integer("0", true, false, 0);
    check_integer("-0", true, true, 0);
    check_integer("1.0", true, false, 1);
    check_integer("1.50e1", true, false, 15);
    check_integer("-12e3", true, true, 12000);
    check_integer("100e-2", true, false, 1);
    check_integer("1e-1", false, false, 0);
    check_integer("0.5", false, false, 0);
    check_integer("9007199254740993", true, false, UINT64_C(9007199254740993));
    check_integer("9007199254740993.000000000000000000000", true, false,
                  UINT64_C(9007199254740993));
    check_integer("9007199254740993.000000000000000000001", false, false, 0);
    check_integer("18446744073709551615", true, false, UINT64_MAX);
    check_integer("-18446744073709551615", true, true, UINT64_MAX);
    check_integer("18446744073709551616", false, false, 0);
    check_integer("1e19", true, false, UINT64_C(10000000000000000000));
    check_integer("1e20", false, false, 0);
    check_integer("0e999999999999", true, false, 0);
    check_integer("0.000e-5", true, false, 0);
    check_integer("12345678901234567890123", false, false, 0);
    bool negative = false;
    uint64_t magnitude = 0;
    t_check(!json_exact_integer(help_parse(STR("\"1\"")), &negative, &magnitude));
    t_check(!json_exact_integer(NULL, &negative, &magnitude));
    t_check(json_exact_integer(json_number(&help_arena, -3), &negative, &magnitude));
    t_check(negative && magnitude == 3);
    t_check(!json_exact_integer(json_number(&help_arena, 0x1p64), &negative, &magnitude));
    t_check(!json_exact_integer(json_number(&help_arena, 1.5), &negative, &magnitude));
    t_check(!json_exact_integer(json_number(&help_arena, (double)NAN), &negative, &magnitude));
}

T_MAIN()
