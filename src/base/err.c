/* The error table and error detail. One array built from err.def; no state. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"

struct err_row {
    const char *name;
    const char *text;
    bool is_retryable;
    int http_status;
    int substatus;
    int exit_code;
};

static const struct err_row rows[ERR_COUNT] = {
    [OK] = {"OK", "ok", false, 200, 0, 0},
#define ERR(name, text, retryable, http, sub, exit_code)                                           \
    [name] = {#name, text, (retryable) != 0, http, sub, exit_code},
#include "base/err.def"
#undef ERR
};

static const struct err_row *row_of(enum err e)
{
    ASSERT((unsigned)e < ERR_COUNT);
    return &rows[e];
}

const char *err_name(enum err e)
{
    return row_of(e)->name;
}

const char *err_text(enum err e)
{
    return row_of(e)->text;
}

bool err_is_retryable(enum err e)
{
    return row_of(e)->is_retryable;
}

int err_http_status(enum err e)
{
    return row_of(e)->http_status;
}

int err_substatus(enum err e)
{
    return row_of(e)->substatus;
}

int err_exit_code(enum err e)
{
    return row_of(e)->exit_code;
}

const char *err_errno_text(int errnum)
{
    const char *text = strerrordesc_np(errnum);
    return text != NULL ? text : "unknown error";
}

enum err err_set_at(struct errinfo *ei, enum err code, const char *file, int line, const char *fmt,
                    ...)
{
    ASSERT(code != OK);
    if (ei == NULL || ei->code != OK) {
        return code;
    }
    ei->code = code;
    ei->file = file;
    ei->line = line;
    ei->hint[0] = '\0';
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(ei->message, sizeof(ei->message), fmt, ap); /* a long message is cut: fine */
    va_end(ap);
    return code;
}

void err_hint_name(struct errinfo *ei, const char *intro, struct str name)
{
    static const char more[] = ", ...";
    if (ei == NULL || (ei->hint[0] != '\0' && strncmp(ei->hint, intro, strlen(intro)) != 0)) {
        return;
    }
    if (ei->hint[0] == '\0') {
        err_hint(ei, "%s " STR_FMT, intro, STR_ARG(name));
        return;
    }
    size_t n = strlen(ei->hint);
    size_t tail = sizeof(more) - 1;
    bool is_cut = n >= tail && strcmp(ei->hint + n - tail, more) == 0;
    if (is_cut) {
        return;
    }
    if (n + 2 + name.n + tail < sizeof(ei->hint)) {
        (void)snprintf(ei->hint + n, sizeof(ei->hint) - n, ", " STR_FMT, STR_ARG(name));
    } else {
        memcpy(ei->hint + n, more, sizeof(more));
    }
}

void err_hint(struct errinfo *ei, const char *fmt, ...)
{
    if (ei == NULL || ei->hint[0] != '\0') {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(ei->hint, sizeof(ei->hint), fmt, ap); /* as above */
    va_end(ap);
}
