/* Whole-file helpers on a real file system: what is written is there whole or not at all, and what
 * goes wrong is said with the name of the file. */
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "lib/t.h"

static char path_text[4][1024];

static const char *path(unsigned slot, const char *name)
{
    int n = snprintf(path_text[slot], sizeof(path_text[slot]), "%s/%s", t_tmp_dir(), name);
    t_check(n > 0 && (size_t)n < sizeof(path_text[slot]));
    return path_text[slot];
}

static void put(const char *file, const char *text)
{
    struct errinfo ei = {0};
    t_ok_info(files_write_durable(file, str_of(text), 0600, &ei), &ei);
}

static void eq_file(const char *file, const char *want)
{
    size_t n = 0;
    char *got = t_read_file(file, &n);
    t_eq_str(str_make(got, n), str_of(want));
    mem_free(got);
}

static unsigned entries(const char *dir)
{
    DIR *d = opendir(dir);
    t_check(d != NULL);
    unsigned count = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        count += e->d_name[0] != '.';
    }
    t_check(closedir(d) == 0);
    return count;
}

T_TEST("directories are made with all that is missing above them, for the owner alone")
{
    const char *deep = path(0, "a/b/c");
    t_ok(files_mkdirs(deep, NULL));
    t_ok(files_mkdirs(deep, NULL)); /* there already */
    t_ok(files_mkdirs(path(1, "a/b/d/"), NULL));
    struct stat st;
    t_check(stat(deep, &st) == 0 && S_ISDIR(st.st_mode));
    t_eq_u64(st.st_mode & 0777, 0700);
    t_check(stat(path(1, "a/b/d"), &st) == 0 && S_ISDIR(st.st_mode));
}

T_TEST("a file in the way of a directory is an error that names it")
{
    put(path(0, "file"), "x");
    struct errinfo ei = {0};
    t_err(files_mkdirs(path(1, "file/below"), &ei), ERR_IO);
    t_contains(str_of(ei.message), "file/below");
    struct errinfo same = {0};
    t_err(files_mkdirs(path_text[0], &same), ERR_IO); /* the file itself is no directory */
    t_contains(str_of(same.message), path_text[0]);
    t_err(files_mkdirs("", NULL), ERR_INVALID);
}

T_TEST("what is written is read back, replaces what was there, and leaves nothing else behind")
{
    t_ok(files_mkdirs(path(0, "w"), NULL));
    const char *file = path(1, "w/f");
    put(file, "one\n");
    put(file, "two, and longer\n");
    put(file, "3");
    eq_file(file, "3");
    put(file, "");
    eq_file(file, "");
    t_eq_u64(entries(path_text[0]), 1);
    struct stat st;
    t_check(stat(file, &st) == 0);
    t_eq_u64(st.st_mode & 0777, 0600);
}

T_TEST("a file that was written with wider rights is replaced by one with the rights asked for")
{
    const char *file = path(0, "rights");
    t_ok(files_write_durable(file, STR("public"), 0644, NULL));
    put(file, "secret");
    struct stat st;
    t_check(stat(file, &st) == 0);
    t_eq_u64(st.st_mode & 0777, 0600);
}

T_TEST("the rights asked for do not depend on a temporary file left by a killed process")
{
    const char *left_over = path(0, "left.new");
    t_ok(files_write_durable(left_over, STR("half"), 0644, NULL));
    put(path(1, "left"), "whole");
    struct stat st;
    t_check(stat(path_text[1], &st) == 0);
    t_eq_u64(st.st_mode & 0777, 0600);
    eq_file(path_text[1], "whole");
}

T_TEST("a failed write says why, keeps the old file and no temporary one")
{
    struct errinfo ei = {0};
    t_err(files_write_durable(path(0, "missing/f"), STR("x"), 0600, &ei), ERR_IO);
    t_contains(str_of(ei.message), "missing/f");
    t_contains(str_of(ei.message), "No such file");
    t_ok(files_mkdirs(path(1, "w2/f/occupied"), NULL)); /* renaming onto a directory fails */
    struct errinfo onto = {0};
    t_err(files_write_durable(path(2, "w2/f"), STR("x"), 0600, &onto), ERR_IO);
    t_contains(str_of(onto.message), "cannot write");
    t_contains(str_of(onto.message), "directory");
    t_eq_u64(entries(path(3, "w2")), 1);
    char *too_long = mem_zalloc(8000);
    memset(too_long, 'n', 7999);
    t_err(files_write_durable(too_long, STR("x"), 0600, NULL), ERR_INVALID);
    mem_free(too_long);
}

T_TEST("a write that stops half way leaves the old file whole")
{
    const char *file = path(0, "half");
    put(file, "old");
    struct rlimit before;
    t_check(getrlimit(RLIMIT_FSIZE, &before) == 0);
    t_check(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit four = {.rlim_cur = 4, .rlim_max = before.rlim_max};
    t_check(setrlimit(RLIMIT_FSIZE, &four) == 0);
    struct errinfo ei = {0};
    enum err err = files_write_durable(file, STR("12345678"), 0600, &ei);
    t_check(setrlimit(RLIMIT_FSIZE, &before) == 0);
    t_eq_int(err, ERR_IO);
    t_contains(str_of(ei.message), "too large");
    eq_file(file, "old");
    t_check(access(path(1, "half.new"), F_OK) != 0);
}

T_TEST("reading obeys the buffer's cap to the byte and knows a missing file")
{
    put(path(0, "r"), "12345678");
    struct buf b;
    buf_init(&b, 8);
    t_ok(files_read(path_text[0], &b, NULL));
    t_eq_lit(buf_str(&b), "12345678");
    buf_done(&b);
    struct errinfo ei = {0};
    buf_init(&b, 7);
    t_err(files_read(path_text[0], &b, &ei), ERR_LIMIT);
    t_contains(str_of(ei.message), "7 bytes");
    buf_done(&b);
    buf_init(&b, 100 << 10);
    t_err(files_read("/dev/zero", &b, &ei), ERR_LIMIT); /* nor does it read on what never ends */
    buf_done(&b);
    struct errinfo none = {0};
    buf_init(&b, 7);
    t_err(files_read(path(1, "none"), &b, &none), ERR_NOT_FOUND);
    t_contains(str_of(none.message), "none");
    t_err(files_read(t_tmp_dir(), &b, NULL), ERR_IO); /* a directory cannot be read */
    buf_done(&b);
}

T_TEST(
    "a secret is read without the blanks around it, up to its size, and an empty file is refused")
{
    const char *file = path(0, "secret");
    char secret[FILES_SECRET_SIZE];
    char text[FILES_SECRET_SIZE + 1] = {0};
    size_t n = 0;
    struct errinfo ei = {0};
    put(file, " \ts3 cret\r\n\n");
    t_ok(files_read_secret(file, secret, &n, NULL));
    t_eq_str(str_make(secret, n), STR("s3 cret"));
    t_eq_cstr(secret, "s3 cret");
    memset(text, 'x', FILES_SECRET_SIZE - 1);
    put(file, text);
    t_ok(files_read_secret(file, secret, &n, NULL));
    t_eq_cstr(secret, text);
    text[FILES_SECRET_SIZE - 1] = 'x';
    t_ok(files_write_durable(file, str_make(text, FILES_SECRET_SIZE), 0600, NULL));
    t_err(files_read_secret(file, secret, &n, NULL), ERR_LIMIT);
    put(file, " \n");
    t_err(files_read_secret(file, secret, &n, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), file);
    t_err(files_read_secret(path(1, "absent"), secret, &n, NULL), ERR_NOT_FOUND);
}

T_TEST("a tree is removed with everything in it, links themselves and not what they point to")
{
    put(path(0, "outside"), "stays");
    t_ok(files_mkdirs(path(1, "tree/x/y"), NULL));
    put(path(2, "tree/x/y/f"), "gone");
    t_check(symlink(path_text[0], path(3, "tree/link")) == 0);
    t_ok(files_remove_tree(path_text[1]));
    t_ok(files_remove_tree(path(1, "tree")));
    t_check(access(path_text[1], F_OK) != 0);
    eq_file(path_text[0], "stays");
    t_err(files_remove_tree(path(2, "never-there")), ERR_IO);
}

T_TEST("a folder is synced, and what is none is said with its reason")
{
    struct errinfo ei = {0};
    t_ok_info(files_sync_dir(t_tmp_dir(), &ei), &ei);
    t_check(files_sync_dir("/nonexistent-folder", &ei) != OK);
    t_eq_int(errno, ENOENT);
    t_contains(str_of(ei.message), "/nonexistent-folder");
}

T_MAIN()
