/* The built-in coordinator: HTTP in front, store in the middle, journal behind.
 *
 *   HTTP threads: authenticate, decode --post--> loop: apply to the store, record --> journal thread
 *                                                  ^                                      |
 *                                                  +------------- durable(seq) <----------+
 *
 * An answer is computed at once, from the store as it is, and carries the sequence number of the last
 * record that it may show. It leaves when that record is durable. So nobody ever sees a change that a
 * crash could take back, and no read waits for changes younger than itself.
 *
 * A transaction may skip that wait when it wrote no record, its revision is reserved durably, and none
 * of its keys is touched by a record that still waits: its outcome then hangs on nothing undurable.
 *
 * Watches are looked at once per round of events, after all transactions of the round. */
#include "coord/server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "coord/builtin/store.h"
#include "coord/journal.h"
#include "coord/wire.h"
#include "net/http_server.h"
#include "net/tls.h"

enum {
    TICK_MS = 50, /* grain of watch ends and of late answers */
    STOP_GRACE_MS = 500,
    ERROR_BODY_SIZE_MAX = 4096,
};

enum call_kind { CALL_TXN, CALL_READ, CALL_WATCH };

#define LISTENER_NAME "coordinator"
static const char going_down[] = "the coordinator is going down";

/* One request on its way through; lives in the request's arena. */
struct call {
    struct coord_server *server;
    struct http_req *req;
    enum call_kind kind;
    struct coord_txn txn;
    struct coord_watch_query query;
    struct list link;  /* in watches or waiting */
    uint64_t need_seq; /* waiting: leaves when this record is durable */
    usec deadline_us;
    int status;
    struct buf body; /* of the answer */
};

/* A key that a record which is not durable yet has changed. */
struct touched {
    struct list link; /* in server.touched, by rising seq */
    uint64_t seq;
    size_t key_size;
    char key[]; /* key_size bytes */
};

struct coord_server {
    struct loop *loop;
    struct http_server *http;
    struct http_server *https; /* NULL: plain only */
    struct coord_store *store;
    struct journal *journal;
    char *dir;                      /* owned */
    struct coord_secret_file *file; /* owned; NULL: the secrets stay */
    pthread_mutex_t secrets_lock;   /* guards `secrets`; nothing else is taken inside */
    struct coord_secrets secrets;
    bool is_key_due; /* the file's thread: https still needs the key of the first */
    struct loop_timer *tick;
    struct list watches; /* struct call.link */
    size_t watch_count;
    struct list waiting; /* struct call.link, by rising need_seq */
    size_t waiting_count;
    struct list touched;
    uint64_t appended_seq; /* of the last record given to the journal */
    uint64_t durable_seq;
    coord_rev durable_limit;  /* revisions below it are reserved durably */
    coord_rev appended_limit; /* ... once appended_seq is durable */
    bool is_stopping;
    bool is_changed;           /* watches are to be looked at in this round */
    atomic_ulong reported_seq; /* by the journal's thread, not yet taken */
    atomic_bool is_report_posted;
    atomic_ulong txn_count;                      /* for /metrics; the rest is read on the loop */
    atomic_ulong secret_uses[COORD_SECRETS_MAX]; /* since the secrets are what they are */
    atomic_ulong secret_change_count;            /* times the file had others */
    atomic_ulong refused_count;                  /* requests with none of the secrets */
};

/* --- answering -------------------------------------------------------------------------------------- */

static void respond(struct http_req *req, int status, struct buf *body)
{
    struct http_response res = {.status = status, .body = body};
    http_response_header(&res, STR("Content-Type"), STR("application/json"));
    http_respond(req, &res);
    buf_done(body);
}

static void respond_err(struct http_req *req, enum err code, const char *message)
{
    struct buf body;
    buf_init(&body, ERROR_BODY_SIZE_MAX);
    coord_wire_error_encode(code, message, &body);
    respond(req, err_http_status(code), &body);
}

static void leave(struct call *c)
{
    struct buf body = c->body; /* the call dies with the request */
    respond(c->req, c->status, &body);
}

/* Sends the answer when record `need_seq` is durable. */
static void answer_after(struct call *c, uint64_t need_seq)
{
    struct coord_server *s = c->server;
    if (need_seq <= s->durable_seq) {
        leave(c);
        return;
    }
    c->need_seq = need_seq;
    c->deadline_us = clock_boot_us() + (usec)COORD_SERVER_ANSWER_MS * 1000;
    list_push_back(&s->waiting, &c->link); /* need_seq never falls from one call to the next */
    s->waiting_count++;
}

static void set_state(struct call *c, coord_rev rev, bool is_reset, const struct coord_kv *kvs,
                      size_t n)
{
    struct coord_state state = {.rev = rev, .is_reset = is_reset, .kv_count = n, .kvs = kvs};
    c->status = 200;
    coord_wire_state_encode(&state, &c->body);
    ASSERT(buf_ok(&c->body)); /* COORD_STATE_SIZE_MAX holds a full store */
}

/* --- transactions ------------------------------------------------------------------------------------ */

static void touch(struct coord_server *s, const struct coord_txn *t, uint64_t seq)
{
    for (size_t i = 0; i < t->put_count; i++) {
        struct str key = t->puts[i].key;
        struct touched *k = (struct touched *)mem_alloc(sizeof(*k) + key.n);
        k->seq = seq;
        k->key_size = key.n;
        memcpy(k->key, key.p, key.n);
        list_init(&k->link);
        list_push_back(&s->touched, &k->link);
    }
}

static void untouch(struct coord_server *s, uint64_t durable_seq)
{
    while (!list_is_empty(&s->touched)) {
        struct touched *k = LIST_ENTRY(s->touched.next, struct touched, link);
        if (k->seq > durable_seq) {
            return;
        }
        list_remove(&k->link);
        mem_free(k);
    }
}

static bool is_touched(const struct coord_server *s, struct str key)
{
    LIST_FOR(item, &s->touched) {
        const struct touched *k = LIST_ENTRY(item, struct touched, link);
        if (str_eq(str_make(k->key, k->key_size), key)) {
            return true;
        }
    }
    return false;
}

static bool depends_on_waiting(const struct coord_server *s, const struct coord_txn *t,
                               coord_rev rev)
{
    if (rev > 0 && rev >= s->durable_limit && s->appended_seq > s->durable_seq) {
        return true;
    }
    for (size_t i = 0; i < t->compare_count; i++) {
        if (is_touched(s, t->compares[i].key)) {
            return true;
        }
    }
    for (size_t i = 0; i < t->put_count; i++) {
        if (is_touched(s, t->puts[i].key)) {
            return true;
        }
    }
    return false;
}

/* More than the record of the transaction can take. */
static size_t record_bound(const struct coord_txn *t)
{
    size_t n = 256;
    for (size_t i = 0; i < t->put_count; i++) {
        n += t->puts[i].key.n + t->puts[i].value.n + 16;
    }
    return n;
}

static void rewrite_if_due(struct coord_server *s)
{
    if (!journal_wants_rewrite(s->journal)) {
        return;
    }
    struct buf snapshot;
    buf_init(&snapshot, (size_t)COORD_STORE_SIZE_MAX + (COORD_STORE_SIZE_MAX / 2));
    coord_store_snapshot(s->store, &snapshot);
    ASSERT(buf_ok(&snapshot));
    journal_rewrite(s->journal, buf_str(&snapshot));
    buf_done(&snapshot);
}

/* Hands the record to the journal; returns what the answer must wait for. */
static uint64_t record_change(struct coord_server *s, const struct coord_txn *t, coord_rev rev,
                              struct str record)
{
    if (record.n > 0) {
        s->appended_seq = journal_append(s->journal, record);
        s->appended_limit = coord_store_rev_limit(s->store);
        touch(s, t, s->appended_seq);
        rewrite_if_due(s);
        return s->appended_seq;
    }
    return depends_on_waiting(s, t, rev) ? s->appended_seq : 0;
}

static void do_txn(struct call *c)
{
    struct coord_server *s = c->server;
    struct errinfo ei = {0};
    bool needs_record = coord_store_needs_record(s->store, &c->txn);
    enum err room = needs_record ? journal_reserve(s->journal, record_bound(&c->txn), &ei) : OK;
    if (room != OK) {
        respond_err(c->req, room, ei.message);
        return;
    }
    coord_rev before = coord_store_rev(s->store);
    struct coord_txn_result result;
    struct buf record;
    buf_init(&record,
             (size_t)COORD_TXN_OPS_MAX * (COORD_VALUE_SIZE_MAX + COORD_KEY_SIZE_MAX + 16) + 256);
    coord_store_txn(s->store, &c->txn, &c->req->arena, &result, &record);
    ASSERT(buf_ok(&record) && record.n <= record_bound(&c->txn));
    atomic_fetch_add(&s->txn_count, 1);
    if (result.err != OK) {
        ASSERT(record.n == 0);
        respond_err(c->req, result.err,
                    "the transaction is malformed or over a limit of the store");
    } else {
        s->is_changed = s->is_changed || coord_store_rev(s->store) != before;
        c->status = 200;
        coord_wire_result_encode(&result, &c->body);
        answer_after(c, record_change(s, &c->txn, result.rev, buf_str(&record)));
    }
    buf_done(&record);
}

/* --- reads and watches -------------------------------------------------------------------------------- */

static void answer_all(struct call *c)
{
    struct coord_server *s = c->server;
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(s->store, c->query.prefix, &c->req->arena, &kvs);
    set_state(c, coord_store_rev(s->store), /* is_reset: */ true, kvs, n);
    answer_after(c, s->appended_seq);
}

/* True when the watch was answered; `is_over`: answer even if there is nothing. */
static bool try_watch(struct call *c, bool is_over)
{
    struct coord_server *s = c->server;
    const struct coord_kv *kvs = NULL;
    size_t n = 0;
    coord_rev rev = coord_store_rev(s->store);
    if (c->query.after == 0 ||
        !coord_store_changes(s->store, c->query.prefix, c->query.after, &c->req->arena, &kvs, &n)) {
        answer_all(c);
        return true;
    }
    if (n == 0 && !is_over) {
        return false;
    }
    set_state(c, rev, /* is_reset: */ false, kvs, n);
    answer_after(c, s->appended_seq);
    return true;
}

static void do_watch(struct call *c)
{
    struct coord_server *s = c->server;
    if (try_watch(c, /* is_over: */ c->query.wait_ms == 0)) {
        return;
    }
    if (s->watch_count >= COORD_SERVER_WATCHES_MAX) {
        respond_err(c->req, ERR_BUSY, "too many watches");
        return;
    }
    c->deadline_us = clock_boot_us() + (usec)c->query.wait_ms * 1000;
    list_push_back(&s->watches, &c->link);
    s->watch_count++;
}

static void look_at_watches(struct coord_server *s, usec now_us)
{
    LIST_FOR_SAFE(item, &s->watches) {
        struct call *c = LIST_ENTRY(item, struct call, link);
        bool is_over = now_us >= c->deadline_us;
        if (!s->is_changed && !is_over) {
            continue;
        }
        list_remove(item); /* the call may be gone after try_watch */
        if (try_watch(c, is_over)) {
            s->watch_count--;
        } else {
            list_insert_before(item_next, item);
        }
    }
    s->is_changed = false;
}

static void on_idle(void *ctx)
{
    struct coord_server *s = (struct coord_server *)ctx;
    if (s->is_changed) {
        look_at_watches(s, clock_boot_us());
    }
}

static void on_tick(void *ctx)
{
    struct coord_server *s = (struct coord_server *)ctx;
    usec now_us = clock_boot_us();
    look_at_watches(s, now_us);
    while (!list_is_empty(&s->waiting)) {
        struct call *c = LIST_ENTRY(s->waiting.next, struct call, link);
        if (now_us < c->deadline_us) {
            break;
        }
        list_remove(&c->link);
        s->waiting_count--;
        buf_clear(&c->body);
        c->status = err_http_status(ERR_UNKNOWN_OUTCOME);
        coord_wire_error_encode(ERR_UNKNOWN_OUTCOME,
                                "the disk is slow; the change may have been made", &c->body);
        leave(c);
    }
}

/* --- the journal reports -------------------------------------------------------------------------------- */

static void take_report(void *ctx)
{
    struct coord_server *s = (struct coord_server *)ctx;
    atomic_store(&s->is_report_posted, false);
    uint64_t seq = atomic_load(&s->reported_seq);
    s->durable_seq = seq;
    if (seq == s->appended_seq) {
        s->durable_limit = s->appended_limit;
    }
    untouch(s, seq);
    while (!list_is_empty(&s->waiting)) {
        struct call *c = LIST_ENTRY(s->waiting.next, struct call, link);
        if (c->need_seq > seq) {
            return;
        }
        list_remove(&c->link);
        s->waiting_count--;
        leave(c);
    }
}

static void on_durable(void *ctx, uint64_t seq)
{
    struct coord_server *s = (struct coord_server *)ctx;
    atomic_store(&s->reported_seq, seq);
    if (!atomic_exchange(&s->is_report_posted, true)) {
        bool ok = loop_post(s->loop, take_report, s);
        ASSERT(ok); /* HTTP connections are fewer than posts; this is one more */
    }
}

static void on_journal_failed(void *ctx, const char *why)
{
    UNUSED(ctx);
    LOG_ERROR("coord", "file_failed", "why=%s hint=%s", why,
              "what the file holds is unknown; free the disk and start again");
    _exit(err_exit_code(ERR_IO)); /* nothing may be answered any more, nor may exit handlers run */
}

/* --- HTTP ------------------------------------------------------------------------------------------------ */

static void start_call(void *ctx)
{
    struct call *c = (struct call *)ctx;
    if (c->server->is_stopping) {
        respond_err(c->req, ERR_UNAVAILABLE, going_down);
        return;
    }
    if (c->server->waiting_count >= COORD_SERVER_WAITING_MAX) {
        respond_err(c->req, ERR_BUSY, "too much waits for the disk");
        return;
    }
    switch (c->kind) {
    case CALL_TXN:
        do_txn(c);
        return;
    case CALL_READ:
        answer_all(c);
        return;
    case CALL_WATCH:
        do_watch(c);
        return;
    }
    UNREACHABLE();
}

static bool is_authorized(struct coord_server *s, const struct http_req *req)
{
    struct str given = http_header(req, STR("authorization"));
    struct str scheme = STR("Bearer ");
    size_t found = COORD_SECRETS_MAX;
    if (str_starts(given, scheme)) {
        (void)pthread_mutex_lock(&s->secrets_lock);
        found = coord_secrets_find(&s->secrets, str_slice(given, scheme.n, given.n));
        if (found < COORD_SECRETS_MAX) {
            atomic_fetch_add(&s->secret_uses[found], 1);
        }
        (void)pthread_mutex_unlock(&s->secrets_lock);
    }
    if (found == COORD_SECRETS_MAX) {
        atomic_fetch_add(&s->refused_count, 1);
    }
    return found < COORD_SECRETS_MAX;
}

static void respond_live(struct http_req *req)
{
    struct http_response res = {.status = 200, .body_copy = STR("{\"status\":\"live\"}")};
    http_response_header(&res, STR("Content-Type"), STR("application/json"));
    http_respond(req, &res);
}

static void respond_metrics(struct coord_server *s, struct http_req *req)
{
    struct buf b;
    buf_init(&b, 16 << 10);
    struct http_server_stats http;
    http_server_stats_get(s->http, &http);
    (void)pthread_mutex_lock(&s->secrets_lock);
    size_t secret_count = s->secrets.count;
    (void)pthread_mutex_unlock(&s->secrets_lock);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"revision", "gauge", "Revision of the store.", coord_store_rev(s->store)},
        {"watches", "gauge", "Watches that wait for a change.", s->watch_count},
        {"waiting_answers", "gauge", "Answers that wait for the disk.", s->waiting_count},
        {"file_bytes", "gauge", "Size of the durable file.", journal_size(s->journal)},
        {"syncs_total", "counter", "Groups of changes made durable.",
         journal_sync_count(s->journal)},
        {"transactions_total", "counter", "Transactions.", atomic_load(&s->txn_count)},
        {"secrets", "gauge", "Secrets that are accepted: 2 while they are being changed.",
         secret_count},
        {"secret_changes_total", "counter", "Times that the secret's file had others.",
         atomic_load(&s->secret_change_count)},
        {"first_secret_requests_total", "counter",
         "Requests with the first secret, since the file last changed.",
         atomic_load(&s->secret_uses[0])},
        {"second_secret_requests_total", "counter",
         "Requests with the second secret, since the file last changed.",
         atomic_load(&s->secret_uses[1])},
        {"unauthorized_total", "counter", "Requests with none of the secrets.",
         atomic_load(&s->refused_count)},
        {"http_requests_total", "counter", "Requests.", http.requests},
        {"http_refused_total", "counter", "Malformed or oversized requests.", http.refused},
        {"http_connections", "gauge", "Open connections.", http.connections},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        buf_printf(&b, "# HELP holdfast_coordinator_%s %s\n# TYPE holdfast_coordinator_%s %s\n",
                   rows[i].name, rows[i].help, rows[i].name, rows[i].type);
        buf_printf(&b, "holdfast_coordinator_%s %lu\n", rows[i].name, (unsigned long)rows[i].value);
    }
    struct http_response res = {.status = 200, .body = &b};
    http_response_header(&res, STR("Content-Type"), STR("text/plain; version=0.0.4"));
    http_respond(req, &res);
    buf_done(&b);
}

static void post_metrics(void *ctx)
{
    struct http_req *req = (struct http_req *)ctx;
    struct coord_server *s = (struct coord_server *)req->user;
    if (s->is_stopping) {
        respond_err(req, ERR_UNAVAILABLE, going_down);
    } else {
        respond_metrics(s, req);
    }
}

static void post(struct coord_server *s, struct http_req *req, void (*fn)(void *ctx), void *ctx)
{
    if (!loop_post(s->loop, fn, ctx)) {
        respond_err(req, ERR_BUSY, "too many requests");
    }
}

static enum err decode_call(struct call *c, struct str path, struct str query, struct errinfo *ei)
{
    struct http_req *req = c->req;
    bool is_get = str_eq(req->method, STR("GET"));
    if (str_eq(path, STR("/v1/txn"))) {
        c->kind = CALL_TXN;
        if (!str_eq(req->method, STR("POST"))) {
            return err_set(ei, ERR_INVALID, "want POST");
        }
        return coord_wire_txn_decode(&req->arena, req->body, &c->txn, ei);
    }
    if (str_eq(path, STR("/v1/read")) || str_eq(path, STR("/v1/watch"))) {
        c->kind = str_eq(path, STR("/v1/read")) ? CALL_READ : CALL_WATCH;
        if (!is_get) {
            return err_set(ei, ERR_INVALID, "want GET");
        }
        return coord_wire_query_decode(&req->arena, query, &c->query, ei);
    }
    return err_set(ei, ERR_NOT_FOUND, "nothing at " STR_FMT, STR_ARG(str_slice(path, 0, 100)));
}

/* On an HTTP thread. */
static void on_request(void *ctx, struct http_req *req)
{
    struct coord_server *s = (struct coord_server *)ctx;
    struct str path = STR_NONE;
    struct str query = STR_NONE;
    (void)str_split(req->target, '?', &path, &query); /* no '?': all of it is the path */
    req->user = s;
    if (str_eq(path, STR("/health/live"))) {
        respond_live(req);
        return;
    }
    if (str_eq(path, STR("/metrics"))) {
        post(s, req, post_metrics, req);
        return;
    }
    if (!is_authorized(s, req)) {
        respond_err(req, ERR_UNAUTHORIZED, "wrong or missing bearer token");
        return;
    }
    struct call *c = ARENA_NEW(&req->arena, struct call);
    struct errinfo ei = {0};
    c->server = s;
    c->req = req;
    list_init(&c->link);
    buf_init(&c->body, COORD_STATE_SIZE_MAX);
    enum err e = decode_call(c, path, query, &ei);
    if (e != OK) {
        respond_err(req, e, ei.message);
        return;
    }
    post(s, req, start_call, c);
}

static void refuse(void *ctx, int status, const char *why, struct buf *body)
{
    UNUSED(ctx);
    coord_wire_error_encode(status == 413 || status == 431 ? ERR_LIMIT : ERR_INVALID, why, body);
}

/* --- life ------------------------------------------------------------------------------------------------- */

/* The key of the first secret, for https. */
static enum err write_key(const struct coord_server *s, const struct coord_secrets *secrets,
                          struct errinfo *ei)
{
    int64_t now_s = (int64_t)(clock_wall_ms() / 1000);
    return tls_derive(coord_secret(secrets, 0), s->dir, "coordinator", now_s, ei);
}

/* On the thread of the file. New connections see the new key once it is read; a client that has both
 * secrets takes either key. */
static bool on_secrets_changed(void *ctx, const struct coord_secrets *now)
{
    struct coord_server *s = (struct coord_server *)ctx;
    (void)pthread_mutex_lock(&s->secrets_lock);
    bool is_same_first = str_eq_secret(coord_secret(&s->secrets, 0), coord_secret(now, 0));
    s->is_key_due = s->https != NULL && (s->is_key_due || !is_same_first);
    s->secrets = *now;
    for (size_t i = 0; i < COORD_SECRETS_MAX; i++) {
        atomic_store(&s->secret_uses[i], 0);
    }
    (void)pthread_mutex_unlock(&s->secrets_lock);
    if (s->is_key_due) {
        struct errinfo ei = {0};
        if (write_key(s, now, &ei) != OK) {
            LOG_ERROR("coord", "key_not_written", "why=\"%s\" hint=%s", ei.message,
                      "https goes on with the former secret's key; tried again");
            return false;
        }
        http_server_reread_cert(s->https);
        s->is_key_due = false;
    }
    atomic_fetch_add(&s->secret_change_count, 1);
    return true;
}

static enum err start_http(struct coord_server *s, const struct coord_server_opts *opts,
                           struct errinfo *ei)
{
    struct http_server_opts http = {.threads = opts->http_threads,
                                    .handler = on_request,
                                    .refuse = refuse,
                                    .ctx = s,
                                    .body_size_max = COORD_REQUEST_SIZE_MAX};
    TRY(http_server_new(&http, &s->http, ei));
    TRY(http_server_listen(s->http, opts->listen_fd, LISTENER_NAME, ei));
    if (!opts->has_tls) {
        return OK;
    }
    char cert[4200];
    char key[4200];
    (void)snprintf(cert, sizeof(cert), "%.4096s/coordinator.pem", opts->dir);
    (void)snprintf(key, sizeof(key), "%.4096s/coordinator.key", opts->dir);
    TRY(write_key(s, opts->secrets, ei));
    http.tls_cert = cert;
    http.tls_key = key;
    TRY(http_server_new(&http, &s->https, ei));
    return http_server_listen(s->https, opts->tls_fd, LISTENER_NAME, ei);
}

enum err coord_server_new(struct loop *loop, const struct coord_server_opts *opts,
                          struct coord_server **ret, struct errinfo *ei)
{
    if (opts->secrets == NULL || opts->secrets->count == 0) {
        (void)err_set(ei, ERR_CONFIG, "the coordinator has no secret");
        err_hint(ei, "give it a secret file; clients need the same one");
        return ERR_CONFIG;
    }
    struct coord_server *s = MEM_NEW(struct coord_server);
    s->loop = loop;
    s->store = coord_store_new();
    s->dir = mem_strdup(opts->dir);
    (void)pthread_mutex_init(&s->secrets_lock, NULL); /* cannot fail */
    s->secrets = *opts->secrets;
    list_init(&s->watches);
    list_init(&s->waiting);
    list_init(&s->touched);
    struct journal_events events = {.ctx = s, .durable = on_durable, .failed = on_journal_failed};
    enum err e = journal_open(opts->dir, s->store, &events, &s->journal, ei);
    s->durable_limit = coord_store_rev_limit(s->store);
    s->appended_limit = s->durable_limit;
    if (e == OK) {
        s->tick = loop_timer_new(loop, on_tick, s);
        loop_timer_set(s->tick, TICK_MS, TICK_MS);
        loop_on_idle(loop, on_idle, s);
        e = start_http(s, opts, ei);
    }
    if (e == OK && opts->secret_file != NULL) {
        e = coord_secret_file_new(opts->secret_file, opts->secrets, on_secrets_changed, s, &s->file,
                                  ei);
    }
    if (e != OK) {
        coord_server_free(s);
        return e;
    }
    LOG_INFO("coord", "serving", "dir=%s rev=%lu", opts->dir,
             (unsigned long)coord_store_rev(s->store));
    *ret = s;
    return OK;
}

void coord_server_reread(struct coord_server *s)
{
    if (s->file != NULL) {
        coord_secret_file_reread(s->file);
    }
}

/* Runs what other threads have posted. */
static void drain_posts(struct loop *loop)
{
    loop_stop(loop);
    loop_run(loop);
}

static void answer_everybody(struct coord_server *s)
{
    struct list *item = NULL;
    while ((item = list_pop_front(&s->watches)) != NULL) {
        respond_err(LIST_ENTRY(item, struct call, link)->req, ERR_UNAVAILABLE, going_down);
    }
    s->watch_count = 0;
    while ((item = list_pop_front(&s->waiting)) != NULL) {
        struct call *c = LIST_ENTRY(item, struct call, link);
        buf_done(&c->body);
        respond_err(c->req, ERR_UNKNOWN_OUTCOME, going_down);
    }
    s->waiting_count = 0;
}

void coord_server_free(struct coord_server *s)
{
    if (s == NULL) {
        return;
    }
    s->is_stopping = true; /* calls that come from now on are refused */
    coord_secret_file_free(s->file);
    bool is_serving = s->http != NULL;
    if (is_serving) {
        http_server_unlisten(s->http, LISTENER_NAME);
        if (s->https != NULL) {
            http_server_unlisten(s->https, LISTENER_NAME);
        }
        drain_posts(s->loop);
    }
    journal_close(s->journal); /* writes out everything, so that what waits can be answered truly */
    if (s->journal != NULL) {
        take_report(s);
    }
    answer_everybody(s);
    http_server_free(s->http, STOP_GRACE_MS);
    http_server_free(s->https, STOP_GRACE_MS);
    if (is_serving) {
        drain_posts(s->loop); /* requests that came in between must be let go of */
    }
    untouch(s, UINT64_MAX);
    loop_off_idle(s->loop, on_idle, s);
    loop_timer_free(s->tick);
    coord_store_free(s->store);
    (void)pthread_mutex_destroy(&s->secrets_lock);
    mem_free(s->dir);
    mem_free_secret(s, sizeof(*s));
}

static void on_stop_signal(void *ctx, int signum)
{
    LOG_INFO("coord", "stopping", "signal=%d", signum);
    loop_stop((struct loop *)ctx);
}

enum err coord_server_run(const struct coord_server_opts *opts, struct errinfo *ei)
{
    struct loop *loop = loop_new();
    struct coord_server *s = NULL;
    loop_on_signal(loop, SIGTERM, on_stop_signal, loop);
    loop_on_signal(loop, SIGINT, on_stop_signal, loop);
    enum err e = coord_server_new(loop, opts, &s, ei);
    if (e == OK) {
        loop_run(loop);
    }
    coord_server_free(s);
    loop_free(loop);
    return e;
}
