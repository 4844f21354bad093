/* Names of events, and the paths of operator endpoints. */
#include "server/admin.h"

#include <string.h>
#include <unistd.h>

#include "../net/raw_http.h"
#include "base/contract.h"
#include "net/http_server.h"
#include "net/sockets.h"

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

static void answer_too_much(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    struct buf body;
    buf_init(&body, 100);
    for (int i = 0; i < 100; i++) {
        buf_add_cstr(&body, "{}");
    }
    admin_respond(req, 200, &body, "application/json");
    buf_done(&body);
}

T_TEST("an answer that became too long is an error, not the end of the server")
{
    int fd = -1;
    uint16_t port = 0;
    struct http_server *server = NULL;
    struct http_server_opts opts = {.handler = answer_too_much};
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_ok(http_server_new(&opts, &server, NULL));
    t_ok(http_server_listen(server, fd, "x", NULL));
    struct raw_conn c = raw_connect(port);
    struct raw_response r = {0};
    raw_send(&c, "GET /_holdfast/partitions HTTP/1.1\r\nHost: h\r\n\r\n");
    t_check(raw_read(&c, /* has_body= */ true, &r));
    t_eq_int(r.status, 500);
    t_contains(str_of(r.body), "the answer is longer than 100 bytes");
    raw_response_done(&r);
    raw_close(&c);
    http_server_free(server, 1000);
    t_check(close(fd) == 0);
}

T_MAIN()
