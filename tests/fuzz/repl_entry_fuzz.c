/* Any bytes as a log entry: refused, or an entry that encodes to the same bytes (but for the chain,
 * which depends on the entry before). */
#include "repl/entry.h"

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct entry e, head;
    size_t total = 0;
    arena_init(&a);
    struct str bytes = str_make(data, size);
    enum err peeked = entry_peek(bytes, &head, &total, NULL);
    /* Most inputs have a wrong checksum: look behind it as well. */
    if (entry_decode_trusted(&a, bytes, &e, NULL) == OK) {
        ASSERT(peeked == OK);
        ASSERT(total == size);
        struct buf b;
        buf_init(&b, ENGINE_ENTRY_SIZE_MAX);
        entry_encode(&e, 0, &b);
        ASSERT(b.n == size);
        ASSERT(memcmp(b.p + 24, data + 24, size - 24) == 0);
        buf_done(&b);
    }
    if (entry_decode(&a, bytes, &e, NULL) == OK) {
        ASSERT(peeked == OK);
    }
    arena_done(&a);
    return 0;
}
