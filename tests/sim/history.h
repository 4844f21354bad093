/* Every log entry that ever became durable in any region, read back from the engines as they are
 * applied. It answers what a state at a place must look like, and finds two entries with one lsn.
 *
 * A place (epoch, lsn) names one entry; following `prev` from a place gives the whole history that
 * a log with that tail holds. Within one epoch entries follow each other; the first entry of an
 * epoch names the place it branched from. */
#pragma once

#include "base/buf.h"
#include "repl/entry.h"
#include "sim/ledger.h"

enum { HIST_KEY_NONE = 0xffff, HIST_EPOCHS_MAX = 1024 };

struct conflict_id { /* of one lost operation; names its conflict record */
    pid pid;
    epoch epoch;
    lsn lsn;
    unsigned op_idx;
};

struct hist_op {
    enum engine_space space;
    bool is_delete;
    uint16_t key;   /* HIST_KEY_NONE: metadata or a conflict record */
    uint64_t value; /* id of the writing operation; 0 for deletes */
    bool is_conflict;
    struct conflict_id conflict;
    pid creates; /* metadata: partition of the container that is made; 0 = none */
    pid removes; /* the same of one that is removed */
};

struct hist_entry {
    struct spot at, prev;
    generation generation;
    uint64_t ord, chain, bytes_hash;
    enum entry_kind kind;
    enum entry_reason reason;
    uint64_t op_id; /* client operation that wrote it, from its texts; 0 = not known */
    size_t op_count;
    struct hist_op *ops; /* owned */
};

struct hist_version { /* one change of one key */
    struct spot at;
    uint64_t value; /* 0 = deleted */
};

struct hist_epoch {
    epoch epoch;
    lsn first_lsn;
    struct spot prev; /* branch: last place of the history before it */
};

struct hist_part {
    struct hist_entry **entries; /* by lsn; owned */
    size_t count, cap;
    struct hist_epoch epochs[HIST_EPOCHS_MAX]; /* ascending */
    size_t epoch_count;
    struct {
        struct hist_version *v; /* by lsn; owned */
        size_t count, cap;
    } keys[SIM_KEYS];
};

/* A record's epoch as it was put into the coordinator. */
struct hist_reign {
    epoch epoch;
    generation generation; /* under which it was opened */
    uint64_t version;      /* token version since */
    bool is_lossy;
    enum consistency level; /* in force when it began */
    region_id writer;
    uint32_t
        spares; /* bit per partition that it has nothing to do with: another region writes it */
    epoch folds
        [SIM_PARTS_MAX]; /* epoch of a row that its writer had, and that went with its opening */
    size_t branch_count;
    struct record_branch branches[SIM_PARTS_MAX];
};

struct history {
    struct hist_part parts[SIM_PARTS_MAX];
    struct hist_reign reigns[HIST_EPOCHS_MAX]; /* ascending epochs */
    size_t reign_count;
    uint64_t version; /* newest token version in any record */
    struct {          /* rows of the newest record */
        region_id writer;
        epoch epoch; /* 0 = none */
    } rows[SIM_PARTS_MAX];
    struct { /* tail that was last read from a region's engine */
        struct spot at;
        uint64_t chain;
    } seen[SIM_REGIONS_MAX + 1][SIM_PARTS_MAX];
    struct archived { /* what regions have in their archives, in no order, more than once */
        pid pid;
        struct spot at;
    } * archived; /* owned */
    size_t archived_count, archived_cap;
    struct arena arena; /* scratch */
    struct buf hold;    /* scratch */
};

struct history *history_new(void);
void history_free(struct history *h);

/* Reads what is new in this region's logs; fails the run on a reused lsn or a torn chain. */
void history_capture(struct world *w, struct node *n);
void history_forget_node(struct history *h, region_id id); /* its disk is another one */
/* Adds one entry; false and a sentence when it contradicts what is known. Takes ops over. */
bool history_add(struct history *h, pid p, const struct hist_entry *e, char ret_why[256]);
/* A record was put: remembers its epochs. */
void history_record(struct world *w, struct str record_text);
void history_archived(struct history *h, pid p, struct spot at);
bool history_is_archived(const struct history *h, pid p, struct spot at);
void history_add_reign(struct history *h, const struct hist_reign *r);

const struct hist_entry *history_find(const struct history *h, pid p, lsn at); /* NULL = none */
/* Is `at` in the history that ends at `tail`? (0,0) is in every history. */
bool history_contains(const struct history *h, pid p, struct spot tail, struct spot at);
/* Last place that the histories ending at a and b share. */
struct spot history_common(const struct history *h, pid p, struct spot a, struct spot b);
/* Value of a key in the state at `tail`; 0 = absent. *ret_at (may be NULL): its version. */
uint64_t history_value(const struct history *h, pid p, uint16_t key, struct spot tail,
                       struct spot *ret_at);
/* May a log end at `at` under that generation? It must lie in the history which the epoch that was
 * opened under it goes on with, or in that epoch. true when none was opened. */
bool history_allows(const struct history *h, pid p, generation g, struct spot at);
/* The first reign whose history lacks `at`; NULL = none does. */
const struct hist_reign *history_loser(const struct history *h, pid p, struct spot at);
/* What is left of `at`, seen under token version `from`, in the history that version `to` began. */
struct spot history_surviving(const struct history *h, pid p, struct spot at, uint64_t from,
                              uint64_t to);

/* Was a container with partition p made at a place of the metadata log above `after`? */
bool history_creates_after(const struct history *h, pid p, lsn after);
/* What the metadata up to `tail` say of p's container: the entry that made or removed it last. */
enum container_state { CONTAINER_NEVER, CONTAINER_THERE, CONTAINER_GONE };
enum container_state history_container(const struct history *h, pid p, struct spot tail);
/* Where the newest log of the partition ends; (0,0): there never was any. */
struct spot history_newest(const struct history *h, pid p);

/* ---- conflict records of the simulator ---- */
size_t conflict_key_format(char out[64], const struct conflict_id *id);
bool conflict_key_parse(struct str key, struct conflict_id *ret);
