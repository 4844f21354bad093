/* The table of rules, and what their conditions are written with. A rule never decides about what it
 * does not know: getters note what is missing, and eval_end() then answers UNKNOWN. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/posture/posture_int.h"

#define T(type)   (UINT64_C(1) << TYPE_##type)
#define ON_COSMOS (T(COSMOS_ACCOUNT) | T(HOLDFAST_ACCOUNT))
#define ON_STATEFUL                                                                                \
    (T(STORAGE_ACCOUNT) | T(ADLS_GEN1) | T(DATABRICKS_STORAGE) | T(KEY_VAULT) |                    \
     T(CONTAINER_REGISTRY) | T(SQL_DATABASE) | T(HIVE_METASTORE) | T(POSTGRESQL_SERVER) |          \
     T(POSTGRESQL_SINGLE_SERVER) | T(MYSQL_SERVER) | T(MYSQL_SINGLE_SERVER) | T(COSMOS_ACCOUNT) |  \
     T(HOLDFAST_ACCOUNT) | T(OPENSCALE_DATABASE) | T(OPENSCALE_CONTENT))
/* What a deployment template could have made. */
#define ON_RESOURCES                                                                               \
    (T(AML_WORKSPACE) | T(AML_COMPUTE_INSTANCE) | T(AML_COMPUTE_CLUSTER) | T(AML_DATASTORE) |      \
     T(STORAGE_ACCOUNT) | T(ADLS_GEN1) | T(KEY_VAULT) | T(CONTAINER_REGISTRY) |                    \
     T(APPLICATION_INSIGHTS) | T(AKS_CLUSTER) | T(CONTAINER_INSTANCES) | T(HDINSIGHT_CLUSTER) |    \
     T(DATABRICKS_WORKSPACE) | T(DATABRICKS_NETWORK) | T(SQL_DATABASE) | T(POSTGRESQL_SERVER) |    \
     T(POSTGRESQL_SINGLE_SERVER) | T(MYSQL_SERVER) | T(MYSQL_SINGLE_SERVER) | T(COSMOS_ACCOUNT) |  \
     T(VIRTUAL_NETWORK) | T(PRIVATE_ENDPOINT) | T(VPN_GATEWAY) | T(DNS_ZONE) | T(ROLE_ASSIGNMENT))
#define ON_RUNNABLE                                                                                \
    (((UINT64_C(1) << TYPE_COUNT) - 1) &                                                           \
     ~(T(ROUTE) | T(RUNBOOK) | T(BACKUP) | T(ROLE_ASSIGNMENT) | T(CICD_PIPELINE) |                 \
       T(AML_SERVICE) | T(DATABRICKS_CONTROL_PLANE)))
STATIC_ASSERT(TYPE_COUNT < 64, "ON_RUNNABLE shifts by it");

static const struct {
    struct rule_info info;
    uint64_t types;
    rule_fn *fn;
} rules[] = {
#define RULE(sym, id, severity, types, title, expected, why, remedy, sources)                      \
    {{id, severity, title, expected, why, remedy, sources}, types, rule_##sym},
#include "continuity/posture/rules.def"
#undef RULE
};
STATIC_ASSERT(ARRAY_COUNT(rules) == RULE_COUNT, "a row for each rule");

size_t rule_count(void)
{
    return RULE_COUNT;
}

const struct rule_info *rule_info(size_t idx)
{
    ASSERT(idx < RULE_COUNT);
    return &rules[idx].info;
}

const struct rule_info *rule_find(struct str id)
{
    for (size_t i = 0; i < RULE_COUNT; i++) {
        if (str_eq(str_of(rules[i].info.id), id)) {
            return &rules[i].info;
        }
    }
    return NULL;
}

uint64_t rule_types(enum rule rule)
{
    return rules[rule].types;
}

const char *severity_name(enum severity s)
{
    static const char *const names[] = {[SEVERITY_LOW] = "low",
                                        [SEVERITY_MEDIUM] = "medium",
                                        [SEVERITY_HIGH] = "high",
                                        [SEVERITY_CRITICAL] = "critical"};
    ASSERT(s < SEVERITY_COUNT);
    return names[s];
}

bool severity_find(struct str name, enum severity *ret)
{
    for (unsigned i = 0; i < SEVERITY_COUNT; i++) {
        if (str_eq(str_of(severity_name((enum severity)i)), name)) {
            *ret = (enum severity)i;
            return true;
        }
    }
    return false;
}

enum verdict rule_eval(const struct posture *p, enum rule rule, const struct estate_asset *a,
                       struct eval *ret)
{
    *ret = (struct eval){.p = p, .a = a, .conf = EV_KNOWN};
    if (!(rules[rule].types >> a->type & 1)) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum verdict v = rules[rule].fn(ret);
    ASSERT(IMPLIES(v == VERDICT_UNKNOWN, ret->missing_len > 0));
    ASSERT(IMPLIES(v == VERDICT_FIRES, ret->observed.n > 0));
    if (ret->line == 0) {
        ret->line = a->line;
    }
    return v;
}

/* ---- answers ---- */

enum verdict eval_fires(struct eval *ev, const char *fmt, ...)
{
    va_list ap;
    char text[600];
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n >= sizeof(text) ? sizeof(text) - 1 : (size_t)n;
    ev->observed = arena_str(ev->p->arena, str_make(text, len));
    return VERDICT_FIRES;
}

void eval_miss(struct eval *ev, const char *what)
{
    size_t n = strlen(what);
    size_t comma = ev->missing_len > 0 ? 2 : 0;
    struct str so_far = str_make(ev->missing, ev->missing_len);
    if (ev->missing_len + comma + n >= sizeof(ev->missing) ||
        (n > 0 && str_find(so_far, str_of(what)) >= 0)) {
        return;
    }
    if (comma > 0) {
        memcpy(ev->missing + ev->missing_len, ", ", 2);
    }
    memcpy(ev->missing + ev->missing_len + comma, what, n);
    ev->missing_len += comma + n;
}

void eval_miss_attr(struct eval *ev, const struct estate_asset *a, enum estate_attr attr)
{
    const char *name = estate_attr_row(attr)->name;
    if (a == ev->a) {
        eval_miss(ev, name);
        return;
    }
    char text[100];
    (void)snprintf(text, sizeof(text), "%s of " STR_FMT, name, STR_ARG(str_slice(a->id, 0, 60)));
    eval_miss(ev, text);
}

enum verdict eval_end(const struct eval *ev)
{
    return ev->missing_len > 0 ? VERDICT_UNKNOWN : VERDICT_PASS;
}

/* ---- attributes ---- */

const struct estate_value *eval_get(struct eval *ev, const struct estate_asset *a,
                                    enum estate_attr attr)
{
    const struct estate_value *v = estate_attr(a, attr);
    if (v->line > 0 && a == ev->a && ev->line == 0) {
        ev->line = v->line;
    }
    if (v->conf == EV_UNKNOWN) {
        eval_miss_attr(ev, a, attr);
        return NULL;
    }
    if (v->conf == EV_INFERRED) {
        ev->conf = EV_INFERRED;
    }
    return v;
}

enum estate_tri eval_bool(struct eval *ev, const struct estate_asset *a, enum estate_attr attr)
{
    const struct estate_value *v = eval_get(ev, a, attr);
    return !v ? TRI_UNKNOWN : v->boolean ? TRI_YES : TRI_NO;
}

struct str eval_text(struct eval *ev, const struct estate_asset *a, enum estate_attr attr)
{
    const struct estate_value *v = eval_get(ev, a, attr);
    return v ? v->text : STR_NONE;
}

int64_t eval_age(struct eval *ev, const struct estate_asset *a, enum estate_attr attr)
{
    const struct estate_value *v = eval_get(ev, a, attr);
    if (!v) {
        return -1;
    }
    if (v->integer == ESTATE_NEVER) {
        return INT64_MAX;
    }
    /* A time in the future has no age. */
    return v->integer > ev->p->at_ms ? 0 : ev->p->at_ms - v->integer;
}

int64_t eval_rpo(struct eval *ev, const struct estate_asset *a)
{
    const struct estate_objective *o = estate_objective(ev->p->estate, a);
    if (!o || o->rpo_ms < 0) {
        eval_miss(ev, "objective rpo");
        return -1;
    }
    return o->rpo_ms;
}

int64_t eval_rto(struct eval *ev, const struct estate_asset *a)
{
    const struct estate_objective *o = estate_objective(ev->p->estate, a);
    if (!o || o->rto_ms < 0) {
        eval_miss(ev, "objective rto");
        return -1;
    }
    return o->rto_ms;
}

bool value_has(const struct estate_value *v, struct str word)
{
    for (size_t i = 0; i < v->count && v->items; i++) {
        if (str_eq(v->items[i], word)) {
            return true;
        }
    }
    return false;
}

struct str eval_duration(struct eval *ev, int64_t ms)
{
    struct buf text;
    buf_init(&text, 64);
    /* Ages are not read in milliseconds: whole hours from one on, whole days from two on. */
    int64_t hour_ms = 3600000;
    int64_t unit = ms >= 48 * hour_ms ? 24 * hour_ms : ms > hour_ms ? hour_ms : 1;
    estate_write_duration(&text, ms / unit * unit);
    struct str s = arena_str(ev->p->arena, buf_str(&text));
    buf_done(&text);
    return s;
}

/* ---- pairs, topologies, runbooks ---- */

const struct estate_asset *eval_second(struct eval *ev, enum verdict *ret)
{
    struct peer_fact f = posture_peer(ev->p, ev->a);
    *ret = VERDICT_NOT_APPLICABLE;
    if (f.has == TRI_UNKNOWN) {
        eval_miss(ev, "peer");
        *ret = VERDICT_UNKNOWN;
        return NULL;
    }
    if (f.has == TRI_NO || f.is_second) {
        return NULL;
    }
    if (!f.asset) {
        eval_miss(ev, "the peer, which is outside the estate");
        *ret = VERDICT_UNKNOWN;
        return NULL;
    }
    if (f.conf == EV_INFERRED) {
        ev->conf = EV_INFERRED;
    }
    ev->other = f.asset;
    return f.asset;
}

enum estate_tri eval_is_warm(struct eval *ev, const struct estate_asset *a)
{
    enum estate_confidence conf;
    enum estate_topology t = posture_topology(ev->p, a, &conf);
    if (t == TOPOLOGY_UNSTATED) {
        eval_miss(ev, a == ev->a ? "topology" : "topology of the workspace");
        return TRI_UNKNOWN;
    }
    if (conf == EV_INFERRED) {
        ev->conf = EV_INFERRED;
    }
    return t == TOPOLOGY_HOT_HOT || t == TOPOLOGY_HOT_WARM ? TRI_YES : TRI_NO;
}

enum estate_tri eval_has_step(struct eval *ev, enum estate_step_kind kind)
{
    const struct posture_list *l = &ev->p->runbooks[ev->a->idx];
    bool some_unknown = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct estate_asset *rb = l->items[i];
        some_unknown = some_unknown || rb->has_steps == TRI_UNKNOWN;
        for (size_t k = 0; k < rb->step_count; k++) {
            if (rb->steps[k].kind == kind) {
                return TRI_YES;
            }
        }
    }
    if (some_unknown) {
        eval_miss(ev, "steps of its runbook");
        return TRI_UNKNOWN;
    }
    if (!ev->p->estate->has_runbooks) {
        eval_miss(ev, "runbooks (the list is not there)");
        return TRI_UNKNOWN;
    }
    return TRI_NO;
}
