/* What the files of a node share: node.c (state, life, disk faults), node_io.c (traps, what the core asks
 * for, the catalog), node_round.c (mail and rounds). */
#pragma once

#include "sim/disk.h"
#include "sim/node.h"

enum mail_kind {
    MAIL_TICK,
    MAIL_COMMIT,
    MAIL_TXN,
    MAIL_KV,
    MAIL_COORD,
    MAIL_LINK,
    MAIL_FRAME,
    MAIL_ARCHIVED,
    MAIL_CALL,
    MAIL_DRAIN,
};

struct mail {
    enum mail_kind kind;
    uint64_t a, b;
    enum err err;
    node_call_fn *fn;
    void *ctx;
    struct arena *arena; /* owned; what the rest points into; may be NULL */
    struct str bytes;
    struct coord_kv kv;
    struct coord_txn_result txn;
};

struct node {
    struct world *w;
    region_id id;
    struct engine *engine; /* owned; outlives processes */
    struct disk disk;

    /* clocks: boot = boot_value + (now - boot_base) * (1 + ppm / 1e6) */
    int ppm;
    usec boot_base, boot_value;
    int64_t wall_offset_ms;

    /* process */
    bool is_up;
    bool is_dying;   /* the core is being freed: its outputs go nowhere */
    bool is_cut_off; /* a crash trap fired in this call: outputs go nowhere */
    bool has_fatal;
    uint64_t life, incarnation;
    struct region *r;
    struct region_io io;
    struct mail *mail; /* owned; queue */
    size_t mail_count, mail_cap;
    bool is_run_planned;
    usec paused_until; /* 0 = running */
    uint64_t pause_seq;
    usec round_at;   /* the present call into the core began */
    usec skew;       /* pauses inside it so far */
    usec busy_until; /* time goes on while the core works, a little with each look at the clock */
    unsigned clock_reads;
    usec tick_at;               /* planned; 0 = none */
    uint32_t parts;             /* bit per partition of its catalog */
    lsn made_at[SIM_PARTS_MAX]; /* in the metadata log */
    lsn gone_at[SIM_PARTS_MAX]; /* its container is gone since; 0 = it is not */
    uint64_t parts_seen;        /* region_parts_made when orphans were looked for */
    struct list ops;            /* client operations inside the process */
    struct trap trap;
};

extern const struct region_io node_io; /* node_io.c */
/* Called at each point where a real process could be stopped. */
void node_trap_point(struct node *n, enum io_kind kind);
void node_reload_catalog(struct node *n, lsn upto);
void node_drop_partitions(struct node *n);

void node_add_mail(struct node *n, struct mail m); /* node_round.c; takes the arena over */
void node_drop_mail(struct node *n);
void node_plan_run(struct node *n);
