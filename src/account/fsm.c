/* The table of roles: what a process does when it sees a new account record.
 *
 * The record decides; the role before it matters only where a process must have done something
 * itself to become writer: it opens an epoch only from PROMOTING, TAKING or HOLDING, that is, after
 * its own compare-and-set. A record that names an earlier process of this region is not ours. */
#include "account/region_int.h"
#include "base/contract.h"

static const struct region *of(const void *ctx)
{
    return (const struct region *)ctx;
}

/* ---- guards: pure, on the newest record ---- */

/* Storage knows a higher generation of a partition. What is left of rows that are gone is at most the floor,
 * and a record with that floor is newer, whatever it says of the partition: an operator may have asked for
 * a row of one whose container is just gone. */
static bool is_above_record(const void *ctx, pid p, generation g)
{
    const struct account_record *rec = (const struct account_record *)ctx;
    struct record_reign reign;
    record_reign(rec, p, &reign);
    return g > reign.generation && g > rec->generation_floor;
}

static bool record_is_stale(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return r->rec->generation < engine_generation(r->engine) ||
           r->rec->generation < repl_mode(r->repl)->generation ||
           engine_fence_find(r->engine, is_above_record, r->rec);
}

static bool is_taken_out(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct record_region *self = region_self(of(ctx));
    return self == NULL || self->state == REGION_OFFLINE || self->state == REGION_DRAINING;
}

static bool is_catching_up(const void *ctx, const void *event)
{
    UNUSED(event);
    enum region_state s = region_self(of(ctx))->state;
    return s == REGION_RECOVERING || s == REGION_SEEDING;
}

static bool names_this_process(const struct region *r)
{
    return r->rec->writer == r->cfg.self && r->rec->writer_incarnation == r->cfg.incarnation;
}

static bool is_same_reign(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return names_this_process(r) && r->rec->phase == PHASE_OPEN &&
           r->rec->generation == repl_mode(r->repl)->generation &&
           r->rec->epoch == repl_mode(r->repl)->epoch;
}

static bool is_open_for_us(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return names_this_process(r) && r->rec->phase == PHASE_OPEN &&
           r->rec->epoch > repl_mode(r->repl)->epoch;
}

static bool is_handing_over(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return names_this_process(r) && r->rec->phase == PHASE_TRANSFER &&
           r->rec->generation == repl_mode(r->repl)->generation &&
           r->rec->epoch == repl_mode(r->repl)->epoch;
}

static bool is_chosen(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return names_this_process(r) && r->rec->phase == PHASE_PROMOTING;
}

static bool is_same_promotion(const void *ctx, const void *event)
{
    return is_chosen(ctx, event) &&
           of(ctx)->rec->generation == repl_mode(of(ctx)->repl)->generation;
}

static bool is_to_take(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct region *r = of(ctx);
    return r->rec->phase == PHASE_TRANSFER && r->rec->transfer_to == r->cfg.self;
}

static bool is_same_take(const void *ctx, const void *event)
{
    return is_to_take(ctx, event) &&
           of(ctx)->rec->generation == repl_mode(of(ctx)->repl)->generation;
}

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_STARTING] = "STARTING",   [ROLE_RECOVERING] = "RECOVERING", [ROLE_READER] = "READER",
    [ROLE_PROMOTING] = "PROMOTING", [ROLE_WRITER] = "WRITER",         [ROLE_HOLDING] = "HOLDING",
    [ROLE_TAKING] = "TAKING",       [ROLE_OFFLINE] = "OFFLINE",       [ROLE_FENCED] = "FENCED",
};

static const char *const event_names[EV_COUNT] = {
    [EV_RECORD] = "RECORD",
    [EV_STALE] = "STALE",
};

const char *region_role_name(enum region_role r)
{
    ASSERT((unsigned)r < ROLE_COUNT);
    return role_names[r];
}

/* clang-format off */
static const struct fsm_row rows[] = {
    FSM_ROW(100, ROLE_FENCED,    FSM_ANY,   fsm_always,        FSM_SAME,        fsm_no_action, "fenced: only a restart helps")
    FSM_ROW(101, FSM_ANY,        EV_STALE,  fsm_always,        ROLE_FENCED,     act_fence,     "storage knows a higher generation, or the record cannot be read")
    FSM_ROW(102, FSM_ANY,        EV_RECORD, record_is_stale,   ROLE_FENCED,     act_fence,     "the record is older than what is stored here")
    FSM_ROW(110, FSM_ANY,        EV_RECORD, is_taken_out,      ROLE_OFFLINE,    act_stop,      "taken offline")
    FSM_ROW(111, FSM_ANY,        EV_RECORD, is_catching_up,    ROLE_RECOVERING, act_follow,    "catching up")
    FSM_ROW(120, ROLE_WRITER,    EV_RECORD, is_same_reign,     FSM_SAME,        act_refresh,   "still the writer")
    FSM_ROW(121, ROLE_WRITER,    EV_RECORD, is_handing_over,   ROLE_HOLDING,    act_hold,      "change of write region away from here: holding writes")
    FSM_ROW(122, ROLE_HOLDING,   EV_RECORD, is_handing_over,   FSM_SAME,        act_refresh,   "still handing over")
    FSM_ROW(123, ROLE_HOLDING,   EV_RECORD, is_open_for_us,    ROLE_WRITER,     act_open,      "change of write region rolled back")
    FSM_ROW(130, ROLE_PROMOTING, EV_RECORD, is_same_promotion, FSM_SAME,        act_refresh,   "still promoting")
    FSM_ROW(131, ROLE_PROMOTING, EV_RECORD, is_open_for_us,    ROLE_WRITER,     act_open,      "opened as writer")
    FSM_ROW(132, FSM_ANY,        EV_RECORD, is_chosen,         ROLE_PROMOTING,  act_seal,      "chosen as writer: sealing the log")
    FSM_ROW(140, ROLE_TAKING,    EV_RECORD, is_open_for_us,    ROLE_WRITER,     act_open,      "took over the write region")
    FSM_ROW(141, ROLE_TAKING,    EV_RECORD, is_same_take,      FSM_SAME,        act_refresh,   "still taking over")
    FSM_ROW(142, FSM_ANY,        EV_RECORD, is_to_take,        ROLE_TAKING,     act_take,      "change of write region to here")
    FSM_ROW(150, FSM_ANY,        EV_RECORD, fsm_always,        ROLE_READER,     act_follow,    "another region writes, or an earlier process of this one did")
};
/* clang-format on */

static const struct fsm machine = {
    .name = "region",
    .state_names = role_names,
    .state_count = ROLE_COUNT,
    .event_names = event_names,
    .event_count = EV_COUNT,
    .rows = rows,
    .row_count = (int)ARRAY_COUNT(rows),
    .initial = ROLE_STARTING,
    .final_states = UINT64_C(1) << ROLE_FENCED,
};

const struct fsm *region_fsm(void)
{
    return &machine;
}

static const struct region_rule rules[] = {
    {RULE_EVICT_STOPPED, "evict_stopped", "a read region's stop was confirmed: taken offline"},
    {RULE_EVICT_EXPIRED, "evict_expired", "a read region's heartbeat expired: taken offline"},
    {RULE_EVICT_SILENT, "evict_silent", "a read region does not answer the writer: taken offline"},
    {RULE_EVICT_SLOW, "evict_slow",
     "a read region is slow to store and strong writes wait for it: taken offline"},
    {RULE_EVICT_HOLDS_UP, "evict_holds_up",
     "a read region is silent and strong writes wait for it: taken offline"},
    {RULE_ADMIT, "admit", "a recovering region has caught up: online again"},
    {RULE_RECOVER, "recover", "back in touch after having been taken offline: recovering"},
    {RULE_REPORT, "report", "this process reports where it is reached"},
    {RULE_LSN_BLOCK, "lsn_block", "more than half of the lsn block is used: extended"},
    {RULE_DRAIN, "drain", "planned stop: handing the write region over"},
    {RULE_KEEP, "keep", "an eviction of unknown outcome is called off: the region answers again"},
    {RULE_LEVEL, "level", "what the new consistency level promises holds: in force"},
    {RULE_REMOVED, "removed", "a region that was to be removed has drained: out of the account"},
    {RULE_FULL_COPY, "full_copy",
     "the log kept for a region is over its budget: it needs a full copy"},
    {RULE_CLAIM_STOPPED, "claim_stopped", "the writer's stop was confirmed: taking over"},
    {RULE_CLAIM_EXPIRED, "claim_expired", "the writer's lease expired: taking over"},
    {RULE_CLAIM_RESTART, "claim_restart",
     "this region's process was restarted as writer: new generation"},
    {RULE_CLAIM_CHOSEN, "claim_chosen", "named as writer by the record: taking over"},
    {RULE_CLAIM_ACCEPTED, "claim_accepted", "an operator accepts what it lacks: taking over"},
    {RULE_PASS_ON, "pass_on",
     "chosen as writer but the log is not whole, or storage does not answer: passed on"},
    {RULE_OPEN, "open", "log sealed and branch points fixed: opening a new epoch"},
    {RULE_TAKE, "take", "has everything the old writer ordered: opening a new epoch"},
    {RULE_DISK_SLOW, "disk_slow", "the disk is slow and another region's is not: handing over"},
    {RULE_STEP_DOWN, "step_down",
     "nobody took over from a slow disk: another region is chosen as writer"},
    {RULE_HOLD_BACK, "hold_back",
     "the last failover was just now and its writer had not confirmably stopped: waiting"},
    {RULE_METADATA, "metadata", "the metadata cannot be read here: handing over"},
    {RULE_PART_UNUSABLE, "partition_unusable",
     "a partition cannot be used at its writer: another region is chosen for it"},
    {RULE_PART_OPERATOR, "partition_operator", "an operator chose another region for a partition"},
    {RULE_PART_CLAIM_OWN, "partition_claim_own", "chosen as a partition's writer: taking it"},
    {RULE_PART_CLAIM, "partition_claim", "a partition's writer is gone: taking it"},
    {RULE_PART_PASS_ON, "partition_pass_on",
     "chosen as a partition's writer but it is not sound here: passed on"},
    {RULE_PART_OPEN, "partition_open", "a partition's log is sealed: opening a new epoch of it"},
    {RULE_PART_RETURN, "partition_return",
     "a partition is sound again at the account's writer: handing it over"},
    {RULE_PART_RETURN_ASKED, "partition_return_asked", "an operator returns a partition"},
    {RULE_PART_TAKE, "partition_take", "has everything of a partition: opening a new epoch of it"},
    {RULE_PART_ROLLBACK, "partition_rollback",
     "a partition was not taken over in time: opening it again here"},
    {RULE_PART_GONE, "partition_gone", "a partition with a writer of its own was deleted"},
    {RULE_PART_REPAIR, "partition_repair",
     "a partition cannot be read where it is not written: a row, so that it is copied anew"},
    {RULE_PART_WHOLE, "partition_whole",
     "a partition was copied anew and is sound everywhere: its row goes"},
    {RULE_ROLLBACK, "rollback", "the other region did not take over in time: opening again here"},
};

const struct region_rule *region_rules(size_t *ret_n)
{
    *ret_n = ARRAY_COUNT(rules);
    return rules;
}
