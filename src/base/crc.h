/* CRC-32C (Castagnoli), the checksum of every record on disk and on the wire. */
#pragma once

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t seed, const void *p, size_t n); /* seed 0 to start; chainable */
