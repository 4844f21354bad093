/* A disk that fails: what the engine says, and that it writes nothing afterwards. */
#include <stdlib.h>

#include "base/clock.h"
#include "suite.h"

static struct engine *open_faulty(const char *spec)
{
    setenv("HOLDFAST_TEST_DISK", spec, 1);
    struct engine *e = suite_open();
    unsetenv("HOLDFAST_TEST_DISK");
    return e;
}

static enum err put_kv(struct engine *e, const char *name, size_t size, enum err *ret_each,
                       struct errinfo *ei)
{
    char *value = (char *)mem_zalloc(size);
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_kv(b, str_of(name), str_make(value, size));
    enum err err = engine_apply(e, &b, 1, true, ret_each, ei);
    engine_batch_free(b);
    mem_free(value);
    return err;
}

static void test_disk_full_latches(void)
{
    struct engine *e = open_faulty("full-after:20000");
    enum err each = OK;
    struct errinfo ei = {0};
    t_ok(put_kv(e, "a", 9000, &each, NULL));
    t_ok(put_kv(e, "b", 9000, &each, NULL));
    t_err(put_kv(e, "c", 9000, &each, &ei), ERR_DISK_FULL);
    t_err(each, ERR_DISK_FULL);
    t_contains(str_of(ei.message), "disk full");
    /* Small enough to fit, but the engine has stopped. */
    ei = (struct errinfo){0};
    t_err(put_kv(e, "d", 1, &each, &ei), ERR_DISK_FULL);
    t_contains(str_of(ei.message), "stopped writing");
    t_err(engine_drop_partition(e, 1, NULL), ERR_DISK_FULL);
    /* Reading goes on. */
    struct buf v;
    buf_init(&v, 1 << 20);
    t_ok(engine_kv_get(e, STR("b"), &v, NULL));
    t_err(engine_kv_get(e, STR("d"), &v, NULL), ERR_NOT_FOUND);
    buf_done(&v);
    t_eq_u64(suite_verify(e), 0);
    engine_close(e);
}

static void test_failed_sync_latches(void)
{
    struct engine *e = open_faulty("fail-sync-after:2");
    enum err each = OK;
    t_ok(put_kv(e, "a", 10, &each, NULL));
    t_ok(put_kv(e, "b", 10, &each, NULL));
    t_err(put_kv(e, "c", 10, &each, NULL), ERR_IO);
    t_err(put_kv(e, "d", 10, &each, NULL), ERR_IO);
    /* The generation of a group that failed is not taken over. */
    struct engine_batch *b = engine_batch_new(e);
    engine_batch_guard(b, 9);
    t_err(engine_apply(e, &b, 1, false, &each, NULL), ERR_IO);
    engine_batch_free(b);
    t_eq_u64(engine_generation(e), 0);
    engine_close(e);
}

static void test_slow_disk_takes_its_time(void)
{
    struct engine *e = open_faulty("slow:30");
    enum err each = OK;
    usec before = clock_boot_us();
    t_ok(put_kv(e, "a", 10, &each, NULL));
    t_check(clock_boot_us() - before >= 30000);
    engine_close(e);
}

/* With `at` the fault is that of one store; the free space is what is left of the bytes. */
static void test_fault_is_where_it_is_said_to_be(void)
{
    struct engine_stats s;
    struct engine *e = open_faulty("full-after:20000,at:another-place");
    engine_stats_get(e, &s);
    t_check(s.disk_free == 0 || s.disk_free > 20000); /* the real one, where there is one */
    enum err each = OK;
    t_ok(put_kv(e, "a", 30000, &each, NULL));
    engine_close(e);
    e = open_faulty("full-after:20000");
    engine_stats_get(e, &s);
    t_eq_u64(s.disk_free, 20000);
    t_ok(put_kv(e, "a", 9000, &each, NULL));
    engine_stats_get(e, &s);
    t_check(s.disk_free > 10000 && s.disk_free <= 11000);
    t_err(put_kv(e, "b", 12000, &each, NULL), ERR_DISK_FULL);
    engine_stats_get(e, &s);
    t_eq_u64(s.disk_free, 0);
    engine_close(e);
}

static void test_bad_spec_is_refused(void)
{
    static const char *const bad[] = {"slow", "slow:x", "at:", "melt:3", "slow:1,,", "slow:-1"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        setenv("HOLDFAST_TEST_DISK", bad[i], 1);
        struct engine *e = NULL;
        struct engine_opts opts = {.driver = STR("mem")};
        enum err err = engine_open(&opts, &e, NULL);
        unsetenv("HOLDFAST_TEST_DISK");
        t_err(err, ERR_CONFIG);
    }
}

/* An oversized batch is left out with ERR_LIMIT; its neighbours are applied. */
static void test_oversized_batch_is_left_out(void)
{
    struct engine *e = suite_open();
    struct engine_batch *group[2] = {engine_batch_new(e), engine_batch_new(e)};
    char *entry = (char *)mem_zalloc(ENGINE_ENTRY_SIZE_MAX);
    for (lsn at = 1; at <= 40; at++) { /* 320 MiB, over the 256 MiB of one batch */
        engine_batch_log(group[0], 1, at, str_make(entry, ENGINE_ENTRY_SIZE_MAX));
    }
    engine_batch_kv(group[1], STR("a"), STR("v"));
    enum err each[2];
    t_ok(engine_apply(e, group, 2, true, each, NULL));
    t_err(each[0], ERR_LIMIT);
    t_err(each[1], OK);
    struct buf v;
    buf_init(&v, ENGINE_ENTRY_SIZE_MAX);
    t_err(engine_log_get(e, NULL, 1, 1, &v, NULL), ERR_NOT_FOUND);
    t_ok(engine_kv_get(e, STR("a"), &v, NULL));
    buf_done(&v);
    mem_free(entry);
    engine_batch_free(group[0]);
    engine_batch_free(group[1]);
    engine_close(e);
}

static const struct suite_case cases[] = {
    {"a full disk stops writing, not reading", test_disk_full_latches},
    {"a failed sync stops writing", test_failed_sync_latches},
    {"a slow disk takes its time", test_slow_disk_takes_its_time},
    {"a fault is at the store that was meant, and shows in the free space",
     test_fault_is_where_it_is_said_to_be},
    {"a fault specification that does not parse is refused", test_bad_spec_is_refused},
    {"an oversized batch is left out", test_oversized_batch_is_left_out},
};
SUITE_MAIN(cases)
