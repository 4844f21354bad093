/* Metadata resources: databases, containers, users, permissions, scripts, offers. All are documents
 * of partition 0 (keys: catalog.h); reads come from there, writes are ordinary writes of that partition,
 * acknowledged when every online region has them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "cosmos/feed.h"
#include "cosmos/permit.h"
#include "cosmos/query/query.h"
#include "json/edit.h"

enum {
    META_OPS_MAX = BATCH_OPS_MAX,
    OFFER_DEFAULT = 400,
    RU_PER_RANGE = 10000,
    THROUGHPUT_MAX = 1000000,
    AUTOPILOT_MIN = 1000,
    RESOURCE_NUMBER_MAX = (1 << 24) - 1 /* the rid of an offer has 3 bytes */
};

/* One write of metadata: what each of its operations does. */
struct meta_write {
    struct write_user user;
    struct region_write w;
    struct write_op wops[META_OPS_MAX];
    enum meta_do {
        DO_COUNT,
        DO_NEED,
        DO_CREATE,
        DO_UPSERT,
        DO_REPLACE,
        DO_DELETE,
        DO_OFFER,
        DO_DELETE_IF_THERE
    } what[META_OPS_MAX];
    /* The number that the resource must have: names may be given again while the request is on its
     * way, numbers never. 0 = any. */
    uint64_t expect[META_OPS_MAX];
    enum meta_kind kind;
    const struct database *db; /* parent, for what has one */
    struct str parent_rid;
    uint32_t parent_number; /* container or user */
    struct str base;        /* members without system ones, no closing brace */
    bool base_has_members;
    struct str if_match;
    uint64_t throughput; /* container: for the offer; 0 = none */
    uint64_t autopilot;
    size_t part_count;
    const struct container *old; /* container: replace */
    /* While it is ordered. */
    uint64_t number; /* from the counter */
    struct str rid, self, text, etag;
    int status;
    const char *why;
};

static const char *members_of(enum meta_kind kind)
{
    switch (kind) {
    case META_DATABASE:
        return ",\"_colls\":\"colls/\",\"_users\":\"users/\"";
    case META_CONTAINER:
        return ",\"_docs\":\"docs/\",\"_sprocs\":\"sprocs/\",\"_triggers\":\"triggers/"
               "\",\"_udfs\":\"udfs/\",\"_conflicts\":\"conflicts/\"";
    case META_USER:
        return ",\"_permissions\":\"permissions/\"";
    case META_COUNTER:
    case META_PERMISSION:
    case META_SPROC:
    case META_TRIGGER:
    case META_UDF:
    case META_OFFER:
        break;
    }
    return "";
}

/* ---- deciding in log order ---- */

static void refuse(struct meta_write *m, struct write_plan *ret, int status, const char *why)
{
    m->status = status;
    m->why = why;
    *ret = (struct write_plan){.action = WRITE_REJECT};
}

static void plan_counter(struct meta_write *m, struct arena *a, const struct engine_doc *current,
                         struct write_plan *ret)
{
    const struct json *doc = NULL;
    uint64_t next = 1;
    if (current && (json_parse(a, arena_str(a, current->text), NULL, &doc, NULL) != OK ||
                    !json_get_u64(doc, STR("next"), &next))) {
        refuse(m, ret, 500, "the counter of resources is damaged");
        return;
    }
    if (next > RESOURCE_NUMBER_MAX) {
        refuse(m, ret, 403, "the account has given out all its resource numbers");
        return;
    }
    m->number = next;
    *ret = (struct write_plan){
        .action = WRITE_PUT, .text = arena_printf(a, "{\"next\":%" PRIu64 "}", next + 1), .rid = 1};
}

static void make_rid(struct meta_write *m, struct arena *a, const struct write_place *place,
                     const struct engine_doc *current)
{
    struct buf rid;
    buf_init(&rid, 64);
    uint32_t number = (uint32_t)m->number;
    uint64_t child = current ? current->rid : rid_number(place->lsn, place->op_idx, 0);
    uint32_t known = current ? (uint32_t)current->rid : number;
    switch (m->kind) {
    case META_DATABASE:
        rid_add_database(&rid, known);
        m->self = arena_printf(a, "dbs/" STR_FMT "/", STR_ARG(buf_str(&rid)));
        break;
    case META_CONTAINER:
        rid_add_container(&rid, m->db->number, known);
        m->self = arena_printf(a, "dbs/" STR_FMT "/colls/" STR_FMT "/", STR_ARG(m->db->rid),
                               STR_ARG(buf_str(&rid)));
        break;
    case META_USER:
        rid_add_user(&rid, m->db->number, known);
        m->self = arena_printf(a, "dbs/" STR_FMT "/users/" STR_FMT "/", STR_ARG(m->db->rid),
                               STR_ARG(buf_str(&rid)));
        break;
    case META_PERMISSION:
        rid_add_permission(&rid, m->db->number, m->parent_number, child);
        m->self = arena_printf(a, "dbs/" STR_FMT "/users/" STR_FMT "/permissions/" STR_FMT "/",
                               STR_ARG(m->db->rid), STR_ARG(m->parent_rid), STR_ARG(buf_str(&rid)));
        break;
    case META_SPROC:
    case META_TRIGGER:
    case META_UDF: {
        enum rid_kind kind = m->kind == META_SPROC     ? RID_SPROC
                             : m->kind == META_TRIGGER ? RID_TRIGGER
                                                       : RID_UDF;
        const char *word = m->kind == META_SPROC     ? "sprocs"
                           : m->kind == META_TRIGGER ? "triggers"
                                                     : "udfs";
        rid_add_child(&rid, m->db->number, m->parent_number, kind, child);
        m->self =
            arena_printf(a, "dbs/" STR_FMT "/colls/" STR_FMT "/%s/" STR_FMT "/",
                         STR_ARG(m->db->rid), STR_ARG(m->parent_rid), word, STR_ARG(buf_str(&rid)));
        break;
    }
    case META_OFFER:
        rid_add_offer(&rid, known);
        m->self = arena_printf(a, "offers/" STR_FMT "/", STR_ARG(buf_str(&rid)));
        break;
    case META_COUNTER:
        UNREACHABLE();
    }
    m->rid = arena_str(a, buf_str(&rid));
    buf_done(&rid);
}

static uint64_t stored_number(const struct meta_write *m, const struct write_place *place,
                              const struct engine_doc *current)
{
    bool is_counted = m->kind == META_DATABASE || m->kind == META_CONTAINER ||
                      m->kind == META_USER || m->kind == META_OFFER;
    return current      ? current->rid
           : is_counted ? m->number
                        : rid_number(place->lsn, place->op_idx, 0);
}

static void plan_resource(struct meta_write *m, struct arena *a, const struct write_place *place,
                          const struct engine_doc *current, struct write_plan *ret)
{
    make_rid(m, a, place, current);
    struct buf text;
    buf_init(&text, ENGINE_DOC_SIZE_MAX);
    buf_add_str(&text, m->base);
    if (m->base_has_members) {
        buf_add_char(&text, ',');
    }
    struct system_props props = {
        .rid = m->rid, .self = m->self, .extra = str_of(members_of(m->kind))};
    system_props_write(&props, place, &text);
    m->text = arena_printf(a, STR_FMT "}", STR_ARG(buf_str(&text)));
    if (m->kind == META_CONTAINER) {
        pid first = m->old ? m->old->first_pid : catalog_first_pid(place->lsn);
        size_t count = m->old ? m->old->part_count : m->part_count;
        buf_printf(&text, ",\"_holdfast\":{\"pids\":[%" PRIu64 ",%zu]}", first, count);
    }
    buf_add_char(&text, '}');
    struct buf etag;
    buf_init(&etag, 64);
    etag_write(place, &etag);
    m->etag = arena_str(a, buf_str(&etag));
    buf_done(&etag);
    *ret = (struct write_plan){.action = WRITE_PUT,
                               .text = arena_str(a, buf_str(&text)),
                               .rid = stored_number(m, place, current)};
    buf_done(&text);
}

static void plan_offer(struct meta_write *m, struct arena *a, const struct write_place *place,
                       struct write_plan *ret)
{
    /* The offer's number is that of the resource it belongs to: both come from one counter. */
    struct buf rid;
    buf_init(&rid, 64);
    rid_add_offer(&rid, (uint32_t)m->number);
    struct buf text;
    buf_init(&text, 4096);
    buf_printf(&text,
               "{\"offerVersion\":\"V2\",\"offerType\":\"Invalid\",\"resource\":\"" STR_FMT
               "\",\"offerResourceId\":\"" STR_FMT "\",\"content\":{\"offerThroughput\":%" PRIu64
               ",\"offerIsRUPerMinuteThroughputEnabled\":false",
               STR_ARG(m->self), STR_ARG(m->rid),
               m->autopilot > 0 ? m->autopilot / 10 : m->throughput);
    if (m->autopilot > 0) {
        buf_printf(&text,
                   ",\"offerAutopilotSettings\":{\"tier\":0,\"maximumTierThroughput\":0,"
                   "\"autoUpgrade\":false,\"maxThroughput\":%" PRIu64 "}",
                   m->autopilot);
    }
    buf_printf(&text,
               ",\"offerMinimumThroughputParameters\":{\"maxThroughputEverProvisioned\":%" PRIu64
               ",\"maxConsumedStorageEverInKB\":0}},\"id\":\"" STR_FMT "\",",
               m->autopilot > 0 ? m->autopilot : m->throughput, STR_ARG(buf_str(&rid)));
    struct system_props props = {.rid = buf_str(&rid),
                                 .self =
                                     arena_printf(a, "offers/" STR_FMT "/", STR_ARG(buf_str(&rid))),
                                 .extra = STR("")};
    system_props_write(&props, place, &text);
    buf_add_char(&text, '}');
    ASSERT(buf_ok(&text));
    *ret = (struct write_plan){
        .action = WRITE_PUT, .text = arena_str(a, buf_str(&text)), .rid = m->number};
    buf_done(&text);
    buf_done(&rid);
}

static void prepare(struct region_write *w, size_t i, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    struct meta_write *m = CONTAINER_OF(w, struct meta_write, w);
    struct arena *a = &m->user.op->req->arena;
    *ret = (struct write_plan){.action = WRITE_REJECT};
    bool needs = m->what[i] == DO_REPLACE || m->what[i] == DO_DELETE;
    bool is_there = current && (m->expect[i] == 0 || m->expect[i] == current->rid);
    if ((needs || m->what[i] == DO_NEED) && !is_there) {
        refuse(m, ret, 404,
               needs ? "Resource Not Found" : "Resource Not Found: its parent was deleted");
        return;
    }
    if (m->if_match.n > 0 && current && (needs || m->what[i] == DO_UPSERT) &&
        !etag_matches(m->if_match, etag_of_text(a, current->text))) {
        refuse(m, ret, 412, "One of the specified pre-condition is not met");
        return;
    }
    switch (m->what[i]) {
    case DO_COUNT:
        plan_counter(m, a, current, ret);
        break;
    case DO_NEED:
        ret->action = WRITE_NONE;
        break;
    case DO_CREATE:
        if (current) {
            refuse(m, ret, 409,
                   "Resource with specified id, name, or unique index already exists.");
            return;
        }
        m->status = 201;
        plan_resource(m, a, place, NULL, ret);
        break;
    case DO_UPSERT:
        m->status = current ? 200 : 201;
        plan_resource(m, a, place, current, ret);
        break;
    case DO_REPLACE:
        m->status = 200;
        plan_resource(m, a, place, current, ret);
        break;
    case DO_DELETE:
        ASSERT(current);
        m->status = 204;
        m->number = current->rid;
        ret->action = WRITE_DELETE;
        break;
    case DO_OFFER:
        plan_offer(m, a, place, ret);
        break;
    case DO_DELETE_IF_THERE:
        ret->action = current ? WRITE_DELETE : WRITE_NONE;
        break;
    }
}

static void done(struct region_write *w)
{
    struct meta_write *m = CONTAINER_OF(w, struct meta_write, w);
    struct op *op = m->user.op;
    struct errinfo ei = {0};
    if (w->err == ERR_PRECONDITION) {
        op_fail_with(op, m->status, 0, "%s", m->why ? m->why : "precondition failed");
    } else if (w->err != OK) {
        err_set(&ei, w->err, "%s",
                w->err == ERR_NOT_WRITER ? "this region does not take writes now"
                                         : err_text(w->err));
        op_fail(op, &ei);
    } else {
        op->charge = 5;
        if (m->status == 204) {
            op_answer(op, 204, NULL);
        } else {
            op_header(op, STR("etag"), m->etag);
            op_answer_str(op, m->status,
                          m->kind == META_PERMISSION ? permit_shown(op, m->text) : m->text);
        }
    }
}

/* ---- building writes ---- */

static struct meta_write *new_write(struct op *op, enum meta_kind kind)
{
    struct meta_write *m = ARENA_NEW(&op->req->arena, struct meta_write);
    m->user = (struct write_user){done, op};
    m->kind = kind;
    m->if_match = http_header(op->req, STR("if-match"));
    m->w = (struct region_write){.pid = 0, .ops = m->wops, .prepare = prepare, .user = &m->user};
    return m;
}

static void add(struct meta_write *m, enum meta_do what, enum meta_kind kind, uint32_t x,
                uint32_t y, struct str name)
{
    struct buf key;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    meta_key(&key, kind, x, y, name);
    size_t i = m->w.op_count++;
    ASSERT(i < META_OPS_MAX && buf_ok(&key));
    m->what[i] = what;
    m->wops[i] = (struct write_op){.space = SPACE_ITEM,
                                   .key = arena_str(&m->user.op->req->arena, buf_str(&key))};
    buf_done(&key);
}

static void add_need(struct meta_write *m, enum meta_kind kind, uint32_t x, struct str name,
                     uint64_t number)
{
    m->expect[m->w.op_count] = number;
    add(m, DO_NEED, kind, x, 0, name);
}

static void set_base(struct meta_write *m, const struct json *doc)
{
    struct str keys[24];
    size_t n = 0;
    for (size_t i = 0; i < system_key_count; i++) {
        keys[n++] = system_keys[i];
    }
    static const char *const more[] = {"_colls",    "_users",   "_docs",      "_sprocs",
                                       "_triggers", "_udfs",    "_conflicts", "_permissions",
                                       "_token",    "_holdfast"};
    for (size_t i = 0; i < ARRAY_COUNT(more); i++) {
        keys[n++] = str_of(more[i]);
    }
    struct buf text;
    buf_init(&text, ITEM_SIZE_MAX);
    m->base_has_members = json_text_without(&text, doc, keys, n) > 0;
    m->base = arena_str(&m->user.op->req->arena, buf_str(&text));
    buf_done(&text);
}

static enum err read_named(struct op *op, const struct json **ret_doc, struct str *ret_id,
                           struct errinfo *ei)
{
    TRY(op_body(op, ret_doc, ei));
    if ((*ret_doc)->type != JSON_OBJECT || !json_get_str(*ret_doc, STR("id"), ret_id)) {
        return err_set(
            ei, ERR_INVALID,
            "The input content is invalid because the required properties - 'id; ' - are missing");
    }
    return op_check_id(*ret_id, false, ei);
}

static enum err read_throughput(struct op *op, struct meta_write *m, struct errinfo *ei)
{
    struct str manual = http_header(op->req, STR("x-ms-offer-throughput"));
    struct str automatic = http_header(op->req, STR("x-ms-cosmos-offer-autopilot-settings"));
    if (manual.n > 0 && automatic.n > 0) {
        return err_set(ei, ERR_INVALID, "give a fixed throughput or autoscale settings, not both");
    }
    if (manual.n > 0 && (!str_to_u64(manual, &m->throughput) || m->throughput < OFFER_DEFAULT ||
                         m->throughput > THROUGHPUT_MAX || m->throughput % 100 != 0)) {
        return err_set(ei, ERR_INVALID, "the throughput must be between %d and %d in steps of 100",
                       OFFER_DEFAULT, THROUGHPUT_MAX);
    }
    if (automatic.n > 0) {
        const struct json *doc = NULL;
        TRY(json_parse(&op->req->arena, automatic, NULL, &doc, ei));
        if (!json_get_u64(doc, STR("maxThroughput"), &m->autopilot) ||
            m->autopilot < AUTOPILOT_MIN || m->autopilot > THROUGHPUT_MAX ||
            m->autopilot % AUTOPILOT_MIN != 0) {
            return err_set(ei, ERR_INVALID,
                           "maxThroughput must be between %d and %d in steps of %d", AUTOPILOT_MIN,
                           THROUGHPUT_MAX, AUTOPILOT_MIN);
        }
    }
    return OK;
}

/* ---- reads ---- */

static bool is_there(struct op *op, enum meta_kind kind, uint32_t x, struct str name)
{
    struct buf key;
    struct buf hold;
    struct engine_doc doc;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    meta_key(&key, kind, x, 0, name);
    enum err err = engine_get(op->service->engine, NULL, 0, SPACE_ITEM, buf_str(&key), false, &hold,
                              &doc, NULL);
    buf_done(&key);
    buf_done(&hold);
    return err == OK;
}

static void read_one(struct op *op, enum meta_kind kind, uint32_t x, uint32_t y, struct str name)
{
    struct errinfo ei = {0};
    struct buf key;
    struct buf hold;
    struct engine_doc doc;
    buf_init(&key, ENGINE_KEY_SIZE_MAX);
    buf_init(&hold, ENGINE_DOC_SIZE_MAX + ENGINE_KEY_SIZE_MAX);
    meta_key(&key, kind, x, y, name);
    enum err err =
        engine_get(op->service->engine, NULL, 0, SPACE_ITEM, buf_str(&key), true, &hold, &doc, &ei);
    op->charge = 1;
    if (err == ERR_NOT_FOUND) {
        op_fail_with(op, 404, 0, "Resource Not Found");
    } else if (err != OK) {
        (void)op_note_unreadable(op, 0, &ei);
        op_fail(op, &ei);
    } else {
        op_header(op, STR("etag"), etag_of_text(&op->req->arena, doc.text));
        op_answer_str(op, 200, kind == META_PERMISSION ? permit_shown(op, doc.text) : doc.text);
    }
    buf_done(&key);
    buf_done(&hold);
}

static struct str shown_container(struct op *op, struct str stored)
{
    return container_shown(&op->req->arena, stored);
}

void meta_feed(struct op *op, enum meta_kind kind, uint32_t x, uint32_t y, struct str parent_rid,
               const char *feed_key)
{
    static const pid metadata[1] = {0};
    struct errinfo ei = {0};
    struct arena *a = &op->req->arena;
    struct feed *f = ARENA_NEW(a, struct feed);
    struct buf from;
    struct buf to;
    buf_init(&from, ENGINE_KEY_SIZE_MAX);
    buf_init(&to, ENGINE_KEY_SIZE_MAX);
    if (kind == META_OFFER) {
        buf_add_u8(&from, META_OFFER);
    } else {
        meta_key(&from, kind, x, y, STR(""));
    }
    key_after(buf_str(&from), &to);
    *f = (struct feed){.feed_key = feed_key,
                       .rid = parent_rid,
                       .space = SPACE_ITEM,
                       .pids = metadata,
                       .end = 1,
                       .from = arena_str(a, buf_str(&from)),
                       .to = arena_str(a, buf_str(&to))};
    f->scope = str_hash(f->from, 1);
    f->shown = kind == META_CONTAINER    ? shown_container
               : kind == META_PERMISSION ? permit_shown
                                         : NULL;
    buf_done(&from);
    buf_done(&to);
    enum err err = OK;
    if (str_eq(op->req->method, STR("POST"))) {
        err = feed_compile_body(op, f, &ei);
    } else {
        f->is_feed = true;
        err = query_compile(a, STR("SELECT * FROM c"), NULL, NULL, &f->query, &ei);
    }
    if (err != OK) {
        feed_fail(op, f, err, &ei);
        return;
    }
    /* The feed of containers is metadata: no session of a container applies. */
    op->coll = NULL;
    feed_run(op, f);
}

/* ---- databases ---- */

void meta_databases(struct op *op)
{
    struct errinfo ei = {0};
    if (str_eq(op->req->method, STR("GET")) || op_is_query(op)) {
        meta_feed(op, META_DATABASE, 0, 0, STR(""), "Databases");
        return;
    }
    if (!str_eq(op->req->method, STR("POST"))) {
        op_fail_with(op, 405, 0, "databases are created by POST and listed by GET");
        return;
    }
    struct meta_write *m = new_write(op, META_DATABASE);
    const struct json *doc = NULL;
    struct str id = STR("");
    enum err err = read_named(op, &doc, &id, &ei);
    if (err == OK) {
        err = read_throughput(op, m, &ei);
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    set_base(m, doc);
    add(m, DO_COUNT, META_COUNTER, 0, 0, STR(""));
    add(m, DO_CREATE, META_DATABASE, 0, 0, id);
    if (m->throughput > 0 || m->autopilot > 0) {
        add(m, DO_OFFER, META_OFFER, 0, 0, id);
    }
    submit_write(op, &m->w);
}

void meta_database(struct op *op, struct str db)
{
    if (str_eq(op->req->method, STR("GET"))) {
        read_one(op, META_DATABASE, 0, 0, db);
    } else if (str_eq(op->req->method, STR("DELETE"))) {
        /* Its children go with it: they hang on its number, which is never given again, so those that
         * do not fit into this write are out of reach from here on. */
        struct meta_write *m = new_write(op, META_DATABASE);
        add(m, DO_DELETE, META_DATABASE, 0, 0, db);
        add(m, DO_DELETE_IF_THERE, META_OFFER, 0, 0, db);
        const struct database *found = catalog_database(op->catalog, db);
        struct map_entry *e = found ? map_first(&op->catalog->containers) : NULL;
        for (; e && m->w.op_count + 2 <= META_OPS_MAX; e = map_next(e)) {
            const struct container *c = map_value(e);
            if (c->db == found->number) {
                add(m, DO_DELETE_IF_THERE, META_CONTAINER, c->db, 0, c->id);
                add(m, DO_DELETE_IF_THERE, META_OFFER, c->db, 0, c->id);
            }
        }
        submit_write(op, &m->w);
    } else {
        op_fail_with(op, 405, 0, "a database can be read and deleted");
    }
}

/* ---- containers ---- */

static void container_feed(struct op *op, const struct database *db)
{
    if (op_is_query(op)) {
        meta_feed(op, META_CONTAINER, db->number, 0, db->rid, "DocumentCollections");
        return;
    }
    struct buf body;
    size_t n = 0;
    buf_init(&body, 64 << 20);
    buf_add_cstr(&body, "{\"_rid\":\"");
    buf_add_str(&body, db->rid);
    buf_add_cstr(&body, "\",\"DocumentCollections\":[");
    for (struct map_entry *e = map_first(&op->catalog->containers); e; e = map_next(e)) {
        const struct container *c = map_value(e);
        if (c->db == db->number) {
            if (n++ > 0) {
                buf_add_char(&body, ',');
            }
            buf_add_str(&body, c->text);
        }
    }
    buf_printf(&body, "],\"_count\":%zu}", n);
    op_header(op, STR("x-ms-item-count"), arena_printf(&op->req->arena, "%zu", n));
    op->charge = 1;
    op_answer(op, 200, &body);
    buf_done(&body);
}

void meta_containers(struct op *op, const struct database *db)
{
    struct errinfo ei = {0};
    struct arena *a = &op->req->arena;
    if (str_eq(op->req->method, STR("GET")) || op_is_query(op)) {
        container_feed(op, db);
        return;
    }
    if (!str_eq(op->req->method, STR("POST"))) {
        op_fail_with(op, 405, 0, "containers are created by POST and listed by GET");
        return;
    }
    struct meta_write *m = new_write(op, META_CONTAINER);
    const struct json *doc = NULL;
    const struct json *full = NULL;
    struct str id = STR("");
    enum err err = read_named(op, &doc, &id, &ei);
    if (err == OK) {
        err = read_throughput(op, m, &ei);
    }
    if (err == OK) {
        err = container_define(a, doc, NULL, &full, &ei);
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    m->db = db;
    bool has_own = m->throughput > 0 || m->autopilot > 0;
    if (!has_own && !is_there(op, META_OFFER, 0, db->id)) { /* else it shares the database's */
        m->throughput = OFFER_DEFAULT;
        has_own = true;
    }
    uint64_t most = m->autopilot > 0 ? m->autopilot : m->throughput;
    m->part_count = (size_t)((most + RU_PER_RANGE - 1) / RU_PER_RANGE);
    m->part_count = m->part_count > RID_PARTITIONS_MAX ? RID_PARTITIONS_MAX
                    : m->part_count == 0               ? 1
                                                       : m->part_count;
    set_base(m, full);
    add_need(m, META_DATABASE, 0, db->id, db->number);
    add(m, DO_COUNT, META_COUNTER, 0, 0, STR(""));
    add(m, DO_CREATE, META_CONTAINER, db->number, 0, id);
    if (has_own) {
        add(m, DO_OFFER, META_OFFER, db->number, 0, id);
    }
    submit_write(op, &m->w);
}

static void add_quota(struct op *op)
{
    uint64_t items = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < op->coll->part_count; i++) {
        items += atomic_load(&op->coll->parts[i]->item_count);
        bytes += atomic_load(&op->coll->parts[i]->item_size);
    }
    op_header(op, STR("x-ms-resource-quota"),
              arena_printf(&op->req->arena,
                           "functions=25;storedProcedures=100;triggers=25;documentSize=10240;"
                           "documentsSize=%zu;documentsCount=-1;collectionSize=%zu;",
                           op->coll->part_count * 10485760, op->coll->part_count * 10485760));
    op_header(op, STR("x-ms-resource-usage"),
              arena_printf(
                  &op->req->arena,
                  "functions=0;storedProcedures=0;triggers=0;documentSize=0;documentsSize=%" PRIu64
                  ";documentsCount=%" PRIu64 ";collectionSize=%" PRIu64 ";",
                  bytes / 1024, items, bytes / 1024));
}

void meta_container(struct op *op)
{
    struct errinfo ei = {0};
    struct arena *a = &op->req->arena;
    struct container *c = op->coll;
    struct str method = op->req->method;
    if (str_eq(method, STR("GET"))) {
        op->charge = 1;
        if (op_flag(op, STR("x-ms-documentdb-populatequotainfo"))) {
            add_quota(op);
        }
        op_header(op, STR("x-ms-documentdb-collection-index-transformation-progress"), STR("100"));
        op_header(op, STR("etag"), c->etag);
        op_answer_str(op, 200, c->text);
        return;
    }
    struct meta_write *m = new_write(op, META_CONTAINER);
    m->db = catalog_database(op->catalog, c->db_id);
    m->old = c;
    m->expect[0] = c->number; /* of the first operation, whichever it is */
    if (str_eq(method, STR("DELETE"))) {
        add(m, DO_DELETE, META_CONTAINER, c->db, 0, c->id);
        add(m, DO_DELETE_IF_THERE, META_OFFER, c->db, 0, c->id);
        op->coll = NULL; /* no session of a container that is gone */
        submit_write(op, &m->w);
        return;
    }
    if (!str_eq(method, STR("PUT"))) {
        op_fail_with(op, 405, 0, "a container can be read, replaced and deleted");
        return;
    }
    const struct json *doc = NULL;
    const struct json *full = NULL;
    struct str id = STR("");
    enum err err = read_named(op, &doc, &id, &ei);
    if (err == OK) {
        err = container_define(a, doc, c, &full, &ei);
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    set_base(m, full);
    add(m, DO_REPLACE, META_CONTAINER, c->db, 0, c->id);
    submit_write(op, &m->w);
}

/* ---- users, permissions, scripts ---- */

static enum err check_child(enum meta_kind kind, const struct json *doc, struct errinfo *ei)
{
    struct str s = STR("");
    if (kind == META_SPROC || kind == META_TRIGGER || kind == META_UDF) {
        if (!json_get_str(doc, STR("body"), &s)) {
            return err_set(ei, ERR_INVALID, "a script needs a string 'body'");
        }
    }
    if (kind == META_TRIGGER && (!json_get_str(doc, STR("triggerType"), &s) ||
                                 !json_get_str(doc, STR("triggerOperation"), &s))) {
        return err_set(ei, ERR_INVALID, "a trigger needs triggerType and triggerOperation");
    }
    if (kind == META_PERMISSION && (!json_get_str(doc, STR("permissionMode"), &s) ||
                                    !json_get_str(doc, STR("resource"), &s))) {
        return err_set(ei, ERR_INVALID, "a permission needs permissionMode and resource");
    }
    return OK;
}

void meta_children(struct op *op, enum meta_kind kind, const struct database *db, uint32_t parent,
                   struct str parent_link, struct str parent_rid, struct str id)
{
    struct errinfo ei = {0};
    struct str method = op->req->method;
    static const struct {
        enum meta_kind kind;
        const char *feed_key;
    } feeds[] = {{META_USER, "Users"},
                 {META_PERMISSION, "Permissions"},
                 {META_SPROC, "StoredProcedures"},
                 {META_TRIGGER, "Triggers"},
                 {META_UDF, "UserDefinedFunctions"}};
    UNUSED(parent_link);
    if (id.n == 0 && (str_eq(method, STR("GET")) || op_is_query(op))) {
        for (size_t i = 0; i < ARRAY_COUNT(feeds); i++) {
            if (feeds[i].kind == kind) {
                meta_feed(op, kind, db->number, parent, parent_rid, feeds[i].feed_key);
                return;
            }
        }
    }
    if (id.n > 0 && str_eq(method, STR("GET"))) {
        read_one(op, kind, db->number, parent, id);
        return;
    }
    struct meta_write *m = new_write(op, kind);
    m->db = db;
    m->parent_rid = parent_rid;
    m->parent_number = parent;
    if (id.n > 0 && str_eq(method, STR("DELETE"))) {
        add(m, DO_DELETE, kind, db->number, parent, id);
        submit_write(op, &m->w);
        return;
    }
    if (id.n > 0 && kind == META_SPROC && str_eq(method, STR("POST"))) {
        op_fail_with(
            op, 501, 0,
            "executing stored procedures is not implemented; the script is kept as a resource");
        return;
    }
    if (id.n > 0 ? !str_eq(method, STR("PUT")) : !str_eq(method, STR("POST"))) {
        op_fail_with(op, 405, 0, "the method is not allowed on this resource");
        return;
    }
    const struct json *doc = NULL;
    struct str name = STR("");
    enum err err = read_named(op, &doc, &name, &ei);
    if (err == OK) {
        err = check_child(kind, doc, &ei);
    }
    if (err == OK && kind == META_PERMISSION) {
        err = permit_check(op, db, doc, &ei);
    }
    if (err == OK && id.n > 0 && !str_eq(id, name)) {
        err = err_set(&ei, ERR_INVALID, "the id of a resource cannot be changed");
    }
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    set_base(m, doc);
    if (kind == META_USER && id.n == 0) {
        add(m, DO_COUNT, META_COUNTER, 0, 0, STR(""));
    }
    add_need(m, META_DATABASE, 0, db->id, db->number);
    if (kind == META_PERMISSION) {
        add_need(m, META_USER, db->number, op->target.seg[3], parent);
    } else if (kind != META_USER) {
        add_need(m, META_CONTAINER, db->number, op->coll->id, parent);
    }
    bool is_upsert = op_flag(op, STR("x-ms-documentdb-is-upsert"));
    add(m,
        id.n > 0    ? DO_REPLACE
        : is_upsert ? DO_UPSERT
                    : DO_CREATE,
        kind, db->number, parent, name);
    submit_write(op, &m->w);
}

/* ---- offers ---- */

struct found_offer {
    struct str key, text;
    bool is_found;
};

/* By the text of its rid, which is its id: offers are few. */
static enum err find_offer(struct op *op, struct str id, struct found_offer *ret,
                           struct errinfo *ei)
{
    struct engine_row row;
    struct engine_iter *it =
        engine_scan(op->service->engine, NULL, 0, SPACE_ITEM, STR("O"), STR("P"));
    struct arena *a = &op->req->arena;
    struct buf rid;
    buf_init(&rid, 64);
    while (!ret->is_found && engine_iter_next(it, &row)) {
        buf_clear(&rid);
        rid_add_offer(&rid, (uint32_t)row.doc.rid);
        if (str_eq(buf_str(&rid), id)) {
            *ret = (struct found_offer){arena_str(a, row.key), arena_str(a, row.doc.text), true};
        }
    }
    buf_done(&rid);
    enum err err = engine_iter_err(it, ei);
    engine_iter_free(it);
    return err;
}

static enum err check_content(const struct json *content, struct errinfo *ei)
{
    uint64_t n = 0;
    const struct json *automatic = json_get(content, STR("offerAutopilotSettings"));
    if (automatic && automatic->type == JSON_OBJECT) {
        if (!json_get_u64(automatic, STR("maxThroughput"), &n) || n < AUTOPILOT_MIN ||
            n > THROUGHPUT_MAX || n % AUTOPILOT_MIN != 0) {
            return err_set(ei, ERR_INVALID,
                           "maxThroughput must be between %d and %d in steps of %d", AUTOPILOT_MIN,
                           THROUGHPUT_MAX, AUTOPILOT_MIN);
        }
        return OK;
    }
    if (!json_get_u64(content, STR("offerThroughput"), &n) || n < OFFER_DEFAULT ||
        n > THROUGHPUT_MAX || n % 100 != 0) {
        return err_set(ei, ERR_INVALID, "offerThroughput must be between %d and %d in steps of 100",
                       OFFER_DEFAULT, THROUGHPUT_MAX);
    }
    return OK;
}

/* Of an offer only its content can be replaced; what it belongs to stays. The number of ranges of its
 * container stays as well: it is fixed at creation. */
static enum err offer_base(struct op *op, struct meta_write *m, struct str id, struct str stored,
                           struct errinfo *ei)
{
    struct arena *a = &op->req->arena;
    const struct json *body = NULL;
    const struct json *old = NULL;
    struct str given = STR("");
    TRY(op_body(op, &body, ei));
    TRY(json_parse(a, stored, NULL, &old, ei));
    if (json_get_str(body, STR("id"), &given) && !str_eq(given, id)) {
        return err_set(ei, ERR_INVALID, "the id of an offer cannot be changed");
    }
    const struct json *content = json_get(body, STR("content"));
    TRY(check_content(content, ei));
    struct json_member *members = ARENA_NEW_ARRAY(a, struct json_member, old->count);
    for (size_t i = 0; i < old->count; i++) {
        members[i] = old->members[i];
        if (str_eq(members[i].key, STR("content"))) {
            members[i].value = content;
        }
    }
    set_base(m, json_object(a, members, old->count));
    return OK;
}

void meta_offers(struct op *op, struct str id)
{
    struct errinfo ei = {0};
    struct str method = op->req->method;
    if (id.n == 0) {
        if (str_eq(method, STR("GET")) || op_is_query(op)) {
            meta_feed(op, META_OFFER, 0, 0, STR(""), "Offers");
        } else {
            op_fail_with(op, 405, 0, "offers are made with their container");
        }
        return;
    }
    struct found_offer found = {0};
    enum err err = find_offer(op, id, &found, &ei);
    if (err != OK) {
        (void)op_note_unreadable(op, 0, &ei);
        op_fail(op, &ei);
        return;
    }
    if (!found.is_found) {
        op_fail_with(op, 404, 0, "Resource Not Found");
        return;
    }
    op->charge = 1;
    if (str_eq(method, STR("GET"))) {
        op_header(op, STR("etag"), etag_of_text(&op->req->arena, found.text));
        op_answer_str(op, 200, found.text);
        return;
    }
    if (!str_eq(method, STR("PUT"))) {
        op_fail_with(op, 405, 0, "an offer can be read and replaced");
        return;
    }
    struct meta_write *m = new_write(op, META_OFFER);
    err = offer_base(op, m, id, found.text, &ei);
    if (err != OK) {
        op_fail(op, &ei);
        return;
    }
    add(m, DO_REPLACE, META_OFFER, 0, 0, STR(""));
    m->wops[0].key = found.key;
    submit_write(op, &m->w);
}

/* ---- partition key ranges ---- */

void ranges_feed(struct op *op)
{
    struct container *c = op->coll;
    struct buf body;
    op->charge = 1;
    op_header(op, STR("etag"), c->etag);
    if (!str_eq(op->req->method, STR("GET"))) {
        op_fail_with(op, 405, 0, "partition key ranges can only be read");
        return;
    }
    bool is_change_feed = http_header(op->req, STR("a-im")).n > 0;
    struct str known = http_header(op->req, STR("if-none-match"));
    if (is_change_feed && known.n > 0 && etag_matches(known, c->etag)) {
        op_answer(op, 304, NULL);
        return;
    }
    buf_init(&body, 1 << 20);
    buf_printf(&body, "{\"_rid\":\"" STR_FMT "\",\"PartitionKeyRanges\":[", STR_ARG(c->rid));
    for (size_t i = 0; i < c->part_count; i++) {
        struct buf rid;
        buf_init(&rid, 64);
        rid_add_child(&rid, c->db, c->number, RID_RANGE, i + 1);
        buf_printf(&body,
                   "%s{\"_rid\":\"" STR_FMT
                   "\",\"id\":\"%zu\",\"_etag\":\"\\\"%zu\\\"\",\"minInclusive\":\"",
                   i > 0 ? "," : "", STR_ARG(buf_str(&rid)), i, i);
        container_bound_text(c, i, &body);
        buf_add_cstr(&body, "\",\"maxExclusive\":\"");
        container_bound_text(c, i + 1, &body);
        buf_printf(&body,
                   "\",\"ridPrefix\":%zu,\"_self\":\"dbs/" STR_FMT "/colls/" STR_FMT
                   "/pkranges/" STR_FMT
                   "/\",\"throughputFraction\":%.6g,\"status\":\"online\",\"parents\":[],"
                   "\"ownedArchivalPKRangeIds\":[],\"_ts\":0,\"lsn\":%" PRIu64 "}",
                   i, STR_ARG(c->db_rid), STR_ARG(c->rid), STR_ARG(buf_str(&rid)),
                   1.0 / (double)c->part_count, (uint64_t)atomic_load(&c->parts[i]->applied_lsn));
        buf_done(&rid);
    }
    buf_printf(&body, "],\"_count\":%zu}", c->part_count);
    op_header(op, STR("x-ms-item-count"), arena_printf(&op->req->arena, "%zu", c->part_count));
    op_answer(op, 200, &body);
    buf_done(&body);
}
