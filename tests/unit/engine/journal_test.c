/* The write-ahead log of the rocksdb driver by itself: what is written is replayed, in order and once,
 * over restarts, full segments, used files and whatever a lost write leaves behind. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/rng.h"
#include "engine/rocksdb/journal.h"
#include "engine/rocksdb/journal_format.h"
#include "suite.h"

static char dir[512];

static void fresh(void)
{
    static unsigned n;
    (void)snprintf(dir, sizeof(dir), "%s/journal-%u", t_tmp_dir(), n++);
    t_ok(files_mkdirs(dir, NULL));
}

static void slot_path(size_t slot, char ret[600])
{
    (void)snprintf(ret, 600, "%s/%zu", dir, slot);
}

static struct journal *open_journal(struct journal_report *report)
{
    struct journal *j = NULL;
    struct errinfo ei = {0};
    t_ok_info(rocks_journal_open(dir, 0, &j, report, &ei), &ei);
    return j;
}

static enum err open_damaged(struct errinfo *ei)
{
    struct journal *j = NULL;
    struct journal_report report;
    enum err ret = rocks_journal_open(dir, 0, &j, &report, ei);
    rocks_journal_close(j);
    return ret;
}

/* Group number n has n as its text and `size` bytes in all. */
static void put(struct journal *j, uint64_t n, size_t size)
{
    char *text = (char *)mem_alloc(size + 32);
    memset(text, 'x', size + 32);
    int used = snprintf(text, size + 32, "%lu ", n);
    struct str spans[2] = {str_make(text, (size_t)used), str_make(text + used, size)};
    struct str batch;
    struct errinfo ei = {0};
    t_ok_info(rocks_journal_write(j, spans, 2, (uint32_t)n, &batch, &ei), &ei);
    t_eq_u64(batch.n, 12 + (size_t)used + size);
    t_eq_u64((unsigned char)batch.p[8], n & 0xff);
    mem_free(text);
}

struct seen {
    uint64_t from, n; /* groups from..from+n-1, in order */
    uint64_t fail_at;
};

static enum err see(void *ctx, struct str batch, struct errinfo *ei)
{
    struct seen *s = (struct seen *)ctx;
    uint64_t n = strtoull(batch.p + 12, NULL, 10);
    t_check(s->n == 0 || n == s->from + s->n);
    s->from = s->n == 0 ? n : s->from;
    s->n++;
    return n == s->fail_at ? err_set(ei, ERR_IO, "as told") : OK;
}

static struct seen replay(struct journal *j)
{
    struct seen s = {0};
    t_ok(rocks_journal_replay(j, see, &s, NULL));
    return s;
}

T_TEST("what was written is replayed, until a new segment begins")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_eq_u64(report.segments, 0);
    t_eq_u64(replay(j).n, 0);
    t_ok(rocks_journal_begin(j, NULL));
    for (uint64_t n = 1; n <= 20; n++) {
        put(j, n, (size_t)(n * 977));
    }
    rocks_journal_close(j);
    for (int i = 0; i < 2; i++) { /* opening by itself changes nothing */
        j = open_journal(&report);
        t_eq_u64(report.segments, 1);
        t_eq_u64(report.groups, 20);
        t_check(!report.is_torn);
        struct seen s = replay(j);
        t_eq_u64(s.from, 1);
        t_eq_u64(s.n, 20);
        rocks_journal_close(j);
    }
    j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 21, 10);
    rocks_journal_close(j);
    j = open_journal(&report);
    struct seen s = replay(j);
    t_eq_u64(s.from, 21);
    t_eq_u64(s.n, 1);
    rocks_journal_close(j);
}

T_TEST("a replay ends at the first error of its callback")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    for (uint64_t n = 1; n <= 5; n++) {
        put(j, n, 10);
    }
    rocks_journal_close(j);
    j = open_journal(&report);
    struct seen s = {.fail_at = 3};
    t_err(rocks_journal_replay(j, see, &s, NULL), ERR_IO);
    t_eq_u64(s.n, 3);
    rocks_journal_close(j);
}

/* Segments have the smallest size: 1 MiB. */
static uint64_t put_segments(struct journal *j, uint64_t n, uint64_t upto)
{
    while (rocks_journal_segment(j) < upto) {
        put(j, n++, 100000);
    }
    return n;
}

static size_t slot_count(void)
{
    size_t n = 0;
    char path[600];
    for (slot_path(n, path); access(path, F_OK) == 0; slot_path(n, path)) {
        n++;
    }
    return n;
}

T_TEST("full segments are kept until they are settled and the next header says so")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    uint64_t n = put_segments(j, 1, 4);
    t_eq_u64(rocks_journal_unsettled(j), 1);
    t_eq_u64(slot_count(), 4);
    rocks_journal_settle(j, 4);
    t_eq_u64(rocks_journal_unsettled(j), 4);
    rocks_journal_close(j);
    j = open_journal(&report); /* no header says so: all is still there */
    t_eq_u64(report.segments, 4);
    t_eq_u64(replay(j).n, n - 1);
    rocks_journal_close(j);

    fresh();
    j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    n = put_segments(j, 1, 4);
    rocks_journal_settle(j, 4);
    uint64_t first = n - 1; /* the one that began segment 4 */
    n = put_segments(j, n, 5);
    t_eq_u64(slot_count(), 5); /* the headers so far still ask for segment 1 */
    n = put_segments(j, n, 8);
    t_eq_u64(slot_count(), 5); /* used again */
    rocks_journal_close(j);
    j = open_journal(&report);
    t_eq_u64(report.segments, 5);
    struct seen s = replay(j);
    t_eq_u64(s.from, first);
    t_eq_u64(s.from + s.n, n);
    rocks_journal_close(j);
}

T_TEST("used files never grow with the number of groups")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    uint64_t n = 1;
    for (uint64_t segment = 2; segment < 40; segment++) {
        n = put_segments(j, n, segment);
        rocks_journal_settle(j, segment);
    }
    t_check(slot_count() <= 3);
    rocks_journal_close(j);
    j = open_journal(&report);
    struct seen s = replay(j);
    t_eq_u64(s.from + s.n, n);
    t_check(report.segments <= 2);
    rocks_journal_close(j);
}

T_TEST("a group larger than a segment has one of its own; its file shrinks when used again")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 1, 10);
    put(j, 2, 5 << 20);
    t_eq_u64(rocks_journal_segment(j), 2);
    put(j, 3, 10);
    t_eq_u64(rocks_journal_segment(j), 3);
    rocks_journal_close(j);
    j = open_journal(&report);
    t_eq_u64(replay(j).n, 3);
    t_ok(rocks_journal_begin(j, NULL)); /* segment 4, in a slot of its own */
    put_segments(j, 4, 6);              /* 5 and 6, in the slots of 1 and 2 */
    char path[600];
    slot_path(1, path);
    struct stat st;
    t_eq_int(stat(path, &st), 0);
    t_eq_i64(st.st_size, JOURNAL_SEGMENT_SIZE_MIN);
    rocks_journal_close(j);
}

T_TEST("a group over the limit is refused and nothing is written")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    static const char byte[1] = "x";
    /* The size is looked at before any byte. */
    struct str spans[1] = {str_make(byte, JOURNAL_PAYLOAD_SIZE_MAX)};
    struct str batch;
    t_err(rocks_journal_write(j, spans, 1, 1, &batch, NULL), ERR_LIMIT);
    put(j, 1, 10);
    rocks_journal_close(j);
    j = open_journal(&report);
    t_eq_u64(replay(j).n, 1);
    rocks_journal_close(j);
}

/* ---- damage ---- */

static void change(size_t slot, size_t at, const void *p, size_t n)
{
    char path[600];
    slot_path(slot, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    t_check(fd >= 0);
    t_eq_i64(pwrite(fd, p, n, (off_t)at), (ssize_t)n);
    close(fd);
}

static void flip(size_t slot, size_t at)
{
    char path[600];
    char c = 0;
    slot_path(slot, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    t_check(fd >= 0);
    t_eq_i64(pread(fd, &c, 1, (off_t)at), 1);
    close(fd);
    c = (char)(c ^ 0x10);
    change(slot, at, &c, 1);
}

T_TEST("each byte of a group that another follows is watched")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 1, 40);
    put(j, 2, 40);
    rocks_journal_close(j);
    size_t used = JOURNAL_GROUP_HEAD_SIZE + 12 + 2 + 40;
    for (size_t at = 0; at < used; at++) {
        struct errinfo ei = {0};
        flip(0, JOURNAL_BLOCK_SIZE + at);
        t_err(open_damaged(&ei), ERR_CORRUPT);
        t_contains(str_of(ei.message), "/0 is damaged at offset 4096");
        flip(0, JOURNAL_BLOCK_SIZE + at);
    }
    for (size_t at = 0; at < used; at++) { /* of the last one: a torn end */
        flip(0, (size_t)2 * JOURNAL_BLOCK_SIZE + at);
        j = open_journal(&report);
        t_eq_u64(report.groups, 1);
        rocks_journal_close(j);
        flip(0, (size_t)2 * JOURNAL_BLOCK_SIZE + at);
    }
    for (size_t at = 0; at < 44; at++) { /* of the header */
        flip(0, at);
        t_err(open_damaged(NULL), ERR_CORRUPT);
        flip(0, at);
    }
    t_ok(open_damaged(NULL));
}

T_TEST("a torn group is told, and what follows it in the file is not taken for a group")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 1, 40);
    put(j, 2, 30000); /* eight blocks */
    rocks_journal_close(j);
    char zeros[JOURNAL_BLOCK_SIZE] = {0};
    change(0, (size_t)5 * JOURNAL_BLOCK_SIZE, zeros, sizeof(zeros));
    j = open_journal(&report);
    t_check(report.is_torn);
    t_eq_u64(report.torn_segment, 1);
    t_eq_u64(report.torn_at, (size_t)2 * JOURNAL_BLOCK_SIZE);
    t_eq_u64(replay(j).n, 1);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 2, 50);
    rocks_journal_close(j);
    j = open_journal(&report);
    t_check(!report.is_torn);
    struct seen s = replay(j);
    t_eq_u64(s.from, 2);
    t_eq_u64(s.n, 1);
    rocks_journal_close(j);
}

T_TEST("groups missing at the end of a full segment are damage, and so is a missing segment")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    (void)put_segments(j, 1, 4);
    rocks_journal_close(j);
    size_t group = rocks_journal_group_size(12 + 100000 + 3);
    size_t last = JOURNAL_BLOCK_SIZE + (JOURNAL_SEGMENT_SIZE_MIN / group - 1) * group;
    struct errinfo ei = {0};
    flip(1, last + 100);
    t_err(open_damaged(&ei), ERR_CORRUPT);
    t_contains(str_of(ei.message), "segment 2 is damaged: groups are missing at its end");
    flip(1, last + 100);
    t_ok(open_damaged(NULL));
    for (size_t slot = 0; slot < 4; slot++) { /* the header of a needed one, or of the newest */
        flip(slot, 9);
        t_err(open_damaged(NULL), ERR_CORRUPT);
        flip(slot, 9);
    }
    char path[600];
    char moved[700];
    slot_path(2, path);
    (void)snprintf(moved, sizeof(moved), "%s.away", path);
    t_eq_int(rename(path, moved), 0);
    t_err(open_damaged(&ei), ERR_CORRUPT);
    t_eq_int(rename(moved, path), 0);
    t_ok(open_damaged(NULL));
}

T_TEST("a header that was not written to its end is no damage where its slot was free")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    uint64_t n = put_segments(j, 1, 4);
    rocks_journal_settle(j, 4);
    n = put_segments(j, n, 5); /* says: from 4 on */
    rocks_journal_close(j);
    flip(0, 20); /* segment 1 was about to become segment 6 */
    j = open_journal(&report);
    struct seen s = replay(j);
    t_eq_u64(s.from + s.n, n);
    t_ok(rocks_journal_begin(j, NULL));
    t_eq_u64(rocks_journal_segment(j), 6);
    t_eq_u64(slot_count(), 5);
    put(j, n, 10);
    rocks_journal_close(j);
    j = open_journal(&report);
    s = replay(j);
    t_eq_u64(s.from, n);
    rocks_journal_close(j);
}

T_TEST("bytes of a client that look like a group are not one")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_ok(rocks_journal_begin(j, NULL));
    put(j, 1, 40);
    /* All that the client can know, or guess: only the salt is missing. */
    struct journal_header guess = {.number = 1, .from = 1, .first_group = 1, .salt = 12345};
    char *bytes = (char *)mem_zalloc((size_t)4 * JOURNAL_BLOCK_SIZE);
    size_t at = JOURNAL_BLOCK_SIZE - JOURNAL_GROUP_HEAD_SIZE - 12;
    rocks_journal_group_seal((unsigned char *)bytes + at, &guess, 3, 60);
    struct str span = str_make(bytes, (size_t)4 * JOURNAL_BLOCK_SIZE);
    struct str batch;
    t_ok(rocks_journal_write(j, &span, 1, 1, &batch, NULL));
    mem_free(bytes);
    rocks_journal_close(j);
    char zeros[64] = {0};
    change(0, (size_t)2 * JOURNAL_BLOCK_SIZE, zeros, sizeof(zeros)); /* the group is torn */
    j = open_journal(&report);
    t_eq_u64(report.groups, 1);
    rocks_journal_close(j);
}

T_TEST("a file of another size than ours is refused or read as far as it goes")
{
    fresh();
    char path[600];
    slot_path(0, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    t_check(fd >= 0);
    t_ok(open_damaged(NULL)); /* empty: about to be made */
    t_eq_i64(write(fd, "HFJs", 4), 4);
    t_ok(open_damaged(NULL));
    t_eq_int(ftruncate(fd, ((off_t)1 << 30) + (1 << 20) + 1), 0);
    t_err(open_damaged(NULL), ERR_CORRUPT);
    close(fd);
}

T_TEST("a folder that cannot be written to")
{
    fresh();
    struct journal_report report;
    struct journal *j = open_journal(&report);
    t_eq_int(rmdir(dir), 0);
    struct errinfo ei = {0};
    t_err(rocks_journal_begin(j, &ei), ERR_IO);
    t_contains(str_of(ei.message), dir);
    rocks_journal_close(j);
}

T_TEST("the bytes on disk are those that the format's description says")
{
    struct journal_header h = {
        .number = 3, .from = 2, .first_group = 77, .salt = 0x1122334455667788};
    unsigned char block[JOURNAL_BLOCK_SIZE];
    rocks_journal_header_encode(&h, block);
    t_golden("journal_header_v1.bin", str_make((char *)block, 64));
    struct journal_header back;
    t_check(rocks_journal_header_parse(block, sizeof(block), &back));
    t_eq_u64(back.number, 3);
    t_eq_u64(back.from, 2);
    t_eq_u64(back.first_group, 77);
    t_eq_u64(back.salt, h.salt);
    t_check(!rocks_journal_header_parse(block, sizeof(block) - 1, &back));
    memset(block, 0xee, sizeof(block));
    static const char payload[] = {'p', 'a', 'y', 'l', 'o', 'a', 'd'};
    memcpy(block + JOURNAL_GROUP_HEAD_SIZE, payload, sizeof(payload));
    rocks_journal_group_seal(block, &h, 78, 7);
    t_golden("journal_group_v1.bin", str_make((char *)block, 64));
    t_eq_u64(rocks_journal_group_size(0), JOURNAL_BLOCK_SIZE);
    t_eq_u64(rocks_journal_group_size(JOURNAL_BLOCK_SIZE - JOURNAL_GROUP_HEAD_SIZE),
             JOURNAL_BLOCK_SIZE);
    t_eq_u64(rocks_journal_group_size(JOURNAL_BLOCK_SIZE - JOURNAL_GROUP_HEAD_SIZE + 1),
             (size_t)2 * JOURNAL_BLOCK_SIZE);
}

T_MAIN()
