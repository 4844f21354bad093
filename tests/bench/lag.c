/* Replication lag as a client sees it: creates an item in the write region, and from its
 * acknowledgement on reads it in another region at level Eventual until it is there.
 *
 *   lag --writer HOST:PORT --reader HOST:PORT [--count N] [--gap-ms MS] [--link LINK]
 *
 * The time is that from the acknowledgement to the end of the first read that found it, hence an
 * upper bound: it includes one read, and up to POLL_US between reads. BENCH_KEY: the account's key.
 * Prints one line of JSON. */
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/str.h"
#include "bench/wire.h"

enum { POLL_US = 250, LIMIT_MS = 10000 };

struct lag {
    struct wire writer, reader;
    struct wire_conn to_writer, to_reader;
    struct sample sample;
    uint64_t immediate; /* found by the first read */
};

static void pause_us(long us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    (void)ppoll(NULL, 0, &t, NULL); /* a little less on a signal is as good */
}

static int exchange(struct wire *w, struct wire_conn *c)
{
    int status = 0;
    w->ops->fill(w, c);
    if (!wire_flush(c)) {
        return -1;
    }
    for (;;) {
        ssize_t n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, 0);
        if (n <= 0) {
            return -1;
        }
        c->in_n += (size_t)n;
        int over = w->ops->take(w, c, &status);
        if (over != 0) {
            return over < 0 ? -1 : status;
        }
    }
}

static void probe(struct lag *l)
{
    if (exchange(&l->writer, &l->to_writer) != 201) {
        l->sample.errors++;
        return;
    }
    uint64_t acked = sample_now_ns();
    wire_http_probe(&l->reader, l->writer.next - 1);
    for (int tries = 1;; tries++) {
        int status = exchange(&l->reader, &l->to_reader);
        uint64_t now = sample_now_ns();
        if (status == 200) {
            l->immediate += tries == 1 ? 1 : 0;
            sample_add(&l->sample, now - acked);
            return;
        }
        if (status != 404 || now - acked > LIMIT_MS * UINT64_C(1000000)) {
            l->sample.errors++;
            return;
        }
        pause_us(POLL_US);
    }
}

static void set_up(struct wire *w, struct wire_conn *c, enum work work, const char *key)
{
    w->ops = &wire_http;
    w->work = work;
    w->id_count = 1;
    item_maker_init(&w->items, sample_now_ns());
    wire_http_sign_all(w, key);
    c->fd = wire_connect(w->host);
    if (c->fd < 0) {
        fprintf(stderr, "lag: cannot connect to %s\n", w->host);
        exit(1);
    }
    w->ops->greet(w, c);
}

int main(int argc, char **argv)
{
    static struct lag l;
    static char prefix[ITEM_ID_SIZE];
    static const struct option options[] = {
        {"writer", required_argument, NULL, 'w'}, {"reader", required_argument, NULL, 'r'},
        {"count", required_argument, NULL, 'n'},  {"gap-ms", required_argument, NULL, 'g'},
        {"link", required_argument, NULL, 'l'},   {NULL, 0, NULL, 0},
    };
    unsigned long count = 500;
    unsigned long gap_ms = 5;
    const char *link = "dbs/bench/colls/items";
    for (int opt = 0; (opt = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        l.writer.host = opt == 'w' ? optarg : l.writer.host;
        l.reader.host = opt == 'r' ? optarg : l.reader.host;
        link = opt == 'l' ? optarg : link;
        count = opt == 'n' ? strtoul(optarg, NULL, 10) : count;
        gap_ms = opt == 'g' ? strtoul(optarg, NULL, 10) : gap_ms;
    }
    if (l.writer.host == NULL || l.reader.host == NULL) {
        fprintf(stderr,
                "usage: lag --writer HOST:PORT --reader HOST:PORT [--count N] [--gap-ms MS]\n");
        return 2;
    }
    const char *key = getenv("BENCH_KEY"); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)snprintf(prefix, sizeof(prefix), "lag%08x", (unsigned)sample_now_ns());
    l.writer.link = l.reader.link = link;
    l.writer.prefix = l.reader.prefix = prefix;
    l.writer.headers = "";
    l.reader.headers = "x-ms-consistency-level: Eventual\r\n";
    set_up(&l.writer, &l.to_writer, WORK_CREATE, key);
    l.reader.is_probe = true;
    set_up(&l.reader, &l.to_reader, WORK_READ, key);
    for (unsigned long i = 0; i < count; i++) {
        probe(&l);
        pause_us((long)gap_ms * 1000);
    }
    printf("{\"immediate\":%" PRIu64 ",\"sample\":", l.immediate);
    sample_print(&l.sample, 1);
    printf("}\n");
    wire_http_done(&l.writer);
    wire_http_done(&l.reader);
    return 0;
}
