#include "continuity/drill/ledger.h"

#include <string.h>

#include "base/contract.h"
#include "base/mem.h"

struct ledger {
    uint8_t *marks; /* owned; bits of enum ledger_mark per write number */
    uint64_t count;
    uint64_t max;
};

struct ledger *ledger_new(uint64_t max)
{
    struct ledger *l = MEM_NEW(struct ledger);
    l->marks = mem_zalloc(max);
    l->max = max;
    return l;
}

void ledger_free(struct ledger *l)
{
    if (l) {
        mem_free(l->marks);
        mem_free(l);
    }
}

bool ledger_send(struct ledger *l, uint64_t *ret_number)
{
    if (l->count >= l->max) {
        return false;
    }
    l->marks[l->count] = LEDGER_SENT;
    *ret_number = l->count++;
    return true;
}

void ledger_mark(struct ledger *l, uint64_t number, enum ledger_mark mark)
{
    ASSERT(number < l->count);
    l->marks[number] |= (uint8_t)mark;
}

bool ledger_number(struct str id, struct str run, uint64_t *ret)
{
    return str_starts(id, run) && id.n > run.n + 1 && id.p[run.n] == '-' &&
           str_to_u64(str_slice(id, run.n + 1, id.n), ret);
}

void ledger_sum(const struct ledger *l, struct ledger_sum *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->sent = l->count;
    for (uint64_t i = 0; i < l->count; i++) {
        uint8_t m = l->marks[i];
        bool is_found = (m & (LEDGER_SURVIVES | LEDGER_IN_FEED)) != 0;
        if ((m & LEDGER_SURVIVES) != 0 && (m & LEDGER_IN_FEED) != 0) {
            ret->found_twice++;
        }
        if ((m & LEDGER_ACKED) != 0) {
            ret->acked++;
            if ((m & LEDGER_SURVIVES) != 0) {
                ret->surviving++;
            } else if ((m & LEDGER_IN_FEED) != 0) {
                ret->in_feed++;
            } else {
                ret->lost++;
            }
        } else if ((m & LEDGER_REFUSED) != 0) {
            ret->refused++;
            ret->refused_found += is_found ? 1 : 0;
        } else {
            ret->unknown++;
            ret->unknown_found += is_found ? 1 : 0;
        }
    }
}
