/* The model of an estate: what a platform consists of, where it is, what it is meant to survive.
 *
 *   struct estate *e = estate_new(STR("platform.tfstate"));
 *   struct estate_asset *a;
 *   TRY_GOTO(estate_add(e, STR("data"), TYPE_STORAGE_ACCOUNT, line, &a, ei), out);
 *   TRY_GOTO(estate_place(e, a, STR("Korea Central"), NULL, ei), out);
 *   estate_set_word(e, a, ATTR_REDUNDANCY, STR("grs"), EV_KNOWN, line);
 *   estate_set_unknown(e, a, ATTR_LAST_SYNC_TIME, STR("state files do not hold it"), line);
 *   TRY_GOTO(estate_finish(e, ESTATE_REFS_MUST_RESOLVE, ei), out);
 *   estate_write_yaml(e, &text);
 *
 * Three things are never mixed up: an attribute that is *known*, one that is *inferred* (a default
 * of the provider, a conclusion from other assets) and one that is *unknown*, which is also what an
 * attribute that nobody set is. Nothing reads an unknown as a good value.
 *
 * Ownership: everything lives in the estate's arena; all setters copy. Not thread-safe to build;
 * read-only after estate_finish(). Errors: ERR_INVALID (with the line), ERR_EXISTS, ERR_LIMIT. A
 * setter with a value type that is not the attribute's, or an attribute that the type does not have
 * (estate_type_has), is our bug and aborts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"

enum {
    ESTATE_TEXT_SIZE_MAX = 64 << 20, /* bytes of an estate file */
    ESTATE_ASSETS_MAX = 100000,      /* routes and runbooks among them */
    ESTATE_REGIONS_MAX = 256,
    ESTATE_OBJECTIVES_MAX = 256,
    ESTATE_WAIVERS_MAX = 10000,
    ESTATE_LIST_MAX = 10000,       /* items of one list attribute, placements, steps */
    ESTATE_STRING_SIZE_MAX = 2048, /* bytes of any text */
    ESTATE_ID_SIZE_MAX = 512,      /* bytes of an id (resource ids of providers are long) */
};

/* ---- tables ---- */

enum estate_value_type {
    VT_BOOL,     /* true, false */
    VT_INT,      /* >= 0 */
    VT_NUMBER,   /* >= 0, may have a fraction */
    VT_PERCENT,  /* 0..100, may have a fraction */
    VT_DURATION, /* milliseconds; written 90s, 15m, 4h, 7d, 250ms, 0 */
    VT_TIME, /* milliseconds since 1970 UTC, or ESTATE_NEVER; written 2026-11-28[T10:00:00Z], never */
    VT_STRING,
    VT_WORD,    /* one of the words of its row */
    VT_WORDS,   /* list of them */
    VT_STRINGS, /* list of texts */
    VT_REGIONS, /* list of region names */
    VT_REF,     /* id of an asset, none, or outside:NAME */
    VT_REFS,    /* list of them */
};

enum estate_attr {
#define ATTR(id, name, type, words, doc) ATTR_##id,
#include "continuity/posture/attrs.def"
#undef ATTR
    ATTR_COUNT,
    ATTR_COMMON_LAST = ATTR_LAST_DRILL, /* ATTR_0..this belong to every type */
};

enum estate_type {
#define TYPE(id, name, title, runs, ha, geo, flags, config, limits, sources, successor) TYPE_##id,
#define HAS(type, attr)
#include "continuity/posture/asset_types.def"
#undef TYPE
#undef HAS
    TYPE_COUNT,
};

/* Flags of a type. */
enum {
    TYPE_STATEFUL = 1,   /* holds data that a region loss could take */
    TYPE_OFF_PATH = 2,   /* not on the critical path unless the estate says so */
    TYPE_REGIONLESS = 4, /* need not be in a region */
    TYPE_COSMOS = 8,     /* regional account with consistency levels: rules HF-CDB */
    TYPE_NETWORK = 16,   /* rule HF-ML-024 */
    TYPE_OPENSCALE = 32, /* rules HF-OS */
};

/* Who runs a service, or who replicates it. */
enum estate_party {
    PARTY_SILENT, /* the sources do not say */
    PARTY_CUSTOMER,
    PARTY_MICROSOFT,
    PARTY_IBM,
    PARTY_PROVIDER,
    PARTY_ORCHESTRATOR,
};

enum estate_ha {
    HA_SILENT,
    HA_NO,
    HA_YES,
    HA_NOT_APPLICABLE,
};

struct estate_type_row {
    const char *name;  /* "storage_account" */
    const char *title; /* "Storage account (Blob, Files, ADLS Gen2)" */
    enum estate_party runs;
    enum estate_ha ha; /* highly available without configuration */
    enum estate_party geo;
    unsigned flags;
    const char *config; /* what must be configured; never NULL */
    const char *limits; /* known limits; may be "" */
    const char *sources;
    const char *successor; /* NULL unless retired */
};

struct estate_attr_row {
    const char *name;
    enum estate_value_type type;
    const char *words; /* separated by blanks; "" unless VT_WORD or VT_WORDS */
    const char *doc;
};

const struct estate_type_row *estate_type_row(enum estate_type type);
const struct estate_attr_row *estate_attr_row(enum estate_attr attr);
bool estate_type_find(struct str name, enum estate_type *ret);
bool estate_attr_find(struct str name, enum estate_attr *ret);
bool estate_type_has(enum estate_type type, enum estate_attr attr);
const char *estate_party_name(enum estate_party party); /* "the customer", "Microsoft" */
const char *estate_value_type_name(enum estate_value_type type);

/* ---- values ---- */

/* What a statement rests on. */
enum estate_confidence {
    EV_UNKNOWN,
    EV_INFERRED,
    EV_KNOWN,
};

#define ESTATE_NEVER INT64_MIN

struct estate_asset;

struct estate_ref {
    struct str id;              /* or the text after "outside:" */
    bool is_outside;            /* exists, but is not in this estate */
    struct estate_asset *asset; /* set by estate_finish(); NULL when outside */
};

struct estate_value {
    enum estate_confidence conf;
    unsigned line;   /* in the source; 0 = none */
    struct str note; /* why it is unknown, or what it was inferred from; may be empty */
    bool is_open;    /* lists: may have more members than are listed (`unknown` among them) */
    bool boolean;
    int64_t integer;         /* VT_INT, VT_DURATION, VT_TIME */
    double number;           /* VT_NUMBER, VT_PERCENT */
    struct str text;         /* VT_STRING, VT_WORD */
    const struct str *items; /* VT_WORDS, VT_STRINGS, VT_REGIONS: `count` of them */
    struct estate_ref *refs; /* VT_REF (count 0 = none, else 1), VT_REFS */
    size_t count;
};

enum estate_tri {
    TRI_UNKNOWN, /* also: not stated */
    TRI_NO,
    TRI_YES,
};

/* ---- the parts ---- */

struct estate_region {
    struct str name; /* normal form: lower case, without blanks */
    unsigned line;
    enum estate_tri has_pair;  /* TRI_UNKNOWN: the table of pairs decides */
    struct str pair;           /* TRI_YES: normal form */
    enum estate_tri has_zones; /* TRI_UNKNOWN: not stated */
    const struct str *zones;   /* "1", "2", "3" */
    size_t zone_count;
    enum estate_tri is_restricted; /* access has to be asked for; TRI_UNKNOWN: the table decides */
    struct str outage_domain;      /* regions with the same one fail together; may be empty */
    int64_t core_quota;            /* virtual cores that may be used there; -1 = not stated */
    bool offers_known;             /* not_offered was given */
    uint64_t not_offered;          /* bit per enum estate_type */
};

/* One region that an asset is in. */
struct estate_placement {
    struct str region; /* normal form */
    unsigned line;
    int64_t priority; /* failover order, 0 = takes writes; -1 = not stated */
    enum estate_tri is_zone_redundant;
    double throughput; /* request units a second, or any unit of capacity; -1 = not stated */
};

enum estate_topology {
    TOPOLOGY_UNSTATED,
    TOPOLOGY_SINGLE,
    TOPOLOGY_BACKUP_ONLY,
    TOPOLOGY_HOT_COLD,
    TOPOLOGY_HOT_WARM,
    TOPOLOGY_HOT_HOT,
};

enum estate_environment {
    ENVIRONMENT_UNSTATED,
    ENVIRONMENT_PRODUCTION,
    ENVIRONMENT_STAGING,
    ENVIRONMENT_DEVELOPMENT,
};

struct estate_objective {
    struct str class_name; /* empty when it belongs to one asset */
    unsigned line;
    int64_t rto_ms;            /* -1 = none stated */
    int64_t rpo_ms;            /* -1 = none stated */
    double availability;       /* percent; -1 = none stated */
    double write_availability; /* percent; -1 = none stated */
    enum estate_topology topology;
};

enum estate_phase {
    PHASE_BEFORE,
    PHASE_DURING,
    PHASE_AFTER,
};

/* Kinds of a runbook's steps (the words of `kind`). */
enum estate_step_kind {
#define STEP(id, name) STEP_##id,
#define ESTATE_STEPS(STEP)                                                                         \
    STEP(CHECK, "check")                                                                           \
    STEP(FREEZE_WRITES, "freeze_writes")                                                           \
    STEP(DRAIN, "drain")                                                                           \
    STEP(PROMOTE, "promote")                                                                       \
    STEP(FENCE, "fence")                                                                           \
    STEP(ROUTE, "route")                                                                           \
    STEP(SCALE, "scale")                                                                           \
    STEP(ESTATE_APPLY, "estate_apply")                                                             \
    STEP(ENABLE_SCHEDULES, "enable_schedules")                                                     \
    STEP(DISABLE_SCHEDULES, "disable_schedules")                                                   \
    STEP(RESUBMIT_JOBS, "resubmit_jobs")                                                           \
    STEP(RESTORE_GEO_REDUNDANCY, "restore_geo_redundancy")                                         \
    STEP(REPOINT_CICD, "repoint_cicd")                                                             \
    STEP(EXEC, "exec")                                                                             \
    STEP(HTTP, "http")                                                                             \
    STEP(WAIT_UNTIL, "wait_until")                                                                 \
    STEP(MANUAL, "manual")                                                                         \
    STEP(NOTIFY, "notify")                                                                         \
    STEP(PROBE, "probe")
    ESTATE_STEPS(STEP) STEP_KIND_COUNT,
#undef STEP
};

struct estate_step {
    enum estate_step_kind kind;
    enum estate_phase phase;
    unsigned line;
    struct str text;                /* what is done; may be empty */
    struct str who;                 /* role that does it; may be empty */
    enum estate_tri writes_secrets; /* writes secrets or keys, or changes access policies */
};

struct estate_asset {
    struct str id; /* unique among assets, routes and runbooks */
    enum estate_type type;
    unsigned idx;          /* position in estate.assets */
    unsigned line;         /* 0 = made by a program */
    struct str name;       /* for people; may be empty */
    struct str class_name; /* which objective applies; may be empty */
    struct str owner;      /* who acts; may be empty */
    enum estate_environment environment;
    enum estate_topology topology;
    enum estate_tri critical_path;

    struct estate_placement *placements; /* the first is the primary, unless a priority says else */
    size_t placement_count;
    bool placements_open;              /* `unknown` was among the regions: there may be more */
    enum estate_confidence zones_conf; /* EV_UNKNOWN: not stated */
    const struct str *zones;           /* zones of the primary region that it is in; may be none */
    size_t zone_count;

    struct estate_ref *depends_on;
    size_t depends_on_count;
    enum estate_confidence peer_conf; /* EV_UNKNOWN: not stated */
    struct estate_ref peer;           /* its counterpart in another region; empty id = has none */

    struct estate_objective *objective; /* its own; NULL = that of its class */
    struct estate_step *steps;          /* of a runbook */
    size_t step_count;
    enum estate_tri has_steps; /* TRI_UNKNOWN: not stated */

    struct estate_attr_slot *attrs; /* those that were set; use estate_attr() */
    size_t attr_count;
    size_t attr_cap;
    size_t placement_cap;
    size_t depends_on_cap;
    size_t step_cap;
};

struct estate_attr_slot {
    enum estate_attr attr;
    struct estate_value value;
};

struct estate_waiver {
    struct str rule;  /* "HF-ST-001" */
    struct str asset; /* an id, or "*" */
    struct str reason;
    struct str owner;
    int64_t expires_ms; /* first moment at which it no longer holds */
    unsigned line;
};

/* Limits of age and the defaults of estimates. Durations in ms; -1 = not stated. */
struct estate_policy {
    unsigned line;
    int64_t drill_max_age_ms;   /* default 90d */
    int64_t verify_max_age_ms;  /* default 7d */
    int64_t restore_max_age_ms; /* default 90d */
    int64_t log_retention_days;
    int64_t backup_retention_ms;
    int64_t detect_ms;         /* until the loss is noticed; default 5m */
    int64_t decide_ms;         /* until a person has decided; default 15m; 0 where automatic */
    int64_t promote_ms;        /* default 5m */
    int64_t resolver_floor_ms; /* resolvers keep records at least this long; default 60s */
    int64_t reconnect_ms;      /* default 30s */
    int64_t start_ms;          /* hot/warm: starting what waits there; default 15m */
    int64_t deploy_ms;         /* hot/cold: deploying what is not there; default 4h */
    int64_t restore_ms;        /* backup only: restoring; default 24h */
};

struct estate {
    struct arena arena;
    struct str source; /* file name, for messages and reports */
    struct str title;  /* `name:` of the file; may be empty */
    struct estate_region **regions;
    size_t region_count;
    struct estate_objective *objectives;
    size_t objective_count;
    struct estate_asset **assets; /* routes and runbooks too, in the order of the file */
    size_t asset_count;
    struct estate_waiver *waivers;
    size_t waiver_count;
    struct estate_policy policy;
    bool has_routes;   /* the list `routes` is there, if only empty: it is then complete */
    bool has_runbooks; /* likewise */
    bool is_finished;
    struct map by_id;     /* struct estate_asset */
    struct map by_region; /* struct estate_region */
    size_t region_cap;
    size_t objective_cap;
    size_t asset_cap;
    size_t waiver_cap;
};

/* ---- building ---- */

struct estate *estate_new(struct str source);
void estate_free(struct estate *e);

/* Region of that name, made when there is none. ERR_LIMIT; ERR_INVALID for an impossible name. */
enum err estate_region(struct estate *e, struct str name, struct estate_region **ret,
                       struct errinfo *ei) MUST_CHECK;
const struct estate_region *estate_find_region(const struct estate *e, struct str name);
/* Lower case, without blanks: "Korea Central" is koreacentral. In the arena. */
struct str estate_region_normal(struct arena *a, struct str name);

/* ERR_EXISTS: the id is taken. ERR_INVALID: empty, too long, has control characters, or is one of the
 * words none, unknown, * or starts with outside:. */
enum err estate_add(struct estate *e, struct str id, enum estate_type type, unsigned line,
                    struct estate_asset **ret, struct errinfo *ei) MUST_CHECK;
struct estate_asset *estate_find(const struct estate *e, struct str id);
/* ret may be NULL. A second placement in the same region is kept: rule HF-CDB-012 finds it. */
enum err estate_place(struct estate *e, struct estate_asset *a, struct str region,
                      struct estate_placement **ret, struct errinfo *ei) MUST_CHECK;
enum err estate_depend(struct estate *e, struct estate_asset *a, struct str id,
                       struct errinfo *ei) MUST_CHECK;
void estate_set_peer(struct estate *e, struct estate_asset *a, struct str id,
                     enum estate_confidence conf);
void estate_set_peer_none(struct estate_asset *a, enum estate_confidence conf);
void estate_set_zones(struct estate *e, struct estate_asset *a, const struct str *zones, size_t n,
                      enum estate_confidence conf);
struct estate_objective *
estate_add_objective(struct estate *e); /* all unstated; NULL over the limit */
/* The asset's own objective, all unstated at first. */
struct estate_objective *estate_own_objective(struct estate *e, struct estate_asset *a);
struct estate_waiver *estate_add_waiver(struct estate *e); /* NULL over the limit */
struct estate_step *estate_add_step(struct estate *e, struct estate_asset *runbook);
/* Into the arena, control characters as blanks: for names, owners and other texts of the model. */
struct str estate_copy(struct estate *e, struct str s);

/* Setting an attribute again replaces it. `conf` is EV_KNOWN or EV_INFERRED. Texts over
 * ESTATE_STRING_SIZE_MAX, numbers out of range and lists over ESTATE_LIST_MAX become unknown, with a
 * note that says so. */
void estate_set_bool(struct estate *e, struct estate_asset *a, enum estate_attr attr, bool v,
                     enum estate_confidence conf, unsigned line);
void estate_set_int(struct estate *e, struct estate_asset *a, enum estate_attr attr, int64_t v,
                    enum estate_confidence conf, unsigned line); /* VT_INT, VT_DURATION, VT_TIME */
void estate_set_number(struct estate *e, struct estate_asset *a, enum estate_attr attr, double v,
                       enum estate_confidence conf, unsigned line); /* VT_NUMBER, VT_PERCENT */
void estate_set_string(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                       struct str v, enum estate_confidence conf, unsigned line);
/* A word that its row does not list becomes unknown; returns false then. Case does not count. */
bool estate_set_word(struct estate *e, struct estate_asset *a, enum estate_attr attr, struct str v,
                     enum estate_confidence conf, unsigned line);
void estate_set_list(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     const struct str *items, size_t n, enum estate_confidence conf,
                     unsigned line); /* VT_WORDS, VT_STRINGS, VT_REGIONS */
/* VT_REF: n is 0 (none) or 1; VT_REFS. Ids may belong to assets that are added later. A text that
 * starts with "outside:" names something that is not in this estate. */
void estate_set_refs(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     const struct str *ids, size_t n, enum estate_confidence conf, unsigned line);
void estate_set_unknown(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                        struct str note, unsigned line);
/* A list that may have more members than were given. */
void estate_set_open(struct estate_asset *a, enum estate_attr attr);
/* Adds a note to an attribute that is set (what an inferred value comes from). */
void estate_set_note(struct estate *e, struct estate_asset *a, enum estate_attr attr,
                     struct str note);

enum estate_unresolved {
    ESTATE_REFS_MUST_RESOLVE,     /* an id that names nothing is ERR_INVALID, with its line */
    ESTATE_UNRESOLVED_IS_OUTSIDE, /* it becomes outside:ID (importers) */
};
/* Resolves references and checks what needs the whole: classes have objectives, peers are of the
 * same type, nothing refers to itself, waivers name assets. Call it once, last. Regions that were
 * only mentioned exist by then: naming one makes it. */
enum err estate_finish(struct estate *e, enum estate_unresolved unresolved,
                       struct errinfo *ei) MUST_CHECK;

/* ---- looking ---- */

/* Never NULL: an attribute that was not set is EV_UNKNOWN without note and line. */
const struct estate_value *estate_attr(const struct estate_asset *a, enum estate_attr attr);
bool estate_is_set(const struct estate_asset *a, enum estate_attr attr);
/* The asset's own objective, that of its class, or NULL. */
const struct estate_objective *estate_objective(const struct estate *e,
                                                const struct estate_asset *a);
/* Placement with the lowest priority, else the first; NULL without any. */
const struct estate_placement *estate_primary(const struct estate_asset *a);
bool estate_is_in(const struct estate_asset *a, struct str region_normal);

const char *estate_topology_name(enum estate_topology t);       /* "hot/warm"; "not stated" */
const char *estate_environment_name(enum estate_environment e); /* "production" */
const char *estate_step_name(enum estate_step_kind kind);       /* "resubmit_jobs" */
const char *estate_phase_name(enum estate_phase phase);         /* "during" */

/* "15m", "90s", "0"; never fails for 0 <= ms. */
void estate_write_duration(struct buf *out, int64_t ms);
bool estate_parse_duration(struct str s, int64_t *ret_ms);
/* "2026-11-28T10:00:00Z" or "never". */
void estate_write_time(struct buf *out, int64_t ms);
/* Also a bare date; whole seconds or milliseconds; UTC (Z) only. */
bool estate_parse_time(struct str s, int64_t *ret_ms);

/* ---- files ---- */

/* Strict reader, see doc/format/estate.md: YAML (a text that starts with `{` is read as JSON).
 * Unknown keys, duplicate keys, anchors, aliases, tags, several documents and values of another
 * type than the schema's are errors with line and column. The estate is finished. */
enum err estate_read(struct str text, struct str source, struct estate **ret,
                     struct errinfo *ei) MUST_CHECK;
enum err estate_read_file(const char *path, struct estate **ret, struct errinfo *ei) MUST_CHECK;
/* Canonical text that estate_read() reads back to the same model. Notes become comments. `out` tells
 * overflow as usual. */
void estate_write_yaml(const struct estate *e, struct buf *out);
/* The commented example of `holdfast assess init`; itself a valid estate. */
struct str estate_example(void);
