/* The coordinator on a disk that is slow or full: journal.c is compiled in here with the system calls it
 * leans on replaced, so that a sync can be held back and space can run out. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

static int gate_fdatasync(int fd);
static int gate_fallocate(int fd, int mode, off_t from, off_t size);
#define fdatasync gate_fdatasync
#define fallocate gate_fallocate
#include "coord/journal.c"
#undef fdatasync
#undef fallocate

#include "../net/loop_until.h"
#include "coord/coord_client.h"
#include "coord/server.h"
#include "heard.h"
#include "net/sockets.h"
#include "secret_of.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_held;         /* syncs wait */
    unsigned waiting;     /* syncs that wait */
    off_t allocation_max; /* above it: disk full; 0 = none */
    bool is_refusing_new_files;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int gate_fdatasync(int fd)
{
    UNUSED(fd); /* the test's disk is never really cut off from power */
    (void)pthread_mutex_lock(&disk.lock);
    disk.waiting++;
    while (disk.is_held) {
        (void)pthread_cond_wait(&disk.changed, &disk.lock);
    }
    disk.waiting--;
    (void)pthread_mutex_unlock(&disk.lock);
    return 0;
}

static int gate_fallocate(int fd, int mode, off_t from, off_t size)
{
    UNUSED(fd);
    UNUSED(mode);
    bool is_new_file = from == 0;
    if ((is_new_file && disk.is_refusing_new_files) ||
        (disk.allocation_max != 0 && from + size > disk.allocation_max)) {
        errno = ENOSPC;
        return -1;
    }
    return 0;
}

static void hold(bool is_held)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.is_held = is_held;
    (void)pthread_cond_broadcast(&disk.changed);
    (void)pthread_mutex_unlock(&disk.lock);
}

static bool is_sync_waiting(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    bool ret = disk.waiting > 0;
    (void)pthread_mutex_unlock(&disk.lock);
    return ret;
}

enum { ANSWERS_MAX = 8 };

static struct {
    struct loop *loop;
    struct coord_server *server;
    struct coord_client *client;
    int fd;
    struct {
        bool is_there;
        struct coord_txn_result res;
    } answers[ANSWERS_MAX];
    size_t answer_count;
    size_t wanted;
    struct heard heard;
} w;

static void setup(void)
{
    static int count;
    char dir[512];
    char url[64];
    uint16_t port = 0;
    memset(&w, 0, sizeof(w));
    disk.allocation_max = 0;
    w.loop = loop_new();
    (void)snprintf(dir, sizeof(dir), "%s/disk%d", t_tmp_dir(), count++);
    t_ok(sockets_listen("127.0.0.1:0", &w.fd, &port, NULL));
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    struct coord_server_opts opts = {.dir = dir, .listen_fd = w.fd, .secrets = secret_of(STR("s"))};
    t_ok(coord_server_new(w.loop, &opts, &w.server, NULL));
    w.client = coord_client_new(w.loop, url, secret_of(STR("s")));
}

static void teardown(void)
{
    hold(false);
    coord_client_free(w.client);
    coord_server_free(w.server);
    loop_free(w.loop);
    t_check(close(w.fd) == 0);
}

static void on_txn(void *ctx, const struct coord_txn_result *res)
{
    size_t i = (uintptr_t)ctx;
    w.answers[i].is_there = true;
    w.answers[i].res = *res;
}

static size_t start(const struct coord_txn *t)
{
    size_t i = w.answer_count++;
    t_check(i < ANSWERS_MAX);
    coord_client_txn(w.client, t, 9000, on_txn, (void *)i);
    return i;
}

static size_t start_put(const char *key, struct str value, bool is_volatile)
{
    struct coord_txn t = {
        .put_count = 1, .puts = {{.key = str_of(key), .value = value, .is_volatile = is_volatile}}};
    return start(&t);
}

static bool wanted_is_there(void)
{
    return w.answers[w.wanted].is_there;
}

static const struct coord_txn_result *wait_for(size_t i)
{
    w.wanted = i;
    loop_until(w.loop, wanted_is_there);
    return &w.answers[i].res;
}

static bool is_synced(void)
{
    return w.heard.synced_count > 0;
}

static bool is_read_and_changed(void)
{
    return w.heard.is_read && w.heard.changed_count >= 3;
}

T_TEST("while a sync hangs heartbeats are answered, and nothing undurable is shown")
{
    setup();
    t_ok(wait_for(start_put("beat", STR("1"), true))->err); /* reserves revisions */
    struct coord_events ev = heard_events(&w.heard);
    coord_client_watch(w.client, STR(""), &ev);
    loop_until(w.loop, is_synced);
    hold(true);
    size_t durable = start_put("record", STR("new"), false);
    loop_until(w.loop, is_sync_waiting);

    coord_rev beat_rev = w.answers[0].res.rev;
    struct coord_txn beat = {
        .compare_count = 1,
        .compares = {{STR("beat"), beat_rev}},
        .put_count = 1,
        .puts = {{.key = STR("beat"), .value = STR("2"), .is_volatile = true}}};
    t_check(wait_for(start(&beat))->succeeded); /* at once, though the disk hangs */
    struct coord_txn late = {.compare_count = 1, .compares = {{STR("record"), 0}}};
    size_t dependent = start(&late); /* its failure would show the undurable record */
    coord_client_read(w.client, STR("record"), 9000, heard_read, &w.heard);
    loop_for_ms(w.loop, 60);
    t_check(!w.answers[durable].is_there && !w.answers[dependent].is_there && !w.heard.is_read);
    t_eq_u64(w.heard.changed_count, 1); /* of the first beat only: what is behind waits its turn */

    hold(false);
    t_check(wait_for(durable)->succeeded);
    t_check(!wait_for(dependent)->succeeded);
    loop_until(w.loop, is_read_and_changed);
    t_ok(w.heard.read_err);
    t_eq_u64(w.heard.read_count, 1);
    teardown();
}

T_TEST(
    "a full disk refuses durable changes before they are made, and takes them when there is room")
{
    setup();
    static char value[900000];
    memset(value, 'v', sizeof(value));
    t_check(wait_for(start_put("a", STR("1"), false))->succeeded);
    disk.allocation_max = 1;
    enum err e = OK;
    int tries = 0;
    for (; e == OK && tries < 5; tries++) { /* until the space taken ahead is used up */
        w.answer_count = 1;
        w.answers[1].is_there = false;
        e = wait_for(start_put("big", str_make(value, sizeof(value)), false))->err;
    }
    t_err(e, ERR_DISK_FULL);
    for (int i = 0; i < 100; i++) {
        w.answer_count = 1;
        w.answers[1].is_there = false;
        t_check(wait_for(start_put("beat", STR("1"), true))->succeeded); /* needs no space */
    }
    disk.allocation_max = 0;
    t_check(wait_for(start_put("big", STR("2"), false))->succeeded);
    teardown();
}

T_TEST("a rewrite that does not fit goes on in the old file")
{
    setup();
    static char value[900000];
    memset(value, 'v', sizeof(value));
    disk.is_refusing_new_files = true;
    for (int i = 0; i < 12; i++) {
        w.answer_count = 0;
        w.answers[0].is_there = false;
        char key[16];
        (void)snprintf(key, sizeof(key), "k%d", i);
        t_check(wait_for(start_put(key, str_make(value, sizeof(value)), false))->succeeded);
    }
    coord_client_read(w.client, STR("k"), 9000, heard_read, &w.heard);
    w.heard.changed_count = 3;
    loop_until(w.loop, is_read_and_changed);
    t_ok(w.heard.read_err);
    t_eq_u64(w.heard.read_count, 12);
    disk.is_refusing_new_files = false;
    teardown();
}

T_MAIN()
