/* Partitions that another region writes than the account's writer: one small role machine per row of
 * the record. Specification: doc/design/0007-partition-failover.md.
 *
 *   record ---> role of each row (table `partition`) ---> mode of the partition in src/repl
 *   role, progress, heartbeats ---> decisions ---> changes of the record, one at a time
 *
 * Everything about one partition here has its counterpart for the whole account in region.c and
 * decide.c, and rests on the same facts: a heartbeat that succeeds proves what the record was, and a
 * role is only ever taken from a record that was seen. */
#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "base/fsm.h"
#include "base/mem.h"
#include "repl/lease.h"

enum { FORGET_MS = 5000 }; /* a row of a partition that the account's writer does not know */

/* ---- rows ---- */

struct part_ctl *parts_ctl(const struct region *r, pid p)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        if (r->part_ctls[i]->pid == p) {
            return r->part_ctls[i];
        }
    }
    return NULL;
}

static const struct record_override *row_of(const struct region *r, const struct part_ctl *c)
{
    const struct record_override *o = record_override(r->rec, c->pid);
    ASSERT(o != NULL);
    return o;
}

static struct partition *part_of(const struct region *r, const struct part_ctl *c)
{
    return repl_find(r->repl, c->pid);
}

static bool acts_as_writer(const struct part_ctl *c)
{
    return c->role == PROLE_WRITER || c->role == PROLE_HOLDING;
}

static bool is_online(const struct account_record *rec, region_id id)
{
    const struct record_region *g = record_region_const(rec, id);
    return g != NULL && (g->state == REGION_ONLINE_READ || g->state == REGION_ONLINE_WRITE);
}

/* ---- the table ---- */

struct step {
    struct region *r;
    struct part_ctl *c;
    const struct record_override *o;
};

static const struct step *of(const void *ctx)
{
    return (const struct step *)ctx;
}

static bool takes_no_part(const void *ctx, const void *event)
{
    UNUSED(event);
    int role = of(ctx)->r->role;
    return role == ROLE_STARTING || role == ROLE_OFFLINE || role == ROLE_FENCED;
}

/* A region that is not online follows, whatever a row says: it has to ask anew. */
static bool only_follows(const void *ctx, const void *event)
{
    UNUSED(event);
    return of(ctx)->r->role == ROLE_RECOVERING;
}

static bool names_us(const struct step *s)
{
    return s->o->writer == s->r->cfg.self && s->o->incarnation == s->r->cfg.incarnation;
}

static bool is_same_reign(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct step *s = of(ctx);
    return names_us(s) && s->o->phase == PHASE_OPEN && s->o->generation == s->c->generation &&
           s->o->epoch == s->c->epoch;
}

static bool is_open_for_us(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct step *s = of(ctx);
    return names_us(s) && s->o->phase == PHASE_OPEN && s->o->epoch > s->c->epoch;
}

static bool is_handing_over(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct step *s = of(ctx);
    return names_us(s) && s->o->phase == PHASE_TRANSFER && s->o->generation == s->c->generation &&
           s->o->epoch == s->c->epoch;
}

static bool is_chosen(const void *ctx, const void *event)
{
    UNUSED(event);
    return names_us(of(ctx)) && of(ctx)->o->phase == PHASE_PROMOTING;
}

static bool is_same_promotion(const void *ctx, const void *event)
{
    return is_chosen(ctx, event) && of(ctx)->o->generation == of(ctx)->c->generation;
}

static bool is_to_take(const void *ctx, const void *event)
{
    UNUSED(event);
    const struct step *s = of(ctx);
    return s->o->phase == PHASE_TRANSFER && s->o->transfer_to == s->r->cfg.self;
}

static const char *const role_names[PROLE_COUNT] = {
    [PROLE_IDLE] = "IDLE",     [PROLE_FOLLOWING] = "FOLLOWING", [PROLE_PROMOTING] = "PROMOTING",
    [PROLE_WRITER] = "WRITER", [PROLE_HOLDING] = "HOLDING",     [PROLE_TAKING] = "TAKING",
};

static const char *const event_names[] = {"RECORD"};

/* clang-format off */
static const struct fsm_row rows[] = {
    FSM_ROW(600, FSM_ANY,         0, takes_no_part,     PROLE_IDLE,      fsm_no_action, "the region takes no part")
    FSM_ROW(601, FSM_ANY,         0, only_follows,      PROLE_FOLLOWING, fsm_no_action, "the region is catching up")
    FSM_ROW(610, PROLE_WRITER,    0, is_same_reign,     FSM_SAME,        fsm_no_action, "still the partition's writer")
    FSM_ROW(611, PROLE_WRITER,    0, is_handing_over,   PROLE_HOLDING,   fsm_no_action, "the partition goes to another region: holding its writes")
    FSM_ROW(612, PROLE_HOLDING,   0, is_handing_over,   FSM_SAME,        fsm_no_action, "still handing over")
    FSM_ROW(613, PROLE_HOLDING,   0, is_open_for_us,    PROLE_WRITER,    fsm_no_action, "the other region did not take the partition")
    FSM_ROW(620, PROLE_PROMOTING, 0, is_same_promotion, FSM_SAME,        fsm_no_action, "still promoting")
    FSM_ROW(621, PROLE_PROMOTING, 0, is_open_for_us,    PROLE_WRITER,    fsm_no_action, "opened as the partition's writer")
    FSM_ROW(622, FSM_ANY,         0, is_chosen,         PROLE_PROMOTING, fsm_no_action, "chosen as the partition's writer: sealing its log")
    FSM_ROW(630, PROLE_TAKING,    0, is_open_for_us,    PROLE_WRITER,    fsm_no_action, "took the partition over")
    FSM_ROW(631, FSM_ANY,         0, is_to_take,        PROLE_TAKING,    fsm_no_action, "the partition comes here")
    FSM_ROW(640, FSM_ANY,         0, fsm_always,        PROLE_FOLLOWING, fsm_no_action, "another region writes it, or nobody yet")
};
/* clang-format on */

static const struct fsm machine = {
    .name = "partition",
    .state_names = role_names,
    .state_count = PROLE_COUNT,
    .event_names = event_names,
    .event_count = (int)ARRAY_COUNT(event_names),
    .rows = rows,
    .row_count = (int)ARRAY_COUNT(rows),
    .initial = PROLE_IDLE,
};

const struct fsm *parts_fsm(void)
{
    return &machine;
}

/* ---- what a new record says ---- */

/* When did we learn that the holder's reign is over: the partition was taken from it, or its region
 * is not online any more? */
static void note_over(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    bool is_over = o->generation > o->holder_generation || !is_online(r->rec, o->holder);
    if (!is_over) {
        c->over_us = 0;
        c->over_rev = 0;
    } else if (c->over_us == 0) {
        c->over_us = region_now(r);
        c->over_rev = r->rec_rev;
    }
}

static void remove_ctl(struct region *r, size_t i)
{
    mem_free(r->part_ctls[i]);
    r->part_ctl_count--;
    r->part_ctls[i] = r->part_ctls[r->part_ctl_count];
}

/* A row that leaves the partition with us for the time being (a hand-over begins) changes nothing about
 * the reign: we go on under the account's. */
static void begin_ctl(const struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct repl_mode *m = repl_mode(r->repl);
    if (region_acts_as_writer(r) && o->writer == r->cfg.self &&
        o->incarnation == r->cfg.incarnation && o->generation == m->generation &&
        o->epoch == m->epoch) {
        c->role = PROLE_WRITER;
        c->generation = o->generation;
        c->epoch = o->epoch;
    }
}

void parts_on_record(struct region *r, const struct account_record *old)
{
    const struct account_record *rec = r->rec;
    for (size_t i = 0; i < r->part_ctl_count;) {
        if (record_override(rec, r->part_ctls[i]->pid) == NULL) {
            remove_ctl(r, i); /* its mode goes with parts_update */
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < rec->override_count; i++) {
        const struct record_override *o = &rec->overrides[i];
        struct part_ctl *c = parts_ctl(r, o->pid);
        if (c == NULL) {
            c = MEM_NEW(struct part_ctl);
            c->pid = o->pid;
            c->role = PROLE_IDLE;
            /* What was shown here so far was known to the account's writer, who knew of the row
             * before the partition's new writer wrote anything. */
            c->token_shown = old != NULL ? r->token_shown : 0;
            ASSERT(r->part_ctl_count < ARRAY_COUNT(r->part_ctls));
            r->part_ctls[r->part_ctl_count++] = c;
            begin_ctl(r, c, o);
        }
        if (c->seen_generation != o->generation) {
            c->seen_generation = o->generation;
            c->since_rev = o->generation == rec->generation ? r->reign_rev : r->rec_rev;
            c->claim_ready_us = 0;
            c->take_generation = 0;
        }
        note_over(r, c, o);
    }
}

void parts_free(struct region *r)
{
    while (r->part_ctl_count > 0) {
        remove_ctl(r, r->part_ctl_count - 1);
    }
}

/* Shown once the partition's writer is known to know it: see members_token_version. */
static uint64_t token_version(const struct region *r, struct part_ctl *c,
                              const struct record_override *o)
{
    const struct member *m = &r->members[o->writer];
    bool knows = acts_as_writer(c) || (m->rec_rev >= r->token_rev && m->incarnation != 0 &&
                                       m->incarnation == o->incarnation);
    uint64_t shown = knows ? r->rec->token_version : o->token_version;
    c->token_shown = shown > c->token_shown ? shown : c->token_shown;
    ASSERT(c->token_shown <= r->rec->token_version);
    return c->token_shown;
}

bool parts_await_version(const struct region *r, region_id id)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        if (row_of(r, c)->writer == id && c->token_shown < r->rec->token_version) {
            return true;
        }
    }
    return false;
}

/* Epochs that lost something of this partition, by epoch. */
static void add_loss(struct repl_mode *m, const struct record_override *o)
{
    if (o->lossy_epoch == 0 || m->lossy_count == REPL_LOSSY_MAX) {
        return;
    }
    size_t i = m->lossy_count++;
    while (i > 0 && m->lossy[i - 1].epoch > o->lossy_epoch) {
        m->lossy[i] = m->lossy[i - 1];
        i--;
    }
    m->lossy[i].epoch = o->lossy_epoch;
    m->lossy[i].version = o->lossy_version;
}

static void fill_mode(struct region *r, struct part_ctl *c, const struct record_override *o,
                      const struct repl_mode *common, struct repl_mode *ret)
{
    struct repl_mode m = *common;
    m.kind = REPL_IDLE;
    m.generation = o->generation;
    m.writer = o->writer;
    m.record_epoch = o->epoch;
    m.start_lsn = o->start_lsn;
    m.epoch = 0;
    m.is_holding = false;
    m.is_serving = r->role != ROLE_RECOVERING;
    m.token_version = token_version(r, c, o);
    add_loss(&m, o);
    switch ((enum part_role)c->role) {
    case PROLE_IDLE:
    case PROLE_COUNT:
        m.is_serving = false;
        break;
    case PROLE_FOLLOWING:
    case PROLE_TAKING:
        m.kind = REPL_READER;
        m.is_taking = c->role == PROLE_TAKING;
        break;
    case PROLE_PROMOTING:
        m.kind = REPL_SEALED;
        break;
    case PROLE_WRITER:
    case PROLE_HOLDING:
        m.kind = REPL_WRITER;
        m.is_holding = c->role == PROLE_HOLDING;
        m.epoch = o->epoch;
        break;
    }
    *ret = m;
}

/* Others may hold read leases that the writer before us gave them. */
static void opened(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    usec now = region_now(r);
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        if (id != r->cfg.self && id != c->claim_from) {
            r->members[id].grant_us = now;
        }
    }
    c->is_opening = false;
    c->near_since_us = 0;
    r->part_openings++;
    struct partition *p = part_of(r, c);
    if (p != NULL) {
        repl_open_epoch_part(p);
    }
    region_event(r, EVENT_PARTITION, o->rule,
                 "partition=%llu epoch=%llu generation=%llu from_region=%u to_region=%u "
                 "detect_ms=%u wait_ms=%u promote_ms=%u lossy=%s reason=\"%s\"",
                 (unsigned long long)o->pid, (unsigned long long)o->epoch,
                 (unsigned long long)o->generation, c->claim_from, r->cfg.self, o->detect_ms,
                 o->wait_ms, o->promote_ms, o->is_lossy ? "true" : "false", o->reason);
}

/* Takes the role that the record gives, and acts it out. */
static void step(struct region *r, struct part_ctl *c, const struct repl_mode *common)
{
    const struct record_override *o = row_of(r, c);
    struct step s = {.r = r, .c = c, .o = o};
    int before = c->role;
    generation g = c->generation;
    const struct fsm_row *row = fsm_step(&machine, &c->role, 0, &s, NULL);
    c->rule = row->no;
    contract_trace("partition", (unsigned)row->no, (unsigned)c->role);
    bool has_opened = acts_as_writer(c) && c->epoch != o->epoch;
    c->generation = o->generation;
    c->epoch = acts_as_writer(c) ? o->epoch : 0;
    if (c->role != before || g != c->generation) {
        c->role_since_us = region_now(r);
        c->end_sent_us = 0;
        c->near_since_us = 0;
        c->pull_from_us = 0;
        c->is_opening = false;
        c->claim_us = c->role == PROLE_PROMOTING ? region_now(r) : c->claim_us;
    }
    if (c->role != before) {
        region_event(r, EVENT_PARTITION, (uint32_t)row->no,
                     "partition=%llu from=%s to=%s generation=%llu why=\"%s\"",
                     (unsigned long long)c->pid, role_names[before], role_names[c->role],
                     (unsigned long long)o->generation, row->text);
    }
    struct repl_mode m;
    fill_mode(r, c, o, common, &m);
    struct partition *p = part_of(r, c);
    bool is_new = repl_set_part_mode(r->repl, c->pid, &m);
    if (is_new && m.kind != REPL_WRITER) {
        write_end_part(r, c->pid);
    }
    if (is_new && m.kind == REPL_SEALED && p != NULL) {
        repl_seal_part(p);
    }
    if (has_opened) {
        opened(r, c, o);
    }
}

void parts_prepare(struct region *r)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        if (repl_has_part_mode(r->repl, c->pid)) {
            continue;
        }
        struct repl_mode as_now = *repl_mode(r->repl);
        struct partition *p = part_of(r, c);
        if (p != NULL) {
            atomic_store_explicit(&repl_part_view(p)->fresh_until_us, 0, memory_order_release);
        }
        (void)repl_set_part_mode(r->repl, c->pid, &as_now);
    }
}

static void clear_mode(void *ctx, pid p)
{
    struct region *r = (struct region *)ctx;
    if (parts_ctl(r, p) == NULL && repl_clear_part_mode(r->repl, p) &&
        repl_mode(r->repl)->kind != REPL_WRITER) {
        write_end_part(r, p);
    }
}

void parts_update(struct region *r, const struct repl_mode *common)
{
    repl_each_part_mode(r->repl, clear_mode, r);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        step(r, r->part_ctls[i], common);
    }
    if (r->part_ctl_count > 0) {
        parts_update_masks(r, record_online_mask(r->rec) | r->joining, region_strong_mask(r));
    }
    parts_publish(r);
}

void parts_update_masks(struct region *r, uint64_t online_mask, uint64_t strong_mask)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        struct part_ctl *c = r->part_ctls[i];
        const struct repl_mode *now = repl_part_mode(r->repl, c->pid);
        if (!acts_as_writer(c) ||
            (now->online_mask == online_mask && now->strong_mask == strong_mask)) {
            continue;
        }
        struct repl_mode m = *now;
        m.online_mask = online_mask;
        m.strong_mask = strong_mask;
        (void)repl_set_part_mode(r->repl, c->pid, &m);
    }
}

bool parts_writes_any(const struct region *r)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        if (acts_as_writer(r->part_ctls[i])) {
            return true;
        }
    }
    return false;
}

/* ---- leases ---- */

static usec lease_end(const struct region *r)
{
    return r->good_us == 0
               ? 0
               : lease_until(r->good_us, r->cfg.timers.lease_ms, r->cfg.timers.stop_margin_ms);
}

bool parts_lease_is_fresh(const struct region *r, const struct part_ctl *c)
{
    return acts_as_writer(c) && r->good_rev >= c->since_rev && region_now(r) < lease_end(r);
}

bool parts_may_lease(const struct region *r)
{
    bool is_writer = false;
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        if (acts_as_writer(c)) {
            is_writer = true;
            if (!parts_lease_is_fresh(r, c)) {
                return false;
            }
        }
    }
    return is_writer;
}

void parts_publish(struct region *r)
{
    atomic_store_explicit(&r->view.writes_parts, parts_writes_any(r), memory_order_relaxed);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        struct partition *p = part_of(r, c);
        if (p == NULL) {
            continue;
        }
        usec until = 0;
        if (acts_as_writer(c)) {
            until = r->good_rev >= c->since_rev ? lease_end(r) : 0;
        } else if (c->role == PROLE_FOLLOWING || c->role == PROLE_TAKING) {
            until = r->part_read_until_us[row_of(r, c)->writer];
        }
        atomic_store_explicit(&repl_part_view(p)->fresh_until_us, until, memory_order_release);
    }
}

static bool holder_is_over(const struct region *r, const struct part_ctl *c,
                           const struct record_override *o)
{
    if (o->holder == r->cfg.self || (o->phase == PHASE_PROMOTING && o->incarnation != 0)) {
        return true; /* we have stopped, or whoever claimed had waited */
    }
    const struct member *m = &r->members[o->holder];
    if ((m->stopped != 0 && m->stopped == o->holder_incarnation) ||
        (m->incarnation != 0 && m->incarnation != o->holder_incarnation)) {
        return true; /* its stop is confirmed, or another process runs there */
    }
    if (c->over_us == 0) {
        return coordio_is_expired(r, o->holder);
    }
    if (BUG(BUG_PART_NO_LEASE_WAIT) ||
        (m->incarnation == o->holder_incarnation && m->rec_rev >= c->over_rev)) {
        return true; /* it knows, and has stopped */
    }
    unsigned lease = m->lease_ms > r->cfg.timers.lease_ms ? m->lease_ms : r->cfg.timers.lease_ms;
    return region_now(r) >= lease_expired_at(c->over_us, lease, r->cfg.timers.wait_margin_ms);
}

/* ---- who can have it ---- */

static bool says_unsound(const struct member *m, pid p)
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
    if (!is_online(rec, id) ||
        (rec->level >= CONSISTENCY_BOUNDED_STALENESS && (rec->q_mask & record_mask(id)) == 0)) {
        return false;
    }
    if (id == r->cfg.self) {
        const struct partition *part = repl_find(r->repl, p);
        return part != NULL && repl_is_sound(part);
    }
    return coordio_is_alive(r, id) && !says_unsound(&r->members[id], p) &&
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

bool parts_block_admission(const struct region *r, region_id id)
{
    if (record_write_level(r->rec) < CONSISTENCY_BOUNDED_STALENESS &&
        record_lease_level(r->rec) < CONSISTENCY_BOUNDED_STALENESS) {
        return false;
    }
    for (size_t i = 0; i < r->rec->override_count; i++) {
        const struct record_override *o = &r->rec->overrides[i];
        bool is_ours = o->writer == r->cfg.self && o->phase == PHASE_OPEN &&
                       o->incarnation == r->cfg.incarnation;
        if (!is_ours && (o->holder != id || o->phase != PHASE_OPEN)) {
            return true;
        }
    }
    return false;
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
    generation top = record_generation_top(next);
    struct record_override *o = next_row(next, p);
    o->phase = PHASE_PROMOTING;
    o->writer = to;
    o->incarnation = 0;
    o->transfer_to = 0;
    o->generation = top + 1;
    o->rule = (uint32_t)rule;
    coordio_change(r, rule, next, 0, /* puts_beat= */ false);
    arena_done(&a);
}

static void claim(struct region *r, struct part_ctl *c, enum rule rule)
{
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    generation top = record_generation_top(next);
    struct record_override *o = next_row(next, c->pid);
    region_id old = o->writer;
    const struct member *m = &r->members[old];
    usec now = region_now(r);
    c->claim_rule = rule;
    c->claim_from = o->holder;
    c->detect_ms = m->seen_us != 0 && old != r->cfg.self ? decide_clamp_ms(now - m->seen_us) : 0;
    c->wait_ms = decide_clamp_ms(now - c->claim_ready_us);
    o->phase = PHASE_PROMOTING;
    o->writer = r->cfg.self;
    o->incarnation = r->cfg.incarnation;
    o->transfer_to = 0;
    o->generation = top + 1;
    bool is_expired =
        rule == RULE_PART_CLAIM && is_online(r->rec, old) && !coordio_is_stopped(r, old);
    coordio_change(r, rule, next, is_expired ? old : 0, /* puts_beat= */ true);
    arena_done(&a);
}

/* This process opens an epoch of the partition. */
static void begin_epoch(struct region *r, struct part_ctl *c, struct account_record *next,
                        enum rule why, bool is_lossy)
{
    epoch top = record_epoch_top(next);
    struct record_override *o = next_row(next, c->pid);
    const struct partition *p = part_of(r, c);
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
    o->is_lossy = is_lossy;
    o->rule = (uint32_t)why;
    o->wall_ms = r->io.wall_ms(r->io.ctx);
    decide_copy_text(o->reason, sizeof(o->reason), decide_rule_text(why));
    o->detect_ms = c->detect_ms;
    o->wait_ms = c->wait_ms;
    o->promote_ms =
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
    if (!is_candidate(r, r->cfg.self, c->pid) || !holder_is_over(r, c, o)) {
        return (enum rule)0;
    }
    if (o->writer == r->cfg.self) {
        return RULE_PART_CLAIM_OWN;
    }
    if (!is_online(r->rec, o->writer)) {
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
                    : better_candidates(r, c->pid) * 2 * ms(r->cfg.timers.beat_ms);
    if (now - c->claim_ready_us < turn) {
        return false;
    }
    claim(r, c, rule);
    return true;
}

/* Chosen, but it cannot be used here. */
static bool try_pass_on(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct partition *p = part_of(r, c);
    if (o->writer != r->cfg.self || acts_as_writer(c) || c->role == PROLE_IDLE || p == NULL ||
        repl_is_sound(p) || !is_online(r->rec, r->cfg.self)) {
        return false;
    }
    region_id to = best_region(r, c->pid);
    if (to == 0) {
        return false;
    }
    choose(r, c->pid, to, RULE_PART_PASS_ON);
    return true;
}

static uint64_t live_peers(const struct region *r)
{
    uint64_t live = 0;
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        if (id != r->cfg.self && coordio_is_alive(r, id)) {
            live |= record_mask(id);
        }
    }
    return live;
}

static bool try_open(struct region *r, struct part_ctl *c)
{
    struct partition *p = part_of(r, c);
    if (c->role != PROLE_PROMOTING || p == NULL || !repl_is_sealed_part(p) || !repl_has_log(p) ||
        !lsn_block_is_left(r)) {
        return false; /* without its log: passed on as soon as there is somebody */
    }
    if (!c->is_opening) {
        bool is_late = c->pull_from_us != 0 && region_now(r) - c->pull_from_us >= ms(PULL_MS);
        if (c->pull_from_us == 0 || (!is_late && !repl_pull_done_part(p, live_peers(r)))) {
            return false;
        }
        repl_pull_close_part(p);
        c->is_opening = true;
    }
    if (!repl_is_quiet_part(p)) {
        return false; /* what was pulled last is not durable yet */
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    uint64_t others = repl_mode(r->repl)->all_mask & ~record_mask(r->cfg.self);
    enum rule why = c->claim_rule != 0 ? c->claim_rule : RULE_PART_OPEN;
    /* A log that another process wrote may be further than ours, or part from ours where a peer that
     * was pulled could not tell. */
    bool is_lossy = row_of(r, c)->holder != r->cfg.self || !repl_pull_complete_part(p, others);
    begin_epoch(r, c, next, why, is_lossy);
    coordio_change(r, RULE_PART_OPEN, next, 0, /* puts_beat= */ true);
    arena_done(&a);
    return true;
}

static bool try_take(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    const struct partition *p = part_of(r, c);
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
    if (c->role != PROLE_HOLDING || !lsn_block_is_left(r) || !parts_lease_is_fresh(r, c)) {
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
    const struct partition *p = part_of(r, c);
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
    if (r->role != ROLE_WRITER || !region_lease_is_fresh(r) || part_of(r, c) != NULL || !is_gone) {
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
    const struct partition *p = part_of(r, c);
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
    if (try_give_away(r)) {
        return true;
    }
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        struct part_ctl *c = r->part_ctls[i];
        const struct record_override *o = row_of(r, c);
        if (try_forget(r, c) || try_extend(r, c) || try_rollback(r, c, o) || try_take(r, c, o) ||
            try_open(r, c) || try_claim(r, c, o) || try_pass_on(r, c, o) || try_return(r, c, o)) {
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
        if (id != r->cfg.self && is_online(r->rec, id) && says_unsound(&r->members[id], p)) {
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

/* ---- rounds ---- */

bool parts_on_transfer_end(struct region *r, region_id from, const struct msg *m)
{
    struct part_ctl *c =
        m->tail_count == 1 && m->tails[0].pid != 0 ? parts_ctl(r, m->tails[0].pid) : NULL;
    if (c == NULL) {
        return false;
    }
    const struct record_override *o = row_of(r, c);
    if (c->role == PROLE_TAKING && from == o->writer && m->generation == o->generation) {
        c->take_at = m->tails[0].place;
        c->take_generation = m->generation;
    }
    return true;
}

static void pull_tick(struct region *r, struct part_ctl *c, usec now)
{
    struct partition *p = part_of(r, c);
    if (c->role != PROLE_PROMOTING || c->is_opening || p == NULL || !repl_is_sealed_part(p) ||
        !repl_has_log(p)) {
        return;
    }
    if (c->pull_from_us == 0) {
        c->pull_from_us = now;
        c->pull_sent_us = 0;
    }
    if (c->pull_sent_us == 0 || now - c->pull_sent_us >= ms(PULL_RETRY_MS)) {
        c->pull_sent_us = now;
        repl_pull_part(p, live_peers(r));
    }
}

static void hold_tick(struct region *r, struct part_ctl *c, usec now)
{
    struct partition *p = part_of(r, c);
    if (c->role == PROLE_HOLDING && p != NULL && repl_is_quiet_part(p) &&
        !write_has_pending(r, c->pid) &&
        (c->end_sent_us == 0 || now - c->end_sent_us >= ms(r->cfg.timers.beat_ms))) {
        c->end_sent_us = now;
        repl_send_transfer_end_part(p, row_of(r, c)->transfer_to);
    }
}

void parts_tick(struct region *r)
{
    usec now = region_now(r);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        pull_tick(r, r->part_ctls[i], now);
        hold_tick(r, r->part_ctls[i], now);
    }
}

void parts_check(const struct region *r)
{
    ASSERT(r->part_ctl_count <= RECORD_OVERRIDES_MAX);
    ASSERT(r->rec == NULL || r->part_ctl_count == r->rec->override_count);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        const struct record_override *o = row_of(r, c);
        const struct repl_mode *m = repl_part_mode(r->repl, c->pid);
        ASSERT(repl_has_part_mode(r->repl, c->pid));
        ASSERT(acts_as_writer(c) == (m->kind == REPL_WRITER));
        ASSERT((c->role == PROLE_PROMOTING) == (m->kind == REPL_SEALED));
        if (acts_as_writer(c)) {
            ASSERT(o->writer == r->cfg.self && o->incarnation == r->cfg.incarnation);
            ASSERT(m->generation == o->generation && m->epoch == o->epoch);
            ASSERT(c->pid != 0);
        }
    }
}
