/* Diverged suffixes, saved outside the log before it is cut (geo-semantics 7.3 step 5): one file
 * per partition and time in DIR, kept until an operator removes it (`holdfast conflicts export`
 * reads it). Format: doc/format/archive.md. Writing and syncing happen on a thread of its own. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "net/loop.h"

struct archiver;
struct archiver *archiver_new(struct loop *loop, const char *dir, region_id self,
                              void (*done)(void *ctx, uint64_t ticket, enum err err), void *ctx);
/* Waits until everything is written; the loop must not run any more: nobody is told. */
void archiver_free(struct archiver *a);
void archiver_save(struct archiver *a, pid p, struct str entries, uint64_t ticket);
