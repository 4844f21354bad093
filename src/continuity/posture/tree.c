/* See tree.h. YAML comes from libyaml's event parser, JSON from src/json; both become the same tree.
 * libyaml allocates with malloc and reports its failure as an error like any other. */
#include "continuity/posture/tree.h"

#include <string.h>
#include <yaml.h>

#include "base/contract.h"
#include "base/map.h"
#include "json/json.h"

struct reader {
    struct arena *arena;
    struct str source;
    struct errinfo *ei;
    size_t node_count;
    yaml_parser_t parser;
};

static enum err fail(struct reader *r, enum err code, yaml_mark_t mark, const char *what)
{
    return err_set(r->ei, code, STR_FMT ":%zu:%zu: %s", STR_ARG(r->source), mark.line + 1,
                   mark.column + 1, what);
}

static enum err next(struct reader *r, yaml_event_t *ev)
{
    if (yaml_parser_parse(&r->parser, ev)) {
        return OK;
    }
    const yaml_parser_t *p = &r->parser;
    const char *what = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR) {
        return err_set(r->ei, ERR_SYNTAX, STR_FMT ": byte %zu: %s", STR_ARG(r->source),
                       p->problem_offset, what);
    }
    return fail(r, p->error == YAML_MEMORY_ERROR ? ERR_LIMIT : ERR_SYNTAX, p->problem_mark, what);
}

/* A list that grows in the arena. */
static void *room(struct arena *a, void *list, size_t count, size_t *cap, size_t size)
{
    if (count < *cap) {
        return list;
    }
    *cap = *cap == 0 ? 8 : *cap * 2;
    char *bigger = arena_alloc(a, *cap * size);
    if (count > 0) {
        memcpy(bigger, list, count * size);
    }
    return bigger;
}

/* NULL, with the error set, when there are too many. */
static struct tree_node *new_node(struct reader *r, enum tree_kind kind, unsigned line,
                                  unsigned column)
{
    if (r->node_count++ >= TREE_NODES_MAX) {
        (void)err_set(r->ei, ERR_LIMIT, STR_FMT ":%u: more than %d values", STR_ARG(r->source),
                      line, TREE_NODES_MAX);
        return NULL;
    }
    struct tree_node *n = ARENA_NEW(r->arena, struct tree_node);
    n->kind = kind;
    n->line = line;
    n->column = column;
    return n;
}

/* Small maps are compared key by key, large ones through a hash map. */
static enum err check_keys(struct reader *r, const struct tree_pair *pairs, size_t n)
{
    const struct tree_pair *twice = NULL;
    if (n <= 24) {
        for (size_t i = 1; i < n && !twice; i++) {
            for (size_t k = 0; k < i && !twice; k++) {
                twice = str_eq(pairs[i].key, pairs[k].key) ? &pairs[i] : NULL;
            }
        }
    } else {
        struct map seen;
        map_init(&seen);
        for (size_t i = 0; i < n && !twice; i++) {
            twice = map_put(&seen, pairs[i].key, &seen) ? &pairs[i] : NULL;
        }
        map_done(&seen);
    }
    if (!twice) {
        return OK;
    }
    return err_set(r->ei, ERR_SYNTAX, STR_FMT ":%u: the key '" STR_FMT "' is there twice",
                   STR_ARG(r->source), twice->line, STR_ARG(str_slice(twice->key, 0, 80)));
}

/* ---- YAML ---- */

static enum err check_event(struct reader *r, const yaml_event_t *ev)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    } else if (ev->type == YAML_ALIAS_EVENT) {
        return fail(r, ERR_SYNTAX, ev->start_mark, "aliases (*name) are not accepted");
    }
    if (anchor) {
        return fail(r, ERR_SYNTAX, ev->start_mark, "anchors (&name) are not accepted");
    }
    return tag ? fail(r, ERR_SYNTAX, ev->start_mark, "tags (!name) are not accepted") : OK;
}

static enum err yaml_value(struct reader *r, yaml_event_t *ev, unsigned depth,
                           const struct tree_node **ret);

static struct str scalar_text(struct reader *r, const yaml_event_t *ev)
{
    return arena_str(r->arena, str_make(ev->data.scalar.value, ev->data.scalar.length));
}

static enum err yaml_list(struct reader *r, struct tree_node *n, unsigned depth)
{
    const struct tree_node **items = NULL;
    size_t cap = 0;
    for (;;) {
        yaml_event_t ev;
        TRY(next(r, &ev));
        if (ev.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&ev);
            break;
        }
        items = room(r->arena, (void *)items, n->count, &cap, sizeof(const struct tree_node *));
        const struct tree_node *item = NULL;
        enum err err = yaml_value(r, &ev, depth + 1, &item);
        yaml_event_delete(&ev);
        TRY(err);
        items[n->count++] = item;
    }
    n->items = items;
    return OK;
}

static enum err yaml_map(struct reader *r, struct tree_node *n, unsigned depth)
{
    struct tree_pair *pairs = NULL;
    size_t cap = 0;
    for (;;) {
        yaml_event_t ev;
        TRY(next(r, &ev));
        if (ev.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&ev);
            break;
        }
        enum err err = check_event(r, &ev);
        if (err == OK && ev.type != YAML_SCALAR_EVENT) {
            err = fail(r, ERR_SYNTAX, ev.start_mark, "a key has to be a text");
        }
        struct tree_pair pair = {.line = (unsigned)ev.start_mark.line + 1};
        if (err == OK) {
            pair.key = scalar_text(r, &ev);
        }
        yaml_event_delete(&ev);
        TRY(err);
        TRY(next(r, &ev));
        err = yaml_value(r, &ev, depth + 1, &pair.value);
        yaml_event_delete(&ev);
        TRY(err);
        pairs = room(r->arena, pairs, n->count, &cap, sizeof(*pairs));
        pairs[n->count++] = pair;
    }
    n->pairs = pairs;
    return check_keys(r, pairs, n->count);
}

/* NOLINTNEXTLINE(misc-no-recursion): TREE_DEPTH_MAX deep */
static enum err yaml_value(struct reader *r, yaml_event_t *ev, unsigned depth,
                           const struct tree_node **ret)
{
    TRY(check_event(r, ev));
    if (depth > TREE_DEPTH_MAX) {
        return fail(r, ERR_LIMIT, ev->start_mark, "nested too deep");
    }
    enum tree_kind kind = ev->type == YAML_SCALAR_EVENT           ? TREE_SCALAR
                          : ev->type == YAML_SEQUENCE_START_EVENT ? TREE_LIST
                                                                  : TREE_MAP;
    struct tree_node *n =
        new_node(r, kind, (unsigned)ev->start_mark.line + 1, (unsigned)ev->start_mark.column + 1);
    if (!n) {
        return ERR_LIMIT;
    }
    *ret = n;
    if (kind == TREE_SCALAR) {
        n->text = scalar_text(r, ev);
        n->is_plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        return OK;
    }
    return kind == TREE_LIST ? yaml_list(r, n, depth) : yaml_map(r, n, depth);
}

static enum err expect(struct reader *r, yaml_event_type_t type, const char *otherwise)
{
    yaml_event_t ev;
    TRY(next(r, &ev));
    enum err err = OK;
    if (ev.type != type) {
        err = fail(r, ERR_SYNTAX, ev.start_mark, otherwise);
    } else if (type == YAML_DOCUMENT_START_EVENT &&
               (ev.data.document_start.version_directive ||
                ev.data.document_start.tag_directives.start !=
                    ev.data.document_start.tag_directives.end)) {
        err = fail(r, ERR_SYNTAX, ev.start_mark, "directives (%NAME) are not accepted");
    }
    yaml_event_delete(&ev);
    return err;
}

static enum err yaml_document(struct reader *r, const struct tree_node **ret)
{
    TRY(expect(r, YAML_STREAM_START_EVENT, "not YAML"));
    TRY(expect(r, YAML_DOCUMENT_START_EVENT, "the file is empty"));
    yaml_event_t ev;
    TRY(next(r, &ev));
    enum err err = yaml_value(r, &ev, 0, ret);
    yaml_event_delete(&ev);
    TRY(err);
    TRY(expect(r, YAML_DOCUMENT_END_EVENT, "something after the end"));
    return expect(r, YAML_STREAM_END_EVENT, "more than one document");
}

static enum err read_yaml(struct reader *r, struct str text, const struct tree_node **ret)
{
    if (!yaml_parser_initialize(&r->parser)) {
        return err_set(r->ei, ERR_LIMIT, "no memory for the YAML parser");
    }
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    const char *p = text.n > 0 ? text.p : ""; /* of an empty file there is nothing to point at */
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)p, text.n);
    enum err err = yaml_document(r, ret);
    yaml_parser_delete(&r->parser);
    return err;
}

/* ---- JSON ---- */

/* Lines of values in ascending order, counted on from the last one. */
struct place {
    const char *at;
    unsigned line;
};

static void go_to(struct place *p, const char *to)
{
    while (p->at < to) {
        const char *nl = memchr(p->at, '\n', (size_t)(to - p->at));
        if (!nl) {
            p->at = to;
            return;
        }
        p->line++;
        p->at = nl + 1;
    }
}

/* NOLINTNEXTLINE(misc-no-recursion): the parser's depth limit */
static enum err json_node(struct reader *r, struct place *at, const struct json *v,
                          const struct tree_node **ret)
{
    ASSERT(v->src.n > 0);
    go_to(at, v->src.p);
    enum tree_kind kind = v->type == JSON_ARRAY    ? TREE_LIST
                          : v->type == JSON_OBJECT ? TREE_MAP
                                                   : TREE_SCALAR;
    struct tree_node *n = new_node(r, kind, at->line, 1);
    if (!n) {
        return ERR_LIMIT;
    }
    *ret = n;
    n->count = v->count;
    if (kind == TREE_SCALAR) {
        n->count = 0;
        n->is_plain = v->type != JSON_STRING;
        n->text = n->is_plain ? v->src : v->text;
    } else if (kind == TREE_LIST) {
        const struct tree_node **items =
            ARENA_NEW_ARRAY(r->arena, const struct tree_node *, v->count + 1);
        for (size_t i = 0; i < v->count; i++) {
            TRY(json_node(r, at, v->items[i], &items[i]));
        }
        n->items = items;
    } else {
        struct tree_pair *pairs = ARENA_NEW_ARRAY(r->arena, struct tree_pair, v->count + 1);
        for (size_t i = 0; i < v->count; i++) {
            pairs[i].key = v->members[i].key;
            TRY(json_node(r, at, v->members[i].value, &pairs[i].value));
            pairs[i].line = pairs[i].value->line;
        }
        n->pairs = pairs;
    }
    return OK;
}

static enum err read_json(struct reader *r, struct str text, const struct tree_node **ret)
{
    const struct json *v = NULL;
    struct errinfo ei = {0};
    struct json_limits limits = {.text_size_max = text.n + 1, .depth_max = TREE_DEPTH_MAX};
    enum err err = json_parse(r->arena, text, &limits, &v, &ei);
    if (err != OK) {
        return err_set(r->ei, err, STR_FMT ": %s", STR_ARG(r->source), ei.message);
    }
    struct place at = {text.p, 1};
    return json_node(r, &at, v, ret);
}

enum err tree_read(struct arena *a, struct str text, struct str source, size_t text_size_max,
                   const struct tree_node **ret, struct errinfo *ei)
{
    struct reader r = {.arena = a, .source = source, .ei = ei};
    if (text.n > text_size_max) {
        return err_set(ei, ERR_LIMIT, STR_FMT ": longer than %zu bytes", STR_ARG(source),
                       text_size_max);
    }
    struct str body = str_trim(text);
    if (body.n > 0 && body.p[0] == '{') {
        return read_json(&r, text, ret);
    }
    return read_yaml(&r, text, ret);
}
