/* Inside of the protocol layer: a request in work (`struct op`) and what its handlers share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "cosmos/auth.h"
#include "cosmos/catalog.h"
#include "cosmos/epk.h"
#include "cosmos/errors.h"
#include "cosmos/service.h"
#include "cosmos/session.h"
#include "cosmos/target.h"
#include "net/http_server.h"

struct account_snap {
    _Atomic uint32_t refs;
    struct arena arena;
    struct account_record rec;
    struct cosmos_auth *auth;
};

struct op;
struct cosmos_service {
    struct engine *engine;
    struct region *region;
    struct region_view *view;
    const struct part_view *metadata; /* of partition 0 */
    struct cosmos_backend backend;
    char region_name[RECORD_NAME_MAX];
    bool rejects_lost_sessions;
    _Atomic bool is_stopping;
    _Atomic bool is_catalog_old; /* it could not be read again: requests get 503 */
    usec catalog_next_us;        /* when to try again; core thread */
    _Atomic uint64_t sessions_lost, sessions_rejected;
    pthread_mutex_t lock; /* guards the two pointers below; held for a few instructions; leaf */
    struct account_snap *account;
    struct catalog *catalog;
    /* Reads that had to wait are taken up again here, not on the core thread. */
    pthread_t worker;
    pthread_mutex_t queue_lock; /* guards queue, is_ending; leaf */
    pthread_cond_t queue_wake;
    struct list queue;
    bool is_ending;
    /* Partitions whose container is gone; dropped once that cannot be undone. Core thread. */
    struct {
        pid p;
        lsn gone_at;
    } * drops; /* owned */
    size_t drop_count, drop_cap;
    uint64_t parts_seen; /* region_parts_made when orphans were looked for */
};

/* One request. Lives in req->arena: gone with http_respond. */
struct op {
    struct cosmos_service *service;
    struct http_req *req;
    struct target target;
    struct account_snap *account; /* reference */
    struct catalog *catalog;      /* reference */
    struct container *coll;       /* NULL, or borrowed from catalog */
    bool is_read_only;            /* key */
    enum consistency level;       /* asked for, or the account's */
    bool has_pk;
    struct pk pk;
    struct str session; /* header; empty = none */
    struct http_response res;
    double charge;
    size_t token_ordinal;  /* range named in the session token of the answer */
    lsn token_lsn;         /* 0 = the range's applied lsn */
    bool is_hub_only;      /* only the write region may answer */
    unsigned throttled_ms; /* 429: when to try again; 0 = soon */
    bool is_session_lost;  /* the session token names what a failover cut off */
    /* What a wait goes on with. */
    void (*resume)(struct op *op, enum err err);
    bool resume_on_core;
    struct region_wait wait;
    struct list link;
    size_t gate_first, gate_next, gate_end; /* ordinals */
    void (*gated)(struct op *op);
    void *state; /* the handler's */
};

/* ---- answering: each ends the op ---- */
void op_header(struct op *op, struct str name, struct str value);
void op_answer(struct op *op, int status, struct buf *body); /* body NULL = none; taken over */
void op_answer_str(struct op *op, int status, struct str text);
void op_fail(struct op *op, const struct errinfo *ei);
void op_fail_with(struct op *op, int status, int substatus, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* ---- reading ---- */
/* Waits until ranges [first, end) may be read at op->level with op->session, then calls `gated` (on
 * an HTTP thread or the worker). Answers by itself when they may not. */
void op_gate(struct op *op, size_t first, size_t end, void (*gated)(struct op *op));
/* Before a read is answered: at Strong waits until `need` in that range cannot be lost; checks the
 * lease; then calls `go` with OK, possibly at once, possibly on the core thread. */
void op_confirm(struct op *op, size_t ordinal, lsn need, void (*go)(struct op *op, enum err err));
/* The same ranges after reading: a returning region takes its lost entries out between two reads, and
 * what was read in that instant must not be answered. */
bool op_is_readable(const struct op *op, size_t first, size_t end);
/* Goes on with `go` on the worker thread, where engine reads may block. */
void op_later(struct op *op, void (*go)(struct op *op, enum err err));
/* After a read of partition p from storage that failed: when what is stored is damaged the core is told,
 * and *ei becomes ERR_UNAVAILABLE, since another region has it. Returns ei->code. */
enum err op_note_unreadable(struct op *op, pid p, struct errinfo *ei);
/* Where a change feed goes on in the history that a partition's meta tells of (repl_resume). By the newest record: the
 * request's may be older than what was read since. */
enum err op_resume(const struct op *op, pid p, struct str extra, lsn after, lsn *ret,
                   struct errinfo *ei) MUST_CHECK;
bool op_is_strong(const struct op *op);
/* Whether this region may answer at that level now, asked after reading: Strong and BoundedStaleness
 * need its lease, a hub-only read the writer's. OK, ERR_UNAVAILABLE, ERR_NOT_WRITER. */
enum err op_check_lease(const struct op *op) MUST_CHECK;
/* ERR_REGION_GONE or ERR_UNAVAILABLE when the partition may not be served here now. */
enum err op_check_readable(const struct op *op, const struct part_view *view,
                           struct errinfo *ei) MUST_CHECK;
/* For what expires: by the earlier of our clock and the other regions' while they are apart. */
int64_t op_now_s(const struct op *op);

/* ---- requests ---- */
bool op_flag(const struct op *op, struct str header); /* "true" in any case */
bool op_is_query(const struct op *op); /* a POST with these headers to a feed is a query */
/* Partition key from the header, checked against the container. ERR_INVALID. */
enum err op_read_pk(struct op *op, bool is_needed, bool allow_prefix,
                    struct errinfo *ei) MUST_CHECK;
enum err op_body(struct op *op, const struct json **ret, struct errinfo *ei) MUST_CHECK;
enum err op_check_id(struct str id, bool is_item, struct errinfo *ei) MUST_CHECK;
size_t op_page_size(const struct op *op); /* x-ms-max-item-count; 0 = server decides */
void op_charge_write(struct op *op, size_t bytes, size_t uniques);
void op_charge_read(struct op *op, size_t bytes);
void submit_write(struct op *op, struct region_write *w);

/* `,"_rid":"...","_self":"...","_etag":"...","_ts":N` for any resource. */
struct system_props {
    struct str rid;
    struct str self;
    struct str extra; /* further members, each with its comma in front; may be empty */
};
void etag_write(const struct write_place *place,
                struct buf *out); /* with its quotes, not JSON-escaped */
void system_props_write(const struct system_props *p, const struct write_place *place,
                        struct buf *out);
extern const struct str system_keys[];
extern const size_t system_key_count;
/* If-Match / If-None-Match against an etag; quotes and W/ ignored. */
bool etag_matches(struct str condition, struct str etag);
struct str etag_of_text(struct arena *a,
                        struct str text); /* value of _etag at the end of stored text */

/* ---- handlers ---- */
void items_create(struct op *op);              /* POST docs: create or upsert */
void items_item(struct op *op, struct str id); /* GET, PUT, PATCH, DELETE docs/id */
void items_batch(struct op *op);
void items_purge(struct op *op); /* operations/partitionkeydelete */
bool items_write_done(struct region_write *w);
void feed_docs(struct op *op); /* GET docs */
void feed_query(struct op *op);
void feed_plan(struct op *op);
void feed_changes(struct op *op);
void conflicts_feed(struct op *op);
void conflicts_item(struct op *op, struct str id);
void ranges_feed(struct op *op);
void meta_feed(struct op *op, enum meta_kind kind, uint32_t x, uint32_t y, struct str parent_rid,
               const char *feed_key);
void meta_databases(struct op *op);
void meta_database(struct op *op, struct str db);
void meta_containers(struct op *op, const struct database *db);
void meta_container(struct op *op);
void meta_children(struct op *op, enum meta_kind kind, const struct database *db, uint32_t parent,
                   struct str parent_link, struct str parent_rid, struct str id);
void meta_offers(struct op *op, struct str id);
/* Every write's `user` points to one of these first. */
struct write_user {
    void (*done)(struct region_write *w);
    struct op *op;
};
