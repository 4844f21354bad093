/* The ledger: every operation any client ever asked for, with true times and what became of it.
 * It lies outside the store; checkers compare the store with it. Operations live until the end
 * of the run, so other parts may keep pointers to them. */
#pragma once

#include "account/region.h"
#include "base/list.h"
#include "sim/world.h"

enum op_kind {
    OP_READ,
    OP_SCAN,
    OP_UPSERT,
    OP_CREATE,
    OP_REPLACE,
    OP_DELETE,
    OP_BATCH,
    OP_CONTAINER,
    OP_REMOVE, /* of a container */
};
const char *op_kind_name(enum op_kind k);

enum outcome {
    OUT_PENDING,  /* no answer yet; at the end of a run the same as unknown */
    OUT_OK,       /* acknowledged, or read */
    OUT_REJECTED, /* evaluated and refused: precondition, unique key */
    OUT_REFUSED,  /* certainly not applied: 403, 503, 429, 404/1002 */
    OUT_UNKNOWN,  /* 408, or the process ended first */
};
const char *outcome_name(enum outcome o);

enum reject_why { REJECT_NONE, REJECT_EXISTS, REJECT_ABSENT, REJECT_ETAG, REJECT_UNIQUE };

struct spot { /* an entry: (epoch, lsn) */
    epoch epoch;
    lsn lsn;
};

struct token { /* one partition's session token */
    uint64_t version;
    struct spot at; /* the wire has only the lsn; the epoch is for the checkers */
};

enum { OP_SUBS_MAX = 5, OP_KEY_SIZE = 16, OP_TEXT_SIZE = 64, OP_UNIQUES_MAX = 1 };

struct sub_op {
    enum op_kind kind; /* UPSERT, CREATE, REPLACE, DELETE */
    uint16_t key;      /* 0..SIM_KEYS-1; OP_CONTAINER, OP_REMOVE: the partition */
    uint64_t expect;   /* REPLACE and DELETE: id of the operation whose value must be there
                                (the ETag); 0 = any */
    unsigned unique;   /* 1.. = value of the unique key; 0 = document has none */
    unsigned ttl_s;    /* 0 = never expires */
};

struct op {
    uint64_t id; /* 1..; also the value a write writes */
    unsigned client;
    enum op_kind kind;
    pid pid;
    enum consistency level;         /* reads: asked for, or the account's where it was read */
    bool has_asked_level;           /* explicitly; else the account's */
    bool is_strong_decision;        /* writes: Strong was in force from arrival to answer */
    struct write_throttle throttle; /* of a write that was refused for it */
    size_t sub_count;
    struct sub_op subs[OP_SUBS_MAX];

    region_id region;
    uint64_t life;   /* process that got it */
    usec sent_at;    /* client */
    usec arrived_at; /* process; 0 = never arrived */
    usec decided_at; /* the core's call that answered began */
    usec ended_at;   /* the answer left the core */
    usec seen_at;    /* client got the answer; 0 = never */
    enum outcome outcome;
    enum err err;
    size_t failed_sub;
    enum reject_why why;
    generation generation; /* the process's when it answered */
    uint32_t online_mask;  /* OP_REMOVE: the regions that were online by the record then */

    struct spot at; /* writes: where it was acknowledged, or where prepare saw it go */
    struct spot planned;
    uint64_t version;        /* token version of the answer */
    uint64_t record_version; /* newest anywhere then */

    bool has_token;            /* reads: the client's token was presented, if it had one */
    struct token token;        /* presented; version/at 0 = none */
    struct spot snapshot;      /* reads: the state that was read */
    uint64_t values[SIM_KEYS]; /* reads: values[key], 0 = absent (scan: all keys of its lp) */
    unsigned lp;               /* scan */

    /* plumbing of the request, used by client.c and reader.c */
    struct list node_link; /* in the process's list while it is there */
    struct node *node;
    struct region_write write;
    struct write_op write_ops[OP_SUBS_MAX];
    char keys[OP_SUBS_MAX][OP_KEY_SIZE];
    char texts[OP_SUBS_MAX][OP_TEXT_SIZE];
    char unique_bytes[OP_SUBS_MAX][OP_KEY_SIZE];
    struct str unique_strs[OP_SUBS_MAX];
    struct region_wait wait;
    unsigned read_step, read_tries;
    uint64_t read_generation, read_epoch, read_version;
    usec read_deadline;                               /* on the node's clock */
    bool is_client_gone;                              /* the client does not wait any more */
    void (*answered)(struct world *w, struct op *op); /* called once, in the process's time */
};

struct ledger {
    struct op **ops; /* by id - 1; owned */
    size_t count, cap;
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *l);
struct op *ledger_add(struct world *w, unsigned client, enum op_kind kind, pid p);
struct op *ledger_get(const struct ledger *l, uint64_t id); /* NULL = no such operation */
/* Puts the answer down and tells the client. Exactly once per operation. */
void ledger_answer(struct world *w, struct op *op, enum outcome outcome, enum err err);

static inline bool op_is_write(enum op_kind k)
{
    return k != OP_READ && k != OP_SCAN;
}

static inline bool op_is_metadata(enum op_kind k)
{
    return k == OP_CONTAINER || k == OP_REMOVE;
}

/* ---- names of things ---- */
size_t key_format(char out[OP_KEY_SIZE], uint16_t key); /* "a/0" */
bool key_parse(struct str key, uint16_t *ret);
unsigned key_lp(uint16_t key); /* 0, 1; 2 = expiring keys */
size_t text_format(char out[OP_TEXT_SIZE], uint64_t op_id, unsigned client);
bool text_parse(struct str text, uint64_t *ret_op_id);
