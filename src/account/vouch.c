/* Writing on without the coordinator, with the consent of all regions.
 *
 * A writer whose heartbeats get no answer stops when its lease ends: another region may have been chosen. It
 * may go on while every other region of the account says, each beat anew: "I hear nothing from the
 * coordinator either, know no newer record than you do, have asked for no change, and shall not take over
 * before so long." All of them, not a majority: any one may be the one that takes over.
 *
 *   writer:   |asks ............ counts until here|  margin |      as a lease of its own (repl/lease.h)
 *   others:        |vouches: does not take over ..........| wait margin, 1 %
 *
 * A region in touch with the coordinator does not vouch: the failover that is due then is not delayed. What a
 * process has promised before a restart it keeps without knowing: it takes over from nobody before a lease
 * has passed since its start, unless that one has certainly stopped. */
#include "account/region_int.h"
#include "base/bug.h"
#include "repl/lease.h"

enum {
    SILENT_BEATS = 2,    /* so many without an answer: the coordinator is away */
    LEASE_RATIO_MAX = 8, /* a writer's lease that is so many times ours is a mistake */
};

static const char *const names[] = {
    [KEEP_WRITING_AUTO] = "auto",
    [KEEP_WRITING_NO] = "no",
    [KEEP_WRITING_YES] = "yes",
};

const char *keep_writing_name(enum keep_writing k)
{
    return names[k];
}

bool keep_writing_parse(struct str name, enum keep_writing *ret)
{
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (str_eq(name, str_of(names[i]))) {
            *ret = (enum keep_writing)i;
            return true;
        }
    }
    return false;
}

static bool is_silent(const struct region *r, usec heard_us)
{
    return region_now(r) - heard_us > SILENT_BEATS * ms(r->cfg.timers.beat_ms);
}

/* ---- the writer ---- */

/* As of when all others have vouched for this reign: now, where there are none; 0 = one has not. */
static usec vouched_by_all(const struct region *r)
{
    usec first = region_now(r);
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct member *m = &r->members[r->rec->regions[i].id];
        if (r->rec->regions[i].id == r->cfg.self) {
            continue;
        }
        usec at = m->vouched_generation == r->rec->generation ? m->vouched_us : 0;
        first = at < first ? at : first;
    }
    return first;
}

static void count_votes(struct region *r)
{
    usec all = vouched_by_all(r);
    if (all > r->vouched_us) {
        r->vouched_us = all;
        region_publish_view(r);
    }
}

void vouch_tick(struct region *r)
{
    bool is_wanted = r->cfg.keep_writing == KEEP_WRITING_YES ||
                     (r->cfg.keep_writing == KEEP_WRITING_AUTO && r->rec->region_count == 1);
    if (r->role != ROLE_WRITER || r->lease_from_us == 0 || !is_silent(r, r->lease_from_us) ||
        !is_wanted) {
        return;
    }
    struct msg m = {.type = MSG_VOUCH,
                    .generation = r->rec->generation,
                    .t = region_now(r),
                    .record_rev = r->rec_rev,
                    .lease_ms = r->cfg.timers.lease_ms};
    for (size_t i = 0; i < r->rec->region_count; i++) {
        if (r->rec->regions[i].id != r->cfg.self) {
            repl_send(r->repl, r->rec->regions[i].id, &m);
        }
    }
    count_votes(r); /* nobody has to be asked where nobody else can be chosen */
}

void vouch_on_answer(struct region *r, region_id from, const struct msg *m)
{
    struct member *peer = &r->members[from];
    if (r->role != ROLE_WRITER || m->generation != r->rec->generation || m->t > region_now(r)) {
        return;
    }
    if (peer->vouched_generation != m->generation || m->t > peer->vouched_us) {
        peer->vouched_generation = m->generation;
        peer->vouched_us = m->t;
    }
    count_votes(r);
}

/* ---- the others ---- */

static bool may_vouch(const struct region *r, region_id writer, const struct msg *m)
{
    if (r->rec == NULL ||
        (r->role != ROLE_READER && r->role != ROLE_RECOVERING && r->role != ROLE_OFFLINE)) {
        return false;
    }
    bool is_newest = r->rec->writer == writer && r->rec->phase == PHASE_OPEN &&
                     r->rec->generation == m->generation && r->rec_rev <= m->record_rev;
    /* A change whose outcome is not known may still be made. */
    bool is_settled = r->change.ticket == 0 && r->unsettled_rev < r->rec_rev;
    return is_newest && is_settled && r->good_us != 0 && is_silent(r, r->good_us) &&
           m->lease_ms <= r->cfg.timers.lease_ms * LEASE_RATIO_MAX;
}

static void promise(struct region *r, unsigned lease_ms)
{
    unsigned longer = lease_ms > r->cfg.timers.lease_ms ? lease_ms : r->cfg.timers.lease_ms;
    usec until = lease_expired_at(region_now(r), longer, r->cfg.timers.wait_margin_ms);
    r->promised_until_us = until > r->promised_until_us ? until : r->promised_until_us;
}

void vouch_begin(struct region *r)
{
    promise(r, 0); /* an earlier process of this region may have */
}

void vouch_on_ask(struct region *r, region_id from, const struct msg *m)
{
    if (!may_vouch(r, from, m)) {
        return; /* silence is a no */
    }
    promise(r, m->lease_ms);
    struct msg answer = {.type = MSG_VOUCHED, .generation = m->generation, .t = m->t};
    repl_send(r->repl, from, &answer);
}

bool vouch_is_over(const struct region *r)
{
    const struct record_epoch *reign = region_reign(r);
    return reign == NULL || reign->writer == r->cfg.self || decide_has_stopped(r, reign) ||
           region_now(r) >= r->promised_until_us || BUG(BUG_PROMISE_FORGOTTEN);
}
