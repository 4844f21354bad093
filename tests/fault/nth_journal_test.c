/* The coordinator's file: whatever call fails, the process ends or says no, and everything it had
 * reported as durable is there at the next start. */
#include "nth.h"

#include <sched.h>

#include "coord/journal.c"

#include "base/arena.h"
#include "coord/coord.h"

enum { KEYS = 6, REWRITE_AFTER = 3 };

static void on_durable(void *ctx, uint64_t seq)
{
    UNUSED(ctx);
    __atomic_store_n(&nth->notes[0], (char)seq, __ATOMIC_SEQ_CST); /* survives this process */
}

static void on_failed(void *ctx, const char *why)
{
    UNUSED(ctx);
    UNUSED(why);
    _exit(NTH_FAILED); /* what the contract asks for */
}

static const struct journal_events events = {.durable = on_durable, .failed = on_failed};

static bool put(struct coord_store *store, struct journal *j, unsigned i)
{
    struct arena a;
    struct buf record;
    struct coord_txn_result r;
    char key[16];
    arena_init(&a);
    buf_init(&record, 2 << 20);
    (void)snprintf(key, sizeof(key), "key%u", i);
    struct coord_txn t = {.put_count = 1, .puts = {{.key = str_of(key), .value = STR("value")}}};
    struct errinfo ei = {0};
    bool is_taken = journal_reserve(j, 1024, &ei) == OK;
    if (is_taken) {
        coord_store_txn(store, &t, &a, &r, &record);
        uint64_t seq = journal_append(j, buf_str(&record));
        while ((uint64_t)__atomic_load_n(&nth->notes[0], __ATOMIC_SEQ_CST) < seq) {
            (void)sched_yield(); /* for the journal's thread; on failure it ends the process */
        }
    }
    arena_done(&a);
    buf_done(&record);
    return is_taken;
}

static int work(const char *dir)
{
    struct errinfo ei = {0};
    struct journal *j = NULL;
    struct coord_store *store = coord_store_new();
    if (journal_open(dir, store, &events, &j, &ei) != OK) {
        return ei.message[0] != '\0' ? NTH_FAILED : 1;
    }
    for (unsigned i = 0; i < KEYS; i++) {
        if (!put(store, j, i)) {
            return NTH_FAILED;
        }
        if (i == REWRITE_AFTER) {
            struct buf snapshot;
            buf_init(&snapshot, 4 << 20);
            coord_store_snapshot(store, &snapshot);
            journal_rewrite(j, buf_str(&snapshot));
            buf_done(&snapshot);
        }
    }
    journal_close(j);
    coord_store_free(store);
    return NTH_DONE;
}

static void look(const char *dir, int outcome)
{
    struct errinfo ei = {0};
    struct journal *j = NULL;
    struct coord_store *store = coord_store_new();
    uint64_t durable = (uint64_t)nth->notes[0];
    t_check(outcome != NTH_DONE || durable >= KEYS);
    t_ok_info(journal_open(dir, store, &events, &j, &ei), &ei);
    struct arena a;
    arena_init(&a);
    for (unsigned i = 0; i < KEYS && i < durable; i++) {
        char key[16];
        const struct coord_kv *kvs = NULL;
        (void)snprintf(key, sizeof(key), "key%u", i);
        t_checkf(coord_store_read(store, str_of(key), &a, &kvs) == 1, "%s was durable and is gone",
                 key);
    }
    arena_done(&a);
    journal_close(j);
    coord_store_free(store);
}

T_TEST("what the coordinator reported as durable is there, whatever call failed")
{
    nth_each("journal", work, look);
}

T_MAIN()
