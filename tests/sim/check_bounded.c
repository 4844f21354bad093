/* Bounded staleness judged with true time: what a read may lack, that reads of one region do not go
 * back, and that writes were refused for a reason. Entries that a failover took away (they are not in
 * the final history, or were not in the one that was read) do not count: what may be lost is another
 * checker's business. */
#include <stdio.h>
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "sim/check.h"

/* Entries that were ordered and never became durable anywhere are in no history. */
enum { UNSEEN_MAX = 1000 };
#define U(v) ((unsigned long long)(v))

static bool is_judged(const struct op *op, const struct bounds *b)
{
    return !op_is_write(op->kind) && op->outcome == OUT_OK && op->level >= b->level &&
           op->level < CONSISTENCY_STRONG;
}

static int by_end(const void *a, const void *b)
{
    const struct op *x = *(const struct op *const *)a;
    const struct op *y = *(const struct op *const *)b;
    return x->ended_at < y->ended_at ? -1 : x->ended_at > y->ended_at;
}

/* Acknowledged client writes of one partition that survived, by time of acknowledgement. */
static size_t collect_writes(const struct ledger *l, const struct history *h, pid p,
                             struct spot tail, const struct op **out)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct op *op = l->ops[i];
        if (op->pid == p && op_is_write(op->kind) && op->outcome == OUT_OK && op->at.lsn != 0 &&
            history_contains(h, p, tail, op->at)) {
            out[n++] = op;
        }
    }
    qsort(out, n, sizeof(const struct op *), by_end);
    return n;
}

/* The region that opened the epoch that this read saw did not have the write: a failover took it away
 * from this history, if only until a region that still had it took over. A read that lags has seen
 * nothing that was ordered in a later epoch than the write. */
static bool was_taken_away(const struct op *read, const struct op *write)
{
    return write->at.epoch < read->snapshot.epoch;
}

static bool read_ok(const struct history *h, const struct op *read, const struct op *const *writes,
                    size_t n, const struct bounds *b, char why[256])
{
    uint64_t lacking = 0;
    for (size_t i = 0; i < n && writes[i]->ended_at <= read->arrived_at; i++) {
        if (history_contains(h, read->pid, read->snapshot, writes[i]->at) ||
            was_taken_away(read, writes[i])) {
            continue;
        }
        lacking++;
        usec age = read->arrived_at - writes[i]->ended_at;
        if (lacking > b->ops || age > b->age_us) {
            (void)snprintf(why, 256,
                           "read %llu in region %u at %llu/%llu lacks %llu writes of partition "
                           "%llu, one acknowledged %llu ms before it began (operation %llu)",
                           U(read->id), read->region, U(read->snapshot.epoch),
                           U(read->snapshot.lsn), U(lacking), U(read->pid), U(age / 1000),
                           U(writes[i]->id));
            return false;
        }
    }
    return true;
}

/* The newest read of the same region and partition that had ended when this one began. */
static const struct op *read_before(const struct op *const *reads, size_t n, const struct op *read)
{
    const struct op *last = NULL;
    for (size_t i = 0; i < n && reads[i]->ended_at <= read->arrived_at; i++) {
        if (reads[i]->region == read->region && reads[i] != read) {
            last = reads[i];
        }
    }
    return last;
}

static bool goes_on(const struct history *h, const struct op *const *reads, size_t n,
                    const struct op *read, char why[256])
{
    const struct op *before = read_before(reads, n, read);
    if (before == NULL) {
        return true;
    }
    struct token seen = {.version = before->version, .at = before->snapshot};
    char text[256];
    if (session_ok(h, read->pid, &seen, read->version, read->snapshot, text)) {
        return true;
    }
    (void)snprintf(why, 256, "read %llu in region %u goes back behind read %llu: %.150s",
                   U(read->id), read->region, U(before->id), text);
    return false;
}

size_t bounded_violations(const struct ledger *l, const struct history *h, const struct bounds *b,
                          char why[256])
{
    size_t bad = 0;
    const struct op **writes = MEM_NEW_ARRAY(const struct op *, l->count + 1);
    const struct op **reads = MEM_NEW_ARRAY(const struct op *, l->count + 1);
    for (pid p = 1; p < SIM_PARTS_MAX; p++) {
        size_t read_count = 0;
        for (size_t i = 0; i < l->count; i++) {
            if (l->ops[i]->pid == p && is_judged(l->ops[i], b)) {
                reads[read_count++] = l->ops[i];
            }
        }
        if (read_count == 0) {
            continue;
        }
        qsort(reads, read_count, sizeof(const struct op *), by_end);
        size_t write_count = collect_writes(l, h, p, b->tails[p], writes);
        for (size_t i = 0; i < read_count; i++) {
            char text[256];
            bool is_ok = read_ok(h, reads[i], writes, write_count, b, text) &&
                         goes_on(h, reads, read_count, reads[i], text);
            if (!is_ok && bad++ == 0) {
                (void)snprintf(why, 256, "%s", text);
            }
        }
    }
    mem_free(writes);
    mem_free(reads);
    return bad;
}

bool throttle_ok(const struct ledger *l, const struct history *h, uint64_t ops_max, char why[256])
{
    for (size_t i = 0; i < l->count; i++) {
        const struct op *op = l->ops[i];
        if (!op_is_write(op->kind) || op->err != ERR_STALENESS_LIMIT || !op->throttle.is_by_ops) {
            continue;
        }
        const struct hist_part *part = &h->parts[op->pid];
        const struct hist_entry *acked = history_find(h, op->pid, op->throttle.acked_lsn);
        uint64_t from = acked != NULL ? acked->ord : 0;
        uint64_t top = 0;
        for (size_t k = 0; k < part->count; k++) {
            top = part->entries[k]->ord > top ? part->entries[k]->ord : top;
        }
        if (op->throttle.ops < ops_max || from + op->throttle.ops > top + UNSEEN_MAX) {
            (void)snprintf(why, 256,
                           "operation %llu was refused because region %u, which had entry %llu of "
                           "partition %llu, lacked %llu more; the logs never had more than %llu",
                           U(op->id), op->throttle.region, U(from), U(op->pid), U(op->throttle.ops),
                           U(top));
            return false;
        }
    }
    return true;
}
