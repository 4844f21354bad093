/* A select as a push pipeline:
 *
 *   source rows -> JOINs -> WHERE -> groups, or ORDER BY, or the select list -> DISTINCT
 *               -> OFFSET, LIMIT, TOP -> emit
 *
 * A select inside an expression or a JOIN (nested) runs to its end in one call, over the slots as
 * they are, and allocates in the arena it finds. The outermost select and the selects in its first
 * source (root) are fed by the scan, keep state between documents, and have arenas of their own
 * that are emptied after every row, so that a document that joins into a million rows needs the
 * memory of one. */
#include "base/contract.h"
#include "base/map.h"
#include "base/mem.h"
#include "cosmos/query/query_int.h"

enum { GROUP_SIZE = 160 }; /* what one group costs besides its keys, about */

struct group {
    const struct json **keys; /* owned clones */
    struct query_agg_state *states;
};

struct level {
    struct query_eval *ev;
    const struct query_select *select;
    struct query_run_hooks hooks;
    bool is_root;
    bool is_done;       /* LIMIT reached or the receiver had enough */
    uint64_t skip_left; /* OFFSET */
    uint64_t limit_left;
    uint64_t row_idx;  /* of rows that went into the sort */
    struct map groups; /* group key -> struct group, in the order of their first row */
    struct buf group_key;
    struct query_set distinct;
    struct query_sort sort;
    struct arena row;    /* root: emptied after every row */
    struct arena *joins; /* root: one per source, for subqueries in JOIN */
};

struct query_run {
    const struct query *q;
    struct level *levels; /* 0 is the outermost; each feeds the one before it */
    size_t level_count;
};

static enum query_flow bind_from(struct level *l, size_t idx);

/* ---- life ---- */

static void level_init(struct level *l, struct query_eval *ev, const struct query_select *s,
                       bool is_root, const struct query_run_hooks *hooks)
{
    *l = (struct level){.ev = ev, .select = s, .hooks = *hooks, .is_root = is_root};
    l->limit_left = UINT64_MAX;
    if (s->top.expr != NULL) {
        l->limit_left = s->top.n;
    }
    if (s->offset.expr != NULL) {
        l->skip_left = s->offset.n;
        l->limit_left = s->limit.n;
    }
    if (s->is_aggregated) {
        map_init(&l->groups);
        buf_init(&l->group_key, ev->memory_max);
    }
    if (s->is_distinct && !s->is_distinct_free) {
        query_set_init(&l->distinct, ev);
    }
    if (s->order_count > 0) {
        query_sort_init(&l->sort, ev, s);
        uint64_t wanted = l->skip_left + l->limit_left;
        bool is_bounded = l->limit_left != UINT64_MAX && !l->distinct.is_open && wanted < SIZE_MAX;
        l->sort.row_max = is_bounded && wanted > 0 ? (size_t)wanted : 0;
    }
    if (is_root) {
        arena_init(&l->row);
        l->joins = MEM_NEW_ARRAY(struct arena, s->from_count + 1);
        for (size_t i = 0; i < s->from_count; i++) {
            arena_init(&l->joins[i]);
        }
    }
}

static void group_free(const struct query_select *s, struct group *g)
{
    for (size_t i = 0; i < s->group_count; i++) {
        query_value_free(g->keys[i]);
    }
    for (size_t i = 0; i < s->agg_count; i++) {
        query_agg_done(&g->states[i]);
    }
    mem_free((void *)g->keys);
    mem_free(g->states);
    mem_free(g);
}

static void level_done(struct level *l)
{
    if (l->select->is_aggregated) {
        for (struct map_entry *e = map_first(&l->groups); e != NULL; e = map_next(e)) {
            group_free(l->select, (struct group *)map_value(e));
        }
        map_done(&l->groups);
        buf_done(&l->group_key);
    }
    query_set_done(&l->distinct);
    if (l->select->order_count > 0) {
        query_sort_done(&l->sort);
    }
    if (l->is_root) {
        for (size_t i = 0; i < l->select->from_count; i++) {
            arena_done(&l->joins[i]);
        }
        mem_free(l->joins);
        arena_done(&l->row);
    }
}

/* ---- what comes out ---- */

const struct json *query_run_project(struct query_eval *ev, const struct query_select *s)
{
    if (s->is_star) {
        return ev->slots[s->from[0].slot];
    }
    if (s->is_value) {
        return query_eval_expr(ev, s->items[0].expr);
    }
    const struct json **v =
        (const struct json **)query_eval_alloc(ev, s->item_count * sizeof(const struct json *));
    if (v == NULL) {
        return json_undefined();
    }
    for (size_t i = 0; i < s->item_count; i++) {
        v[i] = query_eval_expr(ev, s->items[i].expr);
    }
    return query_make_object(ev, s->names, v, s->item_count, s->has_repeats);
}

static const struct json *copy_row(struct query_eval *ev, const struct json *row)
{
    char *at = (char *)query_eval_alloc(ev, query_value_size(row));
    return at != NULL ? query_value_clone_at(&at, row) : json_undefined();
}

/* A finished row, in order. */
static enum query_flow put_row(struct level *l, const struct json *row)
{
    if (l->ev->err != OK) {
        return FLOW_STOP;
    }
    if (row->type == JSON_UNDEFINED) {
        return FLOW_MORE;
    }
    if (l->distinct.is_open && !query_set_add(&l->distinct, l->ev, row)) {
        return l->ev->err == OK ? FLOW_MORE : FLOW_STOP;
    }
    if (l->skip_left > 0) {
        l->skip_left--;
        return FLOW_MORE;
    }
    if (!l->is_root && (l->select->is_aggregated || l->select->order_count > 0)) {
        row = copy_row(l->ev, row); /* what it is made of dies with the level */
    }
    if (l->limit_left == 0 || l->hooks.emit(l->hooks.ctx, row) == FLOW_STOP) {
        l->is_done = true;
        return FLOW_STOP;
    }
    l->limit_left -= l->limit_left != UINT64_MAX;
    l->is_done = l->limit_left == 0;
    return l->is_done ? FLOW_STOP : FLOW_MORE;
}

/* The row, or the group, that the slots hold: into the sort, or out. */
static enum query_flow put_current(struct level *l)
{
    const struct query_select *s = l->select;
    struct query_eval *ev = l->ev;
    if (s->order_count == 0) {
        return put_row(l, query_run_project(ev, s));
    }
    const struct json **keys =
        (const struct json **)query_eval_alloc(ev, s->order_count * sizeof(const struct json *));
    if (keys == NULL) {
        return FLOW_STOP;
    }
    for (size_t i = 0; i < s->order_count; i++) {
        keys[i] = query_eval_expr(ev, s->order[i].expr);
    }
    struct query_row row = {
        .keys = keys, .ordinal = ev->ordinal, .rid = ev->rid, .row_idx = l->row_idx++};
    if (query_sort_wants(&l->sort, &row)) {
        row.value = query_run_project(ev, s);
        if (row.value->type != JSON_UNDEFINED && !query_sort_add(&l->sort, &row)) {
            return FLOW_STOP;
        }
    }
    return ev->err == OK ? FLOW_MORE : FLOW_STOP;
}

/* ---- groups ---- */

static struct group *group_new(struct level *l)
{
    const struct query_select *s = l->select;
    struct group *g = MEM_NEW(struct group);
    g->keys = MEM_NEW_ARRAY(const struct json *, s->group_count + 1);
    g->states = MEM_NEW_ARRAY(struct query_agg_state, s->agg_count + 1);
    size_t kept = GROUP_SIZE + l->group_key.n + s->agg_count * sizeof(g->states[0]);
    for (size_t i = 0; i < s->group_count; i++) {
        size_t size = 0;
        g->keys[i] = query_value_clone(l->ev->slots[s->group_slot + (int)i], &size);
        kept += size;
    }
    (void)map_put(&l->groups, buf_str(&l->group_key), g);
    (void)query_eval_keep(l->ev, kept);
    return g;
}

static enum query_flow group_add(struct level *l)
{
    const struct query_select *s = l->select;
    struct query_eval *ev = l->ev;
    buf_clear(&l->group_key);
    buf_add_u8(&l->group_key, 0); /* never empty */
    for (size_t i = 0; i < s->group_count; i++) {
        const struct json *v = query_eval_expr(ev, s->group[i]);
        ev->slots[s->group_slot + (int)i] = v;
        query_value_key(&l->group_key, v);
    }
    if (!buf_ok(&l->group_key)) {
        (void)query_eval_fail(ev, ERR_LIMIT, "A value is too large for GROUP BY.");
        return FLOW_STOP;
    }
    struct group *g = (struct group *)map_get(&l->groups, buf_str(&l->group_key));
    if (g == NULL) {
        g = group_new(l);
    }
    for (size_t i = 0; i < s->agg_count && ev->err == OK; i++) {
        query_agg_add(ev, &s->aggs[i], &g->states[i]);
    }
    return ev->err == OK ? FLOW_MORE : FLOW_STOP;
}

static enum query_flow put_group(struct level *l, const struct group *g)
{
    const struct query_select *s = l->select;
    for (size_t i = 0; i < s->group_count; i++) {
        l->ev->slots[s->group_slot + (int)i] = g->keys[i];
    }
    for (size_t i = 0; i < s->agg_count; i++) {
        l->ev->slots[s->aggs[i].slot] = query_agg_result(l->ev, &s->aggs[i], &g->states[i]);
    }
    return put_current(l);
}

/* ---- what goes in ---- */

static enum query_flow row_in_arena(struct level *l)
{
    const struct query_select *s = l->select;
    if (!query_eval_step(l->ev)) {
        return FLOW_STOP;
    }
    if (!query_eval_true(l->ev, s->where)) {
        return l->ev->err == OK ? FLOW_MORE : FLOW_STOP;
    }
    if (s->is_aggregated) {
        return group_add(l);
    }
    return l->hooks.order != NULL ? l->hooks.order(l->hooks.ctx) : put_current(l);
}

/* All sources are bound: one row. */
static enum query_flow take_row(struct level *l)
{
    if (!l->is_root) {
        return row_in_arena(l);
    }
    struct arena *outer = l->ev->arena;
    l->ev->arena = &l->row;
    enum query_flow flow = row_in_arena(l);
    l->ev->arena = outer;
    arena_reset(&l->row);
    return flow;
}

/* A value of source `idx`: itself, or its elements. */
static enum query_flow take_value(struct level *l, size_t idx, const struct json *v)
{
    const struct query_from *f = &l->select->from[idx];
    if (!f->is_iterator) {
        if (v->type == JSON_UNDEFINED) {
            return FLOW_MORE;
        }
        l->ev->slots[f->slot] = v;
        return bind_from(l, idx + 1);
    }
    enum query_flow flow = FLOW_MORE;
    for (size_t i = 0; v->type == JSON_ARRAY && i < v->count && flow == FLOW_MORE; i++) {
        l->ev->slots[f->slot] = v->items[i];
        flow = bind_from(l, idx + 1);
    }
    return flow;
}

struct join_ctx {
    struct level *level;
    size_t idx;
    struct arena *outer; /* that the level found */
    enum query_flow flow;
};

static enum query_flow take_joined(void *ctx, const struct json *row)
{
    struct join_ctx *j = (struct join_ctx *)ctx;
    struct query_eval *ev = j->level->ev;
    struct arena *inner = ev->arena;
    ev->arena = j->outer;
    j->flow = take_value(j->level, j->idx, row);
    ev->arena = inner;
    return j->flow;
}

/* Source `idx` and all behind it. */
static enum query_flow bind_from(struct level *l, size_t idx)
{
    const struct query_select *s = l->select;
    struct query_eval *ev = l->ev;
    if (idx == s->from_count) {
        return take_row(l);
    }
    if (!query_eval_step(ev)) {
        return FLOW_STOP;
    }
    const struct query_from *f = &s->from[idx];
    if (f->select == NULL) {
        return take_value(l, idx, query_eval_expr(ev, f->path));
    }
    struct join_ctx j = {.level = l, .idx = idx, .outer = ev->arena, .flow = FLOW_MORE};
    if (l->is_root) {
        arena_reset(&l->joins[idx]);
        ev->arena = &l->joins[idx];
    }
    query_run_nested(ev, f->select, take_joined, &j);
    ev->arena = j.outer;
    return ev->err == OK ? j.flow : FLOW_STOP;
}

/* Groups and sorted rows, once everything is in. */
static enum query_flow finish_groups(struct level *l)
{
    const struct query_select *s = l->select;
    enum query_flow flow = FLOW_MORE;
    if (s->group_count == 0 && map_first(&l->groups) == NULL) {
        buf_clear(&l->group_key);
        buf_add_u8(&l->group_key, 0);
        (void)group_new(l); /* aggregates of nothing */
    }
    for (struct map_entry *e = map_first(&l->groups); e != NULL && flow == FLOW_MORE;
         e = map_next(e)) {
        if (!query_eval_step(l->ev)) {
            return FLOW_STOP;
        }
        flow = put_group(l, (const struct group *)map_value(e));
        if (l->is_root) {
            arena_reset(&l->row);
        }
    }
    return flow;
}

static enum query_flow level_finish(struct level *l)
{
    struct arena *outer = l->ev->arena;
    if (l->is_root) {
        l->ev->arena = &l->row;
    }
    enum query_flow flow = l->ev->err == OK ? FLOW_MORE : FLOW_STOP;
    if (flow == FLOW_MORE && l->select->is_aggregated) {
        flow = finish_groups(l);
    }
    if (flow == FLOW_MORE && l->select->order_count > 0) {
        query_sort_finish(&l->sort);
        for (size_t i = 0; i < l->sort.count && flow == FLOW_MORE; i++) {
            flow = query_eval_step(l->ev) ? put_row(l, l->sort.rows[i]->value) : FLOW_STOP;
        }
    }
    l->ev->arena = outer;
    return flow;
}

void query_run_nested(struct query_eval *ev, const struct query_select *s, query_emit emit,
                      void *emit_ctx)
{
    struct level l;
    struct query_run_hooks hooks = {.emit = emit, .ctx = emit_ctx};
    level_init(&l, ev, s, /* is_root: */ false, &hooks);
    if (l.limit_left > 0) {
        (void)bind_from(&l, 0);
        if (!l.is_done) {
            (void)level_finish(&l);
        }
    }
    level_done(&l);
}

/* ---- the outermost select ---- */

/* The first source of a root level: the document, or a row of the level below. */
static enum query_flow feed(struct level *l, const struct json *row)
{
    if (l->is_done || l->limit_left == 0) {
        return FLOW_STOP;
    }
    const struct query_from *f = &l->select->from[0];
    return take_value(l, 0, f->select != NULL ? row : query_eval_expr(l->ev, f->path));
}

static enum query_flow feed_above(void *ctx, const struct json *row)
{
    return feed((struct level *)ctx, row);
}

struct query_run *query_run_new(struct query_eval *ev, const struct query *q,
                                const struct query_run_hooks *hooks)
{
    struct query_run *r = MEM_NEW(struct query_run);
    r->q = q;
    r->level_count = 1;
    for (const struct query_select *s = q->select;
         s->from_count > 0 && s->from[0].select != NULL;) {
        s = s->from[0].select;
        r->level_count++;
    }
    r->levels = MEM_NEW_ARRAY(struct level, r->level_count);
    const struct query_select *s = q->select;
    for (size_t i = 0; i < r->level_count; i++) {
        struct query_run_hooks inner = {.emit = feed_above};
        inner.ctx = i > 0 ? &r->levels[i - 1] : NULL;
        ASSERT(s != NULL);
        level_init(&r->levels[i], ev, s, /* is_root: */ true, i == 0 ? hooks : &inner);
        s = s->from_count > 0 ? s->from[0].select : NULL;
    }
    if (q->info.class != QUERY_WHOLE) {
        r->levels[0].skip_left = 0;
        r->levels[0].limit_left = UINT64_MAX;
    }
    return r;
}

void query_run_free(struct query_run *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->level_count; i++) {
        level_done(&r->levels[i]);
    }
    mem_free(r->levels);
    mem_free(r);
}

enum query_flow query_run_doc(struct query_run *r, const struct json *doc)
{
    struct level *innermost = &r->levels[r->level_count - 1];
    innermost->ev->slots[QUERY_SLOT_DOC] = doc;
    return feed(innermost, doc);
}

enum query_flow query_run_finish(struct query_run *r)
{
    enum query_flow flow = FLOW_MORE;
    for (size_t i = r->level_count; i > 0; i--) {
        struct level *l = &r->levels[i - 1];
        if (l->is_done || l->limit_left == 0) {
            continue; /* it gave all it had to give; those above may still hold something */
        }
        if (l->select->from_count == 0) {
            flow = bind_from(l, 0);
        }
        if (!l->is_done) {
            flow = level_finish(l);
        }
    }
    return flow;
}
