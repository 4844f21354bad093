/* One event loop = one thread (libuv behind it). Everything but loop_post/loop_stop is called on
 * the loop's own thread (or before it runs). */
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
/* Runs fn(ctx) on the loop's thread, in order of posting. Any thread. Bounded: LOOP_POSTS_MAX
 * pending posts, above it returns false and nothing happens. Wake-ups are merged. */
enum { LOOP_POSTS_MAX = 1 << 16 };
bool loop_post(struct loop *l, void (*fn)(void *ctx), void *ctx);
usec loop_now(struct loop *l); /* fresh CLOCK_BOOTTIME */
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
