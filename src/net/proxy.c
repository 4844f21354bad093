/* The fault proxy's connections.
 *
 *   client side  --- direction 0: read, queue, write --->  upstream side
 *                <-- direction 1: read, queue, write ----
 *
 * Each direction is a queue of chunks with the moment they are due. A chunk that is due is written at
 * once when nothing is before it. An end of file is a chunk too, so that it keeps its place. A silent
 * (black-holed) connection stops reading and stops writing; nothing is thrown away, as a network that
 * drops packets makes TCP wait, not forget.
 *
 * A connection accepted while its rule is silent dials upstream only when the rule passes again. */
#include "net/proxy.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop_int.h"
#include "net/proxy_int.h"
#include "net/sockets.h"

enum {
    CHUNK_SIZE = 64 << 10,
    QUEUE_RESUME_SIZE = PROXY_QUEUE_SIZE_MAX / 2,
};

struct conn;

struct side {
    uv_tcp_t tcp; /* data: the side */
    struct conn *conn;
    bool is_open;  /* initialised and not yet closed */
    bool is_ready; /* connected */
    bool is_reading;
};

struct chunk {
    struct list link;
    uv_write_t write; /* data: the chunk */
    struct direction *direction;
    usec due_us;
    bool is_end; /* end of file: no bytes */
    size_t size;
    char bytes[];
};

struct direction {
    struct conn *conn;
    struct side *from;
    struct side *to;
    struct list queue;        /* struct chunk.link, not yet given to libuv */
    size_t size;              /* bytes read and not yet written */
    struct loop_timer *timer; /* for the first chunk's moment */
    uv_shutdown_t shutdown;
    bool has_ended; /* end of file went through */
};

struct conn {
    struct proxy_rule *rule;
    struct list link;
    struct side sides[2];
    struct direction directions[2];
    uv_connect_t connect;
    unsigned open_count; /* sides whose closing callback has not come */
    bool is_dialled;
    bool is_closing;
};

const char *proxy_mode_name(enum proxy_mode mode)
{
    static const char *const names[] = {"pass", "cut", "blackhole", "delay", "refuse"};
    return names[mode];
}

void proxy_close_and_free(uv_handle_t *handle)
{
    mem_free(handle);
}

/* --- closing ------------------------------------------------------------------------------------- */

static void conn_free(struct conn *c)
{
    for (int i = 0; i < 2; i++) {
        struct list *item = NULL;
        while ((item = list_pop_front(&c->directions[i].queue)) != NULL) {
            mem_free(LIST_ENTRY(item, struct chunk, link));
        }
    }
    mem_free(c);
}

static void on_side_closed(uv_handle_t *handle)
{
    struct side *s = (struct side *)handle->data;
    struct conn *c = s->conn;
    if (--c->open_count == 0) {
        conn_free(c);
    }
}

static void conn_close(struct conn *c, bool is_reset)
{
    if (c->is_closing) {
        return;
    }
    c->is_closing = true;
    list_remove(&c->link);
    c->rule->conn_count--;
    c->rule = NULL;
    for (int i = 0; i < 2; i++) {
        loop_timer_free(c->directions[i].timer);
        c->directions[i].timer = NULL;
    }
    for (int i = 0; i < 2; i++) {
        struct side *s = &c->sides[i];
        /* A reset is only possible on a connected socket without a shutdown under way. */
        if (!is_reset || !s->is_ready || uv_tcp_close_reset(&s->tcp, on_side_closed) != 0) {
            uv_close((uv_handle_t *)&s->tcp, on_side_closed);
        }
    }
}

/* --- moving bytes ---------------------------------------------------------------------------------- */

static bool is_silent(const struct conn *c)
{
    return c->rule->mode == PROXY_BLACKHOLE;
}

static void adjust_reading(struct direction *d);
static void pump(struct direction *d);

static void on_written(uv_write_t *write, int status)
{
    struct chunk *chunk = (struct chunk *)write->data;
    struct direction *d = chunk->direction;
    struct conn *c = d->conn;
    d->size -= chunk->size;
    mem_free(chunk);
    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        conn_close(c, /* is_reset: */ true);
    } else {
        adjust_reading(d);
    }
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    UNUSED(status); /* a peer that is gone has nothing to be told */
    struct direction *d = (struct direction *)req->data;
    struct conn *c = d->conn;
    d->has_ended = true;
    if (!c->is_closing && c->directions[0].has_ended && c->directions[1].has_ended) {
        conn_close(c, /* is_reset: */ false);
    }
}

static void write_chunk(struct direction *d, struct chunk *chunk)
{
    int rc = 0;
    if (chunk->is_end) {
        mem_free(chunk);
        d->shutdown.data = d;
        rc = uv_shutdown(&d->shutdown, (uv_stream_t *)&d->to->tcp, on_shutdown);
    } else {
        uv_buf_t bytes = uv_buf_init(chunk->bytes, (unsigned)chunk->size);
        chunk->write.data = chunk;
        rc = uv_write(&chunk->write, (uv_stream_t *)&d->to->tcp, &bytes, 1, on_written);
        if (rc < 0) {
            d->size -= chunk->size;
            mem_free(chunk);
        }
    }
    if (rc < 0) {
        conn_close(d->conn, /* is_reset: */ true);
    }
}

/* Writes what is due; sets the timer for the rest. */
static void pump(struct direction *d)
{
    struct conn *c = d->conn;
    while (!c->is_closing && !is_silent(c) && d->to->is_ready && !list_is_empty(&d->queue)) {
        struct chunk *chunk = LIST_ENTRY(d->queue.next, struct chunk, link);
        usec now_us = clock_boot_us();
        if (chunk->due_us > now_us) {
            loop_timer_set(d->timer, (unsigned)((chunk->due_us - now_us) / 1000) + 1, 0);
            return;
        }
        list_remove(&chunk->link);
        write_chunk(d, chunk);
    }
}

static void on_due(void *ctx)
{
    pump((struct direction *)ctx);
}

static void enqueue(struct direction *d, struct chunk *chunk)
{
    struct proxy_rule *r = d->conn->rule;
    unsigned delay_ms = r->mode == PROXY_DELAY ? r->delay_ms : 0;
    chunk->direction = d;
    chunk->due_us = delay_ms == 0 ? 0 : clock_boot_us() + (usec)delay_ms * 1000;
    list_init(&chunk->link);
    list_push_back(&d->queue, &chunk->link); /* behind earlier ones even when due before them */
    d->size += chunk->size;
    pump(d);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    UNUSED(handle);
    UNUSED(suggested);
    struct chunk *chunk = (struct chunk *)mem_alloc(sizeof(*chunk) + CHUNK_SIZE);
    *ret = uv_buf_init(chunk->bytes, CHUNK_SIZE);
}

static struct direction *direction_from(struct side *s)
{
    struct conn *c = s->conn;
    return s == c->directions[0].from ? &c->directions[0] : &c->directions[1];
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    struct side *s = (struct side *)stream->data;
    struct chunk *chunk =
        bytes->base == NULL ? NULL : CONTAINER_OF(bytes->base, struct chunk, bytes);
    if (n > 0) {
        ASSERT(chunk != NULL); /* from on_alloc */
        chunk->is_end = false;
        chunk->size = (size_t)n;
        chunk = (struct chunk *)mem_realloc(chunk, sizeof(*chunk) + (size_t)n);
        enqueue(direction_from(s), chunk);
        if (!s->conn->is_closing) {
            adjust_reading(direction_from(s));
        }
        return;
    }
    if (n == UV_EOF) {
        (void)uv_read_stop(stream); /* never fails */
        s->is_reading = false;
        s->is_open = false; /* nothing more to read */
        struct chunk *end = MEM_NEW(struct chunk);
        end->is_end = true;
        mem_free(chunk);
        enqueue(direction_from(s), end);
        return;
    }
    mem_free(chunk);
    if (n < 0) {
        conn_close(s->conn, /* is_reset: */ true);
    }
}

/* Reads while there is room and the rule lets anything move. */
static void adjust_reading(struct direction *d)
{
    struct conn *c = d->conn;
    struct side *s = d->from;
    size_t limit = s->is_reading ? PROXY_QUEUE_SIZE_MAX : QUEUE_RESUME_SIZE;
    bool wants = s->is_open && s->is_ready && d->to->is_ready && !is_silent(c) && d->size < limit;
    if (wants == s->is_reading) {
        return;
    }
    s->is_reading = wants;
    if (!wants) {
        (void)uv_read_stop((uv_stream_t *)&s->tcp); /* never fails */
    } else if (uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_read) != 0) {
        conn_close(c, /* is_reset: */ true);
    }
}

/* --- connections --------------------------------------------------------------------------------------- */

static void conn_go_on(struct conn *c)
{
    for (int i = 0; i < 2 && !c->is_closing; i++) {
        adjust_reading(&c->directions[i]);
        if (!c->is_closing) {
            pump(&c->directions[i]);
        }
    }
}

static void on_connect(uv_connect_t *req, int status)
{
    struct conn *c = (struct conn *)req->data;
    if (c->is_closing) {
        return;
    }
    if (status < 0) {
        conn_close(c, /* is_reset: */ true);
        return;
    }
    c->sides[1].is_ready = true;
    (void)uv_tcp_nodelay(&c->sides[1].tcp, 1); /* slower without, not wrong */
    conn_go_on(c);
}

static void dial(struct conn *c)
{
    if (c->is_dialled || is_silent(c)) {
        return;
    }
    c->is_dialled = true;
    c->connect.data = c;
    if (uv_tcp_connect(&c->connect, &c->sides[1].tcp, (struct sockaddr *)&c->rule->upstream,
                       on_connect) != 0) {
        conn_close(c, /* is_reset: */ true);
    }
}

static struct conn *conn_new(struct proxy_rule *r)
{
    struct conn *c = MEM_NEW(struct conn);
    c->rule = r;
    c->open_count = 2;
    list_init(&c->link);
    list_push_back(&r->conns, &c->link);
    r->conn_count++;
    for (int i = 0; i < 2; i++) {
        struct side *s = &c->sides[i];
        int rc = uv_tcp_init(loop_uv(r->proxy->loop), &s->tcp);
        ASSERT(rc == 0); /* makes no socket yet */
        s->tcp.data = s;
        s->conn = c;
        s->is_open = true;
        struct direction *d = &c->directions[i];
        d->conn = c;
        d->from = &c->sides[i];
        d->to = &c->sides[1 - i];
        list_init(&d->queue);
        d->timer = loop_timer_new(r->proxy->loop, on_due, d);
    }
    return c;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct proxy_rule *r = (struct proxy_rule *)listener->data;
    if (status < 0) {
        LOG_WARN("proxy", "accept_failed", "rule=%s why=%s", r->name, uv_strerror(status));
        return;
    }
    struct conn *c = conn_new(r);
    if (uv_accept(listener, (uv_stream_t *)&c->sides[0].tcp) != 0) {
        conn_close(c, /* is_reset: */ false);
        return;
    }
    c->sides[0].is_ready = true;
    if (r->mode == PROXY_CUT || r->conn_count > PROXY_CONNS_MAX) {
        conn_close(c, /* is_reset: */ true);
        return;
    }
    (void)uv_tcp_nodelay(&c->sides[0].tcp, 1); /* slower without, not wrong */
    dial(c);
}

uv_tcp_t *proxy_listen(struct proxy *p, int fd, uv_connection_cb accept_cb, void *data)
{
    uv_tcp_t *listener = MEM_NEW(uv_tcp_t);
    int rc = uv_tcp_init(loop_uv(p->loop), listener);
    ASSERT(rc == 0);
    listener->data = data;
    int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* libuv closes what it is given */
    if (own_fd < 0 || uv_tcp_open(listener, own_fd) != 0 ||
        uv_listen((uv_stream_t *)listener, SOCKETS_BACKLOG, accept_cb) != 0) {
        uv_close((uv_handle_t *)listener, proxy_close_and_free);
        return NULL;
    }
    return listener;
}

/* --- rules --------------------------------------------------------------------------------------------- */

struct proxy *proxy_new(struct loop *loop)
{
    struct proxy *p = MEM_NEW(struct proxy);
    p->loop = loop;
    list_init(&p->rules);
    list_init(&p->controls);
    return p;
}

static void close_conns(struct proxy_rule *r, bool is_reset)
{
    while (!list_is_empty(&r->conns)) {
        conn_close(LIST_ENTRY(r->conns.next, struct conn, link), is_reset);
    }
}

void proxy_free(struct proxy *p)
{
    if (p == NULL) {
        return;
    }
    proxy_control_free(p);
    struct list *item = NULL;
    while ((item = list_pop_front(&p->rules)) != NULL) {
        struct proxy_rule *r = LIST_ENTRY(item, struct proxy_rule, link);
        close_conns(r, /* is_reset: */ true);
        if (r->listener != NULL) {
            uv_close((uv_handle_t *)r->listener, proxy_close_and_free);
        }
        (void)close(r->listen_fd);
        mem_free(r);
    }
    mem_free(p);
}

static struct proxy_rule *find_rule(const struct proxy *p, const char *name)
{
    LIST_FOR(item, &p->rules) {
        struct proxy_rule *r = LIST_ENTRY(item, struct proxy_rule, link);
        if (strcmp(r->name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

enum err proxy_rule_add(struct proxy *p, const char *name, int listen_fd, const char *upstream,
                        struct errinfo *ei)
{
    struct sockaddr_storage sa;
    if (name[0] == '\0' || strlen(name) >= PROXY_NAME_SIZE || strcmp(name, "*") == 0) {
        return err_set(ei, ERR_INVALID, "rule name '%s'", name);
    }
    if (find_rule(p, name) != NULL) {
        return err_set(ei, ERR_EXISTS, "rule %s exists already", name);
    }
    if (p->rule_count >= PROXY_RULES_MAX) {
        return err_set(ei, ERR_LIMIT, "more than %d rules", PROXY_RULES_MAX);
    }
    if (!loop_addr_numeric(upstream, &sa)) {
        return err_set(ei, ERR_INVALID, "upstream %s is not numeric host:port", upstream);
    }
    struct proxy_rule *r = MEM_NEW(struct proxy_rule);
    r->proxy = p;
    r->upstream = sa;
    (void)snprintf(r->name, sizeof(r->name), "%s", name); /* fits */
    list_init(&r->link);
    list_init(&r->conns);
    r->listener = proxy_listen(p, listen_fd, on_connection, r);
    r->listen_fd = r->listener != NULL ? fcntl(listen_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (r->listen_fd < 0) {
        if (r->listener != NULL) {
            uv_close((uv_handle_t *)r->listener, proxy_close_and_free);
        }
        mem_free(r);
        return err_set(ei, ERR_INVALID, "descriptor %d is no listening socket", listen_fd);
    }
    list_push_back(&p->rules, &r->link);
    p->rule_count++;
    return OK;
}

/* A listening socket stops to listen for every process that holds it when it is shut down, and starts
 * again with listen(). */
static enum err set_refusing(struct proxy_rule *r, bool is_refusing, struct errinfo *ei)
{
    if (is_refusing == (r->listener == NULL)) {
        return OK;
    }
    if (is_refusing) {
        uv_close((uv_handle_t *)r->listener, proxy_close_and_free);
        r->listener = NULL;
        (void)shutdown(r->listen_fd, SHUT_RD); /* fails only when it does not listen anyway */
        return OK;
    }
    r->listener = proxy_listen(r->proxy, r->listen_fd, on_connection, r);
    if (r->listener == NULL) {
        return err_set(ei, ERR_IN_USE, "rule %s cannot listen at its address again", r->name);
    }
    return OK;
}

static enum err set_mode(struct proxy_rule *r, enum proxy_mode mode, unsigned delay_ms,
                         struct errinfo *ei)
{
    TRY(set_refusing(r, mode == PROXY_REFUSE, ei));
    r->mode = mode;
    r->delay_ms = delay_ms;
    LOG_INFO("proxy", "mode", "rule=%s mode=%s delay_ms=%u connections=%zu", r->name,
             proxy_mode_name(mode), delay_ms, r->conn_count);
    if (mode == PROXY_CUT || mode == PROXY_REFUSE) {
        close_conns(r, /* is_reset: */ true);
        return OK;
    }
    LIST_FOR_SAFE(item, &r->conns) {
        struct conn *c = LIST_ENTRY(item, struct conn, link);
        dial(c);
        if (!c->is_closing) {
            conn_go_on(c);
        }
    }
    return OK;
}

enum err proxy_set_mode(struct proxy *p, const char *name, enum proxy_mode mode, unsigned delay_ms,
                        struct errinfo *ei)
{
    if (mode == PROXY_DELAY ? delay_ms == 0 || delay_ms > PROXY_DELAY_MS_MAX : delay_ms != 0) {
        return err_set(ei, ERR_INVALID, "delay of %u ms, want 1 to %d, and only with delay",
                       delay_ms, PROXY_DELAY_MS_MAX);
    }
    if (strcmp(name, "*") == 0) {
        LIST_FOR(item, &p->rules) {
            TRY(set_mode(LIST_ENTRY(item, struct proxy_rule, link), mode, delay_ms, ei));
        }
        return OK;
    }
    struct proxy_rule *r = find_rule(p, name);
    if (r == NULL) {
        return err_set(ei, ERR_NOT_FOUND, "no rule %s", name);
    }
    return set_mode(r, mode, delay_ms, ei);
}

size_t proxy_conn_count(const struct proxy *p, const char *name)
{
    const struct proxy_rule *r = find_rule(p, name);
    return r == NULL ? 0 : r->conn_count;
}
