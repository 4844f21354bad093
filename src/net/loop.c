/* The event loop: libuv with a bounded, merged mailbox from other threads.
 *
 * A round is: one pass of libuv that does not wait (timers, I/O, closing callbacks), the mailbox,
 * loop_on_idle functions (they may send), the flush list (it writes what was sent). Then the thread
 * waits for libuv's descriptor.
 *
 * All of that is done by whoever holds the turn. The loop's thread holds it except while it waits:
 * then loop_enter() may take it for a round of the mailbox and the idle functions on the caller's
 * thread, which saves two switches between threads. Nobody ever waits for the turn but the loop's
 * thread (`is_wanted` keeps others from taking it again and again meanwhile). A post is never left
 * behind: it is counted before the turn is tried, and whoever gives the turn away looks at the count
 * after that. What such a visitor leaves to libuv (flushes, earlier timers, descriptors to watch)
 * needs the loop's thread: it is woken.
 *
 * Timers of libuv count CLOCK_MONOTONIC, which stops while the machine is suspended: they say
 * "look again", never "this much time has passed". Whoever measures uses loop_now().
 *
 * Not handled here: several loops in one thread; blocking work (it has its own threads). */
#include "net/loop.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/str.h"
#include "net/loop_int.h"

enum {
    LOOP_IDLE_FNS_MAX = 16,
    LOOP_POSTS_FIRST = 64,
    LOOP_VISIT_ROUNDS_MAX = 4,
    LOOP_FLUSH_ROUNDS_MAX = 64, /* a flush that keeps asking for another is a bug */
};

struct post {
    void (*fn)(void *ctx);
    void *ctx;
};

/* Two arrays: writers fill one while the loop empties the other. */
struct posts {
    struct post *items; /* owned */
    size_t count;
    size_t cap;
};

struct idle_fn {
    void (*fn)(void *ctx);
    void *ctx;
};

struct loop_signal {
    uv_signal_t handle; /* first: libuv's pointer is ours */
    void (*fn)(void *ctx, int signum);
    void *ctx;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    struct idle_fn idle_fns[LOOP_IDLE_FNS_MAX];
    size_t idle_fn_count;
    struct list flushes;  /* struct loop_flush.link */
    pthread_mutex_t turn; /* guards all above and the next three; never taken inside `lock` */
    struct posts draining;
    bool is_open;            /* runs, and lets others enter */
    uint64_t waits_until_ms; /* of uv_now, while it waits */
    _Atomic bool is_wanted;  /* the loop's thread is about to take the turn */
    _Atomic uint64_t posted; /* ever; changed under `lock` */
    _Atomic uint64_t taken;  /* of those; changed under `lock` */
    pthread_mutex_t lock;
    struct posts inbox;  /* guarded by lock */
    bool is_woken;       /* guarded by lock: for what is in the inbox */
    bool stop_requested; /* guarded by lock */
};

struct loop_timer {
    uv_timer_t handle; /* first */
    void (*fn)(void *ctx);
    void *ctx;
};

struct loop_fd {
    uv_poll_t handle; /* first */
    void (*fn)(void *ctx);
    void *ctx;
};

static void must(int uv_result)
{
    ASSERT(uv_result == 0); /* only ever fails for want of memory or on misuse */
}

static void posts_add(struct posts *p, struct post item)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? LOOP_POSTS_FIRST : p->cap * 2;
        p->items = (struct post *)mem_realloc(p->items, p->cap * sizeof(*p->items));
    }
    p->items[p->count++] = item;
}

static void on_wake(uv_async_t *handle)
{
    UNUSED(handle); /* the round empties the mailbox in any case */
}

/* One load of the mailbox. True when a stop was asked for. */
static bool drain(struct loop *l)
{
    (void)pthread_mutex_lock(&l->lock); /* cannot fail: plain mutex, never destroyed while used */
    struct posts full = l->inbox;
    l->inbox = l->draining;
    l->inbox.count = 0;
    l->is_woken = false;
    atomic_fetch_add(&l->taken, full.count);
    bool is_stop = l->stop_requested;
    (void)pthread_mutex_unlock(&l->lock);

    for (size_t i = 0; i < full.count; i++) {
        full.items[i].fn(full.items[i].ctx);
    }
    l->draining = full;
    return is_stop;
}

static void run_idle_fns(struct loop *l)
{
    for (size_t i = 0; i < l->idle_fn_count; i++) {
        l->idle_fns[i].fn(l->idle_fns[i].ctx);
    }
}

static void end_round(struct loop *l)
{
    run_idle_fns(l);
    int rounds = 0;
    while (!list_is_empty(&l->flushes)) {
        struct list batch; /* so that a flush asked for meanwhile waits for its turn */
        list_init(&batch);
        struct list *item = NULL;
        while ((item = list_pop_front(&l->flushes)) != NULL) {
            list_push_back(&batch, item);
        }
        while ((item = list_pop_front(&batch)) != NULL) {
            struct loop_flush *f = LIST_ENTRY(item, struct loop_flush, link);
            f->fn(f);
        }
        ASSERT(++rounds < LOOP_FLUSH_ROUNDS_MAX);
    }
}

/* Milliseconds that libuv would wait now; 0 also when its descriptor is not up to date. */
static int wait_ms(struct loop *l)
{
    uv_update_time(&l->uv);
    return uv_backend_timeout(&l->uv);
}

static bool has_posts(const struct loop *l)
{
    return atomic_load(&l->posted) != atomic_load(&l->taken);
}

static void turn_take(struct loop *l)
{
    atomic_store(&l->is_wanted, true);
    (void)pthread_mutex_lock(&l->turn); /* cannot fail, see drain() */
    atomic_store(&l->is_wanted, false);
}

/* Waits for something to do, with the turn given away meanwhile. */
static void wait_for_events(struct loop *l)
{
    int timeout_ms = wait_ms(l);
    if (timeout_ms == 0) {
        return;
    }
    l->waits_until_ms = timeout_ms < 0 ? UINT64_MAX : uv_now(&l->uv) + (uint64_t)timeout_ms;
    (void)pthread_mutex_unlock(&l->turn);
    if (!has_posts(l)) { /* those of now wake us */
        struct pollfd ready = {.fd = uv_backend_fd(&l->uv), .events = POLLIN};
        (void)poll(&ready, 1, timeout_ms); /* whatever it says, the next round looks itself */
    }
    turn_take(l);
}

struct loop *loop_new(void)
{
    struct loop *l = MEM_NEW(struct loop);
    must(uv_loop_init(&l->uv));
    must(uv_async_init(&l->uv, &l->wake, on_wake));
    list_init(&l->flushes);
    must(pthread_mutex_init(&l->lock, NULL));
    must(pthread_mutex_init(&l->turn, NULL));
    return l;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    UNUSED(arg);
    if (uv_is_closing(handle)) {
        return;
    }
    /* Owners free what they made before the loop; only our own handle may be left. */
    ASSERT(handle->type == UV_ASYNC);
    uv_close(handle, NULL);
}

static void on_signal_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

static void close_signal(uv_handle_t *handle, void *arg)
{
    UNUSED(arg);
    if (handle->type == UV_SIGNAL && !uv_is_closing(handle)) {
        uv_close(handle, on_signal_closed);
    }
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    uv_walk(&l->uv, close_signal, NULL);
    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT); /* the closing callbacks; says nothing we need */
    ASSERT(list_is_empty(&l->flushes));
    must(uv_loop_close(&l->uv));
    (void)pthread_mutex_destroy(&l->lock); /* nobody posts any more by contract */
    (void)pthread_mutex_destroy(&l->turn);
    mem_free(l->inbox.items);
    mem_free(l->draining.items);
    mem_free(l);
}

void loop_run(struct loop *l)
{
    turn_take(l);
    l->is_open = true;
    bool is_stop = false;
    while (!is_stop) {
        end_round(l);
        wait_for_events(l);
        (void)uv_run(&l->uv, UV_RUN_NOWAIT); /* says whether handles are left: `wake` always is */
        is_stop = drain(l);
    }
    end_round(l); /* what the last round wrote still leaves */
    l->is_open = false;
    (void)pthread_mutex_lock(&l->lock);
    l->stop_requested = false;
    (void)pthread_mutex_unlock(&l->lock);
    (void)pthread_mutex_unlock(&l->turn);
}

void loop_stop(struct loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    l->stop_requested = true;
    (void)pthread_mutex_unlock(&l->lock);
    must(uv_async_send(&l->wake));
}

static bool put_post(struct loop *l, struct post item, bool will_wake)
{
    ASSERT(item.fn != NULL);
    (void)pthread_mutex_lock(&l->lock);
    bool is_room = l->inbox.count < LOOP_POSTS_MAX;
    if (is_room) {
        posts_add(&l->inbox, item);
        atomic_fetch_add(&l->posted, 1);
    }
    bool must_wake = is_room && will_wake && !l->is_woken; /* one wake-up for all that is there */
    l->is_woken = l->is_woken || must_wake;
    (void)pthread_mutex_unlock(&l->lock);
    if (must_wake) {
        must(uv_async_send(&l->wake));
    }
    return is_room;
}

bool loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    return put_post(l, (struct post){fn, ctx}, /* will_wake= */ true);
}

bool loop_leave(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    return put_post(l, (struct post){fn, ctx}, /* will_wake= */ false);
}

/* A round by a visitor, who holds the turn. True: the loop's thread must take over from here. */
static bool visit(struct loop *l)
{
    bool is_stop = drain(l);
    run_idle_fns(l);
    int timeout_ms = wait_ms(l);
    uint64_t due_ms = timeout_ms < 0 ? UINT64_MAX : uv_now(&l->uv) + (uint64_t)timeout_ms;
    return is_stop || !list_is_empty(&l->flushes) || due_ms < l->waits_until_ms;
}

void loop_wake(struct loop *l)
{
    (void)pthread_mutex_lock(&l->lock);
    bool must_wake = l->inbox.count > 0 && !l->is_woken;
    l->is_woken = l->is_woken || must_wake;
    (void)pthread_mutex_unlock(&l->lock);
    if (must_wake) {
        must(uv_async_send(&l->wake));
    }
}

void loop_help(struct loop *l)
{
    int rounds = 0;
    while (has_posts(l) && !atomic_load(&l->is_wanted) && pthread_mutex_trylock(&l->turn) == 0) {
        bool is_open = l->is_open;
        bool must_wake = is_open && visit(l);
        (void)pthread_mutex_unlock(&l->turn);
        if (must_wake) {
            must(uv_async_send(&l->wake));
        }
        if (!is_open) {
            break; /* does not run yet, or no more */
        }
        if (++rounds == LOOP_VISIT_ROUNDS_MAX) {
            loop_wake(l); /* it does not end: the caller has something else to do */
            break;
        }
    }
}

bool loop_enter(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    bool is_room = loop_leave(l, fn, ctx);
    loop_help(l);
    return is_room;
}

usec loop_now(struct loop *l)
{
    UNUSED(l);
    return clock_boot_us();
}

void loop_on_idle(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    ASSERT(l->idle_fn_count < LOOP_IDLE_FNS_MAX);
    l->idle_fns[l->idle_fn_count++] = (struct idle_fn){fn, ctx};
}

void loop_off_idle(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->idle_fn_count; i++) {
        if (l->idle_fns[i].fn != fn || l->idle_fns[i].ctx != ctx) {
            l->idle_fns[kept++] = l->idle_fns[i];
        }
    }
    l->idle_fn_count = kept;
}

void loop_flush_init(struct loop_flush *f, void (*fn)(struct loop_flush *f))
{
    list_init(&f->link);
    f->fn = fn;
}

void loop_flush_later(struct loop *l, struct loop_flush *f)
{
    if (list_is_empty(&f->link)) {
        list_push_back(&l->flushes, &f->link);
    }
}

void loop_flush_cancel(struct loop_flush *f)
{
    list_remove(&f->link);
}

static void on_timer(uv_timer_t *handle)
{
    struct loop_timer *t = (struct loop_timer *)handle->data;
    t->fn(t->ctx);
}

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    struct loop_timer *t = MEM_NEW(struct loop_timer);
    must(uv_timer_init(&l->uv, &t->handle));
    t->handle.data = t;
    t->fn = fn;
    t->ctx = ctx;
    return t;
}

void loop_timer_set(struct loop_timer *t, unsigned after_ms, unsigned repeat_ms)
{
    if (after_ms == 0 && repeat_ms == 0) {
        must(uv_timer_stop(&t->handle));
        return;
    }
    /* libuv counts from the start of the round, which a slow callback may have left far behind. */
    uv_update_time(t->handle.loop);
    must(uv_timer_start(&t->handle, on_timer, after_ms, repeat_ms));
}

static void on_timer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void loop_timer_free(struct loop_timer *t)
{
    if (t != NULL) {
        uv_close((uv_handle_t *)&t->handle, on_timer_closed);
    }
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct loop_signal *s = (struct loop_signal *)handle->data;
    s->fn(s->ctx, signum);
}

void loop_on_signal(struct loop *l, int signum, void (*fn)(void *ctx, int signum), void *ctx)
{
    struct loop_signal *s = MEM_NEW(struct loop_signal);
    must(uv_signal_init(&l->uv, &s->handle));
    s->handle.data = s; /* owned by the handle: freed when loop_free closes it */
    s->fn = fn;
    s->ctx = ctx;
    must(uv_signal_start(&s->handle, on_signal, signum));
}

static void on_fd(uv_poll_t *handle, int status, int events)
{
    UNUSED(status); /* an error makes the fd readable too: the owner's read reports it */
    UNUSED(events);
    struct loop_fd *f = (struct loop_fd *)handle->data;
    f->fn(f->ctx);
}

struct loop_fd *loop_fd_new(struct loop *l, int fd, void (*fn)(void *ctx), void *ctx)
{
    struct loop_fd *f = MEM_NEW(struct loop_fd);
    must(uv_poll_init(&l->uv, &f->handle, fd));
    f->handle.data = f;
    f->fn = fn;
    f->ctx = ctx;
    must(uv_poll_start(&f->handle, UV_READABLE, on_fd));
    return f;
}

static void on_fd_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void loop_fd_free(struct loop_fd *f)
{
    if (f != NULL) {
        uv_close((uv_handle_t *)&f->handle, on_fd_closed); /* stops polling now, frees later */
    }
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    return &l->uv;
}

bool loop_addr_numeric(const char *addr, struct sockaddr_storage *ret)
{
    const char *colon = strrchr(addr, ':');
    uint64_t port = 0;
    char host[64];
    if (colon == NULL || !str_to_u64(str_of(colon + 1), &port) || port > 65535) {
        return false;
    }
    struct str h = str_make(addr, (size_t)(colon - addr));
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']') {
        h = str_slice(h, 1, h.n - 2);
    }
    if (h.n == 0 || h.n >= sizeof(host)) {
        return false;
    }
    memcpy(host, h.p, h.n);
    host[h.n] = '\0';
    memset(ret, 0, sizeof(*ret));
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)ret) == 0 ||
           uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)ret) == 0;
}
