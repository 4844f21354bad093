/* Versions that are ordered but not yet durable, so that the next write of the same document is
 * decided on the newest version without waiting for storage. Keys and texts point into the encoded
 * entry (a reference is held); a node goes away once storage has its lsn. Unique keys are nodes of
 * the same table under a space of their own. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"

enum { OV_BUCKETS_MIN = 16 };

uint64_t ov_hash(unsigned space, struct str key)
{
    return str_hash(key, space);
}

void ov_init(struct overlay *o)
{
    *o = (struct overlay){0};
    list_init(&o->fifo);
}

struct ov_node *ov_find(const struct partition *p, unsigned space, struct str key, uint64_t hash)
{
    const struct overlay *o = &p->overlay;
    if (o->count == 0) {
        return NULL;
    }
    struct ov_node *n = o->buckets[hash & (o->bucket_count - 1)];
    while (n != NULL && (n->hash != hash || n->space != space || !str_eq(n->key, key))) {
        n = n->next;
    }
    return n;
}

static void ov_rehash(struct overlay *o, size_t bucket_count)
{
    struct ov_node **buckets = MEM_NEW_ARRAY(struct ov_node *, bucket_count);
    LIST_FOR(l, &o->fifo) {
        struct ov_node *n = LIST_ENTRY(l, struct ov_node, fifo);
        size_t at = n->hash & (bucket_count - 1);
        n->next = buckets[at];
        buckets[at] = n;
    }
    mem_free(o->buckets);
    o->buckets = buckets;
    o->bucket_count = bucket_count;
}

static struct ov_node *node_new(struct repl *R)
{
    struct ov_node *n = R->pool;
    if (n == NULL) {
        return (struct ov_node *)mem_alloc(sizeof(*n));
    }
    R->pool = n->next;
    R->pool_count--;
    return n;
}

static void node_free(struct repl *R, struct ov_node *n)
{
    ebuf_unref(n->ebuf);
    if (R->pool_count >= POOL_NODES_MAX) {
        mem_free(n);
        return;
    }
    n->next = R->pool;
    R->pool = n;
    R->pool_count++;
}

void ov_pool_done(struct repl *R)
{
    while (R->pool != NULL) {
        struct ov_node *n = R->pool;
        R->pool = n->next;
        mem_free(n);
    }
    R->pool_count = 0;
}

static void ov_remove(struct partition *p, struct ov_node *n)
{
    struct overlay *o = &p->overlay;
    struct ov_node **at = &o->buckets[n->hash & (o->bucket_count - 1)];
    while (*at != n) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    list_remove(&n->fifo);
    o->count--;
    p->repl->overlay_count--;
    node_free(p->repl, n);
}

/* A node for the key, replacing an older one, at the end of the fifo. */
static struct ov_node *ov_set(struct partition *p, unsigned space, struct str key, lsn at,
                              struct ebuf *mem)
{
    struct overlay *o = &p->overlay;
    uint64_t hash = ov_hash(space, key);
    struct ov_node *old = ov_find(p, space, key, hash);
    if (old != NULL) {
        ov_remove(p, old);
    }
    if (o->count >= o->bucket_count) {
        ov_rehash(o, o->bucket_count == 0 ? OV_BUCKETS_MIN : o->bucket_count * 2);
    }
    struct ov_node *n = node_new(p->repl);
    n->hash = hash;
    n->space = space;
    n->is_absent = true;
    n->key = key;
    n->owner = STR_NONE;
    n->lsn = at;
    n->ebuf = mem;
    mem->refs++;
    struct ov_node **bucket = &o->buckets[hash & (o->bucket_count - 1)];
    n->next = *bucket;
    *bucket = n;
    list_push_back(&o->fifo, &n->fifo);
    o->count++;
    p->repl->overlay_count++;
    return n;
}

void ov_put(struct partition *p, const struct entry *e, const struct entry_op *op, uint16_t op_idx,
            struct ebuf *mem)
{
    for (size_t i = 0; i < op->old.unique_count; i++) {
        (void)ov_set(p, UNIQUE_SPACE, op->old.uniques[i], e->lsn, mem);
    }
    struct ov_node *n = ov_set(p, op->space, op->key, e->lsn, mem);
    n->is_absent = op->is_delete;
    if (op->is_delete) {
        return;
    }
    n->doc = op->doc;
    n->doc.version.op_idx = op_idx;
    ASSERT(op->doc.version.unique_count <= ENGINE_UNIQUE_MAX);
    for (size_t i = 0; i < op->doc.version.unique_count; i++) {
        n->unique_store[i] = op->doc.version.uniques[i];
    }
    n->doc.version.uniques = n->unique_store;
    for (size_t i = 0; i < op->doc.version.unique_count; i++) {
        struct ov_node *u = ov_set(p, UNIQUE_SPACE, op->doc.version.uniques[i], e->lsn, mem);
        u->is_absent = false;
        u->owner = op->key;
    }
}

void ov_prune(struct partition *p, lsn durable)
{
    struct overlay *o = &p->overlay;
    while (!list_is_empty(&o->fifo)) {
        struct ov_node *n = LIST_ENTRY(o->fifo.next, struct ov_node, fifo);
        if (n->lsn > durable) {
            return;
        }
        ov_remove(p, n);
    }
    if (o->bucket_count > 4096) {
        mem_free(o->buckets);
        o->buckets = NULL;
        o->bucket_count = 0;
    }
}

void ov_clear(struct partition *p)
{
    ov_prune(p, UINT64_MAX);
}

void ov_done(struct partition *p)
{
    ov_clear(p);
    mem_free(p->overlay.buckets);
    p->overlay.buckets = NULL;
    p->overlay.bucket_count = 0;
}
