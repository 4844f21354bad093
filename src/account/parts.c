/* Partitions that another region writes than the account's writer: one small role machine per row of
 * the record. Specification: doc/design/0007-partition-failover.md.
 *
 *   record ---> role of each row (table `partition`) ---> mode of the partition in src/repl
 *   role, progress, heartbeats ---> decisions ---> changes of the record, one at a time
 *
 * Everything about one partition here has its counterpart for the whole account in region.c and
 * decide.c, and rests on the same facts: a heartbeat that succeeds proves what the record was, and a
 * role is only ever taken from a record that was seen. Here: rows, roles, modes, rounds; leases and views
 * are in parts_lease.c, decisions in parts_decide.c, admissions in parts_admit.c. */
#include "account/parts_int.h"
#include "base/contract.h"
#include "base/fsm.h"
#include "base/mem.h"

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
    bool is_over = o->generation > o->holder_generation || !parts_is_online(r->rec, o->holder);
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
            c->row_rev = r->rec_rev;
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
            c->lease_from_us = 0;
        }
        if (o->phase == PHASE_PROMOTING) {
            c->lease_from_us = 0;
        } else if (c->lease_from_us == 0) {
            c->lease_from_us = region_next_question(r);
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

/* Epochs that lost something of this partition, by epoch. */
static void add_loss(struct repl_mode *m, const struct record_override *o)
{
    if (o->lossy_epoch == 0 || m->lossy_count == REPL_LOSSY_MAX) {
        return;
    }
    m->own_loss = (struct repl_loss){o->lossy_epoch, o->lossy_version};
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
    m.token_version = parts_token_version(r, c, o);
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

/* Entries that the writer before had by its last heartbeat and this region has not. 0 also where the partition was not
 * among those of which it said something. */
static uint64_t loss_of(const struct region *r, const struct part_ctl *c, const struct partition *p)
{
    const struct beat_lags *lags = &r->members[c->claim_from].said.lags;
    uint64_t has = p != NULL ? repl_tail(p).ord : 0;
    for (size_t i = 0; i < lags->count; i++) {
        if (lags->of[i].pid == c->pid && lags->of[i].ord > has) {
            return lags->of[i].ord - has;
        }
    }
    return 0;
}

/* Others may hold read leases that the writer before us gave them. */
static void opened(struct region *r, struct part_ctl *c, const struct record_override *o)
{
    usec now = region_now(r);
    bool is_other = o->opened.is_lossy && c->claim_from != 0 && c->claim_from != r->cfg.self;
    uint64_t lost = is_other ? loss_of(r, c, parts_part(r, c)) : 0;
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        if (id != r->cfg.self && id != c->claim_from) {
            r->members[id].grant_us = now;
        }
    }
    c->is_opening = false;
    c->near_since_us = 0;
    r->part_openings++;
    struct partition *p = parts_part(r, c);
    if (p != NULL) {
        repl_open_epoch_part(p);
    }
    region_event(r, EVENT_PARTITION, o->opened.rule,
                 "partition=%llu epoch=%llu generation=%llu from_region=%u to_region=%u "
                 "detect_ms=%u wait_ms=%u promote_ms=%u lossy=%s lost_operations_estimate=%llu "
                 "reason=\"%s\"",
                 (unsigned long long)o->pid, (unsigned long long)o->epoch,
                 (unsigned long long)o->generation, c->claim_from, r->cfg.self, o->opened.detect_ms,
                 o->opened.wait_ms, o->opened.promote_ms, o->opened.is_lossy ? "true" : "false",
                 (unsigned long long)lost, o->opened.reason);
}

/* Takes the role that the record gives, and acts it out. */
static void step(struct region *r, struct part_ctl *c, const struct repl_mode *common)
{
    const struct record_override *o = parts_row(r, c);
    struct step s = {.r = r, .c = c, .o = o};
    int before = c->role;
    generation g = c->generation;
    const struct fsm_row *row = fsm_step(&machine, &c->role, 0, &s, NULL);
    c->rule = row->no;
    contract_trace("partition", (unsigned)row->no, (unsigned)c->role);
    bool has_opened = parts_acts_as_writer(c) && c->epoch != o->epoch;
    c->generation = o->generation;
    c->epoch = parts_acts_as_writer(c) ? o->epoch : 0;
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
    struct partition *p = parts_part(r, c);
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
        struct partition *p = parts_part(r, c);
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
    parts_update_masks(r);
    parts_publish(r);
}

void parts_update_masks(struct region *r)
{
    if (r->part_ctl_count == 0) {
        return;
    }
    uint64_t online_mask = record_online_mask(r->rec) | r->joining | parts_promised(r);
    uint64_t strong_mask = region_strong_mask(r);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        struct part_ctl *c = r->part_ctls[i];
        const struct repl_mode *now = repl_part_mode(r->repl, c->pid);
        if (!parts_acts_as_writer(c) ||
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
        if (parts_acts_as_writer(r->part_ctls[i])) {
            return true;
        }
    }
    return false;
}

/* ---- rounds ---- */

bool parts_on_transfer_end(struct region *r, region_id from, const struct msg *m)
{
    struct part_ctl *c =
        m->tail_count == 1 && m->tails[0].pid != 0 ? parts_ctl(r, m->tails[0].pid) : NULL;
    if (c == NULL) {
        return false;
    }
    const struct record_override *o = parts_row(r, c);
    if (c->role == PROLE_TAKING && from == o->writer && m->generation == o->generation) {
        c->take_at = m->tails[0].place;
        c->take_generation = m->generation;
    }
    return true;
}

static void pull_tick(struct region *r, struct part_ctl *c, usec now)
{
    struct partition *p = parts_part(r, c);
    if (c->role != PROLE_PROMOTING || c->is_opening || p == NULL || !repl_is_sealed_part(p) ||
        !repl_has_docs(p)) {
        return;
    }
    if (c->pull_from_us == 0) {
        c->pull_from_us = now;
        c->pull_sent_us = 0;
    }
    if (c->pull_sent_us == 0 || now - c->pull_sent_us >= ms(PULL_RETRY_MS)) {
        c->pull_sent_us = now;
        repl_pull_part(p, coordio_alive_mask(r));
    }
}

static void hold_tick(struct region *r, struct part_ctl *c, usec now)
{
    struct partition *p = parts_part(r, c);
    if (c->role == PROLE_HOLDING && p != NULL && repl_is_quiet_part(p) &&
        !write_has_pending(r, c->pid) &&
        region_end_is_due(r, now, &c->end_sent_us, &c->end_count)) {
        repl_send_transfer_end_part(p, parts_row(r, c)->transfer_to);
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
        const struct record_override *o = parts_row(r, c);
        const struct repl_mode *m = repl_part_mode(r->repl, c->pid);
        ASSERT(repl_has_part_mode(r->repl, c->pid));
        ASSERT(parts_acts_as_writer(c) == (m->kind == REPL_WRITER));
        ASSERT((c->role == PROLE_PROMOTING) == (m->kind == REPL_SEALED));
        if (parts_acts_as_writer(c)) {
            ASSERT(o->writer == r->cfg.self && o->incarnation == r->cfg.incarnation);
            ASSERT(m->generation == o->generation && m->epoch == o->epoch);
            ASSERT(c->pid != 0);
        }
    }
}
