/* Names of events, and the paths of operator endpoints. */
#include "server/admin.h"

#include <string.h>

#include "lib/t.h"

T_TEST("every kind of event has a name of its own")
{
    for (unsigned a = 0; a <= EVENT_HELD_BACK; a++) {
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
    t_check(is_ours("/events?since=4", &needs_key) && needs_key);
    t_check(!is_ours("/eventss", &needs_key));
    t_check(!is_ours("/", &needs_key) && !needs_key);
    t_check(!is_ours("/dbs/metrics", &needs_key));
    t_check(!is_ours("/metricsx", &needs_key));
    t_check(!is_ours("", &needs_key));
}

T_MAIN()
