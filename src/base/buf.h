/* Growing byte buffer with a cap given at init. Over the cap: `overflow` is set, nothing is
 * added, and it stays set: check once at the end with buf_ok(). Not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    char *p; /* owned */
    size_t n;
    size_t cap;
    size_t max; /* n never exceeds it */
    bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_done_secret(struct buf *b); /* zeroes first */
void buf_clear(struct buf *b);       /* keeps memory, clears overflow */
bool buf_ok(const struct buf *b);
struct str buf_str(const struct buf *b); /* valid until the next change */
/* Gives the memory away (NUL after the end); b is empty then. ret_n may be NULL. */
char *buf_take(struct buf *b, size_t *ret_n);
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_cstr(struct buf *b, const char *s);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_add_lower(struct buf *b, struct str s); /* A-Z as a-z, all else as it is */
void buf_add_u64_text(struct buf *b, uint64_t v);
void buf_add_hex_text(struct buf *b, uint64_t v, size_t digits); /* lower case, at least `digits` */

/* Little-endian integers, and big-endian where memcmp order must be numeric order. */
void buf_add_u8(struct buf *b, uint8_t v);
void buf_add_u16(struct buf *b, uint16_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_u32_be(struct buf *b, uint32_t v);
void buf_add_u64_be(struct buf *b, uint64_t v);
void buf_add_lstr(struct buf *b, struct str s); /* u32 length, bytes */

/* Reader over bytes: a failed read sets `bad` and returns 0 / empty from then on. */
struct rd {
    const char *p;
    size_t n;
    bool bad;
};

static inline struct rd rd_of(struct str s)
{
    return (struct rd){s.p, s.n, false};
}

uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint32_t rd_u32_be(struct rd *r);
uint64_t rd_u64_be(struct rd *r);
struct str rd_bytes(struct rd *r, size_t n);
struct str rd_lstr(struct rd *r, size_t max); /* bad if longer than max */
