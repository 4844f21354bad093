/* Archives of diverged suffixes. See archive.h.
 *
 * Jobs go from the loop to the thread by `jobs` and come back by `finished`; one post brings back
 * whatever has finished until then. */
#include "server/archive.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/codec.h"
#include "base/cond.h"
#include "base/contract.h"
#include "base/crc.h"
#include "base/files.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

enum { ARCHIVE_VERSION = 1, SWEEP_MS = 3600 * 1000 };
#define ARCHIVE_SUFFIX ".hfar"
#define ARCHIVE_MAGIC  UINT32_C(0x52414648) /* "HFAR" */

struct job {
    struct list link;
    pid p;
    uint64_t ticket;
    char *entries; /* owned */
    size_t size;
    enum err err;
};

struct archiver {
    struct loop *loop;
    char *dir;
    region_id self;
    uint64_t keep_ms; /* 0 = for ever */
    void (*done)(void *ctx, uint64_t ticket, enum err err);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; rank: leaf */
    pthread_cond_t wake;
    struct list jobs;
    struct list finished;
    bool is_posted; /* deliver() is on its way to the loop */
    bool is_ending;
};

static enum err job_write(const struct archiver *a, const struct job *j)
{
    struct errinfo ei = {0};
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "-%" PRId64 "-%" PRIu64 ARCHIVE_SUFFIX,
                   a->dir, j->p, clock_wall_ms(), j->ticket);
    struct buf b;
    buf_init(&b, j->size + 64);
    buf_add_u32(&b, (uint32_t)ARCHIVE_MAGIC);
    buf_add_u32(&b, ARCHIVE_VERSION);
    buf_add_u32(&b, a->self);
    buf_add_u32(&b, crc32c(0, j->entries, j->size));
    buf_add_u64(&b, j->p);
    buf_add_u64(&b, j->size);
    buf_add(&b, j->entries, j->size);
    ASSERT(buf_ok(&b));
    enum err err = files_write_durable(path, buf_str(&b), 0600, &ei);
    buf_done(&b);
    if (err != OK) {
        LOG_ERROR("server", "archive_failed", "path=%s error=%s", path, ei.message);
    } else {
        LOG_INFO("server", "archived", "path=%s bytes=%zu", path, j->size);
    }
    return err;
}

/* When it was saved, by its name PARTITION-MS-TICKET.hfar; false: it is none of ours. */
static bool saved_at(struct str name, uint64_t *ret_ms)
{
    struct str part = STR("");
    struct str rest = STR("");
    struct str at = STR("");
    return str_ends(name, STR(ARCHIVE_SUFFIX)) && str_split(name, '-', &part, &rest) &&
           str_split(rest, '-', &at, &rest) && str_to_u64(at, ret_ms);
}

/* What is older than asked for goes. That it stays is no harm: nobody waits for this. */
static void sweep(const struct archiver *a)
{
    DIR *d = a->keep_ms > 0 ? opendir(a->dir) : NULL;
    if (!d) {
        return;
    }
    uint64_t now_ms = (uint64_t)clock_wall_ms();
    for (;;) {
        const struct dirent *e =
            readdir(d); /* NOLINT(concurrency-mt-unsafe): the stream is ours alone */
        uint64_t at_ms = 0;
        if (!e) {
            break;
        }
        if (!saved_at(str_of(e->d_name), &at_ms) || now_ms < at_ms || now_ms - at_ms < a->keep_ms) {
            continue;
        }
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", a->dir, e->d_name);
        if (unlink(path) == 0) {
            LOG_INFO("server", "archive_removed", "path=%s", path);
        }
    }
    (void)closedir(d);
}

static void job_free(struct list *link)
{
    struct job *j = LIST_ENTRY(link, struct job, link);
    mem_free(j->entries);
    mem_free(j);
}

/* On the loop. */
static void deliver(void *ctx)
{
    struct archiver *a = ctx;
    pthread_mutex_lock(&a->lock);
    a->is_posted = false;
    for (struct list *l = list_pop_front(&a->finished); l; l = list_pop_front(&a->finished)) {
        pthread_mutex_unlock(&a->lock);
        const struct job *j = LIST_ENTRY(l, struct job, link);
        a->done(a->ctx, j->ticket, j->err);
        job_free(l);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
}

static void *archiver_main(void *ctx)
{
    struct archiver *a = ctx;
    sweep(a);
    struct timespec next_sweep = cond_after_ms(SWEEP_MS);
    pthread_mutex_lock(&a->lock);
    for (;;) {
        struct list *first = list_pop_front(&a->jobs);
        if (!first && a->is_ending) {
            break;
        }
        if (!first) {
            if (!cond_wait_until(&a->wake, &a->lock, &next_sweep)) {
                pthread_mutex_unlock(&a->lock);
                sweep(a);
                next_sweep = cond_after_ms(SWEEP_MS);
                pthread_mutex_lock(&a->lock);
            }
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        struct job *j = LIST_ENTRY(first, struct job, link);
        j->err = job_write(a, j);
        pthread_mutex_lock(&a->lock);
        list_push_back(&a->finished, first);
        while (!a->is_posted && !a->is_ending) {
            a->is_posted = loop_post(a->loop, deliver, a);
            if (!a->is_posted) { /* the loop is far behind, which passes */
                pthread_mutex_unlock(&a->lock);
                (void)sched_yield();
                pthread_mutex_lock(&a->lock);
            }
        }
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct archiver *archiver_new(struct loop *loop, const char *dir, region_id self, uint64_t keep_ms,
                              void (*done)(void *ctx, uint64_t ticket, enum err err), void *ctx)
{
    struct archiver *a = MEM_NEW(struct archiver);
    a->loop = loop;
    a->dir = mem_strdup(dir);
    a->self = self;
    a->keep_ms = keep_ms;
    a->done = done;
    a->ctx = ctx;
    list_init(&a->jobs);
    list_init(&a->finished);
    pthread_mutex_init(&a->lock, NULL);
    cond_init(&a->wake);
    int failed = pthread_create(&a->thread, NULL, archiver_main, a);
    ASSERT(failed == 0);
    return a;
}

void archiver_free(struct archiver *a)
{
    if (!a) {
        return;
    }
    pthread_mutex_lock(&a->lock);
    a->is_ending = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    for (struct list *l = list_pop_front(&a->finished); l; l = list_pop_front(&a->finished)) {
        job_free(l);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->wake);
    mem_free(a->dir);
    mem_free(a);
}

void archiver_save(struct archiver *a, pid p, struct str entries, uint64_t ticket)
{
    struct job *j = MEM_NEW(struct job);
    j->p = p;
    j->ticket = ticket;
    j->entries = mem_dup(entries.p, entries.n);
    j->size = entries.n;
    pthread_mutex_lock(&a->lock);
    list_push_back(&a->jobs, &j->link);
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

enum err archive_parse(struct str file, struct archive *ret, struct errinfo *ei)
{
    struct rd r = rd_of(file);
    uint32_t magic = rd_u32(&r);
    uint32_t version = rd_u32(&r);
    struct archive ar = {.region = (region_id)rd_u32(&r)};
    uint32_t crc = rd_u32(&r);
    ar.pid = rd_u64(&r);
    uint64_t size = rd_u64(&r);
    if (r.bad || magic != ARCHIVE_MAGIC) {
        return err_set(ei, ERR_CORRUPT, "this is no archive of a region");
    }
    if (version != ARCHIVE_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "the archive has version %" PRIu32 ", known is %d",
                       version, ARCHIVE_VERSION);
    }
    if (size != r.n) {
        return err_set(ei, ERR_CORRUPT, "the archive is cut off, or longer than it says");
    }
    ar.entries = rd_bytes(&r, r.n);
    if (crc32c(0, ar.entries.p, ar.entries.n) != crc) {
        return err_set(ei, ERR_CORRUPT, "the archive's checksum is wrong");
    }
    *ret = ar;
    return OK;
}
