/* Runs a loop until something holds, looking after every millisecond; fails the test after a limit.
 * Never a fixed sleep. */
#pragma once

#include "base/clock.h"
#include "base/contract.h"
#include "lib/t.h"
#include "net/loop.h"

struct loop_until {
    struct loop *loop;
    bool (*holds)(void);
    usec deadline_us;
    bool is_late;
};

static inline void loop_until_look(void *ctx)
{
    struct loop_until *u = (struct loop_until *)ctx;
    u->is_late = clock_boot_us() > u->deadline_us;
    if (u->is_late || u->holds()) {
        loop_stop(u->loop);
    }
}

#define loop_until(loop, holds) loop_until_at(__FILE__, __LINE__, loop, holds)
static inline void loop_until_at(const char *file, int line, struct loop *loop, bool (*holds)(void))
{
    enum { LIMIT_US = 15 * 1000 * 1000 };
    struct loop_until u = {.loop = loop, .holds = holds, .deadline_us = clock_boot_us() + LIMIT_US};
    struct loop_timer *t = loop_timer_new(loop, loop_until_look, &u);
    loop_timer_set(t, 1, 1);
    loop_run(loop);
    loop_timer_free(t);
    if (u.is_late && !holds()) {
        t_fail_at(file, line, "waited in vain");
    }
}

static inline bool loop_until_never(void)
{
    return false;
}

/* Lets the loop run for a while: to show that something does NOT happen. */
static inline void loop_for_ms(struct loop *loop, unsigned ms)
{
    struct loop_until u = {
        .loop = loop, .holds = loop_until_never, .deadline_us = clock_boot_us() + (usec)ms * 1000};
    struct loop_timer *t = loop_timer_new(loop, loop_until_look, &u);
    loop_timer_set(t, 1, 1);
    loop_run(loop);
    loop_timer_free(t);
}
