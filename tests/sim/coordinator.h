/* The simulated coordinator: the real store (src/coord/builtin/store.h) behind messages, a file
 * that is synced before answers leave, crashes that lose what was not synced, and watches.
 *
 * Transactions are requests of their own, not a stream: they overtake each other, get lost, and a
 * request that met a cut may be executed long after its sender stopped waiting. */
#pragma once

#include "account/beats.h"
#include "coord/coord.h"
#include "sim/world.h"

struct coord_node;
struct coord_node *coordinator_new(struct world *w);
void coordinator_free(struct coord_node *c);

/* A region's transaction leaves at `at`. The answer, or ERR_TIMEOUT after timeout_us on the
 * region's side, comes through node_post_txn_result. Copied. */
void coordinator_txn(struct world *w, region_id from, uint64_t life, const struct coord_txn *t,
                     uint64_t ticket, usec at, usec timeout_us);
void coordinator_watch(struct world *w, region_id id);   /* process started */
void coordinator_unwatch(struct world *w, region_id id); /* process ended */
void coordinator_path_changed(struct world *w, region_id id);

void coordinator_crash(struct world *w, usec down_us);
/* Started again from a copy of its file, as it was when coordinator_copy was called. Records that are
 * put then are an error: everyone alive has to know better. The newest file is put back later. */
size_t coordinator_copy(const struct world *w);
void coordinator_restore(struct world *w, size_t copy, usec down_us);
void coordinator_restore_newest(struct world *w, usec down_us);
void coordinator_pause(struct world *w, usec duration);
void coordinator_heal(struct world *w);
bool coordinator_is_up(const struct world *w);

/* For operators, the supervisor and checkers: the newest record, decoded into `a`; false when the
 * coordinator does not answer. */
bool coordinator_record(struct world *w, struct arena *a, struct account_record *ret,
                        coord_rev *ret_rev);
/* The regions' newest heartbeats. Only while the record can be had. */
void coordinator_beats(struct world *w, struct arena *a, struct account_beats *ret);
/* A change of the record that the region asked for is still on its way. */
bool coordinator_may_hear(const struct world *w, region_id id);
/* Compare-and-set by an operator, at once. false: not done. */
bool coordinator_put_record(struct world *w, const struct account_record *rec, coord_rev rev);
/* The parent that reaped a process puts a confirmed stop. false: cannot be reached. */
bool coordinator_put_stopped(struct world *w, region_id id, uint64_t incarnation);
