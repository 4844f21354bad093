/* Lease arithmetic. All times on one process's own monotonic clock that counts suspended time; no
 * two clocks are ever compared, only durations, and each side errs to its own side:
 *
 *   holder:    |send of bump ........ stops here|  margin |        (L - stop margin)
 *   observer:        |learns of bump ..................| wait margin, 1 % | expired
 */
#pragma once

#include <stdbool.h>

#include "base/types.h"

/* When the holder must stop acknowledging; 0 when it never held. */
usec lease_until(usec sent_us, unsigned lease_ms, unsigned stop_margin_ms);
/* First moment at which an observer may take a lease for expired that it saw renewed at seen_us. */
usec lease_expired_at(usec seen_us, unsigned lease_ms, unsigned wait_margin_ms);
