/* Who makes links: a server accepts them, a client keeps one outgoing connection alive.
 *
 * The client is a small machine: waiting (timer) -> resolving (names only) -> connecting, proving, up
 * (all inside the link) -> ended -> waiting. Attempts back off by doubling with jitter; a link that
 * stayed up for a while starts from the shortest wait again, one that comes up and breaks at once
 * does not. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/link_int.h"
#include "net/sockets.h"

enum {
    STABLE_MS = 1000, /* up for so long counts as success */
    ADDR_SIZE_MAX = 300,
};

enum err link_security_parse(const char *text, enum link_security *ret, struct errinfo *ei)
{
    static const char *const words[] = {
        [LINK_ENCRYPTED] = "require", [LINK_ENCRYPTED_OR_PLAIN] = "allow", [LINK_PLAIN] = "off"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret = (enum link_security)i;
            return OK;
        }
    }
    (void)err_set(ei, ERR_CONFIG, "peer-tls is require, allow or off, not '%.32s'", text);
    err_hint(ei, "allow is for the time of an upgrade from a release without TLS on its links");
    return ERR_CONFIG;
}

/* --- server --------------------------------------------------------------------------------------- */

struct link_server {
    struct link_owner owner;
    uv_tcp_t *listener; /* frees itself when closed */
};

static void on_server_link_ended(struct link_owner *o, struct link *l)
{
    UNUSED(o); /* nothing to do: it dialled us, it will dial again */
    UNUSED(l);
}

static void peer_name(const uv_tcp_t *tcp, char ret[64])
{
    struct sockaddr_storage sa = {0};
    int size = sizeof(sa);
    char host[48] = "?";
    unsigned port = 0;
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&sa, &size) == 0) {
        if (sa.ss_family == AF_INET) {
            (void)uv_ip4_name((struct sockaddr_in *)&sa, host, sizeof(host)); /* only shown */
            port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
        } else {
            (void)uv_ip6_name((struct sockaddr_in6 *)&sa, host, sizeof(host));
            port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
        }
    }
    (void)snprintf(ret, 64, "%s:%u", host, port);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct link_server *s = (struct link_server *)listener->data;
    if (status < 0) {
        LOG_WARN("link", "accept_failed", "why=%s", uv_strerror(status));
        return;
    }
    struct link *l = link_new(&s->owner, LINK_ROLE_ACCEPTOR, "?");
    int rc = uv_accept(listener, (uv_stream_t *)&l->tcp);
    if (rc < 0) {
        link_end(l, uv_strerror(rc));
        return;
    }
    peer_name(&l->tcp, l->peer);
    if (s->owner.link_count > LINK_CONNECTIONS_MAX) {
        link_end(l, "too many connections");
        return;
    }
    link_connected(l, /* is_tls= */ false); /* its first byte says */
}

static void on_listener_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

struct link_server *link_server_new(struct loop *loop, int listen_fd, struct str secret,
                                    enum link_security security, struct str hello,
                                    const struct link_events *events)
{
    struct link_server *s = MEM_NEW(struct link_server);
    link_owner_init(&s->owner, loop, secret, security, hello, events, on_server_link_ended);
    s->listener = MEM_NEW(uv_tcp_t);
    int rc = uv_tcp_init(loop_uv(loop), s->listener);
    ASSERT(rc == 0);
    s->listener->data = s;
    int fd = fcntl(listen_fd, F_DUPFD_CLOEXEC, 0); /* libuv closes what it is given */
    rc = fd < 0 ? -1 : uv_tcp_open(s->listener, fd);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)s->listener, SOCKETS_BACKLOG, on_connection);
    }
    ASSERT(rc == 0); /* the caller gives a listening TCP socket */
    return s;
}

void link_server_free(struct link_server *s)
{
    if (s == NULL) {
        return;
    }
    uv_close((uv_handle_t *)s->listener, on_listener_closed);
    link_owner_done(&s->owner);
    mem_free(s);
}

/* --- client --------------------------------------------------------------------------------------- */

/* Name lookup in flight; outlives a client that is freed meanwhile. */
struct lookup {
    uv_getaddrinfo_t req;       /* first */
    struct link_client *client; /* NULL: nobody waits for it any more */
};

struct link_client {
    struct link_owner owner;
    char addr[ADDR_SIZE_MAX];
    struct loop_timer *retry; /* owned */
    struct lookup *lookup;    /* in flight or NULL */
    struct rng rng;
    unsigned attempt_count;  /* since the last stable connection */
    bool is_plain_next;      /* the next attempt is made without TLS */
    bool has_logged_failure; /* since the last connection: one line per outage, not per attempt */
};

static void dial(void *ctx);

static void dial_later(struct link_client *c)
{
    unsigned doublings = c->attempt_count < 8 ? c->attempt_count : 8;
    unsigned wait_ms = (unsigned)LINK_BACKOFF_MIN_MS << doublings;
    if (wait_ms > LINK_BACKOFF_MAX_MS) {
        wait_ms = LINK_BACKOFF_MAX_MS;
    }
    c->attempt_count++;
    loop_timer_set(c->retry, wait_ms / 2 + 1 + (unsigned)rng_below(&c->rng, wait_ms / 2 + 1), 0);
}

static void on_client_link_ended(struct link_owner *o, struct link *l)
{
    struct link_client *c = CONTAINER_OF(o, struct link_client, owner);
    bool was_stable = l->up_ms != 0 && uv_now(loop_uv(o->loop)) - l->up_ms >= STABLE_MS;
    if (was_stable) {
        c->attempt_count = 0;
    }
    if (o->security == LINK_ENCRYPTED_OR_PLAIN && l->is_connected) {
        c->is_plain_next = l->up_ms == 0 && !c->is_plain_next; /* TLS first, then in turn */
    }
    if (l->up_ms != 0) {
        c->has_logged_failure = false;
    } else if (!c->has_logged_failure) {
        c->has_logged_failure = true;
        LOG_INFO("link", "link_unreachable", "peer=%s why=%s", c->addr,
                 l->end_why != NULL ? l->end_why : "see above");
    }
    dial_later(c);
}

static void on_connect(uv_connect_t *req, int status)
{
    struct link *l = (struct link *)req->data;
    if (l->is_closing) {
        return; /* cancelled */
    }
    if (status < 0) {
        link_end(l, uv_strerror(status));
        return;
    }
    link_connected(l, !CONTAINER_OF(l->owner, struct link_client, owner)->is_plain_next);
}

static void connect_to(struct link_client *c, const struct sockaddr *sa)
{
    struct link *l = link_new(&c->owner, LINK_ROLE_DIALLER, c->addr);
    int rc = uv_tcp_connect(&l->connect, &l->tcp, sa, on_connect);
    if (rc < 0) {
        link_end(l, uv_strerror(rc));
    }
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = (struct lookup *)req->data;
    struct link_client *c = lookup->client;
    if (c != NULL) {
        c->lookup = NULL;
        if (status == 0 && list != NULL) {
            connect_to(c, list->ai_addr);
        } else {
            LOG_DEBUG("link", "lookup_failed", "peer=%s why=%s", c->addr, uv_strerror(status));
            dial_later(c);
        }
    }
    uv_freeaddrinfo(list);
    mem_free(lookup);
}

static void resolve(struct link_client *c)
{
    char host[ADDR_SIZE_MAX];
    (void)snprintf(host, sizeof(host), "%s", c->addr);
    char *colon = strrchr(host, ':');
    if (colon == NULL || colon == host) {
        LOG_WARN("link", "bad_address", "addr=%s", c->addr);
        dial_later(c);
        return;
    }
    *colon = '\0';
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = MEM_NEW(struct lookup);
    lookup->client = c;
    lookup->req.data = lookup;
    int rc =
        uv_getaddrinfo(loop_uv(c->owner.loop), &lookup->req, on_resolved, host, colon + 1, &hints);
    if (rc < 0) {
        mem_free(lookup);
        dial_later(c);
        return;
    }
    c->lookup = lookup;
}

static void dial(void *ctx)
{
    struct link_client *c = (struct link_client *)ctx;
    if (c->owner.link_count > 0 || c->lookup != NULL) {
        return; /* an attempt is under way; its end comes back here */
    }
    struct sockaddr_storage sa;
    if (loop_addr_numeric(c->addr, &sa)) {
        connect_to(c, (struct sockaddr *)&sa);
    } else {
        resolve(c);
    }
}

struct link_client *link_client_new(struct loop *loop, const char *addr, struct str secret,
                                    enum link_security security, struct str hello,
                                    const struct link_events *events)
{
    struct link_client *c = MEM_NEW(struct link_client);
    link_owner_init(&c->owner, loop, secret, security, hello, events, on_client_link_ended);
    c->is_plain_next = security == LINK_PLAIN;
    (void)snprintf(c->addr, sizeof(c->addr), "%s", addr);
    uint64_t seed = 0;
    rng_os_bytes(&seed, sizeof(seed));
    rng_init(&c->rng, seed);
    c->retry = loop_timer_new(loop, dial, c);
    loop_timer_set(c->retry, 1, 0); /* not from inside the caller */
    return c;
}

void link_client_set_addr(struct link_client *c, const char *addr)
{
    if (strcmp(c->addr, addr) == 0) {
        return;
    }
    (void)snprintf(c->addr, sizeof(c->addr), "%s", addr);
    c->attempt_count = 0;
    if (c->lookup != NULL) {
        c->lookup->client = NULL; /* of the old name */
        c->lookup = NULL;
    }
    if (list_is_empty(&c->owner.links)) {
        loop_timer_set(c->retry, 1, 0);
    } else {
        link_end(LIST_ENTRY(c->owner.links.next, struct link, link), "address changed");
    }
}

void link_client_free(struct link_client *c)
{
    if (c == NULL) {
        return;
    }
    if (c->lookup != NULL) {
        c->lookup->client = NULL;
    }
    loop_timer_free(c->retry);
    link_owner_done(&c->owner);
    mem_free(c);
}
