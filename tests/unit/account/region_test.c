/* Whole regions, scripted: what must happen in each of the great stories. Random schedules of the
 * same core are tests/sim. */
#include "account/region.h"

#include <stdio.h>

#include "lib/t.h"
#include "world.h"

static void fill(struct world *w, region_id id, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char key[16], text[32];
        (void)snprintf(key, sizeof(key), "k%u", i);
        (void)snprintf(text, sizeof(text), "{\"v\":%u}", i);
        t_err(world_answer(w, world_put(w, id, 1, key, text)), OK);
    }
}

T_TEST("one region: a write is durable when it is answered")
{
    struct world *w = world_new(1, CONSISTENCY_SESSION);
    world_hold_commits(w, 1, true);
    struct world_write *x = world_put(w, 1, 1, "a", "{\"v\":1}");
    world_run(w, 100);
    t_check(!x->is_done); /* ordered, not stored */
    t_check(world_get(w, 1, 1, "a") == NULL);
    world_hold_commits(w, 1, false);
    t_err(world_answer(w, x), OK);
    t_eq_cstr(world_get(w, 1, 1, "a"), "{\"v\":1}");
    t_check(x->w.lsn > 1 && x->w.epoch == 1);
    world_free(w);
}

T_TEST("the next write of a document sees the version that is not stored yet")
{
    struct world *w = world_new(1, CONSISTENCY_SESSION);
    world_hold_commits(w, 1, true);
    struct world_write *a = world_create(w, 1, 1, "a", "{\"v\":1}");
    struct world_write *again = world_create(w, 1, 1, "a", "{\"v\":2}");
    world_run(w, 50);
    t_check(!again->is_done); /* the refusal rests on a write that may still be lost */
    world_hold_commits(w, 1, false);
    t_err(world_answer(w, a), OK);
    t_err(world_answer(w, again), ERR_PRECONDITION);
    t_eq_u64(again->w.lsn, 0);
    t_err(world_answer(w, world_delete(w, 1, 1, "a")), OK);
    t_err(world_answer(w, world_delete(w, 1, 1, "a")), ERR_PRECONDITION);
    world_check_same(w);
    world_free(w);
}

T_TEST("entries reach the other regions and leave them identical")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 30);
    t_err(world_answer(w, world_delete(w, 1, 1, "k3")), OK);
    t_err(world_answer(w, world_put(w, 2, 1, "k3", "{}")), ERR_NOT_WRITER);
    world_run(w, 500);
    t_eq_cstr(world_get(w, 3, 1, "k29"), "{\"v\":29}");
    world_check_same(w);
    world_free(w);
}

T_TEST("Strong: answered only when the others have it durable")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_hold_commits(w, 2, true);
    struct world_write *x = world_put(w, 1, 1, "a", "{}");
    world_run(w, 300);
    t_check(world_get(w, 1, 1, "a") != NULL); /* here it is durable */
    t_check(!x->is_done);
    world_hold_commits(w, 2, false);
    t_err(world_answer(w, x), OK);
    t_check(world_get(w, 2, 1, "a") != NULL);
    world_free(w);
}

T_TEST("a confirmed stop of the writer is taken over without waiting")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    world_stop(w, 1, /* confirm= */ true);
    usec from = w->now;
    world_until_role(w, 2, ROLE_WRITER);
    t_checkf(w->now - from < 300000, "took %llu us", (unsigned long long)(w->now - from));
    struct world_write *x = world_put(w, 2, 1, "new", "{}");
    t_err(world_answer(w, x), OK);
    t_eq_u64(x->w.epoch, 2);
    t_check(x->w.lsn > 1000000); /* a fresh block */
    const struct account_record *rec = world_record(w);
    t_eq_u64(rec->epochs[1].opened.rule, 310);
    t_eq_int(record_region_const(rec, 1)->state, REGION_OFFLINE);
    world_free(w);
}

/* Claim and opening have one generation, so a reader that has seen the claim only would believe the
 * new epoch's entries; but it would show them with the token version of before. */
T_TEST("entries of an epoch are not taken before the record that opened it was seen")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    uint64_t version = world_record(w)->token_version;
    world_hold_commits(w, 2, true); /* it can claim, but not seal */
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_PROMOTING);
    while (region_record(world_region(w, 3))->phase != PHASE_PROMOTING) {
        world_run(w, 5);
    }
    world_cut_coord(w, 3, true);
    world_hold_commits(w, 2, false);
    world_until_role(w, 2, ROLE_WRITER);
    t_err(world_answer(w, world_put(w, 2, 1, "new", "{}")), OK);
    world_run(w, 100);
    struct part_view *v = region_part(world_region(w, 3), 1);
    t_eq_u64(atomic_load(&v->epoch), 1);
    t_eq_u64(atomic_load(&v->token_version), version);
    world_cut_coord(w, 3, false);
    world_run(w, 500);
    t_eq_u64(atomic_load(&v->epoch), 2);
    t_eq_u64(atomic_load(&v->token_version), version + 1);
    t_check(world_get(w, 3, 1, "new") != NULL);
    world_free(w);
}

T_TEST("a writer that cannot be reached is replaced when its lease is certainly over")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    world_cut_coord(w, 1, true);
    world_cut_peers(w, 1, true);
    usec cut = w->now;
    struct world_write *late = world_put(w, 1, 1, "late", "{}");
    world_until_role(w, 2, ROLE_WRITER);
    usec took = w->now - cut;
    t_checkf(took > 1000000 && took < 2000000, "took %llu us", (unsigned long long)took);
    /* The old writer had stopped before: it noticed by itself. */
    t_check(world_has_event(w, 1, EVENT_LEASE_LOST));
    t_err(world_answer(w, world_put(w, 1, 1, "x", "{}")), ERR_NOT_WRITER);
    t_check(late->is_done && late->w.err == OK); /* answered while the lease was good */
    t_err(world_answer(w, world_put(w, 2, 1, "y", "{}")), OK);
    world_cut_coord(w, 1, false);
    world_cut_peers(w, 1, false);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    /* What only it had is in the feed, once, and gone from its documents. */
    t_eq_u64(world_conflicts(w, 2, 1), 1);
    t_check(world_get(w, 1, 1, "late") == NULL);
    t_check(world_archived(w, 1) > 0);
    world_check_same(w);
    world_free(w);
}

T_TEST("a write that is waiting when the lease ends has an unknown outcome")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 2);
    world_hold_commits(w, 1, true);
    struct world_write *x = world_put(w, 1, 1, "x", "{}");
    world_cut_coord(w, 1, true);
    world_run(w, 1500);
    world_hold_commits(w, 1, false); /* durable now, but the lease is over */
    t_err(world_answer(w, x), ERR_UNKNOWN_OUTCOME);
    world_free(w);
}

T_TEST("a restarted writer takes a new generation and a new epoch")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    generation before = world_record(w)->generation;
    world_stop(w, 1, false);
    world_start(w, 1);
    world_until_role(w, 1, ROLE_WRITER);
    const struct account_record *rec = world_record(w);
    t_check(rec->generation > before);
    t_eq_u64(rec->epoch, 2);
    t_eq_u64(rec->epochs[1].opened.rule, 312);
    t_eq_cstr(world_get(w, 1, 1, "k4"), "{\"v\":4}");
    t_err(world_answer(w, world_put(w, 1, 1, "z", "{}")), OK);
    world_run(w, 1000);
    world_check_same(w);
    world_free(w);
}

T_TEST("a graceful change loses nothing, holds writes and keeps tokens")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 10);
    uint64_t version = world_record(w)->token_version;
    world_failover(w, "west");
    world_until_role(w, 1, ROLE_HOLDING);
    struct world_write *held = world_put(w, 1, 1, "held", "{}");
    t_check(!held->is_done);
    world_until_role(w, 2, ROLE_WRITER);
    t_err(world_answer(w, held), ERR_NOT_WRITER); /* to be repeated at the new writer */
    t_err(world_answer(w, world_put(w, 2, 1, "held", "{}")), OK);
    const struct account_record *rec = world_record(w);
    t_eq_u64(rec->token_version, version);
    t_check(!rec->epochs[1].opened.is_lossy);
    t_eq_u64(rec->epochs[1].opened.rule, 320);
    t_eq_u64(rec->regions[0].id, 2); /* priority 0 now */
    t_eq_int(record_region_const(rec, 1)->state, REGION_ONLINE_READ);
    world_run(w, 500);
    t_eq_u64(world_conflicts(w, 2, 1), 0);
    world_check_same(w);
    world_free(w);
}

T_TEST("a graceful change does not wait for a beat because its target saw the record late")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 3);
    world_run(w, 300);
    world_cut_coord(w, 2, true);
    world_failover(w, "west");
    world_until_role(w, 1, ROLE_HOLDING);
    world_run(w, 10); /* it has said where its log ends */
    world_cut_coord(w, 2, false);
    world_until_role(w, 2, ROLE_TAKING);
    usec from = w->now;
    world_until_role(w, 2, ROLE_WRITER);
    t_checkf(w->now - from < 100000, "took %llu us", (unsigned long long)(w->now - from));
    world_free(w);
}

T_TEST("a graceful change whose target is gone is rolled back with a new generation")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 3);
    generation before = world_record(w)->generation;
    world_hold_commits(w, 2, true); /* it can never prove that it has everything */
    struct world_write *x = world_put(w, 1, 1, "x", "{}");
    t_err(world_answer(w, x), OK);
    world_failover(w, "west");
    world_until_role(w, 1, ROLE_HOLDING);
    struct world_write *held = world_put(w, 1, 1, "h", "{}");
    world_until_role(w, 1, ROLE_WRITER);
    t_err(world_answer(w, held), ERR_UNAVAILABLE); /* held longer than hold_ms */
    t_check(world_record(w)->generation > before);
    t_eq_int(world_record(w)->phase, PHASE_OPEN);
    t_err(world_answer(w, world_put(w, 1, 1, "y", "{}")), OK);
    world_hold_commits(w, 2, false);
    world_run(w, 2000);
    world_check_same(w);
    world_free(w);
}

T_TEST("a graceful change to a region that is far behind is rolled back at once")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 3);
    world_run(w, 300);
    world_hold_commits(w, 2, true);
    t_err(world_answer(w, world_put(w, 1, 1, "x", "{}")), OK);
    world_run(w, 1500); /* longer than lag_small_ms */
    world_failover(w, "west");
    usec from = w->now;
    world_until_role(w, 1, ROLE_HOLDING);
    struct world_write *held = world_put(w, 1, 1, "h", "{}");
    t_err(world_answer(w, held), OK);
    t_checkf(w->now - from < 500000, "took %llu us", (unsigned long long)(w->now - from));
    t_eq_u64(world_record(w)->writer, 1);
    t_eq_int(world_record(w)->phase, PHASE_OPEN);
    world_hold_commits(w, 2, false);
    world_run(w, 2000);
    world_failover(w, "west"); /* now it can */
    world_until_role(w, 2, ROLE_WRITER);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("an operator takes the writer offline and brings it back as a reader")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_offline(w, "east");
    usec from = w->now;
    world_until_role(w, 2, ROLE_WRITER);
    t_checkf(w->now - from < 500000, "took %llu us", (unsigned long long)(w->now - from));
    t_eq_int(region_role(world_region(w, 1)), ROLE_OFFLINE);
    world_run(w, 3000);
    t_eq_int(region_role(world_region(w, 1)), ROLE_OFFLINE); /* not by itself */
    t_err(world_answer(w, world_put(w, 2, 1, "while", "{}")), OK);
    world_online(w, "east");
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    t_eq_int(region_role(world_region(w, 2)), ROLE_WRITER);
    t_eq_cstr(world_get(w, 1, 1, "while"), "{}");
    world_check_same(w);
    world_free(w);
}

static void take_offline_and_back(enum consistency level)
{
    struct world *w = world_new(2, level);
    fill(w, 1, 5);
    world_stop(w, 2, /* confirm= */ false);
    world_offline(w, "east"); /* nobody has noticed yet: west is chosen */
    world_run(w, 5000);
    t_eq_int(world_record(w)->phase, PHASE_PROMOTING);
    t_eq_u64(world_record(w)->writer, 2);
    t_eq_int(region_role(world_region(w, 1)), ROLE_OFFLINE);
    world_online(w, "east");
    world_until_role(w, 1, ROLE_WRITER); /* it has all that was ever acknowledged */
    t_err(world_answer(w, world_put(w, 1, 1, "again", "{}")), OK);
    world_start(w, 2);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("a writer that was taken offline is brought back when the region chosen cannot take over")
{
    take_offline_and_back(CONSISTENCY_SESSION);
    take_offline_and_back(CONSISTENCY_STRONG);
}

/* Region 2 had more than the new writer, 3, gave it up, and lacks 3's versions of what it touched when
 * an operator takes 3 offline: 2 is chosen and cannot open, 1 was away. */
static struct world *leave_chosen_with_half(bool has_auto)
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    world_cut_peers(w, 3, true);
    for (unsigned i = 0; i < 5; i++) {
        t_err(world_answer(w, world_put(w, 1, 1, "k2", "{\"lost\":1}")), OK);
    }
    world_run(w, 100);
    world_cut_coord(w, 2, true);
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 3, ROLE_WRITER);
    world_cut_coord(w, 2, false);
    if (!has_auto) {
        world_no_auto(w);
    }
    world_cut_peers(w, 3, false);
    for (unsigned i = 0; i < 2000 && !world_has_event(w, 2, EVENT_FEED_SENT); i++) {
        world_run(w, 5);
    }
    t_check(world_has_event(w, 2, EVENT_FEED_SENT));
    world_cut_peers(w, 3, true);
    t_eq_int(record_region_const(world_record(w), 2)->state, REGION_ONLINE_READ);
    world_offline(w, "north");
    return w;
}

static void come_back_for_the_chosen(bool has_auto)
{
    struct world *w = leave_chosen_with_half(has_auto);
    world_start(w, 1);
    world_run(w, 10000);
    t_eq_int(world_record(w)->phase, PHASE_PROMOTING);
    t_eq_u64(world_record(w)->writer, 2);
    world_cut_peers(w, 3, false);
    world_online(w, "north");
    world_until_role(w, 3, ROLE_WRITER);
    t_err(world_answer(w, world_put(w, 3, 1, "again", "{}")), OK);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_run(w, 500);
    t_eq_u64(world_conflicts(w, 3, 1), 5);
    world_check_same(w);
    world_free(w);
}

T_TEST("the last writer, brought back, gets the role from a chosen region that needs its data")
{
    come_back_for_the_chosen(/* has_auto= */ true);
    come_back_for_the_chosen(/* has_auto= */ false);
}

T_TEST("a dead reader is taken offline and comes back")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    fill(w, 1, 3);
    world_stop(w, 3, false);
    struct world_write *x = world_put(w, 1, 1, "x", "{}");
    world_run(w, 500);
    t_check(!x->is_done); /* it might still serve reads under its lease */
    t_err(world_answer(w, x), OK);
    t_eq_int(record_region_const(world_record(w), 3)->state, REGION_OFFLINE);
    world_start(w, 3);
    world_until_state(w, 3, REGION_ONLINE_READ);
    t_check((world_record(w)->q_mask & record_mask(3)) != 0);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

/* Suffix of many operations on few keys: creates, replaces, deletes; the others were changed by the
 * new writer meanwhile. */
T_TEST("a long diverged suffix becomes conflict records and leaves identical regions")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 10);
    world_run(w, 300);
    world_cut_peers(w, 1, true);
    for (unsigned i = 0; i < 40; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i % 15);
        t_err(world_answer(w, world_put(w, 1, 1, key, "{\"lost\":1}")), OK);
    }
    t_err(world_answer(w, world_delete(w, 1, 1, "k1")), OK);
    world_stop(w, 1, true);
    world_until_role(w, 2, ROLE_WRITER);
    t_err(world_answer(w, world_put(w, 2, 1, "k2", "{\"won\":1}")), OK);
    t_err(world_answer(w, world_delete(w, 2, 1, "k3")), OK);
    world_cut_peers(w, 1, false);
    world_start(w, 1);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    t_eq_u64(world_conflicts(w, 1, 1), 41);
    t_eq_cstr(world_get(w, 1, 1, "k1"), "{\"v\":1}"); /* the lost delete is undone */
    t_eq_cstr(world_get(w, 1, 1, "k2"), "{\"won\":1}");
    t_check(world_get(w, 1, 1, "k3") == NULL);
    t_check(world_get(w, 1, 1, "k12") == NULL);
    t_check(world_has_event(w, 1, EVENT_DIVERGED) && world_has_event(w, 1, EVENT_FEED_SENT));
    world_check_same(w);
    world_free(w);
}

T_TEST("a region whose storage does not answer while it is promoted passes the role on")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    world_hold_commits(w, 2, true);
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_PROMOTING);
    usec from = w->now;
    world_until_role(w, 3, ROLE_WRITER);
    t_checkf(w->now - from < 12000000, "took %llu us", (unsigned long long)(w->now - from));
    t_err(world_answer(w, world_put(w, 3, 1, "x", "{}")), OK);
    world_hold_commits(w, 2, false);
    world_start(w, 1);
    world_until_state(w, 2, REGION_ONLINE_READ);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("session waits are released by the lsn, and commit waits by the commit")
{
    struct world *w = world_new(2, CONSISTENCY_STRONG);
    world_hold_commits(w, 2, true);
    struct world_write *x = world_put(w, 1, 1, "a", "{}");
    world_run(w, 50);
    lsn at = atomic_load(&region_part(world_region(w, 1), 1)->applied_lsn);
    bool applied = false, committed = false, late = false;
    struct region_wait a = {
        .pid = 1, .kind = WAIT_APPLIED, .lsn = at, .deadline_us = UINT64_MAX, .user = &applied};
    struct region_wait c = {
        .pid = 1, .kind = WAIT_COMMIT, .lsn = at, .deadline_us = UINT64_MAX, .user = &committed};
    struct region_wait d = {.pid = 1,
                            .kind = WAIT_APPLIED,
                            .lsn = at + 1000,
                            .deadline_us = w->now + 100000,
                            .user = &late};
    region_wait(world_region(w, 2), &a);
    region_wait(world_region(w, 1), &c);
    region_wait(world_region(w, 2), &d);
    world_run(w, 300);
    t_check(!applied && !committed);
    t_check(late && d.err == ERR_SESSION_BEHIND);
    world_hold_commits(w, 2, false);
    t_err(world_answer(w, x), OK);
    world_run(w, 100);
    t_check(applied && a.err == OK);
    t_check(committed && c.err == OK);
    world_free(w);
}

/* A commit that takes longer than a slow one may, and the time for which it must go on. */
static void keep_slow(struct world *w, region_id id, unsigned total_ms)
{
    for (unsigned gone = 0; gone < total_ms; gone += 6000) {
        world_hold_commits(w, id, true);
        (void)world_put(w, id, 1, "slow", "{}");
        world_run(w, 5900);
        world_hold_commits(w, id, false);
        world_run(w, 100);
    }
}

T_TEST("a slow disk hands the writer's role over without losing anything, and not for a hiccup")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    keep_slow(w, 1, 6000);
    t_eq_u64(world_record(w)->writer, 1);
    world_run(w, 10000);
    t_eq_u64(world_record(w)->writer, 1);
    keep_slow(w, 1, 24000);
    t_check(world_has_event(w, 1, EVENT_DISK_SLOW));
    world_until_role(w, 2, ROLE_WRITER);
    t_check(!world_record(w)->epochs[world_record(w)->epoch_count - 1].opened.is_lossy);
    world_run(w, 500);
    t_eq_u64(world_conflicts(w, 2, 1), 0);
    t_err(world_answer(w, world_put(w, 2, 1, "after", "{}")), OK);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST(
    "a disk that answers nothing loses the role to who has everything, and what waits is answered")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_hold_commits(w, 1, true);
    world_run(w, 5000); /* nothing is written, so nothing is slow */
    struct world_write *early = world_put(w, 1, 1, "early", "{}");
    world_run(w, 9500);
    t_eq_u64(world_record(w)->writer, 1);
    t_check(!early->is_done);
    struct world_write *stuck = world_put(w, 1, 1, "stuck", "{}");
    world_run(w, 1500);
    t_eq_u64(world_record(w)->writer, 2);
    t_check(!world_record(w)->epochs[world_record(w)->epoch_count - 1].opened.is_lossy);
    t_err(world_answer(w, early), ERR_UNKNOWN_OUTCOME); /* its time was over just before */
    t_err(world_answer(w, stuck), OK);                  /* durable in the region that takes over */
    t_err(world_answer(w, world_put(w, 2, 1, "after", "{}")), OK);
    t_eq_u64(world_conflicts(w, 2, 1), 0);
    world_hold_commits(w, 1, false);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("at Strong and of metadata what a slow disk has not stored is handed over, and not "
       "acknowledged")
{
    struct world *w = world_new(3, CONSISTENCY_STRONG);
    fill(w, 1, 5);
    world_hold_commits(w, 1, true);
    struct world_write *stuck = world_put(w, 1, 1, "stuck", "{}");
    world_run(w, 9800);
    t_eq_u64(world_record(w)->writer, 1);
    world_run(w, 1700);
    t_eq_u64(world_record(w)->writer, 2);
    t_err(world_answer(w, stuck), ERR_UNKNOWN_OUTCOME);
    struct world_write *after = world_put(w, 2, 1, "after", "{}");
    world_run(w, 3000); /* the slow region has left the quorum, and its lease is over */
    t_err(world_answer(w, after), OK);
    t_check((world_record(w)->q_mask & record_mask(1)) == 0);
    world_hold_commits(w, 1, false);
    world_run(w, 500);
    world_free(w);
}

T_TEST("a hand-over from a slow disk that comes to nothing ends with the role given up")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_hold_commits(w, 1, true);
    (void)world_put(w, 1, 1, "stuck", "{}");
    world_until_role(w, 1, ROLE_HOLDING);
    world_cut_peers(w, 1, true);
    world_run(w, 4500);
    t_eq_u64(world_record(w)->writer, 1);
    world_run(w, 2000);
    t_eq_u64(world_record(w)->writer, 2);
    world_cut_peers(w, 1, false);
    t_err(world_answer(w, world_put(w, 2, 1, "after", "{}")), OK);
    world_hold_commits(w, 1, false);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_run(w, 500);
    world_check_same(w);
    world_free(w);
}

T_TEST("with every disk slow the role stays where it is")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 1);
    for (int i = 0; i < 6; i++) {
        world_hold_commits(w, 1, true);
        world_hold_commits(w, 2, true);
        (void)world_put(w, 1, 1, "slow", "{}");
        world_run(w, 5900);
        world_hold_commits(w, 1, false);
        world_hold_commits(w, 2, false);
        world_run(w, 100);
    }
    t_check(world_has_event(w, 1, EVENT_DISK_SLOW) && world_has_event(w, 2, EVENT_DISK_SLOW));
    t_eq_u64(world_record(w)->writer, 1);
    t_eq_u64(world_record(w)->epoch, 1);
    world_free(w);
}

T_TEST("a failover says in which partitions how much was lost")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 4);
    world_run(w, 300);
    world_cut_peers(w, 1, true);
    fill(w, 1, 7);
    world_run(w, 300); /* the heartbeat says it */
    world_stop(w, 1, /* confirm= */ true);
    world_until_role(w, 2, ROLE_WRITER);
    struct buf out;
    buf_init(&out, 1 << 20);
    region_status_json(world_region(w, 2), &out);
    t_contains(buf_str(&out), "\"lostOperationsEstimate\":7,\"lostInPartitions\":"
                              "[{\"partition\":1,\"operationsEstimate\":7}]");
    buf_done(&out);
    t_contains(world_failover_text(w, 2),
               "lost_operations_estimate=7 lost_in_partitions=\"1:7\" reason=");
    world_free(w);
}

T_TEST("a second loss without a confirmed stop waits, a confirmed stop does not")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_cut_coord(w, 1, true);
    world_until_role(w, 2, ROLE_WRITER);
    world_cut_coord(w, 1, false);
    world_until_state(w, 1, REGION_ONLINE_READ);
    world_cut_coord(w, 2, true);
    world_run(w, 2500); /* twice the lease */
    t_eq_u64(world_record(w)->writer, 2);
    t_check(world_has_event(w, 1, EVENT_HELD_BACK));
    struct buf out;
    buf_init(&out, 1 << 20);
    region_status_json(world_region(w, 1), &out);
    t_contains(buf_str(&out), "\"failoverHeldBack\":true");
    t_check(str_find(buf_str(&out), STR("\"failoverHoldLeftMs\":0")) < 0);
    buf_done(&out);
    world_until_role(w, 1, ROLE_WRITER);
    world_stop(w, 1, /* confirm= */ true);
    world_run(w, 500);
    t_eq_u64(world_record(w)->writer, 3);
    world_free(w);
}

static bool has_metric(struct world *w, region_id id, const char *line)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    region_metrics(world_region(w, id), &out);
    bool has = str_find(buf_str(&out), str_of(line)) >= 0;
    buf_done(&out);
    return has;
}

static bool is_settled(struct world *w, region_id id)
{
    return has_metric(w, id, "holdfast_settled{account=\"test\",region=\"\"} 1");
}

/* A region that was not the writer has a suffix too, and nobody takes it offline for that. */
T_TEST("an account may be open and online while its conflict feed is not complete: `settled` tells")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 5);
    world_run(w, 300);
    t_check(is_settled(w, 1));
    t_check(is_settled(w, 2));
    world_cut_peers(w, 3, true);
    t_err(world_answer(w, world_put(w, 1, 1, "x", "{\"lost\":1}")), OK);
    world_run(w, 50);
    world_stop(w, 2, /* confirm= */ false);
    world_stop(w, 1, /* confirm= */ true);
    world_cut_peers(w, 3, false);
    world_until_role(w, 3, ROLE_WRITER);
    world_start(w, 2);
    bool was_incomplete = false;
    for (int i = 0; i < 1000; i++) {
        bool all = is_settled(w, 2) && is_settled(w, 3);
        size_t count = world_conflicts(w, 3, 1);
        t_check(!all || count == 1);
        was_incomplete |= !all && count == 0 &&
                          record_region_const(world_record(w), 2)->state == REGION_ONLINE_READ;
        if (all) {
            break;
        }
        world_run(w, 5);
    }
    t_check(was_incomplete);
    t_eq_u64(world_conflicts(w, 3, 1), 1);
    t_check(is_settled(w, 2) && is_settled(w, 3));
    world_free(w);
}

T_TEST(
    "a clock that leaves the others' raises an alarm in its region only, and nothing else happens")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    fill(w, 1, 3);
    world_set_clock(w, 2, 450); /* below the limit */
    world_run(w, 5000);
    t_check(!world_has_event(w, 2, EVENT_CLOCK_DRIFT));
    world_set_clock(w, 2, -3600000);
    world_run(w, 5000);
    t_check(world_has_event(w, 2, EVENT_CLOCK_DRIFT));
    t_check(has_metric(w, 2, "} -3599.9"));
    t_check(!world_has_event(w, 1, EVENT_CLOCK_DRIFT) && !world_has_event(w, 3, EVENT_CLOCK_DRIFT));
    t_eq_u64(world_record(w)->writer, 1);
    t_eq_u64(world_record(w)->epoch, 1);
    world_set_clock(w, 2, 0);
    world_run(w, 5000);
    t_check(!has_metric(w, 2, "} -3599.9"));
    world_free(w);
}

T_TEST("the status and the metrics can be read in every role")
{
    struct world *w = world_new(2, CONSISTENCY_SESSION);
    fill(w, 1, 2);
    for (region_id id = 1; id <= 2; id++) {
        struct buf out;
        buf_init(&out, 1 << 20);
        region_status_json(world_region(w, id), &out);
        t_contains(buf_str(&out), id == 1 ? "\"WRITER\"" : "\"READER\"");
        buf_clear(&out);
        region_metrics(world_region(w, id), &out);
        t_contains(buf_str(&out), "holdfast_generation");
        t_contains(buf_str(&out), "holdfast_clock_ahead_seconds{");
        t_check(buf_ok(&out));
        buf_done(&out);
    }
    world_free(w);
}

T_MAIN()
