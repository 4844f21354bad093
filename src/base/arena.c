/* Bump allocator over a chain of blocks.
 *
 *   head -> [block 64K: used....free] -> [block 32K: full] -> [big: one object] -> ...
 *
 * Blocks double in size up to BLOCK_SIZE_MAX. An object that would waste most of a block gets a
 * block of its own, put behind the head, so that the head's free space is not lost. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

enum {
    ARENA_ALIGN = 16,
    BLOCK_SIZE_MIN = 4 * 1024,
    BLOCK_SIZE_MAX = 256 * 1024,
    PRINTF_STACK_SIZE = 256,
};

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data */
    size_t used; /* multiple of ARENA_ALIGN, <= size */
    size_t pad;  /* keeps data aligned */
    char data[];
};
STATIC_ASSERT(offsetof(struct arena_block, data) % ARENA_ALIGN == 0, "block data is aligned");

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

static void free_chain(struct arena_block *b)
{
    while (b != NULL) {
        struct arena_block *next = b->next;
        mem_free(b);
        b = next;
    }
}

void arena_done(struct arena *a)
{
    free_chain(a->head);
    a->head = NULL;
    a->used_size = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->head;
    if (keep != NULL && keep->size <= BLOCK_SIZE_MAX) {
        free_chain(keep->next);
        keep->next = NULL;
        keep->used = 0;
    } else {
        free_chain(keep);
        a->head = NULL;
    }
    a->used_size = 0;
}

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b = (struct arena_block *)mem_alloc(sizeof(*b) + size);
    b->next = NULL;
    b->size = size;
    b->used = 0;
    b->pad = 0;
    return b;
}

/* The head has no room for `n` (aligned). */
static void *alloc_slow(struct arena *a, size_t n)
{
    size_t size = a->head != NULL ? a->head->size * 2 : BLOCK_SIZE_MIN;
    if (size > BLOCK_SIZE_MAX) {
        size = BLOCK_SIZE_MAX;
    }
    if (n > size / 4) {
        struct arena_block *big = block_new(n);
        big->used = n;
        if (a->head != NULL) {
            big->next = a->head->next;
            a->head->next = big;
        } else {
            a->head = big;
        }
        return big->data;
    }
    struct arena_block *b = block_new(size);
    b->next = a->head;
    b->used = n;
    a->head = b;
    return b->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
    ASSERT(n <= SIZE_MAX - ARENA_ALIGN);
    size_t aligned = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (aligned == 0) {
        aligned = ARENA_ALIGN; /* distinct addresses for empty objects */
    }
    a->used_size += aligned;
    ASSERT(a->limit_size == 0 || a->used_size <= a->limit_size);
    struct arena_block *b = a->head;
    if (b == NULL || b->size - b->used < aligned) {
        return alloc_slow(a, aligned);
    }
    void *p = b->data + b->used;
    b->used += aligned;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    memset(p, 0, n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = (char *)arena_alloc(a, s.n);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    return (struct str){p, s.n};
}

char *arena_cstr(struct arena *a, struct str s)
{
    char *p = (char *)arena_alloc(a, s.n + 1);
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return p;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    char small[PRINTF_STACK_SIZE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    ASSERT(n >= 0); /* our own format is wrong */
    size_t size = (size_t)n;
    char *p = (char *)arena_alloc(a, size + 1);
    if (size < sizeof(small)) {
        memcpy(p, small, size + 1);
    } else {
        va_start(ap, fmt);
        n = vsnprintf(p, size + 1, fmt, ap);
        va_end(ap);
        ASSERT(n >= 0 && (size_t)n == size);
    }
    return (struct str){p, size};
}
