/* Request targets: what was taken apart has no empty segments and joins to what was decoded. */
#include "base/arena.h"
#include "base/contract.h"
#include "cosmos/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct target t;
    arena_init(&a);
    if (target_parse(&a, str_make(data, size), &t, NULL) == OK) {
        size_t joined = 0;
        ASSERT(t.count <= TARGET_SEGMENTS_MAX);
        for (size_t i = 0; i < t.count; i++) {
            ASSERT(t.seg[i].n > 0);
            joined += t.seg[i].n + (i > 0 ? 1 : 0);
        }
        ASSERT(t.decoded.n == joined);
        ASSERT(t.raw.n <= size);
    }
    arena_done(&a);
    return 0;
}
