/* Partitions with a writer of their own: what another region must have of them before the record calls it
 * online. The account's writer admits, and sees nothing of what other regions write. See parts.c. */
#include "account/parts_int.h"
#include "base/bug.h"
#include "base/contract.h"

enum { PROMISE_MS = 60000 }; /* far longer than an admission that was decided can be under way */

/* The log has not been kept for it all the time: what it has of a partition may end below what others have
 * trimmed. As a member it could take the partition over, and what it lacks would be in no log. */
static bool may_lack_log(const struct record_region *g)
{
    return g->state == REGION_SEEDING || g->needs_full_copy;
}

/* Nobody has acknowledged anything in the partition since the region's own process did, whose log it has:
 * the record would have another holder, and the admission is made on that very record. Whoever opens the
 * next epoch waits for the region like for all of Q. While the partition is being handed over, too: the
 * target may lack documents that only the region has, and taking it makes this admission fail. */
static bool has_all_of(const struct region *r, const struct record_override *o, region_id id)
{
    return o->holder == id &&
           (o->phase != PHASE_PROMOTING || !parts_says_unsound(&r->members[id], o->pid));
}

/* ---- the partition's writer says who follows it ---- */

static bool follows_us(const struct region *r, region_id id)
{
    for (size_t i = 0; i < r->part_ctl_count; i++) {
        const struct part_ctl *c = r->part_ctls[i];
        const struct partition *p = parts_part(r, c);
        const struct record_override *o = parts_row(r, c);
        if (o->writer != r->cfg.self || has_all_of(r, o, id)) {
            continue;
        }
        if (!parts_acts_as_writer(c) ||
            (p != NULL && !repl_is_near(p, id, ms(r->cfg.timers.lag_small_ms)))) {
            return false; /* no partition: its container is gone */
        }
    }
    return true;
}

uint64_t parts_promise(struct region *r)
{
    uint64_t mask = 0;
    if (!parts_writes_any(r)) {
        return 0;
    }
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id != r->cfg.self && may_lack_log(g) && follows_us(r, g->id)) {
            mask |= record_mask(g->id);
            r->members[g->id].promised_us = region_now(r);
        }
    }
    if (mask != 0) {
        region_update_masks(r); /* before anything is trimmed */
    }
    return mask;
}

uint64_t parts_promised(const struct region *r)
{
    uint64_t mask = 0;
    usec now = region_now(r);
    for (size_t i = 0; i < r->rec->region_count && !BUG(BUG_FOLLOWER_DROPPED); i++) {
        region_id id = r->rec->regions[i].id;
        usec at = r->members[id].promised_us;
        mask |= at != 0 && now - at < ms(PROMISE_MS) ? record_mask(id) : 0;
    }
    return mask;
}

/* ---- the account's writer asks ---- */

static bool is_promised(const struct region *r, const struct part_ctl *c, region_id id)
{
    const struct record_override *o = parts_row(r, c);
    const struct member *m = &r->members[o->writer];
    if (o->writer == id || has_all_of(r, o, id)) {
        return true; /* nobody has trimmed what it wrote */
    }
    if (o->writer == r->cfg.self) {
        return follows_us(r, id);
    }
    return coordio_is_alive(r, o->writer) && m->incarnation == o->incarnation &&
           m->rec_rev >= c->since_rev && m->rec_rev >= c->row_rev &&
           (m->followers & record_mask(id)) != 0;
}

/* The first row that keeps the region out; NULL = none does. */
static const struct record_override *blocking_row(const struct region *r, region_id id)
{
    bool may_lack = may_lack_log(record_region_const(r->rec, id)) && !BUG(BUG_ADMIT_UNFOLLOWED);
    for (size_t i = 0; may_lack && i < r->part_ctl_count; i++) {
        if (!is_promised(r, r->part_ctls[i], id)) {
            return parts_row(r, r->part_ctls[i]);
        }
    }
    if (record_write_level(r->rec) < CONSISTENCY_BOUNDED_STALENESS &&
        record_lease_level(r->rec) < CONSISTENCY_BOUNDED_STALENESS) {
        return NULL;
    }
    for (size_t i = 0; i < r->rec->override_count; i++) {
        const struct record_override *o = &r->rec->overrides[i];
        bool is_ours = o->writer == r->cfg.self && o->phase == PHASE_OPEN &&
                       o->incarnation == r->cfg.incarnation;
        if (!is_ours && !has_all_of(r, o, id)) {
            return o;
        }
    }
    return NULL;
}

bool parts_block_admission(const struct region *r, region_id id)
{
    return blocking_row(r, id) != NULL;
}

void parts_tell_blocked(struct region *r, region_id id)
{
    const struct record_override *o = blocking_row(r, id);
    struct member *m = &r->members[id];
    if (o == NULL || m->blocked_generation == o->generation) {
        return; /* nothing to tell, or told */
    }
    m->blocked_generation = o->generation;
    region_event(
        r, EVENT_PARTITION, RULE_ADMIT,
        "partition=%llu region=%s writer=%s what=\"not admitted before the writer says so\"",
        (unsigned long long)o->pid, record_region_const(r->rec, id)->name,
        record_region_const(r->rec, o->writer)->name);
}
