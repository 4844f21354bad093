/* Bump allocator: everything made for one request or batch, freed at once.
 * Not thread-safe; one owner at a time. Pointers die with arena_reset/arena_done and are never
 * stored in longer-lived structs. Memory is aligned to 16 bytes. */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct arena_block;
struct arena {
    struct arena_block *head; /* newest block; owned */
    size_t used_size;         /* bytes handed out since init/reset */
    size_t limit_size;        /* 0 = none; over it arena_alloc aborts: check inputs first */
};

void arena_init(struct arena *a);
void arena_done(struct arena *a);
void arena_reset(struct arena *a); /* keeps one block for reuse */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
struct str arena_str(struct arena *a, struct str s); /* copy */
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_cstr(struct arena *a, struct str s); /* NUL-terminated copy */

#define ARENA_NEW(a, type)          ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_NEW_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))
