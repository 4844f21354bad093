/* See account_partitions.h. The list is that of the first region that answers, the account's writer
 * before the others: catalogs differ for moments only. What is sound is asked of each. */
#include "cli/account_partitions.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "account/record.h"
#include "base/contract.h"
#include "json/json.h"

struct part_ref {
    uint64_t pid;
    const struct json *part;
};

struct region_parts {
    struct str name;
    const struct json *list; /* NULL = does not answer */
    struct part_ref *by_pid; /* its items, sorted; in the arena */
};

struct parts_look {
    struct arena arena;
    struct str writer;
    size_t count;
    struct region_parts regions[REGIONS_MAX];
};

static uint64_t pid_of(const struct json *part)
{
    uint64_t p = 0;
    (void)json_get_u64(part, STR("partition"), &p);
    return p;
}

static int compare(const void *a, const void *b)
{
    const struct part_ref *x = a;
    const struct part_ref *y = b;
    return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static enum err look_at(const struct client_account *acc, struct parts_look *l, struct errinfo *ei)
{
    const struct json *account = NULL;
    TRY(client_get(acc, &l->arena, acc->endpoint, "/_holdfast/account", &account, ei));
    (void)json_get_str(account, STR("writer"), &l->writer);
    const struct json *regions = json_get(account, STR("regions"));
    for (size_t i = 0; regions && i < regions->count && l->count < REGIONS_MAX; i++) {
        struct region_parts *r = &l->regions[l->count++];
        struct str endpoint = STR("");
        const struct json *doc = NULL;
        struct errinfo away = {0};
        (void)json_get_str(regions->items[i], STR("name"), &r->name);
        (void)json_get_str(regions->items[i], STR("endpoint"), &endpoint);
        if (client_get(acc, &l->arena, arena_cstr(&l->arena, endpoint), "/_holdfast/partitions",
                       &doc, &away) != OK) {
            continue;
        }
        r->list = json_get(doc, STR("partitions"));
        size_t n = r->list != NULL ? r->list->count : 0;
        r->by_pid = ARENA_NEW_ARRAY(&l->arena, struct part_ref, n + 1);
        for (size_t k = 0; k < n; k++) {
            r->by_pid[k] = (struct part_ref){pid_of(r->list->items[k]), r->list->items[k]};
        }
        qsort(r->by_pid, n, sizeof(r->by_pid[0]), compare);
    }
    return OK;
}

static const struct region_parts *lister(const struct parts_look *l)
{
    const struct region_parts *best = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const struct region_parts *r = &l->regions[i];
        if (r->list != NULL && (best == NULL || str_eq(r->name, l->writer))) {
            best = r;
        }
    }
    return best;
}

static const struct part_ref *find(const struct region_parts *r, uint64_t p)
{
    const struct part_ref key = {.pid = p};
    return bsearch(&key, r->by_pid, r->list->count, sizeof(r->by_pid[0]), compare);
}

static bool is_sound_at(const struct region_parts *r, const struct json *part)
{
    bool is_readable = false;
    bool is_whole = false;
    const struct part_ref *found = find(r, pid_of(part));
    return found != NULL && json_get_bool(found->part, STR("readable"), &is_readable) &&
           is_readable && json_get_bool(found->part, STR("whole"), &is_whole) && is_whole;
}

static void print_table(const struct parts_look *l, const struct region_parts *from)
{
    printf("%-14s %-32s %-8s %-8s %-12s %-10s %s\n", "partition", "container", "from", "to",
           "writer", "phase", "not sound at");
    for (size_t i = 0; i < from->list->count; i++) {
        const struct json *p = from->list->items[i];
        const char *sep = "";
        printf("%-14" PRIu64 " %-32.*s %-8.*s %-8.*s %-12.*s %-10.*s ", pid_of(p),
               STR_ARG(json_text(p, "container")), STR_ARG(json_text(p, "minInclusive")),
               STR_ARG(json_text(p, "maxExclusive")), STR_ARG(json_text(p, "writer")),
               STR_ARG(json_text(p, "phase")));
        for (size_t k = 0; k < l->count; k++) {
            if (l->regions[k].list != NULL && !is_sound_at(&l->regions[k], p)) {
                printf("%s" STR_FMT, sep, STR_ARG(l->regions[k].name));
                sep = ", ";
            }
        }
        printf("%s\n", sep[0] != 0 ? "" : "-");
    }
}

static void print_json(const struct parts_look *l, const struct region_parts *from)
{
    static const char *const copied[] = {"container", "minInclusive", "maxExclusive", "writer",
                                         "phase"};
    struct buf text;
    struct json_out o;
    buf_init(&text, 64 << 20);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_key(&o, "partitions");
    json_out_array(&o);
    for (size_t i = 0; i < from->list->count; i++) {
        const struct json *p = from->list->items[i];
        json_out_object(&o);
        json_out_member_u64(&o, "partition", pid_of(p));
        for (size_t k = 0; k < ARRAY_COUNT(copied); k++) {
            json_out_member_str(&o, copied[k], json_text(p, copied[k]));
        }
        json_out_key(&o, "sound");
        json_out_object(&o);
        for (size_t k = 0; k < l->count; k++) {
            if (l->regions[k].list != NULL) {
                json_out_key_str(&o, l->regions[k].name);
                json_out_bool(&o, is_sound_at(&l->regions[k], p));
            }
        }
        json_out_object_end(&o);
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

enum err account_partitions_list(const struct client_account *acc, bool prints_json,
                                 struct errinfo *ei)
{
    struct parts_look l = {0};
    arena_init(&l.arena);
    enum err err = look_at(acc, &l, ei);
    const struct region_parts *from = err == OK ? lister(&l) : NULL;
    if (err == OK && from == NULL) {
        err = err_set(ei, ERR_UNAVAILABLE, "no region says which partitions there are");
    }
    for (size_t i = 0; err == OK && i < l.count; i++) {
        if (l.regions[i].list == NULL) {
            fprintf(stderr, "region " STR_FMT " does not say what it has\n",
                    STR_ARG(l.regions[i].name));
        }
    }
    if (err == OK) {
        ASSERT(from != NULL);
        (prints_json ? print_json : print_table)(&l, from);
    }
    arena_done(&l.arena);
    return err;
}

enum err account_partitions_need(const struct client_account *acc, uint64_t p, struct errinfo *ei)
{
    struct parts_look l = {0};
    arena_init(&l.arena);
    enum err err = look_at(acc, &l, ei);
    bool is_found = lister(&l) == NULL; /* nobody says: whoever decides will */
    for (size_t i = 0; i < l.count; i++) {
        is_found = is_found || (l.regions[i].list != NULL && find(&l.regions[i], p) != NULL);
    }
    if (err == OK && !is_found) {
        err = err_set(ei, ERR_NOT_FOUND, "no region has a partition %" PRIu64, p);
        err_hint(ei, "`holdfast account partition list` says which there are");
    }
    arena_done(&l.arena);
    return err;
}
