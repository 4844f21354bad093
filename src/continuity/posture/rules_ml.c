/* Conditions of the rules HF-ML: workspaces of Azure ML and what belongs to them. */
#include "base/contract.h"
#include "continuity/posture/posture_int.h"

/* The asset that a reference names; *ret_known false when it is unknown (noted). NULL also for none. */
static const struct estate_asset *ref_to(struct eval *ev, const struct estate_asset *a,
                                         enum estate_attr attr, bool *ret_known)
{
    const struct estate_value *v = eval_get(ev, a, attr);
    *ret_known = v != NULL;
    return v && v->count > 0 ? v->refs[0].asset : NULL;
}

/* Both name the same: the id, so that two names of one thing outside count too. */
static enum estate_tri share(struct eval *ev, const struct estate_asset *a,
                             const struct estate_asset *b, enum estate_attr attr,
                             struct str *ret_id)
{
    const struct estate_value *va = eval_get(ev, a, attr);
    const struct estate_value *vb = eval_get(ev, b, attr);
    if (!va || !vb) {
        return TRI_UNKNOWN;
    }
    if (va->count == 0 || vb->count == 0 || !str_eq(va->refs[0].id, vb->refs[0].id)) {
        return TRI_NO;
    }
    *ret_id = va->refs[0].id;
    return TRI_YES;
}

static enum estate_tri is_default_storage(struct eval *ev, const struct estate_asset *s)
{
    if (ev->p->default_of[s->idx].count > 0) {
        return TRI_YES;
    }
    if (ev->p->some_default_unknown) {
        eval_miss(ev, "default_storage of every workspace");
        return TRI_UNKNOWN;
    }
    return TRI_NO;
}

static struct str region_of(const struct estate_asset *a)
{
    const struct estate_placement *p = estate_primary(a);
    return p ? p->region : STR_NONE;
}

enum verdict rule_ML_001(struct eval *ev)
{
    const struct estate_asset *a = ev->a;
    enum estate_confidence conf;
    struct peer_fact peer = posture_peer(ev->p, a);
    if (peer.has == TRI_YES) {
        struct str there = peer.asset ? region_of(peer.asset) : STR_NONE;
        if (there.n > 0 && str_eq(there, region_of(a))) {
            ev->other = peer.asset;
            return eval_fires(ev, "its peer " STR_FMT " is in the same region, " STR_FMT,
                              STR_ARG(posture_name(peer.asset)), STR_ARG(there));
        }
        return VERDICT_PASS;
    }
    if (a->environment == ENVIRONMENT_STAGING || a->environment == ENVIRONMENT_DEVELOPMENT) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_topology t = posture_topology(ev->p, a, &conf);
    if (t == TOPOLOGY_SINGLE || t == TOPOLOGY_BACKUP_ONLY) {
        return VERDICT_NOT_APPLICABLE;
    }
    if (a->environment == ENVIRONMENT_UNSTATED) {
        eval_miss(ev, "environment");
    }
    if (t == TOPOLOGY_UNSTATED) {
        eval_miss(ev, "topology");
    }
    if (peer.has == TRI_UNKNOWN) {
        eval_miss(ev, "peer");
    }
    if (ev->missing_len > 0) {
        return VERDICT_UNKNOWN;
    }
    ev->conf = conf == EV_INFERRED || peer.conf == EV_INFERRED ? EV_INFERRED : EV_KNOWN;
    return eval_fires(ev, "%s, and topology %s",
                      peer.conf == EV_KNOWN
                          ? "it has no peer"
                          : "no other workspace of the estate is in another region",
                      estate_topology_name(t));
}

enum verdict rule_ML_002(struct eval *ev)
{
    enum estate_tri is_default = is_default_storage(ev, ev->a);
    const struct estate_value *redundancy = eval_get(ev, ev->a, ATTR_REDUNDANCY);
    const struct estate_value *relies = estate_attr(ev->a, ATTR_RELIES_ON_FAILOVER);
    if (is_default == TRI_NO || (redundancy && !posture_is_geo(redundancy))) {
        return is_default == TRI_NO ? VERDICT_NOT_APPLICABLE : VERDICT_PASS;
    }
    if (relies->conf != EV_UNKNOWN && !relies->boolean) {
        return VERDICT_PASS;
    }
    if (is_default == TRI_UNKNOWN || !redundancy) {
        return VERDICT_UNKNOWN;
    }
    ev->other = ev->p->default_of[ev->a->idx].items[0];
    if (relies->conf == EV_UNKNOWN) {
        /* Who pays for geo-redundancy counts on it, until they say otherwise. */
        ev->conf = EV_INFERRED;
        return eval_fires(ev,
                          "redundancy is " STR_FMT " on the default storage of " STR_FMT
                          ", and relies_on_failover is not stated",
                          STR_ARG(redundancy->text), STR_ARG(posture_name(ev->other)));
    }
    return eval_fires(ev,
                      "redundancy is " STR_FMT " on the default storage of " STR_FMT
                      ", and relies_on_failover is true",
                      STR_ARG(redundancy->text), STR_ARG(posture_name(ev->other)));
}

enum verdict rule_ML_003(struct eval *ev)
{
    enum verdict v;
    struct str id = STR_NONE;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    if (share(ev, ev->a, b, ATTR_DEFAULT_STORAGE, &id) == TRI_YES) {
        return eval_fires(ev, "both use " STR_FMT, STR_ARG(id));
    }
    return eval_end(ev);
}

enum verdict rule_ML_004(struct eval *ev)
{
    enum verdict v;
    struct str id = STR_NONE;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    if (share(ev, ev->a, b, ATTR_KEY_VAULT, &id) == TRI_NO) {
        return eval_fires(ev, "the peer " STR_FMT " uses another vault", STR_ARG(posture_name(b)));
    }
    return eval_end(ev);
}

enum verdict rule_ML_005(struct eval *ev)
{
    enum verdict v;
    struct str id = STR_NONE;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    enum estate_tri shared = share(ev, ev->a, b, ATTR_CONTAINER_REGISTRY, &id);
    if (shared == TRI_NO) {
        return eval_fires(ev, "the peer " STR_FMT " uses another registry, or none",
                          STR_ARG(posture_name(b)));
    }
    bool is_known = false;
    const struct estate_asset *reg = ref_to(ev, ev->a, ATTR_CONTAINER_REGISTRY, &is_known);
    if (shared == TRI_UNKNOWN) {
        return VERDICT_UNKNOWN;
    }
    struct str second = region_of(b);
    if (!reg || second.n == 0) {
        eval_miss(ev, !reg ? "the registry, which is outside the estate" : "region of the peer");
        return VERDICT_UNKNOWN;
    }
    if (estate_is_in(reg, second)) {
        return VERDICT_PASS;
    }
    if (reg->placements_open || reg->placement_count == 0) {
        eval_miss(ev, "regions of the registry");
        return VERDICT_UNKNOWN;
    }
    ev->other = reg;
    return eval_fires(ev, STR_FMT " has no replica in " STR_FMT, STR_ARG(posture_name(reg)),
                      STR_ARG(second));
}

enum verdict rule_ML_006(struct eval *ev)
{
    enum verdict v;
    struct str id = STR_NONE;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    const struct estate_value *there = eval_get(ev, b, ATTR_APPLICATION_INSIGHTS);
    if (there && there->count == 0) {
        return eval_fires(ev, "the peer " STR_FMT " has none", STR_ARG(posture_name(b)));
    }
    if (share(ev, ev->a, b, ATTR_APPLICATION_INSIGHTS, &id) == TRI_YES) {
        return eval_fires(ev, "both use " STR_FMT, STR_ARG(id));
    }
    return eval_end(ev);
}

enum verdict rule_ML_007(struct eval *ev)
{
    bool is_known = false;
    const struct estate_asset *s = ref_to(ev, ev->a, ATTR_STORAGE, &is_known);
    if (is_known && !s) {
        eval_miss(ev, "the storage, which is outside the estate");
        return VERDICT_UNKNOWN;
    }
    const struct estate_value *holds = eval_get(ev, ev->a, ATTR_HOLDS);
    bool has_training =
        holds && (value_has(holds, STR("training_data")) || value_has(holds, STR("datasets")));
    if (holds && !has_training && !holds->is_open) {
        return VERDICT_PASS;
    }
    enum estate_tri is_default = s ? is_default_storage(ev, s) : TRI_UNKNOWN;
    if (is_default == TRI_NO) {
        return VERDICT_PASS;
    }
    if (holds && !has_training) {
        eval_miss(ev, "holds (may have more)");
    }
    if (!s || !has_training || is_default == TRI_UNKNOWN) {
        return VERDICT_UNKNOWN;
    }
    ev->other = s;
    return eval_fires(ev, STR_FMT " is the default storage of " STR_FMT, STR_ARG(posture_name(s)),
                      STR_ARG(posture_name(ev->p->default_of[s->idx].items[0])));
}

/* Some data store on the same storage, or this one, is attached to `w`. */
static enum estate_tri is_attached(struct eval *ev, const struct estate_asset *w)
{
    const struct estate_value *storage = estate_attr(ev->a, ATTR_STORAGE);
    const struct posture_list *on = storage->count > 0 && storage->refs[0].asset
                                        ? &ev->p->on_storage[storage->refs[0].asset->idx]
                                        : NULL;
    bool is_open = storage->conf == EV_UNKNOWN;
    for (size_t i = 0; i < 1 + (on ? on->count : 0); i++) {
        const struct estate_asset *store = i == 0 ? ev->a : on->items[i - 1];
        const struct estate_value *to = estate_attr(store, ATTR_ATTACHED_TO);
        is_open = is_open || to->conf == EV_UNKNOWN || to->is_open;
        for (size_t k = 0; k < to->count; k++) {
            if (to->refs[k].asset == w) {
                return TRI_YES;
            }
        }
    }
    return is_open ? TRI_UNKNOWN : TRI_NO;
}

enum verdict rule_ML_008(struct eval *ev)
{
    const struct estate_value *to = eval_get(ev, ev->a, ATTR_ATTACHED_TO);
    if (!to) {
        return VERDICT_UNKNOWN;
    }
    for (size_t i = 0; i < to->count; i++) {
        const struct estate_asset *w = to->refs[i].asset;
        struct peer_fact peer = w ? posture_peer(ev->p, w) : (struct peer_fact){.has = TRI_NO};
        if (peer.has == TRI_UNKNOWN) {
            eval_miss(ev, "peer of the workspace");
            continue;
        }
        if (peer.has == TRI_NO || !peer.asset || eval_is_warm(ev, w) != TRI_YES) {
            continue;
        }
        enum estate_tri attached = is_attached(ev, peer.asset);
        if (attached == TRI_NO) {
            ev->other = peer.asset;
            ev->missing_len = 0;
            return eval_fires(ev, "attached to " STR_FMT ", not to its peer " STR_FMT,
                              STR_ARG(posture_name(w)), STR_ARG(posture_name(peer.asset)));
        }
        if (attached == TRI_UNKNOWN) {
            eval_miss(ev, "attached_to (may have more), storage");
        }
    }
    return eval_end(ev);
}

/* The cluster's counterpart in workspace `there`. */
static const struct estate_asset *counterpart(struct eval *ev, const struct estate_asset *there,
                                              enum estate_tri *ret)
{
    struct peer_fact peer = posture_peer(ev->p, ev->a);
    *ret = TRI_YES;
    if (peer.has == TRI_YES && peer.asset) {
        return peer.asset;
    }
    const struct posture_list *l = &ev->p->in_workspace[there->idx];
    const struct estate_asset *found = NULL;
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (l->items[i]->type == TYPE_AML_COMPUTE_CLUSTER) {
            found = l->items[i];
            n++;
        }
    }
    if (n == 0 || peer.has == TRI_NO) {
        ev->conf = peer.conf == EV_KNOWN ? ev->conf : EV_INFERRED;
        *ret = TRI_NO;
        return NULL;
    }
    if (n > 1) {
        *ret = TRI_UNKNOWN;
        return NULL;
    }
    ev->conf = EV_INFERRED;
    return found;
}

enum verdict rule_ML_009(struct eval *ev)
{
    bool is_known = false;
    const struct estate_asset *w = ref_to(ev, ev->a, ATTR_WORKSPACE, &is_known);
    if (!w) {
        return is_known ? VERDICT_NOT_APPLICABLE : VERDICT_UNKNOWN;
    }
    struct peer_fact peer = posture_peer(ev->p, w);
    if (peer.has == TRI_UNKNOWN || (peer.has == TRI_YES && !peer.asset)) {
        eval_miss(ev, "peer of the workspace");
        return VERDICT_UNKNOWN;
    }
    if (peer.has == TRI_NO || peer.is_second) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri warm = eval_is_warm(ev, w);
    if (warm != TRI_YES) {
        return warm == TRI_NO ? VERDICT_NOT_APPLICABLE : VERDICT_UNKNOWN;
    }
    enum estate_tri has;
    const struct estate_asset *b = counterpart(ev, peer.asset, &has);
    if (has == TRI_NO) {
        ev->other = peer.asset;
        return eval_fires(ev, "none in " STR_FMT, STR_ARG(posture_name(peer.asset)));
    }
    if (!b) {
        eval_miss(ev, "peer");
        return VERDICT_UNKNOWN;
    }
    ev->other = b;
    enum estate_attr want = estate_attr(ev->a, ATTR_NEEDED_NODES)->conf != EV_UNKNOWN
                                ? ATTR_NEEDED_NODES
                                : ATTR_MAX_NODES;
    const struct estate_value *needed = eval_get(ev, ev->a, want);
    const struct estate_value *max = eval_get(ev, b, ATTR_MAX_NODES);
    if (needed && max && max->integer < needed->integer) {
        return eval_fires(ev, STR_FMT " has at most %lld nodes, %lld are needed",
                          STR_ARG(posture_name(b)), (long long)max->integer,
                          (long long)needed->integer);
    }
    return eval_end(ev);
}

/* Cores that one compute needs after a failover; -1 when unknown (noted). */
static int64_t cores_of(struct eval *ev, const struct estate_asset *c)
{
    const struct estate_value *v = estate_attr(c, ATTR_NEEDED_CORES);
    if (v->conf != EV_UNKNOWN) {
        return v->integer;
    }
    if (!estate_type_has(c->type, ATTR_CORES_PER_NODE)) {
        eval_miss_attr(ev, c, ATTR_NEEDED_CORES);
        return -1;
    }
    const struct estate_value *nodes = estate_attr(c, ATTR_NEEDED_NODES);
    if (nodes->conf == EV_UNKNOWN) {
        nodes = eval_get(ev, c, ATTR_MAX_NODES);
    }
    const struct estate_value *cores = eval_get(ev, c, ATTR_CORES_PER_NODE);
    return nodes && cores ? nodes->integer * cores->integer : -1;
}

enum verdict rule_ML_010(struct eval *ev)
{
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    const struct posture_list *l = &ev->p->in_workspace[ev->a->idx];
    if (!b || l->count == 0) {
        return b ? VERDICT_NOT_APPLICABLE : v;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (estate_type_has(l->items[i]->type, ATTR_NEEDED_CORES)) {
            int64_t cores = cores_of(ev, l->items[i]);
            sum += cores > 0 ? cores : 0;
        }
    }
    const struct estate_region *r = estate_find_region(ev->p->estate, region_of(b));
    if (!r || r->core_quota < 0) {
        eval_miss(ev, "core_quota of the second region");
    } else if (sum > r->core_quota) {
        /* Whatever is missing would only add to it. */
        ev->missing_len = 0;
        return eval_fires(ev, "%lld cores are needed in " STR_FMT ", the quota is %lld",
                          (long long)sum, STR_ARG(r->name), (long long)r->core_quota);
    }
    return eval_end(ev);
}

enum verdict rule_ML_011(struct eval *ev)
{
    struct str by = eval_text(ev, ev->a, ATTR_CREATED_BY);
    return str_eq(by, STR("aml")) ? eval_fires(ev, "created_by is aml") : eval_end(ev);
}

enum verdict rule_ML_012(struct eval *ev)
{
    const struct estate_asset *a = ev->a;
    const struct estate_placement *p = estate_primary(a);
    if (p && posture_region(ev->p, p->region).has_zones == TRI_NO) {
        return VERDICT_NOT_APPLICABLE;
    }
    if (a->zones_conf != EV_UNKNOWN) {
        ev->conf = a->zones_conf;
        return a->zone_count < 2 ? eval_fires(ev, "it is in %zu zones", a->zone_count)
                                 : VERDICT_PASS;
    }
    if (p && p->is_zone_redundant != TRI_UNKNOWN) {
        return p->is_zone_redundant == TRI_NO ? eval_fires(ev, "it is not zone-redundant")
                                              : VERDICT_PASS;
    }
    eval_miss(ev, "zones");
    return VERDICT_UNKNOWN;
}

enum verdict rule_ML_013(struct eval *ev)
{
    const struct estate_value *w = estate_attr(ev->a, ATTR_WORKSPACE);
    bool is_stated = w->conf != EV_UNKNOWN;
    if ((is_stated && w->count == 0) ||
        (!is_stated && ev->p->by_type[TYPE_AML_WORKSPACE].count == 0)) {
        return VERDICT_NOT_APPLICABLE; /* attached to nothing */
    }
    enum estate_tri in = eval_bool(ev, ev->a, ATTR_ATTACH_IN_TEMPLATE);
    if (in == TRI_YES) {
        return VERDICT_PASS;
    }
    if (!is_stated) {
        eval_miss_attr(ev, ev->a, ATTR_WORKSPACE);
        return VERDICT_UNKNOWN;
    }
    return in == TRI_NO ? eval_fires(ev, "attach_in_template is false") : VERDICT_UNKNOWN;
}

enum verdict rule_ML_014(struct eval *ev)
{
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    enum estate_tri warm = eval_is_warm(ev, ev->a);
    if (warm == TRI_NO) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri has = eval_bool(ev, ev->a, ATTR_MODELS_REPLICATED);
    if (has == TRI_YES) {
        return VERDICT_PASS;
    }
    return warm == TRI_YES && has == TRI_NO ? eval_fires(ev, "models_replicated is false")
                                            : VERDICT_UNKNOWN;
}

/* The second of a pair is a copy of the first: what is wrong there is told of the first. */
static bool is_second(const struct eval *ev)
{
    return posture_peer(ev->p, ev->a).is_second;
}

static enum verdict fires_when(struct eval *ev, enum estate_attr attr, bool bad)
{
    if (is_second(ev)) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri is = eval_bool(ev, ev->a, attr);
    if (is == (bad ? TRI_YES : TRI_NO)) {
        return eval_fires(ev, "%s is %s", estate_attr_row(attr)->name, bad ? "true" : "false");
    }
    return eval_end(ev);
}

enum verdict rule_ML_015(struct eval *ev)
{
    enum verdict v = fires_when(ev, ATTR_ENVIRONMENTS_AS_CODE, false);
    if (v == VERDICT_FIRES || v == VERDICT_NOT_APPLICABLE) {
        return v;
    }
    v = fires_when(ev, ATTR_PIPELINES_AS_CODE, false);
    return v == VERDICT_FIRES ? v : eval_end(ev);
}

enum verdict rule_ML_016(struct eval *ev)
{
    enum estate_confidence conf;
    if (is_second(ev) || ev->a->environment == ENVIRONMENT_DEVELOPMENT ||
        posture_topology(ev->p, ev->a, &conf) == TOPOLOGY_SINGLE) {
        return VERDICT_NOT_APPLICABLE;
    }
    const struct estate_value *n = eval_get(ev, ev->a, ATTR_DESIGNER_PIPELINES);
    if (n && n->integer > 0) {
        return eval_fires(ev, "designer_pipelines is %lld", (long long)n->integer);
    }
    return eval_end(ev);
}

enum verdict rule_ML_017(struct eval *ev)
{
    return fires_when(ev, ATTR_DATASETS_COPY_PLANNED, true);
}

enum verdict rule_ML_018(struct eval *ev)
{
    if (is_second(ev)) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum estate_tri has = eval_has_step(ev, STEP_RESUBMIT_JOBS);
    return has == TRI_NO ? eval_fires(ev, "no runbook that applies to it has a step resubmit_jobs")
                         : eval_end(ev);
}

enum verdict rule_ML_019(struct eval *ev)
{
    return fires_when(ev, ATTR_CONFIG_FILE, false);
}

enum verdict rule_ML_020(struct eval *ev)
{
    const struct estate_value *targets = eval_get(ev, ev->a, ATTR_TARGETS);
    const struct estate_value *deploys = eval_get(ev, ev->a, ATTR_DEPLOYS);
    for (size_t i = 0; deploys && i < deploys->count; i++) {
        const struct estate_asset *d = deploys->refs[i].asset;
        struct peer_fact peer = d ? posture_peer(ev->p, d) : (struct peer_fact){.has = TRI_NO};
        if (peer.has == TRI_UNKNOWN) {
            eval_miss(ev, "peer of what it deploys");
        }
        for (size_t k = 0; d && k < d->placement_count + 1; k++) {
            struct str want = k < d->placement_count ? d->placements[k].region
                              : peer.asset           ? region_of(peer.asset)
                                                     : STR_NONE;
            if (want.n == 0 || !targets) {
                continue;
            }
            bool is_there = value_has(targets, want);
            if (!is_there && !targets->is_open) {
                ev->other = d;
                ev->missing_len = 0;
                return eval_fires(ev, "it deploys " STR_FMT ", but not to " STR_FMT,
                                  STR_ARG(posture_name(d)), STR_ARG(want));
            }
            if (!is_there) {
                eval_miss(ev, "targets (may have more)");
            }
        }
    }
    return eval_end(ev);
}

enum verdict rule_ML_021(struct eval *ev)
{
    static const enum rule rules[] = {RULE_CDB_001, RULE_CDB_002, RULE_CDB_003, RULE_CDB_004,
                                      RULE_CDB_005, RULE_CDB_006, RULE_CDB_014};
    enum estate_tri cmk = eval_bool(ev, ev->a, ATTR_CMK);
    if (cmk != TRI_YES) {
        return cmk == TRI_NO ? VERDICT_PASS : VERDICT_UNKNOWN;
    }
    const struct estate_value *v = estate_attr(ev->a, ATTR_CMK_ACCOUNT);
    if (v->conf == EV_UNKNOWN && ev->p->by_type[TYPE_COSMOS_ACCOUNT].count > 0) {
        eval_miss_attr(ev, ev->a, ATTR_CMK_ACCOUNT);
        return VERDICT_UNKNOWN;
    }
    if (v->conf == EV_UNKNOWN || v->count == 0 || !v->refs[0].asset) {
        ev->conf = v->conf == EV_KNOWN ? ev->conf : EV_INFERRED;
        return eval_fires(ev, "cmk is true, and its Cosmos DB account is not in the estate");
    }
    ev->other = v->refs[0].asset;
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        struct eval sub;
        enum verdict verdict = rule_eval(ev->p, rules[i], ev->other, &sub);
        if (verdict == VERDICT_FIRES) {
            ev->missing_len = 0;
            ev->conf = sub.conf < ev->conf ? sub.conf : ev->conf;
            return eval_fires(ev, STR_FMT " fails %s: " STR_FMT, STR_ARG(posture_name(ev->other)),
                              rule_info(rules[i])->id, STR_ARG(sub.observed));
        }
        if (verdict == VERDICT_UNKNOWN) {
            eval_miss(ev, "attributes of its Cosmos DB account");
        }
    }
    return eval_end(ev);
}

enum verdict rule_ML_022(struct eval *ev)
{
    return fires_when(ev, ATTR_OUTPUTS_READABLE, false);
}

enum verdict rule_ML_023(struct eval *ev)
{
    bool is_known = false;
    const struct estate_asset *scope = ref_to(ev, ev->a, ATTR_SCOPE, &is_known);
    if (is_known && !scope) {
        return VERDICT_NOT_APPLICABLE;
    }
    struct peer_fact peer = scope ? posture_peer(ev->p, scope) : (struct peer_fact){.has = TRI_NO};
    if (scope && (peer.has == TRI_NO || peer.is_second)) {
        return VERDICT_NOT_APPLICABLE;
    }
    struct str who = eval_text(ev, ev->a, ATTR_PRINCIPAL);
    struct str role = eval_text(ev, ev->a, ATTR_ROLE);
    const struct estate_asset *second = peer.asset;
    if (scope && !second) {
        eval_miss(ev, "peer of the scope");
    }
    if (ev->missing_len > 0 || !second) {
        return VERDICT_UNKNOWN;
    }
    const struct posture_list *l = &ev->p->scoped[second->idx];
    for (size_t i = 0; i < l->count; i++) {
        const struct estate_value *who2 = estate_attr(l->items[i], ATTR_PRINCIPAL);
        const struct estate_value *role2 = estate_attr(l->items[i], ATTR_ROLE);
        if (who2->conf == EV_UNKNOWN || role2->conf == EV_UNKNOWN) {
            eval_miss(ev, "principal and role of the peer's assignments");
        } else if (str_eq(who, who2->text) && str_eq(role, role2->text)) {
            return VERDICT_PASS;
        }
    }
    ev->other = second;
    return ev->missing_len > 0
               ? VERDICT_UNKNOWN
               : eval_fires(ev, STR_FMT " is " STR_FMT " on " STR_FMT ", not on " STR_FMT,
                            STR_ARG(who), STR_ARG(role), STR_ARG(posture_name(scope)),
                            STR_ARG(posture_name(second)));
}

enum verdict rule_ML_024(struct eval *ev)
{
    bool is_open = false;
    size_t n = posture_region_count(ev->a, &is_open);
    if (n > 1) {
        return VERDICT_PASS;
    }
    if (ev->a->type == TYPE_DNS_ZONE && n == 0 && !ev->a->placements_open) {
        return VERDICT_NOT_APPLICABLE; /* a global one */
    }
    struct peer_fact peer = posture_peer(ev->p, ev->a);
    if (peer.has == TRI_NO && !is_open) {
        ev->conf = peer.conf;
        return eval_fires(ev, "it is in " STR_FMT " only", STR_ARG(region_of(ev->a)));
    }
    if (peer.has == TRI_YES && peer.asset && region_of(peer.asset).n > 0 &&
        str_eq(region_of(peer.asset), region_of(ev->a))) {
        return eval_fires(ev, "its peer is in the same region");
    }
    if (peer.has != TRI_YES) {
        eval_miss(ev, is_open ? "region" : "peer");
    }
    return eval_end(ev);
}

enum verdict rule_ML_025(struct eval *ev)
{
    enum estate_tri in = eval_bool(ev, ev->a, ATTR_IN_TEMPLATE);
    return in == TRI_NO ? eval_fires(ev, "in_template is false") : eval_end(ev);
}

enum verdict rule_ML_026(struct eval *ev)
{
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    struct str here = region_of(ev->a);
    struct str there = region_of(b);
    if (here.n == 0 || there.n == 0) {
        eval_miss(ev, "region");
        return VERDICT_UNKNOWN;
    }
    if (str_eq(here, there)) {
        return eval_fires(ev, "both are in " STR_FMT, STR_ARG(here));
    }
    struct region_fact from = posture_region(ev->p, here);
    struct region_fact to = posture_region(ev->p, there);
    if (to.is_restricted == TRI_YES) {
        return eval_fires(ev, "access to " STR_FMT " is restricted", STR_ARG(there));
    }
    /* A region without a pair has none to prefer. */
    if (from.has_pair == TRI_YES && !str_eq(from.pair, there)) {
        return eval_fires(ev, "the pair of " STR_FMT " is " STR_FMT ", not " STR_FMT, STR_ARG(here),
                          STR_ARG(from.pair), STR_ARG(there));
    }
    if (from.has_pair == TRI_UNKNOWN) {
        eval_miss(ev, "pair of the region");
    }
    if (to.is_restricted == TRI_UNKNOWN) {
        eval_miss(ev, "restricted of the second region");
    }
    return eval_end(ev);
}

enum verdict rule_ML_027(struct eval *ev)
{
    enum verdict v;
    const struct estate_asset *b = eval_second(ev, &v);
    if (!b) {
        return v;
    }
    const struct estate_region *r = estate_find_region(ev->p->estate, region_of(b));
    if (!r || !r->offers_known) {
        eval_miss(ev, "not_offered of the second region");
        return VERDICT_UNKNOWN;
    }
    struct str here = region_of(ev->a);
    for (unsigned t = 0; t < TYPE_COUNT; t++) {
        const struct posture_list *l = &ev->p->by_type[t];
        for (size_t i = 0; i < l->count && (r->not_offered >> t & 1); i++) {
            if (estate_is_in(l->items[i], here)) {
                ev->other = l->items[i];
                return eval_fires(ev, "%s is used in " STR_FMT " and not offered in " STR_FMT,
                                  estate_type_row((enum estate_type)t)->name, STR_ARG(here),
                                  STR_ARG(r->name));
            }
        }
    }
    return VERDICT_PASS;
}
