/* The commit thread: order, grouping, limits, failures; on each driver. */
#include "engine/commit.c" /* statics */

#include <stdlib.h>

#include "suite.h"

struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t next_ticket; /* all below have been answered, in order */
    uint64_t ok, failed, groups;
    enum err last_err;
    bool is_held; /* the callback waits while set */
};

static void on_done(void *ctx, const struct committer_done *done, size_t n,
                    const struct errinfo *ei)
{
    struct seen *s = (struct seen *)ctx;
    UNUSED(ei);
    pthread_mutex_lock(&s->lock);
    while (s->is_held) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    s->groups++;
    for (size_t i = 0; i < n; i++) {
        if (done[i].ticket != s->next_ticket) {
            t_fail_soft("ticket %lu came instead of %lu", done[i].ticket, s->next_ticket);
        }
        s->next_ticket = done[i].ticket + 1;
        if (done[i].err == OK) {
            s->ok++;
        } else {
            s->failed++;
            s->last_err = done[i].err;
        }
    }
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void seen_init(struct seen *s)
{
    *s = (struct seen){.next_ticket = 0};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
}

static void seen_wait(struct seen *s, uint64_t tickets)
{
    pthread_mutex_lock(&s->lock);
    while (s->next_ticket < tickets) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

static void seen_hold(struct seen *s, bool is_held)
{
    pthread_mutex_lock(&s->lock);
    s->is_held = is_held;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static struct engine_batch *batch_of(struct engine *e, uint64_t i)
{
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_log(b, 1, i + 1, STR("entry"));
    struct engine_part_meta meta = {.tail_lsn = i + 1, .first_lsn = 1};
    engine_batch_meta(b, 1, &meta);
    return b;
}

/* Until the thread has looked once: what is there before, it takes without being woken. */
static void until_asleep(struct committer *c)
{
    struct committer_stats stats;
    do {
        committer_stats_get(c, &stats);
    } while (stats.sleeps < 1);
}

static void test_all_are_answered_in_order(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    for (uint64_t i = 0; i < 3000; i++) {
        t_ok(committer_submit(c, batch_of(e, i), i));
        if (i % 3 == 0) {
            committer_wake(c);
        }
        if (i % 700 == 0) {
            committer_wake(c);
            seen_wait(&s, i + 1); /* lets the thread run dry now and then */
        }
    }
    committer_wake(c);
    seen_wait(&s, 3000);
    struct committer_stats stats;
    committer_stats_get(c, &stats);
    t_eq_u64(stats.batches, 3000);
    t_check(stats.groups <= 3000);
    t_check(stats.apply_us_max >= stats.apply_us_p99);
    t_check(stats.apply_us_p99 >= stats.apply_us_p50);
    t_eq_u64(stats.queued, 0);
    t_eq_u64(stats.queued_size, 0);
    committer_free(c);
    t_eq_u64(s.ok, 3000);
    t_eq_u64(suite_verify(e), 0);
    engine_close(e);
}

/* While one group is held up in its callback, whatever comes becomes one group. */
static void test_waiting_batches_become_one_group(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s, .queue_max = 64};
    struct committer *c = committer_new(&cfg);
    seen_hold(&s, true);
    t_ok(committer_submit(c, batch_of(e, 0), 0));
    committer_wake(c);
    struct committer_stats stats;
    do { /* until the thread is in the callback of the first group */
        committer_stats_get(c, &stats);
    } while (stats.groups < 1);
    for (uint64_t i = 1; i <= 64; i++) {
        t_ok(committer_submit(c, batch_of(e, i), i));
    }
    /* The queue has its limit; the refused batch stays the caller's. */
    struct engine_batch *over = batch_of(e, 65);
    t_err(committer_submit(c, over, 65), ERR_BUSY);
    engine_batch_free(over);
    t_check(committer_has_queue(c));
    t_check(!committer_help(c)); /* a group is being done: this one is the thread's */
    seen_hold(&s, false);
    seen_wait(&s, 65);
    committer_free(c);
    t_eq_u64(s.groups, 2);
    t_eq_u64(s.ok, 65);
    engine_close(e);
}

static void test_stopping_finishes_the_queue(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    for (uint64_t i = 0; i < 100; i++) {
        t_ok(committer_submit(c, batch_of(e, i), i));
    }
    committer_free(c);
    t_eq_u64(s.ok, 100);
    committer_free(NULL);
    engine_close(e);
}

static void test_who_helps_does_the_group_itself(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    struct committer_stats stats;
    until_asleep(c);
    t_check(!committer_help(c)); /* nothing to do */
    for (uint64_t i = 0; i < 40; i += 2) {
        t_ok(committer_submit(c, batch_of(e, i), i));
        t_ok(committer_submit(c, batch_of(e, i + 1), i + 1));
        c->group_us = 0;            /* however slow this disk is */
        t_check(committer_help(c)); /* nobody was woken: only we can have done it */
        t_eq_u64(s.next_ticket, i + 2);
    }
    committer_stats_get(c, &stats);
    t_eq_u64(stats.helped, 20);
    t_eq_u64(stats.groups, 20);
    /* Slow groups are the thread's again. */
    c->group_us = COMMITTER_HELP_US_MAX + 1;
    t_ok(committer_submit(c, batch_of(e, 40), 40));
    t_check(!committer_help(c));
    seen_wait(&s, 41);
    committer_free(c);
    t_eq_u64(s.ok, 41);
    engine_close(e);
}

static void *wait_for_all(void *arg)
{
    seen_wait((struct seen *)arg, 4000);
    return NULL;
}

/* Whoever does the groups, each ticket is answered once and in order, and none is forgotten. */
static void test_help_and_the_thread_mix(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    pthread_t waiter;
    t_check(pthread_create(&waiter, NULL, wait_for_all, &s) == 0);
    for (uint64_t i = 0; i < 4000; i++) {
        t_ok(committer_submit(c, batch_of(e, i), i));
        if (i % 5 == 4) {
            committer_help(c); /* whether it was us does not matter here */
        } else if (i % 5 == 1) {
            committer_wake(c);
        }
    }
    t_check(pthread_join(waiter, NULL) == 0);
    committer_free(c);
    t_eq_u64(s.ok, 4000);
    t_eq_u64(suite_verify(e), 0);
    engine_close(e);
}

/* Two entries in a group, two more while it is being done: a crowd of four, of which two are there. */
static struct committer *committer_with_half_a_crowd(struct engine *e, struct seen *s, usec wait_us)
{
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = s, .gather_us_max = wait_us};
    struct committer *c = committer_new(&cfg);
    committer_gather(c, true);
    until_asleep(c);
    seen_hold(s, true);
    t_ok(committer_submit(c, batch_of(e, 0), 0));
    t_ok(committer_submit(c, batch_of(e, 1), 1));
    c->group_us = 600000000; /* a slow disk */
    committer_wake(c);
    struct committer_stats stats;
    do { /* until the thread is in the callback */
        committer_stats_get(c, &stats);
    } while (stats.groups < 1);
    t_ok(committer_submit(c, batch_of(e, 2), 2));
    t_ok(committer_submit(c, batch_of(e, 3), 3));
    committer_wake(c);
    seen_hold(s, false);
    return c;
}

static void test_a_crowd_is_waited_for(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer *c = committer_with_half_a_crowd(e, &s, 60000000);
    bool is_waiting = false;
    while (!is_waiting) {
        pthread_mutex_lock(&c->lock);
        is_waiting = c->wanted == 4;
        pthread_mutex_unlock(&c->lock);
    }
    t_ok(committer_submit(c, batch_of(e, 4), 4));
    committer_wake(c); /* three are not enough */
    t_ok(committer_submit(c, batch_of(e, 5), 5));
    committer_wake(c);
    seen_wait(&s, 6);
    struct committer_stats stats;
    committer_stats_get(c, &stats);
    t_eq_u64(stats.gathered, 1);
    t_eq_u64(stats.groups, 2);
    committer_free(c);
    engine_close(e);
}

static void test_a_crowd_that_does_not_come_is_not_waited_for_long(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer *c = committer_with_half_a_crowd(e, &s, 1000);
    seen_wait(&s, 4); /* nobody wakes it any more */
    struct committer_stats stats;
    committer_stats_get(c, &stats);
    t_eq_u64(stats.missed, 1);
    t_eq_u64(stats.gathered, 0);
    committer_free(c); /* a stop ends a wait, too */
    t_eq_u64(s.ok, 4);
    engine_close(e);
}

static void test_stale_guard_fails_only_its_batch(void)
{
    struct engine *e = suite_open();
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    for (uint64_t i = 0; i < 3; i++) {
        struct engine_batch *b = batch_of(e, i);
        engine_batch_guard(b, i == 1 ? 4 : 5);
        t_ok(committer_submit(c, b, i));
    }
    committer_free(c);
    t_eq_u64(s.ok, 2);
    t_eq_u64(s.failed, 1);
    t_err(s.last_err, ERR_STALE_GENERATION);
    engine_close(e);
}

static void test_failed_sync_fails_everything_after(void)
{
    setenv("HOLDFAST_TEST_DISK", "slow:1,fail-sync-after:3", 1);
    struct engine *e = suite_open();
    unsetenv("HOLDFAST_TEST_DISK");
    struct seen s;
    seen_init(&s);
    struct committer_cfg cfg = {.engine = e, .done = on_done, .ctx = &s};
    struct committer *c = committer_new(&cfg);
    for (uint64_t i = 0; i < 6; i++) {
        t_ok(committer_submit(c, batch_of(e, i), i));
        committer_wake(c);
        seen_wait(&s, i + 1);
    }
    committer_free(c);
    t_eq_u64(s.ok, 3);
    t_eq_u64(s.failed, 3);
    t_err(s.last_err, ERR_IO);
    engine_close(e);
}

static void test_histogram_is_close(void)
{
    for (uint64_t v = 0; v < (UINT64_C(1) << 40); v = v * 9 / 8 + 1) {
        size_t b = histogram_bucket(v);
        t_check(b + 1 < HISTOGRAM_BUCKETS);
        t_check(histogram_value(b) <= v);
        t_check(v < histogram_value(b + 1));
        t_check((v - histogram_value(b)) * 8 <= v);
    }
}

static const struct suite_case cases[] = {
    {"times are kept within an eighth", test_histogram_is_close},
    {"all batches are answered in order", test_all_are_answered_in_order},
    {"waiting batches become one group, up to the limit", test_waiting_batches_become_one_group},
    {"stopping finishes the queue", test_stopping_finishes_the_queue},
    {"who helps does the group itself", test_who_helps_does_the_group_itself},
    {"helpers and the thread mix", test_help_and_the_thread_mix},
    {"a crowd is waited for", test_a_crowd_is_waited_for},
    {"a crowd that does not come is not waited for long",
     test_a_crowd_that_does_not_come_is_not_waited_for_long},
    {"a stale guard fails only its batch", test_stale_guard_fails_only_its_batch},
    {"a failed sync fails everything after it", test_failed_sync_fails_everything_after},
};
SUITE_MAIN(cases)
