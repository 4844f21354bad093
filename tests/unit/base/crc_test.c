/* CRC-32C: known values, both implementations equal, chaining at every point. */
#include "base/crc.c" /* for both implementations */

#include "base/rng.h"
#include "lib/t.h"

T_TEST("published check values hold")
{
    char zeros[32] = {0};
    char ones[32];
    memset(ones, 0xff, sizeof(ones));
    t_eq_u64(crc32c(0, "", 0), 0);
    t_eq_u64(crc32c(0, "123456789", 9), 0xe3069283);
    t_eq_u64(crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720 B.4 */
    t_eq_u64(crc32c(0, ones, 32), 0x62a8ab43);
}

T_TEST("instruction and tables agree for all lengths and alignments, and chain")
{
    unsigned char data[300];
    struct rng rng;
    rng_init(&rng, t_seed());
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char)rng_u64(&rng);
    }
    for (size_t n = 0; n < 260; n++) {
        const unsigned char *p = data + n % 9;
        uint32_t by_table = ~crc_table(~UINT32_C(0), p, n);
        if (has_sse42()) {
            t_eq_u64(~crc_sse42(~UINT32_C(0), p, n), by_table);
        }
        size_t cut = (size_t)rng_below(&rng, n + 1);
        t_eq_u64(crc32c(crc32c(0, p, cut), p + cut, n - cut), by_table);
    }
}

T_MAIN()
