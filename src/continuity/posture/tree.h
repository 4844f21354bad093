/* YAML or JSON text as a tree of lists, maps and scalars with lines, for a reader that types it by
 * its own schema. This is the one header in front of libyaml.
 *
 * The YAML is a strict subset: one document; no anchors, aliases, tags or directives; keys are
 * scalars and unique. Nothing is typed here: `yes`, `1e3` and `~` are texts, and is_plain says whether
 * they were quoted. A text whose first character that is no blank is `{` is read as JSON, strictly
 * (src/json); its strings count as quoted, its numbers, true, false and null as plain.
 *
 * The tree is in the caller's arena and may point into the text. Errors: ERR_SYNTAX with line and
 * column, ERR_LIMIT. Any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    TREE_DEPTH_MAX = 12,
    TREE_NODES_MAX = 8 << 20,
};

enum tree_kind {
    TREE_SCALAR,
    TREE_LIST,
    TREE_MAP,
};

struct tree_pair;
struct tree_node {
    enum tree_kind kind;
    bool is_plain;   /* TREE_SCALAR: without quotes */
    unsigned line;   /* from 1 */
    unsigned column; /* from 1 */
    struct str text; /* TREE_SCALAR */
    size_t count;    /* items or pairs */
    union {
        const struct tree_node *const *items;
        const struct tree_pair *pairs;
    };
};

struct tree_pair {
    struct str key;
    unsigned line;
    const struct tree_node *value;
};

/* `source` names the text in messages. */
enum err tree_read(struct arena *a, struct str text, struct str source, size_t text_size_max,
                   const struct tree_node **ret, struct errinfo *ei) MUST_CHECK;
