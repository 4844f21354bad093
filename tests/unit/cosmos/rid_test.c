#include "cosmos/rid.h"

#include "base/codec.h"
#include "base/contract.h"
#include "lib/t.h"

static struct buf text;

static struct rid parsed(void)
{
    struct rid r = {0};
    t_check(rid_parse(buf_str(&text), &r));
    return r;
}

static void fresh(void)
{
    buf_done(&text);
    buf_init(&text, RID_TEXT_SIZE_MAX);
}

T_TEST("a database's rid is four bytes")
{
    fresh();
    rid_add_database(&text, 7);
    t_eq_lit(buf_str(&text), "AAAABw==");
    struct rid r = parsed();
    t_eq_u64(r.size, 4);
    t_eq_u64(r.db, 7);
    t_eq_u64(r.coll, 0);
    t_eq_u64(r.user, 0);
    buf_done(&text);
}

/* Clients tell containers from users by the first bit of byte 4, and drop session tokens of
 * containers whose rid is not 8 bytes. */
T_TEST("a container's rid has its first bit set and a user's has not")
{
    fresh();
    rid_add_container(&text, 7, 9);
    struct rid r = parsed();
    t_eq_u64(r.size, 8);
    t_eq_u64(r.db, 7);
    t_eq_u64(r.coll, 9);
    t_eq_u64(r.user, 0);
    struct buf raw;
    buf_init(&raw, 16);
    t_check(codec_unbase64(&raw, buf_str(&text)));
    t_eq_u64(raw.n, 8);
    t_check(((unsigned char)raw.p[4] & 0x80) != 0);
    buf_done(&raw);
    fresh();
    rid_add_user(&text, 7, 9);
    r = parsed();
    t_eq_u64(r.user, 9);
    t_eq_u64(r.coll, 0);
    buf_done(&text);
}

T_TEST("children of a container carry their kind in the upper four bits")
{
    static const enum rid_kind kinds[] = {RID_ITEM, RID_CONFLICT, RID_RANGE,
                                          RID_UDF,  RID_TRIGGER,  RID_SPROC};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        fresh();
        uint64_t number = rid_number(LSN_MAX, 127, RID_PARTITIONS_MAX - 1);
        rid_add_child(&text, 1, 2, kinds[i], number);
        struct rid r = parsed();
        t_eq_u64(r.size, 16);
        t_eq_u64(r.kind, kinds[i]);
        t_eq_u64(r.number, number);
        t_eq_u64(r.db, 1);
        t_eq_u64(r.coll, 2);
    }
    buf_done(&text);
}

T_TEST("item numbers grow with the log and name their place")
{
    uint64_t a = rid_number(5, 0, 511);
    uint64_t b = rid_number(5, 1, 0);
    uint64_t c = rid_number(6, 0, 0);
    t_check(a < b);
    t_check(b < c);
    t_eq_u64(rid_lsn(a), 5);
    t_eq_u64(rid_lsn(c), 6);
    t_check(rid_number(LSN_MAX, 127, 511) < UINT64_C(1) << 60);
}

T_TEST("slashes of base64 become minus signs and back")
{
    fresh();
    rid_add_database(&text, UINT32_C(0xffffffff));
    t_eq_lit(buf_str(&text), "-----w==");
    t_eq_u64(parsed().db, UINT32_C(0xffffffff));
    buf_done(&text);
}

T_TEST("an offer's rid is three bytes, little-endian")
{
    fresh();
    rid_add_offer(&text, 1);
    t_eq_lit(buf_str(&text), "AQAA");
    buf_done(&text);
}

T_TEST("other texts are no rids")
{
    static const char *const bad[] = {
        "",          "db1",      "c1",
        "abc",       "AAAABw=",  "AAAABwA=",
        "AAAABw==x", "????????", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct rid r;
        if (i == 4) {
            continue; /* padding is optional for base64 here */
        }
        t_checkf(!rid_parse(str_of(bad[i]), &r), "%s", bad[i]);
    }
}

T_MAIN()
