#include "continuity/drill/fault.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/contract.h"

enum { CONTROL_TIMEOUT_S = 2 };

/* ---- processes ---- */

/* Never signals a process that is not a holdfast program of the same kind as this one. */
static enum err check_program(pid_t target, struct errinfo *ei)
{
    char path[64];
    char theirs[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)target);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(theirs, 1, sizeof(theirs) - 1, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    theirs[n] = '\0';
    if (n == 0 || strcmp(theirs, "holdfast") != 0) {
        return err_set(ei, ERR_NOT_FOUND, "process %d is not a holdfast server on this machine",
                       (int)target);
    }
    return OK;
}

static enum err find_server(struct fault *f, const char *endpoint, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    struct client_request req = {.method = "GET", .base = endpoint, .path = "/_holdfast/process"};
    const struct json *doc = NULL;
    int status = 0;
    enum err err = client_call(f->account, &req, &a, &status, NULL, &doc, ei);
    if (err == OK) {
        err = client_answer_err(status, doc, ei);
    }
    uint64_t number = 0;
    if (err == OK && !json_get_u64(doc, STR("pid"), &number)) {
        err = err_set(ei, ERR_NOT_FOUND, "the server of region %s does not say its process id",
                      f->region);
    }
    f->server = (pid_t)number;
    arena_done(&a);
    return err == OK ? check_program(f->server, ei) : err;
}

static enum err send_signal(const struct fault *f, int signum, struct errinfo *ei)
{
    TRY(check_program(f->server, ei));
    if (kill(f->server, signum) != 0) {
        return err_set(ei, ERR_FORBIDDEN, "cannot signal process %d: errno %d", (int)f->server,
                       errno);
    }
    return OK;
}

/* ---- links ---- */

static enum err control_connect(const char *addr, int *ret, struct errinfo *ei)
{
    struct str host;
    struct str port;
    char host_text[64];
    char port_text[16];
    if (!str_split(str_of(addr), ':', &host, &port)) {
        return err_set(ei, ERR_CONFIG, "bad fault proxy address '%s'", addr);
    }
    (void)snprintf(host_text, sizeof(host_text), STR_FMT, STR_ARG(host));
    (void)snprintf(port_text, sizeof(port_text), STR_FMT, STR_ARG(port));
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    int fd = -1;
    if (getaddrinfo(host_text, port_text, &hints, &info) == 0) {
        fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
        struct timeval limit = {.tv_sec = CONTROL_TIMEOUT_S};
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
                        connect(fd, info->ai_addr, info->ai_addrlen) != 0)) {
            close(fd);
            fd = -1;
        }
        freeaddrinfo(info);
    }
    if (fd < 0) {
        return err_set(ei, ERR_NETWORK, "cannot reach the fault proxy at %s", addr);
    }
    *ret = fd;
    return OK;
}

/* One command, one answer line: "ok" or "error ...". */
static enum err control_say(int fd, const char *line, struct errinfo *ei)
{
    char answer[256];
    size_t n = 0;
    if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) {
        return err_set(ei, ERR_NETWORK, "the fault proxy hung up");
    }
    while (n < sizeof(answer) - 1) {
        ssize_t got = recv(fd, answer + n, 1, 0);
        if (got != 1) {
            return err_set(ei, ERR_NETWORK, "the fault proxy did not answer");
        }
        if (answer[n] == '\n') {
            break;
        }
        n++;
    }
    answer[n] = '\0';
    if (strncmp(answer, "ok", 2) != 0) {
        return err_set(ei, ERR_INVALID, "the fault proxy refused: %s", answer);
    }
    return OK;
}

static enum err set_links(const struct fault *f, const char *mode, struct errinfo *ei)
{
    int fd = -1;
    TRY(control_connect(f->account->fault_proxy, &fd, ei));
    char line[256];
    enum err err = OK;
    (void)snprintf(line, sizeof(line), "mode %s>coordinator %s\n", f->region, mode);
    err = control_say(fd, line, ei);
    for (size_t i = 0; err == OK && i < f->region_count; i++) {
        if (strcmp(f->regions[i], f->region) == 0) {
            continue;
        }
        (void)snprintf(line, sizeof(line), "mode %s>%s %s\n", f->region, f->regions[i], mode);
        err = control_say(fd, line, ei);
        if (err == OK) {
            (void)snprintf(line, sizeof(line), "mode %s>%s %s\n", f->regions[i], f->region, mode);
            err = control_say(fd, line, ei);
        }
    }
    close(fd);
    return err;
}

/* ---- public ---- */

enum err fault_prepare(struct fault *f, const char *endpoint, struct errinfo *ei)
{
    switch (f->kind) {
    case DRILL_KILL:
    case DRILL_PAUSE:
        return find_server(f, endpoint, ei);
    case DRILL_CUT:
        if (!f->account->fault_proxy[0]) {
            err_set(ei, ERR_PRECONDITION, "the account's links do not go through the fault proxy");
            err_hint(ei, "start it with `holdfast up --fault-proxy`, or let the drill start an "
                         "account of its own");
            return ERR_PRECONDITION;
        }
        return OK;
    case DRILL_GRACEFUL:
    case DRILL_FAULT_COUNT:
        break;
    }
    return OK;
}

enum err fault_begin(struct fault *f, struct errinfo *ei)
{
    switch (f->kind) {
    case DRILL_KILL:
        return send_signal(f, SIGKILL, ei);
    case DRILL_PAUSE:
        return send_signal(f, SIGSTOP, ei);
    case DRILL_CUT:
        return set_links(f, "cut", ei);
    case DRILL_GRACEFUL:
    case DRILL_FAULT_COUNT:
        break;
    }
    return OK;
}

enum err fault_end(struct fault *f, struct errinfo *ei)
{
    switch (f->kind) {
    case DRILL_PAUSE: {
        /* The supervisor may have killed the frozen process meanwhile: then there is nothing to wake. */
        struct errinfo ignored = {0};
        enum err err = send_signal(f, SIGCONT, &ignored);
        return err == ERR_NOT_FOUND || err == ERR_FORBIDDEN ? OK : err;
    }
    case DRILL_CUT:
        return set_links(f, "pass", ei);
    case DRILL_KILL:
    case DRILL_GRACEFUL:
    case DRILL_FAULT_COUNT:
        break;
    }
    return OK;
}
