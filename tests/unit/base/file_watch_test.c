/* Which changes of files are believed when, and what is told about those that are refused. */
#include "base/file_watch.c"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/files.h"
#include "lib/t.h"

static char paths[FILE_WATCH_MAX][4096];
static const unsigned never_ms = 3600 * 1000;
static const unsigned soon_ms = 1;

static struct {
    atomic_bool refuses;
    atomic_uint taken, refused, news;
} w;

static bool take_it(void *ctx, bool is_news)
{
    t_check(ctx == &w);
    (void)atomic_fetch_add(&w.news, is_news);
    bool refuses = atomic_load(&w.refuses);
    (void)atomic_fetch_add(refuses ? &w.refused : &w.taken, 1);
    return !refuses;
}

static void put(int i)
{
    static unsigned count;
    char text[32];
    (void)snprintf(text, sizeof(text), "%u", count++);
    t_ok(files_write_durable(paths[i], str_of(text), 0600, NULL)); /* another inode */
}

static struct file_watch *open_watch(const unsigned *look_ms, int count)
{
    memset(&w, 0, sizeof(w));
    for (int i = 0; i < FILE_WATCH_MAX; i++) {
        (void)snprintf(paths[i], sizeof(paths[i]), "%s/%d", t_tmp_dir(), i);
        put(i);
    }
    struct file_watch_opts opts = {.paths = {paths[0], count > 1 ? paths[1] : NULL},
                                   .look_ms = look_ms,
                                   .settle_ms = &soon_ms,
                                   .take = take_it,
                                   .ctx = &w};
    return file_watch_new(&opts);
}

T_TEST("a change is believed at the second look that finds it, of either file")
{
    struct file_watch *f = open_watch(&never_ms, 2);
    for (unsigned i = 0; i < 2; i++) {
        t_check(!look(f, false, true));
        put((int)i);
        t_check(look(f, false, true));
        put((int)i); /* and again: still moving */
        t_check(look(f, false, true));
        t_eq_u64(atomic_load(&w.taken), i);
        t_check(!look(f, false, true));
        t_eq_u64(atomic_load(&w.taken), i + 1);
        t_check(!look(f, false, true));
        t_eq_u64(atomic_load(&w.taken), i + 1);
    }
    file_watch_free(f);
}

T_TEST("a refused state of the files is offered at each look and is news once, or when asked about")
{
    struct file_watch *f = open_watch(&never_ms, 1);
    atomic_store(&w.refuses, true);
    t_check(!file_watch_is_refused(f));
    put(0);
    for (unsigned i = 1; i <= 3; i++) {
        file_watch_look(f);
        t_eq_u64(atomic_load(&w.refused), i);
        t_eq_u64(atomic_load(&w.news), 1);
    }
    t_check(file_watch_is_refused(f));
    t_check(!look(f, /* is_forced= */ true, false));
    t_eq_u64(atomic_load(&w.news), 2);
    t_check(unlink(paths[0]) == 0); /* gone is a state as well */
    file_watch_look(f);
    t_eq_u64(atomic_load(&w.news), 3);
    atomic_store(&w.refuses, false);
    put(0);
    file_watch_look(f);
    t_eq_u64(atomic_load(&w.taken), 1);
    t_check(!file_watch_is_refused(f));
    file_watch_free(f);
}

static void until(const atomic_uint *count, unsigned want)
{
    while (atomic_load(count) < want) {
        (void)sched_yield(); /* until the test's time is up */
    }
}

T_TEST("asked, the thread looks at once: always, or only at what has changed")
{
    struct file_watch *f = open_watch(&never_ms, 1);
    t_ok(file_watch_start(f, NULL));
    file_watch_ask(f, FILE_WATCH_IF_CHANGED);
    file_watch_ask(f, FILE_WATCH_ALWAYS);
    file_watch_ask(f, FILE_WATCH_IF_CHANGED); /* does not make the other one less */
    until(&w.taken, 1);
    put(0);
    file_watch_ask(f, FILE_WATCH_IF_CHANGED);
    until(&w.taken, 2);
    file_watch_free(f);
    t_eq_u64(atomic_load(&w.taken), 2);
}

T_TEST("by itself the thread finds what has changed")
{
    struct file_watch *f = open_watch(&soon_ms, 2);
    t_ok(file_watch_start(f, NULL));
    for (unsigned i = 1; i <= 5; i++) {
        put((int)(i % 2));
        until(&w.taken, i);
    }
    file_watch_free(f);
    t_eq_u64(atomic_load(&w.taken), 5);
    file_watch_free(NULL);
}

T_MAIN()
