/* Whole-file helpers. See files.h. */
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err err_of(int why)
{
    return why == ENOSPC || why == EDQUOT ? ERR_DISK_FULL : ERR_IO;
}

enum err files_mkdirs(const char *path, struct errinfo *ei)
{
    char partial[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(partial)) {
        return err_set(ei, ERR_INVALID, "bad directory name '%s'", path);
    }
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, 0700) == 0) {
            continue;
        }
        int why = errno;
        struct stat st;
        if (why == EEXIST && stat(partial, &st) == 0) {
            if (S_ISDIR(st.st_mode)) {
                continue;
            }
            why = ENOTDIR;
        }
        return err_set(ei, err_of(why), "cannot make directory %s: %s: %s", path, partial,
                       err_errno_text(why));
    }
    return OK;
}

enum err files_read(const char *path, struct buf *out, struct errinfo *ei)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_set(ei, errno == ENOENT ? ERR_NOT_FOUND : err_of(errno), "cannot open %s: %s",
                       path, err_errno_text(errno));
    }
    char chunk[8192];
    ssize_t n = 0;
    while (buf_ok(out) && (n = read(fd, chunk, sizeof(chunk))) > 0) {
        buf_add(out, chunk, (size_t)n);
    }
    int saved = errno;
    close(fd);
    if (n < 0) {
        return err_set(ei, err_of(saved), "cannot read %s: %s", path, err_errno_text(saved));
    }
    if (!buf_ok(out)) {
        return err_set(ei, ERR_LIMIT, "%s is larger than %zu bytes", path, out->max);
    }
    return OK;
}

enum err files_read_secret(const char *path, char ret[FILES_SECRET_SIZE], size_t *ret_n,
                           struct errinfo *ei)
{
    struct buf text;
    buf_init(&text, FILES_SECRET_SIZE - 1);
    enum err err = files_read(path, &text, ei);
    struct str secret = str_trim(buf_str(&text));
    if (err == OK && secret.n == 0) {
        err = err_set(ei, ERR_CONFIG, "the secret file %s is empty", path);
    }
    if (err == OK) {
        memcpy(ret, secret.p, secret.n);
        ret[secret.n] = '\0';
        *ret_n = secret.n;
    }
    buf_done_secret(&text);
    return err;
}

/* The helpers below leave errno to say why. */
static bool write_all(int fd, struct str text)
{
    size_t done = 0;
    while (done < text.n) {
        ssize_t n = write(fd, text.p + done, text.n - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        done += (size_t)n;
    }
    return true;
}

enum err files_sync_dir(const char *path, struct errinfo *ei)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    errno = why;
    return is_synced ? OK
                     : err_set(ei, err_of(why), "cannot sync directory %s: %s", path,
                               err_errno_text(why));
}

/* Of the file `path`. */
static bool sync_parent(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n == 0) {
        folder[0] = slash ? '/' : '.';
        n = 1;
    } else {
        memcpy(folder, path, n);
    }
    folder[n] = '\0';
    return files_sync_dir(folder, NULL) == OK;
}

enum err files_write_durable(const char *path, struct str text, mode_t mode, struct errinfo *ei)
{
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        return err_set(ei, ERR_INVALID, "file name too long: %s", path);
    }
    /* One left by a killed process may have other rights, or be a link. */
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) {
        return err_set(ei, err_of(errno), "cannot create %s: %s", temporary, err_errno_text(errno));
    }
    /* Each step only when those before it are done; errno is that of the first that failed. */
    bool is_written = write_all(fd, text) && fsync(fd) == 0;
    int why = errno;
    close(fd);
    bool is_done = is_written && rename(temporary, path) == 0 && sync_parent(path);
    if (is_done) {
        return OK;
    }
    why = is_written ? errno : why;
    enum err ret = err_set(ei, err_of(why), "cannot write %s: %s", path, err_errno_text(why));
    (void)unlink(temporary); /* gone already when only the folder's sync failed */
    return ret;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

enum err files_remove_tree(const char *path)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one tree at a time, by tools and tests */
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0 ? OK : ERR_IO;
}
