/* Durations and times as text. */
#include "continuity/posture/estate.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/contract.h"

static const struct {
    const char *unit;
    int64_t ms;
} units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

void estate_write_duration(struct buf *out, int64_t ms)
{
    ASSERT(ms >= 0);
    if (ms == 0) {
        buf_add_char(out, '0');
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        /* Days only from two on: people say 24h. */
        if (ms % units[i].ms == 0 && (units[i].unit[0] != 'd' || ms >= 2 * units[i].ms)) {
            buf_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].unit);
            return;
        }
    }
}

bool estate_parse_duration(struct str s, int64_t *ret_ms)
{
    if (str_eq(s, STR("0"))) {
        *ret_ms = 0;
        return true;
    }
    size_t digits = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9') {
        digits++;
    }
    uint64_t v = 0;
    if (digits == 0 || digits > 12 || !str_to_u64(str_slice(s, 0, digits), &v)) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (str_eq(str_slice(s, digits, s.n), str_of(units[i].unit))) {
            if (v > (uint64_t)(INT64_MAX / 4) / (uint64_t)units[i].ms) {
                return false;
            }
            *ret_ms = (int64_t)v * units[i].ms;
            return true;
        }
    }
    return false;
}

void estate_write_time(struct buf *out, int64_t ms)
{
    if (ms == ESTATE_NEVER) {
        buf_add_cstr(out, "never");
        return;
    }
    char text[CLOCK_RFC1123_SIZE];
    clock_format_iso(ms, text);
    struct str s = str_of(text);
    if (ms % 1000 == 0 && s.n == 24) {
        buf_add(out, s.p, 19); /* without .000 */
        buf_add_char(out, 'Z');
    } else {
        buf_add_str(out, s);
    }
}

/* `n` digits at s[at], which must all be there. */
static bool digits_at(struct str s, size_t at, size_t n, unsigned *ret)
{
    unsigned v = 0;
    if (at + n > s.n) {
        return false;
    }
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
        v = v * 10 + (unsigned)(s.p[i] - '0');
    }
    *ret = v;
    return true;
}

static bool char_at(struct str s, size_t at, char c)
{
    return at < s.n && s.p[at] == c;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

bool estate_parse_time(struct str s, int64_t *ret_ms)
{
    static const unsigned char month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (str_eq(s, STR("never"))) {
        *ret_ms = ESTATE_NEVER;
        return true;
    }
    unsigned y = 0;
    unsigned mo = 0;
    unsigned d = 0;
    unsigned h = 0;
    unsigned mi = 0;
    unsigned sec = 0;
    unsigned ms = 0;
    if (!digits_at(s, 0, 4, &y) || !char_at(s, 4, '-') || !digits_at(s, 5, 2, &mo) ||
        !char_at(s, 7, '-') || !digits_at(s, 8, 2, &d) || y < 1970 || mo < 1 || mo > 12) {
        return false;
    }
    bool is_leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d < 1 || d > month_days[mo - 1] + (mo == 2 && is_leap ? 1U : 0U)) {
        return false;
    }
    size_t end = 10;
    if (s.n > 10) {
        if (!char_at(s, 10, 'T') || !digits_at(s, 11, 2, &h) || !char_at(s, 13, ':') ||
            !digits_at(s, 14, 2, &mi) || !char_at(s, 16, ':') || !digits_at(s, 17, 2, &sec) ||
            h > 23 || mi > 59 || sec > 59) {
            return false;
        }
        end = 19;
        if (char_at(s, end, '.')) {
            if (!digits_at(s, end + 1, 3, &ms)) {
                return false;
            }
            end += 4;
        }
        if (!char_at(s, end, 'Z')) {
            return false;
        }
        end++;
    }
    if (end != s.n) {
        return false;
    }
    *ret_ms = ((days_of(y, mo, d) * 24 + h) * 60 + mi) * 60000 + (int64_t)sec * 1000 + ms;
    return true;
}
