/* `holdfast conflicts`: the conflict feed, over all databases and containers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "cli/cli.h"
#include "continuity/client.h"

enum { C_DIR, C_ENDPOINT, C_KEY, C_CA, C_JSON, C_DATABASE, C_CONTAINER, C_ID, C_OUT, C_ROW_COUNT };

static const struct conf_row rows[C_ROW_COUNT] = {
    [C_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [C_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [C_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [C_CA] = {"ca", CONF_STRING, "", 0, 1000, 0,
              "PEM file of the authority trusted for https, instead of what --dir says"},
    [C_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "list: print JSON lines"},
    [C_DATABASE] = {"database", CONF_STRING, "", 0, 255, 0, "only this database"},
    [C_CONTAINER] = {"container", CONF_STRING, "", 0, 255, 0, "only this container"},
    [C_ID] = {"id", CONF_STRING, "", 0, 255, 0, "show: id of the record"},
    [C_OUT] = {"out", CONF_STRING, "", 0, 3000, 0,
               "export: file to write; standard output when not given"},
};

struct walk {
    const struct conf *conf;
    struct client_account acc;
    FILE *out;
    enum { WALK_LIST, WALK_JSON, WALK_SHOW } how;
    uint64_t count;
    bool has_database, has_container; /* one of those that were asked for is there */
};

typedef enum err row_fn(struct walk *w, const char *path, const struct json *row,
                        struct errinfo *ei);

/* Calls fn for every element of a feed, page by page. */
static enum err each(struct walk *w, const char *path, const char *feed_key, row_fn *fn,
                     struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    struct str continuation = STR("");
    enum err err = OK;
    do {
        struct http_header headers[] = {{STR("x-ms-max-item-count"), STR("500")},
                                        {STR("x-ms-continuation"), continuation}};
        struct client_request req = {.method = "GET",
                                     .base = w->acc.endpoint,
                                     .path = path,
                                     .headers = headers,
                                     .header_count = continuation.n > 0 ? 2 : 1};
        int status = 0;
        struct str answer_headers = STR("");
        const struct json *doc = NULL;
        err = client_call(&w->acc, &req, &a, &status, &answer_headers, &doc, ei);
        if (err == OK) {
            err = client_answer_err(status, doc, ei);
        }
        const struct json *feed = err == OK ? json_get(doc, str_of(feed_key)) : NULL;
        for (size_t i = 0; err == OK && feed && i < feed->count; i++) {
            err = fn(w, path, feed->items[i], ei);
        }
        continuation = client_header(answer_headers, STR("x-ms-continuation"));
    } while (err == OK && continuation.n > 0);
    arena_done(&a);
    return err;
}

static void write_json(FILE *out, const char *path, const struct json *row)
{
    struct buf text;
    buf_init(&text, 16 << 20);
    buf_add_cstr(&text, "{\"container\":");
    json_write_string(&text, str_of(path));
    buf_add_cstr(&text, ",\"record\":");
    json_write(&text, row);
    buf_add_cstr(&text, "}\n");
    (void)fwrite(text.p, 1, text.n, out);
    buf_done(&text);
}

static enum err on_conflict(struct walk *w, const char *path, const struct json *row,
                            struct errinfo *ei)
{
    UNUSED(ei);
    struct str id = json_text(row, "id");
    if (w->how == WALK_SHOW) {
        if (!str_eq(id, conf_str(w->conf, C_ID))) {
            return OK;
        }
        write_json(w->out, path, row);
    } else if (w->how == WALK_JSON) {
        write_json(w->out, path, row);
    } else {
        if (w->count == 0) {
            fprintf(w->out, "%-44s %-8s %-10s %-5s %s\n", "id", "was", "region", "acked",
                    "container");
        }
        bool is_acked = false;
        (void)json_get_bool(row, STR("x_acknowledged"), &is_acked);
        fprintf(w->out, "%-44.*s %-8.*s %-10.*s %-5s %s\n", STR_ARG(id),
                STR_ARG(json_text(row, "operationType")), STR_ARG(json_text(row, "x_region")),
                is_acked ? "yes" : "no", path);
    }
    w->count++;
    return OK;
}

static enum err on_container(struct walk *w, const char *path, const struct json *row,
                             struct errinfo *ei)
{
    struct str id = json_text(row, "id");
    if (conf_str(w->conf, C_CONTAINER).n > 0 && !str_eq(id, conf_str(w->conf, C_CONTAINER))) {
        return OK;
    }
    w->has_container = true;
    char feed[2048];
    (void)snprintf(feed, sizeof(feed), "%s/" STR_FMT "/conflicts", path, STR_ARG(id));
    return each(w, feed, "Conflicts", on_conflict, ei);
}

static enum err on_database(struct walk *w, const char *path, const struct json *row,
                            struct errinfo *ei)
{
    struct str id = json_text(row, "id");
    if (conf_str(w->conf, C_DATABASE).n > 0 && !str_eq(id, conf_str(w->conf, C_DATABASE))) {
        return OK;
    }
    w->has_database = true;
    char colls[1024];
    (void)snprintf(colls, sizeof(colls), "%s/" STR_FMT "/colls", path, STR_ARG(id));
    return each(w, colls, "DocumentCollections", on_container, ei);
}

/* A name that is not there has no conflicts, which is not what was asked. */
static enum err check_names(const struct walk *w, struct errinfo *ei)
{
    const struct conf *c = w->conf;
    if (conf_str(c, C_DATABASE).n > 0 && !w->has_database) {
        return err_set(ei, ERR_NOT_FOUND, "no database '%s'", conf_cstr(c, C_DATABASE));
    }
    if (conf_str(c, C_CONTAINER).n > 0 && !w->has_container) {
        return err_set(ei, ERR_NOT_FOUND, "no container '%s'%s%s", conf_cstr(c, C_CONTAINER),
                       conf_str(c, C_DATABASE).n > 0 ? " in database " : "",
                       conf_cstr(c, C_DATABASE));
    }
    return OK;
}

static enum err run(const struct conf *c, int argc, char **argv, struct errinfo *ei)
{
    struct walk w = {.conf = c, .out = stdout};
    const char *op = argc > 1 ? argv[1] : "list";
    bool is_export = strcmp(op, "export") == 0;
    bool is_known = is_export || strcmp(op, "list") == 0 || strcmp(op, "show") == 0;
    if (argc > 2 || !is_known) {
        err_set(ei, ERR_USAGE,
                is_known ? "conflicts %s takes no further argument" : "unknown operation '%s'", op);
        err_hint(ei, "holdfast conflicts list | show --id ID | export --out FILE");
        return ERR_USAGE;
    }
    w.how = is_export || conf_bool(c, C_JSON) ? WALK_JSON : WALK_LIST;
    if (strcmp(op, "show") == 0) {
        w.how = WALK_SHOW;
        if (conf_str(c, C_ID).n == 0) {
            err_set(ei, ERR_USAGE, "conflicts show needs --id");
            err_hint(ei, "holdfast conflicts list shows the ids");
            return ERR_USAGE;
        }
    }
    TRY(client_account_find(conf_cstr(c, C_DIR), conf_cstr(c, C_ENDPOINT), conf_cstr(c, C_KEY),
                            conf_cstr(c, C_CA), &w.acc, ei));
    if (is_export && conf_str(c, C_OUT).n > 0) {
        w.out = fopen(conf_cstr(c, C_OUT), "we");
        if (!w.out) {
            return err_set(ei, ERR_IO, "cannot write %s: %s", conf_cstr(c, C_OUT),
                           err_errno_text(errno));
        }
    }
    enum err err = each(&w, "/dbs", "Databases", on_database, ei);
    if (w.out != stdout && fclose(w.out) != 0) {
        KEEP_FIRST(err, err_set(ei, ERR_IO, "cannot write %s: %s", conf_cstr(c, C_OUT),
                                err_errno_text(errno)));
    }
    if (err == OK) {
        err = check_names(&w, ei);
    }
    if (err == OK && w.how == WALK_SHOW && w.count == 0) {
        err = err_set(ei, ERR_NOT_FOUND, "no conflict record with id '%s'", conf_cstr(c, C_ID));
    }
    if (err == OK && w.how == WALK_LIST) {
        printf("%s%" PRIu64 " conflict record%s\n", w.count > 0 ? "\n" : "", w.count,
               w.count == 1 ? "" : "s");
    }
    if (err == OK && is_export && w.out != stdout) {
        fprintf(stderr, "%" PRIu64 " conflict records written to %s\n", w.count,
                conf_cstr(c, C_OUT));
    }
    explicit_bzero(&w.acc, sizeof(w.acc));
    return err;
}

int cmd_conflicts(int argc, char **argv)
{
    struct conf *c = conf_new(rows, C_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, C_ROW_COUNT, -1, cli_command("conflicts"), &argc, argv, &status)) {
        struct errinfo ei = {0};
        status = run(c, argc, argv, &ei) == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}
