/* Importers against files as the tools write them (data/). Every secret planted in those files begins
 * with PLANTED-: none may appear in an estate, a report or a message. */
#include "continuity/posture/import/import.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/t.h"

#define DATA "tests/unit/continuity/posture/data/"

static struct {
    struct estate *e;
    struct import_report *r;
    struct errinfo ei;
    char *yaml, *report;
} got;

static void forget(void)
{
    estate_free(got.e);
    import_report_free(got.r);
    mem_free(got.yaml);
    mem_free(got.report);
    memset(&got, 0, sizeof(got));
}

static void check_no_secret(const char *text)
{
    t_checkf(!text || !strstr(text, "PLANTED"), "a secret got out: %s", strstr(text, "PLANTED"));
}

static char *taken(struct buf *b)
{
    t_check(buf_ok(b));
    return buf_take(b, NULL);
}

/* Notes are comments in the text, and not read back. */
static void strip_notes(struct estate *e)
{
    for (size_t i = 0; i < e->asset_count; i++) {
        for (size_t k = 0; k < e->assets[i]->attr_count; k++) {
            e->assets[i]->attrs[k].value.note = STR_NONE;
        }
    }
}

static enum err read_text(struct str text, const struct import_opts *opts)
{
    static const struct import_opts none = {0};
    forget();
    /* A copy of exact size, so that a sanitizer sees a read past the end. */
    char *copy = mem_dup(text.p, text.n);
    enum err err = import_read(str_make(copy, text.n), STR("file"), opts ? opts : &none, &got.e,
                               &got.r, &got.ei);
    mem_free(copy); /* nothing may point into it */
    check_no_secret(got.ei.message);
    check_no_secret(got.ei.hint);
    if (err != OK) {
        t_check(got.ei.code == err && got.ei.message[0]);
        return err;
    }
    struct buf b;
    buf_init(&b, 64 << 20);
    import_write_yaml(got.e, got.r, &b);
    got.yaml = taken(&b);
    buf_init(&b, 1 << 20);
    import_report_write(got.r, &b);
    got.report = taken(&b);
    check_no_secret(got.yaml);
    check_no_secret(got.report);
    /* What was written is an estate, the same one. */
    struct estate *again = NULL;
    struct errinfo ei = {0};
    t_ok_info(estate_read(str_of(got.yaml), STR("estate.yaml"), &again, &ei), &ei);
    buf_init(&b, 64 << 20);
    import_write_yaml(again, got.r, &b);
    strip_notes(got.e);
    struct buf plain;
    buf_init(&plain, 64 << 20);
    import_write_yaml(got.e, got.r, &plain);
    t_eq_str(buf_str(&b), buf_str(&plain));
    buf_done(&plain);
    buf_done(&b);
    estate_free(again);
    return OK;
}

static void read_file(const char *name, const struct import_opts *opts)
{
    char path[256];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), DATA "%s", name);
    char *text = t_read_file(path, &n);
    t_checkf(strstr(text, "PLANTED-") != NULL, "%s has no secret to hide", name);
    enum err err = read_text(str_make(text, n), opts);
    mem_free(text);
    t_ok_info(err, &got.ei);
}

static const struct estate_asset *asset(const char *id)
{
    const struct estate_asset *a = estate_find(got.e, str_of(id));
    t_checkf(a != NULL, "no asset %s", id);
    return a;
}

static const struct estate_value *value(const char *id, enum estate_attr attr)
{
    return estate_attr(asset(id), attr);
}

static void fails(const char *text, enum err code, const char *says)
{
    t_err(read_text(str_of(text), NULL), code);
    t_contains(str_of(got.ei.message), says);
}

T_TEST("a Terraform state becomes the estate that it describes")
{
    read_file("platform.tfstate", NULL);
    t_golden("import_state.yaml", str_of(got.yaml));
    t_golden("import_state.txt", str_of(got.report));
    t_eq_u64(got.r->resource_count, 29);
    t_eq_u64(got.r->unknown_count, 2);
    forget();
}

T_TEST("terraform show -json: modules in modules; what is marked sensitive is unknown")
{
    read_file("show-state.json", NULL);
    t_golden("import_show.yaml", str_of(got.yaml));
    t_eq_int(value("module.vault.azurerm_key_vault.kv", ATTR_SKU)->conf, EV_UNKNOWN);
    t_check(asset("module.vault.module.deep.azurerm_virtual_network.v")->placement_count == 1);
    forget();
}

T_TEST("a plan does not know the ids of what is not there yet")
{
    read_file("plan.json", NULL);
    t_golden("import_plan.yaml", str_of(got.yaml));
    const struct estate_value *v =
        value("azurerm_machine_learning_workspace.new", ATTR_DEFAULT_STORAGE);
    t_check(estate_is_set(asset("azurerm_machine_learning_workspace.new"), ATTR_DEFAULT_STORAGE));
    t_eq_int(v->conf, EV_UNKNOWN);
    forget();
}

T_TEST("an ARM template: defaults, variables, nested deployments, children, references")
{
    read_file("template.json", NULL);
    t_golden("import_template.yaml", str_of(got.yaml));
    t_golden("import_template.txt", str_of(got.report));
    t_check(asset("storageAccounts/st{env}")->placements_open);
    forget();
}

T_TEST("values given for parameters take the braces away, but never reach secure ones")
{
    const struct import_param params[] = {
        {STR("env"), STR("prod")},
        {STR("resourceGroup.location"), STR("Korea Central")},
        {STR("zones"), STR("false")},
        {STR("adminPassword"), STR("PLANTED-given")},
    };
    read_file("template.json", &(struct import_opts){.params = params, .param_count = 4});
    t_eq_lit(asset("storageAccounts/stprod")->placements[0].region, "koreacentral");
    t_eq_lit(value("workspaces/ml1", ATTR_KEY_VAULT)->refs[0].id, "vaults/kv-prod-7");
    t_eq_bool(value("databases/sql1/shop", ATTR_ZONE_REDUNDANT)->boolean, false);
    t_check(asset("databases/sql1/shop")->placements_open); /* its location is the secret */
    forget();
}

T_TEST("a list of resources: null says nothing, names in two groups are told apart")
{
    read_file("resources.json", NULL);
    t_golden("import_resources.yaml", str_of(got.yaml));
    t_eq_int(value("other-rg/storageAccounts/stkc", ATTR_HIERARCHICAL)->conf, EV_UNKNOWN);
    t_eq_lit(value("managedClusters/aks1", ATTR_CREATED_BY)->text, "aml");
    t_eq_bool(estate_is_set(asset("managedClusters/aks1"), ATTR_IN_TEMPLATE), false);
    forget();
}

T_TEST("a CSV inventory with quotes, a byte order mark and columns that mean nothing to us")
{
    read_file("inventory.csv", NULL);
    t_golden("import_csv.yaml", str_of(got.yaml));
    t_check(asset("store \"a\"")->placement_count == 2);
    t_eq_u64(got.r->skipped_count, 2);
    forget();
}

#define SCHEMA                                                                                     \
    "{\"$schema\":\"https://schema.management.azure.com/schemas/2019-04-01/"                       \
    "deploymentTemplate.json#\","

/* The region that a template with this location gives. */
static void place(const char *location, const char *want)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   SCHEMA "\"parameters\":{\"p\":{\"type\":\"string\",\"defaultValue\":\"east\"},"
                          "\"o\":{\"type\":\"object\",\"defaultValue\":{\"a\":[\"x\",\"west\"]}},"
                          "\"n\":{\"type\":\"string\"},\"loop\":{\"type\":\"string\","
                          "\"defaultValue\":\"[parameters('loop')]\"},"
                          "\"s\":{\"type\":\"SecureString\",\"defaultValue\":\"PLANTED-s\"}},"
                          "\"variables\":{\"v\":\"[concat(parameters('p'), 2)]\","
                          "\"b0\":\"xxxxxxxxxx\",\"b1\":\"[concat(variables('b0'),variables('b0'),"
                          "variables('b0'),variables('b0'))]\",\"b2\":\"[concat(variables('b1'),"
                          "variables('b1'),variables('b1'),variables('b1'),variables('b1'),"
                          "variables('b1'),variables('b1'))]\",\"b3\":\"[concat(variables('b2'),"
                          "variables('b2'),variables('b2'),variables('b2'),variables('b2'),"
                          "variables('b2'),variables('b2'),variables('b2'))]\"},"
                          "\"resources\":[{\"type\":\"Microsoft.Network/virtualNetworks\","
                          "\"name\":\"v\",\"location\":\"%s\"}]}",
                   location);
    t_ok_info(read_text(str_of(text), NULL), &got.ei);
    const struct estate_asset *a = asset("virtualNetworks/v");
    if (!want) {
        t_checkf(a->placement_count == 0 && a->placements_open, "%s has a value", location);
        return;
    }
    t_checkf(a->placement_count == 1, "%s has no value", location);
    t_eq_str(a->placements[0].region, str_of(want));
}

T_TEST("expressions: what is evaluated, and that all else is unknown")
{
    place("plain", "plain");
    place("[parameters('p')]", "east");
    place("[ Parameters( 'P' ) ]", "east");
    place("[variables('v')]", "east2");
    place("[concat('a', 'b', 1)]", "ab1");
    place("[format('{0}-{1}', 'a', parameters('p'))]", "a-east");
    place("[parameters('o').a[1]]", "west");
    place("[parameters('o')['a'][1]]", "west");
    static const char *const unknown[] = {
        "[parameters('n')]",
        "[parameters('s')]",
        "[concat('a', parameters('s'))]",
        "[parameters('loop')]",
        "[variables('none')]",
        "[toLower('A')]",
        "[resourceGroup().location]",
        "[resourceGroup().name]",
        "[format('{0:N}', 1)]",
        "[format('{1}', 'a')]",
        "[concat('a']",
        "[concat('a'))]",
        "[]",
        "['open]",
        "[parameters('o').a[7]]",
        "[parameters('o')]",
        "[if(true, 'a', 'b')]",
        "[variables('b3')]",
        "[parameters('p') parameters('p')]",
    };
    for (size_t i = 0; i < ARRAY_COUNT(unknown); i++) {
        place(unknown[i], NULL);
    }
    forget();
}

T_TEST("forms that are not read say so, with what to do")
{
    fails("{\"version\":3,\"serial\":1,\"modules\":[]}", ERR_UNSUPPORTED, "version 3");
    fails("{\"version\":5,\"serial\":1,\"resources\":[]}", ERR_UNSUPPORTED, "version 5");
    fails("{\"format_version\":\"2.0\",\"values\":{}}", ERR_UNSUPPORTED, "file:1: format_version");
    fails("{\"format_version\":\"0.2\",\"values\":{}}", ERR_UNSUPPORTED, "format_version");
    fails("{\"format_version\":\"1.0\",\"provider_schemas\":{}}", ERR_INVALID, "schemas");
    fails("{\"encrypted_data\":\"PLANTED-x\"}", ERR_INVALID, "encrypted");
    fails("{\"$schema\":\"https://x/deploymentParameters.json#\"}", ERR_INVALID, "parameters");
    fails("{\"columns\":[],\"rows\":[]}", ERR_INVALID, "table");
    fails("{\"PLANTED-a\":\"PLANTED-b\"}", ERR_INVALID, "no form");
    fails(SCHEMA "\"resources\":3}", ERR_INVALID, "no resources");
    fails("resource st 'Microsoft.Storage/storageAccounts@2022' = {", ERR_INVALID, "no form");
    t_contains(str_of(got.ei.hint), "az bicep build");
    fails("\xff\xfe{\0", ERR_SYNTAX, "UTF-16");
    fails("{\n  \"version\": PLANTED-x\n}", ERR_SYNTAX, "line 2");
    fails("", ERR_INVALID, "no form");
    struct import_opts opts = {.format = IMPORT_ARM};
    t_err(read_text(STR("{\"version\":4,\"serial\":1,\"resources\":[]}"), &opts), ERR_INVALID);
    t_contains(str_of(got.ei.hint), "Terraform");
    forget();
}

T_TEST("empty files of each form are estates without assets")
{
    static const char template[] = SCHEMA "\"resources\":[]}";
    static const char *const texts[] = {
        "{\"version\":4,\"serial\":1,\"resources\":[]}",
        "{\"format_version\":\"1.0\"}",
        template,
        "[]",
        "{\"value\":[]}",
        "id,type,region\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        t_ok_info(read_text(str_of(texts[i]), NULL), &got.ei);
        t_eq_u64(got.e->asset_count, 0);
    }
    forget();
}

T_TEST("a mistake in a CSV file is named by line and column, without the value")
{
    fails("id,type\na,service\n", ERR_INVALID, "file:1: the first row has no column region");
    fails("id,type,region\na,service\n", ERR_SYNTAX, "file:2: 2 cells, not 3");
    fails("id,type,region\n\"a,service,x\n", ERR_SYNTAX, "file:2: a quote is not closed");
    fails("id,type,region\n\"a\"b,service,x\n", ERR_SYNTAX, "text after a closing quote");
    fails("id,type,region\na\"b,service,x\n", ERR_SYNTAX, "quote inside");
    fails("id,type,region\na,PLANTED-t,x\n", ERR_INVALID, "file:2: column 2 (type)");
    fails("id,type,region\na,storage_acount,x\n", ERR_INVALID, "no type");
    t_contains(str_of(got.ei.hint), "storage_account");
    fails("id,type,region\na,service,PLANTED=x\n", ERR_INVALID, "column 3 (region)");
    fails("id,type,region\na,service,x\na,service,x\n", ERR_INVALID, "file:3: column 1 (id)");
    fails("id,type,region,redundancy\na,storage_account,x,PLANTED-r\n", ERR_INVALID,
          "column 4 (redundancy)");
    t_contains(str_of(got.ei.hint), "ra_gzrs");
    fails("id,type,region,redundancy\na,service,x,lrs\n", ERR_INVALID, "no attribute redundancy");
    fails("id,type,region,objective.rto\na,service,x,soon\n", ERR_INVALID, "duration");
    fails("id,type,region,id\na,service,x,a\n", ERR_INVALID, "twice");
    fails("id,type,region,depends_on\na,service,x,a\n", ERR_INVALID, "reference");
    fails("id,type,region,peer\na,service,x,b\nb,application,x,\n", ERR_INVALID, "another type");
    t_ok_info(read_text(STR("id,type,region,redundency\na,service,x,y\n"), NULL), &got.ei);
    t_contains(str_of(got.report), "did you mean redundancy?");
    forget();
}

/* `n` levels of child modules around one vault. */
static enum err nested_modules(unsigned n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_cstr(&b, "{\"format_version\":\"1.0\",\"values\":{\"root_module\":");
    for (unsigned i = 1; i < n; i++) {
        buf_add_cstr(&b, "{\"child_modules\":[");
    }
    buf_add_cstr(&b, "{\"resources\":[{\"mode\":\"managed\",\"type\":\"azurerm_key_vault\","
                     "\"address\":\"a\",\"values\":{\"location\":\"x\"}}]}");
    for (unsigned i = 1; i < n; i++) {
        buf_add_cstr(&b, "]}");
    }
    buf_add_cstr(&b, "}}");
    enum err err = read_text(buf_str(&b), NULL);
    buf_done(&b);
    return err;
}

T_TEST("limits hold at the edge: nesting, columns, the size of a cell and of a file")
{
    t_ok_info(nested_modules(IMPORT_NESTING_MAX), &got.ei);
    t_eq_u64(got.e->asset_count, 1);
    t_err(nested_modules(IMPORT_NESTING_MAX + 1), ERR_LIMIT);
    for (unsigned over = 0; over < 2; over++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        buf_add_cstr(&b, "id,type,region");
        for (unsigned i = 3; i < IMPORT_COLUMNS_MAX + over; i++) {
            buf_printf(&b, ",x%u", i);
        }
        t_err(read_text(buf_str(&b), NULL), over ? ERR_LIMIT : OK);
        buf_clear(&b);
        buf_add_cstr(&b, "id,type,region,owner\na,service,x,");
        for (unsigned i = 0; i < ESTATE_STRING_SIZE_MAX + over; i++) {
            buf_add_char(&b, 'o');
        }
        t_err(read_text(buf_str(&b), NULL), over ? ERR_LIMIT : OK);
        buf_done(&b);
    }
    char *big = mem_zalloc(IMPORT_TEXT_SIZE_MAX + 1);
    memset(big, ' ', IMPORT_TEXT_SIZE_MAX + 1);
    fails("{}", ERR_INVALID, "no form");
    t_err(read_text(str_make(big, IMPORT_TEXT_SIZE_MAX), NULL), ERR_INVALID);
    t_err(read_text(str_make(big, IMPORT_TEXT_SIZE_MAX + 1), NULL), ERR_LIMIT);
    mem_free(big);
    forget();
}

T_TEST("hostile references and texts: rings, itself, other kinds, control characters")
{
    static const char ws[] = "/subscriptions/s/resourceGroups/g/providers/"
                             "Microsoft.ContainerService/managedClusters/k";
    char text[2048];
    (void)snprintf(
        text, sizeof(text),
        "{\"version\":4,\"serial\":1,\"resources\":["
        "{\"mode\":\"managed\",\"type\":\"azurerm_kubernetes_cluster\",\"name\":\"k\","
        "\"instances\":[{\"index_key\":\"\\u001b[31m\\n\",\"attributes\":{\"id\":\"%s\","
        "\"location\":\"PLANTED KEY=\",\"default_node_pool\":7}}]},"
        "{\"mode\":\"managed\",\"type\":\"azurerm_machine_learning_inference_cluster\","
        "\"name\":\"i\",\"instances\":[{\"attributes\":{\"kubernetes_cluster_id\":\"%s\","
        "\"machine_learning_workspace_id\":\"%s\"}}]},"
        "{\"mode\":\"managed\",\"type\":\"azurerm_machine_learning_workspace\","
        "\"name\":\"w\",\"instances\":[{\"attributes\":{\"location\":[],"
        "\"key_vault_id\":\"AccountKey=PLANTED-k==\",\"storage_account_id\":{}}}]}]}",
        ws, ws, ws);
    t_ok_info(read_text(str_of(text), NULL), &got.ei);
    t_eq_u64(got.e->asset_count, 2);
    t_check(!strchr(got.yaml, 0x1b));
    t_eq_int(estate_attr(got.e->assets[0], ATTR_WORKSPACE)->conf, EV_UNKNOWN);
    t_eq_int(value("azurerm_machine_learning_workspace.w", ATTR_KEY_VAULT)->conf, EV_UNKNOWN);
    forget();
}

T_MAIN()
