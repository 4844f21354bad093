/* `holdfast up`. */
#include <stdio.h>
#include <string.h>

#include "account/distance.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "manage/manage.h"
#include "net/link.h"
#include "server/up.h"
#include "server/webhook.h"

enum {
    UP_DIR,
    UP_PORT,
    UP_REGIONS,
    UP_CONSISTENCY,
    UP_STALENESS_OPS,
    UP_STALENESS_SECONDS,
    UP_SESSION_AFTER_LOSS,
    UP_KEEP_WRITING,
    UP_ACCOUNT,
    UP_KEY,
    UP_WELL_KNOWN_KEY,
    UP_READY_FILE,
    UP_ENGINE,
    UP_PROFILE,
    UP_AUTO_FAILOVER,
    UP_DISK_RESERVE,
    UP_LOG_BUDGET,
    UP_SLOW_COMMIT,
    UP_SLOW_FOR,
    UP_FAILOVER_HOLD,
    UP_FAULT_PROXY,
    UP_WATCHDOG,
    UP_KILL,
    UP_WEBHOOK,
    UP_WEBHOOK_SECRET_FILE,
    UP_PEER_TLS,
    UP_TLS,
    UP_TLS_CERT,
    UP_TLS_KEY,
    UP_TLS_CA,
    UP_HOST_SUFFIX,
    UP_QUIET,
    UP_MANAGEMENT_TOKEN,
    UP_COORDINATOR_PORT,
    UP_SECRET_FILE,
    UP_LOG_LEVEL,
    UP_CONFIG,
    UP_ROW_COUNT,
};

static const struct conf_row rows[UP_ROW_COUNT] = {
    [UP_DIR] = {"dir", CONF_STRING, UP_DIR_DEFAULT, 1, 3000, 0, "where the account's data lives"},
    [UP_PORT] = {"port", CONF_U64, "8081", 1, UP_PORT_MAX, 0,
                 "port of the global endpoint; regions get the next ones"},
    [UP_REGIONS] = {"regions", CONF_LIST, "east,west,north", 1, UP_REGIONS_MAX, 0,
                    "regions in priority order; the first one writes"},
    [UP_CONSISTENCY] =
        {"consistency", CONF_STRING, "Session", 1, 32, 0,
         "account level at the first start: Strong, BoundedStaleness, Session, ConsistentPrefix or "
         "Eventual; later `holdfast account consistency` changes it"},
    [UP_STALENESS_OPS] = {"max-staleness-ops", CONF_U64, "100000", 1, STALENESS_OPS_MAX, 0,
                          "BoundedStaleness: writes that a region may lack per partition"},
    [UP_STALENESS_SECONDS] = {"max-staleness-seconds", CONF_U64, "300", STALENESS_S_MIN,
                              STALENESS_S_MAX, 0,
                              "BoundedStaleness: how old the oldest of them may become"},
    [UP_SESSION_AFTER_LOSS] = {"session-after-loss", CONF_STRING, "accept", 1, 16, 0,
                               "accept or reject session tokens that name what a failover cut off"},
    [UP_KEEP_WRITING] =
        {"keep-writing-without-coordinator", CONF_STRING, "auto", 1, 16, 0,
         "yes: a writer that does not hear the coordinator goes on while every other "
         "region agrees; no; auto: in accounts of one region only"},
    [UP_ACCOUNT] = {"account", CONF_STRING, "holdfast", 3, 44, 0, "account name"},
    [UP_KEY] = {"key", CONF_STRING, "", 0, 200, CONF_SECRET,
                "primary key: base64 of 64 bytes; made at the first start when not given "
                "(HOLDFAST_KEY hides it from the process list)"},
    [UP_WELL_KNOWN_KEY] = {"well-known-key", CONF_BOOL, "no", 0, 0, 0,
                           "use the public emulator key (everybody knows it; loopback only)"},
    [UP_READY_FILE] = {"ready-file", CONF_STRING, "", 0, 3000, 0,
                       "write endpoint, key and regions as JSON here once requests are served"},
    [UP_ENGINE] = {"engine", CONF_STRING, "rocksdb", 1, 16, 0,
                   "rocksdb (durable) or mem (forgets)"},
    [UP_PROFILE] = {"profile", CONF_STRING, "lan", 1, 16, 0, "timers: lan or wan"},
    [UP_AUTO_FAILOVER] = {"auto-failover", CONF_BOOL, "yes", 0, 0, 0,
                          "promote by priority when the write region is lost"},
    [UP_DISK_RESERVE] = {"disk-reserve", CONF_SIZE, "256M", 0, 0, 0,
                         "a region with less free disk space takes no writes; 0 = never"},
    [UP_LOG_BUDGET] = {"log-budget", CONF_SIZE, "0", 0, 0, 0,
                       "log kept for regions that are away; beyond it they come back by a full "
                       "copy; 0 = a fifth of the disk"},
    [UP_SLOW_COMMIT] = {"slow-commit", CONF_DURATION, "5s", 10, 3600000, 0,
                        "a disk is slow whose commits take longer than this"},
    [UP_SLOW_FOR] = {"slow-for", CONF_DURATION, "10s", 10, 3600000, 0,
                     "a region whose disk is slow this long hands the write region over"},
    [UP_FAILOVER_HOLD] = {"failover-hold", CONF_DURATION, "0", 0, 86400000, 0,
                          "after a failover without a confirmed stop the next such one waits this "
                          "long; 0 = 5s with profile lan, 10m with wan"},
    [UP_FAULT_PROXY] = {"fault-proxy", CONF_BOOL, "no", 0, 0, 0,
                        "send links between processes through a proxy that drills can cut"},
    [UP_WATCHDOG] = {"watchdog", CONF_DURATION, "1s", 0, 600000, 0,
                     "stand in for a server frozen this long; 0 = never"},
    [UP_KILL] =
        {"kill-frozen", CONF_DURATION, "2s", 0, 3600000, 0,
         "kill a server frozen this long (its clients hang on open connections); 0 = never"},
    [UP_WEBHOOK] = {"webhook", CONF_STRING, "", 0, 2000, CONF_SECRET,
                    "http:// or https:// URL that is told of failovers"},
    [UP_WEBHOOK_SECRET_FILE] =
        {"webhook-secret-file", CONF_STRING, "", 0, 3000, 0,
         "file with the secret (16 bytes or more) that signs what it is sent"},
    [UP_MANAGEMENT_TOKEN] =
        {"management-token", CONF_STRING, "", 0, MANAGE_TOKEN_SIZE_MAX, CONF_SECRET,
         "bearer token of the management interface; made at the first start when not given, kept "
         "in management.token (HOLDFAST_MANAGEMENT_TOKEN hides it from the process list)"},
    [UP_COORDINATOR_PORT] = {"coordinator-port", CONF_U64, "0", 0, 65535, 0,
                             "use the coordinator of another `up` on this machine; 0 = start one"},
    [UP_SECRET_FILE] = {"secret-file", CONF_STRING, "", 0, 3000, 0,
                        "file with that coordinator's secret"},
    [UP_PEER_TLS] = {"peer-tls", CONF_STRING, "off", 1, 16, 0,
                     "links between the regions: off, as they stay on this machine's loopback, or "
                     "require TLS (the default of `server`), or allow both"},
    [UP_TLS] =
        {"tls", CONF_BOOL, "no", 0, 0, 0,
         "https, with a certificate of an authority made in the data directory (tls/ca.pem)"},
    [UP_TLS_CERT] = {"tls-cert", CONF_STRING, "", 0, 3000, 0,
                     "https with this PEM file instead: certificate for the global and every "
                     "regional host name, then its chain"},
    [UP_TLS_KEY] = {"tls-key", CONF_STRING, "", 0, 3000, 0, "PEM file with its private key"},
    [UP_TLS_CA] = {"tls-ca", CONF_STRING, "", 0, 1000, 0,
                   "PEM file of its authority, when the system does not know it"},
    [UP_HOST_SUFFIX] =
        {"host-suffix", CONF_STRING, "", 0, UP_HOST_SUFFIX_MAX, 0,
         "endpoints are ACCOUNT.SUFFIX and ACCOUNT-REGION.SUFFIX, which must resolve "
         "to this machine; with TLS else localhost, without 127.0.0.1"},
    [UP_QUIET] = {"quiet", CONF_BOOL, "no", 0, 0, 0, "print no summary"},
    [UP_LOG_LEVEL] = {"log-level", CONF_STRING, "info", 1, 16, 0, "error, warn, info or debug"},
    [UP_CONFIG] = {"config", CONF_STRING, "", 0, 3000, 0, "file with these options"},
};

/* Names become host names and file names: letters, digits, blanks and hyphens. */
static enum err check_name(struct str name, const char *what, struct errinfo *ei)
{
    if (name.n == 0 || name.n >= RECORD_NAME_MAX || name.p[0] == '-') {
        err_set(ei, ERR_USAGE, "bad %s name '" STR_FMT "'", what, STR_ARG(name));
        err_hint(ei, "1 to %d characters, the first one no hyphen", RECORD_NAME_MAX - 1);
        return ERR_USAGE;
    }
    for (size_t i = 0; i < name.n; i++) {
        char ch = name.p[i];
        bool is_fine = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-';
        if (!is_fine) {
            err_set(ei, ERR_USAGE, "bad %s name '" STR_FMT "'", what, STR_ARG(name));
            err_hint(ei, "lower-case letters, digits and hyphens only");
            return ERR_USAGE;
        }
    }
    if (strcmp(what, "account") == 0 && str_eq(name, STR("localhost"))) {
        err_set(ei, ERR_USAGE, "an account cannot be called localhost");
        err_hint(ei, "clients would ignore its regions");
        return ERR_USAGE;
    }
    return OK;
}

/* Clients refuse what is not base64, and a short key would be guessed. */
static enum err check_key(const char *key, struct errinfo *ei)
{
    struct buf raw;
    buf_init(&raw, 256);
    bool is_base64 = codec_unbase64(&raw, str_of(key)) && buf_ok(&raw);
    size_t size = raw.n;
    buf_done_secret(&raw);
    if (is_base64 && size == UP_KEY_BYTES) {
        return OK;
    }
    if (is_base64) {
        err_set(ei, ERR_USAGE, "the key is base64 of %zu bytes, it must be of %d", size,
                UP_KEY_BYTES);
    } else {
        err_set(ei, ERR_USAGE, "the key is not base64");
    }
    err_hint(ei,
             "leave --key out and one is made, or make one: head -c 64 /dev/urandom | base64 -w0");
    return ERR_USAGE;
}

static enum err unknown_word(const char *option, const char *given, const char *choices,
                             struct errinfo *ei)
{
    err_set(ei, ERR_USAGE, "unknown %s '%s'", option, given);
    err_hint(ei, "one of %s", choices);
    return ERR_USAGE;
}

static enum err fill_bounds(const struct conf *c, struct up_opts *o, struct errinfo *ei)
{
    bool is_given = conf_source(c, UP_STALENESS_OPS) != CONF_FROM_DEFAULT ||
                    conf_source(c, UP_STALENESS_SECONDS) != CONF_FROM_DEFAULT;
    o->max_staleness_ops = conf_u64(c, UP_STALENESS_OPS);
    o->max_staleness_s = conf_u64(c, UP_STALENESS_SECONDS);
    if (o->level != CONSISTENCY_BOUNDED_STALENESS) {
        return is_given ? err_set(ei, ERR_USAGE,
                                  "--max-staleness-ops and --max-staleness-seconds need "
                                  "--consistency BoundedStaleness")
                        : OK;
    }
    struct account_record like = {.region_count = o->region_count,
                                  .max_staleness_ops = o->max_staleness_ops,
                                  .max_staleness_s = (uint32_t)o->max_staleness_s};
    if (account_bounds_are_tight(&like)) {
        (void)fprintf(stderr, ACCOUNT_TIGHT_WARNING "\n");
    }
    return OK;
}

/* Who starts an account by hand sees where its regions are: no refusal, as `account consistency` has. */
static enum err warn_of_distance(const struct up_opts *o, struct errinfo *ei)
{
    struct account_record like;
    struct errinfo far = {0};
    account_init(&like, o->account, o->level);
    for (unsigned i = 0; i < o->region_count; i++) {
        TRY(account_add_region(&like, o->regions[i], "", "", 0, ei));
    }
    if (distance_check(&like, o->level, STR(""), &far) != OK) {
        (void)fprintf(stderr, "warning: %s\n", far.message);
    }
    return OK;
}

/* Told here, not in the log of a process that does not start. */
static enum err check_webhook(const struct up_opts *o, struct errinfo *ei)
{
    struct str url = str_of(o->webhook ? o->webhook : "http://");
    bool is_url = str_starts(url, STR("http://")) || str_starts(url, STR("https://"));
    if (!is_url || str_find(url, STR("\"")) >= 0 || str_find(url, STR("\n")) >= 0) {
        return err_set(ei, ERR_USAGE, "--webhook is not an http:// or https:// URL");
    }
    if (o->webhook_secret_file && !o->webhook) {
        return err_set(ei, ERR_USAGE, "--webhook-secret-file is of no use without --webhook");
    }
    if (!o->webhook_secret_file) {
        return OK;
    }
    char secret[FILES_SECRET_SIZE];
    size_t size = 0;
    TRY(files_read_secret(o->webhook_secret_file, secret, &size, ei));
    explicit_bzero(secret, sizeof(secret));
    if (size < WEBHOOK_SECRET_SIZE_MIN) {
        return err_set(ei, ERR_USAGE, "the secret in %s is shorter than %d bytes",
                       o->webhook_secret_file, WEBHOOK_SECRET_SIZE_MIN);
    }
    return OK;
}

static const char *given(const struct conf *c, unsigned row)
{
    return conf_str(c, row).n > 0 ? conf_cstr(c, row) : NULL;
}

static enum err fill_tls(const struct conf *c, struct up_opts *o, struct errinfo *ei)
{
    o->tls_cert = given(c, UP_TLS_CERT);
    o->tls_key = given(c, UP_TLS_KEY);
    o->tls_ca = given(c, UP_TLS_CA);
    if ((o->tls_cert == NULL) != (o->tls_key == NULL)) {
        return err_set(ei, ERR_USAGE, "--tls-cert and --tls-key need each other");
    }
    if (o->tls_ca && !o->tls_cert) {
        return err_set(ei, ERR_USAGE, "--tls-ca is of no use without --tls-cert");
    }
    o->has_tls = conf_bool(c, UP_TLS) || o->tls_cert;
    o->host_suffix = given(c, UP_HOST_SUFFIX);
    if (!o->host_suffix) {
        o->host_suffix = o->has_tls ? "localhost" : NULL;
        return OK;
    }
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";
    size_t n = strlen(o->host_suffix);
    if (strspn(o->host_suffix, allowed) != n || strchr(".-", o->host_suffix[0]) ||
        strchr(".-", o->host_suffix[n - 1]) || strstr(o->host_suffix, "..")) {
        err_set(ei, ERR_USAGE, "bad --host-suffix '%s'", o->host_suffix);
        err_hint(ei, "a domain in lower case, like cosmos.example.com");
        return ERR_USAGE;
    }
    return OK;
}

/* A label of a host name has 63 characters at most. */
static enum err check_labels(const struct up_opts *o, struct errinfo *ei)
{
    enum { LABEL_MAX = 63 };
    for (size_t i = 0; o->host_suffix && i < o->region_count; i++) {
        if (strlen(o->account) + 1 + strlen(o->regions[i]) > LABEL_MAX) {
            return err_set(ei, ERR_USAGE, "the host name label %s-%s is longer than %d characters",
                           o->account, o->regions[i], LABEL_MAX);
        }
    }
    return OK;
}

static enum err fill(const struct conf *c, struct up_opts *o, struct errinfo *ei)
{
    o->dir = conf_cstr(c, UP_DIR);
    o->port = (unsigned)conf_u64(c, UP_PORT);
    o->account = conf_cstr(c, UP_ACCOUNT);
    TRY(check_name(str_of(o->account), "account", ei));
    o->region_count = conf_list_count(c, UP_REGIONS);
    for (unsigned i = 0; i < o->region_count; i++) {
        struct str name = conf_list_item(c, UP_REGIONS, i);
        TRY(check_name(name, "region", ei));
        for (unsigned k = 0; k < i; k++) {
            if (str_eq(name, str_of(o->regions[k]))) {
                return err_set(ei, ERR_USAGE, "region '" STR_FMT "' is named twice", STR_ARG(name));
            }
        }
        memcpy(o->regions[i], name.p, name.n);
    }
    TRY(fill_tls(c, o, ei));
    TRY(check_labels(o, ei));
    o->has_fault_proxy = conf_bool(c, UP_FAULT_PROXY);
    if (o->has_fault_proxy && o->region_count > UP_PROXY_REGIONS_MAX) {
        return err_set(ei, ERR_USAGE, "--fault-proxy carries the links of %d regions at most",
                       UP_PROXY_REGIONS_MAX);
    }
    o->has_account = conf_source(c, UP_ACCOUNT) != CONF_FROM_DEFAULT;
    o->has_engine = conf_source(c, UP_ENGINE) != CONF_FROM_DEFAULT;
    o->has_regions = conf_source(c, UP_REGIONS) != CONF_FROM_DEFAULT;
    o->has_level = conf_source(c, UP_CONSISTENCY) != CONF_FROM_DEFAULT;
    if (!consistency_parse(conf_str(c, UP_CONSISTENCY), &o->level)) {
        return unknown_word("consistency level", conf_cstr(c, UP_CONSISTENCY),
                            "Strong, BoundedStaleness, Session, ConsistentPrefix, Eventual", ei);
    }
    TRY(fill_bounds(c, o, ei));
    TRY(warn_of_distance(o, ei));
    o->rejects_lost_sessions = str_eq(conf_str(c, UP_SESSION_AFTER_LOSS), STR("reject"));
    if (!o->rejects_lost_sessions && !str_eq(conf_str(c, UP_SESSION_AFTER_LOSS), STR("accept"))) {
        return unknown_word("session-after-loss", conf_cstr(c, UP_SESSION_AFTER_LOSS),
                            "accept, reject", ei);
    }
    if (!keep_writing_parse(conf_str(c, UP_KEEP_WRITING), &o->keep_writing)) {
        return unknown_word("keep-writing-without-coordinator", conf_cstr(c, UP_KEEP_WRITING),
                            "auto, yes, no", ei);
    }
    o->key = conf_str(c, UP_KEY).n > 0 ? conf_cstr(c, UP_KEY) : NULL;
    if (conf_bool(c, UP_WELL_KNOWN_KEY)) {
        if (o->key) {
            return err_set(ei, ERR_USAGE, "--key and --well-known-key exclude each other");
        }
        o->key = up_well_known_key;
    }
    if (o->key) {
        TRY(check_key(o->key, ei));
    }
    o->management_token =
        conf_str(c, UP_MANAGEMENT_TOKEN).n > 0 ? conf_cstr(c, UP_MANAGEMENT_TOKEN) : NULL;
    if (o->management_token && strlen(o->management_token) < MANAGE_TOKEN_SIZE_MIN) {
        return err_set(ei, ERR_USAGE, "the management token has fewer than %d characters",
                       MANAGE_TOKEN_SIZE_MIN);
    }
    o->coordinator_port = (unsigned)conf_u64(c, UP_COORDINATOR_PORT);
    o->secret_file = conf_str(c, UP_SECRET_FILE).n > 0 ? conf_cstr(c, UP_SECRET_FILE) : NULL;
    if ((o->coordinator_port != 0) != (o->secret_file != NULL)) {
        return err_set(ei, ERR_USAGE, "--coordinator-port and --secret-file belong together");
    }
    o->ready_file = conf_str(c, UP_READY_FILE).n > 0 ? conf_cstr(c, UP_READY_FILE) : NULL;
    o->engine = conf_cstr(c, UP_ENGINE);
    if (strcmp(o->engine, "rocksdb") != 0 && strcmp(o->engine, "mem") != 0) {
        return unknown_word("engine", o->engine, "rocksdb, mem", ei);
    }
    o->peer_tls = conf_cstr(c, UP_PEER_TLS);
    enum link_security security;
    TRY(link_security_parse(o->peer_tls, &security, ei)); /* told here, not by a child */
    o->profile = conf_cstr(c, UP_PROFILE);
    if (strcmp(o->profile, "lan") != 0 && strcmp(o->profile, "wan") != 0) {
        return unknown_word("profile", o->profile, "lan, wan", ei);
    }
    o->auto_failover = conf_bool(c, UP_AUTO_FAILOVER);
    o->disk_reserve_size = conf_u64(c, UP_DISK_RESERVE);
    o->log_budget_size = conf_u64(c, UP_LOG_BUDGET);
    o->slow_commit_ms = (unsigned)conf_u64(c, UP_SLOW_COMMIT);
    o->slow_for_ms = (unsigned)conf_u64(c, UP_SLOW_FOR);
    o->failover_hold_ms = (unsigned)conf_u64(c, UP_FAILOVER_HOLD);
    o->watchdog_ms = (unsigned)conf_u64(c, UP_WATCHDOG);
    o->kill_ms = (unsigned)conf_u64(c, UP_KILL);
    o->webhook = conf_str(c, UP_WEBHOOK).n > 0 ? conf_cstr(c, UP_WEBHOOK) : NULL;
    o->webhook_secret_file =
        conf_str(c, UP_WEBHOOK_SECRET_FILE).n > 0 ? conf_cstr(c, UP_WEBHOOK_SECRET_FILE) : NULL;
    TRY(check_webhook(o, ei));
    o->is_quiet = conf_bool(c, UP_QUIET);
    o->log_level = conf_cstr(c, UP_LOG_LEVEL);
    enum log_level level;
    if (log_level_parse(o->log_level, &level) != 0) {
        return unknown_word("log level", o->log_level, "error, warn, info, debug", ei);
    }
    /* Our terminal is for people; the processes' logs are in files. */
    log_set_level(level == LOG_LEVEL_INFO ? LOG_LEVEL_WARN : level);
    return OK;
}

int cmd_up(int argc, char **argv)
{
    struct conf *c = conf_new(rows, UP_ROW_COUNT);
    int status = 0;
    if (cli_options(c, rows, UP_ROW_COUNT, UP_CONFIG, cli_command("up"), &argc, argv, &status)) {
        struct up_opts opts = {0};
        struct errinfo ei = {0};
        log_set_name("up");
        enum err err = OK;
        if (argc > 1) {
            err = err_set(&ei, ERR_USAGE, "up takes no argument '%s'", argv[1]);
        } else {
            err = fill(c, &opts, &ei);
        }
        if (err == OK) {
            err = up_run(&opts, &ei);
        }
        status = err == OK ? 0 : cli_fail(&ei);
    }
    conf_free(c);
    return status;
}
