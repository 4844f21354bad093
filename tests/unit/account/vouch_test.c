/* Writing on without the coordinator; account/vouch.c has the rule. */
#include "account/region.h"

#include "lib/t.h"
#include "world.h"

static const usec MS = 1000;

static enum err put(struct world *w, region_id id, const char *key)
{
    return world_answer(w, world_put(w, id, 1, key, "{}"));
}

static void cut_all(struct world *w, bool is_cut)
{
    for (region_id id = 1; id <= w->count; id++) {
        world_cut_coord(w, id, is_cut);
    }
}

T_TEST("all regions agree: writes go on for as long as the coordinator is away, and after it came "
       "back")
{
    struct world *w = world_new_keeping(3, CONSISTENCY_STRONG, KEEP_WRITING_YES);
    generation before = world_record(w)->generation;
    cut_all(w, true);
    for (int i = 0; i < 100; i++) {
        world_run(w, 100);
        t_err(put(w, 1, "k"), OK);
    }
    t_check(world_has_event(w, 1, EVENT_VOUCHED));
    t_check(!world_has_event(w, 1, EVENT_LEASE_LOST));
    cut_all(w, false);
    for (int i = 0; i < 40; i++) {
        world_run(w, 100);
        t_err(put(w, 1, "k"), OK);
    }
    t_eq_u64(world_record(w)->generation, before);
    world_check_same(w);
    world_free(w);
}

T_TEST("not asked for, two regions stop and one goes on; forbidden, one stops as well")
{
    static const struct {
        size_t regions;
        enum keep_writing keep;
        enum err want;
    } rows[] = {{2, KEEP_WRITING_AUTO, ERR_NOT_WRITER},
                {2, KEEP_WRITING_NO, ERR_NOT_WRITER},
                {2, KEEP_WRITING_YES, OK},
                {1, KEEP_WRITING_AUTO, OK},
                {1, KEEP_WRITING_YES, OK},
                {1, KEEP_WRITING_NO, ERR_NOT_WRITER}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        struct world *w = world_new_keeping(rows[i].regions, CONSISTENCY_SESSION, rows[i].keep);
        cut_all(w, true);
        world_run(w, 3000);
        t_err(put(w, 1, "k"), rows[i].want);
        t_check(world_has_event(w, 1, EVENT_LEASE_LOST) == (rows[i].want != OK));
        cut_all(w, false);
        world_run(w, 3000);
        t_err(put(w, world_record(w)->writer, "k"), OK); /* perhaps another one by now */
        world_free(w);
    }
}

T_TEST("one region that cannot be asked is one too few, whatever the others say")
{
    struct world *w = world_new_keeping(3, CONSISTENCY_SESSION, KEEP_WRITING_YES);
    cut_all(w, true);
    world_run(w, 2000);
    t_err(put(w, 1, "k"), OK);
    world_cut_peers(w, 3, true);
    world_run(w, 1300);
    t_err(put(w, 1, "k"), ERR_NOT_WRITER);
    world_cut_peers(w, 3, false);
    world_run(w, 600);
    t_err(put(w, 1, "k"), OK);
    world_free(w);
}

T_TEST("a region that hears the coordinator does not vouch: a writer that alone is cut off is "
       "replaced in time")
{
    struct world *w = world_new_keeping(3, CONSISTENCY_SESSION, KEEP_WRITING_YES);
    world_cut_coord(w, 1, true);
    usec cut = w->now;
    world_until_role(w, 2, ROLE_WRITER);
    t_checkf(w->now - cut < 2000 * MS, "took %llu us", (unsigned long long)(w->now - cut));
    t_eq_u64(w->sent[MSG_VOUCHED], 0);
    t_check(w->sent[MSG_VOUCH] > 0);
    t_err(put(w, 1, "k"), ERR_NOT_WRITER);
    world_free(w);
}

T_TEST("what was promised is kept: taking over waits, and a stop that is confirmed ends it")
{
    for (int confirmed = 0; confirmed < 2; confirmed++) {
        struct world *w = world_new_keeping(2, CONSISTENCY_SESSION, KEEP_WRITING_YES);
        cut_all(w, true);
        world_run(w, 3000);
        usec last = w->now; /* it vouched less than a heartbeat ago */
        world_stop(w, 1, confirmed == 1);
        world_cut_coord(w, 2, false);
        world_until_role(w, 2, ROLE_WRITER);
        usec took = w->now - last;
        t_checkf(confirmed == 1 ? took < 500 * MS : took > 1000 * MS, "took %llu us",
                 (unsigned long long)took);
        world_start(w, 1);
        world_cut_coord(w, 1, false);
        world_until_state(w, 1, REGION_ONLINE_READ);
        world_check_same(w);
        world_free(w);
    }
}

T_TEST("a region that has just started, or has asked for a change, does not vouch")
{
    struct world *w = world_new_keeping(2, CONSISTENCY_SESSION, KEEP_WRITING_YES);
    world_stop(w, 2, false);
    cut_all(w, true);
    world_start(w, 2);
    world_cut_coord(w, 2, true);
    world_run(w, 3000);
    t_err(put(w, 1, "k"), ERR_NOT_WRITER);
    t_eq_u64(w->sent[MSG_VOUCHED], 0);
    world_free(w);
}

T_TEST("regions of an older program do not know the question: the writer stops, as it did")
{
    struct world *w = world_new_keeping(2, CONSISTENCY_SESSION, KEEP_WRITING_YES);
    w->unknown_type = MSG_VOUCH;
    cut_all(w, true);
    world_run(w, 3000);
    t_err(put(w, 1, "k"), ERR_NOT_WRITER);
    cut_all(w, false);
    world_run(w, 3000);
    t_err(put(w, world_record(w)->writer, "k"), OK);
    world_free(w);
}

T_TEST("names of the setting")
{
    enum keep_writing k = KEEP_WRITING_AUTO;
    for (int i = KEEP_WRITING_AUTO; i <= KEEP_WRITING_YES; i++) {
        t_check(keep_writing_parse(str_of(keep_writing_name((enum keep_writing)i)), &k));
        t_eq_int((int)k, i);
    }
    t_check(!keep_writing_parse(STR("maybe"), &k));
    t_check(!keep_writing_parse(STR(""), &k));
}

T_MAIN()
