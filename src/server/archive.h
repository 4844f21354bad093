/* Diverged suffixes, saved outside the log before it is cut (geo-semantics 7.3 step 5): one file
 * per partition and time in DIR, kept for keep_ms by the wall clock (0: until an operator removes it);
 * `holdfast inspect archive` reads it. Format: doc/format/archive.md. Writing, syncing and removing happen on a
 * thread of its own. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "net/loop.h"

struct archiver;
struct archiver *archiver_new(struct loop *loop, const char *dir, region_id self, uint64_t keep_ms,
                              void (*done)(void *ctx, uint64_t ticket, enum err err), void *ctx);
/* Waits until everything is written; the loop must not run any more: nobody is told. */
void archiver_free(struct archiver *a);
void archiver_save(struct archiver *a, pid p, struct str entries, uint64_t ticket);

struct archive {
    region_id region; /* that saved it */
    pid pid;
    struct str entries; /* back to back, into the file's text */
};
/* Checks all but the entries. ERR_CORRUPT, ERR_FORMAT_NEWER. */
enum err archive_parse(struct str file, struct archive *ret, struct errinfo *ei) MUST_CHECK;
