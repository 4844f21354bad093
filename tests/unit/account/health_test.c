/* The bookkeeping behind gray failures; what follows from it is in region_test and tests/sim. */
#include "account/health.h"

#include "lib/t.h"

static const usec MS = 1000;

enum { SLOW_MS = 5000 };

/* A batch from `at` to `at` + took. */
static usec commit(struct disk_health *d, uint64_t ticket, usec at, usec took_ms)
{
    disk_health_submit(d, ticket, at);
    disk_health_done(d, ticket, at + took_ms * MS, SLOW_MS);
    return at + took_ms * MS;
}

T_TEST(
    "a disk is slow since a batch that takes too long was handed over, also while it is still out")
{
    struct disk_health d = {0};
    usec now = 1000000;
    disk_health_submit(&d, 7, now);
    t_eq_u64(disk_health_slow_since(&d, now + 5000 * MS, SLOW_MS), 0); /* exactly the limit */
    t_eq_u64(disk_health_slow_since(&d, now + 5001 * MS, SLOW_MS), now);
    disk_health_done(&d, 6, now + 5500 * MS, SLOW_MS); /* an earlier one says nothing */
    t_check(d.has_probe);
    disk_health_done(&d, 9, now + 6000 * MS, SLOW_MS); /* one answer for all up to it */
    t_check(!d.has_probe);
    t_eq_u64(d.slow_since_us, now);
}

T_TEST("batches that were handed over later do not move the one that is timed")
{
    struct disk_health d = {0};
    disk_health_submit(&d, 1, 1000 * MS);
    disk_health_submit(&d, 2, 6500 * MS);
    disk_health_done(&d, 1, 7000 * MS, SLOW_MS);
    t_check(d.slow_since_us != 0);
}

T_TEST("one hiccup is forgotten, a slow disk is not while it goes on being slow")
{
    struct disk_health d = {0};
    usec now = commit(&d, 1, 1000 * MS, 5100);
    t_eq_u64(disk_health_slow_since(&d, now, SLOW_MS), 1000 * MS);
    t_eq_u64(disk_health_slow_since(&d, now + 7500 * MS, SLOW_MS), 1000 * MS);
    t_check(disk_health_was_slow(&d, now + 7500 * MS, 10000) &&
            !disk_health_was_slow(&d, now + 7500 * MS, 1250)); /* so it is not slow at present */
    t_eq_u64(disk_health_slow_since(&d, now + 7501 * MS, SLOW_MS), 0);
    usec since = now + 8000 * MS;
    now = commit(&d, 2, since, 6000);
    for (uint64_t i = 3; i < 10; i++) {
        now = commit(&d, i, now, 6000);
        t_eq_u64(disk_health_slow_since(&d, now, SLOW_MS), since);
    }
}

T_TEST("a hundred fast batches in a row end it, ninety-nine and a slow one do not")
{
    struct disk_health d = {0};
    uint64_t ticket = 1;
    usec now = commit(&d, ticket++, 1000 * MS, 6000);
    for (int i = 0; i < DISK_FAST_RUN - 1; i++) {
        now = commit(&d, ticket++, now, 1);
    }
    t_check(d.slow_since_us != 0);
    now = commit(&d, ticket++, now, 5001);
    for (int i = 0; i < DISK_FAST_RUN - 1; i++) {
        now = commit(&d, ticket++, now, 1);
    }
    t_check(disk_health_slow_since(&d, now, SLOW_MS) != 0);
    t_check(disk_health_was_slow(&d, now, 60000)); /* no place to go to yet */
    now = commit(&d, ticket++, now, 1);
    t_eq_u64(disk_health_slow_since(&d, now, SLOW_MS), 0);
    t_check(!disk_health_was_slow(&d, now, 60000));
}

T_TEST("a batch that is out says how long it has waited, one that is done does not")
{
    struct disk_health d = {0};
    t_check(!disk_health_waits(&d, 1000, 0));
    disk_health_submit(&d, 7, 1000);
    t_check(!disk_health_waits(&d, 1500, 500));
    t_check(disk_health_waits(&d, 1501, 500));
    t_check(!disk_health_was_slow(&d, 1501, 60000));
    disk_health_done(&d, 7, 1501, SLOW_MS);
    t_check(!disk_health_waits(&d, 9000, 500));
}

/* Whoever waits for it hands nothing over that could be timed instead. */
T_TEST("a batch that was handed over while another was timed is timed from then on")
{
    struct disk_health d = {0};
    disk_health_submit(&d, 1, 1000 * MS);
    disk_health_submit(&d, 2, 1100 * MS);
    disk_health_submit(&d, 3, 1200 * MS);
    disk_health_done(&d, 1, 1500 * MS, SLOW_MS);
    t_check(disk_health_waits(&d, 2600 * MS, 1000 * MS));
    t_eq_u64(disk_health_slow_since(&d, 6501 * MS, SLOW_MS), 1500 * MS);
    disk_health_done(&d, 3, 7000 * MS, SLOW_MS);
    t_check(!disk_health_waits(&d, 99000 * MS, 1000 * MS));
}

T_TEST("a peer's clock is known after four heartbeats, and lateness does not count as drift")
{
    struct clock_watch c = {0};
    int64_t offset = 0;
    for (int i = 0; i < CLOCK_SAMPLES_MIN; i++) {
        t_check(!clock_watch_offset(&c, &offset));
        clock_watch_note(&c, 100000 + i * 200, 100000 + i * 200 + (i == 2 ? 3 : 800)); /* late */
    }
    t_check(clock_watch_offset(&c, &offset));
    t_eq_i64(offset, -3);
    for (int i = 0; i < CLOCK_SAMPLES; i++) { /* the old ones drop out */
        clock_watch_note(&c, 100000, 100700);
    }
    t_check(clock_watch_offset(&c, &offset));
    t_eq_i64(offset, -700);
}

T_TEST("how far our clock is ahead of the median of the others")
{
    t_eq_i64(clock_ahead_ms(NULL, 0), 0);
    t_eq_i64(clock_ahead_ms((int64_t[]){-900}, 1), 900);
    t_eq_i64(clock_ahead_ms((int64_t[]){0, -900}, 2), 0);      /* one of two is wrong: not us */
    t_eq_i64(clock_ahead_ms((int64_t[]){-950, -900}, 2), 900); /* both say so */
    t_eq_i64(clock_ahead_ms((int64_t[]){3, 5000, -2}, 3), -3);
    t_eq_i64(clock_ahead_ms((int64_t[]){700, 600, 10, 650}, 4), -600);
}

T_MAIN()
