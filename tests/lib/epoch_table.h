/* A partition's meta (engine_part_meta.extra) with a table of epochs, as repl/partition.c writes it. */
#pragma once

#include "base/buf.h"
#include "repl/place.h"

static inline struct buf epoch_table(unsigned version, const struct epoch_row *rows, size_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_add_u8(&b, (uint8_t)version);
    buf_add_u64(&b, 0); /* trimmed entries, their chain, clock */
    buf_add_u64(&b, 0);
    buf_add_u64(&b, 7);
    if (version >= 2) {
        buf_add_u8(&b, 0);
        buf_add_u64(&b, 1000);
    }
    buf_add_u32(&b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_add_u64(&b, rows[i].epoch);
        buf_add_u64(&b, rows[i].first_lsn);
        buf_add_u64(&b, rows[i].prev_epoch);
        buf_add_u64(&b, rows[i].prev_lsn);
    }
    return b;
}
