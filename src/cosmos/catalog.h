/* The catalog: databases, containers and their children, as an immutable, reference-counted snapshot
 * folded from the documents of partition 0.
 *
 * Metadata resources are ordinary documents of SPACE_ITEM in partition 0. Engine keys: a type letter,
 * the parents' numbers (big-endian), then the name:
 *
 *   N                 counters: {"next": number for the next database, container, user or offer}
 *   D name            database
 *   C db name         container            S|T|F db coll name   sproc, trigger, udf
 *   U db name         user                 P db user name       permission
 *   O db name         offer of a container
 *
 * The stored text is what a client reads, with one addition in containers: `"_holdfast":{"pids":
 * [first, count]}` at the end, cut off before it is sent. Children of a database or container that
 * is gone are not visible: its number is never given again. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "account/region.h"
#include "base/arena.h"
#include "base/map.h"
#include "cosmos/epk.h"
#include "cosmos/rid.h"
#include "engine/engine.h"

enum { UNIQUE_SETS_MAX = 10, UNIQUE_PATHS_MAX = 16, RANGE_BOUND_SIZE = EPK_COMPONENT_SIZE };

enum meta_kind {
    META_COUNTER = 'N',
    META_DATABASE = 'D',
    META_CONTAINER = 'C',
    META_USER = 'U',
    META_PERMISSION = 'P',
    META_SPROC = 'S',
    META_TRIGGER = 'T',
    META_UDF = 'F',
    META_OFFER = 'O',
};
/* Engine key; parents that a kind does not have are 0. */
void meta_key(struct buf *out, enum meta_kind kind, uint32_t a, uint32_t b, struct str name);

struct unique_set {
    size_t count;
    struct json_path paths[UNIQUE_PATHS_MAX];
};

struct container {
    _Atomic uint32_t refs;
    struct arena arena;
    uint32_t db, number;
    lsn lsn; /* of the definition: same lsn, same object */
    uint16_t op_idx;
    struct str db_id, id;
    struct str db_rid, rid; /* texts */
    struct str link;        /* "dbs/x/colls/y" */
    struct str text;        /* definition as clients read it */
    struct str etag;
    const struct json *doc;
    size_t path_count;
    struct json_path paths[PK_PATHS_MAX];
    struct str path_texts[PK_PATHS_MAX];
    size_t unique_count;
    struct unique_set uniques[UNIQUE_SETS_MAX];
    bool has_ttl;
    int64_t ttl; /* default in seconds; -1 = on, no default */
    size_t part_count;
    pid first_pid;
    struct part_view *parts[RID_PARTITIONS_MAX];
};

struct database {
    uint32_t number;
    struct str id, rid, text, etag;
};

struct catalog {
    _Atomic uint32_t refs;
    struct arena arena;
    struct map databases;  /* id -> struct database, in the arena */
    struct map containers; /* "db id" NUL "coll id" -> struct container (one reference held) */
    struct map by_pid;     /* pid bytes -> struct container */
    struct map by_rid;     /* text of the _rid -> struct database or container */
};

/* Whole fold of partition 0; containers unchanged since `old` are shared. Core thread. */
enum err catalog_load(struct engine *e, struct region *region, const struct catalog *old,
                      struct catalog **ret, struct errinfo *ei) MUST_CHECK;
struct catalog *catalog_ref(struct catalog *c);
void catalog_unref(struct catalog *c); /* NULL accepted */
/* By name, else by rid (old clients, `_self` links). Containers are not referenced. */
const struct database *catalog_database(const struct catalog *c, struct str id);
struct container *catalog_container(const struct catalog *c, const struct database *db,
                                    struct str id);
struct container *catalog_by_pid(const struct catalog *c, pid p);
/* The stored definition as clients read it: without `_holdfast`. */
struct str container_shown(struct arena *a, struct str stored);
struct container *container_ref(struct container *c);
void container_unref(struct container *c);

/* A container's partition ids are made of the place of its creation: lsn << 9 | ordinal. */
static inline pid catalog_first_pid(lsn created)
{
    return created << 9;
}

static inline lsn catalog_pid_lsn(pid p)
{
    return p >> 9;
}

/* Lower limit of a range as EPK bytes: empty for the first. Upper limit = lower of the next; the last
 * one ends at ff. */
void container_bound(const struct container *c, size_t ordinal, struct buf *out);
void container_bound_text(const struct container *c, size_t ordinal,
                          struct buf *out); /* hex; "FF" at the end */
size_t container_ordinal(const struct container *c, struct str epk);
/* Definition checked and completed: partition key (version 2), indexing policy, ttl, unique keys,
 * conflict policy. `old` NULL: create. The result is the members for clients without system ones. */
enum err container_define(struct arena *a, const struct json *body, const struct container *old,
                          const struct json **ret, struct errinfo *ei) MUST_CHECK;
