/* Container paths and policy paths. */
#include "json/path.h"

#include "json_help.h"

static struct json_path parse(struct str text)
{
    struct json_path path = {0};
    struct errinfo ei = {0};
    t_ok_info(json_path_parse(&help_arena, text, &path, &ei), &ei);
    return path;
}

static void check_keys(struct str text, const struct str *keys, size_t n)
{
    struct json_path path = parse(text);
    t_eq_u64(path.count, n);
    for (size_t i = 0; i < n; i++) {
        t_eq_str(path.keys[i], keys[i]);
    }
    /* What is written reads back as the same path. */
    struct buf b;
    buf_init(&b, 100000);
    json_path_write(&b, &path);
    struct json_path again = parse(arena_str(&help_arena, buf_str(&b)));
    t_check(json_path_eq(&path, &again));
    buf_done(&b);
}

T_TEST("plain paths are split at slashes")
{
    check_keys(STR("/a"), (struct str[]){STR("a")}, 1);
    check_keys(STR("/a/b/c"), (struct str[]){STR("a"), STR("b"), STR("c")}, 3);
    check_keys(STR("/_partitionKey"), (struct str[]){STR("_partitionKey")}, 1);
    check_keys(STR("/user-id/x y/a.b"), (struct str[]){STR("user-id"), STR("x y"), STR("a.b")}, 3);
    check_keys(STR("/\xc3\xa9t\xc3\xa9"), (struct str[]){STR("\xc3\xa9t\xc3\xa9")}, 1);
    check_keys(STR("/0/1"), (struct str[]){STR("0"), STR("1")}, 2);
}

T_TEST("quoted names may hold anything")
{
    check_keys(STR("/\"a\""), (struct str[]){STR("a")}, 1);
    check_keys(STR("/\"quoted \\\"name\\\"\"/x"), (struct str[]){STR("quoted \"name\""), STR("x")},
               2);
    check_keys(STR("/\"a/b\"/\"c\\\\d\\/e\""), (struct str[]){STR("a/b"), STR("c\\d/e")}, 2);
    check_keys(STR("/\"\""), (struct str[]){STR("")}, 1);
    check_keys(STR("/\"*\"/\"?\"/\"[]\""), (struct str[]){STR("*"), STR("?"), STR("[]")}, 3);
    check_keys(STR("/\" x \""), (struct str[]){STR(" x ")}, 1);
    check_keys(STR("/\"\\u0041\\n\\ud83d\\ude00\\ud83d\\u0000\""),
               (struct str[]){STR("A\n\xf0\x9f\x98\x80\xed\xa0\xbd\0")}, 1);
    check_keys(STR("/'it\\'s \"so\"'/'\\\\\\''"), (struct str[]){STR("it's \"so\""), STR("\\'")},
               2);
}

static void check_fails(struct str text, const char *message)
{
    struct json_path path = {0};
    struct errinfo ei = {0};
    t_err(json_path_parse(&help_arena, text, &path, &ei), ERR_INVALID);
    t_eq_cstr(ei.message, message);
    t_check(path.keys == NULL);
}

T_TEST("bad paths are refused with the reason and the place")
{
    check_fails(STR(""), "path is empty");
    check_fails(STR("a"), "path \"a\": expected a slash at byte 1");
    check_fails(STR("/"), "path \"/\": a name is missing at byte 2");
    check_fails(STR("//a"), "path \"//a\": a name is missing at byte 2");
    check_fails(STR("/a//b"), "path \"/a//b\": a name is missing at byte 4");
    check_fails(STR("/a/"), "path \"/a/\": a name is missing at byte 4");
    check_fails(STR("/\"a"), "path \"/\"a\": quote without a closing one at byte 2");
    check_fails(STR("/\"a\\\""), "path \"/\"a\\\"\": quote without a closing one at byte 2");
    check_fails(STR("/\"a\"b"), "path \"/\"a\"b\": expected a slash at byte 5");
    check_fails(STR("/\"a\\x\""), "path \"/\"a\\x\"\": bad escape sequence at byte 4");
    check_fails(STR("/\"a\\"), "path \"/\"a\\\": bad escape sequence at byte 4");
    check_fails(STR("/\"\\u00\""), "path \"/\"\\u00\"\": bad escape sequence at byte 3");
    check_fails(STR("/a\"b"),
                "path \"/a\"b\": this character needs the name in double quotes at byte 3");
    check_fails(STR("/a[0]"),
                "path \"/a[0]\": this character needs the name in double quotes at byte 3");
    check_fails(STR("/a\\b"),
                "path \"/a\\b\": this character needs the name in double quotes at byte 3");
    check_fails(STR("/x/ a"),
                "path \"/x/ a\": a blank at the end of a name needs double quotes at byte 4");
    check_fails(STR("/a\xff"), "path \"/a\xff\": not UTF-8 at byte 3");
    check_fails(STR("/a/*"),
                "path \"/a/*\": a wildcard is not allowed in this kind of path at byte 3");
    check_fails(STR("/?"), "path \"/?\": a wildcard is not allowed in this kind of path at byte 1");
    check_fails(STR("/a/[]/b"),
                "path \"/a/[]/b\": a wildcard is not allowed in this kind of path at byte 3");
}

static struct str repeated(struct str part, size_t n)
{
    char *p = arena_alloc(&help_arena, part.n * n + 1);
    for (size_t i = 0; i < n; i++) {
        memcpy(p + i * part.n, part.p, part.n);
    }
    return (struct str){p, part.n * n};
}

T_TEST("names and bytes are counted up to the limits")
{
    struct json_path path = {0};
    struct errinfo ei = {0};
    t_eq_u64(parse(repeated(STR("/a"), JSON_PATH_KEYS_MAX)).count, JSON_PATH_KEYS_MAX);
    t_err(json_path_parse(&help_arena, repeated(STR("/a"), JSON_PATH_KEYS_MAX + 1), &path, &ei),
          ERR_INVALID);
    t_contains(str_of(ei.message), "too many names at byte 257");
    char *p = arena_alloc(&help_arena, JSON_PATH_SIZE_MAX + 1);
    memset(p, 'x', JSON_PATH_SIZE_MAX + 1);
    p[0] = '/';
    t_eq_u64(parse(str_make(p, JSON_PATH_SIZE_MAX)).keys[0].n, JSON_PATH_SIZE_MAX - 1);
    t_err(json_path_parse(&help_arena, str_make(p, JSON_PATH_SIZE_MAX + 1), &path, NULL),
          ERR_INVALID);
}

T_TEST("evaluation follows objects only")
{
    const struct json *v =
        help_parse(STR("{\"a\":{\"b c\":{\"d\":1}},\"l\":[{\"x\":1}],\"n\":null}"));
    struct json_path path = parse(STR("/a/\"b c\"/d"));
    t_eq_f64(json_path_eval(v, &path)->number, 1);
    path = parse(STR("/a/b c"));
    t_eq_int(json_path_eval(v, &path)->type, JSON_OBJECT);
    path = parse(STR("/n"));
    t_eq_int(json_path_eval(v, &path)->type, JSON_NULL);
    path = parse(STR("/n/x"));
    t_check(json_path_eval(v, &path) == NULL);
    path = parse(STR("/l/0"));
    t_check(json_path_eval(v, &path) == NULL);
    path = parse(STR("/A"));
    t_check(json_path_eval(v, &path) == NULL);
}

T_TEST("paths are equal by their names, not by their notation")
{
    struct json_path a = parse(STR("/a/b"));
    struct json_path b = parse(STR("/\"a\"/'b'"));
    struct json_path c = parse(STR("/a"));
    struct json_path d = parse(STR("/a/c"));
    t_check(json_path_eq(&a, &b));
    t_check(!json_path_eq(&a, &c) && !json_path_eq(&c, &a) && !json_path_eq(&a, &d));
}

static struct json_policy_path policy(struct str text)
{
    struct json_policy_path path = {0};
    struct errinfo ei = {0};
    t_ok_info(json_policy_path_parse(&help_arena, text, &path, &ei), &ei);
    return path;
}

T_TEST("policy paths know their ends and array elements")
{
    struct json_policy_path p = policy(STR("/*"));
    t_check(p.count == 0 && p.end == JSON_POLICY_END_SUBTREE);
    p = policy(STR("/?"));
    t_check(p.count == 0 && p.end == JSON_POLICY_END_SCALAR);
    p = policy(STR("/\"_etag\"/?"));
    t_check(p.count == 1 && p.end == JSON_POLICY_END_SCALAR);
    t_eq_lit(p.steps[0].key, "_etag");
    p = policy(STR("/a/[]/\"b*\"/*"));
    t_check(p.count == 3 && p.end == JSON_POLICY_END_SUBTREE);
    t_check(!p.steps[0].is_elements && p.steps[1].is_elements && !p.steps[2].is_elements);
    t_eq_lit(p.steps[2].key, "b*");
    p = policy(STR("/a/b"));
    t_check(p.count == 2 && p.end == JSON_POLICY_END_NONE);
    p = policy(STR("/a/[]"));
    t_check(p.count == 2 && p.end == JSON_POLICY_END_NONE);
}

T_TEST("wildcards stand alone and at the end")
{
    static const struct {
        struct str text;
        const char *message;
    } cases[] = {
        {STR_INIT("/*/a"), "path \"/*/a\": nothing may follow ? or * at byte 3"},
        {STR_INIT("/a/?/*"), "path \"/a/?/*\": nothing may follow ? or * at byte 5"},
        {STR_INIT("/a*"), "path \"/a*\": this character needs the name in double quotes at byte 3"},
        {STR_INIT("/a?/b"),
         "path \"/a?/b\": this character needs the name in double quotes at byte 3"},
        {STR_INIT("/a/[1]/?"),
         "path \"/a/[1]/?\": this character needs the name in double quotes at byte 4"},
        {STR_INIT("/a/"), "path \"/a/\": a name is missing at byte 4"},
        {STR_INIT("*"), "path \"*\": expected a slash at byte 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_policy_path p = {0};
        struct errinfo ei = {0};
        t_err(json_policy_path_parse(&help_arena, cases[i].text, &p, &ei), ERR_INVALID);
        t_eq_cstr(ei.message, cases[i].message);
    }
}

T_MAIN()
