/* The file that names a server's incarnation: what is accepted is what confirm_note writes. */
#include "server/confirm.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make(data, size);
    uint64_t incarnation = 0;
    struct errinfo ei = {0};
    enum err err = confirm_parse(text, "incarnation", "east", &incarnation, &ei);
    ASSERT(err == OK || err == ERR_CORRUPT || err == ERR_FORMAT_NEWER || err == ERR_CONFIG);
    ASSERT((err == OK) == (incarnation != 0 && ei.code == OK));
    if (err == OK) {
        ASSERT(str_starts(text, STR("holdfast incarnation\nformat ")));
    }
    return 0;
}
