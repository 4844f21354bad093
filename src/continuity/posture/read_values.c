/* Scalars, lists and maps of an estate file, typed. See read_int.h. */
#include <stdarg.h>
#include <stdio.h>

#include "base/contract.h"
#include "continuity/posture/estate.h"
#include "continuity/posture/estate_int.h"
#include "continuity/posture/read_int.h"
#include "json/json.h"

enum err read_fail(struct reader *r, unsigned line, enum err code, const char *fmt, ...)
{
    va_list ap;
    char text[ERRINFO_MESSAGE_SIZE];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(r->ei, code, STR_FMT ":%u: %s", STR_ARG(r->e->source), line, text);
}

/* Puts the line before a message of the model's. */
enum err read_at_line(struct reader *r, unsigned line, enum err err, const struct errinfo *why)
{
    if (err != OK) {
        (void)read_fail(r, line, err, "%s", why->message);
    }
    return err;
}

/* At most this much of a text from the file goes into a message. */
struct str read_brief(struct str s)
{
    return str_slice(s, 0, 60);
}

/* ---- scalars ---- */

bool read_is_word(const struct tree_node *v, const char *word)
{
    return v->kind == TREE_SCALAR && v->is_plain && str_eq(v->text, str_of(word));
}

/* What YAML would take for something that is no text. */
static bool is_surprise(const struct tree_node *v)
{
    static const char *const words[] = {"",   "~",  "null", "true", "false", "yes",
                                        "no", "on", "off",  "y",    "n"};
    for (size_t i = 0; i < ARRAY_COUNT(words) && v->is_plain; i++) {
        if (str_eq_nocase(v->text, str_of(words[i]))) {
            return true;
        }
    }
    return false;
}

static bool has_bad_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f ||
            (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}

enum err read_text(struct reader *r, const struct tree_node *v, const char *what, struct str *ret)
{
    if (v->kind != TREE_SCALAR) {
        return FAIL(r, v, "%s has to be a text", what);
    }
    if (is_surprise(v)) {
        FAIL(r, v, "%s has to be a text, not '" STR_FMT "'", what, STR_ARG(v->text));
        err_hint(r->ei, "put it in quotes if it is meant as a text");
        return ERR_INVALID;
    }
    if (v->text.n > ESTATE_STRING_SIZE_MAX) {
        return FAIL_LIMIT(r, v, "%s is longer than %d bytes", what, ESTATE_STRING_SIZE_MAX);
    }
    if (has_bad_control(v->text)) {
        return FAIL(r, v, "%s has control characters", what);
    }
    *ret = estate_copy(r->e, str_trim(v->text));
    return ret->n > 0 ? OK : FAIL(r, v, "%s is empty", what);
}

enum err read_bool(struct reader *r, const struct tree_node *v, const char *what, bool *ret)
{
    *ret = read_is_word(v, "true");
    return *ret || read_is_word(v, "false") ? OK : FAIL(r, v, "%s has to be true or false", what);
}

enum err read_tri(struct reader *r, const struct tree_node *v, const char *what,
                  enum estate_tri *ret)
{
    if (read_is_word(v, "unknown")) {
        *ret = TRI_UNKNOWN;
        return OK;
    }
    bool b = false;
    TRY(read_bool(r, v, what, &b));
    *ret = b ? TRI_YES : TRI_NO;
    return OK;
}

enum err read_int(struct reader *r, const struct tree_node *v, const char *what, int64_t *ret)
{
    uint64_t u = 0;
    if (v->kind != TREE_SCALAR || !v->is_plain || !str_to_u64(v->text, &u) || u > INT32_MAX ||
        (v->text.n > 1 && v->text.p[0] == '0')) {
        return FAIL(r, v, "%s has to be a whole number from 0 to %d, in decimal", what, INT32_MAX);
    }
    *ret = (int64_t)u;
    return OK;
}

enum err read_number(struct reader *r, const struct tree_node *v, const char *what, double max,
                     double *ret)
{
    const struct json *j = NULL;
    struct errinfo none = {0};
    if (v->kind != TREE_SCALAR || !v->is_plain || v->text.n > 40 ||
        json_parse(&r->tree, v->text, NULL, &j, &none) != OK || j->type != JSON_NUMBER ||
        !(j->number >= 0 && j->number <= max)) {
        return FAIL(r, v, "%s has to be a number from 0 to %.0f", what, max);
    }
    *ret = j->number;
    return OK;
}

enum err read_duration(struct reader *r, const struct tree_node *v, const char *what, int64_t *ret)
{
    if (v->kind != TREE_SCALAR || !estate_parse_duration(v->text, ret)) {
        return FAIL(r, v, "%s has to be a duration such as 250ms, 90s, 15m, 4h, 7d or 0", what);
    }
    return OK;
}

enum err read_time(struct reader *r, const struct tree_node *v, const char *what, bool may_be_never,
                   int64_t *ret)
{
    if (v->kind != TREE_SCALAR || !estate_parse_time(v->text, ret) ||
        (*ret == ESTATE_NEVER && !may_be_never)) {
        return FAIL(r, v, "%s has to be a date such as 2026-11-28 or 2026-11-28T10:00:00Z%s", what,
                    may_be_never ? ", or never" : "");
    }
    return OK;
}

/* Position of a word among `n` names, from `first`. */
enum err read_choice(struct reader *r, const struct tree_node *v, const char *what,
                     const char *(*name)(unsigned), unsigned first, unsigned n, unsigned *ret)
{
    for (unsigned i = first; i < n && v->kind == TREE_SCALAR; i++) {
        if (str_eq(v->text, str_of(name(i)))) {
            *ret = i;
            return OK;
        }
    }
    char all[300] = "";
    size_t used = 0;
    for (unsigned i = first; i < n && used < sizeof(all); i++) {
        int k = snprintf(all + used, sizeof(all) - used, "%s%s", i > first ? ", " : "", name(i));
        used += k > 0 ? (size_t)k : 0;
    }
    return FAIL(r, v, "%s has to be one of %s", what, all);
}

static const char *topology_at(unsigned i)
{
    return estate_topology_name((enum estate_topology)i);
}
enum err read_topology(struct reader *r, const struct tree_node *v, enum estate_topology *ret)
{
    unsigned i = 0;
    TRY(read_choice(r, v, "topology", topology_at, TOPOLOGY_SINGLE, TOPOLOGY_HOT_HOT + 1, &i));
    *ret = (enum estate_topology)i;
    return OK;
}

enum err read_need_list(struct reader *r, const struct tree_node *v, const char *what)
{
    if (v->kind != TREE_LIST) {
        return FAIL(r, v, "%s has to be a list", what);
    }
    return v->count <= ESTATE_LIST_MAX
               ? OK
               : FAIL_LIMIT(r, v, "%s has more than %d items", what, ESTATE_LIST_MAX);
}

/* A list of texts, in the estate's arena. `ret_is_open` NULL: `unknown` is no member. */
enum err read_texts(struct reader *r, const struct tree_node *v, const char *what,
                    const struct str **ret, size_t *ret_n, bool *ret_is_open)
{
    TRY(read_need_list(r, v, what));
    struct str *items = ARENA_NEW_ARRAY(&r->e->arena, struct str, v->count + 1);
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (ret_is_open && read_is_word(v->items[i], "unknown")) {
            *ret_is_open = true;
            continue;
        }
        TRY(read_text(r, v->items[i], what, &items[n]));
        n++;
    }
    *ret = items;
    *ret_n = n;
    return OK;
}

/* ---- maps ---- */

const struct tree_node *read_member(const struct tree_node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (str_eq(map->pairs[i].key, str_of(key))) {
            return map->pairs[i].value;
        }
    }
    return NULL;
}

enum err read_unknown_key(struct reader *r, const struct tree_pair *pair, const char *what,
                          const char *nearest, unsigned distance)
{
    (void)read_fail(r, pair->line, ERR_INVALID, "%s has no key '" STR_FMT "'", what,
                    STR_ARG(read_brief(pair->key)));
    if (nearest && distance <= 3) {
        err_hint(r->ei, "did you mean '%s'?", nearest);
    } else {
        err_hint(r->ei,
                 "`holdfast assess init` writes an example; doc/format/estate.md has every key");
    }
    return ERR_INVALID;
}

static const struct read_field *find_field(const struct read_field *fields, size_t n,
                                           struct str key)
{
    for (size_t i = 0; i < n; i++) {
        if (str_eq(str_of(fields[i].name), key)) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Fields in the order of the table; a NULL `set` was dealt with by the caller. */
enum err read_map(struct reader *r, const struct tree_node *v, const char *what,
                  const struct read_field *fields, size_t n, void *to)
{
    if (v->kind != TREE_MAP) {
        return FAIL(r, v, "%s has to be a map (key: value)", what);
    }
    for (size_t i = 0; i < v->count; i++) {
        if (find_field(fields, n, v->pairs[i].key)) {
            continue;
        }
        const char *nearest = NULL;
        unsigned distance = STR_DISTANCE_MAX;
        for (size_t k = 0; k < n; k++) {
            unsigned d = str_distance(str_of(fields[k].name), v->pairs[i].key);
            nearest = d < distance ? fields[k].name : nearest;
            distance = d < distance ? d : distance;
        }
        return read_unknown_key(r, &v->pairs[i], what, nearest, distance);
    }
    for (size_t k = 0; k < n; k++) {
        const struct tree_node *value = read_member(v, fields[k].name);
        if (!value && fields[k].is_required) {
            return FAIL(r, v, "%s needs %s", what, fields[k].name);
        }
        if (value && fields[k].set) {
            TRY(fields[k].set(r, to, value));
        }
    }
    return OK;
}

/* Each item of a list of maps. */
enum err read_list(struct reader *r, const struct tree_node *v, const char *what,
                   enum err (*item)(struct reader *r, const struct tree_node *v))
{
    if (v->kind != TREE_LIST) {
        return FAIL(r, v, "%s has to be a list", what);
    }
    for (size_t i = 0; i < v->count; i++) {
        TRY(item(r, v->items[i]));
    }
    return OK;
}
