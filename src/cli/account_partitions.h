/* `holdfast account partition list`. */
#pragma once

#include <stdbool.h>

#include "continuity/client.h"

/* Asks every region's server and prints one line (or JSON member) per partition. ERR_UNAVAILABLE when no
 * region answers; one that does not is named. */
enum err account_partitions_list(const struct client_account *acc, bool prints_json,
                                 struct errinfo *ei) MUST_CHECK;
