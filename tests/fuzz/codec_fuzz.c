/* Text decoders: what they accept, encoding gives back; UTF-8 lengths stay in relation. */
#include "base/codec.h"

#include <stddef.h>
#include <stdint.h>

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_SIZE_MAX = 1 << 22 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make(data, size);
    struct buf a;
    struct buf b;
    buf_init(&a, OUT_SIZE_MAX);
    buf_init(&b, OUT_SIZE_MAX);
    if (codec_unbase64(&a, in)) {
        codec_base64(&b, buf_str(&a));
        struct str bare = buf_str(&b);
        while (bare.n > 0 && bare.p[bare.n - 1] == '=') {
            bare.n--;
        }
        ASSERT(str_starts(in, bare)); /* one text per value, but for the padding */
    } else {
        ASSERT(a.n == 0);
    }
    buf_clear(&a);
    buf_clear(&b);
    if (codec_unhex(&a, in)) {
        codec_hex(&b, buf_str(&a), /* upper= */ false);
        ASSERT(str_eq_nocase(in, buf_str(&b)));
    }
    buf_clear(&a);
    buf_clear(&b);
    codec_percent_encode(&a, in);
    bool is_ok = codec_percent_decode(&b, buf_str(&a));
    ASSERT(is_ok);
    ASSERT(str_eq(in, buf_str(&b)));
    buf_clear(&b);
    if (codec_percent_decode(&b, in)) {
        ASSERT(b.n <= in.n);
    }
    if (codec_utf8_valid(in)) {
        ASSERT(codec_utf16_len(in) <= in.n);
    }
    buf_done(&a);
    buf_done(&b);
    return 0;
}
