/* Damage on disk: whatever is flipped, cut or removed, the engine either serves what was written
 * or says ERR_CORRUPT; it never serves anything else and never loses acknowledged groups quietly.
 * Random places come from T_SEED. */
#include <dirent.h>
#include <fcntl.h>
#include <rocksdb/c.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/rng.h"
#include "engine/rocksdb/journal.h"
#include "engine/rocksdb/options.h"
#include "suite.h"

enum { DOCS = 400, TEXT_SIZE = 700 };

static struct rng rng;

static struct str text_of(size_t i, char ret[TEXT_SIZE + 1])
{
    struct rng r;
    rng_init(&r, i);
    for (size_t k = 0; k < TEXT_SIZE; k++) {
        ret[k] = (char)('a' + rng_below(&r, 26));
    }
    return str_make(ret, TEXT_SIZE);
}

static enum err open_here(size_t write_buffer_size, struct engine **ret, struct errinfo *ei)
{
    char dir[512];
    suite_dir(dir);
    struct engine_opts opts = {
        .driver = STR("rocksdb"), .dir = str_of(dir), .write_buffer_size = write_buffer_size};
    return engine_open(&opts, ret, ei);
}

/* DOCS groups of one document each, all acknowledged. */
static void fill_new(size_t write_buffer_size)
{
    static unsigned fills;
    struct engine *e = NULL;
    suite_dir_count = ++fills;
    t_ok(open_here(write_buffer_size, &e, NULL));
    for (size_t i = 0; i < DOCS; i++) {
        char key[16];
        char text[TEXT_SIZE + 1];
        (void)snprintf(key, sizeof(key), "k%05zu", i);
        struct engine_doc doc = suite_doc(i + 1, 0, "");
        doc.text = text_of(i, text);
        struct engine_part_meta meta = {.tail_lsn = i + 1,
                                        .first_lsn = 1,
                                        .item_count = i + 1,
                                        .item_size = (i + 1) * TEXT_SIZE};
        struct engine_batch *b = engine_batch_new(e);
        engine_batch_put(b, 1, SPACE_ITEM, str_of(key), &doc, NULL);
        engine_batch_log(b, 1, i + 1, doc.text);
        engine_batch_meta(b, 1, &meta);
        t_ok(suite_apply(e, b));
    }
    engine_close(e);
}

struct damage {
    size_t docs_ok, docs_corrupt, findings;
    bool is_refused;
};

static void count_finding(void *ctx, const char *finding)
{
    struct damage *d = (struct damage *)ctx;
    UNUSED(finding);
    d->findings++;
}

/* Reads every document; what is served must be what was written. */
static struct damage inspect(void)
{
    struct damage d = {0};
    struct engine *e = NULL;
    struct errinfo ei = {0};
    enum err err = open_here(0, &e, &ei);
    if (err != OK) {
        t_checkf(err == ERR_CORRUPT || err == ERR_FORMAT_NEWER, "%s: %s", err_name(err),
                 ei.message);
        d.is_refused = true;
        return d;
    }
    struct buf hold;
    buf_init(&hold, 1 << 20);
    for (size_t i = 0; i < DOCS; i++) {
        char key[16];
        char text[TEXT_SIZE + 1];
        struct engine_doc doc;
        (void)snprintf(key, sizeof(key), "k%05zu", i);
        ei.code = OK;
        err = engine_get(e, NULL, 1, SPACE_ITEM, str_of(key), true, &hold, &doc, &ei);
        if (err == OK) {
            t_eq_str(doc.text, text_of(i, text));
            d.docs_ok++;
        } else if (err == ERR_CORRUPT) {
            /* The message names the place. */
            t_contains(str_of(ei.message), "partition 1 space item document key k");
            d.docs_corrupt++;
        } else {
            t_err(err, ERR_NOT_FOUND);
        }
    }
    buf_done(&hold);
    struct engine_iter *it = engine_scan(e, NULL, 1, SPACE_ITEM, STR_NONE, STR_NONE);
    struct engine_row row;
    while (engine_iter_next(it, &row)) {
        char text[TEXT_SIZE + 1];
        t_eq_str(row.doc.text, text_of(row.doc.version.lsn - 1, text));
    }
    ei.code = OK;
    err = engine_iter_err(it, &ei);
    engine_iter_free(it);
    t_check(err == OK || err == ERR_CORRUPT);
    t_check(IMPLIES(err != OK, str_starts(str_of(ei.message), STR("partition 1 "))));
    uint64_t findings = 0;
    t_ok(engine_verify(e, count_finding, &d, &findings, NULL));
    t_eq_u64(findings, d.findings);
    engine_close(e);
    return d;
}

/* The biggest file with that ending in a folder of the engine; "" when there is none. */
static size_t find_file_in(const char *folder, const char *ending, char ret[1024])
{
    char dir[512];
    suite_dir(dir);
    char data[600];
    (void)snprintf(data, sizeof(data), "%s/%s", dir, folder);
    DIR *d = opendir(data);
    t_check(d != NULL);
    size_t best = 0;
    ret[0] = '\0';
    for (struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        struct stat st;
        if (str_ends(str_of(f->d_name), str_of(ending)) &&
            fstatat(dirfd(d), f->d_name, &st, 0) == 0 && (size_t)st.st_size > best) {
            best = (size_t)st.st_size;
            (void)snprintf(ret, 1024, "%s/%s", data, f->d_name);
        }
    }
    closedir(d);
    return best;
}

static size_t find_file(const char *ending, char ret[1024])
{
    return find_file_in("data", ending, ret);
}

static void write_file(const char *path, const char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    t_check(fd >= 0);
    t_eq_i64(write(fd, p, n), (ssize_t)n);
    close(fd);
}

/* Opening changes files: each try works on a copy. */
static void copy_dir(const char *from, const char *to)
{
    DIR *d = opendir(from);
    t_check(d != NULL);
    (void)mkdir(to, 0700);
    for (struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        struct stat st;
        char src[1500];
        char dst[1500];
        (void)snprintf(src, sizeof(src), "%s/%s", from, f->d_name);
        (void)snprintf(dst, sizeof(dst), "%s/%s", to, f->d_name);
        if (f->d_name[0] != '.' && stat(src, &st) == 0) {
            if (S_ISDIR(st.st_mode)) {
                copy_dir(src, dst);
            } else {
                size_t n = 0;
                char *p = t_read_file(src, &n);
                write_file(dst, p, n);
                mem_free(p);
            }
        }
    }
    closedir(d);
}

/* A fresh copy of the directory number `origin` becomes the current one. */
static void copy_engine_dir(unsigned origin)
{
    static unsigned copies = 1000;
    char from[512];
    char to[512];
    suite_dir_count = origin;
    suite_dir(from);
    suite_dir_count = ++copies;
    suite_dir(to);
    copy_dir(from, to);
}

/* A store that was just filled: syncing DOCS groups once is enough. */
static void fill(size_t write_buffer_size)
{
    static unsigned filled; /* number of the directory with the default buffer; 0: none yet */
    if (write_buffer_size != 0) {
        fill_new(write_buffer_size);
        return;
    }
    if (filled == 0) {
        fill_new(0);
        filled = suite_dir_count;
    }
    copy_engine_dir(filled);
}

T_TEST("flipped bits in data files are never served")
{
    t_time_limit(240); /* some hundred syncs, on a disk that others may keep busy */
    rng_init(&rng, t_seed());
    fill(64 << 10); /* small memtables: most documents are in files */
    unsigned origin = suite_dir_count;
    size_t detected = 0;
    for (size_t i = 0; i < 30; i++) {
        char path[1024];
        size_t n = 0;
        copy_engine_dir(origin);
        t_check(find_file(".sst", path) > 4096);
        char *p = t_read_file(path, &n);
        size_t at = rng_below(&rng, n);
        p[at] = (char)(p[at] ^ (1 << rng_below(&rng, 8)));
        write_file(path, p, n);
        mem_free(p);
        struct damage d = inspect();
        bool is_detected = d.is_refused || d.findings > 0;
        detected += is_detected ? 1 : 0;
        t_checkf(is_detected || d.docs_ok == DOCS, "offset %zu of %s: %zu documents", at, path,
                 d.docs_ok);
    }
    t_note("%zu of 30 flips were in something that is read", detected);
    t_check(detected > 15);
}

T_TEST("a missing data file refuses to open")
{
    fill(64 << 10);
    char path[1024];
    t_check(find_file(".sst", path) > 0);
    t_eq_int(unlink(path), 0);
    t_check(inspect().is_refused);
}

T_TEST("a missing CURRENT refuses to open")
{
    fill(0);
    char path[1024];
    t_check(find_file("CURRENT", path) > 0);
    t_eq_int(unlink(path), 0);
    t_check(inspect().is_refused);
}

/* ---- the journal: one group is one block here, behind the header's block ---- */

enum { BLOCK = 4096, USED = 1500 /* bytes of each block, at least */ };

static char *read_journal(char path[1024], size_t *ret_n)
{
    t_check(find_file_in("journal", "0", path) >= (size_t)(DOCS + 1) * BLOCK);
    return t_read_file(path, ret_n);
}

/* Of a group in the middle, of the last one, or of the header. */
static void damage_block(size_t block, bool zeros)
{
    char path[1024];
    size_t n = 0;
    char *p = read_journal(path, &n);
    size_t at = block * BLOCK + rng_below(&rng, block == 0 ? 44 : USED);
    if (zeros) {
        memset(p + block * BLOCK, 0, BLOCK);
    } else {
        p[at] = (char)(p[at] ^ (1 << rng_below(&rng, 8)));
    }
    write_file(path, p, n);
    mem_free(p);
}

T_TEST("damage inside the journal refuses to open, damage to its last group does not")
{
    t_time_limit(240); /* some hundred syncs, on a disk that others may keep busy */
    rng_init(&rng, t_seed() + 1);
    fill(0);
    unsigned origin = suite_dir_count;
    for (size_t i = 0; i < 24; i++) {
        copy_engine_dir(origin);
        /* Zeros: a block that never reached the disk. */
        bool zeros = i % 2 == 0;
        size_t block = i < 4 ? 0 : i < 10 ? DOCS : 1 + rng_below(&rng, DOCS - 1);
        damage_block(block, zeros);
        struct damage d = inspect();
        t_checkf(d.is_refused == (block != DOCS), "block %zu, %s", block, zeros ? "zeros" : "bit");
        if (block == DOCS) {
            t_eq_u64(d.docs_ok, DOCS - 1);
            t_eq_u64(d.findings, 0);
            /* Twice: what was left out stays out, and is no damage afterwards. */
            d = inspect();
            t_check(!d.is_refused);
            t_eq_u64(d.docs_ok, DOCS - 1);
        }
    }
}

T_TEST("a journal that is cut or missing refuses to open, but for its last group")
{
    rng_init(&rng, t_seed() + 2);
    fill(0);
    unsigned origin = suite_dir_count;
    char path[1024];
    for (size_t i = 0; i < 5; i++) {
        copy_engine_dir(origin);
        (void)find_file_in("journal", "0", path);
        t_eq_int(truncate(path, (off_t)((uint64_t)DOCS * BLOCK + rng_below(&rng, BLOCK))), 0);
        struct damage d = inspect();
        t_check(!d.is_refused);
        t_eq_u64(d.docs_ok, DOCS - 1);
        t_eq_u64(d.findings, 0);
    }
    copy_engine_dir(origin);
    (void)find_file_in("journal", "0", path);
    t_eq_int(unlink(path), 0);
    t_check(inspect().is_refused);
}

T_TEST("an opening cut short at any write leaves what the next one can open")
{
    fill(0);
    unsigned origin = suite_dir_count;
    /* Replayed and in files, but the new segment's header is not whole. */
    copy_engine_dir(origin);
    t_eq_u64(inspect().docs_ok, DOCS);
    char path[1024];
    (void)find_file_in("journal", "1", path);
    size_t n = 0;
    char *p = t_read_file(path, &n);
    memset(p, 0, 16);
    write_file(path, p, n);
    mem_free(p);
    struct damage d = inspect();
    t_check(!d.is_refused);
    t_eq_u64(d.docs_ok, DOCS);
    /* The slot was never made. */
    t_eq_int(unlink(path), 0);
    d = inspect();
    t_eq_u64(d.docs_ok, DOCS);
    t_eq_u64(d.findings, 0);
}

/* ---- format 1: RocksDB's own log is the write-ahead log ---- */

struct old_store {
    rocksdb_t *db;
    rocksdb_writeoptions_t *write;
};

static enum err put_old(void *ctx, struct str batch, struct errinfo *ei)
{
    struct old_store *old = (struct old_store *)ctx;
    char *message = NULL;
    rocksdb_writebatch_t *wb = rocksdb_writebatch_create_from(batch.p, batch.n);
    UNUSED(ei);
    rocksdb_write(old->db, old->write, wb, &message);
    rocksdb_writebatch_destroy(wb);
    t_check(message == NULL);
    return OK;
}

/* The same groups in a store as a program of format 1 leaves it when it is killed. */
static void fill_old(void)
{
    fill(0);
    char dir[512];
    char data[600];
    char path[600];
    suite_dir(dir);
    (void)snprintf(data, sizeof(data), "%s/data", dir);
    (void)snprintf(path, sizeof(path), "%s/journal", dir);
    struct journal *j = NULL;
    struct journal_report report;
    t_ok(rocks_journal_open(path, 0, &j, &report, NULL));
    t_eq_u64(report.groups, DOCS);
    t_ok(files_remove_tree(data));
    struct kv_opts opts = {0};
    struct rocks_setup setup;
    rocks_setup_init(&setup, &opts);
    rocksdb_column_family_handle_t *tables[KV_TABLE_COUNT];
    char *message = NULL;
    struct old_store old = {.write = rocksdb_writeoptions_create()};
    old.db = rocksdb_open_column_families(setup.db, data, KV_TABLE_COUNT, rocks_setup_names,
                                          (const rocksdb_options_t *const *)setup.table, tables,
                                          &message);
    t_check(message == NULL);
    t_ok(rocks_journal_replay(j, put_old, &old, NULL));
    rocks_journal_close(j);
    for (size_t t = 0; t < KV_TABLE_COUNT; t++) {
        rocksdb_column_family_handle_destroy(tables[t]);
    }
    rocksdb_writeoptions_destroy(old.write);
    rocksdb_close(old.db);
    rocks_setup_done(&setup);
    t_ok(files_remove_tree(path));
    static const char format[] = "holdfast engine\nformat 1\ndriver rocksdb\n";
    (void)snprintf(path, sizeof(path), "%s/FORMAT", dir);
    write_file(path, format, sizeof(format) - 1);
}

static void check_format(const char *want)
{
    char dir[512];
    char path[600];
    size_t n = 0;
    suite_dir(dir);
    (void)snprintf(path, sizeof(path), "%s/FORMAT", dir);
    char *text = t_read_file(path, &n);
    t_eq_cstr(text, want);
    mem_free(text);
}

T_TEST("a store of format 1 is opened, converted and opened again")
{
    fill_old();
    unsigned origin = suite_dir_count;
    copy_engine_dir(origin);
    for (size_t i = 0; i < 3; i++) {
        struct damage d = inspect();
        t_check(!d.is_refused);
        t_eq_u64(d.docs_ok, DOCS);
        t_eq_u64(d.findings, 0);
        check_format("holdfast engine\nformat 2\ndriver rocksdb\n");
    }
    /* A conversion that did not get as far as the format: converted once more. */
    char dir[512];
    char path[600];
    suite_dir(dir);
    (void)snprintf(path, sizeof(path), "%s/FORMAT", dir);
    static const char format[] = "holdfast engine\nformat 1\ndriver rocksdb\n";
    write_file(path, format, sizeof(format) - 1);
    struct damage d = inspect();
    t_check(!d.is_refused);
    t_eq_u64(d.docs_ok, DOCS);
    check_format("holdfast engine\nformat 2\ndriver rocksdb\n");
}

/* The log holds all groups; only the very last may go missing, and then only as a whole. */
T_TEST("format 1: damage inside the log refuses to open, a torn end does not")
{
    t_time_limit(240); /* some hundred syncs, on a disk that others may keep busy */
    rng_init(&rng, t_seed() + 1);
    fill_old();
    unsigned origin = suite_dir_count;
    char path[1024];
    size_t size = find_file(".log", path);
    size_t group_size = size / DOCS;
    size_t refused = 0;
    for (size_t i = 0; i < 30; i++) {
        copy_engine_dir(origin);
        (void)find_file(".log", path);
        size_t n = 0;
        char *p = t_read_file(path, &n);
        size_t at = rng_below(&rng, n);
        bool zeros = i % 2 == 0; /* a page that never reached the disk, or a flipped bit */
        if (zeros) {
            at &= ~(size_t)4095;
            memset(p + at, 0, n - at < 4096 ? n - at : 4096);
        } else {
            p[at] = (char)(p[at] ^ (1 << rng_below(&rng, 8)));
        }
        write_file(path, p, n);
        mem_free(p);
        struct damage d = inspect();
        refused += d.is_refused ? 1 : 0;
        if (at + 2 * group_size + (zeros ? 4096 : 0) < n) {
            t_checkf(d.is_refused, "offset %zu of %zu, %s", at, n, zeros ? "zeros" : "bit");
        } else if (!d.is_refused) {
            t_check(d.docs_ok >= DOCS - 5);
            t_eq_u64(d.findings, 0);
        }
    }
    t_check(refused > 20);
}

T_TEST("format 1: a log cut anywhere in its last group loses just that group")
{
    rng_init(&rng, t_seed() + 2);
    fill_old();
    unsigned origin = suite_dir_count;
    for (size_t i = 0; i < 10; i++) {
        char path[1024];
        copy_engine_dir(origin);
        size_t n = find_file(".log", path);
        /* Twice: a second crash right after must not make the torn log look like damage. */
        t_eq_int(truncate(path, (off_t)(n - 1 - rng_below(&rng, 800))), 0);
        struct damage d = inspect();
        t_check(!d.is_refused);
        t_eq_u64(d.docs_ok, DOCS - 1);
        t_eq_u64(d.findings, 0);
        d = inspect();
        t_check(!d.is_refused);
        t_eq_u64(d.docs_ok, DOCS - 1);
    }
}

T_MAIN()
