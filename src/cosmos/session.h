/* Session tokens: `{range}:{version}#{lsn}[#{region}={lsn}...]`, several joined with commas.
 *
 * Ours name no regions: in a single-write account one lsn says all, and one client refuses tokens of
 * one version whose sets of regions differ. Tokens with regions are accepted. A single-region account
 * says `{range}:-1#{lsn}`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

struct session_need {
    bool is_given;
    bool has_version; /* false: "-1", of a single-region account: any version */
    uint64_t version;
    lsn lsn;
};

/* What the header says about one range. A header without that range: is_given false. ERR_INVALID
 * when the header is malformed. */
enum err session_parse(struct str header, size_t range, struct session_need *ret,
                       struct errinfo *ei) MUST_CHECK;
void session_write(size_t range, bool is_single_region, uint64_t version, lsn at, struct buf *out);
