/* Any text that parses is written back byte by byte; rebuilt without its source it is written in
 * another way that parses to an equal tree; and taking nothing out of an object keeps it. */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/contract.h"
#include "json/edit.h"
#include "json/json.h"

enum { TEXT_SIZE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json *without_src(struct arena *a, const struct json *v)
{
    struct json *copy = ARENA_NEW(a, struct json);
    *copy = *v;
    copy->src = STR_NONE;
    if (v->type == JSON_ARRAY) {
        const struct json **items = arena_alloc(a, v->count * sizeof(const struct json *));
        for (size_t i = 0; i < v->count; i++) {
            items[i] = without_src(a, v->items[i]);
        }
        copy->items = items;
    } else if (v->type == JSON_OBJECT) {
        struct json_member *members = arena_alloc(a, v->count * sizeof(*members));
        for (size_t i = 0; i < v->count; i++) {
            members[i] =
                (struct json_member){v->members[i].key, without_src(a, v->members[i].value)};
        }
        copy->members = members;
    }
    return copy;
}

/* The trimmed text is what was parsed. */
static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void check_verbatim(const struct json *v, struct str text)
{
    while (text.n > 0 && is_blank(text.p[0])) {
        text = (struct str){text.p + 1, text.n - 1};
    }
    while (text.n > 0 && is_blank(text.p[text.n - 1])) {
        text.n--;
    }
    struct buf out;
    buf_init(&out, TEXT_SIZE_MAX);
    json_write(&out, v);
    ASSERT(buf_ok(&out));
    ASSERT(str_eq(buf_str(&out), text));
    buf_done(&out);
}

static const struct json *parse_again(struct arena *a, struct buf *text)
{
    const struct json *v = NULL;
    ASSERT(buf_ok(text));
    struct str copy = arena_str(a, buf_str(text));
    const struct json_limits limits = {.text_size_max = TEXT_SIZE_MAX};
    enum err e = json_parse(a, copy, &limits, &v, NULL);
    ASSERT(e == OK);
    buf_done(text);
    return v;
}

static void check_rebuilt(struct arena *a, const struct json *v)
{
    struct buf out;
    buf_init(&out, TEXT_SIZE_MAX);
    json_write(&out, without_src(a, v));
    const struct json *again = parse_again(a, &out);
    ASSERT(json_eq(v, again));
    ASSERT(json_cmp(v, again) == 0);
}

static void check_edited(struct arena *a, const struct json *v)
{
    struct buf out;
    buf_init(&out, TEXT_SIZE_MAX);
    size_t kept = json_text_without(&out, v, NULL, 0);
    buf_add_char(&out, '}');
    const struct json *again = parse_again(a, &out);
    ASSERT(kept == v->count);
    ASSERT(json_eq(v, again));
    if (v->count == 0) {
        return;
    }
    struct str first = v->members[0].key;
    buf_init(&out, TEXT_SIZE_MAX);
    kept = json_text_without(&out, v, &first, 1);
    buf_add_char(&out, '}');
    again = parse_again(a, &out);
    ASSERT(kept == v->count - 1 && again->count == kept);
    ASSERT(json_get(again, first) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    const struct json *v = NULL;
    struct errinfo ei = {0};
    struct str text = str_make(data, size);
    arena_init(&a);
    enum err e = json_parse(&a, text, NULL, &v, &ei);
    ASSERT((e == OK) == (v != NULL));
    ASSERT(e == ei.code);
    if (e == OK) {
        check_verbatim(v, text);
        check_rebuilt(&a, v);
        if (v->type == JSON_OBJECT) {
            check_edited(&a, v);
        }
    }
    arena_done(&a);
    return 0;
}
