/* What a drill asks the account before and after its load. See repeat.h. */
#include "continuity/drill/repeat.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

enum { SAY_AFTER_US = 2000000 };

void repeat_say(const struct drill_opts *o, const char *fmt, ...)
{
    if (o->progress) {
        char text[256];
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        o->progress(o->progress_ctx, text);
    }
}

enum err repeat_request(const struct drill_opts *o, struct arena *a, const char *method,
                        const char *path, const struct http_header *headers, size_t n,
                        struct str body, struct str *ret_headers, const struct json **ret_doc,
                        int *ret_status, struct errinfo *ei)
{
    struct client_request req = {.method = method,
                                 .base = o->account.endpoint,
                                 .path = path,
                                 .headers = headers,
                                 .header_count = n,
                                 .body = body};
    return client_call(&o->account, &req, a, ret_status, ret_headers, ret_doc, ei);
}

enum err repeat_check(const struct drill_opts *o, struct errinfo *ei)
{
    bool is_interrupted = o->interrupted != NULL && *o->interrupted != 0;
    return is_interrupted ? err_set(ei, ERR_CLOSED, "interrupted") : OK;
}

static enum err look_now(const struct drill_opts *o, struct look *ret, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    enum err err = repeat_request(o, &a, "GET", "/_holdfast/account", NULL, 0, STR(""), NULL, &doc,
                                  &status, ei);
    if (err == OK) {
        err = client_answer_err(status, doc, ei);
    }
    if (err == OK) {
        look_parse(doc, ret);
    }
    arena_done(&a);
    return err;
}

/* Of what the region's server says, one member; false: it does not answer, or does not say. */
static bool ask_status(const struct drill_opts *o, const char *endpoint, const char *member,
                       bool *ret_bool, uint64_t *ret_number)
{
    struct client_request req = {.method = "GET", .base = endpoint, .path = "/_holdfast/status"};
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    struct errinfo ignored = {0};
    bool is_said = client_call(&o->account, &req, &a, &status, NULL, &doc, &ignored) == OK &&
                   (ret_bool != NULL ? json_get_bool(doc, str_of(member), ret_bool)
                                     : json_get_u64(doc, str_of(member), ret_number));
    arena_done(&a);
    return is_said;
}

/* Nor may the feed be full: losses would be in archives only. */
static enum err check_room(const struct drill_opts *o, const struct look *look, struct errinfo *ei)
{
    for (size_t i = 0; i < look->count; i++) {
        uint64_t size = 0;
        uint64_t quota = UINT64_MAX;
        const char *endpoint = look->regions[i].endpoint;
        if (ask_status(o, endpoint, "conflictFeedSize", NULL, &size) &&
            ask_status(o, endpoint, "conflictFeedQuota", NULL, &quota) && size >= quota) {
            enum err e = err_set(ei, ERR_PRECONDITION,
                                 "the conflict feed is full (%" PRIu64 " of %" PRIu64
                                 " bytes): what is lost now makes no records to be counted",
                                 size, quota);
            err_hint(ei, "delete records, or raise the quota (account diverged-writes feed "
                         "--feed-quota SIZE)");
            return e;
        }
    }
    return OK;
}

/* Every lost write has to have its record, else the count is wrong. */
static enum err check_feed(const struct drill_opts *o, const struct look *look, struct errinfo *ei)
{
    if (strcmp(look->diverged_writes, "feed") == 0) {
        return check_room(o, look, ei);
    }
    enum err e =
        err_set(ei, ERR_PRECONDITION,
                "divergedWrites of the account is %s: a drill counts what is in the conflict "
                "feed, and would take writes for lost that are in an archive",
                look->diverged_writes);
    err_hint(ei, "holdfast account diverged-writes feed, for as long as it is drilled");
    return e;
}

enum err repeat_wait_healthy(const struct drill_opts *o, struct look *ret, struct errinfo *ei)
{
    usec start = clock_boot_us();
    usec until = start + (usec)o->settle_ms * 1000;
    bool is_said = false;
    for (;;) {
        struct errinfo last = {0};
        TRY(repeat_check(o, ei));
        if (look_now(o, ret, &last) == OK && ret->all_online) {
            return check_feed(o, ret, ei);
        }
        if (clock_boot_us() > until) {
            err_set(ei, ERR_PRECONDITION, "the account is not healthy: %s",
                    last.code != OK ? last.message : "a region is not online");
            err_hint(ei, "a drill starts from a healthy account; see `holdfast status`");
            return ERR_PRECONDITION;
        }
        if (!is_said && clock_boot_us() - start > SAY_AFTER_US) {
            repeat_say(o, "waiting for a healthy account, %u s at most: %s", o->settle_ms / 1000,
                       last.code != OK ? last.message : "a region is not online");
            is_said = true;
        }
        (void)poll(NULL, 0, REPEAT_LOOK_MS);
    }
}

enum err repeat_wait_settled(const struct drill_opts *o, struct look *ret, struct errinfo *ei)
{
    usec until = clock_boot_us() + (usec)o->settle_ms * 1000;
    for (;;) {
        TRY(repeat_wait_healthy(o, ret, ei));
        const char *missing = NULL;
        for (size_t i = 0; i < ret->count && missing == NULL; i++) {
            bool is_settled = false;
            if (!ask_status(o, ret->regions[i].endpoint, "settled", &is_settled, NULL) ||
                !is_settled) {
                missing = ret->regions[i].name;
            }
        }
        if (missing == NULL) {
            return OK;
        }
        if (clock_boot_us() > until) {
            err_set(ei, ERR_PRECONDITION, "region %s still hands in writes or fetches data",
                    missing);
            err_hint(ei, "give a longer --settle; see \"settled\" in `holdfast status --json`");
            return ERR_PRECONDITION;
        }
        (void)poll(NULL, 0, REPEAT_LOOK_MS);
    }
}

enum err repeat_wait_unheld(const struct drill_opts *o, const struct look *look, struct errinfo *ei)
{
    bool is_unconfirmed = fault_kind(o->fault)->is_unconfirmed;
    uint64_t left_ms = 0;
    for (size_t i = 0; i < look->count && is_unconfirmed; i++) {
        uint64_t one_ms = 0;
        /* One that does not answer now says nothing: the account was healthy a moment ago. */
        if (ask_status(o, look->regions[i].endpoint, "failoverHoldLeftMs", NULL, &one_ms) &&
            one_ms > left_ms) {
            left_ms = one_ms;
        }
    }
    if (left_ms > o->settle_ms) {
        err_set(ei, ERR_PRECONDITION,
                "after the last failover another one would wait %" PRIu64 " s longer",
                left_ms / 1000);
        err_hint(ei, "wait, give a longer --settle, or start the account with a shorter "
                     "--failover-hold");
        return ERR_PRECONDITION;
    }
    if (left_ms > 0) {
        (void)poll(NULL, 0, (int)left_ms);
    }
    return repeat_check(o, ei);
}

enum err repeat_create(const struct drill_opts *o, const char *path, struct str body,
                       struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    struct http_header headers[] = {{STR("content-type"), STR("application/json")}};
    enum err err = repeat_request(o, &a, "POST", path, headers, 1, body, NULL, &doc, &status, ei);
    if (err == OK && status != 409) { /* there already: fine */
        err = client_answer_err(status, doc, ei);
    }
    arena_done(&a);
    return err;
}
void repeat_drop_container(struct repeat *r)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    struct errinfo ignored = {0};
    /* Only tidiness: a container left behind is named after the drill. */
    enum err err = repeat_request(r->opts, &a, "DELETE", r->container, NULL, 0, STR(""), NULL, &doc,
                                  &status, &ignored);
    if (err != OK || status >= 400) {
        repeat_say(r->opts, "the drill's container %s was left behind", r->container);
    }
    arena_done(&a);
}
