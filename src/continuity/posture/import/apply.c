/* Applies the rows of the tables to the resources of a file: values by convert.c, and here all that
 * concerns places and other assets. */
#include "continuity/posture/import/import_int.h"

#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/import/apply_int.h"

static const struct str storage_kind = {"microsoft.storage/storageaccounts", 33};

/* ---- places ---- */

/* A region that cannot be one is unknown, not an error; "global" is no region. */
static enum err place(struct import *im, struct import_res *res, struct estate_asset *a,
                      struct str name, struct estate_placement **ret)
{
    struct estate_region *region = NULL;
    struct errinfo ei = {0};
    struct str normal = estate_region_normal(&im->arena, str_slice(name, 0, 65));
    if (str_eq(normal, STR("global"))) {
        return OK;
    }
    enum err err = estate_region(im->e, normal, &region, &ei);
    if (err == ERR_INVALID || normal.n > 64) {
        if (a) {
            a->placements_open = true;
        }
        return OK;
    }
    if (err != OK) {
        return err_set(im->ei, err, STR_FMT ":%u: %s", STR_ARG(im->source), res->line, ei.message);
    }
    if (a == res->asset) {
        res->region = region->name;
    }
    if (a && !estate_is_in(a, region->name)) {
        err = estate_place(im->e, a, region->name, ret, im->ei);
    }
    return err;
}

static enum err apply_place(struct import *im, struct import_res *res, struct estate_asset *a,
                            const struct import_value *v)
{
    if (v->found == FOUND && v->v->type == JSON_STRING) {
        return place(im, res, a, v->v->text, NULL);
    }
    if (a) {
        a->placements_open = true;
    }
    return OK;
}

static enum estate_tri tri_of(struct import *im, const struct import_res *res,
                              const struct import_value *item, const char *path)
{
    struct import_res in_item = *res;
    in_item.scope = item->scope;
    struct import_value v = import_value_at(im, &in_item, item->v, path);
    if (v.found != FOUND || v.v->type != JSON_BOOL) {
        return TRI_UNKNOWN;
    }
    return v.v->boolean ? TRI_YES : TRI_NO;
}

/* One of a list of regions: a name, or an object with a location. */
static enum err apply_one_place(struct import *im, struct import_res *res, struct estate_asset *a,
                                const struct import_value *item, bool is_cosmos)
{
    struct import_res in_item = *res;
    struct estate_placement *p = NULL;
    struct import_value name = *item;
    in_item.scope = item->scope;
    if (item->v->type == JSON_OBJECT) {
        name = import_value_at(im, &in_item, item->v, "location|locationName");
    } else {
        name.arm = arm_eval(im, item->scope, item->v);
        name.found = name.arm.is_known ? FOUND : FOUND_UNRESOLVED;
        name.v = name.arm.v;
    }
    if (name.found != FOUND || name.v->type != JSON_STRING) {
        a->placements_open = true;
        return OK;
    }
    TRY(place(im, res, a, name.v->text, &p));
    if (p && is_cosmos) {
        struct import_value prio =
            import_value_at(im, &in_item, item->v, "failover_priority|failoverPriority");
        int64_t n = 0;
        if (prio.found == FOUND && import_to_int(prio.v, &n)) {
            p->priority = n;
        }
        p->is_zone_redundant = tri_of(im, res, item, "zone_redundant|isZoneRedundant");
    }
    return OK;
}

static enum err apply_places(struct import *im, struct import_res *res, struct estate_asset *a,
                             const struct import_field *f, const struct import_value *v)
{
    bool is_cosmos = f->conv == CONV_COSMOS_PLACES;
    if (v->found != FOUND || v->v->type != JSON_ARRAY || (is_cosmos && v->v->count == 0)) {
        bool is_none = v->found == FOUND_UNSET && f->def;
        bool is_old = v->found == FOUND_ABSENT && im->form != FORM_PLAN && f->def;
        a->placements_open = a->placements_open || !(is_none || is_old);
        return OK;
    }
    for (size_t i = 0; i < v->v->count; i++) {
        struct import_value item = {.found = FOUND, .v = v->v->items[i], .scope = v->scope};
        TRY(apply_one_place(im, res, a, &item, is_cosmos));
    }
    return OK;
}

static void apply_zones(struct import *im, struct estate_asset *a, const struct import_field *f,
                        const struct import_value *v)
{
    enum { ZONES_MAX = 16 };
    struct str zones[ZONES_MAX];
    size_t n = 0;
    bool is_none = v->found == FOUND && v->v->type == JSON_ARRAY && v->v->count == 0;
    if (f->def && f->def[0] != '-' && (is_none || import_is_default(im, v->found))) {
        estate_set_zones(im->e, a, NULL, 0, is_none ? EV_KNOWN : EV_INFERRED);
        return;
    }
    if (v->found != FOUND) {
        return;
    }
    bool is_list = v->v->type == JSON_ARRAY;
    size_t count = is_list ? v->v->count : 1;
    for (size_t i = 0; i < count && i < ZONES_MAX; i++) {
        struct arm_value zone = arm_eval(im, v->scope, is_list ? v->v->items[i] : v->v);
        int64_t number = 0;
        if (!zone.is_known || !import_to_int(zone.v, &number) || number > 99) {
            return; /* not stated is unknown */
        }
        zones[n++] = arena_printf(&im->arena, "%u", (unsigned)number);
    }
    if (n > 0) {
        estate_set_zones(im->e, a, zones, n, EV_KNOWN);
    }
}

/* ---- references ---- */

struct target {
    const struct import_res *res; /* in the file; may have no asset */
    struct str id;                /* to be written; empty = not resolved */
};

static struct target target_of(struct import *im, const struct import_res *res,
                               const struct import_value *v)
{
    struct target t = {0};
    if (v->arm.ref_kind.n > 0) {
        t.res = import_find_name(im, v->arm.ref_kind, v->arm.ref_name);
    } else if (v->found == FOUND && v->v->type == JSON_STRING) {
        t.res = import_find_rid(im, v->v->text);
        t.id = t.res ? STR_NONE : import_outside(im, v->v->text);
    }
    if (t.res && t.res->asset) {
        t.id = t.res->asset->id;
    }
    if (t.res && t.res->asset == res->asset) {
        t = (struct target){0}; /* nothing refers to itself */
    }
    return t;
}

static struct target parent_of(struct import *im, const struct import_res *res)
{
    struct target t = {.res = import_find_name(im, res->parent_kind, res->parent_name)};
    if (t.res && t.res->asset) {
        t.id = t.res->asset->id;
    } else if (!t.res && res->parent_kind.n > 0) {
        ptrdiff_t at = str_find_char(res->parent_kind, '/');
        struct str type = str_slice(res->parent_kind, (size_t)(at + 1), res->parent_kind.n);
        t.id = arena_printf(&im->arena, "outside:" STR_FMT "/" STR_FMT, STR_ARG(type),
                            STR_ARG(res->parent_name));
    }
    return t;
}

static void add_ref(struct import *im, struct estate_asset *a, enum estate_attr attr, struct str id)
{
    if (im->ref_count == im->ref_cap) {
        im->ref_cap = im->ref_cap == 0 ? 64 : im->ref_cap * 2;
        im->refs = mem_realloc(im->refs, im->ref_cap * sizeof(*im->refs));
    }
    im->refs[im->ref_count] = (struct import_ref_item){a, attr, id, im->ref_count};
    im->ref_count++;
}

static const char *why_not(const struct import *im, const struct import_value *v)
{
    if (v->arm.ref_kind.n > 0) {
        return "refers to what is not, or not uniquely, in the template";
    }
    if (v->found == FOUND) {
        return "the file has a value of another kind";
    }
    return v->found == FOUND_UNRESOLVED ? v->why : import_why_absent(im, v->found);
}

static void apply_ref(struct import *im, const struct import_res *res, struct estate_asset *a,
                      const struct import_field *f, const struct import_value *v,
                      const struct target *t)
{
    enum estate_attr attr = (enum estate_attr)f->attr;
    bool is_list = estate_attr_row(attr)->type == VT_REFS;
    if (t->res && t->res->asset == a) {
        estate_set_unknown(im->e, a, attr, STR("it refers to itself"), res->line);
    } else if (t->id.n > ESTATE_ID_SIZE_MAX + 8) {
        estate_set_unknown(im->e, a, attr, STR("the id is too long"), res->line);
    } else if (t->id.n > 0 && is_list) {
        add_ref(im, a, attr, t->id);
    } else if (t->id.n > 0) {
        estate_set_refs(im->e, a, attr, &t->id, 1, EV_KNOWN, res->line);
    } else if (f->def && f->def[0] == '-' && v->found != FOUND && v->found != FOUND_UNRESOLVED) {
        return;
    } else if (f->def && !is_list && import_is_default(im, v->found)) {
        estate_set_refs(im->e, a, attr, NULL, 0, EV_INFERRED, res->line);
        estate_set_note(im->e, a, attr, STR("not set in the file"));
    } else {
        estate_set_unknown(im->e, a, attr, str_of(why_not(im, v)), res->line);
    }
}

/* A storage account by the id of it or of something in it, by the address of a container, or by its
 * bare name. */
static struct target store_of(struct import *im, const struct import_res *res,
                              const struct import_value *v)
{
    struct target t = target_of(im, res, v);
    if (t.id.n > 0 || v->arm.ref_kind.n > 0) {
        return t;
    }
    /* ARM: the name may be unresolved on both sides, by the same expression. */
    struct str name = v->found == FOUND && v->v->type == JSON_STRING ? v->v->text : v->arm.shape;
    if (str_starts(name, STR("https://"))) {
        struct str rest;
        (void)str_split(str_slice(name, 8, name.n), '.', &name, &rest);
    }
    t.res = name.n > 0 && name.n <= 64 ? import_find_name(im, storage_kind, name) : NULL;
    bool is_plain = name.n >= 3 && name.n <= 24 && v->found == FOUND;
    for (size_t i = 0; i < name.n && is_plain; i++) {
        is_plain = (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= '0' && name.p[i] <= '9');
    }
    if (t.res && t.res->asset) {
        t.id = t.res->asset->id;
    } else if (is_plain) {
        t.id = arena_printf(&im->arena, "outside:storageAccounts/" STR_FMT, STR_ARG(name));
    }
    return t;
}

/* A replica and its source are each other's counterpart, when they are in different regions. */
static void set_peers(struct import *im, struct estate_asset *a, struct estate_asset *b)
{
    const struct estate_placement *pa = estate_primary(a);
    const struct estate_placement *pb = estate_primary(b);
    if (a == b || a->type != b->type || !pa || !pb || str_eq(pa->region, pb->region)) {
        return;
    }
    if (a->peer_conf == EV_UNKNOWN) {
        estate_set_peer(im->e, a, b->id, EV_INFERRED);
    }
    if (b->peer_conf == EV_UNKNOWN) {
        estate_set_peer(im->e, b, a->id, EV_INFERRED);
    }
}

static void apply_peer(struct import *im, const struct import_res *res, struct estate_asset *a,
                       const struct import_value *v)
{
    struct target t = target_of(im, res, v);
    if (t.res && t.res->asset) {
        set_peers(im, a, t.res->asset);
    } else if (t.id.n > 0) {
        estate_set_peer(im->e, a, t.id, EV_INFERRED);
    }
}

/* ---- what several resources say together ---- */

static struct str last_name(struct str name)
{
    ptrdiff_t at = str_find_char(name, '/');
    return at < 0 ? name : str_slice(name, (size_t)at + 1, name.n);
}

/* The database of that name on a partner's server. */
static void pair_database(struct import *im, struct estate_asset *a, struct str name,
                          struct str partner)
{
    struct str kind;
    struct str server;
    struct str rg;
    if (!import_parse_rid(im, partner, &kind, &server, &rg)) {
        return;
    }
    struct str rid =
        arena_printf(&im->arena, STR_FMT "/databases/" STR_FMT, STR_ARG(partner), STR_ARG(name));
    const struct import_res *other = import_find_rid(im, rid);
    if (other && other->asset && other->asset->type == TYPE_SQL_DATABASE) {
        estate_set_bool(im->e, other->asset, ATTR_FAILOVER_GROUP, true, EV_KNOWN, other->line);
        set_peers(im, a, other->asset);
    }
}

static void apply_group(struct import *im, struct import_res *res, const struct import_value *list)
{
    struct import_value partners =
        import_value_at(im, res, res->body, "partner_server|properties.partnerServers");
    for (size_t i = 0; list->found == FOUND && list->v->type == JSON_ARRAY && i < list->v->count;
         i++) {
        struct import_value v = {.found = FOUND,
                                 .arm = arm_eval(im, list->scope, list->v->items[i])};
        v.found = v.arm.is_known ? FOUND : FOUND_UNRESOLVED;
        v.v = v.arm.v;
        struct target t = target_of(im, res, &v);
        if (!t.res || !t.res->asset || t.res->asset->type != TYPE_SQL_DATABASE) {
            continue;
        }
        estate_set_bool(im->e, t.res->asset, ATTR_FAILOVER_GROUP, true, EV_KNOWN, res->line);
        bool has_partners = partners.found == FOUND && partners.v->type == JSON_ARRAY;
        for (size_t k = 0; has_partners && k < partners.v->count; k++) {
            struct str id;
            if (json_get_str(partners.v->items[k], STR("id"), &id)) {
                pair_database(im, t.res->asset, last_name(t.res->name), id);
            }
        }
    }
}

static void apply_endpoints(struct import *im, const struct import_res *res, struct estate_asset *a,
                            const struct import_field *f, const struct import_value *list)
{
    for (size_t i = 0; list->found == FOUND && list->v->type == JSON_ARRAY && i < list->v->count;
         i++) {
        struct import_res in_item = *res;
        in_item.scope = list->scope;
        struct import_value v =
            import_value_at(im, &in_item, list->v->items[i], "properties.targetResourceId");
        if (v.found == FOUND || v.found == FOUND_UNRESOLVED) {
            struct target t = target_of(im, res, &v);
            if (t.id.n > 0) {
                add_ref(im, a, (enum estate_attr)f->attr, t.id);
            }
        }
    }
}

/* Server and database of an external metastore; names only, never how to log in. */
static void apply_metastore(struct import *im, const struct import_res *res, struct estate_asset *a,
                            const struct import_field *f, const struct import_value *v)
{
    struct str server = STR_NONE;
    struct str database = STR_NONE;
    const struct json *hive = v->found == FOUND ? v->v : NULL;
    if (hive && hive->type == JSON_ARRAY) {
        hive = hive->count > 0 ? hive->items[0] : NULL;
    }
    if (!hive || !json_get_str(hive, STR("server"), &server) ||
        !json_get_str(hive, STR("database_name"), &database)) {
        struct import_value none = *v;
        none.found = v->found == FOUND && !hive ? FOUND_UNSET : v->found;
        apply_ref(im, res, a, f, &none, &(struct target){0});
        return;
    }
    struct str host;
    struct str rest;
    (void)str_split(server, '.', &host, &rest);
    struct str path =
        arena_printf(&im->arena, STR_FMT "/" STR_FMT, STR_ARG(host), STR_ARG(database));
    const struct import_res *found =
        import_find_name(im, STR("microsoft.sql/servers/databases"), path);
    struct str rid =
        arena_printf(&im->arena, "/providers/Microsoft.Sql/servers/" STR_FMT "/databases/" STR_FMT,
                     STR_ARG(host), STR_ARG(database));
    struct target t = {found, found && found->asset ? found->asset->id : STR_NONE};
    if (t.id.n == 0 && import_outside(im, rid).n > 0) {
        t.id = arena_printf(&im->arena, "outside:" STR_FMT, STR_ARG(path));
    }
    apply_ref(im, res, a, f, v, &t);
}

/* A Databricks workspace keeps DBFS in a storage account of its own, which only it can reach. */
static enum err apply_dbfs(struct import *im, const struct import_res *res, struct estate_asset *a,
                           const struct import_field *f, const struct import_value *v)
{
    const struct import_field redundancy = {.conv = CONV_WORD, .attr = ATTR_REDUNDANCY};
    struct estate_asset *store = NULL;
    struct str id = arena_printf(&im->arena, STR_FMT ".dbfs", STR_ARG(a->id));
    if (id.n > ESTATE_ID_SIZE_MAX || estate_find(im->e, id)) {
        estate_set_unknown(im->e, a, (enum estate_attr)f->attr, STR("its id is taken"), res->line);
        return OK;
    }
    TRY(estate_add(im->e, id, TYPE_DATABRICKS_STORAGE, res->line, &store, im->ei));
    if (res->region.n > 0) {
        TRY(estate_place(im->e, store, res->region, NULL, im->ei));
    } else {
        store->placements_open = true;
    }
    estate_set_refs(im->e, a, (enum estate_attr)f->attr, &id, 1, EV_KNOWN, res->line);
    if (v->found == FOUND) {
        import_convert(im, store, &redundancy, v->v, EV_KNOWN, res->line);
    } else {
        estate_set_unknown(im->e, store, ATTR_REDUNDANCY, str_of(why_not(im, v)), res->line);
    }
    return OK;
}

/* Jobs do not say which workspace they are in: with one workspace in the file it is that one. */
static void apply_job(struct import *im, const struct import_value *v)
{
    struct estate_asset *only = NULL;
    size_t n = 0;
    for (size_t i = 0; i < im->e->asset_count; i++) {
        if (im->e->assets[i]->type == TYPE_DATABRICKS_WORKSPACE) {
            only = im->e->assets[i];
            n++;
        }
    }
    bool is_existing = v->found == FOUND && v->v->type == JSON_STRING && v->v->text.n > 0;
    if (n == 1 && is_existing) {
        estate_set_bool(im->e, only, ATTR_JOBS_ON_EXISTING_CLUSTERS, true, EV_INFERRED, 0);
        estate_set_note(im->e, only, ATTR_JOBS_ON_EXISTING_CLUSTERS,
                        STR("a job in the file names an existing cluster"));
    }
}

/* ---- rows ---- */

static bool is_word(const struct estate_asset *a, enum estate_attr attr, const char *word)
{
    const struct estate_value *v = estate_attr(a, attr);
    return v->conf != EV_UNKNOWN && str_eq(v->text, str_of(word));
}

/* Some rows count only beside another value. */
static bool is_row_meant(const struct estate_asset *a, const struct import_res *res,
                         enum import_conv conv)
{
    switch ((int)conv) {
    case CONV_BOUNDED_INT:
    case CONV_BOUNDED_SECONDS:
        return is_word(a, ATTR_CONSISTENCY, "bounded_staleness");
    case CONV_PERIODIC_MINUTES:
    case CONV_PERIODIC_HOURS:
    case CONV_PERIODIC_WORD:
        return is_word(a, ATTR_BACKUP_TYPE, "periodic");
    case CONV_CONTINUOUS_TIER:
        return is_word(a, ATTR_BACKUP_TYPE, "continuous");
    case CONV_CONST:
        return res->is_managed;
    default:
        return true;
    }
}

static void apply_plain(struct import *im, const struct import_res *res, struct estate_asset *a,
                        const struct import_field *f, const struct import_value *v)
{
    enum estate_attr attr = (enum estate_attr)f->attr;
    /* An empty block says that it is not there. */
    bool is_empty_block = f->conv == CONV_PRESENT || f->conv == CONV_PROBED;
    if (v->found == FOUND) {
        import_convert(im, a, f, v->v, EV_KNOWN, res->line);
    } else if (f->def && f->def[0] == '-' && v->found != FOUND_UNRESOLVED) {
        return;
    } else if (is_empty_block && import_is_default(im, v->found)) {
        static const struct json none = {.type = JSON_ARRAY};
        import_convert(im, a, f, &none, im->form == FORM_TEMPLATE ? EV_INFERRED : EV_KNOWN,
                       res->line);
    } else if (f->def && import_is_default(im, v->found)) {
        import_convert_default(im, a, f, res->line);
    } else {
        estate_set_unknown(im->e, a, attr, str_of(why_not(im, v)), res->line);
    }
}

/* `a` is the asset that the row is about. */
static enum err apply_row(struct import *im, struct import_res *res, struct estate_asset *a,
                          const struct import_field *f)
{
    bool is_parent = f->path[0] == '$';
    if (a && !is_row_meant(a, res, f->conv)) {
        return OK;
    }
    struct import_value v = {.found = FOUND_ABSENT};
    if (!is_parent && f->conv != CONV_CONST) {
        v = import_value_at(im, res, res->body, f->path);
    }
    struct target t = {0};
    switch ((int)f->conv) {
    case CONV_PLACE:
        return apply_place(im, res, a, &v);
    case CONV_PLACES:
    case CONV_COSMOS_PLACES:
        return apply_places(im, res, a, f, &v);
    case CONV_PLACE_OF:
    case CONV_PEER:
    case CONV_GROUP:
        return OK; /* in apply_late(), when all others have their place */
    case CONV_ZONES:
        apply_zones(im, a, f, &v);
        return OK;
    case CONV_REF:
    case CONV_REFS:
        t = is_parent ? parent_of(im, res) : target_of(im, res, &v);
        apply_ref(im, res, a, f, &v, &t);
        return OK;
    case CONV_STORE:
        t = store_of(im, res, &v);
        apply_ref(im, res, a, f, &v, &t);
        return OK;
    case CONV_CONST:
        import_convert_default(im, a, f, res->line);
        estate_set_note(im->e, a, (enum estate_attr)f->attr, STR("the file deploys it"));
        return OK;
    case CONV_DBFS:
        return apply_dbfs(im, res, a, f, &v);
    case CONV_METASTORE:
        apply_metastore(im, res, a, f, &v);
        return OK;
    case CONV_ENDPOINTS:
        apply_endpoints(im, res, a, f, &v);
        return OK;
    case CONV_JOB:
        apply_job(im, &v);
        return OK;
    default:
        apply_plain(im, res, a, f, &v);
        return OK;
    }
}

/* ---- passes ---- */

static void rows_of(enum import_row row, size_t *ret_from, size_t *ret_to)
{
    size_t i = 0;
    while (i < import_field_count && import_fields[i].row != row) {
        i++;
    }
    *ret_from = i;
    while (i < import_field_count && import_fields[i].row == row) {
        i++;
    }
    *ret_to = i;
}

static void apply_environment(struct import *im, struct import_res *res)
{
    static const struct {
        const char *word;
        enum estate_environment environment;
    } words[] = {
        {"production", ENVIRONMENT_PRODUCTION}, {"prod", ENVIRONMENT_PRODUCTION},
        {"prd", ENVIRONMENT_PRODUCTION},        {"staging", ENVIRONMENT_STAGING},
        {"stage", ENVIRONMENT_STAGING},         {"development", ENVIRONMENT_DEVELOPMENT},
        {"dev", ENVIRONMENT_DEVELOPMENT},
    };
    struct import_value v =
        import_value_at(im, res, res->body, "tags.environment|tags.Environment|tags.env|tags.Env");
    for (size_t i = 0; i < ARRAY_COUNT(words) && v.found == FOUND && v.v->type == JSON_STRING;
         i++) {
        if (str_eq_nocase(v.v->text, str_of(words[i].word))) {
            res->asset->environment = words[i].environment;
        }
    }
}

static void apply_common(struct import *im, struct import_res *res)
{
    apply_environment(im, res);
    if (res->is_managed && !im->is_export && im->form != FORM_RESOURCES) {
        bool is_template = im->form == FORM_TEMPLATE;
        estate_set_bool(im->e, res->asset, ATTR_IN_TEMPLATE, true,
                        is_template ? EV_INFERRED : EV_KNOWN, res->line);
        if (is_template) {
            estate_set_note(im->e, res->asset, ATTR_IN_TEMPLATE,
                            STR("it stands in this template; an export would not prove it"));
        }
    }
}

/* The asset that a link adds to: what its first row names. */
static struct estate_asset *linked_asset(struct import *im, struct import_res *res, size_t first)
{
    const struct import_field *f = &import_fields[first];
    struct import_value v = {.found = FOUND_ABSENT};
    struct target t;
    if (f->path[0] == '$') {
        t = parent_of(im, res);
    } else {
        v = import_value_at(im, res, res->body, f->path);
        t = target_of(im, res, &v);
    }
    if (!t.res || !t.res->asset) {
        import_warn(im, "line %u: %s adds to an asset that is not in the file", res->line,
                    import_types[res->row].name);
        return NULL;
    }
    return t.res->asset;
}

static bool fits(const struct estate_asset *a, const struct import_field *f)
{
    return !a || f->attr < 0 || estate_type_has(a->type, (enum estate_attr)f->attr);
}

static enum err apply_resource(struct import *im, struct import_res *res)
{
    enum import_role role = import_types[res->row].role;
    struct estate_asset *a = res->asset;
    size_t from;
    size_t to;
    rows_of(res->row, &from, &to);
    if (role == ROLE_ASSET) {
        apply_common(im, res);
    } else if (role == ROLE_LINK) {
        a = linked_asset(im, res, from++);
        if (!a) {
            return OK;
        }
    }
    for (size_t i = from; i < to; i++) {
        if (fits(a, &import_fields[i])) {
            TRY(apply_row(im, res, a, &import_fields[i]));
        }
    }
    return OK;
}

/* What needs the places of all others. */
static enum err apply_late(struct import *im, struct import_res *res)
{
    size_t from;
    size_t to;
    rows_of(res->row, &from, &to);
    for (size_t i = from; i < to; i++) {
        const struct import_field *f = &import_fields[i];
        if (f->conv != CONV_PLACE_OF && f->conv != CONV_PEER && f->conv != CONV_GROUP) {
            continue;
        }
        bool is_parent = f->path[0] == '$';
        struct import_value v = {.found = FOUND_ABSENT};
        if (!is_parent) {
            v = import_value_at(im, res, res->body, f->path);
        }
        if (f->conv == CONV_GROUP) {
            apply_group(im, res, &v);
        } else if (f->conv == CONV_PEER) {
            apply_peer(im, res, res->asset, &v);
        } else if (res->asset->placement_count == 0) {
            struct target t = is_parent ? parent_of(im, res) : target_of(im, res, &v);
            if (t.res && t.res->region.n > 0) {
                TRY(place(im, res, res->asset, t.res->region, NULL));
            } else {
                res->asset->placements_open = true;
            }
        }
    }
    return OK;
}

static int by_asset(const void *a, const void *b)
{
    const struct import_ref_item *x = a;
    const struct import_ref_item *y = b;
    if (x->asset->idx != y->asset->idx) {
        return x->asset->idx < y->asset->idx ? -1 : 1;
    }
    if (x->attr != y->attr) {
        return x->attr < y->attr ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static void set_lists(struct import *im)
{
    if (im->ref_count == 0) {
        return;
    }
    struct str *ids = mem_alloc(im->ref_count * sizeof(*ids));
    qsort(im->refs, im->ref_count, sizeof(*im->refs), by_asset);
    for (size_t i = 0; i < im->ref_count;) {
        const struct import_ref_item *first = &im->refs[i];
        size_t n = 0;
        for (; i < im->ref_count && im->refs[i].asset == first->asset &&
               im->refs[i].attr == first->attr;
             i++) {
            ids[n] = im->refs[i].id;
            n += n == 0 || !str_eq(ids[n], ids[n - 1]);
        }
        estate_set_refs(im->e, first->asset, first->attr, ids, n, EV_KNOWN, first->asset->line);
    }
    mem_free(ids);
}

enum err import_apply_all(struct import *im)
{
    for (size_t i = 0; i < im->res_count; i++) {
        TRY(apply_resource(im, im->res[i]));
    }
    for (size_t i = 0; i < im->res_count; i++) {
        TRY(apply_late(im, im->res[i]));
    }
    set_lists(im);
    if (im->rg_location_count > 0) {
        import_warn(im,
                    "the region of the resource group is not known (%zu uses): give it with "
                    "--param resourceGroup.location=REGION",
                    im->rg_location_count);
    }
    if (im->form == FORM_TEMPLATE) {
        import_warn(im,
                    "from a template%s: it says what is deployed, not what is there; exports "
                    "leave out some types of resources",
                    im->is_export ? " that looks like an export" : "");
    }
    return OK;
}
