/* Estate files: a tree (tree.h) typed by the schema. doc/format/estate.md is the user's page.
 *
 * Every map has a table of its keys; one that is not in it is an error with a suggestion. The tables
 * of asset types and attributes give the rest. Parts are read in a fixed order, whatever theirs in
 * the file: regions before what is in them. */
#include "base/contract.h"
#include "base/files.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/estate_int.h"
#include "continuity/posture/read_int.h"
#include "continuity/posture/tree.h"

/* ---- regions ---- */

static enum err region_pair(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (read_is_word(v, "none")) {
        region->has_pair = TRI_NO;
        return OK;
    }
    struct str name;
    TRY(read_text(r, v, "pair", &name));
    region->has_pair = TRI_YES;
    region->pair = estate_region_normal(&r->e->arena, name);
    return str_eq(region->pair, region->name) ? FAIL(r, v, "a region cannot be its own pair") : OK;
}

static enum err region_zones(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (read_is_word(v, "unknown")) {
        return OK;
    }
    TRY(read_texts(r, v, "zones", &region->zones, &region->zone_count, NULL));
    region->has_zones = region->zone_count > 0 ? TRI_YES : TRI_NO;
    return OK;
}

static enum err region_restricted(struct reader *r, void *to, const struct tree_node *v)
{
    return read_tri(r, v, "restricted", &((struct estate_region *)to)->is_restricted);
}

static enum err region_domain(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "outage_domain", &((struct estate_region *)to)->outage_domain);
}

static enum err region_quota(struct reader *r, void *to, const struct tree_node *v)
{
    return read_is_word(v, "unknown")
               ? OK
               : read_int(r, v, "core_quota", &((struct estate_region *)to)->core_quota);
}

static enum err region_not_offered(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (read_is_word(v, "unknown")) {
        return OK;
    }
    const struct str *names = NULL;
    size_t n = 0;
    TRY(read_texts(r, v, "not_offered", &names, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        enum estate_type type;
        if (!estate_type_find(names[i], &type)) {
            return FAIL(r, v, "not_offered: '" STR_FMT "' is no type of asset",
                        STR_ARG(read_brief(names[i])));
        }
        region->not_offered |= UINT64_C(1) << type;
    }
    region->offers_known = true;
    return OK;
}

static enum err read_region(struct reader *r, const struct tree_node *v)
{
    static const struct read_field fields[] = {
        {"name", NULL, true},
        {"pair", region_pair, false},
        {"zones", region_zones, false},
        {"restricted", region_restricted, false},
        {"outage_domain", region_domain, false},
        {"core_quota", region_quota, false},
        {"not_offered", region_not_offered, false},
    };
    if (v->kind != TREE_MAP || !read_member(v, "name")) {
        return FAIL(r, v, "a region needs name");
    }
    struct str name;
    struct estate_region *region = NULL;
    struct errinfo why = {0};
    TRY(read_text(r, read_member(v, "name"), "name", &name));
    if (estate_find_region(r->e, name)) {
        return FAIL(r, v, "the region '" STR_FMT "' is there twice", STR_ARG(read_brief(name)));
    }
    TRY(read_at_line(r, v->line, estate_region(r->e, name, &region, &why), &why));
    region->line = v->line;
    return read_map(r, v, "a region", fields, ARRAY_COUNT(fields), region);
}

/* The region has to be declared: a misspelt one would otherwise be a new one. */
enum err read_known_region(struct reader *r, const struct tree_node *v, const char *what,
                           struct str *ret)
{
    struct str name;
    TRY(read_text(r, v, what, &name));
    const struct estate_region *region = estate_find_region(r->e, name);
    if (!region) {
        FAIL(r, v, "%s: the region '" STR_FMT "' is not declared", what, STR_ARG(read_brief(name)));
        err_hint(r->ei, "add it to regions at the top of the file");
        return ERR_INVALID;
    }
    *ret = region->name;
    return OK;
}

/* ---- policy, objectives, waivers ---- */

static enum err read_policy(struct reader *r, const struct tree_node *v)
{
    struct estate_policy *p = &r->e->policy;
    if (v->kind != TREE_MAP) {
        return FAIL(r, v, "policy has to be a map (key: value)");
    }
    p->line = v->line;
    for (size_t i = 0; i < v->count; i++) {
        size_t k = 0;
        while (k < estate_policy_row_count &&
               !str_eq(v->pairs[i].key, str_of(estate_policy_rows[k].name))) {
            k++;
        }
        if (k == estate_policy_row_count) {
            return read_unknown_key(r, &v->pairs[i], "policy", NULL, 0);
        }
        const struct estate_policy_row *row = &estate_policy_rows[k];
        TRY((row->is_days ? read_int : read_duration)(r, v->pairs[i].value, row->name,
                                                      estate_policy_at(p, k)));
    }
    return OK;
}

static enum err objective_class(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "class", &((struct estate_objective *)to)->class_name);
}
static enum err objective_rto(struct reader *r, void *to, const struct tree_node *v)
{
    return read_duration(r, v, "rto", &((struct estate_objective *)to)->rto_ms);
}
static enum err objective_rpo(struct reader *r, void *to, const struct tree_node *v)
{
    return read_duration(r, v, "rpo", &((struct estate_objective *)to)->rpo_ms);
}
static enum err objective_availability(struct reader *r, void *to, const struct tree_node *v)
{
    return read_number(r, v, "availability", 100, &((struct estate_objective *)to)->availability);
}
static enum err objective_write(struct reader *r, void *to, const struct tree_node *v)
{
    return read_number(r, v, "write_availability", 100,
                       &((struct estate_objective *)to)->write_availability);
}
static enum err objective_topology(struct reader *r, void *to, const struct tree_node *v)
{
    return read_topology(r, v, &((struct estate_objective *)to)->topology);
}

/* The first row only for those of a class. */
static const struct read_field objective_fields[] = {
    {"class", objective_class, true},
    {"rto", objective_rto, false},
    {"rpo", objective_rpo, false},
    {"availability", objective_availability, false},
    {"write_availability", objective_write, false},
    {"topology", objective_topology, false},
};

enum err read_own_objective(struct reader *r, const struct tree_node *v, struct estate_objective *o)
{
    return read_map(r, v, "an objective", objective_fields + 1, ARRAY_COUNT(objective_fields) - 1,
                    o);
}

static enum err read_objective(struct reader *r, const struct tree_node *v)
{
    struct estate_objective *o = estate_add_objective(r->e);
    if (!o) {
        return FAIL_LIMIT(r, v, "more than %d objectives", ESTATE_OBJECTIVES_MAX);
    }
    o->line = v->line;
    TRY(read_map(r, v, "an objective", objective_fields, ARRAY_COUNT(objective_fields), o));
    for (size_t i = 0; i + 1 < r->e->objective_count; i++) {
        if (str_eq(r->e->objectives[i].class_name, o->class_name)) {
            return FAIL(r, v, "the class '" STR_FMT "' has two objectives", STR_ARG(o->class_name));
        }
    }
    return OK;
}

static enum err waiver_rule(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "rule", &((struct estate_waiver *)to)->rule);
}
static enum err waiver_asset(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "asset", &((struct estate_waiver *)to)->asset);
}
static enum err waiver_reason(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "reason", &((struct estate_waiver *)to)->reason);
}
static enum err waiver_owner(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "owner", &((struct estate_waiver *)to)->owner);
}
static enum err waiver_expires(struct reader *r, void *to, const struct tree_node *v)
{
    return read_time(r, v, "expires", false, &((struct estate_waiver *)to)->expires_ms);
}

static enum err read_waiver(struct reader *r, const struct tree_node *v)
{
    static const struct read_field fields[] = {
        {"rule", waiver_rule, true},       {"asset", waiver_asset, true},
        {"reason", waiver_reason, true},   {"owner", waiver_owner, true},
        {"expires", waiver_expires, true},
    };
    struct estate_waiver *w = estate_add_waiver(r->e);
    if (!w) {
        return FAIL_LIMIT(r, v, "more than %d waivers", ESTATE_WAIVERS_MAX);
    }
    w->line = v->line;
    return read_map(r, v, "a waiver", fields, ARRAY_COUNT(fields), w);
}

/* ---- the file ---- */

static enum err top_version(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    if (!read_is_word(v, "1")) {
        return FAIL(r, v, "version has to be %d: this program knows no other", ESTATE_VERSION);
    }
    return OK;
}
static enum err top_name(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_text(r, v, "name", &r->e->title);
}
static enum err top_regions(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_list(r, v, "regions", read_region);
}
static enum err top_policy(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_policy(r, v);
}
static enum err top_objectives(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_list(r, v, "objectives", read_objective);
}
static enum err top_assets(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_list(r, v, "assets", read_asset);
}
static enum err top_routes(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    r->e->has_routes = true;
    return read_list(r, v, "routes", read_route);
}
static enum err top_runbooks(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    r->e->has_runbooks = true;
    return read_list(r, v, "runbooks", read_runbook);
}
static enum err top_waivers(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return read_list(r, v, "waivers", read_waiver);
}

static enum err read_top(struct reader *r, struct str text)
{
    static const struct read_field fields[] = {
        {"version", top_version, true},        {"name", top_name, false},
        {"regions", top_regions, false},       {"policy", top_policy, false},
        {"objectives", top_objectives, false}, {"assets", top_assets, true},
        {"routes", top_routes, false},         {"runbooks", top_runbooks, false},
        {"waivers", top_waivers, false},
    };
    const struct tree_node *root = NULL;
    TRY(tree_read(&r->tree, text, r->e->source, ESTATE_TEXT_SIZE_MAX, &root, r->ei));
    TRY(read_map(r, root, "an estate", fields, ARRAY_COUNT(fields), NULL));
    return estate_finish(r->e, ESTATE_REFS_MUST_RESOLVE, r->ei);
}

enum err estate_read(struct str text, struct str source, struct estate **ret, struct errinfo *ei)
{
    struct reader r = {.e = estate_new(source), .ei = ei};
    arena_init(&r.tree);
    enum err err = read_top(&r, text);
    arena_done(&r.tree);
    if (err != OK) {
        estate_free(r.e);
        return err;
    }
    *ret = r.e;
    return OK;
}

enum err estate_read_file(const char *path, struct estate **ret, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, ESTATE_TEXT_SIZE_MAX);
    enum err err = files_read(path, &text, ei);
    if (err == OK) {
        err = estate_read(buf_str(&text), str_of(path), ret, ei);
    }
    buf_done(&text);
    return err;
}
