/* Container paths and policy paths: one reader of segments, two sets of rules.
 *
 *     path     = 1*( "/" segment )
 *     segment  = name / DQUOTE *char DQUOTE / "'" *char "'" / "[]" / "?" / "*"
 *     name     = UTF-8 without / " ' \ * ? [ ] and control characters, no blank at either end
 *
 * JSON allows an empty key: `/""` is that one, while `//` and a slash at the end are errors. */
#include "json/path.h"

#include "base/contract.h"
#include "json/json_int.h"

enum {
    PATH_SHOWN_MAX = 128, /* bytes of a path in an error message */
};

enum segment_kind {
    SEGMENT_NAME,
    SEGMENT_ELEMENTS, /* [] */
    SEGMENT_SCALAR,   /* ? */
    SEGMENT_SUBTREE,  /* * */
};

struct segment {
    enum segment_kind kind;
    struct str name;
};

struct reader {
    struct arena *arena;
    struct str text;
    size_t pos;
    struct errinfo *ei;
};

static enum err fail_at(const struct reader *r, size_t pos, const char *why)
{
    int shown = r->text.n < PATH_SHOWN_MAX ? (int)r->text.n : PATH_SHOWN_MAX;
    return err_set(r->ei, ERR_INVALID, "path \"%.*s\": %s at byte %zu", shown, r->text.p, why,
                   pos + 1);
}

static bool is_name_char(char c)
{
    return (unsigned char)c >= 0x20 && c != 0x7f && !strchr("/\"'\\*?[]", c);
}

/* The inside of the quotes has been checked: its escapes are JSON's, and \' stands for '. */
static struct str decode_quoted(struct arena *a, const char *p, size_t n)
{
    char *out = arena_alloc(a, n);
    size_t size = 0;
    while (n > 0) {
        /* json_unescape() does not know \': cut the text around it. */
        size_t run = 0;
        while (run < n && !(p[run] == '\\' && p[run + 1] == '\'')) {
            run += p[run] == '\\' ? 2 : 1;
        }
        size += json_unescape(out + size, p, run);
        p += run;
        n -= run;
        if (n > 0) {
            out[size++] = '\'';
            p += 2;
            n -= 2;
        }
    }
    return (struct str){out, size};
}

static enum err read_quoted(struct reader *r, struct str *ret)
{
    size_t open = r->pos++;
    char quote = r->text.p[open];
    const char *end = r->text.p + r->text.n;
    bool escaped = false;
    for (;;) {
        if (r->pos == r->text.n) {
            return fail_at(r, open, "quote without a closing one");
        }
        const char *p = r->text.p + r->pos;
        if (*p == quote) {
            break;
        }
        size_t n = 1;
        if (*p == '\\') {
            escaped = true;
            bool is_single = end - p >= 2 && p[1] == '\'';
            n = is_single ? 2 : json_escape_len(p, end);
            if (n == 0) {
                return fail_at(r, r->pos, "bad escape sequence");
            }
        }
        r->pos += n;
    }
    struct str inside = str_slice(r->text, open + 1, r->pos - open - 1);
    r->pos++;
    *ret = escaped ? decode_quoted(r->arena, inside.p, inside.n) : inside;
    return OK;
}

static enum err read_plain(struct reader *r, struct segment *ret)
{
    size_t from = r->pos;
    while (r->pos < r->text.n && r->text.p[r->pos] != '/') {
        r->pos++;
    }
    struct str s = str_slice(r->text, from, r->pos - from);
    if (s.n == 0) {
        return fail_at(r, from, "a name is missing");
    }
    *ret = (struct segment){.kind = SEGMENT_NAME, .name = s};
    if (str_eq(s, STR("[]"))) {
        ret->kind = SEGMENT_ELEMENTS;
    } else if (str_eq(s, STR("?"))) {
        ret->kind = SEGMENT_SCALAR;
    } else if (str_eq(s, STR("*"))) {
        ret->kind = SEGMENT_SUBTREE;
    }
    if (ret->kind != SEGMENT_NAME) {
        return OK;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_char(s.p[i])) {
            return fail_at(r, from + i, "this character needs the name in double quotes");
        }
    }
    if (s.p[0] == ' ' || s.p[s.n - 1] == ' ') {
        return fail_at(r, from, "a blank at the end of a name needs double quotes");
    }
    return OK;
}

/* At a slash. */
static enum err read_segment(struct reader *r, struct segment *ret)
{
    if (r->text.p[r->pos] != '/') {
        return fail_at(r, r->pos, "expected a slash");
    }
    r->pos++;
    if (r->pos < r->text.n && (r->text.p[r->pos] == '"' || r->text.p[r->pos] == '\'')) {
        *ret = (struct segment){.kind = SEGMENT_NAME};
        return read_quoted(r, &ret->name);
    }
    return read_plain(r, ret);
}

/* An upper bound for the segments, and the checks that need no reading. */
static enum err start(struct reader *r, size_t *ret_segments_max)
{
    if (r->text.n == 0) {
        return err_set(r->ei, ERR_INVALID, "path is empty");
    }
    if (r->text.n > JSON_PATH_SIZE_MAX) {
        return err_set(r->ei, ERR_INVALID, "path of %zu bytes, at most %d are allowed", r->text.n,
                       JSON_PATH_SIZE_MAX);
    }
    size_t slashes = 0;
    const char *end = r->text.p + r->text.n;
    for (const char *p = r->text.p; p < end;) {
        size_t n = json_utf8_len(p, end);
        if (n == 0) {
            return fail_at(r, (size_t)(p - r->text.p), "not UTF-8");
        }
        slashes += *p == '/';
        p += n;
    }
    *ret_segments_max = slashes < JSON_PATH_KEYS_MAX ? slashes : JSON_PATH_KEYS_MAX;
    return OK;
}

enum err json_path_parse(struct arena *a, struct str text, struct json_path *ret,
                         struct errinfo *ei)
{
    struct reader r = {.arena = a, .text = text, .ei = ei};
    size_t max = 0;
    TRY(start(&r, &max));
    struct str *keys = ARENA_NEW_ARRAY(a, struct str, max);
    size_t count = 0;
    while (r.pos < text.n) {
        size_t from = r.pos;
        struct segment s = {0};
        TRY(read_segment(&r, &s));
        if (s.kind != SEGMENT_NAME) {
            return fail_at(&r, from, "a wildcard is not allowed in this kind of path");
        }
        if (count == JSON_PATH_KEYS_MAX) {
            return fail_at(&r, from, "too many names");
        }
        ASSERT(count < max);
        keys[count++] = s.name;
    }
    *ret = (struct json_path){keys, count};
    return OK;
}

const struct json *json_path_eval(const struct json *root, const struct json_path *path)
{
    return json_get_path(root, path->keys, path->count);
}

bool json_path_eq(const struct json_path *a, const struct json_path *b)
{
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!str_eq(a->keys[i], b->keys[i])) {
            return false;
        }
    }
    return true;
}

/* Can stand without quotes, as itself. */
static bool is_plain_name(struct str s)
{
    if (s.n == 0 || s.p[0] == ' ' || s.p[s.n - 1] == ' ') {
        return false;
    }
    const char *end = s.p + s.n;
    for (const char *p = s.p; p < end;) {
        size_t n = json_utf8_len(p, end); /* 0 at a lone surrogate, which needs an escape */
        if (n == 0 || !is_name_char(*p)) {
            return false;
        }
        p += n;
    }
    return true;
}

void json_path_write(struct buf *out, const struct json_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        buf_add_char(out, '/');
        if (is_plain_name(path->keys[i])) {
            buf_add_str(out, path->keys[i]);
        } else {
            json_write_string(out, path->keys[i]);
        }
    }
}

/* ---- policy paths ---- */

enum err json_policy_path_parse(struct arena *a, struct str text, struct json_policy_path *ret,
                                struct errinfo *ei)
{
    struct reader r = {.arena = a, .text = text, .ei = ei};
    size_t max = 0;
    TRY(start(&r, &max));
    struct json_policy_step *steps = ARENA_NEW_ARRAY(a, struct json_policy_step, max);
    struct json_policy_path path = {.steps = steps};
    while (r.pos < text.n) {
        size_t from = r.pos;
        struct segment s = {0};
        TRY(read_segment(&r, &s));
        if (path.end != JSON_POLICY_END_NONE) {
            return fail_at(&r, from, "nothing may follow ? or *");
        }
        if (s.kind == SEGMENT_SCALAR || s.kind == SEGMENT_SUBTREE) {
            path.end = s.kind == SEGMENT_SCALAR ? JSON_POLICY_END_SCALAR : JSON_POLICY_END_SUBTREE;
            continue;
        }
        if (path.count == JSON_PATH_KEYS_MAX) {
            return fail_at(&r, from, "too many names");
        }
        ASSERT(path.count < max);
        steps[path.count++] = (struct json_policy_step){
            .is_elements = s.kind == SEGMENT_ELEMENTS,
            .key = s.kind == SEGMENT_ELEMENTS ? STR_NONE : s.name,
        };
    }
    *ret = path;
    return OK;
}
