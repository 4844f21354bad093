/* The file of the coordinator's secret: what is taken can be presented, and is all that is found. */
#include "coord/secret.h"

#include <string.h>

#include "base/contract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct coord_secrets s = {0};
    struct errinfo ei = {0};
    enum err err = coord_secrets_parse(str_make(data, size), &s, &ei);
    ASSERT(err == OK || err == ERR_CONFIG || err == ERR_LIMIT);
    ASSERT((err == OK) == (s.count > 0) && (err == OK) == (ei.message[0] == '\0'));
    ASSERT(s.count <= COORD_SECRETS_MAX);
    for (size_t i = 0; i < s.count; i++) {
        struct str one = coord_secret(&s, i);
        ASSERT(one.n > 0 && one.n <= COORD_SECRET_SIZE_MAX);
        ASSERT(str_eq(one, str_trim(one)));
        for (size_t k = 0; k < one.n; k++) {
            ASSERT(one.p[k] != '\n' && one.p[k] != '\r' && one.p[k] != '\0');
        }
        ASSERT(coord_secrets_find(&s, one) == i);
        struct coord_secrets alone = coord_secrets_of(one);
        struct coord_secrets again = {0};
        ASSERT(coord_secrets_parse(one, &again, NULL) == OK);
        ASSERT(coord_secrets_are_same(&alone, &again));
    }
    coord_secrets_done(&s);
    return 0;
}
