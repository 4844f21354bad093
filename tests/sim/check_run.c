/* Checkers fed from a run: states of the regions' engines, compared with each other, with the
 * history and with the ledger. */
#include <stdio.h>

#include "account/region_int.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/repl_int.h"
#include "sim/check.h"
#include "sim/coordinator.h"
#include "sim/node.h"

enum { LIN_STEPS_MAX = 3000000, FEED_MAX = 4096 };
#define U(v) ((unsigned long long)(v))

void check_acknowledged(struct world *w, const struct op *op)
{
    char why[256];
    if (!writer_ok(w->writer_track, op, why)) {
        world_fail(w, "writer", "%s", why);
    }
}

void check_follow(struct world *w, const struct node *n)
{
    const struct region *r = node_region(n);
    for (pid p = 0; r != NULL && p < SIM_PARTS_MAX; p++) {
        const struct partition *part = repl_find(r->repl, p);
        struct follow_track *seen = &w->follow_track[node_id(n)][p];
        if (part == NULL || part->mode->kind != REPL_READER || !apply_is_matched(part) ||
            (seen->matched == part->matched && seen->durable == part->durable.lsn)) {
            continue;
        }
        *seen = (struct follow_track){part->matched, part->durable.lsn};
        char why[256];
        struct spot at = {part->durable.epoch, part->durable.lsn};
        if (!follow_ok(w->history, p, part->matched, at, why)) {
            world_fail(w, "follow", "region %u: %s", node_id(n), why);
        }
    }
}

void check_read(struct world *w, const struct op *op)
{
    char why[256];
    if (!prefix_ok(w->history, op, why)) {
        world_fail(w, "prefix", "region %u: %s", op->region, why);
    }
}

void check_session_step(struct world *w, const struct op *op, const struct token *floor)
{
    bool is_write = op_is_write(op->kind);
    struct spot at = is_write ? op->at : op->snapshot;
    char why[256];
    if (is_write && at.lsn == 0) {
        return;
    }
    if (session_ok(w->history, op->pid, floor, op->version, at, why)) {
        return;
    }
    /* A read that did not present the token has no such promise: it is counted, to show that the
     * checker would see a difference. */
    if (!is_write && (op->level < CONSISTENCY_SESSION || !op->has_token)) {
        w->session_violations++;
        return;
    }
    world_fail(w, "session", "operation %llu (%s, client %u, region %u): %s", U(op->id),
               op_kind_name(op->kind), op->client, op->region, why);
}

/* ---- states ---- */

static bool is_in(const struct world *w, region_id id)
{
    return (w->dead_mask & (1u << id)) == 0 && (w->member_mask & (1u << id)) != 0;
}

static bool part_meta(struct node *n, pid p, struct engine_part_meta *ret)
{
    struct buf hold;
    buf_init(&hold, ENGINE_DOC_SIZE_MAX);
    *ret = (struct engine_part_meta){0};
    enum err err = engine_part_meta_get(node_engine(n), NULL, p, &hold, ret, NULL);
    ret->extra = STR_NONE; /* points into hold */
    buf_done(&hold);
    return err == OK;
}

/* Every partition is written by the account's writer again. */
static bool is_unsplit(const struct account_record *rec, char why[256])
{
    if (record_is_split(rec)) {
        (void)snprintf(why, 256, "a partition is written elsewhere than by region %u", rec->writer);
        return false;
    }
    return true;
}

/* ---- removed containers ---- */

/* Is anything of the partition in storage? */
static bool has_data(struct node *n, pid p)
{
    struct engine *e = node_engine(n);
    struct engine_part_meta m;
    struct engine_row row;
    bool is_there = part_meta(n, p, &m) || engine_fence(e, p) > engine_generation(e);
    struct engine_iter *its[SPACE_COUNT + 4];
    size_t count = 0;
    for (int space = 0; space < SPACE_COUNT; space++) {
        its[count++] = engine_scan(e, NULL, p, (enum engine_space)space, STR_NONE, STR_NONE);
    }
    its[count++] = engine_scan_log(e, NULL, p, 0);
    its[count++] = engine_scan_changes(e, NULL, p, 0, 0);
    its[count++] = engine_scan_expiry(e, NULL, p, UINT64_MAX);
    its[count++] = engine_scan_dirty(e, NULL, p);
    for (size_t i = 0; i < count; i++) {
        is_there = is_there || engine_iter_next(its[i], &row);
        engine_iter_free(its[i]);
    }
    its[0] = engine_scan_drops(e, NULL);
    while (engine_iter_next(its[0], &row)) {
        is_there = is_there || row.pid == p;
    }
    engine_iter_free(its[0]);
    return is_there;
}

/* By the metadata of one region; that all have the same is seen elsewhere. */
static enum container_state container_of(struct world *w, region_id id, pid p)
{
    struct engine_part_meta m;
    (void)part_meta(w->nodes[id], 0, &m);
    return history_container(w->history, p, (struct spot){m.tail_epoch, m.tail_lsn});
}

/* What is removed, or was never made, is nowhere; what is there, each region knows. */
static bool containers_are_settled(struct world *w, const struct account_record *rec, char why[256])
{
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        for (region_id id = 1; id <= w->cfg.region_count; id++) {
            if (!is_in(w, id)) {
                continue;
            }
            bool is_there = container_of(w, id, p) == CONTAINER_THERE;
            if (node_has_part(w->nodes[id], p) != is_there) {
                (void)snprintf(why, 256, "partition %llu %s, region %u's catalog does not say so",
                               U(p), is_there ? "is there" : "is gone", id);
                return false;
            }
            if (!is_there && has_data(w->nodes[id], p)) {
                (void)snprintf(why, 256, "partition %llu is gone, region %u still has data of it",
                               U(p), id);
                return false;
            }
            if (!is_there && record_override(rec, p) != NULL) {
                (void)snprintf(why, 256, "partition %llu is gone, its row is not", U(p));
                return false;
            }
        }
    }
    return true;
}

static bool roles_are_settled(struct world *w, char why[256])
{
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    coord_rev rev = 0;
    bool is_ok = coordinator_record(w, &a, rec, &rev);
    if (!is_ok) {
        (void)snprintf(why, 256, "the coordinator does not answer");
    } else if (rec->phase != PHASE_OPEN) {
        (void)snprintf(why, 256, "the account's phase is %d", (int)rec->phase);
        is_ok = false;
    } else if (rec->is_level_changing) {
        (void)snprintf(why, 256, "the level is still changing from %s to %s",
                       consistency_name(rec->level), consistency_name(rec->level_to));
        is_ok = false;
    } else {
        is_ok = containers_are_settled(w, rec, why) && is_unsplit(rec, why);
    }
    for (region_id id = 1; is_ok && id <= w->cfg.region_count; id++) {
        if (w->wants_all_back && (w->dead_mask & (1u << id)) == 0 && !is_in(w, id)) {
            (void)snprintf(why, 256, "region %u was not added back", id);
            is_ok = false;
        }
        if (!is_in(w, id)) {
            continue;
        }
        const struct record_region *g = record_region_const(rec, id);
        struct region *r = node_region(w->nodes[id]);
        enum region_role want = rec->writer == id ? ROLE_WRITER : ROLE_READER;
        enum region_state state = rec->writer == id ? REGION_ONLINE_WRITE : REGION_ONLINE_READ;
        if (r == NULL || region_role(r) != want || g == NULL || g->state != state) {
            (void)snprintf(why, 256, "region %u: %s, role %s, state %s%s", id,
                           r != NULL ? "runs" : "does not run",
                           r != NULL ? region_role_name(region_role(r)) : "-",
                           g != NULL ? region_state_name(g->state) : "-",
                           g != NULL && g->is_forced_offline ? " (forced)" : "");
            is_ok = false;
        }
    }
    arena_done(&a);
    return is_ok;
}

bool check_is_converged(struct world *w, char why[256])
{
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        if (w->history->parts[p].count == 0) {
            continue; /* its container was never made */
        }
        struct engine_part_meta first = {0};
        region_id first_id = 0;
        for (region_id id = 1; id <= w->cfg.region_count; id++) {
            struct engine_part_meta m;
            if (!is_in(w, id)) {
                continue;
            }
            struct region *r = node_region(w->nodes[id]);
            /* Absent is as good as empty: its container was never acknowledged. */
            bool is_there = part_meta(w->nodes[id], p, &m) && node_has_part(w->nodes[id], p);
            if (is_there && m.tail_lsn != 0 &&
                (r == NULL || (atomic_load(&region_part(r, p)->flags) & PART_READABLE) == 0)) {
                (void)snprintf(why, 256, "partition %llu cannot be read in region %u", U(p), id);
                return false;
            }
            if (first_id == 0) {
                first = m;
                first_id = id;
            } else if (m.tail_lsn != first.tail_lsn || m.tail_chain != first.tail_chain) {
                (void)snprintf(why, 256,
                               "partition %llu ends at %llu/%llu in region %u, at "
                               "%llu/%llu in region %u",
                               U(p), U(first.tail_epoch), U(first.tail_lsn), first_id,
                               U(m.tail_epoch), U(m.tail_lsn), id);
                return false;
            }
        }
    }
    return roles_are_settled(w, why);
}

static uint64_t hash_row(uint64_t h, const struct engine_row *row)
{
    const struct engine_doc *d = &row->doc;
    uint64_t v[] = {d->version.lsn,
                    d->version.op_idx,
                    d->version.expire_at,
                    d->version.unique_count,
                    d->epoch,
                    d->rid,
                    d->ts,
                    d->hlc,
                    d->origin};
    h = str_hash(row->key, h);
    h = str_hash(str_make(v, sizeof(v)), h);
    for (size_t i = 0; i < d->version.unique_count; i++) {
        h = str_hash(d->version.uniques[i], h);
    }
    return str_hash(d->text, h);
}

/* Everything a partition holds but the log, which is trimmed at different times, as one number. */
static uint64_t part_hash(struct node *n, pid p)
{
    struct engine *e = node_engine(n);
    uint64_t h = p;
    struct engine_row row;
    for (int space = 0; space < SPACE_COUNT; space++) {
        struct engine_iter *it =
            engine_scan(e, NULL, p, (enum engine_space)space, STR_NONE, STR_NONE);
        while (engine_iter_next(it, &row)) {
            h = hash_row(h, &row);
        }
        engine_iter_free(it);
    }
    struct engine_iter *it = engine_scan_changes(e, NULL, p, 0, 0);
    while (engine_iter_next(it, &row)) {
        h = str_hash(row.key, h ^ row.lsn * 131 ^ row.op_idx);
    }
    engine_iter_free(it);
    it = engine_scan_expiry(e, NULL, p, UINT64_MAX);
    while (engine_iter_next(it, &row)) {
        h = str_hash(row.key, h ^ row.expire_at);
    }
    engine_iter_free(it);
    struct engine_part_meta m;
    (void)part_meta(n, p, &m); /* absent: all zero, in every region */
    uint64_t v[] = {m.tail_epoch, m.tail_lsn,  m.tail_ord,      m.tail_chain,
                    m.item_count, m.item_size, m.conflict_count};
    return str_hash(str_make(v, sizeof(v)), h);
}

static void report_finding(void *ctx, const char *finding)
{
    struct world *w = ctx;
    world_fail(w, "verify", "%s", finding);
}

static void check_engine(struct world *w, struct node *n)
{
    uint64_t findings = 0;
    struct errinfo ei = {0};
    if (engine_verify(node_engine(n), report_finding, w, &findings, &ei) != OK || findings > 0) {
        world_fail(w, "verify", "region %u: engine_verify: %llu findings %s", node_id(n),
                   U(findings), ei.message);
    }
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        struct engine_iter *it = engine_scan_dirty(node_engine(n), NULL, p);
        struct engine_row row;
        if (engine_iter_next(it, &row)) {
            world_fail(w, "converge", "region %u partition %llu still has dirty marks", node_id(n),
                       U(p));
        }
        engine_iter_free(it);
    }
}

/* The items are those that the history up to the tail makes. */
static void check_replay(struct world *w, struct node *n, pid p, struct spot tail)
{
    uint64_t have[SIM_KEYS] = {0};
    struct engine_iter *it = engine_scan(node_engine(n), NULL, p, SPACE_ITEM, STR_NONE, STR_NONE);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        uint16_t key = 0;
        struct spot at;
        if (!key_parse(row.key, &key)) {
            continue;
        }
        (void)text_parse(row.doc.text, &have[key]);
        (void)history_value(w->history, p, key, tail, &at);
        if (row.doc.version.lsn != at.lsn || row.doc.epoch != at.epoch) {
            world_fail(w, "replay",
                       "region %u partition %llu key %u is of %llu/%llu, history says "
                       "%llu/%llu",
                       node_id(n), U(p), key, U(row.doc.epoch), U(row.doc.version.lsn), U(at.epoch),
                       U(at.lsn));
        }
    }
    engine_iter_free(it);
    for (uint16_t key = 0; key < (uint16_t)SIM_KEYS; key++) {
        uint64_t want = history_value(w->history, p, key, tail, NULL);
        if (have[key] != want) {
            world_fail(w, "replay", "region %u partition %llu key %u holds %llu, history says %llu",
                       node_id(n), U(p), key, U(have[key]), U(want));
        }
    }
}

/* What the quota is about is what is in storage, whether counted along or summed up at a start. */
static void check_feed_size(struct world *w, struct node *n)
{
    const struct region *r = node_region(n);
    uint64_t size = 0;
    for (pid p = 0; r != NULL && p < SIM_PARTS_MAX; p++) {
        if (!node_has_part(n, p)) {
            continue;
        }
        struct engine_iter *it =
            engine_scan(node_engine(n), NULL, p, SPACE_CONFLICT, STR_NONE, STR_NONE);
        struct engine_row row;
        while (engine_iter_next(it, &row)) {
            size += row.doc.text.n;
        }
        engine_iter_free(it);
    }
    if (r != NULL && size != repl_feed_size(r->repl)) {
        world_fail(w, "feed-size", "region %u has %llu bytes of conflict records and counts %llu",
                   node_id(n), U(size), U(repl_feed_size(r->repl)));
    }
}

static void check_regions(struct world *w)
{
    region_id first = 0;
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        struct node *n = w->nodes[id];
        if (!is_in(w, id)) {
            continue;
        }
        check_engine(w, n);
        check_feed_size(w, n);
        for (pid p = 0; p < SIM_PARTS_MAX; p++) {
            struct engine_part_meta m;
            (void)part_meta(n, p, &m); /* convergence has seen it */
            if (p > 0) {
                check_replay(w, n, p, (struct spot){m.tail_epoch, m.tail_lsn});
            }
            if (first != 0 && part_hash(n, p) != part_hash(w->nodes[first], p)) {
                world_fail(w, "converge", "partition %llu differs between regions %u and %u", U(p),
                           first, id);
            }
        }
        first = first != 0 ? first : id;
    }
}

/* ---- loss ---- */

/* {"lost":N,...: see io_conflict_build. */
static uint64_t lost_number(struct str text)
{
    struct str rest = str_slice(text, sizeof("{\"lost\":") - 1, text.n);
    struct str number = rest;
    uint64_t n = 0;
    (void)str_split(rest, ',', &number, &rest);
    (void)str_to_u64(number, &n);
    return n;
}

static size_t read_feed(struct world *w, struct node *n, struct feed_record *out)
{
    size_t count = 0;
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        struct engine_iter *it =
            engine_scan(node_engine(n), NULL, p, SPACE_CONFLICT, STR_NONE, STR_NONE);
        struct engine_row row;
        while (engine_iter_next(it, &row) && count < FEED_MAX) {
            struct feed_record rec = {.pid = p};
            if (!conflict_key_parse(row.key, &rec.id)) {
                world_fail(w, "loss", "strange conflict record in partition %llu", U(p));
                break;
            }
            rec.was_acknowledged = str_find(row.doc.text, STR("\"ack\":1")) >= 0;
            rec.is_applied = str_find(row.doc.text, STR("\"applied\":1")) >= 0;
            rec.shows = lost_number(row.doc.text);
            out[count++] = rec;
        }
        engine_iter_free(it);
    }
    return count;
}

/* Is every region in the account that ever was? */
static bool has_all_members(const struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        struct engine_part_meta m;
        if (!is_in(w, id) && part_meta(w->nodes[id], 0, &m) && m.tail_lsn != 0) {
            return false;
        }
    }
    return true;
}

/* Some region that takes part at the end: all are equal. */
static struct node *some_node(struct world *w)
{
    struct node *n = NULL;
    for (region_id id = 1; id <= w->cfg.region_count && n == NULL; id++) {
        n = is_in(w, id) ? w->nodes[id] : NULL;
    }
    ASSERT(n != NULL);
    return n;
}

static bool is_removed(struct world *w, pid p)
{
    return p != 0 && container_of(w, node_id(some_node(w)), p) == CONTAINER_GONE;
}

static void final_tails(struct world *w, struct spot out[SIM_PARTS_MAX])
{
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        struct engine_part_meta m;
        (void)part_meta(some_node(w), p, &m);
        out[p] = (struct spot){m.tail_epoch, m.tail_lsn};
        if (is_removed(w, p)) {
            out[p] = history_newest(w->history, p); /* up to there it was as any other */
        }
    }
}

static void check_losses(struct world *w)
{
    struct node *n = some_node(w);
    struct feed_record *feed = MEM_NEW_ARRAY(struct feed_record, FEED_MAX);
    struct final_state f = {.level = w->cfg.level,
                            .has_level_changed = w->has_level_changed,
                            .is_loss_accepted = w->has_accepted_loss,
                            .staleness_ops = w->cfg.staleness_ops,
                            .is_everyone_back =
                                w->dead_mask == 0 && w->wiped_mask == 0 && has_all_members(w),
                            .had_quota = w->had_quota,
                            .diverged_mask = w->diverged_mask,
                            .feed = feed};
    f.feed_count = read_feed(w, n, feed);
    final_tails(w, f.tails);
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        bool was_lost = w->has_accepted_loss && container_of(w, node_id(n), p) != CONTAINER_THERE;
        f.gone_mask |= is_removed(w, p) || was_lost ? 1u << p : 0;
    }
    char why[256];
    if (!loss_ok(w->ledger, w->history, &f, why)) {
        world_fail(w, "loss", "%s", why);
    }
    w->feed_count = f.feed_count;
    trace(w, "feed", 0, f.feed_count, 0, 0);
    mem_free(feed);
}

/* ---- linear ---- */

/* The history as it was known at time t: what ended later may still happen or not. */
static enum lin_verdict verdict_at(const struct lin_op *ops, size_t n, usec t, struct lin_op *cut)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (ops[i].from > t) {
            continue;
        }
        cut[count] = ops[i];
        bool has_ended = !ops[i].is_unknown && ops[i].to <= t;
        bool is_write = ops[i].kind == LIN_WRITE || ops[i].kind == LIN_CREATE ||
                        ops[i].kind == LIN_REPLACE || ops[i].kind == LIN_DELETE;
        cut[count].is_unknown = !has_ended;
        count += has_ended || is_write;
    }
    return lin_check(cut, count, LIN_STEPS_MAX);
}

/* The end of the first operation with which the history went wrong. */
static usec first_wrong(const struct lin_op *ops, size_t n)
{
    struct lin_op *cut = MEM_NEW_ARRAY(struct lin_op, n);
    usec lo = 0; /* still fine */
    usec hi = 0; /* wrong */
    for (size_t i = 0; i < n; i++) {
        hi = !ops[i].is_unknown && ops[i].to > hi ? ops[i].to : hi;
    }
    while (hi - lo > 1) {
        usec mid = lo + (hi - lo) / 2;
        if (verdict_at(ops, n, mid, cut) == LIN_BAD) {
            hi = mid;
        } else {
            lo = mid;
        }
    }
    mem_free(cut);
    return hi;
}

static void describe(struct world *w, pid p, uint16_t key, const struct lin_op *ops, size_t n)
{
    static const char *const names[] = {"read",   "write",       "create",     "replace",
                                        "delete", "saw-present", "saw-absent", "saw-other"};
    usec wrong = first_wrong(ops, n);
    trace(w, "not-linear", 0, p, key, wrong);
    for (size_t i = 0; i < n; i++) {
        if (ops[i].from > wrong || (ops[i].to + 2000000 < wrong && !ops[i].is_unknown)) {
            continue;
        }
        char text[TRACE_TEXT];
        (void)snprintf(text, sizeof(text),
                       "op %llu region %u %s%s value=%llu expect=%llu %.6f..%.6f", U(ops[i].op_id),
                       ledger_get(w->ledger, ops[i].op_id)->region, names[ops[i].kind],
                       ops[i].is_unknown ? "?" : "", U(ops[i].value), U(ops[i].expect),
                       (double)ops[i].from / 1e6, (double)ops[i].to / 1e6);
        trace_text(w, "history", 0, text);
    }
}

/* Reads at least at that level must be linearizable. */
static size_t linear_items(struct world *w, enum consistency level, bool is_failure)
{
    size_t bad = 0;
    struct spot tails[SIM_PARTS_MAX];
    final_tails(w, tails);
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        for (uint16_t key = 0; key < (uint16_t)SIM_TTL_KEY_FIRST; key++) {
            struct lin_op *ops = NULL;
            size_t n = lin_collect(w->ledger, w->history, p, key, level, tails[p], &ops);
            enum lin_verdict v = lin_check(ops, n, LIN_STEPS_MAX);
            if (v != LIN_OK && is_failure) {
                describe(w, p, key, ops, n);
                world_fail(w, "linear", "partition %llu key %u: %zu operations are %s", U(p), key,
                           n, v == LIN_BAD ? "not linearizable" : "undecided");
            }
            bad += v == LIN_BAD;
            mem_free(ops);
        }
    }
    return bad;
}

size_t check_linear_violations(struct world *w)
{
    return linear_items(w, CONSISTENCY_SESSION, false);
}

static size_t bounded_reads(struct world *w, enum consistency level, char why[256])
{
    struct spot tails[SIM_PARTS_MAX];
    final_tails(w, tails);
    struct bounds b = {.level = level,
                       .ops = w->cfg.staleness_ops,
                       .age_us = w->cfg.staleness_s * UINT64_C(1000000),
                       .tails = tails};
    return bounded_violations(w->ledger, w->history, &b, why);
}

size_t check_bounded_violations(struct world *w)
{
    char why[256];
    return bounded_reads(w, CONSISTENCY_SESSION, why);
}

void check_final(struct world *w)
{
    char why[256];
    check_regions(w);
    if (!errors_ok(w->ledger, w->history, why)) {
        world_fail(w, "errors", "%s", why);
    }
    check_losses(w);
    /* Twice: clocks drift, and requests are on their way. */
    usec lease_us = (usec)w->cfg.timers.lease_ms * 2000;
    if (!w->has_accepted_loss && !gone_ok(w->ledger, w->history, lease_us, why)) {
        world_fail(w, "gone", "%s", why);
    }
    if (bounded_reads(w, CONSISTENCY_BOUNDED_STALENESS, why) > 0) {
        world_fail(w, "bounded", "%s", why);
    }
    if (!throttle_ok(w->ledger, w->history, w->cfg.staleness_ops, why)) {
        world_fail(w, "throttle", "%s", why);
    }
    if ((w->cfg.level == CONSISTENCY_STRONG || w->has_level_changed) && !w->has_accepted_loss) {
        (void)linear_items(w, CONSISTENCY_STRONG, true);
    }
}
