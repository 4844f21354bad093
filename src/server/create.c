/* An account's first record. See create.h. */
#include "server/create.h"

#include <stdio.h>
#include <string.h>

#include "account/region.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/contract.h"
#include "coord/coord_client.h"
#include "server/up_int.h"

static enum err fill(const struct create_opts *o, struct account_record *rec, struct errinfo *ei)
{
    account_init(rec, o->account, o->level);
    if (o->level == CONSISTENCY_BOUNDED_STALENESS) {
        struct level_request bounds = {o->level, o->max_staleness_ops, o->max_staleness_s};
        TRY(account_set_bounds(rec, &bounds, ei));
    }
    for (size_t i = 0; i < ARRAY_COUNT(rec->key); i++) {
        up_random_base64(rec->key[i], sizeof(rec->key[i]), KEY_BYTES);
    }
    up_random_base64(rec->peer_secret, sizeof(rec->peer_secret), SECRET_BYTES);
    return account_add_region(rec, o->region, "", "", clock_wall_ms(), ei);
}

static enum err put(const struct create_opts *o, struct arena *a, struct str record,
                    struct errinfo *ei)
{
    struct coord_txn_result res;
    struct coord_txn *txn = ARENA_NEW(a, struct coord_txn);
    struct str key = arena_printf(a, COORD_PREFIX "%s/record", o->account);
    txn->compare_count = 1;
    txn->compares[0] = (struct coord_compare){key, 0}; /* there is none */
    txn->put_count = 1;
    txn->puts[0] = (struct coord_put){.key = key, .value = record};
    TRY(coord_txn_blocking(o->coordinator, o->secrets, txn, a, &res, ei));
    if (!res.succeeded) {
        err_set(ei, ERR_EXISTS, "the coordinator knows an account %s already", o->account);
        err_hint(ei, "its servers need nothing but their configuration; regions are added with "
                     "`holdfast account regions add`");
        return ERR_EXISTS;
    }
    return OK;
}

enum err create_account(const struct create_opts *o, char ret_key[CREATE_KEY_SIZE],
                        struct errinfo *ei)
{
    struct arena a;
    struct buf text;
    STATIC_ASSERT(sizeof(((struct account_record *)0)->key[0]) == CREATE_KEY_SIZE, "a key");
    arena_init(&a);
    buf_init(&text, COORD_VALUE_SIZE_MAX);
    struct account_record *rec = ARENA_NEW(&a, struct account_record);
    enum err err = fill(o, rec, ei);
    if (err == OK) {
        record_encode(rec, &text);
        ASSERT(buf_ok(&text));
        err = put(o, &a, buf_str(&text), ei);
    }
    if (err == OK) {
        memcpy(ret_key, rec->key[0], CREATE_KEY_SIZE);
    }
    explicit_bzero(rec, sizeof(*rec));
    if (text.p) {
        explicit_bzero(text.p, text.n);
    }
    buf_done(&text);
    arena_done(&a);
    return err;
}
