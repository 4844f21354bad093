/* Waiting for a change until some time has passed, by CLOCK_MONOTONIC: the wall clock may be set while
 * we wait. The rest of a condition is pthread's. Not for the pure core, which never waits. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/types.h"

void cond_init(pthread_cond_t *ret); /* for the waits below; end it with pthread_cond_destroy */

/* On the clock of the waits, from now on. A deadline serves any number of waits. */
struct timespec cond_after_us(usec us);
struct timespec cond_after_ms(unsigned ms);

/* Holds `lock`, as pthread_cond_timedwait does; may return early without cause. False: the deadline
 * has passed. */
bool cond_wait_until(pthread_cond_t *c, pthread_mutex_t *lock, const struct timespec *deadline);
