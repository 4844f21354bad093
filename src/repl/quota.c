/* How much the conflict feed may hold, so that losses cannot fill the disks of all regions: from there on a
 * suffix that is handed in goes to the archive only. Counted are the texts of the records, as items are. The
 * size is a fold of the log, the limit is of the account's record: every region has the same figures as far
 * as its log goes, and a writer that takes over goes on with them. It is not stored but summed up at a start,
 * over the partitions that have records: the meta of a partition stays as older programs read it. */
#include "base/contract.h"
#include "repl/repl_int.h"

#define QUOTA_USUAL (UINT64_C(1) << 30)
enum { QUOTA_PERCENT = 1 };

uint64_t repl_feed_size(const struct repl *R)
{
    return R->conflict_size;
}

/* The larger of the two: a small account, too, can lose some, and what is dear is the disk of a large one. */
uint64_t repl_feed_quota(const struct repl *R)
{
    uint64_t share = R->item_size / 100 * QUOTA_PERCENT;
    return R->mode.feed_quota != 0 ? R->mode.feed_quota : share > QUOTA_USUAL ? share : QUOTA_USUAL;
}

bool quota_is_full(const struct repl *R)
{
    return R->conflict_size >= repl_feed_quota(R);
}

enum err quota_load(struct partition *p, struct errinfo *ei)
{
    struct repl *R = p->repl;
    if (p->conflict_count == 0) {
        return OK;
    }
    struct engine_iter *it =
        engine_scan(R->engine, NULL, p->pid, SPACE_CONFLICT, STR_NONE, STR_NONE);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        p->conflict_size += row.doc.version.doc_size;
    }
    enum err e = engine_iter_err(it, ei);
    engine_iter_free(it);
    R->conflict_size += p->conflict_size;
    if (e == ERR_CORRUPT) { /* no reason not to start: as any other document that cannot be read */
        R->corrupt_count += !p->is_corrupt;
        p->is_corrupt = true;
        e = OK;
    }
    return e;
}

void quota_tick(struct repl *R)
{
    bool is_full = R->mode.kind == REPL_WRITER && quota_is_full(R);
    if (is_full == R->feed_is_full) {
        return;
    }
    R->feed_is_full = is_full;
    if (R->mode.kind == REPL_WRITER) {
        repl_event(R, EVENT_FEED_FULL, "is_full=%d bytes=%llu quota=%llu", is_full,
                   (unsigned long long)R->conflict_size, (unsigned long long)repl_feed_quota(R));
    }
}
