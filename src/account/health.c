/* Gray failures. See health.h.
 *
 * What follows from them:
 *   slow disk, a healthy region is there    graceful change to it (RULE_DISK_SLOW), which needs nothing
 *                                           of this disk any more; and to the next one if that fails
 *   every one of them failed, still slow    the role is given up (RULE_STEP_DOWN): what others lack
 *                                           comes into the conflict feed
 *   metadata cannot be read, same           graceful change (RULE_METADATA), tried again; not whole
 *                                           any more, the region does not get the role back
 *   the writer is lost again, unconfirmed   waits until failover_hold_ms after the last such failover
 *   clock far from its peers'               alarm only */
#include "account/health.h"

#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/contract.h"

enum {
    SLOW_REST = 10, /* x slow_for_ms: see health_rest_us */
    SLOW_NOW = 4,   /* of slow_commit_ms a part: a disk that was slow so lately is slow now */
};

/* ---- disk ---- */

static void begin_probe(struct disk_health *d, uint64_t ticket, usec now)
{
    d->has_probe = true;
    d->probe = ticket;
    d->probe_us = now;
}

void disk_health_submit(struct disk_health *d, uint64_t ticket, usec now)
{
    d->last = ticket;
    if (!d->has_probe) {
        begin_probe(d, ticket, now);
    }
}

static void note_slow(struct disk_health *d, usec now)
{
    if (d->slow_since_us == 0) {
        d->slow_since_us = d->probe_us;
    }
    d->slow_last_us = now;
    d->fast_run = 0;
}

void disk_health_done(struct disk_health *d, uint64_t ticket, usec now, unsigned slow_commit_ms)
{
    if (!d->has_probe || ticket < d->probe) {
        return;
    }
    d->has_probe = false;
    if (now - d->probe_us > ms(slow_commit_ms)) {
        note_slow(d, now);
    } else if (++d->fast_run >= DISK_FAST_RUN) {
        d->slow_since_us = d->slow_last_us = 0;
    }
    if (d->last > ticket) {
        begin_probe(d, d->last, now);
    }
}

usec disk_health_slow_since(struct disk_health *d, usec now, unsigned slow_commit_ms)
{
    if (d->has_probe && now - d->probe_us > ms(slow_commit_ms)) {
        note_slow(d, now);
    } else if (d->slow_since_us != 0 && now - d->slow_last_us > ms(slow_commit_ms) * 3 / 2) {
        d->slow_since_us = 0;
    }
    return d->slow_since_us;
}

bool disk_health_waits(const struct disk_health *d, usec now, usec longer_than_us)
{
    return d->has_probe && now - d->probe_us > longer_than_us;
}

bool disk_health_was_slow(const struct disk_health *d, usec now, unsigned within_ms)
{
    return d->slow_last_us != 0 && now - d->slow_last_us < ms(within_ms);
}

/* ---- clocks ---- */

void clock_watch_note(struct clock_watch *c, int64_t theirs_ms, int64_t ours_ms)
{
    c->offset_ms[c->count % CLOCK_SAMPLES] = theirs_ms - ours_ms;
    c->count++;
}

bool clock_watch_offset(const struct clock_watch *c, int64_t *ret_ms)
{
    if (c->count < CLOCK_SAMPLES_MIN) {
        return false;
    }
    size_t n = c->count < CLOCK_SAMPLES ? c->count : CLOCK_SAMPLES;
    int64_t best = c->offset_ms[0];
    for (size_t i = 1; i < n; i++) {
        best = c->offset_ms[i] > best ? c->offset_ms[i] : best;
    }
    *ret_ms = best;
    return true;
}

static int64_t magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

int64_t clock_ahead_ms(int64_t *offsets_ms, size_t n)
{
    if (n == 0) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) { /* a handful: insertion sort */
        int64_t v = offsets_ms[i];
        size_t k = i;
        for (; k > 0 && offsets_ms[k - 1] > v; k--) {
            offsets_ms[k] = offsets_ms[k - 1];
        }
        offsets_ms[k] = v;
    }
    int64_t low = offsets_ms[(n - 1) / 2];
    int64_t high = offsets_ms[n / 2];
    return -(magnitude(low) <= magnitude(high) ? low : high);
}

/* ---- one region ---- */

void health_on_beat(struct region *r, region_id id, int64_t their_wall_ms)
{
    if (id != r->cfg.self && their_wall_ms != 0) {
        clock_watch_note(&r->health.clocks[id], their_wall_ms, r->io.wall_ms(r->io.ctx));
    }
}

/* A failover whose writer had not confirmably stopped may have been a link that flaps: the next one
 * waits. Ages are taken once, from the wall clock when the record is first seen, and kept on ours. */
void health_on_record(struct region *r, bool is_first)
{
    struct health *h = &r->health;
    for (size_t i = r->rec->epoch_count; i > 0; i--) {
        const struct record_epoch *e = &r->rec->epochs[i - 1];
        if (e->epoch <= h->loss_epoch) {
            return;
        }
        if (e->opened.rule != RULE_CLAIM_EXPIRED) {
            continue;
        }
        int64_t age_ms = is_first ? r->io.wall_ms(r->io.ctx) - e->opened.wall_ms : 0;
        int64_t hold_ms = (int64_t)r->cfg.timers.failover_hold_ms;
        age_ms = age_ms < 0 ? 0 : age_ms > hold_ms ? hold_ms : age_ms;
        usec now = region_now(r);
        usec age = (usec)age_ms * 1000;
        h->loss_epoch = e->epoch;
        h->hold_until_us = now + ms(r->cfg.timers.failover_hold_ms) - age;
        h->is_hold_told = false;
        return;
    }
}

bool health_may_fail_over(struct region *r)
{
    struct health *h = &r->health;
    if (region_now(r) >= h->hold_until_us || r->rec->phase == PHASE_PROMOTING) {
        h->is_holding = false;
        return true;
    }
    h->is_holding = true;
    if (!h->is_hold_told) {
        h->is_hold_told = true;
        contract_trace("rule", RULE_HOLD_BACK, (unsigned)r->role);
        region_event(
            r, EVENT_HELD_BACK, RULE_HOLD_BACK,
            "writer=%u last_such_epoch=%llu wait_ms=%llu hint=\"take the region offline to "
            "fail over now\"",
            r->rec->writer, (unsigned long long)h->loss_epoch,
            (unsigned long long)((h->hold_until_us - region_now(r)) / 1000));
    }
    return false;
}

void health_opened(struct region *r)
{
    struct health *h = &r->health;
    h->is_holding = false;
    bool is_failed = r->claim_rule == RULE_ROLLBACK && r->hold_rule == RULE_DISK_SLOW;
    h->failed_mask = is_failed ? h->failed_mask | record_mask(r->hold_to) : 0;
}

/* Whoever loses the role while its disk is slow does not get it back because another disk is slow: else it
 * would go to and fro. */
void health_on_writer(struct region *r, region_id old)
{
    struct member *m = &r->members[old];
    if (old != 0 && m->is_disk_slow) {
        m->spared_until_us = region_now(r) + health_rest_us(r);
    }
}

bool health_is_fit(const struct region *r, region_id id)
{
    const struct member *m = &r->members[id];
    return coordio_is_alive(r, id) && m->is_whole && !m->is_disk_slow && !m->is_disk_low;
}

usec health_rest_us(const struct region *r)
{
    return ms(r->cfg.timers.slow_for_ms) * SLOW_REST;
}

enum rule health_wants_relief(const struct region *r)
{
    const struct health *h = &r->health;
    const struct partition *metadata = repl_find(r->repl, 0);
    if (metadata != NULL && repl_is_corrupt(metadata) && r->rec->auto_failover) {
        usec since = region_now(r) - r->role_since_us;
        return since >= ms(r->cfg.timers.slow_for_ms) ? RULE_METADATA : (enum rule)0;
    }
    if (!h->is_slow || !r->rec->auto_failover) {
        return (enum rule)0;
    }
    bool is_due =
        h->failed_mask != 0 || region_now(r) - r->role_since_us >= ms(r->cfg.timers.slow_for_ms);
    return is_due ? RULE_DISK_SLOW : (enum rule)0;
}

static void disk_tick(struct region *r, usec now)
{
    struct health *h = &r->health;
    const struct region_timers *t = &r->cfg.timers;
    usec since = disk_health_slow_since(&h->disk, now, t->slow_commit_ms);
    /* Nor is one slow that was, for once, and nobody has written since. */
    bool is_now = h->is_slow || disk_health_was_slow(&h->disk, now, t->slow_commit_ms / SLOW_NOW);
    bool is_slow = since != 0 && now - since >= ms(t->slow_for_ms) && is_now;
    if (is_slow != h->is_slow) {
        h->is_slow = is_slow;
        h->failed_mask = is_slow ? h->failed_mask : 0;
        region_event(r, EVENT_DISK_SLOW, RULE_DISK_SLOW, "slow=%s commits_over_ms=%u for_ms=%u",
                     is_slow ? "true" : "false", t->slow_commit_ms, t->slow_for_ms);
    }
}

static void clock_tick(struct region *r)
{
    struct health *h = &r->health;
    int64_t offsets[REGIONS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        int64_t offset = 0;
        if (id != r->cfg.self && coordio_is_alive(r, id) &&
            clock_watch_offset(&h->clocks[id], &offset)) {
            offsets[n++] = offset;
        }
    }
    h->clock_ahead_ms = clock_ahead_ms(offsets, n);
    int64_t limit = h->is_clock_off ? CLOCK_DRIFT_MAX_MS * 4 / 5 : CLOCK_DRIFT_MAX_MS;
    bool is_off = magnitude(h->clock_ahead_ms) > limit;
    int64_t ahead = is_off ? h->clock_ahead_ms : 0;
    atomic_store_explicit(&r->view.clock_ahead_ms, ahead, memory_order_relaxed);
    repl_set_clock_ahead(r->repl, ahead);
    if (is_off != h->is_clock_off) {
        h->is_clock_off = is_off;
        region_event(r, EVENT_CLOCK_DRIFT, 0, "off=%s ahead_ms=%lld peers=%zu limit_ms=%d",
                     is_off ? "true" : "false", (long long)h->clock_ahead_ms, n,
                     CLOCK_DRIFT_MAX_MS);
    }
}

void health_tick(struct region *r)
{
    usec now = region_now(r);
    if (r->rec == NULL || r->role == ROLE_FENCED) {
        return;
    }
    disk_tick(r, now);
    if (now >= r->health.next_clock_us) {
        r->health.next_clock_us = now + ms(r->cfg.timers.beat_ms);
        clock_tick(r);
    }
}

void region_set_disk_low(struct region *r, bool is_low)
{
    r->health.is_disk_low = is_low;
}
