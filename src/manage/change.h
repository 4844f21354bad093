/* Changes of an account's record, for everybody who lets operators make them: the record is read,
 * planned on (account/region.h), and put back by compare-and-set. */
#pragma once

#include "account/record.h"
#include "base/arena.h"
#include "base/err.h"
#include "coord/coord.h"

/* Makes a new key: "primary", "secondary", "primaryReadonly" or "secondaryReadonly" (any case). The
 * old one is refused as soon as a server has seen the record. ERR_INVALID: no such key. */
enum err change_key(struct account_record *rec, struct str which, struct errinfo *ei) MUST_CHECK;
/* "primary" ... for 0..3. */
const char *change_key_name(size_t i);
/* Puts the record if it is still at `rev`. Holds keys: everything is in `a`. */
const struct coord_txn *change_record_txn(struct arena *a, const struct account_record *rec,
                                          coord_rev rev);
