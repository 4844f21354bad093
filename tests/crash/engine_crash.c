/* Kills a writing process at random, many times over one directory, and checks after each kill that
 *
 *   - the engine opens and engine_verify finds nothing
 *   - every acknowledged batch is there
 *   - what is there is exactly the result of the first N batches of each partition, for some N
 *     between the last acknowledged and the last submitted one: no gap, no half batch
 *   - the generation is not below the acknowledged one
 *
 * What batch number n of a partition does is a function of (partition, n), so the checker can fold
 * the history without having seen it. Writer and checker are children of this process, which never
 * opens the engine itself (fork and threads do not mix). Acknowledgements reach the parent through
 * shared memory: they survive the kill.
 *
 * Usage: engine_crash [ROUNDS, default 100]. T_SEED chooses the times; it is printed on failure. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/contract.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/commit.h"
#include "engine/engine.h"
#include "lib/t.h"

enum {
    PARTS = 3,
    KEYS = 40,
    OPS_MAX = 4,
    TEXT_MAX = 1500,
    LOG_KEPT = 50,
    IN_FLIGHT_MAX = 64,
    DROPPED_PID = 50,
    DROPPED_ROWS = 3000,
    SLICE_ROWS = 1000, /* several of them */
};

struct shared {
    _Atomic uint64_t acked[PARTS];     /* last acknowledged batch */
    _Atomic uint64_t submitted[PARTS]; /* last batch handed over */
    _Atomic uint64_t acked_generation;
    _Atomic uint64_t in_flight;
    _Atomic uint64_t drops;
};
static struct shared *shared;
static char dir[512];

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
static void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("# ", stdout);
    (void)vprintf(fmt, ap);
    (void)fputs("\n", stdout);
    va_end(ap);
    (void)fflush(stdout);
    _exit(1);
}

static void report(void *ctx, const char *finding)
{
    UNUSED(ctx);
    printf("# finding: %s\n", finding);
}

static struct engine *open_engine(void)
{
    struct engine *e = NULL;
    struct errinfo ei = {0};
    /* Small memtables: files are written and merged all the time, also while it is killed. */
    struct engine_opts opts = {
        .driver = STR("rocksdb"), .dir = str_of(dir), .write_buffer_size = 512 << 10};
    if (engine_open(&opts, &e, &ei) != OK) {
        die("open: %s: %s", err_name(ei.code), ei.message);
    }
    return e;
}

/* ---- the history ---- */

struct version {
    uint64_t n; /* batch that wrote it; 0 = absent */
    uint16_t op_idx;
};

struct step {
    bool is_delete;
    size_t key;
    size_t text_size;
    uint64_t expire_at;
    uint64_t unique;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 31;
    x *= UINT64_C(0x7fb5d329728ea185);
    x ^= x >> 27;
    x *= UINT64_C(0x81dadef4bc2dd44d);
    return x ^ (x >> 33);
}

static uint16_t step_count(size_t part, uint64_t n)
{
    return (uint16_t)(1 + mix(part * 1000003 + n) % OPS_MAX);
}

static struct step step_of(size_t part, uint64_t n, uint16_t op_idx)
{
    uint64_t h = mix(mix(part * 1000003 + n) + op_idx + 1);
    return (struct step){
        .is_delete = h % 5 == 0,
        .key = (h >> 8) % KEYS,
        .text_size = (h >> 16) % TEXT_MAX,
        .expire_at = (h >> 32) % 3 == 0 ? 1000 + (h >> 40) % 100 : 0,
        .unique = (h >> 48) % 3,
    };
}

static struct str text_of(size_t part, uint64_t n, uint16_t op_idx, size_t size, char ret[TEXT_MAX])
{
    uint64_t h = mix(n * 31 + op_idx * UINT64_C(7) + part);
    for (size_t i = 0; i < size; i++) {
        ret[i] = (char)('a' + ((h >> (i % 56)) & 15));
    }
    return str_make(ret, size);
}

/* Strings a version needs. */
struct names {
    char key[16];
    char unique[24];
    struct str unique_str;
};

static struct engine_version version_of(size_t part, struct version v, struct names *names)
{
    if (v.n == 0) {
        return (struct engine_version){0};
    }
    struct step s = step_of(part, v.n, v.op_idx);
    (void)snprintf(names->unique, sizeof(names->unique), "u%zu-%lu", s.key, s.unique);
    names->unique_str = str_of(names->unique);
    return (struct engine_version){
        .lsn = v.n,
        .op_idx = v.op_idx,
        .expire_at = s.expire_at,
        .unique_count = 1,
        .uniques = &names->unique_str,
        .doc_size = s.text_size,
    };
}

static void fold(size_t part, uint64_t upto, struct version versions[KEYS])
{
    memset(versions, 0, KEYS * sizeof(versions[0]));
    for (uint64_t n = 1; n <= upto; n++) {
        for (uint16_t i = 0, count = step_count(part, n); i < count; i++) {
            struct step s = step_of(part, n, i);
            versions[s.key] = (struct version){.n = s.is_delete ? 0 : n, .op_idx = i};
        }
    }
}

/* ---- the writer ---- */

struct writer {
    struct engine *e;
    struct committer *c;
    struct version versions[PARTS][KEYS];
    uint64_t tail[PARTS];
};

static uint64_t tail_of(struct engine *e, size_t part)
{
    struct buf hold;
    struct engine_part_meta meta = {0};
    struct errinfo ei = {0};
    buf_init(&hold, 4096);
    enum err err = engine_part_meta_get(e, NULL, part, &hold, &meta, &ei);
    buf_done(&hold);
    if (err != OK && err != ERR_NOT_FOUND) {
        die("meta: %s", ei.message);
    }
    return meta.tail_lsn;
}

static void add_step(struct writer *w, struct engine_batch *b, size_t part, uint64_t n, uint16_t i)
{
    struct step s = step_of(part, n, i);
    struct version *v = &w->versions[part][s.key];
    struct names old_names;
    struct names now_names;
    char text[TEXT_MAX];
    char key[16];
    int key_size = snprintf(key, sizeof(key), "k%03zu", s.key);
    struct engine_version old = version_of(part, *v, &old_names);
    if (s.is_delete) {
        engine_batch_delete(b, part, SPACE_ITEM, str_make(key, (size_t)key_size), &old);
        *v = (struct version){0};
        return;
    }
    *v = (struct version){n, i};
    struct engine_doc doc = {
        .version = version_of(part, *v, &now_names),
        .epoch = 1,
        .text = text_of(part, n, i, s.text_size, text),
    };
    engine_batch_put(b, part, SPACE_ITEM, str_make(key, (size_t)key_size), &doc, &old);
}

static struct engine_batch *next_batch(struct writer *w, size_t part, generation g)
{
    uint64_t n = ++w->tail[part];
    struct engine_batch *b = engine_batch_new(w->e);
    char entry[24];
    int entry_size = snprintf(entry, sizeof(entry), "entry %lu", n);
    engine_batch_guard(b, g);
    engine_batch_log(b, part, n, str_make(entry, (size_t)entry_size));
    if (n > LOG_KEPT) {
        engine_batch_log_delete(b, part, n - LOG_KEPT);
    }
    for (uint16_t i = 0, count = step_count(part, n); i < count; i++) {
        add_step(w, b, part, n, i);
    }
    struct engine_part_meta meta = {
        .tail_epoch = 1,
        .tail_lsn = n,
        .tail_ord = n,
        .first_lsn = n > LOG_KEPT ? n - LOG_KEPT + 1 : 1,
        .trim_lsn = n > LOG_KEPT ? n - LOG_KEPT : 0,
    };
    for (size_t k = 0; k < KEYS; k++) {
        struct version v = w->versions[part][k];
        meta.item_count += v.n != 0 ? 1 : 0;
        meta.item_size += v.n != 0 ? step_of(part, v.n, v.op_idx).text_size : 0;
    }
    engine_batch_meta(b, part, &meta);
    return b;
}

/* A partition beside the rest is filled and dropped in slices, again and again, so that kills hit the
 * middle of a drop. */
enum fill { FILL_WANTED, FILL_DONE, FILL_SLICED, FILL_RUNNING };
static _Atomic int fill;
static int fill_next; /* once what runs is done */

static void on_done(void *ctx, const struct committer_done *done, size_t n,
                    const struct errinfo *ei)
{
    UNUSED(ctx);
    for (size_t i = 0; i < n; i++) {
        if (done[i].err != OK) {
            die("apply: %s: %s", err_name(done[i].err), ei->message);
        }
        size_t part = done[i].ticket % (PARTS + 1);
        if (part == PARTS) {
            fill = fill_next;
        } else {
            shared->acked[part] = done[i].ticket / (PARTS + 1);
        }
    }
    shared->in_flight -= n;
}

/* A batch for the partition that comes and goes; the writer's next step is `next`. */
static void submit_dropped(struct writer *w, struct engine_batch *b, enum fill next)
{
    fill = FILL_RUNNING;
    fill_next = (int)next;
    shared->in_flight++;
    if (committer_submit(w->c, b, PARTS) != OK) {
        die("submit");
    }
    committer_wake(w->c);
}

static void drop_slice(struct writer *w, bool is_first)
{
    struct engine_batch *b = engine_batch_new(w->e);
    struct errinfo ei = {0};
    bool more = false;
    if (is_first) {
        engine_batch_drop(b, DROPPED_PID);
    }
    if (engine_batch_clear(b, w->e, DROPPED_PID, SLICE_ROWS, &more, &ei) != OK) {
        die("drop: %s", ei.message);
    }
    if (!more) {
        engine_batch_drop_done(b, DROPPED_PID);
        shared->drops++;
    }
    submit_dropped(w, b, more ? FILL_SLICED : FILL_WANTED);
}

static void fill_dropped(struct writer *w)
{
    struct engine_batch *b = engine_batch_new(w->e);
    for (lsn at = 1; at <= DROPPED_ROWS; at++) {
        engine_batch_log(b, DROPPED_PID, at, STR("filler"));
    }
    struct engine_part_meta meta = {.tail_lsn = DROPPED_ROWS, .first_lsn = 1};
    engine_batch_meta(b, DROPPED_PID, &meta);
    submit_dropped(w, b, FILL_DONE);
}

static void write_until_killed(generation g, bool is_dropping)
{
    struct writer *w = MEM_NEW(struct writer);
    w->e = open_engine();
    shared->in_flight = 0;
    for (size_t p = 0; p < PARTS; p++) {
        w->tail[p] = tail_of(w->e, p);
        fold(p, w->tail[p], w->versions[p]);
    }
    struct committer_cfg cfg = {.engine = w->e, .done = on_done};
    w->c = committer_new(&cfg);
    struct errinfo ei = {0};
    if (is_dropping && engine_drop_partition(w->e, DROPPED_PID, &ei) != OK) { /* left by a kill */
        die("drop: %s", ei.message);
    }
    struct rng rng;
    rng_init(&rng, g);
    for (;;) {
        while (shared->in_flight >= IN_FLIGHT_MAX) {
            sched_yield();
        }
        int step = fill;
        if (is_dropping && step == FILL_WANTED) {
            fill_dropped(w);
        } else if (is_dropping && step != FILL_RUNNING) {
            drop_slice(w, step == FILL_DONE);
        }
        size_t part = rng_below(&rng, PARTS);
        struct engine_batch *b = next_batch(w, part, g);
        uint64_t n = w->tail[part];
        shared->in_flight++;
        shared->submitted[part] = n;
        if (committer_submit(w->c, b, n * (PARTS + 1) + part) != OK) {
            die("submit");
        }
        if (rng_below(&rng, 4) == 0) {
            committer_help(w->c); /* both ways of becoming durable */
        } else {
            committer_wake(w->c);
        }
    }
}

/* ---- the checker ---- */

static void check_docs(struct engine *e, size_t part, uint64_t tail)
{
    struct version versions[KEYS];
    fold(part, tail, versions);
    struct buf hold;
    buf_init(&hold, 1 << 20);
    for (size_t k = 0; k < KEYS; k++) {
        char key[16];
        char text[TEXT_MAX];
        struct engine_doc doc;
        struct errinfo ei = {0};
        int n = snprintf(key, sizeof(key), "k%03zu", k);
        enum err err =
            engine_get(e, NULL, part, SPACE_ITEM, str_make(key, (size_t)n), true, &hold, &doc, &ei);
        if (err != OK && err != ERR_NOT_FOUND) {
            die("part %zu key %s: %s", part, key, ei.message);
        }
        struct version v = versions[k];
        if ((err == OK) != (v.n != 0)) {
            die("part %zu key %s: %s at tail %lu", part, key, err == OK ? "there" : "missing",
                tail);
        }
        if (err == OK &&
            (doc.version.lsn != v.n || doc.version.op_idx != v.op_idx ||
             !str_eq(doc.text,
                     text_of(part, v.n, v.op_idx, step_of(part, v.n, v.op_idx).text_size, text)))) {
            die("part %zu key %s: version %lu/%u instead of %lu/%u at tail %lu", part, key,
                doc.version.lsn, doc.version.op_idx, v.n, v.op_idx, tail);
        }
    }
    buf_done(&hold);
}

static void check(void)
{
    struct engine *e = open_engine();
    uint64_t findings = 0;
    struct errinfo ei = {0};
    if (engine_verify(e, report, NULL, &findings, &ei) != OK) {
        die("verify: %s", ei.message);
    }
    if (findings > 0) {
        die("%lu findings", findings);
    }
    for (size_t p = 0; p < PARTS; p++) {
        uint64_t tail = tail_of(e, p);
        if (tail < shared->acked[p] || tail > shared->submitted[p]) {
            die("part %zu: tail %lu, acknowledged %lu, submitted %lu", p, tail, shared->acked[p],
                shared->submitted[p]);
        }
        check_docs(e, p, tail);
    }
    if (engine_generation(e) < shared->acked_generation) {
        die("generation %lu below %lu", engine_generation(e), shared->acked_generation);
    }
    engine_close(e);
}

/* ---- the parent ---- */

static pid_t spawn(uint64_t writing_generation, bool is_dropping)
{
    (void)fflush(stdout);
    pid_t child = fork();
    t_check(child >= 0);
    if (child == 0) {
        log_set_level(LOG_LEVEL_ERROR);
        if (writing_generation != 0) {
            write_until_killed(writing_generation, is_dropping);
        }
        check();
        (void)fflush(stdout);
        _exit(0);
    }
    return child;
}

static void pause_us(uint64_t us)
{
    struct timespec t = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); /* this is the experiment, not a wait */
}

static uint64_t total_acked(void)
{
    uint64_t n = 0;
    for (size_t p = 0; p < PARTS; p++) {
        n += shared->acked[p];
    }
    return n;
}

static size_t rounds = 100;

static void test_killed_at_random(void)
{
    struct rng rng;
    rng_init(&rng, t_seed());
    (void)snprintf(dir, sizeof(dir), "%s/engine", t_tmp_dir());
    for (size_t round = 1; round <= rounds; round++) {
        uint64_t before = total_acked();
        pid_t writer = spawn(round, round % 3 == 0);
        /* One in five is killed while it opens, the others after some writes. */
        if (!rng_chance(&rng, 1, 5)) {
            usec start = clock_boot_us();
            while (total_acked() == before && clock_boot_us() - start < 20000000) {
                int status = 0;
                t_checkf(waitpid(writer, &status, WNOHANG) == 0, "round %zu: writer ended", round);
                pause_us(200);
            }
            t_check(total_acked() > before);
        }
        pause_us(rng_below(&rng, 80000));
        t_eq_int(kill(writer, SIGKILL), 0);
        int status = 0;
        t_eq_int(waitpid(writer, &status, 0), writer);
        t_checkf(WIFSIGNALED(status), "round %zu: writer ended by itself", round);
        shared->acked_generation = total_acked() > before ? round : shared->acked_generation;
        pid_t checker = spawn(0, false);
        t_eq_int(waitpid(checker, &status, 0), checker);
        t_checkf(status == 0, "round %zu of seed %lu", round, t_seed());
    }
    t_note("%zu kills, %lu acknowledged batches, %lu partitions dropped", rounds, total_acked(),
           (uint64_t)shared->drops);
}

int main(int argc, char **argv)
{
    char *own[] = {argv[0], NULL};
    if (argc > 1) {
        rounds = (size_t)strtoul(argv[1], NULL, 10);
    } else if (getenv("HF_LONG") != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        rounds = 500;
    }
    shared = (struct shared *)mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT(shared != MAP_FAILED);
    t_start(1, own);
    t_time_limit(rounds > 100 ? 900 : 120);
    t_run("a killed engine has every acknowledged batch and nothing half", test_killed_at_random);
    return t_done();
}
