/* The coordinator's secret: the bearer token of every request to it, and where the key of its
 * `listen-tls` comes from (net/tls.h). Servers, fronts and the coordinator read it from a file, and
 * follow that file while they run, so that it can be changed under load.
 *
 * The file has one secret a line, one or two of them. The first is the one that is presented; a second
 * one is accepted as well, while the secret is being changed: `old`, then `old new`, `new old`, `new`,
 * each everywhere before the next (doc/operate, "Changing secrets"). Blanks around a secret and empty
 * lines do not count.
 *
 * Secrets are in their files, in `struct coord_secrets` and in what is derived of it; no message holds
 * any of one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

enum {
    COORD_SECRETS_MAX = 2,
    COORD_SECRET_SIZE_MAX = 256, /* bytes */
    COORD_SECRET_FILE_SIZE_MAX = 1024,
    COORD_SECRET_LOOK_MS = 5 * 1000, /* between looks at the file */
    COORD_SECRET_SETTLE_MS = 1000,   /* a change is believed when it is still there */
};
/* The last two as variables, for the tests. */
extern unsigned coord_secret_look_ms, coord_secret_settle_ms;

/* count is 1 or 2, or 0 where nothing was given yet. To be zeroed by coord_secrets_done. */
struct coord_secrets {
    size_t count;
    struct {
        size_t size;
        char text[COORD_SECRET_SIZE_MAX];
    } list[COORD_SECRETS_MAX];
};

/* `text` as in the file. ERR_CONFIG, a sentence without any of the text: no secret, more than two,
 * the same one twice, a NUL or carriage return inside (it could not be sent in a header). ERR_LIMIT:
 * one is too long. */
enum err coord_secrets_parse(struct str text, struct coord_secrets *ret,
                             struct errinfo *ei) MUST_CHECK;
/* The same for a file, which the error names. Also ERR_NOT_FOUND, ERR_IO, and
 * ERR_LIMIT for a file above COORD_SECRET_FILE_SIZE_MAX. */
enum err coord_secrets_read(const char *path, struct coord_secrets *ret,
                            struct errinfo *ei) MUST_CHECK;
/* One that needs no file; 1 to COORD_SECRET_SIZE_MAX bytes. */
struct coord_secrets coord_secrets_of(struct str secret);
struct str coord_secret(const struct coord_secrets *s, size_t i); /* i < count */
bool coord_secrets_are_same(const struct coord_secrets *a, const struct coord_secrets *b);
/* Which of them `given` is, or COORD_SECRETS_MAX. Takes the same time for all that have its size. */
size_t coord_secrets_find(const struct coord_secrets *s, struct str given);
void coord_secrets_done(struct coord_secrets *s); /* zeroes it */

/* Follows a file, from the secrets that were read of it. */
struct coord_secret_file;
/* `changed` gets what the file has now, when it differs; on a thread of its own, never twice at a time.
 * False: try again later (the owner has logged why). `path` is copied. */
typedef bool coord_secrets_changed(void *ctx, const struct coord_secrets *now);
enum err coord_secret_file_new(const char *path, const struct coord_secrets *known,
                               coord_secrets_changed *changed, void *ctx,
                               struct coord_secret_file **ret, struct errinfo *ei) MUST_CHECK;
void coord_secret_file_free(struct coord_secret_file *f); /* waits for `changed`; NULL is ignored */
/* Soon, changed or not (a signal asked for it), or only when it has changed (somebody was refused).
 * Any thread but that of `changed`. */
void coord_secret_file_reread(struct coord_secret_file *f);
void coord_secret_file_look(struct coord_secret_file *f);
