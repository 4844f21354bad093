/* The coordinator's file: what was reported durable is there after reopening, a torn tail is cut, damage
 * is refused, and one directory has one owner. */
#include "coord/journal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/crc.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/mem_probe.h"
#include "coord/builtin/record.h"
#include "lib/t.h"

static struct {
    struct coord_store *store;
    struct journal *journal;
    char dir[512];
    char file[600];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t durable_seq;
    int dir_count;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void on_durable(void *ctx, uint64_t seq)
{
    UNUSED(ctx);
    (void)pthread_mutex_lock(&w.lock);
    w.durable_seq = seq;
    (void)pthread_cond_broadcast(&w.changed);
    (void)pthread_mutex_unlock(&w.lock);
}

static void on_failed(void *ctx, const char *why)
{
    UNUSED(ctx);
    t_fail_soft("journal failed: %s", why);
}

static void wait_durable(uint64_t seq)
{
    (void)pthread_mutex_lock(&w.lock);
    while (w.durable_seq < seq) {
        (void)pthread_cond_wait(&w.changed, &w.lock);
    }
    (void)pthread_mutex_unlock(&w.lock);
}

static enum err open_again(struct errinfo *ei)
{
    struct journal_events events = {.durable = on_durable, .failed = on_failed};
    w.store = coord_store_new();
    w.durable_seq = 0;
    enum err e = journal_open(w.dir, w.store, &events, &w.journal, ei);
    if (e != OK) {
        coord_store_free(w.store);
        w.store = NULL;
        w.journal = NULL;
    }
    return e;
}

static void close_again(void)
{
    journal_close(w.journal);
    coord_store_free(w.store);
    w.journal = NULL;
    w.store = NULL;
}

static void setup(void)
{
    (void)snprintf(w.dir, sizeof(w.dir), "%s/coord%d", t_tmp_dir(), w.dir_count++);
    (void)snprintf(w.file, sizeof(w.file), "%s/coordinator.log", w.dir);
    struct errinfo ei = {0};
    t_ok_info(open_again(&ei), &ei);
}

static uint64_t put(const char *key, struct str value)
{
    struct arena a;
    struct buf record;
    struct coord_txn_result r;
    arena_init(&a);
    buf_init(&record, 2 << 20);
    struct coord_txn t = {.put_count = 1, .puts = {{.key = str_of(key), .value = value}}};
    t_ok(journal_reserve(w.journal, value.n + 256, NULL));
    coord_store_txn(w.store, &t, &a, &r, &record);
    t_check(r.err == OK && r.succeeded);
    uint64_t seq = journal_append(w.journal, buf_str(&record));
    arena_done(&a);
    buf_done(&record);
    return seq;
}

static void expect(const char *key, const char *value)
{
    struct arena a;
    arena_init(&a);
    const struct coord_kv *kvs = NULL;
    size_t n = coord_store_read(w.store, str_of(key), &a, &kvs);
    t_eq_u64(n, value == NULL ? 0 : 1);
    if (value != NULL) {
        t_eq_str(kvs[0].value, str_of(value));
    }
    arena_done(&a);
}

static off_t file_size(void)
{
    struct stat st;
    t_check(stat(w.file, &st) == 0);
    return st.st_size;
}

static void write_file(const char *p, size_t n)
{
    int fd = open(w.file, O_WRONLY | O_TRUNC | O_CREAT, 0600);
    t_check(fd >= 0 && write(fd, p, n) == (ssize_t)n && close(fd) == 0);
}

T_TEST("what was durable is there again, at a higher revision")
{
    setup();
    wait_durable(put("a", STR("1")));
    wait_durable(put("b", STR("2")));
    wait_durable(put("a", STR("3")));
    coord_rev before = coord_store_rev(w.store);
    close_again();
    t_ok(open_again(NULL));
    expect("a", "3");
    expect("b", "2");
    t_check(coord_store_rev(w.store) > before);
    t_eq_u64(coord_store_rev(w.store) % COORD_REV_BLOCK, 0);
    close_again();
}

static void on_looked(void *ctx, const struct coord_kv *kv)
{
    size_t *count = ctx;
    t_eq_str(kv->key, STR("a"));
    t_eq_str(kv->value, STR("1"));
    (*count)++;
}

static size_t look(struct errinfo *ei)
{
    size_t count = 0;
    enum err err = journal_look(w.dir, STR("a"), on_looked, &count, ei);
    t_check(err == OK || ei != NULL);
    return count;
}

T_TEST("a look reads what is durable, beside a running owner, and changes nothing")
{
    setup();
    wait_durable(put("a", STR("1")));
    off_t before = file_size();
    t_eq_u64(look(NULL), 1);
    t_check(file_size() == before);
    close_again();
    size_t n = 0;
    char *whole = t_read_file(w.file, &n);
    write_file(whole, n - 1); /* a torn tail is not cut, just not seen */
    t_eq_u64(look(NULL), 0);
    t_check(file_size() == (off_t)n - 1);
    struct errinfo ei = {0};
    whole[COORD_FILE_HEADER_SIZE - 1] = (char)(whole[COORD_FILE_HEADER_SIZE - 1] ^ 1);
    write_file(whole, n);
    (void)look(&ei);
    t_eq_u64(ei.code, ERR_CORRUPT);
    t_err(journal_look("/nowhere", STR("a"), on_looked, NULL, NULL), ERR_NOT_FOUND);
    mem_free(whole);
}

T_TEST("closing writes out what was only queued")
{
    setup();
    for (int i = 0; i < 100; i++) {
        (void)put("a", STR("1"));
    }
    (void)put("last", STR("x"));
    close_again();
    t_ok(open_again(NULL));
    expect("last", "x");
    close_again();
}

T_TEST("a file cut anywhere opens with what was whole before the cut")
{
    setup();
    wait_durable(put("a", STR("1")));
    off_t after_a = file_size();
    wait_durable(put("b", STR("2")));
    close_again();
    size_t n = 0;
    char *whole = t_read_file(w.file, &n);
    for (size_t cut = COORD_FILE_HEADER_SIZE; cut < n; cut++) {
        write_file(whole, cut);
        t_ok(open_again(NULL));
        expect("a", cut >= (size_t)after_a ? "1" : NULL);
        expect("b", NULL);
        wait_durable(put("c", STR("3"))); /* and goes on from there */
        close_again();
        t_ok(open_again(NULL));
        expect("a", cut >= (size_t)after_a ? "1" : NULL);
        expect("c", "3");
        close_again();
    }
    mem_free(whole);
}

T_TEST("damage with valid data behind it is refused, damage at the end is a torn tail")
{
    setup();
    wait_durable(put("a", STR("1")));
    off_t after_a = file_size();
    wait_durable(put("b", STR("2")));
    close_again();
    size_t n = 0;
    char *whole = t_read_file(w.file, &n);
    for (size_t at = COORD_FILE_HEADER_SIZE; at < n; at++) {
        whole[at] = (char)(whole[at] ^ 0x10);
        write_file(whole, n);
        if (at < (size_t)after_a) {
            struct errinfo ei = {0};
            t_err(open_again(&ei), ERR_CORRUPT);
            t_contains(str_of(ei.message), "damage at byte 16");
        } else {
            t_ok(open_again(NULL));
            expect("a", "1");
            expect("b", NULL);
            close_again();
        }
        whole[at] = (char)(whole[at] ^ 0x10);
    }
    mem_free(whole);
}

T_TEST("zeros at the end, as a file system may leave them, are a torn tail")
{
    setup();
    wait_durable(put("a", STR("1")));
    off_t size = file_size();
    close_again();
    t_check(truncate(w.file, size + 10000) == 0);
    t_ok(open_again(NULL));
    expect("a", "1");
    t_eq_u64((uint64_t)file_size(), (uint64_t)size);
    close_again();
}

T_TEST("foreign files are refused and left alone")
{
    setup();
    close_again();
    size_t n = 0;
    char *whole = t_read_file(w.file, &n);
    write_file("something else altogether", 25);
    t_err(open_again(NULL), ERR_CORRUPT);
    t_eq_u64((uint64_t)file_size(), 25);
    write_file("", 0);
    t_err(open_again(NULL), ERR_CORRUPT);
    mem_free(whole);
}

static void put_u32(char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(v >> (8 * i));
    }
}

T_TEST("a newer file, and a newer record in a sound group, are refused by version and left alone")
{
    enum { FILE_CRC = 12, GROUP = COORD_FILE_HEADER_SIZE, GROUP_CRC = 8, RECORD = GROUP + 16 };
    setup();
    wait_durable(put("a", STR("1")));
    close_again();
    size_t n = 0;
    char *whole = t_read_file(w.file, &n);
    char *newer = mem_dup(whole, n);
    struct errinfo ei = {0};
    put_u32(newer + 8, COORD_FILE_VERSION + 1);
    put_u32(newer + FILE_CRC, crc32c(0, newer, FILE_CRC));
    write_file(newer, n);
    t_err(open_again(&ei), ERR_FORMAT_NEWER);
    t_contains(str_of(ei.message), "coordinator file format 2, this program knows 1");
    /* The last group's only record, as a newer program would have written it. */
    memcpy(newer, whole, n);
    size_t at = GROUP;
    size_t size = 0;
    for (size_t next = at; next < n; next += 16 + size) {
        at = next;
        size = (unsigned char)newer[at + 4] | (size_t)(unsigned char)newer[at + 5] << 8;
    }
    char *record = newer + at + 16;
    record[4] = COORD_RECORD_VERSION + 1;
    put_u32(record + 12, crc32c(crc32c(0, record, 12), record + 16, size - 16));
    put_u32(newer + at + GROUP_CRC, crc32c(crc32c(0, newer + at, GROUP_CRC), record, size));
    write_file(newer, n);
    ei = (struct errinfo){0};
    t_err(open_again(&ei), ERR_FORMAT_NEWER);
    t_contains(str_of(ei.message), "record format 2, this program knows 1");
    size_t after = 0;
    char *left = t_read_file(w.file, &after);
    t_eq_str(str_make(left, after), str_make(newer, n)); /* no torn tail was cut off */
    write_file(whole, n);
    t_ok(open_again(NULL));
    expect("a", "1");
    close_again();
    mem_free(left);
    mem_free(newer);
    mem_free(whole);
}

T_TEST("a directory has one owner")
{
    setup();
    struct coord_store *other = coord_store_new();
    struct journal *j = NULL;
    struct journal_events events = {.durable = on_durable, .failed = on_failed};
    t_err(journal_open(w.dir, other, &events, &j, NULL), ERR_IN_USE);
    coord_store_free(other);
    close_again();
}

T_TEST("a large file is replaced by a snapshot and loses nothing")
{
    setup();
    enum { SIZE = 100000 };
    char *value = (char *)mem_zalloc(SIZE);
    wait_durable(put("keep", STR("me")));
    bool was_rewritten = false;
    off_t largest = 0;
    for (int i = 0; i < 150; i++) {
        uint64_t seq = put("big", str_make(value, SIZE));
        if (journal_wants_rewrite(w.journal)) {
            struct buf snapshot;
            buf_init(&snapshot, 64 << 20);
            coord_store_snapshot(w.store, &snapshot);
            journal_rewrite(w.journal, buf_str(&snapshot));
            buf_done(&snapshot);
            was_rewritten = true;
        }
        if (i % 7 == 0) {
            wait_durable(seq);
        }
        largest = file_size() > largest ? file_size() : largest;
    }
    wait_durable(put("last", STR("x")));
    t_check(was_rewritten);
    t_checkf(largest < 8 << 20, "%ld", (long)largest);
    close_again();
    t_ok(open_again(NULL));
    expect("keep", "me");
    expect("last", "x");
    close_again();
    mem_free(value);
}

T_TEST("a new file left by a crash before its rename is ignored")
{
    setup();
    wait_durable(put("a", STR("1")));
    close_again();
    char path[640];
    (void)snprintf(path, sizeof(path), "%s.new", w.file);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    t_check(fd >= 0 && write(fd, "half", 4) == 4 && close(fd) == 0);
    t_ok(open_again(NULL));
    expect("a", "1");
    t_check(access(path, F_OK) != 0);
    close_again();
}

T_TEST("a journal gives back all memory")
{
    mem_probe_start();
    setup();
    wait_durable(put("a", STR("1")));
    close_again();
    t_eq_i64(mem_live_count(), 0);
    mem_probe_stop();
}

T_MAIN()
