/* Lexer: one token at a time from the query text, which is valid UTF-8. Blanks, `-- ...` to the
 * end of the line and slash-star comments are skipped. Keywords are recognised in any case; whether
 * a keyword may serve as a name is the parser's business. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/contract.h"
#include "cosmos/query/query_int.h"

enum {
    NUMBER_SIZE_MAX = 400,   /* characters of a number literal */
    FAIL_MESSAGE_SIZE = 320, /* so that the JSON around it fits errinfo.message */
    NEAR_SIZE_MAX = 64,
};

static const struct keyword {
    const char *text;
    enum query_tok kind;
    bool is_reserved;
} keywords[] = {
#define X(name, text, reserved) {text, name, reserved},
    QUERY_KEYWORDS(X)
#undef X
};

static const struct {
    const char *text; /* longer ones first */
    enum query_tok kind;
} symbols[] = {
    {">>>", TOK_USHR},  {"??", TOK_COALESCE}, {"!=", TOK_NE},      {"<>", TOK_NE},
    {"<=", TOK_LE},     {">=", TOK_GE},       {"<<", TOK_SHL},     {">>", TOK_SHR},
    {"||", TOK_CONCAT}, {".", TOK_DOT},       {",", TOK_COMMA},    {":", TOK_COLON},
    {"(", TOK_LPAREN},  {")", TOK_RPAREN},    {"[", TOK_LBRACKET}, {"]", TOK_RBRACKET},
    {"{", TOK_LBRACE},  {"}", TOK_RBRACE},    {"?", TOK_QUESTION}, {"=", TOK_EQ},
    {"<", TOK_LT},      {">", TOK_GT},        {"+", TOK_PLUS},     {"-", TOK_MINUS},
    {"*", TOK_STAR},    {"/", TOK_SLASH},     {"%", TOK_PERCENT},  {"&", TOK_AMP},
    {"|", TOK_PIPE},    {"^", TOK_CARET},     {"~", TOK_TILDE},
};

static const char filter_text[] = "{documentdb-formattableorderbyquery-filter}";

bool query_tok_is_word(enum query_tok t)
{
    return t == TOK_NAME || t >= KW_ALL;
}

bool query_tok_is_name(enum query_tok t)
{
    if (t == TOK_NAME) {
        return true;
    }
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        if (keywords[i].kind == t) {
            return !keywords[i].is_reserved;
        }
    }
    return false;
}

/* ---- errors ---- */

/* Cuts at a character. */
static struct str cut_text(struct str s, size_t max)
{
    if (s.n <= max) {
        return s;
    }
    size_t n = max;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return str_slice(s, 0, n);
}

enum err query_fail(struct errinfo *ei, enum err code, struct str text, size_t start, size_t end,
                    const char *sc_code, const char *fmt, ...)
{
    char message[FAIL_MESSAGE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    ASSERT(n >= 0);
    size_t len = (size_t)n < sizeof(message) ? (size_t)n : sizeof(message) - 1;
    struct str plain = cut_text(str_make(message, len), sizeof(message) - 16);

    struct buf out;
    buf_init(&out, (size_t)ERRINFO_MESSAGE_SIZE * 4);
    buf_add_cstr(&out, "{\"errors\":[{\"severity\":\"Error\",");
    if (end > 0) {
        buf_printf(&out, "\"location\":{\"start\":%zu,\"end\":%zu},",
                   codec_utf16_len(str_slice(text, 0, start)),
                   codec_utf16_len(str_slice(text, 0, end)));
    }
    buf_printf(&out, "\"code\":\"%s\",\"message\":", sc_code);
    size_t before = out.n;
    for (size_t room = plain.n;; room /= 2) { /* escapes may double the text: cut until it fits */
        json_write_string(&out, cut_text(plain, room));
        if (out.n + 4 < ERRINFO_MESSAGE_SIZE || room == 0) {
            break;
        }
        out.n = before;
    }
    buf_add_cstr(&out, "}]}");
    enum err ret = err_set(ei, code, STR_FMT, STR_ARG(buf_str(&out)));
    buf_done(&out);
    return ret;
}

static enum err fail_near(const struct query_lexer *l, size_t start, size_t end)
{
    struct str near = cut_text(str_slice(l->text, start, end - start), NEAR_SIZE_MAX);
    return query_fail(l->ei, ERR_SYNTAX, l->text, start, end, "SC1001",
                      "Syntax error, incorrect syntax near '" STR_FMT "'.", STR_ARG(near));
}

/* ---- scanning ---- */

static int peek(const struct query_lexer *l, size_t ahead)
{
    return l->at + ahead < l->text.n ? (unsigned char)l->text.p[l->at + ahead] : -1;
}

static bool starts_with(const struct query_lexer *l, const char *s)
{
    struct str rest = str_slice(l->text, l->at, l->text.n);
    return str_starts(rest, str_of(s));
}

static enum err skip_blanks(struct query_lexer *l)
{
    for (;;) {
        int c = peek(l, 0);
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f' || c == '\v') {
            l->at++;
        } else if (starts_with(l, "\xc2\xa0")) { /* no-break space, pasted from web pages */
            l->at += 2;
        } else if (starts_with(l, "\xef\xbb\xbf")) { /* byte order mark */
            l->at += 3;
        } else if (starts_with(l, "--")) {
            while (peek(l, 0) != '\n' && peek(l, 0) != -1) {
                l->at++;
            }
        } else if (starts_with(l, "/*")) {
            struct str rest = str_slice(l->text, l->at + 2, l->text.n);
            ptrdiff_t close = str_find(rest, STR("*/"));
            if (close < 0) {
                return fail_near(l, l->at, l->text.n);
            }
            l->at += 4 + (size_t)close;
        } else {
            return OK;
        }
    }
}

static bool is_name_start(int c)
{
    return isalpha(c) || c == '_' || c >= 0x80;
}

static bool is_name_part(int c)
{
    return c >= 0 && (is_name_start(c) || isdigit(c));
}

static void lex_name(struct query_lexer *l, struct query_token *t)
{
    size_t start = l->at;
    while (is_name_part(peek(l, 0))) {
        l->at++;
    }
    struct str word = str_slice(l->text, start, l->at - start);
    t->kind = TOK_NAME;
    for (size_t i = 0; i < ARRAY_COUNT(keywords); i++) {
        if (str_eq_nocase(word, str_of(keywords[i].text))) {
            t->kind = keywords[i].kind;
            break;
        }
    }
}

static enum err lex_number(struct query_lexer *l, struct query_token *t)
{
    size_t start = l->at;
    bool is_hex = peek(l, 0) == '0' && (peek(l, 1) == 'x' || peek(l, 1) == 'X');
    if (is_hex) {
        l->at += 2;
        while (peek(l, 0) >= 0 && isxdigit(peek(l, 0))) {
            l->at++;
        }
    } else {
        while (peek(l, 0) >= 0 && isdigit(peek(l, 0))) {
            l->at++;
        }
        if (peek(l, 0) == '.') {
            l->at++;
            while (peek(l, 0) >= 0 && isdigit(peek(l, 0))) {
                l->at++;
            }
        }
        if (peek(l, 0) == 'e' || peek(l, 0) == 'E') {
            size_t digits = peek(l, 1) == '+' || peek(l, 1) == '-' ? 2 : 1;
            if (peek(l, digits) >= 0 && isdigit(peek(l, digits))) {
                l->at += digits;
                while (peek(l, 0) >= 0 && isdigit(peek(l, 0))) {
                    l->at++;
                }
            }
        }
    }
    size_t len = l->at - start;
    if (is_name_part(peek(l, 0)) || len > NUMBER_SIZE_MAX || (is_hex && len == 2)) {
        while (is_name_part(peek(l, 0))) {
            l->at++;
        }
        return fail_near(l, start, l->at);
    }
    char text[NUMBER_SIZE_MAX + 1];
    memcpy(text, l->text.p + start, len);
    text[len] = '\0';
    char *end = NULL;
    t->number = strtod(text, &end);
    if (end != text + len || !(t->number <= 1.7976931348623157e308)) {
        return fail_near(l, start, l->at);
    }
    t->kind = TOK_NUMBER;
    return OK;
}

static int hex_value(int c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Four hex digits at `at`, or -1. */
static int hex_unit(const struct query_lexer *l, size_t ahead)
{
    int unit = 0;
    for (size_t i = 0; i < 4; i++) {
        int v = hex_value(peek(l, ahead + i));
        if (v < 0) {
            return -1;
        }
        unit = unit * 16 + v;
    }
    return unit;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* One escape after the backslash into out (at most 4 bytes); 0 = bad. */
static size_t lex_escape(struct query_lexer *l, char *out)
{
    static const char from[] = "\"'\\/bfnrt";
    static const char to[] = "\"'\\/\b\f\n\r\t";
    int c = peek(l, 0);
    if (c == 'u') {
        int unit = hex_unit(l, 1);
        if (unit < 0) {
            return 0;
        }
        l->at += 5;
        uint32_t point = (uint32_t)unit;
        if (point >= 0xd800 && point < 0xdc00 && peek(l, 0) == '\\' && peek(l, 1) == 'u') {
            int low = hex_unit(l, 2);
            if (low >= 0xdc00 && low < 0xe000) {
                l->at += 6;
                point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            }
        }
        return put_utf8(out, point); /* a lone surrogate is kept as three bytes */
    }
    const char *at = c > 0 ? strchr(from, c) : NULL;
    if (at == NULL) {
        return 0;
    }
    l->at++;
    out[0] = to[at - from];
    return 1;
}

static enum err lex_string(struct query_lexer *l, struct query_token *t)
{
    size_t start = l->at;
    int quote = peek(l, 0);
    l->at++;
    size_t end = l->at; /* of the raw text; also how long the decoded text can be */
    bool has_escape = false;
    while (end < l->text.n && (unsigned char)l->text.p[end] != quote) {
        if (l->text.p[end] == '\\') {
            has_escape = true;
            end++;
        }
        end++;
    }
    if (end >= l->text.n) {
        return fail_near(l, start, l->text.n);
    }
    t->kind = TOK_STRING;
    if (!has_escape) {
        t->value = str_slice(l->text, l->at, end - l->at);
        l->at = end + 1;
        return OK;
    }
    char *out = (char *)arena_alloc(l->arena, end - l->at);
    size_t n = 0;
    while (l->at < end) {
        int c = peek(l, 0);
        l->at++;
        if (c != '\\') {
            out[n++] = (char)c;
            continue;
        }
        size_t escape = l->at - 1;
        size_t len = lex_escape(l, out + n);
        if (len == 0) {
            return fail_near(l, escape, escape + 2 < l->text.n ? escape + 2 : l->text.n);
        }
        n += len;
    }
    t->value = str_make(out, n);
    l->at = end + 1;
    return OK;
}

enum err query_lex(struct query_lexer *l, struct query_token *ret)
{
    TRY(skip_blanks(l));
    struct query_token t = {.kind = TOK_END, .start = (uint32_t)l->at};
    int c = peek(l, 0);
    if (c == -1) {
        t.end = t.start;
        t.text = str_slice(l->text, l->at, 0);
        *ret = t;
        return OK;
    }
    if (is_name_start(c)) {
        lex_name(l, &t);
    } else if (isdigit(c) || (c == '.' && peek(l, 1) >= 0 && isdigit(peek(l, 1)))) {
        TRY(lex_number(l, &t));
    } else if (c == '"' || c == '\'') {
        TRY(lex_string(l, &t));
    } else if (c == '@' && is_name_part(peek(l, 1))) {
        l->at++;
        while (is_name_part(peek(l, 0))) {
            l->at++;
        }
        t.kind = TOK_PARAM;
    } else if (c == '{' && starts_with(l, filter_text)) {
        l->at += sizeof(filter_text) - 1;
        t.kind = TOK_FILTER;
    } else {
        for (size_t i = 0; i < ARRAY_COUNT(symbols); i++) {
            if (starts_with(l, symbols[i].text)) {
                l->at += strlen(symbols[i].text);
                t.kind = symbols[i].kind;
                break;
            }
        }
        if (t.kind == TOK_END) {
            return fail_near(l, l->at, l->at + 1);
        }
    }
    t.end = (uint32_t)l->at;
    t.text = str_slice(l->text, t.start, l->at - t.start);
    *ret = t;
    return OK;
}
