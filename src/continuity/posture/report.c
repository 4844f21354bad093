/* Puts a report together: figures, outcomes, findings, waivers. */
#include "continuity/posture/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/figures_int.h"

static const char *const caveats[] = {
    "SLA percentages are refund promises, not measured probabilities.",
    "Failures are assumed to be independent; what both regions need is entered once, outside the "
    "parallel term.",
    "Only assets on the critical path enter; telemetry is not on it unless the estate says so.",
    NULL,
};

/* ---- drill reports ---- */

static enum err read_drills(struct posture *p, const struct report_opts *opts, struct errinfo *ei)
{
    for (size_t i = 0; i < p->estate->asset_count; i++) {
        const struct estate_asset *a = p->estate->assets[i];
        const struct estate_value *v = estate_attr(a, ATTR_DRILL_REPORTS);
        for (size_t k = 0; k < v->count; k++) {
            bool is_relative = opts->dir && v->items[k].n > 0 && v->items[k].p[0] != '/';
            struct str path =
                is_relative ? arena_printf(p->arena, "%s/" STR_FMT, opts->dir, STR_ARG(v->items[k]))
                            : v->items[k];
            TRY(drill_report_read(p, a, arena_cstr(p->arena, path), v->items[k], ei));
        }
    }
    for (size_t i = 0; i < opts->drill_count; i++) {
        const struct estate_asset *a = estate_find(p->estate, opts->drills[i].asset);
        if (!a) {
            return err_set(ei, ERR_USAGE,
                           "a drill report is given for '" STR_FMT "', which is not in the estate",
                           STR_ARG(opts->drills[i].asset));
        }
        TRY(drill_report_read(p, a, arena_cstr(p->arena, opts->drills[i].path),
                              opts->drills[i].path, ei));
    }
    return OK;
}

/* ---- assets ---- */

static void places_of(const struct posture *p, struct report_asset *ra)
{
    const struct estate_asset *a = ra->asset;
    const struct estate_value *copies = estate_attr(a, ATTR_COPY_IN);
    size_t max = a->placement_count + copies->count + 2;
    ra->places = ARENA_NEW_ARRAY(p->arena, struct report_place, max);
    const struct estate_placement *first = estate_primary(a);
    for (size_t i = 0; i < a->placement_count; i++) {
        const struct estate_placement *at = &a->placements[i];
        enum estate_tri zones = at->is_zone_redundant;
        if (zones == TRI_UNKNOWN && at == first && a->zones_conf != EV_UNKNOWN) {
            zones = a->zone_count > 1 ? TRI_YES : TRI_NO;
        }
        bool is_active = at == first || posture_multi_write(a) == TRI_YES;
        ra->places[ra->place_count++] =
            (struct report_place){at->region, is_active ? PLACE_PRIMARY : PLACE_SECONDARY, zones};
    }
    for (size_t i = 0; i < copies->count; i++) {
        ra->places[ra->place_count++] =
            (struct report_place){copies->items[i], PLACE_COPY, TRI_UNKNOWN};
    }
    if (estate_type_has(a->type, ATTR_REDUNDANCY) && first && a->placement_count == 1 &&
        posture_is_geo(estate_attr(a, ATTR_REDUNDANCY))) {
        struct region_fact f = posture_region(p, first->region);
        if (f.has_pair == TRI_YES) {
            ra->places[ra->place_count++] = (struct report_place){f.pair, PLACE_COPY, TRI_UNKNOWN};
        }
    }
    if (ra->place_count == 0) {
        ra->places[ra->place_count++] = (struct report_place){STR(""), PLACE_PRIMARY, TRI_UNKNOWN};
    }
}

static void assess_asset(const struct posture *p, struct report *r, size_t i)
{
    struct report_asset *ra = &r->assets[i];
    const struct estate_asset *a = p->estate->assets[i];
    const struct estate_type_row *type = estate_type_row(a->type);
    enum estate_confidence conf;
    ra->asset = a;
    ra->objective = estate_objective(p->estate, a);
    ra->topology = posture_topology(p, a, &conf);
    ra->topology_is_stated = conf == EV_KNOWN;
    ra->is_critical_path = is_on_path(a);
    ra->is_stateful = type->flags & TYPE_STATEFUL;
    ra->peer = posture_peer(p, a).asset;
    places_of(p, ra);
    figures_of(p, a, ra->rto, ra->rpo);
    const struct estate_objective *o = ra->objective;
    bool has_rto = o && o->rto_ms >= 0;
    bool has_rpo = o && o->rpo_ms >= 0;
    ra->meets_rto = has_rto ? figures_meet(ra->rto) : TRI_UNKNOWN;
    ra->meets_rpo = has_rpo ? figures_meet(ra->rpo) : TRI_UNKNOWN;
    if (!has_rto && !has_rpo) {
        return;
    }
    r->objective_count++;
    bool misses = (has_rto && ra->meets_rto == TRI_NO) || (has_rpo && ra->meets_rpo == TRI_NO);
    bool is_unknown =
        (has_rto && ra->meets_rto == TRI_UNKNOWN) || (has_rpo && ra->meets_rpo == TRI_UNKNOWN);
    r->objectives_met_count += !misses && !is_unknown;
    r->objectives_unknown_count += !misses && is_unknown;
}

/* Every region once, for the assets whose primary it is. */
static void assess_today(const struct posture *p, struct report *r)
{
    const struct estate *e = p->estate;
    struct report_outcome *outcomes = MEM_NEW_ARRAY(struct report_outcome, e->asset_count + 1);
    for (size_t k = 0; k < e->region_count; k++) {
        struct str region = e->regions[k]->name;
        bool is_home = false;
        for (size_t i = 0; i < e->asset_count && !is_home; i++) {
            const struct estate_placement *home = estate_primary(e->assets[i]);
            is_home = home && str_eq(home->region, region);
        }
        if (!is_home) {
            continue;
        }
        outcomes_of(p, r->assets, region, STR_NONE, outcomes);
        for (size_t i = 0; i < e->asset_count; i++) {
            const struct estate_placement *home = estate_primary(e->assets[i]);
            if (home && str_eq(home->region, region)) {
                r->assets[i].today = outcomes[i];
            }
        }
    }
    for (size_t i = 0; i < e->asset_count; i++) {
        if (!estate_primary(e->assets[i]) &&
            !(estate_type_row(e->assets[i]->type)->flags & TYPE_REGIONLESS)) {
            r->assets[i].today.effect = EFFECT_UNKNOWN;
            r->assets[i].today.why = STR("its region is not stated");
        }
    }
    mem_free(outcomes);
}

static enum err assess_what_if(const struct posture *p, struct str lose, struct report *r,
                               struct errinfo *ei)
{
    struct report_what_if *w = &r->what_if;
    if (lose.n == 0) {
        return OK;
    }
    struct str kind;
    struct str what = STR_NONE;
    struct str name;
    bool has_colon = str_split(lose, ':', &kind, &what);
    bool is_zone = str_eq(kind, STR("zone"));
    if (!has_colon || (!is_zone && !str_eq(kind, STR("region")))) {
        err_set(ei, ERR_USAGE, "--lose '" STR_FMT "' names neither a region nor a zone",
                STR_ARG(str_slice(lose, 0, 80)));
        err_hint(ei, "region:NAME or zone:REGION/ZONE");
        return ERR_USAGE;
    }
    struct str zone = STR_NONE;
    name = what;
    if (is_zone && !str_split(what, '/', &name, &zone)) {
        return err_set(ei, ERR_USAGE, "--lose zone needs a region and a zone: zone:REGION/ZONE");
    }
    const struct estate_region *region = estate_find_region(p->estate, name);
    if (!region) {
        return err_set(ei, ERR_USAGE, "the estate has no region '" STR_FMT "'",
                       STR_ARG(str_slice(name, 0, 80)));
    }
    bool is_there = !is_zone || region->has_zones == TRI_UNKNOWN;
    for (size_t i = 0; i < region->zone_count && !is_there; i++) {
        is_there = str_eq(region->zones[i], zone);
    }
    if (!is_there || (is_zone && zone.n == 0)) {
        return err_set(ei, ERR_USAGE, "the region " STR_FMT " has no zone '" STR_FMT "'",
                       STR_ARG(region->name), STR_ARG(str_slice(zone, 0, 40)));
    }
    w->kind = is_zone ? WHAT_ZONE : WHAT_REGION;
    w->region = region->name;
    w->zone = arena_str(p->arena, zone);
    w->outcomes = ARENA_NEW_ARRAY(p->arena, struct report_outcome, r->asset_count + 1);
    outcomes_of(p, r->assets, w->region, w->zone, w->outcomes);
    for (size_t i = 0; i < r->asset_count; i++) {
        w->count[w->outcomes[i].effect]++;
    }
    return OK;
}

/* ---- findings ---- */

struct finding_list {
    struct report_finding *items;
    size_t count;
    size_t cap;
};

static void push(struct arena *a, struct finding_list *l, const struct report_finding *f)
{
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct report_finding *bigger = ARENA_NEW_ARRAY(a, struct report_finding, cap);
        if (l->count > 0) {
            memcpy(bigger, l->items, l->count * sizeof(*bigger));
        }
        l->items = bigger;
        l->cap = cap;
    }
    l->items[l->count++] = *f;
}

static enum err check_waivers(const struct posture *p, struct report *r, struct errinfo *ei)
{
    const struct estate *e = p->estate;
    r->waivers = ARENA_NEW_ARRAY(p->arena, struct report_waiver, e->waiver_count + 1);
    r->waiver_count = e->waiver_count;
    for (size_t i = 0; i < e->waiver_count; i++) {
        const struct estate_waiver *w = &e->waivers[i];
        if (!rule_find(w->rule)) {
            return err_set(ei, ERR_INVALID, STR_FMT ":%u: there is no rule '" STR_FMT "' to waive",
                           STR_ARG(e->source), w->line, STR_ARG(str_slice(w->rule, 0, 40)));
        }
        r->waivers[i] = (struct report_waiver){
            w, w->expires_ms <= p->at_ms ? WAIVER_EXPIRED : WAIVER_UNUSED, 0};
    }
    return OK;
}

/* The waiver that holds for a finding now. Expired ones are only counted. */
static const struct estate_waiver *waiver_for(struct report *r, const struct report_finding *f)
{
    const struct estate_waiver *found = NULL;
    for (size_t i = 0; i < r->waiver_count; i++) {
        struct report_waiver *rw = &r->waivers[i];
        const struct estate_waiver *w = rw->waiver;
        if (!str_eq(w->rule, str_of(f->rule->id)) ||
            !(str_eq(w->asset, STR("*")) || str_eq(w->asset, f->asset->id))) {
            continue;
        }
        rw->finding_count++;
        if (rw->state != WAIVER_EXPIRED) {
            rw->state = WAIVER_USED;
            found = found ? found : w;
        }
    }
    return found;
}

/* Worst first; then by asset as in the file; then by rule. */
static int by_weight(const void *x, const void *y)
{
    const struct report_finding *a = x;
    const struct report_finding *b = y;
    if (a->rule->severity != b->rule->severity) {
        return a->rule->severity > b->rule->severity ? -1 : 1;
    }
    if (a->asset->idx != b->asset->idx) {
        return a->asset->idx < b->asset->idx ? -1 : 1;
    }
    return strcmp(a->rule->id, b->rule->id);
}

static void run_rules(const struct posture *p, struct report *r)
{
    struct finding_list fires = {0};
    struct finding_list unknown = {0};
    struct finding_list waived = {0};
    for (size_t i = 0; i < r->asset_count; i++) {
        for (unsigned k = 0; k < RULE_COUNT; k++) {
            struct eval ev;
            enum verdict v = rule_eval(p, (enum rule)k, p->estate->assets[i], &ev);
            if (v != VERDICT_FIRES && v != VERDICT_UNKNOWN) {
                continue;
            }
            struct report_finding f = {
                .rule = rule_info(k),
                .asset = ev.a,
                .other = ev.other,
                .status = v == VERDICT_FIRES ? FINDING_FIRES : FINDING_UNKNOWN,
                .confidence = v == VERDICT_FIRES ? ev.conf : EV_UNKNOWN,
                .observed = v == VERDICT_FIRES ? ev.observed : STR_NONE,
                .line = ev.line,
            };
            if (v == VERDICT_UNKNOWN) {
                f.missing = arena_str(p->arena, str_make(ev.missing, ev.missing_len));
            }
            f.waiver = waiver_for(r, &f);
            if (f.waiver) {
                push(p->arena, &waived, &f);
            } else if (v == VERDICT_FIRES) {
                push(p->arena, &fires, &f);
                r->assets[i].finding_count[f.rule->severity]++;
                r->count[f.rule->severity]++;
            } else {
                push(p->arena, &unknown, &f);
                r->assets[i].unknown_count++;
            }
        }
    }
    struct finding_list *lists[] = {&fires, &unknown, &waived};
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        if (lists[i]->count > 1) {
            qsort(lists[i]->items, lists[i]->count, sizeof(*lists[i]->items), by_weight);
        }
    }
    r->findings = fires.items;
    r->finding_count = fires.count;
    r->unknowns = unknown.items;
    r->unknown_count = unknown.count;
    r->waived = waived.items;
    r->waived_count = waived.count;
}

/* ---- all ---- */

static enum err build(struct report *r, const struct report_opts *opts, struct errinfo *ei)
{
    struct posture p;
    posture_init(&p, &r->arena, r->estate, opts->at_ms);
    TRY(read_drills(&p, opts, ei));
    TRY(check_waivers(&p, r, ei));
    r->asset_count = r->estate->asset_count;
    r->assets = ARENA_NEW_ARRAY(&r->arena, struct report_asset, r->asset_count + 1);
    for (size_t i = 0; i < r->asset_count; i++) {
        assess_asset(&p, r, i);
    }
    assess_today(&p, r);
    TRY(assess_what_if(&p, opts->lose, r, ei));
    run_rules(&p, r);
    slas_of(&p, r);
    r->caveats = caveats;
    return OK;
}

enum err report_build(const struct estate *e, const struct report_opts *opts, struct report **ret,
                      struct errinfo *ei)
{
    struct report *r = MEM_NEW(struct report);
    arena_init(&r->arena);
    r->estate = e;
    r->at_ms = opts->at_ms;
    enum err err = build(r, opts, ei);
    if (err != OK) {
        report_free(r);
        return err;
    }
    *ret = r;
    return OK;
}

void report_free(struct report *r)
{
    if (r) {
        arena_done(&r->arena);
        mem_free(r);
    }
}

bool report_fails(const struct report *r, enum severity threshold)
{
    for (unsigned s = threshold; s < SEVERITY_COUNT; s++) {
        if (r->count[s] > 0) {
            return true;
        }
    }
    return false;
}
