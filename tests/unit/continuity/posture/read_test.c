/* The strict reader of estate files: what is accepted, and the message for what is not. */
#include <string.h>

#include "base/buf.h"
#include "base/contract.h"
#include "base/mem.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/tree.h"
#include "lib/t.h"

static struct estate *read_good(const char *text)
{
    struct estate *e = NULL;
    struct errinfo ei = {0};
    t_ok_info(estate_read(str_of(text), STR("e.yaml"), &e, &ei), &ei);
    return e;
}

static const char full[] = "version: 1\n"
                           "name: platform\n"
                           "regions:\n"
                           "  - name: Korea Central\n"
                           "    pair: koreasouth\n"
                           "    zones: [1, 2, 3]\n"
                           "    core_quota: 64\n"
                           "    outage_domain: korea\n"
                           "  - name: koreasouth\n"
                           "    restricted: true\n"
                           "    zones: []\n"
                           "    not_offered: [aks_cluster]\n"
                           "policy:\n"
                           "  drill_max_age: 30d\n"
                           "  log_retention_days: 90\n"
                           "objectives:\n"
                           "  - class: orders\n"
                           "    rto: 15m\n"
                           "    rpo: 0\n"
                           "    availability: 99.99\n"
                           "    topology: hot/warm\n"
                           "assets:\n"
                           "  - id: data\n"
                           "    type: storage_account\n"
                           "    name: Training data\n"
                           "    region: koreacentral\n"
                           "    zones: [1]\n"
                           "    owner: data team\n"
                           "    class: orders\n"
                           "    environment: production\n"
                           "    critical_path: true\n"
                           "    attrs:\n"
                           "      redundancy: GRS\n"
                           "      last_sync_time: 2026-11-28T09:00:00Z\n"
                           "      holds: [training_data, unknown]\n"
                           "      copy_in: [Korea South]\n"
                           "      in_template: true\n"
                           "      sla: 99.9\n"
                           "      backups: unknown\n"
                           "    inferred: [in_template]\n"
                           "  - id: db\n"
                           "    type: cosmos_account\n"
                           "    regions:\n"
                           "      - name: koreacentral\n"
                           "        priority: 1\n"
                           "        zone_redundant: true\n"
                           "        throughput: 400\n"
                           "      - {name: koreasouth, priority: 0, zone_redundant: false}\n"
                           "      - unknown\n"
                           "    depends_on: [data, \"outside:billing\"]\n"
                           "    objective: {rto: 1m}\n"
                           "  - id: ws\n"
                           "    type: aml_workspace\n"
                           "    region: koreacentral\n"
                           "    peer: none\n"
                           "    attrs: {default_storage: data, key_vault: none}\n"
                           "routes: []\n"
                           "runbooks:\n"
                           "  - id: move\n"
                           "    steps:\n"
                           "      - {kind: manual, phase: before, text: call, who: lead}\n"
                           "      - {kind: resubmit_jobs, phase: after, writes_secrets: false}\n"
                           "    attrs: {applies_to: [ws, db], evacuates: [koreacentral]}\n"
                           "waivers:\n"
                           "  - rule: HF-ST-001\n"
                           "    asset: data\n"
                           "    reason: >\n"
                           "      copied\n"
                           "      by hand\n"
                           "    owner: lead\n"
                           "    expires: 2027-01-31\n";

static void check_full(const struct estate *e)
{
    t_eq_lit(e->title, "platform");
    t_eq_u64(e->region_count, 2);
    const struct estate_region *r = estate_find_region(e, STR("Korea Central"));
    t_check(r != NULL && r->has_pair == TRI_YES && r->has_zones == TRI_YES);
    t_eq_lit(r->pair, "koreasouth");
    t_eq_u64(r->zone_count, 3);
    t_eq_lit(r->zones[0], "1");
    t_eq_i64(r->core_quota, 64);
    r = estate_find_region(e, STR("koreasouth"));
    t_check(r->is_restricted == TRI_YES && r->has_zones == TRI_NO && r->offers_known);
    t_eq_u64(r->not_offered, UINT64_C(1) << TYPE_AKS_CLUSTER);
    t_eq_i64(e->policy.drill_max_age_ms, INT64_C(30) * 86400000);
    t_eq_i64(e->policy.verify_max_age_ms, INT64_C(7) * 86400000);
    t_eq_i64(e->policy.log_retention_days, 90);

    const struct estate_asset *data = estate_find(e, STR("data"));
    const struct estate_objective *o = estate_objective(e, data);
    t_eq_i64(o->rto_ms, 900000);
    t_eq_i64(o->rpo_ms, 0);
    t_eq_f64(o->availability, 99.99);
    t_check(o->topology == TOPOLOGY_HOT_WARM);
    t_eq_lit(estate_attr(data, ATTR_REDUNDANCY)->text, "grs");
    t_check(estate_attr(data, ATTR_REDUNDANCY)->conf == EV_KNOWN);
    t_check(estate_attr(data, ATTR_IN_TEMPLATE)->conf == EV_INFERRED);
    t_check(estate_attr(data, ATTR_HOLDS)->is_open);
    t_eq_u64(estate_attr(data, ATTR_HOLDS)->count, 1);
    t_eq_lit(estate_attr(data, ATTR_COPY_IN)->items[0], "koreasouth");
    t_check(estate_is_set(data, ATTR_BACKUPS));
    t_check(estate_attr(data, ATTR_BACKUPS)->conf == EV_UNKNOWN);
    t_check(!estate_is_set(data, ATTR_RELIES_ON_FAILOVER));

    const struct estate_asset *db = estate_find(e, STR("db"));
    t_eq_u64(db->placement_count, 2);
    t_check(db->placements_open);
    t_eq_lit(estate_primary(db)->region, "koreasouth");
    t_eq_f64(db->placements[0].throughput, 400);
    t_check(db->depends_on[0].asset == data);
    t_check(db->depends_on[1].is_outside);
    t_eq_lit(db->depends_on[1].id, "billing");
    t_eq_i64(estate_objective(e, db)->rto_ms, 60000);

    const struct estate_asset *ws = estate_find(e, STR("ws"));
    t_check(ws->peer_conf == EV_KNOWN && ws->peer.id.n == 0);
    t_check(estate_attr(ws, ATTR_DEFAULT_STORAGE)->refs[0].asset == data);
    t_check(estate_attr(ws, ATTR_KEY_VAULT)->conf == EV_KNOWN);
    t_eq_u64(estate_attr(ws, ATTR_KEY_VAULT)->count, 0);

    const struct estate_asset *move = estate_find(e, STR("move"));
    t_check(move->type == TYPE_RUNBOOK && move->step_count == 2);
    t_check(move->steps[1].kind == STEP_RESUBMIT_JOBS && move->steps[1].phase == PHASE_AFTER);
    t_check(e->has_routes && e->has_runbooks);
    t_eq_lit(e->waivers[0].reason, "copied by hand");
    t_eq_i64(e->waivers[0].expires_ms, INT64_C(1801353600000));
}

static void test_full(void)
{
    /* Every part of the schema once, looked at in the model. */
    struct estate *e = read_good(full);
    check_full(e);
    t_eq_u64(estate_find(e, STR("data"))->line, 23);
    t_eq_u64(estate_attr(estate_find(e, STR("data")), ATTR_REDUNDANCY)->line, 33);
    estate_free(e);
}

static void test_round_trip(void)
{
    /* Written, read, and written again: the same model, the same text. */
    struct estate *e = read_good(full);
    struct buf first;
    struct buf second;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    estate_write_yaml(e, &first);
    estate_free(e);
    struct errinfo ei = {0};
    t_ok_info(estate_read(buf_str(&first), STR("e.yaml"), &e, &ei), &ei);
    check_full(e);
    estate_write_yaml(e, &second);
    t_eq_str(buf_str(&second), buf_str(&first));
    estate_free(e);
    buf_done(&first);
    buf_done(&second);
}

static void test_json(void)
{
    /* The same reader takes JSON; lines are those of the text. */
    struct estate *e =
        read_good("{\"version\": 1, \"regions\": [{\"name\": \"a\"}],\n"
                  "\"assets\": [\n"
                  "  {\"id\": \"x\", \"type\": \"storage_account\", \"region\": \"a\",\n"
                  "   \"attrs\": {\"redundancy\": \"lrs\", \"in_template\": true,\n"
                  "             \"sla\": 99.5}}]}");
    const struct estate_asset *x = estate_find(e, STR("x"));
    t_eq_u64(x->line, 3);
    t_eq_u64(estate_attr(x, ATTR_SLA)->line, 5);
    t_check(estate_attr(x, ATTR_IN_TEMPLATE)->boolean);
    estate_free(e);
}

#define HEAD "version: 1\nregions: [{name: a}]\n"
#define ONE  HEAD "assets:\n  - id: x\n    type: storage_account\n    region: a\n"

static const struct {
    const char *text;
    enum err err;
    const char *message;
} bad[] = {
    /* YAML */
    {"", ERR_SYNTAX, "the file is empty"},
    {"version: 1\nversion: 1\nassets: []\n", ERR_SYNTAX,
     "e.yaml:2: the key 'version' is there twice"},
    {"version: &a 1\nassets: []\n", ERR_SYNTAX, "e.yaml:1:10: anchors"},
    {"version: 1\nname: *a\n", ERR_SYNTAX, "e.yaml:2:7: aliases"},
    {"version: !!int 1\n", ERR_SYNTAX, "tags"},
    {"%YAML 1.1\n---\nversion: 1\n", ERR_SYNTAX, "directives"},
    {"version: 1\nassets: []\n---\nversion: 1\n", ERR_SYNTAX, "more than one document"},
    {"version: 1\n? [a]\n: b\n", ERR_SYNTAX, "a key has to be a text"},
    {"version: 1\n\tname: x\n", ERR_SYNTAX, "e.yaml:2"},
    {"version: [1\n", ERR_SYNTAX, "e.yaml:"},
    {"version: \"\xff\"\n", ERR_SYNTAX, "e.yaml: byte"},
    {"name: [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\n", ERR_LIMIT, "nested too deep"},
    {"{\"version\": 1, \"version\": 1}", ERR_SYNTAX, "duplicate"},
    {"{\"version\": 1,}", ERR_SYNTAX, "e.yaml"},
    {"<<: {version: 1}\nassets: []\n", ERR_INVALID, "no key '<<'"},
    /* top */
    {"[]", ERR_INVALID, "an estate has to be a map"},
    {"assets: []\n", ERR_INVALID, "an estate needs version"},
    {"version: 1\n", ERR_INVALID, "an estate needs assets"},
    {"version: 2\nassets: []\n", ERR_INVALID, "version has to be 1"},
    {"version: \"1\"\nassets: []\n", ERR_INVALID, "version has to be 1"},
    {"version: 1\nassets: []\nasset: []\n", ERR_INVALID, "e.yaml:3: an estate has no key 'asset'"},
    {"version: 1\nassets: {}\n", ERR_INVALID, "assets has to be a list"},
    /* regions */
    {"version: 1\nregions: [{pair: b}]\nassets: []\n", ERR_INVALID, "a region needs name"},
    {"version: 1\nregions: [{name: a}, {name: A}]\nassets: []\n", ERR_INVALID, "is there twice"},
    {"version: 1\nregions: [{name: a, pair: a}]\nassets: []\n", ERR_INVALID, "its own pair"},
    {"version: 1\nregions: [{name: no}]\nassets: []\n", ERR_INVALID,
     "name has to be a text, not 'no'"},
    {"version: 1\nregions: [{name: a/b}]\nassets: []\n", ERR_INVALID,
     "cannot be the name of a region"},
    {"version: 1\nregions: [{name: a, core_quota: 010}]\nassets: []\n", ERR_INVALID,
     "whole number"},
    {"version: 1\nregions: [{name: a, core_quota: 1_0}]\nassets: []\n", ERR_INVALID,
     "whole number"},
    {"version: 1\nregions: [{name: a, core_quota: 0x10}]\nassets: []\n", ERR_INVALID,
     "whole number"},
    {"version: 1\nregions: [{name: a, not_offered: [moon]}]\nassets: []\n", ERR_INVALID,
     "'moon' is no type of asset"},
    {"version: 1\nregions: [{name: a, restricted: yes}]\nassets: []\n", ERR_INVALID,
     "true or false"},
    /* objectives, policy */
    {HEAD "objectives: [{rto: 1m}]\nassets: []\n", ERR_INVALID, "an objective needs class"},
    {HEAD "objectives: [{class: x, rto: 1:30}]\nassets: []\n", ERR_INVALID,
     "rto has to be a duration"},
    {HEAD "objectives: [{class: x, rto: 15}]\nassets: []\n", ERR_INVALID,
     "rto has to be a duration"},
    {HEAD "objectives: [{class: x}, {class: x}]\nassets: []\n", ERR_INVALID, "two objectives"},
    {HEAD "objectives: [{class: x, availability: 101}]\nassets: []\n", ERR_INVALID,
     "from 0 to 100"},
    {HEAD "objectives: [{class: x, topology: hot}]\nassets: []\n", ERR_INVALID,
     "one of single, backup"},
    {HEAD "policy: {drill_age: 1d}\nassets: []\n", ERR_INVALID, "policy has no key 'drill_age'"},
    /* assets */
    {HEAD "assets: [{type: storage_account}]\n", ERR_INVALID, "an asset needs id"},
    {HEAD "assets: [{id: x}]\n", ERR_INVALID, "an asset needs type"},
    {HEAD "assets: [{id: x, type: storage}]\n", ERR_INVALID, "'storage' is no type of asset"},
    {HEAD "assets: [{id: x, type: route}]\n", ERR_INVALID, "lists of their own"},
    {HEAD "assets: [{id: none, type: service}]\n", ERR_INVALID, "cannot be an id"},
    {HEAD "assets: [{id: 'outside:x', type: service}]\n", ERR_INVALID, "cannot be an id"},
    {HEAD "assets: [{id: \"a\\tb\", type: service}]\n", OK, ""},
    {HEAD "assets: [{id: \"a\\eb\", type: service}]\n", ERR_INVALID, "control characters"},
    {ONE "  - id: x\n    type: service\n", ERR_EXISTS, "e.yaml:7: the id 'x' is taken (line 4)"},
    {HEAD "assets: [{id: x, type: service, region: b}]\n", ERR_INVALID,
     "region 'b' is not declared"},
    {HEAD "assets: [{id: x, type: service, region: a, regions: [a]}]\n", ERR_INVALID, "exclude"},
    {HEAD "assets: [{id: x, type: service, peer: q}]\n", ERR_INVALID, "names 'q', which is not"},
    {HEAD "assets: [{id: x, type: service, peer: x}]\n", ERR_INVALID, "names itself"},
    {HEAD "assets: [{id: x, type: service, depends_on: [q]}]\n", ERR_INVALID, "depends_on of 'x'"},
    {HEAD "assets: [{id: x, type: service, class: c}]\n", ERR_INVALID, "no objective describes"},
    {HEAD "assets: [{id: x, type: service, steps: []}]\n", ERR_INVALID, "only a runbook"},
    {HEAD "assets: [{id: x, type: service, critical_path: True}]\n", ERR_INVALID, "true or false"},
    {HEAD "assets: [{id: x, type: service, environment: prod}]\n", ERR_INVALID,
     "one of production"},
    {HEAD "assets: [{id: x, type: service}, {id: q, type: application, peer: x}]\n", ERR_INVALID,
     "is of type service, not application"},
    /* attributes */
    {ONE "    attrs: {redundncy: lrs}\n", ERR_INVALID, "no key 'redundncy'"},
    {ONE "    attrs: {sku: basic}\n", ERR_INVALID, "attrs of a storage_account has no key 'sku'"},
    {ONE "    attrs: {redundancy: none}\n", ERR_INVALID, "one of: lrs zrs grs"},
    {ONE "    attrs: {redundancy: [lrs]}\n", ERR_INVALID, "one of: lrs"},
    {ONE "    attrs: {relies_on_failover: \"true\"}\n", ERR_INVALID, "true or false"},
    {ONE "    attrs: {relies_on_failover: on}\n", ERR_INVALID, "true or false"},
    {ONE "    attrs: {last_sync_time: 2026-02-29}\n", ERR_INVALID, "has to be a date"},
    {ONE "    attrs: {holds: [cats]}\n", ERR_INVALID, "words from"},
    {ONE "    attrs: {holds: logs}\n", ERR_INVALID, "has to be a list"},
    {ONE "    attrs: {sla: -1}\n", ERR_INVALID, "from 0 to 100"},
    {ONE "    attrs: {sla: .inf}\n", ERR_INVALID, "from 0 to 100"},
    {ONE "    attrs: {backups: [b]}\n", ERR_INVALID, "e.yaml:7: backups of 'x' names 'b'"},
    {ONE "    attrs: {copy_in: [b]}\n", ERR_INVALID, "'b' is not declared"},
    {ONE "    attrs: []\n", ERR_INVALID, "attrs has to be a map"},
    {ONE "    inferred: [redundancy]\n", ERR_INVALID, "'redundancy' has no value here"},
    /* routes, runbooks, waivers */
    {ONE "routes: [{id: r, type: route}]\n", ERR_INVALID, "a route has no type"},
    {ONE "runbooks: [{id: r, steps: [{text: x}]}]\n", ERR_INVALID, "a step needs kind"},
    {ONE "runbooks: [{id: r, steps: [{kind: dance}]}]\n", ERR_INVALID,
     "kind has to be one of check"},
    {ONE "waivers: [{rule: HF-ST-001}]\n", ERR_INVALID, "a waiver needs asset"},
    {ONE "waivers: [{rule: r, asset: q, reason: x, owner: o, expires: 2027-01-01}]\n", ERR_INVALID,
     "names 'q', which is not"},
    {ONE "waivers: [{rule: r, asset: x, reason: x, owner: o, expires: never}]\n", ERR_INVALID,
     "expires has to be a date"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct estate *e = NULL;
        struct errinfo ei = {0};
        enum err err = estate_read(str_of(bad[i].text), STR("e.yaml"), &e, &ei);
        t_checkf(err == bad[i].err, "%s -> %s: %s", bad[i].text, err_name(err), ei.message);
        t_checkf(strstr(ei.message, bad[i].message) != NULL, "%s -> %s", bad[i].text, ei.message);
        estate_free(e);
    }
}

static void test_suggestion(void)
{
    struct estate *e = NULL;
    struct errinfo ei = {0};
    t_err(estate_read(STR(ONE "    attrs: {redundncy: lrs}\n"), STR("e.yaml"), &e, &ei),
          ERR_INVALID);
    t_eq_cstr(ei.hint, "did you mean 'redundancy'?");
    ei = (struct errinfo){0};
    t_err(estate_read(STR("version: 1\nassts: []\n"), STR("e.yaml"), &e, &ei), ERR_INVALID);
    t_eq_cstr(ei.hint, "did you mean 'assets'?");
}

static void test_example(void)
{
    struct estate *e = NULL;
    struct errinfo ei = {0};
    t_ok_info(estate_read(estate_example(), STR("example"), &e, &ei), &ei);
    t_check(e->asset_count > 3 && e->has_routes && e->has_runbooks);
    estate_free(e);
}

static void test_long_text(void)
{
    /* A text of the greatest size is good, one byte more is not. */
    for (unsigned over = 0; over < 2; over++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        buf_add_cstr(&text, ONE "    owner: ");
        for (unsigned i = 0; i < ESTATE_STRING_SIZE_MAX + over; i++) {
            buf_add_char(&text, 'a');
        }
        buf_add_char(&text, '\n');
        struct estate *e = NULL;
        struct errinfo ei = {0};
        t_err(estate_read(buf_str(&text), STR("e.yaml"), &e, &ei), over ? ERR_LIMIT : OK);
        estate_free(e);
        buf_done(&text);
    }
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("every part of the schema reaches the model", test_full);
    t_run("what is written reads back the same", test_round_trip);
    t_run("JSON is read by the same schema", test_json);
    t_run("what is not accepted says where and why", test_bad);
    t_run("a misspelt key gets a suggestion", test_suggestion);
    t_run("the example of init is an estate", test_example);
    t_run("texts have a limit", test_long_text);
    return t_done();
}
