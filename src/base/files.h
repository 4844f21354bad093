/* Small whole-file helpers for configuration, secrets and ready files. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* Like mkdir -p, mode 0700. */
enum err files_mkdirs(const char *path, struct errinfo *ei) MUST_CHECK;
/* Reads all of it into `out` (ERR_LIMIT past its cap, ERR_NOT_FOUND, ERR_IO). */
enum err files_read(const char *path, struct buf *out, struct errinfo *ei) MUST_CHECK;
/* The one secret that a file holds, without blanks around it and with a NUL behind it; it may hold
 * others. ERR_CONFIG: it is empty; ERR_LIMIT: the file is larger; else as files_read. */
enum { FILES_SECRET_SIZE = 256 + 1 };
enum err files_read_secret(const char *path, char ret[FILES_SECRET_SIZE], size_t *ret_n,
                           struct errinfo *ei) MUST_CHECK;
/* Writes to a temporary name, syncs, renames, syncs the folder: old or new, never half. */
enum err files_write_durable(const char *path, struct str text, mode_t mode,
                             struct errinfo *ei) MUST_CHECK;
/* What was created, renamed or removed in a folder is on the disk. On failure errno is kept. */
enum err files_sync_dir(const char *path, struct errinfo *ei) MUST_CHECK;
/* Removes a folder and everything below it, not following links. First error, after trying all. */
enum err files_remove_tree(const char *path);
