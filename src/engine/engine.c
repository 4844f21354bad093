/* The document level of the engine: life cycle, applying groups of batches, point reads.
 *
 * Everything is rows of three ordered tables (record.h); a driver keeps the rows (kv.h). What
 * belongs here is what all drivers share: the generation guard, the latch after a failed write,
 * placing errors, statistics.
 *
 * Applying a group joins the records of its batches without touching them and adds one meta per
 * partition (the group's last: those in between were never visible) and the generation, in one
 * write with one sync. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine_int.h"
#include "engine/fence.h"

static const struct kv_driver *const drivers[] = {&kv_mem, &kv_rocksdb};

/* ---- naming places ---- */

static const char *const space_names[SPACE_COUNT] = {"item", "conflict"};

static void key_show(char *ret, size_t size, struct str key)
{
    enum { SHOWN_MAX = 40 };
    size_t n = 0;
    for (size_t i = 0; i < key.n && i < SHOWN_MAX && n + 8 < size; i++) {
        unsigned char c = (unsigned char)key.p[i];
        bool is_plain = c > 0x20 && c < 0x7f && c != '\\';
        int added = snprintf(ret + n, size - n, is_plain ? "%c" : "\\x%02x", c);
        n += (size_t)added;
    }
    (void)snprintf(ret + n, size - n, "%s", key.n > SHOWN_MAX ? "..." : "");
}

static void place_main(char *ret, const struct record_key_parts *k, const char *key)
{
    const char *what = k->prefix == PREFIX_DIRTY ? "dirty mark" : "document";
    if (k->prefix == PREFIX_KV) {
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "named value %s", key);
    } else if (k->prefix == PREFIX_META || k->prefix == PREFIX_DROP) {
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "partition %" PRIu64 " %s", k->pid,
                       k->prefix == PREFIX_META ? "meta" : "drop mark");
    } else {
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "partition %" PRIu64 " space %s %s key %s", k->pid,
                       space_names[k->space], what, key);
    }
}

static void place_index(char *ret, const struct record_key_parts *k, const char *key)
{
    if (k->prefix == PREFIX_CHANGE) {
        (void)snprintf(ret, ENGINE_PLACE_SIZE,
                       "partition %" PRIu64 " change row lsn %" PRIu64 " op %u", k->pid, k->lsn,
                       (unsigned)k->op_idx);
    } else {
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "partition %" PRIu64 " %s row key %s", k->pid,
                       k->prefix == PREFIX_EXPIRY ? "expiry" : "unique", key);
    }
}

void engine_place(char ret[ENGINE_PLACE_SIZE], enum kv_table t, struct str row_key)
{
    struct record_key_parts k;
    char key[180];
    if (!record_key_parse(t, row_key, &k)) {
        key_show(key, sizeof(key), row_key);
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "table %d unknown row %s", (int)t, key);
        return;
    }
    key_show(key, sizeof(key), k.key);
    if (t == KV_LOG) {
        (void)snprintf(ret, ENGINE_PLACE_SIZE, "partition %" PRIu64 " log lsn %" PRIu64, k.pid,
                       k.lsn);
    } else if (t == KV_MAIN) {
        place_main(ret, &k, key);
    } else {
        place_index(ret, &k, key);
    }
}

enum err engine_bad_row(struct errinfo *ei, enum err code, enum kv_table t, struct str row_key,
                        const char *why)
{
    if (ei == NULL) {
        return code;
    }
    char place[ENGINE_PLACE_SIZE];
    engine_place(place, t, row_key);
    return err_set(ei, code, "%s: %s", place, why);
}

/* ---- life cycle ---- */

static enum err load_generation(struct engine *e, struct errinfo *ei)
{
    struct buf value;
    buf_init(&value, 64);
    enum err ret = engine_kv_get(e, STR(ENGINE_KV_GENERATION), &value, ei);
    if (ret == OK) {
        struct rd r = rd_of(buf_str(&value));
        uint64_t g = rd_u64(&r);
        if (r.bad || r.n != 0) {
            ret = err_set(ei, ERR_CORRUPT, "named value " ENGINE_KV_GENERATION ": does not parse");
        }
        e->generation = g;
    } else if (ret == ERR_NOT_FOUND) {
        ret = OK;
    }
    buf_done(&value);
    return ret;
}

static enum err open_driver(struct engine *e, const struct engine_opts *opts, struct errinfo *ei)
{
    struct kv_opts o = {
        .cache_size = opts->cache_size,
        .write_buffer_size = opts->write_buffer_size,
    };
    if (e->driver->needs_dir) {
        TRY(engine_dir_open(opts->dir, e->driver->name, &e->dir, ei));
        o.dir = engine_dir_data(e->dir);
        o.journal_dir = engine_dir_journal(e->dir);
        o.format = engine_dir_format(e->dir);
    }
    TRY(e->driver->open(&o, &e->kv, ei));
    if (e->driver->needs_dir && o.format < ENGINE_FORMAT) {
        TRY(engine_dir_upgraded(e->dir, e->driver->name, ei)); /* before anything is written */
    }
    TRY(load_generation(e, ei));
    return fence_load(e, ei);
}

enum err engine_open(const struct engine_opts *opts, struct engine **ret_engine, struct errinfo *ei)
{
    const struct kv_driver *driver = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(drivers); i++) {
        if (str_eq(opts->driver, str_of(drivers[i]->name))) {
            driver = drivers[i];
        }
    }
    if (driver == NULL) {
        return err_set(ei, ERR_CONFIG, "unknown engine \"" STR_FMT "\"", STR_ARG(opts->driver));
    }
    struct engine *e = MEM_NEW(struct engine);
    e->driver = driver;
    atomic_flag_clear(&e->is_applying);
    int rc = pthread_mutex_init(&e->failure_lock, NULL);
    rc = rc == 0 ? pthread_mutex_init(&e->fence_lock, NULL) : rc;
    ASSERT(rc == 0);
    enum err ret = test_disk_init(&e->test_disk, opts->dir, ei);
    if (ret == OK) {
        ret = open_driver(e, opts, ei);
    }
    if (ret != OK) {
        engine_close(e);
        return ret;
    }
    *ret_engine = e;
    return OK;
}

void engine_close(struct engine *e)
{
    if (e == NULL) {
        return;
    }
    ASSERT(e->handles == 0); /* a snapshot or an iterator was not given back */
    if (e->kv != NULL) {
        e->driver->close(e->kv);
    }
    engine_dir_close(e->dir); /* the lock goes last */
    int rc = pthread_mutex_destroy(&e->failure_lock);
    rc = rc == 0 ? pthread_mutex_destroy(&e->fence_lock) : rc;
    ASSERT(rc == 0);
    mem_free(e->spans);
    mem_free(e->metas);
    engine_sort_done(&e->sort);
    mem_free(e);
}

unsigned engine_features(const struct engine *e)
{
    return e->driver->features;
}

generation engine_generation(struct engine *e)
{
    return e->generation;
}

/* ---- writing ---- */

static enum err failed_before(struct engine *e, struct errinfo *ei)
{
    pthread_mutex_lock(&e->failure_lock);
    enum err code = e->failure.code;
    enum err ret = err_set(ei, code, "engine stopped writing: %s", e->failure.message);
    pthread_mutex_unlock(&e->failure_lock);
    return ret;
}

static void latch_failure(struct engine *e, enum err code, const struct errinfo *why)
{
    pthread_mutex_lock(&e->failure_lock);
    if (!e->has_failed) {
        e->failure = *why;
        e->failure.code = code;
        e->has_failed = true;
    }
    pthread_mutex_unlock(&e->failure_lock);
}

static enum err write_once(struct engine *e, const struct str *spans, size_t span_count,
                           uint32_t count, size_t size, bool sync, struct errinfo *ei)
{
    TRY(test_disk_write(&e->test_disk, size, ei));
    if (sync && test_disk_sync_fails(&e->test_disk)) {
        TRY(e->driver->write(e->kv, spans, span_count, count, /* sync= */ false, ei));
        return err_set(ei, ERR_IO, "sync failed (HOLDFAST_TEST_DISK)");
    }
    return e->driver->write(e->kv, spans, span_count, count, sync, ei);
}

enum err engine_write(struct engine *e, const struct str *spans, size_t span_count, uint32_t count,
                      bool sync, struct errinfo *ei)
{
    if (e->has_failed) {
        return failed_before(e, ei);
    }
    size_t size = 0;
    for (size_t i = 0; i < span_count; i++) {
        size += spans[i].n;
    }
    struct errinfo why = {0};
    enum err ret = write_once(e, spans, span_count, count, size, sync, &why);
    if (ret != OK) {
        latch_failure(e, ret, &why);
        return err_pass(ei, ret, &why);
    }
    e->bytes_written += size;
    e->syncs += sync ? 1 : 0;
    return OK;
}

/* Ordered by partition, then by place in the group. */
static int meta_cmp(const void *a, const void *b)
{
    const struct engine_meta_ref *x = (const struct engine_meta_ref *)a;
    const struct engine_meta_ref *y = (const struct engine_meta_ref *)b;
    if (x->pid != y->pid) {
        return x->pid < y->pid ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The bytes to write for a group that passed its guards. */
struct group {
    size_t span_count;
    uint32_t count;
    size_t meta_count;
    generation generation; /* after the group */
};

static void reserve_scratch(struct engine *e, struct engine_batch *const *batches, size_t n)
{
    size_t metas = 0;
    for (size_t i = 0; i < n; i++) {
        metas += batches[i]->meta_count;
    }
    size_t spans = n + metas + 1;
    if (spans > e->span_cap) {
        e->span_cap = spans * 2;
        e->spans = (struct str *)mem_realloc(e->spans, e->span_cap * sizeof(*e->spans));
    }
    if (metas > e->meta_cap) {
        e->meta_cap = metas * 2;
        e->metas = (struct engine_meta_ref *)mem_realloc(e->metas, e->meta_cap * sizeof(*e->metas));
    }
}

static void group_add_span(struct engine *e, struct group *g, struct str span, uint32_t count)
{
    if (count > 0) {
        ASSERT(g->span_count < e->span_cap);
        e->spans[g->span_count++] = span;
        g->count += count;
    }
}

static void group_add_batch(struct engine *e, struct group *g, const struct engine_batch *b)
{
    group_add_span(e, g, buf_str(&b->ops.ops), b->ops.count);
    for (size_t i = 0; i < b->meta_count; i++) {
        ASSERT(g->meta_count < e->meta_cap);
        e->metas[g->meta_count] = b->meta_refs[i];
        e->metas[g->meta_count].order = g->meta_count;
        g->meta_count++;
    }
    if (b->has_guard) {
        g->generation = b->guard;
    }
}

static void group_add_metas(struct engine *e, struct group *g)
{
    if (g->meta_count > 1) {
        qsort(e->metas, g->meta_count, sizeof(*e->metas), meta_cmp);
    }
    for (size_t i = 0; i < g->meta_count; i++) {
        const struct engine_meta_ref *m = &e->metas[i];
        if (i + 1 == g->meta_count || m[1].pid != m->pid) {
            struct str all = buf_str(&m->batch->metas.ops);
            group_add_span(e, g, str_slice(all, m->begin, m->end - m->begin), 1);
        }
    }
}

/* fences NULL: no partition has one, and this batch sets none. */
static enum err check_batch(const struct engine_batch *b, generation now,
                            struct engine_fences *fences)
{
    if (!buf_ok(&b->ops.ops) || !buf_ok(&b->metas.ops)) {
        return ERR_LIMIT;
    }
    if (b->has_guard && now > b->guard) {
        return ERR_STALE_GENERATION;
    }
    return fences != NULL && !fence_pass(fences, b) ? ERR_STALE_GENERATION : OK;
}

/* The fences as this group would leave them; NULL when it has nothing to do with any. */
static struct engine_fences *begin_fences(const struct engine *e,
                                          struct engine_batch *const *batches, size_t n)
{
    bool has = e->fences.count > 0;
    for (size_t i = 0; i < n && !has; i++) {
        has = batches[i]->fences != NULL;
    }
    return has ? (struct engine_fences *)mem_dup(&e->fences, sizeof(e->fences)) : NULL;
}

static void put_generation(struct kv_batch *own, generation g)
{
    struct buf record;
    struct buf value;
    buf_init(&record, 64);
    buf_init(&value, 8);
    buf_add_u64(&value, g);
    struct record_key k;
    record_key_kv(&k, STR(ENGINE_KV_GENERATION));
    record_small_encode(MAGIC_KV, record_key_str(&k), buf_str(&value), &record);
    kv_batch_put(own, KV_MAIN, record_key_str(&k), buf_str(&record), STR_NONE);
    buf_done(&value);
    buf_done(&record);
}

enum err engine_apply(struct engine *e, struct engine_batch *const *batches, size_t n, bool sync,
                      enum err *ret_each, struct errinfo *ei)
{
    bool was_applying = atomic_flag_test_and_set(&e->is_applying);
    ASSERT(!was_applying);
    reserve_scratch(e, batches, n);
    /* Only this thread changes e->generation: what is read here holds until it is stored below. */
    generation before = e->generation;
    struct group g = {.generation = before};
    struct engine_fences *fences = begin_fences(e, batches, n);
    for (size_t i = 0; i < n; i++) {
        ret_each[i] = check_batch(batches[i], g.generation, fences);
        if (ret_each[i] == OK) {
            group_add_batch(e, &g, batches[i]);
        }
    }
    group_add_metas(e, &g);
    struct kv_batch own; /* the engine's own record */
    kv_batch_init(&own);
    if (g.generation != before) {
        put_generation(&own, g.generation);
    }
    bool has_new_fences = fences != NULL && fence_settle(e, fences, g.generation);
    if (has_new_fences) {
        fence_put(fences, &own);
    }
    group_add_span(e, &g, buf_str(&own.ops), own.count);
    enum err ret = OK;
    if (g.count > 0 || sync || e->has_failed) {
        const struct str *spans = engine_sort(&e->sort, e->spans, &g.span_count, g.count);
        ret = engine_write(e, spans, g.span_count, g.count, sync, ei);
    }
    kv_batch_done(&own);
    if (ret == OK) {
        e->generation = g.generation;
        if (has_new_fences) {
            fence_keep(e, fences);
        }
        e->batches += n;
    } else {
        for (size_t i = 0; i < n; i++) {
            ret_each[i] = ret;
        }
    }
    mem_free(fences);
    atomic_flag_clear(&e->is_applying);
    return ret;
}

/* ---- reading ---- */

enum err engine_pin(struct engine *e, struct kv_snap *snap, enum kv_table t,
                    const struct record_key *key, struct kv_pin *pin, struct errinfo *ei)
{
    struct errinfo why = {0};
    atomic_fetch_add_explicit(&e->reads, 1, memory_order_relaxed);
    enum err ret = e->driver->get(e->kv, snap, t, record_key_str(key), pin, &why);
    if (ret != OK && ret != ERR_NOT_FOUND) {
        return engine_bad_row(ei, ret, t, record_key_str(key), why.message);
    }
    return ret;
}

void engine_spoil(struct engine *e, pid p)
{
    e->spoiled = p;
}

pid engine_spoiled(const struct engine *e)
{
    return e->spoiled;
}

enum err engine_check_spoiled(const struct engine *e, pid p, struct errinfo *ei)
{
    pid bad = atomic_load_explicit(&e->spoiled, memory_order_relaxed);
    return bad == 0 || (bad != p && (bad != ENGINE_SPOIL_METADATA || p != 0))
               ? OK
               : err_set(ei, ERR_CORRUPT, "partition %" PRIu64 ": spoiled by a test", p);
}

void engine_unpin(struct engine *e, struct kv_pin *pin)
{
    e->driver->unpin(e->kv, pin);
}

struct engine_snap *engine_snap_get(struct engine *e)
{
    struct engine_snap *s = MEM_NEW(struct engine_snap);
    s->kv = e->driver->snap_get(e->kv);
    e->handles++;
    return s;
}

void engine_snap_release(struct engine *e, struct engine_snap *s)
{
    if (s == NULL) {
        return;
    }
    e->driver->snap_release(e->kv, s->kv);
    mem_free(s);
    unsigned before = e->handles--;
    ASSERT(before > 0);
}

/* Copies what a document points into behind an array of its uniques, all in `hold`. */
static enum err hold_doc(struct buf *hold, struct str record, bool want_text,
                         struct engine_doc *doc, struct errinfo *ei)
{
    size_t array_size = doc->version.unique_count * sizeof(struct str);
    size_t kept_size = want_text ? record.n : record_doc_head_size(record);
    buf_clear(hold);
    buf_reserve(hold, array_size + kept_size);
    if (!buf_ok(hold)) {
        return err_set(ei, ERR_LIMIT, "document of %zu bytes does not fit the reader's buffer",
                       record.n);
    }
    struct str *uniques = (struct str *)(void *)hold->p; /* heap memory: aligned for anything */
    char *copy = hold->p + array_size;
    memcpy(copy, record.p, kept_size);
    hold->n = array_size + kept_size;
    for (size_t i = 0; i < doc->version.unique_count; i++) {
        struct str u = doc->version.uniques[i];
        uniques[i] = str_make(copy + (u.p - record.p), u.n);
    }
    doc->version.uniques = doc->version.unique_count > 0 ? uniques : NULL;
    if (want_text) {
        doc->text = str_make(copy + (doc->text.p - record.p), doc->text.n);
    }
    return OK;
}

enum err engine_get(struct engine *e, struct engine_snap *snap, pid p, enum engine_space space,
                    struct str key, bool want_text, struct buf *hold, struct engine_doc *ret_doc,
                    struct errinfo *ei)
{
    struct record_key k;
    record_key_doc(&k, p, space, key);
    struct kv_pin pin;
    TRY(engine_check_spoiled(e, p, ei));
    TRY(engine_pin(e, engine_snap_kv(snap), KV_MAIN, &k, &pin, ei));
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc doc;
    const char *why = "";
    enum err ret = record_doc_decode(record_key_str(&k), pin.value, want_text, uniques, &doc, &why);
    if (ret != OK) {
        ret = engine_bad_row(ei, ret, KV_MAIN, record_key_str(&k), why);
    } else {
        ret = hold_doc(hold, pin.value, want_text, &doc, ei);
    }
    engine_unpin(e, &pin);
    if (ret == OK) {
        *ret_doc = doc;
    }
    return ret;
}

/* Replaces the content of `ret_payload` by the payload of a small record. */
static enum err get_small(struct engine *e, struct kv_snap *snap, enum kv_table t,
                          const struct record_key *k, enum record_magic magic,
                          struct buf *ret_payload, struct errinfo *ei)
{
    struct kv_pin pin;
    TRY(engine_pin(e, snap, t, k, &pin, ei));
    struct str payload = STR_NONE;
    const char *why = "";
    enum err ret = magic == MAGIC_LOG
                       ? record_log_decode(pin.value, &payload, &why)
                       : record_small_decode(magic, record_key_str(k), pin.value, &payload, &why);
    if (ret != OK) {
        ret = engine_bad_row(ei, ret, t, record_key_str(k), why);
    } else {
        buf_clear(ret_payload);
        buf_add_str(ret_payload, payload);
        if (!buf_ok(ret_payload)) {
            ret = err_set(ei, ERR_LIMIT, "value of %zu bytes does not fit the reader's buffer",
                          payload.n);
        }
    }
    engine_unpin(e, &pin);
    return ret;
}

enum err engine_unique_get(struct engine *e, struct engine_snap *snap, pid p, struct str unique,
                           struct buf *ret_key, struct errinfo *ei)
{
    struct record_key k;
    record_key_unique(&k, p, unique);
    return get_small(e, engine_snap_kv(snap), KV_INDEX, &k, MAGIC_KEY, ret_key, ei);
}

enum err engine_part_meta_get(struct engine *e, struct engine_snap *snap, pid p, struct buf *hold,
                              struct engine_part_meta *ret_meta, struct errinfo *ei)
{
    struct record_key k;
    record_key_meta(&k, p);
    struct kv_pin pin;
    TRY(engine_pin(e, engine_snap_kv(snap), KV_MAIN, &k, &pin, ei));
    struct engine_part_meta meta;
    const char *why = "";
    enum err ret = record_meta_decode(record_key_str(&k), pin.value, &meta, &why);
    if (ret != OK) {
        ret = engine_bad_row(ei, ret, KV_MAIN, record_key_str(&k), why);
    } else {
        buf_clear(hold);
        buf_add_str(hold, meta.extra);
        if (!buf_ok(hold)) {
            ret = err_set(ei, ERR_LIMIT, "meta of %zu bytes does not fit the reader's buffer",
                          meta.extra.n);
        }
        meta.extra = buf_str(hold);
    }
    engine_unpin(e, &pin);
    if (ret == OK) {
        *ret_meta = meta;
    }
    return ret;
}

enum err engine_kv_get(struct engine *e, struct str name, struct buf *ret_value, struct errinfo *ei)
{
    struct record_key k;
    record_key_kv(&k, name);
    return get_small(e, NULL, KV_MAIN, &k, MAGIC_KV, ret_value, ei);
}

enum err engine_log_get(struct engine *e, struct engine_snap *snap, pid p, lsn at,
                        struct buf *ret_entry, struct errinfo *ei)
{
    struct record_key k;
    record_key_log(&k, p, at);
    return get_small(e, engine_snap_kv(snap), KV_LOG, &k, MAGIC_LOG, ret_entry, ei);
}

void engine_disturb(struct engine *e, uint64_t slow_ms, uint64_t free_size)
{
    test_disk_set(&e->test_disk, slow_ms, free_size);
}

void engine_stats_get(struct engine *e, struct engine_stats *ret_stats)
{
    struct kv_stats kv = {0};
    e->driver->stats(e->kv, &kv);
    *ret_stats = (struct engine_stats){
        .disk_size = kv.disk_size,
        .disk_free = test_disk_free(&e->test_disk, kv.disk_free),
        .memory_size = kv.memory_size,
        .syncs = e->syncs,
        .batches = e->batches,
        .bytes_written = e->bytes_written,
        .reads = e->reads,
    };
}
