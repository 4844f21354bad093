/* See commit.h. The queue is a vector under a lock; whoever does a group (`is_applying`: one at a time)
 * swaps it for an empty one and works through what it got. The lock is held for a few instructions by
 * either side. The producer makes a system call only when the thread sleeps.
 *
 * Not handled: fairness between partitions. The core bounds what it has in flight. */
#include "engine/commit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/contract.h"
#include "base/mem.h"

/* Times as powers of two, each in eighths: errors below 12 %, in two kilobytes. */
enum {
    HISTOGRAM_SUB_BITS = 3,
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_SUB_BITS) << HISTOGRAM_SUB_BITS,
};

struct item {
    struct engine_batch *batch; /* owned */
    size_t entries;
    uint64_t ticket;
    size_t size;
};

struct items {
    struct item *p; /* owned */
    size_t n, cap;
    size_t entries; /* of the log, in all of them */
};

struct committer {
    struct committer_cfg cfg;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the next eight; rank: above the engine's locks */
    pthread_cond_t wake;
    struct items queue;
    bool is_sleeping;
    bool is_stopping;
    size_t crowd;  /* entries expected to come together */
    size_t wanted; /* do not wake the thread for fewer entries than that */
    _Atomic bool
        is_applying;       /* somebody has what is taken, and the fields below; also read without */
    _Atomic size_t queued; /* queue.n, readable without the lock */
    _Atomic size_t queued_size; /* bytes in the queue and in the group being written */

    /* Of whoever applies. */
    struct items taken;
    struct engine_batch **batches;
    enum err *errs;
    struct committer_done *done;
    size_t group_cap;
    _Atomic usec group_us; /* smoothed time of a group */

    _Atomic bool is_gathering;
    _Atomic uint64_t groups, batch_count, bytes, group_batches_max, apply_us_max, helped;
    _Atomic uint64_t sleeps, gathered, missed;     /* written by the thread only */
    _Atomic uint64_t histogram[HISTOGRAM_BUCKETS]; /* like the other numbers: by whoever applies */
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer at a time: no locked instruction needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static size_t histogram_bucket(uint64_t v)
{
    if (v < (1u << HISTOGRAM_SUB_BITS)) {
        return (size_t)v;
    }
    unsigned top = 63u - (unsigned)__builtin_clzll(v);
    unsigned shift = top - HISTOGRAM_SUB_BITS;
    size_t sub = (size_t)(v >> shift) & ((1u << HISTOGRAM_SUB_BITS) - 1);
    return ((size_t)(shift + 1) << HISTOGRAM_SUB_BITS) + sub;
}

/* Smallest value of the bucket. */
static uint64_t histogram_value(size_t bucket)
{
    if (bucket < (1u << HISTOGRAM_SUB_BITS)) {
        return bucket;
    }
    size_t shift = (bucket >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t sub = bucket & ((1u << HISTOGRAM_SUB_BITS) - 1);
    return ((1u << HISTOGRAM_SUB_BITS) + sub) << shift;
}

static uint64_t histogram_quantile(const struct committer *c, uint64_t per_mille)
{
    uint64_t total = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        total += c->histogram[i];
    }
    uint64_t rank = (total * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS && total > 0; i++) {
        seen += c->histogram[i];
        if (seen >= rank) {
            return histogram_value(i);
        }
    }
    return 0;
}

/* ---- the thread ---- */

static void group_reserve(struct committer *c, size_t n)
{
    if (n > c->group_cap) {
        c->group_cap = n * 2;
        c->batches = (struct engine_batch **)mem_realloc(
            c->batches, c->group_cap * sizeof(struct engine_batch *));
        c->errs = (enum err *)mem_realloc(c->errs, c->group_cap * sizeof(*c->errs));
        c->done = (struct committer_done *)mem_realloc(c->done, c->group_cap * sizeof(*c->done));
    }
}

static void note_time(struct committer *c, usec took_us)
{
    add(&c->histogram[histogram_bucket(took_us)], 1);
    c->group_us = (c->group_us * 7 + took_us) / 8;
    if (took_us > c->apply_us_max) {
        c->apply_us_max = took_us;
    }
}

static void commit_group(struct committer *c, const struct item *items, size_t n, size_t size)
{
    group_reserve(c, n);
    for (size_t i = 0; i < n; i++) {
        c->batches[i] = items[i].batch;
    }
    struct errinfo ei = {0};
    usec before_us = clock_boot_us();
    enum err err = engine_apply(c->cfg.engine, c->batches, n, /* sync= */ true, c->errs, &ei);
    note_time(c, clock_boot_us() - before_us);
    for (size_t i = 0; i < n; i++) {
        ASSERT(IMPLIES(err != OK, c->errs[i] == err));
        c->done[i] = (struct committer_done){.ticket = items[i].ticket, .err = c->errs[i]};
        engine_batch_free(items[i].batch);
    }
    add(&c->groups, 1);
    add(&c->batch_count, n);
    add(&c->bytes, size);
    if (n > c->group_batches_max) {
        c->group_batches_max = n;
    }
    atomic_fetch_sub(&c->queued_size, size);
    c->cfg.done(c->cfg.ctx, c->done, n, &ei);
}

static void commit_taken(struct committer *c)
{
    size_t from = 0;
    while (from < c->taken.n) {
        size_t size = c->taken.p[from].size;
        size_t to = from + 1;
        while (to < c->taken.n && size + c->taken.p[to].size <= COMMITTER_GROUP_SIZE_MAX) {
            size += c->taken.p[to++].size;
        }
        commit_group(c, c->taken.p + from, to - from, size);
        from = to;
    }
    c->taken.n = 0;
    c->taken.entries = 0;
}

/* With the lock held: makes the caller the one who applies, with all that is queued. */
static void take_queue(struct committer *c)
{
    struct items taken = c->queue;
    c->queue = c->taken;
    c->taken = taken;
    c->queued = 0;
    c->is_applying = true;
}

static bool is_worth_gathering(const struct committer *c)
{
    return c->is_gathering && c->crowd >= COMMITTER_GATHER_ENTRIES_MIN &&
           c->group_us >= COMMITTER_GATHER_GROUP_US && c->queue.entries < c->crowd;
}

/* With the lock held, after a group: waits for those who belong to its crowd. */
static void gather(struct committer *c)
{
    usec half_us = c->group_us / 2;
    struct timespec deadline =
        cond_after_us(half_us < c->cfg.gather_us_max ? half_us : c->cfg.gather_us_max);
    c->wanted = c->crowd;
    c->is_sleeping = true;
    while (c->queue.entries < c->wanted && !c->is_stopping &&
           cond_wait_until(&c->wake, &c->lock, &deadline)) {
    }
    bool is_there = c->queue.entries >= c->wanted;
    add(is_there ? &c->gathered : &c->missed, 1);
    c->wanted = 0;
}

/* Takes all that is queued, waiting for it; false: stopping and nothing is left. */
static bool take(struct committer *c)
{
    pthread_mutex_lock(&c->lock);
    if (is_worth_gathering(c)) {
        gather(c);
    }
    while (c->is_applying || (c->queue.n == 0 && !c->is_stopping)) {
        c->is_sleeping = true;
        add(&c->sleeps, 1);
        pthread_cond_wait(&c->wake, &c->lock);
    }
    c->is_sleeping = false;
    take_queue(c);
    pthread_mutex_unlock(&c->lock);
    return c->taken.n > 0;
}

/* `entries`: what was done. Those that came meanwhile belong to the same crowd. */
static void give_back(struct committer *c, size_t entries)
{
    pthread_mutex_lock(&c->lock);
    c->crowd = entries + c->queue.entries;
    c->is_applying = false;
    pthread_mutex_unlock(&c->lock);
    if (c->cfg.settled != NULL) {
        c->cfg.settled(c->cfg.ctx);
    }
}

static void *run(void *arg)
{
    struct committer *c = (struct committer *)arg;
    while (take(c)) {
        size_t entries = c->taken.entries;
        commit_taken(c);
        give_back(c, entries);
    }
    return NULL;
}

/* ---- the other side ---- */

struct committer *committer_new(const struct committer_cfg *cfg)
{
    ASSERT(cfg->engine != NULL);
    ASSERT(cfg->done != NULL);
    struct committer *c = MEM_NEW(struct committer);
    c->cfg = *cfg;
    if (c->cfg.queue_max == 0) {
        c->cfg.queue_max = COMMITTER_QUEUE_MAX;
    }
    if (c->cfg.queue_size_max == 0) {
        c->cfg.queue_size_max = COMMITTER_QUEUE_SIZE_MAX;
    }
    if (c->cfg.gather_us_max == 0) {
        c->cfg.gather_us_max = COMMITTER_GATHER_US_MAX;
    }
    int rc = pthread_mutex_init(&c->lock, NULL);
    ASSERT(rc == 0);
    cond_init(&c->wake);
    /* Signals are the main thread's. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&c->thread, NULL, run, c);
    ASSERT(rc == 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_setname_np(c->thread, "commit"); /* cosmetic */
    return c;
}

void committer_free(struct committer *c)
{
    if (c == NULL) {
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->is_stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    int rc = pthread_join(c->thread, NULL);
    ASSERT(rc == 0);
    ASSERT(c->queue.n == 0 && c->taken.n == 0);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    mem_free(c->queue.p);
    mem_free(c->taken.p);
    mem_free(c->batches);
    mem_free(c->errs);
    mem_free(c->done);
    mem_free(c);
}

static void items_push(struct items *q, struct item item)
{
    if (q->n == q->cap) {
        q->cap = q->cap == 0 ? 64 : q->cap * 2;
        q->p = (struct item *)mem_realloc(q->p, q->cap * sizeof(*q->p));
    }
    q->p[q->n++] = item;
    q->entries += item.entries;
}

enum err committer_submit(struct committer *c, struct engine_batch *b, uint64_t ticket)
{
    struct item item = {.batch = b,
                        .entries = engine_batch_entry_count(b),
                        .ticket = ticket,
                        .size = engine_batch_size(b)};
    pthread_mutex_lock(&c->lock);
    ASSERT(!c->is_stopping);
    bool is_full = c->queue.n >= c->cfg.queue_max ||
                   (c->queue.n > 0 && c->queued_size + item.size > c->cfg.queue_size_max);
    if (!is_full) {
        items_push(&c->queue, item);
        atomic_fetch_add(&c->queued_size, item.size);
        atomic_store_explicit(&c->queued, c->queue.n, memory_order_release);
    }
    pthread_mutex_unlock(&c->lock);
    return is_full ? ERR_BUSY : OK;
}

void committer_gather(struct committer *c, bool is_on)
{
    c->is_gathering = is_on;
}

bool committer_is_busy(const struct committer *c)
{
    return c->is_applying;
}

bool committer_has_queue(const struct committer *c)
{
    return atomic_load_explicit(&c->queued, memory_order_relaxed) > 0;
}

void committer_wake(struct committer *c)
{
    pthread_mutex_lock(&c->lock);
    /* While a group is being done nobody need be woken: whoever does it looks again afterwards. */
    bool is_due = c->queue.n > 0 && c->queue.entries >= c->wanted;
    bool must_wake = c->is_sleeping && !c->is_applying && (is_due || c->is_stopping);
    c->is_sleeping = c->is_sleeping && !must_wake; /* one signal is enough */
    pthread_mutex_unlock(&c->lock);
    if (must_wake) {
        pthread_cond_signal(&c->wake);
    }
}

bool committer_help(struct committer *c)
{
    bool is_quick = c->group_us <= COMMITTER_HELP_US_MAX;
    pthread_mutex_lock(&c->lock);
    bool is_mine = is_quick && !c->is_applying && c->queue.n > 0;
    if (is_mine) {
        take_queue(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (is_mine) {
        size_t entries = c->taken.entries;
        commit_taken(c);
        add(&c->helped, 1);
        give_back(c, entries);
    }
    committer_wake(c); /* what came meanwhile */
    return is_mine;
}

void committer_stats_get(const struct committer *c, struct committer_stats *ret)
{
    *ret = (struct committer_stats){
        .groups = c->groups,
        .batches = c->batch_count,
        .bytes = c->bytes,
        .group_batches_max = c->group_batches_max,
        .sleeps = c->sleeps,
        .gathered = c->gathered,
        .missed = c->missed,
        .helped = c->helped,
        .queued = c->queued,
        .queued_size = c->queued_size,
        .apply_us_p50 = histogram_quantile(c, 500),
        .apply_us_p99 = histogram_quantile(c, 990),
        .apply_us_max = c->apply_us_max,
    };
}
