/* `holdfast events`: what the front and the servers tell in their event feeds, as one story. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account/record.h"
#include "base/contract.h"
#include "cli/cli.h"
#include "continuity/client.h"

enum { E_DIR, E_ENDPOINT, E_KEY, E_CA, E_JSON, E_REGION, E_FOLLOW, E_INTERVAL, E_ROW_COUNT };

static const struct conf_row rows[E_ROW_COUNT] = {
    [E_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [E_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [E_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [E_CA] = {"ca", CONF_STRING, "", 0, 1000, 0,
              "PEM file of the authority trusted for https, instead of what --dir says"},
    [E_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "print JSON, one event a line"},
    [E_REGION] = {"region", CONF_STRING, "", 0, 63, 0,
                  "only what the server of this region tells; front: only the front"},
    [E_FOLLOW] = {"follow", CONF_BOOL, "no", 0, 0, 0, "go on until interrupted"},
    [E_INTERVAL] = {"interval", CONF_DURATION, "1s", 100, 3600000, 0,
                    "between two looks with --follow"},
};

static const char front_name[] = "front";

/* A process that tells events: its numbers begin anew with each of its starts. */
struct source {
    char name[RECORD_NAME_MAX];
    char endpoint[256];
    char instance[64];
    uint64_t last;
    bool is_away; /* it was said */
};

struct told {
    const struct json *event;
    const char *by;
    int64_t wall_ms;
    size_t order; /* as they were told, for those of one millisecond */
};

struct story {
    const struct conf *conf;
    struct client_account acc;
    struct source sources[REGIONS_MAX + 1];
    size_t source_count;
    struct arena arena; /* of one look */
    struct told *told;
    size_t told_count;
};

static void add_source(struct story *s, struct str name, struct str endpoint)
{
    struct str only = conf_str(s->conf, E_REGION);
    bool is_wanted = only.n == 0 || str_eq_nocase(only, name);
    for (size_t i = 0; i < s->source_count; i++) {
        is_wanted = is_wanted && !str_eq(name, str_of(s->sources[i].name));
    }
    if (is_wanted && s->source_count < ARRAY_COUNT(s->sources)) {
        struct source *to = &s->sources[s->source_count++];
        *to = (struct source){.last = 0};
        (void)snprintf(to->name, sizeof(to->name), STR_FMT, STR_ARG(name));
        (void)snprintf(to->endpoint, sizeof(to->endpoint), STR_FMT, STR_ARG(endpoint));
    }
}

/* The front, and the regions as they are in the account now. */
static enum err find_sources(struct story *s, struct errinfo *ei)
{
    const struct json *account = NULL;
    TRY(client_get(&s->acc, &s->arena, s->acc.endpoint, "/_holdfast/account", &account, ei));
    add_source(s, str_of(front_name), str_of(s->acc.endpoint));
    const struct json *regions = json_get(account, STR("regions"));
    for (size_t i = 0; regions && i < regions->count; i++) {
        add_source(s, json_text(regions->items[i], "name"),
                   json_text(regions->items[i], "endpoint"));
    }
    if (s->source_count == 0) {
        err_set(ei, ERR_NOT_FOUND, "the account has no region '%s'", conf_cstr(s->conf, E_REGION));
        for (size_t i = 0; regions && i < regions->count; i++) {
            err_hint_name(ei, "its regions:", json_text(regions->items[i], "name"));
        }
        err_hint_name(ei, "its regions:", STR("and the front, called front"));
        return ERR_NOT_FOUND;
    }
    return OK;
}

static enum err ask(struct story *s, struct source *from, const struct json **ret,
                    struct errinfo *ei)
{
    char query[64];
    int status = 0;
    (void)snprintf(query, sizeof(query), "since=%" PRIu64, from->last);
    struct client_request req = {
        .method = "GET", .base = from->endpoint, .path = "/_holdfast/events", .query = query};
    TRY(client_call(&s->acc, &req, &s->arena, &status, NULL, ret, ei));
    return client_answer_err(status, *ret, ei);
}

static void take(struct story *s, struct source *from, const struct json *doc)
{
    struct str instance = json_text(doc, "instance");
    (void)snprintf(from->instance, sizeof(from->instance), STR_FMT, STR_ARG(instance));
    (void)json_get_u64(doc, STR("last"), &from->last);
    const struct json *events = json_get(doc, STR("events"));
    size_t n = events ? events->count : 0;
    struct told *all = ARENA_NEW_ARRAY(&s->arena, struct told, s->told_count + n + 1);
    if (s->told_count > 0) {
        memcpy(all, s->told, s->told_count * sizeof(all[0]));
    }
    s->told = all;
    for (size_t i = 0; i < n; i++) {
        uint64_t wall_ms = 0;
        (void)json_get_u64(events->items[i], STR("wallMs"), &wall_ms);
        s->told[s->told_count] = (struct told){.event = events->items[i],
                                               .by = from->name,
                                               .wall_ms = (int64_t)wall_ms,
                                               .order = s->told_count};
        s->told_count++;
    }
}

static enum err look_at(struct story *s, struct source *from, struct errinfo *ei)
{
    const struct json *doc = NULL;
    TRY(ask(s, from, &doc, ei));
    bool is_other =
        from->instance[0] && !str_eq(json_text(doc, "instance"), str_of(from->instance));
    if (is_other && from->last > 0) { /* it was started again since */
        from->last = 0;
        TRY(ask(s, from, &doc, ei));
    }
    bool is_missed = false;
    if (json_get_bool(doc, STR("missed"), &is_missed) && is_missed) {
        fprintf(stderr, "%s tells no more of its oldest events: it keeps the last ones only\n",
                from->name);
    }
    take(s, from, doc);
    return OK;
}

static int compare(const void *a, const void *b)
{
    const struct told *x = a;
    const struct told *y = b;
    if (x->wall_ms != y->wall_ms) {
        return x->wall_ms < y->wall_ms ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

static void print(const struct story *s, const struct told *t)
{
    if (conf_bool(s->conf, E_JSON)) {
        struct buf text;
        buf_init(&text, 1 << 20);
        buf_add_cstr(&text, "{\"by\":");
        json_write_string(&text, str_of(t->by));
        buf_add_cstr(&text, ",\"event\":");
        json_write(&text, t->event);
        printf(STR_FMT "}\n", STR_ARG(buf_str(&text)));
        buf_done(&text);
        return;
    }
    uint64_t rule = 0;
    char number[32] = "-";
    if (json_get_u64(t->event, STR("rule"), &rule) && rule > 0) {
        (void)snprintf(number, sizeof(number), "%" PRIu64, rule);
    }
    printf("%-24.*s  %-12s %4s  %-18.*s " STR_FMT "\n", STR_ARG(json_text(t->event, "time")), t->by,
           number, STR_ARG(json_text(t->event, "event")), STR_ARG(json_text(t->event, "text")));
}

/* One look at everybody. A server that is away tells nothing: the others do. */
static enum err look(struct story *s, struct errinfo *ei)
{
    s->told = NULL;
    s->told_count = 0;
    TRY(find_sources(s, ei));
    for (size_t i = 0; i < s->source_count; i++) {
        struct source *from = &s->sources[i];
        struct errinfo why = {0};
        bool is_away = look_at(s, from, &why) != OK;
        if (is_away && !from->is_away) {
            fprintf(stderr, "%s tells nothing: %s\n", from->name, why.message);
        }
        from->is_away = is_away;
    }
    if (s->told_count > 0) {
        qsort(s->told, s->told_count, sizeof(s->told[0]), compare);
    }
    for (size_t i = 0; i < s->told_count; i++) {
        print(s, &s->told[i]);
    }
    (void)fflush(stdout);
    return OK;
}

static enum err run(const struct conf *c, struct errinfo *ei)
{
    struct story s = {.conf = c};
    TRY(client_account_find(conf_cstr(c, E_DIR), conf_cstr(c, E_ENDPOINT), conf_cstr(c, E_KEY),
                            conf_cstr(c, E_CA), &s.acc, ei));
    enum err err = OK;
    do {
        struct errinfo why = {0};
        arena_init(&s.arena);
        err = look(&s, &why);
        arena_done(&s.arena);
        if (err != OK && conf_bool(c, E_FOLLOW) && s.source_count > 0) {
            fprintf(stderr, "holdfast: %s\n", why.message); /* it may come back */
        } else if (err != OK) {
            *ei = why;
            break;
        }
        if (conf_bool(c, E_FOLLOW)) {
            (void)poll(NULL, 0, (int)conf_u64(c, E_INTERVAL));
        }
    } while (conf_bool(c, E_FOLLOW));
    explicit_bzero(&s.acc, sizeof(s.acc));
    return err;
}

int cmd_events(int argc, char **argv)
{
    struct conf *c = conf_new(rows, E_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, E_ROW_COUNT, -1, cli_command("events"), &argc, argv, &status)) {
        struct errinfo ei = {0};
        enum err err = argc > 1 ? err_set(&ei, ERR_USAGE, "events takes no argument '%s'", argv[1])
                                : run(c, &ei);
        status = err == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}
