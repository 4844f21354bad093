/* Operator requests as changes of the account record (geo-semantics 7.1, 7.2, 10).
 *
 * Pure: the caller reads the record, plans here, and puts it back by compare-and-set; a lost race
 * is planned again from the new record. What a plan starts (PROMOTING, TRANSFER) is carried on by
 * the regions themselves, which watch the record. Every plan leaves a record that passes
 * record_check, so that no operator can write one that the regions refuse. */
#include <stdio.h>
#include <string.h>

#include "account/record_int.h"
#include "account/region_int.h"
#include "base/contract.h"

enum {
    FIRST_LSN_LIMIT = 1, /* the first epoch starts at lsn 1 */
    TRANSFER_TEXT_MS = 5000,
};

void account_init(struct account_record *ret, const char *name, enum consistency level)
{
    ASSERT(name != NULL);
    ASSERT(strlen(name) > 0 && strlen(name) < RECORD_NAME_MAX);
    *ret = (struct account_record){
        .level = level,
        .auto_failover = true,
        .phase = PHASE_PROMOTING,
        .generation = 1,
        .lsn_limit = FIRST_LSN_LIMIT,
        .next_region_id = 1,
    };
    memcpy(ret->name, name, strlen(name) + 1);
}

static enum err copy_bounded(char *out, size_t size, const char *what, const char *text,
                             struct errinfo *ei)
{
    if (text == NULL || strlen(text) >= size) {
        return err_set(ei, ERR_INVALID, "%s is missing or longer than %zu bytes", what, size - 1);
    }
    memset(out, 0, size);
    (void)snprintf(out, size, "%s", text); /* it fits */
    return OK;
}

enum err account_need_room(const struct account_record *rec, bool is_new_name, struct errinfo *ei)
{
    if (rec->region_count < REGIONS_MAX && !(is_new_name && rec->next_region_id > REGION_ID_MAX)) {
        return OK;
    }
    err_set(ei, ERR_LIMIT, "the account cannot have more regions (%d at a time, %d names ever)",
            REGIONS_MAX, REGION_ID_MAX);
    err_hint(ei, "remove a region, or add one back under a name that the account had before");
    return ERR_LIMIT;
}

enum err account_add_region(struct account_record *rec, const char *name, const char *endpoint,
                            const char *peer_addr, int64_t wall_ms, struct errinfo *ei)
{
    TRY(account_need_room(rec, /* is_new_name= */ true, ei));
    if (rec->epoch > 0) {
        return err_set(ei, ERR_UNSUPPORTED, "regions can only be added before the first start");
    }
    struct record_region g = {
        .id = rec->next_region_id,
        .priority = (uint32_t)rec->region_count,
        .state = REGION_ONLINE_READ,
        .since_wall_ms = wall_ms,
    };
    TRY(copy_bounded(g.name, sizeof(g.name), "region name", name, ei));
    TRY(copy_bounded(g.endpoint, sizeof(g.endpoint), "endpoint", endpoint, ei));
    TRY(copy_bounded(g.peer_addr, sizeof(g.peer_addr), "peer address", peer_addr, ei));
    if (g.name[0] == 0) {
        return err_set(ei, ERR_INVALID, "region name is empty");
    }
    if (record_region_by_name(rec, str_of(name)) != NULL) {
        return err_set(ei, ERR_INVALID, "region '%s' exists already", name);
    }
    rec->regions[rec->region_count++] = g;
    rec->next_region_id++;
    rec->q_mask |= record_mask(g.id);
    if (rec->writer == 0) {
        rec->writer = g.id;
    }
    return OK;
}

enum err plan_no_region(const struct account_record *rec, struct str name, struct errinfo *ei)
{
    enum err e =
        err_set(ei, ERR_INVALID, "no region '" STR_FMT "' in account %s", STR_ARG(name), rec->name);
    account_hint_regions(rec, ei);
    return e;
}

void account_hint_regions(const struct account_record *rec, struct errinfo *ei)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        err_hint_name(ei, ACCOUNT_REGIONS_HINT, str_of(rec->regions[i].name));
    }
}

static enum err need_open(const struct account_record *rec, struct errinfo *ei)
{
    if (rec->phase == PHASE_OPEN) {
        return OK;
    }
    return err_set(ei, ERR_CONFLICTING_OPERATION, "a %s is running",
                   rec->phase == PHASE_TRANSFER ? "change of the write region" : "failover");
}

enum err account_plan_failover(struct account_record *rec, struct str to, int64_t wall_ms,
                               struct errinfo *ei)
{
    const struct record_region *target = record_region_by_name(rec, to);
    if (target == NULL) {
        return plan_no_region(rec, to, ei);
    }
    TRY(account_need_idle(rec, 0, ei));
    if (target->id == rec->writer) {
        record_prefer(rec, target->id);
        return OK;
    }
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        if (g->state != REGION_ONLINE_READ && g->state != REGION_ONLINE_WRITE) {
            enum err e =
                err_set(ei, ERR_PRECONDITION, "region %s is %s: the account is not healthy",
                        g->name, region_state_name(g->state));
            err_hint(ei, "wait until it is back, or use a forced failover (account offline)");
            return e;
        }
    }
    const struct record_region *writer = record_region_const(rec, rec->writer);
    if (writer == NULL || writer->state != REGION_ONLINE_WRITE) {
        return err_set(ei, ERR_PRECONDITION, "the account has no open write region");
    }
    if ((rec->q_mask & record_mask(target->id)) == 0) {
        return err_set(ei, ERR_PRECONDITION, "region %s is not caught up", target->name);
    }
    rec->phase = PHASE_TRANSFER;
    rec->transfer_to = target->id;
    rec->transfer_deadline_wall_ms = wall_ms + TRANSFER_TEXT_MS;
    return OK;
}

region_id account_best_candidate(const struct account_record *rec, uint64_t but_mask)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        if (g->state != REGION_ONLINE_READ || (but_mask & record_mask(g->id)) != 0) {
            continue;
        }
        if (rec->level == CONSISTENCY_STRONG && (rec->q_mask & record_mask(g->id)) == 0) {
            continue;
        }
        return g->id;
    }
    return 0;
}

enum err account_plan_online(struct account_record *rec, struct str region, int64_t wall_ms,
                             struct errinfo *ei)
{
    struct record_region *g = record_region_by_name(rec, region);
    if (g == NULL) {
        return plan_no_region(rec, region, ei);
    }
    if (g->state != REGION_OFFLINE) {
        return OK; /* "no effect" on a healthy region */
    }
    /* Also while a writer is being chosen, which may not end otherwise: the region that was chosen may
     * not come back, or need what only this one has. It stays OFFLINE until its own process reports
     * in and says RECOVERING: a record never claims that something is under way which nobody does. */
    g->is_forced_offline = false;
    g->since_wall_ms = wall_ms;
    return OK;
}

enum err account_plan_auto_failover(struct account_record *rec, bool is_on, struct errinfo *ei)
{
    if (is_on == rec->auto_failover) {
        return OK;
    }
    if (is_on && rec->region_count < 2) {
        return err_set(ei, ERR_INVALID, "automatic failover needs two or more regions");
    }
    TRY(account_need_idle(rec, 0, ei));
    rec->auto_failover = is_on;
    return OK;
}

/* ---- single partitions: doc/design/0007-partition-failover.md ---- */

/* A row of a partition that is yet to be would be in its way: the account's writer takes out a row of none, and
 * that under which the partition was made somewhere would be gone. */
static bool is_unborn(const struct account_record *rec, pid p, const struct account_beats *beats)
{
    return beats != NULL && p > beats_top(beats) && record_override(rec, p) == NULL;
}

static enum err partition_check(const struct account_record *rec, pid p,
                                const struct account_beats *beats, struct errinfo *ei)
{
    if (p == 0) {
        return err_set(ei, ERR_INVALID, "the metadata partition stays with the account's writer");
    }
    if (rec->epoch == 0) {
        return err_set(ei, ERR_PRECONDITION, "the account was never open for writes");
    }
    if (is_unborn(rec, p, beats)) {
        enum err e =
            err_set(ei, ERR_NOT_FOUND, "no region has a partition %llu", (unsigned long long)p);
        err_hint(ei, "`holdfast account partition list` says which there are");
        return e;
    }
    return need_open(rec, ei);
}

static enum err partition_row(struct account_record *rec, pid p, struct record_override **ret,
                              struct errinfo *ei)
{
    *ret = record_override_make(rec, p);
    return *ret != NULL ? OK
                        : err_set(ei, ERR_LIMIT, "%d partitions have a writer of their own already",
                                  RECORD_OVERRIDES_MAX);
}

static bool is_online(const struct record_region *g)
{
    return g != NULL && (g->state == REGION_ONLINE_READ || g->state == REGION_ONLINE_WRITE);
}

/* Asks the partition's present writer to hand it over. */
static enum err partition_transfer(struct account_record *rec, pid p,
                                   const struct record_region *target, struct errinfo *ei)
{
    struct record_reign reign;
    record_reign(rec, p, &reign);
    if (reign.phase != PHASE_OPEN) {
        return err_set(ei, ERR_CONFLICTING_OPERATION, "partition %llu changes its writer already",
                       (unsigned long long)p);
    }
    if (!is_online(record_region_const(rec, reign.writer))) {
        enum err e = err_set(ei, ERR_PRECONDITION, "the partition's writer is not online");
        err_hint(ei, "repeat with --force");
        return e;
    }
    struct record_override *o = NULL;
    TRY(partition_row(rec, p, &o, ei));
    o->phase = PHASE_TRANSFER;
    o->transfer_to = target->id;
    o->is_pinned = target->id != rec->writer;
    record_settle(rec);
    return OK;
}

enum err account_plan_partition_failover(struct account_record *rec, pid p, struct str to,
                                         bool force, const struct account_beats *beats,
                                         struct errinfo *ei)
{
    const struct record_region *target = record_region_by_name(rec, to);
    if (target == NULL) {
        return plan_no_region(rec, to, ei);
    }
    TRY(partition_check(rec, p, beats, ei));
    struct record_reign reign;
    record_reign(rec, p, &reign);
    if (reign.writer == target->id && reign.phase == PHASE_OPEN) {
        return OK; /* so it is already */
    }
    if (!is_online(target)) {
        return err_set(ei, ERR_PRECONDITION, "region %s is %s", target->name,
                       region_state_name(target->state));
    }
    if ((rec->q_mask & record_mask(target->id)) == 0) {
        return err_set(ei, ERR_PRECONDITION, "region %s is not caught up", target->name);
    }
    if (!force) {
        return partition_transfer(rec, p, target, ei);
    }
    struct record_override *o = NULL;
    TRY(partition_row(rec, p, &o, ei));
    record_override_choose(rec, o, target->id);
    o->is_pinned = target->id != rec->writer;
    o->opened.rule = RULE_PART_OPERATOR;
    record_settle(rec);
    return OK;
}

enum err account_plan_partition_return(struct account_record *rec, pid p,
                                       const struct account_beats *beats, struct errinfo *ei)
{
    TRY(partition_check(rec, p, beats, ei));
    const struct record_override *o = record_override(rec, p);
    const struct record_region *home = record_region_const(rec, rec->writer);
    if (o == NULL) {
        return OK; /* it follows the account */
    }
    if (o->writer == rec->writer && o->phase == PHASE_OPEN) {
        record_override_make(rec, p)->is_pinned = false; /* it is there already */
        return OK;
    }
    if (!is_online(home)) {
        return err_set(ei, ERR_PRECONDITION, "the account has no open write region");
    }
    return partition_transfer(rec, p, home, ei);
}

enum err account_plan_partition_auto(struct account_record *rec, bool is_on, struct errinfo *ei)
{
    if (is_on == rec->partition_failover) {
        return OK;
    }
    if (is_on && rec->region_count < 2) {
        return err_set(ei, ERR_INVALID, "failover of partitions needs two or more regions");
    }
    TRY(account_need_idle(rec, 0, ei));
    rec->partition_failover = is_on;
    return OK;
}

enum err account_plan_diverged(struct account_record *rec, struct str value, uint64_t feed_quota,
                               struct errinfo *ei)
{
    int found = record_name_find(diverged_names, DIVERGED_COUNT, value);
    if (found < 0) {
        return err_set(ei, ERR_INVALID,
                       "divergedWrites is feed, feed-latest, lww or archive, not '" STR_FMT "'",
                       STR_ARG(str_slice(value, 0, 60)));
    }
    if (feed_quota > FEED_QUOTA_MAX) {
        return err_set(ei, ERR_INVALID, "the quota of the conflict feed is at most %llu bytes",
                       (unsigned long long)FEED_QUOTA_MAX);
    }
    rec->diverged_writes = (enum diverged_writes)found;
    rec->feed_quota = feed_quota;
    return OK;
}
