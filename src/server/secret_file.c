/* See secret_file.h. */
#include "server/secret_file.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/contract.h"
#include "base/file_watch.h"
#include "base/log.h"
#include "base/mem.h"

unsigned secret_file_look_ms = SECRET_FILE_LOOK_MS;
unsigned secret_file_settle_ms = SECRET_FILE_SETTLE_MS;

struct secret_file {
    const char *what;
    char *path; /* owned */
    size_t size_min;
    struct file_watch *watch;
    atomic_bool is_news;
    pthread_mutex_t lock; /* of the next two; nothing else is locked meanwhile */
    char text[FILES_SECRET_SIZE];
    size_t size;
};

/* On the watch's thread. */
static bool take(void *ctx, bool is_news)
{
    struct secret_file *f = ctx;
    char text[FILES_SECRET_SIZE] = "";
    size_t size = 0;
    struct errinfo ei = {0};
    enum err err = files_read_secret(f->path, text, &size, &ei);
    if (err == OK && size < f->size_min) {
        err = err_set(&ei, ERR_CONFIG, "%zu bytes are too short, it needs %zu", size, f->size_min);
    }
    if (err != OK && is_news) {
        LOG_ERROR("front", "secret_refused", "what=%s why=%s hint=%s", f->what, ei.message,
                  "the former one holds until the file is right");
    } else if (err == OK) {
        (void)pthread_mutex_lock(&f->lock);
        bool is_changed = !str_eq_secret(str_make(text, size), str_make(f->text, f->size));
        if (is_changed) {
            memcpy(f->text, text, sizeof(f->text));
            f->size = size;
            atomic_store(&f->is_news, true);
        }
        (void)pthread_mutex_unlock(&f->lock);
        if (is_changed) {
            LOG_INFO("front", "secret_taken", "what=%s file=%s", f->what, f->path);
        }
    }
    explicit_bzero(text, sizeof(text));
    return err == OK;
}

enum err secret_file_new(const struct secret_file_opts *o, struct secret_file **ret,
                         struct errinfo *ei)
{
    ASSERT(o->known.n < FILES_SECRET_SIZE && o->size_min < FILES_SECRET_SIZE);
    struct secret_file *f = MEM_NEW(struct secret_file);
    f->what = o->what;
    f->path = mem_strdup(o->path);
    f->size_min = o->size_min;
    f->size = o->known.n;
    memcpy(f->text, o->known.p, o->known.n);
    (void)pthread_mutex_init(&f->lock, NULL);
    struct file_watch_opts opts = {.paths = {o->path},
                                   .look_ms = &secret_file_look_ms,
                                   .settle_ms = &secret_file_settle_ms,
                                   .take = take,
                                   .ctx = f};
    f->watch = file_watch_new(&opts);
    enum err err = file_watch_start(f->watch, ei);
    if (err != OK) {
        secret_file_free(f);
        return err;
    }
    /* It may have changed since it was read. */
    file_watch_ask(f->watch, FILE_WATCH_ALWAYS);
    *ret = f;
    return OK;
}

void secret_file_free(struct secret_file *f)
{
    if (f == NULL) {
        return;
    }
    file_watch_free(f->watch);
    (void)pthread_mutex_destroy(&f->lock);
    mem_free(f->path);
    mem_free_secret(f, sizeof(*f));
}

void secret_file_reread(struct secret_file *f)
{
    if (f != NULL) {
        file_watch_ask(f->watch, FILE_WATCH_ALWAYS);
    }
}

bool secret_file_take(struct secret_file *f, char ret[FILES_SECRET_SIZE], size_t *ret_n)
{
    if (f == NULL || !atomic_load(&f->is_news)) {
        return false;
    }
    (void)pthread_mutex_lock(&f->lock);
    atomic_store(&f->is_news, false);
    memcpy(ret, f->text, sizeof(f->text));
    *ret_n = f->size;
    (void)pthread_mutex_unlock(&f->lock);
    return true;
}
