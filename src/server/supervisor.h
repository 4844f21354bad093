/* Parent of Holdfast's processes on one machine.
 *
 * Starts children with the listening sockets they need (LISTEN_FDS, systemd's convention; the
 * parent keeps its own copies, so an address never refuses while a child is away), learns that they
 * are ready and alive (NOTIFY_SOCKET), reaps them, and starts them again with back-off. Being the
 * parent it can *know* that a process has ended: `stopped` is that knowledge, and it skips the lease
 * wait of a failover.
 *
 * Thread: the loop's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "net/loop.h"
#include "net/sockets.h"

enum {
    SUP_CHILDREN_MAX = 96,
    SUP_FDS_MAX = SOCKETS_INHERITED_MAX,
    SUP_ARGS_MAX = 32,
    SUP_BACKOFF_FIRST_MS = 100,
    SUP_BACKOFF_LAST_MS = 5000,
    SUP_BACKOFF_RESET_MS = 10000, /* a child that lived this long starts again without delay */
};

struct sup_child;
struct supervisor;

struct sup_fd {
    int fd;
    const char *name;
};

struct sup_spec {
    const char *name;        /* "server/east": unique, in logs */
    const char *const *argv; /* after the program itself; NULL-terminated; copied */
    const struct sup_fd *fds;
    size_t fd_count;
    const char *log_path;    /* appended to; NULL = our stderr */
    unsigned backoff_max_ms; /* longest wait before it is started again; 0 = SUP_BACKOFF_LAST_MS */
    unsigned watchdog_ms;    /* silence that means frozen; 0 = not watched */
    unsigned kill_ms; /* silence after which it is killed, unless it waits for a CPU (frozen.h);
                             0 = never */
    void *user;
};

struct sup_events {
    void *ctx;
    void (*started)(void *ctx, struct sup_child *c);
    void (*ready)(void *ctx, struct sup_child *c);
    /* Reaped: the incarnation it had can do nothing any more. */
    void (*stopped)(void *ctx, struct sup_child *c, uint64_t incarnation, const char *how);
    /* Frozen (no sign of life for watchdog_ms), or moving again. */
    void (*silent)(void *ctx, struct sup_child *c, bool is_silent);
};

enum err supervisor_new(struct loop *loop, const struct sup_events *ev, struct supervisor **ret,
                        struct errinfo *ei) MUST_CHECK;
void supervisor_free(struct supervisor *s);
struct sup_child *supervisor_add(struct supervisor *s, const struct sup_spec *spec);
void supervisor_start(struct sup_child *c);
/* SIGTERM, SIGKILL after grace_ms, and no restart until supervisor_start is called again. */
void supervisor_retire(struct sup_child *c, unsigned grace_ms);
/* Frees one that does not run and makes its place free. Not from within `stopped`. */
void supervisor_remove(struct sup_child *c);
/* One more socket for its next process; the present one is not told. */
void sup_child_add_fd(struct sup_child *c, const struct sup_fd *fd);
/* SIGINT to all, SIGKILL after grace_ms; `done` once all are reaped. No restarts any more. */
void supervisor_stop(struct supervisor *s, unsigned grace_ms, void (*done)(void *ctx), void *ctx);

const char *sup_child_name(const struct sup_child *c);
void *sup_child_user(const struct sup_child *c);
pid_t sup_child_pid(const struct sup_child *c); /* 0 = not running */
uint64_t sup_child_incarnation(const struct sup_child *c);
bool sup_child_is_ready(const struct sup_child *c);
bool sup_child_is_silent(const struct sup_child *c);
