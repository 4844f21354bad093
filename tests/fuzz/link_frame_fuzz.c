/* Frames and greetings of a link from arbitrary bytes. A frame that is taken must encode to the same
 * bytes again. */
#include "base/contract.h"
#include "net/link_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct link_frame *f, struct str bytes)
{
    struct buf b;
    buf_init(&b, LINK_FRAME_SIZE_MAX + LINK_FRAME_HEADER_SIZE);
    link_frame_encode(&b, f->version, (enum link_frame_type)f->type, &f->payload, 1);
    ASSERT(buf_ok(&b));
    ASSERT(str_eq(buf_str(&b), str_slice(bytes, 0, f->size)));
    buf_done(&b);
}

static void greeting(struct str payload)
{
    struct link_hello h;
    if (!link_hello_decode(payload, &h)) {
        return;
    }
    struct buf b;
    buf_init(&b, LINK_GREETING_SIZE_MAX);
    link_hello_encode(&b, &h);
    ASSERT(str_eq(buf_str(&b), payload));
    buf_done(&b);
    struct link_hello ours = {.version_min = LINK_VERSION, .version_max = LINK_VERSION};
    uint8_t version = link_hello_agree(&ours, &h);
    ASSERT(version == 0 || version == LINK_VERSION);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make(data, size);
    greeting(in); /* also without a checksum in the way */
    for (;;) {
        struct link_frame f;
        size_t need = 0;
        const char *why = NULL;
        switch (link_frame_decode(in, LINK_FRAME_SIZE_MAX, &f, &need, &why)) {
        case LINK_FRAME_MORE:
            ASSERT(need > in.n);
            return 0;
        case LINK_FRAME_BAD:
            ASSERT(why != NULL);
            return 0;
        case LINK_FRAME_OK:
            break;
        }
        again(&f, in);
        greeting(f.payload);
        in = str_slice(in, f.size, in.n);
    }
}
