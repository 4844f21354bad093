#include "cosmos/rid.h"

#include "base/codec.h"
#include "base/contract.h"

enum { OP_BITS = 7, ORDINAL_BITS = 9 };
#define CONTAINER_BIT UINT32_C(0x80000000)

uint64_t rid_number(lsn at, unsigned op_idx, unsigned ordinal)
{
    ASSERT(at <= LSN_MAX);
    ASSERT(op_idx < (1U << OP_BITS));
    ASSERT(ordinal < RID_PARTITIONS_MAX);
    return at << (OP_BITS + ORDINAL_BITS) | (uint64_t)op_idx << ORDINAL_BITS | ordinal;
}

lsn rid_lsn(uint64_t number)
{
    return number >> (OP_BITS + ORDINAL_BITS);
}

static void add_text(struct buf *out, const struct buf *raw)
{
    size_t from = out->n;
    codec_base64(out, buf_str(raw));
    for (size_t i = from; i < out->n; i++) {
        out->p[i] = out->p[i] == '/' ? '-' : out->p[i];
    }
}

static void add_children(struct buf *out, uint32_t db, uint32_t second, bool has_second,
                         uint64_t third, bool has_third)
{
    struct buf raw;
    buf_init(&raw, 32);
    buf_add_u32_be(&raw, db);
    if (has_second) {
        buf_add_u32_be(&raw, second);
    }
    if (has_third) {
        buf_add_u64(&raw, third);
    }
    add_text(out, &raw);
    buf_done(&raw);
}

void rid_add_database(struct buf *out, uint32_t db)
{
    add_children(out, db, 0, false, 0, false);
}

void rid_add_container(struct buf *out, uint32_t db, uint32_t coll)
{
    add_children(out, db, coll | CONTAINER_BIT, true, 0, false);
}

void rid_add_user(struct buf *out, uint32_t db, uint32_t user)
{
    add_children(out, db, user & ~CONTAINER_BIT, true, 0, false);
}

void rid_add_permission(struct buf *out, uint32_t db, uint32_t user, uint64_t number)
{
    add_children(out, db, user & ~CONTAINER_BIT, true, number, true);
}

void rid_add_child(struct buf *out, uint32_t db, uint32_t coll, enum rid_kind kind, uint64_t number)
{
    ASSERT(number < (UINT64_C(1) << 60));
    add_children(out, db, coll | CONTAINER_BIT, true, number | (uint64_t)kind << 60, true);
}

void rid_add_offer(struct buf *out, uint32_t offer)
{
    struct buf raw;
    buf_init(&raw, 4);
    buf_add_u8(&raw, (uint8_t)offer);
    buf_add_u8(&raw, (uint8_t)(offer >> 8));
    buf_add_u8(&raw, (uint8_t)(offer >> 16));
    add_text(out, &raw);
    buf_done(&raw);
}

bool rid_parse(struct str text, struct rid *ret)
{
    char plain[RID_TEXT_SIZE_MAX];
    if (text.n < 4 || text.n > sizeof(plain)) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        plain[i] = text.p[i] == '-' ? '/' : text.p[i];
    }
    struct buf raw;
    buf_init(&raw, RID_TEXT_SIZE_MAX);
    bool is_fine = codec_unbase64(&raw, str_make(plain, text.n)) && buf_ok(&raw) &&
                   (raw.n == 4 || raw.n == 8 || raw.n == 16);
    if (is_fine) {
        struct rd r = rd_of(buf_str(&raw));
        *ret = (struct rid){.size = (unsigned)raw.n, .db = rd_u32_be(&r)};
        uint32_t second = raw.n >= 8 ? rd_u32_be(&r) : 0;
        ret->coll = (second & CONTAINER_BIT) != 0 ? second & ~CONTAINER_BIT : 0;
        ret->user = (second & CONTAINER_BIT) != 0 ? 0 : second;
        uint64_t third = raw.n == 16 ? rd_u64(&r) : 0;
        ret->kind = ret->coll != 0 ? (enum rid_kind)(third >> 60) : RID_ITEM;
        ret->number = ret->coll != 0 ? third & ((UINT64_C(1) << 60) - 1) : third;
    }
    buf_done(&raw);
    return is_fine;
}
