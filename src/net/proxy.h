/* A TCP proxy that breaks on purpose, for drills and tests: it stands in a connection between two
 * processes and cuts, silences or slows it while both live on. On a loop's thread. Loopback tool: no
 * authentication, so its control socket belongs on 127.0.0.1 only.
 *
 *   pass       bytes go through
 *   cut        what is connected is reset, what connects is reset at once
 *   blackhole  connections are accepted and stay, and nothing moves in either direction; bytes that
 *              wait arrive when the rule passes again, as they would after a real outage
 *   delay N    bytes arrive N ms later, in both directions
 *   refuse     what is connected is reset, and the address refuses: nobody listens there. (The port
 *              stays its own only when it was bound by number, not as port 0.)
 *
 * Control protocol (proxy_control): one command per line, one answer line each, "ok ..." or
 * "error ...":
 *   add NAME LISTEN UPSTREAM      numeric "host:port" each, port 0 allowed: "ok PORT"
 *   mode NAME pass|cut|blackhole|refuse  NAME may be "*": every rule
 *   mode NAME delay N
 *   list                          "ok NAME=MODE NAME=MODE ..." */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

enum {
    PROXY_RULES_MAX = 256,
    PROXY_CONNS_MAX = 1024, /* per rule; more are reset */
    PROXY_NAME_SIZE = 160,
    PROXY_DELAY_MS_MAX = 60000,
    PROXY_QUEUE_SIZE_MAX = 16 << 20, /* bytes on their way per direction; above it reading waits */
};

enum proxy_mode { PROXY_PASS, PROXY_CUT, PROXY_BLACKHOLE, PROXY_DELAY, PROXY_REFUSE };
const char *proxy_mode_name(enum proxy_mode mode);

struct proxy;
struct proxy *proxy_new(struct loop *loop);
void proxy_free(struct proxy *p); /* closes every connection */

/* Accepts on a listening socket (not closed by the proxy) and forwards to `upstream`, a numeric
 * "host:port". ERR_EXISTS, ERR_INVALID, ERR_LIMIT. */
enum err proxy_rule_add(struct proxy *p, const char *name, int listen_fd, const char *upstream,
                        struct errinfo *ei) MUST_CHECK;
/* `name` "*": all. delay_ms only for PROXY_DELAY. ERR_NOT_FOUND, ERR_INVALID,
 * ERR_IN_USE: somebody took the port of a rule that refused. Done when it returns. */
enum err proxy_set_mode(struct proxy *p, const char *name, enum proxy_mode mode, unsigned delay_ms,
                        struct errinfo *ei) MUST_CHECK;
size_t proxy_conn_count(const struct proxy *p, const char *name); /* 0 for an unknown name */

/* Listens for commands on a socket (not closed). */
void proxy_control(struct proxy *p, int listen_fd);
/* One command line; the answer line (without its end) is appended to `ret_answer`. */
struct buf;
void proxy_command(struct proxy *p, struct str line, struct buf *ret_answer);
