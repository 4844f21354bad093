/* What became of every write of a repeat, and the regions' own story of it. See repeat.h. */
#include "continuity/drill/repeat.h"

#include <stdio.h>

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
        err = repeat_request(r->opts, &a, "GET", path, headers, carried[0] ? 2 : 1, STR(""),
                             &answer, &doc, &status, ei);
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

enum err repeat_count(struct repeat *r, struct errinfo *ei)
{
    struct look healthy;
    TRY(repeat_wait_settled(r->opts, &healthy, ei));
    TRY(count_feed(r, "docs", "Documents", LEDGER_SURVIVES, ei));
    TRY(count_feed(r, "conflicts", "Conflicts", LEDGER_IN_FEED, ei));
    struct ledger_sum sum;
    ledger_sum(r->ledger, &sum);
    struct load_times t;
    load_times(r->load, &t);
    struct drill_result *res = r->res;
    (void)snprintf(res->new_writer, sizeof(res->new_writer), "%s", t.new_writer);
    res->rto_ms = r->fault.kind->has_second ? ms_between(r->second_us, t.first_ack_us)
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

void repeat_finish_timeline(struct repeat *r)
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
            repeat_say(r->opts, "no events of region %s for the report: %s", region->name,
                       why.message);
        }
        arena_done(&a);
    }
    timeline_sort(t);
}
