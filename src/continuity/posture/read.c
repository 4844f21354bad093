/* Estate files: a tree (tree.h) typed by the schema. doc/format/estate.md is the user's page.
 *
 * Every map has a table of its keys; one that is not in it is an error with a suggestion. The tables
 * of asset types and attributes give the rest. Parts are read in a fixed order, whatever theirs in
 * the file: regions before what is in them. */
#include <stdarg.h>
#include <stdio.h>

#include "base/contract.h"
#include "base/files.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/estate_int.h"
#include "continuity/posture/tree.h"
#include "json/json.h"

struct reader {
    struct estate *e;
    struct errinfo *ei;
    struct arena tree; /* of the text's tree: freed after reading */
};

#define FAIL(r, node, ...)       fail_at((r), (node)->line, ERR_INVALID, __VA_ARGS__)
#define FAIL_LIMIT(r, node, ...) fail_at((r), (node)->line, ERR_LIMIT, __VA_ARGS__)

static enum err fail_at(struct reader *r, unsigned line, enum err code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static enum err fail_at(struct reader *r, unsigned line, enum err code, const char *fmt, ...)
{
    va_list ap;
    char text[ERRINFO_MESSAGE_SIZE];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(r->ei, code, STR_FMT ":%u: %s", STR_ARG(r->e->source), line, text);
}

/* Puts the line before a message of the model's. */
static enum err at_line(struct reader *r, unsigned line, enum err err, const struct errinfo *why)
{
    if (err != OK) {
        (void)fail_at(r, line, err, "%s", why->message);
    }
    return err;
}

/* At most this much of a text from the file goes into a message. */
static struct str brief(struct str s)
{
    return str_slice(s, 0, 60);
}

/* ---- scalars ---- */

static bool is_plain_word(const struct tree_node *v, const char *word)
{
    return v->kind == TREE_SCALAR && v->is_plain && str_eq(v->text, str_of(word));
}

/* What YAML would take for something that is no text. */
static bool is_surprise(const struct tree_node *v)
{
    static const char *const words[] = {"",   "~",  "null", "true", "false", "yes",
                                        "no", "on", "off",  "y",    "n"};
    for (size_t i = 0; i < ARRAY_COUNT(words) && v->is_plain; i++) {
        if (str_eq_nocase(v->text, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool has_bad_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
            (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}

static enum err get_text(struct reader *r, const struct tree_node *v, const char *what,
                         struct str *ret)
{
    if (v->kind != TREE_SCALAR) {
        return FAIL(r, v, "%s has to be a text", what);
    }
    if (is_surprise(v)) {
        FAIL(r, v, "%s has to be a text, not '" STR_FMT "'", what, STR_ARG(v->text));
        err_hint(r->ei, "put it in quotes if it is meant as a text");
        return ERR_INVALID;
    }
    if (v->text.n > ESTATE_STRING_SIZE_MAX) {
        return FAIL_LIMIT(r, v, "%s is longer than %d bytes", what, ESTATE_STRING_SIZE_MAX);
    }
    if (has_bad_control(v->text)) {
        return FAIL(r, v, "%s has control characters", what);
    }
    *ret = estate_copy(r->e, str_trim(v->text));
    return ret->n > 0 ? OK : FAIL(r, v, "%s is empty", what);
}

static enum err get_bool(struct reader *r, const struct tree_node *v, const char *what, bool *ret)
{
    *ret = is_plain_word(v, "true");
    return *ret || is_plain_word(v, "false") ? OK : FAIL(r, v, "%s has to be true or false", what);
}

static enum err get_tri(struct reader *r, const struct tree_node *v, const char *what,
                        enum estate_tri *ret)
{
    if (is_plain_word(v, "unknown")) {
        *ret = TRI_UNKNOWN;
        return OK;
    }
    bool b = false;
    TRY(get_bool(r, v, what, &b));
    *ret = b ? TRI_YES : TRI_NO;
    return OK;
}

static enum err get_int(struct reader *r, const struct tree_node *v, const char *what, int64_t *ret)
{
    uint64_t u = 0;
    if (v->kind != TREE_SCALAR || !v->is_plain || !str_to_u64(v->text, &u) || u > INT32_MAX ||
        (v->text.n > 1 && v->text.p[0] == '0')) {
        return FAIL(r, v, "%s has to be a whole number from 0 to %d, in decimal", what, INT32_MAX);
    }
    *ret = (int64_t)u;
    return OK;
}

static enum err get_number(struct reader *r, const struct tree_node *v, const char *what,
                           double max, double *ret)
{
    const struct json *j = NULL;
    struct errinfo none = {0};
    if (v->kind != TREE_SCALAR || !v->is_plain || v->text.n > 40 ||
        json_parse(&r->tree, v->text, NULL, &j, &none) != OK || j->type != JSON_NUMBER ||
        !(j->number >= 0 && j->number <= max)) {
        return FAIL(r, v, "%s has to be a number from 0 to %.0f", what, max);
    }
    *ret = j->number;
    return OK;
}

static enum err get_duration(struct reader *r, const struct tree_node *v, const char *what,
                             int64_t *ret)
{
    if (v->kind != TREE_SCALAR || !estate_parse_duration(v->text, ret)) {
        return FAIL(r, v, "%s has to be a duration such as 250ms, 90s, 15m, 4h, 7d or 0", what);
    }
    return OK;
}

static enum err get_time(struct reader *r, const struct tree_node *v, const char *what,
                         bool may_be_never, int64_t *ret)
{
    if (v->kind != TREE_SCALAR || !estate_parse_time(v->text, ret) ||
        (*ret == ESTATE_NEVER && !may_be_never)) {
        return FAIL(r, v, "%s has to be a date such as 2026-11-28 or 2026-11-28T10:00:00Z%s", what,
                    may_be_never ? ", or never" : "");
    }
    return OK;
}

/* Position of a word among `n` names, from `first`. */
static enum err get_choice(struct reader *r, const struct tree_node *v, const char *what,
                           const char *(*name)(unsigned), unsigned first, unsigned n, unsigned *ret)
{
    for (unsigned i = first; i < n && v->kind == TREE_SCALAR; i++) {
        if (str_eq(v->text, str_of(name(i)))) {
            *ret = i;
            return OK;
        }
    }
    char all[300] = "";
    size_t used = 0;
    for (unsigned i = first; i < n && used < sizeof(all); i++) {
        int k = snprintf(all + used, sizeof(all) - used, "%s%s", i > first ? ", " : "", name(i));
        used += k > 0 ? (size_t)k : 0;
    }
    return FAIL(r, v, "%s has to be one of %s", what, all);
}

static const char *topology_at(unsigned i)
{
    return estate_topology_name((enum estate_topology)i);
}
static const char *environment_at(unsigned i)
{
    return estate_environment_name((enum estate_environment)i);
}
static const char *step_at(unsigned i)
{
    return estate_step_name((enum estate_step_kind)i);
}
static const char *phase_at(unsigned i)
{
    return estate_phase_name((enum estate_phase)i);
}

static enum err get_topology(struct reader *r, const struct tree_node *v, enum estate_topology *ret)
{
    unsigned i = 0;
    TRY(get_choice(r, v, "topology", topology_at, TOPOLOGY_SINGLE, TOPOLOGY_HOT_HOT + 1, &i));
    *ret = (enum estate_topology)i;
    return OK;
}

static enum err need_list(struct reader *r, const struct tree_node *v, const char *what)
{
    if (v->kind != TREE_LIST) {
        return FAIL(r, v, "%s has to be a list", what);
    }
    return v->count <= ESTATE_LIST_MAX
               ? OK
               : FAIL_LIMIT(r, v, "%s has more than %d items", what, ESTATE_LIST_MAX);
}

/* A list of texts, in the estate's arena. `ret_is_open` NULL: `unknown` is no member. */
static enum err get_texts(struct reader *r, const struct tree_node *v, const char *what,
                          const struct str **ret, size_t *ret_n, bool *ret_is_open)
{
    TRY(need_list(r, v, what));
    struct str *items = ARENA_NEW_ARRAY(&r->e->arena, struct str, v->count + 1);
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (ret_is_open && is_plain_word(v->items[i], "unknown")) {
            *ret_is_open = true;
            continue;
        }
        TRY(get_text(r, v->items[i], what, &items[n]));
        n++;
    }
    *ret = items;
    *ret_n = n;
    return OK;
}

/* ---- maps ---- */

struct field {
    const char *name;
    enum err (*set)(struct reader *r, void *to, const struct tree_node *v);
    bool is_required;
};

static const struct tree_node *member(const struct tree_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (str_eq(map->pairs[i].key, str_of(key))) {
            return map->pairs[i].value;
        }
    }
    return NULL;
}

static enum err unknown_key(struct reader *r, const struct tree_pair *pair, const char *what,
                            const char *nearest, unsigned distance)
{
    (void)fail_at(r, pair->line, ERR_INVALID, "%s has no key '" STR_FMT "'", what,
                  STR_ARG(brief(pair->key)));
    if (nearest && distance <= 3) {
        err_hint(r->ei, "did you mean '%s'?", nearest);
    } else {
        err_hint(r->ei,
                 "`holdfast assess init` writes an example; doc/format/estate.md has every key");
    }
    return ERR_INVALID;
}

static const struct field *find_field(const struct field *fields, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(str_of(fields[i].name), key)) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Fields in the order of the table; a NULL `set` was dealt with by the caller. */
static enum err read_map(struct reader *r, const struct tree_node *v, const char *what,
                         const struct field *fields, size_t n, void *to)
{
    if (v->kind != TREE_MAP) {
        return FAIL(r, v, "%s has to be a map (key: value)", what);
    }
    for (size_t i = 0; i < v->count; i++) {
        if (find_field(fields, n, v->pairs[i].key)) {
            continue;
        }
        const char *nearest = NULL;
        unsigned distance = STR_DISTANCE_MAX;
        for (size_t k = 0; k < n; k++) {
            unsigned d = str_distance(str_of(fields[k].name), v->pairs[i].key);
            nearest = d < distance ? fields[k].name : nearest;
            distance = d < distance ? d : distance;
        }
        return unknown_key(r, &v->pairs[i], what, nearest, distance);
    }
    for (size_t k = 0; k < n; k++) {
        const struct tree_node *value = member(v, fields[k].name);
        if (!value && fields[k].is_required) {
            return FAIL(r, v, "%s needs %s", what, fields[k].name);
        }
        if (value && fields[k].set) {
            TRY(fields[k].set(r, to, value));
        }
    }
    return OK;
}

/* Each item of a list of maps. */
static enum err read_list(struct reader *r, const struct tree_node *v, const char *what,
                          enum err (*item)(struct reader *r, const struct tree_node *v))
{
    if (v->kind != TREE_LIST) {
        return FAIL(r, v, "%s has to be a list", what);
    }
    for (size_t i = 0; i < v->count; i++) {
        TRY(item(r, v->items[i]));
    }
    return OK;
}

/* ---- regions ---- */

static enum err region_pair(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (is_plain_word(v, "none")) {
        region->has_pair = TRI_NO;
        return OK;
    }
    struct str name;
    TRY(get_text(r, v, "pair", &name));
    region->has_pair = TRI_YES;
    region->pair = estate_region_normal(&r->e->arena, name);
    return str_eq(region->pair, region->name) ? FAIL(r, v, "a region cannot be its own pair") : OK;
}

static enum err region_zones(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (is_plain_word(v, "unknown")) {
        return OK;
    }
    TRY(get_texts(r, v, "zones", &region->zones, &region->zone_count, NULL));
    region->has_zones = region->zone_count > 0 ? TRI_YES : TRI_NO;
    return OK;
}

static enum err region_restricted(struct reader *r, void *to, const struct tree_node *v)
{
    return get_tri(r, v, "restricted", &((struct estate_region *)to)->is_restricted);
}

static enum err region_domain(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "outage_domain", &((struct estate_region *)to)->outage_domain);
}

static enum err region_quota(struct reader *r, void *to, const struct tree_node *v)
{
    return is_plain_word(v, "unknown")
               ? OK
               : get_int(r, v, "core_quota", &((struct estate_region *)to)->core_quota);
}

static enum err region_not_offered(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_region *region = to;
    if (is_plain_word(v, "unknown")) {
        return OK;
    }
    const struct str *names = NULL;
    size_t n = 0;
    TRY(get_texts(r, v, "not_offered", &names, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        enum estate_type type;
        if (!estate_type_find(names[i], &type)) {
            return FAIL(r, v, "not_offered: '" STR_FMT "' is no type of asset",
                        STR_ARG(brief(names[i])));
        }
        region->not_offered |= UINT64_C(1) << type;
    }
    region->offers_known = true;
    return OK;
}

static enum err read_region(struct reader *r, const struct tree_node *v)
{
    static const struct field fields[] = {
        {"name", NULL, true},
        {"pair", region_pair, false},
        {"zones", region_zones, false},
        {"restricted", region_restricted, false},
        {"outage_domain", region_domain, false},
        {"core_quota", region_quota, false},
        {"not_offered", region_not_offered, false},
    };
    if (v->kind != TREE_MAP || !member(v, "name")) {
        return FAIL(r, v, "a region needs name");
    }
    struct str name;
    struct estate_region *region = NULL;
    struct errinfo why = {0};
    TRY(get_text(r, member(v, "name"), "name", &name));
    if (estate_find_region(r->e, name)) {
        return FAIL(r, v, "the region '" STR_FMT "' is there twice", STR_ARG(brief(name)));
    }
    TRY(at_line(r, v->line, estate_region(r->e, name, &region, &why), &why));
    region->line = v->line;
    return read_map(r, v, "a region", fields, ARRAY_COUNT(fields), region);
}

/* The region has to be declared: a misspelt one would otherwise be a new one. */
static enum err known_region(struct reader *r, const struct tree_node *v, const char *what,
                             struct str *ret)
{
    struct str name;
    TRY(get_text(r, v, what, &name));
    const struct estate_region *region = estate_find_region(r->e, name);
    if (!region) {
        FAIL(r, v, "%s: the region '" STR_FMT "' is not declared", what, STR_ARG(brief(name)));
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
            return unknown_key(r, &v->pairs[i], "policy", NULL, 0);
        }
        const struct estate_policy_row *row = &estate_policy_rows[k];
        TRY((row->is_days ? get_int : get_duration)(r, v->pairs[i].value, row->name,
                                                    estate_policy_at(p, k)));
    }
    return OK;
}

static enum err objective_class(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "class", &((struct estate_objective *)to)->class_name);
}
static enum err objective_rto(struct reader *r, void *to, const struct tree_node *v)
{
    return get_duration(r, v, "rto", &((struct estate_objective *)to)->rto_ms);
}
static enum err objective_rpo(struct reader *r, void *to, const struct tree_node *v)
{
    return get_duration(r, v, "rpo", &((struct estate_objective *)to)->rpo_ms);
}
static enum err objective_availability(struct reader *r, void *to, const struct tree_node *v)
{
    return get_number(r, v, "availability", 100, &((struct estate_objective *)to)->availability);
}
static enum err objective_write(struct reader *r, void *to, const struct tree_node *v)
{
    return get_number(r, v, "write_availability", 100,
                      &((struct estate_objective *)to)->write_availability);
}
static enum err objective_topology(struct reader *r, void *to, const struct tree_node *v)
{
    return get_topology(r, v, &((struct estate_objective *)to)->topology);
}

/* The first row only for those of a class. */
static const struct field objective_fields[] = {
    {"class", objective_class, true},
    {"rto", objective_rto, false},
    {"rpo", objective_rpo, false},
    {"availability", objective_availability, false},
    {"write_availability", objective_write, false},
    {"topology", objective_topology, false},
};

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
    return get_text(r, v, "rule", &((struct estate_waiver *)to)->rule);
}
static enum err waiver_asset(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "asset", &((struct estate_waiver *)to)->asset);
}
static enum err waiver_reason(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "reason", &((struct estate_waiver *)to)->reason);
}
static enum err waiver_owner(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "owner", &((struct estate_waiver *)to)->owner);
}
static enum err waiver_expires(struct reader *r, void *to, const struct tree_node *v)
{
    return get_time(r, v, "expires", false, &((struct estate_waiver *)to)->expires_ms);
}

static enum err read_waiver(struct reader *r, const struct tree_node *v)
{
    static const struct field fields[] = {
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

/* ---- attributes ---- */

/* Id, none, or outside:NAME. `none` only plain: a quoted one is nothing. */
static enum err get_ref(struct reader *r, const struct tree_node *v, const char *what,
                        struct str *ret)
{
    TRY(get_text(r, v, what, ret));
    if (ret->n > ESTATE_ID_SIZE_MAX) {
        return FAIL_LIMIT(r, v, "%s: an id longer than %d bytes", what, ESTATE_ID_SIZE_MAX);
    }
    return str_eq(*ret, STR("outside:")) ? FAIL(r, v, "%s: outside: needs a name", what) : OK;
}

static enum err attr_refs(struct reader *r, struct estate_asset *a, enum estate_attr attr,
                          const struct tree_node *v)
{
    const char *name = estate_attr_row(attr)->name;
    struct str one;
    if (is_plain_word(v, "none")) {
        estate_set_refs(r->e, a, attr, NULL, 0, EV_KNOWN, v->line);
        return OK;
    }
    if (estate_attr_row(attr)->type == VT_REF) {
        TRY(get_ref(r, v, name, &one));
        estate_set_refs(r->e, a, attr, &one, 1, EV_KNOWN, v->line);
        return OK;
    }
    TRY(need_list(r, v, name));
    struct str *ids = ARENA_NEW_ARRAY(&r->tree, struct str, v->count + 1);
    size_t n = 0;
    bool is_open = false;
    for (size_t i = 0; i < v->count; i++) {
        if (is_plain_word(v->items[i], "unknown")) {
            is_open = true;
        } else {
            TRY(get_ref(r, v->items[i], name, &ids[n]));
            n++;
        }
    }
    estate_set_refs(r->e, a, attr, ids, n, EV_KNOWN, v->line);
    if (is_open) {
        estate_set_open(a, attr);
    }
    return OK;
}

static enum err attr_list(struct reader *r, struct estate_asset *a, enum estate_attr attr,
                          const struct tree_node *v)
{
    const struct estate_attr_row *row = estate_attr_row(attr);
    TRY(need_list(r, v, row->name));
    struct str *items = ARENA_NEW_ARRAY(&r->tree, struct str, v->count + 1);
    size_t n = 0;
    bool is_open = false;
    for (size_t i = 0; i < v->count; i++) {
        if (is_plain_word(v->items[i], "unknown")) {
            is_open = true;
        } else if (row->type == VT_REGIONS) {
            TRY(known_region(r, v->items[i], row->name, &items[n]));
            n++;
        } else {
            TRY(get_text(r, v->items[i], row->name, &items[n]));
            n++;
        }
    }
    estate_set_list(r->e, a, attr, items, n, EV_KNOWN, v->line);
    if (estate_attr(a, attr)->conf == EV_UNKNOWN) {
        return FAIL(r, v, "%s: words from: %s", row->name, row->words);
    }
    if (is_open) {
        estate_set_open(a, attr);
    }
    return OK;
}

static enum err attr_scalar(struct reader *r, struct estate_asset *a, enum estate_attr attr,
                            const struct tree_node *v)
{
    const struct estate_attr_row *row = estate_attr_row(attr);
    bool b = false;
    int64_t i = 0;
    double d = 0;
    struct str s;
    switch (row->type) {
    case VT_BOOL:
        TRY(get_bool(r, v, row->name, &b));
        estate_set_bool(r->e, a, attr, b, EV_KNOWN, v->line);
        return OK;
    case VT_INT:
        TRY(get_int(r, v, row->name, &i));
        break;
    case VT_DURATION:
        TRY(get_duration(r, v, row->name, &i));
        break;
    case VT_TIME:
        TRY(get_time(r, v, row->name, true, &i));
        break;
    case VT_NUMBER:
    case VT_PERCENT:
        TRY(get_number(r, v, row->name, row->type == VT_PERCENT ? 100 : 1e15, &d));
        estate_set_number(r->e, a, attr, d, EV_KNOWN, v->line);
        return OK;
    case VT_WORD:
        if (v->kind != TREE_SCALAR || !estate_set_word(r->e, a, attr, v->text, EV_KNOWN, v->line)) {
            return FAIL(r, v, "%s has to be one of: %s", row->name, row->words);
        }
        return OK;
    case VT_STRING:
        TRY(get_text(r, v, row->name, &s));
        estate_set_string(r->e, a, attr, s, EV_KNOWN, v->line);
        return OK;
    case VT_WORDS:
    case VT_STRINGS:
    case VT_REGIONS:
    case VT_REF:
    case VT_REFS:
        UNREACHABLE();
    }
    estate_set_int(r->e, a, attr, i, EV_KNOWN, v->line);
    return OK;
}

static enum err read_attr(struct reader *r, struct estate_asset *a, const struct tree_pair *pair)
{
    enum estate_attr attr = ATTR_COUNT;
    if (!estate_attr_find(pair->key, &attr) || !estate_type_has(a->type, attr)) {
        const char *nearest = NULL;
        unsigned distance = STR_DISTANCE_MAX;
        for (unsigned i = 0; i < ATTR_COUNT; i++) {
            const char *name = estate_attr_row((enum estate_attr)i)->name;
            unsigned d = str_distance(str_of(name), pair->key);
            if (d < distance && estate_type_has(a->type, (enum estate_attr)i)) {
                nearest = name;
                distance = d;
            }
        }
        char what[80];
        (void)snprintf(what, sizeof(what), "attrs of a %s", estate_type_row(a->type)->name);
        return unknown_key(r, pair, what, nearest, distance);
    }
    const struct tree_node *v = pair->value;
    if (is_plain_word(v, "unknown")) {
        estate_set_unknown(r->e, a, attr, STR_NONE, v->line);
        return OK;
    }
    switch (estate_attr_row(attr)->type) {
    case VT_REF:
    case VT_REFS:
        return attr_refs(r, a, attr, v);
    case VT_WORDS:
    case VT_STRINGS:
    case VT_REGIONS:
        return attr_list(r, a, attr, v);
    case VT_BOOL:
    case VT_INT:
    case VT_NUMBER:
    case VT_PERCENT:
    case VT_DURATION:
    case VT_TIME:
    case VT_STRING:
    case VT_WORD:
        break;
    }
    return attr_scalar(r, a, attr, v);
}

/* ---- assets ---- */

static enum err asset_name(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "name", &((struct estate_asset *)to)->name);
}
static enum err asset_owner(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "owner", &((struct estate_asset *)to)->owner);
}
static enum err asset_class(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "class", &((struct estate_asset *)to)->class_name);
}
static enum err asset_critical(struct reader *r, void *to, const struct tree_node *v)
{
    return get_tri(r, v, "critical_path", &((struct estate_asset *)to)->critical_path);
}
static enum err asset_topology(struct reader *r, void *to, const struct tree_node *v)
{
    return get_topology(r, v, &((struct estate_asset *)to)->topology);
}

static enum err asset_environment(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(get_choice(r, v, "environment", environment_at, ENVIRONMENT_PRODUCTION,
                   ENVIRONMENT_DEVELOPMENT + 1, &i));
    ((struct estate_asset *)to)->environment = (enum estate_environment)i;
    return OK;
}

static enum err place(struct reader *r, struct estate_asset *a, const struct tree_node *v,
                      struct estate_placement **ret)
{
    struct str name;
    struct errinfo why = {0};
    TRY(known_region(r, v, "region", &name));
    TRY(at_line(r, v->line, estate_place(r->e, a, name, ret, &why), &why));
    (*ret)->line = v->line;
    return OK;
}

static enum err asset_region(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    struct estate_placement *p = NULL;
    if (is_plain_word(v, "unknown")) {
        a->placements_open = true;
        return OK;
    }
    return place(r, a, v, &p);
}

static enum err placement_priority(struct reader *r, void *to, const struct tree_node *v)
{
    return is_plain_word(v, "unknown")
               ? OK
               : get_int(r, v, "priority", &((struct estate_placement *)to)->priority);
}
static enum err placement_zones(struct reader *r, void *to, const struct tree_node *v)
{
    return get_tri(r, v, "zone_redundant", &((struct estate_placement *)to)->is_zone_redundant);
}
static enum err placement_throughput(struct reader *r, void *to, const struct tree_node *v)
{
    return is_plain_word(v, "unknown")
               ? OK
               : get_number(r, v, "throughput", 1e15, &((struct estate_placement *)to)->throughput);
}

static enum err asset_regions(struct reader *r, void *to, const struct tree_node *v)
{
    static const struct field fields[] = {
        {"name", NULL, true},
        {"priority", placement_priority, false},
        {"zone_redundant", placement_zones, false},
        {"throughput", placement_throughput, false},
    };
    struct estate_asset *a = to;
    struct estate_placement *p = NULL;
    if (a->placement_count > 0 || a->placements_open) {
        return FAIL(r, v, "region and regions exclude each other");
    }
    TRY(need_list(r, v, "regions"));
    for (size_t i = 0; i < v->count; i++) {
        const struct tree_node *item = v->items[i];
        if (is_plain_word(item, "unknown")) {
            a->placements_open = true;
        } else if (item->kind == TREE_SCALAR) {
            TRY(place(r, a, item, &p));
        } else if (item->kind == TREE_MAP && member(item, "name")) {
            TRY(place(r, a, member(item, "name"), &p));
            TRY(read_map(r, item, "a region of an asset", fields, ARRAY_COUNT(fields), p));
        } else {
            return FAIL(r, item, "a region of an asset needs name");
        }
    }
    return OK;
}

static enum err asset_zones(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    if (is_plain_word(v, "unknown")) {
        return OK;
    }
    TRY(get_texts(r, v, "zones", &a->zones, &a->zone_count, NULL));
    a->zones_conf = EV_KNOWN;
    return OK;
}

static enum err asset_depends(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    TRY(need_list(r, v, "depends_on"));
    for (size_t i = 0; i < v->count; i++) {
        struct str id;
        TRY(get_ref(r, v->items[i], "depends_on", &id));
        TRY(estate_depend(r->e, a, id, r->ei));
    }
    return OK;
}

static enum err asset_peer(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    struct str id;
    if (is_plain_word(v, "none")) {
        estate_set_peer_none(a, EV_KNOWN);
        return OK;
    }
    if (is_plain_word(v, "unknown")) {
        return OK;
    }
    TRY(get_ref(r, v, "peer", &id));
    estate_set_peer(r->e, a, id, EV_KNOWN);
    return OK;
}

static enum err asset_objective(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_objective *o = estate_own_objective(r->e, to);
    o->line = v->line;
    return read_map(r, v, "an objective", objective_fields + 1, ARRAY_COUNT(objective_fields) - 1,
                    o);
}

static enum err asset_attrs(struct reader *r, void *to, const struct tree_node *v)
{
    if (v->kind != TREE_MAP) {
        return FAIL(r, v, "attrs has to be a map (key: value)");
    }
    for (size_t i = 0; i < v->count; i++) {
        TRY(read_attr(r, to, &v->pairs[i]));
    }
    return OK;
}

/* Names of attributes (or peer, zones) that are conclusions, not statements. */
static enum err asset_inferred(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    const struct str *names = NULL;
    size_t n = 0;
    TRY(get_texts(r, v, "inferred", &names, &n, NULL));
    for (size_t i = 0; i < n; i++) {
        enum estate_attr attr = ATTR_COUNT;
        enum estate_confidence *conf = NULL;
        if (str_eq(names[i], STR("peer"))) {
            conf = &a->peer_conf;
        } else if (str_eq(names[i], STR("zones"))) {
            conf = &a->zones_conf;
        } else if (estate_attr_find(names[i], &attr)) {
            for (size_t k = 0; k < a->attr_count && !conf; k++) {
                conf = a->attrs[k].attr == attr ? &a->attrs[k].value.conf : NULL;
            }
        }
        if (!conf || *conf == EV_UNKNOWN) {
            return FAIL(r, v, "inferred: '" STR_FMT "' has no value here",
                        STR_ARG(brief(names[i])));
        }
        *conf = EV_INFERRED;
    }
    return OK;
}

static enum err step_kind(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(get_choice(r, v, "kind", step_at, 0, STEP_KIND_COUNT, &i));
    ((struct estate_step *)to)->kind = (enum estate_step_kind)i;
    return OK;
}
static enum err step_phase(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(get_choice(r, v, "phase", phase_at, 0, PHASE_AFTER + 1, &i));
    ((struct estate_step *)to)->phase = (enum estate_phase)i;
    return OK;
}
static enum err step_text(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "text", &((struct estate_step *)to)->text);
}
static enum err step_who(struct reader *r, void *to, const struct tree_node *v)
{
    return get_text(r, v, "who", &((struct estate_step *)to)->who);
}
static enum err step_secrets(struct reader *r, void *to, const struct tree_node *v)
{
    return get_tri(r, v, "writes_secrets", &((struct estate_step *)to)->writes_secrets);
}

static enum err asset_steps(struct reader *r, void *to, const struct tree_node *v)
{
    static const struct field fields[] = {
        {"kind", step_kind, true},
        {"phase", step_phase, false},
        {"text", step_text, false},
        {"who", step_who, false},
        {"writes_secrets", step_secrets, false},
    };
    struct estate_asset *a = to;
    if (is_plain_word(v, "unknown")) {
        return OK;
    }
    if (a->type != TYPE_RUNBOOK) {
        return FAIL(r, v, "only a runbook has steps");
    }
    TRY(need_list(r, v, "steps"));
    a->has_steps = v->count > 0 ? TRI_YES : TRI_NO;
    for (size_t i = 0; i < v->count; i++) {
        struct estate_step *s = estate_add_step(r->e, a);
        ASSERT(s); /* need_list has the same limit */
        s->line = v->items[i]->line;
        TRY(read_map(r, v->items[i], "a step", fields, ARRAY_COUNT(fields), s));
    }
    return OK;
}

static enum err add_asset(struct reader *r, const struct tree_node *v, enum estate_type type)
{
    static const struct field fields[] = {
        {"id", NULL, true},
        {"type", NULL, false},
        {"name", asset_name, false},
        {"region", asset_region, false},
        {"regions", asset_regions, false},
        {"zones", asset_zones, false},
        {"owner", asset_owner, false},
        {"class", asset_class, false},
        {"environment", asset_environment, false},
        {"critical_path", asset_critical, false},
        {"topology", asset_topology, false},
        {"peer", asset_peer, false},
        {"depends_on", asset_depends, false},
        {"objective", asset_objective, false},
        {"steps", asset_steps, false},
        {"attrs", asset_attrs, false},
        {"inferred", asset_inferred, false},
    };
    struct str id = STR_NONE;
    struct estate_asset *a = NULL;
    struct errinfo why = {0};
    TRY(get_text(r, member(v, "id"), "id", &id));
    TRY(at_line(r, v->line, estate_add(r->e, id, type, v->line, &a, &why), &why));
    return read_map(r, v, "an asset", fields, ARRAY_COUNT(fields), a);
}

static enum err need_id(struct reader *r, const struct tree_node *v, const char *what)
{
    return v->kind == TREE_MAP && member(v, "id") ? OK : FAIL(r, v, "%s needs id", what);
}

static enum err read_asset(struct reader *r, const struct tree_node *v)
{
    TRY(need_id(r, v, "an asset"));
    const struct tree_node *type_node = member(v, "type");
    if (!type_node || type_node->kind != TREE_SCALAR) {
        return FAIL(r, v, "an asset needs type");
    }
    enum estate_type type;
    if (!estate_type_find(type_node->text, &type)) {
        FAIL(r, type_node, "'" STR_FMT "' is no type of asset", STR_ARG(brief(type_node->text)));
        err_hint(r->ei,
                 "`holdfast assess types` lists them; service is the one for everything else");
        return ERR_INVALID;
    }
    if (type == TYPE_ROUTE || type == TYPE_RUNBOOK) {
        return FAIL(r, type_node, "routes and runbooks have lists of their own");
    }
    return add_asset(r, v, type);
}

static enum err read_apart(struct reader *r, const struct tree_node *v, enum estate_type type)
{
    const char *what = estate_type_row(type)->name;
    TRY(need_id(r, v, what));
    if (member(v, "type")) {
        return FAIL(r, v, "a %s has no type: the list says it", what);
    }
    return add_asset(r, v, type);
}

static enum err read_route(struct reader *r, const struct tree_node *v)
{
    return read_apart(r, v, TYPE_ROUTE);
}

static enum err read_runbook(struct reader *r, const struct tree_node *v)
{
    return read_apart(r, v, TYPE_RUNBOOK);
}

/* ---- the file ---- */

static enum err top_version(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    if (!is_plain_word(v, "1")) {
        return FAIL(r, v, "version has to be %d: this program knows no other", ESTATE_VERSION);
    }
    return OK;
}
static enum err top_name(struct reader *r, void *to, const struct tree_node *v)
{
    UNUSED(to);
    return get_text(r, v, "name", &r->e->title);
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
    static const struct field fields[] = {
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
