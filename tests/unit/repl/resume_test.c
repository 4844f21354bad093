/* Where a change feed goes on: repl_resume. */
#include "base/buf.h"
#include "lib/t.h"
#include "repl/repl.h"

/* As partition.c writes it. */
static struct buf meta(unsigned version, const struct epoch_row *rows, size_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_add_u8(&b, (uint8_t)version);
    buf_add_u64(&b, 0); /* trimmed entries, their chain, clock */
    buf_add_u64(&b, 0);
    buf_add_u64(&b, 7);
    if (version >= 2) {
        buf_add_u8(&b, 0);
        buf_add_u64(&b, 1000);
    }
    buf_add_u32(&b, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_add_u64(&b, rows[i].epoch);
        buf_add_u64(&b, rows[i].first_lsn);
        buf_add_u64(&b, rows[i].prev_epoch);
        buf_add_u64(&b, rows[i].prev_lsn);
    }
    return b;
}

/* Epoch 1 ended with entry 40; 2 is not in this history; 3 ended with 2,000,500; then 4. */
static const struct epoch_row history[] = {
    {1, 1, 0, 0}, {3, 2000001, 1, 40}, {4, 3000001, 3, 2000500}};

static lsn resume(lsn after)
{
    lsn at = 99;
    struct buf b = meta(2, history, ARRAY_COUNT(history));
    t_ok(repl_resume(buf_str(&b), after, &at, NULL));
    buf_done(&b);
    return at;
}

T_TEST("a place in the history, or above its end, stays")
{
    static const lsn places[] = {0, 1, 40, 2000001, 2000500, 3000001, 3999999, 4000001, 9000001};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        t_eq_u64(resume(places[i]), places[i]);
    }
}

T_TEST("a place in what an epoch of this history lost stays: all before its end was seen")
{
    t_eq_u64(resume(41), 41);
    t_eq_u64(resume(LSN_BLOCK), LSN_BLOCK);
    t_eq_u64(resume(2000501), 2000501);
}

T_TEST("a place in an epoch that is not in this history begins anew")
{
    t_eq_u64(resume(LSN_BLOCK + 1), 0); /* epoch 2: it may have gone on from 30 */
    t_eq_u64(resume(1000007), 0);
    t_eq_u64(resume(2000000), 0);
}

T_TEST("a partition that came to be later, without entries, or of an older format")
{
    static const struct epoch_row late[] = {{3, 2000001, 0, 0}};
    struct buf b = meta(1, late, 1);
    lsn at = 99;
    t_ok(repl_resume(buf_str(&b), 50, &at, NULL));
    t_eq_u64(at, 0);
    t_ok(repl_resume(buf_str(&b), 2000001, &at, NULL));
    t_eq_u64(at, 2000001);
    buf_done(&b);
    t_ok(repl_resume(STR(""), 50, &at, NULL));
    t_eq_u64(at, 50);
}

T_TEST("a meta that is cut anywhere, or newer, is refused")
{
    struct buf b = meta(2, history, ARRAY_COUNT(history));
    lsn at = 0;
    for (size_t n = 1; n < b.n; n++) {
        t_err(repl_resume(str_make(b.p, n), 50, &at, NULL), ERR_CORRUPT);
    }
    b.p[0] = 77;
    t_err(repl_resume(buf_str(&b), 50, &at, NULL), ERR_FORMAT_NEWER);
    buf_done(&b);
}

T_MAIN()
