/* The webhook against a receiver that fails as told: order, retries, signatures, limits. */
#include "server/webhook.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem_probe.h"
#include "net/sockets.h"

enum { SEEN_MAX = 128 };

static struct {
    struct loop *loop;
    struct http_server *server;
    int fd;
    uint16_t port;
    struct webhook *hook;
    atomic_uint failures; /* answers that are to fail first */
    atomic_uint seen;
    atomic_bool is_silent; /* answers nothing: the request is kept here */
    _Atomic(struct http_req *) kept;
    char ids[SEEN_MAX][64];
    char event[32], body[256], timestamp[32], signature[128];
    unsigned want;
} w;

static void copy(char *ret, size_t size, struct str s)
{
    (void)snprintf(ret, size, STR_FMT, STR_ARG(s));
}

static void on_request(void *ctx, struct http_req *req)
{
    UNUSED(ctx);
    unsigned n = atomic_load(&w.seen);
    if (n < SEEN_MAX) {
        copy(w.ids[n], sizeof(w.ids[0]), http_header(req, STR("x-holdfast-delivery")));
    }
    copy(w.event, sizeof(w.event), http_header(req, STR("x-holdfast-event")));
    copy(w.timestamp, sizeof(w.timestamp), http_header(req, STR("x-holdfast-timestamp")));
    copy(w.signature, sizeof(w.signature), http_header(req, STR("x-holdfast-signature")));
    copy(w.body, sizeof(w.body), req->body);
    struct http_response res = {.status = 204};
    if (atomic_load(&w.failures) > 0) {
        atomic_fetch_sub(&w.failures, 1);
        res.status = 503;
    }
    bool is_silent = atomic_load(&w.is_silent);
    if (is_silent) {
        atomic_store(&w.kept, req);
    }
    atomic_fetch_add(&w.seen, 1);
    if (!is_silent) {
        http_respond(req, &res);
    }
}

static void setup(const char *secret)
{
    memset(&w, 0, sizeof(w));
    log_set_level(LOG_LEVEL_ERROR);
    w.loop = loop_new();
    struct http_server_opts opts = {.handler = on_request};
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    t_ok(http_server_new(&opts, &w.server, NULL));
    t_ok(http_server_listen(w.server, w.fd, "x", NULL));
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook?a=b", w.port);
    t_ok(webhook_new(w.loop, url, str_of(secret), &w.hook, NULL));
}

static void teardown(void)
{
    webhook_free(w.hook);
    struct http_req *kept = atomic_load(&w.kept);
    if (kept) {
        struct http_response res = {.status = 204};
        http_respond(kept, &res);
    }
    http_server_free(w.server, 100);
    t_check(close(w.fd) == 0);
    loop_free(w.loop);
}

static bool all_delivered(void)
{
    struct webhook_stats s;
    webhook_stats(w.hook, &s);
    return s.delivered == w.want;
}

static bool all_seen(void)
{
    return atomic_load(&w.seen) == w.want;
}

T_TEST("events are delivered in order, each once, with what a receiver needs to check them")
{
    static const char secret[] = "sixteen bytes or more";
    setup(secret);
    for (int i = 1; i <= 3; i++) {
        char id[32], body[32];
        (void)snprintf(id, sizeof(id), "shop/epoch/%d", i);
        (void)snprintf(body, sizeof(body), "{\"n\":%d}", i);
        webhook_send(w.hook, "failover", id, str_of(body));
    }
    w.want = 3;
    loop_until(w.loop, all_delivered);
    t_eq_cstr(w.ids[0], "shop/epoch/1");
    t_eq_cstr(w.ids[2], "shop/epoch/3");
    t_eq_cstr(w.event, "failover");
    t_eq_cstr(w.body, "{\"n\":3}");
    char want[WEBHOOK_SIGNATURE_SIZE];
    struct crypto_hmac *h = crypto_hmac_new(str_of(secret));
    webhook_sign(h, w.timestamp, STR("{\"n\":3}"), want);
    t_eq_cstr(w.signature, want);
    crypto_hmac_free(h);
    t_eq_u64(atomic_load(&w.seen), 3);
    teardown();
}

T_TEST("the signature is HMAC-SHA256 of timestamp, dot and body, in hex")
{
    struct crypto_hmac *h = crypto_hmac_new(STR("a shared secret!"));
    char got[WEBHOOK_SIGNATURE_SIZE];
    webhook_sign(h, "1767225600", STR("{}"), got);
    t_eq_cstr(got, "sha256="
                   "ca0df17bb5da1e70020e017f50027a7beb3deb5c44fae87380caab31e803db44");
    crypto_hmac_free(h);
}

T_TEST("a secret that is changed signs what is sent from then on")
{
    setup("sixteen bytes or more");
    webhook_set_secret(w.hook, STR("another sixteen bytes"));
    webhook_send(w.hook, "failover", "a", STR("{}"));
    w.want = 1;
    loop_until(w.loop, all_delivered);
    char want[WEBHOOK_SIGNATURE_SIZE];
    struct crypto_hmac *h = crypto_hmac_new(STR("another sixteen bytes"));
    webhook_sign(h, w.timestamp, STR("{}"), want);
    t_eq_cstr(w.signature, want);
    crypto_hmac_free(h);
    webhook_set_secret(NULL, STR("another sixteen bytes"));
    teardown();
}

T_TEST("without a secret nothing is signed")
{
    setup("");
    webhook_send(w.hook, "reopened", "a", STR("{}"));
    w.want = 1;
    loop_until(w.loop, all_delivered);
    t_eq_cstr(w.signature, "");
    teardown();
}

T_TEST("a refusal is tried again after a second, the next one waits its turn")
{
    setup("");
    atomic_store(&w.failures, 1);
    usec start = clock_boot_us();
    webhook_send(w.hook, "failover", "first", STR("{}"));
    webhook_send(w.hook, "failover", "second", STR("{}"));
    w.want = 2;
    loop_until(w.loop, all_delivered);
    t_check(clock_boot_us() - start >= (usec)WEBHOOK_BACKOFF_FIRST_MS * 3 / 4 * 1000);
    t_eq_u64(atomic_load(&w.seen), 3);
    t_eq_cstr(w.ids[0], "first");
    t_eq_cstr(w.ids[1], "first");
    t_eq_cstr(w.ids[2], "second");
    struct webhook_stats s;
    webhook_stats(w.hook, &s);
    t_eq_u64(s.failed_attempts, 1);
    t_eq_u64(s.queued + s.dropped, 0);
    teardown();
}

T_TEST("a receiver that hangs delays nobody, a full queue drops the oldest that is not on its way")
{
    setup("");
    atomic_store(&w.is_silent, true);
    for (int i = 0; i < WEBHOOK_QUEUE_MAX + 3; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "%d", i);
        webhook_send(w.hook, "failover", id, STR("{}"));
    }
    struct webhook_stats s;
    webhook_stats(w.hook, &s);
    t_eq_u64(s.queued, WEBHOOK_QUEUE_MAX);
    t_eq_u64(s.dropped, 3);
    w.want = 1;
    loop_until(w.loop, all_seen);
    t_eq_cstr(w.ids[0], "0");
    teardown(); /* with a call in flight */
}

T_TEST("what is no webhook is refused, no webhook at all is fine")
{
    struct webhook *h = NULL;
    struct errinfo ei = {0};
    struct loop *loop = loop_new();
    static const char *const bad[] = {"", "ftp://x/", "HTTP//x", "file:///etc/passwd"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        t_err(webhook_new(loop, bad[i], STR(""), &h, &ei), ERR_INVALID);
    }
    t_err(webhook_new(loop, "http://127.0.0.1:9/", STR("fifteen bytes.."), &h, &ei), ERR_INVALID);
    struct webhook_stats s = {.delivered = 7};
    webhook_send(NULL, "failover", "a", STR("{}"));
    webhook_stats(NULL, &s);
    t_eq_u64(s.delivered, 0);
    webhook_free(NULL);
    loop_free(loop);
}

T_MAIN()
