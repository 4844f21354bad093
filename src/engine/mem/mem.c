/* The driver `mem`: three trees in memory, forgotten when closed. For the simulator and tests, and
 * correct under threads, so that a server can run on it.
 *
 * A lock guards the current versions: writers hold it exclusively while they change the trees,
 * readers share it for as long as it takes to reference a row or a version. Rank: innermost.
 * `sync` means nothing here. */
#include <pthread.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/mem/tree.h"

struct kv {
    pthread_rwlock_t lock;
    struct tree trees[KV_TABLE_COUNT]; /* guarded by lock */
};

struct kv_snap {
    struct node *roots[KV_TABLE_COUNT]; /* owned references */
};

struct kv_iter {
    struct node *root; /* owned reference */
    struct tree_walk walk;
    char *limit; /* owned copy of the bound where the walk ends; NULL = none */
    size_t limit_size;
    bool is_backward;
};

static void lock_shared(struct kv *kv)
{
    int rc = pthread_rwlock_rdlock(&kv->lock);
    ASSERT(rc == 0);
}

static void lock_exclusive(struct kv *kv)
{
    int rc = pthread_rwlock_wrlock(&kv->lock);
    ASSERT(rc == 0);
}

static void unlock(struct kv *kv)
{
    int rc = pthread_rwlock_unlock(&kv->lock);
    ASSERT(rc == 0);
}

static enum err mem_open(const struct kv_opts *opts, struct kv **ret, struct errinfo *ei)
{
    UNUSED(opts);
    UNUSED(ei);
    struct kv *kv = MEM_NEW(struct kv);
    int rc = pthread_rwlock_init(&kv->lock, NULL);
    ASSERT(rc == 0);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        tree_init(&kv->trees[t], /* seed= */ t + 1);
    }
    *ret = kv;
    return OK;
}

static void mem_close(struct kv *kv)
{
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        tree_done(&kv->trees[t]);
    }
    int rc = pthread_rwlock_destroy(&kv->lock);
    ASSERT(rc == 0);
    mem_free(kv);
}

static enum err mem_write(struct kv *kv, const struct str *spans, size_t span_count, uint32_t count,
                          bool sync, struct errinfo *ei)
{
    UNUSED(sync);
    UNUSED(ei);
    uint32_t seen = 0;
    lock_exclusive(kv);
    for (size_t i = 0; i < span_count; i++) {
        struct rd r = rd_of(spans[i]);
        struct kv_op op;
        while (kv_op_next(&r, &op)) {
            if (op.is_delete) {
                tree_delete(&kv->trees[op.table], op.key);
            } else {
                tree_put(&kv->trees[op.table], op.key, op.value);
            }
            seen++;
        }
        ASSERT(!r.bad); /* we wrote it */
    }
    unlock(kv);
    ASSERT(seen == count);
    return OK;
}

static enum err mem_get(struct kv *kv, struct kv_snap *snap, enum kv_table t, struct str key,
                        struct kv_pin *ret, struct errinfo *ei)
{
    UNUSED(ei);
    struct cell *c;
    if (snap != NULL) {
        c = tree_find(snap->roots[t], key);
    } else {
        lock_shared(kv);
        c = tree_find(kv->trees[t].root, key);
        unlock(kv);
    }
    if (c == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret = (struct kv_pin){.value = cell_value(c), .handle = c};
    return OK;
}

static void mem_unpin(struct kv *kv, struct kv_pin *pin)
{
    UNUSED(kv);
    cell_unref((struct cell *)pin->handle);
    *pin = (struct kv_pin){0};
}

static struct kv_snap *mem_snap_get(struct kv *kv)
{
    struct kv_snap *s = MEM_NEW(struct kv_snap);
    lock_shared(kv);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        s->roots[t] = tree_root_ref(kv->trees[t].root);
    }
    unlock(kv);
    return s;
}

static void mem_snap_release(struct kv *kv, struct kv_snap *s)
{
    UNUSED(kv);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        tree_root_unref(s->roots[t]);
    }
    mem_free(s);
}

static struct kv_iter *mem_iter_new(struct kv *kv, struct kv_snap *snap,
                                    const struct kv_range *range)
{
    struct kv_iter *it = MEM_NEW(struct kv_iter);
    if (snap != NULL) {
        it->root = tree_root_ref(snap->roots[range->table]);
    } else {
        lock_shared(kv);
        it->root = tree_root_ref(kv->trees[range->table].root);
        unlock(kv);
    }
    it->is_backward = range->is_backward;
    struct str start = range->is_backward ? range->to : range->from;
    struct str limit = range->is_backward ? range->from : range->to;
    tree_walk_init(&it->walk, it->root, start, range->is_backward);
    if (limit.n > 0) {
        it->limit = (char *)mem_dup(limit.p, limit.n);
        it->limit_size = limit.n;
    }
    return it;
}

static bool mem_iter_next(struct kv_iter *it, struct str *ret_key, struct str *ret_value)
{
    struct str key;
    struct str value;
    if (!tree_walk_next(&it->walk, &key, &value)) {
        return false;
    }
    if (it->limit != NULL) {
        int order = str_cmp(key, str_make(it->limit, it->limit_size));
        if (it->is_backward ? order < 0 : order >= 0) {
            it->walk.depth = 0; /* the rest is outside as well */
            return false;
        }
    }
    *ret_key = key;
    *ret_value = value;
    return true;
}

static enum err mem_iter_err(const struct kv_iter *it, struct errinfo *ei)
{
    UNUSED(it);
    UNUSED(ei);
    return OK;
}

static void mem_iter_free(struct kv_iter *it)
{
    tree_walk_done(&it->walk);
    tree_root_unref(it->root);
    mem_free(it->limit);
    mem_free(it);
}

static void mem_stats(struct kv *kv, struct kv_stats *ret)
{
    *ret = (struct kv_stats){0};
    lock_shared(kv);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        ret->memory_size += kv->trees[t].size;
    }
    unlock(kv);
}

const struct kv_driver kv_mem = {
    .name = "mem",
    .features = 0,
    .needs_dir = false,
    .open = mem_open,
    .close = mem_close,
    .write = mem_write,
    .get = mem_get,
    .unpin = mem_unpin,
    .snap_get = mem_snap_get,
    .snap_release = mem_snap_release,
    .iter_new = mem_iter_new,
    .iter_next = mem_iter_next,
    .iter_err = mem_iter_err,
    .iter_free = mem_iter_free,
    .stats = mem_stats,
};
