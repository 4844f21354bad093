/* The one report of `holdfast assess`: computed once, rendered as text, JSON, SARIF and HTML.
 *
 * There is no overall score. Recovery is told in four figures for each asset that are never mixed:
 * objective, estimated (from configuration), current (from live lag or the last archived position)
 * and measured (from the last drill or incident).
 *
 * Everything lives in the report's arena and points into the estate, which must live longer.
 * Read-only once built; not thread-safe to build. Building is deterministic: same estate, options
 * and time, same report, in the same order. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "continuity/posture/estate.h"

enum { REPORT_VERSION = 1 }; /* of the JSON form: doc/format/assess-report.md */

/* Greater is worse. */
enum severity {
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL,
    SEVERITY_COUNT,
};
const char *severity_name(enum severity s); /* "critical" */
bool severity_find(struct str name, enum severity *ret);

/* ---- rules ---- */

struct rule_info {
    const char *id; /* "HF-ST-001": stable */
    enum severity severity;
    const char *title;    /* what is wrong when it fires: a phrase */
    const char *expected; /* what should be */
    const char *why;
    const char *remedy;
    const char *sources; /* "S0,S1" */
};
size_t rule_count(void);
const struct rule_info *rule_info(size_t idx);    /* idx < rule_count() */
const struct rule_info *rule_find(struct str id); /* NULL = no such rule */

/* ---- findings ---- */

enum finding_status {
    FINDING_FIRES,
    FINDING_UNKNOWN, /* an attribute that the rule needs is not known */
};

struct report_finding {
    const struct rule_info *rule;
    const struct estate_asset *asset; /* asset, route or runbook; never NULL */
    const struct estate_asset *other; /* the second asset concerned (peer, storage); may be NULL */
    enum finding_status status;
    enum estate_confidence confidence; /* FIRES: KNOWN or INFERRED; UNKNOWN: EV_UNKNOWN */
    struct str observed;               /* "redundancy is lrs, no copy in another region" */
    struct str missing;                /* UNKNOWN: the attributes to state, "redundancy, copy_in" */
    unsigned line;                     /* in the estate file; 0 = none */
    const struct estate_waiver *waiver; /* holds now: does not count; NULL = not waived */
};

enum waiver_state {
    WAIVER_USED,
    WAIVER_EXPIRED, /* what it named counts again */
    WAIVER_UNUSED,  /* nothing to waive: delete it */
};

struct report_waiver {
    const struct estate_waiver *waiver;
    enum waiver_state state;
    size_t finding_count; /* that it covers, or would cover */
};

/* ---- figures ---- */

enum figure_kind {
    FIGURE_NOT_STATED,     /* objective not given, never measured */
    FIGURE_UNKNOWN,        /* cannot be worked out: `how` names what is missing */
    FIGURE_VALUE,          /* ms */
    FIGURE_AT_LEAST,       /* ms or more */
    FIGURE_UNBOUNDED,      /* everything lost, or down until the region returns */
    FIGURE_NOT_APPLICABLE, /* holds no data */
};

const char *figure_kind_name(enum figure_kind k); /* "at_least": as the JSON form says it */

struct figure {
    enum figure_kind kind;
    int64_t ms;
    struct str how; /* formula or origin: "detect 5m + decide 15m + ..."; may be empty */
};

enum figure_source {
    BY_OBJECTIVE,
    BY_ESTIMATE,
    BY_CURRENT,
    BY_MEASUREMENT,
    FIGURE_SOURCE_COUNT,
};
const char *figure_source_name(enum figure_source s); /* "objective" */

/* What happens to an asset when something is lost. Greater is worse. */
enum effect {
    EFFECT_NONE,        /* not touched */
    EFFECT_GOES_ON,     /* touched, goes on by itself without interruption */
    EFFECT_DEGRADED,    /* goes on with less: reads only, no new secrets, less capacity */
    EFFECT_FAILS_OVER,  /* interrupted, comes back by itself */
    EFFECT_UNKNOWN,     /* cannot be told from what is stated */
    EFFECT_NEEDS_HANDS, /* stopped until people carry out steps elsewhere */
    EFFECT_STOPS,       /* stopped until the region or zone returns */
    EFFECT_COUNT,
};
const char *effect_name(enum effect e); /* "goes on" */

struct report_outcome {
    enum effect effect;
    const struct estate_asset *because; /* the dependency that takes it down; NULL = itself */
    struct str why;                     /* a sentence without full stop */
    struct figure loss; /* data lost: up to (VALUE), all (UNBOUNDED), unknown, not applicable */
    struct figure down; /* interruption */
    struct str action;  /* what has to be done; may be empty */
    struct str who;     /* owner who does it; "nobody named" where the estate names none */
};

enum place_role {
    PLACE_PRIMARY,   /* takes writes or serves */
    PLACE_SECONDARY, /* replica or further active region of the same asset */
    PLACE_COPY,      /* geo-redundant copy, backup or copy_in */
};

/* For drawing: one box of an asset in a region. */
struct report_place {
    struct str region; /* normal form; "" = regionless */
    enum place_role role;
    enum estate_tri is_zone_redundant;
};

struct report_asset {
    const struct estate_asset *asset;         /* report.assets[i].asset is estate.assets[i] */
    const struct estate_objective *objective; /* NULL = none */
    enum estate_topology topology;            /* stated, or recommended for its objective */
    bool topology_is_stated;
    bool is_critical_path;
    bool is_stateful;
    const struct estate_asset *peer; /* NULL = none or unknown */
    struct report_place *places;
    size_t place_count;
    struct figure rto[FIGURE_SOURCE_COUNT];
    struct figure rpo[FIGURE_SOURCE_COUNT];
    enum estate_tri meets_rto; /* best of measured, current, estimated against the objective */
    enum estate_tri meets_rpo;
    struct report_outcome today;          /* loss of its primary region, as configured today */
    size_t finding_count[SEVERITY_COUNT]; /* that count (not waived, not unknown) */
    size_t unknown_count;
};

/* Availability composed of SLA figures: refund promises, not probabilities, and never called so. */
struct report_sla {
    const struct estate_asset *asset; /* whose figure it is */
    const char *operation;            /* "write", "read", "all" */
    enum estate_tri is_known;         /* TRI_UNKNOWN: `missing` says which asset has no figure */
    double percent;                   /* 0..100 */
    double downtime_min_per_year;
    struct str formula; /* "99.99 (router) x (1 - (1 - 99.94)^2)" */
    struct str missing;
    struct str note; /* caveats of this figure: shared dependencies, useless failover, sources */
};

enum what_kind {
    WHAT_NOTHING,
    WHAT_REGION,
    WHAT_ZONE,
};

struct report_what_if {
    enum what_kind kind;             /* WHAT_NOTHING: no --lose was given; outcomes is NULL then */
    struct str region;               /* normal form */
    struct str zone;                 /* WHAT_ZONE */
    struct report_outcome *outcomes; /* one for each of report.assets, same order */
    size_t count[EFFECT_COUNT];
};

struct report {
    struct arena arena;
    const struct estate *estate;
    int64_t at_ms; /* the moment it speaks of, wall clock */
    struct report_finding
        *findings; /* that count: FIRES, not waived; worst first, then by file order */
    size_t finding_count;
    struct report_finding *unknowns; /* FINDING_UNKNOWN, not waived */
    size_t unknown_count;
    struct report_finding *waived; /* both kinds, with waiver */
    size_t waived_count;
    struct report_waiver *waivers;
    size_t waiver_count;
    struct report_asset *assets; /* one for each of estate.assets, same order */
    size_t asset_count;
    struct report_sla *slas;
    size_t sla_count;
    struct report_what_if what_if;
    size_t count[SEVERITY_COUNT]; /* of findings */
    size_t objective_count;       /* assets with an RTO or RPO objective */
    size_t objectives_met_count;  /* that meet what they state, known */
    size_t objectives_unknown_count;
    const char *const *caveats; /* sentences that belong under every SLA figure; NULL at the end */
    const struct report_compare *compare; /* with an earlier report (compare.h); NULL = none */
};

struct report_drill { /* a `holdfast drill --json` file, for one asset */
    struct str asset;
    struct str path;
};

struct report_opts {
    int64_t at_ms;                     /* now: ages and expiries are counted to it */
    struct str lose;                   /* "", "region:X" or "zone:X/1" */
    const struct report_drill *drills; /* besides the assets' own drill_reports */
    size_t drill_count;
    const char *dir; /* relative drill_reports start here; NULL = the working directory */
};

/* `e` is finished and outlives the report. ERR_USAGE: --lose names nothing in the estate; errors of
 * reading drill reports. */
enum err report_build(const struct estate *e, const struct report_opts *opts, struct report **ret,
                      struct errinfo *ei) MUST_CHECK;
void report_free(struct report *r);
/* Some finding counts and is of `threshold` or worse. */
bool report_fails(const struct report *r, enum severity threshold);

/* ---- renderings; `out` tells overflow as usual ---- */

struct report_style {
    bool colour;    /* escape sequences */
    unsigned width; /* columns; 0 = 100 */
};
void report_write_text(const struct report *r, const struct report_style *style, struct buf *out);
void report_write_json(const struct report *r, struct buf *out);  /* doc/format/assess-report.md */
void report_write_sarif(const struct report *r, struct buf *out); /* SARIF 2.1.0 */
void report_write_html(const struct report *r, struct buf *out);  /* one self-contained page */

/* "15m", "at least 1h", "unbounded", "unknown", "-". */
void figure_write(struct buf *out, const struct figure *f);
