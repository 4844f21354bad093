/* Inside of src/repl. */
#pragma once

#include "base/contract.h"
#include "base/list.h"
#include "base/map.h"
#include "repl/repl.h"

enum {
    RING_SIZE_MAX = 64 << 20,   /* bytes of recent entries kept in memory, all partitions */
    WINDOW_SIZE_MAX = 16 << 20, /* bytes sent and not acknowledged, per peer */
    WINDOW_ENTRIES_MAX = 16384, /* same, entries, per peer and partition */
    APPEND_ENTRIES_MAX = 1024,  /* entries of one APPEND */
    APPEND_SIZE_MAX = 1 << 20,  /* entries of one APPEND, unless one alone is larger */
    LOST_SIZE_MAX = 4 << 20,
    DOCS_SIZE_MAX = 8 << 20,
    PART_KEY_SIZE_MAX = ENGINE_KEY_SIZE_MAX + 1,
    PULLED_SIZE_MAX = 4 << 20,
    CONFLICT_ENTRY_SIZE_MAX = 2 << 20, /* texts of conflict records in one entry */
    EPOCH_ROWS_MAX = 1024,
    TTL_OPS_MAX = 100,    /* deletes per purge entry */
    TTL_TURN_MAX = 400,   /* deletes per partition and turn */
    TRIM_SLICE_MAX = 512, /* entries deleted per partition and turn */
    PARTITIONS_MAX = 65536,
    SLOTS_MAX = 128,            /* rows of the record: 64, and as many that have just gone */
    UNIQUE_SPACE = 0xff,        /* overlay: "space" of unique keys */
    POOL_NODES_MAX = 4096,      /* overlay nodes kept for reuse */
    BATCH_SIZE_FLUSH = 8 << 20, /* a batch this large is handed over without waiting */
};

/* An encoded entry in memory, shared by ring and overlay. */
struct ebuf {
    unsigned refs;
    struct partition *part; /* whose ring holds it; NULL once out of the ring */
    struct list lru;        /* in repl.ring_lru, oldest first */
    struct place place;
    epoch prev_epoch;
    lsn prev_lsn;
    usec ordered_us;
    size_t n;
    char bytes[];
};

/* Newest version of a key that is ordered but not yet durable. For unique keys: who holds it. */
struct ov_node {
    struct ov_node *next; /* in its bucket */
    struct list fifo;     /* in overlay.fifo, by lsn */
    uint64_t hash;
    unsigned space;        /* enum engine_space, or UNIQUE_SPACE */
    bool is_absent;        /* deleted; for a unique key: free */
    struct str key;        /* in ebuf; for UNIQUE_SPACE the unique key's bytes */
    struct str owner;      /* UNIQUE_SPACE: key of the document that holds it */
    struct engine_doc doc; /* texts in ebuf; uniques in `unique_store` */
    struct str unique_store[ENGINE_UNIQUE_MAX];
    lsn lsn;
    struct ebuf *ebuf; /* a reference */
};

struct overlay {
    struct ov_node **buckets; /* owned; NULL while empty and small */
    size_t bucket_count;      /* power of two */
    size_t count;
    struct list fifo;
};

/* Entries kept in memory, by lsn: a circular array. */
struct ring {
    struct ebuf **slots; /* owned */
    size_t cap, head, count;
};

enum progress_state {
    PROG_UNKNOWN,  /* asked (PROBE) or about to */
    PROG_STREAM,   /* matched up to `sent` */
    PROG_DIVERGED, /* it was told to cut; its next TAIL says when */
    PROG_STUCK, /* needs entries that were trimmed: it was told to copy; its next TAIL says when */
};

/* What the writer knows of one peer's copy of one partition. */
struct progress {
    struct partition *part;
    struct peer *peer;
    enum progress_state state;
    struct place sent; /* last entry sent, or where the peer matched */
    lsn acked;         /* durable there and in our history; kept over reconnects */
    uint64_t acked_ord;
    lsn reach;            /* highest that `sent` was under this reign: its log never went further */
    size_t inflight_size; /* bytes sent and not acknowledged, about */
    usec progress_us;     /* last change of `acked`, or first send after it */
    usec probed_us;
    usec lag_since_us;    /* order time of the first entry it lacks; 0 = lacks none */
    struct list ready;    /* in peer.ready: has something to send */
    struct list inflight; /* in peer.inflight: waits for acknowledgements or an answer */
    bool is_known;        /* WRITER: the peer has said under this reign what it has */
    bool is_asked;        /* SEALED: a pull is under way, or was answered to the end */
    bool is_pulled;       /* SEALED: the peer has nothing more of our history */
    struct list copying; /* in peer.copying: it was told to copy and has not said that it is done */
    usec copying_us;     /* last sign of that */
    struct seed_feed *feed; /* what it asked for and was not sent yet; owned; NULL = never asked */
};

/* Moves of these two are traced: the tests count which ones have happened. */
static inline void progress_move(struct progress *g, enum progress_state to)
{
    if (g->state != to) {
        contract_trace("progress", (unsigned)g->state, (unsigned)to);
        g->state = to;
    }
}

/* The peer takes entries, and has all that was before them. */
static inline bool progress_follows(const struct progress *g)
{
    return g->state == PROG_STREAM && list_is_empty(&g->copying);
}

struct peer {
    region_id id;
    size_t slot;
    bool is_up;           /* our outgoing link */
    uint64_t incarnation; /* from its HELLO; 0 = none yet */
    usec acked_us;        /* when it last acknowledged anything new */
    struct buf out;       /* frame being built */
    struct list ready;
    struct list inflight;
    struct list copying;
    struct list feeds;    /* struct seed_feed with something to send */
    size_t feed_size;     /* pieces sent and not stored there, sum over partitions */
    size_t feed_turn;     /* pieces sent since the last tick */
    size_t inflight_size; /* sum over partitions */
};

/* A partition with a writer of its own: its mode beside the region's. */
struct slot {
    struct list link; /* in repl.slots */
    pid pid;
    struct repl_mode mode;
    struct partition *part; /* NULL: it is not here */
    bool pull_is_closed;    /* SEALED: the branch point is fixed */
};

struct latest;
struct partition;

enum diverge_state {
    DIV_NONE,
    DIV_WAIT, /* branch known; own batches must become durable first */
    DIV_SEND, /* a LOST batch is out; waits for its acknowledgement and the archive */
    DIV_CUT,  /* cut handed to storage */
};

struct diverge {
    enum diverge_state state;
    struct place branch;
    lsn next_lsn;           /* first lsn not yet in an acknowledged LOST batch */
    struct place batch_end; /* last entry of the batch that is out */
    bool is_acked, is_archived;
    bool is_last; /* SEND: no entries follow the batch; CUT: the cut is in the batch being built */
    uint64_t archive_ticket;
    usec sent_us;
    uint64_t entries;
    struct latest
        *latest; /* the last operation on each item of the suffix; owned; NULL = all count */
    uint64_t recorded,
        archived; /* operations in the batches before: in the feed; nowhere but in the archive */
};

/* ---- latest.c ---- */
/* Of the entries in the log from `from` on. */
enum err latest_new(struct partition *p, lsn from, struct latest **ret,
                    struct errinfo *ei) MUST_CHECK;
void latest_free(struct latest *l); /* NULL accepted */
/* No later operation of the suffix is on the same item; or it is on none. */
bool latest_is(const struct latest *l, const struct entry *e, size_t op);

/* DIV_NONE clears the rest as well. */
static inline void diverge_move(struct diverge *d, enum diverge_state to)
{
    contract_trace("diverge", (unsigned)d->state, (unsigned)to);
    d->state = to;
    if (to == DIV_NONE) {
        latest_free(d->latest);
        *d = (struct diverge){0};
    }
}

struct partition {
    struct repl *repl;
    struct part_view view;
    pid pid;
    const struct repl_mode *mode; /* the region's, or its slot's; never NULL */
    struct slot *slot;            /* NULL: it follows the region */
    generation sealed;            /* highest of its slots that is known to be stored */
    generation reign_max;         /* highest it has obeyed, or storage knows: see part_is_nobodys */
    bool is_dropped;
    bool is_corrupt; /* a row of it could not be read: not served any more */
    bool is_log_bad; /* ... one of the log: what it has alone cannot be saved */
    /* ... one that was overwritten: index rows of it are left. So while documents are being deleted. Stored. */
    bool has_stale_rows;
    bool is_wiping;   /* its documents are being deleted: takes nothing until then */
    struct list link; /* in repl.parts, in order of creation */

    struct place tail;     /* last entry ordered or applied */
    struct place durable;  /* last entry known to be in storage */
    size_t inflight_count; /* batches that storage has not answered */
    struct place trim;     /* last entry trimmed away; zero = none */
    lsn first_lsn;         /* first entry in the log; 0 = log empty */
    uint64_t item_count, item_size, conflict_count, conflict_size; /* at the tail */
    struct epoch_row *rows; /* owned: epoch table, oldest first */
    size_t row_count, row_cap;

    lsn acked;     /* WRITER: answered up to here at the account's level */
    lsn inherited; /* WRITER: last entry of the epochs before: any of them may have been answered */
    lsn commit_lsn;
    lsn all_lsn; /* every region of the account has it */
    lsn announced_commit, announced_all;
    struct repl_loss
        own_loss; /* the last one in a row of its own; the record forgets it with the row */
    bool
        was_matched; /* by this process: whatever the log has, the writer has said that it is right */
    uint64_t token_shown; /* highest token version in the view so far */
    generation matched;   /* READER: generation under which the writer matched our tail */
    usec tail_sent_us;    /* READER: last TAIL to the writer; 0 = must be sent */
    lsn ack_sent_lsn;     /* READER */

    struct overlay overlay;
    struct ring ring;
    struct list waiters;         /* wait_node: writes, by need */
    struct list applied_waiters; /* wait_node: reads */
    struct list commit_waiters;

    struct list touched;    /* in repl.touched: in the batch being built */
    struct list ack_due;    /* in repl.ack_due */
    struct list commit_due; /* in repl.commit_due */
    struct list trim_link;  /* in repl.trim_list: may have entries to trim */
    struct list fetch_link; /* in repl.fetch_list: dirty or diverged, needs work */
    struct list ttl_link;   /* in repl.ttl_list: has documents that expire */
    struct list unmatched;  /* in repl.unmatched: READER */
    struct list behind;     /* in repl.behind: not WRITER, has not reached the mode's epoch */

    uint64_t ttl_next;     /* seconds: nothing expires before */
    struct map dirty;      /* (space, key) with unknown state -> &repl->mark */
    uint64_t dirty_ticket; /* batch that clears the latest mark; 0 = it is in storage */
    usec fetch_sent_us;
    struct buf held_docs; /* a DOCS message that waits until our tail reaches its snapshot */
    lsn held_docs_lsn;
    struct diverge div;
    struct seed *seed;   /* READER: a copy of everything is under way or about to begin; owned */
    uint64_t log_size;   /* bytes of the entries in the log */
    bool is_trim_behind; /* more of it is due to go than one slice */

    struct progress **progress; /* owned: one per peer slot */
    size_t progress_count;
};

/* A batch handed to storage. */
struct inflight {
    struct list link;
    uint64_t ticket;
    size_t count, cap;
    bool is_seal;
    generation generation;
    struct inflight_row {
        struct partition *part;
        struct place place;
        generation fence; /* 0 = none: the partition follows the region */
        bool is_cut;
    } * rows; /* owned */
};

/* One operation while a write is being ordered. */
struct current {
    bool exists; /* a version is there (expired or not) */
    struct engine_doc doc;
    lsn seen; /* newest lsn the finding rests on, when known */
};

struct repl {
    struct engine *engine;
    region_id self;
    uint64_t incarnation;
    struct repl_timers timers;
    struct repl_io io;
    struct repl_mode mode; /* of all partitions without a slot */
    struct list slots;     /* struct slot; at most SLOTS_MAX */
    size_t slot_count;

    struct map part_map; /* pid bytes -> struct partition, those not dropped */
    struct list parts;
    size_t part_count;
    uint64_t parts_made;
    pid parts_top;        /* the highest of them, or 0 */
    struct map dropped;   /* pid bytes: dropped in this process's life */
    struct list drops;    /* struct drop: what storage still has of them */
    uint64_t drop_ticket; /* the next slice waits for this batch */

    struct peer *peers[REGION_ID_MAX]; /* regions that ever were */
    size_t peer_count;
    struct peer *peer_by_id[REGION_ID_MAX + 1];

    struct engine_batch *batch; /* being built; NULL = nothing yet */
    bool batch_is_seal;
    struct list touched;
    struct list inflight; /* struct inflight, oldest first */
    struct list inflight_free;
    uint64_t next_ticket, done_ticket;
    generation sealed; /* highest generation known to be stored */
    uint64_t archive_ticket;

    struct list ring_lru;
    size_t ring_size;
    struct ov_node *pool;
    size_t pool_count;
    size_t overlay_count;

    struct list ack_due, commit_due, trim_list, fetch_list, ttl_list, unmatched, behind;
    struct list seed_list;             /* struct seed */
    size_t seed_count;                 /* partitions with a copy under way */
    uint64_t seed_request;             /* number of the last one; begins anywhere, see repl_new */
    size_t seed_active;                /* those that have asked for a range ... */
    size_t seed_asked;                 /* ... and for how many altogether */
    generation feeder;                 /* the writer of this generation answers SEED_FEED */
    uint64_t log_size;                 /* sum over partitions */
    uint64_t item_size, conflict_size; /* same */
    bool feed_is_full;                 /* told of */
    struct list pending_lost;          /* struct lost_wait */
    size_t pending_lost_count;
    usec commit_us, ttl_us, trim_us, retry_us;
    int64_t clock_ahead_ms; /* of the other regions' wall clocks; 0 = not known to be wrong */
    int64_t wall_off_ms;    /* wall clock less io.now, at the last purge */
    usec ttl_hold_us;       /* no purge before: the wall clock was put forward or back */

    uint64_t hlc;
    uint64_t total_ord;
    size_t dirty_count;    /* dirty keys, all partitions */
    size_t diverged_count; /* partitions with a suffix */
    size_t corrupt_count;  /* partitions that are corrupt or being wiped */
    bool may_repair;       /* such partitions are copied anew where another region writes them */
    bool is_stale;         /* the engine refused our generation */
    bool is_trim_behind;   /* some partition is */
    bool pull_is_closed;   /* SEALED: branch points are fixed */
    char mark;             /* what the maps that are sets point to */

    struct arena arena;        /* scratch of one call from outside */
    struct arena encode_arena; /* scratch of part_write */
    struct arena msg_arena;    /* the message being handled */
    struct arena entry_arena;  /* an entry of that message being applied */
    struct buf scratch;        /* an entry being encoded */
    struct buf holds[BATCH_OPS_MAX];
    struct repl_stats stats;
};

/* ---- modes.c ---- */
struct slot *modes_slot(const struct repl *R,
                        pid id);            /* a partition's own mode; NULL: it has none */
void modes_open_epoch(struct partition *p); /* its first entry, at the mode's start */

/* ---- partition.c: what the engine keeps for us with each partition ---- */
struct part_extra {
    uint8_t version, flags;
    uint64_t trim_ord, trim_chain, hlc, log_size;
    uint32_t row_count;
    struct rd rows; /* the next of them */
};
enum err part_extra_open(struct part_extra *x, struct str extra, struct errinfo *ei) MUST_CHECK;
struct epoch_row part_extra_row(struct part_extra *x); /* row_count times, oldest first */

/* ---- partition.c ---- */
bool part_history_has(const struct partition *p, epoch e, lsn at);
/* Last lsn of epoch e in this history; 0 = the epoch is not in it. */
lsn part_epoch_last(const struct partition *p, epoch e);
void part_rows_add(struct partition *p, const struct entry *e);
void part_rows_cut(struct partition *p, struct place at);
void part_touch(struct partition *p);
struct engine_batch *repl_batch(struct repl *R);
void repl_submit(struct repl *R); /* hands the batch over, if there is one */
void part_set_flags(struct partition *p);
void repl_set_flags(struct repl *R);
/* Adds an entry whose bytes were checked: log, documents, counters, tail. `mem` non-NULL: keep it
 * in ring and overlay (the caller's reference is taken). */
void part_append(struct partition *p, const struct entry *e, struct str bytes, struct ebuf *mem);
/* WRITER: fills in place, generation and chain of a new entry, encodes it once and appends it.
 * e->lsn, hlc, ts, reason, kind and ops are the caller's. */
void part_write(struct partition *p, struct entry *e);
uint64_t repl_next_hlc(const struct repl *R, int64_t wall_ms);
void part_corrupt(struct partition *p, const char *what, const struct errinfo *ei);
/* Tail and durable after an entry at `at` in the log: header of the entry there. */
enum err part_place_at(struct partition *p, lsn at, struct place *ret,
                       struct errinfo *ei) MUST_CHECK;
void repl_event(struct repl *R, enum region_event_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void part_durable_moved(struct partition *p);
void part_publish(struct partition *p);
/* The mode that a partition obeys, also one that is not here. */
const struct repl_mode *repl_mode_of(const struct repl *R, pid id);
uint64_t part_token_version(const struct partition *p);
enum err part_load(struct partition *p, const struct engine_part_meta *m,
                   struct errinfo *ei) MUST_CHECK;

void part_log_shrunk(struct partition *p, uint64_t size);
/* Counters: all documents went; a version went, a document came (either may be NULL). */
void part_count_none(struct partition *p);
void part_count_doc(struct partition *p, enum engine_space space, const struct engine_version *old,
                    const struct engine_doc *doc);
/* A key of a map that holds keys of both spaces. */
struct str part_key(char hold[PART_KEY_SIZE_MAX], enum engine_space space, struct str key);

/* ---- overlay.c ---- */
uint64_t ov_hash(unsigned space, struct str key);
struct ov_node *ov_find(const struct partition *p, unsigned space, struct str key, uint64_t hash);
void ov_put(struct partition *p, const struct entry *e, const struct entry_op *op, uint16_t op_idx,
            struct ebuf *mem);
void ov_prune(struct partition *p, lsn durable);
void ov_clear(struct partition *p);
void ov_init(struct overlay *o);
void ov_done(struct partition *p);
void ov_pool_done(struct repl *R);

/* ---- ring.c ---- */
struct ebuf *ebuf_new(struct str bytes);
void ebuf_unref(struct ebuf *b);
void ring_push(struct partition *p, struct ebuf *b); /* takes the reference */
/* First entry above `after` in memory, NULL when the ring does not reach down to it. */
struct ebuf *ring_after(const struct partition *p, lsn after, size_t *ret_idx);
struct ebuf *ring_at(const struct partition *p, size_t idx);
void ring_clear(struct partition *p);
void ring_evict(struct repl *R);

/* ---- apply.c ---- */
void apply_on_append(struct repl *R, region_id from, const struct msg *m);
void apply_on_branch(struct repl *R, region_id from, const struct msg *m);
void apply_on_probe(struct repl *R, region_id from, const struct msg *m);
void apply_on_commit(struct repl *R, region_id from, const struct msg *m);
void apply_on_docs(struct repl *R, region_id from, const struct msg *m);
void apply_held_docs(struct partition *p);
void apply_send_tail(struct partition *p, bool is_nack);
void apply_send_acks(struct repl *R);
void apply_tick(struct repl *R);
/* Had a row, and has none any more, under an account's generation below the row's: its container was deleted,
 * which our metadata do not say yet. Storage would refuse what is written to it, and with it the region. */
bool part_is_nobodys(const struct partition *p);
bool apply_is_from_writer(const struct repl *R, region_id from, const struct msg *m);
bool apply_is_matched(const struct partition *p);
void apply_unmatch(struct partition *p); /* the writer has to be asked again */
/* Checks one entry against the tail and adds it. OK, ERR_NOT_FOUND (does not follow the tail),
 * or the decoder's error. */
enum err apply_entry(struct partition *p, struct str bytes, struct errinfo *ei) MUST_CHECK;
void apply_forget_dirty(struct partition *p, enum engine_space space, struct str key);
bool part_is_dirty(const struct partition *p, enum engine_space space, struct str key);
void part_mark_dirty(struct partition *p, enum engine_space space, struct str key);

/* ---- ship.c ---- */
void ship_on_tail(struct repl *R, region_id from, const struct msg *m);
void ship_on_ack(struct repl *R, region_id from, const struct msg *m);
void ship_on_fetch(struct repl *R, region_id from, const struct msg *m);
void ship_start(struct partition *p); /* became its writer */
void ship_reset(struct partition *p); /* not its writer any more */
void ship_peer_up(struct repl *R, struct peer *peer);
void ship_peer_reset(struct repl *R, struct peer *peer);
void ship_entry_added(struct partition *p); /* WRITER: new tail */
void ship_send(struct repl *R);
void ship_tick(struct repl *R);
void ship_part_new(struct partition *p);
void ship_part_gone(struct partition *p);
void ship_part_free(struct partition *p);
struct progress *ship_progress(struct partition *p, struct peer *peer);
bool ship_is_for_me(const struct repl *R, const struct msg *m);
/* `tail` is what the peer had said: an answer to an older tail must never be acted upon. */
void ship_send_branch(struct repl *R, region_id to, pid id, struct place at, struct place tail,
                      bool is_unknown);
/* Its log ends (`tail`) where ours does not begin any more. */
void ship_stuck(struct progress *g, struct place tail);

/* ---- seed.c, seed_ranges.c (reader), seed_feed.c (writer) ---- */
bool seed_is_on(const struct partition *p); /* the documents are not yet as the log says */
bool seed_is_ahead(const struct partition *p, enum engine_space space, struct str key);
bool seed_touch(struct partition *p, enum engine_space space, struct str key);
void seed_drop_stale(struct partition *p, enum engine_space space, struct str key);
void seed_note_uniques(struct partition *p, const struct engine_version *v);
void seed_restart(struct partition *p, lsn at);
void seed_forget(struct partition *p);
void seed_load(struct partition *p);   /* found under way in storage */
void seed_free(struct partition *p);   /* NULL accepted */
void seed_refill(struct partition *p); /* a copy of all documents; the log is right */
void seed_step(struct partition *p);
void seed_tick(struct repl *R);
bool seed_ask(struct partition *p);  /* instead of a TAIL, when the copy must begin anew */
void seed_tell(struct partition *p); /* with a TAIL: no copy is under way */
void seed_on_branch(struct partition *p);
void seed_on_at(struct repl *R, region_id from, const struct msg *m);
void seed_on_docs(struct repl *R, region_id from, const struct msg *m);
void seed_send_at(struct progress *g, struct place tail);
void seed_on_get(struct repl *R, region_id from, const struct msg *m);
void seed_on_feed(struct repl *R, region_id from, const struct msg *m);
void seed_on_got(struct repl *R, region_id from, const struct msg *m);
void seed_feed_step(struct repl *R); /* once per round */
void seed_feed_tick(struct repl *R);
void seed_feed_free(struct progress *g); /* the peer's questions are forgotten */
void seed_on_ask(struct repl *R, region_id from, const struct msg *m);
void seed_on_done(struct repl *R, region_id from, const struct msg *m);

/* ---- quorum.c ---- */
/* Lowest of what the regions of `mask` have; self's own is `own`. */
lsn quorum_min(const struct partition *p, uint64_t mask, lsn own);
void quorum_update(struct partition *p); /* after durable, acked or masks moved */
uint64_t quorum_ack_mask(const struct repl *R, const struct partition *p);
void quorum_announce(struct repl *R, bool everything);
void quorum_tell(struct partition *p, region_id to); /* positions, to one peer */

/* ---- drop.c ---- */
void drop_begin(struct repl *R, pid p); /* nothing of it will be handed over any more */
bool drop_is_pending(const struct repl *R, pid p);
enum err drop_finish(struct engine *e, struct errinfo *ei) MUST_CHECK; /* before the first batch */
void drop_tick(struct repl *R);
void drop_free(struct repl *R);

/* ---- conflict.c ---- */
void conflict_begin(struct partition *p, struct place branch);
void conflict_reset(struct partition *p);
void conflict_step(struct partition *p);
void conflict_on_lost(struct repl *R, region_id from, const struct msg *m);
void conflict_on_lost_ack(struct repl *R, region_id from, const struct msg *m);
void conflict_on_archived(struct repl *R, uint64_t ticket, enum err err);
void conflict_check_waits(struct partition *p);
void conflict_drop_waits(struct repl *R);
void conflict_part_gone(struct partition *p);
void conflict_fetch(struct partition *p);
/* Names in the entry's vector which entry was lost. */
void entry_set_lost_place(struct entry *e, const struct lost_place *about);

/* ---- quota.c ---- */
bool quota_is_full(const struct repl *R); /* what is handed in makes no records */
enum err quota_load(struct partition *p, struct errinfo *ei) MUST_CHECK;
void quota_tick(struct repl *R);

/* ---- lww.c ---- */
struct lww_req {
    const struct entry *lost; /* its one operation is to be put */
    struct conflict_note note;
    struct lost_place about;
    struct str key; /* of the record */
};
/* OK: the lost version is the item now, in the entry *ret_at. ERR_PRECONDITION: it is not to be, nothing was done. */
enum err lww_put(struct partition *p, const struct lww_req *req, lsn *ret_at) MUST_CHECK;

/* ---- repair.c ---- */
void repair_tick(struct repl *R);
bool repair_is_possible(const struct partition *p); /* once its suffix, if any, is safe */
/* Its own suffix, if any, is safe and about to be cut, and all the rest the writer has in storage: begin anew. */
void repair_begin(struct partition *p);
/* The writer has said what it has in storage (SEED_AT). true: that was all of it, and it is begun anew. */
bool repair_on_at(struct partition *p, const struct msg *m);

/* ---- pull.c ---- */
void pull_forget(struct partition *p);
void pull_on_pull(struct repl *R, region_id from, const struct msg *m);
void pull_on_pulled(struct repl *R, region_id from, const struct msg *m);

/* ---- trim.c, ttl.c ---- */
void trim_tick(struct repl *R);
void ttl_tick(struct repl *R);
void ttl_note(struct partition *p, uint64_t expire_at);
enum err ttl_delete(struct partition *p, const struct msg_key *keys, size_t n) MUST_CHECK;
