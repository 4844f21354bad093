/* One line per event, one write(2) per line.
 *
 * Quoting: a value may contain blanks, but the line is made by one vsnprintf, which tells
 * nothing about where values begin and end. So the format is rewritten first: each blank-
 * separated word that has a conversion gets a mark byte before its value and one behind it. The
 * marks cannot occur in UTF-8. A value that contains them anyway (or a line over the limit) would
 * shift the meaning of the rest: then the number of marks is wrong, and the whole text is logged
 * as one quoted value. A value can thus never forge a key. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LINE_SIZE_MAX = 4096,
    TEXT_SIZE_MAX = 1500, /* before escaping, which makes four of one at worst */
    FORMAT_SIZE_MAX = 1536,
    NAME_SIZE_MAX = 64,
    MARK_BEGIN = 0xfe,
    MARK_END = 0xff,
};

enum log_level log_level_now = LOG_LEVEL_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static char process_name[NAME_SIZE_MAX]; /* set once at start, before threads */

struct line {
    char p[LINE_SIZE_MAX];
    size_t n;
};

void log_set_level(enum log_level level)
{
    __atomic_store_n(&log_level_now, level, __ATOMIC_RELAXED);
}

int log_level_parse(const char *text, enum log_level *ret)
{
    for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (enum log_level)i;
            return 0;
        }
    }
    return -1;
}

void log_set_name(const char *process)
{
    (void)snprintf(process_name, sizeof(process_name), "%s", process); /* cut if too long */
}

static void put_char(struct line *l, char c)
{
    if (l->n < sizeof(l->p) - 1) { /* one byte stays for the newline */
        l->p[l->n++] = c;
    }
}

static void put_text(struct line *l, const char *s)
{
    for (; *s != '\0'; s++) {
        put_char(l, *s);
    }
}

static bool needs_quotes(const char *p, size_t n)
{
    if (n == 0) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)p[i];
        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f || c == MARK_BEGIN ||
            c == MARK_END) {
            return true;
        }
    }
    return false;
}

static void put_escaped(struct line *l, char c)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t v = (uint8_t)c;
    if (c == '"' || c == '\\') {
        put_char(l, '\\');
        put_char(l, c);
    } else if (c == '\n') {
        put_text(l, "\\n");
    } else if (v < ' ' || v == 0x7f || v == MARK_BEGIN || v == MARK_END) {
        put_text(l, "\\x");
        put_char(l, hex[v >> 4]);
        put_char(l, hex[v & 15]);
    } else {
        put_char(l, c);
    }
}

static void put_value(struct line *l, const char *p, size_t n)
{
    bool is_quoted = needs_quotes(p, n);
    if (is_quoted) {
        put_char(l, '"');
    }
    for (size_t i = 0; i < n; i++) {
        put_escaped(l, p[i]);
    }
    if (is_quoted) {
        put_char(l, '"');
    }
}

/* Copies one conversion ("%-5.2lu") from *at; `at` ends behind it. */
static size_t copy_conversion(char *to, const char **at)
{
    size_t n = 0;
    const char *p = *at;
    to[n++] = *p++;
    while (*p != '\0' && strchr("diouxXeEfFgGaAcspm%", *p) == NULL) {
        to[n++] = *p++;
    }
    if (*p != '\0') {
        to[n++] = *p++;
    }
    *at = p;
    return n;
}

/* Writes `fmt` with marks into `ret` and returns the number of marked values, or -1 when it does
 * not fit. Room: each conversion or character adds itself and at most two marks. */
static int mark_format(const char *fmt, char ret[FORMAT_SIZE_MAX])
{
    if (strlen(fmt) > FORMAT_SIZE_MAX / 3 - 1) {
        return -1;
    }
    int count = 0;
    size_t n = 0;
    while (*fmt != '\0') {
        if (*fmt == ' ') {
            ret[n++] = *fmt++;
            continue;
        }
        /* One word: the mark stands behind the first '=', or before a word without one. */
        const char *equals = strchr(fmt, '=');
        size_t word_len = strcspn(fmt, " ");
        const char *value_at = equals != NULL && equals < fmt + word_len ? equals + 1 : fmt;
        while (fmt < value_at) {
            ret[n++] = *fmt++;
        }
        ret[n++] = (char)MARK_BEGIN;
        while (*fmt != '\0' && *fmt != ' ') {
            if (*fmt == '%') {
                n += copy_conversion(ret + n, &fmt);
            } else {
                ret[n++] = *fmt++;
            }
        }
        ret[n++] = (char)MARK_END;
        count++;
    }
    ret[n] = '\0';
    return count;
}

static int count_byte(const char *p, size_t n, int byte)
{
    int count = 0;
    for (size_t i = 0; i < n; i++) {
        count += (uint8_t)p[i] == byte;
    }
    return count;
}

/* `text` holds exactly `value_count` marked values in order. */
static void put_marked(struct line *l, const char *text, size_t n)
{
    size_t i = 0;
    while (i < n) {
        if ((uint8_t)text[i] != MARK_BEGIN) {
            put_char(l, text[i++]);
            continue;
        }
        size_t from = ++i;
        while (i < n && (uint8_t)text[i] != MARK_END) {
            i++;
        }
        put_value(l, text + from, i - from);
        i++;
    }
}

static void __attribute__((format(printf, 2, 0)))
put_fields(struct line *l, const char *fmt, va_list ap)
{
    char format[FORMAT_SIZE_MAX];
    char text[TEXT_SIZE_MAX];
    int value_count = mark_format(fmt, format);
    const char *use = value_count >= 0 ? format : fmt;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* derived from a checked literal */
    int want = vsnprintf(text, sizeof(text), use, ap);
#pragma GCC diagnostic pop
    if (want < 0) {
        put_text(l, " text=unprintable");
        return;
    }
    bool is_cut = (size_t)want >= sizeof(text);
    size_t n = is_cut ? sizeof(text) - 1 : (size_t)want;
    put_char(l, ' ');
    if (!is_cut && value_count >= 0 && count_byte(text, n, MARK_BEGIN) == value_count &&
        count_byte(text, n, MARK_END) == value_count) {
        put_marked(l, text, n);
        return;
    }
    put_text(l, is_cut ? "is_cut=1 text=" : "text=");
    put_value(l, text, n);
}

static void write_all(const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(STDERR_FILENO, p, n);
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            return; /* nobody reads our log: there is nobody to tell either */
        }
        p += done;
        n -= (size_t)done;
    }
}

static void begin_line(struct line *l, enum log_level level, const char *module, const char *event)
{
    l->n = 0;
    char when[CLOCK_RFC1123_SIZE];
    clock_format_iso(clock_wall_ms(), when);
    put_text(l, when);
    put_char(l, ' ');
    put_text(l, level_names[level]);
    put_char(l, ' ');
    put_text(l, module);
    put_char(l, ' ');
    put_text(l, event);
    if (process_name[0] != '\0') {
        put_text(l, " proc=");
        put_value(l, process_name, strlen(process_name));
    }
}

static void end_line(struct line *l)
{
    l->p[l->n++] = '\n';
    write_all(l->p, l->n);
}

void log_write(enum log_level level, const char *module, const char *event, const char *fmt, ...)
{
    int saved_errno = errno; /* a log call between a failure and its report must not change it */
    struct line l;
    begin_line(&l, level, module, event);
    if (fmt != NULL && fmt[0] != '\0') {
        va_list ap;
        va_start(ap, fmt);
        put_fields(&l, fmt, ap);
        va_end(ap);
    }
    end_line(&l);
    errno = saved_errno;
}

void log_write_fields(enum log_level level, const char *module, const char *event,
                      const char *fields)
{
    int saved_errno = errno;
    struct line l;
    begin_line(&l, level, module, event);
    put_char(&l, ' ');
    for (const char *p = fields; *p != '\0'; p++) {
        bool is_plain = *p == '"' || *p == '\\';
        (is_plain ? put_char : put_escaped)(&l, *p);
    }
    end_line(&l);
    errno = saved_errno;
}
