/* Text encodings: published vectors, there and back, refusal of bad text without traces. */
#include "base/codec.h"

#include "base/rng.h"
#include "lib/t.h"

static struct buf out;

/* Runs a coder on `in` and returns what it added. */
static struct str fresh(void)
{
    return buf_str(&out);
}

static void begin(void)
{
    buf_done(&out);
    buf_init(&out, 4096);
}

T_TEST("base64 writes the vectors of RFC 4648 and reads them with and without padding")
{
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        begin();
        codec_base64(&out, str_of(vectors[i][0]));
        t_eq_str(fresh(), str_of(vectors[i][1]));
        begin();
        t_check(codec_unbase64(&out, str_of(vectors[i][1])));
        t_eq_str(fresh(), str_of(vectors[i][0]));
        struct str bare = str_of(vectors[i][1]);
        while (bare.n > 0 && bare.p[bare.n - 1] == '=') {
            bare.n--;
        }
        begin();
        t_check(codec_unbase64(&out, bare));
        t_eq_str(fresh(), str_of(vectors[i][0]));
    }
}

T_TEST("bad base64 is refused and leaves nothing behind")
{
    static const char *const bad[] = {
        "A", "A===", "=", "====", "Zg=", "Z=g=", "Zm9v!", "Zh==", "Zm9=", "Zm 9", "Zg==Zg=="};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        begin();
        buf_add_cstr(&out, "kept");
        t_checkf(!codec_unbase64(&out, str_of(bad[i])), "'%s'", bad[i]);
        t_eq_lit(fresh(), "kept");
    }
}

T_TEST("hex is written in both cases and read in both")
{
    begin();
    codec_hex(&out, STR("\x00\xab\xff"), false);
    t_eq_lit(fresh(), "00abff");
    begin();
    codec_hex(&out, STR("\x00\xab\xff"), true);
    t_eq_lit(fresh(), "00ABFF");
    begin();
    t_check(codec_unhex(&out, STR("00aBFf")));
    t_eq_lit(fresh(), "\x00\xab\xff");
    begin();
    t_check(!codec_unhex(&out, STR("0")));
    t_check(!codec_unhex(&out, STR("000g")));
    t_eq_lit(fresh(), "");
}

T_TEST("percent escapes are read strictly and written for all but unreserved characters")
{
    begin();
    t_check(codec_percent_decode(&out, STR("a%20b+%2f%00%c3%A9")));
    t_eq_lit(fresh(), "a b+/\0\xc3\xa9");
    begin();
    t_check(!codec_percent_decode(&out, STR("a%2")));
    t_check(!codec_percent_decode(&out, STR("a%")));
    t_check(!codec_percent_decode(&out, STR("a%g0")));
    t_eq_lit(fresh(), "");
    begin();
    codec_percent_encode(&out, STR("aZ09-._~ /\xc3?"));
    t_eq_lit(fresh(), "aZ09-._~%20%2F%C3%3F");
}

T_TEST("random bytes survive base64, hex and percent encoding")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int i = 0; i < 3000; i++) {
        char data[64];
        struct str in = {data, (size_t)rng_below(&rng, sizeof(data))};
        for (size_t k = 0; k < in.n; k++) {
            data[k] = (char)rng_u64(&rng);
        }
        struct buf text;
        buf_init(&text, 4096);
        begin();
        codec_base64(&text, in);
        t_check(codec_unbase64(&out, buf_str(&text)));
        t_eq_str(fresh(), in);
        begin();
        buf_clear(&text);
        codec_hex(&text, in, i % 2 == 0);
        t_check(codec_unhex(&out, buf_str(&text)));
        t_eq_str(fresh(), in);
        begin();
        buf_clear(&text);
        codec_percent_encode(&text, in);
        t_check(codec_percent_decode(&out, buf_str(&text)));
        t_eq_str(fresh(), in);
        buf_done(&text);
    }
}

T_TEST("UTF-8 is valid exactly when Unicode says so")
{
    t_check(codec_utf8_valid(STR("")));
    t_check(codec_utf8_valid(STR("plain text that is longer than eight")));
    t_check(codec_utf8_valid(STR("a\0b")));
    t_check(codec_utf8_valid(STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80")));
    t_check(codec_utf8_valid(STR("\xf4\x8f\xbf\xbf")));
    t_check(!codec_utf8_valid(STR("\xf4\x90\x80\x80")));
    t_check(!codec_utf8_valid(STR("\xc0\x80")));     /* overlong NUL */
    t_check(!codec_utf8_valid(STR("\xe0\x80\xaf"))); /* overlong slash */
    t_check(!codec_utf8_valid(STR("\xf0\x80\x80\xaf")));
    t_check(!codec_utf8_valid(STR("\xed\xa0\x80"))); /* surrogate */
    t_check(!codec_utf8_valid(STR("\x80")));
    t_check(!codec_utf8_valid(STR("\xc3")));
    t_check(!codec_utf8_valid(STR("abcdefg\xe2\x82")));
    t_check(!codec_utf8_valid(STR("\xff")));
}

T_TEST("every code point is valid and has its UTF-16 length; surrogates are not valid")
{
    for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
        char p[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        for (size_t i = n; i-- > 1;) {
            p[i] = (char)(uint8_t)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
        }
        p[0] = (char)(uint8_t)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c >> (6 * (n - 1)));
        bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
        if (codec_utf8_valid(str_make(p, n)) == is_surrogate ||
            codec_utf16_len(str_make(p, n)) != (c > 0xffff ? 2 : 1)) {
            t_fail("code point %x", c);
        }
    }
    t_eq_u64(codec_utf16_len(STR("a\xc3\xa9\xf0\x9f\x98\x80")), 4);
    buf_done(&out);
}

T_MAIN()
