/* Composite availability against values worked out by hand, and the loss and SLA tables of the
 * sources. */
#include <math.h>
#include <stdio.h>

#include "base/contract.h"
#include "continuity/posture/arith.h"
#include "continuity/posture/figures_int.h"
#include "lib/t.h"

/* Percent, to the digits that the worked value is given with. */
static void is_percent(double a, double want, double digits)
{
    double got = a * 100;
    t_checkf(fabs(got - want) <= 0.5 / digits + 1e-9, "got %.9f, want %.9f", got, want);
}

static void test_shapes(void)
{
    const double both[] = {0.9995, 0.9999};
    double region = arith_serial(both, 2);
    is_percent(region, 99.940005, 1e6);
    const double two[] = {region, region};
    is_percent(arith_parallel(two, 2), 99.999964, 1e6);
    is_percent(arith_two_regions(0.9999, region, region), 99.989964, 1e6);
    is_percent(arith_k_of_n(2, 3, 0.999), 99.9997002, 1e7);
    is_percent(arith_k_of_n(3, 4, 0.999), 99.9994008, 1e7);
    t_eq_f64(arith_serial(NULL, 0), 1);
    t_eq_f64(arith_parallel(NULL, 0), 0);
    /* One of n is parallel, n of n is serial, none of n is certain. */
    const double three[] = {0.9, 0.9, 0.9};
    is_percent(arith_k_of_n(1, 3, 0.9), arith_parallel(three, 3) * 100, 1e9);
    is_percent(arith_k_of_n(3, 3, 0.9), arith_serial(three, 3) * 100, 1e9);
    is_percent(arith_k_of_n(0, 3, 0.9), 100, 1e9);
}

static void test_standby(void)
{
    bool is_useless = true;
    double outage = 0;
    struct arith_standby s = {0.9995, 0.9995, 2, 10, 0.95};
    is_percent(arith_standby(&s, &is_useless, &outage), 99.99386, 1e5);
    t_check(!is_useless);
    t_checkf(fabs(outage - 131.4) < 1e-6, "mean outage %.6f min", outage);
    s.failover_min = 240;
    s.success = 0.8;
    is_percent(arith_standby(&s, &is_useless, NULL), 99.94998, 1e5);
    t_check(is_useless);
    /* Exactly as long as the outage is useless too. */
    s.failover_min = outage;
    (void)arith_standby(&s, &is_useless, NULL);
    t_check(is_useless);
}

static void test_downtime(void)
{
    const struct {
        double percent;
        double minutes;
    } rows[] = {{99.9, 525.6},   {99.95, 262.8},  {99.99, 52.56},
                {99.995, 26.28}, {99.999, 5.256}, {99.9999, 0.526}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        double got = arith_downtime_min(rows[i].percent / 100);
        t_checkf(fabs(got - rows[i].minutes) < 0.001, "%g %%: %.6f", rows[i].percent, got);
    }
}

/* ---- tables, through a whole report ---- */

static struct report *report_of(struct estate **ret_e, const char *text, const char *lose)
{
    struct errinfo ei = {0};
    struct report *r = NULL;
    t_ok_info(estate_read(str_of(text), STR("case"), ret_e, &ei), &ei);
    struct report_opts opts = {.lose = str_of(lose)};
    t_check(estate_parse_time(STR("2026-11-28"), &opts.at_ms));
    t_ok_info(report_build(*ret_e, &opts, &r, &ei), &ei);
    return r;
}

static void done(struct report *r, struct estate *e)
{
    report_free(r);
    estate_free(e);
}

static const struct report_sla *sla_of(const struct report *r, const char *asset, const char *op)
{
    for (size_t i = 0; i < r->sla_count; i++) {
        if (str_eq(r->slas[i].asset->id, str_of(asset)) &&
            str_eq(str_of(r->slas[i].operation), str_of(op))) {
            return &r->slas[i];
        }
    }
    t_fail("no figure for %s of %s", op, asset);
}

#define REGIONS                                                                                    \
    "version: 1\nregions: [{name: a, zones: [1, 2]}, {name: b, zones: [1, 2]}, {name: c}]\n"

static void test_cosmos_sla(void)
{
    static const struct {
        const char *regions;
        const char *multi;
        double write;
        double read;
    } rows[] = {
        {"a", "false", 99.99, 99.99},
        {"{name: a, zone_redundant: true}", "false", 99.995, 99.995},
        {"a, b", "false", 99.99, 99.999},
        {"{name: a, zone_redundant: true}, {name: b, zone_redundant: true}", "false", 99.995,
         99.999},
        {"a, b", "true", 99.999, 99.999},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char text[500];
        struct estate *e = NULL;
        (void)snprintf(text, sizeof(text),
                       REGIONS "assets: [{id: x, type: cosmos_account, regions: [%s], attrs: "
                               "{multi_write: %s}}]\n",
                       rows[i].regions, rows[i].multi);
        struct report *r = report_of(&e, text, "");
        is_percent(sla_of(r, "x", "write")->percent / 100, rows[i].write, 1e6);
        is_percent(sla_of(r, "x", "read")->percent / 100, rows[i].read, 1e6);
        t_check(sla_of(r, "x", "read")->note.n > 0);
        done(r, e);
    }
}

static void test_loss_windows(void)
{
    static const struct {
        const char *attrs;
        enum figure_kind kind;
        int64_t ms;
    } rows[] = {
        {"consistency: strong", FIGURE_VALUE, 0},
        {"consistency: bounded_staleness", FIGURE_VALUE, 300000},
        {"consistency: bounded_staleness, staleness_time: 10s", FIGURE_VALUE, 10000},
        {"consistency: session", FIGURE_VALUE, 900000},
        {"consistency: consistent_prefix", FIGURE_VALUE, 900000},
        {"consistency: eventual", FIGURE_VALUE, 900000},
        {"multi_write: false", FIGURE_UNKNOWN, 0},
    };
    for (size_t i = 0; i <= ARRAY_COUNT(rows); i++) {
        /* The last round: one region loses everything, whatever the level. */
        bool is_one = i == ARRAY_COUNT(rows);
        char text[400];
        struct estate *e = NULL;
        (void)snprintf(text, sizeof(text),
                       REGIONS
                       "assets: [{id: x, type: cosmos_account, regions: [%s], attrs: {%s}}]\n",
                       is_one ? "a" : "a, b", is_one ? "consistency: session" : rows[i].attrs);
        struct report *r = report_of(&e, text, "");
        const struct figure *f = &r->assets[0].rpo[BY_ESTIMATE];
        t_checkf(f->kind == (is_one ? FIGURE_UNBOUNDED : rows[i].kind), "row %zu: kind %d", i,
                 (int)f->kind);
        t_eq_i64(f->ms, is_one ? 0 : rows[i].ms);
        done(r, e);
    }
}

static void test_provider_failover(void)
{
    /* A provider's failover is an hour or more, never the 15 minutes of a withdrawn table. */
    struct estate *e = NULL;
    struct report *r = report_of(&e,
                                 REGIONS "assets: [{id: x, type: cosmos_account, regions: [a, b], "
                                         "objective: {rto: 30m}, attrs: {multi_write: false, "
                                         "automatic_failover: true}}]\n",
                                 "");
    t_check(r->assets[0].rto[BY_ESTIMATE].kind == FIGURE_AT_LEAST);
    t_eq_i64(r->assets[0].rto[BY_ESTIMATE].ms, 3600000);
    t_check(r->assets[0].meets_rto == TRI_NO);
    done(r, e);
}

/* Two regions of app and db behind a route; both need one vault. */
#define SHOP(topology, extra)                                                                      \
    REGIONS "assets:\n"                                                                            \
            "- {id: app1, type: application, region: a, peer: app2, topology: " topology           \
            ", depends_on: [db1, vault], attrs: {sla: 99.95" extra "}}\n"                          \
            "- {id: app2, type: application, region: b, depends_on: [db2, vault], attrs: {sla: "   \
            "99.95}}\n"                                                                            \
            "- {id: db1, type: service, region: a, attrs: {sla: 99.99}}\n"                         \
            "- {id: db2, type: service, region: b, attrs: {sla: 99.99}}\n"                         \
            "- {id: vault, type: key_vault, region: a, attrs: {sla: 99.9}}\n"                      \
            "- {id: logs, type: application_insights, region: a, attrs: {sla: 50}}\n"              \
            "routes: [{id: name, attrs: {serves: [app1, app2], sla: 99.99, ttl: 60s}}]\n"

static void test_shared_once(void)
{
    /* The vault that both need stands outside the parallel term; telemetry does not enter. */
    struct estate *e = NULL;
    struct report *r = report_of(&e, SHOP("hot/hot", ""), "");
    const struct report_sla *s = sla_of(r, "app1", "all");
    double region = 0.9995 * 0.9999;
    is_percent(s->percent / 100, 100 * 0.999 * 0.9999 * (1 - (1 - region) * (1 - region)), 1e7);
    t_contains(s->formula, "(vault)");
    t_check(str_find(s->formula, STR("logs")) < 0);
    t_eq_u64(r->sla_count, 1); /* telemetry that nobody needs is no subject either */
    done(r, e);
}

static void test_standby_in_report(void)
{
    struct estate *e = NULL;
    struct report *r = report_of(&e,
                                 SHOP("hot/warm", ", failover_time: 10m, failover_success: 95, "
                                                  "outages_per_year: 2, measured_rto: 10m"),
                                 "");
    const struct report_sla *s = sla_of(r, "app1", "all");
    struct arith_standby in = {0.9995 * 0.9999, 0.9995 * 0.9999, 2, 10, 0.95};
    is_percent(s->percent / 100, 100 * 0.999 * 0.9999 * arith_standby(&in, NULL, NULL), 1e7);
    t_contains(s->note, "measured");
    done(r, e);
    /* A failover slower than the outage is called what it is. */
    r = report_of(&e, SHOP("hot/cold", ", measured_rto: 4h"), "");
    s = sla_of(r, "app1", "all");
    t_contains(s->note, "this failover is useless");
    t_contains(s->note, "assumed: never drilled");
    done(r, e);
}

static void test_missing_sla(void)
{
    struct estate *e = NULL;
    struct report *r = report_of(
        &e,
        REGIONS "assets:\n- {id: app, type: application, region: a, depends_on: [db], attrs: "
                "{sla: 99.9}}\n- {id: db, type: service, region: a}\n",
        "");
    const struct report_sla *s = sla_of(r, "app", "all");
    t_check(s->is_known == TRI_UNKNOWN);
    t_eq_lit(s->missing, "sla of db");
    done(r, e);
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("serial, parallel, k of n, two regions", test_shapes);
    t_run("active/standby, and when it is useless", test_standby);
    t_run("downtime a year", test_downtime);
    t_run("promises of a Cosmos DB account", test_cosmos_sla);
    t_run("loss windows by level and topology", test_loss_windows);
    t_run("a provider's failover is an hour or more", test_provider_failover);
    t_run("what both regions need is entered once", test_shared_once);
    t_run("active/standby in a report", test_standby_in_report);
    t_run("a missing promise makes the figure unknown", test_missing_sla);
    return t_done();
}
