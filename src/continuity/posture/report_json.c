/* The report as JSON, doc/format/assess-report.md. Members are never renamed or given another meaning
 * within one version; new ones may come. */
#include "base/contract.h"
#include "continuity/posture/compare.h"
#include "json/json.h"

static void asset_member(struct json_out *o, const char *key, const struct estate_asset *a)
{
    json_out_key(o, key);
    if (a) {
        json_out_str(o, a->id);
    } else {
        json_out_null(o);
    }
}

/* true, false, or null for not known. */
static void tri_member(struct json_out *o, const char *key, enum estate_tri t)
{
    json_out_key(o, key);
    if (t == TRI_UNKNOWN) {
        json_out_null(o);
    } else {
        json_out_bool(o, t == TRI_YES);
    }
}

static void time_member(struct json_out *o, const char *key, int64_t ms)
{
    struct buf text;
    buf_init(&text, 64);
    estate_write_time(&text, ms);
    json_out_member_str(o, key, buf_str(&text));
    buf_done(&text);
}

const char *figure_kind_name(enum figure_kind k)
{
    static const char *const names[] = {
        [FIGURE_NOT_STATED] = "not_stated", [FIGURE_UNKNOWN] = "unknown",
        [FIGURE_VALUE] = "value",           [FIGURE_AT_LEAST] = "at_least",
        [FIGURE_UNBOUNDED] = "unbounded",   [FIGURE_NOT_APPLICABLE] = "not_applicable",
    };
    return names[k];
}

static void figure_member(struct json_out *o, const char *key, const struct figure *f)
{
    json_out_key(o, key);
    json_out_object(o);
    json_out_member_cstr(o, "kind", figure_kind_name(f->kind));
    if (f->kind == FIGURE_VALUE || f->kind == FIGURE_AT_LEAST) {
        json_out_member_i64(o, "ms", f->ms);
    }
    if (f->how.n > 0) {
        json_out_member_str(o, "how", f->how);
    }
    json_out_object_end(o);
}

static void figures_member(struct json_out *o, const char *key,
                           const struct figure f[FIGURE_SOURCE_COUNT])
{
    json_out_key(o, key);
    json_out_object(o);
    for (unsigned s = 0; s < FIGURE_SOURCE_COUNT; s++) {
        figure_member(o, figure_source_name((enum figure_source)s), &f[s]);
    }
    json_out_object_end(o);
}

static const char *effect_word(enum effect e)
{
    static const char *const words[] = {
        [EFFECT_NONE] = "none",         [EFFECT_GOES_ON] = "goes_on",
        [EFFECT_DEGRADED] = "degraded", [EFFECT_FAILS_OVER] = "fails_over",
        [EFFECT_UNKNOWN] = "unknown",   [EFFECT_NEEDS_HANDS] = "needs_people",
        [EFFECT_STOPS] = "stops",
    };
    return words[e];
}

static void outcome_members(struct json_out *o, const struct report_outcome *x)
{
    json_out_member_cstr(o, "effect", effect_word(x->effect));
    asset_member(o, "because", x->because);
    json_out_member_str(o, "why", x->why);
    figure_member(o, "data_lost", &x->loss);
    figure_member(o, "down", &x->down);
    json_out_member_str(o, "action", x->action);
    json_out_member_str(o, "who", x->who);
}

/* ---- parts ---- */

static void waiver_members(struct json_out *o, const struct estate_waiver *w)
{
    json_out_member_str(o, "rule", w->rule);
    json_out_member_str(o, "asset", w->asset);
    json_out_member_str(o, "reason", w->reason);
    json_out_member_str(o, "owner", w->owner);
    time_member(o, "expires", w->expires_ms);
}

static const char *confidence_name(enum estate_confidence c)
{
    static const char *const names[] = {
        [EV_UNKNOWN] = "unknown", [EV_INFERRED] = "inferred", [EV_KNOWN] = "known"};
    return names[c];
}

static void write_finding(struct json_out *o, const struct report *r,
                          const struct report_finding *f)
{
    bool fires = f->status == FINDING_FIRES;
    json_out_object(o);
    json_out_member_cstr(o, "rule", f->rule->id);
    json_out_member_cstr(o, "severity", severity_name(f->rule->severity));
    json_out_member_str(o, "asset", f->asset->id);
    asset_member(o, "other", f->other);
    json_out_member_cstr(o, "status", fires ? "fires" : "unknown");
    json_out_member_cstr(o, "confidence", confidence_name(f->confidence));
    json_out_member_cstr(o, "title", f->rule->title);
    if (fires) {
        json_out_member_str(o, "observed", f->observed);
        json_out_member_cstr(o, "expected", f->rule->expected);
        json_out_member_cstr(o, "why", f->rule->why);
        json_out_member_cstr(o, "remedy", f->rule->remedy);
    } else {
        json_out_member_str(o, "missing", f->missing);
    }
    json_out_member_cstr(o, "sources", f->rule->sources);
    json_out_member_u64(o, "line", f->line);
    if (r->compare && fires && !f->waiver) {
        json_out_member_bool(o, "new", r->compare->is_new[f - r->findings]);
    }
    if (f->waiver) {
        json_out_key(o, "waiver");
        json_out_object(o);
        waiver_members(o, f->waiver);
        json_out_object_end(o);
    }
    json_out_object_end(o);
}

static void write_findings(struct json_out *o, const struct report *r, const char *key,
                           const struct report_finding *f, size_t n)
{
    json_out_key(o, key);
    json_out_array(o);
    for (size_t i = 0; i < n; i++) {
        write_finding(o, r, &f[i]);
    }
    json_out_array_end(o);
}

static void write_waivers(struct json_out *o, const struct report *r)
{
    static const char *const states[] = {
        [WAIVER_USED] = "used", [WAIVER_EXPIRED] = "expired", [WAIVER_UNUSED] = "unused"};
    json_out_key(o, "waivers");
    json_out_array(o);
    for (size_t i = 0; i < r->waiver_count; i++) {
        json_out_object(o);
        waiver_members(o, r->waivers[i].waiver);
        json_out_member_cstr(o, "state", states[r->waivers[i].state]);
        json_out_member_u64(o, "findings", r->waivers[i].finding_count);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void write_places(struct json_out *o, const struct report_asset *ra)
{
    static const char *const roles[] = {
        [PLACE_PRIMARY] = "primary", [PLACE_SECONDARY] = "secondary", [PLACE_COPY] = "copy"};
    json_out_key(o, "places");
    json_out_array(o);
    for (size_t i = 0; i < ra->place_count; i++) {
        json_out_object(o);
        json_out_member_str(o, "region", ra->places[i].region);
        json_out_member_cstr(o, "role", roles[ra->places[i].role]);
        tri_member(o, "zone_redundant", ra->places[i].is_zone_redundant);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static const char *ha_name(enum estate_ha ha)
{
    static const char *const names[] = {[HA_SILENT] = "not stated",
                                        [HA_NO] = "no",
                                        [HA_YES] = "yes",
                                        [HA_NOT_APPLICABLE] = "not applicable"};
    return names[ha];
}

static void write_service(struct json_out *o, const struct estate_type_row *t)
{
    json_out_key(o, "service");
    json_out_object(o);
    json_out_member_cstr(o, "title", t->title);
    json_out_member_cstr(o, "run_by", estate_party_name(t->runs));
    json_out_member_cstr(o, "available_by_default", ha_name(t->ha));
    json_out_member_cstr(o, "replicated_by", estate_party_name(t->geo));
    json_out_member_cstr(o, "configuration", t->config);
    json_out_member_cstr(o, "limits", t->limits);
    json_out_member_cstr(o, "sources", t->sources);
    json_out_key(o, "successor");
    if (t->successor) {
        json_out_cstr(o, t->successor);
    } else {
        json_out_null(o);
    }
    json_out_object_end(o);
}

static void write_asset(struct json_out *o, const struct report_asset *ra)
{
    const struct estate_asset *a = ra->asset;
    json_out_object(o);
    json_out_member_str(o, "id", a->id);
    json_out_member_cstr(o, "type", estate_type_row(a->type)->name);
    json_out_member_str(o, "name", a->name);
    json_out_member_str(o, "owner", a->owner);
    json_out_member_str(o, "class", a->class_name);
    json_out_member_u64(o, "line", a->line);
    write_places(o, ra);
    asset_member(o, "peer", ra->peer);
    json_out_member_cstr(o, "topology", estate_topology_name(ra->topology));
    json_out_member_bool(o, "topology_stated", ra->topology_is_stated);
    json_out_member_bool(o, "critical_path", ra->is_critical_path);
    json_out_member_bool(o, "stateful", ra->is_stateful);
    write_service(o, estate_type_row(a->type));
    figures_member(o, "rto", ra->rto);
    figures_member(o, "rpo", ra->rpo);
    tri_member(o, "meets_rto", ra->meets_rto);
    tri_member(o, "meets_rpo", ra->meets_rpo);
    json_out_key(o, "region_loss_today");
    json_out_object(o);
    outcome_members(o, &ra->today);
    json_out_object_end(o);
    json_out_object_end(o);
}

static void write_slas(struct json_out *o, const struct report *r)
{
    json_out_key(o, "sla_composed");
    json_out_array(o);
    for (size_t i = 0; i < r->sla_count; i++) {
        const struct report_sla *s = &r->slas[i];
        json_out_object(o);
        json_out_member_str(o, "asset", s->asset->id);
        json_out_member_cstr(o, "operation", s->operation);
        json_out_member_bool(o, "known", s->is_known == TRI_YES);
        if (s->is_known == TRI_YES) {
            json_out_key(o, "percent");
            json_out_double(o, s->percent);
            json_out_key(o, "downtime_min_per_year");
            json_out_double(o, s->downtime_min_per_year);
        } else {
            json_out_member_str(o, "missing", s->missing);
        }
        json_out_member_str(o, "formula", s->formula);
        json_out_member_str(o, "note", s->note);
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

static void write_what_if(struct json_out *o, const struct report *r)
{
    const struct report_what_if *w = &r->what_if;
    json_out_key(o, "what_if");
    if (w->kind == WHAT_NOTHING) {
        json_out_null(o);
        return;
    }
    json_out_object(o);
    json_out_member_cstr(o, "kind", w->kind == WHAT_ZONE ? "zone" : "region");
    json_out_member_str(o, "region", w->region);
    if (w->kind == WHAT_ZONE) {
        json_out_member_str(o, "zone", w->zone);
    }
    json_out_key(o, "count");
    json_out_object(o);
    for (unsigned e = 0; e < EFFECT_COUNT; e++) {
        json_out_member_u64(o, effect_word((enum effect)e), w->count[e]);
    }
    json_out_object_end(o);
    json_out_key(o, "outcomes");
    json_out_array(o);
    for (size_t i = 0; i < r->asset_count; i++) {
        json_out_object(o);
        json_out_member_str(o, "asset", r->assets[i].asset->id);
        outcome_members(o, &w->outcomes[i]);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void write_comparison(struct json_out *o, const struct report *r)
{
    const struct report_compare *c = r->compare;
    json_out_key(o, "comparison");
    json_out_object(o);
    json_out_member_str(o, "with", c->at);
    json_out_member_u64(o, "new", c->new_count);
    json_out_member_u64(o, "kept", c->kept_count);
    json_out_key(o, "gone");
    json_out_array(o);
    for (size_t i = 0; i < c->gone_count; i++) {
        const struct compare_gone *g = &c->gone[i];
        json_out_object(o);
        json_out_member_str(o, "rule", g->rule);
        json_out_member_str(o, "severity", g->severity);
        json_out_member_str(o, "asset", g->asset);
        json_out_member_str(o, "other", g->other);
        json_out_member_cstr(o, "how", gone_kind_name(g->kind));
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_key(o, "figures");
    json_out_array(o);
    for (size_t i = 0; i < c->figure_count; i++) {
        const struct compare_figure *f = &c->figures[i];
        json_out_object(o);
        json_out_member_str(o, "asset", f->asset->asset->id);
        json_out_member_cstr(o, "figure", f->is_rto ? "rto" : "rpo");
        json_out_member_cstr(o, "source", figure_source_name(f->source));
        figure_member(o, "before", &f->before);
        figure_member(o, "after", &f->after);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void write_summary(struct json_out *o, const struct report *r)
{
    json_out_key(o, "summary");
    json_out_object(o);
    json_out_member_u64(o, "assets", r->asset_count);
    json_out_member_u64(o, "regions", r->estate->region_count);
    json_out_key(o, "findings");
    json_out_object(o);
    for (unsigned s = SEVERITY_COUNT; s-- > 0;) {
        json_out_member_u64(o, severity_name((enum severity)s), r->count[s]);
    }
    json_out_object_end(o);
    json_out_member_u64(o, "unknown", r->unknown_count);
    json_out_member_u64(o, "waived", r->waived_count);
    json_out_member_u64(o, "with_objective", r->objective_count);
    json_out_member_u64(o, "objective_met", r->objectives_met_count);
    json_out_member_u64(o, "objective_unknown", r->objectives_unknown_count);
    json_out_object_end(o);
}

void report_write_json(const struct report *r, struct buf *out)
{
    struct json_out w;
    struct json_out *o = &w;
    json_out_init(o, out);
    json_out_object(o);
    json_out_member_cstr(o, "format", "holdfast-assess-report");
    json_out_member_u64(o, "version", REPORT_VERSION);
    json_out_member_cstr(o, "tool", "holdfast " HF_VERSION);
    json_out_member_str(o, "estate", r->estate->source);
    json_out_member_str(o, "name", r->estate->title);
    time_member(o, "at", r->at_ms);
    write_summary(o, r);
    write_findings(o, r, "findings", r->findings, r->finding_count);
    write_findings(o, r, "unknowns", r->unknowns, r->unknown_count);
    write_findings(o, r, "waived", r->waived, r->waived_count);
    write_waivers(o, r);
    json_out_key(o, "assets");
    json_out_array(o);
    for (size_t i = 0; i < r->asset_count; i++) {
        write_asset(o, &r->assets[i]);
    }
    json_out_array_end(o);
    write_slas(o, r);
    write_what_if(o, r);
    if (r->compare) {
        write_comparison(o, r);
    }
    json_out_key(o, "caveats");
    json_out_array(o);
    for (size_t i = 0; r->caveats[i]; i++) {
        json_out_cstr(o, r->caveats[i]);
    }
    json_out_array_end(o);
    json_out_object_end(o);
    buf_add_char(out, '\n');
}
