/* See staleness.h. Entries are counted by `ord`: lsns jump by a whole block where an epoch begins,
 * and their difference would be the lag of nobody. */
#include "repl/staleness.h"

#include "base/bug.h"
#include "base/contract.h"
#include "repl/repl_int.h"

static void add(struct repl_staleness *worst, const struct progress *g)
{
    const struct place *tail = &g->part->tail;
    uint64_t ops = tail->ord > g->acked_ord ? tail->ord - g->acked_ord : 0;
    if (BUG(BUG_LAG_BY_LSN)) {
        ops = tail->lsn > g->acked ? tail->lsn - g->acked : 0;
    }
    worst->is_known = worst->is_known && (g->is_known || tail->ord == 0);
    worst->has_inherited = worst->has_inherited && g->acked >= g->part->inherited;
    if (ops > worst->ops) {
        worst->ops = ops;
        worst->region = g->peer->id;
        worst->acked_lsn = g->acked;
    }
    if (g->lag_since_us != 0 && (worst->since_us == 0 || g->lag_since_us < worst->since_us)) {
        worst->since_us = g->lag_since_us;
    }
}

static void add_part(const struct partition *p, uint64_t mask, struct repl_staleness *worst)
{
    for (size_t i = 0; i < p->progress_count; i++) {
        uint64_t bit = UINT64_C(1) << p->repl->peers[i]->id;
        if ((mask & bit) != 0) {
            add(worst, p->progress[i]);
            mask &= ~bit;
        }
    }
    if ((mask & ~(UINT64_C(1) << p->repl->self)) != 0) {
        worst->is_known = false; /* a region we do not even know */
        worst->has_inherited = false;
    }
}

static unsigned percent_of(uint64_t v, uint64_t limit)
{
    if (v >= limit) {
        return 100; /* rounding must let nothing through that is over */
    }
    return (unsigned)(v > UINT64_MAX / 100 ? v / (limit / 100 + 1) : v * 100 / limit);
}

unsigned repl_staleness_percent(const struct partition *p, const struct repl_staleness *s,
                                bool *ret_by_ops)
{
    const struct repl_mode *m = p->mode;
    if (m->staleness_ops == 0) {
        return 0;
    }
    usec now = p->repl->io.now(p->repl->io.ctx);
    usec age = s->since_us != 0 && now > s->since_us ? now - s->since_us : 0;
    unsigned by_ops = percent_of(s->ops, m->staleness_ops);
    unsigned by_age = percent_of(age, m->staleness_us);
    if (ret_by_ops != NULL) {
        *ret_by_ops = by_ops >= by_age;
    }
    return by_ops > by_age ? by_ops : by_age;
}

void repl_staleness(const struct partition *p, uint64_t mask, struct repl_staleness *ret)
{
    ASSERT(p->mode->kind == REPL_WRITER);
    *ret = (struct repl_staleness){.is_known = true, .has_inherited = true};
    add_part(p, mask, ret);
}

void repl_staleness_all(const struct repl *R, uint64_t mask, struct repl_staleness *ret)
{
    *ret = (struct repl_staleness){.is_known = true, .has_inherited = true};
    for (const struct partition *p = repl_next_part(R, NULL); p != NULL; p = repl_next_part(R, p)) {
        if (p->pid != 0 && p->mode->kind == REPL_WRITER) {
            add_part(p, mask, ret);
        }
    }
}
