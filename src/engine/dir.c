/* See dir.h. The lock is flock(2): it ends with the process however that ends, and it excludes a
 * second open in the same process as well. */
#include "engine/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/files.h"
#include "base/mem.h"

enum { FORMAT_SIZE_MAX = 256 };
#define FORMAT_FIRST_LINE "holdfast engine"

struct engine_dir {
    char *path;         /* owned */
    char *data_path;    /* owned */
    char *journal_path; /* owned */
    unsigned format;
    int lock_fd;
};

static enum err io_failed(struct errinfo *ei, const char *what, const char *path)
{
    int cause = errno;
    bool is_full = cause == ENOSPC || cause == EDQUOT;
    char text[128];
    return err_set(ei, is_full ? ERR_DISK_FULL : ERR_IO, "%s %s: %s", what, path,
                   strerror_r(cause, text, sizeof(text)));
}

static char *path_join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = (char *)mem_alloc(size);
    int n = snprintf(path, size, "%s/%s", dir, name);
    ASSERT(n > 0 && (size_t)n < size);
    return path;
}

/* mkdir -p; a new directory is made durable in its parent. */
static enum err make_dirs(const char *path, struct errinfo *ei)
{
    char *p = mem_strdup(path);
    enum err ret = OK;
    for (char *c = p + 1; ret == OK; c++) {
        if (*c != '/' && *c != '\0') {
            continue;
        }
        char kept = *c;
        *c = '\0';
        if (mkdir(p, 0700) == 0) {
            char *slash = strrchr(p, '/');
            if (slash == NULL) {
                ret = files_sync_dir(".", ei);
            } else if (slash == p) {
                ret = files_sync_dir("/", ei);
            } else {
                *slash = '\0';
                ret = files_sync_dir(p, ei);
                *slash = '/';
            }
        } else if (errno != EEXIST) {
            ret = io_failed(ei, "cannot create directory", p);
        }
        *c = kept;
        if (kept == '\0') {
            break;
        }
    }
    mem_free(p);
    return ret;
}

static enum err take_lock(struct engine_dir *d, struct errinfo *ei)
{
    char *path = path_join(d->path, "LOCK");
    enum err ret = OK;
    d->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (d->lock_fd < 0) {
        ret = io_failed(ei, "cannot open", path);
    } else if (flock(d->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) {
            ret = err_set(ei, ERR_IN_USE, "data directory %s is open in another process", d->path);
            err_hint(ei, "stop the server that uses it, or give this one a directory of its own");
        } else {
            ret = io_failed(ei, "cannot lock", path);
        }
    }
    mem_free(path);
    return ret;
}

static enum err write_format(const struct engine_dir *d, const char *path, const char *driver,
                             struct errinfo *ei)
{
    char text[FORMAT_SIZE_MAX];
    int n = snprintf(text, sizeof(text), FORMAT_FIRST_LINE "\nformat %d\ndriver %s\n",
                     ENGINE_FORMAT, driver);
    ASSERT(n > 0 && (size_t)n < sizeof(text));
    char *tmp = path_join(d->path, "FORMAT.tmp");
    enum err ret = OK;
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        ret = io_failed(ei, "cannot create", tmp);
        goto out;
    }
    if (write(fd, text, (size_t)n) != n || fsync(fd) != 0) {
        ret = io_failed(ei, "cannot write", tmp);
    }
    close(fd);
    if (ret == OK && rename(tmp, path) != 0) {
        ret = io_failed(ei, "cannot rename", tmp);
    }
out:
    mem_free(tmp);
    return ret;
}

static enum err put_format(struct engine_dir *d, const char *path, const char *driver,
                           struct errinfo *ei)
{
    TRY(write_format(d, path, driver, ei));
    TRY(files_sync_dir(d->path, ei));
    d->format = ENGINE_FORMAT;
    return OK;
}

static enum err check_format(struct str text, const char *driver, const char *path,
                             unsigned *ret_format, struct errinfo *ei)
{
    struct str line;
    uint64_t format = 0;
    bool is_ours = str_split(text, '\n', &line, &text) && str_eq(line, STR(FORMAT_FIRST_LINE)) &&
                   str_split(text, '\n', &line, &text) && str_starts(line, STR("format ")) &&
                   str_to_u64(str_slice(line, 7, line.n), &format) && format > 0;
    if (is_ours && format > ENGINE_FORMAT) { /* what else it says is that format's business */
        return err_set(ei, ERR_FORMAT_NEWER, "%s says format %lu, this program knows up to %d",
                       path, format, ENGINE_FORMAT);
    }
    if (!is_ours || !str_split(text, '\n', &line, &text) || !str_starts(line, STR("driver "))) {
        return err_set(ei, ERR_CORRUPT, "%s is damaged", path);
    }
    struct str made_by = str_slice(line, 7, line.n);
    if (!str_eq(made_by, str_of(driver))) {
        enum err ret = err_set(ei, ERR_CONFIG, "%s was made by the engine " STR_FMT ", not by %s",
                               path, STR_ARG(made_by), driver);
        err_hint(ei, "configure the engine that made the directory, or another directory");
        return ret;
    }
    *ret_format = (unsigned)format;
    return OK;
}

static enum err read_format(int fd, const char *driver, const char *path, unsigned *ret_format,
                            struct errinfo *ei)
{
    char text[FORMAT_SIZE_MAX];
    ssize_t n = read(fd, text, sizeof(text));
    if (n < 0) {
        return io_failed(ei, "cannot read", path);
    }
    return check_format(str_make(text, (size_t)n), driver, path, ret_format, ei);
}

static enum err settle_format(struct engine_dir *d, const char *driver, struct errinfo *ei)
{
    char *path = path_join(d->path, "FORMAT");
    enum err ret = OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ret = read_format(fd, driver, path, &d->format, ei);
        close(fd);
    } else if (errno != ENOENT) {
        ret = io_failed(ei, "cannot open", path);
    } else if (access(d->data_path, F_OK) == 0) {
        /* FORMAT is made durable before data is created: it was removed. */
        ret = err_set(ei, ERR_CORRUPT, "%s is missing but %s exists", path, d->data_path);
    } else {
        ret = put_format(d, path, driver, ei);
    }
    mem_free(path);
    return ret;
}

enum err engine_dir_upgraded(struct engine_dir *d, const char *driver, struct errinfo *ei)
{
    char *path = path_join(d->path, "FORMAT");
    enum err ret = put_format(d, path, driver, ei);
    mem_free(path);
    return ret;
}

enum err engine_dir_open(struct str dir, const char *driver, struct engine_dir **ret_dir,
                         struct errinfo *ei)
{
    if (dir.n == 0 || memchr(dir.p, '\0', dir.n) != NULL) {
        return err_set(ei, ERR_CONFIG, "engine %s needs a data directory", driver);
    }
    struct engine_dir *d = MEM_NEW(struct engine_dir);
    d->lock_fd = -1;
    d->path = (char *)mem_zalloc(dir.n + 1);
    memcpy(d->path, dir.p, dir.n);
    d->data_path = path_join(d->path, "data");
    d->journal_path = path_join(d->path, "journal");
    enum err ret = OK;
    TRY_GOTO(make_dirs(d->path, ei), out);
    TRY_GOTO(take_lock(d, ei), out);
    TRY_GOTO(settle_format(d, driver, ei), out);
    TRY_GOTO(make_dirs(d->data_path, ei), out);
    TRY_GOTO(make_dirs(d->journal_path, ei), out);
    *ret_dir = d;
    return OK;
out:
    engine_dir_close(d);
    return ret;
}

void engine_dir_close(struct engine_dir *d)
{
    if (d == NULL) {
        return;
    }
    if (d->lock_fd >= 0) {
        close(d->lock_fd);
    }
    mem_free(d->path);
    mem_free(d->data_path);
    mem_free(d->journal_path);
    mem_free(d);
}

struct str engine_dir_data(const struct engine_dir *d)
{
    return str_of(d->data_path);
}

struct str engine_dir_journal(const struct engine_dir *d)
{
    return str_of(d->journal_path);
}

unsigned engine_dir_format(const struct engine_dir *d)
{
    return d->format;
}
