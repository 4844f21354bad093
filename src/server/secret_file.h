/* Follows a file with one secret while the process runs: the webhook's secret, the management token. The file is
 * looked at every SECRET_FILE_LOOK_MS, and when somebody asks (base/file_watch.h). What cannot be read, or is too
 * short, changes nothing: the log says why, once. The secret itself is in no message.
 *
 * The owner asks now and then whether there is news; the rest is for any thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/files.h"
#include "base/str.h"

enum { SECRET_FILE_LOOK_MS = 5000, SECRET_FILE_SETTLE_MS = 1000 };
/* As variables, for the tests. */
extern unsigned secret_file_look_ms, secret_file_settle_ms;

struct secret_file;
struct secret_file_opts {
    const char *what; /* a literal: for the log */
    const char *path; /* copied */
    struct str known; /* as it was read at the start */
    size_t size_min;  /* of a secret; at most FILES_SECRET_SIZE - 1 */
};
/* ERR_IO: no thread to be had. */
enum err secret_file_new(const struct secret_file_opts *o, struct secret_file **ret,
                         struct errinfo *ei) MUST_CHECK;
void secret_file_free(struct secret_file *f);   /* NULL is ignored */
void secret_file_reread(struct secret_file *f); /* soon: a signal asked for it; NULL is ignored */
/* true, once for each change: the secret that holds from now on. NULL: never. */
bool secret_file_take(struct secret_file *f, char ret[FILES_SECRET_SIZE], size_t *ret_n);
