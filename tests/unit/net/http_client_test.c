/* The HTTP client against our own server, and against a server of a few lines that breaks connections
 * at chosen moments: a request is answered, or its fate is told truthfully. */
#include "net/http_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/mem_probe.h"
#include "loop_until.h"
#include "net/http_server.h"
#include "net/sockets.h"
#include "raw_http.h"

struct answer {
    bool is_there;
    enum err err;
    bool was_sent;
    int status;
    char body[256];
    size_t body_size;
    char header[64];
};

static struct {
    struct loop *loop;
    struct http_client *client;
    struct http_server *server;
    int fd;
    uint16_t port;
    char url[128];
    struct answer answers[64];
    size_t answer_count;
    struct http_call *calls[64];
} w;

static void echo(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    struct buf body;
    buf_init(&body, 8 << 20);
    if (str_starts(req->target, STR("/big"))) {
        buf_reserve(&body, 1 << 20);
        memset(body.p, 'b', 1 << 20);
        body.n = 1 << 20;
    } else {
        struct str type = http_header(req, STR("content-type"));
        buf_printf(&body, STR_FMT " " STR_FMT " [" STR_FMT "] [" STR_FMT "] ", STR_ARG(req->method),
                   STR_ARG(req->target), STR_ARG(type), STR_ARG(http_header(req, STR("x-a"))));
        buf_add_str(&body, req->body);
    }
    struct http_response res = {.status = 207, .body = &body};
    http_response_header(&res, STR("X-Echo"), STR("a:b"));
    http_respond(req, &res);
    buf_done(&body);
}

static const char *url(const char *path)
{
    (void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u%s", w.port, path);
    return w.url;
}

static void setup(void)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    w.client = http_client_new(w.loop);
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
}

static void setup_server(void)
{
    struct http_server_opts opts = {.handler = echo};
    setup();
    t_ok(http_server_new(&opts, &w.server, NULL));
    t_ok(http_server_listen(w.server, w.fd, "x", NULL));
}

static void teardown(void)
{
    http_client_free(w.client);
    loop_free(w.loop);
    http_server_free(w.server, 1000);
    t_check(close(w.fd) == 0);
}

static void on_done(void *ctx, const struct http_client_result *res)
{
    struct answer *a = (struct answer *)ctx;
    a->is_there = true;
    a->err = res->err;
    a->was_sent = res->was_sent;
    a->status = res->status;
    a->body_size = res->body.n;
    (void)snprintf(a->body, sizeof(a->body), STR_FMT, STR_ARG(str_slice(res->body, 0, 200)));
    for (size_t i = 0; i < res->header_count; i++) {
        if (str_eq_nocase(res->headers[i].name, STR("x-echo"))) {
            (void)snprintf(a->header, sizeof(a->header), STR_FMT, STR_ARG(res->headers[i].value));
        }
    }
}

static struct answer *start(const struct http_client_req *req)
{
    size_t i = w.answer_count++;
    w.calls[i] = http_client_start(w.client, req, on_done, &w.answers[i]);
    return &w.answers[i];
}

static bool all_there(void)
{
    for (size_t i = 0; i < w.answer_count; i++) {
        if (!w.answers[i].is_there) {
            return false;
        }
    }
    return true;
}

static const struct answer *run(const struct http_client_req *req)
{
    struct answer *a = start(req);
    loop_until(w.loop, all_there);
    return a;
}

T_TEST("method, raw path, headers and body arrive; status, headers and body come back")
{
    setup_server();
    struct http_header headers[] = {{STR("X-A"), STR("v 1")}, {STR("Content-Type"), STR("a/b")}};
    struct http_client_req req = {.method = "POST",
                                  .url = url("/a/../b/./%2F?x=%20&y?z"),
                                  .headers = headers,
                                  .header_count = 2,
                                  .body = STR("body\0nul"),
                                  .timeout_ms = 5000};
    const struct answer *a = run(&req);
    t_ok(a->err);
    t_eq_int(a->status, 207);
    t_eq_cstr(a->header, "a:b");
    t_eq_cstr(a->body, "POST /a/../b/./%2F?x=%20&y?z [a/b] [v 1] body");
    t_eq_u64(a->body_size, strlen(a->body) + 4);
    teardown();
}

T_TEST("every method passes, with and without a body")
{
    static const char *const methods[] = {"GET", "PUT", "PATCH", "DELETE", "POST", "OPTIONS"};
    setup_server();
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++) {
        char want[64];
        struct http_client_req req = {.method = methods[i], .url = url("/m"), .timeout_ms = 5000};
        (void)snprintf(want, sizeof(want), "%s /m [] [] ", methods[i]);
        t_eq_cstr(run(&req)->body, want);
        if (i > 0) {
            req.body = STR("xyz");
            (void)snprintf(want, sizeof(want), "%s /m [] [] xyz", methods[i]);
            t_eq_cstr(run(&req)->body, want);
        }
    }
    struct http_client_req head = {.method = "HEAD", .url = url("/m"), .timeout_ms = 5000};
    t_eq_int(run(&head)->status, 207);
    teardown();
}

T_TEST("many calls at once are all answered, and connections are kept")
{
    setup_server();
    struct http_client_req req = {.method = "GET", .url = url("/n"), .timeout_ms = 5000};
    for (int i = 0; i < 30; i++) {
        (void)start(&req);
    }
    loop_until(w.loop, all_there);
    for (int i = 0; i < 30; i++) {
        t_ok(w.answers[i].err);
    }
    struct http_server_stats before;
    http_server_stats_get(w.server, &before);
    for (int i = 0; i < 30; i++) {
        (void)run(&req);
    }
    struct http_server_stats after;
    http_server_stats_get(w.server, &after);
    t_eq_u64(after.requests, 60);
    t_check(after.connections <= before.connections);
    teardown();
}

T_TEST("an answer over the cap is refused")
{
    setup_server();
    struct http_client_req req = {
        .method = "GET", .url = url("/big"), .timeout_ms = 5000, .body_size_max = 1 << 20};
    t_ok(run(&req)->err);
    req.body_size_max = (1 << 20) - 1;
    t_err(run(&req)->err, ERR_LIMIT);
    teardown();
}

T_TEST("what cannot be sent says so and was not sent")
{
    setup_server();
    struct http_header bad[] = {{STR("X-A"), STR("v\r\nX-B: c")}};
    struct http_client_req req = {
        .method = "GET", .url = url("/"), .headers = bad, .header_count = 1, .timeout_ms = 5000};
    const struct answer *a = run(&req);
    t_err(a->err, ERR_INVALID);
    t_check(!a->was_sent);
    req = (struct http_client_req){.method = "GET", .url = "ftp://127.0.0.1/", .timeout_ms = 5000};
    t_err(run(&req)->err, ERR_INVALID);
    req = (struct http_client_req){
        .method = "GET", .url = "http://127.0.0.1:99999/", .timeout_ms = 5000};
    t_err(run(&req)->err, ERR_INVALID);
    struct http_server_stats stats;
    http_server_stats_get(w.server, &stats);
    t_eq_u64(stats.requests, 0);
    teardown();
}

T_TEST("a refused connection was certainly not sent")
{
    setup();
    t_check(close(w.fd) == 0);
    struct http_client_req req = {.method = "POST", .url = url("/"), .timeout_ms = 5000};
    const struct answer *a = run(&req);
    t_err(a->err, ERR_NETWORK);
    t_check(!a->was_sent);
    w.fd = dup(0);
    teardown();
}

T_TEST("a silent server times out, and the request may have arrived")
{
    setup(); /* nobody accepts: the kernel completes the handshake and takes the bytes */
    struct http_client_req req = {.method = "POST", .url = url("/"), .timeout_ms = 60};
    const struct answer *a = run(&req);
    t_err(a->err, ERR_TIMEOUT);
    t_check(a->was_sent);
    teardown();
}

/* Answers requests on one kept connection after another; closes a connection instead of answering
 * its second request. */
static atomic_uint breaker_requests;

static void *breaker(void *arg)
{
    UNUSED(arg);
    for (;;) {
        int fd = accept(w.fd, NULL, NULL);
        if (fd < 0) {
            struct pollfd p = {.fd = w.fd, .events = POLLIN};
            if (poll(&p, 1, 5000) != 1) {
                return NULL;
            }
            continue;
        }
        for (int i = 0; i < 2; i++) {
            char in[4096];
            ssize_t n = recv(fd, in, sizeof(in), 0);
            if (n <= 0) {
                break;
            }
            breaker_requests++;
            if (memmem(in, (size_t)n, "/quit", 5) != NULL) {
                (void)close(fd);
                return NULL;
            }
            if (i == 0) {
                static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                t_check(send(fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL) > 0);
            }
        }
        (void)close(fd);
    }
}

T_TEST("a write on a kept connection that breaks is not sent twice, a read may be")
{
    setup();
    breaker_requests = 0;
    pthread_t thread;
    t_check(pthread_create(&thread, NULL, breaker, NULL) == 0);
    struct http_client_req req = {.method = "POST", .url = url("/a"), .timeout_ms = 5000};
    t_ok(run(&req)->err);
    const struct answer *a = run(&req); /* the same connection: breaks */
    t_err(a->err, ERR_NETWORK);
    t_check(a->was_sent);
    t_eq_u64(breaker_requests, 2);
    req.method = "GET";
    t_ok(run(&req)->err); /* a new connection */
    t_ok(run(&req)->err); /* breaks, and is repeated on another one */
    t_eq_u64(breaker_requests, 5);
    req.url = url("/quit");
    req.method = "POST";
    (void)run(&req);
    t_check(pthread_join(thread, NULL) == 0);
    teardown();
}

static void restart_from_callback(void *ctx, const struct http_client_result *res)
{
    on_done(ctx, res);
    struct http_client_req req = {.method = "GET", .url = w.url, .timeout_ms = 5000};
    if (w.answer_count < 5) {
        size_t i = w.answer_count++;
        w.calls[i] = http_client_start(w.client, &req, restart_from_callback, &w.answers[i]);
    }
}

T_TEST("calls may be started and cancelled from callbacks, cancelled ones stay silent")
{
    setup_server();
    struct http_client_req req = {.method = "GET", .url = url("/x"), .timeout_ms = 5000};
    w.answer_count = 1;
    w.calls[0] = http_client_start(w.client, &req, restart_from_callback, &w.answers[0]);
    loop_until(w.loop, all_there);
    t_eq_u64(w.answer_count, 5);
    struct answer silent = {0};
    struct http_call *call = http_client_start(w.client, &req, on_done, &silent);
    http_client_cancel(call);
    call = http_client_start(w.client, &req, on_done, &silent);
    (void)run(&req);
    if (!silent.is_there) {
        http_client_cancel(call);
    }
    teardown();
}

T_TEST("freeing the client ends what is in flight, and gives back all memory")
{
    mem_probe_start();
    setup();
    struct http_client_req req = {.method = "POST", .url = url("/"), .timeout_ms = 60000};
    struct answer *a = start(&req);
    loop_for_ms(w.loop, 20);
    http_client_free(w.client);
    w.client = NULL;
    t_err(a->err, ERR_CLOSED);
    teardown();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("the blocking form tells an answer, no effect and an unknown outcome apart")
{
    setup_server();
    struct buf body;
    struct buf headers;
    buf_init(&body, 1 << 20);
    buf_init(&headers, 1 << 16);
    int status = 0;
    struct http_client_req req = {.method = "GET", .url = url("/b"), .timeout_ms = 5000};
    struct errinfo ei = {0};
    t_ok_info(http_client_run(&req, &status, &headers, &body, &ei), &ei);
    t_eq_int(status, 207);
    t_eq_lit(buf_str(&body), "GET /b [] [] ");
    t_contains(buf_str(&headers), "X-Echo: a:b\r\n");
    http_server_unlisten(w.server, "x");
    req.timeout_ms = 50;
    t_err(http_client_run(&req, &status, NULL, &body, NULL), ERR_TIMEOUT);
    req.method = "POST";
    t_err(http_client_run(&req, &status, NULL, &body, NULL), ERR_UNKNOWN_OUTCOME);
    buf_done(&body);
    buf_done(&headers);
    teardown();
}

T_MAIN()
