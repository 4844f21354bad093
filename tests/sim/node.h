/* One region's machine: its disk (the engine and the queue before it), its clocks, and the process
 * that runs the region core, if one runs.
 *
 * The process handles its mail in rounds, as the server's core thread does: everything that has
 * come in is handed to the core, then region_flush, then every invariant is checked. It may be
 * paused between two pieces of mail, or in the middle of one at a call of the clock or of an output
 * (then everything it does later in that call happens after the pause). A crash loses the mail,
 * the queued batches, and a random part of the batches being written. */
#pragma once

#include "account/region.h"
#include "base/list.h"
#include "sim/world.h"

struct node;
struct op;

/* ---- life ---- */
struct node *node_new(struct world *w, region_id id);
void node_free(struct node *n);
void node_start(struct node *n);
void node_wipe(struct node *n); /* another, empty disk: only while no process runs */
enum stop_kind { STOP_CRASH, STOP_FATAL, STOP_DRAINED };
void node_stop(struct node *n, enum stop_kind kind);
void node_pause(struct node *n, usec duration);
void node_resume(struct node *n);       /* also when the disk let go; ignored when not paused */
void node_reboot_clock(struct node *n); /* the machine restarts: only while no process runs */
void node_wall_jump(struct node *n, int64_t ms);
void node_set_drift(struct node *n, int ppm);

bool node_is_up(const struct node *n);
bool node_is_paused(const struct node *n);
uint64_t node_life(const struct node *n); /* counts processes */
uint64_t node_incarnation(const struct node *n);
struct region *node_region(const struct node *n); /* NULL when no process runs */
struct engine *node_engine(const struct node *n);
bool node_has_part(const struct node *n, pid p); /* its catalog knows the partition */
bool node_may_write_part(struct node *n, pid p);
struct part_view *node_part_view(struct node *n, pid p); /* NULL: the core has none, or no more */
region_id node_id(const struct node *n);
struct world *node_world(const struct node *n);
usec node_boot_us(const struct node *n); /* CLOCK_BOOTTIME there, now */
int64_t node_wall_ms(const struct node *n);
const char *node_region_name(region_id id);

/* ---- traps: stop at an exact point ---- */
enum io_kind {
    IO_NOW = 1 << 0,
    IO_COMMIT = 1 << 1,
    IO_SEND = 1 << 2,
    IO_TXN = 1 << 3,
    IO_REPLY = 1 << 4,
    IO_ARCHIVE = 1 << 5,
    IO_COMMITTED = 1 << 6, /* a batch became durable: before the core hears of it */
    IO_TXN_DONE = 1 << 7,  /* before the core hears the coordinator's answer */
    IO_ALL = (1 << 8) - 1,
};
struct trap {
    unsigned kinds;     /* 0 = not set */
    unsigned countdown; /* fires at this many matching calls */
    bool is_crash;      /* else a pause */
    usec pause_us;
    unsigned role_mask; /* 0 = any; else only while in one of these roles */
};
void node_set_trap(struct node *n, const struct trap *t);
bool node_has_trap(const struct node *n);

/* ---- mail ---- */
void node_post_frame(struct node *n, region_id from, struct str frame);
void node_post_link(struct node *n, region_id peer, bool is_up);
void node_post_kv(struct node *n, const struct coord_kv *kv);
void node_post_coord(struct node *n, bool is_synced);
void node_post_txn_result(struct node *n, uint64_t life, uint64_t ticket,
                          const struct coord_txn_result *res);
void node_post_commit(struct node *n, uint64_t ticket, enum err err);
void node_post_archived(struct node *n, uint64_t ticket, enum err err);
/* Runs fn in the process, in a round, unless the process has ended by then. */
typedef void node_call_fn(struct node *n, void *ctx);
void node_post_call(struct node *n, node_call_fn *fn, void *ctx);
void node_post_drain(struct node *n);

/* ---- client work inside the process ---- */
void node_track(struct node *n, struct op *op); /* told by ledger_process_ended when it ends */
usec node_out_time(const struct node *n);       /* now, or the end of a pause that is on */
usec node_round_time(const struct node *n);     /* when the present call into the core began */

/* ---- disk ---- */
void node_disk_slow(struct node *n, unsigned factor);
void node_disk_fail_next(struct node *n);
void node_disk_set_full(struct node *n, bool is_full);
void node_disk_heal(struct node *n);
usec node_disk_owes(const struct node *n);    /* for how long something has waited to be stored */
bool node_disk_was_bad(const struct node *n); /* a fault was injected in this process's life */
/* Suffixes saved by io->archive, durable ones only. */
size_t node_archive_count(const struct node *n);
