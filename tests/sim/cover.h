/* What a run has made happen, row by row: the tables of the core, told by its contract_trace records,
 * and what the world itself did. A row either has to fire in a long series of runs, or carries the
 * reason why it cannot in this world; both are checked (main.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { COVER_ROWS_MAX = 320 };

struct cover_row {
    const char *table; /* as in contract_trace */
    unsigned a;        /* its first number */
    const char *text;
    const char *why_not; /* NULL: it has to fire */
};

size_t cover_count(void);
const struct cover_row *cover_get(size_t i);
/* Counts this thread's records in hits[COVER_ROWS_MAX] until the next call; NULL: no longer. */
void cover_into(uint64_t *hits);
/* Something of the world itself. A row that is not in the list aborts: the list is to be complete. */
void cover_note(const char *table, unsigned a);

/* Many runs; run numbers count from 1. */
struct cover_totals {
    uint64_t run_count;
    uint64_t hits[COVER_ROWS_MAX], runs[COVER_ROWS_MAX];
    uint64_t first[COVER_ROWS_MAX]; /* first run in which it fired; 0 = none */
};
void cover_add(struct cover_totals *t, const uint64_t *hits, uint64_t run_no);
void cover_merge(struct cover_totals *t, const struct cover_totals *from);
size_t cover_missing(const struct cover_totals *t);   /* rows that have to fire and did not */
size_t cover_surprises(const struct cover_totals *t); /* rows that cannot fire and did */
/* Comment lines of TAP: those two, with the reasons of rows that cannot; the rows that one run in a
 * hundred or fewer has, or all. */
void cover_print_wrong(const struct cover_totals *t);
void cover_print(const struct cover_totals *t, bool is_full);
