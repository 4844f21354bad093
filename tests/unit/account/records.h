/* Account records that tests of plans and of the text make, write and read. */
#pragma once

#include "account/record.h"
#include "account/region.h"
#include "base/arena.h"
#include "lib/t.h"

static struct arena arena; /* of all texts and what is read of them */

/* Three regions, open: the first writes. */
static inline struct account_record three_regions(const char *second)
{
    struct account_record r;
    account_init(&r, "shop", CONSISTENCY_SESSION);
    t_ok(account_add_region(&r, "east", "http://h/", "h:1", 5, NULL));
    t_ok(account_add_region(&r, second, "http://h/", "h:2", 5, NULL));
    t_ok(account_add_region(&r, "north", "http://h/", "h:3", 5, NULL));
    struct record_epoch e = {.epoch = 1,
                             .generation = 2,
                             .writer = 1,
                             .incarnation = 7,
                             .start_lsn = 1,
                             .opened.rule = 315};
    r.generation = 2;
    r.epoch = 1;
    r.phase = PHASE_OPEN;
    r.lsn_limit = 1000001;
    r.writer_incarnation = 7;
    record_add_epoch(&r, &e);
    record_set_state(&r, 1, REGION_ONLINE_WRITE, 9);
    return r;
}

static inline struct str encode(const struct account_record *r)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    record_encode(r, &b);
    t_check(buf_ok(&b));
    struct str s = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return s;
}

static inline struct account_record through_text(const struct account_record *r)
{
    struct account_record back;
    struct errinfo ei = {0};
    t_ok_info(record_decode(&arena, encode(r), &back, &ei), &ei);
    t_eq_str(encode(&back), encode(r));
    return back;
}

/* `ei` says `part`, and is ready for the next. */
static inline void says(enum err got, enum err want, struct errinfo *ei, const char *part)
{
    t_err(got, want);
    t_contains(str_of(ei->message), part);
    *ei = (struct errinfo){0};
}
