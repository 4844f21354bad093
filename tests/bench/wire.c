#include "bench/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/str.h"

bool work_parse(const char *text, enum work *ret)
{
    static const char *const names[WORK_COUNT] = {"create", "upsert", "replace", "read"};
    for (size_t i = 0; i < WORK_COUNT; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum work)i;
            return true;
        }
    }
    return false;
}

uint64_t wire_pick(struct wire *w)
{
    return w->work == WORK_CREATE ? w->next++ : rng_below(&w->items.rng, w->id_count);
}

void wire_put(struct wire_conn *c, const void *p, size_t n)
{
    ASSERT(n <= sizeof(c->out) - c->out_n);
    memcpy(c->out + c->out_n, p, n);
    c->out_n += n;
}

int wire_connect(const char *host)
{
    const char *colon = strchr(host, ':');
    uint64_t port = 0;
    if (colon == NULL || !str_to_u64(str_of(colon + 1), &port) || port > 65535) {
        return -1;
    }
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK); /* peers are on this machine only */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    struct timeval limit = {.tv_sec = 10};
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0) {
        if (fd >= 0) {
            (void)close(fd); /* nothing was sent */
        }
        return -1;
    }
    return fd;
}

bool wire_flush(struct wire_conn *c)
{
    /* A request is far smaller than an empty socket buffer, and nothing else is in it. */
    bool is_sent = send(c->fd, c->out, c->out_n, MSG_NOSIGNAL) == (ssize_t)c->out_n;
    c->out_n = 0;
    return is_sent;
}
