/* Scanning of strings: special bytes, UTF-8, escapes. */
#include <stdio.h>

#include "base/codec.h"
#include "base/rng.h"
#include "json/json_int.h"

#include "json_help.h"

static const char *scan_slowly(const char *p, const char *end)
{
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

T_TEST("the fast scan stops where the slow one does, whatever the bytes")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    static const char special[] = {'"',  '\\', 0x1f, 0x20,       0x21,       0x23, 0x5b,
                                   0x5d, 0x7f, 0,    (char)0x80, (char)0xff, 'a',  '\n'};
    for (int round = 0; round < 20000; round++) {
        char text[40];
        size_t n = rng_below(&rng, sizeof(text) + 1);
        for (size_t i = 0; i < n; i++) {
            text[i] = rng_chance(&rng, 1, 8) ? special[rng_below(&rng, sizeof(special))] : 'b';
        }
        t_check(json_scan_plain(text, text + n) == scan_slowly(text, text + n));
    }
    for (int c = 0; c < 256; c++) {
        char text[16];
        memset(text, c, sizeof(text));
        t_check(json_scan_plain(text, text + 16) == scan_slowly(text, text + 16));
    }
}

T_TEST("every code point is one UTF-8 sequence, its prefixes are none")
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c < 0xe000) {
            continue;
        }
        char text[4];
        size_t n = 0;
        if (c < 0x80) {
            text[n++] = (char)c;
        } else if (c < 0x800) {
            text[n++] = (char)(0xc0 | c >> 6);
        } else if (c < 0x10000) {
            text[n++] = (char)(0xe0 | c >> 12);
            text[n++] = (char)(0x80 | (c >> 6 & 63));
        } else {
            text[n++] = (char)(0xf0 | c >> 18);
            text[n++] = (char)(0x80 | (c >> 12 & 63));
            text[n++] = (char)(0x80 | (c >> 6 & 63));
        }
        if (c >= 0x80) {
            text[n++] = (char)(0x80 | (c & 63));
        }
        t_check(json_utf8_len(text, text + n) == n);
        if (n > 1) {
            t_check(json_utf8_len(text, text + n - 1) == 0);
        }
    }
}

T_TEST("random bytes are judged as the base layer's UTF-8 check judges them")
{
    struct rng rng;
    rng_init(&rng, t_seed());
    for (int round = 0; round < 300000; round++) {
        uint64_t bits = rng_u64(&rng) | UINT64_C(0x8080808080c0);
        char text[4];
        memcpy(text, &bits, sizeof(text));
        text[0] = (char)(0xc0 | (bits >> 32 & 0x3f));
        size_t n = json_utf8_len(text, text + sizeof(text));
        if (n > 0) {
            t_check(codec_utf8_valid(str_make(text, n)));
        } else {
            for (size_t i = 1; i <= sizeof(text); i++) {
                t_check(!codec_utf8_valid(str_make(text, i)));
            }
        }
    }
}

T_TEST("every escaped code unit decodes to its WTF-8")
{
    for (uint32_t c = 0; c < 0x10000; c++) {
        char escaped[8];
        char out[6];
        (void)snprintf(escaped, sizeof(escaped), c & 1 ? "\\u%04x" : "\\u%04X", c);
        t_check(json_escape_len(escaped, escaped + 6) == 6);
        size_t n = json_unescape(out, escaped, 6);
        size_t want = c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
        t_eq_u64(n, want);
        bool is_surrogate = c >= 0xd800 && c < 0xe000;
        t_check((json_utf8_len(out, out + n) == n) == !is_surrogate);
    }
}

T_TEST("pairs of surrogates combine, and only high before low")
{
    char out[24];
    struct str pair = STR("\\uDBFF\\uDFFF");
    t_eq_lit(str_make(out, json_unescape(out, pair.p, pair.n)), "\xf4\x8f\xbf\xbf");
    struct str wrong = STR("\\uDFFF\\uDBFF");
    t_eq_lit(str_make(out, json_unescape(out, wrong.p, wrong.n)), "\xed\xbf\xbf\xed\xaf\xbf");
    struct str cut = STR("\\uD83D\\u0041");
    t_eq_lit(str_make(out, json_unescape(out, cut.p, cut.n)), "\xed\xa0\xbd"
                                                              "A");
    struct str twice = STR("\\uD83D\\uD83D\\uDE00");
    t_eq_lit(str_make(out, json_unescape(out, twice.p, twice.n)), "\xed\xa0\xbd\xf0\x9f\x98\x80");
    struct str newline = STR("\\uD83D\\n");
    t_eq_lit(str_make(out, json_unescape(out, newline.p, newline.n)), "\xed\xa0\xbd\n");
}

T_MAIN()
