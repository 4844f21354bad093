/* JSON pointers (RFC 6901). Whether a token is a name or an index depends on what it meets in a
 * document, so tokens stay text until then. */
#include "base/contract.h"
#include "json/json_int.h"
#include "json/path.h"

enum {
    POINTER_SHOWN_MAX = 128, /* bytes of a pointer in an error message */
};

static enum err fail_at(struct str text, size_t pos, const char *why, struct errinfo *ei)
{
    int shown = text.n < POINTER_SHOWN_MAX ? (int)text.n : POINTER_SHOWN_MAX;
    return err_set(ei, ERR_INVALID, "path \"%.*s\": %s at byte %zu", shown, text.p, why, pos + 1);
}

/* text[from..to) without its escapes; the first bad one is at *ret_bad. */
static bool decode_token(struct arena *a, struct str text, size_t from, size_t to, struct str *ret,
                         size_t *ret_bad)
{
    struct str raw = str_slice(text, from, to - from);
    if (str_find_char(raw, '~') < 0) {
        *ret = raw;
        return true;
    }
    char *out = arena_alloc(a, raw.n);
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '~') {
            i++;
            if (i == raw.n || (raw.p[i] != '0' && raw.p[i] != '1')) {
                *ret_bad = from + i - 1;
                return false;
            }
            c = raw.p[i] == '0' ? '~' : '/';
        }
        out[n++] = c;
    }
    *ret = (struct str){out, n};
    return true;
}

enum err json_pointer_parse(struct arena *a, struct str text, struct json_pointer *ret,
                            struct errinfo *ei)
{
    if (text.n > JSON_PATH_SIZE_MAX) {
        return err_set(ei, ERR_INVALID, "path of %zu bytes, at most %d are allowed", text.n,
                       JSON_PATH_SIZE_MAX);
    }
    if (text.n > 0 && text.p[0] != '/') {
        return fail_at(text, 0, "expected a slash", ei);
    }
    size_t count = 0;
    for (size_t i = 0; i < text.n; i++) {
        count += text.p[i] == '/';
    }
    if (count > JSON_PATH_KEYS_MAX) {
        return err_set(ei, ERR_INVALID, "path of %zu names, at most %d are allowed", count,
                       JSON_PATH_KEYS_MAX);
    }
    struct str *tokens = ARENA_NEW_ARRAY(a, struct str, count);
    size_t from = 1;
    for (size_t i = 0; i < count; i++) {
        size_t to = from;
        while (to < text.n && text.p[to] != '/') {
            to++;
        }
        size_t bad = 0;
        if (!decode_token(a, text, from, to, &tokens[i], &bad)) {
            return fail_at(text, bad, "~ must be followed by 0 (for ~) or 1 (for /)", ei);
        }
        from = to + 1;
    }
    *ret = (struct json_pointer){tokens, count};
    return OK;
}

bool json_pointer_index(struct str token, size_t *ret)
{
    if (token.n > 1 && token.p[0] == '0') {
        return false;
    }
    uint64_t v = 0;
    if (!str_to_u64(token, &v) || v > SIZE_MAX) {
        return false;
    }
    *ret = (size_t)v;
    return true;
}

const struct json *json_pointer_eval(const struct json *root, const struct json_pointer *pointer)
{
    const struct json *v = root;
    for (size_t i = 0; i < pointer->count && v; i++) {
        if (v->type == JSON_ARRAY) {
            size_t idx = 0;
            bool is_inside = json_pointer_index(pointer->tokens[i], &idx) && idx < v->count;
            v = is_inside ? v->items[idx] : NULL;
        } else {
            v = json_get(v, pointer->tokens[i]);
        }
    }
    return v;
}

void json_pointer_write(struct buf *out, const struct json_pointer *pointer, size_t count)
{
    ASSERT(count <= pointer->count);
    for (size_t i = 0; i < count; i++) {
        struct str token = pointer->tokens[i];
        buf_add_char(out, '/');
        for (size_t j = 0; j < token.n; j++) {
            if (token.p[j] == '~') {
                buf_add_cstr(out, "~0");
            } else if (token.p[j] == '/') {
                buf_add_cstr(out, "~1");
            } else {
                buf_add_char(out, token.p[j]);
            }
        }
    }
}

bool json_pointer_is_prefix(const struct json_pointer *a, const struct json_pointer *b)
{
    if (a->count > b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!str_eq(a->tokens[i], b->tokens[i])) {
            return false;
        }
    }
    return true;
}
