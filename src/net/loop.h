/* One event loop (libuv behind it). Everything but loop_post, loop_enter and loop_stop is called from
 * the functions that the loop calls, or before it runs. Those run one at a time, nearly all of them on
 * the loop's own thread; loop_enter says which may run elsewhere. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/types.h"

struct loop;
struct loop_timer;
struct uv_loop_s;

struct loop *loop_new(void);
void loop_free(struct loop *l);
void loop_run(struct loop *l);  /* until loop_stop */
void loop_stop(struct loop *l); /* any thread; async-signal-safe: no */
/* Runs fn(ctx) between two events of the loop, in order of posting. Any thread. Bounded: LOOP_POSTS_MAX
 * pending posts, above it returns false and nothing happens. Wake-ups are merged. */
enum { LOOP_POSTS_MAX = 1 << 16 };
bool loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx);
/* The same for whoever wants it done at once: while the loop waits and nobody else is in it, all that
 * is posted and then the loop_on_idle functions run right here, before it returns. Otherwise it
 * returns and they run soon after, on the thread that is in the loop. So what is posted, and what runs
 * when idle, must not depend on its thread in a loop that is entered; timers, signals, descriptors and
 * what is sent over links stay with the loop's thread. Never from inside the loop's functions. */
bool loop_enter(struct loop *l, void (*fn)(void *ctx), void *ctx);
/* The two halves of it. What is left runs in the loop's next round, whatever brings that about, and
 * nobody is woken for it: for a caller who knows of a round to come. loop_help() makes one if anything
 * is posted and nobody is in the loop. */
bool loop_leave(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_help(struct loop *l);
void loop_wake(struct loop *l); /* has the loop's thread look at what is posted, if anything is */
usec loop_now(struct loop *l);  /* fresh CLOCK_BOOTTIME */
/* Called once after each round of events, before the loop waits again: the place to flush. */
void loop_on_idle(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_off_idle(struct loop *l, void (*fn)(void *ctx), void *ctx); /* not from inside one */

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *ctx), void *ctx);
void loop_timer_set(struct loop_timer *t, unsigned after_ms, unsigned repeat_ms); /* 0,0 = stop */
void loop_timer_free(struct loop_timer *t);
/* SIGTERM, SIGINT, SIGCHLD ... on the loop's thread. */
void loop_on_signal(struct loop *l, int signum, void (*fn)(void *ctx, int signum), void *ctx);
/* fd readable, level-triggered. */
struct loop_fd;
struct loop_fd *loop_fd_new(struct loop *l, int fd, void (*fn)(void *ctx), void *ctx);
void loop_fd_free(struct loop_fd *f);
struct uv_loop_s *loop_uv(struct loop *l); /* for src/net only */
