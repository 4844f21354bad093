/* The account on one machine. See up.h.
 *
 * Order of start: directory and lock, every listening socket, coordinator; once that answers, the
 * account record is made or brought up to date (endpoints and peer addresses belong to this start);
 * then front and servers at once. Each address is bound here and stays bound: whoever holds it
 * serves it, and while a server is away the front is told to stand in. */
#include "server/up.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "coord/coord_client.h"
#include "net/loop.h"
#include "net/sockets.h"
#include "server/hosting.h"
#include "server/notify.h"
#include "server/supervisor.h"
#include "server/up_int.h"
#include "json/json.h"

const char up_well_known_key[] =
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/* By another `up`, whose coordinator we use and who is asked to manage us (server/hosting.h). */
static bool is_hosted(const struct up *up)
{
    return up->opts.coordinator_port != 0;
}

/* ---- directory ---- */

static enum err open_dir(struct up *up, struct errinfo *ei)
{
    const char *dir = up->opts.dir;
    char path[PATH_SIZE];
    enum err made = files_mkdirs(dir, ei);
    if (made != OK) {
        err_hint(ei, "give a directory that can be written with --dir");
        return made;
    }
    char *resolved = realpath(dir, NULL);
    if (!resolved || strlen(resolved) >= sizeof(up->dir)) {
        err_set(ei, ERR_IO, "cannot resolve directory %s: %s", dir,
                resolved ? "too long" : err_errno_text(errno));
        free(resolved);
        return ERR_IO;
    }
    memcpy(up->dir, resolved, strlen(resolved) + 1);
    free(resolved);
    (void)snprintf(path, sizeof(path), "%s/LOCK", up->dir);
    up->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (up->lock_fd < 0) {
        err_set(ei, ERR_IO, "cannot open %s: %s", path, err_errno_text(errno));
        err_hint(ei, "give a directory that can be written with --dir");
        return ERR_IO;
    }
    if (flock(up->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err_set(ei, ERR_IN_USE, "directory %s is in use by another holdfast", up->dir);
        err_hint(ei, "stop the other one, or give another directory with --dir");
        return ERR_IN_USE;
    }
    (void)snprintf(path, sizeof(path), "%s/FORMAT", up->dir);
    struct buf text;
    buf_init(&text, 256);
    enum err err = files_read(path, &text, NULL);
    if (err == OK) {
        struct str word;
        struct str number;
        uint64_t format = 0;
        if (!str_split(str_trim(buf_str(&text)), ' ', &word, &number) ||
            !str_eq(word, STR("holdfast-data")) || !str_to_u64(number, &format)) {
            err = err_set(ei, ERR_CONFIG,
                          "%s is not a directory of `holdfast up`: its FORMAT is of something else",
                          up->dir);
            err_hint(ei, "give another directory with --dir");
        } else if (format > FORMAT_NOW) {
            err = err_set(ei, ERR_FORMAT_NEWER,
                          "%s has format %" PRIu64 ", this program knows up to %d", up->dir, format,
                          FORMAT_NOW);
            err_hint(ei, "run the newer version that wrote it");
        }
    } else {
        err = files_write_durable(path, STR("holdfast-data 1\n"), 0600, ei);
    }
    buf_done(&text);
    TRY(err);
    static const char *const subs[] = {"run", "coordinator", "regions"};
    for (size_t i = 0; i < ARRAY_COUNT(subs); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", up->dir, subs[i]);
        TRY(files_mkdirs(path, ei));
    }
    return OK;
}

static void random_base64(char *ret, size_t size, size_t bytes)
{
    unsigned char raw[KEY_BYTES];
    ASSERT(bytes <= sizeof(raw));
    rng_os_bytes(raw, bytes);
    struct buf text;
    buf_init(&text, size);
    codec_base64(&text, str_make(raw, bytes));
    ASSERT(buf_ok(&text) && text.n < size);
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
    buf_done(&text);
    explicit_bzero(raw, sizeof(raw));
}

static enum err check_kept(const struct up *up, const char *what, const char *option,
                           struct str kept, struct str asked, bool is_given, struct errinfo *ei)
{
    if (!is_given || str_eq(kept, asked)) {
        return OK;
    }
    err_set(ei, ERR_CONFIG, "%s has %s '" STR_FMT "', not '" STR_FMT "'", up->dir, what,
            STR_ARG(kept), STR_ARG(asked));
    err_hint(ei, "leave %s out, or start another account with another --dir", option);
    return ERR_CONFIG;
}

/* Of the coordinator that we are told to use. */
static enum err read_secret(struct up *up, struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, sizeof(up->coord_secret) - 1);
    enum err err = files_read(up->opts.secret_file, &text, ei);
    struct str secret = str_trim(buf_str(&text));
    if (err == OK && secret.n == 0) {
        err = err_set(ei, ERR_CONFIG, "the secret file %s is empty", up->opts.secret_file);
    }
    if (err == OK) {
        memset(up->coord_secret, 0, sizeof(up->coord_secret));
        memcpy(up->coord_secret, secret.p, secret.n);
    }
    buf_done(&text);
    return err;
}

/* The management interface belongs to whoever can read the directory. */
static enum err save_token(struct up *up, struct errinfo *ei)
{
    char path[PATH_SIZE];
    char token[64];
    (void)snprintf(path, sizeof(path), "%s/management.token", up->dir);
    if (up->opts.management_token) {
        return files_write_durable(path, str_of(up->opts.management_token), 0600, ei);
    }
    if (access(path, F_OK) == 0) {
        return OK;
    }
    random_base64(token, sizeof(token), TOKEN_BYTES);
    enum err err = files_write_durable(path, str_of(token), 0600, ei);
    explicit_bzero(token, sizeof(token));
    return err;
}

/* `v`: as in account.json, NULL when the account is new. */
static void load_region(struct up *up, const struct json *v, struct str name, bool is_member)
{
    uint64_t slot = 0;
    if (up->region_count == UP_REGIONS_MAX || name.n >= RECORD_NAME_MAX) {
        return;
    }
    struct up_region *r = &up->regions[up->region_count];
    r->slot = v && json_get_u64(v, STR("slot"), &slot) && slot < UP_REGIONS_MAX ? (unsigned)slot
                                                                                : up_free_slot(up);
    up->region_count++;
    r->up = up;
    r->is_member = is_member;
    memcpy(r->name, name.p, name.n);
}

/* former NULL: there are none. */
static void load_former_regions(struct up *up, const struct json *former)
{
    for (size_t i = 0; former && i < former->count; i++) {
        struct str name;
        if (json_get_str(former->items[i], STR("name"), &name)) {
            load_region(up, former->items[i], name, /* is_member= */ false);
        }
    }
}

/* What an earlier start decided is kept; options may repeat it but not contradict it. */
static enum err load_account(struct up *up, struct errinfo *ei)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/account.json", up->dir);
    struct buf text;
    struct arena arena;
    buf_init(&text, 64 << 10);
    arena_init(&arena);
    const struct json *doc = NULL;
    enum err ret = OK;
    up->is_kept = files_read(path, &text, NULL) == OK;
    if (up->is_kept) {
        struct errinfo why = {0};
        struct str s;
        if (json_parse(&arena, buf_str(&text), NULL, &doc, &why) != OK ||
            !json_get_str(doc, STR("account"), &s) || json_get(doc, STR("regions")) == NULL) {
            ret = err_set(ei, ERR_CORRUPT, "%s is damaged: %s", path,
                          why.message[0] ? why.message : "parts are missing");
            err_hint(
                ei,
                "put back a copy of it: it has the names of the account and its regions, and the "
                "coordinator's secret");
            goto out;
        }
        TRY_GOTO(check_kept(up, "account", "--account", s, str_of(up->opts.account),
                            up->opts.has_account, ei),
                 out);
        up->opts.account = mem_strdup(arena_cstr(&arena, s)); /* lives as long as the process */
        if (json_get_str(doc, STR("engine"), &s)) {
            TRY_GOTO(check_kept(up, "engine", "--engine", s, str_of(up->opts.engine),
                                up->opts.has_engine, ei),
                     out);
            up->opts.engine = mem_strdup(arena_cstr(&arena, s));
        }
        if (json_get_str(doc, STR("coordinatorSecret"), &s) && s.n < sizeof(up->coord_secret)) {
            memcpy(up->coord_secret, s.p, s.n);
        }
        if (json_get_str(doc, STR("key"), &s) && s.n < sizeof(up->key)) {
            memcpy(up->key, s.p, s.n);
        }
        const struct json *regions = json_get(doc, STR("regions"));
        bool is_same = regions && regions->type == JSON_ARRAY && regions->count <= UP_REGIONS_MAX;
        size_t count = is_same ? regions->count : 0;
        for (size_t i = 0; i < count; i++) {
            struct str name;
            if (!json_get_str(regions->items[i], STR("name"), &name) || name.n >= RECORD_NAME_MAX) {
                ret = err_set(ei, ERR_CORRUPT, "%s: region %zu has no name", path, i);
                goto out;
            }
            is_same =
                is_same && i < up->opts.region_count && str_eq(name, str_of(up->opts.regions[i]));
            load_region(up, regions->items[i], name, /* is_member= */ true);
        }
        if (up->opts.has_regions && (!is_same || up->opts.region_count != count)) {
            ret = err_set(ei, ERR_CONFIG, "the account in %s has other regions than --regions says",
                          up->dir);
            err_hint(ei, "leave --regions out, or start another account with another --dir");
            goto out;
        }
        load_former_regions(up, json_get(doc, STR("formerRegions")));
    } else {
        for (size_t i = 0; i < up->opts.region_count; i++) {
            load_region(up, NULL, str_of(up->opts.regions[i]), /* is_member= */ true);
        }
    }
    if (up->opts.key) {
        (void)snprintf(up->key, sizeof(up->key), "%s", up->opts.key);
    } else if (!up->key[0]) {
        random_base64(up->key, sizeof(up->key), KEY_BYTES);
    }
    if (up->opts.secret_file) {
        TRY_GOTO(read_secret(up, ei), out);
    } else if (!up->coord_secret[0]) {
        random_base64(up->coord_secret, sizeof(up->coord_secret), SECRET_BYTES);
    }
    (void)snprintf(up->prefix, sizeof(up->prefix), COORD_PREFIX "%s/", up->opts.account);
out:
    arena_done(&arena);
    buf_done(&text);
    return ret;
}

static void regions_json(struct up *up, struct json_out *o, bool with_pids)
{
    json_out_array(o);
    for (size_t i = 0; i < up->region_count; i++) {
        char endpoint[ENDPOINT_SIZE];
        if (!up->regions[i].is_member) {
            continue;
        }
        up_endpoint_url(up, &up->regions[i], endpoint);
        json_out_object(o);
        json_out_key(o, "name");
        json_out_cstr(o, up->regions[i].name);
        json_out_key(o, "endpoint");
        json_out_cstr(o, endpoint);
        if (with_pids) {
            json_out_key(o, "pid");
            json_out_u64(o, (uint64_t)sup_child_pid(up->regions[i].child));
        } else {
            json_out_key(o, "slot");
            json_out_u64(o, up->regions[i].slot);
        }
        json_out_object_end(o);
    }
    json_out_array_end(o);
}

/* Regions that were removed: added back they get their directory and their port again. */
static void former_json(struct up *up, struct json_out *o)
{
    json_out_array(o);
    for (size_t i = 0; i < up->region_count; i++) {
        if (!up->regions[i].is_member) {
            json_out_object(o);
            json_out_key(o, "name");
            json_out_cstr(o, up->regions[i].name);
            json_out_key(o, "slot");
            json_out_u64(o, up->regions[i].slot);
            json_out_object_end(o);
        }
    }
    json_out_array_end(o);
}

/* Whom clients must trust for https, when the system does not know it. */
static void put_ca(const struct up *up, struct json_out *o)
{
    if (up->tls_ca[0]) {
        json_out_key(o, "ca");
        json_out_cstr(o, up->tls_ca);
    }
}

enum err up_save_account(struct up *up, struct errinfo *ei)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 64 << 10);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_key(&o, "format");
    json_out_u64(&o, FORMAT_NOW);
    json_out_key(&o, "account");
    json_out_cstr(&o, up->opts.account);
    json_out_key(&o, "endpoint");
    char endpoint[ENDPOINT_SIZE];
    up_endpoint_url(up, NULL, endpoint);
    json_out_cstr(&o, endpoint);
    put_ca(up, &o);
    json_out_key(&o, "key");
    json_out_cstr(&o, up->key);
    json_out_key(&o, "engine");
    json_out_cstr(&o, up->opts.engine);
    json_out_key(&o, "coordinator");
    (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", up->coord_port);
    json_out_cstr(&o, endpoint);
    json_out_key(&o, "coordinatorSecret");
    json_out_cstr(&o, up->coord_secret);
    json_out_key(&o, "faultProxy");
    if (up->opts.has_fault_proxy) {
        (void)snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", up->control_port);
        json_out_cstr(&o, endpoint);
    } else {
        json_out_null(&o);
    }
    json_out_key(&o, "supervisorPid");
    json_out_u64(&o, (uint64_t)getpid());
    json_out_key(&o, "regions");
    regions_json(up, &o, false);
    json_out_key(&o, "formerRegions");
    former_json(up, &o);
    json_out_object_end(&o);
    buf_add_char(&text, '\n');
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/account.json", up->dir);
    enum err err = files_write_durable(path, buf_str(&text), 0600, ei);
    buf_done(&text);
    return err;
}

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

static enum err open_link(struct up *up, size_t from, size_t to, struct errinfo *ei)
{
    struct up_proxy *p = &up->proxies[up->proxy_count];
    bool is_coord = to == TO_COORDINATOR;
    char name[sizeof(p->name)];
    (void)snprintf(name, sizeof(name), "%s>%s", up->regions[from].name,
                   is_coord ? "coordinator" : up->regions[to].name);
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

static enum err open_sockets(struct up *up, struct errinfo *ei)
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

/* ---- configuration of the processes ---- */

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
    buf_printf(b, "secret-file = %s/run/coordinator.secret\n", up->dir);
    buf_printf(b, "log-level = %s\nprofile = %s\n", up->opts.log_level, up->opts.profile);
}

static void conf_tls(const struct up *up, struct buf *b)
{
    if (up->opts.has_tls) {
        buf_printf(b, "tls-cert = \"%s\"\ntls-key = \"%s\"\n", up->tls_cert, up->tls_key);
    }
}

static enum err add_child(struct up *up, const char *role, const char *name, struct buf *conf,
                          const struct sup_fd *fds, size_t fd_count, bool is_watched, void *user,
                          struct sup_child **ret, struct errinfo *ei)
{
    char path[PATH_SIZE];
    TRY(write_conf(up, name, conf, path, ei));
    const char *argv[] = {role, "--config", path, NULL};
    char full[RECORD_NAME_MAX + 16];
    (void)snprintf(full, sizeof(full), "%s%s%s", role, strcmp(role, name) == 0 ? "" : "/",
                   strcmp(role, name) == 0 ? "" : name);
    char log_path[PATH_SIZE + 64];
    (void)snprintf(log_path, sizeof(log_path), "%s/run/%s.log", up->dir, name);
    struct sup_spec spec = {
        .name = full,
        .argv = argv,
        .fds = fds,
        .fd_count = fd_count,
        .log_path = log_path,
        .watchdog_ms = is_watched ? up->opts.watchdog_ms : 0,
        .kill_ms = is_watched ? up->opts.kill_ms : 0,
        .user = user,
    };
    *ret = supervisor_add(up->sup, &spec);
    return OK;
}

static void conf_server(struct up *up, size_t i, struct buf *b)
{
    const struct up_region *r = &up->regions[i];
    const struct up_proxy *to_coord = find_proxy(up, i, TO_COORDINATOR);
    conf_common(up, b, to_coord ? to_coord->port : up->coord_port);
    buf_printf(b, "region = %s\ndir = %s/regions/%s\nengine = %s\n", r->name, up->dir, r->name,
               up->opts.engine);
    buf_printf(b, "disk-reserve = %" PRIu64 "\nlog-budget = %" PRIu64 "\n",
               up->opts.disk_reserve_size, up->opts.log_budget_size);
    buf_printf(b, "session-after-loss = %s\n",
               up->opts.rejects_lost_sessions ? "reject" : "accept");
    buf_printf(b, "slow-commit = %ums\nslow-for = %ums\nfailover-hold = %ums\n",
               up->opts.slow_commit_ms, up->opts.slow_for_ms, up->opts.failover_hold_ms);
    buf_printf(b, "drill-faults = %s\n", up->opts.has_fault_proxy ? "yes" : "no");
    buf_printf(b, "peer-tls = %s\n", up->opts.peer_tls);
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
    if (up->proxy_count + 2 * up->region_count + 2 > SUP_FDS_MAX) {
        LOG_WARN("up", "region_not_proxied", "region=%s", up->regions[i].name);
        return OK; /* more sockets than a process can be handed: its links are direct */
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
            conf_server(up, k, &b);
            err = write_conf(up, up->regions[k].name, &b, path, ei);
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

static enum err add_children(struct up *up, struct errinfo *ei)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/run/coordinator.secret", up->dir);
    TRY(files_write_durable(path, str_of(up->coord_secret), 0600, ei));

    struct buf b;
    buf_init(&b, 64 << 10);
    enum err ret = OK;
    if (up->opts.coordinator_port == 0) {
        buf_printf(&b, "dir = %s/coordinator\nsecret-file = %s\nlog-level = %s\n", up->dir, path,
                   up->opts.log_level);
        struct sup_fd coord_fd = {up->coord_fd, "coordinator"};
        TRY_GOTO(add_child(up, "coordinator", "coordinator", &b, &coord_fd, 1, false, NULL,
                           &up->coordinator, ei),
                 out);
    }

    struct sup_fd fds[UP_REGIONS_MAX + 2];
    size_t n = 0;
    fds[n++] = (struct sup_fd){up->global_fd, "global"};
    fds[n++] = (struct sup_fd){up->front_control[1], "control"};
    char names[UP_REGIONS_MAX][RECORD_NAME_MAX + 8];
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
        buf_printf(&b, "tls-ca = \"%s\"\n", up->tls_ca);
    }
    if (up->opts.webhook) {
        buf_printf(&b, "webhook = \"%s\"\n", up->opts.webhook);
    }
    if (up->opts.webhook_secret_file) {
        buf_printf(&b, "webhook-secret-file = %s\n", up->opts.webhook_secret_file);
    }
    if (!is_hosted(up)) {
        buf_printf(&b, "management-token-file = %s/management.token\n", up->dir);
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

/* ---- the account record ---- */

static void record_retry(void *ctx);

static enum err fill_record(struct up *up, struct account_record *rec, bool is_new)
{
    if (is_new) {
        account_init(rec, up->opts.account, up->opts.level);
        if (up->opts.level == CONSISTENCY_BOUNDED_STALENESS) {
            struct level_request bounds = {up->opts.level, up->opts.max_staleness_ops,
                                           up->opts.max_staleness_s};
            TRY(account_set_bounds(rec, &bounds, &up->failure));
        }
        rec->auto_failover = up->opts.auto_failover;
        (void)snprintf(rec->key[0], sizeof(rec->key[0]), "%s", up->key);
        for (size_t i = 1; i < 4; i++) {
            random_base64(rec->key[i], sizeof(rec->key[i]), KEY_BYTES);
        }
        random_base64(rec->peer_secret, sizeof(rec->peer_secret), SECRET_BYTES);
        for (size_t i = 0; i < up->region_count; i++) { /* all are members */
            char endpoint[ENDPOINT_SIZE];
            char peer[64];
            up_endpoint_url(up, &up->regions[i], endpoint);
            (void)snprintf(peer, sizeof(peer), "127.0.0.1:%u", up->regions[i].peer_port);
            TRY(account_add_region(rec, up->regions[i].name, endpoint, peer, clock_wall_ms(),
                                   &up->failure));
        }
    }
    for (size_t i = 0; i < up->region_count; i++) {
        struct record_region *r = record_region_by_name(rec, str_of(up->regions[i].name));
        if (r && up->regions[i].is_member) {
            up->regions[i].id = r->id;
            up_endpoint_url(up, &up->regions[i], r->endpoint);
            (void)snprintf(r->peer_addr, sizeof(r->peer_addr), "127.0.0.1:%u",
                           up->regions[i].peer_port);
        }
    }
    if (up->opts.key) {
        (void)snprintf(rec->key[0], sizeof(rec->key[0]), "%s", up->key);
    } else {
        /* The coordinator is the authority: keys may have been rotated since. */
        (void)snprintf(up->key, sizeof(up->key), "%s", rec->key[0]);
    }
    return OK;
}

static void up_fail(struct up *up)
{
    loop_stop(up->loop);
}

static void on_record_changed(void *ctx, const struct coord_kv *kv);

/* What the watch has shown before we were ready: regions may have come and gone since account.json
 * was written. */
static void on_record_again(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct up *up = ctx;
    if (err != OK) {
        loop_timer_set(up->again, RETRY_MS, 0);
        return;
    }
    for (size_t i = 0; err == OK && i < n; i++) {
        on_record_changed(up, &kvs[i]);
    }
}

static void read_again(void *ctx)
{
    struct up *up = ctx;
    coord_client_read(up->coord, str_of(up->prefix), TXN_TIMEOUT_MS, on_record_again, up);
}

static void start_rest(struct up *up)
{
    up->is_record_ready = true;
    if (up_save_account(up, &up->failure) != OK) {
        up_fail(up);
        return;
    }
    if (up->proxy) {
        supervisor_start(up->proxy);
    }
    supervisor_start(up->front);
    for (size_t i = 0; i < up->region_count; i++) {
        if (up->regions[i].is_member) {
            supervisor_start(up->regions[i].child);
        }
    }
    read_again(up);
}

static void on_record_put(void *ctx, const struct coord_txn_result *res)
{
    struct up *up = ctx;
    if (res->err == OK && res->succeeded) {
        start_rest(up);
    } else {
        loop_timer_set(up->retry, RETRY_MS,
                       0); /* read again: somebody else changed it, or no answer */
    }
}

static void on_record_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct up *up = ctx;
    if (err != OK) {
        loop_timer_set(up->retry, RETRY_MS, 0);
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct account_record *rec = ARENA_NEW(&arena, struct account_record);
    struct coord_txn *txn = ARENA_NEW(&arena, struct coord_txn);
    struct buf text;
    buf_init(&text, COORD_VALUE_SIZE_MAX);
    struct str key = arena_printf(&arena, "%srecord", up->prefix);
    coord_rev rev = 0;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(kvs[i].key, key)) {
            rev = kvs[i].rev;
            err = record_decode(&arena, kvs[i].value, rec, &up->failure);
        }
    }
    if (err == OK) {
        err = fill_record(up, rec, rev == 0);
    }
    if (err == OK && rev != 0) {
        err =
            check_kept(up, "consistency level", "--consistency",
                       str_of(consistency_name(record_lease_level(rec))),
                       str_of(consistency_name(up->opts.level)), up->opts.has_level, &up->failure);
    }
    if (err != OK) {
        up_fail(up);
    } else {
        record_encode(rec, &text);
        ASSERT(buf_ok(&text));
        txn->compare_count = 1;
        txn->compares[0] = (struct coord_compare){key, rev};
        txn->put_count = 1;
        txn->puts[0] = (struct coord_put){.key = key, .value = buf_str(&text)};
        coord_client_txn(up->coord, txn, TXN_TIMEOUT_MS, on_record_put, up);
    }
    buf_done(&text);
    arena_done(&arena);
}

static void record_retry(void *ctx)
{
    struct up *up = ctx;
    coord_client_read(up->coord, str_of(up->prefix), TXN_TIMEOUT_MS, on_record_read, up);
}

/* Keys may be rotated while we run: tools find the present one in account.json. Regions come and go. */
static void on_record_changed(void *ctx, const struct coord_kv *kv)
{
    struct up *up = ctx;
    char key[sizeof(up->prefix) + 16];
    (void)snprintf(key, sizeof(key), "%srecord", up->prefix);
    if (!up->is_record_ready || up->is_ending || kv->is_deleted || !str_eq(kv->key, str_of(key))) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct account_record *rec = ARENA_NEW(&arena, struct account_record);
    struct errinfo ei = {0};
    enum err err = record_decode(&arena, kv->value, rec, &ei);
    if (err == OK && strcmp(rec->key[0], up->key) != 0) {
        (void)snprintf(up->key, sizeof(up->key), "%s", rec->key[0]);
        err = up_save_account(up, &ei);
    }
    if (err != OK) {
        LOG_ERROR("up", "key_not_saved", "error=%s", ei.message);
    } else {
        up_follow(up, rec, kv->rev);
    }
    explicit_bzero(rec, sizeof(*rec));
    arena_done(&arena);
}

static void on_coord_contact(void *ctx)
{
    UNUSED(ctx); /* servers and fronts say what they think of it */
}

/* ---- deaths ---- */

static void confirm_stop(struct up_region *r);

static void on_stop_confirmed(void *ctx, const struct coord_txn_result *res)
{
    struct up_region *r = ctx;
    r->is_confirming = false;
    if (res->err != OK || !res->succeeded) {
        LOG_WARN("up", "stop_not_confirmed", "region=%s", r->name);
        confirm_stop(r); /* each attempt has its own timeout; the newest incarnation wins */
    } else {
        r->stopped_incarnation = 0;
    }
}

/* What the parent has reaped can acknowledge nothing any more: no need to wait for its lease. */
static void confirm_stop(struct up_region *r)
{
    struct up *up = r->up;
    if (r->is_confirming || r->stopped_incarnation == 0 || up->is_ending || r->id == 0) {
        return;
    }
    char key[sizeof(up->prefix) + 32];
    char value[64];
    (void)snprintf(key, sizeof(key), "%sstopped/%u", up->prefix, r->id);
    (void)snprintf(value, sizeof(value), "{\"incarnation\":%" PRIu64 "}", r->stopped_incarnation);
    /* No comparison: the statement "this incarnation has ended" stays true for ever. */
    struct coord_txn txn = {.put_count = 1, .puts = {{.key = str_of(key), .value = str_of(value)}}};
    r->is_confirming = true;
    coord_client_txn(up->coord, &txn, TXN_TIMEOUT_MS, on_stop_confirmed, r);
}

void up_tell_front(struct up *up, const char *what, const struct up_region *r, int with_fd)
{
    char line[RECORD_NAME_MAX + 16];
    int n = snprintf(line, sizeof(line), "%s %s\n", what, r->name);
    if (!send_with_fd(up->front_control[0], line, (size_t)n, with_fd)) {
        LOG_WARN("up", "front_not_told", "what=%s region=%s", what, r->name);
    }
}

static struct up_region *region_of(struct up *up, struct sup_child *c)
{
    for (size_t i = 0; i < up->region_count; i++) {
        if (c && up->regions[i].child == c) {
            return &up->regions[i];
        }
    }
    return NULL;
}

static void on_child_stopped(void *ctx, struct sup_child *c, uint64_t incarnation, const char *how)
{
    struct up *up = ctx;
    UNUSED(how);
    if (hosting_stopped(up->hosting, c)) {
        return;
    }
    struct up_region *r = region_of(up, c);
    if (r && !up->is_ending) {
        up_tell_front(up, "down", r, -1);
        r->stopped_incarnation = incarnation;
        confirm_stop(r);
    }
}

static void on_child_silent(void *ctx, struct sup_child *c, bool is_silent)
{
    struct up *up = ctx;
    struct up_region *r = region_of(up, c);
    if (r) {
        up_tell_front(up, is_silent ? "down" : "up", r, -1);
    }
}

/* ---- readiness ---- */

static enum err write_ready_file(struct up *up, struct errinfo *ei)
{
    struct buf text;
    struct json_out o;
    char endpoint[ENDPOINT_SIZE];
    buf_init(&text, 64 << 10);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_key(&o, "endpoint");
    up_endpoint_url(up, NULL, endpoint);
    json_out_cstr(&o, endpoint);
    put_ca(up, &o);
    json_out_key(&o, "key");
    json_out_cstr(&o, up->key);
    json_out_key(&o, "regions");
    regions_json(up, &o, true);
    json_out_object_end(&o);
    buf_add_char(&text, '\n');
    enum err err = files_write_durable(up->opts.ready_file, buf_str(&text), 0600, ei);
    buf_done(&text);
    return err;
}

enum { EXAMPLE_WIDTH = 22 };

/* How the reader of the summary starts us: the wrapper says its own name. */
static void print_example(const struct up *up, const char *args, const char *what)
{
    const char *program =
        getenv("HOLDFAST_PROGRAM"); /* NOLINT(concurrency-mt-unsafe): one thread */
    bool is_elsewhere = strcmp(up->opts.dir, UP_DIR_DEFAULT) != 0;
    const char *dir = is_elsewhere ? up->opts.dir : "";
    printf("  %s %s%s%s%*s   %s\n", program ? program : "holdfast", args,
           is_elsewhere ? " --dir " : "", dir, EXAMPLE_WIDTH - (int)strlen(args), "", what);
}

static void print_summary(const struct up *up)
{
    printf("Holdfast account \"%s\" is up (%.2f s).\n\n", up->opts.account,
           (double)(clock_boot_us() - up->started_us) / 1e6);
    char endpoint[ENDPOINT_SIZE];
    up_endpoint_url(up, NULL, endpoint);
    printf("  endpoint   %s\n", endpoint);
    printf("  key        %s\n", up->key);
    if (up->tls_ca[0]) {
        printf("  trust      %s\n", up->tls_ca);
    }
    for (size_t i = 0; i < up->region_count; i++) {
        if (!up->regions[i].is_member) {
            continue;
        }
        up_endpoint_url(up, &up->regions[i], endpoint);
        printf("  %-10s %s   %s\n", up->regions[i].name, endpoint,
               i == 0 ? "first choice for writes" : "takes over in this order");
    }
    if (!is_hosted(up)) {
        up_endpoint_url(up, NULL, endpoint);
        printf("  management %s   token in %s/management.token\n", endpoint, up->dir);
    }
    printf("  data       %s   (logs in run/)\n\n", up->dir);
    printf("Try in another terminal:\n");
    print_example(up, "status --watch", "who writes, lag, what would be lost now");
    print_example(up, "drill --fault kill", "kill the write region and count every write");
    if (up->region_count > 1) {
        char failover[RECORD_NAME_MAX + 32];
        (void)snprintf(failover, sizeof(failover), "account failover %s", up->regions[1].name);
        print_example(up, failover, "move the write region, gracefully");
    }
    printf("\n");
    printf("Stop with Ctrl-C.\n");
    (void)fflush(stdout);
}

static void announce_when_ready(struct up *up)
{
    bool is_ready = sup_child_is_ready(up->front);
    for (size_t i = 0; i < up->region_count; i++) {
        is_ready =
            is_ready && (!up->regions[i].is_member || sup_child_is_ready(up->regions[i].child));
    }
    if (!is_ready || up->is_announced) {
        return;
    }
    up->is_announced = true;
    notify_send("READY=1");
    loop_timer_set(up->patience, 0, 0);
    if (up->opts.ready_file && write_ready_file(up, &up->failure) != OK) {
        up_fail(up);
        return;
    }
    if (!up->opts.is_quiet) {
        print_summary(up);
    }
}

/* A start that takes long is explained: which process is missing, and where it says why. */
static void on_patience_lost(void *ctx)
{
    struct up *up = ctx;
    fprintf(stderr, "still waiting for:");
    if (up->coordinator && !sup_child_is_ready(up->coordinator)) {
        fprintf(stderr, " the coordinator (%s/run/coordinator.log)", up->dir);
    } else if (!up->is_record_ready) {
        fprintf(stderr, " the account record");
    }
    for (size_t i = 0; up->is_record_ready && i < up->region_count; i++) {
        if (up->regions[i].is_member && !sup_child_is_ready(up->regions[i].child)) {
            fprintf(stderr, " server %s (%s/run/%s.log)", up->regions[i].name, up->dir,
                    up->regions[i].name);
        }
    }
    if (up->is_record_ready && !sup_child_is_ready(up->front)) {
        fprintf(stderr, " a write region (%s/run/front.log)", up->dir);
    }
    fprintf(stderr, "\n");
}

static void on_child_ready(void *ctx, struct sup_child *c)
{
    struct up *up = ctx;
    struct up_region *r = region_of(up, c);
    if (r) {
        up_tell_front(up, "up", r, -1);
    }
    if (c == up->front) {
        /* A front that starts late, or again, learns who is away now. */
        for (size_t i = 0; i < up->region_count; i++) {
            struct sup_child *server = up->regions[i].child;
            if (server && up->is_announced &&
                (!sup_child_is_ready(server) || sup_child_is_silent(server))) {
                up_tell_front(up, "down", &up->regions[i], -1);
            }
        }
    }
    if (c == up->coordinator && !up->is_record_ready) {
        record_retry(up);
    }
    announce_when_ready(up);
}

/* ---- end ---- */

static void on_all_stopped(void *ctx)
{
    struct up *up = ctx;
    loop_stop(up->loop);
}

static void on_end_signal(void *ctx, int signum)
{
    struct up *up = ctx;
    LOG_INFO("up", "stopping", "signal=%d", signum);
    if (up->is_ending && is_hosted(up)) {
        return; /* Ctrl-C reaches us twice: from the terminal, and from who hosts us */
    }
    up->is_ending = true;
    unsigned grace_ms = hosting_count(up->hosting) > 0 ? HOSTING_STOP_GRACE_MS : STOP_GRACE_MS;
    supervisor_stop(up->sup, grace_ms, on_all_stopped, up);
}

/* One that ends within TLS_RENEW_DAYS is replaced while we run; the processes look at the file. */
static void on_renewal(void *ctx)
{
    struct up *up = ctx;
    struct errinfo ei = {0};
    if (up_prepare_tls(up, &ei) != OK) {
        LOG_ERROR("up", "certificate", "why=%s hint=%s", ei.message, ei.hint);
    }
}

static enum err up_start(struct up *up, struct errinfo *ei)
{
    TRY(open_dir(up, ei));
    TRY(load_account(up, ei));
    if (!is_hosted(up)) {
        TRY(save_token(up, ei));
    }
    TRY(up_prepare_tls(up, ei));
    TRY(open_sockets(up, ei));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up->front_control) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up->proxy_offers) != 0) {
        return err_set(ei, ERR_IO, "cannot make a socket pair: errno %d", errno);
    }
    struct sup_events ev = {
        .ctx = up, .ready = on_child_ready, .stopped = on_child_stopped, .silent = on_child_silent};
    TRY(supervisor_new(up->loop, &ev, &up->sup, ei));
    TRY(add_children(up, ei));
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", up->coord_port);
    up->coord = coord_client_new(up->loop, url, str_of(up->coord_secret));
    struct coord_events watch = {.ctx = up,
                                 .changed = on_record_changed,
                                 .synced = on_coord_contact,
                                 .lost = on_coord_contact};
    char record_key[sizeof(up->prefix) + 16];
    (void)snprintf(record_key, sizeof(record_key), "%srecord", up->prefix);
    coord_client_watch(up->coord, str_of(record_key), &watch); /* not the heartbeats beside it */
    up->retry = loop_timer_new(up->loop, record_retry, up);
    up->again = loop_timer_new(up->loop, read_again, up);
    up->patience = loop_timer_new(up->loop, on_patience_lost, up);
    loop_timer_set(up->patience, PATIENCE_MS, PATIENCE_MS);
    up->renewal = loop_timer_new(up->loop, on_renewal, up);
    loop_timer_set(up->renewal, RENEWAL_MS, RENEWAL_MS);
    loop_on_signal(up->loop, SIGTERM, on_end_signal, up);
    loop_on_signal(up->loop, SIGINT, on_end_signal, up);
    if (is_hosted(up)) {
        record_retry(up);
        return OK;
    }
    struct hosting_opts ho = {.loop = up->loop,
                              .sup = up->sup,
                              .coord = up->coord,
                              .dir = up->dir,
                              .coord_port = up->coord_port,
                              .own = &up->opts};
    up->hosting = hosting_new(&ho);
    supervisor_start(up->coordinator);
    return OK;
}

enum err up_run(const struct up_opts *opts, struct errinfo *ei)
{
    struct up *up = MEM_NEW(struct up);
    up->opts = *opts;
    up->lock_fd = -1;
    up->started_us = clock_boot_us();
    up->loop = loop_new();
    enum err err = up_start(up, ei);
    if (err == OK) {
        loop_run(up->loop);
        err = up->failure.code;
        if (err != OK && ei) {
            *ei = up->failure;
        }
    }
    if (up->sup && !up->is_ending) { /* failed on the way: take the children down first */
        up->is_ending = true;
        supervisor_stop(up->sup, STOP_GRACE_MS, on_all_stopped, up);
        loop_run(up->loop);
    }
    if (up->coord) {
        coord_client_free(up->coord);
        loop_timer_free(up->retry);
        loop_timer_free(up->again);
        loop_timer_free(up->patience);
        loop_timer_free(up->renewal);
    }
    hosting_free(up->hosting);
    supervisor_free(up->sup);
    loop_free(up->loop);
    if (up->lock_fd >= 0) {
        close(up->lock_fd);
    }
    mem_free_secret(up, sizeof(*up)); /* sockets end with the process */
    return err;
}
