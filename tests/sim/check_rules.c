/* Checkers that look at one operation at a time, or go once over the ledger. */
#include <stdio.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"

#define U(v) ((unsigned long long)(v))

bool session_ok(const struct history *h, pid p, const struct token *floor, uint64_t version,
                struct spot at, char why[256])
{
    if (floor->at.lsn == 0) {
        return true;
    }
    if (version < floor->version) {
        (void)snprintf(why, 256, "answered under token version %llu after %llu was seen",
                       U(version), U(floor->version));
        return false;
    }
    struct spot need = history_surviving(h, p, floor->at, floor->version, version);
    if (!history_contains(h, p, at, need)) {
        (void)snprintf(
            why, 256,
            "partition %llu: client has seen %llu/%llu (version %llu, of which %llu/%llu "
            "survives), the answer at %llu/%llu (version %llu) lacks it",
            U(p), U(floor->at.epoch), U(floor->at.lsn), U(floor->version), U(need.epoch),
            U(need.lsn), U(at.epoch), U(at.lsn), U(version));
        return false;
    }
    return true;
}

static bool value_ok(const struct history *h, const struct op *read, uint16_t key, char why[256])
{
    struct spot at;
    uint64_t expect = history_value(h, read->pid, key, read->snapshot, &at);
    if (expect != read->values[key]) {
        (void)snprintf(why, 256,
                       "operation %llu read partition %llu key %u at %llu/%llu: value %llu, the "
                       "history there has %llu (of %llu/%llu)",
                       U(read->id), U(read->pid), key, U(read->snapshot.epoch),
                       U(read->snapshot.lsn), U(read->values[key]), U(expect), U(at.epoch),
                       U(at.lsn));
        return false;
    }
    return true;
}

bool prefix_ok(const struct history *h, const struct op *read, char why[256])
{
    if (read->kind == OP_READ) {
        return value_ok(h, read, read->subs[0].key, why);
    }
    for (uint16_t key = 0; key < (uint16_t)SIM_KEYS; key++) {
        if (key_lp(key) == read->lp && !value_ok(h, read, key, why)) {
            return false;
        }
    }
    return true;
}

/* Generations of a partition grow, and none acknowledges in two processes, in whatever partitions. */
bool writer_ok(struct writer_track t[SIM_PARTS_MAX], const struct op *op, char why[256])
{
    struct writer_track *mine = &t[op->pid];
    if (op->generation < mine->newest) {
        (void)snprintf(
            why, 256,
            "operation %llu acknowledged by region %u under generation %llu after region "
            "%u acknowledged under %llu",
            U(op->id), op->region, U(op->generation), mine->region, U(mine->newest));
        return false;
    }
    for (pid p = 0; p < SIM_PARTS_MAX; p++) {
        if (op->generation == t[p].newest && (op->region != t[p].region || op->life != t[p].life)) {
            (void)snprintf(why, 256,
                           "generation %llu acknowledges in two processes: regions %u and %u "
                           "(operation %llu)",
                           U(op->generation), t[p].region, op->region, U(op->id));
            return false;
        }
    }
    *mine = (struct writer_track){.newest = op->generation, .region = op->region, .life = op->life};
    return true;
}

bool follow_ok(const struct history *h, pid p, generation g, struct spot durable, char why[256])
{
    if (!history_allows(h, p, g, durable)) {
        (void)snprintf(
            why, 256,
            "partition %llu ends at %llu/%llu, which is not in the history of the writer "
            "that it follows (generation %llu)",
            U(p), U(durable.epoch), U(durable.lsn), U(g));
        return false;
    }
    return true;
}

/* ---- errors ---- */

static bool entry_is_op(const struct hist_entry *e, const struct op *op)
{
    if (e->op_count != op->sub_count) {
        return false;
    }
    for (size_t i = 0; i < e->op_count; i++) {
        bool is_delete = op->subs[i].kind == OP_DELETE || op->subs[i].kind == OP_REMOVE;
        bool is_meta = op_is_metadata(op->kind);
        if (e->ops[i].is_delete != is_delete || (!is_meta && e->ops[i].key != op->subs[i].key) ||
            (!is_delete && e->ops[i].value != op->id)) {
            return false;
        }
    }
    return true;
}

static bool acknowledged_ok(const struct history *h, const struct op *op, char why[256])
{
    const struct hist_entry *e = history_find(h, op->pid, op->at.lsn);
    if (e == NULL || e->at.epoch != op->at.epoch || !entry_is_op(e, op)) {
        (void)snprintf(why, 256,
                       "operation %llu (%s) is acknowledged at %llu/%llu of partition "
                       "%llu, where no log ever had it",
                       U(op->id), op_kind_name(op->kind), U(op->at.epoch), U(op->at.lsn),
                       U(op->pid));
        return false;
    }
    return true;
}

static bool applied_entry_ok(const struct ledger *l, pid p, const struct hist_entry *e,
                             struct spot *applied, char why[256])
{
    const struct op *op = ledger_get(l, e->op_id);
    if (op == NULL || op->pid != p) {
        (void)snprintf(why, 256, "entry %llu/%llu of partition %llu is of no operation (%llu)",
                       U(e->at.epoch), U(e->at.lsn), U(p), U(e->op_id));
        return false;
    }
    if (op->outcome == OUT_REFUSED || op->outcome == OUT_REJECTED) {
        (void)snprintf(why, 256, "operation %llu was answered %s (%s) and is in a log at %llu/%llu",
                       U(op->id), outcome_name(op->outcome), err_name(op->err), U(e->at.epoch),
                       U(e->at.lsn));
        return false;
    }
    if (applied[op->id - 1].lsn != 0) {
        (void)snprintf(why, 256, "operation %llu is in the logs twice: at %llu and %llu", U(op->id),
                       U(applied[op->id - 1].lsn), U(e->at.lsn));
        return false;
    }
    applied[op->id - 1] = e->at;
    return true;
}

bool errors_ok(const struct ledger *l, const struct history *h, char why[256])
{
    struct spot *applied = MEM_NEW_ARRAY(struct spot, l->count + 1);
    bool is_ok = true;
    for (pid p = 0; p < SIM_PARTS_MAX && is_ok; p++) {
        const struct hist_part *part = &h->parts[p];
        for (size_t i = 0; i < part->count && is_ok; i++) {
            if (part->entries[i]->op_id != 0) {
                is_ok = applied_entry_ok(l, p, part->entries[i], applied, why);
            }
        }
    }
    for (size_t i = 0; i < l->count && is_ok; i++) {
        const struct op *op = l->ops[i];
        if (op_is_write(op->kind) && op->outcome == OUT_OK) {
            is_ok = acknowledged_ok(h, op, why);
        }
    }
    mem_free(applied);
    return is_ok;
}

/* ---- loss ---- */

static size_t feed_find(const struct final_state *f, const struct conflict_id *id,
                        const struct feed_record **ret)
{
    size_t n = 0;
    for (size_t i = 0; i < f->feed_count; i++) {
        const struct conflict_id *have = &f->feed[i].id;
        if (have->pid == id->pid && have->epoch == id->epoch && have->lsn == id->lsn &&
            have->op_idx == id->op_idx) {
            *ret = &f->feed[i];
            n++;
        }
    }
    return n;
}

/* The same item was written again by an entry that is lost as well, and is in the feed. */
static bool has_later_record(const struct history *h, const struct final_state *f, pid p,
                             const struct hist_entry *e, uint16_t key)
{
    for (size_t i = 0; i < f->feed_count; i++) {
        const struct conflict_id *id = &f->feed[i].id;
        const struct hist_entry *later = id->pid == p ? history_find(h, p, id->lsn) : NULL;
        if (later != NULL && id->op_idx < later->op_count && later->ops[id->op_idx].key == key &&
            later->at.lsn >= e->at.lsn && history_contains(h, p, later->at, e->at)) {
            return true;
        }
    }
    return false;
}

/* An operation that is nowhere in the feed. */
static bool in_archive(const struct history *h, const struct final_state *f, pid p,
                       const struct hist_entry *e, size_t op)
{
    if (!history_is_archived(h, p, e->at)) {
        return false;
    }
    return f->had_quota || (f->diverged_mask & 1u << DIVERGED_ARCHIVE) != 0 ||
           ((f->diverged_mask & 1u << DIVERGED_FEED_LATEST) != 0 &&
            has_later_record(h, f, p, e, e->ops[op].key));
}

static bool in_feed_once(const struct history *h, const struct final_state *f, pid p,
                         const struct hist_entry *e, bool was_acknowledged, char why[256])
{
    for (size_t i = 0; i < e->op_count; i++) {
        struct conflict_id id = {
            .pid = p, .epoch = e->at.epoch, .lsn = e->at.lsn, .op_idx = (unsigned)i};
        const struct feed_record *rec = NULL;
        size_t n = feed_find(f, &id, &rec);
        if (n == 0 && in_archive(h, f, p, e, i)) {
            continue;
        }
        if (n != 1) {
            (void)snprintf(why, 256,
                           "%s entry %llu/%llu of partition %llu did not survive; its operation "
                           "%zu is in the conflict feed %zu times",
                           was_acknowledged ? "acknowledged" : "durable", U(e->at.epoch),
                           U(e->at.lsn), U(p), i, n);
            return false;
        }
        if (rec->pid != p || (was_acknowledged && !rec->was_acknowledged)) {
            (void)snprintf(why, 256,
                           "conflict record of %llu/%llu/%llu/%zu: partition %llu, "
                           "was_acknowledged %d",
                           U(p), U(e->at.epoch), U(e->at.lsn), i, U(rec->pid),
                           rec->was_acknowledged);
            return false;
        }
    }
    return true;
}

/* Its feed went with it. */
static bool is_gone(const struct final_state *f, pid p)
{
    return (f->gone_mask & (1u << p)) != 0;
}

static bool op_kept(const struct history *h, const struct final_state *f, const struct op *op,
                    char why[256])
{
    const struct hist_entry *e = history_find(h, op->pid, op->at.lsn);
    if (e == NULL || history_contains(h, op->pid, f->tails[op->pid], op->at)) {
        return e != NULL; /* NULL: errors_ok says it better */
    }
    const struct hist_reign *by = history_loser(h, op->pid, op->at);
    bool is_strong = f->has_level_changed ? by != NULL && by->level == CONSISTENCY_STRONG
                                          : f->level == CONSISTENCY_STRONG;
    if ((is_strong || op->pid == 0) && !f->is_loss_accepted) {
        (void)snprintf(why, 256,
                       "operation %llu, acknowledged %s at %llu/%llu of partition %llu, "
                       "is lost",
                       U(op->id), op->pid == 0 ? "metadata" : "at Strong", U(op->at.epoch),
                       U(op->at.lsn), U(op->pid));
        return false;
    }
    bool has_feed = op->pid != 0 && !is_gone(f, op->pid); /* metadata has none */
    return !f->is_everyone_back || !has_feed || in_feed_once(h, f, op->pid, e, true, why);
}

/* Some writer put the lost version back, and what it replaced is what the record shows. */
static bool applied_ok(const struct history *h, const struct hist_entry *lost,
                       const struct feed_record *rec)
{
    const struct hist_part *part = &h->parts[rec->id.pid];
    for (size_t i = 0; i < part->count; i++) {
        const struct hist_entry *e = part->entries[i];
        bool is_put = e->reason == REASON_CONFLICT && e->op_count == 2 &&
                      e->ops[0].space == SPACE_ITEM && e->ops[1].is_conflict &&
                      e->ops[1].conflict.epoch == rec->id.epoch &&
                      e->ops[1].conflict.lsn == rec->id.lsn;
        if (is_put && e->ops[0].value == lost->ops[rec->id.op_idx].value &&
            e->ops[0].key == lost->ops[rec->id.op_idx].key &&
            history_value(h, rec->id.pid, e->ops[0].key, e->prev, NULL) == rec->shows) {
            return true;
        }
    }
    return false;
}

static bool record_ok(const struct history *h, const struct final_state *f,
                      const struct feed_record *rec, char why[256])
{
    struct spot at = {rec->id.epoch, rec->id.lsn};
    const struct hist_entry *e =
        rec->id.pid < SIM_PARTS_MAX ? history_find(h, rec->id.pid, at.lsn) : NULL;
    if (e == NULL || e->at.epoch != at.epoch || rec->id.op_idx >= e->op_count) {
        (void)snprintf(why, 256, "conflict record of %llu/%llu/%llu, which never was",
                       U(rec->id.pid), U(at.epoch), U(at.lsn));
        return false;
    }
    if (history_contains(h, rec->id.pid, f->tails[rec->id.pid], at)) {
        (void)snprintf(why, 256, "conflict record of %llu/%llu/%llu, which survived",
                       U(rec->id.pid), U(at.epoch), U(at.lsn));
        return false;
    }
    if (rec->is_applied && !applied_ok(h, e, rec)) {
        (void)snprintf(
            why, 256,
            "conflict record of %llu/%llu/%llu says that it was put back in the place of "
            "%llu, which nobody did",
            U(rec->id.pid), U(at.epoch), U(at.lsn), U(rec->shows));
        return false;
    }
    bool is_strong = f->level == CONSISTENCY_STRONG && !f->has_level_changed;
    if (is_strong && !f->is_loss_accepted && rec->was_acknowledged) {
        (void)snprintf(why, 256, "conflict record of %llu/%llu/%llu says acknowledged at Strong",
                       U(rec->id.pid), U(at.epoch), U(at.lsn));
        return false;
    }
    return true;
}

/* A failover at BoundedStaleness takes no more acknowledged entries of a partition than K. */
static bool bounded_loss_ok(const struct ledger *l, const struct history *h,
                            const struct final_state *f, char why[256])
{
    for (size_t i = 0; i < h->reign_count; i++) {
        const struct hist_reign *r = &h->reigns[i];
        uint64_t lost[SIM_PARTS_MAX] = {0};
        for (size_t k = 0; r->level == CONSISTENCY_BOUNDED_STALENESS && k < l->count; k++) {
            const struct op *op = l->ops[k];
            bool is_lost = !is_gone(f, op->pid) && op_is_write(op->kind) && op->outcome == OUT_OK &&
                           op->at.lsn != 0 &&
                           !history_contains(h, op->pid, f->tails[op->pid], op->at) &&
                           history_loser(h, op->pid, op->at) == r;
            if (is_lost && ++lost[op->pid] > f->staleness_ops) {
                (void)snprintf(why, 256,
                               "epoch %llu, at BoundedStaleness, lost more than %llu acknowledged "
                               "writes of partition %llu",
                               U(r->epoch), U(f->staleness_ops), U(op->pid));
                return false;
            }
        }
    }
    return true;
}

bool loss_ok(const struct ledger *l, const struct history *h, const struct final_state *f,
             char why[256])
{
    if (f->diverged_mask == 1u << DIVERGED_ARCHIVE && f->feed_count > 0) {
        (void)snprintf(why, 256, "%zu conflict records, though everything goes to the archive",
                       f->feed_count);
        return false;
    }
    for (size_t i = 0; i < f->feed_count; i++) {
        if (!record_ok(h, f, &f->feed[i], why)) {
            return false;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        const struct op *op = l->ops[i];
        if (op_is_write(op->kind) && op->outcome == OUT_OK && op->at.lsn != 0 &&
            !op_kept(h, f, op, why)) {
            return false;
        }
    }
    if (!f->is_loss_accepted && !bounded_loss_ok(l, h, f, why)) {
        return false;
    }
    if (!f->is_everyone_back) {
        return true;
    }
    /* What was durable somewhere and did not survive is in the feed, acknowledged or not. */
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        for (size_t i = 0; i < h->parts[p].count && !is_gone(f, p); i++) {
            const struct hist_entry *e = h->parts[p].entries[i];
            if (e->kind == ENTRY_WRITE && e->reason == REASON_CLIENT &&
                !history_contains(h, p, f->tails[p], e->at) &&
                !in_feed_once(h, f, p, e, false, why)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- gone ---- */

/* Whoever removed it, and was not told that nothing happened. */
static bool removal_was_asked_for(const struct ledger *l, const struct hist_entry *e, pid p)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct op *op = l->ops[i];
        if (op->kind == OP_REMOVE && op->subs[0].key == p && op->planned.epoch == e->at.epoch &&
            op->planned.lsn == e->at.lsn) {
            return op->outcome != OUT_REFUSED && op->outcome != OUT_REJECTED;
        }
    }
    return false;
}

static bool removals_ok(const struct ledger *l, const struct history *h, char why[256])
{
    const struct hist_part *meta = &h->parts[0];
    for (size_t i = 0; i < meta->count; i++) {
        const struct hist_entry *e = meta->entries[i];
        for (size_t k = 0; k < e->op_count; k++) {
            pid p = e->ops[k].removes;
            if (p != 0 && !removal_was_asked_for(l, e, p)) {
                (void)snprintf(why, 256,
                               "entry %llu/%llu removes the container of partition %llu, which "
                               "nobody asked for, or who did was told that it is not so",
                               U(e->at.epoch), U(e->at.lsn), U(p));
                return false;
            }
        }
    }
    return true;
}

static bool may_not_answer(const struct op *removal, const struct op *op, usec lease_us)
{
    bool is_promised = op_is_write(op->kind) || op->level == CONSISTENCY_STRONG;
    bool knows = (removal->online_mask & (1u << op->region)) != 0;
    return op->pid == removal->subs[0].key && is_promised &&
           op->arrived_at > removal->ended_at + (knows ? 0 : lease_us);
}

bool gone_ok(const struct ledger *l, const struct history *h, usec lease_us, char why[256])
{
    for (size_t i = 0; i < l->count; i++) {
        const struct op *removal = l->ops[i];
        if (removal->kind != OP_REMOVE || removal->outcome != OUT_OK) {
            continue;
        }
        for (size_t k = 0; k < l->count; k++) {
            const struct op *op = l->ops[k];
            if (op->outcome == OUT_OK && may_not_answer(removal, op, lease_us)) {
                (void)snprintf(why, 256,
                               "operation %llu (%s, region %u) succeeds in partition %llu, which "
                               "operation %llu had removed before",
                               U(op->id), op_kind_name(op->kind), op->region, U(op->pid),
                               U(removal->id));
                return false;
            }
        }
    }
    return removals_ok(l, h, why);
}
