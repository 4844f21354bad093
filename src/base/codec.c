/* Text encodings. A decoder that meets bad text takes back what it has written, so that `out`
 * is then as it was before the call. */
#include "base/codec.h"

#include <string.h>

#include "base/contract.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void codec_base64(struct buf *out, struct str in)
{
    const uint8_t *p = (const uint8_t *)in.p;
    size_t left = in.n;
    buf_reserve(out, in.n / 3 * 4 + (in.n % 3 != 0 ? 4 : 0));
    for (; left >= 3; p += 3, left -= 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        char quad[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                        base64_digits[v >> 6 & 63], base64_digits[v & 63]};
        buf_add(out, quad, sizeof(quad));
    }
    if (left > 0) {
        uint32_t v = (uint32_t)p[0] << 16 | (left > 1 ? (uint32_t)p[1] << 8 : 0);
        char quad[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                        left > 1 ? base64_digits[v >> 6 & 63] : '=', '='};
        buf_add(out, quad, sizeof(quad));
    }
}

/* 0..63, or -1. */
static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Strict: one text per value, since decoded ids and signatures are compared as text. */
static bool unbase64_body(struct buf *out, struct str in)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    uint8_t some[48] = {0}; /* handed over when full: a call per byte would be most of the work */
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        int v = base64_value(in.p[i]);
        if (v < 0) {
            return false;
        }
        acc = (acc << 6 | (uint32_t)v) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            some[n++] = (uint8_t)(acc >> bits);
        }
        if (n == sizeof(some)) {
            buf_add(out, some, n);
            n = 0;
        }
    }
    buf_add(out, some, n);
    return bits != 6 && (acc & ((1U << bits) - 1)) == 0;
}

bool codec_unbase64(struct buf *out, struct str in)
{
    size_t before = out->n;
    if (in.n > 0 && in.n % 4 == 0 && in.p[in.n - 1] == '=') {
        in.n -= in.p[in.n - 2] == '=' ? 2 : 1;
    }
    if (!unbase64_body(out, in)) {
        out->n = before;
        return false;
    }
    return true;
}

void codec_hex(struct buf *out, struct str in, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    buf_reserve(out, in.n * 2);
    for (size_t i = 0; i < in.n; i++) {
        uint8_t v = (uint8_t)in.p[i];
        char pair[2] = {digits[v >> 4], digits[v & 15]};
        buf_add(out, pair, sizeof(pair));
    }
}

/* 0..15, or -1. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte written as two hex digits at `p`, or -1. */
static int hex_pair(const char *p)
{
    int high = hex_value(p[0]);
    int low = hex_value(p[1]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool codec_unhex(struct buf *out, struct str in)
{
    size_t before = out->n;
    if (in.n % 2 != 0) {
        return false;
    }
    for (size_t i = 0; i < in.n; i += 2) {
        int v = hex_pair(in.p + i);
        if (v < 0) {
            out->n = before;
            return false;
        }
        buf_add_u8(out, (uint8_t)v);
    }
    return true;
}

bool codec_percent_decode(struct buf *out, struct str in)
{
    size_t before = out->n;
    for (;;) { /* a run of plain text at a time: most texts have little to decode */
        const char *escape = in.n > 0 ? (const char *)memchr(in.p, '%', in.n) : NULL;
        size_t plain = escape == NULL ? in.n : (size_t)(escape - in.p);
        buf_add(out, in.p, plain);
        if (escape == NULL) {
            return true;
        }
        int v = in.n - plain > 2 ? hex_pair(escape + 1) : -1;
        if (v < 0) {
            out->n = before;
            return false;
        }
        buf_add_u8(out, (uint8_t)v);
        in.p = escape + 3;
        in.n -= plain + 3;
    }
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void codec_percent_encode(struct buf *out, struct str in)
{
    for (size_t i = 0; i < in.n; i++) {
        if (is_unreserved(in.p[i])) {
            buf_add_char(out, in.p[i]);
        } else {
            buf_add_char(out, '%');
            codec_hex(out, (struct str){in.p + i, 1}, /* upper= */ true);
        }
    }
}

/* Length of the well-formed sequence at `p` that does not start with ASCII, or 0. The table is
 * Unicode 15 table 3-7: no overlong forms, no surrogates, nothing over U+10FFFF. */
static size_t utf8_sequence(const uint8_t *p, size_t n)
{
    uint8_t lead = p[0];
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || n < len) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool codec_utf8_valid(struct str s)
{
    const uint8_t *p = (const uint8_t *)s.p;
    size_t n = s.n;
    while (n > 0) {
        uint64_t word;
        if (n >= sizeof(word)) { /* eight ASCII bytes at once */
            memcpy(&word, p, sizeof(word));
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                p += sizeof(word);
                n -= sizeof(word);
                continue;
            }
        }
        size_t len = *p < 0x80 ? 1 : utf8_sequence(p, n);
        if (len == 0) {
            return false;
        }
        ASSERT(len <= n);
        p += len;
        n -= len;
    }
    return true;
}

size_t codec_utf16_len(struct str s)
{
    size_t count = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        if ((c & 0xc0) != 0x80) {
            count += c >= 0xf0 ? 2 : 1; /* four bytes are a surrogate pair */
        }
    }
    return count;
}
