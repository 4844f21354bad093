/* Simulated clients: what they ask for, where they send it, what they remember. See client.h. */
#include "sim/client.h"

#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/coordinator.h"
#include "sim/cover.h"
#include "sim/history.h"

struct client {
    struct world *w;
    unsigned id;
    bool is_stopped, is_probing;
    bool cut[SIM_REGIONS_MAX + 1];
    region_id home;                   /* preferred region for reads */
    region_id writers[SIM_PARTS_MAX]; /* who it believes writes each partition */
    struct token tokens[SIM_PARTS_MAX];
    uint64_t known[SIM_PARTS_MAX][SIM_KEYS]; /* value last seen, for ETag conditions; 0 = none */
    struct op *current;                      /* waiting for this; NULL = between operations */
    uint64_t seq;                            /* of its planned events; older ones are stale */
    uint32_t probed_parts;                   /* bit per partition written */
    uint64_t probed_reads;                   /* bit per region and partition read */
};

enum { CLIENT_TIMEOUT_MIN_US = 1500000, CLIENT_TIMEOUT_SPREAD_US = 5000000 };

static void next_op(struct world *w, void *ctx, uint64_t seq);
static void send(struct client *c, struct op *op, region_id to);

struct client *client_new(struct world *w, unsigned id)
{
    struct client *c = MEM_NEW(struct client);
    c->w = w;
    c->id = id;
    c->home = (region_id)(1 + id % w->cfg.region_count);
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        c->writers[p] = 1;
    }
    return c;
}

void client_free(struct client *c)
{
    mem_free(c);
}

static void plan_next(struct client *c, usec delay)
{
    world_after(c->w, delay, next_op, c, ++c->seq);
}

void client_start(struct client *c, usec delay)
{
    plan_next(c, delay);
}

void client_stop(struct client *c)
{
    c->is_stopped = true;
}

bool client_is_idle(const struct client *c)
{
    return c->current == NULL;
}

void client_cut(struct client *c, region_id region, bool is_cut)
{
    c->cut[region] = is_cut;
}

void client_heal(struct client *c)
{
    memset(c->cut, 0, sizeof(c->cut));
}

void client_probe(struct client *c)
{
    c->is_probing = true;
    c->is_stopped = false;
    c->probed_parts = 0;
    c->probed_reads = 0;
    if (c->current == NULL) {
        plan_next(c, 1000);
    }
}

static uint32_t parts_in(const struct world *w, enum part_state state)
{
    uint32_t mask = 0;
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        mask |= w->part_states[p] == state ? 1u << p : 0;
    }
    return mask;
}

static uint32_t open_parts(const struct world *w)
{
    return parts_in(w, PART_OPEN);
}

/* Those that clients take for there. */
static uint32_t used_parts(const struct world *w)
{
    return open_parts(w) | parts_in(w, PART_LEAVING) | parts_in(w, PART_DOUBT);
}

/* A random one of the containers' partitions, now and then of those that are gone; 0: there is none. */
static pid draw_part(struct world *w)
{
    uint32_t mask = used_parts(w);
    uint32_t gone = parts_in(w, PART_GONE);
    if (gone != 0 && (mask == 0 || rng_chance(&w->client_rng, 1, 15))) {
        mask = gone;
    }
    if (mask == 0) {
        return 0;
    }
    pid p = 1 + rng_below(&w->client_rng, SIM_PARTS_MAX - 1);
    while ((mask & (1u << p)) == 0) {
        p = p % (SIM_PARTS_MAX - 1) + 1;
    }
    return p;
}

/* A number for the next container; 0: enough are there or under way, or no number is left. */
static pid next_part(const struct world *w)
{
    size_t have = 0;
    pid next = 0;
    for (pid p = SIM_PARTS_MAX - 1; p >= 1; p--) {
        have += w->part_states[p] == PART_OPEN || w->part_states[p] == PART_TRIED;
        next = w->part_states[p] == PART_FREE ? p : next;
    }
    return have < w->cfg.part_count ? next : 0;
}

static uint64_t read_bit(region_id id, pid p)
{
    STATIC_ASSERT((SIM_REGIONS_MAX + 1) * SIM_PARTS_MAX <= 64, "a bit for each");
    return UINT64_C(1) << ((uint64_t)id * SIM_PARTS_MAX + p);
}

static uint64_t wanted_reads(const struct world *w)
{
    uint64_t mask = 0;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        for (pid p = 1; p < SIM_PARTS_MAX; p++) {
            if (w->part_states[p] == PART_OPEN && node_is_up(w->nodes[id]) &&
                (w->dead_mask & (1u << id)) == 0 && (w->member_mask & (1u << id)) != 0) {
                mask |= read_bit(id, p);
            }
        }
    }
    return mask;
}

bool client_has_probed(const struct client *c)
{
    return c->is_probing && (open_parts(c->w) & ~c->probed_parts) == 0 &&
           (wanted_reads(c->w) & ~c->probed_reads) == 0;
}

/* ---- routing ---- */

static region_id random_region(struct client *c)
{
    return (region_id)(1 + rng_below(&c->w->client_rng, c->w->cfg.region_count));
}

/* Reads the account document of some region that answers, as an SDK does. */
static void refresh(struct client *c)
{
    region_id id = random_region(c);
    struct node *n = c->w->nodes[id];
    if (!node_is_up(n) || node_is_paused(n) || c->cut[id]) {
        return;
    }
    const struct account_record *rec = region_record(node_region(n));
    bool is_known = rec != NULL && rec->writer != 0;
    region_id any = is_known ? 0 : random_region(c);
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        struct record_reign reign = {.writer = any};
        if (is_known) {
            record_reign(rec, p, &reign);
        }
        c->writers[p] = reign.writer;
    }
}

/* ---- writing: the callback of the core ---- */

static struct str etag_text(const struct engine_doc *d)
{
    return d->text;
}

static enum reject_why judge(const struct sub_op *s, const struct engine_doc *current)
{
    uint64_t value = 0;
    if (current != NULL) {
        (void)text_parse(etag_text(current), &value);
    }
    switch (s->kind) {
    case OP_CREATE:
    case OP_CONTAINER:
        return current != NULL ? REJECT_EXISTS : REJECT_NONE;
    case OP_REPLACE:
    case OP_DELETE:
    case OP_REMOVE:
        if (current == NULL) {
            return REJECT_ABSENT;
        }
        return s->expect != 0 && s->expect != value ? REJECT_ETAG : REJECT_NONE;
    case OP_UPSERT:
    case OP_READ:
    case OP_SCAN:
    case OP_BATCH:
        break;
    }
    return REJECT_NONE;
}

static void prepare(struct region_write *write, size_t idx, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    struct op *op = write->user;
    const struct sub_op *s = &op->subs[idx];
    op->planned = (struct spot){place->epoch, place->lsn};
    enum reject_why why = judge(s, current);
    if (why != REJECT_NONE) {
        op->why = why;
        *ret = (struct write_plan){.action = WRITE_REJECT};
        return;
    }
    if (s->kind == OP_DELETE || s->kind == OP_REMOVE) {
        *ret = (struct write_plan){.action = WRITE_DELETE};
        return;
    }
    size_t n = text_format(op->texts[idx], op->id, op->client);
    *ret = (struct write_plan){
        .action = WRITE_PUT,
        .text = str_make(op->texts[idx], n),
        .rid = current != NULL ? current->rid : op->id * OP_SUBS_MAX + idx,
        .expire_at = s->ttl_s > 0 ? place->ts + s->ttl_s : 0,
    };
    if (s->unique != 0) {
        int k = snprintf(op->unique_bytes[idx], OP_KEY_SIZE, "u%u/%u", key_lp(s->key), s->unique);
        op->unique_strs[idx] = str_make(op->unique_bytes[idx], (size_t)k);
        ret->unique_count = 1;
        ret->uniques = &op->unique_strs[idx];
    }
}

static bool strong_is_in_force(struct node *n)
{
    const struct account_record *rec = region_record(node_region(n));
    return rec != NULL && rec->level == CONSISTENCY_STRONG && !rec->is_level_changing;
}

static void begin_write(struct node *n, void *ctx)
{
    struct op *op = ctx;
    if (!node_may_write_part(n, op->pid)) {
        ledger_answer(node_world(n), op, OUT_REFUSED, ERR_NOT_FOUND);
        return;
    }
    op->is_strong_decision = strong_is_in_force(n);
    region_write(node_region(n), &op->write);
}

static void build_write(struct op *op)
{
    struct region_write *write = &op->write;
    *write = (struct region_write){.pid = op->pid,
                                   .op_count = op->sub_count,
                                   .ops = op->write_ops,
                                   .prepare = prepare,
                                   .user = op};
    for (size_t i = 0; i < op->sub_count; i++) {
        size_t n;
        if (op_is_metadata(op->kind)) {
            n = (size_t)snprintf(op->keys[i], OP_KEY_SIZE, "c/%u", op->subs[i].key);
        } else {
            n = key_format(op->keys[i], op->subs[i].key);
        }
        op->write_ops[i] = (struct write_op){.space = SPACE_ITEM, .key = str_make(op->keys[i], n)};
    }
}

/* ---- the way there and back ---- */

static uint32_t online_mask(struct world *w)
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    uint32_t mask = coordinator_record(w, &a, rec, &rev) ? (uint32_t)record_online_mask(rec) : 0;
    arena_done(&a);
    return mask;
}

static void container_answered(struct world *w, struct op *op)
{
    enum part_state *state = &w->part_states[op->subs[0].key];
    enum outcome out = op->outcome;
    if (op->kind == OP_CONTAINER) {
        *state = out == OUT_OK ? PART_OPEN : out == OUT_REFUSED ? PART_FREE : PART_BURNT;
    } else if (out == OUT_OK || out == OUT_REJECTED) {
        op->online_mask = online_mask(w);
        *state =
            PART_GONE; /* rejected: an earlier try, which nobody could answer for, got through */
    } else if (out == OUT_UNKNOWN && *state != PART_GONE) {
        *state = PART_DOUBT;
    } else if (*state == PART_LEAVING) {
        *state = PART_OPEN;
    }
}

void ledger_answer(struct world *w, struct op *op, enum outcome outcome, enum err err)
{
    ASSERT(op->outcome == OUT_PENDING);
    ASSERT(outcome != OUT_PENDING);
    op->outcome = outcome;
    op->err = err;
    if (op->node != NULL) {
        op->decided_at = node_round_time(op->node);
        op->ended_at = node_out_time(op->node);
        list_remove(&op->node_link);
    } else {
        op->decided_at = w->now;
        op->ended_at = w->now;
    }
    if (op_is_metadata(op->kind)) {
        container_answered(w, op);
    }
    trace(w, outcome_name(outcome), op->region, op->id, (uint64_t)err, op->at.lsn);
    if (op->answered != NULL) {
        op->answered(w, op);
    }
}

static void client_hears(struct world *w, void *ctx, uint64_t arg);

/* The answer leaves the process (or the refusing kernel). */
static void answered(struct world *w, struct op *op)
{
    usec at = op->node != NULL ? node_out_time(op->node) : w->now;
    world_at(w, at + w->cfg.net_delay_us / 2 + draw_around(&w->client_rng, 200), client_hears, op,
             0);
}

static void arrive(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct op *op = ctx;
    struct node *n = w->nodes[op->region];
    const struct client *c = w->clients[op->client];
    if (c->cut[op->region] || !node_is_up(n)) {
        ledger_answer(w, op, OUT_REFUSED, ERR_NETWORK);
        return;
    }
    op->node = n;
    op->life = node_life(n);
    op->arrived_at = w->now;
    node_track(n, op);
    if (op_is_write(op->kind)) {
        build_write(op);
        if (draw_percent(&w->client_rng, 20)) {
            op->write.deadline_us = node_boot_us(n) + 300000 + rng_below(&w->client_rng, 3000000);
        }
        node_post_call(n, begin_write, op);
    } else {
        node_post_call(n, reader_begin, op);
    }
}

void client_process_ended(struct world *w, struct op *op)
{
    op->node = NULL; /* its clocks are gone */
    ledger_answer(w, op, op_is_write(op->kind) ? OUT_UNKNOWN : OUT_REFUSED, ERR_CLOSED);
}

void client_wait_answered(struct world *w, struct node *n, struct region_wait *wait)
{
    UNUSED(w);
    reader_wait_done(n, wait->user);
}

static enum outcome outcome_of(enum err err)
{
    /* The three-way split of the contract: see struct region_write. */
    if (err == OK) {
        return OUT_OK;
    }
    if (err == ERR_UNKNOWN_OUTCOME) {
        return OUT_UNKNOWN;
    }
    if (err == ERR_PRECONDITION || err == ERR_EXISTS) {
        return OUT_REJECTED;
    }
    return OUT_REFUSED;
}

void client_write_answered(struct world *w, struct node *n, struct region_write *write)
{
    struct op *op = write->user;
    if (op->node != n || op->outcome != OUT_PENDING) {
        world_fail(w, "reply", "operation %llu is answered twice", (unsigned long long)op->id);
        return;
    }
    const struct part_view *view = node_part_view(n, op->pid);
    op->generation = view != NULL ? atomic_load(&view->generation) : 0;
    op->failed_sub = write->failed_op;
    op->is_strong_decision = op->is_strong_decision && strong_is_in_force(n);
    op->throttle = write->throttle;
    op->version = write->token_version;
    if (write->err == OK) {
        op->at = (struct spot){write->epoch, write->lsn};
    } else if (write->err == ERR_EXISTS) {
        op->why = REJECT_UNIQUE;
    }
    ledger_answer(w, op, outcome_of(write->err), write->err);
    if (write->err == OK && view != NULL) { /* NULL: dropped between the decision and this answer */
        check_acknowledged(w, op);
    }
}

static void learn(struct client *c, const struct op *op)
{
    struct token *t = &c->tokens[op->pid];
    struct spot at = op_is_write(op->kind) ? op->at : op->snapshot;
    if (at.lsn != 0 &&
        (op->version > t->version || (op->version == t->version && at.lsn > t->at.lsn))) {
        *t = (struct token){.version = op->version, .at = at};
    }
    if (op->kind == OP_READ) {
        c->known[op->pid][op->subs[0].key] = op->values[op->subs[0].key];
    } else if (op_is_write(op->kind) && !op_is_metadata(op->kind)) {
        for (size_t i = 0; i < op->sub_count; i++) {
            c->known[op->pid][op->subs[i].key] = op->subs[i].kind == OP_DELETE ? 0 : op->id;
        }
    }
}

static void note_probe(struct client *c, const struct op *op)
{
    if (op->outcome == OUT_OK || op->outcome == OUT_REJECTED) {
        if (op_is_write(op->kind)) {
            c->probed_parts |= 1u << op->pid;
        } else {
            c->probed_reads |= read_bit(op->region, op->pid);
        }
    }
}

static usec think(struct client *c)
{
    return c->is_probing ? 50000 : draw_around(&c->w->client_rng, c->w->cfg.think_us);
}

/* The same once more, as SDKs do when a request failed or its answer did not come: for the core it is
 * another operation, which meets whatever the first one left. */
static void retry(struct client *c, const struct op *failed)
{
    struct op *op = ledger_add(c->w, c->id, failed->kind, failed->pid);
    op->sub_count = failed->sub_count;
    memcpy(op->subs, failed->subs, sizeof(op->subs));
    op->lp = failed->lp;
    op->level = failed->level;
    op->has_asked_level = failed->has_asked_level;
    op->has_token = failed->has_token;
    op->token = c->tokens[op->pid];
    send(c, op, op_is_write(op->kind) ? c->writers[op->pid] : random_region(c));
}

static bool retries(struct client *c, const struct op *failed)
{
    return !c->is_probing && !c->is_stopped && !op_is_metadata(failed->kind) &&
           (used_parts(c->w) & (1u << failed->pid)) != 0 && draw_percent(&c->w->client_rng, 30);
}

static void client_hears(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct op *op = ctx;
    struct client *c = w->clients[op->client];
    if (c->current != op || c->cut[op->region]) {
        return; /* gave up before, or the answer got lost: the time-out will tell */
    }
    c->current = NULL;
    op->seen_at = w->now;
    if (op->outcome == OUT_OK) {
        check_session_step(w, op, &c->tokens[op->pid]);
        learn(c, op);
    } else if (op->outcome == OUT_REFUSED || op->outcome == OUT_UNKNOWN) {
        refresh(c);
    }
    note_probe(c, op);
    bool has_failed = op->outcome == OUT_REFUSED || op->outcome == OUT_UNKNOWN;
    if (has_failed && retries(c, op)) {
        retry(c, op);
    } else {
        plan_next(c, think(c));
    }
}

static void give_up(struct world *w, void *ctx, uint64_t seq)
{
    UNUSED(w);
    struct client *c = ctx;
    if (c->seq != seq || c->current == NULL) {
        return;
    }
    const struct op *lost = c->current;
    client_cancel(c);
    refresh(c);
    if (retries(c, lost)) {
        retry(c, lost);
    }
}

void client_cancel(struct client *c)
{
    if (c->current != NULL) {
        c->current->is_client_gone = true;
        trace(c->w, "client-gone", c->id, c->current->id, 0, 0);
        c->current = NULL;
        plan_next(c, think(c));
    }
}

void client_restart(struct client *c, bool keeps_tokens)
{
    client_cancel(c);
    trace(c->w, "client-restart", c->id, keeps_tokens, 0, 0);
    if (!keeps_tokens) {
        memset(c->tokens, 0, sizeof(c->tokens));
    }
    memset(c->known, 0, sizeof(c->known));
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        c->writers[p] = 1;
    }
    refresh(c);
}

void client_move(struct client *c, region_id home)
{
    c->home = home;
    trace(c->w, "client-move", c->id, home, 0, 0);
}

static void send(struct client *c, struct op *op, region_id to)
{
    struct world *w = c->w;
    op->region = to;
    op->answered = answered;
    c->current = op;
    trace(w, op_kind_name(op->kind), op->client, op->id,
          op->pid * 100 + (op->sub_count > 0 ? op->subs[0].key : op->lp), to);
    world_after(w, w->cfg.net_delay_us / 2 + draw_around(&w->client_rng, 200), arrive, op, 0);
    usec patience = CLIENT_TIMEOUT_MIN_US + rng_below(&w->client_rng, CLIENT_TIMEOUT_SPREAD_US);
    world_after(w, patience, give_up, c, ++c->seq);
}

/* ---- what to ask for ---- */

static void draw_sub(struct client *c, pid p, uint16_t key, struct sub_op *ret)
{
    struct rng *r = &c->w->client_rng;
    *ret = (struct sub_op){.key = key};
    if (key >= SIM_TTL_KEY_FIRST) {
        ret->kind = OP_UPSERT;
        ret->ttl_s = (unsigned)rng_range(r, 1, 3);
        return;
    }
    uint64_t d = rng_below(r, 100);
    if (d < 40) {
        ret->kind = OP_UPSERT;
    } else if (d < 58) {
        ret->kind = OP_CREATE;
    } else if (d < 82) {
        ret->kind = OP_REPLACE;
    } else {
        ret->kind = OP_DELETE;
    }
    bool is_conditional = ret->kind == OP_REPLACE || ret->kind == OP_DELETE;
    if (is_conditional && rng_chance(r, 1, 2)) {
        ret->expect = c->known[p][key];
    }
    if (ret->kind != OP_DELETE && rng_chance(r, 1, 3)) {
        ret->unique = (unsigned)rng_range(r, 1, 4);
    }
}

static void draw_batch(struct client *c, struct op *op)
{
    struct rng *r = &c->w->client_rng;
    uint16_t lp = (uint16_t)rng_below(r, 2);
    op->sub_count = (size_t)rng_range(r, 2, SIM_KEYS_PER_LP);
    uint16_t first = (uint16_t)rng_below(r, SIM_KEYS_PER_LP);
    for (size_t i = 0; i < op->sub_count; i++) {
        uint16_t key = (uint16_t)((size_t)lp * SIM_KEYS_PER_LP + (first + i) % SIM_KEYS_PER_LP);
        draw_sub(c, op->pid, key, &op->subs[i]);
        if (rng_chance(r, 2, 3)) { /* most batches shall get through */
            op->subs[i].kind = OP_UPSERT;
            op->subs[i].expect = 0;
        }
    }
}

static struct op *draw_write(struct client *c, pid p)
{
    struct rng *r = &c->w->client_rng;
    if (rng_chance(r, 1, 5)) {
        struct op *op = ledger_add(c->w, c->id, OP_BATCH, p);
        draw_batch(c, op);
        return op;
    }
    struct sub_op s;
    draw_sub(c, p, (uint16_t)rng_below(r, SIM_KEYS), &s);
    struct op *op = ledger_add(c->w, c->id, s.kind, p);
    op->sub_count = 1;
    op->subs[0] = s;
    return op;
}

static void draw_level(struct client *c, struct op *op)
{
    if (rng_chance(&c->w->client_rng, 1, 8)) {
        op->level = CONSISTENCY_EVENTUAL; /* weaker than the account's is allowed */
        op->has_asked_level = true;
        return;
    }
    if (rng_chance(&c->w->client_rng, 2, 3)) { /* SDKs present it at Session only */
        op->has_token = true;
        op->token = c->tokens[op->pid];
    }
}

static struct op *draw_read(struct client *c, pid p)
{
    struct rng *r = &c->w->client_rng;
    struct op *op;
    if (rng_chance(r, 1, 5)) {
        op = ledger_add(c->w, c->id, OP_SCAN, p);
        op->lp = (unsigned)rng_below(r, 2);
    } else {
        op = ledger_add(c->w, c->id, OP_READ, p);
        op->sub_count = 1;
        op->subs[0] = (struct sub_op){.kind = OP_READ, .key = (uint16_t)rng_below(r, SIM_KEYS)};
    }
    draw_level(c, op);
    return op;
}

static struct op *metadata_op(struct world *w, unsigned client, enum op_kind kind, pid part)
{
    struct op *op = ledger_add(w, client, kind, 0);
    op->sub_count = 1;
    op->subs[0] = (struct sub_op){.kind = kind, .key = (uint16_t)part};
    return op;
}

static struct op *container_op(struct world *w, unsigned client, pid part)
{
    w->part_states[part] = PART_TRIED;
    return metadata_op(w, client, OP_CONTAINER, part);
}

static void operator_hears(struct world *w, struct op *op)
{
    UNUSED(w);
    enum plan plan = op->kind == OP_REMOVE ? PLAN_CONTAINER_REMOVE : PLAN_CONTAINER_MAKE;
    cover_note(op->outcome == OUT_OK ? "plan-done" : "plan-refused", plan);
}

static void operator_sends(struct world *w, struct op *op, region_id to)
{
    op->answered = operator_hears;
    op->region = to;
    trace(w, op_kind_name(op->kind), op->client, op->id, op->subs[0].key, to);
    world_after(w, w->cfg.net_delay_us / 2 + 100, arrive, op, 0);
}

pid container_make(struct world *w, region_id to)
{
    pid p = 1;
    while (p < SIM_PARTS_MAX && w->part_states[p] != PART_FREE) {
        p++;
    }
    if (p == SIM_PARTS_MAX) {
        return 0; /* no number is left */
    }
    operator_sends(w, container_op(w, 0, p), to);
    return p;
}

void container_remove(struct world *w, pid p, region_id to)
{
    ASSERT(w->part_states[p] == PART_OPEN || w->part_states[p] == PART_DOUBT);
    if (w->part_states[p] == PART_OPEN) {
        w->part_states[p] = PART_LEAVING;
    }
    operator_sends(w, metadata_op(w, 0, OP_REMOVE, p), to);
}

static void probe_op(struct client *c)
{
    struct world *w = c->w;
    uint32_t parts = open_parts(w) & ~c->probed_parts;
    uint64_t reads = wanted_reads(w) & ~c->probed_reads;
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        if ((parts & (1u << p)) != 0) {
            struct op *op = ledger_add(w, c->id, OP_UPSERT, p);
            op->sub_count = 1;
            op->subs[0] = (struct sub_op){.kind = OP_UPSERT, .key = 0};
            send(c, op, c->writers[p]);
            return;
        }
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        for (pid p = 1; p < SIM_PARTS_MAX; p++) {
            if ((reads & read_bit(id, p)) != 0) {
                struct op *op = ledger_add(w, c->id, OP_SCAN, p);
                op->has_token = true;
                op->token = c->tokens[p];
                send(c, op, id);
                return;
            }
        }
    }
}

static void next_op(struct world *w, void *ctx, uint64_t seq)
{
    struct client *c = ctx;
    if (c->seq != seq || c->current != NULL) {
        return;
    }
    if (c->is_probing) {
        probe_op(c);
        return;
    }
    if (c->is_stopped) {
        return;
    }
    struct rng *r = &w->client_rng;
    if (rng_chance(r, 1, 12)) {
        refresh(c);
    }
    pid p = draw_part(w);
    uint64_t d = rng_below(r, 100);
    if (p == 0) { /* all are gone: another one first */
        pid made = next_part(w);
        if (made != 0) {
            send(c, container_op(w, c->id, made), c->writers[0]);
        } else {
            plan_next(c, think(c));
        }
    } else if (d < 45) {
        struct op *op = draw_read(c, p);
        send(c, op, rng_chance(r, 7, 10) ? c->home : random_region(c));
    } else {
        pid made = d < 47 ? next_part(w) : 0;
        struct op *op = made != 0 ? container_op(w, c->id, made) : draw_write(c, p);
        send(c, op, rng_chance(r, 1, 25) ? random_region(c) : c->writers[op->pid]);
    }
}

/* ---- bootstrap ---- */

static void bootstrap_step(struct world *w, void *ctx, uint64_t arg);

static void bootstrap_answered(struct world *w, struct op *op)
{
    world_after(w, op->outcome == OUT_OK ? 1000 : 50000, bootstrap_step, NULL, 0);
}

/* The first region, unless its disk is so slow that it has given the role away already. */
static region_id bootstrap_region(const struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        const struct region *r = node_region(w->nodes[id]);
        if (r != NULL && region_role(r) == ROLE_WRITER) {
            return id;
        }
    }
    return 1;
}

static void bootstrap_step(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    UNUSED(arg);
    size_t have = 0;
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        have += w->part_states[p] == PART_OPEN;
    }
    /* The last one is left to the clients: it appears while faults happen. */
    size_t want = w->cfg.part_count > 1 ? w->cfg.part_count - 1 : 1;
    if (have < want && next_part(w) != 0) {
        struct op *op = container_op(w, 0, next_part(w));
        op->answered = bootstrap_answered;
        op->region = bootstrap_region(w);
        world_after(w, 500, arrive, op, 0);
        return;
    }
    for (size_t i = 0; i < w->cfg.client_count; i++) {
        client_start(w->clients[i], 1000 + rng_below(&w->client_rng, 50000));
    }
    w->is_bootstrapped = have == want;
    trace(w, "bootstrapped", 0, have, 0, 0);
}

void bootstrap_start(struct world *w)
{
    world_after(w, 100000, bootstrap_step, NULL, 0);
}

bool bootstrap_is_done(struct world *w)
{
    return w->is_bootstrapped;
}
