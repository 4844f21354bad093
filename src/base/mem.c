/* The heap: malloc that aborts instead of returning NULL. Small allocations only fail when the
 * machine is beyond saving; sizes that come from outside are limited by the callers. */
#include "base/mem.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem_probe.h"

static bool is_counting; /* atomic, relaxed */
static long live_count;  /* atomic, relaxed; only kept while is_counting */

static void count(long by)
{
    if (__builtin_expect(__atomic_load_n(&is_counting, __ATOMIC_RELAXED), 0)) {
        (void)__atomic_add_fetch(&live_count, by, __ATOMIC_RELAXED); /* value not needed */
    }
}

void mem_probe_start(void)
{
    __atomic_store_n(&live_count, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&is_counting, true, __ATOMIC_RELAXED);
}

void mem_probe_stop(void)
{
    __atomic_store_n(&is_counting, false, __ATOMIC_RELAXED);
}

long mem_live_count(void)
{
    return __atomic_load_n(&live_count, __ATOMIC_RELAXED);
}

/* Out of line so that the common path stays small. */
static _Noreturn void out_of_memory(size_t n)
{
    contract_trace("allocation failed, bytes:", n, 0);
    contract_fail("out of memory", __FILE__, __LINE__, __func__);
}

void *mem_alloc(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL) {
        out_of_memory(n);
    }
    count(1);
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, n > 0 ? n : 1);
    if (p == NULL) {
        out_of_memory(n);
    }
    count(1);
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    bool is_new = p == NULL;
    void *q = realloc(p, n > 0 ? n : 1);
    if (q == NULL) {
        out_of_memory(n);
    }
    if (is_new) {
        count(1);
    }
    return q;
}

void *mem_dup(const void *p, size_t n)
{
    void *q = mem_alloc(n);
    if (n > 0) {
        memcpy(q, p, n);
    }
    return q;
}

char *mem_strdup(const char *s)
{
    return (char *)mem_dup(s, strlen(s) + 1);
}

void mem_free(void *p)
{
    if (p != NULL) {
        count(-1);
        free(p);
    }
}

void mem_free_secret(void *p, size_t n)
{
    if (p != NULL) {
        explicit_bzero(p, n);
        mem_free(p);
    }
}
