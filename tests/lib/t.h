/* Tiny test harness: TAP on stdout, one process per test program.
 *
 *   static void test_empty_map_has_nothing(void)
 *   {
 *       struct map m;
 *       map_init(&m);
 *       t_check(map_get(&m, STR("a")) == NULL);
 *       map_done(&m);
 *   }
 *
 *   int main(int argc, char **argv)
 *   {
 *       t_start(argc, argv);
 *       t_run("an empty map has nothing", test_empty_map_has_nothing);
 *       return t_done();
 *   }
 *
 * or, the same with registration (runs in the order of the file; no main of one's own):
 *
 *   T_TEST("an empty map has nothing")
 *   {
 *       ...
 *   }
 *   T_MAIN()
 *
 * A failed check prints place, expression, both values and the command to repeat, ends this one
 * test (longjmp: checks in callbacks of foreign code must use t_fail_soft) and goes on with the
 * next. A program that hangs is ended after T_TIME_LIMIT seconds (environment; default 60), one
 * that crashes or leaves early without t_done() fails through its exit code or missing plan.
 *
 * Arguments: `PROGRAM [TEXT]` runs only the tests whose title contains TEXT; `-l` lists titles.
 * Environment: T_SEED (default 1) is what t_seed() returns. Single-threaded: checks belong to the
 * thread that runs the test. */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

typedef void t_fn(void);

void t_start(int argc, char **argv);
void t_run(const char *title, t_fn *fn);
int t_done(void); /* prints the plan; the exit status: 0 all passed, 1 some failed or none ran */

uint64_t t_seed(void);
/* Marks the running test as skipped (environment lacks something); the caller returns then. */
void t_skip(const char *reason);
/* A line of TAP comment. */
void t_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Seconds until the program is ended; replaces the default from here on. */
void t_time_limit(unsigned seconds);

/* A fresh directory under $TMPDIR, removed with all it holds in t_done(). Owned by the harness. */
const char *t_tmp_dir(void);
/* The whole file, NUL-terminated, to be freed with mem_free; fails the test when unreadable. */
char *t_read_file(const char *path, size_t *ret_n);
/* `got` must equal the file tests/unit/golden/NAME; with T_UPDATE_GOLDEN=1 writes it instead. */
#define t_golden(name, got) t_golden_at(__FILE__, __LINE__, name, got)
void t_golden_at(const char *file, int line, const char *name, struct str got);

_Noreturn void t_fail_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Records the failure but returns. */
void t_fail_soft_at(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
#define t_fail(...)      t_fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define t_fail_soft(...) t_fail_soft_at(__FILE__, __LINE__, __VA_ARGS__)

#define t_check(cond)                                                                              \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            t_fail_at(__FILE__, __LINE__, "should hold: %s", #cond);                               \
        }                                                                                          \
    } while (0)

/* Like t_check, with a text for what the expression does not show. */
#define t_checkf(cond, ...)                                                                        \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            t_note(__VA_ARGS__);                                                                   \
            t_fail_at(__FILE__, __LINE__, "should hold: %s", #cond);                               \
        }                                                                                          \
    } while (0)

/* got, want */
#define t_eq_u64(got, want)     t_eq_u64_at(__FILE__, __LINE__, #got, got, want)
#define t_eq_i64(got, want)     t_eq_i64_at(__FILE__, __LINE__, #got, got, want)
#define t_eq_int(got, want)     t_eq_i64_at(__FILE__, __LINE__, #got, got, want)
#define t_eq_bool(got, want)    t_eq_bool_at(__FILE__, __LINE__, #got, got, want)
#define t_eq_f64(got, want)     t_eq_f64_at(__FILE__, __LINE__, #got, got, want)
#define t_eq_str(got, want)     t_eq_str_at(__FILE__, __LINE__, #got, got, want)      /* str, str */
#define t_eq_cstr(got, want)    t_eq_cstr_at(__FILE__, __LINE__, #got, got, want)     /* char *  */
#define t_eq_lit(got, want)     t_eq_str_at(__FILE__, __LINE__, #got, got, STR(want)) /* str, "" */
#define t_contains(got, part)   t_contains_at(__FILE__, __LINE__, #got, got, part) /* str, char * */
#define t_ok(err_expr)          t_err_at(__FILE__, __LINE__, #err_expr, err_expr, OK, NULL)
#define t_ok_info(err_expr, ei) t_err_at(__FILE__, __LINE__, #err_expr, err_expr, OK, ei)
#define t_err(err_expr, want)   t_err_at(__FILE__, __LINE__, #err_expr, err_expr, want, NULL)

void t_eq_u64_at(const char *file, int line, const char *what, uint64_t got, uint64_t want);
void t_eq_i64_at(const char *file, int line, const char *what, int64_t got, int64_t want);
void t_eq_bool_at(const char *file, int line, const char *what, bool got, bool want);
void t_eq_f64_at(const char *file, int line, const char *what, double got, double want);
void t_eq_str_at(const char *file, int line, const char *what, struct str got, struct str want);
void t_eq_cstr_at(const char *file, int line, const char *what, const char *got, const char *want);
void t_contains_at(const char *file, int line, const char *what, struct str got, const char *part);
void t_err_at(const char *file, int line, const char *what, enum err got, enum err want,
              const struct errinfo *ei);

/* True when `fn(arg)`, run in a child process, aborts: for tests of contracts. */
bool t_aborts(void (*fn)(void *arg), void *arg);

/* Registration. */
struct t_entry {
    const char *title;
    t_fn *fn;
    struct t_entry *next;
};
void t_register(struct t_entry *entry);
int t_main(int argc, char **argv);

#define T_PASTE_(a, b) a##b
#define T_PASTE(a, b)  T_PASTE_(a, b)
#define T_TEST(title_)                                                                             \
    static void T_PASTE(t_body_, __LINE__)(void);                                                  \
    __attribute__((constructor)) static void T_PASTE(t_register_, __LINE__)(void)                  \
    {                                                                                              \
        static struct t_entry entry = {title_, T_PASTE(t_body_, __LINE__), NULL};                  \
        t_register(&entry);                                                                        \
    }                                                                                              \
    static void T_PASTE(t_body_, __LINE__)(void)
#define T_MAIN()                                                                                   \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return t_main(argc, argv);                                                                 \
    }
