/* Finding a value in a resource by its path, and what it means that there is none. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"
#include "continuity/posture/import/apply_int.h"

/* Terraform marks values by a parallel tree: true where a value, or something in it, is secret. */
static bool has_mark(const struct json *mark)
{
    if (!mark) {
        return false;
    }
    bool is_marked = mark->type == JSON_BOOL && mark->boolean;
    for (size_t i = 0; i < mark->count && !is_marked; i++) {
        is_marked = has_mark(mark->type == JSON_ARRAY    ? mark->items[i]
                             : mark->type == JSON_OBJECT ? mark->members[i].value
                                                         : NULL);
    }
    return is_marked;
}

/* The raw state has a list of paths instead: [[{"type":"get_attr","value":"primary_key"}]]. What
 * stands below a marked attribute counts as marked, and the other way round. */
static bool is_listed(const struct json *paths, struct str name)
{
    for (size_t i = 0; i < paths->count; i++) {
        const struct json *path = paths->items[i];
        struct str value;
        if (path->type == JSON_ARRAY && path->count > 0 &&
            json_get_str(path->items[0], STR("value"), &value) && str_eq(value, name)) {
            return true;
        }
    }
    return false;
}

static const struct json *mark_below(const struct json *mark, struct str name)
{
    static const struct json yes = {.type = JSON_BOOL, .boolean = true};
    if (!mark) {
        return NULL;
    }
    if (mark->type == JSON_ARRAY) {
        bool is_paths = mark->count > 0 && mark->items[0]->type == JSON_ARRAY;
        return is_paths ? (is_listed(mark, name) ? &yes : NULL)
                        : json_get(mark->count > 0 ? mark->items[0] : NULL, name);
    }
    return mark->type == JSON_BOOL ? mark : json_get(mark, name);
}

static bool resolve(struct import *im, struct import_value *at)
{
    struct arm_value value = arm_eval(im, at->scope, at->v);
    at->arm = value;
    if (!value.is_known) {
        at->found = FOUND_UNRESOLVED;
        at->why = value.why;
        return false;
    }
    at->v = value.v;
    at->scope = value.scope;
    return true;
}

static struct import_value find_one(struct import *im, const struct import_res *res,
                                    const struct json *from, struct str path)
{
    struct import_value at = {.found = FOUND, .v = from, .scope = res->scope};
    const struct json *mark = from == res->body ? res->sensitive : NULL;
    bool more = path.n > 0;
    while (more) {
        struct str name;
        struct str tail = STR_NONE;
        more = str_split(path, '.', &name, &tail);
        path = tail;
        if (!resolve(im, &at)) {
            return at;
        }
        if (at.v->type == JSON_ARRAY) {
            if (at.v->count == 0) {
                at.found = FOUND_UNSET;
                return at;
            }
            at.v = at.v->items[0];
            if (!resolve(im, &at)) {
                return at;
            }
        }
        if (at.v->type == JSON_NULL) {
            at.found = FOUND_UNSET;
            return at;
        }
        mark = mark_below(mark, name);
        at.v = json_get(at.v, name);
        if (!at.v) {
            at.found = FOUND_ABSENT;
            return at;
        }
    }
    if (has_mark(mark)) {
        at.found = FOUND_UNRESOLVED;
        at.why = "the file marks it as sensitive";
    } else if (resolve(im, &at) && at.v->type == JSON_NULL) {
        at.found = FOUND_UNSET;
    }
    return at;
}

struct import_value import_value_at(struct import *im, const struct import_res *res,
                                    const struct json *from, const char *path)
{
    struct str rest = str_of(path);
    struct import_value first = {.found = FOUND_ABSENT};
    bool more = true;
    while (more) {
        struct str one;
        struct str tail = STR_NONE;
        more = str_split(rest, '|', &one, &tail);
        rest = tail;
        struct import_value v = find_one(im, res, from, one);
        if (v.found == FOUND || v.found == FOUND_UNRESOLVED) {
            return v;
        }
        if (v.found == FOUND_UNSET) {
            first = v;
        }
    }
    return first;
}

const char *import_why_absent(const struct import *im, enum import_found found)
{
    if (found == FOUND_ABSENT && im->form == FORM_PLAN) {
        return "known after apply, or not in the file";
    }
    return found == FOUND_ABSENT ? "not in the file" : "not set in the file";
}

/* Whether the provider's default applies where the file says nothing. */
bool import_is_default(const struct import *im, enum import_found found)
{
    return im->form == FORM_TEMPLATE ? found == FOUND_ABSENT || found == FOUND_UNSET
                                     : found == FOUND_UNSET && im->form != FORM_RESOURCES;
}
