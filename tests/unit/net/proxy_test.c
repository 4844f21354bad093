/* The fault proxy with a plain TCP echo behind it and plain sockets before it. */
#include "net/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/mem.h"
#include "base/mem_probe.h"
#include "loop_until.h"
#include "net/sockets.h"
#include "raw_http.h"

enum { ECHO_MAX = 16 };

static struct {
    struct loop *loop;
    struct proxy *proxy;
    int echo_fd, fd;
    uint16_t echo_port, port;
    struct loop_fd *echo_listener;
    struct {
        int fd;
        struct loop_fd *watch;
    } echoes[ECHO_MAX];
    size_t echo_count;
    struct raw_conn *watched;
    size_t want_size;
} w;

static void on_echo(void *ctx)
{
    size_t i = (uintptr_t)ctx;
    char bytes[65536];
    ssize_t n = recv(w.echoes[i].fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) {
        t_check(send(w.echoes[i].fd, bytes, (size_t)n, MSG_NOSIGNAL) == n);
    } else {
        loop_fd_free(w.echoes[i].watch);
        w.echoes[i].watch = NULL;
        t_check(close(w.echoes[i].fd) == 0);
    }
}

static void on_echo_connection(void *ctx)
{
    UNUSED(ctx);
    int fd = accept(w.echo_fd, NULL, NULL);
    if (fd >= 0) {
        size_t i = w.echo_count++;
        t_check(i < ECHO_MAX);
        w.echoes[i].fd = fd;
        w.echoes[i].watch = loop_fd_new(w.loop, fd, on_echo, (void *)i);
    }
}

static void setup(void)
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    w.proxy = proxy_new(w.loop);
    t_ok(sockets_listen("127.0.0.1:0", &w.echo_fd, &w.echo_port, NULL));
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    w.echo_listener = loop_fd_new(w.loop, w.echo_fd, on_echo_connection, NULL);
    char upstream[64];
    (void)snprintf(upstream, sizeof(upstream), "127.0.0.1:%u", w.echo_port);
    t_ok(proxy_rule_add(w.proxy, "east>west", w.fd, upstream, NULL));
}

static void teardown(void)
{
    proxy_free(w.proxy);
    loop_fd_free(w.echo_listener);
    for (size_t i = 0; i < w.echo_count; i++) {
        if (w.echoes[i].watch != NULL) {
            loop_fd_free(w.echoes[i].watch);
            t_check(close(w.echoes[i].fd) == 0);
        }
    }
    loop_free(w.loop);
    t_check(close(w.fd) == 0 && close(w.echo_fd) == 0);
}

/* Takes what has arrived, without waiting. */
static bool has_size(void)
{
    ssize_t n = recv(w.watched->fd, w.watched->in + w.watched->in_size,
                     RAW_SIZE_MAX - 1 - w.watched->in_size, MSG_DONTWAIT);
    if (n > 0) {
        w.watched->in_size += (size_t)n;
    }
    return w.watched->in_size >= w.want_size;
}

static bool is_ended(void)
{
    char byte = 0;
    ssize_t n = recv(w.watched->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void expect(struct raw_conn *c, const char *text)
{
    w.watched = c;
    w.want_size = strlen(text);
    loop_until(w.loop, has_size);
    t_eq_str(str_make(c->in, c->in_size), str_of(text));
    c->in_size = 0;
}

static void expect_nothing(struct raw_conn *c, unsigned ms)
{
    w.watched = c;
    w.want_size = 1;
    loop_for_ms(w.loop, ms);
    t_check(!has_size() && !is_ended());
}

static void expect_end(struct raw_conn *c)
{
    w.watched = c;
    loop_until(w.loop, is_ended);
}

static void mode(enum proxy_mode m, unsigned delay_ms)
{
    t_ok(proxy_set_mode(w.proxy, "east>west", m, delay_ms, NULL));
}

T_TEST("bytes pass both ways, megabytes too, and an end of file goes through")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, "hello");
    expect(&c, "hello");
    enum { SIZE = 3 << 20 };
    char *big = (char *)malloc(SIZE);
    memset(big, 'x', SIZE);
    size_t sent = 0;
    w.watched = &c;
    while (sent < SIZE) { /* a little at a time: the echo and we share a thread */
        raw_send_n(&c, big + sent, 32 << 10);
        sent += 32 << 10;
        w.want_size = sent;
        loop_until(w.loop, has_size);
    }
    t_check(memcmp(c.in, big, SIZE) == 0);
    c.in_size = 0;
    free(big);
    t_check(shutdown(c.fd, SHUT_WR) == 0);
    expect_end(&c); /* the echo saw ours and closed */
    raw_close(&c);
    teardown();
}

T_TEST("cut resets what is connected and what connects; pass lets new ones in")
{
    setup();
    struct raw_conn c = raw_connect(w.port);
    raw_send(&c, "a");
    expect(&c, "a");
    mode(PROXY_CUT, 0);
    expect_end(&c);
    t_eq_u64(proxy_conn_count(w.proxy, "east>west"), 0);
    struct raw_conn d = raw_connect(w.port);
    expect_end(&d);
    mode(PROXY_PASS, 0);
    struct raw_conn e = raw_connect(w.port);
    raw_send(&e, "b");
    expect(&e, "b");
    raw_close(&c);
    raw_close(&d);
    raw_close(&e);
    teardown();
}

T_TEST("refuse resets what is connected, then nobody listens; pass listens at the same port again")
{
    setup();
    /* By number, as `up` does it: a port that was picked for port 0 is given up with the listener. */
    char addr[32];
    uint16_t port = w.port;
    t_ok(proxy_set_mode(w.proxy, "east>west", PROXY_REFUSE, 0, NULL));
    t_ok(proxy_set_mode(w.proxy, "east>west", PROXY_PASS, 0, NULL));
    int fd = -1;
    (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", w.echo_port);
    uint16_t numbered = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &numbered, NULL));
    t_check(close(fd) == 0);
    char listen_addr[32];
    (void)snprintf(listen_addr, sizeof(listen_addr), "127.0.0.1:%u", numbered);
    t_ok(sockets_listen(listen_addr, &fd, &port, NULL));
    t_ok(proxy_rule_add(w.proxy, "numbered", fd, addr, NULL));
    struct raw_conn c = raw_connect(port);
    raw_send(&c, "a");
    expect(&c, "a");
    t_ok(proxy_set_mode(w.proxy, "numbered", PROXY_REFUSE, 0, NULL));
    expect_end(&c);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    t_check(connect(client, (struct sockaddr *)&to, sizeof(to)) != 0 && errno == ECONNREFUSED);
    t_check(close(client) == 0);
    t_ok(proxy_set_mode(w.proxy, "numbered", PROXY_REFUSE, 0, NULL)); /* twice harms nothing */
    t_ok(proxy_set_mode(w.proxy, "numbered", PROXY_PASS, 0, NULL));
    struct raw_conn d = raw_connect(port);
    raw_send(&d, "b");
    expect(&d, "b");
    t_ok(proxy_set_mode(w.proxy, "numbered", PROXY_REFUSE, 0, NULL)); /* freed while it refuses */
    raw_close(&c);
    raw_close(&d);
    teardown();
    t_check(close(fd) == 0);
}

T_TEST("a black hole takes connections and bytes and says nothing, then forgets nothing")
{
    setup();
    struct raw_conn old = raw_connect(w.port);
    raw_send(&old, "a");
    expect(&old, "a");
    mode(PROXY_BLACKHOLE, 0);
    raw_send(&old, "b");
    struct raw_conn new = raw_connect(w.port);
    raw_send(&new, "c");
    expect_nothing(&old, 30);
    expect_nothing(&new, 30);
    mode(PROXY_PASS, 0);
    expect(&old, "b");
    expect(&new, "c");
    raw_close(&old);
    raw_close(&new);
    teardown();
}

T_TEST("delay holds bytes in each direction and keeps their order when it ends")
{
    setup();
    mode(PROXY_DELAY, 40);
    struct raw_conn c = raw_connect(w.port);
    usec start_us = clock_boot_us();
    raw_send(&c, "a");
    expect(&c, "a");
    usec took_us = clock_boot_us() - start_us;
    t_checkf(took_us >= 79000, "%lu us", (unsigned long)took_us); /* there and back */
    raw_send(&c, "b");
    loop_for_ms(w.loop, 10);
    mode(PROXY_PASS, 0);
    raw_send(&c, "c"); /* would overtake if it did not wait its turn */
    expect(&c, "bc");
    raw_close(&c);
    teardown();
}

T_TEST("an upstream that refuses resets the client")
{
    setup();
    int dead_fd = -1;
    int fd = -1;
    uint16_t dead_port = 0;
    uint16_t port = 0;
    char upstream[64];
    t_ok(sockets_listen("127.0.0.1:0", &dead_fd, &dead_port, NULL));
    t_check(close(dead_fd) == 0);
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    (void)snprintf(upstream, sizeof(upstream), "127.0.0.1:%u", dead_port);
    t_ok(proxy_rule_add(w.proxy, "dead", fd, upstream, NULL));
    struct raw_conn c = raw_connect(port);
    expect_end(&c);
    raw_close(&c);
    t_check(close(fd) == 0);
    teardown();
}

static void say(struct raw_conn *c, const char *line, const char *want)
{
    raw_send(c, line);
    expect(c, want);
}

T_TEST("commands come by a socket, one answer line each")
{
    setup();
    int control_fd = -1;
    uint16_t control_port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &control_fd, &control_port, NULL));
    proxy_control(w.proxy, control_fd);
    struct raw_conn c = raw_connect(control_port);
    say(&c, "mode east>west cut\n", "ok\n");
    say(&c, "list\n", "ok east>west=cut\n");
    say(&c, "mode * delay 5\nlist\r\n", "ok\nok east>west=delay\n");
    say(&c, "mode nobody cut\n", "error no rule nobody\n");
    say(&c, "mode east>west delay\n", "error want mode NAME pass|cut|blackhole|refuse|delay N\n");
    say(&c, "mode east>west delay 0\n",
        "error delay of 0 ms, want 1 to 60000, and only with delay\n");
    say(&c, "add east>west 127.0.0.1:0 127.0.0.1:1\n", "error rule east>west exists already\n");
    say(&c, "add x 127.0.0.1:0 localhost:1\n",
        "error upstream localhost:1 is not numeric host:port\n");
    say(&c, "\n", "error want add NAME LISTEN UPSTREAM, mode NAME MODE, or list\n");
    char line[128];
    (void)snprintf(line, sizeof(line), "add new 127.0.0.1:0 127.0.0.1:%u\n", w.echo_port);
    raw_send(&c, line);
    w.watched = &c;
    w.want_size = 5;
    loop_until(w.loop, has_size);
    t_check(strncmp(c.in, "ok ", 3) == 0);
    struct raw_conn through = raw_connect((uint16_t)strtoul(c.in + 3, NULL, 10));
    raw_send(&through, "x");
    expect(&through, "x");
    char huge[2000];
    memset(huge, 'h', sizeof(huge));
    raw_send_n(&c, huge, sizeof(huge));
    expect_end(&c);
    raw_close(&c);
    raw_close(&through);
    t_check(close(control_fd) == 0);
    teardown();
}

T_TEST("a proxy gives back all memory, with connections in every state")
{
    mem_probe_start();
    setup();
    struct raw_conn a = raw_connect(w.port);
    raw_send(&a, "a");
    expect(&a, "a");
    mode(PROXY_DELAY, 1000);
    raw_send(&a, "queued");
    loop_for_ms(w.loop, 10);
    mode(PROXY_BLACKHOLE, 0);
    struct raw_conn b = raw_connect(w.port);
    loop_for_ms(w.loop, 10);
    teardown();
    raw_close(&a);
    raw_close(&b);
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_MAIN()
