/* Resource ids: /subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME[/TYPE/NAME...], and
 * what they refer to. Ids compare without case. */
#include "continuity/posture/import/import_int.h"

#include "base/contract.h"

struct import_res import_ambiguous;

struct str import_lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] - 'A' + 'a' : s.p[i]);
    }
    return str_make(p, s.n);
}

/* Next segment of a path without its leading slash. */
static bool next_segment(struct str *rest, struct str *ret)
{
    if (rest->n == 0) {
        return false;
    }
    struct str tail = STR_NONE;
    (void)str_split(*rest, '/', ret, &tail);
    *rest = tail;
    return true;
}

/* Segments of ids: what Azure allows in names, and the placeholders of unresolved ones. No text that
 * could be a connection string or a signed address passes. */
static bool is_segment(struct str s)
{
    static const char others[] = "-_.()#@ {}";
    if (s.n == 0 || s.n > 260) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && (c == 0 || !strchr(others, c))) {
            return false;
        }
    }
    return true;
}

/* Start of what follows the last "/providers/", -1 when there is none. */
static ptrdiff_t after_providers(struct str lower)
{
    static const struct str mark = {"/providers/", 11};
    ptrdiff_t found = -1;
    for (size_t at = 0; at < lower.n;) {
        ptrdiff_t next = str_find(str_slice(lower, at, lower.n), mark);
        if (next < 0) {
            break;
        }
        found = (ptrdiff_t)at + next + (ptrdiff_t)mark.n;
        at = (size_t)found;
    }
    return found;
}

static struct str group_of(struct str rid, struct str lower)
{
    static const struct str mark = {"/resourcegroups/", 16};
    ptrdiff_t at = str_find(lower, mark);
    struct str group = STR_NONE;
    if (at >= 0) {
        struct str rest = str_slice(rid, (size_t)at + mark.n, rid.n);
        (void)next_segment(&rest, &group);
    }
    return group;
}

bool import_parse_rid(struct import *im, struct str rid, struct str *ret_kind, struct str *ret_name,
                      struct str *ret_group)
{
    struct str lower = import_lower(&im->arena, rid);
    ptrdiff_t at = after_providers(lower);
    if (rid.n == 0 || rid.p[0] != '/' || rid.n > ESTATE_STRING_SIZE_MAX || at < 0) {
        return false;
    }
    struct str rest = str_slice(rid, (size_t)at, rid.n);
    struct str segment;
    struct str name;
    struct buf kind;
    struct buf names;
    if (!next_segment(&rest, &segment) || !is_segment(segment)) {
        return false;
    }
    buf_init(&kind, ESTATE_STRING_SIZE_MAX);
    buf_init(&names, ESTATE_STRING_SIZE_MAX);
    buf_add_lower(&kind, segment);
    bool is_good = true;
    while (is_good && next_segment(&rest, &segment)) {
        is_good = next_segment(&rest, &name) && is_segment(segment) && is_segment(name);
        buf_add_char(&kind, '/');
        buf_add_lower(&kind, segment);
        buf_add_cstr(&names, names.n > 0 ? "/" : "");
        buf_add_str(&names, is_good ? name : STR_NONE);
    }
    is_good = is_good && names.n > 0;
    if (is_good) {
        *ret_kind = arena_str(&im->arena, buf_str(&kind));
        *ret_name = arena_str(&im->arena, buf_str(&names));
        *ret_group = group_of(rid, lower);
    }
    buf_done(&kind);
    buf_done(&names);
    return is_good;
}

static const struct import_res *clear(const struct import_res *res)
{
    return res == &import_ambiguous ? NULL : res;
}

const struct import_res *import_find_name(struct import *im, struct str kind, struct str name)
{
    struct str lower = import_lower(&im->arena, name);
    struct str key = arena_printf(&im->arena, STR_FMT "|" STR_FMT, STR_ARG(kind), STR_ARG(lower));
    return clear(map_get(&im->by_name, key));
}

/* Takes the last segment off; false when there is none. */
static bool cut(struct str *s)
{
    while (s->n > 0 && s->p[s->n - 1] != '/') {
        s->n--;
    }
    if (s->n == 0) {
        return false;
    }
    s->n--;
    return true;
}

/* The resource itself, or the one that it is a part of: a container's id leads to its account. */
const struct import_res *import_find_rid(struct import *im, struct str rid)
{
    struct str kind;
    struct str name;
    struct str group;
    struct str at = import_lower(&im->arena, rid);
    if (!import_parse_rid(im, rid, &kind, &name, &group)) {
        return NULL;
    }
    for (;;) {
        const struct import_res *res = map_get(&im->by_rid, at);
        if (!res && im->form == FORM_TEMPLATE) {
            res = import_find_name(im, kind, name);
        }
        if (res) {
            return clear(res);
        }
        if (!cut(&name) || !cut(&kind) || !cut(&at) || !cut(&at)) {
            return NULL;
        }
    }
}

struct str import_outside(struct import *im, struct str rid)
{
    struct str kind;
    struct str name;
    struct str group;
    if (import_parse_rid(im, rid, &kind, &name, &group)) {
        struct str top_kind = kind;
        struct str top_name = name;
        struct str rest;
        (void)str_split(name, '/', &top_name, &rest); /* parts belong to the resource at the top */
        struct str space;
        struct str type = STR_NONE;
        (void)str_split(kind, '/', &space, &type);
        (void)str_split(type, '/', &top_kind, &rest);
        /* As it stands in the id, not in lower case. */
        ptrdiff_t at = after_providers(import_lower(&im->arena, rid));
        struct str spelled = str_slice(rid, (size_t)at + space.n + 1, top_kind.n);
        return arena_printf(&im->arena, "outside:" STR_FMT "/" STR_FMT, STR_ARG(spelled),
                            STR_ARG(top_name));
    }
    struct str lower = import_lower(&im->arena, rid);
    struct str g = group_of(rid, lower);
    if (str_starts(lower, STR("/subscriptions/")) && is_segment(g)) {
        return arena_printf(&im->arena, "outside:resourceGroups/" STR_FMT, STR_ARG(g));
    }
    struct str rest = str_slice(lower, 15, lower.n);
    if (str_starts(lower, STR("/subscriptions/")) && is_segment(rest)) {
        return STR("outside:subscription");
    }
    return STR_NONE;
}
