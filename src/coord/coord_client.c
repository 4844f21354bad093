/* Client of the built-in coordinator, over HTTP (coord/wire.h).
 *
 * Calls: each try goes to the url that worked last. A try that certainly reached nobody moves on to the
 * next url and is repeated, with a short wait once all have been tried, until the call's deadline. A try
 * that may have reached somebody is never repeated: the caller learns that it does not know.
 *
 * Secrets: each try presents one, that which was taken last. One that is refused (401, or the key behind
 * `https` is not that of the secret) has certainly had no effect, and the next try presents the other.
 * New secrets come from the thread that follows their file and are picked up by the next request.
 *
 * Watches: one long poll after another. The first after any trouble asks for everything (after = 0);
 * keys that were known and are no longer there are reported as deleted. The poll is short, so that a
 * coordinator that has been cut off is missed within two seconds. */
#include "coord/coord_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "coord/wire.h"
#include "net/http_client.h"
#include "net/tls.h"

enum {
    URLS_MAX = 8,
    URL_SIZE_MAX = 512,
    TARGET_SIZE_MAX = 4096,
    REQUEST_HEADERS = 2, /* the secret and the type of the body */
    CONNECT_MS = 1000,
    RETRY_MS = 20,        /* between rounds over all urls */
    WATCH_WAIT_MS = 1000, /* the coordinator answers an idle poll after it */
    WATCH_TIMEOUT_MS = 2000,
    WATCH_RETRY_MIN_MS = 10,
    WATCH_RETRY_MAX_MS = 300,
    BLOCKING_MS = 10000,
    FIRST_AGAIN_MS = 10000, /* after the first secret was refused it is tried again */
};

struct urls {
    char list[URLS_MAX][URL_SIZE_MAX];
    size_t count;
    size_t current; /* worked last, or the next to try */
};

/* What is made of secrets. */
struct proofs {
    size_t count;
    struct {
        char *token; /* "Bearer ..."; owned */
        size_t token_size;
        char pin[TLS_PIN_SIZE]; /* of the coordinator that has it, for https */
    } list[COORD_SECRETS_MAX];
};

struct coord_client {
    struct loop *loop;
    struct http_client *http;
    struct urls urls;
    struct proofs *proofs;          /* owned; never NULL */
    size_t proof_idx;               /* the one to present */
    uint64_t proof_turn;            /* counts the changes of what is presented */
    usec first_again_us;            /* with proof_idx > 0 */
    _Atomic(struct proofs *) fresh; /* owned; from the thread of `file`, NULL: nothing new */
    atomic_ulong secret_count, secret_change_count;
    struct coord_secret_file *file; /* owned; NULL: the secrets stay */
    struct coord_secrets given;     /* until `file` has them */
    struct list calls;              /* struct call.link */
    struct list watches;            /* struct watch.link */
    bool is_freeing;
};

typedef void txn_done(void *ctx, const struct coord_txn_result *res);
typedef void read_done(void *ctx, enum err err, const struct coord_kv *kvs, size_t n);

/* Which secret a try presents. */
struct attempt {
    uint64_t turn;          /* the client's, when it was made */
    unsigned refused_count; /* secrets that were refused, in a row */
};

/* A transaction or a read. */
struct call {
    struct coord_client *client;
    struct list link;
    struct loop_timer *retry;
    char target[TARGET_SIZE_MAX]; /* path and query */
    struct buf body;              /* of a transaction */
    usec deadline_us;
    size_t tried_count; /* urls tried without reaching anybody */
    struct attempt attempt;
    txn_done *txn_done; /* exactly one of the two */
    read_done *read_done;
    void *ctx;
};

struct watch {
    struct coord_client *client;
    struct list link;
    struct coord_events events;
    char *prefix_escaped; /* owned */
    struct loop_timer *retry;
    struct map known; /* keys that are there, as far as reported; values unused */
    coord_rev after;  /* 0: next answer is everything */
    bool is_synced;
    unsigned failure_count; /* in a row */
    struct attempt attempt;
};

/* --- urls -------------------------------------------------------------------------------------------- */

/* Separated by commas or blanks; a slash at the end is dropped. What is too long or too many is left
 * out, with a line in the log. */
static void urls_parse(struct urls *u, const char *text)
{
    u->count = 0;
    u->current = 0;
    const char *p = text;
    while (*(p += strspn(p, ", ")) != '\0') {
        size_t n = strcspn(p, ", ");
        size_t kept = n > 0 && p[n - 1] == '/' ? n - 1 : n;
        if (kept >= URL_SIZE_MAX || u->count == URLS_MAX) {
            LOG_WARN("coord", "url_ignored", "count=%zu size=%zu", u->count, kept);
        } else {
            memcpy(u->list[u->count], p, kept);
            u->list[u->count++][kept] = '\0';
        }
        p += n;
    }
}

static void urls_next(struct urls *u)
{
    u->current = u->count == 0 ? 0 : (u->current + 1) % u->count;
}

static char *escape(struct str s)
{
    struct buf b;
    buf_init(&b, TARGET_SIZE_MAX);
    codec_percent_encode(&b, s);
    ASSERT(buf_ok(&b)); /* COORD_KEY_SIZE_MAX times three */
    return buf_take(&b, NULL);
}

/* --- secrets ------------------------------------------------------------------------------------------ */

static struct proofs *proofs_new(const struct coord_secrets *secrets)
{
    ASSERT(secrets->count > 0);
    struct proofs *p = MEM_NEW(struct proofs);
    p->count = secrets->count;
    for (size_t i = 0; i < p->count; i++) {
        struct buf b;
        buf_init(&b, HTTP_HEADERS_SIZE_MAX);
        buf_add_str(&b, STR("Bearer "));
        buf_add_str(&b, coord_secret(secrets, i));
        ASSERT(buf_ok(&b));
        p->list[i].token = buf_take(&b, &p->list[i].token_size);
        tls_derive_pin(coord_secret(secrets, i), p->list[i].pin);
    }
    return p;
}

static void proofs_free(struct proofs *p)
{
    for (size_t i = 0; p != NULL && i < p->count; i++) {
        mem_free_secret(p->list[i].token, p->list[i].token_size);
    }
    mem_free(p);
}

/* On the thread of the file. */
static bool on_secrets_changed(void *ctx, const struct coord_secrets *now)
{
    struct coord_client *c = (struct coord_client *)ctx;
    proofs_free(atomic_exchange(&c->fresh, proofs_new(now)));
    atomic_store(&c->secret_count, now->count);
    atomic_fetch_add(&c->secret_change_count, 1);
    return true;
}

static void present(struct coord_client *c, size_t idx)
{
    c->proof_idx = idx;
    c->proof_turn++;
    c->first_again_us = clock_boot_us() + (usec)FIRST_AGAIN_MS * 1000;
}

static void look_for_secrets(struct coord_client *c)
{
    struct proofs *fresh = atomic_exchange(&c->fresh, NULL);
    if (fresh != NULL) {
        proofs_free(c->proofs);
        c->proofs = fresh;
        present(c, 0);
    } else if (c->proof_idx > 0 && clock_boot_us() >= c->first_again_us) {
        present(c, 0);
    }
}

/* The try was refused for its secret. True: there is one that has not been, try again. */
static bool try_other_secret(struct coord_client *c, struct attempt *a)
{
    if (c->file != NULL) {
        coord_secret_file_look(c->file);
    }
    if (a->turn == c->proof_turn && c->proofs->count > 1) {
        present(c, (c->proof_idx + 1) % c->proofs->count);
        LOG_DEBUG("coord", "secret_refused", "now=%zu", c->proof_idx + 1);
    }
    return ++a->refused_count < c->proofs->count;
}

/* Shows secret `idx`. `headers` are the request's until it has been given away. */
static void show_proof(const struct proofs *p, size_t idx,
                       struct http_header headers[REQUEST_HEADERS], struct http_client_req *ret)
{
    headers[0] =
        (struct http_header){STR("Authorization"), {p->list[idx].token, p->list[idx].token_size}};
    headers[1] = (struct http_header){STR("Content-Type"), STR("application/json")};
    ret->headers = headers;
    ret->header_count = REQUEST_HEADERS;
    ret->pin = p->list[idx].pin;
}

/* Refused for the secret: by the coordinator, or by us since it has another key. */
static bool is_refusal(enum err err, int status)
{
    return err == ERR_UNAUTHORIZED || (err == OK && status == 401);
}

static struct http_call *send_request(struct coord_client *c, struct attempt *a, const char *method,
                                      const char *target, struct str body, unsigned timeout_ms,
                                      http_client_done *done, void *ctx)
{
    char url[URL_SIZE_MAX + TARGET_SIZE_MAX];
    const char *base = c->urls.count == 0 ? "" : c->urls.list[c->urls.current];
    (void)snprintf(url, sizeof(url), "%s%s", base, target); /* fits */
    look_for_secrets(c);
    a->turn = c->proof_turn;
    struct http_header headers[REQUEST_HEADERS];
    struct http_client_req req = {.method = method,
                                  .url = url,
                                  .body = body,
                                  .timeout_ms = timeout_ms,
                                  .connect_timeout_ms = timeout_ms < CONNECT_MS ? 0 : CONNECT_MS,
                                  .body_size_max = COORD_STATE_SIZE_MAX};
    show_proof(c->proofs, c->proof_idx, headers, &req);
    return http_client_start(c->http, &req, done, ctx);
}

/* --- transactions and reads ---------------------------------------------------------------------------- */

static void call_free(struct call *k)
{
    list_remove(&k->link);
    loop_timer_free(k->retry);
    buf_done(&k->body);
    mem_free(k);
}

static void call_fail(struct call *k, enum err err)
{
    if (k->txn_done != NULL) {
        struct coord_txn_result res = {.err = err};
        k->txn_done(k->ctx, &res);
    } else {
        k->read_done(k->ctx, err, NULL, 0);
    }
    call_free(k);
}

static void call_succeed(struct call *k, struct str body)
{
    struct arena a;
    arena_init(&a);
    struct coord_txn_result res = {.err = OK};
    struct coord_state state = {0};
    struct errinfo ei = {0};
    enum err e = k->txn_done != NULL ? coord_wire_result_decode(&a, body, &res, &ei)
                                     : coord_wire_state_decode(&a, body, &state, &ei);
    if (e != OK) {
        LOG_ERROR("coord", "bad_answer", "why=%s", ei.message);
        call_fail(k, ERR_UNKNOWN_OUTCOME); /* not from a coordinator we know */
    } else {
        if (k->txn_done != NULL) {
            k->txn_done(k->ctx, &res);
        } else {
            k->read_done(k->ctx, OK, state.kvs, state.kv_count);
        }
        call_free(k);
    }
    arena_done(&a);
}

static void call_try(void *ctx);

static void on_call_answered(void *ctx, const struct http_client_result *res)
{
    struct call *k = (struct call *)ctx;
    struct coord_client *c = k->client;
    if (!c->is_freeing && is_refusal(res->err, res->status) && try_other_secret(c, &k->attempt)) {
        loop_timer_set(k->retry, 1, 0);
    } else if (res->err == OK && res->status == 200) {
        call_succeed(k, res->body);
    } else if (res->err == OK) {
        call_fail(k, coord_wire_error_decode(res->status, res->body));
    } else if (res->err == ERR_CLOSED || res->err == ERR_INVALID || c->is_freeing) {
        call_fail(k, res->err);
    } else if (res->was_sent && k->txn_done != NULL) {
        call_fail(k, res->err == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_NETWORK);
    } else {
        urls_next(&c->urls);
        k->attempt.refused_count = 0; /* at the next url each secret may be tried again */
        k->tried_count++;
        bool is_round_over = c->urls.count == 0 || k->tried_count % c->urls.count == 0;
        loop_timer_set(k->retry, is_round_over ? RETRY_MS : 1, 0);
    }
}

static void call_try(void *ctx)
{
    struct call *k = (struct call *)ctx;
    usec now_us = clock_boot_us();
    if (now_us >= k->deadline_us) {
        call_fail(k, ERR_UNAVAILABLE); /* every try ended with "certainly not sent" */
        return;
    }
    unsigned left_ms = (unsigned)((k->deadline_us - now_us + 999) / 1000);
    (void)send_request(k->client, &k->attempt, k->txn_done != NULL ? "POST" : "GET", k->target,
                       buf_str(&k->body), left_ms, on_call_answered, k);
}

static struct call *call_new(struct coord_client *c, unsigned timeout_ms, void *ctx)
{
    ASSERT(timeout_ms > 0 && !c->is_freeing);
    struct call *k = MEM_NEW(struct call);
    k->client = c;
    k->ctx = ctx;
    k->deadline_us = clock_boot_us() + (usec)timeout_ms * 1000;
    k->retry = loop_timer_new(c->loop, call_try, k);
    list_init(&k->link);
    list_push_back(&c->calls, &k->link);
    return k;
}

static void on_too_large(void *ctx)
{
    call_fail((struct call *)ctx, ERR_LIMIT);
}

void coord_client_txn(struct coord_client *c, const struct coord_txn *txn, unsigned timeout_ms,
                      void (*done)(void *ctx, const struct coord_txn_result *res), void *ctx)
{
    struct call *k = call_new(c, timeout_ms, ctx);
    k->txn_done = done;
    (void)snprintf(k->target, sizeof(k->target), "/v1/txn");
    buf_init(&k->body, COORD_REQUEST_SIZE_MAX);
    coord_wire_txn_encode(txn, &k->body);
    if (!buf_ok(&k->body)) {
        loop_timer_free(k->retry); /* the answer must not come from inside this call */
        k->retry = loop_timer_new(c->loop, on_too_large, k);
        loop_timer_set(k->retry, 1, 0);
        return;
    }
    call_try(k);
}

static void read_target(char ret[TARGET_SIZE_MAX], struct str prefix)
{
    ASSERT(prefix.n <= COORD_KEY_SIZE_MAX);
    char *escaped = escape(prefix);
    (void)snprintf(ret, TARGET_SIZE_MAX, "/v1/read?prefix=%s", escaped); /* fits */
    mem_free(escaped);
}

void coord_client_read(struct coord_client *c, struct str prefix, unsigned timeout_ms,
                       void (*done)(void *ctx, enum err err, const struct coord_kv *kvs, size_t n),
                       void *ctx)
{
    struct call *k = call_new(c, timeout_ms, ctx);
    k->read_done = done;
    buf_init(&k->body, 0);
    read_target(k->target, prefix);
    call_try(k);
}

/* --- watches --------------------------------------------------------------------------------------------- */

static int by_rev(const void *a, const void *b)
{
    const struct coord_kv *x = (const struct coord_kv *)a;
    const struct coord_kv *y = (const struct coord_kv *)b;
    if (x->rev != y->rev) {
        return x->rev < y->rev ? -1 : 1;
    }
    return str_cmp(x->key, y->key);
}

static bool is_among(const struct coord_state *state, struct str key)
{
    for (size_t i = 0; i < state->kv_count; i++) {
        if (str_eq(state->kvs[i].key, key)) {
            return true;
        }
    }
    return false;
}

static void report(struct watch *w, const struct coord_kv *kv)
{
    if (kv->is_deleted) {
        (void)map_remove(&w->known,
                         kv->key); /* may have been unknown: created and deleted unseen */
    } else {
        (void)map_put(&w->known, kv->key, w); /* any value */
    }
    w->events.changed(w->events.ctx, kv);
}

/* Keys that went while nobody told us. */
static void report_vanished(struct watch *w, const struct coord_state *state)
{
    struct map_entry *next = NULL;
    for (struct map_entry *e = map_first(&w->known); e != NULL; e = next) {
        next = map_next(e);
        if (is_among(state, map_key(e))) {
            continue;
        }
        char copy[COORD_KEY_SIZE_MAX];
        struct str key = map_key(e);
        memcpy(copy, key.p, key.n); /* the entry goes before the callback sees the key */
        struct coord_kv gone = {
            .key = str_make(copy, key.n), .rev = state->rev, .is_deleted = true};
        report(w, &gone);
    }
}

static void take_state(struct watch *w, struct arena *a, const struct coord_state *state)
{
    if (state->is_reset) {
        report_vanished(w, state);
    }
    struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, state->kv_count + 1);
    if (state->kv_count > 0) {
        memcpy(kvs, state->kvs, state->kv_count * sizeof(*kvs));
    }
    qsort(kvs, state->kv_count, sizeof(*kvs), by_rev); /* everything comes in key order */
    for (size_t i = 0; i < state->kv_count; i++) {
        report(w, &kvs[i]);
    }
    w->after = state->rev;
    w->failure_count = 0;
    if (!w->is_synced) {
        w->is_synced = true;
        w->events.synced(w->events.ctx);
    }
}

static void watch_failed(struct watch *w, const char *why)
{
    if (w->is_synced || w->failure_count == 0) {
        LOG_INFO("coord", "contact_lost", "url=%s why=%s",
                 w->client->urls.count == 0 ? "" : w->client->urls.list[w->client->urls.current],
                 why);
    }
    bool was_synced = w->is_synced;
    w->is_synced = false;
    w->after = 0; /* everything is reported again: see coord_client.h */
    urls_next(&w->client->urls);
    unsigned wait_ms = (unsigned)WATCH_RETRY_MIN_MS
                       << (w->failure_count < 6 ? w->failure_count : 6);
    w->failure_count++;
    loop_timer_set(w->retry, wait_ms < WATCH_RETRY_MAX_MS ? wait_ms : WATCH_RETRY_MAX_MS, 0);
    if (was_synced) {
        w->events.lost(w->events.ctx);
    }
}

static void watch_poll(void *ctx);

static void on_watch_answered(void *ctx, const struct http_client_result *res)
{
    struct watch *w = (struct watch *)ctx;
    if (w->client->is_freeing) {
        return;
    }
    if (is_refusal(res->err, res->status) && try_other_secret(w->client, &w->attempt)) {
        watch_poll(w);
        return;
    }
    w->attempt.refused_count = 0;
    if (res->err != OK) {
        watch_failed(w, res->detail);
        return;
    }
    if (res->status != 200) {
        watch_failed(w, err_name(coord_wire_error_decode(res->status, res->body)));
        return;
    }
    struct arena a;
    struct coord_state state;
    struct errinfo ei = {0};
    arena_init(&a);
    if (coord_wire_state_decode(&a, res->body, &state, &ei) != OK) {
        watch_failed(w, ei.message);
    } else {
        take_state(w, &a, &state);
        watch_poll(w);
    }
    arena_done(&a);
}

static void watch_poll(void *ctx)
{
    struct watch *w = (struct watch *)ctx;
    char target[TARGET_SIZE_MAX];
    (void)snprintf(target, sizeof(target), "/v1/watch?prefix=%s&after=%lu&wait_ms=%d",
                   w->prefix_escaped, (unsigned long)w->after, WATCH_WAIT_MS); /* fits */
    (void)send_request(w->client, &w->attempt, "GET", target, STR_NONE, WATCH_TIMEOUT_MS,
                       on_watch_answered, w);
}

void coord_client_watch(struct coord_client *c, struct str prefix, const struct coord_events *ev)
{
    ASSERT(prefix.n <= COORD_KEY_SIZE_MAX && !c->is_freeing);
    struct watch *w = MEM_NEW(struct watch);
    w->client = c;
    w->events = *ev;
    w->prefix_escaped = escape(prefix);
    w->retry = loop_timer_new(c->loop, watch_poll, w);
    map_init(&w->known);
    list_init(&w->link);
    list_push_back(&c->watches, &w->link);
    watch_poll(w);
}

/* --- life --------------------------------------------------------------------------------------------------- */

struct coord_client *coord_client_new(struct loop *loop, const char *urls,
                                      const struct coord_secrets *secrets)
{
    struct coord_client *c = MEM_NEW(struct coord_client);
    c->loop = loop;
    c->http = http_client_new(loop);
    urls_parse(&c->urls, urls);
    c->proofs = proofs_new(secrets);
    c->given = *secrets;
    atomic_init(&c->secret_count, secrets->count);
    list_init(&c->calls);
    list_init(&c->watches);
    return c;
}

enum err coord_client_follow(struct coord_client *c, const char *secret_file, struct errinfo *ei)
{
    ASSERT(c->file == NULL);
    enum err err =
        coord_secret_file_new(secret_file, &c->given, on_secrets_changed, c, &c->file, ei);
    coord_secrets_done(&c->given);
    return err;
}

void coord_client_reread(struct coord_client *c)
{
    if (c->file != NULL) {
        coord_secret_file_reread(c->file);
    }
}

struct coord_client_secrets coord_client_secrets_get(const struct coord_client *c)
{
    return (struct coord_client_secrets){.count = atomic_load(&c->secret_count),
                                         .change_count = atomic_load(&c->secret_change_count)};
}

void coord_client_free(struct coord_client *c)
{
    if (c == NULL) {
        return;
    }
    c->is_freeing = true;
    http_client_free(c->http); /* ends what is on its way: calls fail, watches fall silent */
    struct list *item = NULL;
    while (!list_is_empty(&c->calls)) {
        call_fail(LIST_ENTRY(c->calls.next, struct call, link), ERR_CLOSED); /* waited to retry */
    }
    while ((item = list_pop_front(&c->watches)) != NULL) {
        struct watch *w = LIST_ENTRY(item, struct watch, link);
        loop_timer_free(w->retry);
        map_done(&w->known);
        mem_free(w->prefix_escaped);
        mem_free(w);
    }
    coord_secret_file_free(c->file);
    proofs_free(c->proofs);
    proofs_free(atomic_exchange(&c->fresh, NULL));
    mem_free_secret(c, sizeof(*c));
}

/* --- blocking forms -------------------------------------------------------------------------------------------- */

/* With each secret in turn until one is taken. */
static enum err run_at(const struct http_client_req *req, const struct proofs *proofs,
                       int *ret_status, struct buf *ret_body, struct errinfo *ei)
{
    enum err ret = OK;
    bool is_refused = true;
    for (size_t i = 0; i < proofs->count && is_refused; i++) {
        struct http_header headers[REQUEST_HEADERS];
        struct http_client_req try = *req;
        show_proof(proofs, i, headers, &try);
        *ei = (struct errinfo){0};
        buf_clear(ret_body);
        ret = http_client_run(&try, ret_status, NULL, ret_body, ei);
        is_refused = is_refusal(ret, *ret_status);
    }
    return ret;
}

/* One request against each url in turn until one may have been reached. The body of a 200 goes to
 * `ret_body`. */
static enum err run_blocking(const char *urls, const struct coord_secrets *secrets,
                             const char *method, const char *target, struct str body,
                             struct buf *ret_body, struct errinfo *ei)
{
    struct urls u;
    urls_parse(&u, urls);
    if (u.count == 0) {
        return err_set(ei, ERR_CONFIG, "no coordinator url in '%s'", urls);
    }
    struct proofs *proofs = proofs_new(secrets);
    enum err ret = ERR_NETWORK;
    struct errinfo last = {0};
    int status = 0;
    for (size_t i = 0; i < u.count && (ret == ERR_NETWORK || ret == ERR_UNAUTHORIZED); i++) {
        char url[URL_SIZE_MAX + TARGET_SIZE_MAX];
        (void)snprintf(url, sizeof(url), "%s%s", u.list[i], target); /* fits */
        struct http_client_req req = {.method = method,
                                      .url = url,
                                      .body = body,
                                      .timeout_ms = BLOCKING_MS,
                                      .connect_timeout_ms = CONNECT_MS,
                                      .body_size_max = COORD_STATE_SIZE_MAX};
        ret = run_at(&req, proofs, &status, ret_body, &last);
    }
    proofs_free(proofs);
    if (ret == OK && status != 200) {
        ret = coord_wire_error_decode(status, buf_str(ret_body));
        return err_set(ei, ret, "the coordinator answered %d: %s", status, err_text(ret));
    }
    if (ret == ERR_NETWORK || ret == ERR_TIMEOUT || ret == ERR_UNAUTHORIZED) {
        ret = ERR_UNAVAILABLE; /* http_client_run: certainly no effect */
    }
    return ret == OK ? OK : err_pass(ei, ret, &last);
}

enum err coord_read_blocking(const char *urls, const struct coord_secrets *secrets,
                             struct str prefix, struct arena *a, struct coord_kv **ret,
                             size_t *ret_n, struct errinfo *ei)
{
    char target[TARGET_SIZE_MAX];
    struct buf body;
    buf_init(&body, COORD_STATE_SIZE_MAX);
    read_target(target, prefix);
    struct coord_state state = {0};
    enum err e = run_blocking(urls, secrets, "GET", target, STR_NONE, &body, ei);
    if (e == OK) {
        e = coord_wire_state_decode(a, arena_str(a, buf_str(&body)), &state, ei);
    }
    buf_done(&body);
    if (e == OK) {
        struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, state.kv_count + 1);
        if (state.kv_count > 0) {
            memcpy(kvs, state.kvs, state.kv_count * sizeof(*kvs));
        }
        *ret = kvs;
        *ret_n = state.kv_count;
    }
    return e;
}

enum err coord_txn_blocking(const char *urls, const struct coord_secrets *secrets,
                            const struct coord_txn *txn, struct arena *a,
                            struct coord_txn_result *ret, struct errinfo *ei)
{
    struct buf request;
    struct buf body;
    buf_init(&request, COORD_REQUEST_SIZE_MAX);
    buf_init(&body, COORD_STATE_SIZE_MAX);
    coord_wire_txn_encode(txn, &request);
    enum err e = buf_ok(&request) ? OK
                                  : err_set(ei, ERR_LIMIT, "transaction over %d bytes of JSON",
                                            COORD_REQUEST_SIZE_MAX);
    if (e == OK) {
        e = run_blocking(urls, secrets, "POST", "/v1/txn", buf_str(&request), &body, ei);
    }
    if (e == OK) {
        e = coord_wire_result_decode(a, arena_str(a, buf_str(&body)), ret, ei);
    }
    buf_done(&request);
    buf_done(&body);
    return e;
}
