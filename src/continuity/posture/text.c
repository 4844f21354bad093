/* The report for a terminal. Sections in the order of need: what a loss would do, what is wrong, what
 * is not known, then the figures. Texts wrap at the width; ids are never cut. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "continuity/posture/compare.h"

enum {
    WIDTH_DEFAULT = 100,
    WIDTH_MIN = 60,
    ID_WIDTH_MAX = 28, /* longer ids push their row to the right */
};

enum colour {
    PLAIN,
    BOLD,
    DIM,
    RED,
    YELLOW,
    GREEN,
    BLUE,
};

struct writer {
    const struct report *r;
    struct buf *out;
    bool has_colour;
    size_t width;
    size_t id_width;
    struct arena arena; /* of this text */
};

static void colour(struct writer *w, enum colour c)
{
    static const char *const codes[] = {
        [PLAIN] = "\033[0m",   [BOLD] = "\033[1m",   [DIM] = "\033[2m",  [RED] = "\033[31m",
        [YELLOW] = "\033[33m", [GREEN] = "\033[32m", [BLUE] = "\033[36m"};
    if (w->has_colour) {
        buf_add_cstr(w->out, codes[c]);
    }
}

static void heading(struct writer *w, const char *text)
{
    buf_add_char(w->out, '\n');
    colour(w, BOLD);
    buf_add_cstr(w->out, text);
    colour(w, PLAIN);
    buf_add_char(w->out, '\n');
}

/* Columns of UTF-8 text: its code points (wide characters are not looked at). */
static size_t columns(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    }
    return n;
}

static void pad(struct writer *w, struct str s, size_t width)
{
    buf_add_str(w->out, s);
    size_t n = columns(s);
    while (n++ < width) {
        buf_add_char(w->out, ' ');
    }
}

/* `text` after `label`, wrapped between words and indented. Nothing when it is empty. */
static void wrapped(struct writer *w, size_t indent, const char *label, struct str text)
{
    if (text.n == 0) {
        return;
    }
    size_t at = indent + strlen(label);
    size_t hang = at;
    buf_printf(w->out, "%*s%s", (int)indent, "", label);
    bool is_first = true;
    while (text.n > 0) {
        struct str word;
        struct str rest = STR_NONE;
        if (!str_split(text, ' ', &word, &rest)) {
            rest = STR_NONE;
        }
        size_t n = columns(word);
        if (!is_first && at + 1 + n > w->width) {
            buf_printf(w->out, "\n%*s", (int)hang, "");
            at = hang;
            is_first = true;
        }
        if (!is_first) {
            buf_add_char(w->out, ' ');
            at++;
        }
        buf_add_str(w->out, word);
        at += n;
        is_first = false;
        text = rest;
    }
    buf_add_char(w->out, '\n');
}

static struct str figure_str(const struct figure *f, struct buf *tmp)
{
    buf_clear(tmp);
    figure_write(tmp, f);
    return buf_str(tmp);
}

/* ---- losses ---- */

static enum colour effect_colour(enum effect e)
{
    if (e >= EFFECT_NEEDS_HANDS) {
        return RED;
    }
    return e >= EFFECT_DEGRADED ? YELLOW : GREEN;
}

static void outcome(struct writer *w, const struct report_asset *ra, const struct report_outcome *o)
{
    struct buf tmp;
    buf_init(&tmp, 256);
    const struct estate_placement *home = estate_primary(ra->asset);
    buf_add_cstr(w->out, "  ");
    pad(w, ra->asset->id, w->id_width);
    buf_add_char(w->out, ' ');
    pad(w, home ? home->region : STR("-"), 16);
    buf_add_char(w->out, ' ');
    colour(w, effect_colour(o->effect));
    pad(w, str_of(effect_name(o->effect)), 12);
    colour(w, PLAIN);
    buf_add_cstr(w->out, " data lost ");
    pad(w, o->effect == EFFECT_NONE ? STR("-") : figure_str(&o->loss, &tmp), 12);
    buf_add_cstr(w->out, " down ");
    buf_add_str(w->out, o->effect == EFFECT_NONE ? STR("-") : figure_str(&o->down, &tmp));
    buf_add_char(w->out, '\n');
    wrapped(w, 6, "", o->why);
    if (o->action.n > 0) {
        wrapped(w, 6, "do: ", o->action);
        wrapped(w, 6, "who: ", o->who);
    }
    buf_done(&tmp);
}

static bool is_told(const struct report_asset *ra)
{
    return ra->asset->type != TYPE_RUNBOOK && ra->asset->type != TYPE_ROLE_ASSIGNMENT &&
           ra->asset->type != TYPE_CICD_PIPELINE;
}

static void today(struct writer *w)
{
    heading(w, "If its region were lost today");
    for (size_t i = 0; i < w->r->asset_count; i++) {
        const struct report_asset *ra = &w->r->assets[i];
        if (is_told(ra) && ra->today.effect != EFFECT_NONE) {
            outcome(w, ra, &ra->today);
        }
    }
}

static void what_if(struct writer *w)
{
    const struct report_what_if *wi = &w->r->what_if;
    if (wi->kind == WHAT_NOTHING) {
        return;
    }
    buf_add_char(w->out, '\n');
    colour(w, BOLD);
    buf_printf(w->out, "What if %s " STR_FMT "%s" STR_FMT " is lost",
               wi->kind == WHAT_ZONE ? "zone" : "region", STR_ARG(wi->region),
               wi->kind == WHAT_ZONE ? "/" : "", STR_ARG(wi->zone));
    colour(w, PLAIN);
    buf_add_char(w->out, '\n');
    for (unsigned e = EFFECT_COUNT; e-- > EFFECT_NONE;) {
        if (wi->count[e] == 0) {
            continue;
        }
        buf_printf(w->out, "  %zu %s\n", wi->count[e], effect_name((enum effect)e));
    }
    for (unsigned e = EFFECT_COUNT; e-- > EFFECT_GOES_ON;) {
        for (size_t i = 0; i < w->r->asset_count; i++) {
            if (wi->outcomes[i].effect == e && is_told(&w->r->assets[i])) {
                outcome(w, &w->r->assets[i], &wi->outcomes[i]);
            }
        }
    }
}

/* ---- findings ---- */

static enum colour severity_colour(enum severity s)
{
    return s == SEVERITY_CRITICAL || s == SEVERITY_HIGH ? RED
           : s == SEVERITY_MEDIUM                       ? YELLOW
                                                        : BLUE;
}

static void finding(struct writer *w, const struct report_finding *f)
{
    buf_add_cstr(w->out, "  ");
    colour(w, severity_colour(f->rule->severity));
    buf_printf(w->out, "%-8s", severity_name(f->rule->severity));
    colour(w, PLAIN);
    buf_printf(w->out, " %-11s ", f->rule->id);
    colour(w, BOLD);
    buf_add_str(w->out, f->asset->id);
    colour(w, PLAIN);
    if (f->line > 0) {
        buf_printf(w->out, " (line %u)", f->line);
    }
    buf_add_char(w->out, '\n');
    wrapped(w, 6, "", str_of(f->rule->title));
    wrapped(w, 6, f->confidence == EV_INFERRED ? "seen (inferred): " : "seen: ", f->observed);
    wrapped(w, 6, "why:  ", str_of(f->rule->why));
    wrapped(w, 6, "do:   ", str_of(f->rule->remedy));
}

static void findings(struct writer *w)
{
    heading(w, "Findings");
    for (size_t i = 0; i < w->r->finding_count; i++) {
        finding(w, &w->r->findings[i]);
    }
    if (w->r->finding_count == 0) {
        buf_add_cstr(w->out, "  none\n");
    }
}

/* For each asset in file order what to state, and which rules wait for it. The unknowns are sorted by
 * weight: assets are picked out through their counts. */
static void unknowns(struct writer *w)
{
    if (w->r->unknown_count == 0) {
        return;
    }
    heading(w, "Not known (never counted as good)");
    size_t n = w->r->asset_count;
    /* Start of each asset's unknowns when ordered by asset: a counting sort. */
    size_t *start = ARENA_NEW_ARRAY(&w->arena, size_t, n + 2);
    const struct report_finding **sorted =
        ARENA_NEW_ARRAY(&w->arena, const struct report_finding *, w->r->unknown_count + 1);
    for (size_t i = 0; i < w->r->unknown_count; i++) {
        start[w->r->unknowns[i].asset->idx + 1]++;
    }
    for (size_t i = 0; i < n; i++) {
        start[i + 1] += start[i];
    }
    for (size_t i = 0; i < w->r->unknown_count; i++) {
        sorted[start[w->r->unknowns[i].asset->idx]++] = &w->r->unknowns[i];
    }
    const struct estate_asset *last = NULL;
    for (size_t i = 0; i < w->r->unknown_count; i++) {
        const struct report_finding *f = sorted[i];
        if (f->asset != last) {
            last = f->asset;
            buf_add_cstr(w->out, "  ");
            colour(w, BOLD);
            buf_add_str(w->out, f->asset->id);
            colour(w, PLAIN);
            buf_printf(w->out, " (%s)\n", estate_type_row(f->asset->type)->name);
        }
        buf_printf(w->out, "      %-11s %-8s state ", f->rule->id,
                   severity_name(f->rule->severity));
        buf_add_str(w->out, f->missing);
        buf_add_char(w->out, '\n');
    }
}

static void waivers(struct writer *w)
{
    static const char *const states[] = {[WAIVER_USED] = "holds",
                                         [WAIVER_EXPIRED] = "EXPIRED",
                                         [WAIVER_UNUSED] = "unused: delete it"};
    if (w->r->waiver_count == 0) {
        return;
    }
    heading(w, "Waivers");
    for (size_t i = 0; i < w->r->waiver_count; i++) {
        const struct report_waiver *rw = &w->r->waivers[i];
        buf_printf(w->out, "  " STR_FMT " on " STR_FMT ", %s, until ", STR_ARG(rw->waiver->rule),
                   STR_ARG(rw->waiver->asset), states[rw->state]);
        estate_write_time(w->out, rw->waiver->expires_ms);
        buf_printf(w->out, " (" STR_FMT ")\n", STR_ARG(rw->waiver->owner));
        wrapped(w, 6, "", rw->waiver->reason);
    }
}

/* ---- figures ---- */

static void figure_row(struct writer *w, const struct report_asset *ra, const char *what,
                       const struct figure f[FIGURE_SOURCE_COUNT], enum estate_tri meets)
{
    struct buf tmp;
    buf_init(&tmp, 256);
    buf_add_cstr(w->out, "  ");
    pad(w, ra->asset->id, w->id_width);
    buf_printf(w->out, " %s ", what);
    for (unsigned s = 0; s < FIGURE_SOURCE_COUNT; s++) {
        bool is_last = s + 1 == FIGURE_SOURCE_COUNT && f[BY_OBJECTIVE].kind != FIGURE_VALUE;
        pad(w, figure_str(&f[s], &tmp), is_last ? 0 : 13);
        buf_add_cstr(w->out, is_last ? "" : " ");
    }
    if (f[BY_OBJECTIVE].kind == FIGURE_VALUE) {
        colour(w, meets == TRI_YES ? GREEN : meets == TRI_NO ? RED : YELLOW);
        buf_add_cstr(w->out, meets == TRI_YES ? "met" : meets == TRI_NO ? "MISSED" : "not known");
        colour(w, PLAIN);
    }
    buf_add_char(w->out, '\n');
    buf_done(&tmp);
}

/* Something is asked of it, or something is known. */
static bool has_figures(const struct figure f[FIGURE_SOURCE_COUNT])
{
    return f[BY_OBJECTIVE].kind == FIGURE_VALUE || f[BY_CURRENT].kind == FIGURE_VALUE ||
           (f[BY_MEASUREMENT].kind != FIGURE_NOT_STATED &&
            f[BY_MEASUREMENT].kind != FIGURE_NOT_APPLICABLE);
}

static void recovery(struct writer *w)
{
    heading(w, "Recovery: objective, estimated, current, measured");
    buf_add_cstr(w->out, "  ");
    pad(w, STR("asset"), w->id_width);
    buf_add_cstr(w->out, "     objective     estimated     current       measured\n");
    for (size_t i = 0; i < w->r->asset_count; i++) {
        const struct report_asset *ra = &w->r->assets[i];
        if (has_figures(ra->rto)) {
            figure_row(w, ra, "RTO", ra->rto, ra->meets_rto);
        }
        if (has_figures(ra->rpo)) {
            figure_row(w, ra, "RPO", ra->rpo, ra->meets_rpo);
        }
    }
    buf_printf(w->out, "  %zu of %zu assets with an objective meet it; for %zu it is not known\n",
               w->r->objectives_met_count, w->r->objective_count, w->r->objectives_unknown_count);
}

static void slas(struct writer *w)
{
    if (w->r->sla_count == 0) {
        return;
    }
    heading(w, "SLA-composed");
    for (size_t i = 0; i < w->r->sla_count; i++) {
        const struct report_sla *s = &w->r->slas[i];
        buf_add_cstr(w->out, "  ");
        pad(w, s->asset->id, w->id_width);
        buf_printf(w->out, " %-5s ", s->operation);
        if (s->is_known == TRI_YES) {
            buf_printf(w->out, "%.6f %%  (%.2f min a year)\n", s->percent,
                       s->downtime_min_per_year);
        } else {
            buf_printf(w->out, "not known: state " STR_FMT "\n", STR_ARG(s->missing));
        }
        wrapped(w, 6, "= ", s->is_known == TRI_YES ? s->formula : STR_NONE);
        wrapped(w, 6, "", s->note);
    }
    for (size_t i = 0; w->r->caveats[i]; i++) {
        wrapped(w, 2, "note: ", str_of(w->r->caveats[i]));
    }
}

static void retired(struct writer *w)
{
    bool is_first = true;
    for (size_t i = 0; i < w->r->asset_count; i++) {
        const struct estate_asset *a = w->r->assets[i].asset;
        const struct estate_type_row *t = estate_type_row(a->type);
        if (t->successor) {
            if (is_first) {
                heading(w, "Retired services");
            }
            is_first = false;
            buf_printf(w->out, "  " STR_FMT ": %s; successor: %s\n", STR_ARG(a->id), t->title,
                       t->successor);
        }
    }
}

static void compare_figure_row(struct writer *w, const struct compare_figure *f)
{
    buf_add_cstr(w->out, "  ");
    pad(w, f->asset->asset->id, w->id_width);
    buf_printf(w->out, " %s %s: ", f->is_rto ? "RTO" : "RPO", figure_source_name(f->source));
    figure_write(w->out, &f->before);
    buf_add_cstr(w->out, " -> ");
    figure_write(w->out, &f->after);
    buf_add_char(w->out, '\n');
}

static void comparison(struct writer *w)
{
    const struct report_compare *c = w->r->compare;
    if (!c) {
        return;
    }
    heading(w, "Since the earlier report");
    buf_printf(w->out, "  " STR_FMT ": %zu findings are new, %zu were there, %zu are gone\n",
               STR_ARG(c->at), c->new_count, c->kept_count, c->gone_count);
    for (size_t i = 0; i < w->r->finding_count; i++) {
        const struct report_finding *f = &w->r->findings[i];
        if (c->is_new[i]) {
            buf_printf(w->out, "  new   %s " STR_FMT ": " STR_FMT "\n", f->rule->id,
                       STR_ARG(f->asset->id), STR_ARG(f->observed));
        }
    }
    for (size_t i = 0; i < c->gone_count; i++) {
        const struct compare_gone *g = &c->gone[i];
        buf_printf(w->out, "  gone  " STR_FMT " " STR_FMT ": %s\n", STR_ARG(g->rule),
                   STR_ARG(g->asset), gone_kind_name(g->kind));
    }
    for (size_t i = 0; i < c->figure_count; i++) {
        compare_figure_row(w, &c->figures[i]);
    }
}

static void summary(struct writer *w)
{
    buf_add_char(w->out, '\n');
    for (unsigned s = SEVERITY_COUNT; s-- > 0;) {
        colour(w, w->r->count[s] > 0 ? severity_colour((enum severity)s) : DIM);
        buf_printf(w->out, "%zu %s", w->r->count[s], severity_name((enum severity)s));
        colour(w, PLAIN);
        buf_add_cstr(w->out, s > 0 ? ", " : "");
    }
    buf_printf(w->out, "; %zu not known, %zu waived\n", w->r->unknown_count, w->r->waived_count);
}

void report_write_text(const struct report *r, const struct report_style *style, struct buf *out)
{
    struct writer w = {.r = r, .out = out, .has_colour = style->colour};
    arena_init(&w.arena);
    w.width = style->width == 0          ? WIDTH_DEFAULT
              : style->width < WIDTH_MIN ? WIDTH_MIN
                                         : style->width;
    for (size_t i = 0; i < r->asset_count; i++) {
        size_t n = columns(r->assets[i].asset->id);
        w.id_width = n > w.id_width && n <= ID_WIDTH_MAX ? n : w.id_width;
    }
    colour(&w, BOLD);
    buf_add_str(out, r->estate->title.n > 0 ? r->estate->title : r->estate->source);
    colour(&w, PLAIN);
    buf_printf(out, ": %zu assets in %zu regions, assessed ", r->asset_count,
               r->estate->region_count);
    estate_write_time(out, r->at_ms);
    buf_add_char(out, '\n');
    what_if(&w);
    if (r->what_if.kind == WHAT_NOTHING) {
        today(&w);
    }
    findings(&w);
    unknowns(&w);
    waivers(&w);
    retired(&w);
    recovery(&w);
    slas(&w);
    comparison(&w);
    summary(&w);
    arena_done(&w.arena);
}
