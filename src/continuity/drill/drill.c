/* One drill, repeat by repeat. See drill.h.
 *
 *   HEALTHY? -> container -> WARM -> fault -> BROKEN (until writes flow again and hold_ms) ->
 *   heal -> RETURNING (until the region is online again) -> DRAIN -> count
 *
 * Blocking requests are made only while no load runs; during the load everything is on the loop. */
#include "continuity/drill/drill.h"

#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "continuity/drill/fault.h"
#include "continuity/drill/ledger.h"
#include "continuity/drill/load.h"
#include "continuity/drill/look.h"
#include "continuity/drill/timeline.h"
#include "net/http_client.h"
#include "net/loop.h"

enum {
    STEP_MS = 2,
    LOOK_MS = 25,    /* between two looks at the account while the load runs */
    STATUS_MS = 100, /* ... at the lag */
    AFTER_MS = 500,  /* load goes on this long after writes flow again */
    PAGE_ITEMS = 1000,
    DRAIN_MS_MAX = 15000,
};

static const char database[] = "/dbs/holdfast-drill";

static const struct {
    const char *name;
    unsigned hold_ms;
} faults[DRILL_FAULT_COUNT] = {
    [DRILL_KILL] = {"kill", 0},
    [DRILL_PAUSE] = {"pause", 3000},
    [DRILL_CUT] = {"cut", 3000},
    [DRILL_GRACEFUL] = {"graceful", 0},
    [DRILL_BLACKHOLE] = {"blackhole", 3000},
    [DRILL_REFUSE] = {"refuse", 3000},
    [DRILL_DISK_FULL] = {"disk-full", 3000},
    [DRILL_SLOW_DISK] = {"slow-disk", 3000},
    [DRILL_COORDINATOR_KILL] = {"coordinator-kill", 3000},
    [DRILL_FLAP] = {"flap", 20000},
    [DRILL_DOUBLE] = {"double", 0},
    [DRILL_REGION_REMOVE] = {"region-remove", 0},
};

unsigned drill_fault_hold_ms(enum drill_fault f)
{
    ASSERT(f < DRILL_FAULT_COUNT);
    return faults[f].hold_ms;
}

const char *drill_fault_name(enum drill_fault f)
{
    ASSERT(f < DRILL_FAULT_COUNT);
    return faults[f].name;
}

bool drill_fault_parse(struct str s, enum drill_fault *ret)
{
    for (int i = 0; i < DRILL_FAULT_COUNT; i++) {
        if (str_eq(s, str_of(faults[i].name))) {
            *ret = (enum drill_fault)i;
            return true;
        }
    }
    return false;
}

/* ---- one repeat ---- */

enum phase { PHASE_WARM, PHASE_BROKEN, PHASE_RETURNING, PHASE_AFTER, PHASE_DRAIN };

struct repeat {
    const struct drill_opts *opts;
    struct drill_result *res;
    struct fault fault;
    struct look look;
    char container[256];
    char run[64];
    struct ledger *ledger;
    struct load *load;
    struct loop *loop;
    struct loop_timer *step, *look_timer;
    struct http_client *client;
    struct client_signer *signer;
    enum phase drill_phase;
    usec started_us, fault_us, healed_us, back_us, drain_us, ended_us;
    bool is_looking, is_asking_status;
    bool is_second_done; /* double */
    bool is_flapped_down;
    usec next_flap_us;
    usec second_us;
    usec next_status_us;
    uint64_t epoch_before;     /* the fault */
    struct timeline *timeline; /* NULL = not wanted */
    struct errinfo failure;
};

static void say(const struct drill_opts *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(const struct drill_opts *o, const char *fmt, ...)
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

static enum err request(const struct drill_opts *o, struct arena *a, const char *method,
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

static enum err look_now(const struct drill_opts *o, struct look *ret, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    enum err err =
        request(o, &a, "GET", "/_holdfast/account", NULL, 0, STR(""), NULL, &doc, &status, ei);
    if (err == OK) {
        err = client_answer_err(status, doc, ei);
    }
    if (err == OK) {
        look_parse(doc, ret);
    }
    arena_done(&a);
    return err;
}

static enum err wait_healthy(const struct drill_opts *o, struct look *ret, struct errinfo *ei)
{
    usec until = clock_boot_us() + (usec)o->settle_ms * 1000;
    for (;;) {
        struct errinfo last = {0};
        if (look_now(o, ret, &last) == OK && ret->all_online) {
            return OK;
        }
        if (clock_boot_us() > until) {
            err_set(ei, ERR_PRECONDITION, "the account is not healthy: %s",
                    last.code != OK ? last.message : "a region is not online");
            err_hint(ei, "a drill starts from a healthy account; see `holdfast status`");
            return ERR_PRECONDITION;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
}

/* A failover without a confirmed stop makes the next such one wait. Each repeat is to be a fault of its
 * own, not the second half of the one before: it begins when nothing waits any more. */
static enum err wait_unheld(const struct drill_opts *o, const struct look *look, struct errinfo *ei)
{
    bool is_concerned = o->fault == DRILL_PAUSE || o->fault == DRILL_CUT ||
                        o->fault == DRILL_BLACKHOLE || o->fault == DRILL_REFUSE;
    uint64_t left_ms = 0;
    for (size_t i = 0; i < look->count && is_concerned; i++) {
        struct client_request req = {
            .method = "GET", .base = look->regions[i].endpoint, .path = "/_holdfast/status"};
        struct arena a;
        arena_init(&a);
        const struct json *doc = NULL;
        int status = 0;
        uint64_t one_ms = 0;
        struct errinfo ignored = {0};
        /* One that does not answer now says nothing: the account was healthy a moment ago. */
        if (client_call(&o->account, &req, &a, &status, NULL, &doc, &ignored) == OK &&
            json_get_u64(doc, STR("failoverHoldLeftMs"), &one_ms) && one_ms > left_ms) {
            left_ms = one_ms;
        }
        arena_done(&a);
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
    return OK;
}

static enum err create(const struct drill_opts *o, const char *path, struct str body,
                       struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    struct http_header headers[] = {{STR("content-type"), STR("application/json")}};
    enum err err = request(o, &a, "POST", path, headers, 1, body, NULL, &doc, &status, ei);
    if (err == OK && status != 409) { /* there already: fine */
        err = client_answer_err(status, doc, ei);
    }
    arena_done(&a);
    return err;
}

/* ---- on the loop, while the load runs ---- */

static void tell(struct repeat *r, enum timeline_kind kind, const char *who, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void tell(struct repeat *r, enum timeline_kind kind, const char *who, const char *fmt, ...)
{
    if (r->timeline) {
        char text[256];
        va_list args;
        va_start(args, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, args);
        va_end(args);
        timeline_event(r->timeline, timeline_ms(r->timeline, loop_now(r->loop)), kind, who, 0,
                       str_of(text));
    }
}

/* What changed in the account's document since the last look. */
static void note_look(struct repeat *r, const struct look *before)
{
    const struct look *now = &r->look;
    if (!r->timeline) {
        return;
    }
    timeline_writer(r->timeline, loop_now(r->loop), now->is_open ? now->writer : "");
    if (now->epoch != before->epoch) {
        tell(r, TIMELINE_ACCOUNT, "", "epoch %" PRIu64 ", %s writes", now->epoch, now->writer);
    }
    for (size_t i = 0; i < now->count && i < before->count; i++) {
        for (size_t k = 0; k < before->count; k++) {
            if (strcmp(now->regions[i].name, before->regions[k].name) == 0 &&
                strcmp(now->regions[i].state, before->regions[k].state) != 0) {
                tell(r, TIMELINE_ACCOUNT, now->regions[i].name, "%s, was %s", now->regions[i].state,
                     before->regions[k].state);
            }
        }
    }
}

static void on_look(void *ctx, const struct http_client_result *res)
{
    struct repeat *r = ctx;
    r->is_looking = false;
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    if (res->err == OK && res->status == 200 && json_parse(&a, res->body, NULL, &doc, NULL) == OK) {
        struct look before = r->look;
        look_parse(doc, &r->look);
        note_look(r, &before);
    }
    arena_done(&a);
}

static void on_status(void *ctx, const struct http_client_result *res)
{
    struct repeat *r = ctx;
    r->is_asking_status = false;
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    if (res->err == OK && res->status == 200 && json_parse(&a, res->body, NULL, &doc, NULL) == OK) {
        const struct json *regions = json_get(doc, STR("regions"));
        for (size_t i = 0; regions && i < regions->count; i++) {
            struct str name = STR("");
            uint64_t operations = 0;
            uint64_t lag_ms = 0;
            if (json_get_str(regions->items[i], STR("name"), &name) &&
                json_get_u64(regions->items[i], STR("lagOperations"), &operations)) {
                (void)json_get_u64(regions->items[i], STR("lagMs"), &lag_ms);
                timeline_lag(r->timeline, loop_now(r->loop), arena_cstr(&a, name), operations,
                             lag_ms);
            }
        }
    }
    arena_done(&a);
}

static void signed_call(struct repeat *r, const char *endpoint, const char *method,
                        const char *path, struct str body, http_client_done *done)
{
    struct arena a;
    arena_init(&a);
    char date[CLOCK_RFC1123_SIZE];
    clock_format_rfc1123(clock_wall_ms(), date);
    struct http_header headers[] = {
        {STR("x-ms-date"), str_of(date)},
        {STR("authorization"), client_sign(r->signer, &a, method, str_of(path), date)},
        {STR("content-type"), STR("application/json")},
    };
    struct str base = str_of(endpoint);
    if (base.n > 0 && base.p[base.n - 1] == '/') {
        base.n--;
    }
    struct http_client_req req = {
        .method = method,
        .url = arena_cstr(&a, arena_printf(&a, STR_FMT "%s", STR_ARG(base), path)),
        .headers = headers,
        .header_count = ARRAY_COUNT(headers),
        .body = body,
        .timeout_ms = 2000,
        .ca_file = r->opts->account.ca};
    (void)http_client_start(r->client, &req, done, r);
    arena_done(&a);
}

static void on_look_timer(void *ctx)
{
    struct repeat *r = ctx;
    if (!r->is_looking && r->drill_phase != PHASE_DRAIN) {
        r->is_looking = true;
        signed_call(r, r->opts->account.endpoint, "GET", "/_holdfast/account", STR(""), on_look);
    }
    const char *writer = look_endpoint(&r->look, r->look.writer);
    usec now = loop_now(r->loop);
    if (r->timeline && !r->is_asking_status && writer && now >= r->next_status_us &&
        r->drill_phase != PHASE_DRAIN) {
        r->is_asking_status = true;
        r->next_status_us = now + (usec)STATUS_MS * 1000;
        signed_call(r, writer, "GET", "/_holdfast/status", STR(""), on_status);
    }
}

static void stop(struct repeat *r)
{
    loop_stop(r->loop);
}

static void on_operated(void *ctx, const struct http_client_result *res)
{
    struct repeat *r = ctx;
    if (res->err != OK || res->status >= 300) {
        err_set(&r->failure, ERR_PRECONDITION, "the account refused it (HTTP %d): " STR_FMT,
                res->status, STR_ARG(str_slice(res->body, 0, 200)));
        stop(r);
    }
}

/* An operator's request: what comes of it is seen in the account's document. */
static void operate(struct repeat *r, const char *path, const char *region)
{
    char body[128];
    (void)snprintf(body, sizeof(body), "{\"region\":\"%s\"}", region);
    signed_call(r, r->opts->account.endpoint, "POST", path, str_of(body), on_operated);
}

/* First by priority that is not the writer; NULL = none. */
static const char *next_writer(const struct look *look)
{
    for (size_t i = 0; i < look->count; i++) {
        if (strcmp(look->regions[i].name, look->writer) != 0 && look->regions[i].is_online) {
            return look->regions[i].name;
        }
    }
    return NULL;
}

static void begin_fault(struct repeat *r)
{
    load_fault(r->load);
    r->fault_us = loop_now(r->loop);
    r->epoch_before = r->look.epoch;
    tell(r, TIMELINE_DRILL, r->fault.region, "fault: %s", drill_fault_name(r->opts->fault));
    if (r->opts->fault == DRILL_GRACEFUL) {
        const char *to = next_writer(&r->look);
        operate(r, "/_holdfast/account/failover", to ? to : "");
    } else if (r->opts->fault == DRILL_REGION_REMOVE) {
        operate(r, "/_holdfast/account/regions/remove", r->fault.region);
    } else if (fault_begin(&r->fault, &r->failure) != OK) {
        stop(r);
    }
}

static enum err end_fault(struct repeat *r)
{
    if (r->opts->fault == DRILL_REGION_REMOVE) {
        operate(r, "/_holdfast/account/regions/add", r->fault.region);
        return OK;
    }
    return fault_end(&r->fault, &r->failure);
}

/* Writes go on without the region under fault, as far as that fault stops them at all. */
static bool is_flowing_again(const struct repeat *r, const struct load_times *t)
{
    enum drill_fault kind = r->opts->fault;
    if (kind == DRILL_COORDINATOR_KILL || kind == DRILL_FLAP) {
        return true; /* the hold time decides */
    }
    if (kind == DRILL_REGION_REMOVE) {
        return r->look.is_known && look_endpoint(&r->look, r->fault.region) == NULL;
    }
    if (kind == DRILL_DOUBLE) {
        return r->is_second_done && t->first_ack_us != 0;
    }
    /* A read region lost: writes never stop, or pause for a moment: the hold time decides. */
    bool was_writer =
        strcmp(r->fault.region, load_writer(r->load)) == 0 || t->first_ack_elsewhere_us != 0;
    return t->first_ack_elsewhere_us != 0 || !was_writer;
}

/* What the fault does while it lasts. */
static void keep_breaking(struct repeat *r, usec now)
{
    enum err err = OK;
    if (r->opts->fault == DRILL_DOUBLE && !r->is_second_done && r->look.is_known &&
        strcmp(r->look.writer, r->fault.region) != 0) {
        r->is_second_done = true;
        tell(r, TIMELINE_DRILL, r->look.writer, "second fault: kill, while it takes over");
        load_fault(r->load);
        r->second_us = now;
        err = fault_second(&r->fault, r->look.writer, &r->failure);
    } else if (r->opts->fault == DRILL_FLAP && now >= r->next_flap_us) {
        r->is_flapped_down = !r->is_flapped_down;
        r->next_flap_us = now + (usec)r->opts->flap_ms * 1000;
        tell(r, TIMELINE_DRILL, r->fault.region, "links %s", r->is_flapped_down ? "cut" : "healed");
        err = fault_flap(&r->fault, r->is_flapped_down, &r->failure);
    }
    if (err != OK) {
        stop(r);
    }
}

static void step(void *ctx)
{
    struct repeat *r = ctx;
    const struct drill_opts *o = r->opts;
    usec now = loop_now(r->loop);
    struct load_times t;
    load_times(r->load, &t);
    bool is_late =
        now - r->started_us > ((usec)o->warm_ms + (usec)o->hold_ms + (usec)o->settle_ms * 2) * 1000;
    switch (r->drill_phase) {
    case PHASE_WARM:
        if (now - r->started_us >= (usec)o->warm_ms * 1000 && t.acked > 0) {
            r->drill_phase = PHASE_BROKEN;
            r->is_flapped_down = true;
            r->next_flap_us = now + (usec)o->flap_ms * 1000;
            begin_fault(r);
        } else if (is_late) {
            err_set(&r->failure, ERR_TIMEOUT, "no write was acknowledged before the fault");
            stop(r);
        }
        break;
    case PHASE_BROKEN:
        if ((is_flowing_again(r, &t) && now - r->fault_us >= (usec)o->hold_ms * 1000) || is_late) {
            if (end_fault(r) != OK) {
                stop(r);
                return;
            }
            /* A killed server is started again by its supervisor at once. */
            bool heals_itself =
                o->fault == DRILL_KILL || o->fault == DRILL_GRACEFUL || o->fault == DRILL_DOUBLE;
            r->healed_us = heals_itself ? r->fault_us : now;
            if (!heals_itself && o->fault != DRILL_COORDINATOR_KILL) {
                bool is_added = o->fault == DRILL_REGION_REMOVE;
                tell(r, TIMELINE_DRILL, r->fault.region, is_added ? "added again" : "healed");
            }
            r->look.all_online = false; /* what was seen before the healing does not count */
            r->drill_phase = PHASE_RETURNING;
        } else {
            keep_breaking(r, now);
        }
        break;
    case PHASE_RETURNING:
        if ((r->look.all_online && look_is_online(&r->look, r->fault.region)) || is_late) {
            r->back_us = r->look.all_online ? now : 0;
            r->drill_phase = PHASE_AFTER;
        }
        break;
    case PHASE_AFTER:
        if (r->back_us == 0 || now - r->back_us >= (usec)AFTER_MS * 1000) {
            r->drill_phase = PHASE_DRAIN;
            r->drain_us = now;
        }
        break;
    case PHASE_DRAIN:
        if ((load_stop(r->load) && !r->is_looking && !r->is_asking_status) ||
            now - r->drain_us > (usec)DRAIN_MS_MAX * 1000) {
            stop(r);
        }
        break;
    }
}

/* ---- counting ---- */

static enum err count_feed(struct repeat *r, const char *feed, const char *key,
                           enum ledger_mark mark, struct errinfo *ei)
{
    char path[400];
    (void)snprintf(path, sizeof(path), "%s/%s", r->container, feed);
    struct arena a;
    arena_init(&a);
    char carried[4096] = "";
    enum err err = OK;
    do {
        struct http_header headers[] = {{STR("x-ms-max-item-count"), STR("1000")},
                                        {STR("x-ms-continuation"), str_of(carried)}};
        const struct json *doc = NULL;
        struct str answer = STR("");
        int status = 0;
        arena_reset(&a);
        err = request(r->opts, &a, "GET", path, headers, carried[0] ? 2 : 1, STR(""), &answer, &doc,
                      &status, ei);
        if (err == OK) {
            err = client_answer_err(status, doc, ei);
        }
        const struct json *rows = err == OK ? json_get(doc, str_of(key)) : NULL;
        for (size_t i = 0; rows && i < rows->count; i++) {
            struct str id = STR("");
            struct str content = STR("");
            const struct json *item = rows->items[i];
            if (mark == LEDGER_IN_FEED && json_get_str(item, STR("content"), &content)) {
                if (json_parse(&a, content, NULL, &item, NULL) != OK) {
                    continue;
                }
            }
            uint64_t number = 0;
            if (json_get_str(item, STR("id"), &id) && ledger_number(id, str_of(r->run), &number)) {
                ledger_mark(r->ledger, number, mark);
            }
        }
        struct str continuation = client_header(answer, STR("x-ms-continuation"));
        (void)snprintf(carried, sizeof(carried), STR_FMT, STR_ARG(continuation));
    } while (err == OK && carried[0]);
    arena_done(&a);
    return err;
}

static int64_t ms_between(usec from, usec to)
{
    return from == 0 || to == 0 || to < from ? -1 : (int64_t)((to - from + 500) / 1000);
}

static enum err count(struct repeat *r, struct errinfo *ei)
{
    struct look healthy;
    TRY(wait_healthy(r->opts, &healthy, ei));
    TRY(count_feed(r, "docs", "Documents", LEDGER_SURVIVES, ei));
    TRY(count_feed(r, "conflicts", "Conflicts", LEDGER_IN_FEED, ei));
    struct ledger_sum sum;
    ledger_sum(r->ledger, &sum);
    struct load_times t;
    load_times(r->load, &t);
    struct drill_result *res = r->res;
    (void)snprintf(res->new_writer, sizeof(res->new_writer), "%s", t.new_writer);
    res->rto_ms = r->opts->fault == DRILL_DOUBLE
                      ? ms_between(r->second_us, t.first_ack_us)
                      : ms_between(r->fault_us, t.first_ack_elsewhere_us);
    res->writer_changes = healthy.epoch > r->epoch_before ? healthy.epoch - r->epoch_before : 0;
    res->client_rto_ms = (int64_t)(t.longest_write_gap_us / 1000);
    res->read_rto_ms = (int64_t)(t.longest_read_gap_us / 1000);
    res->rejoin_ms = ms_between(r->healed_us, r->back_us);
    res->acked = sum.acked;
    res->surviving = sum.surviving;
    res->in_feed = sum.in_feed;
    res->lost = sum.lost;
    res->unknown = sum.unknown;
    res->unknown_surviving = sum.unknown_found;
    res->errors = t.errors + sum.refused_found; /* "not applied", and there all the same */
    return OK;
}

/* ---- the regions' own story ---- */

static void take_events(struct repeat *r, const char *region, const struct json *events)
{
    struct timeline *t = r->timeline;
    for (size_t i = 0; events && i < events->count; i++) {
        const struct json *e = events->items[i];
        struct str kind = STR("");
        struct str text = STR("");
        uint64_t wall_ms = 0;
        uint64_t rule = 0;
        (void)json_get_str(e, STR("event"), &kind);
        (void)json_get_str(e, STR("text"), &text);
        (void)json_get_u64(e, STR("rule"), &rule);
        (void)json_get_u64(e, STR("wallMs"), &wall_ms);
        int64_t at_ms = (int64_t)wall_ms - t->start_wall_ms;
        /* State changes are in the account's document already, once instead of once per region. */
        if (at_ms < 0 || at_ms > timeline_ms(t, r->ended_us) || str_eq(kind, STR("region_state"))) {
            continue;
        }
        char line[300];
        (void)snprintf(line, sizeof(line), STR_FMT ": " STR_FMT, STR_ARG(kind), STR_ARG(text));
        timeline_event(t, at_ms, TIMELINE_REGION, region, (uint32_t)rule, str_of(line));
    }
}

static void finish_timeline(struct repeat *r)
{
    struct timeline *t = r->timeline;
    if (!t) {
        return;
    }
    t->end_ms = timeline_ms(t, r->ended_us);
    t->fault_ms = r->fault_us != 0 ? timeline_ms(t, r->fault_us) : -1;
    t->healed_ms = r->healed_us != 0 ? timeline_ms(t, r->healed_us) : -1;
    t->back_ms = r->back_us != 0 ? timeline_ms(t, r->back_us) : -1;
    for (size_t i = 0; i < r->fault.region_count; i++) {
        const struct fault_region *region = &r->fault.regions[i];
        struct client_request req = {
            .method = "GET", .base = region->endpoint, .path = "/_holdfast/events"};
        struct arena a;
        arena_init(&a);
        const struct json *doc = NULL;
        int status = 0;
        struct errinfo why = {0};
        if (client_call(&r->opts->account, &req, &a, &status, NULL, &doc, &why) == OK &&
            status == 200) {
            take_events(r, region->name, json_get(doc, STR("events")));
        } else {
            say(r->opts, "no events of region %s for the report: %s", region->name, why.message);
        }
        arena_done(&a);
    }
    timeline_sort(t);
}

/* ---- a repeat from end to end ---- */

static enum err prepare(struct repeat *r, unsigned number, struct errinfo *ei)
{
    const struct drill_opts *o = r->opts;
    TRY(wait_healthy(o, &r->look, ei));
    TRY(wait_unheld(o, &r->look, ei));
    TRY(wait_healthy(o, &r->look, ei));
    /* The write region, unless it is one that can be removed: the last of the others. */
    const char *usual = r->look.writer;
    for (size_t i = 0; i < r->look.count && o->fault == DRILL_REGION_REMOVE; i++) {
        bool is_other = strcmp(r->look.regions[i].name, r->look.writer) != 0;
        usual = is_other ? r->look.regions[i].name : usual;
    }
    const char *region = o->region && o->region[0] ? o->region : usual;
    r->fault.kind = o->fault;
    r->fault.account = &o->account;
    r->fault.disk_delay_ms = o->disk_delay_ms;
    r->fault.link_delay_ms = o->link_delay_ms;
    (void)snprintf(r->fault.region, sizeof(r->fault.region), "%s", region);
    for (size_t i = 0; i < r->look.count; i++) {
        struct fault_region *to = &r->fault.regions[i];
        (void)snprintf(to->name, sizeof(to->name), "%s", r->look.regions[i].name);
        (void)snprintf(to->endpoint, sizeof(to->endpoint), "%s", r->look.regions[i].endpoint);
    }
    r->fault.region_count = r->look.count;
    if (!look_endpoint(&r->look, region)) {
        return err_set(ei, ERR_NOT_FOUND, "the account has no region '%s'", region);
    }
    bool needs_writer = o->fault == DRILL_GRACEFUL || o->fault == DRILL_DOUBLE;
    if (needs_writer && strcmp(region, r->look.writer) != 0) {
        return err_set(ei, ERR_INVALID, "fault %s starts at the write region, which is %s",
                       drill_fault_name(o->fault), r->look.writer);
    }
    (void)snprintf(r->res->level, sizeof(r->res->level), "%s", r->look.level);
    (void)snprintf(r->res->region, sizeof(r->res->region), "%s", region);
    TRY(fault_prepare(&r->fault, ei));
    (void)snprintf(r->run, sizeof(r->run), "d%u-%" PRId64, number, clock_wall_ms());
    (void)snprintf(r->container, sizeof(r->container), "%s/colls/%s", database, r->run);
    char body[256];
    TRY(create(o, "/dbs", STR("{\"id\":\"holdfast-drill\"}"), ei));
    (void)snprintf(
        body, sizeof(body),
        "{\"id\":\"%s\",\"partitionKey\":{\"paths\":[\"/pk\"],\"kind\":\"Hash\",\"version\":2}}",
        r->run);
    char colls[64];
    (void)snprintf(colls, sizeof(colls), "%s/colls", database);
    return create(o, colls, str_of(body), ei);
}

static void on_acked(void *ctx)
{
    const struct repeat *r = ctx;
    if (r->timeline) {
        timeline_ack(r->timeline, loop_now(r->loop));
    }
}

static enum err run_load(struct repeat *r, struct errinfo *ei)
{
    const struct drill_opts *o = r->opts;
    struct load_opts lo = {.account = &o->account,
                           .container = r->container,
                           .run = r->run,
                           .read_first = r->fault.region,
                           .writes_per_s = o->writes_per_s,
                           .connections = o->connections,
                           .write_timeout_ms = o->write_timeout_ms,
                           .ledger = r->ledger,
                           .acked = on_acked,
                           .acked_ctx = r};
    r->load = load_new(r->loop, &lo, ei);
    r->signer = r->load ? client_signer_new(o->account.key, ei) : NULL;
    if (!r->signer) {
        return ERR_INVALID;
    }
    r->client = http_client_new(r->loop);
    r->step = loop_timer_new(r->loop, step, r);
    r->look_timer = loop_timer_new(r->loop, on_look_timer, r);
    r->started_us = loop_now(r->loop);
    r->res->started_wall_ms = clock_wall_ms();
    if (r->timeline) {
        r->timeline->start_us = r->started_us;
        r->timeline->start_wall_ms = r->res->started_wall_ms;
        for (size_t i = 0; i < r->look.count; i++) { /* the same colours in every picture */
            (void)timeline_region(r->timeline, r->look.regions[i].name);
        }
        timeline_writer(r->timeline, r->started_us, r->look.writer);
    }
    load_start(r->load);
    loop_timer_set(r->step, STEP_MS, STEP_MS);
    loop_timer_set(r->look_timer, LOOK_MS, LOOK_MS);
    loop_run(r->loop);
    r->ended_us = loop_now(r->loop);
    if (r->failure.code != OK) {
        struct errinfo ignored = {0};
        /* Leave nothing frozen or cut behind; the first failure is the one to tell. */
        if (fault_end(&r->fault, &ignored) != OK) {
            say(o, "the fault could not be undone: %s", ignored.message);
        }
        if (o->fault == DRILL_REGION_REMOVE && !look_endpoint(&r->look, r->fault.region)) {
            say(o, "region %s is not in the account now: `holdfast account regions add %s`",
                r->fault.region, r->fault.region);
        }
        *ei = r->failure;
        return r->failure.code;
    }
    return OK;
}

static void drop_container(struct repeat *r)
{
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    int status = 0;
    struct errinfo ignored = {0};
    /* Only tidiness: a container left behind is named after the drill. */
    enum err err = request(r->opts, &a, "DELETE", r->container, NULL, 0, STR(""), NULL, &doc,
                           &status, &ignored);
    if (err != OK || status >= 400) {
        say(r->opts, "the drill's container %s was left behind", r->container);
    }
    arena_done(&a);
}

static void repeat_done(struct repeat *r)
{
    if (r->load) {
        while (!load_stop(r->load)) { /* failed on the way: let what is in flight end */
            loop_timer_set(r->step, STEP_MS, STEP_MS);
            r->drill_phase = PHASE_DRAIN;
            loop_run(r->loop);
        }
    }
    if (r->step) {
        loop_timer_free(r->step);
        loop_timer_free(r->look_timer);
    }
    if (r->client) {
        http_client_free(r->client);
    }
    load_free(r->load);
    client_signer_free(r->signer);
    ledger_free(r->ledger);
    loop_free(r->loop);
    mem_free(r);
}

static enum err run_repeat(const struct drill_opts *o, unsigned number, struct drill_result *res,
                           struct errinfo *ei)
{
    struct repeat *r = MEM_NEW(struct repeat);
    r->opts = o;
    r->res = res;
    r->loop = loop_new();
    r->ledger = ledger_new(DRILL_WRITES_MAX);
    memset(res, 0, sizeof(*res));
    res->rto_ms = res->client_rto_ms = res->read_rto_ms = res->rejoin_ms = -1;
    if (o->wants_timeline && number < DRILL_TIMELINES_MAX) {
        r->timeline = res->timeline = timeline_new(0, 0);
    }
    enum err err = prepare(r, number, ei);
    if (err == OK) {
        say(o, "repeat %u: %s of %s", number + 1, drill_fault_name(o->fault), r->fault.region);
        err = run_load(r, ei);
    }
    if (err == OK) {
        finish_timeline(r);
        err = count(r, ei);
        drop_container(r);
    }
    if (err == OK && o->fault == DRILL_REGION_REMOVE && o->account.fault_proxy[0]) {
        say(o, "links of region %s go past the fault proxy now, until `up` is started again",
            r->fault.region);
    }
    struct errinfo ignored = {0};
    if (fault_done(&r->fault, err == OK ? ei : &ignored) != OK && err == OK) {
        err = ei->code;
    }
    if (err != OK) {
        timeline_free(res->timeline);
        res->timeline = NULL;
    }
    repeat_done(r);
    return err;
}

enum err drill_run(const struct drill_opts *opts, struct drill_result *ret, unsigned *ret_done,
                   struct errinfo *ei)
{
    ASSERT(opts->repeats <= DRILL_REPEATS_MAX);
    *ret_done = 0;
    for (unsigned i = 0; i < opts->repeats; i++) {
        TRY(run_repeat(opts, i, &ret[i], ei));
        *ret_done = i + 1;
        say(opts,
            "repeat %u: writes again after %" PRId64 " ms, client gap %" PRId64
            " ms, acknowledged %" PRIu64 ", in feed %" PRIu64 ", lost %" PRIu64,
            i + 1, ret[i].rto_ms, ret[i].client_rto_ms, ret[i].acked, ret[i].in_feed, ret[i].lost);
    }
    return OK;
}

static int compare_i64(const void *a, const void *b)
{
    const int64_t *x = a;
    const int64_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

int64_t drill_percentile(const int64_t *values, size_t n, unsigned p)
{
    int64_t *sorted = MEM_NEW_ARRAY(int64_t, n + 1);
    size_t count_valid = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i] >= 0) {
            sorted[count_valid++] = values[i];
        }
    }
    int64_t ret = -1;
    if (count_valid > 0) {
        qsort(sorted, count_valid, sizeof(sorted[0]), compare_i64);
        size_t at = (count_valid * p + 99) / 100; /* nearest rank */
        ret = sorted[at > 0 ? at - 1 : 0];
    }
    mem_free(sorted);
    return ret;
}
