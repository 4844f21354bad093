/* The coordinator killed at random moments, over and over, while a client writes.
 *
 * The child process serves, the parent compares-and-sets and kills. After each restart: every
 * acknowledged durable value is there (or a later one of the same key that was sent and not answered),
 * and every revision ever seen in an answer is lower than every revision given out from then on. No
 * volatile value that was acknowledged is there; one that was not may be: the listening socket outlives
 * the process, and the next one may find the request in it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/coord/secret_of.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/rng.h"
#include "coord/coord_client.h"
#include "coord/server.h"
#include "lib/t.h"
#include "net/sockets.h"

enum {
    KEYS = 5,
    KILLS = 25,
    TXN_TIMEOUT_MS = 500,
    RESTART_TIMEOUT_MS = 15000,
    BIG_VALUE_SIZE = 200000,
};

static struct {
    int fd;
    char url[64];
    char dir[512];
    const char *program;
    pid_t server;
    struct rng rng;
    uint64_t acked[KEYS]; /* number of the last value acknowledged */
    uint64_t sent[KEYS];  /* number of the last value sent */
    coord_rev revs[KEYS]; /* of the last value known; what the next one is compared with */
    uint64_t volatile_sent;
    bool is_volatile_acked; /* the last one sent */
    struct loop *loop;
    struct coord_client *client;
    enum err txn_err;
    coord_rev txn_rev;
    bool txn_succeeded;
    coord_rev rev_max; /* highest seen in any answer */
    char *padding;     /* makes the file grow, so that rewrites happen under fire */
} w;

static int serve(const char *dir, const char *fd_text)
{
    struct coord_server_opts opts = {.dir = dir, .secrets = secret_of(STR("s"))};
    struct errinfo ei = {0};
    log_set_level(LOG_LEVEL_WARN);
    opts.listen_fd = (int)strtol(fd_text, NULL, 10);
    if (coord_server_run(&opts, &ei) != OK) {
        LOG_ERROR("test", "coordinator_failed", "why=%s", ei.message);
        return 1;
    }
    return 0;
}

static void start_server(void)
{
    w.server = fork();
    t_check(w.server >= 0);
    if (w.server == 0) {
        char fd_text[16];
        (void)snprintf(fd_text, sizeof(fd_text), "%d", w.fd);
        if (fcntl(w.fd, F_SETFD, 0) == 0) {
            (void)execl(w.program, w.program, "serve", w.dir, fd_text, (char *)NULL);
        }
        _exit(127);
    }
}

static void kill_server(void)
{
    int status = 0;
    t_check(kill(w.server, SIGKILL) == 0);
    t_check(waitpid(w.server, &status, 0) == w.server);
    t_checkf(WIFSIGNALED(status), "the coordinator ended by itself with status %d", status);
}

static void see_rev(coord_rev rev)
{
    w.rev_max = rev > w.rev_max ? rev : w.rev_max;
}

static struct str key_name(size_t i, char ret[32])
{
    (void)snprintf(ret, 32, "durable/%zu", i);
    return str_of(ret);
}

static void on_txn(void *ctx, const struct coord_txn_result *res)
{
    UNUSED(ctx);
    w.txn_err = res->err;
    w.txn_rev = res->rev;
    w.txn_succeeded = res->succeeded;
    loop_stop(w.loop);
}

/* One put of the next number to a random key, together with a volatile key. True: answered. */
static bool put_next(void)
{
    char name[32];
    char volatile_text[32];
    size_t k = rng_below(&w.rng, KEYS);
    uint64_t number = ++w.sent[k];
    size_t size = (size_t)snprintf(w.padding, 32, "%lu ", (unsigned long)number);
    w.padding[size] = 'p'; /* over the end of the text */
    if (rng_chance(&w.rng, 1, 20)) {
        size = BIG_VALUE_SIZE;
    }
    (void)snprintf(volatile_text, sizeof(volatile_text), "%lu ", (unsigned long)++w.volatile_sent);
    w.is_volatile_acked = false;
    struct str key = key_name(k, name);
    struct coord_txn t = {
        .compare_count = 1,
        .compares = {{key, w.revs[k]}},
        .put_count = 2,
        .puts = {{.key = key, .value = {w.padding, size}},
                 {.key = STR("volatile"), .value = str_of(volatile_text), .is_volatile = true}}};
    coord_client_txn(w.client, &t, TXN_TIMEOUT_MS, on_txn, NULL);
    loop_run(w.loop);
    if (w.txn_err != OK) {
        return false;
    }
    see_rev(w.txn_rev);
    if (w.txn_succeeded) { /* else one that was not answered got there first: verify() will see it */
        w.acked[k] = number;
        w.revs[k] = w.txn_rev;
        w.is_volatile_acked = true;
    }
    return true;
}

static void verify_volatile(const struct coord_kv *kv)
{
    uint64_t number = strtoul(kv->value.p, NULL, 10); /* a blank follows it */
    t_checkf(str_eq(kv->key, STR("volatile")), "found " STR_FMT, STR_ARG(kv->key));
    t_checkf(number == w.volatile_sent && !w.is_volatile_acked, "volatile %lu of %lu came back",
             (unsigned long)number, (unsigned long)w.volatile_sent);
}

/* Waits until the new process answers, then compares. */
static void verify(struct arena *a)
{
    struct coord_kv *kvs = NULL;
    size_t n = 0;
    usec deadline_us = clock_boot_us() + (usec)RESTART_TIMEOUT_MS * 1000;
    while (coord_read_blocking(w.url, secret_of(STR("s")), STR(""), a, &kvs, &n, NULL) != OK) {
        t_check(clock_boot_us() < deadline_us);
    }
    for (size_t k = 0; k < KEYS; k++) {
        char name[32];
        uint64_t number = 0;
        coord_rev rev = 0;
        for (size_t i = 0; i < n; i++) {
            if (str_eq(kvs[i].key, key_name(k, name))) {
                number = strtoul(kvs[i].value.p, NULL, 10); /* a blank follows it */
                rev = kvs[i].rev;
            }
        }
        t_checkf(number >= w.acked[k] && number <= w.sent[k],
                 "key %zu holds %lu, acknowledged %lu, sent %lu", k, (unsigned long)number,
                 (unsigned long)w.acked[k], (unsigned long)w.sent[k]);
        t_check(number > w.acked[k] ? rev > w.revs[k] : rev == w.revs[k]);
        w.acked[k] = number; /* whatever survived stays */
        w.revs[k] = rev;
        see_rev(rev);
    }
    for (size_t i = 0; i < n; i++) {
        if (!str_starts(kvs[i].key, STR("durable/"))) {
            verify_volatile(&kvs[i]);
        }
    }
}

T_TEST("no acknowledged change is lost and no revision is used twice, however often it is killed")
{
    struct arena a;
    uint16_t port = 0;
    arena_init(&a);
    t_time_limit(110);
    rng_init(&w.rng, t_seed());
    w.padding = (char *)malloc(BIG_VALUE_SIZE + 32);
    memset(w.padding, 'p', BIG_VALUE_SIZE + 32);
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &port, NULL));
    (void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u", port);
    (void)snprintf(w.dir, sizeof(w.dir), "%s/coordinator", t_tmp_dir());
    w.loop = loop_new();
    w.client = coord_client_new(w.loop, w.url, secret_of(STR("s")));
    uint64_t answered = 0;
    for (int round = 0; round < KILLS; round++) {
        start_server();
        verify(&a);
        arena_reset(&a);
        usec end_us = clock_boot_us() + rng_below(&w.rng, 150000);
        bool is_killed = false;
        while (!is_killed) {
            is_killed = clock_boot_us() >= end_us && rng_chance(&w.rng, 1, 2);
            if (is_killed && rng_chance(&w.rng, 2, 3)) {
                break; /* between two requests */
            }
            pid_t killer = is_killed ? fork() : -1;
            if (killer == 0) { /* kills while the parent's request is on its way */
                usec when_us = clock_boot_us() + rng_below(&w.rng, 600);
                while (clock_boot_us() < when_us) {
                }
                (void)kill(w.server, SIGKILL);
                _exit(0);
            }
            coord_rev before = w.rev_max;
            if (put_next()) {
                answered++;
                t_checkf(!w.txn_succeeded || w.txn_rev > before, "revision %lu after %lu",
                         (unsigned long)w.txn_rev, (unsigned long)before);
            }
            if (killer > 0) {
                t_check(waitpid(killer, NULL, 0) == killer);
            }
        }
        kill_server();
    }
    start_server();
    verify(&a);
    kill_server();
    t_note("%d kills, %lu answers, last revision %lu", KILLS, (unsigned long)answered,
           (unsigned long)w.rev_max);
    t_check(answered > KILLS);
    arena_done(&a);
    coord_client_free(w.client);
    loop_free(w.loop);
    free(w.padding);
    t_check(close(w.fd) == 0);
}

int main(int argc, char **argv)
{
    w.program = "/proc/self/exe";
    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2], argv[3]);
    }
    return t_main(argc, argv);
}
