/* The account record: everything regions must agree on, one value in the coordinator, changed
 * only by compare-and-set. Encoded as JSON (versioned, unknown members are an error of a newer
 * format), at most COORD_VALUE_SIZE_MAX bytes. Holds keys: never logged or printed whole. */
#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "repl/diverged.h"
#include "repl/place.h"

enum {
    RECORD_FORMAT = 5, /* newest that is read; the oldest that can say it all is written */
    /* What a process reads whose heartbeat does not say: those of before formats.h. Never raised. */
    RECORD_FORMAT_UNSAID = 3,
    RECORD_EPOCHS_MAX = 32,
    RECORD_BRANCHES_MAX = 4096,
    RECORD_NAME_MAX = 64,
    RECORD_OVERRIDES_MAX = 64, /* partitions with a row of their own */
    RECORD_OPENINGS_MAX = RECORD_EPOCHS_MAX + RECORD_OVERRIDES_MAX,
    /* Bounds of bounded staleness that are accepted (the management schema's), that the service
     * itself allows at least for one region and for more, and that hold when none were given. */
    STALENESS_OPS_MAX = INT32_MAX,
    STALENESS_S_MIN = 5,
    STALENESS_S_MAX = 86400,
    STALENESS_OPS_ADVISED_ONE = 10,
    STALENESS_OPS_ADVISED = 100000,
    STALENESS_S_ADVISED_ONE = 5,
    STALENESS_S_ADVISED = 300,
};

#define FEED_QUOTA_MAX (UINT64_C(1) << 50) /* bytes */

enum consistency {
    /* Weakest first: a request may ask for its account's level or a weaker (lower) one. */
    CONSISTENCY_EVENTUAL,
    CONSISTENCY_CONSISTENT_PREFIX,
    CONSISTENCY_SESSION,
    CONSISTENCY_BOUNDED_STALENESS,
    CONSISTENCY_STRONG,
    CONSISTENCY_COUNT,
};
const char *consistency_name(enum consistency c);            /* "Session": the wire's words */
bool consistency_parse(struct str s, enum consistency *ret); /* any case */

/* geo-semantics 2.2. */
enum region_state {
    REGION_SEEDING,
    REGION_ONLINE_READ,
    REGION_ONLINE_WRITE,
    REGION_DRAINING,
    REGION_OFFLINE,
    REGION_RECOVERING,
    REGION_STATE_COUNT,
};
const char *region_state_name(enum region_state s); /* "ONLINE_READ" */

enum account_phase {
    PHASE_OPEN,      /* `writer` writes under `generation` (it may still be starting: see opened) */
    PHASE_PROMOTING, /* `writer` was chosen, seals its logs and will open */
    PHASE_TRANSFER,  /* graceful change from `writer` to `transfer_to` */
    PHASE_COUNT,
};
const char *account_phase_name(enum account_phase p); /* "OPEN" */

struct record_region {
    region_id id;
    char name[RECORD_NAME_MAX]; /* "east" as typed; compared without case and blanks */
    char endpoint[256];         /* "http://127.0.0.1:8082/": rendered the same way always */
    char peer_addr[128];        /* "127.0.0.1:41001" */
    uint32_t priority;          /* 0..N-1, unique; 0 = preferred writer */
    enum region_state state;
    bool is_forced_offline; /* by an operator: comes back only by `account online` */
    uint64_t incarnation;   /* server process that last reported in; 0 = never */
    int64_t since_wall_ms;  /* of the present state */
    /* Decided by the writer when the log kept for this region passed its budget: the log may be
     * trimmed past it, it comes back by a copy of all data. Ends when it is online again. */
    bool needs_full_copy;
    uint64_t
        unsent_ops; /* entries it had and its successor lacked, by its last heartbeat; 0 = none */
};

/* A region that was removed: added back under the same name it gets its old id. */
struct record_former {
    region_id id;
    char name[RECORD_NAME_MAX];
};

struct record_branch {
    pid pid;
    epoch epoch; /* of the last common entry */
    lsn lsn;     /* last lsn that survived into the new epoch */
};

/* How an epoch came to be, of the account or of one partition. */
struct record_opening {
    bool is_lossy; /* entries of the epoch before may have been cut: token version was raised */
    uint32_t rule; /* row of the table of rules that led here */
    int64_t wall_ms;
    char reason[64];
    uint32_t detect_ms, wait_ms, promote_ms; /* measured by the new writer */
};

struct record_epoch {
    epoch epoch;
    generation generation;
    region_id writer;
    uint64_t incarnation; /* process that opened it: the holder of the epoch's lease */
    lsn start_lsn; /* first lsn of the fresh block: every entry of the epoch is at or above */
    struct record_opening opened;
    uint64_t token_version; /* of the record once it was open */
    size_t branch_count;
    const struct record_branch *branches; /* in the record's arena */
};

/* A partition that has a writer of its own (doc/design/0007-partition-failover.md). Never partition
 * 0. Without a row a partition is written by the account's writer. */
struct record_override {
    pid pid;
    enum account_phase phase;
    region_id writer;
    uint64_t incarnation; /* only this process may write under `generation`; 0 = not yet claimed */
    generation generation;
    region_id transfer_to; /* PHASE_TRANSFER */
    bool is_pinned;        /* an operator put it there: only an operator returns it */
    /* Its newest epoch: the account's when none was opened for it alone yet. */
    epoch epoch;
    region_id holder; /* the process that opened it: the holder of its lease */
    uint64_t holder_incarnation;
    generation holder_generation;
    lsn start_lsn;
    struct record_branch branch; /* where its history before ended */
    struct record_opening opened;
    uint64_t token_version; /* of the record once it was open */
    epoch lossy_epoch; /* its last epoch that was lossy, and the version that raised; 0 = none */
    uint64_t lossy_version;
};

/* Who writes a partition, under what. */
struct record_reign {
    enum account_phase phase;
    region_id writer;
    uint64_t incarnation;
    generation generation;
    region_id transfer_to;
    epoch epoch;
    lsn start_lsn;
};

struct account_record {
    char name[RECORD_NAME_MAX];
    enum consistency level;
    /* A change of level under way: reads are served at the weaker of the two, writes acknowledged at
     * the stronger, until the writer has found that the new one holds. */
    bool is_level_changing;
    enum consistency level_to;
    epoch strong_since; /* epoch in which the level last became Strong; 0 = from the beginning */
    uint64_t max_staleness_ops; /* BoundedStaleness: K entries and T seconds per partition ... */
    uint32_t max_staleness_s;   /* ... both 0 while the level was never bounded */
    bool auto_failover;
    enum account_phase phase;
    region_id writer;            /* the region whose generation is current; 0 = none yet */
    uint64_t writer_incarnation; /* only this process may write under `generation` */
    generation generation;
    epoch epoch;
    region_id transfer_to; /* PHASE_TRANSFER */
    int64_t
        transfer_deadline_wall_ms; /* information for people; timing is by each side's own clock */
    uint64_t q_mask;        /* bit per region id: who a strong write waits for (writer included) */
    uint64_t token_version; /* raised by lossy failover and by changes of the region set */
    lsn lsn_limit;          /* every lsn of every partition given out so far is below it */
    region_id next_region_id;
    char key[4][96];      /* base64: primary, secondary, primary read-only, secondary read-only */
    char peer_secret[96]; /* base64: region-to-region links */
    size_t region_count;
    struct record_region regions[REGIONS_MAX]; /* in priority order */
    size_t former_count;
    struct record_former former[REGION_ID_MAX]; /* by id: their ids are not given to others */
    size_t epoch_count;
    struct record_epoch epochs[RECORD_EPOCHS_MAX]; /* newest last; older ones drop off */
    /* Numbers given out to rows that are gone; only where they are above the account's own. */
    generation generation_floor;
    epoch epoch_floor;
    bool
        partition_failover; /* a writer that finds a partition unusable gives it to another region */
    enum diverged_writes diverged_writes;
    uint64_t
        feed_quota; /* bytes of records in the conflict feed; 0 = the usual, see repl_feed_quota */
    size_t override_count;
    struct record_override overrides[RECORD_OVERRIDES_MAX]; /* by pid */
};

/* What clients may ask for, what writes wait for, and what read leases are given for. The three are
 * the level except while it changes. */
enum consistency record_read_level(const struct account_record *r);
enum consistency record_write_level(const struct account_record *r);
enum consistency record_lease_level(const struct account_record *r);
/* Only one of several regions is online: the next loss is a loss of data, at Strong, too. */
bool record_is_degraded(const struct account_record *r);
/* The oldest format that can say it all: the one it is written in. */
unsigned record_format(const struct account_record *r);
void record_encode(const struct account_record *r, struct buf *out);
/* Validates everything: sizes, unique ids, priorities, states, I1 (one ONLINE_WRITE at most). */
enum err record_decode(struct arena *a, struct str text, struct account_record *ret,
                       struct errinfo *ei) MUST_CHECK;
/* Copies branches into `a`. */
void record_copy(struct arena *a, const struct account_record *from, struct account_record *to);
struct record_region *record_region(struct account_record *r, region_id id); /* NULL = none */
const struct record_region *record_region_const(const struct account_record *r, region_id id);
struct record_region *record_region_by_name(struct account_record *r, struct str name);
struct record_former *record_former_by_name(struct account_record *r, struct str name);
uint64_t record_mask(region_id id);                          /* the region's bit in q_mask */
uint64_t record_online_mask(const struct account_record *r); /* ONLINE_READ and ONLINE_WRITE */
/* Sets state, its time and, when it stops being online, takes it out of q_mask. */
void record_set_state(struct account_record *r, region_id id, enum region_state s, int64_t wall_ms);
/* PROMOTING: that region is to write, under a new generation. Its process has yet to claim the role. */
void record_choose_writer(struct account_record *r, region_id id);
/* Puts a region in at a priority, the others make room. There is room, id and name are new. */
void record_insert_region(struct account_record *r, const struct record_region *g);
/* Takes it out; its id is remembered under its name. */
void record_remove_region(struct account_record *r, region_id id);
/* Gives the region priority 0; the others keep their order. */
void record_prefer(struct account_record *r, region_id id);
/* Appends an epoch; drops what no longer fits (the oldest epochs, then the oldest branches). `e`'s
 * branches must live as long as the record. */
void record_add_epoch(struct account_record *r, const struct record_epoch *e);
/* What is remembered of epochs, the account's and those of rows, as a partition sees them: ascending, their count.
 * Of a row's epochs it is only the newest, and nothing once the row is gone. */
size_t record_openings(const struct account_record *r, pid p,
                       struct repl_opening ret[RECORD_OPENINGS_MAX]);
/* ---- partitions with a writer of their own: overrides.c ---- */
const struct record_override *record_override(const struct account_record *r, pid p); /* or NULL */
void record_reign(const struct account_record *r, pid p, struct record_reign *ret);
/* Highest numbers given out, by the account or for one partition: the next is one above. */
generation record_generation_top(const struct account_record *r);
epoch record_epoch_top(const struct account_record *r);
/* The row of a partition; a new one follows the account as it is. NULL: there is no room. */
struct record_override *record_override_make(struct account_record *r, pid p);
/* PROMOTING: that region is to write it, under a new generation. Its process has yet to claim the role. */
void record_override_choose(const struct account_record *r, struct record_override *o,
                            region_id id);
void record_override_remove(struct account_record *r, pid p);
/* A row names this region: as writer, target or holder of a lease. */
bool record_overrides_name(const struct account_record *r, region_id id);
/* Some partition is written by another region than the account's writer, or by nobody now. */
bool record_is_split(const struct account_record *r);
/* Called before a changed record is put: what cannot be together with a split is called off. */
void record_settle(struct account_record *r);
bool record_check_overrides(const struct account_record *r, char ret_why[256]);

/* Invariants I1, I3-I5 of geo-semantics 2.2: false and a sentence. */
bool record_check(const struct account_record *r, char ret_why[256]);
