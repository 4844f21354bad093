/* Decisions: changes of the record that this region proposes by compare-and-set.
 *
 * Each is judged anew from the newest record, the heartbeats and the logs; at most one is under way.
 * What it leads to happens when the record is seen, never because it was proposed. */
#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "base/mem.h"
#include "repl/lease.h"
#include "repl/staleness.h"

/* A copy of the record to be changed; freed with `a`. */
struct account_record *decide_next_record(const struct region *r, struct arena *a)
{
    struct account_record *next = ARENA_NEW(a, struct account_record);
    record_copy(a, r->rec, next);
    struct record_region *self = record_region(next, r->cfg.self);
    ASSERT(self != NULL);
    self->incarnation = r->cfg.incarnation;
    return next;
}

bool decide_may_write(const struct region *r, unsigned format)
{
    for (size_t i = 0; i < r->rec->region_count && format > RECORD_FORMAT_UNSAID; i++) {
        region_id id = r->rec->regions[i].id;
        if (id != r->cfg.self && r->members[id].reads < format) {
            return false;
        }
    }
    return format <= RECORD_FORMAT;
}

uint32_t decide_clamp_ms(usec us)
{
    return us / 1000 > UINT32_MAX ? UINT32_MAX : (uint32_t)(us / 1000);
}

/* ---- whose lease may still run ---- */

bool decide_has_stopped(const struct region *r, const struct record_epoch *reign)
{
    const struct member *m = &r->members[reign->writer];
    /* Or the record was taken from it: it has seen that, and stopped. */
    return coordio_has_ended(r, reign->writer, reign->incarnation) ||
           (m->incarnation == reign->incarnation && m->generation > reign->generation);
}

bool decide_lease_is_over(const struct region *r)
{
    const struct account_record *rec = r->rec;
    const struct record_epoch *reign = region_reign(r);
    if (reign == NULL || reign->writer == r->cfg.self) {
        /* Nobody ever wrote, or we did: this process has stopped with the record that ended its
         * reign, and an earlier one is dead, since we hold its data directory. */
        return true;
    }
    if (rec->phase == PHASE_PROMOTING && rec->writer_incarnation != 0) {
        return true; /* whoever claimed had waited for it */
    }
    if (decide_has_stopped(r, reign)) {
        return true;
    }
    if (!vouch_is_over(r)) {
        return false;
    }
    if (rec->generation == reign->generation) {
        return coordio_is_expired(r, reign->writer);
    }
    /* The record was taken from it without its knowledge: it cannot renew any more. */
    return r->reign_over_us != 0 && coordio_lease_has_passed(r, reign->writer, r->reign_over_us);
}

/* ---- claiming the writer's role ---- */

/* At Strong: a region that is not `id` may have acknowledged writes of a partition that it lacks. Not of
 * one that is gone: its row would be taken out by the account's writer, and there is none. */
static bool may_lack_writes(const struct region *r, region_id id)
{
    for (size_t i = 0; i < r->rec->override_count; i++) {
        const struct record_override *o = &r->rec->overrides[i];
        if (o->holder != id && !repl_is_dropped(r->repl, o->pid)) {
            return r->rec->level == CONSISTENCY_STRONG;
        }
    }
    return false;
}

/* The writer of the newest epoch, when it was put aside by a claim, and whoever claimed never opened: its
 * log still has everything that was ever acknowledged, whatever the record calls its state. That is not so
 * where another region wrote a partition meanwhile: at Strong it waits for that one. 0 = none. */
static region_id last_writer(const struct region *r)
{
    const struct record_epoch *reign = region_reign(r);
    bool is_aside = reign != NULL && r->rec->phase == PHASE_PROMOTING &&
                    r->rec->generation > reign->generation && !may_lack_writes(r, reign->writer);
    return is_aside ? reign->writer : 0;
}

static bool is_last_writer(const struct region *r)
{
    return r->role == ROLE_RECOVERING && last_writer(r) == r->cfg.self;
}

/* The same, when it is another region that is there again; 0 = none. */
static region_id last_writer_back(const struct region *r)
{
    region_id id = last_writer(r);
    const struct record_region *g =
        id != 0 && id != r->cfg.self ? record_region_const(r->rec, id) : NULL;
    bool is_back = g != NULL && g->state == REGION_RECOVERING && coordio_is_alive(r, id) &&
                   r->members[id].is_whole;
    return is_back ? id : 0;
}

/* The record names this region as the writer although it is not in Q: an operator has accepted that what it
 * lacks is lost (account_plan_offline). Q has it again once it has opened, so that a restart on the way
 * does not forget why. */
static bool is_loss_accepted(const struct region *r)
{
    const struct record_epoch *reign = region_reign(r);
    return r->rec->phase == PHASE_PROMOTING && r->rec->writer == r->cfg.self && reign != NULL &&
           reign->writer != r->cfg.self && (r->rec->q_mask & record_mask(r->cfg.self)) == 0;
}

/* Live candidates that go before us: of those that are as good the ones of better priority; everyone goes
 * before one that was put aside, and who has followed the last writer before who was still handing in. */
static unsigned better_candidates(const struct region *r)
{
    const struct account_record *rec = r->rec;
    bool is_whole = repl_is_whole(r->repl);
    bool is_last = is_last_writer(r) || !is_whole;
    unsigned n = 0;
    bool is_before = true;
    for (size_t i = 0; i < rec->region_count && (is_before || is_last); i++) {
        const struct record_region *g = &rec->regions[i];
        const struct member *m = &r->members[g->id];
        bool in_q = (rec->q_mask & record_mask(g->id)) != 0;
        bool is_fit = m->is_whole || (!is_whole && is_before && m->could_open);
        if (g->id == r->cfg.self) {
            is_before = false;
        } else if (g->state == REGION_ONLINE_READ && g->id != rec->writer &&
                   (rec->level != CONSISTENCY_STRONG || in_q) && coordio_is_alive(r, g->id) &&
                   is_fit) {
            n++;
        }
    }
    return n;
}

/* An online region that still hands in a suffix lacks what the last writer, now gone, accepted: as any
 * region may after a failover, and what was acknowledged under the rule of Strong it cannot lack. Its suffix
 * becomes history again. */
static bool may_claim(const struct region *r)
{
    const struct record_region *self = region_self(r);
    if (is_last_writer(r)) {
        return r->is_synced && repl_is_whole(r->repl);
    }
    if (is_loss_accepted(r)) {
        return r->is_synced && repl_could_open(r->repl);
    }
    if ((r->role != ROLE_READER && r->role != ROLE_TAKING) || self == NULL || !r->is_synced ||
        !repl_could_open(r->repl)) {
        return false;
    }
    if (self->state != REGION_ONLINE_READ && self->state != REGION_ONLINE_WRITE) {
        return false;
    }
    return r->rec->level != CONSISTENCY_STRONG || (r->rec->q_mask & record_mask(r->cfg.self)) != 0;
}

/* The rule that lets us take over now, not counting the others' precedence; 0 = none. */
static enum rule claim_rule(struct region *r)
{
    const struct account_record *rec = r->rec;
    if (!may_claim(r) || !decide_lease_is_over(r)) {
        return (enum rule)0;
    }
    if (is_loss_accepted(r)) {
        return RULE_CLAIM_ACCEPTED;
    }
    if (rec->writer == r->cfg.self) {
        const struct record_epoch *reign = region_reign(r);
        return reign != NULL && reign->writer == r->cfg.self ? RULE_CLAIM_RESTART
                                                             : RULE_CLAIM_CHOSEN;
    }
    if (!rec->auto_failover || rec->epoch == 0 || rec->writer == 0) {
        return (enum rule)0; /* the first start is the first region's */
    }
    if (coordio_is_stopped(r, rec->writer)) {
        return RULE_CLAIM_STOPPED;
    }
    return coordio_is_expired(r, rec->writer) && health_may_fail_over(r) ? RULE_CLAIM_EXPIRED
                                                                         : (enum rule)0;
}

/* What this region lacks of what the writer before had by its last heartbeat: in all, and by partition as far as
 * that was said (geo-semantics 7.2). */
static void estimate_loss(struct region *r, region_id from)
{
    uint64_t mine = repl_total_ord(r->repl);
    r->lost_estimate = 0;
    r->lost_parts.count = 0;
    if (from == r->cfg.self || from == 0) {
        return;
    }
    const struct member *m = &r->members[from];
    r->lost_estimate = m->ord > mine ? m->ord - mine : 0;
    bool is_of_then = m->said.generation >= region_reign(r)->generation;
    for (size_t i = 0; is_of_then && i < m->said.lags.count; i++) {
        struct repl_part_lag x = m->said.lags.of[i];
        const struct partition *p = repl_find(r->repl, x.pid);
        uint64_t has = p != NULL ? repl_tail(p).ord : 0;
        x.ops = x.ord > has ? x.ord - has : 0;
        if (x.ops > 0 && record_override(r->rec, x.pid) == NULL) {
            r->lost_parts.of[r->lost_parts.count++] = x;
        }
    }
}

static void claim(struct region *r, enum rule rule)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    int64_t wall = r->io.wall_ms(r->io.ctx);
    region_id old = next->writer;
    const struct record_epoch *reign = region_reign(r);
    region_id from = reign != NULL ? reign->writer : 0;
    estimate_loss(r, from);
    if (old != r->cfg.self && old != 0) {
        record_set_state(next, old, REGION_OFFLINE, wall);
    }
    struct record_region *left = from != r->cfg.self ? record_region(next, from) : NULL;
    if (left != NULL && left->state == REGION_OFFLINE) {
        left->unsent_ops = r->lost_estimate;
    }
    next->writer = r->cfg.self;
    next->writer_incarnation = r->cfg.incarnation;
    next->generation = record_generation_top(next) + 1;
    next->phase = PHASE_PROMOTING;
    next->transfer_to = 0;
    record_set_state(next, r->cfg.self, REGION_ONLINE_READ, wall);
    next->q_mask |= rule != RULE_CLAIM_ACCEPTED ? record_mask(r->cfg.self) : 0;
    const struct member *m = &r->members[old];
    usec now = region_now(r);
    r->claim_rule = rule;
    r->claim_from = from;
    r->detect_ms = m->seen_us != 0 && old != r->cfg.self ? decide_clamp_ms(now - m->seen_us) : 0;
    r->wait_ms = decide_clamp_ms(now - r->claim_ready_us);
    /* That the old heartbeat did not move since we began to watch it is part of the deal. */
    coordio_change(r, rule, next, rule == RULE_CLAIM_EXPIRED ? old : 0, /* puts_beat= */ true);
    arena_done(&a);
}

static bool try_claim(struct region *r)
{
    enum rule rule = claim_rule(r);
    usec now = region_now(r);
    if (rule == 0) {
        r->claim_ready_us = 0;
        return false;
    }
    if (r->claim_ready_us == 0) {
        r->claim_ready_us = now;
    }
    bool is_ours = r->rec->writer == r->cfg.self;
    usec turn = is_ours ? 0 : better_candidates(r) * UINT64_C(2) * ms(r->cfg.timers.beat_ms);
    if (now - r->claim_ready_us < turn) {
        return false;
    }
    claim(r, rule);
    return true;
}

/* ---- opening ---- */

static size_t fill_branches(struct region *r, struct arena *a, const struct account_record *next,
                            const struct record_branch **ret)
{
    struct record_branch *b = ARENA_NEW_ARRAY(a, struct record_branch, RECORD_BRANCHES_MAX);
    size_t n = 0;
    for (struct partition *p = repl_next_part(r->repl, NULL); p != NULL && n < RECORD_BRANCHES_MAX;
         p = repl_next_part(r->repl, p)) {
        struct place at = repl_tail(p);
        if (at.lsn != 0 && record_override(next, repl_part_id(p)) == NULL) {
            b[n++] = (struct record_branch){repl_part_view(p)->pid, at.epoch, at.lsn};
        }
    }
    *ret = b;
    return n;
}

void decide_copy_text(char *out, size_t size, const char *text)
{
    memset(out, 0, size);
    (void)snprintf(out, size, "%s", text); /* cut to fit: for people only */
}

const char *decide_rule_text(enum rule rule)
{
    size_t n = 0;
    const struct region_rule *rules = region_rules(&n);
    for (size_t i = 0; i < n; i++) {
        if (rules[i].no == (uint32_t)rule) {
            return rules[i].text;
        }
    }
    return "";
}

/* Adds an epoch that this process opens: fresh block, us ONLINE_WRITE, phase OPEN. */
static void begin_epoch(struct region *r, struct arena *a, struct account_record *next,
                        enum rule why, bool is_lossy)
{
    int64_t wall = r->io.wall_ms(r->io.ctx);
    struct record_epoch e = {
        .epoch = record_epoch_top(next) + 1,
        .generation = next->generation,
        .writer = r->cfg.self,
        .incarnation = r->cfg.incarnation,
        .start_lsn = next->lsn_limit,
        .opened = {.is_lossy = is_lossy,
                   .rule = (uint32_t)why,
                   .wall_ms = wall,
                   .detect_ms = r->detect_ms,
                   .wait_ms = r->wait_ms},
    };
    if (r->claim_us != 0 && (why != RULE_TAKE && why != RULE_ROLLBACK)) {
        e.opened.promote_ms = decide_clamp_ms(region_now(r) - r->claim_us);
    }
    decide_copy_text(e.opened.reason, sizeof(e.opened.reason), decide_rule_text(why));
    parts_fold(r, next);
    e.branch_count = fill_branches(r, a, next, &e.branches);
    next->epoch = e.epoch;
    next->lsn_limit = e.start_lsn + LSN_BLOCK;
    next->phase = PHASE_OPEN;
    next->transfer_to = 0;
    next->writer = r->cfg.self;
    next->writer_incarnation = r->cfg.incarnation;
    next->token_version += is_lossy;
    record_add_epoch(next, &e);
    for (size_t i = 0; i < next->region_count; i++) {
        if (next->regions[i].state == REGION_ONLINE_WRITE) {
            record_set_state(next, next->regions[i].id, REGION_ONLINE_READ, wall);
        }
    }
    record_set_state(next, r->cfg.self, REGION_ONLINE_WRITE, wall);
    next->q_mask |= record_mask(r->cfg.self);
    struct record_region *self = record_region(next, r->cfg.self);
    self->needs_full_copy = false; /* what it has is what there is */
    self->unsent_ops = 0;
}

static bool lsn_block_is_left(struct region *r)
{
    if (r->rec->lsn_limit + LSN_BLOCK <= LSN_MAX) {
        return true;
    }
    region_event(r, EVENT_LSN_BLOCK, 0, "what=\"no lsns are left\"");
    r->next_change_us = region_now(r) + ms(10000);
    return false;
}

static bool can_take(const struct region *r, const struct record_region *g)
{
    return g->id != r->cfg.self && g->state == REGION_ONLINE_READ &&
           (r->rec->q_mask & record_mask(g->id)) != 0 && coordio_is_alive(r, g->id) &&
           r->members[g->id].is_whole;
}

/* Who can take the role from us: best priority first. */
static region_id drain_target(const struct region *r, bool must_be_fit)
{
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (can_take(r, g) && (!must_be_fit || health_is_fit(r, g->id))) {
            return g->id;
        }
    }
    return 0;
}

static void pass_on(struct region *r, region_id best)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    if (best != 0) {
        record_choose_writer(next, best);
        record_set_state(next, r->cfg.self, REGION_RECOVERING, r->io.wall_ms(r->io.ctx));
        coordio_change(r, RULE_PASS_ON, next, 0, /* puts_beat= */ false);
    }
    arena_done(&a);
}

static bool pull_is_over(const struct region *r)
{
    if (r->pull_from_us == 0) {
        return false;
    }
    if (region_now(r) - r->pull_from_us >= ms(PULL_MS)) {
        return true;
    }
    return repl_pull_done(r->repl, coordio_alive_mask(r));
}

/* Storage does not answer: our heartbeats go on, so nobody else will think that we are gone. */
static bool is_stuck(const struct region *r)
{
    const struct region_timers *t = &r->cfg.timers;
    unsigned limit = t->slow_for_ms > 2 * t->lease_ms ? t->slow_for_ms : 2 * t->lease_ms;
    bool is_waiting = r->is_opening ? !repl_is_quiet(r->repl) : !repl_is_sealed(r->repl);
    return r->rec->auto_failover && is_waiting && region_now(r) - r->role_since_us >= ms(limit) &&
           drain_target(r, /* must_be_fit= */ true) != 0;
}

/* The record's writer was restarted, or chosen by an operator, and its log is not whole: it may not claim
 * the role, and nobody else will while it beats. Below Strong what only it has becomes a suffix, as after
 * any failover. With nobody else online the role goes to the last writer, once that is back: it has
 * everything, so that this is no failover and needs no automatic one. */
static bool try_yield(struct region *r)
{
    const struct account_record *rec = r->rec;
    if (rec->writer != r->cfg.self || rec->writer_incarnation == r->cfg.incarnation ||
        rec->epoch == 0 || repl_is_whole(r->repl) ||
        region_now(r) - r->role_since_us < 2 * ms(r->cfg.timers.lease_ms)) {
        return false;
    }
    region_id best = rec->auto_failover ? drain_target(r, /* must_be_fit= */ true) : 0;
    best = best != 0 ? best : last_writer_back(r);
    if (best == 0) {
        return false;
    }
    pass_on(r, best);
    return true;
}

bool decide_may_have_left(const struct region *r, uint64_t incarnation, uint64_t token_version)
{
    return incarnation != r->cfg.incarnation && token_version != r->rec->token_version;
}

static bool try_open(struct region *r)
{
    /* Whoever claimed had waited, and we have to keep what we promised ourselves. */
    if (r->role != ROLE_PROMOTING || !vouch_is_over(r) || !lsn_block_is_left(r)) {
        return false;
    }
    if (!repl_is_whole(r->repl)) { /* a diverged suffix came up between the claim and now */
        region_id best = account_best_candidate(r->rec, record_mask(r->cfg.self));
        pass_on(r, best != 0 ? best : last_writer_back(r));
        return true;
    }
    if (is_stuck(r)) {
        pass_on(r, drain_target(r, /* must_be_fit= */ true));
        return true;
    }
    if (!r->is_opening) {
        if (!repl_is_sealed(r->repl) || !pull_is_over(r)) {
            return false;
        }
        repl_pull_close(r->repl);
        r->is_opening = true;
    }
    if (!repl_is_quiet(r->repl)) {
        return false; /* what was pulled last is not durable yet */
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    if (record_epoch_top(next) >= next->generation) {
        /* Partitions have had so many epochs since the claim that the next one does not fit its generation
         * any more: claimed once more. */
        record_choose_writer(next, r->cfg.self);
        coordio_change(r, RULE_PASS_ON, next, 0, /* puts_beat= */ false);
        arena_done(&a);
        return true;
    }
    const struct record_epoch *reign = region_reign(r);
    /* After a restart a reader can have what our disk has not: entries are shipped before they are
     * durable here. Only when every region was asked, also one that is offline now and may have shown
     * them before, is nothing lost; and none may have left the account since then. */
    uint64_t others = repl_mode(r->repl)->all_mask & ~record_mask(r->cfg.self);
    bool is_lossy =
        reign != NULL && (reign->writer != r->cfg.self || !repl_pull_complete(r->repl, others) ||
                          decide_may_have_left(r, reign->incarnation, reign->token_version));
    enum rule why = r->claim_rule != 0 ? r->claim_rule : RULE_OPEN;
    begin_epoch(r, &a, next, why, is_lossy);
    coordio_change(r, RULE_OPEN, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

/* ---- graceful change ---- */

static bool try_take(struct region *r)
{
    if (r->role != ROLE_TAKING || r->take_generation != r->rec->generation ||
        !repl_is_whole(r->repl) || !lsn_block_is_left(r) ||
        !repl_equals(r->repl, r->take_tails, r->take_count)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    r->claim_from = next->writer;
    r->claim_rule = RULE_TAKE;
    r->detect_ms = 0;
    r->wait_ms = decide_clamp_ms(region_now(r) - r->take_since_us);
    estimate_loss(r, 0);
    next->generation = record_generation_top(next) + 1;
    begin_epoch(r, &a, next, RULE_TAKE, /* is_lossy= */ false);
    record_prefer(next, r->cfg.self);
    coordio_change(r, RULE_TAKE, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

/* What the region lacks was too much when the change was asked for (geo-semantics 7.1 step 1), or whoever
 * planned it would have been told by our heartbeat, which may be a moment old (beats_check_transfer): better no change than
 * writes that are held for one in vain. */
static bool is_too_far_behind(const struct region *r, region_id to)
{
    struct repl_lag lag;
    repl_lag(r->repl, to, &lag);
    return r->hold_rule == 0 && lag.since_us != 0 &&
           lag.since_us + ms(r->cfg.timers.lag_small_ms) <= r->hold_since_us;
}

/* It could take over gracefully: it lacks next to nothing. */
static bool is_near(const struct region *r, region_id to)
{
    struct repl_lag lag;
    repl_lag(r->repl, to, &lag);
    return repl_link_is_up(r->repl, to) && lag.is_streaming && !lag.needs_copy &&
           (lag.since_us == 0 || region_now(r) - lag.since_us < ms(r->cfg.timers.lag_small_ms));
}

/* The role goes to another region although not all that was accepted could be handed over. */
static void step_down(struct region *r, region_id to)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    record_choose_writer(next, to);
    record_set_state(next, r->cfg.self, REGION_OFFLINE, r->io.wall_ms(r->io.ctx));
    coordio_change(r, RULE_STEP_DOWN, next, 0, /* puts_beat= */ false);
    arena_done(&a);
}

/* For a writer whose disk is slow: to whom to hand over, or (is_near_only = false) to give the role up. */
static region_id relief_target(const struct region *r, bool is_near_only)
{
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (can_take(r, &r->rec->regions[i]) && health_is_fit(r, id) &&
            region_now(r) >= r->members[id].spared_until_us &&
            (!is_near_only || (is_near(r, id) && (r->health.failed_mask & record_mask(id)) == 0))) {
            return id;
        }
    }
    return 0;
}

/* A hand-over because of the disk has come to nothing, and nobody else is there for another: what is held
 * goes to whoever gets the role, rather than into this log once more. */
static bool try_step_down(struct region *r, region_id failed)
{
    uint64_t before = r->health.failed_mask;
    r->health.failed_mask |= record_mask(failed);
    bool is_last = r->hold_rule == RULE_DISK_SLOW && r->health.is_slow &&
                   relief_target(r, /* is_near_only= */ true) == 0;
    region_id to = is_last ? relief_target(r, /* is_near_only= */ false) : 0;
    r->health.failed_mask = before;
    if (to != 0) {
        step_down(r, to);
    }
    return to != 0;
}

static bool try_rollback(struct region *r)
{
    if (r->role != ROLE_HOLDING || !lsn_block_is_left(r)) {
        return false;
    }
    region_id to = r->rec->transfer_to;
    bool is_late = region_now(r) - r->hold_since_us >= ms(r->cfg.timers.transfer_ms);
    if (!is_late && !coordio_is_expired(r, to) && !coordio_is_stopped(r, to) &&
        !is_too_far_behind(r, to)) {
        return false;
    }
    if (try_step_down(r, to)) {
        return true;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    r->claim_from = r->cfg.self;
    r->claim_rule = RULE_ROLLBACK;
    r->detect_ms = 0;
    r->wait_ms = decide_clamp_ms(region_now(r) - r->hold_since_us);
    estimate_loss(r, 0);
    next->generation = record_generation_top(next) + 1;
    begin_epoch(r, &a, next, RULE_ROLLBACK, /* is_lossy= */ false);
    if (next->regions[0].id == to) {
        record_prefer(next, r->cfg.self); /* the order asked for goes with the change that failed */
    }
    coordio_change(r, RULE_ROLLBACK, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

static void hand_over(struct region *r, region_id to, enum rule rule)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    next->phase = PHASE_TRANSFER;
    next->transfer_to = to;
    next->transfer_deadline_wall_ms = r->io.wall_ms(r->io.ctx) + (int64_t)r->cfg.timers.transfer_ms;
    r->proposed_rule = rule;
    r->proposed_until_ms = next->transfer_deadline_wall_ms;
    coordio_change(r, rule, next, 0, /* puts_beat= */ false);
    arena_done(&a);
}

static bool try_drain(struct region *r)
{
    if (!r->is_draining || r->rec->phase != PHASE_OPEN) {
        return false;
    }
    region_id to = drain_target(r, /* must_be_fit= */ true);
    to = to != 0 ? to : drain_target(r, /* must_be_fit= */ false);
    if (to != 0) {
        hand_over(r, to, RULE_DRAIN);
    }
    return to != 0;
}

static bool try_relieve(struct region *r)
{
    enum rule rule = health_wants_relief(r);
    if (rule == 0 || r->rec->phase != PHASE_OPEN) {
        return false;
    }
    region_id to = relief_target(r, /* is_near_only= */ true);
    if (to != 0) {
        hand_over(r, to, rule);
    } else if (rule == RULE_DISK_SLOW && r->health.failed_mask != 0 &&
               region_now(r) - r->role_since_us >= 2 * ms(r->cfg.timers.beat_ms)) {
        /* By now the others have been matched in this epoch, and none of them is near. */
        to = relief_target(r, /* is_near_only= */ false);
        if (to != 0) {
            step_down(r, to);
        }
    }
    return to != 0;
}

/* ---- the writer looks after the others ---- */

static unsigned count_bits(uint64_t mask)
{
    unsigned n = 0;
    for (; mask != 0; mask &= mask - 1) {
        n++;
    }
    return n;
}

/* Dynamic quorum: with three or more regions a minority may leave Q by itself. */
static bool is_minority_of_q(const struct region *r, region_id id)
{
    const struct account_record *rec = r->rec;
    unsigned left = count_bits(rec->q_mask & ~record_mask(id));
    return record_write_level(rec) == CONSISTENCY_STRONG && rec->region_count >= 3 &&
           left >= rec->region_count / 2 + 1;
}

bool decide_may_evict(const struct region *r, region_id id)
{
    return r->rec->auto_failover || is_minority_of_q(r, id);
}

/* Until when a region is known to have heard us: what it says by itself proves only the way from it. */
static usec answered_until_us(const struct region *r, region_id id, const struct repl_lag *lag)
{
    usec at =
        r->members[id].answered_us > lag->acked_us ? r->members[id].answered_us : lag->acked_us;
    at = at > r->role_since_us ? at : r->role_since_us;
    return at > r->awake_since_us ? at : r->awake_since_us;
}

/* At Strong writes wait for a region that has not answered for so long that its read lease is over: it
 * serves nothing, and nobody has to wait for it any longer. */
static bool holds_up(const struct region *r, const struct repl_lag *lag, usec answered_us)
{
    const struct region_timers *t = &r->cfg.timers;
    return record_write_level(r->rec) == CONSISTENCY_STRONG && lag->since_us != 0 &&
           region_now(r) >= lease_expired_at(answered_us, t->read_lease_ms, t->wait_margin_ms);
}

/* For how long a region has lacked its oldest missing entry, as far as this process was there to see and
 * the region could be reached: one that was cut off has not been slow. */
static usec lacking_us(const struct region *r, region_id id, const struct repl_lag *lag)
{
    usec since = lag->since_us > r->role_since_us ? lag->since_us : r->role_since_us;
    since = since > r->members[id].answering_us ? since : r->members[id].answering_us;
    since = since > r->awake_since_us ? since : r->awake_since_us;
    return lag->since_us == 0 ? 0 : region_now(r) - since;
}

/* At Strong every write waits for the slowest region of Q. One that is alive and takes longer to store
 * an entry than a healthy disk ever does is left behind, when it alone is slow. */
static bool is_slow_peer(const struct region *r, region_id id, const struct repl_lag *lag)
{
    const struct region_timers *t = &r->cfg.timers;
    usec limit = ms(t->slow_commit_ms);
    /* Whoever says itself that its disk is slow needs no proof: the writer that was, for instance. */
    usec patience = r->members[id].is_disk_slow ? limit / SAID_SLOW : limit;
    bool is_answering = region_now(r) - r->members[id].pong_us <= ms(t->read_lease_ms);
    if (!is_answering || !is_minority_of_q(r, id) || lacking_us(r, id, lag) <= patience ||
        disk_health_waits(&r->health.disk, region_now(r), limit / 2) ||
        disk_health_was_slow(&r->health.disk, region_now(r), t->slow_for_ms)) {
        return false;
    }
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id other = r->rec->regions[i].id;
        if (other == id || other == r->cfg.self || (r->rec->q_mask & record_mask(other)) == 0) {
            continue;
        }
        struct repl_lag theirs;
        repl_lag(r->repl, other, &theirs);
        if (r->members[other].is_disk_slow || lacking_us(r, other, &theirs) > limit / 2) {
            return false; /* writes would wait all the same */
        }
    }
    return true;
}

static enum rule evict_rule(const struct region *r, region_id id)
{
    if (coordio_is_stopped(r, id)) {
        return RULE_EVICT_STOPPED;
    }
    if (coordio_is_expired(r, id)) {
        return RULE_EVICT_EXPIRED;
    }
    struct repl_lag lag;
    repl_lag(r->repl, id, &lag);
    usec answered = answered_until_us(r, id, &lag);
    if (holds_up(r, &lag, answered)) {
        return RULE_EVICT_HOLDS_UP;
    }
    if (is_slow_peer(r, id, &lag)) {
        return RULE_EVICT_SLOW;
    }
    bool is_silent = region_now(r) - answered >= UNREACHABLE_LEASES * ms(r->cfg.timers.lease_ms);
    return is_silent ? RULE_EVICT_SILENT : (enum rule)0;
}

static bool try_evict(struct region *r)
{
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id == r->cfg.self || g->state != REGION_ONLINE_READ) {
            continue;
        }
        enum rule rule = evict_rule(r, g->id);
        if (rule == 0 || !decide_may_evict(r, g->id)) {
            continue;
        }
        struct arena a;
        arena_init(&a);
        struct account_record *next = decide_next_record(r, &a);
        record_set_state(next, g->id, REGION_OFFLINE, r->io.wall_ms(r->io.ctx));
        if (next->transfer_to == g->id) {
            arena_done(&a);
            continue; /* the roll-back comes first */
        }
        r->evicting |= record_mask(g->id); /* no read lease from here on */
        if (rule == RULE_EVICT_SLOW) {
            r->members[g->id].slow_until_us = region_now(r) + health_rest_us(r);
        }
        coordio_change(r, rule, next, 0, /* puts_beat= */ false);
        arena_done(&a);
        return true;
    }
    return false;
}

/* An eviction was proposed, its outcome is unknown, and its reason is gone. It could still be
 * executed, so that read leases cannot be given again before the record has moved on. */
static bool try_keep(struct region *r)
{
    if (r->evicting == 0) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    coordio_change(r, RULE_KEEP, decide_next_record(r, &a), 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

/* Lag of a recovering region small for long enough? */
static bool is_stable(struct region *r, region_id id, const struct repl_lag *lag)
{
    struct member *m = &r->members[id];
    usec now = region_now(r);
    bool is_too_slow = record_write_level(r->rec) == CONSISTENCY_STRONG &&
                       (now < m->slow_until_us || m->is_disk_slow);
    bool ok = coordio_is_alive(r, id) && m->wants_online && m->generation == r->rec->generation &&
              repl_link_is_up(r->repl, id) && lag->is_streaming && !lag->needs_copy &&
              !is_too_slow &&
              (lag->since_us == 0 || now - lag->since_us < ms(r->cfg.timers.lag_small_ms));
    if (!ok) {
        m->lag_ok_since_us = 0;
    } else if (m->lag_ok_since_us == 0) {
        m->lag_ok_since_us = now;
    }
    return ok && now - m->lag_ok_since_us >= ms(r->cfg.timers.rejoin_stable_ms);
}

void decide_drop_joining(struct region *r)
{
    r->joining = 0;
    region_update_masks(r);
}

/* What a region must have before the record calls it online, by the level that writes keep. */
static bool has_what_it_needs(const struct region *r, uint64_t bit, const struct repl_lag *lag)
{
    if (record_write_level(r->rec) == CONSISTENCY_STRONG) {
        return lag->has_acked;
    }
    struct repl_staleness s;
    repl_staleness_all(r->repl, bit, &s);
    uint64_t ops_max = repl_mode(r->repl)->staleness_ops;
    return lag->has_metadata && (ops_max == 0 || (s.is_known && s.ops <= ops_max));
}

/* From the moment it joins, acknowledgements wait for it; once it has all that was acknowledged
 * without it, the record says so. */
static bool try_admit(struct region *r)
{
    usec now = region_now(r);
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id == r->cfg.self || (g->state != REGION_RECOVERING && g->state != REGION_SEEDING)) {
            continue;
        }
        struct member *m = &r->members[g->id];
        uint64_t bit = record_mask(g->id);
        struct repl_lag lag;
        repl_lag(r->repl, g->id, &lag);
        bool stable = is_stable(r, g->id, &lag);
        if ((r->joining & bit) == 0) {
            if (stable && r->joining == 0) {
                r->joining |= bit;
                r->joining_rev = 0;
                m->join_since_us = now;
                region_update_masks(r);
            }
            continue;
        }
        bool was_proposed = r->joining_rev == r->rec_rev;
        if (!was_proposed &&
            (m->lag_ok_since_us == 0 || now - m->join_since_us >= ms(JOIN_TIMEOUT_MS))) {
            m->lag_ok_since_us = 0;
            parts_tell_blocked(r, g->id);
            decide_drop_joining(r);
            continue;
        }
        bool has_all = has_what_it_needs(r, bit, &lag) && !parts_block_admission(r, g->id);
        if (!has_all || (m->lag_ok_since_us == 0 && !was_proposed)) {
            continue;
        }
        struct arena a;
        arena_init(&a);
        struct account_record *next = decide_next_record(r, &a);
        record_set_state(next, g->id, REGION_ONLINE_READ, r->io.wall_ms(r->io.ctx));
        record_region(next, g->id)->needs_full_copy = false;
        record_region(next, g->id)->unsent_ops = 0;
        next->q_mask |= bit;
        r->joining_rev = r->rec_rev; /* may be executed at any time from now on */
        coordio_change(r, RULE_ADMIT, next, 0, /* puts_beat= */ false);
        arena_done(&a);
        return true;
    }
    return false;
}

static bool try_level(struct region *r)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    bool is_due = levels_finish(r, next);
    if (is_due) {
        coordio_change(r, RULE_LEVEL, next, 0, /* puts_beat= */ false);
    }
    arena_done(&a);
    return is_due;
}

static bool try_extend(struct region *r)
{
    if (r->rec->lsn_limit - repl_tail_max(r->repl) >= LSN_BLOCK / 2 || !lsn_block_is_left(r)) {
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

/* ---- what each region says of itself ---- */

static bool try_recover(struct region *r)
{
    const struct record_region *self = region_self(r);
    if (r->role != ROLE_OFFLINE || self == NULL || self->state != REGION_OFFLINE ||
        self->is_forced_offline || r->rec->writer == r->cfg.self) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    record_set_state(next, r->cfg.self, REGION_RECOVERING, r->io.wall_ms(r->io.ctx));
    coordio_change(r, RULE_RECOVER, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

static bool try_report(struct region *r)
{
    const struct record_region *self = region_self(r);
    if (r->rec->phase != PHASE_OPEN || self == NULL) {
        return false;
    }
    bool same_endpoint = r->cfg.endpoint[0] == 0 || strcmp(r->cfg.endpoint, self->endpoint) == 0;
    bool same_addr = r->cfg.peer_addr[0] == 0 || strcmp(r->cfg.peer_addr, self->peer_addr) == 0;
    if (same_endpoint && same_addr && self->incarnation == r->cfg.incarnation) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_region *g = record_region(next, r->cfg.self);
    ASSERT(g != NULL);
    if (!same_endpoint) {
        decide_copy_text(g->endpoint, sizeof(g->endpoint), r->cfg.endpoint);
    }
    if (!same_addr) {
        decide_copy_text(g->peer_addr, sizeof(g->peer_addr), r->cfg.peer_addr);
    }
    coordio_change(r, RULE_REPORT, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}

void decide_tick(struct region *r)
{
    if (r->rec == NULL || r->change.ticket != 0 || region_self(r) == NULL ||
        r->role == ROLE_FENCED || region_now(r) < r->next_change_us || !r->is_synced) {
        return;
    }
    switch ((enum region_role)r->role) {
    case ROLE_WRITER:
        if (region_lease_is_fresh(r) &&
            (try_extend(r) || try_evict(r) || try_keep(r) || try_drain(r) || try_relieve(r) ||
             try_admit(r) || (r->rec->is_level_changing && try_level(r)) ||
             members_finish_removal(r) || members_spare_log(r))) {
            return;
        }
        break;
    case ROLE_HOLDING:
        if (try_rollback(r)) {
            return;
        }
        break;
    case ROLE_TAKING:
        if (try_take(r) || try_claim(r)) {
            return;
        }
        break;
    case ROLE_PROMOTING:
        if (!try_open(r)) {
            (void)parts_decide(r);
        }
        return;
    case ROLE_READER:
        if (try_claim(r) || try_yield(r)) {
            return;
        }
        break;
    case ROLE_OFFLINE:
        (void)try_recover(r);
        return;
    case ROLE_RECOVERING:
        if (try_claim(r)) {
            return;
        }
        break;
    case ROLE_STARTING:
    case ROLE_FENCED:
    case ROLE_COUNT:
        return;
    }
    if (r->part_ctl_count > 0 || r->rec->partition_failover) {
        if (parts_decide(r)) {
            return;
        }
    }
    (void)try_report(r);
}
