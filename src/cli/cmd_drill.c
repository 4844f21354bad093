/* `holdfast drill`: break an account on purpose, against one that runs or one started for it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "account/record.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/drill_int.h"
#include "continuity/drill/report.h"
#include "continuity/drill/timeline.h"

const struct conf_row drill_rows[D_ROW_COUNT] = {
    [D_FAULT] = {"fault", CONF_STRING, "kill", 1, 200, 0,
                 "kill, pause, cut, graceful, blackhole, refuse, disk-full, slow-disk, "
                 "coordinator-kill, flap, double, region-remove, corrupt; several with commas "
                 "between them, or all: each in turn"},
    [D_REGION] = {"region", CONF_STRING, "", 0, 63, 0,
                  "region to break; the write region when not given"},
    [D_LEVEL] = {"level", CONF_STRING, "Session", 1, 32, 0,
                 "consistency level of an account started for the drill; all: each in turn, an "
                 "account each"},
    [D_LOAD] = {"load", CONF_U64, "200", 1, 20000, 0, "writes a second"},
    [D_CONNECTIONS] = {"connections", CONF_U64, "16", 1, 256, 0, "writes in flight at most"},
    [D_REPEAT] = {"repeat", CONF_U64, "1", 1, DRILL_REPEATS_MAX, 0, "how often"},
    [D_MAX_RTO] = {"max-rto-ms", CONF_U64, "0", 0, 0, 0,
                   "fail when writes are away longer than this; 0 = no objective"},
    [D_MAX_RPO] =
        {"max-rpo-writes", CONF_STRING, "", 0, 20, 0,
         "fail when more acknowledged writes than this left the data (in the feed or lost)"},
    [D_WARM] = {"warm", CONF_DURATION, "1s", 100, 600000, 0, "load before the fault"},
    [D_HOLD] = {"hold", CONF_DURATION, "0", 0, 600000, 0,
                "the fault lasts at least this long; 0 = 3s, and 20s for flap"},
    [D_SETTLE] =
        {"settle", CONF_DURATION, "0", 0, 3600000, 0,
         "longest wait for a healthy account before, and for the region's return; 0 = 60s, "
         "and 180s for slow-disk"},
    [D_FLAP] = {"flap-period", CONF_DURATION, "1s", 50, 60000, 0,
                "flap: links are cut for so long, then sound for so long"},
    [D_DISK_DELAY] = {"disk-delay", CONF_DURATION, "6s", 1, 600000, 0,
                      "slow-disk: each sync takes this much longer"},
    [D_LINK_DELAY] = {"link-delay-ms", CONF_U64, "0", 0, 60000, 0,
                      "links between regions are this slow, each way, during the whole drill"},
    [D_WRITE_TIMEOUT] = {"write-timeout", CONF_DURATION, "1s", 50, 60000, 0,
                         "the load client gives an answer up after this"},
    [D_DIR] = {"dir", CONF_STRING, "./holdfast-data", 1, 3000, 0,
               "directory of a running `holdfast up`"},
    [D_ENDPOINT] = {"endpoint", CONF_STRING, "", 0, 255, 0, "global endpoint, instead of --dir"},
    [D_KEY] = {"key", CONF_STRING, "", 0, 100, CONF_SECRET, "account key, with --endpoint"},
    [D_CA] = {"ca", CONF_STRING, "", 0, 1000, 0,
              "PEM file of the authority trusted for https, instead of what --dir says"},
    [D_START] = {"start", CONF_BOOL, "no", 0, 0, 0,
                 "start an account for the drill even when one runs in --dir"},
    [D_REGIONS] = {"regions", CONF_STRING, "east,west,north", 1, 255, 0,
                   "regions of an account started for the drill"},
    [D_PORT] = {"port", CONF_U64, "0", 0, 65000, 0, "its port; 0 = find free ones"},
    [D_ENGINE] = {"engine", CONF_STRING, "rocksdb", 3, 16, 0, "its engine"},
    [D_HTML] = {"html", CONF_STRING, "", 0, 3000, 0, "write a report for people to this file"},
    [D_JSON] = {"json", CONF_BOOL, "no", 0, 0, 0, "print the results as JSON"},
};

/* Everything that was measured, over all faults and levels. */
struct harvest {
    struct drill_result *results; /* owned */
    size_t count;
    bool is_own_account;
    struct drill_skips skips;
};

/* The signal that asked us to end. Nothing may stay frozen or cut because somebody pressed Ctrl-C. */
static volatile sig_atomic_t interrupted;
static volatile sig_atomic_t signal_count;

/* The third one ends us as it would have: `timeout` sends two at once. */
static void on_signal(int signum)
{
    interrupted = signum;
    signal_count = signal_count + 1;
    if (signal_count >= 2) {
        (void)signal(signum, SIG_DFL);
    }
}

static void heed_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++) {
        struct sigaction was;
        struct sigaction sa = {0};
        sa.sa_handler = on_signal;
        (void)sigaction(signals[i], NULL, &was); /* nohup stays nohup */
        if (was.sa_handler != SIG_IGN) {
            (void)sigaction(signals[i], &sa, NULL);
        }
    }
}

static void on_progress(void *ctx, const char *text)
{
    UNUSED(ctx);
    fprintf(stderr, "%s\n", text);
}

/* Before the drill: who has waited for twenty repeats wants the report. */
static enum err check_report(const char *path, struct errinfo *ei)
{
    char folder[4096];
    struct stat st;
    (void)snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash != NULL) {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    if (path[0] && access(slash != NULL ? folder : ".", W_OK) != 0) {
        return err_set(ei, ERR_IO, "cannot write %s: %s", path, err_errno_text(errno));
    }
    if (path[0] && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return err_set(ei, ERR_IO, "cannot write %s: it is a folder", path);
    }
    return OK;
}

static enum err fill(const struct conf *c, struct drill_opts *o, struct errinfo *ei)
{
    *o = (struct drill_opts){
        .region = conf_str(c, D_REGION).n > 0 ? conf_cstr(c, D_REGION) : NULL,
        .writes_per_s = (unsigned)conf_u64(c, D_LOAD),
        .connections = (unsigned)conf_u64(c, D_CONNECTIONS),
        .warm_ms = (unsigned)conf_u64(c, D_WARM),
        .flap_ms = (unsigned)conf_u64(c, D_FLAP),
        .disk_delay_ms = (unsigned)conf_u64(c, D_DISK_DELAY),
        .link_delay_ms = (unsigned)conf_u64(c, D_LINK_DELAY),
        .repeats = (unsigned)conf_u64(c, D_REPEAT),
        .write_timeout_ms = (unsigned)conf_u64(c, D_WRITE_TIMEOUT),
        .wants_timeline = conf_str(c, D_HTML).n > 0,
        .interrupted = &interrupted,
        .progress = on_progress,
    };
    TRY(check_report(conf_cstr(c, D_HTML), ei));
    uint64_t number = 0;
    if (conf_str(c, D_MAX_RPO).n > 0 && !str_to_u64(conf_str(c, D_MAX_RPO), &number)) {
        return err_set(ei, ERR_USAGE, "--max-rpo-writes needs a number");
    }
    return OK;
}

static enum err drill_into(struct harvest *h, const struct drill_opts *o, struct errinfo *ei)
{
    h->results = mem_realloc(h->results, (h->count + o->repeats) * sizeof(h->results[0]));
    unsigned n = 0;
    enum err err = drill_run(o, h->results + h->count, &n, ei);
    h->count += n;
    return err;
}

/* One account of our own. Its files stay when something is wrong with it. */
static enum err drill_own(const struct conf *c, const char *level, struct drill_opts *o,
                          struct harvest *h, struct errinfo *ei)
{
    struct drill_own own = {0};
    size_t first = h->count;
    h->is_own_account = true;
    fprintf(stderr, "starting an account for the drill (level %s)\n", level);
    enum err err = drill_own_start(c, level, &own, ei);
    if (err == OK) {
        err = client_account_find(own.dir, "", "", "", &o->account, ei);
    }
    if (err == OK) {
        err = drill_into(h, o, ei);
    }
    bool is_met = err == OK;
    for (size_t k = first; k < h->count; k++) {
        is_met = is_met && drill_meets(c, &h->results[k]);
    }
    drill_own_stop(&own, !is_met && err != ERR_UNSUPPORTED && !interrupted);
    return err;
}

/* What the account is, is not for the drill to say: a result under another level would be believed. */
static enum err check_running(const struct conf *c, const struct client_account *account,
                              struct errinfo *ei)
{
    static const unsigned own_only[] = {D_REGIONS, D_PORT, D_ENGINE};
    for (size_t i = 0; i < ARRAY_COUNT(own_only); i++) {
        if (conf_source(c, own_only[i]) == CONF_FROM_FLAG) {
            err_set(ei, ERR_USAGE, "--%s is for an account that the drill starts",
                    drill_rows[own_only[i]].name);
            err_hint(ei, "%s runs already; --start starts another one", account->endpoint);
            return ERR_USAGE;
        }
    }
    if (conf_source(c, D_LEVEL) == CONF_FROM_DEFAULT) {
        return OK;
    }
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    enum err err = client_get(account, &a, account->endpoint, "/_holdfast/account", &doc, ei);
    struct str level = json_text(doc, "consistency");
    if (err == OK && !str_eq_nocase(level, conf_str(c, D_LEVEL))) {
        err = err_set(ei, ERR_USAGE, "the account runs at " STR_FMT ", not at %s", STR_ARG(level),
                      conf_cstr(c, D_LEVEL));
        err_hint(ei,
                 "--start drills an account of its own; `holdfast account consistency %s` changes "
                 "this one",
                 conf_cstr(c, D_LEVEL));
    }
    arena_done(&a);
    return err;
}

/* Only where nothing says which account is meant may it be one of our own. */
static bool is_named(const struct conf *c)
{
    static const unsigned rows_of_account[] = {D_DIR, D_ENDPOINT, D_KEY};
    bool ret = false;
    for (size_t i = 0; i < ARRAY_COUNT(rows_of_account); i++) {
        ret = ret || conf_source(c, rows_of_account[i]) != CONF_FROM_DEFAULT;
    }
    return ret;
}

/* The running account, if there is one and nothing asks for another. */
static enum err find_running(const struct conf *c, struct client_account *ret, bool *is_own,
                             struct errinfo *ei)
{
    struct errinfo why = {0};
    *is_own = true;
    if (conf_bool(c, D_START) || str_eq_nocase(conf_str(c, D_LEVEL), STR("all"))) {
        return OK;
    }
    enum err err = client_account_find(conf_cstr(c, D_DIR), conf_cstr(c, D_ENDPOINT),
                                       conf_cstr(c, D_KEY), conf_cstr(c, D_CA), ret, &why);
    *is_own = err == ERR_NOT_FOUND && !is_named(c);
    if (err == OK) {
        return check_running(c, ret, ei);
    }
    if (!*is_own) {
        *ei = why;
    }
    return *is_own ? OK : err;
}

/* Each fault at each level. What cannot be done here is left out with its reason, as long as there is more. */
static enum err drill_each(const struct conf *c, const struct drill_order *order,
                           struct drill_opts *o, struct harvest *h, struct errinfo *ei)
{
    bool is_own = false;
    TRY(find_running(c, &o->account, &is_own, ei));
    for (size_t i = 0; i < order->level_count * order->fault_count; i++) {
        const char *level = order->levels[i / order->fault_count];
        o->fault = order->faults[i % order->fault_count];
        o->wants_timeline = o->wants_timeline && h->count < DRILL_PICTURES_MAX;
        unsigned usual_ms = drill_fault_hold_ms(o->fault);
        unsigned asked_ms = (unsigned)conf_u64(c, D_HOLD);
        o->hold_ms = usual_ms == 0 || asked_ms == 0 ? usual_ms : asked_ms;
        unsigned settle_ms = (unsigned)conf_u64(c, D_SETTLE);
        o->settle_ms = settle_ms > 0 ? settle_ms : drill_fault_settle_ms(o->fault);
        enum err err = is_own ? drill_own(c, level, o, h, ei) : drill_into(h, o, ei);
        if (err == ERR_UNSUPPORTED && order->level_count * order->fault_count > 1) {
            drill_skip(&h->skips, o->fault, is_own ? level : NULL, ei);
        } else if (err != OK) {
            return err;
        }
    }
    return h->count > 0 ? OK
                        : err_set(ei, ERR_UNSUPPORTED, "none of these faults can be drilled here");
}

/* The command line again, as it would be typed; nothing of the key. */
static void command_text(int argc, char **argv, struct buf *out)
{
    buf_add_cstr(out, "holdfast drill");
    for (int i = 1; i < argc; i++) {
        bool is_key = str_starts(str_of(argv[i]), STR("--key"));
        if (is_key) {
            i += strchr(argv[i], '=') ? 0 : 1;
            continue;
        }
        bool is_plain = strpbrk(argv[i], " \t\n\"'\\$`;&|<>()*?#~") == NULL && argv[i][0];
        buf_printf(out, is_plain ? " %s" : " '%s'", argv[i]);
    }
}

static enum err write_report(const struct conf *c, const struct drill_opts *o,
                             const struct harvest *h, const char *command, bool is_met,
                             struct errinfo *ei)
{
    uint64_t max_rpo = 0;
    struct drill_report r = {
        .account = o->account.account[0] ? o->account.account : "holdfast",
        .version = HF_VERSION,
        .wall_ms = clock_wall_ms(),
        .command = command,
        .opts = *o,
        .results = h->results,
        .count = h->count,
        .max_rto_ms = conf_u64(c, D_MAX_RTO),
        .has_max_rpo = str_to_u64(conf_str(c, D_MAX_RPO), &max_rpo),
        .is_met = is_met,
        .is_own_account = h->is_own_account,
    };
    r.max_rpo_writes = max_rpo;
    r.skips = h->skips;
    struct buf page;
    buf_init(&page, DRILL_REPORT_SIZE_MAX);
    drill_report_html(&r, &page);
    enum err err = buf_ok(&page)
                       ? files_write_durable(conf_cstr(c, D_HTML), buf_str(&page), 0644, ei)
                       : err_set(ei, ERR_LIMIT, "the report is larger than %d MiB",
                                 DRILL_REPORT_SIZE_MAX >> 20);
    buf_done(&page);
    return err;
}

static int run(const struct conf *c, int argc, char **argv, const char *command)
{
    struct errinfo ei = {0};
    struct drill_order order = {0};
    struct drill_opts o = {0};
    struct harvest h = {0};
    enum err err = OK;
    if (argc > 1) {
        err = err_set(&ei, ERR_USAGE, "drill takes no argument '%s'", argv[1]);
    }
    if (err == OK) {
        err = fill(c, &o, &ei);
    }
    if (err == OK) {
        err = drill_order_read(c, &order, &ei);
    }
    if (err == OK) {
        heed_signals();
        err = drill_each(c, &order, &o, &h, &ei);
    }
    bool is_met = err == OK;
    for (size_t k = 0; k < h.count; k++) {
        is_met = is_met && drill_meets(c, &h.results[k]);
    }
    if (h.count > 0 && conf_bool(c, D_JSON)) {
        drill_print_json(c, h.results, h.count, &h.skips, is_met);
    } else if (h.count > 0) {
        drill_print_table(h.results, h.count, &h.skips, is_met);
    }
    if (h.count > 0 && conf_str(c, D_HTML).n > 0) {
        struct errinfo why = {0};
        enum err written = write_report(c, &o, &h, command, is_met, &why);
        if (written != OK && err == OK) {
            err = written;
            ei = why;
        }
    }
    for (size_t k = 0; k < h.count; k++) {
        timeline_free(h.results[k].timeline);
    }
    mem_free(h.results);
    explicit_bzero(&o.account, sizeof(o.account));
    if (interrupted && err == ERR_CLOSED) {
        fprintf(stderr, "holdfast: interrupted\n");
        (void)fflush(NULL);
        (void)signal(interrupted, SIG_DFL); /* whoever waits for us sees how we ended */
        (void)raise(interrupted);
    }
    if (err != OK) {
        return cli_fail(&ei);
    }
    return is_met ? 0 : 1;
}

int cmd_drill(int argc, char **argv)
{
    struct conf *c = conf_new(drill_rows, D_ROW_COUNT);
    struct buf command;
    int status = 0;
    buf_init(&command, 64 << 10);
    command_text(argc, argv, &command); /* options are taken out of argv */
    buf_add_char(&command, '\0');
    if (cli_options(c, drill_rows, D_ROW_COUNT, -1, cli_command("drill"), &argc, argv, &status)) {
        status = run(c, argc, argv, buf_ok(&command) ? command.p : "holdfast drill ...");
    }
    buf_done(&command);
    conf_free(c);
    return status;
}
