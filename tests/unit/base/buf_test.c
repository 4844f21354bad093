/* Buffers: growth, the cap, integers there and back, the reader's sticky failure. */
#include "base/buf.h"

#include "base/mem.h"
#include "base/mem_probe.h"
#include "lib/t.h"

T_TEST("a buffer takes exactly its cap and then says overflow for good")
{
    struct buf b;
    buf_init(&b, 10);
    buf_add_cstr(&b, "0123456789");
    t_check(buf_ok(&b));
    buf_add_char(&b, 'x');
    t_check(!buf_ok(&b));
    t_eq_lit(buf_str(&b), "0123456789");
    buf_clear(&b);
    t_check(buf_ok(&b));
    buf_add_cstr(&b, "0123456789a");
    t_check(!buf_ok(&b));
    t_eq_u64(b.n, 0);
    buf_add_char(&b, 'x'); /* would fit, but a hole in the text is worse than no text */
    t_eq_u64(b.n, 0);
    buf_done(&b);
}

T_TEST("what held a secret is empty afterwards and may be used again, all its memory given back")
{
    struct buf b;
    mem_probe_start();
    buf_init(&b, 100);
    buf_done_secret(&b); /* nothing was in it */
    for (int i = 0; i < 2; i++) {
        buf_add_cstr(&b, "hush");
        buf_clear(&b); /* what is zeroed is more than what is in it now */
        buf_add_char(&b, 'h');
        buf_done_secret(&b);
        t_check(b.p == NULL && b.n == 0 && b.cap == 0);
    }
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_TEST("printf grows the buffer and obeys the cap")
{
    struct buf b;
    buf_init(&b, 100);
    buf_printf(&b, "%s-%d", "abc", 5);
    t_eq_lit(buf_str(&b), "abc-5");
    buf_printf(&b, "%080d", 1);
    t_eq_u64(b.n, 85);
    buf_printf(&b, "%015d", 1);
    t_check(buf_ok(&b));
    t_eq_u64(b.n, 100);
    buf_printf(&b, "%d", 1);
    t_check(!buf_ok(&b));
    t_eq_u64(b.n, 100);
    buf_done(&b);
}

T_TEST("the memory can be taken, also of an empty buffer")
{
    struct buf b;
    size_t n = 9;
    buf_init(&b, 10);
    char *p = buf_take(&b, &n);
    t_eq_cstr(p, "");
    t_eq_u64(n, 0);
    mem_free(p);
    buf_add_cstr(&b, "0123456789");
    p = buf_take(&b, &n);
    t_eq_cstr(p, "0123456789");
    t_eq_u64(n, 10);
    t_eq_u64(b.n, 0);
    mem_free(p);
    buf_done(&b);
}

T_TEST("numbers print as text at both ends of the range")
{
    struct buf b;
    buf_init(&b, 100);
    buf_add_u64_text(&b, 0);
    buf_add_char(&b, ' ');
    buf_add_u64_text(&b, UINT64_MAX);
    t_eq_lit(buf_str(&b), "0 18446744073709551615");
    buf_done(&b);
}

T_TEST("only A to Z become lower case")
{
    struct buf b;
    buf_init(&b, 12);
    buf_add_lower(&b, STR("@AZ[`az{\xc3\x84"));
    t_eq_lit(buf_str(&b), "@az[`az{\xc3\x84");
    buf_add_lower(&b, STR_NONE);
    buf_add_lower(&b, STR("123"));
    t_check(!buf_ok(&b));
    buf_done(&b);
}

T_TEST("hexadecimal text has at least the digits asked for, and all that are needed")
{
    struct buf b;
    buf_init(&b, 100);
    buf_add_hex_text(&b, 0, 0);
    buf_add_hex_text(&b, 0, 1);
    buf_add_char(&b, ' ');
    buf_add_hex_text(&b, 0xbeef, 8);
    buf_add_char(&b, ' ');
    buf_add_hex_text(&b, 0xabcde, 4);
    buf_add_char(&b, ' ');
    buf_add_hex_text(&b, UINT64_MAX, 16);
    t_eq_lit(buf_str(&b), "0 0000beef abcde ffffffffffffffff");
    buf_done(&b);
}

T_TEST("integers and strings are read back as written, in the documented byte order")
{
    struct buf b;
    buf_init(&b, 100);
    buf_add_u8(&b, 0xfe);
    buf_add_u16(&b, 0x0102);
    buf_add_u32(&b, 0x01020304);
    buf_add_u64(&b, UINT64_C(0x0102030405060708));
    buf_add_u32_be(&b, 0x01020304);
    buf_add_u64_be(&b, UINT64_C(0xf102030405060708));
    buf_add_lstr(&b, STR("a\0b"));
    t_eq_lit(buf_str(&b), "\xfe\x02\x01\x04\x03\x02\x01\x08\x07\x06\x05\x04\x03\x02\x01"
                          "\x01\x02\x03\x04\xf1\x02\x03\x04\x05\x06\x07\x08\x03\0\0\0a\0b");
    struct rd r = rd_of(buf_str(&b));
    t_eq_u64(rd_u8(&r), 0xfe);
    t_eq_u64(rd_u16(&r), 0x0102);
    t_eq_u64(rd_u32(&r), 0x01020304);
    t_eq_u64(rd_u64(&r), UINT64_C(0x0102030405060708));
    t_eq_u64(rd_u32_be(&r), 0x01020304);
    t_eq_u64(rd_u64_be(&r), UINT64_C(0xf102030405060708));
    t_eq_lit(rd_lstr(&r, 3), "a\0b");
    t_check(!r.bad);
    t_eq_u64(r.n, 0);
    buf_done(&b);
}

T_TEST("a read past the end is bad, gives zero, and stays bad")
{
    struct rd r = rd_of(STR("\x01\x02\x03"));
    t_eq_u64(rd_u32(&r), 0);
    t_check(r.bad);
    t_eq_u64(rd_u8(&r), 0);
    t_eq_u64(rd_bytes(&r, 1).n, 0);
    struct rd none = rd_of(STR_NONE);
    t_eq_u64(rd_bytes(&none, 0).n, 0);
    t_check(!none.bad);
}

T_TEST("a length over the caller's limit or over the data is bad")
{
    struct rd r = rd_of(STR("\x04\0\0\0abcd"));
    t_eq_u64(rd_lstr(&r, 3).n, 0);
    t_check(r.bad);
    r = rd_of(STR("\x05\0\0\0abcd"));
    t_eq_u64(rd_lstr(&r, 100).n, 0);
    t_check(r.bad);
    r = rd_of(STR("\xff\xff\xff\xff"
                  "abcd"));
    t_eq_u64(rd_lstr(&r, SIZE_MAX).n, 0);
    t_check(r.bad);
}

T_TEST("a string that does not fit leaves neither its length nor a part of itself")
{
    struct buf b;
    buf_init(&b, 6);
    buf_add_lstr(&b, STR("abc"));
    t_check(!buf_ok(&b));
    t_eq_u64(b.n, 0);
    buf_done(&b);
}

T_MAIN()
