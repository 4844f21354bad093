/* Readers of the change feed (latest versions), across regions and failovers.
 *
 * A continuation is a place (lsn, op). Asked for in a region whose history has not got the epoch that it is in,
 * it goes on from the last entry that both have (repl_resume): never above it, and below it, which is anew, only
 * where the record does not say what came of some epoch in between. The reader may then see items again, but
 * misses none. A region that is behind it has nothing new.
 * At the end the reader must have seen every item that is there in its final version. Excepted are
 * items that a lost suffix had changed or deleted: a reader of that suffix was rightly shown the
 * later state in place of the surviving one, which then lies below the branch point it resumes at. */
#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/client.h"
#include "sim/cover.h"
#include "sim/history.h"

struct feed_reader {
    struct world *w;
    pid pid;
    region_id home;
    struct spot at; /* continuation */
    uint32_t at_op;
    lsn seen[SIM_KEYS]; /* newest version seen of each key */
};

enum { POLL_US = 150000 };

struct feed_reader *feed_reader_new(struct world *w, pid p, region_id home)
{
    struct feed_reader *f = MEM_NEW(struct feed_reader);
    f->w = w;
    f->pid = p;
    f->home = home;
    return f;
}

void feed_reader_free(struct feed_reader *f)
{
    mem_free(f);
}

static bool take_row(struct feed_reader *f, struct engine *e, struct engine_snap *snap,
                     const struct engine_row *row, region_id region)
{
    bool is_back = row->lsn < f->at.lsn ||
                   (f->at.lsn != 0 && row->lsn == f->at.lsn && row->op_idx <= f->at_op);
    if (is_back) {
        world_fail(f->w, "feed", "partition %llu: change feed of region %u goes back to %llu",
                   (unsigned long long)f->pid, region, (unsigned long long)row->lsn);
        return false;
    }
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    struct engine_doc d;
    enum err err = engine_get(e, snap, f->pid, SPACE_ITEM, row->key, false, &hold, &d, NULL);
    if (err != OK || d.version.lsn != row->lsn || d.version.op_idx != row->op_idx) {
        world_fail(f->w, "feed", "partition %llu: change %llu in region %u names no document",
                   (unsigned long long)f->pid, (unsigned long long)row->lsn, region);
        buf_done(&hold);
        return false;
    }
    f->at = (struct spot){d.epoch, row->lsn};
    f->at_op = row->op_idx;
    uint16_t key = 0;
    if (key_parse(row->key, &key)) {
        f->seen[key] = row->lsn > f->seen[key] ? row->lsn : f->seen[key];
    }
    buf_done(&hold);
    return true;
}

static const struct hist_epoch *epoch_of(const struct hist_part *part, epoch e)
{
    for (size_t i = part->epoch_count; i-- > 0;) {
        if (part->epochs[i].epoch == e) {
            return &part->epochs[i];
        }
    }
    return NULL;
}

/* The first epoch above `e` in the history that ends in epoch `tail`; `tail` if that is the first. */
static const struct hist_epoch *epoch_after(const struct hist_part *part, epoch tail, epoch e)
{
    const struct hist_epoch *x = epoch_of(part, tail);
    while (x != NULL && x->prev.epoch > e) {
        x = epoch_of(part, x->prev.epoch);
    }
    return x;
}

static bool has_branch(const struct account_record *rec, epoch e, pid p)
{
    for (size_t i = 0; i < rec->epoch_count; i++) {
        for (size_t k = 0; rec->epochs[i].epoch == e && k < rec->epochs[i].branch_count; k++) {
            if (rec->epochs[i].branches[k].pid == p) {
                return true;
            }
        }
    }
    return false;
}

/* Is every epoch between, that is not in the history which ends with `tail`, one of the account of which the record
 * says where it branched off? */
static bool is_remembered(const struct hist_part *part, const struct account_record *rec, pid p,
                          epoch common, epoch seen, epoch tail)
{
    const struct hist_epoch *next = epoch_after(part, tail, seen);
    for (epoch e = common + 1; next != NULL && e < next->epoch; e++) {
        const struct hist_epoch *above = epoch_after(part, tail, e);
        bool is_here = above != NULL && above->prev.epoch == e;
        if (!is_here && !has_branch(rec, e, p)) {
            return false;
        }
    }
    return next != NULL;
}

/* The continuation was taken in a history that parts from this one, and goes on at `from` here. */
static bool check_resumed(struct feed_reader *f, const struct account_record *rec, struct spot tail,
                          lsn from, region_id region)
{
    const struct history *h = f->w->history;
    struct spot common = history_common(h, f->pid, f->at, tail);
    if (from == f->at.lsn && (from == common.lsn || from > tail.lsn)) {
        return true; /* read on, or nothing is told before there is something above */
    }
    struct spot next = tail; /* the first entry here that the reader cannot have seen */
    for (struct spot at = tail; at.lsn > common.lsn && at.epoch >= common.epoch;) {
        const struct hist_entry *e = history_find(h, f->pid, at.lsn);
        ASSERT(e != NULL);
        next = at;
        at = e->prev;
    }
    if (next.lsn > common.lsn && from >= next.lsn) {
        world_fail(f->w, "feed",
                   "partition %llu: change feed of region %u goes from %llu/%llu on at %llu and "
                   "skips %llu",
                   (unsigned long long)f->pid, region, (unsigned long long)f->at.epoch,
                   (unsigned long long)f->at.lsn, (unsigned long long)from,
                   (unsigned long long)next.lsn);
        return false;
    }
    bool is_anew = from == 0 && !is_remembered(&h->parts[f->pid], rec, f->pid, common.epoch,
                                               f->at.epoch, tail.epoch);
    if (from != f->at.lsn && from != common.lsn && !is_anew) {
        world_fail(
            f->w, "feed",
            "partition %llu: change feed of region %u goes from %llu/%llu back to %llu, not %llu",
            (unsigned long long)f->pid, region, (unsigned long long)f->at.epoch,
            (unsigned long long)f->at.lsn, (unsigned long long)from,
            (unsigned long long)common.lsn);
        return false;
    }
    if (from != f->at.lsn) {
        if (from != 0) {
            cover_note("feed", FEED_BRANCH);
        }
        trace(f->w, "feed-back", region, f->pid, f->at.lsn, from);
        f->at = from == 0 ? (struct spot){0, 0} : common;
        f->at_op = UINT16_MAX;
    }
    return true;
}

static void poll_region(struct feed_reader *f, region_id region)
{
    struct node *n = f->w->nodes[region];
    struct region *r = node_region(n);
    if (r == NULL || node_is_paused(n) || !node_has_part(n, f->pid)) {
        return;
    }
    const struct part_view *view = region_part(r, f->pid);
    const struct account_record *rec = region_record(r);
    struct engine *e = node_engine(n);
    if (rec == NULL || (atomic_load(&view->flags) & PART_READABLE) == 0 ||
        engine_spoiled(e) == f->pid) {
        return;
    }
    struct engine_snap *snap = engine_snap_get(e);
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    struct engine_part_meta m;
    bool has_part = engine_part_meta_get(e, snap, f->pid, &hold, &m, NULL) == OK;
    if (has_part) {
        struct repl_opening known[RECORD_OPENINGS_MAX];
        size_t known_count = record_openings(rec, f->pid, known);
        lsn from = 0;
        if (repl_resume(m.extra, known, known_count, f->at.lsn, &from, NULL) != OK) {
            world_fail(f->w, "feed", "partition %llu: its meta cannot be read",
                       (unsigned long long)f->pid);
        }
        has_part = check_resumed(f, rec, (struct spot){m.tail_epoch, m.tail_lsn}, from, region);
    }
    if (has_part) {
        uint64_t commit = atomic_load(&view->commit_lsn);
        bool is_strong = record_read_level(rec) == CONSISTENCY_STRONG;
        struct engine_iter *it = engine_scan_changes(e, snap, f->pid, f->at.lsn, f->at_op);
        struct engine_row row;
        while (engine_iter_next(it, &row)) {
            if ((is_strong && row.lsn > commit) || !take_row(f, e, snap, &row, region)) {
                break;
            }
        }
        engine_iter_free(it);
    }
    buf_done(&hold);
    engine_snap_release(e, snap);
}

static void poll(struct world *w, void *ctx, uint64_t arg)
{
    UNUSED(arg);
    struct feed_reader *f = ctx;
    region_id region = f->home;
    if (draw_percent(&w->client_rng, 5)) {
        region = (region_id)(1 + rng_below(&w->client_rng, w->cfg.region_count));
        f->home = draw_percent(&w->client_rng, 30) ? region : f->home;
    }
    poll_region(f, region);
    world_after(w, draw_around(&w->client_rng, POLL_US) + 1000, poll, f, 0);
}

void feed_reader_start(struct feed_reader *f)
{
    world_after(f->w, 300000, poll, f, 0);
}

void feed_readers_go(struct world *w, region_id home)
{
    for (size_t i = 0; i < w->feed_reader_count; i++) {
        w->feed_readers[i]->home = home;
    }
}

static bool had_lost_change(const struct world *w, pid p, uint16_t key, struct spot tail, lsn after)
{
    const struct hist_part *part = &w->history->parts[p];
    for (size_t i = 0; i < part->keys[key].count; i++) {
        struct spot at = part->keys[key].v[i].at;
        if (at.lsn > after && !history_contains(w->history, p, tail, at)) {
            return true;
        }
    }
    return false;
}

void feed_reader_finish(struct feed_reader *f)
{
    struct world *w = f->w;
    region_id region = 0;
    for (region_id id = 1; id <= w->cfg.region_count && region == 0; id++) {
        bool is_in = (w->dead_mask & (1u << id)) == 0 && (w->member_mask & (1u << id)) != 0;
        region = node_is_up(w->nodes[id]) && is_in ? id : 0;
    }
    poll_region(f, region);
    struct buf hold;
    struct engine_part_meta m = {0};
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    if (engine_part_meta_get(node_engine(w->nodes[region]), NULL, f->pid, &hold, &m, NULL) != OK) {
        m = (struct engine_part_meta){0}; /* absent: no items either */
    }
    buf_done(&hold);
    struct spot tail = {m.tail_epoch, m.tail_lsn};
    struct engine_iter *it =
        engine_scan(node_engine(w->nodes[region]), NULL, f->pid, SPACE_ITEM, STR_NONE, STR_NONE);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        uint16_t key = 0;
        if (key_parse(row.key, &key) && f->seen[key] < row.doc.version.lsn &&
            !had_lost_change(w, f->pid, key, tail, row.doc.version.lsn)) {
            world_fail(w, "feed",
                       "partition %llu: key %u at %llu never came in the change feed "
                       "(newest seen: %llu, continuation %llu/%llu)",
                       (unsigned long long)f->pid, key, (unsigned long long)row.doc.version.lsn,
                       (unsigned long long)f->seen[key], (unsigned long long)f->at.epoch,
                       (unsigned long long)f->at.lsn);
        }
    }
    engine_iter_free(it);
}
