/* Composite availability. Availabilities are fractions 0..1; times are minutes. All of it assumes
 * that failures are independent: what several parts share is entered once, serially, outside the
 * parallel term. Results made of SLA figures are refund promises composed, no probabilities.
 * Pure; any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ARITH_MINUTES_PER_YEAR 525600.0

double arith_serial(const double *a, size_t n);   /* all are needed; 1 for none */
double arith_parallel(const double *a, size_t n); /* any one is enough; 0 for none */
/* k of n equal replicas; 0 <= k <= n <= 64. */
double arith_k_of_n(unsigned k, unsigned n, double a);
/* Two active regions behind a router. */
double arith_two_regions(double router, double r1, double r2);

struct arith_standby {
    double primary;
    double standby;
    double outages_per_year; /* > 0, of the primary */
    double failover_min;
    double success; /* probability that a failover works, 0..1 */
};
/* Active/standby. *ret_is_useless (may be NULL): the failover takes as long as the outage that it
 * answers, or longer. *ret_outage_min (may be NULL): mean length of an outage. */
double arith_standby(const struct arith_standby *s, bool *ret_is_useless, double *ret_outage_min);
double arith_downtime_min(double a); /* a year */
