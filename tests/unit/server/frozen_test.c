/* Frozen or starved: the rule on made-up looks, and the looks on real processes. */
#include "server/frozen.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/t.h"

static unsigned count(bool wants_cpu, uint64_t used_ms, uint64_t elapsed_ms)
{
    struct frozen_look before = {.wants_cpu = wants_cpu, .cpu_ms = 1000};
    struct frozen_look now = {.wants_cpu = wants_cpu, .cpu_ms = 1000 + used_ms};
    return frozen_count(&before, &now, elapsed_ms);
}

T_TEST("a process that does not want to run is frozen all the time between two looks")
{
    t_eq_u64(count(false, 0, 50), 50);
    t_eq_u64(count(false, 10, 50), 50); /* it did something, but gave no sign of life */
}

T_TEST("one that wants to run and gets no CPU is starved, one that gets half of one is not")
{
    t_eq_u64(count(true, 0, 50), 0);
    t_eq_u64(count(true, 24, 50), 0);
    t_eq_u64(count(true, 25, 50), 50);
    t_eq_u64(count(true, 50, 50), 50);
}

T_TEST("a look that comes late counts as one that came in time")
{
    t_eq_u64(count(false, 0, FROZEN_LOOK_MS), FROZEN_LOOK_MS);
    t_eq_u64(count(false, 0, UINT64_C(1) << 40), FROZEN_LOOK_MS);
}

T_TEST("counters that go backwards count as nothing used")
{
    struct frozen_look before = {.wants_cpu = true, .cpu_ms = 1000};
    struct frozen_look now = {.wants_cpu = true, .cpu_ms = 10};
    t_eq_u64(frozen_count(&before, &now, 40), 0);
}

static pid_t fork_child(bool is_busy)
{
    pid_t child = fork();
    if (child == 0) {
        volatile bool goes_on = is_busy;
        while (goes_on) {
        }
        (void)pause();
        _exit(0);
    }
    t_check(child > 0);
    return child;
}

/* Until the process is seen so; the test's time limit ends it otherwise. */
static void wait_for(pid_t child, bool wants_cpu, uint64_t cpu_ms)
{
    struct frozen_look look = {0};
    do {
        t_check(frozen_look_at(child, &look));
    } while (look.wants_cpu != wants_cpu || look.cpu_ms < cpu_ms);
}

static void end_child(pid_t child)
{
    t_check(kill(child, SIGKILL) == 0);
    t_eq_int(waitpid(child, NULL, 0), child);
}

T_TEST("real processes: one that spins wants its CPU, one that waits or is stopped does not")
{
    pid_t busy = fork_child(true);
    wait_for(busy, true, 50);
    t_check(kill(busy, SIGSTOP) == 0);
    wait_for(busy, false, 50);
    end_child(busy);
    pid_t idle = fork_child(false);
    wait_for(idle, false, 0);
    end_child(idle);
}

T_TEST("a process that is not there cannot be looked at")
{
    pid_t gone = fork_child(false);
    end_child(gone);
    struct frozen_look look = {.cpu_ms = 7};
    t_check(!frozen_look_at(gone, &look));
    t_eq_u64(look.cpu_ms, 7);
}

T_MAIN()
