/* Paths of the management interface. See target.h. */
#include "manage/target.h"

#include "base/buf.h"
#include "base/codec.h"
#include "base/contract.h"

enum { SEGMENTS_MAX = 10 };

struct path {
    size_t count;
    struct str seg[SEGMENTS_MAX];
};

static bool starts_nocase(struct str s, struct str prefix)
{
    return str_eq_nocase(str_slice(s, 0, prefix.n), prefix);
}

bool manage_target_is_ours(struct str target)
{
    return starts_nocase(target, STR("/subscriptions/")) ||
           starts_nocase(target, STR("/providers/Microsoft.DocumentDB/"));
}

static enum err split(struct arena *a, struct str path, struct path *ret, struct errinfo *ei)
{
    struct buf b;
    buf_init(&b, MANAGE_NAME_SIZE_MAX);
    enum err err = OK;
    for (struct str rest = str_slice(path, 1, path.n); rest.n > 0 && err == OK;) {
        struct str head = STR_NONE;
        struct str tail = STR_NONE;
        (void)str_split(rest, '/', &head, &tail);
        rest = tail;
        buf_clear(&b);
        if (head.n == 0) {
            continue; /* doubled or trailing slash */
        }
        if (ret->count == SEGMENTS_MAX) {
            err = err_set(ei, ERR_NOT_FOUND, "no such path");
        } else if (!codec_percent_decode(&b, head) || !buf_ok(&b)) {
            err = err_set(ei, ERR_INVALID, "a part of the path is badly escaped or longer than %d",
                          MANAGE_NAME_SIZE_MAX);
        } else {
            ret->seg[ret->count++] = arena_str(a, buf_str(&b));
        }
    }
    buf_done(&b);
    return err;
}

static bool has_api_version(struct str query)
{
    while (query.n > 0) {
        struct str item = STR_NONE;
        struct str rest = STR_NONE;
        struct str name = STR_NONE;
        struct str value = STR_NONE;
        (void)str_split(query, '&', &item, &rest);
        if (str_split(item, '=', &name, &value) && str_eq_nocase(name, STR("api-version")) &&
            value.n > 0) {
            return true;
        }
        query = rest;
    }
    return false;
}

static bool is_word(const struct path *p, size_t i, struct str word)
{
    return i < p->count && str_eq_nocase(p->seg[i], word);
}

static bool take(const struct path *p, size_t i, struct manage_target *t)
{
    size_t left = p->count - i; /* behind ".../providers/Microsoft.DocumentDB" */
    if (is_word(p, i, STR("databaseAccounts"))) {
        if (left == 1) {
            t->what = MANAGE_LIST;
            return true;
        }
        t->account = p->seg[i + 1];
        t->what = left == 2 ? MANAGE_ACCOUNT : MANAGE_ACTION;
        if (left == 4 && is_word(p, i + 2, STR("operationResults"))) {
            t->what = MANAGE_RESULT;
            t->operation = p->seg[i + 3];
        } else if (left > 2) {
            /* Of "sqlDatabases/...", too: said to be unknown by its first word. */
            t->action = p->seg[i + 2];
        }
        return t->group.n > 0;
    }
    if (left == 4 && is_word(p, i, STR("locations")) &&
        is_word(p, i + 2, STR("operationsStatus"))) {
        t->what = MANAGE_STATUS;
        t->operation = p->seg[i + 3];
        return t->group.n == 0;
    }
    return false;
}

enum err manage_target_parse(struct arena *a, struct str target, struct manage_target *ret,
                             struct errinfo *ei)
{
    struct path p = {0};
    struct manage_target t = {0};
    struct str path = STR_NONE;
    struct str query = STR_NONE;
    if (target.n > MANAGE_TARGET_SIZE_MAX) {
        return err_set(ei, ERR_INVALID, "the path is longer than %d bytes", MANAGE_TARGET_SIZE_MAX);
    }
    (void)str_split(target, '?', &path, &query);
    TRY(split(a, path, &p, ei));
    if (!has_api_version(query)) {
        return err_set(ei, ERR_INVALID, "the query parameter api-version is missing");
    }
    bool is_known = false;
    if (p.count == 4 && is_word(&p, 0, STR("providers")) &&
        is_word(&p, 1, STR("Microsoft.DocumentDB")) &&
        is_word(&p, 2, STR("databaseAccountNames"))) {
        t.what = MANAGE_NAME;
        t.account = p.seg[3];
        is_known = true;
    } else if (p.count > 4 && is_word(&p, 0, STR("subscriptions"))) {
        size_t i = 2;
        t.subscription = p.seg[1];
        if (is_word(&p, 2, STR("resourceGroups"))) {
            t.group = p.seg[3];
            i = 4;
        }
        is_known = is_word(&p, i, STR("providers")) &&
                   is_word(&p, i + 1, STR("Microsoft.DocumentDB")) && i + 2 < p.count &&
                   take(&p, i + 2, &t);
    }
    if (!is_known) {
        return err_set(ei, ERR_NOT_FOUND, "no such path in the management interface");
    }
    *ret = t;
    return OK;
}
