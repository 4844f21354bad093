/* The generation of single partitions that have a writer of their own: a batch under a lower one is
 * refused in the step that would apply it. One named value holds them all: there are as many as the
 * account record has such partitions, and each is forgotten once the region's own generation is above
 * it, since every batch is checked against that one anyway, or with its partition. A drop obeys no
 * fence: it is the metadata that says so, whoever writes the partition. */
#include "engine/fence.h"

#include <string.h>

#include "base/bug.h"
#include "base/contract.h"

enum { FENCE_VERSION = 1, FENCE_ROW_SIZE = 16, FENCES_SIZE_MAX = 8 + ENGINE_FENCES_MAX * 16 };

static struct engine_fence_row *find(struct engine_fences *f, pid p)
{
    for (size_t i = 0; i < f->count; i++) {
        if (f->rows[i].pid == p) {
            return &f->rows[i];
        }
    }
    return NULL;
}

enum err fence_load(struct engine *e, struct errinfo *ei)
{
    struct buf value;
    buf_init(&value, FENCES_SIZE_MAX);
    enum err ret = engine_kv_get(e, STR(ENGINE_KV_FENCES), &value, ei);
    if (ret == OK) {
        struct rd r = rd_of(buf_str(&value));
        uint32_t version = rd_u32(&r);
        uint32_t n = rd_u32(&r);
        if (!r.bad && version > FENCE_VERSION) {
            ret = err_set(ei, ERR_FORMAT_NEWER, "named value " ENGINE_KV_FENCES ": version %u",
                          version);
        } else if (r.bad || version == 0 || n > ENGINE_FENCES_MAX ||
                   r.n != n * (size_t)FENCE_ROW_SIZE) {
            ret = err_set(ei, ERR_CORRUPT, "named value " ENGINE_KV_FENCES ": does not parse");
        }
        for (uint32_t i = 0; ret == OK && i < n; i++) {
            e->fences.rows[i].pid = rd_u64(&r);
            e->fences.rows[i].generation = rd_u64(&r);
            e->fences.count++;
        }
    } else if (ret == ERR_NOT_FOUND) {
        ret = OK;
    }
    buf_done(&value);
    return ret;
}

generation engine_fence(struct engine *e, pid p)
{
    (void)pthread_mutex_lock(&e->fence_lock);
    const struct engine_fence_row *row = find(&e->fences, p);
    generation g = row != NULL ? row->generation : 0;
    (void)pthread_mutex_unlock(&e->fence_lock);
    return g;
}

/* Under what the batch writes the partition; UINT64_MAX: it does not say. */
static generation written_under(const struct engine_batch *b, pid p)
{
    const struct engine_fence_row *row = b->fences != NULL ? find(b->fences, p) : NULL;
    return row != NULL ? row->generation : b->has_guard ? b->guard : UINT64_MAX;
}

static bool is_refused(struct engine_fences *f, const struct engine_batch *b)
{
    for (size_t i = 0; i < b->meta_count; i++) {
        const struct engine_fence_row *stored = find(f, b->meta_refs[i].pid);
        if (stored != NULL && (!b->meta_refs[i].is_drop || BUG(BUG_DROP_FENCED)) &&
            stored->generation > written_under(b, stored->pid)) {
            return true;
        }
    }
    for (size_t i = 0; b->fences != NULL && i < b->fences->count; i++) {
        const struct engine_fence_row *stored = find(f, b->fences->rows[i].pid);
        if (stored != NULL && stored->generation > b->fences->rows[i].generation) {
            return true;
        }
    }
    return false;
}

bool fence_pass(struct engine_fences *f, const struct engine_batch *b)
{
    if (is_refused(f, b)) {
        return false;
    }
    for (size_t i = 0; i < b->meta_count; i++) {
        struct engine_fence_row *stored = find(f, b->meta_refs[i].pid);
        if (stored != NULL && b->meta_refs[i].is_drop) {
            *stored = f->rows[--f->count];
        }
    }
    for (size_t i = 0; b->fences != NULL && i < b->fences->count; i++) {
        const struct engine_fence_row *now = &b->fences->rows[i];
        struct engine_fence_row *stored = find(f, now->pid);
        if (stored == NULL) {
            ASSERT(f->count < ENGINE_FENCES_MAX);
            stored = &f->rows[f->count++];
            *stored = (struct engine_fence_row){.pid = now->pid};
        }
        stored->generation = now->generation;
    }
    return true;
}

bool fence_settle(const struct engine *e, struct engine_fences *f, generation g)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (f->rows[i].generation > g) {
            f->rows[kept++] = f->rows[i];
        }
    }
    f->count = kept;
    return f->count != e->fences.count ||
           (f->count > 0 && memcmp(f->rows, e->fences.rows, f->count * sizeof(f->rows[0])) != 0);
}

void fence_put(const struct engine_fences *f, struct kv_batch *own)
{
    struct buf record;
    struct buf value;
    buf_init(&record, FENCES_SIZE_MAX + 64);
    buf_init(&value, FENCES_SIZE_MAX);
    buf_add_u32(&value, FENCE_VERSION);
    buf_add_u32(&value, (uint32_t)f->count);
    for (size_t i = 0; i < f->count; i++) {
        buf_add_u64(&value, f->rows[i].pid);
        buf_add_u64(&value, f->rows[i].generation);
    }
    ASSERT(buf_ok(&value));
    struct record_key k;
    record_key_kv(&k, STR(ENGINE_KV_FENCES));
    record_small_encode(MAGIC_KV, record_key_str(&k), buf_str(&value), &record);
    ASSERT(buf_ok(&record));
    kv_batch_put(own, KV_MAIN, record_key_str(&k), buf_str(&record), STR_NONE);
    buf_done(&value);
    buf_done(&record);
}

void fence_keep(struct engine *e, const struct engine_fences *f)
{
    (void)pthread_mutex_lock(&e->fence_lock);
    e->fences = *f;
    (void)pthread_mutex_unlock(&e->fence_lock);
}

bool engine_fence_find(struct engine *e, bool (*is_it)(const void *ctx, pid p, generation g),
                       const void *ctx)
{
    bool found = false;
    (void)pthread_mutex_lock(&e->fence_lock);
    for (size_t i = 0; i < e->fences.count && !found; i++) {
        found = is_it(ctx, e->fences.rows[i].pid, e->fences.rows[i].generation);
    }
    (void)pthread_mutex_unlock(&e->fence_lock);
    return found;
}
