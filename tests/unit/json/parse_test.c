/* The parser: what it takes, what it keeps, what it refuses and how it says so. */
#include "json/parse.c"

#include <math.h>

#include "json_help.h"

#define CHECK_FAILS(text, code, message) check_fails(__LINE__, STR(text), code, message)

static void check_fails(int line, struct str text, enum err code, const char *message)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    enum err got = json_parse(&help_arena, text, NULL, &v, &ei);
    t_checkf(got == code, "line %d: got %s for " STR_FMT, line, err_name(got), STR_ARG(text));
    t_eq_cstr(ei.message, message);
    t_check(v == NULL);
    t_ok(json_parse(&help_arena, STR("1"), NULL, &v, NULL)); /* and errinfo may be NULL */
    t_check(json_parse(&help_arena, text, NULL, &v, NULL) == code);
}

T_TEST("every type of value is read")
{
    const struct json *v = help_parse(STR(" {\"n\":null,\"t\":true,\"f\":false,\"i\":-12,"
                                          "\"d\":0.5,\"s\":\"x\",\"a\":[1,[]],\"o\":{}}\r\n\t "));
    t_eq_int(v->type, JSON_OBJECT);
    t_eq_u64(v->count, 8);
    t_eq_int(json_get(v, STR("n"))->type, JSON_NULL);
    t_check(json_get(v, STR("t"))->type == JSON_BOOL && json_get(v, STR("t"))->boolean);
    t_check(json_get(v, STR("f"))->type == JSON_BOOL && !json_get(v, STR("f"))->boolean);
    t_eq_f64(json_get(v, STR("i"))->number, -12);
    t_eq_f64(json_get(v, STR("d"))->number, 0.5);
    t_eq_lit(json_get(v, STR("s"))->text, "x");
    const struct json *a = json_get(v, STR("a"));
    t_eq_int(a->type, JSON_ARRAY);
    t_eq_u64(a->count, 2);
    t_eq_f64(a->items[0]->number, 1);
    t_eq_u64(a->items[1]->count, 0);
    t_eq_u64(json_get(v, STR("o"))->count, 0);
}

T_TEST("every value remembers the bytes it was parsed from")
{
    const struct json *v = help_parse(STR("  [ 1.0 , { \"a\" : [ ] } , \"\\u0041\" ]  "));
    t_eq_lit(v->src, "[ 1.0 , { \"a\" : [ ] } , \"\\u0041\" ]");
    t_eq_lit(v->items[0]->src, "1.0");
    t_eq_lit(v->items[1]->src, "{ \"a\" : [ ] }");
    t_eq_lit(v->items[1]->members[0].value->src, "[ ]");
    t_eq_lit(v->items[2]->src, "\"\\u0041\"");
    t_eq_lit(v->items[2]->text, "A");
    t_eq_lit(help_parse(STR("null"))->src, "null");
}

T_TEST("a string without escapes points into the text, one with escapes does not")
{
    struct str text = STR("[\"plain \xc3\xa9\",\"a\\nb\"]");
    const struct json *v = help_parse(text);
    t_check(v->items[0]->text.p == text.p + 2);
    t_eq_lit(v->items[0]->text, "plain \xc3\xa9");
    t_eq_lit(v->items[1]->text, "a\nb");
}

T_TEST("numbers keep their text and get the nearest double")
{
    static const struct {
        struct str text;
        double number;
    } cases[] = {
        {STR_INIT("9007199254740993"), 9007199254740992.0},
        {STR_INIT("-0"), -0.0},
        {STR_INIT("1.0"), 1},
        {STR_INIT("1E+2"), 100},
        {STR_INIT("0.1e-0"), 0.1},
        {STR_INIT("123456789012345678901234567890"), 123456789012345678901234567890.0},
        {STR_INIT("1.7976931348623157e308"), 1.7976931348623157e308},
        {STR_INIT("5e-324"), 5e-324},
        {STR_INIT("1e-400"), 0}, /* too small is zero, not out of range */
        {STR_INIT("-1e-400"), -0.0},
        {STR_INIT("0e999999999999999999999"), 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct json *v = help_parse(cases[i].text);
        t_eq_int(v->type, JSON_NUMBER);
        t_eq_f64(v->number, cases[i].number);
        t_eq_bool(signbit(v->number) != 0, signbit(cases[i].number) != 0);
        t_eq_str(v->src, cases[i].text);
        t_eq_str(help_write(v), cases[i].text);
    }
}

T_TEST("a number beyond the range of a double is a syntax error")
{
    CHECK_FAILS("1e400", ERR_SYNTAX, "line 1 column 1: number beyond the range of a double");
    CHECK_FAILS("[-1e309]", ERR_SYNTAX, "line 1 column 2: number beyond the range of a double");
    CHECK_FAILS("1.7976931348623159e308", ERR_SYNTAX,
                "line 1 column 1: number beyond the range of a double");
    CHECK_FAILS("1e99999999999999999999", ERR_SYNTAX,
                "line 1 column 1: number beyond the range of a double");
}

T_TEST("what is no JSON number is refused")
{
    CHECK_FAILS("01", ERR_SYNTAX, "line 1 column 1: number with a leading zero");
    CHECK_FAILS("-01", ERR_SYNTAX, "line 1 column 2: number with a leading zero");
    CHECK_FAILS("-", ERR_SYNTAX, "line 1 column 2: expected a digit");
    CHECK_FAILS("-a", ERR_SYNTAX, "line 1 column 2: expected a digit");
    CHECK_FAILS("1.", ERR_SYNTAX, "line 1 column 3: expected a digit after the decimal point");
    CHECK_FAILS("1.e5", ERR_SYNTAX, "line 1 column 3: expected a digit after the decimal point");
    CHECK_FAILS("1e", ERR_SYNTAX, "line 1 column 3: expected a digit in the exponent");
    CHECK_FAILS("1e+", ERR_SYNTAX, "line 1 column 4: expected a digit in the exponent");
    CHECK_FAILS("+1", ERR_SYNTAX, "line 1 column 1: expected a value, found '+'");
    CHECK_FAILS(".5", ERR_SYNTAX, "line 1 column 1: expected a value, found '.'");
    CHECK_FAILS("NaN", ERR_SYNTAX, "line 1 column 1: expected a value, found 'N'");
    CHECK_FAILS("Infinity", ERR_SYNTAX, "line 1 column 1: expected a value, found 'I'");
    CHECK_FAILS("0x10", ERR_SYNTAX, "line 1 column 2: expected the end of the text, found 'x'");
    CHECK_FAILS("1_000", ERR_SYNTAX, "line 1 column 2: expected the end of the text, found '_'");
}

T_TEST("structure errors say what was expected and where")
{
    CHECK_FAILS("", ERR_SYNTAX, "line 1 column 1: expected a value, found the end");
    CHECK_FAILS(" \n ", ERR_SYNTAX, "line 2 column 2: expected a value, found the end");
    CHECK_FAILS("[1,]", ERR_SYNTAX, "line 1 column 4: expected a value, found ']'");
    CHECK_FAILS("[1 2]", ERR_SYNTAX, "line 1 column 4: expected ',' or ']', found '2'");
    CHECK_FAILS("[1", ERR_SYNTAX, "line 1 column 3: expected ',' or ']', found the end");
    CHECK_FAILS("[,1]", ERR_SYNTAX, "line 1 column 2: expected a value, found ','");
    CHECK_FAILS("{\"a\":1,}", ERR_SYNTAX, "line 1 column 8: expected a key in quotes, found '}'");
    CHECK_FAILS("{a:1}", ERR_SYNTAX, "line 1 column 2: expected a key in quotes, found 'a'");
    CHECK_FAILS("{\"a\" 1}", ERR_SYNTAX, "line 1 column 6: expected ':', found '1'");
    CHECK_FAILS("{\"a\":}", ERR_SYNTAX, "line 1 column 6: expected a value, found '}'");
    CHECK_FAILS("{\"a\":1 \"b\":2}", ERR_SYNTAX,
                "line 1 column 8: expected ',' or '}', found '\"'");
    CHECK_FAILS("{\"a\":1", ERR_SYNTAX, "line 1 column 7: expected ',' or '}', found the end");
    CHECK_FAILS("{", ERR_SYNTAX, "line 1 column 2: expected a key in quotes, found the end");
    CHECK_FAILS("tru", ERR_SYNTAX, "line 1 column 1: expected a value, found 't'");
    CHECK_FAILS("nULL", ERR_SYNTAX, "line 1 column 1: expected a value, found 'n'");
    CHECK_FAILS("truefalse", ERR_SYNTAX,
                "line 1 column 5: expected the end of the text, found 'f'");
    CHECK_FAILS("{} {}", ERR_SYNTAX, "line 1 column 4: expected the end of the text, found '{'");
    CHECK_FAILS("1\0", ERR_SYNTAX,
                "line 1 column 2: expected the end of the text, found byte 0x00");
    CHECK_FAILS("\f1", ERR_SYNTAX, "line 1 column 1: expected a value, found byte 0x0c");
    CHECK_FAILS("'a'", ERR_SYNTAX, "line 1 column 1: expected a value, found '''");
    CHECK_FAILS("[1]//x", ERR_SYNTAX, "line 1 column 4: expected the end of the text, found '/'");
    CHECK_FAILS("\xef\xbb\xbf{}", ERR_SYNTAX,
                "line 1 column 1: byte order mark before the JSON text");
}

T_TEST("lines and columns count characters, not bytes")
{
    CHECK_FAILS("[\"\xc3\xa9\xf0\x9f\x98\x80\",\n  \"\xe2\x82\xac\", x]", ERR_SYNTAX,
                "line 2 column 8: expected a value, found 'x'");
}

T_TEST("strings hold NUL, any escape and lone surrogates")
{
    t_eq_lit(help_parse(STR("\"a\\u0000b\""))->text, "a\0b");
    t_eq_lit(help_parse(STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""))->text, "\"\\/\b\f\n\r\t");
    t_eq_lit(help_parse(STR("\"\\ud83d\\uDE00\""))->text, "\xf0\x9f\x98\x80");
    t_eq_lit(help_parse(STR("\"\\ud83d\""))->text, "\xed\xa0\xbd");
    t_eq_lit(help_parse(STR("\"x\\ude00\\ud83dy\""))->text, "x\xed\xb8\x80\xed\xa0\xbdy");
    t_eq_lit(help_parse(STR("\"\x7f\""))->text, "\x7f");
}

T_TEST("bad strings are refused")
{
    CHECK_FAILS("\"a", ERR_SYNTAX, "line 1 column 1: string without a closing quote");
    CHECK_FAILS("[\"a\\\"]", ERR_SYNTAX, "line 1 column 2: string without a closing quote");
    CHECK_FAILS("\"a\tb\"", ERR_SYNTAX,
                "line 1 column 3: unescaped control character 0x09 in a string");
    CHECK_FAILS("\"0123456789\0\"", ERR_SYNTAX,
                "line 1 column 12: unescaped control character 0x00 in a string");
    CHECK_FAILS("\"\\x41\"", ERR_SYNTAX, "line 1 column 2: bad escape sequence in a string");
    CHECK_FAILS("\"\\u12g4\"", ERR_SYNTAX, "line 1 column 2: bad escape sequence in a string");
    CHECK_FAILS("\"\\u123", ERR_SYNTAX, "line 1 column 2: bad escape sequence in a string");
    CHECK_FAILS("\"\\", ERR_SYNTAX, "line 1 column 2: bad escape sequence in a string");
    CHECK_FAILS("\"\xed\xa0\x80\"", ERR_SYNTAX, "line 1 column 2: byte 0xed is not UTF-8 here");
    CHECK_FAILS("\"abcdefgh\xff\"", ERR_SYNTAX, "line 1 column 10: byte 0xff is not UTF-8 here");
    CHECK_FAILS("\"\xc3", ERR_SYNTAX, "line 1 column 2: byte 0xc3 is not UTF-8 here");
    CHECK_FAILS("{\"\xc0\xaf\":1}", ERR_SYNTAX, "line 1 column 3: byte 0xc0 is not UTF-8 here");
}

T_TEST("duplicate keys are refused, also when they are equal only after decoding")
{
    CHECK_FAILS("{\"a\":1,\"a\":2}", ERR_SYNTAX, "line 1 column 8: duplicate key \"a\"");
    CHECK_FAILS("{\"a\":1,\"\\u0061\":2}", ERR_SYNTAX, "line 1 column 17: duplicate key \"a\"");
    CHECK_FAILS("{\"\\u0061\":1,\"a\":2}", ERR_SYNTAX, "line 1 column 13: duplicate key \"a\"");
    CHECK_FAILS("{\"\":1,\"\":2}", ERR_SYNTAX, "line 1 column 7: duplicate key \"\"");
    CHECK_FAILS("[{\"x\":{\"k\":1,\"l\":0,\"k\":1}}]", ERR_SYNTAX,
                "line 1 column 20: duplicate key \"k\"");
    const struct json *v = help_parse(STR("{\"a\":1,\"A\":2,\"a\\u0000\":3,\"o\":{\"a\":4}}"));
    t_eq_u64(v->count, 4);
}

/* Text of an object with the keys PREFIX0..PREFIX(n-1), then `last` when not NULL. */
static struct str large_object(const char *prefix, size_t n, const char *last)
{
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    buf_add_char(&b, '{');
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s\"%s%zu\":%zu", i ? "," : "", prefix, i, i);
    }
    if (last) {
        buf_printf(&b, ",\"%s\":0", last);
    }
    buf_add_char(&b, '}');
    t_check(buf_ok(&b));
    struct str s = arena_str(&help_arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static void check_duplicate(struct str text, const char *key)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    t_err(json_parse(&help_arena, text, NULL, &v, &ei), ERR_SYNTAX);
    t_contains(str_of(ei.message), key);
}

T_TEST("one duplicate is found in objects of every size around the change of method")
{
    for (size_t n = 1; n < 80; n++) {
        t_eq_u64(help_parse(large_object("k", n, NULL))->count, n);
        check_duplicate(large_object("k", n, "k0"), "duplicate key \"k0\"");
        const char *middle = arena_printf(&help_arena, "k%zu", n / 2).p;
        check_duplicate(large_object("k", n, middle), middle);
    }
}

T_TEST("an object of hundreds of thousands of keys is read in far less than quadratic time")
{
    /* 2.5e10 comparisons of keys would run into the time limit. */
    t_time_limit(20);
    const size_t n = 220000;
    t_eq_u64(help_parse(large_object("", n, NULL))->count, n);
    check_duplicate(large_object("", n, "109999"), "duplicate key \"109999\"");
}

T_TEST("keys made to collide in the hash table do not make it slow, and duplicates are found")
{
    /* All 64 keys start in one slot of the table of 128, so the 1024 probes run out. */
    enum { N = 64 };
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    struct str first = STR_NONE;
    size_t found = 0;
    for (uint64_t i = 0; found < N; i++) {
        struct str key = arena_printf(&help_arena, "%" PRIu64, i);
        if ((str_hash(key, 0) & 127) == 5) {
            first = found++ ? first : key;
            buf_printf(&b, "%s\"" STR_FMT "\":1", found > 1 ? "," : "{", STR_ARG(key));
        }
    }
    struct str open = arena_str(&help_arena, buf_str(&b));
    buf_add_char(&b, '}');
    const struct json *v = help_parse(buf_str(&b));
    t_eq_u64(v->count, N);
    struct parser ps = {.arena = &help_arena};
    t_check(duplicate_by_hash(&ps, v->members, N) == NULL);
    t_check(duplicate_by_sorting(&ps, v->members, N) == NULL);
    struct str twice =
        arena_printf(&help_arena, STR_FMT ",\"" STR_FMT "\":2}", STR_ARG(open), STR_ARG(first));
    check_duplicate(twice, arena_printf(&help_arena, "\"" STR_FMT "\"", STR_ARG(first)).p);
    buf_done(&b);
}

static struct str nested(char open, char close, size_t depth)
{
    char *p = arena_alloc(&help_arena, depth * 2 + 1);
    memset(p, open, depth);
    memset(p + depth, close, depth);
    return (struct str){p, 2 * depth};
}

T_TEST("nesting is taken up to the limit and refused one deeper")
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    t_ok(json_parse(&help_arena, nested('[', ']', JSON_DEPTH_MAX), NULL, &v, NULL));
    t_err(json_parse(&help_arena, nested('[', ']', JSON_DEPTH_MAX + 1), NULL, &v, &ei), ERR_LIMIT);
    t_eq_cstr(ei.message, "line 1 column 129: nested deeper than 128");
    t_err(json_parse(&help_arena, nested('[', ']', (size_t)1000 * 1000), NULL, &v, NULL),
          ERR_LIMIT);
    const struct json_limits shallow = {.depth_max = 2};
    t_ok(json_parse(&help_arena, STR("[{\"a\":1},[2],3]"), &shallow, &v, NULL));
    t_err(json_parse(&help_arena, STR("[{\"a\":{}}]"), &shallow, &v, NULL), ERR_LIMIT);
}

T_TEST("text is taken up to the size limit and refused one byte longer")
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    const struct json_limits ten = {.text_size_max = 10};
    t_ok(json_parse(&help_arena, STR("[12345678]"), &ten, &v, NULL));
    t_err(json_parse(&help_arena, STR("[123456789]"), &ten, &v, &ei), ERR_LIMIT);
    t_eq_cstr(ei.message, "JSON text of 11 bytes, at most 10 are allowed");
    size_t n = JSON_TEXT_SIZE_MAX;
    char *p = arena_alloc(&help_arena, n + 1);
    memset(p, 'x', n + 1);
    p[0] = '"';
    p[n - 1] = '"';
    v = help_parse(str_make(p, n));
    t_eq_u64(v->text.n, n - 2);
    p[n - 1] = 'x';
    p[n] = '"';
    t_err(json_parse(&help_arena, str_make(p, n + 1), NULL, &v, NULL), ERR_LIMIT);
}

T_TEST("large and mixed containers come out complete and in order")
{
    /* More children than the first stack and one chunk of nodes hold, at two levels. */
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    buf_add_char(&b, '[');
    for (int i = 0; i < 300; i++) {
        buf_printf(&b, "%s[", i ? "," : "");
        for (int j = 0; j < i; j++) {
            buf_printf(&b, "%s%d", j ? "," : "", i * 1000 + j);
        }
        buf_add_char(&b, ']');
    }
    buf_add_char(&b, ']');
    const struct json *v = help_parse(buf_str(&b));
    t_eq_u64(v->count, 300);
    for (size_t i = 0; i < 300; i++) {
        t_eq_u64(v->items[i]->count, i);
        for (size_t j = 0; j < i; j++) {
            t_check(v->items[i]->items[j]->number == (double)(i * 1000 + j));
        }
    }
    t_eq_str(help_write(v), buf_str(&b));
    t_eq_str(help_write(help_without_src(v)), buf_str(&b));
    buf_done(&b);
}

T_TEST("no prefix of a text reads beyond its end")
{
    /* Each prefix has memory of its own, so that a sanitizer sees one byte too many. */
    struct str text = STR("{\"k\\u00e9y\":[1.25e-3,true,false,null,\"\\ud83d\\ude00 \xc3\xa9"
                          "01234567\"],\"z\":{\"q\":-0.0}}");
    for (size_t n = 0; n < text.n; n++) {
        char *copy = malloc(n ? n : 1);
        t_check(copy != NULL);
        memcpy(copy, text.p, n);
        const struct json *v = NULL;
        t_err(json_parse(&help_arena, str_make(copy, n), NULL, &v, NULL), ERR_SYNTAX);
        free(copy);
    }
    help_parse(text);
}

T_MAIN()
