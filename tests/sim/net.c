/* The simulated network: see net.h. */
#include "sim/net.h"

#include "base/contract.h"
#include "base/list.h"
#include "base/mem.h"
#include "sim/cover.h"
#include "sim/node.h"

enum { PLACES = SIM_REGIONS_MAX + 1 };

struct frame {
    struct list link; /* in stream.held, else detached */
    uint64_t conn;
    uint64_t from_life, to_life; /* processes at both ends when it was sent */
    region_id from, to;
    bool is_copy;    /* arrived before */
    bool is_damaged; /* its checksum does not match */
    bool is_late;    /* arrives although its connection broke */
    bool is_flushed; /* arrives although its sender ended: the kernel had it already */
    size_t n;
    char bytes[];
};

struct stream {
    bool is_up;
    bool is_clogged;
    bool is_connecting;
    uint64_t conn;    /* counts connections; frames of older ones are lost */
    uint64_t to_life; /* the process it reaches */
    usec last_at;     /* FIFO: no frame arrives before this */
    struct list held; /* arrived while blocked or clogged, in order */
};

struct net {
    bool blocked[PLACES][PLACES];
    struct stream streams[PLACES][PLACES];
};

struct net *net_new(struct world *w)
{
    UNUSED(w);
    struct net *n = MEM_NEW(struct net);
    for (size_t i = 0; i < PLACES; i++) {
        for (size_t k = 0; k < PLACES; k++) {
            list_init(&n->streams[i][k].held);
        }
    }
    return n;
}

static void drop_held(struct stream *s)
{
    for (struct list *l; (l = list_pop_front(&s->held)) != NULL;) {
        mem_free(LIST_ENTRY(l, struct frame, link));
    }
}

void net_free(struct net *n)
{
    if (n == NULL) {
        return;
    }
    for (size_t i = 0; i < PLACES; i++) {
        for (size_t k = 0; k < PLACES; k++) {
            drop_held(&n->streams[i][k]);
        }
    }
    mem_free(n);
}

usec net_delay(struct world *w, unsigned from, unsigned to)
{
    const struct sim_cfg *c = &w->cfg;
    bool is_coord = from == 0 || to == 0;
    usec base = is_coord ? c->coord_delay_us : c->net_delay_us;
    usec factor = is_coord && w->coord_slow != 0 ? w->coord_slow : 1;
    return base * factor + draw_around(&w->net_rng, c->net_jitter_us);
}

bool net_is_open(const struct world *w, unsigned from, unsigned to)
{
    ASSERT(from < PLACES && to < PLACES);
    return !w->net->blocked[from][to];
}

bool net_stream_is_up(const struct world *w, region_id from, region_id to)
{
    return w->net->streams[from][to].is_up;
}

static void deliver(struct world *w, struct frame *f)
{
    trace(w, "frame", f->to, f->from, str_hash(str_make(f->bytes, f->n), 0), f->n);
    node_post_frame(w->nodes[f->to], f->from, str_make(f->bytes, f->n));
    mem_free(f);
}

static void stream_down(struct world *w, region_id from, region_id to);

static void arrive(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct frame *f = ctx;
    struct stream *s = &w->net->streams[f->from][f->to];
    const struct node *to = w->nodes[f->to];
    if (!node_is_up(to) || node_life(to) != f->to_life) {
        /* The process that had this connection is gone: its kernel resets it. */
        if (s->is_up && s->conn == f->conn && net_is_open(w, f->from, f->to) &&
            net_is_open(w, f->to, f->from)) {
            stream_down(w, f->from, f->to);
        }
        mem_free(f);
        return;
    }
    bool is_current = s->is_up && s->conn == f->conn;
    if (f->is_copy) {
        if (!w->net->blocked[f->from][f->to]) {
            cover_note("fault", FAULT_TWICE);
            deliver(w, f);
        } else {
            mem_free(f);
        }
    } else if (is_current && f->is_damaged) {
        cover_note("fault", FAULT_CORRUPT);
        stream_down(w, f->from, f->to);
        mem_free(f);
    } else if (!is_current) {
        bool has_sender_ended = node_life(w->nodes[f->from]) != f->from_life;
        bool arrives = f->is_late || (has_sender_ended && f->is_flushed);
        if (arrives && !w->net->blocked[f->from][f->to]) {
            if (f->is_late) {
                cover_note("fault", FAULT_LATE_FRAMES);
            }
            deliver(w, f);
        } else {
            mem_free(f);
        }
    } else if (s->is_clogged || w->net->blocked[f->from][f->to] || !list_is_empty(&s->held)) {
        list_push_back(&s->held, &f->link);
    } else {
        deliver(w, f);
    }
}

static bool draw_ppm(struct world *w, enum fault fault, unsigned ppm)
{
    return world_has_fault(w, fault) && !w->is_safety_over && rng_chance(&w->net_rng, ppm, 1000000);
}

/* It comes once more, when its connection may be another, as long as the process is the same. */
static void send_copy(struct world *w, const struct frame *f, usec at)
{
    struct frame *copy = mem_dup(f, sizeof(struct frame) + f->n);
    copy->is_copy = true;
    list_init(&copy->link);
    world_at_owned(w, at + draw_around(&w->net_rng, 200000), arrive, copy, 0);
}

void net_send(struct world *w, region_id from, region_id to, struct str frame, usec at)
{
    ASSERT(from >= 1 && from < PLACES && to >= 1 && to < PLACES && from != to);
    struct stream *s = &w->net->streams[from][to];
    if (!s->is_up) {
        return;
    }
    struct frame *f = mem_alloc(sizeof(struct frame) + frame.n);
    *f = (struct frame){.conn = s->conn, .from = from, .to = to, .n = frame.n};
    f->from_life = node_life(w->nodes[from]);
    f->to_life = s->to_life;
    f->is_flushed = draw_percent(&w->net_rng, 70);
    list_init(&f->link);
    memcpy(f->bytes, frame.p, frame.n);
    f->is_damaged = draw_ppm(w, FAULT_CORRUPT, w->cfg.corrupt_ppm);
    f->is_late = world_has_fault(w, FAULT_LATE_FRAMES) && draw_percent(&w->net_rng, 30);
    usec t = at + net_delay(w, from, to) + frame.n / 100; /* 100 MB/s */
    s->last_at = t > s->last_at ? t : s->last_at;
    world_at_owned(w, s->last_at, arrive, f, 0);
    if (draw_ppm(w, FAULT_TWICE, w->cfg.twice_ppm)) {
        send_copy(w, f, s->last_at);
    }
}

static bool can_connect(struct world *w, region_id from, region_id to)
{
    return node_is_up(w->nodes[from]) && node_is_up(w->nodes[to]) && net_is_open(w, from, to) &&
           net_is_open(w, to, from);
}

static void try_connect(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(ctx);
    region_id from = (region_id)(arg / PLACES);
    region_id to = (region_id)(arg % PLACES);
    struct stream *s = &w->net->streams[from][to];
    s->is_connecting = false;
    if (s->is_up || !node_is_up(w->nodes[from])) {
        return;
    }
    /* A paused process answers no handshake. */
    if (!can_connect(w, from, to) || node_is_paused(w->nodes[from]) ||
        node_is_paused(w->nodes[to])) {
        s->is_connecting = true;
        world_after(w, 50000 + rng_below(&w->net_rng, 150000), try_connect, NULL, arg);
        return;
    }
    s->conn++;
    s->is_up = true;
    s->to_life = node_life(w->nodes[to]);
    s->last_at = w->now;
    trace(w, "link-up", from, to, s->conn, 0);
    node_post_link(w->nodes[from], to, true);
}

static void start_connect(struct world *w, region_id from, region_id to, usec delay)
{
    struct stream *s = &w->net->streams[from][to];
    if (!s->is_connecting && !s->is_up) {
        s->is_connecting = true;
        world_after(w, delay, try_connect, NULL, (uint64_t)from * PLACES + to);
    }
}

/* The stream ends; its sender learns it after `notice`. */
static void stream_down(struct world *w, region_id from, region_id to)
{
    struct stream *s = &w->net->streams[from][to];
    if (!s->is_up) {
        return;
    }
    s->is_up = false;
    s->conn++;
    drop_held(s);
    trace(w, "link-down", from, to, s->conn, 0);
    if (node_is_up(w->nodes[from])) {
        node_post_link(w->nodes[from], to, false);
        start_connect(w, from, to, 1000 + rng_below(&w->net_rng, 100000));
    }
}

void net_break(struct world *w, region_id from, region_id to)
{
    stream_down(w, from, to);
}

struct patience {
    region_id from, to;
    uint64_t conn;
};

/* Nothing came through for as long as the sender waits: it gives the connection up. */
static void patience_over(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct patience p = *(struct patience *)ctx;
    mem_free(ctx);
    const struct stream *s = &w->net->streams[p.from][p.to];
    if (!s->is_up || s->conn != p.conn) {
        return;
    }
    if (node_is_up(w->nodes[p.to]) && node_life(w->nodes[p.to]) == s->to_life &&
        net_is_open(w, p.from, p.to) && net_is_open(w, p.to, p.from)) {
        return;
    }
    stream_down(w, p.from, p.to);
}

static void watch_patience(struct world *w, region_id from, region_id to)
{
    const struct stream *s = &w->net->streams[from][to];
    if (s->is_up) {
        struct patience *p = MEM_NEW(struct patience);
        *p = (struct patience){.from = from, .to = to, .conn = s->conn};
        world_at_owned(w, w->now + 200000 + rng_below(&w->net_rng, 2500000), patience_over, p, 0);
    }
}

static void release(struct world *w, region_id from, region_id to)
{
    struct stream *s = &w->net->streams[from][to];
    if (s->is_clogged || w->net->blocked[from][to]) {
        return;
    }
    if (s->is_up && node_life(w->nodes[to]) != s->to_life) {
        stream_down(w, from, to); /* reset: another process is there now */
        return;
    }
    for (struct list *l; (l = list_pop_front(&s->held)) != NULL;) {
        deliver(w, LIST_ENTRY(l, struct frame, link));
    }
}

void net_block(struct world *w, unsigned from, unsigned to, bool is_blocked)
{
    ASSERT(from < PLACES && to < PLACES && from != to);
    if (w->net->blocked[from][to] == is_blocked) {
        return;
    }
    w->net->blocked[from][to] = is_blocked;
    trace(w, is_blocked ? "block" : "unblock", from, to, 0, 0);
    if (from == 0 || to == 0) {
        return; /* the coordinator's model looks at paths by itself */
    }
    if (is_blocked) {
        watch_patience(w, from, to);
        watch_patience(w, to, from);
    } else {
        release(w, from, to);
    }
}

void net_clog(struct world *w, region_id from, region_id to, bool is_clogged)
{
    struct stream *s = &w->net->streams[from][to];
    if (s->is_clogged != is_clogged) {
        s->is_clogged = is_clogged;
        trace(w, is_clogged ? "clog" : "unclog", from, to, 0, 0);
        release(w, from, to);
    }
}

void net_heal(struct world *w)
{
    for (unsigned i = 0; i <= w->cfg.region_count; i++) {
        for (unsigned k = 0; k <= w->cfg.region_count; k++) {
            if (i != k) {
                net_block(w, i, k, false);
                if (i != 0 && k != 0) {
                    net_clog(w, i, k, false);
                }
            }
        }
    }
}

void net_node_up(struct world *w, region_id id)
{
    for (region_id k = 1; k <= w->cfg.region_count; k++) {
        if (k != id) {
            start_connect(w, id, k, 1000 + rng_below(&w->net_rng, 20000));
        }
    }
}

void net_node_down(struct world *w, region_id id)
{
    for (region_id k = 1; k <= w->cfg.region_count; k++) {
        if (k == id) {
            continue;
        }
        stream_down(w, id, k);
        if (net_is_open(w, id, k) && net_is_open(w, k, id)) {
            stream_down(w, k, id); /* the kernel of a living machine resets its connections */
        } else {
            watch_patience(w, k, id);
        }
    }
}
