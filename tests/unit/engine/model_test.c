/* Random operations against a reference that keeps everything in small arrays. Each run is a
 * sequence of operations made from a seed; on a difference the sequence is shrunk by leaving parts
 * out for as long as it still fails, then printed with its seed.
 *
 * Operations are small numbers interpreted against the model's state, so that any subsequence of a
 * sequence is a sequence again. */
#include "base/rng.h"
#include "suite.h"

enum { PARTS = 3, KEYS = 10, UNIQUES = 6, LOG_MAX = 400, KVS = 3, OPS_MAX = 600, SNAPS = 2 };

enum kind { PUT, DELETE, LOG, TRIM, CUT, DIRTY, KV, NEXT_BATCH, APPLY, DROP, SNAP, REOPEN, KINDS };
static const char *const kind_names[KINDS] = {"put",   "delete", "log",  "trim",
                                              "cut",   "dirty",  "kv",   "next_batch",
                                              "apply", "drop",   "snap", "reopen"};
struct op {
    enum kind kind;
    uint32_t a, b, c;
};

/* Log positions count from here, so that no document is ever newer than its log, whatever is cut;
 * the model keeps them as 1, 2, ... and 0 for none. */
static lsn log_lsn(lsn at)
{
    return at == 0 ? 0 : 1000000 + at;
}

struct mdoc {
    bool is_present;
    lsn lsn;
    uint16_t op_idx;
    uint64_t expire_at;
    unsigned uniques; /* bit mask */
    uint32_t text_seed;
};
struct mpart {
    bool exists;
    struct mdoc docs[SPACE_COUNT][KEYS];
    bool dirty[SPACE_COUNT][KEYS];
    bool log[LOG_MAX];
    lsn first, tail, trim;
};
struct model {
    struct mpart parts[PARTS];
    uint32_t kv[KVS]; /* 0 = absent */
    generation generation;
    lsn next_lsn;
};

struct run {
    struct engine *e;
    struct model now; /* with all batches built so far */
    struct engine_batch *group[OPS_MAX];
    enum err expect[OPS_MAX];
    size_t group_count;
    bool is_stale;   /* the open batch will be refused: its operations do not count */
    bool is_changed; /* the open batch holds something */
    struct engine_snap *snap[SNAPS];
    struct model snap_model[SNAPS];
    char why[400];
};

#define EXPECT(r, cond, ...)                                                                       \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            int at_ = snprintf((r)->why, sizeof((r)->why), "line %d: %s: ", __LINE__, #cond);      \
            (void)snprintf((r)->why + at_, sizeof((r)->why) - (size_t)at_, __VA_ARGS__);           \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

/* Keys of different lengths, prefixes of each other, with the bytes that are hard for bounds. */
static const struct str keys[KEYS] = {{"\x00", 1},     {"\x00\x00", 2}, {"a", 1},     {"aa", 2},
                                      {"ab", 2},       {"b", 1},        {"b\xff", 2}, {"\xff", 1},
                                      {"\xff\x00", 2}, {"\xff\xff", 2}};
static const struct str unique_keys[UNIQUES] = {{"\x00", 1}, {"u", 1}, {"u\x00", 2},
                                                {"uu", 2},   {"v", 1}, {"\xff", 1}};
static const pid part_ids[PARTS] = {0, 7, UINT64_MAX};

static struct str text_of(uint32_t seed, char ret[300])
{
    size_t n = seed % 300;
    for (size_t i = 0; i < n; i++) {
        ret[i] = (char)(seed + i * 31);
    }
    return str_make(ret, n);
}

static struct engine_version version_of(const struct mdoc *d, struct str uniques[UNIQUES])
{
    struct engine_version v = {0};
    if (!d->is_present) {
        return v;
    }
    v = (struct engine_version){.lsn = d->lsn, .op_idx = d->op_idx, .expire_at = d->expire_at};
    for (size_t u = 0; u < UNIQUES; u++) {
        if ((d->uniques & (1u << u)) != 0) {
            uniques[v.unique_count++] = unique_keys[u];
        }
    }
    v.uniques = uniques;
    v.doc_size = d->text_seed % 300;
    return v;
}

/* ---- building ---- */

static struct engine_batch *open_batch(struct run *r, struct rng *rng)
{
    if (r->group_count == 0 || r->is_changed) {
        struct engine_batch *b = engine_batch_new(r->e);
        r->is_stale = false;
        r->is_changed = false;
        r->expect[r->group_count] = OK;
        if (rng_chance(rng, 1, 3)) {
            generation g = r->now.generation + rng_below(rng, 2);
            if (r->now.generation > 1 && rng_chance(rng, 1, 3)) {
                g = r->now.generation - 1;
                r->is_stale = true;
                r->expect[r->group_count] = ERR_STALE_GENERATION;
            }
            g = g == 0 ? 1 : g;
            engine_batch_guard(b, g);
            if (!r->is_stale) {
                r->now.generation = g;
            }
        }
        r->group[r->group_count++] = b;
    }
    return r->group[r->group_count - 1];
}

static void put_meta(const struct model *m, size_t p, struct engine_batch *b)
{
    const struct mpart *part = &m->parts[p];
    struct engine_part_meta meta = {
        .tail_lsn = log_lsn(part->tail),
        .first_lsn = log_lsn(part->first),
        .trim_lsn = log_lsn(part->trim),
    };
    for (size_t k = 0; k < KEYS; k++) {
        if (part->docs[SPACE_ITEM][k].is_present) {
            meta.item_count++;
            meta.item_size += part->docs[SPACE_ITEM][k].text_seed % 300;
        }
        meta.conflict_count += part->docs[SPACE_CONFLICT][k].is_present ? 1 : 0;
    }
    engine_batch_meta(b, part_ids[p], &meta);
}

static void log_delete(struct mpart *part, pid id, lsn at, struct engine_batch *b)
{
    engine_batch_log_delete(b, id, log_lsn(at));
    part->log[at] = false;
    part->first = 0;
    lsn last = 0;
    for (lsn i = 1; i < LOG_MAX; i++) {
        if (part->log[i]) {
            part->first = part->first == 0 ? i : part->first;
            last = i;
        }
    }
    if (last != 0) {
        part->tail = last;
    } else if (part->tail < part->trim) {
        part->tail = part->trim;
    }
}

static void do_put(struct model *m, const struct op *op, struct engine_batch *b)
{
    size_t p = op->a % PARTS;
    size_t k = op->b % KEYS;
    enum engine_space space = op->c % 5 == 0 ? SPACE_CONFLICT : SPACE_ITEM;
    struct mpart *part = &m->parts[p];
    struct mdoc *d = &part->docs[space][k];
    unsigned wanted = space == SPACE_ITEM ? (op->c >> 8) & ((1u << UNIQUES) - 1) : 0;
    for (size_t i = 0; i < KEYS; i++) { /* what other documents hold is not to be had */
        if (i != k) {
            wanted &= ~part->docs[SPACE_ITEM][i].uniques;
        }
    }
    struct mdoc now = {
        .is_present = true,
        .lsn = m->next_lsn / 3 + 1, /* several operations share an lsn */
        .op_idx = (uint16_t)(m->next_lsn % 3),
        .expire_at = (op->c >> 16) % 3 == 0 ? 100 + (op->c >> 18) % 4 : 0,
        .uniques = wanted,
        .text_seed = op->c,
    };
    m->next_lsn++;
    struct str old_uniques[UNIQUES];
    struct str now_uniques[UNIQUES];
    char text[300];
    struct engine_version old = version_of(d, old_uniques);
    struct engine_doc doc = {
        .version = version_of(&now, now_uniques), .epoch = 1, .text = text_of(op->c, text)};
    engine_batch_put(b, part_ids[p], space, keys[k], &doc, &old);
    *d = now;
    part->exists = true;
}

static void do_delete(struct model *m, const struct op *op, struct engine_batch *b)
{
    size_t p = op->a % PARTS;
    size_t k = op->b % KEYS;
    enum engine_space space = op->c % 5 == 0 ? SPACE_CONFLICT : SPACE_ITEM;
    struct mdoc *d = &m->parts[p].docs[space][k];
    struct str uniques[UNIQUES];
    struct engine_version old = version_of(d, uniques);
    engine_batch_delete(b, part_ids[p], space, keys[k], &old);
    *d = (struct mdoc){0};
    m->parts[p].exists = true;
}

static void do_log(struct model *m, const struct op *op, struct engine_batch *b)
{
    size_t p = op->a % PARTS;
    struct mpart *part = &m->parts[p];
    part->exists = true;
    if (op->kind == LOG) {
        lsn at = part->tail + 1 + op->b % 3;
        if (at >= LOG_MAX) {
            return;
        }
        char entry[300];
        engine_batch_log(b, part_ids[p], log_lsn(at), text_of((uint32_t)at, entry));
        part->log[at] = true;
        part->first = part->first == 0 ? at : part->first;
        part->tail = at;
    } else if (part->first != 0 && op->kind == TRIM) {
        part->trim = part->first;
        log_delete(part, part_ids[p], part->first, b);
    } else if (part->first != 0) {
        log_delete(part, part_ids[p], part->tail, b);
    }
}

static void do_op(struct model *m, const struct op *op, struct engine_batch *b)
{
    size_t p = op->a % PARTS;
    enum engine_space space = op->c % 3 == 0 ? SPACE_CONFLICT : SPACE_ITEM;
    if (op->kind == PUT) {
        do_put(m, op, b);
    } else if (op->kind == DELETE) {
        do_delete(m, op, b);
    } else if (op->kind == DIRTY) {
        m->parts[p].dirty[space][op->b % KEYS] = op->c % 2 == 0;
        m->parts[p].exists = true;
        engine_batch_dirty(b, part_ids[p], space, keys[op->b % KEYS], op->c % 2 == 0);
    } else if (op->kind == KV) {
        char name[2] = {(char)('a' + op->a % KVS), '\0'};
        char text[300];
        m->kv[op->a % KVS] = op->b % 4 == 0 ? 0 : op->b | 1;
        m->kv[op->a % KVS] = m->kv[op->a % KVS] % 300 == 0 ? 0 : m->kv[op->a % KVS];
        engine_batch_kv(b, str_of(name), text_of(m->kv[op->a % KVS], text));
        return;
    } else {
        do_log(m, op, b);
    }
    /* The last operation of a batch on a partition leaves the right meta. */
    put_meta(m, p, b);
}

/* ---- comparing ---- */

static bool same_doc(const struct mdoc *d, const struct engine_doc *doc)
{
    struct str uniques[UNIQUES];
    char text[300];
    struct engine_version v = version_of(d, uniques);
    bool is_same = d->is_present && doc->version.lsn == v.lsn && doc->version.op_idx == v.op_idx &&
                   doc->version.expire_at == v.expire_at &&
                   doc->version.unique_count == v.unique_count &&
                   str_eq(doc->text, text_of(d->text_seed, text));
    for (size_t i = 0; is_same && i < v.unique_count; i++) {
        is_same = str_eq(doc->version.uniques[i], uniques[i]);
    }
    return is_same;
}

static bool compare_docs(struct run *r, const struct model *m, struct engine_snap *snap, size_t p,
                         enum engine_space space)
{
    const struct mdoc *docs = m->parts[p].docs[space];
    for (size_t from = 0; from < KEYS; from += 3) {
        for (size_t to = 2; to <= KEYS; to += 4) {
            struct str hi = to < KEYS ? keys[to] : STR_NONE;
            struct engine_row row;
            struct engine_iter *it = engine_scan(r->e, snap, part_ids[p], space, keys[from], hi);
            size_t k = from;
            bool is_same = true;
            while (is_same && engine_iter_next(it, &row)) {
                while (k < to && !docs[k].is_present) {
                    k++;
                }
                is_same = k < to && str_eq(row.key, keys[k]) && same_doc(&docs[k], &row.doc);
                k++;
            }
            for (; k < to; k++) {
                is_same = is_same && !docs[k].is_present;
            }
            engine_iter_free(it);
            EXPECT(r, is_same, "scan of part %zu space %d [%zu,%zu)", p, (int)space, from, to);
            it = engine_scan_back(r->e, snap, part_ids[p], space, keys[from], hi);
            k = to;
            while (is_same && engine_iter_next(it, &row)) {
                while (k > from && !docs[k - 1].is_present) {
                    k--;
                }
                is_same =
                    k > from && str_eq(row.key, keys[k - 1]) && same_doc(&docs[k - 1], &row.doc);
                k--;
            }
            for (; k > from; k--) {
                is_same = is_same && !docs[k - 1].is_present;
            }
            engine_iter_free(it);
            EXPECT(r, is_same, "scan back of part %zu space %d [%zu,%zu)", p, (int)space, from, to);
        }
    }
    return true;
}

static size_t key_number(struct str key)
{
    for (size_t k = 0; k < KEYS; k++) {
        if (str_eq(keys[k], key)) {
            return k;
        }
    }
    return KEYS;
}

static bool compare_indexes(struct run *r, const struct model *m, struct engine_snap *snap,
                            size_t p)
{
    const struct mdoc *docs = m->parts[p].docs[SPACE_ITEM];
    struct engine_row row;
    size_t present = 0;
    size_t expiring = 0;
    for (size_t k = 0; k < KEYS; k++) {
        present += docs[k].is_present ? 1 : 0;
        expiring +=
            docs[k].is_present && docs[k].expire_at != 0 && docs[k].expire_at <= 102 ? 1 : 0;
    }
    struct engine_iter *it = engine_scan_changes(r->e, snap, part_ids[p], 0, UINT32_MAX);
    uint64_t last = 0;
    bool is_same = true;
    for (; is_same && engine_iter_next(it, &row); present--) {
        size_t k = key_number(row.key);
        uint64_t place = row.lsn * 65536 + row.op_idx;
        is_same = present > 0 && k < KEYS && docs[k].is_present && docs[k].lsn == row.lsn &&
                  docs[k].op_idx == row.op_idx && place > last;
        last = place;
    }
    engine_iter_free(it);
    EXPECT(r, is_same && present == 0, "changes of part %zu", p);
    it = engine_scan_expiry(r->e, snap, part_ids[p], 102);
    last = 0;
    for (; is_same && engine_iter_next(it, &row); expiring--) {
        size_t k = key_number(row.key);
        is_same = expiring > 0 && k < KEYS && docs[k].is_present &&
                  docs[k].expire_at == row.expire_at && row.expire_at >= last;
        last = row.expire_at;
    }
    engine_iter_free(it);
    EXPECT(r, is_same && expiring == 0, "expiry of part %zu", p);
    struct buf holder;
    buf_init(&holder, 4096);
    for (size_t u = 0; u < UNIQUES; u++) {
        size_t owner = KEYS;
        for (size_t k = 0; k < KEYS; k++) {
            owner = (docs[k].uniques & (1u << u)) != 0 ? k : owner;
        }
        enum err err = engine_unique_get(r->e, snap, part_ids[p], unique_keys[u], &holder, NULL);
        is_same = is_same && (owner == KEYS ? err == ERR_NOT_FOUND
                                            : err == OK && str_eq(buf_str(&holder), keys[owner]));
    }
    buf_done(&holder);
    EXPECT(r, is_same, "uniques of part %zu", p);
    return true;
}

static bool compare_rest(struct run *r, const struct model *m, struct engine_snap *snap, size_t p)
{
    const struct mpart *part = &m->parts[p];
    struct engine_row row;
    struct engine_iter *it = engine_scan_log(r->e, snap, part_ids[p], 0);
    lsn at = 0;
    bool is_same = true;
    while (is_same && engine_iter_next(it, &row)) {
        char text[300];
        for (at++; at < LOG_MAX && !part->log[at]; at++) {
        }
        is_same = row.lsn == log_lsn(at) && str_eq(row.entry, text_of((uint32_t)at, text));
    }
    for (at++; at < LOG_MAX; at++) {
        is_same = is_same && !part->log[at];
    }
    engine_iter_free(it);
    EXPECT(r, is_same, "log of part %zu", p);
    it = engine_scan_dirty(r->e, snap, part_ids[p]);
    size_t found = 0;
    while (is_same && engine_iter_next(it, &row)) {
        size_t k = key_number(row.key);
        is_same = k < KEYS && part->dirty[row.space][k];
        found++;
    }
    engine_iter_free(it);
    for (size_t i = 0; i < (size_t)KEYS * SPACE_COUNT; i++) {
        found -= part->dirty[i / KEYS][i % KEYS] ? 1 : 0;
    }
    EXPECT(r, is_same && found == 0, "dirty marks of part %zu", p);
    struct buf hold;
    struct engine_part_meta meta;
    buf_init(&hold, 4096);
    enum err err = engine_part_meta_get(r->e, snap, part_ids[p], &hold, &meta, NULL);
    buf_done(&hold);
    EXPECT(r, err == (part->exists ? OK : ERR_NOT_FOUND), "meta of part %zu: %s", p, err_name(err));
    EXPECT(r,
           !part->exists ||
               (meta.tail_lsn == log_lsn(part->tail) && meta.first_lsn == log_lsn(part->first)),
           "meta of part %zu", p);
    return true;
}

static bool compare(struct run *r, const struct model *m, struct engine_snap *snap)
{
    for (size_t p = 0; p < PARTS; p++) {
        if (!compare_docs(r, m, snap, p, SPACE_ITEM) ||
            !compare_docs(r, m, snap, p, SPACE_CONFLICT) || !compare_indexes(r, m, snap, p) ||
            !compare_rest(r, m, snap, p)) {
            return false;
        }
    }
    return true;
}

static void quiet_report(void *ctx, const char *finding)
{
    struct run *r = (struct run *)ctx;
    (void)snprintf(r->why, sizeof(r->why), "verify: %s", finding);
}

/* ---- running ---- */

static bool apply(struct run *r, bool sync)
{
    enum err each[OPS_MAX];
    size_t n = r->group_count;
    enum err err = engine_apply(r->e, r->group, n, sync, each, NULL);
    for (size_t i = 0; i < n; i++) {
        engine_batch_free(r->group[i]);
    }
    r->group_count = 0;
    EXPECT(r, err == OK, "%s", err_name(err));
    for (size_t i = 0; i < n; i++) {
        EXPECT(r, each[i] == r->expect[i], "batch %zu: %s", i, err_name(each[i]));
    }
    EXPECT(r, engine_generation(r->e) == r->now.generation, "generation");
    struct buf v;
    buf_init(&v, 4096);
    bool is_same = true;
    for (size_t k = 0; k < KVS; k++) {
        char name[2] = {(char)('a' + k), '\0'};
        char text[300];
        err = engine_kv_get(r->e, str_of(name), &v, NULL);
        is_same = is_same && (r->now.kv[k] == 0
                                  ? err == ERR_NOT_FOUND
                                  : err == OK && str_eq(buf_str(&v), text_of(r->now.kv[k], text)));
    }
    buf_done(&v);
    EXPECT(r, is_same, "named values");
    return compare(r, &r->now, NULL);
}

static bool swap_snap(struct run *r, size_t i)
{
    bool is_same = r->snap[i] == NULL || compare(r, &r->snap_model[i], r->snap[i]);
    engine_snap_release(r->e, r->snap[i]);
    r->snap[i] = NULL;
    return is_same;
}

static bool step(struct run *r, const struct op *op, struct rng *rng)
{
    uint64_t findings = 0;
    switch ((int)op->kind) {
    case APPLY:
        return apply(r, op->a % 2 == 0);
    case NEXT_BATCH:
        (void)open_batch(r, rng);
        return true;
    case DROP:
        if (op->b % 4 != 0) {
            return true;
        }
        if (!apply(r, true)) {
            return false;
        }
        EXPECT(r, engine_drop_partition(r->e, part_ids[op->a % PARTS], NULL) == OK, "drop");
        r->now.parts[op->a % PARTS] = (struct mpart){0};
        return compare(r, &r->now, NULL);
    case SNAP: {
        size_t i = op->a % SNAPS;
        if (!apply(r, false) || !swap_snap(r, i)) {
            return false;
        }
        r->snap[i] = engine_snap_get(r->e);
        r->snap_model[i] = r->now;
        return true;
    }
    case REOPEN:
        if (!suite_is_durable() || op->b % 4 != 0) {
            return true;
        }
        if (!apply(r, op->a % 2 == 0) || !swap_snap(r, 0) || !swap_snap(r, 1)) {
            return false;
        }
        engine_close(r->e);
        r->e = suite_reopen();
        EXPECT(r, engine_verify(r->e, quiet_report, r, &findings, NULL) == OK, "verify");
        return findings == 0 && apply(r, true);
    default: {
        struct engine_batch *b = open_batch(r, rng);
        r->is_changed = rng_chance(rng, 1, 4); /* the next operation starts a batch of its own */
        struct model lost = r->is_stale ? r->now : (struct model){0};
        do_op(r->is_stale ? &lost : &r->now, op, b);
        return true;
    }
    }
}

/* True when engine and model agree all the way. */
static bool run_ops(const struct op *ops, size_t n, uint64_t seed, char why[400])
{
    struct run *r = MEM_NEW(struct run);
    struct rng rng;
    rng_init(&rng, seed);
    r->e = suite_open();
    bool is_good = true;
    for (size_t i = 0; is_good && i < n; i++) {
        is_good = step(r, &ops[i], &rng);
    }
    uint64_t findings = 0;
    is_good = is_good && apply(r, true) && swap_snap(r, 0) && swap_snap(r, 1);
    if (is_good) {
        enum err err = engine_verify(r->e, quiet_report, r, &findings, NULL);
        is_good = err == OK && findings == 0;
    }
    for (size_t i = 0; i < r->group_count; i++) {
        engine_batch_free(r->group[i]);
    }
    for (size_t i = 0; i < SNAPS; i++) {
        engine_snap_release(r->e, r->snap[i]);
    }
    engine_close(r->e);
    (void)snprintf(why, 400, "%s", r->why);
    mem_free(r);
    return is_good;
}

static size_t make_ops(struct op *ops, uint64_t seed)
{
    static const enum kind weighted[] = {PUT,    PUT, PUT,  PUT,  PUT,    PUT,        DELETE,
                                         DELETE, LOG, LOG,  LOG,  TRIM,   CUT,        DIRTY,
                                         DIRTY,  KV,  SNAP, DROP, REOPEN, NEXT_BATCH, APPLY};
    struct rng rng;
    rng_init(&rng, seed);
    size_t n = 20 + rng_below(&rng, OPS_MAX - 20);
    for (size_t i = 0; i < n; i++) {
        ops[i] = (struct op){
            .kind = weighted[rng_below(&rng, ARRAY_COUNT(weighted))],
            .a = (uint32_t)rng_u64(&rng) & 0xffffff,
            .b = (uint32_t)rng_u64(&rng) & 0xffffff,
            .c = (uint32_t)rng_u64(&rng),
        };
    }
    return n;
}

/* Leaves out ever smaller stretches while the rest still fails. */
static size_t shrink(struct op *ops, size_t n, uint64_t seed, char why[400])
{
    struct op *fewer = MEM_NEW_ARRAY(struct op, OPS_MAX);
    size_t tries = 0;
    for (size_t len = n / 2; len > 0; len = len == 1 ? 0 : len / 2) {
        for (size_t at = 0; at + len <= n && tries < 400;) {
            memcpy(fewer, ops, at * sizeof(*ops));
            memcpy(fewer + at, ops + at + len, (n - at - len) * sizeof(*ops));
            tries++;
            if (!run_ops(fewer, n - len, seed, why)) {
                n -= len;
                memcpy(ops, fewer, n * sizeof(*ops));
            } else {
                at += len;
            }
        }
    }
    (void)run_ops(ops, n, seed, why);
    mem_free(fewer);
    return n;
}

static void test_model(void)
{
    struct op *ops = MEM_NEW_ARRAY(struct op, OPS_MAX);
    char why[400];
    size_t runs = suite_is_durable() ? 6 : 40;
    for (size_t i = 0; i < runs; i++) {
        uint64_t seed = t_seed() * 1000 + i;
        size_t n = make_ops(ops, seed);
        if (!run_ops(ops, n, seed, why)) {
            n = shrink(ops, n, seed, why);
            for (size_t k = 0; k < n; k++) {
                t_note("%s %u %u %u", kind_names[ops[k].kind], ops[k].a, ops[k].b, ops[k].c);
            }
            mem_free(ops);
            t_fail("seed %lu (T_SEED=%lu, run %zu), shrunk to %zu operations: %s", seed, t_seed(),
                   i, n, why);
        }
    }
    mem_free(ops);
}

static const struct suite_case cases[] = {
    {"random operations agree with the model", test_model},
};
SUITE_MAIN(cases)
