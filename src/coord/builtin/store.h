/* The built-in coordinator as a pure state machine: revisions, transactions, watch by revision.
 * No I/O here: src/coord/builtin/server.c gives it a durable file and HTTP, the simulator gives it
 * a simulated disk. Deterministic; one thread. */
#pragma once

#include "coord/coord.h"

struct coord_store;
struct coord_store *coord_store_new(void);
void coord_store_free(struct coord_store *s);

/* Applies a transaction. Kvs of the result live in `a`. When it succeeded and changed a durable
 * key, *ret_record (appended to) holds the bytes to be made durable BEFORE the answer leaves. */
void coord_store_txn(struct coord_store *s, const struct coord_txn *t, struct arena *a,
                     struct coord_txn_result *ret, struct buf *ret_record);
coord_rev coord_store_rev(const struct coord_store *s);
/* Present keys below prefix, in key order. */
size_t coord_store_read(const struct coord_store *s, struct str prefix, struct arena *a,
                        const struct coord_kv **ret);
/* Keys below prefix changed after `after` (deletions included), in revision order. false: history
 * before `after` is not known (restart, compaction): the caller reads everything instead. */
bool coord_store_changes(const struct coord_store *s, struct str prefix, coord_rev after,
                         struct arena *a, const struct coord_kv **ret, size_t *ret_n);

/* Restart: feed the records (and a snapshot first) in order, then call _recovered, which jumps the
 * revision far ahead, so that every volatile key that existed is gone at a new revision and no
 * observer can mistake silence for an expired lease (see coord.h). */
enum err coord_store_load(struct coord_store *s, struct str record, struct errinfo *ei) MUST_CHECK;
void coord_store_recovered(struct coord_store *s);
void coord_store_snapshot(const struct coord_store *s, struct buf *out); /* one record, loadable */
