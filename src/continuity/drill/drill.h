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

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "continuity/client.h"

enum drill_fault {
    DRILL_KILL,      /* SIGKILL to the region's server; the supervisor starts it again */
    DRILL_PAUSE,     /* SIGSTOP, later SIGCONT */
    DRILL_CUT,       /* every link of the region to coordinator and peers cut, later healed */
    DRILL_GRACEFUL,  /* change of write region, as an operator would ask for it */
    DRILL_BLACKHOLE, /* the same links swallow everything and refuse nothing */
    DRILL_REFUSE,    /* ... are reset, and the addresses behind them refuse */
    DRILL_DISK_FULL, /* the region's disk is full down to half of its reserve */
    DRILL_SLOW_DISK, /* each sync takes disk_delay_ms longer */
    DRILL_COORDINATOR_KILL, /* SIGKILL to the coordinator; the supervisor starts it again */
    DRILL_FLAP,             /* the links are cut and healed again and again, for hold_ms */
    DRILL_DOUBLE,           /* the region that takes over is killed while it does */
    DRILL_REGION_REMOVE,    /* the region is removed from the account under load */
    DRILL_CORRUPT, /* what the write region stores of the drill's partition cannot be read */
    DRILL_FAULT_COUNT,
};
/* hold_ms when nothing else is said. */
unsigned drill_fault_hold_ms(enum drill_fault f);
/* settle_ms when nothing else is said: slow-disk has the time for which a region is left out of the quorum. */
unsigned drill_fault_settle_ms(enum drill_fault f);
const char *drill_fault_name(enum drill_fault f);
bool drill_fault_parse(struct str s, enum drill_fault *ret);

/* Each repeat of corrupt leaves a row in the account record until the writer changes; it has 64. */
enum { DRILL_CORRUPT_REPEATS_MAX = 50 };
enum { DRILL_REPEATS_MAX = 1000, DRILL_WRITES_MAX = 2000000, DRILL_TIMELINES_MAX = 20 };
/* Of all faults and levels; a report has room for them (report_test.c has the longest). */
enum { DRILL_PICTURES_MAX = 70 };

struct drill_opts {
    struct client_account account;
    enum drill_fault fault;
    const char *region; /* NULL = the write region at that moment */
    unsigned writes_per_s;
    unsigned connections;   /* concurrent writes */
    unsigned warm_ms;       /* load before the fault */
    unsigned hold_ms;       /* pause, links, disks, coordinator: at least this long */
    unsigned disk_delay_ms; /* slow-disk */
    unsigned flap_ms;       /* flap: so long cut, so long sound */
    unsigned link_delay_ms; /* between regions, each way, all the time; 0 = none */
    bool wants_timeline;    /* of the first DRILL_TIMELINES_MAX repeats */
    unsigned settle_ms;     /* longest wait for health before, and for the return after */
    unsigned repeats;
    unsigned write_timeout_ms;
    /* Becomes true when somebody wants the drill to end: it heals what it broke and returns ERR_CLOSED. */
    const volatile sig_atomic_t *interrupted;
    void (*progress)(void *ctx, const char *text);
    void *progress_ctx;
};

struct timeline;
struct drill_result { /* times in ms; -1 = never happened */
    enum drill_fault fault;
    unsigned hold_ms;    /* as in the options */
    char level[32];      /* of the account */
    char region[64];     /* under fault */
    char new_writer[64]; /* empty when the writer stayed */
    int64_t
        rto_ms; /* (last) fault to first acknowledged write at the new writer; double: anywhere */
    int64_t client_rto_ms; /* longest gap between acknowledged writes from the fault on */
    int64_t read_rto_ms;   /* longest gap between successful reads from the fault on */
    int64_t rejoin_ms;     /* healed to online again */
    uint64_t acked, surviving, in_feed, lost, unknown;
    uint64_t errors;            /* requests refused for good (graceful: must be 0) */
    uint64_t unknown_surviving; /* of the unknown ones, found in the data or the feed */
    uint64_t writer_changes;    /* epochs opened from the fault to the end */
    int64_t started_wall_ms;
    struct timeline *timeline; /* owned by whoever gets the result; NULL = not wanted */
};

/* `ret` has room for opts->repeats. Stops at the first repeat that cannot be carried out. */
enum err drill_run(const struct drill_opts *opts, struct drill_result *ret, unsigned *ret_done,
                   struct errinfo *ei) MUST_CHECK;

/* ---- results of several faults and levels (results.c) ---- */

enum drill_time { DRILL_RTO, DRILL_CLIENT_RTO, DRILL_READ_RTO, DRILL_REJOIN, DRILL_TIME_COUNT };
int64_t drill_time_of(const struct drill_result *r, enum drill_time which);

/* Results of one fault at one level: only they can be compared with each other. */
struct drill_group {
    enum drill_fault fault;
    const char *level; /* borrowed from a result */
};
enum { DRILL_LEVELS_MAX = 5, DRILL_GROUPS_MAX = DRILL_FAULT_COUNT * DRILL_LEVELS_MAX };
/* In the order of their first result; those after DRILL_GROUPS_MAX are left out. */
size_t drill_groups(const struct drill_result *res, size_t n,
                    struct drill_group ret[DRILL_GROUPS_MAX]);
bool drill_is_in(const struct drill_result *r, const struct drill_group *g); /* NULL: all are */
/* What was left out, and why. */
struct drill_skips {
    size_t count;
    char texts[DRILL_GROUPS_MAX][600];
};
/* By nearest rank over those of the group in which it happened, p in 0..100; -1 when in none. */
int64_t drill_percentile(const struct drill_result *res, size_t n, const struct drill_group *g,
                         enum drill_time which, unsigned p);
