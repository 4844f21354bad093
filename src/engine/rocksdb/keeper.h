/* A thread that does one thing whenever it is asked to. Private to this folder. */
#pragma once

struct keeper;

/* Starts the thread. `work` runs on it, once for any number of calls of keeper_ask before it begins. */
struct keeper *keeper_new(void (*work)(void *ctx), void *ctx);
void keeper_ask(struct keeper *k); /* any thread; never waits for the work */
/* Waits for work that has begun; what has not begun is not done any more. NULL accepted. */
void keeper_free(struct keeper *k);
