/* Helpers of the JSON tests: one arena per test program, never freed before its end. */
#pragma once

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "lib/t.h"
#include "json/json.h"

/* STR() for initialisers of static tables, where a compound literal is no constant. */
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    }

static struct arena help_arena;

static inline const struct json *help_parse(struct str text)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    t_ok_info(json_parse(&help_arena, text, NULL, &v, &ei), &ei);
    return v;
}

/* The text of a value, in the arena. */
static inline struct str help_write(const struct json *v)
{
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    json_write(&b, v);
    t_check(buf_ok(&b));
    struct str s = arena_str(&help_arena, buf_str(&b));
    buf_done(&b);
    return s;
}

/* The same tree as a program would have made it: nothing keeps its source. */
static inline const struct json *help_without_src(const struct json *v)
{
    struct json *copy = ARENA_NEW(&help_arena, struct json);
    *copy = *v;
    copy->src = STR_NONE;
    if (v->type == JSON_ARRAY) {
        const struct json **items = ARENA_NEW_ARRAY(&help_arena, const struct json *, v->count + 1);
        for (size_t i = 0; i < v->count; i++) {
            items[i] = help_without_src(v->items[i]);
        }
        copy->items = items;
    } else if (v->type == JSON_OBJECT) {
        struct json_member *m = ARENA_NEW_ARRAY(&help_arena, struct json_member, v->count + 1);
        for (size_t i = 0; i < v->count; i++) {
            m[i] = (struct json_member){v->members[i].key, help_without_src(v->members[i].value)};
        }
        copy->members = m;
    }
    return copy;
}
