/* The ring of events and the paths of operator endpoints. */
#include "server/admin.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "lib/t.h"

static struct admin_events events; /* too large for the stack */

static void add(unsigned rule, const char *text)
{
    struct region_event ev = {.kind = EVENT_ROLE, .rule = rule};
    (void)snprintf(ev.text, sizeof(ev.text), "%s", text);
    admin_event(&events, &ev);
}

static void add_many(unsigned count)
{
    log_set_level(LOG_LEVEL_ERROR); /* each is logged, too */
    admin_events_init(&events);
    for (unsigned i = 1; i <= count; i++) {
        add(i, "from=A to=B");
    }
}

/* Sequence numbers of the events after `since`: how many, first, last. */
static size_t look(uint64_t since, uint64_t *ret_first, uint64_t *ret_last)
{
    struct buf text;
    struct json_out o;
    struct arena a;
    buf_init(&text, 1 << 20);
    json_out_init(&o, &text);
    admin_events_json(&events, since, &o);
    t_check(buf_ok(&text));
    arena_init(&a);
    const struct json *doc = NULL;
    t_ok(json_parse(&a, buf_str(&text), NULL, &doc, NULL));
    t_check(doc->type == JSON_ARRAY);
    *ret_first = *ret_last = 0;
    size_t count = doc->count;
    for (size_t i = 0; i < count; i++) {
        uint64_t seq = 0;
        uint64_t rule = 0;
        t_check(json_get_u64(doc->items[i], STR("seq"), &seq));
        t_check(json_get_u64(doc->items[i], STR("rule"), &rule));
        t_eq_u64(rule, seq); /* the slot holds this event and no other */
        t_check(i == 0 || seq == *ret_last + 1);
        *ret_first = i == 0 ? seq : *ret_first;
        *ret_last = seq;
    }
    arena_done(&a);
    buf_done(&text);
    return count;
}

T_TEST("events are numbered from 1, and SINCE leaves out what was seen")
{
    uint64_t first = 0;
    uint64_t last = 0;
    add_many(0);
    t_eq_u64(look(0, &first, &last), 0);
    add_many(5);
    t_eq_u64(look(0, &first, &last), 5);
    t_check(first == 1 && last == 5);
    t_eq_u64(look(3, &first, &last), 2);
    t_check(first == 4 && last == 5);
    t_eq_u64(look(5, &first, &last), 0);
    t_eq_u64(look(6, &first, &last), 0);
    t_eq_u64(look(UINT64_MAX, &first, &last), 0);
}

T_TEST("a full ring holds exactly its size, the newest ones")
{
    uint64_t first = 0;
    uint64_t last = 0;
    add_many(ADMIN_EVENTS_MAX);
    t_eq_u64(look(0, &first, &last), ADMIN_EVENTS_MAX);
    t_eq_u64(first, 1);
    add_many(ADMIN_EVENTS_MAX + 1);
    t_eq_u64(look(0, &first, &last), ADMIN_EVENTS_MAX);
    t_check(first == 2 && last == ADMIN_EVENTS_MAX + 1);
    t_eq_u64(look(1, &first, &last), ADMIN_EVENTS_MAX);
    t_eq_u64(look(2, &first, &last), ADMIN_EVENTS_MAX - 1);
    add_many(3 * ADMIN_EVENTS_MAX + 7);
    t_eq_u64(look(0, &first, &last), ADMIN_EVENTS_MAX);
    t_eq_u64(last, 3 * ADMIN_EVENTS_MAX + 7);
}

T_TEST("the answer has room for a ring of the longest texts that must be escaped")
{
    uint64_t first = 0;
    uint64_t last = 0;
    log_set_level(LOG_LEVEL_ERROR);
    admin_events_init(&events);
    char text[sizeof(events.ring[0].ev.text)];
    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    for (unsigned i = 1; i <= ADMIN_EVENTS_MAX; i++) {
        add(i, text);
    }
    t_eq_u64(look(0, &first, &last), ADMIN_EVENTS_MAX);
}

T_TEST("every kind of event has a name of its own")
{
    for (unsigned a = 0; a <= EVENT_LSN_BLOCK; a++) {
        t_check(strcmp(admin_event_name((enum region_event_kind)a), "event") != 0);
        for (unsigned b = 0; b < a; b++) {
            t_check(strcmp(admin_event_name((enum region_event_kind)a),
                           admin_event_name((enum region_event_kind)b)) != 0);
        }
    }
    t_eq_cstr(admin_event_name((enum region_event_kind)999), "event");
}

static bool is_ours(const char *target, bool *ret_needs_key)
{
    struct http_req req = {.target = str_of(target)};
    *ret_needs_key = admin_needs_key(&req);
    return admin_is_ours(&req);
}

T_TEST("health and metrics need no key, everything else of ours does, the rest is the data plane's")
{
    bool needs_key = false;
    t_check(is_ours("/health/live", &needs_key) && !needs_key);
    t_check(is_ours("/metrics", &needs_key) && !needs_key);
    t_check(is_ours("/_holdfast/status", &needs_key) && needs_key);
    t_check(!is_ours("/", &needs_key) && !needs_key);
    t_check(!is_ours("/dbs/metrics", &needs_key));
    t_check(!is_ours("/metricsx", &needs_key));
    t_check(!is_ours("", &needs_key));
}

T_MAIN()
