/* What /proc tells about a silent process. See frozen.h. */
#include "server/frozen.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/contract.h"

enum {
    STAT_SIZE = 1024,
    FIELDS_TO_UTIME = 11, /* blanks from the state to utime; stime is the next one */
};

/* The part of a stat file behind the name, which may contain anything: state first. NULL: gone. */
static const char *read_stat(const char *path, char text[STAT_SIZE])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    ssize_t n = read(fd, text, STAT_SIZE - 1);
    (void)close(fd); /* was only read */
    if (n <= 0) {
        return NULL;
    }
    text[n] = '\0';
    const char *end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' && end[2] != '\0' ? end + 2 : NULL;
}

static bool read_cpu_ms(pid_t pid, uint64_t *ret)
{
    char path[64];
    char text[STAT_SIZE];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    const char *at = read_stat(path, text);
    for (int i = 0; at != NULL && i < FIELDS_TO_UTIME; i++) {
        at = strchr(at, ' ');
        at = at != NULL ? at + 1 : NULL;
    }
    if (at == NULL) {
        return false;
    }
    char *rest = NULL;
    unsigned long long user = strtoull(at, &rest, 10);
    unsigned long long system = strtoull(rest, NULL, 10);
    *ret = (user + system) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return true;
}

bool frozen_look_at(pid_t pid, struct frozen_look *ret)
{
    struct frozen_look look = {0};
    char path[400];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return false;
    }
    const struct dirent *entry = NULL;
    unsigned count = 0;
    while (!look.wants_cpu && count < FROZEN_THREADS_MAX &&
           (entry = readdir(threads)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        char text[STAT_SIZE];
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, entry->d_name);
        const char *state = entry->d_name[0] == '.' ? NULL : read_stat(path, text);
        look.wants_cpu = state != NULL && state[0] == 'R';
        count++;
    }
    (void)closedir(threads); /* was only read */
    if (!read_cpu_ms(pid, &look.cpu_ms)) {
        return false;
    }
    *ret = look;
    return true;
}

unsigned frozen_count(const struct frozen_look *before, const struct frozen_look *now,
                      uint64_t elapsed_ms)
{
    uint64_t used_ms = now->cpu_ms > before->cpu_ms ? now->cpu_ms - before->cpu_ms : 0;
    bool is_starved = now->wants_cpu && used_ms * 2 < elapsed_ms;
    if (is_starved) {
        return 0;
    }
    return elapsed_ms < FROZEN_LOOK_MS ? (unsigned)elapsed_ms : FROZEN_LOOK_MS;
}
