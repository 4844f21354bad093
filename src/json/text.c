/* Strings of JSON: UTF-8 sequences and escapes.
 *
 * Text outside escapes must be well-formed UTF-8 (Unicode table 3-7: no overlong forms, no
 * surrogates, nothing over U+10FFFF). An escape may name a lone surrogate, which JavaScript strings
 * can hold: it is kept as WTF-8 (the 3 bytes UTF-8 would use) so that it can be written back. */
#include "json/json_int.h"

#include "base/contract.h"

static bool is_tail(char c)
{
    return ((unsigned char)c & 0xc0U) == 0x80U;
}

size_t json_utf8_len(const char *p, const char *end)
{
    unsigned char c = (unsigned char)p[0];
    size_t left = (size_t)(end - p);
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xc2) {
        return 0; /* a tail, or an overlong form */
    }
    if (c < 0xe0) {
        return left >= 2 && is_tail(p[1]) ? 2 : 0;
    }
    if (c < 0xf0) {
        if (left < 3 || !is_tail(p[1]) || !is_tail(p[2])) {
            return 0;
        }
        unsigned char second = (unsigned char)p[1];
        bool is_overlong = c == 0xe0 && second < 0xa0;
        bool is_surrogate = c == 0xed && second >= 0xa0;
        return is_overlong || is_surrogate ? 0 : 3;
    }
    if (c < 0xf5) {
        if (left < 4 || !is_tail(p[1]) || !is_tail(p[2]) || !is_tail(p[3])) {
            return 0;
        }
        unsigned char second = (unsigned char)p[1];
        bool is_overlong = c == 0xf0 && second < 0x90;
        bool is_over_max = c == 0xf4 && second >= 0x90;
        return is_overlong || is_over_max ? 0 : 4;
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

size_t json_escape_len(const char *p, const char *end)
{
    ASSERT(*p == '\\');
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return 2;
    case 'u':
        if (end - p < 6) {
            return 0;
        }
        for (int i = 2; i < 6; i++) {
            if (hex_value(p[i]) < 0) {
                return 0;
            }
        }
        return 6;
    default:
        return 0;
    }
}

static uint32_t hex4(const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        v = v << 4 | (uint32_t)hex_value(p[i]);
    }
    return v;
}

/* WTF-8: surrogates are encoded like any other code point below 0x10000. */
static char *put_code_point(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0U | c >> 6);
        *out++ = (char)(0x80U | (c & 0x3fU));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0U | c >> 12);
        *out++ = (char)(0x80U | (c >> 6 & 0x3fU));
        *out++ = (char)(0x80U | (c & 0x3fU));
    } else {
        *out++ = (char)(0xf0U | c >> 18);
        *out++ = (char)(0x80U | (c >> 12 & 0x3fU));
        *out++ = (char)(0x80U | (c >> 6 & 0x3fU));
        *out++ = (char)(0x80U | (c & 0x3fU));
    }
    return out;
}

static char simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c; /* quote, backslash, slash stand for themselves */
    }
}

size_t json_unescape(char *out, const char *p, size_t n)
{
    const char *end = p + n;
    char *o = out;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        const char *run_end = slash ? slash : end;
        memcpy(o, p, (size_t)(run_end - p));
        o += run_end - p;
        p = run_end;
        if (!slash) {
            break;
        }
        if (p[1] != 'u') {
            *o++ = simple_escape(p[1]);
            p += 2;
            continue;
        }
        uint32_t c = hex4(p + 2);
        p += 6;
        bool is_high = c >= 0xd800 && c < 0xdc00;
        if (is_high && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
            uint32_t low = hex4(p + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                p += 6;
            }
        }
        o = put_code_point(o, c);
    }
    ASSERT((size_t)(o - out) <= n);
    return (size_t)(o - out);
}
