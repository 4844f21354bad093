/* The coordinator's durable file (doc/format/coordinator.md): loads a store from it, then appends
 * records on a thread of its own, so that a slow disk delays durable changes and nothing else.
 *
 * journal_reserve, journal_append and journal_rewrite belong to one thread, the store's. */
#pragma once

#include "coord/builtin/store.h"

enum {
    JOURNAL_REWRITE_SIZE = 4 << 20, /* replaced by a snapshot above this */
    JOURNAL_RESERVE_SIZE = 1 << 20, /* disk space taken ahead at a time */
};

struct journal;

struct journal_events {
    void *ctx;
    /* Everything appended up to sequence number `seq` is durable. On the journal's thread. */
    void (*durable)(void *ctx, uint64_t seq);
    /* A write or sync failed: what the file holds is unknown. On the journal's thread; must not
     * return to a state in which anything is answered: end the process. */
    void (*failed)(void *ctx, const char *why);
};

/* Locks `dir` (made when absent) and feeds the file, if any, to `store`, which is then recovered.
 * ERR_IN_USE, ERR_CORRUPT, ERR_FORMAT_NEWER, ERR_IO, ERR_DISK_FULL. */
enum err journal_open(const char *dir, struct coord_store *store,
                      const struct journal_events *events, struct journal **ret,
                      struct errinfo *ei) MUST_CHECK;
/* Only a look: calls fn for each durable key below prefix, in key order. Changes nothing and needs no
 * lock (a running coordinator may be appending: its last records may be missing). ERR_NOT_FOUND,
 * ERR_CORRUPT, ERR_FORMAT_NEWER, ERR_IO. */
enum err journal_look(const char *dir, struct str prefix,
                      void (*fn)(void *ctx, const struct coord_kv *kv), void *ctx,
                      struct errinfo *ei) MUST_CHECK;
/* Writes out what was appended, then closes. */
void journal_close(struct journal *j);

/* Makes sure `n` more bytes of records fit on the disk. ERR_DISK_FULL: they may not; append nothing. */
enum err journal_reserve(struct journal *j, size_t n, struct errinfo *ei) MUST_CHECK;
/* Queues one record; returns its sequence number. The space was reserved. */
uint64_t journal_append(struct journal *j, struct str record);
/* Is it time to replace the file? Then journal_rewrite with a snapshot of the store as it is now. */
bool journal_wants_rewrite(const struct journal *j);
void journal_rewrite(struct journal *j, struct str snapshot);
uint64_t journal_size(const struct journal *j); /* bytes of the file, for metrics */
uint64_t journal_sync_count(const struct journal *j);
