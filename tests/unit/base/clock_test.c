/* Dates there and back, refusal of what is no date, clocks that move forward. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "lib/t.h"

T_TEST("known instants print in both forms")
{
    char text[CLOCK_RFC1123_SIZE];
    clock_format_rfc1123(0, text);
    t_eq_cstr(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    clock_format_rfc1123(INT64_C(1795245077123), text);
    t_eq_cstr(text, "Sat, 21 Nov 2026 07:11:17 GMT");
    clock_format_iso(INT64_C(1795245077123), text);
    t_eq_cstr(text, "2026-11-21T07:11:17.123Z");
    clock_format_iso(INT64_C(951782400000), text);
    t_eq_cstr(text, "2000-02-29T00:00:00.000Z");
    clock_format_iso(INT64_MAX, text);
    t_eq_cstr(text, "9999-12-31T23:59:59.999Z");
    clock_format_iso(-5, text);
    t_eq_cstr(text, "1970-01-01T00:00:00.000Z");
}

T_TEST("random instants survive printing and parsing, and agree with the C library")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 20000; i++) {
        int64_t seconds = (int64_t)rng_below(&rng, UINT64_C(253402300800));
        char text[CLOCK_RFC1123_SIZE];
        char want[CLOCK_RFC1123_SIZE];
        int64_t back = -1;
        struct tm tm;
        time_t when = (time_t)seconds;
        clock_format_rfc1123(seconds * 1000 + (int64_t)rng_below(&rng, 1000), text);
        t_check(gmtime_r(&when, &tm) != NULL);
        t_check(strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0);
        t_eq_cstr(text, want);
        t_eq_int(clock_parse_rfc1123(text, strlen(text), &back), 0);
        t_eq_i64(back, seconds * 1000);
    }
}

T_TEST("case does not matter, everything else does")
{
    static const char *const bad[] = {
        "",
        "Sat, 21 Nov 2026 07:11:17",
        "Sat, 21 Nov 2026 07:11:17 UTC",
        "Sat, 31 Nov 2026 07:11:17 GMT",
        "Sat, 00 Nov 2026 07:11:17 GMT",
        "Sat, 29 Feb 2026 07:11:17 GMT",
        "Sat, 21 Nxv 2026 07:11:17 GMT",
        "Sxt, 21 Nov 2026 07:11:17 GMT",
        "Sat, 21 Nov 2026 24:11:17 GMT",
        "Sat, 21 Nov 2026 07:60:17 GMT",
        "Sat, 21 Nov 2026 07:11:61 GMT",
        "Sat, +1 Nov 2026 07:11:17 GMT",
        "Sat, 21 Nov 0000 07:11:17 GMT",
        "Sat; 21 Nov 2026 07:11:17 GMT",
        "2026-11-21T07:11:17.123Z     ",
    };
    int64_t ms = 42;
    t_eq_int(clock_parse_rfc1123("sat, 21 nov 2026 07:11:17 gmt", 29, &ms), 0);
    t_eq_i64(ms, INT64_C(1795245077000));
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t_checkf(clock_parse_rfc1123(bad[i], strlen(bad[i]), &ms) == -1, "'%s'", bad[i]);
    }
    t_eq_i64(ms, INT64_C(1795245077000));
}

T_TEST("the clocks run")
{
    usec a = clock_boot_us();
    usec b = clock_boot_us();
    t_check(a > 0 && b >= a);
    t_check(clock_wall_ms() > INT64_C(1600000000000));
}

T_TEST("a disturbed wall clock is ahead and drifts, and is right again; the other clock goes on")
{
    int64_t real = clock_wall_ms();
    usec boot = clock_boot_us();
    clock_disturb(3600000, 0);
    t_check(clock_wall_ms() >= real + 3600000 && clock_wall_ms() < real + 3700000);
    clock_disturb(-3600000, 0);
    t_check(clock_wall_ms() >= real - 3600000 && clock_wall_ms() < real - 3500000);
    clock_disturb(0, 1000000); /* twice as fast */
    while (clock_boot_us() < boot + 50000) {
    }
    usec passed = clock_boot_us() - boot;
    t_check(clock_wall_ms() > real + 50);
    t_check(clock_wall_ms() <= real + 1 + 4 * (int64_t)(passed / 1000 + 10));
    clock_disturb(0, 0);
    t_check(clock_wall_ms() >= real && clock_wall_ms() < real + 100000);
}

T_MAIN()
