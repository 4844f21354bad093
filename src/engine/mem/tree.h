/* Ordered map of byte strings whose versions share structure: taking a version is one reference,
 * changing the map copies only what an older version still holds.
 *
 * It is a treap: a binary tree ordered by key and heap-ordered by a random priority, so that it
 * stays about 2 log2(n) deep without balancing rules. Nodes and cells are counted references.
 * A node with one reference below a root with one reference belongs to the writer alone and is
 * changed in place; every other is copied first ("own").
 *
 * Threads: a version that somebody holds never changes and may be read without a lock. Taking a
 * reference of a root that a writer may be changing needs the caller's lock; dropping needs none.
 * Deterministic: priorities come from a generator inside the map. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/str.h"

struct cell; /* one row: key and value, immutable, refcounted */
struct node;

struct tree {
    struct node *root; /* owned reference; NULL = empty */
    struct rng rng;    /* priorities; used by the writer only */
    size_t size;       /* bytes of rows, nodes included; of this version only */
};

void tree_init(struct tree *t, uint64_t seed);
void tree_done(struct tree *t);
/* Copies key and value. */
void tree_put(struct tree *t, struct str key, struct str value);
void tree_delete(struct tree *t, struct str key); /* absent: nothing happens */

/* Version handles. */
struct node *tree_root_ref(struct node *root); /* NULL accepted */
void tree_root_unref(struct node *root);

/* NULL when absent; otherwise one reference for the caller. */
struct cell *tree_find(struct node *root, struct str key);
struct str cell_value(const struct cell *c);
void cell_unref(struct cell *c);

/* Walks a version in order; the caller keeps the version alive. */
struct tree_walk {
    const struct node **path; /* owned; nodes whose row is still to come, nearest last */
    size_t depth, cap;
    bool is_backward;
};
/* First row: smallest key >= from, or backwards the greatest key < to (empty: the last). */
void tree_walk_init(struct tree_walk *w, const struct node *root, struct str bound,
                    bool is_backward);
bool tree_walk_next(struct tree_walk *w, struct str *ret_key, struct str *ret_value);
void tree_walk_done(struct tree_walk *w);
