/* The coordinator's state machine against a reference that keeps the whole history in a list, with
 * random transactions and restarts; then its edges one by one. */
#include "coord/builtin/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/contract.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "base/rng.h"
#include "coord/builtin/record.h"
#include "lib/t.h"

/* --- reference ----------------------------------------------------------------------------------- */

enum { REF_KEYS = 7, REF_STEPS = 4000 };

struct ref_key {
    bool is_there;
    bool is_volatile;
    char value[16];
    coord_rev rev; /* of the last change, deletion included; 0 = never */
};

struct ref {
    struct ref_key keys[REF_KEYS];
    coord_rev rev;
    coord_rev floor;
};

static struct str key_name(size_t i)
{
    static const char *const names[REF_KEYS] = {"a/1", "a/2", "a", "b/1", "b/2/x", "b/2", "c"};
    return str_of(names[i]);
}

static bool ref_holds(const struct ref *r, const struct coord_txn *t, const size_t *compare_keys)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct ref_key *k = &r->keys[compare_keys[i]];
        if ((k->is_there ? k->rev : 0) != t->compares[i].rev) {
            return false;
        }
    }
    return true;
}

static void ref_apply(struct ref *r, const struct coord_txn *t, const size_t *put_keys)
{
    bool is_change = false;
    for (size_t i = 0; i < t->put_count; i++) {
        is_change = is_change || !t->puts[i].is_delete || r->keys[put_keys[i]].is_there;
    }
    if (!is_change) {
        return;
    }
    r->rev++;
    for (size_t i = 0; i < t->put_count; i++) {
        struct ref_key *k = &r->keys[put_keys[i]];
        if (t->puts[i].is_delete && !k->is_there) {
            continue;
        }
        k->is_there = !t->puts[i].is_delete;
        k->is_volatile = t->puts[i].is_volatile;
        k->rev = r->rev;
        (void)snprintf(k->value, sizeof(k->value), STR_FMT, STR_ARG(t->puts[i].value));
    }
}

/* --- the world: a store and the durable records it has asked for ------------------------------------ */

struct world {
    struct coord_store *store;
    struct buf disk; /* records one after the other */
    struct ref ref;
    struct rng rng;
    struct arena arena;
    struct coord_txn txn;
    size_t compare_keys[COORD_TXN_OPS_MAX];
    size_t put_keys[COORD_TXN_OPS_MAX];
    char values[COORD_TXN_OPS_MAX][16];
};

static void make_txn(struct world *w, int step)
{
    struct coord_txn *t = &w->txn;
    t->compare_count = rng_below(&w->rng, 3);
    t->put_count = rng_below(&w->rng, 4);
    for (size_t i = 0; i < t->compare_count; i++) {
        size_t k = w->compare_keys[i] = rng_below(&w->rng, REF_KEYS);
        coord_rev rev = w->ref.keys[k].is_there ? w->ref.keys[k].rev : 0;
        if (rng_chance(&w->rng, 1, 8)) {
            rev = rng_below(&w->rng, w->ref.rev + 2);
        }
        t->compares[i] = (struct coord_compare){key_name(k), rev};
    }
    size_t first = rng_below(&w->rng, REF_KEYS);
    for (size_t i = 0; i < t->put_count; i++) {
        size_t k = w->put_keys[i] = (first + i) % REF_KEYS; /* keys of one transaction differ */
        bool is_delete = rng_chance(&w->rng, 1, 3);
        (void)snprintf(w->values[i], sizeof(w->values[i]), "v%d.%zu", step, i);
        t->puts[i] = (struct coord_put){.key = key_name(k),
                                        .value = is_delete ? STR_NONE : str_of(w->values[i]),
                                        .is_volatile = !is_delete && rng_chance(&w->rng, 1, 3),
                                        .is_delete = is_delete};
    }
}

static void step_txn(struct world *w, int step)
{
    make_txn(w, step);
    struct coord_txn_result got;
    size_t disk_before = w->disk.n;
    coord_store_txn(w->store, &w->txn, &w->arena, &got, &w->disk);
    t_ok(got.err);
    bool holds = ref_holds(&w->ref, &w->txn, w->compare_keys);
    t_eq_bool(got.succeeded, holds);
    if (holds) {
        ref_apply(&w->ref, &w->txn, w->put_keys);
    } else {
        t_eq_u64(w->disk.n, disk_before);
        size_t want = 0;
        for (size_t i = 0; i < w->txn.compare_count; i++) {
            const struct ref_key *k = &w->ref.keys[w->compare_keys[i]];
            if (k->is_there) {
                t_eq_str(got.kvs[want].key, key_name(w->compare_keys[i]));
                t_eq_str(got.kvs[want].value, str_of(k->value));
                t_eq_u64(got.kvs[want].rev, k->rev);
                want++;
            }
        }
        t_eq_u64(got.kv_count, want);
    }
    t_eq_u64(got.rev, w->ref.rev);
    t_check(w->ref.rev <= coord_store_rev_limit(w->store)); /* equal: recovered, unchanged */
}

static void check_changes(struct world *w, struct str prefix)
{
    coord_rev after = rng_below(&w->rng, w->ref.rev + 2);
    const struct coord_kv *kvs = NULL;
    size_t n = 0;
    bool ok = coord_store_changes(w->store, prefix, after, &w->arena, &kvs, &n);
    t_eq_bool(ok, after >= w->ref.floor && after <= w->ref.rev);
    if (!ok) {
        return;
    }
    size_t want = 0;
    for (size_t k = 0; k < REF_KEYS; k++) {
        const struct ref_key *r = &w->ref.keys[k];
        if (r->rev <= after || !str_starts(key_name(k), prefix)) {
            continue;
        }
        want++;
        bool is_found = false;
        for (size_t i = 0; i < n; i++) {
            if (str_eq(kvs[i].key, key_name(k))) {
                is_found = true;
                t_eq_u64(kvs[i].rev, r->rev);
                t_eq_bool(kvs[i].is_deleted, !r->is_there);
                t_check(!r->is_there || str_eq(kvs[i].value, str_of(r->value)));
            }
        }
        t_checkf(is_found, "change of " STR_FMT " is missing", STR_ARG(key_name(k)));
    }
    t_eq_u64(n, want);
    for (size_t i = 1; i < n; i++) {
        t_check(kvs[i - 1].rev <= kvs[i].rev);
    }
}

static void check_read(struct world *w, struct str prefix)
{
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w->store, prefix, &w->arena, &kvs);
    size_t want = 0;
    for (size_t k = 0; k < REF_KEYS; k++) {
        want += w->ref.keys[k].is_there && str_starts(key_name(k), prefix);
    }
    t_eq_u64(n, want);
    for (size_t i = 0; i < n; i++) {
        t_check(i == 0 || str_cmp(kvs[i - 1].key, kvs[i].key) < 0);
        t_check(!kvs[i].is_deleted);
    }
}

static void restart(struct world *w)
{
    coord_rev limit = coord_store_rev_limit(w->store);
    coord_store_free(w->store);
    w->store = coord_store_new();
    struct str rest = buf_str(&w->disk);
    while (rest.n > 0) {
        size_t size = 0;
        struct errinfo ei = {0};
        t_ok_info(coord_record_size(rest, &size, &ei), &ei);
        t_ok_info(coord_store_load(w->store, str_slice(rest, 0, size), &ei), &ei);
        rest = str_slice(rest, size, rest.n);
    }
    coord_store_recovered(w->store);
    t_check(coord_store_rev(w->store) >= limit); /* nothing given out before comes again */
    t_check(coord_store_rev(w->store) >= w->ref.rev);
    w->ref.rev = w->ref.floor = coord_store_rev(w->store);
    for (size_t k = 0; k < REF_KEYS; k++) {
        struct ref_key *r = &w->ref.keys[k];
        if (!r->is_there || r->is_volatile) {
            *r = (struct ref_key){0};
        }
    }
}

static void compact(struct world *w)
{
    buf_clear(&w->disk);
    coord_store_snapshot(w->store, &w->disk);
}

T_TEST("random transactions, reads, changes, restarts and snapshots agree with the reference")
{
    struct world w = {.store = coord_store_new()};
    buf_init(&w.disk, 64 << 20);
    rng_init(&w.rng, t_seed());
    arena_init(&w.arena);
    static const char *const prefixes[] = {"", "a", "a/", "b/2", "c", "d"};
    for (int step = 0; step < REF_STEPS; step++) {
        step_txn(&w, step);
        coord_store_check(w.store);
        check_changes(&w, str_of(prefixes[rng_below(&w.rng, 6)]));
        check_read(&w, str_of(prefixes[rng_below(&w.rng, 6)]));
        if (rng_chance(&w.rng, 1, 100)) {
            restart(&w);
        }
        if (rng_chance(&w.rng, 1, 50)) {
            compact(&w);
        }
        coord_store_check(w.store);
        arena_reset(&w.arena);
    }
    coord_store_free(w.store);
    buf_done(&w.disk);
    arena_done(&w.arena);
}

/* --- edges ------------------------------------------------------------------------------------------ */

static struct {
    struct coord_store *store;
    struct arena arena;
    struct buf record;
} e;

static void setup(void)
{
    e.store = coord_store_new();
    arena_init(&e.arena);
    buf_init(&e.record, 64 << 20);
}

static void teardown(void)
{
    coord_store_check(e.store);
    coord_store_free(e.store);
    arena_done(&e.arena);
    buf_done(&e.record);
}

static struct coord_txn_result put_one(struct str key, struct str value, bool is_volatile)
{
    struct coord_txn t = {.put_count = 1,
                          .puts = {{.key = key, .value = value, .is_volatile = is_volatile}}};
    struct coord_txn_result r;
    coord_store_txn(e.store, &t, &e.arena, &r, &e.record);
    return r;
}

static struct coord_txn_result delete_one(struct str key)
{
    struct coord_txn t = {.put_count = 1, .puts = {{.key = key, .is_delete = true}}};
    struct coord_txn_result r;
    coord_store_txn(e.store, &t, &e.arena, &r, &e.record);
    return r;
}

T_TEST("volatile changes write a record only to reserve revisions")
{
    setup();
    t_check(put_one(STR("beat"), STR("1"), true).succeeded);
    t_check(e.record.n > 0);
    buf_clear(&e.record);
    while (coord_store_rev(e.store) + 1 < COORD_REV_BLOCK) {
        t_check(put_one(STR("beat"), STR("1"), true).succeeded);
        t_eq_u64(e.record.n, 0);
        arena_reset(&e.arena);
    }
    t_check(put_one(STR("beat"), STR("1"), true).succeeded);
    t_check(e.record.n > 0);
    t_eq_u64(coord_store_rev_limit(e.store), 2 * COORD_REV_BLOCK);
    teardown();
}

T_TEST("wrong transactions change nothing")
{
    setup();
    char key[COORD_KEY_SIZE_MAX + 1];
    memset(key, 'k', sizeof(key));
    t_ok(put_one(str_make(key, COORD_KEY_SIZE_MAX), STR("v"), false).err);
    t_err(put_one(str_make(key, COORD_KEY_SIZE_MAX + 1), STR("v"), false).err, ERR_INVALID);
    t_err(put_one(STR(""), STR("v"), false).err, ERR_INVALID);
    char *value = (char *)mem_zalloc(COORD_VALUE_SIZE_MAX + 1);
    t_ok(put_one(STR("a"), str_make(value, COORD_VALUE_SIZE_MAX), false).err);
    t_err(put_one(STR("a"), str_make(value, COORD_VALUE_SIZE_MAX + 1), false).err, ERR_LIMIT);
    mem_free(value);
    struct coord_txn twice = {.put_count = 2, .puts = {{.key = STR("x")}, {.key = STR("x")}}};
    struct coord_txn_result r;
    coord_store_txn(e.store, &twice, &e.arena, &r, &e.record);
    t_err(r.err, ERR_INVALID);
    struct coord_txn many = {.put_count = COORD_TXN_OPS_MAX + 1};
    coord_store_txn(e.store, &many, &e.arena, &r, &e.record);
    t_err(r.err, ERR_LIMIT);
    t_eq_u64(coord_store_rev(e.store), 2);
    teardown();
}

T_TEST("a full store refuses to grow and still shrinks")
{
    setup();
    char name[32];
    for (int i = 0; i < COORD_KEYS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "k%d", i);
        t_ok(put_one(str_of(name), STR("v"), i % 2 == 0).err);
        arena_reset(&e.arena);
    }
    t_err(put_one(STR("one more"), STR("v"), false).err, ERR_LIMIT);
    t_ok(put_one(STR("k7"), STR("w"), false).err);
    t_check(delete_one(STR("k7")).succeeded);
    t_ok(put_one(STR("one more"), STR("v"), false).err);
    teardown();
}

T_TEST("a store refuses to grow over its size")
{
    setup();
    char *value = (char *)mem_zalloc(COORD_VALUE_SIZE_MAX);
    char name[32];
    int count = 0;
    for (;; count++) {
        (void)snprintf(name, sizeof(name), "k%d", count);
        buf_clear(&e.record);
        if (put_one(str_of(name), str_make(value, COORD_VALUE_SIZE_MAX), true).err != OK) {
            break;
        }
        arena_reset(&e.arena);
    }
    t_eq_int(count, COORD_STORE_SIZE_MAX / COORD_VALUE_SIZE_MAX - 1); /* keys need room too */
    mem_free(value);
    teardown();
}

T_TEST("forgotten deletions force a full read, remembered ones do not")
{
    setup();
    coord_rev first = put_one(STR("x"), STR("v"), true).rev;
    for (int i = 0; i < COORD_TOMBSTONES_MAX + 10; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "k%d", i);
        t_check(put_one(str_of(name), STR("v"), true).succeeded);
        t_check(delete_one(str_of(name)).succeeded);
        arena_reset(&e.arena);
    }
    coord_store_check(e.store);
    const struct coord_kv *kvs = NULL;
    size_t n = 0;
    t_check(!coord_store_changes(e.store, STR(""), first, &e.arena, &kvs, &n));
    t_check(coord_store_changes(e.store, STR(""), first + 30, &e.arena, &kvs, &n));
    t_eq_u64(n, COORD_TOMBSTONES_MAX - 5);
    t_check(
        !coord_store_changes(e.store, STR(""), coord_store_rev(e.store) + 1, &e.arena, &kvs, &n));
    teardown();
}

T_TEST("a volatile value over a durable one does not come back after a restart")
{
    setup();
    t_check(put_one(STR("x"), STR("durable"), false).succeeded);
    t_check(put_one(STR("x"), STR("volatile"), true).succeeded);
    struct coord_store *again = coord_store_new();
    struct str rest = buf_str(&e.record);
    while (rest.n > 0) {
        size_t size = 0;
        t_ok(coord_record_size(rest, &size, NULL));
        t_ok(coord_store_load(again, str_slice(rest, 0, size), NULL));
        rest = str_slice(rest, size, rest.n);
    }
    coord_store_recovered(again);
    const struct coord_kv *kvs = NULL;
    t_eq_u64(coord_store_read(again, STR(""), &e.arena, &kvs), 0);
    coord_store_free(again);
    teardown();
}

T_TEST("two restarts in a row still move the revision on")
{
    setup();
    coord_store_snapshot(e.store, &e.record); /* of a fresh store */
    coord_rev last = 0;
    for (int i = 0; i < 3; i++) {
        t_check(put_one(STR("beat"), STR("1"), true).rev > last);
        last = coord_store_rev(e.store);
        buf_clear(&e.record);
        coord_store_snapshot(e.store, &e.record);
        coord_store_free(e.store);
        e.store = coord_store_new();
        t_ok(coord_store_load(e.store, buf_str(&e.record), NULL));
        coord_store_recovered(e.store);
        t_check(coord_store_rev(e.store) > last);
        coord_store_check(e.store);
        last = coord_store_rev(e.store);
        buf_clear(&e.record);
        coord_store_snapshot(e.store, &e.record); /* recovered and unchanged */
        coord_store_free(e.store);
        e.store = coord_store_new();
        t_ok(coord_store_load(e.store, buf_str(&e.record), NULL));
        coord_store_recovered(e.store);
    }
    teardown();
}

T_TEST("damaged and misplaced records are refused")
{
    setup();
    t_check(put_one(STR("x"), STR("value"), false).succeeded);
    for (size_t bit = 0; bit < e.record.n * 8; bit++) {
        struct coord_store *s = coord_store_new();
        e.record.p[bit / 8] = (char)(e.record.p[bit / 8] ^ (1 << (bit % 8)));
        t_err(coord_store_load(s, buf_str(&e.record), NULL), ERR_CORRUPT);
        e.record.p[bit / 8] = (char)(e.record.p[bit / 8] ^ (1 << (bit % 8)));
        coord_store_free(s);
    }
    t_err(coord_store_load(e.store, buf_str(&e.record), NULL),
          ERR_CORRUPT); /* same revision again */
    buf_clear(&e.record);
    coord_store_snapshot(e.store, &e.record);
    t_err(coord_store_load(e.store, buf_str(&e.record), NULL), ERR_CORRUPT); /* not the first */
    teardown();
}

T_TEST("the formats are pinned byte by byte")
{
    setup();
    struct buf file;
    buf_init(&file, 4096);
    coord_file_header_encode(&file);
    t_ok(coord_file_header_decode(buf_str(&file), NULL));
    t_check(put_one(STR("x"), STR("value"), false).succeeded);
    struct coord_txn t = {
        .put_count = 2,
        .puts = {{.key = STR("x"), .is_delete = true}, {.key = STR("y"), .value = STR("other")}}};
    struct coord_txn_result r;
    coord_store_txn(e.store, &t, &e.arena, &r, &e.record);
    buf_add_str(&file, buf_str(&e.record));
    coord_store_snapshot(e.store, &file);
    t_golden("coordinator_v1.bin", buf_str(&file));
    buf_done(&file);
    teardown();
}

T_TEST("a store gives back all memory")
{
    mem_probe_start();
    setup();
    t_check(put_one(STR("x"), STR("1"), false).succeeded);
    t_check(put_one(STR("x"), STR("2"), true).succeeded);
    t_check(put_one(STR("y"), STR("2"), true).succeeded);
    t_check(delete_one(STR("x")).succeeded);
    teardown();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_MAIN()
