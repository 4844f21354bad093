/* The same items in PostgreSQL: a prepared statement per connection, one in flight each, through
 * libpq's asynchronous calls on one thread.
 *
 *   pg_load CONNINFO create|upsert|read CONNECTIONS SECONDS [WARM SECONDS] [IDS]
 *   pg_load CONNINFO fill - - - IDS
 *
 * Prints one line of JSON. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/contract.h"
#include "base/mem.h"
#include "bench/sample.h"
#include "bench/wire.h"

enum { EVENTS_MAX = 64, STALL_MS = 10000 };

static const char make_table[] =
    "create table if not exists items(id text primary key, doc jsonb not null)";
static const char *const statements[WORK_COUNT] = {
    [WORK_CREATE] = "insert into items(id, doc) values($1, $2::text::jsonb)",
    [WORK_UPSERT] = ("insert into items(id, doc) values($1, $2::text::jsonb) "
                     "on conflict(id) do update set doc = excluded.doc"),
    [WORK_REPLACE] = "update items set doc = $2::text::jsonb where id = $1",
    [WORK_READ] = "select doc from items where id = $1",
};

struct pg_conn {
    PGconn *conn;
    uint64_t started_ns;
};

struct pg {
    const char *conninfo;
    enum work work;
    uint64_t id_count, next;
    char prefix[16];
    uint64_t counted_from, ends;
    struct pg_conn *conns;
    size_t conn_count;
    struct item_maker items;
    struct sample sample;
};

static void die(PGconn *conn, const char *what)
{
    fprintf(stderr, "pg_load: %s: %s", what, PQerrorMessage(conn));
    exit(1);
}

static PGconn *connect_one(const struct pg *p)
{
    PGconn *conn = PQconnectdb(p->conninfo);
    if (PQstatus(conn) != CONNECTION_OK) {
        die(conn, "connect");
    }
    return conn;
}

static void must(PGconn *conn, PGresult *res)
{
    if (PQresultStatus(res) != PGRES_COMMAND_OK && PQresultStatus(res) != PGRES_TUPLES_OK) {
        die(conn, "statement");
    }
    PQclear(res);
}

static void fill(struct pg *p)
{
    PGconn *conn = connect_one(p);
    char id[ITEM_ID_SIZE];
    char item[ITEM_SIZE + 1];
    const char *values[2] = {id, item};
    must(conn, PQexec(conn, make_table));
    must(conn, PQprepare(conn, "w", statements[WORK_UPSERT], 2, NULL));
    must(conn, PQexec(conn, "begin"));
    item[ITEM_SIZE] = '\0';
    for (uint64_t i = 0; i < p->id_count; i++) {
        (void)item_id(id, "fill", i);
        item_make(&p->items, id, item);
        must(conn, PQexecPrepared(conn, "w", 2, values, NULL, NULL, 0));
    }
    must(conn, PQexec(conn, "commit"));
    must(conn, PQexec(conn, "vacuum analyze items"));
    PQfinish(conn);
}

static void start(struct pg *p, struct pg_conn *c)
{
    char id[ITEM_ID_SIZE];
    char item[ITEM_SIZE + 1];
    const char *values[2] = {id, item};
    bool is_new = p->work == WORK_CREATE;
    (void)item_id(id, is_new ? p->prefix : "fill",
                  is_new ? p->next++ : rng_below(&p->items.rng, p->id_count));
    int value_count = 1;
    if (p->work != WORK_READ) {
        item_make(&p->items, id, item);
        item[ITEM_SIZE] = '\0';
        value_count = 2;
    }
    c->started_ns = sample_now_ns();
    if (PQsendQueryPrepared(c->conn, "w", value_count, values, NULL, NULL, 0) != 1 ||
        PQflush(c->conn) != 0) {
        die(c->conn, "send");
    }
}

/* True when the statement in flight is over. */
static bool receive(struct pg *p, struct pg_conn *c)
{
    if (PQconsumeInput(c->conn) != 1) {
        die(c->conn, "receive");
    }
    while (PQisBusy(c->conn) == 0) {
        PGresult *res = PQgetResult(c->conn);
        if (res == NULL) {
            return true;
        }
        bool is_fine =
            p->work == WORK_READ ? PQntuples(res) == 1 : PQresultStatus(res) == PGRES_COMMAND_OK;
        uint64_t now = sample_now_ns();
        if (!is_fine) {
            p->sample.errors++;
        } else if (now >= p->counted_from) {
            sample_add(&p->sample, now - c->started_ns);
        }
        PQclear(res);
    }
    return false;
}

static void run(struct pg *p)
{
    struct epoll_event events[EVENTS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(epoll >= 0);
    p->conns = MEM_NEW_ARRAY(struct pg_conn, p->conn_count);
    for (size_t i = 0; i < p->conn_count; i++) {
        struct pg_conn *c = &p->conns[i];
        c->conn = connect_one(p);
        must(c->conn,
             PQprepare(c->conn, "w", statements[p->work], p->work == WORK_READ ? 1 : 2, NULL));
        if (PQsetnonblocking(c->conn, 1) != 0) {
            die(c->conn, "non-blocking");
        }
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
        int rc = epoll_ctl(epoll, EPOLL_CTL_ADD, PQsocket(c->conn), &ev);
        ASSERT(rc == 0);
    }
    uint64_t began = sample_now_ns();
    p->counted_from += began;
    p->ends += p->counted_from;
    for (size_t i = 0; i < p->conn_count; i++) {
        start(p, &p->conns[i]);
    }
    while (sample_now_ns() < p->ends) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, STALL_MS);
        ASSERT(n != 0);
        for (int i = 0; i < n; i++) {
            struct pg_conn *c = (struct pg_conn *)events[i].data.ptr;
            if (receive(p, c)) {
                start(p, c);
            }
        }
    }
    printf("{\"sample\":");
    sample_print(&p->sample, (double)(sample_now_ns() - p->counted_from) / 1e9);
    printf("}\n");
    for (size_t i = 0; i < p->conn_count; i++) {
        PQfinish(p->conns[i].conn);
    }
    mem_free(p->conns);
}

int main(int argc, char **argv)
{
    static struct pg p;
    bool is_fill = argc > 6 && strcmp(argv[2], "fill") == 0;
    p.conninfo = argc > 1 ? argv[1] : "";
    p.conn_count = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 0;
    if (argc < 5 || (!is_fill && !work_parse(argv[2], &p.work)) || p.conn_count > CONNECTIONS_MAX ||
        (!is_fill && p.conn_count < 1)) {
        fprintf(
            stderr,
            "usage: pg_load CONNINFO create|upsert|read|fill CONNECTIONS SECONDS [WARM] [IDS]\n");
        return 2;
    }
    p.ends = (uint64_t)(strtod(argv[4], NULL) * 1e9);
    p.counted_from = argc > 5 ? (uint64_t)(strtod(argv[5], NULL) * 1e9) : 0;
    p.id_count = argc > 6 ? strtoul(argv[6], NULL, 10) : 20000;
    (void)snprintf(p.prefix, sizeof(p.prefix), "n%08x", (unsigned)sample_now_ns());
    item_maker_init(&p.items, sample_now_ns());
    if (is_fill) {
        fill(&p);
    } else {
        run(&p);
    }
    item_maker_done(&p.items);
    return 0;
}
