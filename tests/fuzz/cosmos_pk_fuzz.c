/* Partition key headers: what is accepted survives being written, and its engine key can be split. */
#include "base/contract.h"
#include "cosmos/epk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_SIZE_MAX = 64 << 10 };

static void check_key(const struct pk *k, struct arena *a)
{
    struct buf key;
    struct pk got;
    struct str id;
    buf_init(&key, TEXT_SIZE_MAX);
    key_item(k, k->count, STR("id"), &key);
    ASSERT(buf_ok(&key));
    bool is_split = key_split(buf_str(&key), k->count, &got, &id, a);
    ASSERT(is_split);
    ASSERT(pk_eq(k, &got));
    ASSERT(str_eq(id, STR("id")));
    buf_done(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct pk k;
    struct pk again;
    struct str id;
    arena_init(&a);
    if (size <= TEXT_SIZE_MAX / 8 && pk_parse(&a, str_make(data, size), &k, NULL) == OK) {
        struct buf text;
        buf_init(&text, TEXT_SIZE_MAX);
        pk_json(&k, &text);
        enum err err = pk_parse(&a, buf_str(&text), &again, NULL);
        ASSERT(err == OK);
        ASSERT(pk_eq(&k, &again));
        buf_done(&text);
        check_key(&k, &a);
    }
    for (size_t paths = 1; paths <= PK_PATHS_MAX; paths++) {
        (void)key_split(str_make(data, size), paths, &k, &id,
                        &a); /* any bytes: must not read past them */
    }
    arena_done(&a);
    return 0;
}
