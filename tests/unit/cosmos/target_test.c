#include "cosmos/target.h"

#include "base/arena.h"
#include "lib/t.h"

static struct arena arena;

static struct target parse(const char *raw)
{
    struct target t;
    struct errinfo ei = {0};
    t_ok_info(target_parse(&arena, str_of(raw), &t, &ei), &ei);
    return t;
}

T_TEST("a path is taken apart and decoded once")
{
    arena_init(&arena);
    struct target t = parse("/dbs/db1/colls/c%201/docs/a%2520b");
    t_eq_u64(t.count, 6);
    t_eq_lit(t.seg[0], "dbs");
    t_eq_lit(t.seg[3], "c 1");
    t_eq_lit(t.seg[5], "a%20b");
    t_eq_lit(t.decoded, "dbs/db1/colls/c 1/docs/a%20b");
    t_eq_lit(t.raw, "dbs/db1/colls/c%201/docs/a%2520b");
    arena_done(&arena);
}

T_TEST("the root has no segments")
{
    arena_init(&arena);
    t_eq_u64(parse("/").count, 0);
    t_eq_u64(parse("").count, 0);
    t_eq_u64(parse("//").count, 0);
    arena_done(&arena);
}

T_TEST("double and trailing slashes are tolerated")
{
    arena_init(&arena);
    struct target t = parse("//dbs//db1/colls/c1/docs/");
    t_eq_u64(t.count, 5);
    t_eq_lit(t.seg[1], "db1");
    t_eq_lit(t.seg[4], "docs");
    t_eq_lit(t.decoded, "dbs/db1/colls/c1/docs");
    arena_done(&arena);
}

T_TEST("a question mark belongs to the id")
{
    arena_init(&arena);
    struct target t = parse("/dbs/d/colls/c/docs/a?b=c");
    t_eq_lit(t.seg[5], "a?b=c");
    arena_done(&arena);
}

T_TEST("blanks at both ends and any Unicode stay as they are")
{
    arena_init(&arena);
    struct target t = parse("/dbs/d/colls/c/docs/%20%09x%0D%0A%20");
    t_eq_lit(t.seg[5], " \tx\r\n ");
    t = parse("/dbs/d/colls/c/docs/%E2%82%AC");
    t_eq_lit(t.seg[5], "\xe2\x82\xac");
    arena_done(&arena);
}

T_TEST("bad escapes, bad UTF-8 and paths over a limit are errors")
{
    arena_init(&arena);
    struct target t;
    t_err(target_parse(&arena, STR("/dbs/%"), &t, NULL), ERR_INVALID);
    t_err(target_parse(&arena, STR("/dbs/%4"), &t, NULL), ERR_INVALID);
    t_err(target_parse(&arena, STR("/dbs/%zz"), &t, NULL), ERR_INVALID);
    t_err(target_parse(&arena, STR("/dbs/%ff"), &t, NULL), ERR_INVALID);
    t_err(target_parse(&arena, STR("/1/2/3/4/5/6/7/8/9/10/11"), &t, NULL), ERR_NOT_FOUND);
    char *big = arena_alloc(&arena, TARGET_SIZE_MAX + 1);
    memset(big, 'a', TARGET_SIZE_MAX + 1);
    t_ok(target_parse(&arena, str_make(big, TARGET_SIZE_MAX), &t, NULL));
    t_err(target_parse(&arena, str_make(big, TARGET_SIZE_MAX + 1), &t, NULL), ERR_INVALID);
    arena_done(&arena);
}

T_MAIN()
