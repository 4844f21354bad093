/* Certificates that are replaced under a running server: files that can be used are shown to new
 * connections, files that cannot change nothing, and no open connection notices either. */
#include "net/http_cert.c"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/files.h"
#include "lib/t.h"
#include "net/http_int.h"
#include "net/http_server.h"
#include "net/sockets.h"

static char folder[3072];
static char cert_path[4096];
static char key_path[4096];

/* A certificate for another name each time, hence always a new one. */
static void renew(void)
{
    static unsigned count;
    char name[32];
    (void)snprintf(name, sizeof(name), "shop%u.localhost", count++);
    const char *hosts[] = {name};
    bool is_new_ca = false;
    t_ok(tls_make(folder, "shop", hosts, 1, (int64_t)time(NULL), &is_new_ca, NULL));
}

static void fresh(void)
{
    static int count;
    (void)snprintf(folder, sizeof(folder), "%s/%d", t_tmp_dir(), count++);
    t_ok(files_mkdirs(folder, NULL));
    (void)snprintf(cert_path, sizeof(cert_path), "%s/server.pem", folder);
    (void)snprintf(key_path, sizeof(key_path), "%s/server.key", folder);
    renew();
}

static struct http_certs *open_certs(void)
{
    struct http_certs *s = NULL;
    struct errinfo ei = {0};
    t_ok_info(http_certs_new(cert_path, key_path, &s, &ei), &ei);
    return s;
}

static void replace(const char *path, struct str text)
{
    t_ok(files_write_durable(path, text, 0600, NULL));
}

static struct buf content(const char *path)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    t_ok(files_read(path, &text, NULL));
    return text;
}

/* --- the files ------------------------------------------------------------------------------------ */

T_TEST("what cannot be used leaves the former certificate; what can, replaces it")
{
    fresh();
    struct http_certs *s = open_certs();
    struct http_cert *first = http_certs_current(s);
    struct buf cert = content(cert_path);
    struct buf key = content(key_path);
    renew();
    struct buf next_key = content(key_path);
    replace(key_path, buf_str(&key));
    http_certs_look(s);
    t_check(s->current == first); /* the key is that of the former one */
    replace(cert_path, STR("no certificate"));
    http_certs_look(s);
    t_check(s->current == first);
    replace(cert_path, STR(""));
    http_certs_look(s);
    t_check(s->current == first);
    t_check(unlink(cert_path) == 0);
    http_certs_look(s);
    t_check(s->current == first);
    const char *hosts[] = {"shop.localhost"};
    bool is_new_ca = false;
    t_ok(tls_make(folder, "shop", hosts, 1, (int64_t)time(NULL) - (int64_t)500 * 86400, &is_new_ca,
                  NULL)); /* it has expired */
    http_certs_look(s);
    t_check(s->current == first);
    t_eq_i64(http_certs_ends_s(s), first->ends_s);
    renew();
    http_certs_look(s);
    t_check(s->current != first);
    t_check(http_certs_ends_s(s) > (int64_t)time(NULL) + (int64_t)(TLS_DAYS - 1) * 86400);
    http_cert_unref(first);
    http_certs_free(s);
    buf_done(&cert);
    buf_done(&key);
    buf_done(&next_key);
}

T_TEST("files that did not change are not read again, unless somebody asks")
{
    fresh();
    struct http_certs *s = open_certs();
    struct http_cert *first = http_certs_current(s);
    http_certs_look(s);
    t_check(s->current == first);
    http_certs_reread(s);
    struct http_cert *now = NULL;
    do {
        http_cert_unref(now);
        now = http_certs_current(s);
    } while (now == first && sched_yield() == 0); /* until the test's time is up */
    http_cert_unref(now);
    http_cert_unref(first);
    http_certs_free(s);
}

T_TEST("a chain has at most 16 certificates")
{
    fresh();
    struct buf cert = content(cert_path); /* two: its own and its authority's */
    struct buf chain;
    buf_init(&chain, 1 << 20);
    for (int i = 0; i < HTTP_CERT_CHAIN_MAX / 2; i++) {
        buf_add_str(&chain, buf_str(&cert));
    }
    replace(cert_path, buf_str(&chain));
    struct http_certs *s = open_certs();
    t_eq_u64(s->current->chain_count, HTTP_CERT_CHAIN_MAX);
    http_certs_free(s);
    buf_add_str(&chain, buf_str(&cert));
    replace(cert_path, buf_str(&chain));
    struct errinfo ei = {0};
    t_err(http_certs_new(cert_path, key_path, &s, &ei), ERR_CONFIG);
    t_check(strstr(ei.message, "at most 16") != NULL);
    buf_done(&chain);
    buf_done(&cert);
}

/* --- over the wire -------------------------------------------------------------------------------- */

static void echo(void *ctx, struct http_req *req)
{
    (void)ctx;
    struct http_response res = {.status = 200, .body_copy = req->body};
    http_respond(req, &res);
}

static struct {
    struct http_server *server;
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
} w;

static void setup(void)
{
    fresh();
    struct http_server_opts opts = {.handler = echo, .tls_cert = cert_path, .tls_key = key_path};
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    t_ok(http_server_new(&opts, &w.server, NULL));
    t_ok(http_server_listen(w.server, w.fd, "x", NULL));
    w.ctx = SSL_CTX_new(TLS_client_method());
}

static void teardown(void)
{
    SSL_CTX_free(w.ctx);
    http_server_free(w.server, 1000);
    t_check(close(w.fd) == 0);
}

struct client {
    int fd;
    SSL *ssl;
};

static struct client connect_tls(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(w.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct client c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    t_check(connect(c.fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    c.ssl = SSL_new(w.ctx);
    t_check(SSL_set_fd(c.ssl, c.fd) == 1);
    t_eq_int(SSL_connect(c.ssl), 1);
    return c;
}

static void hang_up(struct client *c)
{
    (void)SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    t_check(close(c->fd) == 0);
}

static void ask(struct client *c)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    t_eq_int(SSL_write(c->ssl, text, sizeof(text) - 1), (int)sizeof(text) - 1);
    char answer[2048] = {0};
    size_t n = 0;
    while (n < 5 || memcmp(answer + n - 5, "hello", 5) != 0) {
        int got = SSL_read(c->ssl, answer + n, (int)(sizeof(answer) - n));
        t_check(got > 0);
        n += (size_t)got;
    }
    t_check(memcmp(answer, "HTTP/1.1 200", 12) == 0);
}

/* Whether new connections are shown the certificate that is in the file. */
static bool shows_file(void)
{
    struct client c = connect_tls();
    ask(&c);
    X509 *shown = SSL_get1_peer_certificate(c.ssl);
    hang_up(&c);
    struct buf text = content(cert_path);
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    X509 *wanted = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool ret = shown != NULL && wanted != NULL && X509_cmp(shown, wanted) == 0;
    X509_free(shown);
    X509_free(wanted);
    BIO_free(bio);
    buf_done(&text);
    return ret;
}

static void until_shown(void)
{
    while (!shows_file()) {
        (void)sched_yield(); /* until the test's time is up */
    }
}

static void until_refused(void)
{
    while (!file_watch_is_refused(w.server->certs->watch) && sched_yield() == 0) {
    }
}

T_TEST("a replaced certificate is shown to new connections by itself; an open one goes on")
{
    http_cert_look_ms = http_cert_settle_ms = 5;
    setup();
    t_check(shows_file());
    struct client old = connect_tls();
    ask(&old);
    for (int i = 0; i < 10; i++) {
        renew();
        until_shown();
        ask(&old);
    }
    replace(key_path, STR("no key"));
    until_refused();
    t_check(shows_file());
    ask(&old);
    struct http_server_stats stats;
    http_server_stats_get(w.server, &stats);
    t_check(stats.cert_ends_s > (int64_t)time(NULL));
    hang_up(&old);
    teardown();
    http_cert_look_ms = HTTP_CERT_LOOK_MS;
    http_cert_settle_ms = HTTP_CERT_SETTLE_MS;
}

T_TEST("asked to, a server shows the new certificate without waiting; so does a new listener")
{
    setup();
    renew();
    http_server_reread_cert(w.server);
    until_shown();
    renew();
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_ok(http_server_listen(w.server, fd, "y", NULL));
    t_check(shows_file());
    teardown();
    t_check(close(fd) == 0);
}

T_TEST("files that cannot be used from the start are an error of the listener, and may be repaired")
{
    fresh();
    struct buf key = content(key_path);
    replace(key_path, STR("no key"));
    struct http_server_opts opts = {.handler = echo, .tls_cert = cert_path, .tls_key = key_path};
    struct http_server *server = NULL;
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_ok(http_server_new(&opts, &server, NULL));
    t_err(http_server_listen(server, fd, "x", NULL), ERR_CONFIG);
    http_server_reread_cert(server); /* of no consequence */
    replace(key_path, buf_str(&key));
    t_ok(http_server_listen(server, fd, "x", NULL));
    http_server_free(server, 1000);
    t_check(close(fd) == 0);
    buf_done(&key);
}

T_MAIN()
