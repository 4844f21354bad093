/* HTTP/1.1 server (libmicrohttpd behind it).
 *
 * The server collects a request whole (method, raw target, headers, body up to a cap), calls the
 * handler on one of its own threads, and sends what http_respond() is given: at once, or later from
 * any thread (the connection is suspended meanwhile; it has no timer of its own, so whoever keeps a
 * request must answer by its own deadline).
 *
 * What the HTTP layer refuses itself (body or headers too large, a body whose end is ambiguous, a
 * target that does not begin with a slash or has a blank, a control character or '#' in it) is
 * answered with the JSON body that `refuse` writes: clients of this protocol need a JSON object on
 * every error. The exception is what libmicrohttpd cannot make a request of: it answers that itself,
 * in HTML that cannot be replaced, and closes the connection: 400 for a malformed request line,
 * header line, Content-Length or chunk, 413 for a Content-Length of more than 64 bits, 414 and 431
 * for a head that does not fit its memory (HTTP_HEADERS_SIZE_MAX does, with a third to spare), 505
 * for another major version of HTTP. No client of this protocol sends such a thing; a proxy in front
 * that does gets the right status.
 *
 * Ownership: a request belongs to the server until the handler is called, then to the handler's
 * side until http_respond(), which ends it. `req->arena` lives as long as the request: everything
 * made for it goes there. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"

enum {
    HTTP_BODY_SIZE_MAX = 4 << 20,     /* item 2 MiB, batch 2 MiB plus escaping */
    HTTP_HEADERS_SIZE_MAX = 32 << 10, /* target, names and values; above: 431 */
    HTTP_HEADER_COUNT_MAX = 100,
    HTTP_CONNECTIONS_MAX = 4096, /* of a listener, and no more than a quarter of our descriptors */
};

struct http_header {
    struct str name;
    struct str value;
};

struct http_conn_state; /* private */
struct http_req {
    struct str method; /* "GET", ... as sent */
    struct str target; /* raw request target as sent: "/path?query", not decoded */
    const struct http_header *headers;
    size_t header_count;
    struct str body;
    struct arena arena;
    usec received_us;     /* CLOCK_BOOTTIME when the request was complete */
    void *user;           /* the handler's */
    const char *listener; /* name given to http_server_listen (which socket it came in by) */
    struct http_conn_state *conn;
};

/* Value of a header (name compared without case); STR_NONE when absent (p == NULL). */
struct str http_header(const struct http_req *req, struct str name);

enum { HTTP_RESPONSE_HEADERS_MAX = 32 };
struct http_response {
    int status;
    size_t header_count;
    struct http_header headers[HTTP_RESPONSE_HEADERS_MAX]; /* copied by http_respond */
    struct buf *body;     /* taken over (emptied) when not NULL: no copy */
    struct str body_copy; /* else copied */
    bool close;           /* Connection: close */
};
void http_response_header(struct http_response *r, struct str name, struct str value);

/* Answers and ends the request. Any thread. */
void http_respond(struct http_req *req, struct http_response *res);

/* Inside the handler: whether this thread has lately served no other connection than this one, so that
 * keeping it busy for a moment holds nobody else up. */
bool http_thread_is_alone(void);

/* Inside `answered`: a header of the answer, NULL when absent. */
const char *http_answer_header(const struct http_req *req, const char *name);

typedef void http_handler(void *ctx, struct http_req *req);
typedef void http_refuse(void *ctx, int status, const char *why, struct buf *json_body);

struct http_server_opts {
    unsigned threads; /* 0 = 2 */
    http_handler *handler;
    http_refuse *refuse; /* NULL: {"code":"BadRequest","message":why} */
    /* For counting: an answer goes out, the HTTP layer's own refusals included (then received_us is 0
     * and the method may be missing). On the connection's thread; must not block. */
    void (*answered)(void *ctx, const struct http_req *req, int status);
    void *ctx;
    unsigned idle_timeout_s; /* 0 = 120 */
    size_t body_size_max;    /* 0 = HTTP_BODY_SIZE_MAX */
    /* PEM files: TLS 1.2 and 1.3 with that certificate (its own first, then at most 15 of its
     * chain); NULL or "": plain HTTP. Not copied. Replaced files are read again within half a minute
     * or so and by http_server_listen and http_server_reread_cert; connections from then on see
     * them, those that are open go on. Files that cannot be used leave the former certificate in
     * place, with an error in the log; only at the first http_server_listen they are its error. */
    const char *tls_cert, *tls_key;
};
struct http_server;
enum err http_server_new(const struct http_server_opts *opts, struct http_server **ret,
                         struct errinfo *ei) MUST_CHECK;
/* Starts accepting on a listening socket. `name` is copied. The server does not close `fd`
 * (supervisors hand sockets down and several processes may hold them). */
enum err http_server_listen(struct http_server *s, int fd, const char *name,
                            struct errinfo *ei) MUST_CHECK;
/* Stops accepting on it (the socket stays open, its backlog waits for somebody else). Connections stay
 * until their next answer, which says `Connection: close`: a client that sends on an idle one at that
 * moment gets an answer, not a reset. */
void http_server_unlisten(struct http_server *s, const char *name);
/* Answers what is in progress up to `grace_ms`, then frees everything. */
void http_server_free(struct http_server *s, unsigned grace_ms);
/* Reads the certificate's files again, soon and elsewhere, whether they have changed or not. After the
 * first http_server_listen; a plain server ignores it. */
void http_server_reread_cert(struct http_server *s);
/* connections: open now; the others only grow. cert_ends_s: seconds since 1970; 0: plain HTTP. */
struct http_server_stats {
    uint64_t connections, requests, bytes_in, bytes_out, refused;
    int64_t cert_ends_s;
};
void http_server_stats_get(const struct http_server *s, struct http_server_stats *ret);
