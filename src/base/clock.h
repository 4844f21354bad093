/* Real clocks. The pure core never calls these; it is given a clock. Thread-safe. */
#pragma once

#include <stdint.h>

#include "base/types.h"

usec clock_boot_us(void);    /* CLOCK_BOOTTIME: counts suspended time, never jumps */
int64_t clock_wall_ms(void); /* CLOCK_REALTIME: for _ts and logs only, never for leases */
/* Fault tests and drills: from now on the wall clock of this process is off by `ahead_ms`, and by
 * `drift_ppm` millionths more of the time that passes. 0 and 0: right again. */
void clock_disturb(int64_t ahead_ms, int64_t drift_ppm);
/* RFC 1123 "Sat, 21 Nov 2026 07:11:17 GMT". */
enum { CLOCK_RFC1123_SIZE = 32 };
void clock_format_rfc1123(int64_t wall_ms, char ret[CLOCK_RFC1123_SIZE]);
/* Returns 0 and *ret_ms, or -1 when the text is not an RFC 1123 date. */
int clock_parse_rfc1123(const char *text, unsigned long len, int64_t *ret_ms);
/* ISO 8601 UTC with milliseconds, "2026-11-21T07:11:17.123Z". */
void clock_format_iso(int64_t wall_ms, char ret[CLOCK_RFC1123_SIZE]);
