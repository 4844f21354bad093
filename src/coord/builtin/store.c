/* The built-in coordinator as a pure state machine.
 *
 * Present keys sit in one array in key order. History is not kept: "what changed after revision R"
 * is answered from the keys themselves, each of which knows the revision of its last change, plus a
 * bounded list of deletions. Heartbeats, which change a few keys for ever, therefore cost no memory,
 * and a watcher that lags sees each key's present state once.
 *
 *   revision   0 ......... floor ......... rev ......... rev_limit
 *              deletions      deletions      given out     reserved
 *              forgotten      remembered     from here     durably
 *
 * A restart forgets volatile keys and every revision given out for them; it goes on from rev_limit,
 * so that no revision means two things, and with floor = rev, so that every watcher reads all again.
 *
 * Not handled: permissions, leases with clocks, ranges in transactions. */
#include "coord/builtin/store.h"

#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "coord/builtin/record.h"

struct entry {
    char *key; /* owned */
    size_t key_size;
    char *value; /* owned */
    size_t value_size;
    coord_rev rev; /* of the last change; unique to one transaction */
    bool is_volatile;
};

struct tombstone {
    char *key; /* owned */
    size_t key_size;
    coord_rev rev;
};

struct coord_store {
    struct entry *entries; /* owned, in key order, keys unique */
    size_t entry_count;
    size_t entry_cap;
    struct tombstone *tombstones; /* owned, in revision order, of absent keys only, keys unique */
    size_t tombstone_count;
    size_t size;         /* bytes of all keys and values, at most COORD_STORE_SIZE_MAX */
    coord_rev rev;       /* of the last change */
    coord_rev rev_limit; /* rev < rev_limit, but for a store that has just been recovered */
    coord_rev floor;     /* deletions at or below it are forgotten */
};

static struct str entry_key(const struct entry *e)
{
    return str_make(e->key, e->key_size);
}

static struct str entry_value(const struct entry *e)
{
    return str_make(e->value, e->value_size);
}

struct coord_store *coord_store_new(void)
{
    return MEM_NEW(struct coord_store);
}

static void entry_free(struct entry *e)
{
    mem_free(e->key);
    mem_free(e->value);
}

void coord_store_free(struct coord_store *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->entry_count; i++) {
        entry_free(&s->entries[i]);
    }
    for (size_t i = 0; i < s->tombstone_count; i++) {
        mem_free(s->tombstones[i].key);
    }
    mem_free(s->entries);
    mem_free(s->tombstones);
    mem_free(s);
}

coord_rev coord_store_rev(const struct coord_store *s)
{
    return s->rev;
}

coord_rev coord_store_rev_limit(const struct coord_store *s)
{
    return s->rev_limit;
}

/* --- keys ---------------------------------------------------------------------------------------- */

/* Index of the first entry that is not below `key`. */
static size_t lower_bound(const struct coord_store *s, struct str key)
{
    size_t lo = 0;
    size_t hi = s->entry_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_cmp(entry_key(&s->entries[mid]), key) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static struct entry *find(const struct coord_store *s, struct str key)
{
    size_t i = lower_bound(s, key);
    bool is_there = i < s->entry_count && str_eq(entry_key(&s->entries[i]), key);
    return is_there ? &s->entries[i] : NULL;
}

static void forget_tombstone(struct coord_store *s, size_t i)
{
    mem_free(s->tombstones[i].key);
    memmove(&s->tombstones[i], &s->tombstones[i + 1],
            (s->tombstone_count - i - 1) * sizeof(*s->tombstones));
    s->tombstone_count--;
}

static void forget_tombstone_of(struct coord_store *s, struct str key)
{
    for (size_t i = 0; i < s->tombstone_count; i++) {
        if (str_eq(str_make(s->tombstones[i].key, s->tombstones[i].key_size), key)) {
            forget_tombstone(s, i);
            return;
        }
    }
}

static void remember_deletion(struct coord_store *s, struct str key, coord_rev rev)
{
    if (s->tombstones == NULL) {
        s->tombstones = MEM_NEW_ARRAY(struct tombstone, COORD_TOMBSTONES_MAX);
    }
    if (s->tombstone_count == COORD_TOMBSTONES_MAX) {
        s->floor = s->tombstones[0].rev;
        forget_tombstone(s, 0);
        /* A transaction may have deleted several: floor must not stand between them. */
        while (s->tombstone_count > 0 && s->tombstones[0].rev == s->floor) {
            forget_tombstone(s, 0);
        }
    }
    s->tombstones[s->tombstone_count++] =
        (struct tombstone){.key = (char *)mem_dup(key.p, key.n), .key_size = key.n, .rev = rev};
}

static void insert(struct coord_store *s, struct str key, struct str value, coord_rev rev,
                   bool is_volatile)
{
    if (s->entry_count == s->entry_cap) {
        s->entry_cap = s->entry_cap == 0 ? 16 : s->entry_cap * 2;
        s->entries = (struct entry *)mem_realloc(s->entries, s->entry_cap * sizeof(*s->entries));
    }
    size_t i = lower_bound(s, key);
    memmove(&s->entries[i + 1], &s->entries[i], (s->entry_count - i) * sizeof(*s->entries));
    s->entries[i] = (struct entry){.key = (char *)mem_dup(key.p, key.n),
                                   .key_size = key.n,
                                   .value = (char *)mem_dup(value.p, value.n),
                                   .value_size = value.n,
                                   .rev = rev,
                                   .is_volatile = is_volatile};
    s->entry_count++;
    s->size += key.n + value.n;
    forget_tombstone_of(s, key);
}

static void put(struct coord_store *s, struct str key, struct str value, coord_rev rev,
                bool is_volatile)
{
    struct entry *e = find(s, key);
    if (e == NULL) {
        insert(s, key, value, rev, is_volatile);
        return;
    }
    s->size = s->size - e->value_size + value.n;
    mem_free(e->value);
    e->value = (char *)mem_dup(value.p, value.n);
    e->value_size = value.n;
    e->rev = rev;
    e->is_volatile = is_volatile;
}

static void delete (struct coord_store *s, struct str key, coord_rev rev)
{
    struct entry *e = find(s, key);
    ASSERT(e != NULL);
    s->size -= e->key_size + e->value_size;
    entry_free(e);
    size_t i = (size_t)(e - s->entries);
    memmove(e, e + 1, (s->entry_count - i - 1) * sizeof(*e));
    s->entry_count--;
    remember_deletion(s, key, rev);
}

/* --- transactions -------------------------------------------------------------------------------- */

static bool is_valid_key(struct str key)
{
    return key.n > 0 && key.n <= COORD_KEY_SIZE_MAX;
}

static bool is_put_twice(const struct coord_txn *t, size_t i)
{
    for (size_t j = 0; j < i; j++) {
        if (str_eq(t->puts[j].key, t->puts[i].key)) {
            return true;
        }
    }
    return false;
}

static enum err check_txn(const struct coord_txn *t)
{
    if (t->compare_count > COORD_TXN_OPS_MAX || t->put_count > COORD_TXN_OPS_MAX) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < t->compare_count; i++) {
        if (!is_valid_key(t->compares[i].key)) {
            return ERR_INVALID;
        }
    }
    for (size_t i = 0; i < t->put_count; i++) {
        const struct coord_put *p = &t->puts[i];
        if (!is_valid_key(p->key) || (p->is_delete && p->value.n > 0) || is_put_twice(t, i)) {
            return ERR_INVALID;
        }
        if (p->value.n > COORD_VALUE_SIZE_MAX) {
            return ERR_LIMIT;
        }
    }
    return OK;
}

/* Would the store stay within its limits? Deletions are always welcome. */
static bool has_room(const struct coord_store *s, const struct coord_txn *t)
{
    size_t count = s->entry_count;
    size_t size = s->size;
    bool is_growing = false;
    for (size_t i = 0; i < t->put_count; i++) {
        const struct coord_put *p = &t->puts[i];
        const struct entry *e = find(s, p->key);
        size_t before = e == NULL ? 0 : e->key_size + e->value_size;
        size_t after = p->is_delete ? 0 : p->key.n + p->value.n;
        size = size - before + after;
        count = count - (e != NULL ? 1 : 0) + (p->is_delete ? 0 : 1);
        is_growing = is_growing || after > before;
    }
    return !is_growing || (count <= COORD_KEYS_MAX && size <= COORD_STORE_SIZE_MAX);
}

static bool compares_hold(const struct coord_store *s, const struct coord_txn *t)
{
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct entry *e = find(s, t->compares[i].key);
        if ((e == NULL ? 0 : e->rev) != t->compares[i].rev) {
            return false;
        }
    }
    return true;
}

static struct coord_kv kv_copy(struct arena *a, const struct entry *e)
{
    return (struct coord_kv){
        .key = arena_str(a, entry_key(e)), .value = arena_str(a, entry_value(e)), .rev = e->rev};
}

static void report_compared(const struct coord_store *s, const struct coord_txn *t, struct arena *a,
                            struct coord_txn_result *ret)
{
    struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, t->compare_count + 1);
    for (size_t i = 0; i < t->compare_count; i++) {
        const struct entry *e = find(s, t->compares[i].key);
        if (e != NULL) {
            kvs[ret->kv_count++] = kv_copy(a, e);
        }
    }
    ret->kvs = kvs;
}

/* What of the transaction must survive a restart. A put of a volatile value over a durable one makes
 * the durable one go away. */
static size_t durable_ops(const struct coord_store *s, const struct coord_txn *t, coord_rev rev,
                          struct coord_record_op ret[COORD_TXN_OPS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < t->put_count; i++) {
        const struct coord_put *p = &t->puts[i];
        const struct entry *e = find(s, p->key);
        bool was_durable = e != NULL && !e->is_volatile;
        bool stays_durable = !p->is_delete && !p->is_volatile;
        if (was_durable || stays_durable) {
            ret[n++] = (struct coord_record_op){.key = p->key,
                                                .value = stays_durable ? p->value : STR_NONE,
                                                .rev = rev,
                                                .is_delete = !stays_durable};
        }
    }
    return n;
}

static bool changes_anything(const struct coord_store *s, const struct coord_txn *t)
{
    for (size_t i = 0; i < t->put_count; i++) {
        if (!t->puts[i].is_delete || find(s, t->puts[i].key) != NULL) {
            return true;
        }
    }
    return false;
}

static void apply(struct coord_store *s, const struct coord_txn *t, struct buf *ret_record)
{
    coord_rev rev = s->rev + 1;
    bool is_reserving = rev >= s->rev_limit;
    if (is_reserving) {
        s->rev_limit = (rev / COORD_REV_BLOCK + 1) * COORD_REV_BLOCK;
    }
    struct coord_record_op ops[COORD_TXN_OPS_MAX];
    struct coord_record record = {.type = COORD_RECORD_TXN,
                                  .rev = rev,
                                  .rev_limit = s->rev_limit,
                                  .op_count = durable_ops(s, t, rev, ops),
                                  .ops = ops};
    if (is_reserving || record.op_count > 0) {
        coord_record_encode(ret_record, &record);
    }
    for (size_t i = 0; i < t->put_count; i++) {
        const struct coord_put *p = &t->puts[i];
        if (!p->is_delete) {
            put(s, p->key, p->value, rev, p->is_volatile);
        } else if (find(s, p->key) != NULL) {
            delete (s, p->key, rev);
        }
    }
    s->rev = rev;
}

bool coord_store_needs_record(const struct coord_store *s, const struct coord_txn *t)
{
    struct coord_record_op ops[COORD_TXN_OPS_MAX];
    if (check_txn(t) != OK) {
        return false;
    }
    return s->rev + 1 >= s->rev_limit || durable_ops(s, t, s->rev + 1, ops) > 0;
}

void coord_store_txn(struct coord_store *s, const struct coord_txn *t, struct arena *a,
                     struct coord_txn_result *ret, struct buf *ret_record)
{
    size_t record_size_before = ret_record->n;
    bool needs_record = coord_store_needs_record(s, t);
    *ret = (struct coord_txn_result){.err = check_txn(t), .rev = s->rev};
    if (ret->err != OK) {
        return;
    }
    if (!compares_hold(s, t)) {
        report_compared(s, t, a, ret);
        return;
    }
    if (!has_room(s, t)) {
        ret->err = ERR_LIMIT;
        return;
    }
    if (changes_anything(s, t)) {
        apply(s, t, ret_record);
    }
    ret->succeeded = true;
    ret->rev = s->rev;
    ASSERT(s->rev <= s->rev_limit);
    ASSERT(IMPLIES(ret_record->n > record_size_before, needs_record));
}

/* --- reading -------------------------------------------------------------------------------------- */

size_t coord_store_read(const struct coord_store *s, struct str prefix, struct arena *a,
                        const struct coord_kv **ret)
{
    size_t first = lower_bound(s, prefix);
    size_t n = 0;
    while (first + n < s->entry_count && str_starts(entry_key(&s->entries[first + n]), prefix)) {
        n++;
    }
    struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, n + 1);
    for (size_t i = 0; i < n; i++) {
        kvs[i] = kv_copy(a, &s->entries[first + i]);
    }
    *ret = kvs;
    return n;
}

static bool is_before(const struct coord_kv *x, const struct coord_kv *y)
{
    return x->rev != y->rev ? x->rev < y->rev : str_cmp(x->key, y->key) < 0;
}

/* Shell's sort by revision, then key: no heap, as qsort may use, and mostly few items. */
static void sort_by_rev(struct coord_kv *kvs, size_t n)
{
    static const size_t gaps[] = {1750, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < ARRAY_COUNT(gaps); g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < n; i++) {
            struct coord_kv item = kvs[i];
            size_t at = i;
            while (at >= gap && is_before(&item, &kvs[at - gap])) {
                kvs[at] = kvs[at - gap];
                at -= gap;
            }
            kvs[at] = item;
        }
    }
}

/* Fills `ret`, when not NULL, and returns how many there are. */
static size_t collect_changes(const struct coord_store *s, struct str prefix, coord_rev after,
                              struct arena *a, struct coord_kv *ret)
{
    size_t n = 0;
    for (size_t i = lower_bound(s, prefix); i < s->entry_count; i++) {
        const struct entry *e = &s->entries[i];
        if (!str_starts(entry_key(e), prefix)) {
            break;
        }
        if (e->rev > after) {
            if (ret != NULL) {
                ret[n] = kv_copy(a, e);
            }
            n++;
        }
    }
    for (size_t i = s->tombstone_count; i > 0 && s->tombstones[i - 1].rev > after; i--) {
        const struct tombstone *t = &s->tombstones[i - 1];
        struct str key = str_make(t->key, t->key_size);
        if (str_starts(key, prefix)) {
            if (ret != NULL) {
                ret[n] =
                    (struct coord_kv){.key = arena_str(a, key), .rev = t->rev, .is_deleted = true};
            }
            n++;
        }
    }
    return n;
}

bool coord_store_changes(const struct coord_store *s, struct str prefix, coord_rev after,
                         struct arena *a, const struct coord_kv **ret, size_t *ret_n)
{
    if (after < s->floor || after > s->rev) {
        return false;
    }
    size_t n = collect_changes(s, prefix, after, a, NULL);
    if (n == 0) { /* watches ask often */
        *ret = NULL;
        *ret_n = 0;
        return true;
    }
    struct coord_kv *kvs = ARENA_NEW_ARRAY(a, struct coord_kv, n + 1);
    size_t filled = collect_changes(s, prefix, after, a, kvs);
    ASSERT(filled == n);
    sort_by_rev(kvs, n);
    *ret = kvs;
    *ret_n = n;
    return true;
}

/* --- restart -------------------------------------------------------------------------------------- */

static enum err load_snapshot(struct coord_store *s, const struct coord_record *r,
                              struct errinfo *ei)
{
    if (s->rev != 0 || s->entry_count != 0) {
        return err_set(ei, ERR_CORRUPT, "snapshot after other records");
    }
    for (size_t i = 0; i < r->op_count; i++) {
        if (find(s, r->ops[i].key) != NULL) {
            return err_set(ei, ERR_CORRUPT, "key twice in a snapshot");
        }
        put(s, r->ops[i].key, r->ops[i].value, r->ops[i].rev, /* is_volatile: */ false);
    }
    return OK;
}

static enum err load_txn(struct coord_store *s, const struct coord_record *r, struct errinfo *ei)
{
    if (r->rev <= s->rev || r->rev_limit < s->rev_limit) {
        return err_set(ei, ERR_CORRUPT, "revision %lu (limit %lu) after %lu (limit %lu)",
                       (unsigned long)r->rev, (unsigned long)r->rev_limit, (unsigned long)s->rev,
                       (unsigned long)s->rev_limit);
    }
    for (size_t i = 0; i < r->op_count; i++) {
        const struct coord_record_op *op = &r->ops[i];
        bool is_there = find(s, op->key) != NULL;
        if (op->is_delete && !is_there) {
            return err_set(ei, ERR_CORRUPT, "deletion of an absent key");
        }
        if (op->is_delete) {
            delete (s, op->key, r->rev);
        } else {
            put(s, op->key, op->value, r->rev, /* is_volatile: */ false);
        }
    }
    return OK;
}

enum err coord_store_load(struct coord_store *s, struct str record, struct errinfo *ei)
{
    struct arena a;
    arena_init(&a);
    struct coord_record r;
    enum err ret = coord_record_decode(&a, record, &r, ei);
    if (ret == OK) {
        ret = r.type == COORD_RECORD_SNAPSHOT ? load_snapshot(s, &r, ei) : load_txn(s, &r, ei);
    }
    if (ret == OK && (s->entry_count > COORD_KEYS_MAX || s->size > COORD_STORE_SIZE_MAX)) {
        ret = err_set(ei, ERR_CORRUPT, "more than a store holds: %zu keys, %zu bytes",
                      s->entry_count, s->size);
    }
    if (ret == OK) {
        s->rev = r.rev;
        s->rev_limit = r.rev_limit;
    }
    arena_done(&a);
    return ret;
}

void coord_store_recovered(struct coord_store *s)
{
    ASSERT(s->rev <= s->rev_limit);
    s->rev = s->rev_limit; /* every revision below may have been seen by somebody */
    s->floor = s->rev;
    while (s->tombstone_count > 0) {
        forget_tombstone(s, s->tombstone_count - 1);
    }
}

void coord_store_snapshot(const struct coord_store *s, struct buf *out)
{
    struct coord_record r = {
        .type = COORD_RECORD_SNAPSHOT, .rev = s->rev, .rev_limit = s->rev_limit};
    if (s->rev > 0 && s->rev >= s->rev_limit) {
        r.rev_limit = s->rev + 1; /* recovered, and nothing reserved anew */
    }
    r.ops = MEM_NEW_ARRAY(struct coord_record_op, s->entry_count + 1);
    for (size_t i = 0; i < s->entry_count; i++) {
        const struct entry *e = &s->entries[i];
        if (!e->is_volatile) {
            r.ops[r.op_count++] = (struct coord_record_op){
                .key = entry_key(e), .value = entry_value(e), .rev = e->rev};
        }
    }
    coord_record_encode(out, &r);
    mem_free(r.ops);
}

void coord_store_check(const struct coord_store *s)
{
    size_t size = 0;
    for (size_t i = 0; i < s->entry_count; i++) {
        const struct entry *e = &s->entries[i];
        ASSERT(i == 0 || str_cmp(entry_key(&s->entries[i - 1]), entry_key(e)) < 0);
        ASSERT(e->rev > 0 && e->rev <= s->rev);
        size += e->key_size + e->value_size;
    }
    ASSERT(size == s->size);
    ASSERT(s->entry_count <= s->entry_cap);
    ASSERT(s->tombstone_count <= COORD_TOMBSTONES_MAX);
    ASSERT(s->floor <= s->rev && s->rev <= s->rev_limit);
    for (size_t i = 0; i < s->tombstone_count; i++) {
        const struct tombstone *t = &s->tombstones[i];
        ASSERT(t->rev > s->floor && t->rev <= s->rev);
        ASSERT(i == 0 || s->tombstones[i - 1].rev <= t->rev);
        ASSERT(find(s, str_make(t->key, t->key_size)) == NULL);
    }
}
