/* Readers of the change feed (latest versions), across regions and failovers.
 *
 * A continuation is a place (lsn, op). Asked for in a region whose history has not got the epoch that it is in,
 * it begins anew (repl_resume): the reader may then see items again, but misses none. A region that is behind
 * it has nothing new.
 * At the end the reader must have seen every item that is there in its final version. Excepted are
 * items that a lost suffix had changed or deleted: a reader of that suffix was rightly shown the
 * later state in place of the surviving one, which then lies below the branch point it resumes at. */
#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"
#include "sim/client.h"
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
        lsn from = 0;
        if (repl_resume(m.extra, f->at.lsn, &from, NULL) != OK) {
            world_fail(f->w, "feed", "partition %llu: its meta cannot be read",
                       (unsigned long long)f->pid);
        }
        if (from != f->at.lsn) {
            trace(f->w, "feed-back", region, f->pid, f->at.lsn, from);
            f->at = (struct spot){0, from};
            f->at_op = UINT16_MAX;
        }
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
