/* `holdfast drill`: break an account on purpose, against one that runs or one started for it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "continuity/drill/drill.h"
#include "net/sockets.h"

enum {
    D_FAULT,
    D_REGION,
    D_LEVEL,
    D_LOAD,
    D_CONNECTIONS,
    D_REPEAT,
    D_MAX_RTO,
    D_MAX_RPO,
    D_WARM,
    D_HOLD,
    D_SETTLE,
    D_WRITE_TIMEOUT,
    D_DIR,
    D_ENDPOINT,
    D_KEY,
    D_START,
    D_REGIONS,
    D_PORT,
    D_ENGINE,
    D_JSON,
    D_ROW_COUNT,
};

static const struct conf_row rows[D_ROW_COUNT] = {
    [D_FAULT] = {"fault", CONF_STRING, "kill", 1, 16, 0, "kill, pause, cut or graceful"},
    [D_REGION] = {"region", CONF_STRING, "", 0, 63, 0,
                  "region to break; the write region when not given"},
    [D_LEVEL] = {"level", CONF_STRING, "Session", 1, 32, 0,
                 "consistency level of an account started for the drill"},
    [D_LOAD] = {"load", CONF_U64, "200", 1, 20000, 0, "writes a second"},
    [D_CONNECTIONS] = {"connections", CONF_U64, "16", 1, 256, 0, "writes in flight at most"},
    [D_REPEAT] = {"repeat", CONF_U64, "1", 1, DRILL_REPEATS_MAX, 0, "how often"},
    [D_MAX_RTO] = {"max-rto-ms", CONF_U64, "0", 0, 0, 0,
                   "fail when writes are away longer than this; 0 = no objective"},
    [D_MAX_RPO] =
        {"max-rpo-writes", CONF_STRING, "", 0, 20, 0,
         "fail when more acknowledged writes than this left the data (in the feed or lost)"},
    [D_WARM] = {"warm", CONF_DURATION, "1s", 100, 600000, 0, "load before the fault"},
    [D_HOLD] = {"hold", CONF_DURATION, "3s", 0, 600000, 0, "pause, cut: lasts at least this long"},
    [D_SETTLE] = {"settle", CONF_DURATION, "60s", 1000, 3600000, 0,
                  "longest wait for a healthy account before, and for the region's return"},
    [D_WRITE_TIMEOUT] = {"write-timeout", CONF_DURATION, "1s", 50, 60000, 0,
                         "the load client gives an answer up after this"},
    [D_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [D_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [D_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [D_START] = {"start", CONF_BOOL, "no", 0, 0, 0,
                 "start an account for the drill even when one runs in --dir"},
    [D_REGIONS] = {"regions", CONF_STRING, "east,west,north", 1, 255, 0,
                   "regions of an account started for the drill"},
    [D_PORT] = {"port", CONF_U64, "0", 0, 65000, 0, "its port; 0 = find free ones"},
    [D_ENGINE] = {"engine", CONF_STRING, "rocksdb", 3, 16, 0, "its engine"},
    [D_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "print the results as JSON"},
};

/* ---- an account of our own ---- */

struct own_account {
    pid_t child;
    char dir[64];
};

/* A run of free ports for the global endpoint and up to 8 regions. */
static enum err free_ports(unsigned *ret, struct errinfo *ei)
{
    for (unsigned base = 20000 + (unsigned)(getpid() % 20000); base < 60000; base += 16) {
        bool is_free = true;
        for (unsigned i = 0; i < 9 && is_free; i++) {
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

static enum err wait_for_file(const struct own_account *own, const char *path, struct errinfo *ei)
{
    for (usec until = clock_boot_us() + (usec)30 * 1000000; clock_boot_us() < until;) {
        int status = 0;
        if (access(path, R_OK) == 0) {
            return OK;
        }
        if (waitpid(own->child, &status, WNOHANG) == own->child) {
            return err_set(ei, ERR_IO, "the account for the drill did not start (exit status %d)",
                           WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        }
        (void)poll(NULL, 0, 5);
    }
    return err_set(ei, ERR_TIMEOUT,
                   "the account for the drill did not become ready in 30 s; see %s/run", own->dir);
}

static enum err own_start(const struct conf *c, struct own_account *own, struct errinfo *ei)
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
    const char *level = conf_cstr(c, D_LEVEL);
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

static void own_stop(struct own_account *own, bool keep)
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

/* ---- results ---- */

static bool is_lossless(const struct drill_result *r)
{
    return r->lost == 0;
}

static bool meets(const struct conf *c, const struct drill_result *r)
{
    uint64_t max_rto = conf_u64(c, D_MAX_RTO);
    uint64_t max_rpo = 0;
    bool has_rpo = str_to_u64(conf_str(c, D_MAX_RPO), &max_rpo);
    int64_t rto = r->rto_ms >= 0 ? r->rto_ms : r->client_rto_ms;
    return is_lossless(r) && (max_rto == 0 || (rto >= 0 && (uint64_t)rto <= max_rto)) &&
           (!has_rpo || r->in_feed + r->lost <= max_rpo);
}

static void json_ms(struct json_out *o, const char *key, int64_t ms)
{
    json_out_key(o, key);
    if (ms < 0) {
        json_out_null(o);
    } else {
        json_out_i64(o, ms);
    }
}

static const struct {
    const char *name;
    size_t offset;
} times[] = {
    {"rto_ms", offsetof(struct drill_result, rto_ms)},
    {"client_rto_ms", offsetof(struct drill_result, client_rto_ms)},
    {"read_rto_ms", offsetof(struct drill_result, read_rto_ms)},
    {"rejoin_ms", offsetof(struct drill_result, rejoin_ms)},
};

static int64_t time_of(const struct drill_result *r, size_t i)
{
    int64_t ms;
    memcpy(&ms, (const char *)r + times[i].offset, sizeof(ms));
    return ms;
}

static int64_t over_repeats(const struct drill_result *res, unsigned n, size_t i, unsigned p)
{
    int64_t *values = MEM_NEW_ARRAY(int64_t, n);
    for (unsigned k = 0; k < n; k++) {
        values[k] = time_of(&res[k], i);
    }
    int64_t ret = drill_percentile(values, n, p);
    mem_free(values);
    return ret;
}

static void print_json(const struct conf *c, const struct drill_result *res, unsigned n,
                       bool is_met)
{
    struct buf text;
    struct json_out o;
    buf_init(&text, 16 << 20);
    json_out_init(&o, &text);
    json_out_object(&o);
    json_out_key(&o, "fault");
    json_out_cstr(&o, conf_cstr(c, D_FAULT));
    json_out_key(&o, "objectives_met");
    json_out_bool(&o, is_met);
    json_out_key(&o, "repeats");
    json_out_array(&o);
    for (unsigned k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        json_out_object(&o);
        json_out_key(&o, "fault");
        json_out_cstr(&o, conf_cstr(c, D_FAULT));
        json_out_key(&o, "level");
        json_out_cstr(&o, r->level);
        json_out_key(&o, "region");
        json_out_cstr(&o, r->region);
        json_out_key(&o, "new_writer");
        json_out_cstr(&o, r->new_writer);
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            json_ms(&o, times[i].name, time_of(r, i));
        }
        const struct {
            const char *name;
            uint64_t value;
        } counts[] = {{"acked", r->acked},     {"surviving", r->surviving},
                      {"in_feed", r->in_feed}, {"lost", r->lost},
                      {"unknown", r->unknown}, {"unknown_surviving", r->unknown_surviving},
                      {"errors", r->errors}};
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
            json_out_key(&o, counts[i].name);
            json_out_u64(&o, counts[i].value);
        }
        json_out_object_end(&o);
    }
    json_out_array_end(&o);
    for (unsigned p = 50; p <= 100; p += 50) {
        json_out_key(&o, p == 50 ? "p50" : "worst");
        json_out_object(&o);
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            json_ms(&o, times[i].name, over_repeats(res, n, i, p));
        }
        json_out_object_end(&o);
    }
    json_out_object_end(&o);
    printf(STR_FMT "\n", STR_ARG(buf_str(&text)));
    buf_done(&text);
}

static void print_ms(int64_t ms)
{
    if (ms < 0) {
        printf(" %9s", "-");
    } else {
        printf(" %9" PRId64, ms);
    }
}

static void print_table(const struct conf *c, const struct drill_result *res, unsigned n,
                        bool is_met)
{
    printf("%-4s %-9s %-8s %-8s %9s %9s %9s %9s %8s %9s %7s %5s %7s\n", "no.", "fault", "region",
           "writer", "rto_ms", "client_ms", "read_ms", "rejoin_ms", "acked", "surviving", "in_feed",
           "lost", "unknown");
    for (unsigned k = 0; k < n; k++) {
        const struct drill_result *r = &res[k];
        printf("%-4u %-9s %-8s %-8s", k + 1, conf_cstr(c, D_FAULT), r->region,
               r->new_writer[0] ? r->new_writer : "-");
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            print_ms(time_of(r, i));
        }
        printf(" %8" PRIu64 " %9" PRIu64 " %7" PRIu64 " %5" PRIu64 " %7" PRIu64 "\n", r->acked,
               r->surviving, r->in_feed, r->lost, r->unknown);
    }
    for (unsigned p = 50; p <= 100 && n > 1; p += 50) {
        printf("%-32s", p == 50 ? "p50" : "worst");
        for (size_t i = 0; i < ARRAY_COUNT(times); i++) {
            print_ms(over_repeats(res, n, i, p));
        }
        printf("\n");
    }
    uint64_t lost = 0;
    uint64_t acked = 0;
    for (unsigned k = 0; k < n; k++) {
        lost += res[k].lost;
        acked += res[k].acked;
    }
    printf("\n%" PRIu64 " writes were acknowledged, %" PRIu64 " of them are lost. %s\n", acked,
           lost, is_met ? "Objectives met." : "OBJECTIVES MISSED.");
}

/* ---- command ---- */

static void on_progress(void *ctx, const char *text)
{
    UNUSED(ctx);
    fprintf(stderr, "%s\n", text);
}

static enum err run_drill(const struct conf *c, const struct client_account *acc, bool *ret_is_met,
                          struct errinfo *ei)
{
    struct drill_opts o = {
        .account = *acc,
        .region = conf_str(c, D_REGION).n > 0 ? conf_cstr(c, D_REGION) : NULL,
        .writes_per_s = (unsigned)conf_u64(c, D_LOAD),
        .connections = (unsigned)conf_u64(c, D_CONNECTIONS),
        .warm_ms = (unsigned)conf_u64(c, D_WARM),
        .hold_ms = (unsigned)conf_u64(c, D_HOLD),
        .settle_ms = (unsigned)conf_u64(c, D_SETTLE),
        .repeats = (unsigned)conf_u64(c, D_REPEAT),
        .write_timeout_ms = (unsigned)conf_u64(c, D_WRITE_TIMEOUT),
        .progress = on_progress,
    };
    if (!drill_fault_parse(conf_str(c, D_FAULT), &o.fault)) {
        err_set(ei, ERR_USAGE, "unknown fault '%s'", conf_cstr(c, D_FAULT));
        err_hint(ei, "one of kill, pause, cut, graceful");
        return ERR_USAGE;
    }
    if (o.fault == DRILL_KILL || o.fault == DRILL_GRACEFUL) {
        o.hold_ms = 0;
    }
    struct drill_result *res = MEM_NEW_ARRAY(struct drill_result, o.repeats);
    unsigned n = 0;
    enum err err = drill_run(&o, res, &n, ei);
    bool is_met = err == OK;
    for (unsigned k = 0; k < n; k++) {
        is_met = is_met && meets(c, &res[k]);
    }
    if (n > 0) {
        (conf_bool(c, D_JSON) ? print_json : print_table)(c, res, n, is_met);
    }
    mem_free(res);
    *ret_is_met = is_met;
    return err;
}

static int run(const struct conf *c, int argc, char **argv)
{
    struct errinfo ei = {0};
    struct own_account own = {0};
    struct client_account acc;
    bool is_met = false;
    enum err err = OK;
    if (argc > 1) {
        err = err_set(&ei, ERR_USAGE, "drill takes no argument '%s'", argv[1]);
    }
    uint64_t number = 0;
    if (err == OK && conf_str(c, D_MAX_RPO).n > 0 && !str_to_u64(conf_str(c, D_MAX_RPO), &number)) {
        err = err_set(&ei, ERR_USAGE, "--max-rpo-writes needs a number");
    }
    if (err == OK) {
        struct errinfo none = {0};
        bool is_found = !conf_bool(c, D_START) &&
                        client_account_find(conf_cstr(c, D_DIR), conf_cstr(c, D_ENDPOINT),
                                            conf_cstr(c, D_KEY), &acc, &none) == OK;
        if (!is_found) {
            fprintf(stderr, "starting an account for the drill (level %s)\n",
                    conf_cstr(c, D_LEVEL));
            err = own_start(c, &own, &ei);
            if (err == OK) {
                err = client_account_find(own.dir, "", "", &acc, &ei);
            }
        }
    }
    if (err == OK) {
        err = run_drill(c, &acc, &is_met, &ei);
    }
    own_stop(&own, err != OK || !is_met);
    explicit_bzero(&acc, sizeof(acc));
    if (err != OK) {
        return cli_fail(&ei);
    }
    return is_met ? 0 : 1;
}

int cmd_drill(int argc, char **argv)
{
    struct conf *c = conf_new(rows, D_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, D_ROW_COUNT, -1, cli_command("drill"), &argc, argv, &status)) {
        status = run(c, argc, argv);
    }
    conf_free(c);
    return status;
}
