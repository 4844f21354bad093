/* Confirmed stops without `up`. See confirm.h. */
#include "server/confirm.h"

#include <inttypes.h>
#include <stdio.h>

#include "account/record.h"
#include "account/region.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/files.h"
#include "base/log.h"
#include "coord/coord_client.h"
#include "engine/dir.h"

enum { PATH_SIZE = 4096, TEXT_SIZE_MAX = 512 };

static void path_of(const char *dir, const char *name, char ret[PATH_SIZE])
{
    (void)snprintf(ret, PATH_SIZE, "%s/%s", dir, name);
}

enum err confirm_note(const char *dir, const char *region, uint64_t incarnation, struct errinfo *ei)
{
    char path[PATH_SIZE];
    char text[TEXT_SIZE_MAX];
    path_of(dir, "incarnation", path);
    (void)snprintf(text, sizeof(text),
                   "holdfast incarnation\nformat %d\nregion %s\nincarnation %" PRIu64 "\n",
                   INCARNATION_FORMAT, region, incarnation);
    return files_write_durable(path, str_of(text), 0600, ei);
}

/* The value of the next line, which must begin with `key`. */
static bool take_line(struct str *rest, struct str key, struct str *ret_value)
{
    struct str line = STR_NONE;
    if (!str_split(*rest, '\n', &line, rest) || !str_starts(line, key)) {
        return false;
    }
    *ret_value = str_slice(line, key.n, line.n);
    return true;
}

enum err confirm_parse(struct str text, const char *path, const char *region,
                       uint64_t *ret_incarnation, struct errinfo *ei)
{
    struct str rest = text;
    struct str value = STR_NONE;
    uint64_t format = 0;
    if (!take_line(&rest, STR("holdfast incarnation"), &value) || value.n != 0 ||
        !take_line(&rest, STR("format "), &value) || !str_to_u64(value, &format) || format == 0) {
        return err_set(ei, ERR_CORRUPT, "%s is no incarnation file", path);
    }
    if (format > INCARNATION_FORMAT) {
        return err_set(ei, ERR_FORMAT_NEWER, "%s has format %" PRIu64 ", this program reads %d",
                       path, format, INCARNATION_FORMAT);
    }
    if (!take_line(&rest, STR("region "), &value)) {
        return err_set(ei, ERR_CORRUPT, "%s names no region", path);
    }
    if (!str_eq(value, str_of(region))) {
        return err_set(ei, ERR_CONFIG, "%s belongs to region " STR_FMT ", not to %s", path,
                       STR_ARG(str_slice(value, 0, RECORD_NAME_MAX)), region);
    }
    if (!take_line(&rest, STR("incarnation "), &value) || !str_to_u64(value, ret_incarnation) ||
        *ret_incarnation == 0 || rest.n != 0) {
        return err_set(ei, ERR_CORRUPT, "%s names no incarnation", path);
    }
    return OK;
}

enum err confirm_read(const char *dir, const char *region, uint64_t *ret_incarnation,
                      struct errinfo *ei)
{
    char path[PATH_SIZE];
    struct buf text;
    path_of(dir, "incarnation", path);
    buf_init(&text, TEXT_SIZE_MAX);
    enum err err = files_read(path, &text, ei);
    if (err == OK) {
        err = confirm_parse(buf_str(&text), path, region, ret_incarnation, ei);
    } else if (err == ERR_LIMIT) {
        err = err_set(ei, ERR_CORRUPT, "%s is no incarnation file", path);
    }
    buf_done(&text);
    return err;
}

/* Nobody holds the store's lock. */
static enum err check_ended(const char *dir, struct errinfo *ei)
{
    char store[PATH_SIZE];
    struct engine_dir *lock = NULL;
    path_of(dir, "store", store);
    struct errinfo why = {0};
    enum err err = engine_dir_open(str_of(store), "rocksdb", &lock, &why);
    engine_dir_close(lock);
    if (err == ERR_IN_USE) {
        err_set(ei, err, "a server runs in %s: its stop cannot be confirmed", dir);
        err_hint(ei, "--confirm-stop is for a service manager that saw the server's end");
    } else if (err != OK) {
        *ei = why;
    }
    return err;
}

static enum err find_id(const struct confirm_opts *o, struct arena *a, region_id *ret,
                        struct errinfo *ei)
{
    char key[256];
    (void)snprintf(key, sizeof(key), COORD_PREFIX "%s/record", o->account);
    struct coord_kv *kvs = NULL;
    size_t n = 0;
    TRY(coord_read_blocking(o->coordinator, o->secrets, str_of(key), a, &kvs, &n, ei));
    if (n != 1) {
        return err_set(ei, ERR_NOT_FOUND, "the coordinator knows no account %s", o->account);
    }
    struct account_record *rec = ARENA_NEW(a, struct account_record);
    TRY(record_decode(a, kvs[0].value, rec, ei));
    const struct record_region *g = record_region_by_name(rec, str_of(o->region));
    if (g == NULL) {
        err_set(ei, ERR_NOT_FOUND, "account %s has no region %s", o->account, o->region);
        account_hint_regions(rec, ei);
        return ERR_NOT_FOUND;
    }
    *ret = g->id;
    return OK;
}

static enum err tell(const struct confirm_opts *o, struct arena *a, uint64_t incarnation,
                     struct errinfo *ei)
{
    region_id id = 0;
    TRY(find_id(o, a, &id, ei));
    char key[256];
    char value[64];
    (void)snprintf(key, sizeof(key), COORD_PREFIX "%s/stopped/%u", o->account, id);
    (void)snprintf(value, sizeof(value), "{\"incarnation\":%" PRIu64 "}", incarnation);
    struct coord_txn txn = {.put_count = 1, .puts = {{.key = str_of(key), .value = str_of(value)}}};
    struct coord_txn_result res;
    TRY(coord_txn_blocking(o->coordinator, o->secrets, &txn, a, &res, ei));
    return OK;
}

enum err confirm_stop(const struct confirm_opts *o, struct errinfo *ei)
{
    uint64_t incarnation = 0;
    struct errinfo why = {0};
    enum err err = confirm_read(o->dir, o->region, &incarnation, &why);
    if (err == ERR_NOT_FOUND) {
        LOG_INFO("confirm", "nothing_to_confirm", "region=%s dir=%s", o->region, o->dir);
        return OK;
    }
    if (err != OK) {
        *ei = why;
        return err;
    }
    TRY(check_ended(o->dir, ei));
    struct arena a;
    arena_init(&a);
    err = tell(o, &a, incarnation, ei);
    arena_done(&a);
    if (err == OK) {
        LOG_INFO("confirm", "stop_confirmed", "region=%s incarnation=%" PRIu64, o->region,
                 incarnation);
    }
    return err;
}
