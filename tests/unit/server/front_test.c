/* The front as a process, between raw clients, a real coordinator and regions that are played here:
 * servers of a few lines that answer, refuse, drop or sit on requests as a test wants. */
#include "server/front.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../coord/secret_of.h"
#include "../net/raw_http.h"
#include "account/record.h"
#include "account/region.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "continuity/client.h"
#include "coord/coord_client.h"
#include "coord/server.h"
#include "net/sockets.h"

static const char secret[] = "front-test-secret";
static const char key[] = "cHJpbWFyeSBrZXkgb2YgdGhlIGFjY291bnQhISEhISE=";

/* ---- regions ---- */

enum behaviour {
    ANSWERS,
    SAYS_NOT_ME, /* 403/3 */
    SAYS_BEHIND, /* 404/1002 */
    DROPS,       /* takes the request and closes the connection */
    SITS,        /* answers when the behaviour changes */
    ABSENT,      /* leaves its socket to whoever stands in */
};

struct region_play {
    const char *name;
    int fd;
    uint16_t port;
    atomic_int behaviour;
    atomic_uint seen;
    pthread_t thread;
    atomic_bool is_ending;
    atomic_bool is_away;  /* accepts nothing any more */
    atomic_int open;      /* connection threads */
    pthread_mutex_t lock; /* of `last`: two connections may ask at once */
    char last[4096];      /* head of the last request; read when it has been answered */
};

static struct region_play regions[2];

struct play_conn {
    struct region_play *region;
    int fd;
};

/* One request with its body into `text`; false: the client is gone. */
static bool play_read(struct play_conn *c, char *text, size_t size)
{
    size_t n = 0;
    for (;;) {
        text[n] = '\0';
        char *end = strstr(text, "\r\n\r\n");
        if (end && n >= (size_t)(end - text) + 4 + raw_content_length(text)) {
            return true;
        }
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        if (poll(&p, 1, 50) == 0) {
            if (atomic_load(&c->region->is_ending)) {
                return false;
            }
            continue;
        }
        ssize_t got = recv(c->fd, text + n, size - 1 - n, 0);
        if (got <= 0) {
            return false;
        }
        n += (size_t)got;
    }
}

static void *play_conn_main(void *ctx)
{
    struct play_conn *c = ctx;
    struct region_play *r = c->region;
    char text[4096];
    while (play_read(c, text, sizeof(text))) {
        pthread_mutex_lock(&r->lock);
        memcpy(r->last, text, sizeof(text));
        pthread_mutex_unlock(&r->lock);
        atomic_fetch_add(&r->seen, 1);
        while (atomic_load(&r->behaviour) == SITS && !atomic_load(&r->is_ending)) {
            (void)poll(NULL, 0, 2);
        }
        int how = atomic_load(&r->behaviour);
        if (how == DROPS || atomic_load(&r->is_ending)) {
            break;
        }
        char answer[512];
        char body[128];
        int status = how == SAYS_NOT_ME ? 403 : how == SAYS_BEHIND ? 404 : 200;
        (void)snprintf(body, sizeof(body), "{\"region\":\"%s\"}", r->name);
        (void)snprintf(answer, sizeof(answer),
                       "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nx-ms-substatus: %d\r\n"
                       "x-region: %s\r\nKeep-Alive: timeout=1\r\nContent-Length: %zu\r\n\r\n%s",
                       status,
                       status == 403   ? 3
                       : status == 404 ? 1002
                                       : 0,
                       r->name, strlen(body), body);
        if (send(c->fd, answer, strlen(answer), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    (void)close(c->fd);
    atomic_fetch_sub(&r->open, 1);
    free(c);
    return NULL;
}

static void *play_main(void *ctx)
{
    struct region_play *r = ctx;
    while (!atomic_load(&r->is_ending)) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        bool is_absent = atomic_load(&r->behaviour) == ABSENT;
        atomic_store(&r->is_away, is_absent);
        if (is_absent || poll(&p, 1, 5) != 1) {
            (void)poll(NULL, 0, 2);
            continue;
        }
        int fd = accept(r->fd, NULL, NULL);
        if (fd < 0) {
            continue;
        }
        struct play_conn *c = malloc(sizeof(*c));
        *c = (struct play_conn){r, fd};
        atomic_fetch_add(&r->open, 1);
        pthread_t t;
        t_check(pthread_create(&t, NULL, play_conn_main, c) == 0);
        (void)pthread_detach(t);
    }
    return NULL;
}

/* ---- processes ---- */

static struct {
    int coord_fd, global_fd, control[2];
    uint16_t coord_port, global_port;
    char url[64];
    pid_t coordinator, front;
    char dir[512];
    unsigned dir_count;
} w;

static pid_t spawn(const char *const *args)
{
    pid_t child = fork();
    if (child == 0) {
        execv("/proc/self/exe", (char *const *)(uintptr_t)args);
        _exit(99);
    }
    t_check(child > 0);
    return child;
}

static const char *number(long n)
{
    static char texts[16][24];
    static unsigned next;
    char *text = texts[next++ % 16];
    (void)snprintf(text, sizeof(texts[0]), "%ld", n);
    return text;
}

/* --coordinator DIR FD | --front URL GLOBAL CONTROL EAST WEST HOLD_MS REQUESTS_MAX */
static int child_main(char **argv)
{
    struct errinfo ei = {0};
    enum err err = OK;
    log_set_level(LOG_LEVEL_WARN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test does not end what it started */
    if (strcmp(argv[1], "--coordinator") == 0) {
        struct coord_server_opts o = {.dir = argv[2],
                                      .listen_fd = (int)strtol(argv[3], NULL, 10),
                                      .secrets = secret_of(STR(secret))};
        err = coord_server_run(&o, &ei);
    } else {
        struct front_opts o = {
            .account = "shop",
            .coordinator = argv[2],
            .secrets = secret_of(STR(secret)),
            .http_threads = 2,
            .global_fd = (int)strtol(argv[3], NULL, 10),
            .control_fd = (int)strtol(argv[4], NULL, 10),
            .region_count = 2,
            .regions = {{"east", (int)strtol(argv[5], NULL, 10)},
                        {"west", (int)strtol(argv[6], NULL, 10)}},
            .hold_ms = (unsigned)strtoul(argv[7], NULL, 10),
            .requests_max = (unsigned)strtoul(argv[8], NULL, 10),
            .stale_ms = 300,
        };
        err = front_run(&o, &ei);
    }
    if (err != OK) {
        (void)fprintf(stderr, "%s: %s\n", argv[1], ei.message);
    }
    return err_exit_code(err);
}

/* ---- waiting ---- */

#define until(holds)                                                                               \
    for (usec until_ = clock_boot_us() + UINT64_C(10000000); !(holds); (void)poll(NULL, 0, 2)) {   \
        t_checkf(clock_boot_us() < until_, "waited in vain");                                      \
    }

static uint64_t metric(const char *name)
{
    struct raw_conn c = raw_connect(w.global_port);
    struct raw_response r = {0};
    raw_send(&c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    t_check(raw_read(&c, true, &r));
    char line[128];
    (void)snprintf(line, sizeof(line), "\n%s ", name);
    const char *at = strstr(r.body, line);
    t_checkf(at != NULL, "no metric %s in: %s", name, r.body);
    uint64_t value = at != NULL ? strtoull(at + strlen(line), NULL, 10) : 0;
    raw_response_done(&r);
    raw_close(&c);
    return value;
}

/* ---- the account ---- */

static void put_value(struct arena *a, struct str name, struct str value)
{
    struct coord_txn *t = ARENA_NEW(a, struct coord_txn);
    t->put_count = 1;
    t->puts[0] = (struct coord_put){.key = name, .value = value};
    struct coord_txn_result res;
    struct errinfo ei = {0};
    t_ok_info(coord_txn_blocking(w.url, secret_of(STR(secret)), t, a, &res, &ei), &ei);
    t_check(res.succeeded);
}

static void put_record(struct arena *a, const struct account_record *rec)
{
    struct buf value;
    buf_init(&value, COORD_VALUE_SIZE_MAX);
    record_encode(rec, &value);
    t_check(buf_ok(&value));
    put_value(a, STR(COORD_PREFIX "shop/record"), buf_str(&value));
    buf_done(&value);
}

static void put_beat(region_id id, const char *text)
{
    struct arena a;
    arena_init(&a);
    put_value(&a, arena_printf(&a, COORD_PREFIX "shop/beat/%u", id), str_of(text));
    arena_done(&a);
}

struct account {
    region_id writer; /* 1 = east, 2 = west; 0 = nobody yet: being promoted */
    bool is_east_gone;
    bool is_split; /* west writes a partition although east is the account's writer */
    bool is_opened;
};

static void set_account(struct account want)
{
    static generation next_generation = 2;
    struct arena a;
    arena_init(&a);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    account_init(rec, "shop", CONSISTENCY_SESSION);
    for (size_t i = 0; i < 2; i++) {
        char endpoint[64];
        (void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u/", regions[i].port);
        t_ok(account_add_region(rec, regions[i].name, endpoint, "127.0.0.1:1", 5, NULL));
    }
    (void)snprintf(rec->key[0], sizeof(rec->key[0]), "%s", key);
    rec->generation = next_generation++;
    rec->writer = want.writer ? want.writer : 1;
    rec->phase = want.writer ? PHASE_OPEN : PHASE_PROMOTING;
    if (want.writer) {
        record_set_state(rec, want.writer, REGION_ONLINE_WRITE, 9);
    }
    if (want.is_east_gone) {
        record_set_state(rec, 1, REGION_RECOVERING, 9);
    }
    if (want.is_split || want.is_opened) {
        rec->epoch_count = 1;
        rec->epoch = 1;
        rec->writer_incarnation = 7;
        rec->lsn_limit = 1000;
        rec->epochs[0] = (struct record_epoch){
            .epoch = 1, .generation = 1, .writer = 1, .incarnation = 7, .start_lsn = 1};
    }
    if (want.is_split) {
        struct record_override *o = record_override_make(rec, 512);
        o->writer = 2;
    }
    char why[256];
    t_checkf(record_check(rec, why), "%s", why);
    put_record(&a, rec);
    if (w.front != 0) {
        until(metric("holdfast_front_generation") == rec->generation);
    }
    arena_done(&a);
}

/* ---- requests ---- */

/* Needs a record that not every program reads. */
#define AUTOMATIC "/_holdfast/account/partitions/automatic"
#define MOVE      "/_holdfast/account/partitions/failover"
#define OFFLINE   "/_holdfast/account/offline"

static struct str authorization(struct arena *a, const char *method, const char *path,
                                const char *date)
{
    struct client_signer *signer = client_signer_new(key, NULL);
    struct str ret = client_sign(signer, a, method, str_of(path), date);
    client_signer_free(signer);
    return ret;
}

static void send_request(struct raw_conn *c, const char *method, const char *path, bool is_signed)
{
    struct arena a;
    arena_init(&a);
    char date[CLOCK_RFC1123_SIZE];
    clock_format_rfc1123(clock_wall_ms(), date);
    struct str auth = is_signed ? authorization(&a, method, path, date) : STR("none");
    const char *body = strcmp(method, "GET") == 0     ? ""
                       : strcmp(path, AUTOMATIC) == 0 ? "{\"enabled\":true}"
                       : strcmp(path, MOVE) == 0      ? "{\"partition\":1024,\"region\":\"west\"}"
                       : strcmp(path, OFFLINE) == 0   ? "{\"region\":\"east\"}"
                                                      : "{\"id\":\"1\"}";
    struct str text =
        arena_printf(&a,
                     "%s %s HTTP/1.1\r\nHost: x\r\nx-ms-date: %s\r\nauthorization: " STR_FMT
                     "\r\nx-mine: yes\r\nContent-Length: %zu\r\n\r\n%s",
                     method, path, date, STR_ARG(auth), strlen(body), body);
    raw_send_n(c, text.p, text.n);
    arena_done(&a);
}

struct reply {
    int status;
    char body[512];
    char head[2048];
    unsigned took_ms;
};

static struct reply receive(struct raw_conn *c, usec since)
{
    struct raw_response r = {0};
    struct reply ret = {0};
    t_check(raw_read(c, true, &r));
    ret.status = r.status;
    (void)snprintf(ret.body, sizeof(ret.body), "%.511s", r.body);
    (void)snprintf(ret.head, sizeof(ret.head), "%.2047s", r.head);
    ret.took_ms = (unsigned)((clock_boot_us() - since) / 1000);
    raw_response_done(&r);
    return ret;
}

static struct reply ask(uint16_t port, const char *method, const char *path)
{
    struct raw_conn c = raw_connect(port);
    usec since = clock_boot_us();
    send_request(&c, method, path, true);
    struct reply ret = receive(&c, since);
    raw_close(&c);
    return ret;
}

static void is_json_error(const struct reply *r, int status, const char *substatus,
                          const char *says)
{
    t_eq_int(r->status, status);
    t_contains(str_of(r->body), "{\"code\":\"");
    t_contains(str_of(r->body), says);
    char line[64];
    (void)snprintf(line, sizeof(line), "x-ms-substatus: %s\r\n", substatus);
    t_check(substatus[0] == '\0' || strcasestr(r->head, line) != NULL);
}

/* ---- one account per test ---- */

static void front_start(unsigned hold_ms, unsigned requests_max)
{
    const char *front[] = {"front_test",
                           "--front",
                           w.url,
                           number(w.global_fd),
                           number(w.control[1]),
                           number(regions[0].fd),
                           number(regions[1].fd),
                           number(hold_ms),
                           number(requests_max),
                           NULL};
    w.front = spawn(front);
    until(strstr(ask(w.global_port, "GET", "/").body, "\"writableLocations\"") != NULL);
}

static void listen_any(int *ret_fd, uint16_t *ret_port)
{
    t_ok(sockets_listen("127.0.0.1:0", ret_fd, ret_port, NULL));
    t_check(fcntl(*ret_fd, F_SETFD, 0) == 0);
}

static void setup(unsigned hold_ms, unsigned requests_max)
{
    unsigned count = w.dir_count;
    memset(&w, 0, sizeof(w));
    memset(regions, 0, sizeof(regions));
    for (size_t i = 0; i < ARRAY_COUNT(regions); i++) {
        t_check(pthread_mutex_init(&regions[i].lock, NULL) == 0);
    }
    w.dir_count = count + 1;
    (void)snprintf(w.dir, sizeof(w.dir), "%s/coordinator%u", t_tmp_dir(), count);
    listen_any(&w.coord_fd, &w.coord_port);
    listen_any(&w.global_fd, &w.global_port);
    t_check(socketpair(AF_UNIX, SOCK_STREAM, 0, w.control) == 0);
    (void)snprintf(w.url, sizeof(w.url), "http://127.0.0.1:%u", w.coord_port);
    for (size_t i = 0; i < 2; i++) {
        regions[i].name = i == 0 ? "east" : "west";
        listen_any(&regions[i].fd, &regions[i].port);
    }
    const char *coordinator[] = {"front_test", "--coordinator", w.dir, number(w.coord_fd), NULL};
    w.coordinator = spawn(coordinator);
    set_account((struct account){.writer = 1});
    front_start(hold_ms, requests_max);
    for (size_t i = 0; i < 2; i++) {
        t_check(pthread_create(&regions[i].thread, NULL, play_main, &regions[i]) == 0);
    }
}

static int end_process(pid_t process, int signum)
{
    int status = 0;
    t_check(signum == 0 || kill(process, signum) == 0);
    t_check(waitpid(process, &status, 0) == process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void teardown(void)
{
    if (w.front != 0) {
        t_eq_int(end_process(w.front, SIGTERM), 0);
    }
    t_eq_int(end_process(w.coordinator, SIGTERM), 0);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&regions[i].is_ending, true);
        t_check(pthread_join(regions[i].thread, NULL) == 0);
        until(atomic_load(&regions[i].open) == 0);
        t_check(close(regions[i].fd) == 0);
    }
    (void)close(w.coord_fd);
    (void)close(w.global_fd);
    (void)close(w.control[0]);
    (void)close(w.control[1]);
}

static void tell(const char *line)
{
    t_check(write(w.control[0], line, strlen(line)) == (ssize_t)strlen(line));
}

static void behave(size_t region, enum behaviour how)
{
    atomic_store(&regions[region].behaviour, how);
    until(how != ABSENT || atomic_load(&regions[region].is_away));
}

T_TEST("requests to the global endpoint reach the writer whole, and its answers come back whole")
{
    setup(1000, 0);
    struct reply r = ask(w.global_port, "POST", "/dbs/a%20b/colls?x=/y");
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"east\"}");
    t_check(strcasestr(r.head, "x-region: east") != NULL &&
            strcasestr(r.head, "keep-alive: timeout=1") == NULL);
    t_check(strncmp(regions[0].last, "POST /dbs/a%20b/colls?x=/y HTTP/1.1\r\n", 37) == 0);
    t_check(strcasestr(regions[0].last, "x-mine: yes") != NULL &&
            strcasestr(regions[0].last, "\r\nhost: x\r\n") == NULL);
    t_check(strstr(regions[0].last, "\r\n\r\n{\"id\":\"1\"}") != NULL);
    t_eq_u64(regions[1].seen, 0);
    t_eq_u64(metric("holdfast_front_forwarded_total"), 1);
    r = ask(w.global_port, "GET", "/"); /* the account document is the front's own */
    t_contains(str_of(r.body), "\"writableLocations\":[{\"name\":\"east\"");
    t_eq_u64(regions[0].seen, 1);
    teardown();
}

T_TEST("a request with as many headers as there may be is forwarded with all of them")
{
    setup(1000, 0);
    struct raw_conn c = raw_connect(w.global_port);
    raw_send(&c, "GET /dbs HTTP/1.1\r\nHost: x\r\n");
    for (int i = 2; i < HTTP_HEADER_COUNT_MAX; i++) {
        char line[32];
        (void)snprintf(line, sizeof(line), "x-%d: y\r\n", i);
        raw_send(&c, line);
    }
    raw_send(&c, "if-match: last\r\n\r\n");
    struct reply r = receive(&c, 0);
    t_eq_int(r.status, 200);
    t_check(strcasestr(regions[0].last, "\r\nx-99: y\r\n") != NULL);
    t_check(strcasestr(regions[0].last, "\r\nif-match: last\r\n") != NULL);
    raw_close(&c);
    teardown();
}

T_TEST("a write that the writer refuses with 403/3 is taken to the next writer once the record "
       "names it")
{
    setup(5000, 0);
    behave(0, SAYS_NOT_ME);
    struct raw_conn c = raw_connect(w.global_port);
    usec since = clock_boot_us();
    send_request(&c, "POST", "/dbs", true);
    until(atomic_load(&regions[0].seen) > 0);
    set_account((struct account){.writer = 2});
    struct reply r = receive(&c, since);
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"west\"}");
    t_eq_u64(regions[1].seen, 1);
    t_check(metric("holdfast_front_retried_total") >= 1);
    raw_close(&c);
    teardown();
}

/* A region learns of its promotion a moment after the front may have: no further change follows. */
T_TEST("a writer that does not know it yet is asked again although the record stays")
{
    setup(5000, 0);
    behave(0, SAYS_NOT_ME);
    struct raw_conn c = raw_connect(w.global_port);
    usec since = clock_boot_us();
    send_request(&c, "POST", "/dbs", true);
    until(atomic_load(&regions[0].seen) >= 2);
    behave(0, ANSWERS);
    struct reply r = receive(&c, since);
    t_eq_int(r.status, 200);
    t_check(r.took_ms < 2000);
    raw_close(&c);
    teardown();
}

/* The account's writer is asked first only once per partition key, until who writes it says "not me". */
T_TEST("the region that took a partition's write is asked first from then on, until it refuses")
{
    setup(5000, 0);
    set_account((struct account){.writer = 1, .is_split = true});
    behave(0, SAYS_NOT_ME);
    for (unsigned i = 1; i <= 3; i++) {
        t_eq_cstr(ask(w.global_port, "POST", "/dbs/d/colls/c/docs").body, "{\"region\":\"west\"}");
        t_eq_u64(regions[0].seen, 1);
        t_eq_u64(regions[1].seen, i);
    }
    behave(0, ANSWERS);
    t_eq_cstr(ask(w.global_port, "POST", "/dbs/d/colls/e/docs").body, "{\"region\":\"east\"}");
    t_eq_cstr(ask(w.global_port, "PUT", "/dbs/d/colls/c/docs/1").body, "{\"region\":\"west\"}");
    t_eq_u64(regions[0].seen, 2);
    behave(1, SAYS_NOT_ME); /* the partition is back */
    for (unsigned i = 0; i < 2; i++) {
        t_eq_cstr(ask(w.global_port, "POST", "/dbs/d/colls/c/docs").body, "{\"region\":\"east\"}");
        t_eq_u64(regions[1].seen, 5);
    }
    /* Without such a partition nothing of it counts. */
    behave(1, ANSWERS);
    set_account((struct account){.writer = 1});
    t_eq_cstr(ask(w.global_port, "POST", "/dbs/d/colls/c/docs").body, "{\"region\":\"east\"}");
    teardown();
}

T_TEST("a refusal that lasts is handed on in the end")
{
    setup(200, 0);
    behave(0, SAYS_NOT_ME);
    struct reply r = ask(w.global_port, "POST", "/dbs");
    t_check(r.status == 403 || r.status == 503);
    t_check(r.took_ms >= 150 && r.took_ms < 3000);
    teardown();
}

T_TEST("a write whose connection breaks may have been applied: 408, and no second try")
{
    setup(1000, 0);
    behave(0, DROPS);
    struct reply r = ask(w.global_port, "POST", "/dbs");
    is_json_error(&r, 408, "", "lost before it answered");
    t_eq_u64(regions[0].seen, 1);
    t_eq_u64(regions[1].seen, 0);
    t_eq_u64(metric("holdfast_front_unknown_outcome_total"), 1);
    teardown();
}

T_TEST("a read whose session is not reached in one region is read in another, then told")
{
    setup(1000, 0);
    behave(0, SAYS_BEHIND);
    struct reply r = ask(w.global_port, "GET", "/dbs");
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"west\"}");
    behave(1, SAYS_BEHIND);
    r = ask(w.global_port, "GET", "/dbs");
    t_eq_int(r.status, 404); /* at once: nobody else is there to ask */
    t_eq_u64(atomic_load(&regions[0].seen), 2);
    t_eq_u64(atomic_load(&regions[1].seen), 2);
    teardown();
}

T_TEST("a read whose region breaks is read in another")
{
    setup(1000, 0);
    behave(0, DROPS);
    struct reply r = ask(w.global_port, "GET", "/dbs");
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"west\"}");
    teardown();
}

T_TEST("writes wait while a writer is being promoted, and hear that nothing was applied when it "
       "takes too long")
{
    setup(300, 0);
    set_account((struct account){.writer = 0});
    struct reply r = ask(w.global_port, "POST", "/dbs");
    is_json_error(&r, 503, "", "nothing was applied");
    t_check(r.took_ms >= 250 && r.took_ms < 5000);
    t_eq_u64(metric("holdfast_front_held_expired_total"), 1);
    struct raw_conn c = raw_connect(w.global_port);
    usec since = clock_boot_us();
    send_request(&c, "POST", "/dbs", true);
    until(metric("holdfast_front_held") == 1);
    set_account((struct account){.writer = 2});
    r = receive(&c, since);
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"west\"}");
    raw_close(&c);
    teardown();
}

T_TEST("a front with its hands full refuses the next request at once, in JSON")
{
    setup(10000, 2);
    behave(0, SITS);
    struct raw_conn c[2];
    for (size_t i = 0; i < 2; i++) {
        c[i] = raw_connect(w.global_port);
        send_request(&c[i], "POST", "/dbs", true);
    }
    until(metric("holdfast_front_open") == 2);
    struct reply r = ask(w.global_port, "POST", "/dbs");
    is_json_error(&r, 503, "", "too many requests");
    t_check(r.took_ms < 1000);
    t_eq_u64(metric("holdfast_front_refused_full_total"), 1);
    behave(0, ANSWERS);
    for (size_t i = 0; i < 2; i++) {
        t_eq_int(receive(&c[i], 0).status, 200);
        raw_close(&c[i]);
    }
    t_eq_int(ask(w.global_port, "POST", "/dbs").status, 200);
    teardown();
}

T_TEST("while a region is away its address answers for it: 403/3, 403/1008, or a little later")
{
    setup(400, 0);
    behave(0, ABSENT);
    tell("down ea");
    tell("st\ndown nowhere\n");
    struct reply r =
        ask(regions[0].port, "POST", "/dbs"); /* the record still says that it writes */
    is_json_error(&r, 503, "", "nothing was applied");
    t_check(r.took_ms >= 300);
    set_account((struct account){.writer = 2});
    until((r = ask(regions[0].port, "POST", "/dbs")).status == 403);
    is_json_error(&r, 403, "3", "does not take writes");
    set_account((struct account){.writer = 2, .is_east_gone = true});
    until((r = ask(regions[0].port, "GET", "/dbs")).status == 403);
    is_json_error(&r, 403, "1008", "not part of the account");
    r = ask(regions[0].port, "GET", "/");
    t_contains(str_of(r.body), "\"writableLocations\":[{\"name\":\"west\"");
    struct raw_conn c = raw_connect(regions[0].port);
    send_request(&c, "GET", "/dbs", false);
    r = receive(&c, 0);
    is_json_error(&r, 401, "", "");
    raw_close(&c);
    /* Its process is none that answers: probes, scrapers and readers of events must not take us for it. */
    static const char *const own[] = {"/health/live", "/health/ready",     "/metrics",
                                      "/events",      "/_holdfast/status", "/_holdfast/account"};
    for (size_t i = 0; i < ARRAY_COUNT(own); i++) {
        r = ask(regions[0].port, "GET", own[i]);
        is_json_error(&r, 503, "", "the server of region east is away");
    }
    t_check(metric("holdfast_front_stood_in_total") >= 3);
    teardown();
}

/* Hands the front a listening socket, in pieces where the line allows it. */
static void tell_with(const char *line, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {(void *)(uintptr_t)line, strlen(line)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    h->cmsg_level = SOL_SOCKET;
    h->cmsg_type = SCM_RIGHTS;
    h->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(h), &fd, sizeof(int));
    t_check(sendmsg(w.control[0], &msg, 0) == (ssize_t)strlen(line));
}

T_TEST("a region that joins is stood in for at the socket that came with its name")
{
    setup(400, 0);
    int fd = -1;
    uint16_t port = 0;
    listen_any(&fd, &port);
    tell_with("add new\nadd ", fd);
    tell("west\n"); /* known already, and the socket is used up */
    tell("down new\n");
    struct reply r = ask(port, "GET", "/dbs"); /* the record does not have it */
    is_json_error(&r, 403, "1008", "not part of the account");
    r = ask(port, "POST", "/dbs");
    is_json_error(&r, 403, "3", "does not take writes");
    t_eq_u64(metric("holdfast_front_standing_in{region=\"new\"}"), 1);
    (void)close(fd);
    teardown();
}

T_TEST("what waited for an absent region is answered by the region when it is back")
{
    setup(8000, 0);
    behave(0, ABSENT);
    tell("down east\n");
    struct raw_conn c = raw_connect(regions[0].port);
    usec since = clock_boot_us();
    send_request(&c, "POST", "/dbs", true);
    until(metric("holdfast_front_held") == 1);
    behave(0, ANSWERS);
    tell("up east\n");
    struct reply r = receive(&c, since);
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"east\"}");
    t_check(r.took_ms < 5000);
    raw_close(&c);
    t_eq_int(ask(regions[0].port, "GET", "/dbs").status, 200); /* the region's own again */
    teardown();
}

T_TEST("global writes do not go to an address that the front itself holds")
{
    setup(8000, 0);
    behave(0, ABSENT);
    tell("down east\n");
    struct raw_conn c = raw_connect(w.global_port);
    usec since = clock_boot_us();
    until(metric("holdfast_front_standing_in{region=\"east\"}") == 1);
    send_request(&c, "POST", "/dbs", true);
    until(metric("holdfast_front_held") == 1);
    t_eq_u64(metric("holdfast_front_open"), 1); /* held once, not a second time as a stand-in */
    set_account((struct account){.writer = 2});
    struct reply r = receive(&c, since);
    t_eq_int(r.status, 200);
    t_eq_cstr(r.body, "{\"region\":\"west\"}");
    raw_close(&c);
    teardown();
}

T_TEST("a front that is asked to end answers everything truthfully and leaves with 0")
{
    setup(10000, 0);
    behave(0, SITS);
    struct raw_conn forwarded = raw_connect(w.global_port);
    send_request(&forwarded, "POST", "/dbs", true);
    until(metric("holdfast_front_open") == 1);
    set_account((struct account){.writer = 0});
    struct raw_conn held = raw_connect(w.global_port);
    send_request(&held, "POST", "/dbs", true);
    until(metric("holdfast_front_held") == 1);
    usec since = clock_boot_us();
    t_check(kill(w.front, SIGTERM) == 0);
    struct reply r = receive(&held, since);
    is_json_error(&r, 503, "", "nothing was applied");
    t_check(strcasestr(r.head, "connection: close") != NULL);
    r = receive(&forwarded, since); /* its region never answers */
    is_json_error(&r, 408, "", "lost before it answered");
    t_eq_int(end_process(w.front, 0), 0);
    t_check(clock_boot_us() - since < 3000000);
    w.front = 0;
    raw_close(&held);
    raw_close(&forwarded);
    teardown();
}

T_TEST("what is on its way when the front is asked to end still gets its answer")
{
    setup(10000, 0);
    behave(0, SITS);
    struct raw_conn c = raw_connect(w.global_port);
    send_request(&c, "POST", "/dbs", true);
    until(metric("holdfast_front_open") == 1);
    t_check(kill(w.front, SIGTERM) == 0);
    (void)poll(NULL, 0, 30); /* the front is stopping now, or will be: right either way */
    behave(0, ANSWERS);
    struct reply r = receive(&c, 0);
    t_eq_int(r.status, 200);
    t_eq_int(end_process(w.front, 0), 0);
    w.front = 0;
    raw_close(&c);
    teardown();
}

T_TEST("the answer to an offline says what the next writer lacked, by partition")
{
    setup(1000, 0);
    set_account((struct account){.writer = 1, .is_opened = true});
    put_beat(1, "{\"ord\":100,\"lags\":[[2,9,40,50],[3,9,45,50],[2,7,2,9]]}");
    put_beat(2, "{\"ord\":58,\"is_whole\":true}");
    struct reply r = ask(w.global_port, "POST", OFFLINE);
    t_eq_int(r.status, 202);
    t_contains(str_of(r.body), "\"lostInPartitions\":[{\"partition\":9,\"operationsEstimate\":40},"
                               "{\"partition\":7,\"operationsEstimate\":2}],\"account\":\"shop\"");
    teardown();
}

T_TEST("a change that needs a newer record waits for regions that have said nothing yet")
{
    setup(1000, 0);
    set_account((struct account){.writer = 1, .is_opened = true});
    put_beat(1, "{\"record_format\":9}");
    struct raw_conn c = raw_connect(w.global_port);
    send_request(&c, "POST", AUTOMATIC, true);
    (void)poll(NULL, 0, 300); /* it waits now, or will not have to: right either way */
    put_beat(2, "{\"record_format\":9}");
    struct reply r = receive(&c, 0);
    t_eq_int(r.status, 202);
    raw_close(&c);
    teardown();
}

T_TEST("it is refused at once where an older program runs, and soon where nothing does")
{
    setup(1000, 0);
    set_account((struct account){.writer = 1, .is_opened = true});
    put_beat(1, "{\"record_format\":9}");
    put_beat(2, "{}");
    struct reply r = ask(w.global_port, "POST", AUTOMATIC);
    t_eq_int(r.status, 409);
    t_contains(str_of(r.body), "region west runs a version");
    teardown();

    setup(1000, 0);
    set_account((struct account){.writer = 1, .is_opened = true});
    put_beat(1, "{\"record_format\":9}");
    r = ask(w.global_port, "POST", AUTOMATIC);
    t_eq_int(r.status, 409);
    t_contains(str_of(r.body), "region west has not said");
    t_check(r.took_ms >= 2500);
    struct raw_conn c = raw_connect(w.global_port);
    send_request(&c, "POST", AUTOMATIC, true);
    (void)poll(NULL, 0, 300);
    t_check(kill(w.front, SIGTERM) == 0);
    r = receive(&c, 0);
    t_check(r.status == 503 || r.status == 409);
    t_eq_int(end_process(w.front, 0), 0);
    w.front = 0;
    raw_close(&c);
    teardown();
}

T_TEST("a partition that no region has is not found, one that was just made is, a little later")
{
    setup(1000, 0);
    set_account((struct account){.writer = 1, .is_opened = true});
    put_beat(1, "{\"record_format\":9,\"top_partition\":512}");
    put_beat(2, "{\"record_format\":9,\"top_partition\":512}");
    struct reply r = ask(w.global_port, "POST", MOVE);
    t_eq_int(r.status, 404);
    t_contains(str_of(r.body), "no region has a partition 1024");
    t_check(r.took_ms >= 2500);
    struct raw_conn c = raw_connect(w.global_port);
    send_request(&c, "POST", MOVE, true);
    (void)poll(NULL, 0, 300); /* it waits now, or will not have to: right either way */
    put_beat(2, "{\"record_format\":9,\"top_partition\":1024}");
    r = receive(&c, 0);
    t_eq_int(r.status, 202);
    raw_close(&c);
    teardown();
}

T_TEST("a front that lost its coordinator goes on with what it knows")
{
    setup(1000, 0);
    t_eq_int(end_process(w.coordinator, SIGKILL), 1000 + SIGKILL);
    until(metric("holdfast_front_coordinator_synced") == 0);
    t_eq_int(ask(w.global_port, "POST", "/dbs").status, 200);
    t_contains(str_of(ask(w.global_port, "GET", "/").body),
               "\"writableLocations\":[{\"name\":\"east\"");
    /* Another front is to be preferred after a while (here: 0.3 s). */
    until(ask(w.global_port, "GET", "/health/ready").status == 503);
    t_eq_int(ask(w.global_port, "GET", "/health/live").status, 200);
    t_eq_int(ask(w.global_port, "POST", "/dbs").status, 200);
    const char *coordinator[] = {"front_test", "--coordinator", w.dir, number(w.coord_fd), NULL};
    w.coordinator = spawn(coordinator);
    until(metric("holdfast_front_coordinator_synced") == 1);
    t_eq_int(ask(w.global_port, "GET", "/health/ready").status, 200);
    teardown();
}

T_TEST("a front that cannot start says why, and ends what it had begun")
{
    struct errinfo ei = {0};
    struct front_opts o = {
        .account = "shop",
        .coordinator = "http://127.0.0.1:1/",
        .secrets = secret_of(STR(secret)),
        .http_threads = 1,
        .control_fd = -1,
        .webhook = "ftp://example.org/hook",
    };
    uint16_t port = 0;
    t_ok_info(sockets_listen("127.0.0.1:0", &o.global_fd, &port, &ei), &ei);
    t_eq_int(front_run(&o, &ei), ERR_INVALID);
    t_contains(str_of(ei.message), "the webhook is not an http:// or https:// URL");
    t_eq_int(close(o.global_fd), 0); /* the listener is its caller's */
}

int main(int argc, char **argv)
{
    if (argc > 2 && argv[1][0] == '-' && argv[1][1] == '-') {
        return child_main(argv);
    }
    return t_main(argc, argv);
}
