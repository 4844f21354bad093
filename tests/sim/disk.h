/* A region's disk: batches queue, one group at a time is written and synced, and only then reaches
 * the engine and the core. Part of a node. */
#pragma once

#include "base/buf.h"
#include "engine/engine.h"
#include "sim/node.h"

struct disk_item {
    struct engine_batch *batch; /* owned; NULL: an archive file */
    pid pid;                    /* of the archive, and the entries in it; owned */
    char *entries;
    size_t size;
    uint64_t ticket;
    usec since;
    usec ready_at; /* submitted by a process that was then paused until here */
};

enum { DISK_QUEUE_MAX = 1 << 16, DISK_GROUP_MAX = 64 };

struct disk {
    struct node *node;
    struct disk_item *items; /* owned; [0, writing) is the group on its way to the platter */
    size_t count, cap, writing;
    uint64_t write_seq; /* of the group; a crash makes the pending event stale */
    unsigned slow_factor;
    bool fails_next, is_full;
    bool was_bad;
    size_t archives;
};

void disk_init(struct disk *d, struct node *n);
void disk_done(struct disk *d);
void disk_submit(struct disk *d, struct engine_batch *b, uint64_t ticket, usec ready_at);
void disk_archive(struct disk *d, pid p, struct str entries, uint64_t ticket, usec ready_at);
/* For how long the oldest of what was submitted has not been stored; 0 = all is. */
usec disk_owes(const struct disk *d);
void disk_kick(struct disk *d);   /* start the next group if none is on its way */
void disk_hurry(struct disk *d);  /* as fast as ever again, also for the group that is on its way */
void disk_resume(struct disk *d); /* the process goes on after a pause */
void disk_crash(struct disk *d);  /* the process ended */
