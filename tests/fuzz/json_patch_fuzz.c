/* The input is a document and a patch, as two elements of one array: [document, patch]. A patch that
 * applies gives a document that is valid text, and leaves the old one as it was. */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/contract.h"
#include "json/patch.h"

enum { TEXT_SIZE_MAX = 1 << 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_result(struct arena *a, const struct json *v)
{
    struct buf out;
    const struct json *again = NULL;
    const struct json_limits limits = {.text_size_max = TEXT_SIZE_MAX};
    buf_init(&out, TEXT_SIZE_MAX);
    json_write(&out, v);
    ASSERT(buf_ok(&out));
    enum err e = json_parse(a, buf_str(&out), &limits, &again, NULL);
    ASSERT(e == OK);
    ASSERT(json_eq(v, again));
    buf_done(&out);
}

static void check_patch(struct arena *a, const struct json *doc, const struct json *body)
{
    struct json_patch patch;
    const struct json *v = NULL;
    struct errinfo ei = {0};
    size_t touching = 0;
    if (json_patch_parse(a, body, &patch, &ei) != OK) {
        ASSERT(ei.code == ERR_INVALID);
        return;
    }
    ASSERT(patch.count >= 1 && patch.count <= JSON_PATCH_OPS_MAX);
    ASSERT(
        json_patch_touches(&patch, patch.ops[0].path.tokens, patch.ops[0].path.count, &touching) &&
        touching == 0);
    enum err e = json_patch_apply(a, doc, &patch, &v, &ei);
    ASSERT(e == OK || e == ERR_INVALID || e == ERR_LIMIT);
    ASSERT((e == OK) == (v != NULL));
    if (e == OK) {
        check_result(a, v);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    const struct json *both = NULL;
    arena_init(&a);
    if (json_parse(&a, str_make(data, size), NULL, &both, NULL) == OK && both->type == JSON_ARRAY &&
        both->count == 2) {
        check_patch(&a, both->items[0], both->items[1]);
    }
    arena_done(&a);
    return 0;
}
