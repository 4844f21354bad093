/* Batches: turns puts and deletes of documents into rows of the store below. The bytes are laid
 * down once, by the thread that builds the batch; applying only joins them (engine.c).
 *
 * Index rows are made from the new version and from the one it replaces, never by reading. Rows
 * that both versions share (same unique key, same expiry) are left alone. */
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine_int.h"

enum {
    SCRATCH_SIZE_MAX = RECORD_META_FIXED_SIZE + RECORD_META_EXTRA_MAX,
    /* Room made beforehand: a document of 1 KiB, its log entry and its change row need no more.
     * Growing to there by doubling copies the entry twice. */
    OPS_FIRST_SIZE = 3 << 10,
};

struct engine_batch *engine_batch_new(struct engine *e)
{
    UNUSED(e); /* one form for all drivers */
    struct engine_batch *b = MEM_NEW(struct engine_batch);
    kv_batch_init(&b->ops);
    buf_reserve(&b->ops.ops, OPS_FIRST_SIZE);
    kv_batch_init(&b->metas);
    STATIC_ASSERT((int)SCRATCH_SIZE_MAX >= (int)RECORD_DOC_HEAD_SIZE_MAX, "holds any head");
    buf_init(&b->scratch, SCRATCH_SIZE_MAX);
    return b;
}

void engine_batch_free(struct engine_batch *b)
{
    if (b == NULL) {
        return;
    }
    kv_batch_done(&b->ops);
    kv_batch_done(&b->metas);
    buf_done(&b->scratch);
    mem_free(b->meta_refs);
    mem_free(b->fences);
    mem_free(b);
}

void engine_batch_reserve(struct engine_batch *b, size_t size)
{
    buf_reserve(&b->ops.ops, size);
}

size_t engine_batch_size(const struct engine_batch *b)
{
    return b->ops.ops.n + b->metas.ops.n;
}

size_t engine_batch_entry_count(const struct engine_batch *b)
{
    return b->entry_count;
}

bool engine_batch_is_empty(const struct engine_batch *b)
{
    return b->ops.count == 0 && b->metas.count == 0 && !b->has_guard;
}

void engine_batch_guard(struct engine_batch *b, generation g)
{
    ASSERT(g != 0);
    ASSERT(!b->has_guard || b->guard == g);
    b->has_guard = true;
    b->guard = g;
}

void engine_batch_fence(struct engine_batch *b, pid p, generation g)
{
    ASSERT(g != 0);
    if (b->fences == NULL) {
        b->fences = MEM_NEW(struct engine_fences);
    }
    ASSERT(b->fences->count < ENGINE_FENCES_MAX);
    b->fences->rows[b->fences->count++] = (struct engine_fence_row){p, g};
}

/* A row whose record is small: magic, version, crc, payload. */
static void put_small(struct engine_batch *b, enum kv_table t, const struct record_key *k,
                      enum record_magic magic, struct str payload)
{
    buf_clear(&b->scratch);
    record_small_encode(magic, record_key_str(k), payload, &b->scratch);
    ASSERT(buf_ok(&b->scratch));
    kv_batch_put(&b->ops, t, record_key_str(k), buf_str(&b->scratch), STR_NONE);
}

static bool holds_unique(const struct engine_version *v, struct str unique)
{
    for (size_t i = 0; v != NULL && i < v->unique_count; i++) {
        if (str_eq(v->uniques[i], unique)) {
            return true;
        }
    }
    return false;
}

static void index_changes(struct engine_batch *b, pid p, struct str key,
                          const struct engine_version *old, const struct engine_version *now)
{
    struct record_key k;
    bool is_same = old && now && old->lsn == now->lsn && old->op_idx == now->op_idx;
    if (old && !is_same) {
        record_key_change(&k, p, old->lsn, old->op_idx);
        kv_batch_delete(&b->ops, KV_INDEX, record_key_str(&k));
    }
    if (now) {
        record_key_change(&k, p, now->lsn, now->op_idx);
        put_small(b, KV_INDEX, &k, MAGIC_KEY, key);
    }
}

static void index_expiry(struct engine_batch *b, pid p, struct str key,
                         const struct engine_version *old, const struct engine_version *now)
{
    struct record_key k;
    uint64_t before = old ? old->expire_at : 0;
    uint64_t after = now ? now->expire_at : 0;
    if (before == after) {
        return;
    }
    if (before != 0) {
        record_key_expiry(&k, p, before, key);
        kv_batch_delete(&b->ops, KV_INDEX, record_key_str(&k));
    }
    if (after != 0) {
        record_key_expiry(&k, p, after, key);
        put_small(b, KV_INDEX, &k, MAGIC_MARK, STR_NONE);
    }
}

static void index_uniques(struct engine_batch *b, pid p, struct str key,
                          const struct engine_version *old, const struct engine_version *now)
{
    struct record_key k;
    for (size_t i = 0; old && i < old->unique_count; i++) {
        if (!holds_unique(now, old->uniques[i])) {
            record_key_unique(&k, p, old->uniques[i]);
            kv_batch_delete(&b->ops, KV_INDEX, record_key_str(&k));
        }
    }
    for (size_t i = 0; now && i < now->unique_count; i++) {
        if (!holds_unique(old, now->uniques[i])) {
            record_key_unique(&k, p, now->uniques[i]);
            put_small(b, KV_INDEX, &k, MAGIC_KEY, key);
        }
    }
}

/* `old` and `now` may be NULL: there is none. Only items are indexed. */
static void index_replace(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                          const struct engine_version *old, const struct engine_version *now)
{
    if (old != NULL && old->lsn == 0) {
        old = NULL;
    }
    if (space == SPACE_ITEM) {
        index_changes(b, p, key, old, now);
        index_expiry(b, p, key, old, now);
        index_uniques(b, p, key, old, now);
    }
}

void engine_batch_put(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                      const struct engine_doc *doc, const struct engine_version *old)
{
    ASSERT(key.n > 0 && key.n <= ENGINE_KEY_SIZE_MAX);
    struct record_key k;
    record_key_doc(&k, p, space, key);
    buf_clear(&b->scratch);
    record_doc_encode(record_key_str(&k), doc, &b->scratch);
    ASSERT(buf_ok(&b->scratch));
    kv_batch_put(&b->ops, KV_MAIN, record_key_str(&k), buf_str(&b->scratch), doc->text);
    index_replace(b, p, space, key, old, &doc->version);
}

void engine_batch_delete(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                         const struct engine_version *old)
{
    ASSERT(key.n > 0 && key.n <= ENGINE_KEY_SIZE_MAX);
    struct record_key k;
    record_key_doc(&k, p, space, key);
    kv_batch_delete(&b->ops, KV_MAIN, record_key_str(&k));
    index_replace(b, p, space, key, old, NULL);
}

void engine_batch_log(struct engine_batch *b, pid p, lsn at, struct str entry)
{
    ASSERT(at > 0 && at <= LSN_MAX);
    ASSERT(entry.n <= ENGINE_ENTRY_SIZE_MAX);
    struct record_key k;
    record_key_log(&k, p, at);
    char head[RECORD_LOG_HEADER_SIZE];
    record_log_head(head);
    kv_batch_put(&b->ops, KV_LOG, record_key_str(&k), str_make(head, sizeof(head)), entry);
    b->entry_count++;
}

void engine_batch_log_delete(struct engine_batch *b, pid p, lsn at)
{
    ASSERT(at > 0 && at <= LSN_MAX);
    struct record_key k;
    record_key_log(&k, p, at);
    kv_batch_delete(&b->ops, KV_LOG, record_key_str(&k));
}

void engine_batch_dirty(struct engine_batch *b, pid p, enum engine_space space, struct str key,
                        bool is_dirty)
{
    ASSERT(key.n > 0 && key.n <= ENGINE_KEY_SIZE_MAX);
    struct record_key k;
    record_key_dirty(&k, p, space, key);
    if (is_dirty) {
        put_small(b, KV_MAIN, &k, MAGIC_MARK, STR_NONE);
    } else {
        kv_batch_delete(&b->ops, KV_MAIN, record_key_str(&k));
    }
}

/* The record that stands in b->metas from `begin` on is the partition's meta, or its end. */
static void add_meta_ref(struct engine_batch *b, pid p, size_t begin)
{
    if (b->meta_count == b->meta_cap) {
        b->meta_cap = b->meta_cap == 0 ? 2 : b->meta_cap * 2;
        b->meta_refs = (struct engine_meta_ref *)mem_realloc(b->meta_refs,
                                                             b->meta_cap * sizeof(*b->meta_refs));
    }
    b->meta_refs[b->meta_count++] = (struct engine_meta_ref){
        .pid = p,
        .begin = begin,
        .end = b->metas.ops.n,
        .batch = b,
    };
}

void engine_batch_meta(struct engine_batch *b, pid p, const struct engine_part_meta *meta)
{
    struct record_key k;
    record_key_meta(&k, p);
    buf_clear(&b->scratch);
    record_meta_encode(record_key_str(&k), meta, &b->scratch);
    ASSERT(buf_ok(&b->scratch));
    size_t begin = b->metas.ops.n;
    kv_batch_put(&b->metas, KV_MAIN, record_key_str(&k), buf_str(&b->scratch), STR_NONE);
    add_meta_ref(b, p, begin);
}

void engine_batch_drop(struct engine_batch *b, pid p)
{
    struct record_key k;
    record_key_drop(&k, p);
    put_small(b, KV_MAIN, &k, MAGIC_MARK, STR_NONE);
    record_key_meta(&k, p);
    size_t begin = b->metas.ops.n;
    kv_batch_delete(&b->metas, KV_MAIN, record_key_str(&k));
    add_meta_ref(b, p, begin);
    b->meta_refs[b->meta_count - 1].is_drop = true;
}

void engine_batch_drop_done(struct engine_batch *b, pid p)
{
    struct record_key k;
    record_key_drop(&k, p);
    kv_batch_delete(&b->ops, KV_MAIN, record_key_str(&k));
}

void engine_batch_kv(struct engine_batch *b, struct str name, struct str value)
{
    ASSERT(!str_starts(name, STR(ENGINE_KV_RESERVED)));
    ASSERT(value.n <= ENGINE_KV_VALUE_MAX);
    struct record_key k;
    record_key_kv(&k, name);
    if (value.n == 0) {
        kv_batch_delete(&b->ops, KV_MAIN, record_key_str(&k));
        return;
    }
    buf_clear(&b->scratch);
    record_small_encode(MAGIC_KV, record_key_str(&k), value, &b->scratch);
    ASSERT(buf_ok(&b->scratch));
    kv_batch_put(&b->ops, KV_MAIN, record_key_str(&k), buf_str(&b->scratch), STR_NONE);
}
