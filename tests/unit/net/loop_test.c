/* The loop's promises to the rest of the program: order and bound of the mailbox, idle functions
 * before flushes in every round, timers, signals and readable descriptors. */
#include "net/loop.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem_probe.h"
#include "lib/t.h"
#include "net/loop_int.h"

struct world {
    struct loop *loop;
    uint64_t next;   /* value the next post must carry */
    uint64_t errors; /* posts that came out of order */
    uint64_t posts_per_thread;
    int trace[16];
    size_t trace_count;
    struct loop_timer *timer;
    struct loop_flush flush;
    int fires;
    int pipe_fds[2];
};

static struct world w;

static void setup(void)
{
    w = (struct world){.loop = loop_new()};
}

static void trace(int what)
{
    if (w.trace_count < ARRAY_COUNT(w.trace)) {
        w.trace[w.trace_count++] = what;
    }
}

static void stop(void *ctx)
{
    UNUSED(ctx);
    loop_stop(w.loop);
}

static void in_order(void *ctx)
{
    w.errors += (uintptr_t)ctx != w.next;
    w.next++;
}

static void *poster(void *arg)
{
    UNUSED(arg);
    for (uintptr_t i = 0; i < w.posts_per_thread; i++) {
        while (!loop_post(w.loop, in_order, (void *)i)) {
            /* full: the loop is draining it */
        }
    }
    while (!loop_post(w.loop, stop, NULL)) {
    }
    return NULL;
}

T_TEST("posts of one thread run all, in order, on the loop")
{
    /* Many more posts than the mailbox holds, from another thread while the loop runs. */
    setup();
    w.posts_per_thread = 300000;
    pthread_t thread;
    t_check(pthread_create(&thread, NULL, poster, NULL) == 0);
    loop_run(w.loop);
    t_check(pthread_join(thread, NULL) == 0);
    t_eq_u64(w.next, w.posts_per_thread);
    t_eq_u64(w.errors, 0);
    loop_free(w.loop);
}

static void nothing(void *ctx)
{
    UNUSED(ctx);
}

T_TEST("a full mailbox says no and takes nothing")
{
    setup();
    for (int i = 0; i < LOOP_POSTS_MAX; i++) {
        t_check(loop_post(w.loop, nothing, NULL));
    }
    t_check(!loop_post(w.loop, nothing, NULL));
    loop_stop(w.loop);
    loop_run(w.loop);
    t_check(loop_post(w.loop, nothing, NULL));
    loop_free(w.loop);
}

static void on_idle(void *ctx)
{
    UNUSED(ctx);
    trace(2);
    if (w.trace_count == 3) {
        loop_flush_later(w.loop, &w.flush); /* as a sender on the idle step does */
    }
}

static void on_flush(struct loop_flush *f)
{
    UNUSED(f);
    trace(3);
    loop_stop(w.loop);
}

static void first_post(void *ctx)
{
    UNUSED(ctx);
    trace(1);
}

T_TEST("a flush asked for by an idle function runs in the same round")
{
    /* Nothing else ever wakes this loop: were the flush left for the next round, it would hang.
     * The first idle call comes before any event, hence the leading 2. */
    setup();
    loop_flush_init(&w.flush, on_flush);
    loop_on_idle(w.loop, on_idle, NULL);
    t_check(loop_post(w.loop, first_post, NULL));
    w.trace_count = 0;
    loop_run(w.loop);
    t_eq_int(w.trace[0], 2);
    t_eq_int(w.trace[1], 1);
    t_eq_int(w.trace[2], 2);
    loop_free(w.loop);
}

/* ---- entering ---- */

static void sleep_ms(int ms)
{
    (void)poll(NULL, 0, ms); /* shorter does no harm */
}

static void *run_loop(void *arg)
{
    UNUSED(arg);
    loop_run(w.loop);
    return NULL;
}

static pthread_t start_loop(void)
{
    pthread_t thread;
    t_check(pthread_create(&thread, NULL, run_loop, NULL) == 0);
    return thread;
}

static void end_loop(pthread_t thread)
{
    loop_stop(w.loop);
    t_check(pthread_join(thread, NULL) == 0);
    loop_free(w.loop);
}

struct visit {
    pthread_t thread; /* that ran it */
    atomic_bool was_run;
};

static void note_thread(void *ctx)
{
    struct visit *v = ctx;
    v->thread = pthread_self();
    atomic_store(&v->was_run, true);
}

static void await(const atomic_bool *what)
{
    while (!atomic_load(what)) {
        sleep_ms(1);
    }
}

T_TEST("who enters a loop that waits is served on its own thread, idle functions included")
{
    setup();
    struct visit idle = {0};
    loop_on_idle(w.loop, note_thread, &idle);
    pthread_t thread = start_loop();
    await(&idle.was_run);
    /* The loop may be on its way to waiting still: some round ends up here. */
    bool was_here = false;
    for (int i = 0; i < 2000 && !was_here; i++) {
        struct visit v = {0};
        t_check(loop_enter(w.loop, note_thread, &v));
        await(&v.was_run);
        was_here = pthread_equal(v.thread, pthread_self()) != 0;
        sleep_ms(was_here ? 0 : 1);
    }
    t_check(was_here);
    t_check(pthread_equal(idle.thread, pthread_self()) != 0);
    end_loop(thread);
}

T_TEST("before the loop runs and after it nobody enters")
{
    setup();
    struct visit before = {0};
    t_check(loop_enter(w.loop, note_thread, &before));
    t_check(!atomic_load(&before.was_run));
    pthread_t thread = start_loop();
    await(&before.was_run);
    t_check(pthread_equal(before.thread, thread) != 0);
    loop_stop(w.loop);
    t_check(pthread_join(thread, NULL) == 0);
    struct visit after = {0};
    t_check(loop_enter(w.loop, note_thread, &after));
    t_check(!atomic_load(&after.was_run));
    loop_free(w.loop);
}

enum { VISITORS = 4, VISITS = 30000 };

struct visitor {
    pthread_t thread;
    uint64_t next; /* value the next visit must carry */
    uint64_t sent;
};

static struct visitor visitors[VISITORS];
static int inside; /* plain on purpose: nobody else may be inside */
static uint64_t visits_done;

static void count_visit(void *ctx)
{
    struct visitor *v = ctx;
    w.errors += inside++ != 0;
    v->next++;
    visits_done++;
    w.errors += --inside != 0;
}

static void *visit_often(void *arg)
{
    struct visitor *v = arg;
    for (v->sent = 0; v->sent < VISITS; v->sent++) {
        /* Every fourth in the other way, and from both ways at once. */
        while (!(v->sent % 4 == 3 ? loop_post : loop_enter)(w.loop, count_visit, v)) {
        }
    }
    return NULL;
}

T_TEST("visitors and the loop take turns, and no post is left behind")
{
    setup();
    visits_done = 0;
    pthread_t thread = start_loop();
    for (size_t i = 0; i < VISITORS; i++) {
        visitors[i] = (struct visitor){0};
        t_check(pthread_create(&visitors[i].thread, NULL, visit_often, &visitors[i]) == 0);
    }
    for (size_t i = 0; i < VISITORS; i++) {
        t_check(pthread_join(visitors[i].thread, NULL) == 0);
    }
    /* Nothing else wakes the loop: a post that was overlooked would stay. */
    struct visit last = {0};
    t_check(loop_post(w.loop, note_thread, &last));
    await(&last.was_run);
    loop_stop(w.loop);
    t_check(pthread_join(thread, NULL) == 0);
    t_eq_u64(visits_done, VISITORS * (uint64_t)VISITS);
    t_eq_u64(w.errors, 0);
    loop_free(w.loop);
}

T_TEST("a lone post by a visitor runs though the loop was just giving the turn away")
{
    setup();
    pthread_t thread = start_loop();
    for (int i = 0; i < 3000; i++) {
        struct visit v = {0};
        t_check((i % 2 == 0 ? loop_enter : loop_post)(w.loop, note_thread, &v));
        while (!atomic_load(&v.was_run)) { /* no sleep: the next comes as close as can be */
        }
    }
    end_loop(thread);
}

T_TEST("what was left waits for a round and is taken up when the loop is woken")
{
    setup();
    pthread_t thread = start_loop();
    struct visit first = {0};
    t_check(loop_post(w.loop, note_thread, &first)); /* the loop runs */
    await(&first.was_run);
    loop_wake(w.loop); /* for nothing: nothing happens */
    struct visit v = {0};
    t_check(loop_leave(w.loop, note_thread, &v));
    loop_wake(w.loop);
    await(&v.was_run);
    t_check(pthread_equal(v.thread, thread) != 0);
    /* A post behind something that was left wakes the loop for both. */
    struct visit left = {0};
    struct visit posted = {0};
    t_check(loop_leave(w.loop, note_thread, &left));
    t_check(loop_post(w.loop, note_thread, &posted));
    await(&posted.was_run);
    t_check(atomic_load(&left.was_run));
    end_loop(thread);
}

static int again_left;

static void post_again(void *ctx)
{
    if (again_left-- > 0) {
        t_check(loop_leave(w.loop, post_again, ctx));
    } else {
        note_thread(ctx);
    }
}

T_TEST("a visitor that always finds more leaves it to the loop")
{
    setup();
    pthread_t thread = start_loop();
    struct visit v = {0};
    again_left = 1000;
    t_check(loop_enter(w.loop, post_again, &v));
    await(&v.was_run); /* nobody else wakes the loop */
    end_loop(thread);
}

static struct visit fired;

static void on_earlier_timer(void *ctx)
{
    note_thread(ctx);
}

static void set_timer(void *ctx)
{
    loop_timer_set(w.timer, 5, 0);
    note_thread(ctx);
}

static void free_timer(void *ctx)
{
    loop_timer_free(w.timer);
    stop(ctx);
}

T_TEST(
    "what a visitor leaves to the loop is done by the loop's thread, however long it meant to wait")
{
    setup();
    fired = (struct visit){0};
    w.timer = loop_timer_new(w.loop, on_earlier_timer, &fired);
    loop_timer_set(w.timer, 3600000, 0);
    pthread_t thread = start_loop();
    struct visit v = {0};
    sleep_ms(20); /* long enough to wait by now, as a rule */
    t_check(loop_enter(w.loop, set_timer, &v));
    await(&fired.was_run);
    t_check(pthread_equal(fired.thread, thread) != 0);
    t_check(loop_post(w.loop, free_timer, NULL));
    t_check(pthread_join(thread, NULL) == 0);
    loop_free(w.loop);
}

static void flush_twice(struct loop_flush *f)
{
    trace(3);
    if (++w.fires < 3) {
        loop_flush_later(w.loop, f);
    } else {
        loop_stop(w.loop);
    }
}

T_TEST("a flush may ask for itself again and can be cancelled")
{
    setup();
    loop_flush_init(&w.flush, flush_twice);
    loop_flush_later(w.loop, &w.flush);
    loop_flush_later(w.loop, &w.flush);
    loop_run(w.loop);
    t_eq_int(w.fires, 3);
    loop_flush_later(w.loop, &w.flush);
    loop_flush_cancel(&w.flush);
    loop_stop(w.loop);
    loop_run(w.loop);
    t_eq_int(w.fires, 3);
    loop_free(w.loop);
}

static void on_timer(void *ctx)
{
    UNUSED(ctx);
    if (++w.fires == 3) {
        loop_timer_set(w.timer, 0, 0);
        loop_stop(w.loop);
    }
}

T_TEST("a timer fires after its delay, repeats, and stops")
{
    setup();
    usec start_us = clock_boot_us();
    w.timer = loop_timer_new(w.loop, on_timer, NULL);
    loop_timer_set(w.timer, 20, 5);
    loop_run(w.loop);
    t_eq_int(w.fires, 3);
    t_check(clock_boot_us() - start_us >= 28000); /* 20 + 5 + 5 ms, less libuv's rounding */
    loop_timer_free(w.timer);
    loop_free(w.loop);
}

static void on_signal(void *ctx, int signum)
{
    UNUSED(ctx);
    t_eq_int(signum, SIGUSR1);
    loop_stop(w.loop);
}

static void raise_signal(void *ctx)
{
    UNUSED(ctx);
    t_check(kill(getpid(), SIGUSR1) == 0);
}

T_TEST("a signal arrives on the loop's thread")
{
    setup();
    loop_on_signal(w.loop, SIGUSR1, on_signal, NULL);
    t_check(loop_post(w.loop, raise_signal, NULL));
    loop_run(w.loop);
    loop_free(w.loop);
}

static void on_readable(void *ctx)
{
    UNUSED(ctx);
    char c = 0;
    t_check(read(w.pipe_fds[0], &c, 1) == 1);
    t_eq_int(c, 'x');
    loop_stop(w.loop);
}

T_TEST("a readable descriptor is reported")
{
    setup();
    t_check(pipe(w.pipe_fds) == 0);
    struct loop_fd *f = loop_fd_new(w.loop, w.pipe_fds[0], on_readable, NULL);
    t_check(write(w.pipe_fds[1], "x", 1) == 1);
    loop_run(w.loop);
    loop_fd_free(f);
    t_check(close(w.pipe_fds[0]) == 0 && close(w.pipe_fds[1]) == 0);
    loop_free(w.loop);
}

T_TEST("a loop gives back all memory")
{
    mem_probe_start();
    setup();
    loop_on_signal(w.loop, SIGUSR1, on_signal, NULL);
    struct loop_timer *t = loop_timer_new(w.loop, nothing, NULL);
    t_check(loop_post(w.loop, nothing, NULL));
    loop_stop(w.loop);
    loop_run(w.loop);
    loop_timer_free(t);
    loop_free(w.loop);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("numeric addresses are told from names")
{
    struct sockaddr_storage sa;
    t_check(loop_addr_numeric("127.0.0.1:80", &sa) && sa.ss_family == AF_INET);
    t_check(loop_addr_numeric("[::1]:80", &sa) && sa.ss_family == AF_INET6);
    t_check(!loop_addr_numeric("localhost:80", &sa));
    t_check(!loop_addr_numeric("127.0.0.1", &sa));
    t_check(!loop_addr_numeric("127.0.0.1:65536", &sa));
    t_check(!loop_addr_numeric("127.0.0.1:", &sa));
    t_check(!loop_addr_numeric(":80", &sa));
}

T_MAIN()
