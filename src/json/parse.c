/* The parser: one pass over the text, no allocation but the arena's.
 *
 * Recursion follows the nesting, which json_limits caps. Children of open containers wait on a
 * stack of bytes (pointers of an array, whole members of an object) and are copied to an array of
 * exactly their number when the container closes:
 *
 *     text   [1, {"a": 2, "b"
 *     stack  |*1|key a,*2|          ^ top      (the array's base is 0, the object's is 8)
 *
 * Duplicate keys are looked for when an object closes: pairwise while it is small, then by a hash
 * table, and by sorting when somebody chose keys that collide, so the cost is never quadratic. */
#include "json/json_int.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/contract.h"

enum {
    STACK_FIRST_SIZE = 2048,
    NODES_CHUNK_MAX = 256,
    PAIRWISE_MAX = 12, /* members compared each with each */
    PROBES_PER_KEY = 16,
    KEY_SHOWN_MAX = 64, /* bytes of a key in an error message */
};

struct dup_slot {
    uint32_t hash;
    uint32_t member; /* index + 1; 0 = free */
};

struct parser {
    struct arena *arena;
    const char *start;
    const char *p;
    const char *end;
    int depth_max;
    struct json *nodes; /* next free node of the current chunk */
    size_t nodes_left;
    char *stack; /* the first one belongs to json_parse, larger ones to the arena */
    size_t stack_size;
    size_t stack_cap;
    struct dup_slot *slots; /* scratch, reused by every large object */
    size_t slots_cap;
    struct errinfo *ei;
};

static enum err parse_value(struct parser *ps, int depth, const struct json **ret);

/* ---- errors ---- */

/* Lines and columns count from one; a column is a character, not a byte. */
static void place_of(const struct parser *ps, const char *at, size_t *ret_line, size_t *ret_column)
{
    size_t line = 1;
    size_t column = 1;
    for (const char *p = ps->start; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0U) != 0x80U) {
            column++;
        }
    }
    *ret_line = line;
    *ret_column = column;
}

static enum err fail_at(const struct parser *ps, const char *at, enum err code, const char *fmt,
                        ...) PRINTF_LIKE(4, 5);

__attribute__((cold, noinline)) static enum err fail_at(const struct parser *ps, const char *at,
                                                        enum err code, const char *fmt, ...)
{
    char what[ERRINFO_MESSAGE_SIZE / 2];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, args); /* cut when too long: it is for people */
    va_end(args);
    size_t line;
    size_t column;
    place_of(ps, at, &line, &column);
    return err_set(ps->ei, code, "line %zu column %zu: %s", line, column, what);
}

__attribute__((cold, noinline)) static enum err fail_expected(const struct parser *ps,
                                                              const char *expected)
{
    if (ps->p == ps->end) {
        return fail_at(ps, ps->p, ERR_SYNTAX, "expected %s, found the end", expected);
    }
    unsigned char c = (unsigned char)*ps->p;
    if (c > 0x20 && c < 0x7f) {
        return fail_at(ps, ps->p, ERR_SYNTAX, "expected %s, found '%c'", expected, c);
    }
    return fail_at(ps, ps->p, ERR_SYNTAX, "expected %s, found byte 0x%02x", expected, c);
}

static enum err fail_depth(const struct parser *ps)
{
    return fail_at(ps, ps->p, ERR_LIMIT, "nested deeper than %d", ps->depth_max);
}

/* ---- memory ---- */

/* Nodes come in chunks, sized by the text left so that a small text wastes little. */
static struct json *node_new(struct parser *ps, enum json_type type, const char *from)
{
    if (ps->nodes_left == 0) {
        size_t n = (size_t)(ps->end - ps->p) / 8 + 1;
        ps->nodes_left = n < NODES_CHUNK_MAX ? n : NODES_CHUNK_MAX;
        ps->nodes = arena_alloc(ps->arena, ps->nodes_left * sizeof(*ps->nodes));
    }
    struct json *v = ps->nodes++;
    ps->nodes_left--;
    *v = (struct json){.type = type, .src = {from, (size_t)(ps->p - from)}};
    return v;
}

__attribute__((noinline)) static void stack_grow(struct parser *ps)
{
    char *larger = arena_alloc(ps->arena, ps->stack_cap * 2);
    memcpy(larger, ps->stack, ps->stack_size);
    ps->stack = larger;
    ps->stack_cap *= 2;
}

static void stack_push(struct parser *ps, const void *item, size_t size)
{
    if (ps->stack_cap - ps->stack_size < size) {
        stack_grow(ps);
    }
    memcpy(ps->stack + ps->stack_size, item, size);
    ps->stack_size += size;
}

/* What was pushed since `base`, moved to memory of its own; NULL when nothing was. */
static void *stack_take(struct parser *ps, size_t base)
{
    size_t size = ps->stack_size - base;
    ps->stack_size = base;
    if (size == 0) {
        return NULL;
    }
    void *items = arena_alloc(ps->arena, size);
    memcpy(items, ps->stack + base, size);
    return items;
}

/* ---- scalars ---- */

static void skip_blanks(struct parser *ps)
{
    const char *p = ps->p;
    while (p < ps->end && json_is_blank(*p)) {
        p++;
    }
    ps->p = p;
}

static bool take_char(struct parser *ps, char c)
{
    if (ps->p < ps->end && *ps->p == c) {
        ps->p++;
        return true;
    }
    return false;
}

/* Moves to the closing quote of the string whose inside starts at ps->p. */
static enum err scan_string(struct parser *ps, bool *ret_escaped)
{
    const char *p = ps->p;
    bool escaped = false;
    for (;;) {
        p = json_scan_plain(p, ps->end);
        if (p == ps->end) {
            return fail_at(ps, ps->p - 1, ERR_SYNTAX, "string without a closing quote");
        }
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            break;
        }
        size_t n;
        if (c == '\\') {
            escaped = true;
            n = json_escape_len(p, ps->end);
            if (n == 0) {
                return fail_at(ps, p, ERR_SYNTAX, "bad escape sequence in a string");
            }
        } else if (c < 0x20) {
            return fail_at(ps, p, ERR_SYNTAX, "unescaped control character 0x%02x in a string", c);
        } else {
            n = json_utf8_len(p, ps->end);
            if (n == 0) {
                return fail_at(ps, p, ERR_SYNTAX, "byte 0x%02x is not UTF-8 here", c);
            }
        }
        p += n;
    }
    ps->p = p;
    *ret_escaped = escaped;
    return OK;
}

/* At the opening quote; moves past the closing one. */
static enum err parse_text(struct parser *ps, struct str *ret)
{
    ps->p++;
    const char *from = ps->p;
    bool escaped = false;
    TRY(scan_string(ps, &escaped));
    size_t n = (size_t)(ps->p - from);
    ps->p++;
    if (!escaped) {
        *ret = (struct str){from, n};
        return OK;
    }
    char *decoded = arena_alloc(ps->arena, n);
    *ret = (struct str){decoded, json_unescape(decoded, from, n)};
    return OK;
}

static enum err parse_string(struct parser *ps, const struct json **ret)
{
    const char *from = ps->p;
    struct str text = STR_NONE;
    TRY(parse_text(ps, &text));
    struct json *v = node_new(ps, JSON_STRING, from);
    v->text = text;
    *ret = v;
    return OK;
}

static enum err parse_number(struct parser *ps, const struct json **ret)
{
    const char *from = ps->p;
    const char *why = NULL;
    const char *at = NULL;
    struct json_decimal d;
    const char *end = json_number_scan(from, ps->end, &d, &why, &at);
    if (!end) {
        return fail_at(ps, at, ERR_SYNTAX, "%s", why);
    }
    double number = 0;
    struct str text = {from, (size_t)(end - from)};
    if (!json_decimal_to_double(&d, text, &number)) {
        return fail_at(ps, from, ERR_SYNTAX, "number beyond the range of a double");
    }
    ps->p = end;
    struct json *v = node_new(ps, JSON_NUMBER, from);
    v->number = number;
    *ret = v;
    return OK;
}

static enum err parse_literal(struct parser *ps, struct str word, enum json_type type, bool boolean,
                              const struct json **ret)
{
    const char *from = ps->p;
    if ((size_t)(ps->end - from) < word.n || memcmp(from, word.p, word.n) != 0) {
        return fail_expected(ps, "a value");
    }
    ps->p += word.n;
    struct json *v = node_new(ps, type, from);
    v->boolean = boolean;
    *ret = v;
    return OK;
}

/* ---- duplicate keys ---- */

static enum err fail_duplicate(const struct parser *ps, const struct json_member *m)
{
    /* A key without escapes lies in the text; else the value shows the place. */
    uintptr_t key = (uintptr_t)m->key.p;
    bool is_in_text = key > (uintptr_t)ps->start && key < (uintptr_t)ps->end;
    const char *at = is_in_text ? m->key.p - 1 : m->value->src.p;
    int shown = m->key.n < KEY_SHOWN_MAX ? (int)m->key.n : KEY_SHOWN_MAX;
    return fail_at(ps, at, ERR_SYNTAX, "duplicate key \"%.*s\"", shown, m->key.p);
}

static const struct json_member *duplicate_pairwise(const struct json_member *m, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            if (m[i].key.n == m[j].key.n && memcmp(m[i].key.p, m[j].key.p, m[i].key.n) == 0) {
                return &m[i];
            }
        }
    }
    return NULL;
}

/* For keys that collide in the table: n log n whatever they are. */
static const struct json_member *duplicate_by_sorting(struct parser *ps,
                                                      const struct json_member *m, size_t n)
{
    const struct json_member **sorted =
        arena_alloc(ps->arena, n * sizeof(const struct json_member *));
    for (size_t i = 0; i < n; i++) {
        sorted[i] = &m[i];
    }
    json_sort_members(sorted, n);
    for (size_t i = 1; i < n; i++) {
        if (str_eq(sorted[i - 1]->key, sorted[i]->key)) {
            return sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
        }
    }
    return NULL;
}

static size_t prepare_slots(struct parser *ps, size_t n)
{
    size_t cap = 32;
    while (cap < 2 * n) {
        cap *= 2;
    }
    if (cap > ps->slots_cap) {
        ps->slots = arena_alloc(ps->arena, cap * sizeof(*ps->slots));
        ps->slots_cap = cap;
    }
    memset(ps->slots, 0, cap * sizeof(*ps->slots));
    return cap;
}

static const struct json_member *duplicate_by_hash(struct parser *ps, const struct json_member *m,
                                                   size_t n)
{
    size_t cap = prepare_slots(ps, n);
    size_t probes_left = n * PROBES_PER_KEY;
    for (size_t i = 0; i < n; i++) {
        uint64_t full = str_hash(m[i].key, 0);
        uint32_t hash = (uint32_t)(full >> 32);
        size_t at = (size_t)full & (cap - 1);
        for (; ps->slots[at].member != 0; at = (at + 1) & (cap - 1)) {
            const struct dup_slot *slot = &ps->slots[at];
            if (slot->hash == hash && str_eq(m[slot->member - 1].key, m[i].key)) {
                return &m[i];
            }
            if (probes_left-- == 0) {
                return duplicate_by_sorting(ps, m, n);
            }
        }
        ps->slots[at] = (struct dup_slot){hash, (uint32_t)i + 1};
    }
    return NULL;
}

/* ---- containers ---- */

static enum err parse_array(struct parser *ps, int depth, const struct json **ret)
{
    if (depth > ps->depth_max) {
        return fail_depth(ps);
    }
    const char *from = ps->p++;
    size_t base = ps->stack_size;
    skip_blanks(ps);
    if (!take_char(ps, ']')) {
        for (;;) {
            const struct json *item = NULL;
            TRY(parse_value(ps, depth, &item));
            stack_push(ps, &item, sizeof(const struct json *));
            skip_blanks(ps);
            if (take_char(ps, ']')) {
                break;
            }
            if (!take_char(ps, ',')) {
                return fail_expected(ps, "',' or ']'");
            }
            skip_blanks(ps);
        }
    }
    struct json *v = node_new(ps, JSON_ARRAY, from);
    v->count = (ps->stack_size - base) / sizeof(const struct json *);
    v->items = stack_take(ps, base);
    *ret = v;
    return OK;
}

static enum err parse_member(struct parser *ps, int depth)
{
    struct json_member m = {0};
    if (ps->p == ps->end || *ps->p != '"') {
        return fail_expected(ps, "a key in quotes");
    }
    TRY(parse_text(ps, &m.key));
    skip_blanks(ps);
    if (!take_char(ps, ':')) {
        return fail_expected(ps, "':'");
    }
    skip_blanks(ps);
    TRY(parse_value(ps, depth, &m.value));
    stack_push(ps, &m, sizeof(m));
    return OK;
}

static enum err parse_object(struct parser *ps, int depth, const struct json **ret)
{
    if (depth > ps->depth_max) {
        return fail_depth(ps);
    }
    const char *from = ps->p++;
    size_t base = ps->stack_size;
    skip_blanks(ps);
    if (!take_char(ps, '}')) {
        for (;;) {
            TRY(parse_member(ps, depth));
            skip_blanks(ps);
            if (take_char(ps, '}')) {
                break;
            }
            if (!take_char(ps, ',')) {
                return fail_expected(ps, "',' or '}'");
            }
            skip_blanks(ps);
        }
    }
    struct json *v = node_new(ps, JSON_OBJECT, from);
    v->count = (ps->stack_size - base) / sizeof(struct json_member);
    v->members = stack_take(ps, base);
    const struct json_member *duplicate = v->count <= PAIRWISE_MAX
                                              ? duplicate_pairwise(v->members, v->count)
                                              : duplicate_by_hash(ps, v->members, v->count);
    if (duplicate) {
        return fail_duplicate(ps, duplicate);
    }
    *ret = v;
    return OK;
}

/* `depth` is the number of containers open around the value. */
static enum err parse_value(struct parser *ps, int depth, const struct json **ret)
{
    if (ps->p == ps->end) {
        return fail_expected(ps, "a value");
    }
    switch (*ps->p) {
    case '"':
        return parse_string(ps, ret);
    case '{':
        return parse_object(ps, depth + 1, ret);
    case '[':
        return parse_array(ps, depth + 1, ret);
    case 't':
        return parse_literal(ps, STR("true"), JSON_BOOL, true, ret);
    case 'f':
        return parse_literal(ps, STR("false"), JSON_BOOL, false, ret);
    case 'n':
        return parse_literal(ps, STR("null"), JSON_NULL, false, ret);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return parse_number(ps, ret);
    default:
        return fail_expected(ps, "a value");
    }
}

enum err json_parse(struct arena *a, struct str text, const struct json_limits *limits,
                    const struct json **ret, struct errinfo *ei)
{
    size_t size_max = limits && limits->text_size_max ? limits->text_size_max : JSON_TEXT_SIZE_MAX;
    int depth_max = limits && limits->depth_max ? limits->depth_max : JSON_DEPTH_MAX;
    ASSERT(size_max < UINT32_MAX); /* members are counted in 32 bits while looking for duplicates */
    ASSERT(depth_max > 0 && depth_max <= JSON_DEPTH_MAX); /* every walk over a tree recurses */
    if (text.n > size_max) {
        return err_set(ei, ERR_LIMIT, "JSON text of %zu bytes, at most %zu are allowed", text.n,
                       size_max);
    }
    if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
        return err_set(ei, ERR_SYNTAX, "line 1 column 1: byte order mark before the JSON text");
    }
    static const char nothing[1];
    const char *start = text.n ? text.p : nothing; /* an empty str may be NULL */
    _Alignas(16) char first_stack[STACK_FIRST_SIZE];
    struct parser ps = {.arena = a,
                        .start = start,
                        .p = start,
                        .end = start + text.n,
                        .depth_max = depth_max,
                        .stack = first_stack,
                        .stack_cap = sizeof(first_stack),
                        .ei = ei};
    const struct json *v = NULL;
    skip_blanks(&ps);
    TRY(parse_value(&ps, 0, &v));
    skip_blanks(&ps);
    if (ps.p != ps.end) {
        return fail_expected(&ps, "the end of the text");
    }
    ASSERT(ps.stack_size == 0);
    *ret = v;
    return OK;
}
