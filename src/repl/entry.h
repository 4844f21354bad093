/* One entry of a partition's log: its encoding on disk and on the wire (doc/format/entry.md).
 *
 * Encoded once by the writer, stored and shipped as the same bytes, decoded by everyone. Fixed
 * header (magic, version, flags, length, crc32c over the rest), then operations. Room for
 * multi-region writes is part of version 1: origin region, version vector, HLC. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/types.h"
#include "engine/engine.h"

enum {
    ENTRY_VERSION = 1,
    ENTRY_VECTOR_MAX = REGIONS_MAX,
    ENTRY_OPS_MAX = 512, /* client writes have at most BATCH_OPS_MAX */
    ENTRY_HEADER_SIZE = 96,
    ENTRY_OP_OVERHEAD_MAX =
        64, /* bytes of one operation beside key, text and unique keys (+4 each) */
};

enum entry_kind {
    ENTRY_WRITE = 1, /* documents put and deleted */
    ENTRY_EPOCH = 2, /* first entry of an epoch in this partition: no operations */
};

enum entry_reason {
    REASON_CLIENT = 0,
    REASON_TTL = 1,      /* expiry decided by the writer */
    REASON_CONFLICT = 2, /* conflict records of a returning region */
    REASON_PURGE = 3,    /* delete by partition key, container removal */
};

struct entry_op {
    bool is_delete;
    enum engine_space space;
    struct str key;
    struct engine_doc doc;     /* put: version.lsn/op_idx are the entry's own place */
    struct engine_version old; /* version it replaces; lsn 0 = none */
};

struct entry {
    enum entry_kind kind;
    enum entry_reason reason;
    epoch epoch;
    generation generation; /* lease generation it was ordered under */
    lsn lsn;
    uint64_t ord;     /* 1 + ord of the entry before */
    epoch prev_epoch; /* place of the entry before; 0/0 for the first */
    lsn prev_lsn;
    uint64_t chain; /* checksum chain: hash of (previous chain, this entry's bytes without it) */
    uint64_t hlc;   /* wall ms << 16 | logical */
    uint64_t ts;    /* _ts of its documents */
    region_id origin;
    size_t vector_count; /* 0 in single-write accounts */
    struct {
        region_id region;
        uint64_t count;
    } vector[ENTRY_VECTOR_MAX];
    size_t op_count;
    struct entry_op *ops; /* in the arena given to entry_decode */
};

/* Appends the encoded entry. Asserts limits (the caller checked them): ENGINE_ENTRY_SIZE_MAX. Sets
 * e->chain from prev_chain. */
void entry_encode(struct entry *e, uint64_t prev_chain, struct buf *out);
/* Everything in it points into `bytes` or `a`. ERR_CORRUPT, ERR_FORMAT_NEWER. */
enum err entry_decode(struct arena *a, struct str bytes, struct entry *ret,
                      struct errinfo *ei) MUST_CHECK;
/* Same without the checksum and without asserting limits of texts: for bytes this process has just
 * encoded or checked. Still bounds-checked. */
enum err entry_decode_trusted(struct arena *a, struct str bytes, struct entry *ret,
                              struct errinfo *ei) MUST_CHECK;
/* The chain value that the entry must carry when the entry before it carries prev_chain. */
uint64_t entry_chain(struct str bytes, uint64_t prev_chain);
/* Only the fixed header (place, ord, chain, kind, length): no crc check. */
enum err entry_peek(struct str bytes, struct entry *ret_header, size_t *ret_total,
                    struct errinfo *ei) MUST_CHECK;
