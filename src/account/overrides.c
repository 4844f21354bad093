/* Rows of the account record: partitions whose writer is not simply the account's. See
 * doc/design/0007-partition-failover.md. Pure functions on the record. */
#include <string.h>

#include "account/record.h"
#include "base/contract.h"

/* Index of the first row with pid >= p. */
static size_t row_idx(const struct account_record *r, pid p)
{
    size_t i = 0;
    while (i < r->override_count && r->overrides[i].pid < p) {
        i++;
    }
    return i;
}

const struct record_override *record_override(const struct account_record *r, pid p)
{
    size_t i = row_idx(r, p);
    return i < r->override_count && r->overrides[i].pid == p ? &r->overrides[i] : NULL;
}

static const struct record_epoch *newest_epoch(const struct account_record *r)
{
    return r->epoch_count > 0 ? &r->epochs[r->epoch_count - 1] : NULL;
}

void record_reign(const struct account_record *r, pid p, struct record_reign *ret)
{
    const struct record_override *o = record_override(r, p);
    if (o != NULL) {
        *ret = (struct record_reign){.phase = o->phase,
                                     .writer = o->writer,
                                     .incarnation = o->incarnation,
                                     .generation = o->generation,
                                     .transfer_to = o->transfer_to,
                                     .epoch = o->epoch,
                                     .start_lsn = o->start_lsn};
        return;
    }
    const struct record_epoch *e = newest_epoch(r);
    *ret = (struct record_reign){.phase = r->phase,
                                 .writer = r->writer,
                                 .incarnation = r->writer_incarnation,
                                 .generation = r->generation,
                                 .transfer_to = r->transfer_to,
                                 .epoch = r->epoch,
                                 .start_lsn = e != NULL ? e->start_lsn : 0};
}

generation record_generation_top(const struct account_record *r)
{
    generation top = r->generation_floor > r->generation ? r->generation_floor : r->generation;
    for (size_t i = 0; i < r->override_count; i++) {
        top = r->overrides[i].generation > top ? r->overrides[i].generation : top;
    }
    return top;
}

epoch record_epoch_top(const struct account_record *r)
{
    epoch top = r->epoch_floor > r->epoch ? r->epoch_floor : r->epoch;
    for (size_t i = 0; i < r->override_count; i++) {
        top = r->overrides[i].epoch > top ? r->overrides[i].epoch : top;
    }
    return top;
}

struct record_override *record_override_make(struct account_record *r, pid p)
{
    ASSERT(p != 0); /* metadata stays with the account's writer */
    size_t i = row_idx(r, p);
    if (i < r->override_count && r->overrides[i].pid == p) {
        return &r->overrides[i];
    }
    const struct record_epoch *e = newest_epoch(r);
    if (r->override_count == RECORD_OVERRIDES_MAX || e == NULL) {
        return NULL;
    }
    memmove(&r->overrides[i + 1], &r->overrides[i],
            (r->override_count - i) * sizeof(r->overrides[0]));
    r->override_count++;
    r->overrides[i] = (struct record_override){
        .pid = p,
        .phase = PHASE_OPEN,
        .writer = r->writer,
        .incarnation = r->writer_incarnation,
        .generation = r->generation,
        .epoch = r->epoch,
        .holder = e->writer,
        .holder_incarnation = e->incarnation,
        .holder_generation = e->generation,
        .start_lsn = e->start_lsn,
        .branch = {.pid = p},
        .token_version = e->token_version,
    };
    return &r->overrides[i];
}

void record_override_choose(const struct account_record *r, struct record_override *o, region_id id)
{
    o->phase = PHASE_PROMOTING;
    o->writer = id;
    o->incarnation = 0;
    o->transfer_to = 0;
    o->generation = record_generation_top(r) + 1;
}

void record_override_remove(struct account_record *r, pid p)
{
    size_t i = row_idx(r, p);
    ASSERT(i < r->override_count);
    ASSERT(r->overrides[i].pid == p);
    generation g = r->overrides[i].generation;
    epoch e = r->overrides[i].epoch;
    if (g > r->generation_floor && g > r->generation) {
        r->generation_floor = g;
    }
    if (e > r->epoch_floor && e > r->epoch) {
        r->epoch_floor = e;
    }
    r->override_count--;
    memmove(&r->overrides[i], &r->overrides[i + 1],
            (r->override_count - i) * sizeof(r->overrides[0]));
    r->overrides[r->override_count] = (struct record_override){0};
}

bool record_overrides_name(const struct account_record *r, region_id id)
{
    for (size_t i = 0; i < r->override_count; i++) {
        const struct record_override *o = &r->overrides[i];
        if (o->writer == id || o->transfer_to == id || o->holder == id) {
            return true;
        }
    }
    return false;
}

bool record_is_split(const struct account_record *r)
{
    for (size_t i = 0; i < r->override_count; i++) {
        const struct record_override *o = &r->overrides[i];
        if (o->writer != r->writer || o->phase != PHASE_OPEN ||
            o->incarnation != r->writer_incarnation) {
            return true;
        }
    }
    return false;
}

void record_settle(struct account_record *r)
{
    if (r->is_level_changing && record_is_split(r)) {
        r->is_level_changing = false; /* nothing was promised yet */
    }
    r->generation_floor = r->generation_floor > r->generation ? r->generation_floor : 0;
    r->epoch_floor = r->epoch_floor > r->epoch ? r->epoch_floor : 0;
}

/* ---- invariants ---- */

static const char *what_is_wrong(const struct account_record *r, const struct record_override *o)
{
    if (o->pid == 0) {
        return "the metadata partition has a writer of its own";
    }
    if ((unsigned)o->phase >= PHASE_COUNT || record_region_const(r, o->writer) == NULL) {
        return "a partition's writer is not a region of the account";
    }
    if ((o->phase == PHASE_TRANSFER) != (o->transfer_to != 0) ||
        (o->transfer_to != 0 &&
         (o->transfer_to == o->writer || record_region_const(r, o->transfer_to) == NULL))) {
        return "a partition's transfer_to and phase disagree";
    }
    if (o->phase != PHASE_PROMOTING && o->incarnation == 0) {
        return "a partition is open under no process";
    }
    if (o->epoch == 0 || o->epoch > o->generation || o->holder == 0 ||
        o->holder_generation > o->generation || o->start_lsn >= r->lsn_limit) {
        return "a partition's newest epoch does not fit its generation or the lsn limit";
    }
    if (o->token_version > r->token_version || o->lossy_version > o->token_version ||
        o->lossy_epoch > o->epoch) {
        return "a partition's token version is above the record's";
    }
    if (o->branch.pid != o->pid) {
        return "a partition's branch point is another one's";
    }
    return NULL;
}

/* Nobody has been given the partition since the epoch it has was opened: a hand-over has begun at most. More
 * than one may do so in one epoch of the account, and outlive it. */
static bool is_account_reign(const struct record_override *o)
{
    return o->generation == o->holder_generation;
}

bool record_check_overrides(const struct account_record *r, char ret_why[256])
{
    const char *text = NULL;
    if (r->epoch_floor > record_generation_top(r)) {
        text = "the floor of epochs is above all generations";
    } else if (r->override_count > RECORD_OVERRIDES_MAX) {
        text = "too many partitions with a writer of their own";
    } else if (r->override_count > 0 && r->epoch_count == 0) {
        text = "a partition has a writer of its own before the account has one";
    } else if (r->is_level_changing && record_is_split(r)) {
        text = "the level changes while a partition is written elsewhere";
    }
    for (size_t i = 0; text == NULL && i < r->override_count; i++) {
        const struct record_override *o = &r->overrides[i];
        text = what_is_wrong(r, o);
        if (text == NULL && i > 0 && o->pid <= o[-1].pid) {
            text = "partitions with a writer of their own are not in order";
        }
        for (size_t j = 0; text == NULL && j < i; j++) {
            const struct record_override *other = &r->overrides[j];
            bool is_one_reign =
                is_account_reign(o) && is_account_reign(other) && other->epoch == o->epoch;
            if (other->generation == o->generation && !is_one_reign &&
                o->generation != r->epochs[r->epoch_count - 1].generation) {
                text = "two partitions have one generation";
            }
        }
    }
    if (text == NULL) {
        return true;
    }
    size_t n = strlen(text);
    ASSERT(n < 256);
    memcpy(ret_why, text, n + 1);
    return false;
}
