/* Runs a command and leaves nothing of it behind: contain LIMIT_S COMMAND [ARGS...]
 *
 * Test programs start servers in sessions of their own, which no kill of a process group reaches. Here
 * whatever loses its parent below us becomes our child (PR_SET_CHILD_SUBREAPER), so that our children
 * can be killed until there are none. That is done when the command has ended, however it did; when its
 * limit is reached (0: none), of which SIGTERM tells it a while before; and when whoever started us has
 * gone or tells us to end.
 *
 * Exit code: the command's; 128 and the number of the signal that killed it; 124 at the limit; 127 where
 * there is no such command. Not handled: processes of another user, which we may not kill. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum {
    GRACE_MS = 10 * 1000, /* between SIGTERM at the limit and SIGKILL */
    END_MS = 10 * 1000,   /* for what was killed to be gone */
    PAUSE_NS = 20000000,
    LIMIT_S_MAX = 7 * 86400,
    EXIT_LIMIT = 124, /* as of timeout(1) */
    EXIT_NO_COMMAND = 127,
};

static struct {
    sigset_t signals; /* blocked, and waited for */
    pid_t command;
    bool has_ended; /* the command */
    int status;     /* then */
    bool has_children;
} c;

static usec after_ms(uint64_t ms)
{
    return clock_boot_us() + (usec)ms * 1000;
}

static void reap(void)
{
    int status = 0;
    pid_t ended = 0;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended == c.command) {
            c.has_ended = true;
            c.status = status;
        }
    }
    c.has_children = ended == 0;
}

enum news { NEWS_COMMAND_ENDED, NEWS_DEADLINE, NEWS_TOLD_TO_END };

/* deadline_us 0: none. */
static enum news wait_for_command(usec deadline_us)
{
    while (!c.has_ended) {
        usec now_us = clock_boot_us();
        if (deadline_us != 0 && now_us >= deadline_us) {
            return NEWS_DEADLINE;
        }
        usec left_us = deadline_us != 0 ? deadline_us - now_us : (usec)LIMIT_S_MAX * 1000000;
        struct timespec left = {.tv_sec = (time_t)(left_us / 1000000),
                                .tv_nsec = (long)(left_us % 1000000 * 1000)};
        int signum = sigtimedwait(&c.signals, NULL, &left);
        if (signum > 0 && signum != SIGCHLD) {
            return NEWS_TOLD_TO_END;
        }
        reap();
    }
    return NEWS_COMMAND_ENDED;
}

/* The parent of a process, and its name; 0: it has gone. */
static pid_t parent_of(const char *number, char ret_name[64])
{
    char path[64];
    char text[512];
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", number);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f); /* was only read */
    text[n] = '\0';
    /* PID (NAME) STATE PARENT ...; the name may hold anything. */
    const char *name = strchr(text, '(');
    const char *name_end = strrchr(text, ')');
    uint64_t ret = 0;
    if (name == NULL || name_end == NULL || strlen(name_end) < 4) {
        return 0;
    }
    (void)snprintf(ret_name, 64, "%.*s", (int)(name_end - name - 1), name + 1);
    const char *parent = name_end + 4;
    return str_to_u64(str_make(parent, strspn(parent, "0123456789")), &ret) ? (pid_t)ret : 0;
}

static void kill_children(bool is_news)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry = NULL;
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        char name[64];
        uint64_t number = 0;
        if (!str_to_u64(str_of(entry->d_name), &number) ||
            parent_of(entry->d_name, name) != getpid()) {
            continue;
        }
        if (is_news) {
            printf("# left running, and killed: %s\n", name);
        }
        (void)kill((pid_t)number, SIGKILL); /* ours until we reap it; another user's stays */
    }
    if (proc != NULL) {
        (void)closedir(proc);
    }
}

/* The children of those that are killed become ours, and are next. */
static void end_all(bool is_news)
{
    usec deadline_us = after_ms(END_MS);
    for (reap(); c.has_children && clock_boot_us() < deadline_us; reap()) {
        kill_children(is_news);
        is_news = false;
        struct timespec pause = {.tv_nsec = PAUSE_NS};
        (void)sigtimedwait(&c.signals, NULL, &pause); /* whatever it was, look again */
    }
}

static int exit_code(enum news news)
{
    if (news == NEWS_DEADLINE) {
        return EXIT_LIMIT;
    }
    if (!WIFEXITED(c.status)) {
        printf("# ended by signal %d (%s)\n", WTERMSIG(c.status), sigdescr_np(WTERMSIG(c.status)));
        return 128 + WTERMSIG(c.status);
    }
    return WEXITSTATUS(c.status);
}

int main(int argc, char **argv)
{
    uint64_t limit_s = 0;
    if (argc < 3 || !str_to_u64(str_of(argv[1]), &limit_s) || limit_s > LIMIT_S_MAX) {
        (void)fprintf(stderr, "usage: contain LIMIT_S COMMAND [ARGS...]\n");
        return 2;
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1); /* cannot fail */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)sigemptyset(&c.signals);
    static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
        (void)sigaddset(&c.signals, signals[i]);
    }
    sigset_t before;
    (void)sigprocmask(SIG_BLOCK, &c.signals, &before);
    c.command = fork();
    if (c.command < 0) {
        (void)fprintf(stderr, "fork: %s\n", strerror(errno));
        return EXIT_NO_COMMAND;
    }
    if (c.command == 0) {
        (void)setsid(); /* what is done to our group is ours to pass on */
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        (void)execvp(argv[2], argv + 2);
        (void)fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
        _exit(EXIT_NO_COMMAND);
    }
    enum news news = wait_for_command(limit_s == 0 ? 0 : after_ms(limit_s * 1000));
    if (news == NEWS_DEADLINE) {
        (void)kill(-c.command, SIGTERM); /* its group is there until we have reaped it */
        (void)wait_for_command(after_ms(GRACE_MS));
    }
    end_all(/* is_news= */ news == NEWS_COMMAND_ENDED);
    if (news == NEWS_DEADLINE) {
        printf("\nBail out! stopped after %lu s\n", (unsigned long)limit_s);
    }
    return news == NEWS_TOLD_TO_END ? 128 + SIGTERM : exit_code(news);
}
