/* Records of the built-in coordinator: bytes to changes and back, no I/O
 * (doc/format/coordinator.md). */
#pragma once

#include "base/buf.h"
#include "coord/coord.h"

enum {
    COORD_RECORD_HEADER_SIZE = 16,
    COORD_RECORD_VERSION = 1,
    COORD_RECORD_SIZE_MAX = 96 << 20, /* a snapshot of a full store fits */
    COORD_FILE_HEADER_SIZE = 16,
    COORD_FILE_VERSION = 1,
};

enum coord_record_type {
    COORD_RECORD_TXN = 1,      /* one transaction's durable changes, all at one revision */
    COORD_RECORD_SNAPSHOT = 2, /* every durable key, each with its own revision */
};

struct coord_record_op {
    struct str key;
    struct str value;
    coord_rev rev;  /* in a transaction: the record's */
    bool is_delete; /* transactions only */
};

struct coord_record {
    enum coord_record_type type;
    coord_rev rev;       /* of the store after it */
    coord_rev rev_limit; /* revisions below it are reserved */
    size_t op_count;
    struct coord_record_op *ops; /* strings point into the input after decoding */
};

/* Appends one record. */
void coord_record_encode(struct buf *out, const struct coord_record *r);

/* Size of the first record of `in` from its header alone: OK and *ret_size; ERR_CORRUPT (also when
 * `in` is shorter than a header). Says nothing about the payload. */
enum err coord_record_size(struct str in, size_t *ret_size, struct errinfo *ei) MUST_CHECK;
/* `in` is exactly one record. ERR_CORRUPT, ERR_FORMAT_NEWER. Ops live in `a`. */
enum err coord_record_decode(struct arena *a, struct str in, struct coord_record *ret,
                             struct errinfo *ei) MUST_CHECK;

void coord_file_header_encode(struct buf *out);
enum err coord_file_header_decode(struct str in, struct errinfo *ei) MUST_CHECK;
