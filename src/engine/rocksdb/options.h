/* How RocksDB is configured: one place, with the reasons in options.c. Private to this folder. */
#pragma once

#include <rocksdb/c.h>

#include "engine/kv.h"

enum {
    ROCKS_CACHE_SIZE = 64 << 20,
    ROCKS_WRITE_BUFFER_SIZE = 32 << 20,
};

struct rocks_setup {
    rocksdb_options_t *db;
    rocksdb_options_t *table[KV_TABLE_COUNT];
    rocksdb_cache_t *cache; /* shared by all tables */
};

/* Column families, in the order of enum kv_table. */
extern const char *const rocks_setup_names[KV_TABLE_COUNT];

size_t rocks_write_buffer_size(const struct kv_opts *opts);
void rocks_setup_init(struct rocks_setup *s, const struct kv_opts *opts);
/* Before opening what has RocksDB's own log: whether the newest one ends in a torn group, which may be dropped (wal.h). */
void rocks_setup_recovery(struct rocks_setup *s, bool is_torn);
void rocks_setup_done(struct rocks_setup *s);
