/* Recent entries in memory: what streams to peers without touching the engine. Every entry that is
 * not yet durable is here; beyond that as much as RING_SIZE_MAX allows over all partitions, oldest
 * out first. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

struct ebuf *ebuf_new(struct str bytes)
{
    ASSERT(bytes.n >= ENTRY_HEADER_SIZE && bytes.n <= ENGINE_ENTRY_SIZE_MAX);
    struct ebuf *b = (struct ebuf *)mem_alloc(sizeof(*b) + bytes.n);
    *b = (struct ebuf){.refs = 1, .n = bytes.n};
    list_init(&b->lru);
    memcpy(b->bytes, bytes.p, bytes.n);
    return b;
}

void ebuf_unref(struct ebuf *b)
{
    ASSERT(b->refs > 0);
    if (--b->refs == 0) {
        ASSERT(b->part == NULL);
        mem_free(b);
    }
}

struct ebuf *ring_at(const struct partition *p, size_t idx)
{
    ASSERT(idx < p->ring.count);
    return p->ring.slots[(p->ring.head + idx) & (p->ring.cap - 1)];
}

static void ring_grow(struct ring *r)
{
    size_t cap = r->cap == 0 ? 16 : r->cap * 2;
    struct ebuf **slots = MEM_NEW_ARRAY(struct ebuf *, cap);
    for (size_t i = 0; i < r->count; i++) {
        slots[i] = r->slots[(r->head + i) & (r->cap - 1)];
    }
    mem_free(r->slots);
    r->slots = slots;
    r->cap = cap;
    r->head = 0;
}

void ring_push(struct partition *p, struct ebuf *b)
{
    struct ring *r = &p->ring;
    ASSERT(b->part == NULL);
    ASSERT(r->count == 0 || ring_at(p, r->count - 1)->place.lsn < b->place.lsn);
    if (r->count == r->cap) {
        ring_grow(r);
    }
    r->slots[(r->head + r->count) & (r->cap - 1)] = b;
    r->count++;
    b->part = p;
    list_push_back(&p->repl->ring_lru, &b->lru);
    p->repl->ring_size += b->n;
}

static void ring_pop(struct partition *p)
{
    struct ring *r = &p->ring;
    ASSERT(r->count > 0);
    struct ebuf *b = r->slots[r->head];
    r->head = (r->head + 1) & (r->cap - 1);
    r->count--;
    b->part = NULL;
    list_remove(&b->lru);
    p->repl->ring_size -= b->n;
    ebuf_unref(b);
    if (r->count == 0 && r->cap > 1024) {
        mem_free(r->slots);
        *r = (struct ring){0};
    }
}

void ring_clear(struct partition *p)
{
    while (p->ring.count > 0) {
        ring_pop(p);
    }
    mem_free(p->ring.slots);
    p->ring = (struct ring){0};
}

void ring_evict(struct repl *R)
{
    while (R->ring_size > RING_SIZE_MAX) {
        ASSERT(!list_is_empty(&R->ring_lru));
        struct ebuf *oldest = LIST_ENTRY(R->ring_lru.next, struct ebuf, lru);
        struct partition *p = oldest->part;
        /* Order in the list is order of arrival, so the oldest is the first of its ring. */
        ASSERT(ring_at(p, 0) == oldest);
        if (oldest->place.lsn > p->durable.lsn) {
            return;
        }
        ring_pop(p);
    }
}

struct ebuf *ring_after(const struct partition *p, lsn after, size_t *ret_idx)
{
    const struct ring *r = &p->ring;
    if (r->count == 0 || ring_at(p, 0)->prev_lsn > after) {
        return NULL;
    }
    size_t lo = 0, hi = r->count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ring_at(p, mid)->place.lsn > after) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    if (lo == r->count) {
        return NULL;
    }
    *ret_idx = lo;
    return ring_at(p, lo);
}
