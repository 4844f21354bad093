/* The coordinator's JSON from arbitrary bytes: requests, answers, errors, queries. What decodes as a
 * transaction encodes and decodes to the same. */
#include "base/contract.h"
#include "coord/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(struct arena *a, const struct coord_txn *t)
{
    struct buf b;
    struct coord_txn got;
    buf_init(&b, COORD_REQUEST_SIZE_MAX);
    coord_wire_txn_encode(t, &b);
    if (buf_ok(&b)) {
        enum err e = coord_wire_txn_decode(a, buf_str(&b), &got, NULL);
        ASSERT(e == OK);
        ASSERT(got.compare_count == t->compare_count && got.put_count == t->put_count);
        for (size_t i = 0; i < t->put_count; i++) {
            ASSERT(str_eq(got.puts[i].key, t->puts[i].key));
            ASSERT(str_eq(got.puts[i].value, t->puts[i].value));
            ASSERT(got.puts[i].is_delete == t->puts[i].is_delete);
            ASSERT(got.puts[i].is_volatile == t->puts[i].is_volatile);
        }
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make(data, size);
    struct arena a;
    struct coord_txn t;
    struct coord_txn_result r;
    struct coord_state s;
    struct coord_watch_query q;
    arena_init(&a);
    if (coord_wire_txn_decode(&a, in, &t, NULL) == OK) {
        again(&a, &t);
    }
    (void)!coord_wire_result_decode(&a, in, &r, NULL); /* only that they survive it */
    (void)!coord_wire_state_decode(&a, in, &s, NULL);
    (void)!coord_wire_query_decode(&a, in, &q, NULL);
    enum err e = coord_wire_error_decode(500, in);
    ASSERT(e != OK);
    arena_done(&a);
    return 0;
}
