/* A store's directory: an opening that failed half way is taken up by the next one. */
#include "nth.h"

#include "engine/dir.c"

static int work(const char *dir)
{
    struct errinfo ei = {0};
    struct engine_dir *d = NULL;
    enum err err = engine_dir_open(str_of(dir), "rocksdb", &d, &ei);
    if (err != OK) {
        bool is_told = d == NULL && ei.code == err && ei.message[0] != 0;
        bool is_right = nth->is_half || err == (nth->how == ENOSPC ? ERR_DISK_FULL : ERR_IO);
        return is_told && is_right ? NTH_FAILED : 1;
    }
    engine_dir_close(d);
    return NTH_DONE;
}

static void look(const char *dir, int outcome)
{
    UNUSED(outcome);
    struct errinfo ei = {0};
    struct engine_dir *d = NULL;
    t_ok_info(engine_dir_open(str_of(dir), "rocksdb", &d, &ei), &ei);
    engine_dir_close(d);
    t_ok_info(engine_dir_open(str_of(dir), "rocksdb", &d, &ei), &ei); /* and again */
    engine_dir_close(d);
}

T_TEST("a store's directory is made in the end, whatever call failed first")
{
    nth_each("dir", work, look);
}

T_MAIN()
