/* `holdfast account partition`: what the regions say about partitions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "continuity/client.h"

/* Asks every region's server and prints one line (or JSON member) per partition. ERR_UNAVAILABLE when no
 * region answers; one that does not is named. */
enum err account_partitions_list(const struct client_account *acc, bool prints_json,
                                 struct errinfo *ei) MUST_CHECK;

/* ERR_NOT_FOUND when regions answer and none of them has partition p. */
enum err account_partitions_need(const struct client_account *acc, uint64_t p,
                                 struct errinfo *ei) MUST_CHECK;
