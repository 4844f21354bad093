/* Certificates: made, kept, replaced and refused; and our client against our server over TLS. */
#include "net/tls.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/files.h"
#include "base/mem.h"
#include "lib/t.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "net/sockets.h"

static const int64_t DAY_S = 86400;
static const int64_t NOW_S = 1800000000;
static const char *const HOSTS[] = {"shop.localhost", "shop-east.localhost"};

static char folder[3072];

/* Each test has a folder of its own. */
static void fresh(void)
{
    static int count;
    (void)snprintf(folder, sizeof(folder), "%s/%d", t_tmp_dir(), count++);
    t_ok(files_mkdirs(folder, NULL));
}

static const char *path_of(const char *name)
{
    static char paths[4][4096];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static struct buf content(const char *name)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    t_ok(files_read(path_of(name), &text, NULL));
    return text;
}

static bool make(const char *const *hosts, size_t count, int64_t now_s)
{
    bool is_new_ca = false;
    t_ok(tls_make(folder, "shop", hosts, count, now_s, &is_new_ca, NULL));
    return is_new_ca;
}

/* Runs `change` between two states of a file: was it replaced? */
static bool replaced(const char *name, const char *const *hosts, size_t count, int64_t now_s)
{
    struct buf before = content(name);
    (void)make(hosts, count, now_s);
    struct buf after = content(name);
    bool ret = !str_eq(buf_str(&before), buf_str(&after));
    buf_done(&before);
    buf_done(&after);
    return ret;
}

T_TEST("an authority and a certificate for every name, readable by the owner alone")
{
    fresh();
    t_check(make(HOSTS, 2, NOW_S));
    static const char *const files[] = {"ca.pem", "ca.key", "server.pem", "server.key"};
    for (size_t i = 0; i < 4; i++) {
        struct stat st;
        t_check(stat(path_of(files[i]), &st) == 0);
        t_eq_int((int)(st.st_mode & 0777), 0600);
    }
    struct tls_pair pair;
    t_ok(tls_pair_load(path_of("server.pem"), path_of("server.key"), NOW_S, &pair, NULL));
    t_ok(tls_pair_check_hosts(&pair, HOSTS, 2, NULL));
    const char *const address[] = {"127.0.0.1", "::1"};
    t_ok(tls_pair_check_hosts(&pair, address, 2, NULL));
    const char *const other[] = {"shop.localhost", "shop-west.localhost"};
    struct errinfo ei = {0};
    t_err(tls_pair_check_hosts(&pair, other, 2, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "shop-west.localhost");
    tls_pair_done(&pair);
    t_check(pair.cert == NULL && pair.key == NULL);
}

T_TEST("what is sound stays; a certificate close to its end is replaced, to the day")
{
    fresh();
    t_check(make(HOSTS, 2, NOW_S));
    t_check(!replaced("server.pem", HOSTS, 2, NOW_S + 1));
    int64_t last = NOW_S + (TLS_DAYS - TLS_RENEW_DAYS) * DAY_S;
    t_check(!replaced("server.pem", HOSTS, 2, last - 1));
    t_check(replaced("server.pem", HOSTS, 2, last));
    t_check(!replaced("ca.pem", HOSTS, 2, last + TLS_RENEW_DAYS * DAY_S));
}

T_TEST("other names make another certificate of the same authority")
{
    fresh();
    (void)make(HOSTS, 2, NOW_S);
    const char *const more[] = {HOSTS[0], HOSTS[1], "shop-west.localhost"};
    t_check(replaced("server.pem", more, 3, NOW_S));
    t_check(replaced("server.pem", HOSTS, 2, NOW_S)); /* one less: it must not stay valid for it */
    t_check(!replaced("ca.pem", more, 3, NOW_S));
}

T_TEST("an authority that would end before its certificate is replaced, and that is said")
{
    fresh();
    (void)make(HOSTS, 2, NOW_S);
    int64_t end = NOW_S + TLS_CA_DAYS * DAY_S;
    t_check(!make(HOSTS, 2, end - (TLS_DAYS + 1) * DAY_S - 1));
    t_check(make(HOSTS, 2, end - (TLS_DAYS + 1) * DAY_S));
}

T_TEST("files that do not belong together are made again")
{
    fresh();
    (void)make(HOSTS, 2, NOW_S);
    struct buf key = content("ca.key");
    t_ok(files_write_durable(path_of("server.key"), buf_str(&key), 0600, NULL));
    t_check(!make(HOSTS, 2, NOW_S));
    struct tls_pair pair;
    t_ok(tls_pair_load(path_of("server.pem"), path_of("server.key"), NOW_S, &pair, NULL));
    tls_pair_done(&pair);
    t_ok(files_write_durable(path_of("ca.pem"), STR("rubbish"), 0600, NULL));
    t_check(make(HOSTS, 2, NOW_S));
    t_ok(tls_pair_load(path_of("server.pem"), path_of("server.key"), NOW_S, &pair, NULL));
    tls_pair_done(&pair);
    buf_done(&key);
}

T_TEST("a pair that cannot serve is refused with its reason")
{
    fresh();
    (void)make(HOSTS, 2, NOW_S);
    struct tls_pair pair;
    struct errinfo ei = {0};
    t_err(tls_pair_load(path_of("server.pem"), path_of("ca.key"), NOW_S, &pair, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "not that of the certificate");
    t_check(pair.cert == NULL && pair.key == NULL);
    ei = (struct errinfo){0};
    t_err(tls_pair_load(path_of("server.key"), path_of("server.key"), NOW_S, &pair, &ei),
          ERR_CONFIG);
    t_contains(str_of(ei.message), "no certificate");
    ei = (struct errinfo){0};
    t_err(tls_pair_load(path_of("server.pem"), path_of("ca.pem"), NOW_S, &pair, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "no private key");
    t_err(tls_pair_load(path_of("none"), path_of("ca.key"), NOW_S, &pair, NULL), ERR_NOT_FOUND);
    int64_t end = NOW_S + TLS_DAYS * DAY_S;
    t_ok(tls_pair_load(path_of("server.pem"), path_of("server.key"), end - 1, &pair, NULL));
    tls_pair_done(&pair);
    ei = (struct errinfo){0};
    t_err(tls_pair_load(path_of("server.pem"), path_of("server.key"), end, &pair, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "expired");
}

T_TEST("what is no host name is refused before it gets into a certificate")
{
    fresh();
    bool is_new = false;
    static const char *const bad[] = {"", "a b", "a,DNS:evil", "a/b", "*"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        t_err(tls_make(folder, "shop", &bad[i], 1, NOW_S, &is_new, NULL), ERR_CONFIG);
    }
    char longest[TLS_HOST_SIZE_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    longest[TLS_HOST_SIZE_MAX + 1] = '\0';
    const char *host = longest;
    t_err(tls_make(folder, "shop", &host, 1, NOW_S, &is_new, NULL), ERR_CONFIG);
    longest[TLS_HOST_SIZE_MAX] = '\0';
    t_ok(tls_make(folder, "shop", &host, 1, NOW_S, &is_new, NULL));
}

/* ---- over the wire ---- */

static void echo(void *ctx, struct http_req *req)
{
    (void)ctx;
    struct http_response res = {.status = 200, .body_copy = req->body};
    http_respond(req, &res);
}

static enum err post(const char *url, const char *ca, struct buf *body)
{
    struct http_client_req req = {
        .method = "POST", .url = url, .body = STR("hello"), .timeout_ms = 10000, .ca_file = ca};
    int status = 0;
    enum err err = http_client_run(&req, &status, NULL, body, NULL);
    t_check(err != OK || status == 200);
    return err;
}

T_TEST("requests travel over TLS; an unknown authority, another name and plain HTTP do not")
{
    fresh();
    bool is_new = false;
    t_ok(tls_make(folder, "shop", HOSTS, 2, (int64_t)time(NULL), &is_new, NULL));
    char cert[4096];
    char key[4096];
    (void)snprintf(cert, sizeof(cert), "%s", path_of("server.pem"));
    (void)snprintf(key, sizeof(key), "%s", path_of("server.key"));
    struct http_server_opts opts = {.handler = echo, .tls_cert = cert, .tls_key = key};
    struct http_server *server = NULL;
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_ok(http_server_new(&opts, &server, NULL));
    t_ok(http_server_listen(server, fd, "x", NULL));
    char url[128];
    struct buf body;
    buf_init(&body, 1 << 16);
    static const char *const good[] = {"shop.localhost", "shop-east.localhost", "127.0.0.1"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(url, sizeof(url), "https://%s:%u/", good[i], port);
        buf_clear(&body);
        t_ok(post(url, path_of("ca.pem"), &body));
        t_eq_lit(buf_str(&body), "hello");
    }
    t_err(post(url, NULL, &body), ERR_NETWORK);
    (void)snprintf(url, sizeof(url), "https://shop-west.localhost:%u/", port);
    t_err(post(url, path_of("ca.pem"), &body), ERR_NETWORK);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
    t_check(post(url, NULL, &body) != OK);
    buf_done(&body);
    http_server_free(server, 1000);
    t_check(close(fd) == 0);
}

T_TEST("the key of a secret is the same everywhere, and another secret's is another")
{
    char pin[TLS_PIN_SIZE];
    char again[TLS_PIN_SIZE];
    tls_derive_pin(STR("s3cret"), pin);
    tls_derive_pin(STR("s3cret"), again);
    t_eq_cstr(pin, again);
    t_eq_cstr(
        pin,
        "sha256//73XDqqHT3a5iN4iNnqsy2xkFZ3Du7GUlbJ1zesgnaCw="); /* computed by another program */
    tls_derive_pin(STR("s3cret2"), again);
    t_check(strcmp(pin, again) != 0);
}

static enum err post_pinned(const char *url, const char *pin, struct buf *body)
{
    struct http_client_req req = {
        .method = "POST", .url = url, .body = STR("hello"), .timeout_ms = 10000, .pin = pin};
    int status = 0;
    return http_client_run(&req, &status, NULL, body, NULL);
}

T_TEST("who expects a key talks to its holder alone, whatever the certificate says")
{
    fresh();
    t_ok(tls_derive(STR("s3cret"), folder, "coordinator", (int64_t)time(NULL), NULL));
    char cert[4096];
    char key[4096];
    (void)snprintf(cert, sizeof(cert), "%s", path_of("coordinator.pem"));
    (void)snprintf(key, sizeof(key), "%s", path_of("coordinator.key"));
    struct stat st;
    t_check(stat(key, &st) == 0 && (st.st_mode & 0777) == 0600);
    struct http_server_opts opts = {.handler = echo, .tls_cert = cert, .tls_key = key};
    struct http_server *server = NULL;
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_ok(http_server_new(&opts, &server, NULL));
    t_ok(http_server_listen(server, fd, "x", NULL));
    char url[128];
    char pin[TLS_PIN_SIZE];
    struct buf body;
    buf_init(&body, 1 << 16);
    (void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
    tls_derive_pin(STR("s3cret"), pin);
    t_ok(post_pinned(url, pin, &body));
    t_eq_lit(buf_str(&body), "hello");
    t_err(post_pinned(url, NULL, &body), ERR_NETWORK); /* of no known authority */
    tls_derive_pin(STR("another"), pin);
    struct http_server_stats before;
    struct http_server_stats after;
    http_server_stats_get(server, &before);
    t_err(post_pinned(url, pin, &body), ERR_UNAUTHORIZED);
    http_server_stats_get(server, &after);
    t_eq_u64(after.requests, before.requests); /* it was told nothing */
    buf_done(&body);
    http_server_free(server, 1000);
    t_check(close(fd) == 0);
}

T_MAIN()
