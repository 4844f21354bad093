/* Rows in the order of ORDER BY, keeping no more than will be returned.
 *
 * While rows come in, those kept are a heap with the worst on top: a row that is no better is not
 * even copied. Two limits may drop the worst: a number of rows, and a number of bytes that the
 * better ones fill already (what a page cannot hold). */
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "cosmos/query/query_int.h"

void query_sort_init(struct query_sort *s, struct query_eval *ev, const struct query_select *sel)
{
    *s = (struct query_sort){.ev = ev, .order = sel->order, .key_count = sel->order_count};
    for (size_t i = 0; i < sel->order_count; i++) {
        s->is_rid_descending |= sel->order[i].is_desc;
    }
}

static void row_free(struct query_sort *s, struct query_row *row)
{
    s->ev->mem_used -= row->size;
    s->text_size -= row->text.n;
    mem_free(row);
}

void query_sort_done(struct query_sort *s)
{
    for (size_t i = 0; i < s->count; i++) {
        row_free(s, s->rows[i]);
    }
    mem_free(s->rows);
    s->rows = NULL;
    s->count = 0;
    s->cap = 0;
}

static int cmp_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int query_sort_cmp(const struct query_sort *s, const struct query_row *a, const struct query_row *b)
{
    for (size_t i = 0; i < s->key_count; i++) {
        int c = json_cmp(a->keys[i], b->keys[i]);
        if (c != 0) {
            return s->order[i].is_desc ? -c : c;
        }
    }
    int c = cmp_u64(a->ordinal, b->ordinal);
    if (c == 0) {
        c = cmp_u64(a->rid, b->rid);
        c = s->is_rid_descending ? -c : c;
    }
    return c != 0 ? c : cmp_u64(a->row_idx, b->row_idx);
}

static bool is_full(const struct query_sort *s)
{
    if (s->count == 0) {
        return false;
    }
    return (s->row_max > 0 && s->count >= s->row_max) ||
           (s->size_max > 0 && s->text_size >= s->size_max);
}

bool query_sort_wants(const struct query_sort *s, const struct query_row *row)
{
    return !is_full(s) || query_sort_cmp(s, row, s->rows[0]) < 0;
}

static void sift_up(struct query_sort *s, size_t at)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (query_sort_cmp(s, s->rows[at], s->rows[parent]) <= 0) {
            break;
        }
        struct query_row *row = s->rows[at];
        s->rows[at] = s->rows[parent];
        s->rows[parent] = row;
        at = parent;
    }
}

static void sift_down(struct query_sort *s, size_t at, size_t count)
{
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && query_sort_cmp(s, s->rows[child + 1], s->rows[child]) > 0) {
            child++;
        }
        if (query_sort_cmp(s, s->rows[child], s->rows[at]) <= 0) {
            break;
        }
        struct query_row *row = s->rows[at];
        s->rows[at] = s->rows[child];
        s->rows[child] = row;
        at = child;
    }
}

static void drop_worst(struct query_sort *s)
{
    row_free(s, s->rows[0]);
    s->count--;
    s->rows[0] = s->rows[s->count];
    sift_down(s, 0, s->count);
    s->has_dropped = true;
}

static size_t padded(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

/* [struct query_row][key pointers][keys][value][text] in one block. */
static struct query_row *row_copy(const struct query_sort *s, const struct query_row *row)
{
    size_t size = padded(sizeof(*row)) + padded(s->key_count * sizeof(const struct json *));
    for (size_t i = 0; i < s->key_count; i++) {
        size += query_value_size(row->keys[i]);
    }
    size += row->value != NULL ? query_value_size(row->value) : 0;
    size += row->text.n;
    char *at = (char *)mem_alloc(size);
    struct query_row *copy = (struct query_row *)at;
    *copy = *row;
    copy->size = size;
    at += padded(sizeof(*row));
    copy->keys = (const struct json **)at;
    at += padded(s->key_count * sizeof(const struct json *));
    for (size_t i = 0; i < s->key_count; i++) {
        copy->keys[i] = query_value_clone_at(&at, row->keys[i]);
    }
    copy->value = row->value != NULL ? query_value_clone_at(&at, row->value) : NULL;
    if (row->text.n > 0) {
        memcpy(at, row->text.p, row->text.n);
    }
    copy->text = str_make(at, row->text.n);
    return copy;
}

bool query_sort_add(struct query_sort *s, const struct query_row *row)
{
    if (!query_sort_wants(s, row)) {
        s->has_dropped = true;
        return true;
    }
    struct query_row *copy = row_copy(s, row);
    s->text_size += copy->text.n;
    if (s->count == s->cap) {
        s->cap = s->cap > 0 ? s->cap * 2 : 16;
        s->rows = (struct query_row **)mem_realloc(s->rows, s->cap * sizeof(struct query_row *));
    }
    s->rows[s->count++] = copy;
    sift_up(s, s->count - 1);
    while (s->row_max > 0 && s->count > s->row_max) {
        drop_worst(s);
    }
    while (s->size_max > 0 && s->count > 1 && s->text_size - s->rows[0]->text.n >= s->size_max) {
        drop_worst(s);
    }
    return query_eval_keep(s->ev, copy->size);
}

void query_sort_finish(struct query_sort *s)
{
    for (size_t n = s->count; n > 1; n--) { /* heap sort: the worst goes to the end */
        struct query_row *worst = s->rows[0];
        s->rows[0] = s->rows[n - 1];
        s->rows[n - 1] = worst;
        sift_down(s, 0, n - 1);
    }
}
