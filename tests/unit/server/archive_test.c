/* Archives of diverged suffixes: the format of doc/format/archive.md, byte for byte. */
#include "server/archive.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../net/loop_until.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/files.h"
#include "base/mem.h"
#include "base/mem_probe.h"

static struct {
    struct loop *loop;
    unsigned done;
    uint64_t tickets[8];
    enum err errs[8];
    unsigned want;
} w;

static void on_done(void *ctx, uint64_t ticket, enum err err)
{
    t_check(ctx == &w);
    w.tickets[w.done] = ticket;
    w.errs[w.done++] = err;
}

static bool enough(void)
{
    return w.done >= w.want;
}

static const char *folder(const char *name)
{
    static char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s/%s", t_tmp_dir(), name);
    return dir;
}

/* Contents of the only archive of partition `p` in `dir`, to be freed. */
static char *only_archive(const char *dir, pid p, size_t *ret_n)
{
    char prefix[32];
    char path[800] = "";
    (void)snprintf(prefix, sizeof(prefix), "%016" PRIx64 "-", p);
    DIR *d = opendir(dir);
    t_check(d != NULL);
    unsigned count = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        size_t n = strlen(e->d_name);
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) {
            t_check(n > 5 && strcmp(e->d_name + n - 5, ".hfar") == 0);
            (void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
            count++;
        }
    }
    t_check(closedir(d) == 0);
    t_eq_u64(count, 1);
    return t_read_file(path, ret_n);
}

T_TEST("an archive holds who saved what of which partition, and a checksum")
{
    memset(&w, 0, sizeof(w));
    const char *dir = folder("archive");
    t_ok(files_mkdirs(dir, NULL));
    w.loop = loop_new();
    struct archiver *a = archiver_new(w.loop, dir, 3, 0, on_done, &w);
    struct str entries = STR("entry one\0entry two");
    archiver_save(a, 0x1122334455667788, entries, 7);
    archiver_save(a, 2, STR(""), 8);
    w.want = 2;
    loop_until(w.loop, enough);
    t_check(w.tickets[0] == 7 && w.tickets[1] == 8);
    t_ok(w.errs[0]);
    t_ok(w.errs[1]);
    archiver_free(a);
    loop_free(w.loop);

    size_t n = 0;
    char *text = only_archive(dir, 0x1122334455667788, &n);
    t_golden("archive_v1.bin", str_make(text, n));
    struct rd r = rd_of(str_make(text, n));
    t_eq_str(rd_bytes(&r, 4), STR("HFAR"));
    t_eq_u64(rd_u32(&r), 1);
    t_eq_u64(rd_u32(&r), 3);
    t_eq_u64(rd_u32(&r), crc32c(0, entries.p, entries.n));
    t_eq_u64(rd_u64(&r), 0x1122334455667788);
    t_eq_u64(rd_u64(&r), entries.n);
    t_eq_str(rd_bytes(&r, entries.n), entries);
    t_check(!r.bad && r.n == 0);
    struct archive ar;
    t_ok(archive_parse(str_make(text, n), &ar, NULL));
    t_check(ar.region == 3 && ar.pid == 0x1122334455667788);
    t_eq_str(ar.entries, entries);
    for (size_t i = 0; i < n;
         i++) { /* the head, too: region and partition are not under the checksum */
        t_err(archive_parse(str_make(text, i), &ar, NULL), ERR_CORRUPT);
        if (i < 8 || i >= 24 || (i >= 12 && i < 16)) {
            text[i] ^= 1;
            t_check(archive_parse(str_make(text, n), &ar, NULL) != OK);
            text[i] ^= 1;
        }
    }
    mem_free(text);
    text = only_archive(dir, 2, &n);
    t_eq_u64(n, 32); /* the head alone */
    mem_free(text);
}

static bool is_there(const char *dir, const char *name)
{
    char path[800];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

T_TEST("archives go when they are older than asked for, and nothing else does")
{
    memset(&w, 0, sizeof(w));
    const char *dir = folder("aged");
    char young[64];
    t_ok(files_mkdirs(dir, NULL));
    (void)snprintf(young, sizeof(young), "0000000000000001-%" PRId64 "-1.hfar", clock_wall_ms());
    const char *names[] = {"0000000000000001-1000-1.hfar", young, "0000000000000001-1000-1.txt",
                           "mine.hfar", "0000000000000002-99999999999999-1.hfar"};
    for (unsigned i = 0; i < 5; i++) {
        char path[800];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        t_ok(files_write_durable(path, STR("x"), 0600, NULL));
    }
    w.loop = loop_new();
    archiver_free(archiver_new(w.loop, dir, 3, 0, on_done, &w));
    t_check(is_there(dir, names[0])); /* for ever */
    archiver_free(archiver_new(w.loop, dir, 3, 60000, on_done, &w));
    t_check(!is_there(dir, names[0]));
    for (unsigned i = 1; i < 5; i++) {
        t_check(is_there(dir, names[i]));
    }
    loop_free(w.loop);
}

T_TEST("an archive that cannot be written is reported, so that nothing is cut")
{
    memset(&w, 0, sizeof(w));
    w.loop = loop_new();
    struct archiver *a = archiver_new(w.loop, folder("never-made"), 3, 0, on_done, &w);
    archiver_save(a, 1, STR("lost writes"), 1);
    w.want = 1;
    loop_until(w.loop, enough);
    t_err(w.errs[0], ERR_IO);
    archiver_free(a);
    loop_free(w.loop);
}

T_TEST("what was handed over is written before the archiver ends, and nothing leaks")
{
    memset(&w, 0, sizeof(w));
    const char *dir = folder("late");
    t_ok(files_mkdirs(dir, NULL));
    w.loop = loop_new();
    mem_probe_start();
    struct archiver *a = archiver_new(w.loop, dir, 3, 0, on_done, &w);
    for (uint64_t p = 1; p <= 5; p++) {
        archiver_save(a, p, STR("entries"), p);
    }
    archiver_free(a); /* the loop no longer runs: nobody is told */
    mem_probe_stop();
    t_eq_i64(mem_live_count(), 0);
    t_eq_u64(w.done, 0);
    for (uint64_t p = 1; p <= 5; p++) {
        size_t n = 0;
        mem_free(only_archive(dir, p, &n));
    }
    loop_free(w.loop);
}

T_MAIN()
