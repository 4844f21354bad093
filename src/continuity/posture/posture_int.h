/* Shared by the parts of the assessment: an index over a finished estate, facts about it with their
 * confidence, and what rules are made of. Everything is in the arena given to posture_init(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/report.h"

/* ---- index ---- */

/* Assets that refer to one, by one kind of reference: posture.refs_*[asset.idx]. */
struct posture_list {
    const struct estate_asset **items;
    size_t count;
    size_t cap;
};

/* Figures of a drill report. */
struct posture_drill {
    bool is_there;
    int64_t at_ms;      /* when it ended */
    int64_t rto_ms;     /* worst; -1 = not measured */
    int64_t rpo_ms;     /* 0 when nothing was lost or put aside; -1 = not told in time */
    struct str rto_how; /* "worst of 5 kills, drill.json" */
    struct str rpo_how;
};

struct posture {
    struct arena *arena;
    const struct estate *estate;
    int64_t at_ms;
    struct posture_list *default_of;   /* storage: workspaces whose default it is */
    bool some_default_unknown;         /* of some workspace the default storage is not known */
    struct posture_list *in_workspace; /* workspace: assets with attribute workspace = it */
    struct posture_list *on_storage;   /* storage: aml_datastores on it */
    struct posture_list *users;        /* asset: those whose attributes or depends_on name it */
    struct posture_list *runbooks;     /* asset: runbooks that apply to it */
    struct posture_list *routes;       /* asset: routes that serve it */
    struct posture_list *scoped;       /* asset: role assignments on it */
    struct posture_list *protects;     /* backup: assets that it protects */
    const struct estate_asset **named_peer_of; /* asset that names it as its peer, or NULL */
    struct posture_list by_type[TYPE_COUNT];
    bool in_one_region[TYPE_COUNT]; /* all assets of the type, as far as there are any */
    struct posture_drill *drills;   /* by asset */
};

void posture_init(struct posture *p, struct arena *arena, const struct estate *e, int64_t at_ms);

/* ---- facts ---- */

struct peer_fact {
    enum estate_tri has;
    enum estate_confidence conf;
    const struct estate_asset *asset; /* TRI_YES; NULL when it is outside the estate */
    bool is_second;                   /* the asset is the pair's second: rules look at the first */
};
/* Peers are mutual: naming one side is enough. An asset that states none and has no counterpart of
 * its type in another region is inferred to have none. */
struct peer_fact posture_peer(const struct posture *p, const struct estate_asset *a);

/* Topology that is stated, that of its objective, or inferred from the objective's RTO and RPO. */
enum estate_topology posture_topology(const struct posture *p, const struct estate_asset *a,
                                      enum estate_confidence *ret_conf);
/* What an objective asks for (RTO under a minute and RPO 0: hot/hot; RTO under 15 min: hot/warm; hours:
 * hot/cold; a day: backup-only); TOPOLOGY_UNSTATED without RTO. */
enum estate_topology posture_topology_for(const struct estate_objective *o);

struct region_fact {
    enum estate_tri has_pair;
    struct str pair;
    enum estate_tri has_zones;
    enum estate_tri is_restricted;
};
struct region_fact posture_region(const struct posture *p, struct str region);
extern const char posture_regions_as_of[]; /* "2022-12" */

/* Data exist in another region (geo-redundancy, replica, copy or backup there). */
enum estate_tri posture_copy_elsewhere(const struct posture *p, const struct estate_asset *a,
                                       enum estate_confidence *ret_conf);
/* A backup of any kind exists. */
enum estate_tri posture_backed_up(const struct posture *p, const struct estate_asset *a);
bool posture_is_geo(const struct estate_value *redundancy); /* grs ra_grs gzrs ra_gzrs */
/* Loss window of a Cosmos-type account when its write region is lost for good. */
struct figure posture_loss_window(const struct posture *p, const struct estate_asset *a);
enum estate_tri posture_multi_write(const struct estate_asset *a);
/* Number of different regions; *ret_open: there may be more. */
size_t posture_region_count(const struct estate_asset *a, bool *ret_open);
/* What the rest of the estate calls it. */
static inline struct str posture_name(const struct estate_asset *a)
{
    return a->id;
}

/* ---- rules ---- */

enum verdict {
    VERDICT_NOT_APPLICABLE,
    VERDICT_PASS,
    VERDICT_FIRES,
    VERDICT_UNKNOWN,
};

/* One rule looking at one asset. Getters lower `conf` to inferred and note the line and what is
 * missing, so that a rule only has to say its condition. */
struct eval {
    const struct posture *p;
    const struct estate_asset *a;
    const struct estate_asset *other;
    enum estate_confidence conf; /* EV_KNOWN until something inferred was looked at */
    unsigned line;
    struct str observed;
    char missing[200];
    size_t missing_len;
};

typedef enum verdict rule_fn(struct eval *ev);

enum rule {
#define RULE(sym, id, severity, types, title, expected, why, remedy, sources) RULE_##sym,
#include "continuity/posture/rules.def"
#undef RULE
    RULE_COUNT,
};

#define RULE(sym, id, severity, types, title, expected, why, remedy, sources) rule_fn rule_##sym;
#include "continuity/posture/rules.def"
#undef RULE

/* Types that a rule looks at, bit per type. */
uint64_t rule_types(enum rule rule);
enum verdict rule_eval(const struct posture *p, enum rule rule, const struct estate_asset *a,
                       struct eval *ret);

enum verdict eval_fires(struct eval *ev, const char *fmt, ...) PRINTF_LIKE(2, 3);
void eval_miss(struct eval *ev, const char *what); /* adds a name to what is missing */
void eval_miss_attr(struct eval *ev, const struct estate_asset *a, enum estate_attr attr);
/* UNKNOWN when something is missing, else PASS. */
enum verdict eval_end(const struct eval *ev);

/* NULL when unknown, which is then noted as missing. */
const struct estate_value *eval_get(struct eval *ev, const struct estate_asset *a,
                                    enum estate_attr attr);
enum estate_tri eval_bool(struct eval *ev, const struct estate_asset *a, enum estate_attr attr);
/* VT_WORD, VT_STRING; empty when unknown, which is noted. */
struct str eval_text(struct eval *ev, const struct estate_asset *a, enum estate_attr attr);
/* Age of a time in ms; INT64_MAX for never; -1 when unknown, which is noted. */
int64_t eval_age(struct eval *ev, const struct estate_asset *a, enum estate_attr attr);
/* Objective in ms; -1 when not stated, which is noted. */
int64_t eval_rpo(struct eval *ev, const struct estate_asset *a);
int64_t eval_rto(struct eval *ev, const struct estate_asset *a);
/* The second of the pair whose first ev->a is. NULL: *ret says how to answer (not applicable when
 * there is no peer or the asset is the second, unknown when that is not stated). */
const struct estate_asset *eval_second(struct eval *ev, enum verdict *ret);
/* Runs hot/hot or hot/warm: TRI_UNKNOWN is noted. */
enum estate_tri eval_is_warm(struct eval *ev, const struct estate_asset *a);
/* Some runbook for the asset has a step of that kind. TRI_UNKNOWN is noted. */
enum estate_tri eval_has_step(struct eval *ev, enum estate_step_kind kind);
bool value_has(const struct estate_value *v, struct str word);
/* Text of a duration in the arena. */
struct str eval_duration(struct eval *ev, int64_t ms);
