/* CRC-32C: reflected polynomial 0x82f63b78, initial and final complement. Uses the SSE 4.2
 * instruction where the processor has it (checked at run time), eight tables otherwise. */
#include "base/crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

enum { SLICES = 8 };

static uint32_t table[SLICES][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_init(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) {
            c = (c >> 1) ^ ((c & 1) != 0 ? UINT32_C(0x82f63b78) : 0);
        }
        table[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 1; k < SLICES; k++) {
            uint32_t c = table[k - 1][i];
            table[k][i] = (c >> 8) ^ table[0][c & 0xff];
        }
    }
}

/* `c` is the complemented running value, here and below. */
static uint32_t crc_table(uint32_t c, const unsigned char *p, size_t n)
{
    (void)pthread_once(&table_once, table_init); /* cannot fail with a valid once object */
    for (; n >= SLICES; p += SLICES, n -= SLICES) {
        uint32_t lo = c ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
                           (uint32_t)p[3] << 24);
        c = table[7][lo & 0xff] ^ table[6][lo >> 8 & 0xff] ^ table[5][lo >> 16 & 0xff] ^
            table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; p++, n--) {
        c = (c >> 8) ^ table[0][(c ^ *p) & 0xff];
    }
    return c;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t c, const unsigned char *p,
                                                            size_t n)
{
    uint64_t wide = c;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t v;
        memcpy(&v, p, sizeof(v)); /* x86 is little-endian, as the instruction wants it */
        wide = __builtin_ia32_crc32di(wide, v);
    }
    c = (uint32_t)wide;
    for (; n > 0; p++, n--) {
        c = __builtin_ia32_crc32qi(c, *p);
    }
    return c;
}

static bool has_sse42(void)
{
    return __builtin_cpu_supports("sse4.2") != 0;
}
#else
static uint32_t crc_sse42(uint32_t c, const unsigned char *p, size_t n)
{
    return crc_table(c, p, n);
}

static bool has_sse42(void)
{
    return false;
}
#endif

uint32_t crc32c(uint32_t seed, const void *p, size_t n)
{
    const unsigned char *at = (const unsigned char *)p;
    return ~(has_sse42() ? crc_sse42(~seed, at, n) : crc_table(~seed, at, n));
}
