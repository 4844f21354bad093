/* Which incarnation ran in a directory; what is refused. Telling the coordinator: tests/cluster/roles.py. */
#include "server/confirm.h"

#include <stdio.h>
#include <string.h>

#include "../coord/secret_of.h"
#include "base/contract.h"
#include "base/files.h"
#include "engine/dir.h"
#include "lib/t.h"

static struct errinfo ei;

static const char *folder(const char *name)
{
    static char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s/%s", t_tmp_dir(), name);
    t_ok(files_mkdirs(dir, NULL));
    return dir;
}

static enum err parsed(const char *text)
{
    uint64_t incarnation = 7;
    memset(&ei, 0, sizeof(ei));
    enum err err = confirm_parse(str_of(text), "FILE", "east", &incarnation, &ei);
    t_eq_int(ei.code, err);
    return err;
}

T_TEST("a server's note is read back, and the newest one counts")
{
    const char *dir = folder("note");
    uint64_t incarnation = 0;
    t_eq_int(confirm_read(dir, "east", &incarnation, &ei), ERR_NOT_FOUND);
    memset(&ei, 0, sizeof(ei));
    t_ok(confirm_note(dir, "east", 41, &ei));
    t_ok(confirm_note(dir, "east", UINT64_C(0x1fffffffffffff), &ei));
    t_ok(confirm_read(dir, "east", &incarnation, &ei));
    t_eq_u64(incarnation, UINT64_C(0x1fffffffffffff));
    memset(&ei, 0, sizeof(ei));
    t_eq_int(confirm_read(dir, "west", &incarnation, &ei), ERR_CONFIG);
    t_contains(str_of(ei.message), "belongs to region east, not to west");
}

T_TEST("a file that confirm_note did not write is refused")
{
    static const char head[] = "holdfast incarnation\nformat 1\nregion east\n";
    char text[200];
    t_eq_int(parsed(""), ERR_CORRUPT);
    t_eq_int(parsed("holdfast engine\nformat 1\n"), ERR_CORRUPT);
    t_eq_int(parsed("holdfast incarnation\nformat one\n"), ERR_CORRUPT);
    t_eq_int(parsed(head), ERR_CORRUPT);
    static const char *const tails[] = {"incarnation 0\n", "incarnation x\n", "incarnation 1",
                                        "incarnation 1\nmore\n",
                                        "incarnation 18446744073709551616\n"};
    for (size_t i = 0; i < ARRAY_COUNT(tails); i++) {
        (void)snprintf(text, sizeof(text), "%s%s", head, tails[i]);
        t_eq_int(parsed(text), ERR_CORRUPT);
    }
    t_eq_int(parsed("holdfast incarnation\nformat 2\nanything"), ERR_FORMAT_NEWER);
    t_contains(str_of(ei.message), "FILE has format 2, this program reads 1");
}

T_TEST("the size of the file is limited")
{
    char text[514];
    uint64_t incarnation = 0;
    memset(text, 'x', sizeof(text));
    char path[600];
    const char *dir = folder("large");
    (void)snprintf(path, sizeof(path), "%s/incarnation", dir);
    t_ok(files_write_durable(path, str_make(text, 513), 0600, NULL));
    t_eq_int(confirm_read(dir, "east", &incarnation, &ei), ERR_CORRUPT);
}

T_TEST("nothing is told of a server that never ran, nor of one that runs")
{
    const char *dir = folder("runs");
    struct confirm_opts o = {.account = "shop",
                             .region = "east",
                             .dir = dir,
                             .coordinator = "http://127.0.0.1:1",
                             .secrets = secret_of(STR("secret"))};
    memset(&ei, 0, sizeof(ei));
    t_ok(confirm_stop(&o, &ei));
    t_eq_int(ei.code, OK);
    t_ok(confirm_note(dir, "east", 41, &ei));
    char store[600];
    struct engine_dir *lock = NULL;
    (void)snprintf(store, sizeof(store), "%s/store", dir);
    t_ok(engine_dir_open(str_of(store), "rocksdb", &lock, &ei));
    t_eq_int(confirm_stop(&o, &ei), ERR_IN_USE);
    t_contains(str_of(ei.message), "its stop cannot be confirmed");
    engine_dir_close(lock);
    memset(&ei, 0, sizeof(ei));
    t_eq_int(confirm_stop(&o, &ei), ERR_UNAVAILABLE);
}

T_MAIN()
