/* What has changed since an earlier report of the same estate (its JSON form). */
#pragma once

#include "continuity/posture/report.h"

enum { COMPARE_TEXT_SIZE_MAX = 256 << 20 }; /* of the earlier report */

/* Why a finding of the earlier report does not count any more. Only the first is good news. */
enum gone_kind {
    GONE_MENDED,
    GONE_UNDECIDED, /* an attribute it needs is not stated any more */
    GONE_WAIVED,
    GONE_WITH_ASSET, /* the asset is not in the estate any more */
};
const char *gone_kind_name(enum gone_kind k); /* "mended" */

struct compare_gone {
    struct str rule, asset, other; /* other may be empty */
    struct str severity;
    enum gone_kind kind;
};

struct compare_figure {
    const struct report_asset *asset;
    bool is_rto;
    enum figure_source source;
    struct figure before, after;
};

struct report_compare {
    struct str at; /* moment of the earlier report, as it says */
    bool *is_new;  /* for each of report.findings */
    size_t new_count, kept_count;
    struct compare_gone *gone;
    size_t gone_count;
    struct compare_figure *figures; /* that differ */
    size_t figure_count;
};

/* Fills report.compare, in the report's arena. ERR_SYNTAX, ERR_INVALID: `earlier` is no such report;
 * ERR_FORMAT_NEWER: of a newer version of the program. */
enum err report_compare_with(struct report *r, struct str earlier, struct errinfo *ei) MUST_CHECK;
/* Some finding of `threshold` or worse is new. */
bool report_has_new(const struct report *r, enum severity threshold);
