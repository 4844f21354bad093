/* See arith.h. */
#include "continuity/posture/arith.h"

#include "base/contract.h"

double arith_serial(const double *a, size_t n)
{
    double all = 1;
    for (size_t i = 0; i < n; i++) {
        all *= a[i];
    }
    return all;
}

double arith_parallel(const double *a, size_t n)
{
    double none = 1;
    for (size_t i = 0; i < n; i++) {
        none *= 1 - a[i];
    }
    return 1 - none;
}

double arith_k_of_n(unsigned k, unsigned n, double a)
{
    ASSERT(k <= n && n <= 64);
    double sum = 0;
    double choose = 1; /* n over i */
    for (unsigned i = 0; i <= n; i++) {
        if (i >= k) {
            double term = choose;
            for (unsigned j = 0; j < n; j++) {
                term *= j < i ? a : 1 - a;
            }
            sum += term;
        }
        choose = choose * (n - i) / (i + 1);
    }
    return sum;
}

double arith_two_regions(double router, double r1, double r2)
{
    return router * (1 - (1 - r1) * (1 - r2));
}

double arith_standby(const struct arith_standby *s, bool *ret_is_useless, double *ret_outage_min)
{
    ASSERT(s->outages_per_year > 0);
    double outage = (1 - s->primary) * ARITH_MINUTES_PER_YEAR / s->outages_per_year;
    double taken = s->failover_min < outage ? s->failover_min : outage;
    double lost = s->outages_per_year * (s->success * taken + (1 - s->success) * outage);
    if (ret_is_useless) {
        *ret_is_useless = s->failover_min >= outage;
    }
    if (ret_outage_min) {
        *ret_outage_min = outage;
    }
    return 1 - lost / ARITH_MINUTES_PER_YEAR - (1 - s->primary) * (1 - s->standby);
}

double arith_downtime_min(double a)
{
    return (1 - a) * ARITH_MINUTES_PER_YEAR;
}
