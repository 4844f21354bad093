/* `holdfast status`: roles, lag, and what would be lost now. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "cli/cli.h"
#include "continuity/client.h"

enum { S_DIR, S_ENDPOINT, S_KEY, S_CA, S_JSON, S_WATCH, S_INTERVAL, S_ROW_COUNT };

static const struct conf_row rows[S_ROW_COUNT] = {
    [S_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [S_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [S_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [S_CA] = {"ca", CONF_STRING, "", 0, 1000, 0,
              "PEM file of the authority trusted for https, instead of what --dir says"},
    [S_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "print JSON; with --watch one object a line"},
    [S_WATCH] = {"watch", CONF_BOOL, "no", 0, 0, 0, "go on until interrupted"},
    [S_INTERVAL] = {"interval", CONF_DURATION, "1s", 100, 3600000, 0,
                    "between two looks with --watch"},
};

struct region_look {
    const struct json *in_account; /* its element of the account's list */
    const struct json *status;     /* what its server says; NULL = does not answer */
};

struct look {
    struct arena arena;
    const struct json *account;
    size_t count;
    struct region_look regions[32];
};

static enum err look_at(const struct client_account *acc, struct look *l, struct errinfo *ei)
{
    TRY(client_get(acc, &l->arena, acc->endpoint, "/_holdfast/account", &l->account, ei));
    const struct json *regions = json_get(l->account, STR("regions"));
    for (size_t i = 0; regions && i < regions->count && l->count < ARRAY_COUNT(l->regions); i++) {
        struct region_look *r = &l->regions[l->count++];
        struct errinfo away = {0};
        r->in_account = regions->items[i];
        const char *endpoint = arena_cstr(&l->arena, json_text(r->in_account, "endpoint"));
        if (client_get(acc, &l->arena, endpoint, "/_holdfast/status", &r->status, &away) != OK) {
            r->status = NULL; /* shown as not answering */
        }
    }
    return OK;
}

static void print_json(const struct look *l)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 64 << 20);
    json_out_init(&o, &text);
    struct buf part;
    buf_init(&part, 16 << 20);
    json_out_object(&o);
    json_out_key(&o, "account");
    json_write(&part, l->account);
    json_out_raw(&o, buf_str(&part));
    json_out_key(&o, "servers");
    json_out_array(&o);
    for (size_t i = 0; i < l->count; i++) {
        json_out_object(&o);
        json_out_member_str(&o, "name", json_text(l->regions[i].in_account, "name"));
        json_out_key(&o, "status");
        if (l->regions[i].status) {
            buf_clear(&part);
            json_write(&part, l->regions[i].status);
            json_out_raw(&o, buf_str(&part));
        } else {
            json_out_null(&o);
        }
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    json_out_object_end(&o);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    (void)fflush(stdout);
    buf_done(&part);
    buf_done(&text);
}

/* The writer's view of one region's lag; dashes when there is none. */
static void print_lag(const struct json *writer_status, struct str name)
{
    const struct json *regions = json_get(writer_status, STR("regions"));
    for (size_t i = 0; regions && i < regions->count; i++) {
        const struct json *r = regions->items[i];
        uint64_t ops = 0;
        uint64_t ms = 0;
        if (str_eq(json_text(r, "name"), name) && json_get_u64(r, STR("lagOperations"), &ops)) {
            (void)json_get_u64(r, STR("lagMs"), &ms);
            printf(" %10" PRIu64 " %9.3f", ops, (double)ms / 1000.0);
            return;
        }
    }
    printf(" %10s %9s", "-", "-");
}

/* Writes that a change of writer took out of the data are in the conflict feed once all have settled. */
static void print_unsettled(const struct look *l)
{
    const char *sep = "not settled, the conflict feed may not be complete yet: ";
    for (size_t i = 0; i < l->count; i++) {
        bool is_settled = false;
        if (l->regions[i].status &&
            json_get_bool(l->regions[i].status, STR("settled"), &is_settled) && !is_settled) {
            printf("%s" STR_FMT, sep, STR_ARG(json_text(l->regions[i].in_account, "name")));
            sep = ", ";
        }
    }
    if (sep[0] == ',') {
        printf("\n");
    }
}

static bool has_successor(const struct look *l)
{
    for (size_t i = 0; i < l->count; i++) {
        if (str_eq(json_text(l->regions[i].in_account, "state"), STR("ONLINE_READ"))) {
            return true;
        }
    }
    return false;
}

/* Without it nothing is promoted, and the writer's lease runs out. */
static void print_out_of_touch(const struct look *l)
{
    const char *sep = "out of touch with the coordinator: ";
    for (size_t i = 0; i < l->count; i++) {
        bool is_in_touch = false;
        if (l->regions[i].status &&
            json_get_bool(l->regions[i].status, STR("coordinatorInTouch"), &is_in_touch) &&
            !is_in_touch) {
            printf("%s" STR_FMT, sep, STR_ARG(json_text(l->regions[i].in_account, "name")));
            sep = ", ";
        }
    }
    if (sep[0] == ',') {
        printf("\n");
    }
}

/* Whether writes are acknowledged now, and what the loss of the write region would mean. */
static void print_outlook(const struct look *l, const struct json *writer_status)
{
    bool may_write = false;
    bool is_automatic = true;
    uint64_t loss = 0;
    (void)json_get_bool(writer_status, STR("leaseFresh"), &may_write);
    (void)json_get_bool(l->account, STR("automaticFailover"), &is_automatic);
    if (!may_write) {
        printf("no region may acknowledge writes now: the write region %s\n",
               writer_status == NULL ? "does not answer" : "holds no lease");
    }
    if (!has_successor(l)) {
        printf("if the write region were lost now: no other region is online to take over\n");
    } else if (json_get_u64(writer_status, STR("lossIfWriterFailsNowOperations"), &loss)) {
        printf("if the write region were lost now: %" PRIu64
               " write%s would leave the data (they return to the conflict feed with it)\n",
               loss, loss == 1 ? "" : "s");
    }
    if (!is_automatic) {
        printf("automatic failover is off: another region takes over only when somebody says so\n");
    }
}

static void print_table(const struct look *l)
{
    struct str writer = json_text(l->account, "writer");
    const struct json *writer_status = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (str_eq(json_text(l->regions[i].in_account, "name"), writer)) {
            writer_status = l->regions[i].status;
        }
    }
    uint64_t epoch_now = 0;
    uint64_t generation_now = 0;
    (void)json_get_u64(l->account, STR("epoch"), &epoch_now);
    (void)json_get_u64(l->account, STR("generation"), &generation_now);
    struct str level_to = json_text(l->account, "consistencyTo");
    printf("%.*s  level " STR_FMT "%s" STR_FMT "  phase " STR_FMT "  epoch %" PRIu64
           "  generation %" PRIu64 "\n",
           STR_ARG(json_text(l->account, "account")), STR_ARG(json_text(l->account, "consistency")),
           level_to.n > 0 ? " -> " : "", STR_ARG(level_to), STR_ARG(json_text(l->account, "phase")),
           epoch_now, generation_now);
    if (str_eq(json_text(l->account, "durability"), STR("degraded"))) {
        printf("  durability degraded: one region holds everything that is acknowledged now\n");
    }
    printf("  %-12s %-14s %-11s %10s %9s\n", "region", "state", "role", "lag (ops)", "lag (s)");
    for (size_t i = 0; i < l->count; i++) {
        struct str name = json_text(l->regions[i].in_account, "name");
        struct str role =
            l->regions[i].status ? json_text(l->regions[i].status, "role") : STR("no answer");
        printf("%s %-12.*s %-14.*s %-11.*s", str_eq(name, writer) ? "*" : " ", STR_ARG(name),
               STR_ARG(json_text(l->regions[i].in_account, "state")), STR_ARG(role));
        print_lag(writer_status, name);
        printf("\n");
    }
    print_outlook(l, writer_status);
    print_out_of_touch(l);
    print_unsettled(l);
    (void)fflush(stdout);
}

static enum err run(const struct conf *c, struct errinfo *ei)
{
    struct client_account acc;
    TRY(client_account_find(conf_cstr(c, S_DIR), conf_cstr(c, S_ENDPOINT), conf_cstr(c, S_KEY),
                            conf_cstr(c, S_CA), &acc, ei));
    enum err err = OK;
    do {
        struct look l = {0};
        struct errinfo why = {0};
        arena_init(&l.arena);
        err = look_at(&acc, &l, &why);
        if (err == OK) {
            if (conf_bool(c, S_WATCH) && !conf_bool(c, S_JSON) && isatty(STDOUT_FILENO)) {
                printf("\033[H\033[2J"); /* a terminal shows one picture that changes */
            }
            (conf_bool(c, S_JSON) ? print_json : print_table)(&l);
        } else if (conf_bool(c, S_WATCH)) {
            fprintf(stderr, "holdfast: %s\n", why.message);
        } else {
            *ei = why;
        }
        arena_done(&l.arena);
        if (conf_bool(c, S_WATCH)) {
            (void)poll(NULL, 0, (int)conf_u64(c, S_INTERVAL));
        }
    } while (conf_bool(c, S_WATCH));
    explicit_bzero(&acc, sizeof(acc));
    return err;
}

int cmd_status(int argc, char **argv)
{
    struct conf *c = conf_new(rows, S_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, S_ROW_COUNT, -1, cli_command("status"), &argc, argv, &status)) {
        struct errinfo ei = {0};
        if (argc > 1) {
            err_set(&ei, ERR_USAGE, "status takes no argument '%s'", argv[1]);
        } else if (run(c, &ei) == OK) {
            ei.code = OK;
        }
        status = ei.code == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}
