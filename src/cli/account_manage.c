/* Accounts of a running `up`. See account_manage.h. */
#include "cli/account_manage.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "continuity/client.h"
#include "manage/hosted.h"
#include "net/http_client.h"
#include "json/json.h"

#define ACCOUNTS                                                                                   \
    "subscriptions/holdfast/resourceGroups/holdfast/providers/Microsoft.DocumentDB/"               \
    "databaseAccounts"
#define API_VERSION "?api-version=2025-10-15"

enum { ANSWER_SIZE_MAX = 16 << 20, POLL_MS = 100, PATH_SIZE = 4096 };

struct session {
    struct client_account account; /* its endpoint is where the interface is */
    char token[FILES_SECRET_SIZE];
    struct arena arena;
};

static enum err session_open(struct session *s, const char *dir, struct errinfo *ei)
{
    char path[PATH_SIZE];
    memset(s, 0, sizeof(*s));
    arena_init(&s->arena);
    TRY(client_account_find(dir, "", "", "", &s->account, ei));
    (void)snprintf(path, sizeof(path), "%s/management.token", dir);
    size_t size = 0;
    enum err err = files_read_secret(path, s->token, &size, ei);
    if (err != OK) {
        err_hint(ei, "accounts are managed in the directory of the first one");
    }
    return err;
}

static void session_close(struct session *s)
{
    arena_done(&s->arena);
    explicit_bzero(s, sizeof(*s));
}

/* {"error":{"code","message"}} with a status >= 400. */
static enum err answer_err(int status, const struct json *doc, struct errinfo *ei)
{
    struct str message = STR_NONE;
    enum err code = status == 404   ? ERR_NOT_FOUND
                    : status == 409 ? ERR_PRECONDITION
                    : status == 412 ? ERR_CONFLICTING_OPERATION
                    : status == 501 ? ERR_UNSUPPORTED
                    : status == 401 ? ERR_UNAUTHORIZED
                    : status >= 500 ? ERR_UNAVAILABLE
                    : status == 408 ? ERR_UNKNOWN_OUTCOME
                                    : ERR_INVALID;
    if (!json_get_str(json_get(doc, STR("error")), STR("message"), &message)) {
        return err_set(ei, code, "the management interface answered %d", status);
    }
    return err_set(ei, code, STR_FMT, STR_ARG(message));
}

static enum err call(struct session *s, const char *method, struct str path, struct str body,
                     const struct json **ret, struct errinfo *ei)
{
    struct str bearer = arena_printf(&s->arena, "Bearer %s", s->token);
    const struct http_header headers[] = {{STR("authorization"), bearer},
                                          {STR("content-type"), STR("application/json")}};
    struct str url =
        arena_printf(&s->arena, "%s" STR_FMT API_VERSION, s->account.endpoint, STR_ARG(path));
    struct http_client_req req = {.method = method,
                                  .url = arena_cstr(&s->arena, url),
                                  .headers = headers,
                                  .header_count = ARRAY_COUNT(headers),
                                  .body = body,
                                  .timeout_ms = CLIENT_TIMEOUT_MS,
                                  .ca_file = s->account.ca};
    int status = 0;
    struct buf answer;
    const struct json *doc = NULL;
    buf_init(&answer, ANSWER_SIZE_MAX);
    enum err err = http_client_run(&req, &status, NULL, &answer, ei);
    if (err == OK && answer.n > 0) {
        err = json_parse(&s->arena, arena_str(&s->arena, buf_str(&answer)), NULL, &doc, ei);
    }
    buf_done(&answer);
    TRY(err);
    if (status >= 400) {
        return answer_err(status, doc, ei);
    }
    *ret = doc;
    return OK;
}

static void print_json(const struct json *doc)
{
    struct buf text;
    buf_init(&text, ANSWER_SIZE_MAX);
    json_write(&text, doc);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

static void print_account(const struct json *doc)
{
    const struct json *p = json_get(doc, STR("properties"));
    const struct json *locations = json_get(p, STR("locations"));
    const struct json *policy = json_get(p, STR("consistencyPolicy"));
    printf("%-20.*s %-10.*s %-17.*s %-28.*s ", STR_ARG(json_text(doc, "name")),
           STR_ARG(json_text(p, "provisioningState")),
           STR_ARG(json_text(policy, "defaultConsistencyLevel")),
           STR_ARG(json_text(p, "documentEndpoint")));
    for (size_t i = 0; locations != NULL && i < locations->count; i++) {
        printf("%s" STR_FMT, i > 0 ? "," : "",
               STR_ARG(json_text(locations->items[i], "locationName")));
    }
    printf("\n");
}

static struct str account_path(struct session *s, const char *name)
{
    return arena_printf(&s->arena, ACCOUNTS "/%s", name);
}

/* ---- create ---- */

static void add_locations(struct buf *b, struct str regions)
{
    buf_add_cstr(b, "\"locations\":[");
    for (unsigned priority = 0; regions.n > 0; priority++) {
        struct str name = STR_NONE;
        struct str rest = STR_NONE;
        (void)str_split(regions, ',', &name, &rest);
        buf_add_cstr(b, priority > 0 ? ",{\"locationName\":" : "{\"locationName\":");
        json_write_string(b, str_trim(name));
        buf_printf(b, ",\"failoverPriority\":%u}", priority);
        regions = rest;
    }
    buf_add_char(b, ']');
}

static void make_body(const struct account_manage *m, struct buf *b)
{
    buf_add_cstr(b, "{\"properties\":{\"databaseAccountOfferType\":\"Standard\",");
    add_locations(b, m->regions);
    if (m->level[0]) {
        buf_add_cstr(b, ",\"consistencyPolicy\":{\"defaultConsistencyLevel\":");
        json_write_string(b, str_of(m->level));
        if (m->max_staleness_ops > 0) {
            buf_printf(b, ",\"maxStalenessPrefix\":%" PRIu64, m->max_staleness_ops);
        }
        if (m->max_staleness_s > 0) {
            buf_printf(b, ",\"maxIntervalInSeconds\":%" PRIu64, m->max_staleness_s);
        }
        buf_add_char(b, '}');
    }
    buf_add_cstr(b, "}}");
}

/* Asks until `is_done`, at most as long as was said. */
static enum err wait_for(struct session *s, const struct account_manage *m, bool is_delete,
                         const struct json **ret, struct errinfo *ei)
{
    usec start = clock_boot_us();
    for (;;) {
        struct errinfo why = {0};
        enum err err = call(s, "GET", account_path(s, m->name), STR(""), ret, &why);
        if (is_delete && err == ERR_NOT_FOUND) {
            return OK;
        }
        if (err != OK) {
            *ei = why;
            return err;
        }
        const struct json *p = json_get(*ret, STR("properties"));
        if (!is_delete && str_eq(json_text(p, "provisioningState"), STR("Succeeded"))) {
            return OK;
        }
        if (clock_boot_us() - start > m->wait_ms * 1000) {
            err_set(ei, ERR_TIMEOUT, "account %s is not %s after %" PRIu64 " ms", m->name,
                    is_delete ? "gone" : "ready", m->wait_ms);
            err_hint(ei, "see run/account-%s.log in the directory", m->name);
            return ERR_TIMEOUT;
        }
        (void)poll(NULL, 0, POLL_MS); /* between two looks */
    }
}

enum err account_manage_create(const struct account_manage *m, struct errinfo *ei)
{
    struct session s;
    const struct json *doc = NULL;
    struct buf body;
    TRY(hosted_check_account(str_of(m->name), ei)); /* it becomes a part of the path */
    if (m->regions.n == 0) {
        err_set(ei, ERR_USAGE, "which regions is account %s to have?", m->name);
        err_hint(ei, "give --regions, in priority order: --regions east,west");
        return ERR_USAGE;
    }
    buf_init(&body, 64 << 10);
    make_body(m, &body);
    enum err ret = session_open(&s, m->dir, ei);
    if (ret == OK) {
        struct errinfo why = {0};
        ret = call(&s, "GET", account_path(&s, m->name), STR(""), &doc, &why);
        if (ret == OK) { /* the interface would take it for an update */
            ret = err_set(ei, ERR_EXISTS, "account %s exists already", m->name);
        } else if (ret == ERR_NOT_FOUND) {
            ret = OK;
        } else { /* nor is it known that it would not */
            ret = err_pass(ei, ret, &why);
        }
    }
    if (ret == OK) {
        ret = call(&s, "PUT", account_path(&s, m->name), buf_str(&body), &doc, ei);
    }
    if (ret == OK && m->wait_ms > 0) {
        ret = wait_for(&s, m, /* is_delete= */ false, &doc, ei);
    }
    if (ret == OK && m->prints_json) {
        print_json(doc);
    } else if (ret == OK) {
        print_account(doc);
        printf("its own commands: --dir %s/accounts/%s\n", m->dir, m->name);
    }
    buf_done(&body);
    session_close(&s);
    return ret;
}

/* ---- list, delete ---- */

enum err account_manage_list(const struct account_manage *m, struct errinfo *ei)
{
    struct session s;
    const struct json *doc = NULL;
    enum err ret = session_open(&s, m->dir, ei);
    if (ret == OK) {
        ret = call(&s, "GET", STR(ACCOUNTS), STR(""), &doc, ei);
    }
    const struct json *list = ret == OK ? json_get(doc, STR("value")) : NULL;
    if (ret == OK && m->prints_json) {
        print_json(list);
    } else if (list != NULL) {
        printf("%-20s %-10s %-17s %-28s%s\n", "account", "state", "level", "endpoint", "regions");
        for (size_t i = 0; i < list->count; i++) {
            print_account(list->items[i]);
        }
    }
    session_close(&s);
    return ret;
}

enum err account_manage_delete(const struct account_manage *m, struct errinfo *ei)
{
    struct session s;
    const struct json *doc = NULL;
    TRY(hosted_check_account(str_of(m->name), ei));
    enum err ret = session_open(&s, m->dir, ei);
    if (ret == OK) {
        ret = call(&s, "GET", account_path(&s, m->name), STR(""), &doc, ei); /* says when none */
    }
    if (ret == OK) {
        ret = call(&s, "DELETE", account_path(&s, m->name), STR(""), &doc, ei);
    }
    if (ret == OK && m->wait_ms > 0) {
        ret = wait_for(&s, m, /* is_delete= */ true, &doc, ei);
    }
    if (ret == OK && m->prints_json) {
        printf("{\"name\":\"%s\",\"provisioningState\":\"%s\"}\n", m->name,
               m->wait_ms > 0 ? "Deleted" : "Deleting");
    } else if (ret == OK) {
        printf("account %s %s\n", m->name, m->wait_ms > 0 ? "is deleted" : "is being deleted");
    }
    session_close(&s);
    return ret;
}
