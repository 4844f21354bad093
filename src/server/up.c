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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord/coord_client.h"
#include "net/loop.h"
#include "net/sockets.h"
#include "server/hosting.h"
#include "server/notify.h"
#include "server/supervisor.h"
#include "server/up_int.h"

const char up_well_known_key[] =
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

void up_fail(struct up *up)
{
    loop_stop(up->loop);
}

/* ---- deaths ---- */

static void on_stop_confirmed(void *ctx, const struct coord_txn_result *res)
{
    struct up_region *r = ctx;
    r->is_confirming = false;
    if (res->err != OK || !res->succeeded) {
        LOG_WARN("up", "stop_not_confirmed", "region=%s", r->name);
        /* With a pause: it may have been refused at once. */
        loop_timer_set(r->up->unconfirmed, CONFIRM_RETRY_MS, 0);
    } else if (r->stopped_incarnation == r->told_incarnation) {
        r->stopped_incarnation = 0;
    } else { /* the next one has ended meanwhile */
        loop_timer_set(r->up->unconfirmed, 1, 0);
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
    r->told_incarnation = r->stopped_incarnation;
    coord_client_txn(up->coord, &txn, TXN_TIMEOUT_MS, on_stop_confirmed, r);
}

static void confirm_rest(void *ctx)
{
    struct up *up = ctx;
    for (size_t i = 0; i < up->region_count; i++) {
        confirm_stop(&up->regions[i]); /* the newest incarnation wins */
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
    if (!up_is_hosted(up)) {
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
    if (up->opts.ready_file && up_write_ready_file(up, &up->failure) != OK) {
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
            char file[RECORD_NAME_MAX + 8];
            up_server_file(up->regions[i].name, file);
            fprintf(stderr, " server %s (%s/run/%s.log)", up->regions[i].name, up->dir, file);
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
        up_read_record(up);
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
    if (up->is_ending && up_is_hosted(up)) {
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

static void on_coord_contact(void *ctx)
{
    UNUSED(ctx); /* servers and fronts say what they think of it */
}

static enum err up_start(struct up *up, struct errinfo *ei)
{
    sockets_raise_limit(); /* of our children, too */
    TRY(up_open_dir(up, ei));
    TRY(up_load_account(up, ei));
    if (!up_is_hosted(up)) {
        TRY(up_save_token(up, ei));
    }
    TRY(up_prepare_tls(up, ei));
    TRY(up_open_sockets(up, ei));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up->front_control) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up->proxy_offers) != 0) {
        return err_set(ei, ERR_IO, "cannot make a socket pair: errno %d", errno);
    }
    struct sup_events ev = {
        .ctx = up, .ready = on_child_ready, .stopped = on_child_stopped, .silent = on_child_silent};
    TRY(supervisor_new(up->loop, &ev, &up->sup, ei));
    TRY(up_add_children(up, ei));
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", up->coord_port);
    up->coord = coord_client_new(up->loop, url, &up->secrets);
    TRY(coord_client_follow(up->coord, up->secret_path, ei));
    struct coord_events watch = {.ctx = up,
                                 .changed = up_record_changed,
                                 .synced = on_coord_contact,
                                 .lost = on_coord_contact};
    char record_key[sizeof(up->prefix) + 16];
    (void)snprintf(record_key, sizeof(record_key), "%srecord", up->prefix);
    coord_client_watch(up->coord, str_of(record_key), &watch); /* not the heartbeats beside it */
    up->retry = loop_timer_new(up->loop, up_read_record, up);
    up->again = loop_timer_new(up->loop, up_read_again, up);
    up->unconfirmed = loop_timer_new(up->loop, confirm_rest, up);
    up->patience = loop_timer_new(up->loop, on_patience_lost, up);
    loop_timer_set(up->patience, PATIENCE_MS, PATIENCE_MS);
    up->renewal = loop_timer_new(up->loop, on_renewal, up);
    loop_timer_set(up->renewal, RENEWAL_MS, RENEWAL_MS);
    loop_on_signal(up->loop, SIGTERM, on_end_signal, up);
    loop_on_signal(up->loop, SIGINT, on_end_signal, up);
    if (up_is_hosted(up)) {
        up_read_record(up);
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
        loop_timer_free(up->unconfirmed);
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
