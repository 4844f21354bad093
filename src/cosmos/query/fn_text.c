/* Strings to other values and back, splitting, joining, regular expressions (PCRE2 with limits on
 * what one match may cost). */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/contract.h"
#include "base/mem.h"
#include "cosmos/query/query_int.h"

enum {
    REGEX_PATTERN_SIZE_MAX = 16 << 10,
    REGEX_MODIFIERS_MAX = 16,
    REGEX_STEPS_MAX = 1000000, /* of one match */
    REGEX_HEAP_KIB_MAX = 8 << 10,
    PROBLEM_SIZE = 128,
    SPLIT_PARTS_MAX = 100000,
};

/* ---- conversions ---- */

/* A string that is JSON of the wanted type. */
static const struct json *from_string(struct query_eval *ev, const struct json *v,
                                      enum json_type type)
{
    const struct json *parsed = NULL;
    if (v->type != JSON_STRING || query_eval_alloc(ev, v->text.n) == NULL ||
        json_parse(ev->arena, v->text, NULL, &parsed, NULL) != OK || parsed->type != type) {
        return json_undefined();
    }
    return parsed;
}

#define FROM_STRING(fn, type)                                                                      \
    static const struct json *fn(struct query_eval *ev, const struct json *const *args, size_t n)  \
    {                                                                                              \
        (void)n;                                                                                   \
        return from_string(ev, args[0], type);                                                     \
    }

FROM_STRING(fn_to_array, JSON_ARRAY)
FROM_STRING(fn_to_boolean, JSON_BOOL)
FROM_STRING(fn_to_null, JSON_NULL)
FROM_STRING(fn_to_object, JSON_OBJECT)

static const struct json *fn_to_number(struct query_eval *ev, const struct json *const *args,
                                       size_t n)
{
    (void)n;
    const struct json *v = from_string(ev, args[0], JSON_NUMBER);
    return v->type == JSON_NUMBER ? json_number(ev->arena, v->number) : v;
}

/* The buffer's text in the arena. */
static const struct json *string_of_buf(struct query_eval *ev, struct buf *b)
{
    const struct json *ret = json_undefined();
    if (!buf_ok(b)) {
        ret = query_eval_fail(ev, ERR_LIMIT, "A string would be longer than %zu bytes.", b->max);
    } else {
        char *p = (char *)query_eval_alloc(ev, b->n + 1);
        if (p != NULL) {
            if (b->n > 0) {
                memcpy(p, b->p, b->n);
            }
            ret = query_string(ev, str_make(p, b->n));
        }
    }
    buf_done(b);
    return ret;
}

static const struct json *fn_tostring(struct query_eval *ev, const struct json *const *args,
                                      size_t n)
{
    (void)n;
    if (args[0]->type == JSON_STRING) {
        return args[0];
    }
    struct buf out;
    buf_init(&out, ev->memory_max);
    query_value_write_plain(&out, args[0]);
    return string_of_buf(ev, &out);
}

/* STRINGJOIN(array of strings, separator) */
static const struct json *fn_stringjoin(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    (void)n;
    if (args[0]->type != JSON_ARRAY || args[1]->type != JSON_STRING) {
        return json_undefined();
    }
    struct buf out;
    buf_init(&out, ev->memory_max);
    for (size_t i = 0; i < args[0]->count; i++) {
        const struct json *v = args[0]->items[i];
        if (v->type != JSON_STRING) {
            buf_done(&out);
            return json_undefined();
        }
        if (i > 0) {
            buf_add_str(&out, args[1]->text);
        }
        buf_add_str(&out, v->text);
    }
    return string_of_buf(ev, &out);
}

/* STRINGSPLIT(s, separator) */
static const struct json *fn_stringsplit(struct query_eval *ev, const struct json *const *args,
                                         size_t n)
{
    (void)n;
    if (args[0]->type != JSON_STRING || args[1]->type != JSON_STRING) {
        return json_undefined();
    }
    const struct json **parts = NULL;
    size_t count = 0;
    struct str rest = args[0]->text;
    struct str sep = args[1]->text;
    for (;;) {
        ptrdiff_t at = sep.n > 0 ? str_find(rest, sep) : -1;
        struct str part = at < 0 ? rest : str_slice(rest, 0, (size_t)at);
        if (count == SPLIT_PARTS_MAX || query_eval_alloc(ev, sizeof(part)) == NULL) {
            return query_eval_fail(
                ev, ERR_LIMIT, "A string would be split into more than %d parts.", SPLIT_PARTS_MAX);
        }
        parts = (const struct json **)query_list_grow(ev->arena, parts, count,
                                                      sizeof(const struct json *));
        parts[count++] = query_string(ev, part);
        if (at < 0) {
            return json_array(ev->arena, parts, count);
        }
        rest = str_slice(rest, (size_t)at + sep.n, rest.n);
    }
}

/* ---- regular expressions ---- */

struct query_regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *limits;
    char *key; /* modifiers, NUL, pattern: owned */
    size_t key_size;
};

/* m multi-line, s dot takes line breaks, i any case, x blanks and comments. */
static bool modifier_options(struct str modifiers, uint32_t *ret)
{
    uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    if (modifiers.n > REGEX_MODIFIERS_MAX) {
        return false;
    }
    for (size_t i = 0; i < modifiers.n; i++) {
        switch (modifiers.p[i]) {
        case 'm':
            options |= PCRE2_MULTILINE;
            break;
        case 's':
            options |= PCRE2_DOTALL;
            break;
        case 'i':
            options |= PCRE2_CASELESS;
            break;
        case 'x':
            options |= PCRE2_EXTENDED;
            break;
        default:
            return false;
        }
    }
    *ret = options;
    return true;
}

static char *regex_key(struct str pattern, struct str modifiers, size_t *ret_size)
{
    size_t n = modifiers.n + 1 + pattern.n;
    char *key = (char *)mem_zalloc(n);
    if (modifiers.n > 0) {
        memcpy(key, modifiers.p, modifiers.n);
    }
    if (pattern.n > 0) {
        memcpy(key + modifiers.n + 1, pattern.p, pattern.n);
    }
    *ret_size = n;
    return key;
}

struct query_regex *query_regex_new(struct str pattern, struct str modifiers,
                                    struct str *ret_problem)
{
    static _Thread_local char problem[PROBLEM_SIZE];
    uint32_t options = 0;
    if (!modifier_options(modifiers, &options)) {
        *ret_problem = STR("unknown modifier");
        return NULL;
    }
    if (pattern.n > REGEX_PATTERN_SIZE_MAX) {
        *ret_problem = STR("too long");
        return NULL;
    }
    int code = 0;
    size_t offset = 0;
    PCRE2_SPTR text = pattern.n > 0 ? (PCRE2_SPTR)pattern.p : (PCRE2_SPTR) "";
    pcre2_code *compiled = pcre2_compile(text, pattern.n, options, &code, &offset, NULL);
    if (compiled == NULL) {
        int n = pcre2_get_error_message(code, (PCRE2_UCHAR *)problem, sizeof(problem));
        *ret_problem = n >= 0 ? str_make(problem, (size_t)n) : STR("cannot be compiled");
        return NULL;
    }
    struct query_regex *r = MEM_NEW(struct query_regex);
    r->code = compiled;
    r->match = pcre2_match_data_create(1, NULL);
    r->limits = pcre2_match_context_create(NULL);
    ASSERT(r->match != NULL);
    ASSERT(r->limits != NULL);
    pcre2_set_match_limit(r->limits, REGEX_STEPS_MAX);
    pcre2_set_heap_limit(r->limits, REGEX_HEAP_KIB_MAX);
    r->key = regex_key(pattern, modifiers, &r->key_size);
    return r;
}

void query_regex_free(struct query_regex *r)
{
    if (r == NULL) {
        return;
    }
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->match);
    pcre2_code_free(r->code);
    mem_free(r->key);
    mem_free(r);
}

/* From the cache of this page, or compiled into it; NULL = bad pattern. */
static struct query_regex *regex_get(struct query_eval *ev, struct str pattern,
                                     struct str modifiers)
{
    size_t key_size = 0;
    char *key = regex_key(pattern, modifiers, &key_size);
    struct query_regex *found = NULL;
    for (size_t i = 0; i < QUERY_REGEX_CACHE && found == NULL; i++) {
        struct query_regex *r = ev->regexes[i];
        if (r != NULL && r->key_size == key_size && memcmp(r->key, key, key_size) == 0) {
            found = r;
        }
    }
    mem_free(key);
    if (found != NULL) {
        return found;
    }
    struct str problem = STR_NONE;
    struct query_regex *r = query_regex_new(pattern, modifiers, &problem);
    if (r != NULL) {
        query_regex_free(ev->regexes[ev->regex_next]);
        ev->regexes[ev->regex_next] = r;
        ev->regex_next = (ev->regex_next + 1) % QUERY_REGEX_CACHE;
    }
    return r;
}

/* REGEXMATCH(s, pattern [, modifiers]): a bad pattern that comes from a document is undefined. */
static const struct json *fn_regexmatch(struct query_eval *ev, const struct json *const *args,
                                        size_t n)
{
    if (args[0]->type != JSON_STRING || args[1]->type != JSON_STRING ||
        (n > 2 && args[2]->type != JSON_STRING)) {
        return json_undefined();
    }
    struct query_regex *r = regex_get(ev, args[1]->text, n > 2 ? args[2]->text : STR_NONE);
    if (r == NULL) {
        return json_undefined();
    }
    struct str s = args[0]->text;
    PCRE2_SPTR subject = s.n > 0 ? (PCRE2_SPTR)s.p : (PCRE2_SPTR) "";
    int found = pcre2_match(r->code, subject, s.n, 0, 0, r->match, r->limits);
    if (found == PCRE2_ERROR_NOMATCH) {
        return json_bool(false);
    }
    if (found < 0) {
        return query_eval_fail(ev, ERR_LIMIT,
                               "The regular expression takes too many steps on a value.");
    }
    return json_bool(true);
}

const struct query_fn query_fns_text[] = {
    {"REGEXMATCH", 2, 3, fn_regexmatch, 0},      {"STRINGJOIN", 2, 2, fn_stringjoin, 0},
    {"STRINGSPLIT", 2, 2, fn_stringsplit, 0},    {"STRINGTOARRAY", 1, 1, fn_to_array, 0},
    {"STRINGTOBOOLEAN", 1, 1, fn_to_boolean, 0}, {"STRINGTONULL", 1, 1, fn_to_null, 0},
    {"STRINGTONUMBER", 1, 1, fn_to_number, 0},   {"STRINGTOOBJECT", 1, 1, fn_to_object, 0},
    {"TOSTRING", 1, 1, fn_tostring, 0},          {0},
};
