/* The input is read as each kind of path. What parses is written in a canonical form that parses to
 * the same path; a plain path is also a policy path without wildcards. */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/contract.h"
#include "json/path.h"

enum { WRITTEN_SIZE_MAX = 16 * JSON_PATH_SIZE_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct arena *a, struct str text)
{
    struct json_path path = {0};
    struct json_policy_path policy = {0};
    enum err e = json_path_parse(a, text, &path, NULL);
    enum err policy_e = json_policy_path_parse(a, text, &policy, NULL);
    if (e != OK) {
        ASSERT(path.keys == NULL);
        return;
    }
    ASSERT(policy_e == OK && policy.end == JSON_POLICY_END_NONE && policy.count == path.count);
    ASSERT(path.count >= 1 && path.count <= JSON_PATH_KEYS_MAX);
    struct buf out;
    struct json_path again = {0};
    buf_init(&out, WRITTEN_SIZE_MAX);
    json_path_write(&out, &path);
    ASSERT(buf_ok(&out));
    if (out.n <= JSON_PATH_SIZE_MAX) { /* quotes and escapes can make it longer */
        e = json_path_parse(a, buf_str(&out), &again, NULL);
        ASSERT(e == OK);
        ASSERT(json_path_eq(&path, &again));
    }
    buf_done(&out);
}

static void check_pointer(struct arena *a, struct str text)
{
    struct json_pointer pointer = {0};
    if (json_pointer_parse(a, text, &pointer, NULL) != OK) {
        return;
    }
    struct buf out;
    buf_init(&out, WRITTEN_SIZE_MAX);
    json_pointer_write(&out, &pointer, pointer.count);
    ASSERT(str_eq(buf_str(&out), text)); /* there is only one way to write a pointer */
    buf_done(&out);
    ASSERT(json_pointer_is_prefix(&pointer, &pointer));
    ASSERT(json_pointer_eval(json_null(), &pointer) == (pointer.count ? NULL : json_null()));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    arena_init(&a);
    check_path(&a, str_make(data, size));
    check_pointer(&a, str_make(data, size));
    arena_done(&a);
    return 0;
}
