/* JSON documents as immutable trees in an arena.
 *
 * A document store must give back what it was given: numbers keep their source text, strings may
 * hold NUL, key order is kept, duplicate keys are an error, and every parsed value remembers the
 * bytes it was parsed from, so that writing it again copies them verbatim.
 *
 * Trees and everything they point to live in the caller's arena (strings without escapes point
 * into the source text, which must live as long). Not thread-safe to build, safe to share to read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* In the sort order of query results across types; JSON_UNDEFINED never appears in a parsed tree. */
enum json_type {
    JSON_UNDEFINED,
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

enum {
    JSON_DEPTH_MAX = 128,         /* nesting of arrays and objects */
    JSON_TEXT_SIZE_MAX = 4 << 20, /* default cap on a text */
};

struct json_member;
struct json {
    enum json_type type;
    bool boolean;    /* JSON_BOOL */
    double number;   /* JSON_NUMBER: nearest double */
    struct str text; /* JSON_STRING: decoded (WTF-8: a lone surrogate is kept as 3 bytes) */
    struct str src;  /* bytes it was parsed from; n == 0 when made by a program */
    size_t count;    /* elements or members */
    union {
        const struct json *const *items;   /* JSON_ARRAY */
        const struct json_member *members; /* JSON_OBJECT, in source order, keys unique */
    };
};

struct json_member {
    struct str key; /* decoded */
    const struct json *value;
};

struct json_limits {
    size_t text_size_max; /* 0 = JSON_TEXT_SIZE_MAX */
    int depth_max;        /* 0 = JSON_DEPTH_MAX */
};

/* One value and nothing after it but blanks. ERR_SYNTAX (message has line and column), ERR_LIMIT.
 * Rejects: duplicate keys, bad UTF-8, control characters in strings, leading zeros, NaN, trailing
 * commas, a byte order mark. Numbers beyond double range are ERR_SYNTAX. */
enum err json_parse(struct arena *a, struct str text, const struct json_limits *limits,
                    const struct json **ret, struct errinfo *ei) MUST_CHECK;

/* Member of an object or NULL (also when v is NULL or no object). */
const struct json *json_get(const struct json *v, struct str key);
const struct json *json_get_path(const struct json *v, const struct str *keys, size_t n);
/* Convenience for trusted shapes: false and untouched *ret when absent or of another type. */
bool json_get_str(const struct json *v, struct str key, struct str *ret);
/* The same for output: empty when there is none. */
struct str json_text(const struct json *v, const char *key);
/* An integer below 2^64, however written; made by a program: what its double holds. */
bool json_get_u64(const struct json *v, struct str key, uint64_t *ret);
bool json_get_bool(const struct json *v, struct str key, bool *ret);
bool json_is_integer(const struct json *v, int64_t *ret); /* exact integer within int64 */

/* Constructors (src empty; only an integer beyond 2^53 carries its digits there, so that it is
 * written and read exactly). Text, items and members are not copied; keys must be unique, nesting
 * within JSON_DEPTH_MAX. */
const struct json *json_undefined(void);
const struct json *json_null(void);
const struct json *json_bool(bool b);
const struct json *json_number(struct arena *a, double d);
const struct json *json_integer(struct arena *a, int64_t i);
const struct json *json_string(struct arena *a, struct str decoded);
const struct json *json_array(struct arena *a, const struct json *const *items, size_t n);
const struct json *json_object(struct arena *a, const struct json_member *members, size_t n);

/* Canonical order of the query language: by type as in enum json_type, false < true, numbers by
 * value (as doubles), strings by code point, arrays element by element, objects member by member
 * in the order of their keys. json_cmp() is 0 exactly when json_eq() is true. */
int json_cmp(const struct json *a, const struct json *b);
bool json_eq(const struct json *a, const struct json *b); /* objects: member order ignored */

/* Compact text: verbatim source bytes where a value has them, else shortest round-trip numbers.
 * Undefined members and elements are left out, numbers that are not finite become null, bytes of a
 * string that are not UTF-8 become U+FFFD: the text is always valid. */
void json_write(struct buf *out, const struct json *v);
void json_write_string(struct buf *out, struct str decoded); /* with quotes */
void json_write_number(struct buf *out, double d);           /* shortest that reads back equal */

/* Writer for building answers without a tree. Commas are put by the writer. */
struct json_out {
    struct buf *buf;
    bool need_comma;
};
void json_out_init(struct json_out *o, struct buf *buf);
void json_out_object(struct json_out *o);
void json_out_object_end(struct json_out *o);
void json_out_array(struct json_out *o);
void json_out_array_end(struct json_out *o);
void json_out_key(struct json_out *o, const char *key);
void json_out_key_str(struct json_out *o, struct str key);
void json_out_str(struct json_out *o, struct str s);
void json_out_cstr(struct json_out *o, const char *s);
void json_out_u64(struct json_out *o, uint64_t v);
void json_out_i64(struct json_out *o, int64_t v);
void json_out_double(struct json_out *o, double v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
void json_out_raw(struct json_out *o, struct str json_text); /* a whole value, verbatim */
/* A member of an object: key and value. */
void json_out_member_str(struct json_out *o, const char *key, struct str v);
void json_out_member_cstr(struct json_out *o, const char *key, const char *v);
void json_out_member_u64(struct json_out *o, const char *key, uint64_t v);
void json_out_member_i64(struct json_out *o, const char *key, int64_t v);
void json_out_member_bool(struct json_out *o, const char *key, bool v);
