/* Partial document update: up to ten operations on one immutable document.
 *
 *   add      object: puts the member (new or not). array: inserts before the element; index ==
 *            length or `-` appends
 *   set      as add, but an existing element of an array is replaced
 *   replace  the member or element must exist
 *   remove   the member or element must exist; later elements move down
 *   incr     adds to a number; a missing member is created with the value. Integers stay exact
 *            within int64 ("1.0" counts as one), beyond and otherwise the sum is a double
 *   move     takes the value at `from`, which must exist, away and adds it at `path`, which must not
 *            lie below `from`. Indexes of `path` count in the document without the value
 *
 * The parent of a path's last token must exist, and the document itself (an empty path) cannot be
 * the target. Later operations see the work of earlier ones; all succeed or none.
 *
 * Which properties may not be patched (id, partition key, system properties) is the caller's rule:
 * json_patch_touches() tells. Errors are ERR_INVALID, except ERR_LIMIT for a result nested deeper
 * than JSON_DEPTH_MAX; they name the operation, counted from one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "json/json.h"
#include "json/path.h"

enum {
    JSON_PATCH_OPS_MAX = 10,
};

enum json_patch_kind {
    JSON_PATCH_ADD,
    JSON_PATCH_SET,
    JSON_PATCH_REPLACE,
    JSON_PATCH_REMOVE,
    JSON_PATCH_INCR,
    JSON_PATCH_MOVE,
};

struct json_patch_op {
    enum json_patch_kind kind;
    struct json_pointer path;
    struct json_pointer from; /* JSON_PATCH_MOVE */
    const struct json *value; /* add, set, replace, incr; else NULL */
};

struct json_patch {
    struct json_patch_op ops[JSON_PATCH_OPS_MAX];
    size_t count; /* at least one */
    bool has_condition;
    struct str condition; /* query text such as "from c where c.x = 1", for the caller to decide */
};

/* `body` is an array of operations or {"operations": [...], "condition": "..."}; members unknown
 * to us are ignored. The patch points into the body's tree and the arena. */
enum err json_patch_parse(struct arena *a, const struct json *body, struct json_patch *ret,
                          struct errinfo *ei) MUST_CHECK;

/* The changed document: a new tree that shares all unchanged parts with `doc` and with the patch,
 * so it lives no longer than both. Objects and arrays on the way to a change have no `src`. */
enum err json_patch_apply(struct arena *a, const struct json *doc, const struct json_patch *patch,
                          const struct json **ret, struct errinfo *ei) MUST_CHECK;

/* True when some operation writes at, above or below the property path `keys`; *ret_op_idx is the
 * first such operation, from zero. */
bool json_patch_touches(const struct json_patch *patch, const struct str *keys, size_t n,
                        size_t *ret_op_idx);
