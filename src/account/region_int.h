/* Inside of src/account: one region's state. */
#pragma once

#include "account/health.h"
#include "account/region.h"
#include "base/fsm.h"
#include "base/rng.h"

enum {
    HELD_MAX = 10000, /* writes held during a graceful change */
    WAITS_MAX = 65536,
    PENDING_SIZE_DEFAULT = 64 << 20,
    WRITE_OVERHEAD_SIZE = 512, /* counted per pending write */
    PULL_MS = 150,
    PULL_RETRY_MS = 40,
    END_RETRY_MS = 10, /* twice as long each time, a beat at most */
    TXN_BACKOFF_MS = 50,
    JOIN_TIMEOUT_MS = 3000,
    TICK_GAP_MS = 100,      /* this process stood still: what it has not heard says nothing */
    UNREACHABLE_LEASES = 3, /* a region of Q silent this many leases is taken out */
    SAID_SLOW =
        10, /* of slow_commit_ms a part: how long a region whose disk is slow may lack an entry */
    KEY_SIZE = 256,
    UNSOUND_MAX = 64, /* partitions listed in a beat */
};

enum region_event_no {            /* events of the role table */
                       EV_RECORD, /* a newer account record */
                       EV_STALE, /* storage knows a higher generation than this process acts under */
                       EV_COUNT,
};

/* Decisions: what a record change is for. Numbers of the rules that lead to a new writer start at
 * 310; they are kept in the record's epochs. */
enum rule {
    RULE_EVICT_SLOW = 298,
    RULE_PART_UNUSABLE = 350, /* one partition: parts_decide.c */
    RULE_PART_OPERATOR = 351,
    RULE_PART_CLAIM_OWN = 352,
    RULE_PART_CLAIM = 353,
    RULE_PART_PASS_ON = 354,
    RULE_PART_OPEN = 355,
    RULE_PART_RETURN = 356,
    RULE_PART_RETURN_ASKED = 357,
    RULE_PART_TAKE = 358,
    RULE_PART_ROLLBACK = 359,
    RULE_PART_GONE = 360,
    RULE_PART_REPAIR = 361, /* parts_repair.c */
    RULE_PART_WHOLE = 362,
    RULE_EVICT_HOLDS_UP = 299,
    RULE_EVICT_STOPPED = 300,
    RULE_EVICT_EXPIRED = 301,
    RULE_EVICT_SILENT = 302,
    RULE_ADMIT = 303,
    RULE_RECOVER = 304,
    RULE_REPORT = 305,
    RULE_LSN_BLOCK = 306,
    RULE_DRAIN = 307,
    RULE_KEEP = 308,
    RULE_LEVEL = 309,
    RULE_REMOVED = 340, /* the region set: after those that lead to a new writer */
    RULE_FULL_COPY = 341,
    RULE_CLAIM_STOPPED = 310,
    RULE_CLAIM_EXPIRED = 311,
    RULE_CLAIM_RESTART = 312,
    RULE_CLAIM_CHOSEN = 313,
    RULE_PASS_ON = 314,
    RULE_OPEN = 315,
    RULE_CLAIM_ACCEPTED = 316,
    RULE_TAKE = 320,
    RULE_ROLLBACK = 321,
    RULE_DISK_SLOW = 330,
    RULE_STEP_DOWN = 331,
    RULE_HOLD_BACK = 332,
    RULE_METADATA = 333,
};

/* What the coordinator says about one region (also ourselves). */
struct member {
    coord_rev beat_rev;    /* revision of its heartbeat key; 0 = absent */
    usec seen_us;          /* when we learned of beat_rev */
    uint64_t incarnation;  /* from the beat; 0 = none seen */
    generation generation; /* of the record it knows */
    coord_rev rec_rev;     /* revision of the record it knows */
    unsigned lease_ms;
    uint64_t parts, ord;
    bool is_whole, could_open, wants_online;
    bool is_disk_slow, is_disk_low;
    unsigned reads;       /* newest record format it reads; 0 = no heartbeat seen */
    size_t unsound_count; /* partitions that it cannot use, by the beat; UNSOUND_MAX: maybe more */
    pid unsound[UNSOUND_MAX];
    uint64_t followers;    /* regions to be admitted that follow all that it writes under rows */
    struct beat_said said; /* where we lack most of what it writes */
    uint64_t stopped;      /* incarnation whose stop was confirmed; 0 = none */
    /* Writer's bookkeeping. */
    usec vouched_us;               /* its newest consent to writing on was asked for then ... */
    generation vouched_generation; /* ... under this generation */
    usec answered_us;              /* when the newest of our pings that it has answered was sent */
    usec pong_us;                  /* when its last answer to a ping came */
    usec answering_us;             /* since when they have come without a break */
    usec grant_us;                 /* latest time at which it may have been given a read lease */
    coord_rev out_rev;             /* record revision that took it out of Q; 0 = it is in */
    usec lag_ok_since_us;          /* its lag has been small since; 0 = it is not */
    usec join_since_us;
    generation blocked_generation; /* of the row that last kept it from being admitted */
    usec promised_us;   /* our beat said last then that it follows (parts_promise); 0 = never */
    usec slow_until_us; /* it was left behind because it was slow: not admitted before */
    usec
        spared_until_us; /* it lost the writer's role while its disk was slow: see health_on_writer */
};

struct txn_slot {
    uint64_t ticket; /* 0 = none in flight */
    usec sent_us;
    coord_rev rec_rev; /* of the record it compares */
    generation generation;
    enum rule rule;     /* record change */
    region_id compared; /* member whose beat is compared; 0 = none */
    bool puts_beat;
    struct buf value; /* the record it puts */
};

/* See health.h. */
struct health {
    struct disk_health disk;
    bool is_slow;     /* for slow_for_ms now */
    bool is_disk_low; /* the server says so */
    uint64_t
        failed_mask; /* hand-overs to them because of the disk were rolled back, one after the other */
    epoch loss_epoch;   /* newest epoch opened by RULE_CLAIM_EXPIRED */
    usec hold_until_us; /* no other one before */
    bool is_holding, is_hold_told;
    struct clock_watch clocks[REGION_ID_MAX + 1];
    usec next_clock_us;
    int64_t clock_ahead_ms;
    bool is_clock_off;
};

/* What this process is for one partition with a writer of its own. */
enum part_role {
    PROLE_IDLE, /* the region takes no part: it serves nothing of the partition */
    PROLE_FOLLOWING,
    PROLE_PROMOTING,
    PROLE_WRITER,
    PROLE_HOLDING,
    PROLE_TAKING,
    PROLE_COUNT,
};

/* One row of the record, as this process sees it. */
struct part_ctl {
    pid pid;
    int role;              /* enum part_role */
    int rule;              /* row of the table that led here */
    generation generation; /* of the row under which it was taken ... */
    epoch epoch;           /* ... and the epoch, as writer; 0 = never opened it */
    coord_rev row_rev;     /* record revision in which the row was first seen */
    coord_rev since_rev;   /* record revision in which the row's generation was first seen */
    generation seen_generation;
    usec role_since_us;
    usec over_us; /* when it was first seen that the holder's reign is over; 0 = it is not */
    coord_rev over_rev;
    uint64_t token_shown;
    usec lease_from_us; /* its writer's answers to questions from then on count; 0 = not open */
    usec claim_ready_us, claim_us; /* promotion */
    enum rule claim_rule;
    region_id claim_from;
    uint32_t detect_ms, wait_ms;
    uint64_t lost_estimate;
    struct beat_lags lost_parts; /* the partitions of it that are known, with what they lack */
    usec pull_from_us, pull_sent_us;
    bool is_opening;
    usec end_sent_us, near_since_us; /* graceful change */
    unsigned end_count;
    struct place take_at;
    generation take_generation; /* 0 = not yet told */
};

/* See objection.c. */
struct objection {
    coord_rev shown;  /* revision of the old record */
    generation known; /* here; 0 = nothing to object to */
    uint64_t ticket;  /* 0 = none in flight */
    usec next_us;
    bool is_settled;
};

struct region {
    struct region_cfg cfg;
    struct region_io io;
    struct engine *engine;
    struct repl *repl;
    struct region_view view;
    struct rng rng;
    char account[RECORD_NAME_MAX];

    struct objection objection; /* ours */
    char key_prefix[KEY_SIZE], key_record[KEY_SIZE], key_beat[KEY_SIZE];

    /* The record. */
    struct account_record *rec; /* NULL before the first; in rec_arena[rec_at] */
    struct arena rec_arena[2];
    unsigned rec_at;
    coord_rev rec_rev;
    coord_rev reign_rev;  /* record revision in which we first saw its generation */
    coord_rev token_rev;  /* record revision in which we first saw its token version */
    uint64_t token_shown; /* see members_token_version */
    usec reign_over_us;   /* when we saw that the newest epoch's generation is no longer
                                     * the record's; 0 = it still is */
    bool is_synced;       /* in touch with the coordinator */
    struct member members[REGION_ID_MAX + 1];

    /* Role. */
    int role; /* enum region_role */
    int rule; /* row that led here */
    usec role_since_us;
    usec tick_us, awake_since_us; /* last tick; since when they have come without a long gap */
    bool is_draining;

    struct health health;

    /* Partitions with a writer of their own; a heap block each, owned; by pid. */
    size_t part_ctl_count;
    struct part_ctl *part_ctls[RECORD_OVERRIDES_MAX];
    usec repair_since_us; /* a partition that is read here needs to be copied anew; 0 = none */
    bool part_event_told; /* no region could take a partition: told once */
    uint64_t part_openings;

    /* Our lease. */
    struct txn_slot beat, change;
    uint32_t own_rule; /* while a change of our own is taken in: why it was made */
    uint64_t next_ticket;
    usec next_beat_us;
    usec next_change_us; /* back-off of record changes */
    uint64_t beat_no;
    usec lease_from_us;      /* send time of the last good bump as writer; 0 = none */
    usec vouched_us;         /* as of when all other regions have vouched for it last; 0 = never */
    bool is_vouched;         /* by them alone the lease holds */
    usec promised_until_us;  /* no taking over from the writer before: vouch.c */
    coord_rev unsettled_rev; /* a change that compared this revision has an unknown outcome */
    usec good_us;            /* send time of the last good bump in whatever role, ... */
    coord_rev good_rev;      /* ... and the record revision that it compared */
    bool lease_was_fresh;
    bool is_report_done;

    /* Strong reads. */
    usec read_until_us; /* reader: read lease */
    usec
        read_from_us; /* the writer's answers to questions from then on count; 0 = it has not opened */
    usec part_read_until_us[REGION_ID_MAX + 1]; /* the same, by writer of partitions */
    usec next_ping_us;
    uint64_t evicting, joining; /* writer */
    coord_rev evicting_rev, joining_rev;

    /* Promotion. */
    usec claim_ready_us;  /* since when a claim would be allowed; 0 = it is not */
    enum rule claim_rule; /* of the claim that succeeded */
    region_id claim_from; /* writer before it */
    usec claim_us;
    uint32_t detect_ms, wait_ms;
    uint64_t lost_estimate;
    struct beat_lags lost_parts; /* the partitions of it that are known, with what they lack */
    usec pull_from_us, pull_sent_us;
    bool is_pulling, is_opening; /* opening: branch points are fixed */

    /* Graceful change. */
    usec hold_since_us, end_sent_us;
    unsigned end_count; /* TRANSFER_ENDs after the first */
    /* The last that we proposed ourselves: the record may be seen before the answer to the proposal. */
    enum rule proposed_rule;
    int64_t proposed_until_ms;
    enum rule hold_rule; /* why we hand over; 0 = an operator asked for it */
    region_id hold_to;
    bool is_held_without_disk; /* no longer waits for what is not durable here: transfer_tick */
    struct arena take_arena;   /* tails of the old writer */
    struct msg_tail *take_tails;
    size_t take_count;
    generation take_generation; /* 0 = not yet told */
    usec take_since_us;

    /* Client work. */
    struct list pending; /* region_write: waits for acknowledgement */
    struct list held;    /* region_write: not ordered yet */
    struct list delayed; /* region_write: not ordered yet, regions are far behind */
    struct list done;    /* region_write: to be answered with the next flush */
    struct list waits;   /* region_wait */
    struct list waits_done;
    size_t held_count, delayed_count, pending_count, wait_count, pending_size;
    usec next_deadline_us;

    /* For the status page. */
    struct {
        enum rule rule;
        usec at_us;
        int64_t wall_ms;
        uint32_t detect_ms, wait_ms, promote_ms;
        uint64_t lost_estimate;
        struct beat_lags lost_parts;
        region_id from;
    } last_failover;
    usec throttle_told_us; /* last EVENT_THROTTLED */
    uint64_t writes_delayed, writes_throttled;
    uint64_t writes_ok, writes_unknown, writes_refused, writes_rejected, failovers, stale_events;
};

static inline usec region_now(const struct region *r)
{
    return r->io.now(r->io.ctx);
}
static inline usec ms(unsigned n)
{
    return n * UINT64_C(1000);
}
static inline bool region_acts_as_writer(const struct region *r)
{
    return r->role == ROLE_WRITER || r->role == ROLE_HOLDING;
}

/* ---- region.c ---- */
void region_event(struct region *r, enum region_event_kind kind, uint32_t rule, const char *fmt,
                  ...) __attribute__((format(printf, 4, 5)));
void region_step(struct region *r, enum region_event_no ev);
void region_update_mode(struct region *r);
void region_update_masks(struct region *r);
void region_publish_view(struct region *r);
const struct record_region *region_self(const struct region *r);
const struct record_epoch *region_reign(const struct region *r); /* newest epoch; NULL = none */
bool region_lease_is_fresh(const struct region *r);
/* Whoever hands over says again where its log ends: soon, since the other region may not have seen the
 * record yet and then hears nothing. True: now, and *sent_us (0 = not said yet) and *count are brought up to date. */
bool region_end_is_due(const struct region *r, usec now, usec *sent_us, unsigned *count);
usec region_lease_until(const struct region *r);

/* When the next question for read leases (PING) may be sent at the earliest: none from before is so young. */
static inline usec region_next_question(const struct region *r)
{
    return r->next_ping_us != 0 ? r->next_ping_us : 1;
}

/* ---- fsm.c: actions are in region.c ---- */
void act_fence(void *ctx, const void *event);
void act_follow(void *ctx, const void *event);
void act_stop(void *ctx, const void *event);
void act_seal(void *ctx, const void *event);
void act_open(void *ctx, const void *event);
void act_refresh(void *ctx, const void *event);
void act_hold(void *ctx, const void *event);
void act_take(void *ctx, const void *event);

/* ---- coordio.c: heartbeat, record, transactions ---- */
void coordio_tick(struct region *r);
void coordio_on_record(struct region *r, struct str value, coord_rev rev);
/* Sends a change of the record; `next` must pass record_check once it is settled (record_settle). */
void coordio_change(struct region *r, enum rule rule, struct account_record *next,
                    region_id compare_beat, bool puts_beat);
/* The region's lease has certainly ended, if it was renewed at since_us for the last time. */
bool coordio_lease_has_passed(const struct region *r, region_id id, usec since_us);
bool coordio_is_expired(const struct region *r, region_id id);
/* That process of the region's: its stop is confirmed, or another one runs there. */
bool coordio_has_ended(const struct region *r, region_id id, uint64_t incarnation);
bool coordio_is_stopped(const struct region *r, region_id id);
bool coordio_is_alive(const struct region *r, region_id id);
uint64_t coordio_alive_mask(const struct region *r); /* the other regions that are */

/* ---- decide.c ---- */
void decide_tick(struct region *r);
bool decide_lease_is_over(const struct region *r);
void decide_drop_joining(struct region *r);
/* A copy of the record to be changed, in `a`. */
struct account_record *decide_next_record(const struct region *r, struct arena *a);
const char *decide_rule_text(enum rule rule); /* for people: reasons in the record */
void decide_copy_text(char *out, size_t size, const char *text); /* cut to fit, zeros behind */
/* Since that process opened the epoch with this token version, it has ended, and a region may have been
 * removed that had shown what the end cost: nobody can ask it any more. */
bool decide_may_have_left(const struct region *r, uint64_t incarnation, uint64_t token_version);
uint32_t decide_clamp_ms(usec us); /* as the record holds it */
bool decide_may_evict(const struct region *r, region_id id);
/* Every region of the account is known to read records of that format: a decision that would raise
 * the record's asks first, and does without when it may not. */
bool decide_may_write(const struct region *r, unsigned format);

/* ---- plan.c ---- */
/* ERR_INVALID: the account has no region of that name. */
enum err plan_no_region(const struct account_record *rec, struct str name, struct errinfo *ei);

/* What the record's newest writer was doing is certainly over: it died, or has seen a newer record. */
bool decide_has_stopped(const struct region *r, const struct record_epoch *reign);

/* ---- vouch.c: writing on without the coordinator ---- */
void vouch_begin(struct region *r);
void vouch_tick(struct region *r);
void vouch_on_ask(struct region *r, region_id from, const struct msg *m);
void vouch_on_answer(struct region *r, region_id from, const struct msg *m);
/* Nothing that was promised to the writer of the newest epoch keeps this region from taking over. */
bool vouch_is_over(const struct region *r);

/* ---- members.c: what the writer does about regions that leave or fall far behind ---- */
bool members_finish_removal(struct region *r);
uint64_t members_token_version(struct region *r);
bool members_spare_log(struct region *r);

/* ---- parts.c, parts_lease.c, parts_decide.c, parts_admit.c: partitions with a writer of their own ---- */
struct fsm;
struct part_ctl *parts_ctl(const struct region *r, pid p); /* NULL: it follows the account */
void parts_on_record(struct region *r, const struct account_record *old); /* before region_step */
/* Before each mode of the region: it must not reach, not even for a moment, a partition that has just
 * got a row, whose log may lack what the mode says was lost. */
void parts_prepare(struct region *r);
void parts_update(struct region *r, const struct repl_mode *common); /* after each mode */
void parts_publish(struct region *r);
void parts_update_masks(struct region *r);
bool parts_writes_any(const struct region *r);
/* A partition that this region writes still shows an older token version. */
bool parts_await_version(const struct region *r, region_id id);
bool parts_lease_is_fresh(const struct region *r, const struct part_ctl *c);
bool parts_may_lease(const struct region *r); /* our own leases hold: read leases may be given */
/* The record may say that this process has opened a partition, which does not know it yet. */
bool parts_may_have_opened(const struct region *r);
/* false: it is not about a partition with a row. One that leaves the account's writer has its generation. */
bool parts_on_transfer_end(struct region *r, region_id from, const struct msg *m);
void parts_tick(struct region *r);
bool parts_decide(struct region *r); /* true: a change of the record is under way */
void parts_fold(struct region *r, struct account_record *next); /* with a new account epoch */
bool parts_block_admission(const struct region *r, region_id id);
void parts_tell_blocked(struct region *r,
                        region_id id); /* an event, once for each reign of a partition */
/* For the heartbeat: those of the regions whose log may have a hole that follow all that this process writes
 * under rows. From then on, for a minute, it trims nothing that they lack: they may be admitted unseen. */
uint64_t parts_promise(struct region *r);
uint64_t parts_promised(const struct region *r);
size_t parts_unsound(const struct region *r, pid out[UNSOUND_MAX]);
void parts_free(struct region *r);
void parts_check(const struct region *r);
uint64_t region_strong_mask(const struct region *r);

/* ---- health.c ---- */
void health_tick(struct region *r);
void health_on_beat(struct region *r, region_id id, int64_t their_wall_ms);
void health_on_record(struct region *r, bool is_first);
bool health_may_fail_over(struct region *r); /* now, without a confirmed stop */
void health_opened(struct region *r);
void health_on_writer(struct region *r, region_id old);   /* the record names another one now */
bool health_is_fit(const struct region *r, region_id id); /* to be handed the writer's role */
/* No change of mind about a slow region for so long: neither its role nor its place in Q. */
usec health_rest_us(const struct region *r);
/* RULE_DISK_SLOW, RULE_METADATA, or 0. */
enum rule health_wants_relief(const struct region *r);
/* ---- objection.c ---- */
void objection_raise(struct region *r, coord_rev shown, generation known);
void objection_tick(struct region *r);
void objection_on_result(struct region *r, const struct coord_txn_result *res);
void objection_on_kv(struct region *r, region_id id, bool is_there);
/* ---- levels.c ---- */
/* `next` gets the level that a running change leads to, when that holds already. */
bool levels_finish(const struct region *r, struct account_record *next);
bool levels_may_lease(const struct region *r, region_id to);
/* May the region serve reads under a lease given earlier, although it is out of Q or the account has
 * no such leases any more? */
bool region_may_hold_lease(const struct region *r, region_id id, usec now);

/* ---- throttle.c ---- */
enum throttle_verdict { THROTTLE_GO, THROTTLE_WAIT, THROTTLE_REFUSE };
void throttle_tell(struct region *r,
                   const struct region_write *w); /* refused: now and then an event */
enum throttle_verdict throttle_check(const struct region *r, struct region_write *w);

/* ---- write.c ---- */
void write_tick(struct region *r);
void write_flush(struct region *r);
void write_release_held(struct region *r, enum err err); /* OK: order them now */
void write_hold_delayed(struct region *r);               /* delayed writes become held ones */
void write_end_pending(struct region *r);                /* left the writer's role */
void write_end_part(struct region *r, pid p);            /* the same, of one partition with a row */
bool write_has_pending(const struct region *r, pid p);
void write_recheck_held(struct region *r); /* a partition may not be held any more */
void write_recheck_waits(struct region *r);
void write_on_acked(void *ctx, struct wait_node *n);
void write_on_applied(void *ctx, struct wait_node *n);
void write_on_committed(void *ctx, struct wait_node *n);
void write_drop_part(struct region *r, pid p);
