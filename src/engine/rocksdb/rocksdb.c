/* The driver `rocksdb`: rows in an embedded RocksDB 7.8, through its C API.
 *
 * One column family per table, not one with prefixes. All of them share one write-ahead log, so a
 * group is one write and one sync either way; what differs is what happens to the rows later:
 *   - log entries are the larger half of all bytes, are written once, in order, read rarely and
 *     soon deleted from the front. Apart from the documents they are never merged with them again
 *     and again, need no bloom filter, and compact in runs (universal style).
 *   - index rows are tiny and most of them die young. Apart, their tombstones meet their rows in a
 *     small memtable and in small files, and do not slow scans over documents.
 *   - documents keep a memtable, a filter and a cache that serve point reads only.
 * Smaller memtables are also cheaper to insert into than one of all rows.
 *
 * A group is written as it was built: kv.h's records are RocksDB's, so writing joins the spans
 * behind a header and makes one write batch of it. The batch goes to the journal first (journal.h: the
 * write-ahead log; RocksDB's own is off), then into RocksDB's memtables: nobody reads what is not
 * durable. Memtables of different tables reach files at different times; replaying the journal from
 * before the oldest of them to its end makes up for that.
 *
 * Deliberately absent: range deletes (slow reads in 7.8), atomic flush (not needed with the journal),
 * writes that are not durable (`sync` false is as true), compaction filters. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/dir.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/rocksdb/journal.h"
#include "engine/rocksdb/keeper.h"
#include "engine/rocksdb/options.h"
#include "engine/rocksdb/wal.h"

/* Full segments of the journal that are waited for before RocksDB is told to write its memtables:
 * bounds what is replayed at a start. */
enum { SEGMENTS_KEPT = 2 };

struct kv {
    char *path;         /* owned */
    char *journal_path; /* owned */
    rocksdb_t *db;
    struct rocks_setup setup;
    rocksdb_column_family_handle_t *table[KV_TABLE_COUNT];
    rocksdb_readoptions_t *read_latest;
    rocksdb_writeoptions_t *write;
    rocksdb_flushoptions_t *flush;
    struct keeper *keeper; /* owned; runs settle_journal */
    pthread_mutex_t
        write_lock;          /* guards the next two; held through the write: one writer at a time */
    struct journal *journal; /* owned */
    struct errinfo flush_failed; /* code OK: it did not */
};

struct kv_snap {
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *read;
};

struct kv_iter {
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
    char *bounds; /* owned; read options point into it */
    bool is_backward, is_started;
};

/* Takes over `message` as RocksDB gave it. The text is the only thing the C API tells. */
static enum err failed(struct errinfo *ei, const char *what, char *message)
{
    enum err code = ERR_IO;
    if (strncmp(message, "Corruption", 10) == 0) {
        code = ERR_CORRUPT;
    } else if (strstr(message, "No space left") != NULL ||
               strstr(message, "quota exceeded") != NULL) {
        code = ERR_DISK_FULL;
    }
    enum err ret = err_set(ei, code, "%s: %s", what, message);
    rocksdb_free(message);
    return ret;
}

/* ---- opening ---- */

/* RocksDB would take a directory without CURRENT for a new one and start empty. With data files
 * in it, CURRENT was lost. */
static enum err check_current(const char *path, bool *ret_has_current, struct errinfo *ei)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        return err_set(ei, ERR_IO, "cannot list %s", path);
    }
    bool has_current = false;
    bool has_data = false;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        struct str name = str_of(f->d_name);
        has_current = has_current || str_eq(name, STR("CURRENT"));
        has_data = has_data || str_ends(name, STR(".sst")) || str_ends(name, STR(".log"));
    }
    closedir(d);
    if (has_data && !has_current) {
        return err_set(ei, ERR_CORRUPT, "%s/CURRENT is missing but there are data files", path);
    }
    *ret_has_current = has_current;
    return OK;
}

static enum err check_tables(struct kv *kv, struct errinfo *ei)
{
    for (uint32_t t = 0; t < KV_TABLE_COUNT; t++) {
        uint32_t id = rocksdb_column_family_handle_get_id(kv->table[t]);
        if (id != t) { /* records in batches name tables by number */
            return err_set(ei, ERR_CORRUPT, "%s: table %u has the number %u", kv->path, t, id);
        }
    }
    return OK;
}

/* A torn log is obsolete once its whole groups were recovered. It must be gone before anything new
 * is written, or the next check would take it for damage (wal.h). */
static enum err settle_torn_log(struct kv *kv, const struct rocks_wal_report *wal,
                                struct errinfo *ei)
{
    LOG_WARN("engine", "torn_log_end_dropped", "file=%lu offset=%lu groups_before=%lu",
             wal->torn_file, wal->torn_at, wal->records);
    return files_sync_dir(kv->path, ei);
}

/* ---- the journal ---- */

static enum err write_batch(struct kv *kv, struct str batch, struct errinfo *ei)
{
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create_from(batch.p, batch.n);
    char *message = NULL;
    rocksdb_write(kv->db, kv->write, wb, &message);
    rocksdb_writebatch_destroy(wb);
    return message == NULL ? OK : failed(ei, "cannot write", message);
}

static enum err replay_batch(void *ctx, struct str batch, struct errinfo *ei)
{
    return write_batch((struct kv *)ctx, batch, ei);
}

static enum err flush_all(struct kv *kv, struct errinfo *ei)
{
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        char *message = NULL;
        rocksdb_flush_cf(kv->db, kv->flush, kv->table[t], &message);
        if (message != NULL) {
            return failed(ei, "cannot write the memtables to files", message);
        }
    }
    return OK;
}

/* On the keeper's thread. All groups of the segments before the one being written are in the memtables
 * already: both are done under one lock. */
static void settle_journal(void *ctx)
{
    struct kv *kv = (struct kv *)ctx;
    struct errinfo ei = {0};
    pthread_mutex_lock(&kv->write_lock);
    uint64_t segment = rocks_journal_segment(kv->journal);
    pthread_mutex_unlock(&kv->write_lock);
    enum err ret = flush_all(kv, &ei);
    pthread_mutex_lock(&kv->write_lock);
    if (ret == OK) {
        rocks_journal_settle(kv->journal, segment);
    } else {
        kv->flush_failed = ei;
    }
    pthread_mutex_unlock(&kv->write_lock);
}

/* ---- opening ---- */

static void rocks_close(struct kv *kv)
{
    keeper_free(kv->keeper);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        if (kv->table[t] != NULL) {
            rocksdb_column_family_handle_destroy(kv->table[t]);
        }
    }
    if (kv->db != NULL) {
        rocksdb_cancel_all_background_work(kv->db, /* wait= */ 1);
        rocksdb_close(kv->db);
    }
    rocks_journal_close(kv->journal);
    rocksdb_readoptions_destroy(kv->read_latest);
    rocksdb_writeoptions_destroy(kv->write);
    rocksdb_flushoptions_destroy(kv->flush);
    rocks_setup_done(&kv->setup);
    int rc = pthread_mutex_destroy(&kv->write_lock);
    ASSERT(rc == 0);
    mem_free(kv->path);
    mem_free(kv->journal_path);
    mem_free(kv);
}

static struct kv *kv_new(const struct kv_opts *opts)
{
    struct kv *kv = MEM_NEW(struct kv);
    kv->path = (char *)mem_zalloc(opts->dir.n + 1);
    memcpy(kv->path, opts->dir.p, opts->dir.n);
    kv->journal_path = (char *)mem_zalloc(opts->journal_dir.n + 1);
    memcpy(kv->journal_path, opts->journal_dir.p, opts->journal_dir.n);
    int rc = pthread_mutex_init(&kv->write_lock, NULL);
    ASSERT(rc == 0);
    kv->read_latest = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(kv->read_latest, 1);
    kv->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_disable_WAL(kv->write, 1);
    kv->flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(kv->flush, 1);
    rocks_setup_init(&kv->setup, opts);
    return kv;
}

static enum err open_db(struct kv *kv, struct errinfo *ei)
{
    char *message = NULL;
    kv->db = rocksdb_open_column_families(kv->setup.db, kv->path, KV_TABLE_COUNT, rocks_setup_names,
                                          (const rocksdb_options_t *const *)kv->setup.table,
                                          kv->table, &message);
    if (message != NULL) {
        return failed(ei, "cannot open the database", message);
    }
    return check_tables(kv, ei);
}

/* Format 1: RocksDB's own log holds what is not in its files yet. RocksDB writes all of it to files
 * when it opens, so that the journal begins empty. (Where the format's change was not reached the last time, it has a
 * segment without groups.) */
static enum err open_old(struct kv *kv, const struct kv_opts *opts, struct errinfo *ei)
{
    struct rocks_wal_report wal = {0};
    struct journal_report report;
    TRY(rocks_wal_check(kv->path, &wal, ei));
    rocks_setup_recovery(&kv->setup, wal.is_torn);
    TRY(open_db(kv, ei));
    if (wal.is_torn) {
        TRY(settle_torn_log(kv, &wal, ei));
    }
    TRY(rocks_journal_open(kv->journal_path, rocks_write_buffer_size(opts), &kv->journal, &report,
                           ei));
    LOG_INFO("engine", "store_upgraded", "dir=%s groups=%lu", kv->path, wal.records);
    return rocks_journal_begin(kv->journal, ei);
}

static enum err open_new(struct kv *kv, const struct kv_opts *opts, bool has_current,
                         struct errinfo *ei)
{
    struct journal_report report;
    TRY(rocks_journal_open(kv->journal_path, rocks_write_buffer_size(opts), &kv->journal, &report,
                           ei));
    /* The journal is begun before RocksDB makes its first file. */
    if (has_current && report.segments == 0) {
        return err_set(ei, ERR_CORRUPT, "%s is missing or damaged", kv->journal_path);
    }
    if (!has_current && report.groups > 0) {
        return err_set(ei, ERR_CORRUPT,
                       "%s/CURRENT is missing but the journal has %" PRIu64 " groups", kv->path,
                       report.groups);
    }
    if (!has_current) {
        TRY(rocks_journal_begin(kv->journal, ei));
        return open_db(kv, ei);
    }
    TRY(open_db(kv, ei));
    if (report.is_torn) {
        LOG_WARN("engine", "torn_log_end_dropped",
                 "segment=%" PRIu64 " offset=%" PRIu64 " groups_before=%" PRIu64,
                 report.torn_segment, report.torn_at, report.groups);
    }
    TRY(rocks_journal_replay(kv->journal, replay_batch, kv, ei));
    if (report.groups > 0) {
        TRY(flush_all(kv, ei));
    }
    return rocks_journal_begin(kv->journal, ei);
}

static enum err rocks_open(const struct kv_opts *opts, struct kv **ret_kv, struct errinfo *ei)
{
    struct kv *kv = kv_new(opts);
    bool has_current = false;
    enum err ret = OK;
    TRY_GOTO(check_current(kv->path, &has_current, ei), out);
    if (opts->format < ENGINE_FORMAT_JOURNAL) {
        TRY_GOTO(open_old(kv, opts, ei), out);
    } else {
        TRY_GOTO(open_new(kv, opts, has_current, ei), out);
    }
    kv->keeper = keeper_new(settle_journal, kv);
    *ret_kv = kv;
    return OK;
out:
    rocks_close(kv);
    return ret;
}

/* ---- writing ---- */

static enum err write_group(struct kv *kv, const struct str *spans, size_t span_count,
                            uint32_t count, struct errinfo *ei)
{
    if (kv->flush_failed.code != OK) {
        return err_pass(ei, kv->flush_failed.code, &kv->flush_failed);
    }
    struct str batch;
    uint64_t segment = rocks_journal_segment(kv->journal);
    TRY(rocks_journal_write(kv->journal, spans, span_count, count, &batch, ei));
    TRY(write_batch(kv, batch, ei));
    if (rocks_journal_segment(kv->journal) != segment &&
        rocks_journal_segment(kv->journal) - rocks_journal_unsettled(kv->journal) >=
            SEGMENTS_KEPT) {
        keeper_ask(kv->keeper);
    }
    return OK;
}

static enum err rocks_write(struct kv *kv, const struct str *spans, size_t span_count,
                            uint32_t count, bool sync, struct errinfo *ei)
{
    UNUSED(sync); /* everything is durable at once */
    enum err ret = OK;
    pthread_mutex_lock(&kv->write_lock);
    if (count > 0) {
        ret = write_group(kv, spans, span_count, count, ei);
    }
    pthread_mutex_unlock(&kv->write_lock);
    return ret;
}

/* ---- reading ---- */

static enum err rocks_get(struct kv *kv, struct kv_snap *snap, enum kv_table t, struct str key,
                          struct kv_pin *ret, struct errinfo *ei)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *slice = rocksdb_get_pinned_cf(
        kv->db, snap != NULL ? snap->read : kv->read_latest, kv->table[t], key.p, key.n, &message);
    if (message != NULL) {
        return failed(ei, "cannot read", message);
    }
    if (slice == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t n = 0;
    const char *p = rocksdb_pinnableslice_value(slice, &n);
    *ret = (struct kv_pin){.value = str_make(p, n), .handle = slice};
    return OK;
}

static void rocks_unpin(struct kv *kv, struct kv_pin *pin)
{
    UNUSED(kv);
    rocksdb_pinnableslice_destroy((rocksdb_pinnableslice_t *)pin->handle);
    *pin = (struct kv_pin){0};
}

static struct kv_snap *rocks_snap_get(struct kv *kv)
{
    struct kv_snap *s = MEM_NEW(struct kv_snap);
    s->snapshot = rocksdb_create_snapshot(kv->db);
    s->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(s->read, 1);
    rocksdb_readoptions_set_snapshot(s->read, s->snapshot);
    return s;
}

static void rocks_snap_release(struct kv *kv, struct kv_snap *s)
{
    rocksdb_readoptions_destroy(s->read);
    rocksdb_release_snapshot(kv->db, s->snapshot);
    mem_free(s);
}

/* RocksDB's iterators pin the files and memtables they started with, so that they outlive both
 * the snapshot and any number of writes; at most one block per level is in memory. */
static struct kv_iter *rocks_iter_new(struct kv *kv, struct kv_snap *snap,
                                      const struct kv_range *range)
{
    struct kv_iter *it = MEM_NEW(struct kv_iter);
    it->is_backward = range->is_backward;
    it->bounds = (char *)mem_alloc(range->from.n + range->to.n + 1);
    it->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(it->read, 1);
    rocksdb_readoptions_set_fill_cache(it->read, range->no_cache ? 0 : 1);
    if (snap != NULL) {
        rocksdb_readoptions_set_snapshot(it->read, snap->snapshot);
    }
    if (range->from.n > 0) {
        memcpy(it->bounds, range->from.p, range->from.n);
        rocksdb_readoptions_set_iterate_lower_bound(it->read, it->bounds, range->from.n);
    }
    if (range->to.n > 0) {
        char *to = it->bounds + range->from.n;
        memcpy(to, range->to.p, range->to.n);
        rocksdb_readoptions_set_iterate_upper_bound(it->read, to, range->to.n);
    }
    it->it = rocksdb_create_iterator_cf(kv->db, it->read, kv->table[range->table]);
    if (range->from.n > 0 && range->to.n > 0 && str_cmp(range->from, range->to) >= 0) {
        it->is_started = true; /* RocksDB's bounds must not cross: leave it unpositioned */
    }
    return it;
}

static bool rocks_iter_next(struct kv_iter *it, struct str *ret_key, struct str *ret_value)
{
    if (!it->is_started) {
        it->is_started = true;
        if (it->is_backward) {
            rocksdb_iter_seek_to_last(it->it);
        } else {
            rocksdb_iter_seek_to_first(it->it);
        }
    } else if (rocksdb_iter_valid(it->it)) {
        if (it->is_backward) {
            rocksdb_iter_prev(it->it);
        } else {
            rocksdb_iter_next(it->it);
        }
    }
    if (!rocksdb_iter_valid(it->it)) {
        return false;
    }
    ret_key->p = rocksdb_iter_key(it->it, &ret_key->n);
    ret_value->p = rocksdb_iter_value(it->it, &ret_value->n);
    return true;
}

static enum err rocks_iter_err(const struct kv_iter *it, struct errinfo *ei)
{
    char *message = NULL;
    rocksdb_iter_get_error(it->it, &message);
    return message == NULL ? OK : failed(ei, "cannot read", message);
}

static void rocks_iter_free(struct kv_iter *it)
{
    rocksdb_iter_destroy(it->it);
    rocksdb_readoptions_destroy(it->read);
    mem_free(it->bounds);
    mem_free(it);
}

/* ---- statistics ---- */

static uint64_t dir_size(const char *path)
{
    DIR *d = opendir(path);
    uint64_t size = 0;
    if (d == NULL) {
        return 0;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        struct stat st;
        if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            size += (uint64_t)st.st_blocks * 512;
        }
    }
    closedir(d);
    return size;
}

static void rocks_stats(struct kv *kv, struct kv_stats *ret)
{
    struct kv_stats s = {.disk_size = dir_size(kv->path) + dir_size(kv->journal_path)};
    struct statvfs fs;
    if (statvfs(kv->path, &fs) == 0) {
        s.disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    }
    static const char *const properties[] = {
        "rocksdb.cur-size-all-mem-tables",
        "rocksdb.estimate-table-readers-mem",
    };
    for (size_t i = 0; i < ARRAY_COUNT(properties); i++) {
        for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
            uint64_t size = 0;
            if (rocksdb_property_int_cf(kv->db, kv->table[t], properties[i], &size) == 0) {
                s.memory_size += size;
            }
        }
    }
    s.memory_size += rocksdb_cache_get_usage(kv->setup.cache);
    *ret = s;
}

#ifdef __SANITIZE_THREAD__
/* The library is not instrumented: the sanitizer misses its atomics and sees races that are not
 * there (libstdc++ is only RocksDB's here). Ours are still seen. */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librocksdb.so\nrace:librocksdb.so\n"
           "called_from_lib:libstdc++.so\nrace:libstdc++.so\n";
}
#endif

const struct kv_driver kv_rocksdb = {
    .name = "rocksdb",
    .features = ENGINE_DURABLE,
    .needs_dir = true,
    .open = rocks_open,
    .close = rocks_close,
    .write = rocks_write,
    .get = rocks_get,
    .unpin = rocks_unpin,
    .snap_get = rocks_snap_get,
    .snap_release = rocks_snap_release,
    .iter_new = rocks_iter_new,
    .iter_next = rocks_iter_next,
    .iter_err = rocks_iter_err,
    .iter_free = rocks_iter_free,
    .stats = rocks_stats,
};
