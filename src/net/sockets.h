/* Listening sockets: making them, finding inherited ones, handing them to children.
 *
 * Convention of systemd's socket activation: descriptors 3, 4, ... are open listening sockets,
 * LISTEN_FDS says how many, LISTEN_FDNAMES names them ("data:peer"), LISTEN_PID, when present, must
 * be the receiver's. A parent that is not systemd may leave LISTEN_PID out (it cannot know the pid
 * before it has forked). Everything here is called while the process has one thread, except
 * sockets_listen. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    SOCKETS_FIRST_FD = 3,
    SOCKETS_INHERITED_MAX = 128,
    SOCKETS_NAME_SIZE = 160, /* a link has the names of two regions (server/up_children.c) */
    SOCKETS_BACKLOG = 1024,
    SOCKETS_DESCRIPTORS_MAX = 65536, /* as the units of dist/systemd ask for */
};

/* Lets this process, and its children, have as many descriptors as it may, up to the maximum: shells begin
 * with 1,024, which a thousand idle clients use up. */
void sockets_raise_limit(void);
/* How many it may have now. */
unsigned sockets_limit(void);

/* Listens on a numeric "host:port"; port 0 takes a free one. The descriptor is non-blocking and
 * close-on-exec; the caller closes it. ERR_INVALID: not an address; ERR_IN_USE; ERR_IO. */
enum err sockets_listen(const char *addr, int *ret_fd, uint16_t *ret_port,
                        struct errinfo *ei) MUST_CHECK;
uint16_t sockets_port(int fd);    /* local port of a socket; 0 when it has none */
bool sockets_is_loopback(int fd); /* bound to 127.0.0.0/8 or ::1 */

struct sockets_inherited {
    int fd;
    char name[SOCKETS_NAME_SIZE]; /* "" when LISTEN_FDNAMES has none for it */
};
/* Takes the inherited sockets (once: the variables are removed, the descriptors become
 * close-on-exec and non-blocking). None: *ret_n = 0. ERR_INVALID when the variables are malformed or
 * name descriptors that are no stream sockets (a parent may also pass one end of a socket pair). */
enum err sockets_inherit(struct sockets_inherited ret[SOCKETS_INHERITED_MAX], size_t *ret_n,
                         struct errinfo *ei) MUST_CHECK;

/* The two environment entries for a child that gets `n` sockets by these names. */
struct sockets_env {
    char fds[32];                                               /* "LISTEN_FDS=2" */
    char names[32 + SOCKETS_INHERITED_MAX * SOCKETS_NAME_SIZE]; /* "LISTEN_FDNAMES=data:peer" */
};
void sockets_env_make(const char *const *names, size_t n, struct sockets_env *ret);
/* In the child, between fork and exec: moves fds to 3, 4, ... and clears close-on-exec. Uses
 * async-signal-safe calls only. Returns 0 or -1 (errno). Descriptors above stay as they are. */
int sockets_place(const int *fds, size_t n);
