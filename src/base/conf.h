/* Configuration as data: a table of options is the parser, the `--help` text and the reference.
 *
 *   enum { CONF_DATA_DIR, CONF_HEARTBEAT, ... };
 *   static const struct conf_row rows[] = {
 *       [CONF_DATA_DIR] = {"data-dir", CONF_STRING, "holdfast-data", 1, 4096, 0, "where data
 * lives"}, [CONF_HEARTBEAT] = {"heartbeat", CONF_DURATION, "200ms", 10, 60000, CONF_RELOADABLE,
 * "..."},
 *   };
 *   struct conf *c = conf_new(rows, ARRAY_COUNT(rows));
 *   TRY(conf_load_args(c, argc, argv, &rest, ei));  // any order: the source decides, not the call
 *   TRY(conf_load_env(c, environ, ei));
 *   TRY(conf_load_file(c, path, ei));
 *   uint64_t ms = conf_u64(c, CONF_HEARTBEAT);
 *
 * A flag wins over the environment, that over the file, that over the default, whatever the order
 * of loading. A value that loses must still be valid. '-' and '_' in names are the same.
 *
 *   file         key = value        '#' starts a comment at the start or after a blank;
 *                                   "..." keeps blanks and '#', with \" and \\ inside
 *   environment  HOLDFAST_KEY       other HOLDFAST_ names are ignored: other commands own them
 *   arguments    --key value, --key=value; a bool is --key, --no-key or --key=yes;
 *                "--" ends the flags; a repeated list flag adds to the list
 *
 * Duration: ms, s, m, h, d ("1.5s" is not accepted; plain numbers are milliseconds). Size: k, M,
 * G, T with or without iB, powers of 1024 (plain numbers are bytes). Bool: yes/no, true/false,
 * on/off, 1/0. List: separated by commas, blanks around items dropped; no empty items.
 * Not thread-safe while loading; read-only afterwards. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum conf_type {
    CONF_STRING, /* min, max: length in bytes; max 0 = CONF_VALUE_SIZE_MAX */
    CONF_U64,    /* min, max: value; max 0 = none */
    CONF_BOOL,
    CONF_DURATION, /* milliseconds; min, max likewise */
    CONF_SIZE,     /* bytes; min, max likewise */
    CONF_LIST,     /* min, max: number of items; max 0 = CONF_LIST_MAX */
};

enum conf_source {
    CONF_FROM_DEFAULT,
    CONF_FROM_FILE,
    CONF_FROM_ENV,
    CONF_FROM_FLAG,
};

enum {
    CONF_RELOADABLE = 1, /* conf_reload() may change it in a running process */
    CONF_SECRET = 2,     /* never printed */
};

enum {
    CONF_ROWS_MAX = 256,
    CONF_VALUE_SIZE_MAX = 4096,
    CONF_LIST_MAX = 64,
    CONF_FILE_SIZE_MAX = 1 << 20,
};

/* NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): rows are written in this order */
struct conf_row {
    const char *name; /* "data-dir" */
    enum conf_type type;
    const char *def; /* as it would be written in a file; must be valid */
    uint64_t min;
    uint64_t max;
    unsigned flags;
    const char *doc; /* one sentence, lower case, no full stop */
};

struct conf;

/* Asserts that the table is sound (names distinct, defaults valid). `rows` is not copied. */
struct conf *conf_new(const struct conf_row *rows, unsigned row_count);
void conf_free(struct conf *c);

MUST_CHECK enum err conf_set(struct conf *c, const char *name, struct str value,
                             enum conf_source source, struct errinfo *ei);
/* `path` only names the place in messages. */
MUST_CHECK enum err conf_load_text(struct conf *c, const char *path, struct str text,
                                   struct errinfo *ei);
MUST_CHECK enum err conf_load_file(struct conf *c, const char *path, struct errinfo *ei);
MUST_CHECK enum err conf_load_env(struct conf *c, char *const *env, struct errinfo *ei);
/* Flags are taken out of argv[1..]; what is left (positional arguments, all behind "--") moves to
 * the front, argv[0] first, and *ret_argc becomes their number, argv[0] included. */
MUST_CHECK enum err conf_load_args(struct conf *c, int argc, char **argv, int *ret_argc,
                                   struct errinfo *ei);

/* By row index; assert the type. Strings live as long as the conf or until conf_reload. */
struct str conf_str(const struct conf *c, unsigned idx); /* the text, also of other types */
const char *conf_cstr(const struct conf *c, unsigned idx);
uint64_t conf_u64(const struct conf *c, unsigned idx); /* U64, DURATION (ms), SIZE (bytes) */
bool conf_bool(const struct conf *c, unsigned idx);
unsigned conf_list_count(const struct conf *c, unsigned idx);
struct str conf_list_item(const struct conf *c, unsigned idx, unsigned item);
enum conf_source conf_source(const struct conf *c, unsigned idx);
int conf_find(const struct conf *c, struct str name); /* row index or -1 */

/* Takes over the reloadable values of `fresh` (same table). Returns how many options changed;
 * *ret_ignored is how many others differ but need a restart. */
unsigned conf_reload(struct conf *c, const struct conf *fresh, unsigned *ret_ignored);

/* The option part of a `--help` text. */
void conf_help(const struct conf_row *rows, unsigned row_count, struct buf *out);
/* A Markdown table for the reference pages. */
void conf_reference(const struct conf_row *rows, unsigned row_count, struct buf *out);
/* The line NAME = VALUE of a file, whatever bytes the value has that a value may have (a '#', quotes). */
void conf_line(struct buf *out, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Every value as a file that would load again, with its source; secrets as "(hidden)". */
void conf_dump(const struct conf *c, struct buf *out);
