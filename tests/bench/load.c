/* Load generator: N connections, each with one request in flight (a closed loop), or at a given
 * rate. One thread: one core's worth of it drives far more than any server beside it answers; what
 * it used itself is in the result (cpu_us).
 *
 *   load --target 127.0.0.1:8081 --work create --connections 8 --seconds 2 [options]
 *
 *   --protocol http|grpc  Holdfast (default), or etcd
 *   --warm S              before the measurement, not counted
 *   --ids N               existing items, "fill-0000000000" and on: for upsert, replace, read
 *   --count N             end after so many requests (filling), whatever --seconds says
 *   --prefix TEXT         of new ids
 *   --rate N              requests a second over all connections; 0 = as fast as answers come
 *   --link LINK           container, default dbs/bench/colls/items
 *   --header "a: b"       one more header line
 *
 * BENCH_KEY in the environment: the account's key. Prints one line of JSON. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/mem.h"
#include "base/str.h"
#include "bench/wire.h"

enum { STATUS_MAX = 600, EVENTS_MAX = 64, BROKEN_MAX = 1000, STALL_MS = 10000 };

struct load {
    struct wire wire;
    struct wire_conn *conns;
    size_t conn_count;
    uint64_t warm_ns, seconds_ns;
    uint64_t count_max; /* 0 = none */
    uint64_t gap_ns;    /* with a rate: between two requests of one connection */
    uint64_t counted_from, ends;
    uint64_t done;
    uint64_t broken;
    uint64_t statuses[STATUS_MAX];
    struct sample sample;
    int epoll;
};

static bool start_request(struct load *l, struct wire_conn *c, uint64_t now)
{
    l->wire.ops->fill(&l->wire, c);
    c->started_ns = now;
    c->due_ns = now + l->gap_ns;
    c->is_waiting = false;
    return wire_flush(c);
}

static void open_conn(struct load *l, struct wire_conn *c)
{
    c->fd = wire_connect(l->wire.host);
    if (c->fd < 0) {
        fprintf(stderr, "load: cannot connect to %s: errno %d\n", l->wire.host, errno);
        exit(1);
    }
    c->in_n = 0;
    c->out_n = 0;
    l->wire.ops->greet(&l->wire, c);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    int rc = epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev);
    ASSERT(rc == 0);
}

static void reopen(struct load *l, struct wire_conn *c)
{
    l->sample.errors++;
    if (++l->broken > BROKEN_MAX) {
        fprintf(stderr, "load: %s breaks connections\n", l->wire.host);
        exit(1);
    }
    (void)close(c->fd); /* its request is counted as an error */
    open_conn(l, c);
    if (!start_request(l, c, sample_now_ns())) {
        fprintf(stderr, "load: %s accepts but takes no request\n", l->wire.host);
        exit(1);
    }
}

static bool is_over(const struct load *l, uint64_t now)
{
    return l->count_max > 0 ? l->done >= l->count_max : now >= l->ends;
}

static void answered(struct load *l, struct wire_conn *c, int status, uint64_t now)
{
    l->done++;
    if (now < l->counted_from) {
        return;
    }
    if (status >= 200 && status < 300) {
        sample_add(&l->sample, now - c->started_ns);
    } else {
        l->sample.errors++;
    }
    l->statuses[status >= 0 && status < STATUS_MAX ? status : 0]++;
}

/* What has arrived on one connection; false when it must be opened again. */
static bool receive(struct load *l, struct wire_conn *c)
{
    ssize_t n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, 0);
    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    c->in_n += (size_t)n;
    int status = 0;
    int over = l->wire.ops->take(&l->wire, c, &status);
    if (over == 0) {
        return true;
    }
    if (over < 0) {
        return false;
    }
    uint64_t now = sample_now_ns();
    answered(l, c, status, now);
    if (l->gap_ns > 0 && now < c->due_ns) {
        c->is_waiting = true;
        return true;
    }
    return start_request(l, c, now);
}

/* With a rate: starts what is due; returns how long nothing will be. */
static int start_due(struct load *l)
{
    uint64_t now = sample_now_ns();
    uint64_t first = now + UINT64_C(1000000) * 100;
    for (size_t i = 0; i < l->conn_count; i++) {
        struct wire_conn *c = &l->conns[i];
        if (c->is_waiting && c->due_ns <= now) {
            uint64_t due = c->due_ns;
            if (!start_request(l, c, now)) {
                reopen(l, c);
            }
            c->due_ns = due + l->gap_ns > now ? due + l->gap_ns : now;
        } else if (c->is_waiting && c->due_ns < first) {
            first = c->due_ns;
        }
    }
    return (int)((first - now) / 1000000);
}

/* One connection without epoll: what a simple client does, and one system call less. */
static void run_one(struct load *l)
{
    struct wire_conn *c = &l->conns[0];
    while (!is_over(l, sample_now_ns())) {
        if (!receive(l, c)) {
            reopen(l, c);
        }
    }
}

static void run_many(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t now = sample_now_ns();
    while (!is_over(l, now)) {
        int wait_ms = l->gap_ns > 0 ? start_due(l) : STALL_MS;
        int n = epoll_wait(l->epoll, events, EVENTS_MAX, wait_ms);
        if (n == 0 && l->gap_ns == 0) {
            fprintf(stderr, "load: %s has not answered for %d ms\n", l->wire.host, STALL_MS);
            exit(1);
        }
        for (int i = 0; i < n; i++) {
            struct wire_conn *c = (struct wire_conn *)events[i].data.ptr;
            if (!receive(l, c)) {
                reopen(l, c);
            }
        }
        now = sample_now_ns();
    }
}

static double run(struct load *l)
{
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(l->epoll >= 0);
    l->conns = MEM_NEW_ARRAY(struct wire_conn, l->conn_count);
    for (size_t i = 0; i < l->conn_count; i++) {
        open_conn(l, &l->conns[i]);
    }
    uint64_t began = sample_now_ns();
    l->counted_from = began + l->warm_ns;
    l->ends = l->counted_from + l->seconds_ns;
    for (size_t i = 0; i < l->conn_count; i++) {
        if (!start_request(l, &l->conns[i], sample_now_ns())) {
            reopen(l, &l->conns[i]);
        }
    }
    (l->conn_count == 1 && l->gap_ns == 0 ? run_one : run_many)(l);
    return (double)(sample_now_ns() - l->counted_from) / 1e9;
}

static void print(const struct load *l, double seconds)
{
    printf("{\"statuses\":{");
    const char *sep = "";
    for (int i = 0; i < STATUS_MAX; i++) {
        if (l->statuses[i] > 0) {
            printf("%s\"%d\":%" PRIu64, sep, i, l->statuses[i]);
            sep = ",";
        }
    }
    /* done: with the warm-up. */
    printf("},\"broken\":%" PRIu64 ",\"done\":%" PRIu64 ",\"sample\":", l->broken, l->done);
    sample_print(&l->sample, seconds);
    printf("}\n");
}

enum opt {
    OPT_TARGET = 1,
    OPT_PROTOCOL,
    OPT_WORK,
    OPT_CONNECTIONS,
    OPT_SECONDS,
    OPT_WARM,
    OPT_IDS,
    OPT_COUNT,
    OPT_PREFIX,
    OPT_RATE,
    OPT_LINK,
    OPT_HEADER,
};
static const struct option long_options[] = {
    {"target", required_argument, NULL, OPT_TARGET},
    {"protocol", required_argument, NULL, OPT_PROTOCOL},
    {"work", required_argument, NULL, OPT_WORK},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"warm", required_argument, NULL, OPT_WARM},
    {"ids", required_argument, NULL, OPT_IDS},
    {"count", required_argument, NULL, OPT_COUNT},
    {"prefix", required_argument, NULL, OPT_PREFIX},
    {"rate", required_argument, NULL, OPT_RATE},
    {"link", required_argument, NULL, OPT_LINK},
    {"header", required_argument, NULL, OPT_HEADER},
    {NULL, 0, NULL, 0},
};

static void usage(const char *what)
{
    fprintf(stderr, "load: bad or missing %s\n", what);
    exit(2);
}

static double number_of(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || value < 0 || value > 1e9) {
        usage(text);
    }
    return value;
}

static void set_option(struct load *l, int opt, const char *value, double *rate, char *header,
                       size_t header_size)
{
    switch ((enum opt)opt) {
    case OPT_TARGET:
        l->wire.host = value;
        break;
    case OPT_PROTOCOL:
        l->wire.ops = strcmp(value, "grpc") == 0 ? &wire_grpc : &wire_http;
        break;
    case OPT_WORK:
        if (!work_parse(value, &l->wire.work)) {
            usage("work");
        }
        break;
    case OPT_CONNECTIONS:
        l->conn_count = (size_t)number_of(value);
        break;
    case OPT_SECONDS:
        l->seconds_ns = (uint64_t)(number_of(value) * 1e9);
        break;
    case OPT_WARM:
        l->warm_ns = (uint64_t)(number_of(value) * 1e9);
        break;
    case OPT_IDS:
        l->wire.id_count = (uint64_t)number_of(value);
        break;
    case OPT_COUNT:
        l->count_max = (uint64_t)number_of(value);
        break;
    case OPT_PREFIX:
        l->wire.prefix = value;
        break;
    case OPT_RATE:
        *rate = number_of(value);
        break;
    case OPT_LINK:
        l->wire.link = value;
        break;
    case OPT_HEADER:
        (void)snprintf(header, header_size, "%s\r\n", value);
        break;
    default:
        usage("option");
    }
}

int main(int argc, char **argv)
{
    static struct load l;
    static char header[512];
    double rate = 0;
    l.wire = (struct wire){.ops = &wire_http, .prefix = "new", .link = "dbs/bench/colls/items"};
    l.conn_count = 1;
    l.seconds_ns = 1000000000;
    for (int opt = 0; (opt = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        set_option(&l, opt, optarg, &rate, header, sizeof(header));
    }
    if (l.wire.host == NULL || l.conn_count < 1 || l.conn_count > CONNECTIONS_MAX) {
        usage("--target or --connections");
    }
    if (l.wire.work != WORK_CREATE && l.wire.id_count == 0) {
        usage("--ids");
    }
    l.gap_ns = rate > 0 ? (uint64_t)((double)l.conn_count * 1e9 / rate) : 0;
    l.wire.headers = header;
    item_maker_init(&l.wire.items, sample_now_ns());
    if (l.wire.ops == &wire_http) {
        wire_http_sign_all(&l.wire,
                           getenv("BENCH_KEY")); /* NOLINT(concurrency-mt-unsafe): one thread */
    }
    double seconds = run(&l);
    print(&l, seconds);
    if (l.wire.ops == &wire_http) {
        wire_http_done(&l.wire);
    }
    item_maker_done(&l.wire.items);
    for (size_t i = 0; i < l.conn_count; i++) {
        (void)close(l.conns[i].fd); /* the answers in flight are of no interest */
    }
    mem_free(l.conns);
    return 0;
}
