/* Partial document update. */
#include "json/patch.h"

#include "json_help.h"

static enum err apply(struct str doc, struct str body, struct str *ret, struct errinfo *ei)
{
    struct json_patch patch;
    TRY(json_patch_parse(&help_arena, help_parse(body), &patch, ei));
    const struct json *v = NULL;
    TRY(json_patch_apply(&help_arena, help_parse(doc), &patch, &v, ei));
    *ret = help_write(v);
    return OK;
}

#define CHECK(doc, ops, want)       check(__LINE__, STR(doc), STR(ops), STR(want))
#define CHECK_FAILS(doc, ops, want) check_fails(__LINE__, STR(doc), STR(ops), want)

static void check(int line, struct str doc, struct str ops, struct str want)
{
    struct str got = STR_NONE;
    struct errinfo ei = {0};
    enum err e = apply(doc, ops, &got, &ei);
    t_checkf(e == OK && str_eq(got, want), "line %d: got " STR_FMT "%s", line, STR_ARG(got),
             ei.message);
}

static void check_fails(int line, struct str doc, struct str ops, const char *want)
{
    struct str got = STR_NONE;
    struct errinfo ei = {0};
    enum err e = apply(doc, ops, &got, &ei);
    t_checkf(e == ERR_INVALID, "line %d: %s", line, err_name(e));
    t_eq_cstr(ei.message, want);
}

T_TEST("add puts members, new or not")
{
    CHECK("{}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":1.0}]", "{\"a\":1.0}");
    CHECK("{\"a\":1,\"b\":2}", "[{\"op\":\"add\",\"path\":\"/a\",\"value\":null}]",
          "{\"a\":null,\"b\":2}");
    CHECK("{\"a\":{\"x\":1}}", "[{\"op\":\"add\",\"path\":\"/a/y\",\"value\":{\"z\": []}}]",
          "{\"a\":{\"x\":1,\"y\":{\"z\": []}}}");
    CHECK("{}",
          "[{\"op\":\"add\",\"path\":\"/\",\"value\":1},"
          "{\"op\":\"add\",\"path\":\"/a~1b~0c\",\"value\":2}]",
          "{\"\":1,\"a/b~c\":2}");
}

T_TEST("add inserts into arrays, before the element or at the end")
{
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/0\",\"value\":0}]", "{\"l\":[0,1,2]}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/1\",\"value\":0}]", "{\"l\":[1,0,2]}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/2\",\"value\":0}]", "{\"l\":[1,2,0]}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/-\",\"value\":0}]", "{\"l\":[1,2,0]}");
    CHECK("{\"l\":[]}", "[{\"op\":\"add\",\"path\":\"/l/0\",\"value\":[9]}]", "{\"l\":[[9]]}");
    CHECK("{\"l\":[[1],[2]]}", "[{\"op\":\"add\",\"path\":\"/l/1/0\",\"value\":0}]",
          "{\"l\":[[1],[0,2]]}");
    CHECK_FAILS("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/3\",\"value\":0}]",
                "operation 1: add: \"/l/3\" is beyond the end of the array");
    CHECK_FAILS("{\"l\":[1,2]}", "[{\"op\":\"add\",\"path\":\"/l/01\",\"value\":0}]",
                "operation 1: add: \"/l/01\" is no index of an array: digits without a leading "
                "zero, or -");
    CHECK_FAILS("{\"l\":[1]}", "[{\"op\":\"add\",\"path\":\"/l/-/x\",\"value\":0}]",
                "operation 1: add: \"/l/-\" does not exist");
}

T_TEST("set is add, but replaces elements of arrays")
{
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"set\",\"path\":\"/l/0\",\"value\":0}]", "{\"l\":[0,2]}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"set\",\"path\":\"/l/-\",\"value\":0}]", "{\"l\":[1,2,0]}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"set\",\"path\":\"/l/2\",\"value\":0}]", "{\"l\":[1,2,0]}");
    CHECK("{\"a\":1}", "[{\"op\":\"set\",\"path\":\"/b\",\"value\":2}]", "{\"a\":1,\"b\":2}");
    CHECK("{\"a\":1}", "[{\"op\":\"set\",\"path\":\"/a\",\"value\":2}]", "{\"a\":2}");
    CHECK_FAILS("{\"l\":[]}", "[{\"op\":\"set\",\"path\":\"/l/1\",\"value\":0}]",
                "operation 1: set: \"/l/1\" is beyond the end of the array");
}

T_TEST("replace wants something there")
{
    CHECK("{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/a\",\"value\":{}}]", "{\"a\":{}}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"replace\",\"path\":\"/l/1\",\"value\":0}]", "{\"l\":[1,0]}");
    CHECK_FAILS("{\"a\":1}", "[{\"op\":\"replace\",\"path\":\"/b\",\"value\":2}]",
                "operation 1: replace: \"/b\" does not exist");
    CHECK_FAILS("{\"l\":[1]}", "[{\"op\":\"replace\",\"path\":\"/l/1\",\"value\":2}]",
                "operation 1: replace: \"/l/1\" does not exist");
    CHECK_FAILS("{\"l\":[1]}", "[{\"op\":\"replace\",\"path\":\"/l/-\",\"value\":2}]",
                "operation 1: replace: \"/l/-\" does not exist");
}

T_TEST("remove takes away, later elements move down")
{
    CHECK("{\"a\":1,\"b\":2,\"c\":3}", "[{\"op\":\"remove\",\"path\":\"/b\"}]",
          "{\"a\":1,\"c\":3}");
    CHECK("{\"a\":1}", "[{\"op\":\"remove\",\"path\":\"/a\"}]", "{}");
    CHECK("{\"l\":[1,2,3]}", "[{\"op\":\"remove\",\"path\":\"/l/0\"}]", "{\"l\":[2,3]}");
    CHECK("{\"l\":[1,2,3]}",
          "[{\"op\":\"remove\",\"path\":\"/l/0\"},{\"op\":\"remove\",\"path\":\"/l/1\"}]",
          "{\"l\":[2]}");
    CHECK_FAILS("{\"l\":[1]}", "[{\"op\":\"remove\",\"path\":\"/l/1\"}]",
                "operation 1: remove: \"/l/1\" does not exist");
    CHECK_FAILS("{\"l\":[1]}", "[{\"op\":\"remove\",\"path\":\"/x\"}]",
                "operation 1: remove: \"/x\" does not exist");
}

T_TEST("incr of integers is exact in int64, of anything else a double")
{
    CHECK("{\"n\":1}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":2}]", "{\"n\":3}");
    CHECK("{\"n\":5}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":-7}]", "{\"n\":-2}");
    CHECK("{\"n\":9007199254740993}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":2}]",
          "{\"n\":9007199254740995}");
    CHECK("{\"n\":9223372036854775806}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]",
          "{\"n\":9223372036854775807}");
    CHECK("{\"n\":9223372036854775807}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]",
          "{\"n\":9223372036854776000}");
    CHECK("{\"n\":-9223372036854775808}",
          "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":9223372036854775807}]", "{\"n\":-1}");
    CHECK("{\"n\":1.5}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]", "{\"n\":2.5}");
    CHECK("{\"n\":1.0}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]", "{\"n\":2}");
    CHECK("{\"n\":0.1}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":0.2}]",
          "{\"n\":0.30000000000000004}");
    CHECK("{\"l\":[1,2]}", "[{\"op\":\"incr\",\"path\":\"/l/1\",\"value\":1}]", "{\"l\":[1,3]}");
    CHECK("{}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1.0}]", "{\"n\":1.0}");
    CHECK("{}",
          "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":9007199254740992},"
          "{\"op\":\"incr\",\"path\":\"/n\",\"value\":1},"
          "{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]",
          "{\"n\":9007199254740994}");
    CHECK_FAILS("{\"n\":\"1\"}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1}]",
                "operation 1: incr: \"/n\" is not a number");
    CHECK_FAILS("{\"n\":1e308}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":1e308}]",
                "operation 1: incr: \"/n\" would leave the range of a double");
    CHECK_FAILS("{\"l\":[]}", "[{\"op\":\"incr\",\"path\":\"/l/-\",\"value\":1}]",
                "operation 1: incr: \"/l/-\" does not exist");
    CHECK_FAILS("{\"n\":1}", "[{\"op\":\"incr\",\"path\":\"/n\",\"value\":\"1\"}]",
                "operation 1: incr: \"value\" must be a number");
}

T_TEST("move takes away and adds")
{
    CHECK("{\"a\":1,\"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/c\"}]",
          "{\"b\":2,\"c\":1}");
    CHECK("{\"a\":1,\"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}]", "{\"b\":1}");
    CHECK("{\"a\":{\"x\":{ \"y\":1.0}},\"b\":0}",
          "[{\"op\":\"move\",\"from\":\"/a/x\",\"path\":\"/a\"}]", "{\"a\":{ \"y\":1.0},\"b\":0}");
    CHECK("{\"l\":[1,2,3]}", "[{\"op\":\"move\",\"from\":\"/l/0\",\"path\":\"/l/2\"}]",
          "{\"l\":[2,3,1]}");
    CHECK("{\"l\":[1,2,3]}", "[{\"op\":\"move\",\"from\":\"/l/2\",\"path\":\"/l/0\"}]",
          "{\"l\":[3,1,2]}");
    CHECK("{\"l\":[1,2],\"m\":[]}", "[{\"op\":\"move\",\"from\":\"/l/0\",\"path\":\"/m/-\"}]",
          "{\"l\":[2],\"m\":[1]}");
    CHECK("{ \"a\":1, \"b\":2}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a\"}]",
          "{ \"a\":1, \"b\":2}");
    CHECK_FAILS("{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/x\"}]",
                "operation 1: move: \"/x\" does not exist");
    CHECK_FAILS("{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/a/b\"}]",
                "operation 1: move: \"path\" must not lie below \"from\"");
    CHECK_FAILS("{\"a\":{}}", "[{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/a/b\"}]",
                "operation 1: move: \"/b\" does not exist");
    CHECK_FAILS("{\"a\":1}", "[{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/c\"}]",
                "operation 1: move: \"/b\" does not exist");
    CHECK_FAILS("{\"a\":1}", "[{\"op\":\"move\",\"path\":\"/b\"}]",
                "operation 1: \"from\" must be a string");
    /* Removing /l/0 moves the rest down: the target of the add is then out of reach. */
    CHECK_FAILS("{\"l\":[1,2]}", "[{\"op\":\"move\",\"from\":\"/l/0\",\"path\":\"/l/2\"}]",
                "operation 1: move: \"/l/2\" is beyond the end of the array");
}

T_TEST("the way to the target must exist and be made of containers")
{
    CHECK_FAILS("{}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]",
                "operation 1: add: \"/a\" does not exist");
    CHECK_FAILS("{\"a\":1}", "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}]",
                "operation 1: add: \"/a\" is a number, not an object or array");
    CHECK_FAILS("{\"a\":\"s\"}", "[{\"op\":\"remove\",\"path\":\"/a/b/c\"}]",
                "operation 1: remove: \"/a\" is a string, not an object or array");
    CHECK_FAILS("{\"a\":null}", "[{\"op\":\"set\",\"path\":\"/a/b\",\"value\":1}]",
                "operation 1: set: \"/a\" is null, not an object or array");
    CHECK_FAILS("{\"a\":[true]}", "[{\"op\":\"set\",\"path\":\"/a/0/b\",\"value\":1}]",
                "operation 1: set: \"/a/0\" is a boolean, not an object or array");
}

T_TEST("later operations see earlier ones, and an error names its operation")
{
    CHECK("{\"id\":\"x\"}",
          "{\"operations\":[{\"op\":\"add\",\"path\":\"/o\",\"value\":{}},"
          "{\"op\":\"add\",\"path\":\"/o/l\",\"value\":[1]},"
          "{\"op\":\"incr\",\"path\":\"/o/l/0\",\"value\":1},"
          "{\"op\":\"move\",\"from\":\"/o/l\",\"path\":\"/l\"}]}",
          "{\"id\":\"x\",\"o\":{},\"l\":[2]}");
    CHECK_FAILS("{\"a\":1}",
                "[{\"op\":\"set\",\"path\":\"/b\",\"value\":1},{\"op\":\"remove\",\"path\":\"/a\"},"
                "{\"op\":\"remove\",\"path\":\"/a\"}]",
                "operation 3: remove: \"/a\" does not exist");
}

T_TEST("unchanged parts are shared and stay as written")
{
    struct str text = STR("{\"keep\": {\"n\": 1.0, \"big\":9007199254740993},\"l\":[ 1e2 , [ 2 ] ],"
                          "\"x\":1}");
    const struct json *doc = help_parse(text);
    const struct json *body = help_parse(STR("[{\"op\":\"add\",\"path\":\"/l/0\",\"value\":-0}]"));
    struct json_patch patch;
    const struct json *v = NULL;
    t_ok(json_patch_parse(&help_arena, body, &patch, NULL));
    t_ok(json_patch_apply(&help_arena, doc, &patch, &v, NULL));
    t_check(json_get(v, STR("keep")) == json_get(doc, STR("keep")));
    t_check(json_get(v, STR("l"))->items[2] == json_get(doc, STR("l"))->items[1]);
    t_eq_lit(help_write(v), "{\"keep\":{\"n\": 1.0, \"big\":9007199254740993},\"l\":[-0,1e2,[ 2 ]],"
                            "\"x\":1}");
    t_eq_str(help_write(doc), text);
    t_eq_u64(json_get(doc, STR("l"))->count, 2);
}

T_TEST("malformed patches are refused")
{
    CHECK_FAILS("{}", "{}",
                "patch: must be an array of operations or an object with an array "
                "\"operations\"");
    CHECK_FAILS("{}", "\"x\"",
                "patch: must be an array of operations or an object with an array "
                "\"operations\"");
    CHECK_FAILS("{}", "[]", "patch: 0 operations, must be 1 to 10");
    CHECK_FAILS("{}", "[1]", "operation 1: must be an object");
    CHECK_FAILS("{}", "[{}]", "operation 1: \"op\" must be a string");
    CHECK_FAILS("{}", "[{\"op\":\"copy\",\"path\":\"/a\"}]", "operation 1: unknown op \"copy\"");
    CHECK_FAILS("{}", "[{\"op\":\"add\",\"value\":1}]", "operation 1: \"path\" must be a string");
    CHECK_FAILS("{}", "[{\"op\":\"add\",\"path\":\"\",\"value\":1}]",
                "operation 1: \"path\" is empty, it must name a property");
    CHECK_FAILS("{}", "[{\"op\":\"add\",\"path\":\"a\",\"value\":1}]",
                "operation 1: path \"a\": expected a slash at byte 1");
    CHECK_FAILS("{}", "[{\"op\":\"add\",\"path\":\"/a\"}]",
                "operation 1: add: \"value\" is missing");
    CHECK_FAILS("{}",
                "{\"operations\":[{\"op\":\"add\",\"path\":\"/a\",\"value\":1}],"
                "\"condition\":1}",
                "patch: \"condition\" must be a string");
}

static struct str many_adds(int n)
{
    struct buf b;
    buf_init(&b, 10000);
    for (int i = 0; i < n; i++) {
        buf_printf(&b, "%c{\"op\":\"add\",\"path\":\"/k%d\",\"value\":%d}", i ? ',' : '[', i, i);
    }
    buf_add_char(&b, ']');
    struct str s = arena_str(&help_arena, buf_str(&b));
    buf_done(&b);
    return s;
}

T_TEST("ten operations are taken, eleven are not")
{
    struct str got = STR_NONE;
    struct errinfo ei = {0};
    t_ok(apply(STR("{}"), many_adds(10), &got, NULL));
    t_eq_u64(help_parse(got)->count, 10);
    t_err(apply(STR("{}"), many_adds(11), &got, &ei), ERR_INVALID);
    t_eq_cstr(ei.message, "patch: 11 operations, must be 1 to 10");
}

T_TEST("the condition is handed on")
{
    struct json_patch patch;
    const struct json *body =
        help_parse(STR("{\"condition\":\"from c where c.x=1\",\"operations\":"
                       "[{\"op\":\"remove\",\"path\":\"/a\",\"value\":null,\"future\":1}]}"));
    t_ok(json_patch_parse(&help_arena, body, &patch, NULL));
    t_check(patch.has_condition);
    t_eq_lit(patch.condition, "from c where c.x=1");
    t_check(patch.ops[0].value == NULL);
    body = help_parse(
        STR("{\"condition\":null,\"operations\":[{\"op\":\"remove\",\"path\":\"/a\"}]}"));
    t_ok(json_patch_parse(&help_arena, body, &patch, NULL));
    t_check(!patch.has_condition);
}

/* `depth` arrays inside one another. */
static struct str nested(size_t depth)
{
    char *p = arena_alloc(&help_arena, depth * 2 + 1);
    memset(p, '[', depth);
    memset(p + depth, ']', depth);
    return (struct str){p, 2 * depth};
}

T_TEST("the result may be nested as deep as a text, not deeper")
{
    struct str value = nested(JSON_DEPTH_MAX - 2);
    struct str deep = nested(JSON_DEPTH_MAX - 3);
    struct str got = STR_NONE;
    struct errinfo ei = {0};
    struct str ops = arena_printf(
        &help_arena, "[{\"op\":\"add\",\"path\":\"/a/b\",\"value\":" STR_FMT "}]", STR_ARG(value));
    t_ok_info(apply(STR("{\"a\":{}}"), ops, &got, &ei), &ei);
    help_parse(got);
    /* A body of that depth cannot be sent, but a patch on a deeper path can. */
    ops =
        arena_printf(&help_arena, "[{\"op\":\"add\",\"path\":\"/a/b/c/d\",\"value\":" STR_FMT "}]",
                     STR_ARG(deep));
    t_err(apply(STR("{\"a\":{\"b\":{\"c\":{}}}}"), ops, &got, &ei), ERR_LIMIT);
    t_eq_cstr(ei.message, "operation 1: add: the document would be nested deeper than 128");
    /* Moving down counts as well. */
    struct str doc = arena_printf(&help_arena, "{\"x\":" STR_FMT ",\"a\":{}}",
                                  STR_ARG(nested(JSON_DEPTH_MAX - 1)));
    t_err(apply(doc, STR("[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/a/b\"}]"), &got, NULL),
          ERR_LIMIT);
    t_ok(apply(doc, STR("[{\"op\":\"move\",\"from\":\"/x\",\"path\":\"/y\"}]"), &got, NULL));
}

static bool touches(struct str body, const struct str *keys, size_t n, size_t *ret_idx)
{
    struct json_patch patch;
    t_ok(json_patch_parse(&help_arena, help_parse(body), &patch, NULL));
    return json_patch_touches(&patch, keys, n, ret_idx);
}

T_TEST("touching means at, above or below")
{
    const struct str key[] = {STR("pk"), STR("x")};
    size_t idx = 99;
    t_check(!touches(STR("[{\"op\":\"remove\",\"path\":\"/a\"}]"), key, 2, &idx));
    t_check(!touches(STR("[{\"op\":\"remove\",\"path\":\"/pk/y\"}]"), key, 2, &idx));
    t_eq_u64(idx, 99);
    t_check(
        touches(STR("[{\"op\":\"remove\",\"path\":\"/a\"},{\"op\":\"remove\",\"path\":\"/pk\"}]"),
                key, 2, &idx));
    t_eq_u64(idx, 1);
    t_check(touches(STR("[{\"op\":\"remove\",\"path\":\"/pk/x\"}]"), key, 2, &idx));
    t_check(touches(STR("[{\"op\":\"remove\",\"path\":\"/pk/x/z\"}]"), key, 2, &idx));
    t_check(touches(STR("[{\"op\":\"move\",\"from\":\"/pk/x\",\"path\":\"/b\"}]"), key, 2, &idx));
    t_check(touches(STR("[{\"op\":\"move\",\"from\":\"/b\",\"path\":\"/pk/x\"}]"), key, 2, &idx));
    t_eq_u64(idx, 0);
}

T_MAIN()
