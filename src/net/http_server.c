/* The HTTP server's listeners: one libmicrohttpd daemon with a small pool of epoll threads each.
 *
 * A listener that stops accepting gives its socket back at once (others hold it too) but lives on,
 * "retired", until its last connection has ended. Its threads are joined at the next call that
 * passes by (listen, unlisten, free): there is no thread of ours to do it earlier, and an idle
 * retired daemon costs two sleeping threads.
 *
 * The life of one request is in http_exchange.c. TLS is libmicrohttpd's, by GnuTLS. */
#include "net/http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cond.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/http_int.h"
#include "net/sockets.h"

enum {
    HTTP_THREADS_DEFAULT = 2,
    HTTP_THREADS_MAX = 64,
    HTTP_IDLE_TIMEOUT_S_DEFAULT = 120,
};

/* GnuTLS's words: nothing older than TLS 1.2, no cipher below 128 bits. */
static const char TLS_PRIORITIES[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";

enum err http_server_new(const struct http_server_opts *opts, struct http_server **ret,
                         struct errinfo *ei)
{
    ASSERT(opts->handler != NULL);
    if (opts->threads > HTTP_THREADS_MAX) {
        return err_set(ei, ERR_INVALID, "%u http threads, at most %d", opts->threads,
                       HTTP_THREADS_MAX);
    }
    struct http_server *s = MEM_NEW(struct http_server);
    s->opts = *opts;
    s->opts.threads = opts->threads == 0 ? HTTP_THREADS_DEFAULT : opts->threads;
    s->opts.idle_timeout_s =
        opts->idle_timeout_s == 0 ? HTTP_IDLE_TIMEOUT_S_DEFAULT : opts->idle_timeout_s;
    s->opts.body_size_max = opts->body_size_max == 0 ? HTTP_BODY_SIZE_MAX : opts->body_size_max;
    (void)pthread_mutex_init(&s->lock, NULL); /* cannot fail for a default mutex */
    list_init(&s->listeners);
    list_init(&s->retired);
    *ret = s;
    return OK;
}

static void on_log(void *cls, const char *fmt, va_list args)
{
    struct http_listener *l = (struct http_listener *)cls;
    char text[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the format is libmicrohttpd's */
    (void)vsnprintf(text, sizeof(text), fmt, args);
#pragma GCC diagnostic pop
    text[strcspn(text, "\n")] = '\0';
    LOG_DEBUG("http", "library", "listener=%s text=%s", l->name, text);
}

/* Whoever connects and says nothing must not take the descriptors that the process itself needs: for its
 * files, its links, its signs of life. A front has several listeners while it stands in. */
static unsigned connections_max(void)
{
    enum { PART = 4, LEAST = 16 };
    unsigned part = sockets_limit() / PART;
    return part > HTTP_CONNECTIONS_MAX ? HTTP_CONNECTIONS_MAX : part < LEAST ? LEAST : part;
}

static struct MHD_Daemon *start_daemon(struct http_listener *l)
{
    const struct http_server_opts *o = &l->server->opts;
    /* A pool of one is refused by libmicrohttpd; no pool means one thread. */
    unsigned pool_size = o->threads > 1 ? o->threads : 0;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)http_on_handshake},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    bool has_tls = l->server->certs != NULL;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags | (has_tls ? MHD_USE_TLS : 0), /* port: */ 0, NULL, NULL, http_on_access, l,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, l, MHD_OPTION_LISTEN_SOCKET, l->fd,
        MHD_OPTION_THREAD_POOL_SIZE, pool_size, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_POOL_SIZE, MHD_OPTION_CONNECTION_LIMIT, connections_max(),
        MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s, MHD_OPTION_URI_LOG_CALLBACK, http_on_uri,
        l, MHD_OPTION_UNESCAPE_CALLBACK, http_on_unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, l, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, l, MHD_OPTION_ARRAY,
        has_tls ? tls : none, MHD_OPTION_END);
}

static void listener_free(struct http_listener *l)
{
    ASSERT(l->conn_count == 0);
    if (l->fd >= 0) {
        (void)close(l->fd); /* a duplicate of a socket that carries no data */
    }
    (void)pthread_cond_destroy(&l->emptied); /* nobody waits any more */
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static struct http_listener *listener_new(struct http_server *s, const char *name)
{
    struct http_listener *l = MEM_NEW(struct http_listener);
    l->server = s;
    l->fd = -1;
    (void)snprintf(l->name, sizeof(l->name), "%s", name); /* length was checked */
    list_init(&l->link);
    list_init(&l->conns);
    (void)pthread_mutex_init(&l->lock, NULL);
    cond_init(&l->emptied);
    return l;
}

/* Takes everything off the list of retired listeners that has no connection left. */
static void reap_retired(struct http_server *s)
{
    struct list done;
    list_init(&done);
    (void)pthread_mutex_lock(&s->lock);
    LIST_FOR_SAFE(item, &s->retired) {
        struct http_listener *l = LIST_ENTRY(item, struct http_listener, link);
        (void)pthread_mutex_lock(&l->lock);
        bool is_empty = l->conn_count == 0;
        (void)pthread_mutex_unlock(&l->lock);
        if (is_empty) {
            list_remove(item);
            list_push_back(&done, item);
            s->listener_count--;
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    struct list *item = NULL;
    while ((item = list_pop_front(&done)) != NULL) {
        struct http_listener *l = LIST_ENTRY(item, struct http_listener, link);
        MHD_stop_daemon(l->daemon); /* joins its threads */
        listener_free(l);
    }
}

static void end_idle(struct http_listener *l)
{
    (void)pthread_mutex_lock(&l->lock);
    LIST_FOR(item, &l->conns) {
        struct http_conn *c = LIST_ENTRY(item, struct http_conn, link);
        if (!atomic_load(&c->is_busy)) {
            (void)shutdown(c->fd, SHUT_RD); /* its thread reads an end of file and closes it */
        }
    }
    (void)pthread_mutex_unlock(&l->lock);
}

static struct http_listener *find_listening(struct http_server *s, const char *name)
{
    LIST_FOR(item, &s->listeners) {
        struct http_listener *l = LIST_ENTRY(item, struct http_listener, link);
        if (strcmp(l->name, name) == 0) {
            return l;
        }
    }
    return NULL;
}

static enum err check_listen(struct http_server *s, const char *name, struct errinfo *ei)
{
    if (strlen(name) >= HTTP_LISTENER_NAME_SIZE) {
        return err_set(ei, ERR_INVALID, "listener name longer than %d",
                       HTTP_LISTENER_NAME_SIZE - 1);
    }
    (void)pthread_mutex_lock(&s->lock);
    bool is_taken = find_listening(s, name) != NULL;
    bool is_full = s->listener_count >= HTTP_LISTENERS_MAX;
    if (s->listener_count >= HTTP_LISTENERS_MAX / 2) { /* a name that comes and goes: make room */
        LIST_FOR(item, &s->retired) {
            end_idle(LIST_ENTRY(item, struct http_listener, link));
        }
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (is_taken) {
        return err_set(ei, ERR_EXISTS, "listener %s exists already", name);
    }
    return is_full ? err_set(ei, ERR_LIMIT, "more than %d listeners", HTTP_LISTENERS_MAX) : OK;
}

enum err http_server_listen(struct http_server *s, int fd, const char *name, struct errinfo *ei)
{
    reap_retired(s);
    TRY(check_listen(s, name, ei));
    if (s->certs != NULL) {
        http_certs_look(s->certs); /* this listener may be for a name that only the new one has */
    } else if (s->opts.tls_cert != NULL && s->opts.tls_cert[0] != '\0') {
        TRY(http_certs_new(s->opts.tls_cert, s->opts.tls_key, &s->certs, ei));
    }
    struct http_listener *l = listener_new(s, name);
    l->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (l->fd < 0) {
        listener_free(l);
        return err_set(ei, ERR_IO, "duplicate listening socket %d: %s", fd, err_errno_text(errno));
    }
    int flags = fcntl(l->fd, F_GETFL);
    if (flags < 0 || fcntl(l->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        listener_free(l);
        return err_set(ei, ERR_IO, "make socket %d non-blocking: %s", fd, err_errno_text(errno));
    }
    /* In the list first: connections may come before MHD_start_daemon returns. */
    (void)pthread_mutex_lock(&s->lock);
    list_push_back(&s->listeners, &l->link);
    s->listener_count++;
    (void)pthread_mutex_unlock(&s->lock);
    l->daemon = start_daemon(l);
    if (l->daemon == NULL) {
        int cause = errno;
        (void)pthread_mutex_lock(&s->lock);
        list_remove(&l->link);
        s->listener_count--;
        (void)pthread_mutex_unlock(&s->lock);
        listener_free(l);
        return err_set(ei, ERR_IO, "start http listener %s: %s", name, err_errno_text(cause));
    }
    return OK;
}

/* libmicrohttpd (0.9.75, and still) takes its listening socket out of an epoll set in two threads at
 * once when it is quiesced under load, MHD_quiesce_daemon() and a worker's MHD_epoll(), and ends the
 * process with "Failed to remove listen FD from epoll set" where the second finds it gone. Its panic
 * function must not return, so the error itself is taken away: this definition is found before the one
 * of the C library, and for whoever calls it here, removing what is not there is no error. */
/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name): the header's are reserved */
__attribute__((visibility("default"))) int epoll_ctl(int set, int op, int fd,
                                                     struct epoll_event *event)
{
    long rc = syscall(SYS_epoll_ctl, set, op, fd, event);
    return rc != 0 && op == EPOLL_CTL_DEL && errno == ENOENT ? 0 : (int)rc;
}

/* Stops accepting; connections end after their next answer, which says so. */
static void quiesce(struct http_listener *l)
{
    atomic_store(&l->is_draining, true); /* before looking at is_busy: see http_on_completed */
    MHD_socket fd = MHD_quiesce_daemon(l->daemon);
    ASSERT(fd == l->fd); /* given back to us; closed when the daemon's threads are gone */
}

void http_server_unlisten(struct http_server *s, const char *name)
{
    (void)pthread_mutex_lock(&s->lock);
    struct http_listener *l = find_listening(s, name);
    if (l != NULL) {
        list_remove(&l->link); /* off both lists, so that nobody reaps it under our hands */
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (l != NULL) {
        quiesce(l);
        (void)pthread_mutex_lock(&s->lock);
        list_push_back(&s->retired, &l->link);
        (void)pthread_mutex_unlock(&s->lock);
    }
    reap_retired(s);
}

static bool wait_empty(struct http_listener *l, struct timespec deadline)
{
    (void)pthread_mutex_lock(&l->lock);
    while (l->conn_count > 0 && cond_wait_until(&l->emptied, &l->lock, &deadline)) {
    }
    bool is_empty = l->conn_count == 0;
    (void)pthread_mutex_unlock(&l->lock);
    return is_empty;
}

/* Takes parked requests away from handlers that did not answer in time. */
static void abandon_parked(struct http_listener *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct http_conn_state **held = MEM_NEW_ARRAY(struct http_conn_state *, l->conn_count + 1);
    size_t held_count = 0;
    LIST_FOR(item, &l->conns) {
        struct http_conn *c = LIST_ENTRY(item, struct http_conn, link);
        if (c->current != NULL) {
            http_exchange_ref(c->current);
            held[held_count++] = c->current;
        }
    }
    (void)pthread_mutex_unlock(&l->lock);
    /* Outside of our lock: libmicrohttpd has one of its own and calls us under it. */
    for (size_t i = 0; i < held_count; i++) {
        http_exchange_abandon(held[i]);
        http_exchange_unref(held[i]);
    }
    mem_free(held);
}

static void listener_end(struct http_listener *l, struct timespec deadline)
{
    enum { ABANDON_WAIT_MS = 200 };
    bool is_empty = wait_empty(l, deadline);
    for (int round = 0; !is_empty && round < 5; round++) {
        abandon_parked(l);
        is_empty = wait_empty(l, cond_after_ms(ABANDON_WAIT_MS));
    }
    /* libmicrohttpd must not be stopped with a connection suspended. Whoever parked one is between
     * two instructions of http_respond or has been abandoned, so this ends. */
    while (atomic_load(&l->parked_count) > 0) {
        abandon_parked(l);
        (void)wait_empty(l, cond_after_ms(1)); /* a pause that may end early */
    }
    MHD_stop_daemon(l->daemon); /* breaks what connections are left */
    listener_free(l);
}

void http_server_free(struct http_server *s, unsigned grace_ms)
{
    if (s == NULL) {
        return;
    }
    struct timespec deadline = cond_after_ms(grace_ms);
    struct list all;
    list_init(&all);
    (void)pthread_mutex_lock(&s->lock);
    struct list *item = NULL;
    while ((item = list_pop_front(&s->listeners)) != NULL) {
        list_push_back(&all, item);
    }
    (void)pthread_mutex_unlock(&s->lock);
    LIST_FOR(fresh, &all) {
        quiesce(LIST_ENTRY(fresh, struct http_listener, link));
    }
    (void)pthread_mutex_lock(&s->lock);
    while ((item = list_pop_front(&s->retired)) != NULL) {
        list_push_back(&all, item);
    }
    (void)pthread_mutex_unlock(&s->lock);
    LIST_FOR(each, &all) {
        end_idle(LIST_ENTRY(each, struct http_listener, link));
    }
    while ((item = list_pop_front(&all)) != NULL) {
        listener_end(LIST_ENTRY(item, struct http_listener, link), deadline);
    }
    (void)pthread_mutex_destroy(&s->lock);
    http_certs_free(s->certs);
    mem_free(s);
}

void http_server_reread_cert(struct http_server *s)
{
    if (s->certs != NULL) {
        http_certs_reread(s->certs);
    }
}

void http_server_stats_get(const struct http_server *s, struct http_server_stats *ret)
{
    *ret = (struct http_server_stats){
        .connections = atomic_load(&s->connections),
        .requests = atomic_load(&s->requests),
        .bytes_in = atomic_load(&s->bytes_in),
        .bytes_out = atomic_load(&s->bytes_out),
        .refused = atomic_load(&s->refused),
        .cert_ends_s = s->certs != NULL ? http_certs_ends_s(s->certs) : 0,
    };
}
