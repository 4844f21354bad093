/* Options: parsing, sources and their precedence, help. One struct value per row; each keeps the
 * text as it was given (for strings, lists and dumps) and the number it means. */
#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/mem.h"

#define ENV_PREFIX "HOLDFAST_"

struct value {
    char *text; /* owned; NUL-terminated */
    size_t text_size;
    uint64_t number; /* U64, BOOL (0/1), DURATION in ms, SIZE in bytes; LIST: item count */
    enum conf_source source;
};

struct conf {
    const struct conf_row *rows; /* the caller's, static */
    unsigned row_count;
    struct value *values; /* owned, row_count */
};

static char fold(char c)
{
    return c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_name(const char *name, struct str text, bool ignore_case)
{
    if (strlen(name) != text.n) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = ignore_case || text.p[i] == '_' ? fold(text.p[i]) : text.p[i];
        if (name[i] != c) {
            return false;
        }
    }
    return true;
}

static int find_row(const struct conf_row *rows, unsigned row_count, struct str name, bool any_case)
{
    for (unsigned i = 0; i < row_count; i++) {
        if (is_name(rows[i].name, name, any_case)) {
            return (int)i;
        }
    }
    return -1;
}

int conf_find(const struct conf *c, struct str name)
{
    return find_row(c->rows, c->row_count, name, /* any_case= */ false);
}

/* A wrong flag is the caller's usage, anything else is the configuration. */
static enum err code_for(enum conf_source source)
{
    return source == CONF_FROM_FLAG ? ERR_USAGE : ERR_CONFIG;
}

static enum err unknown_name(const struct conf *c, struct str name, enum conf_source source,
                             const char *where, struct errinfo *ei)
{
    enum err e =
        err_set(ei, code_for(source), "%s: unknown option '" STR_FMT "'", where, STR_ARG(name));
    unsigned best = STR_DISTANCE_MAX;
    const char *nearest = NULL;
    for (unsigned i = 0; i < c->row_count; i++) {
        unsigned d = str_distance(name, str_of(c->rows[i].name));
        if (d < best) {
            best = d;
            nearest = c->rows[i].name;
        }
    }
    if (nearest != NULL && best <= 2 + name.n / 4) {
        err_hint(ei, "did you mean '%s'?", nearest);
    }
    return e;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
};
static const struct unit size_units[] = {
    {"", 1},
    {"b", 1},
    {"k", UINT64_C(1) << 10},
    {"kib", UINT64_C(1) << 10},
    {"m", UINT64_C(1) << 20},
    {"mib", UINT64_C(1) << 20},
    {"g", UINT64_C(1) << 30},
    {"gib", UINT64_C(1) << 30},
    {"t", UINT64_C(1) << 40},
    {"tib", UINT64_C(1) << 40},
};

static bool parse_with_unit(struct str text, const struct unit *units, size_t unit_count,
                            uint64_t *ret)
{
    size_t digit_count = 0;
    while (digit_count < text.n && text.p[digit_count] >= '0' && text.p[digit_count] <= '9') {
        digit_count++;
    }
    uint64_t v = 0;
    if (!str_to_u64(str_slice(text, 0, digit_count), &v)) {
        return false;
    }
    struct str unit = str_trim(str_slice(text, digit_count, text.n));
    for (size_t i = 0; i < unit_count; i++) {
        if (str_eq_nocase(unit, str_of(units[i].name))) {
            return !__builtin_mul_overflow(v, units[i].factor, ret);
        }
    }
    return false;
}

static bool parse_bool(struct str text, uint64_t *ret)
{
    static const char *const words[2][4] = {{"no", "false", "off", "0"},
                                            {"yes", "true", "on", "1"}};
    for (unsigned v = 0; v < 2; v++) {
        for (unsigned i = 0; i < 4; i++) {
            if (str_eq_nocase(text, str_of(words[v][i]))) {
                *ret = v;
                return true;
            }
        }
    }
    return false;
}

/* Number of items, or -1 when one is empty. An empty text is an empty list. */
static int count_items(struct str text)
{
    int count = 0;
    bool has_more = str_trim(text).n > 0;
    while (has_more) {
        struct str item;
        struct str rest = STR_NONE;
        has_more = str_split(text, ',', &item, &rest);
        if (str_trim(item).n == 0) {
            return -1;
        }
        text = rest;
        count++;
    }
    return count;
}

static const char *type_name(enum conf_type type)
{
    switch (type) {
    case CONF_STRING:
        return "text";
    case CONF_U64:
        return "number";
    case CONF_BOOL:
        return "yes|no";
    case CONF_DURATION:
        return "duration";
    case CONF_SIZE:
        return "size";
    case CONF_LIST:
        return "list";
    default:
        UNREACHABLE();
    }
}

/* What `text` means for `row`; false when it is not of the type. */
static bool parse_number(const struct conf_row *row, struct str text, uint64_t *ret)
{
    switch (row->type) {
    case CONF_STRING:
        *ret = text.n;
        return true;
    case CONF_U64:
        return str_to_u64(text, ret);
    case CONF_BOOL:
        return parse_bool(text, ret);
    case CONF_DURATION:
        return parse_with_unit(text, duration_units, ARRAY_COUNT(duration_units), ret);
    case CONF_SIZE:
        return parse_with_unit(text, size_units, ARRAY_COUNT(size_units), ret);
    case CONF_LIST: {
        int count = count_items(text);
        *ret = count < 0 ? 0 : (uint64_t)count;
        return count >= 0;
    }
    default:
        UNREACHABLE();
    }
}

static uint64_t max_of(const struct conf_row *row)
{
    if (row->max != 0) {
        return row->max;
    }
    return row->type == CONF_LIST     ? CONF_LIST_MAX
           : row->type == CONF_STRING ? CONF_VALUE_SIZE_MAX
                                      : UINT64_MAX;
}

/* Control characters would break logs, dumps and the file format. */
static bool is_clean(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char ch = (unsigned char)text.p[i];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f) {
            return false;
        }
    }
    return true;
}

/* What a value may look like; "" when there is nothing to say. */
static const char *type_example(enum conf_type type)
{
    return type == CONF_DURATION ? "like 500ms, 5s or 2m; a plain number is milliseconds"
           : type == CONF_SIZE   ? "like 64k, 16M or 1G; a plain number is bytes"
           : type == CONF_BOOL   ? "yes or no"
           : type == CONF_LIST   ? "items separated by commas"
                                 : "";
}

static enum err check_value(const struct conf_row *row, struct str text, enum err code,
                            const char *where, uint64_t *ret, struct errinfo *ei)
{
    bool is_secret = (row->flags & CONF_SECRET) != 0;
    struct str shown = is_secret ? STR("(hidden)") : str_slice(text, 0, 80);
    uint64_t v = 0;
    if (text.n > CONF_VALUE_SIZE_MAX || !is_clean(text)) {
        return err_set(ei, code, "%s: %s: value too long or with control characters", where,
                       row->name);
    }
    if (!parse_number(row, text, &v)) {
        err_set(ei, code, "%s: %s: '" STR_FMT "' is not a %s", where, row->name, STR_ARG(shown),
                type_name(row->type));
        err_hint(ei, "%s", type_example(row->type));
        return code;
    }
    if (row->type != CONF_BOOL && (v < row->min || v > max_of(row))) {
        const char *what = row->type == CONF_STRING ? "its length "
                           : row->type == CONF_LIST ? "its number of items "
                                                    : "";
        const char *unit = row->type == CONF_DURATION ? " milliseconds"
                           : row->type == CONF_SIZE   ? " bytes"
                                                      : "";
        err_set(ei, code, "%s: %s: '" STR_FMT "' is out of range: %smust be %llu to %llu%s", where,
                row->name, STR_ARG(shown), what, (unsigned long long)row->min,
                (unsigned long long)max_of(row), unit);
        err_hint(ei, "%s", type_example(row->type));
        return code;
    }
    *ret = v;
    return OK;
}

static void value_done(struct value *v)
{
    if (v->text != NULL) {
        mem_free_secret(v->text, v->text_size); /* any may be a secret; all are short */
        v->text = NULL;
    }
}

static void value_assign(struct value *v, struct str text, uint64_t number, enum conf_source source)
{
    char *copy = (char *)mem_alloc(text.n + 1);
    if (text.n > 0) {
        memcpy(copy, text.p, text.n);
    }
    copy[text.n] = '\0';
    value_done(v);
    *v = (struct value){.text = copy, .text_size = text.n, .number = number, .source = source};
}

static enum err set_row(struct conf *c, unsigned idx, struct str text, enum conf_source source,
                        const char *where, struct errinfo *ei)
{
    const struct conf_row *row = &c->rows[idx];
    struct value *v = &c->values[idx];
    struct buf joined;
    buf_init(&joined, (size_t)CONF_VALUE_SIZE_MAX * 2 + 2);
    if (row->type == CONF_LIST && source == CONF_FROM_FLAG && v->source == CONF_FROM_FLAG &&
        v->text_size > 0) {
        buf_add(&joined, v->text, v->text_size);
        buf_add_char(&joined, ',');
        buf_add_str(&joined, text.n <= CONF_VALUE_SIZE_MAX ? text : STR_NONE);
        text = buf_str(&joined);
    }
    uint64_t number = 0;
    enum err ret = check_value(row, text, code_for(source), where, &number, ei);
    if (ret == OK && source >= v->source) {
        value_assign(v, text, number, source);
    }
    buf_done(&joined);
    return ret;
}

struct conf *conf_new(const struct conf_row *rows, unsigned row_count)
{
    ASSERT(row_count > 0 && row_count <= CONF_ROWS_MAX);
    struct conf *c = MEM_NEW(struct conf);
    c->rows = rows;
    c->row_count = row_count;
    c->values = MEM_NEW_ARRAY(struct value, row_count);
    for (unsigned i = 0; i < row_count; i++) {
        ASSERT(rows[i].name != NULL && rows[i].def != NULL && rows[i].doc != NULL);
        ASSERT(find_row(rows, i, str_of(rows[i].name), /* any_case= */ false) < 0);
        ASSERT(max_of(&rows[i]) >= rows[i].min);
        enum err e = set_row(c, i, str_of(rows[i].def), CONF_FROM_DEFAULT, "default", NULL);
        ASSERT(e == OK);
    }
    return c;
}

void conf_free(struct conf *c)
{
    if (c == NULL) {
        return;
    }
    for (unsigned i = 0; i < c->row_count; i++) {
        value_done(&c->values[i]);
    }
    mem_free(c->values);
    mem_free(c);
}

enum err conf_set(struct conf *c, const char *name, struct str value, enum conf_source source,
                  struct errinfo *ei)
{
    int idx = conf_find(c, str_of(name));
    if (idx < 0) {
        return unknown_name(c, str_of(name), source, "set", ei);
    }
    return set_row(c, (unsigned)idx, value, source, "set", ei);
}

/* The value part of a line: quotes taken off into `out`, or a comment cut. */
static bool unquote(struct str text, struct buf *out)
{
    text = str_trim(text);
    if (text.n == 0 || text.p[0] != '"') {
        for (size_t i = 0; i < text.n; i++) {
            if (text.p[i] == '#' && (i == 0 || text.p[i - 1] == ' ' || text.p[i - 1] == '\t')) {
                text.n = i;
            }
        }
        buf_add_str(out, str_trim(text));
        return true;
    }
    size_t i = 1;
    for (; i < text.n && text.p[i] != '"'; i++) {
        if (text.p[i] == '\\' && i + 1 < text.n) {
            i++;
        }
        buf_add_char(out, text.p[i]);
    }
    struct str rest = str_trim(str_slice(text, i + 1, text.n));
    return i < text.n && (rest.n == 0 || rest.p[0] == '#');
}

static enum err load_line(struct conf *c, struct str line, const char *where, struct buf *scratch,
                          struct errinfo *ei)
{
    struct str name;
    struct str value = STR_NONE;
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#') {
        return OK;
    }
    if (!str_split(line, '=', &name, &value)) {
        enum err e = err_set(ei, ERR_CONFIG, "%s: no '=' in the line", where);
        err_hint(ei, "write 'key = value', or '#' in front of a comment");
        return e;
    }
    name = str_trim(name);
    int idx = conf_find(c, name);
    if (idx < 0) {
        return unknown_name(c, str_slice(name, 0, 80), CONF_FROM_FILE, where, ei);
    }
    buf_clear(scratch);
    if (!unquote(value, scratch)) {
        return err_set(ei, ERR_CONFIG, "%s: %s: bad quotes", where, c->rows[idx].name);
    }
    return set_row(c, (unsigned)idx, buf_str(scratch), CONF_FROM_FILE, where, ei);
}

enum err conf_load_text(struct conf *c, const char *path, struct str text, struct errinfo *ei)
{
    struct buf scratch;
    buf_init(&scratch, CONF_FILE_SIZE_MAX);
    unsigned line_no = 1;
    bool has_more = true;
    enum err ret = OK;
    if (text.n > CONF_FILE_SIZE_MAX) {
        return err_set(ei, ERR_CONFIG, "%s: larger than %d bytes", path, CONF_FILE_SIZE_MAX);
    }
    while (ret == OK && has_more) {
        struct str line;
        struct str rest = STR_NONE;
        char where[300];
        has_more = str_split(text, '\n', &line, &rest);
        (void)snprintf(where, sizeof(where), "%s:%u", path, line_no); /* a long path is cut */
        ret = load_line(c, line, where, &scratch, ei);
        text = rest;
        line_no++;
    }
    buf_done(&scratch);
    return ret;
}

static enum err read_all(int fd, const char *path, struct buf *out, struct errinfo *ei)
{
    char chunk[4096];
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n == 0) {
            return OK;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(ei, ERR_CONFIG, "%s: %s", path, err_errno_text(errno));
        }
        buf_add(out, chunk, (size_t)n);
        if (!buf_ok(out)) {
            return err_set(ei, ERR_CONFIG, "%s: larger than %d bytes", path, CONF_FILE_SIZE_MAX);
        }
    }
}

enum err conf_load_file(struct conf *c, const char *path, struct errinfo *ei)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(ei, ERR_CONFIG, "%s: %s", path, err_errno_text(errno));
    }
    struct buf text;
    buf_init(&text, CONF_FILE_SIZE_MAX);
    enum err ret = read_all(fd, path, &text, ei);
    if (ret == OK) {
        ret = conf_load_text(c, path, buf_str(&text), ei);
    }
    buf_done(&text);
    (void)close(fd); /* only read from */
    return ret;
}

enum err conf_load_env(struct conf *c, char *const *env, struct errinfo *ei)
{
    for (; *env != NULL; env++) {
        struct str name;
        struct str value = STR_NONE;
        if (!str_split(str_of(*env), '=', &name, &value) || !str_starts(name, STR(ENV_PREFIX))) {
            continue;
        }
        struct str key = str_slice(name, sizeof(ENV_PREFIX) - 1, name.n);
        int idx = find_row(c->rows, c->row_count, key, /* any_case= */ true);
        if (idx < 0) {
            continue;
        }
        TRY(set_row(c, (unsigned)idx, value, CONF_FROM_ENV, "environment", ei));
    }
    return OK;
}

/* One flag at argv[*at]; moves *at on when it takes the next argument as its value. */
static enum err load_flag(struct conf *c, int argc, char **argv, int *at, struct errinfo *ei)
{
    struct str name;
    struct str value = STR_NONE;
    bool has_value = str_split(str_of(argv[*at] + 2), '=', &name, &value);
    int idx = conf_find(c, name);
    bool is_negated = false;
    if (idx < 0 && !has_value && str_starts(name, STR("no-"))) {
        idx = conf_find(c, str_slice(name, 3, name.n));
        is_negated = idx >= 0 && c->rows[idx].type == CONF_BOOL;
        idx = is_negated ? idx : -1;
    }
    if (idx < 0) {
        enum err e = unknown_name(c, str_slice(name, 0, 80), CONF_FROM_FLAG, "command line", ei);
        err_hint(ei, "--help lists the options");
        return e;
    }
    if (!has_value && c->rows[idx].type == CONF_BOOL) {
        value = is_negated ? STR("no") : STR("yes");
    } else if (!has_value) {
        if (*at + 1 >= argc) {
            return err_set(ei, ERR_USAGE, "command line: --%s needs a value", c->rows[idx].name);
        }
        value = str_of(argv[++*at]);
    }
    return set_row(c, (unsigned)idx, value, CONF_FROM_FLAG, "command line", ei);
}

enum err conf_load_args(struct conf *c, int argc, char **argv, int *ret_argc, struct errinfo *ei)
{
    int kept = argc > 0 ? 1 : 0;
    bool is_flags_over = false;
    for (int i = 1; i < argc; i++) {
        if (!is_flags_over && strcmp(argv[i], "--") == 0) {
            is_flags_over = true;
        } else if (!is_flags_over && strncmp(argv[i], "--", 2) == 0) {
            TRY(load_flag(c, argc, argv, &i, ei));
        } else {
            ASSERT(kept <= i);
            argv[kept++] = argv[i];
        }
    }
    *ret_argc = kept;
    return OK;
}

static const struct value *value_at(const struct conf *c, unsigned idx)
{
    ASSERT(idx < c->row_count);
    return &c->values[idx];
}

struct str conf_str(const struct conf *c, unsigned idx)
{
    const struct value *v = value_at(c, idx);
    return (struct str){v->text, v->text_size};
}

const char *conf_cstr(const struct conf *c, unsigned idx)
{
    return value_at(c, idx)->text;
}

uint64_t conf_u64(const struct conf *c, unsigned idx)
{
    const struct value *v = value_at(c, idx);
    enum conf_type type = c->rows[idx].type;
    ASSERT(type == CONF_U64 || type == CONF_DURATION || type == CONF_SIZE);
    return v->number;
}

bool conf_bool(const struct conf *c, unsigned idx)
{
    const struct value *v = value_at(c, idx);
    ASSERT(c->rows[idx].type == CONF_BOOL);
    return v->number != 0;
}

unsigned conf_list_count(const struct conf *c, unsigned idx)
{
    const struct value *v = value_at(c, idx);
    ASSERT(c->rows[idx].type == CONF_LIST);
    return (unsigned)v->number;
}

struct str conf_list_item(const struct conf *c, unsigned idx, unsigned item)
{
    ASSERT(item < conf_list_count(c, idx));
    struct str rest = conf_str(c, idx);
    struct str head = STR_NONE;
    for (unsigned i = 0; i <= item; i++) {
        struct str tail = STR_NONE;
        (void)str_split(rest, ',', &head, &tail); /* the last item has no comma */
        rest = tail;
    }
    return str_trim(head);
}

enum conf_source conf_source(const struct conf *c, unsigned idx)
{
    return value_at(c, idx)->source;
}

unsigned conf_reload(struct conf *c, const struct conf *fresh, unsigned *ret_ignored)
{
    ASSERT(c->rows == fresh->rows);
    unsigned changed = 0;
    unsigned ignored = 0;
    for (unsigned i = 0; i < c->row_count; i++) {
        if (str_eq(conf_str(c, i), conf_str(fresh, i))) {
            continue;
        }
        if ((c->rows[i].flags & CONF_RELOADABLE) == 0) {
            ignored++;
            continue;
        }
        const struct value *v = &fresh->values[i];
        value_assign(&c->values[i], conf_str(fresh, i), v->number, v->source);
        changed++;
    }
    *ret_ignored = ignored;
    return changed;
}

/* Upper-case name of the environment variable. */
static void add_env_name(struct buf *out, const char *name)
{
    buf_add_cstr(out, ENV_PREFIX);
    for (; *name != '\0'; name++) {
        char c = *name == '-' ? '_' : *name;
        buf_add_char(out, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
}

void conf_help(const struct conf_row *rows, unsigned row_count, struct buf *out)
{
    enum { LEFT_WIDTH = 30 };
    for (unsigned i = 0; i < row_count; i++) {
        const struct conf_row *row = &rows[i];
        size_t from = out->n;
        bool is_on = row->type == CONF_BOOL && (row->def[0] == 'y' || row->def[0] == 't' ||
                                                row->def[0] == '1' || strcmp(row->def, "on") == 0);
        buf_printf(out, "  --%s%s", is_on ? "[no-]" : "", row->name);
        if (row->type != CONF_BOOL) {
            buf_printf(out, " %s", type_name(row->type));
        }
        size_t width = out->n - from;
        if (width + 2 > LEFT_WIDTH) {
            buf_add_char(out, '\n');
            width = 0;
        }
        buf_printf(out, "%*s%s", LEFT_WIDTH - (int)width, "", row->doc);
        if (row->def[0] != '\0') {
            buf_printf(out, " (default: %s)", row->def);
        }
        buf_add_char(out, '\n');
    }
    bool has_file = find_row(rows, row_count, STR("config"), /* any_case= */ false) >= 0;
    buf_printf(
        out, "Each option can also be set by an environment variable (--a-b: " ENV_PREFIX "A_B)%s",
        has_file ? "\nor in the file that --config names (a-b = value).\n" : ".\n");
}

void conf_reference(const struct conf_row *rows, unsigned row_count, struct buf *out)
{
    buf_add_cstr(out, "| option | environment | type | default | reloadable | meaning |\n"
                      "|---|---|---|---|---|---|\n");
    for (unsigned i = 0; i < row_count; i++) {
        const struct conf_row *row = &rows[i];
        buf_printf(out, "| `%s` | `", row->name);
        add_env_name(out, row->name);
        buf_printf(out, "` | %s | %s%s%s | %s | %s |\n",
                   row->type == CONF_BOOL ? "yes/no" : type_name(row->type),
                   row->def[0] != '\0' ? "`" : "", row->def, row->def[0] != '\0' ? "`" : "",
                   (row->flags & CONF_RELOADABLE) != 0 ? "yes" : "no", row->doc);
    }
}

static void add_quoted(struct buf *out, struct str value)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\') {
            buf_add_char(out, '\\');
        }
        buf_add_char(out, value.p[i]);
    }
    buf_add_char(out, '"');
}

void conf_line(struct buf *out, const char *name, const char *fmt, ...)
{
    char value[CONF_VALUE_SIZE_MAX + 1];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(value, sizeof(value), fmt, ap);
    va_end(ap);
    ASSERT(n >= 0 && (size_t)n < sizeof(value)); /* a longer one would not be read */
    buf_printf(out, "%s = ", name);
    add_quoted(out, str_of(value));
    buf_add_char(out, '\n');
}

void conf_dump(const struct conf *c, struct buf *out)
{
    static const char *const source_names[] = {"default", "file", "environment", "flag"};
    for (unsigned i = 0; i < c->row_count; i++) {
        const struct value *v = &c->values[i];
        bool is_hidden = (c->rows[i].flags & CONF_SECRET) != 0 && v->text_size > 0;
        buf_printf(out, "%s = ", c->rows[i].name);
        add_quoted(out, str_of(is_hidden ? "(hidden)" : v->text));
        buf_printf(out, " # %s\n", source_names[v->source]);
    }
}
