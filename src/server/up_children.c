/* The processes of `holdfast up`: their sockets, the links between them that a fault proxy can cut, their
 * configuration, and what a running front or proxy is told. See up.h. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "net/sockets.h"
#include "server/supervisor.h"
#include "server/up_int.h"

/* ---- sockets ---- */

/* An account that ran here before may still be going down: after a SIGKILL of its supervisor its
 * processes hold their sockets for a moment longer than it held the directory. */
enum err up_listen(struct up *up, unsigned port, int *ret_fd, unsigned *ret_port,
                   struct errinfo *ei)
{
    char addr[32];
    uint16_t got = 0;
    enum err err;
    (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", port);
    for (;;) {
        struct errinfo why = {0};
        err = sockets_listen(addr, ret_fd, &got, &why);
        bool is_worth_waiting = err == ERR_IN_USE && up->is_kept &&
                                clock_boot_us() - up->started_us < BIND_WAIT_MS * UINT64_C(1000);
        if (!is_worth_waiting) {
            if (err != OK && ei) {
                *ei = why;
            }
            break;
        }
        (void)poll(NULL, 0, RETRY_MS);
    }
    if (err == ERR_IN_USE) {
        err_hint(ei, "choose another --port: the account uses it and one more for each region");
    }
    *ret_port = got;
    return err;
}

static const struct up_proxy *find_proxy(const struct up *up, size_t from, size_t to)
{
    for (size_t i = 0; i < up->proxy_count; i++) {
        if (up->proxies[i].from == from && up->proxies[i].to == to) {
            return &up->proxies[i];
        }
    }
    return NULL;
}

/* Links are called after their ends, regions or this. */
static const char coordinator_end[] = "coordinator";

static enum err open_link(struct up *up, size_t from, size_t to, struct errinfo *ei)
{
    struct up_proxy *p = &up->proxies[up->proxy_count];
    bool is_coord = to == TO_COORDINATOR;
    char name[sizeof(p->name)];
    (void)snprintf(name, sizeof(name), "%s>%s", up->regions[from].name,
                   is_coord ? coordinator_end : up->regions[to].name);
    memcpy(p->name, name, sizeof(name));
    p->from = from;
    p->to = to;
    p->upstream_port = is_coord ? up->coord_port : up->regions[to].peer_port;
    /* By number: a link that refuses for a while keeps its port. */
    TRY(up_listen(up, 0, &p->fd, &p->port, ei));
    (void)close(p->fd);
    TRY(up_listen(up, p->port, &p->fd, &p->port, ei));
    up->proxy_count++;
    return OK;
}

/* From a region to the coordinator, and both ways to all that have their sockets. Again: nothing. */
static enum err open_links_of(struct up *up, size_t i, struct errinfo *ei)
{
    if (find_proxy(up, i, TO_COORDINATOR) != NULL) {
        return OK;
    }
    TRY(open_link(up, i, TO_COORDINATOR, ei));
    for (size_t other = 0; other < up->region_count; other++) {
        bool is_there = other != i && find_proxy(up, other, TO_COORDINATOR) != NULL;
        if (is_there) {
            TRY(open_link(up, i, other, ei));
            TRY(open_link(up, other, i, ei));
        }
    }
    return OK;
}

enum err up_open_sockets(struct up *up, struct errinfo *ei)
{
    TRY(up_listen(up, up->opts.port, &up->global_fd, &up->opts.port, ei));
    up->coord_port = up->opts.coordinator_port;
    if (up->coord_port == 0) {
        TRY(up_listen(up, 0, &up->coord_fd, &up->coord_port, ei));
    }
    size_t members = 0;
    for (size_t i = 0; i < up->region_count; i++) {
        if (up->regions[i].is_member) {
            TRY(up_open_region(up, &up->regions[i], ei));
            members++;
        }
    }
    if (!up->opts.has_fault_proxy) {
        return OK;
    }
    if (members > UP_PROXY_REGIONS_MAX) {
        return err_set(ei, ERR_CONFIG, "the fault proxy takes at most %d regions, not %zu",
                       UP_PROXY_REGIONS_MAX, members);
    }
    TRY(up_listen(up, 0, &up->control_fd, &up->control_port, ei));
    for (size_t i = 0; i < up->region_count; i++) {
        if (strcmp(up->regions[i].name, coordinator_end) == 0) {
            return err_set(ei, ERR_CONFIG, "the fault proxy cannot tell a region called %s apart",
                           coordinator_end);
        }
        if (up->regions[i].is_member) {
            TRY(open_links_of(up, i, ei));
        }
    }
    return OK;
}

/* fd -1: none goes with it. False: it was not sent. */
static bool send_with_fd(int to, const char *text, size_t n, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(char *)(uintptr_t)text, n}; /* sendmsg does not write to it */
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof(control.bytes);
        struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(h), &fd, sizeof(int));
    }
    return sendmsg(to, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n;
}

void up_tell_front(struct up *up, const char *what, const struct up_region *r, int with_fd)
{
    char line[RECORD_NAME_MAX + 16];
    int n = snprintf(line, sizeof(line), "%s %s\n", what, r->name);
    if (!send_with_fd(up->front_control[0], line, (size_t)n, with_fd)) {
        LOG_WARN("up", "front_not_told", "what=%s region=%s", what, r->name);
    }
}

/* ---- configuration of the processes ---- */

/* Other processes' files are there, too; no two regions may get the same name by this. */
void up_server_file(const char *region, char ret[RECORD_NAME_MAX + 8])
{
    static const char *const others[] = {"coordinator", "front", "proxy"};
    struct str name = str_of(region);
    bool is_taken = str_starts(name, STR("account-")) || str_starts(name, STR("server-"));
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        is_taken = is_taken || str_eq(name, str_of(others[i]));
    }
    (void)snprintf(ret, RECORD_NAME_MAX + 8, "%s%s", is_taken ? "server-" : "", region);
}

static enum err write_conf(struct up *up, const char *name, const struct buf *text,
                           char ret_path[PATH_SIZE], struct errinfo *ei)
{
    (void)snprintf(ret_path, PATH_SIZE, "%s/run/%s.conf", up->dir, name);
    ASSERT(buf_ok(text));
    return files_write_durable(ret_path, buf_str(text), 0600, ei);
}

static void conf_common(struct up *up, struct buf *b, unsigned coord_port)
{
    buf_printf(b, "# Written by holdfast up at each start.\naccount = %s\n", up->opts.account);
    buf_printf(b, "coordinator = http://127.0.0.1:%u\n", coord_port);
    conf_line(b, "secret-file", "%s", up->secret_path);
    buf_printf(b, "log-level = %s\nprofile = %s\n", up->opts.log_level, up->opts.profile);
}

static void conf_tls(const struct up *up, struct buf *b)
{
    if (up->opts.has_tls) {
        conf_line(b, "tls-cert", "%s", up->tls_cert);
        conf_line(b, "tls-key", "%s", up->tls_key);
    }
}

static enum err add_child(struct up *up, const char *role, const char *name, struct buf *conf,
                          const struct sup_fd *fds, size_t fd_count, bool is_watched, void *user,
                          struct sup_child **ret, struct errinfo *ei)
{
    char path[PATH_SIZE];
    char file[RECORD_NAME_MAX + 8];
    char full[RECORD_NAME_MAX + 16];
    bool is_server = strcmp(role, "server") == 0;
    if (is_server) {
        up_server_file(name, file);
        (void)snprintf(full, sizeof(full), "server/%s", name);
    } else {
        (void)snprintf(file, sizeof(file), "%s", name);
        (void)snprintf(full, sizeof(full), "%s", name);
    }
    TRY(write_conf(up, file, conf, path, ei));
    const char *argv[] = {role, "--config", path, NULL};
    char log_path[PATH_SIZE + 64];
    (void)snprintf(log_path, sizeof(log_path), "%s/run/%s.log", up->dir, file);
    struct sup_spec spec = {
        .name = full,
        .argv = argv,
        .fds = fds,
        .fd_count = fd_count,
        .log_path = log_path,
        .backoff_max_ms = strcmp(role, "coordinator") == 0 ? COORDINATOR_BACKOFF_MS : 0,
        .watchdog_ms = is_watched ? up->opts.watchdog_ms : 0,
        .kill_ms = is_watched ? up->opts.kill_ms : 0,
        .user = user,
    };
    *ret = supervisor_add(up->sup, &spec);
    return OK;
}

void up_conf_servers(const struct up_opts *o, struct buf *b)
{
    buf_printf(b, "engine = %s\ndisk-reserve = %" PRIu64 "\n", o->engine, o->disk_reserve_size);
    buf_printf(b, "keep-writing-without-coordinator = %s\n", keep_writing_name(o->keep_writing));
    buf_printf(b, "slow-commit = %ums\nslow-for = %ums\nfailover-hold = %ums\n", o->slow_commit_ms,
               o->slow_for_ms, o->failover_hold_ms);
    buf_printf(b, "peer-tls = %s\n", o->peer_tls);
}

static void conf_server(struct up *up, size_t i, struct buf *b)
{
    const struct up_region *r = &up->regions[i];
    const struct up_proxy *to_coord = find_proxy(up, i, TO_COORDINATOR);
    conf_common(up, b, to_coord ? to_coord->port : up->coord_port);
    conf_line(b, "region", "%s", r->name);
    conf_line(b, "dir", "%s/regions/%s", up->dir, r->name);
    buf_printf(b, "log-budget = %" PRIu64 "\n", up->opts.log_budget_size);
    buf_printf(b, "session-after-loss = %s\n",
               up->opts.rejects_lost_sessions ? "reject" : "accept");
    buf_printf(b, "drill-faults = %s\n", up->opts.has_fault_proxy ? "yes" : "no");
    up_conf_servers(&up->opts, b);
    conf_tls(up, b);
    const char *sep = "peer-override = ";
    for (size_t to = 0; to < up->region_count; to++) {
        const struct up_proxy *p = find_proxy(up, i, to);
        if (p) {
            buf_printf(b, "%s%s=127.0.0.1:%u", sep, up->regions[to].name, p->port);
            sep = ",";
        }
    }
    buf_add_char(b, '\n');
}

enum err up_add_server(struct up *up, size_t i, struct errinfo *ei)
{
    struct up_region *r = &up->regions[i];
    struct buf b;
    buf_init(&b, 64 << 10);
    conf_server(up, i, &b);
    struct sup_fd fds[] = {{r->http_fd, "http"}, {r->peer_fd, "peer"}};
    enum err err = add_child(up, "server", r->name, &b, fds, 2, true, r, &r->child, ei);
    buf_done(&b);
    return err;
}

static void conf_proxy(const struct up *up, struct buf *b)
{
    buf_printf(b, "log-level = %s\nlinks = ", up->opts.log_level);
    for (size_t i = 0; i < up->proxy_count; i++) {
        const struct up_proxy *p = &up->proxies[i];
        buf_printf(b, "%s%s=127.0.0.1:%u", i > 0 ? "," : "", p->name, p->upstream_port);
    }
    buf_add_char(b, '\n');
}

/* The running proxy is handed the socket; the next one finds it in its configuration. */
static void offer_link(struct up *up, const struct up_proxy *p)
{
    char text[sizeof(p->name) + 32];
    int n = snprintf(text, sizeof(text), "%s 127.0.0.1:%u", p->name, p->upstream_port);
    sup_child_add_fd(up->proxy, &(struct sup_fd){p->fd, p->name});
    if (!send_with_fd(up->proxy_offers[0], text, (size_t)n, p->fd)) {
        LOG_WARN("up", "proxy_not_told", "link=%s", p->name);
    }
}

enum err up_add_links(struct up *up, size_t i, struct errinfo *ei)
{
    if (up->proxy_count + 2 * up->region_count - 1 > PROXIES_MAX ||
        strcmp(up->regions[i].name, coordinator_end) == 0) {
        LOG_WARN("up", "region_not_proxied", "region=%s", up->regions[i].name);
        return OK; /* more links than the proxy takes, or none of their own name: they are direct */
    }
    size_t first = up->proxy_count;
    TRY(open_links_of(up, i, ei));
    struct buf b;
    char path[PATH_SIZE];
    buf_init(&b, 64 << 10);
    conf_proxy(up, &b);
    enum err err = write_conf(up, "proxy", &b, path, ei);
    /* Before the record has the new region's address: a server that sees that looks here. */
    for (size_t k = 0; k < up->region_count && err == OK; k++) {
        if (k != i && up->regions[k].child != NULL) {
            buf_clear(&b);
            char file[RECORD_NAME_MAX + 8];
            conf_server(up, k, &b);
            up_server_file(up->regions[k].name, file);
            err = write_conf(up, file, &b, path, ei);
        }
    }
    buf_done(&b);
    for (size_t k = first; k < up->proxy_count && err == OK; k++) {
        offer_link(up, &up->proxies[k]);
    }
    return err;
}

static enum err add_servers(struct up *up, struct errinfo *ei)
{
    for (size_t i = 0; i < up->region_count; i++) {
        if (up->regions[i].is_member) {
            TRY(up_add_server(up, i, ei));
        }
    }
    return OK;
}

enum err up_add_children(struct up *up, struct errinfo *ei)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    enum err ret = OK;
    if (up->opts.coordinator_port == 0) {
        conf_line(&b, "dir", "%s/coordinator", up->dir);
        conf_line(&b, "secret-file", "%s", up->secret_path);
        conf_line(&b, "log-level", "%s", up->opts.log_level);
        struct sup_fd coord_fd = {up->coord_fd, "coordinator"};
        TRY_GOTO(add_child(up, "coordinator", "coordinator", &b, &coord_fd, 1, false, NULL,
                           &up->coordinator, ei),
                 out);
    }

    STATIC_ASSERT(UP_NAMES_MAX + 2 <= SUP_FDS_MAX && PROXIES_MAX + 2 <= SUP_FDS_MAX,
                  "a front and a proxy can be handed all that may come");
    STATIC_ASSERT(UP_PROXY_REGIONS_MAX * UP_PROXY_REGIONS_MAX <= PROXIES_MAX,
                  "to the coordinator and to each other");
    STATIC_ASSERT(sizeof(up->proxies[0].name) <= SOCKETS_NAME_SIZE &&
                      sizeof("region-") + RECORD_NAME_MAX <= SOCKETS_NAME_SIZE,
                  "a socket can be called after the longest regions");
    struct sup_fd fds[UP_NAMES_MAX + 2];
    size_t n = 0;
    fds[n++] = (struct sup_fd){up->global_fd, "global"};
    fds[n++] = (struct sup_fd){up->front_control[1], "control"};
    char names[UP_NAMES_MAX][RECORD_NAME_MAX + 8];
    for (size_t i = 0; i < up->region_count; i++) {
        if (!up->regions[i].is_member) {
            continue;
        }
        (void)snprintf(names[i], sizeof(names[i]), "region-%s", up->regions[i].name);
        fds[n++] = (struct sup_fd){up->regions[i].http_fd, names[i]};
    }
    buf_clear(&b);
    conf_common(up, &b, up->coord_port);
    char endpoint[ENDPOINT_SIZE];
    up_endpoint_url(up, NULL, endpoint);
    buf_printf(&b, "endpoint = %s\n", endpoint);
    conf_tls(up, &b);
    if (up->tls_ca[0]) {
        conf_line(&b, "tls-ca", "%s", up->tls_ca);
    }
    if (up->opts.webhook) {
        conf_line(&b, "webhook", "%s", up->opts.webhook);
    }
    if (up->opts.webhook_secret_file) {
        conf_line(&b, "webhook-secret-file", "%s", up->opts.webhook_secret_file);
    }
    if (!up_is_hosted(up)) {
        conf_line(&b, "management-token-file", "%s/management.token", up->dir);
    }
    TRY_GOTO(add_child(up, "front", "front", &b, fds, n, false, NULL, &up->front, ei), out);
    TRY_GOTO(add_servers(up, ei), out);

    if (up->opts.has_fault_proxy) {
        struct sup_fd proxy_fds[PROXIES_MAX + 2];
        size_t count = 0;
        proxy_fds[count++] = (struct sup_fd){up->control_fd, "control"};
        proxy_fds[count++] = (struct sup_fd){up->proxy_offers[1], "links"};
        for (size_t i = 0; i < up->proxy_count; i++) {
            proxy_fds[count++] = (struct sup_fd){up->proxies[i].fd, up->proxies[i].name};
        }
        buf_clear(&b);
        conf_proxy(up, &b);
        TRY_GOTO(add_child(up, "proxy", "proxy", &b, proxy_fds, count, false, NULL, &up->proxy, ei),
                 out);
    }
out:
    buf_done(&b);
    return ret;
}
