/* Links over loopback sockets: they prove themselves, keep order, say no when full, notice silence,
 * come back, and end with one line on whatever breaks the rules. */
#include "net/link.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "base/mem_probe.h"
#include "base/rng.h"
#include "loop_until.h"
#include "net/link_peers.c" /* for link_client.attempt_count */
#include "net/sockets.h"
#include "raw_http.h"

/* One side: what it was told. */
struct side {
    struct link *l;
    unsigned ups, downs;
    bool is_refusing;
    char hello[64];
    uint64_t frames;
    uint64_t bytes;
    uint64_t errors; /* frames out of order or of wrong content */
    struct buf last;
};

static struct {
    struct loop *loop;
    int fd;
    char addr[64];
    uint16_t port;
    struct side a; /* dials */
    struct side b; /* accepts */
    struct link_server *server;
    struct link_client *client;
    enum link_security security;
} w;

static bool up(void *ctx, struct link *l, struct str hello)
{
    struct side *s = (struct side *)ctx;
    if (s->is_refusing) {
        s->errors++;
        return false;
    }
    s->l = l;
    s->ups++;
    (void)snprintf(s->hello, sizeof(s->hello), STR_FMT, STR_ARG(hello));
    link_set_user(l, s);
    return true;
}

static void down(void *ctx, struct link *l)
{
    struct side *s = (struct side *)ctx;
    s->errors += s->l != l || link_user(l) != s;
    s->l = NULL;
    s->downs++;
}

/* Numbered frames: u64 number, then bytes that depend on it. */
static void frame(void *ctx, struct link *l, struct str payload)
{
    struct side *s = (struct side *)ctx;
    s->errors += l != s->l;
    struct rd r = rd_of(payload);
    s->errors += rd_u64(&r) != s->frames;
    for (size_t i = 0; i < r.n; i += 997) {
        s->errors += (uint8_t)r.p[i] != (uint8_t)(s->frames + i);
    }
    s->frames++;
    s->bytes += payload.n;
}

static struct link_events events_of(struct side *s)
{
    return (struct link_events){.ctx = s, .up = up, .frame = frame, .down = down};
}

static void setup_server(const char *secret)
{
    struct link_events ev = events_of(&w.b);
    w.server = link_server_new(w.loop, w.fd, str_of(secret), w.security, STR("hello from b"), &ev);
}

static void setup_client(const char *secret)
{
    struct link_events ev = events_of(&w.a);
    w.client =
        link_client_new(w.loop, w.addr, str_of(secret), w.security, STR("hello from a"), &ev);
}

static void setup(void)
{
    memset(&w, 0, sizeof(w));
    link_tick_ms = LINK_TICK_MS;
    w.loop = loop_new();
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    (void)snprintf(w.addr, sizeof(w.addr), "127.0.0.1:%u", w.port);
}

/* For peers of our own making, which speak frames without TLS below. */
static void setup_plain(void)
{
    setup();
    w.security = LINK_ENCRYPTED_OR_PLAIN;
}

static void teardown(void)
{
    link_client_free(w.client);
    link_server_free(w.server);
    loop_free(w.loop);
    t_check(close(w.fd) == 0);
    t_eq_u64(w.a.ups, w.a.downs);
    t_eq_u64(w.b.ups, w.b.downs);
}

static bool both_up(void)
{
    return w.a.l != NULL && w.b.l != NULL;
}

static bool both_down(void)
{
    return w.a.l == NULL && w.b.l == NULL;
}

static bool send_numbered(struct link *l, uint64_t number, size_t size)
{
    struct buf b;
    buf_init(&b, LINK_FRAME_SIZE_MAX);
    buf_add_u64(&b, number);
    buf_reserve(&b, size);
    for (size_t i = 0; i < size; i++) {
        b.p[b.n++] = (char)(uint8_t)(number + i);
    }
    struct str parts[] = {{b.p, 5}, {b.p + 5, b.n - 5}};
    bool ok = link_send_parts(l, parts, 2);
    buf_done(&b);
    return ok;
}

T_TEST("two sides with one secret come up and hear each other's hello")
{
    setup();
    setup_server("s3cret");
    setup_client("s3cret");
    loop_until(w.loop, both_up);
    t_eq_cstr(w.a.hello, "hello from b");
    t_eq_cstr(w.b.hello, "hello from a");
    t_check(link_is_outgoing(w.a.l) && !link_is_outgoing(w.b.l));
    teardown();
}

static uint64_t want_a, want_b;

static bool all_arrived(void)
{
    return w.a.frames == want_a && w.b.frames == want_b;
}

T_TEST("frames of all sizes arrive whole and in order, both ways at once")
{
    setup();
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    want_a = 300;
    want_b = 400;
    struct rng rng;
    rng_init(&rng, t_seed());
    for (uint64_t i = 0; i < 400; i++) {
        t_check(send_numbered(w.a.l, i, i % 50 == 0 ? 300000 : rng_below(&rng, 2000)));
        if (i < 300) {
            t_check(send_numbered(w.b.l, i, rng_below(&rng, 100)));
        }
    }
    loop_until(w.loop, all_arrived);
    t_eq_u64(w.a.errors + w.b.errors, 0);
    t_eq_u64(link_queued_size(w.a.l), 0);
    teardown();
}

T_TEST("the largest frame passes, and a full queue says no and loses nothing it took")
{
    setup();
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    want_a = 0;
    want_b = 0;
    while (send_numbered(w.a.l, want_b, LINK_FRAME_SIZE_MAX - 8)) {
        want_b++;
    }
    t_eq_u64(want_b, 3); /* three of 16 MiB and a header each; a fourth would be over 64 MiB */
    t_check(link_queued_size(w.a.l) <= LINK_QUEUE_SIZE_MAX);
    loop_until(w.loop, all_arrived);
    t_eq_u64(w.b.errors, 0);
    t_check(send_numbered(w.a.l, want_b++, 10));
    loop_until(w.loop, all_arrived);
    teardown();
}

static bool is_client_connecting(void)
{
    return w.client->attempt_count >= 3;
}

T_TEST("another secret never comes up")
{
    setup();
    setup_server("s3cret");
    setup_client("S3cret");
    loop_until(w.loop, is_client_connecting);
    t_eq_u64(w.a.ups + w.b.ups, 0);
    teardown();
}

static bool b_refused(void)
{
    return w.b.errors >= 2;
}

T_TEST("a link that `up` refuses is closed and tried again")
{
    setup();
    setup_server("s");
    setup_client("s");
    w.b.is_refusing = true;
    loop_until(w.loop, b_refused);
    t_eq_u64(w.b.downs, 0);
    w.b.is_refusing = false;
    loop_until(w.loop, both_up);
    teardown();
}

T_TEST("a closed link is told to both sides and comes back")
{
    setup();
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    link_close(w.b.l);
    t_check(!link_send(w.b.l, STR("x"))); /* going down */
    t_eq_u64(w.b.downs, 0);               /* not from inside link_close */
    loop_until(w.loop, both_down);
    loop_until(w.loop, both_up);
    t_eq_u64(w.a.ups, 2);
    t_eq_u64(w.b.ups, 2);
    teardown();
}

T_TEST("a client finds a server that comes later, and one at a new address")
{
    setup();
    setup_client("s");
    loop_for_ms(w.loop, 60); /* attempts hang in the backlog of a socket nobody serves */
    setup_server("s");
    loop_until(w.loop, both_up);
    struct link_server *old = w.server;
    int old_fd = w.fd;
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &w.port, NULL));
    setup_server("s");
    (void)snprintf(w.addr, sizeof(w.addr), "localhost:%u", w.port); /* a name this time */
    link_client_set_addr(w.client, w.addr);
    loop_until(w.loop, both_down);
    loop_until(w.loop, both_up);
    link_server_free(old);
    t_check(close(old_fd) == 0);
    teardown();
}

/* A peer of our own making, so that it can misbehave: it knows the secret and the codec only. */
static struct raw_conn raw;
static struct buf raw_hello;

static bool raw_has_input(void)
{
    struct pollfd p = {.fd = raw.fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void raw_send_frame(enum link_frame_type type, struct str payload)
{
    struct buf b;
    buf_init(&b, LINK_FRAME_SIZE_MAX);
    link_frame_encode(&b, LINK_VERSION, type, &payload, 1);
    raw_send_n(&raw, b.p, b.n);
    buf_done(&b);
}

static struct link_frame raw_next_frame(void)
{
    struct link_frame f = {0};
    size_t need = 0;
    const char *why = NULL;
    while (link_frame_decode(str_make(raw.in, raw.in_size), LINK_FRAME_SIZE_MAX, &f, &need, &why) !=
           LINK_FRAME_OK) {
        loop_until(w.loop, raw_has_input);
        t_check(raw_more(&raw));
    }
    return f;
}

static void raw_drop_frame(const struct link_frame *f)
{
    memmove(raw.in, raw.in + f->size, raw.in_size - f->size);
    raw.in_size -= f->size;
}

static bool b_up(void)
{
    return w.b.l != NULL;
}

static bool b_down(void)
{
    return w.b.l == NULL;
}

/* Dials and says hello. */
static void raw_dial(uint8_t version_min, uint8_t version_max)
{
    raw = raw_connect(w.port);
    struct link_hello h = {.version_min = version_min,
                           .version_max = version_max,
                           .role = LINK_ROLE_DIALLER,
                           .hello = STR("raw")};
    buf_init(&raw_hello, 4096);
    link_hello_encode(&raw_hello, &h);
    raw_send_frame(LINK_FRAME_HELLO, buf_str(&raw_hello));
}

/* The whole handshake. */
static void raw_up(void)
{
    raw_dial(1, LINK_VERSION + 1); /* a newer peer that still speaks ours */
    struct link_frame hello = raw_next_frame();
    t_eq_int(hello.type, LINK_FRAME_HELLO);
    struct crypto_hmac *key = crypto_hmac_new(STR("s"));
    uint8_t proof[CRYPTO_SHA256_SIZE];
    link_proof_make(key, LINK_ROLE_DIALLER, LINK_VERSION, buf_str(&raw_hello), hello.payload,
                    proof);
    crypto_hmac_free(key);
    raw_drop_frame(&hello);
    struct link_frame theirs = raw_next_frame();
    t_eq_int(theirs.type, LINK_FRAME_PROOF);
    raw_drop_frame(&theirs);
    raw_send_frame(LINK_FRAME_PROOF, str_make(proof, sizeof(proof)));
    loop_until(w.loop, b_up);
}

static void raw_end(void)
{
    raw_close(&raw);
    buf_done(&raw_hello);
}

/* Reads until the end of the connection; the server must have closed it. */
static void raw_expect_end(void)
{
    for (;;) {
        loop_until(w.loop, raw_has_input);
        if (!raw_more(&raw)) {
            return;
        }
    }
}

T_TEST("a peer that falls silent is noticed, one that only pings is not")
{
    link_tick_ms = LINK_TICK_MS;
    setup_plain();
    link_tick_ms = 10; /* 2 s of silence pass in 80 ms */
    setup_server("s");
    raw_up();
    for (int i = 0; i < 30; i++) { /* 150 ms of pings, well over the limit */
        raw_send_frame(LINK_FRAME_PING, STR(""));
        loop_for_ms(w.loop, 5);
        t_check(b_up());
    }
    usec start_us = clock_boot_us();
    loop_until(w.loop, b_down);
    t_check(clock_boot_us() - start_us >= 60000);
    raw_end();
    teardown();
}

T_TEST("quiet links ping each other and stay up")
{
    setup();
    link_tick_ms = 10;
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    loop_for_ms(w.loop, 250); /* three times the limit */
    t_eq_u64(w.a.ups, 1);
    t_check(both_up());
    teardown();
}

T_TEST("a peer that never proves itself is dropped")
{
    setup_plain();
    link_tick_ms = 10;
    setup_server("s");
    raw_dial(1, 1);
    raw_expect_end();
    t_eq_u64(w.b.ups, 0);
    raw_end();
    teardown();
}

T_TEST("damaged, foreign, oversized and early frames end the connection")
{
    setup_plain();
    setup_server("s");
    struct buf good;
    buf_init(&good, 1000);
    struct str payload = STR("12345678");
    link_frame_encode(&good, LINK_VERSION, LINK_FRAME_DATA, &payload, 1);
    for (size_t i = 0; i < 4; i++) {
        static const size_t broken_at[] = {0, 11, 12, 20}; /* magic, length, checksum, payload */
        raw_up();
        good.p[broken_at[i]] ^= 0x40;
        raw_send_n(&raw, good.p, good.n);
        good.p[broken_at[i]] ^= 0x40;
        raw_expect_end();
        loop_until(w.loop, b_down);
        raw_end();
    }
    raw_up();
    raw_send_frame(LINK_FRAME_PROOF, STR("again"));
    raw_expect_end();
    raw_end();
    loop_until(w.loop, b_down);

    raw_dial(1, 1);
    raw_send_frame(LINK_FRAME_DATA, STR("before the proof"));
    raw_expect_end();
    raw_end();

    char large[LINK_GREETING_SIZE_MAX + 1] = {0};
    raw_dial(1, 1);
    raw_send_frame(LINK_FRAME_PROOF, str_make(large, sizeof(large)));
    raw_expect_end();
    raw_end();

    raw = raw_connect(w.port);
    raw_send(&raw, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_expect_end();
    raw_close(&raw);
    t_eq_u64(w.b.frames, 0);
    buf_done(&good);
    teardown();
}

T_TEST("a peer with no common version is told so")
{
    setup_plain();
    setup_server("s");
    raw_dial(LINK_VERSION + 1, LINK_VERSION + 2);
    struct link_frame f = raw_next_frame();
    t_eq_int(f.type, LINK_FRAME_BYE);
    t_eq_lit(f.payload, "no common protocol version");
    raw_end();
    teardown();
}

T_TEST("a proof that is thrown back is no proof")
{
    /* The attacker has no secret and returns the acceptor's own proof. */
    setup_plain();
    setup_server("s");
    raw_dial(1, 1);
    struct link_frame hello = raw_next_frame();
    raw_drop_frame(&hello);
    struct link_frame proof = raw_next_frame();
    raw_send_frame(LINK_FRAME_PROOF, proof.payload);
    raw_expect_end();
    t_eq_u64(w.b.ups, 0);
    raw_end();
    teardown();
}

T_TEST("connections over the maximum are closed at once")
{
    enum { EXTRA = 4 };
    setup();
    setup_server("s");
    int fds[LINK_CONNECTIONS_MAX + EXTRA] = {0};
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(w.port)};
        sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        t_check(connect(fds[i], (struct sockaddr *)&sa, sizeof(sa)) == 0);
    }
    raw.fd = fds[ARRAY_COUNT(fds) - 1];
    loop_until(w.loop, raw_has_input); /* an end of file */
    char byte = 0;
    t_check(recv(raw.fd, &byte, 1, 0) <= 0);
    raw.fd = fds[0];
    t_check(!raw_has_input());
    for (size_t i = 0; i < ARRAY_COUNT(fds); i++) {
        t_check(close(fds[i]) == 0);
    }
    teardown();
}

/* --- TLS --- */

static uint64_t tls_failures_before;

static bool tls_has_failed_twice(void)
{
    struct link_stats s;
    link_stats_get(&s);
    return s.tls_failure_count >= tls_failures_before + 2;
}

T_TEST("links are encrypted, and new keys are made while frames go both ways")
{
    setup();
    uint64_t normal = link_tls_rekey_size;
    link_tls_rekey_size = 100000;
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    t_check(link_is_encrypted(w.a.l) && link_is_encrypted(w.b.l));
    want_a = 0;
    want_b = 0;
    for (size_t round = 0; round < 20; round++) {
        t_check(send_numbered(w.a.l, want_b++, 90000));
        t_check(send_numbered(w.b.l, want_a++, 30000));
        loop_until(w.loop, all_arrived);
    }
    t_eq_u64(w.a.errors + w.b.errors, 0);
    link_tls_rekey_size = normal;
    teardown();
}

T_TEST("nothing that is sent can be read on the way")
{
    static const char text[] = "a document that nobody on the way may read";
    struct link_tls_ctx *ctx = link_tls_ctx_new(STR("s"));
    struct buf to_b, to_a, in_a, in_b;
    buf_init(&to_b, 1 << 20);
    buf_init(&to_a, 1 << 20);
    buf_init(&in_a, 1 << 20);
    buf_init(&in_b, 1 << 20);
    struct link_tls *a = link_tls_new(ctx, LINK_ROLE_DIALLER, &to_b);
    struct link_tls *b = link_tls_new(ctx, LINK_ROLE_ACCEPTOR, &to_a);
    for (size_t i = 0; i < 4; i++) { /* byte by byte, as a slow network may have it */
        for (size_t at = 0; at < to_b.n; at++) {
            t_eq_int(link_tls_receive(b, str_make(to_b.p + at, 1), &in_b), LINK_TLS_MORE);
        }
        buf_clear(&to_b);
        t_eq_int(link_tls_receive(a, buf_str(&to_a), &in_a), LINK_TLS_MORE);
        buf_clear(&to_a);
    }
    t_check(link_tls_is_ready(a) && link_tls_is_ready(b));
    t_check(link_tls_seal(a, STR(text)));
    t_check(memmem(to_b.p, to_b.n, text, 10) == NULL);
    struct buf copy;
    buf_init(&copy, 1 << 20);
    buf_add_str(&copy, buf_str(&to_b));
    t_eq_int(link_tls_receive(b, buf_str(&to_b), &in_b), LINK_TLS_MORE);
    t_eq_lit(buf_str(&in_b), text);
    t_eq_int(link_tls_receive(b, buf_str(&copy), &in_b), LINK_TLS_BROKEN); /* played again */
    t_eq_u64(in_b.n, sizeof(text) - 1);
    link_tls_free(a);
    link_tls_free(b);
    link_tls_ctx_free(ctx);
    buf_done(&copy);
    buf_done(&to_a);
    buf_done(&to_b);
    buf_done(&in_a);
    buf_done(&in_b);
}

T_TEST("a dialler is not content with a certificate in place of the key")
{
    /* Somebody on the way, without the secret, who answers as any web server would. */
    SSL_CTX *mallory_ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    t_check(X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) > 0);
    t_check(SSL_CTX_use_certificate(mallory_ctx, cert) == 1);
    t_check(SSL_CTX_use_PrivateKey(mallory_ctx, key) == 1);
    SSL *mallory = SSL_new(mallory_ctx);
    SSL_set_bio(mallory, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_accept_state(mallory);

    struct link_tls_ctx *ctx = link_tls_ctx_new(STR("s"));
    struct buf out, in;
    buf_init(&out, 1 << 20);
    buf_init(&in, 1 << 20);
    struct link_tls *t = link_tls_new(ctx, LINK_ROLE_DIALLER, &out);
    t_check(BIO_write(SSL_get_rbio(mallory), out.p, (int)out.n) == (int)out.n);
    t_check(SSL_do_handshake(mallory) != 1);
    char *answer = NULL;
    long n = BIO_get_mem_data(SSL_get_wbio(mallory), &answer);
    t_check(n > 100);
    t_eq_int(link_tls_receive(t, str_make(answer, (size_t)n), &in), LINK_TLS_BROKEN);
    t_check(!link_tls_is_ready(t));
    t_check(strstr(link_tls_why(t), "certificate verify failed") != NULL);
    link_tls_free(t);
    link_tls_ctx_free(ctx);
    buf_done(&out);
    buf_done(&in);
    SSL_free(mallory);
    SSL_CTX_free(mallory_ctx);
    X509_free(cert);
    EVP_PKEY_free(key);
}

T_TEST("a peer with another secret fails in the handshake and is counted")
{
    setup();
    setup_server("s3cret");
    setup_client("S3cret");
    struct link_stats s;
    link_stats_get(&s);
    tls_failures_before = s.tls_failure_count;
    loop_until(w.loop, tls_has_failed_twice);
    t_eq_u64(w.a.ups + w.b.ups, 0);
    teardown();
}

T_TEST("a side that requires TLS turns a plain dialler away, with a count")
{
    setup();
    setup_server("s");
    struct link_stats before, after;
    link_stats_get(&before);
    raw_dial(1, 1);
    raw_expect_end();
    raw_end();
    link_stats_get(&after);
    t_eq_u64(after.refused_count, before.refused_count + 1);
    w.security = LINK_PLAIN; /* another release, so to say */
    setup_client("s");
    loop_until(w.loop, is_client_connecting);
    t_eq_u64(w.a.ups + w.b.ups, 0);
    teardown();
}

T_TEST("a side that requires TLS never dials plain; one that allows plain does")
{
    setup();
    w.security = LINK_PLAIN; /* stands for a release without TLS */
    setup_server("s");
    w.security = LINK_ENCRYPTED;
    setup_client("s");
    loop_until(w.loop, is_client_connecting);
    t_eq_u64(w.a.ups + w.b.ups, 0);
    link_client_free(w.client);
    w.security = LINK_ENCRYPTED_OR_PLAIN;
    setup_client("s");
    loop_until(w.loop, both_up);
    t_check(!link_is_encrypted(w.a.l));

    /* The peer is upgraded: the next link has TLS again. */
    link_server_free(w.server);
    setup_server("s");
    loop_until(w.loop, both_down);
    loop_until(w.loop, both_up);
    t_check(link_is_encrypted(w.a.l) && link_is_encrypted(w.b.l));
    teardown();
}

T_TEST("a side that allows plain takes a plain dialler")
{
    setup_plain();
    setup_server("s");
    w.security = LINK_PLAIN;
    setup_client("s");
    loop_until(w.loop, both_up);
    t_check(!link_is_encrypted(w.b.l));
    teardown();
}

/* A TLS client hello as far as it goes. */
static void raw_client_hello(size_t size)
{
    struct link_tls_ctx *ctx = link_tls_ctx_new(STR("s"));
    struct buf out;
    buf_init(&out, 1 << 20);
    struct link_tls *t = link_tls_new(ctx, LINK_ROLE_DIALLER, &out);
    raw = raw_connect(w.port);
    raw_send_n(&raw, out.p, size < out.n ? size : out.n);
    link_tls_free(t);
    link_tls_ctx_free(ctx);
    buf_done(&out);
}

T_TEST("a handshake that stops half-way is dropped in time, wherever it stops")
{
    setup();
    link_tick_ms = 10;
    setup_server("s");
    static const size_t sizes[] = {1, 5, 100, SIZE_MAX};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        struct link_stats before, after;
        link_stats_get(&before);
        raw_client_hello(sizes[i]);
        raw_expect_end();
        raw_close(&raw);
        link_stats_get(&after);
        t_eq_u64(after.late_count, before.late_count + 1);
    }
    t_eq_u64(w.b.ups, 0);
    teardown();
}

T_TEST("damaged and oversized TLS records end the connection")
{
    static const char *const bad[] = {
        "\x16\x03\x01\xff\xff"
        "longer than a record may be",
        "\x16\x03\x01\x00\x04"
        "\x01\xff\xff\xff"
        "a hello of 16 MB",
        "\x16\x03\x01\x00\x04"
        "\x02\x00\x00\x00"
        "a server's hello",
    };
    static const size_t sizes[] = {32, 25, 25};
    setup();
    setup_server("s");
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct link_stats before, after;
        link_stats_get(&before);
        raw = raw_connect(w.port);
        raw_send_n(&raw, bad[i], sizes[i]);
        raw_expect_end();
        raw_close(&raw);
        link_stats_get(&after);
        t_eq_u64(after.tls_failure_count, before.tls_failure_count + 1);
    }
    teardown();
}

T_TEST("the words for link security")
{
    enum link_security s = LINK_PLAIN;
    t_ok(link_security_parse("require", &s, NULL));
    t_eq_int(s, LINK_ENCRYPTED);
    t_ok(link_security_parse("allow", &s, NULL));
    t_eq_int(s, LINK_ENCRYPTED_OR_PLAIN);
    t_ok(link_security_parse("off", &s, NULL));
    t_eq_int(s, LINK_PLAIN);
    t_eq_int(link_security_parse("", &s, NULL), ERR_CONFIG);
    t_eq_int(link_security_parse("no", &s, NULL), ERR_CONFIG);
}

T_TEST("links give back all memory")
{
    mem_probe_start();
    setup();
    setup_server("s");
    setup_client("s");
    loop_until(w.loop, both_up);
    t_check(send_numbered(w.a.l, 0, 100000));
    t_check(send_numbered(w.b.l, 0, 3000000));
    teardown();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_MAIN()
