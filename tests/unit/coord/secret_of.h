/* One secret, for the time of a call that copies it; eight calls later it is another. */
#pragma once

#include "coord/secret.h"

static inline const struct coord_secrets *secret_of(struct str secret)
{
    static struct coord_secrets slots[8];
    static unsigned next;
    struct coord_secrets *s = &slots[next++ % 8];
    *s = coord_secrets_of(secret);
    return s;
}
