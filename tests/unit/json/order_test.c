/* Order and equality. */
#include "base/contract.h"
#include "base/rng.h"
#include "json/json_int.h"

#include "json_help.h"

T_TEST("a ladder of values is strictly increasing, by type and within each type")
{
    static const char *const ladder[] = {
        "null",
        "false",
        "true",
        "-1e308",
        "-1",
        "0",
        "5e-324",
        "1",
        "1.5",
        "9007199254740992",
        "9007199254740994",
        "\"\"",
        "\"\\u0000\"",
        "\"A\"",
        "\"Aa\"",
        "\"B\"",
        "\"a\"",
        "\"\xc3\xa9\"",
        "\"\\ud83d\"",          /* a lone surrogate is below ... */
        "\"\xee\x80\x80\"",     /* ... U+E000, which is below ... */
        "\"\xf0\x9f\x98\x80\"", /* ... U+1F600: code points, not UTF-16 units */
        "[]",
        "[null]",
        "[1]",
        "[1,1]",
        "[2]",
        "[\"a\"]",
        "[[]]",
        "{}",
        "{\"a\":1}",
        "{\"a\":1,\"b\":1}",
        "{\"b\":0,\"a\":2}", /* a decides, though written last */
        "{\"a\":\"x\"}",
        "{\"b\":0}",
    };
    const struct json *v[ARRAY_COUNT(ladder) + 1];
    v[0] = json_undefined();
    for (size_t i = 0; i < ARRAY_COUNT(ladder); i++) {
        v[i + 1] = help_parse(str_of(ladder[i]));
    }
    for (size_t i = 0; i < ARRAY_COUNT(v); i++) {
        for (size_t j = 0; j < ARRAY_COUNT(v); j++) {
            int c = json_cmp(v[i], v[j]);
            t_checkf((c > 0) - (c < 0) == (i > j) - (i < j), "rungs %zu and %zu", i, j);
            t_check(json_eq(v[i], v[j]) == (i == j));
        }
    }
}

static void check_equal(const char *a, const char *b, bool is_equal)
{
    const struct json *x = help_parse(str_of(a));
    const struct json *y = help_parse(str_of(b));
    t_checkf(json_eq(x, y) == is_equal && json_eq(y, x) == is_equal, "%s and %s", a, b);
    t_checkf((json_cmp(x, y) == 0) == is_equal, "%s and %s", a, b);
    t_check(json_cmp(x, y) == -json_cmp(y, x));
}

T_TEST("equality looks at values, not at how they were written")
{
    check_equal("1", "1.0", true);
    check_equal("100", "1e2", true);
    check_equal("0", "-0", true);
    check_equal("9007199254740993", "9007199254740992", true); /* one double */
    check_equal("\"a\"", "\"\\u0061\"", true);
    check_equal("[1,2]", " [ 1 , 2.0 ] ", true);
    check_equal("[1,2]", "[2,1]", false);
    check_equal("{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1}", true);
    check_equal("{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}", false);
    check_equal("{\"a\":1}", "{\"a\":1,\"b\":2}", false);
    check_equal("{\"a\":1}", "{\"b\":1}", false);
    check_equal("1", "\"1\"", false);
    check_equal("null", "false", false);
}

static struct str shuffled_object(struct rng *rng, size_t n, size_t changed)
{
    size_t *order = ARENA_NEW_ARRAY(&help_arena, size_t, n);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i);
        size_t swap = order[i - 1];
        order[i - 1] = order[j];
        order[j] = swap;
    }
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%c\"k%zu\":%zu", i ? ',' : '{', order[i], order[i] + (order[i] == changed));
    }
    buf_add_char(&b, '}');
    struct str s = arena_str(&help_arena, buf_str(&b));
    buf_done(&b);
    return s;
}

T_TEST("objects of any size are equal in any order of members")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (size_t n = 1; n < 70; n++) {
        const struct json *a = help_parse(shuffled_object(&rng, n, n));
        const struct json *b = help_parse(shuffled_object(&rng, n, n));
        const struct json *c = help_parse(shuffled_object(&rng, n, rng_below(&rng, n)));
        t_check(json_eq(a, b) && json_cmp(a, b) == 0);
        t_check(!json_eq(a, c) && json_cmp(a, c) < 0 && json_cmp(c, a) > 0);
    }
}

T_TEST("large objects compare in far less than quadratic time")
{
    t_time_limit(20);
    struct rng rng;
    rng_init(&rng, t_seed());
    struct str text = shuffled_object(&rng, 40000, 40000);
    struct str other = shuffled_object(&rng, 40000, 40000);
    t_check(json_eq(help_parse(text), help_parse(other)));
}

T_TEST("members are sorted by code points of their keys")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (size_t n = 0; n < 200; n++) {
        struct json_member *m = ARENA_NEW_ARRAY(&help_arena, struct json_member, n + 1);
        const struct json_member **v =
            ARENA_NEW_ARRAY(&help_arena, const struct json_member *, n + 1);
        for (size_t i = 0; i < n; i++) {
            m[i].key = arena_printf(&help_arena, "%" PRIu64, rng_below(&rng, n));
            v[i] = &m[i];
        }
        json_sort_members(v, n);
        for (size_t i = 1; i < n; i++) {
            t_check(str_cmp(v[i - 1]->key, v[i]->key) <= 0);
        }
    }
}

T_MAIN()
