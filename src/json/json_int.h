/* Shared inside src/json only: scanning, number conversion, sorting of members. */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "json/json.h"

/* ---- text (text.c) ---- */

#define JSON_ONES  UINT64_C(0x0101010101010101)
#define JSON_HIGHS UINT64_C(0x8080808080808080)

/* High bit set in every byte of `w` that is zero. A borrow can flag a byte above a true zero, so
 * only the lowest flag means anything; that one is exact. */
static inline uint64_t json_zero_bytes(uint64_t w)
{
    return (w - JSON_ONES) & ~w & JSON_HIGHS;
}

/* First byte of [p, end) that is no plain ASCII of a string: a quote, a backslash, a control
 * character, a byte over 0x7f; `end` when there is none. Eight bytes at a time. */
static inline const char *json_scan_plain(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, sizeof(w));
        w = le64toh(w);
        uint64_t special = json_zero_bytes(w ^ (JSON_ONES * '"')) |
                           json_zero_bytes(w ^ (JSON_ONES * '\\')) |
                           ((w - JSON_ONES * 0x20) & ~w & JSON_HIGHS) | (w & JSON_HIGHS);
        if (special != 0) {
            return p + (__builtin_ctzll(special) >> 3);
        }
        p += 8;
    }
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) {
            break;
        }
        p++;
    }
    return p;
}

static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of the well-formed UTF-8 sequence at p (1..4), 0 when there is none. p < end. */
size_t json_utf8_len(const char *p, const char *end);
/* Bytes of the escape sequence at p (2 or 6), 0 when it is none. *p is the backslash. */
size_t json_escape_len(const char *p, const char *end);
/* Decodes the inside of a string whose escapes are all good into `out`, which has room for `n`
 * bytes. A surrogate without its partner becomes the 3 bytes of WTF-8. Returns the size. */
size_t json_unescape(char *out, const char *p, size_t n);

/* ---- numbers (number.c, pow10.c) ---- */

enum {
    JSON_POW10_MIN = -292,
    JSON_POW10_MAX = 324,
    JSON_NUMBER_SIZE_MAX = 32, /* longest text of json_format_number, with room */
};

struct json_pow10 {
    uint64_t hi;
    uint64_t lo;
};
extern const struct json_pow10 json_pow10[JSON_POW10_MAX - JSON_POW10_MIN + 1];

/* A number as scanned: (-1)^negative * mantissa * 10^exp10, plus less than one unit of the mantissa
 * when digits beyond the 19th were cut. */
struct json_decimal {
    uint64_t mantissa;
    int64_t exp10;
    bool negative;
    bool cut; /* a cut digit was not zero */
};

/* Scans the longest number at p by the grammar of RFC 8259. Returns the end of it, or NULL with
 * *ret_why (a phrase) and *ret_at when there is none. */
const char *json_number_scan(const char *p, const char *end, struct json_decimal *ret,
                             const char **ret_why, const char **ret_at);
/* Nearest double, ties to even; `text` is what `d` was scanned from. False = beyond double range. */
bool json_decimal_to_double(const struct json_decimal *d, struct str text, double *ret);
/* Exact magnitude and sign of a number that is an integer below 2^64, however it is written. */
bool json_exact_integer(const struct json *v, bool *ret_negative, uint64_t *ret_magnitude);
/* Shortest text that reads back as `d`, which is finite. Returns its size. */
size_t json_format_number(double d, char out[JSON_NUMBER_SIZE_MAX]);

/* ---- members (order.c) ---- */

/* By key, in code point order. In place, n log n whatever the keys. */
void json_sort_members(const struct json_member **v, size_t n);
