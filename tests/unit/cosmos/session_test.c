#include "cosmos/session.h"

#include "base/contract.h"
#include "lib/t.h"

static struct session_need parse(const char *header, size_t range)
{
    struct session_need n;
    struct errinfo ei = {0};
    t_ok_info(session_parse(str_of(header), range, &n, &ei), &ei);
    return n;
}

T_TEST("tokens of both forms are read")
{
    struct session_need n = parse("0:3#17", 0);
    t_check(n.is_given);
    t_check(n.has_version);
    t_eq_u64(n.version, 3);
    t_eq_u64(n.lsn, 17);
    n = parse("0:-1#42", 0);
    t_check(n.is_given);
    t_check(!n.has_version);
    t_eq_u64(n.lsn, 42);
}

T_TEST("region entries are accepted")
{
    struct session_need n = parse("0:2#100#1=90#2=100", 0);
    t_eq_u64(n.version, 2);
    t_eq_u64(n.lsn, 100);
}

T_TEST("the entry of the asked range counts, others do not")
{
    struct session_need n = parse("0:1#10,1:1#20, 2:1#30", 1);
    t_eq_u64(n.lsn, 20);
    t_eq_u64(parse("0:1#10,1:1#20, 2:1#30", 2).lsn, 30);
    t_check(!parse("0:1#10", 7).is_given);
}

T_TEST("an empty header is no token")
{
    t_check(!parse("", 0).is_given);
    t_check(!parse("  ", 0).is_given);
}

T_TEST("malformed tokens are refused")
{
    static const char *const bad[] = {
        "x",         "0",       "0:",       "0:1#",
        "0:1#x",     "0:#1",    "0:-2#1",   "a:1#1",
        "0:1#1#",    "0:1#1#2", "0:1#1#2=", "0:1#1#=3",
        "0:1#1#a=1", ":1#1",    "0:1#-5",   "0:1#99999999999999999999"};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        struct session_need n;
        struct errinfo ei = {0};
        t_checkf(session_parse(str_of(bad[i]), 0, &n, &ei) == ERR_INVALID, "%s", bad[i]);
        t_check(ei.message[0] != '\0');
    }
}

/* One client throws when tokens of one version name different regions: ours name none. */
T_TEST("what is written is read back and names no regions")
{
    struct buf out;
    buf_init(&out, 128);
    session_write(3, /* is_single_region= */ false, 5, 1000001, &out);
    t_eq_lit(buf_str(&out), "3:5#1000001");
    t_eq_u64(parse("3:5#1000001", 3).lsn, 1000001);
    buf_clear(&out);
    session_write(0, /* is_single_region= */ true, 5, 7, &out);
    t_eq_lit(buf_str(&out), "0:-1#7");
    buf_done(&out);
}

T_MAIN()
