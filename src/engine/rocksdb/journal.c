/* See journal.h. Files are numbered slots; which segment a slot holds is said by its header only, so
 * that beginning a segment is one write of one block, without any change to the folder.
 *
 * What a failed or interrupted write may leave: a header that is not whole (its slot held nothing
 * that was needed), or a group that is not whole at the end of the newest segment. Everything else is
 * damage. */
#include "engine/rocksdb/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/rocksdb/journal_format.h"

enum {
    SLOTS_MAX = 4096,
    BATCH_HEAD_SIZE = 12,       /* of a write batch: u64 sequence, u32 count */
    BUFFER_KEPT_SIZE = 4 << 20, /* a larger one is given back after the write */
    SLOT_SIZE_MAX =
        (1 << 30) + (1 << 20), /* one group of the largest size in a segment of its own */
};

struct slot {
    bool has_header;
    struct journal_header header;
};

struct journal {
    char *dir; /* owned */
    uint64_t segment_size;
    struct slot *slots; /* owned; the slot's place is its file's name */
    size_t slot_count;
    uint64_t newest, oldest; /* found at opening: segments oldest..newest are needed; 0: none */
    uint64_t next_group;
    uint64_t settled; /* segments below are in RocksDB's files */

    int fd; /* of the current slot; -1: not begun */
    struct journal_header current;
    uint64_t at;     /* where the next group goes */
    uint64_t filled; /* up to here the file has its blocks */

    void *memory;          /* owned; the buffer is its aligned part */
    unsigned char *buffer; /* a group as it goes to the disk */
    size_t buffer_size;
};

static enum err io_failed(const struct journal *j, size_t slot, const char *what,
                          struct errinfo *ei)
{
    int why = errno;
    enum err code = why == ENOSPC || why == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    char text[128];
    return err_set(ei, code, "%s %s/%zu: %s", what, j->dir, slot,
                   strerror_r(why, text, sizeof(text)));
}

static void slot_path(const struct journal *j, size_t slot, char ret[4200])
{
    (void)snprintf(ret, 4200, "%s/%zu", j->dir, slot);
}

static size_t aligned(size_t n)
{
    return (n + JOURNAL_BLOCK_SIZE - 1) / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;
}

/* ---- reading ---- */

static enum err read_all(int fd, unsigned char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        ssize_t got = pread(fd, p + at, n - at, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return ERR_IO; /* nobody else makes it shorter */
        }
        at += (size_t)got;
    }
    return OK;
}

/* A slot's file, at most `max` bytes of it; *ret_p is the caller's. ERR_NOT_FOUND. */
static enum err read_slot(const struct journal *j, size_t slot, size_t max, unsigned char **ret_p,
                          size_t *ret_n, struct errinfo *ei)
{
    char path[4200];
    slot_path(j, slot, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : io_failed(j, slot, "cannot open", ei);
    }
    struct stat st;
    enum err ret = OK;
    unsigned char *p = NULL;
    size_t n = 0;
    if (fstat(fd, &st) != 0) {
        ret = io_failed(j, slot, "cannot read", ei);
    } else if (st.st_size > SLOT_SIZE_MAX) {
        ret = err_set(ei, ERR_CORRUPT, "%s has %" PRId64 " bytes", path, (int64_t)st.st_size);
    } else {
        n = (size_t)st.st_size < max ? (size_t)st.st_size : max;
        p = (unsigned char *)mem_alloc(n + 1);
        if (read_all(fd, p, n) != OK) {
            ret = io_failed(j, slot, "cannot read", ei);
            mem_free(p);
        }
    }
    close(fd);
    if (ret == OK) {
        *ret_p = p;
        *ret_n = n;
    }
    return ret;
}

static const struct slot *slot_of(const struct journal *j, uint64_t segment, size_t *ret_slot)
{
    for (size_t i = 0; i < j->slot_count; i++) {
        if (j->slots[i].has_header && j->slots[i].header.number == segment) {
            *ret_slot = i;
            return &j->slots[i];
        }
    }
    return NULL;
}

/* One behind the last slot that has a file. A file that is missing before it is not the end: what is
 * behind a gap is needed, too. */
static enum err count_slots(struct journal *j, struct errinfo *ei)
{
    DIR *d = opendir(j->dir);
    if (d == NULL) {
        return err_set(ei, ERR_IO, "cannot list %s", j->dir);
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *f = readdir(d); f != NULL; f = readdir(d)) {
        uint64_t slot = 0;
        if (str_to_u64(str_of(f->d_name), &slot) && slot < SLOTS_MAX && slot >= j->slot_count) {
            j->slot_count = (size_t)slot + 1;
        }
    }
    closedir(d);
    return OK;
}

static enum err load_headers(struct journal *j, struct errinfo *ei)
{
    j->slots = MEM_NEW_ARRAY(struct slot, SLOTS_MAX);
    TRY(count_slots(j, ei));
    for (size_t i = 0; i < j->slot_count; i++) {
        unsigned char *p = NULL;
        size_t n = 0;
        enum err ret = read_slot(j, i, JOURNAL_BLOCK_SIZE, &p, &n, ei);
        if (ret == ERR_NOT_FOUND) {
            continue;
        }
        TRY(ret);
        struct slot *s = &j->slots[i];
        s->has_header = rocks_journal_header_parse(p, n, &s->header);
        if (s->has_header && s->header.number > j->newest) {
            j->newest = s->header.number;
            j->oldest = s->header.from;
        }
        mem_free(p);
    }
    return OK;
}

/* A slot without a whole header was being made into a segment, unless it has groups already. */
static enum err check_headless(const struct journal *j, struct errinfo *ei)
{
    for (size_t i = 0; i < j->slot_count; i++) {
        if (j->slots[i].has_header) {
            continue;
        }
        unsigned char *p = NULL;
        size_t n = 0;
        enum err ret = read_slot(j, i, SLOT_SIZE_MAX, &p, &n, ei);
        if (ret == ERR_NOT_FOUND) {
            continue;
        }
        TRY(ret);
        bool is_newer = rocks_journal_has_newer(p, n, j->newest);
        mem_free(p);
        if (is_newer) {
            return err_set(ei, ERR_CORRUPT, "%s/%zu is damaged at offset 0", j->dir, i);
        }
    }
    return OK;
}

/* One segment: its groups go to fn (NULL: are only checked). */
static enum err walk_segment(struct journal *j, uint64_t segment, rocks_journal_replay_fn *fn,
                             void *ctx, struct journal_report *report, struct errinfo *ei)
{
    size_t i = 0;
    const struct slot *slot = slot_of(j, segment, &i);
    if (slot == NULL) {
        return err_set(ei, ERR_CORRUPT,
                       "%s: segment %" PRIu64 " is missing or its header is damaged", j->dir,
                       segment);
    }
    if (j->next_group != 0 && slot->header.first_group != j->next_group) {
        return err_set(ei, ERR_CORRUPT,
                       "%s: segment %" PRIu64 " is damaged: groups are missing at its end", j->dir,
                       segment - 1);
    }
    unsigned char *p = NULL;
    size_t n = 0;
    TRY(read_slot(j, i, SLOT_SIZE_MAX, &p, &n, ei));
    struct journal_scan s;
    struct str batch;
    enum err ret = OK;
    rocks_journal_scan_init(&s, &slot->header, p, n);
    while (ret == OK && rocks_journal_scan_next(&s, &batch)) {
        report->groups++;
        ret = fn != NULL ? fn(ctx, batch, ei) : OK;
    }
    if (ret == OK && rocks_journal_scan_has_more(&s)) {
        ret = err_set(ei, ERR_CORRUPT, "%s/%zu is damaged at offset %zu", j->dir, i, s.at);
    }
    if (ret == OK && segment == j->newest && rocks_journal_scan_is_torn(&s)) {
        report->is_torn = true;
        report->torn_segment = segment;
        report->torn_at = s.at;
    }
    report->segments++;
    j->next_group = s.group;
    mem_free(p);
    return ret;
}

static enum err walk(struct journal *j, rocks_journal_replay_fn *fn, void *ctx,
                     struct journal_report *report, struct errinfo *ei)
{
    j->next_group = 0;
    for (uint64_t segment = j->oldest; j->newest > 0 && segment <= j->newest; segment++) {
        TRY(walk_segment(j, segment, fn, ctx, report, ei));
    }
    return OK;
}

enum err rocks_journal_replay(struct journal *j, rocks_journal_replay_fn *fn, void *ctx,
                              struct errinfo *ei)
{
    ASSERT(j->fd < 0);
    struct journal_report report = {0};
    return walk(j, fn, ctx, &report, ei);
}

/* ---- life cycle ---- */

enum err rocks_journal_open(const char *dir, uint64_t segment_size, struct journal **ret_journal,
                            struct journal_report *ret_report, struct errinfo *ei)
{
    STATIC_ASSERT(SLOT_SIZE_MAX >= JOURNAL_PAYLOAD_SIZE_MAX + 3 * JOURNAL_BLOCK_SIZE,
                  "the largest group fits a segment of its own");
    struct journal *j = MEM_NEW(struct journal);
    j->fd = -1;
    j->dir = mem_strdup(dir);
    j->segment_size = segment_size < JOURNAL_SEGMENT_SIZE_MIN   ? JOURNAL_SEGMENT_SIZE_MIN
                      : segment_size > JOURNAL_SEGMENT_SIZE_MAX ? JOURNAL_SEGMENT_SIZE_MAX
                                                                : aligned(segment_size);
    struct journal_report report = {0};
    enum err ret = OK;
    TRY_GOTO(load_headers(j, ei), out);
    TRY_GOTO(check_headless(j, ei), out);
    TRY_GOTO(walk(j, NULL, NULL, &report, ei), out);
    *ret_journal = j;
    *ret_report = report;
    return OK;
out:
    rocks_journal_close(j);
    return ret;
}

void rocks_journal_close(struct journal *j)
{
    if (j == NULL) {
        return;
    }
    if (j->fd >= 0) {
        close(j->fd);
    }
    mem_free(j->memory);
    mem_free(j->slots);
    mem_free(j->dir);
    mem_free(j);
}

uint64_t rocks_journal_segment(const struct journal *j)
{
    return j->current.number;
}

uint64_t rocks_journal_unsettled(const struct journal *j)
{
    return j->settled;
}

void rocks_journal_settle(struct journal *j, uint64_t segment)
{
    ASSERT(segment >= j->settled);
    ASSERT(segment <= j->current.number);
    j->settled = segment;
}

/* ---- writing ---- */

static void buffer_reserve(struct journal *j, size_t size)
{
    if (size <= j->buffer_size) {
        return;
    }
    mem_free(j->memory);
    j->buffer_size = aligned(size + size / 2);
    j->memory = mem_alloc(j->buffer_size + JOURNAL_BLOCK_SIZE);
    uintptr_t p = (uintptr_t)j->memory;
    j->buffer = (unsigned char *)j->memory + (aligned(p) - p); /* as O_DIRECT wants it */
}

static enum err write_all(int fd, const unsigned char *p, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t put = pwrite(fd, p, n, (off_t)at);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return ERR_IO;
        }
        /* The rest of a short write to a full disk fails then, aligned or not. */
        p += put;
        n -= (size_t)put;
        at += (uint64_t)put;
    }
    return OK;
}

/* A file that was never written up to `end` gets its blocks before: a write to blocks that are there
 * changes nothing that the file system would have to put into its own journal. */
static enum err fill(struct journal *j, uint64_t end)
{
    if (end <= j->filled) {
        return OK;
    }
    uint64_t step = j->segment_size < JOURNAL_FILL_SIZE ? j->segment_size : JOURNAL_FILL_SIZE;
    void *memory = mem_zalloc(step + JOURNAL_BLOCK_SIZE);
    uintptr_t p = (uintptr_t)memory;
    const unsigned char *zeros = (const unsigned char *)memory + (aligned(p) - p);
    enum err ret = OK;
    while (ret == OK && j->filled < end) {
        uint64_t size = step - j->filled % step;
        ret = write_all(j->fd, zeros, size, j->filled);
        j->filled += ret == OK ? size : 0;
    }
    mem_free(memory);
    return ret;
}

/* The slot for a new segment: one whose segment the current header says is not needed. */
static size_t free_slot(const struct journal *j)
{
    for (size_t i = 0; i < j->slot_count; i++) {
        if (!j->slots[i].has_header || j->slots[i].header.number < j->current.from) {
            return i;
        }
    }
    return j->slot_count;
}

static enum err put_header(struct journal *j, const char *path, const struct journal_header *h,
                           int direct)
{
    j->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_DSYNC | direct, 0600);
    if (j->fd < 0) {
        return ERR_IO;
    }
    struct stat st;
    if (fstat(j->fd, &st) != 0 ||
        ((uint64_t)st.st_size > j->segment_size && ftruncate(j->fd, (off_t)j->segment_size) != 0)) {
        return ERR_IO; /* larger: it held one large group, or segments were larger */
    }
    j->filled = (uint64_t)st.st_size < j->segment_size ? (uint64_t)st.st_size : j->segment_size;
    j->filled -= j->filled % JOURNAL_BLOCK_SIZE;
    TRY(fill(j, JOURNAL_BLOCK_SIZE));
    buffer_reserve(j, JOURNAL_BLOCK_SIZE);
    rocks_journal_header_encode(h, j->buffer);
    return write_all(j->fd, j->buffer, JOURNAL_BLOCK_SIZE, 0);
}

static enum err begin_segment(struct journal *j, const struct journal_header *h, struct errinfo *ei)
{
    size_t slot = free_slot(j);
    if (slot == SLOTS_MAX) {
        return err_set(ei, ERR_LIMIT, "%s has %d files", j->dir, SLOTS_MAX);
    }
    if (j->fd >= 0) {
        close(j->fd);
    }
    char path[4200];
    slot_path(j, slot, path);
    enum err ret = put_header(j, path, h, O_DIRECT);
    if (ret != OK && errno == EINVAL) { /* this file system has no O_DIRECT, or larger blocks */
        if (j->fd >= 0) {
            close(j->fd);
        }
        ret = put_header(j, path, h, 0);
    }
    if (ret != OK) {
        return io_failed(j, slot, "cannot write", ei);
    }
    if (slot == j->slot_count || !j->slots[slot].has_header) { /* may be a new file */
        TRY(files_sync_dir(j->dir, ei));
    }
    j->slot_count += slot == j->slot_count ? 1 : 0;
    j->slots[slot] = (struct slot){.has_header = true, .header = *h};
    j->current = *h;
    j->at = JOURNAL_BLOCK_SIZE;
    return OK;
}

enum err rocks_journal_begin(struct journal *j, struct errinfo *ei)
{
    ASSERT(j->fd < 0);
    struct journal_header h = {
        .number = j->newest + 1,
        .from = j->newest + 1,
        .first_group = j->next_group == 0 ? 1 : j->next_group,
    };
    rng_os_bytes(&h.salt, sizeof(h.salt));
    j->current.from = j->oldest; /* until the new header is durable, those are needed */
    TRY(begin_segment(j, &h, ei));
    j->settled = h.number;
    j->next_group = h.first_group;
    return OK;
}

static enum err next_segment(struct journal *j, struct errinfo *ei)
{
    struct journal_header h = {
        .number = j->current.number + 1,
        .from = j->settled,
        .first_group = j->next_group,
    };
    rng_os_bytes(&h.salt, sizeof(h.salt));
    return begin_segment(j, &h, ei);
}

enum err rocks_journal_write(struct journal *j, const struct str *spans, size_t span_count,
                             uint32_t count, struct str *ret_batch, struct errinfo *ei)
{
    ASSERT(j->fd >= 0);
    size_t payload_size = BATCH_HEAD_SIZE;
    for (size_t i = 0; i < span_count; i++) {
        payload_size += spans[i].n;
    }
    if (payload_size > JOURNAL_PAYLOAD_SIZE_MAX) {
        return err_set(ei, ERR_LIMIT, "group of %zu bytes", payload_size);
    }
    size_t size = rocks_journal_group_size(payload_size);
    if (j->at > JOURNAL_BLOCK_SIZE && j->at + size > j->segment_size) {
        TRY(next_segment(j, ei));
    }
    if (j->buffer_size > BUFFER_KEPT_SIZE && size <= BUFFER_KEPT_SIZE) {
        mem_free(j->memory);
        j->memory = NULL;
        j->buffer_size = 0;
    }
    buffer_reserve(j, size);
    unsigned char *p = j->buffer + JOURNAL_GROUP_HEAD_SIZE;
    memset(p, 0, BATCH_HEAD_SIZE);
    for (int i = 0; i < 4; i++) {
        p[8 + i] = (unsigned char)(count >> (8 * i));
    }
    p += BATCH_HEAD_SIZE;
    for (size_t i = 0; i < span_count; i++) {
        memcpy(p, spans[i].p, spans[i].n);
        p += spans[i].n;
    }
    rocks_journal_group_seal(j->buffer, &j->current, j->next_group, payload_size);
    if (fill(j, j->at + size) != OK || write_all(j->fd, j->buffer, size, j->at) != OK) {
        return err_set(ei, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                       "cannot write to %s: errno %d", j->dir, errno);
    }
    j->at += size;
    j->next_group++;
    *ret_batch = str_make((const char *)j->buffer + JOURNAL_GROUP_HEAD_SIZE, payload_size);
    return OK;
}
