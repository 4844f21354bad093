/* Partitions with a writer of their own: how long a reign may still run, what may be acknowledged and
 * read under it, and which token version is shown. See parts.c. */
#include "account/parts_int.h"
#include "base/bug.h"
#include "base/contract.h"
#include "repl/lease.h"

/* Shown once the partition's writer is known to know it: see members_token_version. */
uint64_t parts_token_version(const struct region *r, struct part_ctl *c,
                             const struct record_override *o)
{
    const struct member *m = &r->members[o->writer];
    bool knows = parts_acts_as_writer(c) || (m->rec_rev >= r->token_rev && m->incarnation != 0 &&
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
        if (parts_row(r, c)->writer == id && c->token_shown < r->rec->token_version) {
            return true;
        }
    }
    return false;
}

static usec lease_end(const struct region *r)
{
    return r->good_us == 0
               ? 0
               : lease_until(r->good_us, r->cfg.timers.lease_ms, r->cfg.timers.stop_margin_ms);
}

bool parts_lease_is_fresh(const struct region *r, const struct part_ctl *c)
{
    return parts_acts_as_writer(c) && r->good_rev >= c->since_rev && region_now(r) < lease_end(r);
}

bool parts_may_lease(const struct region *r)
{
    bool is_writer = false;
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        if (parts_acts_as_writer(c)) {
            is_writer = true;
            bool may_be_taken = c->role == PROLE_HOLDING && c->end_sent_us != 0;
            if (may_be_taken || !parts_lease_is_fresh(r, c)) {
                return false;
            }
        }
    }
    return is_writer;
}

bool parts_may_have_opened(const struct region *r)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        if (r->part_ctls[i]->role == PROLE_PROMOTING && r->part_ctls[i]->is_opening) {
            return true;
        }
    }
    return false;
}

/* What the process that writes the partition has granted since it has opened it. */
static usec read_until(const struct region *r, const struct part_ctl *c)
{
    const struct region_timers *t = &r->cfg.timers;
    const struct record_override *o = parts_row(r, c);
    usec until = r->part_read_until_us[o->writer];
    bool counts = c->lease_from_us != 0 &&
                  until >= lease_until(c->lease_from_us, t->read_lease_ms, t->stop_margin_ms) &&
                  !coordio_has_ended(r, o->writer, o->incarnation);
    return counts ? until : 0;
}

void parts_publish(struct region *r)
{
    atomic_store_explicit(&r->view.writes_parts, parts_writes_any(r), memory_order_relaxed);
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        struct partition *p = parts_part(r, c);
        if (p == NULL) {
            continue;
        }
        usec until = 0;
        if (parts_acts_as_writer(c)) {
            until = r->good_rev >= c->since_rev ? lease_end(r) : 0;
        } else if (c->role == PROLE_FOLLOWING || c->role == PROLE_TAKING) {
            until = read_until(r, c);
        }
        atomic_store_explicit(&repl_part_view(p)->fresh_until_us, until, memory_order_release);
    }
}

bool parts_holder_is_over(const struct region *r, const struct part_ctl *c,
                          const struct record_override *o)
{
    if (o->holder == r->cfg.self || (o->phase == PHASE_PROMOTING && o->incarnation != 0)) {
        return true; /* we have stopped, or whoever claimed had waited */
    }
    if (coordio_has_ended(r, o->holder, o->holder_incarnation)) {
        return true;
    }
    const struct record_epoch *reign = region_reign(r);
    if (reign != NULL && reign->writer == o->holder && !vouch_is_over(r)) {
        return false; /* it may not know of the row, and write the partition as the account's writer */
    }
    if (c->over_us == 0) {
        return coordio_is_expired(r, o->holder);
    }
    const struct member *m = &r->members[o->holder];
    if (BUG(BUG_PART_NO_LEASE_WAIT) ||
        (m->incarnation == o->holder_incarnation && m->rec_rev >= c->over_rev)) {
        return true; /* it knows, and has stopped */
    }
    return coordio_lease_has_passed(r, o->holder, c->over_us);
}
