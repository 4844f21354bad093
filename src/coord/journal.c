/* The coordinator's durable file.
 *
 *   file:   header | group | group | ... | group
 *   group:  "HFCG", length, crc, zero | record | record | ...
 *
 * What one write and sync makes durable is one group with a checksum of its own: after a power cut a
 * half-written last group is a torn tail as a whole, however its sectors got to the disk, and was
 * never acknowledged. A broken group with a valid one behind it cannot come about that way: that is
 * damage, and the coordinator refuses to start rather than forget what it acknowledged.
 *
 * The thread takes everything queued, writes it as one group, syncs, reports, and looks again: while
 * it syncs, the next group gathers. A rewrite goes through the same thread: the snapshot covers what
 * was queued before it; should the new file not fit on the disk, the old one goes on with all that
 * was queued. */
#include "coord/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/crc.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord/builtin/record.h"

enum {
    PATH_MAX_SIZE = 4096,
    GROUP_HEADER_SIZE = 16,
    GROUP_CRC_OFFSET = 8,
    GROUP_SIZE_MAX = COORD_RECORD_SIZE_MAX + COORD_RECORD_HEADER_SIZE,
    PENDING_SIZE_MAX = 256 << 20,
};
#define GROUP_MAGIC UINT32_C(0x47434648) /* "HFCG" */

struct journal {
    char dir[PATH_MAX_SIZE];
    int lock_fd;
    struct journal_events events;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fd;                  /* changed by the thread under `lock` */
    uint64_t size;           /* of the file; changed by the thread under `lock` */
    uint64_t reserved_end;   /* file offset up to which space is ours; guarded by lock */
    struct buf pending;      /* records not yet taken by the thread; guarded by lock */
    uint64_t seq;            /* of the last record appended; guarded by lock */
    struct buf snapshot;     /* n > 0: rewrite asked for; guarded by lock */
    size_t snapshot_covers;  /* the first so many bytes of `pending` are in the snapshot */
    uint64_t rewritten_size; /* of the file after the last rewrite; guarded by lock */
    bool is_closing;         /* guarded by lock */
    bool is_rewriting;       /* the thread is at it; guarded by lock */
    size_t writing_size;     /* taken by the thread, not in the file yet; guarded by lock */
    atomic_ulong sync_count;
};

static void path_of(const struct journal *j, const char *name, char ret[PATH_MAX_SIZE + 32])
{
    (void)snprintf(ret, PATH_MAX_SIZE + 32, "%s/%s", j->dir, name); /* fits */
}

/* --- reading ------------------------------------------------------------------------------------- */

static void group_header(struct str records, struct buf *out)
{
    struct buf b;
    buf_init(&b, GROUP_HEADER_SIZE);
    buf_add_u32(&b, GROUP_MAGIC);
    buf_add_u32(&b, (uint32_t)records.n);
    buf_add_u32(&b, crc32c(crc32c(0, b.p, GROUP_CRC_OFFSET), records.p, records.n));
    buf_add_u32(&b, 0);
    buf_add_str(out, buf_str(&b));
    buf_done(&b);
}

/* The first group of `in`; false: none that is whole and undamaged. */
static bool group_decode(struct str in, struct str *ret_records)
{
    struct rd r = rd_of(in);
    uint32_t magic = rd_u32(&r);
    uint32_t size = rd_u32(&r);
    uint32_t crc = rd_u32(&r);
    uint32_t zero = rd_u32(&r);
    if (r.bad || magic != GROUP_MAGIC || zero != 0 || size == 0 || size > r.n) {
        return false;
    }
    struct str records = rd_bytes(&r, size);
    if (crc32c(crc32c(0, in.p, GROUP_CRC_OFFSET), records.p, records.n) != crc) {
        return false;
    }
    *ret_records = records;
    return true;
}

static bool has_group_behind(struct str rest)
{
    static const char magic[] = {'H', 'F', 'C', 'G'};
    while (rest.n > 1) {
        rest = str_slice(rest, 1, rest.n);
        const char *p = (const char *)memmem(rest.p, rest.n, magic, sizeof(magic));
        if (p == NULL) {
            return false;
        }
        rest = str_slice(rest, (size_t)(p - rest.p), rest.n);
        struct str records;
        if (group_decode(rest, &records)) {
            return true;
        }
    }
    return false;
}

static enum err load_records(struct coord_store *store, struct str records, struct errinfo *ei)
{
    while (records.n > 0) {
        size_t size = 0;
        TRY(coord_record_size(records, &size, ei));
        if (size > records.n) {
            return err_set(ei, ERR_CORRUPT, "record cut inside of a whole group");
        }
        TRY(coord_store_load(store, str_slice(records, 0, size), ei));
        records = str_slice(records, size, records.n);
    }
    return OK;
}

/* Feeds the file to the store; *ret_size is how much of it counts. */
static enum err load(struct str file, struct coord_store *store, size_t *ret_size,
                     struct errinfo *ei)
{
    TRY(coord_file_header_decode(file, ei));
    size_t at = COORD_FILE_HEADER_SIZE;
    while (at < file.n) {
        struct str rest = str_slice(file, at, file.n);
        struct str records;
        if (!group_decode(rest, &records)) {
            if (has_group_behind(rest)) {
                (void)err_set(ei, ERR_CORRUPT, "damage at byte %zu of %zu, valid data behind it",
                              at, file.n);
                err_hint(ei, "restore the file from a copy; removing it forgets who writes");
                return ERR_CORRUPT;
            }
            LOG_WARN("coord", "torn_tail_cut", "at=%zu bytes=%zu", at, rest.n);
            break;
        }
        TRY(load_records(store, records, ei));
        at += GROUP_HEADER_SIZE + records.n;
    }
    *ret_size = at;
    return OK;
}

/* --- writing ------------------------------------------------------------------------------------- */

static enum err disk_err(void)
{
    return errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;
}

static int write_all(int fd, struct str bytes, uint64_t offset)
{
    while (bytes.n > 0) {
        ssize_t n = pwrite(fd, bytes.p, bytes.n, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return -1;
        }
        bytes = str_slice(bytes, (size_t)n, bytes.n);
        offset += (uint64_t)n;
    }
    return 0;
}

/* Space without length: the end of the file stays the end of the data. Where the file system has no
 * such call we do without: a write may then find the disk full, and ends the process. */
static int allocate(int fd, uint64_t from, uint64_t to)
{
    int rc = 0;
    do {
        rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
    } while (rc != 0 && errno == EINTR);
    return rc != 0 && (errno == EOPNOTSUPP || errno == ENOSYS) ? 0 : rc;
}

/* A whole new file under its final name, or nothing at all. `first` and `second` are groups' records;
 * the second may be empty. Returns its descriptor or -1 with errno. */
static int replace_file(const struct journal *j, struct str first, struct str second,
                        uint64_t ahead, uint64_t *ret_size)
{
    char path[PATH_MAX_SIZE + 32];
    char temporary[PATH_MAX_SIZE + 32];
    path_of(j, "coordinator.log", path);
    path_of(j, "coordinator.log.new", temporary);
    struct buf b;
    buf_init(&b, 2 * (size_t)GROUP_SIZE_MAX + PENDING_SIZE_MAX);
    coord_file_header_encode(&b);
    if (first.n > 0) {
        group_header(first, &b);
        buf_add_str(&b, first);
    }
    if (second.n > 0) {
        group_header(second, &b);
        buf_add_str(&b, second);
    }
    int fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && allocate(fd, 0, b.n + ahead) == 0 && write_all(fd, buf_str(&b), 0) == 0 &&
              fsync(fd) == 0 && rename(temporary, path) == 0;
    *ret_size = b.n;
    buf_done(&b);
    if (!ok) {
        int cause = errno;
        if (fd >= 0) {
            (void)close(fd); /* it will never be read */
            (void)unlink(temporary);
        }
        errno = cause;
        return -1;
    }
    if (files_sync_dir(j->dir, NULL) != OK) {
        j->events.failed(j->events.ctx, "sync of the directory after a rewrite");
    }
    return fd;
}

static void append_group(struct journal *j, struct str records)
{
    if (records.n == 0) {
        return;
    }
    struct buf b;
    buf_init(&b, (size_t)PENDING_SIZE_MAX + GROUP_HEADER_SIZE);
    group_header(records, &b);
    buf_add_str(&b, records);
    ASSERT(buf_ok(&b));
    if (write_all(j->fd, buf_str(&b), j->size) != 0 || fdatasync(j->fd) != 0) {
        j->events.failed(j->events.ctx, err_errno_text(errno));
    }
    (void)pthread_mutex_lock(&j->lock);
    j->size += b.n;
    (void)pthread_mutex_unlock(&j->lock);
    buf_done(&b);
}

static void rewrite(struct journal *j, struct str snapshot, struct str records, size_t covered)
{
    uint64_t size = 0;
    int fd = replace_file(j, snapshot, str_slice(records, covered, records.n),
                          /* ahead: */ (uint64_t)2 * JOURNAL_RESERVE_SIZE, &size);
    if (fd < 0) {
        LOG_WARN("coord", "rewrite_failed", "why=%s", err_errno_text(errno));
        append_group(j, records); /* the old file goes on */
        (void)pthread_mutex_lock(&j->lock);
        j->rewritten_size = j->size; /* and is looked at again when it has doubled */
        (void)pthread_mutex_unlock(&j->lock);
        return;
    }
    LOG_INFO("coord", "file_rewritten", "before=%lu after=%lu", (unsigned long)j->size,
             (unsigned long)size);
    (void)pthread_mutex_lock(&j->lock);
    int old = j->fd;
    j->fd = fd;
    j->size = size;
    j->rewritten_size = size;
    /* What was reserved in the old file for records still pending must be ours in the new one too. */
    j->reserved_end = size + 2 * (uint64_t)JOURNAL_RESERVE_SIZE;
    uint64_t needed = size + j->pending.n + GROUP_HEADER_SIZE;
    if (needed > j->reserved_end && allocate(fd, size, needed) == 0) {
        j->reserved_end = needed;
    }
    (void)pthread_mutex_unlock(&j->lock);
    (void)close(old); /* everything of it is in the new file */
}

static void *run(void *arg)
{
    struct journal *j = (struct journal *)arg;
    struct buf records;
    struct buf snapshot;
    buf_init(&records, PENDING_SIZE_MAX);
    buf_init(&snapshot, GROUP_SIZE_MAX);
    for (;;) {
        (void)pthread_mutex_lock(&j->lock);
        while (j->pending.n == 0 && j->snapshot.n == 0 && !j->is_closing) {
            (void)pthread_cond_wait(&j->changed, &j->lock);
        }
        bool is_over = j->pending.n == 0 && j->snapshot.n == 0;
        struct buf empty = records;
        records = j->pending;
        j->pending = empty;
        empty = snapshot;
        snapshot = j->snapshot;
        j->snapshot = empty;
        size_t covered = j->snapshot_covers;
        uint64_t seq = j->seq;
        j->writing_size = records.n;
        j->is_rewriting = snapshot.n > 0;
        (void)pthread_mutex_unlock(&j->lock);
        if (is_over) {
            break;
        }
        if (snapshot.n > 0) {
            rewrite(j, buf_str(&snapshot), buf_str(&records), covered);
        } else {
            append_group(j, buf_str(&records));
        }
        buf_clear(&records);
        buf_done(&snapshot);
        (void)pthread_mutex_lock(&j->lock);
        j->writing_size = 0;
        j->is_rewriting = false;
        (void)pthread_mutex_unlock(&j->lock);
        atomic_fetch_add(&j->sync_count, 1);
        j->events.durable(j->events.ctx, seq);
    }
    buf_done(&records);
    buf_done(&snapshot);
    return NULL;
}

/* --- life ------------------------------------------------------------------------------------------ */

static enum err lock_dir(struct journal *j, struct errinfo *ei)
{
    char path[PATH_MAX_SIZE + 32];
    path_of(j, "coordinator.lock", path);
    j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (j->lock_fd < 0) {
        return err_set(ei, disk_err(), "open %s: %s", path, err_errno_text(errno));
    }
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)err_set(ei, ERR_IN_USE, "%s is in use by another coordinator", j->dir);
        err_hint(ei, "one coordinator per directory; stop the other one");
        return ERR_IN_USE;
    }
    return OK;
}

static enum err open_existing(struct journal *j, struct coord_store *store, struct buf *file,
                              struct errinfo *ei)
{
    char path[PATH_MAX_SIZE + 32];
    size_t size = 0;
    path_of(j, "coordinator.log", path);
    TRY(load(buf_str(file), store, &size, ei));
    j->fd = open(path, O_RDWR | O_CLOEXEC);
    if (j->fd < 0) {
        return err_set(ei, ERR_IO, "open %s: %s", path, err_errno_text(errno));
    }
    if (size < file->n && (ftruncate(j->fd, (off_t)size) != 0 || fsync(j->fd) != 0)) {
        return err_set(ei, ERR_IO, "cut the torn tail of %s: %s", path, err_errno_text(errno));
    }
    j->size = size;
    j->rewritten_size = 0; /* unknown: a large file is rewritten at the next change */
    j->reserved_end = size;
    return OK;
}

static enum err open_file(struct journal *j, struct coord_store *store, struct errinfo *ei)
{
    char path[PATH_MAX_SIZE + 32];
    path_of(j, "coordinator.log.new", path);
    (void)unlink(path); /* left by a crash before its rename: never the truth */
    path_of(j, "coordinator.log", path);
    struct buf file;
    buf_init(&file, (size_t)1 << 30);
    enum err ret = files_read(path, &file, NULL);
    if (ret == OK) {
        ret = open_existing(j, store, &file, ei);
    } else if (ret == ERR_NOT_FOUND) {
        j->fd = replace_file(j, STR_NONE, STR_NONE, JOURNAL_RESERVE_SIZE, &j->size);
        j->reserved_end = j->size + JOURNAL_RESERVE_SIZE;
        ret =
            j->fd >= 0 ? OK : err_set(ei, disk_err(), "create %s: %s", path, err_errno_text(errno));
    } else {
        (void)err_set(ei, ret, "read %s: %s", path, err_errno_text(errno));
    }
    buf_done(&file);
    return ret;
}

static void journal_free(struct journal *j)
{
    if (j->fd >= 0) {
        (void)close(j->fd); /* everything in it has been synced */
    }
    if (j->lock_fd >= 0) {
        (void)close(j->lock_fd); /* ends the lock */
    }
    buf_done(&j->pending);
    buf_done(&j->snapshot);
    (void)pthread_mutex_destroy(&j->lock);
    (void)pthread_cond_destroy(&j->changed);
    mem_free(j);
}

enum err journal_open(const char *dir, struct coord_store *store,
                      const struct journal_events *events, struct journal **ret, struct errinfo *ei)
{
    if (strlen(dir) >= PATH_MAX_SIZE) {
        return err_set(ei, ERR_INVALID, "directory name of %zu bytes", strlen(dir));
    }
    struct journal *j = MEM_NEW(struct journal);
    (void)snprintf(j->dir, sizeof(j->dir), "%s", dir); /* fits */
    j->events = *events;
    j->fd = -1;
    j->lock_fd = -1;
    (void)pthread_mutex_init(&j->lock, NULL);
    (void)pthread_cond_init(&j->changed, NULL);
    buf_init(&j->pending, PENDING_SIZE_MAX);
    buf_init(&j->snapshot, GROUP_SIZE_MAX);
    enum err e = files_mkdirs(dir, ei);
    if (e == OK) {
        e = lock_dir(j, ei);
    }
    if (e == OK) {
        e = open_file(j, store, ei);
    }
    if (e != OK) {
        journal_free(j);
        return e;
    }
    coord_store_recovered(store);
    int rc = pthread_create(&j->thread, NULL, run, j);
    ASSERT(rc == 0);
    *ret = j;
    return OK;
}

enum err journal_look(const char *dir, struct str prefix,
                      void (*fn)(void *ctx, const struct coord_kv *kv), void *ctx,
                      struct errinfo *ei)
{
    char path[PATH_MAX_SIZE + 32];
    if (strlen(dir) >= PATH_MAX_SIZE) {
        return err_set(ei, ERR_INVALID, "directory name of %zu bytes", strlen(dir));
    }
    (void)snprintf(path, sizeof(path), "%s/coordinator.log", dir);
    struct buf file;
    struct arena a;
    size_t size = 0;
    buf_init(&file, (size_t)1 << 30);
    arena_init(&a);
    struct coord_store *store = coord_store_new();
    enum err ret = files_read(path, &file, ei);
    if (ret == OK) {
        ret = load(buf_str(&file), store, &size, ei);
    }
    const struct coord_kv *kvs = NULL;
    size_t n = ret == OK ? coord_store_read(store, prefix, &a, &kvs) : 0;
    for (size_t i = 0; i < n; i++) {
        fn(ctx, &kvs[i]);
    }
    arena_done(&a);
    coord_store_free(store);
    buf_done(&file);
    return ret;
}

void journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&j->lock);
    j->is_closing = true;
    (void)pthread_cond_signal(&j->changed);
    (void)pthread_mutex_unlock(&j->lock);
    (void)pthread_join(j->thread, NULL); /* it returns nothing */
    journal_free(j);
}

/* --- the store's thread -------------------------------------------------------------------------------- */

enum err journal_reserve(struct journal *j, size_t n, struct errinfo *ei)
{
    (void)pthread_mutex_lock(&j->lock);
    /* In the worst case each record becomes a group of its own; both are counted by the caller's n
     * and one more header. */
    uint64_t queued = j->size + j->writing_size + j->pending.n + (uint64_t)2 * GROUP_HEADER_SIZE;
    uint64_t needed = queued + n + GROUP_HEADER_SIZE;
    enum err ret = OK;
    if (needed > PENDING_SIZE_MAX + j->size) {
        ret = err_set(ei, ERR_BUSY, "too much waits for the disk");
    } else if (needed > j->reserved_end) {
        uint64_t end = needed + JOURNAL_RESERVE_SIZE;
        if (allocate(j->fd, j->size, end) == 0) {
            j->reserved_end = end;
        } else if (allocate(j->fd, j->size, needed) == 0) { /* the disk is nearly full */
            j->reserved_end = needed;
        } else {
            ret = err_set(ei, disk_err(), "reserve %zu bytes: %s", n, err_errno_text(errno));
        }
    }
    (void)pthread_mutex_unlock(&j->lock);
    return ret;
}

uint64_t journal_append(struct journal *j, struct str record)
{
    (void)pthread_mutex_lock(&j->lock);
    bool was_idle = j->pending.n == 0;
    buf_add_str(&j->pending, record);
    ASSERT(buf_ok(&j->pending));
    uint64_t seq = ++j->seq;
    if (was_idle) {
        (void)pthread_cond_signal(&j->changed);
    }
    (void)pthread_mutex_unlock(&j->lock);
    return seq;
}

bool journal_wants_rewrite(const struct journal *j)
{
    struct journal *locked = (struct journal *)(uintptr_t)j; /* the lock is no part of its value */
    (void)pthread_mutex_lock(&locked->lock);
    bool ret = j->snapshot.n == 0 && !j->is_rewriting && j->size > JOURNAL_REWRITE_SIZE &&
               j->size > 2 * j->rewritten_size;
    (void)pthread_mutex_unlock(&locked->lock);
    return ret;
}

void journal_rewrite(struct journal *j, struct str snapshot)
{
    (void)pthread_mutex_lock(&j->lock);
    buf_clear(&j->snapshot);
    buf_add_str(&j->snapshot, snapshot);
    ASSERT(buf_ok(&j->snapshot));
    j->snapshot_covers = j->pending.n;
    (void)pthread_cond_signal(&j->changed);
    (void)pthread_mutex_unlock(&j->lock);
}

uint64_t journal_size(const struct journal *j)
{
    struct journal *locked = (struct journal *)(uintptr_t)j;
    (void)pthread_mutex_lock(&locked->lock);
    uint64_t size = j->size;
    (void)pthread_mutex_unlock(&locked->lock);
    return size;
}

uint64_t journal_sync_count(const struct journal *j)
{
    return atomic_load(&j->sync_count);
}
