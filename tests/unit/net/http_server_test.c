/* The HTTP server seen through a plain socket: what arrives at the handler is what was sent, every
 * answer comes out whole, whoever gives it and whenever, and sockets can be given away. */
#include "net/http_server.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "base/rng.h"
#include "net/sockets.h"
#include "raw_http.h"

enum { QUEUE_MAX = 1024 };

/* Requests that "/later" put aside, for the answering threads. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct http_req *items[QUEUE_MAX];
    size_t count;
    bool is_stopping;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct {
    struct http_server *server;
    int fd;
    uint16_t port;
} w;

static void answer_echo(struct http_req *req)
{
    struct buf body;
    buf_init(&body, RAW_SIZE_MAX);
    buf_printf(&body, STR_FMT " " STR_FMT "\n", STR_ARG(req->method), STR_ARG(req->target));
    buf_add_str(&body, req->body);
    struct http_response res = {.status = 200, .body = &body};
    http_response_header(&res, STR("Content-Type"), STR("text/plain"));
    http_response_header(&res, STR("x-listener"), str_of(req->listener));
    http_respond(req, &res);
    t_check(body.n == 0); /* taken over */
    buf_done(&body);
}

static void put_aside(struct http_req *req)
{
    (void)pthread_mutex_lock(&queue.lock);
    ASSERT(queue.count < QUEUE_MAX);
    queue.items[queue.count++] = req;
    (void)pthread_cond_broadcast(&queue.changed);
    (void)pthread_mutex_unlock(&queue.lock);
}

static struct http_req *take_aside(void)
{
    (void)pthread_mutex_lock(&queue.lock);
    while (queue.count == 0 && !queue.is_stopping) {
        (void)pthread_cond_wait(&queue.changed, &queue.lock);
    }
    struct http_req *req = queue.count > 0 ? queue.items[--queue.count] : NULL;
    (void)pthread_mutex_unlock(&queue.lock);
    return req;
}

static void *answerer(void *arg)
{
    struct rng rng;
    rng_init(&rng, t_seed() + (uintptr_t)arg);
    struct http_req *req = NULL;
    while ((req = take_aside()) != NULL) {
        for (uint64_t spin = rng_below(&rng, 3000); spin > 0; spin--) {
            __asm__ volatile("" ::: "memory"); /* vary who comes first: answer or suspension */
        }
        answer_echo(req);
    }
    return NULL;
}

static void handler(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    if (str_starts(req->target, STR("/later"))) {
        put_aside(req);
    } else if (str_starts(req->target, STR("/header"))) {
        struct str v = http_header(req, STR("X-ABC"));
        struct http_response res = {.status = v.p == NULL ? 404 : 200, .body_copy = v};
        http_respond(req, &res);
    } else if (str_starts(req->target, STR("/close"))) {
        struct http_response res = {.status = 200, .close = true};
        http_respond(req, &res);
    } else {
        answer_echo(req);
    }
}

static void refuse(void *ctx, int status, const char *why, struct buf *out)
{
    UNUSED(ctx);
    buf_printf(out, "{\"status\":%d,\"why\":\"%s\"}", status, why);
}

static struct http_server *server_new(size_t body_size_max)
{
    struct http_server_opts opts = {
        .handler = handler, .refuse = refuse, .body_size_max = body_size_max};
    struct http_server *s = NULL;
    struct errinfo ei = {0};
    t_ok_info(http_server_new(&opts, &s, &ei), &ei);
    return s;
}

static void setup(void)
{
    struct errinfo ei = {0};
    t_ok_info(sockets_listen("127.0.0.1:0", &w.fd, &w.port, &ei), &ei);
    w.server = server_new(0);
    t_ok_info(http_server_listen(w.server, w.fd, "east", &ei), &ei);
}

static void teardown(void)
{
    http_server_free(w.server, 1000);
    t_check(close(w.fd) == 0);
}

static struct raw_response exchange(struct raw_conn *c, const char *text)
{
    struct raw_response r = {0};
    raw_send(c, text);
    t_check(raw_read(c, strncmp(text, "HEAD", 4) != 0, &r));
    return r;
}

T_TEST("a request is answered inline, with the raw target")
{
    /* '?' inside an item id and escapes must arrive exactly as sent. */
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r =
        exchange(&c, "GET /dbs/a/docs/x%2Fy?z%20=1&q?a+b HTTP/1.1\r\nHost: h\r\n\r\n");
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "GET /dbs/a/docs/x%2Fy?z%20=1&q?a+b\n");
    t_check(raw_has_header(&r, "x-listener: east\r\n"));
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("one connection carries many requests, pipelined too")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"
                 "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
                 "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *want[] = {"GET /1\n", "POST /2\nabc", "GET /3\n"};
    for (int i = 0; i < 3; i++) {
        struct raw_response r = {0};
        t_check(raw_read(&c, true, &r));
        t_eq_cstr(r.body, want[i]);
        raw_response_done(&r);
    }
    for (int i = 0; i < 200; i++) {
        struct raw_response r = exchange(&c, "GET /again HTTP/1.1\r\nHost: h\r\n\r\n");
        t_eq_cstr(r.body, "GET /again\n");
        raw_response_done(&r);
    }
    raw_close(&c);
    teardown();
}

T_TEST("headers are found without case, the first of several")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r =
        exchange(&c, "GET /header HTTP/1.1\r\nHost: h\r\nx-Abc: one\r\nx-abc: two\r\n\r\n");
    t_eq_cstr(r.body, "one");
    raw_response_done(&r);
    r = exchange(&c, "GET /header HTTP/1.1\r\nHost: h\r\n\r\n");
    t_eq_int(r.status, 404);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("HEAD gets the length and no body")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r = exchange(&c, "HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n");
    t_check(raw_has_header(&r, "Content-Length: 10\r\n"));
    raw_response_done(&r);
    r = exchange(&c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"); /* nothing of a body in between */
    t_eq_cstr(r.body, "GET /x\n");
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("chunked bodies arrive joined")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r =
        exchange(&c, "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n");
    t_eq_cstr(r.body, "POST /c\nabcde");
    raw_response_done(&r);
    /* Both lengths at once: the chunks count, the announced length is not trusted. */
    r = exchange(&c, "POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\n\r\n");
    t_check(r.status == 400 || strcmp(r.body, "POST /c\nabcdef") == 0);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("a body of megabytes comes and goes whole")
{
    setup();
    enum { SIZE = 3 << 20 };
    char *body = (char *)malloc(SIZE + 1);
    for (int i = 0; i < SIZE; i++) {
        body[i] = (char)('a' + i % 23);
    }
    struct raw_conn c = raw_connect(w.port);
    char head[128];
    (void)snprintf(head, sizeof(head), "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n",
                   SIZE);
    raw_send(&c, head);
    raw_send_n(&c, body, SIZE);
    struct raw_response r = {0};
    t_check(raw_read(&c, true, &r));
    t_eq_u64(r.body_size, SIZE + 7);
    t_check(memcmp(r.body + 7, body, SIZE) == 0);
    raw_response_done(&r);
    free(body);
    raw_close(&c);
    teardown();
}

T_TEST("a body over the cap is refused in JSON and the connection goes on")
{
    setup();
    http_server_free(w.server, 1000);
    w.server = server_new(1000);
    t_ok(http_server_listen(w.server, w.fd, "east", NULL));
    struct raw_conn c = raw_connect(w.port);
    char body[1025];
    memset(body, 'x', sizeof(body));
    raw_send(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n");
    raw_send_n(&c, body, 1001);
    struct raw_response r = {0};
    t_check(raw_read(&c, true, &r));
    t_eq_int(r.status, 413);
    t_contains(str_of(r.body), "{\"status\":413,");
    t_check(raw_has_header(&r, "Content-Type: application/json\r\n"));
    raw_response_done(&r);
    raw_send(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
    raw_send_n(&c, body, 1001);
    raw_send(&c, "\r\n0\r\n\r\n");
    t_check(raw_read(&c, true, &r));
    t_eq_int(r.status, 413);
    raw_response_done(&r);
    raw_send(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
    raw_send_n(&c, body, 1000);
    t_check(raw_read(&c, true, &r));
    t_eq_int(r.status, 200);
    raw_response_done(&r);
    struct http_server_stats stats;
    http_server_stats_get(w.server, &stats);
    t_eq_u64(stats.refused, 2);
    t_eq_u64(stats.requests, 1);
    raw_close(&c);
    teardown();
}

T_TEST("a sender that asks first is refused before it sends the body")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r =
        exchange(&c, "PUT /b HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n"
                     "Expect: 100-continue\r\n\r\n");
    t_eq_int(r.status, 413);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("too many or too large headers are refused in JSON")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, "GET /h HTTP/1.1\r\nHost: h\r\n");
    for (int i = 0; i < HTTP_HEADER_COUNT_MAX; i++) {
        raw_send(&c, "x-a: b\r\n");
    }
    struct raw_response r = exchange(&c, "\r\n");
    t_eq_int(r.status, 431);
    t_contains(str_of(r.body), "{\"status\":431,");
    raw_response_done(&r);
    char value[HTTP_HEADERS_SIZE_MAX + 1];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    raw_send(&c, "GET /h HTTP/1.1\r\nHost: h\r\nx-big: ");
    raw_send(&c, value);
    r = exchange(&c, "\r\n\r\n");
    t_eq_int(r.status, 431);
    t_contains(str_of(r.body), "{\"status\":431,");
    raw_response_done(&r);
    raw_send(&c, "GET /h HTTP/1.1\r\nHost: h\r\nx-big: ");
    value[HTTP_HEADERS_SIZE_MAX - 32] = '\0';
    raw_send(&c, value);
    r = exchange(&c, "\r\n\r\n");
    t_eq_int(r.status, 200);
    raw_response_done(&r);
    /* As many fields and as many bytes as are allowed: the most that the library must hold. */
    value[(HTTP_HEADERS_SIZE_MAX - 64) / (HTTP_HEADER_COUNT_MAX - 1) - 3] = '\0';
    raw_send(&c, "GET /h HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < HTTP_HEADER_COUNT_MAX; i++) {
        raw_send(&c, "x-a: ");
        raw_send(&c, value);
        raw_send(&c, "\r\n");
    }
    r = exchange(&c, "\r\n");
    t_eq_int(r.status, 200);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("a request whose end is ambiguous is refused in JSON, unread, and the connection ends")
{
    static const struct {
        const char *headers;
        int status;
    } cases[] = {
        {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 5\r\ncontent-length: 6\r\n", 400},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
        {"Content-Length : 5\r\n", 400},
        {"x y: z\r\n", 400},
        {"Transfer-Encoding: gzip\r\n", 501},
        {"Transfer-Encoding: gzip, chunked\r\n", 501},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501},
    };
    setup();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct raw_conn c = raw_connect(w.port);
        raw_send(&c, "POST /b HTTP/1.1\r\nHost: h\r\n");
        raw_send(&c, cases[i].headers);
        struct raw_response r = exchange(&c, "\r\n");
        t_eq_int(r.status, cases[i].status);
        t_contains(str_of(r.body), "{\"status\":");
        t_check(raw_has_header(&r, "Connection: close\r\n"));
        t_check(raw_is_closed(&c, 5000));
        raw_response_done(&r);
        raw_close(&c);
    }
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r =
        exchange(&c, "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n"
                     "\r\n2\r\nab\r\n0\r\n\r\n");
    t_eq_int(r.status, 200);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("a target that is no path is refused in JSON, and the connection goes on")
{
    /* Whoever forwards requests puts the target behind the address of another server. */
    static const char *const targets[] = {"@127.0.0.1:9/",
                                          "http://127.0.0.1:9/b",
                                          "*",
                                          "b",
                                          ".example.com/",
                                          ":9/b",
                                          "/a#b",
                                          "/a b",
                                          "/a\tb",
                                          "/a\x01",
                                          "/a\x7f"};
    setup();
    struct raw_conn c = raw_connect(w.port);
    for (size_t i = 0; i < ARRAY_COUNT(targets); i++) {
        raw_send(&c, "POST ");
        raw_send(&c, targets[i]);
        struct raw_response r = exchange(&c, " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
        t_checkf(r.status == 400, "%s got %d", targets[i], r.status);
        t_contains(str_of(r.body), "{\"status\":400,\"why\":\"the request target");
        raw_response_done(&r);
    }
    struct raw_response r = exchange(&c, "GET //a/%23?b=@c:/d HTTP/1.1\r\nHost: h\r\n\r\n");
    t_eq_int(r.status, 200);
    t_contains(str_of(r.body), "GET //a/%23?b=@c:/d\n");
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

/* Reads and drops what is left until the other side closes. */
static bool is_closed_at_last(struct raw_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char bytes[1024];
    while (poll(&p, 1, 5000) == 1) {
        if (recv(c->fd, bytes, sizeof(bytes), 0) <= 0) {
            return true;
        }
    }
    return false;
}

T_TEST("what is no request gets the status that is documented, and the server goes on")
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"GET /\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    };
    setup();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct raw_conn c = raw_connect(w.port);
        struct raw_response r = exchange(&c, cases[i].text);
        t_eq_int(r.status, cases[i].status);
        t_check(is_closed_at_last(&c)); /* some get two answers, the first without a body */
        raw_response_done(&r);
        raw_close(&c);
    }
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r = exchange(&c, "GET /after HTTP/1.1\r\nHost: h\r\n\r\n");
    t_eq_int(r.status, 200);
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

T_TEST("close ends the connection after the answer")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r = exchange(&c, "GET /close HTTP/1.1\r\nHost: h\r\n\r\n");
    t_eq_int(r.status, 200);
    t_check(raw_has_header(&r, "Connection: close\r\n"));
    t_check(raw_is_closed(&c, 5000));
    raw_response_done(&r);
    raw_close(&c);
    teardown();
}

static atomic_uint client_errors;

static void *hammer(void *arg)
{
    enum { ROUNDS = 400 };
    struct raw_conn c = raw_connect(w.port);
    for (int i = 0; i < ROUNDS; i++) {
        char text[256];
        char want[64];
        (void)snprintf(want, sizeof(want), "POST /later/%d/%d\nhello", (int)(uintptr_t)arg, i);
        (void)snprintf(text, sizeof(text),
                       "POST /later/%d/%d HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
                       (int)(uintptr_t)arg, i);
        struct raw_response r = {0};
        raw_send(&c, text);
        if (!raw_read(&c, true, &r) || r.status != 200 || strcmp(r.body, want) != 0) {
            client_errors++;
        }
        raw_response_done(&r);
    }
    raw_close(&c);
    return NULL;
}

T_TEST("answers from other threads reach their own connections")
{
    /* 24 connections, each request answered by one of 2 threads after a random moment, so that
     * answers come before, during and after the suspension. */
    enum { CLIENTS = 24, ANSWERERS = 2 };
    setup();
    pthread_t clients[CLIENTS];
    pthread_t answerers[ANSWERERS];
    queue.is_stopping = false;
    for (uintptr_t i = 0; i < ANSWERERS; i++) {
        t_check(pthread_create(&answerers[i], NULL, answerer, (void *)i) == 0);
    }
    for (uintptr_t i = 0; i < CLIENTS; i++) {
        t_check(pthread_create(&clients[i], NULL, hammer, (void *)i) == 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        t_check(pthread_join(clients[i], NULL) == 0);
    }
    (void)pthread_mutex_lock(&queue.lock);
    queue.is_stopping = true;
    (void)pthread_cond_broadcast(&queue.changed);
    (void)pthread_mutex_unlock(&queue.lock);
    for (int i = 0; i < ANSWERERS; i++) {
        t_check(pthread_join(answerers[i], NULL) == 0);
    }
    queue.is_stopping = false;
    t_eq_u64(client_errors, 0);
    teardown();
}

T_TEST("after unlisten the socket serves somebody else; connections end with their next answer")
{
    setup();
    struct raw_conn idle = raw_connect(w.port);
    struct raw_conn busy = raw_connect(w.port);
    struct raw_response r = exchange(&idle, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_response_done(&r);
    raw_send(&busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    struct http_req *kept = take_aside();
    http_server_unlisten(w.server, "east");
    /* An idle connection is still answered, once. */
    r = exchange(&idle, "GET /last HTTP/1.1\r\nHost: h\r\n\r\n");
    t_check(raw_has_header(&r, "Connection: close\r\n"));
    raw_response_done(&r);
    t_check(raw_is_closed(&idle, 5000));

    struct raw_conn fresh = raw_connect(w.port); /* waits in the backlog: not refused */
    raw_send(&fresh, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    struct http_server *other = server_new(0);
    t_ok(http_server_listen(other, w.fd, "stand-in", NULL));
    t_check(raw_read(&fresh, true, &r));
    t_check(raw_has_header(&r, "x-listener: stand-in\r\n"));
    raw_response_done(&r);

    answer_echo(kept);
    t_check(raw_read(&busy, true, &r));
    t_eq_cstr(r.body, "GET /later\n");
    t_check(raw_has_header(&r, "Connection: close\r\n"));
    t_check(raw_is_closed(&busy, 5000));
    raw_response_done(&r);

    /* And back again, many times. */
    raw_close(&fresh);
    for (int i = 0; i < 20; i++) {
        http_server_unlisten(other, "stand-in");
        t_ok(http_server_listen(w.server, w.fd, "east", NULL));
        struct raw_conn c = raw_connect(w.port);
        r = exchange(&c, "GET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
        t_check(raw_has_header(&r, "x-listener: east\r\n"));
        raw_response_done(&r);
        raw_close(&c);
        http_server_unlisten(w.server, "east");
        t_ok(http_server_listen(other, w.fd, "stand-in", NULL));
    }
    raw_close(&idle);
    raw_close(&busy);
    http_server_free(other, 1000);
    teardown();
}

T_TEST("clients that connect and say nothing leave the process descriptors of its own")
{
    enum { CLIENTS = 300, LIMIT = 450 };
    struct rlimit before;
    struct raw_conn idle[CLIENTS];
    t_check(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit low = {LIMIT, before.rlim_max};
    t_check(setrlimit(RLIMIT_NOFILE, &low) == 0);
    setup();
    for (size_t i = 0; i < CLIENTS; i++) {
        idle[i] = raw_connect(w.port); /* in the backlog, when no more are taken */
    }
    struct http_server_stats s = {0};
    for (int i = 0; i < 200 && s.connections < LIMIT / 4 - 1; i++) {
        (void)poll(NULL, 0, 10);
        http_server_stats_get(w.server, &s);
    }
    (void)poll(NULL, 0, 50);
    http_server_stats_get(w.server, &s);
    t_checkf(s.connections > 0 && s.connections <= LIMIT / 4, "%lu connections",
             (unsigned long)s.connections);
    int own = dup(w.fd);
    t_check(own >= 0 && close(own) == 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        raw_close(&idle[i]);
    }
    teardown();
    t_check(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

T_TEST("a name is listened to once")
{
    setup();
    t_err(http_server_listen(w.server, w.fd, "east", NULL), ERR_EXISTS);
    http_server_unlisten(w.server, "nobody");
    teardown();
}

/* The server is freed while a request is kept aside; what its sender hears. */
static int status_when_abandoned(const char *request, const char *want_body)
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, request);
    struct http_req *kept = take_aside();
    usec start_us = clock_boot_us();
    http_server_free(w.server, 50);
    t_check(clock_boot_us() - start_us >= 50000);
    struct raw_response r = {0};
    t_check(raw_read(&c, true, &r));
    t_contains(str_of(r.body), want_body);
    raw_response_done(&r);
    answer_echo(kept);
    raw_close(&c);
    t_check(close(w.fd) == 0);
    return r.status;
}

T_TEST("a read nobody answers gets 503 at the end, and the late answer harms nobody")
{
    t_eq_int(status_when_abandoned("GET /later HTTP/1.1\r\nHost: h\r\n\r\n", "{\"status\":503,"),
             503);
}

T_TEST("of a write nobody answers the server does not say that it was not done")
{
    t_eq_int(status_when_abandoned("PUT /later HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx",
                                   "outcome is unknown"),
             408);
}

static atomic_uint answered_count;
static atomic_int answered_status;

static void on_answered(void *ctx, const struct http_req *req, int status)
{
    UNUSED(ctx);
    const char *listener = http_answer_header(req, "X-LISTENER");
    if (status == 200 && listener && strcmp(listener, "east") == 0 &&
        !http_answer_header(req, "x-none") && req->received_us != 0) {
        atomic_fetch_add(&answered_count, 1);
    }
    atomic_store(&answered_status, status);
}

T_TEST("whoever counts hears of every answer, of refusals too, with its headers")
{
    setup();
    http_server_free(w.server, 0);
    struct http_server_opts opts = {
        .handler = handler, .refuse = refuse, .answered = on_answered, .body_size_max = 10};
    t_ok(http_server_new(&opts, &w.server, NULL));
    t_ok(http_server_listen(w.server, w.fd, "east", NULL));
    atomic_store(&answered_count, 0);
    struct raw_conn c = raw_connect(w.port);
    struct raw_response r = exchange(&c, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_response_done(&r);
    raw_send(&c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    answer_echo(take_aside());
    t_check(raw_read(&c, true, &r));
    raw_response_done(&r);
    t_eq_u64(atomic_load(&answered_count), 2);
    r = exchange(&c, "PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n12345678901");
    raw_response_done(&r);
    t_eq_int(atomic_load(&answered_status), 413);
    raw_close(&c);
    teardown();
}

T_TEST("a client that goes away while its answer is made harms nobody")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    struct http_req *kept = take_aside();
    raw_close(&c);
    answer_echo(kept);
    teardown();
}

T_TEST("a server gives back all memory")
{
    mem_probe_start();
    setup();
    for (int i = 0; i < 8; i++) {
        struct raw_conn c = raw_connect(w.port);
        struct raw_response r = exchange(&c, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n");
        raw_response_done(&r);
        raw_send(&c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
        answer_echo(take_aside());
        t_check(raw_read(&c, true, &r));
        raw_response_done(&r);
        if (i % 2 == 0) {
            raw_close(&c);
        } else {
            t_check(close(c.fd) == 0);
            free(c.in);
        }
    }
    teardown();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

/* What libmicrohttpd aborts on: its own call must reach our definition, which forgives. */
T_TEST("a socket that is not in an epoll set can be taken out of it, by libraries as well")
{
    int (*found)(int, int, int, struct epoll_event *) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "epoll_ctl");
    memcpy(&found, &symbol, sizeof(found)); /* a cast would not be C */
    int set = epoll_create1(EPOLL_CLOEXEC);
    int fds[2];
    t_check(set >= 0 && pipe(fds) == 0);
    t_check(found == epoll_ctl);
    t_eq_int(found(set, EPOLL_CTL_DEL, fds[0], NULL), 0);
    struct epoll_event ev = {.events = EPOLLIN};
    t_eq_int(found(set, EPOLL_CTL_ADD, fds[0], &ev), 0);
    t_eq_int(found(set, EPOLL_CTL_ADD, fds[0], &ev), -1); /* every other error stays */
    t_eq_int(errno, EEXIST);
    t_eq_int(found(set, EPOLL_CTL_DEL, fds[0], NULL), 0);
    t_eq_int(found(set, EPOLL_CTL_DEL, fds[0], NULL), 0);
    (void)close(fds[0]);
    (void)close(fds[1]);
    (void)close(set);
}

T_MAIN()
