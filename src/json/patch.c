/* Partial document update on immutable trees.
 *
 * Every operation copies the containers from the root to its target (one array of pointers or
 * members each) and shares everything beside them:
 *
 *      root  o                o'
 *           / \              / \
 *          a   b     =>     a   b'        (a, c: shared; b': copy with d' in the place of d)
 *             / \              / \
 *            c   d            c   d'
 */
#include "json/patch.h"

#include <math.h>

#include "base/contract.h"

enum {
    PATH_SHOWN_MAX = 160, /* bytes of a path in an error message */
    NAME_SHOWN_MAX = 64,
};

static const char *const kind_names[] = {
    [JSON_PATCH_ADD] = "add",       [JSON_PATCH_SET] = "set",   [JSON_PATCH_REPLACE] = "replace",
    [JSON_PATCH_REMOVE] = "remove", [JSON_PATCH_INCR] = "incr", [JSON_PATCH_MOVE] = "move",
};

static int shown(struct str s, int max)
{
    return s.n < (size_t)max ? (int)s.n : max;
}

/* ---- reading a patch ---- */

static enum err parse_kind(const struct json *op, size_t no, enum json_patch_kind *ret,
                           struct errinfo *ei)
{
    struct str name = STR_NONE;
    if (!json_get_str(op, STR("op"), &name)) {
        return err_set(ei, ERR_INVALID, "operation %zu: \"op\" must be a string", no);
    }
    for (size_t i = 0; i < ARRAY_COUNT(kind_names); i++) {
        if (str_eq(name, str_of(kind_names[i]))) {
            *ret = (enum json_patch_kind)i;
            return OK;
        }
    }
    err_set(ei, ERR_INVALID, "operation %zu: unknown op \"%.*s\"", no, shown(name, NAME_SHOWN_MAX),
            name.p);
    err_hint(ei, "operations are add, set, replace, remove, incr and move");
    return ERR_INVALID;
}

static enum err parse_pointer(struct arena *a, const struct json *op, size_t no, const char *member,
                              struct json_pointer *ret, struct errinfo *ei)
{
    struct str text = STR_NONE;
    if (!json_get_str(op, str_of(member), &text)) {
        return err_set(ei, ERR_INVALID, "operation %zu: \"%s\" must be a string", no, member);
    }
    struct errinfo why = {0};
    if (json_pointer_parse(a, text, ret, &why) != OK) {
        return err_set(ei, ERR_INVALID, "operation %zu: %s", no, why.message);
    }
    if (ret->count == 0) {
        return err_set(ei, ERR_INVALID, "operation %zu: \"%s\" is empty, it must name a property",
                       no, member);
    }
    return OK;
}

static enum err parse_op(struct arena *a, const struct json *op, size_t no,
                         struct json_patch_op *ret, struct errinfo *ei)
{
    struct json_patch_op parsed = {0};
    if (op->type != JSON_OBJECT) {
        return err_set(ei, ERR_INVALID, "operation %zu: must be an object", no);
    }
    TRY(parse_kind(op, no, &parsed.kind, ei));
    TRY(parse_pointer(a, op, no, "path", &parsed.path, ei));
    if (parsed.kind == JSON_PATCH_MOVE) {
        TRY(parse_pointer(a, op, no, "from", &parsed.from, ei));
        if (parsed.from.count < parsed.path.count &&
            json_pointer_is_prefix(&parsed.from, &parsed.path)) {
            return err_set(ei, ERR_INVALID,
                           "operation %zu: move: \"path\" must not lie below \"from\"", no);
        }
    } else if (parsed.kind != JSON_PATCH_REMOVE) {
        parsed.value = json_get(op, STR("value"));
        if (!parsed.value) {
            return err_set(ei, ERR_INVALID, "operation %zu: %s: \"value\" is missing", no,
                           kind_names[parsed.kind]);
        }
        if (parsed.kind == JSON_PATCH_INCR && parsed.value->type != JSON_NUMBER) {
            return err_set(ei, ERR_INVALID, "operation %zu: incr: \"value\" must be a number", no);
        }
    }
    *ret = parsed;
    return OK;
}

enum err json_patch_parse(struct arena *a, const struct json *body, struct json_patch *ret,
                          struct errinfo *ei)
{
    struct json_patch patch = {0};
    const struct json *ops = body;
    if (body->type == JSON_OBJECT) {
        ops = json_get(body, STR("operations"));
        const struct json *condition = json_get(body, STR("condition"));
        if (condition && condition->type != JSON_NULL) {
            if (condition->type != JSON_STRING) {
                return err_set(ei, ERR_INVALID, "patch: \"condition\" must be a string");
            }
            patch.has_condition = true;
            patch.condition = condition->text;
        }
    }
    if (!ops || ops->type != JSON_ARRAY) {
        return err_set(ei, ERR_INVALID,
                       "patch: must be an array of operations or an object with "
                       "an array \"operations\"");
    }
    if (ops->count == 0 || ops->count > JSON_PATCH_OPS_MAX) {
        return err_set(ei, ERR_INVALID, "patch: %zu operations, must be 1 to %d", ops->count,
                       JSON_PATCH_OPS_MAX);
    }
    for (size_t i = 0; i < ops->count; i++) {
        TRY(parse_op(a, ops->items[i], i + 1, &patch.ops[i], ei));
    }
    patch.count = ops->count;
    *ret = patch;
    return OK;
}

static bool is_on_one_line(const struct json_pointer *p, const struct str *keys, size_t n)
{
    struct json_pointer other = {keys, n};
    return json_pointer_is_prefix(p, &other) || json_pointer_is_prefix(&other, p);
}

bool json_patch_touches(const struct json_patch *patch, const struct str *keys, size_t n,
                        size_t *ret_op_idx)
{
    for (size_t i = 0; i < patch->count; i++) {
        const struct json_patch_op *op = &patch->ops[i];
        if (is_on_one_line(&op->path, keys, n) ||
            (op->kind == JSON_PATCH_MOVE && is_on_one_line(&op->from, keys, n))) {
            *ret_op_idx = i;
            return true;
        }
    }
    return false;
}

/* ---- copies with one thing different ---- */

static const struct json *array_copy(struct arena *a, const struct json *v, size_t idx,
                                     size_t removed, const struct json *inserted)
{
    ASSERT(idx + removed <= v->count);
    size_t count = v->count - removed + (inserted != NULL);
    const struct json **items = arena_alloc(a, count * sizeof(const struct json *));
    size_t n = 0;
    for (size_t i = 0; i < idx; i++) {
        items[n++] = v->items[i];
    }
    if (inserted) {
        items[n++] = inserted;
    }
    for (size_t i = idx + removed; i < v->count; i++) {
        items[n++] = v->items[i];
    }
    ASSERT(n == count);
    return json_array(a, items, count);
}

/* The member at idx gets `value`, or is left out when that is NULL; idx == count appends `key`. */
static const struct json *object_copy(struct arena *a, const struct json *v, size_t idx,
                                      struct str key, const struct json *value)
{
    bool is_new = idx == v->count;
    ASSERT(IMPLIES(is_new, value != NULL));
    struct json_member *members = arena_alloc(a, (v->count + is_new) * sizeof(*members));
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) {
        if (i != idx) {
            members[n++] = v->members[i];
        } else if (value) {
            members[n++] = (struct json_member){v->members[i].key, value};
        }
    }
    if (is_new) {
        members[n++] = (struct json_member){key, value};
    }
    return json_object(a, members, n);
}

/* ---- applying ---- */

/* One walk to a target. A move is two of them: remove, then add. */
struct edit {
    struct arena *arena;
    enum json_patch_kind action; /* never JSON_PATCH_MOVE */
    enum json_patch_kind kind;   /* as the client named it, for messages */
    size_t no;
    const struct json_pointer *target;
    const struct json *value;
    struct errinfo *ei;
};

static enum err fail(const struct edit *e, size_t level, const char *why)
{
    struct buf path;
    buf_init(&path, (size_t)JSON_PATH_SIZE_MAX * 2); /* escapes may be written longer */
    json_pointer_write(&path, e->target, level);
    struct str s = buf_str(&path);
    enum err code = err_set(e->ei, ERR_INVALID, "operation %zu: %s: \"%.*s\" %s", e->no,
                            kind_names[e->kind], shown(s, PATH_SHOWN_MAX), s.p ? s.p : "", why);
    buf_done(&path);
    return code;
}

static const char *no_container_text(const struct json *v)
{
    switch (v->type) {
    case JSON_NULL:
        return "is null, not an object or array";
    case JSON_BOOL:
        return "is a boolean, not an object or array";
    case JSON_NUMBER:
        return "is a number, not an object or array";
    case JSON_STRING:
        return "is a string, not an object or array";
    case JSON_UNDEFINED:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    UNREACHABLE();
}

/* Containers inside one another, at most about `max` + 1 of which are looked at. */
static int depth_of(const struct json *v, int max)
{
    int deepest = 0;
    if (v->type != JSON_ARRAY && v->type != JSON_OBJECT) {
        return 0;
    }
    if (max <= 0) {
        return 1;
    }
    for (size_t i = 0; i < v->count; i++) {
        const struct json *child = v->type == JSON_ARRAY ? v->items[i] : v->members[i].value;
        int depth = depth_of(child, max - 1);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* The document must still be one that json_parse() accepts. */
static enum err check_depth(const struct edit *e)
{
    int above = (int)e->target->count;
    int left = JSON_DEPTH_MAX - above;
    if (depth_of(e->value, left) > left) {
        return err_set(e->ei, ERR_LIMIT,
                       "operation %zu: %s: the document would be nested deeper than %d", e->no,
                       kind_names[e->kind], JSON_DEPTH_MAX);
    }
    return OK;
}

static enum err incremented(const struct edit *e, const struct json *old, const struct json **ret)
{
    if (old->type != JSON_NUMBER) {
        return fail(e, e->target->count, "is not a number");
    }
    int64_t x = 0;
    int64_t y = 0;
    int64_t sum = 0;
    if (json_is_integer(old, &x) && json_is_integer(e->value, &y) &&
        !__builtin_add_overflow(x, y, &sum)) {
        *ret = json_integer(e->arena, sum);
        return OK;
    }
    double d = old->number + e->value->number;
    if (!isfinite(d)) {
        return fail(e, e->target->count, "would leave the range of a double");
    }
    *ret = json_number(e->arena, d);
    return OK;
}

/* What stands at the target afterwards: NULL = nothing. `old` is NULL when nothing is there. */
static enum err new_value(const struct edit *e, const struct json *old, const struct json **ret)
{
    switch (e->action) {
    case JSON_PATCH_ADD:
    case JSON_PATCH_SET:
        *ret = e->value;
        return OK;
    case JSON_PATCH_REPLACE:
        if (!old) {
            return fail(e, e->target->count, "does not exist");
        }
        *ret = e->value;
        return OK;
    case JSON_PATCH_REMOVE:
        if (!old) {
            return fail(e, e->target->count, "does not exist");
        }
        *ret = NULL;
        return OK;
    case JSON_PATCH_INCR:
        if (!old) {
            *ret = e->value;
            return OK;
        }
        return incremented(e, old, ret);
    case JSON_PATCH_MOVE:
        break;
    }
    UNREACHABLE();
}

/* An element's place; count = after the last, for `-` too. */
static enum err index_of(const struct edit *e, size_t level, const struct json *array,
                         size_t *ret_idx)
{
    struct str token = e->target->tokens[level];
    if (str_eq(token, STR("-"))) {
        *ret_idx = array->count;
        return OK;
    }
    if (!json_pointer_index(token, ret_idx)) {
        return fail(e, level + 1, "is no index of an array: digits without a leading zero, or -");
    }
    if (*ret_idx > array->count) {
        return fail(e, level + 1, "is beyond the end of the array");
    }
    return OK;
}

static enum err edit_element(const struct edit *e, const struct json *array, size_t idx,
                             const struct json **ret)
{
    bool is_inside = idx < array->count;
    const struct json *value = NULL;
    if (e->action == JSON_PATCH_INCR && !is_inside) {
        return fail(e, e->target->count, "does not exist");
    }
    TRY(new_value(e, is_inside ? array->items[idx] : NULL, &value));
    size_t removed = is_inside && e->action != JSON_PATCH_ADD;
    *ret = array_copy(e->arena, array, idx, removed, value);
    return OK;
}

static enum err edit_at(const struct edit *e, const struct json *v, size_t level,
                        const struct json **ret);

static enum err edit_array(const struct edit *e, const struct json *v, size_t level,
                           const struct json **ret)
{
    size_t idx = 0;
    TRY(index_of(e, level, v, &idx));
    if (level + 1 == e->target->count) {
        return edit_element(e, v, idx, ret);
    }
    if (idx == v->count) {
        return fail(e, level + 1, "does not exist");
    }
    const struct json *child = NULL;
    TRY(edit_at(e, v->items[idx], level + 1, &child));
    *ret = array_copy(e->arena, v, idx, 1, child);
    return OK;
}

static enum err edit_object(const struct edit *e, const struct json *v, size_t level,
                            const struct json **ret)
{
    struct str key = e->target->tokens[level];
    size_t idx = 0;
    while (idx < v->count && !str_eq(v->members[idx].key, key)) {
        idx++;
    }
    bool is_there = idx < v->count;
    const struct json *child = NULL;
    if (level + 1 == e->target->count) {
        TRY(new_value(e, is_there ? v->members[idx].value : NULL, &child));
    } else if (is_there) {
        TRY(edit_at(e, v->members[idx].value, level + 1, &child));
    } else {
        return fail(e, level + 1, "does not exist");
    }
    *ret = object_copy(e->arena, v, idx, key, child);
    return OK;
}

static enum err edit_at(const struct edit *e, const struct json *v, size_t level,
                        const struct json **ret)
{
    ASSERT(level < e->target->count);
    if (v->type == JSON_OBJECT) {
        return edit_object(e, v, level, ret);
    }
    if (v->type == JSON_ARRAY) {
        return edit_array(e, v, level, ret);
    }
    return fail(e, level, no_container_text(v));
}

static enum err apply_move(struct edit e, const struct json_patch_op *op, const struct json *doc,
                           const struct json **ret)
{
    const struct json *without = doc;
    struct edit removal = e;
    removal.action = JSON_PATCH_REMOVE;
    removal.target = &op->from;
    TRY(edit_at(&removal, doc, 0, &without));
    if (op->from.count == op->path.count && json_pointer_is_prefix(&op->from, &op->path)) {
        *ret = doc; /* onto itself: the order of members stays, too */
        return OK;
    }
    e.value = json_pointer_eval(doc, &op->from);
    ASSERT(e.value != NULL);
    e.action = JSON_PATCH_ADD;
    TRY(check_depth(&e));
    return edit_at(&e, without, 0, ret);
}

static enum err apply_op(struct arena *a, const struct json *doc, const struct json_patch_op *op,
                         size_t no, const struct json **ret, struct errinfo *ei)
{
    struct edit e = {.arena = a,
                     .action = op->kind,
                     .kind = op->kind,
                     .no = no,
                     .target = &op->path,
                     .value = op->value,
                     .ei = ei};
    ASSERT(op->path.count > 0);
    if (op->kind == JSON_PATCH_MOVE) {
        return apply_move(e, op, doc, ret);
    }
    if (e.value) {
        TRY(check_depth(&e));
    }
    return edit_at(&e, doc, 0, ret);
}

enum err json_patch_apply(struct arena *a, const struct json *doc, const struct json_patch *patch,
                          const struct json **ret, struct errinfo *ei)
{
    const struct json *v = doc;
    ASSERT(patch->count <= JSON_PATCH_OPS_MAX);
    for (size_t i = 0; i < patch->count; i++) {
        TRY(apply_op(a, v, &patch->ops[i], i + 1, &v, ei));
    }
    *ret = v;
    return OK;
}
