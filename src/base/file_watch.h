/* Notices that small files have been replaced: certificates, secrets.
 *
 * The files are looked at every `look_ms`, and when somebody asks, by a thread of the watch's own: a
 * file system that hangs holds nobody else up. A file is known by its inode, size and time of change,
 * through symbolic links: the ways in which certbot, cert-manager and cp replace one all differ in
 * that. Found by itself, a change is believed when the files have not changed since the last look, so
 * that nobody reads a file half-way, or one beside the former other; asked to, we read at once.
 *
 * Reading is the owner's (`take`). What it refuses is offered again at every look, and `is_news` is
 * true for the first refusal of each state of the files and whenever somebody asked: one line in the
 * log each. */
#pragma once

#include <stdbool.h>

#include "base/err.h"

enum { FILE_WATCH_MAX = 2 };

struct file_watch;
struct file_watch_opts {
    const char *paths[FILE_WATCH_MAX]; /* copied; NULL behind the last */
    /* Read at each wait, for the tests. Pointers outlive the watch. */
    const unsigned *look_ms;
    const unsigned *settle_ms; /* until the second look at a change */
    /* True: the files are in use now. One call at a time, on the watch's thread or in
     * file_watch_look. */
    bool (*take)(void *ctx, bool is_news);
    void *ctx;
};
/* The files as they are when it is called count as taken: read them after it, then start. */
struct file_watch *file_watch_new(const struct file_watch_opts *opts);
/* From here on `take` may be called. ERR_IO: no thread to be had. */
enum err file_watch_start(struct file_watch *w, struct errinfo *ei) MUST_CHECK;
void file_watch_free(struct file_watch *w); /* waits for a `take` in progress; NULL is ignored */

/* The rest is for any thread, but not for `take`. */
enum file_watch_ask {
    FILE_WATCH_IF_CHANGED, /* without waiting for rest */
    FILE_WATCH_ALWAYS,     /* changed or not: somebody sent a signal */
};
void file_watch_ask(struct file_watch *w, enum file_watch_ask what); /* soon, on its thread */
void file_watch_look(struct file_watch *w);       /* here and now, if they have changed */
bool file_watch_is_refused(struct file_watch *w); /* what is there now was refused */
