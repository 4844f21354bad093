/* The drill's report: what it says, that it escapes everything, and that it loads nothing. */
#include "continuity/drill/report.h"

#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "continuity/drill/timeline.h"
#include "lib/t.h"

static const usec MS = 1000;

static struct timeline *story(const char *region)
{
    struct timeline *t = timeline_new(1000 * MS, 1700000000000);
    timeline_writer(t, 1000 * MS, region);
    for (usec at = 1000; at < 3000; at += 5) {
        if (at < 1600 || at >= 1900) {
            timeline_ack(t, at * MS);
        }
    }
    timeline_writer(t, 1700 * MS, "");
    timeline_writer(t, 1880 * MS, "west");
    for (usec at = 1000; at < 3000; at += 100) {
        timeline_lag(t, at * MS, "west", at / 100, 3);
    }
    timeline_event(t, 600, TIMELINE_DRILL, region, 0, STR("fault: kill"));
    timeline_event(t, 880, TIMELINE_REGION, "west", 310, STR("failover: reason=\"<b>&\""));
    t->fault_ms = 600;
    t->healed_ms = 700;
    t->back_ms = 1500;
    t->end_ms = 2000;
    return t;
}

static struct drill_result result(const char *level, const char *region)
{
    struct drill_result r = {.rto_ms = 300,
                             .client_rto_ms = 310,
                             .read_rto_ms = 12,
                             .rejoin_ms = -1,
                             .acked = 400,
                             .surviving = 393,
                             .in_feed = 7,
                             .started_wall_ms = 1700000000000};
    (void)snprintf(r.level, sizeof(r.level), "%s", level);
    (void)snprintf(r.region, sizeof(r.region), "%s", region);
    (void)snprintf(r.new_writer, sizeof(r.new_writer), "west");
    return r;
}

static struct str page(struct drill_report *r)
{
    static struct buf out;
    buf_done(&out);
    buf_init(&out, DRILL_REPORT_SIZE_MAX);
    r->account = r->account ? r->account : "shop";
    r->version = "1";
    r->wall_ms = 1700000000000;
    r->command = r->command ? r->command : "holdfast drill";
    drill_report_html(r, &out);
    t_check(buf_ok(&out));
    return buf_str(&out);
}

static size_t count_of(struct str text, const char *what)
{
    size_t n = 0;
    for (ptrdiff_t at = str_find(text, str_of(what)); at >= 0; at = str_find(text, str_of(what))) {
        n++;
        text = str_slice(text, (size_t)at + strlen(what), text.n);
    }
    return n;
}

T_TEST("a report says what was wanted, what was measured, and what was not covered")
{
    struct drill_result res[] = {result("Session", "east"), result("Strong", "east")};
    res[1].rto_ms = 900;
    struct drill_report r = {.results = res,
                             .count = 2,
                             .max_rto_ms = 500,
                             .has_max_rpo = true,
                             .max_rpo_writes = 7,
                             .skips = {1, {"cut: not there"}}};
    struct str text = page(&r);
    t_contains(text, "objectives missed");
    t_contains(text, "nothing lost");
    t_contains(text, "at most 500 ms</td><td>900 ms</td><td><span class=\"tag bad\">missed");
    t_contains(text, "at most 7 writes</td><td>7 writes</td><td><span class=\"tag ok\">met");
    t_contains(text, "By fault and consistency level");
    t_contains(text, "<li>cut: not there</li>");
    t_contains(text, "0 of 800 over all repeats");
    t_check(str_find(text, STR("<svg")) < 0); /* no timeline, no picture */
}

T_TEST("a report of several faults has each beside the others, and names those that were left out")
{
    struct drill_result res[] = {result("Session", "east"), result("Session", "east")};
    struct drill_report r = {.results = res, .count = 2};
    struct str text = page(&r);
    t_contains(text, "Drill report: kill, account shop");
    t_contains(text, "Other faults than these: pause, cut,");
    t_check(str_find(text, STR("By fault and consistency level")) < 0);
    t_contains(text, "nearest rank");
    res[1].fault = DRILL_FLAP;
    res[1].hold_ms = 20000;
    text = page(&r);
    t_contains(text, "Drill report: 2 faults, account shop");
    t_contains(text, "<li><b>flap</b>: The links");
    t_contains(text, "By fault and consistency level");
    t_contains(text, "<tr><td>flap</td><td>Session</td><td class=\"num\">1</td>");
    t_contains(text, "flap lasts at least</td><td class=\"num\">20000&nbsp;ms");
    t_check(str_find(text, STR("nearest rank")) <
            0); /* medians over different faults say nothing */
    struct drill_result each[DRILL_FAULT_COUNT];
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++) {
        each[i] = res[0];
        each[i].fault = (enum drill_fault)i;
    }
    r.results = each;
    r.count = DRILL_FAULT_COUNT;
    t_check(str_find(page(&r), STR("Other faults than these")) < 0);
}

T_TEST("lost writes cannot be overlooked")
{
    struct drill_result res = result("Session", "east");
    res.lost = 1;
    struct drill_report r = {.results = &res, .count = 1};
    struct str text = page(&r);
    t_contains(text, "WRITES LOST");
    t_contains(text, "1 of 400 over all repeats</td><td><span class=\"tag bad\">missed");
    t_check(str_find(text, STR("By fault and consistency level")) <
            0); /* one level: no comparison */
}

T_TEST("names, texts and commands are shown, never obeyed; nothing is loaded from anywhere")
{
    static const char evil[] = "</td><script>x</script>\"'&";
    struct drill_result res = result(evil, evil);
    res.timeline = story(evil);
    struct drill_report r = {.results = &res, .count = 1, .account = evil, .command = evil};
    (void)snprintf(r.skips.texts[r.skips.count++], sizeof(r.skips.texts[0]), "%s", evil);
    struct str text = page(&r);
    t_check(str_find(text, STR("<script")) < 0);
    t_check(str_find(text, STR("<b>&\"")) < 0);
    t_contains(text, "&lt;script&gt;");
    static const char *const loads[] = {"src=", "href=", "http://", "https://", "url(", "@import"};
    for (size_t i = 0; i < ARRAY_COUNT(loads); i++) {
        t_checkf(str_find(text, str_of(loads[i])) < 0, "%s", loads[i]);
    }
    timeline_free(res.timeline);
}

T_TEST("the picture shows the silence, the writers and the moments, the whole and close by")
{
    struct drill_result res = result("Session", "east");
    res.timeline = story("east");
    struct drill_report r = {.results = &res, .count = 1};
    struct str text = page(&r);
    t_eq_u64(count_of(text, "<svg"), 1); /* nearly all of it is close by already */
    t_eq_u64(count_of(text, "<svg"), count_of(text, "</svg>"));
    t_contains(text, "nobody may write");
    t_contains(text, ">300 ms</text>"); /* the gap, as counted from the acknowledgements */
    t_contains(text, "all online");
    t_contains(text, "+280&nbsp;ms"); /* of the second event */
    res.timeline->end_ms = 60000;
    text = page(&r);
    t_eq_u64(count_of(text, "<svg"), 2);
    timeline_free(res.timeline);
}

T_TEST("the longest timelines stay in bounds, as many as a report has")
{
    struct timeline *t = story("east");
    for (usec i = 0; i < TIMELINE_BUCKETS_MAX; i++) {
        timeline_ack(t, 1000 * MS + i * TIMELINE_BUCKET_MS * MS);
    }
    for (int i = 0; i < TIMELINE_SAMPLES_MAX; i++) {
        timeline_lag(t, 1000 * MS + (usec)i * 20 * MS, i % 2 ? "west" : "north", (uint64_t)i, 1);
    }
    for (int i = 0; i < TIMELINE_EVENTS_MAX; i++) {
        timeline_event(t, i, TIMELINE_ACCOUNT, "west", 0,
                       STR("<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<"));
    }
    t->end_ms = (int64_t)TIMELINE_BUCKETS_MAX * TIMELINE_BUCKET_MS;
    struct drill_result res[DRILL_TIMELINES_MAX];
    for (size_t i = 0; i < DRILL_TIMELINES_MAX; i++) {
        res[i] = result("Session", "east");
        res[i].timeline = t;
    }
    struct drill_report r = {.results = res, .count = DRILL_TIMELINES_MAX};
    struct str text = page(&r);
    t_note("%zu KiB", text.n >> 10);
    t_contains(text, "</html>");
    size_t most = DRILL_PICTURES_MAX + DRILL_TIMELINES_MAX; /* the last account may begin below */
    t_check(text.n / DRILL_TIMELINES_MAX * most < DRILL_REPORT_SIZE_MAX);
    timeline_free(t);
}

T_MAIN()
