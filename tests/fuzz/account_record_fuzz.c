/* Any bytes as an account record: refused, or read into a record that encodes to a fixed point. */
#include "account/record.h"

#include "base/contract.h"
#include "coord/coord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    arena_init(&a);
    struct account_record *r = ARENA_NEW(&a, struct account_record);
    struct account_record *again = ARENA_NEW(&a, struct account_record);
    if (record_decode(&a, str_make(data, size), r, NULL) == OK) {
        struct buf one, two;
        buf_init(&one, COORD_VALUE_SIZE_MAX);
        buf_init(&two, COORD_VALUE_SIZE_MAX);
        record_encode(r, &one);
        ASSERT(buf_ok(&one));
        ASSERT(record_decode(&a, buf_str(&one), again, NULL) == OK);
        record_encode(again, &two);
        ASSERT(str_eq(buf_str(&one), buf_str(&two)));
        buf_done(&one);
        buf_done(&two);
    }
    arena_done(&a);
    return 0;
}
