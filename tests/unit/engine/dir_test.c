/* The data directory: lock, format file, and what is refused. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/dir.h"
#include "suite.h"

static const char *fresh_dir(void)
{
    static char path[512];
    static unsigned n;
    (void)snprintf(path, sizeof(path), "%s/dir-%u/a/b", t_tmp_dir(), n++);
    return path;
}

static enum err open_close(const char *path, const char *driver, struct errinfo *ei)
{
    struct engine_dir *d = NULL;
    enum err err = engine_dir_open(str_of(path), driver, &d, ei);
    engine_dir_close(d);
    return err;
}

static void put_format(const char *path, const char *text)
{
    char file[600];
    (void)snprintf(file, sizeof(file), "%s/FORMAT", path);
    FILE *f = fopen(file, "we");
    t_check(f != NULL);
    (void)fputs(text, f);
    (void)fclose(f);
}

T_TEST("a new directory is made with its parents, then opened again")
{
    const char *path = fresh_dir();
    struct engine_dir *d = NULL;
    struct errinfo ei = {0};
    t_ok_info(engine_dir_open(str_of(path), "rocksdb", &d, &ei), &ei);
    t_check(str_ends(engine_dir_data(d), STR("/a/b/data")));
    engine_dir_close(d);
    char file[600];
    (void)snprintf(file, sizeof(file), "%s/FORMAT", path);
    size_t n = 0;
    char *text = t_read_file(file, &n);
    t_eq_cstr(text, "holdfast engine\nformat 2\ndriver rocksdb\n");
    mem_free(text);
    t_ok(open_close(path, "rocksdb", NULL));
}

T_TEST("a second open is refused, in this process and in another")
{
    const char *path = fresh_dir();
    struct engine_dir *d = NULL;
    t_ok(engine_dir_open(str_of(path), "rocksdb", &d, NULL));
    struct errinfo ei = {0};
    t_err(open_close(path, "rocksdb", &ei), ERR_IN_USE);
    t_contains(str_of(ei.message), path);
    t_check(ei.hint[0] != '\0');
    pid_t child = fork();
    t_check(child >= 0);
    if (child == 0) {
        _exit(open_close(path, "rocksdb", NULL) == ERR_IN_USE ? 0 : 1);
    }
    int status = 0;
    t_eq_int(waitpid(child, &status, 0), child);
    t_eq_int(status, 0);
    engine_dir_close(d);
    t_ok(open_close(path, "rocksdb", NULL));
}

T_TEST("a lock ends with its process")
{
    const char *path = fresh_dir();
    int ready[2];
    t_eq_int(pipe(ready), 0);
    pid_t child = fork();
    t_check(child >= 0);
    if (child == 0) {
        struct engine_dir *d = NULL;
        enum err err = engine_dir_open(str_of(path), "rocksdb", &d, NULL);
        char c = err == OK ? 'y' : 'n';
        (void)!write(ready[1], &c, 1); /* the parent checks what comes */
        pause();
        _exit(1);
    }
    char c = 0;
    t_eq_i64(read(ready[0], &c, 1), 1);
    t_eq_int(c, 'y');
    t_err(open_close(path, "rocksdb", NULL), ERR_IN_USE);
    t_eq_int(kill(child, SIGKILL), 0);
    int status = 0;
    t_eq_int(waitpid(child, &status, 0), child);
    t_ok(open_close(path, "rocksdb", NULL));
    close(ready[0]);
    close(ready[1]);
}

T_TEST("another driver, a newer format and damage are refused")
{
    const char *path = fresh_dir();
    t_ok(open_close(path, "rocksdb", NULL));
    t_err(open_close(path, "postgres", NULL), ERR_CONFIG);
    put_format(path, "holdfast engine\nformat 3\ndriver rocksdb\n");
    t_err(open_close(path, "rocksdb", NULL), ERR_FORMAT_NEWER);
    put_format(path, "holdfast engine\nformat 12\nsomething new\n");
    t_err(open_close(path, "rocksdb", NULL), ERR_FORMAT_NEWER);
    static const char *const damaged[] = {
        "",
        "holdfast engine\n",
        "holdfast\nformat 1\ndriver rocksdb\n",
        "holdfast engine\nformat x\ndriver rocksdb\n",
        "holdfast engine\nformat 0\ndriver rocksdb\n",
        "holdfast engine\nformat 1\ndriver rocksdb",
    };
    for (size_t i = 0; i < ARRAY_COUNT(damaged); i++) {
        put_format(path, damaged[i]);
        t_err(open_close(path, "rocksdb", NULL), ERR_CORRUPT);
    }
    put_format(path, "holdfast engine\nformat 1\ndriver rocksdb\n");
    t_ok(open_close(path, "rocksdb", NULL));
    char file[600];
    (void)snprintf(file, sizeof(file), "%s/FORMAT", path);
    t_eq_int(unlink(file), 0);
    t_err(open_close(path, "rocksdb", NULL), ERR_CORRUPT); /* data without FORMAT */
}

T_TEST("an older format stays until it is said to be upgraded")
{
    const char *path = fresh_dir();
    t_ok(open_close(path, "rocksdb", NULL));
    put_format(path, "holdfast engine\nformat 1\ndriver rocksdb\n");
    struct engine_dir *d = NULL;
    t_ok(open_close(path, "rocksdb", NULL));
    t_ok(engine_dir_open(str_of(path), "rocksdb", &d, NULL));
    t_eq_u64(engine_dir_format(d), 1);
    t_ok(engine_dir_upgraded(d, "rocksdb", NULL));
    t_eq_u64(engine_dir_format(d), ENGINE_FORMAT);
    engine_dir_close(d);
    t_ok(engine_dir_open(str_of(path), "rocksdb", &d, NULL));
    t_eq_u64(engine_dir_format(d), ENGINE_FORMAT);
    t_check(str_ends(engine_dir_journal(d), STR("/a/b/journal")));
    engine_dir_close(d);
}

T_TEST("no directory, a file in its place, a NUL in its name")
{
    struct engine_dir *d = NULL;
    t_err(engine_dir_open(STR_NONE, "rocksdb", &d, NULL), ERR_CONFIG);
    t_err(engine_dir_open(STR("a\0b"), "rocksdb", &d, NULL), ERR_CONFIG);
    char path[600];
    (void)snprintf(path, sizeof(path), "%s/file", t_tmp_dir());
    FILE *f = fopen(path, "we");
    t_check(f != NULL);
    (void)fclose(f);
    struct errinfo ei = {0};
    t_err(open_close(path, "rocksdb", &ei), ERR_IO);
    t_contains(str_of(ei.message), path);
    t_check(d == NULL);
}

T_MAIN()
