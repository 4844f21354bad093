/* What comes from outside cannot become markup, whatever it holds. */
#include "continuity/html.h"
#include "lib/t.h"

static void check_text(struct str in, size_t width, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    html_text_cut(&b, in, width);
    t_eq_str(buf_str(&b), str_of(want));
    buf_done(&b);
}

T_TEST("markup in text and attributes is shown, not obeyed")
{
    check_text(STR("<script>alert('x')</script>"), SIZE_MAX,
               "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;");
    check_text(STR("a\"b&amp;"), SIZE_MAX, "a&quot;b&amp;amp;");
    check_text(STR(""), SIZE_MAX, "");
}

T_TEST("control characters and bytes that are not UTF-8 are replaced")
{
    check_text(STR("a\0b\x1b[31m\x7f"), SIZE_MAX,
               "a\xef\xbf\xbd"
               "b\xef\xbf\xbd[31m\xef\xbf\xbd");
    check_text(STR("line\n\ttab"), SIZE_MAX, "line\n\ttab");
    check_text(STR("\xc3\xa9\xc3"), SIZE_MAX, "\xc3\xa9\xef\xbf\xbd");
    check_text(STR("\xff\xed\xa0\x80z"), SIZE_MAX,
               "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
}

T_TEST("text is cut by characters, at its limit and not before")
{
    check_text(STR("abcd"), 4, "abcd");
    check_text(STR("abcde"), 4, "abc\xe2\x80\xa6");
    check_text(STR("\xc3\xa9\xc3\xa9\xc3\xa9"), 2, "\xc3\xa9\xe2\x80\xa6");
    check_text(STR("\xc3\xa9\xc3\xa9"), 2, "\xc3\xa9\xc3\xa9");
    check_text(STR("&&&"), 2, "&amp;\xe2\x80\xa6");
}

T_TEST("a page is whole, escapes its title and allows nothing from elsewhere")
{
    struct buf b;
    buf_init(&b, 1 << 16);
    html_begin(&b, STR("</title><script>"));
    html_end(&b);
    t_check(buf_ok(&b));
    t_check(str_starts(buf_str(&b), STR("<!DOCTYPE html>\n<html lang=\"en\">")));
    t_check(str_ends(buf_str(&b), STR("</body>\n</html>\n")));
    t_check(str_find(buf_str(&b), STR("<title>&lt;/title&gt;&lt;script&gt;</title>")) > 0);
    t_check(str_find(buf_str(&b), STR("<script")) < 0);
    t_check(str_find(buf_str(&b), STR("default-src 'none'")) > 0);
    t_check(str_find(buf_str(&b), STR("http://")) < 0);
    t_check(str_find(buf_str(&b), STR("https://")) < 0);
    buf_done(&b);
}

T_MAIN()
