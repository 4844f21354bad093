/* The checkers. Each judges plain data (ledger, history, final states), so that self_test.c can give
 * it hand-made good and bad histories; the check_* functions at the end feed them from a run.
 *
 *   linear      Strong: every item is a linearizable register, with unknown outcomes
 *   session     read-your-writes, monotonic reads and writes, writes-follow-reads, per token chain;
 *               across a lossy change only what was lost may be missing
 *   bounded     BoundedStaleness: a read lacks at most K entries, none older than T, of what had been
 *               acknowledged when it began; in one region reads do not go back
 *   throttle    writes are refused for staleness only when a region lacks that much
 *   prefix      each read is exactly the state at some place of some history: no torn batch
 *   writer      acknowledgements of an older generation never follow those of a newer one
 *   follow      a region that follows a writer stores what is in that writer's history, nothing else
 *   errors      refused or rejected: never in any log; acknowledged: in a log, where it was said
 *   loss        acknowledged = in the final history, or in the conflict feed exactly once; or, where the
 *               account's setting has it so, in the archive of the region that lost it
 *   gone        a removed container stays removed: no row, no data, no answer; nothing else goes
 *   converge    all regions equal, byte for byte, and equal to the history replayed */
#pragma once

#include "sim/history.h"
#include "sim/ledger.h"

/* ---- linear ---- */
enum lin_kind {
    LIN_READ,
    LIN_WRITE,
    LIN_CREATE,
    LIN_REPLACE,
    LIN_DELETE,
    LIN_SAW_PRESENT,
    LIN_SAW_ABSENT,
    LIN_SAW_OTHER
};
struct lin_op {
    enum lin_kind kind;
    bool is_unknown; /* may have happened at any time after `from`, or never */
    usec from, to;   /* begin and end; `to` counts only when the outcome is known */
    uint64_t value;  /* written or read; 0 = absent */
    uint64_t expect; /* REPLACE, DELETE: value that must be there, 0 = any; SAW_OTHER: value that
                         was not there */
    uint64_t op_id;  /* for messages */
};
enum lin_verdict { LIN_OK, LIN_BAD, LIN_UNDECIDED };
/* The register begins absent. ops in any order. */
enum lin_verdict lin_check(const struct lin_op *ops, size_t n, size_t steps_max);
/* One item's history out of a ledger: the reads of at least that level, and the writes. What was
 * acknowledged while Strong was not in force and is not in the history up to `tail` may have been
 * lost: its outcome counts as unknown. Returns the count; *ret is the caller's (mem_free). */
size_t lin_collect(const struct ledger *l, const struct history *h, pid p, uint16_t key,
                   enum consistency level, struct spot tail, struct lin_op **ret);

/* ---- session ---- */
bool session_ok(const struct history *h, pid p, const struct token *floor, uint64_t version,
                struct spot at, char ret_why[256]);

/* ---- bounded ---- */
struct bounds {
    enum consistency level; /* reads of at least that level, and below Strong, are judged */
    uint64_t ops;
    usec age_us;
    const struct spot *tails; /* by partition: final history; what is not in it does not count */
};
/* How many reads go against it; the first one in why. */
size_t bounded_violations(const struct ledger *l, const struct history *h, const struct bounds *b,
                          char ret_why[256]);
/* Writes refused for staleness named a lag that can have been. */
bool throttle_ok(const struct ledger *l, const struct history *h, uint64_t ops_max,
                 char ret_why[256]);

/* ---- prefix ---- */
bool prefix_ok(const struct history *h, const struct op *read, char ret_why[256]);

/* ---- writer ---- */
bool writer_ok(struct writer_track t[SIM_PARTS_MAX], const struct op *acknowledged,
               char ret_why[256]);

/* ---- follow ---- */
/* `g`: the generation under which a writer has confirmed the log; `durable`: its end in storage. */
bool follow_ok(const struct history *h, pid p, generation g, struct spot durable,
               char ret_why[256]);

/* ---- errors ---- */
bool errors_ok(const struct ledger *l, const struct history *h, char ret_why[256]);

/* ---- loss ---- */
struct feed_record {
    pid pid; /* partition it was found in */
    struct conflict_id id;
    bool was_acknowledged;
    bool is_applied; /* the lost version was put back ... */
    uint64_t shows;  /* ... in the place of this one */
};
struct final_state {
    enum consistency level; /* if it was the same all the time: see has_level_changed */
    bool has_level_changed;
    bool is_loss_accepted;  /* by an operator: no level's promise of what is kept is judged */
    uint64_t staleness_ops; /* BoundedStaleness: a failover may lose so many per partition */
    bool is_everyone_back;  /* every region that has a log takes part */
    struct spot tails[SIM_PARTS_MAX];
    bool had_quota; /* of the feed, ever: what is in an archive need not be in the feed */
    uint32_t
        diverged_mask; /* bit per setting that was ever in force: what need not be in the feed */
    const struct feed_record *feed;
    size_t feed_count;
    uint32_t
        gone_mask; /* bit per partition that was removed, with its feed; its tail is the last ever */
};
bool loss_ok(const struct ledger *l, const struct history *h, const struct final_state *f,
             char ret_why[256]);

/* ---- gone ---- */
/* Containers are removed only by who asked for that. Once that was acknowledged, no write and no strong read
 * succeeds in a region that was online then, nor anywhere `lease_us` later: one that is cut off cannot know
 * before. That data and rows go as well is part of check_is_converged. */
bool gone_ok(const struct ledger *l, const struct history *h, usec lease_us, char ret_why[256]);

/* ---- from a run ---- */
void check_acknowledged(struct world *w, const struct op *op); /* at the acknowledgement */
void check_read(struct world *w, const struct op *op);         /* at the answer */
void check_follow(struct world *w, const struct node *n);      /* after each round of a process */
/* When the client gets the answer, before it learns from it. */
void check_session_step(struct world *w, const struct op *op, const struct token *floor);
/* Are all regions that run equal and quiet? Says why not. Cheap enough to be asked often. */
bool check_is_converged(struct world *w, char ret_why[256]);
void check_final(struct world *w); /* everything that can only be judged at the end */
/* How many items of this run a stronger level's checker finds fault with. */
size_t check_linear_violations(struct world *w);
size_t check_bounded_violations(struct world *w);
