/* Frames of a link (doc/format/link.md is normative). */
#include "net/link_frame.h"

#include <string.h>

#include "base/contract.h"
#include "base/crc.h"

#define MAGIC UINT32_C(0x314c4648) /* "HFL1" */

enum { CRC_OFFSET = 12, VERSION_LOWEST = 1 };

static uint32_t frame_crc(const char *header, const struct str *parts, size_t n)
{
    uint32_t crc = crc32c(0, header, CRC_OFFSET);
    for (size_t i = 0; i < n; i++) {
        crc = crc32c(crc, parts[i].p, parts[i].n);
    }
    return crc;
}

void link_frame_encode(struct buf *out, uint8_t version, enum link_frame_type type,
                       const struct str *parts, size_t n)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += parts[i].n;
        ASSERT(size <= LINK_FRAME_SIZE_MAX);
    }
    size_t start = out->n;
    buf_reserve(out, LINK_FRAME_HEADER_SIZE + size);
    buf_add_u32(out, MAGIC);
    buf_add_u8(out, version);
    buf_add_u8(out, (uint8_t)type);
    buf_add_u16(out, 0);
    buf_add_u32(out, (uint32_t)size);
    if (!buf_ok(out)) {
        return;
    }
    uint32_t crc = frame_crc(out->p + start, parts, n);
    buf_add_u32(out, crc);
    for (size_t i = 0; i < n; i++) {
        buf_add_str(out, parts[i]);
    }
}

static enum link_frame_outcome bad(const char *why, const char **ret_why)
{
    *ret_why = why;
    return LINK_FRAME_BAD;
}

enum link_frame_outcome link_frame_decode(struct str in, size_t payload_max, struct link_frame *ret,
                                          size_t *ret_need, const char **ret_why)
{
    ASSERT(payload_max <= LINK_FRAME_SIZE_MAX);
    if (in.n < LINK_FRAME_HEADER_SIZE) {
        *ret_need = LINK_FRAME_HEADER_SIZE;
        return LINK_FRAME_MORE;
    }
    struct rd r = rd_of(in);
    uint32_t magic = rd_u32(&r);
    uint8_t version = rd_u8(&r);
    uint8_t type = rd_u8(&r);
    uint16_t zero = rd_u16(&r);
    uint32_t size = rd_u32(&r);
    uint32_t crc = rd_u32(&r);
    ASSERT(!r.bad);
    if (magic != MAGIC) {
        return bad("bad magic", ret_why);
    }
    if (zero != 0 || type < LINK_FRAME_HELLO || type > LINK_FRAME_BYE) {
        return bad("unknown frame type", ret_why);
    }
    if (size > payload_max) {
        return bad("frame too long", ret_why);
    }
    if (r.n < size) {
        *ret_need = LINK_FRAME_HEADER_SIZE + (size_t)size;
        return LINK_FRAME_MORE;
    }
    struct str payload = rd_bytes(&r, size);
    if (frame_crc(in.p, &payload, 1) != crc) {
        return bad("bad checksum", ret_why);
    }
    *ret = (struct link_frame){.version = version,
                               .type = type,
                               .payload = payload,
                               .size = LINK_FRAME_HEADER_SIZE + (size_t)size};
    return LINK_FRAME_OK;
}

void link_hello_encode(struct buf *out, const struct link_hello *h)
{
    ASSERT(h->hello.n <= LINK_HELLO_SIZE_MAX);
    buf_add_u8(out, h->version_min);
    buf_add_u8(out, h->version_max);
    buf_add_u8(out, h->role);
    buf_add_u8(out, 0);
    buf_add(out, h->nonce, LINK_NONCE_SIZE);
    buf_add_lstr(out, h->hello);
}

bool link_hello_decode(struct str in, struct link_hello *ret)
{
    struct rd r = rd_of(in);
    struct link_hello h = {0};
    h.version_min = rd_u8(&r);
    h.version_max = rd_u8(&r);
    h.role = rd_u8(&r);
    uint8_t zero = rd_u8(&r);
    struct str nonce = rd_bytes(&r, LINK_NONCE_SIZE);
    h.hello = rd_lstr(&r, LINK_HELLO_SIZE_MAX);
    if (r.bad || r.n != 0 || zero != 0 || h.version_min < VERSION_LOWEST ||
        h.version_max < h.version_min ||
        (h.role != LINK_ROLE_DIALLER && h.role != LINK_ROLE_ACCEPTOR)) {
        return false;
    }
    memcpy(h.nonce, nonce.p, LINK_NONCE_SIZE);
    *ret = h;
    return true;
}

uint8_t link_hello_agree(const struct link_hello *a, const struct link_hello *b)
{
    uint8_t version = a->version_max < b->version_max ? a->version_max : b->version_max;
    return version >= a->version_min && version >= b->version_min ? version : 0;
}

void link_proof_make(const struct crypto_hmac *key, enum link_role prover, uint8_t version,
                     struct str dialler_hello, struct str acceptor_hello,
                     uint8_t ret[CRYPTO_SHA256_SIZE])
{
    struct buf b;
    buf_init(&b, (size_t)2 * (LINK_GREETING_SIZE_MAX + LINK_FRAME_HEADER_SIZE));
    buf_add(&b, "holdfast-link-proof", sizeof("holdfast-link-proof"));
    buf_add_u8(&b, (uint8_t)prover);
    buf_add_u8(&b, version);
    buf_add_str(&b, dialler_hello);
    buf_add_str(&b, acceptor_hello);
    ASSERT(buf_ok(&b)); /* both were bounded by LINK_GREETING_SIZE_MAX */
    crypto_hmac_sign(key, buf_str(&b), ret);
    buf_done(&b);
}
