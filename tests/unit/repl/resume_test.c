/* Where a change feed goes on: repl_resume. */
#include "lib/epoch_table.h"
#include "lib/t.h"
#include "repl/repl.h"

/* Epoch 1 ended with entry 40; 2 is not in this history; 3 ended with 2,000,500; then 4. */
static const struct epoch_row history[] = {
    {1, 1, 0, 0}, {3, 2000001, 1, 40}, {4, 3000001, 3, 2000500}};

static lsn resume_in(const struct epoch_row *rows, size_t row_count,
                     const struct repl_opening *known, size_t n, lsn after)
{
    lsn at = 99;
    struct buf b = epoch_table(2, rows, row_count);
    t_ok(repl_resume(buf_str(&b), known, n, after, &at, NULL));
    buf_done(&b);
    return at;
}

static lsn resume(const struct repl_opening *known, size_t n, lsn after)
{
    return resume_in(history, ARRAY_COUNT(history), known, n, after);
}

T_TEST("a place in the history, or above its end, stays")
{
    static const lsn places[] = {0, 1, 40, 2000001, 2000500, 3000001, 3999999, 4000001, 9000001};
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        t_eq_u64(resume(NULL, 0, places[i]), places[i]);
    }
}

T_TEST("a place in what an epoch of this history lost stays: all before its end was seen")
{
    t_eq_u64(resume(NULL, 0, 41), 41);
    t_eq_u64(resume(NULL, 0, LSN_BLOCK), LSN_BLOCK);
    t_eq_u64(resume(NULL, 0, 2000501), 2000501);
}

T_TEST("a place in an epoch that nobody remembers begins anew")
{
    t_eq_u64(resume(NULL, 0, LSN_BLOCK + 1), 0); /* epoch 2: it may have gone on from 30 */
    t_eq_u64(resume(NULL, 0, 1000007), 0);
    t_eq_u64(resume(NULL, 0, 2000000), 0);
}

/* As the record has it: epoch 2 went on from entry 30 of epoch 1, or from another one. */
static lsn resume_from_2(epoch prev_epoch, lsn prev_lsn, lsn after)
{
    const struct repl_opening known[] = {
        {.epoch = 1, .start_lsn = 1},
        {.epoch = 2, .start_lsn = 1000001, .has_prev = true, prev_epoch, prev_lsn},
        {.epoch = 3, .start_lsn = 2000001, .has_prev = true, 1, 40},
        {.epoch = 4, .start_lsn = 3000001, .has_prev = true, 3, 2000500}};
    return resume(known, ARRAY_COUNT(known), after);
}

T_TEST("a place in a lost epoch goes on from where that parted from this history")
{
    /* 31 to 40 were never told to whoever read epoch 2. */
    t_eq_u64(resume_from_2(1, 30, 1000001), 30);
    t_eq_u64(resume_from_2(1, 30, 1999999), 30);
    t_eq_u64(resume_from_2(1, 40, 1000007), 40);
    /* Epoch 2 had more of epoch 1 than what is here. */
    t_eq_u64(resume_from_2(1, 50, 1000007), 40);
    t_eq_u64(resume_from_2(0, 0, 1000007), 0); /* it began with nothing */
    /* Epoch 1's own suffix, whatever its blocks; places that are in the history. */
    t_eq_u64(resume_from_2(1, 30, 35), 35);
    t_eq_u64(resume_from_2(1, 30, 41), 41);
    t_eq_u64(resume_from_2(1, 30, 2000400), 2000400);
}

T_TEST("a suffix longer than a block of lsns is known by the starts of the epochs")
{
    static const struct epoch_row rows[] = {{1, 1, 0, 0}, {2, 3000001, 1, 40}};
    static const struct repl_opening known[] = {{.epoch = 2, .start_lsn = 3000001}};
    t_eq_u64(resume_in(rows, 2, known, 1, 2500000), 2500000); /* no epoch between 1 and 2 */
    t_eq_u64(resume_in(rows, 2, NULL, 0, 2500000), 2500000);
}

T_TEST("several lost epochs, one after the other, lead back to what is left")
{
    static const struct epoch_row rows[] = {{1, 1, 0, 0}, {5, 4000001, 1, 40}};
    static const struct repl_opening known[] = {
        {.epoch = 2, .start_lsn = 1000001, .has_prev = true, 1, 30},
        {.epoch = 3, .start_lsn = 2000001, .has_prev = true, 2, 1000009},
        {.epoch = 4, .start_lsn = 3000001, .has_prev = true, 1, 35},
        {.epoch = 5, .start_lsn = 4000001, .has_prev = true, 1, 40}};
    t_eq_u64(resume_in(rows, 2, known, 4, 1000005), 30);
    t_eq_u64(resume_in(rows, 2, known, 4, 2000005), 30); /* 3 follows 2, that follows 1 */
    t_eq_u64(resume_in(rows, 2, known, 4, 3000005), 35);
    t_eq_u64(resume_in(rows, 2, known + 1, 3, 2000005), 0); /* where 2 came from is forgotten */
    t_eq_u64(resume_in(rows, 2, known + 1, 3, 3000005), 35);
}

T_TEST(
    "an epoch that is not listed may be the one: then anew, unless a later one is below the place")
{
    static const struct epoch_row rows[] = {{1, 1, 0, 0}, {5, 4000001, 1, 40}};
    struct repl_opening known[] = {{.epoch = 2, .start_lsn = 1000001, .has_prev = true, 1, 30},
                                   {.epoch = 4, .start_lsn = 3000001, .has_prev = true, 1, 35}};
    t_eq_u64(resume_in(rows, 2, known, 2, 1000005), 0); /* of 2 or 3 */
    t_eq_u64(resume_in(rows, 2, known, 2, 3000005), 35);
    t_eq_u64(resume_in(rows, 2, known, 1, 3000005), 0);
    known[1] =
        (struct repl_opening){.epoch = 4, .start_lsn = 3000001}; /* its branch is not known */
    t_eq_u64(resume_in(rows, 2, known, 2, 3000005), 0);
}

T_TEST("an epoch of another partition is not the one")
{
    static const struct epoch_row rows[] = {{1, 1, 0, 0}, {4, 4000001, 1, 40}};
    struct repl_opening known[] = {{.epoch = 2, .start_lsn = 1000001, .has_prev = true, 1, 30},
                                   {.epoch = 3, .start_lsn = 2000001, .is_elsewhere = true}};
    t_eq_u64(resume_in(rows, 2, known, 2, 1000005), 30);
    t_eq_u64(resume_in(rows, 2, known, 2, 3000005), 30); /* a later block of 2 */
    known[0].is_elsewhere = true;
    t_eq_u64(resume_in(rows, 2, known, 2, 3000005), 3000005); /* a later block of 1 */
}

T_TEST("below what the table of a copied partition has, only what is known stays")
{
    static const struct epoch_row rows[] = {{70, 70000001, 69, 69000040}};
    const struct repl_opening known[] = {{.epoch = 69, .start_lsn = 68000001}};
    t_eq_u64(resume_in(rows, 1, NULL, 0, 69000030), 69000030); /* that epoch's last block */
    t_eq_u64(resume_in(rows, 1, NULL, 0, 69000050), 69000050);
    t_eq_u64(resume_in(rows, 1, known, 1, 68000030), 68000030);
    t_eq_u64(resume_in(rows, 1, NULL, 0, 68000030), 0);
    t_eq_u64(resume_in(rows, 1, known, 1, 67000030), 0);
}

T_TEST("a partition that came to be later, without entries, or of an older format")
{
    static const struct epoch_row late[] = {{3, 2000001, 0, 0}};
    struct buf b = epoch_table(1, late, 1);
    lsn at = 99;
    t_ok(repl_resume(buf_str(&b), NULL, 0, 50, &at, NULL));
    t_eq_u64(at, 0);
    t_ok(repl_resume(buf_str(&b), NULL, 0, 2000001, &at, NULL));
    t_eq_u64(at, 2000001);
    buf_done(&b);
    t_ok(repl_resume(STR(""), NULL, 0, 50, &at, NULL));
    t_eq_u64(at, 50);
}

T_TEST("a meta that is cut anywhere, or newer, is refused")
{
    struct buf b = epoch_table(2, history, ARRAY_COUNT(history));
    lsn at = 0;
    for (size_t n = 1; n < b.n; n++) {
        t_err(repl_resume(str_make(b.p, n), NULL, 0, 50, &at, NULL), ERR_CORRUPT);
    }
    b.p[0] = 77;
    t_err(repl_resume(buf_str(&b), NULL, 0, 50, &at, NULL), ERR_FORMAT_NEWER);
    buf_done(&b);
}

T_MAIN()
