/* Ordering of writes and the rules of acknowledgement, on a mem engine: versions that are not
 * stored yet, several operations in one write, unique keys, expiry, lsn blocks, quorums. */
#include <stdio.h>
#include <string.h>

#include "base/contract.h"
#include "base/mem.h"
#include "lib/t.h"
#include "stage.h"

static void begin(bool is_strong, uint64_t mask)
{
    stage_begin(is_strong, mask, 3);
}

/* ---- scripted writes: "+key=text!unique@expire", "-key", "?key" (must be absent) ---- */

struct script {
    size_t n;
    struct write_op ops[8];
    struct write_plan plans[8];
    bool must_be_absent[8];
    bool saw[8];
    struct str uniques[8];
    struct str seen_text[8];
    uint64_t seen_ts[8];
};

static void prepare(void *ctx, size_t i, const struct write_place *place,
                    const struct engine_doc *current, struct write_plan *ret)
{
    struct script *s = ctx;
    s->saw[i] = current != NULL;
    s->seen_text[i] = current != NULL ? arena_str(&arena, current->text) : STR_NONE;
    s->seen_ts[i] = place->ts;
    if (s->must_be_absent[i] && current != NULL) {
        return;
    }
    *ret = s->plans[i];
    ret->rid = place->lsn;
}

static void put(struct script *s, const char *key, const char *text, const char *unique,
                uint64_t expire_at)
{
    size_t i = s->n++;
    s->ops[i] = (struct write_op){SPACE_ITEM, str_of(key)};
    s->plans[i] =
        (struct write_plan){.action = WRITE_PUT, .text = str_of(text), .expire_at = expire_at};
    if (unique != NULL) {
        s->uniques[i] = str_of(unique);
        s->plans[i].uniques = &s->uniques[i];
        s->plans[i].unique_count = 1;
    }
}

static void del(struct script *s, const char *key)
{
    size_t i = s->n++;
    s->ops[i] = (struct write_op){SPACE_ITEM, str_of(key)};
    s->plans[i] = (struct write_plan){.action = WRITE_DELETE};
}

static struct order_res res;

static enum err run(struct script *s)
{
    struct order_req req = {.op_count = s->n, .ops = s->ops, .prepare = prepare, .ctx = s};
    return repl_order(R, part, &req, &res);
}

static enum err put_one(const char *key, const char *text, const char *unique, uint64_t expire_at)
{
    struct script s = {0};
    put(&s, key, text, unique, expire_at);
    return run(&s);
}

/* ---- tests ---- */

T_TEST("operations of one write see the ones before, and all or nothing happens")
{
    begin(false, 2);
    struct script s = {0};
    put(&s, "a", "1", NULL, 0);
    put(&s, "a", "2", NULL, 0);
    del(&s, "a");
    put(&s, "a", "3", NULL, 0);
    put(&s, "b", "x", NULL, 0);
    t_ok(run(&s));
    t_check(!s.saw[0] && s.saw[1] && s.saw[2] && !s.saw[3]);
    t_eq_lit(s.seen_text[2], "2");
    store();
    t_eq_cstr(stored("a"), "3");
    t_eq_u64(atomic_load(&repl_part_view(part)->item_count), 2);
    struct script bad = {0};
    put(&bad, "c", "1", NULL, 0);
    put(&bad, "b", "y", NULL, 0);
    bad.must_be_absent[1] = true;
    lsn before = repl_tail(part).lsn;
    t_err(run(&bad), ERR_PRECONDITION);
    t_eq_u64(res.failed_op, 1);
    t_eq_u64(repl_tail(part).lsn, before);
    t_check(stored("c") == NULL);
    sound();
    stage_end();
}

T_TEST("unique keys are kept within a write, over writes not stored yet, and when freed")
{
    begin(false, 2);
    t_ok(put_one("a", "1", "u", 0));
    t_err(put_one("b", "1", "u", 0), ERR_EXISTS); /* against the overlay */
    store();
    t_err(put_one("b", "1", "u", 0), ERR_EXISTS); /* against storage */
    t_ok(put_one("a", "2", "u", 0));              /* its own */
    t_ok(put_one("a", "3", "v", 0));              /* frees u */
    t_ok(put_one("b", "1", "u", 0));
    struct script swap = {0};
    put(&swap, "a", "4", "u", 0); /* b still holds it at this point */
    put(&swap, "b", "2", "v", 0);
    t_err(run(&swap), ERR_EXISTS);
    t_eq_u64(res.failed_op, 0);
    struct script chain = {0};
    del(&chain, "b");
    put(&chain, "a", "4", "u", 0);
    put(&chain, "b", "2", "v", 0);
    t_ok(run(&chain));
    struct script twice = {0};
    put(&twice, "c", "1", "w", 0);
    put(&twice, "d", "1", "w", 0);
    t_err(run(&twice), ERR_EXISTS);
    t_eq_u64(res.failed_op, 1);
    sound();
    stage_end();
}

T_TEST("an expired document is absent, and gives its unique key away")
{
    begin(false, 2);
    uint64_t at = (uint64_t)wall / 1000 + 5;
    t_ok(put_one("a", "1", "u", at));
    store();
    t_err(put_one("b", "1", "u", 0), ERR_EXISTS);
    wall += 5000;
    struct script create = {0};
    put(&create, "a", "2", NULL, 0);
    create.must_be_absent[0] = true;
    struct script other = {0};
    put(&other, "b", "1", "u", 0);
    t_ok(run(&other)); /* the expired holder is deleted by an entry of its own first */
    t_ok(run(&create));
    sound();
    t_eq_cstr(stored("b"), "1");
    t_eq_cstr(stored("a"), "2");
    stage_end();
}

T_TEST("expired documents are deleted in time, and only they")
{
    begin(false, 2);
    uint64_t at = (uint64_t)wall / 1000;
    for (unsigned i = 0; i < 10; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "k%u", i);
        struct script s = {0};
        put(&s, arena_cstr(&arena, str_of(key)), "1", NULL, at + i);
        t_ok(run(&s));
    }
    store();
    wall += 4000;
    for (unsigned i = 0; i < 4; i++) {
        now_us += 1100000;
        wall += 1;
        repl_on_tick(R);
        store();
    }
    t_eq_u64(atomic_load(&repl_part_view(part)->item_count), 5);
    t_check(stored("k4") == NULL && stored("k5") != NULL);
    sound();
    stage_end();
}

/* Four purges, a second apart. */
static void purge_rounds(void)
{
    for (unsigned i = 0; i < 4; i++) {
        now_us += 1000000;
        wall += 1000;
        repl_on_tick(R);
        store();
    }
}

T_TEST("a wall clock that jumps deletes nothing early, and expiry goes on once it is believed")
{
    enum { HOUR_MS = 3600000 };
    begin(false, 2);
    uint64_t at = (uint64_t)wall / 1000 + 600;
    t_ok(put_one("a", "1", "u", at));
    store();
    purge_rounds();
    wall += HOUR_MS; /* it is not known yet that this is wrong */
    purge_rounds();
    t_check(stored("a") != NULL);
    repl_set_clock_ahead(R, HOUR_MS); /* the other regions say so */
    now_us += 20000000;
    wall += 20000;
    purge_rounds();
    t_check(stored("a") != NULL);
    t_err(put_one("b", "2", "u", 0), ERR_EXISTS); /* "a" has not expired */
    struct script s = {0};
    put(&s, "a", "2", NULL, at);
    s.must_be_absent[0] = true;
    (void)run(&s);
    t_check(s.saw[0]);
    wall -= HOUR_MS; /* repaired */
    repl_set_clock_ahead(R, 0);
    purge_rounds();
    t_check(stored("a") != NULL);
    now_us += 601000000;
    wall += 601000;
    purge_rounds();
    t_check(stored("a") == NULL);
    sound();
    stage_end();
}

T_TEST("time never runs backwards for a document")
{
    begin(false, 2);
    struct script s = {0};
    put(&s, "a", "1", NULL, 0);
    t_ok(run(&s));
    uint64_t first = s.seen_ts[0];
    wall -= INT64_C(3600) * 1000;
    struct script t = {0};
    put(&t, "a", "2", NULL, 0);
    t_ok(run(&t));
    t_eq_u64(t.seen_ts[0], first);
    stage_end();
}

T_TEST("no lsn at or above the limit is given out")
{
    begin(false, 2);
    struct repl_mode m = writer_mode(false, 2);
    m.lsn_limit = 3;
    repl_set_mode(R, &m);
    t_ok(put_one("a", "1", NULL, 0)); /* lsn 2 */
    t_err(put_one("b", "1", NULL, 0), ERR_UNAVAILABLE);
    m.lsn_limit = 4;
    repl_set_mode(R, &m);
    t_ok(put_one("b", "1", NULL, 0));
    sound();
    stage_end();
}

T_TEST("what is too large is refused before anything is written")
{
    begin(false, 2);
    lsn before = repl_tail(part).lsn;
    char *big = (char *)arena_alloc(&arena, ENGINE_DOC_SIZE_MAX + 2);
    memset(big, 'x', ENGINE_DOC_SIZE_MAX + 1);
    big[ENGINE_DOC_SIZE_MAX + 1] = 0;
    t_err(put_one("a", big, NULL, 0), ERR_LIMIT);
    struct script s = {0};
    for (int i = 0; i < 5; i++) { /* five of the largest do not fit one entry */
        static const char *const keys[] = {"1", "2", "3", "4", "5"};
        put(&s, keys[i], big + 1, NULL, 0);
    }
    t_err(run(&s), ERR_LIMIT);
    t_eq_u64(repl_tail(part).lsn, before);
    stage_end();
}

/* ---- quorum ---- */

static uint64_t bits(region_id a, region_id b, region_id c)
{
    return (a ? UINT64_C(1) << a : 0) | (b ? UINT64_C(1) << b : 0) | (c ? UINT64_C(1) << c : 0);
}

T_TEST("the lowest of the mask counts, and an unknown region has nothing")
{
    begin(true, bits(1, 2, 3));
    part->progress[0]->acked = 7;
    part->progress[1]->acked = 5;
    t_eq_u64(quorum_min(part, bits(1, 0, 0), 9), 9);
    t_eq_u64(quorum_min(part, bits(1, 2, 0), 9), 7);
    t_eq_u64(quorum_min(part, bits(1, 2, 3), 9), 5);
    t_eq_u64(quorum_min(part, bits(2, 3, 0), 1), 5);
    t_eq_u64(quorum_min(part, bits(1, 2, 9), 9), 0);
    stage_end();
}

T_TEST("who must have a write follows from level and partition")
{
    begin(true, bits(1, 2, 3));
    struct partition *meta = repl_find(R, 0);
    t_eq_u64(quorum_ack_mask(R, part), bits(1, 2, 3));
    struct repl_mode m = writer_mode(false, bits(1, 2, 3));
    repl_set_mode(R, &m);
    t_eq_u64(quorum_ack_mask(R, part), bits(1, 0, 0));
    t_eq_u64(quorum_ack_mask(R, meta), bits(1, 2, 3)); /* metadata: every online region */
    stage_end();
}

T_TEST("acknowledgements wait for the mask and never move back when it grows")
{
    begin(true, bits(1, 2, 0));
    struct wait_node n;
    wait_node_init(&n);
    t_ok(put_one("a", "1", NULL, 0));
    repl_wait_acked(part, &n, res.need);
    store();
    t_eq_u64(acked_count, 0);
    part->progress[0]->acked = res.lsn;
    quorum_update(part);
    t_eq_u64(acked_count, 1);
    lsn reached = repl_acked(part);
    repl_set_masks(R, bits(1, 2, 3), bits(1, 2, 3)); /* region 3 has nothing yet */
    t_eq_u64(repl_acked(part), reached);
    t_ok(put_one("b", "1", NULL, 0));
    wait_node_init(&n);
    repl_wait_acked(part, &n, res.need);
    store();
    part->progress[0]->acked = res.lsn;
    quorum_update(part);
    t_eq_u64(acked_count, 1); /* waits for region 3 */
    repl_set_masks(R, bits(1, 2, 0), bits(1, 2, 0));
    t_eq_u64(acked_count, 2);
    stage_end();
}

/* Region 2 must copy everything anyway, and is away. But its admission may have been made, unseen here: then
 * what it lacks when it is chosen has to be in our log. */
T_TEST("the log waits for a region that must copy everything once it is being admitted")
{
    begin(false, bits(1, 2, 0));
    struct repl_mode m = writer_mode(false, bits(1, 2, 0));
    m.copy_mask = bits(2, 0, 0);
    repl_set_mode(R, &m);
    lsn from = part->all_lsn;
    t_ok(put_one("a", "1", NULL, 0));
    store();
    t_eq_u64(part->all_lsn, from);
    m.online_mask = bits(1, 0, 0);
    repl_set_mode(R, &m);
    t_eq_u64(part->all_lsn, res.lsn);
    stage_end();
}

static void make_seven(void)
{
    (void)repl_part(R, 7);
}

/* The metadata are opened first. What was not known to be acknowledged is then, and may have a container. */
T_TEST("a partition that comes to be while an epoch opens is opened once")
{
    begin(false, bits(1, 0, 0));
    struct repl_mode m = writer_mode(false, bits(1, 0, 0));
    m.generation = 3;
    m.epoch = 2;
    m.start_lsn = m.lsn_limit;
    m.lsn_limit += 1000000;
    repl_set_mode(R, &m);
    stage_on_metadata = make_seven;
    repl_open_epoch(R);
    stage_on_metadata = NULL;
    const struct partition *made = repl_find(R, 7);
    t_check(made != NULL);
    t_eq_u64(repl_tail(made).lsn, m.start_lsn);
    t_eq_u64(repl_tail(part).lsn, m.start_lsn);
    store();
    stage_end();
}

/* The meta of the partition with other bytes in `extra`. */
static void set_extra(struct str extra)
{
    struct engine_part_meta m;
    struct buf hold;
    enum err each = OK;
    buf_init(&hold, 1 << 20);
    t_ok(engine_part_meta_get(engine, NULL, 1, &hold, &m, NULL));
    m.extra = extra;
    struct engine_batch *b = engine_batch_new(engine);
    engine_batch_meta(b, 1, &m);
    t_ok(engine_apply(engine, &b, 1, true, &each, NULL));
    t_ok(each);
    engine_batch_free(b);
    buf_done(&hold);
}

T_TEST("a partition's meta of version 1 is read, one of a newer version is refused and left alone")
{
    enum { FLAGS_AT = 25, FLAGS_SIZE = 9 };
    begin(false, 2);
    t_ok(put_one("a", "1", NULL, 0));
    store();
    struct place tail = repl_tail(part);
    struct engine_part_meta m;
    struct buf hold;
    buf_init(&hold, 1 << 20);
    t_ok(engine_part_meta_get(engine, NULL, 1, &hold, &m, NULL));
    char *extra = mem_dup(m.extra.p, m.extra.n);
    size_t n = m.extra.n;
    t_eq_int(extra[0], 2);
    repl_free(R);
    /* Version 1 has neither flags nor the size of the log. */
    char *old = mem_dup(extra, n);
    old[0] = 1;
    memmove(old + FLAGS_AT, old + FLAGS_AT + FLAGS_SIZE, n - FLAGS_AT - FLAGS_SIZE);
    set_extra(str_make(old, n - FLAGS_SIZE));
    t_ok(open_repl(NULL));
    struct place again = repl_tail(repl_part(R, 1));
    t_check(again.epoch == tail.epoch && again.lsn == tail.lsn && again.chain == tail.chain);
    t_check(repl_log_size(R) > 0); /* a guess */
    t_check(!repl_is_corrupt(repl_part(R, 1)));
    repl_free(R);
    /* Version 3: index rows of versions that could not be read are left. */
    extra[0] = 3;
    extra[FLAGS_AT] = 2;
    set_extra(str_make(extra, n));
    t_ok(open_repl(NULL));
    t_check(repl_is_corrupt(repl_part(R, 1)));
    t_eq_u64(repl_corrupt_count(R), 1);
    repl_free(R);
    extra[FLAGS_AT] = 0;
    extra[0] = 4;
    set_extra(str_make(extra, n));
    struct errinfo ei = {0};
    struct repl *none = R;
    t_err(open_repl(&ei), ERR_FORMAT_NEWER);
    t_check(R == none);
    t_contains(str_of(ei.message), "partition 1: meta of version 4");
    extra[0] = 0;
    set_extra(str_make(extra, n));
    t_err(open_repl(NULL), ERR_CORRUPT);
    extra[0] = 2;
    set_extra(str_make(extra, n));
    t_ok(open_repl(NULL));
    stage_end();
    buf_done(&hold);
    mem_free(old);
    mem_free(extra);
}

/* Rows of a partition that storage has, its meta included. */
static size_t stored_rows(pid p)
{
    struct engine_part_meta m;
    struct buf hold;
    buf_init(&hold, 1 << 20);
    size_t n = engine_part_meta_get(engine, NULL, p, &hold, &m, NULL) == OK;
    buf_done(&hold);
    struct engine_iter *its[] = {engine_scan_log(engine, NULL, p, 0),
                                 engine_scan_changes(engine, NULL, p, 0, 0),
                                 engine_scan_dirty(engine, NULL, p)};
    for (size_t i = 0; i < ARRAY_COUNT(its); i++) {
        struct engine_row row;
        while (engine_iter_next(its[i], &row)) {
            n++;
        }
        t_ok(engine_iter_err(its[i], NULL));
        engine_iter_free(its[i]);
    }
    return n;
}

static size_t stored_marks(void)
{
    struct engine_iter *it = engine_scan_drops(engine, NULL);
    struct engine_row row;
    size_t n = 0;
    while (engine_iter_next(it, &row)) {
        n++;
    }
    t_ok(engine_iter_err(it, NULL));
    engine_iter_free(it);
    return n;
}

static void write_many(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "k%u", i);
        t_ok(put_one(key, "1", NULL, 0));
        if (i % 50 == 49) {
            store();
        }
    }
}

T_TEST("a dropped partition leaves storage, in slices and after what was still on its way")
{
    begin(false, 2);
    write_many(1040); /* the last ones are not stored yet */
    repl_drop_part(R, 1);
    t_check(repl_find(R, 1) == NULL);
    t_eq_u64(repl_parts_top(R), 1); /* nor will there be another one of that number */
    repl_on_tick(R);
    t_check(stored_rows(1) > 2000); /* not before those are stored */
    store();
    repl_on_tick(R);
    store();
    t_eq_u64(stored_marks(), 1); /* gone, with rows left over */
    t_check(stored_rows(1) > 0);
    for (unsigned i = 0; i < 8 && stored_marks() > 0; i++) {
        repl_on_tick(R);
        store();
    }
    t_eq_u64(stored_rows(1), 0);
    t_eq_u64(stored_marks(), 0);
    stage_end();
}

T_TEST("a start finishes a drop that was cut short")
{
    begin(false, 2);
    write_many(1100);
    store();
    repl_drop_part(R, 1);
    repl_on_tick(R);
    store();
    t_eq_u64(stored_marks(), 1);
    t_check(stored_rows(1) > 0);
    repl_free(R);
    t_ok(open_repl(NULL));
    t_eq_u64(stored_marks(), 0);
    t_eq_u64(stored_rows(1), 0);
    t_check(repl_find(R, 1) == NULL);
    stage_end();
}

T_MAIN()
