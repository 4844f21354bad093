/* The HTTP client on a loop: libcurl's multi interface driven by libuv.
 *
 * libcurl says by callbacks which sockets to watch and when to be called next; we call
 * curl_multi_socket_action on events and collect what has ended afterwards. Its callbacks must not
 * call it back: they only note things. "Call me at once" is done at the end of the loop's round, so
 * that a request started in a round leaves in it. User callbacks run from collect(), outside of
 * libcurl, where starting and cancelling are allowed.
 *
 * Connections are kept per origin by libcurl; a waiting request opens another one, never queues
 * behind one that waits for its answer. */
#include "net/http_client.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/contract.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/http_transfer.h"
#include "net/loop_int.h"

enum {
    EASY_POOL_MAX = 64,
    CONNECTIONS_KEPT_MAX = 256,
};

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct loop_timer *timer;
    struct loop_flush kick; /* libcurl wants to be called now */
    struct list calls;      /* struct http_call.link, in flight */
    CURL *easies[EASY_POOL_MAX];
    size_t easy_count;
    bool is_freeing;
};

struct http_call {
    struct http_transfer transfer;
    struct http_client *client;
    struct list link;
    http_client_done *done;
    void *ctx;
    bool is_unsendable; /* ends with ERR_INVALID at the next round */
};

struct watched {
    uv_poll_t poll; /* first */
    struct http_client *client;
    curl_socket_t fd;
};

static void call_end(struct http_call *call)
{
    struct http_client *c = call->client;
    CURL *easy = call->transfer.easy;
    list_remove(&call->link);
    http_transfer_done(&call->transfer);
    if (c->easy_count < EASY_POOL_MAX && !c->is_freeing) {
        curl_easy_reset(easy); /* keeps its buffers */
        c->easies[c->easy_count++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
    mem_free(call);
}

static void report(struct http_call *call, const struct http_client_result *res)
{
    call->done(call->ctx, res);
    call_end(call);
}

static void remove_from_multi(struct http_call *call)
{
    if (!call->is_unsendable) {
        CURLMcode code = curl_multi_remove_handle(call->client->multi, call->transfer.easy);
        ASSERT(code == CURLM_OK);
    }
}

/* Reports what libcurl has finished. */
static void collect(struct http_client *c)
{
    CURLMsg *msg = NULL;
    int left = 0;
    while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        CURLcode code = msg->data.result; /* msg dies with the removal */
        char *private_data = NULL;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                                &private_data); /* known option */
        struct http_call *call = (struct http_call *)(void *)private_data;
        struct http_client_result res;
        http_transfer_result(&call->transfer, code, &res);
        remove_from_multi(call);
        report(call, &res);
    }
}

static void act(struct http_client *c, curl_socket_t fd, int events)
{
    int running = 0;
    CURLMcode code = curl_multi_socket_action(c->multi, fd, events, &running);
    ASSERT(code == CURLM_OK);
    collect(c);
}

static bool end_one_unsendable(struct http_client *c)
{
    LIST_FOR(item, &c->calls) {
        struct http_call *call = LIST_ENTRY(item, struct http_call, link);
        if (call->is_unsendable) {
            struct http_client_result res = {.err = ERR_INVALID};
            (void)snprintf(res.detail, sizeof(res.detail), "url or header cannot be sent");
            report(call, &res);
            return true; /* the callback may have changed the list: look from the start */
        }
    }
    return false;
}

static void on_kick(struct loop_flush *f)
{
    struct http_client *c = CONTAINER_OF(f, struct http_client, kick);
    while (end_one_unsendable(c)) {
    }
    act(c, CURL_SOCKET_TIMEOUT, 0);
}

static void on_timer(void *ctx)
{
    act((struct http_client *)ctx, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl's: only notes. */
static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    UNUSED(multi);
    struct http_client *c = (struct http_client *)arg;
    if (timeout_ms == 0) {
        loop_flush_later(c->loop, &c->kick);
    } else {
        loop_timer_set(c->timer, timeout_ms < 0 ? 0 : (unsigned)timeout_ms, 0);
    }
    return 0;
}

static void on_socket_event(uv_poll_t *handle, int status, int events)
{
    struct watched *w = (struct watched *)handle->data;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;
    what |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    what |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    act(w->client, w->fd, what);
}

static void on_watched_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct watched *watch(struct http_client *c, curl_socket_t fd)
{
    struct watched *w = MEM_NEW(struct watched);
    w->client = c;
    w->fd = fd;
    int rc = uv_poll_init(loop_uv(c->loop), &w->poll, fd);
    ASSERT(rc == 0);
    w->poll.data = w;
    return w;
}

/* libcurl's: only notes. */
static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    UNUSED(easy);
    struct http_client *c = (struct http_client *)arg;
    struct watched *w = (struct watched *)socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            (void)curl_multi_assign(c->multi, fd, NULL); /* allowed here; the socket may be gone */
            uv_close((uv_handle_t *)&w->poll, on_watched_closed);
        }
        return 0;
    }
    if (w == NULL) {
        w = watch(c, fd);
        CURLMcode code = curl_multi_assign(c->multi, fd, w);
        ASSERT(code == CURLM_OK);
    }
    int events = 0;
    events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
    int rc = uv_poll_start(&w->poll, events, on_socket_event);
    ASSERT(rc == 0);
    return 0;
}

#define SET_MULTI(multi, option, value)                                                            \
    do {                                                                                           \
        CURLMcode set_code_ = curl_multi_setopt(multi, option, value);                             \
        ASSERT(set_code_ == CURLM_OK);                                                             \
    } while (0)

struct http_client *http_client_new(struct loop *loop)
{
    http_transfer_global_init();
    struct http_client *c = MEM_NEW(struct http_client);
    c->loop = loop;
    list_init(&c->calls);
    loop_flush_init(&c->kick, on_kick);
    c->timer = loop_timer_new(loop, on_timer, c);
    c->multi = curl_multi_init();
    ASSERT(c->multi != NULL);
    SET_MULTI(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted);
    SET_MULTI(c->multi, CURLMOPT_SOCKETDATA, c);
    SET_MULTI(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
    SET_MULTI(c->multi, CURLMOPT_TIMERDATA, c);
    SET_MULTI(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT_MAX);
    return c;
}

void http_client_free(struct http_client *c)
{
    if (c == NULL) {
        return;
    }
    c->is_freeing = true;
    struct list *item = NULL;
    while ((item = list_pop_front(&c->calls)) != NULL) {
        struct http_call *call = LIST_ENTRY(item, struct http_call, link);
        remove_from_multi(call);
        struct http_client_result res = {.err = ERR_CLOSED,
                                         .was_sent = call->transfer.attempt_count > 0};
        (void)snprintf(res.detail, sizeof(res.detail), "the client is being freed");
        report(call, &res);
    }
    while (c->easy_count > 0) {
        curl_easy_cleanup(c->easies[--c->easy_count]);
    }
    CURLMcode code = curl_multi_cleanup(c->multi); /* calls on_socket_wanted to unwatch */
    ASSERT(code == CURLM_OK);
    loop_flush_cancel(&c->kick);
    loop_timer_free(c->timer);
    mem_free(c);
}

struct http_call *http_client_start(struct http_client *c, const struct http_client_req *req,
                                    http_client_done *done, void *ctx)
{
    ASSERT(!c->is_freeing);
    struct http_call *call = MEM_NEW(struct http_call);
    call->client = c;
    call->done = done;
    call->ctx = ctx;
    list_init(&call->link);
    list_push_back(&c->calls, &call->link);
    CURL *easy = c->easy_count > 0 ? c->easies[--c->easy_count] : curl_easy_init();
    ASSERT(easy != NULL);
    if (!http_transfer_init(&call->transfer, easy, req)) {
        call->is_unsendable = true;
        loop_flush_later(c->loop, &c->kick);
        return call;
    }
    CURLcode code = curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    ASSERT(code == CURLE_OK);
    CURLMcode multi_code = curl_multi_add_handle(c->multi, easy);
    ASSERT(multi_code == CURLM_OK);
    return call;
}

void http_client_cancel(struct http_call *call)
{
    remove_from_multi(call);
    call_end(call);
}

enum err http_client_run(const struct http_client_req *req, int *ret_status,
                         struct buf *ret_headers, struct buf *ret_body, struct errinfo *ei)
{
    http_transfer_global_init();
    struct http_transfer *t = MEM_NEW(struct http_transfer);
    CURL *easy = curl_easy_init();
    ASSERT(easy != NULL);
    struct http_client_result res = {.err = ERR_INVALID, .detail = "url or header cannot be sent"};
    if (http_transfer_init(t, easy, req)) {
        http_transfer_result(t, curl_easy_perform(easy), &res);
    }
    enum err ret = res.err;
    if (ret == OK) {
        *ret_status = res.status;
        buf_add_str(ret_body, res.body);
        if (ret_headers != NULL) {
            buf_add_str(ret_headers, buf_str(&t->head));
        }
        if (!buf_ok(ret_body)) {
            ret = err_set(ei, ERR_LIMIT, "answer of %zu bytes from %s", res.body.n, req->url);
        }
    } else {
        bool is_unknown = res.was_sent && !t->is_idempotent && ret != ERR_INVALID;
        ret = err_set(ei, is_unknown ? ERR_UNKNOWN_OUTCOME : ret, "%s %s: %s", req->method,
                      req->url, res.detail);
    }
    http_transfer_done(t);
    curl_easy_cleanup(easy);
    mem_free(t);
    return ret;
}
