/* Plans: what must exist, the order of the steps, what is called useless. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/posture/plan.h"
#include "lib/t.h"
#include "json/json.h"

#define HEAD                                                                                       \
    "version: 1\nregions:\n- {name: a, pair: b, outage_domain: q}\n"                               \
    "- {name: b, pair: a, restricted: true, outage_domain: q}\n- {name: c}\n"                      \
    "objectives: [{class: o, rto: 15m, rpo: 5m}]\nassets:\n"

struct made {
    struct estate *e;
    struct report *r;
    struct plan *plan;
    struct buf text;
};

static struct made make(const char *text, const char *from, const char *to)
{
    struct made m = {0};
    struct errinfo ei = {0};
    struct report_opts opts = {.at_ms = 0};
    t_ok_info(estate_read(str_of(text), STR("case"), &m.e, &ei), &ei);
    t_ok_info(report_build(m.e, &opts, &m.r, &ei), &ei);
    t_ok_info(plan_build(m.r, str_of(from), str_of(to), &m.plan, &ei), &ei);
    buf_init(&m.text, 1 << 20);
    plan_write_markdown(m.plan, &m.text);
    return m;
}

static void done(struct made *m)
{
    buf_done(&m->text);
    plan_free(m->plan);
    report_free(m->r);
    estate_free(m->e);
}

static bool has(const struct made *m, const char *part)
{
    return str_find(buf_str(&m->text), str_of(part)) >= 0;
}

/* Position of the first step with that text; fails without one. */
static size_t step(const struct made *m, enum plan_phase phase, const char *part)
{
    for (size_t i = 0; i < m->plan->step_count; i++) {
        if (m->plan->steps[i].phase == phase &&
            str_find(m->plan->steps[i].text, str_of(part)) >= 0) {
            return i;
        }
    }
    t_fail("no step '%s' in %s", part, plan_phase_name(phase));
}

static void test_databricks_order(void)
{
    struct made m = make(HEAD "- {id: x, type: databricks_workspace, region: a, peer: z}\n"
                              "- {id: z, type: databricks_workspace, region: b}\n",
                         "a", "b");
    static const char *const order[] = {
        "profiles",   "users",   "notebooks",    "cluster definitions", "job definitions",
        "libraries:", "mounts:", "init scripts", "access lists",        "verify"};
    for (size_t i = 1; i < ARRAY_COUNT(order); i++) {
        t_checkf(step(&m, PLAN_BEFORE, order[i - 1]) < step(&m, PLAN_BEFORE, order[i]), "%s",
                 order[i]);
    }
    t_check(step(&m, PLAN_DURING, "disable schedules") <
            step(&m, PLAN_DURING, "set the schedules"));
    t_check(has(&m, "z is there"));
    t_check(has(&m,
                "b is the pair of a; access to b is restricted: ask for it now; both are in the "
                "outage domain q"));
    done(&m);
}

static void test_phases(void)
{
    /* Data before compute before the route; jobs after; nothing of what is elsewhere. */
    struct made m =
        make(HEAD "- {id: db, type: postgresql_server, region: a, topology: hot/warm, owner: dba, "
                  "attrs: {copy_in: [b]}}\n"
                  "- {id: app, type: application, region: a, topology: hot/warm}\n"
                  "- {id: cold, type: application, region: a, topology: hot/cold}\n"
                  "- {id: ws, type: aml_workspace, region: a}\n"
                  "- {id: far, type: application, region: c}\n"
                  "routes: [{id: r, attrs: {serves: [app]}}, {id: s, attrs: {serves: [far]}}]\n",
             "a", "b");
    size_t promote = step(&m, PLAN_DURING, "promote the replica");
    size_t start = step(&m, PLAN_DURING, "start what waits");
    size_t deploy = step(&m, PLAN_DURING, "deploy models, services");
    size_t route = step(&m, PLAN_DURING, "lead clients");
    t_check(promote < start && start < deploy && deploy < route);
    t_eq_lit(m.plan->steps[promote].who, "dba");
    t_eq_lit(m.plan->steps[start].who, "nobody named");
    t_eq_lit(m.plan->steps[start].asset->id, "app");
    (void)step(&m, PLAN_AFTER, "submit the jobs again");
    (void)step(&m, PLAN_AFTER, "go back by a planned move");
    t_check(!has(&m, "far"));
    t_check(!has(&m, "**s**"));
    t_eq_u64(m.plan->asset_count, 4);
    done(&m);
}

static void test_copies(void)
{
    struct made m =
        make(HEAD "- {id: db, type: cosmos_account, region: a}\n"
                  "- {id: st, type: storage_account, region: a, attrs: {redundancy: lrs}}\n"
                  "- {id: ge, type: storage_account, region: a, attrs: {redundancy: grs}}\n"
                  "- {id: app, type: application, region: a}\n",
             "a", "b");
    /* 4 replicas a region for the account; the geo-copy is in the pair already. */
    t_eq_f64(m.plan->copies_from, 4 + 1 + 2);
    t_eq_f64(m.plan->copies_to, 8 + 2 + 2);
    t_check(has(&m, "| 4 to 8 |") && has(&m, "| 2 to 2 |") && has(&m, "x 1.25 where zones"));
    done(&m);
}

static void test_default_storage(void)
{
    /* Nobody is told to fail over what cannot be failed over. */
    struct made m =
        make(HEAD "- {id: w, type: aml_workspace, region: a, attrs: {default_storage: s}}\n"
                  "- {id: s, type: storage_account, region: a, attrs: {redundancy: grs}}\n",
             "a", "b");
    t_check(!has(&m, "start the account failover"));
    t_check(has(&m, "leave it: work with the default storage of the target workspace"));
    done(&m);
}

static void test_useless(void)
{
    /* 99.95 and 2 outages a year: 131.4 minutes each. Four hours are useless, ten minutes are not. */
    static const char text[] =
        HEAD "- {id: app, type: application, region: a, topology: hot/warm, attrs: "
             "{sla: 99.95, outages_per_year: 2, measured_rto: %s}}\n";
    char full[1000];
    (void)snprintf(full, sizeof(full), text, "4h");
    struct made m = make(full, "a", "b");
    t_check(has(
        &m, "**The failover of app is useless: it takes 4h, and the mean outage that it answers "
            "lasts 131.4 minutes.**"));
    done(&m);
    (void)snprintf(full, sizeof(full), text, "10m");
    m = make(full, "a", "b");
    t_check(!has(&m, "useless"));
    t_check(has(&m, "| 10m |"));
    done(&m);
}

static void test_markup(void)
{
    struct made m = make(HEAD "- {id: \"x|*y*<b>\", type: service, region: a}\n", "a", "b");
    t_check(has(&m, "x\\|\\*y\\*\\<b>"));
    done(&m);
}

static void test_empty(void)
{
    struct made m = make(HEAD "- {id: x, type: service, region: a}\n", "c", "b");
    t_check(has(&m, "Nothing of the estate is in the region that is left."));
    t_eq_u64(m.plan->step_count, 0);
    done(&m);
}

static void test_errors(void)
{
    struct made m = make(HEAD "  []\n", "a", "b");
    struct plan *plan = NULL;
    t_err(plan_build(m.r, STR("a"), STR("a"), &plan, NULL), ERR_USAGE);
    t_err(plan_build(m.r, STR("a"), STR("x"), &plan, NULL), ERR_USAGE);
    t_err(plan_build(m.r, STR("x"), STR("a"), &plan, NULL), ERR_USAGE);
    t_ok(plan_build(m.r, STR("A"), STR("B"), &plan, NULL));
    plan_free(plan);
    done(&m);
}

static void test_json(void)
{
    struct made m = make(HEAD "- {id: x, type: storage_account, region: a}\n", "a", "b");
    struct arena arena;
    const struct json *root = NULL;
    struct str from;
    buf_clear(&m.text);
    plan_write_json(m.plan, &m.text);
    arena_init(&arena);
    t_ok(json_parse(&arena, buf_str(&m.text), NULL, &root, NULL));
    t_check(json_get_str(root, STR("from"), &from));
    t_eq_lit(from, "a");
    t_eq_u64(json_get(root, STR("steps"))->count, m.plan->step_count);
    t_eq_u64(json_get(root, STR("assets"))->count, 1);
    arena_done(&arena);
    done(&m);
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("the content of a Databricks workspace moves in order", test_databricks_order);
    t_run("data, then compute, then the route", test_phases);
    t_run("what the plan costs in copies", test_copies);
    t_run("default storage is never failed over", test_default_storage);
    t_run("a failover slower than the outage is called useless", test_useless);
    t_run("names are no markup", test_markup);
    t_run("a region with nothing in it", test_empty);
    t_run("regions that are not there", test_errors);
    t_run("the same plan as JSON", test_json);
    return t_done();
}
