/* Waits by the monotonic clock. See cond.h. */
#include "base/cond.h"

#include <errno.h>
#include <stdint.h>

#include "base/contract.h"

void cond_init(pthread_cond_t *ret)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr); /* none of these can fail for this clock */
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(ret, &attr);
    ASSERT(rc == 0);
    (void)pthread_condattr_destroy(&attr);
}

struct timespec cond_after_us(usec us)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    uint64_t ns = (uint64_t)t.tv_nsec + us % 1000000 * 1000;
    t.tv_sec += (time_t)(us / 1000000) + (time_t)(ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

struct timespec cond_after_ms(unsigned ms)
{
    return cond_after_us((usec)ms * 1000);
}

bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, const struct timespec *deadline)
{
    int rc = pthread_cond_timedwait(c, lock, deadline);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}
