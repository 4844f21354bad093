/* The drill's client: creates and reads at a steady rate, behaving as an official SDK does: writes
 * go to the first writable location, reads to the region under fault first and elsewhere when it
 * does not answer, "not here" means re-reading the account document. On a loop; one thread. */
#pragma once

#include "continuity/client.h"
#include "continuity/drill/ledger.h"
#include "net/loop.h"

struct load_opts {
    const struct client_account *account;
    const char *container;  /* "/dbs/x/colls/y" */
    const char *run;        /* prefix of document ids */
    const char *read_first; /* region name whose endpoint reads go to first */
    unsigned writes_per_s;
    unsigned connections;
    unsigned write_timeout_ms;
    struct ledger *ledger;
    void (*acked)(void *ctx); /* a write was acknowledged just now; may be NULL */
    void *acked_ctx;
};

struct load_times {              /* CLOCK_BOOTTIME; 0 = not yet */
    usec first_ack_elsewhere_us; /* first acknowledgement by another writer than before the fault */
    char new_writer[64];
    usec first_ack_us; /* first acknowledgement of a write that was sent after the fault */
    usec last_ack_us;  /* newest acknowledgement */
    usec longest_write_gap_us, longest_read_gap_us; /* since load_fault() */
    uint64_t acked, errors;
};

struct load;
struct load *load_new(struct loop *loop, const struct load_opts *opts, struct errinfo *ei);
void load_start(struct load *l);
/* The fault happens now: gaps are measured from here. Again: the second one of a double fault; what was
 * acknowledged after the first one only does not count as flowing again. */
void load_fault(struct load *l);
/* No new requests; true once none is in flight. */
bool load_stop(struct load *l);
void load_times(const struct load *l, struct load_times *ret);
const char *load_writer(const struct load *l); /* name of the writer in the last account document */
void load_free(struct load *l);
