/* Changes of an account's record. See change.h. */
#include "manage/change.h"

#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/contract.h"
#include "base/rng.h"

enum { KEY_COUNT = 4, KEY_BYTES = 64 };

const char *change_key_name(size_t i)
{
    static const char *const names[KEY_COUNT] = {"primary", "secondary", "primaryReadonly",
                                                 "secondaryReadonly"};
    ASSERT(i < KEY_COUNT);
    return names[i];
}

enum err change_key(struct account_record *rec, struct str which, struct errinfo *ei)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (!str_eq_nocase(which, str_of(change_key_name(i)))) {
            continue;
        }
        unsigned char raw[KEY_BYTES];
        rng_os_bytes(raw, sizeof(raw));
        struct buf text;
        buf_init(&text, sizeof(rec->key[0]));
        codec_base64(&text, str_make(raw, sizeof(raw)));
        ASSERT(buf_ok(&text) && text.n < sizeof(rec->key[0]));
        memset(rec->key[i], 0, sizeof(rec->key[i]));
        memcpy(rec->key[i], text.p, text.n);
        explicit_bzero(raw, sizeof(raw));
        buf_done_secret(&text);
        return OK;
    }
    return err_set(ei, ERR_INVALID,
                   "unknown key '" STR_FMT
                   "': primary, secondary, primaryReadonly or secondaryReadonly",
                   STR_ARG(str_slice(which, 0, 60)));
}

const struct coord_txn *change_record_txn(struct arena *a, const struct account_record *rec,
                                          coord_rev rev)
{
    struct buf value;
    buf_init(&value, COORD_VALUE_SIZE_MAX);
    record_encode(rec, &value);
    ASSERT(buf_ok(&value));
    struct str key = arena_printf(a, COORD_PREFIX "%s/record", rec->name);
    struct coord_txn *txn = ARENA_NEW(a, struct coord_txn);
    txn->compare_count = 1;
    txn->compares[0] = (struct coord_compare){key, rev};
    txn->put_count = 1;
    txn->puts[0] = (struct coord_put){.key = key, .value = arena_str(a, buf_str(&value))};
    buf_done(&value);
    return txn;
}
