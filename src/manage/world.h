/* All accounts as the coordinator has them at one moment: their records and, of those that are hosted
 * besides the first one, what was asked for. Made from one read, valid as long as its arena. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "account/beats.h"
#include "account/record.h"
#include "base/arena.h"
#include "base/err.h"
#include "coord/coord.h"
#include "manage/hosted.h"

/* What is read: everything of Holdfast, heartbeats included. */
#define MANAGE_PREFIX "holdfast/v1/"

enum { MANAGE_ACCOUNTS_MAX = 64 }; /* looked at; more are left out of lists */

struct manage_account {
    struct str name;
    struct account_record *rec; /* NULL = none yet, or none any more */
    coord_rev rev;
    struct account_beats *beats; /* of its regions; NULL = no record */
    /* NULL = the one that this `up` was started with; not both NULL: one of them named it. */
    struct hosted *hosted;
    coord_rev hosted_rev;
    struct str endpoint; /* global endpoint; empty while unknown */
};

struct manage_world {
    size_t count; /* in the order of names */
    struct manage_account accounts[MANAGE_ACCOUNTS_MAX];
};

/* ERR_CORRUPT, ERR_FORMAT_NEWER: some value cannot be read. `own_endpoint`: of accounts that are not
 * hosted. */
enum err manage_world_make(struct arena *a, const struct coord_kv *kvs, size_t n,
                           const char *own_endpoint, struct manage_world *ret,
                           struct errinfo *ei) MUST_CHECK;
struct manage_account *manage_world_find(struct manage_world *w, struct str name); /* NULL = none */
