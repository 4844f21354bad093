/* See lease.h. Clocks may run apart by up to 1 %: the observer waits that much longer. */
#include "repl/lease.h"

#include "base/contract.h"

usec lease_until(usec sent_us, unsigned lease_ms, unsigned stop_margin_ms)
{
    ASSERT(lease_ms > stop_margin_ms);
    return sent_us == 0 ? 0 : sent_us + (lease_ms - stop_margin_ms) * UINT64_C(1000);
}

usec lease_expired_at(usec seen_us, unsigned lease_ms, unsigned wait_margin_ms)
{
    usec lease = lease_ms * UINT64_C(1000);
    return seen_us + lease + lease / 100 + wait_margin_ms * UINT64_C(1000) + 1;
}
