/* Session tokens: whatever is accepted can be written again and means the same. */
#include "base/contract.h"
#include "cosmos/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_need need;
    if (session_parse(str_make(data, size), 0, &need, NULL) != OK || !need.is_given) {
        return 0;
    }
    struct buf text;
    struct session_need again;
    buf_init(&text, 256);
    session_write(0, !need.has_version, need.version, need.lsn, &text);
    ASSERT(buf_ok(&text));
    enum err err = session_parse(buf_str(&text), 0, &again, NULL);
    ASSERT(err == OK);
    ASSERT(again.is_given);
    ASSERT(again.lsn == need.lsn);
    ASSERT(again.has_version == need.has_version);
    ASSERT(!need.has_version || again.version == need.version);
    buf_done(&text);
    return 0;
}
