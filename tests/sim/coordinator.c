/* The coordinator's machine: see coordinator.h. */
#include "sim/coordinator.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/list.h"
#include "base/mem.h"
#include "coord/builtin/store.h"
#include "sim/history.h"
#include "sim/net.h"
#include "sim/node.h"

struct durable { /* one record of the file */
    usec at;     /* on disk from here on */
    size_t n;
    char *p; /* owned */
    size_t record_n;
    char *record; /* owned: account record that was put, not told to the history yet; or NULL */
};

struct request {
    struct list link; /* in coord_node.requests until its fate is settled */
    region_id from;
    uint64_t life, ticket;
    uint64_t boot;        /* of the coordinator that executed it */
    bool is_answered;     /* the sender has heard, or gave up */
    bool is_done;         /* executed, or lost for good */
    unsigned events;      /* pending events that hold it */
    struct coord_txn txn; /* strs point into arena */
    struct arena arena;
    struct coord_txn_result result;
};

struct watch {
    bool is_wanted, is_connected, is_connecting;
    uint64_t conn;
    coord_rev sent;
    usec last_at;
};

struct coord_node {
    struct coord_store *store; /* NULL while down */
    bool is_up;
    usec paused_until;
    struct durable *log; /* owned */
    size_t log_count, log_cap;
    struct durable *aside; /* owned; what a copy that is running now lacks */
    size_t aside_count;
    size_t copy_count; /* records of that copy */
    size_t told;       /* records of log[0, told) are in the history */
    usec durable_at;   /* everything executed so far is on disk from here on */
    coord_rev shown;   /* watchers are told up to here */
    uint64_t boot;     /* counts starts */
    struct list requests;
    struct watch watches[SIM_REGIONS_MAX + 1];
};

static void reconnect(struct world *w, region_id id, usec delay);

static struct str account_prefix(void)
{
    return STR(COORD_PREFIX "sim/");
}

static bool is_key(struct str key, const char *tail)
{
    struct str p = account_prefix();
    return str_starts(key, p) && str_eq(str_slice(key, p.n, key.n), str_of(tail));
}

struct coord_node *coordinator_new(struct world *w)
{
    UNUSED(w);
    struct coord_node *c = MEM_NEW(struct coord_node);
    c->store = coord_store_new();
    c->is_up = true;
    list_init(&c->requests);
    return c;
}

static void request_free(struct request *r)
{
    list_remove(&r->link);
    arena_done(&r->arena);
    mem_free(r);
}

static void log_free(struct durable *log, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(log[i].p);
        mem_free(log[i].record);
    }
    mem_free(log);
}

void coordinator_free(struct coord_node *c)
{
    if (c == NULL) {
        return;
    }
    LIST_FOR_SAFE(l, &c->requests) {
        request_free(LIST_ENTRY(l, struct request, link));
    }
    log_free(c->log, c->log_count);
    log_free(c->aside, c->aside_count);
    coord_store_free(c->store);
    mem_free(c);
}

bool coordinator_is_up(const struct world *w)
{
    return w->coord->is_up && w->coord->paused_until <= w->now;
}

/* ---- executing ---- */

static void log_append(struct coord_node *c, struct str bytes, struct str record, usec at)
{
    if (c->log_count == c->log_cap) {
        c->log_cap = c->log_cap > 0 ? c->log_cap * 2 : 64;
        c->log = mem_realloc(c->log, c->log_cap * sizeof(struct durable));
    }
    struct durable *d = &c->log[c->log_count++];
    *d = (struct durable){.at = at, .n = bytes.n, .p = mem_dup(bytes.p, bytes.n)};
    if (record.n > 0) {
        d->record = mem_dup(record.p, record.n);
        d->record_n = record.n;
    }
}

/* A record counts for the checkers when it is durable: one that a crash undid never was. */
static void tell_history(struct world *w, size_t upto)
{
    struct coord_node *c = w->coord;
    for (size_t i = c->told; i < upto; i++) {
        struct durable *d = &c->log[i];
        if (d->record != NULL) {
            history_record(w, str_make(d->record, d->record_n));
            mem_free(d->record);
            d->record = NULL;
        }
    }
    c->told = upto > c->told ? upto : c->told;
}

/* How much of the log is on disk. */
static size_t count_durable(const struct world *w)
{
    const struct coord_node *c = w->coord;
    size_t n = c->log_count;
    while (n > 0 && c->log[n - 1].at > w->now) {
        n--;
    }
    return n;
}

static void show(struct world *w, void *ctx, uint64_t boot);

/* Rules about what may follow a record (geo-semantics 2.2 I4, 5): ids stay with their names, and a
 * change of the set of regions raises the token version. */
static void check_follows(struct world *w, const struct account_record *old,
                          const struct account_record *next)
{
    w->member_mask = 0;
    for (size_t i = 0; i < next->region_count; i++) {
        const struct record_region *g = &next->regions[i];
        const struct record_region *was = record_region_const(old, g->id);
        bool joins = was == NULL;
        bool leaves = was != NULL && was->state != REGION_DRAINING && g->state == REGION_DRAINING;
        w->member_mask |= 1u << g->id;
        if (strcmp(g->name, node_region_name(g->id)) != 0) {
            world_fail(w, "regions", "region %s has the id %u of %s", g->name, g->id,
                       node_region_name(g->id));
        }
        if ((joins || leaves) && next->token_version <= old->token_version) {
            world_fail(w, "regions", "region %s %s without a higher token version (%llu)", g->name,
                       joins ? "joins" : "leaves", (unsigned long long)next->token_version);
        }
    }
    for (size_t i = 0; i < old->region_count; i++) {
        const struct record_region *was = &old->regions[i];
        if (record_region_const(next, was->id) == NULL && was->state != REGION_DRAINING) {
            world_fail(w, "regions", "region %s is gone without having drained", was->name);
        }
    }
    if (next->token_version < old->token_version) {
        world_fail(w, "regions", "the token version goes back");
    }
}

static bool stored_record(struct world *w, struct arena *a, struct account_record *ret)
{
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w->coord->store, account_prefix(), a, &kvs);
    for (size_t i = 0; i < n; i++) {
        if (is_key(kvs[i].key, "record")) {
            return record_decode(a, kvs[i].value, ret, NULL) == OK;
        }
    }
    return false;
}

static void check_change(struct world *w, struct arena *a, const struct account_record *old,
                         struct str record)
{
    struct account_record *next = ARENA_NEW(a, struct account_record);
    if (record_decode(a, record, next, NULL) == OK) {
        check_follows(w, old != NULL ? old : next, next);
    }
}

static bool puts_record(const struct coord_txn *t)
{
    for (size_t i = 0; i < t->put_count; i++) {
        if (is_key(t->puts[i].key, "record")) {
            return true;
        }
    }
    return false;
}

bool coordinator_may_hear(const struct world *w, region_id id)
{
    LIST_FOR(l, &w->coord->requests) {
        const struct request *r = LIST_ENTRY(l, struct request, link);
        if (r->from == id && !r->is_done && puts_record(&r->txn)) {
            return true;
        }
    }
    return false;
}

/* Executes now; returns when the answer may leave. */
static usec execute(struct world *w, const struct coord_txn *t, struct arena *a,
                    struct coord_txn_result *ret)
{
    struct coord_node *c = w->coord;
    ASSERT(c->is_up);
    struct buf bytes;
    buf_init(&bytes, 4 << 20);
    *ret = (struct coord_txn_result){0};
    struct account_record *old = ARENA_NEW(a, struct account_record);
    bool has_old = puts_record(t) && stored_record(w, a, old);
    coord_store_txn(c->store, t, a, ret, &bytes);
    ASSERT(buf_ok(&bytes));
    if (bytes.n > 0) {
        usec sync = w->cfg.sync_us / 2 + draw_around(&w->net_rng, w->cfg.sync_us);
        sync *= w->coord_slow != 0 ? w->coord_slow : 1;
        c->durable_at = (c->durable_at > w->now ? c->durable_at : w->now) + sync;
        struct str record = STR_NONE;
        for (size_t i = 0; i < t->put_count; i++) {
            if (is_key(t->puts[i].key, "record")) {
                record = t->puts[i].value;
            }
        }
        log_append(c, buf_str(&bytes), record, c->durable_at);
        if (ret->succeeded && record.n > 0 && c->aside != NULL) {
            world_fail(w, "coordinator", "a record was put into an old copy of the coordinator");
        }
        if (ret->succeeded && record.n > 0) {
            check_change(w, a, has_old ? old : NULL, record);
        }
    }
    buf_done(&bytes);
    usec at = c->durable_at > w->now ? c->durable_at : w->now;
    if (ret->succeeded) {
        world_at(w, at, show, NULL, c->boot);
    }
    return at;
}

/* ---- watches ---- */

struct kv_event {
    region_id to;
    uint64_t conn;
    bool is_synced; /* the end of a full read, no key */
    bool is_deleted;
    coord_rev rev;
    size_t key_n, value_n;
    char bytes[];
};

static void kv_arrive(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct kv_event *e = ctx;
    struct watch *wt = &w->coord->watches[e->to];
    if (wt->is_connected && wt->conn == e->conn) {
        if (!net_is_open(w, 0, e->to)) {
            /* The stream stalls here; it will be given up (coordinator_path_changed). */
            wt->conn++;
        } else if (e->is_synced) {
            node_post_coord(w->nodes[e->to], true);
        } else {
            struct coord_kv kv = {.key = str_make(e->bytes, e->key_n),
                                  .value = str_make(e->bytes + e->key_n, e->value_n),
                                  .rev = e->rev,
                                  .is_deleted = e->is_deleted};
            node_post_kv(w->nodes[e->to], &kv);
        }
    }
    mem_free(e);
}

static void send_kv(struct world *w, region_id to, const struct coord_kv *kv)
{
    struct watch *wt = &w->coord->watches[to];
    size_t key_n = kv != NULL ? kv->key.n : 0;
    size_t value_n = kv != NULL ? kv->value.n : 0;
    struct kv_event *e = mem_alloc(sizeof(struct kv_event) + key_n + value_n);
    *e = (struct kv_event){
        .to = to, .conn = wt->conn, .is_synced = kv == NULL, .key_n = key_n, .value_n = value_n};
    if (kv != NULL) {
        e->rev = kv->rev;
        e->is_deleted = kv->is_deleted;
        memcpy(e->bytes, kv->key.p, key_n);
        if (value_n > 0) {
            memcpy(e->bytes + key_n, kv->value.p, value_n);
        }
    }
    usec t = w->now + net_delay(w, 0, to);
    wt->last_at = t > wt->last_at ? t : wt->last_at;
    world_at_owned(w, wt->last_at, kv_arrive, e, 0);
}

static void send_all(struct world *w, region_id to)
{
    struct coord_node *c = w->coord;
    struct watch *wt = &c->watches[to];
    struct arena a;
    arena_init(&a);
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(c->store, account_prefix(), &a, &kvs);
    for (size_t i = 0; i < n; i++) {
        send_kv(w, to, &kvs[i]);
    }
    send_kv(w, to, NULL);
    wt->sent = coord_store_rev(c->store);
    arena_done(&a);
}

static void send_changes(struct world *w, region_id to)
{
    struct coord_node *c = w->coord;
    struct watch *wt = &c->watches[to];
    struct arena a;
    arena_init(&a);
    const struct coord_kv *kvs = NULL;
    size_t n = 0;
    if (!coord_store_changes(c->store, account_prefix(), wt->sent, &a, &kvs, &n)) {
        send_all(w, to);
    } else {
        for (size_t i = 0; i < n; i++) {
            if (kvs[i].rev <= c->shown) {
                send_kv(w, to, &kvs[i]);
                wt->sent = kvs[i].rev;
            }
        }
    }
    arena_done(&a);
}

/* What was executed up to now is durable: watchers may see it. */
static void show(struct world *w, void *ctx, uint64_t boot)
{
    UNUSED(ctx);
    struct coord_node *c = w->coord;
    if (!c->is_up || c->boot != boot) {
        return;
    }
    if (c->paused_until > w->now) {
        world_at(w, c->paused_until, show, NULL, boot);
        return;
    }
    tell_history(w, count_durable(w));
    if (c->durable_at > w->now) {
        return; /* shown with the later one; who asked for this one has its answer now */
    }
    c->shown = coord_store_rev(c->store);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        if (c->watches[id].is_connected) {
            send_changes(w, id);
        }
    }
}

static void lose_watch(struct world *w, region_id id)
{
    struct watch *wt = &w->coord->watches[id];
    if (wt->is_connected) {
        wt->is_connected = false;
        wt->conn++;
        trace(w, "watch-lost", id, wt->conn, 0, 0);
        if (node_is_up(w->nodes[id])) {
            node_post_coord(w->nodes[id], false);
        }
    }
    if (wt->is_wanted) {
        reconnect(w, id, 20000 + rng_below(&w->net_rng, 200000));
    }
}

static void try_watch(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    region_id id = (region_id)arg;
    struct coord_node *c = w->coord;
    struct watch *wt = &c->watches[id];
    wt->is_connecting = false;
    if (!wt->is_wanted || wt->is_connected) {
        return;
    }
    if (!coordinator_is_up(w) || !net_is_open(w, 0, id) || !net_is_open(w, id, 0)) {
        reconnect(w, id, 50000 + rng_below(&w->net_rng, 100000));
        return;
    }
    if (c->durable_at > w->now) {
        reconnect(w, id, c->durable_at - w->now);
        return;
    }
    c->shown = coord_store_rev(c->store);
    wt->is_connected = true;
    wt->conn++;
    wt->last_at = w->now;
    trace(w, "watch", id, wt->conn, coord_store_rev(c->store), 0);
    send_all(w, id);
}

static void reconnect(struct world *w, region_id id, usec delay)
{
    struct watch *wt = &w->coord->watches[id];
    if (!wt->is_connecting) {
        wt->is_connecting = true;
        world_after(w, delay, try_watch, NULL, id);
    }
}

void coordinator_watch(struct world *w, region_id id)
{
    w->coord->watches[id].is_wanted = true;
    reconnect(w, id, 500 + rng_below(&w->net_rng, 5000));
}

void coordinator_unwatch(struct world *w, region_id id)
{
    struct watch *wt = &w->coord->watches[id];
    wt->is_wanted = false;
    wt->is_connected = false;
    wt->conn++;
}

static void stream_check(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    region_id id = (region_id)(arg & 0xff);
    struct watch *wt = &w->coord->watches[id];
    if (wt->is_connected &&
        (!net_is_open(w, 0, id) || !net_is_open(w, id, 0) || (wt->conn & 0xffffff) != arg >> 8)) {
        lose_watch(w, id);
    }
}

void coordinator_path_changed(struct world *w, region_id id)
{
    const struct watch *wt = &w->coord->watches[id];
    if (wt->is_connected && (!net_is_open(w, 0, id) || !net_is_open(w, id, 0))) {
        world_after(w, 200000 + rng_below(&w->net_rng, 1500000), stream_check, NULL,
                    id | (wt->conn & 0xffffff) << 8);
    }
}

/* ---- requests ---- */

static void copy_txn(struct request *r, const struct coord_txn *t)
{
    ASSERT(t->compare_count <= COORD_TXN_OPS_MAX && t->put_count <= COORD_TXN_OPS_MAX);
    r->txn = *t;
    for (size_t i = 0; i < t->compare_count; i++) {
        r->txn.compares[i].key = arena_str(&r->arena, t->compares[i].key);
    }
    for (size_t i = 0; i < t->put_count; i++) {
        r->txn.puts[i].key = arena_str(&r->arena, t->puts[i].key);
        r->txn.puts[i].value = arena_str(&r->arena, t->puts[i].value);
    }
}

static void unhold(struct request *r)
{
    ASSERT(r->events > 0);
    r->events--;
    if (r->events == 0) {
        request_free(r);
    }
}

static void hold(struct world *w, struct request *r, usec at, event_fn *fn)
{
    r->events++;
    world_at(w, at, fn, r, 0);
}

static void answer_arrives(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct request *r = ctx;
    if (!r->is_answered && net_is_open(w, 0, r->from)) {
        r->is_answered = true;
        trace(w, "txn-answer", r->from, r->ticket, r->result.succeeded, r->result.rev);
        node_post_txn_result(w->nodes[r->from], r->life, r->ticket, &r->result);
    }
    unhold(r);
}

static void answer_leaves(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct request *r = ctx;
    struct coord_node *c = w->coord;
    bool is_same = c->is_up && c->boot == r->boot; /* else it died with the answer */
    if (is_same && c->paused_until > w->now) {
        hold(w, r, c->paused_until, answer_leaves);
    } else if (is_same) {
        hold(w, r, w->now + net_delay(w, 0, r->from), answer_arrives);
    }
    unhold(r);
}

static void request_arrives(struct world *w, void *ctx, uint64_t arg);

static void request_stalls(struct world *w, struct request *r)
{
    /* Its bytes may wait in the sender's kernel and come through much later, or never. */
    if (draw_percent(&w->net_rng, 30)) {
        hold(w, r, w->now + 100000 + rng_below(&w->net_rng, 6000000), request_arrives);
    }
}

static void request_arrives(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct request *r = ctx;
    struct coord_node *c = w->coord;
    if (!net_is_open(w, r->from, 0)) {
        request_stalls(w, r);
    } else if (c->paused_until > w->now) {
        hold(w, r, c->paused_until, request_arrives);
    } else if (c->is_up && !r->is_done) {
        r->is_done = true;
        r->boot = c->boot;
        usec at = execute(w, &r->txn, &r->arena, &r->result);
        trace(w, "txn", r->from, r->ticket, r->result.succeeded, r->result.rev);
        hold(w, r, at, answer_leaves);
    }
    unhold(r);
}

static void request_times_out(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct request *r = ctx;
    if (!r->is_answered) {
        r->is_answered = true;
        trace(w, "txn-timeout", r->from, r->ticket, 0, 0);
        struct coord_txn_result res = {.err = ERR_TIMEOUT};
        node_post_txn_result(w->nodes[r->from], r->life, r->ticket, &res);
    }
    unhold(r);
}

void coordinator_txn(struct world *w, region_id from, uint64_t life, const struct coord_txn *t,
                     uint64_t ticket, usec at, usec timeout_us)
{
    struct request *r = MEM_NEW(struct request);
    arena_init(&r->arena);
    r->from = from;
    r->life = life;
    r->ticket = ticket;
    copy_txn(r, t);
    list_push_back(&w->coord->requests, &r->link);
    hold(w, r, at + timeout_us, request_times_out);
    hold(w, r, at + net_delay(w, from, 0), request_arrives);
}

/* ---- faults ---- */

static void restart(struct world *w, void *ctx, uint64_t boot)
{
    UNUSED(ctx);
    struct coord_node *c = w->coord;
    if (c->is_up || c->boot != boot) {
        return;
    }
    c->store = coord_store_new();
    for (size_t i = 0; i < c->log_count; i++) {
        struct errinfo ei = {0};
        if (coord_store_load(c->store, str_make(c->log[i].p, c->log[i].n), &ei) != OK) {
            world_fail(w, "coordinator", "record %zu does not load: %s", i, ei.message);
            return;
        }
    }
    coord_store_recovered(c->store);
    c->is_up = true;
    c->durable_at = w->now;
    c->shown = coord_store_rev(c->store);
    trace(w, "coord-up", 0, coord_store_rev(c->store), c->log_count, 0);
}

void coordinator_crash(struct world *w, usec down_us)
{
    struct coord_node *c = w->coord;
    if (!c->is_up) {
        return;
    }
    /* What was being written may have reached the disk, in order. */
    size_t safe = count_durable(w);
    size_t kept = safe + rng_below(&w->nemesis_rng, c->log_count - safe + 1);
    trace(w, "coord-crash", 0, c->log_count, kept, coord_store_rev(c->store));
    for (size_t i = safe; i < kept; i++) {
        c->log[i].at = w->now; /* it has: the next crash finds it there */
    }
    while (c->log_count > kept) {
        c->log_count--;
        mem_free(c->log[c->log_count].p);
        mem_free(c->log[c->log_count].record);
    }
    tell_history(w, kept);
    coord_store_free(c->store);
    c->store = NULL;
    c->is_up = false;
    c->paused_until = 0;
    c->boot++;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        lose_watch(w, id);
    }
    world_after(w, down_us, restart, NULL, c->boot);
}

size_t coordinator_copy(const struct world *w)
{
    return w->coord->told; /* what is on disk for sure */
}

void coordinator_restore(struct world *w, size_t copy, usec down_us)
{
    struct coord_node *c = w->coord;
    if (!c->is_up || c->aside != NULL) {
        return;
    }
    coordinator_crash(w, down_us);
    ASSERT(copy < c->log_count);
    c->copy_count = copy;
    c->aside_count = c->log_count - copy;
    c->aside = mem_dup(c->log + copy, c->aside_count * sizeof(struct durable));
    c->log_count = copy;
    trace(w, "coord-restored", 0, copy, c->aside_count, 0);
}

void coordinator_restore_newest(struct world *w, usec down_us)
{
    struct coord_node *c = w->coord;
    ASSERT(c->aside != NULL && c->is_up);
    coordinator_crash(w, down_us);
    for (size_t i = c->copy_count; i < c->log_count; i++) {
        mem_free(c->log[i].p);
        mem_free(c->log[i].record);
    }
    while (c->log_cap < c->copy_count + c->aside_count) {
        c->log_cap *= 2;
        c->log = mem_realloc(c->log, c->log_cap * sizeof(struct durable));
    }
    memcpy(c->log + c->copy_count, c->aside, c->aside_count * sizeof(struct durable));
    c->log_count = c->copy_count + c->aside_count;
    mem_free(c->aside);
    c->aside = NULL;
    c->aside_count = 0;
}

void coordinator_pause(struct world *w, usec duration)
{
    struct coord_node *c = w->coord;
    if (c->is_up && c->paused_until <= w->now) {
        trace(w, "coord-pause", 0, duration, 0, 0);
        c->paused_until = w->now + duration;
    }
}

void coordinator_heal(struct world *w)
{
    w->coord->paused_until = 0;
    if (!w->coord->is_up) {
        restart(w, NULL, w->coord->boot);
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        coordinator_path_changed(w, id);
    }
}

/* ---- operators, supervisor ---- */

bool coordinator_record(struct world *w, struct arena *a, struct account_record *ret,
                        coord_rev *ret_rev)
{
    struct coord_node *c = w->coord;
    if (!coordinator_is_up(w) || c->durable_at > w->now) {
        return false;
    }
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(c->store, account_prefix(), a, &kvs);
    for (size_t i = 0; i < n; i++) {
        if (is_key(kvs[i].key, "record")) {
            struct errinfo ei = {0};
            if (record_decode(a, kvs[i].value, ret, &ei) != OK) {
                world_fail(w, "record", "stored record does not decode: %s", ei.message);
                return false;
            }
            *ret_rev = kvs[i].rev;
            return true;
        }
    }
    return false;
}

void coordinator_beats(struct world *w, struct arena *a, struct account_beats *ret)
{
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w->coord->store, account_prefix(), a, &kvs);
    beats_read(ret, STR("sim"), kvs, n);
}

static bool put_one(struct world *w, const char *tail, struct str value, bool has_compare,
                    coord_rev rev)
{
    struct arena a;
    arena_init(&a);
    struct coord_txn t = {0};
    struct str key = arena_printf(&a, "%ssim/%s", COORD_PREFIX, tail);
    if (has_compare) {
        t.compares[t.compare_count++] = (struct coord_compare){.key = key, .rev = rev};
    }
    t.puts[t.put_count++] = (struct coord_put){.key = key, .value = value};
    struct coord_txn_result res;
    (void)execute(w, &t, &a, &res); /* when it may be told does not matter to operators */
    arena_done(&a);
    return res.err == OK && res.succeeded;
}

bool coordinator_put_record(struct world *w, const struct account_record *rec, coord_rev rev)
{
    if (!coordinator_is_up(w)) {
        return false;
    }
    struct buf text;
    buf_init(&text, COORD_VALUE_SIZE_MAX);
    record_encode(rec, &text);
    ASSERT(buf_ok(&text));
    bool is_done = put_one(w, "record", buf_str(&text), true, rev);
    buf_done(&text);
    return is_done;
}

bool coordinator_put_stopped(struct world *w, region_id id, uint64_t incarnation)
{
    if (!coordinator_is_up(w) || !net_is_open(w, id, 0)) {
        return false;
    }
    char tail[32];
    char value[64];
    (void)snprintf(tail, sizeof(tail), "stopped/%u", id);
    (void)snprintf(value, sizeof(value), "{\"incarnation\":%llu}", (unsigned long long)incarnation);
    return put_one(w, tail, str_of(value), false, 0);
}
