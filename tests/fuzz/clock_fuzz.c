/* Dates: what parses prints back to the same instant. */
#include "base/clock.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms = 0;
    if (clock_parse_rfc1123((const char *)data, size, &ms) == 0 && ms >= 0) {
        char text[CLOCK_RFC1123_SIZE];
        int64_t back = -1;
        clock_format_rfc1123(ms, text);
        int rc = clock_parse_rfc1123(text, strlen(text), &back);
        ASSERT(rc == 0);
        ASSERT(back == ms);
    }
    return 0;
}
