/* What one machine gives: bare RocksDB with its defaults, N threads, each write durable before the
 * next. RocksDB itself joins the writes of waiting threads into one sync.
 *
 *   rocks_bare DIR create|upsert|read THREADS SECONDS [WARM SECONDS] [IDS] [--log]
 *
 * upsert and read use the items "fill-0000000000" and on, which are put first when absent. With
 * --log each write also stores the item once more under a key of its own, as a store with a
 * replication log does. Prints one line of JSON. */
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/mem.h"
#include "bench/sample.h"
#include "bench/wire.h"

enum { STACK_SIZE = 256 << 10 };

struct rocks {
    rocksdb_t *db;
    rocksdb_writeoptions_t *sync;
    rocksdb_readoptions_t *read;
    enum work work;
    bool has_log;
    uint64_t id_count;
    uint64_t counted_from, ends;
    char prefix[16];
    _Atomic uint64_t next;
};

struct worker {
    pthread_t thread;
    struct rocks *rocks;
    struct item_maker items;
    struct sample sample;
};

static void put(struct rocks *r, rocksdb_writeoptions_t *options, const char *id, size_t id_n,
                const char item[ITEM_SIZE], uint64_t number)
{
    char *message = NULL;
    if (r->has_log) {
        char log_key[32];
        int n = snprintf(log_key, sizeof(log_key), "log-%s-%010lu", r->prefix, number);
        rocksdb_writebatch_t *b = rocksdb_writebatch_create();
        rocksdb_writebatch_put(b, id, id_n, item, ITEM_SIZE);
        rocksdb_writebatch_put(b, log_key, (size_t)n, item, ITEM_SIZE);
        rocksdb_write(r->db, options, b, &message);
        rocksdb_writebatch_destroy(b);
    } else {
        rocksdb_put(r->db, options, id, id_n, item, ITEM_SIZE, &message);
    }
    ASSERT(message == NULL);
}

static bool get(struct rocks *r, const char *id, size_t id_n)
{
    char *message = NULL;
    rocksdb_pinnableslice_t *found = rocksdb_get_pinned(r->db, r->read, id, id_n, &message);
    ASSERT(message == NULL);
    bool is_found = found != NULL;
    rocksdb_pinnableslice_destroy(found);
    return is_found;
}

static void *work_on(void *arg)
{
    struct worker *w = (struct worker *)arg;
    struct rocks *r = w->rocks;
    char id[ITEM_ID_SIZE];
    char item[ITEM_SIZE];
    for (uint64_t now = sample_now_ns(); now < r->ends;) {
        uint64_t number = atomic_fetch_add(&r->next, 1);
        bool is_new = r->work == WORK_CREATE;
        size_t id_n = item_id(id, is_new ? r->prefix : "fill",
                              is_new ? number : rng_below(&w->items.rng, r->id_count));
        bool is_fine = true;
        if (r->work == WORK_READ) {
            is_fine = get(r, id, id_n);
        } else {
            item_make(&w->items, id, item);
            put(r, r->sync, id, id_n, item, number);
        }
        uint64_t after = sample_now_ns();
        if (!is_fine) {
            w->sample.errors++;
        } else if (after >= r->counted_from) {
            sample_add(&w->sample, after - now);
        }
        now = after;
    }
    return NULL;
}

/* Puts the existing items, one sync at the end. */
static void fill(struct rocks *r)
{
    char id[ITEM_ID_SIZE];
    char item[ITEM_SIZE];
    struct item_maker m;
    size_t last_n = item_id(id, "fill", r->id_count - 1);
    if (get(r, id, last_n)) {
        return;
    }
    rocksdb_writeoptions_t *lazy = rocksdb_writeoptions_create();
    item_maker_init(&m, 1);
    for (uint64_t i = 0; i < r->id_count; i++) {
        size_t id_n = item_id(id, "fill", i);
        item_make(&m, id, item);
        put(r, i + 1 < r->id_count ? lazy : r->sync, id, id_n, item, i);
    }
    item_maker_done(&m);
    rocksdb_writeoptions_destroy(lazy);
}

static void open_db(struct rocks *r, const char *dir)
{
    char *message = NULL;
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    r->db = rocksdb_open(o, dir, &message);
    if (message != NULL) {
        fprintf(stderr, "rocks_bare: %s\n", message);
        exit(1);
    }
    rocksdb_options_destroy(o);
    r->sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->sync, 1);
    r->read = rocksdb_readoptions_create();
    (void)snprintf(r->prefix, sizeof(r->prefix), "n%08x", (unsigned)sample_now_ns());
}

static void run(struct rocks *r, size_t thread_count)
{
    struct worker *workers = MEM_NEW_ARRAY(struct worker, thread_count);
    pthread_attr_t attr;
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (size_t i = 0; i < thread_count; i++) {
        workers[i].rocks = r;
        item_maker_init(&workers[i].items, i + 1);
    }
    uint64_t began = sample_now_ns();
    r->counted_from += began;
    r->ends += r->counted_from;
    for (size_t i = 0; i < thread_count; i++) {
        int rc = pthread_create(&workers[i].thread, &attr, work_on, &workers[i]);
        ASSERT(rc == 0);
    }
    static struct sample all;
    for (size_t i = 0; i < thread_count; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        sample_merge(&all, &workers[i].sample);
        item_maker_done(&workers[i].items);
    }
    printf("{\"sample\":");
    sample_print(&all, (double)(sample_now_ns() - r->counted_from) / 1e9);
    printf("}\n");
    (void)pthread_attr_destroy(&attr);
    mem_free(workers);
}

int main(int argc, char **argv)
{
    static struct rocks r;
    bool has_log = argc > 5 && strcmp(argv[argc - 1], "--log") == 0;
    argc -= has_log ? 1 : 0;
    size_t threads = argc > 3 ? (size_t)strtoul(argv[3], NULL, 10) : 0;
    if (argc < 5 || !work_parse(argv[2], &r.work) || threads < 1 || threads > CONNECTIONS_MAX) {
        fprintf(stderr,
                "usage: rocks_bare DIR create|upsert|read THREADS SECONDS [WARM] [IDS] [--log]\n");
        return 2;
    }
    r.has_log = has_log;
    r.ends = (uint64_t)(strtod(argv[4], NULL) * 1e9);
    r.counted_from = argc > 5 ? (uint64_t)(strtod(argv[5], NULL) * 1e9) : 0;
    r.id_count = argc > 6 ? strtoul(argv[6], NULL, 10) : 20000;
    open_db(&r, argv[1]);
    if (r.work != WORK_CREATE) {
        fill(&r);
    }
    run(&r, threads);
    rocksdb_readoptions_destroy(r.read);
    rocksdb_writeoptions_destroy(r.sync);
    rocksdb_close(r.db);
    return 0;
}
