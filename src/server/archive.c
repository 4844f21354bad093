/* Archives of diverged suffixes. See archive.h.
 *
 * Jobs go from the loop to the thread by `jobs` and come back by `finished`; one post brings back
 * whatever has finished until then. */
#include "server/archive.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/crc.h"
#include "base/files.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

enum { ARCHIVE_VERSION = 1 };
#define ARCHIVE_MAGIC UINT32_C(0x52414648) /* "HFAR" */

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
    (void)snprintf(path, sizeof(path), "%s/%016" PRIx64 "-%" PRId64 "-%" PRIu64 ".hfar", a->dir,
                   j->p, clock_wall_ms(), j->ticket);
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
    pthread_mutex_lock(&a->lock);
    for (;;) {
        struct list *first = list_pop_front(&a->jobs);
        if (!first && a->is_ending) {
            break;
        }
        if (!first) {
            pthread_cond_wait(&a->wake, &a->lock);
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

struct archiver *archiver_new(struct loop *loop, const char *dir, region_id self,
                              void (*done)(void *ctx, uint64_t ticket, enum err err), void *ctx)
{
    struct archiver *a = MEM_NEW(struct archiver);
    a->loop = loop;
    a->dir = mem_strdup(dir);
    a->self = self;
    a->done = done;
    a->ctx = ctx;
    list_init(&a->jobs);
    list_init(&a->finished);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->wake, NULL);
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
