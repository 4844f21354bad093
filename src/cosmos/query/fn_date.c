/* Dates: ISO 8601 texts in UTC, as `2020-01-02T03:04:05.6789123Z`, numbers of milliseconds or of
 * ticks (100 ns) since 1970. Years 1 to 9999 of the Gregorian calendar; everything else is
 * undefined. The clock is an input of the page: GetCurrent...() is the time of this page,
 * GetCurrent...Static() that of the first page, which the continuation carries. */
#include <ctype.h>
#include <math.h>

#include "base/contract.h"
#include "cosmos/query/query_int.h"

#define TICKS_PER_MS     INT64_C(10000)
#define TICKS_PER_SECOND INT64_C(10000000)
#define TICKS_PER_DAY    (INT64_C(86400) * TICKS_PER_SECOND)
#define TICKS_MIN        (INT64_C(-719162) * TICKS_PER_DAY)     /* 0001-01-01 */
#define TICKS_MAX        (INT64_C(2932897) * TICKS_PER_DAY - 1) /* 9999-12-31 */

struct date {
    int64_t year, month, day, hour, minute, second, fraction; /* fraction in ticks */
};

enum part {
    PART_YEAR,
    PART_MONTH,
    PART_DAY,
    PART_HOUR,
    PART_MINUTE,
    PART_SECOND,
    PART_MS,
    PART_MCS,
    PART_NS,
};

/* Length in nanoseconds of the parts that have a fixed one. */
static const int64_t part_ns[] = {
    [PART_DAY] = INT64_C(86400000000000),
    [PART_HOUR] = INT64_C(3600000000000),
    [PART_MINUTE] = INT64_C(60000000000),
    [PART_SECOND] = INT64_C(1000000000),
    [PART_MS] = 1000000,
    [PART_MCS] = 1000,
    [PART_NS] = 1,
};

/* ---- calendar ---- */

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

/* Days since 1970-01-01 (Howard Hinnant's days_from_civil). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static struct date date_of(int64_t ticks)
{
    int64_t days = floor_div(ticks, TICKS_PER_DAY);
    int64_t rest = ticks - days * TICKS_PER_DAY;
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    struct date d = {.day = doy - (153 * mp + 2) / 5 + 1, .month = mp < 10 ? mp + 3 : mp - 9};
    d.year = yoe + era * 400 + (d.month <= 2);
    d.fraction = rest % TICKS_PER_SECOND;
    d.second = rest / TICKS_PER_SECOND % 60;
    d.minute = rest / TICKS_PER_SECOND / 60 % 60;
    d.hour = rest / TICKS_PER_SECOND / 3600;
    return d;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int64_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

static bool ticks_of(const struct date *d, int64_t *ret)
{
    if (d->year < 1 || d->year > 9999 || d->month < 1 || d->month > 12 || d->day < 1 ||
        d->day > month_days(d->year, d->month) || d->hour < 0 || d->hour > 23 || d->minute < 0 ||
        d->minute > 59 || d->second < 0 || d->second > 59 || d->fraction < 0 ||
        d->fraction >= TICKS_PER_SECOND) {
        return false;
    }
    int64_t seconds = d->hour * 3600 + d->minute * 60 + d->second;
    *ret = days_of(d->year, d->month, d->day) * TICKS_PER_DAY + seconds * TICKS_PER_SECOND +
           d->fraction;
    return true;
}

/* ---- text ---- */

/* Exactly `count` digits, then the character `end` (0 = whatever follows). */
static bool take_number(struct str *s, size_t count, char end, int64_t *ret)
{
    if (s->n < count + (end != 0)) {
        return false;
    }
    int64_t v = 0;
    for (size_t i = 0; i < count; i++) {
        if (isdigit((unsigned char)s->p[i]) == 0) {
            return false;
        }
        v = v * 10 + (s->p[i] - '0');
    }
    if (end != 0 && s->p[count] != end) {
        return false;
    }
    *s = str_slice(*s, count + (end != 0), s->n);
    *ret = v;
    return true;
}

/* YYYY-MM-DD[Thh:mm[:ss[.fffffff]]][Z] */
static bool parse_date(struct str s, int64_t *ret)
{
    struct date d = {0};
    if (!take_number(&s, 4, '-', &d.year) || !take_number(&s, 2, '-', &d.month) ||
        !take_number(&s, 2, 0, &d.day)) {
        return false;
    }
    if (s.n > 0 && s.p[0] == 'T') {
        s = str_slice(s, 1, s.n);
        if (!take_number(&s, 2, ':', &d.hour) || !take_number(&s, 2, 0, &d.minute)) {
            return false;
        }
        if (s.n > 0 && s.p[0] == ':') {
            s = str_slice(s, 1, s.n);
            if (!take_number(&s, 2, 0, &d.second)) {
                return false;
            }
            if (s.n > 1 && s.p[0] == '.' && isdigit((unsigned char)s.p[1]) != 0) {
                int64_t unit = TICKS_PER_SECOND / 10;
                for (s = str_slice(s, 1, s.n); s.n > 0 && isdigit((unsigned char)s.p[0]) != 0;
                     s = str_slice(s, 1, s.n)) {
                    d.fraction += unit * (s.p[0] - '0');
                    unit /= 10;
                }
            }
        }
    }
    if (s.n > 0 && s.p[0] == 'Z') {
        s = str_slice(s, 1, s.n);
    }
    return s.n == 0 && ticks_of(&d, ret);
}

static bool date_arg(const struct json *v, int64_t *ret)
{
    return v->type == JSON_STRING && parse_date(v->text, ret);
}

static const struct json *date_text(struct query_eval *ev, int64_t ticks)
{
    if (ticks < TICKS_MIN || ticks > TICKS_MAX) {
        return json_undefined();
    }
    struct date d = date_of(ticks);
    return query_string(ev, arena_printf(ev->arena, "%04d-%02d-%02dT%02d:%02d:%02d.%07dZ",
                                         (int)d.year, (int)d.month, (int)d.day, (int)d.hour,
                                         (int)d.minute, (int)d.second, (int)d.fraction));
}

static bool part_arg(const struct json *v, enum part *ret)
{
    static const struct {
        const char *name;
        enum part part;
    } names[] = {
        {"year", PART_YEAR},     {"yyyy", PART_YEAR},       {"yy", PART_YEAR},
        {"month", PART_MONTH},   {"mm", PART_MONTH},        {"m", PART_MONTH},
        {"day", PART_DAY},       {"dd", PART_DAY},          {"d", PART_DAY},
        {"hour", PART_HOUR},     {"hh", PART_HOUR},         {"minute", PART_MINUTE},
        {"mi", PART_MINUTE},     {"n", PART_MINUTE},        {"second", PART_SECOND},
        {"ss", PART_SECOND},     {"s", PART_SECOND},        {"millisecond", PART_MS},
        {"ms", PART_MS},         {"microsecond", PART_MCS}, {"mcs", PART_MCS},
        {"nanosecond", PART_NS}, {"ns", PART_NS},
    };
    for (size_t i = 0; v->type == JSON_STRING && i < ARRAY_COUNT(names); i++) {
        if (str_eq_nocase(v->text, str_of(names[i].name))) {
            *ret = names[i].part;
            return true;
        }
    }
    return false;
}

/* ---- arithmetic ---- */

/* Months since year 0. */
static int64_t month_idx(const struct date *d)
{
    return d->year * 12 + d->month - 1;
}

/* The same day and time in another month; the last day when that month is shorter. */
static bool set_month(struct date *d, int64_t idx)
{
    if (idx < 12 || idx >= 120000) {
        return false;
    }
    d->year = idx / 12;
    d->month = idx % 12 + 1;
    int64_t last = month_days(d->year, d->month);
    d->day = d->day < last ? d->day : last;
    return true;
}

/* DATETIMEADD(part, count, date) */
static const struct json *fn_add(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)n;
    enum part part = PART_YEAR;
    int64_t count = 0;
    int64_t ticks = 0;
    if (!part_arg(args[0], &part) || !query_to_int(args[1], &count) || !date_arg(args[2], &ticks)) {
        return json_undefined();
    }
    if (part <= PART_MONTH) {
        struct date d = date_of(ticks);
        int64_t months = part == PART_YEAR ? 12 : 1;
        if (count > 200000 || count < -200000 || !set_month(&d, month_idx(&d) + count * months) ||
            !ticks_of(&d, &ticks)) {
            return json_undefined();
        }
        return date_text(ev, ticks);
    }
    int64_t delta = 0;
    if (part == PART_NS) {
        delta = count / 100;
    } else if (__builtin_mul_overflow(count, part_ns[part] / 100, &delta)) {
        return json_undefined();
    }
    if (__builtin_add_overflow(ticks, delta, &ticks)) {
        return json_undefined();
    }
    return date_text(ev, ticks);
}

/* DATETIMEDIFF(part, from, to): boundaries of the part that lie between. */
static const struct json *fn_diff(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)n;
    enum part part = PART_YEAR;
    int64_t from = 0;
    int64_t to = 0;
    if (!part_arg(args[0], &part) || !date_arg(args[1], &from) || !date_arg(args[2], &to)) {
        return json_undefined();
    }
    struct date a = date_of(from);
    struct date b = date_of(to);
    if (part == PART_YEAR) {
        return query_number(ev, (double)(b.year - a.year));
    }
    if (part == PART_MONTH) {
        return query_number(ev, (double)(month_idx(&b) - month_idx(&a)));
    }
    if (part == PART_NS) {
        return query_number(ev, (double)(to - from) * 100);
    }
    int64_t unit = part_ns[part] / 100;
    return query_number(ev, (double)(floor_div(to, unit) - floor_div(from, unit)));
}

/* DATETIMEPART(part, date) */
static const struct json *fn_part(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)n;
    enum part part = PART_YEAR;
    int64_t ticks = 0;
    if (!part_arg(args[0], &part) || !date_arg(args[1], &ticks)) {
        return json_undefined();
    }
    struct date d = date_of(ticks);
    const int64_t values[] = {
        [PART_YEAR] = d.year,
        [PART_MONTH] = d.month,
        [PART_DAY] = d.day,
        [PART_HOUR] = d.hour,
        [PART_MINUTE] = d.minute,
        [PART_SECOND] = d.second,
        [PART_MS] = d.fraction / TICKS_PER_MS,
        [PART_MCS] = d.fraction / 10,
        [PART_NS] = d.fraction * 100,
    };
    return query_number(ev, (double)values[part]);
}

/* DATETIMEFROMPARTS(year, month, day [, hour, minute, second, fraction in ticks]) */
static const struct json *fn_from_parts(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    int64_t v[7] = {0};
    for (size_t i = 0; i < n; i++) {
        if (!query_to_int(args[i], &v[i])) {
            return json_undefined();
        }
    }
    struct date d = {v[0], v[1], v[2], v[3], v[4], v[5], v[6]};
    int64_t ticks = 0;
    return ticks_of(&d, &ticks) ? date_text(ev, ticks) : json_undefined();
}

/* DATETIMEBIN(date, part [, size [, origin]]): back to the begin of its bin. */
static const struct json *fn_bin(struct query_eval *ev, const struct json *const *args, size_t n)
{
    enum part part = PART_YEAR;
    int64_t ticks = 0;
    int64_t size = 1;
    int64_t origin = 0;
    if (!date_arg(args[0], &ticks) || !part_arg(args[1], &part) ||
        (n > 2 && !query_to_int(args[2], &size)) || (n > 3 && !date_arg(args[3], &origin)) ||
        size < 1 || size > INT32_MAX) {
        return json_undefined();
    }
    if (part <= PART_MONTH) {
        struct date d = date_of(ticks);
        struct date o = date_of(origin);
        int64_t months = size * (part == PART_YEAR ? 12 : 1);
        int64_t passed = month_idx(&d) - month_idx(&o);
        if (!set_month(&o, month_idx(&o) + floor_div(passed, months) * months) ||
            !ticks_of(&o, &ticks)) {
            return json_undefined();
        }
        return date_text(ev, ticks);
    }
    int64_t unit = part == PART_NS ? 1 : part_ns[part] / 100;
    int64_t width = 0;
    if (__builtin_mul_overflow(unit, size, &width)) {
        return json_undefined();
    }
    return date_text(ev, origin + floor_div(ticks - origin, width) * width);
}

/* ---- conversions ---- */

static const struct json *fn_to_ticks(struct query_eval *ev, const struct json *const *args,
                                      size_t n)
{
    (void)n;
    int64_t ticks = 0;
    return date_arg(args[0], &ticks) ? query_number(ev, (double)ticks) : json_undefined();
}

static const struct json *fn_to_timestamp(struct query_eval *ev, const struct json *const *args,
                                          size_t n)
{
    (void)n;
    int64_t ticks = 0;
    return date_arg(args[0], &ticks) ? query_number(ev, (double)floor_div(ticks, TICKS_PER_MS))
                                     : json_undefined();
}

static const struct json *fn_from_ticks(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    (void)n;
    int64_t ticks = 0;
    return query_to_int(args[0], &ticks) ? date_text(ev, ticks) : json_undefined();
}

static const struct json *fn_from_timestamp(struct query_eval *ev, const struct json *const *args,
                                            size_t n)
{
    (void)n;
    int64_t ms = 0;
    int64_t ticks = 0;
    if (!query_to_int(args[0], &ms) || __builtin_mul_overflow(ms, TICKS_PER_MS, &ticks)) {
        return json_undefined();
    }
    return date_text(ev, ticks);
}

/* ---- the clock ---- */

#define CLOCK(fn, expression)                                                                      \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)args;                                                                                \
        (void)n;                                                                                   \
        return expression;                                                                         \
    }

CLOCK(fn_now_text, date_text(ev, ev->now_ticks))
CLOCK(fn_now_ticks, query_number(ev, (double)ev->now_ticks))
CLOCK(fn_now_ms, query_number(ev, (double)floor_div(ev->now_ticks, TICKS_PER_MS)))
CLOCK(fn_static_text, date_text(ev, ev->static_ticks))
CLOCK(fn_static_ticks, query_number(ev, (double)ev->static_ticks))
CLOCK(fn_static_ms, query_number(ev, (double)floor_div(ev->static_ticks, TICKS_PER_MS)))

const struct query_fn query_fns_date[] = {
    {"DATETIMEADD", 3, 3, fn_add, 0},
    {"DATETIMEBIN", 2, 4, fn_bin, 0},
    {"DATETIMEDIFF", 3, 3, fn_diff, 0},
    {"DATETIMEFROMPARTS", 3, 7, fn_from_parts, 0},
    {"DATETIMEPART", 2, 2, fn_part, 0},
    {"DATETIMETOTICKS", 1, 1, fn_to_ticks, 0},
    {"DATETIMETOTIMESTAMP", 1, 1, fn_to_timestamp, 0},
    {"TICKSTODATETIME", 1, 1, fn_from_ticks, 0},
    {"TIMESTAMPTODATETIME", 1, 1, fn_from_timestamp, 0},
    {"GETCURRENTDATETIME", 0, 0, fn_now_text, FN_IMPURE},
    {"GETCURRENTDATETIMESTATIC", 0, 0, fn_static_text, FN_IMPURE},
    {"GETCURRENTTICKS", 0, 0, fn_now_ticks, FN_IMPURE},
    {"GETCURRENTTICKSSTATIC", 0, 0, fn_static_ticks, FN_IMPURE},
    {"GETCURRENTTIMESTAMP", 0, 0, fn_now_ms, FN_IMPURE},
    {"GETCURRENTTIMESTAMPSTATIC", 0, 0, fn_static_ms, FN_IMPURE},
    {0},
};
