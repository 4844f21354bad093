/* See feed.h. */
#include "server/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "base/rng.h"
#include "server/admin.h"

enum { CHECK_MS = 200, BODY_SIZE_MAX = 1 << 20 };

struct feed_entry {
    int64_t wall_ms;
    const char *event;
    uint32_t rule;
    char text[FEED_TEXT_SIZE];
};

struct feed_waiter {
    struct list link;
    struct http_req *req;
    uint64_t since;
    usec deadline_us;
};

struct feed {
    struct loop *loop;
    struct loop_timer *timer; /* runs while somebody waits */
    char process[128];
    char instance[20];
    uint64_t next_seq; /* of the next event; 1 is the first */
    struct feed_entry ring[FEED_EVENTS_MAX];
    struct list waiters;
    size_t waiter_count;
};

static uint64_t oldest(const struct feed *f)
{
    return f->next_seq > FEED_EVENTS_MAX ? f->next_seq - FEED_EVENTS_MAX : 1;
}

void feed_json(const struct feed *f, uint64_t since, struct json_out *o)
{
    uint64_t first = since >= oldest(f) ? since + 1 : oldest(f);
    if (since >= f->next_seq) {
        first = f->next_seq; /* of another instance, or of the future */
    }
    json_out_object(o);
    json_out_member_cstr(o, "process", f->process);
    json_out_member_cstr(o, "instance", f->instance);
    json_out_member_u64(o, "oldest", oldest(f));
    json_out_member_u64(o, "last", f->next_seq - 1);
    json_out_member_bool(o, "missed", since + 1 < oldest(f) && since > 0);
    json_out_key(o, "events");
    json_out_array(o);
    for (uint64_t seq = first; seq < f->next_seq; seq++) {
        const struct feed_entry *e = &f->ring[seq % FEED_EVENTS_MAX];
        char when[CLOCK_RFC1123_SIZE];
        clock_format_iso(e->wall_ms, when);
        json_out_object(o);
        json_out_member_u64(o, "seq", seq);
        json_out_member_cstr(o, "time", when);
        json_out_member_i64(o, "wallMs", e->wall_ms);
        json_out_member_cstr(o, "event", e->event);
        json_out_member_u64(o, "rule", e->rule);
        json_out_member_cstr(o, "text", e->text);
        json_out_object_end(o);
    }
    json_out_array_end(o);
    json_out_object_end(o);
}

static void answer(const struct feed *f, struct http_req *req, uint64_t since)
{
    struct buf body;
    struct json_out o;
    buf_init(&body, BODY_SIZE_MAX);
    json_out_init(&o, &body);
    feed_json(f, since, &o);
    admin_respond(req, 200, &body, "application/json");
    buf_done(&body);
}

/* Answers waiters whose time has come: all of them (an event came), or those that are late. */
static void wake(struct feed *f, bool is_all)
{
    usec now = loop_now(f->loop);
    LIST_FOR_SAFE(l, &f->waiters) {
        struct feed_waiter *w = LIST_ENTRY(l, struct feed_waiter, link);
        if (is_all || now >= w->deadline_us) {
            list_remove(l);
            f->waiter_count--;
            answer(f, w->req, w->since);
            mem_free(w);
        }
    }
    if (f->waiter_count == 0) {
        loop_timer_set(f->timer, 0, 0);
    }
}

static void on_timer(void *ctx)
{
    wake(ctx, /* is_all= */ false);
}

struct feed *feed_new(struct loop *loop, const char *process)
{
    struct feed *f = MEM_NEW(struct feed);
    uint64_t id = 0;
    rng_os_bytes(&id, sizeof(id));
    f->loop = loop;
    f->timer = loop_timer_new(loop, on_timer, f);
    f->next_seq = 1;
    (void)snprintf(f->process, sizeof(f->process), "%s", process);
    (void)snprintf(f->instance, sizeof(f->instance), "%016" PRIx64, id);
    list_init(&f->waiters);
    return f;
}

void feed_free(struct feed *f)
{
    if (f) {
        wake(f, /* is_all= */ true);
        loop_timer_free(f->timer);
        mem_free(f);
    }
}

void feed_add(struct feed *f, int64_t wall_ms, const char *event, uint32_t rule, const char *text)
{
    struct feed_entry *e = &f->ring[f->next_seq % FEED_EVENTS_MAX];
    f->next_seq++;
    *e = (struct feed_entry){.wall_ms = wall_ms, .event = event, .rule = rule};
    (void)snprintf(e->text, sizeof(e->text), "%s", text);
    wake(f, /* is_all= */ true);
}

size_t feed_waiting(const struct feed *f)
{
    return f->waiter_count;
}

/* ---- requests ---- */

static bool split_target(struct str target, struct str *ret_query)
{
    struct str path = target;
    *ret_query = STR("");
    (void)str_split(target, '?', &path, ret_query);
    return str_eq(path, STR("/events")) || str_eq(path, STR("/_holdfast/events"));
}

bool feed_is_target(struct str target)
{
    struct str query;
    return split_target(target, &query);
}

enum err feed_parse(struct str target, uint64_t *ret_since, uint64_t *ret_wait_s,
                    struct errinfo *ei)
{
    struct str query;
    uint64_t since = 0;
    uint64_t wait_s = 0;
    (void)split_target(target, &query);
    while (query.n > 0) {
        struct str item = query;
        struct str rest = STR("");
        struct str name;
        struct str value;
        (void)str_split(query, '&', &item, &rest);
        query = rest;
        if (item.n == 0) {
            continue;
        }
        uint64_t number = 0;
        if (!str_split(item, '=', &name, &value) || !str_to_u64(value, &number)) {
            return err_set(ei, ERR_INVALID, "want /events?since=N&wait=SECONDS");
        }
        if (str_eq(name, STR("since"))) {
            since = number;
        } else if (str_eq(name, STR("wait")) && number <= FEED_WAIT_S_MAX) {
            wait_s = number;
        } else {
            return err_set(ei, ERR_INVALID, "want since=N, and wait up to %d seconds",
                           FEED_WAIT_S_MAX);
        }
    }
    *ret_since = since;
    *ret_wait_s = wait_s;
    return OK;
}

void feed_serve(struct feed *f, struct http_req *req)
{
    struct errinfo ei = {0};
    uint64_t since = 0;
    uint64_t wait_s = 0;
    if (feed_parse(req->target, &since, &wait_s, &ei) != OK) {
        admin_respond_error(req, &ei);
        return;
    }
    /* A number of another instance is above ours: everything is new to that reader. */
    since = since >= f->next_seq ? 0 : since;
    if (wait_s == 0 || since + 1 < f->next_seq) {
        answer(f, req, since);
        return;
    }
    if (f->waiter_count == FEED_WAITERS_MAX) {
        err_set(&ei, ERR_BUSY, "%d requests wait for events already", FEED_WAITERS_MAX);
        admin_respond_error(req, &ei);
        return;
    }
    struct feed_waiter *w = MEM_NEW(struct feed_waiter);
    w->req = req;
    w->since = since;
    w->deadline_us = loop_now(f->loop) + wait_s * 1000000;
    list_init(&w->link);
    list_push_back(&f->waiters, &w->link);
    f->waiter_count++;
    loop_timer_set(f->timer, CHECK_MS, CHECK_MS);
}
