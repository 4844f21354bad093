/* Watching files for replacement. See file_watch.h.
 *
 * Two locks: `reading` is held while the files are looked at and taken, `lock` only around the wishes
 * of others, so that who asks never waits for a disk. `reading` is taken before `lock`. */
#include "base/file_watch.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cond.h"
#include "base/contract.h"
#include "base/mem.h"

/* One state of the files; zeros where there is none. */
struct stamp {
    struct {
        uint64_t device, inode, size;
        int64_t changed_ns;
    } files[FILE_WATCH_MAX];
};

struct file_watch {
    struct file_watch_opts opts; /* paths are owned */
    pthread_t thread;
    bool is_started;
    pthread_mutex_t reading; /* one reads at a time; guards the stamps */
    struct stamp used;       /* taken */
    struct stamp seen;       /* at the last look */
    struct stamp refused;    /* not taken, and its owner was told */
    pthread_mutex_t lock;    /* guards what is below */
    pthread_cond_t changed;
    bool is_asked;
    enum file_watch_ask asked;
    bool is_ending;
};

static struct stamp stamp_of(const struct file_watch *w)
{
    struct stamp ret;
    memset(&ret, 0, sizeof(ret)); /* compared whole */
    for (int i = 0; i < FILE_WATCH_MAX; i++) {
        struct stat st;
        if (w->opts.paths[i] != NULL && stat(w->opts.paths[i], &st) == 0) {
            ret.files[i].device = (uint64_t)st.st_dev;
            ret.files[i].inode = (uint64_t)st.st_ino;
            ret.files[i].size = (uint64_t)st.st_size;
            ret.files[i].changed_ns =
                (int64_t)st.st_ctim.tv_sec * 1000000000 + (int64_t)st.st_ctim.tv_nsec;
        }
    }
    return ret;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* True: the files are not at rest, look again soon. */
static bool look(struct file_watch *w, bool is_forced, bool waits_for_rest)
{
    (void)pthread_mutex_lock(&w->reading);
    struct stamp now = stamp_of(w);
    bool is_moving = waits_for_rest && !is_same(&now, &w->seen);
    w->seen = now;
    if (is_forced || (!is_moving && !is_same(&now, &w->used))) {
        is_moving = false;
        bool is_news = is_forced || !is_same(&now, &w->refused);
        *(w->opts.take(w->opts.ctx, is_news) ? &w->used : &w->refused) = now;
    }
    (void)pthread_mutex_unlock(&w->reading);
    return is_moving;
}

static void *watch(void *ctx)
{
    struct file_watch *w = (struct file_watch *)ctx;
    unsigned wait_ms = *w->opts.look_ms;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->is_ending) {
        struct timespec deadline = cond_after_ms(wait_ms);
        while (!w->is_ending && !w->is_asked && cond_wait_until(&w->changed, &w->lock, &deadline)) {
        }
        bool is_asked = w->is_asked;
        bool is_forced = is_asked && w->asked == FILE_WATCH_ALWAYS;
        w->is_asked = false;
        if (!w->is_ending) {
            (void)pthread_mutex_unlock(&w->lock);
            bool is_moving = look(w, is_forced, /* waits_for_rest: */ !is_asked);
            wait_ms = is_moving ? *w->opts.settle_ms : *w->opts.look_ms;
            (void)pthread_mutex_lock(&w->lock);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

struct file_watch *file_watch_new(const struct file_watch_opts *opts)
{
    ASSERT(opts->paths[0] != NULL && opts->take != NULL);
    struct file_watch *w = MEM_NEW(struct file_watch);
    w->opts = *opts;
    for (int i = 0; i < FILE_WATCH_MAX && opts->paths[i] != NULL; i++) {
        w->opts.paths[i] = mem_strdup(opts->paths[i]);
    }
    (void)pthread_mutex_init(&w->reading, NULL); /* cannot fail, nor what follows */
    (void)pthread_mutex_init(&w->lock, NULL);
    cond_init(&w->changed);
    w->seen = w->used = stamp_of(w);
    return w;
}

enum err file_watch_start(struct file_watch *w, struct errinfo *ei)
{
    ASSERT(!w->is_started);
    int rc = pthread_create(&w->thread, NULL, watch, w);
    if (rc != 0) {
        return err_set(ei, ERR_IO, "start the thread that watches %s: %s", w->opts.paths[0],
                       err_errno_text(rc));
    }
    w->is_started = true;
    return OK;
}

void file_watch_free(struct file_watch *w)
{
    if (w == NULL) {
        return;
    }
    if (w->is_started) {
        (void)pthread_mutex_lock(&w->lock);
        w->is_ending = true;
        (void)pthread_cond_signal(&w->changed);
        (void)pthread_mutex_unlock(&w->lock);
        (void)pthread_join(w->thread, NULL);
    }
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_mutex_destroy(&w->lock);
    (void)pthread_mutex_destroy(&w->reading);
    for (int i = 0; i < FILE_WATCH_MAX; i++) {
        mem_free((void *)(uintptr_t)w->opts.paths[i]); /* our copy */
    }
    mem_free(w);
}

void file_watch_ask(struct file_watch *w, enum file_watch_ask what)
{
    (void)pthread_mutex_lock(&w->lock);
    w->asked = w->is_asked && w->asked == FILE_WATCH_ALWAYS ? FILE_WATCH_ALWAYS : what;
    w->is_asked = true;
    (void)pthread_cond_signal(&w->changed);
    (void)pthread_mutex_unlock(&w->lock);
}

void file_watch_look(struct file_watch *w)
{
    (void)look(w, /* is_forced: */ false, /* waits_for_rest: */ false);
}

bool file_watch_is_refused(struct file_watch *w)
{
    (void)pthread_mutex_lock(&w->reading);
    struct stamp now = stamp_of(w);
    bool ret = is_same(&now, &w->refused);
    (void)pthread_mutex_unlock(&w->reading);
    return ret;
}
