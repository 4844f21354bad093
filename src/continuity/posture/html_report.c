/* The report as one page, in the order in which it is asked about: what a loss would do, where
 * everything is, what to mend, what nobody knows, what was accepted, and the figures with what they
 * rest on. Tables say everything that the picture shows. */
#include <stdio.h>

#include "continuity/html.h"
#include "continuity/posture/compare.h"
#include "continuity/posture/picture.h"

enum { CELL_SIZE_MAX = 1 << 16 };

/* Our own words, too: a rule may say "RPO < 15 min". */
static void words(struct buf *out, const char *text)
{
    html_text(out, str_of(text));
}

static void cell(struct buf *out, struct str text)
{
    buf_add_cstr(out, "<td>");
    html_text(out, text);
    buf_add_cstr(out, "</td>");
}

static void cell_or_dash(struct buf *out, struct str text)
{
    cell(out, text.n > 0 ? text : STR("\xe2\x80\x93"));
}

static void tag(struct buf *out, const char *class, const char *sign, const char *word)
{
    buf_printf(out, "<span class=\"tag %s\">%s%s%s</span>", class, sign, sign[0] ? " " : "", word);
}

static const char *severity_class(enum severity s)
{
    static const char *const classes[SEVERITY_COUNT] = {
        [SEVERITY_LOW] = "mild",
        [SEVERITY_MEDIUM] = "info",
        [SEVERITY_HIGH] = "warn",
        [SEVERITY_CRITICAL] = "bad",
    };
    return classes[s];
}

static struct str label(const struct estate_asset *a)
{
    return a->name.n > 0 ? a->name : a->id;
}

static void asset_cell(struct buf *out, const struct estate_asset *a)
{
    buf_add_cstr(out, "<td>");
    html_text(out, label(a));
    buf_add_cstr(out, "<p class=\"dim\">");
    words(out, estate_type_row(a->type)->title);
    if (a->name.n > 0) {
        buf_add_cstr(out, ", <code>");
        html_text(out, a->id);
        buf_add_cstr(out, "</code>");
    }
    buf_add_cstr(out, "</p></td>");
}

static void table_begin(struct buf *out, const char *const *heads, size_t n)
{
    buf_add_cstr(out, "<div class=\"scroll\"><table><thead><tr>");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "<th scope=\"col\">%s</th>", heads[i]);
    }
    buf_add_cstr(out, "</tr></thead><tbody>\n");
}

static void table_end(struct buf *out)
{
    buf_add_cstr(out, "</tbody></table></div>\n");
}

#define TABLE_BEGIN(out, ...)                                                                      \
    do {                                                                                           \
        static const char *const heads[] = {__VA_ARGS__};                                          \
        table_begin(out, heads, sizeof(heads) / sizeof(heads[0]));                                 \
    } while (0)

static void figure_text(struct buf *out, const struct figure *f)
{
    struct buf b;
    buf_init(&b, CELL_SIZE_MAX);
    figure_write(&b, f);
    html_text(out, buf_str(&b));
    buf_done(&b);
}

static void time_text(struct buf *out, int64_t ms)
{
    struct buf b;
    buf_init(&b, 64);
    estate_write_time(&b, ms);
    html_text(out, buf_str(&b));
    buf_done(&b);
}

/* ---- top ---- */

static void card(struct buf *out, size_t n, const char *of, const char *what, const char *class)
{
    buf_printf(out, "<div class=\"card\"><b>%zu%s</b><span class=\"tag %s\">%s</span></div>\n", n,
               of, class, what);
}

static void write_top(const struct report *r, struct buf *out)
{
    struct str title = r->estate->title.n > 0 ? r->estate->title : r->estate->source;
    char of[32];
    buf_add_cstr(out, "<h1>What would a loss cost ");
    html_text(out, title);
    buf_add_cstr(out, "?</h1>\n<p class=\"dim\">Assessed ");
    time_text(out, r->at_ms);
    buf_add_cstr(out, " from <code>");
    html_text(out, r->estate->source);
    buf_printf(out, "</code> by holdfast %s: %zu assets in %zu regions.</p>\n", HF_VERSION,
               r->asset_count, r->estate->region_count);
    buf_add_cstr(out, "<div class=\"cards\">\n");
    for (size_t i = SEVERITY_COUNT; i-- > 0;) {
        enum severity s = (enum severity)i;
        card(out, r->count[s], "", severity_name(s), severity_class(s));
    }
    card(out, r->unknown_count, "", "cannot be decided", "info");
    card(out, r->waived_count, "", "waived", "mild");
    (void)snprintf(of, sizeof(of), " / %zu", r->objective_count);
    card(out, r->objectives_met_count, of, "assets meet their objective", "mild");
    buf_add_cstr(out, "</div>\n");
}

/* ---- losses ---- */

static void outcome_row(const struct report_asset *a, const struct report_outcome *o,
                        struct buf *out)
{
    buf_add_cstr(out, "<tr><td>");
    tag(out, picture_effect_class(o->effect), picture_effect_sign(o->effect),
        effect_name(o->effect));
    buf_add_cstr(out, "</td>");
    asset_cell(out, a->asset);
    buf_add_cstr(out, "<td>");
    html_text(out, o->why);
    if (o->because) {
        buf_add_cstr(out, "<p class=\"dim\">because of ");
        html_text(out, label(o->because));
        buf_add_cstr(out, "</p>");
    }
    buf_add_cstr(out, "</td><td>");
    figure_text(out, &o->loss);
    buf_add_cstr(out, "</td><td>");
    figure_text(out, &o->down);
    buf_add_cstr(out, "</td>");
    cell_or_dash(out, o->action);
    cell_or_dash(out, o->who);
    buf_add_cstr(out, "</tr>\n");
}

/* Worst first, within one effect in the order of the file. */
static void outcome_rows(const struct report *r, const struct report_outcome *outcomes,
                         struct buf *out)
{
    TABLE_BEGIN(out, "Effect", "Asset", "Why", "Data lost", "Down for", "What to do", "Who");
    for (size_t e = EFFECT_COUNT; e-- > EFFECT_NONE + 1;) {
        for (size_t i = 0; i < r->asset_count; i++) {
            const struct report_outcome *o = outcomes ? &outcomes[i] : &r->assets[i].today;
            if ((size_t)o->effect == e) {
                outcome_row(&r->assets[i], o, out);
            }
        }
    }
    table_end(out);
}

static void write_what_if(const struct report *r, struct buf *out)
{
    const struct report_what_if *w = &r->what_if;
    buf_printf(out, "<h2 id=\"loss\">If %s ", w->kind == WHAT_REGION ? "region" : "zone");
    if (w->kind == WHAT_ZONE) {
        html_text(out, w->zone);
        buf_add_cstr(out, " of ");
    }
    html_text(out, w->region);
    buf_add_cstr(out, " is lost</h2>\n<div class=\"cards\">\n");
    for (size_t e = EFFECT_COUNT; e-- > 0;) {
        if (w->count[e] > 0) {
            card(out, w->count[e], "", effect_name((enum effect)e),
                 picture_effect_class((enum effect)e));
        }
    }
    buf_add_cstr(out, "</div>\n");
    outcome_rows(r, w->outcomes, out);
}

/* How each region's loss would end for the assets that have their first place there. */
static void write_today(const struct report *r, struct buf *out)
{
    buf_add_cstr(out,
                 "<h2 id=\"today\">What the loss of each region would do today</h2>\n"
                 "<p>Each asset is counted in the region where it takes writes or serves.</p>\n"
                 "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Region</th>");
    for (size_t e = EFFECT_COUNT; e-- > 0;) {
        buf_printf(out, "<th scope=\"col\" class=\"num\">%s</th>", effect_name((enum effect)e));
    }
    buf_add_cstr(out, "</tr></thead><tbody>\n");
    for (size_t g = 0; g < r->estate->region_count; g++) {
        size_t count[EFFECT_COUNT] = {0};
        size_t total = 0;
        for (size_t i = 0; i < r->asset_count; i++) {
            const struct report_asset *a = &r->assets[i];
            if (a->place_count > 0 && str_eq(a->places[0].region, r->estate->regions[g]->name)) {
                count[a->today.effect]++;
                total++;
            }
        }
        if (total == 0) {
            continue;
        }
        buf_add_cstr(out, "<tr>");
        cell(out, r->estate->regions[g]->name);
        for (size_t e = EFFECT_COUNT; e-- > 0;) {
            buf_printf(out, "<td class=\"num\">%zu</td>", count[e]);
        }
        buf_add_cstr(out, "</tr>\n");
    }
    table_end(out);
    buf_add_cstr(out, "<details><summary>Asset by asset</summary>\n");
    outcome_rows(r, NULL, out);
    buf_add_cstr(out, "</details>\n");
}

/* ---- findings ---- */

static void finding_row(const struct report_finding *f, bool is_new, struct buf *out)
{
    static const char *const confidence[] = {"unknown", "inferred", "known"};
    const struct rule_info *rule = f->rule;
    buf_add_cstr(out, "<tr><td>");
    tag(out, severity_class(rule->severity), "", severity_name(rule->severity));
    buf_printf(out, "<p class=\"mono\">%s</p>%s</td>", rule->id,
               is_new ? "<span class=\"tag warn\">new</span>" : "");
    asset_cell(out, f->asset);
    buf_add_cstr(out, "<td>");
    if (f->status == FINDING_UNKNOWN) {
        words(out, rule->title);
        buf_add_cstr(out, "?<p class=\"dim\">State: <code>");
        html_text(out, f->missing);
        buf_add_cstr(out, "</code></p>");
    } else {
        html_text(out, f->observed);
        buf_add_cstr(out, "<p class=\"dim\">Expected: ");
        words(out, rule->expected);
        buf_add_cstr(out, ". ");
        words(out, rule->why);
        buf_add_cstr(out, ".</p>");
    }
    if (f->other) {
        buf_add_cstr(out, "<p class=\"dim\">With ");
        html_text(out, label(f->other));
        buf_add_cstr(out, "</p>");
    }
    buf_add_cstr(out, "</td>");
    cell(out, str_of(rule->remedy));
    cell_or_dash(out, f->asset->owner);
    buf_printf(out, "<td>%s<p class=\"dim\">source %s", confidence[f->confidence], rule->sources);
    if (f->line > 0) {
        buf_printf(out, ", line %u", f->line);
    }
    buf_add_cstr(out, "</p></td></tr>\n");
}

static void finding_rows(const struct report_finding *all, size_t n, const bool *is_new,
                         struct buf *out)
{
    TABLE_BEGIN(out, "Rule", "Asset", "Observed", "Remedy", "Owner", "Confidence");
    for (size_t i = 0; i < n; i++) {
        finding_row(&all[i], is_new && is_new[i], out);
    }
    table_end(out);
}

static void write_findings(const struct report *r, struct buf *out)
{
    buf_printf(out, "<h2 id=\"findings\">Findings (%zu)</h2>\n", r->finding_count);
    if (r->finding_count > 0) {
        finding_rows(r->findings, r->finding_count, r->compare ? r->compare->is_new : NULL, out);
    } else {
        buf_add_cstr(out, "<p>No rule fires on what is known.</p>\n");
    }
    buf_printf(out,
               "<h2 id=\"unknowns\">What cannot be decided (%zu)</h2>\n<p>A missing attribute is "
               "never taken as good.</p>\n",
               r->unknown_count);
    if (r->unknown_count > 0) {
        buf_add_cstr(out,
                     r->unknown_count > 20 ? "<details><summary>Show them</summary>\n" : "<div>\n");
        finding_rows(r->unknowns, r->unknown_count, NULL, out);
        buf_add_cstr(out, r->unknown_count > 20 ? "</details>\n" : "</div>\n");
    }
}

static void write_waivers(const struct report *r, struct buf *out)
{
    static const char *const states[] = {"holds", "expired: counts again", "nothing to waive"};
    static const char *const classes[] = {"mild", "bad", "info"};
    if (r->waiver_count == 0) {
        return;
    }
    buf_printf(out, "<h2 id=\"waivers\">Waivers (%zu)</h2>\n", r->waiver_count);
    TABLE_BEGIN(out, "State", "Rule", "Asset", "Reason", "Owner", "Expires", "Findings");
    for (size_t i = 0; i < r->waiver_count; i++) {
        const struct report_waiver *w = &r->waivers[i];
        buf_add_cstr(out, "<tr><td>");
        tag(out, classes[w->state], "", states[w->state]);
        buf_add_cstr(out, "</td>");
        cell(out, w->waiver->rule);
        cell(out, w->waiver->asset);
        cell(out, w->waiver->reason);
        cell(out, w->waiver->owner);
        buf_add_cstr(out, "<td>");
        time_text(out, w->waiver->expires_ms);
        buf_printf(out, "</td><td class=\"num\">%zu</td></tr>\n", w->finding_count);
    }
    table_end(out);
}

/* ---- comparison ---- */

static void gone_rows(const struct report_compare *c, struct buf *out)
{
    TABLE_BEGIN(out, "Gone", "Rule", "Asset", "How");
    for (size_t i = 0; i < c->gone_count; i++) {
        const struct compare_gone *g = &c->gone[i];
        buf_add_cstr(out, "<tr>");
        cell(out, g->severity);
        cell(out, g->rule);
        cell(out, g->asset);
        buf_add_cstr(out, "<td>");
        tag(out, g->kind == GONE_MENDED ? "ok" : "info", "", gone_kind_name(g->kind));
        buf_add_cstr(out, "</td></tr>\n");
    }
    table_end(out);
}

static void changed_figures(const struct report_compare *c, struct buf *out)
{
    TABLE_BEGIN(out, "Asset", "Figure", "Before", "Now");
    for (size_t i = 0; i < c->figure_count; i++) {
        const struct compare_figure *f = &c->figures[i];
        buf_add_cstr(out, "<tr>");
        asset_cell(out, f->asset->asset);
        buf_printf(out, "<td>%s %s</td><td>", f->is_rto ? "RTO" : "RPO",
                   figure_source_name(f->source));
        figure_text(out, &f->before);
        buf_add_cstr(out, "</td><td>");
        figure_text(out, &f->after);
        buf_add_cstr(out, "</td></tr>\n");
    }
    table_end(out);
}

static void write_comparison(const struct report *r, struct buf *out)
{
    const struct report_compare *c = r->compare;
    if (!c) {
        return;
    }
    buf_add_cstr(out, "<h2 id=\"changes\">Since the report of ");
    html_text(out, c->at);
    buf_printf(out, "</h2>\n<p>%zu findings are new, %zu were there, %zu are gone.</p>\n",
               c->new_count, c->kept_count, c->gone_count);
    if (c->gone_count > 0) {
        gone_rows(c, out);
    }
    if (c->figure_count > 0) {
        changed_figures(c, out);
    }
}

/* ---- figures ---- */

static void figure_cells(const struct figure figures[FIGURE_SOURCE_COUNT], enum estate_tri meets,
                         struct buf *out)
{
    for (size_t i = 0; i < FIGURE_SOURCE_COUNT; i++) {
        buf_add_cstr(out, "<td>");
        figure_text(out, &figures[i]);
        if (figures[i].how.n > 0) {
            buf_add_cstr(out, "<p class=\"dim\">");
            html_text(out, figures[i].how);
            buf_add_cstr(out, "</p>");
        }
        buf_add_cstr(out, "</td>");
    }
    buf_add_cstr(out, "<td>");
    if (figures[BY_OBJECTIVE].kind == FIGURE_VALUE) {
        tag(out,
            meets == TRI_YES  ? "ok"
            : meets == TRI_NO ? "bad"
                              : "info",
            "",
            meets == TRI_YES  ? "met"
            : meets == TRI_NO ? "missed"
                              : "unknown");
    }
    buf_add_cstr(out, "</td>");
}

static bool has_figures(const struct report_asset *a)
{
    return a->objective || a->is_stateful || a->is_critical_path ||
           a->rto[BY_MEASUREMENT].kind != FIGURE_NOT_STATED;
}

static void write_figures(const struct report *r, struct buf *out)
{
    buf_add_cstr(
        out, "<h2 id=\"figures\">Recovery: four figures, never mixed</h2>\n<p>Objective: what is "
             "wanted. Estimated: from the configuration. Current: from live lag or the last "
             "archived position. Measured: in the last drill or incident.</p>\n");
    TABLE_BEGIN(out, "Asset", "", "Objective", "Estimated", "Current", "Measured", "");
    for (size_t i = 0; i < r->asset_count; i++) {
        const struct report_asset *a = &r->assets[i];
        if (!has_figures(a)) {
            continue;
        }
        buf_add_cstr(out, "<tr>");
        asset_cell(out, a->asset);
        buf_add_cstr(out, "<td>RTO</td>");
        figure_cells(a->rto, a->meets_rto, out);
        buf_add_cstr(out, "</tr>\n<tr><td></td><td>RPO</td>");
        figure_cells(a->rpo, a->meets_rpo, out);
        buf_add_cstr(out, "</tr>\n");
    }
    table_end(out);
}

static void write_slas(const struct report *r, struct buf *out)
{
    if (r->sla_count == 0) {
        return;
    }
    buf_add_cstr(out,
                 "<h2 id=\"sla\">SLA-composed figures</h2>\n<p>Composed of promises to refund, "
                 "not of probabilities.</p>\n");
    TABLE_BEGIN(out, "Asset", "Operation", "SLA-composed", "Minutes a year", "Formula", "Note");
    for (size_t i = 0; i < r->sla_count; i++) {
        const struct report_sla *s = &r->slas[i];
        buf_add_cstr(out, "<tr>");
        asset_cell(out, s->asset);
        cell(out, str_of(s->operation));
        if (s->is_known == TRI_YES) {
            buf_printf(out, "<td class=\"num\">%.8g %%</td><td class=\"num\">%.4g</td>", s->percent,
                       s->downtime_min_per_year);
            cell(out, s->formula);
        } else {
            buf_add_cstr(out, "<td>unknown</td><td></td><td>no figure for ");
            html_text(out, s->missing);
            buf_add_cstr(out, "</td>");
        }
        cell_or_dash(out, s->note);
        buf_add_cstr(out, "</tr>\n");
    }
    table_end(out);
    buf_add_cstr(out, "<ul class=\"dim\">\n");
    for (const char *const *c = r->caveats; c && *c; c++) {
        buf_add_cstr(out, "<li>");
        words(out, *c);
        buf_add_cstr(out, "</li>\n");
    }
    buf_add_cstr(out, "</ul>\n");
}

void report_write_html(const struct report *r, struct buf *out)
{
    struct str title = r->estate->title.n > 0 ? r->estate->title : r->estate->source;
    html_begin(out, title);
    write_top(r, out);
    write_comparison(r, out);
    if (r->what_if.kind != WHAT_NOTHING) {
        write_what_if(r, out);
    }
    write_today(r, out);
    buf_add_cstr(out, "<h2 id=\"picture\">The estate over its regions</h2>\n");
    picture_write(r, out);
    write_findings(r, out);
    write_waivers(r, out);
    write_figures(r, out);
    write_slas(r, out);
    html_end(out);
}
