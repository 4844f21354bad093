/* What happens when one of our own promises is broken: say where, print what led to it, abort.
 * Everything here works without the heap and without locks, since either may be what is broken. */
#include "base/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TRACE_COUNT = 64 };

struct trace_record {
    const char *what; /* a literal */
    unsigned long long a;
    unsigned long long b;
};

static _Thread_local struct trace_record trace_ring[TRACE_COUNT];
static _Thread_local contract_observer *observer;
static _Thread_local unsigned trace_next; /* counts up for ever; slot = trace_next % TRACE_COUNT */

void contract_trace(const char *what, unsigned long long a, unsigned long long b)
{
    trace_ring[trace_next % TRACE_COUNT] = (struct trace_record){what, a, b};
    trace_next++;
    if (observer != NULL) {
        observer(what, a, b);
    }
}

void contract_observe(contract_observer *fn)
{
    observer = fn;
}

_Noreturn void contract_fail(const char *expr, const char *file, int line, const char *func)
{
    (void)dprintf(STDERR_FILENO, "\nassertion failed: %s\n  at %s:%d in %s\n", expr, file, line,
                  func); /* nothing to do if stderr is gone */
    unsigned kept = trace_next < TRACE_COUNT ? trace_next : TRACE_COUNT;
    for (unsigned i = trace_next - kept; i != trace_next; i++) {
        const struct trace_record *r = &trace_ring[i % TRACE_COUNT];
        (void)dprintf(STDERR_FILENO, "  trace %s %llu %llu\n", r->what, r->a, r->b); /* as above */
    }
    abort();
}
