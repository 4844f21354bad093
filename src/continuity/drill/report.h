/* A drill's results as one HTML page for people who were not there: objectives beside what was measured,
 * a picture of each repeat, what the account itself told, what was not covered, how to repeat it.
 *
 * Pure: everything comes in, text goes out (../html.h: nothing is loaded from elsewhere, everything is
 * escaped). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "continuity/drill/drill.h"

enum { DRILL_REPORT_SIZE_MAX = 64 << 20 };

struct drill_report {
    const char *account;
    const char *version;
    int64_t wall_ms;     /* when the report is written */
    const char *command; /* how to do it again; without keys */
    struct drill_opts opts;
    const struct drill_result *results;
    size_t count;
    uint64_t max_rto_ms; /* objective; 0 = none */
    bool has_max_rpo;
    uint64_t max_rpo_writes;
    bool is_met;
    bool is_own_account; /* started for the drill */
    struct drill_skips skips;
};

/* `out` with DRILL_REPORT_SIZE_MAX has room for the largest. */
void drill_report_html(const struct drill_report *r, struct buf *out);

/* The picture of one repeat (svg element). from_ms..to_ms of the timeline; `id` makes its ids unique. */
struct timeline;
void drill_picture(const struct timeline *t, int64_t from_ms, int64_t to_ms, const char *id,
                   struct buf *out);
