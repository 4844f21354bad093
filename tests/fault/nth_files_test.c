/* Durable small files: whatever call fails, the file is the old one or the new one, whole, and who was
 * told that it is new finds it so. */
#include "nth.h"

#include "base/files.c"

static const char old_text[] = "old text of the file\n";
static const char new_text[] = "and its new text, which is longer\n";

static const char *in(const char *dir, const char *name)
{
    static char path[600];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static int work(const char *dir)
{
    struct errinfo ei = {0};
    unsigned fails = nth->fails;
    nth->fails = 0; /* what was there before is sound */
    if (files_mkdirs(dir, &ei) != OK ||
        files_write_durable(in(dir, "f"), str_of(old_text), 0600, &ei) != OK) {
        return 1;
    }
    nth->fails = fails;
    enum err err = files_mkdirs(in(dir, "a/b"), &ei);
    if (err == OK) {
        err = files_write_durable(in(dir, "f"), str_of(new_text), 0600, &ei);
    }
    if (err == OK) {
        struct buf text;
        buf_init(&text, 4096);
        err = files_read(in(dir, "f"), &text, &ei);
        if (err == OK && !str_eq(buf_str(&text), str_of(new_text))) {
            return 2;
        }
        buf_done(&text);
    }
    if (err == OK) {
        return NTH_DONE;
    }
    /* The reason is said, by name of file and of error. */
    bool is_told = ei.code == err && strstr(ei.message, dir) != NULL &&
                   (err == ERR_IO || err == ERR_DISK_FULL || nth->is_half);
    bool is_right = nth->how != ENOSPC || nth->is_half || err == ERR_DISK_FULL;
    return is_told && is_right ? NTH_FAILED : 3;
}

static void look(const char *dir, int outcome)
{
    size_t n = 0;
    char *text = t_read_file(in(dir, "f"), &n);
    bool is_old = str_eq(str_make(text, n), str_of(old_text));
    bool is_new = str_eq(str_make(text, n), str_of(new_text));
    t_checkf(is_old || is_new, "neither old nor new: %s", text);
    t_check(outcome != NTH_DONE || is_new);
    free(text);
    t_check(access(in(dir, "f.new"), F_OK) != 0);
}

T_TEST("a file that is replaced is old or new, whatever call fails")
{
    nth_each("files", work, look);
}

T_MAIN()
