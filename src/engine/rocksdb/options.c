/* RocksDB's options. Everything that differs from its defaults has its reason beside it. */
#include "engine/rocksdb/options.h"

#include "base/contract.h"

const char *const rocks_setup_names[KV_TABLE_COUNT] = {"default", "log", "index"};

enum {
    CHECKSUM_XXH3 = 4, /* ROCKSDB_NAMESPACE::ChecksumType */
    INFO_LOG_WARN = 2,
};

static void table_layout(struct rocks_setup *s, rocksdb_options_t *o, size_t block_size,
                         bool has_filter)
{
    rocksdb_block_based_table_options_t *b = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_checksum(b, CHECKSUM_XXH3);
    rocksdb_block_based_options_set_format_version(b, 5);
    rocksdb_block_based_options_set_block_size(b, block_size);
    rocksdb_block_based_options_set_block_cache(b, s->cache);
    /* Filters and indexes count against the cache: memory has one bound. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(b, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(b, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(b, 1);
    if (has_filter) {
        rocksdb_block_based_options_set_filter_policy(b,
                                                      rocksdb_filterpolicy_create_bloom_full(10));
        rocksdb_block_based_options_set_whole_key_filtering(b, 1);
    }
    rocksdb_options_set_block_based_table_factory(o, b);
    rocksdb_block_based_options_destroy(b);
}

/* What memtables are written to is compressed when it is merged, not before: on a machine that is busy
 * with writes the processor is scarcer than the disk, and much of it is merged or trimmed soon. */
static void compress_later(rocksdb_options_t *o)
{
    const int levels[] = {rocksdb_no_compression, rocksdb_lz4_compression};
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_compression_per_level(o, levels, ARRAY_COUNT(levels));
}

static void db_options(rocksdb_options_t *o)
{
    rocksdb_options_set_create_if_missing(o, 1); /* rocksdb.c has checked that nothing was lost */
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    /* One flush and one compaction at a time: a server shares its machine. */
    rocksdb_options_set_max_background_jobs(o, 2);
    rocksdb_options_set_max_subcompactions(o, 1);
    /* There is one writer (write_lock): the machinery for many only costs. */
    rocksdb_options_set_allow_concurrent_memtable_write(o, 0);
    rocksdb_options_set_enable_write_thread_adaptive_yield(o, 0);
    rocksdb_options_set_max_open_files(o, 512);
    rocksdb_options_set_skip_stats_update_on_db_open(o, 1); /* faster start */
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_stats_persist_period_sec(o, 0);
    rocksdb_options_set_info_log_level(o, INFO_LOG_WARN);
    rocksdb_options_set_keep_log_file_num(o, 2);
    rocksdb_options_set_max_log_file_size(o, 1 << 20);
    rocksdb_options_set_bytes_per_sync(o, 1 << 20); /* flushes must not starve the log's syncs */
}

static void main_options(struct rocks_setup *s, rocksdb_options_t *o, size_t write_buffer_size)
{
    table_layout(s, o, 4 << 10, /* has_filter= */ true);
    rocksdb_options_set_write_buffer_size(o, write_buffer_size);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    /* Each write looks for the document it replaces, which mostly is in no memtable: a filter says so
     * at a fraction of what walking the skip list costs. Ten bits each for documents of 100 bytes. */
    rocksdb_options_set_memtable_whole_key_filtering(o, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(o, 0.0125);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    compress_later(o);
    rocksdb_options_set_target_file_size_base(o, 32 << 20);
    rocksdb_options_set_max_bytes_for_level_base(o, 128 << 20);
}

static void log_options(struct rocks_setup *s, rocksdb_options_t *o, size_t write_buffer_size)
{
    table_layout(s, o, 32 << 10, /* has_filter= */ false);
    rocksdb_options_set_write_buffer_size(o, write_buffer_size);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    compress_later(o);
    rocksdb_options_set_compaction_style(o, rocksdb_universal_compaction);
    /* Files full of tombstones (trimmed entries) are compacted early. */
    rocksdb_options_add_compact_on_deletion_collector_factory(o, 10000, 5000);
}

static void index_options(struct rocks_setup *s, rocksdb_options_t *o, size_t write_buffer_size)
{
    table_layout(s, o, 4 << 10, /* has_filter= */ true);
    /* Small: a scan of the change feed walks over the tombstones in it. */
    rocksdb_options_set_write_buffer_size(o, write_buffer_size / 4);
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    compress_later(o);
    rocksdb_options_set_target_file_size_base(o, 16 << 20);
    rocksdb_options_set_max_bytes_for_level_base(o, 64 << 20);
    rocksdb_options_add_compact_on_deletion_collector_factory(o, 10000, 5000);
}

/* An option that the C API has no function for. */
static void set_by_name(rocksdb_options_t **options, const char *setting)
{
    rocksdb_options_t *o = rocksdb_options_create();
    char *message = NULL;
    rocksdb_get_options_from_string(*options, setting, o, &message);
    ASSERT(message == NULL);
    rocksdb_options_destroy(*options);
    *options = o;
}

size_t rocks_write_buffer_size(const struct kv_opts *opts)
{
    return opts->write_buffer_size != 0 ? opts->write_buffer_size : ROCKS_WRITE_BUFFER_SIZE;
}

void rocks_setup_init(struct rocks_setup *s, const struct kv_opts *opts)
{
    size_t cache_size = opts->cache_size != 0 ? opts->cache_size : ROCKS_CACHE_SIZE;
    size_t write_buffer_size = rocks_write_buffer_size(opts);
    *s = (struct rocks_setup){.cache = rocksdb_cache_create_lru(cache_size)};
    s->db = rocksdb_options_create();
    db_options(s->db);
    /* Without a log of its own RocksDB would write its memtables to files when it closes. The journal has
     * what is in them: stopping need not wait. */
    set_by_name(&s->db, "avoid_flush_during_shutdown=true");
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        s->table[t] = rocksdb_options_create();
    }
    main_options(s, s->table[KV_MAIN], write_buffer_size);
    log_options(s, s->table[KV_LOG], write_buffer_size);
    index_options(s, s->table[KV_INDEX], write_buffer_size);
    /* Rows of one kind and partition are inserted near the last one of them: large groups come sorted
     * (sort.c), and the rows of new versions are the last of their kind anyway. */
    set_by_name(&s->table[KV_INDEX], "memtable_insert_with_hint_prefix_extractor=fixed:9");
}

void rocks_setup_recovery(struct rocks_setup *s, bool is_torn)
{
    /* Point in time drops whatever follows the first damage without a word: only where wal.c has
     * seen that nothing does. */
    rocksdb_options_set_wal_recovery_mode(s->db, is_torn ? rocksdb_point_in_time_recovery
                                                         : rocksdb_absolute_consistency_recovery);
}

void rocks_setup_done(struct rocks_setup *s)
{
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        rocksdb_options_destroy(s->table[t]);
    }
    rocksdb_options_destroy(s->db);
    rocksdb_cache_destroy(s->cache);
}
