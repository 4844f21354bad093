/* Waits end by a signal or by the monotonic clock, never before their time. */
#include "base/cond.h"

#include "lib/t.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool is_said;

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + (int64_t)t.tv_nsec;
}

static int64_t now_ns(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return ns_of(t);
}

T_TEST("a deadline is as far off as was asked for, with its nanoseconds below a second")
{
    static const usec waits_us[] = {0, 1, 999999, 1000000, 1000001, 3600 * UINT64_C(1000000)};
    for (size_t i = 0; i < sizeof(waits_us) / sizeof(*waits_us); i++) {
        int64_t before_ns = now_ns();
        struct timespec t = cond_after_us(waits_us[i]);
        int64_t after_ns = now_ns();
        t_check(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
        t_check(ns_of(t) >= before_ns + (int64_t)waits_us[i] * 1000);
        t_check(ns_of(t) <= after_ns + (int64_t)waits_us[i] * 1000);
    }
    int64_t before_ns = now_ns();
    t_check(ns_of(cond_after_ms(UINT32_MAX)) >= before_ns + (int64_t)UINT32_MAX * 1000000);
}

T_TEST("nobody signals: the wait ends at its deadline and not before")
{
    cond_init(&changed);
    (void)pthread_mutex_lock(&lock);
    struct timespec deadline = cond_after_ms(20);
    while (cond_wait_until(&changed, &lock, &deadline)) {
    }
    t_check(now_ns() >= ns_of(deadline));
    t_check(!cond_wait_until(&changed, &lock, &deadline)); /* it has passed */
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_cond_destroy(&changed);
}

static void *say(void *ctx)
{
    (void)ctx;
    (void)pthread_mutex_lock(&lock);
    is_said = true;
    (void)pthread_cond_signal(&changed);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

T_TEST("a signal ends the wait long before its deadline")
{
    cond_init(&changed);
    is_said = false;
    pthread_t thread;
    struct timespec deadline = cond_after_ms(3600 * 1000);
    (void)pthread_mutex_lock(&lock);
    t_check(pthread_create(&thread, NULL, say, NULL) == 0);
    while (!is_said) {
        t_check(cond_wait_until(&changed, &lock, &deadline));
    }
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_join(thread, NULL);
    (void)pthread_cond_destroy(&changed);
}

T_MAIN()
