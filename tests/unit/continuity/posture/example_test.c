/* The example estates of doc/examples/estate, each with its report as a golden file, and the size that
 * one estate may have. T_UPDATE_GOLDEN=1 writes the golden files again. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "continuity/posture/plan.h"
#include "lib/t.h"
#include "json/json.h"

static struct estate *open_example(const char *name)
{
    char path[200];
    struct estate *e = NULL;
    struct errinfo ei = {0};
    (void)snprintf(path, sizeof(path), "doc/examples/estate/%s.yaml", name);
    t_ok_info(estate_read_file(path, &e, &ei), &ei);
    return e;
}

static struct report *report_of(const struct estate *e, const char *lose)
{
    struct errinfo ei = {0};
    struct report *r = NULL;
    struct report_opts opts = {.lose = str_of(lose), .dir = "doc/examples/estate"};
    t_check(estate_parse_time(STR("2026-11-29T10:00:00Z"), &opts.at_ms));
    t_ok_info(report_build(e, &opts, &r, &ei), &ei);
    return r;
}

/* Text of the whole report, of the what-if, and the plan. */
static void check_golden(const char *name, const char *from, const char *to)
{
    struct estate *e = open_example(name);
    struct buf out;
    char lose[80];
    char file[100];
    buf_init(&out, 1 << 20);
    (void)snprintf(lose, sizeof(lose), "region:%s", from);
    for (int i = 0; i < 2; i++) {
        struct report *r = report_of(e, i == 0 ? "" : lose);
        buf_clear(&out);
        report_write_text(r, &(struct report_style){0}, &out);
        (void)snprintf(file, sizeof(file), "assess_%s%s.txt", name, i == 0 ? "" : "_lost");
        t_golden(file, buf_str(&out));
        if (i == 1) { /* what tools/check-schemas holds against the published schema */
            buf_clear(&out);
            report_write_json(r, &out);
            (void)snprintf(file, sizeof(file), "assess_%s_lost.json", name);
            t_golden(file, buf_str(&out));
        }
        report_free(r);
    }
    struct report *r = report_of(e, "");
    struct plan *plan = NULL;
    t_ok(plan_build(r, str_of(from), str_of(to), &plan, NULL));
    buf_clear(&out);
    plan_write_markdown(plan, &out);
    (void)snprintf(file, sizeof(file), "assess_%s_plan.md", name);
    t_golden(file, buf_str(&out));
    plan_free(plan);
    /* The same report as JSON is sound, and says the same of its length. */
    struct arena arena;
    const struct json *root = NULL;
    arena_init(&arena);
    buf_clear(&out);
    report_write_json(r, &out);
    t_ok(json_parse(&arena, buf_str(&out), NULL, &root, NULL));
    t_eq_u64(json_get(root, STR("findings"))->count, r->finding_count);
    t_eq_u64(json_get(root, STR("unknowns"))->count, r->unknown_count);
    t_eq_u64(json_get(root, STR("assets"))->count, r->asset_count);
    arena_done(&arena);
    report_free(r);
    buf_done(&out);
    estate_free(e);
}

static void test_azure_ml(void)
{
    check_golden("azure-ml", "koreacentral", "koreasouth");
}

static void test_databricks(void)
{
    check_golden("databricks", "northeurope", "westeurope");
}

static void test_holdfast(void)
{
    check_golden("holdfast", "east", "west");
}

static void test_deterministic(void)
{
    struct buf out[2];
    for (int i = 0; i < 2; i++) {
        struct estate *e = open_example("azure-ml");
        struct report *r = report_of(e, "zone:koreacentral/1");
        buf_init(&out[i], 4 << 20);
        report_write_json(r, &out[i]);
        report_free(r);
        estate_free(e);
    }
    t_eq_str(buf_str(&out[0]), buf_str(&out[1]));
    buf_done(&out[0]);
    buf_done(&out[1]);
}

/* ---- size ---- */

/* Regions of three, each asset needing others, pairs, backups, a runbook over some. */
static void large_estate(struct buf *out, unsigned n)
{
    buf_add_cstr(out, "version: 1\nregions:\n");
    for (unsigned i = 0; i < 20; i++) {
        buf_printf(out, "- {name: region%u, pair: region%u, zones: [1, 2, 3], core_quota: 1000}\n",
                   i, i ^ 1U);
    }
    buf_add_cstr(out, "objectives: [{class: o, rto: 15m, rpo: 5m}]\nassets:\n");
    for (unsigned i = 0; i < n; i++) {
        static const char *const types[] = {"application", "postgresql_server", "storage_account",
                                            "key_vault", "cosmos_account"};
        buf_printf(out,
                   "  - id: asset%u\n    type: %s\n    region: region%u\n    class: o\n"
                   "    owner: team%u\n    attrs: {in_template: true, sla: 99.9}\n",
                   i, types[i % 5], i % 20, i % 50);
        if (i % 5 == 0) {
            buf_printf(out, "    depends_on: [asset%u, asset%u, asset%u]\n", i + 1, i + 2, i + 3);
        }
    }
    buf_add_cstr(out, "runbooks: [{id: rb, owner: o, steps: [], attrs: {applies_to: [asset0]}}]\n");
}

static void test_large(void)
{
    /* Ten thousand assets. The time is told, not judged: machines differ. */
    struct buf text;
    struct buf out;
    struct estate *e = NULL;
    struct errinfo ei = {0};
    buf_init(&text, 16 << 20);
    buf_init(&out, 256 << 20);
    large_estate(&text, 10000);
    usec start = clock_boot_us();
    t_ok_info(estate_read(buf_str(&text), STR("large"), &e, &ei), &ei);
    usec read = clock_boot_us();
    struct report *r = report_of(e, "region:region3");
    usec built = clock_boot_us();
    report_write_json(r, &out);
    usec written = clock_boot_us();
    t_check(buf_ok(&out));
    t_eq_u64(r->asset_count, 10001);
    /* 500 assets in the lost region, and the applications elsewhere that need one of them. */
    size_t touched = r->asset_count - r->what_if.count[EFFECT_NONE];
    t_check(touched >= 500 && touched < 2000);
    t_note("read %u ms, assessed %u ms, written %u ms", (unsigned)((read - start) / 1000),
           (unsigned)((built - read) / 1000), (unsigned)((written - built) / 1000));
    report_free(r);
    estate_free(e);
    buf_done(&text);
    buf_done(&out);
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("the Azure ML platform", test_azure_ml);
    t_run("the Databricks platform", test_databricks);
    t_run("the shop on a Holdfast account", test_holdfast);
    t_run("the same input gives the same report", test_deterministic);
    t_run("an estate of ten thousand assets", test_large);
    return t_done();
}
