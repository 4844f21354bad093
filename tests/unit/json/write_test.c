/* Writing of values, strings and numbers, and the writer without a tree. */
#include "json/json.h"

#include <math.h>

#include "json_help.h"

static struct str string_text(struct str s)
{
    static struct buf b;
    buf_done(&b);
    buf_init(&b, (size_t)1 << 20);
    json_write_string(&b, s);
    return buf_str(&b);
}

T_TEST("strings are escaped where they must be and nowhere else")
{
    t_eq_lit(string_text(STR("")), "\"\"");
    t_eq_lit(string_text(STR_NONE), "\"\"");
    t_eq_lit(string_text(STR("plain / text 'x' \x7f")), "\"plain / text 'x' \x7f\"");
    t_eq_lit(string_text(STR("\"\\\b\f\n\r\t")), "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    t_eq_lit(string_text(STR("a\0b\x1f\x01")), "\"a\\u0000b\\u001f\\u0001\"");
    t_eq_lit(string_text(STR("\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80")),
             "\"\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80\"");
}

T_TEST("lone surrogates are escaped, other bytes that are not UTF-8 are replaced")
{
    t_eq_lit(string_text(STR("x\xed\xa0\xbdy")), "\"x\\ud83dy\"");
    t_eq_lit(string_text(STR("\xed\xbf\xbf")), "\"\\udfff\"");
    t_eq_lit(string_text(STR("a\xff"
                             "b")),
             "\"a\\ufffdb\"");
    t_eq_lit(string_text(STR("\xc3")), "\"\\ufffd\"");
    t_eq_lit(string_text(STR("\xed\xa0")), "\"\\ufffd\\ufffd\"");
    t_eq_lit(string_text(STR("\xc0\xaf")), "\"\\ufffd\\ufffd\"");
}

T_TEST("every string of one code unit reads back as it was")
{
    for (unsigned c = 0; c < 0x10000; c++) {
        struct str text = arena_printf(&help_arena, "\"a\\u%04xb\"", c);
        const struct json *v = help_parse(text);
        struct str again = string_text(v->text);
        const struct json *w = help_parse(arena_str(&help_arena, again));
        t_check(str_eq(v->text, w->text));
    }
}

T_TEST("parsed values are copied as written, made ones are compact")
{
    struct str text = STR("{ \"b\" : [1.0, 1e2 ,\"\\u0041\"],\n\"a\":-0 }");
    const struct json *v = help_parse(text);
    t_eq_str(help_write(v), text);
    t_eq_lit(help_write(help_without_src(v)), "{\"b\":[1,100,\"A\"],\"a\":-0}");
    const struct json *mixed[] = {v->members[0].value, json_bool(false), v->members[1].value};
    t_eq_lit(help_write(json_array(&help_arena, mixed, 3)), "[[1.0, 1e2 ,\"\\u0041\"],false,-0]");
}

T_TEST("undefined parts are left out and numbers that are not finite are null")
{
    const struct json *items[] = {json_undefined(), json_number(&help_arena, (double)INFINITY),
                                  json_undefined(), json_number(&help_arena, (double)NAN),
                                  json_undefined()};
    t_eq_lit(help_write(json_array(&help_arena, items, 5)), "[null,null]");
    t_eq_lit(help_write(json_undefined()), "");
    const struct json_member members[] = {{STR("a"), json_undefined()}, {STR("b"), json_null()}};
    t_eq_lit(help_write(json_object(&help_arena, members, 2)), "{\"b\":null}");
}

T_TEST("the writer puts commas between what it is given")
{
    struct buf b;
    struct json_out o;
    buf_init(&b, 1000);
    json_out_init(&o, &b);
    json_out_object(&o);
    json_out_key(&o, "a");
    json_out_array(&o);
    json_out_u64(&o, UINT64_MAX);
    json_out_i64(&o, INT64_MIN);
    json_out_i64(&o, 7);
    json_out_double(&o, 0.5);
    json_out_array(&o);
    json_out_array_end(&o);
    json_out_object(&o);
    json_out_object_end(&o);
    json_out_array_end(&o);
    json_out_key_str(&o, STR("b\"\0"));
    json_out_str(&o, STR("x\ny"));
    json_out_key(&o, "c");
    json_out_bool(&o, true);
    json_out_key(&o, "d");
    json_out_bool(&o, false);
    json_out_key(&o, "e");
    json_out_null(&o);
    json_out_key(&o, "f");
    json_out_raw(&o, STR("{\"r\": 1}"));
    json_out_key(&o, "g");
    json_out_cstr(&o, "z");
    json_out_object_end(&o);
    t_eq_lit(buf_str(&b),
             "{\"a\":[18446744073709551615,-9223372036854775808,7,0.5,[],{}],\"b\\\"\\u0000\":"
             "\"x\\ny\",\"c\":true,\"d\":false,\"e\":null,\"f\":{\"r\": 1},\"g\":\"z\"}");
    help_parse(buf_str(&b));
    buf_done(&b);
}

T_TEST("a buffer that is too small overflows and does not lie")
{
    struct buf b;
    buf_init(&b, 10);
    json_write(&b, help_parse(STR("[1,2,3,4,5,6,7,8]")));
    t_check(!buf_ok(&b));
    buf_done(&b);
}

T_MAIN()
