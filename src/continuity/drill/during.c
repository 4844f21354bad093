/* What a repeat does on its loop while the load runs: looks at the account, breaks, heals, and sees when
 * it is over. See repeat.h. */
#include "continuity/drill/repeat.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
    STATUS_MS = 100, /* between two looks at the lag */
    AFTER_MS = 500,  /* load goes on this long after writes flow again */
    DRAIN_MS_MAX = 15000,
};

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

void repeat_look(void *ctx)
{
    struct repeat *r = ctx;
    if (!r->is_looking && r->phase != PHASE_DRAIN) {
        r->is_looking = true;
        signed_call(r, r->opts->account.endpoint, "GET", "/_holdfast/account", STR(""), on_look);
    }
    const char *writer = look_endpoint(&r->look, r->look.writer);
    usec now = loop_now(r->loop);
    if (r->timeline && !r->is_asking_status && writer && now >= r->next_status_us &&
        r->phase != PHASE_DRAIN) {
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
    const struct fault_kind *kind = r->fault.kind;
    tell(r, TIMELINE_DRILL, r->fault.region, "fault: %s", kind->name);
    if (kind->ask_begin != NULL) {
        const char *to = kind->asks_for_next ? next_writer(&r->look) : r->fault.region;
        operate(r, kind->ask_begin, to ? to : "");
    } else if (fault_begin(&r->fault, &r->failure) != OK) {
        stop(r);
    }
}

static enum err end_fault(struct repeat *r, usec now)
{
    const struct fault_kind *kind = r->fault.kind;
    if (kind->ask_end != NULL) {
        operate(r, kind->ask_end, r->fault.region);
    } else {
        TRY(fault_end(&r->fault, &r->failure));
    }
    r->healed_us = kind->heals_itself ? r->fault_us : now;
    if (kind->healed != NULL) {
        tell(r, TIMELINE_DRILL, r->fault.region, "%s", kind->healed);
    }
    r->look.all_online = false; /* what was seen before the healing does not count */
    return OK;
}

/* Writes go on without the region under fault, as far as that fault stops them at all. */
static bool is_flowing_again(const struct repeat *r, const struct load_times *t)
{
    const struct fault_kind *kind = r->fault.kind;
    if (kind->is_held) {
        return true;
    }
    if (kind->removes_region) {
        return r->look.is_known && look_endpoint(&r->look, r->fault.region) == NULL;
    }
    if (kind->has_second) {
        return r->is_second_done && t->first_ack_us != 0;
    }
    /* A read region lost: writes never stop, or pause for a moment: the hold time decides. */
    bool was_writer =
        strcmp(r->fault.region, load_writer(r->load)) == 0 || t->first_ack_elsewhere_us != 0;
    return t->first_ack_elsewhere_us != 0 || !was_writer;
}

/* Without the coordinator the account looks well until its lease is over: it is back when the next process
 * is there and writes that came after are acknowledged. */
static bool has_come_back(struct repeat *r, const struct load_times *t, usec now)
{
    if (!r->fault.kind->takes_coordinator) {
        return true;
    }
    if (r->replaced_us == 0 && fault_is_replaced(&r->fault)) {
        r->replaced_us = now;
    }
    return r->replaced_us != 0 && t->last_ack_us > r->replaced_us;
}

/* What the fault does while it lasts. */
static void keep_breaking(struct repeat *r, usec now)
{
    enum err err = OK;
    if (r->fault.kind->has_second && !r->is_second_done && r->look.is_known &&
        strcmp(r->look.writer, r->fault.region) != 0) {
        r->is_second_done = true;
        tell(r, TIMELINE_DRILL, r->look.writer, "second fault: kill, while it takes over");
        load_fault(r->load);
        r->second_us = now;
        err = fault_second(&r->fault, r->look.writer, &r->failure);
    } else if (r->fault.kind->is_repeated && now >= r->next_flap_us) {
        r->is_flapped_down = !r->is_flapped_down;
        r->next_flap_us = now + (usec)r->opts->flap_ms * 1000;
        tell(r, TIMELINE_DRILL, r->fault.region, "links %s", r->is_flapped_down ? "cut" : "healed");
        err = fault_flap(&r->fault, r->is_flapped_down, &r->failure);
    }
    if (err != OK) {
        stop(r);
    }
}

void repeat_step(void *ctx)
{
    struct repeat *r = ctx;
    const struct drill_opts *o = r->opts;
    usec now = loop_now(r->loop);
    struct load_times t;
    load_times(r->load, &t);
    if (r->failure.code == OK && repeat_check(o, &r->failure) != OK) {
        stop(r);
        return;
    }
    bool is_late =
        now - r->started_us > ((usec)o->warm_ms + (usec)o->hold_ms + (usec)o->settle_ms * 2) * 1000;
    switch (r->phase) {
    case PHASE_WARM:
        if (now - r->started_us >= (usec)o->warm_ms * 1000 && t.acked > 0) {
            r->phase = PHASE_BROKEN;
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
            if (end_fault(r, now) != OK) {
                stop(r);
                return;
            }
            r->phase = PHASE_RETURNING;
        } else {
            keep_breaking(r, now);
        }
        break;
    case PHASE_RETURNING:
        if (!is_late && !has_come_back(r, &t, now)) {
            break;
        }
        if ((r->look.all_online && look_is_online(&r->look, r->fault.region) &&
             !(r->fault.kind->spoils_partition && r->look.has_moved_parts)) ||
            is_late) {
            r->back_us = r->look.all_online ? now : 0;
            r->phase = PHASE_AFTER;
        }
        break;
    case PHASE_AFTER:
        if (r->back_us == 0 || now - r->back_us >= (usec)AFTER_MS * 1000) {
            r->phase = PHASE_DRAIN;
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
