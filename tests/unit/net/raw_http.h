/* A deliberately simple blocking HTTP client over a socket: tests of the server must not depend on
 * what a real client hides. */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/t.h"

enum { RAW_SIZE_MAX = 8 << 20 };

struct raw_conn {
    int fd;
    char *in; /* received and not yet consumed */
    size_t in_size;
};

struct raw_response {
    int status;
    char head[8192]; /* status line and fields */
    char *body;      /* NUL-terminated; freed by raw_response_done */
    size_t body_size;
};

static inline struct raw_conn raw_connect(uint16_t port)
{
    struct raw_conn c = {.fd = socket(AF_INET, SOCK_STREAM, 0), .in = (char *)malloc(RAW_SIZE_MAX)};
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t_check(connect(c.fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
    int one = 1;
    t_check(setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) == 0);
    struct timeval limit = {.tv_sec = 20};
    t_check(setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    return c;
}

static inline void raw_close(struct raw_conn *c)
{
    t_check(close(c->fd) == 0);
    free(c->in);
    c->in = NULL;
}

static inline void raw_send_n(struct raw_conn *c, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        t_check(sent > 0);
        p += sent;
        n -= (size_t)sent;
    }
}

static inline void raw_send(struct raw_conn *c, const char *text)
{
    raw_send_n(c, text, strlen(text));
}

/* False at end of file. */
static inline bool raw_more(struct raw_conn *c)
{
    t_check(c->in_size < RAW_SIZE_MAX - 1);
    ssize_t n = recv(c->fd, c->in + c->in_size, RAW_SIZE_MAX - 1 - c->in_size, 0);
    if (n <= 0) {
        return false;
    }
    c->in_size += (size_t)n;
    return true;
}

static inline size_t raw_content_length(const char *head)
{
    const char *p = strcasestr(head, "\r\ncontent-length:");
    return p == NULL ? 0 : strtoul(p + 17, NULL, 10);
}

/* False: the connection ended before a whole answer. */
static inline bool raw_read(struct raw_conn *c, bool has_body, struct raw_response *ret)
{
    char *end = NULL;
    do {
        c->in[c->in_size] = '\0';
        end = (char *)memmem(c->in, c->in_size, "\r\n\r\n", 4);
    } while (end == NULL && raw_more(c));
    if (end == NULL) {
        return false;
    }
    size_t head_size = (size_t)(end - c->in) + 4;
    t_check(head_size < sizeof(ret->head));
    memcpy(ret->head, c->in, head_size);
    ret->head[head_size] = '\0';
    t_check(strncmp(ret->head, "HTTP/1.1 ", 9) == 0);
    ret->status = (int)strtol(ret->head + 9, NULL, 10);
    ret->body_size = has_body ? raw_content_length(ret->head) : 0;
    while (c->in_size < head_size + ret->body_size) {
        if (!raw_more(c)) {
            return false;
        }
    }
    ret->body = (char *)malloc(ret->body_size + 1);
    memcpy(ret->body, c->in + head_size, ret->body_size);
    ret->body[ret->body_size] = '\0';
    size_t used = head_size + ret->body_size;
    memmove(c->in, c->in + used, c->in_size - used);
    c->in_size -= used;
    return true;
}

static inline void raw_response_done(struct raw_response *r)
{
    free(r->body);
    r->body = NULL;
}

static inline bool raw_has_header(const struct raw_response *r, const char *line)
{
    return strcasestr(r->head, line) != NULL;
}

/* Peer closed within the limit and sent nothing more. */
static inline bool raw_is_closed(struct raw_conn *c, int limit_ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    char byte = 0;
    return c->in_size == 0 && poll(&p, 1, limit_ms) == 1 && recv(c->fd, &byte, 1, 0) <= 0;
}
