/* Iterators: a range of rows of one table, decoded one at a time. An iterator holds one row's
 * memory and whatever the driver pins for its position; it never collects. */
#include <inttypes.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "engine/engine_int.h"

struct engine_iter {
    struct engine *engine;
    struct kv_iter *kv; /* owned */
    enum kv_table table;
    pid pid;          /* partition scanned; for messages */
    const char *what; /* rows scanned; for messages */
    enum err err;
    struct errinfo ei;
    struct str uniques[ENGINE_UNIQUE_MAX]; /* of the current row's document */
};

/* What an iterator is over. */
struct target {
    enum kv_table table;
    pid pid;
    const char *what;
    bool is_backward;
    bool is_sweep;
};

static struct engine_iter *iter_new(struct engine *e, struct engine_snap *snap,
                                    const struct target *t, const struct record_key *from,
                                    const struct record_key *to)
{
    struct engine_iter *it = MEM_NEW(struct engine_iter);
    it->engine = e;
    it->table = t->table;
    it->pid = t->pid;
    it->what = t->what;
    struct kv_range range = {
        .table = t->table,
        .from = record_key_str(from),
        .to = record_key_str(to),
        .is_backward = t->is_backward,
        .no_cache = t->is_sweep,
    };
    it->kv = e->driver->iter_new(e->kv, engine_snap_kv(snap), &range);
    e->handles++;
    atomic_fetch_add_explicit(&e->reads, 1, memory_order_relaxed);
    return it;
}

/* `t` says how. */
static struct engine_iter *scan_docs(struct engine *e, struct engine_snap *snap, struct target t,
                                     enum engine_space space, struct str from, struct str to)
{
    struct record_key lo;
    struct record_key hi;
    record_key_doc(&lo, t.pid, space, from);
    record_key_doc(&hi, t.pid, space, to);
    if (to.n == 0) {
        record_key_after(&hi);
    }
    t.table = KV_MAIN;
    t.what = "documents";
    struct engine_iter *it = iter_new(e, snap, &t, &lo, &hi);
    it->err = engine_check_spoiled(e, t.pid, &it->ei);
    return it;
}

struct engine_iter *engine_scan(struct engine *e, struct engine_snap *snap, pid p,
                                enum engine_space space, struct str from, struct str to)
{
    return scan_docs(e, snap, (struct target){.pid = p}, space, from, to);
}

struct engine_iter *engine_scan_sweep(struct engine *e, struct engine_snap *snap, pid p,
                                      enum engine_space space, struct str from, struct str to)
{
    return scan_docs(e, snap, (struct target){.pid = p, .is_sweep = true}, space, from, to);
}

struct engine_iter *engine_scan_back(struct engine *e, struct engine_snap *snap, pid p,
                                     enum engine_space space, struct str from, struct str to)
{
    return scan_docs(e, snap, (struct target){.pid = p, .is_backward = true}, space, from, to);
}

struct engine_iter *engine_scan_changes(struct engine *e, struct engine_snap *snap, pid p,
                                        lsn after_lsn, uint32_t after_op)
{
    ASSERT(after_lsn <= LSN_MAX);
    struct record_key lo;
    struct record_key hi;
    if (after_op >= UINT16_MAX) {
        record_key_change(&lo, p, after_lsn + 1, 0);
    } else {
        record_key_change(&lo, p, after_lsn, (uint16_t)(after_op + 1));
    }
    record_key_begin(&hi, PREFIX_CHANGE, p);
    record_key_after(&hi);
    struct target t = {.table = KV_INDEX, .pid = p, .what = "change rows"};
    return iter_new(e, snap, &t, &lo, &hi);
}

struct engine_iter *engine_scan_expiry(struct engine *e, struct engine_snap *snap, pid p,
                                       uint64_t until)
{
    struct record_key lo;
    struct record_key hi;
    record_key_begin(&lo, PREFIX_EXPIRY, p);
    if (until == UINT64_MAX) {
        record_key_begin(&hi, PREFIX_EXPIRY, p);
        record_key_after(&hi);
    } else {
        record_key_expiry(&hi, p, until + 1, STR_NONE);
    }
    struct target t = {.table = KV_INDEX, .pid = p, .what = "expiry rows"};
    return iter_new(e, snap, &t, &lo, &hi);
}

struct engine_iter *engine_scan_log(struct engine *e, struct engine_snap *snap, pid p, lsn from)
{
    struct record_key lo;
    struct record_key hi;
    record_key_log(&lo, p, from);
    record_key_begin(&hi, RECORD_NO_PREFIX, p);
    record_key_after(&hi);
    struct target t = {.table = KV_LOG, .pid = p, .what = "log"};
    return iter_new(e, snap, &t, &lo, &hi);
}

struct engine_iter *engine_scan_dirty(struct engine *e, struct engine_snap *snap, pid p)
{
    struct record_key lo;
    struct record_key hi;
    record_key_begin(&lo, PREFIX_DIRTY, p);
    record_key_begin(&hi, PREFIX_DIRTY, p);
    record_key_after(&hi);
    struct target t = {.table = KV_MAIN, .pid = p, .what = "dirty marks"};
    return iter_new(e, snap, &t, &lo, &hi);
}

struct engine_iter *engine_scan_partitions(struct engine *e, struct engine_snap *snap)
{
    struct record_key lo;
    struct record_key hi = {.n = 1, .p = {PREFIX_META}};
    record_key_meta(&lo, 0);
    record_key_after(&hi);
    struct target t = {.table = KV_MAIN, .pid = 0, .what = "metas"};
    return iter_new(e, snap, &t, &lo, &hi);
}

struct engine_iter *engine_scan_drops(struct engine *e, struct engine_snap *snap)
{
    struct record_key lo;
    struct record_key hi = {.n = 1, .p = {PREFIX_DROP}};
    record_key_drop(&lo, 0);
    record_key_after(&hi);
    struct target t = {.table = KV_MAIN, .pid = 0, .what = "drop marks"};
    return iter_new(e, snap, &t, &lo, &hi);
}

/* Fills the row from one pair; the key has been parsed into `k`. */
static enum err decode_row(struct engine_iter *it, const struct record_key_parts *k,
                           struct str row_key, struct str value, struct engine_row *row,
                           const char **why)
{
    struct str none;
    row->pid = k->pid;
    row->space = k->space;
    row->lsn = k->lsn;
    row->op_idx = k->op_idx;
    row->expire_at = k->expire_at;
    row->key = k->key;
    if (it->table == KV_LOG) {
        return record_log_decode(value, &row->entry, why);
    }
    if (it->table == KV_INDEX) {
        return k->prefix == PREFIX_CHANGE
                   ? record_small_decode(MAGIC_KEY, row_key, value, &row->key, why)
                   : record_small_decode(MAGIC_MARK, row_key, value, &none, why);
    }
    if (k->prefix == PREFIX_META) {
        return record_meta_decode(row_key, value, &row->meta, why);
    }
    if (k->prefix == PREFIX_DIRTY || k->prefix == PREFIX_DROP) {
        return record_small_decode(MAGIC_MARK, row_key, value, &none, why);
    }
    return record_doc_decode(row_key, value, /* want_text= */ true, it->uniques, &row->doc, why);
}

bool engine_iter_next(struct engine_iter *it, struct engine_row *ret_row)
{
    if (it->err != OK) {
        return false;
    }
    struct str row_key;
    struct str value;
    if (!it->engine->driver->iter_next(it->kv, &row_key, &value)) {
        struct errinfo why = {0};
        it->err = it->engine->driver->iter_err(it->kv, &why);
        if (it->err != OK) {
            it->err = err_set(&it->ei, it->err, "partition %" PRIu64 " %s: %s", it->pid, it->what,
                              why.message);
        }
        return false;
    }
    struct record_key_parts k;
    struct engine_row row = {0};
    const char *why = "unknown key";
    it->err = record_key_parse(it->table, row_key, &k)
                  ? decode_row(it, &k, row_key, value, &row, &why)
                  : ERR_CORRUPT;
    if (it->err != OK) {
        it->err = engine_bad_row(&it->ei, it->err, it->table, row_key, why);
        return false;
    }
    *ret_row = row;
    return true;
}

enum err engine_iter_err(const struct engine_iter *it, struct errinfo *ei)
{
    return it->err == OK ? OK : err_pass(ei, it->err, &it->ei);
}

void engine_iter_free(struct engine_iter *it)
{
    if (it == NULL) {
        return;
    }
    it->engine->driver->iter_free(it->kv);
    unsigned before = it->engine->handles--;
    ASSERT(before > 0);
    mem_free(it);
}
