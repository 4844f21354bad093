/* Access to trees and their construction. */
#include "json/json.h"

#include "json_help.h"

T_TEST("members are found by key, and nothing is found in what is no object")
{
    const struct json *v =
        help_parse(STR("{\"a\":{\"b\":{\"c\":7}},\"\":1,\"n\\u0000x\":2,\"z\":null}"));
    t_eq_f64(json_get(v, STR(""))->number, 1);
    t_eq_f64(json_get(v, STR("n\0x"))->number, 2);
    t_check(json_get(v, STR("n")) == NULL);
    t_check(json_get(v, STR("A")) == NULL);
    t_eq_int(json_get(v, STR("z"))->type, JSON_NULL);
    t_check(json_get(NULL, STR("a")) == NULL);
    t_check(json_get(help_parse(STR("[1]")), STR("a")) == NULL);
    const struct str path[] = {STR("a"), STR("b"), STR("c"), STR("d")};
    t_eq_f64(json_get_path(v, path, 3)->number, 7);
    t_check(json_get_path(v, path, 4) == NULL);
    t_check(json_get_path(v, path + 1, 1) == NULL);
    t_check(json_get_path(v, NULL, 0) == v);
}

T_TEST("typed access leaves the result alone when type or key is another")
{
    const struct json *v = help_parse(STR("{\"s\":\"x\",\"u\":5,\"b\":true,\"neg\":-1,\"f\":1.5}"));
    struct str s = STR("old");
    uint64_t u = 99;
    bool b = false;
    t_check(!json_get_str(v, STR("u"), &s) && !json_get_str(v, STR("none"), &s));
    t_eq_lit(s, "old");
    t_check(json_get_str(v, STR("s"), &s));
    t_eq_lit(s, "x");
    t_check(!json_get_u64(v, STR("s"), &u) && !json_get_u64(v, STR("neg"), &u));
    t_check(!json_get_u64(v, STR("f"), &u) && !json_get_u64(NULL, STR("u"), &u));
    t_eq_u64(u, 99);
    t_check(json_get_u64(v, STR("u"), &u));
    t_eq_u64(u, 5);
    t_check(!json_get_bool(v, STR("u"), &b) && !b);
    t_check(json_get_bool(v, STR("b"), &b) && b);
}

T_TEST("unsigned integers are exact up to 2^64 - 1")
{
    const struct json *v = help_parse(STR("{\"a\":18446744073709551615,\"b\":18446744073709551616,"
                                          "\"c\":9007199254740993,\"d\":-0,\"e\":1e3}"));
    uint64_t u = 0;
    t_check(json_get_u64(v, STR("a"), &u) && u == UINT64_MAX);
    t_check(!json_get_u64(v, STR("b"), &u));
    t_check(json_get_u64(v, STR("c"), &u) && u == UINT64_C(9007199254740993));
    t_check(json_get_u64(v, STR("d"), &u) && u == 0);
    t_check(json_get_u64(v, STR("e"), &u) && u == 1000);
}

T_TEST("signed integers are exact within int64 and nothing beyond is one")
{
    int64_t i = 0;
    t_check(json_is_integer(help_parse(STR("9223372036854775807")), &i) && i == INT64_MAX);
    t_check(json_is_integer(help_parse(STR("-9223372036854775808")), &i) && i == INT64_MIN);
    t_check(!json_is_integer(help_parse(STR("9223372036854775808")), &i));
    t_check(!json_is_integer(help_parse(STR("-9223372036854775809")), &i));
    t_check(json_is_integer(help_parse(STR("-5")), &i) && i == -5);
    t_check(json_is_integer(help_parse(STR("-0.0")), &i) && i == 0);
    t_check(!json_is_integer(help_parse(STR("true")), &i) && !json_is_integer(NULL, &i));
    t_check(!json_is_integer(json_number(&help_arena, 0x1p63), &i));
    t_check(json_is_integer(json_number(&help_arena, -0x1p63), &i) && i == INT64_MIN);
}

T_TEST("integers made by a program are exact when written and read")
{
    static const int64_t values[] = {0,
                                     -1,
                                     42,
                                     INT64_C(9007199254740992),
                                     INT64_C(9007199254740993),
                                     -INT64_C(9007199254740993),
                                     INT64_MAX,
                                     INT64_MIN};
    for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
        const struct json *v = json_integer(&help_arena, values[k]);
        int64_t i = 0;
        t_check(json_is_integer(v, &i));
        t_eq_i64(i, values[k]);
        t_eq_str(help_write(v), arena_printf(&help_arena, "%" PRId64, values[k]));
        t_check(v->number == (double)values[k]);
    }
}

T_TEST("constructed trees are written compactly")
{
    const struct json *items[] = {json_null(), json_bool(true), json_number(&help_arena, 0.25),
                                  json_string(&help_arena, STR("a\"\0\n"))};
    const struct json_member members[] = {
        {STR("list"), json_array(&help_arena, items, 4)},
        {STR("none"), json_object(&help_arena, NULL, 0)},
        {STR("left out"), json_undefined()},
    };
    const struct json *v = json_object(&help_arena, members, 3);
    t_eq_lit(help_write(v), "{\"list\":[null,true,0.25,\"a\\\"\\u0000\\n\"],\"none\":{}}");
    t_eq_int(json_undefined()->type, JSON_UNDEFINED);
    t_check(json_bool(false) == json_bool(false) && !json_bool(false)->boolean);
}

T_MAIN()
