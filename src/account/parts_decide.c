/* Partitions with a writer of their own: who takes one, gives it away or returns it, one change of the
 * record at a time (rules 350 to 360). See parts.c. */
#include "account/parts_int.h"
#include "base/bug.h"
#include "base/contract.h"

enum { FORGET_MS = 5000 }; /* a row of a partition that the account's writer does not know */

/* ---- who can have it ---- */

bool parts_says_unsound(const struct member *m, pid p)
{
    for (size_t i = 0; i < m->unsound_count; i++) {
        if (m->unsound[i] == p) {
            return true;
        }
    }
    return m->unsound_count == UNSOUND_MAX;
}

static bool is_candidate(const struct region *r, region_id id, pid p)
{
    const struct account_record *rec = r->rec;
    if (!parts_is_online(rec, id) ||
        (rec->level >= CONSISTENCY_BOUNDED_STALENESS && (rec->q_mask & record_mask(id)) == 0)) {
        return false;
    }
    if (id == r->cfg.self) {
        const struct partition *part = repl_find(r->repl, p);
        return part != NULL && repl_is_sound(part);
    }
    return coordio_is_alive(r, id) && !parts_says_unsound(&r->members[id], p) &&
           !r->members[id].is_disk_low;
}

/* Best region for a partition but this one: nearly everything first, then by priority. */
static region_id best_region(const struct region *r, pid p)
{
    const struct partition *part = repl_find(r->repl, p);
    region_id best = 0;
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (id == r->cfg.self || !is_candidate(r, id, p)) {
            continue;
        }
        if (part != NULL && repl_is_near(part, id, ms(r->cfg.timers.lag_small_ms))) {
            return id;
        }
        best = best == 0 ? id : best;
    }
    return best;
}

size_t parts_unsound(const struct region *r, pid out[UNSOUND_MAX])
{
    size_t n = 0;
    for (const struct partition *p = repl_next_part(r->repl, NULL); p != NULL && n < UNSOUND_MAX;
         p = repl_next_part(r->repl, p)) {
        if (!repl_is_sound(p)) {
            out[n++] = repl_part_id(p);
        }
    }
    return n;
}

/* ---- changes of the record ---- */

static struct record_override *next_row(struct account_record *next, pid p)
{
    struct record_override *o = record_override_make(next, p);
    ASSERT(o != NULL);
    return o;
}

static void choose(struct region *r, pid p, region_id to, enum rule rule)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_override *o = next_row(next, p);
    record_override_choose(next, o, to);
    o->opened.rule = (uint32_t)rule;
    coordio_change(r, rule, next, 0, /* puts_beat= */ false);
    arena_done(&a);
}

static void claim(struct region *r, struct part_ctl *c, enum rule rule)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_override *o = next_row(next, c->pid);
    region_id old = o->writer;
    const struct member *m = &r->members[old];
    usec now = region_now(r);
    c->claim_rule = rule;
    c->claim_from = o->holder;
    c->detect_ms = m->seen_us != 0 && old != r->cfg.self ? decide_clamp_ms(now - m->seen_us) : 0;
    c->wait_ms = decide_clamp_ms(now - c->claim_ready_us);
    record_override_choose(next, o, r->cfg.self);
    o->incarnation = r->cfg.incarnation;
    bool is_expired =
        rule == RULE_PART_CLAIM && parts_is_online(r->rec, old) && !coordio_is_stopped(r, old);
    coordio_change(r, rule, next, is_expired ? old : 0, /* puts_beat= */ true);
    arena_done(&a);
    /* Whatever becomes of it: until a newer record is seen, which gives a new mode and makes this claim
     * fail, it may come through with what is here now. */
    struct repl_mode mode = *repl_part_mode(r->repl, c->pid);
    mode.is_taking = true;
    (void)repl_set_part_mode(r->repl, c->pid, &mode);
}

/* This process opens an epoch of the partition. */
static void begin_epoch(struct region *r, struct part_ctl *c, struct account_record *next,
                        enum rule why, bool is_lossy)
{
    epoch top = record_epoch_top(next);
    struct record_override *o = next_row(next, c->pid);
    const struct partition *p = parts_part(r, c);
    ASSERT(p != NULL);
    struct place at = repl_tail(p);
    usec now = region_now(r);
    o->phase = PHASE_OPEN;
    o->writer = r->cfg.self;
    o->incarnation = r->cfg.incarnation;
    o->transfer_to = 0;
    o->epoch = top + 1;
    o->holder = r->cfg.self;
    o->holder_incarnation = r->cfg.incarnation;
    o->holder_generation = o->generation;
    o->start_lsn = next->lsn_limit;
    o->branch = (struct record_branch){c->pid, at.epoch, at.lsn};
    o->opened.is_lossy = is_lossy;
    o->opened.rule = (uint32_t)why;
    o->opened.wall_ms = r->io.wall_ms(r->io.ctx);
    decide_copy_text(o->opened.reason, sizeof(o->opened.reason), decide_rule_text(why));
    o->opened.detect_ms = c->detect_ms;
    o->opened.wait_ms = c->wait_ms;
    o->opened.promote_ms =
        c->claim_us != 0 && c->role == PROLE_PROMOTING ? decide_clamp_ms(now - c->claim_us) : 0;
    next->lsn_limit += LSN_BLOCK;
    next->token_version += is_lossy;
    o->token_version = next->token_version;
    if (is_lossy) {
        o->lossy_epoch = o->epoch;
        o->lossy_version = o->token_version;
    }
}

static bool lsn_block_is_left(const struct region *r)
{
    return r->rec->lsn_limit + LSN_BLOCK <= LSN_MAX;
}

/* ---- decisions ---- */

/* The rule by which this region takes a partition that has a row; 0 = none. */
static enum rule claim_rule(const struct region *r, const struct part_ctl *c,
                            const struct record_override *o)
{
    if (c->role != PROLE_FOLLOWING && c->role != PROLE_TAKING) {
        return (enum rule)0;
    }
    if (!is_candidate(r, r->cfg.self, c->pid) || !parts_holder_is_over(r, c, o)) {
        return (enum rule)0;
    }
    if (o->writer == r->cfg.self) {
        return RULE_PART_CLAIM_OWN;
    }
    if (!parts_is_online(r->rec, o->writer)) {
        return RULE_PART_CLAIM;
    }
    bool is_gone = coordio_is_stopped(r, o->writer) || coordio_is_expired(r, o->writer);
    return is_gone && r->rec->auto_failover ? RULE_PART_CLAIM : (enum rule)0;
}

/* Live candidates that go before us: the account's writer, then by priority. */
static unsigned better_candidates(const struct region *r, pid p)
{
    const struct account_record *rec = r->rec;
    if (rec->writer == r->cfg.self) {
        return 0;
    }
    unsigned n = is_candidate(r, rec->writer, p);
    for (size_t i = 0; i < rec->region_count && rec->regions[i].id != r->cfg.self; i++) {
        n += rec->regions[i].id != rec->writer && is_candidate(r, rec->regions[i].id, p);
    }
    return n;
}

static bool try_claim(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    enum rule rule = claim_rule(r, c, o);
    usec now = region_now(r);
    if (rule == 0) {
        c->claim_ready_us = 0;
        return false;
    }
    c->claim_ready_us = c->claim_ready_us != 0 ? c->claim_ready_us : now;
    usec turn = rule == RULE_PART_CLAIM_OWN
                    ? 0
                    : better_candidates(r, c->pid) * UINT64_C(2) * ms(r->cfg.timers.beat_ms);
    if (now - c->claim_ready_us < turn) {
        return false;
    }
    claim(r, c, rule);
    return true;
}

/* Chosen, but it cannot be used here. */
static bool try_pass_on(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct partition *p = parts_part(r, c);
    if (o->writer != r->cfg.self || parts_acts_as_writer(c) || c->role == PROLE_IDLE || p == NULL ||
        repl_is_sound(p) || !parts_is_online(r->rec, r->cfg.self)) {
        return false;
    }
    region_id to = best_region(r, c->pid);
    if (to == 0) {
        return false;
    }
    choose(r, c->pid, to, RULE_PART_PASS_ON);
    return true;
}

static bool try_open(struct region *r, struct part_ctl *c)
{
    struct partition *p = parts_part(r, c);
    if (c->role != PROLE_PROMOTING || p == NULL || !repl_is_sealed_part(p) || !repl_has_docs(p) ||
        !lsn_block_is_left(r)) {
        return false; /* without its documents: passed on as soon as there is somebody */
    }
    if (!c->is_opening) {
        bool is_late = c->pull_from_us != 0 && region_now(r) - c->pull_from_us >= ms(PULL_MS);
        if (c->pull_from_us == 0 || (!is_late && !repl_pull_done_part(p, coordio_alive_mask(r)))) {
            return false;
        }
        repl_pull_close_part(p);
        c->is_opening = true;
    }
    if (!repl_is_quiet_part(p)) {
        return false; /* what was pulled last is not durable yet */
    }
    const struct record_override *o = parts_row(r, c);
    if (record_epoch_top(r->rec) >= o->generation) {
        /* The account has had so many epochs since the claim that the next one does not fit its generation
         * any more: claimed once more. */
        choose(r, c->pid, r->cfg.self, RULE_PART_CLAIM_OWN);
        return true;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    uint64_t others = repl_mode(r->repl)->all_mask & ~record_mask(r->cfg.self);
    enum rule why = c->claim_rule != 0 ? c->claim_rule : RULE_PART_OPEN;
    /* A log that another process wrote may be further than ours, or part from ours where a peer that
     * was pulled could not tell. */
    bool is_lossy = o->holder != r->cfg.self || !repl_pull_complete_part(p, others) ||
                    decide_may_have_left(r, o->holder_incarnation, o->token_version);
    begin_epoch(r, c, next, why, is_lossy);
    coordio_change(r, RULE_PART_OPEN, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

static bool try_take(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct partition *p = parts_part(r, c);
    if (c->role != PROLE_TAKING || p == NULL || c->take_generation != o->generation ||
        !repl_is_sound(p) || !lsn_block_is_left(r) || !repl_equals_part(p, &c->take_at)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    c->claim_from = o->writer;
    c->claim_rule = RULE_PART_TAKE;
    c->detect_ms = 0;
    c->wait_ms = decide_clamp_ms(region_now(r) - c->role_since_us);
    struct record_override *n = next_row(next, c->pid);
    n->generation = record_generation_top(next) + 1;
    n->is_pinned = n->is_pinned && r->rec->writer != r->cfg.self;
    begin_epoch(r, c, next, RULE_PART_TAKE, /* is_lossy= */ false);
    coordio_change(r, RULE_PART_TAKE, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

static bool try_rollback(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    if (c->role != PROLE_HOLDING || parts_part(r, c) == NULL || !lsn_block_is_left(r) ||
        !parts_lease_is_fresh(r, c)) {
        return false;
    }
    bool is_late = region_now(r) - c->role_since_us >= ms(r->cfg.timers.transfer_ms);
    if (!is_late && is_candidate(r, o->transfer_to, c->pid)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    c->claim_from = r->cfg.self;
    c->claim_rule = RULE_PART_ROLLBACK;
    c->detect_ms = 0;
    c->wait_ms = decide_clamp_ms(region_now(r) - c->role_since_us);
    next_row(next, c->pid)->generation = record_generation_top(next) + 1;
    begin_epoch(r, c, next, RULE_PART_ROLLBACK, /* is_lossy= */ false);
    coordio_change(r, RULE_PART_ROLLBACK, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

/* Back to the account's writer, once it has all of it and for good. */
static bool try_return(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct partition *p = parts_part(r, c);
    region_id home = r->rec->writer;
    usec now = region_now(r);
    bool is_wanted = r->is_draining || !o->is_pinned;
    if (c->role != PROLE_WRITER || p == NULL || home == r->cfg.self || !is_wanted ||
        r->rec->phase != PHASE_OPEN || !is_candidate(r, home, c->pid) ||
        r->members[home].rec_rev < c->since_rev || r->members[home].is_disk_slow ||
        !repl_is_near(p, home, ms(r->cfg.timers.lag_small_ms))) {
        c->near_since_us = 0;
        return false;
    }
    c->near_since_us = c->near_since_us != 0 ? c->near_since_us : now;
    bool is_rested = r->is_draining || now - c->role_since_us >= ms(r->cfg.timers.failover_hold_ms);
    if (!is_rested || now - c->near_since_us < ms(r->cfg.timers.rejoin_stable_ms) ||
        !parts_lease_is_fresh(r, c)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_override *n = next_row(next, c->pid);
    n->phase = PHASE_TRANSFER;
    n->transfer_to = home;
    coordio_change(r, RULE_PART_RETURN, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

static bool has_room(struct region *r, pid p)
{
    return record_override(r->rec, p) != NULL || r->rec->override_count < RECORD_OVERRIDES_MAX;
}

/* Partitions that are written here and cannot be used any more. */
static bool try_give_away(struct region *r)
{
    if (!r->rec->partition_failover || r->rec->phase != PHASE_OPEN ||
        repl_corrupt_count(r->repl) == 0) {
        return false;
    }
    for (const struct partition *p = repl_next_part(r->repl, NULL); p != NULL;
         p = repl_next_part(r->repl, p)) {
        pid id = repl_part_id(p);
        if (!repl_is_corrupt(p) || id == 0 || repl_part_mode(r->repl, id)->kind != REPL_WRITER) {
            continue;
        }
        const struct part_ctl *c = parts_ctl(r, id);
        bool is_fresh = c != NULL ? parts_lease_is_fresh(r, c) : region_lease_is_fresh(r);
        region_id to = best_region(r, id);
        if (to != 0 && has_room(r, id) && is_fresh) {
            r->part_event_told = false;
            choose(r, id, to, RULE_PART_UNUSABLE);
            return true;
        }
        if (!r->part_event_told && is_fresh) {
            r->part_event_told = true;
            region_event(r, EVENT_PARTITION, RULE_PART_UNUSABLE,
                         "partition=%llu what=\"cannot be used here, and %s\"",
                         (unsigned long long)id,
                         to == 0 ? "no other region can take it" : "the record has no room");
        }
    }
    return false;
}

/* Rows of containers that were deleted: by the account's writer, who knows what there is. */
static bool try_forget(struct region *r, const struct part_ctl *c)
{
    usec now = region_now(r);
    bool is_gone = repl_is_dropped(r->repl, c->pid) || (now - r->role_since_us >= ms(FORGET_MS) &&
                                                        now - c->role_since_us >= ms(FORGET_MS));
    if (r->role != ROLE_WRITER || !region_lease_is_fresh(r) || parts_part(r, c) != NULL ||
        !is_gone || BUG(BUG_PART_ROW_STAYS)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    record_override_remove(next, c->pid);
    coordio_change(r, RULE_PART_GONE, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

static bool try_extend(struct region *r, const struct part_ctl *c)
{
    const struct partition *p = parts_part(r, c);
    if (c->role != PROLE_WRITER || p == NULL || !parts_lease_is_fresh(r, c) ||
        r->rec->lsn_limit - repl_tail(p).lsn >= LSN_BLOCK / 2 || !lsn_block_is_left(r)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    next->lsn_limit += LSN_BLOCK;
    coordio_change(r, RULE_LSN_BLOCK, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

bool parts_decide(struct region *r)
{
    if (try_give_away(r) || parts_ask_repair(r)) {
        return true;
    }
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        struct part_ctl *c = r->part_ctls[i];
        const struct record_override *o = parts_row(r, c);
        if (try_forget(r, c) || try_extend(r, c) || try_rollback(r, c, o) || try_take(r, c, o) ||
            try_open(r, c) || try_claim(r, c, o) || try_pass_on(r, c, o) || try_return(r, c, o) ||
            parts_end_repair(r, c, o)) {
            return true;
        }
    }
    return false;
}

/* A region that lacks a partition is whole for the account only while the partition has a row. */
static bool is_sound_everywhere(const struct region *r, pid p)
{
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (id != r->cfg.self && parts_is_online(r->rec, id) &&
            parts_says_unsound(&r->members[id], p)) {
            return false;
        }
    }
    return true;
}

/* A new account epoch that this process opens covers what it writes alone, and what is no more. */
void parts_fold(struct region *r, struct account_record *next)
{
    for (size_t i = next->override_count; i-- > 0;) {
        const struct record_override *o = &next->overrides[i];
        const struct part_ctl *c = parts_ctl(r, o->pid);
        bool is_ours = o->phase == PHASE_OPEN && o->writer == r->cfg.self &&
                       o->incarnation == r->cfg.incarnation && c != NULL &&
                       c->role == PROLE_WRITER && o->generation < next->generation &&
                       is_sound_everywhere(r, o->pid);
        if (is_ours) {
            record_override_remove(next, o->pid);
        }
    }
    record_settle(next);
}
