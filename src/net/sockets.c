/* Listening sockets and how they travel between processes (see sockets.h). */
#include "net/sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/contract.h"
#include "net/loop_int.h"

static socklen_t addr_size(const struct sockaddr_storage *sa)
{
    return sa->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

void sockets_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= SOCKETS_DESCRIPTORS_MAX) {
        return;
    }
    bool is_less = limit.rlim_max < SOCKETS_DESCRIPTORS_MAX;
    limit.rlim_cur = is_less ? limit.rlim_max : SOCKETS_DESCRIPTORS_MAX;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* then it stays as it is */
}

unsigned sockets_limit(void)
{
    struct rlimit limit;
    bool is_known = getrlimit(RLIMIT_NOFILE, &limit) == 0;
    return is_known && limit.rlim_cur < SOCKETS_DESCRIPTORS_MAX ? (unsigned)limit.rlim_cur
                                                                : SOCKETS_DESCRIPTORS_MAX;
}

uint16_t sockets_port(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t size = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0) {
        return 0;
    }
    if (sa.ss_family == AF_INET) {
        return ntohs(((struct sockaddr_in *)&sa)->sin_port);
    }
    return sa.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&sa)->sin6_port) : 0;
}

bool sockets_is_loopback(int fd)
{
    struct sockaddr_storage sa = {0};
    socklen_t size = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &size) != 0) {
        return false;
    }
    if (sa.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, &sa, sizeof(in6));
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
    }
    struct sockaddr_in in;
    memcpy(&in, &sa, sizeof(in));
    return sa.ss_family == AF_INET && ntohl(in.sin_addr.s_addr) >> 24 == 127;
}

enum err sockets_listen(const char *addr, int *ret_fd, uint16_t *ret_port, struct errinfo *ei)
{
    struct sockaddr_storage sa;
    if (!loop_addr_numeric(addr, &sa)) {
        return err_set(ei, ERR_INVALID, "listen address %s is not numeric host:port", addr);
    }
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_set(ei, ERR_IO, "socket: %s", err_errno_text(errno));
    }
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* bind says what matters */
    if (bind(fd, (struct sockaddr *)&sa, addr_size(&sa)) != 0 || listen(fd, SOCKETS_BACKLOG) != 0) {
        enum err e = errno == EADDRINUSE ? ERR_IN_USE : ERR_IO;
        (void)err_set(ei, e, "listen on %s: %s", addr, err_errno_text(errno));
        (void)close(fd); /* nothing was written through it */
        return e;
    }
    *ret_fd = fd;
    *ret_port = sockets_port(fd);
    return OK;
}

/* Stream socket (listening, or one end of a pair), made non-blocking and close-on-exec? */
static bool adopt(int fd)
{
    int type = 0;
    socklen_t size = sizeof(type);
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
        return false;
    }
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static enum err inherit(const char *count_text, const char *pid_text, const char *names_text,
                        struct sockets_inherited *ret, size_t *ret_n, struct errinfo *ei)
{
    uint64_t count = 0;
    uint64_t owner_pid = 0;
    if (!str_to_u64(str_of(count_text), &count) || count > SOCKETS_INHERITED_MAX) {
        return err_set(ei, ERR_INVALID, "LISTEN_FDS is %s, want 0..%d", count_text,
                       SOCKETS_INHERITED_MAX);
    }
    if (pid_text != NULL) {
        if (!str_to_u64(str_of(pid_text), &owner_pid)) {
            return err_set(ei, ERR_INVALID, "LISTEN_PID is %s, want a number", pid_text);
        }
        if (owner_pid != (uint64_t)getpid()) {
            *ret_n = 0; /* meant for a parent of ours */
            return OK;
        }
    }
    struct str names = str_of(names_text);
    for (size_t i = 0; i < count; i++) {
        struct str name = STR_NONE;
        struct str rest = STR_NONE;
        (void)str_split(names, ':', &name, &rest); /* without a ':' the whole is the last name */
        names = rest;
        int fd = SOCKETS_FIRST_FD + (int)i;
        if (name.n >= SOCKETS_NAME_SIZE) {
            return err_set(ei, ERR_INVALID, "LISTEN_FDNAMES: name %zu is longer than %d", i,
                           SOCKETS_NAME_SIZE - 1);
        }
        if (!adopt(fd)) {
            return err_set(ei, ERR_INVALID,
                           "inherited descriptor %d (" STR_FMT ") is no stream socket", fd,
                           STR_ARG(name));
        }
        ret[i] = (struct sockets_inherited){.fd = fd};
        if (name.n > 0) {
            memcpy(ret[i].name, name.p, name.n);
        }
    }
    *ret_n = count;
    return OK;
}

enum err sockets_inherit(struct sockets_inherited ret[SOCKETS_INHERITED_MAX], size_t *ret_n,
                         struct errinfo *ei)
{
    /* One thread by contract, so getenv and unsetenv race with nobody. */
    const char *count_text = getenv("LISTEN_FDS"); /* NOLINT(concurrency-mt-unsafe) */
    if (count_text == NULL) {
        *ret_n = 0;
        return OK;
    }
    const char *pid_text = getenv("LISTEN_PID");       /* NOLINT(concurrency-mt-unsafe) */
    const char *names_text = getenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe) */
    enum err e = inherit(count_text, pid_text, names_text, ret, ret_n, ei);
    (void)unsetenv("LISTEN_FDS");     /* NOLINT(concurrency-mt-unsafe) fails on bad names only */
    (void)unsetenv("LISTEN_PID");     /* NOLINT(concurrency-mt-unsafe) */
    (void)unsetenv("LISTEN_FDNAMES"); /* NOLINT(concurrency-mt-unsafe) */
    return e;
}

void sockets_env_make(const char *const *names, size_t n, struct sockets_env *ret)
{
    ASSERT(n <= SOCKETS_INHERITED_MAX);
    (void)snprintf(ret->fds, sizeof(ret->fds), "LISTEN_FDS=%zu", n); /* fits */
    int used = snprintf(ret->names, sizeof(ret->names), "LISTEN_FDNAMES=");
    for (size_t i = 0; i < n; i++) {
        ASSERT(strlen(names[i]) < SOCKETS_NAME_SIZE && strchr(names[i], ':') == NULL);
        used += snprintf(ret->names + used, sizeof(ret->names) - (size_t)used, "%s%s",
                         i == 0 ? "" : ":", names[i]);
        ASSERT((size_t)used < sizeof(ret->names));
    }
}

int sockets_place(const int *fds, size_t n)
{
    ASSERT(n <= SOCKETS_INHERITED_MAX);
    int moved[SOCKETS_INHERITED_MAX];
    /* First all out of the way, or placing one would close another that has its number. */
    for (size_t i = 0; i < n; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, SOCKETS_FIRST_FD + SOCKETS_INHERITED_MAX);
        if (moved[i] < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (dup2(moved[i], SOCKETS_FIRST_FD + (int)i) < 0) { /* dup2 clears close-on-exec */
            return -1;
        }
        (void)close(moved[i]); /* a duplicate */
    }
    return 0;
}
