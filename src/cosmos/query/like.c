/* LIKE: `%` any characters, `_` one, `[a-f]` and `[^a-f]` one of a set, the escape character takes
 * the next one literally. Characters are code points. Only the last `%` is ever tried again, which
 * is enough: time is at most the product of the two lengths. */
#include "cosmos/query/query_int.h"

/* Decodes one character of valid (W)UTF-8 at *at and moves on. */
static uint32_t next_char(struct str s, size_t *at)
{
    const unsigned char *p = (const unsigned char *)s.p + *at;
    size_t left = s.n - *at;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (len > left) {
        len = left;
    }
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = p[0] & masks[len];
    for (size_t i = 1; i < len; i++) {
        c = (c << 6) | (p[i] & 0x3f);
    }
    *at += len;
    return c;
}

struct element {
    enum {
        ELEMENT_CHAR,
        ELEMENT_ANY,  /* _ */
        ELEMENT_MANY, /* % */
        ELEMENT_SET,
    } kind;
    uint32_t c;
    bool is_negated;
    size_t set_from, set_to; /* of the pattern */
    size_t next;             /* where the next element begins */
};

/* `[...]` at `at` (behind the bracket); false when it is not closed: then it is a plain bracket. */
static bool read_set(struct str pattern, size_t at, struct element *e)
{
    e->is_negated = at < pattern.n && pattern.p[at] == '^';
    e->set_from = at + e->is_negated;
    for (size_t i = e->set_from; i < pattern.n; i++) {
        if (pattern.p[i] == ']') {
            e->kind = ELEMENT_SET;
            e->set_to = i;
            e->next = i + 1;
            return true;
        }
    }
    return false;
}

static struct element read_element(struct str pattern, size_t at, uint32_t escape)
{
    struct element e = {.kind = ELEMENT_CHAR};
    e.c = next_char(pattern, &at);
    e.next = at;
    if (escape != 0 && e.c == escape && at < pattern.n) {
        e.c = next_char(pattern, &at);
        e.next = at;
    } else if (e.c == '%') {
        e.kind = ELEMENT_MANY;
    } else if (e.c == '_') {
        e.kind = ELEMENT_ANY;
    } else if (e.c == '[') {
        (void)read_set(pattern, at, &e);
    }
    return e;
}

static bool in_set(struct str pattern, const struct element *e, uint32_t c)
{
    size_t at = e->set_from;
    while (at < e->set_to) {
        uint32_t low = next_char(pattern, &at);
        uint32_t high = low;
        if (at + 1 < e->set_to && pattern.p[at] == '-') {
            at++;
            high = next_char(pattern, &at);
        }
        if (c >= low && c <= high) {
            return !e->is_negated;
        }
    }
    return e->is_negated;
}

static bool matches(struct str pattern, const struct element *e, uint32_t c)
{
    if (e->kind == ELEMENT_CHAR) {
        return e->c == c;
    }
    return e->kind == ELEMENT_ANY || in_set(pattern, e, c);
}

static bool has_only_percent(struct str pattern)
{
    return str_find_char(pattern, '_') < 0 && str_find_char(pattern, '[') < 0;
}

/* Literal pieces between `%`: the first begins the text, the last ends it, the others are found
 * in order. Bytes do for characters here. Most patterns are like this. */
static bool match_pieces(struct str s, struct str pattern)
{
    struct str piece = STR_NONE;
    struct str rest = STR_NONE;
    if (!str_split(pattern, '%', &piece, &rest)) {
        return str_eq(s, pattern);
    }
    if (!str_starts(s, piece)) {
        return false;
    }
    s = str_slice(s, piece.n, s.n);
    while (str_split(rest, '%', &piece, &rest)) {
        ptrdiff_t at = piece.n > 0 ? str_find(s, piece) : 0;
        if (at < 0) {
            return false;
        }
        s = str_slice(s, (size_t)at + piece.n, s.n);
    }
    return str_ends(s, piece);
}

bool query_like(struct str s, struct str pattern, uint32_t escape)
{
    if (escape == 0 && has_only_percent(pattern)) {
        return match_pieces(s, pattern);
    }
    size_t at = 0;
    size_t pat = 0;
    bool has_star = false;
    size_t star_pat = 0; /* behind the last % */
    size_t star_at = 0;  /* where its match ends for now */
    while (at < s.n) {
        struct element e = {.kind = ELEMENT_CHAR};
        bool has_element = pat < pattern.n;
        if (has_element) {
            e = read_element(pattern, pat, escape);
        }
        if (has_element && e.kind == ELEMENT_MANY) {
            has_star = true;
            star_pat = pat = e.next;
            star_at = at;
            continue;
        }
        size_t next = at;
        uint32_t c = next_char(s, &next);
        if (has_element && matches(pattern, &e, c)) {
            at = next;
            pat = e.next;
        } else if (has_star) {
            (void)next_char(s, &star_at);
            at = star_at;
            pat = star_pat;
        } else {
            return false;
        }
    }
    while (pat < pattern.n) {
        struct element e = read_element(pattern, pat, escape);
        if (e.kind != ELEMENT_MANY) {
            return false;
        }
        pat = e.next;
    }
    return true;
}
