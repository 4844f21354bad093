/* Bounded staleness holds writes back before any region is further behind than the account allows
 * (geo-semantics 3.3). Per partition, over the regions that may serve reads: at 80 % of either bound
 * a write is delayed, the longer the nearer the bound; at 100 % it is refused and nothing is applied.
 *
 *   0 ............ 80 % ............... 100 %
 *   at once        10 ms .. 250 ms      refused
 *
 * A region that has not said where it is since this writer opened delays writes, too: it is asked
 * already, and its answer is near or it is taken offline. */
#include "account/region_int.h"
#include "base/contract.h"
#include "repl/staleness.h"

enum { TELL_MS = 10000 };
enum { DELAY_FROM_PERCENT = 80, DELAY_MIN_MS = 10, DELAY_MAX_MS = 250, FULL_PERCENT = 100 };

static unsigned measure(const struct region *r, const struct partition *p, struct repl_staleness *s,
                        struct write_throttle *why)
{
    repl_staleness(p, repl_part_mode(r->repl, repl_part_id(p))->strong_mask, s);
    usec age = s->since_us != 0 ? region_now(r) - s->since_us : 0;
    *why = (struct write_throttle){
        .region = s->region, .acked_lsn = s->acked_lsn, .ops = s->ops, .age_us = age};
    return repl_staleness_percent(p, s, &why->is_by_ops);
}

static usec delay_of(const struct repl_staleness *s, unsigned percent)
{
    if (!s->is_known) {
        return ms(DELAY_MAX_MS);
    }
    return ms(DELAY_MIN_MS + (DELAY_MAX_MS - DELAY_MIN_MS) * (percent - DELAY_FROM_PERCENT) /
                                 (FULL_PERCENT - DELAY_FROM_PERCENT));
}

enum throttle_verdict throttle_check(const struct region *r, struct region_write *w)
{
    if (repl_part_mode(r->repl, w->pid)->staleness_ops == 0 || w->pid == 0) {
        return THROTTLE_GO;
    }
    const struct partition *p = repl_find(r->repl, w->pid);
    if (p == NULL) {
        return THROTTLE_GO;
    }
    struct repl_staleness s;
    unsigned percent = measure(r, p, &s, &w->throttle);
    if (percent < DELAY_FROM_PERCENT) {
        return THROTTLE_GO;
    }
    bool is_full = percent >= FULL_PERCENT;
    if (is_full && s.is_known) {
        return THROTTLE_REFUSE;
    }
    if (w->throttle_until_us == 0) {
        w->throttle_until_us = w->accepted_us + delay_of(&s, percent);
    }
    if (region_now(r) < w->throttle_until_us) {
        return THROTTLE_WAIT;
    }
    return is_full ? THROTTLE_REFUSE : THROTTLE_GO;
}

void throttle_tell(struct region *r, const struct region_write *w)
{
    usec now = region_now(r);
    if (r->throttle_told_us != 0 && now - r->throttle_told_us < ms(TELL_MS)) {
        return;
    }
    r->throttle_told_us = now;
    region_event(
        r, EVENT_THROTTLED, 0, "partition=%llu region=%u lag_operations=%llu lag_ms=%llu bound=%s",
        (unsigned long long)w->pid, w->throttle.region, (unsigned long long)w->throttle.ops,
        (unsigned long long)(w->throttle.age_us / 1000),
        w->throttle.is_by_ops ? "operations" : "seconds");
}
