/* What clients asked and how it was answered: requests by operation and class of status, the
 * answers that operators look for one by one, and latencies. Counting is a few relaxed atomic
 * additions on the connection's thread. */
#pragma once

#include "net/http_server.h"

enum http_op {
    HTTP_OP_READ,
    HTTP_OP_CREATE,
    HTTP_OP_UPSERT,
    HTTP_OP_REPLACE,
    HTTP_OP_PATCH,
    HTTP_OP_DELETE,
    HTTP_OP_BATCH,
    HTTP_OP_QUERY,
    HTTP_OP_FEED, /* documents page by page, the change feed */
    HTTP_OP_CONFLICT,
    HTTP_OP_METADATA, /* databases, containers and what else belongs to them */
    HTTP_OP_ACCOUNT,  /* the account document */
    HTTP_OP_ADMIN,    /* health, metrics, /_holdfast */
    HTTP_OP_COUNT,
};
enum http_op http_op_of(const struct http_req *req);
const char *http_op_name(enum http_op op);

struct http_metrics;
struct http_metrics *http_metrics_new(void);
void http_metrics_free(struct http_metrics *m);
/* For http_server_opts.answered. */
void http_metrics_answered(struct http_metrics *m, const struct http_req *req, int status);
/* `http` may be NULL. */
void http_metrics_write(const struct http_metrics *m, const struct http_server *http,
                        struct buf *out);
