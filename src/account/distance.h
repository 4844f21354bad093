/* How far apart regions are, from their names (geo-semantics 2.1). At Strong each write waits for a round trip
 * over that distance. Names that are not those of the service followed ("east") are nowhere: no distance. */
#pragma once

#include "account/record.h"

enum { DISTANCE_STRONG_MAX_KM = 8000 };

/* Along the ground; 0 = one of them is not known. */
unsigned distance_km(struct str a, struct str b);
/* The two regions of the account, or one of them and `also`, that are farthest apart; 0 = none is known. *ret_b
 * is NULL where it is `also`. */
unsigned distance_largest(const struct account_record *rec, struct str also, const char **ret_a,
                          const char **ret_b);
/* 400 where that is more than DISTANCE_STRONG_MAX_KM and the level Strong: an operator has to insist. */
enum err distance_check(const struct account_record *rec, enum consistency level, struct str also,
                        struct errinfo *ei) MUST_CHECK;
