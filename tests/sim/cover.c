/* The list of rows and their counters: see cover.h. Rows of the core's tables are read from there, so
 * that a new one has to fire from the day it exists. */
#include "sim/cover.h"

#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/contract.h"
#include "base/fsm.h"
#include "repl/msg.h"
#include "repl/repl_int.h"
#include "sim/client.h"
#include "sim/world.h"

enum {
    MOVE = 16, /* a move between states is one number: from * MOVE + to */
    TABLE_MOVES_LAST = 1,
    NUMBERS_MAX = 1024,
};

static const char *const tables[] = {"progress",  "diverge", /* moves */
                                     "region",    "rule",    "message",   "event",
                                     "throttle",  "fault",   "plan-done", "plan-refused",
                                     "partition", "lww",     "feed"};

static struct cover_row rows[COVER_ROWS_MAX];
static size_t row_count;
static _Thread_local uint64_t *counters;

static size_t table_of(const char *name)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(tables) && strcmp(tables[i], name) != 0) {
        i++;
    }
    return i;
}

/* ---- rows that cannot fire here ---- */

static const struct cover_row impossible[] = {
    {"region", 100, "",
     "a fenced process is told no records and gives storage nothing: the row makes the table "
     "total"},
    {"rule", RULE_METADATA, "", "clients here read no metadata: parts_repair_test does"},
    {"rule", RULE_PART_OPERATOR, "", "no region goes by it: an operator does, see plan-done"},
    {"rule", RULE_PART_RETURN_ASKED, "", "no region goes by it: an operator does, see plan-done"},
};

/* ---- rows that are not in a table of the core ---- */

static const struct cover_row others[] = {
    {"progress", PROG_UNKNOWN *MOVE + PROG_STREAM, "asked, and matched", NULL},
    {"progress", PROG_UNKNOWN *MOVE + PROG_DIVERGED, "asked, and told to cut", NULL},
    {"progress", PROG_UNKNOWN *MOVE + PROG_STUCK, "asked, and told to copy", NULL},
    {"progress", PROG_STREAM *MOVE + PROG_UNKNOWN, "followed, then asked again", NULL},
    {"progress", PROG_STREAM *MOVE + PROG_DIVERGED, "followed, then told to cut", NULL},
    {"progress", PROG_STREAM *MOVE + PROG_STUCK, "followed, then told to copy", NULL},
    {"progress", PROG_DIVERGED *MOVE + PROG_UNKNOWN, "told to cut, then asked again", NULL},
    {"progress", PROG_DIVERGED *MOVE + PROG_STREAM, "told to cut, and matched", NULL},
    {"progress", PROG_DIVERGED *MOVE + PROG_STUCK, "told to cut, then told to copy", NULL},
    {"progress", PROG_STUCK *MOVE + PROG_UNKNOWN, "told to copy, then asked again", NULL},
    {"progress", PROG_STUCK *MOVE + PROG_STREAM, "told to copy, and matched", NULL},
    {"progress", PROG_STUCK *MOVE + PROG_DIVERGED, "told to copy, then told to cut", NULL},

    {"diverge", DIV_NONE *MOVE + DIV_WAIT, "a suffix that is not in the history", NULL},
    {"diverge", DIV_WAIT *MOVE + DIV_SEND, "the suffix is sent", NULL},
    {"diverge", DIV_SEND *MOVE + DIV_CUT, "the suffix is in the feed: cut", NULL},
    {"diverge", DIV_CUT *MOVE + DIV_NONE, "the cut is in storage", NULL},
    {"diverge", DIV_WAIT *MOVE + DIV_NONE, "called off before it was sent", NULL},
    {"diverge", DIV_SEND *MOVE + DIV_NONE, "called off while it was sent", NULL},

    {"throttle", THROTTLE_GO, "a write goes on", NULL},
    {"throttle", THROTTLE_WAIT, "a write is delayed", NULL},
    {"throttle", THROTTLE_REFUSE, "a write is refused", NULL},

    {"lww", false, "the present version stays", NULL},
    {"lww", true, "a lost version is the item", NULL},
    {"feed", FEED_BRANCH, "from a lost epoch to where it had parted", NULL},

    {"event", EVENT_ROLE, "role", NULL},
    {"event", EVENT_FAILOVER, "failover", NULL},
    {"event", EVENT_LEASE_LOST, "lease_lost", NULL},
    {"event", EVENT_REGION_STATE, "region_state", NULL},
    {"event", EVENT_DIVERGED, "diverged", NULL},
    {"event", EVENT_FEED_SENT, "feed_sent", NULL},
    {"event", EVENT_REJOINED, "rejoined", NULL},
    {"event", EVENT_STALE_GENERATION, "stale_generation", NULL},
    {"event", EVENT_CORRUPT, "corrupt", NULL},
    {"event", EVENT_LSN_BLOCK, "lsn_block", NULL},
    {"event", EVENT_SEED, "seed", NULL},
    {"event", EVENT_DISK_SLOW, "disk_slow", NULL},
    {"event", EVENT_CLOCK_DRIFT, "clock_drift", NULL},
    {"event", EVENT_HELD_BACK, "held_back", NULL},
    {"event", EVENT_LEVEL, "level", NULL},
    {"event", EVENT_THROTTLED, "throttled", NULL},
    {"event", EVENT_PARTITION, "partition", NULL},
    {"event", EVENT_VOUCHED, "vouched", NULL},
    {"event", EVENT_FEED_FULL, "feed_full", NULL},
};

static void add(const char *table, unsigned a, const char *text)
{
    ASSERT(row_count < COVER_ROWS_MAX);
    struct cover_row r = {.table = table, .a = a, .text = text};
    for (size_t i = 0; i < ARRAY_COUNT(impossible); i++) {
        if (impossible[i].a == a && strcmp(impossible[i].table, table) == 0) {
            r.why_not = impossible[i].why_not;
        }
    }
    rows[row_count++] = r;
}

static void list_rows(void)
{
    const struct fsm *m = region_fsm();
    for (int i = 0; i < m->row_count; i++) {
        add("region", (unsigned)m->rows[i].no, m->rows[i].text);
    }
    m = parts_fsm();
    for (int i = 0; i < m->row_count; i++) {
        add("partition", (unsigned)m->rows[i].no, m->rows[i].text);
    }
    size_t n = 0;
    const struct region_rule *rules = region_rules(&n);
    for (size_t i = 0; i < n; i++) {
        add("rule", rules[i].no, rules[i].text);
    }
    for (unsigned t = MSG_HELLO; t < MSG_TYPE_COUNT; t++) {
        add("message", t, msg_type_name((enum msg_type)t));
    }
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        add(others[i].table, others[i].a, others[i].text);
    }
    for (unsigned f = 0; f < FAULT_COUNT; f++) {
        add("fault", f, fault_name((enum fault)f));
    }
    for (unsigned p = 0; p < PLAN_COUNT; p++) {
        add("plan-done", p, plan_name((enum plan)p));
        add("plan-refused", p, plan_name((enum plan)p));
    }
}

size_t cover_count(void)
{
    if (row_count == 0) {
        list_rows();
    }
    return row_count;
}

const struct cover_row *cover_get(size_t i)
{
    ASSERT(i < cover_count());
    return &rows[i];
}

/* Index of a row, or row_count. */
static size_t find(const char *table, unsigned a)
{
    static uint16_t place[ARRAY_COUNT(tables)][NUMBERS_MAX]; /* + 1; 0 = none */
    static bool is_built;
    for (size_t i = 0; !is_built && i < cover_count(); i++) {
        ASSERT(rows[i].a < NUMBERS_MAX && table_of(rows[i].table) < ARRAY_COUNT(tables));
        place[table_of(rows[i].table)][rows[i].a] = (uint16_t)(i + 1);
    }
    is_built = true;
    size_t t = table_of(table);
    bool is_there = t < ARRAY_COUNT(tables) && a < NUMBERS_MAX && place[t][a] != 0;
    return is_there ? place[t][a] - (size_t)1 : row_count;
}

static void observe(const char *what, unsigned long long a, unsigned long long b)
{
    size_t t = table_of(what);
    if (t < ARRAY_COUNT(tables)) {
        cover_note(tables[t], (unsigned)(t <= TABLE_MOVES_LAST ? a * MOVE + b : a));
    }
}

void cover_into(uint64_t *hits)
{
    counters = hits;
    contract_observe(hits != NULL ? observe : NULL);
}

void cover_note(const char *table, unsigned a)
{
    if (counters != NULL) {
        size_t i = find(table, a);
        ASSERT(i <
               row_count); /* it has no row: the list lacks it, or the core did what it must not */
        counters[i]++;
    }
}

/* ---- over many runs ---- */

void cover_add(struct cover_totals *t, const uint64_t *hits, uint64_t run_no)
{
    t->run_count++;
    for (size_t i = 0; i < cover_count(); i++) {
        t->hits[i] += hits[i];
        t->runs[i] += hits[i] > 0;
        if (hits[i] > 0 && (t->first[i] == 0 || run_no < t->first[i])) {
            t->first[i] = run_no;
        }
    }
}

void cover_merge(struct cover_totals *t, const struct cover_totals *from)
{
    t->run_count += from->run_count;
    for (size_t i = 0; i < cover_count(); i++) {
        t->hits[i] += from->hits[i];
        t->runs[i] += from->runs[i];
        if (from->first[i] != 0 && (t->first[i] == 0 || from->first[i] < t->first[i])) {
            t->first[i] = from->first[i];
        }
    }
}

size_t cover_missing(const struct cover_totals *t)
{
    size_t n = 0;
    for (size_t i = 0; i < cover_count(); i++) {
        n += rows[i].why_not == NULL && t->hits[i] == 0;
    }
    return n;
}

size_t cover_surprises(const struct cover_totals *t)
{
    size_t n = 0;
    for (size_t i = 0; i < cover_count(); i++) {
        n += rows[i].why_not != NULL && t->hits[i] > 0;
    }
    return n;
}

static void print_row(const struct cover_totals *t, size_t i)
{
    (void)printf("#   %s %u (%s): %llu times, in %llu of %llu runs, first in run %llu\n",
                 rows[i].table, rows[i].a, rows[i].text, (unsigned long long)t->hits[i],
                 (unsigned long long)t->runs[i], (unsigned long long)t->run_count,
                 (unsigned long long)t->first[i]);
}

void cover_print_wrong(const struct cover_totals *t)
{
    for (size_t i = 0; i < cover_count(); i++) {
        const struct cover_row *r = &rows[i];
        if (r->why_not != NULL) {
            (void)printf("# %s: %s %u (%s): %s\n",
                         t->hits[i] > 0 ? "fired all the same" : "cannot fire", r->table, r->a,
                         r->text, r->why_not);
        } else if (t->hits[i] == 0) {
            (void)printf("# never fired: %s %u (%s)\n", r->table, r->a, r->text);
        }
    }
}

void cover_print(const struct cover_totals *t, bool is_full)
{
    (void)printf("# %s rows, and in which run each was first seen:\n",
                 is_full ? "all" : "the rarest");
    uint64_t limit = is_full ? UINT64_MAX : t->run_count / 100;
    for (size_t i = 0; i < cover_count(); i++) {
        if (t->hits[i] > 0 && t->runs[i] <= limit) {
            print_row(t, i);
        }
    }
}
