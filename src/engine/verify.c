/* engine_verify: reads every row of one snapshot, once per table, and checks
 *
 *   - each record: key form, checksum, version
 *   - documents -> index rows: change, expiry and unique rows exist and name the document
 *   - index rows -> documents: the document exists and is that very version
 *   - counters in meta: item_count, item_size, conflict_count
 *   - log: first and last entry are what meta says, nothing outside; lsns need not be dense (an
 *     epoch starts a fresh block)
 *   - every row belongs to a partition with a meta, or to one that is being dropped
 *   - dirty marks: key and space are possible ones, partition exists
 *
 * Memory: one small struct per partition. Point reads go through the cache, sweeps do not. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine_int.h"

struct part {
    pid pid;
    bool has_meta, is_dropping;
    struct engine_part_meta meta; /* without extra */
    uint64_t item_count, item_size, conflict_count;
    lsn log_first, log_last; /* as found; 0 = none */
};

struct verify {
    struct engine *engine;
    struct kv_snap *snap;
    void (*report)(void *ctx, const char *finding);
    void *ctx;
    uint64_t findings;
    struct part *parts; /* owned; ordered by pid once the marks have been read */
    size_t part_count, part_cap;
    struct part *last; /* the last one looked up */
};

static void finding(struct verify *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void finding(struct verify *v, const char *fmt, ...)
{
    char text[2 * ENGINE_PLACE_SIZE + 256];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    v->findings++;
    if (v->report != NULL) {
        v->report(v->ctx, text);
    }
}

static void bad_row(struct verify *v, enum kv_table t, struct str row_key, const char *why)
{
    char place[ENGINE_PLACE_SIZE];
    engine_place(place, t, row_key);
    finding(v, "%s: %s", place, why);
}

static struct part *part_find(struct verify *v, pid p)
{
    if (v->last != NULL && v->last->pid == p) {
        return v->last;
    }
    size_t lo = 0;
    size_t hi = v->part_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (v->parts[mid].pid < p) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    if (lo == v->part_count || v->parts[lo].pid != p) {
        return NULL;
    }
    v->last = &v->parts[lo];
    return v->last;
}

/* The partition, created when it is not known yet: only while metas and marks are read. */
static struct part *part_add(struct verify *v, pid p)
{
    struct part *known = part_find(v, p);
    if (known != NULL) {
        return known;
    }
    if (v->part_count == v->part_cap) {
        v->part_cap = v->part_cap == 0 ? 64 : v->part_cap * 2;
        v->parts = (struct part *)mem_realloc(v->parts, v->part_cap * sizeof(*v->parts));
    }
    size_t at = v->part_count;
    while (at > 0 && v->parts[at - 1].pid > p) { /* metas come in order; drop marks are few */
        at--;
    }
    memmove(&v->parts[at + 1], &v->parts[at], (v->part_count - at) * sizeof(*v->parts));
    v->parts[at] = (struct part){.pid = p};
    v->part_count++;
    v->last = &v->parts[at];
    return v->last;
}

/* A row's partition, if its rows are to be checked. */
static struct part *part_of_row(struct verify *v, enum kv_table t, struct str row_key, pid p)
{
    struct part *part = part_find(v, p);
    if (part == NULL) {
        bad_row(v, t, row_key, "its partition has no meta");
        return NULL;
    }
    return part->is_dropping ? NULL : part;
}

/* ---- documents ---- */

/* Reads the row `k`, whose payload must be `want`. */
static enum err expect_row(struct verify *v, const struct record_key *k, enum record_magic magic,
                           struct str want, struct str doc_row, struct errinfo *ei)
{
    struct kv_pin pin;
    struct errinfo local = {0};
    char place[ENGINE_PLACE_SIZE];
    enum err ret = engine_pin(v->engine, v->snap, KV_INDEX, k, &pin, &local);
    engine_place(place, KV_MAIN, doc_row);
    if (ret == ERR_NOT_FOUND) {
        bad_row(v, KV_INDEX, record_key_str(k), "missing");
        return OK;
    }
    if (ret == ERR_CORRUPT) {
        finding(v, "%s", local.message);
        return OK;
    }
    if (ret != OK) {
        return err_pass(ei, ret, &local);
    }
    struct str payload;
    const char *why = "";
    ret = record_small_decode(magic, record_key_str(k), pin.value, &payload, &why);
    if (ret == OK && !str_eq(payload, want)) {
        bad_row(v, KV_INDEX, record_key_str(k), "names another document");
        finding(v, "%s: is not what its index row names", place);
    }
    /* A row that does not decode is reported by the sweep over the index. */
    engine_unpin(v->engine, &pin);
    return OK;
}

static enum err check_doc(struct verify *v, const struct record_key_parts *k, struct str row_key,
                          struct str value, struct errinfo *ei)
{
    struct part *part = part_of_row(v, KV_MAIN, row_key, k->pid);
    if (part == NULL) {
        return OK;
    }
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc doc;
    const char *why = "";
    if (record_doc_decode(row_key, value, /* want_text= */ true, uniques, &doc, &why) != OK) {
        bad_row(v, KV_MAIN, row_key, why);
        return OK;
    }
    if (part->meta.tail_lsn != 0 && doc.version.lsn > part->meta.tail_lsn) {
        bad_row(v, KV_MAIN, row_key, "is newer than the partition's tail");
    }
    if (k->space == SPACE_CONFLICT) {
        part->conflict_count++;
        return OK;
    }
    part->item_count++;
    part->item_size += doc.version.doc_size;
    struct record_key idx;
    record_key_change(&idx, k->pid, doc.version.lsn, doc.version.op_idx);
    TRY(expect_row(v, &idx, MAGIC_KEY, k->key, row_key, ei));
    if (doc.version.expire_at != 0) {
        record_key_expiry(&idx, k->pid, doc.version.expire_at, k->key);
        TRY(expect_row(v, &idx, MAGIC_MARK, STR_NONE, row_key, ei));
    }
    for (size_t i = 0; i < doc.version.unique_count; i++) {
        record_key_unique(&idx, k->pid, doc.version.uniques[i]);
        TRY(expect_row(v, &idx, MAGIC_KEY, k->key, row_key, ei));
    }
    return OK;
}

/* ---- sweeps ---- */

typedef enum err row_fn(struct verify *v, struct str row_key, struct str value, struct errinfo *ei);

static enum err main_row(struct verify *v, struct str row_key, struct str value, struct errinfo *ei)
{
    struct record_key_parts k;
    struct str payload;
    const char *why = "unknown key";
    if (!record_key_parse(KV_MAIN, row_key, &k)) {
        bad_row(v, KV_MAIN, row_key, why);
        return OK;
    }
    enum err err = OK;
    switch ((int)k.prefix) {
    case PREFIX_KV:
        err = record_small_decode(MAGIC_KV, row_key, value, &payload, &why);
        break;
    case PREFIX_META: {
        struct part *part = part_add(v, k.pid);
        part->has_meta = true;
        err = record_meta_decode(row_key, value, &part->meta, &why);
        part->meta.extra = STR_NONE;
        break;
    }
    case PREFIX_DROP:
        part_add(v, k.pid)->is_dropping = true;
        err = record_small_decode(MAGIC_MARK, row_key, value, &payload, &why);
        break;
    case PREFIX_DIRTY:
        (void)part_of_row(v, KV_MAIN, row_key, k.pid);
        err = record_small_decode(MAGIC_MARK, row_key, value, &payload, &why);
        break;
    default:
        return check_doc(v, &k, row_key, value, ei);
    }
    if (err != OK) {
        bad_row(v, KV_MAIN, row_key, why);
    }
    return OK;
}

static enum err log_row(struct verify *v, struct str row_key, struct str value, struct errinfo *ei)
{
    UNUSED(ei);
    struct record_key_parts k;
    struct str entry;
    const char *why = "unknown key";
    if (!record_key_parse(KV_LOG, row_key, &k)) {
        bad_row(v, KV_LOG, row_key, why);
        return OK;
    }
    if (record_log_decode(value, &entry, &why) != OK) {
        bad_row(v, KV_LOG, row_key, why);
    }
    struct part *part = part_of_row(v, KV_LOG, row_key, k.pid);
    if (part != NULL) {
        part->log_first = part->log_first == 0 ? k.lsn : part->log_first;
        part->log_last = k.lsn;
    }
    return OK;
}

/* Does `doc` hold what the index row says? */
static const char *index_disagrees(const struct record_key_parts *k, const struct engine_doc *doc)
{
    if (k->prefix == PREFIX_CHANGE) {
        return doc->version.lsn == k->lsn && doc->version.op_idx == k->op_idx
                   ? NULL
                   : "its document is of another version";
    }
    if (k->prefix == PREFIX_EXPIRY) {
        return doc->version.expire_at == k->expire_at ? NULL : "its document expires otherwise";
    }
    for (size_t i = 0; i < doc->version.unique_count; i++) {
        if (str_eq(doc->version.uniques[i], k->key)) {
            return NULL;
        }
    }
    return "its document does not hold that unique key";
}

static enum err index_row(struct verify *v, struct str row_key, struct str value,
                          struct errinfo *ei)
{
    struct record_key_parts k;
    const char *why = "unknown key";
    if (!record_key_parse(KV_INDEX, row_key, &k)) {
        bad_row(v, KV_INDEX, row_key, why);
        return OK;
    }
    struct str payload;
    bool is_mark = k.prefix == PREFIX_EXPIRY;
    if (record_small_decode(is_mark ? MAGIC_MARK : MAGIC_KEY, row_key, value, &payload, &why) !=
        OK) {
        bad_row(v, KV_INDEX, row_key, why);
        return OK;
    }
    struct str doc_key = is_mark ? k.key : payload;
    if (doc_key.n == 0 || doc_key.n > ENGINE_KEY_SIZE_MAX) {
        bad_row(v, KV_INDEX, row_key, "names no possible document");
        return OK;
    }
    if (part_of_row(v, KV_INDEX, row_key, k.pid) == NULL) {
        return OK;
    }
    struct record_key dk;
    struct kv_pin pin;
    struct errinfo local = {0};
    record_key_doc(&dk, k.pid, SPACE_ITEM, doc_key);
    enum err ret = engine_pin(v->engine, v->snap, KV_MAIN, &dk, &pin, &local);
    if (ret != OK) {
        bad_row(v, KV_INDEX, row_key,
                ret == ERR_NOT_FOUND ? "its document does not exist" : local.message);
        return ret == ERR_NOT_FOUND || ret == ERR_CORRUPT ? OK : err_pass(ei, ret, &local);
    }
    struct str uniques[ENGINE_UNIQUE_MAX];
    struct engine_doc doc;
    /* A document that does not decode was reported by the sweep over documents. */
    if (record_doc_decode(record_key_str(&dk), pin.value, /* want_text= */ false, uniques, &doc,
                          &why) == OK) {
        why = index_disagrees(&k, &doc);
        if (why != NULL) {
            bad_row(v, KV_INDEX, row_key, why);
        }
    }
    engine_unpin(v->engine, &pin);
    return OK;
}

static enum err sweep(struct verify *v, enum kv_table t, row_fn *fn, struct errinfo *ei)
{
    struct kv_range range = {.table = t, .no_cache = true};
    struct kv_iter *it = v->engine->driver->iter_new(v->engine->kv, v->snap, &range);
    struct record_key last = {.n = 0};
    struct str key;
    struct str value;
    enum err ret = OK;
    while (ret == OK && v->engine->driver->iter_next(it, &key, &value)) {
        ret = fn(v, key, value, ei);
        if (key.n <= sizeof(last.p)) {
            memcpy(last.p, key.p, key.n);
            last.n = key.n;
        }
    }
    struct errinfo why = {0};
    enum err it_err = v->engine->driver->iter_err(it, &why);
    v->engine->driver->iter_free(it);
    if (it_err == ERR_CORRUPT) {
        char place[ENGINE_PLACE_SIZE];
        engine_place(place, t, record_key_str(&last));
        finding(v, "after %s: %s: the rest of the table was not checked",
                last.n > 0 ? place : "the start", why.message);
    } else if (it_err != OK && ret == OK) {
        ret = err_pass(ei, it_err, &why);
    }
    return ret;
}

static void expect_number(struct verify *v, const struct part *p, const char *what, uint64_t meta,
                          uint64_t found)
{
    if (meta != found) {
        finding(v, "partition %" PRIu64 " meta: %s is %" PRIu64 ", found %" PRIu64, p->pid, what,
                meta, found);
    }
}

static void check_part(struct verify *v, const struct part *p)
{
    const struct engine_part_meta *m = &p->meta;
    if (p->is_dropping || !p->has_meta) {
        return;
    }
    expect_number(v, p, "item_count", m->item_count, p->item_count);
    expect_number(v, p, "item_size", m->item_size, p->item_size);
    expect_number(v, p, "conflict_count", m->conflict_count, p->conflict_count);
    expect_number(v, p, "first_lsn", m->first_lsn, p->log_first);
    if (m->first_lsn != 0) {
        expect_number(v, p, "tail_lsn", m->tail_lsn, p->log_last);
        if (m->first_lsn <= m->trim_lsn) {
            finding(v, "partition %" PRIu64 " meta: first_lsn %" PRIu64 " <= trim_lsn %" PRIu64,
                    p->pid, m->first_lsn, m->trim_lsn);
        }
    }
    if (m->tail_lsn < m->trim_lsn) {
        finding(v, "partition %" PRIu64 " meta: tail_lsn %" PRIu64 " < trim_lsn %" PRIu64, p->pid,
                m->tail_lsn, m->trim_lsn);
    }
}

enum err engine_verify(struct engine *e, void (*report)(void *ctx, const char *finding), void *ctx,
                       uint64_t *ret_findings, struct errinfo *ei)
{
    struct engine_snap *snap = engine_snap_get(e);
    struct verify v = {
        .engine = e,
        .snap = engine_snap_kv(snap),
        .report = report,
        .ctx = ctx,
    };
    enum err ret = OK;
    /* Metas and drop marks sort before everything that belongs to a partition. */
    STATIC_ASSERT(PREFIX_META < PREFIX_DIRTY && PREFIX_DROP < PREFIX_DIRTY &&
                      PREFIX_DIRTY < PREFIX_DOC,
                  "partitions are known before their rows are met");
    TRY_GOTO(sweep(&v, KV_MAIN, main_row, ei), out);
    TRY_GOTO(sweep(&v, KV_LOG, log_row, ei), out);
    TRY_GOTO(sweep(&v, KV_INDEX, index_row, ei), out);
    for (size_t i = 0; i < v.part_count; i++) {
        check_part(&v, &v.parts[i]);
    }
    *ret_findings = v.findings;
out:
    mem_free(v.parts);
    engine_snap_release(e, snap);
    return ret;
}
