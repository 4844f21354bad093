/* The coordinator's JSON: what one side writes the other reads, and nothing misspelt is guessed at. */
#include "coord/wire.h"

#include "base/mem.h"
#include "lib/t.h"

static struct arena a;
static struct buf b;

static void setup(void)
{
    arena_init(&a);
    buf_init(&b, COORD_STATE_SIZE_MAX);
}

static void teardown(void)
{
    arena_done(&a);
    buf_done(&b);
}

T_TEST("a transaction reads back, whatever its values hold")
{
    setup();
    struct coord_txn t = {.compare_count = 2,
                          .compares = {{STR("a/b"), 0}, {STR("k\xc3\xa9y"), UINT64_C(1) << 60}},
                          .put_count = 5,
                          .puts = {{.key = STR("a"), .value = STR("{\"x\":1}")},
                                   {.key = STR("b"), .value = STR("\0\1\2 nul")},
                                   {.key = STR("c"), .value = STR("\xff\xfe")},
                                   {.key = STR("d"), .is_delete = true},
                                   {.key = STR("e"), .value = STR(""), .is_volatile = true}}};
    coord_wire_txn_encode(&t, &b);
    struct coord_txn got;
    struct errinfo ei = {0};
    t_ok_info(coord_wire_txn_decode(&a, buf_str(&b), &got, &ei), &ei);
    t_eq_u64(got.compare_count, 2);
    t_eq_u64(got.put_count, 5);
    for (size_t i = 0; i < 2; i++) {
        t_eq_str(got.compares[i].key, t.compares[i].key);
        t_eq_u64(got.compares[i].rev, t.compares[i].rev);
    }
    for (size_t i = 0; i < 5; i++) {
        t_eq_str(got.puts[i].key, t.puts[i].key);
        t_eq_str(got.puts[i].value, t.puts[i].value);
        t_eq_bool(got.puts[i].is_delete, t.puts[i].is_delete);
        t_eq_bool(got.puts[i].is_volatile, t.puts[i].is_volatile);
    }
    teardown();
}

T_TEST("requests that are not exactly right are refused")
{
    static const char *const bad[] = {
        "",
        "[]",
        "{\"put\":{}}",
        "{\"putt\":[]}",
        "{\"put\":[{\"key\":\"a\"}]}",
        "{\"put\":[{\"key\":\"\",\"value\":\"x\"}]}",
        "{\"put\":[{\"value\":\"x\"}]}",
        "{\"put\":[{\"key\":\"a\",\"value\":1}]}",
        "{\"put\":[{\"key\":\"a\",\"value64\":\"*\"}]}",
        "{\"put\":[{\"key\":\"a\",\"value\":\"x\",\"delete\":true}]}",
        "{\"put\":[{\"key\":\"a\",\"value\":\"x\",\"deleet\":true}]}",
        "{\"put\":[1]}",
        "{\"compare\":[{\"key\":\"a\"}]}",
        "{\"compare\":[{\"key\":\"a\",\"rev\":-1}]}",
        "{\"compare\":[{\"key\":\"a\",\"rev\":\"1\"}]}",
        "{\"compare\":[{\"key\":\"a\",\"rev\":1.5}]}",
    };
    setup();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct coord_txn got;
        t_checkf(coord_wire_txn_decode(&a, str_of(bad[i]), &got, NULL) != OK, "%s", bad[i]);
    }
    struct coord_txn got;
    t_ok(coord_wire_txn_decode(&a, STR("{}"), &got, NULL));
    t_eq_u64(got.put_count + got.compare_count, 0);
    buf_add_cstr(&b, "{\"put\":[");
    for (int i = 0; i <= COORD_TXN_OPS_MAX; i++) {
        buf_printf(&b, "%s{\"key\":\"k%d\",\"value\":\"\"}", i == 0 ? "" : ",", i);
    }
    buf_add_cstr(&b, "]}");
    t_err(coord_wire_txn_decode(&a, buf_str(&b), &got, NULL), ERR_LIMIT);
    teardown();
}

T_TEST("results, states and errors read back")
{
    setup();
    struct coord_kv kvs[] = {{.key = STR("a"), .value = STR("v"), .rev = 7},
                             {.key = STR("b"), .rev = 9, .is_deleted = true}};
    struct coord_txn_result r = {.succeeded = false, .rev = 12, .kv_count = 1, .kvs = kvs};
    coord_wire_result_encode(&r, &b);
    struct coord_txn_result got;
    t_ok(coord_wire_result_decode(&a, buf_str(&b), &got, NULL));
    t_eq_bool(got.succeeded, false);
    t_eq_u64(got.rev, 12);
    t_eq_u64(got.kv_count, 1);
    t_eq_lit(got.kvs[0].value, "v");
    buf_clear(&b);
    struct coord_state s = {.rev = 13, .is_reset = true, .kv_count = 2, .kvs = kvs};
    coord_wire_state_encode(&s, &b);
    struct coord_state state;
    t_ok(coord_wire_state_decode(&a, buf_str(&b), &state, NULL));
    t_check(state.is_reset && state.rev == 13 && state.kv_count == 2);
    t_check(state.kvs[1].is_deleted && state.kvs[1].rev == 9);
    t_check(coord_wire_state_decode(&a, STR("{\"rev\":1}"), &state, NULL) != OK);
    buf_clear(&b);
    coord_wire_error_encode(ERR_DISK_FULL, "no \"room\"", &b);
    t_err(coord_wire_error_decode(503, buf_str(&b)), ERR_DISK_FULL);
    t_err(coord_wire_error_decode(503, STR("<html>")), ERR_UNKNOWN_OUTCOME);
    t_err(coord_wire_error_decode(200, STR("{\"code\":\"ERR_INTERNAL\"}")), ERR_UNKNOWN_OUTCOME);
    teardown();
}

T_TEST("a store full of control characters does not blow up in JSON")
{
    setup();
    enum { SIZE = 1 << 20 };
    char *value = (char *)mem_alloc(SIZE);
    memset(value, 1, SIZE);
    struct coord_kv kv = {.key = STR("a"), .value = {value, SIZE}, .rev = 1};
    struct coord_state s = {.rev = 1, .kv_count = 1, .kvs = &kv};
    coord_wire_state_encode(&s, &b);
    t_check(b.n < SIZE * 3 / 2);
    struct coord_state got;
    t_ok(coord_wire_state_decode(&a, buf_str(&b), &got, NULL));
    t_eq_str(got.kvs[0].value, kv.value);
    mem_free(value);
    teardown();
}

T_TEST("query parameters are decoded and bounded")
{
    setup();
    struct coord_watch_query q;
    t_ok(
        coord_wire_query_decode(&a, STR("prefix=a%2Fb%20c&after=5&wait_ms=70000&x=y&z"), &q, NULL));
    t_eq_lit(q.prefix, "a/b c");
    t_eq_u64(q.after, 5);
    t_eq_u64(q.wait_ms, COORD_WATCH_MS_MAX);
    t_ok(coord_wire_query_decode(&a, STR(""), &q, NULL));
    t_eq_u64(q.prefix.n, 0);
    t_err(coord_wire_query_decode(&a, STR("after=-1"), &q, NULL), ERR_INVALID);
    t_err(coord_wire_query_decode(&a, STR("prefix=%2"), &q, NULL), ERR_INVALID);
    teardown();
}

T_MAIN()
