/* Coordinator and client together, on one loop, over real sockets and a real file. */
#include "coord/server.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "../net/raw_http.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "coord/coord_client.h"
#include "heard.h"
#include "net/http_client.h"
#include "net/sockets.h"
#include "secret_of.h"

struct seen {
    char key[64];
    char value[64];
    coord_rev rev;
    bool is_deleted;
};

static struct {
    struct loop *loop;
    struct coord_server *server;
    struct coord_client *client;
    int fd;
    uint16_t port;
    char url[128];
    char dir[512];
    int dir_count;
    /* watch */
    struct seen seen[256];
    size_t seen_count;
    size_t want_seen;
    unsigned want_synced, want_lost;
    /* last transaction */
    bool is_txn_done;
    struct coord_txn_result txn;
    char txn_kv_value[64];
    struct heard heard;
} w;

static void start_server(void)
{
    struct coord_server_opts opts = {
        .dir = w.dir, .listen_fd = w.fd, .secrets = secret_of(STR("s3cret"))};
    struct errinfo ei = {0};
    t_ok_info(coord_server_new(w.loop, &opts, &w.server, &ei), &ei);
}

static void setup(void)
{
    int count = w.dir_count;
    memset(&w, 0, sizeof(w));
    w.dir_count = count + 1;
    w.loop = loop_new();
    (void)snprintf(w.dir, sizeof(w.dir), "%s/server%d", t_tmp_dir(), count);
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    (void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u/", w.port);
    start_server();
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("s3cret")));
}

static void teardown(void)
{
    coord_client_free(w.client);
    coord_server_free(w.server);
    loop_free(w.loop);
    t_check(close(w.fd) == 0);
}

static void on_txn(void *ctx, const struct coord_txn_result *res)
{
    UNUSED(ctx);
    w.is_txn_done = true;
    w.txn = *res;
    w.txn_kv_value[0] = '\0';
    if (res->kv_count > 0) {
        (void)snprintf(w.txn_kv_value, sizeof(w.txn_kv_value), STR_FMT, STR_ARG(res->kvs[0].value));
    }
}

static bool txn_done(void)
{
    return w.is_txn_done;
}

static const struct coord_txn_result *run_txn(const struct coord_txn *t, unsigned timeout_ms)
{
    w.is_txn_done = false;
    coord_client_txn(w.client, t, timeout_ms, on_txn, NULL);
    t_check(!w.is_txn_done);
    loop_until(w.loop, txn_done);
    return &w.txn;
}

static coord_rev put(const char *key, const char *value, bool is_volatile)
{
    struct coord_txn t = {
        .put_count = 1,
        .puts = {{.key = str_of(key), .value = str_of(value), .is_volatile = is_volatile}}};
    const struct coord_txn_result *r = run_txn(&t, 5000);
    t_ok(r->err);
    t_check(r->succeeded);
    return r->rev;
}

static bool read_done(void)
{
    return w.heard.is_read;
}

static void changed(void *ctx, const struct coord_kv *kv)
{
    UNUSED(ctx);
    if (w.seen_count < ARRAY_COUNT(w.seen)) {
        struct seen *s = &w.seen[w.seen_count++];
        *s = (struct seen){.rev = kv->rev, .is_deleted = kv->is_deleted};
        (void)snprintf(s->key, sizeof(s->key), STR_FMT, STR_ARG(kv->key));
        (void)snprintf(s->value, sizeof(s->value), STR_FMT, STR_ARG(kv->value));
    }
}

static bool seen_enough(void)
{
    return w.seen_count >= w.want_seen && w.heard.synced_count >= w.want_synced &&
           w.heard.lost_count >= w.want_lost;
}

static void start_watch(const char *prefix)
{
    struct coord_events ev = heard_events(&w.heard);
    ev.changed = changed;
    coord_client_watch(w.client, str_of(prefix), &ev);
}

static void wait_seen(size_t count, unsigned synced_want, unsigned lost_want)
{
    w.want_seen = count;
    w.want_synced = synced_want;
    w.want_lost = lost_want;
    loop_until(w.loop, seen_enough);
}

T_TEST("compare-and-set: who is late learns the present value")
{
    setup();
    struct coord_txn create = {.compare_count = 1,
                               .compares = {{STR("record"), 0}},
                               .put_count = 1,
                               .puts = {{.key = STR("record"), .value = STR("{\"a\":1}")}}};
    coord_rev rev = run_txn(&create, 5000)->rev;
    t_check(w.txn.succeeded && rev > 0);
    t_check(!run_txn(&create, 5000)->succeeded);
    t_ok(w.txn.err);
    t_eq_cstr(w.txn_kv_value, "{\"a\":1}");
    create.compares[0].rev = rev;
    create.puts[0].value = STR("{\"a\":2}");
    t_check(run_txn(&create, 5000)->succeeded);
    t_check(w.txn.rev > rev);
    w.heard.is_read = false;
    coord_client_read(w.client, STR("rec"), 5000, heard_read, &w.heard);
    loop_until(w.loop, read_done);
    t_ok(w.heard.read_err);
    t_eq_u64(w.heard.read_count, 1);
    teardown();
}

T_TEST("a watch reports what is there, then every change in order, deletions too")
{
    setup();
    (void)put("p/b", "1", false);
    (void)put("p/a", "2", true);
    (void)put("other", "x", false);
    start_watch("p/");
    wait_seen(2, 1, 0);
    t_eq_cstr(w.seen[0].key, "p/b"); /* in revision order */
    t_eq_cstr(w.seen[1].key, "p/a");
    (void)put("p/c", "3", false);
    struct coord_txn del = {.put_count = 1, .puts = {{.key = STR("p/b"), .is_delete = true}}};
    t_check(run_txn(&del, 5000)->succeeded);
    (void)put("other", "y", false);
    wait_seen(4, 1, 0);
    t_eq_cstr(w.seen[2].key, "p/c");
    t_eq_cstr(w.seen[3].key, "p/b");
    t_check(w.seen[3].is_deleted && w.seen[3].rev > w.seen[2].rev);
    loop_for_ms(w.loop, 20);
    t_eq_u64(w.seen_count, 4);
    teardown();
}

T_TEST("a change reaches a watcher within a moment")
{
    /* Median over many changes, volatile and durable apart; generous, for busy machines. */
    setup();
    start_watch("k");
    wait_seen(0, 1, 0);
    for (int is_volatile = 1; is_volatile >= 0; is_volatile--) {
        usec took[40];
        for (size_t i = 0; i < 40; i++) {
            size_t before = w.seen_count;
            usec start_us = clock_boot_us();
            struct coord_txn t = {
                .put_count = 1,
                .puts = {{.key = STR("k"), .value = STR("v"), .is_volatile = is_volatile != 0}}};
            w.is_txn_done = false;
            coord_client_txn(w.client, &t, 5000, on_txn, NULL);
            wait_seen(before + 1, 1, 0);
            took[i] = clock_boot_us() - start_us;
            loop_until(w.loop, txn_done);
        }
        usec best = took[0];
        for (size_t i = 1; i < 40; i++) {
            best = took[i] < best ? took[i] : best;
        }
        t_note("%s: best %lu us", is_volatile != 0 ? "volatile" : "durable", (unsigned long)best);
        t_check(best < (is_volatile != 0 ? 5000U : 50000U));
    }
    teardown();
}

T_TEST("after a restart durable keys are there, volatile ones are reported gone, revisions go on")
{
    setup();
    (void)put("p/durable", "1", false);
    start_watch("p/");
    coord_rev last = put("p/beat", "2", true);
    wait_seen(2, 1, 0);
    coord_server_free(w.server);
    w.server = NULL;
    wait_seen(2, 1, 1);
    start_server();
    wait_seen(4, 2, 1);
    t_eq_cstr(w.seen[2].key, "p/beat");
    t_check(w.seen[2].is_deleted && w.seen[2].rev > last);
    t_eq_cstr(w.seen[3].key, "p/durable");
    t_check(!w.seen[3].is_deleted);
    t_check(put("p/beat", "3", true) > last);
    wait_seen(5, 2, 1);
    teardown();
}

T_TEST("a call waits for a coordinator that is not there yet, and gives up in time")
{
    setup();
    coord_server_free(w.server);
    w.server = NULL;
    t_check(close(w.fd) == 0); /* refuses from now on */
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    usec start_us = clock_boot_us();
    t_err(run_txn(&t, 100)->err, ERR_UNAVAILABLE);
    t_check(clock_boot_us() - start_us >= 90000);
    w.is_txn_done = false;
    coord_client_txn(w.client, &t, 5000, on_txn, NULL);
    loop_for_ms(w.loop, 50);
    char addr[64];
    (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", w.port);
    t_ok(sockets_listen(addr, &w.fd, &w.port, NULL));
    start_server();
    loop_until(w.loop, txn_done);
    t_ok(w.txn.err);
    teardown();
}

T_TEST("a coordinator that swallows a transaction leaves its outcome unknown")
{
    setup();
    coord_server_free(w.server);
    w.server = NULL; /* the socket still listens: connections are taken, nobody answers */
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    t_err(run_txn(&t, 100)->err, ERR_TIMEOUT);
    teardown();
}

T_TEST("the second url is tried when the first refuses")
{
    setup();
    int dead_fd = -1;
    uint16_t dead_port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &dead_fd, &dead_port, NULL));
    t_check(close(dead_fd) == 0);
    char urls[256];
    (void)snprintf(urls, sizeof(urls), "http://127.0.0.1:%u, %s", dead_port, w.url);
    coord_client_free(w.client);
    w.client = coord_client_new(w.loop, urls, secret_of(STR("s3cret")));
    (void)put("k", "v", false);
    start_watch("k");
    wait_seen(1, 1, 0);
    teardown();
}

T_TEST("another secret is refused, for transactions, reads and watches")
{
    setup();
    coord_client_free(w.client);
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("S3cret")));
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    t_err(run_txn(&t, 1000)->err, ERR_UNAUTHORIZED);
    coord_client_read(w.client, STR("k"), 1000, heard_read, &w.heard);
    loop_until(w.loop, read_done);
    t_err(w.heard.read_err, ERR_UNAUTHORIZED);
    start_watch("k");
    loop_for_ms(w.loop, 50);
    t_eq_u64(w.heard.synced_count, 0);
    teardown();
}

static struct http_client *http;
static struct {
    bool is_there;
    int status;
    char body[8192];
} got;

static void on_http(void *ctx, const struct http_client_result *res)
{
    UNUSED(ctx);
    t_ok(res->err);
    got.is_there = true;
    got.status = res->status;
    (void)snprintf(got.body, sizeof(got.body), STR_FMT, STR_ARG(res->body));
}

static bool got_it(void)
{
    return got.is_there;
}

static int fetch(const char *method, const char *target, const char *body, bool has_token)
{
    char url[256];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", w.port, target);
    struct http_header token = {STR("Authorization"), STR("Bearer s3cret")};
    struct http_client_req req = {.method = method,
                                  .url = url,
                                  .headers = &token,
                                  .header_count = has_token ? 1 : 0,
                                  .body = str_of(body),
                                  .timeout_ms = 5000};
    got.is_there = false;
    (void)http_client_start(http, &req, on_http, NULL);
    loop_until(w.loop, got_it);
    return got.status;
}

T_TEST("the HTTP surface says what is wrong in JSON")
{
    setup();
    http = http_client_new(w.loop);
    t_eq_int(fetch("GET", "/health/live", "", false), 200);
    t_eq_int(fetch("GET", "/metrics", "", false), 200);
    t_contains(str_of(got.body), "holdfast_coordinator_revision 0\n");
    t_eq_int(fetch("GET", "/v1/read?prefix=", "", false), 401);
    t_contains(str_of(got.body), "\"code\":\"ERR_UNAUTHORIZED\"");
    t_eq_int(fetch("GET", "/v1/read?prefix=", "", true), 200);
    t_eq_cstr(got.body, "{\"rev\":0,\"reset\":true,\"kvs\":[]}");
    t_eq_int(fetch("GET", "/v1/txn", "", true), 400);
    t_eq_int(fetch("POST", "/v1/txn", "{", true), 400);
    t_eq_int(fetch("POST", "/v1/nothing", "", true), 404);
    t_eq_int(fetch("POST", "/v1/txn", "{\"put\":[{\"key\":\"k\",\"value\":\"v\"}]}", true), 200);
    t_eq_cstr(got.body, "{\"succeeded\":true,\"rev\":1,\"kvs\":[]}");
    t_eq_int(fetch("GET", "/v1/watch?prefix=k&after=1&wait_ms=1", "", true), 200);
    t_eq_cstr(got.body, "{\"rev\":1,\"reset\":false,\"kvs\":[]}");
    t_eq_int(fetch("GET", "/v1/watch?prefix=k&after=99&wait_ms=1", "", true), 200);
    t_contains(str_of(got.body), "\"reset\":true");
    http_client_free(http);
    teardown();
}

T_TEST("freeing the client ends its calls, and both sides give back all memory")
{
    mem_probe_start();
    setup();
    start_watch("k");
    wait_seen(0, 1, 0);
    (void)put("k", "v", false);
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    w.is_txn_done = false;
    coord_client_txn(w.client, &t, 5000, on_txn, NULL);
    coord_client_free(w.client);
    w.client = NULL;
    t_check(w.is_txn_done);
    t_err(w.txn.err, ERR_CLOSED);
    teardown();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

static void *run_loop(void *arg)
{
    loop_run((struct loop *)arg);
    return NULL;
}

T_TEST("the blocking forms work against a coordinator in another thread's loop")
{
    /* The loop must run elsewhere: here the HTTP threads and a second thread for the loop. */
    setup();
    pthread_t thread;
    t_check(pthread_create(&thread, NULL, run_loop, w.loop) == 0);
    struct arena a;
    struct errinfo ei = {0};
    arena_init(&a);
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    struct coord_txn_result r;
    t_ok_info(coord_txn_blocking(w.url, secret_of(STR("s3cret")), &t, &a, &r, &ei), &ei);
    t_check(r.succeeded);
    struct coord_kv *kvs = NULL;
    size_t n = 0;
    t_ok_info(coord_read_blocking(w.url, secret_of(STR("s3cret")), STR(""), &a, &kvs, &n, &ei),
              &ei);
    t_eq_u64(n, 1);
    t_eq_lit(kvs[0].value, "v");
    t_err(coord_txn_blocking(w.url, secret_of(STR("x")), &t, &a, &r, NULL), ERR_UNAUTHORIZED);
    struct coord_secrets two;
    t_ok(coord_secrets_parse(STR("x\ns3cret"), &two, NULL)); /* while it changes */
    t_ok_info(coord_txn_blocking(w.url, &two, &t, &a, &r, &ei), &ei);
    t_check(r.succeeded);
    t_ok(coord_secrets_parse(STR("x\ny"), &two, NULL));
    t_err(coord_txn_blocking(w.url, &two, &t, &a, &r, NULL), ERR_UNAUTHORIZED);
    t_err(coord_txn_blocking("http://127.0.0.1:1", secret_of(STR("x")), &t, &a, &r, NULL),
          ERR_UNAVAILABLE);
    arena_done(&a);
    loop_stop(w.loop);
    t_check(pthread_join(thread, NULL) == 0);
    teardown();
}

T_TEST("over https the coordinator is whoever has the key of the secret; nobody else hears of it")
{
    setup();
    coord_server_free(w.server);
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    struct coord_server_opts opts = {.dir = w.dir,
                                     .listen_fd = w.fd,
                                     .secrets = secret_of(STR("s3cret")),
                                     .has_tls = true,
                                     .tls_fd = fd};
    t_ok(coord_server_new(w.loop, &opts, &w.server, NULL));
    coord_client_free(w.client);
    (void)snprintf(w.url, sizeof(w.url), "https://127.0.0.1:%u", port);
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("s3cret")));
    coord_rev first = put("a", "1", false);
    t_check(put("a", "2", false) > first);
    coord_client_free(w.client);
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("another")));
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("a"), .value = STR("3")}}};
    t_check(run_txn(&t, 300)->err != OK);
    coord_client_free(w.client);
    (void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u", w.port);
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("s3cret"))); /* plain, beside it */
    t_check(put("a", "4", false) > first);
    teardown();
    t_check(close(fd) == 0);
}

T_MAIN()
