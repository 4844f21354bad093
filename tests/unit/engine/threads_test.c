/* Readers beside the writer. Every group sets all documents to one number: a reader who sees two
 * numbers in one snapshot, scan or change feed has seen half a group. Run under tsan, this is also
 * the check of the locking. */
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "suite.h"

enum { DOCS = 20, READERS = 3, RUN_US = 150000 };

struct shared {
    struct engine *e;
    _Atomic bool is_over;
    _Atomic uint64_t reads;
};

static struct engine_batch *round_batch(struct engine *e, uint64_t round)
{
    struct engine_batch *b = engine_batch_new(e);
    char text[32];
    (void)snprintf(text, sizeof(text), "%lu", round);
    for (uint16_t i = 0; i < (uint16_t)DOCS; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "k%02u", i);
        struct engine_doc doc = suite_doc(round, i, text);
        doc.version.expire_at = round;
        struct engine_version old = {.lsn = round - 1, .op_idx = i, .expire_at = round - 1};
        engine_batch_put(b, 1, SPACE_ITEM, str_of(key), &doc, &old);
    }
    struct engine_part_meta meta = {.tail_lsn = round,
                                    .first_lsn = 0,
                                    .item_count = DOCS,
                                    .item_size = (size_t)DOCS * strlen(text)};
    engine_batch_meta(b, 1, &meta);
    engine_batch_guard(b, round);
    return b;
}

static size_t scan(struct engine_iter *it, uint64_t *round)
{
    struct engine_row row;
    size_t n = 0;
    while (engine_iter_next(it, &row)) {
        uint64_t got = row.lsn != 0 ? row.lsn : row.doc.version.lsn;
        if (*round != 0 && got != *round) {
            t_fail_soft("round %lu beside round %lu", got, *round);
        }
        *round = got;
        n++;
    }
    engine_iter_free(it);
    return n;
}

static void *reader(void *arg)
{
    struct shared *s = (struct shared *)arg;
    struct buf hold;
    buf_init(&hold, 4096);
    uint64_t newest = 0;
    while (!s->is_over) {
        struct engine_snap *snap = engine_snap_get(s->e);
        uint64_t round = 0;
        size_t n = scan(engine_scan(s->e, snap, 1, SPACE_ITEM, STR_NONE, STR_NONE), &round);
        n += scan(engine_scan_changes(s->e, snap, 1, 0, 0), &round);
        struct engine_doc doc;
        struct engine_part_meta meta;
        if (engine_get(s->e, snap, 1, SPACE_ITEM, STR("k07"), true, &hold, &doc, NULL) == OK &&
            doc.version.lsn != round) {
            t_fail_soft("get sees round %lu, scan %lu", doc.version.lsn, round);
        }
        if (engine_part_meta_get(s->e, snap, 1, &hold, &meta, NULL) == OK &&
            meta.tail_lsn != round) {
            t_fail_soft("meta sees round %lu, scan %lu", meta.tail_lsn, round);
        }
        engine_snap_release(s->e, snap);
        uint64_t latest = 0;
        n += scan(engine_scan_back(s->e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE), &latest);
        if (n != 3 * (size_t)DOCS && n != DOCS && n != 0) {
            t_fail_soft("%zu rows", n);
        }
        if (round < newest || latest < round) {
            t_fail_soft("time went back: %lu, %lu, %lu", newest, round, latest);
        }
        newest = latest;
        s->reads++;
    }
    buf_done(&hold);
    return NULL;
}

static void test_readers_see_whole_groups(void)
{
    struct shared s = {.e = suite_open()};
    pthread_t threads[READERS];
    for (size_t i = 0; i < READERS; i++) {
        t_eq_int(pthread_create(&threads[i], NULL, reader, &s), 0);
    }
    usec start = clock_boot_us();
    uint64_t round = 0;
    while (clock_boot_us() - start < RUN_US || s.reads < 10) {
        struct engine_batch *group[3];
        enum err each[3];
        /* Three rounds in a group: the first two are never seen. */
        for (size_t i = 0; i < 3; i++) {
            group[i] = round_batch(s.e, ++round);
        }
        t_ok(engine_apply(s.e, group, 3, true, each, NULL));
        for (size_t i = 0; i < 3; i++) {
            engine_batch_free(group[i]);
        }
        if (round % 30 == 0) {
            t_ok(engine_drop_partition(s.e, 2, NULL));
        }
    }
    s.is_over = true;
    for (size_t i = 0; i < READERS; i++) {
        t_eq_int(pthread_join(threads[i], NULL), 0);
    }
    t_eq_u64(engine_generation(s.e), round);
    t_eq_u64(suite_verify(s.e), 0);
    t_note("%lu rounds, %lu reads", round, s.reads);
    engine_close(s.e);
}

static const struct suite_case cases[] = {
    {"readers see whole groups beside the writer", test_readers_see_whole_groups},
};
SUITE_MAIN(cases)
