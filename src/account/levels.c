/* Changes of the account's consistency level while it runs, and read leases.
 *
 * A level is two rules: what an acknowledged write must have reached, and what a read may promise.
 * A read's promise holds only while every write was acknowledged by a rule that is at least as
 * strong. So a change goes in two steps, each one compare-and-set of the record:
 *
 *   operator  level=A, changing to B   whoever sees it: reads at the weaker, writes at the stronger
 *   writer    level=B                  once the new level is true, see level_holds()
 *
 * At any moment, and whichever of the two records a region knows, the reads it serves promise no
 * more than the writes of the one writer have kept. */
#include "account/distance.h"
#include "account/region_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "repl/lease.h"
#include "repl/staleness.h"

/* ---- the operator's step ---- */

static bool is_bounds_valid(const struct level_request *q)
{
    return q->max_staleness_ops >= 1 && q->max_staleness_ops <= STALENESS_OPS_MAX &&
           q->max_staleness_s >= STALENESS_S_MIN && q->max_staleness_s <= STALENESS_S_MAX;
}

enum err account_set_bounds(struct account_record *rec, const struct level_request *q,
                            struct errinfo *ei)
{
    struct level_request want = *q;
    if (want.max_staleness_ops == 0) {
        want.max_staleness_ops =
            rec->max_staleness_ops != 0 ? rec->max_staleness_ops : STALENESS_OPS_ADVISED;
    }
    if (want.max_staleness_s == 0) {
        want.max_staleness_s =
            rec->max_staleness_s != 0 ? rec->max_staleness_s : STALENESS_S_ADVISED;
    }
    if (!is_bounds_valid(&want)) {
        return err_set(ei, ERR_INVALID,
                       "bounded staleness takes 1 to %d operations and %d to %d seconds",
                       STALENESS_OPS_MAX, STALENESS_S_MIN, STALENESS_S_MAX);
    }
    rec->max_staleness_ops = want.max_staleness_ops;
    rec->max_staleness_s = (uint32_t)want.max_staleness_s;
    return OK;
}

bool account_bounds_are_tight(const struct account_record *rec)
{
    bool is_one = rec->region_count < 2;
    return rec->max_staleness_ops != 0 &&
           (rec->max_staleness_ops < (is_one ? STALENESS_OPS_ADVISED_ONE : STALENESS_OPS_ADVISED) ||
            rec->max_staleness_s < (is_one ? STALENESS_S_ADVISED_ONE : STALENESS_S_ADVISED));
}

bool account_warning(const struct account_record *rec, struct buf *out)
{
    struct errinfo far = {0};
    bool is_tight =
        record_lease_level(rec) == CONSISTENCY_BOUNDED_STALENESS && account_bounds_are_tight(rec);
    bool is_far = distance_check(rec, record_write_level(rec), STR(""), &far) != OK;
    if (is_tight || is_far) {
        buf_printf(out, "%s%s%s",
                   is_tight ? ACCOUNT_TIGHT_WARNING : "warning: ", is_tight && is_far ? "; " : "",
                   far.message);
    }
    return is_tight || is_far;
}

static enum err check_healthy(const struct account_record *rec, struct errinfo *ei)
{
    for (size_t i = 0; i < rec->region_count; i++) {
        const struct record_region *g = &rec->regions[i];
        if (g->state == REGION_OFFLINE || g->state == REGION_RECOVERING) {
            enum err e = err_set(ei, ERR_PRECONDITION,
                                 "region %s is %s: the level cannot be changed during an outage",
                                 g->name, region_state_name(g->state));
            err_hint(ei, "wait until it is back, or bring it back with account online");
            return e;
        }
    }
    return OK;
}

enum err account_plan_consistency(struct account_record *rec, const struct level_request *q,
                                  struct errinfo *ei)
{
    if ((unsigned)q->level >= CONSISTENCY_COUNT) {
        return err_set(ei, ERR_INVALID, "unknown consistency level");
    }
    bool has_bounds = q->max_staleness_ops != 0 || q->max_staleness_s != 0;
    if (has_bounds && q->level != CONSISTENCY_BOUNDED_STALENESS) {
        return err_set(ei, ERR_INVALID, "only BoundedStaleness has bounds, not %s",
                       consistency_name(q->level));
    }
    if (rec->is_level_changing && q->level == rec->level && !has_bounds) {
        rec->is_level_changing = false; /* called off: nothing was promised yet */
        return OK;
    }
    TRY(account_need_idle(rec, 0, ei));
    TRY(check_healthy(rec, ei));
    if (record_is_split(rec)) {
        enum err e = err_set(ei, ERR_CONFLICTING_OPERATION,
                             "a partition is written by another region than the account's");
        err_hint(ei, "wait until it has returned, or return it (account partition return)");
        return e;
    }
    if (q->level == CONSISTENCY_BOUNDED_STALENESS) {
        TRY(account_set_bounds(rec, q, ei));
    }
    rec->is_level_changing = q->level != rec->level;
    rec->level_to = q->level;
    return OK;
}

/* ---- the writer's step ---- */

/* Everything that was ever acknowledged is in every region that a strong write waits for. */
static bool has_caught_up(const struct region *r)
{
    uint64_t mask = repl_mode(r->repl)->strong_mask & ~record_mask(r->cfg.self);
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        struct repl_lag lag;
        if ((mask & record_mask(id)) == 0) {
            continue;
        }
        repl_lag(r->repl, id, &lag);
        if (!lag.has_acked) {
            return false;
        }
    }
    return true;
}

/* No region that could take over, or is about to serve Bounded reads, lacks more than K entries. */
static bool is_within_bounds(const struct region *r)
{
    struct repl_staleness worst;
    uint64_t mask = repl_mode(r->repl)->strong_mask;
    repl_staleness_all(r->repl, mask & ~record_mask(r->cfg.self), &worst);
    return worst.is_known && worst.ops <= r->rec->max_staleness_ops;
}

/* No region may go on serving reads under a lease for what the new level does not keep: it knows of
 * the change, or its lease is certainly over. */
static bool leases_are_over(const struct region *r)
{
    usec now = region_now(r);
    for (region_id id = 1; id <= REGION_ID_MAX; id++) {
        const struct member *m = &r->members[id];
        if (id != r->cfg.self && m->rec_rev < r->rec_rev && region_may_hold_lease(r, id, now)) {
            return false;
        }
    }
    return true;
}

static bool level_holds(const struct region *r)
{
    const struct account_record *rec = r->rec;
    if (rec->level_to > rec->level) {
        return rec->level_to < CONSISTENCY_BOUNDED_STALENESS || BUG(BUG_LEVEL_NO_CATCH_UP) ||
               (rec->level_to == CONSISTENCY_STRONG ? has_caught_up(r) : is_within_bounds(r));
    }
    bool is_near = rec->level_to != CONSISTENCY_BOUNDED_STALENESS || is_within_bounds(r);
    return rec->level < CONSISTENCY_BOUNDED_STALENESS || BUG(BUG_LEVEL_KEEPS_LEASES) ||
           (leases_are_over(r) && is_near);
}

bool levels_finish(const struct region *r, struct account_record *next)
{
    if (!r->rec->is_level_changing || !level_holds(r)) {
        return false;
    }
    next->is_level_changing = false;
    next->level = next->level_to;
    next->strong_since = next->level == CONSISTENCY_STRONG ? record_epoch_top(next) : 0;
    return true;
}

/* ---- read leases ---- */

bool region_may_hold_lease(const struct region *r, region_id id, usec now)
{
    const struct member *m = &r->members[id];
    if (m->grant_us == 0 || BUG(BUG_Q_SHRINK_NO_WAIT)) {
        return false;
    }
    if (m->out_rev != 0 && m->rec_rev >= m->out_rev) {
        return false; /* it knows that it is out */
    }
    if (m->stopped != 0 && m->stopped == m->incarnation) {
        return false;
    }
    return now <
           lease_expired_at(m->grant_us, r->cfg.timers.read_lease_ms, r->cfg.timers.wait_margin_ms);
}

/* Seconds of staleness that may have passed when the lease that is given now ends; a sixteenth is
 * kept back for clocks that run apart. */
static usec age_limit(const struct region *r)
{
    usec t = r->rec->max_staleness_s * UINT64_C(1000000);
    usec kept = t / 16 + ms(r->cfg.timers.read_lease_ms);
    return t > kept ? t - kept : 0;
}

/* Opened, perhaps, and not known here yet: others would take a lease of ours for that as well. */
static bool may_have_opened(const struct region *r)
{
    return (r->role == ROLE_PROMOTING && r->is_opening) || parts_may_have_opened(r);
}

/* Everything that is written here is written under a lease that holds, and nobody may have opened it
 * elsewhere: whoever takes it over counts read leases of others from when it opens. */
static bool leases_hold(const struct region *r)
{
    if (may_have_opened(r)) {
        return false;
    }
    bool may_be_taken = r->role == ROLE_HOLDING && r->end_sent_us != 0;
    if (region_acts_as_writer(r) && (may_be_taken || !region_lease_is_fresh(r))) {
        return false;
    }
    return parts_writes_any(r) ? parts_may_lease(r) : region_acts_as_writer(r);
}

bool levels_may_lease(const struct region *r, region_id to)
{
    enum consistency level = record_lease_level(r->rec);
    uint64_t bit = record_mask(to);
    if (level < CONSISTENCY_BOUNDED_STALENESS || !leases_hold(r) || (r->rec->q_mask & bit) == 0 ||
        (r->evicting & bit) != 0) {
        return false;
    }
    if (repl_mode(r->repl)->staleness_ops == 0 || BUG(BUG_LEASE_IGNORES_LAG)) {
        return true; /* Strong: writes wait for the region */
    }
    struct repl_staleness worst;
    repl_staleness_all(r->repl, bit, &worst);
    usec now = region_now(r);
    return worst.is_known && worst.has_inherited && worst.ops <= r->rec->max_staleness_ops &&
           (worst.since_us == 0 || now - worst.since_us <= age_limit(r));
}
