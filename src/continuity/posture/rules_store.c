/* Conditions of the rules about vaults, registries, storage, telemetry, compute, databases and
 * Databricks. */
#include "base/contract.h"
#include "continuity/posture/posture_int.h"

static struct str region_of(const struct estate_asset *a)
{
    const struct estate_placement *p = estate_primary(a);
    return p ? p->region : STR_NONE;
}

/* ---- vaults, registries ---- */

/* Used from two regions: what people do who count on it in the second. */
static bool is_shared_over_regions(const struct eval *ev)
{
    const struct posture_list *l = &ev->p->users[ev->a->idx];
    for (size_t i = 1; i < l->count; i++) {
        struct str first = region_of(l->items[0]);
        struct str region = region_of(l->items[i]);
        if (first.n > 0 && region.n > 0 && !str_eq(first, region)) {
            return true;
        }
    }
    return false;
}

enum verdict rule_KV_001(struct eval *ev)
{
    const struct estate_value *relies = estate_attr(ev->a, ATTR_RELIES_ON_FAILOVER);
    if (relies->conf != EV_UNKNOWN && !relies->boolean) {
        return VERDICT_PASS;
    }
    struct str region = region_of(ev->a);
    enum estate_tri pair = region.n > 0 ? posture_region(ev->p, region).has_pair : TRI_UNKNOWN;
    if (pair == TRI_YES) {
        return VERDICT_PASS;
    }
    if (pair == TRI_UNKNOWN) {
        eval_miss(ev, region.n > 0 ? "pair of its region" : "region");
        return VERDICT_UNKNOWN;
    }
    if (relies->conf == EV_UNKNOWN && !is_shared_over_regions(ev)) {
        eval_miss_attr(ev, ev->a, ATTR_RELIES_ON_FAILOVER);
        return VERDICT_UNKNOWN;
    }
    ev->conf = relies->conf == EV_KNOWN ? EV_KNOWN : EV_INFERRED;
    return eval_fires(ev, STR_FMT " has no pair, and %s", STR_ARG(region),
                      relies->conf == EV_UNKNOWN ? "the vault is used from two regions"
                                                 : "relies_on_failover is true");
}

/* Kinds of steps that could write to a vault. */
static bool may_write_secrets(enum estate_step_kind kind)
{
    return kind == STEP_EXEC || kind == STEP_HTTP || kind == STEP_MANUAL ||
           kind == STEP_ESTATE_APPLY || kind == STEP_FENCE;
}

enum verdict rule_KV_002(struct eval *ev)
{
    if (ev->a->has_steps == TRI_UNKNOWN) {
        eval_miss(ev, "steps");
        return VERDICT_UNKNOWN;
    }
    for (size_t i = 0; i < ev->a->step_count; i++) {
        const struct estate_step *s = &ev->a->steps[i];
        if (s->phase != PHASE_DURING) {
            continue;
        }
        if (s->writes_secrets == TRI_YES) {
            ev->line = s->line;
            ev->missing_len = 0;
            return eval_fires(ev, "step %zu (%s) writes secrets or policies during the failover",
                              i + 1, estate_step_name(s->kind));
        }
        if (s->writes_secrets == TRI_UNKNOWN && may_write_secrets(s->kind)) {
            eval_miss(ev, "writes_secrets of steps during the failover");
        }
    }
    return eval_end(ev);
}

enum verdict rule_ACR_001(struct eval *ev)
{
    struct str sku = eval_text(ev, ev->a, ATTR_SKU);
    if (sku.n > 0 && !str_eq(sku, STR("premium"))) {
        return eval_fires(ev, "sku is " STR_FMT, STR_ARG(sku));
    }
    return eval_end(ev);
}

enum verdict rule_ACR_002(struct eval *ev)
{
    bool is_open = false;
    size_t n = posture_region_count(ev->a, &is_open);
    if (n == 1 && !is_open) {
        return eval_fires(ev, "it is in " STR_FMT " only", STR_ARG(region_of(ev->a)));
    }
    /* With several regions: every region that a user fails over to must be among them. */
    const struct posture_list *l = &ev->p->users[ev->a->idx];
    for (size_t i = 0; i < l->count && n > 0; i++) {
        struct peer_fact peer = posture_peer(ev->p, l->items[i]);
        struct str second = peer.asset ? region_of(peer.asset) : STR_NONE;
        if (second.n > 0 && !estate_is_in(ev->a, second) && !is_open) {
            ev->other = peer.asset;
            return eval_fires(ev, "no replica in " STR_FMT ", where " STR_FMT " is",
                              STR_ARG(second), STR_ARG(posture_name(peer.asset)));
        }
    }
    if (is_open) {
        eval_miss(ev, "regions");
    }
    return eval_end(ev);
}

enum verdict rule_ACR_003(struct eval *ev)
{
    const struct estate_placement *p = estate_primary(ev->a);
    enum estate_tri zones = p ? posture_region(ev->p, p->region).has_zones : TRI_UNKNOWN;
    const struct estate_value *v = estate_attr(ev->a, ATTR_ZONE_REDUNDANT);
    enum estate_tri is = v->conf != EV_UNKNOWN ? (v->boolean ? TRI_YES : TRI_NO)
                         : p                   ? p->is_zone_redundant
                                               : TRI_UNKNOWN;
    if (is == TRI_YES || zones == TRI_NO) {
        return VERDICT_PASS;
    }
    ev->conf = v->conf == EV_INFERRED ? EV_INFERRED : EV_KNOWN;
    if (is == TRI_UNKNOWN) {
        eval_miss_attr(ev, ev->a, ATTR_ZONE_REDUNDANT);
    }
    if (zones == TRI_UNKNOWN) {
        eval_miss(ev, "zones of its region");
    }
    return ev->missing_len > 0 ? VERDICT_UNKNOWN : eval_fires(ev, "zone_redundant is false");
}

/* ---- storage ---- */

/* Fires when there is no copy elsewhere; names what would have to be known otherwise. */
static enum verdict copy_verdict(struct eval *ev, const struct estate_asset *s)
{
    enum estate_confidence conf;
    enum estate_tri copy = posture_copy_elsewhere(ev->p, s, &conf);
    ev->conf = conf < ev->conf ? conf : ev->conf;
    if (copy == TRI_YES) {
        return VERDICT_PASS;
    }
    if (copy == TRI_NO) {
        const struct estate_value *r = estate_attr(s, ATTR_REDUNDANCY);
        return r->conf != EV_UNKNOWN
                   ? eval_fires(ev, STR_FMT " is " STR_FMT ", without a copy or backup elsewhere",
                                STR_ARG(posture_name(s)), STR_ARG(r->text))
                   : eval_fires(ev, STR_FMT " has no copy or backup elsewhere",
                                STR_ARG(posture_name(s)));
    }
    static const enum estate_attr wanted[] = {ATTR_REDUNDANCY, ATTR_COPY_IN, ATTR_BACKUPS};
    for (size_t i = 0; i < ARRAY_COUNT(wanted); i++) {
        if (estate_type_has(s->type, wanted[i])) {
            (void)eval_get(ev, s, wanted[i]); /* for what it notes */
        }
    }
    if (ev->missing_len == 0) {
        eval_miss(ev, "regions of its copies or backups");
    }
    return VERDICT_UNKNOWN;
}

enum verdict rule_ST_001(struct eval *ev)
{
    if (ev->p->default_of[ev->a->idx].count > 0) {
        return VERDICT_NOT_APPLICABLE; /* HF-ML-002, 003, 007 speak of default storage */
    }
    return copy_verdict(ev, ev->a);
}

enum verdict rule_ST_002(struct eval *ev)
{
    const struct estate_value *r = eval_get(ev, ev->a, ATTR_REDUNDANCY);
    if (!r) {
        return VERDICT_UNKNOWN;
    }
    if (!posture_is_geo(r)) {
        return VERDICT_NOT_APPLICABLE;
    }
    int64_t age = eval_age(ev, ev->a, ATTR_LAST_SYNC_TIME);
    if (age == INT64_MAX) {
        return eval_fires(ev, "last_sync_time is never");
    }
    int64_t rpo = eval_rpo(ev, ev->a);
    if (age >= 0 && rpo >= 0 && age > rpo) {
        return eval_fires(ev, "last sync was " STR_FMT " ago, the RPO is " STR_FMT,
                          STR_ARG(eval_duration(ev, age)), STR_ARG(eval_duration(ev, rpo)));
    }
    return eval_end(ev);
}

enum verdict rule_ST_003(struct eval *ev)
{
    const struct estate_value *r = eval_get(ev, ev->a, ATTR_REDUNDANCY);
    if (r && !posture_is_geo(r)) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri relies = eval_bool(ev, ev->a, ATTR_RELIES_ON_FAILOVER);
    if (relies == TRI_NO) {
        return VERDICT_PASS;
    }
    enum estate_tri has = eval_has_step(ev, STEP_RESTORE_GEO_REDUNDANCY);
    if (has == TRI_YES) {
        return VERDICT_PASS;
    }
    return ev->missing_len > 0
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "its failover is planned, and no runbook has a step "
                                "restore_geo_redundancy");
}

enum verdict rule_ST_004(struct eval *ev)
{
    static const char *const data[] = {"datasets", "training_data", "application_data"};
    if (ev->p->default_of[ev->a->idx].count == 0) {
        if (!ev->p->some_default_unknown) {
            return VERDICT_NOT_APPLICABLE;
        }
        eval_miss(ev, "default_storage of every workspace");
    }
    const struct estate_value *v = eval_get(ev, ev->a, ATTR_HOLDS);
    for (size_t i = 0; v && i < ARRAY_COUNT(data); i++) {
        if (value_has(v, str_of(data[i]))) {
            return ev->missing_len > 0 ? VERDICT_UNKNOWN
                                       : eval_fires(ev, "it holds %s as well", data[i]);
        }
    }
    if (v && !v->is_open) {
        return VERDICT_PASS;
    }
    eval_miss(ev, "holds (may have more)");
    return VERDICT_UNKNOWN;
}

enum verdict rule_AI_001(struct eval *ev)
{
    const struct estate_value *v = eval_get(ev, ev->a, ATTR_RETENTION_DAYS);
    int64_t want = ev->p->estate->policy.log_retention_days;
    if (want < 0) {
        eval_miss(ev, "log_retention_days of the policy");
    } else if (v && v->integer < want) {
        return eval_fires(ev, "records are kept %lld days, the policy says %lld",
                          (long long)v->integer, (long long)want);
    }
    return eval_end(ev);
}

/* ---- compute, databases ---- */

enum verdict rule_ACI_001(struct eval *ev)
{
    enum estate_tri has = eval_bool(ev, ev->a, ATTR_ORCHESTRATOR);
    return has == TRI_NO ? eval_fires(ev, "orchestrator is false") : eval_end(ev);
}

/* VERDICT_PASS: it has a copy elsewhere; NOT_APPLICABLE: there is no external one. */
static enum verdict metastore(struct eval *ev)
{
    const struct estate_value *v = eval_get(ev, ev->a, ATTR_EXTERNAL_METASTORE);
    if (!v) {
        return VERDICT_UNKNOWN;
    }
    if (v->count == 0) {
        return VERDICT_NOT_APPLICABLE;
    }
    if (!v->refs[0].asset) {
        return eval_fires(ev, "the metastore " STR_FMT " is not in the estate",
                          STR_ARG(v->refs[0].id));
    }
    ev->other = v->refs[0].asset;
    return copy_verdict(ev, ev->other);
}

enum verdict rule_META_001(struct eval *ev)
{
    return metastore(ev);
}

enum verdict rule_HDI_001(struct eval *ev)
{
    if (eval_bool(ev, ev->a, ATTR_HA_COMPONENTS) == TRI_NO) {
        return eval_fires(ev, "ha_components is false");
    }
    enum verdict v = metastore(ev);
    if (v == VERDICT_NOT_APPLICABLE) {
        return eval_fires(ev, "its metastore is the built-in one, which ends with the cluster");
    }
    return v == VERDICT_FIRES ? v : eval_end(ev);
}

enum verdict rule_SQL_001(struct eval *ev)
{
    bool is_open = false;
    if (posture_region_count(ev->a, &is_open) > 1) {
        return VERDICT_PASS;
    }
    enum estate_tri has = eval_bool(ev, ev->a, ATTR_FAILOVER_GROUP);
    if (has == TRI_YES) {
        return VERDICT_PASS;
    }
    if (is_open) {
        eval_miss(ev, "region");
    }
    return ev->missing_len > 0 ? VERDICT_UNKNOWN
                               : eval_fires(ev, "failover_group is false, and it is in one region");
}

/* PostgreSQL and MySQL alike. */
static enum verdict server_verdict(struct eval *ev)
{
    enum estate_confidence conf;
    enum estate_tri copy = posture_copy_elsewhere(ev->p, ev->a, &conf);
    if (copy == TRI_YES) {
        return VERDICT_PASS;
    }
    struct str mode = eval_text(ev, ev->a, ATTR_HA_MODE);
    if (mode.n > 0 && !str_eq(mode, STR("none"))) {
        return VERDICT_PASS;
    }
    if (copy == TRI_UNKNOWN) {
        (void)eval_get(ev, ev->a, ATTR_GEO_BACKUP);
        (void)eval_get(ev, ev->a, ATTR_COPY_IN);
        (void)eval_get(ev, ev->a, ATTR_BACKUPS);
        if (ev->missing_len == 0) {
            eval_miss(ev, "regions of it and its backups");
        }
    }
    ev->conf = conf < ev->conf ? conf : ev->conf;
    return ev->missing_len > 0
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "ha_mode is none, and no replica or backup is in another region");
}

enum verdict rule_PG_001(struct eval *ev)
{
    return server_verdict(ev);
}

enum verdict rule_MY_001(struct eval *ev)
{
    return server_verdict(ev);
}

/* ---- Databricks ---- */

enum verdict rule_DBX_001(struct eval *ev)
{
    struct peer_fact peer = posture_peer(ev->p, ev->a);
    if (peer.has == TRI_UNKNOWN) {
        eval_miss(ev, "peer");
        return VERDICT_UNKNOWN;
    }
    ev->conf = peer.conf;
    if (peer.has == TRI_NO) {
        return eval_fires(ev, "%s",
                          peer.conf == EV_KNOWN
                              ? "it has no peer"
                              : "no other workspace of the estate is in another region");
    }
    if (peer.asset && region_of(ev->a).n > 0 && str_eq(region_of(ev->a), region_of(peer.asset))) {
        ev->other = peer.asset;
        return eval_fires(ev, "its peer is in the same region");
    }
    return VERDICT_PASS;
}

enum verdict rule_DBX_002(struct eval *ev)
{
    if (ev->a->type == TYPE_DATABRICKS_STORAGE) {
        return copy_verdict(ev, ev->a);
    }
    const struct estate_value *v = eval_get(ev, ev->a, ATTR_STORAGE);
    if (!v) {
        return VERDICT_UNKNOWN;
    }
    if (v->count == 0 || (v->refs[0].asset && v->refs[0].asset->type == TYPE_DATABRICKS_STORAGE)) {
        return VERDICT_NOT_APPLICABLE; /* told of the storage itself */
    }
    if (!v->refs[0].asset) {
        eval_miss(ev, "its storage, which is outside the estate");
        return VERDICT_UNKNOWN;
    }
    ev->other = v->refs[0].asset;
    return copy_verdict(ev, ev->other);
}

enum verdict rule_DBX_003(struct eval *ev)
{
    static const enum estate_attr contents[] = {
        ATTR_REPLICATED_USERS,        ATTR_REPLICATED_NOTEBOOKS, ATTR_REPLICATED_CLUSTERS,
        ATTR_REPLICATED_JOBS,         ATTR_REPLICATED_LIBRARIES, ATTR_REPLICATED_MOUNTS,
        ATTR_REPLICATED_INIT_SCRIPTS, ATTR_REPLICATED_ACLS,
    };
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    const struct estate_objective *o = estate_objective(ev->p->estate, ev->a);
    for (size_t i = 0; i < ARRAY_COUNT(contents); i++) {
        int64_t age = eval_age(ev, ev->a, contents[i]);
        const char *name = estate_attr_row(contents[i])->name;
        if (age == INT64_MAX) {
            ev->missing_len = 0;
            return eval_fires(ev, "%s is never", name);
        }
        if (age >= 0 && o && o->rpo_ms >= 0 && age > o->rpo_ms) {
            ev->missing_len = 0;
            return eval_fires(ev, "%s was " STR_FMT " ago, the RPO is " STR_FMT, name,
                              STR_ARG(eval_duration(ev, age)),
                              STR_ARG(eval_duration(ev, o->rpo_ms)));
        }
    }
    (void)eval_rpo(ev, ev->a);
    return eval_end(ev);
}

enum verdict rule_DBX_004(struct eval *ev)
{
    enum verdict v;
    if (!eval_second(ev, &v)) {
        return v;
    }
    struct str where = eval_text(ev, ev->a, ATTR_JOB_SCHEDULES);
    return str_eq(where, STR("both")) ? eval_fires(ev, "job_schedules is both") : eval_end(ev);
}

enum verdict rule_DBX_005(struct eval *ev)
{
    enum verdict v;
    if (!eval_second(ev, &v)) {
        return v;
    }
    if (eval_bool(ev, ev->a, ATTR_CLUSTER_IDS_MAPPED) == TRI_YES) {
        return VERDICT_PASS;
    }
    enum estate_tri used = eval_bool(ev, ev->a, ATTR_JOBS_ON_EXISTING_CLUSTERS);
    if (used == TRI_NO) {
        return VERDICT_PASS;
    }
    return ev->missing_len > 0
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "jobs name existing clusters, and cluster_ids_mapped "
                                "is false");
}

static enum verdict word_is(struct eval *ev, enum estate_attr attr, const char *bad)
{
    enum verdict v;
    if (!eval_second(ev, &v)) {
        return v;
    }
    struct str word = eval_text(ev, ev->a, attr);
    return str_eq(word, str_of(bad)) ? eval_fires(ev, "%s is %s", estate_attr_row(attr)->name, bad)
                                     : eval_end(ev);
}

enum verdict rule_DBX_006(struct eval *ev)
{
    return word_is(ev, ATTR_LIBRARIES_BY, "notebooks");
}

enum verdict rule_DBX_007(struct eval *ev)
{
    return word_is(ev, ATTR_MOUNTS_BY, "api");
}

enum verdict rule_DBX_008(struct eval *ev)
{
    enum verdict v;
    if (!eval_second(ev, &v)) {
        return v;
    }
    struct str sku = eval_text(ev, ev->a, ATTR_SKU);
    if (sku.n > 0 && !str_eq(sku, STR("premium"))) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri done = eval_bool(ev, ev->a, ATTR_ACLS_REAPPLIED);
    if (done == TRI_YES) {
        return VERDICT_PASS;
    }
    return ev->missing_len > 0 ? VERDICT_UNKNOWN : eval_fires(ev, "acls_reapplied is false");
}

enum verdict rule_DBX_009(struct eval *ev)
{
    static const enum estate_attr data[] = {ATTR_STORAGE, ATTR_DATA_STORES};
    struct str here = region_of(ev->a);
    if (here.n == 0) {
        eval_miss(ev, "region");
        return VERDICT_UNKNOWN;
    }
    for (size_t i = 0; i < ARRAY_COUNT(data); i++) {
        const struct estate_value *v = eval_get(ev, ev->a, data[i]);
        for (size_t k = 0; v && k < v->count; k++) {
            const struct estate_asset *s = v->refs[k].asset;
            if (!s || s->placement_count == 0) {
                eval_miss(ev, "region of its data");
            } else if (!estate_is_in(s, here) && !s->placements_open) {
                ev->other = s;
                ev->missing_len = 0;
                return eval_fires(ev, "compute is in " STR_FMT ", " STR_FMT " in " STR_FMT,
                                  STR_ARG(here), STR_ARG(posture_name(s)), STR_ARG(region_of(s)));
            }
        }
    }
    return eval_end(ev);
}

enum verdict rule_DBX_010(struct eval *ev)
{
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    const struct estate_value *needed = eval_get(ev, ev->a, ATTR_NEEDED_CORES);
    const struct estate_region *r = estate_find_region(ev->p->estate, region_of(b));
    if (!r || r->core_quota < 0) {
        eval_miss(ev, "core_quota of the second region");
    } else if (needed && needed->integer > r->core_quota) {
        return eval_fires(ev, "%lld cores are needed in " STR_FMT ", the quota is %lld",
                          (long long)needed->integer, STR_ARG(r->name), (long long)r->core_quota);
    }
    return eval_end(ev);
}
