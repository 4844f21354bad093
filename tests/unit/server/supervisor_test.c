/* The supervisor with real processes: it executes /proc/self/exe, so this program itself is the
 * child when its first argument is --child. Children tell what they saw in small files. */
#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "base/buf.h"
#include "base/files.h"
#include "base/mem.h"
#include "net/sockets.h"
#include "server/notify.h"

/* ---- the child ---- */

static volatile sig_atomic_t was_asked;
static volatile sig_atomic_t is_relieved;

static void on_relieved(int signum)
{
    UNUSED(signum);
    is_relieved = 1;
}

static void on_asked(int signum)
{
    UNUSED(signum);
    was_asked = 1;
}

/* Everything a child was given, one "name value" a line. */
static void report(const char *file)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    static const char *const names[] = {"LISTEN_FDS",    "LISTEN_PID",           "LISTEN_FDNAMES",
                                        "WATCHDOG_USEC", "HOLDFAST_INCARNATION", "HOLDFAST_DIR",
                                        "HOLDFAST_KEY",  "HOLDFAST_TEST_CHILD",  "SUPERVISOR_TEST"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const char *value = getenv(names[i]);
        buf_printf(&b, "%s %s\n", names[i], value ? value : "(none)");
    }
    buf_printf(&b, "pid %d\n", (int)getpid());
    for (int fd = 3; fd < 6; fd++) {
        buf_printf(&b, "port%d %u\n", fd, fcntl(fd, F_GETFD) < 0 ? 0U : sockets_port(fd));
    }
    sigset_t blocked;
    (void)sigprocmask(SIG_BLOCK, NULL, &blocked);
    buf_printf(&b, "blocked %d\n", sigismember(&blocked, SIGTERM));
    if (files_write_durable(file, buf_str(&b), 0600, NULL) != OK) {
        _exit(99);
    }
    buf_done(&b);
}

/* Runs on the first CPU that it may use, behind everybody else there when `is_last`. */
static void share_one_cpu(bool is_last)
{
    cpu_set_t mine;
    cpu_set_t one;
    CPU_ZERO(&one);
    size_t cpu = 0;
    if (sched_getaffinity(0, sizeof(mine), &mine) != 0) {
        _exit(97);
    }
    while (!CPU_ISSET(cpu, &mine)) {
        cpu++;
    }
    CPU_SET(cpu, &one);
    struct sched_param none = {0};
    if (sched_setaffinity(0, sizeof(one), &one) != 0 ||
        (is_last && sched_setscheduler(0, SCHED_IDLE, &none) != 0)) {
        _exit(96);
    }
}

/* --child HOW [FILE] */
static int child_main(int argc, char **argv)
{
    const char *how = argc > 2 ? argv[2] : "";
    if (argc > 3) {
        report(argv[3]);
    }
    if (strcmp(how, "exit3") == 0) {
        return 3;
    }
    if (strcmp(how, "says") == 0) {
        (void)fprintf(stderr, "a line of the child\n");
    }
    (void)signal(SIGUSR1, on_relieved);
    bool is_deaf = strcmp(how, "deaf") == 0;
    (void)signal(SIGTERM, is_deaf ? SIG_IGN : on_asked);
    (void)signal(SIGINT, is_deaf ? SIG_IGN : on_asked);
    if (strcmp(how, "forges") == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            notify_send("READY=1"); /* from another process: nobody's */
            _exit(0);
        }
        (void)waitpid(grandchild, NULL, 0);
    } else if (strcmp(how, "starts") == 0) {
        notify_send("STATUS=still reading");
    } else {
        notify_send("READY=1");
    }
    if (strcmp(how, "starves") == 0) {
        share_one_cpu(/* is_last= */ true);
        while (!was_asked && !is_relieved) {
        }
    }
    for (int i = 0; !was_asked && i < 3000; i++) {
        struct timespec t = {.tv_nsec = 10000000};
        (void)nanosleep(&t, NULL); /* banned-ok: the child's whole life is waiting to be ended */
        if (strcmp(how, "mute") != 0) {
            notify_send("WATCHDOG=1");
        }
    }
    return was_asked ? 0 : 98;
}

/* ---- the parent ---- */

enum { EVENTS_MAX = 64 };

static struct {
    struct loop *loop;
    struct supervisor *sup;
    struct sup_child *child;
    unsigned started, ready, stopped, silent, moving;
    uint64_t incarnations[EVENTS_MAX]; /* of the processes that stopped */
    usec started_us[EVENTS_MAX];
    char how[64];
    unsigned want_started, want_stopped, want_silent, want_moving, want_ready;
    unsigned stop_done;
} w;

static void on_started(void *ctx, struct sup_child *c)
{
    t_check(ctx == &w && sup_child_pid(c) > 0);
    w.started_us[w.started++ % EVENTS_MAX] = clock_boot_us();
}

static void on_ready(void *ctx, struct sup_child *c)
{
    UNUSED(ctx);
    t_check(sup_child_is_ready(c));
    w.ready++;
}

static void on_stopped(void *ctx, struct sup_child *c, uint64_t incarnation, const char *how)
{
    UNUSED(ctx);
    t_check(sup_child_pid(c) == 0 && !sup_child_is_ready(c));
    w.incarnations[w.stopped++ % EVENTS_MAX] = incarnation;
    (void)snprintf(w.how, sizeof(w.how), "%s", how);
}

static void on_silent(void *ctx, struct sup_child *c, bool is_silent)
{
    UNUSED(ctx);
    t_check(sup_child_is_silent(c) == is_silent);
    w.silent += is_silent;
    w.moving += !is_silent;
}

static bool enough(void)
{
    return w.started >= w.want_started && w.stopped >= w.want_stopped &&
           w.silent >= w.want_silent && w.moving >= w.want_moving && w.ready >= w.want_ready;
}

static void setup(void)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    struct sup_events ev = {.ctx = &w,
                            .started = on_started,
                            .ready = on_ready,
                            .stopped = on_stopped,
                            .silent = on_silent};
    struct errinfo ei = {0};
    t_ok_info(supervisor_new(w.loop, &ev, &w.sup, &ei), &ei);
}

static struct sup_child *add(const char *how, const char *file, struct sup_spec spec)
{
    const char *argv[] = {"--child", how, file, NULL};
    spec.name = spec.name ? spec.name : "child";
    spec.argv = argv;
    w.child = supervisor_add(w.sup, &spec);
    return w.child;
}

static void on_stop_done(void *ctx)
{
    t_check(ctx == &w);
    w.stop_done++;
}

static bool is_stop_done(void)
{
    return w.stop_done > 0;
}

static void teardown(void)
{
    if (w.stop_done == 0) {
        supervisor_stop(w.sup, 2000, on_stop_done, &w);
        if (w.stop_done == 0) {
            loop_until(w.loop, is_stop_done);
        }
    }
    t_eq_u64(w.stop_done, 1);
    supervisor_free(w.sup);
    loop_free(w.loop);
}

static const char *tmp(const char *name)
{
    static char file[512];
    (void)snprintf(file, sizeof(file), "%s/%s", t_tmp_dir(), name);
    return file;
}

/* Value behind `name` in a child's report. */
static const char *told(const char *text, const char *name)
{
    static char value[256];
    char key[64];
    (void)snprintf(key, sizeof(key), "%s ", name);
    const char *at = strstr(text, key);
    t_checkf(at != NULL, "no %s in: %s", name, text);
    if (at == NULL) {
        return value;
    }
    (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(key), "\n"),
                   at + strlen(key));
    return value;
}

T_TEST("a child gets its sockets as 3 and 4 by name, its own pid, a watchdog period and an "
       "incarnation")
{
    setup();
    int fds[2];
    uint16_t ports[2];
    t_ok(sockets_listen("127.0.0.1:0", &fds[0], &ports[0], NULL));
    t_ok(sockets_listen("127.0.0.1:0", &fds[1], &ports[1], NULL));
    struct sup_fd handed[] = {{fds[1], "http"}, {fds[0], "peer"}};
    t_check(setenv("LISTEN_FDS", "77", 1) == 0 && setenv("SUPERVISOR_TEST", "kept", 1) == 0);
    char file[512];
    (void)snprintf(file, sizeof(file), "%s", tmp("report"));
    struct sup_child *c = add(
        "ready", file,
        (struct sup_spec){
            .name = "server/east", .fds = handed, .fd_count = 2, .watchdog_ms = 1500, .user = &w});
    t_check(sup_child_pid(c) == 0 && sup_child_user(c) == &w);
    t_eq_cstr(sup_child_name(c), "server/east");
    supervisor_start(c);
    w.want_ready = 1;
    loop_until(w.loop, enough);
    char *text = t_read_file(file, NULL);
    char own_pid[32];
    char port[32];
    char incarnation[32];
    (void)snprintf(own_pid, sizeof(own_pid), "%d", (int)sup_child_pid(c));
    t_eq_cstr(told(text, "LISTEN_FDS"), "2");
    t_eq_cstr(told(text, "LISTEN_PID"), own_pid);
    t_eq_cstr(told(text, "LISTEN_FDNAMES"), "http:peer");
    t_eq_cstr(told(text, "WATCHDOG_USEC"), "1500000");
    t_eq_cstr(told(text, "SUPERVISOR_TEST"), "kept");
    t_eq_cstr(told(text, "blocked"), "0");
    (void)snprintf(port, sizeof(port), "%u", ports[1]);
    t_eq_cstr(told(text, "port3"), port);
    (void)snprintf(port, sizeof(port), "%u", ports[0]);
    t_eq_cstr(told(text, "port4"), port);
    t_eq_cstr(told(text, "port5"), "0");
    (void)snprintf(incarnation, sizeof(incarnation), "%" PRIu64, sup_child_incarnation(c));
    t_eq_cstr(told(text, "HOLDFAST_INCARNATION"), incarnation);
    t_check(sup_child_incarnation(c) != 0 && sup_child_incarnation(c) < UINT64_C(1) << 53);
    t_check(unsetenv("LISTEN_FDS") == 0);
    mem_free(text);
    teardown();
    t_check(close(fds[0]) == 0 && close(fds[1]) == 0); /* the parent's own copies stayed open */
}

/* Options in the environment are the parent's: a child that saw HOLDFAST_DIR would put its data there
 * whatever its configuration file says. Faults for tests are for everybody. */
T_TEST("options in our environment do not reach children, least of all the key")
{
    setup();
    t_check(setenv("HOLDFAST_DIR", "/elsewhere", 1) == 0 &&
            setenv("HOLDFAST_KEY", "secret", 1) == 0);
    t_check(setenv("HOLDFAST_TEST_CHILD", "1", 1) == 0);
    char file[512];
    (void)snprintf(file, sizeof(file), "%s", tmp("environment"));
    supervisor_start(add("ready", file, (struct sup_spec){0}));
    w.want_ready = 1;
    loop_until(w.loop, enough);
    char *text = t_read_file(file, NULL);
    t_eq_cstr(told(text, "HOLDFAST_DIR"), "(none)");
    t_eq_cstr(told(text, "HOLDFAST_KEY"), "(none)");
    t_eq_cstr(told(text, "HOLDFAST_TEST_CHILD"), "1");
    t_eq_cstr(told(text, "WATCHDOG_USEC"), "(none)");
    t_eq_cstr(told(text, "LISTEN_FDS"), "0");
    mem_free(text);
    t_check(unsetenv("HOLDFAST_DIR") == 0 && unsetenv("HOLDFAST_KEY") == 0);
    teardown();
}

T_TEST("what a child prints goes to the end of its log file")
{
    setup();
    char log[512];
    (void)snprintf(log, sizeof(log), "%s", tmp("child.log"));
    t_ok(files_write_durable(log, STR("before\n"), 0600, NULL));
    supervisor_start(add("says", NULL, (struct sup_spec){.log_path = log}));
    w.want_ready = 1;
    loop_until(w.loop, enough);
    char *text = t_read_file(log, NULL);
    t_eq_cstr(text, "before\na line of the child\n");
    mem_free(text);
    teardown();
}

T_TEST("a child that ends is started again, later each time, with a new incarnation")
{
    setup();
    supervisor_start(add("exit3", NULL, (struct sup_spec){0}));
    w.want_stopped = 4;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "exit 3");
    t_eq_u64(w.ready, 0);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned k = 0; k < i; k++) {
            t_check(w.incarnations[i] != w.incarnations[k]);
        }
    }
    /* The loop's timers count in whole milliseconds, so that they can be early by one. */
    t_check(w.started_us[2] - w.started_us[1] >= (usec)(SUP_BACKOFF_FIRST_MS - 2) * 1000);
    t_check(w.started_us[3] - w.started_us[2] >= (usec)(2 * SUP_BACKOFF_FIRST_MS - 2) * 1000);
    teardown();
}

T_TEST("a child that others cannot do without is never waited for longer than it says")
{
    setup();
    supervisor_start(add("exit3", NULL, (struct sup_spec){.backoff_max_ms = SUP_BACKOFF_FIRST_MS}));
    w.want_stopped = 6;
    loop_until(w.loop, enough);
    usec took = w.started_us[5] - w.started_us[1]; /* 1500 ms and more if each wait were doubled */
    t_checkf(took >= (usec)(4 * SUP_BACKOFF_FIRST_MS - 8) * 1000 && took < 1400000, "%llu us",
             (unsigned long long)took);
    teardown();
}

T_TEST("a child that is killed is reported with the incarnation it had and starts at once")
{
    setup();
    struct sup_child *c = add("ready", NULL, (struct sup_spec){0});
    supervisor_start(c);
    supervisor_start(c); /* it runs: nothing happens */
    w.want_ready = 1;
    loop_until(w.loop, enough);
    t_eq_u64(w.started, 1);
    uint64_t incarnation = sup_child_incarnation(c);
    t_check(kill(sup_child_pid(c), SIGKILL) == 0);
    w.want_stopped = 1;
    w.want_ready = 2;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "signal 9");
    t_eq_u64(w.incarnations[0], incarnation);
    t_check(sup_child_incarnation(c) != incarnation);
    teardown();
}

T_TEST("only the child itself can say that it is ready")
{
    setup();
    struct sup_child *c = add("forges", NULL, (struct sup_spec){.name = "forger"});
    supervisor_start(c);
    struct sup_child *other = add("starts", NULL, (struct sup_spec){.name = "starting"});
    supervisor_start(other);
    struct sup_child *honest = add("ready", NULL, (struct sup_spec){.name = "honest"});
    supervisor_start(honest);
    w.want_ready = 1;
    loop_until(w.loop, enough);
    loop_for_ms(w.loop, 150);
    t_check(sup_child_is_ready(honest) && !sup_child_is_ready(c) && !sup_child_is_ready(other));
    t_eq_u64(w.ready, 1);
    teardown();
}

T_TEST("silence of a ready child is reported once, and so is its end")
{
    setup();
    struct sup_child *c = add("ready", NULL, (struct sup_spec){.watchdog_ms = 200});
    supervisor_start(c);
    w.want_ready = 1;
    loop_until(w.loop, enough);
    loop_for_ms(w.loop, 300);
    t_eq_u64(w.silent, 0);
    t_check(kill(sup_child_pid(c), SIGSTOP) == 0);
    w.want_silent = 1;
    loop_until(w.loop, enough);
    loop_for_ms(w.loop, 200);
    t_check(sup_child_is_silent(c) && w.silent == 1 && w.stopped == 0);
    t_check(kill(sup_child_pid(c), SIGCONT) == 0);
    w.want_moving = 1;
    loop_until(w.loop, enough);
    t_eq_u64(w.moving, 1);
    t_eq_u64(w.stopped, 0);
    teardown();
}

T_TEST("a child that stays silent is killed after its time and started again")
{
    setup();
    struct sup_child *c = add("mute", NULL, (struct sup_spec){.watchdog_ms = 100, .kill_ms = 250});
    supervisor_start(c);
    w.want_stopped = 1;
    w.want_silent = 1;
    w.want_started = 2;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "signal 9");
    t_check(!sup_child_is_silent(c));
    teardown();
}

/* The child has the lowest class on a CPU that two others use up: it wants to run, hardly ever does, and
 * gives no sign of life meanwhile. Stopped, it is frozen. */
T_TEST("a silent child that waits for a CPU is not taken for frozen; stopped it is")
{
    pid_t hogs[2];
    for (unsigned i = 0; i < 2; i++) {
        hogs[i] = fork();
        if (hogs[i] == 0) {
            share_one_cpu(/* is_last= */ false);
            for (volatile unsigned n = 0;; n++) {
            }
        }
    }
    setup();
    struct sup_child *c =
        add("starves", NULL, (struct sup_spec){.watchdog_ms = 50, .kill_ms = 800});
    supervisor_start(c);
    w.want_ready = 1;
    w.want_silent = 1;
    loop_until(w.loop, enough);
    loop_for_ms(w.loop, 2400); /* three times the limit */
    for (unsigned i = 0; i < 2; i++) {
        t_check(kill(hogs[i], SIGKILL) == 0);
        t_eq_int(waitpid(hogs[i], NULL, 0), hogs[i]);
    }
    struct sched_param none = {0};
    /* Not everybody may do that; it only takes longer without. */
    (void)sched_setscheduler(sup_child_pid(c), SCHED_OTHER, &none);
    t_check(kill(sup_child_pid(c), SIGUSR1) == 0);
    w.want_moving = 1; /* only now: even a SIGKILL takes effect when there is a CPU for it */
    loop_until(w.loop, enough);
    t_eq_u64(w.stopped, 0);
    t_check(kill(sup_child_pid(c), SIGSTOP) == 0);
    w.want_stopped = 1;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "signal 9");
    teardown();
}

T_TEST("a child that never said it is ready is not taken for frozen")
{
    setup();
    supervisor_start(add("starts", NULL, (struct sup_spec){.watchdog_ms = 50, .kill_ms = 100}));
    w.want_started = 1;
    loop_until(w.loop, enough);
    loop_for_ms(w.loop, 300);
    t_eq_u64(w.silent + w.stopped, 0);
    teardown();
}

T_TEST("stopping ends all of them, a frozen one too, and starts nothing again")
{
    setup();
    struct sup_child *c = add("ready", NULL, (struct sup_spec){.name = "one"});
    supervisor_start(c);
    supervisor_start(add("ready", NULL, (struct sup_spec){.name = "two"}));
    supervisor_start(add("exit3", NULL, (struct sup_spec){.name = "restarting"}));
    (void)add("ready", NULL, (struct sup_spec){.name = "never started"});
    w.want_ready = 2;
    w.want_stopped = 2; /* the third waits for its next start now */
    loop_until(w.loop, enough);
    t_check(kill(sup_child_pid(c), SIGSTOP) == 0);
    unsigned before = w.started;
    supervisor_stop(w.sup, 5000, on_stop_done, &w);
    loop_until(w.loop, is_stop_done);
    t_eq_cstr(w.how, "exit 0");
    loop_for_ms(w.loop, 250);
    t_eq_u64(w.started, before);
    t_eq_u64(w.stop_done, 1);
    teardown();
}

T_TEST("who does not listen is killed when the grace is over, or at once when asked twice")
{
    for (int twice = 0; twice <= 1; twice++) {
        setup();
        supervisor_start(add("deaf", NULL, (struct sup_spec){0}));
        w.want_ready = 1;
        loop_until(w.loop, enough);
        usec from = clock_boot_us();
        supervisor_stop(w.sup, twice ? 60000 : 150, on_stop_done, &w);
        if (twice) {
            supervisor_stop(w.sup, 60000, on_stop_done, &w);
        }
        loop_until(w.loop, is_stop_done);
        t_check(twice || clock_boot_us() - from >= 150000);
        t_eq_cstr(w.how, "signal 9");
        teardown();
    }
}

T_TEST("a child that is retired ends and stays away until it is started again")
{
    setup();
    struct sup_child *c = add("ready", NULL, (struct sup_spec){.name = "one"});
    struct sup_child *deaf = add("deaf", NULL, (struct sup_spec){.name = "two"});
    supervisor_start(c);
    supervisor_start(deaf);
    w.want_ready = 2;
    loop_until(w.loop, enough);
    supervisor_retire(c, 5000);
    w.want_stopped = 1;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "exit 0");
    supervisor_retire(deaf, 100); /* does not listen: killed */
    w.want_stopped = 2;
    loop_until(w.loop, enough);
    t_eq_cstr(w.how, "signal 9");
    unsigned before = w.started;
    loop_for_ms(w.loop, 250);
    t_eq_u64(w.started, before);
    supervisor_start(c);
    w.want_ready = 3;
    loop_until(w.loop, enough);
    supervisor_retire(c, 5000);
    supervisor_start(c); /* still on its way out: its end starts the next one */
    w.want_ready = 4;
    loop_until(w.loop, enough);
    t_check(sup_child_pid(c) != 0);
    teardown();
}

T_TEST("one that was ended for good can be removed: its place is free again, the others go on")
{
    setup();
    struct sup_child *gone = add("ready", NULL, (struct sup_spec){.name = "one"});
    struct sup_child *stays = add("ready", NULL, (struct sup_spec){.name = "two"});
    supervisor_start(gone);
    supervisor_start(stays);
    w.want_ready = 2;
    loop_until(w.loop, enough);
    pid_t other = sup_child_pid(stays);
    supervisor_retire(gone, 5000);
    w.want_stopped = 1;
    loop_until(w.loop, enough);
    supervisor_remove(gone);
    for (unsigned i = 0; i < 2 * SUP_CHILDREN_MAX; i++) {
        supervisor_remove(add("ready", NULL, (struct sup_spec){.name = "next"}));
    }
    t_eq_int(sup_child_pid(stays), other);
    t_check(kill(other, SIGKILL) == 0); /* still watched over */
    w.want_stopped = 2;
    w.want_ready = 3;
    loop_until(w.loop, enough);
    teardown();
}

T_TEST("stopping when nothing runs is done at once")
{
    setup();
    (void)add("ready", NULL, (struct sup_spec){0});
    supervisor_stop(w.sup, 1000, on_stop_done, &w);
    t_eq_u64(w.stop_done, 1);
    teardown();
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        /* No look for leaks at the end of each child: on a busy machine that took seconds. */
        _exit(child_main(argc, argv));
    }
    return t_main(argc, argv);
}
