/* Start of the processes. See process.h. */
#include "server/process.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord/server.h"
#include "net/loop.h"
#include "net/proxy.h"
#include "net/tls.h"
#include "server/confirm.h"
#include "server/front.h"
#include "server/notify.h"
#include "server/region_server.h"

const struct conf_row process_rows[PROC_ROW_COUNT] = {
    [PROC_CONFIG] = {"config", CONF_STRING, "", 0, 3000, 0, "file with these options"},
    [PROC_ACCOUNT] = {"account", CONF_STRING, "holdfast", 3, 44, 0, "account name"},
    [PROC_COORDINATOR] = {"coordinator", CONF_STRING, "http://127.0.0.1:8070", 1, 1024, 0,
                          "where the coordinator answers"},
    [PROC_SECRET_FILE] =
        {"secret-file", CONF_STRING, "", 0, 3000, 0,
         "file with the coordinator's secret, or two of them, one a line, while it changes"},
    [PROC_LOG_LEVEL] = {"log-level", CONF_STRING, "info", 1, 16, 0, "error, warn, info or debug"},
    [PROC_PROFILE] = {"profile", CONF_STRING, "lan", 1, 16, 0,
                      "timers: lan or wan; the same in every process"},
    [PROC_REGION] = {"region", CONF_STRING, "", 0, 63, 0, "server: the region this process is"},
    [PROC_DIR] = {"dir", CONF_STRING, ".", 1, 3000, 0, "server, coordinator: where data lives"},
    [PROC_ENGINE] = {"engine", CONF_STRING, "rocksdb", 3, 16, 0,
                     "server: rocksdb (durable) or mem (forgets)"},
    [PROC_CONFIRM_STOP] = {"confirm-stop", CONF_BOOL, "no", 0, 0, 0,
                           "server: do not serve; tell the coordinator that the server of this "
                           "directory has ended, so that nobody waits for its lease"},
    [PROC_DISK_RESERVE] =
        {"disk-reserve", CONF_SIZE, "256M", 0, 0, 0,
         "server: refuse writes and hand over when less space is free; 0 = never"},
    [PROC_LOG_BUDGET] = {"log-budget", CONF_SIZE, "0", 0, 0, 0,
                         "server: log kept for regions that are away; beyond it they come back by "
                         "a full copy; 0 = a fifth of the disk"},
    [PROC_ARCHIVE_KEEP] = {"archive-keep", CONF_DURATION, "30d", 0, 0, 0,
                           "server: keep archives of what a failover cut off for so long; 0 = for "
                           "ever"},
    [PROC_SLOW_COMMIT] = {"slow-commit", CONF_DURATION, "5s", 10, 3600000, 0,
                          "server: a disk is slow whose commits take longer; the same everywhere"},
    [PROC_SLOW_FOR] = {"slow-for", CONF_DURATION, "10s", 10, 3600000, 0,
                       "server: hand over when the disk was slow this long"},
    [PROC_FAILOVER_HOLD] =
        {"failover-hold", CONF_DURATION, "0", 0, 86400000, 0,
         "server: wait this long after a failover without a confirmed stop before "
         "another such one; 0 = 5s (lan), 10m (wan)"},
    [PROC_SESSION_AFTER_LOSS] =
        {"session-after-loss", CONF_STRING, "accept", 1, 16, 0,
         "server: accept or reject session tokens that name what a failover cut off"},
    [PROC_KEEP_WRITING] = {"keep-writing-without-coordinator", CONF_STRING, "auto", 1, 16, 0,
                           "server: yes: a writer that does not hear the coordinator goes on while "
                           "every other region agrees; no; auto: in accounts of one region only"},
    [PROC_DRILL_FAULTS] = {"drill-faults", CONF_BOOL, "no", 0, 0, 0,
                           "server: let drills make the disk slow or full; loopback only"},
    [PROC_PEER_OVERRIDE] = {"peer-override", CONF_LIST, "", 0, 32, 0,
                            "server: reach a region at another address, NAME=HOST:PORT"},
    [PROC_PEER_TLS] =
        {"peer-tls", CONF_STRING, "require", 1, 16, 0,
         "server: links to other regions: require TLS, allow plain ones while regions "
         "of a release without it are there, or off"},
    [PROC_HTTP_THREADS] = {"http-threads", CONF_U64, "2", 1, 64, 0,
                           "server, front: threads that serve clients"},
    [PROC_LINKS] = {"links", CONF_LIST, "", 0, 64, 0,
                    "proxy: links as NAME=HOST:PORT; each needs an inherited socket NAME"},
    [PROC_WEBHOOK] = {"webhook", CONF_STRING, "", 0, 2000, CONF_SECRET,
                      "front: http:// or https:// URL that is told of failovers"},
    [PROC_WEBHOOK_SECRET_FILE] =
        {"webhook-secret-file", CONF_STRING, "", 0, 3000, 0,
         "front: file with the secret that signs what the webhook is sent"},
    [PROC_MANAGEMENT_TOKEN_FILE] =
        {"management-token-file", CONF_STRING, "", 0, 3000, 0,
         "front: file with the bearer token of the management interface; without one it is closed"},
    [PROC_LISTEN] = {"listen", CONF_STRING, "", 0, 255, 0,
                     "numeric HOST:PORT when no socket is inherited; else coordinator "
                     "127.0.0.1:8070, front :8081, server :8082, proxy (control) :8069"},
    [PROC_LISTEN_PEER] =
        {"listen-peer", CONF_STRING, "127.0.0.1:8091", 3, 255, 0,
         "server: numeric HOST:PORT for other regions when no socket is inherited"},
    [PROC_LISTEN_TLS] =
        {"listen-tls", CONF_STRING, "", 0, 255, 0,
         "coordinator: numeric HOST:PORT for https as well, with a key of its secret; the others "
         "name it in --coordinator"},
    [PROC_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0,
                       "front: URL of the global endpoint as clients know it, when it is a name"},
    /* Not "endpoint": HOLDFAST_ENDPOINT in the environment is for tools. */
    [PROC_REGION_ENDPOINT] = {"region-endpoint", CONF_STRING, "", 0, 255, 0,
                              "server: URL where clients reach this region, for the account "
                              "record; as it is there when not given"},
    [PROC_PEER_ADDRESS] = {"peer-address", CONF_STRING, "", 0, 127, 0,
                           "server: HOST:PORT where other regions reach this one, for the account "
                           "record; as it is there when not given"},
    [PROC_TLS_CERT] = {"tls-cert", CONF_STRING, "", 0, 3000, 0,
                       "server, front: PEM file with the certificate of all endpoints, then its "
                       "chain; clients then use https"},
    [PROC_TLS_KEY] = {"tls-key", CONF_STRING, "", 0, 3000, 0,
                      "server, front: PEM file with its private key, without a password"},
    [PROC_TLS_CA] = {"tls-ca", CONF_STRING, "", 0, 3000, 0,
                     "front: PEM file of the authority behind the regions' certificates, when the "
                     "system does not know it"},
};

enum { SERVER = 1, FRONT = 2, COORDINATOR = 4, PROXY = 8, EVERYBODY = 15 };

static const struct {
    const char *name;
    unsigned bit;
    const char *listen_addr;
} roles[] = {
    {"server", SERVER, "127.0.0.1:8082"},
    {"front", FRONT, "127.0.0.1:8081"},
    {"coordinator", COORDINATOR, "127.0.0.1:8070"},
    {"proxy", PROXY, "127.0.0.1:8069"},
};

static const unsigned row_roles[PROC_ROW_COUNT] = {
    [PROC_CONFIG] = EVERYBODY,
    [PROC_ACCOUNT] = SERVER | FRONT,
    [PROC_COORDINATOR] = SERVER | FRONT,
    [PROC_SECRET_FILE] = SERVER | FRONT | COORDINATOR,
    [PROC_LOG_LEVEL] = EVERYBODY,
    [PROC_PROFILE] = SERVER,
    [PROC_REGION] = SERVER,
    [PROC_DIR] = SERVER | COORDINATOR,
    [PROC_ENGINE] = SERVER,
    [PROC_CONFIRM_STOP] = SERVER,
    [PROC_DISK_RESERVE] = SERVER,
    [PROC_LOG_BUDGET] = SERVER,
    [PROC_ARCHIVE_KEEP] = SERVER,
    [PROC_SLOW_COMMIT] = SERVER,
    [PROC_SLOW_FOR] = SERVER,
    [PROC_FAILOVER_HOLD] = SERVER,
    [PROC_SESSION_AFTER_LOSS] = SERVER,
    [PROC_KEEP_WRITING] = SERVER,
    [PROC_DRILL_FAULTS] = SERVER,
    [PROC_PEER_OVERRIDE] = SERVER,
    [PROC_PEER_TLS] = SERVER,
    [PROC_HTTP_THREADS] = SERVER | FRONT,
    [PROC_LINKS] = PROXY,
    [PROC_WEBHOOK] = FRONT,
    [PROC_WEBHOOK_SECRET_FILE] = FRONT,
    [PROC_MANAGEMENT_TOKEN_FILE] = FRONT,
    [PROC_LISTEN] = EVERYBODY,
    [PROC_LISTEN_PEER] = SERVER,
    [PROC_LISTEN_TLS] = COORDINATOR,
    [PROC_ENDPOINT] = FRONT,
    [PROC_REGION_ENDPOINT] = SERVER,
    [PROC_PEER_ADDRESS] = SERVER,
    [PROC_TLS_CERT] = SERVER | FRONT,
    [PROC_TLS_KEY] = SERVER | FRONT,
    [PROC_TLS_CA] = FRONT,
};

static size_t role_index(const char *role)
{
    size_t i = 0;
    while (i < ARRAY_COUNT(roles) && strcmp(roles[i].name, role) != 0) {
        i++;
    }
    ASSERT(i < ARRAY_COUNT(roles));
    return i;
}

bool process_row_is_for(unsigned row, const char *role)
{
    ASSERT(row < PROC_ROW_COUNT);
    return (row_roles[row] & roles[role_index(role)].bit) != 0;
}

const char *process_listen_addr(const struct process *p, const char *role)
{
    return conf_str(p->conf, PROC_LISTEN).n > 0 ? conf_cstr(p->conf, PROC_LISTEN)
                                                : roles[role_index(role)].listen_addr;
}

static enum err read_secret(const struct process *p, unsigned row, char ret[FILES_SECRET_SIZE],
                            size_t *ret_n, struct errinfo *ei)
{
    const char *path = conf_cstr(p->conf, row);
    return path[0] ? files_read_secret(path, ret, ret_n, ei) : OK; /* who needs one says so */
}

/* Told at once, not when the first listener opens. */
static enum err check_tls(const struct process *p, struct errinfo *ei)
{
    const char *cert = conf_cstr(p->conf, PROC_TLS_CERT);
    const char *key = conf_cstr(p->conf, PROC_TLS_KEY);
    if (!cert[0] && !key[0]) {
        return OK;
    }
    if (!cert[0] || !key[0]) {
        return err_set(ei, ERR_CONFIG, "--tls-cert and --tls-key need each other");
    }
    struct tls_pair pair;
    TRY(tls_pair_load(cert, key, (int64_t)(clock_wall_ms() / 1000), &pair, ei));
    tls_pair_done(&pair);
    return OK;
}

/* NULL: none was given. */
static const char *file_of(const struct process *p, unsigned row)
{
    return conf_str(p->conf, row).n > 0 ? conf_cstr(p->conf, row) : NULL;
}

static const char *secret_file(const struct process *p)
{
    return file_of(p, PROC_SECRET_FILE);
}

static enum err need_secret(const struct process *p, struct errinfo *ei)
{
    if (p->secrets.count > 0) {
        return OK;
    }
    err_set(ei, ERR_CONFIG, "the coordinator's secret is missing");
    err_hint(ei, "give --secret-file F; servers, fronts and the coordinator use the same secret");
    return ERR_CONFIG;
}

enum err process_init(struct process *p, const struct conf *c, const char *role, struct errinfo *ei)
{
    memset(p, 0, sizeof(*p));
    sockets_raise_limit();
    p->conf = c;
    p->role = role;
    enum log_level level;
    if (log_level_parse(conf_cstr(c, PROC_LOG_LEVEL), &level) != 0) {
        err_set(ei, ERR_CONFIG, "unknown log level '%s'", conf_cstr(c, PROC_LOG_LEVEL));
        err_hint(ei, "one of error, warn, info, debug");
        return ERR_CONFIG;
    }
    log_set_level(level);
    char name[128];
    struct str region = conf_str(c, PROC_REGION);
    (void)snprintf(name, sizeof(name), "%s%s" STR_FMT, role, region.n > 0 ? "/" : "",
                   STR_ARG(region));
    log_set_name(name);
    if (secret_file(p) != NULL) {
        TRY(coord_secrets_read(secret_file(p), &p->secrets, ei));
    }
    TRY(read_secret(p, PROC_WEBHOOK_SECRET_FILE, p->webhook_secret, &p->webhook_secret_n, ei));
    TRY(read_secret(p, PROC_MANAGEMENT_TOKEN_FILE, p->management_token, &p->management_token_n,
                    ei));
    TRY(check_tls(p, ei));
    return sockets_inherit(p->sockets, &p->socket_count, ei);
}

static int inherited(const struct process *p, const char *name)
{
    for (size_t i = 0; i < p->socket_count; i++) {
        if (strcmp(p->sockets[i].name, name) == 0) {
            return p->sockets[i].fd;
        }
    }
    return -1;
}

enum err process_socket(const struct process *p, const char *name, const char *addr, int *ret_fd,
                        struct errinfo *ei)
{
    uint16_t port = 0;
    int fd = inherited(p, name);
    if (fd < 0) {
        enum err err = sockets_listen(addr, ret_fd, &port, ei);
        if (err == ERR_IN_USE) {
            err_hint(ei, "give another address with --listen%s",
                     strcmp(name, "peer") == 0              ? "-peer"
                     : strcmp(name, "coordinator-tls") == 0 ? "-tls"
                                                            : "");
        }
        return err;
    }
    *ret_fd = fd;
    return OK;
}

static enum err confirm_server_stop(const struct region_server_opts *o, struct errinfo *ei)
{
    if (strcmp(o->engine, "mem") == 0) {
        err_set(ei, ERR_UNSUPPORTED, "with engine mem there is no lock that proves a server's end");
        err_hint(ei,
                 "use engine rocksdb, or leave --confirm-stop out: the others wait for the lease");
        return ERR_UNSUPPORTED;
    }
    struct confirm_opts co = {.account = o->account,
                              .region = o->region,
                              .dir = o->dir,
                              .coordinator = o->coordinator,
                              .secrets = o->secrets};
    return confirm_stop(&co, ei);
}

/* They go into the account record, for everybody. */
static enum err check_addresses(const struct region_server_opts *o, struct errinfo *ei)
{
    struct str url = str_of(o->endpoint);
    struct str peer = str_of(o->peer_address);
    bool is_url = str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    if (url.n > 0 && (!is_url || url.p[url.n - 1] != '/')) {
        err_set(ei, ERR_CONFIG, "region-endpoint '%s' is no URL that ends with a slash",
                o->endpoint);
        err_hint(ei, "as clients reach this region, like http://db1.example.com:8082/");
        return ERR_CONFIG;
    }
    if (peer.n > 0 && (str_find_char(peer, ':') <= 0 || str_find_char(peer, '/') >= 0)) {
        err_set(ei, ERR_CONFIG, "peer-address '%s' is not HOST:PORT", o->peer_address);
        err_hint(ei, "as other regions reach this one, like 10.0.0.1:8091");
        return ERR_CONFIG;
    }
    return OK;
}

static enum err read_overrides(const struct conf *c, struct peer_overrides *ret, struct errinfo *ei)
{
    ASSERT(conf_list_count(c, PROC_PEER_OVERRIDE) <= ARRAY_COUNT(ret->items)); /* CONF_LIST_MAX */
    ret->count = 0;
    for (unsigned i = 0; i < conf_list_count(c, PROC_PEER_OVERRIDE); i++) {
        struct str item = conf_list_item(c, PROC_PEER_OVERRIDE, i);
        struct str region = STR_NONE;
        struct str addr = STR_NONE;
        if (!str_split(item, '=', &region, &addr) || region.n >= sizeof(ret->items[i].region) ||
            addr.n == 0 || addr.n >= sizeof(ret->items[i].addr)) {
            err_set(ei, ERR_CONFIG, "bad peer-override '" STR_FMT "'", STR_ARG(item));
            err_hint(ei, "NAME=HOST:PORT");
            return ERR_CONFIG;
        }
        (void)snprintf(ret->items[i].region, sizeof(ret->items[i].region), STR_FMT,
                       STR_ARG(region));
        (void)snprintf(ret->items[i].addr, sizeof(ret->items[i].addr), STR_FMT, STR_ARG(addr));
        ret->count++;
    }
    return OK;
}

/* The file may have been written anew since we started. */
static bool overrides_again(void *ctx, struct peer_overrides *ret)
{
    const struct process *p = ctx;
    struct conf *c = conf_new(process_rows, PROC_ROW_COUNT);
    struct peer_overrides *fresh = MEM_NEW(struct peer_overrides);
    struct errinfo ei = {0};
    enum err err = conf_load_file(c, conf_cstr(p->conf, PROC_CONFIG), &ei);
    if (err == OK) {
        err = read_overrides(c, fresh, &ei);
    }
    if (err == OK) {
        *ret = *fresh;
    } else {
        LOG_WARN("server", "overrides_not_read", "error=\"%s\"", ei.message);
    }
    mem_free(fresh);
    conf_free(c);
    return err == OK;
}

enum err process_server(struct process *p, struct errinfo *ei)
{
    const struct conf *c = p->conf;
    struct region_server_opts o = {
        .account = conf_cstr(c, PROC_ACCOUNT),
        .region = conf_cstr(c, PROC_REGION),
        .dir = conf_cstr(c, PROC_DIR),
        .engine = conf_cstr(c, PROC_ENGINE),
        .profile = conf_cstr(c, PROC_PROFILE),
        .coordinator = conf_cstr(c, PROC_COORDINATOR),
        .secrets = &p->secrets,
        .secret_file = secret_file(p),
        .disk_reserve_size = conf_u64(c, PROC_DISK_RESERVE),
        .log_budget_size = conf_u64(c, PROC_LOG_BUDGET),
        .archive_keep_ms = conf_u64(c, PROC_ARCHIVE_KEEP),
        .slow_commit_ms = (unsigned)conf_u64(c, PROC_SLOW_COMMIT),
        .slow_for_ms = (unsigned)conf_u64(c, PROC_SLOW_FOR),
        .failover_hold_ms = (unsigned)conf_u64(c, PROC_FAILOVER_HOLD),
        .has_drill_faults = conf_bool(c, PROC_DRILL_FAULTS),
        .http_threads = (unsigned)conf_u64(c, PROC_HTTP_THREADS),
        .tls_cert = conf_cstr(c, PROC_TLS_CERT),
        .tls_key = conf_cstr(c, PROC_TLS_KEY),
        .endpoint = conf_cstr(c, PROC_REGION_ENDPOINT),
        .peer_address = conf_cstr(c, PROC_PEER_ADDRESS),
    };
    TRY(need_secret(p, ei));
    struct str after_loss = conf_str(c, PROC_SESSION_AFTER_LOSS);
    o.rejects_lost_sessions = str_eq(after_loss, STR("reject"));
    if (!o.rejects_lost_sessions && !str_eq(after_loss, STR("accept"))) {
        return err_set(ei, ERR_CONFIG, "session-after-loss is accept or reject, not '" STR_FMT "'",
                       STR_ARG(after_loss));
    }
    if (!keep_writing_parse(conf_str(c, PROC_KEEP_WRITING), &o.keep_writing)) {
        return err_set(ei, ERR_CONFIG,
                       "keep-writing-without-coordinator is auto, yes or no, not '%s'",
                       conf_cstr(c, PROC_KEEP_WRITING));
    }
    TRY(link_security_parse(conf_cstr(c, PROC_PEER_TLS), &o.peer_security, ei));
    if (!o.region[0]) {
        err_set(ei, ERR_CONFIG, "which region is this server?");
        err_hint(ei, "give --region NAME, or region = NAME in the configuration file");
        return ERR_CONFIG;
    }
    if (conf_bool(c, PROC_CONFIRM_STOP)) {
        return confirm_server_stop(&o, ei);
    }
    if (strcmp(o.profile, "lan") != 0 && strcmp(o.profile, "wan") != 0) {
        err_set(ei, ERR_CONFIG, "unknown profile '%s'", o.profile);
        err_hint(ei, "lan or wan, the same in every process");
        return ERR_CONFIG;
    }
    TRY(check_addresses(&o, ei));
    TRY(read_overrides(c, &o.overrides, ei));
    if (o.has_drill_faults && conf_str(c, PROC_CONFIG).n > 0) {
        o.overrides_again = overrides_again;
        o.overrides_ctx = p;
    }
    TRY(process_socket(p, "http", process_listen_addr(p, p->role), &o.http_fd, ei));
    TRY(process_socket(p, "peer", conf_cstr(c, PROC_LISTEN_PEER), &o.peer_fd, ei));
    if (o.peer_security != LINK_ENCRYPTED && !sockets_is_loopback(o.peer_fd)) {
        LOG_WARN("server", "peer_tls", "value=%s hint=%s", conf_cstr(c, PROC_PEER_TLS),
                 "documents may cross the network readable: see doc/operate, TLS");
    }
    if (o.has_drill_faults && !sockets_is_loopback(o.http_fd)) {
        err_set(ei, ERR_CONFIG, "drill-faults is for servers that listen on loopback only");
        err_hint(ei,
                 "leave drill-faults out; drills with disk faults run on an account of their own");
        return ERR_CONFIG;
    }
    return region_server_run(&o, ei);
}

enum err process_front(struct process *p, struct errinfo *ei)
{
    const struct conf *c = p->conf;
    struct front_opts o = {
        .account = conf_cstr(c, PROC_ACCOUNT),
        .coordinator = conf_cstr(c, PROC_COORDINATOR),
        .secrets = &p->secrets,
        .secret_file = secret_file(p),
        .webhook = conf_str(c, PROC_WEBHOOK).n > 0 ? conf_cstr(c, PROC_WEBHOOK) : NULL,
        .webhook_secret = str_make(p->webhook_secret, p->webhook_secret_n),
        .management_token = str_make(p->management_token, p->management_token_n),
        .webhook_secret_file = file_of(p, PROC_WEBHOOK_SECRET_FILE),
        .management_token_file = file_of(p, PROC_MANAGEMENT_TOKEN_FILE),
        .http_threads = (unsigned)conf_u64(c, PROC_HTTP_THREADS),
        .endpoint = conf_cstr(c, PROC_ENDPOINT),
        .tls_cert = conf_cstr(c, PROC_TLS_CERT),
        .tls_key = conf_cstr(c, PROC_TLS_KEY),
        .tls_ca = conf_cstr(c, PROC_TLS_CA),
        .control_fd = inherited(p, "control"),
    };
    TRY(need_secret(p, ei));
    TRY(process_socket(p, "global", process_listen_addr(p, p->role), &o.global_fd, ei));
    if (o.management_token.n > 0 && !sockets_is_loopback(o.global_fd)) {
        /* The token would travel in the clear: never open to other machines. */
        err_set(ei, ERR_CONFIG, "the management interface is for loopback addresses only");
        err_hint(ei, "listen on 127.0.0.1, or leave management-token-file out");
        return ERR_CONFIG;
    }
    struct str prefix = STR("region-");
    for (size_t i = 0; i < p->socket_count; i++) {
        struct str name = str_of(p->sockets[i].name);
        if (str_starts(name, prefix) && o.region_count < FRONT_REGIONS_MAX) {
            struct str region = str_slice(name, prefix.n, sizeof(o.regions[0].name) - 1);
            memcpy(o.regions[o.region_count].name, region.p, region.n);
            o.regions[o.region_count++].fd = p->sockets[i].fd;
        }
    }
    return front_run(&o, ei);
}

static void on_loop_end(void *ctx, int signum)
{
    (void)signum;
    loop_stop(ctx);
}

static void on_hangup(void *ctx, int signum)
{
    (void)signum;
    coord_server_reread(ctx);
}

enum err process_coordinator(struct process *p, struct errinfo *ei)
{
    struct coord_server_opts o = {
        .dir = conf_cstr(p->conf, PROC_DIR), .secrets = &p->secrets, .secret_file = secret_file(p)};
    TRY(need_secret(p, ei));
    TRY(process_socket(p, "coordinator", process_listen_addr(p, p->role), &o.listen_fd, ei));
    if (!sockets_is_loopback(o.listen_fd)) {
        LOG_WARN("coordinator", "plain", "hint=%s",
                 "its secret crosses the network readable: listen on loopback, and for others on "
                 "listen-tls");
    }
    o.has_tls = conf_str(p->conf, PROC_LISTEN_TLS).n > 0 || inherited(p, "coordinator-tls") >= 0;
    if (o.has_tls) {
        TRY(process_socket(p, "coordinator-tls", conf_cstr(p->conf, PROC_LISTEN_TLS), &o.tls_fd,
                           ei));
    }
    struct loop *loop = loop_new();
    struct coord_server *server = NULL;
    loop_on_signal(loop, SIGTERM, on_loop_end, loop);
    loop_on_signal(loop, SIGINT, on_loop_end, loop);
    enum err err = coord_server_new(loop, &o, &server, ei);
    if (err == OK) {
        loop_on_signal(loop, SIGHUP, on_hangup, server);
        struct loop_timer *watchdog = notify_watchdog_start(loop);
        notify_send("READY=1"); /* the file was read, and requests are served */
        loop_run(loop);
        notify_send("STOPPING=1");
        if (watchdog) {
            loop_timer_free(watchdog);
        }
    }
    coord_server_free(server);
    loop_free(loop);
    if (err == ERR_CORRUPT && ei && !ei->hint[0]) {
        err_hint(ei, "its file is %s/coordinator.log; put back a copy of it", o.dir);
    }
    return err;
}

static enum err add_links(const struct process *p, struct proxy *proxy, struct errinfo *ei)
{
    if (conf_list_count(p->conf, PROC_LINKS) == 0) {
        err_set(ei, ERR_CONFIG, "no links to carry");
        err_hint(
            ei,
            "a proxy is started by `holdfast up --fault-proxy`, with --links and their sockets");
        return ERR_CONFIG;
    }
    for (unsigned i = 0; i < conf_list_count(p->conf, PROC_LINKS); i++) {
        struct str item = conf_list_item(p->conf, PROC_LINKS, i);
        struct str name = STR("");
        struct str upstream = STR("");
        char name_text[PROXY_NAME_SIZE];
        char upstream_text[128];
        if (!str_split(item, '=', &name, &upstream) || name.n >= sizeof(name_text) ||
            upstream.n >= sizeof(upstream_text)) {
            err_set(ei, ERR_CONFIG, "bad link '" STR_FMT "'", STR_ARG(item));
            err_hint(ei, "NAME=HOST:PORT");
            return ERR_CONFIG;
        }
        (void)snprintf(name_text, sizeof(name_text), STR_FMT, STR_ARG(name));
        (void)snprintf(upstream_text, sizeof(upstream_text), STR_FMT, STR_ARG(upstream));
        int fd = inherited(p, name_text);
        if (fd < 0) {
            return err_set(ei, ERR_CONFIG, "link '%s' has no inherited socket", name_text);
        }
        TRY(proxy_rule_add(proxy, name_text, fd, upstream_text, ei));
    }
    return OK;
}

struct offers {
    struct proxy *proxy;
    int fd; /* -1: no more links while we run */
};

/* Links of regions that join: "NAME HOST:PORT", each with its listening socket, so that no two of
 * them are read at once. */
static void on_link_offered(void *ctx)
{
    const struct offers *o = ctx;
    for (;;) {
        char text[PROXY_NAME_SIZE + 128];
        union {
            char bytes[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec iov = {text, sizeof(text) - 1};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
        ssize_t n = recvmsg(o->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n <= 0) {
            return;
        }
        text[n] = '\0';
        int fd = -1;
        const struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
        if (h != NULL && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
            memcpy(&fd, CMSG_DATA(h), sizeof(fd));
        }
        char *upstream = strchr(text, ' ');
        struct errinfo ei = {0};
        if (upstream != NULL && fd >= 0) {
            *upstream = '\0';
            /* ERR_EXISTS: we were started with it, after it was offered to the process before us. */
            if (proxy_rule_add(o->proxy, text, fd, upstream + 1, &ei) != OK) {
                LOG_WARN("proxy", "link_not_added", "link=%s error=\"%s\"", text, ei.message);
            }
        }
        if (fd >= 0) {
            (void)close(fd); /* the rule has its own duplicate */
        }
    }
}

enum err process_proxy(struct process *p, struct errinfo *ei)
{
    struct loop *loop = loop_new();
    struct proxy *proxy = proxy_new(loop);
    struct offers offers = {proxy, inherited(p, "links")};
    struct loop_fd *watch =
        offers.fd >= 0 ? loop_fd_new(loop, offers.fd, on_link_offered, &offers) : NULL;
    int control = -1;
    enum err err = add_links(p, proxy, ei);
    if (err == OK) {
        err = process_socket(p, "control", process_listen_addr(p, p->role), &control, ei);
    }
    if (err == OK) {
        proxy_control(proxy, control);
        loop_on_signal(loop, SIGTERM, on_loop_end, loop);
        loop_on_signal(loop, SIGINT, on_loop_end, loop);
        notify_send("READY=1");
        loop_run(loop);
    }
    if (watch != NULL) {
        loop_fd_free(watch);
    }
    proxy_free(proxy);
    loop_free(loop);
    return err;
}
