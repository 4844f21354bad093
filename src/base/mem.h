/* Heap. mem_alloc never returns NULL: a failed small allocation aborts. Sizes that come from
 * outside must have been checked against a limit before. Thread-safe. */
#pragma once

#include <stddef.h>

void *mem_alloc(size_t n);            /* uninitialised */
void *mem_zalloc(size_t n);           /* zeroed */
void *mem_realloc(void *p, size_t n); /* p may be NULL */
void *mem_dup(const void *p, size_t n);
char *mem_strdup(const char *s);
void mem_free(void *p);                  /* p may be NULL */
void mem_free_secret(void *p, size_t n); /* zeroes first */

#define MEM_NEW(type)          ((type *)mem_zalloc(sizeof(type)))
#define MEM_NEW_ARRAY(type, n) ((type *)mem_zalloc(sizeof(type) * (n)))
