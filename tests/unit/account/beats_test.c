/* What heartbeats say to whoever plans a change, and that a change to a region far behind is refused by them. */
#include "account/beats.h"

#include <string.h>

#include "lib/t.h"
#include "records.h"
#include "world.h"

enum { NOW_MS = 1000000 };

static struct coord_kv beat(unsigned id, const char *text)
{
    return (struct coord_kv){.key = arena_printf(&arena, COORD_PREFIX "shop/beat/%u", id),
                             .value = str_of(text),
                             .rev = 5};
}

/* What a graceful change to region 2 is answered. */
static enum err check(const struct coord_kv *kvs, size_t n, int64_t wall_ms, struct errinfo *ei)
{
    struct account_record from = three_regions("west");
    struct account_record to = three_regions("west");
    struct account_beats b;
    *ei = (struct errinfo){0};
    beats_read(&b, STR("shop"), kvs, n);
    t_ok(account_plan_failover(&to, STR("west"), 1, NULL));
    return beats_check_transfer(&b, &from, &to, wall_ms, ei);
}

#define BEHIND "\"behind\":[{\"region\":2,\"ms\":3251,\"operations\":420}]"

T_TEST("a graceful change to a region that is far behind is refused, with how far")
{
    struct errinfo ei;
    struct coord_kv kv =
        beat(1, "{\"generation\":2,\"lease_ms\":500,\"wall_ms\":999000," BEHIND "}");
    t_err(check(&kv, 1, NOW_MS, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message,
              "region west is 3.2 s behind the write region: it lacks about 420 operations");
    t_check(strstr(ei.hint, "caught up") != NULL);
    t_ok(check(&kv, 1, NOW_MS + 1001, &ei)); /* the writer has not been heard of: nobody knows */
    t_ok(check(NULL, 0, NOW_MS, &ei));
}

T_TEST(
    "only what the writer says of the target counts, and not what it said under another generation")
{
    static const char *const fine[] = {
        "{\"generation\":1,\"wall_ms\":999000," BEHIND "}",
        "{\"generation\":3,\"wall_ms\":999000," BEHIND "}",
        "{\"generation\":2,\"wall_ms\":999000,\"behind\":[{\"region\":3,\"ms\":3000}]}",
        "{\"generation\":2,\"wall_ms\":999000,\"behind\":[{\"region\":64},{\"region\":0},7,[2],"
        "\"2\"]}",
        "{\"generation\":2,\"wall_ms\":999000,\"behind\":{\"region\":2}}",
        "{\"generation\":2,\"wall_ms\":999000}",
    };
    struct errinfo ei;
    for (size_t i = 0; i < ARRAY_COUNT(fine); i++) {
        struct coord_kv kv = beat(1, fine[i]);
        t_ok_info(check(&kv, 1, NOW_MS, &ei), &ei);
    }
    /* One that was the writer, and is gone, says it too: the present one's word is found all the same. */
    struct coord_kv kvs[] = {beat(1, "{\"generation\":2,\"wall_ms\":999000," BEHIND "}"),
                             beat(3, "{\"generation\":1,\"wall_ms\":999000," BEHIND "}")};
    t_err(check(kvs, 2, NOW_MS, &ei), ERR_PRECONDITION);
}

T_TEST("other changes are not looked at, nor is one that runs already")
{
    struct account_record from = three_regions("west");
    struct account_record to = three_regions("west");
    struct account_beats b;
    struct coord_kv kv = beat(1, "{\"generation\":2,\"wall_ms\":999000," BEHIND "}");
    beats_read(&b, STR("shop"), &kv, 1);
    t_ok(beats_check_transfer(&b, &from, &to, NOW_MS, NULL));
    t_ok(account_plan_failover(&to, STR("west"), 1, NULL));
    t_ok(beats_check_transfer(&b, &to, &to, NOW_MS, NULL));
    t_ok(beats_check_transfer(NULL, &from, &to, NOW_MS, NULL)); /* nobody has said anything */
}

T_TEST("a writer says which regions are far behind, and nobody else does")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    struct account_beats b;
    t_err(world_answer(w, world_put(w, 1, 1, "a", "{}")), OK);
    world_run(w, 2000);
    world_beats(w, &b);
    t_check(b.behind[1].by == 0 && b.behind[2].by == 0 && b.behind[3].by == 0);
    world_hold_commits(w, 2, true);
    t_err(world_answer(w, world_put(w, 1, 1, "b", "{}")), OK);
    t_err(world_answer(w, world_put(w, 1, 1, "c", "{}")), OK);
    world_run(w, 900);
    world_beats(w, &b);
    t_check(b.behind[2].by == 0);
    world_run(w, 500);
    world_beats(w, &b);
    t_eq_u64(b.behind[2].by, 1);
    t_eq_u64(b.behind[2].ops, 2);
    t_check(b.behind[2].ms >= 1000 && b.behind[2].ms <= 1500);
    t_check(b.behind[1].by == 0 && b.behind[3].by == 0);
    world_hold_commits(w, 2, false);
    world_run(w, 500);
    world_beats(w, &b);
    t_check(b.behind[2].by == 0);
    world_free(w);
}

T_MAIN()
