/* The simulated world: virtual time, one event queue, one seed, one trace.
 *
 * Everything that happens in a run is an event of this queue; events of one time happen in the
 * order they were asked for, so a run is a function of its seed and configuration. Random numbers
 * come from streams of their own per part of the world, so that switching one kind of fault off
 * disturbs the others as little as possible. Single-threaded, like everything in tests/sim. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "account/region.h"
#include "base/arena.h"
#include "base/rng.h"
#include "base/types.h"

enum {
    SIM_REGIONS_MAX = 5,
    SIM_PARTS_MAX = 8, /* with the metadata partition 0; numbers are never used again */
    SIM_PARTS_WANTED_MAX = 3,
    SIM_CLIENTS_MAX = 8,
    SIM_KEYS = 10,       /* item keys in one partition */
    SIM_KEYS_PER_LP = 4, /* logical partitions a and b; the last two keys are t's, which expire */
    SIM_TTL_KEY_FIRST = 8,
};

enum fault {
    FAULT_CRASH,        /* process ends without warning; restarts later */
    FAULT_NODE_RESTART, /* the machine as well: its boot clock starts again */
    FAULT_PAUSE,        /* process stands still between two events */
    FAULT_MID_PAUSE,    /* ... in the middle of one, at a call of the clock or of any output */
    FAULT_CUT,          /* both directions between two places */
    FAULT_CUT_ONE_WAY,
    FAULT_CUT_COORD,   /* region and coordinator, one or both directions */
    FAULT_ISOLATE,     /* region from everybody, clients included or not */
    FAULT_CLOG,        /* frames pile up and come at once */
    FAULT_LINK_BREAK,  /* stream breaks, frames in flight are lost */
    FAULT_LATE_FRAMES, /* frames of a broken stream still arrive */
    FAULT_DISK_SLOW,
    FAULT_DISK_FAIL,
    FAULT_DISK_FULL,
    FAULT_WALL_JUMP,
    FAULT_DRIFT,
    FAULT_COORD_CRASH,
    FAULT_COORD_PAUSE,
    FAULT_GRACEFUL, /* operators */
    FAULT_FORCED,
    FAULT_DRAIN,
    FAULT_LEVEL,      /* operators: another consistency level */
    FAULT_REGIONS,    /* regions added, removed, put in another order */
    FAULT_SPLIT,      /* all places in two halves, both directions or one */
    FAULT_CLOG_MANY,  /* links of all regions, at random, released one by one at random */
    FAULT_CORRUPT,    /* damaged frames: the link layer ends the connection at each */
    FAULT_TWICE,      /* frames that arrive once more, later, whatever came between */
    FAULT_COORD_SLOW, /* everything about it takes many times as long */
    FAULT_CLIENT,     /* a client gives up, starts again with or without tokens, or moves */
    FAULT_PARTITION,  /* operators: another region writes one partition */
    FAULT_SPOIL, /* documents of one partition in one region cannot be read until they are replaced */
    FAULT_CONTAINER, /* containers, that is partitions, are removed and made */
    FAULT_COUNT,
};
const char *fault_name(enum fault f);

/* What operators do to the account's record. */
enum plan {
    PLAN_FAILOVER,
    PLAN_OFFLINE,
    PLAN_OFFLINE_FORCED,
    PLAN_OFFLINE_LOSING,
    PLAN_ONLINE,
    PLAN_LEVEL,
    PLAN_ADD,
    PLAN_REMOVE,
    PLAN_REMOVE_FORCED,
    PLAN_PREFER,
    PLAN_PARTITION,
    PLAN_PARTITION_FORCED,
    PLAN_PARTITION_RETURN,
    PLAN_DIVERGED,
    PLAN_CONTAINER_MAKE,
    PLAN_CONTAINER_REMOVE,
    PLAN_COUNT,
};
const char *plan_name(enum plan p);

struct sim_cfg {
    uint64_t seed;
    enum consistency level;
    size_t region_count; /* machines; those that the account has at first are the first ones */
    size_t first_count;
    uint64_t log_size_max;  /* budget of the log kept for regions that lack it; 0 = none */
    unsigned copy_docs_max; /* documents in one piece of a full copy; 0 = all fit into one */
    unsigned drop_rows_max; /* rows of a removed partition deleted at a time; 0 = all */
    size_t part_count;      /* containers that clients want, each of one partition */
    size_t client_count;
    uint64_t staleness_ops; /* bounds of BoundedStaleness, in force or not */
    unsigned staleness_s;
    bool auto_failover;
    enum keep_writing keep_writing; /* without the coordinator */
    bool partition_failover;
    enum diverged_writes diverged;
    uint64_t feed_quota;
    uint32_t fault_mask; /* bit per enum fault that may happen */
    usec safety_us;      /* length of the phase with faults */
    usec fault_gap_us;   /* average time between faults */
    usec net_delay_us, net_jitter_us;
    usec coord_delay_us;
    usec sync_us;                    /* a normal file sync */
    usec think_us;                   /* average pause of a client between operations */
    unsigned corrupt_ppm, twice_ppm; /* frames in a million */
    int drift_ppm[SIM_REGIONS_MAX + 1];
    struct region_timers timers;
    bool is_wan;
    const char *scenario; /* NULL: random faults */
    unsigned variant;     /* of the scenario */
    const char *plant;    /* planted fault that is on, NULL = none */
};

enum { TRACE_RING = 4096, TRACE_TEXT = 200 };
struct trace_entry {
    usec at;
    const char *what; /* a literal */
    unsigned who;
    uint64_t a, b, c;
    char text[TRACE_TEXT];
};

struct world;
typedef void event_fn(struct world *w, void *ctx, uint64_t arg);
struct event {
    usec at;
    uint64_t seq; /* order among events of one time */
    event_fn *fn;
    void *ctx;
    uint64_t arg;
    bool owns_ctx; /* ctx is one heap block that fn frees; freed with the world otherwise */
};

struct node;
struct net;
struct coord_node;
struct ledger;
struct history;
struct client;
struct nemesis;
struct feed_reader;

struct world {
    struct sim_cfg cfg;
    usec now;
    uint64_t next_seq;
    struct event *heap; /* owned; binary, by (at, seq) */
    size_t heap_count, heap_cap;
    uint64_t event_count;

    struct rng rng; /* the world itself: delays of processes and disks */
    struct rng net_rng;
    struct rng client_rng;
    struct rng nemesis_rng;

    struct trace_entry *ring; /* owned, TRACE_RING */
    uint64_t trace_count;
    uint64_t trace_hash; /* over every trace call: equal runs have equal hashes */
    bool is_verbose;

    bool has_failed;
    enum part_state { /* by partition: what became of making and removing its container */
                      PART_FREE, /* not tried, or certainly not made */
                      PART_TRIED,
                      PART_OPEN,    /* acknowledged: clients use it */
                      PART_BURNT,   /* outcome unknown: may be there, nobody uses it */
                      PART_LEAVING, /* its removal is under way; clients do not know */
                      PART_DOUBT,   /* outcome of the removal unknown; the same */
                      PART_GONE,    /* removal acknowledged, for ever; few clients still ask */
    } part_states[SIM_PARTS_MAX];
    bool is_bootstrapped;
    bool is_safety_over; /* faults have ended, liveness is being watched */
    char failure[2048];
    char failed_check[64];

    struct node *nodes[SIM_REGIONS_MAX + 1]; /* by region id, [0] unused; owned */
    struct net *net;
    struct coord_node *coord;
    struct ledger *ledger;
    struct history *history;
    struct client *clients[SIM_CLIENTS_MAX];
    size_t feed_reader_count;
    struct feed_reader *feed_readers[SIM_PARTS_MAX * 2];
    struct nemesis *nemesis;

    struct writer_track { /* newest acknowledgement of each partition, for the checker `writer` */
        generation newest;
        region_id region;
        uint64_t life;
    } writer_track[SIM_PARTS_MAX];
    struct follow_track { /* what the checker `follow` has looked at */
        generation matched;
        lsn durable;
    } follow_track[SIM_REGIONS_MAX + 1][SIM_PARTS_MAX];
    uint32_t diverged_mask; /* bit per enum diverged_writes that was ever in force */
    bool had_quota;         /* of the conflict feed, ever */
    uint32_t dead_mask;     /* regions that are not healed for the liveness phase */
    bool has_level_changed;
    bool has_accepted_loss; /* an operator has, of writes that the level would have kept */
    unsigned coord_slow;    /* factor of the coordinator's delays; 0 = 1 */
    uint32_t member_mask;   /* regions of the account, by the newest record put */
    uint32_t wiped_mask;   /* machines whose disk was replaced while they were out of the account */
    bool wants_all_back;   /* liveness: operators add back what they removed */
    bool wants_doubt_over; /* ... and remove again what may be removed */
    size_t session_violations; /* of reads that were not promised session guarantees */
    size_t feed_count;         /* conflict records at the end */
};

struct world *world_new(const struct sim_cfg *cfg);
void world_free(struct world *w);

void world_at(struct world *w, usec at, event_fn *fn, void *ctx, uint64_t arg);
void world_after(struct world *w, usec delay, event_fn *fn, void *ctx, uint64_t arg);
/* The same for a ctx that is one heap block, which fn takes over. */
void world_at_owned(struct world *w, usec at, event_fn *fn, void *ctx, uint64_t arg);
/* Handles events up to and including `until`; stops earlier when the run has failed or when
 * is_done (may be NULL) says so, which is asked after each event. */
void world_run(struct world *w, usec until, bool (*is_done)(struct world *w));

/* One line of the story; part of the run's hash. `what` is a literal. */
void trace(struct world *w, const char *what, unsigned who, uint64_t a, uint64_t b, uint64_t c);
void trace_text(struct world *w, const char *what, unsigned who, const char *text);
void trace_print(const struct world *w, size_t last_n);

/* The run is wrong: keeps the first reason; the loop ends. `check` names the checker. */
void world_fail(struct world *w, const char *check, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Draws. */
usec draw_around(struct rng *r, usec mean); /* exponential-like, 0..8 x mean */
bool draw_percent(struct rng *r, unsigned percent);
static inline bool world_has_fault(const struct world *w, enum fault f)
{
    return (w->cfg.fault_mask & (1u << f)) != 0;
}
