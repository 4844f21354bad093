/* The accounts that `holdfast up` hosts besides its own: started, watched and ended as the coordinator
 * says (manage/hosted.h, doc/design/0004-management.md).
 *
 * Each is a `holdfast up` of its own below <dir>/accounts/NAME that uses our coordinator: a set of
 * processes per account, so that none can disturb another, and every tool works on it by --dir.
 * Loop thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "coord/coord_client.h"
#include "net/loop.h"
#include "server/supervisor.h"
#include "server/up.h"

enum { HOSTING_STOP_GRACE_MS = 7000 }; /* each ends its own processes meanwhile */

struct hosting;
struct hosting_opts {
    struct loop *loop;
    struct supervisor *sup;
    struct coord_client *coord;
    const char *dir;           /* of the first account */
    unsigned coord_port;       /* where its coordinator answers */
    const struct up_opts *own; /* engine, timers and log level are the same for all; port: where the
                                * search for free ones begins */
};
/* Everything pointed to outlives it; free it after the coordinator client (whose calls end then) and
 * before the loop. */
struct hosting *hosting_new(const struct hosting_opts *opts);
void hosting_free(struct hosting *h);
/* From the supervisor's `stopped`: false when the child is none of ours. */
bool hosting_stopped(struct hosting *h, const struct sup_child *c);
size_t hosting_count(const struct hosting *h); /* that run now */
