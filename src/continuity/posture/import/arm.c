/* ARM: templates (also of Bicep, also exports) and lists of resources.
 *
 * Templates hold resources as an array, or as an object by symbolic name. Resources hold children, and
 * deployments hold templates, whose parameters are evaluated where they are passed. Names may be
 * expressions: what is not known of them stands in braces, so that `st{env}` is still told from others
 * and found again by what refers to it. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"

static enum err walk(struct import *im, const struct arm_scope *scope, const struct json *resources,
                     struct str parent_kind, struct str parent_name, unsigned depth);

/* ---- shared ---- */

/* "a/b/c" -> "a/b", "c"; false without a slash. */
static bool split_last(struct str s, struct str *ret_head, struct str *ret_last)
{
    size_t n = s.n;
    while (n > 0 && s.p[n - 1] != '/') {
        n--;
    }
    *ret_last = str_slice(s, n, s.n);
    *ret_head = n > 0 ? str_slice(s, 0, n - 1) : STR_NONE;
    return n > 0;
}

static void set_parent(struct import_res *res)
{
    struct str last;
    struct str head;
    if (split_last(res->kind, &head, &last) && str_find_char(head, '/') >= 0 &&
        split_last(res->name, &res->parent_name, &last)) {
        res->parent_kind = head;
    }
}

/* Rows of computes are found by what kind of compute it is. */
static enum import_row row_of(struct import *im, struct str type, const struct import_res *res)
{
    struct str name = type;
    if (str_eq(res->kind, STR("microsoft.machinelearningservices/workspaces/computes"))) {
        const struct json *properties = json_get(res->body, STR("properties"));
        const struct json *v = json_get(properties, STR("computeType"));
        struct arm_value compute =
            v ? arm_eval(im, res->scope, v) : (struct arm_value){.is_known = false};
        if (compute.is_known && compute.v->type == JSON_STRING) {
            name = arena_printf(&im->arena, STR_FMT "#" STR_FMT, STR_ARG(type),
                                STR_ARG(compute.v->text));
        }
    }
    return import_find_row(name, (enum import_row)0, IMPORT_TF_AML_WORKSPACE);
}

static bool is_system_database(const struct import_res *res)
{
    return res->row == IMPORT_ARM_SQL_DATABASE && str_ends(res->name, STR("/master"));
}

static enum err add(struct import *im, struct str type, struct import_res *res, struct str group)
{
    TRY(import_seen(im));
    res->row = row_of(im, type, res);
    if (res->row == IMPORT_ROW_COUNT || is_system_database(res)) {
        import_skip(im, type);
        return OK;
    }
    set_parent(res);
    struct str head;
    struct str last;
    struct str compute;
    /* As the table spells it: Resource Graph writes types in lower case. */
    (void)split_last(str_of(import_types[res->row].name), &head, &last);
    (void)str_split(last, '#', &last, &compute);
    struct str name = res->name.n > 0 ? res->name : STR("unnamed");
    return import_add(im, res,
                      arena_printf(&im->arena, STR_FMT "%s" STR_FMT "/" STR_FMT, STR_ARG(group),
                                   group.n > 0 ? "/" : "", STR_ARG(last), STR_ARG(name)));
}

/* ---- templates ---- */

static struct str shape_of(struct import *im, const struct arm_scope *scope, const struct json *v)
{
    if (!v || v->type != JSON_STRING) {
        return STR_NONE;
    }
    struct arm_value value = arm_eval(im, scope, v);
    return value.shape.n <= ESTATE_ID_SIZE_MAX ? value.shape : STR_NONE;
}

static bool is_expression(struct str s)
{
    return s.n > 0 && s.p[0] == '[';
}

static enum err nested(struct import *im, const struct arm_scope *outer,
                       const struct json *deployment, unsigned depth)
{
    const struct json *properties = json_get(deployment, STR("properties"));
    const struct json *template = json_get(properties, STR("template"));
    if (!template) {
        import_warn(im, "line %u: a deployment links to a template elsewhere, which is not read",
                    import_line(im, deployment));
        return OK;
    }
    struct str how = STR_NONE;
    (void)json_get_str(json_get(properties, STR("expressionEvaluationOptions")), STR("scope"),
                       &how);
    struct arm_scope *scope = ARENA_NEW(&im->arena, struct arm_scope);
    *scope = *outer;
    if (str_eq_nocase(how, STR("inner"))) {
        *scope = (struct arm_scope){
            .im = im,
            .parameters = json_get(template, STR("parameters")),
            .variables = json_get(template, STR("variables")),
            .given = json_get(properties, STR("parameters")),
            .given_scope = outer,
        };
    }
    return walk(im, scope, json_get(template, STR("resources")), STR_NONE, STR_NONE, depth + 1);
}

/* False: it is certainly not deployed. */
static bool is_deployed(struct import *im, const struct arm_scope *scope, const struct json *item)
{
    const struct json *condition = json_get(item, STR("condition"));
    bool exists = false;
    if (json_get_bool(item, STR("existing"), &exists) && exists) {
        return false;
    }
    if (!condition) {
        return true;
    }
    struct arm_value v = arm_eval(im, scope, condition);
    if (!v.is_known) {
        import_warn(im, "line %u: deployed only under a condition that is not evaluated",
                    import_line(im, item));
        return true;
    }
    return v.v->type != JSON_BOOL || v.v->boolean;
}

static enum err template_resource(struct import *im, const struct arm_scope *scope,
                                  const struct json *item, struct str parent_kind,
                                  struct str parent_name, unsigned depth)
{
    struct str type = STR_NONE;
    (void)json_get_str(item, STR("type"), &type);
    if (type.n == 0 || type.n > 256 || is_expression(type)) {
        TRY(import_seen(im));
        import_skip(im, STR_NONE);
        return OK;
    }
    struct str name = shape_of(im, scope, json_get(item, STR("name")));
    if (parent_kind.n > 0) {
        type = arena_printf(&im->arena, STR_FMT "/" STR_FMT, STR_ARG(parent_kind), STR_ARG(type));
        name = arena_printf(&im->arena, STR_FMT "/" STR_FMT, STR_ARG(parent_name), STR_ARG(name));
    }
    if (!is_deployed(im, scope, item)) {
        return OK;
    }
    if (str_eq_nocase(type, STR("Microsoft.Resources/deployments"))) {
        return nested(im, scope, item, depth);
    }
    struct import_res res = {
        .kind = import_lower(&im->arena, type),
        .name = name,
        .body = item,
        .scope = scope,
        .is_managed = true,
        .line = import_line(im, item),
    };
    size_t before = im->res_count;
    TRY(add(im, type, &res, STR_NONE));
    if (json_get(item, STR("copy")) && im->res_count > before) {
        import_warn(im, "line %u: made by a copy loop: one asset stands for all", res.line);
    }
    const struct json *children = json_get(item, STR("resources"));
    return children ? walk(im, scope, children, type, name, depth + 1) : OK;
}

static enum err walk(struct import *im, const struct arm_scope *scope, const struct json *resources,
                     struct str parent_kind, struct str parent_name, unsigned depth)
{
    if (depth > IMPORT_NESTING_MAX) {
        return err_set(im->ei, ERR_LIMIT, STR_FMT ":%u: resources nested deeper than %d",
                       STR_ARG(im->source), import_line(im, resources), IMPORT_NESTING_MAX);
    }
    bool is_object = resources && resources->type == JSON_OBJECT;
    bool is_array = resources && resources->type == JSON_ARRAY;
    for (size_t i = 0; (is_object || is_array) && i < resources->count; i++) {
        const struct json *item = is_object ? resources->members[i].value : resources->items[i];
        TRY(template_resource(im, scope, item, parent_kind, parent_name, depth));
    }
    return OK;
}

/* An export names its parameters after types and resources: vaults_kv1_name, vaults_kv1_externalid. */
static bool is_export(const struct json *root)
{
    const struct json *parameters = json_get(root, STR("parameters"));
    for (size_t i = 0; parameters && parameters->type == JSON_OBJECT && i < parameters->count;
         i++) {
        struct str key = parameters->members[i].key;
        struct str type;
        struct str rest;
        if (str_ends(key, STR("_externalid")) ||
            (str_ends(key, STR("_name")) && str_split(key, '_', &type, &rest) && rest.n > 4 &&
             str_ends(type, STR("s")))) {
            return true;
        }
    }
    return false;
}

bool import_is_arm(const struct json *root)
{
    struct str schema;
    static const struct str mark = {"deploymenttemplate.json", 23};
    char lower[256];
    if (!json_get_str(root, STR("$schema"), &schema) || schema.n > sizeof(lower)) {
        return false;
    }
    for (size_t i = 0; i < schema.n; i++) {
        lower[i] = (char)(schema.p[i] >= 'A' && schema.p[i] <= 'Z' ? schema.p[i] - 'A' + 'a'
                                                                   : schema.p[i]);
    }
    return str_find(str_make(lower, schema.n), mark) >= 0;
}

enum err import_arm(struct import *im, const struct json *root)
{
    const struct json *resources = json_get(root, STR("resources"));
    if (!resources || (resources->type != JSON_ARRAY && resources->type != JSON_OBJECT)) {
        err_set(im->ei, ERR_INVALID, STR_FMT ":%u: the template has no resources",
                STR_ARG(im->source), import_line(im, root));
        err_hint(im->ei, "resources has to be an array, or an object by symbolic name");
        return ERR_INVALID;
    }
    im->form = FORM_TEMPLATE;
    im->is_export = is_export(root);
    im->report->form = im->is_export ? "ARM template (export)" : "ARM template";
    struct arm_scope *scope = ARENA_NEW(&im->arena, struct arm_scope);
    *scope = (struct arm_scope){
        .im = im,
        .parameters = json_get(root, STR("parameters")),
        .variables = json_get(root, STR("variables")),
    };
    return walk(im, scope, resources, STR_NONE, STR_NONE, 1);
}

/* ---- lists ---- */

static const struct json *list_of(const struct json *root)
{
    static const char *const keys[] = {"value", "data"};
    if (root->type == JSON_ARRAY) {
        return root;
    }
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        const struct json *list = json_get(root, str_of(keys[i]));
        if (list && list->type == JSON_ARRAY) {
            return list;
        }
    }
    return NULL;
}

static bool is_resource(const struct json *v)
{
    struct str text;
    return json_get_str(v, STR("type"), &text) && json_get_str(v, STR("id"), &text);
}

bool import_is_resources(const struct json *root)
{
    const struct json *list = list_of(root);
    return list ? list->count == 0 || is_resource(list->items[0]) : is_resource(root);
}

/* The command line's own lists have what else stands in `properties` at the top. */
static const struct json *with_properties(struct import *im, const struct json *item)
{
    const struct json *properties = json_get(item, STR("properties"));
    if (properties) {
        return item;
    }
    struct json_member *members = ARENA_NEW_ARRAY(&im->arena, struct json_member, item->count + 1);
    for (size_t i = 0; i < item->count; i++) {
        members[i] = item->members[i];
    }
    members[item->count] = (struct json_member){STR("properties"), item};
    return json_object(&im->arena, members, item->count + 1);
}

static enum err list_item(struct import *im, const struct json *item, const struct map *wanted)
{
    struct str type;
    struct str id;
    struct str group = STR_NONE;
    if (!is_resource(item)) {
        TRY(import_seen(im));
        import_skip(im, STR_NONE);
        return OK;
    }
    (void)json_get_str(item, STR("type"), &type);
    (void)json_get_str(item, STR("id"), &id);
    struct import_res res = {.line = import_line(im, item)};
    if (!import_parse_rid(im, id, &res.kind, &res.name, &group) || type.n > 256 ||
        !str_eq_nocase(res.kind, type)) {
        TRY(import_seen(im));
        import_warn(im, "line %u: the id is not that of a resource of its type", res.line);
        import_skip(im, import_type_text(type));
        return OK;
    }
    res.rid = import_lower(&im->arena, id);
    res.body = with_properties(im, item);
    struct str key = arena_printf(&im->arena, STR_FMT "|" STR_FMT, STR_ARG(res.kind),
                                  STR_ARG(import_lower(&im->arena, res.name)));
    bool is_shared = (uintptr_t)map_get(wanted, key) > 1;
    return add(im, type, &res, is_shared ? group : STR_NONE);
}

/* Counts how often a type and a name occur: those in several groups get the group in their id. */
static void count_names(struct import *im, const struct json *list, struct map *wanted)
{
    for (size_t i = 0; i < list->count; i++) {
        struct str id;
        struct str kind;
        struct str name;
        struct str group;
        if (is_resource(list->items[i]) && json_get_str(list->items[i], STR("id"), &id) &&
            import_parse_rid(im, id, &kind, &name, &group)) {
            struct str key = arena_printf(&im->arena, STR_FMT "|" STR_FMT, STR_ARG(kind),
                                          STR_ARG(import_lower(&im->arena, name)));
            (void)map_put(wanted, key, (void *)((uintptr_t)map_get(wanted, key) + 1));
        }
    }
}

enum err import_resources(struct import *im, const struct json *root)
{
    static const char *const more[] = {"nextLink", "skip_token", "skipToken", "$skipToken"};
    const struct json *list = list_of(root);
    struct map wanted;
    enum err err = OK;
    im->form = FORM_RESOURCES;
    im->report->form = "list of Azure resources";
    for (size_t i = 0; i < ARRAY_COUNT(more); i++) {
        const struct json *next = json_get(root, str_of(more[i]));
        if (next && next->type == JSON_STRING && next->text.n > 0) {
            import_warn(im, "the list goes on: this is one page of several");
        }
    }
    if (!list) {
        list = json_array(&im->arena, &root, 1);
    }
    map_init(&wanted);
    count_names(im, list, &wanted);
    for (size_t i = 0; i < list->count && err == OK; i++) {
        err = list_item(im, list->items[i], &wanted);
    }
    map_done(&wanted);
    if (err == OK && im->report->resource_count == 0) {
        import_warn(im, "the file holds no resources");
    }
    return err;
}
