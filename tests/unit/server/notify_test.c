/* The notification protocol as a parent hears it. */
#include "server/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "lib/t.h"

/* A socket bound to `name` ('@' = abstract). */
static int listen_at(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    t_check(n < sizeof(addr.sun_path));
    memcpy(addr.sun_path, name, n);
    if (name[0] == '@') {
        addr.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    t_check(bind(fd, (const struct sockaddr *)&addr,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == 0);
    t_check(setenv("NOTIFY_SOCKET", name, 1) == 0);
    return fd;
}

static void hears(int fd, const char *want)
{
    char text[64];
    ssize_t n = recv(fd, text, sizeof(text), MSG_DONTWAIT);
    t_check(n >= 0);
    t_eq_str(str_make(text, (size_t)n), str_of(want));
}

T_TEST("a state arrives as one datagram, by path and by abstract name")
{
    char name[100];
    (void)snprintf(name, sizeof(name), "%s/notify", t_tmp_dir());
    int fd = listen_at(name);
    notify_send("READY=1");
    hears(fd, "READY=1");
    t_check(close(fd) == 0);
    (void)snprintf(name, sizeof(name), "@holdfast-notify-test-%d", (int)getpid());
    fd = listen_at(name);
    notify_send("WATCHDOG=1");
    notify_send("STOPPING=1");
    hears(fd, "WATCHDOG=1");
    hears(fd, "STOPPING=1");
    t_check(close(fd) == 0);
}

T_TEST("without a listener, a name, or a sensible one, nothing happens")
{
    notify_send("READY=1"); /* the listener above is gone */
    t_check(setenv("NOTIFY_SOCKET", "", 1) == 0);
    notify_send("READY=1");
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    t_check(setenv("NOTIFY_SOCKET", name, 1) == 0);
    notify_send("READY=1");
    t_check(unsetenv("NOTIFY_SOCKET") == 0);
    notify_send("READY=1");
}

T_TEST("a full socket does not block the sender")
{
    char name[100];
    (void)snprintf(name, sizeof(name), "@holdfast-notify-full-%d", (int)getpid());
    int fd = listen_at(name);
    for (int i = 0; i < 5000; i++) {
        notify_send("WATCHDOG=1");
    }
    hears(fd, "WATCHDOG=1");
    t_check(close(fd) == 0);
}

static unsigned period(const char *text)
{
    t_check(text ? setenv("WATCHDOG_USEC", text, 1) == 0 : unsetenv("WATCHDOG_USEC") == 0);
    return notify_watchdog_ms();
}

T_TEST("signs of life are due twice in the time that the parent gives, and at least each minute")
{
    t_eq_u64(period(NULL), 0);
    t_eq_u64(period("0"), 0);
    t_eq_u64(period("x"), 0);
    t_eq_u64(period("1000000"), 500);
    t_eq_u64(period("3600000000"), 60000);
    t_eq_u64(period("18446744073709551615"), 60000);
    t_eq_u64(period("1"), 1); /* asked for, so as often as we can */
}

static int watched_fd;

static bool heard_three(void)
{
    static int count;
    char text[64];
    ssize_t n = recv(watched_fd, text, sizeof(text), MSG_DONTWAIT);
    if (n > 0) {
        t_eq_str(str_make(text, (size_t)n), STR("WATCHDOG=1"));
        count++;
    }
    return count >= 3;
}

T_TEST("a loop feeds the watchdog, when there is one")
{
    struct loop *loop = loop_new();
    t_check(unsetenv("WATCHDOG_USEC") == 0);
    t_check(notify_watchdog_start(loop) == NULL);
    char name[100];
    (void)snprintf(name, sizeof(name), "@holdfast-notify-dog-%d", (int)getpid());
    watched_fd = listen_at(name);
    t_check(setenv("WATCHDOG_USEC", "20000", 1) == 0);
    struct loop_timer *t = notify_watchdog_start(loop);
    t_check(t != NULL);
    loop_until(loop, heard_three);
    loop_timer_free(t);
    loop_free(loop);
    t_check(close(watched_fd) == 0);
    t_check(unsetenv("WATCHDOG_USEC") == 0);
}

T_MAIN()
