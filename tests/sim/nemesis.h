/* What goes wrong, and who repairs it: random faults, the supervisor that restarts processes, and
 * operators. Scenarios use the same hands. */
#pragma once

#include "sim/node.h"
#include "sim/world.h"

struct nemesis;
struct nemesis *nemesis_new(struct world *w);
void nemesis_free(struct nemesis *m);
void nemesis_start(struct world *w); /* random faults, until healed */
/* Ends all faults: the liveness phase begins. May keep one region down for ever (w->dead_mask)
 * when the rest ought to be enough. */
void nemesis_heal(struct world *w, bool may_keep_dead);

/* The supervisor's orders: what happens after a process has ended. */
struct supervision {
    bool is_scripted; /* else drawn each time */
    bool restarts;
    usec restart_us;
    bool confirms_stop;
    usec confirm_us;
};
void nemesis_supervise(struct world *w, region_id id, const struct supervision *s);
void nemesis_process_ended(struct world *w, struct node *n, uint64_t incarnation);

/* Hands, also for scenarios. A region is cut from places in `mask` (bit 0: the coordinator). */
enum cut_direction { CUT_BOTH, CUT_OUT, CUT_IN };
void nemesis_cut(struct world *w, region_id id, uint32_t mask, enum cut_direction d, bool is_cut);
void nemesis_cut_clients(struct world *w, region_id id, bool is_cut);
void nemesis_crash(struct world *w, region_id id);
/* Operators; false: refused, or the coordinator did not answer. */
bool nemesis_failover(struct world *w, region_id to);
bool nemesis_offline(struct world *w, region_id id, bool force);
/* Whatever that loses; what must not be lost at the level is not judged from here on. */
bool nemesis_offline_losing(struct world *w, region_id id);
bool nemesis_online(struct world *w, region_id id);
bool nemesis_level(struct world *w, enum consistency level);
bool nemesis_add(struct world *w, region_id id);
bool nemesis_remove(struct world *w, region_id id, bool force);
bool nemesis_prefer(struct world *w, region_id id);
bool nemesis_partition(struct world *w, pid p, region_id to, bool force); /* to 0: it returns */
bool nemesis_diverged(struct world *w, enum diverged_writes value, uint64_t feed_quota);
region_id nemesis_writer(struct world *w); /* by the coordinator's record; 0 = none, unknown */
