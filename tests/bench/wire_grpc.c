/* As much of HTTP/2 and gRPC as an etcd client needs: one connection, one call after the other, no
 * TLS. Header blocks are written without compression and not read: a call that failed answers
 * without a DATA frame, which is all that has to be known here. */
#include <string.h>

#include "base/contract.h"
#include "bench/wire.h"

enum {
    FRAME_HEAD = 9,
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW = 8,
    FLAG_ACK = 1,
    FLAG_END_STREAM = 1,
    FLAG_END_HEADERS = 4,
    WINDOW_REFILL = 1 << 29,
    WINDOW_SIZE = 0x7fffffff,
    WINDOW_DEFAULT = 65535,
};

static void frame_head(uint8_t *p, size_t size, unsigned type, unsigned flags, uint32_t stream)
{
    p[0] = (uint8_t)(size >> 16);
    p[1] = (uint8_t)(size >> 8);
    p[2] = (uint8_t)size;
    p[3] = (uint8_t)type;
    p[4] = (uint8_t)flags;
    for (unsigned i = 0; i < 4; i++) {
        p[5 + i] = (uint8_t)(stream >> (24 - 8 * i));
    }
}

static void put_frame(struct wire_conn *c, unsigned type, unsigned flags, uint32_t stream,
                      const void *body, size_t size)
{
    uint8_t head[FRAME_HEAD];
    frame_head(head, size, type, flags, stream);
    wire_put(c, head, sizeof(head));
    wire_put(c, body, size);
}

static void put_window(struct wire_conn *c, uint32_t add)
{
    uint8_t body[4] = {(uint8_t)(add >> 24), (uint8_t)(add >> 16), (uint8_t)(add >> 8),
                       (uint8_t)add};
    put_frame(c, FRAME_WINDOW, 0, 0, body, sizeof(body));
}

static void greet(struct wire *w, struct wire_conn *c)
{
    (void)w;
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    c->stream = 1;
    c->has_data = false;
    c->control_n = 0;
    c->received = 0;
    wire_put(c, preface, sizeof(preface) - 1);
    put_frame(c, FRAME_SETTINGS, 0, 0, "", 0);
    put_window(c, WINDOW_SIZE - WINDOW_DEFAULT);
}

/* HPACK literals without indexing; lengths below 127 take one byte. */
static size_t put_text(uint8_t *p, const char *text)
{
    size_t n = strlen(text);
    ASSERT(n < 127);
    p[0] = (uint8_t)n;
    memcpy(p + 1, text, n); /* NOLINT(bugprone-not-null-terminated-result): a counted string */
    return n + 1;
}

static size_t header_block(uint8_t *p, const char *path, const char *host)
{
    size_t n = 0;
    p[n++] = 0x83; /* :method POST */
    p[n++] = 0x86; /* :scheme http */
    p[n++] = 0x04; /* :path */
    n += put_text(p + n, path);
    p[n++] = 0x01; /* :authority */
    n += put_text(p + n, host);
    p[n++] = 0x0f; /* content-type: 31 = 15 + 16 */
    p[n++] = 0x10;
    n += put_text(p + n, "application/grpc");
    p[n++] = 0x00; /* a name of our own */
    n += put_text(p + n, "te");
    n += put_text(p + n, "trailers");
    return n;
}

/* Field number and wire type 2 (bytes), length as a varint of at most two bytes. */
static size_t field_head(uint8_t *p, unsigned number, size_t size)
{
    size_t n = 0;
    ASSERT(size < 1U << 14);
    p[n++] = (uint8_t)(number << 3 | 2);
    if (size >= 128) {
        p[n++] = (uint8_t)(size | 128);
        p[n++] = (uint8_t)(size >> 7);
    } else {
        p[n++] = (uint8_t)size;
    }
    return n;
}

static void fill(struct wire *w, struct wire_conn *c)
{
    uint8_t block[256];
    uint8_t message[ITEM_SIZE + 128];
    char id[ITEM_ID_SIZE];
    bool is_read = w->work == WORK_READ;
    size_t id_n = item_id(id, w->work == WORK_CREATE ? w->prefix : "fill", wire_pick(w));
    if (c->received > WINDOW_REFILL) {
        put_window(c, (uint32_t)c->received);
        c->received = 0;
    }
    wire_put(c, c->control, c->control_n);
    c->control_n = 0;
    size_t n = 5;
    n += field_head(message + n, 1, id_n);
    memcpy(message + n, id, id_n);
    n += id_n;
    if (!is_read) {
        n += field_head(message + n, 2, ITEM_SIZE);
        item_make(&w->items, id, (char *)message + n);
        n += ITEM_SIZE;
    }
    message[0] = 0; /* not compressed */
    message[1] = message[2] = 0;
    message[3] = (uint8_t)((n - 5) >> 8);
    message[4] = (uint8_t)(n - 5);
    size_t block_n =
        header_block(block, is_read ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put", w->host);
    put_frame(c, FRAME_HEADERS, FLAG_END_HEADERS, c->stream, block, block_n);
    put_frame(c, FRAME_DATA, FLAG_END_STREAM, c->stream, message, n);
}

static bool acknowledge(struct wire_conn *c, unsigned type, const char *body, size_t size)
{
    if (c->control_n + FRAME_HEAD + size > sizeof(c->control)) {
        return false;
    }
    frame_head((uint8_t *)c->control + c->control_n, size, type, FLAG_ACK, 0);
    memcpy(c->control + c->control_n + FRAME_HEAD, body, size);
    c->control_n += FRAME_HEAD + size;
    return true;
}

/* 1: the call is over. */
static int take_frame(struct wire_conn *c, const uint8_t *p, size_t size)
{
    unsigned flags = p[4];
    const char *body = (const char *)p + FRAME_HEAD;
    switch (p[3]) {
    case FRAME_DATA:
        c->has_data = true;
        c->received += size;
        return (flags & FLAG_END_STREAM) != 0 ? 1 : 0;
    case FRAME_HEADERS:
        return (flags & FLAG_END_STREAM) != 0 ? 1 : 0;
    case FRAME_RST:
        return 1;
    case FRAME_SETTINGS:
        return (flags & FLAG_ACK) != 0 || acknowledge(c, FRAME_SETTINGS, "", 0) ? 0 : -1;
    case FRAME_PING:
        return (flags & FLAG_ACK) != 0 || acknowledge(c, FRAME_PING, body, size) ? 0 : -1;
    case FRAME_GOAWAY:
        return -1;
    default:
        return 0;
    }
}

static int take(struct wire *w, struct wire_conn *c, int *ret_status)
{
    size_t at = 0;
    int over = 0;
    (void)w;
    while (over == 0 && c->in_n - at >= FRAME_HEAD) {
        const uint8_t *p = (const uint8_t *)c->in + at;
        size_t size = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
        if (size > sizeof(c->in) - FRAME_HEAD) {
            return -1;
        }
        if (c->in_n - at < FRAME_HEAD + size) {
            break;
        }
        over = take_frame(c, p, size);
        at += FRAME_HEAD + size;
    }
    memmove(c->in, c->in + at, c->in_n - at);
    c->in_n -= at;
    if (over == 1) {
        *ret_status = c->has_data ? 200 : 500;
        c->has_data = false;
        c->stream += 2;
        return c->stream < WINDOW_SIZE ? 1 : -1;
    }
    return over;
}

const struct wire_ops wire_grpc = {"grpc", greet, fill, take};
