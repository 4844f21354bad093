/* The log is kept until every region of the account has it, and retain_ms longer. A region that is
 * away keeps the log of the others, until that costs more than the budget: then the region is marked
 * as one that needs a full copy (account/topology.c), and the log is trimmed past it. The last
 * durable entry always stays: it is what peers are matched by. */
#include "base/contract.h"
#include "repl/repl_int.h"

enum {
    TRIM_PERIOD_US = 1000 * 1000,
    TRIM_TURN_MAX = 4 * TRIM_SLICE_MAX, /* entries deleted per tick, all partitions */
};

/* false: nothing more to trim until all_lsn moves. */
static bool trim_part(struct partition *p, int64_t wall_ms)
{
    struct repl *R = p->repl;
    /* What the writer has not matched may be nobody's any more. */
    bool is_ours =
        p->mode->kind == REPL_WRITER || (p->mode->kind == REPL_READER && apply_is_matched(p));
    if (!is_ours || p->is_corrupt) {
        p->is_trim_behind = false;
        return true; /* later */
    }
    if (p->first_lsn == 0 || p->first_lsn > p->all_lsn || p->div.state != DIV_NONE) {
        return false;
    }
    lsn upto = p->all_lsn < p->durable.lsn ? p->all_lsn : p->durable.lsn;
    struct engine_iter *it = engine_scan_log(R->engine, NULL, p->pid, p->first_lsn);
    struct engine_row row;
    struct errinfo ei = {0};
    bool again = false;
    p->is_trim_behind = false;
    size_t n = 0;
    enum err e = OK;
    while (engine_iter_next(it, &row)) {
        struct entry head = {0};
        size_t total = 0;
        e = entry_peek(row.entry, &head, &total, &ei);
        if (e != OK || head.lsn >= p->durable.lsn || head.lsn > upto) {
            p->first_lsn = e == OK ? head.lsn : p->first_lsn;
            break;
        }
        bool is_over = R->timers.log_size_max != 0 && R->log_size > R->timers.log_size_max;
        bool is_young = (int64_t)(head.hlc >> 16) + R->timers.retain_ms > wall_ms && !is_over;
        if (is_young || n == TRIM_SLICE_MAX) {
            p->first_lsn = head.lsn;
            p->is_trim_behind = !is_young;
            again = true;
            break;
        }
        engine_batch_log_delete(repl_batch(R), p->pid, head.lsn);
        part_log_shrunk(p, row.entry.n);
        p->trim = (struct place){head.epoch, head.lsn, head.ord, head.chain};
        part_touch(p);
        n++;
    }
    KEEP_FIRST(e, engine_iter_err(it, &ei));
    engine_iter_free(it);
    if (e != OK) {
        part_corrupt(p, "log", &ei);
        return false;
    }
    R->stats.trimmed += n;
    return again;
}

/* Once a period each partition is looked at; those with more to trim than one slice go on at every tick,
 * in turns: entries leave as fast as writes bring them. */
void trim_tick(struct repl *R)
{
    usec now = R->io.now(R->io.ctx);
    bool is_due = now >= R->trim_us;
    if (!is_due && !R->is_trim_behind) {
        return;
    }
    R->trim_us = is_due ? now + TRIM_PERIOD_US : R->trim_us;
    R->is_trim_behind = false;
    int64_t wall_ms = R->io.wall_ms(R->io.ctx);
    uint64_t end = R->stats.trimmed + TRIM_TURN_MAX;
    LIST_FOR_SAFE(l, &R->trim_list) {
        struct partition *p = LIST_ENTRY(l, struct partition, trim_link);
        bool has_turn = R->stats.trimmed < end;
        if (has_turn && (is_due || p->is_trim_behind)) {
            bool again = trim_part(p, wall_ms);
            if (!again || p->is_trim_behind) {
                list_remove(&p->trim_link);
            }
            if (p->is_trim_behind) {
                list_push_back(&R->trim_list, &p->trim_link); /* the others first */
            }
        }
        R->is_trim_behind = R->is_trim_behind || p->is_trim_behind;
    }
}
