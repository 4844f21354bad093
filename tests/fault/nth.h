/* Every single call to the file system fails once: for n = 1, 2, ... a scenario runs in a process of
 * its own in which the n-th call fails with EIO or ENOSPC (writes also after half of their bytes),
 * until one runs through. What it left is then looked at on a sound disk.
 *
 *   #include "nth.h"
 *   #include "base/files.c"          the code under test, compiled here with its calls replaced
 *   static int work(const char *dir) { ... return NTH_DONE or NTH_FAILED; }
 *   static void look(const char *dir, int outcome) { ... }
 *   nth_each("name", work, look);
 *
 * `work` runs in the child: NTH_DONE when everything was said to be done, NTH_FAILED when an error was
 * reported. Any other end is a failure of the test. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/log.h"
#include "lib/t.h"

enum { NTH_DONE = 10, NTH_FAILED = 11, NTH_MAX = 500 };

/* Shared with the child. */
struct nth {
    unsigned count; /* calls so far */
    unsigned fails; /* this one fails; 0 = none */
    int how;        /* errno */
    bool is_half;   /* a write that fails writes half before */
    char notes[64]; /* the scenario's own */
};
static struct nth *nth;

static inline bool nth_hits(void)
{
    if (nth == NULL || nth->fails == 0) {
        return false;
    }
    /* One thread at a time does I/O in what is tested here. */
    bool is_it = __atomic_add_fetch(&nth->count, 1, __ATOMIC_SEQ_CST) == nth->fails;
    errno = is_it ? nth->how : errno;
    return is_it;
}

static inline int nth_open(const char *path, int flags, int mode)
{
    return nth_hits() ? -1 : open(path, flags, mode);
}

static inline int nth_mkdir(const char *path, mode_t mode)
{
    return nth_hits() ? -1 : mkdir(path, mode);
}

static inline ssize_t nth_write(int fd, const void *p, size_t n)
{
    if (nth_hits()) {
        return nth->is_half && n > 1 ? write(fd, p, n / 2) : -1;
    }
    return write(fd, p, n);
}

static inline ssize_t nth_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (nth_hits()) {
        /* Half is written, then the disk is gone for good. */
        nth->fails += nth->is_half ? 1 : 0;
        return nth->is_half && n > 1 ? pwrite(fd, p, n / 2, at) : -1;
    }
    return pwrite(fd, p, n, at);
}

static inline ssize_t nth_read(int fd, void *p, size_t n)
{
    return nth_hits() ? -1 : read(fd, p, n);
}

static inline ssize_t nth_pread(int fd, void *p, size_t n, off_t at)
{
    return nth_hits() ? -1 : pread(fd, p, n, at);
}

static inline int nth_fsync(int fd)
{
    return nth_hits() ? -1 : fsync(fd);
}

static inline int nth_fdatasync(int fd)
{
    return nth_hits() ? -1 : fdatasync(fd);
}

static inline int nth_rename(const char *from, const char *to)
{
    return nth_hits() ? -1 : rename(from, to);
}

static inline int nth_fallocate(int fd, int mode, off_t from, off_t size)
{
    return nth_hits() ? -1 : fallocate(fd, mode, from, size);
}

static inline int nth_flock(int fd, int how)
{
    return nth_hits() ? -1 : flock(fd, how);
}

static inline int nth_ftruncate(int fd, off_t size)
{
    return nth_hits() ? -1 : ftruncate(fd, size);
}

typedef int nth_work(const char *dir);
typedef void nth_look(const char *dir, int outcome);

static inline int nth_run(const char *dir, nth_work *work)
{
    (void)fflush(NULL);
    pid_t child = fork();
    t_check(child >= 0);
    if (child == 0) {
        log_set_level(LOG_LEVEL_ERROR);
        _exit(work(dir));
    }
    int status = 0;
    t_check(waitpid(child, &status, 0) == child);
    t_checkf(WIFEXITED(status) &&
                 (WEXITSTATUS(status) == NTH_DONE || WEXITSTATUS(status) == NTH_FAILED),
             "call %u failed with %s%s: wait status %d", nth->fails, err_errno_text(nth->how),
             nth->is_half ? " after half" : "", status);
    return WEXITSTATUS(status);
}

/* How many calls there are at all is found on the way: a run in which none failed is the last. */
static inline void nth_each(const char *name, nth_work *work, nth_look *look)
{
    static const struct {
        int how;
        bool is_half;
    } ways[] = {{EIO, false}, {ENOSPC, false}, {ENOSPC, true}};
    nth = (struct nth *)mmap(NULL, sizeof(*nth), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                             -1, 0);
    t_check(nth != MAP_FAILED);
    unsigned failed = 0;
    for (size_t way = 0; way < ARRAY_COUNT(ways); way++) {
        bool is_over = false;
        for (unsigned n = 1; !is_over; n++) {
            char dir[512];
            t_check(n < NTH_MAX);
            (void)snprintf(dir, sizeof(dir), "%s/%s-%zu-%u", t_tmp_dir(), name, way, n);
            memset(nth, 0, sizeof(*nth));
            nth->how = ways[way].how;
            nth->is_half = ways[way].is_half;
            nth->fails = n;
            int outcome = nth_run(dir, work);
            is_over = nth->count < n;
            t_checkf(!is_over || outcome == NTH_DONE, "nothing failed, but the scenario says so");
            failed += outcome == NTH_FAILED;
            nth->fails = 0; /* a sound disk from here on */
            look(dir, outcome);
            (void)files_remove_tree(dir);
        }
    }
    t_check(failed > 0);
    t_note("%s: %u runs ended with an error", name, failed);
    t_check(munmap(nth, sizeof(*nth)) == 0);
    nth = NULL;
}

/* Calls of the code that is included after this. Variadic, as open() is. */
#define NTH_MODE_(a, b, c, ...) nth_open(a, b, (int)(c))
#define open(...)               NTH_MODE_(__VA_ARGS__, 0, 0)
#define mkdir                   nth_mkdir
#define write                   nth_write
#define pwrite                  nth_pwrite
#define read                    nth_read
#define pread                   nth_pread
#define fsync                   nth_fsync
#define fdatasync               nth_fdatasync
#define rename                  nth_rename
#define fallocate               nth_fallocate
#define flock(fd, how)          nth_flock(fd, how)
#define ftruncate               nth_ftruncate
