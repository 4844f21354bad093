/* A feed: which keys of which partitions, in which space, through which query. */
#pragma once

#include "cosmos/service_int.h"

struct query;
/* One item to look at, in the order (ordinal, key). */
struct feed_point {
    size_t ordinal;
    struct str key;
};
struct feed {
    const char *feed_key; /* "Documents" */
    struct str rid;       /* of the parent */
    enum engine_space space;
    const pid *pids;                 /* by ordinal */
    size_t first, end;               /* ordinals */
    struct str from, to;             /* engine keys, half-open; empty `to` = no end */
    const struct feed_point *points; /* not NULL: only these items, none is scanned */
    size_t point_count;
    uint64_t scope; /* continuations of another feed are refused */
    struct query *query;
    bool is_feed;                                          /* no query given */
    bool is_range_gone;                                    /* 410/1002 */
    struct str (*shown)(struct op *op, struct str stored); /* what clients see; NULL = all */
    /* While it runs. */
    struct buf body;
    lsn *needs; /* per ordinal from `first`: tail seen in the snapshot */
    size_t confirm_at;
};
void feed_run(struct op *op, struct feed *f);
/* Partition key, range id and EPK limits from the headers. */
enum err feed_over_container(struct op *op, struct feed *f, enum engine_space space,
                             struct errinfo *ei) MUST_CHECK;
enum err feed_compile_body(struct op *op, struct feed *f, struct errinfo *ei) MUST_CHECK;
void feed_fail(struct op *op, const struct feed *f, enum err err, const struct errinfo *ei);
