/* Inside of parts.c, parts_lease.c, parts_decide.c and parts_admit.c. */
#pragma once

#include "account/region_int.h"
#include "base/contract.h"

static inline const struct record_override *parts_row(const struct region *r,
                                                      const struct part_ctl *c)
{
    const struct record_override *o = record_override(r->rec, c->pid);
    ASSERT(o != NULL);
    return o;
}

static inline struct partition *parts_part(const struct region *r, const struct part_ctl *c)
{
    return repl_find(r->repl, c->pid);
}

static inline bool parts_acts_as_writer(const struct part_ctl *c)
{
    return c->role == PROLE_WRITER || c->role == PROLE_HOLDING;
}

static inline bool parts_is_online(const struct account_record *rec, region_id id)
{
    const struct record_region *g = record_region_const(rec, id);
    return g != NULL && (g->state == REGION_ONLINE_READ || g->state == REGION_ONLINE_WRITE);
}

/* ---- parts_lease.c ---- */
/* Of the account record; see members_token_version. Notes in `c` what was shown. */
uint64_t parts_token_version(const struct region *r, struct part_ctl *c,
                             const struct record_override *o);
/* Nobody acknowledges under the row's newest epoch any more. */
bool parts_holder_is_over(const struct region *r, const struct part_ctl *c,
                          const struct record_override *o);

/* ---- parts_decide.c ---- */
bool parts_says_unsound(const struct member *m, pid p); /* by its heartbeat */

/* ---- parts_repair.c; true: a change of the record is under way ---- */
bool parts_ask_repair(struct region *r);
bool parts_end_repair(struct region *r, const struct part_ctl *c, const struct record_override *o);
