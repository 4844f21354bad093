/* JSON pointers, with the examples of RFC 6901. */
#include "json/path.h"

#include "json_help.h"

static struct json_pointer parse(struct str text)
{
    struct json_pointer p = {0};
    struct errinfo ei = {0};
    t_ok_info(json_pointer_parse(&help_arena, text, &p, &ei), &ei);
    struct buf b;
    buf_init(&b, 100000);
    json_pointer_write(&b, &p, p.count);
    t_eq_str(buf_str(&b), text);
    buf_done(&b);
    return p;
}

T_TEST("the examples of RFC 6901 section 5")
{
    const struct json *doc =
        help_parse(STR("{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,"
                       "\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}"));
    static const struct {
        struct str pointer;
        double number;
    } cases[] = {
        {STR_INIT("/"), 0},     {STR_INIT("/a~1b"), 1}, {STR_INIT("/c%d"), 2},
        {STR_INIT("/e^f"), 3},  {STR_INIT("/g|h"), 4},  {STR_INIT("/i\\j"), 5},
        {STR_INIT("/k\"l"), 6}, {STR_INIT("/ "), 7},    {STR_INIT("/m~0n"), 8},
    };
    struct json_pointer p = parse(STR(""));
    t_check(json_pointer_eval(doc, &p) == doc);
    p = parse(STR("/foo"));
    t_eq_u64(json_pointer_eval(doc, &p)->count, 2);
    p = parse(STR("/foo/0"));
    t_eq_lit(json_pointer_eval(doc, &p)->text, "bar");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = parse(cases[i].pointer);
        t_eq_f64(json_pointer_eval(doc, &p)->number, cases[i].number);
    }
}

T_TEST("what is not there is not found")
{
    const struct json *doc = help_parse(STR("{\"a\":[1,{\"b\":2}],\"0\":3}"));
    static const struct str absent[] = {STR_INIT("/b"),       STR_INIT("/a/2"),
                                        STR_INIT("/a/-"),     STR_INIT("/a/01"),
                                        STR_INIT("/a/x"),     STR_INIT("/a/-1"),
                                        STR_INIT("/a/0/b"),   STR_INIT("/a/"),
                                        STR_INIT("/a/1/b/c"), STR_INIT("/a/99999999999999999999")};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        struct json_pointer p = parse(absent[i]);
        t_check(json_pointer_eval(doc, &p) == NULL);
    }
    struct json_pointer p = parse(STR("/a/1/b"));
    t_eq_f64(json_pointer_eval(doc, &p)->number, 2);
    p = parse(STR("/0"));
    t_eq_f64(json_pointer_eval(doc, &p)->number, 3);
}

T_TEST("~01 is ~1, not a slash")
{
    struct json_pointer p = parse(STR("/~01/~1~0~1"));
    t_eq_u64(p.count, 2);
    t_eq_lit(p.tokens[0], "~1");
    t_eq_lit(p.tokens[1], "/~/");
}

T_TEST("bad pointers are refused with the place")
{
    struct json_pointer p = {0};
    struct errinfo ei = {0};
    t_err(json_pointer_parse(&help_arena, STR("a/b"), &p, &ei), ERR_INVALID);
    t_eq_cstr(ei.message, "path \"a/b\": expected a slash at byte 1");
    ei = (struct errinfo){0};
    t_err(json_pointer_parse(&help_arena, STR("/x/a~2"), &p, &ei), ERR_INVALID);
    t_eq_cstr(ei.message,
              "path \"/x/a~2\": ~ must be followed by 0 (for ~) or 1 (for /) at byte 5");
    ei = (struct errinfo){0};
    t_err(json_pointer_parse(&help_arena, STR("/a~/b"), &p, &ei), ERR_INVALID);
    t_contains(str_of(ei.message), "at byte 3");
    t_check(p.tokens == NULL);
}

T_TEST("tokens and bytes are counted up to the limits")
{
    char text[2 * JSON_PATH_KEYS_MAX + 2];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i % 2 ? 'a' : '/';
    }
    struct json_pointer p = {0};
    t_ok(json_pointer_parse(&help_arena, str_make(text, sizeof(text) - 2), &p, NULL));
    t_eq_u64(p.count, JSON_PATH_KEYS_MAX);
    t_err(json_pointer_parse(&help_arena, str_make(text, sizeof(text)), &p, NULL), ERR_INVALID);
    static char large[JSON_PATH_SIZE_MAX + 1] = "/";
    t_ok(json_pointer_parse(&help_arena, str_make(large, JSON_PATH_SIZE_MAX), &p, NULL));
    t_err(json_pointer_parse(&help_arena, str_make(large, sizeof(large)), &p, NULL), ERR_INVALID);
}

T_TEST("indexes are digits without a leading zero")
{
    size_t idx = 77;
    t_check(json_pointer_index(STR("0"), &idx) && idx == 0);
    t_check(json_pointer_index(STR("10"), &idx) && idx == 10);
    t_check(!json_pointer_index(STR("00"), &idx) && !json_pointer_index(STR("01"), &idx));
    t_check(!json_pointer_index(STR(""), &idx) && !json_pointer_index(STR("-"), &idx));
    t_check(!json_pointer_index(STR("+1"), &idx) && !json_pointer_index(STR("1e0"), &idx));
    t_check(!json_pointer_index(STR("18446744073709551616"), &idx));
    t_eq_u64(idx, 10);
}

T_TEST("a pointer is a prefix of itself and of what lies below")
{
    struct json_pointer a = parse(STR("/a"));
    struct json_pointer ab = parse(STR("/a/b"));
    struct json_pointer c = parse(STR("/c"));
    struct json_pointer root = parse(STR(""));
    t_check(json_pointer_is_prefix(&a, &a) && json_pointer_is_prefix(&a, &ab));
    t_check(!json_pointer_is_prefix(&ab, &a) && !json_pointer_is_prefix(&c, &ab));
    t_check(json_pointer_is_prefix(&root, &c) && !json_pointer_is_prefix(&c, &root));
}

T_MAIN()
