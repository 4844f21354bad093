/* Sockets that travel: listening, the variables of socket activation, placing them for a child. */
#include "net/sockets.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/t.h"

T_TEST("port 0 takes a free port, a taken one is refused")
{
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    t_check(port != 0 && sockets_port(fd) == port);
    t_check((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    char addr[64];
    (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", port);
    int second = -1;
    t_err(sockets_listen(addr, &second, &port, NULL), ERR_IN_USE);
    t_err(sockets_listen("localhost:0", &second, &port, NULL), ERR_INVALID);
    t_err(sockets_listen("127.0.0.1", &second, &port, NULL), ERR_INVALID);
    t_eq_int(second, -1);
    t_check(close(fd) == 0);
}

static void set(const char *count, const char *pid_text, const char *names)
{
    t_check(count == NULL || setenv("LISTEN_FDS", count, 1) == 0);
    t_check(pid_text == NULL || setenv("LISTEN_PID", pid_text, 1) == 0);
    t_check(names == NULL || setenv("LISTEN_FDNAMES", names, 1) == 0);
}

static void expect_malformed(const char *count, const char *pid_text, const char *names)
{
    struct sockets_inherited got[SOCKETS_INHERITED_MAX];
    size_t n = 99;
    set(count, pid_text, names);
    t_err(sockets_inherit(got, &n, NULL), ERR_INVALID);
    t_check(getenv("LISTEN_FDS") == NULL && getenv("LISTEN_PID") == NULL);
}

T_TEST("malformed variables and descriptors that are no listening sockets are refused")
{
    char name[SOCKETS_NAME_SIZE + 1];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    expect_malformed("x", NULL, NULL);
    expect_malformed("65", NULL, NULL);
    expect_malformed("1", "x", NULL);
    expect_malformed("60", NULL, ""); /* nothing is open there, or no socket */
    expect_malformed("1", NULL, name);
}

T_TEST("variables for another process are not ours")
{
    struct sockets_inherited got[SOCKETS_INHERITED_MAX];
    size_t n = 99;
    t_ok(sockets_inherit(got, &n, NULL));
    t_eq_u64(n, 0);
    set("1", "1", "x");
    n = 99;
    t_ok(sockets_inherit(got, &n, NULL));
    t_eq_u64(n, 0);
}

/* In the child after fork, standing for the program that is executed: 0 = all as promised. */
static int child(const int *fds, const struct sockets_env *env, const uint16_t *ports)
{
    if (sockets_place(fds, 2) != 0) {
        return 1;
    }
    for (int fd = 3; fd <= 4; fd++) {
        if ((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) {
            return 2; /* would not survive exec */
        }
    }
    char env_fds[sizeof(env->fds)];
    static char env_names[sizeof(env->names)];
    memcpy(env_fds, env->fds, sizeof(env_fds));
    memcpy(env_names, env->names, sizeof(env_names));
    if (putenv(env_fds) != 0 || putenv(env_names) != 0) {
        return 3;
    }
    struct sockets_inherited got[SOCKETS_INHERITED_MAX];
    size_t n = 0;
    if (sockets_inherit(got, &n, NULL) != OK || n != 2) {
        return 4;
    }
    if (strcmp(got[0].name, "data") != 0 || strcmp(got[1].name, "east>west") != 0) {
        return 5;
    }
    if (sockets_port(got[0].fd) != ports[0] || sockets_port(got[1].fd) != ports[1]) {
        return 6;
    }
    return (fcntl(got[0].fd, F_GETFD) & FD_CLOEXEC) != 0 ? 0 : 7;
}

T_TEST("a child finds its sockets by name, whatever their numbers were")
{
    /* The descriptors are 4 and 3, exactly crossed: placing one must not close the other. */
    int fds[2];
    uint16_t ports[2];
    t_ok(sockets_listen("127.0.0.1:0", &fds[1], &ports[1], NULL));
    t_ok(sockets_listen("127.0.0.1:0", &fds[0], &ports[0], NULL));
    const char *names[] = {"data", "east>west"};
    struct sockets_env env;
    sockets_env_make(names, 2, &env);
    t_eq_cstr(env.fds, "LISTEN_FDS=2");
    t_eq_cstr(env.names, "LISTEN_FDNAMES=data:east>west");
    pid_t process = fork();
    t_check(process >= 0);
    if (process == 0) {
        int crossed[2] = {fds[0], fds[1]};
        if (fds[0] != 4 || fds[1] != 3) {
            if (dup2(fds[0], 14) < 0 || dup2(fds[1], 13) < 0 || dup2(14, 4) < 0 ||
                dup2(13, 3) < 0) {
                _exit(8);
            }
            crossed[0] = 4;
            crossed[1] = 3;
        }
        _exit(child(crossed, &env, ports));
    }
    int status = 0;
    t_check(waitpid(process, &status, 0) == process);
    t_check(WIFEXITED(status));
    t_eq_int(WEXITSTATUS(status), 0);
    t_check(close(fds[0]) == 0 && close(fds[1]) == 0);
}

T_TEST("a child is told of as many sockets as there may be, by the longest names")
{
    /* "region-" before a region's name, and both ends of a link: 63 characters each. */
    enum { REGION_NAME = 63 };
    char name[2 * REGION_NAME + 2];
    memset(name, 'n', sizeof(name) - 1);
    name[REGION_NAME] = '>';
    name[sizeof(name) - 1] = '\0';
    const char *names[SOCKETS_INHERITED_MAX];
    for (size_t i = 0; i < SOCKETS_INHERITED_MAX; i++) {
        names[i] = name;
    }
    static struct sockets_env env;
    sockets_env_make(names, SOCKETS_INHERITED_MAX, &env);
    t_eq_u64(strlen(env.names),
             strlen("LISTEN_FDNAMES=") + SOCKETS_INHERITED_MAX * sizeof(name) - 1);
    set("1", NULL, name);
    int fd = -1;
    uint16_t port = 0;
    t_ok(sockets_listen("127.0.0.1:0", &fd, &port, NULL));
    if (fd != SOCKETS_FIRST_FD) {
        t_check(dup2(fd, SOCKETS_FIRST_FD) == SOCKETS_FIRST_FD && close(fd) == 0);
    }
    static struct sockets_inherited got[SOCKETS_INHERITED_MAX];
    size_t n = 0;
    t_ok(sockets_inherit(got, &n, NULL));
    t_eq_u64(n, 1);
    t_eq_cstr(got[0].name, name);
    t_check(close(got[0].fd) == 0);
}

T_MAIN()
