/* The event feed of a process: the last FEED_EVENTS_MAX events, and requests that wait for the next.
 *
 *   GET /events?since=N&wait=S        (also under /_holdfast/events; any key of the account)
 *   {"process":"server/east","instance":"5f0c...","oldest":3,"last":17,"missed":false,
 *    "events":[{"seq":17,"time":"2026-...Z","wallMs":...,"event":"failover","rule":311,"text":"k=v ..."}]}
 *
 * Events with a number above `since` (default 0: all that are kept), oldest first. With `wait` the
 * answer to a request that would be empty comes with the next event, or after S seconds (at most
 * FEED_WAIT_S_MAX) as an empty one. Numbers begin at 1 with each start of a process, which `instance`
 * tells; `missed`: events between `since` and `oldest` are gone. Everything is bounded; a process that
 * is lost loses its feed, so that watchers read the front's, too.
 *
 * Loop thread. */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"
#include "base/types.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "json/json.h"

enum {
    FEED_EVENTS_MAX = 512,
    FEED_WAITERS_MAX = 64,
    FEED_WAIT_S_MAX = 60,
    FEED_TEXT_SIZE = 400,
};

struct feed;
/* process: copied. */
struct feed *feed_new(struct loop *loop, const char *process);
void feed_free(struct feed *f); /* answers who still waits */
/* `event` is a literal. Text is key=value pairs without secrets; what is too long is cut. Wakes who
 * waits. */
void feed_add(struct feed *f, int64_t wall_ms, const char *event, uint32_t rule, const char *text);
bool feed_is_target(struct str target);
/* ERR_INVALID: something else than since and wait, no numbers, or a wait that is too long. */
enum err feed_parse(struct str target, uint64_t *ret_since, uint64_t *ret_wait_s,
                    struct errinfo *ei) MUST_CHECK;
/* An authorised request for it; takes the request over. */
void feed_serve(struct feed *f, struct http_req *req);
void feed_json(const struct feed *f, uint64_t since, struct json_out *o);
size_t feed_waiting(const struct feed *f);
