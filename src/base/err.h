/* Error codes and error detail.
 *
 * A function that can fail returns `enum err`, 0 being success. The detail (message, hint,
 * place) goes once into the operation's `struct errinfo`, where the failure is first seen.
 * Every function that takes a `struct errinfo *` accepts NULL. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum err {
    OK = 0,
#define ERR(name, text, retryable, http, sub, exit_code) name,
#include "base/err.def"
#undef ERR
    ERR_COUNT,
};

#define MUST_CHECK                    __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt_idx, arg_idx) __attribute__((format(printf, fmt_idx, arg_idx)))

enum {
    ERRINFO_MESSAGE_SIZE = 512,
    ERRINFO_HINT_SIZE = 256,
};

struct errinfo {
    enum err code; /* OK until err_set() */
    int line;
    const char *file;
    char message[ERRINFO_MESSAGE_SIZE]; /* lower case, values inside, no full stop */
    char hint[ERRINFO_HINT_SIZE];       /* what to do; may be empty */
};

/* Row of err.def: never NULL; "ok" for OK. */
const char *err_name(enum err e); /* "ERR_NOT_FOUND" */
const char *err_text(enum err e); /* "not found" */
bool err_is_retryable(enum err e);
int err_http_status(enum err e);
int err_substatus(enum err e);
int err_exit_code(enum err e);

/* Text of an errno value; never NULL, any thread (strerror is neither by contract). */
const char *err_errno_text(int errnum);

/* Records the first failure (a later call on a set errinfo keeps the first) and returns `code`. */
#ifdef __clang_analyzer__ /* it does not look into err.c, and would follow paths where this is OK */
#define err_set(ei, code, ...)                                                                     \
    err_second(err_set_at((ei), (code), __FILE__, __LINE__, __VA_ARGS__), (code))
#else
#define err_set(ei, code, ...) err_set_at((ei), (code), __FILE__, __LINE__, __VA_ARGS__)
#endif
enum err err_set_at(struct errinfo *ei, enum err code, const char *file, int line, const char *fmt,
                    ...) PRINTF_LIKE(5, 6);
static inline enum err err_second(enum err first, enum err second)
{
    (void)first;
    return second;
}
/* `code`, with what `from` has of it: message, hint and place. As with err_set the first is kept. */
static inline enum err err_pass(struct errinfo *ei, enum err code, const struct errinfo *from)
{
    if (ei != NULL && ei->code == OK) {
        *ei = *from;
        ei->code = code;
    }
    return code;
}
/* Adds the sentence that says what to do. */
void err_hint(struct errinfo *ei, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Adds a list to choose from, one name at a call: "INTRO a, b, c", and "..." for those that find no room. */
void err_hint_name(struct errinfo *ei, const char *intro, struct str name);

#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum err try_err_ = (expr);                                                                \
        if (try_err_ != OK) {                                                                      \
            return try_err_;                                                                       \
        }                                                                                          \
    } while (0)

/* For functions with one clean-up label; needs a local `enum err ret`. */
#define TRY_GOTO(expr, label)                                                                      \
    do {                                                                                           \
        ret = (expr);                                                                              \
        if (ret != OK) {                                                                           \
            goto label;                                                                            \
        }                                                                                          \
    } while (0)

#define KEEP_FIRST(ret_var, expr)                                                                  \
    do {                                                                                           \
        enum err keep_err_ = (expr);                                                               \
        if ((ret_var) == OK) {                                                                     \
            (ret_var) = keep_err_;                                                                 \
        }                                                                                          \
    } while (0)
