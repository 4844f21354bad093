/* The drill's book: every write is in exactly one column, and a number is found in its id again. */
#include "continuity/drill/ledger.h"

#include <stdio.h>

#include "base/mem_probe.h"
#include "lib/t.h"

/* A write with these marks, alone in a ledger. */
static struct ledger_sum sum_of(unsigned marks)
{
    struct ledger *l = ledger_new(1);
    uint64_t number = 9;
    t_check(ledger_send(l, &number));
    t_eq_u64(number, 0);
    for (unsigned bit = 1; bit <= LEDGER_IN_FEED; bit *= 2) {
        if (marks & bit) {
            ledger_mark(l, number, (enum ledger_mark)bit);
        }
    }
    struct ledger_sum s;
    ledger_sum(l, &s);
    ledger_free(l);
    return s;
}

/* For all 16 combinations: sent = acked + refused + unknown, acked = surviving + in_feed + lost. */
T_TEST("every write is in exactly one column, whatever marks it got")
{
    for (unsigned marks = 0; marks < 32; marks += 2) {
        struct ledger_sum s = sum_of(marks);
        t_eq_u64(s.sent, 1);
        t_eq_u64(s.acked + s.refused + s.unknown, 1);
        t_eq_u64(s.surviving + s.in_feed + s.lost, s.acked);
        bool is_found = (marks & (LEDGER_SURVIVES | LEDGER_IN_FEED)) != 0;
        t_eq_u64(s.lost, (marks & LEDGER_ACKED) != 0 && !is_found);
        t_eq_u64(s.unknown_found, (marks & (LEDGER_ACKED | LEDGER_REFUSED)) == 0 && is_found);
        t_eq_u64(s.refused_found,
                 (marks & (LEDGER_ACKED | LEDGER_REFUSED)) == LEDGER_REFUSED && is_found);
        t_eq_u64(s.found_twice, (marks & LEDGER_SURVIVES) != 0 && (marks & LEDGER_IN_FEED) != 0);
    }
}

T_TEST("an acknowledged write in the data is not counted in the feed as well")
{
    struct ledger_sum s = sum_of(LEDGER_ACKED | LEDGER_SURVIVES | LEDGER_IN_FEED);
    t_check(s.surviving == 1 && s.in_feed == 0 && s.found_twice == 1);
}

T_TEST("a full ledger takes no more and forgets nothing")
{
    mem_probe_start();
    struct ledger *l = ledger_new(3);
    uint64_t number = 0;
    for (uint64_t i = 0; i < 3; i++) {
        t_check(ledger_send(l, &number) && number == i);
        ledger_mark(l, number, LEDGER_ACKED);
    }
    number = 77;
    t_check(!ledger_send(l, &number));
    t_eq_u64(number, 77);
    ledger_mark(l, 1, LEDGER_SURVIVES);
    ledger_mark(l, 1, LEDGER_SURVIVES); /* seen on two pages */
    struct ledger_sum s;
    ledger_sum(l, &s);
    t_check(s.sent == 3 && s.acked == 3 && s.surviving == 1 && s.lost == 2);
    ledger_free(l);
    ledger_free(NULL);
    mem_probe_stop();
    t_eq_i64(mem_live_count(), 0);
}

static void mark_unsent(void *ctx)
{
    ledger_mark(ctx, 0, LEDGER_ACKED);
}

T_TEST("marking a write that was never sent is a bug of the drill")
{
    struct ledger *l = ledger_new(1);
    t_check(t_aborts(mark_unsent, l));
    ledger_free(l);
}

static bool number_in(const char *id, const char *run, uint64_t *ret)
{
    return ledger_number(str_of(id), str_of(run), ret);
}

T_TEST("a number is read back from the ids of this run and from no others")
{
    uint64_t n = 0;
    t_check(number_in("d1-0", "d1", &n) && n == 0);
    t_check(number_in("d1-12345", "d1", &n) && n == 12345);
    t_check(!number_in("d12-5", "d1", &n));
    t_check(!number_in("d1-", "d1", &n));
    t_check(!number_in("d1", "d1", &n));
    t_check(!number_in("d1-5x", "d1", &n));
    t_check(!number_in("d1--5", "d1", &n));
    t_check(!number_in("d2-5", "d1", &n));
    t_check(!number_in("", "d1", &n));
}

T_MAIN()
