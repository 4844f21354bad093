/* The writer's half of changes of the set of regions: takes out what was to be removed, and decides
 * for whom the log is kept no longer. */
#include "account/region_int.h"
#include "base/contract.h"

/* The token version that may be shown here. A change of the set of regions raises the record's, and
 * the writer may be the last to see it: what it answers meanwhile still bears the old one. A client
 * that had been shown the new one elsewhere would lose the place of its own write. So it is shown
 * once the writer's heartbeat says that it knows; whoever opened an epoch knew what was then. */
uint64_t members_token_version(struct region *r)
{
    const struct account_record *rec = r->rec;
    const struct record_epoch *reign = region_reign(r);
    uint64_t shown = reign != NULL ? reign->token_version : rec->token_version;
    const struct member *writer = &r->members[rec->writer];
    if (region_acts_as_writer(r) ||
        (writer->rec_rev >= r->token_rev && writer->incarnation == rec->writer_incarnation)) {
        shown = rec->token_version;
    }
    r->token_shown = shown > r->token_shown ? shown : r->token_shown;
    ASSERT(r->token_shown <= rec->token_version);
    return r->token_shown;
}

/* Not before nothing can be read there any more under a lease of ours, and it knows that it leaves
 * or cannot be asked. */
static bool has_drained(const struct region *r, const struct record_region *g)
{
    const struct member *m = &r->members[g->id];
    bool knows = m->out_rev != 0 && m->rec_rev >= m->out_rev;
    if ((coordio_is_alive(r, g->id) && !knows) || record_overrides_name(r->rec, g->id)) {
        return false;
    }
    return !region_may_hold_lease(r, g->id, region_now(r));
}

bool members_finish_removal(struct region *r)
{
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->state != REGION_DRAINING || !has_drained(r, g)) {
            continue;
        }
        struct arena a;
        arena_init(&a);
        struct account_record *next = decide_next_record(r, &a);
        record_remove_region(next, g->id);
        coordio_change(r, RULE_REMOVED, next, 0, /* puts_beat= */ false);
        arena_done(&a);
        return true;
    }
    return false;
}

/* An online region may be left behind for the log's sake. With automatic failover off nobody takes a dead
 * reader offline, and below BoundedStaleness nothing else ends what is written for it: the disk would. */
static bool may_leave_behind(const struct region *r, region_id id)
{
    return decide_may_evict(r, id) || record_write_level(r->rec) < CONSISTENCY_BOUNDED_STALENESS;
}

/* The log is kept for the regions that lack it, up to a budget; then the one that keeps most of it
 * must come back by a copy of all data, so that the log need not wait for it. */
bool members_spare_log(struct region *r)
{
    if (r->cfg.log_size_max == 0 || repl_log_size(r->repl) <= r->cfg.log_size_max) {
        return false;
    }
    region_id worst = 0;
    uint64_t worst_ops = 0;
    for (size_t i = 0; i < r->rec->region_count; i++) {
        const struct record_region *g = &r->rec->regions[i];
        if (g->id == r->cfg.self || g->needs_full_copy) {
            continue;
        }
        struct repl_lag lag;
        repl_lag(r->repl, g->id, &lag);
        bool is_online = g->state == REGION_ONLINE_READ;
        if (lag.ops > worst_ops && (!is_online || may_leave_behind(r, g->id))) {
            worst = g->id;
            worst_ops = lag.ops;
        }
    }
    /* Entries on their way to regions that keep up are no reason. */
    if (worst == 0 || worst_ops < r->cfg.log_ops_min ||
        repl_log_kept_for(r->repl, worst) <= r->cfg.log_size_max / 2) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_region *g = record_region(next, worst);
    ASSERT(g != NULL);
    g->needs_full_copy = true;
    if (g->state == REGION_ONLINE_READ) {
        if (next->transfer_to == worst) {
            arena_done(&a);
            return false; /* the roll-back comes first */
        }
        record_set_state(next, worst, REGION_OFFLINE, r->io.wall_ms(r->io.ctx));
        r->evicting |= record_mask(worst); /* no read lease from here on */
    }
    coordio_change(r, RULE_FULL_COPY, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}
