/* An account started for a drill. See drill_int.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "cli/drill_int.h"
#include "net/sockets.h"
#include "server/up.h"

/* A run of free ports for the global endpoint and as many regions as there may be. */
static enum err free_ports(unsigned *ret, struct errinfo *ei)
{
    for (unsigned base = 20000 + (unsigned)(getpid() % 20000); base < 60000; base += 64) {
        bool is_free = true;
        for (unsigned i = 0; i <= UP_REGIONS_MAX && is_free; i++) {
            char addr[32];
            int fd = -1;
            (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", base + i);
            is_free = sockets_listen(addr, &fd, &(uint16_t){0}, NULL) == OK;
            if (is_free) {
                close(fd);
            }
        }
        if (is_free) {
            *ret = base;
            return OK;
        }
    }
    return err_set(ei, ERR_IN_USE, "no free run of ports found; give one with --port");
}

static enum err wait_for_file(struct drill_own *own, const char *path, struct errinfo *ei)
{
    for (usec until = clock_boot_us() + (usec)30 * 1000000; clock_boot_us() < until;) {
        int status = 0;
        if (access(path, R_OK) == 0) {
            return OK;
        }
        if (waitpid(own->child, &status, WNOHANG) == own->child) {
            own->child = 0;
            int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            bool is_unable = code == err_exit_code(ERR_UNSUPPORTED);
            return err_set(ei, is_unable ? ERR_UNSUPPORTED : ERR_IO,
                           "the account for the drill did not start (exit status %d)", code);
        }
        (void)poll(NULL, 0, 5);
    }
    return err_set(ei, ERR_TIMEOUT,
                   "the account for the drill did not become ready in 30 s; see %s/run", own->dir);
}

enum err drill_own_start(const struct conf *c, const char *level, struct drill_own *own,
                         struct errinfo *ei)
{
    (void)snprintf(own->dir, sizeof(own->dir), "/tmp/holdfast-drill-XXXXXX");
    if (!mkdtemp(own->dir)) {
        return err_set(ei, ERR_IO, "cannot make a folder under /tmp: errno %d", errno);
    }
    unsigned port = (unsigned)conf_u64(c, D_PORT);
    if (port == 0) {
        TRY(free_ports(&port, ei));
    }
    char port_text[16];
    char ready[128];
    (void)snprintf(port_text, sizeof(port_text), "%u", port);
    (void)snprintf(ready, sizeof(ready), "%s/ready.json", own->dir);
    const char *argv[] = {"holdfast",
                          "up",
                          "--dir",
                          own->dir,
                          "--port",
                          port_text,
                          "--regions",
                          conf_cstr(c, D_REGIONS),
                          "--consistency",
                          level,
                          "--engine",
                          conf_cstr(c, D_ENGINE),
                          "--ready-file",
                          ready,
                          "--fault-proxy",
                          "--quiet",
                          NULL};
    own->child = fork();
    if (own->child == 0) {
        execv("/proc/self/exe", (char *const *)(uintptr_t)argv);
        _exit(71);
    }
    if (own->child < 0) {
        return err_set(ei, ERR_IO, "cannot start a process: errno %d", errno);
    }
    return wait_for_file(own, ready, ei);
}

void drill_own_stop(struct drill_own *own, bool keep)
{
    if (own->child > 0) {
        kill(own->child, SIGTERM);
        (void)waitpid(own->child, NULL, 0);
    }
    if (own->dir[0] && keep) {
        fprintf(stderr, "data and logs of the drill's account are kept in %s\n", own->dir);
    } else if (own->dir[0]) {
        (void)files_remove_tree(own->dir); /* a left-over folder under /tmp harms nobody */
    }
}
