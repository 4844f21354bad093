/* Queue, trace and randomness of the simulated world. */
#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const fault_names[FAULT_COUNT] = {
    [FAULT_CRASH] = "crash",
    [FAULT_NODE_RESTART] = "node-restart",
    [FAULT_PAUSE] = "pause",
    [FAULT_MID_PAUSE] = "mid-pause",
    [FAULT_CUT] = "cut",
    [FAULT_CUT_ONE_WAY] = "cut-one-way",
    [FAULT_CUT_COORD] = "cut-coord",
    [FAULT_ISOLATE] = "isolate",
    [FAULT_CLOG] = "clog",
    [FAULT_LINK_BREAK] = "link-break",
    [FAULT_LATE_FRAMES] = "late-frames",
    [FAULT_DISK_SLOW] = "disk-slow",
    [FAULT_DISK_FAIL] = "disk-fail",
    [FAULT_DISK_FULL] = "disk-full",
    [FAULT_WALL_JUMP] = "wall-jump",
    [FAULT_DRIFT] = "drift",
    [FAULT_COORD_CRASH] = "coord-crash",
    [FAULT_COORD_PAUSE] = "coord-pause",
    [FAULT_GRACEFUL] = "graceful",
    [FAULT_FORCED] = "forced",
    [FAULT_DRAIN] = "drain",
    [FAULT_LEVEL] = "level",
    [FAULT_REGIONS] = "regions",
    [FAULT_SPLIT] = "split",
    [FAULT_CLOG_MANY] = "clog-many",
    [FAULT_CORRUPT] = "corrupt",
    [FAULT_TWICE] = "twice",
    [FAULT_COORD_SLOW] = "coord-slow",
    [FAULT_CLIENT] = "client",
    [FAULT_PARTITION] = "partition",
    [FAULT_SPOIL] = "spoil",
    [FAULT_CONTAINER] = "container",
};

const char *fault_name(enum fault f)
{
    ASSERT(f < FAULT_COUNT);
    return fault_names[f];
}

static const char *const plan_names[PLAN_COUNT] = {
    [PLAN_FAILOVER] = "failover",
    [PLAN_OFFLINE] = "offline",
    [PLAN_OFFLINE_FORCED] = "offline by force",
    [PLAN_DIVERGED] = "diverged-writes",
    [PLAN_OFFLINE_LOSING] = "offline, a loss accepted",
    [PLAN_ONLINE] = "online",
    [PLAN_LEVEL] = "level",
    [PLAN_ADD] = "add",
    [PLAN_REMOVE] = "remove",
    [PLAN_REMOVE_FORCED] = "remove by force",
    [PLAN_PREFER] = "priorities",
    [PLAN_PARTITION] = "a partition",
    [PLAN_PARTITION_FORCED] = "a partition by force",
    [PLAN_PARTITION_RETURN] = "return of a partition",
    [PLAN_CONTAINER_MAKE] = "a container",
    [PLAN_CONTAINER_REMOVE] = "removal of a container",
};

const char *plan_name(enum plan p)
{
    ASSERT(p < PLAN_COUNT);
    return plan_names[p];
}

struct world *world_new(const struct sim_cfg *cfg)
{
    struct world *w = MEM_NEW(struct world);
    w->cfg = *cfg;
    /* Virtual time starts above zero: 0 means "never" in several places. */
    w->now = 1000000;
    rng_init(&w->rng, cfg->seed * 4 + 1);
    rng_init(&w->net_rng, cfg->seed * 4 + 2);
    rng_init(&w->client_rng, cfg->seed * 4 + 3);
    rng_init(&w->nemesis_rng, cfg->seed * 4 + 4);
    w->ring = MEM_NEW_ARRAY(struct trace_entry, TRACE_RING);
    w->trace_hash = cfg->seed;
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL) {
        return;
    }
    for (size_t i = 0; i < w->heap_count; i++) {
        if (w->heap[i].owns_ctx) {
            mem_free(w->heap[i].ctx);
        }
    }
    mem_free(w->heap);
    mem_free(w->ring);
    mem_free(w);
}

static bool event_before(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->seq < b->seq;
}

static void heap_push(struct world *w, struct event e)
{
    ASSERT(e.at >= w->now);
    if (w->heap_count == w->heap_cap) {
        w->heap_cap = w->heap_cap > 0 ? w->heap_cap * 2 : 1024;
        w->heap = mem_realloc(w->heap, w->heap_cap * sizeof(struct event));
    }
    e.seq = ++w->next_seq;
    size_t i = w->heap_count++;
    while (i > 0 && event_before(&e, &w->heap[(i - 1) / 2])) {
        w->heap[i] = w->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->heap[i] = e;
}

void world_at(struct world *w, usec at, event_fn *fn, void *ctx, uint64_t arg)
{
    heap_push(w, (struct event){.at = at, .fn = fn, .ctx = ctx, .arg = arg});
}

void world_at_owned(struct world *w, usec at, event_fn *fn, void *ctx, uint64_t arg)
{
    heap_push(w, (struct event){.at = at, .fn = fn, .ctx = ctx, .arg = arg, .owns_ctx = true});
}

void world_after(struct world *w, usec delay, event_fn *fn, void *ctx, uint64_t arg)
{
    world_at(w, w->now + delay, fn, ctx, arg);
}

static struct event heap_pop(struct world *w)
{
    ASSERT(w->heap_count > 0);
    struct event top = w->heap[0];
    struct event last = w->heap[--w->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count) {
            break;
        }
        if (child + 1 < w->heap_count && event_before(&w->heap[child + 1], &w->heap[child])) {
            child++;
        }
        if (!event_before(&w->heap[child], &last)) {
            break;
        }
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

void world_run(struct world *w, usec until, bool (*is_done)(struct world *w))
{
    while (!w->has_failed && w->heap_count > 0 && w->heap[0].at <= until) {
        struct event e = heap_pop(w);
        ASSERT(e.at >= w->now);
        w->now = e.at;
        w->event_count++;
        e.fn(w, e.ctx, e.arg);
        if (is_done != NULL && is_done(w)) {
            return;
        }
    }
    if (!w->has_failed && w->now < until) {
        w->now = until;
    }
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    h ^= v + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
    h *= UINT64_C(0xff51afd7ed558ccd);
    return h ^ (h >> 32);
}

static void print_entry(const struct trace_entry *e)
{
    (void)fprintf(stderr, "# %10.6f %-14s %u %llu %llu %llu %s\n", (double)e->at / 1e6, e->what,
                  e->who, (unsigned long long)e->a, (unsigned long long)e->b,
                  (unsigned long long)e->c, e->text);
}

static struct trace_entry *trace_add(struct world *w, const char *what, unsigned who, uint64_t a,
                                     uint64_t b, uint64_t c)
{
    struct trace_entry *e = &w->ring[w->trace_count++ % TRACE_RING];
    e->at = w->now;
    e->what = what;
    e->who = who;
    e->a = a;
    e->b = b;
    e->c = c;
    e->text[0] = 0;
    uint64_t h = mix(w->trace_hash, w->now);
    h = mix(h, ((uint64_t)(unsigned char)what[0] << 16) + ((uint64_t)strlen(what) << 8) + who);
    w->trace_hash = mix(mix(mix(h, a), b), c);
    return e;
}

void trace(struct world *w, const char *what, unsigned who, uint64_t a, uint64_t b, uint64_t c)
{
    const struct trace_entry *e = trace_add(w, what, who, a, b, c);
    if (w->is_verbose) {
        print_entry(e);
    }
}

void trace_text(struct world *w, const char *what, unsigned who, const char *text)
{
    struct trace_entry *e = trace_add(w, what, who, str_hash(str_of(text), 0), 0, 0);
    (void)snprintf(e->text, sizeof(e->text), "%s", text); /* cut is fine: for people */
    if (w->is_verbose) {
        print_entry(e);
    }
}

void trace_print(const struct world *w, size_t last_n)
{
    uint64_t kept = w->trace_count < TRACE_RING ? w->trace_count : TRACE_RING;
    uint64_t n = kept < last_n ? kept : last_n;
    for (uint64_t i = w->trace_count - n; i < w->trace_count; i++) {
        print_entry(&w->ring[i % TRACE_RING]);
    }
}

void world_fail(struct world *w, const char *check, const char *fmt, ...)
{
    if (w->has_failed) {
        return;
    }
    w->has_failed = true;
    (void)snprintf(w->failed_check, sizeof(w->failed_check), "%s", check);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(w->failure, sizeof(w->failure), fmt, ap);
    va_end(ap);
    trace_text(w, "FAIL", 0, w->failure);
}

usec draw_around(struct rng *r, usec mean)
{
    if (mean == 0) {
        return 0;
    }
    /* Halves and doubles instead of a logarithm: no floating point in what a run depends on. */
    usec v = rng_below(r, mean) + mean / 2;
    while (v < mean * 8 && rng_chance(r, 1, 4)) {
        v *= 2;
    }
    return rng_chance(r, 1, 3) ? v / 3 : v;
}

bool draw_percent(struct rng *r, unsigned percent)
{
    return rng_chance(r, percent, 100);
}
