/* Escaping and the style sheet of reports. Colours only repeat what a word or a shape says. */
#include "continuity/html.h"

#include <stdint.h>

#include "base/codec.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* Bytes of the character at the start of s; 0 when they are not UTF-8. */
static size_t char_size(struct str s)
{
    unsigned char c = (unsigned char)s.p[0];
    size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    return n <= s.n && codec_utf8_valid(str_slice(s, 0, n)) ? n : 0;
}

static void put_char(struct buf *out, struct str c)
{
    switch (c.p[0]) {
    case '&':
        buf_add_cstr(out, "&amp;");
        return;
    case '<':
        buf_add_cstr(out, "&lt;");
        return;
    case '>':
        buf_add_cstr(out, "&gt;");
        return;
    case '"':
        buf_add_cstr(out, "&quot;");
        return;
    case '\'':
        buf_add_cstr(out, "&#39;");
        return;
    default:
        break;
    }
    bool is_control = c.n == 1 && ((unsigned char)c.p[0] < ' ' || c.p[0] == 0x7f);
    if (is_control && c.p[0] != '\n' && c.p[0] != '\t') {
        buf_add_cstr(out, replacement);
    } else {
        buf_add_str(out, c);
    }
}

void html_text_cut(struct buf *out, struct str s, size_t width)
{
    size_t shown = 0;
    while (s.n > 0) {
        size_t n = char_size(s);
        size_t step = n > 0 ? n : 1;
        if (shown + 1 == width && s.n > step) {
            buf_add_cstr(out, "\xe2\x80\xa6"); /* an ellipsis */
            return;
        }
        if (n > 0) {
            put_char(out, str_slice(s, 0, n));
        } else {
            buf_add_cstr(out, replacement);
        }
        s = str_slice(s, step, s.n);
        shown++;
    }
}

void html_text(struct buf *out, struct str s)
{
    html_text_cut(out, s, SIZE_MAX);
}

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#59636e;--line:#d1d9e0;"
    "--soft:#f4f6f8;--bad:#b3261e;--badbg:#fbe9e7;--warn:#8a5300;--warnbg:#fdf3d8;--ok:#1a6b34;"
    "--okbg:#e3f4e6;--info:#0b57a4;--infobg:#e4f0fb}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#e6eaef;--dim:#9aa6b2;"
    "--line:#39424c;--soft:#1d2228;--bad:#ff9d94;--badbg:#43201d;--warn:#f2c063;--warnbg:#3a2d10;"
    "--ok:#86d39b;--okbg:#173522;--info:#8fc3ff;--infobg:#132c47}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:80rem;padding:1.5rem 1.25rem 4rem;background:var(--bg);"
    "color:var(--fg);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto "
    "Sans',sans-serif}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 .25rem}"
    "h2{font-size:1.2rem;margin:2.4rem 0 .5rem;padding-top:.8rem;border-top:1px solid var(--line)}"
    "h3{font-size:1rem;margin:1.3rem 0 .3rem}"
    "p{margin:.35rem 0;max-width:60rem}.dim{color:var(--dim)}"
    "code,.mono{font:13px/1.4 ui-monospace,'DejaVu Sans Mono',Consolas,monospace;"
    "overflow-wrap:anywhere}"
    ".scroll{overflow-x:auto}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:14px}"
    "th,td{text-align:left;vertical-align:top;padding:.4rem .6rem;"
    "border-bottom:1px solid var(--line)}"
    "th{font-weight:600;background:var(--soft)}"
    "td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    "td p{margin:.15rem 0}"
    ".tag{display:inline-block;padding:.05rem .5rem;border:1px solid currentColor;"
    "border-radius:.7rem;font-size:.85em;font-weight:600;white-space:nowrap}"
    ".bad{color:var(--bad);background:var(--badbg)}.warn{color:var(--warn);background:var(--warnbg)"
    "}"
    ".ok{color:var(--ok);background:var(--okbg)}.info{color:var(--info);background:var(--infobg)}"
    ".mild{color:var(--dim);background:var(--soft)}"
    ".cards{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}"
    ".card{border:1px solid var(--line);border-radius:.5rem;padding:.5rem .9rem;min-width:8rem}"
    ".card b{display:block;font-size:1.45rem;line-height:1.25;font-variant-numeric:tabular-nums}"
    "svg{display:block;max-width:none}svg text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,"
    "'Noto Sans',sans-serif;fill:var(--fg)}"
    "details{margin:.4rem 0}summary{cursor:pointer}"
    "a{color:var(--info)}:focus-visible{outline:3px solid var(--info);outline-offset:2px}"
    "@media(prefers-contrast:more){:root{--dim:var(--fg);--line:currentColor}}"
    "@media(max-width:40rem){body{padding:1rem .75rem 3rem}.card{flex:1 1 7rem}}"
    "@media print{body{max-width:none;padding:0;font-size:11px}.scroll{overflow:visible}"
    "tr,.card,svg{break-inside:avoid}h2{break-after:avoid}}";

void html_begin(struct buf *out, struct str title)
{
    buf_add_cstr(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<meta name=\"referrer\" content=\"no-referrer\">\n"
                      "<meta http-equiv=\"Content-Security-Policy\" "
                      "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>");
    html_text(out, title);
    buf_add_cstr(out, "</title>\n<style>");
    buf_add_cstr(out, style);
    buf_add_cstr(out, "</style>\n</head>\n<body>\n");
}

void html_end(struct buf *out)
{
    buf_add_cstr(out, "</body>\n</html>\n");
}
