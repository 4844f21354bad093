/* Faults that a drill can put on one region of an account on this machine. Blocking calls. */
#pragma once

#include <sys/types.h>

#include "continuity/client.h"
#include "continuity/drill/drill.h"

struct fault {
    enum drill_fault kind;
    const struct client_account *account;
    char region[64];
    pid_t server; /* kill, pause: the region's server process */
    size_t region_count;
    char regions[32][64]; /* cut: all of them */
};

/* Finds what it needs, and refuses what cannot work here: a process that is not ours, links that do
 * not go through the fault proxy. `endpoint`: the region's own. */
enum err fault_prepare(struct fault *f, const char *endpoint, struct errinfo *ei) MUST_CHECK;
/* Kill, pause, cut. (Graceful is a request to the account, made by the drill.) */
enum err fault_begin(struct fault *f, struct errinfo *ei) MUST_CHECK;
enum err fault_end(struct fault *f, struct errinfo *ei) MUST_CHECK;
