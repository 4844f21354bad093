/* Expressions of ARM templates, as far as a file alone can answer them: parameters() with a value or a
 * default, variables(), resourceGroup().location when it was given, concat() and format() of such.
 * Everything else is unknown. resourceId() is no value either, but names a resource of the template.
 *
 * Expressions come from outside and may refer to each other in rings or double with each level: depth,
 * steps and the size of a text are limited, and over a limit the value is unknown.
 *
 * Parameters declared secureString or secureObject are never looked at, not even their defaults. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"

enum {
    DEPTH_MAX = 32,
    STEPS_MAX = 2000, /* of one value */
    ARGS_MAX = 32,
    TEXT_SIZE_MAX = ESTATE_STRING_SIZE_MAX,
};

struct eval {
    struct import *im;
    const struct arm_scope *scope;
    unsigned depth;
    unsigned *steps; /* shared by all levels of one value */
};

struct parser {
    struct eval *ev;
    struct str rest;
    bool is_bad;
};

static struct arm_value eval_json(struct eval *ev, const struct json *v);
static struct arm_value parse_expr(struct parser *ps);

static struct arm_value unknown(const char *why, struct str shape)
{
    return (struct arm_value){.why = why, .shape = shape};
}

static struct arm_value not_evaluated(struct parser *ps, struct str name)
{
    return unknown("an expression that is not evaluated",
                   arena_printf(&ps->ev->im->arena, "{" STR_FMT "}", STR_ARG(name)));
}

/* Text that a scalar stands for inside a longer one. */
static struct str text_of(struct arena *a, const struct json *v)
{
    if (v->type == JSON_STRING) {
        return v->text;
    }
    int64_t i = 0;
    if (v->type == JSON_NUMBER && json_is_integer(v, &i)) {
        return arena_printf(a, "%lld", (long long)i);
    }
    return v->type == JSON_BOOL ? (v->boolean ? STR("True") : STR("False")) : STR_NONE;
}

static struct arm_value known(struct import *im, const struct json *v,
                              const struct arm_scope *scope)
{
    return (struct arm_value){
        .is_known = true, .v = v, .scope = scope, .shape = text_of(&im->arena, v)};
}

/* ---- parameters and variables ---- */

static const struct json *get_nocase(const struct json *object, struct str key)
{
    for (size_t i = 0; object && object->type == JSON_OBJECT && i < object->count; i++) {
        if (str_eq_nocase(object->members[i].key, key)) {
            return object->members[i].value;
        }
    }
    return NULL;
}

static bool is_secure(const struct json *declared)
{
    struct str type = STR_NONE;
    return json_get_str(declared, STR("type"), &type) &&
           (str_eq_nocase(type, STR("secureString")) || str_eq_nocase(type, STR("secureObject")));
}

/* Values from the command line are texts; the declared type says what they mean. */
static struct arm_value from_option(struct import *im, const struct json *declared, struct str text)
{
    struct str type = STR("string");
    const struct json *v = NULL;
    (void)json_get_str(declared, STR("type"), &type);
    if (!str_eq_nocase(type, STR("string"))) {
        struct errinfo ei = {0};
        if (json_parse(&im->arena, text, NULL, &v, &ei) != OK) {
            return unknown("the value given for the parameter is not of its type", STR_NONE);
        }
        return known(im, v, NULL);
    }
    return known(im, json_string(&im->arena, text), NULL);
}

static const struct import_param *option(const struct import *im, struct str name)
{
    for (size_t i = 0; i < im->opts->param_count; i++) {
        if (str_eq_nocase(im->opts->params[i].name, name)) {
            return &im->opts->params[i];
        }
    }
    return NULL;
}

static struct arm_value parameter(struct parser *ps, struct str name)
{
    struct eval *ev = ps->ev;
    const struct arm_scope *scope = ev->scope;
    struct str shape = arena_printf(&ev->im->arena, "{" STR_FMT "}", STR_ARG(name));
    const struct json *declared = get_nocase(scope->parameters, name);
    if (is_secure(declared)) {
        return unknown("a secure parameter", shape);
    }
    struct eval in = *ev;
    const struct json *given = get_nocase(scope->given, name);
    const struct json *value = json_get(given, STR("value"));
    if (scope->given_scope && value) {
        in.scope = scope->given_scope;
        return eval_json(&in, value);
    }
    const struct import_param *param = scope->given_scope ? NULL : option(ev->im, name);
    if (param) {
        return from_option(ev->im, declared, param->value);
    }
    const struct json *def = json_get(declared, STR("defaultValue"));
    if (def && !given) {
        return eval_json(&in, def);
    }
    return unknown("a parameter without a value (--param NAME=VALUE)", shape);
}

static struct arm_value variable(struct parser *ps, struct str name)
{
    const struct json *v = get_nocase(ps->ev->scope->variables, name);
    return v ? eval_json(ps->ev, v) : not_evaluated(ps, name);
}

/* ---- functions ---- */

/* Joins shapes; known when every part is a known scalar. */
struct joined {
    struct buf text;
    bool is_known;
    const char *why;
};

static void join(struct joined *j, const struct arm_value *part)
{
    bool is_scalar = part->is_known && part->v->type != JSON_OBJECT &&
                     part->v->type != JSON_ARRAY && part->v->type != JSON_NULL;
    if (!is_scalar) {
        j->why = j->why ? j->why : part->why ? part->why : "an expression that is not evaluated";
        j->is_known = false;
    }
    buf_add_str(&j->text, part->shape);
}

static struct arm_value joined_value(struct parser *ps, struct joined *j)
{
    struct import *im = ps->ev->im;
    struct arm_value v = unknown("an expression whose text is too long", STR_NONE);
    if (buf_ok(&j->text)) {
        struct str text = arena_str(&im->arena, buf_str(&j->text));
        v = j->is_known ? known(im, json_string(&im->arena, text), NULL) : unknown(j->why, text);
    }
    buf_done(&j->text);
    return v;
}

static struct arm_value concat(struct parser *ps, const struct arm_value *args, size_t n)
{
    struct joined j = {.is_known = true};
    buf_init(&j.text, TEXT_SIZE_MAX);
    for (size_t i = 0; i < n; i++) {
        join(&j, &args[i]);
    }
    return joined_value(ps, &j);
}

/* {0}, {1}; {{ and }} are braces. Anything else in braces is not evaluated. */
static struct arm_value format(struct parser *ps, const struct arm_value *args, size_t n)
{
    static const struct arm_value other = {.why = "a format that is not evaluated",
                                           .shape = {"{format}", 8}};
    if (n == 0 || !args[0].is_known || args[0].v->type != JSON_STRING) {
        return other;
    }
    struct joined j = {.is_known = true};
    struct str f = args[0].v->text;
    buf_init(&j.text, TEXT_SIZE_MAX);
    for (size_t i = 0; i < f.n; i++) {
        bool is_brace = f.p[i] == '{' || f.p[i] == '}';
        if (!is_brace || (i + 1 < f.n && f.p[i + 1] == f.p[i])) {
            buf_add_char(&j.text, f.p[i]);
            i += is_brace;
            continue;
        }
        uint64_t arg = 0;
        struct str rest = str_slice(f, i + 1, f.n);
        ptrdiff_t end = str_find_char(rest, '}');
        if (end < 0 || !str_to_u64(str_slice(rest, 0, (size_t)end), &arg) || arg + 1 >= n) {
            join(&j, &other);
            break;
        }
        join(&j, &args[arg + 1]);
        i += (size_t)end + 1;
    }
    return joined_value(ps, &j);
}

/* resourceId([subscription], [group], 'Namespace/type[/type]', name[, name]) */
static struct arm_value resource_id(struct parser *ps, const struct arm_value *args, size_t n)
{
    struct import *im = ps->ev->im;
    struct arm_value v = unknown("an expression that is not evaluated", STR("{resourceId}"));
    size_t i = 0;
    while (i < n && !(args[i].is_known && args[i].v->type == JSON_STRING &&
                      str_find_char(args[i].v->text, '/') > 0)) {
        i++;
    }
    if (i + 1 >= n || i > 2) {
        return v;
    }
    struct joined name = {.is_known = true};
    buf_init(&name.text, TEXT_SIZE_MAX);
    for (size_t k = i + 1; k < n; k++) {
        buf_add_cstr(&name.text, k > i + 1 ? "/" : "");
        join(&name, &args[k]);
    }
    if (buf_ok(&name.text)) {
        v.ref_kind = import_lower(&im->arena, args[i].v->text);
        v.ref_name = arena_str(&im->arena, buf_str(&name.text));
    }
    buf_done(&name.text);
    return v;
}

static struct arm_value call(struct parser *ps, struct str name, const struct arm_value *args,
                             size_t n)
{
    bool has_name = n == 1 && args[0].is_known && args[0].v->type == JSON_STRING;
    if (str_eq_nocase(name, STR("parameters")) && has_name) {
        return parameter(ps, args[0].v->text);
    }
    if (str_eq_nocase(name, STR("variables")) && has_name) {
        return variable(ps, args[0].v->text);
    }
    if (str_eq_nocase(name, STR("concat"))) {
        return concat(ps, args, n);
    }
    if (str_eq_nocase(name, STR("format"))) {
        return format(ps, args, n);
    }
    if (str_eq_nocase(name, STR("resourceId"))) {
        return resource_id(ps, args, n);
    }
    return not_evaluated(ps, name);
}

/* ---- grammar ---- */

static void skip_blanks(struct parser *ps)
{
    while (ps->rest.n > 0 && (ps->rest.p[0] == ' ' || ps->rest.p[0] == '\t' ||
                              ps->rest.p[0] == '\n' || ps->rest.p[0] == '\r')) {
        ps->rest = str_slice(ps->rest, 1, ps->rest.n);
    }
}

static bool take(struct parser *ps, char c)
{
    skip_blanks(ps);
    if (ps->rest.n == 0 || ps->rest.p[0] != c) {
        return false;
    }
    ps->rest = str_slice(ps->rest, 1, ps->rest.n);
    return true;
}

static struct arm_value bad(struct parser *ps)
{
    ps->is_bad = true;
    return unknown("a malformed expression", STR("{expression}"));
}

/* Behind the opening quote; '' is a quote. */
static struct arm_value parse_string(struct parser *ps)
{
    struct buf text;
    buf_init(&text, TEXT_SIZE_MAX);
    struct str s = ps->rest;
    size_t i = 0;
    bool is_closed = false;
    while (i < s.n && !is_closed) {
        if (s.p[i] == '\'' && i + 1 < s.n && s.p[i + 1] == '\'') {
            buf_add_char(&text, '\'');
            i += 2;
        } else if (s.p[i] == '\'') {
            is_closed = true;
            i++;
        } else {
            buf_add_char(&text, s.p[i++]);
        }
    }
    struct import *im = ps->ev->im;
    struct arm_value v =
        is_closed && buf_ok(&text)
            ? known(im, json_string(&im->arena, arena_str(&im->arena, buf_str(&text))), NULL)
            : bad(ps);
    buf_done(&text);
    ps->rest = str_slice(s, i, s.n);
    return v;
}

static struct str parse_word(struct parser *ps)
{
    size_t n = 0;
    while (n < ps->rest.n) {
        char c = ps->rest.p[n];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && !(n > 0 && c >= '0' && c <= '9')) {
            break;
        }
        n++;
    }
    struct str word = str_slice(ps->rest, 0, n);
    ps->rest = str_slice(ps->rest, n, ps->rest.n);
    return word;
}

static struct arm_value parse_number(struct parser *ps)
{
    size_t n = ps->rest.p[0] == '-' ? 1 : 0;
    while (n < ps->rest.n && ps->rest.p[n] >= '0' && ps->rest.p[n] <= '9') {
        n++;
    }
    int64_t i = 0;
    bool is_good = str_to_i64(str_slice(ps->rest, 0, n), &i);
    ps->rest = str_slice(ps->rest, n, ps->rest.n);
    return is_good ? known(ps->ev->im, json_integer(&ps->ev->im->arena, i), NULL) : bad(ps);
}

static struct arm_value parse_call(struct parser *ps, struct str name)
{
    struct arm_value args[ARGS_MAX];
    size_t n = 0;
    if (name.n == 0 || !take(ps, '(')) {
        return bad(ps);
    }
    while (!ps->is_bad && !take(ps, ')')) {
        if (n == ARGS_MAX || (n > 0 && !take(ps, ','))) {
            return bad(ps);
        }
        args[n++] = parse_expr(ps);
    }
    return ps->is_bad ? bad(ps) : call(ps, name, args, n);
}

/* resourceGroup().location, and nothing else of it. */
static struct arm_value group_location(struct parser *ps)
{
    struct import *im = ps->ev->im;
    const struct import_param *param = option(im, STR("resourceGroup.location"));
    if (param) {
        return known(im, json_string(&im->arena, param->value), NULL);
    }
    im->rg_location_count++;
    return unknown("the region of the resource group (--param resourceGroup.location=REGION)",
                   STR("{resourceGroup().location}"));
}

static struct arm_value member(struct parser *ps, const struct arm_value *of, struct str key)
{
    const struct json *v = of->is_known ? json_get(of->v, key) : NULL;
    if (!v) {
        return unknown(of->is_known ? "an expression that is not evaluated" : of->why, of->shape);
    }
    struct eval in = *ps->ev;
    in.scope = of->scope;
    return of->scope ? eval_json(&in, v) : known(ps->ev->im, v, NULL);
}

static struct arm_value element(struct parser *ps, const struct arm_value *of,
                                const struct arm_value *idx)
{
    int64_t i = 0;
    if (idx->is_known && idx->v->type == JSON_STRING) {
        return member(ps, of, idx->v->text);
    }
    if (!of->is_known || of->v->type != JSON_ARRAY || !idx->is_known ||
        !json_is_integer(idx->v, &i) || i < 0 || (uint64_t)i >= of->v->count) {
        return unknown("an expression that is not evaluated", of->shape);
    }
    struct eval in = *ps->ev;
    in.scope = of->scope;
    return of->scope ? eval_json(&in, of->v->items[i]) : known(ps->ev->im, of->v->items[i], NULL);
}

static struct arm_value parse_expr(struct parser *ps)
{
    struct eval *ev = ps->ev;
    if (ev->depth >= DEPTH_MAX || ++*ev->steps > STEPS_MAX) {
        return bad(ps);
    }
    ev->depth++;
    struct arm_value v;
    struct str name = STR_NONE;
    skip_blanks(ps);
    char c = ps->rest.n > 0 ? ps->rest.p[0] : 0;
    if (take(ps, '\'')) {
        v = parse_string(ps);
    } else if (c == '-' || (c >= '0' && c <= '9')) {
        v = parse_number(ps);
    } else {
        name = parse_word(ps);
        v = parse_call(ps, name);
    }
    while (!ps->is_bad) {
        if (take(ps, '.')) {
            struct str key = parse_word(ps);
            bool is_location =
                str_eq_nocase(name, STR("resourceGroup")) && str_eq_nocase(key, STR("location"));
            v = key.n == 0 ? bad(ps) : is_location ? group_location(ps) : member(ps, &v, key);
        } else if (take(ps, '[')) {
            struct arm_value idx = parse_expr(ps);
            v = ps->is_bad || !take(ps, ']') ? bad(ps) : element(ps, &v, &idx);
        } else {
            break;
        }
        name = STR_NONE;
    }
    ev->depth--;
    return v;
}

static struct arm_value eval_json(struct eval *ev, const struct json *v)
{
    struct str text = v->type == JSON_STRING ? v->text : STR_NONE;
    bool is_expr = ev->scope && text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']';
    if (is_expr && text.p[1] == '[') {
        /* "[[" is a bracket that is meant as one. */
        return known(ev->im, json_string(&ev->im->arena, str_slice(text, 1, text.n)), NULL);
    }
    if (!is_expr) {
        return known(ev->im, v, ev->scope);
    }
    struct parser ps = {.ev = ev, .rest = str_slice(text, 1, text.n - 2)};
    struct arm_value value = parse_expr(&ps);
    skip_blanks(&ps);
    return ps.is_bad || ps.rest.n > 0 ? bad(&ps) : value;
}

struct arm_value arm_eval(struct import *im, const struct arm_scope *scope, const struct json *v)
{
    unsigned steps = 0;
    struct eval ev = {.im = im, .scope = scope, .steps = &steps};
    if (!scope) {
        return (struct arm_value){.is_known = true, .v = v};
    }
    return eval_json(&ev, v);
}
