/* Conditions of the rules HF-CDB: Cosmos-type accounts, that is Cosmos DB and Holdfast. */
#include "base/contract.h"
#include "continuity/posture/posture_int.h"

enum { MINUTE_MS = 60000 };

/* Regions of the account; 0 when not even one is known. What is open is noted. */
static size_t regions_of(struct eval *ev)
{
    bool is_open = false;
    size_t n = posture_region_count(ev->a, &is_open);
    if (is_open) {
        eval_miss(ev, "regions");
    }
    return n;
}

static enum estate_tri is_multi_write(struct eval *ev)
{
    enum estate_tri multi = posture_multi_write(ev->a);
    if (multi == TRI_UNKNOWN) {
        eval_miss_attr(ev, ev->a, ATTR_MULTI_WRITE);
    }
    return multi;
}

/* NOT_APPLICABLE for a single region, UNKNOWN when there may be more, PASS for several. */
static enum verdict need_several(struct eval *ev)
{
    size_t n = regions_of(ev);
    if (n > 1) {
        ev->missing_len = 0; /* more of them would change nothing */
        return VERDICT_PASS;
    }
    return ev->missing_len > 0 ? VERDICT_UNKNOWN : VERDICT_NOT_APPLICABLE;
}

enum verdict rule_CDB_001(struct eval *ev)
{
    if (regions_of(ev) > 1) {
        return VERDICT_PASS;
    }
    return ev->missing_len > 0 ? VERDICT_UNKNOWN
                               : eval_fires(ev, "its only region is " STR_FMT,
                                            STR_ARG(ev->a->placements[0].region));
}

enum verdict rule_CDB_002(struct eval *ev)
{
    enum verdict v = need_several(ev);
    if (v != VERDICT_PASS) {
        return v;
    }
    enum estate_tri automatic = eval_bool(ev, ev->a, ATTR_AUTOMATIC_FAILOVER);
    if (automatic == TRI_YES) {
        return VERDICT_PASS;
    }
    if (is_multi_write(ev) == TRI_YES) {
        return VERDICT_NOT_APPLICABLE;
    }
    return ev->missing_len > 0
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "automatic_failover is false, with one write region");
}

/* A region that has zones while the account does not use them there. */
static enum verdict zones_verdict(struct eval *ev)
{
    for (size_t i = 0; i < ev->a->placement_count; i++) {
        const struct estate_placement *p = &ev->a->placements[i];
        enum estate_tri zones = posture_region(ev->p, p->region).has_zones;
        if (p->is_zone_redundant == TRI_YES || zones == TRI_NO) {
            continue;
        }
        if (p->is_zone_redundant == TRI_NO && zones == TRI_YES) {
            ev->line = p->line;
            ev->missing_len = 0;
            return eval_fires(ev, "zone_redundant is false in " STR_FMT, STR_ARG(p->region));
        }
        eval_miss(ev, p->is_zone_redundant == TRI_UNKNOWN ? "zone_redundant of its regions"
                                                          : "zones of its regions");
    }
    bool is_open = false;
    (void)posture_region_count(ev->a, &is_open);
    if (is_open) {
        eval_miss(ev, "regions");
    }
    return eval_end(ev);
}

enum verdict rule_CDB_003(struct eval *ev)
{
    return zones_verdict(ev);
}

enum verdict rule_CDB_004(struct eval *ev)
{
    const struct estate_value *v = estate_attr(ev->a, ATTR_ZONES_RELIED_ON);
    if (v->conf != EV_UNKNOWN) {
        ev->conf = v->conf;
        return v->boolean ? eval_fires(ev, "zones_relied_on is true") : VERDICT_PASS;
    }
    bool is_open = false;
    size_t n = posture_region_count(ev->a, &is_open);
    if (n > 1) {
        return VERDICT_PASS;
    }
    if (n == 1 && !is_open && ev->a->placements[0].is_zone_redundant != TRI_UNKNOWN) {
        if (ev->a->placements[0].is_zone_redundant == TRI_NO) {
            return VERDICT_PASS;
        }
        ev->conf = EV_INFERRED;
        return eval_fires(ev, "zones of " STR_FMT " are all it has",
                          STR_ARG(ev->a->placements[0].region));
    }
    eval_miss_attr(ev, ev->a, ATTR_ZONES_RELIED_ON);
    return VERDICT_UNKNOWN;
}

enum verdict rule_CDB_005(struct eval *ev)
{
    enum verdict v = need_several(ev);
    if (v != VERDICT_PASS) {
        return v; /* with one region everything is lost: HF-CDB-001 */
    }
    struct str level = eval_text(ev, ev->a, ATTR_CONSISTENCY);
    int64_t rpo = eval_rpo(ev, ev->a);
    if (ev->missing_len > 0) {
        return VERDICT_UNKNOWN;
    }
    struct figure window = posture_loss_window(ev->p, ev->a);
    if (window.kind == FIGURE_UNKNOWN) {
        if (rpo == 0) {
            return eval_fires(ev,
                              "the RPO is 0, and " STR_FMT " acknowledges before other regions "
                              "have the write",
                              STR_ARG(level));
        }
        eval_miss_attr(ev, ev->a, ATTR_REPLICATION_LAG);
        return VERDICT_UNKNOWN;
    }
    if (window.kind == FIGURE_VALUE && rpo < window.ms) {
        return eval_fires(ev, "the RPO is " STR_FMT ", the window of " STR_FMT " is " STR_FMT,
                          STR_ARG(eval_duration(ev, rpo)), STR_ARG(level),
                          STR_ARG(eval_duration(ev, window.ms)));
    }
    return VERDICT_PASS;
}

enum verdict rule_CDB_006(struct eval *ev)
{
    size_t n = regions_of(ev);
    if (n > 2 || (n < 2 && ev->missing_len == 0)) {
        return n > 2 ? VERDICT_PASS : VERDICT_NOT_APPLICABLE;
    }
    struct str level = eval_text(ev, ev->a, ATTR_CONSISTENCY);
    if (level.n > 0 && !str_eq(level, STR("strong"))) {
        return VERDICT_PASS;
    }
    const struct estate_objective *o = estate_objective(ev->p->estate, ev->a);
    /* Marking a region as failed takes a person: an hour or more with a provider. */
    int64_t until_ms = ev->a->type == TYPE_COSMOS_ACCOUNT ? INT64_C(60) * MINUTE_MS : MINUTE_MS;
    if (!o || (o->rto_ms < 0 && o->write_availability < 0)) {
        eval_miss(ev, "objective rto or write_availability");
    }
    if (ev->missing_len > 0 || !o) {
        return VERDICT_UNKNOWN;
    }
    if ((o->rto_ms >= 0 && o->rto_ms < until_ms) || o->write_availability > 99.99) {
        return eval_fires(ev,
                          "strong over 2 regions, and the objective does not allow waiting until "
                          "the lost one is marked failed");
    }
    return VERDICT_PASS;
}

enum verdict rule_CDB_007(struct eval *ev)
{
    const struct estate_objective *o = estate_objective(ev->p->estate, ev->a);
    enum estate_tri multi = posture_multi_write(ev->a);
    if (multi == TRI_YES || (o && o->write_availability >= 0 && o->write_availability <= 99.995)) {
        return VERDICT_PASS;
    }
    if (!o || o->write_availability < 0) {
        eval_miss(ev, "objective write_availability");
    }
    if (multi == TRI_UNKNOWN) {
        eval_miss_attr(ev, ev->a, ATTR_MULTI_WRITE);
    }
    return ev->missing_len > 0 || !o
               ? VERDICT_UNKNOWN
               : eval_fires(ev, "write_availability %.6g is asked of one write region",
                            o->write_availability);
}

enum verdict rule_CDB_008(struct eval *ev)
{
    enum estate_tri multi = is_multi_write(ev);
    if (multi == TRI_NO) {
        return VERDICT_NOT_APPLICABLE;
    }
    struct str policy = eval_text(ev, ev->a, ATTR_CONFLICT_POLICY);
    enum estate_tri read = eval_bool(ev, ev->a, ATTR_CONFLICT_CONSUMER);
    bool is_bad = str_eq(policy, STR("none")) || read == TRI_NO;
    if (multi == TRI_YES && is_bad) {
        return eval_fires(
            ev, "%s", read == TRI_NO ? "conflict_consumer is false" : "conflict_policy is none");
    }
    return eval_end(ev);
}

enum verdict rule_CDB_009(struct eval *ev)
{
    enum verdict v = need_several(ev);
    if (v != VERDICT_PASS) {
        return v;
    }
    const struct estate_value *list = eval_get(ev, ev->a, ATTR_CLIENT_REGIONS);
    for (size_t i = 0; list && i < ev->a->placement_count; i++) {
        if (value_has(list, ev->a->placements[i].region)) {
            continue;
        }
        if (!list->is_open) {
            return eval_fires(ev, "client_regions has no " STR_FMT,
                              STR_ARG(ev->a->placements[i].region));
        }
        eval_miss(ev, "client_regions (may have more)");
    }
    return eval_end(ev);
}

enum verdict rule_CDB_010(struct eval *ev)
{
    enum verdict v = need_several(ev);
    const struct estate_value *serverless = estate_attr(ev->a, ATTR_SERVERLESS);
    if (v != VERDICT_PASS || (serverless->conf != EV_UNKNOWN && serverless->boolean)) {
        return v == VERDICT_PASS ? VERDICT_NOT_APPLICABLE : v;
    }
    const struct estate_value *demand = eval_get(ev, ev->a, ATTR_THROUGHPUT_DEMAND);
    double sum = 0;
    double max = 0;
    for (size_t i = 0; i < ev->a->placement_count; i++) {
        double t = ev->a->placements[i].throughput;
        if (t < 0) {
            eval_miss(ev, "throughput of its regions");
        }
        sum += t > 0 ? t : 0;
        max = t > max ? t : max;
    }
    if (ev->missing_len == 0 && sum - max < demand->number) {
        return eval_fires(ev, "%.6g are left without the largest region, %.6g are needed",
                          sum - max, demand->number);
    }
    return eval_end(ev);
}

enum verdict rule_CDB_011(struct eval *ev)
{
    enum verdict v = need_several(ev);
    if (v != VERDICT_PASS) {
        return v;
    }
    const struct posture_drill *drill = &ev->p->drills[ev->a->idx];
    int64_t limit = ev->p->estate->policy.drill_max_age_ms;
    int64_t age = INT64_MAX;
    if (drill->is_there) {
        age = drill->at_ms > ev->p->at_ms ? 0 : ev->p->at_ms - drill->at_ms;
    }
    if (age > limit) {
        /* A report that is too old does not hide a newer rehearsal of another kind. */
        int64_t stated = eval_age(ev, ev->a, ATTR_LAST_DRILL);
        if (stated < 0 && !drill->is_there) {
            return VERDICT_UNKNOWN;
        }
        ev->missing_len = 0;
        age = stated >= 0 && stated < age ? stated : age;
    }
    if (age == INT64_MAX) {
        return eval_fires(ev, "last_drill is never");
    }
    return age > limit
               ? eval_fires(ev, "the last drill was " STR_FMT " ago, the policy says " STR_FMT,
                            STR_ARG(eval_duration(ev, age)), STR_ARG(eval_duration(ev, limit)))
               : VERDICT_PASS;
}

/* The two that come first in the failover order; priorities are all stated. */
static const struct estate_placement *next_after_primary(const struct estate_asset *a)
{
    const struct estate_placement *first = estate_primary(a);
    const struct estate_placement *next = NULL;
    for (size_t i = 0; i < a->placement_count; i++) {
        const struct estate_placement *p = &a->placements[i];
        if (p != first && (!next || p->priority < next->priority)) {
            next = p;
        }
    }
    return next;
}

enum verdict rule_CDB_012(struct eval *ev)
{
    const struct estate_asset *a = ev->a;
    if (a->placement_count < 2) {
        return need_several(ev);
    }
    size_t stated = 0;
    for (size_t i = 0; i < a->placement_count; i++) {
        stated += a->placements[i].priority >= 0;
        for (size_t k = 0; k < i; k++) {
            const struct estate_placement *p = &a->placements[i];
            if (str_eq(p->region, a->placements[k].region)) {
                return eval_fires(ev, STR_FMT " is there twice", STR_ARG(p->region));
            }
            if (p->priority >= 0 && p->priority == a->placements[k].priority) {
                return eval_fires(ev, STR_FMT " and " STR_FMT " have the same priority",
                                  STR_ARG(a->placements[k].region), STR_ARG(p->region));
            }
        }
    }
    if (posture_multi_write(a) == TRI_YES) {
        return VERDICT_NOT_APPLICABLE;
    }
    if (stated == 0) {
        eval_miss(ev, "priority of its regions");
        return VERDICT_UNKNOWN;
    }
    if (stated < a->placement_count) {
        return eval_fires(ev, "%zu of %zu regions have no priority", a->placement_count - stated,
                          a->placement_count);
    }
    const struct estate_placement *first = estate_primary(a);
    const struct estate_placement *next = next_after_primary(a);
    ASSERT(first && next);
    const struct estate_region *from = estate_find_region(ev->p->estate, first->region);
    const struct estate_region *to = estate_find_region(ev->p->estate, next->region);
    if (from && to && from->outage_domain.n > 0 && str_eq(from->outage_domain, to->outage_domain)) {
        return eval_fires(ev, STR_FMT " and " STR_FMT " are in the outage domain " STR_FMT,
                          STR_ARG(from->name), STR_ARG(to->name), STR_ARG(from->outage_domain));
    }
    return VERDICT_PASS;
}

enum verdict rule_CDB_013(struct eval *ev)
{
    enum estate_tri multi = is_multi_write(ev);
    if (multi == TRI_NO) {
        return VERDICT_NOT_APPLICABLE;
    }
    enum verdict v = zones_verdict(ev);
    if (multi == TRI_UNKNOWN && v == VERDICT_FIRES) {
        eval_miss_attr(ev, ev->a, ATTR_MULTI_WRITE);
        return VERDICT_UNKNOWN;
    }
    return v;
}

enum verdict rule_CDB_014(struct eval *ev)
{
    struct str type = eval_text(ev, ev->a, ATTR_BACKUP_TYPE);
    if (str_eq(type, STR("none"))) {
        return eval_fires(ev, "backup_type is none");
    }
    struct str redundancy = eval_text(ev, ev->a, ATTR_BACKUP_REDUNDANCY);
    if (str_eq(redundancy, STR("local"))) {
        ev->missing_len = 0;
        return eval_fires(ev, "backup_redundancy is local");
    }
    if (str_eq(type, STR("continuous"))) {
        return eval_end(ev);
    }
    const struct estate_value *interval = eval_get(ev, ev->a, ATTR_BACKUP_INTERVAL);
    int64_t rpo = eval_rpo(ev, ev->a);
    if (type.n > 0 && interval && rpo >= 0 && interval->integer > rpo) {
        ev->missing_len = 0;
        return eval_fires(ev, "a backup each " STR_FMT ", the RPO is " STR_FMT,
                          STR_ARG(eval_duration(ev, interval->integer)),
                          STR_ARG(eval_duration(ev, rpo)));
    }
    int64_t keep = ev->p->estate->policy.backup_retention_ms;
    const struct estate_value *kept = keep >= 0 ? eval_get(ev, ev->a, ATTR_BACKUP_RETENTION) : NULL;
    if (type.n > 0 && kept && kept->integer < keep) {
        ev->missing_len = 0;
        return eval_fires(ev, "backups are kept " STR_FMT ", the policy says " STR_FMT,
                          STR_ARG(eval_duration(ev, kept->integer)),
                          STR_ARG(eval_duration(ev, keep)));
    }
    return eval_end(ev);
}
