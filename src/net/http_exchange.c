/* One HTTP request from its first line to its answer.
 *
 * libmicrohttpd calls, all on the connection's thread: http_on_uri with the raw target, then
 * http_on_access once for the head, once per piece of body, and once more when the request is
 * complete; http_on_completed when the answer is out or the connection broke.
 *
 * The handler runs inside the last http_on_access. When it has answered by the time it returns, the
 * answer is queued at once and nothing ever sleeps. Otherwise the connection is suspended, and
 * http_respond() on some other thread resumes it; http_on_access is then called again and finds
 * the answer. Who is first is decided by one atomic exchange of `state`: the connection is suspended
 * BEFORE the state says so, hence whoever sees PARKED may resume.
 *
 * Header bytes are copied into the request's arena: libmicrohttpd's own memory ends with the
 * connection, a handler's hold on the request may not. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_int.h"

static struct http_conn_state *exchange_new(struct http_listener *listener)
{
    struct http_conn_state *x = MEM_NEW(struct http_conn_state);
    x->listener = listener;
    memcpy(x->listener_name, listener->name, sizeof(x->listener_name));
    arena_init(&x->req.arena);
    buf_init(&x->body, listener->server->opts.body_size_max);
    atomic_init(&x->state, EXCHANGE_READING);
    atomic_init(&x->refs, 1);
    return x;
}

static void drop_out_body(struct http_conn_state *x)
{
    if (x->is_out_body_owned) {
        mem_free(x->out_body);
    }
    x->out_body = NULL;
    x->out_body_size = 0;
    x->is_out_body_owned = false;
}

void http_exchange_ref(struct http_conn_state *x)
{
    atomic_fetch_add(&x->refs, 1);
}

void http_exchange_unref(struct http_conn_state *x)
{
    if (atomic_fetch_sub(&x->refs, 1) > 1) {
        return;
    }
    drop_out_body(x);
    buf_done(&x->body);
    arena_done(&x->req.arena);
    mem_free(x);
}

/* Makes an exchange nobody else holds ready for the next request of its connection. */
static void exchange_reset(struct http_conn_state *x)
{
    enum { BODY_KEEP_MAX = 64 << 10 };
    drop_out_body(x);
    if (x->body.cap > BODY_KEEP_MAX) {
        buf_done(&x->body);
        buf_init(&x->body, x->listener->server->opts.body_size_max);
    } else {
        buf_clear(&x->body);
    }
    struct arena arena = x->req.arena;
    arena_reset(&arena);
    x->req = (struct http_req){.arena = arena};
    x->has_head = false;
    x->refuse_status = 0;
    x->refuse_why = NULL;
    x->body_seen = 0;
    x->header_count = 0;
    x->is_closing = false;
    atomic_store(&x->state, EXCHANGE_READING);
}

/* --- connections --------------------------------------------------------------------------- */

static struct http_conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    ASSERT(info != NULL && info->socket_context != NULL);
    return (struct http_conn *)info->socket_context;
}

static void conn_started(struct http_listener *listener, struct MHD_Connection *mhd, void **ret)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    ASSERT(info != NULL);
    struct http_conn *c = MEM_NEW(struct http_conn);
    list_init(&c->link);
    c->listener = listener;
    c->fd = info->connect_fd;
    struct http_certs *certs = listener->server->certs;
    c->cert = certs != NULL ? http_certs_current(certs) : NULL;
    (void)pthread_mutex_lock(&listener->lock);
    list_push_back(&listener->conns, &c->link);
    listener->conn_count++;
    (void)pthread_mutex_unlock(&listener->lock);
    atomic_fetch_add(&listener->server->connections, 1);
    *ret = c;
}

static void conn_closed(struct http_conn *c)
{
    struct http_listener *listener = c->listener;
    struct http_conn_state *x = c->current;
    atomic_fetch_sub(&listener->server->connections, 1);
    (void)pthread_mutex_lock(&listener->lock);
    list_remove(&c->link); /* before libmicrohttpd closes the descriptor: drains look at it */
    listener->conn_count--;
    if (listener->conn_count == 0) {
        (void)pthread_cond_broadcast(&listener->emptied);
    }
    (void)pthread_mutex_unlock(&listener->lock);
    if (x != NULL) {
        http_exchange_unref(x);
    }
    http_cert_unref(c->cert);
    mem_free(c);
}

/* libmicrohttpd sets the session's pointer to its connection: not in its manual, but in every version
 * that has the option, and a unit test fails when it is not so. */
int http_on_handshake(gnutls_session_t session, const gnutls_datum_t *authorities,
                      int authority_count, const gnutls_pk_algorithm_t *algorithms,
                      int algorithm_count, gnutls_pcert_st **ret_chain, unsigned *ret_count,
                      gnutls_privkey_t *ret_key)
{
    UNUSED(authorities); /* there is one certificate, whatever the client would like */
    UNUSED(authority_count);
    UNUSED(algorithms);
    UNUSED(algorithm_count);
    struct MHD_Connection *mhd = (struct MHD_Connection *)gnutls_session_get_ptr(session);
    if (mhd == NULL) {
        LOG_ERROR("http", "no_certificate", "why=%s", "this libmicrohttpd does not say for whom");
        return -1;
    }
    const struct http_conn *c = conn_of(mhd);
    ASSERT(c->cert != NULL);
    http_cert_show(c->cert, ret_chain, ret_count, ret_key);
    return 0;
}

void http_on_connection(void *cls, struct MHD_Connection *mhd, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        conn_started((struct http_listener *)cls, mhd, socket_context);
    } else {
        conn_closed((struct http_conn *)*socket_context);
    }
}

/* --- the request comes in ---------------------------------------------------------------------- */

static void set_current(struct http_conn *c, struct http_conn_state *x)
{
    (void)pthread_mutex_lock(&c->listener->lock);
    c->current = x;
    (void)pthread_mutex_unlock(&c->listener->lock);
}

void *http_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct http_listener *listener = (struct http_listener *)cls;
    struct http_conn *c = conn_of(mhd);
    atomic_store(&c->is_busy, true);
    if (c->current == NULL) {
        set_current(c, exchange_new(listener));
    }
    struct http_conn_state *x = c->current;
    ASSERT(atomic_load(&x->state) == EXCHANGE_READING);
    x->mhd = mhd;
    x->req.conn = x;
    x->req.listener = x->listener_name;
    x->req.target = arena_str(&x->req.arena, str_of(uri));
    return x;
}

size_t http_on_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    UNUSED(cls);
    UNUSED(mhd);
    return strlen(s); /* left as it is: we use the raw target */
}

static void refuse(struct http_conn_state *x, int status, const char *why)
{
    if (x->refuse_status == 0) {
        x->refuse_status = status;
        x->refuse_why = why;
    }
}

/* Header fields as libmicrohttpd enumerates them; over the maximum they are only counted. */
struct head {
    size_t count;
    size_t size;
    struct http_header fields[HTTP_HEADER_COUNT_MAX];
};

static enum MHD_Result on_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                size_t name_size, const char *value, size_t value_size)
{
    UNUSED(kind);
    struct head *h = (struct head *)cls;
    if (h->count < HTTP_HEADER_COUNT_MAX) {
        h->fields[h->count] = (struct http_header){
            .name = {name, name_size}, .value = {value == NULL ? "" : value, value_size}};
    }
    h->count++;
    h->size += name_size + value_size;
    return MHD_YES;
}

/* Refuses or makes room early. A wrong or missing length is not trusted for anything else. */
static void expect_body(struct http_conn_state *x, struct str length_text)
{
    uint64_t length = 0;
    if (!str_to_u64(length_text, &length)) {
        return; /* chunked, or none */
    }
    if (length > x->body.max) {
        refuse(x, 413, "the request body is too large");
        return;
    }
    buf_reserve(&x->body, length);
}

/* Two readers of such a request could disagree where it ends, and what follows would be a request of
 * one of them only (request smuggling, RFC 9112 6.3 and 11.2): it is refused before any of its body is
 * read, and the connection ends. libmicrohttpd lets all of these pass. */
static void check_framing(struct http_conn_state *x)
{
    size_t lengths = 0;
    size_t codings = 0;
    bool is_chunked = true;
    bool is_name_fine = true;
    for (size_t i = 0; i < x->req.header_count; i++) {
        const struct http_header *h = &x->req.headers[i];
        lengths += str_eq_nocase(h->name, STR("content-length"));
        if (str_eq_nocase(h->name, STR("transfer-encoding"))) {
            codings++;
            is_chunked = is_chunked && str_eq_nocase(str_trim(h->value), STR("chunked"));
        }
        is_name_fine =
            is_name_fine && str_find_char(h->name, ' ') < 0 && str_find_char(h->name, '\t') < 0;
    }
    const char *why = NULL;
    if (!is_name_fine) {
        why = "a header name has a space in it";
    } else if (lengths > 1) {
        why = "the request has more than one Content-Length";
    } else if (lengths > 0 && codings > 0) {
        why = "the request has both Content-Length and Transfer-Encoding";
    }
    if (why != NULL) {
        refuse(x, 400, why);
        x->is_closing = true;
    } else if (codings > 1 || !is_chunked) {
        refuse(x, 501, "the transfer coding of the request is not implemented");
        x->is_closing = true;
    }
}

/* A path with its query, as it can be put behind the address of another server: whoever forwards it
 * would else be sent to a host of the client's choosing ("@host/" behind "http://region:1"), or ask for
 * something else than what it was asked for ('#' ends an address). */
static bool is_path(struct str target)
{
    for (size_t i = 0; i < target.n; i++) {
        unsigned char c = (unsigned char)target.p[i];
        if (c <= ' ' || c == 0x7f || c == '#') {
            return false;
        }
    }
    return target.n > 0 && target.p[0] == '/';
}

static void collect_head(struct http_conn_state *x, const char *method)
{
    struct head h;
    h.count = 0;
    h.size = 0;
    (void)MHD_get_connection_values_n(x->mhd, MHD_HEADER_KIND, on_field,
                                      &h); /* returns the count */
    x->req.method = arena_str(&x->req.arena, str_of(method));
    if (h.count > HTTP_HEADER_COUNT_MAX) {
        refuse(x, 431, "the request has too many headers");
        h.count = HTTP_HEADER_COUNT_MAX;
    }
    if (h.size + x->req.target.n > HTTP_HEADERS_SIZE_MAX) {
        refuse(x, 431, "the request headers are too large");
    }
    struct http_header *fields = ARENA_NEW_ARRAY(&x->req.arena, struct http_header, h.count + 1);
    for (size_t i = 0; i < h.count; i++) {
        fields[i].name = arena_str(&x->req.arena, h.fields[i].name);
        fields[i].value = arena_str(&x->req.arena, h.fields[i].value);
    }
    x->req.headers = fields;
    x->req.header_count = h.count;
    check_framing(x);
    if (!is_path(x->req.target)) {
        refuse(x, 400, "the request target is no path, or has a byte that must be escaped");
    }
    expect_body(x, http_header(&x->req, STR("content-length")));
}

static void take_body(struct http_conn_state *x, const char *p, size_t n)
{
    atomic_fetch_add_explicit(&x->listener->server->bytes_in, n, memory_order_relaxed);
    x->body_seen += n;
    if (x->refuse_status != 0) {
        return;
    }
    buf_add(&x->body, p, n);
    if (!buf_ok(&x->body)) {
        refuse(x, 413, "the request body is too large");
    }
}

/* --- the answer goes out ------------------------------------------------------------------------- */

struct str http_header(const struct http_req *req, struct str name)
{
    for (size_t i = 0; i < req->header_count; i++) {
        if (req->headers[i].name.n == name.n && str_eq_nocase(req->headers[i].name, name)) {
            return req->headers[i].value;
        }
    }
    return STR_NONE;
}

void http_response_header(struct http_response *r, struct str name, struct str value)
{
    ASSERT(r->header_count < HTTP_RESPONSE_HEADERS_MAX);
    r->headers[r->header_count++] = (struct http_header){name, value};
}

/* Copies the answer to where it outlives the caller. */
static void stage(struct http_conn_state *x, struct http_response *res)
{
    ASSERT(res->status >= 100 && res->status < 1000);
    struct arena *a = &x->req.arena;
    x->status = res->status;
    x->is_closing = res->close;
    x->header_count = res->header_count;
    for (size_t i = 0; i < res->header_count; i++) {
        x->headers[i].name = arena_cstr(a, res->headers[i].name);
        x->headers[i].value = arena_cstr(a, res->headers[i].value);
    }
    if (res->body != NULL) {
        ASSERT(buf_ok(res->body));
        x->out_body = buf_take(res->body, &x->out_body_size);
        x->is_out_body_owned = true;
    } else if (res->body_copy.n > 0) {
        x->out_body = (char *)arena_alloc(a, res->body_copy.n);
        memcpy(x->out_body, res->body_copy.p, res->body_copy.n);
        x->out_body_size = res->body_copy.n;
    }
}

/* On the connection's thread, outside of suspension. MHD_NO closes the connection. */
static enum MHD_Result queue_answer(struct http_conn_state *x)
{
    /* The memory stays ours until http_on_completed, hence "persistent". */
    struct MHD_Response *r =
        MHD_create_response_from_buffer(x->out_body_size, x->out_body, MHD_RESPMEM_PERSISTENT);
    if (r == NULL) {
        return MHD_NO;
    }
    for (size_t i = 0; i < x->header_count; i++) {
        if (MHD_add_response_header(r, x->headers[i].name, x->headers[i].value) != MHD_YES) {
            LOG_WARN("http", "header_dropped", "name=%s", x->headers[i].name); /* CR or LF in it */
        }
    }
    if (x->is_closing || atomic_load(&x->listener->is_draining)) {
        (void)MHD_add_response_header(r, "Connection", "close"); /* else it closes a little later */
    }
    struct http_server *s = x->listener->server;
    atomic_fetch_add_explicit(&s->bytes_out, x->out_body_size, memory_order_relaxed);
    if (s->opts.answered != NULL) {
        s->opts.answered(s->opts.ctx, &x->req, x->status);
    }
    enum MHD_Result ret = MHD_queue_response(x->mhd, (unsigned)x->status, r);
    MHD_destroy_response(r); /* the connection holds its own reference */
    return ret;
}

const char *http_answer_header(const struct http_req *req, const char *name)
{
    const struct http_conn_state *x = req->conn;
    for (size_t i = 0; i < x->header_count; i++) {
        if (strcasecmp(x->headers[i].name, name) == 0) {
            return x->headers[i].value;
        }
    }
    return NULL;
}

void http_respond(struct http_req *req, struct http_response *res)
{
    struct http_conn_state *x = req->conn;
    ASSERT(x != NULL && &x->req == req);
    stage(x, res);
    int was = atomic_exchange(&x->state, EXCHANGE_ANSWERED);
    ASSERT(was == EXCHANGE_RUNNING || was == EXCHANGE_PARKED || was == EXCHANGE_ABANDONED);
    struct http_listener *listener = x->listener;
    struct MHD_Connection *mhd = x->mhd;
    /* First: http_on_completed keeps an exchange that nobody else holds, with all its memory. While the
     * connection is suspended it holds the exchange itself. */
    http_exchange_unref(x);
    if (was == EXCHANGE_PARKED) {
        MHD_resume_connection(mhd);
        atomic_fetch_sub(&listener->parked_count, 1); /* from here on the listener may end */
    }
}

static void default_refuse(const char *why, struct buf *out)
{
    buf_printf(out, "{\"code\":\"BadRequest\",\"message\":\"%s\"}", why);
}

static void refusal_body(struct http_server *s, int status, const char *why, struct buf *out)
{
    if (s->opts.refuse != NULL) {
        s->opts.refuse(s->opts.ctx, status, why, out);
    } else {
        default_refuse(why, out);
    }
    atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
}

/* For an exchange whose handler may still come back: touches nothing of it. What was asked for may
 * be done or not: only of a read is it true that nothing happened. */
static enum MHD_Result answer_abandoned(struct http_server *s, struct MHD_Connection *mhd,
                                        const char *method)
{
    bool is_read = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    int status = is_read ? 503 : 408;
    struct buf body;
    buf_init(&body, HTTP_REFUSAL_SIZE_MAX);
    refusal_body(s, status,
                 is_read ? "the server is going down"
                         : "the server is going down; the outcome is unknown",
                 &body);
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, body.p, MHD_RESPMEM_MUST_COPY);
    buf_done(&body);
    if (r == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Content-Type", "application/json"); /* better than none */
    (void)MHD_add_response_header(r, "Connection", "close");
    enum MHD_Result ret = MHD_queue_response(mhd, (unsigned)status, r);
    MHD_destroy_response(r);
    return ret;
}

static enum MHD_Result answer_refusal(struct http_conn_state *x, int status, const char *why)
{
    struct http_server *s = x->listener->server;
    struct buf body;
    buf_init(&body, HTTP_REFUSAL_SIZE_MAX);
    refusal_body(s, status, why, &body);
    struct http_response res = {.status = status, .body = &body, .close = x->is_closing};
    http_response_header(&res, STR("Content-Type"), STR("application/json"));
    stage(x, &res);
    buf_done(&body);
    atomic_store(&x->state, EXCHANGE_ANSWERED);
    return queue_answer(x);
}

/* The connection of this thread's latest requests and their number. */
static _Thread_local struct {
    const struct MHD_Connection *mhd; /* only compared: it may be gone */
    uint64_t count;
} lately;

static void note_request(const struct http_conn_state *x)
{
    lately.count = lately.mhd == x->mhd ? lately.count + 1 : 1;
    lately.mhd = x->mhd;
}

bool http_thread_is_alone(void)
{
    enum { ALONE_REQUESTS_MIN = 8 };
    return lately.count >= ALONE_REQUESTS_MIN;
}

/* Calls the handler; suspends the connection unless it has answered already. */
static enum MHD_Result run_handler(struct http_conn_state *x)
{
    struct http_server *s = x->listener->server;
    x->req.body = buf_str(&x->body);
    x->req.received_us = clock_boot_us();
    atomic_fetch_add_explicit(&s->requests, 1, memory_order_relaxed);
    http_exchange_ref(x); /* the handler's, dropped by http_respond */
    note_request(x);
    atomic_store(&x->state, EXCHANGE_RUNNING);
    s->opts.handler(s->opts.ctx, &x->req);
    if (atomic_load(&x->state) == EXCHANGE_ANSWERED) {
        return queue_answer(x);
    }
    atomic_fetch_add(&x->listener->parked_count, 1);
    MHD_suspend_connection(x->mhd);
    int expected = EXCHANGE_RUNNING;
    if (!atomic_compare_exchange_strong(&x->state, &expected, EXCHANGE_PARKED)) {
        ASSERT(expected == EXCHANGE_ANSWERED); /* in between: nobody else will resume it */
        MHD_resume_connection(x->mhd);
        atomic_fetch_sub(&x->listener->parked_count, 1);
    }
    return MHD_YES;
}

enum MHD_Result http_on_access(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *upload_data,
                               size_t *upload_data_size, void **con_cls)
{
    UNUSED(url); /* split at '?' and no longer raw */
    UNUSED(version);
    struct http_listener *listener = (struct http_listener *)cls;
    struct http_conn_state *x = (struct http_conn_state *)*con_cls;
    ASSERT(x != NULL && x->mhd == mhd);
    if (!x->has_head) {
        x->has_head = true;
        collect_head(x, method);
        bool is_asking = http_header(&x->req, STR("expect")).p != NULL;
        if (x->refuse_status != 0 && (is_asking || x->is_closing)) {
            x->is_closing = true;
            return answer_refusal(x, x->refuse_status, x->refuse_why); /* no body was sent yet */
        }
        return MHD_YES;
    }
    if (*upload_data_size > 0) {
        take_body(x, upload_data, *upload_data_size);
        *upload_data_size = 0;
        return x->body_seen <= HTTP_DRAIN_SIZE_MAX ? MHD_YES : MHD_NO;
    }
    int state = atomic_load(&x->state);
    if (state == EXCHANGE_ANSWERED) {
        return queue_answer(x);
    }
    if (state == EXCHANGE_ABANDONED) {
        return answer_abandoned(listener->server, mhd, method);
    }
    if (x->refuse_status != 0) {
        return answer_refusal(x, x->refuse_status, x->refuse_why);
    }
    return run_handler(x);
}

void http_exchange_abandon(struct http_conn_state *x)
{
    int expected = EXCHANGE_PARKED;
    if (!atomic_compare_exchange_strong(&x->state, &expected, EXCHANGE_ABANDONED)) {
        return;
    }
    struct http_listener *listener = x->listener;
    MHD_resume_connection(x->mhd);
    atomic_fetch_sub(&listener->parked_count, 1);
}

void http_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode toe)
{
    UNUSED(cls);
    UNUSED(con_cls);
    UNUSED(toe);
    struct http_conn *c = conn_of(mhd);
    struct http_conn_state *x = c->current;
    if (x != NULL) {
        /* The answering thread may still be between its exchange of `state` and its unref. */
        if (atomic_load(&x->refs) == 1) {
            exchange_reset(x);
        } else {
            set_current(c, NULL);
            http_exchange_unref(x);
        }
    }
    atomic_store(&c->is_busy, false);
    if (atomic_load(&c->listener->is_draining)) {
        (void)shutdown(c->fd, SHUT_RD); /* the drain saw it busy and left it to us */
    }
}
