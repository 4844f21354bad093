/* How far regions are behind in one partition: what bounded staleness counts (geo-semantics 3.3). */
#pragma once

#include <stdbool.h>

#include "base/types.h"

struct repl;
struct partition;

struct repl_staleness { /* the worst of the regions asked about */
    bool is_known; /* false: one has not said where it is since this reign began; its figures are
                         * upper bounds for operations, and count time from the beginning */
    bool
        has_inherited; /* all have every entry of earlier epochs: only then since_us is the whole truth,
                         * for a new writer does not know how old those are */
    uint64_t ops;      /* entries ordered here and not known to be durable there */
    usec since_us;     /* when the oldest of them was ordered; 0 = none */
    region_id region; /* who lacks the most entries; 0 = none */
    lsn acked_lsn;    /* the last one it has */
};
/* Share of the nearer bound that is used, 0..100; 0 when the mode bounds nothing. *ret_by_ops (may be
 * NULL): it is the bound in operations. */
unsigned repl_staleness_percent(const struct partition *p, const struct repl_staleness *s,
                                bool *ret_by_ops);
/* Regions of `mask`; ourselves do not count. Only as REPL_WRITER. */
void repl_staleness(const struct partition *p, uint64_t mask, struct repl_staleness *ret);
/* The worst partition; that of the metadata does not count, whose writes wait for every region. */
void repl_staleness_all(const struct repl *R, uint64_t mask, struct repl_staleness *ret);
