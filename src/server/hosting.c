/* Accounts beside the first one. See hosting.h.
 *
 * One value in the coordinator per account is the state; everything here follows it and can be
 * repeated after a crash at any point:
 *
 *   wanted (no port) -> port given (compare-and-set) -> running ...
 *   ... deleting -> processes ended -> data removed -> the account's keys removed -> value removed */
#include "server/hosting.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "manage/hosted.h"
#include "net/sockets.h"

enum {
    COORD_TIMEOUT_MS = 2000,
    RETRY_MS = 1000,
    PATH_SIZE = 4096,
    DELETES_PER_TXN = COORD_TXN_OPS_MAX - 1,
};

struct account {
    struct hosting *hosting;
    struct list link;
    struct hosted wanted;
    coord_rev rev;
    struct sup_child *child;
    bool is_busy;     /* a call to the coordinator is under way */
    bool is_stopping; /* its processes have been told to end */
    bool is_gone;     /* the value is no longer there: to be forgotten once nothing runs */
    struct loop_timer *retry;
};

struct hosting {
    struct hosting_opts opts;
    struct list accounts;
};

static void step(struct account *acc);

static void on_retry(void *ctx)
{
    step(ctx);
}

static struct account *find(struct hosting *h, struct str name)
{
    LIST_FOR(l, &h->accounts) {
        struct account *acc = LIST_ENTRY(l, struct account, link);
        if (str_eq(str_of(acc->wanted.account), name)) {
            return acc;
        }
    }
    return NULL;
}

static void account_free(struct account *acc)
{
    list_remove(&acc->link);
    loop_timer_free(acc->retry);
    mem_free(acc);
}

static void account_dir(const struct account *acc, char ret[PATH_SIZE])
{
    (void)snprintf(ret, PATH_SIZE, "%s/accounts/%s", acc->hosting->opts.dir, acc->wanted.account);
}

/* ---- ports ---- */

static bool is_port_free(unsigned port)
{
    char addr[32];
    int fd = -1;
    uint16_t got = 0;
    (void)snprintf(addr, sizeof(addr), "127.0.0.1:%u", port);
    if (sockets_listen(addr, &fd, &got, NULL) != OK) {
        return false;
    }
    close(fd);
    return true;
}

/* The global endpoint's port and the next ones, one for each region it may start with. */
static bool is_range_free(struct hosting *h, unsigned base)
{
    LIST_FOR(l, &h->accounts) {
        unsigned other = LIST_ENTRY(l, struct account, link)->wanted.port;
        if (other < base + HOSTED_PORT_STEP && base < other + HOSTED_PORT_STEP) {
            return false;
        }
    }
    for (unsigned i = 0; i <= HOSTED_REGIONS_MAX; i++) {
        if (!is_port_free(base + i)) {
            return false;
        }
    }
    return true;
}

static unsigned choose_port(struct hosting *h)
{
    STATIC_ASSERT(UP_PORT_MAX + HOSTED_PORT_STEP <= 65535, "its regions have ports, too");
    for (unsigned base = h->opts.own->port + HOSTED_PORT_STEP; base <= UP_PORT_MAX;
         base += HOSTED_PORT_STEP) {
        if (is_range_free(h, base)) {
            return base;
        }
    }
    return 0;
}

static void retry_later(struct account *acc)
{
    loop_timer_set(acc->retry, RETRY_MS, 0);
}

static void on_port_given(void *ctx, const struct coord_txn_result *res)
{
    struct account *acc = ctx;
    acc->is_busy = false;
    if (res->err == ERR_CLOSED) {
        return;
    }
    /* Done or not: the watch says what is so; without an answer it may take a while. */
    retry_later(acc);
}

static void give_port(struct account *acc)
{
    struct hosting *h = acc->hosting;
    struct hosted value = acc->wanted;
    value.port = choose_port(h);
    if (value.port == 0) {
        LOG_ERROR("hosting", "no_port", "account=%s above=%u", acc->wanted.account,
                  h->opts.own->port);
        retry_later(acc);
        return;
    }
    char key[sizeof(HOSTED_PREFIX) + RECORD_NAME_MAX];
    struct buf text;
    buf_init(&text, 64 << 10);
    hosted_encode(&value, &text);
    ASSERT(buf_ok(&text));
    (void)snprintf(key, sizeof(key), HOSTED_PREFIX "%s", value.account);
    struct coord_txn txn = {.compare_count = 1,
                            .compares = {{str_of(key), acc->rev}},
                            .put_count = 1,
                            .puts = {{.key = str_of(key), .value = buf_str(&text)}}};
    acc->is_busy = true;
    coord_client_txn(h->opts.coord, &txn, COORD_TIMEOUT_MS, on_port_given, acc);
    buf_done(&text);
}

/* ---- running ---- */

/* What the account starts with is said once; later its own record and files know better. */
static void conf_first_start(const struct hosted *v, struct buf *b)
{
    buf_add_cstr(b, "regions = ");
    for (size_t i = 0; i < v->region_count; i++) {
        buf_printf(b, "%s%s", i > 0 ? "," : "", v->regions[i]);
    }
    buf_printf(b, "\nconsistency = %s\nauto-failover = %s\n", consistency_name(v->level),
               v->auto_failover ? "yes" : "no");
    if (v->max_staleness_ops > 0) {
        buf_printf(b, "max-staleness-ops = %" PRIu64 "\n", v->max_staleness_ops);
    }
    if (v->max_staleness_s > 0) {
        buf_printf(b, "max-staleness-seconds = %" PRIu64 "\n", v->max_staleness_s);
    }
}

static void conf_path(const struct account *acc, char ret[PATH_SIZE])
{
    (void)snprintf(ret, PATH_SIZE, "%s/run/account-%s.conf", acc->hosting->opts.dir,
                   acc->wanted.account);
}

static enum err write_conf(const struct account *acc, const char *path, struct errinfo *ei)
{
    const struct hosting *h = acc->hosting;
    const struct up_opts *own = h->opts.own;
    char dir[PATH_SIZE];
    char known[PATH_SIZE + 32];
    struct stat st;
    struct buf b;
    account_dir(acc, dir);
    (void)snprintf(known, sizeof(known), "%s/account.json", dir);
    buf_init(&b, 64 << 10);
    buf_printf(&b, "# Written by holdfast up at each start.\naccount = %s\nport = %u\n",
               acc->wanted.account, acc->wanted.port);
    conf_line(&b, "dir", "%s", dir);
    conf_line(&b, "secret-file", "%s/run/coordinator.secret", h->opts.dir);
    buf_printf(&b, "coordinator-port = %u\nquiet = yes\n", h->opts.coord_port);
    buf_printf(&b, "profile = %s\nlog-level = %s\nwatchdog = %ums\nkill-frozen = %ums\n",
               own->profile, own->log_level, own->watchdog_ms, own->kill_ms);
    up_conf_servers(own, &b);
    if (own->has_tls) {
        buf_printf(&b, "tls = yes\n");
    }
    if (own->host_suffix) {
        buf_printf(&b, "host-suffix = %s\n", own->host_suffix);
    }
    const char *const names[] = {"tls-cert", "tls-key", "tls-ca"};
    const char *const files[] = {own->tls_cert, own->tls_key, own->tls_ca};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        if (files[i]) { /* valid for its names, too, or it does not start and says so */
            conf_line(&b, names[i], "%s", files[i]);
        }
    }
    if (stat(known, &st) != 0) {
        conf_first_start(&acc->wanted, &b);
    }
    ASSERT(buf_ok(&b));
    enum err err = files_write_durable(path, buf_str(&b), 0600, ei);
    buf_done(&b);
    return err;
}

static void run(struct account *acc)
{
    struct hosting *h = acc->hosting;
    struct errinfo ei = {0};
    char path[PATH_SIZE];
    char log_path[PATH_SIZE];
    char name[RECORD_NAME_MAX + 16];
    conf_path(acc, path);
    (void)snprintf(log_path, sizeof(log_path), "%s/run/account-%s.log", h->opts.dir,
                   acc->wanted.account);
    (void)snprintf(name, sizeof(name), "account/%s", acc->wanted.account);
    if (write_conf(acc, path, &ei) != OK) {
        LOG_ERROR("hosting", "not_started", "account=%s error=%s", acc->wanted.account, ei.message);
        retry_later(acc);
        return;
    }
    const char *argv[] = {"up", "--config", path, NULL};
    struct sup_spec spec = {.name = name, .argv = argv, .log_path = log_path};
    acc->child = supervisor_add(h->opts.sup, &spec);
    supervisor_start(acc->child);
    LOG_INFO("hosting", "started", "account=%s port=%u", acc->wanted.account, acc->wanted.port);
}

static void refresh_conf(const struct account *acc)
{
    struct errinfo ei = {0};
    char path[PATH_SIZE];
    conf_path(acc, path);
    if (write_conf(acc, path, &ei) != OK) {
        LOG_ERROR("hosting", "conf_not_written", "account=%s error=%s", acc->wanted.account,
                  ei.message);
    }
}

/* ---- deleting ---- */

static void on_keys_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n);

static void read_keys(struct account *acc)
{
    char prefix[sizeof(COORD_PREFIX) + RECORD_NAME_MAX + 1];
    (void)snprintf(prefix, sizeof(prefix), COORD_PREFIX "%s/", acc->wanted.account);
    acc->is_busy = true;
    coord_client_read(acc->hosting->opts.coord, str_of(prefix), COORD_TIMEOUT_MS, on_keys_read,
                      acc);
}

static void on_keys_deleted(void *ctx, const struct coord_txn_result *res)
{
    struct account *acc = ctx;
    acc->is_busy = false;
    if (res->err == ERR_CLOSED) {
        return;
    }
    retry_later(acc); /* for what is left; the watch ends it all when the value itself is gone */
}

static void on_keys_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct account *acc = ctx;
    if (err != OK) {
        acc->is_busy = false;
        if (err != ERR_CLOSED) {
            retry_later(acc);
        }
        return;
    }
    char key[sizeof(HOSTED_PREFIX) + RECORD_NAME_MAX];
    struct coord_txn txn = {0};
    for (size_t i = 0; i < n && txn.put_count < DELETES_PER_TXN; i++) {
        txn.puts[txn.put_count++] = (struct coord_put){.key = kvs[i].key, .is_delete = true};
    }
    if (n <= DELETES_PER_TXN) { /* with the last of them goes the value that asked for it */
        (void)snprintf(key, sizeof(key), HOSTED_PREFIX "%s", acc->wanted.account);
        txn.compares[txn.compare_count++] = (struct coord_compare){str_of(key), acc->rev};
        txn.puts[txn.put_count++] = (struct coord_put){.key = str_of(key), .is_delete = true};
    }
    coord_client_txn(acc->hosting->opts.coord, &txn, COORD_TIMEOUT_MS, on_keys_deleted, acc);
}

static void delete_account(struct account *acc)
{
    char dir[PATH_SIZE];
    char path[PATH_SIZE];
    static const char *const suffixes[] = {"conf", "log"};
    account_dir(acc, dir);
    enum err err = access(dir, F_OK) == 0 ? files_remove_tree(dir) : OK;
    if (err != OK) {
        LOG_ERROR("hosting", "data_not_removed", "account=%s error=%s", acc->wanted.account,
                  err_name(err));
        retry_later(acc);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(suffixes); i++) {
        (void)snprintf(path, sizeof(path), "%s/run/account-%s.%s", acc->hosting->opts.dir,
                       acc->wanted.account, suffixes[i]);
        (void)unlink(path); /* it may not be there */
    }
    LOG_INFO("hosting", "removed", "account=%s", acc->wanted.account);
    read_keys(acc);
}

/* ---- all ---- */

static void step(struct account *acc)
{
    if (acc->is_busy) {
        return;
    }
    if (acc->is_gone && acc->child == NULL) {
        account_free(acc);
        return;
    }
    if (!acc->wanted.is_deleting && !acc->is_gone) {
        if (acc->wanted.port == 0) {
            give_port(acc);
        } else if (acc->child == NULL) {
            run(acc);
        }
    } else if (acc->child == NULL) {
        delete_account(acc);
    } else if (!acc->is_stopping) {
        acc->is_stopping = true;
        supervisor_retire(acc->child, HOSTING_STOP_GRACE_MS);
        if (sup_child_pid(acc->child) == 0) {
            loop_timer_set(acc->retry, 1, 0); /* it was between two starts: nothing to wait for */
        }
    } else if (sup_child_pid(acc->child) == 0) {
        supervisor_remove(acc->child);
        acc->child = NULL;
        acc->is_stopping = false;
        loop_timer_set(acc->retry, 1, 0); /* and on */
    }
}

static void on_changed(void *ctx, const struct coord_kv *kv)
{
    struct hosting *h = ctx;
    struct errinfo ei = {0};
    struct hosted value;
    struct str prefix = STR(HOSTED_PREFIX);
    struct str name = str_slice(kv->key, prefix.n, kv->key.n);
    struct account *acc = find(h, name);
    if (kv->is_deleted) {
        if (acc != NULL) {
            acc->is_gone = true;
            step(acc);
        }
        return;
    }
    if (hosted_decode(kv->value, &value, &ei) != OK || !str_eq(str_of(value.account), name)) {
        LOG_ERROR("hosting", "bad_value", "key=" STR_FMT " error=%s", STR_ARG(kv->key), ei.message);
        return;
    }
    if (acc == NULL) {
        acc = MEM_NEW(struct account);
        acc->hosting = h;
        acc->retry = loop_timer_new(h->opts.loop, on_retry, acc);
        list_init(&acc->link);
        list_push_back(&h->accounts, &acc->link);
    }
    acc->is_gone = false;
    acc->wanted = value;
    acc->rev = kv->rev;
    step(acc);
}

static void on_contact(void *ctx)
{
    UNUSED(ctx);
}

bool hosting_stopped(struct hosting *h, const struct sup_child *c)
{
    if (h == NULL) {
        return false;
    }
    LIST_FOR(l, &h->accounts) {
        struct account *acc = LIST_ENTRY(l, struct account, link);
        if (acc->child != c) {
            continue;
        }
        if (acc->is_stopping) {
            loop_timer_set(acc->retry, 1, 0); /* not from within the supervisor */
        } else {
            refresh_conf(acc); /* it is started again */
        }
        return true;
    }
    return false;
}

size_t hosting_count(const struct hosting *h)
{
    size_t count = 0;
    if (h == NULL) {
        return 0;
    }
    LIST_FOR(l, &h->accounts) {
        count += LIST_ENTRY(l, struct account, link)->child != NULL;
    }
    return count;
}

struct hosting *hosting_new(const struct hosting_opts *opts)
{
    struct hosting *h = MEM_NEW(struct hosting);
    h->opts = *opts;
    list_init(&h->accounts);
    struct coord_events ev = {
        .ctx = h, .changed = on_changed, .synced = on_contact, .lost = on_contact};
    coord_client_watch(opts->coord, STR(HOSTED_PREFIX), &ev);
    return h;
}

void hosting_free(struct hosting *h)
{
    if (h == NULL) {
        return;
    }
    while (!list_is_empty(&h->accounts)) {
        account_free(LIST_ENTRY(h->accounts.next, struct account, link));
    }
    mem_free(h);
}
