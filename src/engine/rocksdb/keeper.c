/* See keeper.h. */
#include "engine/rocksdb/keeper.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "base/contract.h"
#include "base/mem.h"

struct keeper {
    void (*work)(void *ctx);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock; /* innermost; guards the next two */
    pthread_cond_t wake;
    bool is_asked;
    bool is_stopping;
};

static void *run(void *arg)
{
    struct keeper *k = (struct keeper *)arg;
    pthread_mutex_lock(&k->lock);
    while (!k->is_stopping) {
        if (!k->is_asked) {
            pthread_cond_wait(&k->wake, &k->lock);
            continue;
        }
        k->is_asked = false;
        pthread_mutex_unlock(&k->lock);
        k->work(k->ctx);
        pthread_mutex_lock(&k->lock);
    }
    pthread_mutex_unlock(&k->lock);
    return NULL;
}

struct keeper *keeper_new(void (*work)(void *ctx), void *ctx)
{
    struct keeper *k = MEM_NEW(struct keeper);
    k->work = work;
    k->ctx = ctx;
    int rc = pthread_mutex_init(&k->lock, NULL);
    ASSERT(rc == 0);
    rc = pthread_cond_init(&k->wake, NULL);
    ASSERT(rc == 0);
    /* Signals are the main thread's. */
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&k->thread, NULL, run, k);
    ASSERT(rc == 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_setname_np(k->thread, "journal"); /* cosmetic */
    return k;
}

void keeper_ask(struct keeper *k)
{
    pthread_mutex_lock(&k->lock);
    k->is_asked = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
}

void keeper_free(struct keeper *k)
{
    if (k == NULL) {
        return;
    }
    pthread_mutex_lock(&k->lock);
    k->is_stopping = true;
    pthread_cond_signal(&k->wake);
    pthread_mutex_unlock(&k->lock);
    int rc = pthread_join(k->thread, NULL);
    ASSERT(rc == 0);
    pthread_cond_destroy(&k->wake);
    pthread_mutex_destroy(&k->lock);
    mem_free(k);
}
