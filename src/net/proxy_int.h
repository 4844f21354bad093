/* Shared by proxy.c (connections) and proxy_control.c (commands). */
#pragma once

#include <uv.h>

#include "base/list.h"
#include "net/proxy.h"

struct proxy_rule {
    struct proxy *proxy;
    struct list link; /* in proxy.rules */
    char name[PROXY_NAME_SIZE];
    struct sockaddr_storage upstream;
    enum proxy_mode mode;
    unsigned delay_ms;
    int listen_fd;      /* our duplicate of the listening socket */
    uv_tcp_t *listener; /* frees itself when closed; NULL while it refuses */
    struct list conns;  /* struct conn.link */
    size_t conn_count;
};

struct proxy {
    struct loop *loop;
    struct list rules;
    size_t rule_count;
    uv_tcp_t *control;    /* NULL: none; frees itself when closed */
    struct list controls; /* struct control_conn.link */
    size_t control_count;
};

/* A listener of libuv on a duplicate of `fd`; NULL when it is no listening TCP socket. */
uv_tcp_t *proxy_listen(struct proxy *p, int fd, uv_connection_cb accept_cb, void *data);
void proxy_close_and_free(uv_handle_t *handle); /* for handles that are a whole allocation */
void proxy_control_free(struct proxy *p);
