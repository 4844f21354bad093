/* Contracts: for our own bugs, on in every build. Input, disk and network get errors instead.
 * A failed assert prints the expression, the place and the last trace records, then aborts. */
#pragma once

#include <stddef.h>

_Noreturn void contract_fail(const char *expr, const char *file, int line, const char *func);

#define ASSERT(cond)              ((cond) ? (void)0 : contract_fail(#cond, __FILE__, __LINE__, __func__))
#define IMPLIES(a, b)             (!(a) || (b))
#define UNREACHABLE()             contract_fail("unreachable", __FILE__, __LINE__, __func__)
#define STATIC_ASSERT(cond, text) _Static_assert(cond, text)

#define ARRAY_COUNT(a)                  (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define UNUSED(x)                       ((void)(x))

/* Short record kept in a fixed ring per thread, printed by contract_fail(). Cheap: no I/O. */
void contract_trace(const char *what, unsigned long long a, unsigned long long b);

/* Whom this thread's records are told to as well, as they are made; NULL: nobody. For tests that count
 * what has happened. It must not trace itself. */
typedef void contract_observer(const char *what, unsigned long long a, unsigned long long b);
void contract_observe(contract_observer *fn);
