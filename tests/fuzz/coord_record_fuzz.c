/* A coordinator's file from arbitrary bytes: whatever loads is a consistent store, and its snapshot
 * loads again to the same. */
#include "base/contract.h"
#include "coord/builtin/record.h"
#include "coord/builtin/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void load_all(struct coord_store *s, struct str rest)
{
    size_t n = 0;
    while (coord_record_size(rest, &n, NULL) == OK && n <= rest.n &&
           coord_store_load(s, str_slice(rest, 0, n), NULL) == OK) {
        coord_store_check(s);
        rest = str_slice(rest, n, rest.n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make(data, size);
    if (coord_file_header_decode(in, NULL) == OK) {
        in = str_slice(in, COORD_FILE_HEADER_SIZE, in.n);
    }
    struct coord_store *s = coord_store_new();
    load_all(s, in);
    coord_store_recovered(s);
    coord_store_check(s);

    struct buf first;
    struct buf second;
    buf_init(&first, COORD_RECORD_SIZE_MAX);
    buf_init(&second, COORD_RECORD_SIZE_MAX);
    coord_store_snapshot(s, &first);
    struct coord_store *again = coord_store_new();
    enum err e = coord_store_load(again, buf_str(&first), NULL);
    ASSERT(e == OK);
    coord_store_snapshot(again, &second);
    ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    coord_store_recovered(again);
    coord_store_check(again);
    ASSERT(coord_store_rev(again) >= coord_store_rev(s));
    coord_store_free(s);
    coord_store_free(again);
    buf_done(&first);
    buf_done(&second);
    return 0;
}
