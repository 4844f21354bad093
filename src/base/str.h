/* Byte strings: pointer and length, not NUL-terminated, may contain NUL. Passed by value;
 * never own their memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit)   ((struct str){(lit), sizeof(lit) - 1})
#define STR_NONE   ((struct str){NULL, 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline struct str str_make(const void *p, size_t n)
{
    return (struct str){(const char *)p, n};
}

bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
int str_cmp(struct str a, struct str b);        /* memcmp order, shorter first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
ptrdiff_t str_find(struct str s, struct str needle);       /* -1 = absent */
ptrdiff_t str_find_char(struct str s, char c);             /* -1 = absent */
struct str str_slice(struct str s, size_t from, size_t n); /* clamped */
struct str str_trim(struct str s);                         /* ASCII blanks at both ends */
/* Splits at the first `sep`: true and both halves when found, else false and *ret_head = s. */
bool str_split(struct str s, char sep, struct str *ret_head, struct str *ret_tail);
/* Whole string as a decimal; false on empty, other characters or overflow. */
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_i64(struct str s, int64_t *ret);
/* Equal in constant time for equal lengths. For secrets. */
bool str_eq_secret(struct str a, struct str b);
uint64_t str_hash(struct str s, uint64_t seed); /* XXH3; stable across runs and machines */
/* Edits (insert, delete, replace, swap neighbours; ASCII case does not count) between two short
 * names, for "did you mean". Texts over STR_DISTANCE_MAX bytes are STR_DISTANCE_MAX apart. */
enum { STR_DISTANCE_MAX = 64 };
unsigned str_distance(struct str a, struct str b);
