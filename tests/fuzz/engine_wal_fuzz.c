/* The reader of RocksDB's log format (engine/rocksdb/wal.c), one block at a time. */
#include "engine/rocksdb/wal.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan s = {0};
    uint64_t offset = 0;
    while (size > 0) {
        size_t n = size < BLOCK_SIZE ? size : BLOCK_SIZE;
        unsigned char *block = (unsigned char *)mem_dup(data, n);
        scan_block(&s, block, n, offset);
        mem_free(block);
        ASSERT(IMPLIES(s.has_damage, s.damage_at < offset + n));
        ASSERT(IMPLIES(s.has_group_behind, s.has_damage));
        data += n;
        size -= n;
        offset += n;
    }
    return 0;
}
