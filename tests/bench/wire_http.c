/* HTTP/1.1 as the official JavaScript client writes it, header for header, so that the server has
 * the same to parse as in real use. A create signs the container's link and the second, so one
 * signature a second serves all; a read signs its own link, so those are signed beforehand. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/mem.h"
#include "bench/wire.h"

static const char common[] =
    "x-ms-documentdb-responsecontinuationtokenlimitinkb: 1\r\n"
    "x-ms-documentdb-query-enablecrosspartition: true\r\n"
    "cache-control: no-cache\r\n"
    "x-ms-version: 2020-07-15\r\n"
    "user-agent: Node.js/20.20.2 (linux; x64) azure-cosmos-js/4.10.1\r\n"
    "x-ms-useragent: Node.js/20.20.2 (linux; x64) azure-cosmos-js/4.10.1\r\n"
    "x-ms-cosmos-sdk-supportedcapabilities: 1\r\n"
    "x-ms-cosmos-allow-tentative-writes: true\r\n"
    "accept: application/json\r\n"
    "connection: keep-alive\r\n";

void wire_http_sign(const struct wire *w, const char *verb, const char *link, const char *date,
                    char ret[160])
{
    ret[0] = '\0';
    if (w->hmac == NULL) {
        return;
    }
    char text[512];
    char lower[40];
    size_t date_n = strlen(date);
    ASSERT(date_n < sizeof(lower));
    for (size_t i = 0; i <= date_n; i++) {
        lower[i] = (char)tolower((unsigned char)date[i]);
    }
    int n = snprintf(text, sizeof(text), "%s\ndocs\n%s\n%s\n\n", verb, link, lower);
    ASSERT(n > 0 && n < (int)sizeof(text));
    uint8_t mac[CRYPTO_SHA256_SIZE];
    crypto_hmac_sign(w->hmac, str_make(text, (size_t)n), mac);
    struct buf plain;
    struct buf escaped;
    buf_init(&plain, 256);
    buf_init(&escaped, 256);
    buf_add_cstr(&plain, "type=master&ver=1.0&sig=");
    codec_base64(&plain, str_make((char *)mac, sizeof(mac)));
    codec_percent_encode(&escaped, buf_str(&plain));
    ASSERT(buf_ok(&escaped) && escaped.n < 160);
    memcpy(ret, escaped.p, escaped.n);
    ret[escaped.n] = '\0';
    buf_done(&plain);
    buf_done(&escaped);
}

static void sign_item(const struct wire *w, const char *id, char ret[160])
{
    char link[256];
    const char *verb = w->work == WORK_READ ? "get" : "put";
    (void)snprintf(link, sizeof(link), "%s/docs/%s", w->link, id);
    wire_http_sign(w, verb, link, w->date, ret);
}

static void set_date(struct wire *w, int64_t now_s)
{
    w->date_s = now_s;
    clock_format_rfc1123(now_s * 1000, w->date);
}

void wire_http_sign_all(struct wire *w, const char *key)
{
    if (key != NULL) {
        struct buf raw;
        buf_init(&raw, 256);
        bool is_base64 = codec_unbase64(&raw, str_of(key));
        ASSERT(is_base64);
        w->hmac = crypto_hmac_new(buf_str(&raw));
        buf_done(&raw);
    }
    set_date(w, clock_wall_ms() / 1000);
    wire_http_sign(w, "post", w->link, w->date, w->signature);
    if (w->work == WORK_READ || w->work == WORK_REPLACE) {
        w->signed_ids = mem_alloc(sizeof(*w->signed_ids) * (w->id_count + 1));
        for (uint64_t i = 0; i < w->id_count; i++) {
            char id[ITEM_ID_SIZE];
            (void)item_id(id, "fill", i);
            sign_item(w, id, w->signed_ids[i]);
        }
    }
}

void wire_http_done(struct wire *w)
{
    mem_free(w->signed_ids);
    crypto_hmac_free(w->hmac);
}

static bool is_feed(const struct wire *w)
{
    return w->work == WORK_CREATE || w->work == WORK_UPSERT;
}

static const char *id_prefix(const struct wire *w)
{
    return w->work == WORK_CREATE || w->is_probe ? w->prefix : "fill";
}

void wire_http_probe(struct wire *w, uint64_t number)
{
    char id[ITEM_ID_SIZE];
    w->is_probe = true;
    w->probe = number;
    set_date(w, clock_wall_ms() / 1000);
    (void)item_id(id, w->prefix, number);
    sign_item(w, id, w->signature);
}

/* The head of every request but for the value of its last header, the signature, whose length
 * varies. Ids and dates have fixed lengths and are put in where this one has them. */
static void build_head(const struct wire *w, struct wire_head *h)
{
    static const char *const verbs[WORK_COUNT] = {"POST", "POST", "PUT", "GET"};
    char id[ITEM_ID_SIZE];
    h->id_n = item_id(id, id_prefix(w), 0);
    int n =
        snprintf(h->text, sizeof(h->text),
                 "%s /%s/docs%s%s HTTP/1.1\r\nhost: %s\r\n"
                 "x-ms-documentdb-partitionkey: [\"%s\"]\r\n%s%s%s%sx-ms-date: %s\r\n"
                 "authorization: ",
                 verbs[w->work], w->link, is_feed(w) ? "" : "/", is_feed(w) ? "" : id, w->host, id,
                 common, w->work == WORK_UPSERT ? "x-ms-documentdb-is-upsert: true\r\n" : "",
                 w->work == WORK_READ ? ""
                                      : "content-type: application/json\r\n"
                                        "content-length: 1024\r\n",
                 w->headers, w->date);
    STATIC_ASSERT(ITEM_SIZE == 1024, "the length is in the text above");
    ASSERT(n > 0 && n < (int)sizeof(h->text));
    h->n = (size_t)n;
    char quoted[ITEM_ID_SIZE + 4];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\"", id);
    h->key_at = (size_t)(strstr(h->text, quoted) - h->text) + 1;
    h->link_at = is_feed(w) ? h->key_at : strlen(verbs[w->work]) + strlen(w->link) + 8;
    h->date_at = (size_t)(strstr(h->text, w->date) - h->text);
    h->is_built = true;
}

static void greet(struct wire *w, struct wire_conn *c)
{
    (void)c;
    if (!w->head.is_built) {
        build_head(w, &w->head);
    }
}

static void fill(struct wire *w, struct wire_conn *c)
{
    const struct wire_head *h = &w->head;
    uint64_t number = w->is_probe ? w->probe : wire_pick(w);
    char id[ITEM_ID_SIZE];
    (void)item_id(id, id_prefix(w), number);
    if (is_feed(w)) {
        int64_t now_s = (int64_t)time(NULL);
        if (now_s != w->date_s) {
            set_date(w, now_s);
            wire_http_sign(w, "post", w->link, w->date, w->signature);
        }
    }
    char *head = c->out + c->out_n;
    wire_put(c, h->text, h->n);
    memcpy(head + h->link_at, id, h->id_n);
    memcpy(head + h->key_at, id, h->id_n);
    memcpy(head + h->date_at, w->date, strlen(w->date));
    const char *signature = is_feed(w) || w->is_probe ? w->signature : w->signed_ids[number];
    wire_put(c, signature, strlen(signature));
    wire_put(c, "\r\n\r\n", 4);
    if (w->work != WORK_READ) {
        ASSERT(c->out_n + ITEM_SIZE <= sizeof(c->out));
        item_make(&w->items, id, c->out + c->out_n);
        c->out_n += ITEM_SIZE;
    }
}

bool wire_http_header(const char *head, size_t n, const char *name, char *ret, size_t size)
{
    size_t name_n = strlen(name);
    const char *end = head + n;
    for (const char *line = head; line != NULL && line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        const char *after = stop == NULL ? end : stop;
        if ((size_t)(after - line) > name_n && line[name_n] == ':' &&
            strncasecmp(line, name, name_n) == 0) {
            const char *p = line + name_n + 1;
            p += *p == ' ' ? 1 : 0;
            size_t value_n = (size_t)(after - p);
            value_n -= value_n > 0 && p[value_n - 1] == '\r' ? 1 : 0;
            if (value_n >= size) {
                return false;
            }
            memcpy(ret, p, value_n);
            ret[value_n] = '\0';
            return true;
        }
        line = stop == NULL ? NULL : stop + 1;
    }
    return false;
}

/* -1: no length, which none of our peers does. */
static int64_t body_size(const char *head, size_t n)
{
    const char *end = head + n;
    for (const char *line = head; line < end;) {
        if ((*line == 'C' || *line == 'c') && end - line > 16 &&
            strncasecmp(line, "content-length:", 15) == 0) {
            int64_t size = 0;
            const char *p = line + 15;
            p += *p == ' ' ? 1 : 0;
            for (; p < end && *p >= '0' && *p <= '9'; p++) {
                size = size * 10 + (*p - '0');
            }
            return size;
        }
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        line = stop == NULL ? end : stop + 1;
    }
    return -1;
}

static int take(struct wire *w, struct wire_conn *c, int *ret_status)
{
    (void)w;
    const char *end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
    if (end == NULL) {
        return c->in_n < sizeof(c->in) ? 0 : -1;
    }
    size_t head_n = (size_t)(end - c->in) + 4;
    int64_t size = body_size(c->in, head_n);
    if (head_n < 16 || size < 0 || (size_t)size > sizeof(c->in) - head_n) {
        return -1;
    }
    size_t all = head_n + (size_t)size;
    if (c->in_n < all) {
        return 0;
    }
    *ret_status = (c->in[9] - '0') * 100 + (c->in[10] - '0') * 10 + (c->in[11] - '0');
    c->head_n = head_n;
    memmove(c->in, c->in + all, c->in_n - all);
    c->in_n -= all;
    return 1;
}

const struct wire_ops wire_http = {"http", greet, fill, take};
