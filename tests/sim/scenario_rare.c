/* Stories for rows of the tables that hardly any seed of the random runs reaches (cover.h). */
#include "account/region_int.h"
#include "base/mem.h"
#include "repl/repl_int.h"
#include "sim/coordinator.h"
#include "sim/ledger.h"
#include "sim/scenario_int.h"

static const usec SECOND = 1000000;

/* Nearly half of all frames arrive once more, later, while links go down and come back: an old answer
 * must not be taken for a new one. */
void frames_twice(struct world *w, unsigned variant)
{
    for (unsigned i = 0; i < 8 && !w->has_failed; i++) {
        region_id a = writer(w);
        region_id b = other_than(w, a, i % 2 == 0 ? 0 : other_than(w, a, 0));
        net_break(w, a, b);
        net_break(w, b, a);
        if (i % 4 == 3) {
            (void)nemesis_failover(w, b); /* or not: the old answers go on either way */
        }
        pass(w, 100 + (usec)50 * variant);
    }
    pass(w, 1000);
}

static void nobody_acts(struct world *w)
{
    for (region_id id = 1; id <= w->cfg.region_count && !w->has_failed; id++) {
        struct region *r = node_region(w->nodes[id]);
        if (r != NULL && region_lease_is_fresh(r)) {
            world_fail(w, "coordinator", "region %u writes by an old copy of the coordinator", id);
        }
    }
}

/* The coordinator is started from a copy of its file that does not know of the newest writer: nobody
 * writes until the newest one is put back and the processes were restarted. Variants: how the role
 * moved since the copy, and who is restarted meanwhile. */
void coordinator_restored(struct world *w, unsigned variant)
{
    pass(w, 800);
    region_id a = writer(w);
    size_t copy = coordinator_copy(w);
    if (variant % 2 == 0) {
        if (!nemesis_failover(w, other_than(w, a, 0))) {
            return;
        }
        pass(w, 1000);
    } else {
        supervise(w, a, 300, true);
        nemesis_crash(w, a);
        pass(w, lease_ms(w) * 3);
    }
    if (writer(w) == 0) {
        return;
    }
    pass(w, 1000);
    coordinator_restore(w, copy, (variant % 3 + (usec)1) * 100 * MS);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 300, false);
        if (variant / 3 % 2 == 1) {
            nemesis_crash(w, id);
        }
    }
    pass(w, lease_ms(w) * 2);
    for (unsigned i = 0; i < 20 && !w->has_failed; i++) {
        nobody_acts(w);
        pass(w, 100);
    }
    coordinator_restore_newest(w, 100 * MS);
    pass(w, 1000);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        nemesis_crash(w, id);
    }
    pass(w, lease_ms(w) * 3);
}

/* The same, and a region that was away all the time cannot know that the copy is old: those that know
 * have to say so. Variants: when it comes back. */
void coordinator_unknown(struct world *w, unsigned variant)
{
    pass(w, 800);
    region_id a = writer(w);
    size_t copy = coordinator_copy(w);
    region_id away = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    supervise(w, away, lease_ms(w) * 10 + (usec)variant * 100, false);
    nemesis_crash(w, away);
    pass(w, lease_ms(w) * 3);
    supervise(w, a, 300, true);
    nemesis_crash(w, a);
    pass(w, lease_ms(w) * 3);
    if (writer(w) == 0) {
        return;
    }
    coordinator_restore(w, copy, 200 * MS);
    pass(w, lease_ms(w) * 2);
    for (unsigned i = 0; i < 100 && !w->has_failed; i++) {
        nobody_acts(w);
        pass(w, lease_ms(w) / 10);
    }
    coordinator_restore_newest(w, 100 * MS);
    pass(w, 1000);
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 300, false);
        nemesis_crash(w, id);
    }
    pass(w, lease_ms(w) * 3);
}

/* All stop, and the writer's log is not whole when they are back: it may not open, and it beats. Variants:
 * who comes back first, and the pause between them. */
void unwhole_writer(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 0, false);
        nemesis_crash(w, id);
    }
    struct engine *e = node_engine(w->nodes[a]);
    struct engine_batch *b = engine_batch_new(e);
    struct errinfo ei = {0};
    enum err each = OK;
    engine_batch_dirty(b, 1, SPACE_ITEM, STR("never there"), true);
    enum err err = engine_apply(e, &b, 1, /* sync= */ true, &each, &ei);
    engine_batch_free(b);
    if (err != OK || each != OK) {
        world_fail(w, "scenario", "no mark could be put: %s", ei.message);
        return;
    }
    for (unsigned i = 0; i < w->cfg.region_count; i++) {
        restart_now(w, 1 + (a - 1 + variant + i) % (region_id)w->cfg.region_count);
        pass(w, (usec)(variant / 3) * 200);
    }
    pass(w, lease_ms(w) * 8);
    if (writer(w) == 0) {
        world_fail(w, "liveness", "nobody writes, for the writer's log is not whole");
    }
}

static lsn newest_lsn(const struct world *w)
{
    lsn at = 0;
    for (size_t i = 0; i < w->ledger->count; i++) {
        const struct op *op = w->ledger->ops[i];
        lsn planned = op_is_write(op->kind) ? op->planned.lsn : 0;
        at = planned > at ? planned : at;
    }
    return at;
}

/* The block of lsns has only a few left, and the writer's requests for more get lost for a while. */
void lsn_block(struct world *w, unsigned variant)
{
    pass(w, 500);
    region_id writes = writer(w);
    nemesis_cut(w, writes, 1, CUT_OUT, true);
    struct account_record *rec = MEM_NEW(struct account_record);
    struct arena a;
    arena_init(&a);
    coord_rev rev = 0;
    lsn limit = newest_lsn(w) + 12 + (lsn)2 * variant; /* no more are ordered until it is told */
    bool is_put = coordinator_record(w, &a, rec, &rev);
    if (is_put) {
        rec->lsn_limit = limit;
        is_put = coordinator_put_record(w, rec, rev);
    }
    arena_done(&a);
    mem_free(rec);
    pass(w, 100 + 100 * (variant % 8));
    nemesis_cut(w, writes, 1, CUT_OUT, false);
    pass(w, 900);
    if (variant % 4 == 3) {
        (void)nemesis_failover(w, other_than(w, writer(w), 0));
    }
    pass(w, lease_ms(w) * 3);
}

/* A reader is silent until the writer takes it out, the request does not come through, and then the
 * reader is back. */
void evict_called_off(struct world *w, unsigned variant)
{
    pass(w, 1000);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    struct region *r = node_region(w->nodes[a]);
    nemesis_cut(w, b, 1u << a, CUT_BOTH, true);
    pass(w, w->cfg.timers.read_lease_ms - 100);
    nemesis_cut(w, a, 1, CUT_OUT, true);
    for (unsigned i = 0; i < 500 && node_is_up(w->nodes[a]) && r->evicting == 0; i++) {
        pass(w, 1);
    }
    nemesis_cut(w, b, 1u << a, CUT_BOTH, false);
    pass(w, 20 * (usec)(variant % 8));
    nemesis_cut(w, a, 1, CUT_OUT, false);
    pass(w, lease_ms(w) * 4);
}

/* The disk of the next writer stands still, with entries on their way to it: it cannot seal its log,
 * and passes the role on. */
void promoted_stuck(struct world *w, unsigned variant)
{
    pass(w, 1000);
    region_id a = writer(w);
    region_id b = other_than(w, a, 0);
    node_disk_slow(w->nodes[b], (unsigned)(8000000 / w->cfg.sync_us));
    pass(w, 60 + 40 * (usec)variant);
    supervise(w, a, lease_ms(w) * 10, variant % 2 == 0);
    nemesis_crash(w, a);
    pass(w, lease_ms(w) * 10);
    node_disk_slow(w->nodes[b], 1);
    pass(w, lease_ms(w) * 4);
}

/* A returning writer finds its suffix, and its own disk or the way to the new writer is so slow that
 * the writer changes before the suffix is sent: it begins anew with the next one. */
void rejoin_called_off(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = kill_with_suffix(w, 0, true);
    region_id b = a != 0 ? wait_role(w, ROLE_WRITER, a, lease_ms(w) * 5) : 0;
    if (b == 0) {
        return;
    }
    supervise(w, a, 500, true);
    restart_now(w, a);
    struct region *r = node_region(w->nodes[a]);
    for (unsigned i = 0; i < 2000 && !w->has_failed && repl_is_whole(r->repl); i++) {
        pass(w, 1);
    }
    if (variant % 2 == 0) {
        node_disk_slow(w->nodes[a], (unsigned)(8000000 / w->cfg.sync_us));
    }
    clog_out(w, b, true);
    pass(w, 10 * (usec)(variant / 2));
    supervise(w, b, 2000, true);
    nemesis_crash(w, b);
    clog_out(w, b, false);
    pass(w, lease_ms(w) * 3);
    node_disk_slow(w->nodes[a], 1);
    pass(w, lease_ms(w) * 5);
}

/* A suffix is handed in under another setting than the usual one: set before it was written, while its region
 * was away, or changed while it is handed in; and the writer that takes it may die over it. */
void diverged_writes(struct world *w, unsigned variant)
{
    static const enum diverged_writes values[] = {DIVERGED_FEED_LATEST, DIVERGED_ARCHIVE,
                                                  DIVERGED_FEED, DIVERGED_LWW};
    enum { BEFORE, AWAY, WRITER_DIES, CHANGED, STEPS };
    enum diverged_writes value = values[variant % ARRAY_COUNT(values)];
    unsigned step = variant / ARRAY_COUNT(values) % STEPS;
    unsigned turn = variant / (ARRAY_COUNT(values) * STEPS);
    uint64_t quota = value == DIVERGED_FEED ? 30 + 50 * turn : 0; /* bytes: a record or a few */
    pass(w, 1000);
    bool is_set = step == AWAY || nemesis_diverged(w, value, quota);
    pass(w, 500);
    region_id a = kill_with_suffix(w, 0, true);
    region_id b = a != 0 ? wait_role(w, ROLE_WRITER, a, lease_ms(w) * 5) : 0;
    if (b == 0 || !is_set) {
        return;
    }
    if (nemesis_diverged(w, value, FEED_QUOTA_MAX + 1) ||
        (step == AWAY && !nemesis_diverged(w, value, quota))) {
        world_fail(w, "diverged", "the setting is not refused or taken as it should be");
    }
    supervise(w, a, 500, true);
    restart_now(w, a);
    struct region *r = node_region(w->nodes[a]);
    for (unsigned i = 0; i < 2000 && !w->has_failed && repl_is_whole(r->repl); i++) {
        pass(w, 1);
    }
    pass(w, 5 * (usec)turn);
    if (step == WRITER_DIES) {
        supervise(w, b, 2000, true);
        nemesis_crash(w, b);
    } else if (step == CHANGED) {
        (void)nemesis_diverged(w, DIVERGED_FEED, 0);
    }
    pass(w, lease_ms(w) * 8);
}

/* A writer that was cut off finds out that it has a suffix while its own disk still stores it, and the
 * one that told it so is gone before it has ended. */
void suffix_called_off(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    node_disk_slow(w->nodes[a], (unsigned)((4 + 4 * (variant % 3)) * SECOND / w->cfg.sync_us));
    nemesis_cut(w, a, UINT32_MAX, CUT_BOTH, true);
    region_id b = wait_role(w, ROLE_WRITER, a, lease_ms(w) * 5);
    nemesis_cut(w, a, UINT32_MAX, CUT_BOTH, false);
    struct region *r = node_region(w->nodes[a]);
    for (unsigned i = 0; i < 3000 && !w->has_failed && r != NULL && repl_is_whole(r->repl); i++) {
        pass(w, 1);
        r = node_region(w->nodes[a]);
    }
    pass(w, 10 * (usec)variant);
    if (b != 0) {
        supervise(w, b, 2000, true);
        nemesis_crash(w, b);
    }
    pass(w, lease_ms(w) * 4);
    node_disk_slow(w->nodes[a], 1);
    pass(w, lease_ms(w) * 5);
}

/* A new region copies from a writer that dies with what nobody else has: the place of the copy is lost,
 * and the copy begins anew from the next writer. */
void copy_lost(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0);
    if (a == 0) {
        return;
    }
    region_id joins = (region_id)w->cfg.region_count;
    net_clog(w, a, b, true);
    pass(w, 100 + 50 * (usec)(variant / 4));
    (void)nemesis_add(w, joins); /* nothing else is under way: refused only while a region leaves */
    struct region *r = node_region(w->nodes[joins]);
    for (unsigned i = 0; i < 1000 && !w->has_failed && repl_seed_count(r->repl) == 0; i++) {
        pass(w, 1);
    }
    pass(w, 5 * (usec)(variant % 4));
    supervise(w, a, 3000, true);
    nemesis_crash(w, a);
    net_clog(w, a, b, false);
    pass(w, lease_ms(w) * 8);
}

/* A new region copies, and the writer's pieces stand still on the way until it asks for single ranges, as
 * from a program that knows no pieces; then both come. Variants: how much later. */
void copy_asked_again(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    if (a == 0) {
        return;
    }
    region_id joins = (region_id)w->cfg.region_count;
    (void)nemesis_add(w, joins); /* as above */
    struct region *r = node_region(w->nodes[joins]);
    for (unsigned i = 0; i < 30000 && !w->has_failed && r->repl->seed_asked == 0; i++) {
        world_run(w, w->now + MS / 10, NULL);
    }
    net_clog(w, a, joins, true);
    pass(w, 1100 + 100 * (usec)variant);
    net_clog(w, a, joins, false);
    pass(w, lease_ms(w) * 6);
}

/* How far the writer is with that region in partition 1. */
static enum progress_state progress_of(struct world *w, region_id writes, region_id id)
{
    struct region *r = node_region(w->nodes[writes]);
    struct partition *p = r != NULL ? repl_find(r->repl, 1) : NULL;
    struct peer *peer = r != NULL ? r->repl->peer_by_id[id] : NULL;
    return p != NULL && peer != NULL ? ship_progress(p, peer)->state : PROG_UNKNOWN;
}

/* A former writer's first answer, which shows its suffix, comes a second time when the suffix is gone and
 * the region follows, or is being copied (odd variants). What else it says is held up meanwhile. */
void tail_twice(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = kill_with_suffix(w, 0, true);
    region_id b = a != 0 ? wait_role(w, ROLE_WRITER, a, 5000) : 0;
    if (b == 0 || (variant % 2 == 1 && !await_trimmed(w, a))) {
        return;
    }
    supervise(w, a, 300, true);
    restart_now(w, a);
    enum progress_state want = variant % 2 == 1 ? PROG_STUCK : PROG_STREAM;
    for (unsigned i = 0; i < 3000 && !w->has_failed && progress_of(w, b, a) != want; i++) {
        world_run(w, w->now + MS / 10, NULL);
    }
    net_clog(w, a, b, true);
    pass(w, 400);
    net_clog(w, a, b, false);
    pass(w, lease_ms(w) * 4);
}

/* A region that was away is copied, and what it has from before cannot be read for a while: entries and
 * pieces replace versions that nobody could see. The disk gets well by itself. In half of the stories
 * the process dies before that, so that only what is stored knows. */
void copy_unreadable(struct world *w, unsigned variant)
{
    pass(w, 1500);
    region_id a = other_than(w, writer(w), 0);
    supervise(w, a, 0, true);
    nemesis_crash(w, a);
    if (!await_trimmed(w, a)) {
        return;
    }
    restart_now(w, a);
    struct region *r = node_region(w->nodes[a]);
    for (unsigned i = 0; i < 3000 && !w->has_failed && repl_seed_count(r->repl) == 0; i++) {
        pass(w, 1);
    }
    engine_spoil(node_engine(w->nodes[a]), 1);
    pass(w, variant / 2);
    for (unsigned i = 0; i < 3000 && !w->has_failed && repl_corrupt_count(r->repl) == 0; i++) {
        pass(w, 1);
    }
    if (repl_corrupt_count(r->repl) == 0 && !w->has_failed) {
        world_fail(w, "scenario", "region %u read nothing of what it was copying over", a);
    }
    pass(w, variant / 4);
    if (variant % 2 == 1) {
        supervise(w, a, 300, true);
        nemesis_crash(w, a);
    }
    engine_spoil(node_engine(w->nodes[a]), 0);
    pass(w, lease_ms(w) * 8);
}

/* The first writer's last entries are with one reader; the other one takes over without them, and is gone
 * before it has taken them in. */
void handing_in(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0); /* goes before c */
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, 0, variant % 2 == 0);
    }
    nemesis_cut(w, b, 1u << a | 1u << c, CUT_BOTH, true);
    pass(w, 100);
    nemesis_crash(w, a);
    if (wait_role(w, ROLE_WRITER, a, lease_ms(w) * 8) != b) {
        return;
    }
    pass(w, (usec)(variant / 2) * 30);
    nemesis_cut(w, b, 1u << a | 1u << c, CUT_BOTH, false);
    struct region *r = node_region(w->nodes[c]);
    for (unsigned i = 0; i < 1000 && !w->has_failed && repl_diverged_count(r->repl) == 0; i++) {
        world_run(w, w->now + MS / 20, NULL);
    }
    if (repl_diverged_count(r->repl) == 0) {
        return; /* what it had was taken over in time */
    }
    nemesis_crash(w, b);
    if (wait_role(w, ROLE_WRITER, b, lease_ms(w) * 10) != c) {
        world_fail(w, "handing-in", "region %u does not take over", c);
        return;
    }
    pass(w, lease_ms(w) * 2);
    restart_now(w, b);
    pass(w, lease_ms(w) * 2);
}

/* A writer that is cut off from the next one tells the change feed of entries which that one never hears of: it has to go
 * on from where the two parted. Variants: which of them lacked what the writer before had (even: the first, so that
 * the next has entries which the reader was never told); then how many epochs the first one opens. */
void feed_lost_epoch(struct world *w, unsigned variant)
{
    region_id a = begin(w);
    region_id b = other_than(w, a, 0); /* goes before c */
    region_id c = other_than(w, a, b);
    if (a == 0) {
        return;
    }
    for (region_id id = 1; id <= w->cfg.region_count; id++) {
        supervise(w, id, id == b && variant % 4 >= 2 ? 100 : 0, true);
    }
    region_id lags = variant % 2 == 0 ? b : c;
    nemesis_cut(w, lags, ~1u, CUT_BOTH, true);
    pass(w, 100 + 50 * (usec)(variant / 4));
    nemesis_cut(w, b, 1u << c, CUT_BOTH, true);
    nemesis_crash(w, a);
    if (wait_role(w, ROLE_WRITER, a, lease_ms(w) * 8) != b) {
        return;
    }
    feed_readers_go(w, b);
    pass(w, lease_ms(w));
    if (variant % 4 >= 2) {
        nemesis_crash(w, b);
        pass(w, lease_ms(w) * 2);
        supervise(w, b, 0, true);
    }
    nemesis_crash(w, b);
    feed_readers_go(w, c);
    bool is_next = wait_role(w, ROLE_WRITER, b, lease_ms(w) * 10) == c;
    pass(w, lease_ms(w) * 2);
    nemesis_cut(w, lags, ~1u, CUT_BOTH, false);
    nemesis_cut(w, b, 1u << c, CUT_BOTH, false);
    if (!is_next && w->cfg.level == CONSISTENCY_SESSION) {
        world_fail(w, "scenario", "region %u does not take over", c);
    }
    restart_now(w, b);
    pass(w, lease_ms(w) * 2);
}
