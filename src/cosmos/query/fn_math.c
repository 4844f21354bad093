/* Mathematical functions. Numbers are doubles; a result that is no finite number is undefined. The
 * INT* functions work on 64-bit integers and are undefined for anything else. */
#include <math.h>

#include "cosmos/query/query_int.h"

#define PI 3.14159265358979323846

#define MATH1(fn, expression)                                                                      \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)n;                                                                                   \
        if (args[0]->type != JSON_NUMBER) {                                                        \
            return json_undefined();                                                               \
        }                                                                                          \
        double x = args[0]->number;                                                                \
        return query_number(ev, expression);                                                       \
    }

#define MATH2(fn, expression)                                                                      \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)n;                                                                                   \
        if (args[0]->type != JSON_NUMBER || args[1]->type != JSON_NUMBER) {                        \
            return json_undefined();                                                               \
        }                                                                                          \
        double x = args[0]->number;                                                                \
        double y = args[1]->number;                                                                \
        return query_number(ev, expression);                                                       \
    }

MATH1(fn_abs, fabs(x))
MATH1(fn_acos, acos(x))
MATH1(fn_asin, asin(x))
MATH1(fn_atan, atan(x))
MATH2(fn_atn2, atan2(x, y))
MATH1(fn_ceiling, ceil(x))
MATH1(fn_cos, cos(x))
MATH1(fn_cot, 1.0 / tan(x))
MATH1(fn_degrees, x *(180.0 / PI))
MATH1(fn_exp, exp(x))
MATH1(fn_floor, floor(x))
MATH1(fn_log10, log10(x))
MATH2(fn_power, pow(x, y))
MATH1(fn_radians, x *(PI / 180.0))
MATH1(fn_sign, x > 0 ? 1 : x < 0 ? -1 : 0)
MATH1(fn_sin, sin(x))
MATH1(fn_sqrt, sqrt(x))
MATH1(fn_square, x *x)
MATH1(fn_tan, tan(x))

static const struct json *fn_pi(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)args;
    (void)n;
    return query_number(ev, PI);
}

/* LOG(x [, base]) */
static const struct json *fn_log(struct query_eval *ev, const struct json *const *args, size_t n)
{
    if (args[0]->type != JSON_NUMBER || (n > 1 && args[1]->type != JSON_NUMBER)) {
        return json_undefined();
    }
    double x = log(args[0]->number);
    return query_number(ev, n > 1 ? x / log(args[1]->number) : x);
}

/* Precision of ROUND and TRUNC: digits behind the point. */
static bool scale_of(const struct json *const *args, size_t n, double *ret)
{
    int64_t digits = 0;
    if (args[0]->type != JSON_NUMBER || (n > 1 && !query_to_int(args[1], &digits)) ||
        digits < -15 || digits > 15) {
        return false;
    }
    *ret = pow(10, (double)digits);
    return true;
}

/* Half goes away from zero. */
static const struct json *fn_round(struct query_eval *ev, const struct json *const *args, size_t n)
{
    double scale = 1;
    if (!scale_of(args, n, &scale)) {
        return json_undefined();
    }
    return query_number(ev,
                        n == 1 ? round(args[0]->number) : round(args[0]->number * scale) / scale);
}

static const struct json *fn_trunc(struct query_eval *ev, const struct json *const *args, size_t n)
{
    double scale = 1;
    if (!scale_of(args, n, &scale)) {
        return json_undefined();
    }
    return query_number(ev,
                        n == 1 ? trunc(args[0]->number) : trunc(args[0]->number * scale) / scale);
}

/* NUMBERBIN(x [, size]): down to a multiple of the size. */
static const struct json *fn_numberbin(struct query_eval *ev, const struct json *const *args,
                                       size_t n)
{
    if (args[0]->type != JSON_NUMBER || (n > 1 && args[1]->type != JSON_NUMBER)) {
        return json_undefined();
    }
    double size = n > 1 ? args[1]->number : 1;
    if (!(size > 0)) {
        return json_undefined();
    }
    return query_number(ev, floor(args[0]->number / size) * size);
}

/* In [0, 1). splitmix64 over the page's seed: no state outside the page. */
static const struct json *fn_rand(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)args;
    (void)n;
    ev->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = ev->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return query_number(ev, (double)(z >> 11) * 0x1p-53);
}

/* ---- integers ---- */

static bool exact_int(const struct json *v, int64_t *ret)
{
    return v->type == JSON_NUMBER && json_is_integer(v, ret);
}

#define INT2(fn, condition, value)                                                                 \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)n;                                                                                   \
        int64_t x = 0;                                                                             \
        int64_t y = 0;                                                                             \
        if (!exact_int(args[0], &x) || !exact_int(args[1], &y) || !(condition)) {                  \
            return json_undefined();                                                               \
        }                                                                                          \
        return json_integer(ev->arena, (int64_t)(value));                                          \
    }

static bool can_divide(int64_t x, int64_t y)
{
    return y != 0 && (x != INT64_MIN || y != -1);
}

static bool can_shift(int64_t y)
{
    return y >= 0 && y <= 63;
}

/* Overflow wraps around, as 64-bit integers do. */
INT2(fn_intadd, true, (uint64_t)x + (uint64_t)y)
INT2(fn_intsub, true, (uint64_t)x - (uint64_t)y)
INT2(fn_intmul, true, (uint64_t)x *(uint64_t)y)
INT2(fn_intbitand, true, (uint64_t)x &(uint64_t)y)
INT2(fn_intbitor, true, (uint64_t)x | (uint64_t)y)
INT2(fn_intbitxor, true, (uint64_t)x ^ (uint64_t)y)
INT2(fn_intdiv, can_divide(x, y), x / y)
INT2(fn_intmod, can_divide(x, y), x % y)
INT2(fn_intshl, can_shift(y), (uint64_t)x << y)
INT2(fn_intshr, can_shift(y), x >> y)

static const struct json *fn_intbitnot(struct query_eval *ev, const struct json *const *args,
                                       size_t n)
{
    (void)n;
    int64_t x = 0;
    return exact_int(args[0], &x) ? json_integer(ev->arena, ~x) : json_undefined();
}

const struct query_fn query_fns_math[] = {
    {"ABS", 1, 1, fn_abs, 0},
    {"ACOS", 1, 1, fn_acos, 0},
    {"ASIN", 1, 1, fn_asin, 0},
    {"ATAN", 1, 1, fn_atan, 0},
    {"ATN2", 2, 2, fn_atn2, 0},
    {"CEILING", 1, 1, fn_ceiling, 0},
    {"COS", 1, 1, fn_cos, 0},
    {"COT", 1, 1, fn_cot, 0},
    {"DEGREES", 1, 1, fn_degrees, 0},
    {"EXP", 1, 1, fn_exp, 0},
    {"FLOOR", 1, 1, fn_floor, 0},
    {"INTADD", 2, 2, fn_intadd, 0},
    {"INTBITAND", 2, 2, fn_intbitand, 0},
    {"INTBITLEFTSHIFT", 2, 2, fn_intshl, 0},
    {"INTBITNOT", 1, 1, fn_intbitnot, 0},
    {"INTBITOR", 2, 2, fn_intbitor, 0},
    {"INTBITRIGHTSHIFT", 2, 2, fn_intshr, 0},
    {"INTBITXOR", 2, 2, fn_intbitxor, 0},
    {"INTDIV", 2, 2, fn_intdiv, 0},
    {"INTMOD", 2, 2, fn_intmod, 0},
    {"INTMUL", 2, 2, fn_intmul, 0},
    {"INTSUB", 2, 2, fn_intsub, 0},
    {"LOG", 1, 2, fn_log, 0},
    {"LOG10", 1, 1, fn_log10, 0},
    {"NUMBERBIN", 1, 2, fn_numberbin, 0},
    {"PI", 0, 0, fn_pi, 0},
    {"POWER", 2, 2, fn_power, 0},
    {"RADIANS", 1, 1, fn_radians, 0},
    {"RAND", 0, 0, fn_rand, FN_IMPURE},
    {"ROUND", 1, 2, fn_round, 0},
    {"SIGN", 1, 1, fn_sign, 0},
    {"SIN", 1, 1, fn_sin, 0},
    {"SQRT", 1, 1, fn_sqrt, 0},
    {"SQUARE", 1, 1, fn_square, 0},
    {"TAN", 1, 1, fn_tan, 0},
    {"TRUNC", 1, 2, fn_trunc, 0},
    {0},
};
