/* Terraform (and OpenTofu): raw state, and what `terraform show -json` makes of a state or a plan.
 *
 *   raw      {"version": 4, "resources": [{mode, type, name, module, instances: [{attributes}]}]}
 *   show     {"format_version": "1.0", "values": {"root_module": {resources, child_modules}}}
 *   plan     {"format_version": "1.2", "planned_values": {... the same tree ...}}
 *
 * Unknown members are ignored, as the format's documentation asks; another major version is refused.
 * Ids of assets are Terraform's addresses. Resources of mode "data" are read after the managed ones and
 * count only where they are another resource. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"

struct instance {
    struct str type;
    struct str address;
    const struct json *attributes;
    const struct json *sensitive;
    bool is_managed;
};

static enum err add(struct import *im, const struct instance *it)
{
    TRY(import_seen(im));
    enum import_row row = import_find_row(it->type, IMPORT_TF_AML_WORKSPACE, IMPORT_ROW_COUNT);
    if (row == IMPORT_ROW_COUNT || !it->attributes || it->attributes->type != JSON_OBJECT) {
        import_skip(im, it->type);
        return OK;
    }
    struct import_res res = {
        .row = row,
        .body = it->attributes,
        .sensitive = it->sensitive,
        .is_managed = it->is_managed,
        .line = import_line(im, it->attributes),
    };
    struct str id;
    struct str group;
    if (json_get_str(it->attributes, STR("id"), &id) &&
        import_parse_rid(im, id, &res.kind, &res.name, &group)) {
        res.rid = import_lower(&im->arena, id);
    }
    size_t before = im->res_count;
    TRY(import_add(im, &res, it->address));
    struct str name;
    if (im->res_count > before && im->res[before]->asset && res.name.n > 0 &&
        json_get_str(it->attributes, STR("name"), &name) && str_ends(res.name, name) &&
        import_types[row].type != TYPE_ROLE_ASSIGNMENT && name.n <= ESTATE_ID_SIZE_MAX) {
        /* As it stands in the resource's id, so that no other text gets in. */
        im->res[before]->asset->name = estate_copy(im->e, name);
    }
    return OK;
}

/* ---- raw state ---- */

static struct str raw_address(struct import *im, const struct json *resource,
                              const struct json *instance, bool is_managed)
{
    struct str module = STR_NONE;
    struct str type = STR_NONE;
    struct str name = STR_NONE;
    (void)json_get_str(resource, STR("module"), &module);
    (void)json_get_str(resource, STR("type"), &type);
    (void)json_get_str(resource, STR("name"), &name);
    struct str address = arena_printf(&im->arena, STR_FMT "%s%s" STR_FMT "." STR_FMT,
                                      STR_ARG(module), module.n > 0 ? "." : "",
                                      is_managed ? "" : "data.", STR_ARG(type), STR_ARG(name));
    const struct json *key = json_get(instance, STR("index_key"));
    int64_t i = 0;
    if (key && key->type == JSON_STRING) {
        return arena_printf(&im->arena, STR_FMT "[\"" STR_FMT "\"]", STR_ARG(address),
                            STR_ARG(key->text));
    }
    if (key && json_is_integer(key, &i)) {
        return arena_printf(&im->arena, STR_FMT "[%lld]", STR_ARG(address), (long long)i);
    }
    return address;
}

static enum err raw_resource(struct import *im, const struct json *resource, bool is_managed)
{
    struct str mode = STR_NONE;
    struct str type = STR_NONE;
    (void)json_get_str(resource, STR("mode"), &mode);
    (void)json_get_str(resource, STR("type"), &type);
    if (!str_eq(mode, is_managed ? STR("managed") : STR("data"))) {
        return OK;
    }
    const struct json *list = json_get(resource, STR("instances"));
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
        const struct json *instance = list->items[i];
        if (json_get(instance, STR("deposed"))) {
            continue; /* about to be destroyed; its successor is in the list too */
        }
        struct instance it = {
            .type = type,
            .address = raw_address(im, resource, instance, is_managed),
            .attributes = json_get(instance, STR("attributes")),
            .sensitive = json_get(instance, STR("sensitive_attributes")),
            .is_managed = is_managed,
        };
        TRY(add(im, &it));
    }
    return OK;
}

static enum err raw_state(struct import *im, const struct json *root)
{
    const struct json *list = json_get(root, STR("resources"));
    uint64_t version = 0;
    if (!json_get_u64(root, STR("version"), &version) || version != 4) {
        err_set(im->ei, ERR_UNSUPPORTED, STR_FMT ": Terraform state of version %llu, not 4",
                STR_ARG(im->source), (unsigned long long)version);
        err_hint(im->ei, version < 4 ? "let a newer Terraform (0.12 or later) rewrite it"
                                     : "use terraform show -json");
        return ERR_UNSUPPORTED;
    }
    im->form = FORM_STATE;
    im->report->form = "Terraform state (version 4)";
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
            TRY(raw_resource(im, list->items[i], pass == 0));
        }
    }
    return OK;
}

/* ---- show -json ---- */

static enum err tree_module(struct import *im, const struct json *module, bool is_managed,
                            unsigned depth)
{
    if (depth > IMPORT_NESTING_MAX) {
        return err_set(im->ei, ERR_LIMIT, STR_FMT ":%u: modules nested deeper than %d",
                       STR_ARG(im->source), import_line(im, module), IMPORT_NESTING_MAX);
    }
    const struct json *list = json_get(module, STR("resources"));
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
        const struct json *resource = list->items[i];
        struct str mode = STR_NONE;
        struct instance it = {
            .attributes = json_get(resource, STR("values")),
            .sensitive = json_get(resource, STR("sensitive_values")),
            .is_managed = is_managed,
        };
        (void)json_get_str(resource, STR("mode"), &mode);
        (void)json_get_str(resource, STR("type"), &it.type);
        (void)json_get_str(resource, STR("address"), &it.address);
        if (str_eq(mode, is_managed ? STR("managed") : STR("data")) &&
            !json_get(resource, STR("deposed_key"))) {
            TRY(add(im, &it));
        }
    }
    list = json_get(module, STR("child_modules"));
    for (size_t i = 0; list && list->type == JSON_ARRAY && i < list->count; i++) {
        TRY(tree_module(im, list->items[i], is_managed, depth + 1));
    }
    return OK;
}

static enum err tree(struct import *im, const struct json *root)
{
    struct str version = STR_NONE;
    struct str major;
    struct str minor = STR_NONE;
    (void)json_get_str(root, STR("format_version"), &version);
    (void)str_split(version, '.', &major, &minor);
    uint64_t number = 0;
    if (!str_to_u64(major, &number) || number != 1) {
        err_set(im->ei, ERR_UNSUPPORTED,
                STR_FMT ":%u: format_version of another major version than 1", STR_ARG(im->source),
                import_line(im, json_get(root, STR("format_version"))));
        err_hint(im->ei, number == 0 ? "write it with Terraform 1.0 or later"
                                     : "import the raw state: terraform state pull > FILE");
        return ERR_UNSUPPORTED;
    }
    const struct json *planned = json_get(root, STR("planned_values"));
    const struct json *values = planned ? planned : json_get(root, STR("values"));
    im->form = planned ? FORM_PLAN : FORM_STATE;
    im->report->form = planned ? "Terraform plan (show -json)" : "Terraform state (show -json)";
    const struct json *module = json_get(values, STR("root_module"));
    if (planned) {
        import_warn(im, "from a plan: it says what will be, and ids that do not exist yet are "
                        "unknown; import the state after apply");
    }
    for (int pass = 0; module && pass < 2; pass++) {
        TRY(tree_module(im, module, pass == 0, 1));
    }
    /* Only a plan that reads nothing new keeps its data sources in prior_state alone. */
    const struct json *prior =
        json_get(json_get(json_get(root, STR("prior_state")), STR("values")), STR("root_module"));
    return planned && prior ? tree_module(im, prior, false, 1) : OK;
}

bool import_is_terraform(const struct json *root)
{
    const struct json *version = json_get(root, STR("version"));
    bool is_raw = version && version->type == JSON_NUMBER &&
                  (json_get(root, STR("resources")) || json_get(root, STR("modules"))) &&
                  (json_get(root, STR("lineage")) || json_get(root, STR("terraform_version")) ||
                   json_get(root, STR("serial")));
    bool is_shown =
        json_get(root, STR("format_version")) && !json_get(root, STR("provider_schemas"));
    return is_raw || is_shown;
}

enum err import_terraform(struct import *im, const struct json *root)
{
    TRY(json_get(root, STR("format_version")) ? tree(im, root) : raw_state(im, root));
    if (im->report->resource_count == 0) {
        import_warn(im, "the file holds no resources");
    }
    return OK;
}
