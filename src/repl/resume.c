/* Where a change feed goes on in a partition's history. See repl.h.
 *
 * A continuation is an lsn and nothing else, since clients' programs take it for a number. It says all the same
 * in which epoch it was given out: that is done once, and each epoch's lsns lie above those of all before.
 *
 *     here     ... P ------+ prev         first F ------ tail
 *     lost          \      `------ after?                       P's own suffix
 *                    `---- E ----- after?                       E: opened between P and F, not in this history
 *
 * Who had read some of P's suffix had seen all of P that is here. Who had read some of E had seen P up to where
 * E went on from it, which may be less; the account's record remembers where. */
#include "base/bug.h"
#include "repl/repl_int.h"

/* Every epoch's lsns begin with a block that nothing before had. */
static lsn block_of(lsn at)
{
    return at == 0 ? 0 : (at - 1) / LSN_BLOCK + 1;
}

static const struct repl_opening *find_opening(const struct repl_opening *known, size_t n, epoch e)
{
    for (size_t i = 0; i < n; i++) {
        if (known[i].epoch == e) {
            return &known[i];
        }
    }
    return NULL;
}

/* The epoch above `prev` and below `top` in which `after` was given out; NULL: in `prev` itself. false: not known. */
static bool find_epoch(const struct repl_opening *known, size_t n, epoch prev, epoch top, lsn after,
                       const struct repl_opening **ret)
{
    epoch next =
        prev + 1; /* no number is left out: one that is not known may be this partition's */
    bool is_sure = true;
    *ret = NULL;
    for (size_t i = 0; i < n && known[i].epoch < top; i++) {
        const struct repl_opening *k = &known[i];
        if (k->epoch <= prev) {
            continue;
        }
        is_sure = is_sure && k->epoch == next;
        if (k->start_lsn > after) {
            return is_sure;
        }
        next = k->epoch + 1;
        if (!k->is_elsewhere) {
            *ret = k;
            is_sure = true; /* whatever came before it ended below its start */
        }
    }
    return is_sure && next == top;
}

/* The last entry of epoch `e` in this history; false: the table has no such epoch. */
static bool find_end(struct part_extra x, epoch e, lsn *ret)
{
    for (uint32_t i = 0; i < x.row_count; i++) {
        struct epoch_row row = part_extra_row(&x);
        if (row.prev_epoch == e) {
            *ret = row.prev_lsn;
            return true;
        }
    }
    return false;
}

/* The last entry here of which the history of `lost` has everything up to it. 0: there is none, or it is not known. */
static lsn find_branch(const struct part_extra *x, const struct repl_opening *known, size_t n,
                       const struct repl_opening *lost)
{
    lsn end = 0;
    for (const struct repl_opening *k = lost; k != NULL && k->has_prev;) {
        if (find_end(*x, k->prev_epoch, &end)) {
            return k->prev_lsn < end && !BUG(BUG_FEED_PARTED_LATE) ? k->prev_lsn : end;
        }
        const struct repl_opening *before = find_opening(known, n, k->prev_epoch);
        k = before != NULL && before->epoch < k->epoch ? before : NULL;
    }
    return 0;
}

enum err repl_resume(struct str extra, const struct repl_opening *known, size_t n, lsn after,
                     lsn *ret, struct errinfo *ei)
{
    struct part_extra table;
    *ret = after;
    if (extra.n == 0) {
        return OK; /* nothing was ever written */
    }
    TRY(part_extra_open(&table, extra, ei));
    struct part_extra x = table;
    struct epoch_row row = {0};
    uint32_t i = 0;
    do {
        if (i == table.row_count) {
            return OK; /* it does not go on past `after` */
        }
        row = part_extra_row(&x);
        i++;
    } while (row.first_lsn <= after);
    if (block_of(after) == block_of(row.prev_lsn) || (after <= row.prev_lsn && i > 1)) {
        return OK;
    }
    const struct repl_opening *lost = NULL;
    if (after <=
        row.prev_lsn) { /* below what the table has: epochs may have been lost there, too */
        lost = find_opening(known, n, row.prev_epoch);
        *ret = lost != NULL && lost->start_lsn <= after ? after : 0;
    } else if (!find_epoch(known, n, row.prev_epoch, row.epoch, after, &lost)) {
        *ret = 0;
    } else if (lost != NULL) {
        *ret = find_branch(&table, known, n, lost);
    }
    return OK;
}
