/* Text edits. */
#include "json/edit.h"

#include "base/contract.h"
#include "base/rng.h"

#include "json_help.h"

static const struct str system_keys[] = {STR_INIT("_rid"), STR_INIT("_self"), STR_INIT("_etag"),
                                         STR_INIT("_ts"), STR_INIT("_attachments")};

static struct str without(const struct json *v, const struct str *keys, size_t n, size_t *ret_count)
{
    struct buf b;
    buf_init(&b, (size_t)8 << 20);
    *ret_count = json_text_without(&b, v, keys, n);
    struct str s = arena_str(&help_arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static void check_without(int line, struct str text, struct str want)
{
    size_t count = 0;
    struct str got = without(help_parse(text), system_keys, ARRAY_COUNT(system_keys), &count);
    t_checkf(str_eq(got, want), "line %d: got " STR_FMT, line, STR_ARG(got));
    /* Count and text agree, and the text is a document once closed. */
    const struct json *v = help_parse(arena_printf(&help_arena, STR_FMT "}", STR_ARG(got)));
    t_eq_u64(v->count, count);
}
#define CHECK(text, want) check_without(__LINE__, STR(text), STR(want))

T_TEST("named members go, the others stay byte by byte")
{
    CHECK("{}", "{");
    CHECK("{\"_ts\":1}", "{");
    CHECK("{\"id\":\"x\",\"n\":1.0}", "{\"id\":\"x\",\"n\":1.0");
    CHECK("{\"_rid\":1,\"id\":\"x\",\"_ts\":2,\"b\":[1, 2],\"c\":{ }}",
          "{\"id\":\"x\",\"b\":[1, 2],\"c\":{ }");
    CHECK("{\"id\":1,\"_ts\":2}", "{\"id\":1");
    CHECK("{\"a\":1,\"_ts\":2,\"_etag\":\"\",\"b\":3}", "{\"a\":1,\"b\":3");
    CHECK("{\"_x\":1,\"ts\":2}", "{\"_x\":1,\"ts\":2");
}

T_TEST("blanks between members go, blanks inside values stay")
{
    CHECK(" {\n \"a\" : 1 ,\n\t\"_ts\" :\r\n 2 , \"b\":[ 1 , 2 ] }\n", "{\"a\":1,\"b\":[ 1 , 2 ]");
    CHECK("{\"a\":1, \"b\":2,\"c\":3,\"d\" :4,\"e\":5}",
          "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5");
    CHECK("{\"a\":1 ,\"b\":2}", "{\"a\":1,\"b\":2");
}

T_TEST("keys keep their escapes and are named by what they mean")
{
    CHECK("{\"\\u0061\":1,\"\\u005fts\":2,\"q\\\"\\\\\":3}", "{\"\\u0061\":1,\"q\\\"\\\\\":3");
    CHECK("{ \"\\\\\" : \"a,\\\"b\\\":1\" , \"\":0 , \"x,\\\"y\" : 1}",
          "{\"\\\\\":\"a,\\\"b\\\":1\",\"\":0,\"x,\\\"y\":1");
    CHECK("{\"\\ud83d\":1}", "{\"\\ud83d\":1");
}

T_TEST("a document inside another text is edited alone")
{
    const struct json *v = help_parse(STR("[{\"a\":1},{\"_ts\":0,\"b\":{\"_ts\":1}},{\"c\":3}]"));
    size_t count = 0;
    t_eq_lit(without(v->items[1], system_keys, ARRAY_COUNT(system_keys), &count),
             "{\"b\":{\"_ts\":1}");
    t_eq_u64(count, 1);
}

T_TEST("a tree made by a program is written as json_write does")
{
    const struct json *v = help_parse(STR("{\"keep\": 1.0}"));
    const struct json_member members[] = {{STR("_ts"), json_null()},
                                          {STR("n\n"), v->members[0].value},
                                          {STR("u"), json_undefined()},
                                          {STR("b"), json_bool(true)}};
    size_t count = 0;
    t_eq_lit(without(json_object(&help_arena, members, 4), system_keys, ARRAY_COUNT(system_keys),
                     &count),
             "{\"n\\n\":1.0,\"b\":true");
    t_eq_u64(count, 2);
}

static void add_blanks(struct buf *b, struct rng *rng)
{
    static const char *const blanks[] = {"", "", "", "", " ", "\n  ", "\t", "\r\n"};
    buf_add_cstr(b, blanks[rng_below(rng, ARRAY_COUNT(blanks))]);
}

T_TEST("random documents keep every member that is not named")
{
    /* A random subset of the keys is named; the rest must be equal in the result, in order. */
    static const char *const values[] = {"1", "1.0", "\"s\"", "[1, {\"a\":2}]", "{ }", "null"};
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int round = 0; round < 3000; round++) {
        struct buf text;
        struct buf want;
        struct str named[12];
        size_t named_count = 0;
        buf_init(&text, 10000);
        buf_init(&want, 10000);
        buf_add_char(&text, '{');
        buf_add_char(&want, '{');
        size_t n = rng_below(&rng, 12);
        for (size_t i = 0; i < n; i++) {
            const char *value = values[rng_below(&rng, ARRAY_COUNT(values))];
            struct str key =
                arena_printf(&help_arena, rng_chance(&rng, 1, 4) ? "\\u006b%zu" : "k%zu", i);
            buf_add_cstr(&text, i ? "," : "");
            add_blanks(&text, &rng);
            buf_printf(&text, "\"" STR_FMT "\"", STR_ARG(key));
            add_blanks(&text, &rng);
            buf_add_char(&text, ':');
            add_blanks(&text, &rng);
            buf_add_cstr(&text, value);
            add_blanks(&text, &rng);
            if (rng_chance(&rng, 1, 3)) {
                named[named_count++] = arena_printf(&help_arena, "k%zu", i);
            } else {
                buf_printf(&want, "%s\"" STR_FMT "\":%s", want.n > 1 ? "," : "", STR_ARG(key),
                           value);
            }
        }
        buf_add_char(&text, '}');
        size_t count = 0;
        struct str got = without(help_parse(buf_str(&text)), named, named_count, &count);
        t_eq_str(got, buf_str(&want));
        t_eq_u64(count, n - named_count);
        buf_done(&text);
        buf_done(&want);
    }
}

T_MAIN()
