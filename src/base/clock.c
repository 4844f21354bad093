/* Real clocks and date texts. The calendar is computed here (proleptic Gregorian, after Howard
 * Hinnant's days_from_civil) because gmtime and strptime depend on locale and time zone state. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/contract.h"

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

enum { RFC1123_LEN = 29 };
#define DAY_MS      INT64_C(86400000)
#define WALL_MS_MAX INT64_C(253402300799999) /* the end of year 9999 */

struct civil {
    int year;
    unsigned month;   /* 1..12 */
    unsigned day;     /* 1..31 */
    unsigned weekday; /* 0 = Sunday */
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ms;
};

usec clock_boot_us(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_BOOTTIME, &ts);
    ASSERT(rc == 0);
    return (usec)ts.tv_sec * 1000000 + (usec)ts.tv_nsec / 1000;
}

/* Read one by one: a reader between two stores sees a mixture for once, as clocks under repair are. */
static struct {
    _Atomic int64_t ahead_ms, drift_ppm;
    _Atomic usec since_us;
} disturbed;

void clock_disturb(int64_t ahead_ms, int64_t drift_ppm)
{
    atomic_store(&disturbed.since_us, clock_boot_us());
    atomic_store(&disturbed.drift_ppm, drift_ppm);
    atomic_store(&disturbed.ahead_ms, ahead_ms);
}

static int64_t disturbance_ms(void)
{
    int64_t ppm = atomic_load_explicit(&disturbed.drift_ppm, memory_order_relaxed);
    int64_t ahead = atomic_load_explicit(&disturbed.ahead_ms, memory_order_relaxed);
    if (ppm == 0) {
        return ahead;
    }
    int64_t passed_ms = (int64_t)(clock_boot_us() - atomic_load(&disturbed.since_us)) / 1000;
    return ahead + passed_ms * ppm / 1000000;
}

int64_t clock_wall_ms(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000 + (int64_t)ts.tv_nsec / 1000000 + disturbance_ms();
}

static int64_t days_from_civil(int year, unsigned month, unsigned day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t month_from_march = month > 2 ? (int64_t)month - 3 : (int64_t)month + 9;
    int64_t day_of_year = (153 * month_from_march + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

/* Times outside 1970..9999 are clamped: they can only come from a broken clock. */
static struct civil civil_of(int64_t wall_ms)
{
    if (wall_ms < 0) {
        wall_ms = 0;
    }
    if (wall_ms > WALL_MS_MAX) {
        wall_ms = WALL_MS_MAX;
    }
    int64_t days = wall_ms / DAY_MS;
    unsigned in_day_ms = (unsigned)(wall_ms % DAY_MS);
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    unsigned month =
        (unsigned)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    return (struct civil){
        .year = (int)(year_of_era + era * 400 + (month <= 2 ? 1 : 0)),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
        .weekday = (unsigned)((days + 4) % 7), /* 1970-01-01 was a Thursday */
        .hour = in_day_ms / 3600000,
        .minute = in_day_ms / 60000 % 60,
        .second = in_day_ms / 1000 % 60,
        .ms = in_day_ms % 1000,
    };
}

void clock_format_rfc1123(int64_t wall_ms, char ret[CLOCK_RFC1123_SIZE])
{
    struct civil c = civil_of(wall_ms);
    int n = snprintf(ret, CLOCK_RFC1123_SIZE, "%s, %02u %s %04d %02u:%02u:%02u GMT",
                     day_names[c.weekday], c.day % 100, month_names[c.month - 1], c.year % 10000,
                     c.hour % 100, c.minute, c.second);
    ASSERT(n == RFC1123_LEN);
}

void clock_format_iso(int64_t wall_ms, char ret[CLOCK_RFC1123_SIZE])
{
    struct civil c = civil_of(wall_ms);
    int n = snprintf(ret, CLOCK_RFC1123_SIZE, "%04d-%02u-%02uT%02u:%02u:%02u.%03uZ", c.year % 10000,
                     c.month % 100, c.day % 100, c.hour % 100, c.minute, c.second, c.ms);
    ASSERT(n == 24);
}

/* `count` digits at `p`, or -1. */
static int digits(const char *p, int count)
{
    int v = 0;
    for (int i = 0; i < count; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return -1;
        }
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

/* Index of the three-letter name at `p`, any case, or -1. */
static int name_idx(const char *p, const char names[][4], int count)
{
    for (int i = 0; i < count; i++) {
        if (strncasecmp(p, names[i], 3) == 0) {
            return i;
        }
    }
    return -1;
}

static int days_in_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : days[month - 1];
}

int clock_parse_rfc1123(const char *text, unsigned long len, int64_t *ret_ms)
{
    /*          0123456789012345678901234567 8 */
    /*          Sat, 21 Nov 2026 07:11:17 GMT  */
    if (len != RFC1123_LEN || text[3] != ',' || text[4] != ' ' || text[7] != ' ' ||
        text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':' ||
        strncasecmp(text + 25, " GMT", 4) != 0) {
        return -1;
    }
    int day = digits(text + 5, 2);
    int month = name_idx(text + 8, month_names, 12) + 1;
    int year = digits(text + 12, 4);
    int hour = digits(text + 17, 2);
    int minute = digits(text + 20, 2);
    int second = digits(text + 23, 2);
    if (name_idx(text, day_names, 7) < 0 || month < 1 || year < 1 || day < 1 ||
        day > days_in_month(year, month) || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
        second < 0 || second > 60) { /* 60: a leap second, taken as the next one */
        return -1;
    }
    int64_t days = days_from_civil(year, (unsigned)month, (unsigned)day);
    *ret_ms = days * DAY_MS + (int64_t)((hour * 60 + minute) * 60 + second) * 1000;
    return 0;
}
