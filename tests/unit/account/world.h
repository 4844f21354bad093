/* A small deterministic world for region_test: regions on mem engines, the coordinator's store in
 * memory, lossless queues, virtual time in steps of 5 ms. Faults are switches, not chance: the
 * random ones are tests/sim. */
#pragma once

#include "account/region.h"
#include "coord/builtin/store.h"

enum { WORLD_REGIONS_MAX = 4, WORLD_EVENTS_MAX = 512 };

struct world_write {
    struct region_write w;
    struct write_op op;
    struct str text;
    bool is_delete;
    bool must_be_absent; /* a create */
    bool is_done;
};

struct world_node;
struct world {
    usec now;
    struct coord_store *store;
    size_t count;
    struct world_node *nodes[WORLD_REGIONS_MAX + 1]; /* by region id, from 1 */
    struct arena arena;
    uint64_t next_incarnation;
    uint64_t log_size_max;          /* of processes started from now on */
    unsigned copy_docs_max;         /* same */
    enum keep_writing keep_writing; /* same */
    enum msg_type unknown_type; /* messages from this one on are skipped, as by an older program */
    unsigned sent[MSG_TYPE_COUNT]; /* messages by type, those skipped left out */
};

struct world *world_new(size_t regions, enum consistency level);
struct world *world_new_keeping(size_t regions, enum consistency level, enum keep_writing k);
void world_free(struct world *w);
void world_run(struct world *w, unsigned run_ms);
/* Runs until the region has the role; fails the test after 30 s of virtual time. */
void world_until_role(struct world *w, region_id id, enum region_role role);
void world_until_state(struct world *w, region_id id, enum region_state state);
const struct account_record *world_record(struct world *w); /* as the coordinator has it */

void world_stop(struct world *w, region_id id, bool confirm); /* the process ends at once */
void world_start(struct world *w, region_id id);
void world_cut_coord(struct world *w, region_id id, bool is_cut);
void world_cut_peers(struct world *w, region_id id,
                     bool is_cut); /* frames to and from it are lost */
void world_hold_commits(struct world *w, region_id id, bool is_held); /* storage does not answer */
/* Changes of the record that it sends reach the coordinator late; its heartbeats do not. */
void world_hold_changes(struct world *w, region_id id, bool is_held);
void world_set_clock(struct world *w, region_id id, int64_t off_ms); /* its wall clock is off by */
struct region *world_region(struct world *w, region_id id);
struct engine *world_engine(struct world *w, region_id id);
size_t world_archived(struct world *w, region_id id); /* bytes */
bool world_has_event(struct world *w, region_id id, enum region_event_kind kind);
struct str world_failover_text(struct world *w, region_id id); /* of its last EVENT_FAILOVER */

/* An operator's plan, put by compare-and-set. */
void world_beats(struct world *w, struct account_beats *ret); /* as the coordinator has them */
void world_failover(struct world *w, const char *to);
void world_offline(struct world *w, const char *region);
void world_online(struct world *w, const char *region);
void world_level(struct world *w, const struct level_request *q);
void world_plan(struct world *w, enum err (*plan)(struct account_record *rec, void *ctx),
                void *ctx);
/* Another machine with an empty disk, not started. */
region_id world_machine(struct world *w);
void world_no_auto(struct world *w); /* automatic failover off */

/* Writes; the answer is in ->w.err once ->is_done. */
struct world_write *world_put(struct world *w, region_id id, pid p, const char *key,
                              const char *text);
struct world_write *world_create(struct world *w, region_id id, pid p, const char *key,
                                 const char *text);
struct world_write *world_delete(struct world *w, region_id id, pid p, const char *key);
struct world_write *world_delete_record(struct world *w, region_id id, pid p, const char *key);
/* Runs until answered. */
enum err world_answer(struct world *w, struct world_write *x);
/* The document's text in that region's storage; NULL = absent. */
const char *world_get(struct world *w, region_id id, pid p, const char *key);
size_t world_conflicts(struct world *w, region_id id, pid p);
/* Every region that runs has the same logs, documents and counters, and its engine is sound. */
void world_check_same(struct world *w);
