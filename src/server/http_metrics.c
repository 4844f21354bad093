/* Counting requests. See http_metrics.h. */
#include "server/http_metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "server/metrics.h"

enum { CLASS_COUNT = 4 }; /* 2xx (with 1xx), 3xx, 4xx, 5xx */

/* Answers with a meaning of their own for operators. First match. */
static const struct {
    int status;
    int substatus; /* -1 = any */
    const char *reason;
} special[] = {
    {403, 3, "not_writer"},
    {403, 1008, "region_gone"},
    {404, 1002, "session_behind"},
    {408, -1, "unknown_outcome"},
    {412, -1, "precondition"},
    {413, -1, "too_large"},
    {429, -1, "busy"},
    {503, -1, "unavailable"},
    {401, -1, "unauthorized"},
    {500, -1, "internal_error"},
};

enum latency_kind { LATENCY_READ, LATENCY_WRITE, LATENCY_QUERY, LATENCY_COUNT };
static const char *const latency_names[LATENCY_COUNT] = {"read", "write", "query"};

struct http_metrics {
    atomic_ulong answers[HTTP_OP_COUNT][CLASS_COUNT];
    atomic_ulong special[ARRAY_COUNT(special)];
    struct metric_histogram latency[LATENCY_COUNT];
};

static const struct {
    const char *name;
    int latency; /* enum latency_kind, or -1: not of interest */
} ops[HTTP_OP_COUNT] = {
    [HTTP_OP_READ] = {"read", LATENCY_READ},
    [HTTP_OP_CREATE] = {"create", LATENCY_WRITE},
    [HTTP_OP_UPSERT] = {"upsert", LATENCY_WRITE},
    [HTTP_OP_REPLACE] = {"replace", LATENCY_WRITE},
    [HTTP_OP_PATCH] = {"patch", LATENCY_WRITE},
    [HTTP_OP_DELETE] = {"delete", LATENCY_WRITE},
    [HTTP_OP_BATCH] = {"batch", LATENCY_WRITE},
    [HTTP_OP_QUERY] = {"query", LATENCY_QUERY},
    [HTTP_OP_FEED] = {"feed", LATENCY_QUERY},
    [HTTP_OP_CONFLICT] = {"conflict", -1},
    [HTTP_OP_METADATA] = {"metadata", -1},
    [HTTP_OP_ACCOUNT] = {"account", -1},
    [HTTP_OP_ADMIN] = {"admin", -1},
};

const char *http_op_name(enum http_op op)
{
    ASSERT((unsigned)op < HTTP_OP_COUNT);
    return ops[op].name;
}

static bool says(const struct http_req *req, struct str name)
{
    return str_eq_nocase(http_header(req, name), STR("true"));
}

static enum http_op posted(const struct http_req *req)
{
    if (says(req, STR("x-ms-cosmos-is-batch-request"))) {
        return HTTP_OP_BATCH;
    }
    if (says(req, STR("x-ms-documentdb-isquery")) || says(req, STR("x-ms-documentdb-query")) ||
        says(req, STR("x-ms-cosmos-is-query-plan-request")) ||
        str_starts(http_header(req, STR("content-type")), STR("application/query+json"))) {
        return HTTP_OP_QUERY;
    }
    return says(req, STR("x-ms-documentdb-is-upsert")) ? HTTP_OP_UPSERT : HTTP_OP_CREATE;
}

/* Segments of the path: how many, and the fifth ("docs" in /dbs/d/colls/c/docs/i). */
static size_t segments(struct str path, struct str *ret_fifth)
{
    size_t count = 0;
    struct str rest = path;
    *ret_fifth = STR("");
    while (rest.n > 0) {
        struct str head;
        struct str tail = STR("");
        (void)str_split(rest, '/', &head, &tail);
        count += head.n > 0;
        if (head.n > 0 && count == 5) {
            *ret_fifth = head;
        }
        rest = tail;
    }
    return count;
}

enum http_op http_op_of(const struct http_req *req)
{
    struct str fifth;
    size_t count = segments(req->target, &fifth);
    if (count == 0) {
        return HTTP_OP_ACCOUNT;
    }
    if (str_starts(req->target, STR("/_holdfast/")) || str_starts(req->target, STR("/health/")) ||
        str_eq(req->target, STR("/metrics"))) {
        return HTTP_OP_ADMIN;
    }
    if (str_eq(fifth, STR("conflicts"))) {
        return HTTP_OP_CONFLICT;
    }
    if (!str_eq(fifth, STR("docs"))) {
        return HTTP_OP_METADATA;
    }
    if (str_eq(req->method, STR("POST"))) {
        return posted(req);
    }
    if (str_eq(req->method, STR("PUT"))) {
        return HTTP_OP_REPLACE;
    }
    if (str_eq(req->method, STR("PATCH"))) {
        return HTTP_OP_PATCH;
    }
    if (str_eq(req->method, STR("DELETE"))) {
        return HTTP_OP_DELETE;
    }
    return count == 5 ? HTTP_OP_FEED : HTTP_OP_READ;
}

struct http_metrics *http_metrics_new(void)
{
    return MEM_NEW(struct http_metrics);
}

void http_metrics_free(struct http_metrics *m)
{
    mem_free(m);
}

static void count_special(struct http_metrics *m, const struct http_req *req, int status)
{
    const char *text = http_answer_header(req, "x-ms-substatus");
    long substatus = text ? strtol(text, NULL, 10) : 0;
    for (size_t i = 0; i < ARRAY_COUNT(special); i++) {
        if (special[i].status == status &&
            (special[i].substatus < 0 || special[i].substatus == substatus)) {
            atomic_fetch_add_explicit(&m->special[i], 1, memory_order_relaxed);
            return;
        }
    }
}

void http_metrics_answered(struct http_metrics *m, const struct http_req *req, int status)
{
    enum http_op op = http_op_of(req);
    int class = status < 300 ? 0 : status < 400 ? 1 : status < 500 ? 2 : 3;
    atomic_fetch_add_explicit(&m->answers[op][class], 1, memory_order_relaxed);
    if (status >= 400) {
        count_special(m, req, status);
    }
    if (ops[op].latency >= 0 && req->received_us != 0) {
        metric_histogram_add(&m->latency[ops[op].latency], clock_boot_us() - req->received_us);
    }
}

static void write_answers(const struct http_metrics *m, struct buf *out)
{
    static const char *const classes[CLASS_COUNT] = {"2xx", "3xx", "4xx", "5xx"};
    static const char name[] = "holdfast_http_answers_total";
    metric_head(out, name, METRIC_COUNTER, "Answers by operation and class of status.");
    for (size_t op = 0; op < HTTP_OP_COUNT; op++) {
        for (size_t c = 0; c < CLASS_COUNT; c++) {
            unsigned long n = atomic_load_explicit(&m->answers[op][c], memory_order_relaxed);
            if (n > 0) { /* a series appears with its first answer */
                buf_printf(out, "%s{operation=\"%s\",status=\"%s\"} %lu\n", name, ops[op].name,
                           classes[c], n);
            }
        }
    }
    static const char refusals[] = "holdfast_http_refusals_total";
    metric_head(out, refusals, METRIC_COUNTER,
                "Answers that are errors, by reason: not_writer is 403/3, region_gone 403/1008, "
                "session_behind "
                "404/1002, unknown_outcome 408.");
    for (size_t i = 0; i < ARRAY_COUNT(special); i++) {
        metric_row(out, refusals, "reason", special[i].reason,
                   atomic_load_explicit(&m->special[i], memory_order_relaxed));
    }
    static const char latency[] = "holdfast_http_duration_seconds";
    metric_head(out, latency, METRIC_HISTOGRAM,
                "From the last byte of a request to its answer, for documents.");
    for (size_t i = 0; i < LATENCY_COUNT; i++) {
        metric_histogram_rows(out, latency, "kind", latency_names[i], &m->latency[i]);
    }
}

void http_metrics_write(const struct http_metrics *m, const struct http_server *http,
                        struct buf *out)
{
    write_answers(m, out);
    if (!http) {
        return;
    }
    struct http_server_stats s = {0};
    http_server_stats_get(http, &s);
    metric_u64(out, "holdfast_http_connections", METRIC_GAUGE, "Open client connections.",
               s.connections);
    metric_u64(out, "holdfast_http_requests_total", METRIC_COUNTER, "Requests received.",
               s.requests);
    metric_u64(out, "holdfast_http_refused_total", METRIC_COUNTER,
               "Requests refused by the HTTP layer: malformed or too large.", s.refused);
    metric_u64(out, "holdfast_http_received_bytes_total", METRIC_COUNTER, "Body bytes received.",
               s.bytes_in);
    metric_u64(out, "holdfast_http_sent_bytes_total", METRIC_COUNTER, "Body bytes sent.",
               s.bytes_out);
    if (s.cert_ends_s > 0) {
        metric_u64(out, "holdfast_certificate_not_after_timestamp_seconds", METRIC_GAUGE,
                   "When the certificate that clients are shown expires, in seconds since 1970.",
                   (uint64_t)s.cert_ends_s);
    }
}
