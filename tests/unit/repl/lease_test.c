/* Lease arithmetic: whatever the two clocks do within 1 %, the holder stops before the observer
 * believes that it has. */
#include "repl/lease.h"

#include "lib/t.h"

T_TEST("the holder stops before any observer may take over")
{
    const unsigned leases[] = {300, 1200, 6000, 60000};
    for (size_t i = 0; i < sizeof(leases) / sizeof(leases[0]); i++) {
        unsigned lease = leases[i];
        unsigned stop = lease / 8, wait = 50;
        /* The observer learns of the bump at once (the worst case) and its clock runs 1 % fast:
         * what is D on the holder's clock is 1.01 D on the observer's. */
        usec sent = 5000000;
        usec holder = lease_until(sent, lease, stop) - sent;
        usec observer = lease_expired_at(sent, lease, wait) - sent;
        t_check(observer > holder + holder / 100);
        /* Even without the stop margin: 1 % is in the observer's wait. */
        usec full = lease * UINT64_C(1000);
        t_check(observer > full + full / 100);
    }
}

T_TEST("without a bump there is no lease")
{
    t_eq_u64(lease_until(0, 1200, 150), 0);
}

T_TEST("the holder counts from when it asked, not from when it was answered")
{
    t_eq_u64(lease_until(1000000, 1200, 150), 1000000 + 1050000);
}

T_MAIN()
