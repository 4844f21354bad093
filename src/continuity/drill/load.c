/* Load for drills. See load.h.
 *
 * A tick every TICK_MS starts as many writes as the rate allows while fewer than `connections` are in
 * flight; reads run one at a time all the while. A refused write (403/3, 403/1008) is sent again
 * where the fresh account document points; a write without an answer counts as unknown and is not
 * repeated. When the account says that single partitions may have another writer, a refused write goes
 * to the next region of the document instead, and the following ones to whoever took it, as an SDK does. */
#include "continuity/drill/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "net/http_client.h"

enum {
    TICK_MS = 2,
    READ_PERIOD_MS = 5,
    READ_TIMEOUT_MS = 400,
    ACCOUNT_TIMEOUT_MS = 1000,
    RETRY_MS = 20,
    LOCATIONS_MAX = 32,
    BODY_SIZE = 256,
    WRITE_TRIES_MAX = 500,
};

struct location {
    char name[64];
    char endpoint[256];
};

struct load_write {
    struct load *load;
    uint64_t number;
    unsigned tries;
    struct loop_timer *retry;
    char writer[64]; /* who is being asked */
    usec sent_us;
};

struct load {
    struct loop *loop;
    struct load_opts opts;
    struct client_signer *signer;
    struct http_client *client;
    struct loop_timer *tick, *read_timer;
    struct location writer;
    struct location
        detour;       /* where writes go that the writer refuses; empty name = to the writer */
    bool has_detours; /* the account says that single partitions may be written elsewhere */
    struct location readers[LOCATIONS_MAX];
    size_t reader_count;
    size_t reader_idx; /* being asked now */
    bool has_account, is_refreshing, is_reading;
    unsigned in_flight;
    usec started_us;
    uint64_t started_writes;
    uint64_t last_acked; /* number to read back */
    bool has_acked;
    char writer_before[64]; /* at load_fault */
    usec stopped_us;        /* no new requests since then; 0 = not stopped */
    usec fault_us, newest_fault_us, last_read_us;
    struct load_times times;
};

/* Nothing came from `last_us`, or from the fault if that was later, until now. */
static void note_gap(const struct load *l, usec last_us, usec now, usec *longest_us)
{
    usec from = last_us > l->fault_us ? last_us : l->fault_us;
    if (l->fault_us != 0 && now > from && now - from > *longest_us) {
        *longest_us = now - from;
    }
}

/* ---- requests ---- */

static void start_call(struct load *l, const char *method, const char *endpoint, const char *path,
                       const struct http_header *extra, size_t extra_count, struct str body,
                       unsigned timeout_ms, http_client_done *done, void *ctx)
{
    struct arena a;
    arena_init(&a);
    char date[CLOCK_RFC1123_SIZE];
    clock_format_rfc1123(clock_wall_ms(), date);
    struct http_header headers[16];
    size_t n = 0;
    headers[n++] = (struct http_header){STR("x-ms-date"), str_of(date)};
    headers[n++] = (struct http_header){STR("authorization"),
                                        client_sign(l->signer, &a, method, str_of(path), date)};
    headers[n++] = (struct http_header){STR("x-ms-version"), STR("2020-07-15")};
    headers[n++] = (struct http_header){STR("content-type"), STR("application/json")};
    for (size_t i = 0; i < extra_count; i++) {
        headers[n++] = extra[i];
    }
    struct str base = str_of(endpoint);
    if (base.n > 0 && base.p[base.n - 1] == '/') {
        base.n--;
    }
    struct str url = arena_printf(&a, STR_FMT "%s", STR_ARG(base), path);
    struct http_client_req req = {.method = method,
                                  .url = arena_cstr(&a, url),
                                  .headers = headers,
                                  .header_count = n,
                                  .body = body,
                                  .timeout_ms = timeout_ms,
                                  .ca_file = l->opts.account->ca};
    (void)http_client_start(l->client, &req, done, ctx);
    arena_done(&a);
}

/* ---- the account document ---- */

static void read_locations(const struct json *list, struct location *ret, size_t max, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t i = 0; list && i < list->count && *ret_n < max; i++) {
        struct str name = STR("");
        struct str endpoint = STR("");
        (void)json_get_str(list->items[i], STR("name"), &name);
        (void)json_get_str(list->items[i], STR("databaseAccountEndpoint"), &endpoint);
        struct location *loc = &ret[(*ret_n)++];
        (void)snprintf(loc->name, sizeof(loc->name), STR_FMT, STR_ARG(name));
        (void)snprintf(loc->endpoint, sizeof(loc->endpoint), STR_FMT, STR_ARG(endpoint));
    }
}

static void on_account(void *ctx, const struct http_client_result *res)
{
    struct load *l = ctx;
    l->is_refreshing = false;
    if (res->err != OK || res->status != 200) {
        return; /* whoever needs it asks again */
    }
    struct arena a;
    arena_init(&a);
    const struct json *doc = NULL;
    if (json_parse(&a, res->body, NULL, &doc, NULL) == OK) {
        size_t n = 0;
        struct location writer;
        read_locations(json_get(doc, STR("writableLocations")), &writer, 1, &n);
        if (n == 1) {
            l->detour.name[0] = strcmp(l->writer.name, writer.name) == 0 ? l->detour.name[0] : '\0';
            l->writer = writer;
            l->has_account = true;
        }
        read_locations(json_get(doc, STR("readableLocations")), l->readers, LOCATIONS_MAX,
                       &l->reader_count);
        l->has_detours = false;
        (void)json_get_bool(doc, STR("enablePerPartitionFailoverBehavior"), &l->has_detours);
        l->reader_idx = 0;
        for (size_t i = 0; i < l->reader_count; i++) {
            if (l->opts.read_first && strcmp(l->readers[i].name, l->opts.read_first) == 0) {
                l->reader_idx = i;
            }
        }
    }
    arena_done(&a);
}

static void refresh(struct load *l)
{
    if (!l->is_refreshing && l->stopped_us == 0) {
        l->is_refreshing = true;
        start_call(l, "GET", l->opts.account->endpoint, "/", NULL, 0, STR(""), ACCOUNT_TIMEOUT_MS,
                   on_account, l);
    }
}

/* ---- writes ---- */

static void write_send(void *ctx);

static void write_end(struct load_write *w)
{
    w->load->in_flight--;
    if (w->retry) {
        loop_timer_free(w->retry);
    }
    mem_free(w);
}

static void note_ack(struct load *l, const struct load_write *w)
{
    usec now = loop_now(l->loop);
    ledger_mark(l->opts.ledger, w->number, LEDGER_ACKED);
    l->times.acked++;
    l->last_acked = w->number;
    l->has_acked = true;
    note_gap(l, l->times.last_ack_us, now, &l->times.longest_write_gap_us);
    if (l->fault_us != 0) {
        if (l->times.first_ack_us == 0 && w->sent_us >= l->newest_fault_us) {
            l->times.first_ack_us = now;
        }
        if (l->times.first_ack_elsewhere_us == 0 && strcmp(w->writer, l->writer_before) != 0) {
            l->times.first_ack_elsewhere_us = now;
            (void)snprintf(l->times.new_writer, sizeof(l->times.new_writer), "%s", w->writer);
        }
    }
    l->times.last_ack_us = now;
    if (l->opts.acked) {
        l->opts.acked(l->opts.acked_ctx);
    }
}

static const struct location *write_location(const struct load *l)
{
    return l->has_detours && l->detour.name[0] != 0 ? &l->detour : &l->writer;
}

/* The whole load is in one container of one partition: what one write learns is good for all. */
static void take_detour(struct load *l, const struct load_write *w)
{
    if (!l->has_detours || strcmp(w->writer, write_location(l)->name) != 0) {
        return; /* another write has learnt it already */
    }
    for (size_t i = 0; i < l->reader_count; i++) {
        if (strcmp(l->readers[i].name, w->writer) == 0) {
            l->detour = l->readers[(i + 1) % l->reader_count];
            return;
        }
    }
}

static void on_written(void *ctx, const struct http_client_result *res)
{
    struct load_write *w = ctx;
    struct load *l = w->load;
    bool is_refused =
        (res->err == OK && (res->status == 403 || res->status == 503 || res->status == 429)) ||
        (res->err != OK && !res->was_sent);
    if (res->err == OK && res->status == 201) {
        note_ack(l, w);
        write_end(w);
    } else if (is_refused && l->stopped_us == 0 && ++w->tries < WRITE_TRIES_MAX) {
        /* Certainly not applied: the same write goes to whoever is the writer now. */
        if (res->err == OK && res->status == 403) {
            take_detour(l, w);
        }
        refresh(l);
        loop_timer_set(w->retry, RETRY_MS, 0);
    } else if (is_refused) {
        ledger_mark(l->opts.ledger, w->number, LEDGER_REFUSED);
        l->times.errors++;
        write_end(w);
    } else {
        if (res->err == OK && res->status != 408) {
            l->times.errors++; /* 409 for a new id, 500 ...: nothing a create may get */
        }
        refresh(l);
        write_end(w); /* stays unknown in the ledger */
    }
}

static void write_send(void *ctx)
{
    struct load_write *w = ctx;
    struct load *l = w->load;
    char path[600];
    char body[BODY_SIZE * 2];
    char pk[64];
    (void)snprintf(path, sizeof(path), "%s/docs", l->opts.container);
    (void)snprintf(pk, sizeof(pk), "[\"p%" PRIu64 "\"]", w->number % 16);
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s-%" PRIu64 "\",\"pk\":\"p%" PRIu64 "\",\"pad\":\"%0*d\"}",
                   l->opts.run, w->number, w->number % 16, BODY_SIZE, 0);
    struct http_header extra[] = {{STR("x-ms-documentdb-partitionkey"), str_of(pk)}};
    (void)snprintf(w->writer, sizeof(w->writer), "%s", write_location(l)->name);
    w->sent_us = loop_now(l->loop);
    start_call(l, "POST", write_location(l)->endpoint, path, extra, 1, str_of(body),
               l->opts.write_timeout_ms, on_written, w);
}

static void on_tick(void *ctx)
{
    struct load *l = ctx;
    if (!l->has_account) {
        refresh(l);
        return;
    }
    usec now = loop_now(l->loop);
    if (l->started_us == 0) {
        l->started_us = now;
    }
    uint64_t due = (now - l->started_us) * l->opts.writes_per_s / 1000000;
    while (l->stopped_us == 0 && l->started_writes < due) {
        if (l->in_flight >= l->opts.connections) {
            l->started_writes = due; /* what could not start in its time is not made up for later */
            break;
        }
        struct load_write *w = MEM_NEW(struct load_write);
        if (!ledger_send(l->opts.ledger, &w->number)) {
            mem_free(w);
            break;
        }
        w->load = l;
        w->retry = loop_timer_new(l->loop, write_send, w);
        l->in_flight++;
        l->started_writes++;
        write_send(w);
    }
}

/* ---- reads ---- */

static void on_read(void *ctx, const struct http_client_result *res)
{
    struct load *l = ctx;
    l->is_reading = false;
    usec now = loop_now(l->loop);
    /* 404 is an answer too: a replica that has not this write yet, which its level allows. */
    if (res->err == OK && (res->status == 200 || res->status == 404)) {
        note_gap(l, l->last_read_us, now, &l->times.longest_read_gap_us);
        l->last_read_us = now;
        return;
    }
    if (res->err == OK && res->status == 403) {
        refresh(l);
    }
    if (l->reader_count > 0) {
        l->reader_idx = (l->reader_idx + 1) % l->reader_count; /* next preferred region */
    }
}

static void on_read_timer(void *ctx)
{
    struct load *l = ctx;
    if (l->is_reading || l->stopped_us != 0 || !l->has_acked || l->reader_count == 0) {
        return;
    }
    char path[700];
    char pk[64];
    (void)snprintf(path, sizeof(path), "%s/docs/%s-%" PRIu64, l->opts.container, l->opts.run,
                   l->last_acked);
    (void)snprintf(pk, sizeof(pk), "[\"p%" PRIu64 "\"]", l->last_acked % 16);
    struct http_header extra[] = {{STR("x-ms-documentdb-partitionkey"), str_of(pk)},
                                  {STR("x-ms-consistency-level"), STR("Eventual")}};
    l->is_reading = true;
    start_call(l, "GET", l->readers[l->reader_idx].endpoint, path, extra, 2, STR(""),
               READ_TIMEOUT_MS, on_read, l);
}

/* ---- life ---- */

struct load *load_new(struct loop *loop, const struct load_opts *opts, struct errinfo *ei)
{
    struct client_signer *signer = client_signer_new(opts->account->key, ei);
    if (!signer) {
        return NULL;
    }
    struct load *l = MEM_NEW(struct load);
    l->loop = loop;
    l->opts = *opts;
    l->signer = signer;
    l->client = http_client_new(loop);
    l->tick = loop_timer_new(loop, on_tick, l);
    l->read_timer = loop_timer_new(loop, on_read_timer, l);
    return l;
}

void load_start(struct load *l)
{
    loop_timer_set(l->tick, 1, TICK_MS);
    loop_timer_set(l->read_timer, 1, READ_PERIOD_MS);
}

void load_fault(struct load *l)
{
    l->newest_fault_us = loop_now(l->loop);
    l->fault_us = l->fault_us != 0 ? l->fault_us : l->newest_fault_us;
    l->times.first_ack_us = l->times.first_ack_elsewhere_us = 0;
    (void)snprintf(l->writer_before, sizeof(l->writer_before), "%s", l->writer.name);
}

bool load_stop(struct load *l)
{
    l->stopped_us = l->stopped_us != 0 ? l->stopped_us : loop_now(l->loop);
    return l->in_flight == 0 && !l->is_reading && !l->is_refreshing;
}

void load_times(const struct load *l, struct load_times *ret)
{
    *ret = l->times;
    /* A gap that is still open counts as long as it is already, or was when the load stopped. */
    usec now = l->stopped_us != 0 ? l->stopped_us : loop_now(l->loop);
    note_gap(l, l->times.last_ack_us, now, &ret->longest_write_gap_us);
}

const char *load_writer(const struct load *l)
{
    return l->writer.name;
}

void load_free(struct load *l)
{
    if (!l) {
        return;
    }
    loop_timer_free(l->tick);
    loop_timer_free(l->read_timer);
    ASSERT(l->in_flight == 0);
    http_client_free(l->client);
    client_signer_free(l->signer);
    mem_free(l);
}
