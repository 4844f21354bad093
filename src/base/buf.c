/* Growing buffer with a cap, and the reader that mirrors it. Overflow and bad input are sticky
 * flags, so that a long sequence of adds or reads needs one check at its end. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

enum { BUF_CAP_MIN = 64 };

void buf_init(struct buf *b, size_t max)
{
    ASSERT(max < SIZE_MAX / 2);
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_done_secret(struct buf *b)
{
    mem_free_secret(b->p, b->cap);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->overflow = false;
}

bool buf_ok(const struct buf *b)
{
    return !b->overflow;
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

char *buf_take(struct buf *b, size_t *ret_n)
{
    char *p = b->p != NULL ? b->p : (char *)mem_alloc(1);
    p[b->n] = '\0'; /* room: cap + 1 bytes are allocated */
    if (ret_n != NULL) {
        *ret_n = b->n;
    }
    *b = (struct buf){.max = b->max};
    return p;
}

/* True when `more` bytes now fit; else sets overflow. */
static bool make_room(struct buf *b, size_t more)
{
    ASSERT(b->n <= b->max);
    if (b->overflow || more > b->max - b->n) {
        b->overflow = true;
        return false;
    }
    size_t need = b->n + more;
    if (need > b->cap || b->p == NULL) {
        size_t cap = b->cap < BUF_CAP_MIN / 2 ? BUF_CAP_MIN : b->cap * 2;
        if (cap < need) {
            cap = need;
        }
        if (cap > b->max) {
            cap = b->max;
        }
        b->p = (char *)mem_realloc(b->p, cap + 1);
        b->cap = cap;
    }
    return true;
}

void buf_reserve(struct buf *b, size_t more)
{
    (void)make_room(b, more); /* overflow is kept in b */
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n > 0 && make_room(b, n)) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_cstr(struct buf *b, const char *s)
{
    buf_add(b, s, strlen(s));
}

void buf_add_char(struct buf *b, char c)
{
    if (make_room(b, 1)) {
        b->p[b->n++] = c;
    }
}

void buf_add_lower(struct buf *b, struct str s)
{
    if (s.n > 0 && make_room(b, s.n)) {
        char *to = b->p + b->n;
        for (size_t i = 0; i < s.n; i++) {
            char c = s.p[i];
            to[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        b->n += s.n;
    }
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    if (b->overflow) {
        return;
    }
    size_t room = b->p != NULL ? b->cap - b->n + 1 : 0;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(room > 0 ? b->p + b->n : NULL, room, fmt, ap);
    va_end(ap);
    ASSERT(n >= 0); /* our own format is wrong */
    size_t size = (size_t)n;
    if (size >= room) {
        if (!make_room(b, size)) {
            return;
        }
        va_start(ap, fmt);
        n = vsnprintf(b->p + b->n, size + 1, fmt, ap);
        va_end(ap);
        ASSERT(n >= 0 && (size_t)n == size);
    }
    b->n += size;
}

void buf_add_u64_text(struct buf *b, uint64_t v)
{
    char text[20]; /* 2^64 - 1 has 20 digits */
    size_t i = sizeof(text);
    do {
        text[--i] = (char)('0' + (int)(v % 10));
        v /= 10;
    } while (v != 0);
    buf_add(b, text + i, sizeof(text) - i);
}

void buf_add_hex_text(struct buf *b, uint64_t v, size_t digits)
{
    char text[16];
    ASSERT(digits <= sizeof(text));
    size_t i = sizeof(text);
    while (v != 0 || sizeof(text) - i < digits) {
        text[--i] = "0123456789abcdef"[v & 15];
        v >>= 4;
    }
    buf_add(b, text + i, sizeof(text) - i);
}

static void add_le(struct buf *b, uint64_t v, size_t size)
{
    if (make_room(b, size)) {
        for (size_t i = 0; i < size; i++) {
            b->p[b->n + i] = (char)(uint8_t)(v >> (8 * i));
        }
        b->n += size;
    }
}

static void add_be(struct buf *b, uint64_t v, size_t size)
{
    if (make_room(b, size)) {
        for (size_t i = 0; i < size; i++) {
            b->p[b->n + i] = (char)(uint8_t)(v >> (8 * (size - 1 - i)));
        }
        b->n += size;
    }
}

void buf_add_u8(struct buf *b, uint8_t v)
{
    add_le(b, v, 1);
}

void buf_add_u16(struct buf *b, uint16_t v)
{
    add_le(b, v, 2);
}

void buf_add_u32(struct buf *b, uint32_t v)
{
    add_le(b, v, 4);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    add_le(b, v, 8);
}

void buf_add_u32_be(struct buf *b, uint32_t v)
{
    add_be(b, v, 4);
}

void buf_add_u64_be(struct buf *b, uint64_t v)
{
    add_be(b, v, 8);
}

void buf_add_lstr(struct buf *b, struct str s)
{
    ASSERT(s.n <= UINT32_MAX);
    if (make_room(b, 4 + s.n)) { /* both or nothing */
        buf_add_u32(b, (uint32_t)s.n);
        buf_add_str(b, s);
    }
}

/* The next `n` bytes, or NULL when there are fewer. */
static const char *rd_take(struct rd *r, size_t n)
{
    if (r->bad || r->n < n) {
        r->bad = true;
        return NULL;
    }
    const char *p = r->p;
    if (n > 0) {
        r->p += n;
        r->n -= n;
    }
    return p;
}

static uint64_t read_le(struct rd *r, size_t size)
{
    const char *p = rd_take(r, size);
    uint64_t v = 0;
    if (p != NULL) {
        for (size_t i = size; i-- > 0;) {
            v = v << 8 | (uint8_t)p[i];
        }
    }
    return v;
}

static uint64_t read_be(struct rd *r, size_t size)
{
    const char *p = rd_take(r, size);
    uint64_t v = 0;
    if (p != NULL) {
        for (size_t i = 0; i < size; i++) {
            v = v << 8 | (uint8_t)p[i];
        }
    }
    return v;
}

uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)read_le(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
    return (uint16_t)read_le(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
    return (uint32_t)read_le(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
    return read_le(r, 8);
}

uint32_t rd_u32_be(struct rd *r)
{
    return (uint32_t)read_be(r, 4);
}

uint64_t rd_u64_be(struct rd *r)
{
    return read_be(r, 8);
}

struct str rd_bytes(struct rd *r, size_t n)
{
    const char *p = rd_take(r, n);
    return p != NULL ? (struct str){p, n} : STR_NONE;
}

struct str rd_lstr(struct rd *r, size_t max)
{
    uint32_t n = rd_u32(r);
    if (n > max) {
        r->bad = true;
    }
    return rd_bytes(r, n);
}
