/* Ordering of client operations: what decides about them, and what they become. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "engine/engine.h"
#include "repl/entry.h"

struct write_place { /* where the operation will be in the log */
    pid pid;
    epoch epoch;
    lsn lsn;
    uint16_t op_idx; /* among the operations that change something */
    uint64_t hlc;
    uint64_t ts; /* never lower than the replaced version's */
    region_id origin;
    bool is_single_region;
    uint64_t token_version;
};

/* What a conflict record says of the write that was lost, beside what is in its entry. */
struct conflict_note {
    region_id from;
    bool was_acknowledged;
    bool is_applied; /* it is the item now: the record has what it replaced */
};

/* An entry of conflict records is about one lost entry of a region. */
struct lost_place {
    region_id from; /* 0 = it is about none */
    epoch epoch;
    lsn lsn;
};

enum write_action { WRITE_REJECT, WRITE_NONE, WRITE_PUT, WRITE_DELETE };

struct write_plan {
    enum write_action action;
    struct str text;     /* PUT: in the write's own memory, valid until the reply */
    uint64_t rid;        /* PUT */
    uint64_t expire_at;  /* PUT: 0 = never */
    size_t unique_count; /* PUT */
    const struct str *uniques;
};

struct write_op {
    enum engine_space space;
    struct str key;
};

/* See region_write.prepare: pure, and may be called again for the same operation at a later place
 * when an expired document had to be removed first. */
typedef void order_prepare(void *ctx, size_t op_idx, const struct write_place *place,
                           const struct engine_doc *current, struct write_plan *ret);

struct order_req {
    size_t op_count;
    const struct write_op *ops;
    enum entry_reason reason;
    order_prepare *prepare;
    void *ctx;
    struct lost_place about; /* REASON_CONFLICT */
};

struct order_res {
    lsn lsn; /* of the new entry; 0 = nothing was written */
    epoch epoch;
    lsn need;    /* the answer may leave when this lsn is acknowledged: the new entry, or the
                   * newest version that the decision was based on */
    size_t size; /* bytes of the entry */
    size_t failed_op;
    struct str conflicting_unique; /* in the preparer's memory */
};
