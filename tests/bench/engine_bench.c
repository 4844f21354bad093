/* What the engine costs over bare RocksDB: durable 1 KiB writes, each a document, its change row,
 * its log entry and the partition's meta, in groups of 1, 8 and 64. Three ways, interleaved:
 *
 *   bare       the same rows put by hand into one RocksDB write batch per group, default options
 *   engine     engine_apply on a group
 *   committer  the group submitted to the commit thread, then waited for (closed loop)
 *
 * Prints one JSON object: writes per second per round, and the medians' ratios to bare.
 * Usage: engine_bench [SECONDS per measurement, default 0.5] [ROUNDS, default 3] [DIR] */
#include <ftw.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/mem.h"
#include "engine/commit.h"
#include "engine/engine.h"

enum { TEXT_SIZE = 1024, KEYS = 20000, ROUNDS_MAX = 32, GROUP_MAX = 64 };

static const size_t group_sizes[] = {1, 8, 64};
enum way { BARE, ENGINE, COMMITTER, WAYS };
static const char *const way_names[WAYS] = {"bare", "engine", "committer"};

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t left;
};

struct bench {
    double seconds;
    rocksdb_t *bare;
    rocksdb_writeoptions_t *bare_sync;
    struct engine *engine;
    struct committer *committer;
    struct waiter waiter;
    char text[TEXT_SIZE];
    char entry[TEXT_SIZE + 96]; /* an encoded log entry holds the document and its header */
    lsn next;
    lsn written_at[KEYS]; /* version each key has; 0 = none */
    uint64_t item_count;
};

static struct str key_of(char ret[24], lsn at)
{
    int n = snprintf(ret, 24, "key-%08lu", at * 7919 % KEYS);
    return str_make(ret, (size_t)n);
}

/* Compressible about two to one, different each time. */
static void fill(struct bench *b)
{
    uint64_t x = b->next * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < TEXT_SIZE; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        b->text[i] = (char)('a' + (x & 15));
    }
    memcpy(b->entry + 96, b->text, TEXT_SIZE);
}

static void bare_group(struct bench *b, size_t n)
{
    char key[24];
    char row[64] = {0};
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
    for (size_t i = 0; i < n; i++) {
        lsn at = ++b->next;
        fill(b);
        struct str k = key_of(key, at);
        char doc_key[64];
        char log_key[64];
        char change_key[64];
        char value[TEXT_SIZE + 72] = {0};
        memcpy(value + 72, b->text, TEXT_SIZE);
        int dn = snprintf(doc_key, sizeof(doc_key), "d%08d" STR_FMT, 1, STR_ARG(k));
        int ln = snprintf(log_key, sizeof(log_key), "l%016lx", at);
        int cn = snprintf(change_key, sizeof(change_key), "c%016lx", at);
        rocksdb_writebatch_put(wb, doc_key, (size_t)dn, value, sizeof(value));
        rocksdb_writebatch_put(wb, log_key, (size_t)ln, b->entry, sizeof(b->entry));
        rocksdb_writebatch_put(wb, change_key, (size_t)cn, row, 18);
    }
    char meta[106] = {0};
    rocksdb_writebatch_put(wb, "m", 1, meta, sizeof(meta));
    char *message = NULL;
    rocksdb_write(b->bare, b->bare_sync, wb, &message);
    ASSERT(message == NULL);
    rocksdb_writebatch_destroy(wb);
}

static struct engine_batch *batch_of(struct bench *b)
{
    char key[24];
    lsn at = ++b->next;
    fill(b);
    struct str k = key_of(key, at);
    lsn *before = &b->written_at[at * 7919 % KEYS];
    struct engine_version old = {.lsn = *before};
    b->item_count += *before == 0 ? 1 : 0;
    *before = at;
    struct engine_doc doc = {
        .version = {.lsn = at, .doc_size = TEXT_SIZE},
        .epoch = 1,
        .text = str_make(b->text, TEXT_SIZE),
    };
    struct engine_part_meta meta = {
        .tail_lsn = at,
        .first_lsn = 1,
        .item_count = b->item_count,
        .item_size = b->item_count * TEXT_SIZE,
    };
    struct engine_batch *batch = engine_batch_new(b->engine);
    engine_batch_guard(batch, 1);
    engine_batch_log(batch, 1, at, str_make(b->entry, sizeof(b->entry)));
    engine_batch_put(batch, 1, SPACE_ITEM, k, &doc, &old);
    engine_batch_meta(batch, 1, &meta);
    return batch;
}

static void engine_group(struct bench *b, size_t n)
{
    struct engine_batch *batches[GROUP_MAX];
    enum err each[GROUP_MAX];
    for (size_t i = 0; i < n; i++) {
        batches[i] = batch_of(b);
    }
    enum err err = engine_apply(b->engine, batches, n, true, each, NULL);
    ASSERT(err == OK);
    for (size_t i = 0; i < n; i++) {
        ASSERT(each[i] == OK);
        engine_batch_free(batches[i]);
    }
}

static void on_done(void *ctx, const struct committer_done *done, size_t n,
                    const struct errinfo *ei)
{
    struct waiter *w = (struct waiter *)ctx;
    UNUSED(done);
    ASSERT(ei->code == OK);
    pthread_mutex_lock(&w->lock);
    w->left -= n;
    if (w->left == 0) {
        pthread_cond_signal(&w->changed);
    }
    pthread_mutex_unlock(&w->lock);
}

static void committer_group(struct bench *b, size_t n)
{
    b->waiter.left = n; /* the thread is idle between groups */
    for (size_t i = 0; i < n; i++) {
        enum err err = committer_submit(b->committer, batch_of(b), b->next);
        ASSERT(err == OK);
    }
    committer_wake(b->committer);
    pthread_mutex_lock(&b->waiter.lock);
    while (b->waiter.left > 0) {
        pthread_cond_wait(&b->waiter.changed, &b->waiter.lock);
    }
    pthread_mutex_unlock(&b->waiter.lock);
}

static double measure(struct bench *b, enum way way, size_t n)
{
    usec start = clock_boot_us();
    usec limit = (usec)(b->seconds * 1e6);
    usec took = 0;
    size_t writes = 0;
    do {
        if (way == BARE) {
            bare_group(b, n);
        } else if (way == ENGINE) {
            engine_group(b, n);
        } else {
            committer_group(b, n);
        }
        writes += n;
        took = clock_boot_us() - start;
    } while (took < limit);
    return (double)writes * 1e6 / (double)took;
}

static int double_cmp(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), double_cmp);
    return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void run_group_size(struct bench *b, size_t group, size_t rounds)
{
    double rate[WAYS][ROUNDS_MAX];
    for (size_t r = 0; r < rounds; r++) {
        for (size_t w = 0; w < WAYS; w++) {
            rate[w][r] = measure(b, (enum way)w, group);
        }
    }
    printf("{\"group\":%zu", group);
    double mid[WAYS];
    for (size_t w = 0; w < WAYS; w++) {
        mid[w] = median(rate[w], rounds);
        printf(",\"%s\":{\"median\":%.0f,\"min\":%.0f,\"max\":%.0f,\"ratio\":%.3f}", way_names[w],
               mid[w], rate[w][0], rate[w][rounds - 1], mid[w] / mid[BARE]);
    }
    printf("}");
}

static void open_all(struct bench *b, const char *dir)
{
    char path[512];
    char *message = NULL;
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    (void)snprintf(path, sizeof(path), "%s/bare", dir);
    b->bare = rocksdb_open(o, path, &message);
    ASSERT(message == NULL);
    rocksdb_options_destroy(o);
    b->bare_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(b->bare_sync, 1);
    (void)snprintf(path, sizeof(path), "%s/engine", dir);
    struct engine_opts opts = {.driver = STR("rocksdb"), .dir = str_of(path)};
    enum err err = engine_open(&opts, &b->engine, NULL);
    ASSERT(err == OK);
    pthread_mutex_init(&b->waiter.lock, NULL);
    pthread_cond_init(&b->waiter.changed, NULL);
    struct committer_cfg cfg = {.engine = b->engine, .done = on_done, .ctx = &b->waiter};
    b->committer = committer_new(&cfg);
}

static void close_all(struct bench *b)
{
    struct committer_stats s;
    committer_stats_get(b->committer, &s);
    printf(",\"committer\":{\"groups\":%lu,\"sleeps\":%lu,\"apply_us_p50\":%lu,"
           "\"apply_us_p99\":%lu}",
           s.groups, s.sleeps, s.apply_us_p50, s.apply_us_p99);
    committer_free(b->committer);
    engine_close(b->engine);
    rocksdb_writeoptions_destroy(b->bare_sync);
    rocksdb_close(b->bare);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(place);
    return remove(path);
}

int main(int argc, char **argv)
{
    static struct bench b;
    char dir[] = "/var/tmp/holdfast-bench-XXXXXX"; /* not /tmp: that may be memory */
    b.seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
    size_t rounds = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 3;
    ASSERT(b.seconds > 0 && rounds >= 1 && rounds <= ROUNDS_MAX);
    bool is_ours = argc <= 3;
    if (is_ours && mkdtemp(dir) == NULL) {
        perror(dir);
        return 1;
    }
    open_all(&b, is_ours ? dir : argv[3]);
    struct utsname host;
    (void)uname(&host);
    printf("{\"bench\":\"engine\",\"cpus\":%ld,\"kernel\":\"%s\",\"text_size\":%d,\"seconds\":%.2f,"
           "\"rounds\":%zu,\"groups\":[",
           sysconf(_SC_NPROCESSORS_ONLN), host.release, TEXT_SIZE, b.seconds, rounds);
    for (size_t i = 0; i < ARRAY_COUNT(group_sizes); i++) {
        printf("%s", i > 0 ? "," : "");
        run_group_size(&b, group_sizes[i], rounds);
    }
    printf("]");
    close_all(&b);
    printf("}\n");
    if (is_ours) {
        (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* what is left is only litter */
    }
    return 0;
}
