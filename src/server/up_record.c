/* The account record, as `holdfast up` makes it, brings it up to date at a start, and follows it. See
 * up.h. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "server/supervisor.h"
#include "server/up_int.h"

static enum err fill_record(struct up *up, struct account_record *rec, bool is_new)
{
    if (is_new) {
        account_init(rec, up->opts.account, up->opts.level);
        if (up->opts.level == CONSISTENCY_BOUNDED_STALENESS) {
            struct level_request bounds = {up->opts.level, up->opts.max_staleness_ops,
                                           up->opts.max_staleness_s};
            TRY(account_set_bounds(rec, &bounds, &up->failure));
        }
        rec->auto_failover = up->opts.auto_failover;
        (void)snprintf(rec->key[0], sizeof(rec->key[0]), "%s", up->key);
        for (size_t i = 1; i < 4; i++) {
            up_random_base64(rec->key[i], sizeof(rec->key[i]), KEY_BYTES);
        }
        up_random_base64(rec->peer_secret, sizeof(rec->peer_secret), SECRET_BYTES);
        for (size_t i = 0; i < up->region_count; i++) { /* all are members */
            char endpoint[ENDPOINT_SIZE];
            char peer[64];
            up_endpoint_url(up, &up->regions[i], endpoint);
            (void)snprintf(peer, sizeof(peer), "127.0.0.1:%u", up->regions[i].peer_port);
            TRY(account_add_region(rec, up->regions[i].name, endpoint, peer, clock_wall_ms(),
                                   &up->failure));
        }
    }
    for (size_t i = 0; i < up->region_count; i++) {
        struct record_region *r = record_region_by_name(rec, str_of(up->regions[i].name));
        if (r && up->regions[i].is_member) {
            up->regions[i].id = r->id;
            up_endpoint_url(up, &up->regions[i], r->endpoint);
            (void)snprintf(r->peer_addr, sizeof(r->peer_addr), "127.0.0.1:%u",
                           up->regions[i].peer_port);
        }
    }
    if (up->opts.key) {
        (void)snprintf(rec->key[0], sizeof(rec->key[0]), "%s", up->key);
    } else {
        /* The coordinator is the authority: keys may have been rotated since. */
        (void)snprintf(up->key, sizeof(up->key), "%s", rec->key[0]);
    }
    return OK;
}

/* What the watch has shown before we were ready: regions may have come and gone since account.json
 * was written. */
static void on_record_again(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct up *up = ctx;
    if (err != OK) {
        loop_timer_set(up->again, RETRY_MS, 0);
        return;
    }
    for (size_t i = 0; err == OK && i < n; i++) {
        up_record_changed(up, &kvs[i]);
    }
}

void up_read_again(void *ctx)
{
    struct up *up = ctx;
    coord_client_read(up->coord, str_of(up->prefix), TXN_TIMEOUT_MS, on_record_again, up);
}

static void start_rest(struct up *up)
{
    up->is_record_ready = true;
    if (up_save_account(up, &up->failure) != OK) {
        up_fail(up);
        return;
    }
    if (up->proxy) {
        supervisor_start(up->proxy);
    }
    supervisor_start(up->front);
    for (size_t i = 0; i < up->region_count; i++) {
        if (up->regions[i].is_member) {
            supervisor_start(up->regions[i].child);
        }
    }
    up_read_again(up);
}

static void on_record_put(void *ctx, const struct coord_txn_result *res)
{
    struct up *up = ctx;
    if (res->err == OK && res->succeeded) {
        start_rest(up);
    } else {
        loop_timer_set(up->retry, RETRY_MS,
                       0); /* read again: somebody else changed it, or no answer */
    }
}

static void on_record_read(void *ctx, enum err err, const struct coord_kv *kvs, size_t n)
{
    struct up *up = ctx;
    if (err != OK) {
        loop_timer_set(up->retry, RETRY_MS, 0);
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct account_record *rec = ARENA_NEW(&arena, struct account_record);
    struct coord_txn *txn = ARENA_NEW(&arena, struct coord_txn);
    struct buf text;
    buf_init(&text, COORD_VALUE_SIZE_MAX);
    struct str key = arena_printf(&arena, "%srecord", up->prefix);
    coord_rev rev = 0;
    for (size_t i = 0; i < n; i++) {
        if (str_eq(kvs[i].key, key)) {
            rev = kvs[i].rev;
            err = record_decode(&arena, kvs[i].value, rec, &up->failure);
        }
    }
    if (err == OK) {
        err = fill_record(up, rec, rev == 0);
    }
    if (err == OK && rev != 0) {
        err = up_check_kept(up, "consistency level", "--consistency",
                            str_of(consistency_name(record_lease_level(rec))),
                            str_of(consistency_name(up->opts.level)), up->opts.has_level,
                            &up->failure);
    }
    if (err != OK) {
        up_fail(up);
    } else {
        record_encode(rec, &text);
        ASSERT(buf_ok(&text));
        txn->compare_count = 1;
        txn->compares[0] = (struct coord_compare){key, rev};
        txn->put_count = 1;
        txn->puts[0] = (struct coord_put){.key = key, .value = buf_str(&text)};
        coord_client_txn(up->coord, txn, TXN_TIMEOUT_MS, on_record_put, up);
    }
    buf_done(&text);
    arena_done(&arena);
}

void up_read_record(void *ctx)
{
    struct up *up = ctx;
    coord_client_read(up->coord, str_of(up->prefix), TXN_TIMEOUT_MS, on_record_read, up);
}

/* Keys may be rotated while we run: tools find the present one in account.json. Regions come and go. */
void up_record_changed(void *ctx, const struct coord_kv *kv)
{
    struct up *up = ctx;
    char key[sizeof(up->prefix) + 16];
    (void)snprintf(key, sizeof(key), "%srecord", up->prefix);
    if (!up->is_record_ready || up->is_ending || kv->is_deleted || !str_eq(kv->key, str_of(key))) {
        return;
    }
    struct arena arena;
    arena_init(&arena);
    struct account_record *rec = ARENA_NEW(&arena, struct account_record);
    struct errinfo ei = {0};
    if (record_decode(&arena, kv->value, rec, &ei) != OK) {
        LOG_ERROR("up", "bad_record", "error=%s", ei.message);
    } else {
        up->is_unsaved = up->is_unsaved || strcmp(rec->key[0], up->key) != 0;
        (void)snprintf(up->key, sizeof(up->key), "%s", rec->key[0]);
        up_follow(up, rec, kv->rev);
    }
    explicit_bzero(rec, sizeof(*rec));
    arena_done(&arena);
}
