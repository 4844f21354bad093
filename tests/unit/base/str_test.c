/* Byte strings: comparison, search, numbers. */
#include "base/str.h"

#include "lib/t.h"

T_TEST("strings compare by bytes and length, NUL included")
{
    t_check(str_eq(STR("a\0b"), STR("a\0b")));
    t_check(!str_eq(STR("a\0b"), STR("a\0c")));
    t_check(!str_eq(STR("a"), STR("a\0")));
    t_check(str_eq(STR_NONE, STR("")));
    t_check(str_eq_nocase(STR("x-MS-Date"), STR("X-ms-date")));
    t_check(!str_eq_nocase(STR("a["), STR("A{")));
    t_eq_int(str_cmp(STR("a"), STR("ab")), -1);
    t_eq_int(str_cmp(STR("b"), STR("ab")), 1);
    t_eq_int(str_cmp(STR("\xff"), STR("a")), 1);
    t_eq_int(str_cmp(STR_NONE, STR("")), 0);
}

T_TEST("prefix, suffix and search find what is there")
{
    t_check(str_starts(STR("dbs/a"), STR("dbs/")));
    t_check(!str_starts(STR("db"), STR("dbs")));
    t_check(str_starts(STR_NONE, STR_NONE));
    t_check(str_ends(STR("a.json"), STR(".json")));
    t_check(!str_ends(STR("json"), STR(".json")));
    t_eq_i64(str_find(STR("hello"), STR("lo")), 3);
    t_eq_i64(str_find(STR("hello"), STR("x")), -1);
    t_eq_i64(str_find(STR("hello"), STR("")), 0);
    t_eq_i64(str_find_char(STR("a\0b"), '\0'), 1);
    t_eq_i64(str_find_char(STR_NONE, 'a'), -1);
}

T_TEST("slices are clamped to the string")
{
    t_eq_lit(str_slice(STR("hello"), 1, 3), "ell");
    t_eq_lit(str_slice(STR("hello"), 3, 100), "lo");
    t_eq_lit(str_slice(STR("hello"), 9, 1), "");
    t_eq_lit(str_slice(STR("hello"), 1, SIZE_MAX), "ello");
    t_eq_lit(str_trim(STR(" \t a b\r\n")), "a b");
    t_eq_lit(str_trim(STR("   ")), "");
}

T_TEST("split cuts at the first separator and leaves the tail alone when there is none")
{
    struct str head = STR_NONE;
    struct str tail = STR("untouched");
    t_check(str_split(STR("a=b=c"), '=', &head, &tail));
    t_eq_lit(head, "a");
    t_eq_lit(tail, "b=c");
    t_check(!str_split(STR("abc"), '=', &head, &tail));
    t_eq_lit(head, "abc");
    t_eq_lit(tail, "b=c");
}

T_TEST("numbers are whole decimals inside their range, or refused")
{
    uint64_t u = 7;
    int64_t i = 7;
    t_check(str_to_u64(STR("18446744073709551615"), &u));
    t_eq_u64(u, UINT64_MAX);
    t_check(!str_to_u64(STR("18446744073709551616"), &u));
    t_check(!str_to_u64(STR(""), &u));
    t_check(!str_to_u64(STR("1 "), &u));
    t_check(!str_to_u64(STR("+1"), &u));
    t_check(!str_to_u64(STR("-1"), &u));
    t_eq_u64(u, UINT64_MAX);
    t_check(str_to_i64(STR("-9223372036854775808"), &i));
    t_eq_i64(i, INT64_MIN);
    t_check(!str_to_i64(STR("-9223372036854775809"), &i));
    t_check(!str_to_i64(STR("9223372036854775808"), &i));
    t_check(str_to_i64(STR("9223372036854775807"), &i));
    t_eq_i64(i, INT64_MAX);
    t_check(!str_to_i64(STR("-"), &i));
}

T_TEST("secrets are equal only when all bytes are")
{
    t_check(str_eq_secret(STR("abc"), STR("abc")));
    t_check(!str_eq_secret(STR("abc"), STR("abd")));
    t_check(!str_eq_secret(STR("abc"), STR("ab")));
    t_check(str_eq_secret(STR_NONE, STR("")));
}

T_TEST("the hash is XXH3 and stays what it is")
{
    /* Values are persisted nowhere, but partition choice in simulations replays through it. */
    t_eq_u64(str_hash(STR(""), 0), UINT64_C(0x2d06800538d394c2));
    t_check(str_hash(STR("a"), 0) != str_hash(STR("a"), 1));
    t_eq_u64(str_hash(STR_NONE, 0), str_hash(STR(""), 0));
}

T_TEST("the distance of names counts edits and swaps, without case")
{
    t_eq_u64(str_distance(STR("port"), STR("port")), 0);
    t_eq_u64(str_distance(STR("prot"), STR("Port")), 1);
    t_eq_u64(str_distance(STR(""), STR("abc")), 3);
    t_eq_u64(str_distance(STR("heartbeat"), STR("hearthbeat")), 1);
    t_eq_u64(str_distance(STR("abc"), STR("xyz")), 3);
    t_eq_u64(str_distance(STR("0123456789012345678901234567890123456789012345678901234567890123"),
                          STR("a")),
             STR_DISTANCE_MAX);
}

T_MAIN()
