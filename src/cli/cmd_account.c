/* `holdfast account`: look at and steer the account's regions. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "account/record.h"
#include "base/clock.h"
#include "base/contract.h"
#include "cli/account_init.h"
#include "cli/account_manage.h"
#include "cli/account_partitions.h"
#include "cli/cli.h"
#include "continuity/client.h"
#include "manage/hosted.h"

enum {
    A_DIR,
    A_ENDPOINT,
    A_KEY,
    A_CA,
    A_JSON,
    A_FORCE,
    A_TO,
    A_WAIT,
    A_REGENERATE,
    A_OPS,
    A_SECONDS,
    A_PRIORITY,
    A_REGIONS,
    A_LEVEL,
    A_COORDINATOR,
    A_SECRET_FILE,
    A_FEED_QUOTA,
    A_ROW_COUNT
};

static const struct conf_row rows[A_ROW_COUNT] = {
    [A_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [A_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [A_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [A_CA] = {"ca", CONF_STRING, "", 0, 1000, 0,
              "PEM file of the authority trusted for https, instead of what --dir says"},
    [A_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "print JSON"},
    [A_FORCE] =
        {"force", CONF_BOOL, "no", 0, 0, 0,
         "offline, regions remove: accept the loss that is printed; consistency, regions add: "
         "Strong over any distance"},
    [A_TO] = {"to", CONF_STRING, "", 0, RECORD_NAME_MAX - 1, 0,
              "offline --force: the region that is to write, instead of the one that lacks least"},
    [A_WAIT] = {"wait", CONF_DURATION, "30s", 0, 3600000, 0,
                "wait this long for the change to be complete; 0 = do not wait"},
    [A_REGENERATE] = {"regenerate", CONF_STRING, "", 0, 32, 0,
                      "keys: make a new primary, secondary, primaryReadonly or secondaryReadonly"},
    [A_OPS] = {"max-staleness-ops", CONF_U64, "0", 0, STALENESS_OPS_MAX, 0,
               "consistency BoundedStaleness: writes that a region may lack per partition; 0 = as "
               "before, or 100000"},
    [A_SECONDS] = {"max-staleness-seconds", CONF_U64, "0", 0, STALENESS_S_MAX, 0,
                   "consistency BoundedStaleness: how old the oldest of them may become; 0 = as "
                   "before, or 300"},
    [A_PRIORITY] = {"priority", CONF_U64, "0", 0, REGIONS_MAX - 1, 0,
                    "regions add: its place in the order of failover; 0 = the last"},
    [A_REGIONS] = {"regions", CONF_STRING, "", 0, 1000, 0,
                   "create: regions in priority order; init: the first one"},
    [A_LEVEL] = {"consistency", CONF_STRING, "", 0, 32, 0,
                 "create, init: level of the new account"},
    [A_COORDINATOR] = {"coordinator", CONF_STRING, "http://127.0.0.1:8070", 1, 1024, 0,
                       "init: where the coordinator answers"},
    [A_SECRET_FILE] = {"secret-file", CONF_STRING, "", 0, 3000, 0,
                       "init: file with the coordinator's secret"},
    [A_FEED_QUOTA] =
        {"feed-quota", CONF_SIZE, "0", 0, FEED_QUOTA_MAX, 0,
         "diverged-writes: conflict records take so much at most, more is archived only; "
         "0 = 1 GiB, or 1 % of the data if that is more; not given = as before"},
};

static enum err call(const struct client_account *acc, struct arena *a, const char *method,
                     const char *path, struct str body, const struct json **ret, struct errinfo *ei)
{
    struct client_request req = {
        .method = method, .base = acc->endpoint, .path = path, .body = body};
    int status = 0;
    TRY(client_call(acc, &req, a, &status, NULL, ret, ei));
    return client_answer_err(status, *ret, ei);
}

static uint64_t number_of(const struct json *v, const char *key)
{
    uint64_t n = 0;
    (void)json_get_u64(v, str_of(key), &n);
    return n;
}

/* Those that another region writes than the account's writer, or did until lately. */
static void print_partitions(const struct json *list)
{
    if (list == NULL || list->count == 0) {
        return;
    }
    printf("\n  %-12s %-12s %-10s %-25s %s\n", "partition", "writer", "phase", "since", "reason");
    for (size_t i = 0; i < list->count; i++) {
        const struct json *p = list->items[i];
        bool is_pinned = false;
        (void)json_get_bool(p, STR("pinned"), &is_pinned);
        printf("  %-12" PRIu64 " %-12.*s %-10.*s %-25.*s " STR_FMT "%s\n",
               number_of(p, "partition"), STR_ARG(json_text(p, "writer")),
               STR_ARG(json_text(p, "phase")), STR_ARG(json_text(p, "time")),
               STR_ARG(json_text(p, "reason")), is_pinned ? " (by an operator)" : "");
    }
}

static void print_account(const struct json *doc)
{
    struct str writer = json_text(doc, "writer");
    bool is_auto = false;
    (void)json_get_bool(doc, STR("automaticFailover"), &is_auto);
    printf("account %-20.*s level " STR_FMT, STR_ARG(json_text(doc, "account")),
           STR_ARG(json_text(doc, "consistency")));
    if (json_text(doc, "consistencyTo").n > 0) {
        printf(" (changing to " STR_FMT ")", STR_ARG(json_text(doc, "consistencyTo")));
    }
    if (number_of(doc, "maxStalenessOperations") > 0) {
        printf(" (at most %" PRIu64 " writes, %" PRIu64 " s)",
               number_of(doc, "maxStalenessOperations"), number_of(doc, "maxStalenessSeconds"));
    }
    printf(", automatic failover %s\n", is_auto ? "on" : "off");
    if (!str_eq(json_text(doc, "divergedWrites"), STR("feed"))) {
        printf("writes that a failover cannot keep: " STR_FMT "\n",
               STR_ARG(json_text(doc, "divergedWrites")));
    }
    if (number_of(doc, "conflictFeedQuota") > 0) {
        printf("conflict feed at most %" PRIu64 " bytes\n", number_of(doc, "conflictFeedQuota"));
    }
    bool is_partition = false;
    (void)json_get_bool(doc, STR("partitionFailover"), &is_partition);
    if (is_partition) {
        printf("automatic failover of single partitions on\n");
    }
    if (str_eq(json_text(doc, "durability"), STR("degraded"))) {
        printf("durability degraded: one region holds everything that is acknowledged now\n");
    }
    printf("phase " STR_FMT ", generation %" PRIu64 ", epoch %" PRIu64 ", token version %" PRIu64
           "\n\n",
           STR_ARG(json_text(doc, "phase")), number_of(doc, "generation"), number_of(doc, "epoch"),
           number_of(doc, "tokenVersion"));
    printf("  %-12s %-8s %-14s %-25s %s\n", "region", "priority", "state", "since", "endpoint");
    const struct json *regions = json_get(doc, STR("regions"));
    for (size_t i = 0; regions && i < regions->count; i++) {
        const struct json *r = regions->items[i];
        struct str name = json_text(r, "name");
        printf("%s %-12.*s %-8" PRIu64 " %-14.*s %-25.*s " STR_FMT "\n",
               str_eq(name, writer) ? "*" : " ", STR_ARG(name), number_of(r, "priority"),
               STR_ARG(json_text(r, "state")), STR_ARG(json_text(r, "since")),
               STR_ARG(json_text(r, "endpoint")));
    }
    print_partitions(json_get(doc, STR("partitions")));
    const struct json *epochs = json_get(doc, STR("epochs"));
    if (epochs && epochs->count > 0) {
        const struct json *e = epochs->items[epochs->count - 1];
        printf("\nlast change of writer: to " STR_FMT " at " STR_FMT " (" STR_FMT "; rule %" PRIu64
               "; detected in %" PRIu64 " ms, waited %" PRIu64 " ms, promoted in %" PRIu64 " ms)\n",
               STR_ARG(json_text(e, "writer")), STR_ARG(json_text(e, "time")),
               STR_ARG(json_text(e, "reason")), number_of(e, "rule"), number_of(e, "detectMs"),
               number_of(e, "waitMs"), number_of(e, "promoteMs"));
    }
    printf("\n* takes writes\n");
}

static void print_json(const struct json *doc)
{
    struct buf text;
    buf_init(&text, 16 << 20);
    json_write(&text, doc);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

static void show(const struct conf *c, const struct json *doc)
{
    if (conf_bool(c, A_JSON)) {
        print_json(doc);
    } else {
        print_account(doc);
    }
}

/* Compared as the account's own names are: without case and blanks. */
static bool is_region(struct str is, struct str given)
{
    char name[RECORD_NAME_MAX];
    char wanted[RECORD_NAME_MAX];
    return str_eq_nocase(is, given) ||
           (hosted_region_name(is, name, NULL) == OK &&
            hosted_region_name(given, wanted, NULL) == OK && strcmp(name, wanted) == 0);
}

/* Is the order what was asked for ("a,b,c"), the first one writing? */
static bool is_ordered(const struct json *doc, struct str names)
{
    const struct json *regions = json_get(doc, STR("regions"));
    struct str rest = names;
    for (size_t i = 0; regions && i < regions->count; i++) {
        struct str name = rest;
        struct str tail = STR("");
        (void)str_split(rest, ',', &name, &tail);
        struct str is = json_text(regions->items[i], "name");
        bool is_first = i > 0 || str_eq(is, json_text(doc, "writer"));
        if (!is_region(is, name) || !is_first) {
            return false;
        }
        rest = tail;
    }
    return rest.n == 0;
}

/* The row of that partition in the account record; NULL = it follows the account. */
static const struct json *partition_row(const struct json *doc, struct str what)
{
    struct str id = what;
    struct str region = STR("");
    (void)str_split(what, ' ', &id, &region);
    uint64_t p = 0;
    (void)str_to_u64(id, &p);
    const struct json *list = json_get(doc, STR("partitions"));
    for (size_t i = 0; list && i < list->count; i++) {
        if (number_of(list->items[i], "partition") == p) {
            return list->items[i];
        }
    }
    return NULL;
}

/* Is the partition ("7", or "7 west") where it was to go? No row: it follows the account. */
static bool is_partition_there(const struct json *doc, const char *op, struct str what)
{
    struct str id = what;
    struct str region = STR("");
    (void)str_split(what, ' ', &id, &region);
    bool is_return = strcmp(op, "partitions/return") == 0;
    struct str want = is_return ? json_text(doc, "writer") : region;
    const struct json *row = partition_row(doc, what);
    if (row != NULL) {
        return is_region(json_text(row, "writer"), want) &&
               str_eq(json_text(row, "phase"), STR("OPEN"));
    }
    return is_return || is_region(json_text(doc, "writer"), want);
}

static bool is_diverged(const char *op)
{
    return strcmp(op, "diverged-writes") == 0;
}

/* Has what was asked for come true? */
static bool is_complete(const struct json *doc, const char *op, const char *region)
{
    if (strcmp(op, "partitions/automatic") == 0 || is_diverged(op)) {
        return true;
    }
    if (strncmp(op, "partitions/", 11) == 0) {
        return is_partition_there(doc, op, str_of(region));
    }
    if (!str_eq(json_text(doc, "phase"), STR("OPEN"))) {
        return false;
    }
    if (strcmp(op, "consistency") == 0) {
        return json_text(doc, "consistencyTo").n == 0;
    }
    if (strcmp(op, "failover") == 0) {
        return is_region(json_text(doc, "writer"), str_of(region));
    }
    if (strcmp(op, "regions/priority") == 0) {
        return is_ordered(doc, str_of(region));
    }
    bool is_removal = strcmp(op, "regions/remove") == 0;
    const struct json *regions = json_get(doc, STR("regions"));
    for (size_t i = 0; regions && i < regions->count; i++) {
        if (is_region(json_text(regions->items[i], "name"), str_of(region))) {
            struct str state = json_text(regions->items[i], "state");
            bool is_off = str_eq(state, STR("OFFLINE"));
            bool is_on = str_eq(state, STR("ONLINE_READ")) || str_eq(state, STR("ONLINE_WRITE"));
            return strcmp(op, "offline") == 0 ? is_off : is_on && !is_removal;
        }
    }
    return is_removal;
}

/* What was asked for has not come true, and nothing is under way that would still do it: a hand-over
 * that the other region did not take is rolled back. `doc` is newer than the request. */
static bool is_rolled_back(const struct json *doc, const char *op, const char *what)
{
    if (strcmp(op, "partitions/failover") == 0 || strcmp(op, "partitions/return") == 0) {
        const struct json *row = partition_row(doc, str_of(what));
        return row == NULL || str_eq(json_text(row, "phase"), STR("OPEN"));
    }
    return (strcmp(op, "failover") == 0 || strcmp(op, "regions/priority") == 0) &&
           str_eq(json_text(doc, "phase"), STR("OPEN"));
}

/* `name`: of the region, of the level, or the setting's value. */
static void make_body(const struct conf *c, const char *op, const char *name, struct buf *out)
{
    if (strcmp(op, "partitions/automatic") == 0) {
        buf_printf(out, "{\"enabled\":%s}", strcmp(name, "on") == 0 ? "true" : "false");
        return;
    }
    if (is_diverged(op)) {
        buf_add_cstr(out, "{\"divergedWrites\":");
        json_write_string(out, str_of(name));
        if (conf_source(c, A_FEED_QUOTA) != CONF_FROM_DEFAULT) {
            buf_printf(out, ",\"conflictFeedQuota\":%" PRIu64, conf_u64(c, A_FEED_QUOTA));
        }
        buf_add_char(out, '}');
        return;
    }
    if (strncmp(op, "partitions/", 11) == 0) {
        struct str id = str_of(name);
        struct str region = STR("");
        (void)str_split(str_of(name), ' ', &id, &region);
        buf_printf(out, "{\"partition\":" STR_FMT ",\"region\":", STR_ARG(id));
        json_write_string(out, region);
        buf_printf(out, ",\"force\":%s}", conf_bool(c, A_FORCE) ? "true" : "false");
        return;
    }
    bool is_level = strcmp(op, "consistency") == 0;
    if (strcmp(op, "regions/priority") == 0) {
        buf_add_cstr(out, "{\"regions\":[");
        struct str rest = str_of(name);
        for (bool has_more = true, is_first = true; has_more; is_first = false) {
            struct str one = rest;
            has_more = str_split(rest, ',', &one, &rest);
            buf_add_cstr(out, is_first ? "" : ",");
            json_write_string(out, str_trim(has_more ? one : rest));
        }
        buf_add_cstr(out, "]}");
        return;
    }
    buf_add_cstr(out, is_level ? "{\"level\":" : "{\"region\":");
    json_write_string(out, str_of(name));
    if (!is_level) {
        if (strcmp(op, "regions/add") == 0 && conf_u64(c, A_PRIORITY) > 0) {
            buf_printf(out, ",\"priority\":%" PRIu64, conf_u64(c, A_PRIORITY));
        }
        if (strcmp(op, "offline") == 0) {
            buf_add_cstr(out, ",\"to\":");
            json_write_string(out, conf_str(c, A_TO));
        }
        buf_printf(out, ",\"force\":%s}", conf_bool(c, A_FORCE) ? "true" : "false");
        return;
    }
    if (conf_u64(c, A_OPS) > 0) {
        buf_printf(out, ",\"maxStalenessOperations\":%" PRIu64, conf_u64(c, A_OPS));
    }
    if (conf_u64(c, A_SECONDS) > 0) {
        buf_printf(out, ",\"maxStalenessSeconds\":%" PRIu64, conf_u64(c, A_SECONDS));
    }
    buf_printf(out, ",\"force\":%s}", conf_bool(c, A_FORCE) ? "true" : "false");
}

/* The answer to an `offline` says it, later looks at the account do not. */
static const struct json *keep_losses(struct arena *a, const struct json *answer,
                                      const struct json *doc)
{
    const struct json *lost = json_get(answer, STR("lostInPartitions"));
    if (lost == NULL || json_get(doc, STR("lostInPartitions")) != NULL) {
        return doc;
    }
    struct json_member *members = ARENA_NEW_ARRAY(a, struct json_member, doc->count + 1);
    members[0] = (struct json_member){STR("lostInPartitions"), lost};
    memcpy(&members[1], doc->members, doc->count * sizeof(members[0]));
    struct json *both = ARENA_NEW(a, struct json);
    *both = (struct json){.type = JSON_OBJECT, .count = doc->count + 1, .members = members};
    return both;
}

static void print_loss_by_partition(const struct json *doc)
{
    const struct json *list = json_get(doc, STR("lostInPartitions"));
    for (size_t i = 0; list != NULL && i < list->count; i++) {
        printf("%s partition %" PRIu64 ": %" PRIu64, i == 0 ? "most of it in" : ",",
               number_of(list->items[i], "partition"),
               number_of(list->items[i], "operationsEstimate"));
    }
    printf(list != NULL && list->count > 0 ? "\n\n" : "\n");
}

/* After an `offline`: what it may have cost. */
static void print_loss(const struct json *doc, const char *region)
{
    const struct json *regions = json_get(doc, STR("regions"));
    for (size_t i = 0; regions && i < regions->count; i++) {
        const struct json *r = regions->items[i];
        uint64_t unsent = number_of(r, "unsentOperationsEstimate");
        if (!is_region(json_text(r, "name"), str_of(region))) {
            continue;
        }
        if (unsent == 0) {
            printf(
                "estimated loss: none; by its last heartbeat it had nothing that others lack\n\n");
        } else {
            printf("estimated loss: %" PRIu64
                   " operations that it had and its successor lacks, by its "
                   "last heartbeat;\nthose that it acknowledged become conflict records when it is "
                   "online again\n",
                   unsent);
            print_loss_by_partition(doc);
        }
    }
}

static enum err operate(const struct conf *c, const struct client_account *acc, struct arena *a,
                        const char *op, const char *region, struct errinfo *ei)
{
    const struct json *doc = NULL;
    char path[128];
    (void)snprintf(path, sizeof(path), "/_holdfast/account/%s", op);
    struct buf body;
    buf_init(&body, 64 << 10);
    make_body(c, op, region, &body);
    usec start = clock_boot_us();
    enum err err = call(acc, a, "POST", path, buf_str(&body), &doc, ei);
    buf_done(&body);
    TRY(err);
    const struct json *answer = doc;
    uint64_t wait_us = conf_u64(c, A_WAIT) * 1000;
    bool is_shown = false;
    while (wait_us > 0 && !is_complete(doc, op, region)) {
        if (is_rolled_back(doc, op, region)) {
            err_set(
                ei, ERR_PRECONDITION,
                "%s of %s was rolled back: it was not taken over in time, and nothing was moved",
                op, region);
            err_hint(ei, "`holdfast status`: does that region answer, and is it close behind?");
            return ERR_PRECONDITION;
        }
        if (clock_boot_us() - start > wait_us) {
            err_set(ei, ERR_TIMEOUT,
                    "%s of %s was started but is not complete after %" PRIu64 " ms", op, region,
                    wait_us / 1000);
            err_hint(ei, "`holdfast status` shows what it waits for");
            return ERR_TIMEOUT;
        }
        if (!is_shown && clock_boot_us() - start > 1000000 && !conf_bool(c, A_JSON)) {
            fprintf(stderr, "waiting for %s of %s to complete ...\n", op, region);
            is_shown = true;
        }
        (void)poll(NULL, 0, 20); /* between two looks at the account */
        TRY(call(acc, a, "GET", "/_holdfast/account", STR(""), &doc, ei));
    }
    doc = keep_losses(a, answer, doc);
    if (!conf_bool(c, A_JSON)) {
        if (json_text(doc, "warning").n > 0) {
            fprintf(stderr, STR_FMT "\n", STR_ARG(json_text(doc, "warning")));
        }
        printf("%s %s: %s in %" PRIu64 " ms\n\n", op, region, wait_us > 0 ? "complete" : "accepted",
               (clock_boot_us() - start) / 1000);
        if (strcmp(op, "offline") == 0 && wait_us > 0) {
            print_loss(doc, region);
        }
    }
    show(c, doc);
    return OK;
}

static enum err keys(const struct conf *c, const struct client_account *acc, struct arena *a,
                     struct errinfo *ei)
{
    const struct json *doc = NULL;
    if (conf_str(c, A_REGENERATE).n > 0) {
        struct buf body;
        buf_init(&body, 4096);
        buf_add_cstr(&body, "{\"key\":");
        json_write_string(&body, conf_str(c, A_REGENERATE));
        buf_add_char(&body, '}');
        enum err err =
            call(acc, a, "POST", "/_holdfast/account/keys/regenerate", buf_str(&body), &doc, ei);
        buf_done(&body);
        TRY(err);
    } else {
        TRY(call(acc, a, "GET", "/_holdfast/account/keys", STR(""), &doc, ei));
    }
    if (conf_bool(c, A_JSON)) {
        print_json(doc);
        return OK;
    }
    for (size_t i = 0; i < doc->count; i++) {
        printf("%-18.*s " STR_FMT "\n", STR_ARG(doc->members[i].key),
               STR_ARG(doc->members[i].value->text));
    }
    return OK;
}

static bool is_about_all(const char *op)
{
    return strcmp(op, "create") == 0 || strcmp(op, "list") == 0 || strcmp(op, "delete") == 0;
}

/* Not one account but all that run there. */
static enum err manage(const struct conf *c, const char *op, int argc, char **argv,
                       struct errinfo *ei)
{
    bool is_list = strcmp(op, "list") == 0;
    if (argc != (is_list ? 2 : 3)) {
        return err_set(ei, ERR_USAGE, "account %s takes %s", op,
                       is_list ? "no further argument" : "the name of one account");
    }
    struct account_manage m = {.dir = conf_cstr(c, A_DIR),
                               .name = is_list ? "" : argv[2],
                               .regions = conf_str(c, A_REGIONS),
                               .level = conf_cstr(c, A_LEVEL),
                               .max_staleness_ops = conf_u64(c, A_OPS),
                               .max_staleness_s = conf_u64(c, A_SECONDS),
                               .prints_json = conf_bool(c, A_JSON),
                               .wait_ms = conf_u64(c, A_WAIT)};
    return is_list                     ? account_manage_list(&m, ei)
           : strcmp(op, "create") == 0 ? account_manage_create(&m, ei)
                                       : account_manage_delete(&m, ei);
}

/* The first record of an account without `up`. */
static enum err init(const struct conf *c, int argc, char **argv, struct errinfo *ei)
{
    if (argc != 3) {
        return err_set(ei, ERR_USAGE, "account init takes the name of one account");
    }
    struct account_start s = {.name = argv[2],
                              .regions = conf_str(c, A_REGIONS),
                              .level = conf_cstr(c, A_LEVEL),
                              .max_staleness_ops = conf_u64(c, A_OPS),
                              .max_staleness_s = conf_u64(c, A_SECONDS),
                              .coordinator = conf_cstr(c, A_COORDINATOR),
                              .secret_file = conf_cstr(c, A_SECRET_FILE),
                              .prints_json = conf_bool(c, A_JSON)};
    return account_init_run(&s, ei);
}

/* account partition list | failover ID REGION | return ID | automatic on|off */
static enum err partition(int argc, char **argv, const char **ret_op, char ret_what[128],
                          struct errinfo *ei)
{
    const char *op = argc > 2 ? argv[2] : "";
    uint64_t id = 0;
    if (strcmp(op, "list") == 0 && argc == 3) {
        *ret_op = "partitions/list";
        (void)snprintf(ret_what, 128, "list");
        return OK;
    }
    bool is_failover = strcmp(op, "failover") == 0 && argc == 5;
    bool is_return = strcmp(op, "return") == 0 && argc == 4;
    bool is_auto = strcmp(op, "automatic") == 0 && argc == 4 &&
                   (strcmp(argv[3], "on") == 0 || strcmp(argv[3], "off") == 0);
    if (!is_auto && (!(is_failover || is_return) || !str_to_u64(str_of(argv[3]), &id) ||
                     strlen(argv[argc - 1]) >= RECORD_NAME_MAX)) {
        err_set(ei, ERR_USAGE, "account partition: what it takes is below");
        err_hint(ei, "holdfast account partition list | failover ID REGION [--force] | return ID | "
                     "automatic on|off");
        return ERR_USAGE;
    }
    *ret_op = is_auto       ? "partitions/automatic"
              : is_failover ? "partitions/failover"
                            : "partitions/return";
    (void)snprintf(ret_what, 128, "%s%s%s", argv[3], is_failover ? " " : "",
                   is_failover ? argv[4] : "");
    return OK;
}

static enum err run(const struct conf *c, int argc, char **argv, struct errinfo *ei)
{
    const char *op = argc > 1 ? argv[1] : "show";
    char what[128] = "";
    if (strcmp(op, "partition") == 0) {
        TRY(partition(argc, argv, &op, what, ei));
    }
    if (strcmp(op, "regions") == 0) {
        static const char *const ops[] = {"regions/add", "regions/remove", "regions/priority"};
        op = NULL;
        for (size_t i = 0; argc == 4 && i < ARRAY_COUNT(ops); i++) {
            op = strcmp(argv[2], strchr(ops[i], '/') + 1) == 0 ? ops[i] : op;
        }
        if (op == NULL) {
            err_set(ei, ERR_USAGE, "account regions: what it takes is below");
            err_hint(ei, "holdfast account regions add NAME [--priority N] | remove NAME "
                         "[--force] | priority A,B,C");
            return ERR_USAGE;
        }
        argc--; /* the two words are one operation */
        argv++;
    }
    bool is_partition = what[0] != 0;
    bool is_regions = strchr(op, '/') != NULL && !is_partition;
    bool is_level = strcmp(op, "consistency") == 0;
    bool needs_region = is_level || is_regions || is_diverged(op) || strcmp(op, "failover") == 0 ||
                        strcmp(op, "offline") == 0 || strcmp(op, "online") == 0;
    bool is_known =
        needs_region || is_partition || strcmp(op, "show") == 0 || strcmp(op, "keys") == 0;
    if (strcmp(op, "init") == 0) {
        return init(c, argc, argv, ei);
    }
    if (is_about_all(op)) {
        return manage(c, op, argc, argv, ei);
    }
    if (conf_str(c, A_TO).n > 0 && strcmp(op, "offline") != 0) {
        return err_set(ei, ERR_USAGE, "--to goes with account offline REGION --force");
    }
    if (!is_partition && (!is_known || argc > 3 || needs_region != (argc == 3))) {
        err_set(ei, ERR_USAGE,
                !is_known         ? "unknown operation '%s'"
                : is_level        ? "account %s needs one level"
                : is_diverged(op) ? "account %s needs one of feed, feed-latest, lww and archive"
                : needs_region    ? "account %s needs the name of one region"
                                  : "account %s takes no further argument",
                op);
        err_hint(ei, "holdfast account show | failover REGION | offline REGION | online REGION | "
                     "regions add NAME | regions remove NAME | regions priority A,B,C | "
                     "partition list|failover|return|automatic | consistency LEVEL | "
                     "diverged-writes VALUE | keys | create NAME | delete NAME | list | init NAME");
        return ERR_USAGE;
    }
    struct client_account acc;
    TRY(client_account_find(conf_cstr(c, A_DIR), conf_cstr(c, A_ENDPOINT), conf_cstr(c, A_KEY),
                            conf_cstr(c, A_CA), &acc, ei));
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    enum err err = OK;
    if (strcmp(op, "partitions/list") == 0) {
        err = account_partitions_list(&acc, conf_bool(c, A_JSON), ei);
    } else if (needs_region || is_partition) {
        uint64_t id = 0;
        if (is_partition && str_to_u64(str_of(argv[3]), &id) && id > 0) {
            err = account_partitions_need(&acc, id, ei);
        }
        if (err == OK) {
            err = operate(c, &acc, &a, op, is_partition ? what : argv[2], ei);
        }
    } else if (strcmp(op, "keys") == 0) {
        err = keys(c, &acc, &a, ei);
    } else {
        err = call(&acc, &a, "GET", "/_holdfast/account", STR(""), &doc, ei);
        if (err == OK) {
            show(c, doc);
        }
    }
    arena_done(&a);
    explicit_bzero(&acc, sizeof(acc));
    return err;
}

int cmd_account(int argc, char **argv)
{
    struct conf *c = conf_new(rows, A_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, A_ROW_COUNT, -1, cli_command("account"), &argc, argv, &status)) {
        struct errinfo ei = {0};
        status = run(c, argc, argv, &ei) == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}
