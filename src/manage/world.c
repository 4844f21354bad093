/* The accounts there are. See world.h. */
#include "manage/world.h"

#include <string.h>

#include "base/contract.h"

static struct manage_account *account_of(struct arena *a, struct manage_world *w, struct str name)
{
    struct manage_account *found = manage_world_find(w, name);
    if (found != NULL || w->count == MANAGE_ACCOUNTS_MAX) {
        return found;
    }
    size_t at = w->count;
    while (at > 0 && str_cmp(w->accounts[at - 1].name, name) > 0) {
        w->accounts[at] = w->accounts[at - 1];
        at--;
    }
    w->count++;
    w->accounts[at] = (struct manage_account){.name = arena_str(a, name)};
    return &w->accounts[at];
}

/* An account that we host is reached as ours is: same scheme, and a name below the same suffix when ours
 * has a name and no address. */
static struct str hosted_endpoint(struct arena *a, const struct manage_account *acc, struct str own)
{
    struct str scheme = STR_NONE;
    struct str host = STR_NONE;
    struct str rest = STR_NONE;
    struct str label = STR_NONE;
    struct str suffix = STR_NONE;
    unsigned port = acc->hosted->port;
    bool has_name = str_split(own, '/', &scheme, &rest) && str_split(rest, '/', &label, &rest) &&
                    str_split(rest, ':', &host, &rest) && host.n > 0 &&
                    (host.p[0] < '0' || host.p[0] > '9') && str_split(host, '.', &label, &suffix);
    if (!has_name) {
        return arena_printf(a, "http://127.0.0.1:%u/", port);
    }
    return arena_printf(a, STR_FMT "//" STR_FMT "." STR_FMT ":%u/", STR_ARG(scheme),
                        STR_ARG(acc->name), STR_ARG(suffix), port);
}

enum err manage_world_make(struct arena *a, const struct coord_kv *kvs, size_t n,
                           const char *own_endpoint, struct manage_world *ret, struct errinfo *ei)
{
    struct str records = STR(COORD_PREFIX);
    struct str hosted = STR(HOSTED_PREFIX);
    ret->count = 0;
    for (size_t i = 0; i < n; i++) {
        struct str name = STR_NONE;
        struct str rest = STR_NONE;
        struct manage_account *acc = NULL;
        if (kvs[i].is_deleted) {
            continue;
        }
        if (str_starts(kvs[i].key, hosted)) {
            name = str_slice(kvs[i].key, hosted.n, kvs[i].key.n);
            acc = account_of(a, ret, name);
            if (acc != NULL) {
                acc->hosted = ARENA_NEW(a, struct hosted);
                acc->hosted_rev = kvs[i].rev;
                TRY(hosted_decode(kvs[i].value, acc->hosted, ei));
            }
        } else if (str_starts(kvs[i].key, records) &&
                   str_split(str_slice(kvs[i].key, records.n, kvs[i].key.n), '/', &name, &rest) &&
                   str_eq(rest, STR("record"))) {
            acc = account_of(a, ret, name);
            if (acc != NULL) {
                acc->rec = ARENA_NEW(a, struct account_record);
                acc->rev = kvs[i].rev;
                TRY(record_decode(a, arena_str(a, kvs[i].value), acc->rec, ei));
                acc->beats = ARENA_NEW(a, struct account_beats);
                beats_read(acc->beats, acc->name, kvs, n);
            }
        }
    }
    for (size_t i = 0; i < ret->count; i++) {
        struct manage_account *acc = &ret->accounts[i];
        if (acc->hosted == NULL) {
            acc->endpoint = arena_str(a, str_of(own_endpoint));
        } else if (acc->hosted->port != 0) {
            acc->endpoint = hosted_endpoint(a, acc, str_of(own_endpoint));
        }
    }
    return OK;
}

struct manage_account *manage_world_find(struct manage_world *w, struct str name)
{
    for (size_t i = 0; i < w->count; i++) {
        if (str_eq_nocase(w->accounts[i].name, name)) {
            return &w->accounts[i];
        }
    }
    return NULL;
}
