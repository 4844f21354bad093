/* `_rid`: the ids that clients see for databases, containers, items and the rest. Layouts follow the
 * wire (doc/format/rid.md): base64 with '/' replaced by '-'.
 *
 *   database   4 bytes, number
 *   container  8 bytes: database, then 4 bytes whose first bit is 1 (0: a user)
 *   item       16 bytes: container, then 8 bytes little-endian, upper 4 bits of byte 15 = 0;
 *              other children of a container: 8 sproc, 7 trigger, 6 udf, 5 range, 4 conflict there
 *   offer      3 bytes, little-endian
 *
 * Clients compare items by the little-endian number in bytes 8..15, so it must grow with the log. It
 * is made of the entry's place, which is the same in every region and never used twice:
 *
 *   bits 59..16 lsn | 15..9 operation in its entry | 8..0 partition ordinal */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "base/types.h"

enum {
    RID_PARTITIONS_MAX = 512, /* of one container: 9 bits */
    RID_TEXT_SIZE_MAX = 32,
    RID_DATABASE_SIZE = 4, /* bytes, see struct rid */
    RID_CONTAINER_SIZE = 8,
};

enum rid_kind {
    RID_ITEM = 0,
    RID_CONFLICT = 4,
    RID_RANGE = 5,
    RID_UDF = 6,
    RID_TRIGGER = 7,
    RID_SPROC = 8
};

uint64_t rid_number(lsn at, unsigned op_idx, unsigned ordinal);
lsn rid_lsn(uint64_t number);

void rid_add_database(struct buf *out, uint32_t db);
void rid_add_container(struct buf *out, uint32_t db, uint32_t coll);
void rid_add_user(struct buf *out, uint32_t db, uint32_t user);
void rid_add_permission(struct buf *out, uint32_t db, uint32_t user, uint64_t number);
void rid_add_child(struct buf *out, uint32_t db, uint32_t coll, enum rid_kind kind,
                   uint64_t number);
void rid_add_offer(struct buf *out, uint32_t offer);

struct rid {
    uint32_t db;
    uint32_t coll;   /* 0 = none or a user */
    uint32_t user;   /* 0 = none */
    uint64_t number; /* of a child */
    enum rid_kind kind;
    unsigned size; /* bytes: 4, 8 or 16 */
};
bool rid_parse(struct str text, struct rid *ret);
