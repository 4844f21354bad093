/* A secret that is changed under a coordinator and its client: what is presented and taken, over plain
 * HTTP and over https, and that no write and no watch is lost on the way. */
#include "coord/coord_client.c"

#include <stdio.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "base/files.h"
#include "coord/server.h"
#include "heard.h"
#include "net/sockets.h"

static struct {
    struct loop *loop;
    struct coord_server *server;
    struct coord_client *client;
    int fd, tls_fd;
    char url[128], plain_url[128];
    char dir[512], secret_path[640];
    bool is_done;
    enum err err;
    coord_rev rev;
    uint64_t metric;
    const char *metric_name;
    struct heard heard;
} w;

static void put_secrets(const char *text)
{
    t_ok(files_write_durable(w.secret_path, str_of(text), 0600, NULL));
}

static struct coord_secrets secrets_of(const char *text)
{
    struct coord_secrets ret = {0};
    t_ok(coord_secrets_parse(str_of(text), &ret, NULL));
    return ret;
}

/* The coordinator follows the file; w.url is for https or plain. */
static void setup(const char *text, bool has_tls)
{
    static int count;
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    (void)snprintf(w.dir, sizeof(w.dir), "%s/%d", t_tmp_dir(), count++);
    t_ok(files_mkdirs(w.dir, NULL));
    (void)snprintf(w.secret_path, sizeof(w.secret_path), "%s/secret", w.dir);
    put_secrets(text);
    uint16_t port = 0;
    uint16_t tls_port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &port, NULL));
    t_ok(sockets_listen("127.0.0.1:0", &w.tls_fd, &tls_port, NULL));
    (void)snprintf(w.plain_url, sizeof(w.plain_url), "http://127.0.0.1:%u", port);
    (void)snprintf(w.url, sizeof(w.url), "%s://127.0.0.1:%u", has_tls ? "https" : "http",
                   (unsigned)(has_tls ? tls_port : port));
    struct coord_secrets secrets = secrets_of(text);
    struct coord_server_opts opts = {.dir = w.dir,
                                     .listen_fd = w.fd,
                                     .secrets = &secrets,
                                     .secret_file = w.secret_path,
                                     .has_tls = has_tls,
                                     .tls_fd = w.tls_fd};
    struct errinfo ei = {0};
    t_ok_info(coord_server_new(w.loop, &opts, &w.server, &ei), &ei);
}

static void new_client(const char *text)
{
    coord_client_free(w.client);
    struct coord_secrets secrets = secrets_of(text);
    w.client = coord_client_new(w.loop, w.url, &secrets);
}

static void teardown(void)
{
    coord_client_free(w.client);
    coord_server_free(w.server);
    loop_free(w.loop);
    t_check(close(w.fd) == 0 && close(w.tls_fd) == 0);
    coord_secret_look_ms = COORD_SECRET_LOOK_MS;
    coord_secret_settle_ms = COORD_SECRET_SETTLE_MS;
}

static bool is_done(void)
{
    return w.is_done;
}

static void on_txn(void *ctx, const struct coord_txn_result *res)
{
    UNUSED(ctx);
    w.is_done = true;
    w.err = res->err;
    w.rev = res->rev;
}

static enum err put(unsigned timeout_ms)
{
    struct coord_txn t = {.put_count = 1, .puts = {{.key = STR("k"), .value = STR("v")}}};
    w.is_done = false;
    coord_client_txn(w.client, &t, timeout_ms, on_txn, NULL);
    loop_until(w.loop, is_done);
    return w.err;
}

static void on_metrics(void *ctx, const struct http_client_result *res)
{
    UNUSED(ctx);
    w.is_done = true;
    t_eq_int(res->status, 200);
    char wanted[128];
    (void)snprintf(wanted, sizeof(wanted), "\nholdfast_coordinator_%s ", w.metric_name);
    char *text = (char *)mem_dup(res->body.p, res->body.n);
    text[res->body.n - 1] = '\0'; /* in place of the last line end */
    const char *found = strstr(text, wanted);
    t_check(found != NULL);
    w.metric = found != NULL ? strtoull(found + strlen(wanted), NULL, 10) : 0;
    mem_free(text);
}

static uint64_t metric(const char *name)
{
    char url[200];
    (void)snprintf(url, sizeof(url), "%s/metrics", w.plain_url);
    struct http_client_req req = {.method = "GET", .url = url, .timeout_ms = 5000};
    w.is_done = false;
    w.metric_name = name;
    (void)http_client_start(w.client->http, &req, on_metrics, NULL);
    loop_until(w.loop, is_done);
    return w.metric;
}

static bool is_read(void)
{
    return w.heard.is_read;
}

static bool is_synced(void)
{
    return w.heard.synced_count > 0;
}

static void start_watch(void)
{
    struct coord_events ev = heard_events(&w.heard);
    coord_client_watch(w.client, STR("k"), &ev);
    loop_until(w.loop, is_synced);
}

T_TEST("two secrets: the coordinator takes both, a client presents the one that is taken")
{
    for (int has_tls = 0; has_tls < 2; has_tls++) {
        setup("old\nnew\n", has_tls);
        new_client("old");
        t_ok(put(5000));
        new_client("new\nold"); /* over https nobody has proved the new one yet: the old is sent */
        t_ok(put(5000));
        t_eq_u64(w.client->proof_idx, has_tls ? 1 : 0);
        new_client("other\nold");
        start_watch();
        t_eq_u64(w.heard.lost_count, 0);
        w.heard.is_read = false;
        coord_client_read(w.client, STR("k"), 5000, heard_read, &w.heard);
        loop_until(w.loop, is_read);
        t_ok(w.heard.read_err);
        t_eq_u64(w.client->proof_idx, 1);
        new_client("other\nanother");
        t_err(put(300), has_tls ? ERR_UNAVAILABLE : ERR_UNAUTHORIZED);
        teardown();
    }
}

T_TEST("a refused first secret is tried again after a while, and the metrics say who presents what")
{
    setup("old", false);
    new_client("new\nold");
    t_ok(put(5000));
    t_ok(put(5000));
    t_eq_u64(w.client->proof_idx, 1);
    t_eq_u64(metric("unauthorized_total"), 1); /* not at each request */
    w.client->first_again_us = 0;              /* the while is over */
    t_ok(put(5000));
    t_eq_u64(w.client->proof_idx, 1);
    t_eq_u64(metric("unauthorized_total"), 2);
    t_eq_u64(metric("first_secret_requests_total"), 3);
    put_secrets("new\nold");
    coord_server_reread(w.server);
    while (metric("secrets") != 2) {
        loop_for_ms(w.loop, 1);
    }
    t_ok(put(5000));
    t_eq_u64(metric("second_secret_requests_total"), 1);
    w.client->first_again_us = 0;
    t_ok(put(5000));
    t_eq_u64(w.client->proof_idx, 0);
    t_eq_u64(metric("first_secret_requests_total"), 1);
    teardown();
}

T_TEST("old, old new, new old, new: every write is taken, the watch stays, the old one is dead")
{
    static const char *const steps[] = {"old\nnew", "new\nold", "new"};
    for (int has_tls = 0; has_tls < 2; has_tls++) {
        setup("old", has_tls);
        new_client("old");
        start_watch();
        t_ok(coord_client_follow(w.client, w.secret_path, NULL));
        for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
            put_secrets(steps[i]);
            for (size_t part = 0; part < 2; part++) {
                bool is_client = part == i % 2; /* who takes it first */
                if (is_client) {
                    coord_client_reread(w.client);
                } else {
                    coord_server_reread(w.server);
                }
                do {
                    t_ok(put(5000));
                } while ((is_client ? coord_client_secrets_get(w.client).change_count
                                    : metric("secret_changes_total")) == i);
                for (int k = 0; k < 10; k++) {
                    t_ok(put(5000));
                }
            }
            t_eq_u64(coord_client_secrets_get(w.client).count, i < 2 ? 2 : 1);
        }
        t_eq_u64(w.heard.lost_count, 0);
        t_eq_u64(w.heard.synced_count, 1);
        new_client("old");
        t_check(put(300) != OK);
        new_client("new");
        t_ok(put(5000));
        teardown();
    }
}

T_TEST("changed with no step between, over https too: a client that is refused looks at its file")
{
    for (int has_tls = 0; has_tls < 2; has_tls++) {
        coord_secret_look_ms = 3600 * 1000; /* not by itself */
        setup("old", has_tls);
        new_client("old");
        t_ok(coord_client_follow(w.client, w.secret_path, NULL));
        t_ok(put(5000));
        put_secrets("new");
        coord_server_reread(w.server);
        /* Kept connections of https outlive the key: new ones are made, as after a break. */
        while (coord_client_secrets_get(w.client).change_count == 0) {
            enum err err = put(300);
            t_check(err == OK || err == ERR_UNAUTHORIZED || err == ERR_UNAVAILABLE);
        }
        t_ok(put(5000));
        teardown();
    }
}

T_TEST("a file that cannot be used changes nothing")
{
    coord_secret_look_ms = coord_secret_settle_ms = 2;
    setup("old", false);
    new_client("old");
    t_ok(coord_client_follow(w.client, w.secret_path, NULL));
    put_secrets("a\nb\nc");
    coord_server_reread(w.server);
    coord_client_reread(w.client);
    for (int i = 0; i < 20; i++) {
        t_ok(put(5000));
        loop_for_ms(w.loop, 1);
    }
    t_check(unlink(w.secret_path) == 0);
    coord_client_reread(w.client);
    for (int i = 0; i < 20; i++) {
        t_ok(put(5000));
        loop_for_ms(w.loop, 1);
    }
    t_eq_u64(metric("secrets"), 1);
    teardown();
}

T_MAIN()
