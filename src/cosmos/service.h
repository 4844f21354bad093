/* The protocol layer of one region's server: turns HTTP requests into reads from the engine and
 * writes for the region core.
 *
 * Threads: cosmos_handle on any HTTP thread; cosmos_set_record, cosmos_catalog_load,
 * cosmos_metadata_applied, cosmos_write_done, cosmos_wait_done and cosmos_conflict_build on the core
 * thread. HTTP threads see the record and the catalog as immutable reference-counted snapshots. */
#pragma once

#include "account/record.h"
#include "account/region.h"
#include "engine/engine.h"
#include "net/http_server.h"

struct cosmos_service;

/* Hands work to the core thread. False: its queue is full, nothing happened. */
struct cosmos_backend {
    void *ctx;
    bool (*write)(void *ctx, struct region_write *w);
    bool (*wait)(void *ctx, struct region_wait *w);
    /* Storage says that what a read of this partition met is damaged. `ei` is copied. May be lost when
     * the queue is full: the next read meets it again. */
    void (*unreadable)(void *ctx, pid p, const struct errinfo *ei);
};

struct cosmos_service_opts {
    struct region *region; /* only for region_part, region_drop_part, region_view */
    struct engine *engine;
    struct cosmos_backend backend;
    struct str region_name; /* copied */
    /* A session token that names what a failover cut off: 404/1002 instead of an answer that says
     * x-hf-session-loss. */
    bool rejects_lost_sessions;
};

struct cosmos_counts {
    uint64_t sessions_lost;     /* requests whose token named what a failover cut off */
    uint64_t sessions_rejected; /* of those, refused */
};

enum {
    SESSION_WAIT_MS = 1000,
    COMMIT_WAIT_MS = 2000,
    PAGE_SIZE_MAX = 4 << 20,
    ITEM_SIZE_MAX = 2 << 20
};

enum err cosmos_service_new(const struct cosmos_service_opts *opts, struct cosmos_service **ret,
                            struct errinfo *ei) MUST_CHECK;
void cosmos_service_free(struct cosmos_service *s); /* after the HTTP server has ended */
void cosmos_stopping(struct cosmos_service *s);     /* from now on requests get 503 */
void cosmos_set_record(struct cosmos_service *s, const struct account_record *rec);
enum err cosmos_catalog_load(struct cosmos_service *s, struct errinfo *ei) MUST_CHECK;
void cosmos_metadata_applied(struct cosmos_service *s, lsn upto);
void cosmos_tick(struct cosmos_service *s); /* now and then: drops what is gone for good */
void cosmos_counts(struct cosmos_service *s, struct cosmos_counts *ret); /* any thread */
/* Every partition of every container: {"partitions":[{partition, container, range, minInclusive,
 * maxExclusive, writer, phase, readable, whole}]}; the last two are about this region. Core thread. */
void cosmos_partitions_json(struct cosmos_service *s, struct buf *out);
void cosmos_handle(struct cosmos_service *s, struct http_req *req);
void cosmos_write_done(struct cosmos_service *s, struct region_write *w);
void cosmos_wait_done(struct cosmos_service *s, struct region_wait *w);
bool cosmos_conflict_build(struct cosmos_service *s, pid p, const struct entry *lost, size_t op_idx,
                           const struct conflict_note *note, const struct write_place *place,
                           struct buf *out_key, struct buf *out_text, uint64_t *ret_rid);
bool cosmos_conflict_apply(struct cosmos_service *s, pid p, const struct entry_op *lost,
                           const struct engine_doc *now, const struct write_place *place,
                           struct buf *out_text);
