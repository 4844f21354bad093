/* Signs of life to the parent. See notify.h. */
#include "server/notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/str.h"
#include "net/loop.h"

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): set before main */
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(addr.sun_path)) {
        return;
    }
    memcpy(addr.sun_path, path, n);
    if (addr.sun_path[0] == '@') {
        addr.sun_path[0] = '\0'; /* abstract name space */
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    /* A lost notification is repeated (watchdog) or noticed by its absence (ready). */
    (void)sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                 (const struct sockaddr *)&addr, len);
    close(fd);
}

unsigned notify_watchdog_ms(void)
{
    const char *text = getenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe): set before main */
    uint64_t usec_period = 0;
    if (!text || !str_to_u64(str_of(text), &usec_period) || usec_period == 0) {
        return 0;
    }
    uint64_t ms = usec_period / 2000;
    return ms > 60000 ? 60000 : ms == 0 ? 1 : (unsigned)ms;
}

static void on_watchdog(void *ctx)
{
    (void)ctx;
    notify_send("WATCHDOG=1");
}

struct loop_timer *notify_watchdog_start(struct loop *loop)
{
    unsigned period_ms = notify_watchdog_ms();
    if (period_ms == 0) {
        return NULL;
    }
    struct loop_timer *t = loop_timer_new(loop, on_watchdog, NULL);
    loop_timer_set(t, 1, period_ms / 2 + 1);
    return t;
}
