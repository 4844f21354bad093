#include "continuity/drill/process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

enum { CMDLINE_SIZE = 4096 };

/* Arguments as in /proc/PID/cmdline: each ends with a NUL. Returns bytes, 0 when there are none. */
static size_t read_cmdline(pid_t target, char ret[CMDLINE_SIZE])
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)target);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(ret, 1, CMDLINE_SIZE - 1, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    ret[n] = '\0';
    return n;
}

static pid_t parent_of(pid_t target)
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)target);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
    if (f) {
        (void)fclose(f);
    }
    text[n] = '\0';
    /* "PID (NAME) STATE PPID ...": the name may contain anything, so from its last bracket. */
    const char *after = strrchr(text, ')');
    struct str state;
    struct str rest;
    struct str number;
    uint64_t parent = 0;
    if (after == NULL || strlen(after) < 2 || !str_split(str_of(after + 2), ' ', &state, &rest) ||
        !str_split(rest, ' ', &number, &rest) || !str_to_u64(number, &parent)) {
        return 0;
    }
    return (pid_t)parent;
}

enum err process_signal(pid_t target, int signum, struct errinfo *ei)
{
    char theirs[CMDLINE_SIZE];
    if (target <= 0 || read_cmdline(target, theirs) == 0 || strcmp(theirs, "holdfast") != 0) {
        return err_set(ei, ERR_NOT_FOUND, "process %d is not a holdfast server on this machine",
                       (int)target);
    }
    if (kill(target, signum) != 0) {
        return err_set(ei, ERR_FORBIDDEN, "cannot signal process %d: %s", (int)target,
                       err_errno_text(errno));
    }
    return OK;
}

enum err process_child(pid_t parent, const char *role, pid_t *ret, struct errinfo *ei)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;
    while (d && found == 0) {
        const struct dirent *e = readdir(d); /* NOLINT(concurrency-mt-unsafe): a stream of ours */
        if (!e) {
            break;
        }
        uint64_t number = 0;
        char args[CMDLINE_SIZE];
        if (!str_to_u64(str_of(e->d_name), &number) || parent_of((pid_t)number) != parent) {
            continue;
        }
        size_t n = read_cmdline((pid_t)number, args);
        size_t first = strlen(args) + 1;
        if (strcmp(args, "holdfast") == 0 && first < n && strcmp(args + first, role) == 0) {
            found = (pid_t)number;
        }
    }
    if (d) {
        (void)closedir(d);
    }
    if (found == 0) {
        return err_set(ei, ERR_NOT_FOUND, "no %s process of this account is on this machine", role);
    }
    *ret = found;
    return OK;
}
