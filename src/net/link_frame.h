/* Frames of a link: bytes to frames and back, no I/O (doc/format/link.md). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/err.h"
#include "base/str.h"
#include "net/link.h"

enum {
    LINK_FRAME_HEADER_SIZE = 16,
    LINK_NONCE_SIZE = 32,
    LINK_GREETING_SIZE_MAX = 2048, /* payload cap before the connection is up */
    LINK_BYE_SIZE_MAX = 256,
};

enum link_frame_type {
    LINK_FRAME_HELLO = 1,
    LINK_FRAME_PROOF = 2,
    LINK_FRAME_DATA = 3,
    LINK_FRAME_PING = 4,
    LINK_FRAME_BYE = 5,
};

enum link_role {
    LINK_ROLE_DIALLER = 1,
    LINK_ROLE_ACCEPTOR = 2,
};

struct link_frame {
    uint8_t version;
    uint8_t type;       /* a known one */
    struct str payload; /* into the input */
    size_t size;        /* of the whole frame in the input */
};

/* Appends one frame. The parts together are at most LINK_FRAME_SIZE_MAX. */
void link_frame_encode(struct buf *out, uint8_t version, enum link_frame_type type,
                       const struct str *parts, size_t n);

enum link_frame_outcome {
    LINK_FRAME_OK,
    LINK_FRAME_MORE, /* not whole yet: *ret_need bytes in all are needed, as far as known */
    LINK_FRAME_BAD,  /* *ret_why: static text */
};
/* Looks at the first frame of `in`. A payload over `payload_max` is BAD as soon as it is announced. */
enum link_frame_outcome link_frame_decode(struct str in, size_t payload_max, struct link_frame *ret,
                                          size_t *ret_need, const char **ret_why);

struct link_hello {
    uint8_t version_min;
    uint8_t version_max;
    uint8_t role; /* enum link_role */
    uint8_t nonce[LINK_NONCE_SIZE];
    struct str hello; /* of the layer above; into the input after decoding */
};
void link_hello_encode(struct buf *out, const struct link_hello *h);
bool link_hello_decode(struct str in, struct link_hello *ret);
/* 0: no common version. */
uint8_t link_hello_agree(const struct link_hello *a, const struct link_hello *b);

/* Payloads of the two HELLO frames, as they went over the wire. */
void link_proof_make(const struct crypto_hmac *key, enum link_role prover, uint8_t version,
                     struct str dialler_hello, struct str acceptor_hello,
                     uint8_t ret[CRYPTO_SHA256_SIZE]);
