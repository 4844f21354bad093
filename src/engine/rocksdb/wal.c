/* Reads the physical format of RocksDB's logs (db/log_format.h, unchanged since LevelDB):
 *
 *   file   = blocks of 32 KiB; a block ends in zeros when fewer than 7 bytes are left
 *   record = u32 masked crc32c of type and payload, u16 payload size, u8 type, payload
 *   type   = 1 full, 2 first, 3 middle, 4 last: a group is a full one, or first ... last
 *   zeros  = space that was allocated and never written
 *
 * Recycled logs (types 5-8) and compressed ones are not used by us and count as damage. */
#include "engine/rocksdb/wal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/crc.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    BLOCK_SIZE = 32768,
    HEADER_SIZE = 7,
    FILES_MAX = 4096,
    TYPE_FULL = 1,
    TYPE_FIRST = 2,
    TYPE_MIDDLE = 3,
    TYPE_LAST = 4,
};

struct scan {
    uint64_t groups; /* whole starts of groups, before any damage */
    bool is_open;    /* a first without its last so far */
    bool has_damage;
    uint64_t damage_at;    /* first one, as a file offset */
    bool has_group_behind; /* a whole start of a group behind the damage */
};

static uint32_t rd_u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Size of the whole record at p, or 0 when there is none. */
static size_t record_at(const unsigned char *p, size_t left)
{
    if (left < HEADER_SIZE || p[6] < TYPE_FULL || p[6] > TYPE_LAST) {
        return 0;
    }
    size_t size = (size_t)p[4] | (size_t)p[5] << 8;
    if (size > left - HEADER_SIZE) {
        return 0;
    }
    uint32_t crc = crc32c(0, p + 6, 1 + size);
    uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    return masked == rd_u32_at(p) ? HEADER_SIZE + size : 0;
}

static void damage(struct scan *s, uint64_t at)
{
    if (!s->has_damage) {
        s->has_damage = true;
        s->damage_at = at;
    }
    s->is_open = false;
}

/* Is the sequence of record types a sequence of groups? */
static void note_record(struct scan *s, unsigned type, uint64_t at)
{
    bool is_start = type == TYPE_FULL || type == TYPE_FIRST;
    if (s->has_damage) {
        s->has_group_behind = s->has_group_behind || is_start;
        return;
    }
    if (is_start == s->is_open) {
        damage(s, at); /* a start inside a group, or a rest without a start */
        s->has_group_behind = is_start;
        return;
    }
    s->groups += is_start ? 1 : 0;
    s->is_open = type == TYPE_FIRST || type == TYPE_MIDDLE;
}

static bool is_zero(const unsigned char *p, size_t n)
{
    return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static void scan_block(struct scan *s, const unsigned char *p, size_t n, uint64_t offset)
{
    size_t at = 0;
    while (at < n) {
        size_t size = record_at(p + at, n - at);
        if (size > 0) {
            note_record(s, p[at + 6], offset + at);
            at += size;
        } else if (n == BLOCK_SIZE && n - at < HEADER_SIZE && is_zero(p + at, n - at)) {
            break; /* the block's trailer */
        } else if (is_zero(p + at, n - at)) {
            damage(s, offset + at); /* the end, if nothing comes any more */
            break;
        } else {
            damage(s, offset + at);
            at++; /* look for what is whole behind it, byte by byte */
        }
    }
}

static enum err read_full(int fd, unsigned char *p, size_t size, size_t *ret_n)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, p + n, size - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ERR_IO;
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    *ret_n = n;
    return OK;
}

static enum err scan_file(const char *path, struct scan *s, struct errinfo *ei)
{
    *s = (struct scan){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(ei, ERR_IO, "cannot open %s", path);
    }
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint */
    unsigned char *block = (unsigned char *)mem_alloc(BLOCK_SIZE);
    enum err ret = OK;
    size_t n = BLOCK_SIZE;
    for (uint64_t offset = 0; ret == OK && n == BLOCK_SIZE; offset += BLOCK_SIZE) {
        ret = read_full(fd, block, BLOCK_SIZE, &n);
        if (ret == OK) {
            scan_block(s, block, n, offset);
        }
    }
    if (s->is_open) { /* ends inside a group */
        damage(s, (uint64_t)lseek(fd, 0, SEEK_CUR));
    }
    mem_free(block);
    close(fd);
    return ret == OK ? OK : err_set(ei, ret, "cannot read %s", path);
}

static int u64_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Numbers of the logs in `dir`, ascending. */
static enum err list_files(const char *dir, uint64_t *files, size_t *ret_n, struct errinfo *ei)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return err_set(ei, ERR_IO, "cannot list %s", dir);
    }
    size_t n = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
    for (struct dirent *f = readdir(d); f != NULL && n < FILES_MAX; f = readdir(d)) {
        struct str name = str_of(f->d_name);
        if (str_ends(name, STR(".log")) && str_to_u64(str_slice(name, 0, name.n - 4), &files[n])) {
            n++;
        }
    }
    closedir(d);
    qsort(files, n, sizeof(*files), u64_cmp);
    *ret_n = n;
    return OK;
}

enum err rocks_wal_check(const char *dir, struct rocks_wal_report *ret_report, struct errinfo *ei)
{
    uint64_t *files = MEM_NEW_ARRAY(uint64_t, FILES_MAX);
    struct rocks_wal_report report = {0};
    size_t n = 0;
    enum err ret = list_files(dir, files, &n, ei);
    for (size_t i = 0; i < n && ret == OK; i++) {
        char path[4200];
        struct scan s;
        (void)snprintf(path, sizeof(path), "%s/%06" PRIu64 ".log", dir, files[i]);
        ret = scan_file(path, &s, ei);
        if (ret != OK) {
            break;
        }
        /* Something behind damage, in this log or a later one, was acknowledged after it. */
        if (s.has_group_behind || (report.is_torn && s.groups > 0)) {
            uint64_t file = report.is_torn ? report.torn_file : files[i];
            uint64_t at = report.is_torn ? report.torn_at : s.damage_at;
            ret = err_set(ei, ERR_CORRUPT, "%s/%06" PRIu64 ".log is damaged at offset %" PRIu64,
                          dir, file, at);
        }
        report.files++;
        report.records += s.groups;
        if (s.has_damage && !report.is_torn) {
            report.is_torn = true;
            report.torn_file = files[i];
            report.torn_at = s.damage_at;
        }
    }
    mem_free(files);
    if (ret == OK) {
        *ret_report = report;
    }
    return ret;
}
