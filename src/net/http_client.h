/* HTTP/1.1 client (libcurl behind it), on a libuv loop, keep-alive per origin.
 * All calls and callbacks on the loop's thread. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/types.h"
#include "net/http_server.h"
#include "net/loop.h"

struct http_client;
struct http_call; /* in flight */

struct http_client_result {
    /* OK: a complete answer arrived, whatever its status. ERR_NETWORK, ERR_TIMEOUT: see was_sent.
     * ERR_UNAUTHORIZED: the server has not the key of `pin`; nothing was sent to it.
     * ERR_LIMIT: the answer is over body_size_max. ERR_INVALID: the request cannot be sent (URL, line
     * breaks in a header). ERR_CLOSED: http_client_free. */
    enum err err;
    bool was_sent; /* false: certainly nothing of the request reached the other side */
    int status;
    const struct http_header *headers;
    size_t header_count;
    struct str body; /* valid during the callback */
    char detail[160];
};
typedef void http_client_done(void *ctx, const struct http_client_result *res);

/* Everything is copied. A request other than GET and HEAD is sent at most once: a kept connection
 * that breaks under it is reported, not retried. */
struct http_client_req {
    const char *method;
    const char *url; /* path sent as given (no normalisation) */
    const struct http_header *headers;
    size_t header_count;
    struct str body;             /* copied */
    unsigned timeout_ms;         /* total; never 0 */
    unsigned connect_timeout_ms; /* 0 = timeout_ms */
    size_t body_size_max;        /* of the answer; 0 = 16 MiB */
    /* PEM file of the authorities trusted for https; NULL or "" = the system's. Host names are
     * checked. */
    const char *ca_file;
    /* "sha256//" and the SHA-256 of the server's public key in base64: for https that key, and no
     * authority, date or host name, says who the server is. NULL: ca_file does. */
    const char *pin;
};

struct http_client *http_client_new(struct loop *loop);
void http_client_free(struct http_client *c); /* calls in flight end with ERR_CLOSED */
struct http_call *http_client_start(struct http_client *c, const struct http_client_req *req,
                                    http_client_done *done, void *ctx);
void http_client_cancel(struct http_call *call); /* no callback after it */

/* Blocking form for command-line tools. Not on a loop's thread. `ret_body` gets the answer,
 * `ret_headers` (may be NULL) its "Name: value" lines. ERR_UNKNOWN_OUTCOME: something other than GET
 * or HEAD was sent and no answer came; ERR_NETWORK, ERR_TIMEOUT or ERR_UNAUTHORIZED: it certainly had no
 * effect. */
enum err http_client_run(const struct http_client_req *req, int *ret_status,
                         struct buf *ret_headers, struct buf *ret_body,
                         struct errinfo *ei) MUST_CHECK;
