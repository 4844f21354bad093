/* Any bytes as the value of a hosted account: refused, or read into one that encodes to a fixed point
 * and whose names are fit for folders. */
#include "manage/hosted.h"

#include "base/contract.h"
#include "coord/coord.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hosted h;
    struct hosted again;
    if (hosted_decode(str_make(data, size), &h, NULL) != OK) {
        return 0;
    }
    struct buf one;
    struct buf two;
    buf_init(&one, COORD_VALUE_SIZE_MAX);
    buf_init(&two, COORD_VALUE_SIZE_MAX);
    hosted_encode(&h, &one);
    ASSERT(hosted_decode(buf_str(&one), &again, NULL) == OK);
    hosted_encode(&again, &two);
    ASSERT(str_eq(buf_str(&one), buf_str(&two)));
    ASSERT(hosted_check_account(str_of(h.account), NULL) == OK);
    for (size_t i = 0; i < h.region_count; i++) {
        ASSERT(str_find_char(str_of(h.regions[i]), '/') < 0 && h.regions[i][0] != '.');
    }
    buf_done(&one);
    buf_done(&two);
    return 0;
}
