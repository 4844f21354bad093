/* Assets of an estate file: their attributes, placements, steps. See read_int.h. */
#include <stdio.h>

#include "base/contract.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/estate_int.h"
#include "continuity/posture/read_int.h"

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

/* ---- attributes ---- */

/* Id, none, or outside:NAME. `none` only plain: a quoted one is nothing. */
static enum err get_ref(struct reader *r, const struct tree_node *v, const char *what,
                        struct str *ret)
{
    TRY(read_text(r, v, what, ret));
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
    if (read_is_word(v, "none")) {
        estate_set_refs(r->e, a, attr, NULL, 0, EV_KNOWN, v->line);
        return OK;
    }
    if (estate_attr_row(attr)->type == VT_REF) {
        TRY(get_ref(r, v, name, &one));
        estate_set_refs(r->e, a, attr, &one, 1, EV_KNOWN, v->line);
        return OK;
    }
    TRY(read_need_list(r, v, name));
    struct str *ids = ARENA_NEW_ARRAY(&r->tree, struct str, v->count + 1);
    size_t n = 0;
    bool is_open = false;
    for (size_t i = 0; i < v->count; i++) {
        if (read_is_word(v->items[i], "unknown")) {
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
    TRY(read_need_list(r, v, row->name));
    struct str *items = ARENA_NEW_ARRAY(&r->tree, struct str, v->count + 1);
    size_t n = 0;
    bool is_open = false;
    for (size_t i = 0; i < v->count; i++) {
        if (read_is_word(v->items[i], "unknown")) {
            is_open = true;
        } else if (row->type == VT_REGIONS) {
            TRY(read_known_region(r, v->items[i], row->name, &items[n]));
            n++;
        } else {
            TRY(read_text(r, v->items[i], row->name, &items[n]));
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
        TRY(read_bool(r, v, row->name, &b));
        estate_set_bool(r->e, a, attr, b, EV_KNOWN, v->line);
        return OK;
    case VT_INT:
        TRY(read_int(r, v, row->name, &i));
        break;
    case VT_DURATION:
        TRY(read_duration(r, v, row->name, &i));
        break;
    case VT_TIME:
        TRY(read_time(r, v, row->name, true, &i));
        break;
    case VT_NUMBER:
    case VT_PERCENT:
        TRY(read_number(r, v, row->name, row->type == VT_PERCENT ? 100 : 1e15, &d));
        estate_set_number(r->e, a, attr, d, EV_KNOWN, v->line);
        return OK;
    case VT_WORD:
        if (v->kind != TREE_SCALAR || !estate_set_word(r->e, a, attr, v->text, EV_KNOWN, v->line)) {
            return FAIL(r, v, "%s has to be one of: %s", row->name, row->words);
        }
        return OK;
    case VT_STRING:
        TRY(read_text(r, v, row->name, &s));
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
        return read_unknown_key(r, pair, what, nearest, distance);
    }
    const struct tree_node *v = pair->value;
    if (read_is_word(v, "unknown")) {
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
    return read_text(r, v, "name", &((struct estate_asset *)to)->name);
}
static enum err asset_owner(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "owner", &((struct estate_asset *)to)->owner);
}
static enum err asset_class(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "class", &((struct estate_asset *)to)->class_name);
}
static enum err asset_critical(struct reader *r, void *to, const struct tree_node *v)
{
    return read_tri(r, v, "critical_path", &((struct estate_asset *)to)->critical_path);
}
static enum err asset_topology(struct reader *r, void *to, const struct tree_node *v)
{
    return read_topology(r, v, &((struct estate_asset *)to)->topology);
}

static enum err asset_environment(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(read_choice(r, v, "environment", environment_at, ENVIRONMENT_PRODUCTION,
                    ENVIRONMENT_DEVELOPMENT + 1, &i));
    ((struct estate_asset *)to)->environment = (enum estate_environment)i;
    return OK;
}

static enum err place(struct reader *r, struct estate_asset *a, const struct tree_node *v,
                      struct estate_placement **ret)
{
    struct str name;
    struct errinfo why = {0};
    TRY(read_known_region(r, v, "region", &name));
    TRY(read_at_line(r, v->line, estate_place(r->e, a, name, ret, &why), &why));
    (*ret)->line = v->line;
    return OK;
}

static enum err asset_region(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    struct estate_placement *p = NULL;
    if (read_is_word(v, "unknown")) {
        a->placements_open = true;
        return OK;
    }
    return place(r, a, v, &p);
}

static enum err placement_priority(struct reader *r, void *to, const struct tree_node *v)
{
    return read_is_word(v, "unknown")
               ? OK
               : read_int(r, v, "priority", &((struct estate_placement *)to)->priority);
}
static enum err placement_zones(struct reader *r, void *to, const struct tree_node *v)
{
    return read_tri(r, v, "zone_redundant", &((struct estate_placement *)to)->is_zone_redundant);
}
static enum err placement_throughput(struct reader *r, void *to, const struct tree_node *v)
{
    return read_is_word(v, "unknown") ? OK
                                      : read_number(r, v, "throughput", 1e15,
                                                    &((struct estate_placement *)to)->throughput);
}

static enum err asset_regions(struct reader *r, void *to, const struct tree_node *v)
{
    static const struct read_field fields[] = {
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
    TRY(read_need_list(r, v, "regions"));
    for (size_t i = 0; i < v->count; i++) {
        const struct tree_node *item = v->items[i];
        if (read_is_word(item, "unknown")) {
            a->placements_open = true;
        } else if (item->kind == TREE_SCALAR) {
            TRY(place(r, a, item, &p));
        } else if (item->kind == TREE_MAP && read_member(item, "name")) {
            TRY(place(r, a, read_member(item, "name"), &p));
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
    if (read_is_word(v, "unknown")) {
        return OK;
    }
    TRY(read_texts(r, v, "zones", &a->zones, &a->zone_count, NULL));
    a->zones_conf = EV_KNOWN;
    return OK;
}

static enum err asset_depends(struct reader *r, void *to, const struct tree_node *v)
{
    struct estate_asset *a = to;
    TRY(read_need_list(r, v, "depends_on"));
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
    if (read_is_word(v, "none")) {
        estate_set_peer_none(a, EV_KNOWN);
        return OK;
    }
    if (read_is_word(v, "unknown")) {
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
    return read_own_objective(r, v, o);
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
    TRY(read_texts(r, v, "inferred", &names, &n, NULL));
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
                        STR_ARG(read_brief(names[i])));
        }
        *conf = EV_INFERRED;
    }
    return OK;
}

static enum err step_kind(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(read_choice(r, v, "kind", step_at, 0, STEP_KIND_COUNT, &i));
    ((struct estate_step *)to)->kind = (enum estate_step_kind)i;
    return OK;
}
static enum err step_phase(struct reader *r, void *to, const struct tree_node *v)
{
    unsigned i = 0;
    TRY(read_choice(r, v, "phase", phase_at, 0, PHASE_AFTER + 1, &i));
    ((struct estate_step *)to)->phase = (enum estate_phase)i;
    return OK;
}
static enum err step_text(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "text", &((struct estate_step *)to)->text);
}
static enum err step_who(struct reader *r, void *to, const struct tree_node *v)
{
    return read_text(r, v, "who", &((struct estate_step *)to)->who);
}
static enum err step_secrets(struct reader *r, void *to, const struct tree_node *v)
{
    return read_tri(r, v, "writes_secrets", &((struct estate_step *)to)->writes_secrets);
}

static enum err asset_steps(struct reader *r, void *to, const struct tree_node *v)
{
    static const struct read_field fields[] = {
        {"kind", step_kind, true},
        {"phase", step_phase, false},
        {"text", step_text, false},
        {"who", step_who, false},
        {"writes_secrets", step_secrets, false},
    };
    struct estate_asset *a = to;
    if (read_is_word(v, "unknown")) {
        return OK;
    }
    if (a->type != TYPE_RUNBOOK) {
        return FAIL(r, v, "only a runbook has steps");
    }
    TRY(read_need_list(r, v, "steps"));
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
    static const struct read_field fields[] = {
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
    TRY(read_text(r, read_member(v, "id"), "id", &id));
    TRY(read_at_line(r, v->line, estate_add(r->e, id, type, v->line, &a, &why), &why));
    return read_map(r, v, "an asset", fields, ARRAY_COUNT(fields), a);
}

static enum err need_id(struct reader *r, const struct tree_node *v, const char *what)
{
    return v->kind == TREE_MAP && read_member(v, "id") ? OK : FAIL(r, v, "%s needs id", what);
}

enum err read_asset(struct reader *r, const struct tree_node *v)
{
    TRY(need_id(r, v, "an asset"));
    const struct tree_node *type_node = read_member(v, "type");
    if (!type_node || type_node->kind != TREE_SCALAR) {
        return FAIL(r, v, "an asset needs type");
    }
    enum estate_type type;
    if (!estate_type_find(type_node->text, &type)) {
        FAIL(r, type_node, "'" STR_FMT "' is no type of asset",
             STR_ARG(read_brief(type_node->text)));
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
    if (read_member(v, "type")) {
        return FAIL(r, v, "a %s has no type: the list says it", what);
    }
    return add_asset(r, v, type);
}

enum err read_route(struct reader *r, const struct tree_node *v)
{
    return read_apart(r, v, TYPE_ROUTE);
}

enum err read_runbook(struct reader *r, const struct tree_node *v)
{
    return read_apart(r, v, TYPE_RUNBOOK);
}
