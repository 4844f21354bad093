/* Drills: break a running account on purpose, measure what clients see, count every write.
 *
 * One repeat: make a container, run a load of creates and reads against it the way an SDK would
 * (writes to the listed writer, re-reading the account document when told "not here", reads at the
 * region under fault first), inject the fault, wait until writes flow at the new writer, heal, wait
 * until the lost region is back by itself, then read everything and compare with the ledger of
 * acknowledged writes that was kept here, outside the store.
 *
 *   lost = acknowledged - surviving - in the conflict feed          (must be 0)
 *
 * Blocking; runs its own loop. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "continuity/client.h"

enum drill_fault {
    DRILL_KILL,     /* SIGKILL to the region's server; the supervisor starts it again */
    DRILL_PAUSE,    /* SIGSTOP, later SIGCONT */
    DRILL_CUT,      /* every link of the region to coordinator and peers cut, later healed */
    DRILL_GRACEFUL, /* change of write region, as an operator would ask for it */
    DRILL_FAULT_COUNT,
};
const char *drill_fault_name(enum drill_fault f);
bool drill_fault_parse(struct str s, enum drill_fault *ret);

enum { DRILL_REPEATS_MAX = 1000, DRILL_WRITES_MAX = 2000000 };

struct drill_opts {
    struct client_account account;
    enum drill_fault fault;
    const char *region; /* NULL = the write region at that moment */
    unsigned writes_per_s;
    unsigned connections; /* concurrent writes */
    unsigned warm_ms;     /* load before the fault */
    unsigned hold_ms;     /* pause, cut: at least this long */
    unsigned settle_ms;   /* longest wait for health before, and for the return after */
    unsigned repeats;
    unsigned write_timeout_ms;
    void (*progress)(void *ctx, const char *text);
    void *progress_ctx;
};

struct drill_result {      /* times in ms; -1 = never happened */
    char level[32];        /* of the account */
    char region[64];       /* under fault */
    char new_writer[64];   /* empty when the writer stayed */
    int64_t rto_ms;        /* fault to first acknowledged write at the new writer */
    int64_t client_rto_ms; /* longest gap between acknowledged writes from the fault on */
    int64_t read_rto_ms;   /* longest gap between successful reads from the fault on */
    int64_t rejoin_ms;     /* healed to online again */
    uint64_t acked, surviving, in_feed, lost, unknown;
    uint64_t errors;            /* requests refused for good (graceful: must be 0) */
    uint64_t unknown_surviving; /* of the unknown ones, found in the data or the feed */
};

/* `ret` has room for opts->repeats. Stops at the first repeat that cannot be carried out. */
enum err drill_run(const struct drill_opts *opts, struct drill_result *ret, unsigned *ret_done,
                   struct errinfo *ei) MUST_CHECK;
/* p in 0..100 over the values >= 0 of n results; -1 when there are none. */
int64_t drill_percentile(const int64_t *values, size_t n, unsigned p);
