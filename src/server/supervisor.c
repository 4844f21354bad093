/* Supervision of child processes. See supervisor.h.
 *
 * A child moves between three states: waiting for its (re)start, running, ended for good (while
 * stopping). Signs of life come as datagrams on one notification socket; the kernel stamps each with
 * the sender's pid, so that no child can speak for another. */
#include "server/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "net/sockets.h"
#include "server/frozen.h"

enum { ENV_MAX = 512, WATCH_PERIOD_MS = 50 };

struct sup_child {
    struct supervisor *sup;
    char *name;
    char *argv[SUP_ARGS_MAX + 2]; /* argv[0] = our own program */
    int fds[SUP_FDS_MAX];
    char *fd_name_copies[SUP_FDS_MAX];
    const char *fd_names[SUP_FDS_MAX]; /* the same, for sockets_env_make */
    size_t fd_count;
    char *log_path;
    unsigned watchdog_ms;
    unsigned kill_ms;
    void *user;

    pid_t pid;
    uint64_t incarnation;
    bool is_ready;
    bool is_silent;
    bool is_killed_for_silence;
    bool is_retired;   /* stopped for good, or until it is started again */
    usec retire_until; /* then it is killed */
    usec started_us;
    usec heard_us; /* last sign of life */
    /* Silent for half of kill_ms: it is looked at from then on (frozen.h). */
    usec looked_us;     /* 0: not yet */
    unsigned frozen_ms; /* counted since */
    struct frozen_look look;
    unsigned backoff_ms, backoff_max_ms;
    struct loop_timer *restart;
};

struct supervisor {
    struct loop *loop;
    struct sup_events ev;
    int notify_fd;
    char notify_name[64];
    struct loop_fd *notify_watch;
    struct loop_timer *watch;
    struct loop_timer *kill;
    struct sup_child *children[SUP_CHILDREN_MAX];
    size_t child_count;
    bool is_stopping;
    void (*stop_done)(void *ctx);
    void *stop_ctx;
};

/* ---- starting ---- */

static void child_exec(struct sup_child *c, char **env, char *pid_text, size_t pid_size)
{
    /* Between fork and exec in a process that may have had threads: only plain system calls. */
    int log_fd = -1;
    if (c->log_path) {
        log_fd = open(c->log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
    if (log_fd >= 0) {
        (void)dup2(log_fd, STDOUT_FILENO);
        (void)dup2(log_fd, STDERR_FILENO);
    }
    if (sockets_place(c->fds, c->fd_count) != 0) {
        _exit(71);
    }
    /* The account dies with its supervisor rather than run unwatched. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t none;
    sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(pid_text, pid_size, "LISTEN_PID=%d", (int)getpid());
    execve("/proc/self/exe", c->argv, env);
    _exit(71);
}

/* What we set ourselves is not passed on, nor are our options: in a child HOLDFAST_DIR would win over
 * the file that its place is written in, and HOLDFAST_KEY is none of its business. Faults for tests are
 * meant for the processes. */
static bool passes_on(const char *variable)
{
    static const char *const ours[] = {"LISTEN_", "NOTIFY_SOCKET=", "WATCHDOG_", "HOLDFAST_"};
    struct str v = str_of(variable);
    for (size_t i = 0; i < ARRAY_COUNT(ours); i++) {
        if (str_starts(v, str_of(ours[i]))) {
            return str_starts(v, STR("HOLDFAST_TEST_"));
        }
    }
    return true;
}

static void child_start(void *ctx)
{
    struct sup_child *c = ctx;
    struct supervisor *s = c->sup;
    if (s->is_stopping) {
        return;
    }
    ASSERT(c->pid == 0);
    rng_os_bytes(&c->incarnation, sizeof(c->incarnation));
    c->incarnation =
        (c->incarnation & INT64_C(0x1fffffffffffff)) | 1; /* fits a JSON number; not 0 */

    char *env[ENV_MAX + 8];
    size_t n = 0;
    for (char **e = environ; *e && n < ENV_MAX; e++) {
        if (passes_on(*e)) {
            env[n++] = *e;
        }
    }
    struct sockets_env sockets;
    char pid_text[32] = "";
    char notify_text[96];
    char watchdog_text[48];
    char incarnation_text[64];
    sockets_env_make(c->fd_names, c->fd_count, &sockets);
    (void)snprintf(notify_text, sizeof(notify_text), "NOTIFY_SOCKET=%s", s->notify_name);
    (void)snprintf(watchdog_text, sizeof(watchdog_text), "WATCHDOG_USEC=%u",
                   c->watchdog_ms * 1000U);
    (void)snprintf(incarnation_text, sizeof(incarnation_text), "HOLDFAST_INCARNATION=%" PRIu64,
                   c->incarnation);
    env[n++] = sockets.fds;
    env[n++] = pid_text;
    env[n++] = sockets.names;
    env[n++] = notify_text;
    env[n++] = incarnation_text;
    if (c->watchdog_ms > 0) {
        env[n++] = watchdog_text;
    }
    env[n] = NULL;

    pid_t forked = fork();
    if (forked == 0) {
        child_exec(c, env, pid_text, sizeof(pid_text));
    }
    if (forked < 0) {
        LOG_ERROR("supervisor", "fork_failed", "child=%s errno=%d", c->name, errno);
        loop_timer_set(c->restart, SUP_BACKOFF_LAST_MS, 0);
        return;
    }
    c->pid = forked;
    c->is_ready = false;
    c->is_silent = false;
    c->is_killed_for_silence = false;
    c->started_us = loop_now(s->loop);
    c->heard_us = c->started_us;
    c->looked_us = 0;
    LOG_INFO("supervisor", "child_started", "child=%s pid=%d", c->name, (int)forked);
    if (s->ev.started) {
        s->ev.started(s->ev.ctx, c);
    }
}

void supervisor_start(struct sup_child *c)
{
    c->is_retired = false;
    if (c->pid == 0) {
        child_start(c);
    } /* else it is on its way out: its end starts the next one */
}

void supervisor_retire(struct sup_child *c, unsigned grace_ms)
{
    c->is_retired = true;
    c->retire_until = loop_now(c->sup->loop) + (usec)grace_ms * 1000;
    loop_timer_set(c->restart, 0, 0);
    if (c->pid != 0) {
        kill(c->pid, SIGTERM);
        kill(c->pid, SIGCONT); /* a frozen one could not obey */
    }
}

static void child_free(struct sup_child *c)
{
    loop_timer_free(c->restart);
    for (size_t a = 0; c->argv[a]; a++) {
        mem_free(c->argv[a]);
    }
    mem_free(c->name);
    for (size_t f = 0; f < c->fd_count; f++) {
        mem_free(c->fd_name_copies[f]);
    }
    mem_free(c->log_path);
    mem_free(c);
}

void supervisor_remove(struct sup_child *c)
{
    struct supervisor *s = c->sup;
    ASSERT(c->pid == 0);
    size_t i = 0;
    while (s->children[i] != c) {
        i++;
        ASSERT(i < s->child_count);
    }
    for (s->child_count--; i < s->child_count; i++) {
        s->children[i] = s->children[i + 1];
    }
    child_free(c);
}

void sup_child_add_fd(struct sup_child *c, const struct sup_fd *fd)
{
    ASSERT(c->fd_count < SUP_FDS_MAX);
    c->fds[c->fd_count] = fd->fd;
    c->fd_name_copies[c->fd_count] = mem_strdup(fd->name);
    c->fd_names[c->fd_count] = c->fd_name_copies[c->fd_count];
    c->fd_count++;
}

/* ---- reaping ---- */

static bool all_reaped(const struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        if (s->children[i]->pid != 0) {
            return false;
        }
    }
    return true;
}

static void child_reaped(struct sup_child *c, int status)
{
    struct supervisor *s = c->sup;
    char how[64];
    if (WIFSIGNALED(status)) {
        (void)snprintf(how, sizeof(how), "signal %d", WTERMSIG(status));
    } else {
        (void)snprintf(how, sizeof(how), "exit %d", WEXITSTATUS(status));
    }
    uint64_t lived_ms = (loop_now(s->loop) - c->started_us) / 1000;
    uint64_t incarnation = c->incarnation;
    c->pid = 0;
    c->is_ready = false;
    LOG_AT(s->is_stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "supervisor", "child_stopped",
           "child=%s how=%s lived_ms=%" PRIu64, c->name, how, lived_ms);
    if (s->ev.stopped) {
        s->ev.stopped(s->ev.ctx, c, incarnation, how);
    }
    if (s->is_stopping || c->is_retired) {
        return;
    }
    if (lived_ms >= SUP_BACKOFF_RESET_MS) {
        c->backoff_ms = 0;
    }
    loop_timer_set(c->restart, c->backoff_ms > 0 ? c->backoff_ms : 1, 0);
    unsigned next = c->backoff_ms == 0 ? SUP_BACKOFF_FIRST_MS : c->backoff_ms * 2;
    c->backoff_ms = next > c->backoff_max_ms ? c->backoff_max_ms : next;
}

static void on_sigchld(void *ctx, int signum)
{
    struct supervisor *s = ctx;
    UNUSED(signum);
    /* Each child by its own pid: never somebody else's. */
    for (size_t i = 0; i < s->child_count; i++) {
        struct sup_child *c = s->children[i];
        int status = 0;
        if (c->pid != 0 && waitpid(c->pid, &status, WNOHANG) == c->pid) {
            child_reaped(c, status);
        }
    }
    if (s->is_stopping && s->stop_done && all_reaped(s)) {
        void (*done)(void *) = s->stop_done;
        s->stop_done = NULL;
        done(s->stop_ctx);
    }
}

/* ---- signs of life ---- */

static struct sup_child *child_by_pid(struct supervisor *s, pid_t sender)
{
    for (size_t i = 0; i < s->child_count; i++) {
        if (s->children[i]->pid == sender && sender != 0) {
            return s->children[i];
        }
    }
    return NULL;
}

static void child_heard(struct sup_child *c, struct str text)
{
    struct supervisor *s = c->sup;
    c->heard_us = loop_now(s->loop);
    c->looked_us = 0;
    if (c->is_silent) {
        c->is_silent = false;
        LOG_WARN("supervisor", "child_moves_again", "child=%s", c->name);
        if (s->ev.silent) {
            s->ev.silent(s->ev.ctx, c, false);
        }
    }
    if (str_find(text, STR("READY=1")) >= 0 && !c->is_ready) {
        c->is_ready = true;
        LOG_INFO("supervisor", "child_ready", "child=%s took_ms=%" PRIu64, c->name,
                 (c->heard_us - c->started_us) / 1000);
        if (s->ev.ready) {
            s->ev.ready(s->ev.ctx, c);
        }
    }
}

static void on_notify(void *ctx)
{
    struct supervisor *s = ctx;
    for (;;) {
        char text[512];
        union {
            char bytes[CMSG_SPACE(sizeof(struct ucred))];
            struct cmsghdr align;
        } control;
        struct iovec iov = {text, sizeof(text)};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
        ssize_t n = recvmsg(s->notify_fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) {
            return;
        }
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&msg); h; h = CMSG_NXTHDR(&msg, h)) {
            if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_CREDENTIALS) {
                struct ucred cred;
                memcpy(&cred, CMSG_DATA(h), sizeof(cred));
                struct sup_child *c = child_by_pid(s, cred.pid);
                if (c) {
                    child_heard(c, str_make(text, (size_t)n));
                }
            }
        }
    }
}

/* Whether a child that was silent for so long has also been found frozen for long enough. Silence of
 * half the limit is believed; the other half has to be seen, look by look. */
static bool is_frozen(struct sup_child *c, usec now, uint64_t quiet_ms)
{
    struct frozen_look look;
    if (quiet_ms <= c->kill_ms / 2 || !frozen_look_at(c->pid, &look)) {
        return false; /* one that is gone will be reaped */
    }
    if (c->looked_us == 0) {
        c->frozen_ms = 0;
    } else {
        c->frozen_ms += frozen_count(&c->look, &look, (now - c->looked_us) / 1000);
    }
    c->looked_us = now;
    c->look = look;
    return quiet_ms > c->kill_ms &&
           (c->frozen_ms >= c->kill_ms - c->kill_ms / 2 || quiet_ms / FROZEN_PATIENCE > c->kill_ms);
}

static void on_watch(void *ctx)
{
    struct supervisor *s = ctx;
    usec now = loop_now(s->loop);
    for (size_t i = 0; i < s->child_count; i++) {
        struct sup_child *c = s->children[i];
        if (c->pid != 0 && c->is_retired && now >= c->retire_until) {
            LOG_WARN("supervisor", "child_killed", "child=%s reason=%s", c->name,
                     "did not stop in time");
            c->retire_until = UINT64_MAX;
            kill(c->pid, SIGKILL);
        }
        if (c->pid == 0 || c->watchdog_ms == 0 || !c->is_ready) {
            continue;
        }
        uint64_t quiet_ms = (now - c->heard_us) / 1000;
        if (!c->is_silent && quiet_ms > c->watchdog_ms) {
            c->is_silent = true;
            LOG_WARN("supervisor", "child_silent", "child=%s quiet_ms=%" PRIu64, c->name, quiet_ms);
            if (s->ev.silent) {
                s->ev.silent(s->ev.ctx, c, true);
            }
        }
        if (c->kill_ms > 0 && !c->is_killed_for_silence && is_frozen(c, now, quiet_ms)) {
            /* Its clients hang on open connections that only its end can break. */
            c->is_killed_for_silence = true;
            LOG_ERROR("supervisor", "child_killed", "child=%s reason=frozen quiet_ms=%" PRIu64,
                      c->name, quiet_ms);
            kill(c->pid, SIGKILL);
        }
    }
}

/* ---- life cycle ---- */

static enum err notify_open(struct supervisor *s, struct errinfo *ei)
{
    uint64_t nonce = 0;
    rng_os_bytes(&nonce, sizeof(nonce));
    (void)snprintf(s->notify_name, sizeof(s->notify_name), "@holdfast-%d-%016" PRIx64,
                   (int)getpid(), nonce);
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = strlen(s->notify_name);
    memcpy(addr.sun_path, s->notify_name, n);
    addr.sun_path[0] = '\0';
    s->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    if (s->notify_fd < 0 ||
        bind(s->notify_fd, (const struct sockaddr *)&addr,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0 ||
        setsockopt(s->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
        return err_set(ei, ERR_IO, "cannot open the notification socket: errno %d", errno);
    }
    return OK;
}

enum err supervisor_new(struct loop *loop, const struct sup_events *ev, struct supervisor **ret,
                        struct errinfo *ei)
{
    struct supervisor *s = MEM_NEW(struct supervisor);
    s->loop = loop;
    s->ev = *ev;
    enum err err = notify_open(s, ei);
    if (err != OK) {
        if (s->notify_fd >= 0) {
            close(s->notify_fd);
        }
        mem_free(s);
        return err;
    }
    s->notify_watch = loop_fd_new(loop, s->notify_fd, on_notify, s);
    s->watch = loop_timer_new(loop, on_watch, s);
    loop_timer_set(s->watch, WATCH_PERIOD_MS, WATCH_PERIOD_MS);
    loop_on_signal(loop, SIGCHLD, on_sigchld, s);
    *ret = s;
    return OK;
}

struct sup_child *supervisor_add(struct supervisor *s, const struct sup_spec *spec)
{
    ASSERT(s->child_count < SUP_CHILDREN_MAX);
    ASSERT(spec->fd_count <= SUP_FDS_MAX);
    struct sup_child *c = MEM_NEW(struct sup_child);
    c->sup = s;
    c->name = mem_strdup(spec->name);
    c->argv[0] = mem_strdup("holdfast");
    for (size_t i = 0; spec->argv[i]; i++) {
        ASSERT(i < SUP_ARGS_MAX);
        c->argv[i + 1] = mem_strdup(spec->argv[i]);
    }
    for (size_t i = 0; i < spec->fd_count; i++) {
        sup_child_add_fd(c, &spec->fds[i]);
    }
    c->log_path = spec->log_path ? mem_strdup(spec->log_path) : NULL;
    c->backoff_max_ms = spec->backoff_max_ms > 0 ? spec->backoff_max_ms : SUP_BACKOFF_LAST_MS;
    c->watchdog_ms = spec->watchdog_ms;
    c->kill_ms = spec->kill_ms;
    c->user = spec->user;
    c->restart = loop_timer_new(s->loop, child_start, c);
    s->children[s->child_count++] = c;
    return c;
}

static void on_kill(void *ctx)
{
    struct supervisor *s = ctx;
    for (size_t i = 0; i < s->child_count; i++) {
        if (s->children[i]->pid != 0) {
            LOG_WARN("supervisor", "child_killed", "child=%s reason=%s", s->children[i]->name,
                     "did not stop in time");
            kill(s->children[i]->pid, SIGKILL);
        }
    }
}

void supervisor_stop(struct supervisor *s, unsigned grace_ms, void (*done)(void *ctx), void *ctx)
{
    if (s->is_stopping) {
        on_kill(s); /* asked twice: do not wait */
        return;
    }
    s->is_stopping = true;
    s->stop_done = done;
    s->stop_ctx = ctx;
    for (size_t i = 0; i < s->child_count; i++) {
        loop_timer_set(s->children[i]->restart, 0, 0);
        if (s->children[i]->pid != 0) {
            /* SIGINT: everything ends together, as with Ctrl-C; a server alone gets SIGTERM and hands
             * over first. */
            kill(s->children[i]->pid, SIGINT);
            kill(s->children[i]->pid, SIGCONT); /* a frozen one could not obey */
        }
    }
    s->kill = loop_timer_new(s->loop, on_kill, s);
    loop_timer_set(s->kill, grace_ms, 0);
    on_sigchld(s, 0); /* when none is running */
}

void supervisor_free(struct supervisor *s)
{
    if (!s) {
        return;
    }
    ASSERT(all_reaped(s));
    for (size_t i = 0; i < s->child_count; i++) {
        child_free(s->children[i]);
    }
    loop_fd_free(s->notify_watch);
    loop_timer_free(s->watch);
    if (s->kill) {
        loop_timer_free(s->kill);
    }
    close(s->notify_fd);
    mem_free(s);
}

const char *sup_child_name(const struct sup_child *c)
{
    return c->name;
}

void *sup_child_user(const struct sup_child *c)
{
    return c->user;
}

pid_t sup_child_pid(const struct sup_child *c)
{
    return c->pid;
}

uint64_t sup_child_incarnation(const struct sup_child *c)
{
    return c->incarnation;
}

bool sup_child_is_ready(const struct sup_child *c)
{
    return c->is_ready;
}

bool sup_child_is_silent(const struct sup_child *c)
{
    return c->is_silent;
}
