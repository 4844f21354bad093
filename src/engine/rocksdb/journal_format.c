/* See journal_format.h. */
#include "engine/rocksdb/journal_format.h"

#include <string.h>

#include "base/contract.h"
#include "base/crc.h"

enum {
    HEADER_SIZE = 44, /* u32 magic, u32 version, u64 number, from, first_group, salt, u32 crc */
    CRC_AT = 32,      /* in a group's head: u32 magic, u32 size, u64 number, salt, group, u32 crc */
};
static const uint32_t HEADER_MAGIC = 0x734a4648; /* "HFJs" */
static const uint32_t GROUP_MAGIC = 0x674a4648;  /* "HFJg" */

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}

static void put_u64(unsigned char *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t u64_at(const unsigned char *p)
{
    return (uint64_t)u32_at(p) | (uint64_t)u32_at(p + 4) << 32;
}

void rocks_journal_header_encode(const struct journal_header *h,
                                 unsigned char ret[JOURNAL_BLOCK_SIZE])
{
    memset(ret, 0, JOURNAL_BLOCK_SIZE);
    put_u32(ret, HEADER_MAGIC);
    put_u32(ret + 4, JOURNAL_VERSION);
    put_u64(ret + 8, h->number);
    put_u64(ret + 16, h->from);
    put_u64(ret + 24, h->first_group);
    put_u64(ret + 32, h->salt);
    put_u32(ret + 40, crc32c(0, ret, HEADER_SIZE - 4));
}

bool rocks_journal_header_parse(const unsigned char *p, size_t n, struct journal_header *ret)
{
    if (n < JOURNAL_BLOCK_SIZE || u32_at(p) != HEADER_MAGIC || u32_at(p + 4) != JOURNAL_VERSION ||
        u32_at(p + 40) != crc32c(0, p, HEADER_SIZE - 4)) {
        return false;
    }
    struct journal_header h = {
        .number = u64_at(p + 8),
        .from = u64_at(p + 16),
        .first_group = u64_at(p + 24),
        .salt = u64_at(p + 32),
    };
    if (h.from == 0 || h.from > h.number || h.first_group == 0) {
        return false;
    }
    *ret = h;
    return true;
}

void rocks_journal_group_seal(unsigned char *p, const struct journal_header *h, uint64_t group,
                              size_t payload_size)
{
    ASSERT(payload_size <= JOURNAL_PAYLOAD_SIZE_MAX);
    size_t used = JOURNAL_GROUP_HEAD_SIZE + payload_size;
    put_u32(p, GROUP_MAGIC);
    put_u32(p + 4, (uint32_t)payload_size);
    put_u64(p + 8, h->number);
    put_u64(p + 16, h->salt);
    put_u64(p + 24, group);
    put_u32(p + CRC_AT, crc32c(crc32c(0, p, CRC_AT), p + JOURNAL_GROUP_HEAD_SIZE, payload_size));
    memset(p + used, 0, rocks_journal_group_size(payload_size) - used);
}

/* Payload size of the whole group at p, or -1. */
static int64_t group_at(const unsigned char *p, size_t n)
{
    if (n < JOURNAL_BLOCK_SIZE || u32_at(p) != GROUP_MAGIC) {
        return -1;
    }
    size_t size = u32_at(p + 4);
    if (size > JOURNAL_PAYLOAD_SIZE_MAX || rocks_journal_group_size(size) > n) {
        return -1;
    }
    uint32_t crc = crc32c(crc32c(0, p, CRC_AT), p + JOURNAL_GROUP_HEAD_SIZE, size);
    return crc == u32_at(p + CRC_AT) ? (int64_t)size : -1;
}

static bool is_of(const struct journal_header *h, const unsigned char *p)
{
    return u64_at(p + 8) == h->number && u64_at(p + 16) == h->salt;
}

void rocks_journal_scan_init(struct journal_scan *s, const struct journal_header *h,
                             const unsigned char *p, size_t n)
{
    *s = (struct journal_scan){
        .header = *h, .p = p, .n = n, .at = JOURNAL_BLOCK_SIZE, .group = h->first_group};
}

bool rocks_journal_scan_next(struct journal_scan *s, struct str *ret_payload)
{
    if (s->at >= s->n) {
        return false;
    }
    const unsigned char *p = s->p + s->at;
    int64_t size = group_at(p, s->n - s->at);
    if (size < 0 || !is_of(&s->header, p) || u64_at(p + 24) != s->group) {
        return false;
    }
    *ret_payload = str_make((const char *)p + JOURNAL_GROUP_HEAD_SIZE, (size_t)size);
    s->at += rocks_journal_group_size((size_t)size);
    s->group++;
    return true;
}

bool rocks_journal_scan_is_torn(const struct journal_scan *s)
{
    return s->at < s->n && s->n - s->at >= JOURNAL_GROUP_HEAD_SIZE &&
           u32_at(s->p + s->at) == GROUP_MAGIC && is_of(&s->header, s->p + s->at);
}

bool rocks_journal_scan_has_more(const struct journal_scan *s)
{
    for (size_t at = s->at; at < s->n && s->n - at >= JOURNAL_BLOCK_SIZE;
         at += JOURNAL_BLOCK_SIZE) {
        /* The salt first: a checksum for each block that says it is a group would take for ever. */
        if (is_of(&s->header, s->p + at) && group_at(s->p + at, s->n - at) >= 0) {
            return true;
        }
    }
    return false;
}

bool rocks_journal_has_newer(const unsigned char *p, size_t n, uint64_t number)
{
    for (size_t at = JOURNAL_BLOCK_SIZE; at < n; at += JOURNAL_BLOCK_SIZE) {
        if (group_at(p + at, n - at) >= 0 && u64_at(p + at + 8) > number) {
            return true;
        }
    }
    return false;
}
