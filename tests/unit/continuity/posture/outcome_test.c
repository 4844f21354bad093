/* What a loss does, asset by asset; recovery figures; waivers; drill reports. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/files.h"
#include "continuity/posture/report.h"
#include "lib/t.h"

#define HEAD                                                                                       \
    "version: 1\nregions:\n- {name: a, pair: b, zones: [1, 2]}\n- {name: b, pair: a, zones: "      \
    "[1]}\n"                                                                                       \
    "- {name: c, pair: none}\nobjectives: [{class: o, rto: 15m, rpo: 5m}]\nassets:\n"

struct look {
    struct estate *e;
    struct report *r;
};

static struct look look_with(const char *text, const struct report_opts *extra)
{
    struct look l = {0};
    struct errinfo ei = {0};
    t_ok_info(estate_read(str_of(text), STR("case"), &l.e, &ei), &ei);
    struct report_opts opts = *extra;
    t_check(estate_parse_time(STR("2026-11-28"), &opts.at_ms));
    t_ok_info(report_build(l.e, &opts, &l.r, &ei), &ei);
    return l;
}

static struct look look(const char *text, const char *lose)
{
    struct report_opts opts = {.lose = str_of(lose)};
    return look_with(text, &opts);
}

static void done(struct look *l)
{
    report_free(l->r);
    estate_free(l->e);
}

static const struct report_outcome *outcome(const struct look *l, const char *id)
{
    const struct estate_asset *a = estate_find(l->e, str_of(id));
    t_check(a != NULL && l->r->what_if.outcomes != NULL);
    return &l->r->what_if.outcomes[a->idx];
}

/* ---- single assets ---- */

static const struct {
    const char *asset; /* without braces and id */
    const char *lose;
    enum effect effect;
    const char *why;
} singles[] = {
    {"type: storage_account, region: b, attrs: {redundancy: lrs}", "region:a", EFFECT_NONE, ""},
    {"type: storage_account, region: a, attrs: {redundancy: lrs, copy_in: [], backups: none}",
     "region:a", EFFECT_STOPS, "in this region only, with all its data"},
    {"type: storage_account, region: a, attrs: {redundancy: lrs}", "region:a", EFFECT_UNKNOWN,
     "is not stated"},
    {"type: storage_account, region: a, attrs: {redundancy: grs}", "region:a", EFFECT_NEEDS_HANDS,
     "account failover"},
    {"type: storage_account, region: a, attrs: {redundancy: ra_grs}", "region:a", EFFECT_DEGRADED,
     "can be read"},
    {"type: storage_account, region: a, attrs: {redundancy: lrs, copy_in: [b]}", "region:a",
     EFFECT_NEEDS_HANDS, "copy or backup is elsewhere"},
    {"type: storage_account, region: a, attrs: {redundancy: zrs, copy_in: [], backups: none}",
     "zone:a/1", EFFECT_GOES_ON, "zone-redundant"},
    {"type: storage_account, region: a, attrs: {redundancy: lrs, copy_in: [], backups: none}",
     "zone:a/1", EFFECT_STOPS, "counted as in the zone"},
    {"type: storage_account, region: a", "zone:a/1", EFFECT_UNKNOWN, "zones are not stated"},
    {"type: storage_account, region: b", "zone:a/1", EFFECT_NONE, ""},
    {"type: key_vault, region: a", "region:a", EFFECT_DEGRADED, "read-only"},
    {"type: key_vault, region: c", "region:c", EFFECT_STOPS, "no pair"},
    {"type: key_vault, region: a", "zone:a/1", EFFECT_GOES_ON, "zone-redundant"},
    {"type: container_registry, regions: [a, b]", "region:a", EFFECT_DEGRADED, "pulls go on"},
    {"type: container_registry, regions: [a, b]", "region:b", EFFECT_GOES_ON,
     "first of its regions"},
    {"type: aks_cluster, region: a, zones: [1]", "zone:a/2", EFFECT_NONE, ""},
    {"type: aks_cluster, region: a, zones: [1], peer: none", "zone:a/1", EFFECT_STOPS, "only"},
    {"type: aks_cluster, region: a, zones: [1, 2]", "zone:a/1", EFFECT_GOES_ON, "several zones"},
    {"type: application", "region:a", EFFECT_UNKNOWN, "regions are not stated"},
    {"type: application, regions: [a, b], topology: hot/hot", "region:a", EFFECT_GOES_ON, "active"},
    {"type: application, regions: [a, b], topology: hot/warm", "region:a", EFFECT_NEEDS_HANDS,
     "started"},
    {"type: application, regions: [a, b], topology: hot/cold", "region:a", EFFECT_NEEDS_HANDS,
     "deployed"},
    {"type: application, regions: [a, b], topology: hot/warm, attrs: {failover_automatic: true}",
     "region:a", EFFECT_FAILS_OVER, "by itself"},
    {"type: application, regions: [a, b]", "region:a", EFFECT_UNKNOWN, "topology"},
    {"type: dns_zone", "region:a", EFFECT_NONE, ""},
#define CDB(regions, attrs) "type: cosmos_account, regions: [" regions "], attrs: {" attrs "}"
    {CDB("a", "multi_write: false"), "region:a", EFFECT_STOPS, "only region"},
    {CDB("a, unknown", "multi_write: false"), "region:a", EFFECT_UNKNOWN, "not stated"},
    {CDB("a, b", "multi_write: false, automatic_failover: false"), "region:a", EFFECT_STOPS,
     "until the region returns"},
    {CDB("a, b", "multi_write: false, automatic_failover: true"), "region:a", EFFECT_FAILS_OVER,
     "promoted"},
    {CDB("a, b", "multi_write: true"), "region:a", EFFECT_GOES_ON, "every region takes writes"},
    {CDB("a, b", "multi_write: false"), "region:a", EFFECT_UNKNOWN, "automatic_failover"},
    {CDB("a, b", "multi_write: false"), "region:b", EFFECT_GOES_ON, "reads move"},
    {CDB("a, b", "multi_write: false, consistency: strong"), "region:b", EFFECT_NEEDS_HANDS,
     "marked failed"},
    {CDB("a, b, c", "multi_write: false, consistency: strong"), "region:b", EFFECT_GOES_ON, ""},
    {CDB("{name: a, zone_redundant: true}, b", "multi_write: false, automatic_failover: true"),
     "zone:a/1", EFFECT_GOES_ON, "zone-redundant"},
    {CDB("{name: a, zone_redundant: false}, b", "multi_write: false, automatic_failover: true"),
     "zone:a/1", EFFECT_FAILS_OVER, "counted as in the zone"},
    {"type: holdfast_account, regions: [a, b]", "region:a", EFFECT_FAILS_OVER, "promoted"},
};

static void test_singles(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(singles); i++) {
        char text[1000];
        (void)snprintf(text, sizeof(text), HEAD "- {id: x, %s}\n", singles[i].asset);
        struct look l = look(text, singles[i].lose);
        const struct report_outcome *o = outcome(&l, "x");
        t_checkf(o->effect == singles[i].effect, "%s, %s: %s (" STR_FMT ")", singles[i].asset,
                 singles[i].lose, effect_name(o->effect), STR_ARG(o->why));
        t_checkf(str_find(o->why, str_of(singles[i].why)) >= 0, "%s: " STR_FMT, singles[i].asset,
                 STR_ARG(o->why));
        t_check(IMPLIES(o->effect == EFFECT_NEEDS_HANDS, o->action.n > 0 && o->who.n > 0));
        done(&l);
    }
}

/* ---- through dependencies ---- */

static void test_spread(void)
{
    /* api -> db in the lost region: down through it. Telemetry in it takes nobody down. A circle of
     * needs ends. */
    struct look l =
        look(HEAD "- {id: api, type: application, region: b, depends_on: [db, logs]}\n"
                  "- {id: db, type: service, region: a, peer: none, depends_on: [api]}\n"
                  "- {id: logs, type: application_insights, region: a, peer: none}\n"
                  "- {id: web, type: application, region: b, depends_on: [logs]}\n",
             "region:a");
    t_check(outcome(&l, "db")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "api")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "api")->because == estate_find(l.e, STR("db")));
    t_check(outcome(&l, "logs")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "web")->effect == EFFECT_NONE);
    t_eq_u64(l.r->what_if.count[EFFECT_STOPS], 3);
    done(&l);
}

static void test_peer_carries(void)
{
    /* Hot/hot: the database of the lost side does not matter, the vault that both need does. */
    static const char text[] =
        HEAD "- {id: app1, type: application, region: a, peer: app2, topology: hot/hot, "
             "depends_on: [db1, shared]}\n"
             "- {id: app2, type: application, region: b, depends_on: [db2, shared]}\n"
             "- {id: db1, type: service, region: a, peer: none}\n"
             "- {id: db2, type: service, region: b, peer: none}\n"
             "- {id: shared, type: service, region: %s, peer: none}\n";
    char full[2000];
    (void)snprintf(full, sizeof(full), text, "c");
    struct look l = look(full, "region:a");
    t_check(outcome(&l, "db1")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "app1")->effect == EFFECT_GOES_ON);
    t_check(outcome(&l, "app2")->effect == EFFECT_NONE);
    done(&l);
    (void)snprintf(full, sizeof(full), text, "a");
    l = look(full, "region:a");
    t_check(outcome(&l, "app1")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "app2")->effect == EFFECT_STOPS);
    t_check(outcome(&l, "app2")->because == estate_find(l.e, STR("shared")));
    done(&l);
}

static void test_who(void)
{
    struct look l =
        look(HEAD "- {id: x, type: application, regions: [a, b], topology: hot/warm, owner: "
                  "shop}\n- {id: q, type: application, regions: [a, b], topology: hot/warm}\n"
                  "runbooks: [{id: rb, owner: on call, attrs: {applies_to: [x]}}]\n",
             "region:a");
    t_eq_lit(outcome(&l, "x")->who, "on call");
    t_contains(outcome(&l, "x")->action, "carry out the runbook rb");
    t_eq_lit(outcome(&l, "q")->who, "nobody named");
    done(&l);
}

static void test_lose_errors(void)
{
    static const char *const bad[] = {"a",        "region:", "region:x", "zone:a",
                                      "zone:a/9", "zone:a/", "planet:a"};
    struct estate *e = NULL;
    struct errinfo ei = {0};
    t_ok_info(estate_read(STR(HEAD "  []\n"), STR("case"), &e, &ei), &ei);
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct report *r = NULL;
        struct errinfo why = {0};
        struct report_opts opts = {.lose = str_of(bad[i])};
        t_checkf(report_build(e, &opts, &r, &why) == ERR_USAGE, "%s", bad[i]);
    }
    estate_free(e);
}

/* ---- figures ---- */

static const struct report_asset *asset(const struct look *l, const char *id)
{
    return &l->r->assets[estate_find(l->e, str_of(id))->idx];
}

static void test_estimates(void)
{
    /* Sums of the policy's terms; the route's time to live counts when one leads there. */
    struct look l = look(HEAD "- {id: x, type: application, regions: [a, b], topology: hot/warm}\n"
                              "- {id: h, type: application, regions: [a, b], topology: hot/hot}\n"
                              "- {id: u, type: application, region: a, peer: none}\n"
                              "routes: [{id: r, attrs: {serves: [x], ttl: 2m}}]\n",
                         "");
    const struct figure *f = &asset(&l, "x")->rto[BY_ESTIMATE];
    t_check(f->kind == FIGURE_VALUE);
    t_eq_i64(f->ms, (5 + 15 + 5 + 15 + 2) * INT64_C(60000) + 30000);
    t_eq_lit(f->how, "detect 5m + decide 15m + promote 5m + start 15m + route 2m + reconnect 30s");
    t_eq_i64(asset(&l, "h")->rto[BY_ESTIMATE].ms, 30000);
    done(&l);
}

static void test_current_and_meets(void)
{
    struct look l =
        look(HEAD "- {id: s, type: storage_account, region: a, class: o, topology: hot/warm, "
                  "attrs: {redundancy: grs, last_sync_time: 2026-11-27T23:52:00Z}}\n"
                  "- {id: m, type: postgresql_server, regions: [a, b], class: o, topology: "
                  "hot/warm, attrs: {measured_rto: 14m, measured_rpo: 0, replication_lag: "
                  "1h}}\n"
                  "- {id: b, type: postgresql_server, region: a, class: o, attrs: {backups: "
                  "[bk]}}\n"
                  "- {id: bk, type: backup, region: b, attrs: {last_recoverable_point: "
                  "2026-11-27T23:58:00Z}}\n",
             "");
    t_eq_i64(asset(&l, "s")->rpo[BY_CURRENT].ms, 8 * INT64_C(60000));
    t_check(asset(&l, "s")->meets_rpo == TRI_NO);
    /* Measured wins over current, and that over the estimate. */
    t_check(asset(&l, "m")->meets_rto == TRI_YES && asset(&l, "m")->meets_rpo == TRI_YES);
    t_eq_i64(asset(&l, "m")->rpo[BY_CURRENT].ms, 3600000);
    t_eq_i64(asset(&l, "b")->rpo[BY_CURRENT].ms, 2 * INT64_C(60000));
    t_eq_u64(l.r->objective_count, 3);
    t_eq_u64(l.r->objectives_met_count, 1);
    done(&l);
}

static void test_drill(void)
{
    /* Two drill reports: the newer one gives the figures, the worst of its repeats counts, and the
     * drill counts as rehearsed. */
    char path[2][300];
    const char *texts[] = {
        "{\"fault\":\"kill\",\"finished_at_ms\":1795000000000,\"repeats\":[{\"rto_ms\":900,"
        "\"lost\":0,"
        "\"in_feed\":0},{\"rto_ms\":400,\"lost\":0,\"in_feed\":0}]}",
        "{\"fault\":\"ki\\u001bll\",\"finished_at_ms\":1794000000000,\"repeats\":[{\"rto_ms\":null,"
        "\"lost\":3,\"in_feed\":2}]}"};
    for (int i = 0; i < 2; i++) {
        struct errinfo ei = {0};
        (void)snprintf(path[i], sizeof(path[i]), "%s/drill%d.json", t_tmp_dir(), i);
        t_ok_info(files_write_durable(path[i], str_of(texts[i]), 0644, &ei), &ei);
    }
    static const char text[] = HEAD "- {id: x, type: holdfast_account, regions: [a, b], class: o, "
                                    "attrs: {consistency: strong, drill_reports: [drill0.json]}}\n";
    struct report_drill extra = {STR("x"), str_of(path[1])};
    struct report_opts opts = {.drills = &extra, .drill_count = 1, .dir = t_tmp_dir()};
    struct look l = look_with(text, &opts);
    const struct report_asset *x = asset(&l, "x");
    t_check(x->rto[BY_MEASUREMENT].kind == FIGURE_VALUE);
    t_eq_i64(x->rto[BY_MEASUREMENT].ms, 900);
    t_eq_lit(x->rto[BY_MEASUREMENT].how, "worst of 2 x kill, drill0.json");
    t_eq_i64(x->rpo[BY_MEASUREMENT].ms, 0);
    t_check(x->meets_rto == TRI_YES && x->meets_rpo == TRI_YES);
    for (size_t i = 0; i < l.r->finding_count + l.r->unknown_count; i++) {
        const struct report_finding *f =
            i < l.r->finding_count ? &l.r->findings[i] : &l.r->unknowns[i - l.r->finding_count];
        t_check(strcmp(f->rule->id, "HF-CDB-011") != 0);
    }
    done(&l);
    /* Alone, the other one: nothing recovered, writes were lost; no figure is made up. */
    opts.dir = "/nowhere";
    l = look_with(HEAD "- {id: x, type: holdfast_account, regions: [a, b]}\n", &opts);
    x = asset(&l, "x");
    t_check(x->rto[BY_MEASUREMENT].kind == FIGURE_UNKNOWN);
    t_check(x->rpo[BY_MEASUREMENT].kind == FIGURE_UNKNOWN);
    t_contains(x->rpo[BY_MEASUREMENT].how, "3 writes lost, 2 in the conflict feed");
    done(&l);
}

/* Of several faults the worst counts as well, and is not told of one of them. */
static void test_drill_faults(void)
{
    static const struct {
        const char *first, *second, *how;
    } cases[] = {{"disk-full", "disk-full", "worst of 2 x disk-full, "},
                 {"kill", "cut", "worst of 2 x several faults, "}};
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/d.json", t_tmp_dir());
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char text[400];
        struct errinfo ei = {0};
        (void)snprintf(text, sizeof(text),
                       "{\"fault\":\"all\",\"repeats\":[{\"fault\":\"%s\",\"rto_ms\":40},"
                       "{\"fault\":\"%s\",\"rto_ms\":1100}]}",
                       cases[i].first, cases[i].second);
        t_ok_info(files_write_durable(path, str_of(text), 0644, &ei), &ei);
        struct report_drill drill = {STR("x"), str_of(path)};
        struct report_opts opts = {.drills = &drill, .drill_count = 1};
        struct look l =
            look_with(HEAD "- {id: x, type: holdfast_account, regions: [a, b]}\n", &opts);
        const struct report_asset *x = asset(&l, "x");
        t_eq_i64(x->rto[BY_MEASUREMENT].ms, 1100);
        t_contains(x->rto[BY_MEASUREMENT].how, cases[i].how);
        done(&l);
    }
}

static void test_drill_errors(void)
{
    char path[300];
    struct errinfo ei = {0};
    struct estate *e = NULL;
    (void)snprintf(path, sizeof(path), "%s/x.json", t_tmp_dir());
    t_ok_info(files_write_durable(path, STR("{\"fault\":\"kill\"}"), 0644, &ei), &ei);
    t_ok_info(estate_read(STR(HEAD "- {id: x, type: service, region: a}\n"), STR("case"), &e, &ei),
              &ei);
    struct report_drill drills[] = {{STR("x"), str_of(path)},
                                    {STR("x"), STR("/nowhere/at/all")},
                                    {STR("nobody"), str_of(path)}};
    const enum err want[] = {ERR_INVALID, ERR_NOT_FOUND, ERR_USAGE};
    for (size_t i = 0; i < ARRAY_COUNT(drills); i++) {
        struct report *r = NULL;
        struct report_opts opts = {.drills = &drills[i], .drill_count = 1};
        t_err(report_build(e, &opts, &r, NULL), want[i]);
    }
    estate_free(e);
}

/* ---- waivers ---- */

static void test_waivers(void)
{
    struct look l =
        look(HEAD "- {id: x, type: cosmos_account, region: a}\n"
                  "- {id: q, type: cosmos_account, region: a}\n"
                  "waivers:\n"
                  "- {rule: HF-CDB-001, asset: x, reason: r, owner: o, expires: 2026-11-29}\n"
                  "- {rule: HF-CDB-001, asset: q, reason: r, owner: o, expires: 2026-11-28}\n"
                  "- {rule: HF-BK-001, asset: '*', reason: r, owner: o, expires: 2027-01-01}\n"
                  "- {rule: HF-ACI-001, asset: x, reason: r, owner: o, expires: 2027-01-01}\n",
             "");
    /* One holds, one has run out this very moment, one covers all assets, one nothing. */
    t_eq_u64(l.r->count[SEVERITY_CRITICAL], 1);
    t_eq_lit(l.r->findings[0].asset->id, "q");
    t_check(l.r->waivers[0].state == WAIVER_USED && l.r->waivers[1].state == WAIVER_EXPIRED);
    t_check(l.r->waivers[2].state == WAIVER_USED && l.r->waivers[3].state == WAIVER_UNUSED);
    t_eq_u64(l.r->waivers[1].finding_count, 1);
    t_eq_u64(l.r->waivers[2].finding_count, 2);
    t_eq_u64(l.r->waived_count, 3);
    t_check(l.r->waived[1].waiver == l.r->waivers[0].waiver);
    t_check(report_fails(l.r, SEVERITY_CRITICAL) && report_fails(l.r, SEVERITY_LOW));
    done(&l);
    struct estate *e = NULL;
    struct errinfo ei = {0};
    struct report *r = NULL;
    t_ok(estate_read(
        STR(HEAD "- {id: x, type: service}\nwaivers: [{rule: HF-NO-001, asset: x, reason: r, "
                 "owner: o, expires: 2027-01-01}]\n"),
        STR("case"), &e, &ei));
    t_err(report_build(e, &(struct report_opts){.at_ms = 0}, &r, &ei), ERR_INVALID);
    t_contains(str_of(ei.message), "there is no rule 'HF-NO-001'");
    estate_free(e);
}

int main(int argc, char **argv)
{
    t_start(argc, argv);
    t_run("what a loss does to one asset", test_singles);
    t_run("a loss spreads through what is needed", test_spread);
    t_run("a peer carries on unless both need what is lost", test_peer_carries);
    t_run("who has to act", test_who);
    t_run("a loss of something that is not there", test_lose_errors);
    t_run("estimates are sums of named terms", test_estimates);
    t_run("current figures, and which figure counts", test_current_and_meets);
    t_run("drill reports give the measured figures", test_drill);
    t_run("a drill report of several faults counts by its worst", test_drill_faults);
    t_run("drill reports that are none", test_drill_errors);
    t_run("waivers hold until they expire", test_waivers);
    return t_done();
}
