/* String functions. Lengths and positions count UTF-16 units, as the SDKs' languages do; a cut
 * through a surrogate pair leaves a lone surrogate (three bytes of WTF-8), which CONCAT joins
 * again. Case is changed character by character (simple mappings), whatever the locale. */
#include <math.h>
#include <utf8proc.h>

#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum { REPLICATE_UNITS_MAX = 10000 }; /* the real service gives undefined beyond it */

static bool all_strings(const struct json *const *args, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (args[i]->type != JSON_STRING) {
            return false;
        }
    }
    return true;
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character that begins with c. */
static size_t char_size(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

static uint32_t decode_char(const char *text, size_t len)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    const unsigned char *p = (const unsigned char *)text;
    uint32_t c = p[0] & masks[len];
    for (size_t i = 1; i < len; i++) {
        c = (c << 6) | (p[i] & 0x3f);
    }
    return c;
}

static size_t encode_char(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    out[0] = (char)(marks[len] | c);
    return len;
}

/* ---- pieces ---- */

/* Units [from, from + count) of s. */
static const struct json *slice_units(struct query_eval *ev, struct str s, size_t from,
                                      size_t count)
{
    if (is_ascii(s)) {
        return query_string(ev, str_slice(s, from, count));
    }
    char *out = (char *)query_eval_alloc(ev, s.n + 4);
    if (out == NULL) {
        return json_undefined();
    }
    size_t n = 0;
    size_t unit = 0;
    size_t to = count > SIZE_MAX - from ? SIZE_MAX : from + count;
    for (size_t at = 0; at < s.n && unit < to;) {
        size_t len = char_size((unsigned char)s.p[at]);
        if (len > s.n - at) {
            break; /* cannot be: strings are valid */
        }
        size_t units = len == 4 ? 2 : 1;
        bool has_first = unit >= from;
        bool has_last = unit + units <= to && unit + units > from;
        if (has_first && has_last) {
            memcpy(out + n, s.p + at, len);
            n += len;
        } else if (units == 2 && (has_first || has_last)) {
            uint32_t c = decode_char(s.p + at, len) - 0x10000;
            n += encode_char(out + n, has_first ? 0xd800 + (c >> 10) : 0xdc00 + (c & 0x3ff));
        }
        at += len;
        unit += units;
    }
    return query_string(ev, str_make(out, n));
}

static const struct json *substring(struct query_eval *ev, const struct json *s,
                                    const struct json *start, const struct json *length)
{
    int64_t from = 0;
    int64_t count = 0;
    if (s->type != JSON_STRING || start->type != JSON_NUMBER || length->type != JSON_NUMBER) {
        return json_undefined();
    }
    if (s->text.n == 0) {
        return s;
    }
    if (!query_to_int(start, &from) || !query_to_int(length, &count)) {
        return json_undefined();
    }
    if (from < 0 || count <= 0) {
        return query_string(ev, STR(""));
    }
    return slice_units(ev, s->text, (size_t)from, (size_t)count);
}

static const struct json *fn_substring(struct query_eval *ev, const struct json *const *args,
                                       size_t n)
{
    (void)n;
    return substring(ev, args[0], args[1], args[2]);
}

static const struct json *fn_left(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)n;
    return substring(ev, args[0], json_number(ev->arena, 0), args[1]);
}

static const struct json *fn_right(struct query_eval *ev, const struct json *const *args, size_t n)
{
    (void)n;
    int64_t count = 0;
    if (args[0]->type != JSON_STRING || !query_to_int(args[1], &count)) {
        return json_undefined();
    }
    size_t len = codec_utf16_len(args[0]->text);
    if (count <= 0) {
        return query_string(ev, STR(""));
    }
    size_t from = (uint64_t)count >= len ? 0 : len - (size_t)count;
    return slice_units(ev, args[0]->text, from, len);
}

static const struct json *fn_length(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_number(ev, (double)codec_utf16_len(args[0]->text))
                                : json_undefined();
}

/* INDEX_OF(s, part [, start]) */
static const struct json *fn_index_of(struct query_eval *ev, const struct json *const *args,
                                      size_t n)
{
    int64_t start = 0;
    if (!all_strings(args, 2) || (n > 2 && !query_to_int(args[2], &start))) {
        return json_undefined();
    }
    struct str s = args[0]->text;
    size_t skip = 0; /* bytes of the first `start` units */
    for (int64_t unit = 0; unit < start && skip < s.n;) {
        size_t len = char_size((unsigned char)s.p[skip]);
        unit += len == 4 ? 2 : 1;
        skip += len;
    }
    skip = skip < s.n ? skip : s.n;
    ptrdiff_t at = str_find(str_slice(s, skip, s.n), args[1]->text);
    if (at < 0) {
        return query_number(ev, -1);
    }
    return query_number(ev, (double)codec_utf16_len(str_slice(s, 0, skip + (size_t)at)));
}

/* ---- case ---- */

static struct str map_chars(struct query_eval *ev, struct str s,
                            utf8proc_int32_t (*map)(utf8proc_int32_t))
{
    char *out = (char *)query_eval_alloc(ev, s.n * 2 + 4); /* a mapping grows at most by half */
    if (out == NULL) {
        return STR_NONE;
    }
    size_t n = 0;
    for (size_t at = 0; at < s.n;) {
        size_t len = char_size((unsigned char)s.p[at]);
        if (len > s.n - at) {
            break;
        }
        uint32_t c = decode_char(s.p + at, len);
        utf8proc_int32_t mapped = map((utf8proc_int32_t)c);
        n += encode_char(out + n, mapped < 0 ? c : (uint32_t)mapped);
        at += len;
    }
    return str_make(out, n);
}

static const struct json *fn_lower(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_string(ev, map_chars(ev, args[0]->text, utf8proc_tolower))
                                : json_undefined();
}

static const struct json *fn_upper(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_string(ev, map_chars(ev, args[0]->text, utf8proc_toupper))
                                : json_undefined();
}

static struct str lower_ascii(struct query_eval *ev, struct str s)
{
    char *out = (char *)query_eval_alloc(ev, s.n + 1);
    if (out == NULL) {
        return STR_NONE;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    return str_make(out, s.n);
}

/* Upper then lower, so that letters with several lower forms are equal. */
static struct str fold(struct query_eval *ev, struct str s)
{
    if (is_ascii(s)) {
        return lower_ascii(ev, s); /* most text, and many times as fast */
    }
    return map_chars(ev, map_chars(ev, s, utf8proc_toupper), utf8proc_tolower);
}

/* ---- comparisons with an optional "ignore case" ---- */

/* Both strings as they are to be compared; false: the result is undefined. */
static bool two_strings(struct query_eval *ev, const struct json *const *args, size_t n,
                        struct str *a, struct str *b)
{
    if (!all_strings(args, 2) || (n > 2 && args[2]->type != JSON_BOOL)) {
        return false;
    }
    bool ignore_case = n > 2 && args[2]->boolean;
    *a = ignore_case ? fold(ev, args[0]->text) : args[0]->text;
    *b = ignore_case ? fold(ev, args[1]->text) : args[1]->text;
    return true;
}

#define COMPARISON(fn, condition)                                                                  \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        struct str a = STR_NONE;                                                                   \
        struct str b = STR_NONE;                                                                   \
        return two_strings(ev, args, n, &a, &b) ? json_bool(condition) : json_undefined();         \
    }

COMPARISON(fn_contains, b.n == 0 || str_find(a, b) >= 0)
COMPARISON(fn_startswith, str_starts(a, b))
COMPARISON(fn_endswith, str_ends(a, b))
COMPARISON(fn_stringequals, str_eq(a, b))

/* ---- building ---- */

static const struct json *fn_replace(struct query_eval *ev, const struct json *const *args,
                                     size_t n)
{
    if (!all_strings(args, n) || args[1]->text.n == 0) {
        return json_undefined();
    }
    struct str s = args[0]->text;
    struct str from = args[1]->text;
    struct str to = args[2]->text;
    size_t count = 0;
    for (struct str rest = s;;) {
        ptrdiff_t at = str_find(rest, from);
        if (at < 0) {
            break;
        }
        count++;
        rest = str_slice(rest, (size_t)at + from.n, rest.n);
    }
    if (count == 0) {
        return args[0];
    }
    size_t size = s.n - count * from.n;
    if (to.n > 0 && count > (SIZE_MAX / 2 - size) / to.n) {
        return json_undefined();
    }
    char *out = (char *)query_eval_alloc(ev, size + count * to.n + 1);
    if (out == NULL) {
        return json_undefined();
    }
    size_t len = 0;
    struct str rest = s;
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)str_find(rest, from);
        memcpy(out + len, rest.p, at);
        len += at;
        if (to.n > 0) {
            memcpy(out + len, to.p, to.n);
        }
        len += to.n;
        rest = str_slice(rest, at + from.n, rest.n);
    }
    if (rest.n > 0) {
        memcpy(out + len, rest.p, rest.n);
    }
    return query_string(ev, str_make(out, len + rest.n));
}

static const struct json *fn_replicate(struct query_eval *ev, const struct json *const *args,
                                       size_t n)
{
    (void)n;
    if (args[0]->type != JSON_STRING || args[1]->type != JSON_NUMBER || args[1]->number < 0) {
        return json_undefined();
    }
    struct str s = args[0]->text;
    double times = trunc(args[1]->number);
    if ((double)codec_utf16_len(s) * times > REPLICATE_UNITS_MAX) {
        return json_undefined();
    }
    size_t count = s.n > 0 ? (size_t)times : 0;
    char *out = (char *)query_eval_alloc(ev, s.n * count + 1);
    for (size_t i = 0; out != NULL && i < count; i++) {
        memcpy(out + i * s.n, s.p, s.n);
    }
    return out != NULL ? query_string(ev, str_make(out, s.n * count)) : json_undefined();
}

static const struct json *fn_reverse(struct query_eval *ev, const struct json *const *args,
                                     size_t n)
{
    if (!all_strings(args, n)) {
        return json_undefined();
    }
    struct str s = args[0]->text;
    char *out = (char *)query_eval_alloc(ev, s.n + 1);
    if (out == NULL) {
        return json_undefined();
    }
    size_t end = s.n;
    for (size_t at = 0; at < s.n;) {
        size_t len = char_size((unsigned char)s.p[at]);
        len = len > s.n - at ? s.n - at : len;
        end -= len;
        memcpy(out + end, s.p + at, len);
        at += len;
    }
    return query_string(ev, str_make(out, s.n));
}

/* ---- trimming ---- */

static bool is_blank(uint32_t c)
{
    if (c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85) {
        return true;
    }
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c);
    return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

static struct str trim_left(struct str s)
{
    while (s.n > 0) {
        size_t len = char_size((unsigned char)s.p[0]);
        if (len > s.n || !is_blank(decode_char(s.p, len))) {
            break;
        }
        s = str_slice(s, len, s.n);
    }
    return s;
}

static struct str trim_right(struct str s)
{
    while (s.n > 0) {
        size_t at = s.n - 1;
        while (at > 0 && ((unsigned char)s.p[at] & 0xc0) == 0x80) {
            at--;
        }
        size_t len = s.n - at;
        if (len > 4 || !is_blank(decode_char(s.p + at, len))) {
            break;
        }
        s.n = at;
    }
    return s;
}

static const struct json *fn_ltrim(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_string(ev, trim_left(args[0]->text)) : json_undefined();
}

static const struct json *fn_rtrim(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_string(ev, trim_right(args[0]->text)) : json_undefined();
}

static const struct json *fn_trim(struct query_eval *ev, const struct json *const *args, size_t n)
{
    return all_strings(args, n) ? query_string(ev, trim_right(trim_left(args[0]->text)))
                                : json_undefined();
}

const struct query_fn query_fns_string[] = {
    {"CONCAT", 2, QUERY_ARGS_ANY, query_concat, 0},
    {"CONTAINS", 2, 3, fn_contains, 0},
    {"ENDSWITH", 2, 3, fn_endswith, 0},
    {"INDEX_OF", 2, 3, fn_index_of, 0},
    {"LEFT", 2, 2, fn_left, 0},
    {"LENGTH", 1, 1, fn_length, 0},
    {"LOWER", 1, 1, fn_lower, 0},
    {"LTRIM", 1, 1, fn_ltrim, 0},
    {"REPLACE", 3, 3, fn_replace, 0},
    {"REPLICATE", 2, 2, fn_replicate, 0},
    {"REVERSE", 1, 1, fn_reverse, 0},
    {"RIGHT", 2, 2, fn_right, 0},
    {"RTRIM", 1, 1, fn_rtrim, 0},
    {"STARTSWITH", 2, 3, fn_startswith, 0},
    {"STRINGEQUALS", 2, 3, fn_stringequals, 0},
    {"SUBSTRING", 3, 3, fn_substring, 0},
    {"TRIM", 1, 1, fn_trim, 0},
    {"UPPER", 1, 1, fn_upper, 0},
    {0},
};
