#include "cosmos/target.h"

#include "base/buf.h"
#include "base/codec.h"

static struct str strip(struct str s)
{
    while (s.n > 0 && s.p[0] == '/') {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    return s;
}

enum err target_parse(struct arena *a, struct str raw, struct target *ret, struct errinfo *ei)
{
    if (raw.n > TARGET_SIZE_MAX) {
        return err_set(ei, ERR_INVALID, "the path is longer than %d bytes", TARGET_SIZE_MAX);
    }
    *ret = (struct target){.raw = strip(raw)};
    struct buf text;
    struct buf joined;
    buf_init(&text, TARGET_SIZE_MAX);
    buf_init(&joined, TARGET_SIZE_MAX + TARGET_SEGMENTS_MAX);
    enum err err = OK;
    struct str rest = ret->raw;
    while (rest.n > 0 && err == OK) {
        struct str head = rest;
        struct str tail = STR("");
        (void)str_split(rest, '/', &head, &tail);
        rest = strip(tail); /* "//" is one slash */
        buf_clear(&text);
        if (ret->count == TARGET_SEGMENTS_MAX) {
            err = err_set(ei, ERR_NOT_FOUND, "no such resource path");
        } else if (!codec_percent_decode(&text, head) || !codec_utf8_valid(buf_str(&text))) {
            err = err_set(ei, ERR_INVALID, "bad percent-encoding in the path");
        } else {
            ret->seg[ret->count++] = arena_str(a, buf_str(&text));
            if (joined.n > 0) {
                buf_add_char(&joined, '/');
            }
            buf_add_str(&joined, buf_str(&text));
        }
    }
    ret->decoded = arena_str(a, buf_str(&joined));
    buf_done(&text);
    buf_done(&joined);
    return err;
}
