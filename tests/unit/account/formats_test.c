/* Which record formats may be written while programs of several versions run an account. */
#include "account/formats.h"

#include <stdio.h>

#include "account/region_int.h"
#include "base/contract.h"
#include "lib/t.h"
#include "world.h"

static struct arena arena;

static struct account_record account(size_t regions)
{
    static const char *const names[] = {"east", "west", "north"};
    struct account_record r;
    account_init(&r, "shop", CONSISTENCY_SESSION);
    for (size_t i = 0; i < regions; i++) {
        t_ok(account_add_region(&r, names[i], "http://h/", "h:1", 5, NULL));
    }
    return r;
}

static struct coord_kv beat(unsigned id, const char *text)
{
    return (struct coord_kv){.key = arena_printf(&arena, COORD_PREFIX "shop/beat/%u", id),
                             .value = str_of(text),
                             .rev = 5};
}

static unsigned read_of(const char *text)
{
    struct account_beats b;
    struct coord_kv kv = beat(2, text);
    beats_read(&b, STR("shop"), &kv, 1);
    return b.of[2].reads;
}

T_TEST("a heartbeat says what its process reads; one that does not is of the programs before")
{
    t_eq_u64(read_of("{\"n\":1,\"record_format\":9}"), 9);
    t_eq_u64(read_of("{\"n\":1}"), RECORD_FORMAT_UNSAID);
    t_eq_u64(read_of("{\"record_format\":\"9\"}"), RECORD_FORMAT_UNSAID);
    t_eq_u64(read_of("{\"record_format\":1}"), RECORD_FORMAT_UNSAID);
    t_eq_u64(read_of("{\"record_format\":18446744073709551615}"), INT32_MAX);
    t_eq_u64(read_of("{\"n\":"), 0); /* no heartbeat at all */
    t_eq_u64(read_of("7"), 0);
    t_eq_u64(read_of(""), 0);
}

static pid top_of(const char *one, const char *other)
{
    struct account_beats b;
    struct coord_kv kvs[] = {beat(1, one), beat(2, other)};
    beats_read(&b, STR("shop"), kvs, ARRAY_COUNT(kvs));
    return beats_top(&b);
}

T_TEST("the highest partition that a region has is the highest there is, if all say it")
{
    t_eq_u64(top_of("{\"top_partition\":512}", "{\"top_partition\":1024}"), 1024);
    t_eq_u64(top_of("{\"top_partition\":0}", "{\"top_partition\":0}"), 0);
    t_eq_u64(top_of("{\"top_partition\":512}", "{}"), UINT64_MAX);
    t_eq_u64(top_of("{\"top_partition\":512}", ""), 512);
    t_eq_u64(top_of("", ""), UINT64_MAX);
}

T_TEST("only heartbeats of that account's regions count")
{
    struct account_beats b;
    struct coord_kv kvs[] = {
        {.key = STR(COORD_PREFIX "shop/record"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shop/stopped/1"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shops/beat/1"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shop/beat/0"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shop/beat/1x"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shop/beat/64"), .value = STR("{\"record_format\":9}")},
        {.key = STR(COORD_PREFIX "shop/beat/2"), .is_deleted = true},
        beat(3, "{\"record_format\":8}"),
    };
    beats_read(&b, STR("shop"), kvs, ARRAY_COUNT(kvs));
    for (size_t i = 0; i < ARRAY_COUNT(b.of); i++) {
        t_eq_u64(b.of[i].reads, i == 3 ? 8 : 0);
    }
}

T_TEST("a format is written once every region reads it, and the refusal names the region")
{
    struct account_record r = account(3);
    struct account_beats b = {.of = {[1] = {.reads = 9}, [2] = {.reads = 9}, [3] = {.reads = 8}}};
    struct errinfo ei = {0};
    t_ok(formats_need(&b, &r, 8, &ei));
    t_err(formats_need(&b, &r, 9, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message, "region north runs a version that cannot read this: it reads account "
                          "records up to format 8, this needs format 9");
    ei = (struct errinfo){0};
    b.of[3].reads = 9;
    t_ok(formats_need(&b, &r, 9, &ei));
    b.of[1].reads = 0;
    t_err(formats_need(&b, &r, 9, &ei), ERR_PRECONDITION);
    t_eq_cstr(ei.message, "region east has not said which account records it can read, and this "
                          "needs format 9");
    t_check(ei.hint[0] != 0);
    struct account_beats nothing = {0};
    t_ok(formats_need(&nothing, &r, RECORD_FORMAT_UNSAID, &ei)); /* everybody reads that */
}

T_TEST("changes within the formats that everybody reads ask nobody")
{
    struct account_record from = account(2);
    struct account_record to = from;
    struct account_beats nothing = {0};
    t_eq_u64(record_format(&from), 1);
    to.strong_since = 1;
    t_eq_u64(record_format(&to), 2);
    to.former_count = 1;
    to.former[0] = (struct record_former){.id = 9, .name = "gone"};
    t_eq_u64(record_format(&to), 3);
    t_check(!formats_rise(&from, &to));
    t_ok(formats_check(&nothing, &from, &to, NULL));
}

T_TEST("what regions lack, by partition, is read back, and is never longer than it may be")
{
    struct beat_lags lags = {.count = REPL_LAGS_MAX};
    for (size_t i = 0; i < REPL_LAGS_MAX; i++) {
        lags.of[i] = (struct repl_part_lag){(region_id)(REGION_ID_MAX - i % 2), UINT64_MAX - i,
                                            UINT64_MAX, UINT64_MAX - 2 * i};
    }
    for (int round = 0; round < 2; round++, lags.count -= REPL_LAGS_MAX - 1) {
        struct buf out;
        struct json_out o;
        struct arena a;
        const struct json *beat = NULL;
        struct beat_lags back;
        buf_init(&out, BEAT_SIZE_MAX);
        arena_init(&a);
        json_out_init(&o, &out);
        json_out_object(&o);
        beat_put_lags(&o, &lags);
        json_out_object_end(&o);
        t_check(out.n - 2 <= BEAT_LAGS_SIZE(lags.count));
        t_check(out.n - 2 + 16 > BEAT_LAGS_SIZE(lags.count));
        t_ok(json_parse(&a, buf_str(&out), NULL, &beat, NULL));
        beat_get_lags(&back, beat, 0);
        t_eq_u64(back.count, lags.count);
        for (size_t i = 0; i < lags.count; i++) {
            t_eq_u64(back.of[i].region, lags.of[i].region);
            t_eq_u64(back.of[i].pid, lags.of[i].pid);
            t_eq_u64(back.of[i].ops, lags.of[i].ops);
            t_eq_u64(back.of[i].ord, lags.of[i].ord);
        }
        beat_get_lags(&back, beat, REGION_ID_MAX);
        t_eq_u64(back.count, (lags.count + 1) / 2);
        buf_done(&out);
        arena_done(&a);
    }
}

T_TEST("what is no such list is passed over")
{
    static const char *const beats[] = {"{}", "{\"lags\":7}",
                                        "{\"lags\":[7,[],[1,2,3],[1,2,3,4,5],[0,1,1,1],[64,1,1,1],"
                                        "[1,\"2\",3,4],[1,-2,3,4]]}"};
    for (size_t i = 0; i < ARRAY_COUNT(beats); i++) {
        struct arena a;
        const struct json *beat = NULL;
        struct beat_lags back = {.count = 9};
        arena_init(&a);
        t_ok(json_parse(&a, str_of(beats[i]), NULL, &beat, NULL));
        beat_get_lags(&back, beat, 0);
        t_eq_u64(back.count, 0);
        arena_done(&a);
    }
}

T_TEST("what is written is what record_format says")
{
    struct account_record r = account(2);
    struct account_record back;
    struct buf text;
    r.former_count = 1;
    r.former[0] = (struct record_former){.id = 9, .name = "gone"};
    r.next_region_id = 10;
    buf_init(&text, 1 << 20);
    record_encode(&r, &text);
    t_check(str_starts(buf_str(&text), STR("{\"format\":3,")));
    t_ok(record_decode(&arena, buf_str(&text), &back, NULL));
    t_eq_u64(record_format(&back), 3);
    buf_done(&text);
}

/* Puts a heartbeat of region 3 that says nothing of formats, as programs before wrote it. */
static void put_old_beat(struct world *w)
{
    struct coord_txn t = {
        .put_count = 1,
        .puts = {{.key = STR(COORD_PREFIX "test/beat/3"),
                  .value = STR("{\"n\":1,\"incarnation\":1,\"generation\":1,\"is_whole\":true}"),
                  .is_volatile = true}},
    };
    struct coord_txn_result res;
    struct buf record;
    buf_init(&record, COORD_VALUE_SIZE_MAX);
    coord_store_txn(w->store, &t, &arena, &res, &record);
    t_ok(res.err);
    t_check(res.succeeded);
    buf_done(&record);
}

T_TEST("regions learn it from each other's heartbeats before they decide by themselves")
{
    struct world *w = world_new(3, CONSISTENCY_SESSION);
    world_until_role(w, 1, ROLE_WRITER);
    world_run(w, 1000);
    t_check(decide_may_write(world_region(w, 1), RECORD_FORMAT));
    t_check(!decide_may_write(world_region(w, 1), RECORD_FORMAT + 1)); /* nor do we read it */
    world_stop(w, 3, /* confirm= */ false);
    put_old_beat(w);
    world_run(w, 20);
    t_check(decide_may_write(world_region(w, 1), RECORD_FORMAT_UNSAID));
    t_check(decide_may_write(world_region(w, 1), RECORD_FORMAT) ==
            (RECORD_FORMAT <= RECORD_FORMAT_UNSAID));
    world_start(w, 3);
    world_until_role(w, 3, ROLE_READER);
    world_run(w, 1000);
    t_check(decide_may_write(world_region(w, 1), RECORD_FORMAT));
    world_free(w);
}

T_MAIN()
