/* The reader of the journal's segments (engine/rocksdb/journal_format.c). */
#include "base/contract.h"
#include "base/mem.h"
#include "engine/rocksdb/journal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *p = (unsigned char *)mem_dup(data, size);
    struct journal_header h = {.number = 1, .from = 1, .first_group = 1, .salt = 0};
    bool is_whole = rocks_journal_header_parse(p, size, &h);
    ASSERT(IMPLIES(is_whole, size >= JOURNAL_BLOCK_SIZE));
    ASSERT(h.from > 0 && h.from <= h.number);
    struct journal_scan s;
    struct str payload;
    uint64_t groups = 0;
    rocks_journal_scan_init(&s, &h, p, size);
    while (rocks_journal_scan_next(&s, &payload)) {
        ASSERT((const unsigned char *)payload.p + payload.n <= p + size);
        groups++;
    }
    ASSERT(s.group == h.first_group + groups);
    ASSERT(IMPLIES(groups > 0, s.at <= size));
    (void)rocks_journal_scan_is_torn(&s);
    bool has_more = rocks_journal_scan_has_more(&s);
    bool has_newer = rocks_journal_has_newer(p, size, h.number - 1);
    ASSERT(IMPLIES(groups > 0 || has_more, has_newer));
    mem_free(p);
    return 0;
}
