/* See world.h. */
#include "world.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/t.h"

enum { STEP_US = 5000, QUEUE_MAX = 65536 };

struct item { /* something that arrives with the next step */
    enum { ITEM_COMMIT, ITEM_FRAME, ITEM_TXN, ITEM_ARCHIVED } kind;
    uint64_t ticket;
    struct engine_batch *batch;
    region_id from;
    char *bytes; /* owned */
    size_t n;
    struct coord_txn *txn; /* owned by the world's arena */
};

struct world_node {
    struct world *w;
    region_id id;
    struct engine *engine;
    struct region *region;
    uint64_t incarnation;
    coord_rev seen;
    bool is_synced, coord_cut, peers_cut, commits_held, changes_held;
    struct item *queue; /* owned */
    size_t head, tail;
    size_t archived;
    uint32_t events; /* bit per kind */
    struct region_event last_failover;
    int64_t wall_off_ms;
};

/* ---- the world outside, as a region sees it ---- */

static usec node_now(void *ctx)
{
    return ((struct world_node *)ctx)->w->now;
}

static int64_t node_wall(void *ctx)
{
    const struct world_node *n = ctx;
    return INT64_C(1700000000000) + (int64_t)(n->w->now / 1000) + n->wall_off_ms;
}

void world_set_clock(struct world *w, region_id id, int64_t off_ms)
{
    w->nodes[id]->wall_off_ms = off_ms;
}

static struct item *push(struct world_node *n)
{
    ASSERT(n->tail < QUEUE_MAX);
    n->queue[n->tail] = (struct item){0};
    return &n->queue[n->tail++];
}

static void node_commit(void *ctx, struct engine_batch *b, uint64_t ticket)
{
    struct item *i = push(ctx);
    i->kind = ITEM_COMMIT;
    i->batch = b;
    i->ticket = ticket;
}

/* Counts what is in the frame; `out` is it without what the receiver would skip. */
static void read_frame(struct world *w, struct str frame, region_id from, region_id to,
                       struct buf *out)
{
    struct msg_reader r;
    struct msg m;
    msg_frame_begin(out, from, to);
    for (enum err e = msg_frame_open(frame, &r, NULL); e == OK;) {
        e = msg_next(&r, &w->arena, &m, NULL);
        if (e == OK && (w->unknown_type == 0 || m.type < w->unknown_type)) {
            w->sent[m.type]++;
            msg_encode(out, &m);
        }
    }
}

static void node_send(void *ctx, region_id to, struct str frame)
{
    struct world_node *n = ctx;
    struct world_node *other = n->w->nodes[to];
    if (other->region == NULL || n->peers_cut || other->peers_cut) {
        return;
    }
    struct item *i = push(other);
    i->kind = ITEM_FRAME;
    i->from = n->id;
    struct buf known;
    buf_init(&known, MSG_FRAME_SIZE_MAX);
    read_frame(n->w, frame, n->id, to, &known);
    i->bytes = mem_dup(known.p, known.n);
    i->n = known.n;
    buf_done(&known);
}

static void node_txn(void *ctx, const struct coord_txn *t, uint64_t ticket)
{
    struct world_node *n = ctx;
    struct arena *a = &n->w->arena;
    struct item *i = push(n);
    struct coord_txn *copy = ARENA_NEW(a, struct coord_txn);
    *copy = *t;
    for (size_t k = 0; k < t->compare_count; k++) {
        copy->compares[k].key = arena_str(a, t->compares[k].key);
    }
    for (size_t k = 0; k < t->put_count; k++) {
        copy->puts[k].key = arena_str(a, t->puts[k].key);
        copy->puts[k].value = arena_str(a, t->puts[k].value);
    }
    i->kind = ITEM_TXN;
    i->txn = copy;
    i->ticket = ticket;
}

static void node_reply(void *ctx, struct region_write *w)
{
    UNUSED(ctx);
    ((struct world_write *)w->user)->is_done = true;
}

static void node_wait_done(void *ctx, struct region_wait *w)
{
    UNUSED(ctx);
    *(bool *)w->user = true;
}

static void node_archive(void *ctx, pid p, struct str entries, uint64_t ticket)
{
    struct world_node *n = ctx;
    UNUSED(p);
    n->archived += entries.n;
    struct item *i = push(n);
    i->kind = ITEM_ARCHIVED;
    i->ticket = ticket;
}

static void node_event(void *ctx, const struct region_event *ev)
{
    struct world_node *n = ctx;
    n->events |= 1u << ev->kind;
    n->last_failover = ev->kind == EVENT_FAILOVER ? *ev : n->last_failover;
}

static void node_published(void *ctx)
{
    UNUSED(ctx);
}

static void node_metadata(void *ctx, lsn upto)
{
    UNUSED(ctx);
    UNUSED(upto);
}

static bool node_conflict(void *ctx, pid p, const struct entry *lost, size_t op_idx,
                          const struct conflict_note *note, const struct write_place *place,
                          struct buf *out_key, struct buf *out_text, uint64_t *ret_rid)
{
    UNUSED(ctx);
    UNUSED(place);
    buf_printf(out_key, "x/%llu/%llu/%llu/%zu", (unsigned long long)p,
               (unsigned long long)lost->epoch, (unsigned long long)lost->lsn, op_idx);
    buf_printf(out_text, "{\"from\":%u,\"ack\":%d}", note->from, note->was_acknowledged);
    if (note->is_applied) {
        buf_add_str(out_text, lost->ops[op_idx].doc.text); /* what it replaced */
    }
    *ret_rid = lost->lsn;
    return true;
}

static bool node_apply(void *ctx, pid p, const struct entry_op *lost, const struct engine_doc *now,
                       const struct write_place *place, struct buf *out_text)
{
    UNUSED(ctx);
    UNUSED(p);
    UNUSED(now);
    UNUSED(place);
    buf_add_str(out_text, lost->doc.text);
    return true;
}

static void node_fatal(void *ctx, enum err err, const char *why)
{
    UNUSED(ctx);
    t_fail("fatal: %s %s", err_name(err), why);
}

static const struct region_io io_template = {
    .now = node_now,
    .wall_ms = node_wall,
    .commit = node_commit,
    .send = node_send,
    .txn = node_txn,
    .reply = node_reply,
    .wait_done = node_wait_done,
    .archive = node_archive,
    .event = node_event,
    .published = node_published,
    .metadata_applied = node_metadata,
    .conflict_build = node_conflict,
    .conflict_apply = node_apply,
    .fatal = node_fatal,
};

/* ---- running ---- */

static void watch(struct world_node *n)
{
    struct world *w = n->w;
    if (n->coord_cut) {
        if (n->is_synced) {
            n->is_synced = false;
            region_on_coord(n->region, false);
        }
        return;
    }
    const struct coord_kv *kvs = NULL;
    size_t count = 0;
    coord_rev upto = coord_store_rev(w->store);
    if (!coord_store_changes(w->store, STR(COORD_PREFIX), n->seen, &w->arena, &kvs, &count)) {
        count = coord_store_read(w->store, STR(COORD_PREFIX), &w->arena, &kvs);
    }
    for (size_t i = 0; i < count; i++) {
        region_on_kv(n->region, &kvs[i]);
    }
    n->seen = upto;
    if (!n->is_synced) {
        n->is_synced = true;
        region_on_coord(n->region, true);
    }
}

static void run_txn(struct world_node *n, const struct item *i)
{
    struct coord_txn_result res = {.err = ERR_TIMEOUT};
    if (!n->coord_cut) {
        struct buf record;
        buf_init(&record, 4 << 20);
        coord_store_txn(n->w->store, i->txn, &n->w->arena, &res, &record);
        buf_done(&record);
    }
    region_on_txn(n->region, i->ticket, &res);
}

static void run_commit(struct world_node *n, const struct item *i)
{
    enum err each = OK;
    struct errinfo ei = {0};
    t_ok_info(engine_apply(n->engine, &i->batch, 1, true, &each, &ei), &ei);
    engine_batch_free(i->batch);
    region_on_commit(n->region, i->ticket, each);
}

static void deliver(struct world_node *n)
{
    size_t upto = n->tail;
    struct item *kept = NULL;
    size_t kept_count = 0;
    for (; n->head < upto; n->head++) {
        struct item i = n->queue[n->head];
        if ((i.kind == ITEM_COMMIT && n->commits_held) ||
            (i.kind == ITEM_TXN && n->changes_held && !i.txn->puts[0].is_volatile)) {
            kept = mem_realloc(kept, (kept_count + 1) * sizeof(*kept));
            kept[kept_count++] = i;
        } else if (i.kind == ITEM_COMMIT) {
            run_commit(n, &i);
        } else if (i.kind == ITEM_TXN) {
            run_txn(n, &i);
        } else if (i.kind == ITEM_ARCHIVED) {
            region_on_archived(n->region, i.ticket, OK);
        } else {
            region_on_frame(n->region, i.from, str_make(i.bytes, i.n));
            mem_free(i.bytes);
        }
        region_check(n->region);
    }
    /* What is held, then what arrived meanwhile, in order. */
    size_t rest = n->tail - upto;
    memmove(n->queue + kept_count, n->queue + upto, rest * sizeof(*n->queue));
    if (kept_count > 0) {
        memcpy(n->queue, kept, kept_count * sizeof(*kept));
    }
    mem_free(kept);
    n->head = 0;
    n->tail = kept_count + rest;
}

static void step(struct world *w)
{
    w->now += STEP_US;
    for (size_t id = 1; id <= w->count; id++) {
        struct world_node *n = w->nodes[id];
        if (n->region != NULL) {
            deliver(n);
            watch(n);
            region_check(n->region);
            region_on_tick(n->region);
            region_flush(n->region);
            region_check(n->region);
        }
    }
}

void world_run(struct world *w, unsigned run_ms)
{
    for (unsigned i = 0; i < run_ms * 1000 / STEP_US; i++) {
        step(w);
    }
}

/* ---- processes ---- */

static void links(struct world *w, region_id id, bool is_up)
{
    for (size_t other = 1; other <= w->count; other++) {
        struct world_node *o = w->nodes[other];
        if (other == id || o->region == NULL || w->nodes[id]->region == NULL) {
            continue;
        }
        bool up = is_up && !o->peers_cut && !w->nodes[id]->peers_cut;
        region_on_link(w->nodes[id]->region, (region_id)other, up);
        region_on_link(o->region, id, up);
    }
}

void world_start(struct world *w, region_id id)
{
    struct world_node *n = w->nodes[id];
    ASSERT(n->region == NULL);
    n->incarnation = ++w->next_incarnation * 1000 + id;
    struct region_cfg cfg = {
        .account = STR("test"),
        .self = id,
        .incarnation = n->incarnation,
        .timers = region_timers_lan,
        .seed = id,
        .log_size_max = w->log_size_max,
        .copy_docs_max = w->copy_docs_max,
        .keep_writing = w->keep_writing,
    };
    struct region_io io = io_template;
    io.ctx = n;
    struct errinfo ei = {0};
    t_ok_info(region_new(&cfg, &io, n->engine, &n->region, &ei), &ei);
    n->seen = 0;
    n->is_synced = false;
    (void)region_part(n->region, 1);
    watch(n);
    links(w, id, true);
}

void world_stop(struct world *w, region_id id, bool confirm)
{
    struct world_node *n = w->nodes[id];
    links(w, id, false);
    for (size_t i = n->head; i < n->tail; i++) {
        if (n->queue[i].kind == ITEM_COMMIT) {
            engine_batch_free(n->queue[i].batch); /* never reached the disk */
        }
        mem_free(n->queue[i].bytes);
    }
    n->head = n->tail = 0;
    region_free(n->region);
    n->region = NULL;
    if (!confirm) {
        return;
    }
    char key[128], value[64];
    (void)snprintf(key, sizeof(key), COORD_PREFIX "test/stopped/%u", id);
    (void)snprintf(value, sizeof(value), "{\"incarnation\":%llu}",
                   (unsigned long long)n->incarnation);
    struct coord_txn t = {.put_count = 1, .puts = {{.key = str_of(key), .value = str_of(value)}}};
    struct coord_txn_result res;
    struct buf record;
    buf_init(&record, 1 << 20);
    coord_store_txn(w->store, &t, &w->arena, &res, &record);
    t_check(res.succeeded);
    buf_done(&record);
}

static void put_record(struct world *w, const struct account_record *rec, coord_rev rev)
{
    struct buf value, record;
    buf_init(&value, 1 << 20);
    buf_init(&record, 4 << 20);
    record_encode(rec, &value);
    struct coord_txn t = {
        .compare_count = 1,
        .compares = {{.key = STR(COORD_PREFIX "test/record"), .rev = rev}},
        .put_count = 1,
        .puts = {{.key = STR(COORD_PREFIX "test/record"), .value = buf_str(&value)}},
    };
    struct coord_txn_result res;
    coord_store_txn(w->store, &t, &w->arena, &res, &record);
    t_check(res.succeeded);
    buf_done(&value);
    buf_done(&record);
}

static void new_node(struct world *w, region_id id)
{
    struct world_node *n = MEM_NEW(struct world_node);
    n->w = w;
    n->id = id;
    n->queue = MEM_NEW_ARRAY(struct item, QUEUE_MAX);
    struct engine_opts opts = {.driver = STR("mem")};
    t_ok(engine_open(&opts, &n->engine, NULL));
    w->nodes[id] = n;
}

region_id world_machine(struct world *w)
{
    region_id id = (region_id)++w->count;
    new_node(w, id);
    return id;
}

struct world *world_new(size_t regions, enum consistency level)
{
    return world_new_keeping(regions, level, KEEP_WRITING_AUTO);
}

struct world *world_new_keeping(size_t regions, enum consistency level, enum keep_writing k)
{
    static const char *const names[] = {"", "east", "west", "north", "south"};
    struct world *w = MEM_NEW(struct world);
    w->now = 1000000;
    w->store = coord_store_new();
    w->count = regions;
    w->keep_writing = k;
    arena_init(&w->arena);
    struct account_record rec;
    account_init(&rec, "test", level);
    for (size_t id = 1; id <= regions; id++) {
        t_ok(account_add_region(&rec, names[id], "http://h/", "h:1", 1, NULL));
        new_node(w, (region_id)id);
    }
    put_record(w, &rec, 0);
    for (size_t id = 1; id <= regions; id++) {
        world_start(w, (region_id)id);
    }
    world_until_role(w, 1, ROLE_WRITER);
    world_run(w, 500);
    return w;
}

void world_free(struct world *w)
{
    for (size_t id = 1; id <= w->count; id++) {
        struct world_node *n = w->nodes[id];
        if (n->region != NULL) {
            world_stop(w, (region_id)id, false);
        }
    }
    for (size_t id = 1; id <= w->count; id++) {
        struct world_node *n = w->nodes[id];
        engine_close(n->engine);
        mem_free(n->queue);
        mem_free(n);
    }
    coord_store_free(w->store);
    arena_done(&w->arena);
    mem_free(w);
}

/* ---- looking ---- */

struct region *world_region(struct world *w, region_id id)
{
    return w->nodes[id]->region;
}

struct engine *world_engine(struct world *w, region_id id)
{
    return w->nodes[id]->engine;
}

size_t world_archived(struct world *w, region_id id)
{
    return w->nodes[id]->archived;
}

bool world_has_event(struct world *w, region_id id, enum region_event_kind kind)
{
    return (w->nodes[id]->events & 1u << kind) != 0;
}

struct str world_failover_text(struct world *w, region_id id)
{
    return str_of(w->nodes[id]->last_failover.text);
}

static struct account_record *read_record(struct world *w, coord_rev *ret_rev)
{
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w->store, STR(COORD_PREFIX "test/record"), &w->arena, &kvs);
    t_eq_u64(n, 1);
    struct account_record *rec = ARENA_NEW(&w->arena, struct account_record);
    t_ok(record_decode(&w->arena, kvs[0].value, rec, NULL));
    *ret_rev = kvs[0].rev;
    return rec;
}

const struct account_record *world_record(struct world *w)
{
    coord_rev rev = 0;
    return read_record(w, &rev);
}

void world_until_role(struct world *w, region_id id, enum region_role role)
{
    for (int i = 0; i < 6000; i++) {
        if (region_role(w->nodes[id]->region) == role) {
            return;
        }
        step(w);
    }
    t_fail("region %u is %s, not %s", id, region_role_name(region_role(w->nodes[id]->region)),
           region_role_name(role));
}

void world_until_state(struct world *w, region_id id, enum region_state state)
{
    for (int i = 0; i < 600; i++) {
        if (record_region_const(world_record(w), id)->state == state) {
            return;
        }
        world_run(w, 50);
    }
    t_fail("region %u is %s, not %s", id,
           region_state_name(record_region_const(world_record(w), id)->state),
           region_state_name(state));
}

/* ---- faults and orders ---- */

void world_cut_coord(struct world *w, region_id id, bool is_cut)
{
    w->nodes[id]->coord_cut = is_cut;
}

void world_cut_peers(struct world *w, region_id id, bool is_cut)
{
    w->nodes[id]->peers_cut = is_cut;
    links(w, id, !is_cut);
}

void world_hold_commits(struct world *w, region_id id, bool is_held)
{
    w->nodes[id]->commits_held = is_held;
}

void world_hold_changes(struct world *w, region_id id, bool is_held)
{
    w->nodes[id]->changes_held = is_held;
}

void world_beats(struct world *w, struct account_beats *ret)
{
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w->store, STR(COORD_PREFIX "test/"), &w->arena, &kvs);
    beats_read(ret, STR("test"), kvs, n);
}

void world_failover(struct world *w, const char *to)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    struct errinfo ei = {0};
    t_ok_info(account_plan_failover(rec, str_of(to), 1, &ei), &ei);
    put_record(w, rec, rev);
}

void world_offline(struct world *w, const char *region)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    t_ok(account_plan_offline(rec, str_of(region), &(struct offline_request){0}, 1, NULL));
    put_record(w, rec, rev);
}

void world_online(struct world *w, const char *region)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    t_ok(account_plan_online(rec, str_of(region), 1, NULL));
    put_record(w, rec, rev);
}

void world_plan(struct world *w, enum err (*plan)(struct account_record *rec, void *ctx), void *ctx)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    t_ok(plan(rec, ctx));
    put_record(w, rec, rev);
}

void world_level(struct world *w, const struct level_request *q)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    t_ok(account_plan_consistency(rec, q, NULL));
    put_record(w, rec, rev);
}

void world_no_auto(struct world *w)
{
    coord_rev rev = 0;
    struct account_record *rec = read_record(w, &rev);
    rec->auto_failover = false;
    put_record(w, rec, rev);
}

/* ---- writes ---- */

static void prepare(struct region_write *w, size_t op_idx, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    const struct world_write *x = w->user;
    UNUSED(op_idx);
    if (x->must_be_absent && current != NULL) {
        return; /* rejected */
    }
    if (x->is_delete) {
        ret->action = current != NULL ? WRITE_DELETE : WRITE_REJECT;
        return;
    }
    ret->action = WRITE_PUT;
    ret->text = x->text;
    ret->rid = place->lsn;
}

static struct world_write *start_in(struct world *w, region_id id, pid p, enum engine_space space,
                                    const char *key, const char *text, bool is_create)
{
    struct world_write *x = ARENA_NEW(&w->arena, struct world_write);
    x->op.space = space;
    x->op.key = arena_str(&w->arena, str_of(key));
    x->text = text != NULL ? arena_str(&w->arena, str_of(text)) : STR_NONE;
    x->is_delete = text == NULL;
    x->must_be_absent = is_create;
    x->w = (struct region_write){
        .pid = p, .op_count = 1, .ops = &x->op, .prepare = prepare, .user = x};
    region_write(w->nodes[id]->region, &x->w);
    region_flush(w->nodes[id]->region);
    return x;
}

static struct world_write *start(struct world *w, region_id id, pid p, const char *key,
                                 const char *text, bool is_create)
{
    return start_in(w, id, p, SPACE_ITEM, key, text, is_create);
}

struct world_write *world_delete_record(struct world *w, region_id id, pid p, const char *key)
{
    return start_in(w, id, p, SPACE_CONFLICT, key, NULL, false);
}

struct world_write *world_put(struct world *w, region_id id, pid p, const char *key,
                              const char *text)
{
    return start(w, id, p, key, text, false);
}

struct world_write *world_create(struct world *w, region_id id, pid p, const char *key,
                                 const char *text)
{
    return start(w, id, p, key, text, true);
}

struct world_write *world_delete(struct world *w, region_id id, pid p, const char *key)
{
    return start(w, id, p, key, NULL, false);
}

enum err world_answer(struct world *w, struct world_write *x)
{
    for (int i = 0; i < 6000 && !x->is_done; i++) {
        step(w);
    }
    t_check(x->is_done);
    return x->w.err;
}

const char *world_get(struct world *w, region_id id, pid p, const char *key)
{
    struct buf hold;
    struct engine_doc doc;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    enum err e =
        engine_get(w->nodes[id]->engine, NULL, p, SPACE_ITEM, str_of(key), true, &hold, &doc, NULL);
    const char *text = e == OK ? arena_cstr(&w->arena, doc.text) : NULL;
    buf_done(&hold);
    return text;
}

size_t world_conflicts(struct world *w, region_id id, pid p)
{
    struct engine_iter *it =
        engine_scan(w->nodes[id]->engine, NULL, p, SPACE_CONFLICT, STR_NONE, STR_NONE);
    struct engine_row row;
    size_t n = 0;
    while (engine_iter_next(it, &row)) {
        n++;
    }
    engine_iter_free(it);
    return n;
}

static void found(void *ctx, const char *finding)
{
    UNUSED(ctx);
    t_fail_soft("%s", finding);
}

/* All documents of a partition as one text. */
static struct str dump(struct world *w, region_id id, pid p)
{
    struct buf out;
    buf_init(&out, 16 << 20);
    for (int space = 0; space < SPACE_COUNT; space++) {
        struct engine_iter *it = engine_scan(w->nodes[id]->engine, NULL, p,
                                             (enum engine_space)space, STR_NONE, STR_NONE);
        struct engine_row row;
        while (engine_iter_next(it, &row)) {
            buf_add_str(&out, row.key);
            buf_printf(&out, " %d %llu/%llu.%u ", space, (unsigned long long)row.doc.epoch,
                       (unsigned long long)row.doc.version.lsn, row.doc.version.op_idx);
            buf_add_str(&out, row.doc.text);
            buf_add_char(&out, '\n');
        }
        engine_iter_free(it);
    }
    struct engine_part_meta m;
    struct buf hold;
    buf_init(&hold, 1 << 20);
    t_ok(engine_part_meta_get(w->nodes[id]->engine, NULL, p, &hold, &m, NULL));
    buf_printf(&out, "tail %llu/%llu ord %llu chain %llx items %llu size %llu conflicts %llu\n",
               (unsigned long long)m.tail_epoch, (unsigned long long)m.tail_lsn,
               (unsigned long long)m.tail_ord, (unsigned long long)m.tail_chain,
               (unsigned long long)m.item_count, (unsigned long long)m.item_size,
               (unsigned long long)m.conflict_count);
    struct str s = arena_str(&w->arena, buf_str(&out));
    buf_done(&hold);
    buf_done(&out);
    return s;
}

void world_check_same(struct world *w)
{
    for (pid p = 0; p <= 1; p++) {
        struct str first = dump(w, 1, p);
        for (size_t id = 2; id <= w->count; id++) {
            t_eq_str(dump(w, (region_id)id, p), first);
        }
    }
    for (size_t id = 1; id <= w->count; id++) {
        uint64_t findings = 0;
        t_ok(engine_verify(w->nodes[id]->engine, found, NULL, &findings, NULL));
        t_eq_u64(findings, 0);
    }
}
