/* See tree.h. Recursion is as deep as the tree: the expected depth of a treap is about
 * 1.4 log2(n) and its tail falls exponentially, so millions of rows stay far below a thread's
 * stack. Not handled: memory limits; the simulator and tests bound what they write. */
#include "engine/mem/tree.h"

#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

struct cell {
    unsigned refs; /* atomic */
    uint32_t key_size;
    uint32_t value_size;
    char bytes[]; /* key, value */
};

struct node {
    unsigned refs; /* atomic; parents and version handles */
    uint64_t priority;
    struct node *left, *right; /* owned references */
    struct cell *cell;         /* owned reference */
};

static void ref(unsigned *refs)
{
    unsigned before = __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
    ASSERT(before > 0);
}

/* True when that was the last one. */
static bool unref(unsigned *refs)
{
    unsigned before = __atomic_fetch_sub(refs, 1, __ATOMIC_ACQ_REL);
    ASSERT(before > 0);
    return before == 1;
}

static struct str cell_key(const struct cell *c)
{
    return (struct str){c->bytes, c->key_size};
}

struct str cell_value(const struct cell *c)
{
    return (struct str){c->bytes + c->key_size, c->value_size};
}

static struct cell *cell_new(struct str key, struct str value)
{
    struct cell *c = (struct cell *)mem_alloc(sizeof(*c) + key.n + value.n);
    c->refs = 1;
    c->key_size = (uint32_t)key.n;
    c->value_size = (uint32_t)value.n;
    memcpy(c->bytes, key.p, key.n);
    if (value.n > 0) {
        memcpy(c->bytes + key.n, value.p, value.n);
    }
    return c;
}

void cell_unref(struct cell *c)
{
    if (unref(&c->refs)) {
        mem_free(c);
    }
}

static size_t row_size(const struct cell *c)
{
    return sizeof(struct node) + sizeof(struct cell) + c->key_size + c->value_size;
}

struct node *tree_root_ref(struct node *root)
{
    if (root != NULL) {
        ref(&root->refs);
    }
    return root;
}

void tree_root_unref(struct node *root)
{
    while (root != NULL && unref(&root->refs)) {
        struct node *right = root->right;
        tree_root_unref(root->left);
        cell_unref(root->cell);
        mem_free(root);
        root = right;
    }
}

/* Trades one reference of `n` for the only reference of a node with the same content. */
static struct node *own(struct node *n)
{
    if (__atomic_load_n(&n->refs, __ATOMIC_ACQUIRE) == 1) {
        return n;
    }
    struct node *copy = MEM_NEW(struct node);
    copy->refs = 1;
    copy->priority = n->priority;
    copy->left = tree_root_ref(n->left);
    copy->right = tree_root_ref(n->right);
    copy->cell = n->cell;
    ref(&copy->cell->refs);
    tree_root_unref(n);
    return copy;
}

void tree_init(struct tree *t, uint64_t seed)
{
    *t = (struct tree){0};
    rng_init(&t->rng, seed);
}

void tree_done(struct tree *t)
{
    tree_root_unref(t->root);
    t->root = NULL;
    t->size = 0;
}

/* Takes over the reference to `n` and to `c`; returns the owned root of the changed subtree. */
static struct node *put(struct tree *t, struct node *n, struct cell *c)
{
    if (n == NULL) {
        struct node *leaf = MEM_NEW(struct node);
        leaf->refs = 1;
        leaf->priority = rng_u64(&t->rng);
        leaf->cell = c;
        t->size += row_size(c);
        return leaf;
    }
    n = own(n);
    int order = str_cmp(cell_key(c), cell_key(n->cell));
    if (order == 0) {
        t->size = t->size - row_size(n->cell) + row_size(c);
        cell_unref(n->cell);
        n->cell = c;
        return n;
    }
    struct node **side = order < 0 ? &n->left : &n->right;
    struct node *child = put(t, *side, c);
    *side = child;
    if (child->priority <= n->priority) {
        return n;
    }
    /* Rotate the child up; both are owned. */
    struct node **inner = order < 0 ? &child->right : &child->left;
    *side = *inner;
    *inner = n;
    return child;
}

void tree_put(struct tree *t, struct str key, struct str value)
{
    t->root = put(t, t->root, cell_new(key, value));
}

/* Joins two subtrees, all keys of `a` below all of `b`; takes over both references. */
static struct node *join(struct node *a, struct node *b)
{
    if (a == NULL) {
        return b;
    }
    if (b == NULL) {
        return a;
    }
    if (a->priority > b->priority) {
        a = own(a);
        a->right = join(a->right, b);
        return a;
    }
    b = own(b);
    b->left = join(a, b->left);
    return b;
}

static struct node *remove_present(struct tree *t, struct node *n, struct str key)
{
    ASSERT(n != NULL);
    n = own(n);
    int order = str_cmp(key, cell_key(n->cell));
    if (order < 0) {
        n->left = remove_present(t, n->left, key);
        return n;
    }
    if (order > 0) {
        n->right = remove_present(t, n->right, key);
        return n;
    }
    struct node *joined = join(n->left, n->right);
    t->size -= row_size(n->cell);
    cell_unref(n->cell);
    mem_free(n);
    return joined;
}

static const struct node *find(const struct node *n, struct str key)
{
    while (n != NULL) {
        int order = str_cmp(key, cell_key(n->cell));
        if (order == 0) {
            return n;
        }
        n = order < 0 ? n->left : n->right;
    }
    return NULL;
}

void tree_delete(struct tree *t, struct str key)
{
    /* Looking first keeps a delete of nothing from copying a path. */
    if (find(t->root, key) != NULL) {
        t->root = remove_present(t, t->root, key);
    }
}

struct cell *tree_find(struct node *root, struct str key)
{
    const struct node *n = find(root, key);
    if (n == NULL) {
        return NULL;
    }
    ref(&n->cell->refs);
    return n->cell;
}

static void path_push(struct tree_walk *w, const struct node *n)
{
    if (w->depth == w->cap) {
        w->cap = w->cap == 0 ? 32 : w->cap * 2;
        w->path = (const struct node **)mem_realloc(w->path, w->cap * sizeof(const struct node *));
    }
    w->path[w->depth++] = n;
}

void tree_walk_init(struct tree_walk *w, const struct node *root, struct str bound,
                    bool is_backward)
{
    *w = (struct tree_walk){.is_backward = is_backward};
    for (const struct node *n = root; n != NULL;) {
        bool is_inside = is_backward ? bound.n == 0 || str_cmp(cell_key(n->cell), bound) < 0
                                     : str_cmp(cell_key(n->cell), bound) >= 0;
        if (is_inside) {
            path_push(w, n);
        }
        n = is_inside != is_backward ? n->left : n->right;
    }
}

bool tree_walk_next(struct tree_walk *w, struct str *ret_key, struct str *ret_value)
{
    if (w->depth == 0) {
        return false;
    }
    const struct node *n = w->path[--w->depth];
    for (const struct node *next = w->is_backward ? n->left : n->right; next != NULL;
         next = w->is_backward ? next->right : next->left) {
        path_push(w, next);
    }
    *ret_key = cell_key(n->cell);
    *ret_value = cell_value(n->cell);
    return true;
}

void tree_walk_done(struct tree_walk *w)
{
    mem_free(w->path);
    *w = (struct tree_walk){0};
}
