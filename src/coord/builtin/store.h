/* The built-in coordinator as a pure state machine: revisions, transactions, watch by revision.
 * No I/O here: src/coord/server.c gives it a durable file and HTTP, the simulator gives it
 * a simulated disk. Deterministic; one thread. */
#pragma once

#include "coord/coord.h"

enum {
    COORD_KEYS_MAX = 4096,
    COORD_STORE_SIZE_MAX = 64 << 20, /* keys and values together; above: ERR_LIMIT */
    COORD_TOMBSTONES_MAX = 4096,     /* remembered deletions; older ones force a full read */
};
/* Revisions are reserved durably in blocks of this many: volatile changes use them up without a
 * record each, and still none is ever given out twice. */
#define COORD_REV_BLOCK (UINT64_C(1) << 20)

struct coord_store;
struct coord_store *coord_store_new(void);
void coord_store_free(struct coord_store *s);

/* Applies a transaction. Kvs of the result live in `a`. When it succeeded and changed a durable
 * key, *ret_record (appended to) holds the bytes to be made durable BEFORE the answer leaves. */
void coord_store_txn(struct coord_store *s, const struct coord_txn *t, struct arena *a,
                     struct coord_txn_result *ret, struct buf *ret_record);
/* May coord_store_txn of it append a record? (When it then fails or changes nothing, it does not.) */
bool coord_store_needs_record(const struct coord_store *s, const struct coord_txn *t);
coord_rev coord_store_rev(const struct coord_store *s);
/* The first revision that is not reserved yet. Nothing with revision R may leave the process before a
 * record that reserves beyond R is durable; after a restart revisions go on from here. */
coord_rev coord_store_rev_limit(const struct coord_store *s);
/* Present keys below prefix, in key order. */
size_t coord_store_read(const struct coord_store *s, struct str prefix, struct arena *a,
                        const struct coord_kv **ret);
/* Keys below prefix changed after `after` (deletions included), in revision order, each key once
 * with its present state. false: history before `after` is not known (restart, compaction) or lies
 * ahead: the caller reads everything instead. */
bool coord_store_changes(const struct coord_store *s, struct str prefix, coord_rev after,
                         struct arena *a, const struct coord_kv **ret, size_t *ret_n);

/* Restart: feed the records (and a snapshot first) in order, then call _recovered, which jumps the
 * revision far ahead, so that every volatile key that existed is gone at a new revision and no
 * observer can mistake silence for an expired lease (see coord.h). */
enum err coord_store_load(struct coord_store *s, struct str record, struct errinfo *ei) MUST_CHECK;
void coord_store_recovered(struct coord_store *s);
void coord_store_snapshot(const struct coord_store *s, struct buf *out); /* one record, loadable */
void coord_store_check(const struct coord_store *s); /* asserts every invariant; for tests */
