/* Runs files and directories of files through LLVMFuzzerTestOneInput: the same fuzz target is an
 * ordinary test without libFuzzer. One TAP point per argument; a crash shows the file last named
 * in the comment. Every input also runs cut in half and with one byte flipped, which costs
 * nothing and finds what a corpus of well-formed files does not. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/t.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_SIZE_MAX = 1024 };

static unsigned input_count;
static char current_path[PATH_SIZE_MAX];
static const char *current_arg;

/* A copy of exact size, so that the address sanitizer sees a read past the end. */
static void run_exact(const char *p, size_t n)
{
    uint8_t *copy = (uint8_t *)mem_dup(p, n);
    if (LLVMFuzzerTestOneInput(copy, n) != 0) {
        t_fail("target did not return 0 for %s", current_path);
    }
    mem_free(copy);
    input_count++;
}

static void run_file(const char *path)
{
    size_t n = 0;
    char *p = t_read_file(path, &n);
    run_exact(p, n);
    run_exact(p, n / 2);
    if (n > 0) {
        p[n / 2] = (char)(p[n / 2] ^ 0x20);
        run_exact(p, n);
    }
    mem_free(p);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not the locale's order */
}

static void run_directory(const char *path)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, by_name);
    if (count < 0) {
        t_fail("%s: %s", path, strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            int n = snprintf(current_path, sizeof(current_path), "%s/%s", path, entries[i]->d_name);
            t_checkf(n > 0 && (size_t)n < sizeof(current_path), "path too long in %s", path);
            run_file(current_path);
        }
        free(entries[i]); /* scandir's, from malloc */
    }
    free(entries);
}

static void crashed(const char *text)
{
    ssize_t ignored = write(STDOUT_FILENO, text, strlen(text)); /* dying anyway */
    (void)ignored;
}

static void at_abnormal_exit(void)
{
    if (current_path[0] != '\0') {
        crashed("# last input: ");
        crashed(current_path);
        crashed("\n");
    }
}

static void replay_current(void)
{
    struct stat st;
    if (stat(current_arg, &st) != 0) {
        t_fail("%s: %s", current_arg, strerror(errno));
    }
    if (S_ISDIR(st.st_mode)) {
        run_directory(current_arg);
    } else {
        (void)snprintf(current_path, sizeof(current_path), "%s", current_arg); /* only shown */
        run_file(current_arg);
    }
    run_exact("", 0);
    t_note("%u inputs", input_count);
    t_checkf(input_count > 1, "no inputs in %s", current_arg);
    current_path[0] = '\0';
}

int main(int argc, char **argv)
{
    t_start(1, argv);
    if (atexit(at_abnormal_exit) != 0) {
        abort();
    }
    for (int i = 1; i < argc; i++) {
        current_arg = argv[i];
        t_run(argv[i], replay_current);
    }
    return t_done();
}
