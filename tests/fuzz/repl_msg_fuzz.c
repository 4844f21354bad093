/* Any bytes as a peer frame: refused, or messages that encode to what was read. */
#include "base/contract.h"
#include "repl/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct msg_reader r;
    if (msg_frame_open(str_make(data, size), &r, NULL) != OK) {
        return 0;
    }
    for (;;) {
        struct arena a;
        struct msg m, again;
        arena_init(&a);
        enum err e = msg_next(&r, &a, &m, NULL);
        if (e != OK) {
            arena_done(&a);
            return 0;
        }
        struct buf one, two;
        buf_init(&one, MSG_FRAME_SIZE_MAX);
        buf_init(&two, MSG_FRAME_SIZE_MAX);
        msg_frame_begin(&one, r.from, r.to);
        msg_encode(&one, &m);
        ASSERT(one.n <= MSG_FRAME_HEADER_SIZE + msg_size_max(&m));
        struct msg_reader back;
        ASSERT(msg_frame_open(buf_str(&one), &back, NULL) == OK);
        ASSERT(msg_next(&back, &a, &again, NULL) == OK);
        msg_frame_begin(&two, r.from, r.to);
        msg_encode(&two, &again);
        ASSERT(str_eq(buf_str(&one), buf_str(&two)));
        buf_done(&one);
        buf_done(&two);
        arena_done(&a);
    }
}
