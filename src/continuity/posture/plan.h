/* Topology planning: what has to exist, and what has to be done in which order, to move an estate from
 * one region to another. A checklist; nothing is carried out.
 *
 * Everything lives in the plan's arena and points into the report and its estate, which live longer. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "continuity/posture/report.h"

enum { PLAN_VERSION = 1 }; /* of the JSON form */

enum plan_phase {
    PLAN_PREPARE, /* once, long before: what must exist */
    PLAN_BEFORE,  /* regularly, or right before a planned move */
    PLAN_DURING,
    PLAN_AFTER,
    PLAN_PHASE_COUNT,
};
const char *plan_phase_name(enum plan_phase phase); /* "prepare" */

struct plan_step {
    enum plan_phase phase;
    unsigned rank;                    /* order inside the phase */
    const struct estate_asset *asset; /* NULL: of the whole estate */
    struct str text;
    struct str who; /* "nobody named" where the estate names none */
    bool is_manual; /* by hand; else somebody's automation or provider does it */
};

/* What a move means for one asset. */
struct plan_asset {
    const struct report_asset *asset;
    enum estate_topology topology;
    bool topology_is_stated;
    struct str placement;  /* what must exist where */
    struct str replicates; /* who replicates, and how */
    struct str residual;   /* still lost if ... */
    double copies_from;    /* copies of its data today */
    double copies_to;      /* with the plan carried out */
    struct str cost;       /* what the further copies cost, as far as the sources say */
    struct figure rto;     /* estimated, once the plan is carried out */
    struct figure rpo;
    bool is_useless; /* the failover takes as long as the mean outage that it answers, or longer */
    double outage_min; /* that mean outage; 0 when it is not known */
};

struct plan {
    struct arena arena;
    const struct report *report;
    struct str from;
    struct str to;
    struct str pair_note;      /* about the choice of the second region */
    struct plan_asset *assets; /* those whose primary region is `from` */
    size_t asset_count;
    struct plan_step *steps; /* by phase and rank, then as in the file */
    size_t step_count;
    double copies_from;
    double copies_to;
};

/* ERR_USAGE: a region that the estate does not have, or the same twice. */
enum err plan_build(const struct report *r, struct str from, struct str to, struct plan **ret,
                    struct errinfo *ei) MUST_CHECK;
void plan_free(struct plan *p);
void plan_write_markdown(const struct plan *p, struct buf *out);
void plan_write_json(const struct plan *p, struct buf *out);
