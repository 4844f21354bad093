/* The report's page. See report.h. */
#include "continuity/drill/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "continuity/drill/timeline.h"
#include "continuity/html.h"

enum {
    EVENTS_OPEN_MAX = 30, /* a longer table starts folded */
    ZOOM_BEFORE_MS = 300,
    ZOOM_AFTER_MS = 700,
};

/* ---- words ---- */

/* What the fault was, in words; HTML. */
static const char *const fault_texts[DRILL_FAULT_COUNT] = {
    [DRILL_KILL] = "The server process of the region was killed (SIGKILL), without warning.",
    [DRILL_PAUSE] = "The server process of the region was frozen (SIGSTOP) and later woken up.",
    [DRILL_CUT] = "Every link of the region to the coordinator and to other regions was cut: "
                  "connections were reset.",
    [DRILL_GRACEFUL] = "An operator asked for another write region (graceful change).",
    [DRILL_BLACKHOLE] =
        "Every link of the region to the coordinator and to other regions swallowed "
        "everything: connections stayed, nothing came through.",
    [DRILL_REFUSE] =
        "Every link of the region to the coordinator and to other regions was reset and "
        "refused new connections.",
    [DRILL_DISK_FULL] = "The disk of the region ran full, down to half of its reserve.",
    [DRILL_SLOW_DISK] = "Each sync of the region's disk took much longer.",
    [DRILL_COORDINATOR_KILL] =
        "The coordinator process was killed (SIGKILL) and started again by its "
        "supervisor.",
    [DRILL_FLAP] = "The links of the region to the coordinator and to other regions were cut and "
                   "healed again and again.",
    [DRILL_DOUBLE] =
        "The server process of the write region was killed (SIGKILL), and so was the one of "
        "the region that was taking over, while it did.",
    [DRILL_CORRUPT] =
        "What the write region stores of one partition could not be read any more, as "
        "with damaged blocks.",
    [DRILL_REGION_REMOVE] = "The region was removed from the account under load.",
};

static const struct {
    const char *name;
    const char *meaning;
} times[DRILL_TIME_COUNT] = {
    [DRILL_RTO] = {"Writes at the new writer",
                   "from the (last) fault to the first acknowledged write that another region "
                   "took"},
    [DRILL_CLIENT_RTO] = {"Longest write gap",
                          "longest time without any acknowledged write, from the fault on, as a "
                          "client saw it"},
    [DRILL_READ_RTO] = {"Longest read gap",
                        "longest time without a successful read, reading at the region under fault "
                        "first"},
    [DRILL_REJOIN] =
        {"Return to health",
         "from healing (or from the fault, where the supervisor heals) to every region "
         "online again"},
};

/* What the objective for the time of unavailability is held against. */
static int64_t outage_of(const struct drill_result *r)
{
    return r->rto_ms >= 0 ? r->rto_ms : r->client_rto_ms;
}

static void put_ms(struct buf *out, int64_t ms)
{
    if (ms < 0) {
        buf_add_cstr(out, "&ndash;");
    } else {
        buf_printf(out, "%" PRId64 "&nbsp;ms", ms);
    }
}

static void put_time(struct buf *out, int64_t wall_ms)
{
    char when[CLOCK_RFC1123_SIZE];
    clock_format_iso(wall_ms, when);
    html_text(out, str_of(when));
}

static void tag(struct buf *out, const char *kind, const char *word)
{
    buf_printf(out, "<span class=\"tag %s\">%s</span>", kind, word);
}

static void cell_num(struct buf *out, uint64_t v)
{
    buf_printf(out, "<td class=\"num\">%" PRIu64 "</td>", v);
}

static void cell_ms(struct buf *out, int64_t ms)
{
    buf_add_cstr(out, "<td class=\"num\">");
    put_ms(out, ms);
    buf_add_cstr(out, "</td>");
}

static void cell_text(struct buf *out, const char *text)
{
    buf_add_cstr(out, "<td>");
    html_text(out, str_of(text));
    buf_add_cstr(out, "</td>");
}

/* ---- summary ---- */

struct sums {
    size_t count; /* repeats */
    uint64_t acked, surviving, in_feed, lost, unknown, errors;
    int64_t worst_outage_ms, worst_gap_ms;
    uint64_t worst_left; /* acknowledged writes that left the data, in one repeat */
};

static void sum_up(const struct drill_result *res, size_t n, const struct drill_group *g,
                   struct sums *ret)
{
    *ret = (struct sums){.worst_outage_ms = -1, .worst_gap_ms = -1};
    for (size_t k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        if (!drill_is_in(r, g)) {
            continue;
        }
        ret->count++;
        ret->acked += r->acked;
        ret->surviving += r->surviving;
        ret->in_feed += r->in_feed;
        ret->lost += r->lost;
        ret->unknown += r->unknown;
        ret->errors += r->errors;
        uint64_t left = r->in_feed + r->lost;
        ret->worst_left = left > ret->worst_left ? left : ret->worst_left;
        int64_t outage = outage_of(r);
        ret->worst_gap_ms =
            r->client_rto_ms > ret->worst_gap_ms ? r->client_rto_ms : ret->worst_gap_ms;
        ret->worst_outage_ms = outage > ret->worst_outage_ms ? outage : ret->worst_outage_ms;
    }
}

static void card(struct buf *out, const char *name, uint64_t value, const char *unit)
{
    buf_printf(out, "<div class=\"card\">%s<b>%" PRIu64 "%s</b></div>\n", name, value, unit);
}

/* In the order in which they were drilled. */
static size_t faults_of(const struct drill_report *r, enum drill_fault ret[DRILL_FAULT_COUNT])
{
    bool is_known[DRILL_FAULT_COUNT] = {false};
    size_t n = 0;
    for (size_t k = 0; k < r->count; k++) {
        enum drill_fault f = r->results[k].fault;
        if (!is_known[f]) {
            is_known[f] = true;
            ret[n++] = f;
        }
    }
    return n;
}

static void say_faults(const enum drill_fault *faults, size_t n, struct buf *out)
{
    if (n == 1) {
        buf_printf(out, "<p>%s</p>\n", fault_texts[faults[0]]);
        return;
    }
    buf_add_cstr(out, "<p>One fault after the other, each from a healthy account:</p>\n<ul>\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "<li><b>%s</b>: %s</li>\n", drill_fault_name(faults[i]),
                   fault_texts[faults[i]]);
    }
    buf_add_cstr(out, "</ul>\n");
}

static void head(const struct drill_report *r, const struct sums *s, struct buf *out)
{
    enum drill_fault faults[DRILL_FAULT_COUNT];
    size_t fault_count = faults_of(r, faults);
    char title[200];
    if (fault_count == 1) {
        (void)snprintf(title, sizeof(title), "Drill report: %s, account %s",
                       drill_fault_name(faults[0]), r->account);
    } else {
        (void)snprintf(title, sizeof(title), "Drill report: %zu faults, account %s", fault_count,
                       r->account);
    }
    html_begin(out, str_of(title));
    buf_add_cstr(out, "<header><h1>");
    html_text(out, str_of(title));
    buf_add_cstr(out, "</h1>\n<p>");
    tag(out, r->is_met ? "ok" : "bad", r->is_met ? "objectives met" : "objectives missed");
    buf_add_cstr(out, " ");
    tag(out, s->lost == 0 ? "ok" : "bad", s->lost == 0 ? "nothing lost" : "WRITES LOST");
    buf_add_cstr(out, "</p>\n<p class=\"dim\">Written ");
    put_time(out, r->wall_ms);
    buf_add_cstr(out, " by holdfast ");
    html_text(out, str_of(r->version));
    buf_add_cstr(out,
                 r->is_own_account
                     ? ". The account was started for this drill and has been removed since."
                     : ". The drill ran against a running account, in a container of its own.");
    buf_add_cstr(out, "</p></header>\n");
    say_faults(faults, fault_count, out);
    buf_printf(
        out,
        "<p>%u writes a second and a stream of reads went on all the while; every acknowledged "
        "write was noted outside the store and looked for afterwards.</p>\n",
        r->opts.writes_per_s);
    buf_add_cstr(out, "<div class=\"cards\">\n");
    card(out, "Repeats", r->count, "");
    card(out, "Writes acknowledged", s->acked, "");
    card(out, "In the conflict feed", s->in_feed, "");
    card(out, "Lost", s->lost, "");
    if (s->worst_outage_ms >= 0) {
        card(out, "Worst time to a writer", (uint64_t)s->worst_outage_ms, "&nbsp;ms");
    }
    if (s->worst_gap_ms >= 0) {
        card(out, "Worst write gap", (uint64_t)s->worst_gap_ms, "&nbsp;ms");
    }
    buf_add_cstr(out, "</div>\n");
}

static void objective(struct buf *out, const char *what, const char *want, const char *got,
                      int is_met) /* -1 = no objective */
{
    buf_add_cstr(out, "<tr>");
    cell_text(out, what);
    cell_text(out, want);
    cell_text(out, got);
    buf_add_cstr(out, "<td>");
    tag(out,
        is_met < 0    ? "mild"
        : is_met != 0 ? "ok"
                      : "bad",
        is_met < 0    ? "no objective"
        : is_met != 0 ? "met"
                      : "missed");
    buf_add_cstr(out, "</td></tr>\n");
}

static void objectives(const struct drill_report *r, const struct sums *s, struct buf *out)
{
    char want[64];
    char got[96];
    buf_add_cstr(out,
                 "<h2>Objectives and what was measured</h2>\n<div class=\"scroll\"><table>\n<tr>"
                 "<th>Objective</th><th>Set</th><th>Measured, worst repeat</th><th>Result</th>"
                 "</tr>\n");
    (void)snprintf(got, sizeof(got), "%" PRIu64 " of %" PRIu64 " over all repeats", s->lost,
                   s->acked);
    objective(out, "Acknowledged writes that are neither in the data nor in the conflict feed", "0",
              got, s->lost == 0);
    (void)snprintf(want, sizeof(want), "at most %" PRIu64 " ms", r->max_rto_ms);
    (void)snprintf(got, sizeof(got), "%" PRId64 " ms", s->worst_outage_ms);
    bool has_time = s->worst_outage_ms >= 0;
    bool is_fast = has_time && (uint64_t)s->worst_outage_ms <= r->max_rto_ms;
    objective(out, "Time until writes are taken again (RTO)", r->max_rto_ms > 0 ? want : "none",
              has_time ? got : "never again", r->max_rto_ms > 0 ? is_fast : -1);
    (void)snprintf(want, sizeof(want), "at most %" PRIu64 " writes", r->max_rpo_writes);
    (void)snprintf(got, sizeof(got), "%" PRIu64 " writes", s->worst_left);
    objective(out, "Acknowledged writes that left the data, conflict feed included (RPO)",
              r->has_max_rpo ? want : "none", got,
              r->has_max_rpo ? s->worst_left <= r->max_rpo_writes : -1);
    buf_add_cstr(out, "</table></div>\n");
}

static void spread(const struct drill_report *r, struct buf *out)
{
    buf_add_cstr(out,
                 "<h2>Times</h2>\n<div class=\"scroll\"><table>\n<tr><th>Time</th><th "
                 "class=\"num\">median</th><th class=\"num\">p99</th><th class=\"num\">worst</th>"
                 "<th>What it is</th></tr>\n");
    for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
        buf_add_cstr(out, "<tr>");
        cell_text(out, times[i].name);
        cell_ms(out, drill_percentile(r->results, r->count, NULL, (enum drill_time)i, 50));
        cell_ms(out, drill_percentile(r->results, r->count, NULL, (enum drill_time)i, 99));
        cell_ms(out, drill_percentile(r->results, r->count, NULL, (enum drill_time)i, 100));
        cell_text(out, times[i].meaning);
        buf_add_cstr(out, "</tr>\n");
    }
    buf_printf(
        out,
        "</table></div>\n<p class=\"dim\">Over %zu repeat%s, by nearest rank; with few repeats "
        "p99 is the worst one. Durations are on a monotonic clock.</p>\n",
        r->count, r->count == 1 ? "" : "s");
}

/* Faults and levels beside each other; repeats of one kind alone are in spread(). */
static void by_group(const struct drill_report *r, const struct drill_group *groups, size_t n,
                     struct buf *out)
{
    buf_add_cstr(
        out,
        "<h2>By fault and consistency level</h2>\n<div class=\"scroll\"><table>\n<tr><th>Fault"
        "</th><th>Level</th><th class=\"num\">repeats</th><th class=\"num\">acknowledged</th>"
        "<th class=\"num\">in the feed</th><th class=\"num\">lost</th><th class=\"num\">unknown "
        "outcome</th><th class=\"num\">time to a writer, median</th><th class=\"num\">worst</th>"
        "<th class=\"num\">write gap, median</th><th class=\"num\">worst</th><th "
        "class=\"num\">return, worst</th></tr>\n");
    for (size_t i = 0; i < n; i++) {
        const struct drill_group *g = &groups[i];
        struct sums s;
        sum_up(r->results, r->count, g, &s);
        buf_add_cstr(out, "<tr>");
        cell_text(out, drill_fault_name(g->fault));
        cell_text(out, g->level);
        const uint64_t counts[] = {s.count, s.acked, s.in_feed, s.lost, s.unknown};
        for (size_t k = 0; k < ARRAY_COUNT(counts); k++) {
            cell_num(out, counts[k]);
        }
        static const struct {
            enum drill_time time;
            unsigned p;
        } shown[] = {{DRILL_RTO, 50},
                     {DRILL_RTO, 100},
                     {DRILL_CLIENT_RTO, 50},
                     {DRILL_CLIENT_RTO, 100},
                     {DRILL_REJOIN, 100}};
        for (size_t k = 0; k < ARRAY_COUNT(shown); k++) {
            cell_ms(out, drill_percentile(r->results, r->count, g, shown[k].time, shown[k].p));
        }
        buf_add_cstr(out, "</tr>\n");
    }
    buf_add_cstr(out, "</table></div>\n");
}

static void all_repeats(const struct drill_report *r, struct buf *out)
{
    static const char *const columns[] = {"new writer",        "write gap", "read gap", "return",
                                          "acknow&shy;ledged", "in data",   "in feed",  "lost",
                                          "unknown",           "refused",   "epochs"};
    buf_add_cstr(out,
                 "<h2>Every repeat</h2>\n<div class=\"scroll\"><table style=\"font-size:12px\">\n"
                 "<tr><th class=\"num\">no.</th><th>started, "
                 "UTC</th><th>fault</th><th>level</th><th>region</th>"
                 "<th>writer after</th>");
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        buf_printf(out, "<th class=\"num\" style=\"white-space:normal\">%s</th>", columns[i]);
    }
    buf_add_cstr(out, "</tr>\n");
    for (size_t k = 0; k < r->count; k++) {
        const struct drill_result *one = &r->results[k];
        char when[CLOCK_RFC1123_SIZE];
        clock_format_iso(one->started_wall_ms, when);
        buf_printf(out, "<tr><td class=\"num\">%zu</td><td class=\"num\">%.19s</td>", k + 1, when);
        cell_text(out, drill_fault_name(one->fault));
        cell_text(out, one->level);
        cell_text(out, one->region);
        cell_text(out, one->new_writer[0] ? one->new_writer : "unchanged");
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            cell_ms(out, drill_time_of(one, (enum drill_time)i));
        }
        const uint64_t counts[] = {one->acked,   one->surviving, one->in_feed,       one->lost,
                                   one->unknown, one->errors,    one->writer_changes};
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            cell_num(out, counts[i]);
        }
        buf_add_cstr(out, "</tr>\n");
    }
    buf_add_cstr(
        out, "</table></div>\n<p class=\"dim\">Unknown: the client got no answer, or one that says "
             "nothing about the outcome; such a write may be in the data or not. Refused: told for "
             "good that nothing was applied. Epochs: how often "
             "a region was opened for writes from the fault on.</p>\n");
}

/* ---- pictures ---- */

static void events_table(const struct timeline *t, struct buf *out)
{
    static const char *const kinds[] = {"drill", "account", "region"};
    buf_printf(out,
               "<details%s><summary>%zu events</summary>\n<div class=\"scroll\"><table>\n<tr><th "
               "class=\"num\">no.</th><th class=\"num\">after the fault</th><th>told by</th><th "
               "class=\"num\">rule</th><th>what</th></tr>\n",
               t->event_count <= EVENTS_OPEN_MAX ? " open" : "", t->event_count);
    for (size_t i = 0; i < t->event_count; i++) {
        const struct timeline_event *e = &t->events[i];
        buf_printf(out,
                   "<tr><td class=\"num\">%zu</td><td class=\"num\">%+" PRId64 "&nbsp;ms</td><td>",
                   i + 1, e->at_ms - t->fault_ms);
        buf_printf(out, "%s&nbsp;", kinds[e->kind]);
        html_text(out, str_of(e->who));
        buf_add_cstr(out, "</td>");
        if (e->rule != 0) {
            cell_num(out, e->rule);
        } else {
            buf_add_cstr(out, "<td></td>");
        }
        buf_add_cstr(out, "<td class=\"mono\">");
        html_text(out, str_of(e->text));
        buf_add_cstr(out, "</td></tr>\n");
    }
    buf_add_cstr(out, "</table></div></details>\n");
    if (t->dropped > 0) {
        buf_printf(out, "<p class=\"dim\">%" PRIu64 " records did not fit and are not shown.</p>\n",
                   t->dropped);
    }
}

static void picture_of(const struct drill_result *one, size_t number, struct buf *out)
{
    const struct timeline *t = one->timeline;
    if (!t || t->end_ms <= 0 || t->fault_ms < 0) {
        return;
    }
    char id[32];
    int64_t outage_ms = outage_of(one);
    buf_printf(out, "<section><h2>Repeat %zu: %s, ", number, drill_fault_name(one->fault));
    html_text(out, str_of(one->level));
    buf_add_cstr(out, ", region ");
    html_text(out, str_of(one->region));
    buf_add_cstr(out, "</h2>\n<p>");
    if (one->rto_ms >= 0) {
        buf_add_cstr(out, "Another region took writes after <b>");
        put_ms(out, one->rto_ms);
        buf_add_cstr(out, "</b>. ");
    } else {
        buf_add_cstr(out, "The writer stayed. ");
    }
    buf_add_cstr(out, "The longest time without an acknowledged write was <b>");
    put_ms(out, one->client_rto_ms);
    buf_printf(out,
               "</b>. Of %" PRIu64 " acknowledged writes %" PRIu64 " are in the data, %" PRIu64
               " in the conflict feed, %" PRIu64 " are lost.</p>\n",
               one->acked, one->surviving, one->in_feed, one->lost);
    (void)snprintf(id, sizeof(id), "p%zu", number);
    drill_picture(t, 0, t->end_ms, id, out);
    int64_t from = t->fault_ms > ZOOM_BEFORE_MS ? t->fault_ms - ZOOM_BEFORE_MS : 0;
    int64_t longest = one->client_rto_ms > outage_ms ? one->client_rto_ms : outage_ms;
    int64_t to = t->fault_ms + (longest > 0 ? longest : 0) + ZOOM_AFTER_MS;
    if (to < t->end_ms * 2 / 3) {
        (void)snprintf(id, sizeof(id), "z%zu", number);
        buf_add_cstr(out, "<h3>The moments around the fault</h3>\n");
        drill_picture(t, from, to, id, out);
    }
    events_table(t, out);
    buf_add_cstr(out, "</section>\n");
}

/* ---- limits of the drill ---- */

static void not_drilled(const struct drill_report *r, struct buf *out)
{
    const char *before = "<li>Other faults than these: ";
    for (unsigned i = 0; i < DRILL_FAULT_COUNT; i++) {
        bool is_drilled = false;
        for (size_t k = 0; k < r->count; k++) {
            is_drilled = is_drilled || (unsigned)r->results[k].fault == i;
        }
        if (!is_drilled) {
            buf_printf(out, "%s%s", before, drill_fault_name((enum drill_fault)i));
            before = ", ";
        }
    }
    buf_add_cstr(out, before[0] == ',' ? ".</li>\n" : "");
}

static void not_covered(const struct drill_report *r, struct buf *out)
{
    buf_add_cstr(out, "<h2>What this drill does not cover</h2>\n<ul>\n");
    for (size_t i = 0; i < r->skips.count; i++) {
        buf_add_cstr(out, "<li>");
        html_text(out, str_of(r->skips.texts[i]));
        buf_add_cstr(out, "</li>\n");
    }
    not_drilled(r, out);
    buf_add_cstr(
        out, "<li>Separate machines: processes were signalled and links cut from where the "
             "drill ran; regions on one machine share its power, memory and disk.</li>\n"
             "<li>The built-in coordinator is one process on one machine and not highly "
             "available.</li>\n"
             "<li>Other work than creating items and reading single ones: no queries, batches, "
             "change feeds or changes of containers.</li>\n"
             "<li>Clients other than the drill's own. It goes where the account document points "
             "and reads it again when it is told so, as official SDKs do; their fixed retry waits "
             "add up to about a second.</li>\n");
    if (r->opts.link_delay_ms == 0) {
        buf_add_cstr(out,
                     "<li>Distance: links between regions were as fast as the machine.</li>\n");
    }
    size_t pictures = 0;
    for (size_t k = 0; k < r->count; k++) {
        pictures += r->results[k].timeline != NULL;
    }
    if (pictures > 0 && pictures < r->count) {
        buf_printf(out, "<li>Pictures of %zu repeats; their numbers are in the table.</li>\n",
                   r->count - pictures);
    }
    buf_add_cstr(out, "</ul>\n");
}

static void setting(struct buf *out, const char *name, uint64_t value, const char *unit)
{
    buf_printf(out, "<tr><td>%s</td><td class=\"num\">%" PRIu64 "%s</td></tr>\n", name, value,
               unit);
}

static void fault_settings(const struct drill_report *r, enum drill_fault f, struct buf *out)
{
    for (size_t k = 0; k < r->count; k++) {
        if (r->results[k].fault == f && r->results[k].hold_ms > 0) {
            buf_printf(out,
                       "<tr><td>%s lasts at least</td><td class=\"num\">%u&nbsp;ms</td></tr>\n",
                       drill_fault_name(f), r->results[k].hold_ms);
            break;
        }
    }
    if (f == DRILL_SLOW_DISK) {
        setting(out, "slow-disk: each sync longer by", r->opts.disk_delay_ms, "&nbsp;ms");
    }
    if (f == DRILL_FLAP) {
        setting(out, "flap: links cut, then sound, for", r->opts.flap_ms, "&nbsp;ms");
    }
}

static void how(const struct drill_report *r, struct buf *out)
{
    buf_add_cstr(out, "<h2>How it was done</h2>\n<p>To repeat it: <code>");
    html_text(out, str_of(r->command));
    buf_add_cstr(out, "</code></p>\n<div class=\"scroll\"><table>\n");
    setting(out, "Writes a second", r->opts.writes_per_s, "");
    setting(out, "Writes in flight at most", r->opts.connections, "");
    setting(out, "A write without an answer is given up after", r->opts.write_timeout_ms,
            "&nbsp;ms");
    setting(out, "Load before the fault", r->opts.warm_ms, "&nbsp;ms");
    setting(out, "Link delay between regions, each way", r->opts.link_delay_ms, "&nbsp;ms");
    enum drill_fault faults[DRILL_FAULT_COUNT];
    size_t n = faults_of(r, faults);
    for (size_t i = 0; i < n; i++) {
        fault_settings(r, faults[i], out);
    }
    buf_add_cstr(
        out,
        "</table></div>\n<p>Each repeat starts from a healthy account in which no failover is held "
        "back "
        "because of the one before, makes a container of its "
        "own, "
        "and writes numbered items. Which numbers were acknowledged is kept by the drill, outside "
        "the "
        "store. After the fault has healed and every region is online again, all items and the "
        "whole "
        "conflict feed are read and compared with that list: <em>lost = acknowledged &minus; in "
        "the data "
        "&minus; in the conflict feed</em>. Who may write is what the account's document said, "
        "looked at "
        "every 25&nbsp;ms; lag is what the writer said of the others, every 100&nbsp;ms; events "
        "told by "
        "regions carry the numbers of the rules that were followed (<code>holdfast inspect fsm "
        "region</code>). A region whose process was killed has lost the events before it.</p>\n");
}

void drill_report_html(const struct drill_report *r, struct buf *out)
{
    struct sums s;
    sum_up(r->results, r->count, NULL, &s);
    head(r, &s, out);
    objectives(r, &s, out);
    struct drill_group groups[DRILL_GROUPS_MAX];
    size_t group_count = drill_groups(r->results, r->count, groups);
    if (group_count == 1) {
        spread(r, out);
    } else {
        by_group(r, groups, group_count, out);
    }
    all_repeats(r, out);
    for (size_t k = 0; k < r->count; k++) {
        picture_of(&r->results[k], k + 1, out);
    }
    not_covered(r, out);
    how(r, out);
    html_end(out);
}
