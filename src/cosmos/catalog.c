/* Catalog snapshots. See catalog.h. */
#include "cosmos/catalog.h"

#include <string.h>

#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"

void meta_key(struct buf *out, enum meta_kind kind, uint32_t a, uint32_t b, struct str name)
{
    buf_add_u8(out, (uint8_t)kind);
    if (kind == META_CONTAINER || kind == META_USER || kind == META_OFFER) {
        buf_add_u32_be(out, a);
    } else if (kind == META_PERMISSION || kind == META_SPROC || kind == META_TRIGGER ||
               kind == META_UDF) {
        buf_add_u32_be(out, a);
        buf_add_u32_be(out, b);
    }
    buf_add_str(out, name);
}

/* ---- references ---- */

struct catalog *catalog_ref(struct catalog *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

struct container *container_ref(struct container *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void container_unref(struct container *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        arena_done(&c->arena);
        mem_free(c);
    }
}

void catalog_unref(struct catalog *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (struct map_entry *e = map_first(&c->containers); e; e = map_next(e)) {
        container_unref(map_value(e));
    }
    map_done(&c->databases);
    map_done(&c->containers);
    map_done(&c->by_pid);
    map_done(&c->by_rid);
    arena_done(&c->arena);
    mem_free(c);
}

/* ---- look-ups ---- */

static struct str pair_key(struct buf *b, struct str db, struct str id)
{
    buf_add_str(b, db);
    buf_add_u8(b, 0);
    buf_add_str(b, id);
    return buf_str(b);
}

/* rids of databases and containers differ in length, so one map can hold both. */
static void *by_rid(const struct catalog *c, struct str text, unsigned size)
{
    struct rid rid;
    return rid_parse(text, &rid) && rid.size == size ? map_get(&c->by_rid, text) : NULL;
}

const struct database *catalog_database(const struct catalog *c, struct str id)
{
    const struct database *db = map_get(&c->databases, id);
    return db ? db : by_rid(c, id, RID_DATABASE_SIZE);
}

static struct container *container_named(const struct catalog *c, struct str db, struct str id)
{
    struct buf key;
    buf_init(&key, 1024);
    struct container *ret = map_get(&c->containers, pair_key(&key, db, id));
    buf_done(&key);
    return ret;
}

struct container *catalog_container(const struct catalog *c, const struct database *db,
                                    struct str id)
{
    struct container *coll = container_named(c, db->id, id);
    if (!coll) {
        coll = by_rid(c, id, RID_CONTAINER_SIZE);
    }
    return coll && coll->db == db->number ? coll : NULL;
}

struct container *catalog_by_pid(const struct catalog *c, pid p)
{
    return map_get(&c->by_pid, str_make(&p, sizeof(p)));
}

/* ---- ranges ---- */

/* The hash space is 126 bits: bound i of n is i * 2^126 / n, of which the first 64 bits decide;
 * i * (2^62 / n) + i * (2^62 mod n) / n is that without leaving 64 bits. */
void container_bound(const struct container *c, size_t ordinal, struct buf *out)
{
    ASSERT(ordinal <= c->part_count);
    if (ordinal == c->part_count) {
        buf_add_u8(out, 0xff);
    } else if (ordinal > 0) {
        uint64_t space = UINT64_C(1) << 62;
        uint64_t high =
            ordinal * (space / c->part_count) + ordinal * (space % c->part_count) / c->part_count;
        buf_add_u64_be(out, high);
        buf_add_u64_be(out, 0);
    }
}

void container_bound_text(const struct container *c, size_t ordinal, struct buf *out)
{
    struct buf raw;
    buf_init(&raw, 32);
    container_bound(c, ordinal, &raw);
    for (size_t i = 0; i < raw.n; i++) {
        buf_printf(out, "%02X", (unsigned char)raw.p[i]);
    }
    buf_done(&raw);
}

size_t container_ordinal(const struct container *c, struct str epk)
{
    size_t low = 0;
    size_t high = c->part_count;
    while (high - low > 1) { /* the last range whose lower bound is not above epk */
        size_t middle = (low + high) / 2;
        struct buf bound;
        buf_init(&bound, 32);
        container_bound(c, middle, &bound);
        if (str_cmp(buf_str(&bound), epk) <= 0) {
            low = middle;
        } else {
            high = middle;
        }
        buf_done(&bound);
    }
    return low;
}

/* ---- loading ---- */

static enum err parse_uniques(struct container *c, struct errinfo *ei)
{
    const struct json *sets = json_get(json_get(c->doc, STR("uniqueKeyPolicy")), STR("uniqueKeys"));
    for (size_t i = 0; sets && i < sets->count && i < UNIQUE_SETS_MAX; i++) {
        const struct json *paths = json_get(sets->items[i], STR("paths"));
        struct unique_set *set = &c->uniques[c->unique_count++];
        for (size_t k = 0; paths && k < paths->count && k < UNIQUE_PATHS_MAX; k++) {
            TRY(json_path_parse(&c->arena, paths->items[k]->text, &set->paths[set->count++], ei));
        }
    }
    return OK;
}

static struct str text_of(const struct json *doc, const char *key)
{
    struct str s = STR("");
    (void)json_get_str(doc, str_of(key), &s);
    return s;
}

struct str container_shown(struct arena *a, struct str stored)
{
    /* Our member is the last one: a text that a client put in its definition stands before it. */
    struct str marker = STR(",\"_holdfast\":");
    for (size_t at = stored.n; at-- > 0;) {
        if (str_starts(str_slice(stored, at, stored.n), marker)) {
            return arena_printf(a, STR_FMT "}", STR_ARG(str_slice(stored, 0, at)));
        }
    }
    return stored;
}

static enum err parse_container(struct container *c, struct str stored, struct region *region,
                                struct errinfo *ei)
{
    struct str text = arena_str(&c->arena, stored);
    TRY(json_parse(&c->arena, text, NULL, &c->doc, ei));
    const struct json *pids = json_get(json_get(c->doc, STR("_holdfast")), STR("pids"));
    const struct json *paths = json_get(json_get(c->doc, STR("partitionKey")), STR("paths"));
    int64_t first = 0;
    int64_t count = 0;
    if (!pids || pids->count != 2 || !json_is_integer(pids->items[0], &first) ||
        !json_is_integer(pids->items[1], &count) || count < 1 || count > RID_PARTITIONS_MAX ||
        !paths || paths->count < 1 || paths->count > PK_PATHS_MAX) {
        return err_set(ei, ERR_CORRUPT, "container definition " STR_FMT " is damaged",
                       STR_ARG(c->id));
    }
    c->text = container_shown(&c->arena, text);
    c->id = text_of(c->doc, "id");
    c->rid = text_of(c->doc, "_rid");
    c->etag = text_of(c->doc, "_etag");
    c->path_count = paths->count;
    for (size_t i = 0; i < paths->count; i++) {
        c->path_texts[i] = paths->items[i]->text;
        TRY(json_path_parse(&c->arena, c->path_texts[i], &c->paths[i], ei));
    }
    TRY(parse_uniques(c, ei));
    const struct json *ttl = json_get(c->doc, STR("defaultTtl"));
    c->has_ttl = ttl && json_is_integer(ttl, &c->ttl);
    c->first_pid = (pid)first;
    c->part_count = (size_t)count;
    for (size_t i = 0; i < c->part_count; i++) {
        c->parts[i] = region_part(region, c->first_pid + i);
    }
    return OK;
}

static enum err load_databases(struct engine *e, struct engine_snap *snap, struct catalog *cat,
                               struct map *numbers, struct errinfo *ei)
{
    struct engine_row row;
    struct engine_iter *it = engine_scan(e, snap, 0, SPACE_ITEM, STR("D"), STR("E"));
    enum err err = OK;
    while (err == OK && engine_iter_next(it, &row)) {
        const struct json *doc = NULL;
        struct str text = arena_str(&cat->arena, row.doc.text);
        err = json_parse(&cat->arena, text, NULL, &doc, ei);
        struct rid rid = {0};
        if (err == OK && rid_parse(text_of(doc, "_rid"), &rid)) {
            struct database *db = ARENA_NEW(&cat->arena, struct database);
            *db = (struct database){.number = rid.db,
                                    .id = text_of(doc, "id"),
                                    .rid = text_of(doc, "_rid"),
                                    .text = text,
                                    .etag = text_of(doc, "_etag")};
            map_put(&cat->databases, db->id, db);
            map_put(&cat->by_rid, db->rid, db);
            map_put(numbers, str_make(&db->number, sizeof(db->number)), db);
        }
    }
    KEEP_FIRST(err, engine_iter_err(it, ei));
    engine_iter_free(it);
    return err;
}

static struct container *reuse(const struct catalog *old, struct str db, struct str id,
                               const struct engine_doc *doc)
{
    struct container *c = old ? container_named(old, db, id) : NULL;
    bool is_same = c && c->lsn == doc->version.lsn && c->op_idx == doc->version.op_idx;
    return is_same ? container_ref(c) : NULL;
}

static enum err add_container(struct catalog *cat, struct region *region, const struct catalog *old,
                              const struct database *db, struct str id,
                              const struct engine_doc *doc, struct errinfo *ei)
{
    struct container *c = reuse(old, db->id, id, doc);
    if (!c) {
        c = MEM_NEW(struct container);
        atomic_init(&c->refs, 1);
        arena_init(&c->arena);
        c->db = db->number;
        c->lsn = doc->version.lsn;
        c->op_idx = doc->version.op_idx;
        c->id = id;
        enum err err = parse_container(c, doc->text, region, ei);
        struct rid rid = {0};
        if (err == OK && !rid_parse(c->rid, &rid)) {
            err = err_set(ei, ERR_CORRUPT, "container " STR_FMT " has a damaged _rid",
                          STR_ARG(c->id));
        }
        if (err != OK) {
            container_unref(c);
            return err;
        }
        c->number = rid.coll;
        c->db_id = arena_str(&c->arena, db->id);
        c->db_rid = arena_str(&c->arena, db->rid);
        c->link = arena_printf(&c->arena, "dbs/" STR_FMT "/colls/" STR_FMT, STR_ARG(db->id),
                               STR_ARG(c->id));
    }
    struct buf key;
    buf_init(&key, 1024);
    map_put(&cat->containers, pair_key(&key, db->id, c->id), c);
    map_put(&cat->by_rid, c->rid, c);
    buf_done(&key);
    for (size_t i = 0; i < c->part_count; i++) {
        pid p = c->first_pid + i;
        map_put(&cat->by_pid, str_make(&p, sizeof(p)), c);
    }
    return OK;
}

static enum err load_containers(struct engine *e, struct engine_snap *snap, struct region *region,
                                const struct catalog *old, struct catalog *cat,
                                const struct map *numbers, struct errinfo *ei)
{
    struct engine_row row;
    struct engine_iter *it = engine_scan(e, snap, 0, SPACE_ITEM, STR("C"), STR("D"));
    enum err err = OK;
    while (err == OK && engine_iter_next(it, &row)) {
        struct rd r = rd_of(str_slice(row.key, 1, row.key.n));
        uint32_t number = rd_u32_be(&r);
        const struct database *db = map_get(numbers, str_make(&number, sizeof(number)));
        if (db && !r.bad) { /* else: its database is gone */
            err = add_container(cat, region, old, db, str_make(r.p, r.n), &row.doc, ei);
        }
    }
    KEEP_FIRST(err, engine_iter_err(it, ei));
    engine_iter_free(it);
    return err;
}

enum err catalog_load(struct engine *e, struct region *region, const struct catalog *old,
                      struct catalog **ret, struct errinfo *ei)
{
    struct catalog *cat = MEM_NEW(struct catalog);
    atomic_init(&cat->refs, 1);
    arena_init(&cat->arena);
    map_init(&cat->databases);
    map_init(&cat->containers);
    map_init(&cat->by_pid);
    map_init(&cat->by_rid);
    struct map numbers; /* database number -> struct database */
    map_init(&numbers);
    struct engine_snap *snap = engine_snap_get(e);
    enum err err = load_databases(e, snap, cat, &numbers, ei);
    if (err == OK) {
        err = load_containers(e, snap, region, old, cat, &numbers, ei);
    }
    engine_snap_release(e, snap);
    map_done(&numbers);
    if (err != OK) {
        catalog_unref(cat);
        return err;
    }
    *ret = cat;
    return OK;
}
