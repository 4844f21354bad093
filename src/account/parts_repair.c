/* Partitions that cannot be read in a region that does not write them (rules 361 and 362).
 *
 * src/repl wipes and copies a partition only while the record has a row for it: the row says who has all
 * of it, whoever becomes the account's writer meanwhile. So the damaged region puts a row that leaves
 * everything as it is, writer, generation and epoch, and the account's writer takes it out again once
 * every region says that it is sound. The reign never changes, and nobody notices but the region itself. */
#include "account/parts_int.h"

static bool is_reader(const struct region *r)
{
    return r->role == ROLE_READER || r->role == ROLE_RECOVERING;
}

/* At Strong writes wait for a region that is being copied to until it leaves Q for being slow, which takes
 * a third one. */
static bool would_stall(const struct account_record *rec)
{
    return (record_write_level(rec) == CONSISTENCY_STRONG ||
            record_lease_level(rec) == CONSISTENCY_STRONG) &&
           rec->region_count < 3;
}

/* The writer has beaten since the damage here was found, so that it has had the time to say that it cannot
 * read the partition either. */
static bool has_heard_writer(struct region *r)
{
    usec now = region_now(r);
    r->repair_since_us = r->repair_since_us != 0 ? r->repair_since_us : now;
    return coordio_is_alive(r, r->rec->writer) &&
           r->members[r->rec->writer].seen_us > r->repair_since_us;
}

static const struct partition *find_damaged(const struct region *r)
{
    for (const struct partition *p = repl_next_part(r->repl, NULL); p != NULL;
         p = repl_next_part(r->repl, p)) {
        pid id = repl_part_id(p);
        if (repl_needs_row(p) && record_override(r->rec, id) == NULL &&
            !parts_says_unsound(&r->members[r->rec->writer], id)) {
            return p;
        }
    }
    return NULL;
}

bool parts_ask_repair(struct region *r)
{
    const struct account_record *rec = r->rec;
    if (repl_corrupt_count(r->repl) == 0 || !rec->partition_failover || rec->phase != PHASE_OPEN ||
        !is_reader(r)) {
        r->repair_since_us = 0;
        return false;
    }
    if (!has_heard_writer(r) || would_stall(rec) || rec->override_count == RECORD_OVERRIDES_MAX) {
        return false;
    }
    const struct partition *p = find_damaged(r);
    if (p == NULL) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    struct record_override *o = record_override_make(next, repl_part_id(p));
    ASSERT(o != NULL);
    o->opened.rule = RULE_PART_REPAIR;
    coordio_change(r, RULE_PART_REPAIR, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    region_event(r, EVENT_PARTITION, RULE_PART_REPAIR,
                 "partition=%llu what=\"cannot be read here: to be copied from region %u\"",
                 (unsigned long long)repl_part_id(p), rec->writer);
    return true;
}

/* By what they said after they knew the row: a beat from before may not know of the damage yet. */
static bool all_are_sound(const struct region *r, const struct part_ctl *c)
{
    const struct partition *p = repl_find(r->repl, c->pid);
    if (p == NULL || !repl_is_sound(p)) {
        return false;
    }
    for (size_t i = 0; i < r->rec->region_count; i++) {
        region_id id = r->rec->regions[i].id;
        const struct member *m = &r->members[id];
        bool counts = parts_is_online(r->rec, id) || coordio_is_alive(r, id);
        if (id != r->cfg.self && counts &&
            (m->rec_rev < c->row_rev || parts_says_unsound(m, c->pid))) {
            return false;
        }
    }
    return true;
}

bool parts_end_repair(struct region *r, const struct part_ctl *c, const struct record_override *o)
{
    bool is_as_account = o->writer == r->rec->writer && o->phase == PHASE_OPEN &&
                         o->generation == r->rec->generation && o->epoch == r->rec->epoch;
    if (r->role != ROLE_WRITER || c->role != PROLE_WRITER || r->rec->phase != PHASE_OPEN ||
        !is_as_account || o->opened.rule != RULE_PART_REPAIR || !parts_lease_is_fresh(r, c) ||
        !all_are_sound(r, c)) {
        return false;
    }
    struct arena a;
    arena_init(&a);
    struct account_record *next = decide_next_record(r, &a);
    record_override_remove(next, c->pid);
    coordio_change(r, RULE_PART_WHOLE, next, 0, /* puts_beat= */ false);
    arena_done(&a);
    return true;
}
