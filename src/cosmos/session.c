#include "cosmos/session.h"

#include <string.h>

enum { SESSION_HEADER_SIZE_MAX = 64 << 10 };

static bool parse_vector(struct str vector, struct session_need *ret)
{
    struct str version = vector;
    struct str rest = STR("");
    if (!str_split(vector, '#', &version, &rest)) {
        rest = version; /* a bare lsn, from very old clients */
        version = STR("-1");
    }
    struct str global = rest;
    struct str regions = STR("");
    bool has_regions = str_split(rest, '#', &global, &regions);
    uint64_t at = 0;
    ret->has_version = !str_eq(version, STR("-1"));
    if (ret->has_version && !str_to_u64(version, &ret->version)) {
        return false;
    }
    if (!str_to_u64(global, &at)) {
        return false;
    }
    while (has_regions) { /* their lsns are never above the global one; only the form is checked */
        struct str item = regions;
        struct str tail = STR("");
        has_regions = str_split(regions, '#', &item, &tail);
        regions = tail;
        struct str id = STR("");
        struct str local = STR("");
        uint64_t number = 0;
        if (!str_split(item, '=', &id, &local) || !str_to_u64(id, &number) ||
            !str_to_u64(local, &number)) {
            return false;
        }
    }
    ret->lsn = at;
    ret->is_given = true;
    return true;
}

enum err session_parse(struct str header, size_t range, struct session_need *ret,
                       struct errinfo *ei)
{
    memset(ret, 0, sizeof(*ret));
    if (header.n > SESSION_HEADER_SIZE_MAX) {
        return err_set(ei, ERR_INVALID, "the session token is longer than %d bytes",
                       SESSION_HEADER_SIZE_MAX);
    }
    struct str rest = str_trim(header);
    while (rest.n > 0) {
        struct str item = rest;
        struct str tail = STR("");
        (void)str_split(rest, ',', &item, &tail);
        rest = tail;
        struct str id = STR("");
        struct str vector = STR("");
        uint64_t number = 0;
        struct session_need one = {0};
        if (!str_split(str_trim(item), ':', &id, &vector) || !str_to_u64(id, &number) ||
            !parse_vector(vector, &one)) {
            return err_set(ei, ERR_INVALID, "The session token provided '" STR_FMT "' is invalid",
                           STR_ARG(str_slice(item, 0, 100)));
        }
        if (number == range) {
            *ret = one;
        }
    }
    return OK;
}

void session_write(size_t range, bool is_single_region, uint64_t version, lsn at, struct buf *out)
{
    buf_add_u64_text(out, range);
    buf_add_char(out, ':');
    if (is_single_region) {
        buf_add_cstr(out, "-1");
    } else {
        buf_add_u64_text(out, version);
    }
    buf_add_char(out, '#');
    buf_add_u64_text(out, at);
}
