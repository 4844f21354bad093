/* Faults that a drill can put on one region of an account on this machine. Blocking calls, a few
 * milliseconds each: drills make them from their loop. */
#pragma once

#include <sys/types.h>

#include "continuity/client.h"
#include "continuity/drill/drill.h"

enum { FAULT_REGIONS_MAX = 32 };

struct fault;
typedef enum err fault_act(struct fault *f, struct errinfo *ei);

/* What each fault is: how it is put on a region, and what a drill has to know of it. The table is in fault.c;
 * nobody else in this folder asks which fault it is, but for what the report says of each. */
struct fault_kind {
    const char *name;
    unsigned hold_ms;                 /* when nothing else is said */
    fault_act *prepare, *begin, *end; /* NULL = nothing to do */
    const char *mode;                 /* links and disks: what they are told */
    unsigned settle_ms;               /* when nothing else is said; 0 = the usual */
    /* What an operator asks the account for, in place of begin and end; NULL = nothing. */
    const char *ask_begin, *ask_end;
    bool asks_for_next;  /* ... for the region that is next to write, not for the one under fault */
    const char *healed;  /* what is told when it ends; NULL = nothing */
    bool heals_itself;   /* as a killed server, which its supervisor starts again at once */
    bool needs_writer;   /* the region under fault has to be the writer */
    bool is_held;        /* writes may go on all the while: the hold time decides */
    bool is_unconfirmed; /* the writer may be replaced without a confirmed stop */
    bool is_repeated;    /* flap: fault_flap, again and again */
    bool has_second;     /* double: fault_second */
    bool removes_region;
    bool takes_coordinator;
    bool spoils_partition; /* fault_find_partition before it begins */
};
const struct fault_kind *fault_kind(enum drill_fault f);

struct fault_region {
    char name[64];
    char endpoint[256];
    pid_t server; /* 0 = not looked for */
};

struct fault {
    const struct fault_kind *kind;
    const struct client_account *account;
    char region[64];
    unsigned disk_delay_ms; /* slow-disk */
    unsigned link_delay_ms; /* between regions, while the drill lasts; 0 = none */
    size_t region_count;
    struct fault_region regions[FAULT_REGIONS_MAX]; /* all of the account */
    pid_t coordinator;                              /* coordinator-kill */
    uint64_t partition;                             /* corrupt */
    bool has_turned_on; /* corrupt: automatic failover of partitions, which was off */
};

/* Finds what it needs, sets the link delays, and refuses what cannot work here: a process that is not
 * ours, links that do not go through the fault proxy. */
enum err fault_prepare(struct fault *f, struct errinfo *ei) MUST_CHECK;
/* corrupt: the container's first partition, as the region under fault names it. */
enum err fault_find_partition(struct fault *f, const char *container,
                              struct errinfo *ei) MUST_CHECK;
enum err fault_begin(struct fault *f, struct errinfo *ei) MUST_CHECK;
/* What the fault took away for the account as a whole is there again: the coordinator's next process. */
bool fault_is_replaced(const struct fault *f);
enum err fault_end(struct fault *f, struct errinfo *ei) MUST_CHECK;
/* double: the region that is taking over is killed, too. */
enum err fault_second(struct fault *f, const char *region, struct errinfo *ei) MUST_CHECK;
/* flap: the links go away and come back. */
enum err fault_flap(struct fault *f, bool is_down, struct errinfo *ei) MUST_CHECK;
/* Takes the link delays away again; corrupt: puts the account's setting back, and what is not repaired is
 * readable again. */
enum err fault_done(struct fault *f, struct errinfo *ei) MUST_CHECK;
