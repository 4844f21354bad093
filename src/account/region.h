/* One region's view of one account: replication, acknowledgement, the region's state machine.
 *
 * The pure core. It does no I/O, has no clock, thread or randomness of its own: events come in by
 * the region_on_* calls, requests go out through struct region_io, and the server and the simulator
 * drive the same object file. doc/design/0002-core.md is its specification; the tables it obeys are
 * in src/account/fsm.c (`holdfast inspect fsm region`).
 *
 * Thread: every function here is called from one thread (the core thread), and never from inside an
 * io callback. Only struct part_view and struct region_view may be read by other threads. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "account/beats.h"
#include "account/record.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"
#include "base/types.h"
#include "coord/coord.h"
#include "engine/engine.h"
#include "repl/repl.h"

/* ---- timers: profile `lan` is the default of `up` ---- */
struct region_timers {
    unsigned beat_ms;  /* heartbeat to the coordinator and to peers: 200 */
    unsigned lease_ms; /* L: 1200 */
    unsigned
        stop_margin_ms; /* the holder stops acknowledging L - this after the send of its last good bump: 150 */
    unsigned wait_margin_ms;   /* observers wait L + this + 1 % of L: 50 */
    unsigned coord_timeout_ms; /* per transaction: 300 */
    unsigned read_lease_ms;    /* strong reads away from the writer: 1000 */
    unsigned hold_ms;          /* writes held during a graceful change: 2000 */
    unsigned transfer_ms;      /* a graceful change is rolled back after: 5000 */
    unsigned rejoin_stable_ms; /* lag must stay small this long before ONLINE_READ: 500 */
    unsigned lag_small_ms;     /* "small": 1000 */
    unsigned write_timeout_ms; /* acknowledgement wait; then 408: 10000 */
    unsigned ttl_purge_ms;     /* period of the expiry purge: 1000 */
    unsigned retain_ms;        /* log entries all regions have are kept this long: 60000 */
    unsigned slow_commit_ms;   /* a commit that takes longer is slow: 5000 */
    unsigned slow_for_ms;      /* ... and a disk slow this long is handed over from: 10000 */
    /* After a failover without a confirmed stop the next such one waits this long: links that flap
     * must not make the account flap. 5000: on a LAN one costs about a second; wan: 600000. */
    unsigned failover_hold_ms;
};
extern const struct region_timers region_timers_lan, region_timers_wan;
/* renew period + 2 x coordinator timeout < L - stop margin; and every value above 0. */
bool region_timers_check(const struct region_timers *t, char ret_why[256]);

/* ---- what other threads may read ---- */
/* struct part_view: repl/view.h */
struct region_view { /* one per region core */
    _Atomic uint64_t generation;
    _Atomic uint64_t
        token_version; /* lowest of the partitions': for compatibility checks use theirs */
    _Atomic uint64_t
        fresh_until_us;     /* writer: its lease; reader: its read lease. On CLOCK_BOOTTIME */
    _Atomic unsigned role;  /* enum region_role */
    _Atomic unsigned level; /* enum consistency: the strongest that reads may ask for */
    _Atomic bool is_single_region;
    /* How far the wall clock is ahead of the other regions', while that is an alarm; 0 = it is not. */
    _Atomic int64_t clock_ahead_ms;
    _Atomic bool writes_parts; /* some partition is written here under a row of its own */
};

/* Until when what needs a lease may be served of the partition. */
static inline uint64_t region_part_fresh_until(const struct region_view *v,
                                               const struct part_view *p)
{
    bool is_apart = (atomic_load(&p->flags) & PART_APART) != 0;
    return atomic_load(is_apart ? &p->fresh_until_us : &v->fresh_until_us);
}

/* What this process is doing; finer than the record's enum region_state. */
enum region_role {
    ROLE_STARTING,   /* no record seen yet: serves nothing */
    ROLE_RECOVERING, /* behind or diverged: 403/1008 */
    ROLE_READER,
    ROLE_PROMOTING, /* chosen as writer, sealing: reads go on, writes 403/3 */
    ROLE_WRITER,
    ROLE_HOLDING, /* graceful change away from here: writes are held */
    ROLE_TAKING,  /* graceful change to here: catching up to the end */
    ROLE_OFFLINE, /* taken offline by an operator: 403/1008 */
    ROLE_FENCED,  /* must not serve: lower generation than stored, engine failed ... */
    ROLE_COUNT,
};
const char *region_role_name(enum region_role r);

/* ---- client writes ---- */
/* struct write_place (where an operation will be), struct write_plan (what the preparer wants),
 * struct write_op: repl/order.h */
struct region_write {
    pid pid;
    size_t op_count; /* 1..BATCH_OPS_MAX; all or nothing */
    struct write_op *ops;
    /* Called on the core thread, in log order, once per operation: decides with the current
     * version in hand (NULL: absent or expired; earlier operations of the same write are seen).
     * Pure: no I/O, no clock; memory from the write's own arena. WRITE_REJECT ends the write with
     * nothing applied and ERR_PRECONDITION (the preparer remembers its own status). */
    void (*prepare)(struct region_write *w, size_t op_idx, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret);
    usec deadline_us; /* 0 = write_timeout_ms from now */
    enum entry_reason reason;
    bool needs_hub_read_check;
    void *user;

    /* Results, valid in io->reply. */
    enum err err; /* OK acknowledged at the account's level. ERR_NOT_WRITER and
                             * ERR_UNAVAILABLE: certainly not applied. ERR_UNKNOWN_OUTCOME: may be.
                             * ERR_PRECONDITION: rejected by prepare (failed_op). ERR_EXISTS: unique
                             * key taken (failed_op). ERR_LIMIT, ERR_BUSY. ERR_STALENESS_LIMIT: a
                             * region is too far behind (throttle says which); not applied. */
    size_t failed_op;
    struct str conflicting_unique;
    lsn lsn; /* 0 when nothing was written */
    epoch epoch;
    uint64_t token_version;

    struct write_throttle { /* the last look at how far regions are behind, at BoundedStaleness */
        region_id region;   /* who lacks the most entries of the partition; 0 = none */
        lsn acked_lsn;      /* the last one it is known to have */
        uint64_t ops;       /* entries it lacks */
        usec age_us;        /* of the oldest entry that some region lacks */
        bool is_by_ops;     /* the bound in operations was the nearer one */
    } throttle;

    struct wait_node node; /* private from here: in its partition's waiters */
    struct list link;      /* in the region's list of pending, held or finished writes */
    usec accepted_us;
    usec throttle_until_us; /* delayed until then at the latest; 0 = not yet looked at */
    generation generation;
    enum err verdict; /* answered when the versions it is based on are acknowledged */
    size_t size;      /* counted against pending_size_max */
    bool is_ordered;  /* an entry was written: from here on the outcome can be unknown */
};

/* ---- waits of reads ---- */
struct region_wait {
    pid pid;
    enum { WAIT_APPLIED, WAIT_COMMIT } kind;
    lsn lsn;
    uint64_t token_version; /* WAIT_APPLIED: 0 = any */
    usec deadline_us;
    void *user;
    enum err err;          /* OK, ERR_SESSION_BEHIND (applied) or ERR_UNAVAILABLE (commit) */
    struct wait_node node; /* private from here */
    struct list link;
    bool is_counted;
};

/* ---- the world outside ---- */
/* enum region_event_kind: repl/repl.h */
struct region_event {
    enum region_event_kind kind;
    uint32_t rule;
    char text[400]; /* key=value pairs, no bodies, no keys */
};

struct region_io {
    void *ctx;
    usec (*now)(void *ctx);
    int64_t (*wall_ms)(void *ctx);
    /* Makes a batch durable; takes it over. Order of tickets = order of submission; answered by
     * region_on_commit in the same order, possibly many at once. */
    void (*commit)(void *ctx, struct engine_batch *b, uint64_t ticket);
    /* Best effort, in order per peer while the link is up; the frame is copied. */
    void (*send)(void *ctx, region_id to, struct str frame);
    /* Coordinator transaction; answered by region_on_txn exactly once. */
    void (*txn)(void *ctx, const struct coord_txn *t, uint64_t ticket);
    void (*reply)(void *ctx, struct region_write *w); /* gives the write back */
    void (*wait_done)(void *ctx, struct region_wait *w);
    /* Saves a diverged suffix (encoded entries, oldest first) durably outside the log; answered by
     * region_on_archived. */
    void (*archive)(void *ctx, pid p, struct str entries, uint64_t ticket);
    void (*event)(void *ctx, const struct region_event *ev);
    /* The record, the role or a state changed: publish a new account document. */
    void (*published)(void *ctx);
    /* Metadata (partition 0) was applied up to `upto`: reload the catalog before the next read. */
    void (*metadata_applied)(void *ctx, lsn upto);
    /* Conflict record for one operation of a lost entry: pure, given by the protocol layer. Fills
     * key and text (into `out` buffers) for the record to be written at `place`. false: no record
     * can be made (its container is unknown): archive only. */
    bool (*conflict_build)(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                           const struct conflict_note *note, const struct write_place *place,
                           struct buf *out_key, struct buf *out_text, uint64_t *ret_rid);
    /* The lost version's text with the system properties that it has as the next version of `now`, written at
     * `place`. false: as above; it is not put then. */
    bool (*conflict_apply)(void *ctx, pid p, const struct entry_op *lost,
                           const struct engine_doc *now, const struct write_place *place,
                           struct buf *out_text);
    /* Partitions that exist according to the metadata in this engine: pid list (sorted). */
    void (*fatal)(void *ctx, enum err err, const char *why); /* must stop the process */
};

/* Whether a writer that does not hear the coordinator goes on writing (vouch.c). */
enum keep_writing {
    KEEP_WRITING_AUTO, /* in an account of one region, where nobody else can be chosen */
    KEEP_WRITING_NO,
    KEEP_WRITING_YES, /* and elsewhere while every other region vouches for it */
};
const char *keep_writing_name(enum keep_writing k); /* as in configuration files */
bool keep_writing_parse(struct str name, enum keep_writing *ret);

struct region_cfg {
    struct str account;
    region_id self;
    char name[RECORD_NAME_MAX];
    char endpoint[256];
    char peer_addr[128];
    uint64_t incarnation; /* random per process start, never 0 */
    struct region_timers timers;
    uint64_t seed;          /* jitter */
    uint64_t log_size_max;  /* bytes of log kept for regions that lack it; 0 = no limit */
    unsigned copy_docs_max; /* documents in one piece of a full copy; 0 = bound by size only.
                              * Simulations: small data in many pieces */
    uint64_t log_ops_min;   /* fewer entries than these never cost a region its place */
    enum keep_writing keep_writing;
    unsigned
        drop_rows_max; /* rows of a removed partition deleted at a time; 0 = a thousand. For simulations */
    size_t pending_size_max; /* bytes of writes accepted and not yet acknowledged; 0 = 64 MiB */
};

struct region;
/* Loads partitions' meta from the engine (read-only). The engine outlives the region. */
enum err region_new(const struct region_cfg *cfg, const struct region_io *io, struct engine *engine,
                    struct region **ret, struct errinfo *ei) MUST_CHECK;
void region_free(struct region *r);

void region_on_tick(struct region *r); /* at least every 10 ms, and after region_next_tick */
usec region_next_tick(const struct region *r);
void region_on_commit(struct region *r, uint64_t ticket, enum err err);
void region_on_txn(struct region *r, uint64_t ticket, const struct coord_txn_result *res);
void region_on_kv(struct region *r, const struct coord_kv *kv); /* watch of the account's prefix */
void region_on_coord(struct region *r, bool is_synced);         /* contact with the coordinator */
void region_on_link(struct region *r, region_id peer, bool is_up);        /* our outgoing link */
void region_on_frame(struct region *r, region_id from, struct str frame); /* untrusted bytes */
void region_on_archived(struct region *r, uint64_t ticket, enum err err);
/* Called when a round of events ends: sends what was grouped, hands batches over. */
void region_flush(struct region *r);

void region_write(struct region *r, struct region_write *w);
void region_wait(struct region *r, struct region_wait *w);
/* Creates the partition when the metadata names it (idempotent; any role). The view is stable. */
struct part_view *region_part(struct region *r, pid p);
void region_drop_part(struct region *r, pid p);
/* Somebody read it and storage said that it is damaged: it is not served any more. */
void region_part_unreadable(struct region *r, pid p, const struct errinfo *ei);
/* Every partition that is here, in order of creation; fn must neither make nor drop one. */
void region_each_part(const struct region *r, void (*fn)(void *ctx, pid p), void *ctx);
/* Grows with each partition that comes to be here, also when the writer has told of it. */
uint64_t region_parts_made(const struct region *r);
struct region_view *region_view(struct region *r);

enum region_role region_role(const struct region *r);
const struct account_record *region_record(const struct region *r); /* NULL before the first */
/* Everything an operator asks: role, epoch, per region lag in operations, bytes and seconds, what
 * would be lost now, last operation with timings. One JSON object. */
void region_status_json(struct region *r, struct buf *out);
void region_metrics(struct region *r, struct buf *out); /* Prometheus text */

/* Asks this region to step down and hand over before a planned stop; answered by role change. */
void region_drain(struct region *r);
/* Told to the others: a region whose disk is almost full is not handed the writer's role. */
void region_set_disk_low(struct region *r, bool is_low);

/* Operator requests are changes of the record: made here, sent by whoever has a coordinator
 * client (front, server, command line). Each checks geo-semantics 10 and fills ei with the
 * sentence (ERR_PRECONDITION 409 unhealthy, ERR_CONFLICTING_OPERATION 412, ERR_INVALID 400). */
enum err account_plan_failover(struct account_record *rec, struct str to, int64_t wall_ms,
                               struct errinfo *ei) MUST_CHECK;
/* A region is taken out, in whatever state it is. Where it is the writer another one is chosen: one that has
 * all that must not be lost, or else, when the loss is accepted, the one that is heard and lacks least (by
 * the heartbeats), or the one that is named. 409 without such a region, and for the last one online
 * unless the loss is accepted; 400 for an unknown name. Not chosen: a region that is being copied to, or
 * whose documents are fetched after a cut, since what it has was never there at any time. */
struct offline_request {
    bool accepts_loss;
    struct str to; /* empty: whichever lacks least; else only with accepts_loss */
    const struct account_beats *beats; /* NULL: nothing is known of them */
};
enum err account_plan_offline(struct account_record *rec, struct str region,
                              const struct offline_request *q, int64_t wall_ms,
                              struct errinfo *ei) MUST_CHECK;
/* After it: the partitions in which the region that writes now lacked most of what the last writer had, by the
 * heartbeats. None when the writer is the same. */
void account_offline_losses(const struct account_record *before, const struct account_record *after,
                            const struct account_beats *beats, struct beat_lags *ret);
enum err account_plan_online(struct account_record *rec, struct str region, int64_t wall_ms,
                             struct errinfo *ei) MUST_CHECK;
/* ERR_LIMIT where one region more, whose name is new or not, would be too many: REGIONS_MAX at a time,
 * REGION_ID_MAX names ever. */
enum err account_need_room(const struct account_record *rec, bool is_new_name,
                           struct errinfo *ei) MUST_CHECK;
/* 412 unless nothing else runs on the account; `but` is a region whose joining or leaving does not
 * count (0 = none). */
enum err account_need_idle(const struct account_record *rec, region_id but,
                           struct errinfo *ei) MUST_CHECK;
/* What a region may be called: it becomes the name of a directory, too. */
enum err account_check_region_name(struct str name, struct errinfo *ei) MUST_CHECK;
/* A region joins: SEEDING, with its old id when it was in the account before, endpoint and peer
 * address empty until its process reports them. priority < 0: the lowest. 400 for a bad name, one
 * that is there, and priority 0; 409 without an open write region; ERR_LIMIT. */
enum err account_plan_add(struct account_record *rec, struct str name, int64_t priority,
                          int64_t wall_ms, struct errinfo *ei) MUST_CHECK;
/* A region leaves: DRAINING, then the writer takes it out. 400 for the last region and for the write
 * region; 409 while another one is in outage, and for one that is itself in outage unless `force`
 * accepts the loss that the message names. */
enum err account_plan_remove(struct account_record *rec, struct str name, bool force,
                             int64_t wall_ms, struct errinfo *ei) MUST_CHECK;
/* All regions in the order wanted. A first one that is not the writer makes it a graceful change of
 * the write region as well. 400 unless each is named once; 409 while one is in outage. */
enum err account_plan_priorities(struct account_record *rec, const struct str *names, size_t n,
                                 int64_t wall_ms, struct errinfo *ei) MUST_CHECK;
/* 400 to switch it on with one region, 412 while another operation runs. */
enum err account_plan_auto_failover(struct account_record *rec, bool is_on,
                                    struct errinfo *ei) MUST_CHECK;
/* Another region writes partition p from now on (geo-semantics 7.4). `force`: at once, the new writer
 * waits for the present one's lease or word; else gracefully. 400 for the metadata partition and an
 * unknown region, 409 when a region is not online or not caught up, 412 while the partition or the
 * account changes its writer; ERR_LIMIT with RECORD_OVERRIDES_MAX rows. 404 when p is above all partitions that
 * the regions' heartbeats say there are (`beats`; NULL: nothing is known of them). A row of one that is gone is
 * taken out again by the account's writer. */
enum err account_plan_partition_failover(struct account_record *rec, pid p, struct str to,
                                         bool force, const struct account_beats *beats,
                                         struct errinfo *ei) MUST_CHECK;
/* Gracefully back to the account's writer. */
enum err account_plan_partition_return(struct account_record *rec, pid p,
                                       const struct account_beats *beats,
                                       struct errinfo *ei) MUST_CHECK;
/* May a writer give a partition away by itself? 400 to switch it on with one region. */
enum err account_plan_partition_auto(struct account_record *rec, bool is_on,
                                     struct errinfo *ei) MUST_CHECK;
/* What becomes of writes that a failover cannot keep, from the next suffix on that is handed in; at any
 * time, also before a region is brought back. 0 bytes: the usual quota. 400 for what is out of range. */
enum err account_plan_diverged(struct account_record *rec, struct str value, uint64_t feed_quota,
                               struct errinfo *ei) MUST_CHECK;
/* Changes the level (or the bounds of BoundedStaleness: 0 keeps them, or takes the usual ones). Asking
 * for the present level calls a running change off. 400 for bounds out of range or of another level,
 * 409 while a region is in outage, 412 while another operation runs. */
struct level_request {
    enum consistency level;
    uint64_t max_staleness_ops, max_staleness_s;
};
enum err account_plan_consistency(struct account_record *rec, const struct level_request *q,
                                  struct errinfo *ei) MUST_CHECK;
enum err account_set_bounds(struct account_record *rec, const struct level_request *q,
                            struct errinfo *ei) MUST_CHECK;
/* Tighter than the service followed allows for so many regions: allowed here, with a warning. */
bool account_bounds_are_tight(const struct account_record *rec);
#define ACCOUNT_TIGHT_WARNING                                                                      \
    "warning: bounds below 100,000 operations and 300 s (one region: 10 and 5 s) hold writes "     \
    "back early"
/* After an error about a region that is not there: those that are. */
#define ACCOUNT_REGIONS_HINT "the account's regions:"
void account_hint_regions(const struct account_record *rec, struct errinfo *ei);
/* What an operator should know about the level and the regions, in one line: true, and it is appended to `out`. */
bool account_warning(const struct account_record *rec, struct buf *out);
/* A fresh account: regions in priority order, the first one the writer to be. */
void account_init(struct account_record *ret, const char *name, enum consistency level);
/* Appends a region at the lowest priority: id, ONLINE_READ, in q_mask; the first one is chosen as
 * writer (its process claims the role). Only before the account's first start. Keys and secret are
 * filled in by the caller. */
enum err account_add_region(struct account_record *rec, const char *name, const char *endpoint,
                            const char *peer_addr, int64_t wall_ms, struct errinfo *ei) MUST_CHECK;
/* Region that would write if those of `but_mask` could not: best priority, ONLINE_READ, at Strong
 * in q_mask; 0 = none. */
region_id account_best_candidate(const struct account_record *rec, uint64_t but_mask);

/* The table of roles, for `holdfast inspect fsm region`, and the rules of decisions. */
struct fsm;
const struct fsm *region_fsm(void);
const struct fsm *parts_fsm(void); /* of single partitions with a writer of their own, rows 600.. */
struct region_rule {
    uint32_t no; /* stable; in events, the record's epochs and reports */
    const char *name;
    const char *text;
};
const struct region_rule *region_rules(size_t *ret_n);

void region_check(
    const struct region *r); /* asserts every invariant; after each step in simulation */
