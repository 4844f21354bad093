/* Replication of one region's partitions: order, store, ship, apply, cut.
 *
 * Knows logs, places and peers; does not decide who writes. src/account/region.c tells it under
 * which generation and in which mode to act (struct repl_mode) and is told what became durable,
 * acknowledged or lost. Pure like the region core: no I/O, no clock. One thread. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"
#include "engine/engine.h"
#include "repl/diverged.h"
#include "repl/entry.h"
#include "repl/msg.h"
#include "repl/order.h"
#include "repl/place.h"
#include "repl/view.h"
#include "repl/wait.h"

struct repl;
struct partition;

enum region_event_kind { /* the story for operators: one line each in the log, the event feed */
                         EVENT_ROLE,     /* role changed: rule number, from, to, why */
                         EVENT_FAILOVER, /* opened as writer: times and estimated loss */
                         EVENT_LEASE_LOST,
                         EVENT_REGION_STATE, /* record state of some region changed */
                         EVENT_DIVERGED,     /* suffix found: partition, branch, entries */
                         EVENT_FEED_SENT,    /* suffix is in the conflict feed */
                         EVENT_REJOINED,
                         EVENT_STALE_GENERATION,
                         EVENT_CORRUPT,
                         EVENT_LSN_BLOCK,
                         EVENT_SEED, /* a full copy of a partition begins, begins anew, is complete */
                         EVENT_DISK_SLOW,   /* the disk got slow, or is fast again */
                         EVENT_CLOCK_DRIFT, /* the wall clock left its peers', or is back */
                         EVENT_HELD_BACK,   /* a failover waits: there was one just now */
                         EVENT_LEVEL,       /* the consistency level changes, or has changed */
                         EVENT_THROTTLED,   /* BoundedStaleness refuses writes: which region lags */
                         EVENT_PARTITION, /* a partition's own writer: role, opening, no candidate */
                         EVENT_VOUCHED,   /* writes go on without the coordinator, or no longer */
                         EVENT_FEED_FULL, /* lost writes make no records any more, or again */
};

struct repl_io {
    void *ctx;
    usec (*now)(void *ctx);
    int64_t (*wall_ms)(void *ctx);
    void (*commit)(void *ctx, struct engine_batch *b, uint64_t ticket);
    void (*send)(void *ctx, region_id to, struct str frame);
    void (*archive)(void *ctx, pid p, struct str entries, uint64_t ticket);
    void (*event)(void *ctx, enum region_event_kind kind, const char *text);
    void (*fatal)(void *ctx, enum err err, const char *why);
    bool (*conflict_build)(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                           const struct conflict_note *note, const struct write_place *place,
                           struct buf *out_key, struct buf *out_text, uint64_t *ret_rid);
    /* A lost version as the next one of the document `now`, to be written at `place`. */
    bool (*conflict_apply)(void *ctx, pid p, const struct entry_op *lost,
                           const struct engine_doc *now, const struct write_place *place,
                           struct buf *out_text);
    /* The engine refused a batch because a higher generation is stored: this process is not what
     * it thinks it is. */
    void (*stale)(void *ctx);
    void (*metadata_applied)(void *ctx, lsn upto);
    /* A partition has reached the mode's epoch: its token version is the record's now. */
    void (*epoch_reached)(void *ctx);
    /* A write's or a read's waiter was released: its need is reached. */
    void (*acked)(void *ctx, struct wait_node *n);
    void (*applied)(void *ctx, struct wait_node *n);
    void (*committed)(void *ctx, struct wait_node *n);
    /* Messages that are the region's business: HELLO, PING, PONG, VOUCH, VOUCHED, TRANSFER_END. */
    void (*message)(void *ctx, region_id from, const struct msg *m);
};

enum repl_mode_kind {
    REPL_IDLE,   /* takes nothing, sends nothing: starting, offline, fenced */
    REPL_READER, /* follows `writer` */
    REPL_SEALED, /* takes no appends; pulls from peers: promoting */
    REPL_WRITER, /* orders (unless is_holding), ships, counts acknowledgements */
};

enum { REPL_LOSSY_MAX = 40 };

struct repl_mode {
    enum repl_mode_kind kind;
    generation generation; /* guards every batch; stale messages are those of another */
    epoch epoch;           /* WRITER: what new entries carry */
    epoch record_epoch;    /* newest one that the record names: READER takes no later entries */
    lsn start_lsn;         /* WRITER: first lsn of the epoch */
    lsn lsn_limit;         /* WRITER: no lsn at or above it is given out */
    region_id writer;
    bool is_holding;     /* WRITER: orders nothing new ... */
    region_id stored_by; /* ... hands over to that region, and what is durable there counts as if it
                          * were here, below BoundedStaleness and but for metadata; 0 = none */
    bool is_serving;     /* documents may be read here */
    bool
        is_taking; /* READER: about to claim the writer's role with what it has: nothing is wiped */
    bool is_strong;
    uint64_t all_mask;      /* every region of the account */
    uint64_t copy_mask;     /* the log may be trimmed past these: they need a full copy */
    uint64_t online_mask;   /* metadata is acknowledged when these have it */
    uint64_t strong_mask;   /* at Strong everything is acknowledged when these have it; bounded
                           * staleness counts these */
    epoch strong_since;     /* acknowledged under the rule of Strong since; UINT64_MAX: it is not */
    uint64_t staleness_ops; /* WRITER: entries any of them may lack per partition; 0 = any number */
    usec staleness_us;      /* WRITER: age the oldest of those may reach */
    uint64_t token_version;
    enum diverged_writes diverged; /* what becomes of a suffix that is handed in */
    uint64_t feed_quota;           /* bytes of conflict records; 0 = the usual */
    size_t
        lossy_count; /* epochs that lost something, and the version each raised it to; in order */
    struct repl_loss {
        epoch epoch;
        uint64_t version;
    } lossy[REPL_LOSSY_MAX];
    struct repl_loss
        own_loss; /* of a partition with a writer of its own: its last; epoch 0 = none */
};

struct repl_timers {
    unsigned retry_ms;  /* probe, lost, fetch, unanswered */
    unsigned commit_ms; /* commit notices below Strong */
    unsigned ttl_purge_ms;
    unsigned retain_ms;
    uint64_t
        log_size_max; /* above it entries that all have go at once, and past a region that needs
                            * a full copy; 0 = no limit */
    unsigned copy_docs_max; /* documents looked at for one piece of a full copy; 0 = bound by size
                             * only. For simulations: small data in many pieces */
    unsigned
        drop_rows_max; /* rows of a dropped partition deleted at a time; 0 = a thousand. Same */
};

/* Loads the partitions of the engine. */
enum err repl_new(struct engine *engine, region_id self, uint64_t incarnation,
                  const struct repl_timers *timers, const struct repl_io *io, struct repl **ret,
                  struct errinfo *ei) MUST_CHECK;
void repl_free(struct repl *R);

/* Of all partitions but those with a mode of their own. */
void repl_set_mode(struct repl *R, const struct repl_mode *m);
const struct repl_mode *repl_mode(const struct repl *R);
/* A partition with a writer of its own obeys a mode of its own until that is cleared; it need not be
 * here yet. true: its role in it, or the reign, has changed. */
bool repl_set_part_mode(struct repl *R, pid p, const struct repl_mode *m);
bool repl_clear_part_mode(struct repl *R, pid p);
const struct repl_mode *repl_part_mode(const struct repl *R, pid p);
bool repl_has_part_mode(const struct repl *R, pid p);
/* Every partition that has one; fn may clear the one it is called for. */
void repl_each_part_mode(const struct repl *R, void (*fn)(void *ctx, pid p), void *ctx);
bool repl_is_dropped(const struct repl *R, pid p); /* in this process's life */
/* Peers are told of once and stay. */
void repl_add_peer(struct repl *R, region_id id);

void repl_on_tick(struct repl *R);
void repl_on_commit(struct repl *R, uint64_t ticket, enum err err);
void repl_on_link(struct repl *R, region_id id, bool is_up);
void repl_on_frame(struct repl *R, region_id from, struct str frame);
void repl_on_archived(struct repl *R, uint64_t ticket, enum err err);
void repl_flush(struct repl *R);
void repl_send(struct repl *R, region_id to, const struct msg *m); /* goes out with the flush */
bool repl_link_is_up(const struct repl *R, region_id peer);

/* ---- partitions ---- */
struct partition *repl_part(struct repl *R, pid id);       /* creates it */
struct partition *repl_find(const struct repl *R, pid id); /* NULL: unknown or dropped */
void repl_drop_part(struct repl *R, pid id);
struct part_view *repl_part_view(struct partition *p);
pid repl_part_id(const struct partition *p);
struct place repl_tail(const struct partition *p);
struct place repl_durable(const struct partition *p);
size_t repl_part_count(const struct repl *R);
/* In this process's life, found in storage or new. */
uint64_t repl_parts_made(const struct repl *R);
/* Highest number of a partition that is here, or was in this process's life. New ones have higher numbers. */
pid repl_parts_top(const struct repl *R);
/* In order of creation; NULL at the end. */
struct partition *repl_next_part(const struct repl *R, const struct partition *prev);

/* ---- writing (REPL_WRITER) ---- */
/* OK (res->lsn may be 0), ERR_PRECONDITION, ERR_EXISTS, ERR_LIMIT, ERR_UNAVAILABLE, ERR_CORRUPT:
 * with every error nothing was applied. */
enum err repl_order(struct repl *R, struct partition *p, const struct order_req *req,
                    struct order_res *res) MUST_CHECK;
/* Starts the epoch in every partition. */
void repl_open_epoch(struct repl *R);
lsn repl_acked(const struct partition *p); /* acknowledged at the account's level */
void repl_wait_acked(struct partition *p, struct wait_node *n, lsn need);
void repl_wait_applied(struct partition *p, struct wait_node *n, lsn need);
void repl_wait_committed(struct partition *p, struct wait_node *n, lsn need);
/* Recounts every partition after a mask changed by other means than a mode. */
void repl_set_masks(struct repl *R, uint64_t online_mask, uint64_t strong_mask);
lsn repl_tail_max(const struct repl *R);

/* ---- promotion and transfer ---- */
bool repl_is_quiet(const struct repl *R);  /* nothing ordered that is not durable */
void repl_seal(struct repl *R);            /* stores the mode's generation (guarded batch) */
bool repl_is_sealed(const struct repl *R); /* it is durable, and so is everything before */
void repl_pull(struct repl *R, uint64_t peer_mask);
bool repl_pull_done(const struct repl *R, uint64_t peer_mask); /* each of them said "no more" */
/* Same, and none of them was left out because its link is down. */
bool repl_pull_complete(const struct repl *R, uint64_t peer_mask);
/* Branch points are fixed from here on: late answers are ignored. */
void repl_pull_close(struct repl *R);
/* The same for one partition with a mode of its own. */
bool repl_is_quiet_part(const struct partition *p);
void repl_seal_part(struct partition *p);
bool repl_is_sealed_part(const struct partition *p);
void repl_pull_part(struct partition *p, uint64_t peer_mask);
bool repl_pull_done_part(const struct partition *p, uint64_t peer_mask);
bool repl_pull_complete_part(const struct partition *p, uint64_t peer_mask);
void repl_pull_close_part(struct partition *p);
void repl_open_epoch_part(struct partition *p);
void repl_send_transfer_end_part(struct partition *p, region_id to);
bool repl_equals_part(const struct partition *p, const struct place *at);
/* No diverged suffix, no dirty marks, no copy under way, nothing that could not be read: of all
 * partitions without a mode of their own, of one. */
bool repl_is_whole(const struct repl *R);
/* The same, but for suffixes that are not cut yet: what is here is all there was at some time, and a writer
 * that opened with it would lose what came later, and nothing else. */
bool repl_could_open(const struct repl *R);
bool repl_is_sound(const struct partition *p);
/* false: its documents are being deleted or copied. Whoever opened it as the writer would take them back. */
bool repl_has_docs(const struct partition *p);
bool repl_is_corrupt(const struct partition *p); /* something of it could not be read */
/* It could not be read, and is copied anew as soon as the record has a row for it. */
bool repl_needs_row(const struct partition *p);
/* Somebody could not read it. Partition 0, too: its region is not whole any more. */
void repl_report_corrupt(struct partition *p, const struct errinfo *ei);
/* May what cannot be read here be dropped and copied anew from its writer? */
size_t repl_corrupt_count(const struct repl *R);
void repl_set_may_repair(struct repl *R, bool may);
/* Progress of one peer in one partition that is written here. */
bool repl_is_near(const struct partition *p, region_id peer, usec lag_us);
/* READER: every partition without a mode of its own was matched by the present writer. */
bool repl_is_matched(const struct repl *R);
/* Nothing is under way that a change of writer began: what is read here is matched by its writer and sound,
 * and every peer of `online_mask` has been matched in what is written here and has nothing to hand in. When
 * all online regions say so, the conflict feed has every write that left their data. */
bool repl_is_settled(const struct repl *R, uint64_t online_mask);
/* A change feed has come to `after`, perhaps in another region's history: where to go on in the one that this
 * partition's meta (engine_part_meta.extra) tells of, so that nothing is missed. `after`; or, when that lsn is of an
 * epoch that is not in this history, the last entry that both have, by what is known of epochs (ascending); or 0
 * when that is not enough to say where they parted. Any thread. ERR_CORRUPT, ERR_FORMAT_NEWER. */
enum err repl_resume(struct str extra, const struct repl_opening *known, size_t n, lsn after,
                     lsn *ret, struct errinfo *ei) MUST_CHECK;
/* Lowest token version that a partition shows. */
uint64_t repl_token_version(const struct repl *R);
void repl_send_transfer_end(struct repl *R, region_id to);
/* Our durable logs are exactly these. */
bool repl_equals(const struct repl *R, const struct msg_tail *tails, size_t n);

/* ---- progress of peers, as seen by the writer ---- */
struct repl_lag {
    bool is_streaming; /* every partition is matched */
    uint64_t ops;      /* entries it lacks */
    usec since_us;     /* when the oldest of them was ordered here; 0 = it lacks nothing */
    usec acked_us;     /* when it last acknowledged anything new */
    bool
        has_acked; /* everything acknowledged to clients, by earlier writers too, is durable there */
    bool has_metadata; /* same for partition 0 */
    bool needs_copy;   /* the log it needs was trimmed */
};
void repl_lag(const struct repl *R, region_id id, struct repl_lag *ret);
/* The same of one partition that is written here. */
enum { REPL_LAGS_MAX = 24 };
struct repl_part_lag {
    region_id region;
    pid pid;
    uint64_t ops; /* entries that the region lacks, by what it has acknowledged */
    uint64_t ord; /* entries that there are */
};
/* Where the regions of a mask lack most: the same number of partitions for each of them, REPL_LAGS_MAX in all. By
 * region, most first. */
size_t repl_lags(const struct repl *R, uint64_t mask, struct repl_part_lag ret[REPL_LAGS_MAX]);
/* The wall clock is that far ahead of the other regions'; 0 = it is right, as far as is known. While it
 * is off nothing is deleted because it expired, and expiry is judged by the earlier of the two. */
void repl_set_clock_ahead(struct repl *R, int64_t ahead_ms);
uint64_t repl_log_size(const struct repl *R);
/* Bytes of log, about, that are kept because this region lacks them. */
uint64_t repl_log_kept_for(const struct repl *R, region_id id);
uint64_t repl_seed_count(const struct repl *R); /* partitions being copied to here */
uint64_t repl_total_ord(const struct repl *R);
uint64_t repl_dirty_count(const struct repl *R);
uint64_t repl_diverged_count(const struct repl *R); /* partitions whose suffix is being handed in */

/* Bytes of conflict records, of all partitions, and from how many on there are no more of them. */
uint64_t repl_feed_size(const struct repl *R);
uint64_t repl_feed_quota(const struct repl *R);

struct repl_stats {
    uint64_t lost_applied; /* as the writer: put in the place of a present version */
    uint64_t entries_ordered, entries_applied, bytes_shipped, frames_sent, frames_bad, batches;
    uint64_t seeded, seeded_size; /* documents that copies brought, bytes of text */
    uint64_t nacks, probes, lost_received, lost_sent, conflict_records, purged, trimmed, fetched;
    uint64_t lost_recorded,
        lost_archived; /* operations of suffixes that this region has handed in */
    uint64_t ring_size, overlay_count, pending_batches, log_entries;
};
void repl_stats(const struct repl *R, struct repl_stats *ret);
void repl_check(const struct repl *R); /* asserts the invariants */
