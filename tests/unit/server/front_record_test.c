/* The record as the front keeps it: the newest good one, whatever else arrives. */
#include "server/front_admin.h"

#include <string.h>

#include "account/region.h"
#include "base/mem_probe.h"
#include "lib/t.h"

static struct front_record kept;

static struct str encoded(struct buf *b, generation g)
{
    struct account_record rec;
    account_init(&rec, "shop", CONSISTENCY_SESSION);
    t_ok(account_add_region(&rec, "east", "http://127.0.0.1:1/", "127.0.0.1:2", 5, NULL));
    t_ok(account_add_region(&rec, "west", "http://127.0.0.1:3/", "127.0.0.1:4", 5, NULL));
    memcpy(rec.key[0], "a2V5", 5);
    rec.generation = g;
    record_encode(&rec, b);
    t_check(buf_ok(b));
    return buf_str(b);
}

static enum err set(struct str value, coord_rev rev, struct errinfo *ei)
{
    struct coord_kv kv = {.key = STR("record"), .value = value, .rev = rev};
    return front_record_set(&kept, &kv, ei);
}

T_TEST(
    "a record that arrives is known with its revision, and does not lean on what it was read from")
{
    mem_probe_start();
    front_record_init(&kept);
    t_check(!kept.is_known);
    struct buf b;
    buf_init(&b, 1 << 20);
    struct errinfo ei = {0};
    t_ok_info(set(encoded(&b, 7), 12, &ei), &ei);
    memset(b.p, 'x', b.n);
    buf_clear(&b);
    t_check(kept.is_known && kept.rev == 12);
    t_eq_u64(kept.record.generation, 7);
    t_eq_cstr(kept.record.regions[1].name, "west");
    t_ok(set(encoded(&b, 8), 13, NULL));
    t_check(kept.rev == 13 && kept.record.generation == 8);
    front_record_done(&kept);
    buf_done(&b);
    mem_probe_stop();
    t_eq_i64(mem_live_count(), 0);
}

T_TEST("a record that cannot be read is refused and the last good one stays")
{
    front_record_init(&kept);
    struct buf b;
    buf_init(&b, 1 << 20);
    struct errinfo none = {0};
    t_check(set(STR("{}"), 1, &none) != OK);
    t_check(none.message[0] != '\0' && !kept.is_known);
    t_ok(set(encoded(&b, 7), 12, NULL));
    static const char *const bad[] = {"", "{", "null", "{\"format\":99}", "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct errinfo ei = {0};
        t_check(set(str_of(bad[i]), 13 + i, &ei) != OK);
        t_check(ei.message[0] != '\0');
        t_check(kept.is_known && kept.rev == 12 && kept.record.generation == 7);
        t_check(kept.is_behind);
    }
    buf_clear(&b);
    t_ok(set(encoded(&b, 9), 30, NULL));
    t_check(!kept.is_behind);
    front_record_done(&kept);
    buf_done(&b);
}

T_TEST("keys are gone when the record is")
{
    front_record_init(&kept);
    struct buf b;
    buf_init(&b, 1 << 20);
    t_ok(set(encoded(&b, 7), 12, NULL));
    t_eq_cstr(kept.record.key[0], "a2V5");
    front_record_done(&kept);
    t_eq_u64((unsigned char)kept.record.key[0][0], 0);
    buf_done(&b);
}

T_MAIN()
