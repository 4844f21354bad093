/* The drill's own book of what it wrote: kept outside the store, so that the store cannot be asked
 * to confirm itself. One byte per write number; not thread-safe. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum ledger_mark {
    LEDGER_SENT = 1, /* no answer yet, or an answer that says nothing about the outcome */
    LEDGER_ACKED = 2,
    LEDGER_REFUSED = 4,  /* certainly not applied */
    LEDGER_SURVIVES = 8, /* found in the data */
    LEDGER_IN_FEED = 16, /* found in the conflict feed */
};

struct ledger;
struct ledger *ledger_new(uint64_t max);
void ledger_free(struct ledger *l);
bool ledger_send(struct ledger *l, uint64_t *ret_number); /* false: full */
void ledger_mark(struct ledger *l, uint64_t number, enum ledger_mark mark);
/* Document id of a write: "<run>-<number>", and back. */
bool ledger_number(struct str id, struct str run, uint64_t *ret);

struct ledger_sum {
    uint64_t sent, acked, refused, unknown;
    uint64_t surviving, in_feed, lost; /* of the acknowledged ones */
    uint64_t unknown_found;            /* unknown ones found in data or feed */
    uint64_t refused_found;            /* refused ones found all the same: a lie of the store */
    uint64_t found_twice;              /* in the data and in the feed */
};
void ledger_sum(const struct ledger *l, struct ledger_sum *ret);
