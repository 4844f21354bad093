/* Where a change feed goes on in a partition's history. See repl.h. */
#include "repl/repl_int.h"

/* Every epoch's lsns begin with a block that nothing before had. */
static lsn block_of(lsn at)
{
    return at == 0 ? 0 : (at - 1) / LSN_BLOCK + 1;
}

enum err repl_resume(struct str extra, lsn after, lsn *ret, struct errinfo *ei)
{
    struct part_extra x;
    *ret = after;
    if (extra.n == 0) {
        return OK; /* nothing was ever written */
    }
    TRY(part_extra_open(&x, extra, ei));
    for (uint32_t i = 0; i < x.row_count; i++) {
        struct epoch_row row = part_extra_row(&x);
        if (row.first_lsn <= after) {
            continue;
        }
        /* Here the history goes on past `after`. What is above the end of the epoch before was cut off from
         * it, and what was cut from that same epoch had everything up to its end below it. */
        bool is_known = after <= row.prev_lsn || block_of(after) == block_of(row.prev_lsn);
        *ret = is_known ? after : 0;
        break;
    }
    return OK;
}
