/* Findings are the same when rule and assets are; what they observed may have changed. One that is gone
 * is called mended only when its rule was decided and did not fire: a finding can also vanish because
 * nobody states its attribute any more, and that is no progress. */
#include "continuity/posture/compare.h"

#include "base/map.h"
#include "json/json.h"

const char *gone_kind_name(enum gone_kind k)
{
    static const char *const names[] = {
        [GONE_MENDED] = "mended",
        [GONE_UNDECIDED] = "cannot be decided any more",
        [GONE_WAIVED] = "waived",
        [GONE_WITH_ASSET] = "its asset is gone",
    };
    return names[k];
}

static struct str key_of(struct arena *a, struct str rule, struct str asset, struct str other)
{
    return arena_printf(a, STR_FMT "%c" STR_FMT "%c" STR_FMT, STR_ARG(rule), '\0', STR_ARG(asset),
                        '\0', STR_ARG(other));
}

static struct str key_of_finding(struct arena *a, const struct report_finding *f)
{
    return key_of(a, str_of(f->rule->id), f->asset->id, f->other ? f->other->id : STR(""));
}

static void note_all(struct arena *a, struct map *m, struct report_finding *all, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)map_put(m, key_of_finding(a, &all[i]), &all[i]);
    }
}

/* ---- findings ---- */

struct sides {
    struct map now, unknown, waived; /* key -> finding */
    struct arena a;
};

static enum gone_kind why_gone(const struct report *r, const struct sides *s, struct str key,
                               struct str asset)
{
    if (map_get(&s->unknown, key)) {
        return GONE_UNDECIDED;
    }
    if (map_get(&s->waived, key)) {
        return GONE_WAIVED;
    }
    return estate_find(r->estate, asset) ? GONE_MENDED : GONE_WITH_ASSET;
}

static enum err compare_findings(struct report *r, struct report_compare *c, struct sides *s,
                                 const struct json *old, struct errinfo *ei)
{
    const struct json *list = json_get(old, STR("findings"));
    if (!list || list->type != JSON_ARRAY) {
        return err_set(ei, ERR_INVALID, "the earlier report has no list of findings");
    }
    c->is_new = ARENA_NEW_ARRAY(&r->arena, bool, r->finding_count + 1);
    for (size_t i = 0; i < r->finding_count; i++) {
        c->is_new[i] = true;
    }
    c->gone = ARENA_NEW_ARRAY(&r->arena, struct compare_gone, list->count + 1);
    for (size_t i = 0; i < list->count; i++) {
        struct compare_gone g = {0};
        const struct json *f = list->items[i];
        if (!json_get_str(f, STR("rule"), &g.rule) || !json_get_str(f, STR("asset"), &g.asset) ||
            !json_get_str(f, STR("severity"), &g.severity)) {
            return err_set(ei, ERR_INVALID,
                           "finding %zu of the earlier report lacks rule, asset or severity", i);
        }
        (void)json_get_str(f, STR("other"), &g.other);
        struct str key = key_of(&s->a, g.rule, g.asset, g.other);
        const struct report_finding *same = map_get(&s->now, key);
        if (same) {
            c->is_new[same - r->findings] = false;
            continue;
        }
        g.kind = why_gone(r, s, key, g.asset);
        g.rule = arena_str(&r->arena, g.rule);
        g.asset = arena_str(&r->arena, g.asset);
        g.other = arena_str(&r->arena, g.other);
        g.severity = arena_str(&r->arena, g.severity);
        c->gone[c->gone_count++] = g;
    }
    for (size_t i = 0; i < r->finding_count; i++) {
        c->new_count += c->is_new[i];
    }
    c->kept_count = r->finding_count - c->new_count;
    return OK;
}

/* ---- figures ---- */

static bool read_figure(const struct json *v, struct figure *ret)
{
    struct str kind;
    *ret = (struct figure){0};
    if (!json_get_str(v, STR("kind"), &kind)) {
        return false;
    }
    for (unsigned k = FIGURE_NOT_STATED; k <= FIGURE_NOT_APPLICABLE; k++) {
        if (str_eq(kind, str_of(figure_kind_name((enum figure_kind)k)))) {
            ret->kind = (enum figure_kind)k;
            bool has_ms = ret->kind == FIGURE_VALUE || ret->kind == FIGURE_AT_LEAST;
            const struct json *ms = json_get(v, STR("ms"));
            return !has_ms || (ms && json_is_integer(ms, &ret->ms));
        }
    }
    return false;
}

static void compare_figures_of(struct report *r, struct report_compare *c, const struct json *old,
                               size_t i, bool is_rto)
{
    const struct report_asset *a = &r->assets[i];
    const struct json *before = json_get(old, is_rto ? STR("rto") : STR("rpo"));
    for (unsigned s = 0; s < FIGURE_SOURCE_COUNT; s++) {
        struct compare_figure f = {.asset = a,
                                   .is_rto = is_rto,
                                   .source = (enum figure_source)s,
                                   .after = is_rto ? a->rto[s] : a->rpo[s]};
        struct str name = str_of(figure_source_name((enum figure_source)s));
        if (read_figure(json_get(before, name), &f.before) &&
            (f.before.kind != f.after.kind || f.before.ms != f.after.ms)) {
            c->figures[c->figure_count++] = f;
        }
    }
}

static void compare_figures(struct report *r, struct report_compare *c, const struct json *old)
{
    const struct json *list = json_get(old, STR("assets"));
    c->figures =
        ARENA_NEW_ARRAY(&r->arena, struct compare_figure, r->asset_count * FIGURE_SOURCE_COUNT * 2);
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
        struct str id;
        const struct estate_asset *a =
            json_get_str(list->items[i], STR("id"), &id) ? estate_find(r->estate, id) : NULL;
        if (a && c->figure_count + 2 * (size_t)FIGURE_SOURCE_COUNT <=
                     r->asset_count * FIGURE_SOURCE_COUNT * 2) {
            compare_figures_of(r, c, list->items[i], a->idx, /* is_rto= */ true);
            compare_figures_of(r, c, list->items[i], a->idx, /* is_rto= */ false);
        }
    }
}

/* ---- the whole ---- */

static enum err check_format(const struct json *old, struct errinfo *ei)
{
    struct str format;
    uint64_t version = 0;
    if (!json_get_str(old, STR("format"), &format) ||
        !str_eq(format, STR("holdfast-assess-report")) ||
        !json_get_u64(old, STR("version"), &version) || version == 0) {
        err_set(ei, ERR_INVALID, "the earlier report is none of this program");
        err_hint(ei, "it is a file written by `holdfast assess --format json --out FILE`");
        return ERR_INVALID;
    }
    if (version > REPORT_VERSION) {
        return err_set(ei, ERR_FORMAT_NEWER, "the earlier report has version %llu, known is %d",
                       (unsigned long long)version, REPORT_VERSION);
    }
    return OK;
}

enum err report_compare_with(struct report *r, struct str earlier, struct errinfo *ei)
{
    struct sides s;
    const struct json_limits limits = {.text_size_max = COMPARE_TEXT_SIZE_MAX};
    const struct json *old = NULL;
    struct report_compare *c = ARENA_NEW(&r->arena, struct report_compare);
    arena_init(&s.a);
    map_init(&s.now);
    map_init(&s.unknown);
    map_init(&s.waived);
    note_all(&s.a, &s.now, r->findings, r->finding_count);
    note_all(&s.a, &s.unknown, r->unknowns, r->unknown_count);
    note_all(&s.a, &s.waived, r->waived, r->waived_count);
    enum err err = json_parse(&s.a, earlier, &limits, &old, ei);
    if (err == OK) {
        err = check_format(old, ei);
    }
    if (err == OK) {
        err = compare_findings(r, c, &s, old, ei);
    }
    if (err == OK) {
        struct str at = STR("");
        (void)json_get_str(old, STR("at"), &at);
        c->at = arena_str(&r->arena, at);
        compare_figures(r, c, old);
        r->compare = c;
    }
    map_done(&s.now);
    map_done(&s.unknown);
    map_done(&s.waived);
    arena_done(&s.a);
    return err;
}

bool report_has_new(const struct report *r, enum severity threshold)
{
    for (size_t i = 0; r->compare && i < r->finding_count; i++) {
        if (r->compare->is_new[i] && r->findings[i].rule->severity >= threshold) {
            return true;
        }
    }
    return false;
}
