/* The harness behind t.h. A failed check leaves the running test with longjmp: test bodies own
 * nothing that matters after a failure, and the leak report of a failed run is not of interest. */
#include "lib/t.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/contract.h"
#include "base/mem.h"

enum {
    TIME_LIMIT_DEFAULT_S = 60,
    SHOWN_SIZE_MAX = 400, /* of a string in a message, on each side of the difference */
    GOLDEN_SIZE_MAX = 16 << 20,
};

static struct {
    const char *program;
    const char *only; /* run titles that contain this, or NULL */
    bool is_listing;
    unsigned count; /* tests run so far = number of the running one */
    unsigned failed;
    unsigned soft_failures; /* of the running test */
    bool is_running;
    const char *title;
    const char *skip; /* reason, or NULL */
    jmp_buf on_failure;
    char tmp_dir[256];
    struct t_entry *first;
    struct t_entry **last;
} t = {.last = &t.first};

static void timed_out(int sig)
{
    UNUSED(sig);
    static const char text[] = "\nBail out! time limit reached in: ";
    ssize_t ignored = write(STDOUT_FILENO, text, sizeof(text) - 1); /* ending anyway */
    if (t.title != NULL) {
        ignored = write(STDOUT_FILENO, t.title, strlen(t.title));
    }
    ignored = write(STDOUT_FILENO, "\n", 1);
    UNUSED(ignored);
    _exit(124);
}

void t_time_limit(unsigned seconds)
{
    (void)alarm(seconds); /* what was left before does not matter */
}

static unsigned env_unsigned(const char *name, unsigned fallback)
{
    const char *text = getenv(name);
    uint64_t v = 0;
    return text != NULL && str_to_u64(str_of(text), &v) && v <= 1000000 ? (unsigned)v : fallback;
}

uint64_t t_seed(void)
{
    const char *text = getenv("T_SEED");
    uint64_t v = 0;
    return text != NULL && str_to_u64(str_of(text), &v) ? v : 1;
}

void t_start(int argc, char **argv)
{
    t.program = argc > 0 ? argv[0] : "test";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-l") == 0) {
            t.is_listing = true;
        } else {
            t.only = argv[i];
        }
    }
    /* Whole lines at once, and nothing lost when a test crashes. */
    if (setvbuf(stdout, NULL, _IOLBF, 0) != 0) {
        abort();
    }
    struct sigaction sa = {.sa_handler = timed_out};
    if (sigaction(SIGALRM, &sa, NULL) != 0) {
        abort();
    }
    t_time_limit(env_unsigned("T_TIME_LIMIT", TIME_LIMIT_DEFAULT_S));
}

static void print_title(const char *title)
{
    for (const char *p = title; *p != '\0'; p++) {
        if (*p == '#' || *p == '\\') { /* these mean something in TAP */
            putchar('\\');
        }
        putchar(*p == '\n' ? ' ' : *p);
    }
}

void t_run(const char *title, t_fn *fn)
{
    if (t.only != NULL && strstr(title, t.only) == NULL) {
        return;
    }
    if (t.is_listing) {
        printf("# %s\n", title);
        return;
    }
    t.count++;
    t.title = title;
    t.skip = NULL;
    t.soft_failures = 0;
    t.is_running = true;
    bool has_failed = setjmp(t.on_failure) != 0;
    if (!has_failed) {
        fn();
    }
    t.is_running = false;
    has_failed = has_failed || t.soft_failures > 0;
    if (has_failed) {
        t.failed++;
        printf("# repeat: T_SEED=%" PRIu64 " %s '%s'\n", t_seed(), t.program, title);
    }
    printf("%s %u - ", has_failed ? "not ok" : "ok", t.count);
    print_title(title);
    if (t.skip != NULL && !has_failed) {
        printf(" # SKIP %s", t.skip);
    }
    putchar('\n');
    t.title = NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    UNUSED(st);
    UNUSED(type);
    UNUSED(ftw);
    return remove(path);
}

int t_done(void)
{
    t_time_limit(0);
    if (t.tmp_dir[0] != '\0') {
        if (t.failed > 0 && getenv("T_KEEP") != NULL) {
            printf("# kept %s\n", t.tmp_dir);
        } else if (nftw(t.tmp_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
            printf("# could not remove %s: %s\n", t.tmp_dir, strerror(errno));
        }
        t.tmp_dir[0] = '\0';
    }
    if (t.is_listing) {
        return 0;
    }
    printf("1..%u\n", t.count);
    if (t.count == 0) {
        printf("# no test ran\n");
    }
    (void)fflush(stdout); /* a broken pipe shows in the exit code of the reader */
    return t.failed > 0 || t.count == 0 ? 1 : 0;
}

void t_skip(const char *reason)
{
    t.skip = reason;
}

void t_note(const char *fmt, ...)
{
    va_list ap;
    printf("# ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void __attribute__((format(printf, 3, 0)))
report(const char *file, int line, const char *fmt, va_list ap)
{
    printf("# FAILED %s:%d: ", file, line);
    vprintf(fmt, ap);
    putchar('\n');
}

void t_fail_soft_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(file, line, fmt, ap);
    va_end(ap);
    t.soft_failures++;
}

_Noreturn void t_fail_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report(file, line, fmt, ap);
    va_end(ap);
    if (t.is_running) {
        longjmp(t.on_failure, 1);
    }
    exit(1); /* a check outside of any test */
}

void t_eq_u64_at(const char *file, int line, const char *what, uint64_t got, uint64_t want)
{
    if (got != want) {
        t_fail_at(file, line,
                  "%s\n#    got %" PRIu64 " (0x%" PRIx64 ")\n#   want %" PRIu64 " (0x%" PRIx64 ")",
                  what, got, got, want, want);
    }
}

void t_eq_i64_at(const char *file, int line, const char *what, int64_t got, int64_t want)
{
    if (got != want) {
        t_fail_at(file, line, "%s\n#    got %" PRId64 "\n#   want %" PRId64, what, got, want);
    }
}

void t_eq_bool_at(const char *file, int line, const char *what, bool got, bool want)
{
    if (got != want) {
        t_fail_at(file, line, "%s\n#    got %s\n#   want %s", what, got ? "true" : "false",
                  want ? "true" : "false");
    }
}

void t_eq_f64_at(const char *file, int line, const char *what, double got, double want)
{
    /* Bit for bit (0 is not -0), but every NaN is one: tests want exactness. */
    uint64_t got_bits;
    uint64_t want_bits;
    memcpy(&got_bits, &got, sizeof(got));
    memcpy(&want_bits, &want, sizeof(want));
    if (got_bits != want_bits && !(isnan(got) && isnan(want))) {
        t_fail_at(file, line, "%s\n#    got %.17g\n#   want %.17g", what, got, want);
    }
}

/* Prints at most SHOWN_SIZE_MAX bytes from `from`, escaped, on one line. */
static void show(const char *label, struct str s, size_t from)
{
    if (s.p == NULL) {
        printf("#   %4s (none)\n", label);
        return;
    }
    printf("#   %4s %s\"", label, from > 0 ? "..." : "");
    struct str part = str_slice(s, from, SHOWN_SIZE_MAX);
    for (size_t i = 0; i < part.n; i++) {
        unsigned char c = (unsigned char)part.p[i];
        if (c == '"' || c == '\\') {
            printf("\\%c", c);
        } else if (c >= ' ' && c != 0x7f) {
            putchar(c);
        } else {
            printf("\\x%02x", c);
        }
    }
    printf("\"%s (%zu bytes)\n", from + part.n < s.n ? "..." : "", s.n);
}

/* Where to start showing: a little before the first difference, if it is far in. */
static size_t show_from(struct str a, struct str b)
{
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i]) {
        i++;
    }
    return i > SHOWN_SIZE_MAX / 2 ? i - SHOWN_SIZE_MAX / 4 : 0;
}

void t_eq_str_at(const char *file, int line, const char *what, struct str got, struct str want)
{
    if (!str_eq(got, want)) {
        printf("# FAILED %s:%d: %s\n", file, line, what);
        size_t from = show_from(got, want);
        show("got", got, from);
        show("want", want, from);
        t_fail_at(file, line, "the strings differ");
    }
}

void t_eq_cstr_at(const char *file, int line, const char *what, const char *got, const char *want)
{
    if (got == NULL || want == NULL) {
        if (got != want) {
            t_fail_at(file, line, "%s\n#    got %s\n#   want %s", what, got ? got : "NULL",
                      want ? want : "NULL");
        }
        return;
    }
    t_eq_str_at(file, line, what, str_of(got), str_of(want));
}

void t_contains_at(const char *file, int line, const char *what, struct str got, const char *part)
{
    if (str_find(got, str_of(part)) < 0) {
        printf("# FAILED %s:%d: %s\n", file, line, what);
        show("got", got, 0);
        t_fail_at(file, line, "should contain: %s", part);
    }
}

void t_err_at(const char *file, int line, const char *what, enum err got, enum err want,
              const struct errinfo *ei)
{
    if (got != want) {
        bool has_info = ei != NULL && ei->code != OK;
        t_fail_at(file, line, "%s\n#    got %s%s%s\n#   want %s", what, err_name(got),
                  has_info ? ": " : "", has_info ? ei->message : "", err_name(want));
    }
}

bool t_aborts(void (*fn)(void *arg), void *arg)
{
    (void)fflush(stdout); /* or the child prints it again */
    pid_t child = fork();
    if (child < 0) {
        t_fail("fork: %s", strerror(errno));
    }
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core); /* only saves time */
        int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null_fd >= 0) {
            (void)dup2(null_fd, STDERR_FILENO); /* the expected message is noise */
        }
        fn(arg);
        _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            t_fail("waitpid: %s", strerror(errno));
        }
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

const char *t_tmp_dir(void)
{
    if (t.tmp_dir[0] == '\0') {
        const char *base = getenv("TMPDIR");
        int n = snprintf(t.tmp_dir, sizeof(t.tmp_dir), "%s/holdfast-test-XXXXXX",
                         base != NULL ? base : "/tmp");
        if (n < 0 || (size_t)n >= sizeof(t.tmp_dir) || mkdtemp(t.tmp_dir) == NULL) {
            t.tmp_dir[0] = '\0';
            t_fail("no temporary directory: %s", strerror(errno));
        }
    }
    return t.tmp_dir;
}

char *t_read_file(const char *path, size_t *ret_n)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        t_fail("%s: %s", path, strerror(errno));
    }
    size_t cap = 4096;
    size_t n = 0;
    char *p = (char *)mem_alloc(cap);
    for (;;) {
        n += fread(p + n, 1, cap - n - 1, f);
        if (n < cap - 1) {
            break;
        }
        if (cap >= GOLDEN_SIZE_MAX) {
            t_fail("%s: too large for a test", path);
        }
        cap *= 2;
        p = (char *)mem_realloc(p, cap);
    }
    bool is_bad = ferror(f) != 0;
    if (fclose(f) != 0 || is_bad) {
        t_fail("%s: %s", path, strerror(errno));
    }
    p[n] = '\0';
    if (ret_n != NULL) {
        *ret_n = n;
    }
    return p;
}

void t_golden_at(const char *file, int line, const char *name, struct str got)
{
    char path[512];
    int n = snprintf(path, sizeof(path), "tests/unit/golden/%s", name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        t_fail_at(file, line, "golden name too long: %s", name);
    }
    if (getenv("T_UPDATE_GOLDEN") != NULL) {
        FILE *f = fopen(path, "wbe");
        if (f == NULL || fwrite(got.p, 1, got.n, f) != got.n || fclose(f) != 0) {
            t_fail_at(file, line, "%s: %s", path, strerror(errno));
        }
        return;
    }
    size_t want_n = 0;
    char *want = t_read_file(path, &want_n);
    t_eq_str_at(file, line, path, got, str_make(want, want_n));
    mem_free(want);
}

void t_register(struct t_entry *entry)
{
    entry->next = NULL;
    *t.last = entry;
    t.last = &entry->next;
}

int t_main(int argc, char **argv)
{
    t_start(argc, argv);
    for (struct t_entry *e = t.first; e != NULL; e = e->next) {
        t_run(e->title, e->fn);
    }
    return t_done();
}
