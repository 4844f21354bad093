/* See webhook.h. */
#include "server/webhook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/crypto.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

struct delivery {
    struct list link;
    const char *event;
    char *id;   /* owned */
    char *body; /* owned */
    size_t body_n;
    usec deadline_us;
    unsigned attempts;
};

struct webhook {
    struct loop *loop;
    struct http_client *client;
    struct loop_timer *retry;
    struct crypto_hmac *hmac; /* NULL: not signed */
    struct rng rng;
    char *url; /* owned; may hold a password: never logged */
    struct list queue;
    struct http_call *call; /* of the first one; NULL = it waits for its time */
    struct webhook_stats stats;
};

static void on_answer(void *ctx, const struct http_client_result *res);

void webhook_sign(const struct crypto_hmac *h, const char *timestamp, struct str body,
                  char ret[WEBHOOK_SIGNATURE_SIZE])
{
    struct buf text;
    uint8_t mac[CRYPTO_SHA256_SIZE];
    buf_init(&text, body.n + 256);
    buf_printf(&text, "%s.", timestamp);
    buf_add_str(&text, body);
    ASSERT(buf_ok(&text));
    crypto_hmac_sign(h, buf_str(&text), mac);
    buf_clear(&text);
    buf_add_cstr(&text, "sha256=");
    codec_hex(&text, str_make((const char *)mac, sizeof(mac)), false);
    ASSERT(buf_ok(&text) && text.n == WEBHOOK_SIGNATURE_SIZE - 1);
    memcpy(ret, text.p, text.n);
    ret[text.n] = '\0';
    buf_done(&text);
}

static void drop(struct webhook *w, struct delivery *d)
{
    list_remove(&d->link);
    w->stats.queued--;
    mem_free(d->id);
    mem_free(d->body);
    mem_free(d);
}

static struct delivery *first(struct webhook *w)
{
    return list_is_empty(&w->queue) ? NULL : LIST_ENTRY(w->queue.next, struct delivery, link);
}

static void attempt(void *ctx)
{
    struct webhook *w = ctx;
    struct delivery *d = first(w);
    if (!d || w->call) {
        return;
    }
    char timestamp[24];
    char signature[WEBHOOK_SIGNATURE_SIZE];
    struct str body = str_make(d->body, d->body_n);
    (void)snprintf(timestamp, sizeof(timestamp), "%" PRId64, clock_wall_ms() / 1000);
    struct http_header headers[5] = {
        {STR("content-type"), STR("application/json")},
        {STR("x-holdfast-event"), str_of(d->event)},
        {STR("x-holdfast-delivery"), str_of(d->id)},
        {STR("x-holdfast-timestamp"), str_of(timestamp)},
    };
    size_t n = 4;
    if (w->hmac) {
        webhook_sign(w->hmac, timestamp, body, signature);
        headers[n++] = (struct http_header){STR("x-holdfast-signature"), str_of(signature)};
    }
    struct http_client_req req = {.method = "POST",
                                  .url = w->url,
                                  .headers = headers,
                                  .header_count = n,
                                  .body = body,
                                  .timeout_ms = WEBHOOK_TIMEOUT_MS,
                                  .body_size_max = 64 << 10};
    d->attempts++;
    w->call = http_client_start(w->client, &req, on_answer, w);
}

/* 1, 2, 4 ... 60 s, each a quarter more or less, so that many senders do not come together. */
static unsigned backoff_ms(struct webhook *w, unsigned attempts)
{
    unsigned ms = WEBHOOK_BACKOFF_FIRST_MS;
    for (unsigned i = 1; i < attempts && ms < WEBHOOK_BACKOFF_LAST_MS; i++) {
        ms *= 2;
    }
    ms = ms > WEBHOOK_BACKOFF_LAST_MS ? WEBHOOK_BACKOFF_LAST_MS : ms;
    return ms * 3 / 4 + (unsigned)rng_below(&w->rng, ms / 2 + 1);
}

static void on_answer(void *ctx, const struct http_client_result *res)
{
    struct webhook *w = ctx;
    struct delivery *d = first(w);
    w->call = NULL;
    ASSERT(d != NULL); /* one that is being sent stays in the queue */
    if (res->err == ERR_CLOSED) {
        return; /* the end */
    }
    if (res->err == OK && res->status >= 200 && res->status < 300) {
        LOG_INFO("webhook", "delivered", "id=%s attempts=%u", d->id, d->attempts);
        w->stats.delivered++;
        drop(w, d);
        loop_timer_set(w->retry, 1, 0);
        return;
    }
    w->stats.failed_attempts++;
    unsigned wait_ms = backoff_ms(w, d->attempts);
    usec now = loop_now(w->loop);
    bool is_late = now + (usec)wait_ms * 1000 > d->deadline_us;
    LOG_AT(is_late ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "webhook", is_late ? "dropped" : "failed",
           "id=%s attempts=%u error=%s status=%d retry_ms=%u", d->id, d->attempts,
           err_name(res->err), res->status, is_late ? 0 : wait_ms);
    if (is_late) {
        w->stats.dropped++;
        drop(w, d);
        wait_ms = 1;
    }
    loop_timer_set(w->retry, wait_ms, 0);
}

enum err webhook_new(struct loop *loop, const char *url, struct str secret, struct webhook **ret,
                     struct errinfo *ei)
{
    struct str u = str_of(url);
    if (!str_starts(u, STR("http://")) && !str_starts(u, STR("https://"))) {
        return err_set(ei, ERR_INVALID, "the webhook is not an http:// or https:// URL");
    }
    if (secret.n > 0 && secret.n < WEBHOOK_SECRET_SIZE_MIN) {
        return err_set(ei, ERR_INVALID, "the webhook's secret has %zu bytes, it needs %d", secret.n,
                       WEBHOOK_SECRET_SIZE_MIN);
    }
    struct webhook *w = MEM_NEW(struct webhook);
    uint64_t seed = 0;
    rng_os_bytes(&seed, sizeof(seed));
    rng_init(&w->rng, seed);
    w->loop = loop;
    w->client = http_client_new(loop);
    w->retry = loop_timer_new(loop, attempt, w);
    w->hmac = secret.n > 0 ? crypto_hmac_new(secret) : NULL;
    w->url = mem_strdup(url);
    list_init(&w->queue);
    *ret = w;
    return OK;
}

void webhook_free(struct webhook *w)
{
    if (!w) {
        return;
    }
    http_client_free(w->client); /* ends the call, if there is one */
    loop_timer_free(w->retry);
    for (struct delivery *d = first(w); d; d = first(w)) {
        LOG_WARN("webhook", "not_delivered", "id=%s reason=stopping", d->id);
        drop(w, d);
    }
    crypto_hmac_free(w->hmac);
    explicit_bzero(w->url, strlen(w->url));
    mem_free(w->url);
    mem_free(w);
}

void webhook_set_secret(struct webhook *w, struct str secret)
{
    ASSERT(secret.n >= WEBHOOK_SECRET_SIZE_MIN);
    if (w) {
        crypto_hmac_free(w->hmac);
        w->hmac = crypto_hmac_new(secret);
    }
}

void webhook_send(struct webhook *w, const char *event, const char *delivery, struct str body)
{
    if (!w) {
        return;
    }
    if (w->stats.queued == WEBHOOK_QUEUE_MAX) {
        /* The first one may be on its way: the next oldest goes. */
        struct list *second = w->queue.next->next;
        struct delivery *d = LIST_ENTRY(second, struct delivery, link);
        LOG_ERROR("webhook", "dropped", "id=%s reason=%s", d->id, "queue is full");
        w->stats.dropped++;
        drop(w, d);
    }
    struct delivery *d = MEM_NEW(struct delivery);
    d->event = event;
    d->id = mem_strdup(delivery);
    d->body = mem_dup(body.p, body.n);
    d->body_n = body.n;
    d->deadline_us = loop_now(w->loop) + (usec)WEBHOOK_DEADLINE_S * 1000000;
    list_init(&d->link);
    list_push_back(&w->queue, &d->link);
    w->stats.queued++;
    if (w->stats.queued == 1) {
        attempt(w);
    }
}

void webhook_stats(const struct webhook *w, struct webhook_stats *ret)
{
    *ret = w ? w->stats : (struct webhook_stats){0};
}
