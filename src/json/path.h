/* Paths into documents, in their two notations.
 *
 * Container paths name properties in the definition of a container (partition key, unique keys,
 * composite indexes, conflict resolution): `/a/b`, and `/"any name: \"x\", a\/b, \u00e9"/c` with
 * the escapes of JSON for names of other shape ('...' quotes as well). They do not lead into
 * arrays. Policy paths are those of indexing policies, where `[]` stands for every element of an
 * array and the end may be `?` (the scalar there) or `*` (everything below).
 *
 * JSON pointers (RFC 6901) name one place in one document, for patches: `/a/0/b~1c`, `-` being the
 * place after the last element.
 *
 * Parsed paths live in the caller's arena and may point into the source text. Errors are
 * ERR_INVALID and quote the path and the byte (from one) where it goes wrong. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "json/json.h"

enum {
    JSON_PATH_SIZE_MAX = 4096,           /* bytes of a path or pointer */
    JSON_PATH_KEYS_MAX = JSON_DEPTH_MAX, /* names in a path or pointer */
};

/* ---- container paths ---- */

struct json_path {
    const struct str *keys; /* decoded */
    size_t count;           /* at least one */
};

/* Wildcards are refused. */
enum err json_path_parse(struct arena *a, struct str text, struct json_path *ret,
                         struct errinfo *ei) MUST_CHECK;
/* The value at the path; NULL when the document has none. */
const struct json *json_path_eval(const struct json *root, const struct json_path *path);
bool json_path_eq(const struct json_path *a, const struct json_path *b);
/* Canonical text: names are quoted only where they must be. */
void json_path_write(struct buf *out, const struct json_path *path);

struct json_policy_step {
    bool is_elements; /* `[]`; else a name */
    struct str key;   /* decoded; empty with is_elements */
};

enum json_policy_end {
    JSON_POLICY_END_NONE,    /* `/a/b`: as in composite indexes */
    JSON_POLICY_END_SCALAR,  /* `/a/b/?` */
    JSON_POLICY_END_SUBTREE, /* `/a/b` followed by a star: everything from here down */
};

struct json_policy_path {
    const struct json_policy_step *steps;
    size_t count; /* 0 only with an end: the root's own */
    enum json_policy_end end;
};

enum err json_policy_path_parse(struct arena *a, struct str text, struct json_policy_path *ret,
                                struct errinfo *ei) MUST_CHECK;

/* ---- JSON pointers ---- */

struct json_pointer {
    const struct str *tokens; /* decoded: ~0 and ~1 are gone */
    size_t count;             /* 0 = the whole document */
};

enum err json_pointer_parse(struct arena *a, struct str text, struct json_pointer *ret,
                            struct errinfo *ei) MUST_CHECK;
/* The value there; NULL when there is none (`-` never has one). */
const struct json *json_pointer_eval(const struct json *root, const struct json_pointer *pointer);
/* A token as the index of an array's element: digits without a leading zero. Any size_t value. */
bool json_pointer_index(struct str token, size_t *ret);
/* Text of the first `count` tokens. */
void json_pointer_write(struct buf *out, const struct json_pointer *pointer, size_t count);
/* True when `a` is `b` or lies above it. */
bool json_pointer_is_prefix(const struct json_pointer *a, const struct json_pointer *b);
