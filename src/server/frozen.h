/* Is a process that gives no sign of life frozen, or does it only wait for a CPU?
 *
 * A frozen process (stopped, hung, spinning) is worth killing: its clients hang on its connections. A
 * process that is starved on a crowded machine is not: killing it adds a restart to the crowd. They
 * are told apart by what the kernel says about the process while it is silent. A moment counts
 * against it unless
 *   - one of its threads was ready to run (state R), and
 *   - it got less than half of a CPU since the look before:
 * a stopped or hung process has no thread that is ready, a spinning one gets its CPU. Our own lateness
 * does not count either: between two looks FROZEN_LOOK_MS at most are counted.
 *
 * A hung main thread beside busy and starved ones is not recognised by this rule; therefore silence
 * of FROZEN_PATIENCE times the limit is enough on its own (supervisor.c).
 *
 * Source: proc(5), /proc/PID/stat and /proc/PID/task/TID/stat. Thread: any; no state outside `struct
 * frozen`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum {
    FROZEN_LOOK_MS = 100,
    FROZEN_PATIENCE = 15,
    FROZEN_THREADS_MAX = 256, /* of a process; more are not looked at */
};

struct frozen_look {
    bool wants_cpu;  /* a thread runs or waits for a CPU */
    uint64_t cpu_ms; /* used by all threads since the process began */
};

/* False: there is no such process, or /proc is not there. */
bool frozen_look_at(pid_t pid, struct frozen_look *ret) MUST_CHECK;
/* Milliseconds of the `elapsed_ms` between two looks that count as frozen. */
unsigned frozen_count(const struct frozen_look *before, const struct frozen_look *now,
                      uint64_t elapsed_ms);
