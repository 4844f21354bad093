/* Inside of the copy of a partition: seed.c, seed_ranges.c, seed_feed.c. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "repl/repl_int.h"

enum {
    SEED_SIZE_MAX = 256 << 10,  /* texts in one piece */
    SEED_WINDOW_MAX = 16 << 20, /* pieces sent and not stored there, per peer, bytes */
    SEED_QUESTIONS_MAX = 16,    /* ranges asked for ahead, per partition */
    SEED_AHEAD_MAX = 64,        /* same, all partitions; each may always ask for one */
    SEED_HOLD_SIZE_MAX = ENGINE_DOC_SIZE_MAX + ENGINE_UNIQUE_MAX * (ENGINE_KEY_SIZE_MAX + 8),
};

struct seed_key {
    struct str key;
    uint64_t sum;
    struct engine_version version;
};

/* A range that was asked for, and what is here in it. */
struct seed_question {
    struct list link; /* in seed.questions, in order of keys */
    struct arena arena;
    uint64_t t; /* its number */
    enum engine_space space;
    bool is_end;   /* to the end of the space, else up to `to` */
    struct str to; /* in `arena`, as the keys and what is with them */
    size_t key_count;
    size_t next_key; /* those before lie in pieces that were put in */
    struct seed_key *keys;
};

/* A piece that waits until our tail reaches its snapshot, and its turn. */
struct seed_held {
    struct list link; /* in seed.held, as received */
    lsn lsn;
    struct buf frame;
};

struct seed {
    struct partition *part;
    bool is_on;       /* the log ends at or after S: the copy is under way, also in storage */
    bool is_jump_due; /* told where to copy from, not there yet */
    struct place at;
    size_t row_count;
    struct epoch_row rows[MSG_EPOCHS_MAX];

    lsn base; /* what entries up to here have touched is not remembered: a snapshot must have them all */
    enum engine_space space; /* the cursor: keys below it are copied */
    char cursor[ENGINE_KEY_SIZE_MAX];
    size_t cursor_size;

    struct list questions; /* struct seed_question; the first one holds the cursor */
    size_t question_count;
    uint64_t request;             /* number of the last one, of no other copy */
    enum engine_space look_space; /* where the next one begins */
    char look[ENGINE_KEY_SIZE_MAX];
    size_t look_size;
    bool is_asked_all; /* there is no next one */
    bool is_first;     /* the next one makes the writer forget those before */
    usec heard_us;     /* last piece, or the question when there was none yet */
    struct list held;  /* struct seed_held */
    size_t held_size;
    struct seed_got {
        uint64_t ticket; /* batch that the piece is in; 0 = none */
        uint64_t t;      /* its question */
        uint64_t sent;   /* bytes of pieces up to it, as the writer counts */
    } got[2];            /* [0] is confirmed when it is stored; [1]: the newest after it */
    bool is_single;      /* SEED_FEED was not answered: SEED_GET, one at a time */
    unsigned single_count;

    struct map touched; /* (space, key) from the cursor on that entries have decided about */
    size_t touched_max; /* pruned above this */
    struct map uniques; /* unique keys given to someone since the process has been copying */
    uint64_t copied, kept;
    usec began_us;
    struct list link; /* in repl.seed_list */
};

/* ---- seed.c ---- */
bool seed_is_touched(const struct seed *s, enum engine_space space, struct str key);
void seed_prune_touched(struct partition *p);
/* Into the batch, with the counters: `now` (NULL: none) in place of `old` (NULL or lsn 0: none), the
 * version in storage. */
void seed_replace(struct partition *p, enum engine_space space, struct str key,
                  const struct engine_version *old, const struct engine_doc *now);
void seed_finish(struct partition *p); /* frees p->seed */

/* ---- seed_ranges.c ---- */
void seed_ranges_step(struct partition *p);
void seed_ranges_forget(struct partition *p); /* what was asked, and answers that wait */

/* ---- seed_feed.c ---- */
/* Of a document as it is stored; equal in two regions: it need not be sent. */
uint64_t seed_doc_sum(struct str key, const struct engine_doc *d);
