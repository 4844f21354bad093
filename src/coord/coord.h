/* The coordinator: the one place that agrees on who writes.
 *
 * A small key-value register with revisions (the useful subset of etcd's model): every change
 * gets the next revision; a transaction compares revisions of keys and puts all or nothing; a
 * watch reports changes in revision order; reads are linearizable. The built-in one is a process
 * of its own with a durable file (not highly available, and called so); etcd comes later behind
 * this same interface.
 *
 * Volatile keys (COORD_VOLATILE: heartbeats) need not survive a restart of the coordinator, but a
 * restart MUST give each surviving or vanished one a new revision, as if it had just been bumped:
 * an observer that waits for a lease to run out must then start its wait again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

typedef uint64_t coord_rev; /* 0 = key absent */

enum {
    COORD_KEY_SIZE_MAX = 512,
    COORD_VALUE_SIZE_MAX = 1 << 20,
    COORD_TXN_OPS_MAX = 16,
};

/* Keys of an account (all below this prefix):
 *   holdfast/v1/accounts/<account>/record          account/record.h, durable
 *   holdfast/v1/accounts/<account>/beat/<region id> heartbeat and lease, volatile
 *   holdfast/v1/accounts/<account>/stopped/<region id> a confirmed stop, durable */
#define COORD_PREFIX "holdfast/v1/accounts/"

struct coord_compare {
    struct str key;
    coord_rev rev; /* the key's revision must equal this; 0 = must be absent */
};

struct coord_put {
    struct str key;
    struct str value; /* empty and is_delete: removed */
    bool is_volatile;
    bool is_delete;
};

/* All compares hold -> all puts are done at one new revision. */
struct coord_txn {
    size_t compare_count;
    struct coord_compare compares[COORD_TXN_OPS_MAX];
    size_t put_count;
    struct coord_put puts[COORD_TXN_OPS_MAX];
};

struct coord_kv {
    struct str key;
    struct str value;
    coord_rev rev;   /* revision of the key's last change */
    bool is_deleted; /* in watch events */
};

struct coord_txn_result {
    /* OK: the coordinator answered. ERR_TIMEOUT/ERR_NETWORK: outcome UNKNOWN (coord_client.h has the
     * whole list). */
    enum err err;
    bool succeeded;  /* compares held, puts done */
    coord_rev rev;   /* store revision after it */
    size_t kv_count; /* present values of the compared keys, when it did not succeed */
    const struct coord_kv *kvs;
};
