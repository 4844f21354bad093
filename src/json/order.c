/* Order and equality of values.
 *
 * Numbers compare as doubles, which is what numbers of the query language are: two integers beyond
 * 2^53 that share a double are equal here although their texts differ. Anything finer would disagree
 * with indexes and with the clients. Objects compare as their members sorted by key, member by
 * member, key before value, the one that ends first being smaller; so the order in which members
 * were written does not matter, and json_cmp() == 0 exactly when json_eq(). */
#include "json/json_int.h"

#include "base/contract.h"
#include "base/mem.h"

enum {
    SORT_ON_STACK_MAX = 16, /* members; larger objects borrow from the heap for the comparison */
};

static int key_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c != 0) {
        return c < 0 ? -1 : 1;
    }
    return (a.n > b.n) - (a.n < b.n);
}

/* Restores the heap (largest on top) below `root` in v[0..n). */
static void sift_down(const struct json_member **v, size_t root, size_t n)
{
    const struct json_member *moving = v[root];
    for (;;) {
        size_t child = 2 * root + 1;
        if (child >= n) {
            break;
        }
        if (child + 1 < n && key_cmp(v[child + 1]->key, v[child]->key) > 0) {
            child++;
        }
        if (key_cmp(v[child]->key, moving->key) <= 0) {
            break;
        }
        v[root] = v[child];
        root = child;
    }
    v[root] = moving;
}

/* Heap sort: no memory, no bad case. qsort would allocate and may be quadratic. */
void json_sort_members(const struct json_member **v, size_t n)
{
    bool is_sorted = true;
    for (size_t i = 1; i < n && is_sorted; i++) {
        is_sorted = key_cmp(v[i - 1]->key, v[i]->key) <= 0;
    }
    if (is_sorted) {
        return;
    }
    for (size_t i = n / 2; i > 0; i--) {
        sift_down(v, i - 1, n);
    }
    for (size_t i = n - 1; i > 0; i--) {
        const struct json_member *largest = v[0];
        v[0] = v[i];
        v[i] = largest;
        sift_down(v, 0, i);
    }
}

static void sorted_members(const struct json *v, const struct json_member **out)
{
    for (size_t i = 0; i < v->count; i++) {
        out[i] = &v->members[i];
    }
    json_sort_members(out, v->count);
}

static int cmp_sorted(const struct json_member *const *a, size_t a_count,
                      const struct json_member *const *b, size_t b_count)
{
    for (size_t i = 0; i < a_count && i < b_count; i++) {
        int c = key_cmp(a[i]->key, b[i]->key);
        if (c == 0) {
            c = json_cmp(a[i]->value, b[i]->value);
        }
        if (c != 0) {
            return c;
        }
    }
    return (a_count > b_count) - (a_count < b_count);
}

static int cmp_objects(const struct json *a, const struct json *b)
{
    const struct json_member *on_stack[2 * SORT_ON_STACK_MAX];
    const struct json_member **v = on_stack;
    if (a->count > SORT_ON_STACK_MAX || b->count > SORT_ON_STACK_MAX) {
        v = mem_alloc((a->count + b->count) * sizeof(const struct json_member *));
    }
    const struct json_member **w = v + a->count;
    sorted_members(a, v);
    sorted_members(b, w);
    int c = cmp_sorted(v, a->count, w, b->count);
    if (v != on_stack) {
        mem_free(v);
    }
    return c;
}

static int cmp_arrays(const struct json *a, const struct json *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int c = json_cmp(a->items[i], b->items[i]);
        if (c != 0) {
            return c;
        }
    }
    return (a->count > b->count) - (a->count < b->count);
}

int json_cmp(const struct json *a, const struct json *b)
{
    if (a == b) {
        return 0;
    }
    if (a->type != b->type) {
        return a->type < b->type ? -1 : 1;
    }
    switch (a->type) {
    case JSON_UNDEFINED:
    case JSON_NULL:
        return 0;
    case JSON_BOOL:
        return (int)a->boolean - (int)b->boolean;
    case JSON_NUMBER:
        return (a->number > b->number) - (a->number < b->number);
    case JSON_STRING:
        return key_cmp(a->text, b->text);
    case JSON_ARRAY:
        return cmp_arrays(a, b);
    case JSON_OBJECT:
        return cmp_objects(a, b);
    }
    UNREACHABLE();
}

/* Equal objects mostly have their members in the same order: no sorting then. */
static bool eq_objects(const struct json *a, const struct json *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!str_eq(a->members[i].key, b->members[i].key)) {
            return cmp_objects(a, b) == 0;
        }
        if (!json_eq(a->members[i].value, b->members[i].value)) {
            return false;
        }
    }
    return true;
}

bool json_eq(const struct json *a, const struct json *b)
{
    if (a == b) {
        return true;
    }
    if (a->type != b->type) {
        return false;
    }
    if (a->type == JSON_OBJECT) {
        return eq_objects(a, b);
    }
    if (a->type == JSON_ARRAY) {
        if (a->count != b->count) {
            return false;
        }
        for (size_t i = 0; i < a->count; i++) {
            if (!json_eq(a->items[i], b->items[i])) {
                return false;
            }
        }
        return true;
    }
    return json_cmp(a, b) == 0;
}
