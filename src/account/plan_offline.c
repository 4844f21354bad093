/* Taking a region out of service, and who writes in its place (geo-semantics 10; F31). Pure, like plan.c. */
#include <stdio.h>
#include <string.h>

#include "account/region_int.h"
#include "base/contract.h"

/* What is looked at when the write region is taken out. */
struct choice {
    struct account_record *rec;
    const struct record_region *gone;
    const struct offline_request *q;
    int64_t wall_ms;
};

static const struct account_beat *beat_of(const struct choice *c, region_id id)
{
    static const struct account_beat none;
    return c->q->beats != NULL ? &c->q->beats->of[id] : &none;
}

static bool is_silent(const struct choice *c, region_id id)
{
    return beat_is_old(beat_of(c, id), c->wall_ms);
}

/* Why the region could not write even if what it lacks were given up; NULL: it could. */
static const char *why_unfit(const struct choice *c, const struct record_region *g,
                             bool may_be_silent)
{
    if (g->state != REGION_ONLINE_READ && g->state != REGION_RECOVERING) {
        return region_state_name(g->state);
    }
    if (is_silent(c, g->id) && !may_be_silent) {
        return "not heard of";
    }
    bool is_said = beat_of(c, g->id)->is_said;
    return !is_said || beat_of(c, g->id)->could_open ? NULL : "being copied to, or cleaned up";
}

static region_id writer_of_newest_epoch(const struct account_record *rec, region_id otherwise)
{
    return rec->epoch_count > 0 ? rec->epochs[rec->epoch_count - 1].writer : otherwise;
}

static region_id last_writer(const struct choice *c)
{
    return writer_of_newest_epoch(c->rec, c->gone->id);
}

/* Entries that the last writer had and the region has not, by the last heartbeats of both. */
static uint64_t loss_with(const struct choice *c, region_id id)
{
    region_id last = last_writer(c);
    uint64_t had = beat_of(c, last)->ord;
    uint64_t has = beat_of(c, id)->ord;
    return last != id && had > has ? had - has : 0;
}

/* The partition in which most of it is, by the last writer's heartbeat; NULL: it did not say. */
static const struct repl_part_lag *most_lost(const struct choice *c, region_id id)
{
    const struct beat_lags *lags = &beat_of(c, last_writer(c))->lags;
    for (size_t i = 0; i < lags->count; i++) {
        if (lags->of[i].region == id && record_override(c->rec, lags->of[i].pid) == NULL) {
            return &lags->of[i];
        }
    }
    return NULL;
}

/* The one that would lose least; 0 = none could write. */
static region_id best_unfinished(const struct choice *c)
{
    region_id best = 0;
    for (size_t i = 0; i < c->rec->region_count; i++) {
        const struct record_region *g = &c->rec->regions[i];
        if (g->id != c->gone->id && why_unfit(c, g, /* may_be_silent= */ false) == NULL &&
            (best == 0 || loss_with(c, g->id) < loss_with(c, best))) {
            best = g->id;
        }
    }
    return best;
}

/* A region that has all that must not be lost at this level, as far as the record says; 0 = none. One that
 * is not heard of may still come to take the role. */
static region_id best_finished(const struct choice *c, bool may_be_silent)
{
    uint64_t but = record_mask(c->gone->id);
    for (size_t i = 0; i < c->rec->region_count; i++) {
        const struct record_region *g = &c->rec->regions[i];
        but |= why_unfit(c, g, may_be_silent) != NULL ? record_mask(g->id) : 0;
    }
    return account_best_candidate(c->rec, but);
}

static enum err refuse(const struct choice *c, struct errinfo *ei)
{
    char list[320] = "";
    size_t n = 0;
    for (size_t i = 0; i < c->rec->region_count && n + 1 < sizeof(list); i++) {
        const struct record_region *g = &c->rec->regions[i];
        const char *why = why_unfit(c, g, /* may_be_silent= */ false);
        char what[128];
        if (g->id == c->gone->id) {
            continue;
        }
        if (why == NULL) {
            const struct repl_part_lag *most = most_lost(c, g->id);
            int at = snprintf(what, sizeof(what), "%s and lacks about %llu operations",
                              region_state_name(g->state), (unsigned long long)loss_with(c, g->id));
            if (most != NULL && at > 0 && (size_t)at < sizeof(what)) {
                (void)snprintf(what + at, sizeof(what) - (size_t)at, " (partition %llu: %llu)",
                               (unsigned long long)most->pid, (unsigned long long)most->ops);
            }
            why = what;
        }
        int more =
            snprintf(list + n, sizeof(list) - n, "%s%s is %s", n == 0 ? ": " : ", ", g->name, why);
        n += more > 0 ? (size_t)more : 0;
    }
    err_set(ei, ERR_PRECONDITION, "region %s is the only one with all acknowledged data%s",
            c->gone->name, list);
    err_hint(ei, best_unfinished(c) == 0
                     ? "bring another region online first"
                     : "bring another region online first, or repeat with --force "
                       "(\"force\": \"data-loss-accepted\") and give up what the others lack");
    return ERR_PRECONDITION;
}

/* By name, of those that could write; also one that is not heard of, it may yet come. */
static enum err named(const struct choice *c, region_id *ret, struct errinfo *ei)
{
    const struct record_region *g = record_region_by_name(c->rec, c->q->to);
    if (!c->q->accepts_loss) {
        return err_set(ei, ERR_INVALID, "a region is named only with --force");
    }
    if (g == NULL) {
        return plan_no_region(c->rec, c->q->to, ei);
    }
    if (g->id == c->gone->id) {
        return err_set(ei, ERR_INVALID, "region '" STR_FMT "' is the one that is taken out",
                       STR_ARG(c->q->to));
    }
    const char *why = why_unfit(c, g, /* may_be_silent= */ true); /* the operator knows */
    *ret = g->id;
    return why == NULL ? OK
                       : err_set(ei, ERR_PRECONDITION, "region %s is %s: it cannot be the writer",
                                 g->name, why);
}

/* The record's writer is taken away: another region is chosen in the same change. Its process claims the
 * role later (writer_incarnation 0 says that nobody has yet). One that is named although it lacks what
 * others must not lose stays out of Q until it has opened: by that it knows that this is meant. */
static enum err replace_writer(const struct choice *c, struct errinfo *ei)
{
    struct account_record *rec = c->rec;
    region_id best = 0;
    if (c->q->to.n > 0) {
        TRY(named(c, &best, ei));
    } else {
        best = best_finished(c, /* may_be_silent= */ false);
        best = best == 0 && c->q->accepts_loss ? best_unfinished(c) : best;
        best = best == 0 ? best_finished(c, /* may_be_silent= */ true) : best;
    }
    if (best == 0) {
        return refuse(c, ei);
    }
    if (best == last_writer(c)) { /* it lacks nothing but what others wrote of single partitions */
        record_set_state(rec, best, REGION_ONLINE_READ, c->wall_ms);
        rec->q_mask |= record_mask(best);
    }
    record_choose_writer(rec, best);
    record_settle(rec);
    return OK;
}

enum err account_plan_offline(struct account_record *rec, struct str region,
                              const struct offline_request *q, int64_t wall_ms, struct errinfo *ei)
{
    struct record_region *g = record_region_by_name(rec, region);
    if (g == NULL) {
        return plan_no_region(rec, region, ei);
    }
    if (g->is_forced_offline || g->state == REGION_DRAINING) {
        return OK; /* so it is already, or on its way out for good */
    }
    bool is_last = (record_online_mask(rec) & ~record_mask(g->id)) == 0;
    if (is_last && g->id != rec->writer && !q->accepts_loss) {
        return err_set(ei, ERR_PRECONDITION, "region %s is the last one online", g->name);
    }
    if (g->id == rec->writer) {
        struct choice c = {.rec = rec, .gone = g, .q = q, .wall_ms = wall_ms};
        TRY(replace_writer(&c, ei));
        g->unsent_ops = loss_with(&c, rec->writer);
    } else if (g->id == rec->transfer_to) {
        /* The present writer is asked to open again: half a hand-over must not stay. */
        record_choose_writer(rec, rec->writer);
        record_set_state(rec, rec->writer, REGION_ONLINE_READ, wall_ms);
    }
    record_set_state(rec, g->id, REGION_OFFLINE, wall_ms);
    g->is_forced_offline = true;
    return OK;
}

void account_offline_losses(const struct account_record *before, const struct account_record *after,
                            const struct account_beats *beats, struct beat_lags *ret)
{
    const struct beat_lags *said = &beats->of[writer_of_newest_epoch(before, before->writer)].lags;
    ret->count = 0;
    for (size_t i = 0; before->writer != after->writer && i < said->count; i++) {
        const struct repl_part_lag *x = &said->of[i];
        if (x->region == after->writer && record_override(after, x->pid) == NULL) {
            ret->of[ret->count++] = *x;
        }
    }
}
