/* What the filter pins to constants: for routing a query to one partition or one item. Looks at
 * equalities that are joined by AND at the top of WHERE, of the outermost select and of the selects
 * in its first source: documents that do not satisfy them cannot contribute to the answer. */
#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum { PATH_TOKENS_MAX = 32 };

/* "/a/\"b c\"/d" into its names; false when malformed. Escapes inside quotes are not interpreted
 * beyond a backslash taking the next character. */
static bool split_path(struct str path, struct str *names, size_t *ret_count)
{
    size_t n = 0;
    while (path.n > 0) {
        if (path.p[0] != '/' || n == PATH_TOKENS_MAX) {
            return false;
        }
        path = str_slice(path, 1, path.n);
        if (path.n > 0 && path.p[0] == '"') {
            size_t end = 1;
            while (end < path.n && path.p[end] != '"') {
                end += path.p[end] == '\\' ? 2 : 1;
            }
            if (end >= path.n) {
                return false;
            }
            names[n++] = str_slice(path, 1, end - 1);
            path = str_slice(path, end + 1, path.n);
        } else {
            ptrdiff_t slash = str_find_char(path, '/');
            size_t end = slash < 0 ? path.n : (size_t)slash;
            names[n++] = str_slice(path, 0, end);
            path = str_slice(path, end, path.n);
        }
    }
    *ret_count = n;
    return n > 0;
}

/* e is the document's property of that path. */
static bool is_path(const struct query_expr *e, const struct str *names, size_t n)
{
    for (size_t i = n; i > 0; i--) {
        if (e->node != NODE_PROP || !str_eq(e->name, names[i - 1])) {
            return false;
        }
        e = e->args[0];
    }
    return e->node == NODE_NAME && e->slot == QUERY_SLOT_DOC;
}

/* The constant to which the condition pins the path; NULL = it does not. */
static const struct json *find_pin(const struct query_expr *e, const struct str *names, size_t n)
{
    if (e->node == NODE_AND) {
        for (size_t i = 0; i < e->arg_count; i++) {
            const struct json *v = find_pin(e->args[i], names, n);
            if (v != NULL) {
                return v;
            }
        }
        return NULL;
    }
    bool is_equal = e->node == NODE_BINARY && e->op == OP_EQ;
    bool is_single = e->node == NODE_IN && e->arg_count == 2 && !e->is_negated;
    if (!is_equal && !is_single) {
        return NULL;
    }
    const struct query_expr *path = e->args[0];
    const struct json *value = e->args[1]->value;
    if (is_equal && value == NULL) {
        path = e->args[1];
        value = e->args[0]->value;
    }
    if (value == NULL || value->type == JSON_UNDEFINED || !is_path(path, names, n)) {
        return NULL;
    }
    return value;
}

static const struct json *pin_of(const struct query *q, struct str path)
{
    struct str names[PATH_TOKENS_MAX];
    size_t n = 0;
    if (!split_path(path, names, &n)) {
        return NULL;
    }
    for (const struct query_select *s = q->select; s != NULL;) {
        if (s->where != NULL) {
            const struct json *v = find_pin(s->where, names, n);
            if (v != NULL) {
                return v;
            }
        }
        s = s->from_count > 0 ? s->from[0].select : NULL;
    }
    return NULL;
}

bool query_pinned_id(const struct query *q, struct str *ret)
{
    const struct json *v = pin_of(q, STR("/id"));
    if (v == NULL || v->type != JSON_STRING) {
        return false;
    }
    *ret = v->text;
    return true;
}

size_t query_pinned_keys(const struct query *q, const struct str *paths, size_t n,
                         const struct json *ret_values[QUERY_PK_PATHS_MAX])
{
    ASSERT(n <= QUERY_PK_PATHS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = pin_of(q, paths[i]);
        if (v == NULL) {
            return i;
        }
        ret_values[i] = v;
    }
    return n;
}

/* ---- single items ---- */

struct points {
    const struct str *paths;
    size_t path_count;
    size_t max;
    struct query_point *list;
    size_t count;
};

/* The IN list over the property that is joined by AND into e, or NULL. */
static const struct query_expr *find_list(const struct query_expr *e, const struct str *names,
                                          size_t n)
{
    if (e->node == NODE_AND) {
        for (size_t i = 0; i < e->arg_count; i++) {
            const struct query_expr *found = find_list(e->args[i], names, n);
            if (found != NULL) {
                return found;
            }
        }
        return NULL;
    }
    bool is_list = e->node == NODE_IN && !e->is_negated && is_path(e->args[0], names, n);
    return is_list ? e : NULL;
}

/* A key that is NULL is the id itself. */
static bool add_point(struct points *p, const struct json *id, const struct query_point *keys)
{
    if (id == NULL || id->type != JSON_STRING || p->count == p->max) {
        return false;
    }
    struct query_point point = *keys;
    point.id = id->text;
    for (size_t i = 0; i < p->path_count; i++) {
        point.keys[i] = point.keys[i] != NULL ? point.keys[i] : id;
    }
    p->list[p->count++] = point;
    return true;
}

/* One alternative: all keys pinned, and the id pinned or in a list. */
static bool add_points(struct points *p, const struct query_expr *e)
{
    struct str id_path = STR("id");
    struct query_point keys = {0};
    for (size_t i = 0; i < p->path_count; i++) {
        struct str names[PATH_TOKENS_MAX];
        size_t n = 0;
        if (!split_path(p->paths[i], names, &n)) {
            return false;
        }
        keys.keys[i] = find_pin(e, names, n);
        bool is_id = n == 1 && str_eq(names[0], id_path);
        if (keys.keys[i] == NULL && !is_id) {
            return false;
        }
    }
    const struct json *id = find_pin(e, &id_path, 1);
    if (id != NULL) {
        return add_point(p, id, &keys);
    }
    const struct query_expr *list = find_list(e, &id_path, 1);
    for (size_t i = 1; list != NULL && i < list->arg_count; i++) {
        if (!add_point(p, list->args[i]->value, &keys)) {
            return false;
        }
    }
    return list != NULL;
}

bool query_pinned_points(const struct query *q, const struct str *paths, size_t n, size_t max,
                         struct query_point *ret, size_t *ret_count)
{
    ASSERT(n <= QUERY_PK_PATHS_MAX);
    const struct query_select *s = q->select;
    bool has_filter = s->from_count > 0 && s->from[0].select == NULL && s->where != NULL;
    if (!has_filter || n == 0) {
        return false;
    }
    struct points p = {.paths = paths, .path_count = n, .max = max, .list = ret};
    if (s->where->node != NODE_OR) {
        if (!add_points(&p, s->where)) {
            return false;
        }
    } else {
        for (size_t i = 0; i < s->where->arg_count; i++) {
            if (!add_points(&p, s->where->args[i])) {
                return false;
            }
        }
    }
    *ret_count = p.count;
    return true;
}
