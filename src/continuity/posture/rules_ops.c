/* Conditions of the rules about managed services, backups, routes and runbooks. */
#include "base/contract.h"
#include "continuity/posture/posture_int.h"

static struct str region_of(const struct estate_asset *a)
{
    const struct estate_placement *p = estate_primary(a);
    return p ? p->region : STR_NONE;
}

static enum verdict fires_when_not(struct eval *ev, enum estate_attr attr)
{
    enum estate_tri is = eval_bool(ev, ev->a, attr);
    return is == TRI_NO ? eval_fires(ev, "%s is false", estate_attr_row(attr)->name) : eval_end(ev);
}

/* ---- managed services ---- */

enum verdict rule_OS_001(struct eval *ev)
{
    return fires_when_not(ev, ATTR_OWN_BACKUP);
}

enum verdict rule_OS_002(struct eval *ev)
{
    return fires_when_not(ev, ATTR_CROSS_REGION_ROUTING);
}

enum verdict rule_OS_003(struct eval *ev)
{
    return fires_when_not(ev, ATTR_RPO_IN_WRITING);
}

/* ---- backups ---- */

enum verdict rule_BK_001(struct eval *ev)
{
    enum estate_confidence conf;
    enum estate_tri copy = posture_copy_elsewhere(ev->p, ev->a, &conf);
    enum estate_tri backup = posture_backed_up(ev->p, ev->a);
    ev->conf = conf;
    if (copy == TRI_YES || backup == TRI_YES) {
        return VERDICT_PASS;
    }
    if (copy == TRI_NO && backup == TRI_NO) {
        return eval_fires(ev, "no backup, and no copy in another region");
    }
    (void)eval_get(ev, ev->a, ATTR_BACKUPS);
    (void)eval_get(ev, ev->a, ATTR_COPY_IN);
    if (ev->missing_len == 0) {
        eval_miss(ev, "regions, or redundancy of its copies");
    }
    return VERDICT_UNKNOWN;
}

enum verdict rule_BK_002(struct eval *ev)
{
    const struct posture_list *l = &ev->p->protects[ev->a->idx];
    if (l->count == 0) {
        return VERDICT_NOT_APPLICABLE;
    }
    int64_t age = eval_age(ev, ev->a, ATTR_LAST_RECOVERABLE_POINT);
    if (age == INT64_MAX) {
        return eval_fires(ev, "nothing can be restored from it: last_recoverable_point is never");
    }
    for (size_t i = 0; i < l->count; i++) {
        int64_t rpo = eval_rpo(ev, l->items[i]);
        if (age >= 0 && rpo >= 0 && age > rpo) {
            ev->other = l->items[i];
            ev->missing_len = 0;
            return eval_fires(
                ev, "recoverable up to " STR_FMT " ago, the RPO of " STR_FMT " is " STR_FMT,
                STR_ARG(eval_duration(ev, age)), STR_ARG(posture_name(l->items[i])),
                STR_ARG(eval_duration(ev, rpo)));
        }
    }
    return eval_end(ev);
}

/* Fires for never and for older than the limit. */
static enum verdict too_old(struct eval *ev, enum estate_attr attr, int64_t limit_ms)
{
    int64_t age = eval_age(ev, ev->a, attr);
    const char *name = estate_attr_row(attr)->name;
    if (age == INT64_MAX) {
        return eval_fires(ev, "%s is never", name);
    }
    return age > limit_ms
               ? eval_fires(ev, "%s was " STR_FMT " ago, the policy says " STR_FMT, name,
                            STR_ARG(eval_duration(ev, age)), STR_ARG(eval_duration(ev, limit_ms)))
               : eval_end(ev);
}

enum verdict rule_BK_003(struct eval *ev)
{
    if (eval_bool(ev, ev->a, ATTR_LAST_VERIFY_OK) == TRI_NO) {
        return eval_fires(ev, "last_verify_ok is false");
    }
    return too_old(ev, ATTR_LAST_VERIFIED, ev->p->estate->policy.verify_max_age_ms);
}

enum verdict rule_BK_004(struct eval *ev)
{
    return too_old(ev, ATTR_LAST_RESTORE, ev->p->estate->policy.restore_max_age_ms);
}

enum verdict rule_BK_005(struct eval *ev)
{
    if (eval_bool(ev, ev->a, ATTR_SAME_ACCOUNT_AS_DATA) == TRI_YES) {
        return eval_fires(ev, "same_account_as_data is true");
    }
    bool is_open = false;
    size_t n = posture_region_count(ev->a, &is_open);
    if (n > 1) {
        return eval_end(ev);
    }
    if (is_open) {
        eval_miss(ev, "region");
    }
    const struct posture_list *l = &ev->p->protects[ev->a->idx];
    for (size_t i = 0; i < l->count && !is_open; i++) {
        struct str home = region_of(l->items[i]);
        if (home.n == 0) {
            eval_miss(ev, "region of what it protects");
        } else if (str_eq(home, region_of(ev->a))) {
            ev->other = l->items[i];
            return eval_fires(ev, "it is in " STR_FMT ", as " STR_FMT " is", STR_ARG(home),
                              STR_ARG(posture_name(l->items[i])));
        }
    }
    return eval_end(ev);
}

enum verdict rule_BK_006(struct eval *ev)
{
    if (eval_bool(ev, ev->a, ATTR_DELETABLE_BY_NODE) == TRI_YES) {
        return eval_fires(ev, "deletable_by_node is true");
    }
    if (eval_bool(ev, ev->a, ATTR_LOCKED) == TRI_NO) {
        return eval_fires(ev, "locked is false");
    }
    return eval_end(ev);
}

/* ---- routes ---- */

enum verdict rule_RT_001(struct eval *ev)
{
    struct str check = eval_text(ev, ev->a, ATTR_HEALTH_CHECK);
    if (check.n > 0 && !str_eq(check, STR("role"))) {
        return eval_fires(ev, "health_check is " STR_FMT, STR_ARG(check));
    }
    return eval_end(ev);
}

enum verdict rule_RT_002(struct eval *ev)
{
    enum { MINUTE_MS = 60000 };
    const struct estate_value *serves = eval_get(ev, ev->a, ATTR_SERVES);
    int64_t rto = -1;
    for (size_t i = 0; serves && i < serves->count; i++) {
        const struct estate_asset *s = serves->refs[i].asset;
        const struct estate_objective *o = s ? estate_objective(ev->p->estate, s) : NULL;
        if (o && o->rto_ms >= 0 && (rto < 0 || o->rto_ms < rto)) {
            rto = o->rto_ms;
        }
    }
    if (serves && rto < 0) {
        eval_miss(ev, "objective rto of what it serves");
    }
    int64_t limit = rto < INT64_C(5) * MINUTE_MS ? MINUTE_MS : rto / 4;
    static const enum estate_attr ttls[] = {ATTR_TTL, ATTR_NEGATIVE_TTL};
    for (size_t i = 0; i < ARRAY_COUNT(ttls); i++) {
        const struct estate_value *v = eval_get(ev, ev->a, ttls[i]);
        if (rto >= 0 && v && v->integer > limit) {
            ev->missing_len = 0;
            return eval_fires(ev, "%s is " STR_FMT ", at most " STR_FMT " fits an RTO of " STR_FMT,
                              estate_attr_row(ttls[i])->name,
                              STR_ARG(eval_duration(ev, v->integer)),
                              STR_ARG(eval_duration(ev, limit)), STR_ARG(eval_duration(ev, rto)));
        }
    }
    return eval_end(ev);
}

enum verdict rule_RT_003(struct eval *ev)
{
    const struct estate_value *staged = estate_attr(ev->a, ATTR_PRESTAGED);
    if (staged->conf != EV_UNKNOWN && staged->boolean) {
        return VERDICT_PASS;
    }
    const struct estate_value *providers = eval_get(ev, ev->a, ATTR_DNS_PROVIDERS);
    if (providers && (providers->count > 1 || (providers->is_open && providers->count > 0))) {
        if (providers->count > 1) {
            return VERDICT_PASS;
        }
        eval_miss(ev, "dns_providers (may have more)");
    }
    const struct estate_value *needs = eval_get(ev, ev->a, ATTR_PROVIDER_DEPENDS_ON);
    if (needs && needs->count == 0 && !needs->is_open) {
        return VERDICT_PASS;
    }
    const struct estate_value *serves = eval_get(ev, ev->a, ATTR_SERVES);
    bool is_hit = false;
    for (size_t i = 0; needs && serves && i < serves->count; i++) {
        const struct estate_asset *s = serves->refs[i].asset;
        struct str home = s ? region_of(s) : STR_NONE;
        if (home.n == 0) {
            eval_miss(ev, "region of what it serves");
        } else if (value_has(needs, home)) {
            ev->other = s;
            is_hit = true;
        }
    }
    if (!is_hit && needs && needs->is_open) {
        eval_miss(ev, "provider_depends_on (may have more)");
    }
    if (ev->missing_len == 0 && is_hit && staged->conf == EV_UNKNOWN) {
        eval_miss_attr(ev, ev->a, ATTR_PRESTAGED);
    }
    if (ev->missing_len > 0 || !is_hit) {
        return eval_end(ev);
    }
    return eval_fires(ev, "the one provider needs " STR_FMT ", the primary region of " STR_FMT,
                      STR_ARG(region_of(ev->other)), STR_ARG(posture_name(ev->other)));
}

enum verdict rule_RT_004(struct eval *ev)
{
    const struct estate_value *v = eval_get(ev, ev->a, ATTR_MIN_TARGETS);
    return v && v->integer == 0 ? eval_fires(ev, "min_targets is 0") : eval_end(ev);
}

enum verdict rule_RT_005(struct eval *ev)
{
    struct str guard = eval_text(ev, ev->a, ATTR_CONTROLLER_GUARD);
    if (guard.n > 0 && !str_eq(guard, STR("none"))) {
        return VERDICT_PASS;
    }
    const struct estate_value *n = eval_get(ev, ev->a, ATTR_CONTROLLERS);
    if (n && n->integer < 2) {
        return VERDICT_PASS;
    }
    return ev->missing_len > 0 || !n
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "%lld controllers, and controller_guard is none",
                            (long long)n->integer);
}

/* ---- runbooks ---- */

enum verdict rule_RB_001(struct eval *ev)
{
    const struct estate_objective *o = estate_objective(ev->p->estate, ev->a);
    if (!o || o->rto_ms < 0) {
        return VERDICT_NOT_APPLICABLE;
    }
    struct peer_fact peer = posture_peer(ev->p, ev->a);
    bool is_covered = ev->p->runbooks[ev->a->idx].count > 0 ||
                      (peer.is_second && ev->p->runbooks[peer.asset->idx].count > 0);
    if (is_covered) {
        return VERDICT_PASS; /* the second of a pair is what the first is moved to */
    }
    if (!ev->p->estate->has_runbooks) {
        eval_miss(ev, "runbooks (the list is not there)");
        return VERDICT_UNKNOWN;
    }
    return eval_fires(ev, "RTO " STR_FMT ", and no runbook applies to it",
                      STR_ARG(eval_duration(ev, o->rto_ms)));
}

enum verdict rule_RB_002(struct eval *ev)
{
    if (ev->a->owner.n == 0) {
        return eval_fires(ev, "it has no owner");
    }
    if (ev->a->has_steps == TRI_UNKNOWN) {
        eval_miss(ev, "steps");
        return VERDICT_UNKNOWN;
    }
    for (size_t i = 0; i < ev->a->step_count; i++) {
        const struct estate_step *s = &ev->a->steps[i];
        if (s->kind == STEP_MANUAL && s->who.n == 0) {
            ev->line = s->line;
            return eval_fires(ev, "step %zu is manual, and nobody is named", i + 1);
        }
    }
    return VERDICT_PASS;
}

/* All that is listed is among the regions that the runbook leaves. */
static bool only_there(const struct estate_value *list, const struct estate_value *evacuates)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!value_has(evacuates, list->items[i])) {
            return false;
        }
    }
    return !list->is_open;
}

enum verdict rule_RB_003(struct eval *ev)
{
    static const enum estate_attr lists[] = {ATTR_STORED_IN, ATTR_EXECUTES_FROM,
                                             ATTR_AUTHENTICATES_THROUGH};
    const struct estate_value *evacuates = eval_get(ev, ev->a, ATTR_EVACUATES);
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        const struct estate_value *v = eval_get(ev, ev->a, lists[i]);
        if (v && evacuates && only_there(v, evacuates)) {
            ev->missing_len = 0;
            return eval_fires(ev, "%s: nothing outside the region it leaves",
                              estate_attr_row(lists[i])->name);
        }
    }
    return eval_end(ev);
}

enum verdict rule_RB_004(struct eval *ev)
{
    struct str validation = eval_text(ev, ev->a, ATTR_VALIDATION);
    if (validation.n > 0 && !str_eq(validation, STR("passing"))) {
        return eval_fires(ev, "validation is " STR_FMT, STR_ARG(validation));
    }
    enum verdict v = too_old(ev, ATTR_LAST_DRILL, ev->p->estate->policy.drill_max_age_ms);
    if (v == VERDICT_FIRES) {
        ev->missing_len = 0;
    }
    return v;
}
