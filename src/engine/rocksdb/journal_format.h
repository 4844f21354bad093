/* The bytes of the journal's files (doc/format/engine.md, "Journal"): making and checking them. Pure:
 * no files here. Private to this folder.
 *
 *   segment = header block, then groups, each from a block's beginning on
 *   group   = 36 bytes of header, payload, zeros up to the next block
 *
 * A segment's file is used again and again: what an earlier segment left in it is told apart by the
 * segment's number and by its salt. The salt is random, so that no client can put bytes into a
 * document that look like a group. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    JOURNAL_BLOCK_SIZE = 4096,
    JOURNAL_GROUP_HEAD_SIZE = 36,
    JOURNAL_PAYLOAD_SIZE_MAX = 1 << 30,
    JOURNAL_VERSION = 1,
};

struct journal_header {
    uint64_t number;      /* of the segment, from 1 on, without gaps */
    uint64_t from;        /* the oldest segment that was needed when this one was begun */
    uint64_t first_group; /* number of its first group */
    uint64_t salt;
};

void rocks_journal_header_encode(const struct journal_header *h,
                                 unsigned char ret[JOURNAL_BLOCK_SIZE]);
/* False: not a whole header of a known version. */
bool rocks_journal_header_parse(const unsigned char *p, size_t n, struct journal_header *ret);

/* Bytes that a group takes, padding and head included. */
static inline size_t rocks_journal_group_size(size_t payload_size)
{
    size_t size = JOURNAL_GROUP_HEAD_SIZE + payload_size;
    return (size + JOURNAL_BLOCK_SIZE - 1) / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;
}
/* Writes the head before and the zeros behind a payload that is at p + JOURNAL_GROUP_HEAD_SIZE. */
void rocks_journal_group_seal(unsigned char *p, const struct journal_header *h, uint64_t group,
                              size_t payload_size);

/* Walks over the groups of one segment whose bytes are all in memory. */
struct journal_scan {
    struct journal_header header;
    const unsigned char *p;
    size_t n;
    size_t at;      /* where the next group would be */
    uint64_t group; /* its number */
};
void rocks_journal_scan_init(struct journal_scan *s, const struct journal_header *h,
                             const unsigned char *p, size_t n);
/* False: no whole group is there. */
bool rocks_journal_scan_next(struct journal_scan *s, struct str *ret_payload);
/* After the end: whether the head of a group is there that did not get whole onto the disk. */
bool rocks_journal_scan_is_torn(const struct journal_scan *s);
/* After the end: whether a whole group of this segment is behind it. It was written after what is
 * missing, which therefore was on the disk once. */
bool rocks_journal_scan_has_more(const struct journal_scan *s);
/* Whether there is a whole group of a segment above `number`, whatever the header says. */
bool rocks_journal_has_newer(const unsigned char *p, size_t n, uint64_t number);
