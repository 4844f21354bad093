/* Options, callbacks and the reading of results of one libcurl transfer.
 *
 * "At most once": libcurl sends a request again by itself when a kept connection breaks before any
 * byte of the answer. For a write that is a second execution nobody asked for. The pre-request
 * callback runs each time a request is about to go out; the second time it refuses, which ends
 * the transfer as "sent, outcome unknown". */
#include "net/http_transfer.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

enum { CONNECTION_AGE_MAX_S = 60 /* below the idle timeout of our own server */ };

static void global_init(void)
{
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    ASSERT(code == CURLE_OK);
}

void http_transfer_global_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, global_init);
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
    struct http_transfer *t = (struct http_transfer *)arg;
    buf_add(&t->body, p, size * count);
    return buf_ok(&t->body) ? size * count : 0; /* 0 ends the transfer */
}

static size_t on_head(char *p, size_t size, size_t count, void *arg)
{
    struct http_transfer *t = (struct http_transfer *)arg;
    struct str line = str_make(p, size * count);
    if (str_starts(line, STR("HTTP/"))) {
        buf_clear(&t->head); /* what came before belonged to an interim answer */
    } else if (str_find_char(line, ':') >= 0) {
        buf_add_str(&t->head, line);
    }
    return buf_ok(&t->head) ? line.n : 0;
}

static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    UNUSED(ip);
    UNUSED(local_ip);
    UNUSED(port);
    UNUSED(local_port);
    struct http_transfer *t = (struct http_transfer *)arg;
    t->attempt_count++;
    return t->attempt_count > 1 && !t->is_idempotent ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static bool has_line_break(struct str s)
{
    return memchr(s.p, '\r', s.n) != NULL || memchr(s.p, '\n', s.n) != NULL ||
           memchr(s.p, '\0', s.n) != NULL;
}

static void add_field(struct http_transfer *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->fields, line);
    ASSERT(longer != NULL); /* only for want of memory */
    t->fields = longer;
}

static bool add_fields(struct http_transfer *t, const struct http_client_req *req)
{
    bool has_type = false;
    bool has_accept = false;
    struct buf line;
    buf_init(&line, HTTP_HEADERS_SIZE_MAX);
    bool ok = true;
    for (size_t i = 0; i < req->header_count && ok; i++) {
        const struct http_header *h = &req->headers[i];
        has_type = has_type || str_eq_nocase(h->name, STR("content-type"));
        has_accept = has_accept || str_eq_nocase(h->name, STR("accept"));
        buf_clear(&line);
        buf_add_str(&line, h->name);
        buf_add_cstr(&line, h->value.n > 0 ? ": " : ";"); /* libcurl's way to send an empty value */
        buf_add_str(&line, h->value);
        ok = h->name.n > 0 && buf_ok(&line) && !has_line_break(buf_str(&line));
        buf_add_char(&line, '\0');
        if (ok && buf_ok(&line)) {
            add_field(t, line.p);
        }
    }
    buf_done(&line);
    add_field(t, "Expect:"); /* never wait for "100 Continue" */
    if (!has_type) {
        add_field(t, "Content-Type:"); /* libcurl would call every body a form */
    }
    if (!has_accept) {
        add_field(t, "Accept:");
    }
    return ok;
}

/* The types of libcurl's variadic options: long, pointer, function pointer. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        CURLcode set_code_ = curl_easy_setopt(t->easy, option, value);                             \
        ASSERT(set_code_ == CURLE_OK); /* options are known, memory is there */                    \
    } while (0)

static void set_method(struct http_transfer *t, const char *method, struct str body)
{
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return;
    }
    bool wants_length =
        strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
    if (body.n > 0 || wants_length) {
        buf_add_str(&t->request_body, body);
        ASSERT(buf_ok(&t->request_body));
        SET(CURLOPT_POSTFIELDS, body.n > 0 ? t->request_body.p : "");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    } else {
        SET(CURLOPT_HTTPGET, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST, method);
}

static void set_fixed_options(struct http_transfer *t)
{
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROXY, "");                                 /* nor from the environment */
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2); /* or newer */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_MAXAGE_CONN, (long)CONNECTION_AGE_MAX_S);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_ERRORBUFFER, t->detail);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_head);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_PREREQFUNCTION, on_request);
    SET(CURLOPT_PREREQDATA, t);
}

bool http_transfer_init(struct http_transfer *t, CURL *easy, const struct http_client_req *req)
{
    ASSERT(req->timeout_ms > 0);
    t->easy = easy;
    t->fields = NULL;
    t->attempt_count = 0;
    t->detail[0] = '\0';
    t->is_idempotent = strcmp(req->method, "GET") == 0 || strcmp(req->method, "HEAD") == 0;
    buf_init(&t->request_body, req->body.n);
    buf_init(&t->head, HTTP_TRANSFER_HEAD_SIZE_MAX);
    buf_init(&t->body,
             req->body_size_max == 0 ? HTTP_TRANSFER_BODY_SIZE_DEFAULT : req->body_size_max);
    set_fixed_options(t);
    set_method(t, req->method, req->body);
    bool ok = add_fields(t, req);
    SET(CURLOPT_HTTPHEADER, t->fields);
    SET(CURLOPT_URL, req->url); /* copied by libcurl; checked when the transfer starts */
    SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        (long)(req->connect_timeout_ms == 0 ? req->timeout_ms : req->connect_timeout_ms));
    if (req->ca_file != NULL && req->ca_file[0] != '\0') {
        SET(CURLOPT_CAINFO, req->ca_file); /* read when a connection is opened */
        SET(CURLOPT_CAPATH, NULL);
    }
    if (req->pin != NULL) {
        SET(CURLOPT_PINNEDPUBLICKEY, req->pin);
        SET(CURLOPT_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_SSL_VERIFYHOST, 0L);
    }
    return ok && !has_line_break(str_of(req->url)) && !has_line_break(str_of(req->method));
}

static enum err err_of(const struct http_transfer *t, CURLcode code)
{
    if (code == CURLE_OK) {
        return OK;
    }
    if (!buf_ok(&t->body) || !buf_ok(&t->head)) {
        return ERR_LIMIT;
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return ERR_TIMEOUT;
    }
    if (code == CURLE_SSL_PINNEDPUBKEYNOTMATCH) {
        return ERR_UNAUTHORIZED;
    }
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
        return ERR_INVALID;
    }
    return ERR_NETWORK;
}

static size_t split_headers(struct http_transfer *t)
{
    size_t n = 0;
    struct str rest = buf_str(&t->head);
    while (rest.n > 0 && n < HTTP_TRANSFER_HEADERS_MAX) {
        struct str line = STR_NONE;
        struct str tail = STR_NONE;
        (void)str_split(rest, '\n', &line, &tail); /* the last line may lack it */
        struct str name = STR_NONE;
        struct str value = STR_NONE;
        if (str_split(line, ':', &name, &value)) {
            t->headers[n++] = (struct http_header){str_trim(name), str_trim(value)};
        }
        rest = tail;
    }
    return n;
}

void http_transfer_result(struct http_transfer *t, CURLcode code, struct http_client_result *ret)
{
    *ret = (struct http_client_result){.err = err_of(t, code), .was_sent = t->attempt_count > 0};
    if (ret->err == OK) {
        long status = 0;
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status); /* known option */
        ret->status = (int)status;
        ret->headers = t->headers;
        ret->header_count = split_headers(t);
        ret->body = buf_str(&t->body);
    } else {
        const char *why = t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);
        (void)snprintf(ret->detail, sizeof(ret->detail), "%.*s", (int)sizeof(ret->detail) - 1, why);
    }
}

void http_transfer_done(struct http_transfer *t)
{
    curl_slist_free_all(t->fields);
    t->fields = NULL;
    buf_done(&t->request_body);
    buf_done(&t->head);
    buf_done(&t->body);
}
